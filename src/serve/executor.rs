//! The process of one submitted job: it takes the job up, runs it to its end, and writes down what it has to say.

use std::fs::{self, File, OpenOptions};
use std::io::Write;
use std::path::Path;

use jiff::Timestamp;
use rustix::process::setsid;
use serde_json::Value as Json;

use crate::app::prepare::{resume, resume_to_cancel, store_failure};
use crate::app::run::run;
use crate::app::{Failure, FailureKind};
use crate::edge::host::lower_handle_limit;
use crate::edge::process_tree::ProcessIdentity;
use crate::edge::store::{JobHead, NewJob, Store};
use crate::layout::OWN_DIRECTORY;
use crate::report::{JobEvent, JobEventKind, jsonl};
use crate::study::{FinalState, JobEnd, Record, State};

pub use super::launcher::EXECUTOR_VERB;

/// The file of a job's events below the directory of its records: one JSON object a line, as `docs/events.md` has
/// them, each with its time under `at`. Values are left out: the store has them.
pub const EVENTS_FILE: &str = "job.jsonl";

/// Which job, and what for.
#[derive(Debug, Clone)]
pub struct Order<'a> {
    /// The store.
    pub store: &'a Path,
    /// The job.
    pub id: &'a str,
    /// Whether it is taken up only to be cancelled.
    pub is_to_cancel: bool,
    /// How many file handles the service had before it raised that for itself: trainers get no more.
    pub handles: Option<u64>,
}

/// Executes a job of the store that waits in the queue or was interrupted, or only cancels it. One that another process
/// has, or that is over, is left alone.
///
/// # Errors
/// It cannot be taken up; one that had not begun has failed then, and the store says why.
pub fn execute(order: &Order<'_>, tell: &mut dyn FnMut(&str)) -> Result<u8, Failure> {
    let Order { store, id, is_to_cancel, handles } = *order;
    if let Some(handles) = handles {
        lower_handle_limit(handles);
    }
    // A signal from the service's terminal is not for this process. It fails where it leads a session already.
    let _ = setsid();
    let taken = if is_to_cancel { resume_to_cancel(store, id, tell) } else { resume(store, id, None, tell) };
    let plan = match taken {
        Ok(plan) => plan,
        Err(failure) => return give_up(store, id, failure),
    };
    let mut events = Events::of(&plan.job);
    let finished = run(plan, &mut |event| events.add(event))?;
    Ok(finished.exit_code())
}

/// What becomes of a job that could not be taken up.
fn give_up(path: &Path, id: &str, failure: Failure) -> Result<u8, Failure> {
    let mut store = Store::open(path).map_err(store_failure)?;
    let Some(head) = store.head(id).map_err(store_failure)? else { return Err(failure) };
    if head.state.is_over() || head.holder.as_ref().is_some_and(|_| head.is_held() && !is_own(&head)) {
        return Ok(0);
    }
    // A store that is locked for now says nothing of the job: it is taken up again.
    let is_fault = failure.kind != FailureKind::Busy;
    if is_fault && matches!(head.state, State::Queued | State::Preparing) {
        store.hold(head.number).map_err(store_failure)?;
        let now = Timestamp::now();
        let end = JobEnd { state: FinalState::Failed, message: Some(failure.to_string()) };
        let records = [Record::FailDecided(now, failure.to_string()), Record::JobEnded(now, end)];
        store.write(head.number, &records).map_err(store_failure)?;
    }
    Err(failure)
}

fn is_own(head: &JobHead) -> bool {
    head.holder.as_ref().is_some_and(|(holder, _)| *holder == ProcessIdentity::own())
}

/// Where the events of a job are written; see [`EVENTS_FILE`].
pub(super) struct Events(Option<File>);

impl Events {
    pub(super) fn of(job: &NewJob) -> Self {
        let path = events_of(job);
        let directory = path.parent().map_or(Ok(()), fs::create_dir_all);
        // What cannot be written down is not worth a job.
        Self(directory.and_then(|()| OpenOptions::new().create(true).append(true).open(path)).ok())
    }

    pub(super) fn add(&mut self, event: &JobEvent) {
        let Some(file) = self.0.as_mut().filter(|_| !matches!(event.kind, JobEventKind::Point { .. })) else {
            return;
        };
        let Json::Object(fields) = jsonl::to_json(event) else { return };
        let mut line = serde_json::Map::from_iter([("at".to_owned(), Json::from(event.at.to_string()))]);
        line.extend(fields);
        let _ = file.write_all(format!("{}\n", Json::Object(line)).as_bytes());
    }
}

/// The file of a job's events.
pub(super) fn events_of(job: &NewJob) -> std::path::PathBuf {
    job.local_dir().join(OWN_DIRECTORY).join(EVENTS_FILE)
}
