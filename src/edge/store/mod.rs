//! The SQLite store: jobs, trials, measurements and decisions, shared by every verb.
//!
//! A record is durable when [`Store::write`] returns: the database keeps a write-ahead log that is
//! synced at every commit. Values that SQLite has no number for (NaN) are stored as NULL.

mod lease;
mod rows;
mod schema;
#[cfg(test)]
mod tests;

use std::fs;
use std::path::{Path, PathBuf};
use std::time::Instant;

use jiff::Timestamp;
use rusqlite::{Connection, ErrorCode, OpenFlags, OptionalExtension, params};
use serde_json::Value as Json;

use super::process_tree::ProcessIdentity;
use crate::controller::Record;
use crate::edge::remote::local_dir;
use crate::limits::{STORE_BUSY_TIMEOUT, STORE_RETRY};
use crate::study::Trial;
use lease::{Lease, holds};
use rows::{ENDS_OF_CURVES, Keep, WHOLE_CURVES};
use schema::{Holds, SCHEMA_VERSION, is_busy};

/// What can go wrong with the store.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    /// The database cannot be opened, read or written. Trying again may help.
    #[error("store {path}: {}", in_words(error))]
    Database {
        /// The database's file.
        path: PathBuf,
        /// SQLite's words.
        error: rusqlite::Error,
    },
    /// The database's directory cannot be made. Another path helps.
    #[error("store {path}: {error}")]
    Directory {
        /// The database's file.
        path: PathBuf,
        /// The system's words.
        error: std::io::Error,
    },
    /// A newer program wrote the database. A newer program helps.
    #[error("store {path}: its schema has version {got}, this program knows versions up to {SCHEMA_VERSION}")]
    TooNew {
        /// The database's file.
        path: PathBuf,
        /// Its version.
        got: i64,
    },
    /// The file is a database of another program. Another path helps.
    #[error("store {path}: is an SQLite database of another program")]
    NotOurs {
        /// The database's file.
        path: PathBuf,
    },
    /// Another process runs the job. It goes on, or is to be ended first.
    #[error("job `{job}` is run by process {} on {}, last heard of {heard_of}", holder.pid, holder.host)]
    Held {
        /// The job's name.
        job: String,
        /// The process.
        holder: Box<ProcessIdentity>,
        /// When it last said so.
        heard_of: Timestamp,
    },
    /// Another process has taken the job over, for this one had not been heard of for long.
    #[error("job `{0}` was taken over by another process; its trials go on there")]
    TakenOver(String),
    /// There is a job of this name already. Another name helps.
    #[error("job `{0}` is in the store already")]
    JobExists(String),
}

/// SQLite's words, or those of a row that cannot be read.
fn in_words(error: &rusqlite::Error) -> String {
    match error {
        rusqlite::Error::FromSqlConversionFailure(_, _, why) if why.is::<rows::Unreadable>() => {
            why.to_string()
        }
        other => other.to_string(),
    }
}

/// A job as it is about to begin.
#[derive(Debug, Clone)]
pub struct NewJob {
    /// Its name, unique in the store.
    pub id: String,
    /// Its configuration file.
    pub config: String,
    /// The seed of its suggestions.
    pub seed: u64,
    /// The trainer's command; empty where the configuration names a Python module.
    pub command: Vec<String>,
    /// The directory of its trials, absolute, or an address in an object store.
    pub job_dir: PathBuf,
    /// When it was created.
    pub created_at: Timestamp,
    /// Where its trainers run, absolute.
    pub directory: PathBuf,
    /// When all is to be over.
    pub deadline: Option<Timestamp>,
    /// The job that it continues.
    pub previous: Option<String>,
}

impl NewJob {
    /// Where on this machine its files are; see [`local_dir`].
    #[must_use]
    pub fn local_dir(&self) -> PathBuf {
        local_dir(&self.job_dir, &self.directory, &self.id)
    }
}

/// A job as the store has it.
#[derive(Debug, Clone)]
pub struct StoredJob {
    /// What it began with.
    pub job: NewJob,
    /// Its state in the service's terms.
    pub state: String,
    /// What the user should know of its end; of one that is not over, why it has failed, where that is decided.
    pub message: Option<String>,
    /// When it ended.
    pub ended_at: Option<Timestamp>,
    /// Its trials, by number.
    pub trials: Vec<Trial>,
    /// The process that runs it, or ran it and was killed; with it when that was last heard of.
    pub holder: Option<(ProcessIdentity, Timestamp)>,
}

impl StoredJob {
    /// Whether it is over.
    #[must_use]
    pub fn is_over(&self) -> bool {
        is_over(&self.state)
    }

    /// Whether a process runs it, as far as can be seen from here.
    #[must_use]
    pub fn is_held(&self) -> bool {
        self.holder.as_ref().is_some_and(|(holder, heard_of)| holds(holder, *heard_of))
    }
}

