//! One trial, from its suggestion to its one final state.
//!
//! ```text
//!   Suggested ──▶ Running ──▶ Stopping ──▶ Killing
//!     ▲ │                        │   grace    │
//!     │ │       a decision, or   │   is over  │
//!     │ │       its own end      ▼            ▼  its process tree is gone and its files are read
//!     │ └──────────────────▶ Ended(outcome) ◀─┘
//!     │  it could not            │
//!     │  be started              │ it failed, and may be tried again
//!     └──────── Waiting ◀────────┘
//! ```

use std::fmt;
use std::sync::Arc;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use super::{Assignment, Curve, FinalState, Goal, Measurement, Reduce, State};
use crate::units::{Step, TrialId, shortest};

/// A trial of a study.
#[derive(Debug, Clone)]
pub struct Trial {
    /// Its number.
    pub id: TrialId,
    /// Its parameters.
    pub params: Assignment,
    /// Where it stands.
    pub stage: Stage,
    /// What it has reported.
    pub curve: Curve,
    /// Which attempt this is, from 1: a trial that failed may be tried again.
    pub attempt: u32,
    /// When its first attempt was started.
    pub started_at: Option<Timestamp>,
    /// When this attempt was started.
    pub attempt_at: Option<Timestamp>,
    /// When its processes were gone and its files read.
    pub ended_at: Option<Timestamp>,
    /// Why it was given up early, where it was.
    pub stop: Option<StopDecision>,
}

/// Where a trial stands.
#[derive(Debug, Clone, PartialEq)]
pub enum Stage {
    /// It has parameters and is about to start.
    Suggested,
    /// Its process runs.
    Running,
    /// It was told to stop; it is killed at this time.
    Stopping(Timestamp, Purpose),
    /// It was killed so many times; so again at this time, should it still be there.
    Killing(Timestamp, Purpose, u32),
    /// Its last attempt ended like this; the next one is started at this time.
    Waiting(Timestamp, Outcome),
    /// It is over.
    Ended(Outcome),
}

/// Why a trial is being stopped.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Purpose {
    /// The early-stopping rule gave it up.
    EarlyStop,
    /// The job is cancelled or has failed.
    Cancel,
    /// Its main process has ended by itself, in this way; what is left of its tree goes too.
    Leave(Exit),
    /// Another replica of it failed, in this way.
    ReplicaFailed(Replica, Exit),
}

/// What a replica of a trial does in its cluster, as the service named it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Role {
    /// The main replica: the trial ends with it.
    Master,
    /// The main replica, as newer trainers call it.
    Chief,
    /// A worker.
    Worker,
    /// A parameter server.
    Ps,
    /// One that evaluates checkpoints.
    Evaluator,
}

impl Role {
    /// The name in `TF_CONFIG`.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Master => "master",
            Self::Chief => "chief",
            Self::Worker => "worker",
            Self::Ps => "ps",
            Self::Evaluator => "evaluator",
        }
    }

    /// Whether the trial ends with it.
    #[must_use]
    pub fn is_main(self) -> bool {
        matches!(self, Self::Master | Self::Chief)
    }
}

/// One process of a trial's cluster.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Replica {
    /// What it does.
    pub role: Role,
    /// Its number among those that do the same, from 0.
    pub index: u32,
}

/// `worker-0`
impl fmt::Display for Replica {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}-{}", self.role.name(), self.index)
    }
}

/// How a process ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Exit {
    /// By itself, with this code.
    Code(i32),
    /// By this signal.
    Signal(i32),
    /// Killed by the kernel, for the memory that it may use was used up.
    OutOfMemory,
    /// Nobody knows: what waited for it is gone too, as after a restart of the machine.
    Lost,
}

impl Exit {
    /// Whether somebody else told it to end, as a machine does that is about to be taken away.
    #[must_use]
    pub fn is_preemption(self) -> bool {
        // 143 is what a shell gives for a command that TERM, 15, ended.
        matches!(self, Self::Signal(15) | Self::Code(143))
    }
}

