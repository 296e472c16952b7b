//! Hears at once when something is made in a directory: a writer may have its file open for moments only.

use std::collections::BTreeMap;
use std::ffi::OsStr;
use std::mem::MaybeUninit;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

use rustix::fd::{AsFd, BorrowedFd, OwnedFd};
use rustix::fs::inotify::{self, CreateFlags, ReadFlags, WatchFlags};

use crate::limits::MAX_OUTSIDE_WATCHES;

/// Directories that are watched, each without those below it.
#[derive(Debug)]
pub(super) struct Watches {
    inotify: OwnedFd,
    /// By the system's number of the watch, each with its depth below where the trainer runs.
    directories: BTreeMap<i32, (PathBuf, usize)>,
}

/// What was made in a watched directory.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Made {
    /// A directory, and its depth.
    Directory(PathBuf, usize),
    /// Something else.
    File(PathBuf),
}

impl Watches {
    /// None where the system has none to give.
    pub(super) fn new() -> Option<Self> {
        let inotify = inotify::init(CreateFlags::CLOEXEC | CreateFlags::NONBLOCK).ok()?;
        Some(Self { inotify, directories: BTreeMap::new() })
    }

    /// Watches a directory. Where that cannot be, looking at it from time to time has to do.
    pub(super) fn add(&mut self, directory: &Path, depth: usize) {
        if self.directories.len() >= MAX_OUTSIDE_WATCHES {
            return;
        }
        let flags = WatchFlags::CREATE | WatchFlags::MOVED_TO | WatchFlags::ONLYDIR;
        if let Ok(watch) = inotify::add_watch(&self.inotify, directory, flags) {
            self.directories.insert(watch, (directory.to_owned(), depth));
        }
    }

    /// Ready when there is something to take.
    pub(super) fn as_fd(&self) -> BorrowedFd<'_> {
        self.inotify.as_fd()
    }

    /// What was made since the last call. What is lost on the way, the next walk finds.
    pub(super) fn take(&mut self) -> Vec<Made> {
        let mut made = Vec::new();
        let mut buffer = [MaybeUninit::uninit(); 4096];
        let mut reader = inotify::Reader::new(&self.inotify, &mut buffer);
        let mut gone = Vec::new();
        while let Ok(event) = reader.next() {
            if event.events().contains(ReadFlags::IGNORED) {
                gone.push(event.wd());
                continue;
            }
            let Some(((directory, depth), name)) = self.directories.get(&event.wd()).zip(event.file_name())
            else {
                continue;
            };
            let path = directory.join(OsStr::from_bytes(name.to_bytes()));
            let is_directory = event.events().contains(ReadFlags::ISDIR);
            made.push(if is_directory { Made::Directory(path, depth + 1) } else { Made::File(path) });
        }
        gone.iter().for_each(|watch| drop(self.directories.remove(watch)));
        made
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_made_in_a_watched_directory_is_heard() {
        let place = tempfile::tempdir().expect("a directory");
        let mut watches = Watches::new().expect("the system has some");
        watches.add(place.path(), 2);
        assert_eq!(watches.take(), []);
        std::fs::create_dir(place.path().join("runs")).expect("it is made");
        std::fs::write(place.path().join("a"), "").expect("it is made");
        let made = [Made::Directory(place.path().join("runs"), 3), Made::File(place.path().join("a"))];
        assert_eq!(watches.take(), made);
        std::fs::write(place.path().join("runs/b"), "").expect("it is made");
        assert_eq!(watches.take(), [], "that one is not watched");
    }
}
