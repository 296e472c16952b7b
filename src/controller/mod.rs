//! The tuning controller: which trial starts, which is stopped, when the job is over.
//!
//! Layer 7. Sans-IO: inputs and the time go in by [`Controller::handle`], outputs come out by
//! [`Controller::poll_output`] in the order in which they are to be carried out. A decision is always
//! put out as a record to store before the action that follows from it.
//!
//! A trial holds its slot from its start until its process tree is gone and its files are read
//! ([`Input::Settled`]); see [`crate::study::Trial`] for its life. All that a controller knows is in the records
//! that it put out: a new one goes on from the study that they make ([`Study`]) where another one ended.
//!
//! Finding parameters may take seconds, so it is done elsewhere:
//!
//! ```text
//!          a slot is free                  an answer
//!   idle ─────────────────▶ request open ─────────────▶ idle
//!          Output::Suggest        │         the trial is stored and started, or the space is exhausted; or, where
//!                                 │         no trial is to start any more, nothing
//!                                 ▼
//!                      every other input is handled as ever
//! ```
//!
//! One request is open at a time. It holds what was known when it was made, and its answer is a function of that, the
//! specification and the seed, however long it takes and whatever comes meanwhile. So trials that run one after the other
//! get the same parameters each time, and a controller that goes on where another one had a request open makes the same
//! request again, unless more is known by then.

mod ends;
mod messages;
#[cfg(test)]
mod tests;

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::time::Duration;

use jiff::{SignedDuration, Timestamp};

use crate::limits::KILL_PATIENCE;
use crate::objective::Change;
use crate::stop::{self, StopRule};
use crate::study::{
    Assignment, FinalState, Outcome, Purpose, Stage, StopDecision, StopReason, Study, StudySpec, Trial, rank,
};
use crate::suggest::Request;
use crate::units::TrialId;

pub use crate::study::{Decided, JobEnd, Record};
pub use messages::{Input, Output, Signal};

/// How trials are treated, whatever is tuned.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Policy {
    /// The time between TERM and KILL.
    pub grace: Duration,
    /// How often a trial that failed is tried again.
    pub retries: u32,
    /// How long an attempt may run.
    pub time_limit: Option<Duration>,
    /// When the job is to be over. No trial is started that could hardly end by then.
    pub deadline: Option<Timestamp>,
    /// What a trial without the metric means for the job.
    pub on_missing_metric: OnMissingMetric,
}

/// What it means for a job that a trial gave other metrics and not the wanted one, while no trial has given that.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum OnMissingMetric {
    /// The next trials would give none either: the job fails.
    #[default]
    Fail,
    /// That trial failed, and no more.
    Continue,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Phase {
    /// Trials are started as slots become free.
    Open,
    /// Every combination was tried: no more are started.
    Exhausted,
    /// The job's time leaves no room for another trial.
    Late,
    /// Too many trials failed, or none can be started any more.
    Failing,
    Cancelling,
    Over,
}

/// Runs one study.
pub struct Controller {
    /// What its records make, and where the processes of trials stand.
    study: Study,
    policy: Policy,
    stop_rule: Option<Box<dyn StopRule>>,
    /// Those of an earlier controller that nobody has looked at yet: they may have ended long ago.
    unseen: BTreeSet<TrialId>,
    /// Those that could not be killed.
    quarantined: BTreeSet<TrialId>,
    n_slots_lost: u32,
    /// What the trainer of the latest failed trial said last.
    last_words: Option<String>,
    /// The gist of what the trainer of each trial said last, as a hash. It is not stored: after a restart of the
    /// controller it takes as many failures anew.
    gists: BTreeMap<TrialId, u64>,
    /// The trial of the request for parameters that is open.
    requested: Option<TrialId>,
    phase: Phase,
    outputs: VecDeque<Output>,
}

impl std::fmt::Debug for Controller {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Controller")
            .field("phase", &self.phase)
            .field("trials", &self.trials())
            .finish_non_exhaustive()
    }
}

impl Controller {
    /// Runs a study from where its records end: from its beginning, or from where an earlier controller was killed. The
    /// first outputs come after the first input: send [`Input::Tick`].
    #[must_use]
    pub fn new(study: Study, policy: Policy) -> Self {
        let stop_rule = stop::for_spec(study.spec());
        let phase = match study.decided() {
            Decided::Nothing => Phase::Open,
            Decided::Cancel => Phase::Cancelling,
            Decided::Fail(_) => Phase::Failing,
        };
        let mut controller = Self {
            study,
            policy,
            stop_rule,
            unseen: BTreeSet::new(),
            quarantined: BTreeSet::new(),
            n_slots_lost: 0,
            last_words: None,
            gists: BTreeMap::new(),
            requested: None,
            phase,
            outputs: VecDeque::new(),
        };
        controller.go_on();
        controller
    }

