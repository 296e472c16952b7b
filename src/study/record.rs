//! What a store keeps of a job's course: what was decided and what happened, in order.
//!
//! How records become trials again is said in one place: [`Trial::apply`] for one trial, [`super::Study::apply`] for all.

use jiff::Timestamp;

use super::{Assignment, FinalState, Outcome, Stage, StopDecision, Trial};
use crate::limits::{LONGEST_RETRY_PAUSE, RETRY_PAUSE};
use crate::objective::Change;
use crate::units::TrialId;

/// One entry of a job's course.
#[derive(Debug, Clone, PartialEq)]
pub enum Record {
    /// A trial was suggested.
    Suggested(TrialId, Assignment),
    /// An attempt of a trial, counted from 1, was started.
    Started(TrialId, Timestamp, u32),
    /// A trial's objective changed.
    Changed(TrialId, Vec<Change>),
    /// A trial is given up early.
    StopDecided(TrialId, Timestamp, StopDecision),
    /// An attempt of a trial ended like this, and another one, of this number, follows.
    Retried(TrialId, Timestamp, Outcome, u32),
    /// A trial reached its final state.
    Ended(TrialId, Timestamp, Outcome),
    /// The job is being cancelled.
    CancelDecided(Timestamp),
    /// The job has failed, for this reason: its trials are stopped.
    FailDecided(Timestamp, String),
    /// The job is over.
    JobEnded(Timestamp, JobEnd),
}

impl Trial {
    /// Takes a record of this trial, all those before it having been taken. What begins a trial, [`Record::Suggested`],
    /// changes nothing here, and neither does a record of the job.
    pub fn apply(&mut self, record: &Record) {
        match record {
            Record::Started(_, at, attempt) => {
                self.started_at.get_or_insert(*at);
                (self.attempt_at, self.attempt) = (Some(*at), *attempt);
                if matches!(self.stage, Stage::Suggested | Stage::Waiting(..)) {
                    self.stage = Stage::Running;
                }
            }
            Record::Changed(_, changes) => self.curve.apply(changes),
            Record::StopDecided(_, _, decision) => self.stop = Some(decision.clone()),
            Record::Retried(_, at, outcome, attempt) => {
                (self.attempt_at, self.ended_at, self.attempt) = (None, None, *attempt);
                self.stage = Stage::Waiting(retry_at(*at, *attempt), outcome.clone());
            }
            Record::Ended(_, at, outcome) => {
                (self.ended_at, self.stage) = (Some(*at), Stage::Ended(outcome.clone()));
            }
            Record::Suggested(..)
            | Record::CancelDecided(_)
            | Record::FailDecided(..)
            | Record::JobEnded(..) => {}
        }
    }
}

/// When an attempt, 2 or more, is started where the one before it ended at this time.
fn retry_at(ended_at: Timestamp, attempt: u32) -> Timestamp {
    let pause = RETRY_PAUSE.saturating_mul(1 << attempt.saturating_sub(2).min(16)).min(LONGEST_RETRY_PAUSE);
    ended_at.checked_add(pause).unwrap_or(Timestamp::MAX)
}

/// What was decided of a job before its end.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub enum Decided {
    /// Nothing: it goes on.
    #[default]
    Nothing,
    /// The user ended it.
    Cancel,
    /// It has failed, for this reason.
    Fail(String),
}

/// How a job ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct JobEnd {
    /// The state.
    pub state: FinalState,
    /// What the user should know: why it failed, or why it ended before `maxTrials`.
    pub message: Option<String>,
}

/// What stands between the reason of a failed job and what its trainer said.
pub(crate) const SAID_LAST: &str = "; it said last:\n";

/// What stands before a reason that a note of the trial has told.
pub(crate) const FOR_THIS: &str = ":\n";

impl JobEnd {
    /// The message without what the trainer said last, or why it gave no metric, for whoever was told that already.
    #[must_use]
    pub fn headline(&self) -> Option<&str> {
        let message = self.message.as_deref()?;
        message.split(SAID_LAST).next()?.split(FOR_THIS).next()
    }
}
