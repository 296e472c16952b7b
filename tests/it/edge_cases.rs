//! What real files do to a reader, through the program: damage, odd values, odd clocks, restarts.

use std::fs;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::symlink;

use hptune::units::{Step, WallTime};
use serde_json::{Value as Json, json};
use tfevents::event;
use tfevents::record::{self as tfrecord, crc};

use crate::support::{Place, event_file, event_file_at};

/// What a verb says as JSON, and its exit code.
#[track_caller]
fn json(place: &Place, arguments: &[&str]) -> (Option<i32>, Json) {
    let ran = place.run(arguments);
    (ran.code, serde_json::from_str(&ran.out).unwrap_or_else(|e| panic!("{e}: {} {}", ran.out, ran.err)))
}

/// The exported points as run, step, value and attempt.
#[track_caller]
fn exported(place: &Place, more: &[&str]) -> Vec<String> {
    let ran = place.run(&[&["export", ".", "--format", "jsonl"], more].concat());
    let rows = ran.out.lines().map(|line| serde_json::from_str::<Json>(line).expect("it is JSON"));
    let name = |row: &Json| row["run"].as_str().expect("a run").to_owned();
    rows.map(|row| format!("{} {} {} {}", name(&row), row["step"], row["value"], row["attempt"])).collect()
}

fn scalar(step: i64, clock: f64, value: f32) -> Vec<u8> {
    event::encode_scalars(WallTime(clock), Step(step), &[("acc", value)])
}

/// A file of these events.
fn file(events: &[Vec<u8>]) -> Vec<u8> {
    let mut bytes = Vec::new();
    events.iter().for_each(|event| tfrecord::encode(event, &mut bytes));
    bytes
}

/// A field of a message that holds bytes.
fn field(number: u8, content: &[u8]) -> Vec<u8> {
    assert!(content.len() < 128 && number < 16);
    [&[number << 3 | 2, content.len() as u8], content].concat()
}

#[test]
fn an_empty_file_is_no_fault() {
    let place = Place::new();
    place.write("x.tfevents.1", "");
    let (code, shown) = json(&place, &["inspect", ".", "--json"]);
    assert_eq!((code, &shown["runs"][0]["empty_files"]), (Some(0), &json!(1)));
    let (code, checked) = json(&place, &["verify", ".", "--json"]);
    assert_eq!((code, &checked["files"][0]["records"]), (Some(0), &json!(0)));
}

#[test]
fn zeros_and_torn_ends_hide_neither_what_comes_before_nor_other_files() {
    let place = Place::new();
    let holed = [event_file_at(&[(1, 0.1)]), vec![0; 4096]].concat();
    place.write("a.tfevents.1", holed);
    let torn = event_file_at(&[(2, 0.2), (3, 0.3)]);
    place.write("b.tfevents.2", &torn[..torn.len() - 5]);
    place.write("c.tfevents.3", event_file_at(&[(4, 0.4)]));
    assert_eq!(exported(&place, &[]), [". 1 0.1 1", ". 2 0.2 1", ". 4 0.4 1"]);
    let (_, shown) = json(&place, &["inspect", ".", "--json"]);
    let unfinished: Vec<&str> = shown["runs"][0]["unfinished"]
        .as_array()
        .expect("a list")
        .iter()
        .filter_map(|damage| damage["file"].as_str())
        .collect();
    assert_eq!(unfinished, ["b.tfevents.2"], "told once");
    assert_eq!(shown["runs"][0]["damages"][0]["file"], "a.tfevents.1");
}

#[test]
fn a_length_that_no_record_can_have_costs_nothing_but_its_place() {
    let place = Place::new();
    for length in [1_u64 << 63, u64::MAX, u64::from(u32::MAX)] {
        let mut bytes = event_file(&[0.1]);
        bytes.extend(length.to_le_bytes());
        bytes.extend(crc::masked(&length.to_le_bytes()).to_le_bytes());
        bytes.extend(file(&[scalar(2, 2.0, 0.2)]));
        place.write("x.tfevents.1", bytes);
        let (code, shown) = json(&place, &["inspect", ".", "--json"]);
        assert_eq!((code, &shown["runs"][0]["tags"][0]["count"]), (Some(1), &json!(2)), "{length}");
        assert_eq!(shown["runs"][0]["damages"][0]["kind"], "bad-length");
        assert_eq!(shown["runs"][0]["damages"][0]["bytes"], 12);
    }
}

