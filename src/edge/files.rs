//! Listing and reading event files.

use std::collections::BTreeSet;
use std::fs::{DirEntry, File, Metadata};
use std::io;
use std::os::unix::fs::{FileExt, MetadataExt};
use std::path::{Path, PathBuf};
use std::time::Duration;

use crate::limits::{
    DRAIN_RETRY, DRAIN_TIMEOUT, MAX_NEAR_ENTRIES, MAX_NEAR_LISTED, NEAR_DEPTH, READ_CHUNK_BYTES,
};
use crate::tail::{Action, AtEnd, FileId, Found, Listed, Tail, is_followed};

use super::clock::Clock;
use super::walk;

/// A place that holds event files: a directory, or one file alone.
#[derive(Debug, Clone)]
pub struct Root {
    directory: PathBuf,
    only: Option<String>,
}

/// What a listing could not look at.
#[derive(Debug)]
pub struct ListError {
    /// The path, below the root where it is.
    pub path: String,
    /// What the system said.
    pub error: io::Error,
}

impl Root {
    /// A directory; it may come later.
    #[must_use]
    pub fn directory(path: &Path) -> Self {
        Self { directory: path.to_owned(), only: None }
    }

    /// What `path` is now: one file, or a directory.
    ///
    /// # Errors
    /// Those of looking at it: it is missing, or may not be seen.
    pub fn open(path: &Path) -> io::Result<Self> {
        let metadata = path.metadata()?;
        match (path.file_name(), path.parent()) {
            (Some(name), Some(parent)) if !metadata.is_dir() => {
                let only = Some(name.to_string_lossy().into_owned());
                Ok(Self { directory: parent.to_owned(), only })
            }
            _ => Ok(Self::directory(path)),
        }
    }

    /// The one file that is meant, where it is not a directory.
    pub(super) fn list_only(&self) -> (Vec<Listed>, Vec<ListError>) {
        let (mut listed, mut errors) = (Vec::new(), Vec::new());
        if let Some(name) = &self.only {
            match self.real_path(name).metadata() {
                Ok(metadata) => listed.push(describe(name.clone(), &metadata)),
                Err(error) => errors.push(ListError { path: name.clone(), error }),
            }
        }
        (listed, errors)
    }

    /// The directory, where all of it is meant.
    pub(super) fn whole_directory(&self) -> Option<&Path> {
        self.only.is_none().then_some(&*self.directory)
    }

    /// Where a path below the root is. Names need not be text: where one shows a replacement character
    /// it is looked for among those that are there.
    fn real_path(&self, path: &str) -> PathBuf {
        let mut real = self.directory.clone();
        for name in path.split('/') {
            let entries = name.contains(char::REPLACEMENT_CHARACTER).then(|| real.read_dir().ok()).flatten();
            let is_shown = |entry: &DirEntry| entry.file_name().to_string_lossy() == name;
            match entries.and_then(|mut entries| entries.find_map(|e| e.ok().filter(is_shown))) {
                Some(entry) => real.push(entry.file_name()),
                None => real.push(name),
            }
        }
        real
    }

    /// Opens the file with this identity.
    ///
    /// # Errors
    /// Those of opening it. A path at which another file stands by now is one too.
    pub(super) fn open_file(&self, path: &str, id: FileId) -> io::Result<File> {
        let file = File::open(self.real_path(path))?;
        if identify(&file.metadata()?) != id {
            return Err(io::Error::other("replaced by another file while it was read"));
        }
        Ok(file)
    }

    /// Fills `buffer` from a file's offset; less than the whole buffer means the file ends there.
    ///
    /// # Errors
    /// Those of opening and reading. A path at which another file stands by now is one too.
    pub fn read(&self, path: &str, id: FileId, offset_bytes: u64, buffer: &mut [u8]) -> io::Result<usize> {
        let file = self.open_file(path, id)?;
        let mut n = 0;
        while let Some(rest) = buffer.get_mut(n..).filter(|rest| !rest.is_empty()) {
            match file.read_at(rest, offset_bytes + n as u64) {
                Ok(0) => break,
                Ok(more) => n += more,
                Err(e) if e.kind() == io::ErrorKind::Interrupted => {}
                Err(e) => return Err(e),
            }
        }
        Ok(n)
    }
}

