//! What goes into a controller and what comes out of it.

use jiff::Timestamp;

use crate::objective::Change;
use crate::study::{Assignment, Exit, Record, Replica};
use crate::suggest::Request;
use crate::units::TrialId;

/// Something that happened outside.
#[derive(Debug, Clone, PartialEq)]
pub enum Input {
    /// The parameters that [`Output::Suggest`] requested for this trial; `None` where the space holds nothing that is worth
    /// trying.
    Suggested(TrialId, Option<Assignment>),
    /// A trial's process runs.
    Started(TrialId),
    /// A trial of an earlier controller runs; see [`Output::Reattach`].
    Reattached(TrialId),
    /// A trial's process could not be started; nothing of it is left.
    StartFailed(TrialId, String),
    /// The objective of a trial changed.
    Changed(TrialId, Vec<Change>),
    /// A trial's main process has ended, in this way and at this time. Its children may live on.
    Exited(TrialId, Exit, Timestamp),
    /// Another replica of a trial has ended before the main one, and not well.
    ReplicaFailed(TrialId, Replica, Exit),
    /// Nothing of a trial's process tree is left, or it is in quarantine, and all that it wrote has been handed in.
    /// With it comes what its trainer, should it have failed, said last.
    Settled(TrialId, Option<String>),
    /// As [`Input::Settled`], of a trial whose command ended while these processes, which it had started, were at its
    /// work. With it comes what there is to say of that.
    WorkLeft(TrialId, String, String),
    /// All that a trial wrote was handed in: there are values, but none of the objective, for this reason.
    /// [`Input::Settled`] follows.
    OtherMetrics(TrialId, String),
    /// Nothing is left any more of a trial that was in quarantine.
    Released(TrialId),
    /// What a slot needs is not to be had any more, for this reason: there is one slot less.
    SlotLost(String),
    /// Somebody wants a trial to be given up; what it has reported is its result. To be said again where it may not have
    /// been stored: a trial that was given up before stays so.
    StopTrial(TrialId),
    /// The user wants the job to end: trials are stopped with their grace.
    Cancel,
    /// The user wants it to end at once.
    Kill,
    /// Time has passed; see [`super::Controller::poll_timeout`].
    Tick,
}

/// Something to do, in order.
#[derive(Debug, Clone, PartialEq)]
pub enum Output {
    /// Store this before anything that follows.
    Persist(Record),
    /// Find parameters, and answer with [`Input::Suggested`], which may take any time. No other request is put out
    /// before. It is not stored: a controller that takes the job up again requests anew.
    Suggest(Request),
    /// Start an attempt, counted from 1, of a trial with these parameters. In a job that was taken up again it may
    /// have been started before, and is taken back then.
    Start(TrialId, Assignment, u32),
    /// Reattach a trial that ran when the job's earlier controller ended. Where it runs, [`Input::Reattached`] is to
    /// follow, or [`Input::Started`] if that was not known; where not, [`Input::Exited`] or [`Input::Settled`].
    Reattach(TrialId, u32),
    /// Send a signal to all of a trial's processes that are left, if any.
    Signal(TrialId, Signal),
    /// A trial that was killed is still there, and holds its slot: the user should know.
    StillThere(TrialId),
    /// A trial cannot be killed: its slot is given up until [`Input::Released`], and the job goes on without it.
    /// Its files are to be read to their end, and [`Input::Settled`] follows.
    Quarantine(TrialId),
    /// The job is over; nothing follows.
    Finished,
}

/// Which signal.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Signal {
    /// TERM: please end.
    Terminate,
    /// KILL.
    Kill,
}
