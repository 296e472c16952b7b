//! The tables, their versions, and how a connection is set up.
//!
//! From version 3 on the schema changes by additions only: a process that opened the database with a program of version 3
//! goes on writing after another process has brought the schema to this version, since no table or column that it
//! writes is renamed, narrowed or made mandatory. Such a process does not raise `job.revision`.

use std::path::{Path, PathBuf};

use rusqlite::{Connection, Transaction, TransactionBehavior};

use super::copy::copy_beside;
use crate::limits::STORE_BUSY_TIMEOUT;

/// The version of the schema, kept in `PRAGMA user_version`.
pub(super) const SCHEMA_VERSION: i64 = 6;

const SCHEMA: &str = "
    CREATE TABLE job (
        number     INTEGER PRIMARY KEY,
        id         TEXT NOT NULL UNIQUE,
        state      TEXT NOT NULL,            -- the name of a study::State
        message    TEXT,                     -- why it failed, from when that is decided; or of its end
        created_ms INTEGER NOT NULL,         -- milliseconds since the Unix epoch, as all times here
        ended_ms   INTEGER,
        config     TEXT NOT NULL,            -- the configuration file as it was given
        seed       INTEGER NOT NULL,
        command    TEXT NOT NULL,            -- JSON array of strings
        job_dir    TEXT NOT NULL,            -- empty: a study whose trials somebody else executes
        directory  TEXT NOT NULL DEFAULT '',     -- where the trainers run
        deadline_ms INTEGER,                     -- when all is to be over
        previous   TEXT,                         -- the id of the job that this one continues
        holder     TEXT,                         -- JSON: the process that runs it; NULL: none
        heartbeat_ms INTEGER,                    -- when that was last heard of
        config_format TEXT NOT NULL DEFAULT 'ml.v1', -- the name of a ConfigFormat
        owner      TEXT,                         -- the resource that it belongs to, such as owners/O
        display_name TEXT,
        labels     TEXT,                         -- JSON object of strings; NULL: those of the configuration
        started_ms INTEGER,                      -- when it left the queue; NULL: not yet, or at created_ms
        revision   INTEGER NOT NULL DEFAULT 0,   -- rises with each change of the job and of what belongs to it
        changed_ms INTEGER,                      -- when it last rose
        max_trials INTEGER                       -- how many trials it has since it was extended; NULL: as configured
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
        client     TEXT,                     -- the id of the client that executes it
        PRIMARY KEY (job, id)
    ) STRICT, WITHOUT ROWID;
    CREATE TABLE decision (
        number     INTEGER PRIMARY KEY,
        job        INTEGER NOT NULL REFERENCES job(number),
        trial      INTEGER,                  -- NULL: the whole job
        at_ms      INTEGER NOT NULL,
        kind       TEXT NOT NULL,            -- stop, retry, cancel, fail
        reason     TEXT NOT NULL             -- JSON
    ) STRICT;
";

/// Of each trial the values by pass and step.
const MEASUREMENTS: &str = "
    CREATE TABLE measurement (
        job        INTEGER NOT NULL,
        trial      INTEGER NOT NULL,
        pass       INTEGER NOT NULL DEFAULT 0,   -- over the steps, from 0; earlier versions write none
        step       INTEGER NOT NULL,
        value      REAL,                     -- NULL is NaN
        wall_time  REAL,                     -- seconds since the Unix epoch; NULL is NaN
        PRIMARY KEY (job, trial, pass, step),
        FOREIGN KEY (job, trial) REFERENCES trial(job, id)
    ) STRICT, WITHOUT ROWID;
";

