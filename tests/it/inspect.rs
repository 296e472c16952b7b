//! `hptune inspect`.

use std::fs;

use hptune::units::{Step, WallTime};
use serde_json::Value as Json;
use tfevents::event;
use tfevents::record as tfrecord;

use crate::support::{Place, event_file, golden_dir};

#[track_caller]
fn inspect(place: &Place, path: &str) -> (Option<i32>, Json) {
    let ran = place.run(&["inspect", "--json", path]);
    (ran.code, serde_json::from_str(&ran.out).unwrap_or_else(|e| panic!("{e}: {} {}", ran.out, ran.err)))
}

#[test]
fn runs_tags_steps_and_values_are_shown() {
    let path = golden_dir().join("estimator_v1/logs");
    let (code, json) = inspect(&Place::new(), path.to_str().expect("UTF-8"));
    assert_eq!(code, Some(0));
    let runs = json["runs"].as_array().expect("a list");
    let names: Vec<&str> = runs.iter().filter_map(|run| run["run"].as_str()).collect();
    assert_eq!(names, [".", "eval"]);
    let tags = runs[1]["tags"].as_array().expect("a list");
    let metric = tags.iter().find(|tag| tag["tag"] == "metric1").expect("it is there");
    assert_eq!(metric["kind"], "scalar");
    assert_eq!(
        (&metric["count"], &metric["first_step"], &metric["last_step"]),
        (&3.into(), &40.into(), &120.into())
    );
    assert_eq!(metric["last_value"].to_string(), "3.831492", "the shortest text of the float32");
}

#[test]
fn values_that_are_not_finite_are_counted_and_the_json_is_valid() {
    let path = golden_dir().join("tf1_filewriter/logs");
    let (code, json) = inspect(&Place::new(), path.to_str().expect("UTF-8"));
    assert_eq!(code, Some(0));
    let tags = json["runs"][0]["tags"].as_array().expect("a list");
    // The second file's session makes the one value of the first void.
    assert_eq!((tags[0]["tag"].as_str(), &tags[0]["last_value"]), (Some("inf"), &Json::Null));
    assert_eq!(tags[1]["non_finite"], 1);
    let place = Place::new();
    let mut bytes = Vec::new();
    let event = event::encode_scalars(WallTime(1.0), Step(1), &[("inf", f32::INFINITY)]);
    tfrecord::encode(&event, &mut bytes);
    place.write("x.tfevents.1", bytes);
    let (_, json) = inspect(&place, ".");
    assert_eq!(json["runs"][0]["tags"][0]["last_value"], "Infinity");
}

#[test]
fn damage_is_shown_with_its_place_and_decides_the_exit_code() {
    let place = Place::new();
    let mut bytes = event_file(&[0.1, 0.2, 0.3]);
    let whole = event_file(&[0.1]).len();
    bytes[whole + 20] ^= 1;
    let path = place.write("events.out.tfevents.1", &bytes);
    let (code, json) = inspect(&place, &path);
    assert_eq!(code, Some(1));
    let run = &json["runs"][0];
    assert_eq!((run["tags"][0]["count"].as_i64(), run["damaged"].as_i64()), (Some(2), Some(1)));
    assert_eq!(run["damages"][0]["kind"], "bad-data");
    assert_eq!(run["damages"][0]["offset"], whole);
    let table = place.run(&["inspect", place.path().to_str().expect("UTF-8")]);
    assert!(table.out.contains("the data does not match its checksum"), "{}", table.out);
}

#[test]
fn a_file_that_is_still_written_is_no_fault() {
    let place = Place::new();
    let bytes = event_file(&[0.1, 0.2]);
    let path = place.write("events.out.tfevents.1", &bytes[..bytes.len() - 3]);
    let (code, json) = inspect(&place, &path);
    assert_eq!((code, json["runs"][0]["unfinished"][0]["kind"].as_str()), (Some(0), Some("torn")));
}

#[test]
fn empty_and_missing_paths_are_told_apart() {
    let place = Place::new();
    fs::create_dir(place.path().join("empty")).expect("it is made");
    let empty = place.run(&["inspect", "empty"]);
    assert_eq!(empty.code, Some(1));
    assert!(empty.out.contains("no event files"), "{}", empty.out);
    place.write("x.tfevents.1", event_file(&[0.5]));
    let both = place.run(&["inspect", "missing", "x.tfevents.1", "--json"]);
    assert_eq!(both.code, Some(2));
    assert!(both.out.contains("\"acc\"") && both.err.contains("missing: No such file"), "{both:?}");
    let missing = place.run(&["inspect", "missing"]);
    assert_eq!(missing.code, Some(2));
    assert_eq!(missing.err, "error: missing: No such file or directory (os error 2)\n");
}

#[test]
fn a_link_loop_ends_and_a_linked_run_is_read_once() {
    let place = Place::new();
    fs::create_dir_all(place.path().join("logs/a")).expect("it is made");
    place.write("logs/a/x.tfevents.1", event_file(&[0.5]));
    std::os::unix::fs::symlink("..", place.path().join("logs/a/loop")).expect("it is linked");
    std::os::unix::fs::symlink("a", place.path().join("logs/b")).expect("it is linked");
    let (code, json) = inspect(&place, "logs");
    assert_eq!((code, json["runs"].as_array().map(Vec::len)), (Some(0), Some(1)));
    assert_eq!(json["runs"][0]["tags"][0]["count"], 1);
}
