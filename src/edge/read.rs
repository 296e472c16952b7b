//! Reads event files that are not followed, several at a time.

use std::collections::BTreeMap;
use std::fs::File;
use std::io;
use std::num::NonZeroUsize;
use std::os::unix::fs::FileExt;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::mpsc;
use std::thread;

use super::files::{Root, is_passing};
use crate::limits::{DRAIN_RETRY, MAX_HYPERTUNE_FILE_BYTES, MAX_READ_RETRIES, READ_CHUNK_BYTES};
use crate::series::WriterId;
use crate::tail::{self, Found, HYPERTUNE_METRICS_PATH, HypertuneFile, Listed, run_of};

/// How many threads reading pays for.
#[must_use]
pub fn n_threads() -> usize {
    thread::available_parallelism().map_or(1, NonZeroUsize::get)
}

/// Reads `files` of `root` from their first to their last byte on up to `n_threads` threads. Each file
/// has its own `T`, made by `make` and filled by `handle`; `done` gets them in the order of `files`.
///
/// The writer of a file is its place in `files`. A file that cannot be read gives what was read of it
/// and a [`Found::Unreadable`].
pub fn read_files<T: Send>(
    root: &Root,
    files: &[Listed],
    n_threads: usize,
    make: impl Fn() -> T + Sync,
    handle: impl Fn(&mut T, Found<'_>) + Sync,
    mut done: impl FnMut(T),
) {
    let n_threads = n_threads.min(files.len());
    if n_threads <= 1 {
        let mut buffer = vec![0; READ_CHUNK_BYTES];
        for (i, file) in files.iter().enumerate() {
            let mut gathered = make();
            read_file(root, file, i, &mut buffer, &mut |found| handle(&mut gathered, found));
            done(gathered);
        }
        return;
    }
    let next = AtomicUsize::new(0);
    let (sender, receiver) = mpsc::sync_channel(2 * n_threads);
    thread::scope(|scope| {
        for _ in 0..n_threads {
            let (sender, next, make, handle) = (sender.clone(), &next, &make, &handle);
            scope.spawn(move || {
                let mut buffer = vec![0; READ_CHUNK_BYTES];
                loop {
                    let i = next.fetch_add(1, Ordering::Relaxed);
                    let Some(file) = files.get(i) else { return };
                    let mut gathered = make();
                    read_file(root, file, i, &mut buffer, &mut |found| handle(&mut gathered, found));
                    // Nobody takes it where the receiver panicked, which the scope passes on.
                    if sender.send((i, gathered)).is_err() {
                        return;
                    }
                }
            });
        }
        drop(sender);
        let mut early = BTreeMap::new();
        let mut expected = 0;
        for (i, gathered) in receiver {
            early.insert(i, gathered);
            while let Some(gathered) = early.remove(&expected) {
                done(gathered);
                expected += 1;
            }
        }
    });
}

/// Reads one file.
pub fn read_file(
    root: &Root,
    listed: &Listed,
    i: usize,
    buffer: &mut [u8],
    found: &mut impl FnMut(Found<'_>),
) {
    let run = run_of(&listed.path);
    let path = &*listed.path;
    let writer = WriterId(u32::try_from(i).unwrap_or(u32::MAX));
    found(Found::File { run: &run, path });
    let mut source = Source { root, listed, file: None };
    let read = if path == HYPERTUNE_METRICS_PATH {
        let mut bytes = vec![0; usize::try_from(listed.bytes.min(MAX_HYPERTUNE_FILE_BYTES)).unwrap_or(0)];
        source.read_at(0, &mut bytes).map(|n| {
            let mut file = HypertuneFile::default();
            file.feed(bytes.get(..n).unwrap_or(&[]));
            for entry in file.take_new() {
                found(Found::Hypertune { writer, entry });
            }
        })
    } else {
        tail::read_at(buffer, |offset, buffer| source.read_at(offset, buffer), &mut |started, ingested| {
            found(Found::Event { run: &run, path, writer, started, ingested })
        })
    };
    if let Err(e) = read {
        found(Found::Unreadable { path, error: e.to_string() });
    }
}

/// A file that is opened when it is first read, and again after an error that may pass.
struct Source<'a> {
    root: &'a Root,
    listed: &'a Listed,
    file: Option<File>,
}

impl Source<'_> {
    fn read_at(&mut self, offset: u64, buffer: &mut [u8]) -> io::Result<usize> {
        let mut n_tries = 0;
        loop {
            match self.try_read_at(offset, buffer) {
                Err(e) if is_passing(&e) && n_tries < MAX_READ_RETRIES => {
                    n_tries += 1;
                    self.file = None;
                    thread::sleep(DRAIN_RETRY);
                }
                read => return read,
            }
        }
    }

    fn try_read_at(&mut self, offset: u64, buffer: &mut [u8]) -> io::Result<usize> {
        let file = match &mut self.file {
            Some(file) => file,
            none => none.insert(self.root.open_file(&self.listed.path, self.listed.id)?),
        };
        file.read_at(buffer, offset)
    }
}
