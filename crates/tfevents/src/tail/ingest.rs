//! One event file: bytes in, what its events say out.

use std::ops::Range;

use super::segment::{Entry, Rises, Segment};
use crate::event::{Event, What};
use crate::limits::MAX_RECORD_HELD_BYTES;
use crate::record::{Damage, DamageKind, Decoded, Decoder, FOOTER_BYTES, HEADER_BYTES, Part, Record};
use crate::scalar::{
    self, Content, Metadata, PartFault, PartScan, Scanned, ScannedWhat, SingleFloat, SingleFloats, Value,
};
use crate::units::{MetricValue, Step, WallTime};

/// Reads one event file, whose bytes may arrive in any pieces.
#[derive(Debug, Default)]
pub struct Ingest {
    decoder: Decoder,
    taker: Taker,
}

/// Something that an event file says.
#[derive(Debug, Clone, PartialEq)]
pub enum Ingested<'a> {
    /// The file's first event.
    Opened {
        /// The format's version, `brain.Event:2`.
        version: &'a str,
        /// The program that wrote it; empty where it did not say.
        writer: &'a str,
    },
    /// A value under a tag.
    Value {
        /// The step it belongs to.
        step: Step,
        /// The writer's clock.
        wall_time: WallTime,
        /// The tag.
        tag: &'a str,
        /// What stands there.
        content: Content,
        /// What the writer says of the tag, as a rule with its first value only.
        metadata: Metadata<'a>,
    },
    /// A session began at this step, the last that stands of what was written before. Where a writer was told by `purge_step`
    /// which is the first that does not, it is the one before that.
    SessionStart(Step),
    /// A graph.
    Graph,
    /// A stretch that gave no event.
    Damage(Damage),
}

/// Takes what a segment says. Closures do, one by one.
pub trait Take {
    /// Takes it, with the time at which the file was begun.
    fn take(&mut self, started: WallTime, ingested: Ingested<'_>);

    /// Takes values at once. False, with nothing taken, where they are to be taken one by one.
    fn take_rises(&mut self, started: WallTime, rises: Rises<'_>) -> bool {
        let (_, _) = (started, rises);
        false
    }
}

impl<F: FnMut(WallTime, Ingested<'_>)> Take for F {
    #[inline]
    fn take(&mut self, started: WallTime, ingested: Ingested<'_>) {
        self(started, ingested);
    }
}

impl Ingest {
    /// An ingest for a file that cannot be read from an earlier place again, such as a pipe: more is
    /// held, up to `max_held` bytes, so that less is lost behind a false length.
    #[must_use]
    pub fn forward_only(max_held: usize) -> Self {
        Self { decoder: Decoder::with_max_held(0, max_held), taker: Taker::default() }
    }

    /// Goes on with a file of which everything before `offset` was told: `n_records` records, the first
    /// event with the clock `started`.
    #[must_use]
    pub fn resume(offset: u64, started: WallTime, n_records: u64) -> Self {
        Self::resume_forward(offset, started, n_records, MAX_RECORD_HELD_BYTES)
    }

    /// As [`Self::resume`], of a file that cannot be read from an earlier place again; see [`Self::forward_only`].
    #[must_use]
    pub fn resume_forward(offset: u64, started: WallTime, n_records: u64, max_held: usize) -> Self {
        let is_about = n_records == 1 && started.0.fract() == 0.0;
        let start = Start { clock: (n_records > 0).then_some(started), is_about };
        let decoder = Decoder::with_max_held(offset, max_held);
        Self { decoder, taker: Taker { n_records, start, ..Taker::default() } }
    }

    /// Gives back memory that only makes reading faster: the file may not grow for long.
    pub fn rest(&mut self) {
        self.taker.floats = SingleFloats::default();
    }

    /// When the file was begun, by the clocks of its first events.
    #[must_use]
    pub fn started(&self) -> Option<WallTime> {
        self.taker.start.clock
    }

