//! Trials that run below `hptune watch`, which reports to the service.

use std::process::{Child, Stdio};
use std::thread;
use std::time::Duration;

use serde_json::{Value as Json, json};

use super::{Server, job, place};
use crate::support::{Place, Ran, wait_for};

/// A trainer that reports the value `$1` at the steps from 1 to `$2`, one in `$3` seconds.
const TRAINER: &str = r#"mkdir -p "$HPTUNE_DIR/.hptune"
for step in $(seq 1 "$2"); do
  printf '{"timestamp": %s, "trial": "1", "m": "%s", "global_step": "%s"}\n' "$(date +%s.%N)" "$1" "$step" \
    >> "$HPTUNE_DIR/.hptune/output.metrics"
  sleep "$3"
done"#;

fn config(max_trials: u32, options: &str) -> String {
    format!(
        "trainingInput:\n  hyperparameters:\n    goal: MINIMIZE\n    hyperparameterMetricTag: m\n    maxTrials: {max_trials}\n    \
         maxParallelTrials: {max_trials}\n    enableTrialEarlyStopping: true\n    params: [{{parameterName: a, type: DOUBLE, \
         minValue: 0, maxValue: 1}}]\nhptune: {{seed: 3, engine: {{kind: sidecar}}, {options}}}\n"
    )
}

/// Submits a job, and waits until all its trials wait for their sidecars.
fn submit(server: &Server, config: &str, n_trials: usize) {
    let answered = server.post("/api/v1/jobs", &json!({"config": config, "jobId": "j"}));
    assert_eq!(answered.code, 200, "{answered:?}");
    let is_running = |job: &Json| job["counts"]["running"] == json!(n_trials);
    wait_for("the trials", || is_running(&server.get("/api/v1/jobs/j")));
}

/// A sidecar of a trial with its trainer.
fn sidecar(place: &Place, server: &Server, trial: u32, words: [&str; 3], options: &[&str]) -> Child {
    let script = [&["sh", "-c", TRAINER, "trainer"], &words[..]].concat();
    sidecar_of(place, server, trial, &script, options)
}

/// A sidecar of a trial with this command.
fn sidecar_of(place: &Place, server: &Server, trial: u32, words: &[&str], options: &[&str]) -> Child {
    let directory = place.path().join(format!("elsewhere/{trial}"));
    std::fs::create_dir_all(&directory).expect("it is made");
    let address = format!("http://{}/api/v1/jobs/j/trials/{trial}", server.address);
    let directory = directory.to_str().expect("text");
    let arguments = [&["watch", directory, "--to", &address, "--poll", "50ms"], options].concat();
    let mut command = place.command(&arguments);
    command.arg("--").args(words).env("HPTUNE_DIR", directory);
    command.stdout(Stdio::null()).stderr(Stdio::piped()).spawn().expect("it starts")
}

fn ended(sidecar: Child) -> Ran {
    Ran::of(&sidecar.wait_with_output().expect("it ends"))
}

fn trial(server: &Server, number: u32) -> Json {
    server.get(&format!("/api/v1/jobs/j/trials/{number}"))
}

#[test]
fn trials_elsewhere_end_are_stopped_early_and_explained_as_those_on_this_machine() {
    let place = place();
    let server = Server::start(&place, &[]);
    submit(&server, &config(3, "earlyStopping: {rule: median, minTrials: 2}"), 3);
    let good: Vec<Child> = (1..=2).map(|n| sidecar(&place, &server, n, ["0.1", "4", "0.05"], &[])).collect();
    for sidecar in good {
        let ran = ended(sidecar);
        assert_eq!(ran.code, Some(0), "{}", ran.err);
    }
    wait_for("their ends", || {
        trial(&server, 1)["state"] == "SUCCEEDED" && trial(&server, 2)["state"] == "SUCCEEDED"
    });
    let hopeless = ended(sidecar(&place, &server, 3, ["0.9", "100000", "0.1"], &[]));
    assert!(hopeless.err.contains("stopping: best value 0.9 up to step"), "{}", hopeless.err);
    server.wait_for_state("j", "SUCCEEDED");
    let stopped = trial(&server, 3);
    assert_eq!((&stopped["state"], &stopped["value"]), (&json!("STOPPED_EARLY"), &json!(0.9)));
    assert!(stopped["reason"].as_str().is_some_and(|reason| reason.contains("the median of 2")), "{stopped}");
    let best = &server.get("/api/v1/jobs/j")["best"];
    assert_eq!(best["value"], json!(0.1));
    let why = place.run(&["jobs", "why", "j", "3"]);
    assert!(why.code == Some(0) && why.out.contains("median"), "{why:?}");
    // Whoever reports on a trial that is over is told so, and stops.
    let late = ended(sidecar(&place, &server, 1, ["0.1", "100000", "0.1"], &[]));
    assert!(late.err.contains("stopping: the trial is over"), "{}", late.err);
}

