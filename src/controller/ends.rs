//! What a trial's end comes to: its one outcome, another attempt, or the end of the whole job.

use std::hash::{DefaultHasher, Hash, Hasher};
use std::time::Duration;

use jiff::Timestamp;

use super::{Controller, OnMissingMetric, Phase, Record};
use crate::limits::{
    FAST_FAILURE, LEAST_RETRIES_OF_LOST, MAX_ALIKE_FAILURES, MAX_FAILED_STARTS, MAX_FAST_FAILURES,
};
use crate::study::{Exit, FOR_THIS, Outcome, Purpose, SAID_LAST, Stage, Trial, gist};
use crate::units::TrialId;

impl Controller {
    /// Nothing of a trial is left; its work was left to these processes, where it was.
    pub(super) fn settled(&mut self, now: Timestamp, id: TrialId, left: Option<String>) {
        let spec = self.study.spec();
        let has_attempt = |trial: &&Trial| trial.is_active() && !matches!(trial.stage, Stage::Waiting(..));
        let Some(trial) = self.study.trial(id).filter(has_attempt) else { return };
        let outcome = match trial.stage {
            Stage::Stopping(_, purpose) | Stage::Killing(_, purpose, _) => match purpose {
                Purpose::EarlyStop => trial.outcome_by_result(spec.goal, spec.reduce),
                Purpose::Cancel => Outcome::Cancelled,
                Purpose::Leave(Exit::Code(0)) => match left {
                    Some(who) => Outcome::LeftAtWork(who),
                    None => trial.outcome_by_result(spec.goal, spec.reduce),
                },
                Purpose::Leave(Exit::Lost) => Outcome::Lost,
                Purpose::Leave(exit) if exit.is_preemption() => Outcome::Preempted,
                Purpose::Leave(exit) => Outcome::Failed(exit),
                Purpose::ReplicaFailed(replica, exit) => Outcome::ReplicaFailed(replica, exit),
            },
            _ if matches!(self.phase, Phase::Cancelling | Phase::Failing) => Outcome::Cancelled,
            // It vanished without a word of how it ended.
            Stage::Suggested | Stage::Running | Stage::Waiting(..) | Stage::Ended(_) => Outcome::Lost,
        };
        self.settle(now, id, outcome);
    }

    /// Fails the job for want of the metric, where `id` has ended well without a value of it, and no trial has one: the
    /// others would end like this too.
    pub(super) fn other_metrics(&mut self, now: Timestamp, id: TrialId, why: String) {
        let is_open = matches!(self.phase, Phase::Open | Phase::Exhausted | Phase::Late);
        let ended_well = self.trial(id).is_some_and(|trial| match trial.stage {
            Stage::Stopping(_, purpose) | Stage::Killing(_, purpose, _) => {
                matches!(purpose, Purpose::Leave(Exit::Code(0)) | Purpose::EarlyStop)
            }
            Stage::Suggested | Stage::Running | Stage::Waiting(..) | Stage::Ended(_) => false,
        });
        let has_come = self.trials().iter().any(|trial| trial.curve.last().is_some());
        if is_open && ended_well && !has_come && self.policy.on_missing_metric == OnMissingMetric::Fail {
            self.fail(
                now,
                format!("trial {id} gave no value of the metric, and no other has{FOR_THIS}    {why}"),
            );
        }
    }

    /// Takes it that a trial's trainer said this last.
    pub(super) fn heard(&mut self, id: TrialId, last_words: Option<String>) {
        let Some(words) = last_words else { return };
        if let Some(trial) = self.trial(id) {
            let mut hasher = DefaultHasher::new();
            gist(&words, &trial.params).hash(&mut hasher);
            self.gists.insert(id, hasher.finish());
        }
        self.last_words = Some(words);
    }

    /// Ends a trial like this, or has it tried again.
    pub(super) fn settle(&mut self, now: Timestamp, id: TrialId, outcome: Outcome) {
        let max_retries = match &outcome {
            Outcome::Failed(_) | Outcome::ReplicaFailed(..) => self.policy.retries,
            // It was not the trainer's fault.
            Outcome::Preempted | Outcome::Lost => self.policy.retries.max(LEAST_RETRIES_OF_LOST),
            // It would end the same way again.
            Outcome::NotStarted(_)
            | Outcome::NoMetric
            | Outcome::LeftAtWork(_)
            | Outcome::Infeasible
            | Outcome::Rejected(_) => 0,
            Outcome::Succeeded | Outcome::StoppedEarly | Outcome::StoppedByRequest | Outcome::Cancelled => 0,
        };
        let is_going_on = matches!(self.phase, Phase::Open | Phase::Exhausted)
            && self.stop_all_at().is_none_or(|at| now < at)
            && !self.quarantined.contains(&id);
        let Some(trial) = self.trial(id).filter(|trial| trial.is_active()) else { return };
        if trial.attempt > max_retries || !is_going_on {
            return self.end(now, id, outcome);
        }
        let attempt = trial.attempt + 1;
        self.record(Record::Retried(id, now, outcome, attempt));
    }

