//! One event file: bytes in, what its events say out.

use crate::event::{Event, What};
use crate::scalar::{self, Content, Scanned, ScannedWhat};
use crate::tfrecord::{Damage, DamageKind, Decoded, Decoder, FOOTER_BYTES, HEADER_BYTES};
use crate::units::{Step, WallTime};

/// Reads one event file, whose bytes may arrive in any pieces.
#[derive(Debug, Default)]
pub struct Ingest {
    decoder: Decoder,
    started: Option<WallTime>,
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
    },
    /// A session began at this step.
    SessionStart(Step),
    /// A graph.
    Graph,
    /// A stretch that gave no event.
    Damage(Damage),
}

/// Takes what a file says, with the clock at the file's first event.
pub type Sink<'s> = dyn FnMut(WallTime, Ingested<'_>) + 's;

impl Ingest {
    /// Takes the next bytes of the file.
    pub fn feed(&mut self, mut bytes: &[u8], sink: &mut Sink<'_>) {
        loop {
            match self.decoder.poll(&mut bytes) {
                Decoded::NeedMore => return,
                decoded => take(&mut self.started, &decoded, sink),
            }
        }
    }

    /// Takes it that no more bytes come; what is left is told.
    pub fn finish(&mut self, sink: &mut Sink<'_>) {
        loop {
            match self.decoder.poll_end() {
                Decoded::NeedMore => return,
                decoded => take(&mut self.started, &decoded, sink),
            }
        }
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

fn take(first: &mut Option<WallTime>, decoded: &Decoded<'_>, sink: &mut Sink<'_>) {
    let record = match decoded {
        Decoded::NeedMore => return,
        Decoded::Damage(damage) => {
            return sink(first.unwrap_or_default(), Ingested::Damage(*damage));
        }
        Decoded::Record(record) => record,
    };
    if let Some(scanned) = scalar::scan(record.data) {
        return take_scanned(first, scanned, sink);
    }
    let Ok(event) = Event::decode(record.data) else {
        let bytes = (HEADER_BYTES + record.data.len() + FOOTER_BYTES) as u64;
        let damage = Damage { offset: record.offset, bytes, kind: DamageKind::NotAnEvent };
        return sink(first.unwrap_or_default(), Ingested::Damage(damage));
    };
    let started = *first.get_or_insert(event.wall_time);
    match &event.what {
        What::FileVersion { version, writer } => sink(started, Ingested::Opened { version, writer }),
        What::Summary(values) => {
            for value in values {
                let (step, wall_time) = (event.step, event.wall_time);
                let content = scalar::content(value);
                sink(started, Ingested::Value { step, wall_time, tag: &value.tag, content });
            }
        }
        What::SessionStart => sink(started, Ingested::SessionStart(event.step)),
        What::Graph => sink(started, Ingested::Graph),
        What::Other => {}
    }
}

fn take_scanned(first: &mut Option<WallTime>, scanned: Scanned<'_>, sink: &mut Sink<'_>) {
    let Scanned { wall_time, step, what } = scanned;
    let started = *first.get_or_insert(wall_time);
    match what {
        ScannedWhat::Graph => sink(started, Ingested::Graph),
        ScannedWhat::Values(value, more) => {
            for (tag, content) in value.into_iter().chain(more) {
                sink(started, Ingested::Value { step, wall_time, tag, content });
            }
        }
    }
}
