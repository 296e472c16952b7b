//! Trainers that resume: what stands is the same for every reader.

use std::fs;
use std::path::Path;

use hptune::units::{Step, WallTime};
use serde_json::Value as Json;
use tfevents::event;
use tfevents::record as tfrecord;

use crate::support::Place;

/// What a writer does next.
enum Said {
    Session(i64),
    Value(&'static str, i64),
}
use Said::{Session, Value};

/// Writes an event file whose first event has the clock `started`; each value is its step.
fn write(path: &Path, started: f64, said: &[Said]) {
    let mut bytes = Vec::new();
    tfrecord::encode(&event::encode_file_version(WallTime(started), "test"), &mut bytes);
    for (i, said) in said.iter().enumerate() {
        let clock = WallTime(started + 1.0 + i as f64);
        let event = match said {
            Session(step) => event::encode_session_start(clock, Step(*step)),
            Value(tag, step) => event::encode_scalars(clock, Step(*step), &[(tag, *step as f32)]),
        };
        tfrecord::encode(&event, &mut bytes);
    }
    fs::write(path, bytes).expect("it is written");
}

/// Two files: one attempt with both tags up to step 1000, and one that resumes at step 500 and writes `later`.
fn resumed(place: &Place, later: Vec<Said>) {
    fs::create_dir(place.path().join("d")).expect("a directory");
    let first = [100, 500, 1_000].into_iter().flat_map(|step| [Value("loss", step), Value("eval", step)]);
    write(&place.path().join("d/a.tfevents.1"), 1_000.0, &first.collect::<Vec<_>>());
    let second: Vec<Said> = [Session(500)].into_iter().chain(later).collect();
    write(&place.path().join("d/b.tfevents.2"), 2_000.0, &second);
}

fn output(place: &Place, arguments: &[&str]) -> String {
    let output = place.command(arguments).output().expect("it runs");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).expect("UTF-8")
}

/// The steps of a tag that `export` gives.
fn exported(place: &Place, tag: &str, more: &[&str]) -> Vec<(i64, i64)> {
    output(place, &[&["export", "d", "--tag", tag, "--format", "jsonl"], more].concat())
        .lines()
        .map(|line| {
            let row: Json = serde_json::from_str(line).expect("it is JSON");
            (row["step"].as_i64().expect("a step"), row["attempt"].as_i64().expect("an attempt"))
        })
        .collect()
}

/// The attempts of a tag and its last step, as `inspect` gives them.
fn inspected(place: &Place, tag: &str) -> (u64, i64) {
    let inspection: Json =
        serde_json::from_str(&output(place, &["inspect", "d", "--json"])).expect("it is JSON");
    let tags = inspection["runs"][0]["tags"].as_array().expect("tags");
    let found = tags.iter().find(|found| found["tag"] == tag).expect("the tag is there");
    assert_eq!(found["last_step"].as_i64(), found["last_value"].as_f64().map(|value| value as i64));
    (found["attempts"].as_u64().expect("a number"), found["last_step"].as_i64().expect("a step"))
}

/// What a reader of `watch` is left with of a tag, and how many rewinds came.
fn watched(place: &Place, tag: &str) -> (Vec<i64>, usize) {
    let (mut steps, mut n_rewinds) = (Vec::new(), 0);
    for line in output(place, &["watch", "d", "--once"]).lines() {
        let line: Json = serde_json::from_str(line).expect("it is JSON");
        match line["kind"].as_str() {
            Some("point") if line["tag"] == tag => steps.push(line["step"].as_i64().expect("a step")),
            Some("rewind") if line["tag"] == tag => {
                n_rewinds += 1;
                steps.retain(|step| *step < line["from_step"].as_i64().expect("a step"));
            }
            _ => {}
        }
    }
    (steps, n_rewinds)
}