/// What services keep beside a job's course.
const FOR_SERVICES: &str = "
    CREATE INDEX job_name ON job(owner, display_name);
    CREATE TABLE request (
        number     INTEGER PRIMARY KEY,
        job        INTEGER NOT NULL REFERENCES job(number),
        kind       TEXT NOT NULL,            -- cancel, stop
        trial      INTEGER,                  -- NULL: the whole job
        asked_by   TEXT NOT NULL,
        asked_ms   INTEGER NOT NULL,
        taken_ms   INTEGER                   -- when the decision that answers it was stored; NULL: not yet
    ) STRICT;
    CREATE INDEX request_waiting ON request(job) WHERE taken_ms IS NULL;
    CREATE TABLE measurement_detail (        -- of measurements that a client has reported
        job        INTEGER NOT NULL,
        trial      INTEGER NOT NULL,
        pass       INTEGER NOT NULL,
        step       INTEGER NOT NULL,
        elapsed_s  REAL,                     -- seconds since the trial's start, by the client's clock
        metrics    TEXT NOT NULL,            -- JSON object: metrics beside the objective
        PRIMARY KEY (job, trial, pass, step),
        FOREIGN KEY (job, trial) REFERENCES trial(job, id)
    ) STRICT, WITHOUT ROWID;
    CREATE TABLE metadata (
        job        INTEGER NOT NULL REFERENCES job(number),
        trial      INTEGER NOT NULL,         -- 0: the study
        namespace  TEXT NOT NULL,
        key        TEXT NOT NULL,
        value      ANY NOT NULL,             -- TEXT or BLOB
        PRIMARY KEY (job, trial, namespace, key)
    ) STRICT, WITHOUT ROWID;
";

/// What sidecars report of trials that run elsewhere.
const REPORTS: &str = "
    CREATE TABLE report (
        number     INTEGER PRIMARY KEY,
        job        INTEGER NOT NULL REFERENCES job(number),
        trial      INTEGER NOT NULL,
        key        TEXT NOT NULL,            -- of the request that brought it
        lines      TEXT NOT NULL,            -- JSON array of objects
        at_ms      INTEGER NOT NULL,
        UNIQUE (job, trial, key)
    ) STRICT;
    CREATE INDEX report_of_job ON report(job, number);
    CREATE INDEX decision_of_trial ON decision(job, trial);
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

/// Version 2 knew one pass only.
const BEFORE_VERSION_3: &str = "ALTER TABLE measurement RENAME TO measurement_of_one_pass;";
const FROM_VERSION_2: &str = "
    INSERT INTO measurement (job, trial, pass, step, value, wall_time)
        SELECT job, trial, 0, step, value, wall_time FROM measurement_of_one_pass;
    DROP TABLE measurement_of_one_pass;
";

/// What version 3 lacks, beside [`FOR_SERVICES`].
const FROM_VERSION_3: &str = "
    ALTER TABLE job ADD COLUMN config_format TEXT NOT NULL DEFAULT 'ml.v1';
    ALTER TABLE job ADD COLUMN owner TEXT;
    ALTER TABLE job ADD COLUMN display_name TEXT;
    ALTER TABLE job ADD COLUMN labels TEXT;
    ALTER TABLE job ADD COLUMN started_ms INTEGER;
    ALTER TABLE job ADD COLUMN revision INTEGER NOT NULL DEFAULT 0;
    ALTER TABLE job ADD COLUMN changed_ms INTEGER;
    ALTER TABLE trial ADD COLUMN client TEXT;
";

/// What version 5 lacks.
const FROM_VERSION_5: &str = "ALTER TABLE job ADD COLUMN max_trials INTEGER;";

pub(super) fn is_busy(error: &rusqlite::Error) -> bool {
    matches!(
        error.sqlite_error_code(),
        Some(rusqlite::ErrorCode::DatabaseBusy | rusqlite::ErrorCode::DatabaseLocked)
    )
}

/// What a database holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Holds {
    /// No table: it is new, or whoever made it was killed before it had any.
    Nothing,
    /// Our tables, of this version.
    Jobs(i64),
    /// Tables of another program.
    SomethingElse,
}

