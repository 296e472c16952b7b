//! A directory, a file or several of both on this machine, and how one of its files is opened and read.

use std::fs::{DirEntry, File};
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::UNIX_EPOCH;

use super::stat::Stat;
use super::walk;
use crate::follow::{ListError, Place};
use crate::tail::{FileId, FileKind, Listed, Naming};

/// Event files on this machine: below one directory, one file alone, or several of both.
#[derive(Debug, Clone)]
pub struct Root {
    /// The directory, or the innermost one that holds all that are meant.
    directory: PathBuf,
    /// Which files are read, and under which run.
    naming: Naming,
    /// What is meant of the directory, as paths below it; none: all of it.
    parts: Vec<String>,
    mounts: Vec<Mount>,
    /// The directory as it was found last.
    held: Option<Arc<File>>,
    /// Nothing stands at its path any more: whoever writes there may have given it another name.
    is_away: bool,
    /// The file that was read last: as a rule it is read once more at once.
    open: Option<(FileId, Arc<File>)>,
}

/// A directory whose files are listed below another path than where they are.
#[derive(Debug, Clone)]
struct Mount {
    /// Below the root.
    name: String,
    directory: PathBuf,
}

impl Root {
    /// A directory; it may come later.
    #[must_use]
    pub fn directory(path: &Path) -> Self {
        let mut root = Self {
            directory: path.to_owned(),
            naming: Naming::default(),
            parts: Vec::new(),
            mounts: Vec::new(),
            held: None,
            is_away: false,
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
        Self { parts, ..Self::directory(&common) }
    }

    /// What these paths are now: files, or directories.
    ///
    /// # Errors
    /// A path is missing, or may not be looked at: the path, and the system's error.
    pub fn open(paths: &[PathBuf]) -> Result<Self, (PathBuf, io::Error)> {
        let mut is_file = false;
        for path in paths {
            is_file = !path.metadata().map_err(|e| (path.clone(), e))?.is_dir();
        }
        Ok(match paths {
            [path] if is_file => {
                let parent = path.parent().unwrap_or(Path::new(""));
                let parts = path.file_name().map(|name| shown(Path::new(name))).into_iter().collect();
                Self { parts, ..Self::directory(parent) }
            }
            _ => Self::of(paths),
        })
    }

    /// The same, with other rules for which files are read and which run they belong to.
    #[must_use]
    pub fn with_naming(self, naming: Naming) -> Self {
        Self { naming, ..self }
    }

    /// The same, with the files of a directory that stands elsewhere, listed as if they were below `name`. It may come
    /// later. Where both have a file of one path, this one's counts.
    #[must_use]
    pub fn with_mount(mut self, name: &str, directory: PathBuf) -> Self {
        self.mounts.push(Mount { name: format!("{name}/"), directory });
        self
    }

    /// The directory below which paths are.
    #[must_use]
    pub fn base(&self) -> &Path {
        &self.directory
    }

    /// What is meant of the directory, as paths below it; none: all of it.
    #[must_use]
    pub fn parts(&self) -> &[String] {
        &self.parts
    }

    /// Which files are read, and which run they belong to.
    #[must_use]
    pub fn naming(&self) -> Naming {
        self.naming
    }

    /// What a file is read as. One that was named itself is an event file whatever its name.
    #[must_use]
    pub fn kind_of(&self, path: &str) -> Option<FileKind> {
        let by_name = self.naming.kind_of(path);
        by_name.or_else(|| self.parts.iter().any(|part| part == path).then_some(FileKind::Events))
    }

    /// Lists the files to read, sorted by path, each once, and what could not be looked at. Links are followed.
    #[must_use]
    pub fn list_with(&self, n_threads: usize) -> (Vec<Listed>, Vec<ListError>) {
        walk::list(self, n_threads)
    }

    /// Directories whose files are listed below another path: that path with `/` at its end, and the directory.
    pub(super) fn mounts(&self) -> impl Iterator<Item = (&str, &Path)> {
        self.mounts.iter().map(|mount| (&*mount.name, &*mount.directory))
    }

    /// Where the directory is to be found now.
    pub(super) fn standing(&self) -> PathBuf {
        #[cfg(target_os = "linux")]
        if let Some(held) = self.held.as_ref().filter(|_| self.is_away) {
            use std::os::fd::AsRawFd;
            return format!("/proc/self/fd/{}", held.as_raw_fd()).into();
        }
        self.directory.clone()
    }

    /// Holds the directory that stands there now. Where nothing does any more, the one that did is followed under
    /// its new name; on Linux only, for other systems do not tell it.
    fn hold(&mut self) {
        match self.directory.metadata() {
            Ok(metadata) => {
                // Opening a pipe would wait for its writer.
                let opened = metadata.is_dir().then(|| File::open(&self.directory).ok()).flatten();
                (self.held, self.is_away) = (opened.map(Arc::new), false);
            }
            Err(error) => self.is_away = error.kind() == io::ErrorKind::NotFound,
        }
    }

    /// Where a path below the root is. A name with replacement characters is looked for among those that are there.
    #[must_use]
    pub fn real_path(&self, path: &str) -> PathBuf {
        let in_mount = |mount: &Mount| Some(real_path_in(&mount.directory, path.strip_prefix(&*mount.name)?));
        let in_mount = self.mounts.iter().find_map(in_mount);
        in_mount.filter(|path| path.exists()).unwrap_or_else(|| real_path_in(&self.standing(), path))
    }

    /// Opens the file with this identity.
    ///
    /// # Errors
    /// The system's error in opening it, or that another file stands at its path by now.
    pub(super) fn open_file(&self, path: &str, id: FileId) -> io::Result<File> {
        let path = self.real_path(path);
        let file = File::open(&path)?;
        if Stat::of_file(&path, &file)?.id != id {
            return Err(io::Error::other("replaced by another file while it was read"));
        }
        Ok(file)
    }
}

/// Where a path below a directory is. Names need not be text: where one shows a replacement character it is
/// looked for among those that are there; see [`shown`].
fn real_path_in(directory: &Path, path: &str) -> PathBuf {
    let mut real = directory.to_owned();
    // Not split at `/`: a drive is not followed by a name, but by its root.
    for component in Path::new(path).components() {
        let name: &Path = component.as_ref();
        let text = shown(name);
        let entries = text.contains(char::REPLACEMENT_CHARACTER).then(|| real.read_dir().ok()).flatten();
        let is_shown = |entry: &DirEntry| shown(Path::new(&entry.file_name())) == text;
        match entries.and_then(|mut entries| entries.find_map(|e| e.ok().filter(is_shown))) {
            Some(entry) => real.push(entry.file_name()),
            None => real.push(name),
        }
    }
    real
}

impl Place for Root {
    fn list(&mut self) -> (Vec<Listed>, Vec<ListError>) {
        self.open = None;
        self.hold();
        walk::list(self, 1)
    }

