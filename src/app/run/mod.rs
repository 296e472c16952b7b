//! `run`: a job, executed.
//!
//! [`Job`] is one loop between the controller, the engine that runs attempts of trials, their event files and the store. It
//! asks nothing of the process that it is in but a Tokio runtime with timers: several jobs may run side by side in one.
//! What a process has once is [`run`]'s: the runtime, the signals, the orphans.

mod dry;
mod execute;
mod failure;
mod job;
mod left;
mod overview;
mod pending;
mod program;
pub(crate) mod remarks;
mod reported;
mod running;
mod suggester;
mod tell;

use crate::edge::store::NewJob;
use crate::study::{Config, FinalState, JobEnd, Trial};
pub use dry::{FirstTrial, first_trial};
pub use job::{Job, Notice};
pub use overview::{Searched, Setting};
pub use program::run;

/// How a job ended, with all that it found.
#[derive(Debug)]
pub struct Finished {
    /// The state and what there is to say.
    pub end: JobEnd,
    /// The study.
    pub config: Config,
    /// The job as it was stored.
    pub job: NewJob,
    /// Its trials.
    pub trials: Vec<Trial>,
    /// The signal that ended it, where one did.
    pub signal: Option<i32>,
}

impl Finished {
    /// The process's exit code: 0, 1 where no trial gave a result, 128 and the number of a signal.
    #[must_use]
    pub fn exit_code(&self) -> u8 {
        match (self.signal.and_then(|n| u8::try_from(n).ok()), self.end.state) {
            (Some(signal), _) => 128 + signal,
            (None, FinalState::Succeeded) => 0,
            (None, FinalState::Failed | FinalState::Cancelled) => 1,
        }
    }
}