impl fmt::Display for Exit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Code(code) => write!(f, "exit code {code}"),
            Self::Signal(signal) => {
                let name = match signal {
                    4 => " (SIGILL)",
                    6 => " (SIGABRT)",
                    7 => " (SIGBUS)",
                    8 => " (SIGFPE)",
                    9 => " (SIGKILL)",
                    11 => " (SIGSEGV)",
                    15 => " (SIGTERM)",
                    _ => "",
                };
                write!(f, "killed by signal {signal}{name}")
            }
            Self::OutOfMemory => f.write_str("killed by the kernel: out of memory"),
            Self::Lost => f.write_str("its end was not seen"),
        }
    }
}

/// The one final state of a trial.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Outcome {
    /// It ended by itself with a finite result.
    Succeeded,
    /// It was given up early, with a finite result so far.
    StoppedEarly,
    /// Somebody had it given up, with a finite result so far.
    StoppedByRequest,
    /// Its trainer failed.
    Failed(Exit),
    /// A replica other than the main one failed.
    ReplicaFailed(Replica, Exit),
    /// Its trainer was told to end by somebody else, as on a machine that is about to be taken away.
    Preempted,
    /// It vanished, and nobody saw how: the machine was restarted, or what waited for it was killed.
    Lost,
    /// Its trainer could not be started.
    NotStarted(String),
    /// Its result is NaN or infinite.
    Infeasible,
    /// Whoever ran it found that its parameters cannot be tried, for this reason.
    Rejected(String),
    /// Its command ended well while these processes, which it had started, were still at work.
    LeftAtWork(String),
    /// It ended well but no value of the objective was found.
    NoMetric,
    /// The job ended before it did.
    Cancelled,
}

impl Outcome {
    /// The state that the service has for it.
    #[must_use]
    pub fn state(&self) -> FinalState {
        match self {
            Self::Succeeded | Self::StoppedEarly | Self::StoppedByRequest => FinalState::Succeeded,
            Self::Failed(_)
            | Self::ReplicaFailed(..)
            | Self::Preempted
            | Self::Lost
            | Self::NotStarted(_)
            | Self::Infeasible
            | Self::Rejected(_)
            | Self::LeftAtWork(_)
            | Self::NoMetric => FinalState::Failed,
            Self::Cancelled => FinalState::Cancelled,
        }
    }

    /// Whether it gave a result that can be the best.
    #[must_use]
    pub fn is_success(&self) -> bool {
        self.state() == FinalState::Succeeded
    }

    /// Whether it counts as a failed trial.
    #[must_use]
    pub fn is_failure(&self) -> bool {
        self.state() == FinalState::Failed
    }
}

impl fmt::Display for Outcome {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Succeeded => f.write_str("succeeded"),
            Self::StoppedEarly => f.write_str("stopped early"),
            Self::StoppedByRequest => f.write_str("stopped by request"),
            Self::Failed(exit) => write!(f, "failed: {exit}"),
            Self::ReplicaFailed(replica, exit) => write!(f, "failed: {replica}: {exit}"),
            Self::Preempted => f.write_str("preempted: somebody else told it to end"),
            Self::Lost => f.write_str("lost: it vanished, and its end was not seen"),
            Self::NotStarted(why) => write!(f, "not started: {why}"),
            Self::Infeasible => f.write_str("infeasible: its result is not finite"),
            Self::Rejected(why) => write!(f, "infeasible: {why}"),
            Self::LeftAtWork(named) => {
                write!(f, "failed: its command ended while {named}, which it started, still ran")
            }
            Self::NoMetric => f.write_str("failed: no value of the metric was found"),
            Self::Cancelled => f.write_str("cancelled"),
        }
    }
}

