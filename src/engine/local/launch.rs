//! What is started for an attempt, and what is written down of it.

use std::collections::BTreeMap;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::io;
use std::net::TcpListener;
use std::path::Path;

use serde_json::json;

use super::cgroup::Cgroup;
use super::gpu::Gpu;
use super::own;
use super::supervisor::{LaunchSpec, ReplicaSpec};
use crate::edge::output::Output;
use crate::edge::outside::Search;
use crate::edge::trial_files::{DESCRIPTION, ObjectiveRecord, TrialFiles};
use crate::study::launch::{self, TrialContext};
use crate::study::{Assignment, CommandLine, Config, Replica, Slot};
use crate::units::TrialId;

/// What a job has for all its trials.
#[derive(Debug, Clone, Copy)]
pub struct ForAll<'a> {
    /// Its name.
    pub job_id: &'a str,
    /// Its configuration.
    pub config: &'a Config,
    /// The words of the trainer's command without what each trial adds.
    pub words: &'a [String],
    /// Where trainers run.
    pub directory: &'a Path,
}

/// What is to be started for a trial.
///
/// # Errors
/// There is no free port.
pub fn launch_spec(
    all: ForAll<'_>,
    files: &TrialFiles,
    trial: TrialId,
    params: &Assignment,
    slot: &Slot,
    attempt: u32,
) -> io::Result<LaunchSpec> {
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
        ReplicaSpec {
            replica,
            program: program.clone(),
            arguments: arguments.clone(),
            environment,
            log: files.log(replica),
        }
    });
    Ok(LaunchSpec {
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
    spec: &LaunchSpec,
) -> io::Result<()> {
    let of_trial = gpus.iter().filter(|gpu| slot.gpus.contains(&gpu.id));
    let gpu_memory: BTreeMap<&str, u64> = of_trial.map(|gpu| (&*gpu.id, gpu.used_mib)).collect();
    let main = spec.replicas.first();
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
