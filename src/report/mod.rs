//! What a running job tells, as plain data, and its encoders: one a sink.
//!
//! Layer 6: may import layers 0, 3 and 4. Pure.

pub mod jsonl;
pub mod watch;

use serde::Serialize;

use crate::units::{MetricValue, RunName, Step, TrialId, serialize_f64};

/// Something that a job tells, in the order in which it happened.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(tag = "kind", rename_all = "snake_case")]
pub enum Report {
    /// The job began.
    JobStarted {
        /// Its name.
        job: String,
        /// The directory of its trials.
        job_dir: String,
        /// The objective's tag.
        metric_tag: String,
        /// `MAXIMIZE` or `MINIMIZE`.
        goal: &'static str,
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
        /// Names and values of its parameters.
        hyperparameters: Vec<(String, String)>,
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
        /// The trainer's clock, in seconds since the Unix epoch.
        #[serde(serialize_with = "serialize_f64")]
        wall_time: f64,
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
        /// Why, in numbers.
        reason: String,
    },
    /// A trial failed and is tried again.
    TrialRetried {
        /// The trial.
        trial: TrialId,
        /// How its last attempt ended, in words.
        outcome: String,
        /// The number of the attempt that follows.
        attempt: u32,
    },
    /// A trial reached its final state.
    TrialEnded {
        /// The trial.
        trial: TrialId,
        /// The state in the service's terms.
        state: &'static str,
        /// What happened, in words.
        outcome: String,
        /// Its result, where it has one.
        value: Option<MetricValue>,
        /// The step of its result.
        step: Option<Step>,
        /// The seconds from its start to its end.
        duration_s: Option<f64>,
    },
    /// Something that the user should know.
    Note {
        /// The trial that it is about; the whole job otherwise.
        trial: Option<TrialId>,
        /// What there is to say.
        text: String,
    },
    /// The job is being ended by the user.
    Cancelling,
    /// The job is over.
    JobEnded {
        /// Its name.
        job: String,
        /// The state in the service's terms.
        state: &'static str,
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