/// Whether a job in this state is over.
#[must_use]
pub fn is_over(state: &str) -> bool {
    !matches!(state, "RUNNING" | "CANCELLING")
}

/// A job's number in this store.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct JobNumber(i64);

/// An open store.
#[derive(Debug)]
pub struct Store {
    connection: Connection,
    path: PathBuf,
    lease: Option<Lease>,
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
        let fail = |error| StoreError::Database { path: path.to_owned(), error };
        let mut connection = Connection::open(path).map_err(fail)?;
        let deadline = Instant::now() + STORE_BUSY_TIMEOUT;
        let version = loop {
            // While another process makes the database, SQLite says so at once instead of waiting.
            let prepared = match schema::look(&connection) {
                Ok(Holds::SomethingElse) => return Err(StoreError::NotOurs { path: path.to_owned() }),
                Ok(Holds::Nothing | Holds::Jobs(_)) => schema::prepare(&mut connection),
                Err(e) => Err(e),
            };
            match prepared {
                Err(e) if is_busy(&e) && Instant::now() < deadline => std::thread::sleep(STORE_RETRY),
                prepared => break prepared.map_err(fail)?,
            }
        };
        Self::checked(connection, path, version)
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
                schema::prepare(&mut connection).map_err(fail)?;
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
        Ok(Self { connection, path: path.to_owned(), lease: None })
    }

    /// The database's file.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Adds a job, in state RUNNING.
    ///
    /// # Errors
    /// [`StoreError::JobExists`], or [`StoreError::Database`]; then nothing was added.
    pub fn create_job(&mut self, job: &NewJob) -> Result<JobNumber, StoreError> {
        let command = Json::from(job.command.clone()).to_string();
        let inserted = self.connection.execute(
            "INSERT INTO job (id, state, created_ms, config, seed, command, job_dir, directory, deadline_ms, previous)
             VALUES (?, 'RUNNING', ?, ?, ?, ?, ?, ?, ?, ?)",
            params![
                job.id,
                job.created_at.as_millisecond(),
                job.config,
                job.seed.cast_signed(),
                command,
                job.job_dir.to_string_lossy(),
                job.directory.to_string_lossy(),
                job.deadline.map(Timestamp::as_millisecond),
                job.previous,
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

    /// Stores records in one transaction: all of them, durably, or none.
    ///
    /// # Errors
    /// [`StoreError::TakenOver`] where this process held the job and another one has it now; or
    /// [`StoreError::Database`].
    pub fn write(&mut self, job: JobNumber, records: &[Record]) -> Result<(), StoreError> {
        let path = &self.path;
        let fail = |error| StoreError::Database { path: path.clone(), error };
        let transaction = self.connection.transaction().map_err(fail)?;
        if let Some(lease) = self.lease.as_ref().filter(|lease| lease.is_of(job))
            && !lease.keep(&transaction).map_err(fail)?
        {
            let id = transaction.query_row("SELECT id FROM job WHERE number = ?", [job.0], |r| r.get(0));
            return Err(StoreError::TakenOver(id.map_err(fail)?));
        }
        for record in records {
            rows::write(&transaction, job.0, record).map_err(fail)?;
        }
        transaction.commit().map_err(fail)?;
        if records.iter().any(|record| matches!(record, Record::JobEnded(..))) {
            self.lease = None;
        }
        Ok(())
    }

    /// The names of the jobs that are not over, the newest first.
    ///
    /// # Errors
    /// [`StoreError::Database`].
    pub fn unfinished(&self) -> Result<Vec<String>, StoreError> {
        let ids = || -> rusqlite::Result<Vec<String>> {
            let mut query = self.connection.prepare(
                "SELECT id FROM job WHERE state IN ('RUNNING', 'CANCELLING') ORDER BY number DESC",
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

    /// The state of a job, in the service's terms; `None` where there is none of that name.
    ///
    /// # Errors
    /// [`StoreError::Database`].
    pub fn state(&self, id: &str) -> Result<Option<String>, StoreError> {
        let state = self.connection.query_row("SELECT state FROM job WHERE id = ?", [id], |row| row.get(0));
        state.optional().map_err(|e| self.fail(e))
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

impl StoreError {
    /// Whether the same call may succeed later: another process held the store for as long as was waited, the disk
    /// is full, or a file system gave an error.
    #[must_use]
    pub fn may_pass(&self) -> bool {
        let Self::Database { error, .. } = self else { return false };
        let passing = [ErrorCode::DiskFull, ErrorCode::SystemIoFailure, ErrorCode::CannotOpen];
        is_busy(error) || error.sqlite_error_code().is_some_and(|code| passing.contains(&code))
    }
}
