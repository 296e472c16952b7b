//! A file that is there whole or not at all.

use std::fs::{self, File, OpenOptions, Permissions};
use std::io::{self, Write};
use std::os::fd::AsRawFd;
use std::os::unix::fs::{OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};

use rustix::fs::{AtFlags, CWD, OFlags, linkat};

/// A file that is being written and takes its place at [`Output::finish`]. Until then, and when it is
/// dropped or this process killed before, what stands there is untouched, and nothing is left behind where
/// the file system can hold a file without a name.
#[derive(Debug)]
pub struct Output {
    file: File,
    place: Place,
}

/// Where a file is to go.
#[derive(Debug)]
enum Place {
    /// It has no name yet.
    Unnamed { path: PathBuf, over: Over },
    /// It has a name of its own, on file systems that give none without.
    Named { part: PathBuf, path: PathBuf, over: Over },
    /// It is a pipe or a device, which cannot be replaced.
    Taken,
}

/// What a file may take the place of.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Over {
    Anything,
    Nothing,
}

impl Output {
    /// Writes a file whole, durably, in the place of what stands at `path`; see [`Self::replacing`].
    ///
    /// # Errors
    /// The file cannot be opened, written or named; then what stands there is untouched. Or its directory cannot be synced:
    /// then the new file is there, and after a loss of power the old one may be.
    pub fn replace(path: &Path, content: &[u8]) -> io::Result<()> {
        let mut output = Self::replacing(path)?;
        output.write_all(content)?;
        output.finish()
    }

    /// Makes a file whole, durably, where nothing stands. False where something does.
    ///
    /// # Errors
    /// The file cannot be opened, written or named; then none is there. Or its directory cannot be synced: then it is there,
    /// and may be gone after a loss of power.
    pub fn create(path: &Path, content: &[u8]) -> io::Result<bool> {
        let mut output = Self::new(path)?;
        output.write_all(content)?;
        match output.finish() {
            Err(e) if e.kind() == io::ErrorKind::AlreadyExists => Ok(false),
            finished => finished.map(|()| true),
        }
    }

    /// Begins a file that takes the place of what stands at `path`, if anything does. A link there is
    /// followed; a pipe or a device is written to.
    ///
    /// # Errors
    /// Errors of opening; [`io::ErrorKind::IsADirectory`] where a directory stands there.
    pub fn replacing(path: &Path) -> io::Result<Self> {
        match path.metadata() {
            Ok(metadata) if metadata.is_dir() => Err(io::ErrorKind::IsADirectory.into()),
            Ok(metadata) if !metadata.is_file() => {
                Ok(Self { file: OpenOptions::new().write(true).open(path)?, place: Place::Taken })
            }
            Ok(metadata) => {
                let output = Self::begin(path.canonicalize()?, Over::Anything)?;
                output.file.set_permissions(Permissions::from_mode(metadata.permissions().mode()))?;
                Ok(output)
            }
            Err(e) if e.kind() == io::ErrorKind::NotFound => Self::begin(path.to_owned(), Over::Anything),
            Err(e) => Err(e),
        }
    }

    /// Begins a file at `path`, where nothing may stand when it is finished.
    ///
    /// # Errors
    /// Errors of opening.
    pub fn new(path: &Path) -> io::Result<Self> {
        Self::begin(path.to_owned(), Over::Nothing)
    }

    fn begin(path: PathBuf, over: Over) -> io::Result<Self> {
        let directory = directory_of(&path);
        let unnamed = OFlags::TMPFILE.bits().cast_signed();
        match OpenOptions::new().write(true).mode(0o666).custom_flags(unnamed).open(directory) {
            Ok(file) => Ok(Self { file, place: Place::Unnamed { path, over } }),
            Err(e) if matches!(e.kind(), io::ErrorKind::Unsupported | io::ErrorKind::IsADirectory) => {
                let part = part(&path);
                // One of an earlier process with our number.
                let _ = fs::remove_file(&part);
                let file = OpenOptions::new().write(true).create_new(true).open(&part)?;
                Ok(Self { file, place: Place::Named { part, path, over } })
            }
            Err(e) => Err(e),
        }
    }

    /// A second handle of the file, which stays open when it is in its place.
    ///
    /// # Errors
    /// Errors of the system.
    pub fn handle(&self) -> io::Result<File> {
        self.file.try_clone()
    }

    /// Puts the file in its place, durably.
    ///
    /// # Errors
    /// Errors of writing and naming; [`io::ErrorKind::AlreadyExists`] where something stands in a place that
    /// was to be empty.
    pub fn finish(mut self) -> io::Result<()> {
        self.file.flush()?;
        let path = match &self.place {
            Place::Taken => return Ok(()),
            Place::Unnamed { path, .. } | Place::Named { path, .. } => path.clone(),
        };
        self.file.sync_all()?;
        self.take_place()?;
        // The name is durable with its directory. Some file systems sync no directories, and need not.
        match File::open(directory_of(&path)).and_then(|directory| directory.sync_all()) {
            Err(e) if !matches!(e.kind(), io::ErrorKind::InvalidInput | io::ErrorKind::PermissionDenied) => {
                Err(e)
            }
            Ok(()) | Err(_) => Ok(()),
        }
    }

