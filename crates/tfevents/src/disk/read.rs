//! Reads event files that are not followed, several at a time.

use std::collections::BTreeMap;
use std::fs::File;
use std::io;
use std::num::NonZeroUsize;
use std::ops::ControlFlow;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Mutex, PoisonError};
use std::thread;

use super::pieces::{Assembly, read_in_pieces};
use super::root::{Root, is_passing, read_at};
use crate::limits::{
    DRAIN_RETRY, MAX_HYPERTUNE_FILE_BYTES, MAX_READ_RETRIES, READ_CHUNK_BYTES, SPLIT_FILE_BYTES,
};
use crate::series::WriterId;
use crate::tail::{
    self, Compression, FOREIGN_HEAD_BYTES, FileKind, Found, HypertuneFile, HypertuneNews, Ingested, Listed,
    Logged, PackedIngest, ReportLog, Rises, Unpacker, foreign,
};
use crate::units::WallTime;

/// How many threads reading pays for.
#[must_use]
pub fn n_threads() -> usize {
    thread::available_parallelism().map_or(1, NonZeroUsize::get)
}

/// Fills a `T` with what is found in a file. Closures do, one by one.
pub trait Handle<T>: Sync {
    /// Whether [`Self::handle_rises`] is to be called.
    const TAKES_RISES: bool = false;

    /// Takes what was found, in the order in which it stands in the file.
    fn handle(&self, gathered: &mut T, found: Found<'_>);

    /// Takes values at once, of a writer whose file was begun at `started`. False, with nothing taken, where they are to be
    /// taken one by one.
    fn handle_rises(&self, gathered: &mut T, writer: WriterId, started: WallTime, rises: Rises<'_>) -> bool {
        let (_, _, _, _) = (gathered, writer, started, rises);
        false
    }
}

impl<T, F: Fn(&mut T, Found<'_>) + Sync> Handle<T> for F {
    #[inline]
    fn handle(&self, gathered: &mut T, found: Found<'_>) {
        self(gathered, found);
    }
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
    handle: impl Handle<T>,
    mut done: impl FnMut(T),
) {
    let all_bytes: u64 = files.iter().map(|file| file.bytes).sum();
    // A file that is no small part of all would be read by one thread while the others have nothing left to do.
    let is_split = |file: &Listed| {
        let weight = file.bytes.saturating_mul(2 * n_threads as u64);
        n_threads > 1 && file.bytes >= SPLIT_FILE_BYTES && weight >= all_bytes
    };
    let read = |buffer: &mut Vec<u8>, i: usize| {
        let mut gathered = make();
        if let Some(file) = files.get(i) {
            buffer.resize(READ_CHUNK_BYTES, 0);
            read_file(root, file, i, buffer, &mut |found| handle.handle(&mut gathered, found));
        }
        gathered
    };
    let mut at = 0;
    while let Some(rest) = files.get(at..).filter(|rest| !rest.is_empty()) {
        let n_whole = rest.iter().take_while(|file| !is_split(file)).count();
        in_order(n_whole, n_threads, |buffer, i| read(buffer, at + i), &mut done);
        at += n_whole;
        if n_whole < rest.len() {
            let whole = Whole { gathered: make(), handle: &handle };
            let none = |()| ControlFlow::Continue(());
            done(read_in_pieces(root, files, at..at + 1, n_threads, whole, |()| (), none).gathered);
            at += 1;
        }
    }
}

/// What is gathered of one file that is read in pieces.
struct Whole<'a, T, H> {
    gathered: T,
    handle: &'a H,
}

impl<T: Send, H: Handle<T>> Assembly for Whole<'_, T, H> {
    type Batch = ();

    const TAKES_RISES: bool = H::TAKES_RISES;

    #[inline]
    fn take(&mut self, found: Found<'_>) -> Option<()> {
        self.handle.handle(&mut self.gathered, found);
        None
    }

    fn take_rises(&mut self, writer: WriterId, started: WallTime, rises: Rises<'_>) -> bool {
        self.handle.handle_rises(&mut self.gathered, writer, started, rises)
    }
}

/// Does `work` for each number below `n` on up to `n_threads` threads, each with a buffer of its own, and
/// hands what it gives to `done`, in order. The calling thread is one of them, so that no thread waits
/// for another: waking one costs as much as reading a small file.
pub fn in_order<T: Send>(
    n: usize,
    n_threads: usize,
    work: impl Fn(&mut Vec<u8>, usize) -> T + Sync,
    mut done: impl FnMut(T),
) {
    let next = AtomicUsize::new(0);
    let results = Mutex::new(BTreeMap::new());
    let lock = || results.lock().unwrap_or_else(PoisonError::into_inner);
    // False where nothing is left to do.
    let step = |buffer: &mut Vec<u8>| {
        let i = next.fetch_add(1, Ordering::Relaxed);
        if i < n {
            let result = work(buffer, i);
            lock().insert(i, result);
        }
        i < n
    };
    let mut n_done = 0;
    let mut hand_over = || {
        while let Some(result) = { lock().remove(&n_done) } {
            done(result);
            n_done += 1;
        }
    };
    thread::scope(|scope| {
        for _ in 1..n_threads.min(n) {
            scope.spawn(|| {
                let mut buffer = Vec::new();
                while step(&mut buffer) {}
            });
        }
        let mut buffer = Vec::new();
        while step(&mut buffer) {
            hand_over();
        }
    });
    hand_over();
}

