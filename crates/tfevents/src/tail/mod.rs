//! Which file to look at and which bytes to read next, and what they say.
//!
//! It decides and does no IO: its caller, such as [`crate::follow::Follower`], lists directories and reads bytes as
//! [`Tail::poll_action`] asks, and hands in the time.

mod file;
mod foreign;
mod hypertune;
mod ingest;
mod packed;
mod read;
mod segment;
#[cfg(test)]
mod tests;

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::fmt;
use std::time::Duration;

#[cfg(feature = "serde")]
use serde::{Deserialize, Serialize};

use crate::limits::{
    LIST_SHARE, MAX_FILES_FOLLOWED, MAX_HINTS, METRICS_INTERVAL, METRICS_INTERVAL_A_FILE, MIN_LIST_INTERVAL,
    POLL_INTERVAL, READ_CHUNK_BYTES,
};
use crate::scalar::Content;
use crate::series::{Point, WriterId};
use crate::units::{RunName, Time, WallTime};

use file::{File, FileProgress};
pub use foreign::{FOREIGN_HEAD_BYTES, Foreign, foreign};
#[cfg(feature = "hypertune")]
pub use hypertune::quote_bare_words;
pub use hypertune::{HypertuneEntry, HypertuneFile, HypertuneNews, Logged, MAY_LACK, ReportLog, Unreadable};
pub use ingest::{Ingest, Ingested, Take};
pub(crate) use packed::leave_out_twins;
pub use packed::{Compression, PackedIngest, Unpacker};
pub use read::{read, read_at, read_bytes};
pub use segment::{Rises, Scan, Segment};

/// What a file is read as.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum FileKind {
    /// An event file.
    Events,
    /// The metrics file of the cloudml-hypertune package: it holds the last hundred reports, and is written anew at each.
    /// It is read with the feature `hypertune` only.
    Metrics,
    /// A file to which all lines of such a file are appended. It is read with the feature `hypertune` only.
    Reports,
}

/// Which files below a root are read, and which run they belong to, by their paths there.
#[derive(Debug, Clone, Copy)]
pub struct Naming {
    /// What a file of this path is read as; `None`: it is left alone.
    pub kind_of: fn(&str) -> Option<FileKind>,
    /// The run of a file of this path.
    pub run_of: fn(&str) -> RunName,
}

impl Naming {
    /// What a file of this path is read as; `None`: it is left alone.
    #[must_use]
    pub fn kind_of(self, path: &str) -> Option<FileKind> {
        (self.kind_of)(path)
    }

    /// Whether a file of this path is read.
    #[must_use]
    pub fn is_followed(self, path: &str) -> bool {
        self.kind_of(path).is_some()
    }

    /// The run of a file of this path.
    #[must_use]
    pub fn run_of(self, path: &str) -> RunName {
        (self.run_of)(path)
    }
}

/// Event files, by their names; their directories are the runs.
impl Default for Naming {
    fn default() -> Self {
        Self { kind_of: |path| is_event_file(path).then_some(FileKind::Events), run_of }
    }
}

/// What [`Found::MissedReports`] is in words.
pub const MISSED_REPORTS: &str = "more than a hundred reports came between two looks, and the cloudml-hypertune \
    package keeps the last hundred: values may be missing";

