//! What counts: one value a step, every metric of a report, and the same number everywhere.

use std::fs;

use hptune::layout::METRICS_PATH;
use hptune::limits::MAX_WIDE_TAGS;
use hptune::units::{Step, WallTime};
use serde_json::Value as Json;
use tfevents::event;
use tfevents::record as tfrecord;

use crate::support::{Place, Ran};

fn events(points: &[(f64, i64, &str, f32)]) -> Vec<u8> {
    let mut bytes = Vec::new();
    for (clock, step, tag, value) in points {
        let event = event::encode_scalars(WallTime(*clock), Step(*step), &[(tag, *value)]);
        tfrecord::encode(&event, &mut bytes);
    }
    bytes
}

#[track_caller]
fn export(place: &Place, options: &[&str], code: i32) -> Ran {
    let ran = place.run(&[&["export", "."], options].concat());
    assert_eq!(ran.code, Some(code), "{} {}", ran.out, ran.err);
    ran
}

#[test]
fn the_latest_view_has_one_value_for_each_step() {
    let place = Place::new();
    // Lightning writes its placeholder at each start, in a file of its own, and others beside it.
    for i in 0..5_u8 {
        let clock = f64::from(i) + 1.0;
        let points = [(clock, 0, "hp_metric", -1.0), (clock, i64::from(i) * 10, "loss", 0.5)];
        place.write(&format!("x.tfevents.{i}"), events(&points));
    }
    let csv = export(&place, &["--latest"], 0).out;
    let steps = |tag: &str| -> Vec<&str> {
        let rows = csv.lines().filter(|row| row.split(',').nth(1) == Some(tag));
        rows.filter_map(|row| row.split(',').nth(2)).collect()
    };
    assert_eq!(steps("hp_metric"), ["0"]);
    assert_eq!(steps("loss"), ["0", "10", "20", "30", "40"]);
    let wide = export(&place, &["--latest", "--wide"], 0).out;
    assert_eq!(wide.lines().count(), 1 + 5, "{wide}");
    assert_eq!(export(&place, &["--tag", "hp_metric"], 0).out.lines().count(), 1 + 5);
}

#[test]
fn a_row_of_the_latest_wide_table_is_a_step_whichever_attempt_its_values_are_of() {
    let place = Place::new();
    place.write("x.tfevents.1", events(&[(1.0, 1, "a", 0.1), (1.0, 1, "b", 0.2), (2.0, 2, "a", 0.3)]));
    let mut second = Vec::new();
    tfrecord::encode(&event::encode_session_start(WallTime(100.0), Step(1)), &mut second);
    second.extend(events(&[(101.0, 1, "a", 0.4), (102.0, 2, "a", 0.5)]));
    place.write("x.tfevents.2", second);
    let wide = export(&place, &["--latest", "--wide"], 0).out;
    let steps: Vec<&str> = wide.lines().skip(1).filter_map(|row| row.split(',').nth(1)).collect();
    assert_eq!(steps, ["1", "2"], "{wide}");
    assert!(wide.lines().any(|row| row.ends_with(",2,0.5,")), "{wide}");
}

#[test]
fn more_tags_than_columns_are_refused() {
    let place = Place::new();
    let mut bytes = Vec::new();
    for tag in 0..=MAX_WIDE_TAGS {
        bytes.extend(events(&[(1.0, 1, &format!("t{tag}"), 0.5)]));
    }
    place.write("x.tfevents.1", bytes);
    let ran = export(&place, &["--wide", "-o", "t.csv"], 2);
    assert!(ran.err.contains("16001 tags") && ran.err.contains("hint: choose with --tag"), "{}", ran.err);
    assert!(!place.path().join("t.csv").exists());
    assert_eq!(export(&place, &["--wide", "--tag", "t1?"], 0).out.lines().count(), 2);
}

#[test]
fn a_picture_of_a_long_curve_knows_how_many_points_there_were() {
    let place = Place::new();
    let points: Vec<(f64, i64, &str, f32)> = (0..40_000_u16)
        .map(|i| (1.0, i64::from(i), "loss", if i % 100 == 7 { f32::NAN } else { f32::from(i) }))
        .collect();
    place.write("x.tfevents.1", events(&points));
    let ran = place.run(&["plot", ".", "-o", "c.html", "--smoothing", "0.5"]);
    assert!(ran.code == Some(0) && ran.err.contains("1 curve is long"), "{}", ran.err);
    let page = fs::read_to_string(place.path().join("c.html")).expect("it is written");
    assert!(page.contains("\"n\":40000,\"n_not_finite\":400,"));
    let shown = place.run(&["plot", "."]);
    assert!(shown.out.contains("left out as NaN or infinite: 400 values in 1 curve"), "{}", shown.out);
}