/// Looks at what a database holds, and changes nothing.
pub(super) fn look(connection: &Connection) -> rusqlite::Result<Holds> {
    const TABLES: &str = "
        SELECT count(*), count(*) FILTER (WHERE type = 'table' AND name IN ('job', 'trial', 'measurement', 'decision'))
        FROM sqlite_master";
    connection.busy_timeout(STORE_BUSY_TIMEOUT)?;
    // In this order: whoever makes the tables meanwhile makes the version with them.
    let (n, n_ours): (i64, i64) = connection.query_row(TABLES, [], |row| Ok((row.get(0)?, row.get(1)?)))?;
    let version = connection.query_row("PRAGMA user_version", [], |row| row.get(0))?;
    Ok(match (n, n_ours) {
        (0, _) => Holds::Nothing,
        (_, 4) if version > 0 => Holds::Jobs(version),
        _ => Holds::SomethingElse,
    })
}

/// Makes the tables of this version in an empty database.
pub(super) fn make(connection: &mut Connection) -> rusqlite::Result<()> {
    let transaction = connection.transaction()?;
    migrate(&transaction, 0)?;
    transaction.commit()
}

/// Why a database could not be brought to this version. It is as it was.
#[derive(Debug)]
pub(super) enum PrepareError {
    Database(rusqlite::Error),
    /// The copy could not be made.
    Copy {
        copy: PathBuf,
        error: std::io::Error,
    },
}

impl From<rusqlite::Error> for PrepareError {
    fn from(error: rusqlite::Error) -> Self {
        Self::Database(error)
    }
}

/// What [`prepare`] found and did.
#[derive(Debug)]
pub(super) struct Prepared {
    /// The version that the database had; 0 of a new one.
    pub(super) found: i64,
    /// The copy of it that was made, where its schema was brought to a newer version.
    pub(super) copy: Option<PathBuf>,
}

/// Sets the connection up and brings the schema to this version, in one transaction. Where tables of an older version
/// are there, the database is copied before: see [`copy_beside`]. One of a newer version is left as it is.
pub(super) fn prepare(connection: &mut Connection, path: &Path) -> Result<Prepared, PrepareError> {
    connection.busy_timeout(STORE_BUSY_TIMEOUT)?;
    connection.pragma_update(None, "journal_mode", "WAL")?;
    connection.pragma_update(None, "synchronous", "FULL")?;
    connection.pragma_update(None, "foreign_keys", true)?;
    let transaction = connection.transaction_with_behavior(TransactionBehavior::Immediate)?;
    let found = transaction.query_row("PRAGMA user_version", [], |row| row.get(0))?;
    // Nobody else writes while this transaction lasts: the copy is what the transaction changes.
    let copy = (1..SCHEMA_VERSION).contains(&found).then(|| copy_beside(path, found)).transpose()?;
    migrate(&transaction, found)?;
    transaction.commit()?;
    Ok(Prepared { found, copy })
}

fn migrate(transaction: &Transaction<'_>, found: i64) -> rusqlite::Result<()> {
    match found {
        0 => [SCHEMA, MEASUREMENTS, FOR_SERVICES, REPORTS]
            .iter()
            .try_for_each(|sql| transaction.execute_batch(sql))?,
        1..SCHEMA_VERSION => {
            if found < 2 {
                transaction.execute_batch(FROM_VERSION_1)?;
            }
            if found < 3 {
                let steps = [BEFORE_VERSION_3, MEASUREMENTS, FROM_VERSION_2];
                steps.iter().try_for_each(|sql| transaction.execute_batch(sql))?;
            }
            if found < 4 {
                [FROM_VERSION_3, FOR_SERVICES].iter().try_for_each(|sql| transaction.execute_batch(sql))?;
            }
            if found < 5 {
                transaction.execute_batch(REPORTS)?;
            }
            transaction.execute_batch(FROM_VERSION_5)?;
        }
        _ => return Ok(()),
    }
    transaction.pragma_update(None, "user_version", SCHEMA_VERSION)
}
