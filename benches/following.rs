//! How soon `watch` delivers what a trainer writes, and what it costs.
//!
//! `cargo bench --bench following` starts the program on directories that it makes and writes to, and prints each
//! figure beside its target. `README.md` beside this file has the figures. Names of parts to run may follow `--`:
//! `one`, `many`, `idle`, `away`, `start`, `memory`.

#![expect(clippy::print_stdout, reason = "a benchmark prints its figures")]

use std::collections::HashMap;
use std::fs::{self, File, OpenOptions};
use std::io::{BufRead, BufReader, Read, Write};
use std::os::unix::net::UnixListener;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::mpsc::{Receiver, channel};
use std::thread;
use std::time::{Duration, Instant};

use hptune::units::{Step, WallTime};
use tfevents::event;
use tfevents::record as tfrecord;

const PROGRAM: &str = env!("CARGO_BIN_EXE_hptune");

fn main() {
    let asked: Vec<String> = std::env::args().skip(1).filter(|a| !a.starts_with("--")).collect();
    let is_asked = |part: &str| asked.is_empty() || asked.iter().any(|a| a == part);
    let directory = tempfile::tempdir().expect("a directory");
    let path = |name: &str| directory.path().join(name);
    if is_asked("start") {
        start(&path("start"));
    }
    if is_asked("one") {
        one(&path("one"), &[], "notifications", "p50 3, p99 15 ms");
        one(&path("one-polled"), &["--poll", "100ms"], "polling every 100 ms", "at most 110 ms");
    }
    if is_asked("many") {
        many(&path("many"));
    }
    if is_asked("idle") {
        idle(&path("idle"));
    }
    if is_asked("away") {
        away(&path("away"));
    }
    if is_asked("memory") {
        memory(&path("memory"));
    }
}

/// What `watch --once` and `run` take of files that hold very much.
fn memory(directory: &Path) {
    let rising = |n: i64| (0..n).map(|step| ("metric1".to_owned(), step)).collect::<Vec<_>>();
    let inputs: [(&str, Vec<(String, i64)>); 3] = [
        ("2,000,000 values of one tag", rising(2_000_000)),
        (
            "4,000,000 values from the highest step to the lowest",
            rising(4_000_000).into_iter().rev().collect(),
        ),
        ("1,000,000 tags", (0..1_000_000).map(|i| (format!("tag/{i}"), 1)).chain(rising(10)).collect()),
    ];
    for (i, (name, values)) in inputs.into_iter().enumerate() {
        let from = directory.join(i.to_string());
        let mut writer = Writer::create(&from.join("events.out.tfevents.1"));
        let mut bytes = Vec::new();
        for (i, (tag, step)) in values.iter().enumerate() {
            let event = event::encode_scalars(WallTime(1.0 + i as f64), Step(*step), &[(tag, 0.5)]);
            tfrecord::encode(&event, &mut bytes);
            if bytes.len() > 1 << 20 {
                writer.0.write_all(&bytes).expect("it is written");
                bytes.clear();
            }
        }
        writer.0.write_all(&bytes).expect("it is written");
        drop((values, bytes));
        let config = "trainingInput:\n  hyperparameters:\n    hyperparameterMetricTag: metric1\n    maxTrials: 1\n    \
                      params:\n    - {parameterName: x, type: DOUBLE, minValue: 0, maxValue: 1}\n";
        fs::write(from.join("c.yaml"), config).expect("it is written");
        let copy = "cp events.out.tfevents.1 $HPTUNE_JOB_DIR";
        let runs: [&[&str]; 2] =
            [&["watch", ".", "--once"], &["run", "c.yaml", "--job-dir", "out", "--", "sh", "-c", copy]];
        for arguments in runs {
            let started = Instant::now();
            let child = Command::new(PROGRAM)
                .args(arguments)
                .current_dir(&from)
                .env("HPTUNE_STORE", directory.join(format!("{i}.db")))
                .stdin(Stdio::null())
                .stdout(Stdio::null())
                .stderr(Stdio::null())
                .spawn()
                .expect("it starts");
            let peak = peak_mib_to_the_end(child);
            println!(
                "==> {name}: {} takes {peak:.0} MiB (target: 64), {:.1} s",
                arguments.first().unwrap_or(&""),
                started.elapsed().as_secs_f64()
            );
        }
    }
}

/// The most memory that a process had resident, looked at until it ends.
fn peak_mib_to_the_end(mut child: Child) -> f64 {
    let mut peak = 0.0f64;
    while child.try_wait().expect("it is ours").is_none() {
        let status = fs::read_to_string(format!("/proc/{}/status", child.id())).unwrap_or_default();
        let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"));
        let kib = line.and_then(|rest| rest.split_whitespace().next()?.parse::<f64>().ok());
        peak = peak.max(kib.unwrap_or(0.0) / 1024.0);
        thread::sleep(Duration::from_millis(5));
    }
    peak
}

/// A file that a trainer writes.
struct Writer(File);

