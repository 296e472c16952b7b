//! `hptune run`, `jobs` and `demo` with real processes.

use std::fs;
use std::io::{BufRead, BufReader};
use std::os::unix::process::ExitStatusExt;
use std::path::Path;
use std::process::{Child, Stdio};

use rustix::process::{Pid, Signal, kill_process};
use serde_json::Value as Json;

use crate::support::{Place, Ran, config, event_file, event_file_at, wait_for};

/// Runs a job named `job` with a shell script as its trainer; `acc.tfevents` beside it holds `values`.
#[track_caller]
fn run(place: &Place, config: &str, values: &[f32], script: &str) -> Ran {
    let mut command = job(place, config, values, script);
    Ran::of(&command.output().expect("it runs"))
}

fn job(place: &Place, config: &str, values: &[f32], script: &str) -> std::process::Command {
    place.write("c.yaml", config);
    place.write("acc.tfevents", event_file(values));
    place.job(&[], script)
}

/// Copies the prepared event file to where the trial's belong.
const WRITE: &str = "mkdir -p $HPTUNE_JOB_DIR/a/b && cp acc.tfevents $HPTUNE_JOB_DIR/a/b/x.tfevents.1";

/// Whether a process runs; one that has ended but was not collected does not.
fn is_alive(pid: &str) -> bool {
    let stat = fs::read_to_string(format!("/proc/{}/stat", pid.trim())).unwrap_or_default();
    stat.rsplit(')').next().is_some_and(|rest| !rest.is_empty() && !rest.trim_start().starts_with('Z'))
}

fn signal(child: &Child, signal: Signal) {
    kill_process(Pid::from_child(child), signal).expect("it runs");
}

fn trials(job: &Json) -> &Vec<Json> {
    job["trainingOutput"]["trials"].as_array().expect("a list")
}

#[test]
fn a_job_runs_each_trial_once_and_reports_in_the_service_s_terms() {
    let place = Place::new();
    let ran = run(&place, &config(4, "maxParallelTrials: 2", ""), &[0.25, 0.5], WRITE);
    assert_eq!(ran.code, Some(0), "{}", ran.err);
    assert!(ran.out.contains("Best trial") && ran.out.contains("acc 0.5 at step 2"), "{}", ran.out);
    assert!(ran.out.contains("As good: trials"), "all have the same result: {}", ran.out);

    let job = place.describe("job");
    assert_eq!((job["jobId"].as_str(), job["state"].as_str()), (Some("job"), Some("SUCCEEDED")));
    let output = &job["trainingOutput"];
    assert_eq!(output["isHyperparameterTuningJob"], true);
    assert_eq!(output["completedTrialCount"], "4");
    let mut ids: Vec<&str> = trials(&job).iter().filter_map(|t| t["trialId"].as_str()).collect();
    assert_eq!(job["hptuneOutput"]["bestTrialIds"].as_array().map(Vec::len), Some(4));
    assert_eq!(job["hptuneOutput"]["recommendedTrialId"], ids[0]);
    ids.sort_unstable();
    assert_eq!(ids, ["1", "2", "3", "4"]);
    for trial in trials(&job) {
        assert_eq!(trial["state"], "SUCCEEDED");
        assert_eq!(trial["isTrialStoppedEarly"], false);
        assert_eq!(trial["finalMetric"], serde_json::json!({"trainingStep": "2", "objectiveValue": 0.5}));
        assert_eq!(trial["allMetrics"].as_array().map(Vec::len), Some(2));
        assert!(trial["startTime"].is_string() && trial["endTime"].is_string());
        assert!(trial["hyperparameters"]["x"].is_string());
    }
}

