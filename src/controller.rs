//! The tuning controller: which trial starts, which is stopped, when the job is over.
//!
//! Layer 7. Sans-IO: inputs and the time go in by [`Controller::handle`], outputs come out by
//! [`Controller::poll_output`] in the order in which they are to be carried out. A decision is always
//! put out as a record to store before the action that follows from it.
//!
//! A trial holds its slot from its start until its process tree is gone and its files are read
//! ([`Input::Settled`]); see [`crate::study::Trial`] for its life.

use std::collections::VecDeque;
use std::time::Duration;

use jiff::Timestamp;

use crate::limits::{KILL_PATIENCE, MAX_FAILED_STARTS};
use crate::series::Change;
use crate::stop::{self, StopRule};
use crate::study::{
    Assignment, Exit, Measurement, Outcome, Purpose, Stage, StopReason, StudySpec, Trial, rank,
};
use crate::suggest::{self, Suggest};
use crate::units::TrialId;

/// Something that happened outside.
#[derive(Debug, Clone, PartialEq)]
pub enum Input {
    /// A trial's process runs.
    Started(TrialId),
    /// A trial's process could not be started; nothing of it is left.
    StartFailed(TrialId, String),
    /// The objective of a trial changed.
    Changed(TrialId, Vec<Change>),
    /// A trial's main process has ended. Its children may live on.
    Exited(TrialId, Exit),
    /// Nothing of a trial's process tree is left and all that it wrote has been handed in.
    Settled(TrialId),
    /// The user wants the job to end: trials are stopped with their grace.
    Cancel,
    /// The user wants it to end at once.
    Kill,
    /// Time has passed; see [`Controller::poll_timeout`].
    Tick,
}

/// Something to do, in order.
#[derive(Debug, Clone, PartialEq)]
pub enum Output {
    /// Store this before anything that follows.
    Persist(Record),
    /// Start a trial with these parameters.
    Start(TrialId, Assignment),
    /// Send a signal to all of a trial's processes that are left, if any.
    Signal(TrialId, Signal),
    /// A trial that was killed is still there, and holds its slot: the user should know.
    StillThere(TrialId),
    /// The job is over; nothing follows.
    Finished,
}

/// Which signal.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Signal {
    /// TERM: please end.
    Terminate,
    /// KILL.
    Kill,
}

/// What a store keeps of a job's course.
#[derive(Debug, Clone, PartialEq)]
pub enum Record {
    /// A trial was suggested.
    Suggested(TrialId, Assignment),
    /// A trial's process was started.
    Started(TrialId, Timestamp),
    /// A trial's objective changed.
    Changed(TrialId, Vec<Change>),
    /// The early-stopping rule gave a trial up.
    StopDecided(TrialId, Timestamp, StopReason),
    /// A trial reached its final state.
    Ended(TrialId, Timestamp, Outcome),
    /// The job is being cancelled.
    CancelDecided(Timestamp),
    /// The job is over.
    JobEnded(Timestamp, JobEnd),
}

/// How a job ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct JobEnd {
    /// The state.
    pub state: JobState,
    /// What the user should know: why it failed, or why it ended before `maxTrials`.
    pub message: Option<String>,
}

/// The final state of a job.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum JobState {
    /// At least one trial gave a result.
    Succeeded,
    /// No trial did, or too many failed.
    Failed,
    /// The user ended it.
    Cancelled,
}

impl JobState {
    /// The state in the service's terms.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Succeeded => "SUCCEEDED",
            Self::Failed => "FAILED",
            Self::Cancelled => "CANCELLED",
        }
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Phase {
    /// Trials are started as slots become free.
    Open,
    /// Every combination was tried: no more are started.
    Exhausted,
    /// Too many trials failed, or none can be started any more.
    Failing,
    Cancelling,
    Over,
}

/// Runs one study.
pub struct Controller {
    spec: StudySpec,
    grace: Duration,
    suggest: Box<dyn Suggest>,
    stop_rule: Option<Box<dyn StopRule>>,
    trials: Vec<Trial>,
    phase: Phase,
    /// Why the phase is [`Phase::Failing`], where it is.
    failure: Option<String>,
    outputs: VecDeque<Output>,
}

impl std::fmt::Debug for Controller {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Controller")
            .field("phase", &self.phase)
            .field("trials", &self.trials)
            .finish_non_exhaustive()
    }
}

impl Controller {
    /// A controller of a study that has no trial yet. `grace` is the time between TERM and KILL.
    /// The first outputs come after the first input: send [`Input::Tick`].
    #[must_use]
    pub fn new(spec: StudySpec, grace: Duration) -> Self {
        let suggest = suggest::for_spec(&spec);
        let stop_rule = stop::for_spec(&spec);
        Self {
            spec,
            grace,
            suggest,
            stop_rule,
            trials: Vec::new(),
            phase: Phase::Open,
            failure: None,
            outputs: VecDeque::new(),
        }
    }

    /// The study's specification.
    #[must_use]
    pub fn spec(&self) -> &StudySpec {
        &self.spec
    }

