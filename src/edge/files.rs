//! The directories of trials as places that hold event files.

use std::fs::File;
use std::io::{self, Read};
use std::path::{Path, PathBuf};

use rustix::fs::Stat;
use tfevents::disk::{Root, shown};
use tfevents::limits::FIRST_EVENT_BYTES;
use tfevents::tail::{Compression, FileId, Ingest, Ingested, PackedIngest};

use crate::layout::{NAMING, OWN_DIRECTORY, is_followed, is_trial};
use crate::limits::{MAX_NEAR_ENTRIES, MAX_NEAR_LISTED, NEAR_DEPTH};

/// A directory, which may come later, with what was kept of the trial whose directory it is.
#[must_use]
pub fn directory(path: &Path) -> Root {
    with_records(Root::directory(path))
}

/// What these paths are, which may come later; see [`Root::of`].
#[must_use]
pub fn of(paths: &[PathBuf]) -> Root {
    with_records(Root::of(paths))
}

/// What these paths are now; see [`Root::open`].
///
/// # Errors
/// A path is missing, or may not be looked at: the path, and the system's error.
pub fn open(paths: &[PathBuf]) -> Result<Root, (PathBuf, io::Error)> {
    Root::open(paths).map(with_records)
}

/// The same, with what was kept of the trials whose directories are meant: it stands beside those.
fn with_records(root: Root) -> Root {
    let base = root.base().to_owned();
    if root.parts().is_empty() {
        return match records_beside(&base) {
            Some(records) => root.with_naming(NAMING).with_mount(OWN_DIRECTORY, records),
            None => root.with_naming(NAMING),
        };
    }
    let records: Vec<PathBuf> =
        root.parts().iter().filter_map(|part| records_beside(&base.join(part))).collect();
    records.into_iter().fold(root.with_naming(NAMING), |root, records| match records.strip_prefix(&base) {
        Ok(below) => {
            let name = shown(below);
            root.with_mount(&name, records)
        }
        Err(_) => root,
    })
}

/// Where the records of a trial would stand whose directory this is: `JOB_DIR/.hptune/3` of `JOB_DIR/3`.
pub(crate) fn records_beside(directory: &Path) -> Option<PathBuf> {
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

/// Files at or below `path` that are event files by what they hold and not by their names, in the order of their paths, and
/// whether there are more. For a hint only: it looks at a limited number of files.
#[must_use]
pub fn event_files_by_content(path: &Path) -> (Vec<PathBuf>, bool) {
    let walk = walkdir::WalkDir::new(path).sort_by_file_name().into_iter();
    let entries = walk.take(MAX_NEAR_ENTRIES).flatten().filter(|entry| entry.file_type().is_file());
    let unnamed = entries.filter(|entry| !is_followed(&shown(Path::new(entry.file_name()))));
    let mut found: Vec<PathBuf> = unnamed
        .filter(|entry| holds_events(entry.path()))
        .map(walkdir::DirEntry::into_path)
        .take(MAX_NEAR_LISTED + 1)
        .collect();
    let has_more = found.len() > MAX_NEAR_LISTED;
    found.truncate(MAX_NEAR_LISTED);
    (found, has_more)
}

/// Whether a file begins with an intact record that is an event.
fn holds_events(path: &Path) -> bool {
    let mut head = Vec::new();
    let opened = File::open(path).and_then(|file| file.take(FIRST_EVENT_BYTES as u64).read_to_end(&mut head));
    if opened.is_err() {
        return false;
    }
    let mut first = None;
    let mut sink = |_, said: Ingested<'_>| {
        first.get_or_insert(!matches!(said, Ingested::Damage(_)));
    };
    match Compression::of(&head) {
        Some(compression) => PackedIngest::new(compression).feed(&head, &mut sink),
        None => Ingest::default().feed(&head, &mut sink),
    }
    first == Some(true)
}

/// What tells a file or a directory from others.
pub(crate) fn identify(stat: &Stat) -> FileId {
    FileId { device: stat.st_dev, inode: stat.st_ino }
}

#[cfg(test)]
mod tests {
    use std::fs;

    use tfevents::units::{Step, WallTime};
    use tfevents::{event, record};

    use super::*;

    #[test]
    fn event_files_are_found_by_what_they_hold() {
        let directory = tempfile::tempdir().expect("a directory");
        let mut events = Vec::new();
        record::encode(&event::encode_file_version(WallTime(1.0), "test"), &mut events);
        record::encode(&event::encode_scalars(WallTime(1.0), Step(1), &[("loss", 0.5)]), &mut events);
        let mut examples = Vec::new();
        record::encode(b"\x0a\x05\x0a\x03abc", &mut examples);
        fs::create_dir(directory.path().join("a")).expect("it is made");
        for (name, content) in [
            ("a/log.bin", &events[..]),
            ("b.log", &events),
            ("named.tfevents", &events),
            ("notes.txt", b"text"),
            ("data.tfrecord", &examples),
            ("empty", b""),
        ] {
            fs::write(directory.path().join(name), content).expect("it is written");
        }
        let (found, has_more) = event_files_by_content(directory.path());
        let expected = ["a/log.bin", "b.log"].map(|name| directory.path().join(name));
        assert_eq!((found, has_more), (expected.to_vec(), false));
    }
}
