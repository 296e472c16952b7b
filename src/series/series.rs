//! The points of one tag of one run directory while its files grow.

use std::collections::{BTreeMap, HashSet};

use super::writer::Moment;
use super::{Live, Point, Sample, Standing, Told, WriterId};
use crate::limits::MAX_SERIES_POINTS;
use crate::units::{Step, WallTime};

/// The tag's name in [`Live`], which follows it alone.
const TAG: &str = "";

/// The points of one tag of one run directory while its files grow: those that stand, by step, as the
/// latest attempt leaves them.
///
/// What a writer replaced is kept: one that was only silent, and had not ended as it seemed, gets it back.
/// Of a series of more than [`MAX_SERIES_POINTS`] points those of a [`Sample`] of the steps are kept, of each writer the
/// last, the smallest and the largest, and all that came since the sample was taken.
#[derive(Debug, Clone, Default)]
pub struct Series {
    live: Live,
    writers: BTreeMap<WriterId, Kept>,
    standing: BTreeMap<Step, (Point, WriterId)>,
    sample: Sample,
    /// How many points of writers are kept.
    n_kept: usize,
    /// How many are kept when the next sample is taken, at least.
    thin_at: usize,
}

/// What is kept of one writer.
#[derive(Debug, Clone, Default)]
struct Kept {
    started: WallTime,
    n_values: usize,
    /// Each point with its number, in the order in which they were written.
    points: Vec<(usize, Point)>,
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
    /// clock `started` resumed. The answer is the step from which on points are void, where there were some.
    pub fn session_start(&mut self, writer: WriterId, started: WallTime, step: Step) -> Option<Step> {
        let rewound = self.live.session_start(writer, started, step).pop()?;
        Some(self.retell(rewound.rewind.from, rewound.leaves_some.then_some(Some(writer))))
    }

    /// Takes it that some event of a writer, whatever its tag, has this clock. The answer is the step from
    /// which on points changed, where they did: the writer had not ended as it seemed.
    pub fn at_work(&mut self, writer: WriterId, clock: WallTime) -> Option<Step> {
        let started = self.writers.get(&writer)?.started;
        let rewound = self.live.at_work(writer, started, clock).pop()?;
        Some(self.retell(rewound.rewind.from, Some(None)))
    }

