//! Points to series: one tag of one run directory, with the attempts of a restarted trainer told
//! apart.
//!
//! Layer 4: may import layers 0 and 3. Pure.
//!
//! A trainer that resumes from a checkpoint writes earlier steps again, in a new event file. From
//! the step at which it resumed, its points replace those of the attempt before, and whoever
//! follows the series is told once (a *rewind*). Several trainers may also write to one directory
//! side by side; then nothing is replaced but a value for the very same step. `attempts.rs` has the rules,
//! for files that are whole; [`Series`] follows them while files grow.

mod attempts;
mod block;
mod by_tag;
mod history;
mod live;
mod objective;
mod points;
mod small_map;
mod stretch;
mod summary;
mod writer;

use std::collections::BTreeMap;

use crate::limits::MAX_SESSIONS;
use crate::units::{MetricValue, Step, WallTime};

pub use crate::scalar::{RunSelector, is_evaluation};
pub use attempts::Attempts;
pub use by_tag::{ByTag, Recording};
pub use history::{History, Written};
pub use live::{Again, Live, Rewound, Told};
pub use objective::{Change, Objective};
pub use points::Points;
pub(crate) use small_map::SmallMap;
pub use stretch::{Rewind, RewindReason, Stretches};
pub use summary::TagSummary;
pub use writer::{Writer, WriterId};

use attempts::Voids;
use history::standing;
use writer::Moment;

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

/// The points of one tag of one run directory while its files grow: those that stand, by step, as the
/// latest attempt leaves them.
///
/// What a writer replaced is kept: one that was only silent, and had not ended as it seemed, gets it back.
#[derive(Debug, Clone, Default)]
pub struct Series {
    writers: BTreeMap<WriterId, Part>,
    voids: Voids,
    standing: BTreeMap<Step, (Point, WriterId)>,
}

/// One writer of a series.
#[derive(Debug, Clone)]
struct Part {
    writer: Writer,
    /// The steps of the sessions that it began.
    sessions: Vec<Step>,
    written: Written,
}

/// What became of an offered point.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Offered {
    /// It stands; one that was at its step before is replaced.
    Stands,
    /// A later attempt, or a later value at its step, was there before it.
    Replaced,
    /// Points from this step on changed: those of [`Series::points_from`] stand.
    Retold(Step),
}

impl Series {
    /// Takes a session's start (`SessionLog.START`) at `step`: where a writer whose first event has the
    /// clock `started` resumed.
    ///
    /// It takes effect with the writer's next point: a checkpoint that nobody trained on from
    /// removes nothing.
    pub fn session_start(&mut self, writer: WriterId, started: WallTime, step: Step) {
        let part = self.part(writer, started);
        if part.sessions.len() < MAX_SESSIONS {
            part.sessions.push(step);
        }
    }

    /// Takes it that some event of a writer, whatever its tag, has this clock. The answer is the step from
    /// which on points changed, where they did: the writer had not ended as it seemed.
    pub fn at_work(&mut self, writer: WriterId, clock: WallTime) -> Option<Step> {
        let part = self.writers.get_mut(&writer)?;
        let before = self.voids.of(&part.writer);
        part.writer.at_work(clock);
        let from = before.filter(|_| self.voids.of(&part.writer) != before)?;
        let is_touched = part.written.stretches().iter().any(|stretch| stretch.last_step >= from);
        is_touched.then(|| self.retell(from))
    }

