//! Real programs on the other side: `moto_server` for S3, the cloudml-hypertune package, and tensorboardX.
//!
//! They come from PyPI: `.ci/run` installs them and names their virtual environment in `HPTUNE_PEERS`. Without it
//! these tests are not run, and not called passed.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use serde_json::Value as Json;

use crate::support::{Place, Ran, config, event_file, event_file_at};
use crate::watch::Watching;

fn peer(program: &str) -> PathBuf {
    let venv =
        std::env::var_os("HPTUNE_PEERS").expect("HPTUNE_PEERS names a virtual environment; see .ci/run");
    PathBuf::from(venv).join("bin").join(program)
}

/// A process that ends with its test.
struct Running(Child);

impl Drop for Running {
    fn drop(&mut self) {
        // Nothing to do where it has ended already.
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// A running `moto_server`.
struct Moto {
    _server: Running,
    address: SocketAddr,
}

impl Moto {
    fn start() -> Self {
        // It takes no port 0: one that was free a moment ago.
        let free = TcpListener::bind("127.0.0.1:0").expect("it listens");
        let address = free.local_addr().expect("an address");
        drop(free);
        let port = address.port().to_string();
        let child = Command::new(peer("moto_server"))
            .args(["-H", "127.0.0.1", "-p", &port])
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .expect("it starts");
        let moto = Self { _server: Running(child), address };
        let give_up = Instant::now() + Duration::from_secs(60);
        while TcpStream::connect(address).is_err() {
            assert!(Instant::now() < give_up, "moto_server does not answer");
            thread::sleep(Duration::from_millis(50));
        }
        moto.put("/bucket", b"");
        moto
    }

    /// It does not check signatures: a plain request does.
    fn put(&self, path: &str, bytes: &[u8]) {
        let mut stream = TcpStream::connect(self.address).expect("it connects");
        let head = format!(
            "PUT {path} HTTP/1.1\r\nHost: {}\r\nAuthorization: AWS4-HMAC-SHA256 \
             Credential=test/20260101/us-east-1/s3/aws4_request, SignedHeaders=host, Signature=none\r\nContent-Length: {}\r\nConnection: close\r\n\r\n",
            self.address,
            bytes.len()
        );
        stream.write_all(&[head.as_bytes(), bytes].concat()).expect("it is sent");
        let mut answer = String::new();
        stream.read_to_string(&mut answer).expect("it answers");
        assert!(answer.starts_with("HTTP/1.1 200"), "{answer}");
    }

    fn watch(&self, place: &Place, address: &str, more: &[&str]) -> Command {
        let mut command = place.command(&[&["watch", address], more].concat());
        self.environment(&mut command);
        command
    }

    /// Has a command find the server and its credentials.
    fn environment<'c>(&self, command: &'c mut Command) -> &'c mut Command {
        command
            .env("AWS_ENDPOINT", format!("http://{}", self.address))
            .env("AWS_ALLOW_HTTP", "true")
            .env("AWS_REGION", "us-east-1")
            .env("AWS_ACCESS_KEY_ID", "test")
            .env("AWS_SECRET_ACCESS_KEY", "test")
    }
}

#[test]
#[ignore = "needs moto_server in HPTUNE_PEERS"]
fn objects_on_s3_are_followed_each_value_once() {
    let (moto, place) = (Moto::start(), Place::new());
    let whole = event_file(&[0.5, 0.6, 0.7, 0.8, 0.9]);
    moto.put("/bucket/job/a/events.out.tfevents.1.h", &whole[..event_file(&[0.5, 0.6]).len() + 9]);
    moto.put("/bucket/job/model.ckpt", b"never read");
    moto.put("/bucket/job2/events.out.tfevents.1.h", &event_file_at(&[(99, 0.5)]));
    let watching =
        Watching::start(moto.watch(&place, "s3://bucket/job", &["--poll", "50ms", "--state", "state"]));
    watching.expect_points([1, 2]);
    moto.put("/bucket/job/a/events.out.tfevents.1.h", &whole);
    watching.expect_points([3, 4, 5]);
    moto.put("/bucket/job/b/c/events.out.tfevents.2.h", &event_file_at(&[(7, 0.5)]));
    let point = watching.next("point");
    assert_eq!((point["run"].as_str(), point["step"].as_i64()), (Some("b/c"), Some(7)));
    // Another file takes the place of the first.
    let mut other = event_file_at(&[(20, 0.5), (21, 0.5)]);
    other.drain(..event_file_at(&[]).len());
    let mut replaced = Vec::new();
    let version = tfevents::event::encode_file_version(hptune::units::WallTime(9.0), "other");
    tfevents::record::encode(&version, &mut replaced);
    replaced.extend(other);
    moto.put("/bucket/job/a/events.out.tfevents.1.h", &replaced);
    assert_eq!(watching.next("rewritten")["file"], "a/events.out.tfevents.1.h");
    watching.expect_points([20, 21]);
    watching.signal("TERM");
    assert_eq!(watching.next("end")["points"], 8);
    assert_eq!(watching.wait(), Some(143));
    // Another process goes on from there, and has nothing to tell.
    let again = Watching::start(moto.watch(&place, "s3://bucket/job", &["--once", "--state", "state"]));
    assert_eq!(again.next("end")["points"], 8);
    assert_eq!(again.wait(), Some(0));
    // A bucket that is not there is named.
    let output = moto.watch(&place, "s3://nobucket/job", &["--once"]).output().expect("it runs");
    assert!(String::from_utf8_lossy(&output.stderr).contains("nobucket"), "{output:?}");
    assert_ne!(output.status.code(), Some(0));
}