#[test]
fn a_record_that_is_no_event_is_skipped_and_counted() {
    let place = Place::new();
    place.write("x.tfevents.1", file(&[scalar(1, 1.0, 0.1), vec![0xff; 9], scalar(2, 2.0, 0.2)]));
    let (code, shown) = json(&place, &["inspect", ".", "--json"]);
    let run = &shown["runs"][0];
    assert_eq!((code, &run["tags"][0]["count"]), (Some(1), &json!(2)));
    assert_eq!(run["damaged_by_kind"], json!({"not-an-event": 1}));
    assert_eq!(run["damages"][0]["offset"], file(&[scalar(1, 1.0, 0.1)]).len());
}

#[test]
fn a_file_need_not_begin_with_its_version() {
    let place = Place::new();
    place.write("x.tfevents.1", file(&[scalar(1, 1.0, 0.1)]));
    assert_eq!(exported(&place, &[]), [". 1 0.1 1"]);
}

#[test]
fn what_came_later_to_the_format_is_ignored() {
    // Field 15 as number, bytes, fixed and group, in the event, its summary and the value; an event of a
    // kind that is not known; metadata with fields that are not known.
    let unknown = [&[0x78, 1][..], &field(15, b"x"), &[0x7d, 1, 2, 3, 4], &[0x7b, 0x7c]].concat();
    let metadata = [field(1, &field(1, b"scalars")), field(2, b"name"), unknown.clone()].concat();
    let value = [field(1, b"acc"), vec![0x15, 0, 0, 0, 0x3f], field(9, &metadata), unknown.clone()].concat();
    let summary = [field(1, &value), unknown.clone()].concat();
    let known = [vec![0x10, 7], field(5, &summary), unknown.clone()].concat();
    let place = Place::new();
    place.write("x.tfevents.1", file(&[known, unknown]));
    assert_eq!(exported(&place, &[]), [". 7 0.5 1"]);
    assert_eq!(place.run(&["inspect", "."]).code, Some(0));
}

#[test]
fn metadata_may_stand_with_the_first_value_only() {
    let tensor = [&[0x08, 1, 0x12, 0][..], &field(4, &0.5_f32.to_le_bytes())].concat();
    let value = |metadata: &[u8]| {
        let value = [field(1, b"acc"), field(8, &tensor), metadata.to_vec()].concat();
        field(5, &field(1, &value))
    };
    let plugin = field(9, &field(1, &field(1, b"scalars")));
    let later = |step: u8| [vec![0x10, step], value(&[])].concat();
    let place = Place::new();
    place.write("x.tfevents.1", file(&[value(&plugin), later(1), later(2)]));
    assert_eq!(exported(&place, &[]), [". 0 0.5 1", ". 1 0.5 1", ". 2 0.5 1"]);
    let (_, shown) = json(&place, &["inspect", ".", "--json"]);
    assert_eq!(
        (&shown["runs"][0]["tags"][0]["plugin"], &shown["runs"][0]["tags"][0]["kind"]),
        (&json!("scalars"), &json!("scalar"))
    );
}

#[test]
fn any_clock_will_do() {
    let place = Place::new();
    let clocks = [f64::NAN, 0.0, -1.0, 1e300, f64::INFINITY];
    let events: Vec<Vec<u8>> = (1..).zip(clocks).map(|(step, clock)| scalar(step, clock, 0.5)).collect();
    place.write("x.tfevents.1", file(&events));
    // A restart whose clock says nothing.
    place.write("y.tfevents.2", file(&[scalar(3, f64::NAN, 0.25)]));
    assert_eq!(exported(&place, &[]).len(), 6);
    assert_eq!(exported(&place, &["--latest"]).len(), 5);
    let (code, shown) = json(&place, &["inspect", ".", "--json"]);
    assert_eq!((code, &shown["runs"][0]["tags"][0]["count"]), (Some(0), &json!(6)));
    assert_eq!(place.run(&["plot", ".", "--x", "wall"]).code, Some(0));
}

#[test]
fn an_image_under_the_tag_is_the_wrong_kind() {
    let place = Place::new();
    let image = field(5, &field(1, &[field(1, b"acc"), field(4, b"\x08\x01")].concat()));
    place.write("x.tfevents.1", file(std::slice::from_ref(&image)));
    let (code, found) = json(&place, &["doctor", ".", "--tag", "acc", "--json"]);
    assert_eq!((code, &found["cause"]), (Some(1), &json!("wrong-kind")));
    // Numbers beside it count all the same.
    place.write("x.tfevents.1", file(&[image, scalar(1, 1.0, 0.5)]));
    let (code, found) = json(&place, &["doctor", ".", "--tag", "acc", "--json"]);
    assert_eq!((code, &found["cause"]), (Some(0), &json!("none")));
}

