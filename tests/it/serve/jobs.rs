//! Jobs over the service's REST: from their submission to their end.

use std::fs;

use rustix::process::Signal;
use serde_json::{Value as Json, json};

use super::{Server, WRITE, job, place};
use crate::support::{PROGRAM, config, event_file, processes_with, wait_for};

#[test]
fn a_job_is_submitted_runs_and_is_read_in_the_service_s_terms() {
    let place = place();
    let server = Server::start(&place, &[]);
    assert_eq!(server.get("/v1/projects/p/jobs"), json!({}), "there is none");
    let created = server.post("/v1/projects/p/jobs?alt=json", &job("one", 3, WRITE));
    assert_eq!(created.code, 200, "{created:?}");
    let created = created.json();
    assert_eq!((created["jobId"].as_str(), created["state"].as_str()), (Some("one"), Some("QUEUED")));
    assert_eq!(created["trainingInput"]["masterConfig"]["imageUri"], "an/image");
    assert!(created.get("startTime").is_none());
    server.wait_for_state("one", "SUCCEEDED");
    let got = server.get("/v1/projects/p/jobs/one");
    let output = &got["trainingOutput"];
    assert_eq!(output["completedTrialCount"], "3");
    assert_eq!(output["isHyperparameterTuningJob"], true);
    assert_eq!(output["hyperparameterMetricTag"], "acc");
    let trials = output["trials"].as_array().expect("a list");
    assert_eq!(trials.len(), 3);
    for trial in trials {
        assert_eq!(trial["finalMetric"], json!({"trainingStep": "2", "objectiveValue": 0.5}));
        assert_eq!(trial["allMetrics"].as_array().map(Vec::len), Some(2));
        assert_eq!((&trial["state"], &trial["isTrialStoppedEarly"]), (&json!("SUCCEEDED"), &json!(false)));
        assert!(trial["startTime"].is_string() && trial["endTime"].is_string());
    }
    assert_eq!(server.get("/v1/projects/p/jobs")["jobs"][0]["jobId"], "one");
    // Our own methods show the same.
    let shown = server.get("/api/v1/jobs/one");
    let notes = shown["notes"].to_string();
    assert!(notes.contains("without the image an/image"), "{notes}");
    assert_eq!((&shown["counts"]["succeeded"], &shown["best"]["value"]), (&json!(3), &json!(0.5)));
    assert_eq!(shown["trials"][0]["points"], 2);
    assert_eq!(
        shown["parameters"][0],
        json!({"name": "x", "type": "INTEGER", "min": 1.0, "max": 1000.0, "scale": "UNIT_LINEAR_SCALE"})
    );
    let curves = server.get("/api/v1/jobs/one/curves");
    assert_eq!(curves["curves"][0]["points"], json!([[1, 0.25], [2, 0.5]]));
    let cursor = curves["cursor"].as_str().expect("a text");
    assert_eq!(server.get(&format!("/api/v1/jobs/one/curves?since={cursor}"))["curves"], json!([]));
    let one = server.get("/api/v1/jobs/one/curves?trials=2")["curves"].as_array().map(Vec::len);
    assert_eq!(one, Some(1));
    let trial = server.get("/api/v1/jobs/one/trials/1");
    assert_eq!(trial["series"][0]["tag"], "acc");
    assert_eq!(trial["series"][0]["objective"], true);
    assert_eq!(trial["files"][0]["damaged"], 0);
    assert!(trial["command"].as_array().is_some_and(|words| words[0] == "sh"), "{trial}");
    assert!(
        trial["environment"].as_array().is_some_and(|names| names.contains(&json!("TF_CONFIG"))),
        "{trial}"
    );
    let series = server.get("/api/v1/jobs/one/trials/1/series?run=.&tag=acc");
    assert_eq!(series["points"], json!([[1, 0.25, 1.0], [2, 0.5, 2.0]]));
    let page = server.get("/api/v1/jobs/one/trials/1/measurements?pageSize=1");
    assert_eq!(page["measurements"][0]["value"], 0.25);
    let token = page["nextPageToken"].as_str().expect("there is more");
    let page = server.get(&format!("/api/v1/jobs/one/trials/1/measurements?pageSize=1&pageToken={token}"));
    assert_eq!((&page["measurements"][0]["value"], page.get("nextPageToken")), (&json!(0.5), None));
}

