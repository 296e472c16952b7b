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

/// A value of one of several writers at one step, of which one counts; see [`counting`].
#[derive(Debug, Clone, Copy)]
pub(super) struct Claim<T> {
    pub(super) value: T,
    pub(super) by: Writer,
    /// When it was written.
    pub(super) clock: WallTime,
    /// The writer's place among the processes of a training, where it is known.
    pub(super) rank: Option<Rank>,
}

/// Which of the values that several writers wrote at one step counts; `None` of none.
///
/// It is decided for all of them at once, not in pairs, since a writer may be beside two that follow each other: of what
/// [`keep_side_by_side`] leaves, that of the lowest rank counts, and where ranks are equal or unknown, that of the first
/// writer to start. Where the clock of one of these does not tell when it started, the value with the latest clock counts.
pub(super) fn counting<T>(claims: &[Claim<T>]) -> Option<&Claim<T>> {
    let last_start = last_start(claims)?;
    let left = || claims.iter().filter(|claim| claim.by.end() >= last_start);
    if left().all(|claim| claim.by.has_clock()) {
        let rank = |claim: &Claim<T>| claim.rank.unwrap_or(Rank::Process(u32::MAX));
        left().min_by_key(|claim| (rank(claim), claim.by.start()))
    } else {
        left().max_by_key(|claim| Moment::of_value(claim.clock, claim.by.id))
    }
}

/// Removes the values of writers that had ended when another of them started: those count no more.
pub(super) fn keep_side_by_side<T>(claims: &mut Vec<Claim<T>>) {
    if let Some(last_start) = last_start(claims) {
        claims.retain(|claim| claim.by.end() >= last_start);
    }
}

fn last_start<T>(claims: &[Claim<T>]) -> Option<Moment> {
    claims.iter().map(|claim| claim.by.start()).max()
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
