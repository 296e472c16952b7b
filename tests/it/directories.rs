//! What trainers do to the directory that they are given: it is theirs, and what hptune keeps stands outside of it.

use std::fs;

use serde_json::Value as Json;

use crate::support::{Place, Ran, config, processes_with, wait_for};

fn run(place: &Place, script: &str) -> Ran {
    Ran::of(&place.job(&[], script).output().expect("it runs"))
}

/// Of each trial how it ended, its attempts and its result.
fn trials(place: &Place) -> Vec<(String, u64, Option<f64>)> {
    let job = place.describe("job");
    let ours = job["hptuneOutput"]["trials"].as_array().expect("a list");
    let theirs = job["trainingOutput"]["trials"].as_array().expect("a list");
    let trial = |(ours, theirs): (&Json, &Json)| {
        let outcome = ours["outcome"].as_str().unwrap_or("none").to_owned();
        (
            outcome,
            ours["attempts"].as_u64().expect("a number"),
            theirs["finalMetric"]["objectiveValue"].as_f64(),
        )
    };
    ours.iter().zip(theirs).map(trial).collect()
}

fn succeeded(attempts: u64) -> (String, u64, Option<f64>) {
    ("succeeded".to_owned(), attempts, Some(0.5))
}

#[test]
fn a_trainer_may_do_with_its_directory_what_it_likes() {
    #[track_caller]
    fn check(script: &str) {
        let place = Place::of_job(&config(2, "maxParallelTrials: 2", ""));
        let ran = run(&place, &format!("echo hello; W=$PWD; D=$HPTUNE_JOB_DIR; {script}"));
        assert_eq!(ran.code, Some(0), "{script}: {}", ran.err);
        assert_eq!(trials(&place), [succeeded(1), succeeded(1)], "{script}: {}", ran.err);
        assert_eq!(place.run(&["jobs", "logs", "job", "2"]).out, "hello\n", "{script}");
        assert_eq!(processes_with(&place.path().join("out").to_string_lossy()), Vec::<i32>::new());
    }
    // As `shutil.rmtree(job_dir); os.makedirs(job_dir)` do.
    check("rm -rf $D; mkdir $D; cp acc.tfevents $D/x.tfevents.1");
    check("for n in 1 2 3; do rm -rf $D; mkdir -p $D/a/b; cp acc.tfevents $D/a/b/x.tfevents.$n; done");
    check("rm -rf $D; sleep 0.6; mkdir $D; sleep 0.6; cp acc.tfevents $D/x.tfevents.1");
    // It gives it another name, at the end and at the beginning.
    check("cp acc.tfevents $D/x.tfevents.1; mv $D $D.done");
    check("mv $D $D.old; mkdir $D; cp acc.tfevents $D/x.tfevents.1");
    // Something else stands in its place.
    check(
        "rmdir $D; mkdir real$CLOUD_ML_TRIAL_ID; ln -s $W/real$CLOUD_ML_TRIAL_ID $D; cp acc.tfevents $D/x.tfevents.1",
    );
    check("cp acc.tfevents $D/x.tfevents.1; chmod 555 $D");
}

#[test]
fn an_attempt_that_empties_the_directory_of_the_one_before_is_still_of_its_trial() {
    let place = Place::of_job(&config(1, "", "trial: {retries: 2}"));
    let script = "rm -rf $HPTUNE_JOB_DIR; mkdir $HPTUNE_JOB_DIR; echo attempt >> attempts; \
        [ $(wc -l < attempts) = 3 ] || { echo partial > $HPTUNE_JOB_DIR/checkpoint; exit 1; }; \
        cp acc.tfevents $HPTUNE_JOB_DIR/x.tfevents.1";
    let ran = run(&place, script);
    assert_eq!(ran.code, Some(0), "{}", ran.err);
    assert_eq!(trials(&place), [succeeded(3)], "{}", ran.err);
}

