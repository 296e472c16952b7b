//! Looks, in the supervisor of a trial, for event files that the trial's processes write outside of its directory.
//!
//! A file is the trial's
//! - if one of its processes has it open to write to, wherever it is;
//! - if it lies below a directory that its processes run in, was made since they were started, and its name says
//!   that one of them made it;
//! - if it came likewise, its name says nothing, nobody else has it open, and it lies in a directory that is the
//!   trial's (made since, with a file of the trial in it), or no other trial runs in the same place that could have
//!   made it.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::fs::{self, Metadata};
use std::io::{self, PipeReader, PipeWriter};
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::sync::mpsc::{Receiver, Sender, channel};
use std::thread;
use std::time::{Duration, Instant, SystemTime};

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::io::Errno;
use rustix::process::{geteuid, getpid};
use serde::{Deserialize, Serialize};

use super::claims::{is_written_by, may_have_neighbours, process_in_name};
use super::record::{Claim, OutsideFile, append, known};
use super::watches::{Made, Watches};
use crate::edge::process_table::{host_name, open_for_writing, working_directory};
use crate::edge::process_tree::Tree;
use crate::layout::OWN_DIRECTORY;
use crate::limits::{
    DRAIN_TIMEOUT, LIST_SHARE, MAX_NEAR_ENTRIES, MAX_OUTSIDE_DEPTH, MAX_OUTSIDE_FILES, MAX_OUTSIDE_PLACES,
    OUTSIDE_LONGEST_PAUSE, OUTSIDE_PAUSE, OUTSIDE_SHARE, SHARED_NAME_AFTER,
};
use tfevents::tail::{FileId, is_event_file};

/// What to look for.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Search {
    /// Where what is found is written down.
    pub record: PathBuf,
    /// Where the trainer runs.
    pub place: PathBuf,
    /// The trial's directory: what lies in it is found there.
    pub directory: PathBuf,
    /// Other trials may run at the same time: what could be theirs is not taken for this one's.
    pub has_neighbours: bool,
}

/// A search on a thread of its own.
#[derive(Debug)]
pub(crate) struct Finding {
    /// Closed to end it.
    stop: PipeWriter,
    started: Sender<i32>,
    ended: Receiver<()>,
}

impl Finding {
    /// Begins. What is changed after `since` may be of the trial.
    ///
    /// # Errors
    /// Errors of starting a thread.
    pub(crate) fn start(search: Search, since: SystemTime) -> io::Result<Self> {
        let (stopped, stop) = io::pipe()?;
        let (started, members) = channel();
        let (ending, ended) = channel();
        thread::Builder::new().name("outside".into()).spawn(move || {
            Finder::new(search, since, members).run(&stopped);
            // Nobody waits any more where this fails.
            let _ = ending.send(());
        })?;
        Ok(Self { stop, started, ended })
    }

    /// A process of the trial was started. It may have ended before anybody looks.
    pub(crate) fn started(&self, process: i32) {
        // The thread's end is told by `finish`.
        let _ = self.started.send(process);
    }

    /// Looks once more, nothing being written any more, and ends. A file system that hangs is not waited for.
    pub(crate) fn finish(self) {
        drop(self.stop);
        let _ = self.ended.recv_timeout(DRAIN_TIMEOUT);
    }
}

/// What is known of the trial and its files so far.
struct Finder {
    search: Search,
    /// The same without links.
    directory: PathBuf,
    since: SystemTime,
    host: String,
    tree: Tree,
    started: Receiver<i32>,
    /// The processes that lived at the last look.
    living: Vec<i32>,
    /// All that were seen, by their numbers: the files of those that have ended remain.
    members: BTreeSet<i32>,
    /// The directories that they run in, the trainer's first.
    places: Vec<PathBuf>,
    /// What was found to be the trial's.
    own: BTreeSet<PathBuf>,
    /// What others write to as well.
    shared: BTreeSet<PathBuf>,
    /// Files with no sign yet of whose they are, and how often that was looked for.
    unclear: BTreeMap<PathBuf, u32>,
    /// What processes of the trial had open, and since when that is known, until it is decided on.
    open: BTreeMap<PathBuf, (Instant, FileId)>,
    watches: Option<Watches>,
    walk_at: Instant,
}

