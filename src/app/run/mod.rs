//! `run`: one loop between the controller, the trials' processes, their event files and the store.

mod carry;
mod dry;
mod failure;
mod left;
mod own;
mod pending;
pub(crate) mod remarks;
mod suggester;
mod tell;
pub(super) mod trial;

use std::collections::{BTreeMap, BTreeSet};
use std::io;
use std::mem::replace;
use std::thread;
use std::time::{Duration, Instant};

use jiff::Timestamp;
use tfevents::disk::Root;
use tokio::sync::mpsc;

use super::Failure;
use super::prepare::Plan;
use crate::controller::{Controller, Input, Signal};
use crate::edge::cgroup::Cgroup;
use crate::edge::clock::wall_time;
use crate::edge::files::directory;
use crate::edge::follow::{At, Followed, Follower, Members, Objective};
use crate::edge::gpu::{self, Gpu};
use crate::edge::host::{HostError, check_handles, raise_handle_limit};
use crate::edge::kept::{Kept, StartError};
use crate::edge::outside::Claim;
use crate::edge::process::{adopt_orphans, collect_orphans};
use crate::edge::reports::Copier;
use crate::edge::signals::{HANGUP, Heard, Signals};
use crate::edge::store::NewJob;
use crate::limits::{
    FOLLOW_QUEUE, HANDLES_A_TRIAL, KILL_PATIENCE, LEFT_BEHIND_AFTER, MAX_PARALLEL_TRIALS, REAP_INTERVAL,
};
use crate::report::Report;
use crate::study::{Assignment, Config, Exit, FinalState, JobEnd, Slot, Study, Trial};
use crate::suggest;
use crate::tail::Seen;
use crate::units::TrialId;
use carry::Stored;
pub use dry::{FirstTrial, first_trial};
use pending::Pending;
use remarks::Remarked;
use suggester::{Answer, Suggester};
use trial::{ForAll, Running, cgroup, describe, order};
pub use trial::{ObjectiveRecord, TrialFiles};

/// How a job ended, with all that it found.
#[derive(Debug)]
pub struct Finished {
    /// The state and what there is to say.
    pub end: JobEnd,
    /// The study.
    pub config: Config,
    /// The job as it was stored.
    pub job: NewJob,
    /// Its trials.
    pub trials: Vec<Trial>,
    /// The signal that ended it, where one did.
    pub signal: Option<i32>,
}

impl Finished {
    /// The process's exit code: 0, 1 where no trial gave a result, 128 and the number of a signal.
    #[must_use]
    pub fn exit_code(&self) -> u8 {
        match (self.signal.and_then(|n| u8::try_from(n).ok()), self.end.state) {
            (Some(signal), _) => 128 + signal,
            (None, FinalState::Succeeded) => 0,
            (None, FinalState::Failed | FinalState::Cancelled) => 1,
        }
    }
}

/// Runs a job to its end. What happens is told to `tell`.
///
/// # Errors
/// The store or the system failed; every trial is stopped then.
pub fn run(plan: Plan, tell: &mut dyn FnMut(&Report)) -> Result<Finished, Failure> {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .map_err(|e| Failure::outside(format!("cannot start: {e}")))?;
    runtime.block_on(async {
        let (job, incoming) = Job::new(plan, tell)?;
        job.run(incoming).await
    })
}

/// What comes to a job's loop from its own threads.
struct Incoming {
    followed: mpsc::Receiver<Followed>,
    freed: mpsc::Receiver<Freed>,
    answers: mpsc::Receiver<Answer>,
}

/// A trial that has ended, and which of its GPUs cannot be used again, and why.
type Freed = (TrialId, Vec<(String, String)>);

/// What is left of a trial that has ended.
struct Leaving {
    slot: Slot,
    /// What its files held.
    seen: Box<Seen>,
    /// What the controller is to be told when its GPUs are free.
    end: Input,
}

