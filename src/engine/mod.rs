//! Where attempts of trials run: one small trait, and one engine a folder.
//!
//! Layer 8. An engine starts what it is handed, says how it ended, and stops it. It knows nothing of objectives, stop rules and
//! the store; its callers know nothing of processes, control groups and GPUs.
//!
//! ```text
//!            submit                 Exited               Gone            release
//!   (new) ─────────────▶ running ───────────▶ ending ───────────▶ gone ───────────▶ Released
//!            reattach              stop(TERM)      stop(KILL)       files are read
//! ```
//!
//! A new engine is one folder here and one entry of `KINDS`.

pub mod local;
mod sidecar;

use std::io;
use std::path::PathBuf;
use std::time::Duration;

use jiff::Timestamp;

use crate::controller::Signal;
use crate::edge::host::HostError;
use crate::edge::store::NewJob;
use crate::study::{Assignment, Config, Exit, Replica};
use crate::units::TrialId;
use local::{LocalEngine, Machine};
use sidecar::SidecarEngine;

/// An attempt of a trial that is to be started.
#[derive(Debug, Clone, Copy)]
pub struct Attempt<'a> {
    /// The trial.
    pub trial: TrialId,
    /// Its parameters.
    pub params: &'a Assignment,
    /// Which attempt it is, from 1.
    pub number: u32,
}

/// What happened to an attempt since the last look.
#[derive(Debug, Clone, PartialEq)]
pub enum EngineEvent {
    /// The main replica has ended, in this way and at this time. Others may live on.
    Exited(TrialId, Exit, Timestamp),
    /// Another replica has ended before the main one, and not well.
    ReplicaFailed(TrialId, Replica, Exit),
    /// The main replica ended a while ago, and so many processes that it started are left.
    Lingers(TrialId, usize),
    /// Nothing of it is left, and all that it wrote is in its files.
    Gone(TrialId),
    /// Its slot can be used again. It follows [`Engine::release`] and [`EngineEvent::Gone`].
    Released(TrialId),
    /// What a slot needs is not to be had any more, for this reason, which the trial brought to light: there are so many
    /// slots less.
    SlotsLost(TrialId, usize, String),
}

/// What an attempt is that an earlier controller started.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Reattached {
    /// It was never started; nothing of it is there.
    NeverStarted,
    /// It runs, or ran: its events come.
    Attached {
        /// What the user should know, if anything.
        note: Option<String>,
        /// How and when its main replica ended, where it has: no event says so once more.
        ended: Option<(Exit, Timestamp)>,
    },
}

/// How an attempt ended, as far as its files are concerned.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Ending {
    /// How the main replica ended; `None` where nobody saw it.
    pub exit: Option<Exit>,
    /// The first other replica that did not end well while the main one ran.
    pub failed: Option<(Replica, Exit)>,
}

/// Runs attempts of trials. Calls return soon: what takes longer is told by [`Engine::poll`].
pub trait Engine: Send {
    /// Starts an attempt. One that an earlier controller started is attached to instead.
    ///
    /// # Errors
    /// What is lacking to start it; where [`HostError::shortage`] names it, another try may help. Nothing of the attempt is
    /// left.
    fn submit(&mut self, attempt: Attempt<'_>) -> Result<(), HostError>;

    /// Attaches to an attempt that an earlier controller started, or was about to start.
    ///
    /// # Errors
    /// What is lacking to look at it; where [`HostError::shortage`] names it, another try may help.
    fn reattach(&mut self, trial: TrialId, attempt: u32, now: Timestamp) -> Result<Reattached, HostError>;

    /// Undoes [`Engine::submit`] or [`Engine::reattach`], where the attempt cannot be followed: what was started is killed and
    /// counts as never started; what was attached to is left as it is.
    ///
    /// # Errors
    /// The record that it was started cannot be removed.
    fn withdraw(&mut self, trial: TrialId) -> io::Result<()>;

    /// Looks at all attempts, and says what happened since the last look, in order.
    fn poll(&mut self, now: Timestamp) -> Vec<EngineEvent>;

    /// Sends a signal to all that is left of an attempt, if anything is.
    fn stop(&mut self, trial: TrialId, signal: Signal);

    /// The files of an attempt are read, or it is given up: its slot is free once nothing of it is left and what it held of the
    /// machine is free again ([`EngineEvent::Released`]).
    fn release(&mut self, trial: TrialId);

    /// How an attempt ended, until it is released.
    fn ending(&self, trial: TrialId) -> Ending;

    /// The processes by which the main replica left its work behind when it ended, named; `None` where it did not.
    /// `wrote_files` says whether anything was written that a job reads.
    fn left_at_work(&self, trial: TrialId, wrote_files: bool) -> Option<String>;

    /// What is left of an attempt, for people: `process 12 is`, `processes 12, 13 are`.
    fn rest_in_words(&self, trial: TrialId) -> String;

    /// Where the output of a replica is; `None`: of the main one.
    fn log(&self, trial: TrialId, replica: Option<Replica>) -> PathBuf;

    /// Ends all attempts, with this grace, and waits for it: the job cannot go on.
    fn abandon(&mut self, grace: Duration);

    /// Whether attempts report by themselves what they measure and how they end; otherwise it is read from their files.
    fn takes_reports(&self) -> bool {
        false
    }

    /// Takes it that a trial has reported something; `exit` where it is how its main process ended. Only called where
    /// [`Engine::takes_reports`].
    fn reported(&mut self, _trial: TrialId, _exit: Option<Exit>, _now: Timestamp) {}
}

/// An engine that a configuration may name (`hptune.engine.kind`).
struct Kind {
    name: &'static str,
    /// Whether attempts run on this machine: it must have what they need.
    is_here: bool,
    make: fn(NewJob, Config, Vec<String>, Machine) -> Box<dyn Engine>,
}

/// Each engine; the first where a configuration names none.
const KINDS: &[Kind] = &[
    Kind {
        name: "local",
        is_here: true,
        make: |job, config, words, machine| Box::new(LocalEngine::new(job, config, words, machine)),
    },
    Kind { name: "sidecar", is_here: false, make: |job, _, _, _| Box::new(SidecarEngine::new(job)) },
];

/// What `hptune.engine.kind` may name.
#[must_use]
pub fn names() -> Vec<&'static str> {
    KINDS.iter().map(|kind| kind.name).collect()
}

fn kind_of(config: &Config) -> Option<&'static Kind> {
    KINDS.iter().find(|kind| config.engine.as_deref().is_none_or(|wanted| wanted == kind.name))
}

/// Whether the attempts of a job run on this machine, which must have what they need.
#[must_use]
pub fn is_here(config: &Config) -> bool {
    kind_of(config).is_some_and(|kind| kind.is_here)
}

/// The engine of a job, as its configuration names it; `None` where there is none of that name. `words` are those of the
/// trainer's command, without what each trial adds; `machine` is what trials have of this one.
#[must_use]
pub fn for_job(job: NewJob, config: Config, words: Vec<String>, machine: Machine) -> Option<Box<dyn Engine>> {
    let kind = kind_of(&config)?;
    Some((kind.make)(job, config, words, machine))
}
