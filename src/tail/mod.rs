//! Which file to look at and which bytes to read next, and what they say.
//!
//! Layer 5: may import layers 0 to 4. It decides and does no IO: the edge lists directories and
//! reads bytes as [`Tail::poll_action`] asks, and hands in the time.

mod file;
mod gather;
mod hypertune;
mod ingest;
mod read;

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::fmt;
use std::time::Duration;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use crate::limits::{
    LIST_SHARE, MAX_FILES_FOLLOWED, MAX_HINTS, METRICS_INTERVAL, METRICS_INTERVAL_A_FILE, MIN_LIST_INTERVAL,
    POLL_INTERVAL, READ_CHUNK_BYTES,
};
use crate::scalar::OWN_DIRECTORY;
use crate::series::WriterId;
use crate::units::{RunName, WallTime};

use file::{File, FileProgress};
pub use gather::{Gather, Seen};
pub use hypertune::{HypertuneEntry, HypertuneFile, HypertuneNews, MAY_LACK, Report, ReportLog};
pub use ingest::{Ingest, Ingested};
pub use read::{read, read_at, read_bytes};

/// Where the cloudml-hypertune package is told to write where nobody keeps its lines, relative to a trial's directory.
pub const METRICS_PATH: &str = ".hptune/output.metrics";

/// The name of the file in which a trial's keeper puts all lines that came in such a file: in its own directory, or
/// in one below it.
pub const REPORTS_NAME: &str = "reports.jsonl";

/// What is followed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum FileKind {
    /// An event file.
    Events,
    /// The metrics file of the cloudml-hypertune package: it holds the last hundred reports.
    Metrics,
    /// All lines that came in such a file, which stands elsewhere then.
    Reports,
}

impl FileKind {
    /// By a path below a root: the directory of a trial, or one above.
    #[must_use]
    pub fn of(path: &str) -> Self {
        if path.strip_suffix(METRICS_PATH).is_some_and(|above| above.is_empty() || above.ends_with('/')) {
            return Self::Metrics;
        }
        let mut names = path.rsplit('/');
        let is_reports =
            names.next() == Some(REPORTS_NAME) && names.take(2).any(|name| name == OWN_DIRECTORY);
        if is_reports { Self::Reports } else { Self::Events }
    }
}

/// What [`Found::MissedReports`] is in words.
pub const MISSED_REPORTS: &str = "more than a hundred reports came between two looks, and the cloudml-hypertune \
    package keeps the last hundred: values may be missing";

/// What tells a file from another, whatever its name: device and inode.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct FileId {
    /// The device that holds it.
    pub device: u64,
    /// Its inode there.
    pub inode: u64,
}

/// A file as a listing shows it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Listed {
    /// Its path below the root, `/` between the parts.
    pub path: String,
    /// Its identity.
    pub id: FileId,
    /// Its size in bytes.
    pub bytes: u64,
    /// When it was last written, in nanoseconds since the Unix epoch; only compared for change.
    pub modified_ns: i128,
}

/// What the edge shall do next.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Action {
    /// List every file below the root whose name [`is_followed`] takes, and hand it to
    /// [`Tail::handle_listing`].
    List,
    /// Look at one path, and hand what a listing would show of it to [`Tail::handle_look`].
    Look {
        /// The path, below the root.
        path: String,
    },
    /// Read a piece of a file from an offset, of no more than some bytes, and hand it to
    /// [`Tail::handle_read`].
    Read {
        /// Which file.
        id: FileId,
        /// Where it is, below the root.
        path: String,
        /// From which byte on.
        offset_bytes: u64,
        /// How much at most.
        at_most_bytes: usize,
    },
    /// Nothing to do until then, unless a change is noticed earlier ([`Tail::wake`]).
    Wait(Timestamp),
}

/// Whether a read reached the end of its file, as it was then.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum AtEnd {
    /// It did.
    Yes,
    /// There may be more.
    No,
}

