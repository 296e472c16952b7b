//! `verify`: checks every record of event files, and saves the good ones.

use std::collections::BTreeMap;
use std::fs;
use std::io::{self, BufWriter, Write};
use std::path::{Path, PathBuf};

use serde::Serialize;
use tfevents::disk::Root;
use tfevents::disk::{self, Source};

use super::inspect::{DamageJson, damage_json};
use super::{Failure, open_logs, unnamed_hint};
use crate::edge::output::Output;
use crate::limits::{MAX_DAMAGES_LISTED, READ_CHUNK_BYTES};
use crate::units::natural_order;
use tfevents::record::{Damage, DamageKind};
use tfevents::tail::{Compression, FOREIGN_HEAD_BYTES, FileKind, Ingest, Ingested, Listed, foreign};

/// What checking the files below one path gave.
#[derive(Debug, Default)]
pub struct Verification {
    /// Each event file, by path.
    pub files: Vec<VerifiedFile>,
    /// What could not be looked at, in the system's words.
    pub warnings: Vec<String>,
    /// That files are event files without being called so, where there is no other.
    pub unnamed: Option<String>,
}

/// What checking one event file gave.
#[derive(Debug, Default)]
pub struct VerifiedFile {
    /// Its path below the root.
    pub path: String,
    /// Its length in bytes.
    pub bytes: u64,
    /// How many whole records it holds whose checksums agree.
    pub n_records: u64,
    /// How many bytes belong to no good record.
    pub bad_bytes: u64,
    /// The first stretches that gave no event, with the path of their file.
    pub damages: Vec<(String, Damage)>,
    /// How many there are, of each kind.
    pub n_damages: BTreeMap<DamageKind, u64>,
    /// Why it could not be read, or its good records not be saved.
    pub warning: Option<String>,
    /// Where its good records were saved.
    pub repaired: Option<PathBuf>,
}

impl Verification {
    /// Whether anything is damaged or could not be done, or there is no event file at all.
    #[must_use]
    pub fn has_faults(&self) -> bool {
        self.files.is_empty() || !self.warnings.is_empty() || self.files.iter().any(VerifiedFile::has_faults)
    }

    /// Whether something could not be read or saved: trying again may help.
    #[must_use]
    pub fn has_warnings(&self) -> bool {
        !self.warnings.is_empty() || self.files.iter().any(|file| file.warning.is_some())
    }
}

impl VerifiedFile {
    /// Whether it is damaged or could not be read.
    #[must_use]
    pub fn has_faults(&self) -> bool {
        self.warning.is_some() || !self.n_damages.is_empty()
    }

    fn add(&mut self, damage: Damage) {
        *self.n_damages.entry(damage.kind).or_default() += 1;
        self.bad_bytes += damage.bytes;
        if self.damages.len() < MAX_DAMAGES_LISTED {
            self.damages.push((self.path.clone(), damage));
        }
    }
}

