//! Trials that always end as they should: clusters, slots, retries, limits, interruptions.

use std::fs;
use std::io::{BufRead, BufReader};
use std::process::{Child, Stdio};

use rustix::process::{Pid, Signal, kill_process};
use serde_json::{Value as Json, json};

use crate::support::{Place, Ran, config, event_file, processes_with, wait_for};
use hptune::edge::store::{RequestKind, Store};
use hptune::units::TrialId;
use jiff::Timestamp;

/// Copies the prepared event file to where the trial's belong.
const WRITE: &str = "cp acc.tfevents $HPTUNE_JOB_DIR/x.tfevents.1";

#[track_caller]
fn run(place: &Place, options: &[&str], script: &str) -> Ran {
    Ran::of(&place.job(options, script).output().expect("it runs"))
}

fn read(place: &Place, name: &str) -> String {
    fs::read_to_string(place.path().join(name)).unwrap_or_default()
}

fn outcomes(job: &Json) -> Vec<String> {
    let trials = job["hptuneOutput"]["trials"].as_array().expect("a list");
    trials.iter().map(|trial| trial["outcome"].as_str().unwrap_or("none").to_owned()).collect()
}

fn kill(pid: &str) {
    let pid = pid.trim().parse().ok().and_then(Pid::from_raw).expect("a number");
    kill_process(pid, Signal::KILL).expect("it is there");
}

/// Has every replica of a trial read its TF_CONFIG by TensorFlow's rules.
#[track_caller]
fn check_cluster(fields: &str, expected: &[(&str, Json)]) {
    let place =
        Place::of_job(&config(1, "", "").replace("trainingInput:\n", &format!("trainingInput:\n{fields}")));
    let script = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/peers/tf_config.py");
    // The main one waits for the others, with which it would end.
    let n = expected.len();
    let script = format!(
        "python3 {script} || exit 1; {WRITE}; while [ $(ls $HPTUNE_JOB_DIR/*.json | wc -l) -lt {n} ]; do sleep 0.01; done"
    );
    let ran = run(&place, &[], &script);
    assert_eq!(ran.code, Some(0), "{}", ran.err);
    for (role, cluster) in expected {
        let told: Json =
            serde_json::from_str(&read(&place, &format!("out/1/{role}.json"))).expect("it is JSON");
        assert_eq!(told, json!({"role": role, "cluster": cluster}));
    }
}

#[test]
fn a_lone_process_is_local_to_tensorflow() {
    check_cluster("", &[("local", json!({}))]);
    check_cluster("  useChiefInTfConfig: true\n", &[("local", json!({}))]);
}

#[test]
fn tensorflow_understands_each_cluster() {
    let cluster = json!({"master": 1, "worker": 2, "ps": 1});
    let members = ["master-0", "worker-0", "worker-1", "ps-0"].map(|role| (role, cluster.clone()));
    check_cluster("  workerCount: 2\n  parameterServerCount: '1'\n", &members);
    let cluster = json!({"chief": 1, "worker": 1, "ps": 1});
    let members = ["chief-0", "worker-0", "ps-0", "evaluator-0"].map(|role| (role, cluster.clone()));
    // TensorFlow knows evaluators only beside a chief.
    check_cluster("  workerCount: 1\n  parameterServerCount: 1\n  evaluatorCount: 1\n", &members);
    let members = ["chief-0", "worker-0"].map(|role| (role, json!({"chief": 1, "worker": 1})));
    check_cluster("  workerCount: 1\n  useChiefInTfConfig: true\n", &members);
}

#[test]
fn a_trial_ends_with_its_master_and_fails_with_any_replica() {
    let text = config(1, "", "trial: {gracePeriod: 100ms}")
        .replace("trainingInput:\n", "trainingInput:\n  workerCount: 1\n  parameterServerCount: 1\n");
    let script = format!(
        "echo hello from $HPTUNE_REPLICA; [ $HPTUNE_REPLICA = master-0 ] || {{ trap '' TERM; while :; do sleep 1; done; }}; \
         {WRITE}; cd out/.hptune/1; until [ -s worker-0.log ] && [ -s ps-0.log ]; do sleep 0.01; done"
    );
    let whole = Place::of_job(&text);
    let ran = run(&whole, &[], &script);
    assert_eq!(ran.code, Some(0), "{}", ran.err);
    assert_eq!(outcomes(&whole.describe("job")), ["succeeded"]);
    assert_eq!(processes_with(&whole.path().join("out").to_string_lossy()), Vec::<i32>::new());
    assert_eq!(read(&whole, "out/.hptune/1/worker-0.log"), "hello from worker-0\n");
    assert_eq!(whole.run(&["jobs", "logs", "job", "1", "--replica", "ps-0"]).out, "hello from ps-0\n");
    assert_eq!(whole.run(&["jobs", "logs", "job", "1"]).out, "hello from master-0\n");
    let wrong = whole.run(&["jobs", "logs", "job", "1", "--replica", "ps-1"]);
    assert!(
        wrong.code == Some(2) && wrong.err.contains("want one of master-0, worker-0, ps-0"),
        "{}",
        wrong.err
    );

    let broken = Place::of_job(&text);
    let script = "[ $HPTUNE_REPLICA = worker-0 ] && { echo out of cheese; exit 7; }; sleep 1000";
    let ran = run(&broken, &[], script);
    assert_eq!(ran.code, Some(1), "{}", ran.err);
    assert_eq!(outcomes(&broken.describe("job")), ["failed: worker-0: exit code 7"]);
    assert!(ran.err.contains("worker-0.log:\n    out of cheese"), "{}", ran.err);
}

