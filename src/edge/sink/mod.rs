//! Where `watch` delivers its lines, one sink a file.
//!
//! A sink is driven by a thread of its own, which reads the event files at the pace of its sink: a slow
//! one holds up nobody, and what it has not taken yet waits in the event files, not in memory.

mod file;
mod lines;
mod trouble;

pub use self::file::FileSink;
pub use self::lines::LinesSink;

use std::fmt;
use std::io;
use std::sync::{Arc, Condvar, Mutex, PoisonError};
use std::time::{Duration, Instant};

/// Whole lines that are delivered together.
#[derive(Debug, Clone, Copy)]
pub struct Batch<'a> {
    /// The `seq` of the first line; that of each further one is higher by one.
    pub first_seq: u64,
    /// How many lines there are; at least one.
    pub n_lines: usize,
    /// The lines, JSON objects, each with its `\n`.
    pub text: &'a str,
}

/// Takes lines, in order.
pub trait Sink: Send {
    /// Delivers a batch: when this returns, the sink has it. What may pass (a server that is away, a
    /// full disk) is tried again for as long as `patience` lasts; `trouble` is told of it in words, once
    /// for each new kind of trouble, not once a try.
    ///
    /// # Errors
    /// The batch was not delivered, or not known to be.
    fn deliver(
        &mut self,
        batch: Batch<'_>,
        patience: &Patience,
        trouble: &mut dyn FnMut(String),
    ) -> Result<(), Undelivered>;

    /// A mark for all that was delivered so far, for [`Self::kept_since`] of a later process.
    fn mark(&self) -> u64 {
        0
    }

    /// Hands on, without their ends, the lines that the sink has beyond `mark`, oldest first; call it
    /// before the first [`Self::deliver`]. Sinks that cannot say hand on nothing.
    ///
    /// # Errors
    /// Those of looking, and where what the sink has is not ours.
    fn kept_since(&mut self, mark: u64, line: &mut dyn FnMut(&str)) -> io::Result<()> {
        let _ = (mark, line);
        Ok(())
    }

    /// Makes durable what was delivered so far, as far as that is in this process's hands; call it before
    /// a [`Self::mark`] is stored.
    ///
    /// # Errors
    /// Those of the system; the mark must not be stored then.
    fn sync(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// Why a batch was not delivered.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Undelivered {
    /// Patience ended; the words say what was wrong with the last try.
    GaveUp(String),
    /// The sink wants nothing more, as a pipe that its reader closed.
    Closed,
}

/// How long a sink goes on trying: until it is told that there is no more time.
#[derive(Clone, Default)]
pub struct Patience(Arc<(Mutex<Option<Instant>>, Condvar)>);

impl fmt::Debug for Patience {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Patience").field(&self.deadline()).finish()
    }
}

impl Patience {
    /// From now on there is time until `deadline`.
    pub fn end_at(&self, deadline: Instant) {
        *self.0.0.lock().unwrap_or_else(PoisonError::into_inner) = Some(deadline);
        self.0.1.notify_all();
    }

    fn deadline(&self) -> Option<Instant> {
        *self.0.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// How much time is left; `None` while there is no end to it.
    #[must_use]
    pub fn left(&self) -> Option<Duration> {
        self.deadline().map(|deadline| deadline.saturating_duration_since(Instant::now()))
    }

    /// Whether there is time for another try.
    #[must_use]
    pub fn lasts(&self) -> bool {
        self.left().is_none_or(|left| !left.is_zero())
    }

    /// Waits for `pause`, or until there is no more time. The answer is whether there is time for
    /// another try.
    pub fn pause(&self, pause: Duration) -> bool {
        let until = Instant::now() + pause;
        let mut deadline = self.0.0.lock().unwrap_or_else(PoisonError::into_inner);
        loop {
            let now = Instant::now();
            let end = deadline.map_or(until, |deadline| deadline.min(until));
            if now >= end {
                return deadline.is_none_or(|deadline| now < deadline);
            }
            deadline = self.0.1.wait_timeout(deadline, end - now).unwrap_or_else(PoisonError::into_inner).0;
        }
    }
}