#[test]
#[ignore = "needs moto_server and tensorboardX in HPTUNE_PEERS"]
fn a_job_whose_trainer_writes_to_s3_is_tuned() {
    let (moto, place) = (Moto::start(), Place::new());
    place.write("c.yaml", config(3, "maxParallelTrials: 2", ""));
    let script = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("tests/peers/s3_writer.py");
    let (python, script) = (peer("python"), script.to_string_lossy().into_owned());
    let python = python.to_string_lossy();
    let head = ["run", "c.yaml", "--job-id", "job", "--job-dir", "s3://bucket/jobs", "--"];
    let mut command = place.command(&[&head[..], &[&python, &script]].concat());
    let command = moto.environment(&mut command).env("S3_ENDPOINT", format!("http://{}", moto.address));
    let ran = Ran::of(&command.output().expect("it runs"));
    assert_eq!(ran.code, Some(0), "{}", ran.err);
    for trial in place.describe("job")["trainingOutput"]["trials"].as_array().expect("a list") {
        let x: f64 = trial["hyperparameters"]["x"].as_str().and_then(|x| x.parse().ok()).expect("a number");
        assert_eq!(trial["finalMetric"]["trainingStep"], "4", "{trial}");
        let value = trial["finalMetric"]["objectiveValue"].as_f64().map(|value| value as f32);
        assert_eq!(value, Some((x / 1024.0 + 4.0) as f32), "{trial}");
    }
}

#[test]
#[ignore = "needs the cloudml-hypertune package in HPTUNE_PEERS"]
fn each_report_of_the_cloudml_hypertune_package_arrives_once() {
    let script = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("tests/peers/report.py");
    let place = Place::new();
    let python = peer("python");
    let mut command = place.command(&["watch", "job", "--tag", "accuracy", "--to", "file:out.jsonl", "--"]);
    command.arg(&python).arg(&script);
    let output = command.output().expect("it runs");
    assert_eq!(output.status.code(), Some(7), "the trainer's code: {output:?}");
    let text = std::fs::read_to_string(place.path().join("out.jsonl")).expect("it is written");
    let lines: Vec<Json> = text.lines().map(|line| serde_json::from_str(line).expect("it is JSON")).collect();
    let points: Vec<&Json> = lines.iter().filter(|line| line["kind"] == "point").collect();
    let steps: Vec<i64> = points.iter().map(|point| point["step"].as_i64().expect("a step")).collect();
    assert_eq!(steps, (0..250).collect::<Vec<_>>());
    assert_eq!((&points[50]["value"], &points[51]["value"]), (&"NaN".into(), &"Infinity".into()));
    assert_eq!(points[249]["value"].as_f64(), Some(249.0 / 7.0));
}

#[test]
#[ignore = "needs the cloudml-hypertune package in HPTUNE_PEERS"]
fn a_job_takes_its_results_from_the_cloudml_hypertune_package() {
    let script = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("tests/peers/report.py");
    let place = Place::new();
    place.write("c.yaml", crate::support::config(1, "", "").replace("Tag: acc", "Tag: accuracy"));
    let line = format!("{} {}; exit 0", peer("python").display(), script.display());
    let ran = place.run(&["run", "c.yaml", "--job-id", "job", "--job-dir", "out", "--", "sh", "-c", &line]);
    assert_eq!(ran.code, Some(0), "{}", ran.err);
    let trial = &place.describe("job")["trainingOutput"]["trials"][0];
    assert_eq!(trial["allMetrics"].as_array().map(Vec::len), Some(250));
    assert_eq!(trial["finalMetric"]["objectiveValue"].as_f64(), Some(249.0 / 7.0));
}

/// Runs one trial of the trainer with tensorboardX.
fn run_tensorboardx(place: &Place, config: &str, mode: &str) -> Ran {
    let script = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("tests/peers/tensorboardx_trainer.py");
    place.write("c.yaml", config);
    let (python, script) = (peer("python").display().to_string(), script.display().to_string());
    let head = ["run", "c.yaml", "--job-id", "job", "--job-dir", "out", "--"];
    // Its parameter is of no use to it.
    place.run(&[&head[..], &[&python, &script, mode, "{job_dir}", "{x}"]].concat())
}

#[test]
#[ignore = "needs tensorboardX in HPTUNE_PEERS"]
fn a_placeholder_that_tensorboardx_wrote_is_no_result() {
    let place = Place::new();
    let text = config(1, "", "").replace("Tag: acc", "Tag: hp_metric");
    let ran = run_tensorboardx(&place, &text, "placeholder");
    assert_eq!(ran.code, Some(1), "{}", ran.err);
    assert!(ran.err.contains("`hp_metric` has one value only, -1 at step 0"), "{}", ran.err);
    assert!(ran.err.contains("there are values under `val_loss`"), "{}", ran.err);
}

