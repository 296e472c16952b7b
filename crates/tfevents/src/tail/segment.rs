//! A piece of an event file that is scanned before the bytes ahead of it are decoded.
//!
//! It lets several threads read one file. Each scans a piece from the middle: it looks for the first whole record and
//! decodes from there as far as the records are intact. The result is used if [`Ingest`] later reaches that very record at
//! a record boundary with nothing pending, because what follows then does not depend on what came before. Otherwise the
//! bytes of the segment are decoded in the usual way, and so are damage and records that straddle two segments.
//!
//! [`Ingest`]: super::Ingest

use std::io;
use std::ops::Range;

use crate::record::{Decoder, HEADER_BYTES, Record, find_record};
use crate::scalar::{Content, Heading, SingleFloat, SingleFloats};
use crate::series::ByTag;
use crate::units::{MetricValue, Step, WallTime};

/// A piece of an event file with the entries of its whole records. One segment is used for many pieces: its memory is kept.
#[derive(Debug, Default)]
pub struct Segment {
    /// Where it starts in the file.
    offset: u64,
    bytes: Vec<u8>,
    /// Where whole records lie, one behind the other.
    records: Range<usize>,
    n_records: u64,
    /// How long the data of the longest is.
    longest: usize,
    entries: Vec<Entry>,
    headings: Headings,
}

/// What was found in one record.
#[derive(Debug)]
pub(super) enum Entry {
    /// One float32; its tag and metadata are the `heading`-th of the segment.
    Float { heading: u32, step: Step, wall_time: WallTime, content: Content },
    /// Any other record, to be decoded in order: where its data lies in the bytes. It is the `number`-th record, from 1.
    Record { at: u32, length: u32, number: u32 },
}

/// The tags of a segment with their metadata.
#[derive(Debug, Default)]
struct Headings {
    all: Vec<Heading>,
    /// For each tag the number of its latest heading.
    latest: ByTag<u32>,
}

impl Segment {
    /// Reads a piece of `length` bytes at `offset`, or as much as there is. `read` fills a buffer from an offset of the file
    /// and returns the number of bytes, 0 at the end of the file. An error ends the piece without being reported:
    /// [`Ingest::read_segment`](super::Ingest::read_segment) reads the missing bytes again and reports it.
    pub fn read(
        &mut self,
        offset: u64,
        length: u32,
        mut read: impl FnMut(u64, &mut [u8]) -> io::Result<usize>,
    ) {
        self.bytes.resize(length as usize, 0);
        let mut n = 0;
        while let Some(rest) = self.bytes.get_mut(n..).filter(|rest| !rest.is_empty()) {
            match read(offset + n as u64, rest) {
                Ok(more) if more > 0 => n += more,
                Err(e) if e.kind() == io::ErrorKind::Interrupted => {}
                Ok(_) | Err(_) => break,
            }
        }
        self.bytes.truncate(n);
        self.offset = offset;
        self.records = 0..0;
    }

    /// Finds the whole records of the piece and their values.
    pub fn scan(&mut self) {
        let Self { offset, bytes, records, n_records, longest, entries, headings } = self;
        entries.clear();
        *headings = Headings::default();
        (*n_records, *longest) = (0, 0);
        let Some((start, mut rest)) = find_record(bytes).and_then(|at| Some((at, bytes.get(at..)?))) else {
            return;
        };
        let mut decoder = Decoder::with_max_held(*offset + start as u64, bytes.len());
        let mut floats = SingleFloats::default();
        let mut is_any = true;
        while std::mem::take(&mut is_any) {
            for Record { offset: at, data } in decoder.take_intact(&mut rest) {
                is_any = true;
                *n_records += 1;
                *longest = data.len().max(*longest);
                let found = floats.scan(data).and_then(|found| Some((headings.find(&found)?, found)));
                entries.push(match found {
                    Some((heading, SingleFloat { step, wall_time, value, .. })) => {
                        let content = Content::Scalar(MetricValue::F32(value));
                        Entry::Float { heading, step, wall_time, content }
                    }
                    None => Entry::Record {
                        at: (at - *offset) as u32 + HEADER_BYTES as u32,
                        length: data.len() as u32,
                        number: *n_records as u32,
                    },
                });
            }
        }
        *records = start..bytes.len() - rest.len();
    }

    /// Where it starts in the file.
    #[must_use]
    pub fn offset(&self) -> u64 {
        self.offset
    }

    /// Where it ends in the file.
    #[must_use]
    pub fn end(&self) -> u64 {
        self.offset + self.bytes.len() as u64
    }

    /// Where in the file whole records lie, one behind the other; `None` where there are none.
    pub(super) fn records(&self) -> Option<Range<u64>> {
        let Range { start, end } = self.records;
        (start < end).then(|| self.offset + start as u64..self.offset + end as u64)
    }

    /// How many there are.
    pub(super) fn n_records(&self) -> u64 {
        self.n_records
    }

    /// How long the data of the longest is, in bytes.
    pub(super) fn longest(&self) -> u64 {
        self.longest as u64
    }

    /// One entry for each record, in order.
    pub(super) fn entries(&self) -> &[Entry] {
        &self.entries
    }

    /// A heading by its number.
    pub(super) fn heading(&self, number: u32) -> Option<&Heading> {
        self.headings.all.get(number as usize)
    }

    /// The record whose data lie there.
    pub(super) fn record(&self, at: u32, length: u32) -> Option<Record<'_>> {
        let data = self.bytes.get(at as usize..)?.get(..length as usize)?;
        Some(Record { offset: self.offset + u64::from(at) - HEADER_BYTES as u64, data })
    }

    /// Its bytes between two offsets of the file.
    #[must_use]
    pub fn bytes(&self, from: u64, to: u64) -> &[u8] {
        let at = |offset: u64| usize::try_from(offset.saturating_sub(self.offset)).unwrap_or(usize::MAX);
        self.bytes.get(at(from)..at(to)).unwrap_or(&[])
    }
}

impl Headings {
    /// The number of a value's heading; `None` where there are too many.
    #[inline]
    fn find(&mut self, found: &SingleFloat<'_>) -> Option<u32> {
        let latest = self.latest.entry(found.tag, || u32::MAX)?;
        let is_known = self.all.get(*latest as usize).is_some_and(|heading| heading.is_of(found));
        if !is_known {
            *latest = u32::try_from(self.all.len()).ok()?;
            self.all.push(Heading::of(found));
        }
        Some(*latest)
    }
}
