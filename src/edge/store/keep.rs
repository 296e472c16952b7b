//! What is done with jobs that are over: they go on with more trials, or they go.

use jiff::Timestamp;
use rusqlite::{OptionalExtension, Transaction, TransactionBehavior, params};

use super::lease::{Claim, claim};
use super::{JobNumber, Store, StoreError, rows};
use crate::study::State;

/// The tables with rows of a job, those that refer to others first.
const OF_JOB: [&str; 7] =
    ["report", "metadata", "request", "measurement_detail", "measurement", "decision", "trial"];

impl Store {
    /// Has a job that is over go on with up to `max_trials` trials, and takes it for this process as [`Self::hold`] does.
    ///
    /// # Errors
    /// [`StoreError::Held`], where a process took it meanwhile; or [`StoreError::Database`]. Then nothing was changed.
    pub fn extend(&mut self, job: JobNumber, max_trials: u32) -> Result<(), StoreError> {
        let path = &self.path;
        let fail = |error| StoreError::Database { path: path.clone(), error };
        let transaction =
            self.connection.transaction_with_behavior(TransactionBehavior::Immediate).map_err(fail)?;
        let lease = match claim(&transaction, job).map_err(fail)? {
            Claim::Taken(lease) => lease,
            Claim::Held { job, holder, heard_of } => {
                return Err(StoreError::Held { job, holder: Box::new(holder), heard_of });
            }
        };
        transaction
            .execute(
                "UPDATE job SET state = ?, max_trials = ?, message = NULL, ended_ms = NULL, deadline_ms = NULL
                 WHERE number = ?",
                params![State::Preparing.name(), max_trials, job.0],
            )
            .and_then(|_| rows::touch(&transaction, job.0))
            .and_then(|()| transaction.commit())
            .map_err(fail)?;
        self.lease = Some(lease);
        Ok(())
    }

    /// The job that continues this one by `resumePreviousJobId`, where there is one: the newest of several.
    ///
    /// # Errors
    /// [`StoreError::Database`].
    pub fn continued_by(&self, id: &str) -> Result<Option<String>, StoreError> {
        let find = "SELECT id FROM job WHERE previous = ? ORDER BY number DESC LIMIT 1";
        let found = self.connection.query_row(find, [id], |row| row.get(0));
        found.optional().map_err(|e| self.fail(e))
    }

    /// Takes a job that no process has out of the store, with all that belongs to it.
    ///
    /// # Errors
    /// [`StoreError::Held`], or [`StoreError::Database`]. Then nothing was changed.
    pub fn delete_job(&mut self, job: JobNumber) -> Result<(), StoreError> {
        let path = &self.path;
        let fail = |error| StoreError::Database { path: path.clone(), error };
        let transaction =
            self.connection.transaction_with_behavior(TransactionBehavior::Immediate).map_err(fail)?;
        if let Claim::Held { job, holder, heard_of } = claim(&transaction, job).map_err(fail)? {
            return Err(StoreError::Held { job, holder: Box::new(holder), heard_of });
        }
        delete(&transaction, job).and_then(|()| transaction.commit()).map_err(fail)
    }

    /// Ends a study whose trials somebody else executes, unless a process answers for it.
    ///
    /// # Errors
    /// As of [`Self::delete_job`].
    pub fn end_study(&mut self, job: JobNumber, at: Timestamp) -> Result<(), StoreError> {
        let path = &self.path;
        let fail = |error| StoreError::Database { path: path.clone(), error };
        let transaction =
            self.connection.transaction_with_behavior(TransactionBehavior::Immediate).map_err(fail)?;
        if let Claim::Held { job, holder, heard_of } = claim(&transaction, job).map_err(fail)? {
            return Err(StoreError::Held { job, holder: Box::new(holder), heard_of });
        }
        let state = State::Ended(crate::study::FinalState::Cancelled);
        transaction
            .execute(
                "UPDATE job SET state = ?, ended_ms = ?, holder = NULL WHERE number = ?",
                params![state.name(), at.as_millisecond(), job.0],
            )
            .and_then(|_| rows::touch(&transaction, job.0))
            .and_then(|()| transaction.commit())
            .map_err(fail)
    }
}

fn delete(transaction: &Transaction<'_>, job: JobNumber) -> rusqlite::Result<()> {
    for table in OF_JOB {
        transaction.execute(&format!("DELETE FROM {table} WHERE job = ?"), [job.0])?;
    }
    transaction.execute("DELETE FROM job WHERE number = ?", [job.0]).map(drop)
}
