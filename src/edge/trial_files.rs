//! Where the files of a trial are, and what its records say.

use std::collections::BTreeMap;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use serde_json::{Value as Json, json};

use super::host::HostError;
use super::remote::is_address;
use super::reports::{ReportFiles, reports_of};
use super::store::NewJob;
use crate::layout::{OWN_DIRECTORY, is_trial};
use crate::study::launch::TRIAL_DIR_VARIABLE;
use crate::study::{Config, Replica, Slot};
use crate::units::{Tag, TrialId};

/// What a trial is, among its records.
pub const DESCRIPTION: &str = "trial.json";

/// What a job reads, among the records of its trials.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct ObjectiveRecord {
    /// The tag; none in records of earlier versions.
    pub metric_tag: Option<Tag>,
    /// The pattern of the runs that are read, where there is one.
    pub run: Option<String>,
    /// Whether the mean of several runs is.
    pub is_mean: bool,
}

impl ObjectiveRecord {
    /// What a job of this configuration reads.
    #[must_use]
    pub fn of(config: &Config) -> Self {
        let run = config.run.pattern().map(str::to_owned);
        Self { metric_tag: Some(config.spec.metric_tag.clone()), run, is_mean: config.run.is_mean() }
    }
}

/// Where the files of a trial are. What hptune keeps stands outside of the directory that the trainer is given:
/// trainers empty, rename and replace theirs.
#[derive(Debug, Clone)]
pub struct TrialFiles {
    /// The directory that the trainer is given; where that is in an object store, one on this machine that stands for
    /// it.
    pub directory: PathBuf,
    /// The address that the trainer is given, where its directory is in an object store.
    pub address: Option<String>,
    /// The directory of what hptune keeps: records, logs, reports.
    pub records: PathBuf,
}

impl TrialFiles {
    /// Those of a trial of a job.
    #[must_use]
    pub fn of(job: &NewJob, trial: TrialId) -> Self {
        Self::new(&job.job_dir, &job.local_dir(), trial)
    }

    /// Those of a trial of a job with this directory or address, which has `local` on this machine.
    pub fn new(job_dir: &Path, local: &Path, trial: TrialId) -> Self {
        let address = job_dir.to_str().filter(|address| is_address(address));
        let address = address.map(|address| format!("{}/{trial}", address.trim_end_matches('/')));
        let job_dir = local;
        let directory = job_dir.join(trial.to_string());
        let records = job_dir.join(OWN_DIRECTORY).join(trial.to_string());
        // Earlier versions kept them in the trainer's directory.
        let earlier = directory.join(OWN_DIRECTORY);
        let is_earlier = !records.exists() && earlier.join(DESCRIPTION).exists();
        Self { directory, address, records: if is_earlier { earlier } else { records } }
    }

    /// The directory or the address that the trainer is given.
    pub fn trial_dir(&self) -> String {
        self.address.clone().unwrap_or_else(|| self.directory.to_string_lossy().into_owned())
    }

    /// What a replica prints.
    #[must_use]
    pub fn log(&self, replica: Replica) -> PathBuf {
        if replica.role.is_main() { self.main_log() } else { self.records.join(format!("{replica}.log")) }
    }

    /// What the main replica prints.
    #[must_use]
    pub fn main_log(&self) -> PathBuf {
        self.records.join("trainer.log")
    }

    /// Where the cloudml-hypertune package of a replica writes.
    pub fn metrics_file(&self, replica: Replica) -> PathBuf {
        self.log(replica).with_extension("metrics")
    }

    /// Where replicas' reports are, and are kept.
    pub fn reports(&self, replicas: &[Replica]) -> Vec<ReportFiles> {
        let files = |replica: &Replica| ReportFiles {
            metrics: self.metrics_file(*replica),
            log: self.records.join(reports_of(*replica)),
        };
        replicas.iter().map(files).collect()
    }

    /// What the supervisor of an attempt writes down.
    pub fn record(&self, attempt: u32) -> PathBuf {
        self.records.join(format!("attempt-{attempt}.jsonl"))
    }

    /// Which event files it writes outside of its directory.
    pub fn outside(&self) -> PathBuf {
        self.records.join("outside.jsonl")
    }

    /// What the processes of this trial, and no others, have in their environment.
    pub fn mark(&self) -> String {
        format!("{TRIAL_DIR_VARIABLE}={}", self.trial_dir())
    }

    /// What the description says under `key`, or nothing.
    fn described<T: DeserializeOwned + Default>(&self, key: &str) -> T {
        let text = fs::read_to_string(self.records.join(DESCRIPTION)).unwrap_or_default();
        let mut description: Json = serde_json::from_str(&text).unwrap_or_default();
        let value = description.get_mut(key).map(Json::take).unwrap_or_default();
        serde_json::from_value(value).unwrap_or_default()
    }

    /// Whether there are records of a trial.
    pub fn are_described(&self) -> bool {
        self.records.join(DESCRIPTION).is_file()
    }

    /// What its job reads.
    pub fn objective(&self) -> ObjectiveRecord {
        self.described("objective")
    }

    /// What a trial that was started before has of the machine.
    pub fn slot(&self) -> Slot {
        self.described("slot")
    }

    /// How much memory of its GPUs, by their names, was in use before such a trial, in MiB.
    pub fn gpu_memory_before(&self) -> BTreeMap<String, u64> {
        self.described("gpuMemoryUsedMib")
    }

    /// Makes both directories. Those that hold anything else than this trial's own files are refused.
    pub fn make(&self, job_id: &str, trial: TrialId) -> Result<(), HostError> {
        let named = |directory: &Path, e: &io::Error| HostError::at(directory.display(), e);
        let make = |directory: &Path| fs::create_dir_all(directory).map_err(|e| named(directory, &e));
        if self.described::<String>("job") == job_id && self.described::<Json>("trial") == json!(trial) {
            // What its trainer removed it gets again; what it put there instead is its own affair.
            return match fs::create_dir_all(&self.directory) {
                Err(e) if e.kind() != io::ErrorKind::AlreadyExists => Err(named(&self.directory, &e)),
                _ => Ok(()),
            };
        }
        make(&self.directory)?;
        make(&self.records)?;
        // What was made just before the controller was killed is empty, but for a description that is not whole.
        let earlier = self.directory.join(OWN_DIRECTORY);
        let is_unfinished = |path: &Path| {
            let name = path.file_name().unwrap_or_default().to_string_lossy();
            *path == earlier || name.strip_prefix(DESCRIPTION).is_some_and(|rest| rest.starts_with('.'))
        };
        for directory in [&self.directory, &self.records, &earlier] {
            let mut entries = fs::read_dir(directory).into_iter().flatten().flatten();
            if !entries.all(|entry| is_unfinished(&entry.path())) {
                return Err(named(directory, &io::Error::other("holds files already")));
            }
        }
        Ok(())
    }
}

/// The parameters of the trial whose directory this is, as texts; none where it is no trial's.
pub fn described_params(directory: &Path) -> BTreeMap<String, String> {
    let name = directory.file_name().and_then(|name| name.to_str()).filter(|name| is_trial(name));
    let trial = name.and_then(|name| name.parse().ok()).and_then(TrialId::new);
    let files =
        directory.parent().zip(trial).map(|(job_dir, trial)| TrialFiles::new(job_dir, job_dir, trial));
    files.map(|files| files.described("hyperparameters")).unwrap_or_default()
}