/// Why a trial was stopped early, in numbers.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(tag = "rule", rename_all = "snake_case")]
pub enum StopReason {
    /// The median rule; see [`crate::stop::MedianRule`].
    Median {
        /// The trial's last step.
        step: i64,
        /// The pass over the steps that it belongs to, from 0.
        #[serde(default)]
        pass: u32,
        /// Its best value up to then.
        best: f64,
        /// The median of the others' running averages up to that step.
        median: f64,
        /// How many others there were.
        n_trials: u32,
    },
    /// The learning-curve rule; see [`crate::stop::DecayCurve`].
    DecayCurve {
        /// The trial's last step.
        step: i64,
        /// The pass over the steps that it belongs to, from 0.
        #[serde(default)]
        pass: u32,
        /// Its value there.
        value: f64,
        /// What its result was expected to be.
        predicted: f64,
        /// The standard deviation of that, above 0.
        deviation: f64,
        /// The best result of a finished trial.
        best: f64,
        /// Its chance to be better, 0 to 1.
        chance: f64,
        /// How many finished trials taught it.
        n_trials: u32,
    },
    /// ASHA and Hyperband; see [`crate::stop::Rungs`].
    Rung {
        /// The trial's last step.
        step: i64,
        /// The pass over the steps that it belongs to, from 0.
        #[serde(default)]
        pass: u32,
        /// The global step of the rung.
        rung: i64,
        /// Its best value up to the rung.
        value: f64,
        /// How many others were better there.
        n_better: u32,
        /// How many go on from there.
        n_going_on: u32,
        /// How many have come there.
        n_trials: u32,
    },
    /// Somebody asked for it.
    Request,
    /// Its time, or that of the whole job, was over.
    TimeLimit {
        /// How long it had run, in seconds.
        ran_s: f64,
        /// How long a trial may run, in seconds; `None`: the job's time was over.
        limit_s: Option<f64>,
    },
}

/// A decision to give a trial up early.
///
/// In JSON it is the reason with `compared` beside its numbers.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct StopDecision {
    /// Why.
    #[serde(flatten)]
    pub reason: StopReason,
    /// What a rule compared the trial with. `None` of a reason that compares with none, and of what a program before this
    /// field decided.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub compared: Option<Comparison>,
}

/// The trials that a stop rule compared one with.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Comparison {
    /// The global step at which they were compared; see [`Curve`].
    pub step: i64,
    /// Each of them, by number.
    pub trials: Vec<Compared>,
}

/// A trial that another one was compared with.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Compared {
    /// Its number.
    pub trial: u32,
    /// Its job, where that is one that the job of the other trial continues.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub job: Option<Arc<str>>,
    /// What it had at that step, finite, in the unit of the metric: by the median rule the average of its values up to it, by
    /// the learning-curve rule its value there, by rungs its best value up to it. `None` where only its result
    /// counted.
    pub value: Option<f64>,
}

impl From<StopReason> for StopDecision {
    /// A decision that compares with no trial.
    fn from(reason: StopReason) -> Self {
        Self { reason, compared: None }
    }
}

impl StopDecision {
    /// A decision by comparison with these trials, each with its value, at this global step.
    pub(crate) fn by_comparison<'t>(
        reason: StopReason,
        step: Step,
        trials: impl IntoIterator<Item = (&'t Trial, Option<f64>)>,
    ) -> Self {
        let compared = |(trial, value): (&Trial, Option<f64>)| Compared {
            trial: trial.id.get(),
            job: None,
            value: value.filter(|value| value.is_finite()),
        };
        let trials = trials.into_iter().map(compared).collect();
        Self { reason, compared: Some(Comparison { step: step.0, trials }) }
    }
}

impl fmt::Display for StopReason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Median { step, pass, best, median, n_trials } => write!(
                f,
                "best value {} up to step {step}{} is worse than {}, the median of {n_trials} finished trials' averages",
                short(*best),
                of_pass(*pass),
                short(*median),
            ),
            Self::DecayCurve { step, pass, value, predicted, deviation, best, chance, n_trials } => write!(
                f,
                "value {} at step {step}{} should end at {} ± {}: a chance of {} to beat {} (by {n_trials} finished curves)",
                short(*value),
                of_pass(*pass),
                short(*predicted),
                shortest(format!("{deviation:.1e}").parse().unwrap_or(*deviation)),
                percent(*chance),
                short(*best),
            ),
            Self::Rung { step: _, pass, rung, value, n_better, n_going_on, n_trials } => write!(
                f,
                "best value {} up to step {rung}{} is number {} of the {n_trials} that came there, of which {n_going_on} go on",
                short(*value),
                if *pass > 0 { ", counted over all passes," } else { "" },
                n_better + 1,
            ),
            Self::Request => f.write_str("somebody asked for it"),
            Self::TimeLimit { ran_s, limit_s: Some(limit) } => {
                write!(f, "it ran {} s of the {} s that a trial may run", short(*ran_s), short(*limit))
            }
            Self::TimeLimit { ran_s, limit_s: None } => {
                write!(f, "the job's time was over when it had run {} s", short(*ran_s))
            }
        }
    }
}

