//! Which hyperparameters stand beside the values in `hptune export`.

use std::collections::BTreeMap;
use std::fs;

use hptune::units::WallTime;
use parquet::record::Field;
use serde_json::Value as Json;
use tfevents::record as tfrecord;
use tfevents::scalar::{HparamValue, encode_hparams};

use crate::support::{Place, Ran, config, event_file, parquet_column};

/// Writes an event file of a run: values of `acc`, and the hyperparameters of a session where there are some.
fn write(place: &Place, run: &str, values: &[f32], hparams: &[(&str, HparamValue)]) {
    fs::create_dir_all(place.path().join(run)).expect("it is made");
    let mut bytes = event_file(values);
    if !hparams.is_empty() {
        let hparams: BTreeMap<String, HparamValue> =
            hparams.iter().map(|(name, value)| ((*name).to_owned(), value.clone())).collect();
        tfrecord::encode(&encode_hparams(WallTime(9.0), &hparams), &mut bytes);
    }
    place.write(&format!("{run}/x.tfevents.1"), bytes);
}

#[track_caller]
fn export(place: &Place, options: &[&str]) -> String {
    let ran = place.run(&[&["export", ".", "--tag", "acc"], options].concat());
    assert_eq!(ran.code, Some(0), "{} {}", ran.out, ran.err);
    ran.out
}

#[test]
fn what_add_hparams_wrote_below_a_run_stands_beside_its_curve() {
    let place = Place::new();
    write(&place, "box", &[0.5, 0.75], &[]);
    let hparams = [("fp16", HparamValue::Bool(false)), ("lr", HparamValue::Number(3e-5))];
    write(&place, "box/1700000000.25", &[], &hparams);
    let expected = "run,step,wall_time,attempt,acc,hparam/fp16,hparam/lr\n\
                    box,1,1,1,0.5,false,0.00003\nbox,2,2,1,0.75,false,0.00003\n";
    assert_eq!(export(&place, &["--wide"]), expected);
    assert_eq!(export(&place, &["--wide", "--latest", "--run", "box"]), expected);
    let row = "{\"run\":\"box\",\"tag\":\"acc\",\"step\":1,\"wall_time\":1.0,\"value\":0.5,\"attempt\":1,\
               \"hparam/fp16\":false,\"hparam/lr\":0.00003}";
    assert_eq!(export(&place, &["--format", "jsonl"]).lines().next(), Some(row));
}

#[test]
fn the_session_of_a_training_stands_beside_the_curves_of_all_its_data() {
    for (place_of_session, has_values) in [("run-0", false), ("run-0/train", true)] {
        let place = Place::new();
        for run in ["run-0/train", "run-0/validation", "run-1/train"] {
            write(&place, run, &[0.5], &[]);
        }
        let values: &[f32] = if has_values { &[0.5] } else { &[] };
        write(&place, place_of_session, values, &[("units", HparamValue::Number(16.0))]);
        let csv = export(&place, &[]);
        let rows: Vec<(&str, &str)> = csv
            .lines()
            .skip(1)
            .filter_map(|row| Some((row.split(',').next()?, row.rsplit(',').next()?)))
            .collect();
        assert_eq!(rows, [("run-0/train", "16"), ("run-0/validation", "16"), ("run-1/train", "")]);
        let only = export(&place, &["--run", "run-0/validation"]);
        assert!(only.ends_with(",16\n"), "{only}");
    }
}

/// The column `hparam/NAME` beside each value, in every format and shape; they say the same.
#[track_caller]
pub(crate) fn hparam_beside(place: &Place, name: &str, tag: &str) -> Vec<(String, Option<f64>)> {
    let column = format!("hparam/{name}");
    let mut told = Vec::new();
    for shape in [&[][..], &["--wide"]] {
        let run = |options: &[&str]| {
            let ran = place.run(&[&["export", ".", "--tag", tag], options, shape].concat());
            assert_eq!(ran.code, Some(0), "{} {}", ran.out, ran.err);
            ran.out
        };
        let csv = run(&[]);
        let at = csv.lines().next().and_then(|names| names.split(',').position(|name| name == column));
        let of_csv: Vec<(String, Option<f64>)> = csv
            .lines()
            .skip(1)
            .map(|row| {
                let cells: Vec<&str> = row.split(',').collect();
                (cells[0].to_owned(), at.and_then(|at| cells[at].parse().ok()))
            })
            .collect();
        let of_json: Vec<(String, Option<f64>)> = run(&["--format", "jsonl"])
            .lines()
            .map(|line| serde_json::from_str::<Json>(line).expect("it is JSON"))
            .map(|row| (row["run"].as_str().expect("a run").to_owned(), row[&*column].as_f64()))
            .collect();
        run(&["-o", "points.parquet", "--force"]);
        let cells = |name: &str| parquet_column(&place.path().join("points.parquet"), name);
        let of_parquet: Vec<(String, Option<f64>)> = cells("run")
            .into_iter()
            .zip(cells(&column))
            .map(|cell| match cell {
                (Field::Str(run), Field::Double(value)) => (run, Some(value)),
                (Field::Str(run), Field::Null) => (run, None),
                other => panic!("got {other:?}"),
            })
            .collect();
        assert_eq!(of_json, of_csv, "{csv}");
        assert_eq!(of_parquet, of_csv, "{csv}");
        told.push(of_csv);
    }
    assert_eq!(told[0], told[1]);
    told.swap_remove(0)
}

