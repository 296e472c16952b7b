//! What is new in files that were read once before, by somebody whose memory is what the store has.

use std::collections::BTreeMap;

use super::Curve;
use crate::limits::MAX_CATCH_UP_POINTS;
use crate::objective::Change;
use crate::units::RunName;
use tfevents::series::{Point, Position};

/// Takes the changes of an objective whose files are read anew from their beginning, and gives those that lead from
/// a known curve to where that ends: nothing that is known comes twice, and nothing is taken back only because its
/// file is gone.
///
/// Of a curve of which only a sample is known, and of more than [`MAX_CATCH_UP_POINTS`] points, some come twice: they are
/// handed on as they are read.
#[derive(Debug)]
pub struct Reconciler {
    known: Curve,
    run: Option<RunName>,
    points: BTreeMap<Position, Point>,
    /// The earliest position that a restarted writer began anew from.
    rewound: Option<Position>,
    /// Whether all is handed on.
    is_over: bool,
}

impl Reconciler {
    /// From this curve on.
    #[must_use]
    pub fn new(known: Curve) -> Self {
        Self { known, run: None, points: BTreeMap::new(), rewound: None, is_over: false }
    }

    /// Takes changes, in order. The answer are those that do not wait for [`Self::finish`].
    pub fn take(&mut self, changes: impl IntoIterator<Item = Change>) -> Vec<Change> {
        let mut changes = changes.into_iter();
        if self.is_over {
            return changes.collect();
        }
        while let Some(change) = changes.next() {
            match change {
                Change::Source(run) => {
                    // The same run once more: all that it had told is void.
                    self.rewound = (self.run.as_ref() == Some(&run)).then_some(Position::FIRST);
                    self.run = Some(run);
                    self.points.clear();
                }
                Change::Rewind(from) => {
                    self.points.split_off(&from);
                    self.rewound = Some(self.rewound.map_or(from, |earlier| earlier.min(from)));
                }
                Change::Point { pass, point } => {
                    self.points.insert(Position { pass, step: point.step }, point);
                }
            }
            if self.points.len() >= MAX_CATCH_UP_POINTS {
                let mut on = self.news();
                self.is_over = true;
                on.extend(changes);
                return on;
            }
        }
        Vec::new()
    }

    /// What is new, all that is there having been taken.
    #[must_use]
    pub fn finish(mut self) -> Vec<Change> {
        if self.is_over { Vec::new() } else { self.news() }
    }

    fn news(&mut self) -> Vec<Change> {
        // With no file read there is nothing new.
        let Some(run) = self.run.take() else { return Vec::new() };
        let points = std::mem::take(&mut self.points);
        let told = |(at, point): (&Position, &Point)| Change::Point { pass: at.pass, point: *point };
        if self.known.run() != Some(&run) {
            return std::iter::once(Change::Source(run)).chain(points.iter().map(told)).collect();
        }
        let known: BTreeMap<Position, f64> =
            self.known.points().iter().map(|m| (m.position(), m.value)).collect();
        let is_void =
            |at: &&Position| self.rewound.is_some_and(|from| **at >= from) && !points.contains_key(at);
        let void_from = known.keys().find(is_void).copied();
        let is_news = |(at, point): &(&Position, &Point)| {
            let is_behind = void_from.is_some_and(|from| **at >= from);
            let is_known = known.get(at).is_some_and(|value| is_same(*value, point.value.as_f64()));
            !is_behind && !is_known
        };
        let mut changes: Vec<Change> = points.iter().filter(is_news).map(told).collect();
        if let Some(from) = void_from {
            changes.push(Change::Rewind(from));
            changes.extend(points.range(from..).map(told));
        }
        changes
    }
}

fn is_same(a: f64, b: f64) -> bool {
    a == b || (a.is_nan() && b.is_nan())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::study::Measurement;
    use crate::units::{MetricValue, Step, WallTime};

    fn point(step: i64, value: f64) -> Change {
        let point = Point { step: Step(step), wall_time: WallTime(0.0), value: MetricValue::F64(value) };
        Change::Point { pass: 0, point }
    }

    fn source() -> Change {
        Change::Source("eval".into())
    }

    /// Has `stored` be known, and `read` read anew.
    #[track_caller]
    fn check(stored: &[(i64, f64)], read: &[Change], expected: &[Change]) {
        let mut known = Curve::default();
        known.start_over("eval".into());
        for (step, value) in stored {
            known.insert(Measurement::new(Step(*step), *value, WallTime(0.0)));
        }
        let mut catch_up = Reconciler::new(known);
        assert_eq!(catch_up.take(read.to_vec()), []);
        assert_eq!(catch_up.finish(), expected);
    }

    #[test]
    fn only_what_is_new_comes() {
        let read = [source(), point(1, 0.1), point(2, f64::NAN), point(3, 0.3)];
        check(&[(1, 0.1), (2, f64::NAN)], &read, &[point(3, 0.3)]);
        check(&[(1, 0.1), (2, f64::NAN), (3, 0.3)], &read, &[]);
        check(&[(1, 0.5), (2, f64::NAN), (3, 0.3)], &read, &[point(1, 0.1)]);
    }

    #[test]
    fn what_is_known_stays_where_its_file_is_gone() {
        check(&[(1, 0.1), (2, 0.2)], &[], &[]);
        check(&[(1, 0.1), (2, 0.2)], &[source(), point(3, 0.3)], &[point(3, 0.3)]);
    }

    #[test]
    fn a_restart_that_nobody_saw_takes_back_what_it_voids() {
        let read = [
            source(),
            point(1, 0.1),
            point(2, 0.2),
            point(3, 0.3),
            Change::Rewind(Position::first_pass(Step(2))),
            point(2, 0.5),
        ];
        check(
            &[(1, 0.1), (2, 0.2), (3, 0.3)],
            &read,
            &[point(2, 0.5), Change::Rewind(Position::first_pass(Step(3)))],
        );
        // One that was seen is no news.
        check(&[(1, 0.1), (2, 0.5)], &read, &[]);
        let on = [read.as_slice(), &[point(3, 0.6), point(4, 0.7)]].concat();
        check(&[(1, 0.1), (2, 0.5)], &on, &[point(3, 0.6), point(4, 0.7)]);
    }

    #[test]
    fn what_the_same_source_once_more_makes_void_is_taken_back() {
        let read = [source(), point(1, 0.1), point(2, 0.2), source(), point(1, 0.7)];
        check(&[(1, 0.1), (2, 0.2)], &read, &[point(1, 0.7), Change::Rewind(Position::first_pass(Step(2)))]);
    }

    #[test]
    fn a_very_long_curve_is_handed_on_as_it_is_read() {
        let n = MAX_CATCH_UP_POINTS as i64;
        let mut catch_up = Reconciler::new(Curve::default());
        let read = std::iter::once(source()).chain((0..n + 3).map(|step| point(step, 0.5)));
        let on = catch_up.take(read.clone());
        assert_eq!(on, read.collect::<Vec<_>>());
        assert_eq!(
            catch_up.take([Change::Rewind(Position::first_pass(Step(5)))]),
            [Change::Rewind(Position::first_pass(Step(5)))]
        );
        assert_eq!(catch_up.finish(), []);
    }

    #[test]
    fn another_run_directory_begins_anew() {
        let read = [Change::Source("other".into()), point(1, 0.1)];
        check(&[(1, 0.1), (2, 0.2)], &read, &read);
    }
}