/// The result of a trial whose trainer writes these files.
fn result(place: &Place, tag: &str) -> (i64, f64) {
    place.write(
        "c.yaml",
        format!(
            "trainingInput:\n  hyperparameters:\n    hyperparameterMetricTag: {tag}\n    maxTrials: 1\n    params:\n    \
             - {{parameterName: x, type: DOUBLE, minValue: 0, maxValue: 1}}\n"
        ),
    );
    let copy = "cp d/* $HPTUNE_JOB_DIR";
    output(place, &["run", "c.yaml", "--job-dir", tag, "--job-id", tag, "--", "sh", "-c", copy]);
    let job: Json = serde_json::from_str(&output(place, &["jobs", "describe", tag, "--format", "json"]))
        .expect("it is JSON");
    let measured = &job["trainingOutput"]["trials"][0]["finalMetric"];
    let step = measured["trainingStep"].as_str().and_then(|step| step.parse().ok());
    (step.expect("a step"), measured["objectiveValue"].as_f64().expect("a value"))
}

#[test]
fn a_session_makes_void_what_the_lost_attempt_wrote_under_every_tag() {
    let place = Place::new();
    resumed(&place, vec![Value("loss", 600), Value("loss", 900)]);
    assert_eq!(exported(&place, "eval", &["--latest"]), [(100, 1), (500, 1)]);
    assert_eq!(exported(&place, "loss", &["--latest"]), [(100, 1), (500, 1), (600, 2), (900, 2)]);
    assert_eq!(exported(&place, "eval", &[]), [(100, 1), (500, 1), (1_000, 1)]);
    assert_eq!([inspected(&place, "eval"), inspected(&place, "loss")], [(2, 500), (2, 900)]);
    assert_eq!(watched(&place, "eval"), (vec![100, 500], 1));
    assert_eq!(watched(&place, "loss"), (vec![100, 500, 600, 900], 1));
    assert_eq!(result(&place, "eval"), (500, 500.0));
}

#[test]
fn a_session_counts_although_nothing_was_written_in_it() {
    let place = Place::new();
    resumed(&place, Vec::new());
    for tag in ["eval", "loss"] {
        assert_eq!(exported(&place, tag, &["--latest"]), [(100, 1), (500, 1)]);
        assert_eq!(inspected(&place, tag), (2, 500));
        assert_eq!(watched(&place, tag), (vec![100, 500], 1));
    }
    assert_eq!(result(&place, "loss"), (500, 500.0));
}

#[test]
fn steps_that_fall_far_in_one_file_are_a_restart_and_a_small_step_back_is_none() {
    let place = Place::new();
    fs::create_dir(place.path().join("d")).expect("a directory");
    let said = |steps: &[i64]| steps.iter().map(|step| Value("s", *step)).collect::<Vec<_>>();
    let path = place.path().join("d/a.tfevents.1");
    write(&path, 1_000.0, &said(&[100, 200, 300, 101, 201]));
    assert_eq!(exported(&place, "s", &["--latest"]), [(100, 1), (101, 2), (201, 2)]);
    assert_eq!(exported(&place, "s", &[]), [(100, 1), (200, 1), (300, 1), (101, 2), (201, 2)]);
    assert_eq!(inspected(&place, "s"), (2, 201));
    assert_eq!(watched(&place, "s"), (vec![100, 101, 201], 1));
    assert_eq!(result(&place, "s"), (201, 201.0));
    write(&path, 1_000.0, &said(&[100, 200, 300, 250, 400]));
    assert_eq!(exported(&place, "s", &["--latest"]), [100, 200, 250, 300, 400].map(|step| (step, 1)));
    assert_eq!(inspected(&place, "s"), (1, 400));
    assert_eq!(watched(&place, "s").1, 0);
}

#[test]
fn of_values_in_any_order_the_one_of_the_last_step_is_the_result() {
    let n = 20_000;
    let orders: [Vec<Said>; 3] = [
        (0..n).rev().map(|step| Value("s", step)).collect(),
        (0..n / 2).flat_map(|i| [Value("s", i), Value("s", n - 1 - i)]).collect(),
        (0..n / 4).flat_map(|i| [Session(100), Value("s", 101 + i % 7), Value("s", n - 1)]).collect(),
    ];
    for said in orders {
        let place = Place::new();
        fs::create_dir(place.path().join("d")).expect("a directory");
        write(&place.path().join("d/a.tfevents.1"), 1_000.0, &said);
        assert_eq!(result(&place, "s"), (n - 1, (n - 1) as f64));
    }
}
