//! One event file: its records, events and scalars as iterators.

use std::collections::{HashSet, VecDeque};
use std::fs::File;
use std::io;
use std::path::{Path, PathBuf};

use crate::disk::{Content as FileContent, read_at};
use crate::error::{Error, ErrorKind};
use crate::event::Event;
use crate::limits::{FORWARD_HELD_BYTES, MAX_TAGS, READ_CHUNK_BYTES};
use crate::record::{Damage, DamageKind, Decoded, Decoder, FOOTER_BYTES, HEADER_BYTES};
use crate::scalar::Content;
use crate::series::Point;
use crate::tail::{Compression, FOREIGN_HEAD_BYTES, Ingest, Ingested, foreign};
use crate::units::Tag;

/// An event file on this machine.
///
/// Each iterator reads it from its start to its end as it is then; a file that grows may be read again.
#[derive(Debug)]
pub struct EventFile {
    path: PathBuf,
    file: File,
    /// Offsets are those of the content, where it is compressed.
    compression: Option<Compression>,
}

/// A record of a file whose two checksums agree.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Record {
    /// Where its header starts, in bytes from the start of the file.
    pub offset: u64,
    /// Its data, without framing.
    pub data: Vec<u8>,
}

/// One number under one tag.
#[derive(Debug, Clone, PartialEq)]
pub struct Scalar {
    /// The tag.
    pub tag: Tag,
    /// The step, the writer's clock and the value.
    pub point: Point,
}

impl EventFile {
    /// Opens a file.
    ///
    /// # Errors
    /// [`ErrorKind::Io`] where it cannot be opened or read, [`ErrorKind::Foreign`] where its first bytes are those of
    /// another kind of file.
    pub fn open(path: impl AsRef<Path>) -> Result<Self, Error> {
        let path = path.as_ref();
        let failed = |error| Error::new(path, ErrorKind::Io(error));
        let file = File::open(path).map_err(failed)?;
        let mut head = [0; FOREIGN_HEAD_BYTES];
        let n = read_at(&file, &mut head, 0).map_err(failed)?;
        let head = head.get(..n).unwrap_or(&[]);
        match foreign(&path.to_string_lossy(), head) {
            Some(what) => Err(Error::new(path, ErrorKind::Foreign(what))),
            None => Ok(Self { path: path.to_owned(), file, compression: Compression::of(head) }),
        }
    }

    /// Its path, as it was opened.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Its records, whatever they hold, in the order of the file. A record is held whole, however long it is.
    pub fn records(&self) -> Records<'_> {
        let decoder = match self.compression {
            Some(_) => Decoder::with_max_held(0, FORWARD_HELD_BYTES),
            None => Decoder::default(),
        };
        Records { pieces: Pieces::new(self), decoder, long: Vec::new(), is_over: false }
    }

    /// Its records as events. A record that is no event is [`ErrorKind::Damage`].
    pub fn events(&self) -> Events<'_> {
        Events { records: self.records() }
    }

    /// The numbers that it holds, in the order of the file, whichever way they were written: `simple_value`, or a
    /// tensor of one element. Images, graphs and histograms are passed over without being held.
    pub fn scalars(&self) -> Scalars<'_> {
        Scalars {
            pieces: Pieces::new(self),
            ingest: match self.compression {
                Some(_) => Ingest::forward_only(FORWARD_HELD_BYTES),
                None => Ingest::default(),
            },
            pending: VecDeque::new(),
            tags: HashSet::new(),
            is_over: false,
        }
    }
}

/// Reads a file piece by piece.
struct Pieces<'a> {
    of: &'a EventFile,
    /// What a compressed file holds.
    content: Option<FileContent<ReadAt<'a>>>,
    buffer: Vec<u8>,
    /// What of the buffer is not taken yet.
    left: std::ops::Range<usize>,
}

type ReadAt<'a> = Box<dyn FnMut(u64, &mut [u8]) -> io::Result<usize> + Send + 'a>;

impl std::fmt::Debug for Pieces<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Pieces").field("of", &self.of).field("left", &self.left).finish_non_exhaustive()
    }
}