/// Directories near `path` that hold event files: beside it, above it, and below those a little. For a hint
/// only: it looks at a limited number of names.
#[must_use]
pub fn event_files_near(path: &Path) -> Vec<PathBuf> {
    let absolute = path.canonicalize().unwrap_or_else(|_| path.to_owned());
    let Some(parent) = absolute.parent() else { return Vec::new() };
    let walk = walkdir::WalkDir::new(parent).max_depth(NEAR_DEPTH).sort_by_file_name();
    let entries = walk.into_iter().take(MAX_NEAR_ENTRIES).flatten();
    let mut found: Vec<PathBuf> = entries
        .filter(|entry| entry.file_type().is_file() && is_followed(&entry.file_name().to_string_lossy()))
        .filter_map(|entry| entry.path().parent().map(Path::to_owned))
        .collect();
    found.dedup();
    found.truncate(MAX_NEAR_LISTED);
    found
}

/// Whether an error may be gone at the next try: a stale handle or a device's fault, but not a lack of
/// permission.
pub(super) fn is_passing(error: &io::Error) -> bool {
    !matches!(
        error.kind(),
        io::ErrorKind::PermissionDenied | io::ErrorKind::NotFound | io::ErrorKind::IsADirectory
    )
}

/// What tells a file or a directory from others.
pub(super) fn identify(metadata: &Metadata) -> FileId {
    FileId { device: metadata.dev(), inode: metadata.ino() }
}

pub(super) fn describe(path: String, metadata: &Metadata) -> Listed {
    Listed {
        path,
        id: identify(metadata),
        bytes: metadata.len(),
        modified_ns: i128::from(metadata.mtime()) * 1_000_000_000 + i128::from(metadata.mtime_nsec()),
    }
}

/// Carries out the actions of a [`Tail`] on the files of a [`Root`].
#[derive(Debug)]
pub struct Reader {
    root: Root,
    clock: Clock,
    tail: Tail,
    buffer: Vec<u8>,
    /// Paths whose trouble was told.
    told: BTreeSet<String>,
    /// Something could not be looked at that may be looked at again soon.
    is_failing: bool,
}

impl Reader {
    /// A reader of everything below `root`.
    #[must_use]
    pub fn new(root: Root, clock: Clock) -> Self {
        let tail = Tail::new(clock.now());
        Self {
            root,
            clock,
            tail,
            buffer: vec![0; READ_CHUNK_BYTES],
            told: BTreeSet::new(),
            is_failing: false,
        }
    }

    /// Carries out one action. `None`: something was done and there may be more; otherwise nothing is
    /// to be done before the given time, but for [`Reader::wake`].
    pub fn step(&mut self, found: &mut dyn FnMut(Found<'_>)) -> Option<jiff::Timestamp> {
        let now = self.clock.now();
        match self.tail.poll_action(now) {
            Action::Wait(until) => return Some(until),
            Action::List => {
                let (listing, errors) = walk::list(&self.root, 1);
                for ListError { path, error } in errors {
                    self.is_failing |= is_passing(&error);
                    if self.told.insert(path.clone()) {
                        found(Found::Unreadable { path: &path, error: error.to_string() });
                    }
                }
                let listed_at = self.clock.now();
                let took = Duration::try_from(listed_at.duration_since(now)).unwrap_or_default();
                self.tail.handle_listing(listed_at, took, listing, found);
            }
            Action::Read { id, path, offset_bytes, at_most_bytes } => {
                let at_most = at_most_bytes.min(self.buffer.len());
                let buffer = self.buffer.get_mut(..at_most).unwrap_or_default();
                let read = self.root.read(&path, id, offset_bytes, buffer);
                let is_whole = matches!(read, Ok(n) if n == at_most);
                let at_end = if is_whole { AtEnd::No } else { AtEnd::Yes };
                self.is_failing |= read.as_ref().is_err_and(is_passing);
                let read = read.map_err(|e| e.to_string());
                let read = read.map(|n| (self.buffer.get(..n).unwrap_or(&[]), at_end));
                self.tail.handle_read(id, read, found);
            }
        }
        None
    }

    /// Something is said to have changed.
    pub fn wake(&mut self) {
        self.tail.wake(self.clock.now());
    }

    /// Reads all that there is, nothing more being written: a file that gives a passing error is
    /// tried again for a while. What never became a record is told as damage.
    pub fn read_to_end(&mut self, found: &mut dyn FnMut(Found<'_>)) {
        let give_up = self.clock.now().checked_add(DRAIN_TIMEOUT).unwrap_or(jiff::Timestamp::MAX);
        // The last look is at the bytes themselves: a time of change may be coarse or late.
        self.tail.distrust();
        loop {
            self.is_failing = false;
            self.tail.list_now(self.clock.now());
            while self.step(found).is_none() {}
            if !self.is_failing || self.clock.now() >= give_up {
                break;
            }
            std::thread::sleep(DRAIN_RETRY);
        }
        while self.tail.finish(found) {
            while self.step(found).is_none() {}
        }
    }
}