    /// Takes a point.
    pub fn offer(&mut self, writer: WriterId, started: WallTime, point: Point) -> Offered {
        self.part(writer, started);
        let revived = self.at_work(writer, point.wall_time);
        let part = self.part(writer, started);
        let n_before = part.written.stretches().iter().len();
        part.written.add(&part.sessions, point);
        let begun = part.written.stretches().iter().nth(n_before).map(|stretch| stretch.resumed.from);
        let begun_at = part.writer.start();
        let replaced = begun.and_then(|from| {
            self.voids.add(begun_at, from);
            let mut behind = self.standing.range(from..);
            behind.find(|(step, (_, by))| *by == writer || self.is_void(*by, **step)).map(|(step, _)| *step)
        });
        if let Some(from) = revived.into_iter().chain(replaced).min() {
            return Offered::Retold(self.retell(from.min(point.step)));
        }
        let written = Moment::of_value(point.wall_time, writer);
        let is_later = |(other, by): &(Point, WriterId)| {
            *by != writer && Moment::of_value(other.wall_time, *by) > written
        };
        if self.is_void(writer, point.step) || self.standing.get(&point.step).is_some_and(is_later) {
            return Offered::Replaced;
        }
        self.standing.insert(point.step, (point, writer));
        Offered::Stands
    }

    /// The points that stand, by rising step.
    pub fn points(&self) -> impl DoubleEndedIterator<Item = &Point> {
        self.points_from(Step(i64::MIN))
    }

    /// Those of them from a step on.
    pub fn points_from(&self, from: Step) -> impl DoubleEndedIterator<Item = &Point> {
        self.standing.range(from..).map(|(_, (point, _))| point)
    }

    /// How many points stand.
    #[must_use]
    pub fn len(&self) -> usize {
        self.standing.len()
    }

    /// Whether no point stands.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.standing.is_empty()
    }

    fn part(&mut self, writer: WriterId, started: WallTime) -> &mut Part {
        let new = || Part {
            writer: Writer::new(writer, started),
            sessions: Vec::new(),
            written: Written::default(),
        };
        self.writers.entry(writer).or_insert_with(new)
    }

    /// Whether a writer's points at `step` are replaced by those of a later one.
    fn is_void(&self, writer: WriterId, step: Step) -> bool {
        let until = self.writers.get(&writer).and_then(|part| self.voids.of(&part.writer));
        until.is_some_and(|until| step >= until)
    }

    /// Works out anew what stands from `from` on.
    fn retell(&mut self, from: Step) -> Step {
        self.standing.split_off(&from);
        let parts = self.writers.values().map(|part| (&part.writer, &part.written));
        let standing = standing(parts, &self.voids, from);
        self.standing.extend(standing.into_iter().map(|s| (s.point.step, (s.point, s.writer.id))));
        from
    }
}

