//! What a service reads again and again: which jobs have changed, and of those no more than what is new.

use std::collections::BTreeMap;
use std::time::Duration;

use jiff::Timestamp;
use rusqlite::{OptionalExtension, Row, params};
use tfevents::series::Position;

use super::lease::holds;
use super::rows::{self, ENDS_OF_CURVES, Keep, NO_CURVES};
use super::{Etag, JobNumber, Store, StoreError, StoredJob};
use crate::edge::process_tree::ProcessIdentity;
use crate::study::{Measurement, State};
use crate::units::{Step, TrialId, WallTime};

/// A job without its configuration and its trials.
#[derive(Debug, Clone)]
pub struct JobHead {
    /// Its name.
    pub id: String,
    /// Its number in the store.
    pub number: JobNumber,
    /// Its revision.
    pub etag: Etag,
    /// Its state.
    pub state: State,
    /// When it was created.
    pub created_at: Timestamp,
    /// The resource that it belongs to.
    pub owner: Option<String>,
    /// Whether it is a study whose trials somebody else executes.
    pub is_study: bool,
    /// The labels that were set; `None`: those of its configuration.
    pub labels: Option<BTreeMap<String, String>>,
    /// The process that runs it, or ran it and was killed; with it when that was last heard of.
    pub holder: Option<(ProcessIdentity, Timestamp)>,
}

impl JobHead {
    /// Whether a process runs it, as far as can be seen from here.
    #[must_use]
    pub fn is_held(&self) -> bool {
        self.holder.as_ref().is_some_and(|(holder, heard_of)| holds(holder, *heard_of))
    }
}

/// How many measurements of a trial stand up to a position, and what they add up to: both are the same where nothing
/// of them was replaced or voided, but for chance.
#[derive(Debug, Clone, Copy, PartialEq, Default)]
pub struct Tally {
    /// How many there are.
    pub n: u64,
    /// The sum of those that are numbers.
    pub sum: f64,
}

const HEAD: &str =
    "SELECT id, number, revision, state, created_ms, owner, job_dir = '' AS is_study, labels, holder,
                           heartbeat_ms FROM job";

impl Store {
    /// How long a statement of this store waits for another process's lock from now on.
    ///
    /// # Errors
    /// [`StoreError::Database`].
    pub fn wait_at_most(&self, time: Duration) -> Result<(), StoreError> {
        self.connection.busy_timeout(time).map_err(|e| self.fail(e))
    }

    /// A number that is another one after each change that somebody else made to the database. It tells nothing of
    /// changes by this store itself.
    ///
    /// # Errors
    /// [`StoreError::Database`].
    pub fn changes(&self) -> Result<i64, StoreError> {
        self.connection.query_row("PRAGMA data_version", [], |row| row.get(0)).map_err(|e| self.fail(e))
    }

    /// All jobs without their trials, the one first that was stored last, whatever its clock said. One whose row cannot be
    /// read is left out.
    ///
    /// # Errors
    /// [`StoreError::Database`].
    pub fn heads(&self) -> Result<Vec<JobHead>, StoreError> {
        let read = || -> rusqlite::Result<Vec<JobHead>> {
            let order = format!("{HEAD} ORDER BY number DESC");
            let mut query = self.connection.prepare_cached(&order)?;
            let rows = query.query_map([], |row| Ok(read_head(row).ok()))?;
            rows.filter_map(Result::transpose).collect()
        };
        read().map_err(|e| self.fail(e))
    }

    /// A job without its trials; `None` where there is none of that name.
    ///
    /// # Errors
    /// [`StoreError::Database`].
    pub fn head(&self, id: &str) -> Result<Option<JobHead>, StoreError> {
        let read = || -> rusqlite::Result<Option<JobHead>> {
            let named = format!("{HEAD} WHERE id = ?");
            self.connection.prepare_cached(&named)?.query_row([id], read_head).optional()
        };
        read().map_err(|e| self.fail(e))
    }

    /// A job and its trials without their measurements.
    ///
    /// # Errors
    /// [`StoreError::Database`].
    pub fn job_without_curves(&self, id: &str) -> Result<Option<StoredJob>, StoreError> {
        rows::read_job(&self.connection, id, NO_CURVES, Keep::All).map_err(|e| self.fail(e))
    }