/// What following a directory brings to light, in the order of each file.
#[derive(Debug)]
pub enum Found<'a> {
    /// A file that was not there before.
    File {
        /// The directory of the file.
        run: &'a RunName,
        /// Its path below the root.
        path: &'a str,
    },
    /// Something that an event file says.
    Event {
        /// The directory of the file.
        run: &'a RunName,
        /// Its path below the root.
        path: &'a str,
        /// The file.
        writer: WriterId,
        /// The clock at the file's first event.
        started: WallTime,
        /// What it says.
        ingested: Ingested<'a>,
    },
    /// A report of the cloudml-hypertune package.
    Hypertune {
        /// The directory of the file.
        run: &'a RunName,
        /// Its path below the root.
        path: &'a str,
        /// The file.
        writer: WriterId,
        /// The entry.
        entry: HypertuneEntry,
    },
    /// Of a metrics file, which holds the last hundred reports, entries may have come and gone between two looks.
    MissedReports {
        /// Its path below the root.
        path: &'a str,
    },
    /// A file could not be read; told once until it can be read again.
    Unreadable {
        /// Its path below the root.
        path: &'a str,
        /// What the system said.
        error: String,
    },
    /// A file became shorter than what was read of it, or begins with other bytes: it is read anew
    /// from its start.
    Rewritten {
        /// Its path below the root.
        path: &'a str,
    },
    /// More files than [`MAX_FILES_FOLLOWED`]: this one and later ones are not followed.
    TooManyFiles {
        /// The first path that is left out.
        path: &'a str,
    },
}

/// How a root is followed.
#[derive(Debug, Clone, Copy)]
pub struct Config {
    /// The time between two listings, at least.
    pub poll_interval: Duration,
    /// No more than one listing in so many times the time that one takes.
    pub list_share: u32,
    /// How much is read at once, in bytes.
    pub read_bytes: usize,
    /// How often metrics files are looked at, whatever listings take: what they held is gone soon. It is longer
    /// where there are many.
    pub metrics_interval: Duration,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            poll_interval: POLL_INTERVAL,
            list_share: LIST_SHARE,
            read_bytes: READ_CHUNK_BYTES,
            metrics_interval: METRICS_INTERVAL,
        }
    }
}

/// How far following has come, to go on from there in another process: all that was found before is left
/// out then, and nothing else.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct Progress {
    next_writer: u32,
    files: Vec<FileProgress>,
}

/// Follows all event files below one root, and the cloudml-hypertune file, for as long as asked.
pub struct Tail {
    config: Config,
    /// Paths that are said to have changed.
    hints: BTreeSet<String>,
    files: BTreeMap<FileId, File>,
    /// Metrics files first.
    to_read: VecDeque<FileId>,
    metrics_files: BTreeSet<FileId>,
    /// When to look at all of those.
    look_at: Timestamp,
    list_at: Timestamp,
    /// The soonest time for a listing that is asked for early.
    rest_until: Timestamp,
    next_writer: u32,
    is_full: bool,
}

impl fmt::Debug for Tail {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Tail").field("n_files", &self.files.len()).field("list_at", &self.list_at).finish()
    }
}

/// Whether a file of this path below the root is followed: an event file by TensorFlow's naming
/// (`tfevents` in its name), or what the cloudml-hypertune package reported.
///
/// A profiler's marker and SageMaker's upload marker have such names but are no event files. Hidden files are what
/// rsync and its like write before they rename them: the same records would come twice.
#[must_use]
pub fn is_followed(path: &str) -> bool {
    let name = path.rsplit('/').next().unwrap_or(path);
    FileKind::of(path) != FileKind::Events
        || (name.contains("tfevents")
            && !name.starts_with('.')
            && !name.ends_with(".profile-empty")
            && !name.ends_with(".sagemaker-uploaded"))
}

impl Tail {
    /// Follows from `now` on; the first action is to list.
    #[must_use]
    pub fn new(now: Timestamp) -> Self {
        Self::with(Config::default(), Progress::default(), now)
    }

    /// Follows from `now` on, from where another process had come.
    #[must_use]
    pub fn with(config: Config, progress: Progress, now: Timestamp) -> Self {
        let files = progress.files.into_iter().map(|file| (file.id, File::resume(file))).collect();
        Self {
            config,
            hints: BTreeSet::new(),
            files,
            to_read: VecDeque::new(),
            metrics_files: BTreeSet::new(),
            look_at: Timestamp::MAX,
            list_at: now,
            rest_until: now,
            next_writer: progress.next_writer,
            is_full: false,
        }
    }

    /// How far it has come: everything that was found so far, and no more.
    #[must_use]
    pub fn progress(&self) -> Progress {
        let files = self.files.iter().map(|(id, file)| file.progress(*id)).collect();
        Progress { next_writer: self.next_writer, files }
    }

    /// The file of a writer: its path and its identity.
    #[must_use]
    pub fn file_of(&self, writer: WriterId) -> Option<(&str, FileId)> {
        self.files.iter().find(|(_, file)| file.writer == writer).map(|(id, file)| (&*file.path, *id))
    }

    /// How many files are followed.
    #[must_use]
    pub fn n_files(&self) -> usize {
        self.files.len()
    }

