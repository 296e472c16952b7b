//! A record that is too long to be held, scanned in the pieces in which it comes: numbers are kept,
//! images and graphs are passed over.
//!
//! ```text
//!   Event ──5──▶ Summary ──1──▶ Value ──▶ tag, simple_value, tensor, metadata
//! ```

use prost::Message;

use super::metadata::{self, Metadata};
use super::{Content, Kind, Value, tensor_content};
use crate::limits::{MAX_FIELD_HELD_BYTES, MAX_VALUES_HELD_BYTES};
use crate::proto::{DataType, SummaryMetadata, TensorProto};
use crate::units::{MetricValue, Step, WallTime};

/// Scans one event that comes in pieces.
#[derive(Debug)]
pub struct PartScan {
    /// How many bytes were taken.
    at: u64,
    /// Where the messages that are open end: the event, its summary, the summary's value.
    ends: Vec<u64>,
    state: State,
    /// The start of a field, or of its content, as far as it is here.
    held: Vec<u8>,
    value: OpenValue,
    event: PartEvent,
    /// What is kept of values that are closed, in bytes.
    values_bytes: usize,
    fault: Option<PartFault>,
}

/// An event that came in pieces.
#[derive(Debug, Default, PartialEq)]
pub struct PartEvent {
    /// The writer's clock.
    pub wall_time: WallTime,
    /// The step.
    pub step: Step,
    /// Whether it holds a graph.
    pub is_graph: bool,
    values: Vec<(String, Content, Vec<u8>)>,
}

/// Why a record that came in pieces gives no event.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum PartFault {
    /// Its bytes are no event.
    NotAnEvent,
    /// It holds more values than may be held at once.
    TooMuch,
}

#[derive(Debug, Clone, Copy)]
enum State {
    /// At the key of a field, or inside its number or length.
    Head,
    /// Inside the content of a field of a value, of which as much is held as may be.
    Keep { number: u64, end: u64, length: u64 },
    /// Inside the content of a field that is no number.
    Pass { end: u64 },
}

/// What is known of the value that is open.
#[derive(Debug, Default)]
struct OpenValue {
    tag: String,
    metadata: Vec<u8>,
    content: Option<OpenContent>,
}

#[derive(Debug)]
enum OpenContent {
    Known(Content),
    Tensor(Box<TensorProto>),
    LongTensor { is_text: bool },
}

/// The start of a field: its key, and its number or the length of its content.
enum Head {
    Incomplete,
    Wrong,
    Whole { number: u64, wire_type: u64, value: u64 },
}

impl PartEvent {
    /// Its values, in order.
    pub fn values(&self) -> impl Iterator<Item = Value<'_>> {
        self.values.iter().map(|(tag, content, metadata)| Value {
            tag,
            content: *content,
            metadata: Metadata::checked(metadata).unwrap_or_default(),
        })
    }
}

impl PartScan {
    /// A scan of a record whose data is `length` bytes long.
    #[must_use]
    pub fn new(length: u64) -> Self {
        Self {
            at: 0,
            ends: vec![length],
            state: State::Head,
            held: Vec::new(),
            value: OpenValue::default(),
            event: PartEvent::default(),
            values_bytes: 0,
            fault: None,
        }
    }

    /// Takes the next bytes.
    pub fn feed(&mut self, mut data: &[u8]) {
        while self.fault.is_none() && !data.is_empty() {
            match self.state {
                State::Head => {
                    // Fields begin rarely here: byte by byte is fast enough.
                    let (byte, rest) = data.split_at(1);
                    data = rest;
                    self.at += 1;
                    self.held.extend_from_slice(byte);
                    match read_head(&self.held) {
                        Head::Incomplete => {}
                        Head::Wrong => self.fail(PartFault::NotAnEvent),
                        Head::Whole { number, wire_type, value } => {
                            self.held.clear();
                            self.begin(number, wire_type, value);
                        }
                    }
                }
                State::Keep { number, end, length } => {
                    let taken = self.take_until(end, &mut data);
                    let room = longest_held(number).saturating_sub(self.held.len());
                    self.held.extend_from_slice(taken.get(..room).unwrap_or(taken));
                    if self.at == end {
                        self.keep(number, self.held.len() as u64 == length);
                    }
                }
                State::Pass { end } => {
                    self.take_until(end, &mut data);
                }
            }
            self.close();
        }
    }