impl<'a> Pieces<'a> {
    fn new(of: &'a EventFile) -> Self {
        let content = of.compression.map(|compression| {
            let read: ReadAt<'a> = Box::new(|offset, buffer: &mut [u8]| read_at(&of.file, buffer, offset));
            FileContent::new(compression, read)
        });
        Self { of, content, buffer: Vec::new(), left: 0..0 }
    }

    /// The bytes that are not taken yet.
    fn left(&self) -> &[u8] {
        self.buffer.get(self.left.clone()).unwrap_or(&[])
    }

    /// Reads the piece at an offset. The answer is whether there is one.
    fn read(&mut self, offset: u64) -> Result<bool, Error> {
        self.buffer.resize(READ_CHUNK_BYTES, 0);
        loop {
            let read = match &mut self.content {
                Some(content) => content.read_at(offset, &mut self.buffer),
                None => read_at(&self.of.file, &mut self.buffer, offset),
            };
            match read {
                Ok(n) => {
                    self.left = 0..n;
                    return Ok(n > 0);
                }
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(Error::new(&self.of.path, ErrorKind::Io(error))),
            }
        }
    }

    /// What is wrong with the compression, at the end, told once.
    fn fault(&mut self) -> Option<Damage> {
        self.content.take()?.finish()
    }

    fn damage(&self, damage: Damage) -> Error {
        Error::new(&self.of.path, ErrorKind::Damage(damage))
    }
}

/// The records of a file; see [`EventFile::records`].
#[derive(Debug)]
pub struct Records<'a> {
    pieces: Pieces<'a>,
    decoder: Decoder,
    /// The data of a record that comes in parts.
    long: Vec<u8>,
    is_over: bool,
}

/// What a decoder gave, out of its buffers.
enum Step {
    Record(Record),
    Damage(Damage),
    /// A part was taken, or taken back.
    Taken,
    NeedMore,
}

impl Records<'_> {
    fn step(&mut self, is_end: bool) -> Step {
        let Self { pieces, decoder, long, .. } = self;
        let mut input = pieces.buffer.get(pieces.left.clone()).unwrap_or(&[]);
        let decoded = if is_end { decoder.poll_end() } else { decoder.poll(&mut input) };
        let step = match decoded {
            Decoded::NeedMore => Step::NeedMore,
            Decoded::Record(record) => {
                Step::Record(Record { offset: record.offset, data: record.data.to_vec() })
            }
            Decoded::Part(part) => {
                if part.at == 0 {
                    long.clear();
                }
                long.extend_from_slice(part.data);
                Step::Taken
            }
            Decoded::LongRecord { offset, .. } => Step::Record(Record { offset, data: std::mem::take(long) }),
            Decoded::Damage(damage) => Step::Damage(damage),
        };
        let n_left = input.len();
        pieces.left.start = pieces.left.end - n_left;
        step
    }
}

impl Iterator for Records<'_> {
    type Item = Result<Record, Error>;

    fn next(&mut self) -> Option<Self::Item> {
        let mut is_end = false;
        while !self.is_over {
            match self.step(is_end) {
                Step::Record(record) => return Some(Ok(record)),
                Step::Damage(damage) => return Some(Err(self.pieces.damage(damage))),
                Step::Taken => {}
                Step::NeedMore => match self.pieces.read(self.decoder.next_offset()) {
                    Ok(true) => is_end = false,
                    // What a false length swallowed may be asked for once more.
                    Ok(false) => {
                        self.is_over = std::mem::replace(&mut is_end, true);
                        if self.is_over
                            && let Some(fault) = self.pieces.fault()
                        {
                            return Some(Err(self.pieces.damage(fault)));
                        }
                    }
                    Err(error) => {
                        self.is_over = true;
                        return Some(Err(error));
                    }
                },
            }
        }
        None
    }
}

/// The events of a file; see [`EventFile::events`].
#[derive(Debug)]
pub struct Events<'a> {
    records: Records<'a>,
}

