//! One event file: bytes in, what its events say out.

use crate::event::{Event, What};
use crate::limits::MAX_RECORD_HELD_BYTES;
use crate::scalar::{
    self, Content, Metadata, PartFault, PartScan, Scanned, ScannedWhat, SingleFloat, SingleFloats, Value,
};
use crate::tfrecord::{Damage, DamageKind, Decoded, Decoder, FOOTER_BYTES, HEADER_BYTES, Part, Record};
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
        let started = (n_records > 0).then_some(started);
        Self { decoder: Decoder::new(offset), taker: Taker { n_records, started, ..Taker::default() } }
    }

    /// Gives back memory that only makes reading faster: the file may not grow for long.
    pub fn rest(&mut self) {
        self.taker.floats = SingleFloats::default();
    }

    /// The clock of the file's first event.
    #[must_use]
    pub fn started(&self) -> Option<WallTime> {
        self.taker.started
    }

    /// Takes the next bytes of the file, those from [`Self::next_offset`] on. `sink` gets what they say,
    /// each with the clock of the file's first event.
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
    /// The clock of the file's first event.
    started: Option<WallTime>,
    /// The scan of a long record whose parts are coming.
    parts: Option<Box<PartScan>>,
    /// The step of the event that says once more what the format's version is, and which record it is.
    reopened: Option<(Step, u64)>,
}

impl Taker {
    /// Takes a record, with the way of most of them inlined.
    #[inline(always)]
    fn take_intact(&mut self, record: Record<'_>, sink: &mut (impl FnMut(WallTime, Ingested<'_>) + ?Sized)) {
        match self.floats.scan(record.data) {
            Some(SingleFloat { wall_time, step, tag, value, metadata }) => {
                self.n_records += 1;
                let started = *self.started.get_or_insert(wall_time);
                let content = Content::Scalar(MetricValue::F32(value));
                sink(started, Ingested::Value { step, wall_time, tag, content, metadata });
            }
            None => self.take(&Decoded::Record(record), &mut |started, said| sink(started, said)),
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
            let started = *self.started.get_or_insert(wall_time);
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
        let started = *self.started.get_or_insert(event.wall_time);
        match &event.what {
            What::FileVersion { .. } if self.n_records > 1 => {
                self.reopened = Some((event.step, self.n_records))
            }
            What::FileVersion { version, writer } => sink(started, Ingested::Opened { version, writer }),
            What::Summary(values) => {
                scalar::for_each(values, &mut |value| {
                    sink(started, said(event.step, event.wall_time, value))
                });
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
            Decoded::Damage(damage) => sink(self.started.unwrap_or_default(), Ingested::Damage(*damage)),
        }
    }

    /// Takes an intact record that was scanned in parts.
    fn take_parts(&mut self, offset: u64, length: u64, scan: PartScan, sink: &mut Sink<'_>) {
        match scan.finish() {
            Ok(event) => {
                let started = *self.started.get_or_insert(event.wall_time);
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
        sink(self.started.unwrap_or_default(), Ingested::Damage(damage));
    }
}

fn said(step: Step, wall_time: WallTime, value: Value<'_>) -> Ingested<'_> {
    let Value { tag, content, metadata } = value;
    Ingested::Value { step, wall_time, tag, content, metadata }
}

/// Takes what a file says, with the clock of the file's first event.
type Sink<'s> = dyn FnMut(WallTime, Ingested<'_>) + 's;
