//! The values that a trial has reported, by step.

use super::Goal;
use crate::limits::MAX_CURVE_POINTS;
use crate::series::{Change, Sample, Split};
use crate::units::{RunName, Step, WallTime};

/// One value of the objective.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Measurement {
    /// The step it belongs to.
    pub step: Step,
    /// The value; NaN and infinities are kept.
    pub value: f64,
    /// The trainer's clock.
    pub wall_time: WallTime,
}

/// A trial's measurements by rising step, with the running average at each.
///
/// Of more than [`MAX_CURVE_POINTS`] it keeps those of a [`Sample`] of the steps, and in any case the first two, the last,
/// the smallest and the largest: results are exact, and what is read between steps is off by no more than the curve does
/// within some thousandth of its length. Where a restart voids the end of so long a curve, what is last and best of the
/// rest is the last and best of those kept, until the trainer comes that far again.
#[derive(Debug, Clone, Default)]
pub struct Curve {
    run: Option<RunName>,
    points: Vec<Measurement>,
    sample: Sample,
    /// Of the finite values up to and with each point.
    so_far: Vec<SoFar>,
}

/// What some finite values come to.
#[derive(Debug, Clone, Copy)]
struct SoFar {
    sum: f64,
    n: u32,
    smallest: f64,
    largest: f64,
}

impl Default for SoFar {
    fn default() -> Self {
        Self { sum: 0.0, n: 0, smallest: f64::INFINITY, largest: f64::NEG_INFINITY }
    }
}

impl Curve {
    /// Takes it that measurements come from `run` from now on; those before are void.
    pub fn start_over(&mut self, run: RunName) {
        *self = Self { run: Some(run), ..Self::default() };
    }

    /// The run directory that the measurements come from, where one was told.
    #[must_use]
    pub fn run(&self) -> Option<&RunName> {
        self.run.as_ref()
    }

    /// Which data the measurements were made on, as far as their run directory's name says. Those of training and those
    /// of validation are never compared with each other.
    #[must_use]
    pub fn split(&self) -> Option<Split> {
        self.run.as_ref().and_then(Split::of_run)
    }

    /// Takes changes of the objective, in order: as many of them at once as there are, since each call looks at what
    /// is kept of the whole curve.
    pub fn apply(&mut self, changes: &[Change]) {
        let mut new = Vec::new();
        for change in changes {
            match change {
                Change::Source(run) => {
                    new.clear();
                    self.start_over(run.clone());
                }
                Change::Rewind(from) => {
                    new.retain(|m: &Measurement| m.step < *from);
                    self.rewind(*from);
                }
                Change::Point(point) => new.push(Measurement {
                    step: point.step,
                    value: point.value.as_f64(),
                    wall_time: point.wall_time,
                }),
            }
        }
        self.insert_all(new);
        self.thin();
    }

    /// Takes a measurement; one at a step that has one already replaces it.
    pub fn insert(&mut self, measurement: Measurement) {
        self.insert_all(vec![measurement]);
        self.thin();
    }

    /// Takes measurements in the order in which they were written, and keeps them all.
    pub fn insert_all(&mut self, mut new: Vec<Measurement>) {
        // Of those at one step the last counts.
        new.sort_by_key(|m| m.step);
        let Some(first) = new.first() else { return };
        let at = self.points.partition_point(|m| m.step < first.step);
        let mut old = self.points.split_off(at).into_iter().peekable();
        for m in new {
            while let Some(before) = old.next_if(|before| before.step < m.step) {
                self.points.push(before);
            }
            old.next_if(|same| same.step == m.step);
            match self.points.last_mut() {
                Some(same) if same.step == m.step => *same = m,
                _ => self.points.push(m),
            }
        }
        self.points.extend(old);
        self.sum_from(at);
    }

    /// Keeps a sample, where there are too many.
    pub fn thin(&mut self) {
        if !self.sample.is_all() {
            self.keep_sample();
        }
        while self.points.len() > MAX_CURVE_POINTS && self.sample != self.sample.half() {
            self.sample = self.sample.half();
            self.keep_sample();
        }
    }

    fn keep_sample(&mut self) {
        let smallest = self.best(Goal::Minimize).map(|m| m.step);
        let largest = self.best(Goal::Maximize).map(|m| m.step);
        let second = self.points.get(1).map(|m| m.step);
        let last = self.last().map(|m| m.step);
        let kept = [smallest, largest, last];
        let sample = self.sample;
        self.points.retain(|m| {
            sample.has(m.step)
                || second.is_some_and(|second| m.step <= second)
                || kept.contains(&Some(m.step))
        });
        self.sum_from(0);
    }