    /// Puts out what is to be done about trials of an earlier controller.
    fn go_on(&mut self) {
        let is_ending = self.phase != Phase::Open;
        // Those that run come first: what they have of the machine nobody else gets.
        for trial in self.study.trials() {
            // One that is only suggested may have been started all the same.
            if trial.stage == Stage::Running || (trial.stage == Stage::Suggested && is_ending) {
                self.unseen.insert(trial.id);
                self.outputs.push_back(Output::Reattach(trial.id, trial.attempt));
            }
        }
        for trial in self.study.trials().iter().filter(|t| t.stage == Stage::Suggested && !is_ending) {
            self.outputs.push_back(Output::Start(trial.id, trial.params.clone(), trial.attempt));
        }
    }

    /// The study as it stands, with where the processes of its trials are.
    #[must_use]
    pub fn study(&self) -> &Study {
        &self.study
    }

    /// The study's specification.
    #[must_use]
    pub fn spec(&self) -> &StudySpec {
        self.study.spec()
    }

    /// All trials of this job so far, by number.
    #[must_use]
    pub fn trials(&self) -> &[Trial] {
        self.study.trials()
    }

    /// One of them.
    #[must_use]
    pub fn trial(&self, id: TrialId) -> Option<&Trial> {
        self.study.trial(id)
    }

    /// The next thing to do.
    pub fn poll_output(&mut self) -> Option<Output> {
        self.outputs.pop_front()
    }

    /// When to send [`Input::Tick`] at the latest, if at all.
    #[must_use]
    pub fn poll_timeout(&self) -> Option<Timestamp> {
        let of_trials = self.trials().iter().filter_map(|trial| match &trial.stage {
            Stage::Stopping(at, _) | Stage::Killing(at, ..) | Stage::Waiting(at, _) => Some(*at),
            Stage::Running => Some(after(trial.attempt_at?, self.policy.time_limit?)),
            Stage::Suggested | Stage::Ended(_) => None,
        });
        let is_running = self.trials().iter().any(|trial| trial.stage == Stage::Running);
        of_trials.chain(self.stop_all_at().filter(|_| is_running)).min()
    }

    /// Takes an input. One about a trial that is over, or unknown, changes nothing.
    pub fn handle(&mut self, now: Timestamp, input: Input) {
        if let Input::Reattached(id)
        | Input::Started(id)
        | Input::Exited(id, ..)
        | Input::Settled(id, _)
        | Input::WorkLeft(id, ..) = &input
        {
            self.unseen.remove(id);
        }
        match input {
            Input::Suggested(id, params) => self.suggested(now, id, params),
            Input::Started(id) => self.started(now, id),
            Input::StartFailed(id, _) if self.phase == Phase::Cancelling => {
                self.settle(now, id, Outcome::Cancelled);
            }
            Input::StartFailed(id, why) => self.settle(now, id, Outcome::NotStarted(why)),
            Input::Changed(id, changes) => self.changed(now, id, changes),
            // What is left of it goes too.
            Input::Exited(id, exit, at) => {
                self.exited(id, at);
                self.stop(now, id, Purpose::Leave(exit));
            }
            Input::ReplicaFailed(id, replica, exit) => {
                self.stop(now, id, Purpose::ReplicaFailed(replica, exit));
            }
            Input::Settled(id, last_words) => {
                self.heard(id, last_words);
                self.settled(now, id, None);
            }
            Input::WorkLeft(id, who, said) => {
                self.heard(id, Some(said));
                self.settled(now, id, Some(who));
            }
            Input::OtherMetrics(id, why) => self.other_metrics(now, id, why),
            Input::Released(id) => {
                self.quarantined.remove(&id);
            }
            Input::SlotLost(why) => self.slot_lost(now, &why),
            Input::StopTrial(id) => self.stop_by_request(now, id),
            Input::Cancel => self.cancel(now),
            Input::Kill => {
                self.cancel(now);
                self.kill_all(now);
            }
            Input::Reattached(_) | Input::Tick => {}
        }
        self.go_on_with_stops(now);
        self.stop_overdue(now);
        self.kill_overdue(now);
        self.start_waiting(now);
        self.request_trial(now);
        self.finish(now);
    }

