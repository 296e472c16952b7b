//! What a job says of trainers that do what their users did not mean.

use std::fs;
use std::time::{SystemTime, UNIX_EPOCH};

use hptune::units::{Step, WallTime};
use serde_json::Value as Json;
use tfevents::{event, record as tfrecord};

use crate::support::{Place, Ran, config, event_file, event_file_at};

#[track_caller]
fn run(place: &Place, config: &str, script: &str) -> Ran {
    place.write("c.yaml", config);
    Ran::of(&place.job(&[], script).output().expect("it runs"))
}

/// An event file with these values: tag, step, clock, value.
fn events(points: &[(&str, i64, f64, f32)]) -> Vec<u8> {
    let mut bytes = Vec::new();
    tfrecord::encode(&event::encode_file_version(WallTime(1.0), "test"), &mut bytes);
    for (tag, step, at, value) in points {
        tfrecord::encode(&event::encode_scalars(WallTime(*at), Step(*step), &[(*tag, *value)]), &mut bytes);
    }
    bytes
}

fn trials(job: &Json) -> &Vec<Json> {
    job["trainingOutput"]["trials"].as_array().expect("a list")
}

/// The configuration of a job that minimizes `hp_metric`.
fn of_hp_metric(hptune: &str) -> String {
    config(2, "", hptune).replace("MetricTag: acc", "MetricTag: hp_metric").replace("MAXIMIZE", "MINIMIZE")
}

const COPY: &str = "cp file $HPTUNE_JOB_DIR/x.tfevents.1";

#[test]
fn lightning_s_placeholder_is_no_result() {
    let place = Place::new();
    place.write(
        "file",
        events(&[("hp_metric", 0, 1.0, -1.0), ("val_loss", 1, 2.0, 0.5), ("val_loss", 2, 3.0, 0.4)]),
    );
    let ran = run(&place, &of_hp_metric(""), COPY);
    assert_eq!(ran.code, Some(1), "{}", ran.err);
    assert!(ran.err.contains("warning: `hp_metric` has one value only, -1 at step 0"), "{}", ran.err);
    assert!(ran.err.contains("there are values under `val_loss`"), "{}", ran.err);
    assert!(!ran.out.contains("Best trial"), "{}", ran.out);
    let ran = place.run(&["doctor", "out/1", "--tag", "hp_metric"]);
    assert_eq!(ran.code, Some(1));
    assert!(
        ran.out.starts_with("not found: `hp_metric` in run `.` is -1 at step 0 and nothing else"),
        "{}",
        ran.out
    );
    assert!(ran.out.contains("hyperparameterMetricTag: \"val_loss\""), "{}", ran.out);
}

#[test]
fn lightning_s_placeholder_is_not_the_best_of_the_values_behind_it() {
    let place = Place::new();
    place.write(
        "file",
        events(&[("hp_metric", 0, 1.0, -1.0), ("hp_metric", 99, 2.0, 0.5), ("hp_metric", 199, 3.0, 0.75)]),
    );
    let ran = run(&place, &of_hp_metric("objective: {reduce: best}"), COPY);
    assert_eq!(ran.code, Some(0), "{}", ran.err);
    let metric = place.describe("job")["trainingOutput"]["trials"][0]["finalMetric"].take();
    assert_eq!(metric, serde_json::json!({"trainingStep": "99", "objectiveValue": 0.5}));
}

#[test]
fn a_trainer_that_uses_no_parameters_is_told_of_once() {
    let place = Place::new();
    place.write("file", event_file(&[0.25, 0.5]));
    let ran = run(&place, &config(4, "", ""), COPY);
    assert_eq!(ran.code, Some(0), "{}", ran.err);
    let warning = "gave the same values of `acc`, to the bit at every step, though their parameters differ";
    assert!(ran.err.contains(&format!("warning: all 3 trials {warning}")), "{}", ran.err);
    assert_eq!(ran.err.matches(warning).count(), 1, "{}", ran.err);
    assert!(ran.out.contains(&format!("Warning: all 4 trials {warning}")), "{}", ran.out);
    // One that differs in the last bit uses them.
    let place = Place::new();
    place.write("file", event_file(&[0.25, 0.5]));
    place.write("other", event_file(&[0.25, 0.500_000_06]));
    let script = "if [ $HPTUNE_TRIAL_ID = 2 ]; then cp other $HPTUNE_JOB_DIR/x.tfevents.1; \
                  else cp file $HPTUNE_JOB_DIR/x.tfevents.1; fi";
    let ran = run(&place, &config(4, "", ""), script);
    assert!(!ran.err.contains("the same values") && !ran.out.contains("the same values"), "{}", ran.err);
}

