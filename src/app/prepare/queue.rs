//! A job that another process is to execute: checked whole, and put into the queue of its store.

use std::path::PathBuf;

use super::directories::{make_writable, refuse_used, unmake};
use super::{Checked, Request, check, draw_seed, earlier, working_directory};
use crate::app::{Failure, packages};
use crate::edge::clock::Clock;
use crate::edge::remote::local_dir;
use crate::edge::store::{NewJob, Resource, Store, StoreError};
use crate::engine;
use crate::study::{Config, Problem};

/// Finds the file that an address in an object store stands for, where it is on this machine.
pub type OnThisMachine<'a> = dyn Fn(&str) -> Option<PathBuf> + 'a;

/// Why a job was not put into the queue. Nothing was made then.
#[derive(Debug)]
pub enum QueueError {
    /// The request cannot be carried out as it is.
    Refused(Failure),
    /// The store failed, or has a job of this name. Of the former [`StoreError::may_pass`] says whether trying again helps.
    Store(StoreError),
}

impl From<Failure> for QueueError {
    fn from(failure: Failure) -> Self {
        Self::Refused(failure)
    }
}

/// A configuration with its notes and warnings, or all that is wrong with it.
pub type ReadConfig = Result<(Config, Vec<Problem>), Vec<Problem>>;

/// Reads a configuration for a job of this store, which has the job that it continues.
///
/// # Errors
/// The job that it continues is not there, is not over, or cannot be read. The inner error is all that is wrong with the
/// configuration itself.
pub fn read_for(store: &Store, text: &str) -> Result<ReadConfig, Failure> {
    let previous = match Config::previous_job_id(text) {
        Some(id) => Some(earlier::previous_spec(store, &id)?),
        None => None,
    };
    Ok(Config::read_continuing(text, previous.as_ref(), Some(&engine::names())))
}

/// Checks a request whole and puts its job into the queue: whoever takes it up executes it. The packages of the
/// configuration that are on this machine are copied into the job's directory. The answer has the notes about the
/// configuration too.
///
/// # Errors
/// As of [`super::prepare`], but for packages that are elsewhere: those are fetched when the job is taken up.
pub fn queue(
    store: &mut Store,
    request: Request,
    resource: Resource,
    on_this_machine: &OnThisMachine<'_>,
) -> Result<(NewJob, Vec<String>), QueueError> {
    let directory = working_directory()?;
    let created_at = Clock::start().now();
    let checked = check(&request, store, created_at)?;
    let Checked { config, mut notes, words: _, job_id, job_dir, earlier, machine: _ } = checked;
    let first = earlier.first.get();
    let local = local_dir(&job_dir, &directory, &job_id);
    refuse_used(&job_dir, &local, first..=first.saturating_add(config.spec.max_trials - 1))?;
    let made = make_writable(&local)?;
    packages::place(&config, &local, on_this_machine).inspect_err(|_| unmake(&made))?;
    notes.extend(earlier.note());
    let job = NewJob {
        id: job_id,
        seed: request.seed.or(config.seed).unwrap_or_else(|| draw_seed(created_at)),
        config: request.config_text,
        command: request.command,
        job_dir,
        created_at,
        directory,
        // Its time runs from when it is taken up.
        deadline: None,
        previous: config.previous,
        max_trials: None,
        resource,
    };
    store.queue_job(&job).map_err(|e| {
        unmake(&made);
        QueueError::Store(e)
    })?;
    Ok((job, notes))
}