    /// Whether a trial that could not be started yet still is to be: the job goes on, and has time for it.
    #[must_use]
    pub fn wants_starts(&self, now: Timestamp) -> bool {
        matches!(self.phase, Phase::Open | Phase::Exhausted | Phase::Late)
            && self.stop_all_at().is_none_or(|at| now < at)
    }

    /// Takes it that for so long nothing of what was put out was done: trials that are told to stop get their grace
    /// from then on.
    pub fn postpone(&mut self, by: SignedDuration) {
        for trial in self.study.trials_mut() {
            if let Stage::Stopping(at, _) | Stage::Killing(at, ..) = &mut trial.stage {
                *at = at.checked_add(by).unwrap_or(Timestamp::MAX);
            }
        }
    }

    fn trial_mut(&mut self, id: TrialId) -> Option<&mut Trial> {
        self.study.trial_mut(id).filter(|trial| trial.is_active())
    }

    fn ids(&self) -> Vec<TrialId> {
        self.trials().iter().map(|trial| trial.id).collect()
    }

    /// Takes a record into the study, and has it stored.
    fn record(&mut self, record: Record) {
        self.study.apply(&record);
        self.outputs.push_back(Output::Persist(record));
    }

    fn started(&mut self, now: Timestamp, id: TrialId) {
        let Some(attempt) = self.trial_mut(id).map(|trial| trial.attempt) else { return };
        self.record(Record::Started(id, now, attempt));
        if matches!(self.phase, Phase::Cancelling | Phase::Failing) {
            self.stop(now, id, Purpose::Cancel);
        }
    }

    /// Notes when a trial ended, which may be long ago where no controller ran. Clocks may disagree.
    fn exited(&mut self, id: TrialId, at: Timestamp) {
        let Some(trial) = self.trial_mut(id) else { return };
        trial.ended_at.get_or_insert(trial.attempt_at.map_or(at, |begun| begun.max(at)));
    }

    fn changed(&mut self, now: Timestamp, id: TrialId, changes: Vec<Change>) {
        if self.trial_mut(id).is_some() {
            self.record(Record::Changed(id, changes));
            self.judge(now, id);
        }
    }

    /// Gives a running trial up if the rule says so.
    fn judge(&mut self, now: Timestamp, id: TrialId) {
        let (Some(rule), Some(trial)) = (&self.stop_rule, self.trial(id)) else { return };
        if trial.stage != Stage::Running {
            return;
        }
        if let Some(decision) = stop::judge(&**rule, &self.study, trial) {
            self.give_up(now, id, decision);
        }
    }

    fn give_up(&mut self, now: Timestamp, id: TrialId, decision: StopDecision) {
        self.record(Record::StopDecided(id, now, decision));
        self.stop(now, id, Purpose::EarlyStop);
    }

    /// Gives a trial up that is not over and not being stopped, whether it runs or is about to.
    fn stop_by_request(&mut self, now: Timestamp, id: TrialId) {
        let may_go_on = |trial: &&Trial| match trial.stage {
            Stage::Suggested | Stage::Running | Stage::Waiting(..) => trial.stop.is_none(),
            Stage::Stopping(..) | Stage::Killing(..) | Stage::Ended(_) => false,
        };
        if self.trial(id).filter(may_go_on).is_some() {
            self.give_up(now, id, StopReason::Request.into());
        }
    }

    /// Goes on with what an earlier controller had decided and perhaps not yet done.
    fn go_on_with_stops(&mut self, now: Timestamp) {
        let is_ending = matches!(self.phase, Phase::Cancelling | Phase::Failing);
        for id in self.ids() {
            let Some(trial) = self.trial(id) else { continue };
            let is_known = trial.stage == Stage::Running && !self.unseen.contains(&id);
            if is_known && trial.stop.is_some() {
                self.stop(now, id, Purpose::EarlyStop);
            } else if is_ending && (is_known || matches!(trial.stage, Stage::Waiting(..))) {
                self.stop(now, id, Purpose::Cancel);
            }
        }
    }

    /// Tells a trial's processes to end. A trial that is stopping already keeps its first purpose.
    fn stop(&mut self, now: Timestamp, id: TrialId, purpose: Purpose) {
        let kill_at = after(now, self.policy.grace);
        // The deadline is when all is to be over.
        let kill_at = self.policy.deadline.map_or(kill_at, |deadline| kill_at.min(deadline.max(now)));
        let is_cancelling = self.phase == Phase::Cancelling;
        let Some(trial) = self.trial_mut(id) else { return };
        // What an earlier controller had decided made it end.
        let purpose = match trial.stop {
            Some(_) => Purpose::EarlyStop,
            None if is_cancelling => Purpose::Cancel,
            None => purpose,
        };
        match trial.stage.clone() {
            Stage::Running => {
                trial.stage = Stage::Stopping(kill_at, purpose);
                self.outputs.push_back(Output::Signal(id, Signal::Terminate));
            }
            Stage::Waiting(_, outcome) => self.end(now, id, outcome),
            Stage::Suggested | Stage::Stopping(..) | Stage::Killing(..) | Stage::Ended(_) => {}
        }
    }