#[test]
fn a_trainer_that_does_not_know_its_arguments_gets_the_line_that_mends_it() {
    let place = Place::new();
    let script = "echo \"t.py: error: unrecognized arguments: $2\" >&2; exit 2";
    let ran = run(&place, &config(9, "", ""), script);
    assert_eq!(ran.code, Some(1), "{}", ran.err);
    assert!(ran.err.contains("hint: the trainer does not know --job-dir: put placeholders"), "{}", ran.err);
    assert!(ran.err.contains("trainer --x={x} ARGUMENT={job_dir}"), "{}", ran.err);
    assert!(ran.err.contains("appendJobDir: false"), "{}", ran.err);
    let job = place.describe("job");
    assert_eq!(trials(&job).len(), 3, "three failures alike end the job");
    let message = job["errorMessage"].as_str().expect("a message");
    assert!(message.contains("unrecognized arguments") && message.contains("hint: "), "{message}");
    // Directories differ, and it is shown once all the same.
    let shown = ran.err.matches("   t.py: error").count() + ran.out.matches("t.py: error").count();
    assert_eq!(shown, 1, "{}{}", ran.err, ran.out);
    assert_eq!(ran.err.matches("fails for the same reason as trial 1: see above").count(), 2, "{}", ran.err);
}

#[test]
fn a_trial_that_ended_well_far_before_the_others_is_remarked() {
    let place = Place::new();
    place.write("whole", event_file_at(&[(59, 0.1), (199, 0.5)]));
    place.write("part", event_file_at(&[(20, 0.5), (59, 0.9)]));
    // Told to end by somebody else, it saves its work and ends with code 0.
    let script = "trap 'exit 0' TERM; if [ $HPTUNE_TRIAL_ID = 2 ]; then cp part $HPTUNE_JOB_DIR/x.tfevents.1; kill -TERM $$; \
                  else cp whole $HPTUNE_JOB_DIR/x.tfevents.1; fi";
    let ran = run(&place, &config(4, "", ""), script);
    assert_eq!(ran.code, Some(0), "{}", ran.err);
    let note = "trial 2: ended well at step 59, far before the 199 of the others";
    assert_eq!(ran.err.matches(note).count(), 1, "{}", ran.err);
    assert!(
        ran.out.contains("Best trial 2") && ran.out.contains("It ended at step 59, the others at 199"),
        "{}",
        ran.out
    );
    assert!(ran.out.contains("Ended well, but far before the others: 1 of 4 trials"), "{}", ran.out);
    let table = place.run(&["jobs", "describe", "job"]).out;
    assert!(table.contains("succeeded at step 59 of 199"), "{table}");
    let job = place.describe("job");
    let ended: Vec<&Json> = job["hptuneOutput"]["trials"]
        .as_array()
        .expect("a list")
        .iter()
        .map(|t| &t["endedFarBefore"])
        .collect();
    assert_eq!(ended, [&Json::Null, &Json::from(199), &Json::Null, &Json::Null]);
}

#[test]
fn values_that_a_writer_keeps_back_are_told_of_once_with_its_remedy() {
    let place = Place::new();
    let now = SystemTime::now().duration_since(UNIX_EPOCH).expect("a time").as_secs_f64();
    let late: Vec<(&str, i64, f64, f32)> =
        (0..9).map(|n| ("acc", n, now - 90.0 + 10.0 * n as f64, n as f32)).collect();
    place.write("file", events(&late));
    let ran = run(&place, &config(2, "", ""), COPY);
    assert_eq!(ran.code, Some(0), "{}", ran.err);
    assert_eq!(ran.err.matches("9 values of `acc` came at once, up to 9").count(), 1, "{}", ran.err);
    assert!(ran.err.contains("hint: SummaryWriter(…, flush_secs=5), or writer.flush()"), "{}", ran.err);
    // Those of old files are none.
    let place = Place::new();
    place.write("file", event_file_at(&[(10, 0.1), (20, 0.2), (30, 0.3)]));
    let ran = run(&place, &config(1, "", ""), COPY);
    assert!(!ran.err.contains("came at once"), "{}", ran.err);
}

