//! The loop of a job, as a value.

use std::collections::{BTreeMap, BTreeSet};
use std::io;
use std::mem::replace;
use std::time::Duration;

use jiff::Timestamp;
use tfevents::disk::Root;
use tokio::sync::mpsc;

use super::Finished;
use super::execute::Stored;
use super::pending::Pending;
use super::remarks::Remarked;
use super::reported::Reports;
use super::running::Running;
use super::suggester::{Answer, Suggester};
use crate::app::Failure;
use crate::app::prepare::Plan;
use crate::controller::{Controller, Input};
use crate::edge::clock::wall_time;
use crate::edge::files::directory;
use crate::edge::follow::{At, Followed, Follower, Members, Objective};
use crate::edge::host::HostError;
use crate::edge::outside::Claim;
use crate::edge::trial_files::TrialFiles;
use crate::engine::{self, Attempt, Engine, EngineEvent, Reattached};
use crate::limits::{FOLLOW_QUEUE, REAP_INTERVAL, SIDECAR_DELAY};
use crate::objective::Seen;
use crate::report::JobEvent;
use crate::study::{Assignment, Exit, JobEnd, Study, Trial};
use crate::suggest::Suggest;
use crate::units::TrialId;

/// A job that runs: the controller, the engine of its trials, the followers of their files, and the store.
///
/// Writing to the store and starting a trial take the thread while they last, some milliseconds mostly; jobs that share a
/// thread wait for each other that long.
pub struct Job<'t> {
    pub(super) plan: Plan,
    pub(super) controller: Controller,
    pub(super) suggester: Suggester,
    incoming: Incoming,
    pub(super) running: BTreeMap<TrialId, Running>,
    reports: mpsc::Sender<Followed>,
    /// What sidecars report, where trials run elsewhere.
    pub(super) reported: Reports,
    pub(super) engine: Box<dyn Engine>,
    /// Trials whose files are read, while their slots are waited for.
    leaving: BTreeMap<TrialId, Leaving>,
    pub(super) stored: Stored,
    pub(super) pending: Pending,
    pub(super) tell: &'t mut dyn FnMut(&JobEvent),
    /// What was said of failures, and of which trial first.
    pub(super) told: BTreeMap<String, TrialId>,
    /// The note that names the run directory that was chosen is told once a job.
    pub(super) is_choice_told: bool,
    /// So is the note that other replicas write the objective too.
    pub(super) is_aside_told: bool,
    /// So is the note that no steps are counted.
    pub(super) is_step_0_told: bool,
    pub(super) remarked: Remarked,
    /// So are the notes that trials write outside of their directories.
    pub(super) outside_told: BTreeSet<Claim>,
    /// The trial of which it was told that no value has come, because others have.
    pub(super) missing_told: Option<TrialId>,
    pub(super) signal: Option<i32>,
    pub(super) end: Option<JobEnd>,
}

/// What a job's owner has to say to it while it runs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Notice {
    /// The user wants it to end, by this signal: the first one stops its trials with their grace and cancels it, another
    /// one kills them.
    Interrupt(i32),
    /// The terminal of its user went away. It goes on.
    HangUp,
    /// A process ended that this process started: the job looks at its trials now, not at the next time.
    ChildEnded,
}

/// What comes to a job's loop from its own threads.
struct Incoming {
    followed: mpsc::Receiver<Followed>,
    answers: mpsc::Receiver<Answer>,
}

/// What is left of a trial that has ended.
struct Leaving {
    /// What its files held.
    seen: Box<Seen>,
    /// What the controller is handed when its slot is free.
    end: Input,
}

impl<'t> Job<'t> {
    /// A job that is about to run. `suggest` finds the parameters of its trials; what happens is told to `tell`.
    ///
    /// # Errors
    /// The system has no room for a thread.
    pub fn new(
        mut plan: Plan,
        suggest: Box<dyn Suggest>,
        tell: &'t mut dyn FnMut(&JobEvent),
    ) -> Result<Self, Failure> {
        let (reports, followed) = mpsc::channel(FOLLOW_QUEUE);
        let (suggester, answers) = Suggester::start(suggest, plan.config.spec.clone())
            .map_err(|e| Failure::outside(format!("cannot start a thread: {e}")))?;
        // The controller's from now on.
        let study = replace(&mut plan.study, Study::new(plan.config.spec.clone()));
        let mut policy = plan.config.policy;
        if !engine::is_here(&plan.config) {
            policy.grace = policy.grace.saturating_add(SIDECAR_DELAY);
        }
        let controller = Controller::new(study, policy);
        let (words, machine) = (plan.words.clone(), std::mem::take(&mut plan.machine));
        let engine =
            engine::for_job(plan.job.clone(), plan.config.clone(), words, machine).ok_or_else(|| {
                let kind = plan.config.engine.as_deref().unwrap_or_default();
                let names = engine::names().join(", ");
                Failure::usage(format!(
                    "hptune.engine.kind: this program has no engine `{kind}`, only {names}"
                ))
            })?;
        Ok(Self {
            plan,
            controller,
            suggester,
            incoming: Incoming { followed, answers },
            running: BTreeMap::new(),
            reports,
            reported: Reports::none(),
            engine,
            leaving: BTreeMap::new(),
            stored: Stored::default(),
            pending: Pending::default(),
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
        })
    }

