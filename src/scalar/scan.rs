//! The fast way from a record to its values: straight over the wire format, without decoding or
//! copying what is no value (graphs, images, histograms).
//!
//! The full decode ([`crate::event::Event::decode`]) is its oracle. Whatever is out of the ordinary
//! (a field that comes twice, a field number or a type that is not expected, a file's first event) is
//! left to it: the scan then says nothing. Wire format: Protocol Buffers, "Encoding".

use prost::Message;

use super::{Content, Kind, tensor_content};
use crate::proto::{SummaryMetadata, TensorProto};
use crate::units::{MetricValue, Step, WallTime};

/// What an ordinary event holds.
#[derive(Debug, PartialEq)]
pub struct Scanned<'a> {
    /// The writer's clock.
    pub wall_time: WallTime,
    /// The step.
    pub step: Step,
    /// What it says.
    pub what: ScannedWhat<'a>,
}

/// What an ordinary event says.
#[derive(Debug, PartialEq)]
pub enum ScannedWhat<'a> {
    /// Values under tags; the first apart, since most events have just one.
    Values(Option<(&'a str, Content)>, Vec<(&'a str, Content)>),
    /// A graph or a meta graph.
    Graph,
}

/// Scans the data of one record; `None` where the full decode is to be asked.
#[must_use]
pub fn scan(data: &[u8]) -> Option<Scanned<'_>> {
    let mut fields = Fields(data);
    let (mut wall_time, mut step, mut what) = (None, None, None);
    while let Some(field) = fields.next()? {
        match field {
            Field::Fixed64(1, bits) => once(&mut wall_time, f64::from_bits(bits))?,
            Field::Varint(2, value) => once(&mut step, value.cast_signed())?,
            Field::Bytes(5, summary) => once(&mut what, scan_summary(summary)?)?,
            Field::Bytes(4 | 9, _) => once(&mut what, ScannedWhat::Graph)?,
            _ => return None,
        }
    }
    Some(Scanned {
        wall_time: WallTime(wall_time.unwrap_or(0.0)),
        step: Step(step.unwrap_or(0)),
        what: what?,
    })
}

fn scan_summary(summary: &[u8]) -> Option<ScannedWhat<'_>> {
    let mut fields = Fields(summary);
    let (mut first, mut rest) = (None, Vec::new());
    while let Some(field) = fields.next()? {
        let Field::Bytes(1, value) = field else { return None };
        let value = scan_value(value)?;
        match first {
            None => first = Some(value),
            Some(_) => rest.push(value),
        }
    }
    Some(ScannedWhat::Values(first, rest))
}

fn scan_value(value: &[u8]) -> Option<(&str, Content)> {
    let mut fields = Fields(value);
    let (mut tag, mut content, mut tensor, mut metadata, mut node_name) = (None, None, None, None, None);
    while let Some(field) = fields.next()? {
        match field {
            Field::Bytes(1, bytes) => once(&mut tag, std::str::from_utf8(bytes).ok()?)?,
            Field::Fixed32(2, bits) => {
                once(&mut content, Content::Scalar(MetricValue::F32(f32::from_bits(bits))))?;
            }
            Field::Bytes(3 | 5, _) => once(&mut content, Content::Other(Kind::Histogram))?,
            Field::Bytes(4, _) => once(&mut content, Content::Other(Kind::Image))?,
            Field::Bytes(6, _) => once(&mut content, Content::Other(Kind::Audio))?,
            Field::Bytes(7, _) => once(&mut node_name, ())?,
            Field::Bytes(8, bytes) => once(&mut tensor, bytes)?,
            Field::Bytes(9, bytes) => once(&mut metadata, SummaryMetadata::decode(bytes).ok()?)?,
            _ => return None,
        }
    }
    let content = match (content, tensor) {
        (Some(content), None) => content,
        (None, Some(bytes)) => tensor_content(metadata.as_ref(), &TensorProto::decode(bytes).ok()?),
        _ => return None,
    };
    Some((tag.unwrap_or(""), content))
}