#[test]
fn a_trainer_gets_the_service_s_arguments_environment_and_directory() {
    let place = Place::new();
    let script = format!(
        "printf '%s\\n' \"$@\" > $HPTUNE_JOB_DIR/arguments; printf '%s' \"$TF_CONFIG\" > $HPTUNE_JOB_DIR/tf_config; \
         echo $CLOUD_ML_JOB_ID $CLOUD_ML_TRIAL_ID $CLOUD_ML_HP_METRIC_FILE $CLOUD_ML_HP_METRIC_TAG \
         $AIP_TENSORBOARD_LOG_DIR > $HPTUNE_JOB_DIR/variables; echo hello; {WRITE}"
    );
    let text = config(1, "", "")
        .replace("trainingInput:\n", "trainingInput:\n  args: [--epochs, 3]\n  scaleTier: BASIC\n");
    let ran = run(&place, &text, &[0.5], &script);
    assert_eq!(ran.code, Some(0), "{}", ran.err);
    let directory = fs::canonicalize(place.path().join("out/1")).expect("it is there");
    let records = directory.with_file_name(".hptune").join("1");
    let directory = directory.to_str().expect("UTF-8");
    let read = |name: &str| fs::read_to_string(Path::new(directory).join(name)).expect("it is there");
    let x = place.describe("job")["trainingOutput"]["trials"][0]["hyperparameters"]["x"]
        .as_str()
        .expect("x")
        .to_owned();
    assert_eq!(read("arguments"), format!("--epochs\n3\n--x={x}\n--job-dir={directory}\n"));
    assert_eq!(
        read("variables"),
        format!("job 1 {}/trainer.metrics acc {directory}/logs/\n", records.display())
    );
    assert_eq!(fs::read_to_string(records.join("trainer.log")).expect("it is there"), "hello\n");
    let tf_config: Json = serde_json::from_str(&read("tf_config")).expect("it is JSON");
    assert_eq!(tf_config["task"]["trial"], "1");
    assert_eq!(tf_config["job"]["scale_tier"], "BASIC");
}

#[test]
fn a_place_in_the_command_is_filled_in() {
    let place = Place::new();
    place.write("c.yaml", config(1, "", ""));
    place.write("acc.tfevents", event_file(&[0.5]));
    let script = "cp acc.tfevents $1/x.tfevents.1; echo $0 $1 $2";
    let words = [
        "run",
        "c.yaml",
        "--job-id",
        "job",
        "--job-dir",
        "out",
        "--",
        "sh",
        "-c",
        script,
        "{x}",
        "{job_dir}",
        "{trial_id}",
    ];
    let ran = place.run(&words);
    assert_eq!(ran.code, Some(0), "{}", ran.err);
    let x = place.describe("job")["trainingOutput"]["trials"][0]["hyperparameters"]["x"]
        .as_str()
        .expect("x")
        .to_owned();
    let log = fs::read_to_string(place.path().join("out/.hptune/1/trainer.log")).expect("it is there");
    assert_eq!(log, format!("{x} {} 1\n", place.path().join("out/1").display()));
}

#[test]
fn a_trainer_that_forks_and_ignores_term_leaves_nobody_behind() {
    let place = Place::new();
    // Three generations; all but the leader ignore TERM, the leader ends at once.
    let script = format!(
        "(trap '' TERM; sh -c 'trap \"\" TERM; echo $$ >> pids; sleep 1000 & echo $! >> pids; wait' & \
         echo $! >> pids; wait) & echo $! >> pids; {WRITE}; \
         while [ $(wc -l < pids) -lt $((4 * $CLOUD_ML_TRIAL_ID)) ]; do sleep 0.01; done"
    );
    let ran = run(&place, &config(2, "", "trial: {gracePeriod: 200ms}"), &[0.5], &script);
    assert_eq!(ran.code, Some(0), "{}", ran.err);
    let pids = fs::read_to_string(place.path().join("pids")).expect("they were written");
    assert_eq!(pids.lines().count(), 8, "{pids}");
    let alive: Vec<&str> = pids.lines().filter(|pid| is_alive(pid)).collect();
    assert_eq!(alive, Vec::<&str>::new());
    let job = place.describe("job");
    assert!(trials(&job).iter().all(|trial| trial["state"] == "SUCCEEDED"), "{job:#}");
}

