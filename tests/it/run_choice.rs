//! Which run directory a job reads, with real processes.

use hptune::units::{Step, WallTime};
use tfevents::event;
use tfevents::record as tfrecord;

use crate::support::{Place, Ran, config};

/// A clock long before any attempt of a trial here.
const PAST: f64 = 1000.0;

/// A clock behind the beginning of any attempt of a trial here.
const FUTURE: f64 = 4e9;

/// An event file that is begun at a clock, with values of the tag `acc` a second apart.
fn file(from: f64, points: &[(i64, f32)]) -> Vec<u8> {
    let mut bytes = Vec::new();
    tfrecord::encode(&event::encode_file_version(WallTime(from), "test"), &mut bytes);
    for (i, (step, value)) in points.iter().enumerate() {
        let clock = WallTime(from + 1.0 + i as f64);
        tfrecord::encode(&event::encode_scalars(clock, Step(*step), &[("acc", *value)]), &mut bytes);
    }
    bytes
}

/// The script that puts prepared files into run directories of the trial.
fn put(runs: &[(&str, &str)]) -> String {
    let one = |(name, run): &(&str, &str)| {
        format!("mkdir -p $HPTUNE_JOB_DIR/{run} && cp {name} $HPTUNE_JOB_DIR/{run}/x.tfevents.1; ")
    };
    runs.iter().map(one).collect()
}

/// Runs a job of one trial with these options.
#[track_caller]
fn run(place: &Place, options: &str, script: &str) -> Ran {
    place.write("c.yaml", config(1, "", options));
    Ran::of(&place.job(&[], script).output().expect("it runs"))
}

/// The result of its trial, and the run that it was read from.
#[track_caller]
fn result(place: &Place) -> (f64, String) {
    let job = place.describe("job");
    let value = job["trainingOutput"]["trials"][0]["finalMetric"]["objectiveValue"].as_f64();
    let run = job["hptuneOutput"]["trials"][0]["run"].as_str();
    (value.unwrap_or(f64::NAN), run.unwrap_or("none").to_owned())
}

#[test]
fn validation_data_are_read_whatever_the_writer_calls_them() {
    #[track_caller]
    fn check(train: &str, validation: &str) {
        let place = Place::new();
        place.write("t", file(PAST, &[(1, 0.9), (2, 0.9)]));
        place.write("v", file(PAST, &[(1, 0.25), (2, 0.5)]));
        let ran = run(&place, "", &put(&[("v", validation), ("t", train)]));
        assert_eq!(ran.code, Some(0), "{}", ran.err);
        assert_eq!(result(&place), (0.5, validation.to_owned()));
        let expected = format!("`acc` is read from the run directory `{validation}`, not from `{train}`");
        assert!(ran.err.contains(&expected), "{}", ran.err);
        let described = place.run(&["jobs", "describe", "job"]);
        let line = format!("The run directory `{validation}` of each trial is read.");
        assert!(described.out.contains(&line), "{}", described.out);
        let place_of_trial = place.path().join("out/1");
        let ran = place.run(&["doctor", place_of_trial.to_str().expect("UTF-8"), "--tag", "acc"]);
        assert!(ran.out.contains(&expected), "{}", ran.out);
    }
    check("train", "val");
    check("acc_train", "acc_Val");
    check("TrainLoss", "val_0");
}

#[test]
fn test_data_are_read_only_where_there_is_nothing_better() {
    let place = Place::new();
    place.write("x", file(PAST, &[(1, 0.9)]));
    place.write("v", file(PAST, &[(1, 0.5)]));
    let ran = run(&place, "", &put(&[("x", "test"), ("v", "val"), ("x", "train")]));
    assert_eq!(ran.code, Some(0), "{}", ran.err);
    assert_eq!(result(&place), (0.5, "val".to_owned()));
}

