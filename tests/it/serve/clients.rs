//! The real clients: Google's API client for Python, and `gcloud`.

use std::fs;
use std::io::Write;
use std::path::PathBuf;
use std::process::{Command, Output, Stdio};

use super::{Server, WRITE, job, place};
use crate::support::{Place, Ran, wait_for};

#[test]
#[ignore = "needs google-api-python-client in HPTUNE_PEERS"]
fn the_google_api_client_submits_polls_pages_patches_and_cancels() {
    let place = place();
    let script = place.write("train.sh", WRITE);
    let server = Server::start(&place, &[]);
    let venv =
        std::env::var_os("HPTUNE_PEERS").expect("HPTUNE_PEERS names a virtual environment; see .ci/run");
    let client = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/peers/ml_client.py");
    let ran = Command::new(PathBuf::from(venv).join("bin/python"))
        .args([client, &format!("http://{}", server.address), &script])
        .output()
        .expect("it runs");
    let ran = Ran::of(&ran);
    assert_eq!(ran.code, Some(0), "{}", ran.err);
}

#[test]
#[ignore = "needs schemathesis in HPTUNE_PEERS"]
fn requests_made_of_the_description_are_answered_as_it_says() {
    let place = place();
    let server = Server::start(&place, &[]);
    assert_eq!(server.post("/v1/projects/p/jobs", &job("one", 2, WRITE)).code, 200);
    server.wait_for_state("one", "SUCCEEDED");
    let venv =
        std::env::var_os("HPTUNE_PEERS").expect("HPTUNE_PEERS names a virtual environment; see .ci/run");
    let address = format!("http://{}", server.address);
    let ran = Command::new(PathBuf::from(venv).join("bin/schemathesis"))
        .args(["run", &format!("{address}/openapi.json"), "--url", &address])
        // Streams have no end. What a configuration or a filter may say the description does not.
        .args(["--exclude-path-regex", "/events$", "--exclude-checks", "positive_data_acceptance"])
        .args(["--max-examples", "30", "--seed", "1", "--request-timeout", "30", "--no-color"])
        .current_dir(place.path())
        .output()
        .expect("it runs");
    let ran = Ran::of(&ran);
    assert_eq!(ran.code, Some(0), "{}{}", ran.out, ran.err);
}

/// The real `gcloud` against a service.
struct Gcloud<'p> {
    place: &'p Place,
    server: &'p Server,
}

/// Whether `gcloud` is on this machine; where it is not, that is said.
fn is_there() -> bool {
    let is_there = Command::new("gcloud").arg("--version").output().is_ok_and(|ran| ran.status.success());
    if !is_there {
        let _ = std::io::stderr()
            .write_all(b"\n*** NOT RUN: gcloud is not on this machine; its tests are skipped ***\n");
    }
    is_there
}

impl Gcloud<'_> {
    fn command(&self, arguments: &[&str]) -> Command {
        let endpoint = format!("http://{}/", self.server.address);
        let mut command = Command::new("gcloud");
        command
            .args(arguments)
            .current_dir(self.place.path())
            .env("CLOUDSDK_API_ENDPOINT_OVERRIDES_ML", &endpoint)
            .env("CLOUDSDK_API_ENDPOINT_OVERRIDES_LOGGING", &endpoint)
            .env("CLOUDSDK_API_ENDPOINT_OVERRIDES_STORAGE", format!("{endpoint}storage/v1/"))
            .env("CLOUDSDK_AUTH_DISABLE_CREDENTIALS", "true")
            .env("CLOUDSDK_CORE_PROJECT", "my-project")
            .env("CLOUDSDK_CONFIG", self.place.path().join("gcloud"))
            .env("CLOUDSDK_CORE_DISABLE_PROMPTS", "1")
            .env("CLOUDSDK_CORE_DISABLE_USAGE_REPORTING", "true")
            .env("CLOUDSDK_COMPONENT_MANAGER_DISABLE_UPDATE_CHECK", "true")
            .stdin(Stdio::null());
        command
    }

    #[track_caller]
    fn run(&self, arguments: &[&str]) -> Ran {
        let output: Output = self.command(arguments).output().expect("it runs");
        let ran = Ran::of(&output);
        assert_eq!(ran.code, Some(0), "{arguments:?}: {}", ran.err);
        ran
    }
}

