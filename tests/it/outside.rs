//! Trainers that write their event files where they like.

use std::fs;
use std::path::Path;
use std::process::Stdio;
use std::time::{Duration, Instant};

use serde_json::Value as Json;

use crate::support::{Place, Ran, config, event_file};

/// How long anything may take before a test fails.
const PATIENCE: Duration = Duration::from_secs(120);

/// A place with the event files `1` to `3`, the first with 0.25, the second with 0.5, the third with 0.75.
fn place(max_trials: u32, at_once: u32, hptune: &str) -> Place {
    let place = Place::new();
    place.write("c.yaml", config(max_trials, &format!("maxParallelTrials: {at_once}"), hptune));
    for (name, value) in [("1", 0.25), ("2", 0.5), ("3", 0.75)] {
        place.write(name, event_file(&[value]));
    }
    place
}

#[track_caller]
fn run(place: &Place, script: &str) -> Ran {
    Ran::of(&place.job(&[], script).output().expect("it runs"))
}

/// What the trials came to, by their numbers; `None` where one has no value.
fn values(job: &Json) -> Vec<(String, Option<f64>)> {
    let trials = job["trainingOutput"]["trials"].as_array().expect("a list");
    let mut values: Vec<_> = trials
        .iter()
        .map(|trial| {
            let id = trial["trialId"].as_str().expect("text").to_owned();
            (id, trial["finalMetric"]["objectiveValue"].as_f64())
        })
        .collect();
    values.sort_by(|a, b| a.0.cmp(&b.0));
    values
}

#[track_caller]
fn check(place: &Place, expected: &[(&str, Option<f64>)]) {
    let expected: Vec<_> = expected.iter().map(|(id, value)| ((*id).to_owned(), *value)).collect();
    assert_eq!(values(&place.describe("job")), expected);
}

/// Waits until the record of what the trial writes outside has a line.
const UNTIL_FOUND: &str = "until grep -rqs '\"own\"' out --include outside.jsonl; do sleep 0.01; done";

#[test]
fn what_a_trainer_keeps_open_beside_its_directory_is_its_result_and_what_was_there_is_not() {
    let place = place(2, 2, "");
    fs::create_dir_all(place.path().join("runs/old")).expect("it is made");
    place.write("runs/old/x.tfevents.1", event_file(&[0.99]));
    let script = "\
        here=runs/$CLOUD_ML_TRIAL_ID/train; mkdir -p $here; exec 3> $here/events.out.tfevents.1.h
        cat $CLOUD_ML_TRIAL_ID >&3; : > begun-$CLOUD_ML_TRIAL_ID
        until [ -e begun-1 ] && [ -e begun-2 ]; do sleep 0.01; done
        until [ $(cat $(find out -name outside.jsonl) < /dev/null | wc -l) -ge 2 ]; do sleep 0.01; done";
    let ran = run(&place, script);
    assert_eq!(ran.code, Some(0), "{}", ran.err);
    check(&place, &[("1", Some(0.25)), ("2", Some(0.5))]);
    let told: Vec<&str> = ran.err.lines().filter(|line| line.contains("outside of its directory")).collect();
    assert!(told.len() == 1 && told[0].contains("writes to ./runs/"), "{}", ran.err);
}

#[test]
fn a_file_that_is_open_for_moments_is_known_by_the_process_in_its_name() {
    let place = place(2, 2, "");
    // As PyTorch's writer names its files, which it opens to append and closes again. Both in one directory.
    let script = "\
        mkdir -p logs/fit; cp $CLOUD_ML_TRIAL_ID logs/fit/events.out.tfevents.1700000000.$(uname -n).$$.0
        : > begun-$CLOUD_ML_TRIAL_ID; until [ -e begun-1 ] && [ -e begun-2 ]; do sleep 0.01; done";
    let ran = run(&place, script);
    assert_eq!(ran.code, Some(0), "{}", ran.err);
    check(&place, &[("1", Some(0.25)), ("2", Some(0.5))]);
}