    /// The event, once all is fed.
    ///
    /// # Errors
    /// The bytes are no event, or too many values.
    pub fn finish(mut self) -> Result<PartEvent, PartFault> {
        self.close();
        match self.fault {
            Some(fault) => Err(fault),
            None if self.ends.is_empty() => Ok(self.event),
            None => Err(PartFault::NotAnEvent),
        }
    }

    fn fail(&mut self, fault: PartFault) {
        self.fault = Some(fault);
    }

    /// Takes bytes up to where `end` lies.
    fn take_until<'a>(&mut self, end: u64, data: &mut &'a [u8]) -> &'a [u8] {
        let missing = usize::try_from(end - self.at).unwrap_or(usize::MAX);
        let (taken, rest) = data.split_at(missing.min(data.len()));
        *data = rest;
        self.at += taken.len() as u64;
        taken
    }

    /// Begins a field whose key, and number or length, are read.
    fn begin(&mut self, number: u64, wire_type: u64, value: u64) {
        let depth = self.ends.len();
        match (depth, number, wire_type) {
            (1, 1, 1) => self.event.wall_time = WallTime(f64::from_bits(value)),
            (1, 2, 0) => self.event.step = Step(value.cast_signed()),
            (3, 2, 5) => {
                let simple = MetricValue::F32(f32::from_bits(value as u32));
                self.value.content = Some(OpenContent::Known(Content::Scalar(simple)));
            }
            (_, _, 2) => self.begin_content(depth, number, value),
            // A field that is known but of another type.
            (1, 1..=5 | 7 | 9 | 10, _) | (2, 1, _) | (3, 1..=6 | 8 | 9, _) => {
                self.fail(PartFault::NotAnEvent);
            }
            _ => {}
        }
    }

    fn begin_content(&mut self, depth: usize, number: u64, length: u64) {
        let outer = self.ends.last().copied().unwrap_or(0);
        let Some(end) = self.at.checked_add(length).filter(|end| *end <= outer) else {
            return self.fail(PartFault::NotAnEvent);
        };
        let other = |kind| Some(OpenContent::Known(Content::Other(kind)));
        match (depth, number) {
            (1, 1 | 2) | (3, 2) => return self.fail(PartFault::NotAnEvent),
            (1, 5) | (2, 1) => return self.ends.push(end),
            (1, 4 | 9) => self.event.is_graph = true,
            (3, 1 | 8 | 9) => {
                if number != 8 && length > longest_held(number) as u64 {
                    return self.fail(PartFault::TooMuch);
                }
                self.state = State::Keep { number, end, length };
                if length == 0 {
                    self.keep(number, true);
                }
                return;
            }
            (3, 3 | 5) => self.value.content = other(Kind::Histogram),
            (3, 4) => self.value.content = other(Kind::Image),
            (3, 6) => self.value.content = other(Kind::Audio),
            _ => {}
        }
        self.state = State::Pass { end };
    }

    /// Takes the content of a field of a value; of a tensor it may be the beginning.
    fn keep(&mut self, number: u64, is_whole: bool) {
        let held = std::mem::take(&mut self.held);
        self.state = State::Head;
        let is_known = match number {
            1 => String::from_utf8(held).map(|tag| self.value.tag = tag).is_ok(),
            8 if !is_whole => {
                // The type is the first field that writers write.
                let text = [0x08, DataType::DtString as u8];
                self.value.content = Some(OpenContent::LongTensor { is_text: held.starts_with(&text) });
                true
            }
            8 => TensorProto::decode(&*held)
                .map(|tensor| self.value.content = Some(OpenContent::Tensor(tensor.into())))
                .is_ok(),
            _ => SummaryMetadata::decode(&*held)
                .map(|known| self.value.metadata = metadata::reencoded(Some(&known)))
                .is_ok(),
        };
        if !is_known {
            self.fail(PartFault::NotAnEvent);
        }
    }

    /// Closes the messages that end here.
    fn close(&mut self) {
        if let State::Pass { end } = self.state
            && end == self.at
        {
            self.state = State::Head;
        }
        while matches!(self.state, State::Head) && self.ends.last() == Some(&self.at) && self.fault.is_none()
        {
            if !self.held.is_empty() {
                return self.fail(PartFault::NotAnEvent);
            }
            self.ends.pop();
            if self.ends.len() == 2 {
                self.close_value();
            }
        }
    }

    fn close_value(&mut self) {
        let OpenValue { tag, metadata, content } = std::mem::take(&mut self.value);
        let names = Metadata::checked(&metadata).unwrap_or_default();
        let content = match content {
            Some(OpenContent::Known(content)) => content,
            Some(OpenContent::Tensor(tensor)) => tensor_content(names, &tensor),
            Some(OpenContent::LongTensor { is_text }) => {
                let kind = if is_text { Kind::Text } else { Kind::Tensor };
                Content::Other(names.kind().unwrap_or(kind))
            }
            None => Content::Other(names.kind().unwrap_or(Kind::Unknown)),
        };
        self.values_bytes += size_of::<(String, Content, Vec<u8>)>() + tag.len() + metadata.len();
        if self.values_bytes > MAX_VALUES_HELD_BYTES {
            return self.fail(PartFault::TooMuch);
        }
        self.event.values.push((tag, content, metadata));
    }
}