#[test]
fn the_nearest_session_wins_in_every_format() {
    #[track_caller]
    fn check(sessions: &[(&str, f64)], expected: &[(&str, Option<f64>)]) {
        let place = Place::new();
        let runs = ["a", "a/train", "a/validation", "b"];
        for run in runs {
            write(&place, run, &[0.5], &[]);
        }
        for (run, lr) in sessions {
            let values: &[f32] = if runs.contains(run) { &[0.5] } else { &[] };
            write(&place, run, values, &[("lr", HparamValue::Number(*lr))]);
        }
        let expected: Vec<(String, Option<f64>)> =
            expected.iter().map(|(run, lr)| ((*run).to_owned(), *lr)).collect();
        assert_eq!(hparam_beside(&place, "lr", "acc"), expected);
    }
    let all =
        |a, train, validation, b| [("a", a), ("a/train", train), ("a/validation", validation), ("b", b)];
    // Above alone, and below alone.
    check(&[("a", 1.0)], &all(Some(1.0), Some(1.0), Some(1.0), None));
    check(&[("a/train", 2.0)], &all(Some(2.0), Some(2.0), Some(2.0), None));
    check(&[("a/17.5", 3.0)], &all(Some(3.0), Some(3.0), Some(3.0), None));
    // A run's own before all, then what is below the directory before what is above it.
    check(&[("a", 1.0), ("a/train", 2.0)], &all(Some(1.0), Some(2.0), Some(1.0), None));
    check(&[("a", 1.0), ("a/17.5", 3.0)], &all(Some(1.0), Some(1.0), Some(1.0), None));
    check(&[(".", 4.0), ("a/17.5", 3.0)], &all(Some(3.0), Some(3.0), Some(3.0), Some(4.0)));
    // Sessions below that differ say nothing: what is above does.
    check(&[(".", 4.0), ("a/17.5", 3.0), ("a/18.5", 5.0)], &all(Some(4.0), Some(4.0), Some(4.0), Some(4.0)));
}

#[test]
fn the_parameters_of_a_trial_stand_beside_its_values() {
    let place = Place::new();
    place.write("c.yaml", config(2, "", ""));
    place.write("x", event_file(&[0.5]));
    let script = "mkdir \"$HPTUNE_JOB_DIR/eval\"; cp x \"$HPTUNE_JOB_DIR/eval/x.tfevents.1\"";
    let ran = Ran::of(&place.job(&[], script).output().expect("it runs"));
    assert_eq!(ran.code, Some(0), "{}", ran.err);
    let described = place.describe("job");
    let trials = described["trainingOutput"]["trials"].as_array().expect("a list");
    let x = |id: &str| -> &str {
        let trial = trials.iter().find(|trial| trial["trialId"] == id).expect("it is there");
        trial["hyperparameters"]["x"].as_str().expect("it has one")
    };
    let expected = |path: &str, run: &str, trial: &str| {
        let ran = place.run(&["export", path]);
        assert!(ran.out.lines().any(|row| row == format!("{run},acc,1,1,0.5,1,{}", x(trial))), "{}", ran.out);
        assert_eq!(ran.out.lines().next(), Some("run,tag,step,wall_time,value,attempt,hparam/x"));
    };
    expected("out", "1/eval", "1");
    expected("out", "2/eval", "2");
    expected("out/2", "eval", "2");
    expected("out/2/eval/x.tfevents.1", ".", "2");
}

#[test]
fn what_the_trial_was_given_stands_where_its_trainer_noted_another_value_and_that_is_said() {
    let place = Place::of_job(&config(1, "", ""));
    let ran = Ran::of(&place.job(&[], "cp acc.tfevents $HPTUNE_JOB_DIR/").output().expect("it runs"));
    assert_eq!(ran.code, Some(0), "{}", ran.err);
    let ran = place.run(&["export", "out", "--wide"]);
    let x: f64 =
        ran.out.lines().nth(1).and_then(|row| row.rsplit(',').next()?.parse().ok()).expect("a number");
    let hparams = [("x", HparamValue::Text(format!("{x}"))), ("y", HparamValue::Number(2.0))];
    write(&place, "out/1", &[], &hparams);
    let same = place.run(&["export", "out", "--wide"]);
    assert!(
        same.out.contains(&format!(",{x},2\n")) && !same.err.contains("noted"),
        "{}{}",
        same.out,
        same.err
    );
    write(&place, "out/1", &[], &[("x", HparamValue::Number(0.5)), ("y", HparamValue::Number(2.0))]);
    let differs = place.run(&["export", "out", "--wide"]);
    assert!(differs.out.contains(&format!(",{x},2\n")), "{}", differs.out);
    let told = format!("note: run 1: `x` is {x} in its trial, and its trainer noted 0.5; hparam/x has {x}");
    assert!(differs.err.contains(&told), "{}", differs.err);
}