/// Which pass a step belongs to, where that is not the first.
fn of_pass(pass: u32) -> String {
    if pass > 0 { format!(" of pass {}", pass + 1) } else { String::new() }
}

/// Five significant digits.
fn short(value: f64) -> String {
    shortest(format!("{value:.4e}").parse().unwrap_or(value))
}

fn percent(share: f64) -> String {
    if share < 0.001 { "below 0.1 %".to_owned() } else { format!("{:.1} %", 100.0 * share) }
}

impl Trial {
    /// A trial that has parameters and nothing else.
    #[must_use]
    pub fn suggested(id: TrialId, params: Assignment) -> Self {
        Self {
            id,
            params,
            stage: Stage::Suggested,
            curve: Curve::default(),
            attempt: 1,
            started_at: None,
            attempt_at: None,
            ended_at: None,
            stop: None,
        }
    }

    /// Whether it may have processes: it holds a slot.
    #[must_use]
    pub fn is_active(&self) -> bool {
        self.outcome().is_none()
    }

    /// Its final state, once it has one.
    #[must_use]
    pub fn outcome(&self) -> Option<&Outcome> {
        match &self.stage {
            Stage::Ended(outcome) => Some(outcome),
            Stage::Suggested
            | Stage::Running
            | Stage::Stopping(..)
            | Stage::Killing(..)
            | Stage::Waiting(..) => None,
        }
    }

    /// The state that the service has for it.
    #[must_use]
    pub fn state(&self) -> State {
        match self.outcome() {
            Some(outcome) => State::Ended(outcome.state()),
            None if self.started_at.is_some() => State::Running,
            None => State::Preparing,
        }
    }

    /// Its result so far: the value at the last step, or the best one.
    #[must_use]
    pub fn result(&self, goal: Goal, reduce: Reduce) -> Option<&Measurement> {
        match reduce {
            Reduce::Last => self.curve.last(),
            Reduce::Best => self.curve.best(goal).or(self.curve.last()),
        }
    }

    /// Its result, once it is over; a failed trial keeps what it reported.
    #[must_use]
    pub fn final_measurement(&self, goal: Goal, reduce: Reduce) -> Option<&Measurement> {
        self.outcome()?;
        self.result(goal, reduce)
    }

    /// The outcome of a trial that ended as it should, by itself or given up early: a success where its result is finite.
    #[must_use]
    pub fn outcome_by_result(&self, goal: Goal, reduce: Reduce) -> Outcome {
        match self.result(goal, reduce).map(|m| m.value.is_finite()) {
            Some(true) => match self.stop.as_ref().map(|decision| decision.reason) {
                None => Outcome::Succeeded,
                Some(StopReason::Request) => Outcome::StoppedByRequest,
                Some(
                    StopReason::Median { .. }
                    | StopReason::DecayCurve { .. }
                    | StopReason::Rung { .. }
                    | StopReason::TimeLimit { .. },
                ) => Outcome::StoppedEarly,
            },
            Some(false) => Outcome::Infeasible,
            None => Outcome::NoMetric,
        }
    }

    /// The seconds from its start to its end.
    #[must_use]
    pub fn duration_s(&self) -> Option<f64> {
        Some(self.ended_at?.duration_since(self.started_at?).as_secs_f64())
    }

    /// The seconds from the start of its last attempt to its end.
    #[must_use]
    pub fn attempt_duration_s(&self) -> Option<f64> {
        Some(self.ended_at?.duration_since(self.attempt_at?).as_secs_f64())
    }

    /// The pass over the steps that its last measurement belongs to, from 0.
    #[must_use]
    pub fn pass(&self) -> u32 {
        self.curve.last().map_or(0, |m| m.pass)
    }

    /// The step of its last measurement as it was written, where there is one.
    #[must_use]
    pub fn last_step(&self) -> Option<Step> {
        self.curve.last().map(|m| m.step)
    }
}
