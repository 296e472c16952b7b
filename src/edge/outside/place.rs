//! All that belongs to a trial, in its directory and outside of it, as one place to read from.

use std::collections::{BTreeMap, BTreeSet};
use std::io;
use std::path::Path;
use std::sync::mpsc::Sender;

use tfevents::disk::Root;
use tfevents::follow::ListError;
use tfevents::follow::Place;

use super::record::{Claim, OutsideFile, RecordReader};
use crate::layout::NAMING;
use tfevents::tail::{FileId, Listed};

/// The directory of a trial, wherever that is, and the files that the record of its supervisor names.
pub struct TrialPlace {
    /// The trial's directory on this machine, and the one in an object store.
    inside: Vec<Box<dyn Place>>,
    /// Which of those has the files of each path; the first, where nothing is known.
    part_of: BTreeMap<String, usize>,
    record: RecordReader,
    /// The files outside by their names, each with its path below `/`.
    outside: BTreeMap<String, String>,
    /// What is not told yet.
    new: Vec<OutsideFile>,
    /// Reads the files outside.
    root: Root,
    noticed: Sender<OutsideFile>,
}

impl TrialPlace {
    /// A trial's directories, and what `record` names. What is found outside is told to `noticed` once.
    #[must_use]
    pub fn new(inside: Vec<Box<dyn Place>>, record: &Path, noticed: Sender<OutsideFile>) -> Self {
        let (record, root) = (RecordReader::new(record), Root::directory(Path::new("/")).with_naming(NAMING));
        let (part_of, outside) = (BTreeMap::new(), BTreeMap::new());
        Self { inside, part_of, record, outside, new: Vec::new(), root, noticed }
    }

    fn list_inside(&mut self) -> (Vec<Listed>, Vec<ListError>) {
        let (mut all, mut all_errors) = (Vec::new(), Vec::new());
        for (n, part) in self.inside.iter_mut().enumerate() {
            let (mut listed, mut errors) = part.list();
            // As between a directory and its stand-in: what is in both is one.
            listed.retain(|file| *self.part_of.entry(file.path.clone()).or_insert(n) == n);
            all.append(&mut listed);
            all_errors.append(&mut errors);
        }
        all.sort_by(|a, b| a.path.cmp(&b.path));
        (all, all_errors)
    }

    fn part(&mut self, path: &str) -> io::Result<&mut Box<dyn Place>> {
        let n = self.part_of.get(path).copied().unwrap_or(0);
        self.inside.get_mut(n).ok_or_else(|| io::ErrorKind::NotFound.into())
    }

    fn take_record(&mut self) {
        for file in self.record.take_new() {
            match (file.claim, file.path.strip_prefix("/").ok().and_then(Path::to_str)) {
                (Claim::Own, Some(below)) => drop(self.outside.insert(file.name.clone(), below.to_owned())),
                _ => drop(self.outside.remove(&file.name)),
            }
            self.new.push(file);
        }
    }
}

impl Place for TrialPlace {
    fn list(&mut self) -> (Vec<Listed>, Vec<ListError>) {
        let (mut listed, errors) = self.list_inside();
        self.take_record();
        if self.outside.is_empty() && self.new.is_empty() {
            return (listed, errors);
        }
        // The same file may be reached both ways, by a link; and a trainer may copy what it wrote.
        let inside: BTreeSet<FileId> = listed.iter().map(|file| file.id).collect();
        let mut outside = Vec::new();
        for (name, path) in &self.outside {
            let there = self.root.look(path).ok().flatten().filter(|file| !inside.contains(&file.id));
            outside.extend(there.map(|file| Listed { path: name.clone(), ..file }));
        }
        let names: BTreeSet<&str> = outside.iter().map(|file| &*file.path).collect();
        listed.retain(|file| !names.contains(&*file.path));
        for file in self.new.drain(..) {
            if file.claim != Claim::Own || names.contains(&*file.name) {
                // Nobody wants to know where this fails.
                let _ = self.noticed.send(file);
            }
        }
        listed.extend(outside);
        listed.sort_by(|a, b| a.path.cmp(&b.path));
        (listed, errors)
    }

    fn look(&mut self, path: &str) -> io::Result<Option<Listed>> {
        match self.outside.get(path) {
            Some(below) => {
                let there = self.root.look(below)?;
                Ok(there.map(|file| Listed { path: path.to_owned(), ..file }))
            }
            None => self.part(path)?.look(path),
        }
    }

    fn read(&mut self, path: &str, id: FileId, offset_bytes: u64, buffer: &mut [u8]) -> io::Result<usize> {
        match self.outside.get(path) {
            Some(below) => self.root.read(below, id, offset_bytes, buffer),
            None => self.part(path)?.read(path, id, offset_bytes, buffer),
        }
    }
}