impl Writer {
    fn create(path: &Path) -> Self {
        fs::create_dir_all(path.parent().expect("a parent")).expect("a directory");
        let mut writer = Self(OpenOptions::new().create(true).append(true).open(path).expect("it opens"));
        writer.record(&event::encode_file_version(WallTime(1.0), "bench"));
        writer
    }

    fn record(&mut self, data: &[u8]) {
        let mut bytes = Vec::new();
        tfrecord::encode(data, &mut bytes);
        self.0.write_all(&bytes).expect("it is written");
    }

    fn scalar(&mut self, step: i64) {
        self.record(&event::encode_scalars(WallTime(1.0 + step as f64), Step(step), &[("metric1", 0.5)]));
    }
}

/// A running `watch`, and when each of its points came: run, step.
struct Watching {
    child: Child,
    points: Receiver<(String, i64, Instant)>,
}

impl Watching {
    fn start(job_dir: &Path, more: &[&str]) -> Self {
        let mut child = Command::new(PROGRAM)
            .arg("watch")
            .arg(job_dir)
            .args(more)
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .spawn()
            .expect("it starts");
        let out = child.stdout.take().expect("it is piped");
        let (sender, points) = channel();
        thread::spawn(move || {
            for line in BufReader::with_capacity(1 << 20, out).lines() {
                let (line, now) = (line.expect("it is text"), Instant::now());
                let field = |name: &str| {
                    let rest = line.split_once(&format!("\"{name}\":"))?.1;
                    rest.split([',', '}']).next().map(|text| text.trim_matches('"').to_owned())
                };
                if line.starts_with("{\"kind\":\"point\"")
                    && let (Some(run), Some(Ok(step))) =
                        (field("run"), field("step").map(|step| step.parse()))
                    && sender.send((run, step, now)).is_err()
                {
                    return;
                }
            }
        });
        Self { child, points }
    }

    /// How long it has worked on a processor, in seconds.
    fn worked(&self) -> f64 {
        let stat = fs::read_to_string(format!("/proc/{}/stat", self.child.id())).expect("it runs");
        let mut fields = stat.rsplit(')').next().expect("it has fields").split_whitespace().skip(11);
        let mut ticks = || fields.next().and_then(|f| f.parse::<f64>().ok()).expect("a number");
        (ticks() + ticks()) / 100.0
    }

    /// The most memory that it had, in MiB.
    fn peak_mib(&self) -> f64 {
        let status = fs::read_to_string(format!("/proc/{}/status", self.child.id())).expect("it runs");
        let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:")).expect("it is there");
        line.trim().trim_end_matches(" kB").parse::<f64>().expect("a number") / 1024.0
    }

    fn next(&self) -> (String, i64, Instant) {
        self.points.recv_timeout(Duration::from_secs(60)).expect("a point comes")
    }
}

