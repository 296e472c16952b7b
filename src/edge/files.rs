//! Where event files are, and how one of them is opened and read.

use std::fs::{DirEntry, File};
use std::io;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use rustix::fd::{AsRawFd, OwnedFd};
use rustix::fs::{CWD, FileType, Mode, OFlags, Stat, fstat, openat, stat};
use rustix::io::Errno;

use super::reader::Place;
use super::walk;
use crate::limits::{MAX_NEAR_ENTRIES, MAX_NEAR_LISTED, NEAR_DEPTH};
use crate::scalar::OWN_DIRECTORY;
use crate::tail::{FileId, Listed, is_followed, is_trial};

/// A place that holds event files: a directory, one file alone, or several of both.
#[derive(Debug, Clone)]
pub struct Root {
    /// The directory, or the innermost one that holds all that are meant.
    directory: PathBuf,
    /// Where the records of a trial stand, if the directory is one's. They are listed below [`OWN_DIRECTORY`].
    records: Option<PathBuf>,
    /// The directory as it was found last.
    held: Option<Arc<OwnedFd>>,
    /// Nothing stands at its path any more: whoever writes there may have given it another name.
    is_away: bool,
    /// What is meant of it, as paths below it; none: all of it.
    parts: Vec<String>,
    /// The file that was read last: as a rule it is read once more at once.
    open: Option<(FileId, Arc<File>)>,
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
        let mut root = Self {
            directory: path.to_owned(),
            records: records_beside(path),
            held: None,
            is_away: false,
            parts: Vec::new(),
            open: None,
        };
        root.hold();
        root
    }

    /// What these paths are, which may come later: one directory, or several places below the innermost directory that
    /// holds them all, by whose name those are told apart.
    #[must_use]
    pub fn of(paths: &[PathBuf]) -> Self {
        if let [path] = paths {
            return Self::directory(path);
        }
        let all: Vec<PathBuf> =
            paths.iter().map(|path| std::path::absolute(path).unwrap_or_else(|_| path.clone())).collect();
        let common = common_directory(&all);
        let mut parts: Vec<String> =
            all.iter().filter_map(|path| Some(shown(path.strip_prefix(&common).ok()?))).collect();
        parts.sort();
        parts.dedup();
        // The directory that holds the others is meant itself.
        if parts.iter().any(String::is_empty) {
            return Self::directory(&common);
        }
        Self { parts, records: None, ..Self::directory(&common) }
    }

    /// What these paths are now: files, or directories.
    ///
    /// # Errors
    /// Those of looking at one: it is missing, or may not be seen.
    pub fn open(paths: &[PathBuf]) -> Result<Self, (PathBuf, io::Error)> {
        let mut is_file = false;
        for path in paths {
            is_file = !path.metadata().map_err(|e| (path.clone(), e))?.is_dir();
        }
        Ok(match paths {
            [path] if is_file => {
                let parent = path.parent().unwrap_or(Path::new(""));
                let parts = path.file_name().map(|name| shown(Path::new(name))).into_iter().collect();
                Self { parts, records: None, ..Self::directory(parent) }
            }
            _ => Self::of(paths),
        })
    }

    /// The directory below which paths are.
    #[must_use]
    pub fn base(&self) -> &Path {
        &self.directory
    }

    /// What is meant of the directory, as paths below it; none: all of it.
    pub(super) fn parts(&self) -> &[String] {
        &self.parts
    }

    /// The directory, where all of it is meant.
    pub(super) fn whole_directory(&self) -> Option<PathBuf> {
        self.parts.is_empty().then(|| self.standing())
    }

    /// Where the directory is to be found now.
    fn standing(&self) -> PathBuf {
        match &self.held {
            Some(held) if self.is_away => format!("/proc/self/fd/{}", held.as_raw_fd()).into(),
            _ => self.directory.clone(),
        }
    }

    /// Holds the directory that stands there now. Where nothing does any more, the one that did is followed under
    /// its new name.
    fn hold(&mut self) {
        let flags = OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC;
        let opened = openat(CWD, &self.directory, flags, Mode::empty());
        self.is_away = matches!(opened, Err(Errno::NOENT));
        if !self.is_away {
            self.held = opened.ok().map(Arc::new);
        }
    }

    /// Where the records of a trial stand, if the directory is one's.
    pub(super) fn records(&self) -> Option<&Path> {
        self.records.as_deref()
    }

    /// Where a path below the root is.
    pub(super) fn real_path(&self, path: &str) -> PathBuf {
        let below = path.strip_prefix(OWN_DIRECTORY).and_then(|below| below.strip_prefix('/'));
        let records =
            self.records.as_ref().zip(below).map(|(records, below)| Self::real_path_in(records, below));
        // Older trials have them in the directory itself.
        records.filter(|path| path.exists()).unwrap_or_else(|| Self::real_path_in(&self.standing(), path))
    }

    /// Where a path below a directory is. Names need not be text: where one shows a replacement character it is
    /// looked for among those that are there; see [`shown`].
    fn real_path_in(directory: &Path, path: &str) -> PathBuf {
        let mut real = directory.to_owned();
        for name in path.split('/') {
            let entries = name.contains(char::REPLACEMENT_CHARACTER).then(|| real.read_dir().ok()).flatten();
            let is_shown = |entry: &DirEntry| shown(Path::new(&entry.file_name())) == name;
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
        if identify(&fstat(&file)?) != id {
            return Err(io::Error::other("replaced by another file while it was read"));
        }
        Ok(file)
    }
}

