//! `jobs cancel`: ends a job, whoever runs it.

use std::path::Path;
use std::thread;

use super::Failure;
use super::prepare::{resume_to_cancel, store_failure, unfinished};
use super::run::run;
use crate::edge::process_tree::Presence;
use crate::edge::store::Store;
use crate::limits::CANCEL_INTERVAL;
use crate::report::Report;
use crate::study::State;

/// Has the controller of a job stop its trials and end it, and waits for that; where none runs, this process does it.
/// What happens is told to `tell`. The answer is the job's state then: it may have come to its end before.
///
/// # Errors
/// The job is not there or is over; its controller cannot be reached from here; or the store or the system failed.
pub fn cancel(store_path: &Path, id: &str, tell: &mut dyn FnMut(&Report)) -> Result<State, Failure> {
    let mut note = |text: &str| tell(&Report::Note { trial: None, text: text.to_owned() });
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
    Ok(run(plan, tell)?.end.state.into())
}
