//! Jobs whose metric never comes, and the lines that mend them.

use std::fs;
use std::io::{BufRead, BufReader};
use std::process::Stdio;

use hptune::units::{Step, WallTime};
use serde_json::Value as Json;
use tfevents::event;
use tfevents::record as tfrecord;

use crate::support::{Place, Ran, config};

/// An event file with values of a tag at steps 0 to 3.
fn curve(tag: &str) -> Vec<u8> {
    let mut bytes = Vec::new();
    tfrecord::encode(&event::encode_file_version(WallTime(1.0), "test"), &mut bytes);
    for (step, value) in (0..4).zip([0.1, 0.2, 0.3, 0.4]) {
        let event = event::encode_scalars(WallTime(2.0 + step as f64), Step(step), &[(tag, value)]);
        tfrecord::encode(&event, &mut bytes);
    }
    bytes
}

/// A place with a curve for each of some tags, in one run directory.
fn tags_of(run: &str, tags: &[&str]) -> Place {
    let place = Place::new();
    fs::create_dir_all(place.path().join("d").join(run)).expect("it is made");
    for (at, tag) in tags.iter().enumerate() {
        place.write(&format!("d/{run}/x.tfevents.{at}"), curve(tag));
    }
    place
}

/// The lines to paste that `doctor` prints, and all that it prints.
fn pasted(place: &Place, tag: &str) -> (Vec<String>, String) {
    let ran = place.run(&["doctor", "d", "--tag", tag]);
    assert_eq!(ran.code, Some(1), "{}", ran.out);
    let lines = ran.out.lines().map(str::trim).filter(|line| line.starts_with("hyperparameterMetricTag:"));
    (lines.map(str::to_owned).collect(), ran.out)
}

#[test]
fn a_counter_is_never_printed_as_a_remedy() {
    let loaders = ["val_acc_epoch/dataloader_idx_0", "val_acc_epoch/dataloader_idx_1"];
    let tags = [&["epoch", "step", "val_acc", "train_loss_step"][..], &loaders].concat();
    let place = tags_of("lightning_logs/version_0", &tags);
    let (lines, out) = pasted(&place, "val_acc_epoch");
    assert_eq!(lines, ["hyperparameterMetricTag: \"val_acc_epoch/dataloader_idx_0\""]);
    let asked =
        "did you mean `val_acc_epoch/dataloader_idx_0`, `val_acc_epoch/dataloader_idx_1` or `val_acc`?";
    assert!(out.contains(asked), "{out}");
    for tag in ["val_loss_epoch", "valid_loss_step"] {
        let (lines, out) = pasted(&place, tag);
        assert_eq!(lines, Vec::<String>::new(), "{out}");
        let note = "other quantities, which are no remedy: `train_loss_step` in `lightning_logs/version_0` (it is of training data)";
        assert!(out.contains(note), "{out}");
    }
    let (lines, out) = pasted(&place, "Epoch");
    assert_eq!(lines, Vec::<String>::new(), "{out}");
    assert!(
        out.contains("`epoch` in `lightning_logs/version_0` (it counts or sets, and measures nothing)"),
        "{out}"
    );
}

#[test]
fn of_several_that_may_be_meant_none_is_printed_as_a_remedy() {
    let place = tags_of("run", &["metrics/mAP50(B)", "metrics/mAP50(M)", "actor/loss", "critic/loss"]);
    for (tag, other) in [
        ("mAP50", "`metrics/mAP50(M)` in `run` (`m` may make it another quantity)"),
        ("loss", "`actor/loss` in `run` (`actor` may make it another quantity)"),
        ("top_5_accuracy", "none comes close"),
    ] {
        let (lines, out) = pasted(&place, tag);
        assert_eq!(lines, Vec::<String>::new(), "{out}");
        assert!(out.contains(other), "{out}");
    }
}

#[test]
fn a_fold_that_was_asked_for_stays_in_the_line_to_paste() {
    let place = Place::new();
    for fold in ["fold_0", "fold_1"] {
        fs::create_dir_all(place.path().join("d/20260101").join(fold)).expect("it is made");
        place.write(&format!("d/20260101/{fold}/x.tfevents.1"), curve("acc"));
    }
    let (lines, out) = pasted(&place, "fold_1/acc");
    assert_eq!(lines, ["hyperparameterMetricTag: \"acc\""]);
    assert!(out.contains("hptune: {objective: {run: \"20260101/fold_1\"}}"), "{out}");
}

/// A place with what a callback of Keras writes, and the script that copies it to a trial's directory.
fn keras(max_trials: u32, tag: &str, hptune: &str) -> Place {
    let place = Place::new();
    for run in ["train", "validation"] {
        fs::create_dir_all(place.path().join("logs").join(run)).expect("it is made");
        place.write(&format!("logs/{run}/x.tfevents.1"), curve("epoch_accuracy"));
    }
    configure(&place, max_trials, tag, hptune);
    place
}

fn configure(place: &Place, max_trials: u32, tag: &str, hptune: &str) {
    let text = config(max_trials, "maxParallelTrials: 2", hptune);
    place.write("c.yaml", text.replace("MetricTag: acc", &format!("MetricTag: {tag}")));
}

const COPY: &str = "cp -r logs/* $HPTUNE_JOB_DIR";

#[track_caller]
fn run(place: &Place, script: &str) -> Ran {
    Ran::of(&place.job(&[], script).output().expect("it runs"))
}

fn outcomes(job: &Json) -> Vec<&str> {
    let trials = job["hptuneOutput"]["trials"].as_array().expect("a list");
    trials.iter().filter_map(|trial| trial["outcome"].as_str()).collect()
}