#[test]
fn a_directory_that_became_a_file_ends_its_trial_and_is_told() {
    let place = Place::of_job(&config(2, "maxParallelTrials: 2", "trial: {retries: 1}"));
    let ran = run(&place, "rm -rf $HPTUNE_JOB_DIR; : > $HPTUNE_JOB_DIR");
    assert_eq!(ran.code, Some(1), "{}", ran.err);
    let outcomes: Vec<String> = trials(&place).into_iter().map(|(outcome, ..)| outcome).collect();
    assert_eq!(outcomes, ["failed: no value of the metric was found"; 2], "{}", ran.err);
    let told = format!("{}: cannot be read: Not a directory", place.path().join("out/2").display());
    assert!(ran.err.contains(&told), "{}", ran.err);
    assert!(!ran.err.contains("killed"), "{}", ran.err);
}

#[test]
fn what_a_trainer_does_while_no_controller_runs_loses_nothing() {
    let place = Place::of_job(&config(2, "", ""));
    let script = "echo $CLOUD_ML_TRIAL_ID >> starts; D=$HPTUNE_JOB_DIR; : > begun; until [ -e alone ]; do sleep 0.01; done; \
        rm -rf $D; mkdir $D; cp acc.tfevents $D/x.tfevents.1; exit";
    let mut first = place.start_job(script);
    wait_for("the trainer", || place.path().join("begun").exists());
    first.kill().expect("it runs");
    first.wait().expect("it ends");
    place.write("alone", "");
    wait_for("its end", || processes_with(&place.path().join("out").to_string_lossy()).is_empty());
    let ran = run(&place, script);
    assert_eq!(ran.code, Some(0), "{}", ran.err);
    assert_eq!(trials(&place), [succeeded(1), succeeded(1)], "{}", ran.err);
    assert_eq!(fs::read_to_string(place.path().join("starts")).expect("it is there"), "1\n2\n");
}

#[test]
fn a_job_of_an_earlier_version_goes_on() {
    let place = Place::of_job(&config(2, "", ""));
    let script = "echo started $CLOUD_ML_TRIAL_ID; : > begun; until [ -e alone ]; do sleep 0.01; done; \
        cp acc.tfevents $HPTUNE_JOB_DIR/x.tfevents.1";
    let mut first = place.start_job(script);
    wait_for("the trainer", || place.path().join("begun").exists());
    first.kill().expect("it runs");
    first.wait().expect("it ends");
    place.write("alone", "");
    // Its supervisor writes that down, and is done.
    let record = place.path().join("out/.hptune/1/attempt-1.jsonl");
    wait_for("its end", || fs::read_to_string(&record).is_ok_and(|text| text.ends_with("\"gone\"\n")));
    // Those kept their records in the trainer's directory.
    fs::rename(place.path().join("out/.hptune/1"), place.path().join("out/1/.hptune")).expect("it is there");
    fs::remove_dir(place.path().join("out/.hptune")).expect("it is empty");
    assert_eq!(place.run(&["jobs", "logs", "job", "1"]).out, "started 1\n");
    let ran = run(&place, script);
    assert_eq!(ran.code, Some(0), "{}", ran.err);
    assert_eq!(trials(&place), [succeeded(1), succeeded(1)], "{}", ran.err);
    assert_eq!(place.run(&["jobs", "logs", "job", "2"]).out, "started 2\n");
}

#[test]
fn what_is_kept_of_another_job_s_trials_is_not_added_to() {
    let place = Place::of_job(&config(1, "", ""));
    // The trainer leaves nothing but what was kept of it.
    run(&place, "cp acc.tfevents $HPTUNE_JOB_DIR/x.tfevents.1; sleep 0.2; rm -rf $HPTUNE_JOB_DIR");
    let other = place.run(&["run", "c.yaml", "--job-id", "other", "--job-dir", "out", "--", "true"]);
    assert_eq!(other.code, Some(2), "{}", other.err);
    assert!(other.err.contains("holds files of another job's trials, in .hptune/1/"), "{}", other.err);
}