    /// Removes every measurement from step `from` on.
    pub fn rewind(&mut self, from: Step) {
        let keep = self.points.partition_point(|m| m.step < from);
        self.points.truncate(keep);
        self.so_far.truncate(keep);
    }

    /// The measurements by rising step.
    #[must_use]
    pub fn points(&self) -> &[Measurement] {
        &self.points
    }

    /// The measurement at the largest step.
    #[must_use]
    pub fn last(&self) -> Option<&Measurement> {
        self.points.last()
    }

    /// The best finite measurement; of equal ones the earliest.
    #[must_use]
    pub fn best(&self, goal: Goal) -> Option<&Measurement> {
        self.points
            .iter()
            .filter(|m| m.value.is_finite())
            .reduce(|best, m| if goal.is_better(m.value, best.value) { m } else { best })
    }

    /// The average of the finite values up to and with `step`; `None` where there is none.
    #[must_use]
    pub fn running_average(&self, step: Step) -> Option<f64> {
        let SoFar { sum, n, .. } = self.so_far(step)?;
        Some(sum / f64::from(n))
    }

    /// The best finite value up to and with `step`; `None` where there is none.
    #[must_use]
    pub fn running_best(&self, step: Step, goal: Goal) -> Option<f64> {
        let SoFar { smallest, largest, .. } = self.so_far(step)?;
        Some(match goal {
            Goal::Maximize => largest,
            Goal::Minimize => smallest,
        })
    }

    /// The last finite measurement at or before `step`.
    #[must_use]
    pub fn finite_until(&self, step: f64) -> Option<&Measurement> {
        let n = self.points.partition_point(|m| m.step.0 as f64 <= step);
        self.points.iter().take(n).rev().find(|m| m.value.is_finite())
    }

    /// The first finite measurement at or behind `step`.
    #[must_use]
    pub fn finite_from(&self, step: f64) -> Option<&Measurement> {
        let n = self.points.partition_point(|m| (m.step.0 as f64) < step);
        self.points.iter().skip(n).find(|m| m.value.is_finite())
    }

    fn so_far(&self, step: Step) -> Option<SoFar> {
        let n = self.points.partition_point(|m| m.step <= step);
        self.so_far.get(n.checked_sub(1)?).copied().filter(|so_far| so_far.n > 0)
    }