#[test]
fn a_child_in_a_session_of_its_own_goes_with_its_trial() {
    let place = Place::new();
    // One that obeys TERM, one that does not, one that is an orphan of an orphan.
    let script = format!(
        "setsid sh -c 'echo $$ >> pids; sleep 1000' & setsid sh -c 'trap \"\" TERM; echo $$ >> pids; while :; do sleep 1; done' & \
         setsid sh -c 'setsid sh -c \"echo \\$\\$ >> pids; sleep 1000\" & exit' & \
         {WRITE}; while [ $(cat pids | wc -l) -lt 3 ]; do sleep 0.01; done"
    );
    let ran = run(&place, &config(1, "", "trial: {gracePeriod: 200ms}"), &[0.5], &script);
    assert_eq!(ran.code, Some(0), "{}", ran.err);
    let pids = fs::read_to_string(place.path().join("pids")).expect("they were written");
    assert_eq!(pids.lines().count(), 3, "{pids}");
    let alive: Vec<&str> = pids.lines().filter(|pid| is_alive(pid)).collect();
    assert_eq!(alive, Vec::<&str>::new());
}

#[test]
fn a_hopeless_trial_is_stopped_with_its_reason() {
    let place = Place::new();
    place.write("good.tfevents", event_file(&[0.8, 0.9]));
    // The first two are good. The third is bad, and would go on for ever.
    let script = "if [ $CLOUD_ML_TRIAL_ID -le 2 ]; then cp good.tfevents $HPTUNE_JOB_DIR/x.tfevents.1; \
                  else echo $$ > pid; cp acc.tfevents $HPTUNE_JOB_DIR/x.tfevents.1; sleep 1000; fi";
    let text = config(3, "enableTrialEarlyStopping: true", "earlyStopping: {rule: median, minTrials: 2}");
    let ran = run(&place, &text, &[0.1, 0.2], script);
    assert_eq!(ran.code, Some(0), "{}", ran.err);
    let reason = "best value 0.2 up to step 2 is worse than 0.85, the median of 2 finished trials' averages";
    assert!(ran.err.contains(reason) && ran.out.contains(reason), "{}{}", ran.err, ran.out);
    assert!(!is_alive(&fs::read_to_string(place.path().join("pid")).expect("it was written")));
    let job = place.describe("job");
    let stopped = trials(&job).iter().find(|trial| trial["trialId"] == "3").expect("it is there");
    assert_eq!(
        (stopped["isTrialStoppedEarly"].as_bool(), stopped["state"].as_str()),
        (Some(true), Some("SUCCEEDED"))
    );
}

#[test]
fn values_are_seen_while_the_trainer_runs() {
    let place = Place::new();
    let script = format!("{WRITE}; until [ -e go ]; do sleep 0.01; done");
    place.write("c.yaml", config(1, "", ""));
    place.write("acc.tfevents", event_file(&[0.25, 0.5]));
    let mut child = place
        .command(&[
            "run",
            "c.yaml",
            "--json",
            "--job-id",
            "job",
            "--job-dir",
            "out",
            "--",
            "sh",
            "-c",
            &script,
        ])
        .stdout(Stdio::piped())
        .spawn()
        .expect("it runs");
    let lines = BufReader::new(child.stdout.take().expect("it is piped")).lines();
    let mut kinds = Vec::new();
    for line in lines {
        let report: Json = serde_json::from_str(&line.expect("it is text")).expect("it is JSON");
        kinds.push(report["kind"].as_str().expect("a kind").to_owned());
        if report["kind"] == "point" && report["step"] == 2 {
            // Only now may the trainer end.
            place.write("go", "");
        }
    }
    assert_eq!(child.wait().expect("it ends").code(), Some(0));
    let heard: Vec<&str> = kinds.iter().map(String::as_str).filter(|kind| *kind != "note").collect();
    assert_eq!(
        heard,
        ["job_started", "trial_started", "source", "point", "point", "trial_ended", "job_ended"]
    );
}