/// Reads one file.
pub fn read_file(
    root: &Root,
    listed: &Listed,
    i: usize,
    buffer: &mut [u8],
    found: &mut impl FnMut(Found<'_>),
) {
    let Some(kind) = root.kind_of(&listed.path) else { return };
    let run = root.naming().run_of(&listed.path);
    let path = &*listed.path;
    let writer = WriterId(u32::try_from(i).unwrap_or(u32::MAX));
    found(Found::File { run: &run, path });
    let mut source = Source::new(root, listed);
    let read = match kind {
        FileKind::Metrics => {
            let mut bytes = vec![0; usize::try_from(listed.bytes.min(MAX_HYPERTUNE_FILE_BYTES)).unwrap_or(0)];
            source.read_at(0, &mut bytes).map(|n| {
                let mut file = HypertuneFile::default();
                file.feed(bytes.get(..n).unwrap_or(&[]));
                let HypertuneNews { entries, unreadable, .. } = file.take_new();
                for entry in entries {
                    found(Found::Hypertune { run: &run, path, writer, entry });
                }
                if unreadable.n > 0 {
                    found(Found::UnreadableReports { run: &run, path, unreadable });
                }
            })
        }
        FileKind::Reports => read_reports(&mut source, buffer, &mut |report| match report {
            Logged::Entry(entry) => found(Found::Hypertune { run: &run, path, writer, entry }),
            Logged::MayLack => found(Found::MissedReports { path }),
            Logged::Unreadable(unreadable) => found(Found::UnreadableReports { run: &run, path, unreadable }),
        }),
        FileKind::Events => {
            let first = source.read_at(0, buffer);
            let n_head = first.as_ref().map_or(0, |n| FOREIGN_HEAD_BYTES.min(*n));
            let head = buffer.get(..n_head).unwrap_or(&[]);
            if let Some(what) = foreign(path, head) {
                return found(Found::Foreign { path, what });
            }
            let mut sink = |started: WallTime, ingested: Ingested<'_>| {
                found(Found::Event { run: &run, path, writer, started, ingested });
            };
            if let Some(compression) = Compression::of(head) {
                if let Err(e) = read_packed(&mut source, compression, buffer, &mut sink) {
                    found(Found::Unreadable { path, error: e.to_string() });
                }
                return;
            }
            // What was read first is in the buffer.
            let mut first = Some(first);
            let mut end = u64::MAX;
            let read_at = |offset: u64, buffer: &mut [u8]| {
                if offset >= end {
                    return Ok(0);
                }
                let n = first.take().unwrap_or_else(|| source.read_at(offset, buffer))?;
                // A file is over where all that was listed is read, and there was no more.
                if n < buffer.len() && offset + n as u64 >= listed.bytes {
                    end = offset + n as u64;
                }
                Ok(n)
            };
            tail::read_at(buffer, read_at, &mut sink)
        }
    };
    if let Err(e) = read {
        found(Found::Unreadable { path, error: e.to_string() });
    }
}

/// What the content of a compressed event file has.
#[derive(Debug, Clone, Copy)]
pub struct ReadPacked {
    /// How many whole records.
    pub n_records: u64,
    /// The end of the last of them, or of damage behind it.
    pub resume_offset: u64,
}

/// Reads a compressed event file from its first to its last byte.
///
/// # Errors
/// Errors of reading; what was read before is told.
pub(super) fn read_packed(
    source: &mut Source<'_>,
    compression: Compression,
    buffer: &mut [u8],
    sink: &mut dyn FnMut(WallTime, Ingested<'_>),
) -> io::Result<ReadPacked> {
    let (mut packed, mut offset_bytes) = (PackedIngest::new(compression), 0);
    let read = loop {
        match source.read_at(offset_bytes, buffer) {
            Ok(0) => break Ok(()),
            Ok(n) => {
                packed.feed(buffer.get(..n).unwrap_or(&[]), sink);
                offset_bytes += n as u64;
            }
            Err(e) => break Err(e),
        }
    };
    let resume_offset = packed.ingest().resume_offset();
    if read.is_ok() {
        packed.finish(sink);
    }
    read.map(|()| ReadPacked { n_records: packed.ingest().n_records(), resume_offset })
}

fn read_reports(
    source: &mut Source<'_>,
    buffer: &mut [u8],
    found: &mut dyn FnMut(Logged),
) -> std::io::Result<()> {
    let (mut log, mut offset_bytes) = (ReportLog::default(), 0);
    loop {
        let n = source.read_at(offset_bytes, buffer)?;
        log.feed(buffer.get(..n).unwrap_or(&[]), found);
        offset_bytes += n as u64;
        if n < buffer.len() {
            return Ok(());
        }
    }
}

/// A file that is opened when it is first read, and again after an error that may pass.
pub struct Source<'a> {
    root: &'a Root,
    listed: &'a Listed,
    file: Option<File>,
}