/// Runs one trial of a Python trainer of `tests/peers`, started by a line of the shell in which it is `$TRAINER`.
fn run_by_shell(text: &str, line: &str, trainer: &str) -> (Ran, Json) {
    let place = Place::new();
    place.write("c.yaml", text);
    let trainer = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("tests/peers").join(trainer);
    let trainer = format!("{} {}", peer("python").display(), trainer.display());
    let head = ["run", "c.yaml", "--job-id", "job", "--job-dir", "out", "--", "sh", "-c", line, "sh"];
    let output = place.command(&[&head[..], &["{job_dir}", "{x}"]].concat()).env("TRAINER", trainer).output();
    (Ran::of(&output.expect("it runs")), place.describe("job"))
}

#[test]
#[ignore = "needs tensorboardX in HPTUNE_PEERS"]
fn a_training_that_was_put_into_the_background_is_told_from_what_trainers_leave_behind() {
    // It is begun when the command ends, or has yet to begin.
    for wait in ["", "; until [ -e \"$1\"/events* ]; do sleep 0.01; done"] {
        let line = format!("nohup $TRAINER slow \"$1\" > /dev/null 2>&1 & echo submitted{wait}");
        let (ran, job) = run_by_shell(&config(1, "", ""), &line, "left_behind.py");
        let outcome = &job["hptuneOutput"]["trials"][0]["outcome"];
        assert_eq!(ran.code, Some(1), "{}", ran.err);
        let is_told = outcome.as_str().is_some_and(|told| told.contains("its command ended while `"));
        assert!(is_told, "{outcome}");
        // A long command is cut off: how it begins is there.
        let program = peer("python").display().to_string();
        assert!(wait.is_empty() || outcome.to_string().contains(&program), "{outcome}");
        let (ran, job) =
            run_by_shell(&config(1, "", "trial: {waitForChildren: true}"), &line, "left_behind.py");
        assert_eq!(ran.code, Some(0), "{}", ran.err);
        assert_eq!(job["trainingOutput"]["trials"][0]["finalMetric"]["objectiveValue"], 0.4);
    }
    let (ran, job) = run_by_shell(&config(1, "", ""), "exec $TRAINER helpers \"$1\"", "left_behind.py");
    assert_eq!(ran.code, Some(0), "{}", ran.err);
    assert_eq!(job["trainingOutput"]["trials"][0]["finalMetric"]["objectiveValue"], 0.4);
}

#[test]
#[ignore = "needs the cloudml-hypertune package in HPTUNE_PEERS"]
fn a_trainer_takes_the_metric_from_the_service_s_variable() {
    let text = config(1, "", "").replace("Tag: acc", "Tag: my_top_5_accuracy");
    let (ran, job) = run_by_shell(&text, "exec $TRAINER", "metric_tag.py");
    assert_eq!(ran.code, Some(0), "{}", ran.err);
    assert_eq!(job["trainingOutput"]["trials"][0]["finalMetric"]["objectiveValue"], 0.5);
}

#[test]
#[ignore = "needs tensorboardX in HPTUNE_PEERS"]
fn values_that_tensorboardx_keeps_back_are_told_of() {
    let place = Place::new();
    let ran = run_tensorboardx(&place, &config(1, "", ""), "late");
    assert_eq!(ran.code, Some(0), "{}", ran.err);
    assert!(ran.err.contains("12 values of `acc` came at once, up to 1"), "{}", ran.err);
    assert!(ran.err.contains("flush_secs=5"), "{}", ran.err);
}

#[test]
#[ignore = "needs tensorboardX in HPTUNE_PEERS"]
fn epochs_whose_batches_are_counted_anew_are_passes() {
    let place = Place::new();
    let ran = run_tensorboardx(&place, &config(1, "", ""), "epochs");
    assert_eq!(ran.code, Some(0), "{}", ran.err);
    assert!(ran.err.contains("each step was written 3 times; the last counts"), "{}", ran.err);
    let metrics = &place.describe("job")["trainingOutput"]["trials"][0]["allMetrics"];
    assert_eq!(metrics.as_array().map(Vec::len), Some(60), "{metrics}");
}

#[test]
#[ignore = "needs tensorboardX in HPTUNE_PEERS"]
fn ranks_that_write_one_directory_are_side_by_side_and_rank_0_counts() {
    let place = Place::new();
    let ran = run_tensorboardx(&place, &config(1, "", ""), "ranks");
    assert_eq!(ran.code, Some(0), "{}", ran.err);
    assert!(!ran.err.contains("restarted"), "{}", ran.err);
    let told = "3 writers side by side hold the same steps with other values: those of the lowest rank count";
    assert!(ran.err.contains(told), "{}", ran.err);
    let metrics = place.describe("job")["trainingOutput"]["trials"][0]["allMetrics"].clone();
    let values = metrics.as_array().expect("an array").iter().map(|m| m["objectiveValue"].as_f64());
    assert_eq!(values.collect::<Vec<_>>(), (0..10).map(|step| Some(f64::from(step))).collect::<Vec<_>>());
}