    fn take_place(&self) -> io::Result<()> {
        match &self.place {
            Place::Taken => Ok(()),
            Place::Unnamed { path, over } => match self.name(path) {
                Err(e) if e.kind() == io::ErrorKind::AlreadyExists && *over == Over::Anything => {
                    let part = part(path);
                    self.name(&part)?;
                    fs::rename(&part, path).inspect_err(|_| drop(fs::remove_file(&part)))
                }
                named => named,
            },
            Place::Named { part, path, over: Over::Anything } => fs::rename(part, path),
            Place::Named { part, path, over: Over::Nothing } => match fs::hard_link(part, path) {
                // A file system without links: the file is empty for a moment.
                Err(e)
                    if matches!(e.kind(), io::ErrorKind::Unsupported | io::ErrorKind::PermissionDenied) =>
                {
                    copy_new(part, path)
                }
                linked => linked,
            },
        }
    }

    /// Gives the file a name that nothing has.
    fn name(&self, path: &Path) -> io::Result<()> {
        let open = format!("/proc/self/fd/{}", self.file.as_raw_fd());
        Ok(linkat(CWD, open, CWD, path, AtFlags::SYMLINK_FOLLOW)?)
    }
}

impl Drop for Output {
    fn drop(&mut self) {
        if let Place::Named { part, .. } = &self.place {
            // Gone already, where it took its place.
            let _ = fs::remove_file(part);
        }
    }
}

impl Write for Output {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.file.write(bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.file.flush()
    }
}

/// The directory that holds a file.
fn directory_of(path: &Path) -> &Path {
    path.parent().filter(|parent| !parent.as_os_str().is_empty()).unwrap_or(Path::new("."))
}

/// Copies a file to a place where nothing stands, or leaves nothing there.
fn copy_new(from: &Path, to: &Path) -> io::Result<()> {
    let mut copy = OpenOptions::new().write(true).create_new(true).open(to)?;
    let copied =
        File::open(from).and_then(|mut from| io::copy(&mut from, &mut copy)).and_then(|_| copy.sync_all());
    if copied.is_err() {
        let _ = fs::remove_file(to);
    }
    copied
}

/// A name beside `path` for what is not finished, which no other process takes.
fn part(path: &Path) -> PathBuf {
    let mut name = path.file_name().unwrap_or_default().to_owned();
    name.push(format!(".{}.part", std::process::id()));
    path.with_file_name(name)
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::symlink;

    use super::*;

    fn write(path: &Path, text: &str) {
        Output::replace(path, text.as_bytes()).expect("it takes its place");
    }

    #[test]
    fn a_file_takes_its_place_only_when_it_is_whole() {
        let directory = tempfile::tempdir().expect("a directory");
        let path = directory.path().join("out");
        write(&path, "first");
        let mut second = Output::replacing(&path).expect("it begins");
        second.write_all(b"sec").expect("it is written");
        drop(second);
        assert_eq!(fs::read_to_string(&path).expect("it is there"), "first");
        write(&path, "third");
        assert_eq!(fs::read_to_string(&path).expect("it is there"), "third");
        assert_eq!(fs::read_dir(directory.path()).expect("a directory").count(), 1, "nothing is left over");
    }

    #[test]
    fn a_new_file_never_takes_the_place_of_another() {
        let directory = tempfile::tempdir().expect("a directory");
        let path = directory.path().join("out");
        let late = Output::new(&path).expect("it begins");
        write(&path, "first");
        let error = late.finish().expect_err("it exists");
        assert_eq!(error.kind(), io::ErrorKind::AlreadyExists);
        assert_eq!(fs::read_to_string(&path).expect("it is there"), "first");
    }

    #[test]
    fn a_file_is_made_where_nothing_stands_and_only_there() {
        let directory = tempfile::tempdir().expect("a directory");
        let path = directory.path().join("out");
        assert!(Output::create(&path, b"first").expect("it is made"));
        assert!(!Output::create(&path, b"second").expect("it is there already"));
        let copy = directory.path().join("copy");
        copy_new(&path, &copy).expect("it is copied");
        assert_eq!(copy_new(&path, &copy).expect_err("it exists").kind(), io::ErrorKind::AlreadyExists);
        assert_eq!(fs::read_to_string(&copy).expect("it is there"), "first");
    }

    #[test]
    fn a_link_stays_one_and_permissions_are_kept() {
        let directory = tempfile::tempdir().expect("a directory");
        let (real, link) = (directory.path().join("real"), directory.path().join("link"));
        write(&real, "first");
        fs::set_permissions(&real, Permissions::from_mode(0o640)).expect("they are set");
        symlink("real", &link).expect("it is linked");
        write(&link, "second");
        assert!(link.symlink_metadata().expect("it is there").is_symlink());
        assert_eq!(fs::read_to_string(&real).expect("it is there"), "second");
        assert_eq!(real.metadata().expect("it is there").permissions().mode() & 0o777, 0o640);
    }

    #[test]
    fn a_device_is_written_to() {
        write(Path::new("/dev/null"), "gone");
        assert!(!Path::new("/dev/null").metadata().expect("it is there").is_file());
        let error = Output::replacing(Path::new("/")).expect_err("it is a directory");
        assert_eq!(error.kind(), io::ErrorKind::IsADirectory);
    }
}
