//! The SQLite store: jobs, trials, measurements and decisions, shared by every verb.
//!
//! A record is durable when [`Store::write`] returns: the database keeps a write-ahead log that is
//! synced at every commit. Values that SQLite has no number for (NaN) are stored as NULL.

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Instant;

use jiff::Timestamp;
use rusqlite::{Connection, OpenFlags, OptionalExtension, Row, Transaction, TransactionBehavior, params};
use serde_json::{Map, Value as Json};

use super::process_tree::{Presence, ProcessIdentity};
use crate::controller::{JobEnd, Record};
use crate::limits::{LEASE_EXPIRY, STORE_BUSY_TIMEOUT, STORE_RETRY};
use crate::series::Change;
use crate::study::{Assignment, Measurement, Outcome, ParamValue, Stage, Trial};
use crate::units::{Step, TrialId, WallTime};

/// The version of the schema, kept in `PRAGMA user_version`.
const SCHEMA_VERSION: i64 = 2;

const SCHEMA: &str = "
    CREATE TABLE job (
        number     INTEGER PRIMARY KEY,
        id         TEXT NOT NULL UNIQUE,
        state      TEXT NOT NULL,            -- RUNNING, CANCELLING, SUCCEEDED, FAILED, CANCELLED
        message    TEXT,
        created_ms INTEGER NOT NULL,         -- milliseconds since the Unix epoch, as all times here
        ended_ms   INTEGER,
        config     TEXT NOT NULL,            -- the configuration file as it was given
        seed       INTEGER NOT NULL,
        command    TEXT NOT NULL,            -- JSON array of strings
        job_dir    TEXT NOT NULL,
        directory  TEXT NOT NULL DEFAULT '',     -- where the trainers run
        deadline_ms INTEGER,                     -- when all is to be over
        previous   TEXT,                         -- the id of the job that this one continues
        holder     TEXT,                         -- JSON: the process that runs it; NULL: none
        heartbeat_ms INTEGER                     -- when that was last heard of
    ) STRICT;
    CREATE TABLE trial (
        job        INTEGER NOT NULL REFERENCES job(number),
        id         INTEGER NOT NULL,
        params     TEXT NOT NULL,            -- JSON object of numbers and strings
        run        TEXT,                     -- the run directory that the objective is read from
        started_ms INTEGER,
        ended_ms   INTEGER,
        outcome    TEXT,                     -- JSON
        attempt    INTEGER NOT NULL DEFAULT 1,
        attempt_ms INTEGER,                  -- when this attempt was started
        waiting    TEXT,                     -- JSON: how the attempt before ended, while the next one waits
        PRIMARY KEY (job, id)
    ) STRICT, WITHOUT ROWID;
    CREATE TABLE measurement (
        job        INTEGER NOT NULL,
        trial      INTEGER NOT NULL,
        step       INTEGER NOT NULL,
        value      REAL,                     -- NULL is NaN
        wall_time  REAL,                     -- seconds since the Unix epoch; NULL is NaN
        PRIMARY KEY (job, trial, step),
        FOREIGN KEY (job, trial) REFERENCES trial(job, id)
    ) STRICT, WITHOUT ROWID;
    CREATE TABLE decision (
        number     INTEGER PRIMARY KEY,
        job        INTEGER NOT NULL REFERENCES job(number),
        trial      INTEGER,                  -- NULL: the whole job
        at_ms      INTEGER NOT NULL,
        kind       TEXT NOT NULL,            -- stop, retry, cancel
        reason     TEXT NOT NULL             -- JSON
    ) STRICT;
";

