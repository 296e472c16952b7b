//! One point is one number: in every format, in `watch`, in rules and in a job's result; and every type of tensor is read.

use std::fs;

use hptune::units::{Step, WallTime};
use parquet::record::Field;
use prost::Message;
use serde_json::Value as Json;
use tfevents::event;
use tfevents::record as tfrecord;

use crate::support::{Place, Ran, config, event_file, golden_dir, parquet_column};

/// Numbers that a float32 holds, and how they are written.
const NUMBERS: [(f32, &str); 8] = [
    (2_147_483_648.0, "2147483648"),
    (123_456_789.0, "123456792"),
    (1_597_463_007.0, "1597463040"),
    (-16_777_216.0, "-16777216"),
    (1e16, "1.0000000272564224e16"),
    (0.1, "0.1"),
    (3e-5, "0.00003"),
    (1e-7, "1e-7"),
];

#[track_caller]
fn ok(place: &Place, arguments: &[&str]) -> Ran {
    let ran = place.run(arguments);
    assert_eq!(ran.code, Some(0), "{} {}", ran.out, ran.err);
    ran
}

/// The values of the points among lines of JSON.
fn json_values(lines: &str) -> Vec<f64> {
    let lines = lines.lines().map(|line| serde_json::from_str::<Json>(line).expect("it is JSON"));
    lines.filter_map(|line| line["value"].as_f64()).collect()
}

#[test]
fn a_point_is_the_same_number_in_every_format() {
    let place = Place::new();
    place.write("x.tfevents.1", event_file(&NUMBERS.map(|(value, _)| value)));
    let numbers = NUMBERS.map(|(_, text)| text.parse::<f64>().expect("a number"));
    let csv = ok(&place, &["export", "."]).out;
    let texts: Vec<&str> = csv.lines().skip(1).filter_map(|row| row.split(',').nth(4)).collect();
    assert_eq!(texts, NUMBERS.map(|(_, text)| text));
    assert_eq!(json_values(&ok(&place, &["export", ".", "--format", "jsonl"]).out), numbers);
    assert_eq!(json_values(&ok(&place, &["watch", ".", "--once"]).out), numbers);
    for options in [&[][..], &["--wide"]] {
        ok(&place, &[&["export", ".", "-o", "points.parquet", "--force"], options].concat());
        let name = if options.is_empty() { "value" } else { "acc" };
        let values = parquet_column(&place.path().join("points.parquet"), name);
        assert_eq!(values, numbers.map(Field::Double));
    }
}

#[test]
fn rules_and_results_go_by_the_number_that_is_written() {
    let place = Place::new();
    place.write("x", event_file(&[2_147_483_648.0]));
    let stop = |rule: &str| {
        let script = "cp x x.tfevents.1; exec sleep 600";
        let idle = "cp x x.tfevents.1";
        let script = if rule.contains("47483647.5") { script } else { idle };
        place.run(&["watch", ".", "--to", "file:points", "--stop-if", rule, "--", "sh", "-c", script])
    };
    let stopped = stop("acc > 2147483647.5");
    assert!(stopped.err.contains("`acc` is 2147483648 at step 1"), "{}", stopped.err);
    fs::remove_file(place.path().join("x.tfevents.1")).expect("it is there");
    assert_eq!(stop("acc > 2147483648").code, Some(0));
    place.write("c.yaml", config(1, "", ""));
    let ran = Ran::of(&place.job(&[], "cp x \"$HPTUNE_JOB_DIR/x.tfevents.1\"").output().expect("it runs"));
    assert_eq!(ran.code, Some(0), "{}", ran.err);
    let trial = &place.describe("job")["trainingOutput"]["trials"][0];
    assert_eq!(trial["finalMetric"]["objectiveValue"], 2_147_483_648.0, "{trial}");
}

/// What PyTorch's own writer made; see testdata/golden/README.md.
fn pytorch(run: &str) -> String {
    golden_dir().join("pytorch/logs").join(run).display().to_string()
}

