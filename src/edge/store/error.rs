//! What can go wrong with a store.

use std::path::PathBuf;

use jiff::Timestamp;
use rusqlite::ErrorCode;

use super::job::Etag;
use super::rows;
use super::schema::{SCHEMA_VERSION, is_busy};
use crate::edge::process_tree::ProcessIdentity;
use crate::study::State;
use crate::units::TrialId;

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
    /// The database is of an older version and the copy that is to be made before it is changed cannot be made; it is
    /// as it was. Room on its disk, or the right to write beside it, helps.
    #[error(
        "store {path}: cannot be copied to {copy} before its schema is brought to version {SCHEMA_VERSION}: {error}"
    )]
    Copy {
        /// The database's file.
        path: PathBuf,
        /// The copy.
        copy: PathBuf,
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
    /// There is no job of this name. Another name helps.
    #[error("no job `{0}` is in the store")]
    NoJob(String),
    /// The job has no trial of this number. Another number helps.
    #[error("job `{job}` has no trial {trial}")]
    NoTrial {
        /// The job's name.
        job: String,
        /// The trial.
        trial: TrialId,
    },
    /// The trial is over: nothing of its course can be changed any more.
    #[error("trial {trial} of job `{job}` is over")]
    TrialOver {
        /// The job's name.
        job: String,
        /// The trial.
        trial: TrialId,
    },
    /// The job is over: nothing of its course can be changed any more.
    #[error("job `{job}` is over: {state}")]
    JobOver {
        /// The job's name.
        job: String,
        /// Its state.
        state: State,
    },
    /// The job has changed since it was read. Reading it again helps.
    #[error("job `{job}` has changed: got etag {got}, want {want}")]
    Changed {
        /// The job's name.
        job: String,
        /// The etag that the caller gave.
        got: Etag,
        /// The job's etag.
        want: Etag,
    },
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
