//! What a trial's end comes to: its one outcome, another attempt, or the end of the whole job.

use std::time::Duration;

use jiff::Timestamp;

use super::{Controller, Phase, Record, after};
use crate::limits::{
    FAST_FAILURE, LEAST_RETRIES_OF_LOST, LONGEST_RETRY_PAUSE, MAX_FAILED_STARTS, MAX_FAST_FAILURES,
    RETRY_PAUSE,
};
use crate::study::{Exit, Outcome, Purpose, Stage, Trial};
use crate::units::TrialId;

impl Controller {
    pub(super) fn settled(&mut self, now: Timestamp, id: TrialId) {
        let (goal, reduce) = (self.spec.goal, self.spec.reduce);
        let has_attempt = |trial: &&Trial| trial.is_active() && !matches!(trial.stage, Stage::Waiting(..));
        let Some(trial) = self.trial(id).filter(has_attempt) else { return };
        let result = trial.result(goal, reduce).map(|m| m.value.is_finite());
        let ended_well = |well: Outcome| match result {
            Some(true) => well,
            Some(false) => Outcome::Infeasible,
            None => Outcome::NoMetric,
        };
        let outcome = match trial.stage {
            Stage::Stopping(_, purpose) | Stage::Killing(_, purpose, _) => match purpose {
                Purpose::EarlyStop => ended_well(Outcome::StoppedEarly),
                Purpose::Cancel => Outcome::Cancelled,
                Purpose::Leave(Exit::Code(0)) => ended_well(Outcome::Succeeded),
                Purpose::Leave(Exit::Lost) => Outcome::Lost,
                Purpose::Leave(exit) if exit.is_preemption() => Outcome::Preempted,
                Purpose::Leave(exit) => Outcome::Failed(exit),
                Purpose::ReplicaFailed(replica, exit) => Outcome::ReplicaFailed(replica, exit),
            },
            _ if self.phase == Phase::Cancelling => Outcome::Cancelled,
            // It vanished without a word of how it ended.
            Stage::Suggested | Stage::Running | Stage::Waiting(..) | Stage::Ended(_) => Outcome::Lost,
        };
        self.settle(now, id, outcome);
    }

    /// Ends a trial like this, or has it tried again.
    pub(super) fn settle(&mut self, now: Timestamp, id: TrialId, outcome: Outcome) {
        let max_retries = match &outcome {
            Outcome::Failed(_) | Outcome::ReplicaFailed(..) => self.policy.retries,
            // It was not the trainer's fault.
            Outcome::Preempted | Outcome::Lost => self.policy.retries.max(LEAST_RETRIES_OF_LOST),
            // It would end the same way again.
            Outcome::NotStarted(_) | Outcome::NoMetric | Outcome::Infeasible | Outcome::Rejected(_) => 0,
            Outcome::Succeeded | Outcome::StoppedEarly | Outcome::Cancelled => 0,
        };
        let is_going_on = matches!(self.phase, Phase::Open | Phase::Exhausted)
            && self.stop_all_at().is_none_or(|at| now < at)
            && !self.quarantined.contains(&id);
        let Some(trial) = self.trial_mut(id) else { return };
        if trial.attempt > max_retries || !is_going_on {
            return self.end(now, id, outcome);
        }
        let pause = RETRY_PAUSE.saturating_mul(1 << (trial.attempt - 1).min(16)).min(LONGEST_RETRY_PAUSE);
        trial.attempt += 1;
        trial.attempt_at = None;
        trial.ended_at = None;
        trial.stage = Stage::Waiting(after(now, pause), outcome.clone());
        let attempt = trial.attempt;
        self.persist(Record::Retried(id, now, outcome, attempt));
    }

    pub(super) fn end(&mut self, now: Timestamp, id: TrialId, outcome: Outcome) {
        let Some(trial) = self.trial_mut(id) else { return };
        let at = *trial.ended_at.get_or_insert(now);
        trial.stage = Stage::Ended(outcome.clone());
        self.persist(Record::Ended(id, at, outcome));
        if matches!(self.phase, Phase::Open | Phase::Exhausted | Phase::Late)
            && let Some(why) = self.why_failing()
        {
            self.fail(now, why);
        }
    }

    /// Why no more trials are worth starting, where that is so.
    fn why_failing(&self) -> Option<String> {
        let trials = self.trials();
        let failed = trials.iter().filter(|trial| trial.outcome().is_some_and(Outcome::is_failure)).count();
        let max = self.spec.max_failed_trials;
        if max > 0 && failed >= max as usize {
            return Some(format!("{failed} trials failed (maxFailedTrials is {max})"));
        }
        let over = trials.iter().rev().filter_map(Trial::outcome);
        let mut not_started =
            over.map_while(|o| if let Outcome::NotStarted(why) = o { Some(why) } else { None });
        if let Some(why) = not_started.nth(MAX_FAILED_STARTS - 1) {
            return Some(format!("{MAX_FAILED_STARTS} trials in a row could not be started: {why}"));
        }
        self.why_failing_fast()
    }

    /// A trainer that cannot work with any parameters fails in its first seconds, each time.
    fn why_failing_fast(&self) -> Option<String> {
        let failed_fast = |trial: &Trial| {
            let is_failure = matches!(
                trial.outcome(),
                Some(Outcome::Failed(_) | Outcome::ReplicaFailed(..) | Outcome::NoMetric)
            );
            let duration = trial.attempt_duration_s().map(Duration::from_secs_f64);
            is_failure && duration.is_some_and(|duration| duration < FAST_FAILURE)
        };
        // One that has told a value shows that it can work.
        let is_at_work = |trial: &Trial| trial.is_active() && trial.curve.last().is_some();
        let trials = self.trials();
        let n = trials.iter().filter(|trial| failed_fast(trial)).count();
        let is_so = trials.iter().all(|t| failed_fast(t) || (t.is_active() && !is_at_work(t)));
        // The last trials of a job are its end anyhow.
        if n < MAX_FAST_FAILURES || !is_so || trials.len() >= self.spec.max_trials as usize {
            return None;
        }
        let last = trials.iter().rev().find(|trial| failed_fast(trial))?;
        let outcome = last.outcome()?;
        let said = self.last_words.as_ref().map(|words| format!("; it said last:\n    {words}"));
        let said = said.unwrap_or_default();
        Some(format!("the first {n} trials failed within seconds; trial {} {outcome}{said}", last.id))
    }
}
