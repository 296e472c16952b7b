//! What is done with jobs that nobody executes: they go on with more trials, they are ended, or they go.

use jiff::Timestamp;
use rusqlite::{OptionalExtension, params};

use super::{JobNumber, Store, StoreError, rows};
use crate::study::{FinalState, State};

/// The tables with rows of a job, those that refer to others first.
const OF_JOB: [&str; 7] =
    ["report", "metadata", "request", "measurement_detail", "measurement", "decision", "trial"];

impl Store {
    /// Has a job that is over go on with up to `max_trials` trials, and takes it for this process as [`Self::hold`] does.
    ///
    /// # Errors
    /// As of [`Self::hold`]; then nothing was changed.
    pub fn extend(&mut self, job: JobNumber, max_trials: u32) -> Result<(), StoreError> {
        self.hold_and(job, |transaction| {
            transaction.execute(
                "UPDATE job SET state = ?, max_trials = ?, message = NULL, ended_ms = NULL, deadline_ms = NULL
                 WHERE number = ?",
                params![State::Preparing.name(), max_trials, job.0],
            )?;
            rows::touch(transaction, job.0)
        })
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

    /// Takes a job out of the store, with all that belongs to it.
    ///
    /// # Errors
    /// As of [`Self::hold`]; then nothing was changed.
    pub fn delete_job(&mut self, job: JobNumber) -> Result<(), StoreError> {
        self.hold_and(job, |transaction| {
            for table in OF_JOB {
                transaction.execute(&format!("DELETE FROM {table} WHERE job = ?"), [job.0])?;
            }
            transaction.execute("DELETE FROM job WHERE number = ?", [job.0]).map(drop)
        })?;
        self.lease = None;
        Ok(())
    }

    /// Ends a study whose trials somebody else executes.
    ///
    /// # Errors
    /// As of [`Self::hold`]; then nothing was changed.
    pub fn end_study(&mut self, job: JobNumber, at: Timestamp) -> Result<(), StoreError> {
        let state = State::Ended(FinalState::Cancelled);
        self.hold_and(job, |transaction| {
            transaction.execute(
                "UPDATE job SET state = ?, ended_ms = ?, holder = NULL WHERE number = ?",
                params![state.name(), at.as_millisecond(), job.0],
            )?;
            rows::touch(transaction, job.0)
        })?;
        self.lease = None;
        Ok(())
    }
}