impl Finder {
    fn new(search: Search, since: SystemTime, started: Receiver<i32>) -> Self {
        let directory = search.directory.canonicalize().unwrap_or_else(|_| search.directory.clone());
        let own = known(&search.record);
        let places =
            search.place.canonicalize().into_iter().filter(|place| place.parent().is_some()).collect();
        Self {
            search,
            directory,
            since,
            host: host_name().to_owned(),
            // All that is orphaned is handed to the supervisor.
            tree: Tree { root: Some(getpid().as_raw_nonzero().get()), mark: None },
            started,
            living: Vec::new(),
            members: BTreeSet::new(),
            places,
            own,
            shared: BTreeSet::new(),
            unclear: BTreeMap::new(),
            open: BTreeMap::new(),
            watches: Watches::new(),
            walk_at: Instant::now(),
        }
    }

    /// Looks often at first, and at once when something is made, until nobody holds the other end of `stopped`.
    fn run(&mut self, stopped: &PipeReader) {
        let began = Instant::now();
        loop {
            let at = Instant::now();
            self.look();
            let pause = (at.elapsed() * OUTSIDE_SHARE).max(began.elapsed() / OUTSIDE_SHARE);
            if self.wait(stopped, pause.clamp(OUTSIDE_PAUSE, OUTSIDE_LONGEST_PAUSE)) {
                break;
            }
        }
        self.walk_at = Instant::now();
        self.look();
        self.judge_open(true);
        self.judge(0);
        self.tell_unclear();
    }

    /// Waits, and takes what is heard meanwhile. The answer is whether it is over.
    fn wait(&mut self, stopped: &PipeReader, pause: Duration) -> bool {
        let until = Instant::now() + pause;
        loop {
            let rest = until.saturating_duration_since(Instant::now());
            if rest.is_zero() {
                return false;
            }
            let rest = Timespec::try_from(rest).unwrap_or_default();
            let watches =
                self.watches.as_ref().map(|watches| PollFd::from_borrowed_fd(watches.as_fd(), PollFlags::IN));
            let mut handles = vec![PollFd::new(stopped, PollFlags::IN)];
            handles.extend(watches);
            if let Err(e) = poll(&mut handles, Some(&rest)) {
                if e != Errno::INTR {
                    thread::sleep(pause);
                }
                return false;
            }
            if handles.first().is_some_and(|stopped| !stopped.revents().is_empty()) {
                return true;
            }
            drop(handles);
            self.hear();
        }
    }

    /// Takes what was made in watched directories. Who has it open is asked at once.
    fn hear(&mut self) {
        let made = self.watches.as_mut().map(Watches::take).unwrap_or_default();
        let mut is_any = false;
        for made in made {
            match made {
                Made::File(path) => is_any |= self.offer(path),
                Made::Directory(path, depth)
                    if depth <= MAX_OUTSIDE_DEPTH && !is_passed_over(&path) && !is_trial(&path) =>
                {
                    is_any |= self.walk(VecDeque::from([(path, depth)]));
                }
                Made::Directory(..) => {}
            }
        }
        if is_any {
            self.look_at_members();
        }
    }

    fn look(&mut self) {
        if let Ok(living) = self.tree.living() {
            self.living = living.iter().map(|process| process.id).collect();
        }
        self.members.extend(&self.living);
        self.members.extend(self.started.try_iter());
        for process in &self.living {
            if let Some(place) = working_directory(*process)
                && self.places.len() < MAX_OUTSIDE_PLACES
                && place.parent().is_some()
                && !self.places.contains(&place)
            {
                self.places.push(place);
            }
        }
        self.look_at_members();
        if Instant::now() >= self.walk_at {
            let at = Instant::now();
            let places = self.places.iter().cloned().map(|place| (place, 0)).collect();
            if self.walk(places) {
                self.look_at_members();
            }
            self.walk_at = at + at.elapsed() * LIST_SHARE;
        }
        self.judge_open(false);
        // What is new may be open in a process that was not yet seen.
        self.judge(1);
    }

