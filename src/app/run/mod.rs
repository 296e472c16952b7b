//! `run`: one loop between the controller, the trials' processes, their event files and the store.

mod carry;
mod dry;
mod failure;
mod left;
mod pending;
pub(crate) mod remarks;
mod running;
mod suggester;
mod tell;

use std::collections::{BTreeMap, BTreeSet};
use std::io;
use std::mem::replace;
use std::time::Duration;

use jiff::Timestamp;
use tfevents::disk::Root;
use tokio::sync::mpsc;

use super::Failure;
use super::prepare::Plan;
use crate::controller::{Controller, Input};
use crate::edge::clock::wall_time;
use crate::edge::files::directory;
use crate::edge::follow::{At, Followed, Follower, Members, Objective};
use crate::edge::host::HostError;
use crate::edge::outside::Claim;
use crate::edge::process::{adopt_orphans, collect_orphans};
use crate::edge::signals::{HANGUP, Heard, Signals};
use crate::edge::store::NewJob;
use crate::edge::trial_files::TrialFiles;
use crate::engine::{self, Attempt, Engine, EngineEvent, Reattached};
use crate::limits::{FOLLOW_QUEUE, REAP_INTERVAL};
use crate::report::JobEvent;
use crate::study::{Assignment, Config, Exit, FinalState, JobEnd, Study, Trial};
use crate::suggest;
use crate::tail::Seen;
use crate::units::TrialId;
use carry::Stored;
pub use dry::{FirstTrial, first_trial};
use pending::Pending;
use remarks::Remarked;
use running::Running;
use suggester::{Answer, Suggester};

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
pub fn run(plan: Plan, tell: &mut dyn FnMut(&JobEvent)) -> Result<Finished, Failure> {
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
    answers: mpsc::Receiver<Answer>,
}

/// What is left of a trial that has ended.
struct Leaving {
    /// What its files held.
    seen: Box<Seen>,
    /// What the controller is handed when its slot is free.
    end: Input,
}

struct Job<'t> {
    plan: Plan,
    controller: Controller,
    suggester: Suggester,
    running: BTreeMap<TrialId, Running>,
    reports: mpsc::Sender<Followed>,
    engine: Box<dyn Engine>,
    /// Trials whose files are read, while their slots are waited for.
    leaving: BTreeMap<TrialId, Leaving>,
    stored: Stored,
    pending: Pending,
    tell: &'t mut dyn FnMut(&JobEvent),
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
    fn new(mut plan: Plan, tell: &'t mut dyn FnMut(&JobEvent)) -> Result<(Self, Incoming), Failure> {
        let (reports, followed) = mpsc::channel(FOLLOW_QUEUE);
        let suggest = suggest::for_spec(&plan.config.spec);
        let (suggester, answers) = Suggester::start(suggest, plan.config.spec.clone())
            .map_err(|e| Failure::outside(format!("cannot start a thread: {e}")))?;
        // The controller's from now on.
        let study = replace(&mut plan.study, Study::new(plan.config.spec.clone()));
        let controller = Controller::new(study, plan.config.policy);
        let (words, machine) = (plan.words.clone(), std::mem::take(&mut plan.machine));
        let engine = engine::for_job(plan.job.clone(), plan.config.clone(), words, machine);
        let job = Self {
            plan,
            controller,
            suggester,
            running: BTreeMap::new(),
            reports,
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
        };
        Ok((job, Incoming { followed, answers }))
    }

    async fn run(mut self, incoming: Incoming) -> Result<Finished, Failure> {
        let ended = self.go(incoming).await;
        // The trials of a job that was taken over are another controller's.
        if ended.is_err() && !self.stored.is_taken_over {
            self.engine.abandon(self.plan.config.policy.grace);
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
        let Incoming { followed, answers } = &mut incoming;
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

    /// Makes a trial's directory, starts the attempt, then the follower of its files.
    fn start(&mut self, trial: TrialId, params: &Assignment, attempt: u32) -> Result<(), HostError> {
        let begun = (attempt > 1).then(|| self.plan.clock.now());
        let files = TrialFiles::of(&self.plan.job, trial);
        files.make(&self.plan.job.id, trial)?;
        // It is held from here on: the trainer may rename it at once.
        let root = directory(&files.directory);
        self.engine.submit(Attempt { trial, params, number: attempt })?;
        self.follow(trial, begun, root)
    }

    /// Follows the files of an attempt that was submitted or attached to, or withdraws it.
    fn follow(&mut self, trial: TrialId, begun: Option<Timestamp>, root: Root) -> Result<(), HostError> {
        match self.follower(trial, begun, root) {
            Ok(follower) => {
                self.running.insert(trial, Running::new(follower));
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
    fn reattach(&mut self, trial: TrialId, attempt: u32) -> Result<(), HostError> {
        let files = TrialFiles::of(&self.plan.job, trial);
        let now = self.plan.clock.now();
        let attached = self.engine.reattach(trial, attempt, now).and_then(|attached| {
            if attached != Reattached::NeverStarted {
                let begun = self.trial(trial).and_then(|t| t.attempt_at).filter(|_| attempt > 1);
                self.follow(trial, begun, directory(&files.directory))?;
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
                inputs.push(exited.unwrap_or(Input::TakenBack(trial)));
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
    fn reap(&mut self) -> Result<(), Failure> {
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
                let Some(running) = self.running.get_mut(&trial) else { return Ok(()) };
                if let Some(follower) = running.follower.take() {
                    follower.join();
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
        }
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
fn drain(running: &mut Running) {
    if !replace(&mut running.is_draining, true)
        && let Some(follower) = &running.follower
    {
        follower.drain();
    }
}
