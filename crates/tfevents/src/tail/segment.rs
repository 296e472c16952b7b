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

use crate::limits::{LEAST_RISING_VALUES, MAX_RISES};
use crate::record::{Decoder, HEADER_BYTES, Record, find_record};
use crate::scalar::{Heading, Metadata, SingleFloat, SingleFloats};
use crate::series::{ByTag, Rise};
use crate::units::{Step, WallTime};

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
    rising: Rising,
}

/// Whether a scan also gathers values whose steps rise.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Scan {
    /// It gives values one by one.
    Values,
    /// It also gives [`Rises`].
    Rises,
}

/// What was found in one record.
#[derive(Debug)]
pub(super) enum Entry {
    /// One float32; its tag and metadata are the `heading`-th of the segment.
    Float { heading: u32, step: Step, wall_time: WallTime, value: f32 },
    /// Any other record, to be decoded in order: where its data lies in the bytes. It is the `number`-th record, from 1.
    Record { at: u32, length: u32, number: u32 },
}

/// Values of a segment that follow each other, single numbers all, with steps that rise under each tag; for each tag they are
/// one [`Rise`].
#[derive(Debug, Clone, Copy)]
pub struct Rises<'a> {
    segment: &'a Segment,
    rises: &'a [(u32, Rise)],
}

impl<'a> Rises<'a> {
    /// The tags with what the writer says of each, in the order in which they came.
    pub fn iter(&self) -> impl Iterator<Item = (&'a str, Metadata<'a>, &'a Rise)> {
        let segment = self.segment;
        self.rises.iter().filter_map(|(heading, rise)| {
            let heading = segment.heading(*heading)?;
            Some((heading.tag(), heading.metadata(), rise))
        })
    }
}

/// What [`Rises`] are made of.
#[derive(Debug, Default)]
struct Rising {
    groups: Vec<Group>,
    rises: Vec<(u32, Rise)>,
    /// For each heading the place of its latest rise.
    latest: Vec<usize>,
    /// Where the group that is gathered begins.
    first_entry: usize,
    first_rise: usize,
}

/// The entries that belong to some rises.
#[derive(Debug)]
pub(super) struct Group {
    pub(super) entries: Range<usize>,
    rises: Range<usize>,
}

impl Rising {
    fn clear(&mut self) {
        self.groups.clear();
        self.rises.clear();
        self.latest.clear();
        (self.first_entry, self.first_rise) = (0, 0);
    }

    /// Takes a value that is to be the next of `n_entries` entries.
    #[inline]
    fn take(&mut self, heading: u32, n_entries: usize, found: &SingleFloat<'_>) {
        let SingleFloat { step, wall_time, value, .. } = *found;
        let latest = self.latest.get(heading as usize).filter(|at| **at >= self.first_rise);
        // A group that was left out leaves places behind at which other rises stand now.
        let rise = latest.and_then(|at| self.rises.get_mut(*at)).filter(|(of, _)| *of == heading);
        if let Some((_, rise)) = rise {
            if rise.push(step, wall_time, value) {
                return;
            }
            self.end_group(n_entries);
        } else if heading as usize >= self.latest.len() {
            // Another heading of the same tag may be in the group.
            self.end_group(n_entries);
            self.latest.resize(heading as usize + 1, 0);
        }
        if let Some(latest) = self.latest.get_mut(heading as usize) {
            *latest = self.rises.len();
        }
        self.rises.push((heading, Rise::new(step, wall_time, value)));
    }

    /// Ends the group that is gathered. One of few values, or beyond the most rises, is left to be taken value by value.
    fn end_group(&mut self, n_entries: usize) {
        let rises = self.first_rise..self.rises.len();
        let n_values = n_entries - self.first_entry;
        if n_values >= LEAST_RISING_VALUES * rises.len().max(1) && self.rises.len() <= MAX_RISES {
            self.groups.push(Group { entries: self.first_entry..n_entries, rises });
        } else {
            self.rises.truncate(self.first_rise);
        }
        self.first_entry = n_entries;
        self.first_rise = self.rises.len();
    }
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
    pub fn scan(&mut self, scan: Scan) {
        match scan {
            Scan::Values => self.scan_with::<false>(),
            Scan::Rises => self.scan_with::<true>(),
        }
    }

    fn scan_with<const HAS_RISES: bool>(&mut self) {
        let Self { offset, bytes, records, n_records, longest, entries, headings, rising } = self;
        entries.clear();
        rising.clear();
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
                    Some((heading, found)) => {
                        if HAS_RISES {
                            rising.take(heading, entries.len(), &found);
                        }
                        let SingleFloat { step, wall_time, value, .. } = found;
                        Entry::Float { heading, step, wall_time, value }
                    }
                    None => {
                        if HAS_RISES {
                            rising.end_group(entries.len());
                            rising.first_entry += 1;
                        }
                        Entry::Record {
                            at: (at - *offset) as u32 + HEADER_BYTES as u32,
                            length: data.len() as u32,
                            number: *n_records as u32,
                        }
                    }
                });
            }
        }
        if HAS_RISES {
            rising.end_group(entries.len());
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

    /// Entries that can be taken at once, in order.
    pub(super) fn groups(&self) -> &[Group] {
        &self.rising.groups
    }

    /// What a group is.
    pub(super) fn rises(&self, group: &Group) -> Rises<'_> {
        Rises { segment: self, rises: self.rising.rises.get(group.rises.clone()).unwrap_or_default() }
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