#[test]
fn every_scalar_tensor_of_pytorch_is_read() {
    let place = Place::new();
    let inspection: Json =
        serde_json::from_str(&ok(&place, &["inspect", &pytorch("tensors"), "--json"]).out).expect("JSON");
    let tags = inspection["runs"][0]["tags"].as_array().expect("a list");
    let told: Vec<(&str, &str, u64, u64)> = tags
        .iter()
        .map(|tag| {
            let text = |name: &str| tag[name].as_str().expect("a text");
            let number = |name: &str| tag[name].as_u64().expect("a number");
            (text("tag"), text("kind"), number("count"), number("not_numbers"))
        })
        .collect();
    let mut expected =
        vec![("complex128", "complex", 1, 0), ("complex64", "complex", 1, 0), ("vector", "tensor", 1, 0)];
    expected.extend(["float16", "bfloat16", "float32", "float64"].map(|tag| (tag, "scalar", 12, 0)));
    expected.extend(["int8", "uint8", "int16", "int32", "int64", "bool"].map(|tag| (tag, "scalar", 5, 0)));
    expected.push(("one", "scalar", 1, 0));
    expected.sort_unstable();
    assert_eq!(told, expected);
    let ran = place.run(&["doctor", &pytorch("tensors"), "--tag", "complex64"]);
    assert!(ran.code == Some(1) && ran.out.contains("holds complex numbers, not real ones"), "{}", ran.out);
}

// Of TensorFlow's messages what a tensor under a tag takes; see `proto/event.proto`.

#[derive(Clone, PartialEq, Message)]
struct EventOfTensor {
    #[prost(double, tag = "1")]
    wall_time: f64,
    #[prost(int64, tag = "2")]
    step: i64,
    #[prost(message, optional, tag = "5")]
    summary: Option<Summary>,
}

#[derive(Clone, PartialEq, Message)]
struct Summary {
    #[prost(message, repeated, tag = "1")]
    value: Vec<SummaryValue>,
}

#[derive(Clone, PartialEq, Message)]
struct SummaryValue {
    #[prost(string, tag = "1")]
    tag: String,
    #[prost(message, optional, tag = "8")]
    tensor: Option<TensorProto>,
}

#[derive(Clone, PartialEq, Message)]
struct TensorProto {
    #[prost(int32, tag = "1")]
    dtype: i32,
    #[prost(message, optional, tag = "2")]
    tensor_shape: Option<TensorShapeProto>,
    #[prost(int32, repeated, tag = "13")]
    half_val: Vec<i32>,
}

#[derive(Clone, PartialEq, Message)]
struct TensorShapeProto {
    #[prost(message, repeated, tag = "2")]
    dim: Vec<Dim>,
}

#[derive(Clone, PartialEq, Message)]
struct Dim {
    #[prost(int64, tag = "1")]
    size: i64,
}

