//! Attempts as processes on this machine, each under a supervisor of its own.
//!
//! What an attempt has of the machine ([`Slot`]) it has until nothing of it is left, its files are read, and the memory of its
//! GPUs is as free as it was before it.

mod cgroup;
mod gpu;
mod launch;
mod left;
mod machine;
mod own;
mod supervisor;
mod trial_processes;

use std::collections::{BTreeMap, VecDeque};
use std::io;
use std::mem::replace;
use std::path::PathBuf;
use std::sync::mpsc;
use std::thread;
use std::time::{Duration, Instant};

use jiff::Timestamp;

use super::{Attempt, Ending, Engine, EngineEvent, Reattached};
use crate::controller::Signal;
use crate::edge::host::{HostError, check_handles, raise_handle_limit};
use crate::edge::reports::Copier;
use crate::edge::store::NewJob;
use crate::edge::trial_files::TrialFiles;
use crate::limits::{HANDLES_A_TRIAL, KILL_PATIENCE, LEFT_BEHIND_AFTER, REAP_INTERVAL};
use crate::study::{Config, Exit, Replica, Slot};
use crate::units::TrialId;
use cgroup::Cgroup;
use gpu::Gpu;
pub use launch::{ForAll, launch_spec};
pub use machine::{Machine, MachineError};
pub use supervisor::{LaunchSpec, supervise};
pub use trial_processes::SUPERVISOR_VERB;
use trial_processes::{StartError, TrialProcesses};

/// Runs attempts as processes on this machine.
pub struct LocalEngine {
    job: NewJob,
    config: Config,
    /// The words of the trainer's command, without what each trial adds.
    words: Vec<String>,
    machine: Machine,
    /// How many file handles what is started may have, where the program raised its own limit.
    max_handles: Option<u64>,
    attempts: BTreeMap<TrialId, Running>,
    /// The GPUs that threads have waited for, and which of them cannot be used again, and why.
    freed: (mpsc::Sender<Freed>, mpsc::Receiver<Freed>),
    events: VecDeque<EngineEvent>,
}

/// A trial that has ended, and which of its GPUs cannot be used again, and why.
type Freed = (TrialId, Vec<(String, String)>);

/// An attempt that runs, or ran.
struct Running {
    processes: TrialProcesses,
    slot: Slot,
    /// It was started just now, not by an earlier controller.
    is_new: bool,
    /// When its main process was seen to have ended.
    ended_at: Option<Instant>,
    /// That others of it are left was told.
    is_rest_told: bool,
    is_gone_told: bool,
    /// Its files are read.
    is_released: bool,
    /// The memory of its GPUs is waited for.
    is_freeing: bool,
}

impl std::fmt::Debug for LocalEngine {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let running: Vec<&TrialId> = self.attempts.keys().collect();
        f.debug_struct("LocalEngine").field("attempts", &running).finish_non_exhaustive()
    }
}

impl LocalEngine {
    /// An engine of one job. `words` are those of the trainer's command, without what each trial adds.
    #[must_use]
    pub fn new(job: NewJob, config: Config, words: Vec<String>, machine: Machine) -> Self {
        let max_handles = raise_handle_limit();
        Self {
            job,
            config,
            words,
            machine,
            max_handles,
            attempts: BTreeMap::new(),
            freed: mpsc::channel(),
            events: VecDeque::new(),
        }
    }

    fn files(&self, trial: TrialId) -> TrialFiles {
        TrialFiles::of(&self.job, trial)
    }

    /// Takes what an attempt of an earlier controller has of the machine.
    fn claim(&mut self, files: &TrialFiles) -> Slot {
        let slot = files.slot();
        self.machine.slots.claim(&slot);
        // What is in use now may be the trial's.
        let before = files.gpu_memory_before();
        for gpu in &mut self.machine.gpus {
            gpu.used_mib = before.get(&gpu.id).map_or(gpu.used_mib, |used| gpu.used_mib.min(*used));
        }
        slot
    }