/// The two files of a trainer, and the configuration of Cloud ML Engine's documentation.
fn write_trainer(place: &Place) {
    fs::create_dir(place.path().join("trainer")).expect("it is made");
    place.write("trainer/__init__.py", "");
    let events = place.path().join("acc.tfevents");
    place.write(
        "trainer/task.py",
        format!(
            "import argparse, os, shutil, sys\n\
             parser = argparse.ArgumentParser()\n\
             parser.add_argument('--job-dir')\n\
             parser.add_argument('--steps', type=int)\n\
             parser.add_argument('--hidden1', type=int)\n\
             args = parser.parse_args()\n\
             print('hidden1 is', args.hidden1, 'of', args.steps, 'steps', flush=True)\n\
             print('ERROR: only a test', file=sys.stderr, flush=True)\n\
             os.makedirs(args.job_dir, exist_ok=True)\n\
             shutil.copy({:?}, os.path.join(args.job_dir, 'x.tfevents.1'))\n",
            events.display().to_string()
        ),
    );
    place.write(
        "hptuning_config.yaml",
        "trainingInput:\n  scaleTier: BASIC\n  hyperparameters:\n    goal: MAXIMIZE\n    \
         hyperparameterMetricTag: acc\n    maxTrials: 2\n    maxParallelTrials: 1\n    params:\n    \
         - parameterName: hidden1\n      type: INTEGER\n      minValue: 40\n      maxValue: 400\n      \
         scaleType: UNIT_LINEAR_SCALE\n",
    );
}

#[test]
#[ignore = "needs gcloud; skipped where it is not there"]
fn the_commands_of_cloud_ml_engine_s_documentation_run() {
    if !is_there() {
        return;
    }
    let place = place();
    fs::create_dir(place.path().join("bucket")).expect("it is made");
    write_trainer(&place);
    let server = Server::start(&place, &["--bucket", "my-bucket=bucket"]);
    let gcloud = Gcloud { place: &place, server: &server };
    let submit = |id: &str, more: &[&str]| {
        let head =
            ["ml-engine", "jobs", "submit", "training", id, "--job-dir", &format!("gs://my-bucket/{id}")]
                .map(str::to_owned);
        let rest = [
            "--runtime-version=1.4",
            "--module-name=trainer.task",
            "--package-path=trainer/",
            "--region=us-central1",
            "--staging-bucket=gs://my-bucket",
            "--config=hptuning_config.yaml",
        ];
        let words: Vec<&str> =
            head.iter().map(String::as_str).chain(rest).chain(more.iter().copied()).collect();
        gcloud.run(&words)
    };
    let ran = submit("job_1", &["--stream-logs", "--", "--steps=7"]);
    let said = format!("{}{}", ran.out, ran.err);
    for part in
        ["hidden1 is", "of 7 steps", "only a test", "ERROR", "master-replica-0", "Job ended: SUCCEEDED"]
    {
        assert!(said.contains(part), "{part}: {said}");
    }
    // Each line once.
    assert_eq!(said.matches("of 7 steps").count(), 2, "{said}");
    assert!(place.path().join("bucket/job_1/1/x.tfevents.1").is_file());
    let shown = gcloud.run(&["ai-platform", "jobs", "describe", "job_1", "--format=json"]);
    let job: serde_json::Value = serde_json::from_str(&shown.out).expect("it is JSON");
    assert_eq!(job["trainingOutput"]["completedTrialCount"], "2");
    assert_eq!(job["trainingOutput"]["trials"][0]["finalMetric"]["objectiveValue"], 0.5);
    let listed = gcloud.run(&["ml-engine", "jobs", "list", "--limit=2", "--format=value(jobId)"]);
    assert_eq!(listed.out.trim(), "job_1");
    gcloud.run(&["ml-engine", "jobs", "update", "job_1", "--update-labels=owner=me"]);
    assert_eq!(server.get("/v1/projects/p/jobs/job_1")["labels"]["owner"], "me");
    let streamed = gcloud.run(&["ml-engine", "jobs", "stream-logs", "job_1", "--polling-interval=1"]);
    assert_eq!(format!("{}{}", streamed.out, streamed.err).matches("of 7 steps").count(), 2);
    // One that is cancelled.
    place.write("trainer/task.py", "import time\ntime.sleep(1000)\n");
    submit("job_2", &["--async"]);
    wait_for("a trial", || server.get("/api/v1/jobs/job_2")["counts"]["running"] == 1);
    gcloud.run(&["ml-engine", "jobs", "cancel", "job_2"]);
    server.wait_for_state("job_2", "CANCELLED");
    let ran = Ran::of(&gcloud.command(&["ml-engine", "jobs", "describe", "none"]).output().expect("it runs"));
    assert_eq!(ran.code, Some(1));
    assert!(ran.err.contains("there is no job `none`"), "{}", ran.err);
}
