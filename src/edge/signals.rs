//! Signals to this program.

use std::future::pending;
use std::io;

use tokio::signal::unix::{Signal, SignalKind, signal};

use super::process_table::is_ignored;

/// HUP: the terminal went away.
pub const HANGUP: i32 = 1;
/// INT: Ctrl-C.
pub const INTERRUPT: i32 = 2;
/// TERM: please end.
pub const TERMINATE: i32 = 15;

/// QUIT, USR1, USR2: what they mean is up to the trainer.
const PASSED_ON: [i32; 3] = [3, 10, 12];

/// The signals that ask this program to end, but for those that it was started to ignore.
#[derive(Debug)]
pub struct Signals {
    hangup: Option<Signal>,
    interrupt: Option<Signal>,
    terminate: Option<Signal>,
    child: Signal,
    passed_on: [Option<Signal>; 3],
}

/// What a signal says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SignalEvent {
    /// To end: [`HANGUP`], [`INTERRUPT`] or [`TERMINATE`].
    End(i32),
    /// A process of ours ended.
    Child,
    /// Another signal, for a process of ours; only after [`Signals::pass_on_others`].
    Other(i32),
}

impl Signals {
    /// Listens from now on.
    ///
    /// # Errors
    /// Errors of the system.
    pub fn listen() -> io::Result<Self> {
        let unless_ignored = |number: i32| match is_ignored(number.unsigned_abs()) {
            true => Ok(None),
            false => signal(SignalKind::from_raw(number)).map(Some),
        };
        Ok(Self {
            hangup: unless_ignored(HANGUP)?,
            interrupt: unless_ignored(INTERRUPT)?,
            terminate: unless_ignored(TERMINATE)?,
            child: signal(SignalKind::child())?,
            passed_on: [None, None, None],
        })
    }

    /// Listens to QUIT, USR1 and USR2 too, which end this program otherwise.
    ///
    /// # Errors
    /// Errors of the system.
    pub fn pass_on_others(&mut self) -> io::Result<()> {
        for (slot, number) in self.passed_on.iter_mut().zip(PASSED_ON) {
            *slot = Some(signal(SignalKind::from_raw(number))?);
        }
        Ok(())
    }

    /// The next signal; nothing is lost where this is not waited for to its end.
    pub async fn next(&mut self) -> SignalEvent {
        let [quit, user_1, user_2] = &mut self.passed_on;
        let [quit_number, user_1_number, user_2_number] = PASSED_ON;
        tokio::select! {
            () = heard(quit) => SignalEvent::Other(quit_number),
            () = heard(user_1) => SignalEvent::Other(user_1_number),
            () = heard(user_2) => SignalEvent::Other(user_2_number),
            () = heard(&mut self.hangup) => SignalEvent::End(HANGUP),
            () = heard(&mut self.interrupt) => SignalEvent::End(INTERRUPT),
            () = heard(&mut self.terminate) => SignalEvent::End(TERMINATE),
            _ = self.child.recv() => SignalEvent::Child,
        }
    }
}

async fn heard(signal: &mut Option<Signal>) {
    match signal {
        Some(signal) => {
            signal.recv().await;
        }
        None => pending().await,
    }
}
