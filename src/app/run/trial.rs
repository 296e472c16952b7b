//! One trial as `run` has it: its files, its processes, the follower of what it writes.

use std::collections::BTreeMap;
use std::fs;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::io;
use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::time::Instant;

use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use serde_json::{Value as Json, json};

use super::own;
use crate::edge::cgroup::Cgroup;
use crate::edge::follow::Follower;
use crate::edge::gpu::Gpu;
use crate::edge::host::HostError;
use crate::edge::keeper::{Order, ReplicaOrder};
use crate::edge::kept::Kept;
use crate::edge::output::Output;
use crate::edge::outside::Search;
use crate::edge::remote::is_address;
use crate::edge::reports::{ReportFiles, reports_of};
use crate::edge::store::NewJob;
use crate::scalar::OWN_DIRECTORY;
use crate::study::launch::{self, TRIAL_DIR_VARIABLE, TrialContext};
use crate::study::{Assignment, CommandLine, Config, Replica, Slot};
use crate::tail::is_trial;
use crate::units::{Tag, TrialId};

/// What a trial is, among its records.
const DESCRIPTION: &str = "trial.json";

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
    fn of(config: &Config) -> Self {
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
    pub(in crate::app) fn new(job_dir: &Path, local: &Path, trial: TrialId) -> Self {
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
    pub(super) fn trial_dir(&self) -> String {
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
    fn metrics_file(&self, replica: Replica) -> PathBuf {
        self.log(replica).with_extension("metrics")
    }

    /// Where replicas' reports are, and are kept.
    pub(super) fn reports(&self, replicas: &[Replica]) -> Vec<ReportFiles> {
        let files = |replica: &Replica| ReportFiles {
            metrics: self.metrics_file(*replica),
            log: self.records.join(reports_of(*replica)),
        };
        replicas.iter().map(files).collect()
    }

    pub(super) fn record(&self, attempt: u32) -> PathBuf {
        self.records.join(format!("attempt-{attempt}.jsonl"))
    }

    /// Which event files it writes outside of its directory.
    pub(super) fn outside(&self) -> PathBuf {
        self.records.join("outside.jsonl")
    }

    /// What the processes of this trial, and no others, have in their environment.
    pub(super) fn mark(&self) -> String {
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
    pub(in crate::app) fn are_described(&self) -> bool {
        self.records.join(DESCRIPTION).is_file()
    }

    /// What its job reads.
    pub(in crate::app) fn objective(&self) -> ObjectiveRecord {
        self.described("objective")
    }

    /// What a trial that was started before has of the machine.
    pub(super) fn slot(&self) -> Slot {
        self.described("slot")
    }

    /// How much memory of its GPUs, by their names, was in use before such a trial, in MiB.
    pub(super) fn gpu_memory_before(&self) -> BTreeMap<String, u64> {
        self.described("gpuMemoryUsedMib")
    }

    /// Makes both directories. Those that hold anything else than this trial's own files are refused.
    pub(super) fn make(&self, job_id: &str, trial: TrialId) -> Result<(), HostError> {
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
pub(in crate::app) fn described_params(directory: &Path) -> BTreeMap<String, String> {
    let name = directory.file_name().and_then(|name| name.to_str()).filter(|name| is_trial(name));
    let trial = name.and_then(|name| name.parse().ok()).and_then(TrialId::new);
    let files =
        directory.parent().zip(trial).map(|(job_dir, trial)| TrialFiles::new(job_dir, job_dir, trial));
    files.map(|files| files.described("hyperparameters")).unwrap_or_default()
}

/// A trial that has, or had, processes, until its files are read to their end.
#[derive(Debug)]
pub(super) struct Running {
    pub(super) kept: Kept,
    pub(super) follower: Option<Follower>,
    pub(super) slot: Slot,
    /// When its main process was seen to have ended, which was then handed to the controller.
    pub(super) ended_at: Option<Instant>,
    /// The user was told that others of it are left.
    pub(super) is_rest_told: bool,
    /// Its files are being read to their end.
    pub(super) is_draining: bool,
    /// It cannot be killed: it is settled before it is gone.
    pub(super) is_quarantined: bool,
}

impl Running {
    pub(super) fn new(kept: Kept, follower: Follower, slot: Slot) -> Self {
        Self {
            kept,
            follower: Some(follower),
            slot,
            ended_at: None,
            is_rest_told: false,
            is_draining: false,
            is_quarantined: false,
        }
    }
}

/// What a job has for all its trials.
#[derive(Debug, Clone, Copy)]
pub(super) struct ForAll<'a> {
    pub(super) job_id: &'a str,
    pub(super) config: &'a Config,
    /// The words of the trainer's command without what each trial adds.
    pub(super) words: &'a [String],
    /// Where trainers run.
    pub(super) directory: &'a Path,
}

/// What is to be started for a trial.
///
/// # Errors
/// There is no free port.
pub(super) fn order(
    all: ForAll<'_>,
    files: &TrialFiles,
    trial: TrialId,
    params: &Assignment,
    slot: &Slot,
    attempt: u32,
) -> io::Result<Order> {
    let replicas = all.config.cluster.replicas();
    let ports = if replicas.len() > 1 { free_ports(replicas.len())? } else { vec![0] };
    let members: Vec<(Replica, u16)> = replicas.iter().copied().zip(ports).collect();
    let context = TrialContext {
        job_id: all.job_id,
        trial,
        trial_dir: &files.trial_dir(),
        metric_tag: &all.config.spec.metric_tag,
        training_input: &all.config.training_input,
        replicas: &members,
    };
    let is_own = all.config.runs_in_own;
    let words = if is_own { own::absolute(all.words, all.directory) } else { all.words.to_vec() };
    let line = CommandLine::new(&words, params.iter().map(|(name, _)| name));
    let words = line.fill(params, trial, context.trial_dir, all.config.appends_job_dir);
    let mut words = words.into_iter();
    let program = words.next().unwrap_or_default();
    let arguments: Vec<String> = words.collect();
    let reports = files.reports(&replicas);
    let directory = if is_own { files.directory.clone() } else { all.directory.to_owned() };
    let outside = Search {
        record: files.outside(),
        place: directory.clone(),
        directory: files.directory.clone(),
        has_neighbours: all.config.spec.max_parallel_trials > 1,
    };
    let replicas = replicas.into_iter().map(|replica| {
        let metrics_file = files.metrics_file(replica);
        let mut environment = launch::environment(&context, replica, &metrics_file.to_string_lossy());
        if is_own {
            environment.extend(own::python_path(all.directory).map(|path| ("PYTHONPATH".into(), path)));
        }
        if !slot.gpus.is_empty() {
            environment.push(("CUDA_VISIBLE_DEVICES".into(), slot.gpus.join(",")));
        }
        if !slot.cpus.is_empty() && std::env::var_os("OMP_NUM_THREADS").is_none() {
            environment.push(("OMP_NUM_THREADS".into(), slot.cpus.len().to_string()));
        }
        ReplicaOrder {
            replica,
            program: program.clone(),
            arguments: arguments.clone(),
            environment,
            log: files.log(replica),
        }
    });
    Ok(Order {
        record: files.record(attempt),
        directory,
        reports,
        outside,
        cgroup: None,
        cpus: slot.cpus.clone(),
        max_handles: None,
        waits_for_children: all.config.waits_for_children,
        replicas: replicas.collect(),
    })
}

/// Writes down what a trial is.
pub(super) fn describe(
    all: ForAll<'_>,
    files: &TrialFiles,
    trial: TrialId,
    params: &Assignment,
    slot: &Slot,
    gpus: &[Gpu],
    order: &Order,
) -> io::Result<()> {
    let of_trial = gpus.iter().filter(|gpu| slot.gpus.contains(&gpu.id));
    let gpu_memory: BTreeMap<&str, u64> = of_trial.map(|gpu| (&*gpu.id, gpu.used_mib)).collect();
    let main = order.replicas.first();
    let description = json!({
        "job": all.job_id,
        "objective": ObjectiveRecord::of(all.config),
        "trial": trial,
        "hyperparameters": params,
        "program": main.map(|replica| &replica.program),
        "arguments": main.map(|replica| &replica.arguments),
        "slot": slot,
        "gpuMemoryUsedMib": gpu_memory,
    });
    // A controller that takes the job up reads it again.
    Output::replace(&files.records.join(DESCRIPTION), format!("{description:#}\n").as_bytes())
}

/// The control group for a trial, where there can be one. Jobs of several stores may have the same name, but no two
/// trials have the same directory.
pub(super) fn cgroup(files: &TrialFiles, job_id: &str, trial: TrialId, attempt: u32) -> Option<Cgroup> {
    let mut hasher = DefaultHasher::new();
    files.directory.hash(&mut hasher);
    Cgroup::named(&format!("hptune-{job_id}-{trial}-{attempt}-{:016x}", hasher.finish()))
}

/// Ports of the loopback address that nobody listens on.
fn free_ports(n: usize) -> io::Result<Vec<u16>> {
    // All are held before the first is let go, so that no two are the same.
    let listeners: Vec<TcpListener> =
        (0..n).map(|_| TcpListener::bind(("127.0.0.1", 0))).collect::<io::Result<_>>()?;
    listeners.iter().map(|listener| Ok(listener.local_addr()?.port())).collect()
}
