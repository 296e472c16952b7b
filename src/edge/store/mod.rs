//! The SQLite store: jobs, trials, measurements and decisions, shared by every verb.
//!
//! A record is durable when [`Store::write`] returns: the database keeps a write-ahead log that is
//! synced at every commit. Values that SQLite has no number for (NaN) are stored as NULL.
//!
//! Each change of a job, or of what belongs to it, raises its [`Etag`] in the same transaction. A heartbeat does not.
//!
//! A database of an older version is brought to this one by whoever opens it, in one transaction, after a copy of it
//! was made beside it; see [`Store::upgraded`].

mod copy;
mod detail;
mod error;
mod job;
mod keep;
mod lease;
mod look;
mod queue;
mod report;
mod request;
mod rows;
mod schema;
#[cfg(test)]
pub(crate) mod tests;

use std::collections::BTreeMap;
use std::fmt;
use std::fs;
use std::path::{Path, PathBuf};
use std::time::Instant;

use jiff::Timestamp;
use rusqlite::{Connection, OpenFlags, OptionalExtension, TransactionBehavior, params};
use serde_json::Value as Json;

use crate::limits::{STORE_BUSY_TIMEOUT, STORE_RETRY};
use crate::study::{Outcome, Record, State};
use crate::units::TrialId;
pub use detail::{Detail, Details, Metadata, MetadataValue, Reported};
pub use error::StoreError;
pub use job::{ConfigFormat, Etag, JobNumber, NewJob, Resource, StoredJob};
use lease::{Lease, ensure_held};
pub use look::{JobHead, Tally};
pub use report::{NewReport, Reportable, StoredReport};
pub use request::{Request, RequestKind};
use rows::{ENDS_OF_CURVES, Keep, WHOLE_CURVES};
use schema::{Holds, PrepareError, Prepared, SCHEMA_VERSION, is_busy};

/// That the schema of a database was brought to this program's version.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Upgraded {
    /// The version that it had.
    pub from: i64,
    /// The copy of the database as it was.
    pub copy: PathBuf,
}

impl fmt::Display for Upgraded {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let copy = self.copy.display();
        write!(
            f,
            "was brought from schema version {} to {SCHEMA_VERSION}; as it was, it is kept in {copy}",
            self.from
        )
    }
}

/// An open store.
#[derive(Debug)]
pub struct Store {
    connection: Connection,
    path: PathBuf,
    lease: Option<Lease>,
    upgraded: Option<Upgraded>,
}

impl Store {
    /// Opens the database at `path`, and makes it and its directory where there is none.
    ///
    /// # Errors
    /// [`StoreError`], but for [`StoreError::JobExists`].
    pub fn open(path: &Path) -> Result<Self, StoreError> {
        if let Some(directory) = path.parent() {
            let fail = |error| StoreError::Directory { path: path.to_owned(), error };
            fs::create_dir_all(directory).map_err(fail)?;
        }
        let fail = |error| match error {
            PrepareError::Database(error) => StoreError::Database { path: path.to_owned(), error },
            PrepareError::Copy { copy, error } => StoreError::Copy { path: path.to_owned(), copy, error },
        };
        let mut connection = Connection::open(path).map_err(|e| fail(e.into()))?;
        let deadline = Instant::now() + STORE_BUSY_TIMEOUT;
        let Prepared { found, copy } = loop {
            // While another process makes the database, SQLite says so at once instead of waiting.
            let prepared = match schema::look(&connection) {
                Ok(Holds::SomethingElse) => return Err(StoreError::NotOurs { path: path.to_owned() }),
                Ok(Holds::Nothing | Holds::Jobs(_)) => schema::prepare(&mut connection, path),
                Err(e) => Err(e.into()),
            };
            match prepared {
                Err(PrepareError::Database(e)) if is_busy(&e) && Instant::now() < deadline => {
                    std::thread::sleep(STORE_RETRY);
                }
                prepared => break prepared.map_err(fail)?,
            }
        };
        let mut store = Self::checked(connection, path, found)?;
        store.upgraded = copy.map(|copy| Upgraded { from: found, copy });
        Ok(store)
    }

