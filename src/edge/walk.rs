//! Finds the event files below a directory, on several threads.

use std::collections::{BTreeSet, HashSet};
use std::ffi::OsStr;
use std::io;
use std::os::fd::OwnedFd;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};
use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};
use std::thread;

use rustix::fs::{AtFlags, CWD, FileType, Mode, OFlags, RawDir, RawDirEntry, Stat, openat, stat, statat};
use rustix::io::Errno;

use super::files::{ListError, Root, describe, identify, records_beside, shown};
use crate::limits::{LIST_BUFFER_BYTES, MAX_WALK_DEPTH};
use crate::scalar::OWN_DIRECTORY;
use crate::tail::{FileId, Listed, is_followed};

/// What the entries of a directory are read into.
type Buffer = Vec<u8>;

/// A directory whose files are listed.
#[derive(Debug, Clone, Copy)]
struct Base<'a> {
    directory: &'a Path,
    /// Under which name, `/` at its end.
    name: &'a str,
}

impl Base<'_> {
    fn below(self, path: &Path) -> String {
        let below = shown(path.strip_prefix(self.directory).unwrap_or(path));
        [self.name, &below].concat()
    }
}

/// Directories that wait to be looked at, and what was found in the others.
#[derive(Default)]
struct Found {
    /// Each with its depth below the root.
    directories: Vec<(PathBuf, usize)>,
    /// How many threads look at a directory.
    n_busy: usize,
    /// The directories that were looked at.
    looked: Vec<PathBuf>,
    files: Vec<Listed>,
    /// Each with the depth of its directory.
    links: Vec<(PathBuf, usize)>,
    errors: Vec<ListError>,
}

/// Lists every file to follow at or below `root`, sorted by path, on up to `n_threads` threads. Links are
/// followed. A file or a directory with several paths counts once, under a path without links where there
/// is one; so a loop of links ends.
pub fn list(root: &Root, n_threads: usize) -> (Vec<Listed>, Vec<ListError>) {
    let Some(directory) = root.whole_directory() else { return list_parts(root, n_threads) };
    let (mut files, mut errors) = list_below(Base { directory: &directory, name: "" }, n_threads);
    if let Some(records) = root.records() {
        let name = format!("{OWN_DIRECTORY}/");
        let (kept, troubles) = list_below(Base { directory: records, name: &name }, 1);
        if !kept.is_empty() {
            let kept_paths: HashSet<&str> = kept.iter().map(|file| &*file.path).collect();
            files.retain(|file| !kept_paths.contains(&*file.path));
            files.extend(kept);
            files.sort_by(|a, b| a.path.cmp(&b.path));
        }
        // Most directories belong to no trial.
        errors.extend(troubles.into_iter().filter(|trouble| trouble.error.kind() != io::ErrorKind::NotFound));
    }
    (files, errors)
}

/// The same of several files and directories.
fn list_parts(root: &Root, n_threads: usize) -> (Vec<Listed>, Vec<ListError>) {
    let (mut files, mut errors, mut known) = (Vec::new(), Vec::new(), HashSet::new());
    for part in root.parts() {
        let directory = root.real_path(part);
        match stat(&directory) {
            Ok(stat) if FileType::from_raw_mode(stat.st_mode).is_dir() => {
                let base = Base { directory: &directory, name: &format!("{part}/") };
                let (mut below, mut troubles) = list_below(base, n_threads);
                files.append(&mut below);
                errors.append(&mut troubles);
                // What was kept of a trial stands beside its directory.
                if let Some(records) = records_beside(&directory)
                    && let Ok(below) = records.strip_prefix(root.base())
                {
                    let name = format!("{}/", shown(below));
                    files.extend(list_below(Base { directory: &records, name: &name }, 1).0);
                }
            }
            Ok(stat) => files.push(describe(part.clone(), &stat)),
            Err(e) => errors.push(ListError { path: part.clone(), error: e.into() }),
        }
    }
    files.retain(|file| known.insert(file.id));
    files.sort_by(|a, b| a.path.cmp(&b.path));
    (files, errors)
}

fn list_below(base: Base<'_>, n_threads: usize) -> (Vec<Listed>, Vec<ListError>) {
    let directory = base.directory;
    let found = Mutex::new(Found { directories: vec![(directory.to_owned(), 0)], ..Found::default() });
    let more = Condvar::new();
    thread::scope(|scope| {
        for _ in 1..n_threads {
            scope.spawn(|| walk(base, &found, &more));
        }
        walk(base, &found, &more);
    });
    let mut found = found.into_inner().unwrap_or_else(PoisonError::into_inner);
    let mut files = Files::default();
    found.take_files(&mut files);
    follow_links(base, &mut found, &mut files);
    let mut files = files.listed;
    files.sort_by(|a, b| a.path.cmp(&b.path));
    (files, found.errors)
}

/// The files of a listing, each once.
#[derive(Default)]
struct Files {
    listed: Vec<Listed>,
    known: HashSet<FileId>,
}