impl Iterator for Events<'_> {
    type Item = Result<Event, Error>;

    fn next(&mut self) -> Option<Self::Item> {
        let record = match self.records.next()? {
            Ok(record) => record,
            Err(error) => return Some(Err(error)),
        };
        Some(Event::decode(&record.data).map_err(|_| {
            let bytes = (HEADER_BYTES + record.data.len() + FOOTER_BYTES) as u64;
            let damage = Damage { offset: record.offset, bytes, kind: DamageKind::NotAnEvent };
            self.records.pieces.damage(damage)
        }))
    }
}

/// The scalars of a file; see [`EventFile::scalars`].
#[derive(Debug)]
pub struct Scalars<'a> {
    pieces: Pieces<'a>,
    ingest: Ingest,
    /// Those of the last piece.
    pending: VecDeque<Result<Scalar, Damage>>,
    /// The tags that have come, to be shared.
    tags: HashSet<Tag>,
    is_over: bool,
}

impl Iterator for Scalars<'_> {
    type Item = Result<Scalar, Error>;

    fn next(&mut self) -> Option<Self::Item> {
        loop {
            if let Some(scalar) = self.pending.pop_front() {
                return Some(scalar.map_err(|damage| self.pieces.damage(damage)));
            }
            if self.is_over {
                return None;
            }
            let at = self.ingest.next_offset();
            let read = self.pieces.read(at);
            let Self { pieces, ingest, pending, tags, is_over } = self;
            let mut take = |_, said: Ingested<'_>| match said {
                Ingested::Value { step, wall_time, tag, content: Content::Scalar(value), .. } => {
                    pending.push_back(Ok(Scalar {
                        tag: shared(tags, tag),
                        point: Point { step, wall_time, value },
                    }));
                }
                Ingested::Damage(damage) => pending.push_back(Err(damage)),
                Ingested::Value { .. }
                | Ingested::Opened { .. }
                | Ingested::SessionStart(_)
                | Ingested::Graph => {}
            };
            match read {
                Ok(true) => ingest.feed(pieces.left(), &mut take),
                Ok(false) => {
                    ingest.finish(&mut take);
                    *is_over = ingest.next_offset() >= at;
                    if *is_over {
                        pending.extend(pieces.fault().map(Err));
                    }
                }
                Err(error) => {
                    *is_over = true;
                    return Some(Err(error));
                }
            }
        }
    }
}

/// A tag as one of those that have come, where it is.
fn shared(tags: &mut HashSet<Tag>, tag: &str) -> Tag {
    if let Some(known) = tags.get(tag) {
        return known.clone();
    }
    let new = Tag::from(tag);
    if tags.len() < MAX_TAGS {
        tags.insert(new.clone());
    }
    new
}

#[cfg(test)]
mod tests {
    use std::io::Write;

    use proptest::prelude::*;

    use super::*;
    use crate::event::{encode_scalars, encode_session_start};
    use crate::record::encode;
    use crate::tail;
    use crate::units::{Step, WallTime};

    fn opened(bytes: &[u8]) -> (tempfile::TempPath, EventFile) {
        let mut file = tempfile::NamedTempFile::new().expect("a file");
        file.write_all(bytes).expect("it is written");
        let path = file.into_temp_path();
        let opened = EventFile::open(&path).expect("it opens");
        (path, opened)
    }

    /// A file of scalars, with one record that is longer than may be held, and one that is no event.
    fn file() -> Vec<u8> {
        let mut bytes = Vec::new();
        for step in 0..20 {
            encode(&encode_scalars(WallTime(1.0), Step(step), &[("a", 0.5), ("b", step as f32)]), &mut bytes);
        }
        let many: Vec<(String, f32)> = (0..9_000).map(|n| (format!("tag{n}"), n as f32)).collect();
        let many: Vec<(&str, f32)> = many.iter().map(|(tag, value)| (&**tag, *value)).collect();
        encode(&encode_scalars(WallTime(2.0), Step(20), &many), &mut bytes);
        encode(b"\xff\xff", &mut bytes);
        encode(&encode_session_start(WallTime(2.0), Step(20)), &mut bytes);
        bytes
    }