/// Sets what is not set yet; a second time is out of the ordinary.
fn once<T>(slot: &mut Option<T>, value: T) -> Option<()> {
    slot.replace(value).is_none().then_some(())
}

/// The fields of a message whose numbers are below 16, in the order in which they stand.
struct Fields<'a>(&'a [u8]);

enum Field<'a> {
    Varint(u8, u64),
    Fixed64(u8, u64),
    Bytes(u8, &'a [u8]),
    Fixed32(u8, u32),
}

impl<'a> Fields<'a> {
    /// The next field; `None` where something is out of the ordinary, `Some(None)` at the end.
    fn next(&mut self) -> Option<Option<Field<'a>>> {
        let Some((key, rest)) = self.0.split_first() else { return Some(None) };
        self.0 = rest;
        let number = key >> 3;
        if number == 0 || *key >= 0x80 {
            return None;
        }
        Some(Some(match key & 7 {
            0 => Field::Varint(number, self.varint()?),
            1 => Field::Fixed64(number, u64::from_le_bytes(self.array()?)),
            2 => {
                let length = usize::try_from(self.varint()?).ok()?;
                let (bytes, rest) = self.0.split_at_checked(length)?;
                self.0 = rest;
                Field::Bytes(number, bytes)
            }
            5 => Field::Fixed32(number, u32::from_le_bytes(self.array()?)),
            _ => return None,
        }))
    }

    fn array<const N: usize>(&mut self) -> Option<[u8; N]> {
        let (array, rest) = self.0.split_first_chunk()?;
        self.0 = rest;
        Some(*array)
    }

    fn varint(&mut self) -> Option<u64> {
        let mut value = 0;
        for shift in (0..63).step_by(7) {
            let (byte, rest) = self.0.split_first()?;
            self.0 = rest;
            value |= u64::from(byte & 0x7f) << shift;
            if *byte < 0x80 {
                return Some(value);
            }
        }
        // The tenth byte holds the last bit.
        let (byte, rest) = self.0.split_first()?;
        self.0 = rest;
        (*byte <= 1).then(|| value | u64::from(*byte) << 63)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::super::content;
    use super::*;
    use crate::event::{self, Event, What};
    use crate::proto::summary::{Value, value};
    use crate::proto::{
        self, Summary, TensorShapeProto, summary_metadata::PluginData, tensor_shape_proto::Dim,
    };

    /// What the full decode says, in the scan's words; `None` for kinds of events that it leaves alone.
    fn oracle(data: &[u8]) -> Option<Scanned<'static>> {
        let event = Event::decode(data).ok()?;
        let what = match event.what {
            What::Summary(values) => {
                let leak = |v: &Value| (&*String::leak(v.tag.clone()), content(v));
                let mut values = values.iter().map(leak);
                ScannedWhat::Values(values.next(), values.collect())
            }
            What::Graph => ScannedWhat::Graph,
            What::FileVersion { .. } | What::SessionStart | What::Other => return None,
        };
        Some(Scanned { wall_time: event.wall_time, step: event.step, what })
    }

    /// Whatever the scan says, the full decode says too.
    fn check(data: &[u8]) {
        if let Some(scanned) = scan(data) {
            let expected = oracle(data).expect("the scan only reads what is an event");
            assert_eq!(scanned.wall_time.0.to_bits(), expected.wall_time.0.to_bits());
            assert_eq!((scanned.step, scanned.what), (expected.step, expected.what));
        }
    }

    fn any_tensor() -> impl Strategy<Value = proto::TensorProto> {
        let shape = prop::option::of(prop::collection::vec(0i64..3, 0..3));
        (0i32..27, shape, prop::collection::vec(any::<u8>(), 0..9), prop::collection::vec(any::<f32>(), 0..3))
            .prop_map(|(dtype, shape, tensor_content, float_val)| proto::TensorProto {
                dtype,
                tensor_shape: shape.map(|sizes| TensorShapeProto {
                    dim: sizes.into_iter().map(|size| Dim { size }).collect(),
                    unknown_rank: false,
                }),
                tensor_content,
                float_val,
                ..Default::default()
            })
    }

    fn any_value() -> impl Strategy<Value = Value> {
        let bytes = || prop::collection::vec(any::<u8>(), 0..40);
        let held = prop_oneof![
            4 => any::<f32>().prop_map(value::Value::SimpleValue),
            1 => bytes().prop_map(value::Value::Histo),
            1 => bytes().prop_map(value::Value::Image),
            1 => bytes().prop_map(value::Value::Audio),
            4 => any_tensor().prop_map(value::Value::Tensor),
        ];
        let plugin =
            prop::option::of(prop_oneof![Just("scalars"), Just("text"), Just("histograms"), Just("other")]);
        (".{0,12}", plugin, prop::option::of(held)).prop_map(|(tag, plugin, value)| Value {
            tag,
            metadata: plugin.map(|name| proto::SummaryMetadata {
                plugin_data: Some(PluginData { plugin_name: name.into() }),
            }),
            value,
        })
    }

    fn any_event() -> impl Strategy<Value = Vec<u8>> {
        let values = prop::collection::vec(any_value(), 0..4);
        let what = prop_oneof![
            8 => values.prop_map(|value| proto::event::What::Summary(Summary { value })),
            1 => prop::collection::vec(any::<u8>(), 0..40).prop_map(proto::event::What::GraphDef),
            1 => Just(proto::event::What::FileVersion("brain.Event:2".into())),
        ];
        (any::<f64>(), any::<i64>(), prop::option::of(what)).prop_map(|(wall_time, step, what)| {
            proto::Event { wall_time, step, what, source_metadata: None }.encode_to_vec()
        })
    }

    #[test]
    fn an_ordinary_scalar_is_read_without_the_full_decode() {
        let data = event::encode_scalars(WallTime(1.5), Step(-7), &[("a", 0.5), ("b", f32::NAN)]);
        let scalar = |v| Content::Scalar(MetricValue::F32(v));
        let what = ScannedWhat::Values(Some(("a", scalar(0.5))), vec![("b", scalar(f32::NAN))]);
        assert_eq!(scan(&data), Some(Scanned { wall_time: WallTime(1.5), step: Step(-7), what }));
    }

    #[test]
    fn what_is_out_of_the_ordinary_is_left_to_the_full_decode() {
        assert_eq!(scan(&event::encode_file_version(WallTime(1.0), "w")), None);
        assert_eq!(scan(&event::encode_session_start(WallTime(1.0), Step(1))), None);
        let once = event::encode_scalars(WallTime(1.0), Step(1), &[("a", 0.5)]);
        assert_eq!(scan(&[once.clone(), once].concat()), None);
        assert_eq!(scan(&[0xff; 9]), None);
        assert_eq!(scan(&[]), None);
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(2000))]

        #[test]
        fn the_scan_says_what_the_full_decode_says(data in any_event()) {
            check(&data);
        }

        #[test]
        fn so_it_does_for_damaged_events(
            data in any_event(),
            changes in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 1..4),
            cut in any::<prop::sample::Index>(),
            is_cut in any::<bool>(),
        ) {
            let mut data = data;
            for (at, byte) in changes {
                if !data.is_empty() {
                    let at = at.index(data.len());
                    data[at] = byte;
                }
            }
            if is_cut && !data.is_empty() {
                data.truncate(cut.index(data.len()));
            }
            check(&data);
        }

        #[test]
        fn and_for_any_bytes(data in prop::collection::vec(prop_oneof![0u8..64, any::<u8>()], 0..60)) {
            check(&data);
        }
    }
}
