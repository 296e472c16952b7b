//! Ask and tell: a study whose trials somebody else runs.
//!
//! Layer 7. Pure: requests and the time go in, answers come out, and what a store is to keep is taken by
//! [`Tuner::take_records`] before an answer is given.

use jiff::Timestamp;

use crate::controller::Record;
use crate::series::{Change, Point};
use crate::stop::{self, StopRule};
use crate::study::{Assignment, Measurement, Outcome, Stage, StopReason, StudySpec, Trial, rank};
use crate::suggest::{self, Observation, Suggest};
use crate::units::{MetricValue, Step, TrialId, WallTime};

/// A study that is asked for trials and told of them.
pub struct Tuner {
    spec: StudySpec,
    suggest: Box<dyn Suggest>,
    stop_rule: Option<Box<dyn StopRule>>,
    trials: Vec<Trial>,
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
    /// A study with the trials that it had before, by number; none of a new one.
    #[must_use]
    pub fn new(spec: StudySpec, trials: Vec<Trial>) -> Self {
        let (suggest, stop_rule) = (suggest::for_spec(&spec), stop::for_spec(&spec));
        Self { spec, suggest, stop_rule, trials, records: Vec::new() }
    }

    /// What is to be kept of what was done since the last call, in order.
    pub fn take_records(&mut self) -> Vec<Record> {
        std::mem::take(&mut self.records)
    }

    /// A new trial; `None` where all trials were suggested, or every point of the space was tried.
    pub fn suggest(&mut self, now: Timestamp) -> Option<(TrialId, Assignment)> {
        // Those from elsewhere were never started.
        let n_suggested = self.trials.iter().filter(|trial| trial.started_at.is_some()).count();
        if n_suggested >= self.spec.max_trials as usize {
            return None;
        }
        let params = self.suggest.suggest(&self.spec, &Observation::of_all(&self.spec, &self.trials))?;
        let id = self.insert(params.clone());
        if let Some(trial) = self.trials.last_mut() {
            trial.stage = Stage::Running;
            trial.started_at = Some(now);
        }
        self.records.push(Record::Started(id, now, 1));
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
        let at = self.running(trial)?;
        self.measure(now, at, step, value);
        let (Some(rule), Some(trial)) = (&self.stop_rule, self.trials.get(at)) else { return Ok(None) };
        let reason = rule.judge(&self.spec, trial, &self.trials);
        let (id, is_first) = (trial.id, trial.stop.is_none());
        if let Some(trial) = self.trials.get_mut(at) {
            trial.stop = reason;
        }
        match reason {
            Some(reason) if is_first => self.records.push(Record::StopDecided(id, now, reason)),
            _ => {}
        }
        Ok(reason)
    }

    /// Ends a trial.
    ///
    /// # Errors
    /// The trial is unknown or has ended before.
    pub fn complete(&mut self, now: Timestamp, trial: u32, end: End) -> Result<(), TellError> {
        let at = self.running(trial)?;
        let why = match end {
            End::Infeasible(why) => Some(why),
            End::Value(None, _) => None,
            End::Value(Some(value), step) => {
                let last = self.trials.get(at).and_then(|trial| trial.curve.last().copied());
                // The result that was reported last needs no step of its own.
                let is_known = step.is_none() && last.is_some_and(|last| last.value == value);
                if !is_known {
                    let next = last.map_or(0, |last| last.step.0.saturating_add(1));
                    self.measure(now, at, step.unwrap_or(Step(next)), value);
                }
                None
            }
        };
        self.end(now, at, why);
        Ok(())
    }

    /// Takes a finished trial from elsewhere.
    ///
    /// # Errors
    /// It names other parameters than the study, or values that those cannot have.
    pub fn add(&mut self, now: Timestamp, params: Assignment, value: f64) -> Result<TrialId, TellError> {
        if let Some(why) = self.spec.space.refusal(&params) {
            return Err(TellError::OutsideSpace(why));
        }
        let at = self.trials.len();
        let id = self.insert(params);
        self.measure(now, at, Step(0), value);
        self.end(now, at, None);
        Ok(id)
    }

    /// The trial with the best result, where one has any.
    #[must_use]
    pub fn best(&self) -> Option<(&Trial, f64)> {
        let best = *rank(&self.spec, &self.trials).best.first()?;
        let trial = self.trials.iter().find(|trial| trial.id == best)?;
        Some((trial, trial.result(self.spec.goal, self.spec.reduce)?.value))
    }

    /// All trials, by number.
    #[must_use]
    pub fn trials(&self) -> &[Trial] {
        &self.trials
    }

    /// The study's specification.
    #[must_use]
    pub fn spec(&self) -> &StudySpec {
        &self.spec
    }

    fn insert(&mut self, params: Assignment) -> TrialId {
        let id = TrialId::after(self.trials.len() as u32);
        self.trials.push(Trial::suggested(id, params.clone()));
        self.records.push(Record::Suggested(id, params));
        id
    }

    fn running(&self, trial: u32) -> Result<usize, TellError> {
        let at = (trial as usize).checked_sub(1).filter(|at| *at < self.trials.len());
        let at = at.ok_or(TellError::Unknown(trial))?;
        match self.trials.get(at).and_then(|trial| Some((trial.id, trial.outcome()?))) {
            Some((id, outcome)) => Err(TellError::Over(id, outcome.clone())),
            None => Ok(at),
        }
    }

    fn measure(&mut self, now: Timestamp, at: usize, step: Step, value: f64) {
        let wall_time = WallTime(now.as_duration().as_secs_f64());
        if let Some(trial) = self.trials.get_mut(at) {
            let is_same = |m: &&Measurement| m.step == step && m.value.to_bits() == value.to_bits();
            let pass = match trial.curve.points().last().filter(is_same) {
                // It is reported once more.
                Some(known) => known.pass,
                None => trial.curve.pass_of_next(step),
            };
            trial.curve.insert(Measurement { pass, step, value, wall_time });
            let point = Point { step, wall_time, value: MetricValue::F64(value) };
            self.records.push(Record::Changed(trial.id, vec![Change::Point { pass, point }]));
        }
    }

    fn end(&mut self, now: Timestamp, at: usize, why_infeasible: Option<String>) {
        let (goal, reduce) = (self.spec.goal, self.spec.reduce);
        let Some(trial) = self.trials.get_mut(at) else { return };
        let is_finite = trial.result(goal, reduce).map(|m| m.value.is_finite());
        let outcome = match (why_infeasible, is_finite) {
            (Some(why), _) => Outcome::Rejected(why),
            (None, Some(true)) if trial.stop.is_some() => Outcome::StoppedEarly,
            (None, Some(true)) => Outcome::Succeeded,
            (None, Some(false)) => Outcome::Infeasible,
            (None, None) => Outcome::NoMetric,
        };
        trial.ended_at = Some(now);
        trial.stage = Stage::Ended(outcome.clone());
        self.records.push(Record::Ended(trial.id, now, outcome));
    }
}
