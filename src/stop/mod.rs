//! When a trial is given up before its end: one rule a file behind one small trait.
//!
//! Layer 7. Pure. Every stop carries its reason in numbers.

mod median;

use crate::study::{EarlyStopping, StopReason, StudySpec, Trial};

pub use median::MedianRule;

/// An early-stopping rule.
pub trait StopRule: Send {
    /// Whether `trial`, which runs, is to be given up, judged by all trials of the study so far.
    fn judge(&self, spec: &StudySpec, trial: &Trial, trials: &[Trial]) -> Option<StopReason>;
}

/// The rule that a specification asks for.
#[must_use]
pub fn for_spec(spec: &StudySpec) -> Option<Box<dyn StopRule>> {
    match spec.early_stopping {
        EarlyStopping::None => None,
        EarlyStopping::Median { min_steps, min_trials } => {
            Some(Box::new(MedianRule { min_steps, min_trials }))
        }
    }
}