#[test]
#[ignore = "needs Python in HPTUNE_PEERS, and openssl"]
fn a_web_sink_behind_tls_is_trusted_or_not() {
    let place = Place::new();
    std::fs::create_dir(place.path().join("job")).expect("a directory");
    place.write("job/events.out.tfevents.1.h", event_file(&[0.5, 0.6]));
    let script = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("tests/peers/https.py");
    let server = Command::new(peer("python"))
        .arg(script)
        .current_dir(place.path())
        .stdout(Stdio::piped())
        .spawn()
        .expect("it starts");
    let mut server = Running(server);
    let mut lines =
        std::io::BufRead::lines(std::io::BufReader::new(server.0.stdout.take().expect("it is piped")));
    let port = lines.next().expect("a port").expect("text");
    let sink = format!("https://localhost:{port}/points");
    let arguments = ["watch", "job", "--once", "--grace", "1s", "--to", &sink];
    // Nobody vouches for it: nothing is sent, and the reason is told.
    let stranger = place.command(&arguments).output().expect("it runs");
    let told = String::from_utf8_lossy(&stranger.stderr).to_lowercase();
    assert!(told.contains("certificate"), "{told}");
    assert_ne!(stranger.status.code(), Some(0));
    // The user does.
    let trusted = place.command(&arguments).env("SSL_CERT_FILE", place.path().join("ca.pem")).output();
    let trusted = trusted.expect("it runs");
    assert_eq!(trusted.status.code(), Some(0), "{trusted:?}");
    let mut n_points = 0;
    while n_points < 2 {
        let body: Json =
            serde_json::from_str(&lines.next().expect("a body").expect("text")).expect("it is JSON");
        let lines = body["lines"].as_array().expect("lines");
        n_points += lines.iter().filter(|line| line["kind"] == "point").count();
    }
    assert_eq!(n_points, 2);
}

/// The program in a user namespace of its own, in which limits can be set and it can be the first process.
fn unshared(place: &Place, options: &[&str], script: &str) -> std::process::Output {
    Command::new("unshare")
        .args(["--user", "--map-root-user"])
        .args(options)
        .args(["sh", "-c", script])
        .current_dir(place.path())
        .env("HPTUNE", crate::support::PROGRAM)
        .env("HPTUNE_STORE", place.path().join("store.db"))
        .stdin(Stdio::null())
        .output()
        .expect("unshare is there")
}