#[test]
fn of_replicas_that_write_the_same_the_master_s_counts() {
    let text = config(1, "", "trial: {gracePeriod: 100ms}")
        .replace("trainingInput:\n", "trainingInput:\n  workerCount: 1\n");
    // Both write to one directory, as many trainers do, and keep their files open.
    let script =
        "exec 3> $HPTUNE_JOB_DIR/$HPTUNE_REPLICA.tfevents.1; cat $HPTUNE_REPLICA.events >&3; sleep 3";
    let write = |place: &Place, master: &[f32]| {
        place.write("master-0.events", event_file(master));
        place.write("worker-0.events", event_file(&[0.8, 0.9]));
        run(place, &[], script)
    };
    let both = Place::of_job(&text);
    let ran = write(&both, &[0.25, 0.5]);
    assert_eq!(ran.code, Some(0), "{}", ran.err);
    assert!(
        ran.err.contains("`acc` is written by worker-0 too; only the main replica's counts"),
        "{}",
        ran.err
    );
    let metrics = &both.describe("job")["trainingOutput"]["trials"][0]["allMetrics"];
    let values: Vec<Option<f64>> =
        metrics.as_array().expect("a list").iter().map(|metric| metric["objectiveValue"].as_f64()).collect();
    assert_eq!(values, [Some(0.25), Some(0.5)]);
    let lone = Place::of_job(&text);
    let ran = write(&lone, &[]);
    assert!(ran.err.contains("written by worker-0 and not by the main replica"), "{}", ran.err);
    let trial = &lone.describe("job")["trainingOutput"]["trials"][0];
    assert_eq!(trial["finalMetric"]["objectiveValue"], 0.9);
}

#[test]
fn of_replicas_that_report_the_same_the_master_s_counts() {
    #[track_caller]
    fn check(counts: &str, values: &[(&str, f64)], expected: f64, told: Option<&str>) {
        let text = config(1, "", "trial: {gracePeriod: 100ms}")
            .replace("trainingInput:\n", &format!("trainingInput:\n  {counts}\n"));
        let place = Place::of_job(&text);
        for (replica, value) in values {
            let line = format!("{{\"acc\": \"{value}\", \"global_step\": \"1\", \"timestamp\": 1.5}}\n");
            place.write(&format!("{replica}.report"), line);
        }
        // The main one ends last, with all that was reported kept.
        let n = values.len();
        let script = format!(
            "[ -e $HPTUNE_REPLICA.report ] && cp $HPTUNE_REPLICA.report $CLOUD_ML_HP_METRIC_FILE; cd out/.hptune/1; \
             until [ $(find . -name reports.jsonl | wc -l) = {n} ]; do sleep 0.02; done; \
             case $HPTUNE_REPLICA in master*|chief*) ;; *) sleep 1000;; esac"
        );
        let ran = run(&place, &[], &script);
        assert_eq!(ran.code, Some(0), "{}", ran.err);
        let trial = &place.describe("job")["trainingOutput"]["trials"][0];
        assert_eq!(trial["finalMetric"]["objectiveValue"].as_f64(), Some(expected), "{}", ran.err);
        assert!(told.is_none_or(|told| ran.err.contains(told)), "{}", ran.err);
    }
    let both = [("master-0", 0.25), ("worker-0", 0.75)];
    check("workerCount: 1", &both, 0.25, Some("worker-0"));
    check("workerCount: 1", &both[1..], 0.75, Some("worker-0"));
    check("evaluatorCount: 1", &[("evaluator-0", 0.5)], 0.5, None);
}

#[test]
fn a_failed_trial_is_tried_again_and_is_no_new_one() {
    let place = Place::of_job(&config(2, "", "trial: {retries: 1}"));
    // The first attempt fails; the second goes on from its checkpoint.
    let script = format!(
        "{WRITE}; [ -e $HPTUNE_JOB_DIR/checkpoint ] || {{ touch $HPTUNE_JOB_DIR/checkpoint; exit 9; }}"
    );
    let ran = run(&place, &[], &script);
    assert_eq!(ran.code, Some(0), "{}", ran.err);
    assert!(ran.err.contains("trial 1 failed: exit code 9; attempt 2 follows"), "{}", ran.err);
    let job = place.describe("job");
    assert_eq!(outcomes(&job), ["succeeded", "succeeded"]);
    assert_eq!(job["hptuneOutput"]["trials"][0]["attempts"], 2);
    let metrics = &job["trainingOutput"]["trials"][0]["allMetrics"];
    assert_eq!(metrics.as_array().map(Vec::len), Some(2), "no value is there twice: {metrics}");
}

#[test]
fn a_preempted_or_lost_trial_is_tried_again() {
    let place = Place::of_job(&config(1, "", ""));
    // Somebody ends the trainer, then its supervisor; the third attempt is left alone.
    let script = format!(
        "echo $PPID > supervisor; echo $$ > trainer; echo attempt >> attempts; \
         case $(wc -l < attempts) in 1) kill -TERM $$;; 2) sleep 1000;; esac; {WRITE}"
    );
    let mut job = place.start_job(&script);
    wait_for("the second attempt", || read(&place, "attempts").lines().count() == 2);
    kill(&read(&place, "supervisor"));
    assert_eq!(job.wait().expect("it ends").code(), Some(0), "{:#}", place.describe("job"));
    let told = place.describe("job");
    assert_eq!(
        (outcomes(&told), &told["hptuneOutput"]["trials"][0]["attempts"]),
        (vec!["succeeded".into()], &json!(3))
    );
    assert_eq!(processes_with(&place.path().join("out").to_string_lossy()), Vec::<i32>::new());
}

