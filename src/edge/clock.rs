//! The time of day, without its jumps.

use std::time::{Duration, UNIX_EPOCH};

use jiff::Timestamp;
use tfevents::follow;
use tfevents::units::{Time, WallTime};

/// A clock that starts at the system's time of day and from then on only goes forward, as time
/// passes: a clock that is set while a job runs shortens no grace period.
#[derive(Debug, Clone, Copy)]
pub struct Clock(follow::Clock);

impl Clock {
    /// A clock set to the system's time of day.
    #[must_use]
    pub fn start() -> Self {
        Self(follow::Clock::start())
    }

    /// The time, to the millisecond that a store keeps.
    #[must_use]
    pub fn now(&self) -> Timestamp {
        let now = timestamp(self.0.now());
        Timestamp::from_millisecond(now.as_millisecond()).unwrap_or(now)
    }

    /// The same clock, for the reading library.
    #[must_use]
    pub fn of_reader(&self) -> follow::Clock {
        self.0
    }
}

/// A moment of the reading library as a timestamp; the last one where it is later than all.
#[must_use]
pub fn timestamp(time: Time) -> Timestamp {
    let Time(since_epoch) = time;
    let at = UNIX_EPOCH.checked_add(since_epoch);
    at.and_then(|at| Timestamp::try_from(at).ok()).unwrap_or(Timestamp::MAX)
}

/// A timestamp as a moment of the reading library; the epoch where it is before that.
#[must_use]
pub fn moment(at: Timestamp) -> Time {
    Time(Duration::try_from(at.as_duration()).unwrap_or_default())
}

/// A timestamp as a writer's clock gives it: seconds since the Unix epoch.
#[must_use]
pub fn wall_time(at: Timestamp) -> WallTime {
    WallTime(at.as_duration().as_secs_f64())
}