#[test]
fn what_is_wrong_with_a_submission_is_told_all_at_once() {
    let place = place();
    let server = Server::start(&place, &[]);
    let mut bad = job("one", 3, WRITE);
    bad["trainingInput"]["hyperparameters"]["maxTrials"] = json!(0);
    bad["trainingInput"]["hyperparameters"]["params"][0]["type"] = json!("SOMETHING");
    bad["trainingInput"]["nonsense"] = json!(1);
    let refused = server.post("/v1/projects/p/jobs", &bad);
    assert_eq!(refused.code, 400, "{refused:?}");
    let error = &refused.json()["error"];
    assert_eq!((&error["code"], &error["status"]), (&json!(400), &json!("INVALID_ARGUMENT")));
    let violations = error["details"][0]["fieldViolations"].as_array().expect("a list").clone();
    let fields: Vec<&str> = violations.iter().filter_map(|v| v["field"].as_str()).collect();
    for field in [
        "trainingInput.hyperparameters.maxTrials",
        "trainingInput.hyperparameters.params[0].type",
        "trainingInput.nonsense",
    ] {
        assert!(fields.contains(&field), "{fields:?}");
    }
    #[track_caller]
    fn check(server: &Server, body: &Json, code: u16, status: &str, part: &str) {
        let refused = server.post("/v1/projects/p/jobs", body);
        let error = &refused.json()["error"];
        assert_eq!((refused.code, error["status"].as_str()), (code, Some(status)), "{error}");
        assert!(error["message"].as_str().is_some_and(|message| message.contains(part)), "{error}");
    }
    check(&server, &json!({}), 400, "INVALID_ARGUMENT", "jobId: missing");
    check(&server, &json!([]), 400, "INVALID_ARGUMENT", "no JSON object");
    check(&server, &json!({"jobId": "p", "predictionInput": {}}), 501, "UNIMPLEMENTED", "prediction");
    check(&server, &job("../../etc", 1, WRITE), 400, "INVALID_ARGUMENT", "want a letter");
    let mut no_command = job("none", 1, WRITE);
    no_command["trainingInput"]["masterConfig"] = json!({"imageUri": "an/image"});
    check(&server, &no_command, 400, "INVALID_ARGUMENT", "no command to run");
    let mut missing = job("missing", 1, WRITE);
    missing["trainingInput"]["masterConfig"]["containerCommand"] = json!(["no-such-program-here"]);
    check(&server, &missing, 400, "INVALID_ARGUMENT", "no-such-program-here: not found in PATH");
    assert_eq!(server.get("/v1/projects/p/jobs"), json!({}), "nothing was made");
    assert_eq!(server.post("/v1/projects/p/jobs", &job("one", 1, WRITE)).code, 200);
    check(&server, &job("one", 1, WRITE), 409, "ALREADY_EXISTS", "job `one` is in the store already");
}

#[test]
fn the_numbers_of_enumerations_and_snake_case_are_taken() {
    let place = place();
    let server = Server::start(&place, &[]);
    let mut numbers = job("numbers", 1, WRITE);
    let spec = &mut numbers["trainingInput"]["hyperparameters"];
    spec["goal"] = json!(2);
    spec["algorithm"] = json!(2);
    spec["maxTrials"] = json!("2");
    spec["params"][0] =
        json!({"parameter_name": "x", "type": 1, "min_value": 0.5, "max_value": 8, "scale_type": 2});
    assert_eq!(server.post("/v1/projects/p/jobs", &numbers).code, 200);
    server.wait_for_state("numbers", "SUCCEEDED");
    let shown = server.get("/api/v1/jobs/numbers");
    assert_eq!((&shown["goal"], &shown["maxTrials"]), (&json!("MINIMIZE"), &json!(2)));
    assert_eq!(shown["parameters"][0]["scale"], "UNIT_LOG_SCALE");
}