    /// When all that runs is to be stopped, so that it is over at the deadline.
    fn stop_all_at(&self) -> Option<Timestamp> {
        let deadline = self.policy.deadline?;
        Some(deadline.checked_sub(self.policy.grace).unwrap_or(Timestamp::MIN))
    }

    /// Stops the trials whose time is over.
    fn stop_overdue(&mut self, now: Timestamp) {
        let is_time_up = self.stop_all_at().is_some_and(|at| at <= now);
        if is_time_up && self.phase == Phase::Open {
            self.phase = Phase::Late;
        }
        for id in self.ids() {
            let Some(trial) = self.trial(id).filter(|_| !self.unseen.contains(&id)) else { continue };
            if let Stage::Waiting(_, outcome) = trial.stage.clone()
                && is_time_up
            {
                self.end(now, id, outcome);
                continue;
            }
            let Some(since) = trial.attempt_at.filter(|_| trial.stage == Stage::Running) else { continue };
            let limit = self.policy.time_limit.filter(|limit| after(since, *limit) <= now);
            if is_time_up || limit.is_some() {
                let ran_s = now.duration_since(since).as_secs_f64();
                let limit_s = limit.map(|limit| limit.as_secs_f64());
                self.give_up(now, id, StopReason::TimeLimit { ran_s, limit_s }.into());
            }
        }
    }

    fn kill_overdue(&mut self, now: Timestamp) {
        let mut outputs = Vec::new();
        let mut quarantined = Vec::new();
        for trial in self.study.trials_mut() {
            let (purpose, n_kills) = match trial.stage {
                Stage::Stopping(at, purpose) if at <= now => (purpose, 1),
                Stage::Killing(at, purpose, n) if at <= now => (purpose, n.saturating_add(1)),
                Stage::Suggested
                | Stage::Running
                | Stage::Stopping(..)
                | Stage::Killing(..)
                | Stage::Waiting(..)
                | Stage::Ended(_) => continue,
            };
            match n_kills {
                1 => {}
                2 => outputs.push(Output::StillThere(trial.id)),
                3 => quarantined.push(trial.id),
                _ => {}
            }
            trial.stage = Stage::Killing(after(now, KILL_PATIENCE), purpose, n_kills);
            outputs.push(Output::Signal(trial.id, Signal::Kill));
        }
        self.outputs.extend(outputs);
        for id in quarantined {
            self.quarantined.insert(id);
            self.outputs.push_back(Output::Quarantine(id));
            self.fail_without_slots(now, &format!("trial {id} cannot be killed"));
        }
    }

    /// Makes every trial that is being stopped overdue.
    fn kill_all(&mut self, now: Timestamp) {
        for trial in self.study.trials_mut() {
            if let Stage::Stopping(at, _) = &mut trial.stage {
                *at = now;
            }
        }
    }

    /// Starts the attempts whose time has come.
    fn start_waiting(&mut self, now: Timestamp) {
        let mut outputs = Vec::new();
        for trial in self.study.trials_mut() {
            if matches!(trial.stage, Stage::Waiting(at, _) if at <= now) {
                trial.stage = Stage::Suggested;
                outputs.push(Output::Start(trial.id, trial.params.clone(), trial.attempt));
            }
        }
        self.outputs.extend(outputs);
    }

    fn slot_lost(&mut self, now: Timestamp, why: &str) {
        self.n_slots_lost = self.n_slots_lost.saturating_add(1);
        self.fail_without_slots(now, why);
    }

    fn n_slots(&self) -> usize {
        let n_lost = self.quarantined.len().saturating_add(self.n_slots_lost as usize);
        (self.study.spec().max_parallel_trials as usize).saturating_sub(n_lost)
    }

    fn fail_without_slots(&mut self, now: Timestamp, why: &str) {
        if self.n_slots() == 0 && matches!(self.phase, Phase::Open | Phase::Exhausted | Phase::Late) {
            self.fail(now, format!("no slot is left: {why}"));
        }
    }

    fn fail(&mut self, now: Timestamp, why: String) {
        self.phase = Phase::Failing;
        self.record(Record::FailDecided(now, why));
        self.stop_all(now);
    }