#[test]
fn a_trainer_that_never_works_ends_the_job_with_its_own_words() {
    let first = Place::of_job(&config(40, "", ""));
    let ran = run(&first, &[], "echo ModuleNotFoundError: No module named tensroflow; exit 1");
    assert_eq!(ran.code, Some(1), "{}", ran.err);
    let job = first.describe("job");
    assert_eq!(outcomes(&job).len(), 3, "the budget is left");
    let message = job["errorMessage"].as_str().expect("a message");
    assert!(
        message.contains("first 3 trials failed within seconds")
            && message.contains("No module named tensroflow"),
        "{message}"
    );
    // So is one that writes nothing that is known; one that works once goes on.
    let second = Place::of_job(&config(40, "", "").replace("MetricTag: acc", "MetricTag: epoch_acc"));
    run(&second, &[], WRITE);
    let message = second.describe("job")["errorMessage"].as_str().expect("a message").to_owned();
    assert!(message.contains("did you mean `acc`?"), "{message}");
    let third = Place::of_job(&config(5, "", ""));
    let ran = run(&third, &[], &format!("{WRITE}; [ $CLOUD_ML_TRIAL_ID = 1 ]"));
    assert_eq!((ran.code, outcomes(&third.describe("job")).len()), (Some(0), 5), "{}", ran.err);
}

#[test]
fn a_trial_may_run_so_long_and_no_longer() {
    let place = Place::of_job(&config(1, "", "trial: {maxRunningTime: 2s, gracePeriod: 100ms}"));
    let ran = run(&place, &[], &format!("{WRITE}; trap '' TERM; while :; do sleep 1; done"));
    assert_eq!(ran.code, Some(0), "{}", ran.err);
    let job = place.describe("job");
    assert_eq!(outcomes(&job), ["stopped early"]);
    let reason = &job["hptuneOutput"]["trials"][0]["stopReason"];
    assert_eq!((&reason["rule"], &reason["limit_s"]), (&json!("time_limit"), &json!(2.0)), "{reason}");
}

#[test]
fn a_job_is_over_at_its_deadline() {
    let asked = Place::of_job(&config(9, "", "trial: {gracePeriod: 100ms}"));
    // The first trial takes 1 s, so that no third has room.
    let ran = run(&asked, &["--deadline", "2500ms"], &format!("{WRITE}; sleep 1"));
    assert_eq!(ran.code, Some(0), "{}", ran.err);
    let job = asked.describe("job");
    // On a busy machine the first one may leave no room for a second.
    let n = outcomes(&job).len();
    assert!((1..=2).contains(&n) && outcomes(&job).iter().all(|outcome| outcome == "succeeded"), "{job}");
    assert_eq!(job["hptuneOutput"]["message"], format!("the job's time had room for {n} of 9 trials"));
    // What runs is stopped in time, its values kept.
    let text = config(9, "", "trial: {gracePeriod: 100ms}")
        .replace("trainingInput:\n", "trainingInput:\n  scheduling: {maxRunningTime: 3s}\n");
    let limited = Place::of_job(&text);
    let ran = run(&limited, &[], &format!("{WRITE}; trap '' TERM; while :; do sleep 1; done"));
    assert_eq!(ran.code, Some(0), "{}", ran.err);
    let job = limited.describe("job");
    assert_eq!(outcomes(&job), ["stopped early"]);
    assert!(ran.out.contains("the job's time was over when it had run"), "{}", ran.out);
    let ran = run(&Place::of_job(&text), &["--deadline", "2001-01-31T18:00:00Z"], WRITE);
    assert!(ran.code == Some(2) && ran.err.contains("--deadline: is over"), "{}", ran.err);
}

#[test]
fn the_same_command_goes_on_with_a_job_that_was_killed() {
    let place = Place::of_job(&config(2, "", ""));
    let script = format!("echo $CLOUD_ML_TRIAL_ID >> starts; {WRITE}; until [ -e go ]; do sleep 0.02; done");
    let mut first = place.start_job(&script);
    wait_for("a value", || {
        place.run(&["jobs", "describe", "job", "--json"]).out.contains("\"objectiveValue\": 0.5")
    });
    // Another one beside it is refused, and named.
    let second = run(&place, &[], &script);
    assert_eq!(second.code, Some(3), "{}", second.err);
    assert!(second.err.contains(&format!("job `job` is run by process {}", first.id())), "{}", second.err);
    assert_eq!(place.run(&["jobs", "resume", "job"]).code, Some(3));
    first.kill().expect("it is ours");
    first.wait().expect("it ends");
    let told = place.run(&["jobs", "describe", "job"]).out;
    assert!(told.contains("hptune jobs resume job"), "{told}");
    assert!(place.run(&["jobs", "list"]).out.contains("INTERRUPTED"));
    // Another configuration, seed or command is no going on.
    let other = run(&place, &["--seed", "99"], &script);
    assert!(other.code == Some(2) && other.err.contains("with another seed"), "{}", other.err);
    let other = run(&place, &[], "true");
    assert!(other.code == Some(2) && other.err.contains("with another command"), "{}", other.err);
    place.write("go", "");
    let ran = run(&place, &[], &script);
    assert_eq!(ran.code, Some(0), "{}", ran.err);
    assert!(ran.err.contains("job job was interrupted and goes on"), "{}", ran.err);
    assert_eq!(read(&place, "starts"), "1\n2\n", "the living one was taken back");
    assert_eq!(outcomes(&place.describe("job")), ["succeeded", "succeeded"]);
    let over = place.run(&["jobs", "resume", "job"]);
    assert!(over.code == Some(2) && over.err.contains("is over: SUCCEEDED"), "{}", over.err);
}

