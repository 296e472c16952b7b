//! `hptune export`, `plot`, `doctor` and `verify`.

use std::collections::BTreeMap;
use std::fs;

use hptune::units::{Step, WallTime};
use serde_json::Value as Json;
use tfevents::event;
use tfevents::record as tfrecord;
use tfevents::scalar::{HparamValue, encode_hparams};

use crate::support::{Place, Ran, WRITERS, event_file, event_file_at, golden_dir};

fn logs(writer: &str) -> String {
    golden_dir().join(writer).join("logs").to_str().expect("UTF-8").to_owned()
}

#[track_caller]
fn ok(place: &Place, arguments: &[&str]) -> Ran {
    let ran = place.run(arguments);
    assert_eq!(ran.code, Some(0), "{arguments:?}: {} {}", ran.out, ran.err);
    ran
}

fn json_lines(text: &str) -> Vec<Json> {
    text.lines().map(|line| serde_json::from_str(line).expect("it is JSON")).collect()
}

/// The bits of a number, or of NaN and infinity as text.
fn bits(value: &Json) -> Option<u64> {
    match value {
        Json::String(text) => text.parse::<f64>().ok().map(f64::to_bits),
        other => other.as_f64().map(f64::to_bits),
    }
}

/// A point as both sides of a comparison say it: run, tag, step, clock, value.
type Said = (String, String, i64, u64, u64);

/// What TensorBoard's own reader gave for the scalars of a golden directory. Its values are float32 widened
/// to float64; the export has the shortest text of the float32.
fn read_back(writer: &str) -> Vec<Said> {
    let text =
        fs::read_to_string(golden_dir().join(writer).join("values.json")).expect("values.json is there");
    let values: Json = serde_json::from_str(&text).expect("it is JSON");
    let mut said = Vec::new();
    for entry in values["read_back"].as_array().expect("a list") {
        let (Some(tag), Some(file)) = (entry["tag"].as_str(), entry["file"].as_str()) else { continue };
        let run = file.rsplit_once('/').map_or(".", |(directory, _)| directory);
        let mut value = bits(&entry["value"]);
        if entry["dtype"] == 14 && value.is_none() {
            // TensorBoard's reader cannot read bfloat16: `written` has it.
            let written = values["written"].as_array().expect("a list");
            value = bits(&written.iter().find(|w| w["tag"] == tag).expect("it was written")["value"]);
        }
        if let Some(value) = value {
            let clock = bits(&entry["wall_time"]).expect("a clock");
            said.push((
                run.to_owned(),
                tag.to_owned(),
                entry["step"].as_i64().expect("a step"),
                clock,
                value,
            ));
        }
    }
    said.sort();
    said
}

/// The same number, or the float32 whose shortest text was read.
fn same(exported: u64, expected: u64) -> bool {
    let (exported, expected) = (f64::from_bits(exported), f64::from_bits(expected));
    exported.to_bits() == expected.to_bits()
        || f64::from(exported as f32).to_bits() == expected.to_bits()
        || (exported.is_nan() && expected.is_nan())
}

#[test]
fn the_export_of_every_writer_has_each_value_to_the_bit() {
    let place = Place::new();
    for writer in WRITERS {
        let rows = json_lines(&ok(&place, &["export", &logs(writer), "--format", "jsonl"]).out);
        let mut got: Vec<Said> = rows
            .iter()
            .map(|row| {
                let text = |name: &str| row[name].as_str().expect("a text").to_owned();
                let number = |name: &str| bits(&row[name]).expect("a number");
                (
                    text("run"),
                    text("tag"),
                    row["step"].as_i64().expect("a step"),
                    number("wall_time"),
                    number("value"),
                )
            })
            .collect();
        got.sort();
        let expected = read_back(writer);
        assert!(!expected.is_empty());
        let places =
            |all: &[Said]| all.iter().map(|s| (s.0.clone(), s.1.clone(), s.2, s.3)).collect::<Vec<_>>();
        assert_eq!(places(&got), places(&expected), "{writer}");
        for (got, expected) in got.iter().zip(&expected) {
            assert!(same(got.4, expected.4), "{writer}: got {got:?}, want {expected:?}");
        }
    }
}

