//! The values that a trial has reported, by step.

use super::Goal;
use crate::series::is_evaluation;
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
#[derive(Debug, Clone, Default)]
pub struct Curve {
    run: Option<RunName>,
    points: Vec<Measurement>,
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

    /// Whether the measurements come from a run directory that is named for evaluation. Those of
    /// training and those of evaluation are never compared with each other.
    #[must_use]
    pub fn is_evaluation(&self) -> bool {
        self.run.as_ref().is_some_and(is_evaluation)
    }

    /// Takes a measurement; one at a step that has one already replaces it.
    pub fn insert(&mut self, measurement: Measurement) {
        let at = self.points.partition_point(|m| m.step < measurement.step);
        match self.points.get_mut(at) {
            Some(same) if same.step == measurement.step => *same = measurement,
            _ => self.points.insert(at, measurement),
        }
        self.sum_from(at);
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
    fn the_best_is_finite_and_the_earliest() {
        let curve = curve(&[(1, f64::INFINITY), (2, 0.5), (3, 0.9), (4, 0.9), (5, f64::NAN)]);
        assert_eq!(curve.best(Goal::Maximize).map(|m| m.step), Some(Step(3)));
        assert_eq!(curve.best(Goal::Minimize).map(|m| m.step), Some(Step(2)));
        assert_eq!(Curve::default().best(Goal::Maximize), None);
    }
}
