//! Observations as rows of numbers.

use super::encode::Encoding;
use super::{Evidence, Observation};
use crate::study::{Assignment, Goal, StudySpec};

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
    /// Of these observations. Those that say nothing of their point are left out.
    pub(super) fn of(spec: &StudySpec, encoding: &Encoding, observations: &[Observation]) -> Self {
        let mut known = Self { finished: Vec::new(), pending: Vec::new() };
        for Observation { params, evidence } in observations {
            let Some(row) = encoding.encode(params) else { continue };
            let value = match *evidence {
                Evidence::Pending => {
                    known.pending.push(row);
                    continue;
                }
                Evidence::Nothing => continue,
                Evidence::Failed => f64::NAN,
                Evidence::Value(value) if spec.goal == Goal::Maximize => -value,
                Evidence::Value(value) => value,
            };
            known.finished.push(Finished { row, value });
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
pub(super) fn is_taken(observations: &[Observation], point: &Assignment) -> bool {
    observations.iter().any(|observation| observation.params == *point)
}