#[test]
fn a_restart_is_told_with_its_reason_and_the_first_start_replaces_nothing() {
    let graph = field(4, b"graph");
    let first = [
        event::encode_file_version(WallTime(1.0), "test"),
        graph,
        event::encode_session_start(WallTime(1.0), Step(0)),
        scalar(0, 2.0, 0.0),
        scalar(100, 3.0, 0.5),
    ];
    let place = Place::new();
    place.write("a.tfevents.1", file(&first));
    let (_, shown) = json(&place, &["inspect", ".", "--json"]);
    assert_eq!(shown["runs"][0]["tags"][0]["attempts"], 1);
    place.write("b.tfevents.2", file(&[scalar(80, 10.0, 0.75), scalar(90, 11.0, 0.8)]));
    let (_, shown) = json(&place, &["inspect", ".", "--json"]);
    let tag = &shown["runs"][0]["tags"][0];
    assert_eq!(
        (&tag["attempts"], &tag["last_step"], &tag["last_value"]),
        (&json!(2), &json!(90), &json!(0.8))
    );
    assert_eq!(tag["rewinds"], json!([{"from_step": 80, "reason": "falling-steps"}]));
    assert_eq!(exported(&place, &["--latest"]), [". 0 0.0 1", ". 80 0.75 2", ". 90 0.8 2"]);
}

#[test]
fn a_restart_leaves_a_trainer_at_its_side_alone() {
    // One writer goes on to step 100 while another starts, and resumes from its own checkpoint.
    let place = Place::new();
    let long: Vec<Vec<u8>> = (0..=10).map(|i| scalar(i * 10, 1.0 + i as f64, 0.1)).collect();
    place.write("a.tfevents.1", file(&long));
    let beside = [
        scalar(25, 3.0, 0.2),
        scalar(35, 4.0, 0.2),
        event::encode_session_start(WallTime(20.0), Step(25)),
        scalar(27, 21.0, 0.3),
    ];
    place.write("b.tfevents.2", file(&beside));
    let steps: Vec<i64> = exported(&place, &["--latest"])
        .iter()
        .filter_map(|row| row.split(' ').nth(1)?.parse().ok())
        .collect();
    assert_eq!(steps, [0, 10, 20, 25, 27, 30, 40, 50, 60, 70, 80, 90, 100]);
    let (_, shown) = json(&place, &["inspect", ".", "--json"]);
    let tag = &shown["runs"][0]["tags"][0];
    assert_eq!((&tag["last_step"], &tag["last_value"]), (&json!(100), &json!(0.1)));
}

#[test]
fn a_step_is_one_row_of_the_wide_table_though_its_tags_were_first_written_in_other_attempts() {
    let place = Place::new();
    let loss = |step, clock| event::encode_scalars(WallTime(clock), Step(step), &[("loss", 0.5)]);
    place.write("a.tfevents.1", file(&[loss(1, 1.0), loss(2, 2.0), loss(3, 3.0)]));
    let both =
        |step, clock| event::encode_scalars(WallTime(clock), Step(step), &[("ev", 0.25), ("loss", 0.75)]);
    let start = event::encode_session_start(WallTime(10.0), Step(1));
    place.write("b.tfevents.2", file(&[start, both(2, 11.0), both(3, 12.0)]));
    let latest = place.run(&["export", ".", "--wide", "--latest"]).out;
    assert_eq!(
        latest,
        "run,step,wall_time,attempt,ev,loss\n.,1,1,1,,0.5\n.,2,11,2,0.25,0.75\n.,3,12,2,0.25,0.75\n"
    );
    assert_eq!(place.run(&["export", ".", "--wide"]).out.lines().count(), 1 + 5);
}

#[test]
fn where_no_step_is_counted_points_stand_in_their_order_and_it_is_told() {
    let place = Place::new();
    let events: Vec<Vec<u8>> = (1..=4).map(|i| scalar(0, f64::from(i), i as f32)).collect();
    place.write("x.tfevents.1", file(&events));
    let rows = [". 0 1.0 1", ". 0 2.0 1", ". 0 3.0 1", ". 0 4.0 1"];
    assert_eq!(exported(&place, &[]), rows);
    assert_eq!(exported(&place, &["--latest"]), rows);
    let told = place.run(&["export", ".", "--latest"]).err;
    assert_eq!(told.matches("counts no steps").count(), 1, "{told}");
    assert!(place.run(&["plot", "."]).err.contains("--x relative"));
    assert!(place.run(&["doctor", ".", "--tag", "acc"]).out.contains("all its values are at step 0"));
}