#[test]
fn one_interrupt_stops_the_trials_and_settles_the_job() {
    let place = Place::new();
    let script =
        format!("{WRITE}; trap 'echo bye; exit 0' TERM; echo $$ > pid; while :; do sleep 0.05; done");
    let mut command = job(&place, &config(9, "", ""), &[0.5], &script);
    let mut child = command.stdout(Stdio::null()).stderr(Stdio::null()).spawn().expect("it runs");
    wait_for("the trainer", || {
        fs::read_to_string(place.path().join("pid")).is_ok_and(|pid| pid.ends_with('\n'))
    });
    signal(&child, Signal::INT);
    assert_eq!(child.wait().expect("it ends").code(), Some(130));
    let job = place.describe("job");
    assert_eq!((job["state"].as_str(), trials(&job).len()), (Some("CANCELLED"), 1));
    assert_eq!(trials(&job)[0]["state"], "CANCELLED");
    assert_eq!(trials(&job)[0]["finalMetric"]["objectiveValue"], 0.5, "what it reported is kept");
    let log = fs::read_to_string(place.path().join("out/.hptune/1/trainer.log")).expect("it is there");
    assert!(log.ends_with("bye\n"), "it had its grace: {log}");
}

#[test]
fn a_second_interrupt_kills() {
    let place = Place::new();
    let script = "trap '' TERM; echo $$ > pid; while :; do sleep 0.05; done";
    let mut command = job(&place, &config(9, "", "trial: {gracePeriod: 1h}"), &[0.5], script);
    let mut child = command.stdout(Stdio::null()).stderr(Stdio::piped()).spawn().expect("it runs");
    let pid = place.path().join("pid");
    wait_for("the trainer", || fs::read_to_string(&pid).is_ok_and(|pid| pid.ends_with('\n')));
    signal(&child, Signal::INT);
    let mut talk = BufReader::new(child.stderr.take().expect("it is piped")).lines();
    assert!(talk.any(|line| line.is_ok_and(|line| line.contains("once more to kill them"))));
    signal(&child, Signal::INT);
    let rest = std::thread::spawn(move || talk.count());
    assert_eq!(child.wait().expect("it ends").code(), Some(130));
    rest.join().expect("it ends");
    assert!(!is_alive(&fs::read_to_string(pid).expect("it was written")));
    assert_eq!(place.describe("job")["state"], "CANCELLED");
}

#[test]
fn failures_are_told_with_the_end_of_the_log() {
    let place = Place::new();
    let script = format!("{WRITE}; echo out of cheese; exit 3");
    let ran = run(&place, &config(2, "", ""), &[0.5], &script);
    assert_eq!(ran.code, Some(1), "{}", ran.err);
    assert!(ran.err.contains("trial 1 failed: exit code 3; its last value: 0.5 at step 1"), "{}", ran.err);
    assert!(
        ran.err.contains("out of cheese") && ran.out.contains("Note: none of 2 trials gave a result"),
        "{}{}",
        ran.err,
        ran.out
    );
    let job = place.describe("job");
    assert_eq!(
        (job["state"].as_str(), job["errorMessage"].as_str()),
        (Some("FAILED"), Some("none of 2 trials gave a result"))
    );
    assert_eq!(trials(&job)[0]["allMetrics"].as_array().map(Vec::len), Some(1), "its values are kept");
    let ran = run(&Place::new(), &config(1, "", ""), &[0.5], "kill -9 $$");
    assert!(ran.err.contains("killed by signal 9 (SIGKILL"), "{}", ran.err);
}

#[test]
fn enough_failures_end_the_job() {
    let place = Place::new();
    let ran = run(&place, &config(50, "maxFailedTrials: 3", ""), &[0.5], "exit 1");
    assert_eq!(ran.code, Some(1), "{}", ran.err);
    let job = place.describe("job");
    assert_eq!(
        (trials(&job).len(), job["errorMessage"].as_str()),
        (3, Some("3 trials failed (maxFailedTrials is 3)"))
    );
}