impl Place for Root {
    fn list(&mut self) -> (Vec<Listed>, Vec<ListError>) {
        self.open = None;
        self.hold();
        walk::list(self, 1)
    }

    fn look(&mut self, path: &str) -> io::Result<Option<Listed>> {
        self.open = None;
        let stat = stat(self.real_path(path))?;
        let is_file = FileType::from_raw_mode(stat.st_mode).is_file() && is_followed(path);
        Ok(is_file.then(|| describe(path.to_owned(), &stat)))
    }

    fn read(&mut self, path: &str, id: FileId, offset_bytes: u64, buffer: &mut [u8]) -> io::Result<usize> {
        let file = match self.open.take() {
            Some((open, file)) if open == id => file,
            _ => Arc::new(self.open_file(path, id)?),
        };
        let mut n = 0;
        while let Some(rest) = buffer.get_mut(n..).filter(|rest| !rest.is_empty()) {
            match file.read_at(rest, offset_bytes + n as u64) {
                Ok(0) => break,
                Ok(more) => n += more,
                Err(e) if e.kind() == io::ErrorKind::Interrupted => {}
                Err(e) => return Err(e),
            }
        }
        self.open = Some((id, file));
        Ok(n)
    }
}

/// A path as text. Of a name that is none, each byte that is at fault becomes a replacement character and its two
/// digits, so that what are two names stays two.
pub(super) fn shown(path: &Path) -> String {
    let mut text = String::new();
    for chunk in path.as_os_str().as_bytes().utf8_chunks() {
        text.push_str(chunk.valid());
        for byte in chunk.invalid() {
            text.push(char::REPLACEMENT_CHARACTER);
            text.push_str(&format!("{byte:02x}"));
        }
    }
    text
}

/// The innermost directory that holds all of these absolute paths, or is one of them.
fn common_directory(paths: &[PathBuf]) -> PathBuf {
    let Some((first, others)) = paths.split_first() else { return PathBuf::from("/") };
    let of_all = |above: &&Path| others.iter().all(|path| path.starts_with(above));
    let common = first.ancestors().find(of_all).unwrap_or(Path::new("/"));
    // The same file named twice.
    if common.is_file() { common.parent().unwrap_or(common).to_owned() } else { common.to_owned() }
}

/// Where the records of a trial would stand whose directory this is: `JOB_DIR/.hptune/3` of `JOB_DIR/3`.
pub(super) fn records_beside(directory: &Path) -> Option<PathBuf> {
    let directory = std::path::absolute(directory).ok()?;
    let name = directory.file_name().filter(|name| name.to_str().is_some_and(is_trial))?;
    Some(directory.parent()?.join(OWN_DIRECTORY).join(name))
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
        .filter(|entry| entry.file_type().is_file() && is_followed(&shown(Path::new(entry.file_name()))))
        .filter_map(|entry| entry.path().parent().map(Path::to_owned))
        .collect();
    found.dedup();
    found.truncate(MAX_NEAR_LISTED);
    found
}

/// Whether an error may be gone at the next try: a stale handle or a device's fault, but not a lack of
/// permission, nor that something else stands there.
pub(super) fn is_passing(error: &io::Error) -> bool {
    let is_loop = error.raw_os_error() == Some(Errno::LOOP.raw_os_error());
    !is_loop
        && !matches!(
            error.kind(),
            io::ErrorKind::PermissionDenied
                | io::ErrorKind::NotFound
                | io::ErrorKind::IsADirectory
                | io::ErrorKind::NotADirectory
                | io::ErrorKind::InvalidFilename
        )
}

/// What tells a file or a directory from others.
pub(super) fn identify(stat: &Stat) -> FileId {
    FileId { device: stat.st_dev, inode: stat.st_ino }
}

pub(super) fn describe(path: String, stat: &Stat) -> Listed {
    Listed {
        path,
        id: identify(stat),
        bytes: stat.st_size.cast_unsigned(),
        modified_ns: i128::from(stat.st_mtime) * 1_000_000_000 + i128::from(stat.st_mtime_nsec),
    }
}
