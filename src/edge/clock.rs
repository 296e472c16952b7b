//! The time of day, without its jumps.

use std::time::Instant;

use jiff::Timestamp;

/// A clock that starts at the system's time of day and from then on only goes forward, as time
/// passes: a clock that is set while a job runs shortens no grace period.
#[derive(Debug, Clone, Copy)]
pub struct Clock {
    origin: Timestamp,
    started: Instant,
}

impl Clock {
    /// A clock set to the system's time of day.
    #[must_use]
    pub fn start() -> Self {
        Self { origin: Timestamp::now(), started: Instant::now() }
    }

    /// The time, to the millisecond that a store keeps.
    #[must_use]
    pub fn now(&self) -> Timestamp {
        let now = self.origin.checked_add(self.started.elapsed()).unwrap_or(Timestamp::MAX);
        Timestamp::from_millisecond(now.as_millisecond()).unwrap_or(now)
    }
}