/// A directory with a metrics file of the cloudml-hypertune package.
fn reported(lines: &str) -> Place {
    let place = Place::new();
    let path = place.path().join(METRICS_PATH);
    fs::create_dir(path.parent().expect("it has one")).expect("it is made");
    fs::write(path, lines).expect("it is written");
    place
}

#[test]
fn reports_are_read_whatever_their_timestamp_and_each_of_their_metrics() {
    let place = reported(
        "{\"timestamp\": 1700000001.5, \"trial\": \"1\", \"acc\": \"0.1\", \"loss\": \"0.9\", \"global_step\": \"1\"}\n\
         {\"timestamp\": \"2023-11-14T22:13:22Z\", \"trial\": \"1\", \"loss\": \"0.8\", \"global_step\": \"2\"}\n\
         {\"trial\": \"1\", \"loss\": \"0.7\", \"global_step\": \"3\"}\n",
    );
    let csv = export(&place, &[], 0).out;
    let expected = "run,tag,step,wall_time,value,attempt\n\
                    .hptune,acc,1,1700000001.5,0.1,1\n.hptune,loss,1,1700000001.5,0.9,1\n\
                    .hptune,loss,2,1700000002,0.8,1\n.hptune,loss,3,NaN,0.7,1\n";
    assert_eq!(csv, expected);
    let watched = place.run(&["watch", ".", "--once", "--tag", "loss"]);
    assert_eq!(watched.out.matches("\"kind\":\"point\"").count(), 3, "{}", watched.out);
}

#[test]
fn reports_that_cannot_be_read_are_counted_and_told() {
    let place = reported("{\"loss\": \"0.5\", \"global_step\": \"1\"}\nloss=0.4\n{\"loss\": \"low\"}\n");
    let told = "2 reports cannot be read, such as loss=0.4";
    let ran = export(&place, &[], 1);
    assert_eq!(ran.out.lines().count(), 2);
    assert!(ran.err.contains(told), "{}", ran.err);
    let shown = place.run(&["inspect", "."]);
    assert!(shown.code == Some(1) && shown.out.contains(told), "{}", shown.out);
    let json: Json = serde_json::from_str(&place.run(&["inspect", ".", "--json"]).out).expect("it is JSON");
    assert_eq!(json["runs"][0]["unreadable_reports"], 2);
    let found = place.run(&["doctor", ".", "--tag", "loss"]);
    assert!(found.code == Some(0) && found.out.contains(told), "{}", found.out);
    let watched = place.run(&["watch", ".", "--once"]);
    assert!(watched.err.contains(told), "{}", watched.err);
    let place = reported("loss=0.4\n");
    let blamed = place.run(&["doctor", ".", "--tag", "loss", "--json"]);
    let blamed: Json = serde_json::from_str(&blamed.out).expect("it is JSON");
    assert_eq!((&blamed["cause"], &blamed["found"]), (&"unreadable-reports".into(), &false.into()));
}

#[test]
fn inspect_and_export_count_the_same() {
    let place = Place::new();
    let mut bytes = events(&[(1.0, 1, "loss", 0.5)]);
    // A tensor of shape [0] under the same tag: `tensor { dtype: DT_FLOAT, tensor_shape { dim { size: 0 } } }`.
    let tensor = [8, 1, 18, 2, 18, 0];
    let value = [&[10, 4], &b"loss"[..], &[66, 6], &tensor].concat();
    let summary = [&[10, value.len() as u8], &value[..]].concat();
    let record = [&[16, 2, 42, summary.len() as u8], &summary[..]].concat();
    tfrecord::encode(&record, &mut bytes);
    bytes.extend(events(&[(3.0, 3, "loss", 0.25)]));
    place.write("x.tfevents.1", bytes);
    assert_eq!(export(&place, &[], 0).out.lines().count(), 1 + 2);
    let json: Json = serde_json::from_str(&place.run(&["inspect", ".", "--json"]).out).expect("it is JSON");
    let tag = &json["runs"][0]["tags"][0];
    assert_eq!((&tag["count"], &tag["not_numbers"]), (&2.into(), &1.into()), "{tag}");
}