    /// A job and its trials, with those of their measurements that can be a result; see [`Self::jobs`].
    ///
    /// # Errors
    /// [`StoreError::Database`].
    pub fn job_with_ends(&self, id: &str) -> Result<Option<StoredJob>, StoreError> {
        rows::read_job(&self.connection, id, ENDS_OF_CURVES, Keep::All).map_err(|e| self.fail(e))
    }

    /// The measurements of a trial behind a position, by position: the first `limit` of them.
    ///
    /// # Errors
    /// [`StoreError::Database`].
    pub fn measurements(
        &self,
        job: JobNumber,
        trial: TrialId,
        behind: Option<Position>,
        limit: usize,
    ) -> Result<Vec<Measurement>, StoreError> {
        // No pass is below 0.
        let (pass, step) = behind.map_or((-1, 0), |at| (i64::from(at.pass), at.step.0));
        let read = || -> rusqlite::Result<Vec<Measurement>> {
            let mut query = self.connection.prepare_cached(
                "SELECT pass, step, value, wall_time FROM measurement
                 WHERE job = ? AND trial = ? AND (pass, step) > (?, ?) ORDER BY pass, step LIMIT ?",
            )?;
            let limit = i64::try_from(limit).unwrap_or(i64::MAX);
            query
                .query_map(params![job.0, trial.get(), pass, step, limit], |row| {
                    let number = |at| row.get::<_, Option<f64>>(at).map(|v| v.unwrap_or(f64::NAN));
                    Ok(Measurement {
                        pass: row.get(0)?,
                        step: Step(row.get(1)?),
                        value: number(2)?,
                        wall_time: WallTime(number(3)?),
                    })
                })?
                .collect()
        };
        read().map_err(|e| self.fail(e))
    }

    /// When it was decided last to give a trial up early; `None` where it was not.
    ///
    /// # Errors
    /// [`StoreError::Database`].
    pub fn stop_decided_at(&self, job: JobNumber, trial: TrialId) -> Result<Option<Timestamp>, StoreError> {
        let select = "SELECT at_ms FROM decision WHERE job = ? AND trial = ? AND kind = 'stop' ORDER BY number DESC LIMIT 1";
        let of = || format!("a decision on trial {trial}");
        let read = |row: &Row<'_>| rows::time(row, "at_ms", of);
        let at = self.connection.query_row(select, params![job.0, trial.get()], read).optional();
        at.map(Option::flatten).map_err(|e| self.fail(e))
    }

    /// The measurements of a trial up to and with a position, tallied.
    ///
    /// # Errors
    /// [`StoreError::Database`].
    pub fn tally(&self, job: JobNumber, trial: TrialId, until: Position) -> Result<Tally, StoreError> {
        let read = || {
            self.connection
                .prepare_cached(
                    "SELECT count(*), total(value) FROM measurement
                     WHERE job = ? AND trial = ? AND (pass, step) <= (?, ?)",
                )?
                .query_row(params![job.0, trial.get(), until.pass, until.step.0], |row| {
                    Ok(Tally { n: row.get::<_, i64>(0)?.unsigned_abs(), sum: row.get(1)? })
                })
        };
        read().map_err(|e| self.fail(e))
    }
}

fn read_head(row: &Row<'_>) -> rusqlite::Result<JobHead> {
    let id: String = row.get("id")?;
    let of = || format!("job `{id}`");
    Ok(JobHead {
        number: JobNumber(row.get("number")?),
        etag: rows::etag(row)?,
        state: rows::state(row, &id)?,
        created_at: rows::time(row, "created_ms", of)?.unwrap_or_default(),
        owner: row.get("owner")?,
        is_study: row.get("is_study")?,
        labels: rows::parsed(row, "labels", of)?,
        holder: rows::read_holder(row, &id)?,
        id,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::edge::store::NewJob;
    use crate::edge::store::tests::new_job;

    #[test]
    fn the_order_of_jobs_is_that_of_their_numbers_by_which_pages_go_on() {
        let directory = tempfile::tempdir().expect("a directory");
        let mut store = Store::open(&directory.path().join("db")).expect("it opens");
        for (id, created_ms) in [("a", 50), ("b", 70), ("c", 60)] {
            let created_at = Timestamp::from_millisecond(created_ms).expect("a time");
            store.create_job(&NewJob { created_at, ..new_job(id) }).expect("it is new");
        }
        let ids: Vec<String> = store.heads().expect("it reads").into_iter().map(|head| head.id).collect();
        assert_eq!(ids, ["c", "b", "a"]);
    }
}
