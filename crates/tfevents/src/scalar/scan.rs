//! The fast way from a record to its values: straight over the wire format, without decoding or
//! copying what is no value (graphs, images, histograms).
//!
//! The full decode ([`crate::event::Event::decode`]) is its oracle. Whatever is out of the ordinary
//! (a field that comes twice, a field number or a type that is not expected, a file's first event) is
//! left to it: the scan then says nothing.

use prost::Message;

use super::wire::{Field, Fields};
use super::{Content, Kind, Metadata, Value, tensor, tensor_content};
use crate::proto::TensorProto;
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
    Values(Option<Value<'a>>, Vec<Value<'a>>),
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

fn scan_value(value: &[u8]) -> Option<Value<'_>> {
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
            Field::Bytes(9, bytes) => once(&mut metadata, Metadata::checked(bytes)?)?,
            _ => return None,
        }
    }
    let metadata = metadata.unwrap_or_default();
    let content = match (content, tensor) {
        (Some(content), None) => content,
        (None, Some(bytes)) => match tensor::scan_float(bytes) {
            Some(value) if metadata.kind().is_none() => Content::Scalar(MetricValue::F32(value)),
            _ => tensor_content(metadata, &TensorProto::decode(bytes).ok()?),
        },
        _ => return None,
    };
    Some(Value { tag: tag.unwrap_or(""), content, metadata })
}

/// Sets what is not set yet; a second time is out of the ordinary.
pub(super) fn once<T>(slot: &mut Option<T>, value: T) -> Option<()> {
    slot.replace(value).is_none().then_some(())
}

#[cfg(test)]
pub(super) mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::event::{self, Event, What};
    use crate::proto::summary::{Value, value};
    use crate::proto::{
        self, Summary, TensorShapeProto, summary_metadata::PluginData, tensor_shape_proto::Dim,
    };
    use crate::scalar::{SingleFloat, SingleFloats};

    /// An event as [`check`] compares it: bits, so that NaN equals itself.
    type Plain = (u64, i64, Vec<(String, Content, String)>, bool);

    fn plain<'a>(
        at: (WallTime, Step),
        values: impl Iterator<Item = super::Value<'a>>,
        is_graph: bool,
    ) -> Plain {
        let values = values.map(|v| (v.tag.to_owned(), v.content, v.metadata.plugin().to_owned())).collect();
        (at.0.0.to_bits(), at.1.0, values, is_graph)
    }

    /// What the full decode says; `None` for kinds of events that the scan leaves alone.
    fn oracle(data: &[u8]) -> Option<Plain> {
        let event = Event::decode(data).ok()?;
        let at = (event.wall_time, event.step);
        match event.what {
            What::Summary(values) => {
                let mut all = Vec::new();
                values.for_each(&mut |v| {
                    all.push((v.tag.to_owned(), v.content, v.metadata.plugin().to_owned()))
                });
                Some((at.0.0.to_bits(), at.1.0, all, false))
            }
            What::Graph => Some(plain(at, std::iter::empty(), true)),
            What::FileVersion { .. } | What::SessionStart | What::Other => None,
        }
    }

    /// Whatever the scans say, the full decode says too.
    fn check(data: &[u8]) {
        if let Some(scanned) = scan(data) {
            let at = (scanned.wall_time, scanned.step);
            let got = match scanned.what {
                ScannedWhat::Values(first, rest) => plain(at, first.into_iter().chain(rest), false),
                ScannedWhat::Graph => plain(at, std::iter::empty(), true),
            };
            assert_eq!(Some(got), oracle(data));
        }
        check_single(data, SingleFloats::default().scan(data));
    }

    #[track_caller]
    pub(crate) fn check_single(data: &[u8], found: Option<SingleFloat<'_>>) {
        if let Some(SingleFloat { wall_time, step, tag, value, metadata }) = found {
            let value = super::Value { tag, content: Content::Scalar(MetricValue::F32(value)), metadata };
            let got = plain((wall_time, step), std::iter::once(value), false);
            assert_eq!(Some(got), oracle(data));
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
                plugin_data: Some(PluginData { plugin_name: name.into(), content: Vec::new() }),
            }),
            value,
        })
    }

    pub(crate) fn any_event() -> impl Strategy<Value = Vec<u8>> {
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
        let value = |tag, v| super::Value {
            tag,
            content: Content::Scalar(MetricValue::F32(v)),
            metadata: Metadata::default(),
        };
        let what = ScannedWhat::Values(Some(value("a", 0.5)), vec![value("b", f32::NAN)]);
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