#[test]
fn lists_are_filtered_and_paged() {
    let place = place();
    let server = Server::start(&place, &["--max-jobs", "1"]);
    // The first one runs for as long as the others are looked at.
    server.post("/v1/projects/p/jobs", &job("a0", 1, "sleep 1000"));
    server.wait_for_state("a0", "RUNNING");
    for n in 1..5 {
        assert_eq!(server.post("/v1/projects/p/jobs", &job(&format!("a{n}"), 1, WRITE)).code, 200);
    }
    let mut other = job("b", 1, WRITE);
    other["labels"]["kind"] = json!("another");
    assert_eq!(server.post("/v1/projects/p/jobs", &other).code, 200);
    let ids = |query: &str| -> Vec<String> {
        let listed = server.get(&format!("/v1/projects/p/jobs?{query}"));
        let jobs = listed["jobs"].as_array().cloned().unwrap_or_default();
        jobs.iter().filter_map(|job| job["jobId"].as_str().map(str::to_owned)).collect()
    };
    assert_eq!(ids(""), ["b", "a4", "a3", "a2", "a1", "a0"], "the newest first");
    assert_eq!(ids("filter=jobId%3Aa*+AND+state%3DQUEUED"), ["a4", "a3", "a2", "a1"]);
    assert_eq!(ids("filter=labels.kind%3Danother"), ["b"]);
    assert_eq!(ids("filter=state%3AFAILED"), Vec::<String>::new());
    let (mut token, mut all) = (String::new(), Vec::new());
    loop {
        let page = server.get(&format!("/v1/projects/p/jobs?pageSize=4&pageToken={token}"));
        all.extend(page["jobs"].as_array().expect("a list").iter().map(|job| job["jobId"].clone()));
        match page["nextPageToken"].as_str() {
            Some(next) => token = next.to_owned(),
            None => break,
        }
    }
    assert_eq!(all, ["b", "a4", "a3", "a2", "a1", "a0"]);
    let refused = server.request("GET", "/v1/projects/p/jobs?filter=nonsense", "", b"").expect("it answers");
    assert_eq!(refused.code, 400);
    let cancelled = server.request("POST", "/v1/projects/p/jobs/a1:cancel", "", b"").expect("it answers");
    assert_eq!((cancelled.code, cancelled.json()), (200, json!({})), "without a body");
    assert_eq!(server.get("/v1/projects/p/jobs/a1")["state"], "CANCELLED");
    assert_eq!(server.post("/v1/projects/p/jobs/a0:cancel", &json!({})).code, 200);
    server.wait_for_state("a0", "CANCELLED");
    assert_eq!(server.post("/v1/projects/p/jobs/a0:cancel", &json!({})).code, 400, "it is over");
    assert_eq!(server.post("/v1/projects/p/jobs/none:cancel", &json!({})).code, 404);
    // Those that waited go on.
    for id in ["a2", "a3", "a4", "b"] {
        server.wait_for_state(id, "SUCCEEDED");
    }
}

#[test]
fn labels_are_changed_where_the_etag_is_the_job_s() {
    let place = place();
    let server = Server::start(&place, &["--max-jobs", "1"]);
    server.post("/v1/projects/p/jobs", &job("one", 1, WRITE));
    server.wait_for_state("one", "SUCCEEDED");
    let patch = |mask: &str, body: Json| {
        let path = format!("/v1/projects/p/jobs/one?updateMask={mask}&alt=json");
        server
            .request("PATCH", &path, "Content-Type: application/json\r\n", body.to_string().as_bytes())
            .expect("it answers")
    };
    let etag = server.get("/v1/projects/p/jobs/one")["etag"].clone();
    let patched = patch("labels,etag", json!({"labels": {"a": "b"}, "etag": etag}));
    assert_eq!(patched.code, 200, "{patched:?}");
    let patched = patched.json();
    assert_eq!(patched["labels"], json!({"a": "b"}));
    assert_ne!(patched["etag"], etag);
    let refused = patch("labels,etag", json!({"labels": {"c": "d"}, "etag": etag}));
    assert_eq!((refused.code, &refused.json()["error"]["status"]), (409, &json!("ABORTED")));
    assert_eq!(patch("labels", json!({"labels": {}})).code, 200);
    assert_eq!(server.get("/v1/projects/p/jobs/one").get("labels"), None);
    assert_eq!(patch("state", json!({"state": "FAILED"})).code, 400);
    assert_eq!(patch("labels", json!({"labels": {"a": 1}})).code, 400);
}

