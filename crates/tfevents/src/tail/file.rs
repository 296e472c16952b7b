//! One followed file: how far it is read, and whether it is still the same.

#[cfg(feature = "serde")]
use serde::{Deserialize, Serialize};

use super::hypertune::{HypertuneFile, Logged, ReportLog};
use super::ingest::Ingest;
use super::packed::{Compression, PackedIngest};
use super::{AtEnd, FileId, FileKind, Found, Listed, Naming, foreign};
use crate::limits::{HEAD_BYTES, HEAL_WINDOW_BYTES, HOLE_PATIENCE, OLD_FILE};
use crate::series::WriterId;
use crate::units::{RunName, Time, WallTime};

/// A followed file.
pub(super) struct File {
    pub(super) path: String,
    pub(super) run: RunName,
    pub(super) writer: WriterId,
    pub(super) reader: Reader,
    /// How far it was read.
    offset_bytes: u64,
    /// The first bytes, as far as they are read: what tells a file that grew from another one that
    /// took its place, its inode, or its name.
    pub(super) head: Vec<u8>,
    /// The first bytes are to be compared before more is read.
    pub(super) is_checking: bool,
    /// Size and time of the last listing; `None` asks for another read.
    pub(super) seen: Option<(u64, i64)>,
    pub(super) is_queued: bool,
    pub(super) is_failing: bool,
    /// It is no event file but something else.
    is_foreign: bool,
    /// What another process told of a compressed file.
    told: Option<ToldOfPacked>,
    /// Reading waits before damage that is fresh: it may be a hole that is filled in soon.
    pub(super) is_held: bool,
    /// A size that was seen, and when.
    seen_at: (u64, Time),
    /// What lies before this was there long ago already.
    settled_bytes: u64,
}

/// What was told of a compressed file, which is read from its beginning all the same.
#[derive(Debug, Clone)]
struct ToldOfPacked {
    content_bytes: u64,
    started: WallTime,
    n_records: u64,
    /// The file's first bytes, which tell it from another.
    head: Vec<u8>,
}

/// How far one file was read.
#[derive(Debug, Clone, PartialEq)]
#[cfg_attr(feature = "serde", derive(Serialize, Deserialize))]
pub(super) struct FileProgress {
    path: String,
    pub(super) id: FileId,
    writer: WriterId,
    /// Everything before was told.
    offset_bytes: u64,
    #[cfg_attr(feature = "serde", serde(with = "hex"))]
    head: Vec<u8>,
    /// The clock of the first event.
    #[cfg_attr(feature = "serde", serde(with = "crate::units::bits"))]
    started: WallTime,
    n_records: u64,
    /// What tells the entries of a metrics file that were told.
    #[cfg_attr(feature = "serde", serde(default, skip_serializing_if = "Vec::is_empty"))]
    entries: Vec<u64>,
    /// How much of the content of a compressed file was told.
    #[cfg_attr(feature = "serde", serde(default, skip_serializing_if = "is_zero"))]
    content_bytes: u64,
}

#[cfg(feature = "serde")]
fn is_zero(n: &u64) -> bool {
    *n == 0
}

/// What its bytes are read as.
pub(super) enum Reader {
    Events(Box<Ingest>),
    /// Those of a compressed file.
    Packed(Box<PackedIngest>),
    Hypertune(Box<HypertuneFile>),
    Reports(ReportLog),
}

impl Reader {
    /// By a file's kind; one that nobody names is an event file.
    fn of(kind: Option<FileKind>) -> Self {
        match kind {
            Some(FileKind::Events) | None => Self::Events(Box::default()),
            Some(FileKind::Metrics) => Self::Hypertune(Box::default()),
            Some(FileKind::Reports) => Self::Reports(ReportLog::default()),
        }
    }
}

impl File {
    pub(super) fn new(naming: Naming, path: &str, next_writer: &mut u32) -> Self {
        Self::with(naming, path.to_owned(), new_writer(next_writer), Reader::of(naming.kind_of(path)))
    }

    /// A file that another process has followed.
    pub(super) fn resume(naming: Naming, progress: FileProgress) -> Self {
        let FileProgress {
            path, writer, offset_bytes, head, started, n_records, entries, content_bytes, ..
        } = progress;
        if content_bytes > 0 {
            let file = Self::with(naming, path, writer, Reader::of(Some(FileKind::Events)));
            return Self { told: Some(ToldOfPacked { content_bytes, started, n_records, head }), ..file };
        }
        let reader = match naming.kind_of(&path) {
            Some(FileKind::Events) | None => {
                Reader::Events(Box::new(Ingest::resume(offset_bytes, started, n_records)))
            }
            Some(FileKind::Metrics) => Reader::Hypertune(Box::new(HypertuneFile::resume(entries))),
            Some(FileKind::Reports) => Reader::Reports(ReportLog::default()),
        };
        Self { offset_bytes, head, ..Self::with(naming, path, writer, reader) }
    }

