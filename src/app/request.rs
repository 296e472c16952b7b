//! `jobs cancel` and `jobs stop-trial`: requests to a job, whoever runs it and wherever.

use std::path::Path;
use std::thread;
use std::time::Instant;

use jiff::Timestamp;

use super::Failure;
use super::jobs::{describe, find};
use super::prepare::{find_job, resume_to_cancel, store_failure, unfinished};
use super::run::run;
use crate::edge::process_tree::{Presence, ProcessIdentity};
use crate::edge::store::{JobNumber, RequestKind, Store, StoreError, StoredJob};
use crate::limits::{CANCEL_INTERVAL, REQUEST_INTERVAL, REQUEST_PATIENCE};
use crate::report::{JobEvent, JobEventKind};
use crate::study::{FinalState, Outcome, State};

/// Has a job's trials stopped and the job ended, and waits for that. The request is in the store, where the process that
/// runs the job finds it; where none does, this process ends it. `each` gets what happens. The answer is the job's
/// state then: it may have come to its end before. A study of `tuner`, which has no process of ours, is over at once.
///
/// # Errors
/// The job is not there; the process that runs it does not take the request; or the store or the system
/// failed.
pub fn cancel(store_path: &Path, id: &str, each: &mut dyn FnMut(&JobEvent)) -> Result<State, Failure> {
    let mut note = |text: &str| {
        let kind = JobEventKind::Note { trial: None, text: text.to_owned() };
        each(&JobEvent { at: Timestamp::now(), kind });
    };
    let stored = find_job(store_path, id)?;
    if stored.is_over() {
        return Ok(stored.state);
    }
    if stored.job.is_study() {
        let mut store = Store::open(store_path).map_err(store_failure)?;
        store.end_study(stored.number, Timestamp::now()).map_err(store_failure)?;
        return Ok(FinalState::Cancelled.into());
    }
    if let Some(holder) = held_by(&stored) {
        let state = ask(store_path, id, RequestKind::Cancel, &holder)?;
        if state.is_over() {
            return Ok(state);
        }
        note(&format!("job {id} is run by process {}, which stops its trials now", holder.pid));
        let over = wait(store_path, id, RequestKind::Cancel, &holder, |store, _| {
            Ok(store.state(id)?.filter(|state| state.is_over()))
        })?;
        if let Some(state) = over {
            return Ok(state);
        }
        // It was killed meanwhile.
    }
    let plan = resume_to_cancel(store_path, id, &mut note)?;
    Ok(run(plan, each)?.end.state.into())
}

/// Has a trial of a job that runs stopped, and waits for that. What the trial has reported is its result. The answer is its
/// outcome: it may have ended by itself before.
///
/// # Errors
/// The job or the trial is not there or is over; no process runs the job; the process that does does not take the
/// request; or the store failed.
pub fn stop_trial(store_path: &Path, id: &str, trial: u32) -> Result<Outcome, Failure> {
    let stored = unfinished(store_path, id)?;
    let Some(holder) = held_by(&stored) else {
        let message = format!("no process runs job `{id}`: none of its trials goes on by itself");
        return Err(Failure::usage(message).with_hint(format!("`hptune jobs resume {id}` goes on with it")));
    };
    let trial = find(&describe(store_path, id)?, trial)?.id;
    let kind = RequestKind::StopTrial(trial);
    ask(store_path, id, kind, &holder)?;
    let outcome = wait(store_path, id, kind, &holder, |store, job| store.outcome(job, trial))?;
    outcome.ok_or_else(|| {
        Failure::outside(format!("process {}, which ran job `{id}`, is gone", holder.pid))
            .with_hint(format!("`hptune jobs resume {id}` goes on with the job, and stops the trial then"))
    })
}

/// The process that runs a job, as far as can be seen from here.
fn held_by(stored: &StoredJob) -> Option<ProcessIdentity> {
    stored.holder.as_ref().filter(|_| stored.is_held()).map(|(holder, _)| holder.clone())
}

/// Stores a request. The answer is the job's state then.
fn ask(store_path: &Path, id: &str, kind: RequestKind, holder: &ProcessIdentity) -> Result<State, Failure> {
    let own = ProcessIdentity::own();
    let by = format!("process {} on {}", own.pid, own.host);
    // One that somebody stopped takes no request, and may hold the store's lock.
    holder.wake();
    let mut store = Store::open(store_path).map_err(store_failure)?;
    store.request(id, kind, &by, Timestamp::now()).map_err(store_failure)
}

/// Waits until `look` finds something; `None` where the process that was to see to it is gone before.
fn wait<T, F>(
    store_path: &Path,
    id: &str,
    kind: RequestKind,
    holder: &ProcessIdentity,
    mut look: F,
) -> Result<Option<T>, Failure>
where
    F: FnMut(&Store, JobNumber) -> Result<Option<T>, StoreError>,
{
    let store = Store::open_to_read(store_path).map_err(store_failure)?;
    let number = store.number(id).map_err(store_failure)?;
    let asked_at = Instant::now();
    loop {
        // Looked at before: what it stored last is seen.
        let (is_there, pause) = match holder.presence() {
            Presence::Alive => (true, CANCEL_INTERVAL),
            Presence::Ended => (false, CANCEL_INTERVAL),
            Presence::OutOfSight => {
                let stored = store.job_to_resume(id).map_err(store_failure)?;
                (stored.is_some_and(|stored| stored.is_held()), REQUEST_INTERVAL)
            }
        };
        if let Some(found) = look(&store, number).map_err(store_failure)? {
            return Ok(Some(found));
        }
        if !is_there {
            return Ok(None);
        }
        let waits = || store.requests(number).map(|requests| requests.iter().any(|r| r.kind == kind));
        if asked_at.elapsed() > REQUEST_PATIENCE && waits().map_err(store_failure)? {
            let message = format!(
                "process {} on {}, which runs job `{id}`, has not taken the request in {} s",
                holder.pid,
                holder.host,
                REQUEST_PATIENCE.as_secs()
            );
            let hint = format!(
                "it takes it once it can; a program before this version takes none: `kill {}` there ends the job",
                holder.pid
            );
            return Err(Failure::outside(message).with_hint(hint));
        }
        thread::sleep(pause);
    }
}