struct Job<'t> {
    plan: Plan,
    controller: Controller,
    suggester: Suggester,
    running: BTreeMap<TrialId, Running>,
    reports: mpsc::Sender<Followed>,
    freeing: mpsc::Sender<Freed>,
    /// Trials whose files are read, while their GPUs are waited for.
    waiting_for_gpus: BTreeMap<TrialId, Leaving>,
    stored: Stored,
    pending: Pending,
    /// How many file handles what is started may have, where we raised our own limit.
    max_handles: Option<u64>,
    tell: &'t mut dyn FnMut(&Report),
    /// What was said of failures, and of which trial first.
    told: BTreeMap<String, TrialId>,
    /// The note that names the run directory that was chosen is told once a job.
    is_choice_told: bool,
    /// So is the note that other replicas write the objective too.
    is_aside_told: bool,
    /// So is the note that no steps are counted.
    is_step_0_told: bool,
    remarked: Remarked,
    /// So are the notes that trials write outside of their directories.
    outside_told: BTreeSet<Claim>,
    /// The trial of which it was told that no value has come, because others have.
    missing_told: Option<TrialId>,
    signal: Option<i32>,
    end: Option<JobEnd>,
}

impl<'t> Job<'t> {
    fn new(mut plan: Plan, tell: &'t mut dyn FnMut(&Report)) -> Result<(Self, Incoming), Failure> {
        let (reports, followed) = mpsc::channel(FOLLOW_QUEUE);
        let (freeing, freed) = mpsc::channel(MAX_PARALLEL_TRIALS as usize);
        let suggest = suggest::for_spec(&plan.config.spec);
        let (suggester, answers) = Suggester::start(suggest, plan.config.spec.clone())
            .map_err(|e| Failure::outside(format!("cannot start a thread: {e}")))?;
        // The controller's from now on.
        let study = replace(&mut plan.study, Study::new(plan.config.spec.clone()));
        let controller = Controller::new(study, plan.config.policy);
        let job = Self {
            plan,
            controller,
            suggester,
            running: BTreeMap::new(),
            reports,
            freeing,
            waiting_for_gpus: BTreeMap::new(),
            stored: Stored::default(),
            pending: Pending::default(),
            max_handles: raise_handle_limit(),
            tell,
            told: BTreeMap::new(),
            is_choice_told: false,
            is_aside_told: false,
            is_step_0_told: false,
            remarked: Remarked::default(),
            outside_told: BTreeSet::new(),
            missing_told: None,
            signal: None,
            end: None,
        };
        Ok((job, Incoming { followed, freed, answers }))
    }

    async fn run(mut self, incoming: Incoming) -> Result<Finished, Failure> {
        let ended = self.go(incoming).await;
        // The trials of a job that was taken over are another controller's.
        if ended.is_err() && !self.stored.is_taken_over {
            self.abandon();
        }
        self.suggester.join();
        let trials = self.controller.trials().to_vec();
        Ok(Finished {
            end: ended?,
            config: self.plan.config,
            job: self.plan.job,
            trials,
            signal: self.signal,
        })
    }

    /// The loop, until the job is over.
    async fn go(&mut self, mut incoming: Incoming) -> Result<JobEnd, Failure> {
        let Incoming { followed, freed, answers } = &mut incoming;
        let mut signals =
            Signals::listen().map_err(|e| Failure::outside(format!("cannot listen for signals: {e}")))?;
        // What a keeper that was killed leaves behind comes to us; without it to the system's init.
        let _ = adopt_orphans();
        self.tell_start();
        self.feed(Input::Tick)?;
        let mut tick_at = tokio::time::Instant::now();
        loop {
            self.go_on_starting()?;
            if let Some(end) = self.end.take() {
                return Ok(end);
            }
            tick_at = tick_at.min(tokio::time::Instant::now() + self.time_to_wait());
            // However many values come, the system is asked for signals between two batches of them.
            tokio::task::yield_now().await;
            tokio::select! {
                Some(report) = followed.recv() => self.take_followed(report)?,
                Some((trial, in_use)) = freed.recv() => self.take_freed(trial, &in_use)?,
                answer = answers.recv() => {
                    let why = "the search for parameters has ended by a fault of this program";
                    let (trial, params) = answer.ok_or_else(|| Failure::outside(why))?;
                    self.feed(Input::Suggested(trial, params))?;
                }
                heard = signals.next() => match heard {
                    Heard::Child => self.reap()?,
                    Heard::Other(_) => {}
                    Heard::End(signal) => self.interrupted(signal)?,
                },
                // However much else there is to do.
                () = tokio::time::sleep_until(tick_at) => {
                    tick_at = tokio::time::Instant::now() + REAP_INTERVAL;
                    // What keepers that were killed left to us.
                    collect_orphans();
                    self.feed(Input::Tick)?;
                    self.reap()?;
                    self.keep_lease()?;
                }
            }
        }
    }