    fn sum_from(&mut self, at: usize) {
        self.so_far.truncate(at);
        let mut so_far = self.so_far.last().copied().unwrap_or_default();
        for m in self.points.iter().skip(at) {
            if m.value.is_finite() {
                so_far.sum += m.value;
                so_far.n += 1;
                so_far.smallest = so_far.smallest.min(m.value);
                so_far.largest = so_far.largest.max(m.value);
            }
            self.so_far.push(so_far);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::series::Point;
    use crate::units::MetricValue;

    fn curve(points: &[(i64, f64)]) -> Curve {
        let mut curve = Curve::default();
        for (step, value) in points {
            curve.insert(Measurement { step: Step(*step), value: *value, wall_time: WallTime(0.0) });
        }
        curve
    }

    #[test]
    fn averages_run_over_the_finite_values_in_step_order() {
        let mut curve = curve(&[(10, 1.0), (30, 5.0), (20, f64::NAN), (40, 3.0)]);
        assert_eq!(curve.running_average(Step(9)), None);
        assert_eq!(curve.running_average(Step(20)), Some(1.0));
        assert_eq!(curve.running_average(Step(30)), Some(3.0));
        assert_eq!(curve.running_average(Step(99)), Some(3.0));
        curve.insert(Measurement { step: Step(10), value: 4.0, wall_time: WallTime(0.0) });
        assert_eq!(curve.running_average(Step(99)), Some(4.0));
        curve.rewind(Step(30));
        assert_eq!(curve.points().len(), 2);
        assert_eq!(curve.running_average(Step(99)), Some(4.0));
    }

    #[test]
    fn the_best_so_far_and_the_finite_neighbours_of_a_step() {
        let mut curve = curve(&[(10, 3.0), (20, f64::NAN), (30, 1.0), (40, 2.0)]);
        assert_eq!(curve.running_best(Step(25), Goal::Minimize), Some(3.0));
        assert_eq!(curve.running_best(Step(40), Goal::Minimize), Some(1.0));
        assert_eq!(curve.running_best(Step(40), Goal::Maximize), Some(3.0));
        assert_eq!(curve.running_best(Step(9), Goal::Maximize), None);
        assert_eq!(curve.finite_until(29.5).map(|m| m.step), Some(Step(10)));
        assert_eq!(curve.finite_from(10.5).map(|m| m.step), Some(Step(30)));
        assert_eq!(curve.finite_from(41.0), None);
        curve.rewind(Step(30));
        assert_eq!(curve.running_best(Step(40), Goal::Minimize), Some(3.0));
    }

    #[test]
    fn changes_in_any_order_give_the_curve_of_one_after_the_other() {
        let mut one_by_one = Curve::default();
        let mut random = 7u64;
        for _ in 0..50 {
            let mut changes = Vec::new();
            for _ in 0..20 {
                random = random.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
                let step = Step((random >> 58) as i64);
                match random >> 40 & 15 {
                    0 => {
                        one_by_one.rewind(step);
                        changes.push(Change::Rewind(step));
                    }
                    _ => {
                        let (value, wall_time) = (random as f64, WallTime(0.0));
                        one_by_one.insert(Measurement { step, value, wall_time });
                        changes.push(Change::Point(Point {
                            step,
                            wall_time,
                            value: MetricValue::F64(value),
                        }));
                    }
                }
            }
            let mut at_once = one_by_one.clone();
            at_once.rewind(Step(i64::MIN));
            let before: Vec<Change> = one_by_one
                .points()
                .iter()
                .map(|m| {
                    Change::Point(Point {
                        step: m.step,
                        wall_time: m.wall_time,
                        value: MetricValue::F64(m.value),
                    })
                })
                .collect();
            at_once.apply(&before);
            assert_eq!(at_once.points(), one_by_one.points());
            let mut curve = Curve::default();
            curve.apply(&changes);
            let mut expected = Curve::default();
            changes.iter().for_each(|change| expected.apply(std::slice::from_ref(change)));
            assert_eq!(curve.points(), expected.points());
            assert_eq!(curve.running_average(Step(99)), expected.running_average(Step(99)));
        }
    }

    #[test]
    fn a_long_curve_is_a_sample_of_itself_whatever_order_it_comes_in() {
        let n = 200_000i64;
        let value = |step: i64| 1.0 / (1.0 + step as f64 / 1e4) + if step == 77_777 { 3.0 } else { 0.0 };
        let point = |step: i64| {
            Change::Point(Point {
                step: Step(step),
                wall_time: WallTime(0.0),
                value: MetricValue::F64(value(step)),
            })
        };
        let orders: [Vec<i64>; 3] =
            [(0..n).collect(), (0..n).rev().collect(), (0..n).map(|i| i * 48_271 % n).collect()];
        let mut first: Option<Curve> = None;
        for order in orders {
            let mut curve = Curve::default();
            for steps in order.chunks(4_096) {
                curve.apply(&steps.iter().map(|step| point(*step)).collect::<Vec<_>>());
                assert!(curve.points().len() <= MAX_CURVE_POINTS);
            }
            assert_eq!(curve.last().map(|m| (m.step.0, m.value)), Some((n - 1, value(n - 1))));
            assert_eq!(curve.best(Goal::Maximize).map(|m| m.step.0), Some(77_777));
            assert_eq!(curve.best(Goal::Minimize).map(|m| m.step.0), Some(n - 1));
            assert_eq!(curve.points().iter().take(2).map(|m| m.step.0).collect::<Vec<_>>(), [0, 1]);
            for step in [1_000, 50_000, 150_000] {
                let (near, exact) = (curve.finite_until(step as f64).expect("there is one"), value(step));
                assert!((near.value - exact).abs() < 5e-3, "{} at {step}, not {exact}", near.value);
                let exact = (0..=step).map(value).sum::<f64>() / (step + 1) as f64;
                let average = curve.running_average(Step(step)).expect("there is one");
                assert!((average - exact).abs() < 5e-3, "an average of {average} until {step}, not {exact}");
            }
            assert_eq!(first.get_or_insert_with(|| curve.clone()).points(), curve.points());
        }
    }

    #[test]
    fn the_best_is_finite_and_the_earliest() {
        let curve = curve(&[(1, f64::INFINITY), (2, 0.5), (3, 0.9), (4, 0.9), (5, f64::NAN)]);
        assert_eq!(curve.best(Goal::Maximize).map(|m| m.step), Some(Step(3)));
        assert_eq!(curve.best(Goal::Minimize).map(|m| m.step), Some(Step(2)));
        assert_eq!(Curve::default().best(Goal::Maximize), None);
    }
}