#[test]
fn a_file_that_says_nothing_is_the_trial_s_where_nobody_else_can_have_made_it() {
    let script =
        "mkdir -p runs/$CLOUD_ML_TRIAL_ID; cp $CLOUD_ML_TRIAL_ID runs/$CLOUD_ML_TRIAL_ID/x.tfevents.1";
    let alone = place(3, 1, "");
    let ran = run(&alone, script);
    assert_eq!(ran.code, Some(0), "{}", ran.err);
    check(&alone, &[("1", Some(0.25)), ("2", Some(0.5)), ("3", Some(0.75))]);
    // Of two at once it may be either's.
    let both = place(2, 2, "");
    let script = format!(
        "{script}; : > begun-$CLOUD_ML_TRIAL_ID; until [ -e begun-1 ] && [ -e begun-2 ]; do sleep 0.01; done"
    );
    let ran = run(&both, &script);
    assert_eq!(ran.code, Some(1), "{}", ran.err);
    check(&both, &[("1", None), ("2", None)]);
    assert!(
        ran.err.contains("whose it is cannot be told") && ran.err.contains("directory: own"),
        "{}",
        ran.err
    );
    // In a directory of its own there is no question.
    let own = place(2, 2, "trial: {directory: own}");
    let script =
        script.replace("cp ", &format!("cp {}/", own.path().display())).replace("begun", "../../begun");
    let ran = run(&own, &script);
    assert_eq!(ran.code, Some(0), "{}", ran.err);
    check(&own, &[("1", Some(0.25)), ("2", Some(0.5))]);
    assert!(own.path().join("out/1/runs/1/x.tfevents.1").exists() && !own.path().join("runs").exists());
}

#[test]
fn a_file_to_which_two_trials_write_is_neither_s() {
    let place = place(2, 2, "");
    // As tensorboardX names its files: by the second alone.
    let script = "\
        mkdir -p runs; exec 3>> runs/events.out.tfevents.1.h; cat 1 >&3; : > begun-$CLOUD_ML_TRIAL_ID
        until [ -e begun-1 ] && [ -e begun-2 ]; do sleep 0.01; done
        until [ $(cat $(find out -name outside.jsonl) < /dev/null | grep -c shared) -ge 2 ]; do sleep 0.01; done";
    let ran = run(&place, script);
    assert_eq!(ran.code, Some(1), "{}", ran.err);
    assert_eq!(ran.err.matches("to which another process writes at the same time").count(), 1, "{}", ran.err);
    assert!(ran.err.contains("directory: own"), "{}", ran.err);
}

#[test]
fn what_is_written_elsewhere_while_no_controller_runs_is_found_again() {
    let place = place(1, 1, "");
    let script = format!(
        "echo $$ > pid; until [ -e go ]; do sleep 0.01; done
        mkdir -p runs/a; exec 3> runs/a/events.out.tfevents.1.h; cat 2 >&3; {UNTIL_FOUND}; exec 3>&-; : > over"
    );
    let mut first =
        place.job(&[], &script).stderr(Stdio::null()).stdout(Stdio::null()).spawn().expect("it runs");
    wait_for(&place.path().join("pid"));
    first.kill().expect("it is ours");
    first.wait().expect("it ends");
    place.write("go", "");
    wait_for(&place.path().join("over"));
    let ran = place.run(&["jobs", "resume", "job"]);
    assert_eq!(ran.code, Some(0), "{}", ran.err);
    check(&place, &[("1", Some(0.5))]);
}

#[track_caller]
pub(crate) fn wait_for(path: &Path) {
    let start = Instant::now();
    while !path.exists() {
        assert!(start.elapsed() < PATIENCE, "waited too long for {}", path.display());
        std::thread::yield_now();
    }
}

#[test]
fn a_trial_in_its_own_directory_finds_the_files_that_its_command_names_and_its_modules() {
    let place = place(1, 1, "trial: {directory: own}");
    fs::create_dir_all(place.path().join("data/small")).expect("it is made");
    place.write(
        "train.sh",
        "pwd > where; printf '%s\\n' \"$@\" > arguments; echo $PYTHONPATH > path; cat \"$1\" > x.tfevents.1",
    );
    let words = ["run", "c.yaml", "--job-id", "job", "--job-dir", "out", "--"];
    let command = ["sh", "train.sh", "1", "--data=data/small", "data", "--model=1.bin", "./2"];
    let ran = Ran::of(
        &place
            .command(&[&words[..], &command[..]].concat())
            .env("PYTHONPATH", "lib:/opt/lib")
            .output()
            .expect("it runs"),
    );
    assert_eq!(ran.code, Some(0), "{}", ran.err);
    check(&place, &[("1", Some(0.25))]);
    let here = fs::canonicalize(place.path()).expect("it is there").display().to_string();
    let read = |name: &str| fs::read_to_string(place.path().join("out/1").join(name)).expect("it is there");
    assert_eq!(read("where"), format!("{here}/out/1\n"));
    assert_eq!(read("path"), format!("{here}:{here}/lib:/opt/lib\n"));
    let arguments = read("arguments");
    let expected = format!("{here}/1\n--data={here}/data/small\ndata\n--model=1.bin\n{here}/2\n");
    assert!(arguments.starts_with(&expected), "{arguments}");
}
