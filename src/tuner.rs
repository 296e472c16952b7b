//! Ask and tell: a study whose trials somebody else runs.
//!
//! Layer 7. Pure: requests and the time go in, answers come out, and what a store is to keep is taken by
//! [`Tuner::take_records`] before an answer is given.

use jiff::Timestamp;

use crate::objective::Change;
use crate::stop::{self, StopRule};
use crate::study::{Assignment, Measurement, Outcome, Record, StopReason, Study, StudySpec, Trial, rank};
use crate::suggest::{self, Request, Suggest};
use crate::units::{MetricValue, Step, TrialId, WallTime};
use tfevents::series::Point;

/// A study that is asked for trials and told of them.
pub struct Tuner {
    study: Study,
    suggest: Box<dyn Suggest>,
    stop_rule: Option<Box<dyn StopRule>>,
    records: Vec<Record>,
}

/// Why something told was not taken.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
pub enum TellError {
    /// There is no such trial.
    #[error("no trial {0} was suggested")]
    Unknown(u32),
    /// It has ended before.
    #[error("trial {0} has ended: {1}")]
    Over(TrialId, Outcome),
    /// Its parameters are not those of the study.
    #[error("{0}")]
    OutsideSpace(String),
}

/// How a trial ended.
#[derive(Debug, Clone, PartialEq)]
pub enum End {
    /// With its last measurement, or with this value, at this step where it has one.
    Value(Option<f64>, Option<Step>),
    /// Without a result, for this reason.
    Infeasible(String),
}

impl Tuner {
    /// Goes on with a study from where its records end.
    #[must_use]
    pub fn new(study: Study) -> Self {
        let (suggest, stop_rule) = (suggest::for_spec(study.spec()), stop::for_spec(study.spec()));
        Self { study, suggest, stop_rule, records: Vec::new() }
    }

    /// What is to be kept of what was done since the last call, in order.
    pub fn take_records(&mut self) -> Vec<Record> {
        std::mem::take(&mut self.records)
    }

    /// A new trial; `None` where all trials were suggested, or every point of the space was tried.
    pub fn suggest(&mut self, now: Timestamp) -> Option<(TrialId, Assignment)> {
        // Those from elsewhere were never started.
        let n_suggested = self.trials().iter().filter(|trial| trial.started_at.is_some()).count();
        if n_suggested >= self.spec().max_trials as usize {
            return None;
        }
        let Request { trial: id, observations } = Request::next(&self.study);
        let params = self.suggest.suggest(self.study.spec(), &observations)?;
        self.record(Record::Suggested(id, params.clone()));
        self.record(Record::Started(id, now, 1));
        Some((id, params))
    }

    /// Takes a measurement of a trial that runs; another one at the same step replaces it. The answer is why the
    /// trial should stop, where it should.
    ///
    /// # Errors
    /// The trial is unknown or has ended.
    pub fn report(
        &mut self,
        now: Timestamp,
        trial: u32,
        step: Step,
        value: f64,
    ) -> Result<Option<StopReason>, TellError> {
        let id = self.running(trial)?.id;
        self.measure(now, id, step, value);
        let (Some(rule), Some(trial)) = (&self.stop_rule, self.study.trial(id)) else { return Ok(None) };
        let is_decided = trial.stop.is_some();
        let Some(decision) = stop::judge(&**rule, &self.study, trial) else { return Ok(None) };
        let reason = decision.reason;
        if !is_decided {
            self.record(Record::StopDecided(id, now, decision));
        }
        Ok(Some(reason))
    }

    /// Ends a trial.
    ///
    /// # Errors
    /// The trial is unknown or has ended before.
    pub fn complete(&mut self, now: Timestamp, trial: u32, end: End) -> Result<(), TellError> {
        let trial = self.running(trial)?;
        let (id, last) = (trial.id, trial.curve.last().copied());
        let why = match end {
            End::Infeasible(why) => Some(why),
            End::Value(None, _) => None,
            End::Value(Some(value), step) => {
                // The result that was reported last needs no step of its own.
                let is_known = step.is_none() && last.is_some_and(|last| last.value == value);
                if !is_known {
                    let next = last.map_or(0, |last| last.step.0.saturating_add(1));
                    self.measure(now, id, step.unwrap_or(Step(next)), value);
                }
                None
            }
        };
        self.end(now, id, why);
        Ok(())
    }

    /// Takes a finished trial from elsewhere.
    ///
    /// # Errors
    /// It names other parameters than the study, or values that those cannot have.
    pub fn add(&mut self, now: Timestamp, params: Assignment, value: f64) -> Result<TrialId, TellError> {
        if let Some(why) = self.spec().space.refusal(&params) {
            return Err(TellError::OutsideSpace(why));
        }
        let id = self.study.next_id();
        self.record(Record::Suggested(id, params));
        self.measure(now, id, Step(0), value);
        self.end(now, id, None);
        Ok(id)
    }

    /// The trial with the best result, where one has any.
    #[must_use]
    pub fn best(&self) -> Option<(&Trial, f64)> {
        let best = *rank(self.spec(), self.trials()).best.first()?;
        let trial = self.study.trial(best)?;
        Some((trial, trial.result(self.spec().goal, self.spec().reduce)?.value))
    }

    /// The study as it stands.
    #[must_use]
    pub fn study(&self) -> &Study {
        &self.study
    }

    /// All trials, by number.
    #[must_use]
    pub fn trials(&self) -> &[Trial] {
        self.study.trials()
    }

    /// The study's specification.
    #[must_use]
    pub fn spec(&self) -> &StudySpec {
        self.study.spec()
    }

    /// Takes a record into the study, and keeps it for the store.
    fn record(&mut self, record: Record) {
        self.study.apply(&record);
        self.records.push(record);
    }

    fn running(&self, trial: u32) -> Result<&Trial, TellError> {
        let found =
            TrialId::new(trial).and_then(|id| self.study.trial(id)).ok_or(TellError::Unknown(trial))?;
        match found.outcome() {
            Some(outcome) => Err(TellError::Over(found.id, outcome.clone())),
            None => Ok(found),
        }
    }

    fn measure(&mut self, now: Timestamp, id: TrialId, step: Step, value: f64) {
        let wall_time = WallTime(now.as_duration().as_secs_f64());
        let Some(trial) = self.study.trial(id) else { return };
        let is_same = |m: &&Measurement| m.step == step && m.value.to_bits() == value.to_bits();
        let pass = match trial.curve.points().last().filter(is_same) {
            // It is reported once more.
            Some(known) => known.pass,
            None => trial.curve.pass_of_next(step),
        };
        let point = Point { step, wall_time, value: MetricValue::F64(value) };
        self.record(Record::Changed(id, vec![Change::Point { pass, point }]));
    }

    fn end(&mut self, now: Timestamp, id: TrialId, why_infeasible: Option<String>) {
        let Some(trial) = self.study.trial(id) else { return };
        let (goal, reduce) = (self.spec().goal, self.spec().reduce);
        let outcome = why_infeasible.map_or_else(|| trial.outcome_by_result(goal, reduce), Outcome::Rejected);
        self.record(Record::Ended(id, now, outcome));
    }
}
