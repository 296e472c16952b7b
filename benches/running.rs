//! What `run` costs beside the trainers: time and processor a trial, and what the store grows by.
//!
//! `cargo bench --bench running` runs whole jobs and prints each figure beside its target. `README.md` beside this
//! file has the figures.

#![expect(clippy::print_stdout, reason = "a benchmark prints its figures")]

use std::fs;
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use hptune::units::{Step, WallTime};
use tfevents::event;
use tfevents::record as tfrecord;

const PROGRAM: &str = env!("CARGO_BIN_EXE_hptune");

/// Ticks of the process table a second; the same on every Linux that Rust runs on.
const TICKS_A_SECOND: f64 = 100.0;

fn main() {
    let directory = tempfile::tempdir().expect("a directory");
    let path = directory.path();
    let (wall, cpu, _) = run(&path.join("many"), 1_000, 8, 1);
    println!("1,000 trials that end at once, 8 at a time: {:.1} s (60)", wall.as_secs_f64());
    println!("the controller's own work: {:.1} ms a trial (20)", 1e3 * cpu / 1_000.0);
    let n = 100_000;
    let (_, _, size) = run(&path.join("long"), 1, 1, n);
    println!("the store grows by {:.0} bytes a measurement (200)", size as f64 / n as f64);
}

/// Runs a job whose trainers copy an event file of `n_values`: its time, the controller's processor time in seconds,
/// and the bytes of its store.
fn run(directory: &Path, n_trials: u32, n_parallel: u32, n_values: i64) -> (Duration, f64, u64) {
    fs::create_dir_all(directory).expect("a directory");
    let mut bytes = Vec::new();
    for step in 1..=n_values {
        let event =
            event::encode_scalars(WallTime(step as f64), Step(step), &[("acc", 0.5 + step as f32 * 1e-6)]);
        tfrecord::encode(&event, &mut bytes);
    }
    fs::write(directory.join("events"), bytes).expect("it is written");
    let config = format!(
        "trainingInput:\n  hyperparameters:\n    hyperparameterMetricTag: acc\n    maxTrials: {n_trials}\n    \
         maxParallelTrials: {n_parallel}\n    algorithm: RANDOM_SEARCH\n    params:\n    \
         - {{parameterName: x, type: DOUBLE, minValue: 0, maxValue: 1}}\n"
    );
    fs::write(directory.join("c.yaml"), config).expect("it is written");
    let store = directory.join("store.db");
    let started = Instant::now();
    let mut child = Command::new(PROGRAM)
        .args([
            "run",
            "c.yaml",
            "--job-dir",
            "out",
            "--",
            "sh",
            "-c",
            "cp events $HPTUNE_JOB_DIR/x.tfevents.1",
        ])
        .current_dir(directory)
        .env("HPTUNE_STORE", &store)
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .expect("it runs");
    let mut cpu = 0.0;
    let status = loop {
        cpu = own_time(child.id()).unwrap_or(cpu);
        if let Some(status) = child.try_wait().expect("it is ours") {
            break status;
        }
        std::thread::sleep(Duration::from_millis(10));
    };
    assert!(status.success());
    (started.elapsed(), cpu, fs::metadata(store).expect("it is there").len())
}

/// The processor time of a process without its children (proc_pid_stat(5), fields 14 and 15).
fn own_time(id: u32) -> Option<f64> {
    let stat = fs::read_to_string(format!("/proc/{id}/stat")).ok()?;
    let fields: Vec<&str> = stat.rsplit(')').next()?.split_whitespace().collect();
    let ticks: u64 = fields.get(11..13)?.iter().filter_map(|field| field.parse::<u64>().ok()).sum();
    (ticks > 0).then_some(ticks as f64 / TICKS_A_SECOND)
}
