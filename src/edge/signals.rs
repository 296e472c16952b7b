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

/// The signals that ask this program to end, but for those that it was started to ignore.
#[derive(Debug)]
pub struct Signals {
    hangup: Option<Signal>,
    interrupt: Option<Signal>,
    terminate: Option<Signal>,
    child: Signal,
}

/// What a signal says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Heard {
    /// To end: [`HANGUP`], [`INTERRUPT`] or [`TERMINATE`].
    End(i32),
    /// A process of ours ended.
    Child,
}

impl Signals {
    /// Listens from now on.
    ///
    /// # Errors
    /// Those of the system.
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
        })
    }

    /// The next signal; nothing is lost where this is not waited for to its end.
    pub async fn next(&mut self) -> Heard {
        tokio::select! {
            () = heard(&mut self.hangup) => Heard::End(HANGUP),
            () = heard(&mut self.interrupt) => Heard::End(INTERRUPT),
            () = heard(&mut self.terminate) => Heard::End(TERMINATE),
            _ = self.child.recv() => Heard::Child,
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