#[test]
fn a_metric_that_is_not_found_is_explained() {
    let place = Place::new();
    let text = config(1, "", "").replace("MetricTag: acc", "MetricTag: epoch_acc");
    let ran = run(&place, &text, &[0.5], WRITE);
    assert_eq!(ran.code, Some(1), "{}", ran.err);
    assert!(ran.err.contains("did you mean `acc`?"), "{}", ran.err);
    assert!(ran.err.contains("hyperparameterMetricTag: \"acc\""), "{}", ran.err);
    let ran = run(&Place::new(), &text, &[0.5], "true");
    assert!(ran.err.contains("no event file was found below the trial's directory"), "{}", ran.err);
}

#[test]
fn that_no_value_has_come_is_told_while_the_trainer_runs() {
    let place = Place::new();
    let text =
        config(1, "", "trial: {noMetricAfter: 100ms}").replace("MetricTag: acc", "MetricTag: epoch_acc");
    let script = format!("{WRITE}; until [ -e go ]; do sleep 0.01; done");
    let mut command = job(&place, &text, &[0.5], &script);
    let mut child = command.stdout(Stdio::null()).stderr(Stdio::piped()).spawn().expect("it runs");
    let mut talk = BufReader::new(child.stderr.take().expect("it is piped")).lines().map_while(Result::ok);
    let line = talk.find(|line| line.contains("no value yet")).expect("it is told");
    assert!(line.contains("did you mean `acc`?"), "{line}");
    // Only now may the trainer end.
    place.write("go", "");
    assert_eq!(talk.filter(|line| line.contains("no value yet")).count(), 0, "it is told once");
    assert_eq!(child.wait().expect("it ends").code(), Some(1));
}

#[test]
fn a_trial_whose_result_is_nan_is_infeasible_and_never_best() {
    let place = Place::new();
    place.write("good.tfevents", event_file(&[-5.0]));
    let script = "if [ $CLOUD_ML_TRIAL_ID = 1 ]; then cp acc.tfevents $HPTUNE_JOB_DIR/x.tfevents.1; \
                  else cp good.tfevents $HPTUNE_JOB_DIR/x.tfevents.1; fi";
    let ran = run(&place, &config(2, "", ""), &[0.9, f32::NAN], script);
    assert_eq!(ran.code, Some(0), "{}", ran.err);
    let job = place.describe("job");
    assert_eq!(job["hptuneOutput"]["bestTrialIds"], serde_json::json!(["2"]));
    assert_eq!(trials(&job)[1]["finalMetric"]["objectiveValue"], "NaN");
    assert_eq!(trials(&job)[1]["state"], "FAILED");
}

#[test]
fn the_metrics_file_of_cloudml_hypertune_counts_too() {
    let place = Place::new();
    let script = "echo '{\"timestamp\": 1.5, \"trial\": \"1\", \"acc\": \"0.75\", \"global_step\": \"7\"}' > $CLOUD_ML_HP_METRIC_FILE";
    let ran = run(&place, &config(1, "", ""), &[0.5], script);
    assert_eq!(ran.code, Some(0), "{}", ran.err);
    let metric = &place.describe("job")["trainingOutput"]["trials"][0]["finalMetric"];
    assert_eq!(*metric, serde_json::json!({"trainingStep": "7", "objectiveValue": 0.75}));
}

#[test]
fn a_trainer_that_counts_no_steps_is_told_so_once() {
    let place = Place::new();
    place.write("flat.tfevents", event_file_at(&[(0, 0.5), (0, 0.75)]));
    let ran = run(&place, &config(2, "", ""), &[], "cp flat.tfevents $HPTUNE_JOB_DIR/x.tfevents.1");
    assert_eq!(ran.code, Some(0), "{}", ran.err);
    assert_eq!(ran.err.matches("every value is at step 0").count(), 1, "{}", ran.err);
    assert_eq!(trials(&place.describe("job"))[0]["finalMetric"]["objectiveValue"], 0.75);
}

