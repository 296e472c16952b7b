//! `jobs cancel`: ends a job, whoever runs it.

use std::path::Path;
use std::thread;

use super::Failure;
use super::prepare::{Plan, resume_to_cancel, store_failure, unfinished};
use crate::edge::process_tree::Presence;
use crate::edge::store::is_over;
use crate::limits::LOG_INTERVAL;

/// How a job is cancelled.
#[derive(Debug)]
pub enum Cancelling {
    /// Its controller ended it, in this state.
    Over(String),
    /// Nobody runs it: to run this plan cancels it.
    ToRun(Box<Plan>),
}

/// Has the controller of a job stop its trials and end it, and waits for that. What is waited for is told to `tell`.
///
/// # Errors
/// The job is not there or is over; its controller cannot be reached from here; or the store cannot be read.
pub fn cancel(store_path: &Path, id: &str, tell: &mut dyn FnMut(&str)) -> Result<Cancelling, Failure> {
    let (store, stored) = unfinished(store_path, id)?;
    let is_held = stored.is_held();
    if let Some((holder, _)) = stored.holder.filter(|_| is_held) {
        if holder.presence() == Presence::OutOfSight {
            let message = format!(
                "job `{id}` is run by process {} on {}, which cannot be reached from here",
                holder.pid, holder.host
            );
            return Err(Failure::outside(message).with_hint("cancel it there"));
        }
        tell(&format!("job {id} is run by process {}, which stops its trials now", holder.pid));
        holder.terminate();
        while holder.presence() == Presence::Alive {
            thread::sleep(LOG_INTERVAL);
        }
        let state = store.state(id).map_err(store_failure)?;
        if let Some(state) = state.filter(|state| is_over(state)) {
            return Ok(Cancelling::Over(state));
        }
        // It was killed meanwhile.
    }
    drop(store);
    resume_to_cancel(store_path, id, tell).map(|plan| Cancelling::ToRun(Box::new(plan)))
}