impl<'a> Source<'a> {
    /// The file of `root` that was listed.
    #[must_use]
    pub fn new(root: &'a Root, listed: &'a Listed) -> Self {
        Self { root, listed, file: None }
    }

    /// Fills a buffer from an offset and says how much it put there, 0 at the file's end.
    ///
    /// # Errors
    /// Errors of opening and reading that do not pass. A path at which another file stands by now is one.
    pub fn read_at(&mut self, offset: u64, buffer: &mut [u8]) -> io::Result<usize> {
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

    /// Reads a compressed file whole; what its records say goes to `sink`.
    ///
    /// # Errors
    /// As of [`Self::read_at`]; what was read before is told.
    pub fn read_packed(
        &mut self,
        compression: Compression,
        buffer: &mut [u8],
        sink: &mut dyn FnMut(WallTime, Ingested<'_>),
    ) -> io::Result<ReadPacked> {
        read_packed(self, compression, buffer, sink)
    }

    /// The content of a compressed file.
    #[must_use]
    pub fn unpacked(
        self,
        compression: Compression,
    ) -> Content<impl FnMut(u64, &mut [u8]) -> io::Result<usize>> {
        let mut source = self;
        Content::new(compression, move |offset, buffer: &mut [u8]| source.read_at(offset, buffer))
    }

    fn try_read_at(&mut self, offset: u64, buffer: &mut [u8]) -> io::Result<usize> {
        let file = match &mut self.file {
            Some(file) => file,
            none => none.insert(self.root.open_file(&self.listed.path, self.listed.id)?),
        };
        read_at(file, buffer, offset)
    }
}

/// The content of a compressed file, read from rising offsets; going back reads it again from its beginning.
pub struct Content<R> {
    compression: Compression,
    read: R,
    /// How much of the file was read.
    offset_bytes: u64,
    unpacker: Unpacker,
    /// Content that was not asked for yet, and where it lies.
    held: Vec<u8>,
    held_at: u64,
    buffer: Vec<u8>,
}

impl<R> std::fmt::Debug for Content<R> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Content").field("unpacker", &self.unpacker).finish_non_exhaustive()
    }
}

impl<R: FnMut(u64, &mut [u8]) -> io::Result<usize>> Content<R> {
    /// Of a file that is read through `read`, which fills a buffer from an offset and says how much it put there.
    pub fn new(compression: Compression, read: R) -> Self {
        Self {
            compression,
            read,
            offset_bytes: 0,
            unpacker: Unpacker::new(compression),
            held: Vec::new(),
            held_at: 0,
            buffer: vec![0; UNPACKED_AT_ONCE],
        }
    }

    /// Fills a buffer from an offset of the content and says how much it put there, 0 at its end and where what follows
    /// cannot be unpacked.
    ///
    /// # Errors
    /// Errors of reading the file.
    pub fn read_at(&mut self, offset: u64, buffer: &mut [u8]) -> io::Result<usize> {
        if offset < self.held_at {
            (self.offset_bytes, self.held_at) = (0, 0);
            self.unpacker = Unpacker::new(self.compression);
            self.held.clear();
        }
        loop {
            let n_before = usize::try_from(offset - self.held_at).unwrap_or(usize::MAX);
            if let Some(there) = self.held.get(n_before..).filter(|there| !there.is_empty()) {
                let n = there.len().min(buffer.len());
                let to = buffer.get_mut(..n).unwrap_or_default();
                to.copy_from_slice(there.get(..n).unwrap_or_default());
                return Ok(n);
            }
            let n = (self.read)(self.offset_bytes, &mut self.buffer)?;
            if n == 0 || self.unpacker.is_damaged() {
                return Ok(0);
            }
            self.offset_bytes += n as u64;
            self.held_at += self.held.len() as u64;
            self.held.clear();
            let Self { unpacker, buffer, held, held_at, .. } = self;
            unpacker.feed(buffer.get(..n).unwrap_or(&[]), &mut |content| {
                // What lies wholly before is passed over.
                let end = *held_at + (held.len() + content.len()) as u64;
                if end <= offset {
                    *held_at = end;
                    held.clear();
                } else {
                    held.extend_from_slice(content);
                }
            });
        }
    }

    /// What is wrong with the compression behind the content that was read.
    pub fn finish(&mut self) -> Option<crate::record::Damage> {
        self.unpacker.finish()
    }
}

/// How much of a compressed file is unpacked at once: a thousand times as much may come out.
const UNPACKED_AT_ONCE: usize = 4 << 10;
