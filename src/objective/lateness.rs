//! Values that a writer keeps back: they come in bursts, long after they were written.

use std::time::Duration;

use jiff::Timestamp;

use crate::limits::{LATE_VALUES, LATE_VALUES_OVER, OLDEST_LATE_VALUE};
use crate::units::WallTime;

/// The fewest values of a burst.
const MANY: usize = 3;

/// Values that came at once, though they were written one after the other.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Burst {
    /// How many.
    pub n: usize,
    /// How long ago the first of them was written.
    pub late: Duration,
}

/// Whether values that were all found in one look, with these clocks of their writer, came late and in a burst. What
/// has a clock of long ago, or of none, is a copy or has a clock of its own, and says nothing.
#[must_use]
pub fn burst(now: Timestamp, written: impl Iterator<Item = WallTime>) -> Option<Burst> {
    let now = now.as_millisecond() as f64 / 1000.0;
    let (mut n, mut first, mut last) = (0, f64::INFINITY, f64::NEG_INFINITY);
    for at in written.map(|at| at.0).filter(|at| at.is_finite()) {
        n += 1;
        (first, last) = (at.min(first), at.max(last));
    }
    let late = Duration::try_from_secs_f64(now - first).ok()?;
    let is_burst = n >= MANY && last - first >= LATE_VALUES_OVER.as_secs_f64();
    (is_burst && (LATE_VALUES..OLDEST_LATE_VALUE).contains(&late)).then_some(Burst { n, late })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_that_were_kept_back_are_told_from_those_that_come_as_they_are_written() {
        #[track_caller]
        fn check(written: &[f64], expected: Option<(usize, u64)>) {
            let now = Timestamp::from_second(10_000).expect("a time");
            let burst = burst(now, written.iter().map(|at| WallTime(*at)));
            assert_eq!(burst.map(|burst| (burst.n, burst.late.as_secs())), expected);
        }
        check(&[9_910.0, 9_940.0, 9_970.0, 9_999.0], Some((4, 90)));
        // As they are written.
        check(&[9_999.9], None);
        check(&[9_999.7, 9_999.8, 9_999.9], None);
        // One value late is a slow file system, many of one moment are a loop without pause.
        check(&[9_910.0, 9_999.0], None);
        check(&[9_910.0, 9_910.1, 9_910.2], None);
        // Copies of old files, and clocks that are none.
        check(&[1.0, 2.0, 3.0, 40.0], None);
        check(&[f64::NAN, f64::INFINITY, 20_000.0, 20_010.0, 20_020.0], None);
        check(&[], None);
    }
}