#[test]
fn what_is_a_number_and_cannot_be_read_is_counted_and_told() {
    let place = Place::new();
    let tensor = |dtype: i32, half_val: Vec<i32>, dim: Vec<Dim>| TensorProto {
        dtype,
        tensor_shape: Some(TensorShapeProto { dim }),
        half_val,
    };
    let half = 19;
    let tensors = [
        ("mixed", tensor(half, vec![0], vec![])),
        // A float32 that half cannot hold.
        ("mixed", tensor(half, vec![0.1_f32.to_bits().cast_signed()], vec![])),
        ("empty", tensor(half, vec![], vec![])),
        ("later_type", tensor(99, vec![1], vec![])),
        ("vector", tensor(half, vec![1, 2], vec![Dim { size: 2 }])),
    ];
    let mut bytes = Vec::new();
    for (step, (tag, tensor)) in (0..).zip(tensors) {
        let value = vec![SummaryValue { tag: tag.into(), tensor: Some(tensor) }];
        let event = EventOfTensor { wall_time: 1.0, step, summary: Some(Summary { value }) };
        tfrecord::encode(&event.encode_to_vec(), &mut bytes);
    }
    place.write("x.tfevents.1", bytes);
    let unread = "3 tensors of one element cannot be read: of a type that is not known here";
    let inspected = place.run(&["inspect", "."]);
    assert!(inspected.code == Some(1) && inspected.out.contains(unread), "{}", inspected.out);
    let exported = place.run(&["export", "."]);
    assert!(exported.code == Some(1) && exported.err.contains(unread), "{}", exported.err);
    assert_eq!(exported.out.lines().count(), 2, "{}", exported.out);
    let doctor = |tag: &str| place.run(&["doctor", ".", "--tag", tag]);
    let of_one = "tensors of one element that cannot be read";
    assert!(doctor("mixed").out.contains(of_one), "{}", doctor("mixed").out);
    for tag in ["empty", "later_type"] {
        let told = doctor(tag);
        assert!(told.code == Some(1) && told.out.contains(of_one), "{}", told.out);
        assert!(told.out.contains("they hold no value of their type"), "{}", told.out);
    }
    assert!(doctor("vector").out.contains("tensors of several elements or none"));
}

#[test]
fn purge_step_voids_its_step_and_all_beyond() {
    let place = Place::new();
    let purged = pytorch("purged");
    let rows = ok(&place, &["export", &purged, "--latest"]).out;
    let steps: Vec<&str> = rows.lines().skip(1).filter_map(|row| row.split(',').nth(2)).collect();
    assert_eq!(steps, ["0", "1", "2", "3", "4", "6", "7"]);
    let lines = ok(&place, &["watch", &purged, "--once"]).out;
    let lines: Vec<Json> = lines.lines().map(|line| serde_json::from_str(line).expect("JSON")).collect();
    let rewinds: Vec<_> = lines.iter().filter(|line| line["kind"] == "rewind").collect();
    assert_eq!(rewinds.len(), 1, "{lines:?}");
    assert_eq!((&rewinds[0]["from_step"], &rewinds[0]["reason"]), (&5.into(), &"session-start".into()));
    let told: Json = serde_json::from_str(&ok(&place, &["inspect", &purged, "--json"]).out).expect("JSON");
    assert_eq!(told["runs"][0]["writers"].as_array().map(Vec::len), Some(1), "{told}");
    assert_eq!(told["runs"][0]["tags"][0]["rewinds"][0]["from_step"], 5, "{told}");
    // A session that TensorFlow begins leaves the value at its step.
    let mut later = Vec::new();
    tfrecord::encode(&event::encode_file_version(WallTime(100.0), "tensorflow"), &mut later);
    tfrecord::encode(&event::encode_session_start(WallTime(100.0), Step(2)), &mut later);
    place.write("x.tfevents.1", event_file(&[0.1, 0.2, 0.3]));
    place.write("x.tfevents.2", later);
    let rows = ok(&place, &["export", ".", "--latest"]).out;
    assert_eq!(rows.lines().count(), 1 + 2, "{rows}");
}

#[test]
fn links_that_lead_to_each_other_are_no_fault() {
    let place = Place::new();
    place.write("x.tfevents.1", event_file(&[0.5]));
    let link =
        |to: &str, name: &str| std::os::unix::fs::symlink(to, place.path().join(name)).expect("a link");
    link("b", "a");
    link("a", "b");
    link("self.tfevents", "self.tfevents");
    link(".", "again");
    for verb in ["inspect", "export", "verify"] {
        let ran = ok(&place, &[verb, "."]);
        assert!(!format!("{}{}", ran.out, ran.err).contains("cannot be read"), "{} {}", ran.out, ran.err);
    }
    assert_eq!(ok(&place, &["export", "."]).out.lines().count(), 2);
    // What was asked for is not there.
    assert_ne!(place.run(&["inspect", "a"]).code, Some(0));
}
