//! `jobs cancel`: ends a job, whoever runs it.

use std::path::Path;
use std::thread;

use jiff::Timestamp;

use super::Failure;
use super::prepare::{resume_to_cancel, store_failure, unfinished};
use super::run::run;
use crate::edge::process_tree::Presence;
use crate::edge::store::Store;
use crate::limits::CANCEL_INTERVAL;
use crate::report::{JobEvent, JobEventKind};
use crate::study::State;

/// Has the controller of a job stop its trials and end it, and waits for that; where none runs, this process does it.
/// `each` gets what happens. The answer is the job's state then: it may have come to its end before.
///
/// # Errors
/// The job is not there or is over; its controller cannot be reached from here; or the store or the system failed.
pub fn cancel(store_path: &Path, id: &str, each: &mut dyn FnMut(&JobEvent)) -> Result<State, Failure> {
    let mut note = |text: &str| {
        let kind = JobEventKind::Note { trial: None, text: text.to_owned() };
        each(&JobEvent { at: Timestamp::now(), kind });
    };
    let stored = unfinished(store_path, id)?;
    let is_held = stored.is_held();
    if let Some((holder, _)) = stored.holder.filter(|_| is_held) {
        if holder.presence() == Presence::OutOfSight {
            let message = format!(
                "job `{id}` is run by process {} on {}, which cannot be reached from here",
                holder.pid, holder.host
            );
            return Err(Failure::outside(message).with_hint("cancel it there"));
        }
        note(&format!("job {id} is run by process {}, which stops its trials now", holder.pid));
        holder.terminate();
        while holder.presence() == Presence::Alive {
            thread::sleep(CANCEL_INTERVAL);
        }
        let state = Store::open_to_read(store_path).and_then(|store| store.state(id));
        if let Some(state) = state.map_err(store_failure)?.filter(|state| state.is_over()) {
            return Ok(state);
        }
        // It was killed meanwhile.
    }
    let plan = resume_to_cancel(store_path, id, &mut note)?;
    Ok(run(plan, each)?.end.state.into())
}
