//! Hears from the system what changed below a directory: a hint that makes the next look come sooner.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread::Thread;
use std::time::{Duration, Instant};

use notify::event::{CreateKind, ModifyKind, RemoveKind};
use notify::{ErrorKind, EventKind, RecommendedWatcher, RecursiveMode, Watcher};
use rustix::fs::stat;

use super::files::identify;
use super::reader::Reader;
use crate::limits::{MAX_HINTS, NOTICE_REST};
use crate::tail::{FileId, is_followed};

/// Wakes a thread when something changes below a directory, and says what.
#[derive(Debug)]
pub struct Notices {
    root: PathBuf,
    thread: Thread,
    heard: Arc<Mutex<Heard>>,
    /// The watcher, with the directory that it watches, which may be replaced by another.
    watcher: Option<(RecommendedWatcher, FileId)>,
    /// The system gives no more watches: there is no use in asking again.
    is_refused: bool,
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
struct Heard {
    paths: BTreeSet<String>,
    must_list: bool,
}

impl Notices {
    /// Hears of nothing yet; see [`Self::keep`].
    #[must_use]
    pub fn new(root: &Path, thread: Thread) -> Self {
        Self { root: root.to_owned(), thread, heard: Arc::default(), watcher: None, is_refused: false }
    }

    /// Watches the directory that stands there now, if any. Where the system gives no watch the answer is what
    /// to tell the user, once.
    pub fn keep(&mut self) -> Option<String> {
        let id = stat(&self.root).ok().map(|stat| identify(&stat));
        if self.is_refused || id == self.watcher.as_ref().map(|(_, id)| *id) {
            return None;
        }
        self.watcher = None;
        let id = id?;
        let (root, thread, heard) = (self.root.clone(), self.thread.clone(), Arc::clone(&self.heard));
        let mut pace = Pace::default();
        let hear = move |event: notify::Result<notify::Event>| {
            let is_news = {
                let mut heard = heard.lock().unwrap_or_else(PoisonError::into_inner);
                heard.take(&root, event)
            };
            if is_news {
                thread.unpark();
            }
            pace.keep();
        };
        let watcher = notify::recommended_watcher(hear).and_then(|mut watcher| {
            watcher.watch(&self.root, RecursiveMode::Recursive)?;
            Ok(watcher)
        });
        match watcher {
            Ok(watcher) => {
                self.watcher = Some((watcher, id));
                // What came before the watch was there.
                self.lock().must_list = true;
                None
            }
            Err(e) if matches!(e.kind, ErrorKind::PathNotFound) => None,
            Err(e) => {
                self.is_refused = true;
                let why = match e.kind {
                    ErrorKind::MaxFilesWatch => "the system's limit of watches is reached \
                        (fs.inotify.max_user_watches)"
                        .to_owned(),
                    _ => e.to_string(),
                };
                Some(format!("{}: changes are found by polling alone: {why}", self.root.display()))
            }
        }
    }

    /// Waits for news, or for so long. Another's `unpark` of this thread ends it too.
    pub fn wait(&self, at_most: Duration) {
        // A wake-up that came while this thread was waiting for something else is spent, its news is not.
        if !self.lock().has_news() {
            std::thread::park_timeout(at_most);
        }
    }

    fn lock(&self) -> MutexGuard<'_, Heard> {
        self.heard.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Passes on what was heard.
    pub fn pass_on(&self, reader: &mut Reader) {
        let heard = std::mem::take(&mut *self.lock());
        heard.paths.iter().for_each(|path| reader.hint(path));
        if heard.must_list {
            reader.wake();
        }
    }
}

impl Heard {
    fn has_news(&self) -> bool {
        self.must_list || !self.paths.is_empty()
    }

    /// Whether the event says anything: reading, ours above all, and writing to other files do not.
    fn take(&mut self, root: &Path, event: notify::Result<notify::Event>) -> bool {
        let Ok(event) = event else {
            self.must_list = true;
            return true;
        };
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
        let paths = event.paths.iter().filter_map(|path| below(root, path));
        let n_before = self.paths.len();
        self.paths.extend(paths);
        self.paths.len() > n_before
    }
}

/// The path below the root of a file that is followed.
fn below(root: &Path, path: &Path) -> Option<String> {
    let below = path.strip_prefix(root).ok()?.to_str()?;
    is_followed(below).then(|| below.to_owned())
}

#[cfg(test)]
mod tests {
    use notify::event::{AccessKind, DataChange, Flag};

    use super::*;

    fn event(kind: EventKind, path: &str) -> notify::Event {
        notify::Event::new(kind).add_path(PathBuf::from(path))
    }

    #[track_caller]
    fn check(heard: notify::Result<notify::Event>, expected: (bool, &[&str], bool)) {
        let mut all = Heard::default();
        let is_news = all.take(Path::new("/job"), heard);
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
        let mut notices = Notices::new(directory.path(), std::thread::current());
        assert_eq!(notices.keep(), None);
        // Somebody else's wait took the wake-up.
        std::thread::park_timeout(Duration::ZERO);
        notices.wait(Duration::MAX);
        assert!(notices.lock().must_list);
    }

    #[test]
    fn where_the_system_s_queue_ran_over_everything_is_looked_at() {
        let overflow = notify::Event::new(EventKind::Other).set_flag(Flag::Rescan);
        check(Ok(overflow), (true, &[], true));
    }

    #[test]
    fn more_changes_than_are_named_ask_for_a_listing() {
        let mut heard = Heard::default();
        let data = EventKind::Modify(ModifyKind::Data(DataChange::Any));
        for n in 0..=MAX_HINTS {
            heard.take(Path::new("/job"), Ok(event(data, &format!("/job/x.tfevents.{n}"))));
        }
        assert_eq!((heard.paths.len(), heard.must_list), (MAX_HINTS, true));
    }
}