#[cfg(test)]
mod tests {
    use super::Offered::{Replaced, Retold, Stands};
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
            assert_eq!(series.offer(A, WallTime(999.0), point(step, 1000.0 + step as f64)), Stands);
        }
        series
    }

    #[test]
    fn a_restart_with_a_session_replaces_the_later_steps_once() {
        let mut series = first_attempt();
        series.session_start(B, WallTime(2000.0), Step(80));
        assert_eq!(series.len(), 11, "a start alone removes nothing");
        assert_eq!(series.offer(B, WallTime(2000.0), point(80, 2080.0)), Retold(Step(80)));
        assert_eq!(series.offer(B, WallTime(2000.0), point(90, 2090.0)), Stands);
        assert_eq!(steps_and_values(&series)[7..], [(70, 1070.0), (80, 2080.0), (90, 2090.0)]);
    }

    #[test]
    fn a_value_at_the_checkpoint_stands_until_it_is_written_anew() {
        let mut series = first_attempt();
        series.session_start(B, WallTime(2000.0), Step(80));
        assert_eq!(series.offer(B, WallTime(2000.0), point(95, 2095.0)), Retold(Step(90)));
        assert_eq!(steps_and_values(&series)[7..], [(70, 1070.0), (80, 1080.0), (95, 2095.0)]);
    }

    #[test]
    fn falling_steps_in_a_later_file_are_a_restart_too() {
        let mut series = first_attempt();
        assert_eq!(series.offer(B, WallTime(2000.0), point(80, 2080.0)), Retold(Step(80)));
        assert_eq!(series.len(), 9);
    }

    #[test]
    fn the_first_session_of_an_empty_series_removes_nothing() {
        let mut series = Series::default();
        series.session_start(A, WallTime(2000.0), Step(0));
        assert_eq!(series.offer(A, WallTime(1.0), point(0, 2.0)), Stands);
    }

    #[test]
    fn a_small_step_back_within_one_file_is_no_restart() {
        let mut series = first_attempt();
        assert_eq!(series.offer(A, WallTime(999.0), point(95, 1101.0)), Stands);
        assert_eq!(series.len(), 12);
    }

    #[test]
    fn writers_side_by_side_keep_each_other_s_points() {
        let mut series = first_attempt();
        assert_eq!(series.offer(B, WallTime(1050.0), point(55, 1101.0)), Stands);
        assert_eq!(series.len(), 12);
    }

    #[test]
    fn of_two_values_at_one_step_the_last_is_kept() {
        let mut series = Series::default();
        series.offer(A, WallTime(0.0), point(5, 1.0));
        assert_eq!(series.offer(A, WallTime(0.0), point(5, 2.0)), Stands);
        assert_eq!(steps_and_values(&series), [(5, 2.0)]);
    }

    #[test]
    fn a_writer_s_restart_leaves_those_at_its_side_alone() {
        // B works beside A, which goes on to step 100, and resumes from its own step 20.
        let mut series = first_attempt();
        for step in [20, 21, 25] {
            series.offer(B, WallTime(1050.0), point(step, 1100.0 + step as f64));
        }
        series.session_start(B, WallTime(1050.0), Step(20));
        assert_eq!(series.offer(B, WallTime(1050.0), point(22, 1200.0)), Retold(Step(21)));
        let steps: Vec<i64> = series.points().map(|point| point.step.0).collect();
        assert_eq!(steps, [0, 10, 20, 22, 30, 40, 50, 60, 70, 80, 90, 100]);
    }

    #[test]
    fn a_value_that_was_overwritten_comes_back_when_its_successor_is_void() {
        let mut series = first_attempt();
        series.offer(B, WallTime(1050.0), point(30, 1150.0));
        assert_eq!(steps_and_values(&series)[3], (30, 1150.0));
        series.session_start(B, WallTime(1050.0), Step(5));
        assert_eq!(series.offer(B, WallTime(1050.0), point(6, 1200.0)), Retold(Step(6)));
        assert_eq!(steps_and_values(&series)[4], (30, 1030.0));
    }

    #[test]
    fn a_writer_that_was_only_silent_gets_its_values_back() {
        let mut series = first_attempt();
        // At B's start A seems to have ended.
        assert_eq!(series.offer(B, WallTime(1105.0), point(5, 1110.0)), Retold(Step(5)));
        assert_eq!(steps_and_values(&series), [(0, 1000.0), (5, 1110.0)]);
        assert_eq!(series.at_work(A, WallTime(1160.0)), Some(Step(5)));
        assert_eq!(series.len(), 12);
        assert_eq!(series.at_work(A, WallTime(1170.0)), None);
        assert_eq!(series.offer(A, WallTime(999.0), point(110, 1180.0)), Stands);
    }

    #[test]
    fn a_late_value_of_an_earlier_attempt_is_no_news() {
        let mut series = Series::default();
        series.offer(B, WallTime(2000.0), point(80, 2080.0));
        assert_eq!(series.offer(A, WallTime(999.0), point(70, 1070.0)), Stands);
        assert_eq!(series.offer(A, WallTime(999.0), point(80, 1080.0)), Replaced);
        assert_eq!(series.offer(A, WallTime(999.0), point(90, 1090.0)), Replaced);
        assert_eq!(steps_and_values(&series), [(70, 1070.0), (80, 2080.0)]);
    }

    #[test]
    fn a_clock_that_says_nothing_replaces_nothing_but_its_own_step() {
        for clock in [f64::NAN, 0.0, -1.0] {
            let mut series = first_attempt();
            series.offer(B, WallTime(clock), Point { wall_time: WallTime(clock), ..point(55, 1.0) });
            assert_eq!(series.len(), 12);
        }
    }
}