#[test]
fn reports_that_come_while_no_controller_runs_are_kept() {
    let place = Place::of_job(&config(1, "", ""));
    // As the cloudml-hypertune package does: at most the last hundred, the whole file anew.
    let script = "\
        log=out/.hptune/1/reports.jsonl
        line() { echo \"{\\\"acc\\\": \\\"0.$1\\\", \\\"global_step\\\": \\\"$1\\\", \\\"timestamp\\\": $1.5}\"; }
        report() {
            for step in $(seq $1 $2); do line $step; done > $CLOUD_ML_HP_METRIC_FILE
            until grep -qF \"$(line $2)\" $log; do sleep 0.01; done
        }
        report 1 60; : > begun; until [ -e alone ]; do sleep 0.01; done
        report 21 120; report 111 210; report 151 250; : > reported";
    let mut controller = place.start_job(script);
    wait_for("the first reports", || place.path().join("begun").exists());
    controller.kill().expect("it runs");
    controller.wait().expect("it ends");
    place.write("alone", "");
    wait_for("the end of the trial", || {
        processes_with(&place.path().join("out").to_string_lossy()).is_empty()
    });
    assert!(place.path().join("reported").exists());
    wait_for("its record", || read(&place, "out/.hptune/1/attempt-1.jsonl").contains("gone"));
    let over = jiff::Timestamp::now();
    let ran = run(&place, &[], script);
    assert_eq!(ran.code, Some(0), "{}", ran.err);
    let trial = &place.describe("job")["trainingOutput"]["trials"][0];
    let ended: jiff::Timestamp = trial["endTime"].as_str().and_then(|t| t.parse().ok()).expect("a time");
    assert!(ended <= over, "it did not end when somebody looked");
    let metrics = trial["allMetrics"].as_array().expect("a list").iter();
    let steps: Vec<u32> =
        metrics.map(|m| m["trainingStep"].as_str().and_then(|s| s.parse().ok()).expect("a step")).collect();
    assert_eq!(steps, (1..=250).collect::<Vec<_>>());
    // Who reads the directory later finds them all too.
    let exported = place.run(&["export", "out", "--tag", "acc"]);
    assert_eq!(exported.out.lines().count(), 251, "{}", exported.out);
    assert!(
        exported.out.lines().nth(1).is_some_and(|row| row.starts_with("1/.hptune,acc,1,")),
        "{}",
        exported.out
    );
    let exported = place.run(&["export", "out/1", "--tag", "acc"]);
    assert_eq!(exported.out.lines().count(), 251, "{}", exported.out);
    assert!(
        exported.out.lines().nth(1).is_some_and(|row| row.starts_with(".hptune,acc,1,")),
        "{}",
        exported.out
    );
    assert!(place.run(&["doctor", "out/1", "--tag", "acc"]).code == Some(0));
    let watched = place.run(&["watch", "out/1", "--once", "--tag", "acc"]);
    assert_eq!(watched.out.matches(r#""kind":"point""#).count(), 250, "{}", watched.out);
}

#[test]
fn a_cancelled_job_whose_controller_was_killed_is_cancelled() {
    let place = Place::of_job(&config(9, "", "trial: {gracePeriod: 500ms}"));
    let mut first = place.start_job("trap '' TERM; echo $$ > pid; while :; do sleep 0.1; done");
    wait_for("the trainer", || read(&place, "pid").ends_with('\n'));
    kill_process(Pid::from_child(&first), Signal::INT).expect("it runs");
    wait_for("the decision", || place.run(&["jobs", "list", "--json"]).out.contains("CANCELLING"));
    first.kill().expect("it is ours");
    first.wait().expect("it ends");
    let ran = place.run(&["jobs", "resume", "job"]);
    assert_eq!(ran.code, Some(1), "{}", ran.err);
    let job = place.describe("job");
    assert_eq!((job["state"].as_str(), outcomes(&job)), (Some("CANCELLED"), vec!["cancelled".into()]));
    assert_eq!(processes_with(&place.path().join("out").to_string_lossy()), Vec::<i32>::new());
}

/// Has a job run a trial that ends only when it is killed, `disturb` its controller, and cancels it.
#[track_caller]
fn check_cancelled(disturb: impl FnOnce(&Place, &mut Child), told: impl FnOnce(&Child) -> String) {
    let place = Place::of_job(&config(9, "", "trial: {gracePeriod: 100ms}"));
    let program =
        place.write("trainer", "#!/bin/sh\ntrap '' TERM; echo $$ > pid; while :; do sleep 0.1; done\n");
    fs::set_permissions(program, std::os::unix::fs::PermissionsExt::from_mode(0o755)).expect("it is set");
    let mut command =
        place.command(&["run", "c.yaml", "--job-id", "job", "--job-dir", "out", "--", "./trainer"]);
    let mut controller = command.stdout(Stdio::null()).stderr(Stdio::null()).spawn().expect("it runs");
    wait_for("the trainer", || read(&place, "pid").ends_with('\n'));
    disturb(&place, &mut controller);
    let ran = place.run(&["jobs", "cancel", "job"]);
    assert_eq!(ran.code, Some(0), "{}", ran.err);
    controller.wait().expect("it ends");
    assert!(ran.err.contains(&told(&controller)) && ran.err.ends_with("job job: CANCELLED\n"), "{}", ran.err);
    assert_eq!(processes_with(&place.path().join("out").to_string_lossy()), Vec::<i32>::new());
    assert_eq!(outcomes(&place.describe("job")), ["cancelled"]);
    let again = place.run(&["jobs", "cancel", "job"]);
    assert_eq!((again.code, &*again.err), (Some(0), "job job: CANCELLED\n"));
    let missing = place.run(&["jobs", "cancel", "jo"]);
    assert!(missing.code == Some(2) && missing.err.contains("no job `jo`"), "{}", missing.err);
}

#[test]
fn a_job_is_cancelled_whoever_runs_it() {
    let by_controller = |controller: &Child| format!("is run by process {}", controller.id());
    check_cancelled(|_, _| {}, by_controller);
    let stop = |_: &Place, controller: &mut Child| {
        kill_process(Pid::from_child(controller), Signal::STOP).expect("it runs");
    };
    check_cancelled(stop, by_controller);
    // Nobody runs it, and its trainer cannot be started any more.
    let bereave = |place: &Place, controller: &mut Child| {
        controller.kill().expect("it runs");
        fs::remove_file(place.path().join("trainer")).expect("it is there");
    };
    check_cancelled(bereave, |_| "trial 1 cancelled".to_owned());
}

/// Trainers that write values and go on: those of odd trials for ever, those of even ones until they are let.
const GO_ON: &str = "cp acc.tfevents $HPTUNE_JOB_DIR/x.tfevents.1; \
                     until [ -e go-$CLOUD_ML_TRIAL_ID ]; do sleep 0.01; done";

/// Waits until a trial's two values are stored.
#[track_caller]
fn wait_for_values(place: &Place, trial: &str) {
    wait_for("the values", || {
        // Before the job is there nothing is printed.
        let shown = place.run(&["jobs", "describe", "job", "--json"]).out;
        let job: Json = serde_json::from_str(&shown).unwrap_or_default();
        let trials = job["trainingOutput"]["trials"].as_array().into_iter().flatten();
        let values = trials.filter(|t| t["trialId"] == trial).filter_map(|t| t["allMetrics"].as_array());
        values.map(Vec::len).sum::<usize>() == 2
    });
}

#[test]
fn another_process_stops_one_trial_of_a_job_and_the_others_go_on() {
    let place = Place::of_job(&config(2, "maxParallelTrials: 2", ""));
    let mut controller = place.start_job(GO_ON);
    wait_for_values(&place, "1");
    wait_for_values(&place, "2");
    let ran = place.run(&["jobs", "stop-trial", "job", "1"]);
    assert_eq!((ran.code, &*ran.err), (Some(0), "trial 1 of job job: stopped by request\n"));
    let again = place.run(&["jobs", "stop-trial", "job", "1"]);
    assert_eq!(again.code, Some(2), "{}", again.err);
    assert!(again.err.contains("trial 1") && again.err.contains("is over"), "{}", again.err);
    let missing = place.run(&["jobs", "stop-trial", "job", "7"]);
    assert!(missing.code == Some(2) && missing.err.contains("has no trial 7"), "{}", missing.err);
    assert!(controller.try_wait().expect("it is ours").is_none(), "the job goes on");
    place.write("go-2", "");
    assert_eq!(controller.wait().expect("it ends").code(), Some(0));
    let job = place.describe("job");
    assert_eq!(outcomes(&job), ["stopped by request", "succeeded"]);
    let trials = job["trainingOutput"]["trials"].as_array().expect("a list");
    let first = trials.iter().find(|trial| trial["trialId"] == "1").expect("it is there");
    assert_eq!((&first["state"], &first["isTrialStoppedEarly"]), (&"SUCCEEDED".into(), &true.into()));
    assert_eq!(first["finalMetric"]["objectiveValue"], 0.5, "what it reported is its result");
    let why = place.run(&["jobs", "why", "job", "1"]);
    assert!(why.out.contains("Stopped early: somebody asked for it"), "{}", why.out);
}

#[test]
fn a_request_that_nobody_took_is_taken_by_who_goes_on_with_the_job() {
    let place = Place::of_job(&config(2, "", ""));
    let mut killed = place.start_job(GO_ON);
    wait_for_values(&place, "1");
    killed.kill().expect("it is ours");
    killed.wait().expect("it ends");
    let nobody = place.run(&["jobs", "stop-trial", "job", "1"]);
    assert!(nobody.code == Some(2) && nobody.err.contains("no process runs job"), "{}", nobody.err);
    // It was killed between the request and its decision.
    let mut store = Store::open(&place.path().join("store.db")).expect("it opens");
    let kind = RequestKind::StopTrial(TrialId::after(0));
    store.request("job", kind, "a test", Timestamp::now()).expect("it is stored");
    place.write("go-2", "");
    let ran = place.run(&["jobs", "resume", "job"]);
    assert_eq!(ran.code, Some(0), "{}", ran.err);
    assert_eq!(outcomes(&place.describe("job")), ["stopped by request", "succeeded"]);
    let number = store.number("job").expect("it is there");
    assert_eq!(store.requests(number).expect("it reads"), [], "it is answered");
}

#[test]
fn a_finished_job_is_continued_by_a_new_one() {
    let place = Place::of_job(&config(3, "", ""));
    run(&place, &[], WRITE);
    let next = |id: &str, fields: &str| {
        place.write("next.yaml", format!("hyperparameters: {{maxTrials: 2, {fields}}}\n"));
        place.run(&[
            "run",
            "next.yaml",
            "--job-id",
            id,
            "--job-dir",
            "out",
            "--",
            "sh",
            "-c",
            WRITE,
            "trainer",
        ])
    };
    // Goal, tag and parameters come from there, and numbers go on.
    let ran = next("second", "resumePreviousJobId: job");
    assert_eq!(ran.code, Some(0), "{}", ran.err);
    assert!(ran.err.contains("continues job job: the search knows its 3 trials"), "{}", ran.err);
    let job = place.describe("second");
    let ids: Vec<&str> = job["trainingOutput"]["trials"]
        .as_array()
        .expect("a list")
        .iter()
        .filter_map(|trial| trial["trialId"].as_str())
        .collect();
    assert_eq!(ids.iter().collect::<std::collections::BTreeSet<_>>(), ["4", "5"].iter().collect());
    assert_eq!(job["trainingOutput"]["trials"][0]["allMetrics"].as_array().map(Vec::len), Some(2));
    assert_eq!(place.run(&["jobs", "logs", "second", "4"]).code, Some(0));
    // A third one continues both. The same again is fine, another is not.
    let ran = next("third", "resumePreviousJobId: second, goal: MAXIMIZE, hyperparameterMetricTag: acc");
    assert!(ran.code == Some(0) && ran.err.contains("knows its 5 trials"), "{}", ran.err);
    let ran = next("fourth", "resumePreviousJobId: job, goal: MINIMIZE");
    assert!(ran.code == Some(2) && ran.err.contains("the goal differs"), "{}", ran.err);
    let params = "params: [{parameterName: x, type: INTEGER, minValue: 1, maxValue: 7}]";
    let ran = next("fourth", &format!("resumePreviousJobId: job, {params}"));
    assert!(ran.code == Some(2) && ran.err.contains("parameter `x` has other values"), "{}", ran.err);
    let ran = next("fourth", "resumePreviousJobId: nobody");
    assert!(ran.code == Some(2) && ran.err.contains("no job `nobody`"), "{}", ran.err);
    // From another store.
    let elsewhere = Place::new();
    elsewhere.write("acc.tfevents", event_file(&[0.25, 0.5]));
    elsewhere.write("next.yaml", "hyperparameters: {maxTrials: 1, resumePreviousJobId: second}\n");
    let store = place.path().join("store.db");
    let store = store.to_str().expect("UTF-8");
    let tail = ["--", "sh", "-c", WRITE, "trainer"];
    let ran = elsewhere
        .run(&[&["run", "next.yaml", "--job-dir", "out", "--previous-store", store][..], &tail].concat());
    assert!(ran.code == Some(0) && ran.err.contains("knows its 5 trials"), "{}", ran.err);
}

#[test]
fn why_shows_the_very_trials_that_an_early_stop_was_decided_by() {
    let place = Place::of_job(&config(2, "", ""));
    place.write("good.tfevents", event_file(&[0.8, 0.9]));
    place.write("bad.tfevents", event_file(&[0.1, 0.2]));
    run(&place, &[], "cp good.tfevents $HPTUNE_JOB_DIR/x.tfevents.1");
    // Of the trials 3 to 5 of the second job the middle one is bad, and would go on for ever.
    let fields = "maxTrials: 3, resumePreviousJobId: job, enableTrialEarlyStopping: true";
    let rule = "hptune: {earlyStopping: {rule: median, minTrials: 3}}";
    place.write("next.yaml", format!("hyperparameters: {{{fields}}}\n{rule}\n"));
    let script = "if [ $CLOUD_ML_TRIAL_ID -eq 4 ]; then cp bad.tfevents $HPTUNE_JOB_DIR/x.tfevents.1; sleep 1000; \
                  else cp good.tfevents $HPTUNE_JOB_DIR/x.tfevents.1; fi";
    let head = ["run", "next.yaml", "--job-id", "second", "--job-dir", "out", "--"];
    let ran = place.run(&[&head[..], &["sh", "-c", script, "trainer"]].concat());
    assert_eq!(ran.code, Some(0), "{}", ran.err);
    let why = || {
        let text = place.run(&["jobs", "why", "second", "4"]);
        let json = place.run(&["jobs", "why", "second", "4", "--json"]);
        assert_eq!((text.code, json.code), (Some(0), Some(0)), "{}{}", text.err, json.err);
        (text.out, serde_json::from_str::<Json>(&json.out).expect("it is JSON"))
    };
    let (text, json) = why();
    assert!(text.contains("Compared at step 2 with trials 1 of job job, 2 of job job, 3\n"), "{text}");
    assert!(text.contains("trial 4 against 3 trials that it was compared with"), "{text}");
    let compared = json["comparedWith"].as_array().expect("a list");
    let names: Vec<_> = compared.iter().map(|c| (c["trialId"].as_str(), c["jobId"].as_str())).collect();
    let expected = [(Some("1"), Some("job")), (Some("2"), Some("job")), (Some("3"), None)];
    assert_eq!(names, expected, "trial 5 finished later");
    let values = compared.iter().map(|c| c["value"].as_f64().expect("a number"));
    assert!(values.into_iter().all(|value| (value - 0.85).abs() < 1e-9), "{json:#}");
    assert_eq!((&json["comparedAtStep"], &json["stopReason"]["n_trials"]), (&2.into(), &3.into()));
    // Two of the quartiles' three trials are of the other job.
    assert_eq!(json["band"].as_array().map(Vec::len), Some(2), "{json:#}");
    // A program that did not store them has decided so.
    let store = rusqlite::Connection::open(place.path().join("store.db")).expect("it opens");
    let forget = "UPDATE decision SET reason = json_remove(reason, '$.compared')";
    assert_eq!(store.execute(forget, []).expect("it is written"), 1);
    let (text, json) = why();
    assert!(text.contains("What it was compared with was not stored"), "{text}");
    assert_eq!((&json["isFromDecision"], &json["finishedTrials"]), (&false.into(), &2.into()), "3 and 5");
}

#[test]
fn a_search_begins_with_what_other_jobs_found_where_it_is_asked_to() {
    let place = Place::of_job(&config(3, "", ""));
    run(&place, &[], WRITE);
    let warm = |id: &str, start: &str| {
        place.write("warm.yaml", config(1, "", &format!("warmStart: {start}")));
        place.run(&["run", "warm.yaml", "--job-id", id, "--job-dir", id, "--", "sh", "-c", WRITE, "trainer"])
    };
    assert!(warm("a", "auto").err.contains("warm start: the search knows 3 trials of job"));
    assert!(warm("b", "[job, a]").err.contains("warm start: the search knows 4 trials of job, a"));
    assert!(!warm("c", "off").err.contains("warm start"));
    let ran = warm("d", "[nobody]");
    assert!(ran.code == Some(2) && ran.err.contains("no job `nobody`"), "{}", ran.err);
}

#[test]
fn a_dry_run_shows_all_that_a_trial_would_get_and_makes_nothing() {
    let place = Place::of_job(&config(1, "", ""));
    let words = ["run", "c.yaml", "--job-id", "job", "--job-dir", "out", "--dry-run"];
    let mut command = place.command(&[&words[..], &["--", "sh", "-c", "true", "a b"]].concat());
    let ran = Ran::of(&command.env("API_TOKEN", "secret").output().expect("it runs"));
    assert_eq!(ran.code, Some(0), "{}", ran.err);
    let directory = place.path().join("out/1");
    assert!(ran.out.contains("sh -c true 'a b' --x="), "{}", ran.out);
    assert!(ran.out.contains(&format!("--job-dir={}", directory.display())), "{}", ran.out);
    assert!(ran.out.contains("CLOUD_ML_TRIAL_ID=1") && ran.out.contains("TF_CONFIG="), "{}", ran.out);
    assert!(!ran.out.contains("secret"), "{}", ran.out);
    let made = |name: &str| place.path().join(name).exists();
    assert!(!made("out") && !made("store.db"));
    let json = place.run(&[&words[..], &["--json", "--", "sh", "-c", "true"]].concat());
    let json: Json = serde_json::from_str(&json.out).expect("it is JSON");
    assert_eq!(json["replicas"][0]["environment"]["HPTUNE_JOB_DIR"], directory.to_str().expect("UTF-8"));
    let ran = place.run(&["run", "c.yaml", "--dry-run", "--", "no-such-program"]);
    assert_eq!(ran.code, Some(2), "{}", ran.err);
}

#[test]
fn secrets_of_the_environment_are_handed_on_and_stored_nowhere() {
    let place = Place::of_job(&config(1, "", ""));
    let mut command = place.job(&[], &format!("{WRITE}; [ ${{#API_TOKEN}} = 9 ]"));
    let ran = Ran::of(&command.env("API_TOKEN", "tops3cret").output().expect("it runs"));
    assert_eq!(ran.code, Some(0), "{}", ran.err);
    for entry in walkdir::WalkDir::new(place.path()) {
        let entry = entry.expect("it is there");
        if entry.file_type().is_file() {
            let bytes = fs::read(entry.path()).expect("it is read");
            let text = String::from_utf8_lossy(&bytes);
            assert!(!text.contains("tops3cret"), "{}", entry.path().display());
        }
    }
}

#[test]
fn a_log_is_followed_while_its_trial_runs() {
    let place = Place::of_job(&config(1, "", ""));
    let script = format!("echo one; {WRITE}; until [ -e go ]; do sleep 0.02; done; echo two");
    let mut job = place.start_job(&script);
    wait_for("the trial", || read(&place, "out/.hptune/1/trainer.log").contains("one"));
    let mut logs = place.command(&["jobs", "logs", "-f", "job", "1"]);
    let mut logs = logs.stdout(Stdio::piped()).spawn().expect("it runs");
    let mut lines = BufReader::new(logs.stdout.take().expect("it is piped")).lines();
    assert_eq!(lines.next().and_then(Result::ok).as_deref(), Some("one"));
    place.write("go", "");
    assert_eq!(lines.next().and_then(Result::ok).as_deref(), Some("two"));
    assert!(lines.next().is_none(), "it ends with its trial");
    assert_eq!(logs.wait().expect("it ends").code(), Some(0));
    assert_eq!(job.wait().expect("it ends").code(), Some(0));
    let ran = place.run(&["jobs", "logs", "job", "7"]);
    assert!(ran.code == Some(2) && ran.err.contains("it has trials 1 to 1"), "{}", ran.err);
}

/// An `nvidia-smi` that tells what is in the file `gpus`, in `PATH` before all others.
fn with_gpus(place: &Place, command: &mut std::process::Command, gpus: &str) {
    place.write("gpus", gpus);
    fs::create_dir_all(place.path().join("bin")).expect("it is made");
    let tool = place.write("bin/nvidia-smi", format!("#!/bin/sh\ncat {}/gpus\n", place.path().display()));
    fs::set_permissions(tool, std::os::unix::fs::PermissionsExt::from_mode(0o755)).expect("it is set");
    let path = std::env::var("PATH").expect("it is set");
    command
        .env("PATH", format!("{}:{path}", place.path().join("bin").display()))
        .env_remove("CUDA_VISIBLE_DEVICES");
}

const TWO_GPUS: &str = "0, GPU-aaa, 3\n1, GPU-bbb, 5\n";

/// Runs 4 trials, 4 at once if they may, that note their GPUs.
fn run_on_gpus(gpus: &str, options: &[&str], script: &str) -> (Place, Ran) {
    let place = Place::of_job(&config(4, "maxParallelTrials: 4", &format!("trial: {{gpus: {gpus}}}")));
    let script = format!("{WRITE}; echo $CUDA_VISIBLE_DEVICES >> visible; {script}");
    let mut command = place.job(options, &script);
    with_gpus(&place, &mut command, TWO_GPUS);
    let ran = Ran::of(&command.output().expect("it runs"));
    (place, ran)
}

#[test]
fn gpus_are_assigned_by_their_uuid() {
    #[track_caller]
    fn check(gpus: &str, options: &[&str], n_at_once: Option<&str>, expected: &[&str]) {
        let (place, ran) = run_on_gpus(gpus, options, "sleep 0.2");
        assert_eq!(ran.code, Some(0), "{}", ran.err);
        let mut visible: Vec<String> = read(&place, "visible").lines().map(str::to_owned).collect();
        visible.sort();
        assert_eq!(visible.len(), 4, "{}", ran.err);
        let mut expected = expected.to_vec();
        if n_at_once.is_some() {
            // Which slot is free first is a matter of time.
            visible.dedup();
            expected.dedup();
        }
        assert_eq!(visible, expected, "{}", ran.err);
        let noted = ran.err.lines().find(|line| line.contains("at once instead of maxParallelTrials 4"));
        assert_eq!(noted.and_then(|line| line.split(' ').nth(1)), n_at_once, "{}", ran.err);
    }
    check("1", &[], Some("2"), &["GPU-aaa", "GPU-aaa", "GPU-bbb", "GPU-bbb"]);
    check("0.5", &[], None, &["GPU-aaa", "GPU-aaa", "GPU-bbb", "GPU-bbb"]);
    check("2", &[], Some("1"), &["GPU-aaa,GPU-bbb"; 4]);
    check("1", &["--gpus", "1"], Some("1"), &["GPU-bbb"; 4]);
    check("1", &["--gpus", "MIG-x,MIG-y,MIG-z"], Some("3"), &["MIG-x", "MIG-x", "MIG-y", "MIG-z"]);
    let (place, ran) = run_on_gpus("1", &["--gpus", "0,7"], "true");
    let expected = "--gpus: there is no GPU 7; nvidia-smi finds 0 (GPU-aaa), 1 (GPU-bbb)";
    assert!(ran.code == Some(2) && ran.err.contains(expected), "{}", ran.err);
    assert_eq!(place.n_jobs(), 0);
    let (_, ran) = run_on_gpus("3", &[], "true");
    assert!(
        ran.code == Some(2) && ran.err.contains("a trial needs more than this machine has"),
        "{}",
        ran.err
    );
}

#[test]
fn a_gpu_whose_memory_stays_in_use_is_given_to_nobody() {
    // What the second trial leaves in the first GPU's memory nobody takes away; a little is no trace of it.
    let script = "case $CUDA_VISIBLE_DEVICES in GPU-bbb) printf '0, GPU-aaa, 3\\n1, GPU-bbb, 9000\\n' > gpus;; esac; sleep 0.2";
    let place = Place::of_job(&config(5, "maxParallelTrials: 2", "trial: {gpus: 1, gpuFreeTimeout: 1s}"));
    let script = format!("{WRITE}; echo $CUDA_VISIBLE_DEVICES >> visible; {script}");
    let mut command = place.job(&[], &script);
    with_gpus(&place, &mut command, TWO_GPUS);
    let ran = Ran::of(&command.output().expect("it runs"));
    assert_eq!(ran.code, Some(0), "{}", ran.err);
    assert!(
        ran.err.contains("GPU GPU-bbb: 9000 MiB of its memory are still in use; no trial gets it any more"),
        "{}",
        ran.err
    );
    let visible = read(&place, "visible");
    assert_eq!(visible.lines().filter(|line| *line == "GPU-bbb").count(), 1, "{visible}");
    assert_eq!(visible.lines().count(), 5);
}

#[test]
fn what_a_trial_holds_of_a_gpu_when_its_controller_is_killed_counts_as_its_own() {
    let place = Place::of_job(&config(2, "maxParallelTrials: 1", "trial: {gpus: 1, gpuFreeTimeout: 1s}"));
    let leave = "printf '0, GPU-aaa, 9000\\n1, GPU-bbb, 5\\n' > gpus";
    let script = format!(
        "{WRITE}; echo $CUDA_VISIBLE_DEVICES >> visible; {leave}; : > begun; until [ -e go ]; do sleep 0.02; done"
    );
    let mut command = place.job(&[], &script);
    with_gpus(&place, &mut command, TWO_GPUS);
    let mut controller = command.stdout(Stdio::null()).stderr(Stdio::null()).spawn().expect("it runs");
    wait_for("the trial", || place.path().join("begun").exists());
    controller.kill().expect("it is ours");
    controller.wait().expect("it ends");
    place.write("go", "");
    let ran = Ran::of(&command.stdout(Stdio::piped()).stderr(Stdio::piped()).output().expect("it runs"));
    assert_eq!(ran.code, Some(0), "{}", ran.err);
    assert!(ran.err.contains("GPU GPU-aaa: 9000 MiB of its memory are still in use"), "{}", ran.err);
    assert_eq!(read(&place, "visible"), "GPU-aaa\nGPU-bbb\n");
}

#[test]
fn without_gpus_a_trial_that_needs_one_is_refused() {
    let place = Place::of_job(&config(1, "", "trial: {gpus: 1}"));
    let mut command = place.job(&[], WRITE);
    with_gpus(&place, &mut command, "");
    place.write("bin/nvidia-smi", "#!/bin/sh\necho NVIDIA-SMI has failed >&2; exit 9\n");
    let ran = Ran::of(&command.output().expect("it runs"));
    assert!(ran.code == Some(2) && ran.err.contains("NVIDIA-SMI has failed"), "{}", ran.err);
    assert_eq!(place.n_jobs(), 0);
}

#[test]
fn processors_are_a_trial_s_own() {
    let place = Place::of_job(&config(2, "maxParallelTrials: 2", "trial: {cpus: 1}"));
    let script = format!("{WRITE}; echo $OMP_NUM_THREADS $(nproc) >> cpus; sleep 0.2");
    let mut command = place.job(&[], &script);
    let ran = Ran::of(&command.env_remove("OMP_NUM_THREADS").output().expect("it runs"));
    assert_eq!(ran.code, Some(0), "{}", ran.err);
    // Without OMP_NUM_THREADS, nproc counts what the process may run on.
    assert_eq!(read(&place, "cpus"), "1 1\n1 1\n");
}

#[test]
fn a_job_whose_controller_cannot_be_seen_goes_on_when_nothing_more_is_heard_of_it() {
    let place = Place::of_job(&config(1, "", ""));
    let mut first = place.start_job(&format!("{WRITE}; until [ -e go ]; do sleep 0.02; done"));
    wait_for("a value", || {
        place.run(&["jobs", "describe", "job", "--json"]).out.contains("\"objectiveValue\": 0.5")
    });
    first.kill().expect("it is ours");
    first.wait().expect("it ends");
    // As if that had been in a container that was started anew 40 s ago.
    let store = rusqlite::Connection::open(place.path().join("store.db")).expect("it opens");
    let change = "UPDATE job SET holder = json_set(holder, '$.namespace', 'other'), heartbeat_ms = heartbeat_ms - 40000";
    store.execute(change, []).expect("it is changed");
    drop(store);
    place.write("go", "");
    let ran = place.run(&["jobs", "resume", "job"]);
    assert_eq!(ran.code, Some(0), "{}", ran.err);
    assert!(ran.err.contains("which cannot be seen from here: waiting 45 s at most"), "{}", ran.err);
    assert_eq!(outcomes(&place.describe("job")), ["succeeded"]);
}