    pub(super) fn end(&mut self, now: Timestamp, id: TrialId, outcome: Outcome) {
        let Some(trial) = self.trial(id).filter(|trial| trial.is_active()) else { return };
        let at = trial.ended_at.unwrap_or(now);
        self.record(Record::Ended(id, at, outcome));
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
        let max = self.spec().max_failed_trials;
        if max > 0 && failed >= max as usize {
            return Some(format!("{failed} trials failed (maxFailedTrials is {max})"));
        }
        let over = trials.iter().rev().filter_map(Trial::outcome);
        let mut not_started =
            over.map_while(|o| if let Outcome::NotStarted(why) = o { Some(why) } else { None });
        if let Some(why) = not_started.nth(MAX_FAILED_STARTS - 1) {
            return Some(format!("{MAX_FAILED_STARTS} trials in a row could not be started: {why}"));
        }
        self.why_failing_fast().or_else(|| self.why_failing_alike())
    }

    /// Whether a trial failed by a fault of its trainer, or of how that is called, that tells of other trials.
    fn is_own_failure(&self, trial: &Trial) -> bool {
        let ended = trial.outcome();
        matches!(ended, Some(Outcome::Failed(_) | Outcome::ReplicaFailed(..) | Outcome::LeftAtWork(_)))
            || (ended == Some(&Outcome::NoMetric) && self.policy.on_missing_metric == OnMissingMetric::Fail)
    }

    /// What the trainer of the latest failed trial said, as the end of a message.
    fn said_last(&self) -> String {
        self.last_words.as_ref().map(|words| format!("{SAID_LAST}    {words}")).unwrap_or_default()
    }

    /// A trainer that has never worked, and fails in the same words again and again, fails so with any parameters.
    fn why_failing_alike(&self) -> Option<String> {
        let trials = self.trials();
        let last =
            trials.iter().filter(|trial| self.is_own_failure(trial)).max_by_key(|trial| trial.ended_at)?;
        let gist = self.gists.get(&last.id)?;
        let alike: Vec<&Trial> =
            trials.iter().filter(|t| self.is_own_failure(t) && self.gists.get(&t.id) == Some(gist)).collect();
        let farthest = alike.iter().filter_map(|trial| trial.curve.reached()).max();
        // One that gave a result, or has come farther than any of them, shows that it can work.
        let works = |trial: &Trial| {
            trial.outcome().is_some_and(Outcome::is_success)
                || (trial.is_active() && trial.curve.reached() > farthest)
        };
        // The last trials of a job are its end anyhow.
        let is_last = trials.len() >= self.spec().max_trials as usize;
        if alike.len() < MAX_ALIKE_FAILURES || is_last || trials.iter().any(works) {
            return None;
        }
        let (n, outcome) = (alike.len(), last.outcome()?);
        Some(format!("{n} trials failed in the same way; trial {} {outcome}{}", last.id, self.said_last()))
    }