#[test]
fn directories_that_link_to_each_other_are_read_once() {
    let place = Place::new();
    let names: Vec<String> = (0..9).map(|i| format!("run{i}")).collect();
    for name in &names {
        fs::create_dir(place.path().join(name)).expect("it is made");
        place.write(&format!("{name}/x.tfevents.1"), event_file(&[0.5]));
        for other in names.iter().filter(|other| *other != name) {
            symlink(format!("../{other}"), place.path().join(name).join(other)).expect("it is linked");
        }
    }
    // What lies elsewhere is found by its link, once, and a file by its own.
    let elsewhere = tempfile::tempdir().expect("a directory");
    fs::create_dir(elsewhere.path().join("in")).expect("it is made");
    fs::write(elsewhere.path().join("in/y.tfevents.1"), event_file(&[0.5])).expect("it is written");
    symlink(elsewhere.path(), place.path().join("far")).expect("it is linked");
    symlink(elsewhere.path(), place.path().join("far2")).expect("it is linked");
    symlink(place.path(), elsewhere.path().join("back")).expect("it is linked");
    symlink("missing", place.path().join("z.tfevents.9")).expect("it is linked");
    let (code, shown) = json(&place, &["inspect", ".", "--json"]);
    let runs: Vec<&str> =
        shown["runs"].as_array().expect("a list").iter().filter_map(|run| run["run"].as_str()).collect();
    let expected: Vec<&str> = std::iter::once("far/in").chain(names.iter().map(String::as_str)).collect();
    assert_eq!((code, runs), (Some(0), expected));
}

#[test]
fn a_pipe_is_passed_over_and_a_name_that_is_no_text_is_read() {
    let place = Place::new();
    let odd = place.path().join(std::ffi::OsStr::from_bytes(b"a\xffb"));
    fs::create_dir(&odd).expect("it is made");
    fs::write(odd.join("x.tfevents.1"), event_file(&[0.5])).expect("it is written");
    let pipe = place.path().join("y.tfevents.2");
    let made = std::process::Command::new("mkfifo").arg(pipe).status().expect("it runs");
    assert!(made.success());
    assert_eq!(exported(&place, &[]), ["a\u{fffd}ffb 1 0.5 1"]);
}

#[test]
fn the_metrics_files_of_a_job_s_trials_are_read_too() {
    let place = Place::new();
    fs::create_dir_all(place.path().join("1/.hptune")).expect("it is made");
    let line = r#"{"timestamp": 1.5, "trial": "1", "global_step": "3", "acc": "0.5", "checkpoint_path": ""}"#;
    place.write("1/.hptune/output.metrics", format!("{line}\n"));
    assert_eq!(exported(&place, &[]), ["1/.hptune 3 0.5 1"]);
    assert_eq!(place.run(&["doctor", ".", "--tag", "acc"]).code, Some(0));
}

#[test]
fn the_doctor_tells_damage_and_closed_doors_from_a_writer_that_has_not_flushed() {
    let place = Place::new();
    place.write("x.tfevents.1", vec![7; 500]);
    let (code, found) = json(&place, &["doctor", ".", "--tag", "acc", "--json"]);
    assert_eq!((code, &found["cause"]), (Some(1), &json!("damaged")));
    // An error that no permission is asked for: whoever runs this, the file cannot be read.
    fs::remove_file(place.path().join("x.tfevents.1")).expect("it is removed");
    symlink("n".repeat(300), place.path().join("x.tfevents.1")).expect("it is linked");
    let (code, found) = json(&place, &["doctor", ".", "--tag", "acc", "--json"]);
    assert_eq!((code, &found["cause"]), (Some(1), &json!("unreadable")));
    // The others say so, too, alone and beside a file that can be read.
    for n_readable in 0..2 {
        for verb in ["inspect", "export", "plot", "verify"] {
            let ran = place.run(&[verb, "."]);
            assert_eq!(ran.code, Some(3), "{verb}, {n_readable} others: {ran:?}");
            assert!([&*ran.out, &*ran.err].concat().contains("x.tfevents.1: "), "{verb}: {ran:?}");
        }
        place.write("y.tfevents.2", event_file(&[0.5]));
    }
}

#[test]
fn a_tag_that_is_named_in_vain_beside_others_is_told() {
    let place = Place::new();
    // Two runs hold it: it is named once all the same.
    fs::create_dir(place.path().join("eval")).expect("it is made");
    place.write("x.tfevents.1", event_file(&[0.5]));
    place.write("eval/x.tfevents.1", event_file(&[0.5]));
    for verb in ["export", "plot"] {
        let ran = place.run(&[verb, ".", "--tag", "acc", "--tag", "accc"]);
        assert_eq!(ran.code, Some(0), "{ran:?}");
        assert!(ran.err.contains("matches `accc`; did you mean `acc`?"), "{ran:?}");
    }
}