    fn start(
        &self,
        attempt: Attempt<'_>,
        files: &TrialFiles,
        slot: &Slot,
    ) -> Result<TrialProcesses, HostError> {
        let Attempt { trial, params, number } = attempt;
        let all = ForAll {
            job_id: &self.job.id,
            config: &self.config,
            words: &self.words,
            directory: &self.job.directory,
        };
        let mut spec = launch_spec(all, files, trial, params, slot, number)?;
        spec.max_handles = self.max_handles;
        let group = launch::cgroup(files, &self.job.id, trial, number).filter(Cgroup::make);
        spec.cgroup = group.as_ref().map(|group| group.path().to_owned());
        let started = launch::describe(all, files, trial, params, slot, &self.machine.gpus, &spec)
            .map_err(StartError::from)
            .and_then(|()| TrialProcesses::start(self.machine.program.as_deref(), &spec, files.mark()));
        match started {
            Ok(processes) => Ok(processes),
            // The earlier controller's supervisor had not yet begun when we looked.
            Err(StartError::WasStarted) => Ok(TrialProcesses::reattach(&spec.record, files.mark())?
                .ok_or_else(|| io::Error::other("its supervisor's record vanished"))?),
            Err(StartError::Failed(e)) => {
                if let Some(group) = group {
                    group.remove();
                }
                Err(e)
            }
        }
    }

    /// Frees the slot of an attempt of which nothing is left, or has its GPUs waited for.
    fn free(&mut self, trial: TrialId) {
        let Some(running) = self.attempts.get_mut(&trial).filter(|running| !running.is_freeing) else {
            return;
        };
        let alone_on = self.machine.slots.alone_on(&running.slot);
        let is_watched = |gpu: &&Gpu| gpu.index.is_some() && alone_on.contains(&gpu.id);
        let before: Vec<Gpu> = self.machine.gpus.iter().filter(is_watched).cloned().collect();
        if before.is_empty() {
            return self.give_back(trial);
        }
        running.is_freeing = true;
        let (freed, patience) = (self.freed.0.clone(), self.config.needs.gpu_patience);
        thread::spawn(move || {
            // Nobody is left to hear of it if this fails.
            let _ = freed.send((trial, gpu::wait_until_free(&before, patience)));
        });
    }

    fn give_back(&mut self, trial: TrialId) {
        if let Some(running) = self.attempts.remove(&trial) {
            self.machine.slots.give_back(&running.slot);
            self.events.push_back(EngineEvent::Released(trial));
        }
    }

    fn take_freed(&mut self) {
        let n_needed = self.config.spec.max_parallel_trials as usize;
        while let Ok((trial, in_use)) = self.freed.1.try_recv() {
            for (gpu, why) in in_use {
                let n_lost = self.machine.slots.lose(&gpu, n_needed);
                let text = format!("GPU {gpu}: {why}; no trial gets it any more");
                self.events.push_back(EngineEvent::SlotsLost(trial, n_lost, text));
            }
            self.give_back(trial);
        }
    }
}

impl Engine for LocalEngine {
    fn submit(&mut self, attempt: Attempt<'_>) -> Result<(), HostError> {
        if !self.attempts.is_empty() {
            // Those that run need theirs.
            check_handles(HANDLES_A_TRIAL)?;
        }
        let files = self.files(attempt.trial);
        if let Some(processes) = TrialProcesses::reattach(&files.record(attempt.number), files.mark())? {
            let slot = self.claim(&files);
            self.attempts.insert(attempt.trial, Running::new(processes, slot, false));
            return Ok(());
        }
        let no_slot = || io::Error::other("there is no GPU or processor left for it");
        let slot = self.machine.slots.take().ok_or_else(no_slot)?;
        match self.start(attempt, &files, &slot) {
            Ok(processes) => {
                self.attempts.insert(attempt.trial, Running::new(processes, slot, true));
                Ok(())
            }
            Err(e) => {
                self.machine.slots.give_back(&slot);
                Err(e)
            }
        }
    }

    fn reattach(&mut self, trial: TrialId, attempt: u32, now: Timestamp) -> Result<Reattached, HostError> {
        let files = self.files(trial);
        let Some(mut processes) = TrialProcesses::reattach(&files.record(attempt), files.mark())? else {
            // It was killed before it had any process.
            if let Some(group) = launch::cgroup(&files, &self.job.id, trial, attempt) {
                group.remove();
            }
            return Ok(Reattached::NeverStarted);
        };
        let note = processes
            .host_out_of_sight()
            .map(|host| format!("ran on {host}, which cannot be seen from here: it counts as lost"));
        let status = processes.poll();
        let exit = status.exit.or(status.is_gone.then_some(Exit::Lost));
        let slot = self.claim(&files);
        let ended_at = exit.map(|_| Instant::now());
        self.attempts.insert(trial, Running { ended_at, ..Running::new(processes, slot, false) });
        let ended = exit.map(|exit| (exit, status.ended_at.unwrap_or(now)));
        Ok(Reattached::Attached { note, ended })
    }