#[test]
fn csv_and_parquet_hold_what_json_lines_hold() {
    let place = Place::new();
    for writer in WRITERS {
        let rows = json_lines(&ok(&place, &["export", &logs(writer), "--format", "jsonl"]).out).len();
        let csv = ok(&place, &["export", &logs(writer)]).out;
        let mut lines = csv.lines();
        assert_eq!(lines.next(), Some("run,tag,step,wall_time,value,attempt"));
        assert_eq!(lines.count(), rows, "{writer}");
        let ran = ok(&place, &["export", &logs(writer), "-o", &format!("{writer}.parquet")]);
        assert!(ran.err.starts_with(&format!("{rows} points written")), "{}", ran.err);
        let bytes = fs::read(place.path().join(format!("{writer}.parquet"))).expect("it is written");
        assert!(bytes.starts_with(b"PAR1") && bytes.ends_with(b"PAR1"));
    }
}

fn restarted(place: &Place) {
    place.write("events.out.tfevents.1.a", event_file_at(&[(1, 0.1), (2, 0.2), (3, 0.3)]));
    let mut second = Vec::new();
    tfrecord::encode(&event::encode_file_version(WallTime(100.0), "test"), &mut second);
    tfrecord::encode(&event::encode_session_start(WallTime(100.0), Step(1)), &mut second);
    for (step, value) in [(2, 0.5), (3, 0.6)] {
        tfrecord::encode(&event::encode_scalars(WallTime(101.0), Step(step), &[("acc", value)]), &mut second);
    }
    place.write("events.out.tfevents.2.a", second);
}

#[test]
fn both_views_of_a_restarted_trainer_are_exported() {
    let place = Place::new();
    restarted(&place);
    let short = |out: &str| -> Vec<String> {
        let rows = json_lines(out);
        rows.iter().map(|row| format!("{}:{}:{}", row["step"], row["value"], row["attempt"])).collect()
    };
    let all = ok(&place, &["export", ".", "--format", "jsonl"]).out;
    assert_eq!(short(&all), ["1:0.1:1", "2:0.2:1", "3:0.3:1", "2:0.5:2", "3:0.6:2"]);
    let latest = ok(&place, &["export", ".", "--format", "jsonl", "--latest"]).out;
    assert_eq!(short(&latest), ["1:0.1:1", "2:0.5:2", "3:0.6:2"]);
    let shown: Json = serde_json::from_str(&ok(&place, &["inspect", ".", "--json"]).out).expect("it is JSON");
    let tag = &shown["runs"][0]["tags"][0];
    assert_eq!((&tag["attempts"], &tag["last_value"]), (&2.into(), &0.6.into()));
    assert_eq!(tag["rewinds"][0], serde_json::json!({"from_step": 2, "reason": "session-start"}));
}

#[test]
fn tags_become_columns_and_hyperparameters_stand_beside() {
    let place = Place::new();
    for (run, lr) in [("a", 0.1), ("b", 0.25)] {
        fs::create_dir(place.path().join(run)).expect("it is made");
        let mut bytes = event_file(&[0.5, 0.75]);
        let hparams = BTreeMap::from([("lr".to_owned(), HparamValue::Number(lr))]);
        tfrecord::encode(&encode_hparams(WallTime(9.0), &hparams), &mut bytes);
        place.write(&format!("{run}/x.tfevents.1"), bytes);
    }
    let csv = ok(&place, &["export", ".", "--wide"]).out;
    let expected = "run,step,wall_time,attempt,acc,hparam/lr\na,1,1,1,0.5,0.1\na,2,2,1,0.75,0.1\n\
                    b,1,1,1,0.5,0.25\nb,2,2,1,0.75,0.25\n";
    assert_eq!(csv, expected);
    assert_eq!(ok(&place, &["export", ".", "--run", "b", "--tag", "a*"]).out.lines().count(), 3);
}

