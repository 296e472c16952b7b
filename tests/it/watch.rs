//! `watch` as its users run it: the program on real directories, with real writers, sinks and signals.

use std::collections::BTreeMap;
use std::fs::{self, File, OpenOptions};
use std::io::{BufRead, BufReader, Read, Write};
use std::os::unix::net::UnixListener;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, mpsc};
use std::thread;
use std::time::Duration;

use hptune::units::{Step, WallTime};
use serde_json::Value as Json;
use tfevents::event;
use tfevents::record as tfrecord;

use crate::support::{Place, Ran};

/// How long a test waits for what must come.
const LONG: Duration = Duration::from_secs(60);

/// A file that a trainer writes.
struct Writer {
    file: File,
    clock: f64,
}

impl Writer {
    fn create(path: &Path, started: f64) -> Self {
        fs::create_dir_all(path.parent().expect("a parent")).expect("a directory");
        let mut writer = Self {
            file: OpenOptions::new().create(true).append(true).open(path).expect("it opens"),
            clock: started,
        };
        writer.record(&event::encode_file_version(WallTime(started), "test"));
        writer
    }

    fn record(&mut self, data: &[u8]) {
        let mut bytes = Vec::new();
        tfrecord::encode(data, &mut bytes);
        self.file.write_all(&bytes).expect("it is written");
    }

    fn scalar(&mut self, tag: &str, step: i64, value: f32) {
        self.clock += 1.0;
        self.record(&event::encode_scalars(WallTime(self.clock), Step(step), &[(tag, value)]));
    }

    fn session(&mut self, step: i64) {
        self.record(&event::encode_session_start(WallTime(self.clock), Step(step)));
    }
}

/// A running `watch` whose lines are read as they come.
pub(crate) struct Watching {
    child: Child,
    lines: mpsc::Receiver<Json>,
}

impl Watching {
    pub(crate) fn start(mut command: Command) -> Self {
        let mut child = command.stdout(Stdio::piped()).stderr(Stdio::null()).spawn().expect("it starts");
        let out = child.stdout.take().expect("it is piped");
        let (sender, lines) = mpsc::channel();
        thread::spawn(move || {
            for line in BufReader::new(out).lines() {
                let line = serde_json::from_str(&line.expect("it is text")).expect("it is JSON");
                if sender.send(line).is_err() {
                    return;
                }
            }
        });
        Self { child, lines }
    }

    /// The next line of this kind; others are skipped.
    #[track_caller]
    pub(crate) fn next(&self, kind: &str) -> Json {
        loop {
            let line = self.lines.recv_timeout(LONG).expect("a line comes");
            if line["kind"] == kind {
                return line;
            }
        }
    }

    #[track_caller]
    pub(crate) fn expect_points(&self, steps: impl IntoIterator<Item = i64>) {
        for step in steps {
            assert_eq!(self.next("point")["step"], step);
        }
    }

    pub(crate) fn signal(&self, name: &str) {
        let id = self.child.id().to_string();
        let status = Command::new("kill").args([&format!("-{name}"), &id]).status().expect("kill runs");
        assert!(status.success());
    }

    pub(crate) fn wait(mut self) -> Option<i32> {
        self.child.wait().expect("it ends").code()
    }
}