    /// Runs it to its end. Whatever comes, it is to be run to its end: its processes are not ended by dropping this.
    ///
    /// `next` gives the next notice, and is asked for it anew after each other thing that happens: it must lose none where
    /// it is not waited for to its end.
    ///
    /// # Errors
    /// The store or the system failed; every trial is stopped then.
    pub async fn run(mut self, next: impl AsyncFnMut() -> Notice) -> Result<Finished, Failure> {
        let ended = self.go(next).await;
        // The trials of a job that was taken over are another controller's.
        if ended.is_err() && !self.stored.is_taken_over {
            self.engine.abandon(self.plan.config.policy.grace);
        }
        // A search that is at work is waited for, but not by the jobs beside this one.
        drop(self.incoming);
        let suggester = self.suggester;
        let _ = tokio::task::spawn_blocking(|| suggester.join()).await;
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
    async fn go(&mut self, mut next: impl AsyncFnMut() -> Notice) -> Result<JobEnd, Failure> {
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
                Some(report) = self.incoming.followed.recv() => self.take_followed(report)?,
                answer = self.incoming.answers.recv() => {
                    let why = "the search for parameters has ended by a fault of this program";
                    let (trial, params) = answer.ok_or_else(|| Failure::outside(why))?;
                    self.feed(Input::Suggested(trial, params))?;
                }
                notice = next() => match notice {
                    Notice::ChildEnded => self.reap()?,
                    Notice::HangUp => self.tell_hang_up(),
                    Notice::Interrupt(signal) => self.interrupted(signal)?,
                },
                // However much else there is to do.
                () = tokio::time::sleep_until(tick_at) => {
                    tick_at = tokio::time::Instant::now() + REAP_INTERVAL;
                    self.feed(Input::Tick)?;
                    self.reap()?;
                    self.keep_lease()?;
                    self.take_requests()?;
                    self.take_reports()?;
                }
            }
        }
    }

    fn time_to_wait(&self) -> Duration {
        let until = self.controller.poll_timeout().map(|at| at.duration_since(self.now()));
        let until = until.map(|wait| Duration::try_from(wait).unwrap_or_default());
        until.map_or(REAP_INTERVAL, |wait| wait.min(REAP_INTERVAL))
    }

    /// What takes hours is not lost with a connection.
    fn tell_hang_up(&mut self) {
        let text = format!(
            "the terminal went away; the job goes on: `hptune jobs cancel {}` ends it",
            self.plan.job.id
        );
        self.tell_job(text);
    }

    fn interrupted(&mut self, signal: i32) -> Result<(), Failure> {
        if self.signal.is_none() {
            self.signal = Some(signal);
            self.feed(Input::Cancel)?;
            self.tell_store_waits();
            return Ok(());
        }
        self.give_up_store()?;
        self.feed(Input::Kill)
    }

    /// Hands an input to the controller and executes what comes of it.
    pub(super) fn feed(&mut self, input: Input) -> Result<(), Failure> {
        self.controller.handle(self.now(), input);
        self.execute()
    }

    pub(super) fn trial(&self, id: TrialId) -> Option<&Trial> {
        self.controller.trial(id)
    }

    /// Makes a trial's directory, starts the attempt, then the follower of its files.
    pub(super) fn start(
        &mut self,
        trial: TrialId,
        params: &Assignment,
        attempt: u32,
    ) -> Result<(), HostError> {
        let begun = (attempt > 1).then(|| self.plan.clock.now());
        let files = TrialFiles::of(&self.plan.job, trial);
        files.make(&self.plan.job.id, trial)?;
        // It is held from here on: the trainer may rename it at once.
        let root = directory(&files.directory);
        self.engine.submit(Attempt { trial, params, number: attempt })?;
        self.follow(trial, attempt, begun, root)
    }

    /// Follows the files of an attempt that was submitted or attached to, or withdraws it.
    fn follow(
        &mut self,
        trial: TrialId,
        attempt: u32,
        begun: Option<Timestamp>,
        root: Root,
    ) -> Result<(), HostError> {
        if self.engine.takes_reports() {
            self.await_reports(trial, begun.map(|begun| (attempt, begun)));
            self.running.insert(trial, Running::new(None));
            return Ok(());
        }
        match self.follower(trial, begun, root) {
            Ok(follower) => {
                self.running.insert(trial, Running::new(Some(follower)));
                Ok(())
            }
            Err(e) => Err(self.engine.withdraw(trial).err().unwrap_or(e).into()),
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

    /// Attaches to a trial that ran when an earlier controller ended. The error is one that passes.
    pub(super) fn reattach(&mut self, trial: TrialId, attempt: u32) -> Result<(), HostError> {
        let files = TrialFiles::of(&self.plan.job, trial);
        let now = self.plan.clock.now();
        let attached = self.engine.reattach(trial, attempt, now).and_then(|attached| {
            if attached != Reattached::NeverStarted {
                let begun = self.trial(trial).and_then(|t| t.attempt_at).filter(|_| attempt > 1);
                self.follow(trial, attempt, begun, directory(&files.directory))?;
            }
            Ok(attached)
        });
        let is_started = self.trial(trial).is_some_and(|t| t.attempt_at.is_some());
        let mut inputs = Vec::new();
        match attached {
            Ok(Reattached::Attached { note, ended }) => {
                if let Some(note) = note {
                    self.note(trial, note);
                }
                inputs.extend((!is_started).then_some(Input::Started(trial)));
                // One that has ended meanwhile ended by itself, whatever its time was.
                let exited = ended.map(|(exit, at)| Input::Exited(trial, exit, at));
                inputs.push(exited.unwrap_or(Input::Reattached(trial)));
            }
            Ok(Reattached::NeverStarted) => inputs.push(Input::Settled(trial, None)),
            Err(e) if e.shortage.is_some() => return Err(e),
            Err(e) => {
                self.note(trial, format!("cannot be taken back: {e}"));
                inputs.push(Input::Settled(trial, None));
            }
        }
        for input in inputs {
            self.controller.handle(self.now(), input);
        }
        Ok(())
    }

    /// Looks at the attempts of all trials, and hands the controller what happened.
    pub(super) fn reap(&mut self) -> Result<(), Failure> {
        for event in self.engine.poll(self.plan.clock.now()) {
            match event {
                EngineEvent::Exited(trial, exit, at) => self.feed(Input::Exited(trial, exit, at))?,
                EngineEvent::ReplicaFailed(trial, replica, exit) => {
                    self.feed(Input::ReplicaFailed(trial, replica, exit))?;
                }
                EngineEvent::Lingers(trial, n) => {
                    let text = format!(
                        "has ended, but {n} of the processes that it started are left; they are told to end"
                    );
                    self.note(trial, text);
                }
                EngineEvent::Gone(trial) if self.engine.takes_reports() => self.end_reports(trial)?,
                EngineEvent::Gone(trial) => {
                    if let Some(running) = self.running.get_mut(&trial) {
                        drain(running);
                    }
                }
                EngineEvent::SlotsLost(trial, n, why) => {
                    self.note(trial, why.clone());
                    (0..n).try_for_each(|_| self.feed(Input::SlotLost(why.clone())))?;
                }
                EngineEvent::Released(trial) => self.released(trial)?,
            }
        }
        Ok(())
    }

    /// The slot of a trial is free again.
    fn released(&mut self, trial: TrialId) -> Result<(), Failure> {
        if let Some(Leaving { seen, end }) = self.leaving.remove(&trial) {
            self.running.remove(&trial);
            return self.settle(trial, &seen, end);
        }
        // It was in quarantine, and is settled.
        if self.running.remove(&trial).is_some() {
            self.note(trial, "is gone at last; its slot is used again".to_owned());
            self.feed(Input::Released(trial))?;
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
                if let Some(follower) =
                    self.running.get_mut(&trial).and_then(|running| running.follower.take())
                {
                    follower.join();
                }
                self.drained(trial, seen)
            }
        }
    }

    /// All that a trial wrote was taken.
    pub(super) fn drained(&mut self, trial: TrialId, seen: Box<Seen>) -> Result<(), Failure> {
        if !self.running.contains_key(&trial) {
            return Ok(());
        }
        self.tell_seen(trial, &seen);
        let end = self.end_of(trial, &seen);
        self.engine.release(trial);
        // One in quarantine is settled while something of it is left.
        if self.running.get(&trial).is_some_and(|running| running.is_quarantined) {
            return self.settle(trial, &seen, end);
        }
        // The slot stays taken until nothing holds it.
        self.leaving.insert(trial, Leaving { seen, end });
        self.reap()
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
        let log = |replica| self.engine.log(trial, replica);
        let ending = self.engine.ending(trial);
        let said = match (ending.exit, ending.failed) {
            (_, Some((replica, _))) => self.why_failed(&log(Some(replica))),
            (Some(Exit::Code(0)), None) => {
                if let Some(named) = self.engine.left_at_work(trial, seen.n_files > 0) {
                    let said = self.explain_left(&named, seen);
                    return Input::WorkLeft(trial, named, said);
                }
                self.explain_missing(seen).text()
            }
            _ => self.why_failed(&log(None)),
        };
        Input::Settled(trial, Some(said))
    }
}

/// Nothing more is written by a trial: its files are to be read to their end.
pub(super) fn drain(running: &mut Running) {
    if !replace(&mut running.is_draining, true)
        && let Some(follower) = &running.follower
    {
        follower.drain();
    }
}