/// Checks every record at or below `paths`.
///
/// With `repair`, the good records of each file are written to a new file there, byte for byte: to that
/// path where `paths` is one file, to the same places below it where they are others. Nothing that
/// exists is written over.
///
/// # Errors
/// One of `paths` is missing or cannot be looked at; `repair` exists.
pub fn verify(paths: &[PathBuf], repair: Option<&Path>) -> Result<Verification, Failure> {
    let logs = open_logs("verify", paths)?;
    if let Some(out) = repair.filter(|out| out.symlink_metadata().is_ok()) {
        return Err(Failure::usage(format!("{}: exists already", out.display()))
            .with_hint("--repair writes to a new file or directory, never over an old one"));
    }
    for (out, path) in repair.iter().flat_map(|out| paths.iter().map(move |path| (out, path))) {
        if path.is_dir() && lies_below(out, path) {
            return Err(Failure::usage(format!("{}: lies in {}", out.display(), path.display()))
                .with_hint("a copy there would be read as a further run: name a place outside"));
        }
    }
    let n_threads = disk::n_threads();
    let mut files = logs.files().to_vec();
    files.sort_by(|a, b| natural_order(&a.path, &b.path));
    files.retain(|file| logs.root().kind_of(&file.path) == Some(FileKind::Events));
    let is_one_file = matches!(paths, [path] if path.is_file());
    let check = |buffer: &mut Vec<u8>, i: usize| {
        let Some(file) = files.get(i) else { return VerifiedFile::default() };
        // What is written is not compressed.
        let path = file.path.strip_suffix(".gz").unwrap_or(&file.path);
        let out = repair.map(|out| if is_one_file { out.to_owned() } else { out.join(path) });
        check(logs.root(), file, out, buffer)
    };
    let warnings = logs.errors().iter().map(ToString::to_string).collect();
    let mut verification = Verification { warnings, ..Verification::default() };
    disk::in_order(files.len(), n_threads, check, |file| verification.files.push(file));
    if verification.files.is_empty() {
        verification.unnamed = unnamed_hint("verify", paths);
    }
    Ok(verification)
}

fn check(root: &Root, listed: &Listed, out: Option<PathBuf>, buffer: &mut Vec<u8>) -> VerifiedFile {
    buffer.resize(READ_CHUNK_BYTES, 0);
    let mut file = VerifiedFile { path: listed.path.clone(), bytes: listed.bytes, ..VerifiedFile::default() };
    let mut source = Source::new(root, listed);
    let mut head = [0; FOREIGN_HEAD_BYTES];
    // What cannot be read is told by the reading that follows.
    let n = source.read_at(0, &mut head).unwrap_or(0);
    let head = head.get(..n).unwrap_or(&[]);
    if let Some(what) = foreign(&listed.path, head) {
        file.warning = Some(what.in_words(&listed.path));
        return file;
    }
    let compression = Compression::of(head);
    let mut copy = out.map(|path| Copy {
        read_at: content_of(Source::new(root, listed), compression),
        path,
        out: None,
        at: 0,
    });
    let mut saved = Ok(());
    let mut sink = |_, said: Ingested<'_>| {
        if let Ingested::Damage(damage) = said {
            // A record that holds too much for us is intact all the same.
            if damage.kind == DamageKind::TooLong {
                return;
            }
            file.add(damage);
            if let (Some(copy), Ok(())) = (&mut copy, &saved) {
                saved = copy.leave_out(damage);
            }
        }
    };
    let (read, n_records, end) = match compression {
        // Where it ends inside a record, that is behind what is to be saved.
        Some(compression) => match source.read_packed(compression, buffer, &mut sink) {
            Ok(packed) => (Ok(()), packed.n_records, packed.resume_offset),
            Err(e) => (Err(e), 0, 0),
        },
        None => {
            let mut ingest = Ingest::default();
            let read = ingest.read_to_end(buffer, |at, buffer| source.read_at(at, buffer), &mut sink);
            (read, ingest.n_records(), ingest.resume_offset())
        }
    };
    file.n_records = n_records - file.n_damages.get(&DamageKind::NotAnEvent).copied().unwrap_or(0);
    if let Err(e) = &read {
        file.warning = Some(format!("cannot be read: {e}"));
    }
    if let Some(copy) = copy.filter(|_| read.is_ok() || file.n_records > 0) {
        let path = copy.path.clone();
        // What lies beyond was not judged, where a read failed.
        match saved.and_then(|()| copy.finish(end)) {
            Ok(()) => file.repaired = Some(path),
            Err(e) => {
                file.warning = Some(format!("its good records cannot be written to {}: {e}", path.display()));
            }
        }
    }
    file
}

/// Whether `out`, which does not exist, would lie in `directory`.
fn lies_below(out: &Path, directory: &Path) -> bool {
    let real = |path: &Path| path.canonicalize().ok();
    let above =
        out.ancestors().skip(1).find_map(|a| real(if a.as_os_str().is_empty() { Path::new(".") } else { a }));
    above.zip(real(directory)).is_some_and(|(above, directory)| above.starts_with(directory))
}