    fn cancel(&mut self, now: Timestamp) {
        match self.phase {
            Phase::Open | Phase::Exhausted | Phase::Late | Phase::Failing => {
                self.phase = Phase::Cancelling;
                self.record(Record::CancelDecided(now));
                self.stop_all(now);
            }
            Phase::Cancelling | Phase::Over => {}
        }
    }

    /// Why the job has failed, where it has.
    fn failure(&self) -> Option<&str> {
        match self.study.decided() {
            Decided::Fail(why) => Some(why),
            Decided::Nothing | Decided::Cancel => None,
        }
    }

    fn stop_all(&mut self, now: Timestamp) {
        for id in self.ids() {
            self.stop(now, id, Purpose::Cancel);
        }
    }

    /// Requests the parameters of the next trial, where one is to start.
    fn request_trial(&mut self, now: Timestamp) {
        if self.requested.is_some() || !self.wants_another(now) {
            return;
        }
        let request = Request::next(&self.study);
        self.requested = Some(request.trial);
        self.outputs.push_back(Output::Suggest(request));
    }

    /// Takes the answer to the open request. One to any other, or one that comes when no trial is to start any more, is
    /// dropped: no trial was made for it.
    fn suggested(&mut self, now: Timestamp, id: TrialId, params: Option<Assignment>) {
        if self.requested != Some(id) {
            return;
        }
        self.requested = None;
        if !self.wants_another(now) {
            return;
        }
        let Some(params) = params else {
            self.phase = Phase::Exhausted;
            return;
        };
        self.record(Record::Suggested(id, params.clone()));
        self.outputs.push_back(Output::Start(id, params, 1));
    }

    /// Whether another trial is to start now. That the job's time has no room for one is decided here for good.
    fn wants_another(&mut self, now: Timestamp) -> bool {
        // Those in quarantine that are not settled yet hold one slot, not two.
        let holds_slot = |trial: &&Trial| trial.is_active() && !self.quarantined.contains(&trial.id);
        let n_active = self.trials().iter().filter(holds_slot).count();
        if self.phase != Phase::Open
            || self.trials().len() >= self.study.spec().max_trials as usize
            || n_active >= self.n_slots()
        {
            return false;
        }
        if self.is_late_for_another(now) {
            self.phase = Phase::Late;
        }
        self.phase == Phase::Open
    }

    /// Whether a trial that starts now would hardly end by the deadline, going by the median of those that succeeded.
    fn is_late_for_another(&self, now: Timestamp) -> bool {
        let Some(deadline) = self.policy.deadline else { return false };
        let is_success = |trial: &&Trial| trial.outcome() == Some(&Outcome::Succeeded);
        let mut durations: Vec<f64> =
            self.trials().iter().filter(is_success).filter_map(Trial::attempt_duration_s).collect();
        durations.sort_by(f64::total_cmp);
        let median = durations.get(durations.len() / 2).copied().unwrap_or(0.0);
        now >= deadline || deadline.duration_since(now).as_secs_f64() < median
    }

    fn finish(&mut self, now: Timestamp) {
        if self.phase == Phase::Over || self.trials().iter().any(Trial::is_active) {
            return;
        }
        let (n, max) = (self.trials().len(), self.study.spec().max_trials);
        let has_result = !rank(self.spec(), self.trials()).best.is_empty();
        let no_result = || format!("none of {n} trials gave a result");
        let (state, message) = match self.phase {
            Phase::Open if n < max as usize => return,
            Phase::Open if has_result => (FinalState::Succeeded, None),
            Phase::Exhausted if has_result => {
                (FinalState::Succeeded, Some(format!("all {n} combinations of the parameters were tried")))
            }
            Phase::Late if has_result => {
                (FinalState::Succeeded, Some(format!("the job's time had room for {n} of {max} trials")))
            }
            Phase::Late => (FinalState::Failed, Some(format!("the job's time was over; {}", no_result()))),
            Phase::Open | Phase::Exhausted => (FinalState::Failed, Some(no_result())),
            Phase::Failing => (FinalState::Failed, self.failure().map(str::to_owned)),
            Phase::Cancelling => (FinalState::Cancelled, Some("cancelled by the user".to_owned())),
            Phase::Over => return,
        };
        self.phase = Phase::Over;
        self.record(Record::JobEnded(now, JobEnd { state, message }));
        self.outputs.push_back(Output::Finished);
    }
}

fn after(now: Timestamp, wait: Duration) -> Timestamp {
    now.checked_add(wait).unwrap_or(Timestamp::MAX)
}