    fn time_to_wait(&self) -> Duration {
        let until = self.controller.poll_timeout().map(|at| at.duration_since(self.now()));
        let until = until.map(|wait| Duration::try_from(wait).unwrap_or_default());
        until.map_or(REAP_INTERVAL, |wait| wait.min(REAP_INTERVAL))
    }

    fn interrupted(&mut self, signal: i32) -> Result<(), Failure> {
        if signal == HANGUP {
            // What takes hours is not lost with a connection.
            let text = format!(
                "the terminal went away; the job goes on: `hptune jobs cancel {}` ends it",
                self.plan.job.id
            );
            self.tell_job(text);
            return Ok(());
        }
        if self.signal.is_none() {
            self.signal = Some(signal);
            self.feed(Input::Cancel)?;
            self.tell_store_waits();
            return Ok(());
        }
        self.give_up_store()?;
        self.feed(Input::Kill)
    }

    /// Hands an input to the controller and carries out what comes of it.
    fn feed(&mut self, input: Input) -> Result<(), Failure> {
        self.controller.handle(self.now(), input);
        self.carry_out()
    }

    fn trial(&self, id: TrialId) -> Option<&Trial> {
        self.controller.trial(id)
    }

    /// Makes a trial's directory and starts its processes, then the follower of its files. Where an earlier
    /// controller started them, they are taken back.
    fn start(&mut self, trial: TrialId, params: &Assignment, attempt: u32) -> Result<(), HostError> {
        if !self.running.is_empty() {
            // Those that run need theirs.
            check_handles(HANDLES_A_TRIAL)?;
        }
        let begun = (attempt > 1).then(|| self.plan.clock.now());
        let files = TrialFiles::of(&self.plan.job, trial);
        files.make(&self.plan.job.id, trial)?;
        let root = directory(&files.directory);
        if let Some(kept) = Kept::take_back(&files.record(attempt), files.mark())? {
            let follower = self.follower(trial, begun, root)?;
            let slot = self.claim(&files);
            self.running.insert(trial, Running::new(kept, follower, slot));
            return Ok(());
        }
        let no_slot = || io::Error::other("there is no GPU or processor left for it");
        let slot = self.plan.slots.take().ok_or_else(no_slot)?;
        let started = self.start_with(&files, trial, params, &slot, attempt).and_then(|mut kept| match self
            .follower(trial, begun, root)
        {
            Ok(follower) => Ok((kept, follower)),
            Err(e) => {
                kill_and_wait(&mut kept);
                Err(kept.forget().err().unwrap_or(e).into())
            }
        });
        match started {
            Ok((kept, follower)) => {
                self.running.insert(trial, Running::new(kept, follower, slot));
                Ok(())
            }
            Err(e) => {
                self.plan.slots.give_back(&slot);
                Err(e)
            }
        }
    }

    /// Takes what a trial of an earlier controller has of the machine.
    fn claim(&mut self, files: &TrialFiles) -> Slot {
        let slot = files.slot();
        self.plan.slots.claim(&slot);
        // What is in use now may be the trial's.
        let before = files.gpu_memory_before();
        for gpu in &mut self.plan.gpus {
            gpu.used_mib = before.get(&gpu.id).map_or(gpu.used_mib, |used| gpu.used_mib.min(*used));
        }
        slot
    }

