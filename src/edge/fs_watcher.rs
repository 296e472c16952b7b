//! Hears from the system what changed below a directory: a hint that makes the next look come sooner.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread::Thread;
use std::time::{Duration, Instant};

use notify::event::{CreateKind, ModifyKind, RemoveKind};
use notify::{ErrorKind, EventKind, RecommendedWatcher, RecursiveMode, Watcher};
use rustix::fs::stat;

use tfevents::disk::{Root, shown};
use tfevents::follow::Follower;

use super::files::{identify, records_beside};
use crate::layout::OWN_DIRECTORY;
use crate::layout::is_followed;
use crate::limits::{MAX_HINTS, NOTICE_REST};
use tfevents::tail::FileId;

/// Wakes a thread when something changes below a directory, and says what.
#[derive(Debug)]
pub struct FsWatcher {
    bases: Arc<[Base]>,
    /// Of each base what is watched: another directory may stand there by now.
    watched: Vec<Option<FileId>>,
    watcher: Option<RecommendedWatcher>,
    thread: Thread,
    heard: Arc<Mutex<Changes>>,
    /// The system gives no more watches: there is no use in asking again.
    is_refused: bool,
}

/// A directory and the name that it has below the root, `/` at its end.
#[derive(Debug, Clone)]
struct Base {
    directory: PathBuf,
    name: String,
}

impl Base {
    /// The path below the root of a file that is followed.
    fn below(&self, path: &Path) -> Option<String> {
        let below = [&*self.name, &shown(path.strip_prefix(&self.directory).ok()?)].concat();
        is_followed(&below).then_some(below)
    }
}

/// Takes changes that come thick and fast some at a time: to wake for each costs more than to read what it is
/// about. One that comes alone waits for nothing.
#[derive(Debug, Default)]
struct Pace {
    last: Option<Instant>,
    rested: Option<Instant>,
}

impl Pace {
    fn keep(&mut self) {
        let now = Instant::now();
        let is_within = |since: Option<Instant>, time| since.is_some_and(|since| now - since < time);
        let is_dense = is_within(self.last, NOTICE_REST) && !is_within(self.rested, NOTICE_REST / 4);
        self.last = Some(now);
        if is_dense {
            std::thread::sleep(NOTICE_REST);
            self.rested = Some(Instant::now());
            self.last = self.rested;
        }
    }
}

/// What was heard and not yet passed on.
#[derive(Debug, Default)]
struct Changes {
    paths: BTreeSet<String>,
    must_list: bool,
    /// Watched directories that were removed or renamed: what has their inode later may be another.
    gone: BTreeSet<PathBuf>,
}

impl FsWatcher {
    /// Hears of nothing yet; see [`Self::keep`].
    #[must_use]
    pub fn new(root: &Path, thread: Thread) -> Self {
        let records = records_beside(root).map(|records| (records, format!("{OWN_DIRECTORY}/")));
        Self::with(std::iter::once((root.to_owned(), String::new())).chain(records), thread)
    }

    /// The same of all that is meant of a root.
    #[must_use]
    pub fn of(root: &Root, thread: Thread) -> Self {
        if root.parts().is_empty() {
            return Self::new(root.base(), thread);
        }
        Self::with(root.parts().iter().map(|part| (root.real_path(part), format!("{part}/"))), thread)
    }

    fn with(bases: impl Iterator<Item = (PathBuf, String)>, thread: Thread) -> Self {
        let bases: Arc<[Base]> = bases.map(|(directory, name)| Base { directory, name }).collect();
        let watched = vec![None; bases.len()];
        Self { bases, watched, watcher: None, thread, heard: Arc::default(), is_refused: false }
    }

    /// Watches the directory that stands there now, if any. Where the system gives no watch the answer is what
    /// to tell the user, once.
    pub fn keep(&mut self) -> Option<String> {
        if self.is_refused {
            return None;
        }
        let gone = std::mem::take(&mut self.lock().gone);
        let (directory, e) = self.watch_all(&gone).err()?;
        self.is_refused = true;
        let why = match e.kind {
            ErrorKind::MaxFilesWatch => {
                "the system's limit of watches is reached (fs.inotify.max_user_watches)".to_owned()
            }
            _ => e.to_string(),
        };
        Some(format!("{}: changes are found by polling alone: {why}", directory.display()))
    }

