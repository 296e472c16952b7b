//! Requests to the process that executes a job, whoever makes them.
//!
//! A request waits until the decision that answers it is stored: the transaction that stores the decision marks the
//! request as taken. A process that is killed between reading a request and deciding loses none; its successor
//! reads it again. A process of an older program reads no requests: they wait until the job is over.

use jiff::Timestamp;
use rusqlite::{Transaction, TransactionBehavior, params};

use super::rows::{self, Unreadable};
use super::{JobNumber, Store, StoreError};
use crate::study::{FinalState, State};
use crate::units::TrialId;

/// What is asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum RequestKind {
    /// To cancel the job.
    Cancel,
    /// To stop one trial of the job; what it has reported is its result.
    StopTrial(TrialId),
}

impl RequestKind {
    /// Its name in the store and the trial that it is about.
    fn columns(self) -> (&'static str, Option<u32>) {
        match self {
            Self::Cancel => (CANCEL, None),
            Self::StopTrial(trial) => (STOP, Some(trial.get())),
        }
    }
}

const CANCEL: &str = "cancel";
const STOP: &str = "stop";

/// A request that waits for its answer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Request {
    /// What is asked for.
    pub kind: RequestKind,
    /// Who asked, for people.
    pub asked_by: String,
    /// When.
    pub asked_at: Timestamp,
}

impl Store {
    /// Asks the process that executes the job `id`, or the next one that does, for something. One that waits already
    /// is not stored twice. A job that waits in the queue is cancelled at once. The answer is the job's state then.
    ///
    /// # Errors
    /// [`StoreError::NoJob`], [`StoreError::JobOver`], [`StoreError::NoTrial`], [`StoreError::TrialOver`] or
    /// [`StoreError::Database`]; then nothing was stored.
    pub fn request(
        &mut self,
        id: &str,
        kind: RequestKind,
        asked_by: &str,
        asked_at: Timestamp,
    ) -> Result<State, StoreError> {
        let path = &self.path;
        let fail = |error| StoreError::Database { path: path.clone(), error };
        let transaction =
            self.connection.transaction_with_behavior(TransactionBehavior::Immediate).map_err(fail)?;
        let (number, state) = rows::number_and_state(&transaction, id)
            .map_err(fail)?
            .ok_or_else(|| StoreError::NoJob(id.to_owned()))?;
        let job = || id.to_owned();
        if state.is_over() {
            return Err(StoreError::JobOver { job: job(), state });
        }
        if let RequestKind::StopTrial(trial) = kind {
            match rows::is_trial_over(&transaction, number, trial).map_err(fail)? {
                None => return Err(StoreError::NoTrial { job: job(), trial }),
                Some(true) => return Err(StoreError::TrialOver { job: job(), trial }),
                Some(false) => {}
            }
        }
        let store = || {
            let (name, trial) = kind.columns();
            transaction.execute(
                "INSERT INTO request (job, kind, trial, asked_by, asked_ms) SELECT ?1, ?2, ?3, ?4, ?5
                 WHERE NOT EXISTS (SELECT 1 FROM request
                                   WHERE job = ?1 AND kind = ?2 AND trial IS ?3 AND taken_ms IS NULL)",
                params![number, name, trial, asked_by, asked_at.as_millisecond()],
            )?;
            let ends = state == State::Queued && kind == RequestKind::Cancel;
            if ends {
                transaction.execute(
                    "UPDATE job SET state = ?, message = 'cancelled by the user', ended_ms = ? WHERE number = ?",
                    params![FinalState::Cancelled.name(), asked_at.as_millisecond(), number],
                )?;
                answer_all(&transaction, number, asked_at)?;
            }
            rows::touch(&transaction, number)?;
            Ok(if ends { State::Ended(FinalState::Cancelled) } else { state })
        };
        let state = store().map_err(fail)?;
        transaction.commit().map_err(fail)?;
        Ok(state)
    }

    /// The requests to a job that wait, in the order in which they were made. They go on waiting until the job's
    /// process has stored what it decided: [`Record::CancelDecided`] answers a [`RequestKind::Cancel`],
    /// [`Record::StopDecided`] and [`Record::Ended`] of a trial its [`RequestKind::StopTrial`], and
    /// [`Record::JobEnded`] all that are left.
    ///
    /// # Errors
    /// [`StoreError::Database`].
    ///
    /// [`Record::CancelDecided`]: crate::study::Record::CancelDecided
    /// [`Record::StopDecided`]: crate::study::Record::StopDecided
    /// [`Record::Ended`]: crate::study::Record::Ended
    /// [`Record::JobEnded`]: crate::study::Record::JobEnded
    pub fn requests(&self, job: JobNumber) -> Result<Vec<Request>, StoreError> {
        let read = || -> rusqlite::Result<Vec<Request>> {
            let mut query = self.connection.prepare_cached(
                "SELECT number, kind, trial, asked_by, asked_ms FROM request
                 WHERE job = ? AND taken_ms IS NULL ORDER BY number",
            )?;
            query.query_map([job.0], read_request)?.collect()
        };
        read().map_err(|e| self.fail(e))
    }
}

fn read_request(row: &rusqlite::Row<'_>) -> rusqlite::Result<Request> {
    let number: i64 = row.get("number")?;
    let of = || format!("request {number}");
    let (name, trial): (String, Option<u32>) = (row.get("kind")?, row.get("trial")?);
    let kind = match (&*name, trial.and_then(TrialId::new)) {
        (CANCEL, _) => RequestKind::Cancel,
        (STOP, Some(trial)) => RequestKind::StopTrial(trial),
        _ => return Err(Unreadable::error(of(), "kind", format!("unknown request `{name}`"))),
    };
    let asked_at = rows::time(row, "asked_ms", of)?.unwrap_or_default();
    Ok(Request { kind, asked_by: row.get("asked_by")?, asked_at })
}

pub(super) fn answer_cancel(transaction: &Transaction<'_>, job: i64, at: Timestamp) -> rusqlite::Result<()> {
    transaction
        .prepare_cached(
            "UPDATE request SET taken_ms = ? WHERE job = ? AND kind = 'cancel' AND taken_ms IS NULL",
        )?
        .execute(params![at.as_millisecond(), job])
        .map(drop)
}

pub(super) fn answer_stop(
    transaction: &Transaction<'_>,
    job: i64,
    trial: TrialId,
    at: Timestamp,
) -> rusqlite::Result<()> {
    transaction
        .prepare_cached(
            "UPDATE request SET taken_ms = ? WHERE job = ? AND kind = 'stop' AND trial = ? AND taken_ms IS NULL",
        )?
        .execute(params![at.as_millisecond(), job, trial.get()])
        .map(drop)
}

pub(super) fn answer_all(transaction: &Transaction<'_>, job: i64, at: Timestamp) -> rusqlite::Result<()> {
    transaction
        .prepare_cached("UPDATE request SET taken_ms = ? WHERE job = ? AND taken_ms IS NULL")?
        .execute(params![at.as_millisecond(), job])
        .map(drop)
}
