//! What the trials of a study say, as a search algorithm sees it.

use super::encode::Encoding;
use crate::study::{Assignment, Goal, Outcome, StudySpec, Trial};

/// Trials as rows of the encoded space, by trial number.
#[derive(Debug)]
pub(super) struct Known {
    /// Trials that are over.
    pub(super) finished: Vec<Finished>,
    /// Those that run.
    pub(super) pending: Vec<Vec<f64>>,
}

/// A trial that is over.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Finished {
    /// Where it is.
    pub(super) row: Vec<f64>,
    /// Its result, smaller is better; NaN of one that failed.
    pub(super) value: f64,
}

impl Known {
    /// Of `trials`. Those that say nothing of their point are left out: cancelled ones, and those that could not be started.
    pub(super) fn of(spec: &StudySpec, encoding: &Encoding, trials: &[Trial]) -> Self {
        let mut known = Self { finished: Vec::new(), pending: Vec::new() };
        for trial in trials {
            let Some(row) = encoding.encode(&trial.params) else { continue };
            match trial.outcome() {
                None => known.pending.push(row),
                // Nothing is known of their parameters: they end for what happened around them.
                Some(
                    Outcome::Cancelled
                    | Outcome::NotStarted(_)
                    | Outcome::LeftAtWork(_)
                    | Outcome::Preempted
                    | Outcome::Lost,
                ) => {}
                Some(outcome) => {
                    let result = trial.result(spec.goal, spec.reduce).filter(|_| outcome.is_success());
                    let value = result.map_or(f64::NAN, |m| m.value);
                    let value = if spec.goal == Goal::Maximize { -value } else { value };
                    known.finished.push(Finished { row, value });
                }
            }
        }
        known
    }

    /// Whether at least two different results are known.
    pub(super) fn is_telling(&self) -> bool {
        let mut values = self.finished.iter().map(|f| f.value).filter(|v| v.is_finite());
        values.next().is_some_and(|first| values.any(|v| v != first))
    }
}

/// Whether a point was a trial already.
pub(super) fn is_taken(trials: &[Trial], point: &Assignment) -> bool {
    trials.iter().any(|trial| trial.params == *point)
}