#[test]
fn grid_search_tries_every_combination_and_ends() {
    let place = Place::new();
    let text =
        config(99, "", "").replace("RANDOM_SEARCH", "GRID_SEARCH").replace("maxValue: 1000", "maxValue: 3");
    let ran = run(&place, &text, &[0.5], WRITE);
    assert_eq!(ran.code, Some(0), "{}", ran.err);
    assert!(ran.out.contains("all 3 combinations of the parameters were tried"), "{}", ran.out);
    let job = place.describe("job");
    let mut values: Vec<&str> =
        trials(&job).iter().filter_map(|t| t["hyperparameters"]["x"].as_str()).collect();
    values.sort_unstable();
    assert_eq!(values, ["1", "2", "3"]);
}

#[test]
fn the_evaluation_run_is_read_and_the_choice_is_told() {
    let place = Place::new();
    place.write("eval.tfevents", event_file(&[0.3]));
    let script = "mkdir $HPTUNE_JOB_DIR/eval; cp acc.tfevents $HPTUNE_JOB_DIR/x.tfevents.1; \
                  cp eval.tfevents $HPTUNE_JOB_DIR/eval/x.tfevents.1";
    let ran = run(&place, &config(1, "", ""), &[0.9], script);
    assert_eq!(ran.code, Some(0), "{}", ran.err);
    assert!(ran.err.contains("`acc` is read from the run directory `eval`, not from `.`"), "{}", ran.err);
    assert_eq!(place.describe("job")["trainingOutput"]["trials"][0]["finalMetric"]["objectiveValue"], 0.3);
}

#[test]
fn the_same_seed_suggests_the_same_trials() {
    let suggested = || {
        let place = Place::new();
        run(&place, &config(5, "", ""), &[0.5], WRITE);
        let job = place.describe("job");
        let mut all: Vec<String> =
            trials(&job).iter().map(|t| format!("{} {}", t["trialId"], t["hyperparameters"])).collect();
        all.sort();
        all
    };
    let first = suggested();
    assert_eq!((first.len(), &first), (5, &suggested()));
}

#[test]
fn a_job_s_name_is_taken_once() {
    let place = Place::new();
    assert_eq!(run(&place, &config(1, "", ""), &[0.5], WRITE).code, Some(0));
    place.write("c.yaml", config(1, "", ""));
    let ran = place.run(&["run", "c.yaml", "--job-id", "job", "--job-dir", "other", "--", "true"]);
    assert_eq!(ran.code, Some(2));
    assert!(ran.err.contains("job `job` is in the store already"), "{}", ran.err);
    assert!(!place.path().join("other").exists());
}

#[test]
fn the_demo_trains_stops_and_finds_a_good_network() {
    let place = Place::new();
    let ran = place.run(&["demo"]);
    assert_eq!(ran.code, Some(0), "{}", ran.err);
    for part in ["Best trial", "Best so far", "Stopped early", "Files", "learning_rate"] {
        assert!(ran.out.contains(part), "no {part} in {}", ran.out);
    }
    let list: Json = serde_json::from_str(&place.run(&["jobs", "list", "--json"]).out).expect("it is JSON");
    assert_eq!((&list[0]["trials"], &list[0]["maxTrials"]), (&20.into(), &20.into()));
    let job = place.describe(list[0]["jobId"].as_str().expect("a name"));
    let best = trials(&job)[0]["finalMetric"]["objectiveValue"].as_f64().expect("a number");
    assert!(best >= 0.95, "the best network recognises {best}");
    assert!(trials(&job).iter().any(|trial| trial["isTrialStoppedEarly"] == true));
    let yaml =
        place.run(&["jobs", "describe", list[0]["jobId"].as_str().expect("a name"), "--format", "yaml"]);
    assert!(yaml.out.contains("isHyperparameterTuningJob: true"), "{}", yaml.out);
    let table = place.run(&["jobs", "describe", list[0]["jobId"].as_str().expect("a name")]);
    assert!(table.out.contains("OUTCOME") && table.out.contains("stopped early"), "{}", table.out);
}