    #[test]
    fn records_and_events_are_whole_however_long() {
        let (_path, file) = opened(&file());
        let records: Vec<Record> = file.records().map(|record| record.expect("it is intact")).collect();
        assert_eq!(records.len(), 23);
        assert!(records[20].data.len() > crate::limits::MAX_RECORD_HELD_BYTES);
        let mut again = Vec::new();
        records.iter().for_each(|record| encode(&record.data, &mut again));
        assert_eq!(again, self::file());
        let failed: Vec<Error> = file.events().filter_map(Result::err).collect();
        assert_eq!(failed.len(), 1);
        assert_eq!(failed[0].offset(), Some(records[21].offset));
        assert!(failed[0].is_damage() && failed[0].path() == file.path());
        assert_eq!(file.scalars().filter(Result::is_ok).count(), 40 + 9_000);
    }

    #[test]
    fn what_cannot_be_opened_or_is_packed_says_so() {
        let missing = EventFile::open("no/such/file").expect_err("it is not there");
        assert!(matches!(missing.kind(), ErrorKind::Io(error) if error.kind() == io::ErrorKind::NotFound));
        let path = tempfile::NamedTempFile::new().expect("a file").into_temp_path();
        std::fs::write(&path, b"PK\x03\x04packed").expect("it is written");
        let packed = EventFile::open(&path).expect_err("it is packed");
        assert!(packed.to_string().ends_with("no event file but a zip archive"), "{packed}");
    }

    #[test]
    fn a_compressed_file_is_read_as_its_content_is() {
        let bytes = file();
        let mut packed = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
        packed.write_all(&bytes).expect("no IO");
        let packed = packed.finish().expect("no IO");
        let (_path, plain) = opened(&bytes);
        let (_path, gzip) = opened(&packed);
        let records = |file: &EventFile| file.records().map(|r| r.expect("it is intact")).collect::<Vec<_>>();
        assert_eq!(records(&plain), records(&gzip));
        let scalars = |file: &EventFile| file.scalars().filter_map(Result::ok).collect::<Vec<_>>();
        assert_eq!(scalars(&plain), scalars(&gzip));
        let (_path, torn) = opened(&packed[..packed.len() / 2]);
        let kinds: Vec<DamageKind> = torn
            .records()
            .filter_map(|record| match record.map_err(Error::into_kind) {
                Err(ErrorKind::Damage(damage)) => Some(damage.kind),
                Ok(_) | Err(_) => None,
            })
            .collect();
        assert_eq!(kinds.last(), Some(&DamageKind::Unfinished), "{kinds:?}");
        let last = torn.scalars().last().expect("it has some").expect_err("it is torn");
        assert!(last.to_string().contains("ends early"), "{last}");
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(64))]

        /// Whatever is wrong with a file, the iterators say what the incremental reading says.
        #[test]
        fn damage_is_as_the_tail_reads_it(flips in prop::collection::vec((any::<prop::sample::Index>(), 1_u8..), 0..6), cut: prop::sample::Index) {
            let mut bytes = file();
            for (at, mask) in flips {
                let at = at.index(bytes.len());
                bytes[at] ^= mask;
            }
            bytes.truncate(bytes.len() - cut.index(bytes.len()) / 8);
            let mut expected = Vec::new();
            tail::read_bytes(&bytes, &mut |_, said| match said {
                Ingested::Value { step, tag, content: Content::Scalar(value), .. } => {
                    expected.push(format!("{tag} {step} {value:?}"));
                }
                Ingested::Damage(damage) => expected.push(format!("{damage:?}")),
                _ => {}
            });
            let (_path, file) = opened(&bytes);
            let read: Vec<String> = file.scalars().map(|scalar| match scalar {
                Ok(Scalar { tag, point }) => format!("{tag} {} {:?}", point.step, point.value),
                Err(error) => match error.into_kind() {
                    ErrorKind::Damage(damage) => format!("{damage:?}"),
                    other => panic!("{other:?}"),
                },
            }).collect();
            prop_assert_eq!(read, expected);
            let framing = |error: &Error| matches!(error.kind(), ErrorKind::Damage(damage) if damage.kind != DamageKind::NotAnEvent);
            let of_events: Vec<String> = file.events().filter_map(Result::err).filter(framing).map(|e| e.to_string()).collect();
            let of_records: Vec<String> = file.records().filter_map(Result::err).map(|e| e.to_string()).collect();
            prop_assert_eq!(of_events, of_records);
        }
    }
}