#[test]
fn names_of_event_files_reach_no_terminal_as_they_are() {
    let place = Place::new();
    let bell = "loss\u{1b}[31m\u{7}";
    fs::create_dir(place.path().join("d")).expect("it is made");
    place.write("d/x.tfevents.1", events(&[(bell, 1, 1.0, 0.5), ("other", 1, 1.0, 0.5)]));
    let is_clean =
        |ran: &Ran| !ran.out.contains(['\u{1b}', '\u{7}']) && !ran.err.contains(['\u{1b}', '\u{7}']);
    let ran = place.run(&["plot", "d", "-o", "p.svg"]);
    assert!(is_clean(&ran) && ran.code == Some(0), "{}", ran.err);
    let picture = fs::read_to_string(place.path().join("p.svg")).expect("it is drawn");
    assert!(picture.contains("loss\\u{1b}[31m\\u{7}") && !picture.contains(['\u{1b}', '\u{7}']), "{picture}");
    fs::create_dir(place.path().join("still")).expect("it is made");
    place.write("still/x.tfevents.1", events(&[(bell, 0, 1.0, 0.5), (bell, 0, 2.0, 0.25)]));
    let ran = place.run(&["plot", "still", "-o", "still.svg"]);
    assert!(is_clean(&ran) && ran.err.contains("`loss\\u{1b}[31m\\u{7}`"), "{}", ran.err);
    let ran = place.run(&["verify", "d", "--repair", "good\u{1b}[31m\u{7}"]);
    assert!(is_clean(&ran) && ran.out.contains("written to good\\u{1b}[31m\\u{7}/"), "{}", ran.out);
    for verb in [
        &["inspect", "d"][..],
        &["doctor", "d", "--tag", "loss"],
        &["plot", "d"],
        &["export", "d", "--tag", "x"],
    ] {
        let ran = place.run(verb);
        assert!(is_clean(&ran), "{verb:?}: {}{}", ran.out, ran.err);
    }
    let json: Json = serde_json::from_str(&place.run(&["inspect", "d", "--json"]).out).expect("it is JSON");
    assert!(json.to_string().contains("loss\\u001b[31m\\u0007"), "{json}");
}

#[test]
fn a_configuration_that_no_command_line_can_hold_is_refused() {
    let place = Place::new();
    let values: Vec<String> = (0..30_000).map(|n| n.to_string()).collect();
    let text = config(1, "", "").replace(
        "{parameterName: x, type: INTEGER, minValue: 1, maxValue: 1000}",
        &format!("{{parameterName: x, type: DISCRETE, discreteValues: [{}]}}", values.join(", ")),
    );
    let ran = run(&place, &text, "true");
    assert_eq!((ran.code, place.n_jobs()), (Some(2), 0), "{}", ran.err);
    assert!(
        ran.err.contains("trainingInput: the variable TF_CONFIG, which holds it, would be"),
        "{}",
        ran.err
    );
}

#[test]
fn the_line_that_names_the_error_is_shown_whatever_was_printed_behind_it() {
    #[track_caller]
    fn check(printed: &str, expected: &str) {
        let place = Place::new();
        place.write("printed", printed);
        let ran = run(&place, &config(1, "", ""), "cat printed >&2; exit 1");
        let shown: Vec<&str> = ran.err.split("trainer.log:\n    ").skip(1).collect();
        assert!(shown.len() == 1 && shown[0].starts_with(expected), "{}", ran.err);
    }
    let torchrun = "\
Traceback (most recent call last):
  File \"train.py\", line 88, in <module>
RuntimeError: CUDA out of memory. Tried to allocate 2.00 GiB
E0101 00:00:00.000000 140 torch/distributed/elastic/multiprocessing/api.py:826] failed (exitcode: 1) local_rank: 0
Traceback (most recent call last):
  File \"/usr/local/bin/torchrun\", line 8, in <module>
torch.distributed.elastic.multiprocessing.errors.ChildFailedError:
============================================================
train.py FAILED
------------------------------------------------------------
Failures:
  <NO_OTHER_FAILURES>
Root Cause (first observed failure):
[0]:
  rank      : 0 (local_rank: 0)
  exitcode  : 1 (pid: 77)
  error_file: <N/A>
  traceback : To enable traceback see: https://pytorch.org/docs/stable/elastic/errors.html
============================================================
";
    check(
        torchrun,
        "RuntimeError: CUDA out of memory. Tried to allocate 2.00 GiB\n    …\n      rank      : 0 (local_rank: 0)\n",
    );
    let warnings =
        (0..12).map(|n| format!("[W socket.cpp:{n}] leaked semaphore objects to clean up at shutdown\n"));
    let warnings: String = warnings.collect();
    check(
        &format!("ValueError: batch size 7 does not divide 100\n{warnings}"),
        "ValueError: batch size 7 does not divide 100\n    …\n    [W socket.cpp:7]",
    );
    let bar: String = (0..3000).map(|n| format!("\rEpoch 1: {n:5}/3000 [00:01<00:50, loss=0.{n}]")).collect();
    check(
        &format!("{bar}Traceback (most recent call last):\nRuntimeError: CUDA out of memory\n"),
        "Epoch 1:  2999/3000 [00:01<00:50, loss=0.2999]Traceback (most recent call last):\n    RuntimeError: CUDA",
    );
}