#[test]
fn a_trainer_that_never_starts_fails_its_trial_only() {
    let place = Place::new();
    place.write("c.yaml", config(2, "", ""));
    let trainer = place.write("trainer", "#!/no/such/interpreter\n");
    fs::set_permissions(&trainer, std::os::unix::fs::PermissionsExt::from_mode(0o755)).expect("it is set");
    let ran = place.run(&["run", "c.yaml", "--job-id", "job", "--job-dir", "out", "--", &trainer]);
    assert_eq!(ran.code, Some(1), "{}", ran.err);
    assert!(ran.err.contains("not started: ") && ran.err.contains("No such file"), "{}", ran.err);
    assert_eq!(place.describe("job")["state"], "FAILED");
}

#[test]
fn a_reader_that_goes_away_does_not_end_the_job() {
    let place = Place::new();
    place.write("c.yaml", config(3, "", ""));
    place.write("acc.tfevents", event_file(&[0.5]));
    let mut child = place
        .command(&["run", "c.yaml", "--json", "--job-id", "job", "--job-dir", "out", "--", "sh", "-c", WRITE])
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .expect("it runs");
    drop(child.stdout.take());
    let status = child.wait().expect("it ends");
    assert_eq!((status.code(), status.signal()), (Some(0), None));
    assert_eq!(place.describe("job")["trainingOutput"]["completedTrialCount"], "3");
}

#[test]
fn a_program_that_vanishes_ends_the_job() {
    let place = Place::new();
    place.write("c.yaml", config(500, "", ""));
    place.write("acc.tfevents", event_file(&[0.5]));
    let trainer = place.write("trainer", format!("#!/bin/sh\n{WRITE}\nrm $0\n"));
    fs::set_permissions(&trainer, std::os::unix::fs::PermissionsExt::from_mode(0o755)).expect("it is set");
    let ran = place.run(&["run", "c.yaml", "--job-id", "job", "--job-dir", "out", "--", &trainer]);
    assert_eq!(ran.code, Some(1), "{}", ran.err);
    let job = place.describe("job");
    assert_eq!(trials(&job).len(), 4, "one that ran and three that could not");
    let message = job["errorMessage"].as_str().expect("a message");
    assert!(
        message.contains("3 trials in a row could not be started") && message.contains("No such file"),
        "{message}"
    );
}

#[test]
fn training_values_are_not_ranked_with_evaluation_values() {
    let place = Place::new();
    place.write("eval.tfevents", event_file(&[0.3]));
    // The first trial ends before it is evaluated, with a training value that looks better.
    let script = "cp acc.tfevents $HPTUNE_JOB_DIR/x.tfevents.1; [ $CLOUD_ML_TRIAL_ID = 1 ] || \
                  { mkdir $HPTUNE_JOB_DIR/eval; cp eval.tfevents $HPTUNE_JOB_DIR/eval/x.tfevents.1; }";
    let ran = run(&place, &config(2, "", ""), &[0.9], script);
    assert_eq!(ran.code, Some(0), "{}", ran.err);
    assert_eq!(place.describe("job")["hptuneOutput"]["bestTrialIds"], serde_json::json!(["2"]));
}

#[test]
fn a_job_outlives_its_terminal() {
    let place = Place::new();
    place.write("c.yaml", config(1, "", ""));
    place.write("acc.tfevents", event_file(&[0.5]));
    let script = format!("{WRITE}; echo $$ > pid; until [ -e go ]; do sleep 0.01; done");
    let mut child =
        place.job(&[], &script).stdout(Stdio::null()).stderr(Stdio::null()).spawn().expect("it runs");
    wait_for("the trainer", || {
        fs::read_to_string(place.path().join("pid")).is_ok_and(|pid| pid.ends_with('\n'))
    });
    signal(&child, Signal::HUP);
    signal(&child, Signal::HUP);
    place.write("go", "");
    assert_eq!(child.wait().expect("it ends").code(), Some(0));
    assert_eq!(place.describe("job")["state"], "SUCCEEDED");
}