    /// What to do at `now`.
    pub fn poll_action(&mut self, now: Timestamp) -> Action {
        self.hint_metrics_files(now);
        if let Some(read) = self.poll_read(|_| true) {
            return read;
        }
        if now >= self.list_at {
            return Action::List;
        }
        match self.hints.pop_first() {
            Some(path) => Action::Look { path },
            None => Action::Wait(self.list_at.min(self.look_at)),
        }
    }

    /// As [`Self::poll_action`], of the metrics files alone, which do not wait for whoever is slow to take what was
    /// found: the entries of event files stay where they are, those of metrics files are gone soon.
    pub fn poll_metrics_action(&mut self, now: Timestamp) -> Action {
        self.hint_metrics_files(now);
        if let Some(read) = self.poll_read(File::is_metrics_file) {
            return read;
        }
        let path = self.hints.iter().find(|path| FileKind::of(path) == FileKind::Metrics).cloned();
        match path.and_then(|path| self.hints.take(&path)) {
            Some(path) => Action::Look { path },
            None => Action::Wait(self.look_at),
        }
    }

    /// The next read, where it is of a file like this.
    fn poll_read(&mut self, is_wanted: impl Fn(&File) -> bool) -> Option<Action> {
        while let Some(id) = self.to_read.front() {
            if let Some(file) = self.files.get(id) {
                let (offset_bytes, at_most_bytes) = if file.is_checking {
                    (0, file.told_head().len())
                } else {
                    (file.next_offset(), self.config.read_bytes)
                };
                let path = || file.path.clone();
                return is_wanted(file).then(|| Action::Read {
                    id: *id,
                    path: path(),
                    offset_bytes,
                    at_most_bytes,
                });
            }
            self.to_read.pop_front();
        }
        None
    }

    /// Takes it that the metrics files have changed, where it is time to look.
    fn hint_metrics_files(&mut self, now: Timestamp) {
        if now < self.look_at {
            return;
        }
        let (files, hints) = (&self.files, &mut self.hints);
        self.metrics_files.retain(|id| {
            let file = files.get(id).filter(|file| file.is_metrics_file());
            hints.extend(file.map(|file| file.path.clone()));
            file.is_some()
        });
        self.look_at = self.next_look_at(now);
    }

    fn next_look_at(&self, now: Timestamp) -> Timestamp {
        let n_files = u32::try_from(self.metrics_files.len()).unwrap_or(u32::MAX);
        let interval = METRICS_INTERVAL_A_FILE.saturating_mul(n_files).max(self.config.metrics_interval);
        now.checked_add(interval).ok().filter(|_| n_files > 0).unwrap_or(Timestamp::MAX)
    }

    /// Whether what is followed may be gone before it is read.
    #[must_use]
    pub fn has_metrics_files(&self) -> bool {
        !self.metrics_files.is_empty()
    }

    /// Takes it that a path is said to have changed: it is looked at soon. Others need not be.
    pub fn hint(&mut self, path: &str) {
        if is_followed(path) && self.hints.len() < MAX_HINTS {
            self.hints.insert(path.to_owned());
        }
    }

    /// Asks for a listing soon: something is said to have changed. A stream of changes does not make
    /// a stream of listings.
    pub fn wake(&mut self, now: Timestamp) {
        self.list_at = self.list_at.min(self.rest_until.max(now));
    }

    /// Asks for a listing at once, whatever the last one was.
    pub fn list_now(&mut self, now: Timestamp) {
        self.list_at = now;
    }

    /// Takes it that any file may have changed, whatever its size and time say.
    pub fn distrust(&mut self) {
        for file in self.files.values_mut() {
            file.seen = None;
        }
    }

