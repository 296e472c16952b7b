//! Finds the event files below a directory, on several threads.

use std::collections::{BTreeSet, HashSet};
use std::fs::{self, DirEntry};
use std::io;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};
use std::thread;

use super::root::{Root, describe, is_link_loop, shown};
use super::stat::Stat;
use crate::follow::ListError;
use crate::limits::MAX_WALK_DEPTH;
use crate::tail::{FileId, Listed, Naming, leave_out_twins};

/// A directory whose files are listed.
#[derive(Debug, Clone, Copy)]
struct Base<'a> {
    directory: &'a Path,
    /// Under which name, `/` at its end.
    name: &'a str,
    naming: Naming,
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
pub(super) fn list(root: &Root, n_threads: usize) -> (Vec<Listed>, Vec<ListError>) {
    let (mut files, mut errors) = (Vec::new(), Vec::new());
    let naming = root.naming();
    if root.parts().is_empty() {
        (files, errors) = list_below(Base { directory: &root.standing(), name: "", naming }, n_threads);
    }
    for part in root.parts() {
        let directory = root.real_path(part);
        match Stat::at(&directory) {
            Ok(stat) if stat.metadata.is_dir() => {
                let (mut below, mut failed) =
                    list_below(Base { directory: &directory, name: &format!("{part}/"), naming }, n_threads);
                files.append(&mut below);
                errors.append(&mut failed);
            }
            Ok(stat) => files.push(describe(part.clone(), &stat)),
            Err(error) => errors.push(ListError { path: part.clone(), error }),
        }
    }
    for (name, directory) in root.mounts() {
        let (mounted, failed) = list_below(Base { directory, name, naming }, 1);
        if !mounted.is_empty() {
            let paths: HashSet<&str> = mounted.iter().map(|file| &*file.path).collect();
            files.retain(|file| !paths.contains(&*file.path));
            files.extend(mounted);
        }
        // It may come later.
        errors.extend(failed.into_iter().filter(|failed| failed.error.kind() != io::ErrorKind::NotFound));
    }
    if root.parts().len() > 1 || root.mounts().next().is_some() {
        let mut known = HashSet::new();
        files.retain(|file| known.insert(file.id));
        files.sort_by(|a, b| a.path.cmp(&b.path));
    }
    leave_out_twins(&mut files);
    (files, errors)
}

fn list_below(base: Base<'_>, n_threads: usize) -> (Vec<Listed>, Vec<ListError>) {
    let directory = base.directory;
    let found = Mutex::new(Found { directories: vec![(directory.to_owned(), 0)], ..Found::default() });
    let (more, n_waiting) = (Condvar::new(), AtomicUsize::new(0));
    thread::scope(|scope| {
        for _ in 1..n_threads {
            scope.spawn(|| walk(base, &found, &more, &n_waiting));
        }
        walk(base, &found, &more, &n_waiting);
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
    let identity = |directory: PathBuf| Some(Stat::at(&directory).ok()?.id);
    let mut looked: BTreeSet<FileId> = found.looked.drain(..).filter_map(identity).collect();
    loop {
        links.extend(found.links.drain(..));
        let Some((link, depth)) = links.pop_first() else { return };
        found.directories.push((link, depth));
        while let Some((path, depth)) = found.directories.pop() {
            match Stat::at(&path) {
                Ok(stat) if stat.metadata.is_dir() => {
                    if looked.insert(stat.id) {
                        look(base, &path, depth, found);
                    }
                }
                Ok(stat) => add_file(base, &path, &stat, found),
                // A link to nothing is no fault.
                Err(error) => fail(base, &path, error, found),
            }
        }
        found.take_files(files);
    }
}

fn lock(found: &Mutex<Found>) -> MutexGuard<'_, Found> {
    found.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Looks at directories until none is left. What is below a directory is left to the others only where one waits: a lock and a
/// wake-up cost as much as looking at a small directory.
fn walk(base: Base<'_>, found: &Mutex<Found>, more: &Condvar, n_waiting: &AtomicUsize) {
    let mut held = lock(found);
    loop {
        let Some(next) = held.directories.pop() else {
            if held.n_busy == 0 {
                more.notify_all();
                return;
            }
            n_waiting.fetch_add(1, Ordering::Relaxed);
            held = more.wait(held).unwrap_or_else(PoisonError::into_inner);
            n_waiting.fetch_sub(1, Ordering::Relaxed);
            continue;
        };
        held.n_busy += 1;
        drop(held);
        let mut here = Found { directories: vec![next], ..Found::default() };
        while let Some((directory, depth)) = here.directories.pop() {
            look(base, &directory, depth, &mut here);
            here.looked.push(directory);
            if n_waiting.load(Ordering::Relaxed) > 0 && !here.directories.is_empty() {
                lock(found).directories.append(&mut here.directories);
                more.notify_all();
            }
        }
        held = lock(found);
        held.n_busy -= 1;
        held.looked.append(&mut here.looked);
        held.files.append(&mut here.files);
        held.links.append(&mut here.links);
        held.errors.append(&mut here.errors);
    }
}

/// Looks at one directory.
fn look(base: Base<'_>, directory: &Path, depth: usize, here: &mut Found) {
    let entries = match fs::read_dir(directory) {
        Ok(entries) => entries,
        Err(error) => return fail(base, directory, error, here),
    };
    for entry in entries {
        if let Err(error) = entry.and_then(|entry| look_at(base, &entry, depth, here)) {
            fail(base, directory, error, here);
        }
    }
}

fn look_at(base: Base<'_>, entry: &DirEntry, depth: usize, here: &mut Found) -> io::Result<()> {
    let kind = entry.file_type()?;
    if kind.is_symlink() {
        here.links.push((entry.path(), depth + 1));
    } else if kind.is_dir() {
        if depth < MAX_WALK_DEPTH {
            here.directories.push((entry.path(), depth + 1));
        }
    } else if kind.is_file() {
        let path = entry.path();
        let below = base.below(&path);
        if base.naming.is_followed(&below) {
            here.files.push(describe(below, &Stat::of_entry(entry)?));
        }
    }
    Ok(())
}

/// Takes a file, if it is one to follow. Others than regular ones (pipes, devices) may never end.
fn add_file(base: Base<'_>, path: &Path, stat: &Stat, here: &mut Found) {
    let below = base.below(path);
    if stat.metadata.is_file() && base.naming.is_followed(&below) {
        here.files.push(describe(below, stat));
    }
}

/// What is gone, or replaced, since it was listed is no fault. Nor are links that lead to each other: they lead to
/// nothing.
fn fail(base: Base<'_>, path: &Path, error: io::Error, here: &mut Found) {
    let is_nothing = matches!(error.kind(), io::ErrorKind::NotFound | io::ErrorKind::NotADirectory)
        || is_link_loop(&error);
    if !is_nothing || path == base.directory {
        here.errors.push(ListError { path: shown(path), error });
    }
}