    fn with(naming: Naming, path: String, writer: WriterId, reader: Reader) -> Self {
        Self {
            run: naming.run_of(&path),
            path,
            writer,
            reader,
            offset_bytes: 0,
            head: Vec::new(),
            is_checking: false,
            seen: None,
            is_queued: false,
            is_failing: false,
            is_foreign: false,
            told: None,
            is_held: false,
            seen_at: (0, Time::MAX),
            settled_bytes: 0,
        }
    }

    /// The file that took the place of this one, with the same content compressed: what was told of that is left out.
    pub(super) fn compressed(self, naming: Naming, path: &str) -> Self {
        let Reader::Events(ingest) = &self.reader else { return self };
        let told = ToldOfPacked {
            content_bytes: ingest.resume_offset(),
            started: ingest.started().unwrap_or_default(),
            n_records: ingest.n_records(),
            head: Vec::new(),
        };
        let file = Self::with(naming, path.to_owned(), self.writer, Reader::of(Some(FileKind::Events)));
        Self { told: Some(told), ..file }
    }

    /// How far it was read.
    pub(super) fn progress(&self, id: FileId) -> FileProgress {
        let mut content_bytes = 0;
        let (offset_bytes, started, n_records, entries) = match &self.reader {
            Reader::Events(_) if self.told.is_some() => {
                let told = self.told.as_ref();
                content_bytes = told.map_or(0, |told| told.content_bytes);
                let started = told.map(|told| told.started).unwrap_or_default();
                (0, started, told.map_or(0, |told| told.n_records), Vec::new())
            }
            Reader::Packed(packed) => {
                let ingest = packed.ingest();
                content_bytes = ingest.resume_offset();
                (0, ingest.started().unwrap_or_default(), ingest.n_records(), Vec::new())
            }
            Reader::Events(ingest) => {
                (ingest.resume_offset(), ingest.started().unwrap_or_default(), ingest.n_records(), Vec::new())
            }
            Reader::Hypertune(file) => (0, WallTime::default(), 0, file.told().to_vec()),
            Reader::Reports(log) => {
                (self.offset_bytes - log.n_partial() as u64, WallTime::default(), 0, Vec::new())
            }
        };
        FileProgress {
            path: self.path.clone(),
            id,
            writer: self.writer,
            offset_bytes,
            head: match &self.told {
                Some(told) => told.head.clone(),
                None => self.told_head().to_vec(),
            },
            started,
            n_records,
            entries,
            content_bytes,
        }
    }