    fn start_with(
        &self,
        files: &TrialFiles,
        trial: TrialId,
        params: &Assignment,
        slot: &Slot,
        attempt: u32,
    ) -> Result<Kept, HostError> {
        let all = ForAll {
            job_id: &self.plan.job.id,
            config: &self.plan.config,
            words: &self.plan.words,
            directory: &self.plan.job.directory,
        };
        let mut order = order(all, files, trial, params, slot, attempt)?;
        order.max_handles = self.max_handles;
        let group = cgroup(files, &self.plan.job.id, trial, attempt).filter(Cgroup::make);
        order.cgroup = group.as_ref().map(|group| group.path().to_owned());
        let started = describe(all, files, trial, params, slot, &self.plan.gpus, &order)
            .map_err(StartError::from)
            .and_then(|()| Kept::start(&order, files.mark()));
        match started {
            Ok(kept) => Ok(kept),
            // The earlier controller's keeper had not yet begun when we looked.
            Err(StartError::WasStarted) => Ok(Kept::take_back(&order.record, files.mark())?
                .ok_or_else(|| io::Error::other("its keeper's record vanished"))?),
            Err(StartError::Failed(e)) => {
                if let Some(group) = group {
                    group.remove();
                }
                Err(e)
            }
        }
    }

    /// Follows the files of a trial whose processes run, or ran; `begun` tells when they were started, where the trial
    /// was tried before.
    fn follower(&self, trial: TrialId, begun: Option<Timestamp>, root: Root) -> io::Result<Follower> {
        let files = TrialFiles::of(&self.plan.job, trial);
        let objective = Objective {
            tag: self.plan.config.spec.metric_tag.clone(),
            run: self.plan.config.run.clone(),
            no_metric_after: self.plan.config.no_metric_after,
            members: Members { directory: files.directory.clone(), mark: files.mark() },
            is_cluster: self.plan.config.cluster.replicas().len() > 1,
            attempt_since: begun.map(wall_time),
            known: self.trial(trial).map(|t| t.curve.clone()).unwrap_or_default(),
        };
        let outside = files.outside();
        let (directory, address) = (&files.directory, files.address.as_deref());
        let at = At { directory, root, address, outside: &outside };
        Follower::start(trial, at, objective, self.plan.clock, self.reports.clone())
    }

    /// Takes back a trial that ran when an earlier controller ended. The error is one that passes.
    fn take_back(&mut self, trial: TrialId, attempt: u32) -> Result<(), HostError> {
        let files = TrialFiles::of(&self.plan.job, trial);
        let taken = Kept::take_back(&files.record(attempt), files.mark()).and_then(|kept| {
            let Some(kept) = kept else { return Ok(false) };
            let begun = self.trial(trial).and_then(|t| t.attempt_at).filter(|_| attempt > 1);
            let follower = self.follower(trial, begun, directory(&files.directory))?;
            if let Some(host) = kept.host_out_of_sight() {
                let text = format!("ran on {host}, which cannot be seen from here: it counts as lost");
                self.note(trial, text);
            }
            let slot = self.claim(&files);
            self.running.insert(trial, Running::new(kept, follower, slot));
            Ok(true)
        });
        let now = self.plan.clock.now();
        let is_started = self.trial(trial).is_some_and(|t| t.attempt_at.is_some());
        // One that has ended meanwhile ended by itself, whatever its time was.
        let exit = self.running.get_mut(&trial).and_then(|running| {
            let status = running.kept.poll();
            let exit = status.exit.or(status.is_gone.then_some(Exit::Lost))?;
            running.ended_at = Some(Instant::now());
            Some(Input::Exited(trial, exit, status.ended_at.unwrap_or(now)))
        });
        let mut inputs = Vec::new();
        match taken {
            Ok(true) => {
                inputs.extend((!is_started).then_some(Input::Started(trial)));
                inputs.push(exit.unwrap_or(Input::TakenBack(trial)));
            }
            Ok(false) => {
                // It was killed before it had any process.
                if let Some(group) = cgroup(&files, &self.plan.job.id, trial, attempt) {
                    group.remove();
                }
                inputs.push(Input::Settled(trial, None));
            }
            Err(e) => {
                let e = HostError::from(e);
                if e.shortage.is_some() {
                    return Err(e);
                }
                self.note(trial, format!("cannot be taken back: {e}"));
                inputs.push(Input::Settled(trial, None));
            }
        }
        for input in inputs {
            self.controller.handle(self.now(), input);
        }
        Ok(())
    }

