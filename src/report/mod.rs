//! What happens in a job and what a watcher delivers, as plain data, and its encoders.
//!
//! Layer 7: may import layers 0 and 4 and the study. Pure.

pub mod jsonl;
mod record;
pub mod reported;
pub mod watch;

use jiff::Timestamp;
use serde::{Serialize, Serializer};

use crate::study::{Assignment, FinalState, Goal, Outcome, StopReason};
use crate::units::{MetricValue, RunName, Step, Tag, TrialId, WallTime};

pub use record::events_of;

/// Something that happened in a job.
#[derive(Debug, Clone, PartialEq)]
pub struct JobEvent {
    /// When it happened, by the clock of the job's process.
    pub at: Timestamp,
    /// What happened.
    pub kind: JobEventKind,
}

/// What can happen in a job. Events come in the order in which they happen.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(tag = "kind", rename_all = "snake_case")]
pub enum JobEventKind {
    /// The job began, or was resumed.
    JobStarted {
        /// Its name.
        job: String,
        /// The directory of its trials.
        job_dir: String,
        /// The objective's tag.
        metric_tag: Tag,
        /// Which way the metric is better.
        #[serde(serialize_with = "goal_name")]
        goal: Goal,
        /// How many trials there will be at most.
        max_trials: u32,
        /// The seed of its suggestions.
        seed: u64,
    },
    /// An attempt of a trial was started.
    TrialStarted {
        /// The trial.
        trial: TrialId,
        /// Which attempt, from 1.
        attempt: u32,
        /// Its parameters.
        hyperparameters: Assignment,
    },
    /// A value of a trial's objective.
    Point {
        /// The trial.
        trial: TrialId,
        /// The pass over the steps, from 1.
        #[serde(skip_serializing_if = "is_first")]
        pass: u32,
        /// The step.
        step: Step,
        /// The trainer's clock.
        #[serde(serialize_with = "seconds")]
        wall_time: WallTime,
        /// The value; NaN and infinities as strings.
        value: MetricValue,
    },
    /// The points of a trial that follow come from this run directory; those before are void.
    Source {
        /// The trial.
        trial: TrialId,
        /// The run directory.
        run: RunName,
    },
    /// Points of a trial from this step of this pass on are void; those that follow replace them.
    Rewind {
        /// The trial.
        trial: TrialId,
        /// The pass over the steps, from 1.
        #[serde(skip_serializing_if = "is_first")]
        pass: u32,
        /// The first void step.
        from_step: Step,
    },
    /// A trial is given up early.
    StopDecided {
        /// The trial.
        trial: TrialId,
        /// Why; serialized in words.
        #[serde(serialize_with = "words")]
        reason: StopReason,
    },
    /// A trial failed and is tried again.
    TrialRetried {
        /// The trial.
        trial: TrialId,
        /// How its last attempt ended; serialized in words.
        #[serde(serialize_with = "words")]
        outcome: Outcome,
        /// The number of the attempt that follows.
        attempt: u32,
    },
    /// A trial reached its final state.
    TrialEnded {
        /// The trial.
        trial: TrialId,
        /// The state that the service has for the outcome.
        state: FinalState,
        /// How it ended; serialized in words.
        #[serde(serialize_with = "words")]
        outcome: Outcome,
        /// Its result, where it has one.
        value: Option<MetricValue>,
        /// The step of its result.
        step: Option<Step>,
        /// The seconds from its start to its end.
        duration_s: Option<f64>,
    },
    /// A note or a warning for the user.
    Note {
        /// The trial that it is about; the whole job otherwise.
        trial: Option<TrialId>,
        /// The text.
        text: String,
    },
    /// The job is being ended by the user.
    Cancelling,
    /// The job is over.
    JobEnded {
        /// Its name.
        job: String,
        /// Its final state.
        state: FinalState,
        /// Why it failed or ended before its time.
        message: Option<String>,
        /// The trials with the best result, the recommended first.
        best: Vec<TrialId>,
        /// The best result.
        value: Option<MetricValue>,
    },
}

fn is_first(pass: &u32) -> bool {
    *pass <= 1
}

fn goal_name<S: Serializer>(goal: &Goal, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_str(goal.name())
}

fn seconds<S: Serializer>(time: &WallTime, serializer: S) -> Result<S::Ok, S::Error> {
    crate::units::serialize_f64(&time.0, serializer)
}

fn words<T: ToString, S: Serializer>(value: &T, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_str(&value.to_string())
}