/// How much is held of a field of a value, in bytes: metadata may have all the hyperparameters of a run.
fn longest_held(number: u64) -> usize {
    if number == 9 { MAX_VALUES_HELD_BYTES } else { MAX_FIELD_HELD_BYTES }
}

/// Reads the start of a field from as many bytes of it as are here.
fn read_head(bytes: &[u8]) -> Head {
    let (key, rest) = match read_varint(bytes) {
        Ok(Some(read)) => read,
        Ok(None) => return Head::Incomplete,
        Err(TooLong) => return Head::Wrong,
    };
    let (number, wire_type) = (key >> 3, key & 7);
    if number == 0 || key > u64::from(u32::MAX) {
        return Head::Wrong;
    }
    let value = match wire_type {
        0 | 2 => match read_varint(rest) {
            Ok(value) => value.map(|(value, _)| value),
            Err(TooLong) => return Head::Wrong,
        },
        1 => rest.first_chunk().map(|bytes| u64::from_le_bytes(*bytes)),
        5 => rest.first_chunk().map(|bytes| u32::from_le_bytes(*bytes).into()),
        _ => return Head::Wrong,
    };
    value.map_or(Head::Incomplete, |value| Head::Whole { number, wire_type, value })
}

struct TooLong;

/// The varint that `bytes` begin with, and what follows it; `None` where it is not whole.
fn read_varint(bytes: &[u8]) -> Result<Option<(u64, &[u8])>, TooLong> {
    let mut value = 0;
    for (i, byte) in bytes.iter().enumerate() {
        if i > 9 || (i == 9 && *byte > 1) {
            return Err(TooLong);
        }
        value |= u64::from(byte & 0x7f) << (7 * i);
        if *byte < 0x80 {
            return Ok(Some((value, bytes.get(i + 1..).unwrap_or(&[]))));
        }
    }
    Ok(None)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use std::collections::BTreeMap;

    use super::*;
    use crate::event::{Event, What};
    use crate::scalar::{self, HparamValue};

    fn scan_in(data: &[u8], sizes: &[usize]) -> Result<PartEvent, PartFault> {
        let mut scan = PartScan::new(data.len() as u64);
        let mut rest = data;
        for size in sizes.iter().cycle() {
            if rest.is_empty() {
                break;
            }
            let (head, tail) = rest.split_at((*size).min(rest.len()));
            scan.feed(head);
            rest = tail;
        }
        scan.finish()
    }

    /// The full decode in the same words.
    fn oracle(data: &[u8]) -> Result<PartEvent, PartFault> {
        let event = Event::decode(data).map_err(|_| PartFault::NotAnEvent)?;
        let mut values = Vec::new();
        if let What::Summary(summary) = &event.what {
            summary.for_each(&mut |value| {
                values.push((value.tag.to_owned(), value.content, value.metadata.0.to_vec()));
            });
        }
        let is_graph = event.what == What::Graph;
        Ok(PartEvent { wall_time: event.wall_time, step: event.step, is_graph, values })
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(1000))]

        #[test]
        fn in_parts_an_event_says_what_the_full_decode_says(
            data in scalar::scan::tests::any_event(),
            sizes in prop::collection::vec(1usize..40, 1..8),
        ) {
            let got = scan_in(&data, &sizes).expect("it is an event");
            let expected = oracle(&data).expect("it is an event");
            prop_assert_eq!(got.wall_time.0.to_bits(), expected.wall_time.0.to_bits());
            prop_assert_eq!((got.step, got.is_graph, got.values), (expected.step, expected.is_graph, expected.values));
        }

        #[test]
        fn any_bytes_and_any_pieces_give_the_same(
            data in prop::collection::vec(prop_oneof![0u8..64, any::<u8>()], 0..60),
            sizes in prop::collection::vec(1usize..9, 1..8),
        ) {
            let shown = |event: Result<PartEvent, PartFault>| format!("{event:?}");
            prop_assert_eq!(shown(scan_in(&data, &sizes)), shown(scan_in(&data, &[100])));
        }
    }

    #[test]
    fn a_number_beside_a_large_image_is_found_and_the_image_is_not_held() {
        let image = vec![7; 1 << 20];
        let mut value = vec![0x0a, 1, b'i', 0x22];
        prost::encoding::encode_varint(image.len() as u64, &mut value);
        value.extend(&image);
        let mut summary = vec![0x0a];
        prost::encoding::encode_varint(value.len() as u64, &mut summary);
        summary.extend(&value);
        summary.extend([0x0a, 8, 0x0a, 1, b'x', 0x15, 0, 0, 0, 0x3f]);
        let mut data = vec![0x10, 7, 0x2a];
        prost::encoding::encode_varint(summary.len() as u64, &mut data);
        data.extend(&summary);
        let mut scan = PartScan::new(data.len() as u64);
        for piece in data.chunks(1000) {
            scan.feed(piece);
            assert!(scan.held.capacity() < 100);
        }
        let event = scan.finish().expect("it is an event");
        let values: Vec<(&str, Content)> = event.values().map(|v| (v.tag, v.content)).collect();
        let half = Content::Scalar(MetricValue::F32(0.5));
        assert_eq!((event.step, values), (Step(7), vec![("i", Content::Other(Kind::Image)), ("x", half)]));
    }

    #[test]
    fn long_metadata_are_held() {
        let text = HparamValue::Text("x".repeat(MAX_FIELD_HELD_BYTES));
        let data = scalar::encode_hparams(WallTime(1.0), &BTreeMap::from([("config".to_owned(), text)]));
        let event = scan_in(&data, &[1000]).expect("it is an event");
        let hparams = event.values().next().and_then(|value| value.metadata.hparams());
        assert_eq!(hparams.map(|hparams| hparams.len()), Some(1));
    }

    #[test]
    fn more_values_than_may_be_held_are_told() {
        let value = [0x0a, 8, 0x0a, 1, b'x', 0x15, 0, 0, 0, 0x3f];
        let summary = value.repeat(100_000);
        let mut data = vec![0x2a];
        prost::encoding::encode_varint(summary.len() as u64, &mut data);
        data.extend(&summary);
        assert_eq!(scan_in(&data, &[4096]), Err(PartFault::TooMuch));
    }
}