/// Runs a job whose store is on a disk of its own, which is full once its trainer has made the file `begun`. When the
/// job has told of that, the shell goes on with `then`, where `$job` is the controller.
fn run_on_a_full_disk(place: &Place, config: String, trainer: &str, then: &str) -> std::process::Output {
    place.write("c.yaml", config);
    place.write("acc.tfevents", event_file(&[0.25, 0.5]));
    place.write("trainer.sh", format!("cp acc.tfevents $HPTUNE_JOB_DIR/x.tfevents.1; {trainer}"));
    let script = format!(
        "mkdir disk && mount -t tmpfs -o size=8m none disk && export HPTUNE_STORE=$PWD/disk/store.db
        $HPTUNE run c.yaml --job-id job --job-dir out -- sh trainer.sh > summary 2> told & job=$!
        tells() {{ until grep -q \"$1\" told; do sleep 0.02; kill -0 $job || exit 9; done; }}
        until [ -e begun ]; do sleep 0.02; done
        cat /dev/zero > disk/full
        : > is-full
        tells 'trying again'
        {then}"
    );
    unshared(place, &["--mount"], &script)
}

#[test]
#[ignore = "needs unshare and user namespaces"]
fn a_disk_that_is_full_for_a_while_costs_no_trial() {
    let place = Place::new();
    let trainer = ": > begun; until [ -e is-full ]; do sleep 0.02; done";
    let then = "rm disk/full; wait $job || exit 8; $HPTUNE jobs describe job --format json";
    let output = run_on_a_full_disk(&place, crate::support::config(2, "", ""), trainer, then);
    assert_eq!(output.status.code(), Some(0), "{output:?}");
    let told = std::fs::read_to_string(place.path().join("told")).expect("it is written");
    assert_eq!(told.matches("disk is full; trying again").count(), 1, "{told}");
    let job: Json = serde_json::from_slice(&output.stdout).expect("it is JSON");
    let trials = job["trainingOutput"]["trials"].as_array().expect("a list");
    let results: Vec<&Json> = trials.iter().map(|t| &t["finalMetric"]["objectiveValue"]).collect();
    assert_eq!(results, [&Json::from(0.5), &Json::from(0.5)], "{job}");
}

#[test]
#[ignore = "needs unshare and user namespaces"]
fn a_trial_that_is_to_stop_while_the_disk_is_full_gets_its_grace_afterwards() {
    let place = Place::new();
    let config = crate::support::config(1, "", "trial: {maxRunningTime: 1s, gracePeriod: 2s}");
    let trainer =
        "trap 'sleep 0.5; echo saved > checkpoint; exit' TERM; : > begun; while :; do sleep 0.02; done";
    // Full for longer than what the trial may run and its grace together.
    let then = "sleep 4; [ ! -e checkpoint ] || exit 8; rm disk/full; wait $job";
    let output = run_on_a_full_disk(&place, config, trainer, then);
    assert_eq!(output.status.code(), Some(0), "{output:?}");
    let saved = std::fs::read_to_string(place.path().join("checkpoint")).unwrap_or_default();
    assert_eq!(saved, "saved\n", "{output:?}");
}

#[test]
#[ignore = "needs unshare and user namespaces"]
fn a_job_can_be_ended_while_its_disk_is_full() {
    let place = Place::new();
    let config = crate::support::config(1, "", "trial: {gracePeriod: 200ms}");
    let then = "kill -TERM $job; tells 'a second Ctrl-C'; kill -TERM $job; wait $job";
    let output = run_on_a_full_disk(&place, config, ": > begun; sleep 1000", then);
    assert_eq!(output.status.code(), Some(3), "{output:?}");
    let out = place.path().join("out");
    assert_eq!(crate::support::processes_with(&out.to_string_lossy()), Vec::<i32>::new());
}

/// Runs a job of three trials whose directory is on a disk of its own, which the first trial fills. When the job has
/// told of that, the shell goes on with `then`.
fn run_in_a_full_directory(place: &Place, then: &str) -> std::process::Output {
    place.write("c.yaml", crate::support::config(3, "", ""));
    place.write("acc.tfevents", event_file(&[0.25, 0.5]));
    let fill = "[ $CLOUD_ML_TRIAL_ID != 1 ] || cat /dev/zero > out/full; exit 0";
    place.write("trainer.sh", format!("cp acc.tfevents $HPTUNE_JOB_DIR/x.tfevents.1; {fill}"));
    let script = format!(
        "mkdir out && mount -t tmpfs -o size=1m none out
        id=full_$$; $HPTUNE run c.yaml --job-id $id --job-dir out -- sh trainer.sh > summary 2> told & job=$!
        until grep -q 'trying again' told; do sleep 0.02; kill -0 $job || exit 9; done
        {then}; code=$?; find /sys/fs/cgroup -name \"hptune-$id-*\" > groups
        $HPTUNE jobs describe $id --format json; exit $code"
    );
    unshared(place, &["--mount"], &script)
}

#[test]
#[ignore = "needs unshare and user namespaces"]
fn a_job_directory_that_is_full_for_a_while_costs_no_trial() {
    let place = Place::new();
    let output = run_in_a_full_directory(&place, "sleep 2; rm out/full; wait $job");
    let told = std::fs::read_to_string(place.path().join("told")).expect("it is written");
    assert_eq!(output.status.code(), Some(0), "{told}");
    assert_eq!(told.matches("No space left on device (os error 28); trying again").count(), 1, "{told}");
    assert_eq!(told.matches("trials can be started again").count(), 1, "{told}");
    let job: Json = serde_json::from_slice(&output.stdout).expect("it is JSON");
    let trials = job["trainingOutput"]["trials"].as_array().expect("a list");
    let results: Vec<&Json> = trials.iter().map(|t| &t["finalMetric"]["objectiveValue"]).collect();
    assert_eq!(results, [&Json::from(0.5), &Json::from(0.5), &Json::from(0.5)], "{job}");
}

#[test]
#[ignore = "needs unshare and user namespaces"]
fn a_trial_that_waits_for_room_is_cancelled_with_its_job() {
    let place = Place::new();
    let output = run_in_a_full_directory(&place, "kill -TERM $job; wait $job");
    assert_eq!(output.status.code(), Some(143), "{output:?}");
    let job: Json = serde_json::from_slice(&output.stdout).expect("it is JSON");
    let trials = job["hptuneOutput"]["trials"].as_array().expect("a list");
    let outcomes: Vec<&Json> = trials.iter().map(|trial| &trial["outcome"]).collect();
    assert_eq!(outcomes, ["succeeded", "cancelled"], "{job}");
    assert_eq!(std::fs::read_to_string(place.path().join("groups")).expect("it is written"), "");
}

#[test]
#[ignore = "needs unshare and user namespaces"]
fn where_no_more_watches_are_to_be_had_polling_goes_on_and_it_is_told_once() {
    let place = Place::new();
    for directory in ["job/a", "job/b", "job/c"] {
        std::fs::create_dir_all(place.path().join(directory)).expect("a directory");
        place.write(&format!("{directory}/events.out.tfevents.1.h"), event_file(&[0.5]));
    }
    let script = "echo 2 > /proc/sys/user/max_inotify_watches && exec $HPTUNE watch job --until-idle 2s";
    let output = unshared(&place, &[], script);
    let told = String::from_utf8_lossy(&output.stderr);
    assert_eq!(told.matches("limit of watches is reached").count(), 1, "{told}");
    let points = String::from_utf8_lossy(&output.stdout).matches("\"kind\":\"point\"").count();
    assert_eq!((output.status.code(), points), (Some(0), 3));
}

#[test]
#[ignore = "needs unshare and user namespaces"]
fn the_first_process_of_a_container_collects_orphans_and_passes_on_the_end() {
    let place = Place::new();
    // Three orphans end while the trainer runs; none of them may be left as a zombie.
    let trainer = "(sleep 0.1 &); (setsid sleep 0.1 &); (timeout 9 sleep 0.1 &); sleep 1; ls /proc > all; cat /proc/[0-9]*/stat > stats; exit 5";
    let script = format!("exec $HPTUNE watch job --to file:out -- sh -c '{trainer}'");
    let output = unshared(&place, &["--pid", "--fork", "--mount-proc"], &script);
    assert_eq!(output.status.code(), Some(5), "{output:?}");
    let stats = std::fs::read_to_string(place.path().join("stats")).expect("it is written");
    assert!(stats.starts_with("1 (hptune)"), "{stats}");
    assert!(!stats.contains(") Z "), "{stats}");
    // A signal to the first process reaches the trainer.
    let trainer = "trap \"echo caught > caught; exit 9\" TERM; kill -TERM 1; sleep 20";
    let script = format!("exec $HPTUNE watch job --to file:out2 -- sh -c '{trainer}'");
    let output = unshared(&place, &["--pid", "--fork", "--mount-proc"], &script);
    assert!(place.path().join("caught").exists(), "{output:?}");
}

/// Runs a job of one trial with a shell script as its trainer; `acc.tfevents` beside it is an event file.
fn run_trial(place: &Place, options: &str, script: &str) -> Ran {
    place.write("c.yaml", config(1, "", options));
    place.write("acc.tfevents", event_file(&[0.5]));
    Ran::of(&place.job(&[], script).output().expect("it runs"))
}

/// A control group of version 1, removed with its test.
struct Group(PathBuf);

impl Group {
    fn make(controller: &str) -> Self {
        let name = format!("hptune-test-{}", std::process::id());
        let path = PathBuf::from("/sys/fs/cgroup").join(controller).join(name);
        std::fs::create_dir(&path).expect("root may make one");
        Self(path)
    }

    fn set(&self, file: &str, value: &str) {
        std::fs::write(self.0.join(file), value).expect("it is set");
    }
}

impl Drop for Group {
    fn drop(&mut self) {
        // What is left in it is frozen.
        let _ = std::fs::write(self.0.join("freezer.state"), "THAWED");
        for _ in 0..100 {
            if std::fs::remove_dir(&self.0).is_ok() {
                break;
            }
            thread::sleep(Duration::from_millis(20));
        }
    }
}

#[test]
#[ignore = "needs root and control groups of version 1"]
fn a_trainer_that_the_kernel_kills_for_its_memory_is_told_from_others() {
    let group = Group::make("memory");
    group.set("memory.limit_in_bytes", "200M");
    let place = Place::new();
    place.write("c.yaml", config(1, "", ""));
    // All of it is in the group, as in a container.
    let script = format!(
        "echo $$ > {}/cgroup.procs; exec $HPTUNE run c.yaml -- python3 -c 'x = bytearray(600 << 20)'",
        group.0.display()
    );
    let mut command = Command::new("sh");
    command.args(["-c", &script]).current_dir(place.path()).env("HPTUNE", crate::support::PROGRAM);
    let ran = Ran::of(&command.env("HPTUNE_STORE", place.path().join("db")).output().expect("it runs"));
    assert!(ran.err.contains("trial 1 failed: killed by the kernel: out of memory"), "{}", ran.err);
    let ran = run_trial(&Place::new(), "", "kill -9 $$");
    assert!(ran.err.contains("trial 1 failed: killed by signal 9 (SIGKILL)"), "{}", ran.err);
}

#[test]
#[ignore = "needs root and control groups of version 1"]
fn a_trial_that_cannot_be_killed_costs_its_slot_and_not_the_job() {
    let group = Group::make("freezer");
    let place = Place::new();
    place.write("acc.tfevents", event_file(&[0.5]));
    let options = "trial: {gracePeriod: 100ms, maxRunningTime: 1s}";
    place.write("c.yaml", config(4, "maxParallelTrials: 2", options));
    let procs = group.0.join("cgroup.procs").display().to_string();
    let state = group.0.join("freezer.state").display().to_string();
    // The first trial freezes; KILL reaches it only when it is thawed, which nobody does before the job's end.
    let script = format!(
        "cp acc.tfevents $HPTUNE_JOB_DIR/x.tfevents.1; [ $CLOUD_ML_TRIAL_ID = 1 ] || exit 0; \
         (sleep 0.1; echo FROZEN > {state}) & echo $$ > {procs}; while :; do sleep 1; done"
    );
    let ran = Ran::of(&place.job(&[], &script).output().expect("it runs"));
    assert_eq!(ran.code, Some(0), "{}", ran.err);
    assert!(ran.err.contains("trial 1: cannot be killed: process"), "{}", ran.err);
    let job = place.describe("job");
    let trials = job["hptuneOutput"]["trials"].as_array().expect("a list");
    let outcomes: Vec<&str> = trials.iter().filter_map(|trial| trial["outcome"].as_str()).collect();
    assert_eq!(outcomes, ["stopped early", "succeeded", "succeeded", "succeeded"]);
}

#[test]
#[ignore = "needs python3 -m venv, and moto from PyPI"]
fn packages_are_installed_into_the_job_s_own_environment() {
    let place = Place::new();
    // A wheel is an archive with a module and three files about it.
    let make = r#"
import zipfile
with zipfile.ZipFile("tiny_trainer-1.0-py3-none-any.whl", "w") as wheel:
    about = "tiny_trainer-1.0.dist-info/"
    wheel.writestr("tiny_trainer/__init__.py", "")
    wheel.writestr("tiny_trainer/task.py", "import os, shutil, sys; print(sys.prefix, sys.argv[1:]); "
        "shutil.copy('acc.tfevents', os.path.join(os.environ['HPTUNE_JOB_DIR'], 'x.tfevents.1'))")
    wheel.writestr(about + "METADATA", "Metadata-Version: 2.1\nName: tiny-trainer\nVersion: 1.0\n")
    wheel.writestr(about + "WHEEL", "Wheel-Version: 1.0\nGenerator: test\nRoot-Is-Purelib: true\nTag: py3-none-any\n")
    wheel.writestr(about + "RECORD", "")
"#;
    let made = Command::new("python3").args(["-c", make]).current_dir(place.path()).status();
    assert!(made.expect("it runs").success());
    place.write("acc.tfevents", event_file(&[0.5]));
    let name = "tiny_trainer-1.0-py3-none-any.whl";
    let moto = Moto::start();
    moto.put(&format!("/bucket/{name}"), &std::fs::read(place.path().join(name)).expect("it is there"));
    for (job, uri) in [("a", name.to_owned()), ("b", format!("s3://bucket/{name}"))] {
        let fields = format!(
            "trainingInput:\n  pythonModule: tiny_trainer.task\n  args: [--epochs, 3]\n  packageUris: ['{uri}']\n"
        );
        place.write("c.yaml", config(2, "", "").replace("trainingInput:\n", &fields));
        let mut command = place.command(&["run", "c.yaml", "--job-id", job, "--job-dir", job]);
        let ran = Ran::of(&moto.environment(&mut command).output().expect("it runs"));
        assert_eq!(ran.code, Some(0), "{}", ran.err);
        let log = std::fs::read_to_string(place.path().join(job).join(".hptune/1/trainer.log"));
        let log = log.expect("it is there");
        let prefix = place.path().join(job).join(".hptune/python");
        assert!(
            log.starts_with(&*prefix.to_string_lossy()) && log.contains("'--epochs', '3', '--x="),
            "{log}"
        );
    }
    let fields = "trainingInput:\n  pythonModule: m\n  packageUris: [no-such.whl]\n";
    place.write("c.yaml", config(2, "", "").replace("trainingInput:\n", fields));
    let ran = place.run(&["run", "c.yaml", "--job-dir", "c"]);
    assert!(ran.code == Some(2) && ran.err.contains("packageUris: no-such.whl: No such file"), "{}", ran.err);
    assert_eq!(place.n_jobs(), 2);
}

#[test]
#[ignore = "needs root and mount namespaces"]
fn a_trainer_that_never_stops_forking_is_killed_with_and_without_control_groups() {
    let trainer = "trap '' TERM; cp acc.tfevents $HPTUNE_JOB_DIR/x.tfevents.1; \
                   while :; do (trap '' TERM; setsid sleep 1000 &) ; sleep 0.001; done";
    // Without the mount there is no group to be made: the tree is walked.
    for hide in ["true", "umount -a -t cgroup2"] {
        let place = Place::new();
        place.write("acc.tfevents", event_file(&[0.5]));
        place.write("c.yaml", config(1, "", "trial: {gracePeriod: 100ms, maxRunningTime: 500ms}"));
        place.write("trainer.sh", trainer);
        let script = format!("{hide}; exec $HPTUNE run c.yaml --job-id job --job-dir out -- sh trainer.sh");
        let mut command = Command::new("unshare");
        command
            .args(["--mount", "sh", "-c", &script])
            .current_dir(place.path())
            .env("HPTUNE", crate::support::PROGRAM)
            .env("HPTUNE_STORE", place.path().join("store.db"));
        let ran = Ran::of(&command.output().expect("it runs"));
        assert_eq!(ran.code, Some(0), "{}", ran.err);
        assert!(ran.err.contains("trial 1 stopped early"), "{}", ran.err);
        let left = crate::support::processes_with(&place.path().join("out").to_string_lossy());
        assert_eq!(left, Vec::<i32>::new());
        let record = std::fs::read_to_string(place.path().join("out/.hptune/1/attempt-1.jsonl"));
        let has_group = record.expect("it is there").contains("\"cgroup\":\"/");
        assert_eq!(has_group, hide == "true", "both ways were taken");
    }
}

/// Tunes a trainer of `examples/trainers`, as it stands there, with `--seed 1`. The answer is of each trial the step
/// and the value of its result.
#[track_caller]
fn tune_example(place: &Place, name: &str, python: PathBuf, arguments: &[&str]) -> Vec<(i64, f64)> {
    let examples = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("examples/trainers");
    let (config, trainer) =
        (examples.join(format!("{name}.yaml")), examples.join(format!("{name}_digits.py")));
    let (config, trainer) = (config.to_string_lossy(), trainer.to_string_lossy());
    let python = python.to_string_lossy();
    let head =
        ["run", &config, "--seed", "1", "--job-id", "job", "--job-dir", "out", "--", &python, &trainer];
    let ran = place.run(&[&head[..], arguments].concat());
    assert_eq!(ran.code, Some(0), "{}", ran.err);
    let job = place.describe("job");
    let trials = job["trainingOutput"]["trials"].as_array().expect("a list");
    let result = |trial: &Json| {
        let metric = &trial["finalMetric"];
        let step = metric["trainingStep"].as_str().and_then(|step| step.parse().ok());
        step.zip(metric["objectiveValue"].as_f64()).unwrap_or_else(|| panic!("{trial}: {}", ran.err))
    };
    trials.iter().map(result).collect()
}

#[test]
#[ignore = "needs tensorboardX and scikit-learn in HPTUNE_PEERS"]
fn tutorials_of_tensorboardx_and_scikit_learn_are_tuned_as_they_are() {
    // Two at once, each in its own directory.
    let place = Place::new();
    let results = tune_example(&place, "tensorboardx", peer("python"), &[]);
    assert_eq!(results.len(), 8);
    assert!(results.iter().all(|(step, _)| *step == 19), "{results:?}");
    assert!(results.iter().any(|(_, value)| *value > 0.9), "{results:?}");
    assert!(!place.path().join("runs").exists());
    // One after the other, below ./runs.
    let place = Place::new();
    let places = ["--alpha", "{alpha}", "--penalty", "{penalty}"];
    let results = tune_example(&place, "sklearn", peer("python"), &places);
    assert_eq!(results.len(), 8);
    assert!(results.iter().all(|(step, _)| *step == 29), "{results:?}");
    let read = place.run(&["export", "runs", "--tag", "score/test", "--latest"]).out;
    for (_, value) in results {
        let is_there = read.lines().any(|line| line.contains(",29,") && line.contains(&value.to_string()));
        assert!(is_there, "{value}: {read}");
    }
}

#[test]
#[ignore = "needs Keras and TensorFlow in HPTUNE_KERAS"]
fn what_keras_s_callback_notes_of_hyperparameters_stands_beside_the_curves() {
    let venv =
        std::env::var_os("HPTUNE_KERAS").expect("HPTUNE_KERAS names a virtual environment; see .ci/run");
    let script = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("tests/peers/keras_hparams.py");
    for layout in ["above", "beside"] {
        let place = Place::new();
        let mut trainer = Command::new(PathBuf::from(&venv).join("bin/python"));
        let made = trainer.arg(&script).arg(layout).arg(place.path()).output().expect("it runs");
        assert!(made.status.success(), "{}", String::from_utf8_lossy(&made.stderr));
        let told = crate::hparams::hparam_beside(&place, "num_units", "epoch_loss");
        let expected = [("run-0", 16.0), ("run-1", 32.0)].into_iter().flat_map(|(run, units)| {
            ["train", "train", "validation", "validation"].map(|of| (format!("{run}/{of}"), Some(units)))
        });
        assert_eq!(told, expected.collect::<Vec<_>>(), "{layout}");
    }
}

#[test]
#[ignore = "needs tensorboardX in HPTUNE_PEERS"]
fn purge_step_of_tensorboardx_voids_what_it_says() {
    let place = Place::new();
    let script = "import sys, time\nfrom tensorboardX import SummaryWriter\n\
                  for purge, steps in (None, range(8)), (3, range(4, 6)):\n    \
                  w = SummaryWriter(sys.argv[1], purge_step=purge)\n    \
                  for s in steps: w.add_scalar('acc', s, s)\n    \
                  w.close()\n    time.sleep(1.1)\n";
    let mut writer = Command::new(peer("python"));
    let made = writer.args(["-c", script]).arg(place.path()).output().expect("it runs");
    assert!(made.status.success(), "{}", String::from_utf8_lossy(&made.stderr));
    let ran = place.run(&["export", ".", "--latest"]);
    let steps: Vec<&str> = ran.out.lines().skip(1).filter_map(|row| row.split(',').nth(2)).collect();
    assert_eq!(steps, ["0", "1", "2", "4", "5"], "{} {}", ran.out, ran.err);
}

#[test]
#[ignore = "needs Keras and TensorFlow in HPTUNE_KERAS"]
fn two_calls_of_fit_of_keras_are_two_passes() {
    let venv =
        std::env::var_os("HPTUNE_KERAS").expect("HPTUNE_KERAS names a virtual environment; see .ci/run");
    let place = Place::new();
    let python = PathBuf::from(venv).join("bin/python").display().to_string();
    let script = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("tests/peers/keras_twice.py");
    place.write("c.yaml", config(1, "", "").replace("Tag: acc", "Tag: epoch_loss"));
    let head = ["run", "c.yaml", "--job-id", "job", "--job-dir", "out", "--"];
    let script = script.display().to_string();
    let ran = place.run(&[&head[..], &[&python, &script, "{job_dir}", "{x}"]].concat());
    assert_eq!(ran.code, Some(0), "{}", ran.err);
    assert!(ran.err.contains("each step was written 2 times; the last counts"), "{}", ran.err);
    assert!(!ran.err.contains("restarted"), "{}", ran.err);
    let metrics = place.describe("job")["trainingOutput"]["trials"][0]["allMetrics"].clone();
    let steps = metrics.as_array().expect("an array").iter().map(|m| m["trainingStep"].as_str());
    assert_eq!(steps.collect::<Vec<_>>(), ["0", "1", "2", "0", "1", "2"].map(Some));
}

#[test]
#[ignore = "needs Keras and TensorFlow in HPTUNE_KERAS"]
fn keras_s_tutorial_is_tuned_as_it_is() {
    let venv =
        std::env::var_os("HPTUNE_KERAS").expect("HPTUNE_KERAS names a virtual environment; see .ci/run");
    let place = Place::new();
    let python = PathBuf::from(venv).join("bin/python");
    let results = tune_example(&place, "keras", python, &["--lr", "{lr}", "--units", "{units}"]);
    assert_eq!(results.len(), 4);
    assert!(results.iter().all(|(step, _)| *step == 4), "{results:?}");
    // What Keras calls val_accuracy, of the last epoch.
    let read = place.run(&["export", "logs/fit", "--tag", "epoch_accuracy", "--run", "*/validation"]).out;
    for (_, value) in results {
        let is_there = read.lines().any(|line| line.contains(",4,") && line.contains(&value.to_string()));
        assert!(is_there, "{value}: {read}");
    }
}