/// Fills a buffer from an offset of a file's content.
type ReadAt<'a> = Box<dyn FnMut(u64, &mut [u8]) -> io::Result<usize> + 'a>;

fn content_of(mut source: Source<'_>, compression: Option<Compression>) -> ReadAt<'_> {
    match compression {
        Some(compression) => {
            let mut content = source.unpacked(compression);
            Box::new(move |offset, buffer| content.read_at(offset, buffer))
        }
        None => Box::new(move |offset, buffer| source.read_at(offset, buffer)),
    }
}

/// A copy of a file without what is damaged; of a compressed one, of its content.
struct Copy<'a> {
    read_at: ReadAt<'a>,
    path: PathBuf,
    /// Begun with the first byte.
    out: Option<BufWriter<Output>>,
    /// What lies before it is copied or left out.
    at: u64,
}

impl Copy<'_> {
    fn out(&mut self) -> io::Result<&mut BufWriter<Output>> {
        if self.out.is_none() {
            if let Some(parent) = self.path.parent() {
                fs::create_dir_all(parent)?;
            }
            self.out = Some(BufWriter::new(Output::new(&self.path)?));
        }
        self.out.as_mut().ok_or_else(|| io::ErrorKind::Other.into())
    }

    fn leave_out(&mut self, damage: Damage) -> io::Result<()> {
        self.copy_to(damage.offset)?;
        self.at = damage.offset + damage.bytes;
        Ok(())
    }

    fn copy_to(&mut self, end: u64) -> io::Result<()> {
        let mut buffer = vec![0; READ_CHUNK_BYTES];
        while self.at < end {
            let n = usize::try_from(end - self.at).unwrap_or(usize::MAX).min(buffer.len());
            let n = (self.read_at)(self.at, buffer.get_mut(..n).unwrap_or_default())?;
            if n == 0 {
                return Err(io::Error::other("the file became shorter while it was read"));
            }
            self.out()?.write_all(buffer.get(..n).unwrap_or(&[]))?;
            self.at += n as u64;
        }
        Ok(())
    }

    fn finish(mut self, end: u64) -> io::Result<()> {
        self.copy_to(end)?;
        self.out()?;
        match self.out {
            Some(out) => out.into_inner().map_err(io::IntoInnerError::into_error)?.finish(),
            None => Ok(()),
        }
    }
}

/// A verification as JSON.
#[derive(Debug, Serialize)]
pub struct VerificationJson<'a> {
    path: String,
    files: Vec<FileJson<'a>>,
    #[serde(rename = "troubles")]
    warnings: &'a [String],
}

#[derive(Debug, Serialize)]
struct FileJson<'a> {
    file: &'a str,
    bytes: u64,
    records: u64,
    bad_bytes: u64,
    damaged: BTreeMap<&'static str, u64>,
    damages: Vec<DamageJson<'a>>,
    #[serde(rename = "trouble")]
    warning: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    repaired: Option<String>,
}

impl<'a> VerificationJson<'a> {
    /// The verification of `path` as JSON.
    #[must_use]
    pub fn new(path: &Path, verification: &'a Verification) -> Self {
        let files = verification.files.iter().map(|file| FileJson {
            file: &file.path,
            bytes: file.bytes,
            records: file.n_records,
            bad_bytes: file.bad_bytes,
            damaged: file.n_damages.iter().map(|(kind, n)| (kind.name(), *n)).collect(),
            damages: file.damages.iter().map(damage_json).collect(),
            warning: file.warning.as_deref(),
            repaired: file.repaired.as_ref().map(|path| path.display().to_string()),
        });
        Self { path: path.display().to_string(), files: files.collect(), warnings: &verification.warnings }
    }
}
