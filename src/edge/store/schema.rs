//! The tables, their versions, and how a connection is set up.

use rusqlite::{Connection, TransactionBehavior};

use crate::limits::STORE_BUSY_TIMEOUT;

/// The version of the schema, kept in `PRAGMA user_version`.
pub(super) const SCHEMA_VERSION: i64 = 3;

const SCHEMA: &str = "
    CREATE TABLE job (
        number     INTEGER PRIMARY KEY,
        id         TEXT NOT NULL UNIQUE,
        state      TEXT NOT NULL,            -- RUNNING, CANCELLING, SUCCEEDED, FAILED, CANCELLED
        message    TEXT,                     -- why it failed, from when that is decided; or of its end
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

/// Sets the connection up and brings the schema to this version. The answer is the version found,
/// where that is newer.
pub(super) fn prepare(connection: &mut Connection) -> rusqlite::Result<i64> {
    connection.busy_timeout(STORE_BUSY_TIMEOUT)?;
    connection.pragma_update(None, "journal_mode", "WAL")?;
    connection.pragma_update(None, "synchronous", "FULL")?;
    connection.pragma_update(None, "foreign_keys", true)?;
    let transaction = connection.transaction_with_behavior(TransactionBehavior::Immediate)?;
    let version = transaction.query_row("PRAGMA user_version", [], |row| row.get(0))?;
    if version == 0 {
        transaction.execute_batch(SCHEMA)?;
        transaction.execute_batch(MEASUREMENTS)?;
    }
    if version == 1 {
        transaction.execute_batch(FROM_VERSION_1)?;
    }
    if version == 1 || version == 2 {
        transaction.execute_batch(BEFORE_VERSION_3)?;
        transaction.execute_batch(MEASUREMENTS)?;
        transaction.execute_batch(FROM_VERSION_2)?;
    }
    if version < SCHEMA_VERSION {
        transaction.pragma_update(None, "user_version", SCHEMA_VERSION)?;
    }
    transaction.commit()?;
    Ok(version)
}
