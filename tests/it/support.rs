//! What the tests of the program share.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::time::{Duration, Instant};

use hptune::units::{Step, WallTime};
use parquet::file::reader::{FileReader, SerializedFileReader};
use parquet::record::{Field, Row};
use serde_json::Value as Json;
use tfevents::event;
use tfevents::record as tfrecord;

pub(crate) const PROGRAM: &str = env!("CARGO_BIN_EXE_hptune");

/// How long anything may take before a test fails.
pub(crate) const PATIENCE: Duration = Duration::from_secs(120);

/// Waits until something is so.
#[track_caller]
pub(crate) fn wait_for(what: &str, mut is_so: impl FnMut() -> bool) {
    let start = Instant::now();
    while !is_so() {
        assert!(start.elapsed() < PATIENCE, "waited too long for {what}");
        std::thread::sleep(Duration::from_millis(2));
    }
}

/// The writers that have a golden directory.
pub(crate) const WRITERS: [&str; 7] = [
    "estimator_v1",
    "pytorch",
    "tensorboard_package",
    "tensorboardx",
    "tf1_filewriter",
    "tf1_merged_summary",
    "tf2_summary",
];

pub(crate) fn golden_dir() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("testdata/golden")
}

/// A directory with a store, in which the program is run.
pub(crate) struct Place {
    directory: tempfile::TempDir,
}

impl Place {
    pub(crate) fn new() -> Self {
        Self { directory: tempfile::tempdir().expect("a directory") }
    }

    /// The same with a configuration and an event file of two values, of which the last is 0.5.
    pub(crate) fn of_job(config: &str) -> Self {
        let place = Self::new();
        place.write("c.yaml", config);
        place.write("acc.tfevents", event_file(&[0.25, 0.5]));
        place
    }

    pub(crate) fn path(&self) -> &Path {
        self.directory.path()
    }

    /// Writes a file and gives its path.
    pub(crate) fn write(&self, name: &str, content: impl AsRef<[u8]>) -> String {
        let path = self.path().join(name);
        fs::write(&path, content).expect("it is written");
        path.to_str().expect("UTF-8").to_owned()
    }

    /// The program with its store here, in this directory.
    pub(crate) fn command(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new(PROGRAM);
        command
            .args(arguments)
            .current_dir(self.path())
            .env("HPTUNE_STORE", self.path().join("store.db"))
            .env("TMPDIR", self.path())
            .stdin(Stdio::null());
        command
    }

    /// The program, to run a job named `job` of `c.yaml` with a shell script as its trainer.
    pub(crate) fn job(&self, options: &[&str], script: &str) -> Command {
        let head = ["run", "c.yaml", "--job-id", "job", "--job-dir", "out"];
        // The script's own arguments follow its name.
        let tail = ["--", "sh", "-c", script, "trainer"];
        self.command(&[&head[..], options, &tail[..]].concat())
    }

    /// The same, begun; what it prints is dropped.
    pub(crate) fn start_job(&self, script: &str) -> Child {
        let mut command = self.job(&[], script);
        command.stdout(Stdio::null()).stderr(Stdio::null()).spawn().expect("it runs")
    }

    pub(crate) fn run(&self, arguments: &[&str]) -> Ran {
        Ran::of(&self.command(arguments).output().expect("it runs"))
    }

    /// A stored job in the service's form.
    #[track_caller]
    pub(crate) fn describe(&self, job: &str) -> Json {
        let ran = self.run(&["jobs", "describe", job, "--json"]);
        assert_eq!(ran.code, Some(0), "{}", ran.err);
        serde_json::from_str(&ran.out).expect("it is JSON")
    }

    /// How many jobs there are in the store.
    #[track_caller]
    pub(crate) fn n_jobs(&self) -> usize {
        let ran = self.run(&["jobs", "list", "--json"]);
        let jobs: Json = serde_json::from_str(&ran.out).expect("it is JSON");
        jobs.as_array().expect("a list").len()
    }
}

/// The processes that live and have a variable of their environment begin with this value.
pub(crate) fn processes_with(value: &str) -> Vec<i32> {
    let is_it = |directory: &Path| {
        let environment = fs::read(directory.join("environ")).unwrap_or_default();
        let wanted = format!("HPTUNE_JOB_DIR={value}");
        environment.split(|byte| *byte == 0).any(|entry| entry.starts_with(wanted.as_bytes()))
    };
    let entries = fs::read_dir("/proc").expect("it is there").flatten();
    entries
        .filter(|entry| is_it(&entry.path()))
        .filter_map(|entry| entry.file_name().to_str()?.parse().ok())
        .collect()
}

/// What a run of the program gave.
#[derive(Debug)]
pub(crate) struct Ran {
    pub(crate) code: Option<i32>,
    pub(crate) out: String,
    pub(crate) err: String,
}

impl Ran {
    pub(crate) fn of(output: &Output) -> Self {
        let text = |bytes: &[u8]| String::from_utf8(bytes.to_vec()).expect("it prints UTF-8");
        Self { code: output.status.code(), out: text(&output.stdout), err: text(&output.stderr) }
    }
}

/// A configuration with one integer parameter `x`, 1 to 1000, and more lines of `hyperparameters`.
pub(crate) fn config(max_trials: u32, hyperparameters: &str, hptune: &str) -> String {
    format!(
        "trainingInput:\n  hyperparameters:\n    goal: MAXIMIZE\n    hyperparameterMetricTag: acc\n    \
         maxTrials: {max_trials}\n    algorithm: RANDOM_SEARCH\n    {hyperparameters}\n    params:\n    \
         - {{parameterName: x, type: INTEGER, minValue: 1, maxValue: 1000}}\nhptune:\n  seed: 3\n  {hptune}\n"
    )
}

/// A column of a Parquet file.
pub(crate) fn parquet_column(file: &Path, name: &str) -> Vec<Field> {
    let bytes = bytes::Bytes::from(fs::read(file).expect("it is written"));
    let reader = SerializedFileReader::new(bytes).expect("it is a Parquet file");
    let cell = |row: Row| row.into_columns().into_iter().find(|(column, _)| column == name);
    let rows = reader.get_row_iter(None).expect("it has rows");
    rows.map(|row| cell(row.expect("it is a row")).expect("it has the column").1).collect()
}

/// An event file with values of the tag `acc` at steps 1, 2 and so on.
pub(crate) fn event_file(values: &[f32]) -> Vec<u8> {
    let points: Vec<(i64, f32)> = (1..).zip(values.iter().copied()).collect();
    event_file_at(&points)
}

/// An event file with values of the tag `acc` at these steps.
pub(crate) fn event_file_at(points: &[(i64, f32)]) -> Vec<u8> {
    let mut bytes = Vec::new();
    tfrecord::encode(&event::encode_file_version(WallTime(1.0), "test"), &mut bytes);
    for (step, value) in points {
        let event = event::encode_scalars(WallTime(*step as f64), Step(*step), &[("acc", *value)]);
        tfrecord::encode(&event, &mut bytes);
    }
    bytes
}