    /// Takes a point.
    pub fn offer(&mut self, writer: WriterId, started: WallTime, point: Point) -> Offered {
        if self.n_kept >= self.thin_at.max(2 * MAX_SERIES_POINTS) {
            self.thin();
        }
        let revived = self.live.at_work(writer, started, point.wall_time).pop();
        let revived = revived.map(|rewound| self.retell(rewound.rewind.from, Some(None)));
        let kept = self.writers.entry(writer).or_insert_with(|| Kept { started, ..Kept::default() });
        kept.points.push((kept.n_values, point));
        kept.n_values += 1;
        self.n_kept += 1;
        let stands = match self.live.offer(writer, TAG, point) {
            Told::Stands(_) => self.put(writer, point),
            Told::Void | Told::LeftOut => false,
            Told::Rewinds(rewound, points) => {
                let from = rewound.rewind.from.min(point.step);
                let from = self.retell(from, rewound.leaves_some.then_some(Some(writer)));
                for point in points {
                    self.put(writer, point);
                }
                return Offered::Retold(revived.map_or(from, |revived| revived.min(from)));
            }
        };
        match revived {
            Some(from) => Offered::Retold(from.min(point.step)),
            None if stands => Offered::Stands,
            None => Offered::Replaced,
        }
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

    /// Puts a point at its step, but where another writer's is there with a later clock.
    fn put(&mut self, writer: WriterId, point: Point) -> bool {
        let written = Moment::of_value(point.wall_time, writer);
        let is_later = |(other, by): &(Point, WriterId)| {
            *by != writer && Moment::of_value(other.wall_time, *by) > written
        };
        let stands = !self.standing.get(&point.step).is_some_and(is_later);
        if stands {
            self.standing.insert(point.step, (point, writer));
        }
        stands
    }

    /// Removes what stands from `from` on; `again` says that points of all writers, or of all but one, stand all the
    /// same.
    fn retell(&mut self, from: Step, again: Option<Option<WriterId>>) -> Step {
        self.standing.split_off(&from);
        if let Some(but) = again {
            let standing = self.live.standing(TAG, from, but);
            self.put_standing(&standing);
        }
        from
    }

    fn put_standing(&mut self, standing: &Standing) {
        for writer in standing.writers() {
            let Some(kept) = self.writers.get(&writer) else { continue };
            let mut of_writer = BTreeMap::new();
            let (mut go_over, mut n_gone) = (standing.go_over(writer), 0);
            for (number, point) in &kept.points {
                go_over.skip(number - n_gone);
                n_gone = number + 1;
                if go_over.next(point.step).is_some() {
                    of_writer.insert(point.step, *point);
                }
            }
            for point in of_writer.into_values() {
                self.put(writer, point);
            }
        }
    }

    /// Keeps the points of fewer steps.
    fn thin(&mut self) {
        for kept in self.writers.values_mut() {
            kept.drop_overwritten();
        }
        self.count_kept();
        while self.n_kept.max(self.standing.len()) > MAX_SERIES_POINTS && self.sample.half() != self.sample {
            self.sample = self.sample.half();
            let sample = self.sample;
            let kept = landmarks(self.standing.values().map(|(point, _)| point));
            self.standing.retain(|step, _| sample.has(*step) || kept.contains(&Some(*step)));
            for writer in self.writers.values_mut() {
                let kept = landmarks(writer.points.iter().map(|(_, point)| point));
                writer.points.retain(|(_, point)| sample.has(point.step) || kept.contains(&Some(point.step)));
            }
            self.count_kept();
        }
        // With very many writers more is left.
        self.thin_at = 2 * self.n_kept.max(MAX_SERIES_POINTS);
    }

    fn count_kept(&mut self) {
        self.n_kept = self.writers.values().map(|kept| kept.points.len()).sum();
    }
}

/// The steps of points that results are made of: the last, and of those that are finite the smallest and the largest.
fn landmarks<'p>(points: impl Iterator<Item = &'p Point>) -> [Option<Step>; 3] {
    let (mut last, mut smallest, mut largest) = (None, None::<&Point>, None::<&Point>);
    for point in points {
        last = last.max(Some(point.step));
        let value = point.value.as_f64();
        if value.is_finite() {
            smallest = smallest.filter(|least| least.value.as_f64() <= value).or(Some(point));
            largest = largest.filter(|most| most.value.as_f64() >= value).or(Some(point));
        }
    }
    [last, smallest.map(|point| point.step), largest.map(|point| point.step)]
}

impl Kept {
    /// Drops the points whose writer wrote their step again later: they never stand again.
    fn drop_overwritten(&mut self) {
        let mut steps = HashSet::with_capacity(self.points.len());
        let mut is_last: Vec<bool> =
            self.points.iter().rev().map(|(_, point)| steps.insert(point.step)).collect();
        self.points.retain(|_| is_last.pop().unwrap_or(true));
        self.points.shrink_to(MAX_SERIES_POINTS);
    }
}

