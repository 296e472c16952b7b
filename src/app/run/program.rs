//! One job as a program: what a process has once, the runtime, the signals and the orphans.

use std::convert::Infallible;

use super::{Finished, Job, Notice};
use crate::app::Failure;
use crate::app::prepare::Plan;
use crate::edge::process::{adopt_orphans, collect_orphans};
use crate::edge::signals::{HANGUP, SignalEvent, Signals};
use crate::limits::REAP_INTERVAL;
use crate::report::JobEvent;
use crate::suggest;

/// Runs a job to its end as all that this process does. What happens is told to `tell`.
///
/// # Errors
/// The store or the system failed; every trial is stopped then.
pub fn run(plan: Plan, tell: &mut dyn FnMut(&JobEvent)) -> Result<Finished, Failure> {
    let failed = |e: std::io::Error| Failure::outside(format!("cannot start: {e}"));
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().map_err(failed)?;
    runtime.block_on(async {
        let mut signals =
            Signals::listen().map_err(|e| Failure::outside(format!("cannot listen for signals: {e}")))?;
        // What a supervisor that was killed leaves behind comes to us; without it to the system's init.
        let _ = adopt_orphans();
        let suggest = suggest::for_spec(&plan.config.spec);
        let job = Job::new(plan, suggest, tell)?;
        tokio::select! {
            ended = job.run(async || notice(&mut signals).await) => ended,
            never = collect_for_ever() => match never {},
        }
    })
}

/// The next signal that says something to a job.
async fn notice(signals: &mut Signals) -> Notice {
    loop {
        match signals.next().await {
            SignalEvent::Child => return Notice::ChildEnded,
            SignalEvent::End(HANGUP) => return Notice::HangUp,
            SignalEvent::End(signal) => return Notice::Interrupt(signal),
            SignalEvent::Other(_) => {}
        }
    }
}

/// Collects what supervisors that were killed left to us.
async fn collect_for_ever() -> Infallible {
    let mut interval = tokio::time::interval(REAP_INTERVAL);
    loop {
        interval.tick().await;
        collect_orphans();
    }
}