    /// Looks at the processes of every trial, and tells the controller which main ones have ended.
    fn reap(&mut self) -> Result<(), Failure> {
        let (now, replicas) = (self.plan.clock.now(), self.plan.config.cluster.replicas());
        let mut inputs = Vec::new();
        let mut released = Vec::new();
        for (trial, running) in &mut self.running {
            let status = running.kept.poll();
            if let (Some((replica, exit)), None, None) = (status.failed, status.exit, running.ended_at) {
                running.ended_at = Some(Instant::now());
                inputs.push(Input::ReplicaFailed(*trial, replica, exit));
            }
            let exit = status.exit.or(status.is_gone.then_some(Exit::Lost));
            if let (Some(exit), None) = (exit, running.ended_at) {
                running.ended_at = Some(Instant::now());
                inputs.push(Input::Exited(*trial, exit, status.ended_at.unwrap_or(now)));
            }
            let ended_at = running.ended_at;
            if !status.is_gone
                && ended_at.is_some_and(|at| at.elapsed() > LEFT_BEHIND_AFTER)
                && !replace(&mut running.is_rest_told, true)
            {
                let n = running.kept.members().len();
                if n > 0 {
                    let text = format!(
                        "has ended, but {n} of the processes that it started are left; they are told to end"
                    );
                    (self.tell)(&Report::Note { trial: Some(*trial), text });
                }
            }
            if status.is_gone {
                if !running.is_draining {
                    // What a keeper that was killed did not see.
                    for files in TrialFiles::of(&self.plan.job, *trial).reports(&replicas) {
                        let _ = Copier::new(&files).look();
                    }
                }
                drain(running);
                if running.follower.is_none() && running.is_quarantined {
                    released.push(*trial);
                }
            }
        }
        inputs.into_iter().try_for_each(|input| self.feed(input))?;
        for trial in released {
            if let Some(running) = self.running.remove(&trial) {
                self.note(trial, "is gone at last; its slot is used again".to_owned());
                self.plan.slots.give_back(&running.slot);
                self.feed(Input::Released(trial))?;
            }
        }
        Ok(())
    }

    fn take_followed(&mut self, report: Followed) -> Result<(), Failure> {
        match report {
            Followed::Changed(trial, changes) => {
                // A trainer that has ended by itself is not stopped early for its last values.
                self.reap()?;
                self.feed(Input::Changed(trial, changes))
            }
            Followed::Outside(trial, file) => {
                self.tell_outside(trial, &file);
                Ok(())
            }
            Followed::NoMetric(trial, why, seen) => {
                self.tell_missing(trial, why, &seen);
                Ok(())
            }
            Followed::Late(trial, late) => {
                self.tell_late(trial, &late);
                Ok(())
            }
            Followed::Drained(trial, seen) => {
                let Some(running) = self.running.get_mut(&trial) else { return Ok(()) };
                if let Some(follower) = running.follower.take() {
                    follower.join();
                }
                self.tell_seen(trial, &seen);
                let end = self.end_of(trial, &seen);
                // Those of a quarantined trial stay where they are.
                let is_quarantined = self.running.get(&trial).is_some_and(|running| running.is_quarantined);
                let gone = if is_quarantined { None } else { self.running.remove(&trial) };
                let slot = gone.map(|running| running.slot).unwrap_or_default();
                let alone_on = self.plan.slots.alone_on(&slot);
                let is_watched = |gpu: &&Gpu| gpu.index.is_some() && alone_on.contains(&gpu.id);
                let before: Vec<Gpu> = self.plan.gpus.iter().filter(is_watched).cloned().collect();
                if before.is_empty() {
                    self.plan.slots.give_back(&slot);
                    return self.settle(trial, &seen, end);
                }
                // The slot stays taken until its GPUs are free.
                self.waiting_for_gpus.insert(trial, Leaving { slot, seen, end });
                let (freeing, patience) = (self.freeing.clone(), self.plan.config.needs.gpu_patience);
                thread::spawn(move || {
                    // Nobody is left to tell if this fails.
                    let _ = freeing.blocking_send((trial, gpu::wait_until_free(&before, patience)));
                });
                Ok(())
            }
        }
    }

