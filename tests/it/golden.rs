//! Every value of every golden directory, to the bit.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::PathBuf;

use hptune::units::MetricValue;
use serde_json::Value as Json;
use tfevents::event::{Event, What};
use tfevents::record::{Decoded, Decoder};
use tfevents::scalar::{Content, Kind};
use tfevents::tail::{Ingest, Ingested};

use crate::support::{WRITERS, golden_dir};

fn golden(writer: &str) -> (PathBuf, Json) {
    let directory = golden_dir().join(writer);
    let text = fs::read_to_string(directory.join("values.json")).expect("values.json is there");
    (directory.join("logs"), serde_json::from_str(&text).expect("values.json is JSON"))
}

/// What an event file says, in the words of `read_back`.
#[derive(Debug, PartialEq)]
enum Said {
    Opened { version: String, writer: String },
    SessionStart { step: i64 },
    Value { tag: String, step: i64, wall_time: u64, value: Option<u64> },
}

/// The bits of a value as `read_back` widens it.
fn bits(value: MetricValue) -> u64 {
    match value {
        MetricValue::F32(v) => f64::from(v).to_bits(),
        MetricValue::F64(v) => v.to_bits(),
        MetricValue::I64(v) => (v as f64).to_bits(),
        MetricValue::U64(v) => (v as f64).to_bits(),
    }
}

fn said_by_us(bytes: &[u8], chunk: usize) -> Vec<Said> {
    let mut said = Vec::new();
    let mut sink = |_, ingested: Ingested<'_>| match ingested {
        Ingested::Opened { version, writer } => {
            said.push(Said::Opened { version: version.into(), writer: writer.into() });
        }
        Ingested::SessionStart(step) => said.push(Said::SessionStart { step: step.0 }),
        Ingested::Value { step, wall_time, tag, content, .. } => {
            let value = if let Content::Scalar(value) = content { Some(bits(value)) } else { None };
            let wall_time = wall_time.0.to_bits();
            said.push(Said::Value { tag: tag.into(), step: step.0, wall_time, value });
        }
        Ingested::Graph => {}
        Ingested::Damage(damage) => panic!("{damage}"),
    };
    let mut ingest = Ingest::default();
    for chunk in bytes.chunks(chunk) {
        ingest.feed(chunk, &mut sink);
    }
    ingest.finish(&mut sink);
    said
}

fn number(value: &Json) -> Option<u64> {
    let value = match value {
        Json::String(text) => text.parse().expect("NaN or Infinity"),
        other => other.as_f64()?,
    };
    Some(value.to_bits())
}

fn said_by_read_back(values: &Json) -> BTreeMap<String, Vec<Said>> {
    let mut said: BTreeMap<String, Vec<Said>> = BTreeMap::new();
    let mut purged = BTreeSet::new();
    for entry in values["read_back"].as_array().expect("a list") {
        let text = |name: &str| entry[name].as_str().map(str::to_owned);
        let step = entry["step"].as_i64();
        let file = text("file").expect("a file");
        let item = if let Some(version) = text("file_version") {
            if said.contains_key(&file) {
                purged.insert(file);
                continue;
            }
            Said::Opened { version, writer: text("source").expect("a source") }
        } else if let Some(status) = entry["session_log"].as_i64() {
            if status != 1 {
                continue;
            }
            // With `purge_step` a second file_version comes first, and the step itself is void.
            Said::SessionStart { step: step.expect("a step") - i64::from(purged.remove(&file)) }
        } else {
            let wall_time = number(&entry["wall_time"]).expect("a time");
            let value = match (text("tag").as_deref(), entry["dtype"].as_i64()) {
                // TensorBoard's reader cannot read it: `written` has it.
                (Some(tag), Some(14)) if entry["value"].is_null() => {
                    let written = values["written"].as_array().expect("a list");
                    number(&written.iter().find(|w| w["tag"] == tag).expect("it was written")["value"])
                }
                _ => number(&entry["value"]),
            };
            Said::Value { tag: text("tag").expect("a tag"), step: step.expect("a step"), wall_time, value }
        };
        said.entry(file).or_default().push(item);
    }
    said
}