impl Drop for Watching {
    fn drop(&mut self) {
        // It has ended already where a test got to its end.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// The lines of a text, without their numbers, each with how often it comes; the numbers must rise by one.
#[track_caller]
fn counted(text: &str) -> BTreeMap<String, usize> {
    let mut counted = BTreeMap::new();
    for (seq, line) in text.lines().enumerate() {
        let mut json: Json = serde_json::from_str(line).expect("it is JSON");
        assert_eq!(json["seq"], seq, "{line}");
        if json["kind"] != "end" {
            json.as_object_mut().expect("an object").remove("seq");
            *counted.entry(json.to_string()).or_default() += 1;
        }
    }
    counted
}

fn points(text: &str) -> Vec<(String, i64, u64)> {
    let json = text.lines().map(|line| serde_json::from_str::<Json>(line).expect("it is JSON"));
    json.filter(|line| line["kind"] == "point")
        .map(|line| {
            let tag = line["tag"].as_str().expect("a tag").to_owned();
            (tag, line["step"].as_i64().expect("a step"), line["attempt"].as_u64().expect("an attempt"))
        })
        .collect()
}

#[test]
fn each_value_comes_as_it_is_written_and_a_restart_is_told() {
    for more in [&[][..], &["--poll", "20ms"]] {
        let place = Place::new();
        let job_dir = place.path().join("job");
        let arguments = [&["watch", "job", "--tag", "loss", "--trial", "7"], more].concat();
        let watching = Watching::start(place.command(&arguments));
        assert_eq!(watching.next("watch")["version"], 1);
        // The directory comes later than its watcher.
        let mut first = Writer::create(&job_dir.join("a/b/events.out.tfevents.1.h"), 100.0);
        for step in 0..5 {
            first.scalar("loss", step, 1.0);
            first.scalar("accuracy", step, 1.0);
            let line = watching.next("point");
            let got = (&line["run"], &line["tag"], &line["step"], &line["attempt"], &line["trial"]);
            assert_eq!(got, (&"a/b".into(), &"loss".into(), &step.into(), &1.into(), &"7".into()), "{line}");
        }
        let mut second = Writer::create(&job_dir.join("a/b/events.out.tfevents.2.h"), 1000.0);
        second.session(2);
        second.scalar("loss", 3, 1.0);
        let rewind = watching.next("rewind");
        assert_eq!((&rewind["from_step"], &rewind["reason"]), (&3.into(), &"session-start".into()));
        let point = watching.next("point");
        assert_eq!((&point["step"], &point["attempt"]), (&3.into(), &2.into()));
        watching.signal("TERM");
        assert_eq!(watching.next("end")["points"], 6);
        assert_eq!(watching.wait(), Some(143));
    }
}

#[test]
fn a_torn_record_and_a_replaced_file_lose_and_double_nothing() {
    let place = Place::new();
    let path = place.path().join("job/events.out.tfevents.1.h");
    let watching = Watching::start(place.command(&["watch", "job"]));
    let mut writer = Writer::create(&path, 100.0);
    writer.scalar("m", 1, 0.5);
    watching.expect_points([1]);
    let mut bytes = Vec::new();
    tfrecord::encode(&event::encode_scalars(WallTime(102.0), Step(2), &[("m", 0.5)]), &mut bytes);
    let (torn, rest) = bytes.split_at(bytes.len() / 2);
    writer.file.write_all(torn).expect("it is written");
    writer.file.write_all(rest).expect("it is written");
    watching.expect_points([2]);
    // The same beginning, and more: a copy takes the file's place.
    let copy = place.path().join("job/copy");
    fs::copy(&path, &copy).expect("it is copied");
    let mut writer =
        Writer { file: OpenOptions::new().append(true).open(&copy).expect("it opens"), clock: 102.0 };
    writer.scalar("m", 3, 0.5);
    fs::rename(&copy, &path).expect("it is renamed");
    watching.expect_points([3]);
    writer.scalar("m", 4, 0.5);
    watching.expect_points([4]);
    // Another file takes its place.
    fs::remove_file(&path).expect("it is removed");
    let mut writer = Writer::create(&path, 200.0);
    writer.scalar("m", 9, 0.5);
    watching.expect_points([9]);
    fs::remove_dir_all(place.path().join("job")).expect("it is removed");
    let mut writer = Writer::create(&path, 300.0);
    writer.scalar("m", 10, 0.5);
    watching.expect_points([10]);
}

#[test]
fn a_trainer_s_output_and_exit_code_pass_through() {
    let place = Place::new();
    fs::create_dir(place.path().join("job")).expect("a directory");
    let golden = place.write("golden", crate::support::event_file(&[0.5, 0.75]));
    let script = format!("echo out; echo err >&2; cp {golden} job/events.out.tfevents.1.h; exit 7");
    let ran = place.run(&["watch", "job", "--to", "file:lines", "--", "sh", "-c", &script]);
    assert_eq!((ran.code, &*ran.out, &*ran.err), (Some(7), "out\n", "err\n"));
    let lines = fs::read_to_string(place.path().join("lines")).expect("it is there");
    assert_eq!(points(&lines), [("acc".into(), 1, 1), ("acc".into(), 2, 1)]);
    let end: Json = serde_json::from_str(lines.lines().last().expect("a line")).expect("JSON");
    assert_eq!((&end["kind"], &end["exit_code"]), (&"end".into(), &7.into()));
    // Where lines go to stdout, the trainer's output goes beside the errors.
    let ran = place.run(&["watch", "job", "--", "sh", "-c", "echo out"]);
    assert_eq!((ran.code, points(&ran.out).len(), &*ran.err), (Some(0), 2, "out\n"));
    let ran = place.run(&["watch", "job", "--", "no-such-program"]);
    assert_eq!((ran.code, ran.err.contains("not found in PATH")), (Some(2), true), "{}", ran.err);
}

#[test]
fn signals_reach_the_trainer_which_decides_how_it_ends() {
    for (signal, name) in [("TERM", "TERM"), ("USR1", "USR1"), ("INT", "INT")] {
        let place = Place::new();
        let script = format!(
            "trap 'echo got {name} > got; exit 5' {name}; echo > ready; while :; do sleep 0.01; done"
        );
        let mut command = place.command(&["watch", ".", "--to", "file:lines", "--", "sh", "-c", &script]);
        let mut child = command.spawn().expect("it starts");
        wait_for(&place.path().join("ready"));
        let id = child.id().to_string();
        Command::new("kill").args([&format!("-{signal}"), &id]).status().expect("kill runs");
        assert_eq!(child.wait().expect("it ends").code(), Some(5), "{signal}");
        assert_eq!(
            fs::read_to_string(place.path().join("got")).expect("it is there"),
            format!("got {name}\n")
        );
    }
}

#[test]
fn a_rule_stops_the_whole_process_tree() {
    let place = Place::new();
    let golden = place.write("golden", crate::support::event_file(&[0.5, f32::NAN]));
    // A child in a session of its own that ignores TERM.
    let script = format!(
        "setsid sh -c 'trap \"\" TERM; echo $$ > child; while :; do sleep 0.01; done' & \
         while ! test -s child; do sleep 0.01; done; cp {golden} events.out.tfevents.1.h; sleep 1000"
    );
    let ran = place.run(&[
        "watch",
        ".",
        "--to",
        "file:lines",
        "--stop-on-nan",
        "--grace",
        "300ms",
        "--",
        "sh",
        "-c",
        &script,
    ]);
    assert_eq!(ran.code, Some(143), "{}", ran.err);
    assert!(ran.err.contains("stopping: `acc` is NaN at step 2"), "{}", ran.err);
    let child = fs::read_to_string(place.path().join("child")).expect("it is there");
    assert!(!Path::new("/proc").join(child.trim()).exists(), "its child is gone");
    let lines = fs::read_to_string(place.path().join("lines")).expect("it is there");
    assert!(lines.lines().last().expect("a line").contains("stopped: `acc` is NaN at step 2"), "{lines}");
}

#[test]
fn it_ends_when_it_is_told_to() {
    let place = Place::new();
    place.write("events.out.tfevents.1.h", crate::support::event_file(&[0.5]));
    let reason = |ran: &Ran| {
        let end: Json = serde_json::from_str(ran.out.lines().last().expect("a line")).expect("JSON");
        assert_eq!((ran.code, points(&ran.out).len(), &end["kind"]), (Some(0), 1, &"end".into()));
        end["reason"].as_str().expect("a text").to_owned()
    };
    assert_eq!(reason(&place.run(&["watch", ".", "--once"])), "all that is there was read");
    place.write("marker", "");
    assert_eq!(reason(&place.run(&["watch", ".", "--until-file", "marker"])), "the marker file is there");
    assert!(reason(&place.run(&["watch", ".", "--until-idle", "100ms"])).starts_with("nothing new"));
    let mut other = Command::new("sleep").arg("1000").spawn().expect("it starts");
    let id = other.id().to_string();
    let watching = Watching::start(place.command(&["watch", ".", "--until-pid", &id]));
    watching.expect_points([1]);
    other.kill().expect("it is killed");
    other.wait().expect("it ends");
    assert_eq!(watching.next("end")["reason"], "the process has ended");
    assert_eq!(watching.wait(), Some(0));
    assert_eq!(reason(&place.run(&["watch", ".", "--until-pid", &id])), "the process has ended");
    let ran = place.run(&["watch", ".", "--once", "--tag", "acu"]);
    assert_eq!((ran.code, ran.err.contains("no values of `acu`")), (Some(1), true), "{}", ran.err);
}

#[test]
fn the_metrics_files_of_several_trials_are_told_apart() {
    let place = Place::new();
    let line = |value| format!("{{\"acc\": \"{value}\", \"global_step\": \"1\", \"timestamp\": 1.5}}\n");
    for (directory, value) in [("1/.hptune", 0.25), ("2/.hptune", 0.5), (".hptune", 0.75)] {
        std::fs::create_dir_all(place.path().join(directory)).expect("a directory");
        place.write(&format!("{directory}/output.metrics"), line(value));
    }
    let ran = place.run(&["watch", ".", "--once"]);
    let lines = ran.out.lines().map(|line| serde_json::from_str::<Json>(line).expect("it is JSON"));
    let points = lines.filter(|line| line["kind"] == "point");
    let mut told: Vec<String> = points.map(|point| format!("{} {}", point["run"], point["value"])).collect();
    told.sort();
    let expected = ["\".hptune\" 0.75", "\"1/.hptune\" 0.25", "\"2/.hptune\" 0.5"];
    assert_eq!(told, expected, "{}", ran.err);
}

#[test]
fn only_what_was_asked_for_is_delivered() {
    let place = Place::new();
    let mut writer = Writer::create(&place.path().join("train/events.out.tfevents.1.h"), 1.0);
    (0..10).for_each(|step| writer.scalar("loss", step, 1.0));
    let mut writer = Writer::create(&place.path().join("eval/events.out.tfevents.1.h"), 1.0);
    (0..10).for_each(|step| writer.scalar("loss", step, 1.0));
    writer.scalar("acc", 9, 1.0);
    #[track_caller]
    fn check(place: &Place, arguments: &[&str], expected: usize) {
        let ran = place.run(&[&["watch", ".", "--once"], arguments].concat());
        assert_eq!((ran.code, points(&ran.out).len()), (Some(0), expected), "{arguments:?}: {}", ran.err);
    }
    check(&place, &[], 21);
    check(&place, &["--all"], 21);
    check(&place, &["--tag", "acc"], 1);
    check(&place, &["--tag-glob", "*o*"], 20);
    check(&place, &["--run", "eval"], 11);
    check(&place, &["--run", "eval", "--tag", "loss", "--every", "4"], 3);
    check(&place, &["--tag", "loss", "--since", "8"], 4);
    check(&place, &["--latest-per", "1h"], 3);
    for wrong in [
        &["--to", "ftp://x"][..],
        &["--to", "-", "--to", "-"],
        &["--patience", "3"],
        &["--tag", "a", "--stop-if", "b > 3"],
        &["--stop-if", "b"],
        &["--until-idle", "10"],
        &["--tag-glob", "["],
    ] {
        let ran = place.run(&[&["watch", ".", "--once"], wrong].concat());
        assert_eq!(ran.code, Some(2), "{wrong:?}: {}", ran.err);
    }
    let ran = place.run(&["watch", "ftp://bucket/x", "--once"]);
    assert_eq!((ran.code, ran.err.contains("gs://BUCKET/PATH")), (Some(2), true), "{}", ran.err);
}

#[test]
fn health_and_figures_are_served() {
    let place = Place::new();
    place.write("events.out.tfevents.1.h", crate::support::event_file(&[0.5, 0.75]));
    let mut command = place.command(&["watch", ".", "--status-addr", "127.0.0.1:0"]);
    let mut child = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().expect("it starts");
    let mut said = String::new();
    BufReader::new(child.stderr.take().expect("it is piped")).read_line(&mut said).expect("it is text");
    let address =
        said.split("http://").nth(1).and_then(|rest| rest.split('/').next()).expect("an address").to_owned();
    let get = |path: &str| {
        let mut stream = std::net::TcpStream::connect(&address).expect("it listens");
        write!(stream, "GET {path} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n").expect("it is sent");
        let mut text = String::new();
        stream.read_to_string(&mut text).expect("it is text");
        text
    };
    let lines: Vec<String> = BufReader::new(child.stdout.take().expect("it is piped"))
        .lines()
        .map(|line| line.expect("it is text"))
        .take(4)
        .collect();
    assert_eq!(points(&lines.join("\n")).len(), 2);
    assert!(get("/healthz").starts_with("HTTP/1.1 200"));
    let deadline = std::time::Instant::now() + LONG;
    while !get("/metrics").contains("hptune_points_total{sink=\"stdout\"} 2\n") {
        assert!(std::time::Instant::now() < deadline, "{}", get("/metrics"));
    }
    child.kill().expect("it is killed");
    child.wait().expect("it ends");
}

#[test]
fn every_line_is_as_the_schema_has_it() {
    let schema = fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/watch.schema.json"));
    let schema: Json = serde_json::from_str(&schema.expect("it is there")).expect("it is JSON");
    let kinds: BTreeMap<&str, &Json> = schema["oneOf"]
        .as_array()
        .expect("a list")
        .iter()
        .map(|kind| (kind["properties"]["kind"]["const"].as_str().expect("a text"), kind))
        .collect();
    let place = Place::new();
    let mut first = Writer::create(&place.path().join("events.out.tfevents.1.h"), 1.0);
    (0..5).for_each(|step| first.scalar("m", step, f32::NAN));
    first.file.write_all(&[7; 40]).expect("it is written");
    let mut second = Writer::create(&place.path().join("events.out.tfevents.2.h"), 100.0);
    second.scalar("m", 3, 0.5);
    let ran = place.run(&["watch", ".", "--once", "--trial", "1"]);
    let mut seen = std::collections::BTreeSet::new();
    for line in ran.out.lines() {
        let line: Json = serde_json::from_str(line).expect("it is JSON");
        let kind = line["kind"].as_str().expect("a text").to_owned();
        let schema = kinds.get(&*kind).expect("it is in the schema");
        for field in schema["required"].as_array().expect("a list") {
            assert!(line.get(field.as_str().expect("a text")).is_some(), "{line} has no {field}");
        }
        for (field, value) in line.as_object().expect("an object") {
            let of_field = schema["properties"].get(field).expect("it is in the schema");
            match of_field["type"].as_str() {
                Some("string") => assert!(value.is_string(), "{line}: {field}"),
                Some("integer") => assert!(value.is_i64() || value.is_u64(), "{line}: {field}"),
                Some(other) => panic!("{other} is not known"),
                None => {
                    let choices = of_field.get("enum").or_else(|| of_field["anyOf"][1].get("enum"));
                    let is_choice = choices.and_then(Json::as_array).is_some_and(|all| all.contains(value));
                    let is_const = of_field.get("const") == Some(value);
                    assert!(is_choice || is_const || value.is_number(), "{line}: {field}");
                }
            }
        }
        seen.insert(kind);
    }
    let seen: Vec<&str> = seen.iter().map(String::as_str).collect();
    assert_eq!(seen, ["damage", "end", "point", "rewind", "tag", "watch"]);
}

#[test]
fn several_sinks_get_the_same_and_a_slow_one_holds_up_nobody() {
    let place = Place::new();
    let mut writer = Writer::create(&place.path().join("job/events.out.tfevents.1.h"), 1.0);
    (0..100).for_each(|step| writer.scalar("m", step, 1.0));
    let socket = place.path().join("socket");
    let listener = UnixListener::bind(&socket).expect("it listens");
    let to = format!("unix:{}", socket.display());
    let watching =
        Watching::start(place.command(&["watch", "job", "--to", "-", "--to", &to, "--to", "file:lines"]));
    // The socket's peer reads nothing yet.
    let (mut slow, _) = listener.accept().expect("it connects");
    watching.expect_points(0..100);
    (100..20_000).for_each(|step| writer.scalar("m", step, 1.0));
    watching.expect_points(100..20_000);
    watching.signal("TERM");
    let mut text = String::new();
    slow.read_to_string(&mut text).expect("it is text");
    watching.next("end");
    assert_eq!(watching.wait(), Some(143));
    let lines = fs::read_to_string(place.path().join("lines")).expect("it is there");
    assert_eq!(points(&lines).len(), 20_000);
    assert_eq!(counted(&lines), counted(&text));
}

#[test]
fn a_watcher_that_is_killed_at_any_time_loses_and_doubles_nothing() {
    let place = Place::new();
    let job_dir = place.path().join("job");
    fs::create_dir(&job_dir).expect("a directory");
    let is_done = Arc::new(AtomicBool::new(false));
    let trainer = {
        let (job_dir, is_done) = (job_dir.clone(), Arc::clone(&is_done));
        thread::spawn(move || train(&job_dir, &is_done))
    };
    let arguments = ["watch", "job", "--to", "file:lines", "--state", "state"];
    let mut pause = 0x9e37_79b9_u32;
    let mut n_lines = 0;
    for _ in 0..200 {
        let mut child = place.command(&arguments).stderr(Stdio::null()).spawn().expect("it starts");
        pause = pause.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        // Any moment: what is tested is that it does not matter which.
        thread::sleep(Duration::from_micros(u64::from(pause >> 8) % 40_000));
        child.kill().expect("it is killed");
        child.wait().expect("it ends");
        let text = fs::read_to_string(place.path().join("lines")).unwrap_or_default();
        let n = text.matches('\n').count();
        assert!(n >= n_lines, "lines that were there stay");
        n_lines = n;
    }
    is_done.store(true, Ordering::Release);
    trainer.join().expect("it ends");
    let ran = place.run(&[&arguments[..], &["--once"]].concat());
    assert_eq!(ran.code, Some(0), "{}", ran.err);
    let killed = fs::read_to_string(place.path().join("lines")).expect("it is there");
    let whole = place.run(&["watch", "job", "--once"]);
    let (killed, whole) = (counted(&killed), counted(&whole.out));
    let differ: Vec<_> = killed.iter().filter(|(line, n)| whole.get(*line) != Some(n)).take(5).collect();
    assert_eq!(differ, Vec::new());
    assert_eq!(killed, whole);
}

/// Trains until it is told to stop: files in two runs, two tags, a restart now and then, records in pieces.
fn train(job_dir: &Path, is_done: &AtomicBool) {
    let mut step = 0;
    for attempt in 0.. {
        let started = 1_000.0 * f64::from(attempt);
        let path =
            |run: &str| -> PathBuf { job_dir.join(run).join(format!("events.out.tfevents.{attempt:06}.h")) };
        let mut writers = ["train", "train/eval"].map(|run| Writer::create(&path(run), started + 1.0));
        if attempt > 0 {
            writers.iter_mut().for_each(|writer| writer.session(step - 20));
            step -= 19;
        }
        for _ in 0..100 {
            for writer in &mut writers {
                writer.clock += 1.0;
                let mut bytes = Vec::new();
                let event = event::encode_scalars(
                    WallTime(writer.clock),
                    Step(step),
                    &[("loss", step as f32), ("acc", 0.5)],
                );
                tfrecord::encode(&event, &mut bytes);
                let (first, second) = bytes.split_at(step.unsigned_abs() as usize % bytes.len());
                writer.file.write_all(first).expect("it is written");
                writer.file.write_all(second).expect("it is written");
            }
            step += 1;
            if is_done.load(Ordering::Acquire) {
                return;
            }
            thread::sleep(Duration::from_micros(500));
        }
    }
}

fn wait_for(path: &Path) {
    let deadline = std::time::Instant::now() + LONG;
    while !path.exists() {
        assert!(std::time::Instant::now() < deadline, "{} comes", path.display());
        thread::sleep(Duration::from_millis(2));
    }
}

#[test]
fn a_value_that_does_not_come_is_explained_for_the_runs_that_were_asked_for() {
    let place = Place::new();
    for (run, tag) in [("train", "loss"), ("eval", "acc")] {
        fs::create_dir_all(place.path().join("job").join(run)).expect("a directory");
        let event = event::encode_scalars(WallTime(1.0), Step(1), &[(tag, 0.5)]);
        let mut bytes = Vec::new();
        tfrecord::encode(&event, &mut bytes);
        place.write(&format!("job/{run}/x.tfevents.1"), bytes);
    }
    let words = [
        "watch",
        "job",
        "--tag",
        "acc",
        "--run",
        "train",
        "--no-metric-after",
        "100ms",
        "--until-file",
        "done",
    ];
    let mut watching =
        place.command(&words).stdout(Stdio::null()).stderr(Stdio::piped()).spawn().expect("it starts");
    let mut told = String::new();
    for line in BufReader::new(watching.stderr.take().expect("it is piped")).lines() {
        told += &(line.expect("it is text") + "\n");
        if told.contains("eval  scalar") {
            place.write("done", "");
        }
    }
    assert_eq!(watching.wait().expect("it ends").code(), Some(0));
    assert_eq!(told.matches("no value of `acc` yet").count(), 1, "{told}");
    // All that doctor says, of these runs.
    assert!(told.contains("`acc` is there, but only in runs that are not allowed: `eval`"), "{told}");
}