    fn watch_all(&mut self, gone: &BTreeSet<PathBuf>) -> Result<(), (PathBuf, notify::Error)> {
        let Self { bases, watched, watcher, thread, heard, .. } = self;
        for (Base { directory, .. }, watched) in bases.iter().zip(watched) {
            let failed = |e| (directory.clone(), e);
            let id = stat(directory).ok().map(|stat| identify(&stat));
            if id == *watched && !gone.contains(directory) {
                continue;
            }
            if let (Some(watcher), Some(_)) = (&mut *watcher, watched.take()) {
                // The system forgets the watch of a directory that is removed by itself.
                let _ = watcher.unwatch(directory);
            }
            if id.is_none() {
                continue;
            }
            let watcher = match watcher {
                Some(watcher) => watcher,
                None => watcher.insert(hear(bases, thread, heard).map_err(failed)?),
            };
            match watcher.watch(directory, RecursiveMode::Recursive) {
                Ok(()) => *watched = id,
                Err(e) if matches!(e.kind, ErrorKind::PathNotFound) => continue,
                Err(e) => return Err(failed(e)),
            }
            // What came before the watch was there.
            heard.lock().unwrap_or_else(PoisonError::into_inner).must_list = true;
        }
        Ok(())
    }

    /// Waits for news, or for so long. Another's `unpark` of this thread ends it too.
    pub fn wait(&self, at_most: Duration) {
        // A wake-up that came while this thread was waiting for something else is spent, its news is not.
        if !self.lock().has_news() {
            std::thread::park_timeout(at_most);
        }
    }

    fn lock(&self) -> MutexGuard<'_, Changes> {
        self.heard.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Passes on what was heard.
    pub fn pass_on(&self, reader: &mut Follower) {
        let heard = std::mem::take(&mut *self.lock());
        heard.paths.iter().for_each(|path| reader.hint(path));
        if heard.must_list {
            reader.wake();
        }
    }
}

/// A watcher of nothing yet, which wakes the thread.
fn hear(
    bases: &Arc<[Base]>,
    thread: &Thread,
    heard: &Arc<Mutex<Changes>>,
) -> notify::Result<RecommendedWatcher> {
    let (bases, thread, heard) = (Arc::clone(bases), thread.clone(), Arc::clone(heard));
    let mut pace = Pace::default();
    notify::recommended_watcher(move |event: notify::Result<notify::Event>| {
        let is_news = {
            let mut heard = heard.lock().unwrap_or_else(PoisonError::into_inner);
            heard.take(&bases, event)
        };
        if is_news {
            thread.unpark();
        }
        pace.keep();
    })
}

impl Changes {
    fn has_news(&self) -> bool {
        self.must_list || !self.paths.is_empty()
    }

    /// Whether the event says anything: reading, ours above all, and writing to other files do not.
    fn take(&mut self, bases: &[Base], event: notify::Result<notify::Event>) -> bool {
        let Ok(event) = event else {
            self.must_list = true;
            return true;
        };
        if matches!(event.kind, EventKind::Remove(_) | EventKind::Modify(ModifyKind::Name(_))) {
            let is_base = |path: &&PathBuf| bases.iter().any(|base| base.directory == **path);
            self.gone.extend(event.paths.iter().filter(is_base).cloned());
        }
        let is_of_file = match event.kind {
            EventKind::Access(_) => return false,
            // A file that is gone keeps its values: there is nothing to do.
            EventKind::Remove(RemoveKind::File) => return false,
            EventKind::Create(CreateKind::File)
            | EventKind::Modify(ModifyKind::Data(_) | ModifyKind::Metadata(_)) => true,
            EventKind::Any
            | EventKind::Create(_)
            | EventKind::Modify(_)
            | EventKind::Remove(_)
            | EventKind::Other => false,
        };
        if !is_of_file || event.need_rescan() || self.paths.len() >= MAX_HINTS {
            self.must_list = true;
            return true;
        }
        let paths = event.paths.iter().filter_map(|path| bases.iter().find_map(|base| base.below(path)));
        let n_before = self.paths.len();
        self.paths.extend(paths);
        self.paths.len() > n_before
    }
}