/// What tells a file from another, whatever its name: device and inode.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[cfg_attr(feature = "serde", derive(Serialize, Deserialize))]
pub struct FileId {
    /// The device that holds it.
    pub device: u64,
    /// Its inode there, or its index on a Windows volume.
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

/// What the caller is to do next.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Action {
    /// List every file below the root that [`Naming::is_followed`] takes, and hand it to
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
    Wait(Time),
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
    /// Lines of the cloudml-hypertune package's files, or metrics in them, that cannot be read.
    UnreadableReports {
        /// The directory of the file.
        run: &'a RunName,
        /// Its path below the root.
        path: &'a str,
        /// How many, and one of them.
        unreadable: Unreadable,
    },
    /// A file has the name of an event file and is another kind of file: nothing is read of it.
    Foreign {
        /// Its path below the root.
        path: &'a str,
        /// What it is.
        what: Foreign,
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

impl Found<'_> {
    /// The number that was found, and its tag; `None` for all else.
    #[inline]
    #[must_use]
    pub fn scalar(&self) -> Option<(&str, Point)> {
        match self {
            Found::Event {
                ingested: Ingested::Value { step, wall_time, tag, content: Content::Scalar(value), .. },
                ..
            } => Some((tag, Point { step: *step, wall_time: *wall_time, value: *value })),
            Found::Hypertune { entry, .. } => {
                let point = Point { step: entry.step, wall_time: entry.wall_time, value: entry.value };
                Some((&entry.tag, point))
            }
            Found::Event { .. }
            | Found::File { .. }
            | Found::Unreadable { .. }
            | Found::Rewritten { .. }
            | Found::MissedReports { .. }
            | Found::UnreadableReports { .. }
            | Found::Foreign { .. }
            | Found::TooManyFiles { .. } => None,
        }
    }
}

/// How a root is followed.
#[derive(Debug, Clone, Copy)]
pub struct Config {
    /// Which files are read, and which run they belong to.
    pub naming: Naming,
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
            naming: Naming::default(),
            poll_interval: POLL_INTERVAL,
            list_share: LIST_SHARE,
            read_bytes: READ_CHUNK_BYTES,
            metrics_interval: METRICS_INTERVAL,
        }
    }
}

/// How far following has come, to go on from there in another process: all that was found before is left
/// out then, and nothing else.
#[derive(Debug, Clone, Default, PartialEq)]
#[cfg_attr(feature = "serde", derive(Serialize, Deserialize))]
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
    look_at: Time,
    list_at: Time,
    /// The soonest time for a listing that is asked for early.
    rest_until: Time,
    next_writer: u32,
    is_full: bool,
}

impl fmt::Debug for Tail {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Tail").field("n_files", &self.files.len()).field("list_at", &self.list_at).finish()
    }
}

/// Whether a file of this path is an event file by TensorFlow's naming: `tfevents` in its name.
///
/// A profiler's marker and SageMaker's upload marker have such names but are no event files. Hidden files are what
/// rsync and its like write before they rename them: the same records would come twice.
#[must_use]
pub fn is_event_file(path: &str) -> bool {
    let name = path.rsplit('/').next().unwrap_or(path);
    name.contains("tfevents")
        && !name.starts_with('.')
        && !name.ends_with(".profile-empty")
        && !name.ends_with(".sagemaker-uploaded")
}

impl Tail {
    /// Follows from `now` on; the first action is to list.
    #[must_use]
    pub fn new(now: Time) -> Self {
        Self::with(Config::default(), Progress::default(), now)
    }