    /// Takes what the processes that were seen last have open to write to.
    fn look_at_members(&mut self) {
        for member in self.living.clone() {
            for (path, id) in open_for_writing(member, |path| self.is_news(path)) {
                self.unclear.remove(&path);
                self.open.insert(path, (Instant::now(), id));
            }
        }
    }

    /// Decides on files that the trial's processes had open. A name that does not say which process made it may be
    /// made of the second: trials that begin in the same one choose the same.
    fn judge_open(&mut self, is_last: bool) {
        let open = std::mem::take(&mut self.open);
        for (path, (found, id)) in open {
            let is_alone = !self.search.has_neighbours || process_in_name(&path, &self.host).is_some();
            match self.have_others_open(id, &path) {
                Ok(true) => self.tell(path, Claim::Shared),
                Ok(false) if is_alone || is_last || found.elapsed() >= SHARED_NAME_AFTER => {
                    self.tell(path, Claim::Own);
                }
                Err(_) if is_last => self.tell(path, Claim::Unclear),
                Ok(false) | Err(_) => drop(self.open.insert(path, (found, id))),
            }
        }
    }

    /// Whether somebody who is not of the trial has a file open to write to.
    ///
    /// # Errors
    /// Processes cannot be looked for.
    fn have_others_open(&self, id: FileId, path: &Path) -> io::Result<bool> {
        self.tree.partition().map(|(_, others)| is_written_by(&others, id, path))
    }

    /// An event file outside of the trial's directory of which nothing was told yet.
    fn is_news(&self, path: &Path) -> bool {
        let is_event_file = |path: &str| is_event_file(path) && !path.ends_with(" (deleted)");
        path.to_str().is_some_and(is_event_file)
            && !path.starts_with(&self.directory)
            && !path.starts_with(&self.search.directory)
            && !self.open.contains_key(path)
            && !self.own.contains(path)
            && !self.shared.contains(path)
    }

    /// Takes it that a file was made. Whether it is one of which nothing is known.
    fn offer(&mut self, path: PathBuf) -> bool {
        if !self.is_news(&path) || self.unclear.len() >= MAX_OUTSIDE_FILES {
            return false;
        }
        self.unclear.entry(path).or_insert(0);
        true
    }

    /// Looks for files that were written since, below these directories, the nearest first, and watches them all.
    /// Where there are too many, those in which something was made come before others.
    fn walk(&mut self, mut directories: VecDeque<(PathBuf, usize)>) -> bool {
        let (mut n_entries, mut is_any) = (0, false);
        while let Some((directory, depth)) = directories.pop_front() {
            if directory.starts_with(&self.directory) {
                continue;
            }
            if let Some(watches) = &mut self.watches {
                watches.add(&directory, depth);
            }
            for entry in fs::read_dir(&directory).into_iter().flatten().flatten() {
                n_entries += 1;
                let path = entry.path();
                let Ok(kind) = entry.file_type() else { continue };
                if kind.is_dir() {
                    if depth >= MAX_OUTSIDE_DEPTH || is_passed_over(&path) || is_trial(&path) {
                        continue;
                    }
                    let is_new = entry.metadata().is_ok_and(|metadata| self.is_since(&metadata));
                    match is_new {
                        true => directories.push_front((path, depth + 1)),
                        false if n_entries < MAX_NEAR_ENTRIES => directories.push_back((path, depth + 1)),
                        false => {}
                    }
                } else if kind.is_file()
                    && self.is_news(&path)
                    && entry.metadata().is_ok_and(|metadata| self.is_since(&metadata))
                {
                    is_any |= self.offer(path);
                }
            }
        }
        is_any
    }