    /// Opens the database at `path` to read only, also where nothing may be written.
    ///
    /// # Errors
    /// [`StoreError::Database`] or [`StoreError::TooNew`].
    pub fn open_to_read(path: &Path) -> Result<Self, StoreError> {
        let fail = |error| StoreError::Database { path: path.to_owned(), error };
        let open = |name: &str, flags: OpenFlags| -> rusqlite::Result<(Connection, Holds)> {
            let connection = Connection::open_with_flags(name, flags | OpenFlags::SQLITE_OPEN_READ_ONLY)?;
            let holds = schema::look(&connection)?;
            Ok((connection, holds))
        };
        let name = path.to_string_lossy();
        let (connection, holds) = open(&name, OpenFlags::empty()).or_else(|error| {
            // Where the directory is read-only too there is no room for the shared memory of a
            // write-ahead log, and nobody who would write.
            let escaped = name.replace('%', "%25").replace('?', "%3f").replace('#', "%23");
            let immutable = open(&format!("file:{escaped}?immutable=1"), OpenFlags::SQLITE_OPEN_URI);
            immutable.map_err(|_| fail(error))
        })?;
        let version = match holds {
            Holds::Jobs(version) => version,
            Holds::SomethingElse => return Err(StoreError::NotOurs { path: path.to_owned() }),
            Holds::Nothing => {
                // As if its tables were there: nothing is in them.
                let mut connection = Connection::open_in_memory().map_err(fail)?;
                schema::make(&mut connection).map_err(fail)?;
                return Self::checked(connection, path, SCHEMA_VERSION);
            }
        };
        if (1..SCHEMA_VERSION).contains(&version) {
            // It is brought to this version by who may write it.
            drop(connection);
            return Self::open(path);
        }
        Self::checked(connection, path, version)
    }

    fn checked(connection: Connection, path: &Path, version: i64) -> Result<Self, StoreError> {
        if version > SCHEMA_VERSION {
            return Err(StoreError::TooNew { path: path.to_owned(), got: version });
        }
        Ok(Self { connection, path: path.to_owned(), lease: None, upgraded: None })
    }

    /// The database's file.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Brings the database at `path` to this version, where there is one of an older version.
    ///
    /// # Errors
    /// As of [`Self::open`]. What is no database of an older version is left as it is, without an error.
    pub fn upgrade(path: &Path) -> Result<Option<Upgraded>, StoreError> {
        let opened = Connection::open_with_flags(path, OpenFlags::SQLITE_OPEN_READ_ONLY);
        let holds = opened.and_then(|connection| schema::look(&connection));
        match holds {
            Ok(Holds::Jobs(1..SCHEMA_VERSION)) => Ok(Self::open(path)?.upgraded),
            Ok(Holds::Nothing | Holds::Jobs(_) | Holds::SomethingElse) | Err(_) => Ok(None),
        }
    }

    /// That opening the database brought its schema to this version, where it did.
    #[must_use]
    pub fn upgraded(&self) -> Option<&Upgraded> {
        self.upgraded.as_ref()
    }

    /// Adds a job, in state RUNNING.
    ///
    /// # Errors
    /// [`StoreError::JobExists`], or [`StoreError::Database`]; then nothing was added.
    pub fn create_job(&mut self, job: &NewJob) -> Result<JobNumber, StoreError> {
        self.insert(job, State::Running)
    }