#[cfg(test)]
mod tests {
    use super::Offered::{Replaced, Retold, Stands};
    use super::*;
    use crate::units::MetricValue;

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
        assert_eq!(series.session_start(B, WallTime(2000.0), Step(80)), Some(Step(81)));
        assert_eq!(series.len(), 9, "a start alone makes void what lies behind it");
        assert_eq!(series.offer(B, WallTime(2000.0), point(80, 2080.0)), Stands);
        assert_eq!(series.offer(B, WallTime(2000.0), point(90, 2090.0)), Stands);
        assert_eq!(steps_and_values(&series)[7..], [(70, 1070.0), (80, 2080.0), (90, 2090.0)]);
    }

    #[test]
    fn a_value_at_the_checkpoint_stands_until_it_is_written_anew() {
        let mut series = first_attempt();
        series.session_start(B, WallTime(2000.0), Step(80));
        assert_eq!(series.offer(B, WallTime(2000.0), point(95, 2095.0)), Stands);
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
        assert_eq!(series.session_start(A, WallTime(2000.0), Step(0)), None);
        assert_eq!(series.offer(A, WallTime(1.0), point(0, 2.0)), Stands);
    }

    #[test]
    fn a_small_step_back_within_one_file_is_no_restart() {
        let mut series = first_attempt();
        assert_eq!(series.offer(A, WallTime(999.0), point(95, 1101.0)), Stands);
        assert_eq!(series.len(), 12);
    }

    #[test]
    fn steps_that_fall_far_and_go_on_from_there_are_told_anew() {
        let mut series = first_attempt();
        assert_eq!(series.offer(A, WallTime(999.0), point(41, 1101.0)), Stands);
        assert_eq!(series.offer(A, WallTime(999.0), point(51, 1102.0)), Retold(Step(41)));
        let steps: Vec<i64> = series.points().map(|point| point.step.0).collect();
        assert_eq!(steps, [0, 10, 20, 30, 40, 41, 51]);
    }

    #[test]
    fn of_a_long_series_a_sample_is_kept_with_its_last_point_and_all_that_came_since() {
        let (mut series, n) = (Series::default(), 10 * MAX_SERIES_POINTS as i64);
        for step in 0..n {
            assert_eq!(series.offer(A, WallTime(1.0), point(step, 1.0 + step as f64)), Stands);
            assert!(series.n_kept <= 2 * MAX_SERIES_POINTS && series.len() <= 2 * MAX_SERIES_POINTS + 1);
            assert_eq!(series.points().next_back().map(|point| point.step), Some(Step(step)));
        }
        let from = Step(n / 2);
        assert_eq!(series.session_start(A, WallTime(1.0), from), Some(Step(n / 2 + 1)));
        assert!(series.points().next_back().is_some_and(|point| n / 2 - point.step.0 < 500));
        // However often a step is written, it is kept once.
        for i in 0..3 * MAX_SERIES_POINTS {
            series.offer(A, WallTime(1.0), point(7, 1e6 + i as f64));
        }
        assert!(series.n_kept <= 2 * MAX_SERIES_POINTS);
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
        assert_eq!(series.session_start(B, WallTime(1050.0), Step(20)), Some(Step(21)));
        assert_eq!(series.offer(B, WallTime(1050.0), point(22, 1200.0)), Stands);
        let steps: Vec<i64> = series.points().map(|point| point.step.0).collect();
        assert_eq!(steps, [0, 10, 20, 22, 30, 40, 50, 60, 70, 80, 90, 100]);
    }

    #[test]
    fn a_value_that_was_overwritten_comes_back_when_its_successor_is_void() {
        let mut series = first_attempt();
        series.offer(B, WallTime(1050.0), point(30, 1150.0));
        assert_eq!(steps_and_values(&series)[3], (30, 1150.0));
        assert_eq!(series.session_start(B, WallTime(1050.0), Step(5)), Some(Step(6)));
        assert_eq!(steps_and_values(&series)[3], (30, 1030.0));
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
    fn a_sample_has_what_results_are_made_of() {
        let mut series = Series::default();
        let n = 5 * MAX_SERIES_POINTS as i64 + 1;
        for step in 0..n {
            let value = if step == 77_777 { 3.0 } else { -f64::from(u8::from(step == 88_889)) };
            let point = Point { step: Step(step), wall_time: WallTime(1.0), value: MetricValue::F64(value) };
            series.offer(A, WallTime(1.0), point);
        }
        assert!(series.len() < 3 * MAX_SERIES_POINTS);
        // Told anew from what the writers keep.
        series.retell(Step(i64::MIN), Some(None));
        let steps: Vec<i64> = series.points().map(|point| point.step.0).collect();
        for step in [77_777, 88_889, n - 1] {
            assert!(steps.contains(&step), "{step}");
        }
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