    /// All trials so far, by number.
    #[must_use]
    pub fn trials(&self) -> &[Trial] {
        &self.trials
    }

    /// The next thing to do.
    pub fn poll_output(&mut self) -> Option<Output> {
        self.outputs.pop_front()
    }

    /// When to send [`Input::Tick`] at the latest, if at all.
    #[must_use]
    pub fn poll_timeout(&self) -> Option<Timestamp> {
        self.trials.iter().filter_map(|trial| deadline(&trial.stage)).min()
    }

    /// Takes an input. One about a trial that is over, or unknown, changes nothing.
    pub fn handle(&mut self, now: Timestamp, input: Input) {
        match input {
            Input::Started(id) => self.started(now, id),
            Input::StartFailed(id, why) => self.end(now, id, Outcome::NotStarted(why)),
            Input::Changed(id, changes) => self.changed(now, id, changes),
            Input::Exited(id, exit) => self.exited(now, id, exit),
            Input::Settled(id) => self.settled(now, id),
            Input::Cancel => self.cancel(now),
            Input::Kill => {
                self.cancel(now);
                self.kill_all(now);
            }
            Input::Tick => {}
        }
        self.kill_overdue(now);
        self.fill_slots();
        self.finish(now);
    }

    fn trial_mut(&mut self, id: TrialId) -> Option<&mut Trial> {
        self.trials.get_mut(id.get() as usize - 1).filter(|trial| trial.is_active())
    }

    fn persist(&mut self, record: Record) {
        self.outputs.push_back(Output::Persist(record));
    }

    fn started(&mut self, now: Timestamp, id: TrialId) {
        let Some(trial) = self.trial_mut(id) else { return };
        trial.started_at = Some(now);
        if trial.stage == Stage::Suggested {
            trial.stage = Stage::Running;
        }
        self.persist(Record::Started(id, now));
        if matches!(self.phase, Phase::Cancelling | Phase::Failing) {
            self.stop(now, id, Purpose::Cancel);
        }
    }

    fn changed(&mut self, now: Timestamp, id: TrialId, changes: Vec<Change>) {
        let Some(trial) = self.trial_mut(id) else { return };
        for change in &changes {
            match change {
                Change::Source(run) => trial.curve.start_over(run.clone()),
                Change::Rewind(from) => trial.curve.rewind(*from),
                Change::Point(point) => trial.curve.insert(Measurement {
                    step: point.step,
                    value: point.value.as_f64(),
                    wall_time: point.wall_time,
                }),
            }
        }
        self.persist(Record::Changed(id, changes));
        self.judge(now, id);
    }

    /// Gives a running trial up if the rule says so.
    fn judge(&mut self, now: Timestamp, id: TrialId) {
        let (Some(rule), Some(trial)) = (&self.stop_rule, self.trials.get(id.get() as usize - 1)) else {
            return;
        };
        if trial.stage != Stage::Running {
            return;
        }
        if let Some(reason) = rule.judge(&self.spec, trial, &self.trials) {
            if let Some(trial) = self.trial_mut(id) {
                trial.stop = Some(reason);
            }
            self.persist(Record::StopDecided(id, now, reason));
            self.stop(now, id, Purpose::EarlyStop);
        }
    }

    fn exited(&mut self, now: Timestamp, id: TrialId, exit: Exit) {
        if self.trial_mut(id).is_some_and(|trial| trial.stage == Stage::Running) {
            self.stop(now, id, Purpose::Leave(exit));
        }
    }

    /// Tells a trial's processes to end. A trial that is stopping already keeps its first purpose.
    fn stop(&mut self, now: Timestamp, id: TrialId, purpose: Purpose) {
        let kill_at = after(now, self.grace);
        let Some(trial) = self.trial_mut(id) else { return };
        match trial.stage {
            Stage::Running => {
                trial.stage = Stage::Stopping(kill_at, purpose);
                self.outputs.push_back(Output::Signal(id, Signal::Terminate));
            }
            Stage::Suggested | Stage::Stopping(..) | Stage::Killing(..) | Stage::Ended(_) => {}
        }
    }

    fn kill_overdue(&mut self, now: Timestamp) {
        for trial in &mut self.trials {
            match trial.stage {
                Stage::Stopping(at, purpose) | Stage::Killing(at, purpose) if at <= now => {
                    if matches!(trial.stage, Stage::Killing(..)) {
                        self.outputs.push_back(Output::StillThere(trial.id));
                    }
                    trial.stage = Stage::Killing(after(now, KILL_PATIENCE), purpose);
                    self.outputs.push_back(Output::Signal(trial.id, Signal::Kill));
                }
                Stage::Suggested
                | Stage::Running
                | Stage::Stopping(..)
                | Stage::Killing(..)
                | Stage::Ended(_) => {}
            }
        }
    }

    /// Makes every trial that is being stopped overdue.
    fn kill_all(&mut self, now: Timestamp) {
        for trial in &mut self.trials {
            if let Stage::Stopping(at, _) = &mut trial.stage {
                *at = now;
            }
        }
    }

