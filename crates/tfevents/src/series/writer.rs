//! Who wrote a point, and when it was at work.

use std::cmp::Ordering;

#[cfg(feature = "serde")]
use serde::{Deserialize, Serialize};

use crate::units::WallTime;

/// Which event file of a run a point came from: one file, one writer.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[cfg_attr(feature = "serde", derive(Serialize, Deserialize))]
pub struct WriterId(pub u32);

/// The place of a writer among the processes of a training: the lowest counts.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Rank {
    /// Its rank, as its launcher told it.
    Told(u32),
    /// The number of its process: launchers start the ranks in their order.
    Process(u32),
}

/// One event file as the writer that it is, and when it was at work.
#[derive(Debug, Clone, Copy)]
#[cfg_attr(feature = "serde", derive(Serialize, Deserialize))]
pub struct Writer {
    /// The file.
    pub id: WriterId,
    /// The clock of its first event.
    #[cfg_attr(feature = "serde", serde(with = "crate::units::bits"))]
    started: WallTime,
    /// The latest clock of any event of it.
    #[cfg_attr(feature = "serde", serde(with = "crate::units::bits"))]
    last: WallTime,
}

impl Writer {
    /// A writer whose first event has the clock `started`.
    #[must_use]
    pub fn new(id: WriterId, started: WallTime) -> Self {
        Self { id, started, last: started }
    }

    /// The clock of its first event, and the latest of any.
    #[must_use]
    pub fn clocks(&self) -> (WallTime, WallTime) {
        (self.started, self.last)
    }

    /// Takes it that an event of it has this clock. NaN says nothing.
    #[inline]
    pub fn at_work(&mut self, clock: WallTime) {
        if clock > self.last {
            self.last = clock;
        }
    }

    /// Whether its clock says when it began.
    pub(super) fn has_clock(&self) -> bool {
        self.started.0 > 0.0
    }

    /// Whether it and another one work side by side, as far as their clocks tell.
    pub(super) fn is_beside(&self, other: &Self) -> bool {
        self.end() >= other.start() && other.end() >= self.start()
    }

    /// Whether a value of it, written at `clock`, counts more than one of another writer at the same step: of writers one
    /// after the other that of the later, of those side by side that of the first, and where their clocks do not tell that
    /// with the later clock.
    pub(super) fn counts_over(&self, clock: WallTime, other: &Self, other_clock: WallTime) -> bool {
        if !self.is_beside(other) {
            return self.start() > other.end();
        }
        if self.has_clock() && other.has_clock() {
            return self.start() < other.start();
        }
        Moment::of_value(clock, self.id) >= Moment::of_value(other_clock, other.id)
    }

    /// When it started. Where its clock does not tell, before any other had ended.
    pub(super) fn start(&self) -> Moment {
        Moment::new(self.started, f64::NEG_INFINITY, self.id)
    }

    /// When it ended. A writer had ended for another when this lies before the other's [`Self::start`]:
    /// then the other may have resumed what it did. Where its clock does not tell, never.
    pub(super) fn end(&self) -> Moment {
        Moment::new(self.last, f64::INFINITY, self.id)
    }
}

/// A clock, and the order of files for clocks that are equal.
#[derive(Debug, Clone, Copy)]
#[cfg_attr(feature = "serde", derive(Serialize, Deserialize))]
pub(super) struct Moment {
    #[cfg_attr(feature = "serde", serde(with = "crate::units::bits"))]
    clock: f64,
    id: WriterId,
}

impl Moment {
    /// When a value was written. Where its clock does not tell, before any other.
    pub(super) fn of_value(clock: WallTime, writer: WriterId) -> Self {
        Self::new(clock, f64::NEG_INFINITY, writer)
    }

    /// A writer's clock; one that says nothing (NaN, 0 or less) counts as `unknown`.
    fn new(clock: WallTime, unknown: f64, id: WriterId) -> Self {
        Self { clock: if clock.0 > 0.0 { clock.0 } else { unknown }, id }
    }
}

impl Ord for Moment {
    fn cmp(&self, other: &Self) -> Ordering {
        self.clock.total_cmp(&other.clock).then(self.id.cmp(&other.id))
    }
}

impl PartialOrd for Moment {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl PartialEq for Moment {
    fn eq(&self, other: &Self) -> bool {
        self.cmp(other).is_eq()
    }
}

impl Eq for Moment {}