#[test]
fn the_mean_of_folds_is_taken_where_it_is_asked_for_and_offered_where_not() {
    let folds = |place: &Place| {
        for (n, value) in [(0, 0.25), (1, 0.5), (2, 0.75)] {
            let from = PAST + 100.0 * f64::from(n);
            place.write(&format!("f{n}"), file(from, &[(1, value), (2, value), (3 + i64::from(n), 0.9)]));
        }
        put(&[("f0", "fold_0"), ("f1", "fold_1"), ("f2", "fold_2")])
    };
    let place = Place::new();
    let ran = run(&place, "objective: {run: 'fold_*', across: mean}", &folds(&place));
    assert_eq!(ran.code, Some(0), "{}", ran.err);
    assert_eq!(result(&place), (0.5, "fold_* (mean of 3)".to_owned()));
    let place = Place::new();
    let ran = run(&place, "", &folds(&place));
    assert_eq!(result(&place), (0.9, "fold_0".to_owned()));
    let remedy = r#"hptune: {objective: {run: "fold_*", across: mean}}"#;
    assert!(ran.err.contains(remedy), "{}", ran.err);
}

#[test]
fn a_glob_makes_one_series_of_a_training_in_several_directories() {
    let place = Place::new();
    place.write("a", file(PAST, &[(1, 0.25), (2, 0.5)]));
    place.write("b", file(PAST + 100.0, &[(3, 0.75)]));
    let script = put(&[("a", "PPO_1"), ("b", "PPO_2")]);
    let ran = run(&place, "objective: {run: 'PPO_*'}", &script);
    assert_eq!(ran.code, Some(0), "{}", ran.err);
    assert_eq!(result(&place), (0.75, "PPO_*".to_owned()));
    let metrics = &place.describe("job")["trainingOutput"]["trials"][0]["allMetrics"];
    assert_eq!(metrics.as_array().map(Vec::len), Some(3));
    // Without it the last one counts.
    let place = Place::new();
    place.write("a", file(PAST, &[(1, 0.25), (2, 0.5)]));
    place.write("b", file(PAST + 100.0, &[(1, 0.3)]));
    run(&place, "", &script);
    assert_eq!(result(&place), (0.3, "PPO_2".to_owned()));
}

#[test]
fn curves_that_are_unlike_are_asked_about() {
    let place = Place::new();
    place.write("x", file(PAST, &[(1, 0.9), (2, 0.8)]));
    place.write("c.yaml", config(5, "", ""));
    let script = put(&[("x", "acc_policy"), ("x", "acc_value"), ("x", "acc_entropy")]);
    let ran = Ran::of(&place.job(&[], &script).output().expect("it runs"));
    assert_eq!(ran.code, Some(1), "{}", ran.err);
    for run in ["acc_policy", "acc_value", "acc_entropy"] {
        let line = format!("hptune: {{objective: {{run: \"{run}\"}}}}");
        assert!(ran.err.contains(&line), "{}", ran.err);
    }
    let trials = place.describe("job")["trainingOutput"]["trials"].as_array().map(Vec::len);
    assert_eq!(trials, Some(1), "no other trial is wasted");
}

#[test]
fn a_retry_that_writes_elsewhere_is_read_from_there() {
    #[track_caller]
    fn check(first: &[(&str, &str)], second: &[(&str, &str)], expected: (f64, &str)) -> String {
        let place = Place::new();
        place.write("dead", file(PAST, &[(1, 0.25), (2, 0.25)]));
        place.write("new", file(FUTURE, &[(1, 0.5)]));
        let script = format!(
            "if [ -e {marker} ]; then {} exit 0; fi; touch {marker}; {} exit 1",
            put(second),
            put(first),
            marker = "marker"
        );
        let ran = run(&place, "trial: {retries: 1}", &script);
        assert_eq!(ran.code, Some(0), "{}", ran.err);
        assert_eq!(result(&place), (expected.0, expected.1.to_owned()), "{}", ran.err);
        ran.err
    }
    let told = check(&[("dead", "version_0")], &[("new", "version_1")], (0.5, "version_1"));
    assert!(told.contains("version_0") && told.contains("does not count"), "{told}");
    // Whatever the names say: what the dead attempt validated is not the result.
    check(&[("dead", "a/val")], &[("new", "b/train")], (0.5, "b/train"));
    check(&[("dead", "keen-fox")], &[("new", "bold-hare")], (0.5, "bold-hare"));
}