#[test]
fn many_jobs_may_begin_at_once_on_a_store_that_is_not_there_yet() {
    let place = Place::new();
    place.write("c.yaml", config(1, "", ""));
    place.write("acc.tfevents", event_file(&[0.5]));
    let begin = |n: i32| {
        let (name, out) = (format!("job{n}"), format!("out{n}"));
        let words = ["run", "c.yaml", "--job-id", &name, "--job-dir", &out, "--", "sh", "-c", WRITE];
        place.command(&words).stdout(Stdio::null()).stderr(Stdio::null()).spawn().expect("it runs")
    };
    let children: Vec<Child> = (0..6).map(begin).collect();
    for mut child in children {
        assert_eq!(child.wait().expect("it ends").code(), Some(0));
    }
    assert_eq!(place.n_jobs(), 6);
}

#[test]
fn a_job_that_was_described_can_be_run_again() {
    let place = Place::new();
    run(&place, &config(2, "", "objective: {reduce: best}"), &[0.5, 0.25], WRITE);
    let yaml = place.run(&["jobs", "describe", "job", "--format", "yaml"]).out;
    place.write("again.yaml", yaml);
    let words = ["run", "again.yaml", "--job-id", "again", "--job-dir", "out2", "--", "sh", "-c", WRITE];
    let ran = place.run(&words);
    assert_eq!(ran.code, Some(0), "{}", ran.err);
    let (first, again) = (place.describe("job"), place.describe("again"));
    assert_eq!((&first["trainingInput"], &first["hptune"]), (&again["trainingInput"], &again["hptune"]));
    assert_eq!(trials(&again)[0]["finalMetric"]["objectiveValue"], 0.5, "the best value, as the options say");
}

#[test]
fn a_reason_to_stop_is_kept_in_numbers() {
    let place = Place::new();
    place.write("good.tfevents", event_file(&[0.8, 0.9]));
    let script = "if [ $CLOUD_ML_TRIAL_ID = 1 ]; then cp good.tfevents $HPTUNE_JOB_DIR/x.tfevents.1; \
                  else cp acc.tfevents $HPTUNE_JOB_DIR/x.tfevents.1; sleep 1000; fi";
    let text = config(2, "enableTrialEarlyStopping: true", "earlyStopping: {rule: median, minTrials: 1}");
    run(&place, &text, &[0.1, 0.2], script);
    let reason = &place.describe("job")["hptuneOutput"]["trials"][1]["stopReason"];
    assert_eq!((reason["rule"].as_str(), reason["step"].as_i64()), (Some("median"), Some(2)));
    assert_eq!((reason["best"].as_f64(), reason["n_trials"].as_i64()), (Some(0.2), Some(1)));
    let table = place.run(&["jobs", "describe", "job"]).out;
    assert!(table.contains("best value 0.2 up to step 2 is worse than 0.85"), "{table}");
}

#[test]
fn a_store_that_is_set_to_nothing_is_the_default_one() {
    let place = Place::new();
    let state = place.path().join("state");
    let mut command = place.command(&["jobs", "list"]);
    let output = command.env("HPTUNE_STORE", "").env("XDG_STATE_HOME", &state).output().expect("it runs");
    let told = String::from_utf8_lossy(&output.stderr).into_owned();
    assert_eq!(output.status.code(), Some(0), "{told}");
    assert!(told.contains("state/hptune/hptune.db"), "{told}");
}

#[test]
fn data_that_cannot_be_written_is_an_error() {
    let place = Place::new();
    run(&place, &config(1, "", ""), &[0.5], WRITE);
    let full = fs::OpenOptions::new().write(true).open("/dev/full").expect("it is there");
    let output = place.command(&["jobs", "list"]).stdout(full).output().expect("it runs");
    assert_eq!(output.status.code(), Some(3));
    assert!(String::from_utf8_lossy(&output.stderr).contains("cannot write to stdout: No space left"));
}