    fn look(&mut self, path: &str) -> io::Result<Option<Listed>> {
        self.open = None;
        let stat = Stat::at(&self.real_path(path))?;
        let is_file = stat.metadata.is_file() && self.naming.is_followed(path);
        Ok(is_file.then(|| describe(path.to_owned(), &stat)))
    }

    fn read(&mut self, path: &str, id: FileId, offset_bytes: u64, buffer: &mut [u8]) -> io::Result<usize> {
        let file = match self.open.take() {
            Some((open, file)) if open == id => file,
            _ => Arc::new(self.open_file(path, id)?),
        };
        let mut n = 0;
        while let Some(rest) = buffer.get_mut(n..).filter(|rest| !rest.is_empty()) {
            match read_at(&file, rest, offset_bytes + n as u64) {
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

/// Fills a buffer from an offset of a file, wherever it was read before.
#[cfg(unix)]
pub(crate) fn read_at(file: &File, buffer: &mut [u8], offset_bytes: u64) -> io::Result<usize> {
    std::os::unix::fs::FileExt::read_at(file, buffer, offset_bytes)
}

/// Fills a buffer from an offset of a file, wherever it was read before.
#[cfg(windows)]
pub(crate) fn read_at(file: &File, buffer: &mut [u8], offset_bytes: u64) -> io::Result<usize> {
    std::os::windows::fs::FileExt::seek_read(file, buffer, offset_bytes)
}

/// A path as text, with `/` between its parts. Of a name that is no text, each byte that is at fault becomes a
/// replacement character and its two digits, so that what are two names stays two.
#[cfg(unix)]
#[must_use]
pub fn shown(path: &Path) -> String {
    use std::os::unix::ffi::OsStrExt;
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

/// A path as text, with `/` between its parts. Of a name that is no text, each surrogate that is at fault becomes a
/// replacement character and its four digits, so that what are two names stays two.
#[cfg(windows)]
#[must_use]
pub fn shown(path: &Path) -> String {
    use std::os::windows::ffi::OsStrExt;
    let mut text = String::new();
    for decoded in char::decode_utf16(path.as_os_str().encode_wide()) {
        match decoded {
            Ok('\\') => text.push('/'),
            Ok(c) => text.push(c),
            Err(e) => {
                text.push(char::REPLACEMENT_CHARACTER);
                text.push_str(&format!("{:04x}", e.unpaired_surrogate()));
            }
        }
    }
    text
}

/// The innermost directory that holds all of these absolute paths, or is one of them; none, an empty path, where they are on
/// several drives.
fn common_directory(paths: &[PathBuf]) -> PathBuf {
    let Some((first, others)) = paths.split_first() else { return PathBuf::from("/") };
    let of_all = |above: &&Path| others.iter().all(|path| path.starts_with(above));
    let common = first.ancestors().find(of_all).unwrap_or(Path::new(""));
    // The same file named twice.
    if common.is_file() { common.parent().unwrap_or(common).to_owned() } else { common.to_owned() }
}

/// The number of the system's error for links that lead to each other: `ELOOP`.
#[cfg(any(target_os = "linux", target_os = "android"))]
const LINK_LOOP: i32 = 40;
#[cfg(all(unix, not(any(target_os = "linux", target_os = "android"))))]
const LINK_LOOP: i32 = 62;
/// `ERROR_CANT_RESOLVE_FILENAME`.
#[cfg(windows)]
const LINK_LOOP: i32 = 1921;

/// Whether an error says that links lead to each other.
pub(super) fn is_link_loop(error: &io::Error) -> bool {
    error.raw_os_error() == Some(LINK_LOOP)
}

/// Whether an error may be gone at the next try: a stale handle or a device's fault, but not a lack of
/// permission, nor that something else stands there.
pub(crate) fn is_passing(error: &io::Error) -> bool {
    !is_link_loop(error)
        && !matches!(
            error.kind(),
            io::ErrorKind::PermissionDenied
                | io::ErrorKind::NotFound
                | io::ErrorKind::IsADirectory
                | io::ErrorKind::NotADirectory
                | io::ErrorKind::InvalidFilename
        )
}

pub(super) fn describe(path: String, stat: &Stat) -> Listed {
    let modified = stat.metadata.modified().unwrap_or(UNIX_EPOCH);
    let modified_ns = match modified.duration_since(UNIX_EPOCH) {
        Ok(since) => i128::try_from(since.as_nanos()).unwrap_or(i128::MAX),
        Err(before) => -i128::try_from(before.duration().as_nanos()).unwrap_or(i128::MAX),
    };
    Listed { path, id: stat.id, bytes: stat.metadata.len(), modified_ns }
}