#[test]
fn a_job_of_run_is_seen_a_trial_of_it_stopped_and_it_cancelled() {
    let place = place();
    place.write("c.yaml", config(3, "maxParallelTrials: 2", ""));
    let server = Server::start(&place, &[]);
    let mut run = place.start_job(&format!("{WRITE}; sleep 1000"));
    wait_for("two trials to run", || {
        let jobs = server.get("/api/v1/jobs");
        jobs["jobs"][0]["counts"]["running"] == 2
    });
    wait_for("a value", || server.get("/api/v1/jobs/job")["trials"][0]["points"] == 2);
    assert_eq!(server.get("/api/v1/jobs/job")["running"], true);
    assert_eq!(server.post("/api/v1/jobs/job/trials/1:stop", &json!({})).code, 200);
    wait_for("its end", || {
        let trial = server.get("/api/v1/jobs/job/trials/1");
        trial["state"] == "STOPPED_BY_REQUEST"
    });
    let why = server.get("/api/v1/jobs/job/trials/1/why");
    assert_eq!((&why["rule"], &why["curve"]), (&json!("request"), &json!([[1, 0.25], [2, 0.5]])));
    assert!(why["decidedAt"].is_string());
    assert_eq!(server.post("/api/v1/jobs/job/trials/1:stop", &json!({})).code, 400, "it is over");
    assert_eq!(server.post("/api/v1/jobs/job/trials/9:stop", &json!({})).code, 404);
    assert_eq!(server.post("/api/v1/jobs/job:cancel", &json!({})).code, 200);
    run.wait().expect("it ends");
    assert_eq!(server.get("/v1/projects/any/jobs/job")["state"], "CANCELLED");
}

#[test]
fn a_configuration_is_submitted_as_it_is_written() {
    let place = place();
    let server = Server::start(&place, &[]);
    let text = config(2, "", "trial: {gracePeriod: 1s}");
    let submission = json!({"config": text, "jobId": "own", "command": ["sh", "-c", WRITE, "trainer"]});
    let checked = server.post("/api/v1/jobs:check", &submission);
    assert_eq!((checked.code, &checked.json()["ok"]), (200, &json!(true)));
    assert_eq!(server.get("/api/v1/jobs")["total"], 0, "nothing was started");
    let submitted = server.post("/api/v1/jobs", &submission);
    assert_eq!((submitted.code, &submitted.json()["state"]), (200, &json!("QUEUED")));
    server.wait_for_state("own", "SUCCEEDED");
    let shown = server.get("/api/v1/jobs/own");
    assert_eq!((&shown["config"], &shown["configFormat"]), (&json!(text), &json!("yaml")));
    let bad = json!({"config": text.replace("MAXIMIZE", "UP"), "jobId": "bad", "command": ["true"]});
    let refused = server.post("/api/v1/jobs", &bad).json();
    let violation = &refused["error"]["details"][0]["fieldViolations"][0];
    assert_eq!(violation["field"], "trainingInput.hyperparameters.goal");
    assert_eq!((&violation["line"], &violation["column"]), (&json!(3), &json!(11)), "{violation}");
}

#[test]
fn jobs_outlive_the_service_and_are_taken_back() {
    let place = place();
    let server = Server::start(&place, &["--max-jobs", "1"]);
    let script = format!("while [ ! -e go ]; do sleep 0.02; done; {WRITE}");
    server.post("/v1/projects/p/jobs", &job("first", 2, &script));
    server.post("/v1/projects/p/jobs", &job("second", 1, WRITE));
    wait_for("a trial", || server.get("/api/v1/jobs/first")["counts"]["running"] == 1);
    server.signal(Signal::INT);
    let (code, said) = server.ended();
    assert_eq!(code, Some(0));
    assert!(said.contains("jobs that run go on") && said.contains("first"), "{said}");
    place.write("go", "");
    wait_for("its end without a service", || place.describe("first")["state"] == "SUCCEEDED");
    assert_eq!(place.describe("second")["state"], "QUEUED");
    let server = Server::start(&place, &["--max-jobs", "1"]);
    server.wait_for_state("second", "SUCCEEDED");
}