    /// Takes a listing of everything below the root, and how long it took. A file that is gone keeps
    /// its points.
    pub fn handle_listing(
        &mut self,
        now: Timestamp,
        took: Duration,
        listing: Vec<Listed>,
        found: &mut dyn FnMut(Found<'_>),
    ) {
        let rest = took.saturating_mul(self.config.list_share);
        let after = |wait: Duration| now.checked_add(wait.max(rest)).unwrap_or(Timestamp::MAX);
        self.rest_until = after(MIN_LIST_INTERVAL);
        self.list_at = after(self.config.poll_interval);
        self.hints.clear();
        self.adopt(&listing);
        for listed in listing {
            self.take_listed(now, listed, found);
        }
    }

    /// Takes what is to be seen of one path. What is gone, or stands at the path of another or under a second one,
    /// is left to the next listing, which comes soon then.
    pub fn handle_look(&mut self, now: Timestamp, listed: Option<Listed>, found: &mut dyn FnMut(Found<'_>)) {
        let is_clear = |listed: &Listed| match self.files.get(&listed.id) {
            Some(file) => file.path == listed.path,
            None => self.files.values().all(|file| file.path != listed.path),
        };
        match listed.filter(is_clear) {
            Some(listed) => self.take_listed(now, listed, found),
            None => self.wake(now),
        }
    }

    /// Where another file stands at the path of one that is gone, it takes its place: it may be the same,
    /// longer, and only what is new is read then.
    fn adopt(&mut self, listing: &[Listed]) {
        let is_new = |listed: &&Listed| !self.files.contains_key(&listed.id);
        let new: Vec<&Listed> = listing.iter().filter(is_new).collect();
        if new.is_empty() {
            return;
        }
        let there: BTreeSet<FileId> = listing.iter().map(|listed| listed.id).collect();
        let gone = self.files.iter().filter(|(id, _)| !there.contains(id));
        let gone: BTreeMap<String, FileId> = gone.map(|(id, file)| (file.path.clone(), *id)).collect();
        for listed in new {
            if let Some(mut file) = gone.get(&listed.path).and_then(|id| self.files.remove(id)) {
                file.seen = None;
                file.is_queued = false;
                self.files.insert(listed.id, file);
            }
        }
    }

    fn take_listed(&mut self, now: Timestamp, listed: Listed, found: &mut dyn FnMut(Found<'_>)) {
        if !self.files.contains_key(&listed.id) && self.files.len() >= MAX_FILES_FOLLOWED {
            if !std::mem::replace(&mut self.is_full, true) {
                found(Found::TooManyFiles { path: &listed.path });
            }
            return;
        }
        let next_writer = &mut self.next_writer;
        let file = self.files.entry(listed.id).or_insert_with(|| {
            let file = File::new(&listed.path, next_writer);
            found(Found::File { run: &file.run, path: &file.path });
            file
        });
        let wants_read = file.wants_read(now, &listed, next_writer, found);
        let is_queued = wants_read && !std::mem::replace(&mut file.is_queued, true);
        if !file.is_metrics_file() {
            self.to_read.extend(is_queued.then_some(listed.id));
            return;
        }
        if is_queued {
            self.to_read.push_front(listed.id);
        }
        if self.metrics_files.insert(listed.id) {
            self.look_at = self.look_at.min(self.next_look_at(now));
        }
    }

    /// Takes what a read gave: `bytes` of the file from the offset that was asked for, and whether
    /// they are fewer than was asked for, the file ending there for now; or the system's words for why it could not be read, upon which
    /// it is tried again at the next listing.
    pub fn handle_read(
        &mut self,
        id: FileId,
        read: Result<(&[u8], AtEnd), String>,
        found: &mut dyn FnMut(Found<'_>),
    ) {
        let Some(file) = self.files.get_mut(&id) else { return };
        let is_done = match read {
            Ok((bytes, _)) if file.is_checking => {
                file.is_failing = false;
                file.is_checking = false;
                if bytes != file.told_head() {
                    file.start_over(&mut self.next_writer, found);
                }
                false
            }
            Ok((bytes, at_end)) => {
                file.is_failing = false;
                let is_read_again = file.take_bytes(bytes, at_end, found);
                file.is_held || (at_end == AtEnd::Yes && !is_read_again)
            }
            Err(error) => {
                file.seen = None;
                if !std::mem::replace(&mut file.is_failing, true) {
                    found(Found::Unreadable { path: &file.path, error });
                }
                true
            }
        };
        if is_done {
            file.is_queued = false;
            if self.to_read.front() == Some(&id) {
                self.to_read.pop_front();
            }
        }
    }

    /// Takes it that nothing more will be written: what never became a record is told as damage. The
    /// answer is whether something is to be read once more, behind a false length: then carry out the
    /// reads that [`Self::poll_action`] asks for, and call this again.
    pub fn finish(&mut self, found: &mut dyn FnMut(Found<'_>)) -> bool {
        for (id, file) in &mut self.files {
            if file.finish(found) && !file.is_queued {
                file.is_queued = true;
                self.to_read.push_back(*id);
            }
        }
        !self.to_read.is_empty()
    }
}

/// The run that a file belongs to: its directory below the root.
#[must_use]
pub fn run_of(path: &str) -> RunName {
    path.rsplit_once('/').map_or_else(RunName::root, |(directory, _)| RunName::from(directory))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::event;
    use crate::limits::{HOLE_PATIENCE, OLD_FILE};
    use crate::scalar::Content;
    use crate::tfrecord;
    use crate::units::{Step, WallTime};

    const NOW: Timestamp = Timestamp::UNIX_EPOCH;

    /// A directory in memory, and what following it gave.
    struct World {
        files: Vec<(String, u64, Vec<u8>, i128)>,
        tail: Tail,
        steps: Vec<(String, i64)>,
        other: Vec<String>,
        now: Timestamp,
    }

    impl World {
        fn new() -> Self {
            Self { files: Vec::new(), tail: Tail::new(NOW), steps: Vec::new(), other: Vec::new(), now: NOW }
        }

        /// A world in which a file with inode 1 and steps 0 to 2 has been followed.
        fn with_followed_file() -> Self {
            let mut world = Self::new();
            world.write("x.tfevents.1", 1, &records(0..3));
            world.expect(&[(".", 0), (".", 1), (".", 2)]);
            world
        }

        /// A world in which a file has been followed that is zeros behind its steps 0 and 1.
        fn with_hole(whole: &[u8]) -> Self {
            let mut holed = whole.to_vec();
            holed[records(0..2).len()..].fill(0);
            let mut world = Self::new();
            world.write("x.tfevents.1", 1, &holed);
            world.expect(&[(".", 0), (".", 1)]);
            world
        }

        /// Puts `bytes` at `path`, as the file with this inode.
        fn write(&mut self, path: &str, inode: u64, bytes: &[u8]) {
            let modified = self.files.iter().map(|f| f.3).max().unwrap_or(0) + 1;
            self.files.retain(|f| f.0 != path);
            self.files.push((path.to_owned(), inode, bytes.to_vec(), modified));
        }

        /// Lists and reads until nothing is left to do.
        fn follow(&mut self) {
            let Self { files, tail, steps, other, now } = self;
            let now = *now;
            let mut found = |found: Found<'_>| match found {
                Found::Event {
                    run,
                    ingested: Ingested::Value { step, content: Content::Scalar(_), .. },
                    ..
                } => {
                    steps.push((run.to_string(), step.0));
                }
                Found::Event { ingested: Ingested::Opened { .. }, .. } | Found::File { .. } => {}
                found => other.push(format!("{found:?}")),
            };
            tail.list_now(now);
            loop {
                match tail.poll_action(now) {
                    Action::List => {
                        let listing = files
                            .iter()
                            .map(|(path, inode, bytes, modified)| Listed {
                                path: path.clone(),
                                id: FileId { device: 0, inode: *inode },
                                bytes: bytes.len() as u64,
                                modified_ns: *modified,
                            })
                            .collect();
                        tail.handle_listing(now, Duration::ZERO, listing, &mut found);
                    }
                    Action::Look { path } => panic!("nobody hinted at {path}"),
                    Action::Read { id, offset_bytes, at_most_bytes, .. } => {
                        let bytes = &files.iter().find(|f| f.1 == id.inode).expect("it was listed").2;
                        let offset = usize::try_from(offset_bytes).expect("it is small");
                        // Pieces of 70 bytes: more than the head, less than two records.
                        let piece = &bytes[offset..bytes.len().min(offset + at_most_bytes.min(70))];
                        let at_end = if offset + piece.len() == bytes.len() { AtEnd::Yes } else { AtEnd::No };
                        tail.handle_read(id, Ok((piece, at_end)), &mut found);
                    }
                    Action::Wait(_) => break,
                }
            }
        }

        /// Nothing more is written.
        fn finish(&mut self) {
            self.tail.finish(&mut |_| {});
        }

        #[track_caller]
        fn expect(&mut self, steps: &[(&str, i64)]) {
            self.follow();
            let got: Vec<(String, i64)> = std::mem::take(&mut self.steps);
            let want: Vec<(String, i64)> =
                steps.iter().map(|(run, step)| ((*run).to_owned(), *step)).collect();
            assert_eq!(got, want);
        }
    }

    fn records(steps: impl IntoIterator<Item = i64>) -> Vec<u8> {
        records_made_at(1.0, steps)
    }

    fn records_made_at(made_at: f64, steps: impl IntoIterator<Item = i64>) -> Vec<u8> {
        let mut bytes = Vec::new();
        tfrecord::encode(&event::encode_file_version(WallTime(made_at), "test"), &mut bytes);
        for step in steps {
            let event = event::encode_scalars(WallTime(step as f64), Step(step), &[("m", 0.5)]);
            tfrecord::encode(&event, &mut bytes);
        }
        bytes
    }

    #[test]
    fn a_growing_file_gives_each_value_once() {
        let bytes = records(0..3);
        let mut world = World::new();
        world.expect(&[]);
        for cut in 0..bytes.len() {
            world.write("a/events.tfevents.1", 1, &bytes[..cut]);
            world.follow();
        }
        world.write("a/events.tfevents.1", 1, &bytes);
        world.expect(&[("a", 0), ("a", 1), ("a", 2)]);
        world.expect(&[]);
    }

    #[test]
    fn a_metrics_file_waits_for_no_listing() {
        let at = |ms| Timestamp::from_millisecond(ms).expect("a time");
        let mut tail = Tail::new(at(0));
        let (path, id) = (METRICS_PATH.to_owned(), FileId { device: 0, inode: 1 });
        let listed = |bytes| Listed { path: path.clone(), id, bytes, modified_ns: 0 };
        let ignore: &mut dyn FnMut(Found<'_>) = &mut |_| {};
        let took = Duration::from_secs(10);
        tail.handle_listing(at(0), took, vec![listed(0)], ignore);
        let is_read = |action| matches!(action, Action::Read { offset_bytes: 0, .. });
        assert!(is_read(tail.poll_action(at(0))));
        tail.handle_read(id, Ok((b"", AtEnd::Yes)), ignore);
        let interval = i64::try_from(METRICS_INTERVAL.as_millis()).expect("it is short");
        for round in 1..4 {
            assert_eq!(tail.poll_action(at(round * interval - 1)), Action::Wait(at(round * interval)));
            assert_eq!(tail.poll_metrics_action(at(round * interval)), Action::Look { path: path.clone() });
            tail.handle_look(at(round * interval), Some(listed(round.unsigned_abs())), ignore);
            assert!(is_read(tail.poll_metrics_action(at(round * interval))));
            tail.handle_read(id, Ok((b"{}\n", AtEnd::Yes)), ignore);
        }
    }

    #[test]
    fn files_are_followed_each_on_its_own_and_deep_down() {
        let mut world = World::new();
        world.write("x.tfevents.1", 1, &records(0..1));
        world.write("a/b/c/x.tfevents.1", 2, &records(5..6));
        world.expect(&[(".", 0), ("a/b/c", 5)]);
        world.write("x.tfevents.1", 1, &records(0..2));
        world.expect(&[(".", 1)]);
    }

    #[test]
    fn a_hole_of_zeros_that_is_filled_in_later_loses_and_doubles_nothing() {
        let whole = records(0..4);
        let mut world = World::with_hole(&whole);
        world.write("x.tfevents.1", 1, &whole);
        world.expect(&[(".", 2), (".", 3)]);
        assert_eq!(world.other, Vec::<String>::new(), "no damage is told");
    }

    #[test]
    fn a_hole_inside_a_record_is_filled_in_too() {
        let whole = records(0..4);
        for hole in records(0..2).len()..records(0..3).len() {
            let mut holed = whole[..records(0..3).len() - 1].to_vec();
            holed[hole..].fill(0);
            let mut world = World::new();
            world.write("x.tfevents.1", 1, &holed);
            world.expect(&[(".", 0), (".", 1)]);
            world.write("x.tfevents.1", 1, &whole);
            world.expect(&[(".", 2), (".", 3)]);
            assert_eq!(world.other, Vec::<String>::new(), "no damage is told");
        }
    }

    #[test]
    fn a_hole_before_whole_records_waits_to_be_filled_in_and_not_for_ever() {
        let whole = records(0..6);
        let mut holed = whole.clone();
        holed[records(0..2).len()..records(0..4).len()].fill(0);
        let mut world = World::new();
        world.write("x.tfevents.1", 1, &holed);
        world.expect(&[(".", 0), (".", 1)]);
        // Filled in: all of it, in order.
        world.write("x.tfevents.1", 1, &whole);
        world.expect(&[(".", 2), (".", 3), (".", 4), (".", 5)]);
        assert_eq!(world.other, [] as [&str; 0]);
        // Not filled in: what stands behind it comes after a while, and the damage is told.
        let mut world = World::new();
        world.write("x.tfevents.1", 1, &holed);
        world.expect(&[(".", 0), (".", 1)]);
        world.now = NOW + HOLE_PATIENCE;
        world.expect(&[(".", 4), (".", 5)]);
        assert_eq!(world.other.len(), 1);
        assert!(world.other[0].contains("Damage"), "{:?}", world.other);
        // Damage in what has been there for long does not hold up what comes.
        world.now += HOLE_PATIENCE;
        world.expect(&[]);
        let mut longer = holed.clone();
        longer.extend_from_slice(&records(6..7)[records(0..0).len()..]);
        world.write("x.tfevents.1", 1, &longer);
        world.expect(&[(".", 6)]);
        // An old file has no holes that are still filled in.
        let mut world = World::new();
        world.now = NOW + OLD_FILE + HOLE_PATIENCE;
        world.write("x.tfevents.1", 1, &holed);
        world.expect(&[(".", 0), (".", 1), (".", 4), (".", 5)]);
        // At the end nothing waits.
        let mut world = World::new();
        world.write("x.tfevents.1", 1, &holed);
        world.expect(&[(".", 0), (".", 1)]);
        world.finish();
        world.expect(&[(".", 4), (".", 5)]);
    }

    #[test]
    fn the_inode_of_an_event_file_may_go_to_a_metrics_file() {
        let mut world = World::with_followed_file();
        world.files.clear();
        let entry = b"{\"timestamp\": 1, \"trial\": \"0\", \"m\": \"0.5\", \"global_step\": \"7\"}\n";
        world.write(METRICS_PATH, 1, entry);
        world.expect(&[]);
        assert!(world.other.iter().any(|found| found.contains("Hypertune")), "{:?}", world.other);
    }

    #[test]
    fn a_file_whose_first_bytes_came_one_by_one_is_known_again() {
        let bytes = records(0..3);
        let mut world = World::new();
        for n in [1, 5, 11, 30, bytes.len()] {
            world.write("x.tfevents.1", 1, &bytes[..n]);
            world.follow();
        }
        world.steps.clear();
        let mut other = records_made_at(2.0, 5..9);
        other.extend(records(0..9));
        world.write("x.tfevents.1", 1, &other);
        world.follow();
        assert_eq!(world.steps.first(), Some(&(".".to_owned(), 5)), "it is read from its start");
    }

    #[test]
    fn a_long_hole_is_filled_in_at_the_end_at_the_latest() {
        let whole = records(0..100_000);
        let mut world = World::with_hole(&whole);
        world.write("x.tfevents.1", 1, &whole);
        world.expect(&[]);
        world.tail.distrust();
        world.follow();
        assert_eq!(world.steps.len(), 100_000 - 2);
        assert_eq!(world.other, Vec::<String>::new(), "no damage is told");
    }

    #[test]
    fn a_torn_end_or_a_hole_that_stays_hides_no_newer_file_and_is_told_once() {
        let torn = &records(0..2)[..records(0..2).len() - 3];
        let hole = [records(5..6), vec![0; 4096]].concat();
        let mut world = World::new();
        world.write("a.tfevents.1", 1, torn);
        world.write("b.tfevents.1", 2, &hole);
        world.expect(&[(".", 0), (".", 5)]);
        world.write("c.tfevents.2", 3, &records(9..10));
        world.expect(&[(".", 9)]);
        let mut told = Vec::new();
        for _ in 0..2 {
            assert!(!world.tail.finish(&mut |found| told.push(format!("{found:?}"))));
        }
        assert_eq!(told.len(), 2, "{told:?}");
        assert!(told[0].contains("a.tfevents.1") && told[1].contains("b.tfevents.1"), "{told:?}");
    }

    #[test]
    fn a_file_rewritten_in_place_is_read_anew() {
        let mut world = World::with_followed_file();
        world.write("x.tfevents.1", 1, &records(7..8));
        world.expect(&[(".", 7)]);
        assert_eq!(world.other.len(), 1);
    }

    #[test]
    fn a_file_rewritten_in_place_to_a_greater_length_is_read_anew() {
        let mut world = World::with_followed_file();
        world.write("x.tfevents.1", 1, &records_made_at(2.0, 5..9));
        world.expect(&[(".", 5), (".", 6), (".", 7), (".", 8)]);
        assert_eq!(world.other.len(), 1);
    }

    #[test]
    fn a_file_that_took_the_inode_of_another_is_read_from_its_start() {
        let mut world = World::with_followed_file();
        world.files.clear();
        world.write("a/y.tfevents.2", 1, &records_made_at(2.0, 5..9));
        world.expect(&[("a", 5), ("a", 6), ("a", 7), ("a", 8)]);
    }

    #[test]
    fn a_file_that_is_renamed_goes_on() {
        let mut world = World::with_followed_file();
        world.files.clear();
        world.write("a/y.tfevents.2", 1, &records(0..4));
        world.expect(&[("a", 3)]);
    }

    #[test]
    fn a_file_replaced_by_rename_goes_on_where_it_begins_the_same() {
        let mut world = World::with_followed_file();
        world.write("x.tfevents.1", 2, &records(0..5));
        world.expect(&[(".", 3), (".", 4)]);
        assert_eq!(world.other.len(), 0);
        world.write("x.tfevents.1", 3, &records_made_at(2.0, 5..9));
        world.expect(&[(".", 5), (".", 6), (".", 7), (".", 8)]);
        assert_eq!(world.other.len(), 1, "it is told that another file stands there");
    }

    #[test]
    fn another_process_goes_on_where_one_stopped() {
        let bytes = records(0..9);
        for cut in 0..=bytes.len() {
            let mut world = World::new();
            world.write("x.tfevents.1", 1, &bytes[..cut]);
            world.follow();
            let stored = serde_json::to_string(&world.tail.progress()).expect("it is stored");
            let progress = serde_json::from_str(&stored).expect("it is read");
            world.tail = Tail::with(Config::default(), progress, NOW);
            // Another device number, as after a restart of the machine, and a longer file.
            world.write("x.tfevents.1", 7, &bytes);
            world.follow();
            let steps: Vec<i64> = world.steps.iter().map(|(_, step)| *step).collect();
            assert_eq!(steps, (0..9).collect::<Vec<_>>(), "stopped at byte {cut}");
            assert_eq!(world.other, Vec::<String>::new());
        }
    }

    #[test]
    fn a_path_that_is_hinted_at_is_looked_at_before_the_next_listing() {
        let mut world = World::with_followed_file();
        world.tail.hint("checkpoint");
        assert!(matches!(world.tail.poll_action(NOW), Action::Wait(_)));
        world.tail.hint("x.tfevents.1");
        assert_eq!(world.tail.poll_action(NOW), Action::Look { path: "x.tfevents.1".into() });
        let bytes = records(0..4);
        let id = FileId { device: 0, inode: 1 };
        let listed = |inode| Listed {
            path: "x.tfevents.1".into(),
            id: FileId { device: 0, inode },
            bytes: bytes.len() as u64,
            modified_ns: 99,
        };
        world.tail.handle_look(NOW, Some(listed(1)), &mut |_| {});
        assert!(matches!(world.tail.poll_action(NOW), Action::Read { id: read, .. } if read == id));
        world.write("x.tfevents.1", 1, &bytes);
        world.expect(&[(".", 3)]);
        // A file that is new is taken at once, another one at a known path is left to a listing.
        let new = Listed { path: "y.tfevents.1".into(), ..listed(2) };
        world.tail.handle_look(NOW, Some(new), &mut |_| {});
        let asked = world.tail.poll_action(NOW);
        assert!(matches!(asked, Action::Read { id: FileId { inode: 2, .. }, .. }), "{asked:?}");
        let mut world = World::with_followed_file();
        world.tail.handle_look(NOW, Some(listed(3)), &mut |_| {});
        assert!(!matches!(world.tail.poll_action(NOW), Action::Read { .. }));
    }

    #[test]
    fn an_error_is_told_once_and_the_file_tried_again() {
        let mut world = World::new();
        world.write("x.tfevents.1", 1, &records(0..1));
        let id = FileId { device: 0, inode: 1 };
        let listed = Listed { path: "x.tfevents.1".into(), id, bytes: 9, modified_ns: 0 };
        let mut told = 0;
        for _ in 0..2 {
            world.tail.handle_listing(NOW, Duration::ZERO, vec![listed.clone()], &mut |_| {});
            assert!(matches!(world.tail.poll_action(NOW), Action::Read { .. }));
            world.tail.handle_read(id, Err("stale file handle".into()), &mut |_| told += 1);
        }
        assert_eq!(told, 1);
        world.expect(&[(".", 0)]);
    }

    #[test]
    fn only_event_files_are_followed() {
        #[track_caller]
        fn check(path: &str, expected: bool) {
            assert_eq!(is_followed(path), expected, "{path}");
        }
        check("events.out.tfevents.1.host", true);
        check("a/b/events.out.tfevents.1.host.2.0.v2", true);
        check(METRICS_PATH, true);
        check(".hptune/reports.jsonl", true);
        check("7/.hptune/worker-0/reports.jsonl", true);
        check("7/worker-0/reports.jsonl", false);
        check(".hptune/attempt-1.jsonl", false);
        check("7/.hptune/output.metrics", true);
        check("7.hptune/output.metrics", false);
        assert_eq!(run_of(METRICS_PATH).as_str(), crate::scalar::OWN_DIRECTORY);
        check("output.metrics", false);
        check("checkpoint", false);
        check("tfevents/model.ckpt", false);
        check("events.out.tfevents.1.host.profile-empty", false);
        check("a/.events.out.tfevents.1.host.Xy12Z4", false);
        check("events.out.tfevents.1.host.sagemaker-uploaded", false);
    }
}