#[test]
fn a_sidecar_that_begins_anew_or_restarts_leaves_each_value_once() {
    let place = place();
    let server = Server::start(&place, &[]);
    submit(&server, &config(1, ""), 1);
    let mut first = sidecar(&place, &server, 1, ["0.5", "60", "0.02"], &[]);
    wait_for("values", || trial(&server, 1)["points"].as_u64() > Some(10));
    // Its trainer goes on; the next one goes on in the same directory, and everything is delivered again.
    first.kill().expect("it runs");
    first.wait().expect("it ends");
    let reports = place.path().join("elsewhere/1/.hptune/output.metrics");
    wait_for("its trainer's end", || {
        std::fs::read_to_string(&reports).is_ok_and(|reports| reports.lines().count() == 60)
    });
    let ran = ended(sidecar(&place, &server, 1, ["0.25", "7", "0.01"], &[]));
    assert_eq!(ran.code, Some(0), "{}", ran.err);
    server.wait_for_state("j", "SUCCEEDED");
    let measured = server.get("/api/v1/jobs/j/trials/1/measurements?pageSize=10000");
    let measured = measured["measurements"].as_array().expect("a list").clone();
    let last = measured.last().expect("there are some");
    assert_eq!(last["value"], json!(0.25), "{last}");
    let mut places: Vec<(u64, i64)> = measured
        .iter()
        .map(|m| (m["pass"].as_u64().unwrap_or(0), m["step"].as_i64().expect("a step")))
        .collect();
    let n = places.len();
    places.dedup();
    assert_eq!(places.len(), n, "each position once");
}

#[test]
fn reports_survive_the_death_of_the_service_and_count_once() {
    let place = place();
    let mut server = Server::start(&place, &[]);
    let port = server.address.port();
    submit(&server, &config(2, ""), 2);
    let sidecars: Vec<Child> =
        (1..=2).map(|n| sidecar(&place, &server, n, ["0.5", "150", "0.02"], &[])).collect();
    for _ in 0..5 {
        thread::sleep(Duration::from_millis(400));
        // It is killed at once.
        drop(server);
        let listen = format!("127.0.0.1:{port}");
        server = Server::started(place.command(&["serve", "--listen", &listen]));
    }
    for sidecar in sidecars {
        let ran = ended(sidecar);
        assert_eq!(ran.code, Some(0), "{}", ran.err);
    }
    server.wait_for_state("j", "SUCCEEDED");
    for n in 1..=2 {
        let measured = server.get(&format!("/api/v1/jobs/j/trials/{n}/measurements?pageSize=10000"));
        let steps: Vec<i64> = measured["measurements"]
            .as_array()
            .expect("a list")
            .iter()
            .map(|m| m["step"].as_i64().expect("a step"))
            .collect();
        assert_eq!(steps, (1..=150).collect::<Vec<_>>(), "of trial {n}");
    }
}

#[test]
fn a_trial_that_failed_is_tried_again_by_another_sidecar() {
    let place = place();
    let server = Server::start(&place, &[]);
    submit(&server, &config(1, "trial: {retries: 2}"), 1);
    // A cluster starts it again at once, before the job does: one end is like the other, and both count.
    for _ in 0..2 {
        let failed = ended(sidecar_of(&place, &server, 1, &["sh", "-c", "exit 3"], &[]));
        assert_eq!(failed.code, Some(3), "{}", failed.err);
    }
    let ran = ended(sidecar(&place, &server, 1, ["0.5", "4", "0.01"], &[]));
    assert_eq!(ran.code, Some(0), "{}", ran.err);
    server.wait_for_state("j", "SUCCEEDED");
    let trial = trial(&server, 1);
    assert_eq!((&trial["value"], &trial["points"], &trial["attempt"]), (&json!(0.5), &json!(4), &json!(3)));
}