impl Found {
    /// Moves the files to `files`, unless they are there already under another path.
    fn take_files(&mut self, files: &mut Files) {
        let mut new = std::mem::take(&mut self.files);
        new.sort_by(|a, b| a.path.cmp(&b.path));
        new.retain(|file| files.known.insert(file.id));
        if files.listed.is_empty() { files.listed = new } else { files.listed.append(&mut new) }
    }
}

/// Looks at what links lead to, in the order of their paths, unless it was looked at before.
fn follow_links(base: Base<'_>, found: &mut Found, files: &mut Files) {
    if found.links.is_empty() {
        return;
    }
    let mut links = BTreeSet::new();
    let stats = found.looked.drain(..).filter_map(|directory| stat(&directory).ok());
    let mut looked: BTreeSet<FileId> = stats.map(|stat| identify(&stat)).collect();
    let mut buffer = Buffer::with_capacity(LIST_BUFFER_BYTES);
    loop {
        links.extend(found.links.drain(..));
        let Some((link, depth)) = links.pop_first() else { return };
        found.directories.push((link, depth));
        while let Some((path, depth)) = found.directories.pop() {
            match stat(&path) {
                Ok(stat) if FileType::from_raw_mode(stat.st_mode).is_dir() => {
                    if looked.insert(identify(&stat)) {
                        look(base, &path, depth, &mut buffer, found);
                    }
                }
                Ok(stat) => add_file(base, &path, &stat, found),
                // A link to nothing is no fault.
                Err(e) => fail(base, &path, e.into(), found),
            }
        }
        found.take_files(files);
    }
}

fn lock(found: &Mutex<Found>) -> MutexGuard<'_, Found> {
    found.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Looks at directories until none is left.
fn walk(base: Base<'_>, found: &Mutex<Found>, more: &Condvar) {
    let mut buffer = Buffer::with_capacity(LIST_BUFFER_BYTES);
    let mut held = lock(found);
    loop {
        let Some((directory, depth)) = held.directories.pop() else {
            if held.n_busy == 0 {
                more.notify_all();
                return;
            }
            held = more.wait(held).unwrap_or_else(PoisonError::into_inner);
            continue;
        };
        held.n_busy += 1;
        drop(held);
        let mut here = Found::default();
        look(base, &directory, depth, &mut buffer, &mut here);
        held = lock(found);
        held.n_busy -= 1;
        held.looked.push(directory);
        held.directories.append(&mut here.directories);
        held.files.append(&mut here.files);
        held.links.append(&mut here.links);
        held.errors.append(&mut here.errors);
        if held.directories.len() > 1 || held.n_busy == 0 {
            more.notify_all();
        }
    }
}

/// Looks at one directory.
fn look(base: Base<'_>, directory: &Path, depth: usize, buffer: &mut Buffer, here: &mut Found) {
    let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC;
    let opened = match openat(CWD, directory, flags, Mode::empty()) {
        Ok(opened) => opened,
        Err(e) => return fail(base, directory, e.into(), here),
    };
    let mut entries = RawDir::new(&opened, buffer.spare_capacity_mut());
    while let Some(entry) = entries.next() {
        let entry = match entry {
            Ok(entry) => entry,
            Err(e) => return fail(base, directory, e.into(), here),
        };
        if ![c".", c".."].contains(&entry.file_name())
            && let Err(e) = look_at(base, directory, &opened, &entry, depth, here)
        {
            fail(base, directory, e.into(), here);
        }
    }
}

fn look_at(
    base: Base<'_>,
    directory: &Path,
    opened: &OwnedFd,
    entry: &RawDirEntry<'_>,
    depth: usize,
    here: &mut Found,
) -> rustix::io::Result<()> {
    let stat = || statat(opened, entry.file_name(), AtFlags::SYMLINK_NOFOLLOW);
    let path = || directory.join(OsStr::from_bytes(entry.file_name().to_bytes()));
    let kind = match entry.file_type() {
        // Some file systems do not say.
        FileType::Unknown => FileType::from_raw_mode(stat()?.st_mode),
        kind => kind,
    };
    match kind {
        FileType::Directory if depth < MAX_WALK_DEPTH => here.directories.push((path(), depth + 1)),
        FileType::Symlink => here.links.push((path(), depth + 1)),
        FileType::RegularFile => {
            let below = base.below(&path());
            if is_followed(&below) {
                here.files.push(describe(below, &stat()?));
            }
        }
        _ => {}
    }
    Ok(())
}

/// Takes a file, if it is one to follow. Others than regular ones (pipes, devices) may never end.
fn add_file(base: Base<'_>, path: &Path, stat: &Stat, here: &mut Found) {
    let below = base.below(path);
    if FileType::from_raw_mode(stat.st_mode).is_file() && is_followed(&below) {
        here.files.push(describe(below, stat));
    }
}

/// What is gone, or replaced, since it was listed is no fault. Nor are links that lead to each other: they lead to
/// nothing.
fn fail(base: Base<'_>, path: &Path, error: io::Error, here: &mut Found) {
    let is_nothing = matches!(error.kind(), io::ErrorKind::NotFound | io::ErrorKind::NotADirectory)
        || error.raw_os_error() == Some(Errno::LOOP.raw_os_error());
    if !is_nothing || path == base.directory {
        here.errors.push(ListError { path: shown(path), error });
    }
}