    fn take_freed(&mut self, trial: TrialId, troubled: &[(String, String)]) -> Result<(), Failure> {
        let n_needed = self.plan.config.spec.max_parallel_trials as usize;
        for (gpu, trouble) in troubled {
            let n_lost = self.plan.slots.lose(gpu, n_needed);
            let text = format!("GPU {gpu}: {trouble}; no trial gets it any more");
            self.note(trial, text.clone());
            (0..n_lost).try_for_each(|_| self.feed(Input::SlotLost(text.clone())))?;
        }
        let Some(Leaving { slot, seen, end }) = self.waiting_for_gpus.remove(&trial) else { return Ok(()) };
        self.plan.slots.give_back(&slot);
        self.settle(trial, &seen, end)
    }

    fn settle(&mut self, trial: TrialId, seen: &Seen, end: Input) -> Result<(), Failure> {
        let is_done = matches!(end, Input::Settled(..));
        if is_done && seen.has_others_only(&self.plan.config.spec.metric_tag) {
            self.feed(Input::OtherMetrics(trial, self.explain_missing(seen).text()))?;
        }
        self.feed(end)?;
        self.tell_failure(trial, seen);
        self.remark();
        Ok(())
    }

    /// What the controller is to be told of a trial of which nothing is left, with what there is to say, should it
    /// fail, to whoever asks why the whole job did.
    fn end_of(&self, trial: TrialId, seen: &Seen) -> Input {
        let files = TrialFiles::of(&self.plan.job, trial);
        let Some(running) = self.running.get(&trial) else { return Input::Settled(trial, None) };
        let status = running.kept.status();
        let said = match (status.exit, status.failed) {
            (_, Some((replica, _))) => self.why_failed(&files.log(replica)),
            (Some(Exit::Code(0)), None) => {
                if let Some(left) = running.kept.left().filter(|left| left.is_work(seen.n_files > 0)) {
                    let named = left.named();
                    let said = self.explain_left(&named, seen);
                    return Input::WorkLeft(trial, named, said);
                }
                self.explain_missing(seen).text()
            }
            _ => self.why_failed(&files.main_log()),
        };
        Input::Settled(trial, Some(said))
    }

    /// The job cannot go on: no process of it is left behind.
    fn abandon(&mut self) {
        for running in self.running.values_mut() {
            running.kept.signal(Signal::Terminate);
        }
        let deadline = Instant::now() + self.plan.config.policy.grace;
        while Instant::now() < deadline
            && self.running.values_mut().any(|running| !running.kept.poll().is_gone)
        {
            thread::sleep(REAP_INTERVAL);
        }
        for running in self.running.values_mut() {
            kill_and_wait(&mut running.kept);
        }
    }
}

/// Nothing more is written by a trial: its files are to be read to their end.
fn drain(running: &mut Running) {
    if !replace(&mut running.is_draining, true)
        && let Some(follower) = &running.follower
    {
        follower.drain();
    }
}

/// Kills all of a trial and waits until nothing is left, for a limited time.
fn kill_and_wait(kept: &mut Kept) {
    let deadline = Instant::now() + KILL_PATIENCE;
    kept.signal(Signal::Kill);
    while !kept.poll().is_gone && Instant::now() < deadline {
        thread::sleep(REAP_INTERVAL);
    }
}
