//! The record of what was found: one line of JSON a file, among the trial's own records.

use std::collections::BTreeSet;
use std::fs::File;
use std::io::{self, Read, Seek, SeekFrom};
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use crate::edge::reports::append_lines;

/// An event file outside of a trial's directory.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct OutsideFile {
    /// Where it is, absolute.
    pub path: PathBuf,
    /// How it is named: below the directory that the trainer runs in, or its whole path without the first `/`.
    pub name: String,
    /// Whose it is.
    pub claim: Claim,
}

/// Whose a file is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Claim {
    /// The trial's.
    Own,
    /// Somebody else writes to it at the same time: what it holds is of neither.
    Shared,
    /// It came while the trial ran, and nothing says whose it is.
    Unclear,
}

/// Adds to a record.
///
/// # Errors
/// Errors of writing, and a path that is no text.
pub(super) fn append(record: &Path, file: &OutsideFile) -> io::Result<()> {
    let line = serde_json::to_string(file)? + "\n";
    append_lines(record, line.as_bytes()).map(drop)
}

/// Reads a record while it grows.
#[derive(Debug)]
pub(super) struct RecordReader {
    record: PathBuf,
    n_read: u64,
}

impl RecordReader {
    pub(super) fn new(record: &Path) -> Self {
        Self { record: record.to_owned(), n_read: 0 }
    }

    /// The files of whole lines that are new; those of a record that is not there are none.
    pub(super) fn take_new(&mut self) -> Vec<OutsideFile> {
        let mut bytes = Vec::new();
        let read = File::open(&self.record).and_then(|mut file| {
            file.seek(SeekFrom::Start(self.n_read))?;
            file.read_to_end(&mut bytes)
        });
        if read.is_err() {
            return Vec::new();
        }
        let lines = bytes.split_inclusive(|byte| *byte == b'\n').filter(|line| line.ends_with(b"\n"));
        lines
            .filter_map(|line| {
                self.n_read += line.len() as u64;
                // What is no such line is a newer program's.
                serde_json::from_slice(line).ok()
            })
            .collect()
    }
}

/// The paths that a record names as the trial's.
pub(crate) fn known(record: &Path) -> BTreeSet<PathBuf> {
    let files = RecordReader::new(record).take_new().into_iter();
    files.filter(|file| file.claim == Claim::Own).map(|file| file.path).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_record_is_read_line_by_line_while_it_grows() {
        let directory = tempfile::tempdir().expect("a directory");
        let record = directory.path().join("outside.jsonl");
        let file = |name: &str, claim| OutsideFile {
            path: Path::new("/w").join(name),
            name: name.to_owned(),
            claim,
        };
        let mut reader = RecordReader::new(&record);
        assert_eq!(reader.take_new(), []);
        append(&record, &file("a", Claim::Own)).expect("it is written");
        append(&record, &file("b", Claim::Unclear)).expect("it is written");
        assert_eq!(reader.take_new(), [file("a", Claim::Own), file("b", Claim::Unclear)]);
        append_lines(&record, b"{\"newer\": 1}\n{\"path\"").expect("it is written");
        append(&record, &file("c", Claim::Shared)).expect("it is written");
        assert_eq!(reader.take_new(), [file("c", Claim::Shared)]);
        assert_eq!(reader.take_new(), []);
        assert_eq!(known(&record), BTreeSet::from([PathBuf::from("/w/a")]));
    }
}