    /// Takes the next bytes of the file, those from [`Self::next_offset`] on. `sink` gets what they say,
    /// each with the time at which the file was begun.
    pub fn feed(&mut self, bytes: &[u8], sink: &mut (impl FnMut(WallTime, Ingested<'_>) + ?Sized)) {
        self.feed_settled(bytes, u64::MAX, sink);
    }

    /// Like [`Self::feed`], but damage that reaches beyond `settled_bytes` of the file is not told, nor what stands behind it:
    /// it may be a hole that is filled in soon. The next bytes are those from the damage on then. The answer is whether that
    /// is so.
    pub fn feed_settled(
        &mut self,
        mut bytes: &[u8],
        settled_bytes: u64,
        sink: &mut (impl FnMut(WallTime, Ingested<'_>) + ?Sized),
    ) -> bool {
        loop {
            let mut is_any = false;
            for record in self.decoder.take_intact(&mut bytes) {
                is_any = true;
                self.taker.take_intact(record, sink);
            }
            if is_any {
                continue;
            }
            match self.decoder.poll(&mut bytes) {
                Decoded::NeedMore => return false,
                Decoded::Damage(damage) if damage.offset.saturating_add(damage.bytes) > settled_bytes => {
                    self.decoder = Decoder::new(damage.offset);
                    return true;
                }
                decoded => self.taker.take(&decoded, &mut |started, said| sink(started, said)),
            }
        }
    }

    /// Takes the bytes of a segment from [`Self::next_offset`] on, and the result of its scan where decoding reaches the
    /// record at which the scan began. Afterwards [`Self::next_offset`] is the end of the segment, or lies before its start
    /// if earlier bytes are needed again.
    pub fn take_segment(&mut self, segment: &Segment, sink: &mut impl Take) {
        let mut records = segment.records();
        loop {
            let at = self.next_offset();
            if !(segment.offset()..segment.end()).contains(&at) {
                return;
            }
            let until = match &records {
                Some(Range { start, end }) if self.decoder.skip_intact(*start, *end, segment.longest()) => {
                    self.taker.take_segment(segment, sink);
                    records = None;
                    continue;
                }
                Some(Range { start, .. }) if at < *start => *start,
                Some(_) | None => segment.end(),
            };
            self.feed(segment.bytes(at, until), &mut |started, said: Ingested<'_>| sink.take(started, said));
        }
    }

    /// Takes it that no more bytes come; what is left is told. Where [`Self::next_offset`] lies before the
    /// end of the file then, feed the bytes from there on and call this again: there may be whole records
    /// behind a false length.
    pub fn finish(&mut self, sink: &mut (impl FnMut(WallTime, Ingested<'_>) + ?Sized)) {
        loop {
            match self.decoder.poll_end() {
                Decoded::NeedMore => return,
                decoded => self.taker.take(&decoded, &mut |started, said| sink(started, said)),
            }
        }
    }

    /// Where the bytes that are to be fed next lie in the file; see [`Decoder::next_offset`].
    #[must_use]
    pub fn next_offset(&self) -> u64 {
        self.decoder.next_offset()
    }

    /// Goes on at file offset `at`, because what lies before it cannot be read again.
    pub fn skip_lost(&mut self, at: u64) {
        self.decoder.skip_lost(at);
    }

    /// How many whole records there were so far, whatever they hold.
    #[must_use]
    pub fn n_records(&self) -> u64 {
        self.taker.n_records
    }

    /// Whether the last bytes look damaged, with nothing readable behind them yet.
    #[must_use]
    pub fn is_lost(&self) -> bool {
        self.decoder.is_lost()
    }

    /// The offset from which nothing is told yet.
    #[must_use]
    pub fn resume_offset(&self) -> u64 {
        self.decoder.resume_offset()
    }

    /// Forgets what was read from [`Self::resume_offset`] on: the next bytes are those there.
    pub fn read_again(&mut self) {
        self.decoder = Decoder::new(self.decoder.resume_offset());
    }
}

/// Turns records into what they say.
#[derive(Debug, Default)]
struct Taker {
    n_records: u64,
    floats: SingleFloats,
    start: Start,
    /// The scan of a long record whose parts are coming.
    parts: Option<Box<PartScan>>,
    /// The step of the event that says once more what the format's version is, and which record it is.
    reopened: Option<(Step, u64)>,
}

/// When a file was begun: by the clock of its first event. TensorFlow cuts that off to whole seconds; then it is the clock of
/// the second event, or the end of the second.
#[derive(Debug, Default)]
struct Start {
    clock: Option<WallTime>,
    /// The first event said it to a second only, and no other has come.
    is_about: bool,
}

impl Start {
    /// The same, given the clock of the event that was read.
    #[inline]
    fn by(&mut self, clock: WallTime) -> WallTime {
        let started = self.clock.get_or_insert(clock);
        if std::mem::take(&mut self.is_about) {
            let latest = (started.0 + 1.0).next_down();
            started.0 = started.0.max(clock.0.min(latest));
        }
        *started
    }
}

impl Taker {
    /// Takes a record, with the way of most of them inlined.
    #[inline(always)]
    fn take_intact(&mut self, record: Record<'_>, sink: &mut (impl FnMut(WallTime, Ingested<'_>) + ?Sized)) {
        match self.floats.scan(record.data) {
            Some(SingleFloat { wall_time, step, tag, value, metadata }) => {
                self.n_records += 1;
                let started = self.start.by(wall_time);
                let content = Content::Scalar(MetricValue::F32(value));
                sink(started, Ingested::Value { step, wall_time, tag, content, metadata });
            }
            None => self.take(&Decoded::Record(record), &mut |started, said| sink(started, said)),
        }
    }

    /// Takes the whole records of a segment.
    fn take_segment(&mut self, segment: &Segment, sink: &mut impl Take) {
        let (n_before, entries) = (self.n_records, segment.entries());
        let mut n_taken = 0;
        for group in segment.groups() {
            self.take_entries(segment, n_before, entries.get(n_taken..group.entries.start), sink);
            n_taken = group.entries.start;
            if let Some(Entry::Float { wall_time, .. }) = entries.get(n_taken)
                && sink.take_rises(self.start.by(*wall_time), segment.rises(group))
            {
                n_taken = group.entries.end;
            }
        }
        self.take_entries(segment, n_before, entries.get(n_taken..), sink);
        self.n_records = n_before + segment.n_records();
    }

    fn take_entries(
        &mut self,
        segment: &Segment,
        n_before: u64,
        entries: Option<&[Entry]>,
        sink: &mut impl Take,
    ) {
        for entry in entries.unwrap_or_default() {
            match entry {
                Entry::Float { heading, step, wall_time, value } => {
                    let Some(heading) = segment.heading(*heading) else { continue };
                    let (step, wall_time) = (*step, *wall_time);
                    let content = Content::Scalar(MetricValue::F32(*value));
                    let started = self.start.by(wall_time);
                    let (tag, metadata) = (heading.tag(), heading.metadata());
                    sink.take(started, Ingested::Value { step, wall_time, tag, content, metadata });
                }
                Entry::Record { at, length, number } => {
                    let Some(Record { offset, data }) = segment.record(*at, *length) else { continue };
                    self.n_records = n_before + u64::from(*number);
                    self.take_record(offset, data, &mut |started, said| sink.take(started, said));
                }
            }
        }
    }

    fn take_record(&mut self, offset: u64, data: &[u8], sink: &mut Sink<'_>) {
        if data.len() > MAX_RECORD_HELD_BYTES {
            // It is held, but what it is decoded to may be many times as long.
            let mut scan = PartScan::new(data.len() as u64);
            scan.feed(data);
            return self.take_parts(offset, data.len() as u64, scan, sink);
        }
        if let Some(Scanned { wall_time, step, what }) = scalar::scan(data) {
            let started = self.start.by(wall_time);
            return match what {
                ScannedWhat::Graph => sink(started, Ingested::Graph),
                ScannedWhat::Values(first, more) => {
                    for value in first.into_iter().chain(more) {
                        sink(started, said(step, wall_time, value));
                    }
                }
            };
        }
        let Ok(event) = Event::decode(data) else {
            return self.tell_bad_event(offset, data.len() as u64, DamageKind::NotAnEvent, sink);
        };
        let started = self.start.by(event.wall_time);
        match &event.what {
            What::FileVersion { .. } if self.n_records > 1 => {
                self.reopened = Some((event.step, self.n_records))
            }
            What::FileVersion { version, writer } => {
                self.start.is_about = started.0.fract() == 0.0;
                sink(started, Ingested::Opened { version, writer });
            }
            What::Summary(values) => {
                values.for_each(&mut |value| sink(started, said(event.step, event.wall_time, value)));
            }
            What::SessionStart => {
                // So PyTorch and tensorboardX begin with `purge_step`: "any events whose global_step larger or equal to T will
                // be purged". A session as TensorFlow begins it goes on from a checkpoint, which has its step behind it.
                let is_purge = self.reopened == Some((event.step, self.n_records - 1));
                let step = if is_purge { Step(event.step.0.saturating_sub(1)) } else { event.step };
                sink(started, Ingested::SessionStart(step));
            }
            What::Graph => sink(started, Ingested::Graph),
            What::Other => {}
        }
    }

    fn take(&mut self, decoded: &Decoded<'_>, sink: &mut Sink<'_>) {
        match decoded {
            Decoded::NeedMore => {}
            Decoded::Record(record) => {
                self.n_records += 1;
                self.take_record(record.offset, record.data, sink);
            }
            Decoded::Part(Part { length, at, data, .. }) => {
                if *at == 0 {
                    self.parts = Some(Box::new(PartScan::new(*length)));
                }
                if let Some(scan) = &mut self.parts {
                    scan.feed(data);
                }
            }
            Decoded::LongRecord { offset, length } => {
                self.n_records += 1;
                if let Some(scan) = self.parts.take() {
                    self.take_parts(*offset, *length, *scan, sink);
                }
            }
            Decoded::Damage(damage) => sink(self.start.clock.unwrap_or_default(), Ingested::Damage(*damage)),
        }
    }

    /// Takes an intact record that was scanned in parts.
    fn take_parts(&mut self, offset: u64, length: u64, scan: PartScan, sink: &mut Sink<'_>) {
        match scan.finish() {
            Ok(event) => {
                let started = self.start.by(event.wall_time);
                if event.is_graph {
                    sink(started, Ingested::Graph);
                }
                for value in event.values() {
                    sink(started, said(event.step, event.wall_time, value));
                }
            }
            Err(PartFault::NotAnEvent) => self.tell_bad_event(offset, length, DamageKind::NotAnEvent, sink),
            Err(PartFault::TooMuch) => self.tell_bad_event(offset, length, DamageKind::TooLong, sink),
        }
    }

    /// Tells of an intact record that cannot be read as an event.
    fn tell_bad_event(&self, offset: u64, length: u64, kind: DamageKind, sink: &mut Sink<'_>) {
        let bytes = length + (HEADER_BYTES + FOOTER_BYTES) as u64;
        let damage = Damage { offset, bytes, kind };
        sink(self.start.clock.unwrap_or_default(), Ingested::Damage(damage));
    }
}

fn said(step: Step, wall_time: WallTime, value: Value<'_>) -> Ingested<'_> {
    let Value { tag, content, metadata } = value;
    Ingested::Value { step, wall_time, tag, content, metadata }
}

/// Takes what a file says, with the clock of the file's first event.
type Sink<'s> = dyn FnMut(WallTime, Ingested<'_>) + 's;

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{event, record};

    /// When a file is taken to have been begun whose first event and later ones have these clocks, also where it is read on
    /// behind the first.
    fn started(first: f64, later: &[f64]) -> f64 {
        let mut head = Vec::new();
        record::encode(&event::encode_file_version(WallTime(first), "test"), &mut head);
        let mut bytes = Vec::new();
        for clock in later {
            record::encode(&event::encode_scalars(WallTime(*clock), Step(0), &[("a", 1.0)]), &mut bytes);
        }
        let mut all = Vec::new();
        let mut whole = Ingest::default();
        whole.feed(&head, &mut |_, _| ());
        let mut on = Ingest::resume(whole.resume_offset(), WallTime(first), whole.n_records());
        for ingest in [&mut whole, &mut on] {
            ingest.feed(&bytes, &mut |started, _| all.push(started.0));
        }
        assert!(all.windows(2).all(|pair| pair[0] == pair[1]), "{all:?}");
        all[0]
    }

    #[test]
    fn a_start_in_whole_seconds_is_that_of_the_second_event_or_the_end_of_the_second() {
        assert_eq!(started(1000.25, &[1000.5, 1001.0]), 1000.25);
        assert_eq!(started(1000.0, &[1000.5, 1000.7]), 1000.5);
        assert_eq!(started(1000.0, &[1000.0, 1007.0]), 1000.0);
        let late = started(1000.0, &[1007.0, 1008.0]);
        assert!(late > 1000.999 && late < 1001.0, "{late}");
    }
}
