//! The fast scans say what the full decode says.
#![no_main]

use tfevents::event::{Event, What};
use tfevents::scalar::{self, Content, PartScan, ScannedWhat, SingleFloats, Value};
use tfevents::units::MetricValue;
use libfuzzer_sys::fuzz_target;

type Said = (u64, i64, Vec<(String, String, String)>, bool);

/// A value with its bits, so that NaN equals itself.
fn plain(value: Value<'_>) -> (String, String, String) {
    let content = match value.content {
        Content::Scalar(v) => format!("{v:?} {:x}", v.as_f64().to_bits()),
        Content::Other(kind) => kind.name().to_owned(),
    };
    (value.tag.to_owned(), content, value.metadata.plugin().to_owned())
}

fn oracle(data: &[u8]) -> Option<Said> {
    let event = Event::decode(data).ok()?;
    let mut values = Vec::new();
    if let What::Summary(summary) = &event.what {
        summary.for_each(&mut |value| values.push(plain(value)));
    }
    Some((event.wall_time.0.to_bits(), event.step.0, values, event.what == What::Graph))
}

fuzz_target!(|data: &[u8]| {
    let [size, data @ ..] = data else { return };
    let scanned = scalar::scan(data).map(|scanned| {
        let (values, is_graph) = match scanned.what {
            ScannedWhat::Values(first, rest) => (first.into_iter().chain(rest).map(plain).collect(), false),
            ScannedWhat::Graph => (Vec::new(), true),
        };
        (scanned.wall_time.0.to_bits(), scanned.step.0, values, is_graph)
    });
    if scanned.is_some() {
        assert_eq!(scanned, oracle(data));
    }
    // The same event, and one like it but for a byte, in turn.
    let mut other = data.to_vec();
    if let Some(byte) = other.get_mut(usize::from(*size)) {
        *byte = byte.wrapping_add(1);
    }
    let mut floats = SingleFloats::default();
    for data in [data, data, &other, &other, data] {
        let found = floats.scan(data).map(|float| {
            let content = Content::Scalar(MetricValue::F32(float.value));
            let values = vec![plain(Value { tag: float.tag, content, metadata: float.metadata })];
            (float.wall_time.0.to_bits(), float.step.0, values, false)
        });
        if found.is_some() {
            assert_eq!(found, oracle(data));
        }
    }
    let in_parts = |size: usize| {
        let mut scan = PartScan::new(data.len() as u64);
        data.chunks(size).for_each(|piece| scan.feed(piece));
        scan.finish().map(|event| {
            let values: Vec<_> = event.values().map(plain).collect();
            (event.wall_time.0.to_bits(), event.step.0, values, event.is_graph)
        })
    };
    let parts = in_parts(1 + usize::from(*size));
    assert_eq!(parts, in_parts(data.len().max(1)));
    // What is out of the ordinary (a field that comes twice, groups) is left to the full decode above.
    if scanned.is_some() {
        assert_eq!(parts.ok(), scanned);
    }
});