#[cfg(test)]
mod tests {
    use notify::event::{AccessKind, DataChange, Flag};

    use super::*;

    fn bases() -> [Base; 2] {
        let base = |directory: &str, name: &str| Base { directory: directory.into(), name: name.to_owned() };
        [base("/job", ""), base("/.hptune/job", ".hptune/")]
    }

    fn event(kind: EventKind, path: &str) -> notify::Event {
        notify::Event::new(kind).add_path(PathBuf::from(path))
    }

    #[track_caller]
    fn check(heard: notify::Result<notify::Event>, expected: (bool, &[&str], bool)) {
        let mut all = Changes::default();
        let is_news = all.take(&bases(), heard);
        let paths: Vec<&str> = all.paths.iter().map(String::as_str).collect();
        assert_eq!((is_news, &*paths, all.must_list), expected);
    }

    #[test]
    fn a_changed_event_file_is_named_and_what_may_hide_one_asks_for_a_listing() {
        let data = EventKind::Modify(ModifyKind::Data(DataChange::Any));
        check(Ok(event(data, "/job/a/x.tfevents.1")), (true, &["a/x.tfevents.1"], false));
        check(
            Ok(event(EventKind::Create(CreateKind::File), "/job/x.tfevents.1")),
            (true, &["x.tfevents.1"], false),
        );
        check(Ok(event(data, "/job/model.ckpt")), (false, &[], false));
        check(Ok(event(EventKind::Access(AccessKind::Any), "/job/x.tfevents.1")), (false, &[], false));
        check(Ok(event(EventKind::Create(CreateKind::Folder), "/job/b")), (true, &[], true));
        check(Ok(event(EventKind::Remove(RemoveKind::File), "/job/x.tfevents.1")), (false, &[], false));
        check(Err(notify::Error::generic("lost")), (true, &[], true));
    }

    #[test]
    fn what_came_before_the_watch_stood_is_not_waited_for() {
        let directory = tempfile::tempdir().expect("a directory");
        let mut watcher = FsWatcher::new(directory.path(), std::thread::current());
        assert_eq!(watcher.keep(), None);
        // Somebody else's wait took the wake-up.
        std::thread::park_timeout(Duration::ZERO);
        watcher.wait(Duration::MAX);
        assert!(watcher.lock().must_list);
    }

    #[test]
    fn a_directory_that_is_removed_and_made_again_is_watched_again() {
        let parent = tempfile::tempdir().expect("a directory");
        let directory = parent.path().join("1");
        std::fs::create_dir(&directory).expect("it is made");
        let mut watcher = FsWatcher::new(&directory, std::thread::current());
        assert_eq!(watcher.keep(), None);
        let next = || {
            while !watcher.lock().has_news() {
                std::thread::park_timeout(Duration::from_millis(10));
            }
            std::mem::take(&mut *watcher.lock())
        };
        next();
        // Many file systems give the new one the inode of the old one.
        std::fs::remove_dir(&directory).expect("it is empty");
        let heard = next();
        assert_eq!((heard.must_list, heard.gone.first()), (true, Some(&directory)));
        watcher.lock().gone = heard.gone;
        std::fs::create_dir(&directory).expect("it is made");
        assert_eq!(watcher.keep(), None);
        assert!(std::mem::take(&mut *watcher.lock()).must_list);
        std::fs::write(directory.join("x.tfevents.1"), "x").expect("it is written");
        while watcher.lock().paths.first().is_none_or(|path| path != "x.tfevents.1") {
            std::thread::park_timeout(Duration::from_millis(10));
        }
    }

    #[test]
    fn where_the_system_s_queue_ran_over_everything_is_looked_at() {
        let overflow = notify::Event::new(EventKind::Other).set_flag(Flag::Rescan);
        check(Ok(overflow), (true, &[], true));
    }

    #[test]
    fn more_changes_than_are_named_ask_for_a_listing() {
        let mut heard = Changes::default();
        let data = EventKind::Modify(ModifyKind::Data(DataChange::Any));
        for n in 0..=MAX_HINTS {
            heard.take(&bases(), Ok(event(data, &format!("/job/x.tfevents.{n}"))));
        }
        assert_eq!((heard.paths.len(), heard.must_list), (MAX_HINTS, true));
    }
}