    fn withdraw(&mut self, trial: TrialId) -> io::Result<()> {
        let Some(mut running) = self.attempts.remove(&trial) else { return Ok(()) };
        self.machine.slots.give_back(&running.slot);
        if !running.is_new {
            return Ok(());
        }
        kill_and_wait(&mut running.processes);
        running.processes.forget()
    }

    fn poll(&mut self, now: Timestamp) -> Vec<EngineEvent> {
        let replicas = self.config.cluster.replicas();
        self.take_freed();
        let mut gone = Vec::new();
        for (trial, running) in &mut self.attempts {
            let status = running.processes.poll();
            if let (Some((replica, exit)), None, None) = (status.failed, status.exit, running.ended_at) {
                running.ended_at = Some(Instant::now());
                self.events.push_back(EngineEvent::ReplicaFailed(*trial, replica, exit));
            }
            let exit = status.exit.or(status.is_gone.then_some(Exit::Lost));
            if let (Some(exit), None) = (exit, running.ended_at) {
                running.ended_at = Some(Instant::now());
                let at = status.ended_at.unwrap_or(now);
                self.events.push_back(EngineEvent::Exited(*trial, exit, at));
            }
            let is_late = running.ended_at.is_some_and(|at| at.elapsed() > LEFT_BEHIND_AFTER);
            if !status.is_gone && is_late && !replace(&mut running.is_rest_told, true) {
                let n = running.processes.members().len();
                self.events.extend((n > 0).then_some(EngineEvent::Lingers(*trial, n)));
            }
            if status.is_gone && !replace(&mut running.is_gone_told, true) {
                // What a supervisor that was killed did not see.
                for files in TrialFiles::of(&self.job, *trial).reports(&replicas) {
                    let _ = Copier::new(&files).look();
                }
                self.events.push_back(EngineEvent::Gone(*trial));
            }
            if status.is_gone && running.is_released {
                gone.push(*trial);
            }
        }
        gone.into_iter().for_each(|trial| self.free(trial));
        self.events.drain(..).collect()
    }

    fn stop(&mut self, trial: TrialId, signal: Signal) {
        if let Some(running) = self.attempts.get_mut(&trial) {
            running.processes.signal(signal);
        }
    }

    fn release(&mut self, trial: TrialId) {
        if let Some(running) = self.attempts.get_mut(&trial) {
            running.is_released = true;
        }
    }

    fn ending(&self, trial: TrialId) -> Ending {
        let status = self.attempts.get(&trial).map(|running| running.processes.status());
        status.map_or_else(Ending::default, |status| Ending { exit: status.exit, failed: status.failed })
    }

    fn left_at_work(&self, trial: TrialId, wrote_files: bool) -> Option<String> {
        let left = self.attempts.get(&trial)?.processes.left()?;
        left.is_work(wrote_files).then(|| left.named())
    }

    fn rest_in_words(&self, trial: TrialId) -> String {
        let processes = self.attempts.get(&trial).map(|running| running.processes.members());
        let ids: Vec<String> = processes.unwrap_or_default().iter().map(ToString::to_string).collect();
        match &*ids {
            [] => "something of it is".to_owned(),
            [one] => format!("process {one} is"),
            many => format!("processes {} are", many.join(", ")),
        }
    }

    fn log(&self, trial: TrialId, replica: Option<Replica>) -> PathBuf {
        let files = self.files(trial);
        replica.map_or_else(|| files.main_log(), |replica| files.log(replica))
    }

    fn abandon(&mut self, grace: Duration) {
        let mut all: Vec<&mut TrialProcesses> =
            self.attempts.values_mut().map(|running| &mut running.processes).collect();
        all.iter_mut().for_each(|processes| processes.signal(Signal::Terminate));
        let deadline = Instant::now() + grace;
        while Instant::now() < deadline && all.iter_mut().any(|processes| !processes.poll().is_gone) {
            thread::sleep(REAP_INTERVAL);
        }
        all.into_iter().for_each(kill_and_wait);
    }
}

impl Running {
    fn new(processes: TrialProcesses, slot: Slot, is_new: bool) -> Self {
        Self {
            processes,
            slot,
            is_new,
            ended_at: None,
            is_rest_told: false,
            is_gone_told: false,
            is_released: false,
            is_freeing: false,
        }
    }
}

/// Kills all of an attempt and waits until nothing is left, for a limited time.
fn kill_and_wait(processes: &mut TrialProcesses) {
    let deadline = Instant::now() + KILL_PATIENCE;
    processes.signal(Signal::Kill);
    while !processes.poll().is_gone && Instant::now() < deadline {
        thread::sleep(REAP_INTERVAL);
    }
}
