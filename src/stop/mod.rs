//! When a trial is given up before its end: one rule a file behind one small trait.
//!
//! Layer 7. Pure. Every stop carries its reason in numbers.

mod decay;
mod median;
mod rungs;

use crate::study::{EarlyStopping, StopReason, StudySpec, Trial};

pub use decay::DecayCurve;
pub use median::MedianRule;
pub use rungs::Rungs;

/// An early-stopping rule.
pub trait StopRule: Send {
    /// Whether `trial`, which runs, is to be given up, judged by all trials of the study so far.
    fn judge(&self, spec: &StudySpec, trial: &Trial, trials: &[Trial]) -> Option<StopReason>;
}

/// The rule that a specification asks for.
#[must_use]
pub fn for_spec(spec: &StudySpec) -> Option<Box<dyn StopRule>> {
    Some(match spec.early_stopping {
        EarlyStopping::None => return None,
        EarlyStopping::Median { min_steps, min_trials } => Box::new(MedianRule { min_steps, min_trials }),
        EarlyStopping::DecayCurve { min_steps, min_trials } => Box::new(DecayCurve { min_steps, min_trials }),
        EarlyStopping::Rungs { min_steps, min_trials, reduction_factor, has_brackets } => {
            Box::new(Rungs { min_steps, min_trials, reduction_factor, has_brackets })
        }
    })
}