    fn settled(&mut self, now: Timestamp, id: TrialId) {
        let (goal, reduce) = (self.spec.goal, self.spec.reduce);
        let Some(trial) = self.trial_mut(id) else { return };
        let result = trial.result(goal, reduce).map(|m| m.value.is_finite());
        let ended_well = |well: Outcome| match result {
            Some(true) => well,
            Some(false) => Outcome::Infeasible,
            None => Outcome::NoMetric,
        };
        let outcome = match trial.stage {
            Stage::Stopping(_, purpose) | Stage::Killing(_, purpose) => match purpose {
                Purpose::EarlyStop => ended_well(Outcome::StoppedEarly),
                Purpose::Cancel => Outcome::Cancelled,
                Purpose::Leave(Exit::Code(0)) => ended_well(Outcome::Succeeded),
                Purpose::Leave(exit) => Outcome::Failed(exit),
            },
            // It vanished without a word of how it ended.
            Stage::Suggested | Stage::Running | Stage::Ended(_) => Outcome::Cancelled,
        };
        self.end(now, id, outcome);
    }

    fn end(&mut self, now: Timestamp, id: TrialId, outcome: Outcome) {
        let Some(trial) = self.trial_mut(id) else { return };
        trial.ended_at = Some(now);
        trial.stage = Stage::Ended(outcome.clone());
        self.persist(Record::Ended(id, now, outcome));
        if matches!(self.phase, Phase::Open | Phase::Exhausted)
            && let Some(why) = self.why_failing()
        {
            self.phase = Phase::Failing;
            self.failure = Some(why);
            self.stop_all(now);
        }
    }

    /// Why no more trials are worth starting, where that is so.
    fn why_failing(&self) -> Option<String> {
        let (failed, max) = (self.n_failed(), self.spec.max_failed_trials);
        if max > 0 && failed >= max as usize {
            return Some(format!("{failed} trials failed (maxFailedTrials is {max})"));
        }
        let over = self.trials.iter().rev().filter_map(Trial::outcome);
        let mut not_started =
            over.map_while(|o| if let Outcome::NotStarted(why) = o { Some(why) } else { None });
        let why = not_started.nth(MAX_FAILED_STARTS - 1)?;
        Some(format!("{MAX_FAILED_STARTS} trials in a row could not be started: {why}"))
    }

    fn n_failed(&self) -> usize {
        self.trials.iter().filter(|trial| trial.outcome().is_some_and(Outcome::is_failure)).count()
    }

    fn cancel(&mut self, now: Timestamp) {
        match self.phase {
            Phase::Open | Phase::Exhausted | Phase::Failing => {
                self.phase = Phase::Cancelling;
                self.persist(Record::CancelDecided(now));
                self.stop_all(now);
            }
            Phase::Cancelling | Phase::Over => {}
        }
    }

    fn stop_all(&mut self, now: Timestamp) {
        for i in 0..self.trials.len() {
            self.stop(now, TrialId::after(i as u32), Purpose::Cancel);
        }
    }

    fn fill_slots(&mut self) {
        while self.phase == Phase::Open
            && self.trials.len() < self.spec.max_trials as usize
            && self.trials.iter().filter(|t| t.is_active()).count() < self.spec.max_parallel_trials as usize
        {
            let Some(params) = self.suggest.suggest(&self.spec, &self.trials) else {
                self.phase = Phase::Exhausted;
                return;
            };
            let id = TrialId::after(self.trials.len() as u32);
            self.trials.push(Trial::suggested(id, params.clone()));
            self.persist(Record::Suggested(id, params.clone()));
            self.outputs.push_back(Output::Start(id, params));
        }
    }

    fn finish(&mut self, now: Timestamp) {
        if self.phase == Phase::Over || self.trials.iter().any(Trial::is_active) {
            return;
        }
        let n = self.trials.len();
        let has_result = !rank(&self.spec, &self.trials).best.is_empty();
        let no_result = || format!("none of {n} trials gave a result");
        let (state, message) = match self.phase {
            Phase::Open if n < self.spec.max_trials as usize => return,
            Phase::Open if has_result => (JobState::Succeeded, None),
            Phase::Exhausted if has_result => {
                (JobState::Succeeded, Some(format!("all {n} combinations of the parameters were tried")))
            }
            Phase::Open | Phase::Exhausted => (JobState::Failed, Some(no_result())),
            Phase::Failing => (JobState::Failed, self.failure.clone()),
            Phase::Cancelling => (JobState::Cancelled, Some("cancelled by the user".to_owned())),
            Phase::Over => return,
        };
        self.phase = Phase::Over;
        self.persist(Record::JobEnded(now, JobEnd { state, message }));
        self.outputs.push_back(Output::Finished);
    }
}

fn deadline(stage: &Stage) -> Option<Timestamp> {
    match stage {
        Stage::Stopping(at, _) | Stage::Killing(at, _) => Some(*at),
        Stage::Suggested | Stage::Running | Stage::Ended(_) => None,
    }
}

fn after(now: Timestamp, wait: Duration) -> Timestamp {
    now.checked_add(wait).unwrap_or(Timestamp::MAX)
}