    /// Compares a listing with what was read, and prepares to read what is new.
    pub(super) fn wants_read(
        &mut self,
        now: Time,
        naming: Naming,
        listed: &Listed,
        next_writer: &mut u32,
        found: &mut dyn FnMut(Found<'_>),
    ) -> bool {
        if self.path != listed.path {
            let is_of_another_kind = naming.kind_of(&self.path) != naming.kind_of(&listed.path);
            self.path.clone_from(&listed.path);
            self.run = naming.run_of(&listed.path);
            if is_of_another_kind {
                // Another file that took the inode: no renaming does that.
                self.start_over(naming, next_writer, found);
                self.seen = None;
            }
        }
        // Compared for change only: what does not fit does not matter.
        let listed_now = (listed.bytes, listed.modified_ns as i64);
        let seen = self.seen.replace(listed_now);
        let is_changed = seen != Some(listed_now);
        self.settle(now, listed);
        match &mut self.reader {
            Reader::Hypertune(file) => {
                if is_changed {
                    self.offset_bytes = 0;
                    file.rewind();
                }
                is_changed
            }
            Reader::Events(_) | Reader::Packed(_) | Reader::Reports(_)
                if listed.bytes < self.offset_bytes =>
            {
                self.start_over(naming, next_writer, found);
                listed.bytes > 0
            }
            Reader::Reports(_) => listed.bytes > self.offset_bytes,
            Reader::Events(_) if self.is_foreign => false,
            Reader::Packed(packed) => {
                if is_changed {
                    // What was damaged may have been a hole, and be filled in by now.
                    if packed.is_damaged() {
                        packed.begin_again();
                        self.offset_bytes = 0;
                    }
                    self.is_checking = !self.head.is_empty();
                }
                self.is_checking || listed.bytes > self.offset_bytes
            }
            Reader::Events(ingest) => {
                if is_changed {
                    self.is_checking = ingest.resume_offset() > 0 && !self.head.is_empty();
                    // What is not a whole record yet may have been a hole, and be filled in by now.
                    let resume = ingest.resume_offset();
                    let is_near = listed.bytes.saturating_sub(resume) <= HEAL_WINDOW_BYTES;
                    if resume < self.offset_bytes && (is_near || seen.is_none()) {
                        ingest.read_again();
                        self.offset_bytes = resume;
                    }
                }
                self.is_checking || listed.bytes > self.offset_bytes
            }
        }
    }

    /// Notes what of the file has been there for long.
    fn settle(&mut self, now: Time, listed: &Listed) {
        let (seen_bytes, seen_at) = self.seen_at;
        let is_first = seen_at == Time::MAX;
        let is_old = now.since(seen_at) >= HOLE_PATIENCE;
        if is_old {
            self.settled_bytes = seen_bytes;
        }
        let age_ns = now.0.as_nanos().cast_signed().saturating_sub(listed.modified_ns);
        if is_first && age_ns >= OLD_FILE.as_nanos().cast_signed() {
            self.settled_bytes = listed.bytes;
        }
        if is_old || is_first {
            self.seen_at = (listed.bytes, now);
        }
    }

    /// Forgets what was read: another file stands here.
    pub(super) fn start_over(
        &mut self,
        naming: Naming,
        next_writer: &mut u32,
        found: &mut dyn FnMut(Found<'_>),
    ) {
        found(Found::Rewritten { path: &self.path });
        self.reader = Reader::of(naming.kind_of(&self.path));
        self.writer = new_writer(next_writer);
        self.offset_bytes = 0;
        self.head.clear();
        self.is_checking = false;
        self.is_held = false;
        self.is_foreign = false;
        self.told = None;
        self.seen_at = (0, Time::MAX);
        self.settled_bytes = 0;
    }

    pub(super) fn is_metrics_file(&self) -> bool {
        matches!(self.reader, Reader::Hypertune(_))
    }

    /// Where the next read starts.
    pub(super) fn next_offset(&self) -> u64 {
        match &self.reader {
            Reader::Events(ingest) => ingest.next_offset(),
            Reader::Packed(_) | Reader::Hypertune(_) | Reader::Reports(_) => self.offset_bytes,
        }
    }

    /// Takes it that the file is compressed, where its first bytes say so. The answer is what was read of it before.
    fn note_compression(&mut self, bytes: &[u8]) -> Option<Vec<u8>> {
        let at = usize::try_from(self.next_offset()).ok()?;
        let Reader::Events(_) = self.reader else { return None };
        // More than its first bytes cannot have been read without that being seen.
        let before = self.head.get(..at).filter(|before| before.len() < MAGIC_BYTES)?.to_vec();
        let head = [&before, bytes.get(..MAGIC_BYTES.min(bytes.len())).unwrap_or_default()].concat();
        let compression = Compression::of(&head)?;
        let told = self.told.take().filter(|told| self.head.starts_with(&told.head));
        self.reader = Reader::Packed(Box::new(match told {
            Some(told) => PackedIngest::resume(compression, told.content_bytes, told.started, told.n_records),
            None => PackedIngest::new(compression),
        }));
        self.offset_bytes = at as u64;
        Some(before)
    }

    /// Takes bytes from [`Self::next_offset`] on. The answer is whether some are to be read again.
    pub(super) fn take_bytes(
        &mut self,
        bytes: &[u8],
        at_end: AtEnd,
        found: &mut dyn FnMut(Found<'_>),
    ) -> bool {
        self.note_head(bytes);
        let before = self.note_compression(bytes);
        self.offset_bytes = self.next_offset() + bytes.len() as u64;
        let (run, path, writer) = (&self.run, &*self.path, self.writer);
        match &mut self.reader {
            Reader::Events(ingest) => {
                if ingest.next_offset() == 0
                    && let Some(what) = foreign(path, bytes)
                {
                    self.is_foreign = true;
                    found(Found::Foreign { path, what });
                }
                if self.is_foreign {
                    return false;
                }
                self.is_held = ingest.feed_settled(bytes, self.settled_bytes, &mut |started, ingested| {
                    found(Found::Event { run, path, writer, started, ingested });
                });
                if at_end == AtEnd::Yes {
                    ingest.rest();
                }
                if self.is_held {
                    self.offset_bytes = ingest.next_offset();
                    return false;
                }
                ingest.next_offset() < self.offset_bytes
            }
            Reader::Packed(packed) => {
                for piece in [&before.unwrap_or_default(), bytes] {
                    packed.feed(piece, &mut |started, ingested| {
                        found(Found::Event { run, path, writer, started, ingested });
                    });
                }
                false
            }
            Reader::Hypertune(file) => {
                file.feed(bytes);
                if at_end == AtEnd::Yes {
                    let news = file.take_new();
                    if news.may_lack {
                        found(Found::MissedReports { path });
                    }
                    for entry in news.entries {
                        found(Found::Hypertune { run, path, writer, entry });
                    }
                    if news.unreadable.n > 0 {
                        found(Found::UnreadableReports { run, path, unreadable: news.unreadable });
                    }
                    if news.is_cut_off {
                        // The rest may come without another size or time.
                        self.seen = None;
                    }
                }
                false
            }
            Reader::Reports(log) => {
                log.feed(bytes, &mut |report| match report {
                    Logged::Entry(entry) => found(Found::Hypertune { run, path, writer, entry }),
                    Logged::MayLack => found(Found::MissedReports { path }),
                    Logged::Unreadable(unreadable) => {
                        found(Found::UnreadableReports { run, path, unreadable })
                    }
                });
                false
            }
        }
    }

    /// Keeps the file's first bytes as they are read.
    fn note_head(&mut self, bytes: &[u8]) {
        let at = usize::try_from(self.next_offset()).unwrap_or(usize::MAX);
        if at <= self.head.len() && at < HEAD_BYTES {
            self.head.truncate(at);
            self.head.extend(bytes.iter().take(HEAD_BYTES - at));
        }
    }

    /// The first bytes as far as they are told of: a hole behind them may still be filled in.
    pub(super) fn told_head(&self) -> &[u8] {
        let ingest = match &self.reader {
            Reader::Events(ingest) => ingest,
            Reader::Packed(_) => return &self.head,
            Reader::Hypertune(_) | Reader::Reports(_) => return &[],
        };
        let told = usize::try_from(ingest.resume_offset()).unwrap_or(HEAD_BYTES);
        self.head.get(..told.min(self.head.len())).unwrap_or(&[])
    }

    /// Takes it that nothing more will be written. The answer is whether some of it is to be read again.
    pub(super) fn finish(&mut self, found: &mut dyn FnMut(Found<'_>)) -> bool {
        let (run, path, writer) = (&self.run, &*self.path, self.writer);
        let ingest = match &mut self.reader {
            Reader::Events(ingest) => ingest,
            Reader::Packed(packed) => {
                packed.finish(&mut |started, ingested| {
                    found(Found::Event { run, path, writer, started, ingested });
                });
                return false;
            }
            Reader::Hypertune(_) | Reader::Reports(_) => return false,
        };
        if self.is_foreign {
            return false;
        }
        if std::mem::take(&mut self.is_held) {
            // Nobody fills it in any more.
            self.settled_bytes = u64::MAX;
            return true;
        }
        if self.is_failing {
            ingest.skip_lost(self.offset_bytes);
        }
        ingest.finish(&mut |started, ingested| {
            found(Found::Event { run, path, writer, started, ingested });
        });
        ingest.next_offset() < self.offset_bytes
    }
}

/// How many first bytes tell that a file is compressed.
const MAGIC_BYTES: usize = 12;

fn new_writer(next_writer: &mut u32) -> WriterId {
    let writer = WriterId(*next_writer);
    *next_writer += 1;
    writer
}

/// Bytes as hexadecimal digits.
#[cfg(feature = "serde")]
mod hex {
    use std::fmt::Write as _;

    use serde::de::Error as _;
    use serde::{Deserialize as _, Deserializer, Serializer};

    pub(super) fn serialize<S: Serializer>(bytes: &[u8], serializer: S) -> Result<S::Ok, S::Error> {
        let mut text = String::with_capacity(2 * bytes.len());
        for byte in bytes {
            let _ = write!(text, "{byte:02x}");
        }
        serializer.serialize_str(&text)
    }

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Vec<u8>, D::Error> {
        let text = String::deserialize(deserializer)?;
        let pairs = text.as_bytes().chunks(2).map(|pair| {
            let pair = std::str::from_utf8(pair).map_err(D::Error::custom)?;
            u8::from_str_radix(pair, 16).map_err(D::Error::custom)
        });
        pairs.collect()
    }
}