const REMEDY: [&str; 2] =
    ["hyperparameterMetricTag: \"epoch_accuracy\"", "hptune: {objective: {run: \"validation\"}}"];

#[test]
fn a_metric_that_never_comes_ends_the_job_with_the_first_trial_and_the_lines_to_paste() {
    let place = keras(8, "val_acc", "");
    // The other trial, which runs by then, would go on for ever.
    let script = format!(
        "{COPY}; if [ $CLOUD_ML_TRIAL_ID = 2 ]; then touch second; exec sleep 1000; fi; \
         until [ -e second ]; do sleep 0.01; done"
    );
    let ran = run(&place, &script);
    assert_eq!(ran.code, Some(1), "{}", ran.err);
    let job = place.describe("job");
    assert_eq!(outcomes(&job), ["failed: no value of the metric was found", "cancelled"], "{}", ran.err);
    let message = job["errorMessage"].as_str().expect("a message");
    let asked = "no value under the tag `val_acc`; did you mean `epoch_accuracy` of the run `validation`?";
    assert!(message.contains(asked), "{message}");
    assert!(REMEDY.iter().all(|line| message.contains(line)), "{message}");
    assert!(ran.err.contains(asked), "{}", ran.err);

    // The doctor knows the job's tag, gives the same lines, and takes no trial for a run.
    for path in ["out", "out/1"] {
        let ran = place.run(&["doctor", path, "--json"]);
        let json: Json = serde_json::from_str(&ran.out).expect("it is JSON");
        assert_eq!((ran.code, json["tag"].as_str()), (Some(1), Some("val_acc")), "{json:#}");
        assert_eq!(json["fix"], serde_json::json!(REMEDY));
        assert!(json["message"].as_str().is_some_and(|text| text.starts_with(asked)), "{json:#}");
        assert_eq!(json["near"][0]["runs"], serde_json::json!(["validation"]));
    }
}

#[test]
fn the_lines_to_paste_work() {
    let place = keras(2, "epoch_accuracy", "objective: {run: \"validation\"}");
    let ran = run(&place, COPY);
    assert_eq!(ran.code, Some(0), "{}", ran.err);
    assert!(!ran.err.contains("no value"), "{}", ran.err);
    let ran = place.run(&["doctor", "out", "--json"]);
    let json: Json = serde_json::from_str(&ran.out).expect("it is JSON");
    assert_eq!((ran.code, json["tag"].as_str()), (Some(0), Some("epoch_accuracy")), "{json:#}");
    let read: Vec<&str> = (json["places"].as_array().expect("a list").iter())
        .filter(|place| place["is_read"] == true)
        .filter_map(|place| place["run"].as_str())
        .collect();
    assert_eq!(read, ["validation"]);
}

#[test]
fn a_job_goes_on_without_the_metric_where_that_is_asked_for() {
    let place = keras(5, "val_acc", "trial: {onMissingMetric: continue}");
    let ran = run(&place, COPY);
    assert_eq!(ran.code, Some(1), "{}", ran.err);
    assert_eq!(outcomes(&place.describe("job")).len(), 5, "{}", ran.err);
}

#[test]
fn nothing_written_at_all_does_not_end_the_job() {
    let place = keras(2, "val_acc", "");
    let ran = run(&place, "true");
    assert_eq!(outcomes(&place.describe("job")).len(), 2, "{}", ran.err);
}

#[test]
fn while_the_first_trial_runs_it_is_told_at_once_that_only_other_tags_have_values() {
    let place = keras(1, "val_acc", "");
    let mut command = place.job(&[], &format!("{COPY}; until [ -e go ]; do sleep 0.01; done"));
    let mut child = command.stdout(Stdio::null()).stderr(Stdio::piped()).spawn().expect("it runs");
    let mut talk = BufReader::new(child.stderr.take().expect("it is piped")).lines().map_while(Result::ok);
    let line = talk.find(|line| line.contains("no value yet")).expect("it is told");
    assert!(line.contains("did you mean `epoch_accuracy` of the run `validation`?"), "{line}");
    // Only now may the trainer end.
    place.write("go", "");
    assert_eq!(talk.filter(|line| line.contains("no value yet")).count(), 0, "it is told once");
    assert_eq!(child.wait().expect("it ends").code(), Some(1));
}

#[test]
fn a_killed_controller_that_had_failed_the_job_starts_no_further_trial() {
    let place = keras(8, "val_acc", "trial: {gracePeriod: 60s}");
    // The other trial does not end before it is told to by the test.
    let script =
        format!("trap '' TERM; {COPY}; [ $CLOUD_ML_TRIAL_ID = 1 ] || until [ -e go ]; do sleep 0.01; done");
    let mut command = place.job(&[], &script);
    let mut child = command.stdout(Stdio::null()).stderr(Stdio::null()).spawn().expect("it runs");
    loop {
        let ran = place.run(&["jobs", "describe", "job", "--json"]);
        let job: Json = serde_json::from_str(&ran.out).unwrap_or_default();
        if job["errorMessage"].is_string() {
            break;
        }
        assert_eq!(child.try_wait().expect("it is ours"), None, "it waits for the second trial");
    }
    child.kill().expect("it runs");
    child.wait().expect("it ends");
    place.write("go", "");
    let ran = place.run(&["jobs", "resume", "job"]);
    assert_eq!(ran.code, Some(1), "{}", ran.err);
    let job = place.describe("job");
    assert_eq!((job["state"].as_str(), outcomes(&job).len()), (Some("FAILED"), 2), "{job:#}");
    assert!(job["errorMessage"].as_str().is_some_and(|text| text.contains(REMEDY[0])), "{job:#}");
}