/// What version 1 lacks.
const FROM_VERSION_1: &str = "
    ALTER TABLE job ADD COLUMN directory TEXT NOT NULL DEFAULT '';
    ALTER TABLE job ADD COLUMN deadline_ms INTEGER;
    ALTER TABLE job ADD COLUMN previous TEXT;
    ALTER TABLE job ADD COLUMN holder TEXT;
    ALTER TABLE job ADD COLUMN heartbeat_ms INTEGER;
    ALTER TABLE trial ADD COLUMN attempt INTEGER NOT NULL DEFAULT 1;
    ALTER TABLE trial ADD COLUMN attempt_ms INTEGER;
    ALTER TABLE trial ADD COLUMN waiting TEXT;
    UPDATE trial SET attempt_ms = started_ms;
";

const WHOLE_CURVES: &str = "SELECT trial, step, value, wall_time FROM measurement WHERE job = ?1";

/// With a lone `max` or `min`, SQLite takes the other columns from the row that has it.
const ENDS_OF_CURVES: &str = "
    SELECT trial, max(step) AS step, value, wall_time FROM measurement WHERE job = ?1 GROUP BY trial
    UNION SELECT trial, step, max(value) AS value, wall_time FROM measurement
          WHERE job = ?1 AND abs(value) < 9e999 GROUP BY trial
    UNION SELECT trial, step, min(value) AS value, wall_time FROM measurement
          WHERE job = ?1 AND abs(value) < 9e999 GROUP BY trial";

/// What can go wrong with the store.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    /// The database cannot be opened, read or written. Trying again may help.
    #[error("store {path}: {error}")]
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
    /// The directory of its trials, absolute.
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

/// A job as the store has it.
#[derive(Debug, Clone)]
pub struct StoredJob {
    /// What it began with.
    pub job: NewJob,
    /// Its state in the service's terms.
    pub state: String,
    /// What the user should know of its end.
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
        !matches!(self.state.as_str(), "RUNNING" | "CANCELLING")
    }

    /// Whether a process runs it, as far as can be seen from here.
    #[must_use]
    pub fn is_held(&self) -> bool {
        self.holder.as_ref().is_some_and(|(holder, heard_of)| holds(holder, *heard_of))
    }
}

/// Whether a process still holds what it held when it was last heard of.
fn holds(holder: &ProcessIdentity, heard_of: Timestamp) -> bool {
    match holder.presence() {
        Presence::Alive => true,
        Presence::Ended => false,
        Presence::OutOfSight => {
            heard_of.checked_add(LEASE_EXPIRY).is_ok_and(|until| until > Timestamp::now())
        }
    }
}

/// A job's number in this store.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct JobNumber(i64);

