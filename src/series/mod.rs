//! Points to series: one tag of one run directory, with the attempts of a restarted trainer told
//! apart.
//!
//! Layer 4: may import layers 0 and 3. Pure.
//!
//! A trainer that resumes from a checkpoint writes earlier steps again, in a new event file. From
//! the step at which it resumed, its points replace those of the attempt before, and whoever
//! follows the series is told once (a *rewind*). Several trainers may also write to one directory
//! side by side; then nothing is replaced but a value for the very same step.

mod attempts;
mod by_tag;
mod history;
mod objective;
mod points;
mod summary;

use std::collections::BTreeMap;

use crate::units::{MetricValue, Step, WallTime};

pub use crate::scalar::{RunSelector, is_evaluation};
pub use attempts::{Attempts, Rewind, RewindReason, Stretch};
pub use by_tag::{ByTag, Recording};
pub use history::History;
pub use objective::{Change, Objective};
pub use points::Points;
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

/// The points of one tag of one run directory, by step, as the latest attempt leaves them. [`History`]
/// keeps those of every attempt.
#[derive(Debug, Clone, Default)]
pub struct Series {
    points: BTreeMap<Step, (Point, WriterId, u32)>,
    attempts: Attempts,
    writers: BTreeMap<WriterId, Writer>,
}

/// What a series knows of one of its writers.
#[derive(Debug, Clone, Copy, Default)]
struct Writer {
    /// The step of a session that it began and has not written a point in.
    session: Option<Step>,
    /// What it wrote since it resumed.
    stretch: Option<Stretch>,
}

impl Series {
    /// Takes a session's start (`SessionLog.START`) at `step`: where the writer resumed.
    ///
    /// It takes effect with the writer's next point: a checkpoint that nobody trained on from
    /// removes nothing.
    pub fn session_start(&mut self, writer: WriterId, step: Step) {
        self.writers.entry(writer).or_default().session = Some(step);
    }

    /// Takes a point. The answer is the first step of an earlier attempt that is now replaced,
    /// where there is one: points from that step on are gone, and `point` is the first of the new.
    pub fn offer(&mut self, writer: WriterId, started: WallTime, point: Point) -> Option<Step> {
        let state = self.writers.entry(writer).or_default();
        let session = state.session.take();
        let rewound = match &mut state.stretch {
            Some(stretch) if session.is_none() => {
                stretch.add(point.step, point.wall_time);
                self.attempts.extend(writer, stretch);
                None
            }
            stretch => {
                let stretch = stretch.insert(Stretch::new(session, point.step, point.wall_time));
                let from = stretch.resumed.from;
                let stale: Vec<Step> = self
                    .points
                    .range(from..)
                    .filter(|(_, (_, by, _))| self.attempts.is_stale(*by, writer, started))
                    .map(|(step, _)| *step)
                    .collect();
                self.attempts.begin(writer, started, stretch);
                for step in &stale {
                    self.points.remove(step);
                }
                stale.first().copied()
            }
        };
        self.points.insert(point.step, (point, writer, self.attempts.of(writer)));
        rewound
    }

    /// The attempts so far.
    #[must_use]
    pub fn attempts(&self) -> &Attempts {
        &self.attempts
    }

    /// The points, by rising step, each with the attempt that it belongs to.
    pub fn points_with_attempts(&self) -> impl DoubleEndedIterator<Item = (&Point, u32)> {
        self.points.values().map(|(point, _, attempt)| (point, *attempt))
    }

    /// The points, by rising step.
    pub fn points(&self) -> impl DoubleEndedIterator<Item = &Point> {
        self.points.values().map(|(point, _, _)| point)
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
        series.session_start(B, Step(80));
        assert_eq!(series.len(), 11, "a start alone removes nothing");
        assert_eq!(series.offer(B, WallTime(2000.0), point(80, 2080.0)), Some(Step(80)));
        assert_eq!(series.offer(B, WallTime(2000.0), point(90, 2090.0)), None);
        assert_eq!(steps_and_values(&series)[7..], [(70, 1070.0), (80, 2080.0), (90, 2090.0)]);
    }

    #[test]
    fn a_value_at_the_checkpoint_stands_until_it_is_written_anew() {
        let mut series = first_attempt();
        series.session_start(B, Step(80));
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
        series.session_start(A, Step(0));
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