#[test]
fn of_a_trial_elsewhere_nothing_is_said_that_is_so_here_alone() {
    let place = place();
    let config = config(1, "");
    let dry = place.run(&["run", &place.write("job.yaml", &config), "--job-id", "j", "--dry-run"]);
    let started = "hptune watch DIR --to http://SERVER/api/v1/jobs/j/trials/1 -- COMMAND";
    assert!(dry.out.contains(started) && !dry.out.contains("CLOUD_ML_TRIAL_ID"), "{dry:?}");
    assert!(!["Files", "Runs in", "log:"].iter().any(|here| dry.out.contains(here)), "{}", dry.out);
    assert!(
        dry.out.lines().any(|line| line.starts_with("engine") && line.contains("sidecar")),
        "{}",
        dry.out
    );
    let server = Server::start(&place, &[]);
    submit(&server, &config, 1);
    assert_eq!(trial(&server, 1)["environment"], json!([]));
    let failed = ended(sidecar_of(&place, &server, 1, &["sh", "-c", "exit 3"], &[]));
    assert_eq!(failed.code, Some(3), "{}", failed.err);
    let said = || server.get("/api/v1/jobs/j")["notes"].to_string();
    wait_for("why", || said().contains("what its trainer printed is where its watcher runs"));
    assert!(!said().contains("trainer.log"), "{}", said());
    let logs = place.run(&["jobs", "logs", "j", "1"]);
    assert!(logs.code == Some(2) && logs.err.contains("run elsewhere"), "{}", logs.err);
    let shown = place.run(&["jobs", "describe", "j"]);
    assert!(shown.code == Some(0) && !shown.out.contains("trainer.log"), "{}", shown.out);
}

#[test]
fn what_is_no_report_is_refused() {
    let place = place();
    let server = Server::start(&place, &[]);
    submit(&server, &config(1, ""), 1);
    assert_eq!(trial(&server, 1)["diagnosis"], Json::Null, "nothing here tells of it");
    let post = |path: &str, key: &str, body: &str| {
        let headers = format!("Content-Type: application/json\r\n{key}");
        let answered = server.request("POST", path, &headers, body.as_bytes()).expect("it answers");
        (answered.code, answered.json()["error"]["message"].as_str().unwrap_or_default().to_owned())
    };
    let (path, key) = ("/api/v1/jobs/j/trials/1", "Idempotency-Key: 1\r\n");
    let good = r#"{"version":1,"lines":[{"kind":"point","run":".","tag":"m","step":1,"wall_time":1.5,"value":0.5,"seq":1}]}"#;
    assert_eq!(post(path, key, good).0, 200);
    assert_eq!(post(path, key, good).0, 200, "once more is once");
    assert_eq!(post(path, "", r#"{"version":1,"lines":[]}"#).0, 200, "nothing to say");
    #[track_caller]
    fn refused((code, message): (u16, String), expected: u16, words: &str) {
        assert!(code == expected && message.contains(words), "{code}: {message}");
    }
    refused(post(path, "", good), 400, "Idempotency-Key");
    refused(post("/api/v1/jobs/j/trials/7", key, good), 404, "no trial 7");
    refused(post("/api/v1/jobs/other/trials/1", key, good), 404, "other");
    assert_eq!(server.post("/v1/projects/p/jobs", &job("local", 1, "sleep 1000")).code, 200);
    wait_for("its trial", || server.get("/api/v1/jobs/local")["counts"]["running"] == json!(1));
    refused(post("/api/v1/jobs/local/trials/1", key, good), 400, "kind: sidecar");
    assert_eq!(server.post("/api/v1/jobs/local:cancel", &json!({})).code, 200);
    server.wait_for_state("local", "CANCELLED");
    refused(post(path, key, r#"{"version":2,"lines":[]}"#), 400, "version");
    refused(post(path, key, r#"{"version":1,"lines":{}}"#), 400, "lines");
    refused(post(path, key, r#"{"version":1,"lines":[{"kind":"point"}]}"#), 400, "line 1 of the batch");
    wait_for("the value", || trial(&server, 1)["points"] == json!(1));
    // Its process would outlive the test. The trial's sidecar hears of it, and is gone.
    assert_eq!(server.post("/api/v1/jobs/j:cancel", &json!({})).code, 200);
    let end = r#"{"version":1,"lines":[{"kind":"end","reason":"stopped","exit_code":143,"seq":2}]}"#;
    assert_eq!(post(path, "Idempotency-Key: 2\r\n", end).0, 200);
    server.wait_for_state("j", "CANCELLED");
}
