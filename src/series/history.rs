//! Every point of one series, of every attempt.

use super::{Attempts, Point, Points, Series, Stretch, WriterId};
use crate::units::{Step, WallTime};

/// Every point of one tag of one run directory, in the order in which it was offered, with its attempt.
#[derive(Debug, Clone, Default)]
pub struct History {
    points: Points,
    segments: Vec<Segment>,
    attempts: Attempts,
}

/// Points that one writer wrote one after the other.
#[derive(Debug, Clone, Copy)]
struct Segment {
    writer: WriterId,
    started: WallTime,
    /// The session that it began with.
    session: Option<Step>,
    attempt: u32,
    n: usize,
    stretch: Stretch,
}

impl History {
    /// Takes the points that one writer wrote of the tag; `sessions` are the sessions that it began: each
    /// with how many of the points came before it, and its step.
    pub fn offer(
        &mut self,
        writer: WriterId,
        started: WallTime,
        sessions: &[(usize, Step)],
        points: &Points,
    ) {
        let mut sessions = sessions.iter().peekable();
        let mut current: Option<Segment> = None;
        for (i, point) in points.iter().enumerate() {
            let mut session = None;
            while let Some((_, step)) = sessions.next_if(|(before, _)| *before <= i) {
                session = Some(*step);
            }
            match &mut current {
                Some(segment) if session.is_none() => {
                    segment.n += 1;
                    segment.stretch.add(point.step, point.wall_time);
                }
                _ => {
                    self.close(current.take());
                    let stretch = Stretch::new(session, point.step, point.wall_time);
                    self.attempts.begin(writer, started, &stretch);
                    let attempt = self.attempts.of(writer);
                    current = Some(Segment { writer, started, session, attempt, n: 1, stretch });
                }
            }
            self.points.push(point);
        }
        self.close(current);
    }

    fn close(&mut self, segment: Option<Segment>) {
        if let Some(segment) = segment {
            self.attempts.extend(segment.writer, &segment.stretch);
            self.segments.push(segment);
        }
    }

    /// Every point with its attempt, in the order in which they were offered.
    pub fn all(&self) -> impl Iterator<Item = (Point, u32)> {
        let attempts =
            self.segments.iter().flat_map(|segment| std::iter::repeat_n(segment.attempt, segment.n));
        self.points.iter().zip(attempts)
    }

    /// The points that stand, by rising step, as the latest attempt leaves them, each with its attempt.
    #[must_use]
    pub fn latest(&self) -> Vec<(Point, u32)> {
        let is_plain = self.segments.len() <= 1;
        if is_plain && self.points.iter().is_sorted_by(|a, b| a.step < b.step) {
            return self.all().collect();
        }
        let mut series = Series::default();
        let mut points = self.points.iter();
        for segment in &self.segments {
            if let Some(step) = segment.session {
                series.session_start(segment.writer, step);
            }
            for point in points.by_ref().take(segment.n) {
                series.offer(segment.writer, segment.started, point);
            }
        }
        series.points_with_attempts().map(|(point, attempt)| (*point, attempt)).collect()
    }

    /// The attempts that it consists of.
    #[must_use]
    pub fn attempts(&self) -> &Attempts {
        &self.attempts
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::units::MetricValue;

    /// Points at these steps, a second apart from `wall` on; their values are the clock's.
    fn points(steps: std::ops::RangeInclusive<i64>, wall: f64) -> Points {
        let mut points = Points::default();
        for (i, step) in steps.enumerate() {
            let wall_time = WallTime(wall + i as f64);
            points.push(Point { step: Step(step), wall_time, value: MetricValue::F64(wall_time.0) });
        }
        points
    }

    fn latest(history: &History) -> Vec<(i64, u32)> {
        history.latest().iter().map(|(point, attempt)| (point.step.0, *attempt)).collect()
    }

    #[test]
    fn both_views_of_a_restarted_series() {
        let mut history = History::default();
        history.offer(WriterId(0), WallTime(0.0), &[], &points(0..=5, 0.0));
        history.offer(WriterId(1), WallTime(100.0), &[(0, Step(3))], &points(4..=6, 100.0));
        assert_eq!(latest(&history), [(0, 1), (1, 1), (2, 1), (3, 1), (4, 2), (5, 2), (6, 2)]);
        let all: Vec<(i64, u32)> = history.all().map(|(point, attempt)| (point.step.0, attempt)).collect();
        assert_eq!(all, [(0, 1), (1, 1), (2, 1), (3, 1), (4, 1), (5, 1), (4, 2), (5, 2), (6, 2)]);
        assert_eq!(history.attempts().n(), 2);
    }

    #[test]
    fn a_session_within_one_file_begins_an_attempt() {
        let mut history = History::default();
        let mut both = points(0..=5, 0.0);
        points(3..=4, 50.0).iter().for_each(|point| both.push(point));
        history.offer(WriterId(0), WallTime(0.0), &[(0, Step(0)), (6, Step(2))], &both);
        assert_eq!(latest(&history), [(0, 1), (1, 1), (2, 1), (3, 2), (4, 2)]);
    }

    #[test]
    fn writers_side_by_side_are_one_attempt() {
        let mut history = History::default();
        history.offer(WriterId(0), WallTime(0.0), &[], &points(0..=5, 0.0));
        history.offer(WriterId(1), WallTime(2.0), &[], &points(2..=3, 2.5));
        assert_eq!(history.attempts().n(), 1);
        assert_eq!(latest(&history).len(), 6);
    }

    #[test]
    fn a_continued_series_is_no_new_attempt() {
        let mut history = History::default();
        history.offer(WriterId(0), WallTime(0.0), &[], &points(0..=5, 0.0));
        history.offer(WriterId(1), WallTime(100.0), &[(0, Step(5))], &points(6..=7, 100.0));
        assert_eq!((history.attempts().n(), latest(&history).len()), (1, 8));
    }

    #[test]
    fn a_second_value_at_a_step_replaces_the_first_in_the_latest_view_only() {
        let mut history = History::default();
        let mut twice = points(5..=5, 1.0);
        points(5..=5, 2.0).iter().for_each(|point| twice.push(point));
        history.offer(WriterId(0), WallTime(0.0), &[], &twice);
        assert_eq!(
            history.latest().iter().map(|(p, _)| p.value).collect::<Vec<_>>(),
            [MetricValue::F64(2.0)]
        );
        assert_eq!(history.all().count(), 2);
    }
}