    /// Follows from `now` on, from where another process had come.
    #[must_use]
    pub fn with(config: Config, progress: Progress, now: Time) -> Self {
        let files =
            progress.files.into_iter().map(|file| (file.id, File::resume(config.naming, file))).collect();
        Self {
            config,
            hints: BTreeSet::new(),
            files,
            to_read: VecDeque::new(),
            metrics_files: BTreeSet::new(),
            look_at: Time::MAX,
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

    /// Which files are read, and which run they belong to.
    #[must_use]
    pub fn naming(&self) -> Naming {
        self.config.naming
    }

    /// How many files are followed.
    #[must_use]
    pub fn n_files(&self) -> usize {
        self.files.len()
    }

    /// What to do at `now`.
    pub fn poll_action(&mut self, now: Time) -> Action {
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
    pub fn poll_metrics_action(&mut self, now: Time) -> Action {
        self.hint_metrics_files(now);
        if let Some(read) = self.poll_read(File::is_metrics_file) {
            return read;
        }
        let path = self
            .hints
            .iter()
            .find(|path| self.config.naming.kind_of(path) == Some(FileKind::Metrics))
            .cloned();
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
                let path = file.path.clone();
                return is_wanted(file).then_some(Action::Read {
                    id: *id,
                    path,
                    offset_bytes,
                    at_most_bytes,
                });
            }
            self.to_read.pop_front();
        }
        None
    }

    /// Takes it that the metrics files have changed, where it is time to look.
    fn hint_metrics_files(&mut self, now: Time) {
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

    fn next_look_at(&self, now: Time) -> Time {
        let n_files = u32::try_from(self.metrics_files.len()).unwrap_or(u32::MAX);
        let interval = METRICS_INTERVAL_A_FILE.saturating_mul(n_files).max(self.config.metrics_interval);
        if n_files > 0 { now.after(interval) } else { Time::MAX }
    }

    /// Whether what is followed may be gone before it is read.
    #[must_use]
    pub fn has_metrics_files(&self) -> bool {
        !self.metrics_files.is_empty()
    }

    /// Takes it that a path is said to have changed: it is looked at soon. Others need not be.
    pub fn hint(&mut self, path: &str) {
        if self.config.naming.is_followed(path) && self.hints.len() < MAX_HINTS {
            self.hints.insert(path.to_owned());
        }
    }

    /// Asks for a listing soon: something is said to have changed. A stream of changes does not make
    /// a stream of listings.
    pub fn wake(&mut self, now: Time) {
        self.list_at = self.list_at.min(self.rest_until.max(now));
    }

    /// Asks for a listing at once, whatever the last one was.
    pub fn list_now(&mut self, now: Time) {
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
        now: Time,
        took: Duration,
        mut listing: Vec<Listed>,
        found: &mut dyn FnMut(Found<'_>),
    ) {
        let rest = took.saturating_mul(self.config.list_share);
        let after = |wait: Duration| now.after(wait.max(rest));
        self.rest_until = after(MIN_LIST_INTERVAL);
        self.list_at = after(self.config.poll_interval);
        self.hints.clear();
        leave_out_twins(&mut listing);
        self.adopt(&listing);
        for listed in listing {
            self.take_listed(now, listed, found);
        }
    }

    /// Takes what is to be seen of one path. What is gone, or stands at the path of another or under a second one,
    /// is left to the next listing, which comes soon then.
    pub fn handle_look(&mut self, now: Time, listed: Option<Listed>, found: &mut dyn FnMut(Found<'_>)) {
        let is_clear = |listed: &Listed| match self.files.get(&listed.id) {
            Some(file) => file.path == listed.path,
            None => {
                let plain = listed.path.strip_suffix(packed::GZIP_ENDING);
                self.files.values().all(|file| file.path != listed.path && Some(&*file.path) != plain)
            }
        };
        match listed.filter(is_clear) {
            Some(listed) => self.take_listed(now, listed, found),
            None => self.wake(now),
        }
    }

    /// Where another file stands at the path of one that is gone, it takes its place: it may be the same,
    /// longer, and only what is new is read then. So does a compressed file that stands for one that is gone.
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
                continue;
            }
            let plain = listed.path.strip_suffix(packed::GZIP_ENDING).and_then(|plain| gone.get(plain));
            if let Some(file) = plain.and_then(|id| self.files.remove(id)) {
                self.files.insert(listed.id, file.compressed(self.config.naming, &listed.path));
            }
        }
    }

    fn take_listed(&mut self, now: Time, listed: Listed, found: &mut dyn FnMut(Found<'_>)) {
        if !self.files.contains_key(&listed.id) && self.files.len() >= MAX_FILES_FOLLOWED {
            if !std::mem::replace(&mut self.is_full, true) {
                found(Found::TooManyFiles { path: &listed.path });
            }
            return;
        }
        let next_writer = &mut self.next_writer;
        let file = self.files.entry(listed.id).or_insert_with(|| {
            let file = File::new(self.config.naming, &listed.path, next_writer);
            found(Found::File { run: &file.run, path: &file.path });
            file
        });
        let wants_read = file.wants_read(now, self.config.naming, &listed, next_writer, found);
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
                    file.start_over(self.config.naming, &mut self.next_writer, found);
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

/// The run that an event file belongs to: its directory below the root.
#[must_use]
pub fn run_of(path: &str) -> RunName {
    path.rsplit_once('/').map_or_else(RunName::root, |(directory, _)| RunName::from(directory))
}