#[test]
fn nothing_to_export_or_plot_is_answered_with_what_there_is() {
    let place = Place::new();
    place.write("x.tfevents.1", event_file(&[0.5]));
    for verb in ["export", "plot"] {
        let ran = place.run(&[verb, ".", "--tag", "accc"]);
        assert_eq!(ran.code, Some(1));
        assert!(ran.err.contains("matches --tag") && ran.err.contains("`acc`"), "{}", ran.err);
        let ran = place.run(&[verb, "missing"]);
        assert_eq!(ran.code, Some(2));
        let ran = place.run(&[verb, ".", "-o", "points.xyz"]);
        assert_eq!(ran.code, Some(2), "{}", ran.err);
        assert!(!place.path().join("points.xyz").exists());
    }
}

#[test]
fn curves_are_drawn_in_every_form() {
    let place = Place::new();
    restarted(&place);
    let text = ok(&place, &["plot", ".", "--width", "60"]).out;
    assert!(text.contains("acc") && text.lines().all(|line| line.chars().count() <= 60), "{text}");
    let attempts = ok(&place, &["plot", ".", "--attempts"]).out;
    assert!(attempts.contains("(attempt 1)") && attempts.contains("(attempt 2)"), "{attempts}");
    ok(&place, &["plot", ".", "--smoothing", "0.6", "--log-y", "-o", "c.svg"]);
    ok(&place, &["plot", ".", "-o", "c.png"]);
    ok(&place, &["plot", ".", "-o", "c.html"]);
    let read = |name: &str| fs::read(place.path().join(name)).expect("it is written");
    assert!(read("c.png").starts_with(b"\x89PNG"));
    assert!(String::from_utf8_lossy(&read("c.svg")).contains("</svg>"));
    let page = String::from_utf8(read("c.html")).expect("UTF-8");
    assert!(page.contains("acc"));
    for outside in ["src=", "href=\"http", "url(http", "fetch(", "@import"] {
        assert!(!page.contains(outside), "{outside}");
    }
    assert_eq!(place.run(&["plot", ".", "--smoothing", "1"]).code, Some(2));
}

#[track_caller]
fn doctor(place: &Place, tag: &str, code: i32, cause: &str) -> Json {
    let ran = place.run(&["doctor", ".", "--tag", tag, "--json"]);
    let json: Json =
        serde_json::from_str(&ran.out).unwrap_or_else(|e| panic!("{e}: {} {}", ran.out, ran.err));
    assert_eq!((ran.code, json["cause"].as_str()), (Some(code), Some(cause)), "{json:#}");
    json
}

#[test]
fn the_doctor_names_what_is_the_matter_and_what_mends_it() {
    let place = Place::new();
    doctor(&place, "acc", 1, "no-event-files");
    place.write("x.tfevents.1", "");
    let json = doctor(&place, "acc", 1, "nothing-written");
    assert!(json["fix"][1].as_str().expect("a line").contains("flush_millis"), "{json:#}");
    place.write("x.tfevents.1", event_file(&[0.5, 0.6]));
    doctor(&place, "acc", 0, "none");
    let json = doctor(&place, "Acc", 1, "near-miss");
    assert_eq!(json["fix"][0], "hyperparameterMetricTag: \"acc\"");
    doctor(&place, "zzz", 1, "unknown");
    place.write("x.tfevents.1", event_file(&[f32::NAN, f32::INFINITY]));
    doctor(&place, "acc", 1, "only-non-finite");
    fs::create_dir(place.path().join("eval")).expect("it is made");
    place.write("eval/y.tfevents.1", event_file(&[0.5]));
    let json = doctor(&place, "eval/acc", 1, "run-in-tag");
    assert_eq!(json["fix"][1], "hptune: {objective: {run: \"eval\"}}");
    let json = doctor(&place, "acc", 0, "none");
    assert!(
        json["notes"][0].as_str().expect("a note").contains("read from the run directory `eval`"),
        "{json:#}"
    );
    let ran = place.run(&["doctor", ".", "--tag", "acc", "--run", "train"]);
    assert_eq!(ran.code, Some(1));
    assert!(ran.out.contains("not allowed"), "{}", ran.out);
}

