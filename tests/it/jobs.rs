//! What is done with jobs that are over: they go on, they are ended, they go.

use std::fs;

use crate::support::{Place, config, wait_for};

/// A trainer whose event file is that of the place.
const TRAINER: &str = "mkdir -p out/$HPTUNE_TRIAL_ID; cp acc.tfevents out/$HPTUNE_TRIAL_ID/a.tfevents";

fn ended_job(config: &str) -> Place {
    let place = Place::of_job(config);
    let ran = place.job(&[], TRAINER).output().expect("it runs");
    assert!(ran.status.success(), "{}", String::from_utf8_lossy(&ran.stderr));
    place
}

#[test]
fn a_job_that_is_over_goes_on_with_more_trials() {
    let place = ended_job(&config(2, "", ""));
    let before = place.describe("job");
    let ran = place.run(&["jobs", "extend", "job", "--max-trials", "4"]);
    assert_eq!(ran.code, Some(0), "{}", ran.err);
    let after = place.describe("job");
    assert_eq!(
        (&after["state"], &after["trainingInput"]["hyperparameters"]["maxTrials"]),
        (&"SUCCEEDED".into(), &4.into())
    );
    let trials =
        |job: &serde_json::Value| job["trainingOutput"]["trials"].as_array().expect("trials").clone();
    let id = |trial: &serde_json::Value| trial["trialId"].as_str().expect("an id").to_owned();
    let mut ids: Vec<String> = trials(&after).iter().map(id).collect();
    ids.sort();
    assert_eq!(ids, ["1", "2", "3", "4"]);
    for trial in trials(&before) {
        assert!(trials(&after).contains(&trial), "what there was stays: {trial}");
    }
    assert_eq!(before["createTime"], after["createTime"]);
    // The suggestions are those of a job that had four trials from the beginning.
    let whole = ended_job(&config(4, "", ""));
    let params = |job: &serde_json::Value| {
        let mut all: Vec<_> = trials(job).iter().map(|t| (id(t), t["hyperparameters"].clone())).collect();
        all.sort_by(|(a, _), (b, _)| a.cmp(b));
        all
    };
    assert_eq!(params(&after), params(&whole.describe("job")));
}

#[test]
fn a_cancelled_job_goes_on_too_and_one_that_is_interrupted_meanwhile_is_resumed() {
    let place = Place::of_job(&config(2, "", ""));
    let script = format!("{TRAINER}; [ $HPTUNE_TRIAL_ID = 1 ] || [ -e go ] || sleep 600");
    let mut job = place.start_job(&script);
    wait_for("trial 2", || place.path().join("out/2/a.tfevents").exists());
    let ran = place.run(&["jobs", "cancel", "job"]);
    assert_eq!(ran.code, Some(0), "{}", ran.err);
    job.wait().expect("it ends");
    // Cancelled it is, and stays.
    let ran = place.run(&["jobs", "cancel", "job"]);
    assert_eq!((ran.code, ran.err.trim()), (Some(0), "job job: CANCELLED"));
    place.write("go", "");
    let ran = place.run(&["jobs", "extend", "job", "--max-trials", "3"]);
    assert_eq!(ran.code, Some(0), "{}", ran.err);
    assert_eq!(place.describe("job")["state"], "SUCCEEDED");
    // Now the third run: killed while it goes on.
    fs::remove_file(place.path().join("go")).expect("it is there");
    let mut extending =
        place.command(&["jobs", "extend", "job", "--max-trials", "4"]).spawn().expect("it runs");
    wait_for("trial 4", || place.path().join("out/4/a.tfevents").exists());
    extending.kill().expect("it is there");
    extending.wait().expect("it ends");
    let shown = place.run(&["jobs", "describe", "job"]);
    assert!(shown.out.starts_with("job  INTERRUPTED"), "{}", shown.out);
    place.write("go", "");
    let ran = place.run(&["jobs", "cancel", "job"]);
    assert_eq!(ran.code, Some(0), "{}", ran.err);
}