    fn is_since(&self, metadata: &Metadata) -> bool {
        metadata.modified().is_ok_and(|at| at > self.since)
    }

    /// Decides on files that nobody of the trial was seen to have open. Those of which names say nothing are looked
    /// at so often before.
    fn judge(&mut self, n_looks: u32) {
        let mut own = Vec::new();
        let mut unclear = std::mem::take(&mut self.unclear);
        unclear.retain(|path, looks| {
            let Ok(metadata) = fs::metadata(path) else { return false };
            if !self.is_news(path) || !self.is_since(&metadata) {
                return false;
            }
            match process_in_name(path, &self.host) {
                Some(process) if self.members.contains(&process) => own.push(path.clone()),
                Some(_) => {}
                None if *looks < n_looks => *looks += 1,
                None if self.is_by_elimination(path, &metadata) => own.push(path.clone()),
                None => {}
            }
            true
        });
        self.unclear = unclear;
        own.into_iter().for_each(|path| self.tell(path, Claim::Own));
    }

    /// Whether nobody else can have made a file.
    fn is_by_elimination(&self, path: &Path, metadata: &Metadata) -> bool {
        let is_made_since = |metadata: &Metadata| metadata.created().is_ok_and(|at| at > self.since);
        let directory = path.parent().unwrap_or(path);
        let is_in_own_directory = self.own.iter().any(|own| own.parent() == Some(directory))
            && fs::metadata(directory).is_ok_and(|metadata| is_made_since(&metadata));
        let id = FileId { device: metadata.dev(), inode: metadata.ino() };
        let is_place = |place: &Path| self.places.iter().any(|own| own == place);
        metadata.uid() == geteuid().as_raw()
            && (is_in_own_directory
                || (!self.search.has_neighbours
                    && is_made_since(metadata)
                    && !may_have_neighbours(&self.search.directory, is_place)))
            && self.have_others_open(id, path).is_ok_and(|have| !have)
    }

    fn tell(&mut self, path: PathBuf, claim: Claim) {
        self.unclear.remove(&path);
        let known = match claim {
            Claim::Own => &mut self.own,
            Claim::Shared | Claim::Unclear => &mut self.shared,
        };
        if known.len() >= MAX_OUTSIDE_FILES {
            return;
        }
        let below = self.places.iter().find_map(|place| path.strip_prefix(place).ok());
        let name = below.or(path.strip_prefix("/").ok()).unwrap_or(&path).to_string_lossy().into_owned();
        // Where it cannot be written down, it is found again at the next look.
        if append(&self.search.record, &OutsideFile { path: path.clone(), name, claim }).is_ok() {
            known.insert(path);
        }
    }

    /// Files that came meanwhile and could be the trial's: the user may know.
    fn tell_unclear(&mut self) {
        let has_no_maker = |path: &PathBuf| process_in_name(path, &self.host).is_none();
        let unclear: Vec<PathBuf> = self.unclear.keys().filter(|path| has_no_maker(path)).cloned().collect();
        unclear.into_iter().for_each(|path| self.tell(path, Claim::Unclear));
    }
}

/// The directory of a trial, of this job or of another one beside it.
fn is_trial(directory: &Path) -> bool {
    let is_number = |name: &std::ffi::OsStr| name.as_encoded_bytes().iter().all(u8::is_ascii_digit);
    directory.file_name().is_some_and(is_number)
        && directory.parent().is_some_and(|job_dir| job_dir.join(OWN_DIRECTORY).is_dir())
}

/// Directories that hold much and no event files of a trainer.
fn is_passed_over(directory: &Path) -> bool {
    let name = directory.file_name().unwrap_or_default().to_string_lossy();
    name.starts_with('.') || ["node_modules", "site-packages", "__pycache__"].contains(&&*name)
}
