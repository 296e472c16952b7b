//! Finds the event files below a directory, on several threads.

use std::collections::BTreeSet;
use std::fs::{self, DirEntry};
use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};
use std::thread;

use super::files::{ListError, Root, describe};
use crate::limits::MAX_WALK_DEPTH;
use crate::tail::{Listed, is_followed};

/// Directories that wait to be looked at, and what was found in the others.
#[derive(Default)]
struct Found {
    /// Each with its depth below the root.
    directories: Vec<(PathBuf, usize)>,
    /// How many threads look at a directory.
    n_busy: usize,
    files: Vec<Listed>,
    links: Vec<PathBuf>,
    errors: Vec<ListError>,
}

/// Lists every event file below `root`, sorted by path. A file with several paths is listed once, under a
/// path without links where there is one.
pub fn list(root: &Root, n_threads: usize) -> (Vec<Listed>, Vec<ListError>) {
    let Some(directory) = root.whole_directory() else { return root.list() };
    let found = Mutex::new(Found { directories: vec![(directory.to_owned(), 0)], ..Found::default() });
    let more = Condvar::new();
    thread::scope(|scope| {
        for _ in 1..n_threads {
            scope.spawn(|| walk(directory, &found, &more));
        }
        walk(directory, &found, &more);
    });
    let Found { mut files, mut links, mut errors, .. } =
        found.into_inner().unwrap_or_else(PoisonError::into_inner);
    let by_path = |a: &Listed, b: &Listed| a.path.cmp(&b.path);
    files.sort_by(by_path);
    let mut seen = BTreeSet::new();
    files.retain(|file| seen.insert(file.id));
    // What is linked to is as a rule here already; where not, the link is its path.
    links.sort();
    for link in links {
        let (linked, failed) = root.list_below(&link);
        files.extend(linked.into_iter().filter(|file| seen.insert(file.id)));
        errors.extend(failed);
    }
    files.sort_by(by_path);
    (files, errors)
}

fn lock(found: &Mutex<Found>) -> MutexGuard<'_, Found> {
    found.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Looks at directories until none is left.
fn walk(root: &Path, found: &Mutex<Found>, more: &Condvar) {
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
        look(root, &directory, depth, &mut here);
        held = lock(found);
        held.n_busy -= 1;
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
fn look(root: &Path, directory: &Path, depth: usize, here: &mut Found) {
    let entries = match fs::read_dir(directory) {
        Ok(entries) => entries,
        Err(e) => return fail(root, directory, e, here),
    };
    for entry in entries {
        let looked = entry.and_then(|entry| look_at(root, &entry, depth, here));
        if let Err(e) = looked {
            fail(root, directory, e, here);
        }
    }
}

fn look_at(root: &Path, entry: &DirEntry, depth: usize, here: &mut Found) -> io::Result<()> {
    let kind = entry.file_type()?;
    if kind.is_dir() {
        if depth < MAX_WALK_DEPTH {
            here.directories.push((entry.path(), depth + 1));
        }
    } else if kind.is_symlink() {
        here.links.push(entry.path());
    } else if is_followed(&entry.file_name().to_string_lossy()) || is_followed(&below(root, &entry.path())) {
        here.files.push(describe(below(root, &entry.path()), &entry.metadata()?));
    }
    Ok(())
}

/// What is gone since it was listed is no fault.
fn fail(root: &Path, path: &Path, error: io::Error, here: &mut Found) {
    if error.kind() != io::ErrorKind::NotFound || path == root {
        here.errors.push(ListError { path: path.to_string_lossy().into_owned(), error });
    }
}

fn below(root: &Path, path: &Path) -> String {
    path.strip_prefix(root).unwrap_or(path).to_string_lossy().into_owned()
}