#[test]
fn the_doctor_knows_the_traps_of_real_writers() {
    let place = Place::new();
    #[track_caller]
    fn check(place: &Place, writer: &str, tag: &str, expected: &str) {
        let ran = place.run(&["doctor", &logs(writer), "--tag", tag]);
        assert!(ran.out.contains(expected), "{}", ran.out);
    }
    check(&place, "tf2_summary", "h", "holds histograms");
    check(&place, "tf2_summary", "acc", "hyperparameterMetricTag: \"eval/acc\"");
    check(&place, "tensorboardx", "losses/train", "hptune: {objective: {run: \"losses/train\"}}");
    check(&place, "tensorboardx", "has space/ok", "the writer replaced characters");
}

#[test]
fn damage_is_found_and_the_rest_saved_to_a_new_file() {
    let place = Place::new();
    let whole = event_file(&[0.1, 0.2, 0.3, 0.4]);
    let two = event_file(&[0.1, 0.2]).len();
    let one = event_file(&[0.1]).len();
    let mut bytes = whole.clone();
    bytes[one + 14] ^= 1;
    bytes.extend_from_slice(&whole[..7]);
    let path = place.write("x.tfevents.1", &bytes);
    let ran = place.run(&["verify", &path, "--repair", "good.tfevents.1", "--json"]);
    let json: Json = serde_json::from_str(&ran.out).expect("it is JSON");
    assert_eq!(ran.code, Some(1));
    let file = &json["files"][0];
    assert_eq!((&file["records"], &file["bad_bytes"]), (&4.into(), &(two - one + 7).into()));
    assert_eq!(file["damaged"], serde_json::json!({"bad-data": 1, "torn": 1}));
    let good = fs::read(place.path().join("good.tfevents.1")).expect("it is written");
    assert_eq!(good, [&whole[..one], &whole[two..]].concat());
    assert_eq!(fs::read(&path).expect("it is there"), bytes, "nothing is changed in place");
    ok(&place, &["verify", "good.tfevents.1"]);
    let again = place.run(&["verify", &path, "--repair", "good.tfevents.1"]);
    assert_eq!(again.code, Some(2));
    assert!(again.err.contains("exists already"), "{}", again.err);
}

#[test]
fn a_whole_directory_is_repaired_into_a_new_one() {
    let place = Place::new();
    fs::create_dir_all(place.path().join("logs/a/b")).expect("it is made");
    place.write("logs/a/b/x.tfevents.1", &event_file(&[0.1, 0.2])[..70]);
    place.write("logs/y.tfevents.1", event_file(&[0.1]));
    assert_eq!(place.run(&["verify", "logs", "--repair", "out"]).code, Some(1));
    let ran = ok(&place, &["verify", "out"]);
    assert!(ran.out.contains("2 files"), "{}", ran.out);
}

#[test]
fn a_record_of_many_mebibytes_between_two_scalars_hides_neither() {
    let place = Place::new();
    let mut bytes = event_file(&[0.1]);
    // A graph: field 4 of an event.
    let graph = vec![7; 40 << 20];
    let mut event = vec![0x22];
    let mut n = graph.len();
    while n > 127 {
        event.push((n & 127 | 128) as u8);
        n >>= 7;
    }
    event.push(n as u8);
    event.extend(graph);
    tfrecord::encode(&event, &mut bytes);
    tfrecord::encode(&event::encode_scalars(WallTime(2.0), Step(2), &[("acc", 0.5)]), &mut bytes);
    let path = place.write("x.tfevents.1", bytes);
    let ran = ok(&place, &["inspect", &path, "--json"]);
    let json: Json = serde_json::from_str(&ran.out).expect("it is JSON");
    assert_eq!((&json["runs"][0]["graphs"], &json["runs"][0]["tags"][0]["count"]), (&1.into(), &2.into()));
}