#[test]
fn a_job_whose_process_was_killed_goes_on() {
    let place = place();
    let server = Server::start(&place, &[]);
    let script = format!("{WRITE}; while [ ! -e go ]; do sleep 0.02; done");
    server.post("/v1/projects/p/jobs", &job("one", 2, &script));
    wait_for("a trial", || server.get("/api/v1/jobs/one")["counts"]["running"] == 1);
    let executors = || -> Vec<i32> {
        let entries = fs::read_dir("/proc").expect("it is there").flatten();
        let is_it = |path: &std::path::Path| {
            let words = fs::read(path.join("cmdline")).unwrap_or_default();
            let words: Vec<&[u8]> = words.split(|byte| *byte == 0).collect();
            words.first() == Some(&PROGRAM.as_bytes())
                && words.contains(&&b"execute-job"[..])
                && words.contains(&place.path().join("store.db").to_str().expect("UTF-8").as_bytes())
        };
        let found = entries.filter(|entry| is_it(&entry.path()));
        found.filter_map(|entry| entry.file_name().to_str()?.parse().ok()).collect()
    };
    let first = executors();
    assert_eq!(first.len(), 1);
    let pid = rustix::process::Pid::from_raw(first[0]).expect("it runs");
    rustix::process::kill_process(pid, Signal::KILL).expect("it runs");
    wait_for("another process", || executors().iter().any(|pid| *pid != first[0]));
    place.write("go", "");
    server.wait_for_state("one", "SUCCEEDED");
    let job = server.get("/v1/projects/p/jobs/one");
    assert_eq!(job["trainingOutput"]["completedTrialCount"], "2");
}

#[test]
fn a_service_that_is_told_to_cancels_its_jobs_when_it_ends() {
    let place = place();
    let server = Server::start(&place, &["--cancel-on-exit", "--max-jobs", "1"]);
    server.post("/v1/projects/p/jobs", &job("runs", 2, "sleep 1000"));
    server.post("/v1/projects/p/jobs", &job("waits", 2, "sleep 1000"));
    wait_for("a trial", || server.get("/api/v1/jobs/runs")["counts"]["running"] == 1);
    server.signal(Signal::TERM);
    let (code, said) = server.ended();
    assert_eq!(code, Some(0));
    assert!(said.contains("cancelled: "), "{said}");
    for id in ["runs", "waits"] {
        assert_eq!(place.describe(id)["state"], "CANCELLED");
    }
    let out = place.path().join("hptune-jobs");
    wait_for("its processes to go", || processes_with(out.to_str().expect("UTF-8")).is_empty());
}

#[test]
fn long_curves_are_capped_with_a_note_and_read_in_pages() {
    let place = place();
    let values: Vec<f32> = (0..3_000).map(|n| n as f32).collect();
    place.write("acc.tfevents", event_file(&values));
    let server = Server::start(&place, &[]);
    server.post("/v1/projects/p/jobs", &job("long", 1, WRITE));
    server.wait_for_state("long", "SUCCEEDED");
    let got = server.get("/v1/projects/p/jobs/long");
    let metrics = got["trainingOutput"]["trials"][0]["allMetrics"].as_array().expect("a list").clone();
    assert_eq!(metrics.len(), 1_000);
    assert_eq!((&metrics[0]["trainingStep"], &metrics[999]["trainingStep"]), (&json!("1"), &json!("3000")));
    let note = got["hptuneOutput"]["note"].as_str().expect("a note");
    assert!(note.contains("/api/v1/jobs/long/trials/TRIAL/measurements"), "{note}");
    let page = server.get("/api/v1/jobs/long/trials/1/measurements?pageSize=10000");
    assert_eq!(page["measurements"].as_array().map(Vec::len), Some(3_000));
    assert_eq!(
        server.get("/api/v1/jobs/long/curves?maxPoints=50")["curves"][0]["points"].as_array().map(Vec::len),
        Some(50)
    );
}
