//! Points to series: one tag of one run directory, with the attempts of a restarted trainer told
//! apart.
//!
//! Layer 4: may import layers 0 and 3. Pure.
//!
//! A trainer that resumes from a checkpoint writes earlier steps again, in a new event file. From
//! the step at which it resumed, its points replace those of the attempt before, and whoever
//! follows the series is told once (a *rewind*). Several trainers may also write to one directory
//! side by side; then nothing is replaced but a value for the very same step.

mod objective;
mod points;
mod recording;
mod summary;

use std::collections::BTreeMap;

use crate::units::{MetricValue, Step, WallTime};

pub use crate::scalar::{RunSelector, is_evaluation};
pub use objective::{Change, Objective};
pub use points::Points;
pub use recording::Recording;
pub use summary::TagSummary;

/// Which event file of a run a point came from: one file, one writer.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct WriterId(pub u32);

/// A value at a step.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Point {
    /// The step; the axis of the series.
    pub step: Step,
    /// The writer's clock.
    pub wall_time: WallTime,
    /// The value.
    pub value: MetricValue,
}

/// The points of one tag of one run directory, by step, as the latest attempt leaves them.
#[derive(Debug, Clone, Default)]
pub struct Series {
    points: BTreeMap<Step, (Point, WriterId)>,
    writers: BTreeMap<WriterId, Writer>,
}

/// What a series knows of one of its writers.
#[derive(Debug, Clone, Copy)]
struct Writer {
    /// The latest clock of a point of it.
    last: WallTime,
    /// The step of a session that it began and has not written a point in.
    session: Option<Step>,
    has_points: bool,
}

impl Series {
    /// Takes a session's start (`SessionLog.START`) at `step`: where the writer resumed.
    ///
    /// It takes effect with the writer's next point: a checkpoint that nobody trained on from
    /// removes nothing.
    pub fn session_start(&mut self, writer: WriterId, started: WallTime, step: Step) {
        self.writer(writer, started).session = Some(step);
    }

    /// Takes a point. The answer is the first step of an earlier attempt that is now replaced,
    /// where there is one: points from that step on are gone, and `point` is the first of the new.
    pub fn offer(&mut self, writer: WriterId, started: WallTime, point: Point) -> Option<Step> {
        let state = *self.writer(writer, started);
        let resumed_at = match state.session {
            // The checkpoint holds the training up to its step: a value at that step still stands
            // unless it is written anew.
            Some(session) => Some(point.step.min(Step(session.0.saturating_add(1)))),
            None if !state.has_points => Some(point.step),
            None => None,
        };
        let state = self.writer(writer, started);
        state.session = None;
        state.has_points = true;
        state.last.0 = state.last.0.max(point.wall_time.0);
        let rewound = resumed_at.and_then(|from| self.rewind(writer, started, from));
        self.points.insert(point.step, (point, writer));
        rewound
    }

    /// The points, by rising step.
    pub fn points(&self) -> impl DoubleEndedIterator<Item = &Point> {
        self.points.values().map(|(point, _)| point)
    }

    /// How many points there are.
    #[must_use]
    pub fn len(&self) -> usize {
        self.points.len()
    }

    /// Whether there is no point yet.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.points.is_empty()
    }

    fn writer(&mut self, writer: WriterId, started: WallTime) -> &mut Writer {
        self.writers.entry(writer).or_insert(Writer { last: started, session: None, has_points: false })
    }

    /// Removes what an earlier attempt wrote from step `from` on. Points of a writer that was still
    /// at work when this one started are not an earlier attempt's, and stay.
    fn rewind(&mut self, writer: WriterId, started: WallTime, from: Step) -> Option<Step> {
        let stale: Vec<Step> = self
            .points
            .range(from..)
            .filter(|(_, (_, by))| *by == writer || self.writers.get(by).is_none_or(|w| w.last <= started))
            .map(|(step, _)| *step)
            .collect();
        for step in &stale {
            self.points.remove(step);
        }
        stale.first().copied()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const A: WriterId = WriterId(0);
    const B: WriterId = WriterId(1);

    fn point(step: i64, wall: f64) -> Point {
        Point { step: Step(step), wall_time: WallTime(wall), value: MetricValue::F64(wall) }
    }

    fn steps_and_values(series: &Series) -> Vec<(i64, f64)> {
        series.points().map(|p| (p.step.0, p.value.as_f64())).collect()
    }

    /// Steps 0, 10 … 100 by writer A, at wall times 1000, 1010 …
    fn first_attempt() -> Series {
        let mut series = Series::default();
        for step in (0..=100).step_by(10) {
            assert_eq!(series.offer(A, WallTime(999.0), point(step, 1000.0 + step as f64)), None);
        }
        series
    }

    #[test]
    fn a_restart_with_a_session_replaces_the_later_steps_once() {
        let mut series = first_attempt();
        series.session_start(B, WallTime(2000.0), Step(80));
        assert_eq!(series.len(), 11, "a start alone removes nothing");
        assert_eq!(series.offer(B, WallTime(2000.0), point(80, 2080.0)), Some(Step(80)));
        assert_eq!(series.offer(B, WallTime(2000.0), point(90, 2090.0)), None);
        assert_eq!(steps_and_values(&series)[7..], [(70, 1070.0), (80, 2080.0), (90, 2090.0)]);
    }

    #[test]
    fn a_value_at_the_checkpoint_stands_until_it_is_written_anew() {
        let mut series = first_attempt();
        series.session_start(B, WallTime(2000.0), Step(80));
        assert_eq!(series.offer(B, WallTime(2000.0), point(95, 2095.0)), Some(Step(90)));
        assert_eq!(steps_and_values(&series)[7..], [(70, 1070.0), (80, 1080.0), (95, 2095.0)]);
    }

    #[test]
    fn falling_steps_in_a_later_file_are_a_restart_too() {
        let mut series = first_attempt();
        assert_eq!(series.offer(B, WallTime(2000.0), point(80, 2080.0)), Some(Step(80)));
        assert_eq!(series.len(), 9);
    }

    #[test]
    fn the_first_session_of_an_empty_series_removes_nothing() {
        let mut series = Series::default();
        series.session_start(A, WallTime(1.0), Step(0));
        assert_eq!(series.offer(A, WallTime(1.0), point(0, 2.0)), None);
    }

    #[test]
    fn a_small_step_back_within_one_file_is_no_restart() {
        let mut series = first_attempt();
        assert_eq!(series.offer(A, WallTime(999.0), point(95, 1101.0)), None);
        assert_eq!(series.len(), 12);
    }

    #[test]
    fn writers_side_by_side_keep_each_other_s_points() {
        let mut series = first_attempt();
        assert_eq!(series.offer(B, WallTime(1050.0), point(55, 1101.0)), None);
        assert_eq!(series.len(), 12);
    }

    #[test]
    fn of_two_values_at_one_step_the_last_is_kept() {
        let mut series = Series::default();
        series.offer(A, WallTime(0.0), point(5, 1.0));
        assert_eq!(series.offer(A, WallTime(0.0), point(5, 2.0)), None);
        assert_eq!(steps_and_values(&series), [(5, 2.0)]);
    }
}