#[test]
fn what_cannot_be_extended_says_why() {
    let place = ended_job(&config(2, "", ""));
    let refused = |arguments: &[&str], expected: &str| {
        let ran = place.run(&[&["jobs", "extend"], arguments].concat());
        assert!(ran.code == Some(2) && ran.err.contains(expected), "{}", ran.err);
    };
    refused(&["job", "--max-trials", "2"], "job `job` has 2 trials already");
    refused(&["other", "--max-trials", "9"], "no job `other`");
    // The directory of trial 3 holds something of others.
    fs::create_dir_all(place.path().join("out/3")).expect("it is made");
    fs::write(place.path().join("out/3/x"), "").expect("it is written");
    refused(&["job", "--max-trials", "3"], "holds files of another job's trials, in 3/");
    fs::remove_dir_all(place.path().join("out/3")).expect("it is there");
    let text = config(1, "resumePreviousJobId: job", "");
    place.write("next.yaml", text[..text.find("params:").expect("there")].replace("goal: MAXIMIZE", ""));
    let ran =
        place.run(&["run", "next.yaml", "--job-id", "next", "--job-dir", "out", "--", "sh", "-c", TRAINER]);
    assert_eq!(ran.code, Some(0), "{}", ran.err);
    refused(&["job", "--max-trials", "3"], "job `next` continues `job`");
    let ran = place.run(&["jobs", "delete", "job", "--yes"]);
    assert!(ran.code == Some(2) && ran.err.contains("job `next` continues `job`"), "{}", ran.err);
}

#[test]
fn a_deleted_job_is_gone_and_its_files_only_where_that_is_asked() {
    let place = ended_job(&config(2, "", ""));
    let asked = place.run(&["jobs", "delete", "job"]);
    assert!(asked.code == Some(2) && asked.err.contains("--yes"), "{}", asked.err);
    assert!(
        asked.err.contains("delete job job with its 2 trials from the store? Its files in"),
        "{}",
        asked.err
    );
    assert_eq!(place.n_jobs(), 1);
    let ran = place.run(&["jobs", "delete", "job", "--yes"]);
    assert_eq!((ran.code, place.n_jobs()), (Some(0), 0), "{}", ran.err);
    assert!(place.path().join("out/1/a.tfevents").exists());
    let missing = place.run(&["jobs", "describe", "job"]);
    assert_eq!(missing.code, Some(2));

    let place = ended_job(&config(2, "", ""));
    fs::write(place.path().join("out/notes.txt"), "mine").expect("it is written");
    let ran = place.run(&["jobs", "delete", "job", "--files", "--yes"]);
    assert_eq!((ran.code, place.n_jobs()), (Some(0), 0), "{}", ran.err);
    let left: Vec<_> = fs::read_dir(place.path().join("out"))
        .expect("it is there")
        .flatten()
        .map(|e| e.file_name())
        .collect();
    assert_eq!(left, ["notes.txt"]);
    // The name is free again.
    let ran = place.job(&[], TRAINER).output().expect("it runs");
    assert!(ran.status.success(), "{}", String::from_utf8_lossy(&ran.stderr));
}

#[test]
fn a_job_that_runs_is_not_deleted() {
    let place = Place::of_job(&config(1, "", ""));
    let mut job = place.start_job("sleep 600");
    wait_for("the job", || place.path().join("store.db").exists() && place.n_jobs() == 1);
    let ran = place.run(&["jobs", "delete", "job", "--yes"]);
    assert!(ran.code == Some(2) && ran.err.contains("hptune jobs cancel job ends it"), "{}", ran.err);
    assert_eq!(place.run(&["jobs", "cancel", "job"]).code, Some(0));
    job.wait().expect("it ends");
}

#[test]
fn a_study_of_tuner_can_be_ended_and_deleted() {
    let place = Place::new();
    place.write("c.yaml", config(3, "", ""));
    let tuner = ["tuner", "c.yaml", "--store", "store.db", "--job-id", "study"];
    assert_eq!(place.run(&tuner).code, Some(0));
    let ran = place.run(&["jobs", "cancel", "study"]);
    assert_eq!((ran.code, ran.err.trim()), (Some(0), "job study: CANCELLED"));
    let again = place.run(&tuner);
    assert!(again.code == Some(2) && again.err.contains("is over: CANCELLED"), "{}", again.err);
    assert_eq!(place.run(&["jobs", "delete", "study", "--yes"]).code, Some(0));
    assert_eq!(place.run(&tuner).code, Some(0));
}

#[test]
fn a_job_that_has_come_to_its_end_is_not_cancelled() {
    let place = ended_job(&config(1, "", ""));
    let ran = place.run(&["jobs", "cancel", "job"]);
    assert_eq!((ran.code, ran.err.trim()), (Some(1), "job job: SUCCEEDED"));
}

#[test]
fn a_store_is_named_only_where_there_is_one() {
    let place = Place::new();
    let ran = place.run(&["inspect", ".", "--store", "x.db"]);
    assert!(ran.code == Some(2) && ran.err.contains("unexpected argument '--store'"), "{}", ran.err);
    assert!(!place.run(&["inspect", "--help"]).out.contains("--store"));
    assert!(place.run(&["jobs", "list", "--help"]).out.contains("--store"));
    assert_eq!(place.run(&["jobs", "--store", "x.db", "list"]).code, Some(0));
}
