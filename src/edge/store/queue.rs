//! Jobs that wait for a process to execute them: QUEUED, then PREPARING by the process that took the job, then RUNNING.

use jiff::Timestamp;
use rusqlite::{TransactionBehavior, params};

use super::lease::{Claim, claim, ensure_held};
use super::{JobNumber, NewJob, Store, StoreError, rows};
use crate::study::State;

impl Store {
    /// Adds a job, in state QUEUED.
    ///
    /// # Errors
    /// As of [`Self::create_job`].
    pub fn queue_job(&mut self, job: &NewJob) -> Result<JobNumber, StoreError> {
        self.insert(job, State::Queued)
    }

    /// Takes the job that has waited longest for this process, as [`Self::hold`] does, and puts it into state
    /// PREPARING; `None` where none waits. A job whose process was killed while it prepared the job waits again.
    ///
    /// # Errors
    /// [`StoreError::Database`].
    pub fn take_queued(&mut self) -> Result<Option<(JobNumber, String)>, StoreError> {
        let path = &self.path;
        let fail = |error| StoreError::Database { path: path.clone(), error };
        let transaction =
            self.connection.transaction_with_behavior(TransactionBehavior::Immediate).map_err(fail)?;
        let waiting = || -> rusqlite::Result<Vec<(i64, String)>> {
            let mut query = transaction.prepare(
                "SELECT number, id FROM job WHERE state IN ('QUEUED', 'PREPARING') ORDER BY number",
            )?;
            query.query_map([], |row| Ok((row.get(0)?, row.get(1)?)))?.collect()
        };
        for (number, id) in waiting().map_err(fail)? {
            let Claim::Taken(lease) = claim(&transaction, JobNumber(number)).map_err(fail)? else { continue };
            transaction
                .execute(
                    "UPDATE job SET state = ? WHERE number = ?",
                    params![State::Preparing.name(), number],
                )
                .and_then(|_| rows::touch(&transaction, number))
                .map_err(fail)?;
            transaction.commit().map_err(fail)?;
            self.lease = Some(lease);
            return Ok(Some((JobNumber(number), id)));
        }
        Ok(None)
    }

    /// Puts a job that waits in the queue into state PREPARING; one in another state stays as it is.
    ///
    /// # Errors
    /// As of [`Self::write`].
    pub fn prepare(&mut self, job: JobNumber) -> Result<(), StoreError> {
        let path = &self.path;
        let fail = |error| StoreError::Database { path: path.clone(), error };
        let transaction = self.connection.transaction().map_err(fail)?;
        ensure_held(self.lease.as_ref(), &transaction, job, path)?;
        let prepare = || {
            let n_rows = transaction.execute(
                "UPDATE job SET state = ? WHERE number = ? AND state = 'QUEUED'",
                params![State::Preparing.name(), job.0],
            )?;
            if n_rows > 0 { rows::touch(&transaction, job.0) } else { Ok(()) }
        };
        prepare().and_then(|()| transaction.commit()).map_err(fail)
    }

    /// Puts a job that was taken from the queue, or that waits in it, into state RUNNING, with the time at which all is
    /// to be over; one in another state stays as it is.
    ///
    /// # Errors
    /// As of [`Self::write`].
    pub fn begin(
        &mut self,
        job: JobNumber,
        at: Timestamp,
        deadline: Option<Timestamp>,
    ) -> Result<(), StoreError> {
        let path = &self.path;
        let fail = |error| StoreError::Database { path: path.clone(), error };
        let transaction = self.connection.transaction().map_err(fail)?;
        ensure_held(self.lease.as_ref(), &transaction, job, path)?;
        let begin = || {
            let n_rows = transaction.execute(
                "UPDATE job SET state = ?, started_ms = coalesce(started_ms, ?), deadline_ms = ?
                 WHERE number = ? AND state IN ('QUEUED', 'PREPARING')",
                params![
                    State::Running.name(),
                    at.as_millisecond(),
                    deadline.map(Timestamp::as_millisecond),
                    job.0
                ],
            )?;
            if n_rows > 0 { rows::touch(&transaction, job.0) } else { Ok(()) }
        };
        begin().and_then(|()| transaction.commit()).map_err(fail)
    }
}