/// An open store.
#[derive(Debug)]
pub struct Store {
    connection: Connection,
    path: PathBuf,
    /// The job that this process holds, and itself as the store has it.
    lease: Option<(JobNumber, String)>,
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
            match prepare(&mut connection) {
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
        let open = |name: &str, flags: OpenFlags| -> rusqlite::Result<(Connection, i64)> {
            let connection = Connection::open_with_flags(name, flags | OpenFlags::SQLITE_OPEN_READ_ONLY)?;
            connection.busy_timeout(STORE_BUSY_TIMEOUT)?;
            let version = connection.query_row("PRAGMA user_version", [], |row| row.get(0))?;
            Ok((connection, version))
        };
        let name = path.to_string_lossy();
        let (connection, version) = open(&name, OpenFlags::empty()).or_else(|error| {
            // Where the directory is read-only too there is no room for the shared memory of a
            // write-ahead log, and nobody who would write.
            let escaped = name.replace('%', "%25").replace('?', "%3f").replace('#', "%23");
            let immutable = open(&format!("file:{escaped}?immutable=1"), OpenFlags::SQLITE_OPEN_URI);
            immutable.map_err(|_| fail(error))
        })?;
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

    /// Takes a job for this process: from now on only it writes to the job. What is written says at the same time
    /// that it is there, and so does writing nothing, which is to be done every [`crate::limits::LEASE_INTERVAL`].
    ///
    /// # Errors
    /// [`StoreError::Held`] where another process has it that is there, or may be; or [`StoreError::Database`].
    pub fn hold(&mut self, job: JobNumber) -> Result<(), StoreError> {
        let path = &self.path;
        let fail = |error| StoreError::Database { path: path.clone(), error };
        let transaction =
            self.connection.transaction_with_behavior(TransactionBehavior::Immediate).map_err(fail)?;
        let (id, before) = transaction
            .query_row("SELECT id, holder, heartbeat_ms FROM job WHERE number = ?", [job.0], |row| {
                Ok((row.get::<_, String>("id")?, read_holder(row)?))
            })
            .map_err(fail)?;
        if let Some((holder, heard_of)) = before.filter(|(holder, heard_of)| holds(holder, *heard_of)) {
            return Err(StoreError::Held { job: id, holder: Box::new(holder), heard_of });
        }
        let holder = serde_json::to_string(&ProcessIdentity::own()).unwrap_or_default();
        let now = Timestamp::now().as_millisecond();
        transaction
            .execute(
                "UPDATE job SET holder = ?, heartbeat_ms = ? WHERE number = ?",
                params![holder, now, job.0],
            )
            .and_then(|_| transaction.commit())
            .map_err(fail)?;
        self.lease = Some((job, holder));
        Ok(())
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
        if let Some((_, holder)) = self.lease.as_ref().filter(|(held, _)| *held == job) {
            let now = Timestamp::now().as_millisecond();
            let is_ours = transaction
                .prepare_cached("UPDATE job SET heartbeat_ms = ? WHERE number = ? AND holder = ?")
                .and_then(|mut statement| statement.execute(params![now, job.0, holder]))
                .map_err(fail)?;
            if is_ours == 0 {
                let id = transaction.query_row("SELECT id FROM job WHERE number = ?", [job.0], |r| r.get(0));
                return Err(StoreError::TakenOver(id.map_err(fail)?));
            }
        }
        for record in records {
            write(&transaction, job.0, record).map_err(fail)?;
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

    /// All jobs, newest first. Of each trial's measurements only those that can be its result are
    /// there: at the last step, the smallest and the largest.
    ///
    /// # Errors
    /// [`StoreError::Database`].
    pub fn jobs(&self) -> Result<Vec<StoredJob>, StoreError> {
        let ids = || -> rusqlite::Result<Vec<String>> {
            let mut query =
                self.connection.prepare("SELECT id FROM job ORDER BY created_ms DESC, number DESC")?;
            query.query_map([], |row| row.get(0))?.collect()
        };
        let ids = ids().map_err(|e| self.fail(e))?;
        let read = |id: &String| self.read_job(id, ENDS_OF_CURVES).map_err(|e| self.fail(e)).transpose();
        ids.iter().filter_map(read).collect()
    }

    /// A job and all its trials; `None` where there is none of that name.
    ///
    /// # Errors
    /// [`StoreError::Database`].
    pub fn job(&self, id: &str) -> Result<Option<StoredJob>, StoreError> {
        self.read_job(id, WHOLE_CURVES).map_err(|e| self.fail(e))
    }

    /// The number of a job that is there.
    ///
    /// # Errors
    /// [`StoreError::Database`].
    pub fn number(&self, id: &str) -> Result<JobNumber, StoreError> {
        let number = self.connection.query_row("SELECT number FROM job WHERE id = ?", [id], |row| row.get(0));
        number.map(JobNumber).map_err(|e| self.fail(e))
    }

    fn read_job(&self, id: &str, measurements: &str) -> rusqlite::Result<Option<StoredJob>> {
        let columns = "number, id, state, message, created_ms, ended_ms, config, seed, command, job_dir, \
                       directory, deadline_ms, previous, holder, heartbeat_ms";
        let found = self
            .connection
            .query_row(&format!("SELECT {columns} FROM job WHERE id = ?"), [id], |row| {
                let command: String = row.get("command")?;
                let job = NewJob {
                    id: row.get("id")?,
                    config: row.get("config")?,
                    seed: row.get::<_, i64>("seed")?.cast_unsigned(),
                    command: serde_json::from_str(&command).unwrap_or_default(),
                    job_dir: row.get::<_, String>("job_dir")?.into(),
                    created_at: time(row, "created_ms")?.unwrap_or_default(),
                    directory: row.get::<_, String>("directory")?.into(),
                    deadline: time(row, "deadline_ms")?,
                    previous: row.get("previous")?,
                };
                let (state, message, ended_at) =
                    (row.get("state")?, row.get("message")?, time(row, "ended_ms")?);
                let (trials, holder) = (Vec::new(), read_holder(row)?);
                Ok((
                    row.get::<_, i64>("number")?,
                    StoredJob { job, state, message, ended_at, trials, holder },
                ))
            })
            .optional()?;
        let Some((number, mut job)) = found else { return Ok(None) };
        let mut query = self.connection.prepare(
            "SELECT id, params, run, started_ms, ended_ms, outcome, attempt, attempt_ms, waiting,
                    (SELECT reason FROM decision d WHERE d.job = t.job AND d.trial = t.id AND d.kind = 'stop'
                     ORDER BY number DESC LIMIT 1) AS stop
             FROM trial t WHERE job = ? ORDER BY id",
        )?;
        job.trials = query.query_map([number], read_trial)?.collect::<rusqlite::Result<_>>()?;
        let mut query = self.connection.prepare(measurements)?;
        let mut rows = query.query([number])?;
        while let Some(row) = rows.next()? {
            let trial: u32 = row.get("trial")?;
            let number = |column| row.get::<_, Option<f64>>(column).map(|v| v.unwrap_or(f64::NAN));
            let step = Step(row.get("step")?);
            let measurement =
                Measurement { step, value: number("value")?, wall_time: WallTime(number("wall_time")?) };
            // Their numbers rise by one, from 1 or behind those of the job that is continued.
            let first = job.trials.first().map_or(1, |first| first.id.get());
            if let Some(trial) = trial.checked_sub(first).and_then(|n| job.trials.get_mut(n as usize)) {
                trial.curve.insert(measurement);
            }
        }
        Ok(Some(job))
    }

    fn fail(&self, error: rusqlite::Error) -> StoreError {
        StoreError::Database { path: self.path.clone(), error }
    }
}

impl StoreError {
    /// Whether another process held the store for as long as was waited: the same call may succeed
    /// later.
    #[must_use]
    pub fn is_busy(&self) -> bool {
        matches!(self, Self::Database { error, .. } if is_busy(error))
    }
}

fn is_busy(error: &rusqlite::Error) -> bool {
    matches!(
        error.sqlite_error_code(),
        Some(rusqlite::ErrorCode::DatabaseBusy | rusqlite::ErrorCode::DatabaseLocked)
    )
}

/// Sets the connection up and brings the schema to this version. The answer is the version found,
/// where that is newer.
fn prepare(connection: &mut Connection) -> rusqlite::Result<i64> {
    connection.busy_timeout(STORE_BUSY_TIMEOUT)?;
    connection.pragma_update(None, "journal_mode", "WAL")?;
    connection.pragma_update(None, "synchronous", "FULL")?;
    connection.pragma_update(None, "foreign_keys", true)?;
    let transaction = connection.transaction_with_behavior(TransactionBehavior::Immediate)?;
    let version = transaction.query_row("PRAGMA user_version", [], |row| row.get(0))?;
    if version == 0 {
        transaction.execute_batch(SCHEMA)?;
    } else if version == 1 {
        transaction.execute_batch(FROM_VERSION_1)?;
    }
    if version < SCHEMA_VERSION {
        transaction.pragma_update(None, "user_version", SCHEMA_VERSION)?;
    }
    transaction.commit()?;
    Ok(version)
}

fn write(transaction: &Transaction<'_>, job: i64, record: &Record) -> rusqlite::Result<()> {
    let run = |sql: &str, params: &[&dyn rusqlite::ToSql]| {
        transaction.prepare_cached(sql)?.execute(params).map(drop)
    };
    match record {
        Record::Suggested(trial, values) => {
            run("INSERT INTO trial (job, id, params) VALUES (?, ?, ?)", params![job, trial.get(), to_json(values)])
        }
        Record::Started(trial, at, attempt) => run(
            "UPDATE trial SET started_ms = coalesce(started_ms, ?1), attempt_ms = ?1, attempt = ?2, waiting = NULL
             WHERE job = ?3 AND id = ?4",
            params![at.as_millisecond(), attempt, job, trial.get()],
        ),
        Record::Changed(trial, changes) => changes.iter().try_for_each(|change| match change {
            Change::Source(name) => {
                run("DELETE FROM measurement WHERE job = ? AND trial = ?", params![job, trial.get()])?;
                run("UPDATE trial SET run = ? WHERE job = ? AND id = ?", params![name.as_str(), job, trial.get()])
            }
            Change::Rewind(from) => run(
                "DELETE FROM measurement WHERE job = ? AND trial = ? AND step >= ?",
                params![job, trial.get(), from.0],
            ),
            Change::Point(point) => run(
                "INSERT OR REPLACE INTO measurement (job, trial, step, value, wall_time) VALUES (?, ?, ?, ?, ?)",
                params![job, trial.get(), point.step.0, point.value.as_f64(), point.wall_time.0],
            ),
        }),
        Record::StopDecided(trial, at, reason) => {
            let reason = serde_json::to_string(reason).unwrap_or_default();
            run(
                "INSERT INTO decision (job, trial, at_ms, kind, reason) VALUES (?, ?, ?, 'stop', ?)",
                params![job, trial.get(), at.as_millisecond(), reason],
            )
        }
        Record::Retried(trial, at, outcome, attempt) => {
            let outcome = serde_json::to_string(outcome).unwrap_or_default();
            run(
                "UPDATE trial SET attempt = ?, attempt_ms = NULL, waiting = ? WHERE job = ? AND id = ?",
                params![attempt, outcome, job, trial.get()],
            )?;
            run(
                "INSERT INTO decision (job, trial, at_ms, kind, reason) VALUES (?, ?, ?, 'retry', ?)",
                params![job, trial.get(), at.as_millisecond(), outcome],
            )
        }
        Record::Ended(trial, at, outcome) => {
            let outcome = serde_json::to_string(outcome).unwrap_or_default();
            run(
                "UPDATE trial SET ended_ms = ?, outcome = ? WHERE job = ? AND id = ?",
                params![at.as_millisecond(), outcome, job, trial.get()],
            )
        }
        Record::CancelDecided(at) => {
            run("UPDATE job SET state = 'CANCELLING' WHERE number = ?", params![job])?;
            run(
                "INSERT INTO decision (job, at_ms, kind, reason) VALUES (?, ?, 'cancel', '{}')",
                params![job, at.as_millisecond()],
            )
        }
        Record::JobEnded(at, JobEnd { state, message }) => run(
            "UPDATE job SET state = ?, message = ?, ended_ms = ?, holder = NULL WHERE number = ?",
            params![state.name(), message, at.as_millisecond(), job],
        ),
    }
}

fn to_json(values: &Assignment) -> String {
    let entries = values.iter().map(|(name, value)| {
        let value = match value {
            ParamValue::Number(number) => Json::from(*number),
            ParamValue::Text(text) => Json::from(&**text),
        };
        (name.to_owned(), value)
    });
    Json::Object(entries.collect::<Map<_, _>>()).to_string()
}

fn from_json(text: &str) -> Assignment {
    let values: Map<String, Json> = serde_json::from_str(text).unwrap_or_default();
    let value = |(name, value): (String, Json)| {
        let value = match value {
            Json::String(text) => ParamValue::Text(text.into()),
            other => ParamValue::Number(other.as_f64()?),
        };
        Some((Arc::from(name), value))
    };
    Assignment(values.into_iter().filter_map(value).collect())
}

fn read_trial(row: &Row<'_>) -> rusqlite::Result<Trial> {
    let params: String = row.get("params")?;
    let number: u32 = row.get("id")?;
    let mut trial = Trial::suggested(TrialId::after(number.saturating_sub(1)), from_json(&params));
    if let Some(run) = row.get::<_, Option<String>>("run")? {
        trial.curve.start_over(run.as_str().into());
    }
    trial.started_at = time(row, "started_ms")?;
    trial.ended_at = time(row, "ended_ms")?;
    trial.attempt = row.get("attempt")?;
    trial.attempt_at = time(row, "attempt_ms")?;
    let outcome = |column: &str| -> rusqlite::Result<Option<Outcome>> {
        let text: Option<String> = row.get(column)?;
        Ok(text.and_then(|text| serde_json::from_str(&text).ok()))
    };
    trial.stage = match (outcome("outcome")?, outcome("waiting")?) {
        (Some(outcome), _) => Stage::Ended(outcome),
        (None, Some(before)) => Stage::Waiting(Timestamp::default(), before),
        (None, None) if trial.attempt_at.is_some() => Stage::Running,
        (None, None) => Stage::Suggested,
    };
    let stop: Option<String> = row.get("stop")?;
    trial.stop = stop.and_then(|text| serde_json::from_str(&text).ok());
    Ok(trial)
}

fn read_holder(row: &Row<'_>) -> rusqlite::Result<Option<(ProcessIdentity, Timestamp)>> {
    let text: Option<String> = row.get("holder")?;
    let holder = text.and_then(|text| serde_json::from_str(&text).ok());
    Ok(holder.zip(time(row, "heartbeat_ms")?))
}

fn time(row: &Row<'_>, column: &str) -> rusqlite::Result<Option<Timestamp>> {
    let ms: Option<i64> = row.get(column)?;
    Ok(ms.and_then(|ms| Timestamp::from_millisecond(ms).ok()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::controller::JobState;
    use crate::series::Point;
    use crate::study::StopReason;
    use crate::units::MetricValue;

    fn at(ms: i64) -> Timestamp {
        Timestamp::from_millisecond(ms).expect("a time")
    }

    fn new_job(id: &str) -> NewJob {
        NewJob {
            id: id.into(),
            config: "a: 1\n".into(),
            seed: u64::MAX,
            command: vec!["sh".into(), "-c".into(), "a \"b\"".into()],
            job_dir: "/tmp/x".into(),
            created_at: at(5),
            directory: "/".into(),
            deadline: Some(at(99)),
            previous: None,
        }
    }

    fn point(step: i64, value: f64) -> Change {
        Change::Point(Point { step: Step(step), wall_time: WallTime(1.5), value: MetricValue::F64(value) })
    }

    #[test]
    fn what_was_stored_reads_back_after_opening_again() {
        let directory = tempfile::tempdir().expect("a directory");
        let path = directory.path().join("state/hptune.db");
        let id = TrialId::after(0);
        let values = Assignment(vec![
            ("lr".into(), ParamValue::Number(0.1 + 0.2)),
            ("opt".into(), ParamValue::Text("a 'b'".into())),
        ]);
        let reason = StopReason::Median { step: 3, best: 0.1, median: 0.3, n_trials: 5 };
        let mut store = Store::open(&path).expect("it opens");
        let job = store.create_job(&new_job("one")).expect("it is new");
        let changes = vec![Change::Source("eval".into()), point(1, 0.5), point(2, 0.9), point(3, f64::NAN)];
        let records = [
            Record::Suggested(id, values.clone()),
            Record::Started(id, at(10), 1),
            Record::Changed(id, changes),
            Record::Changed(id, vec![Change::Rewind(Step(2)), point(2, f64::NEG_INFINITY), point(4, 0.25)]),
            Record::StopDecided(id, at(20), reason),
            Record::Ended(id, at(30), Outcome::StoppedEarly),
            Record::JobEnded(at(40), JobEnd { state: JobState::Succeeded, message: Some("m".into()) }),
        ];
        store.write(job, &records).expect("it is stored");
        drop(store);

        let job = Store::open(&path).expect("it opens").job("one").expect("it reads").expect("it is there");
        assert_eq!(
            (job.state.as_str(), job.message.as_deref(), job.ended_at),
            ("SUCCEEDED", Some("m"), Some(at(40)))
        );
        assert_eq!((job.job.seed, job.job.command), (u64::MAX, new_job("one").command));
        let trial = &job.trials[0];
        assert_eq!((&trial.params, trial.stop), (&values, Some(reason)));
        assert_eq!((trial.started_at, trial.ended_at), (Some(at(10)), Some(at(30))));
        assert_eq!(trial.outcome(), Some(&Outcome::StoppedEarly));
        assert_eq!(trial.curve.run(), Some(&"eval".into()));
        let points: Vec<_> = trial.curve.points().iter().map(|m| (m.step.0, m.value)).collect();
        assert_eq!(points, [(1, 0.5), (2, f64::NEG_INFINITY), (4, 0.25)]);

        let jobs = Store::open(&path).expect("it opens").jobs().expect("it reads");
        let points: Vec<_> = jobs[0].trials[0].curve.points().iter().map(|m| (m.step.0, m.value)).collect();
        assert_eq!(points, [(1, 0.5), (4, 0.25)]);
    }

    #[test]
    fn a_job_of_the_same_name_is_refused() {
        let directory = tempfile::tempdir().expect("a directory");
        let mut store = Store::open(&directory.path().join("db")).expect("it opens");
        store.create_job(&new_job("one")).expect("it is new");
        assert!(matches!(store.create_job(&new_job("one")), Err(StoreError::JobExists(_))));
        assert_eq!(store.jobs().expect("it reads").len(), 1);
    }

    #[test]
    fn nan_is_kept() {
        let directory = tempfile::tempdir().expect("a directory");
        let mut store = Store::open(&directory.path().join("db")).expect("it opens");
        let job = store.create_job(&new_job("one")).expect("it is new");
        let id = TrialId::after(0);
        let records =
            [Record::Suggested(id, Assignment::default()), Record::Changed(id, vec![point(1, f64::NAN)])];
        store.write(job, &records).expect("it is stored");
        let job = store.job("one").expect("it reads").expect("it is there");
        assert!(job.trials[0].curve.points()[0].value.is_nan());
    }

    #[test]
    fn a_database_of_a_newer_program_is_left_alone() {
        let directory = tempfile::tempdir().expect("a directory");
        let path = directory.path().join("db");
        drop(Store::open(&path).expect("it opens"));
        let connection = Connection::open(&path).expect("it opens");
        connection.pragma_update(None, "user_version", 99).expect("it is set");
        assert!(matches!(Store::open(&path), Err(StoreError::TooNew { got: 99, .. })));
    }

    #[test]
    fn a_file_that_is_no_database_is_refused() {
        let directory = tempfile::tempdir().expect("a directory");
        let path = directory.path().join("db");
        fs::write(&path, "this is not a database, whatever its name says".repeat(20)).expect("it is written");
        let error = Store::open(&path).expect_err("it is no database");
        assert!(error.to_string().contains("not a database"), "{error}");
    }

    #[test]
    fn one_process_at_a_time_holds_a_job() {
        let directory = tempfile::tempdir().expect("a directory");
        let path = directory.path().join("db");
        let mut first = Store::open(&path).expect("it opens");
        let job = first.create_job(&new_job("one")).expect("it is new");
        first.hold(job).expect("nobody has it");
        let mut second = Store::open(&path).expect("it opens");
        let refused = second.hold(job).expect_err("it is held");
        assert!(
            refused.to_string().contains(&format!("is run by process {}", std::process::id())),
            "{refused}"
        );
        assert!(second.job("one").expect("it reads").is_some_and(|job| job.is_held()));
        // A holder that is gone, though its number is used again, holds nothing.
        let gone = ProcessIdentity { start: 1, ..ProcessIdentity::own() };
        let set_holder = |holder: &ProcessIdentity, heard_of: Timestamp| {
            let holder = serde_json::to_string(holder).expect("it is written");
            let connection = Connection::open(&path).expect("it opens");
            let update = "UPDATE job SET holder = ?, heartbeat_ms = ?";
            connection.execute(update, params![holder, heard_of.as_millisecond()]).expect("it is set");
        };
        set_holder(&gone, Timestamp::now());
        second.hold(job).expect("its holder is gone");
        let records = [Record::Suggested(TrialId::after(0), Assignment::default())];
        second.write(job, &records).expect("it has it");
        // One that cannot be seen holds it until nothing was heard of it for long.
        let elsewhere = ProcessIdentity { host: "other".into(), boot: "other".into(), ..gone };
        set_holder(&elsewhere, Timestamp::now());
        assert!(matches!(second.write(job, &[]), Err(StoreError::TakenOver(_))), "it lost it");
        assert!(matches!(first.hold(job), Err(StoreError::Held { .. })));
        let long_ago = Timestamp::now().checked_sub(LEASE_EXPIRY).expect("a time");
        set_holder(&elsewhere, long_ago);
        first.hold(job).expect("nobody has heard of it");
    }

    #[test]
    fn a_database_of_version_1_is_brought_to_this_one() {
        let directory = tempfile::tempdir().expect("a directory");
        let path = directory.path().join("db");
        let connection = Connection::open(&path).expect("it opens");
        connection
            .execute_batch(
                "CREATE TABLE job (number INTEGER PRIMARY KEY, id TEXT NOT NULL UNIQUE, state TEXT NOT NULL, message TEXT,
                     created_ms INTEGER NOT NULL, ended_ms INTEGER, config TEXT NOT NULL, seed INTEGER NOT NULL,
                     command TEXT NOT NULL, job_dir TEXT NOT NULL) STRICT;
                 CREATE TABLE trial (job INTEGER NOT NULL, id INTEGER NOT NULL, params TEXT NOT NULL, run TEXT,
                     started_ms INTEGER, ended_ms INTEGER, outcome TEXT, PRIMARY KEY (job, id)) STRICT, WITHOUT ROWID;
                 CREATE TABLE measurement (job INTEGER NOT NULL, trial INTEGER NOT NULL, step INTEGER NOT NULL, value REAL,
                     wall_time REAL, PRIMARY KEY (job, trial, step)) STRICT, WITHOUT ROWID;
                 CREATE TABLE decision (number INTEGER PRIMARY KEY, job INTEGER NOT NULL, trial INTEGER,
                     at_ms INTEGER NOT NULL, kind TEXT NOT NULL, reason TEXT NOT NULL) STRICT;
                 INSERT INTO job VALUES (1, 'old', 'RUNNING', NULL, 5, NULL, 'a: 1', 7, '[]', '/x');
                 INSERT INTO trial VALUES (1, 1, '{\"x\":1}', NULL, 9, NULL, NULL);
                 PRAGMA user_version = 1;",
            )
            .expect("it is made");
        drop(connection);
        let job =
            Store::open_to_read(&path).expect("it opens").job("old").expect("it reads").expect("it is there");
        let trial = &job.trials[0];
        assert_eq!((trial.attempt, trial.attempt_at, &trial.stage), (1, Some(at(9)), &Stage::Running));
        assert!(!job.is_held() && job.job.deadline.is_none());
    }
}