#[track_caller]
fn check(writer: &str) {
    let (logs, values) = golden(writer);
    let read_back = said_by_read_back(&values);
    assert!(!read_back.is_empty());
    for (file, expected) in read_back {
        let bytes = fs::read(logs.join(&file)).expect("the file is there");
        for chunk in [bytes.len(), 1000, 13, 1] {
            assert_eq!(said_by_us(&bytes, chunk), expected, "{file} in pieces of {chunk}");
        }
    }
}

/// Whatever was handed to the writer is in the files: the same number, or the float32 next to it.
#[track_caller]
fn check_written(writer: &str) {
    let (logs, values) = golden(writer);
    let mut found: BTreeMap<(String, i64), Vec<f64>> = BTreeMap::new();
    for entry in walkdir::WalkDir::new(&logs).sort_by_file_name() {
        let entry = entry.expect("it is readable");
        if entry.file_type().is_file() {
            let bytes = fs::read(entry.path()).expect("it is readable");
            for said in said_by_us(&bytes, 4096) {
                if let Said::Value { tag, step, value: Some(bits), .. } = said {
                    found.entry((tag, step)).or_default().push(f64::from_bits(bits));
                }
            }
        }
    }
    let written: Vec<&Json> =
        values["written"].as_array().expect("a list").iter().filter(|w| w["tag"].is_string()).collect();
    assert!(!written.is_empty());
    for w in written {
        let Some(bits) = number(&w["value"]) else { continue };
        let value = f64::from_bits(bits);
        let key = (w["tag"].as_str().expect("a tag").to_owned(), w["step"].as_i64().expect("a step"));
        let got = found.get(&key).unwrap_or_else(|| panic!("{key:?} is not there"));
        let is_same = |got: &f64| {
            got.to_bits() == value.to_bits()
                || *got == f64::from(value as f32)
                || (got.is_nan() && value.is_nan())
        };
        assert!(got.iter().any(is_same), "{key:?}: got {got:?}, want {value}");
    }
}

#[test]
fn tf1_filewriter_reads_back() {
    check("tf1_filewriter");
    check_written("tf1_filewriter");
}

#[test]
fn tf1_merged_summary_reads_back() {
    check("tf1_merged_summary");
    check_written("tf1_merged_summary");
}

#[test]
fn tf2_summary_reads_back() {
    check("tf2_summary");
    check_written("tf2_summary");
}

#[test]
fn estimator_v1_reads_back() {
    check("estimator_v1");
}

#[test]
fn tensorboardx_reads_back() {
    check("tensorboardx");
    check_written("tensorboardx");
}

#[test]
fn tensorboard_package_reads_back() {
    check("tensorboard_package");
    check_written("tensorboard_package");
}

#[test]
fn pytorch_reads_back() {
    check("pytorch");
    check_written("pytorch");
}

#[test]
fn every_golden_directory_has_its_test() {
    let mut names: Vec<String> = fs::read_dir(golden_dir())
        .expect("testdata is there")
        .map(|entry| entry.expect("it is readable"))
        .filter(|entry| entry.path().is_dir())
        .map(|entry| entry.file_name().to_string_lossy().into_owned())
        .collect();
    names.sort();
    assert_eq!(names, WRITERS);
}

/// The public path from bytes to scalars, as the crate's documentation shows it.
#[test]
fn the_layers_compose_by_hand() {
    let (logs, _) = golden("tf2_summary");
    let file = fs::read_dir(logs).expect("logs").next().expect("a file").expect("it is readable").path();
    let bytes = fs::read(file).expect("it is readable");
    let mut input = bytes.as_slice();
    let mut decoder = Decoder::default();
    let mut kinds = BTreeMap::new();
    loop {
        let data = match decoder.poll(&mut input) {
            Decoded::Record(record) => record.data,
            Decoded::NeedMore => break,
            Decoded::Part(_) | Decoded::LongRecord { .. } => continue,
            Decoded::Damage(damage) => panic!("{damage}"),
        };
        if let What::Summary(values) = Event::decode(data).expect("it is an event").what {
            values.for_each(&mut |value| {
                let kind = if let Content::Other(kind) = value.content { kind } else { Kind::Scalar };
                kinds.insert(value.tag.to_owned(), kind);
            });
        }
    }
    let of = |tag: &str| kinds[tag];
    assert_eq!(
        (of("metric1"), of("h"), of("note"), of("vec")),
        (Kind::Scalar, Kind::Histogram, Kind::Text, Kind::Tensor)
    );
}
