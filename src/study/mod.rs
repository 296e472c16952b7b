//! What a tuning job is: its specification, its search space, its trials and its result.
//!
//! Layer 7: may import layers 0 and 4 and its own siblings ([`crate::suggest`], [`crate::stop`],
//! [`crate::controller`]). Pure; it knows no protobuf and no event file.

mod command;
pub mod config;
mod curve;
mod document;
mod ends;
mod excerpt;
mod gist;
pub mod launch;
pub mod launcher;
mod output;
mod peak;
mod reconciler;
mod record;
mod replay;
mod slots;
mod space;
mod state;
mod trial;

pub use crate::stop::EarlyStopping;
pub use crate::suggest::Algorithm;
use crate::units::Tag;

pub use command::{Appended, CommandFault, CommandLine};
pub use config::{Config, DEFAULT_METRIC_TAG, Problem, Severity};
pub use curve::{Curve, Measurement};
pub use ends::{UsualEnds, all_alike};
pub use excerpt::log_excerpt;
pub use gist::gist;
pub use output::{
    HyperparameterMetric, HyperparameterOutput, Ranking, TrainingOutput, rank, training_output,
    training_output_of,
};
pub use peak::peak_before_end;
pub use reconciler::Reconciler;
pub use record::{Decided, JobEnd, Record};
pub(crate) use record::{FOR_THIS, SAID_LAST};
pub use replay::{PriorJob, Study};
pub use slots::{Slot, Slots};
pub use space::{Assignment, Domain, ParamValue, Parameter, Scale, Space};
pub use state::{FinalState, State};
pub use trial::{
    Compared, Comparison, Exit, Outcome, Purpose, Replica, Role, Stage, StopDecision, StopReason, Trial,
};

/// Which way the metric is better.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Goal {
    /// Larger is better.
    #[default]
    Maximize,
    /// Smaller is better.
    Minimize,
}

impl Goal {
    /// Whether `a` is strictly better than `b`. NaN is never better; anything finite is better than
    /// what is not.
    #[must_use]
    pub fn is_better(self, a: f64, b: f64) -> bool {
        match (a.is_finite(), b.is_finite()) {
            (false, _) => false,
            (true, false) => true,
            (true, true) => match self {
                Self::Maximize => a > b,
                Self::Minimize => a < b,
            },
        }
    }

    /// The name in a configuration file.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Maximize => "MAXIMIZE",
            Self::Minimize => "MINIMIZE",
        }
    }
}

/// Which of a trial's values is its result.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Reduce {
    /// The value at the last step, as the service takes it.
    #[default]
    Last,
    /// The best finite value at any step.
    Best,
}

/// What is tuned, how long, and by which rules.
#[derive(Debug, Clone)]
pub struct StudySpec {
    /// Which way the metric is better.
    pub goal: Goal,
    /// The objective's tag, compared whole.
    pub metric_tag: Tag,
    /// How many trials there are, 1 or more.
    pub max_trials: u32,
    /// How many run at once at most, 1 or more.
    pub max_parallel_trials: u32,
    /// The job fails when so many trials have failed; 0 means never for that alone.
    pub max_failed_trials: u32,
    /// The search algorithm.
    pub algorithm: Algorithm,
    /// The early-stopping rule.
    pub early_stopping: EarlyStopping,
    /// Which value of a trial is its result.
    pub reduce: Reduce,
    /// The search space.
    pub space: Space,
    /// Makes the suggestions repeatable: same seed, same results, same suggestions.
    pub seed: u64,
}