    /// A trainer that cannot work with any parameters fails in its first seconds, each time.
    fn why_failing_fast(&self) -> Option<String> {
        let failed_fast = |trial: &Trial| {
            let duration = trial.attempt_duration_s().map(Duration::from_secs_f64);
            self.is_own_failure(trial) && duration.is_some_and(|duration| duration < FAST_FAILURE)
        };
        // One that has told a value shows that it can work.
        let is_at_work = |trial: &Trial| trial.is_active() && trial.curve.last().is_some();
        let trials = self.trials();
        let n = trials.iter().filter(|trial| failed_fast(trial)).count();
        let is_so = trials.iter().all(|t| failed_fast(t) || (t.is_active() && !is_at_work(t)));
        // The last trials of a job are its end anyhow.
        if n < MAX_FAST_FAILURES || !is_so || trials.len() >= self.spec().max_trials as usize {
            return None;
        }
        let last = trials.iter().rev().find(|trial| failed_fast(trial))?;
        let outcome = last.outcome()?;
        let said = self.said_last();
        Some(format!("the first {n} trials failed within seconds; trial {} {outcome}{said}", last.id))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::controller::tests::handle;
    use crate::controller::{Input, Output, Policy, after};
    use crate::objective::Change;
    use crate::study::{Study, config};
    use crate::units::{MetricValue, Step, WallTime};
    use tfevents::series::Point;

    /// Runs trials one after the other, 100 s each, until the job ends or `ends` are over: the last step of each, how
    /// its trainer ended, and what that said.
    fn run(ends: &[(Option<i64>, i32, &str)]) -> Option<String> {
        let space = "params: [{parameterName: a, type: DOUBLE, minValue: 0, maxValue: 1}]";
        let spec = config::tests::spec(&format!("{{maxTrials: 20, algorithm: RANDOM_SEARCH, {space}}}"));
        let mut controller = Controller::new(Study::new(spec), Policy::default());
        let (mut now, mut outputs) = (Timestamp::UNIX_EPOCH, Vec::new());
        let mut feed = |now, input| outputs.extend(handle(&mut controller, now, input));
        feed(now, Input::Tick);
        for (id, (step, code, said)) in (0..).map(TrialId::after).zip(ends) {
            feed(now, Input::Started(id));
            now = after(now, Duration::from_secs(100));
            if let Some(step) = step {
                let value = MetricValue::F64(0.5);
                let point = Point { step: Step(*step), wall_time: WallTime(0.0), value };
                feed(now, Input::Changed(id, vec![Change::Point { pass: 0, point }]));
            }
            feed(now, Input::Exited(id, Exit::Code(*code), now));
            feed(now, Input::Settled(id, Some((*said).to_owned())));
        }
        outputs.into_iter().find_map(|output| match output {
            Output::Persist(Record::JobEnded(_, end)) => end.message,
            _ => None,
        })
    }

    /// Two trials side by side, of which the first ends without the metric; why the job has failed then.
    fn first_lacks_metric(has_other_a_value: bool, on_missing_metric: OnMissingMetric) -> Option<String> {
        let space = "params: [{parameterName: a, type: DOUBLE, minValue: 0, maxValue: 1}]";
        let spec = config::tests::spec(&format!("{{maxTrials: 9, maxParallelTrials: 2, {space}}}"));
        let mut controller =
            Controller::new(Study::new(spec), Policy { on_missing_metric, ..Policy::default() });
        let (now, first, second) = (Timestamp::UNIX_EPOCH, TrialId::after(0), TrialId::after(1));
        let mut outputs = Vec::new();
        let mut feed = |now, input| outputs.extend(handle(&mut controller, now, input));
        feed(now, Input::Tick);
        feed(now, Input::Started(first));
        feed(now, Input::Started(second));
        if has_other_a_value {
            let point = Point { step: Step(1), wall_time: WallTime(0.0), value: MetricValue::F64(f64::NAN) };
            feed(now, Input::Changed(second, vec![Change::Point { pass: 0, point }]));
        }
        feed(now, Input::Exited(first, Exit::Code(0), now));
        feed(now, Input::OtherMetrics(first, "there is `x`".to_owned()));
        feed(now, Input::Settled(first, None));
        let decided = outputs.iter().position(|o| matches!(o, Output::Persist(Record::FailDecided(..))));
        let stopped = outputs.iter().position(|o| matches!(o, Output::Signal(id, _) if *id == second));
        assert_eq!(decided.is_some(), stopped.is_some());
        assert!(decided <= stopped, "it is stored before it is acted on");
        controller.failure().map(str::to_owned)
    }

    #[test]
    fn a_metric_that_never_comes_fails_the_job_unless_it_has_come_to_another_trial() {
        let why = "trial 1 gave no value of the metric, and no other has:\n    there is `x`";
        assert_eq!(first_lacks_metric(false, OnMissingMetric::Fail).as_deref(), Some(why));
        assert_eq!(first_lacks_metric(true, OnMissingMetric::Fail), None);
        assert_eq!(first_lacks_metric(false, OnMissingMetric::Continue), None);
    }

    #[test]
    fn the_same_failure_three_times_ends_a_job_in_which_nothing_has_worked() {
        let ended = run(&[(None, 1, "no /a/1"), (None, 1, "no /a/2"), (None, 1, "no /a/3")]);
        let message =
            "3 trials failed in the same way; trial 3 failed: exit code 1; it said last:\n    no /a/3";
        assert_eq!(ended.as_deref(), Some(message));
        // With values or without, in a row or not.
        let ended = run(&[
            (Some(1), 1, "no /a/1"),
            (None, 1, "other"),
            (Some(2), 1, "no /a/2"),
            (None, 1, "no /a/4"),
        ]);
        assert!(ended.is_some());
        assert_eq!(run(&[(None, 1, "one"), (None, 1, "two"), (None, 1, "three")]), None);
        // Where one has worked the parameters may be to blame: a batch that is too large.
        let no_memory = (None, 1, "out of memory");
        assert_eq!(run(&[(Some(9), 0, ""), no_memory, no_memory, no_memory, no_memory]), None);
    }
}