    fn insert(&mut self, job: &NewJob, state: State) -> Result<JobNumber, StoreError> {
        let command = Json::from(job.command.clone()).to_string();
        let Resource { config_format, owner, display_name, labels } = &job.resource;
        let created_ms = job.created_at.as_millisecond();
        let inserted = self.connection.execute(
            "INSERT INTO job (id, state, created_ms, started_ms, changed_ms, config, seed, command, job_dir, directory,
                              deadline_ms, previous, config_format, owner, display_name, labels)
             VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
            params![
                job.id,
                state.name(),
                created_ms,
                Some(created_ms).filter(|_| state != State::Queued),
                created_ms,
                job.config,
                job.seed.cast_signed(),
                command,
                job.job_dir.to_string_lossy(),
                job.directory.to_string_lossy(),
                job.deadline.map(Timestamp::as_millisecond),
                job.previous,
                config_format.name(),
                owner,
                display_name,
                labels.as_ref().map(rows::labels_to_json),
            ],
        );
        match inserted {
            Ok(_) => Ok(JobNumber(self.connection.last_insert_rowid())),
            Err(e) if e.sqlite_error_code() == Some(rusqlite::ErrorCode::ConstraintViolation) => {
                Err(StoreError::JobExists(job.id.clone()))
            }
            Err(e) => Err(self.fail(e)),
        }
    }

    /// Stores records in one transaction: all of them, durably, or none. Without any, a job that this process holds is
    /// only heard of.
    ///
    /// # Errors
    /// [`StoreError::TakenOver`] where this process held the job and another one has it now; or
    /// [`StoreError::Database`].
    pub fn write(&mut self, job: JobNumber, records: &[Record]) -> Result<(), StoreError> {
        self.write_with(job, records, &[])
    }

    /// As [`Self::write`], with details of what the records say, in the same transaction.
    ///
    /// # Errors
    /// As of [`Self::write`].
    pub fn write_with(
        &mut self,
        job: JobNumber,
        records: &[Record],
        details: &[Detail],
    ) -> Result<(), StoreError> {
        let path = &self.path;
        let fail = |error| StoreError::Database { path: path.clone(), error };
        let transaction = self.connection.transaction().map_err(fail)?;
        ensure_held(self.lease.as_ref(), &transaction, job, path)?;
        let write = || {
            records.iter().try_for_each(|record| rows::write(&transaction, job.0, record))?;
            details.iter().try_for_each(|detail| detail::write(&transaction, job.0, detail))?;
            if records.is_empty() && details.is_empty() { Ok(()) } else { rows::touch(&transaction, job.0) }
        };
        write().and_then(|()| transaction.commit()).map_err(fail)?;
        if records.iter().any(|record| matches!(record, Record::JobEnded(..))) {
            self.lease = None;
        }
        Ok(())
    }

    /// Replaces the labels of a job, where it still has this etag; `None`: whatever etag it has. The answer is its
    /// new etag.
    ///
    /// # Errors
    /// [`StoreError::NoJob`], [`StoreError::Changed`] or [`StoreError::Database`]; then nothing was changed.
    pub fn set_labels(
        &mut self,
        id: &str,
        labels: &BTreeMap<String, String>,
        etag: Option<Etag>,
    ) -> Result<Etag, StoreError> {
        let path = &self.path;
        let fail = |error| StoreError::Database { path: path.clone(), error };
        let transaction =
            self.connection.transaction_with_behavior(TransactionBehavior::Immediate).map_err(fail)?;
        let found = transaction
            .query_row("SELECT number, revision FROM job WHERE id = ?", [id], |row| {
                Ok((row.get("number")?, rows::etag(row)?))
            })
            .optional()
            .map_err(fail)?;
        let (number, want): (i64, Etag) = found.ok_or_else(|| StoreError::NoJob(id.to_owned()))?;
        if let Some(got) = etag.filter(|got| *got != want) {
            return Err(StoreError::Changed { job: id.to_owned(), got, want });
        }
        transaction
            .execute(
                "UPDATE job SET labels = ? WHERE number = ?",
                params![rows::labels_to_json(labels), number],
            )
            .and_then(|_| rows::touch(&transaction, number))
            .and_then(|()| transaction.commit())
            .map_err(fail)?;
        Ok(Etag(want.0 + 1))
    }

    /// The name of the job or study that belongs to `owner` and has this name for people, the newest of several; `None`
    /// where there is none.
    ///
    /// # Errors
    /// [`StoreError::Database`].
    pub fn named(&self, owner: &str, display_name: &str) -> Result<Option<String>, StoreError> {
        let find = "SELECT id FROM job WHERE owner = ? AND display_name = ? ORDER BY number DESC LIMIT 1";
        let id = self.connection.query_row(find, [owner, display_name], |row| row.get(0));
        id.optional().map_err(|e| self.fail(e))
    }

    /// The names of the jobs that have left the queue and are not over, the newest first.
    ///
    /// # Errors
    /// [`StoreError::Database`].
    pub fn unfinished(&self) -> Result<Vec<String>, StoreError> {
        let ids = || -> rusqlite::Result<Vec<String>> {
            let mut query = self.connection.prepare(
                "SELECT id FROM job WHERE state IN ('PREPARING', 'RUNNING', 'CANCELLING') ORDER BY number DESC",
            )?;
            query.query_map([], |row| row.get(0))?.collect()
        };
        ids().map_err(|e| self.fail(e))
    }

    /// All jobs, newest first, each with what keeps it from being read. Of each trial's measurements only those that can
    /// be its result are there: the last ones, the smallest and the largest.
    ///
    /// # Errors
    /// [`StoreError::Database`].
    pub fn jobs(&self) -> Result<Vec<Result<StoredJob, StoreError>>, StoreError> {
        let ids = || -> rusqlite::Result<Vec<String>> {
            let mut query =
                self.connection.prepare("SELECT id FROM job ORDER BY created_ms DESC, number DESC")?;
            query.query_map([], |row| row.get(0))?.collect()
        };
        let ids = ids().map_err(|e| self.fail(e))?;
        let read = |id: &String| {
            rows::read_job(&self.connection, id, ENDS_OF_CURVES, Keep::All)
                .map_err(|e| self.fail(e))
                .transpose()
        };
        Ok(ids.iter().filter_map(read).collect())
    }

    /// A job and all its trials; `None` where there is none of that name.
    ///
    /// # Errors
    /// [`StoreError::Database`].
    pub fn job(&self, id: &str) -> Result<Option<StoredJob>, StoreError> {
        rows::read_job(&self.connection, id, WHOLE_CURVES, Keep::All).map_err(|e| self.fail(e))
    }

    /// As [`Self::job`], with of long curves what a controller keeps; see [`crate::study::Curve`].
    ///
    /// # Errors
    /// [`StoreError::Database`].
    pub fn job_to_resume(&self, id: &str) -> Result<Option<StoredJob>, StoreError> {
        rows::read_job(&self.connection, id, WHOLE_CURVES, Keep::Sample).map_err(|e| self.fail(e))
    }

    /// The state of a job; `None` where there is none of that name.
    ///
    /// # Errors
    /// [`StoreError::Database`].
    pub fn state(&self, id: &str) -> Result<Option<State>, StoreError> {
        let find = "SELECT state FROM job WHERE id = ?";
        let state = self.connection.query_row(find, [id], |row| rows::state(row, id));
        state.optional().map_err(|e| self.fail(e))
    }

    /// How a trial ended; `None` where it is not over, or not there.
    ///
    /// # Errors
    /// [`StoreError::Database`].
    pub fn outcome(&self, job: JobNumber, trial: TrialId) -> Result<Option<Outcome>, StoreError> {
        rows::outcome(&self.connection, job.0, trial).map_err(|e| self.fail(e))
    }

    /// The number of a job that is there.
    ///
    /// # Errors
    /// [`StoreError::Database`].
    pub fn number(&self, id: &str) -> Result<JobNumber, StoreError> {
        let number = self.connection.query_row("SELECT number FROM job WHERE id = ?", [id], |row| row.get(0));
        number.map(JobNumber).map_err(|e| self.fail(e))
    }

    fn fail(&self, error: rusqlite::Error) -> StoreError {
        StoreError::Database { path: self.path.clone(), error }
    }
}