impl Drop for Watching {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn percentile(latencies: &mut [Duration], share: f64) -> f64 {
    latencies.sort();
    let at = ((latencies.len() as f64 * share) as usize).min(latencies.len() - 1);
    latencies.get(at).map_or(f64::NAN, |latency| latency.as_secs_f64() * 1e3)
}

fn start(directory: &Path) {
    let size = fs::metadata(PROGRAM).expect("it is there").len() as f64 / f64::from(1 << 20);
    println!("==> the program: {size:.1} MiB (target: 30)");
    let mut writer = Writer::create(&directory.join("events.out.tfevents.1"));
    (0..10).for_each(|step| writer.scalar(step));
    let mut latencies: Vec<Duration> = (0..20)
        .map(|_| {
            let started = Instant::now();
            let watching = Watching::start(directory, &[]);
            watching.next().2 - started
        })
        .collect();
    println!("==> from start to first value: {:.1} ms (target: 30)", percentile(&mut latencies, 0.5));
}

/// One file, one value at a time.
fn one(directory: &Path, more: &[&str], name: &str, target: &str) {
    let mut writer = Writer::create(&directory.join("a/events.out.tfevents.1"));
    writer.scalar(0);
    let watching = Watching::start(directory, more);
    watching.next();
    let mut latencies: Vec<Duration> = (1..=500)
        .map(|step| {
            // Steps of no common measure with any interval.
            thread::sleep(Duration::from_micros(7_000 + (step * 7_919) % 9_000));
            writer.scalar(step as i64);
            let written = Instant::now();
            watching.next().2.saturating_duration_since(written)
        })
        .collect();
    let [p50, p99, most] = [0.5, 0.99, 1.0].map(|share| percentile(&mut latencies, share));
    println!("==> one value, {name}: p50 {p50:.2} ms, p99 {p99:.2} ms, most {most:.2} ms (target: {target})");
}

/// 1,000 files that each grow by 10 events a second.
fn many(directory: &Path) {
    const N_FILES: usize = 1_000;
    let path = |i: usize| directory.join(format!("{i}/events.out.tfevents.1"));
    let mut writers: Vec<Writer> = (0..N_FILES).map(|i| Writer::create(&path(i))).collect();
    writers.iter_mut().for_each(|writer| writer.scalar(0));
    let watching = Watching::start(directory, &[]);
    (0..N_FILES).for_each(|_| drop(watching.next()));
    let (seconds, worked) = (20, watching.worked());
    let started = Instant::now();
    let writing = thread::spawn(move || {
        let mut written = HashMap::new();
        for i in 0..seconds * 10 * N_FILES {
            let due = started + Duration::from_micros(100 * i as u64);
            if let Some(wait) = due.checked_duration_since(Instant::now()).filter(|w| w.as_micros() > 200) {
                thread::sleep(wait);
            }
            let (at, step) = (i % N_FILES, 1 + (i / N_FILES) as i64);
            if let Some(writer) = writers.get_mut(at) {
                writer.scalar(step);
                written.insert((at, step), Instant::now());
            }
        }
        written
    });
    let n = seconds * 10 * N_FILES;
    let mut came = Vec::with_capacity(n);
    while came.len() < n {
        came.push(watching.next());
    }
    let took = started.elapsed().as_secs_f64();
    let share = (watching.worked() - worked) / took * 100.0;
    let written = writing.join().expect("it ends");
    let mut latencies: Vec<Duration> = came
        .iter()
        .map(|(run, step, at)| {
            let written = written.get(&(run.parse().expect("a number"), *step)).expect("it was written");
            at.saturating_duration_since(*written)
        })
        .collect();
    let [p50, p99] = [0.5, 0.99].map(|share| percentile(&mut latencies, share));
    println!(
        "==> 1,000 files, 10,000 values a second: all {n} delivered in {took:.1} s, p50 {p50:.1} ms, p99 {p99:.1} ms \
         (target: p99 150), {share:.0} % of a core (target: 40), {:.0} MiB (target: 64)",
        watching.peak_mib()
    );
}

/// 45,000 files that do not grow.
fn idle(directory: &Path) {
    const N_FILES: usize = 45_000;
    let path = |i: usize| directory.join(format!("{}/{i}/events.out.tfevents.1", i / 100));
    (0..N_FILES).for_each(|i| Writer::create(&path(i)).scalar(0));
    let watching = Watching::start(directory, &[]);
    (0..N_FILES).for_each(|_| drop(watching.next()));
    // What it does once at the start is done when a new value comes soon.
    let probe = |i: usize, step: i64| {
        let mut writer = Writer(OpenOptions::new().append(true).open(path(i)).expect("it opens"));
        writer.scalar(step);
        let written = Instant::now();
        watching.next().2.saturating_duration_since(written)
    };
    probe(0, 1);
    let (worked, started) = (watching.worked(), Instant::now());
    thread::sleep(Duration::from_secs(60));
    let share = (watching.worked() - worked) / started.elapsed().as_secs_f64() * 100.0;
    let mut latencies: Vec<Duration> = (1..=20).map(|i| probe(i * 2_111, 1)).collect();
    println!(
        "==> 45,000 idle files: {share:.2} % of a core over 60 s (target: 2), a new value within {:.0} ms (target: 2000), \
         {:.0} MiB (target: 96)",
        percentile(&mut latencies, 1.0),
        watching.peak_mib()
    );
}

/// A sink that takes nothing while ten minutes of 10,000 values a second are written.
fn away(directory: &Path) {
    const N: i64 = 6_000_000;
    let socket: PathBuf = directory.with_extension("socket");
    let listener = UnixListener::bind(&socket).expect("it listens");
    fs::create_dir_all(directory).expect("a directory");
    let to = format!("unix:{}", socket.display());
    let watching = Watching::start(directory, &["--to", &to]);
    let (sink, _) = listener.accept().expect("it connects");
    let mut writer = Writer::create(&directory.join("events.out.tfevents.1"));
    let mut bytes = Vec::new();
    for step in 0..N {
        let event = event::encode_scalars(WallTime(1.0 + step as f64), Step(step), &[("metric1", 0.5)]);
        tfrecord::encode(&event, &mut bytes);
        if bytes.len() > 1 << 20 {
            writer.0.write_all(&bytes).expect("it is written");
            bytes.clear();
        }
    }
    writer.0.write_all(&bytes).expect("it is written");
    thread::sleep(Duration::from_secs(3));
    let away = watching.peak_mib();
    let started = Instant::now();
    let mut expected = 0;
    let mut lines = BufReader::with_capacity(1 << 20, sink);
    let mut line = String::new();
    while expected < N {
        line.clear();
        assert!(lines.read_line(&mut line).expect("it is text") > 0, "it goes on");
        if line.starts_with("{\"kind\":\"point\"") {
            assert!(line.contains(&format!("\"step\":{expected},")), "in order");
            expected += 1;
        }
    }
    let rate = N as f64 / started.elapsed().as_secs_f64();
    println!(
        "==> a sink away for {N} values: {away:.0} MiB while it was away, {:.0} MiB afterwards; then all in order, \
         {rate:.0} values a second",
        watching.peak_mib()
    );
    drop(lines.into_inner().take(0));
}
