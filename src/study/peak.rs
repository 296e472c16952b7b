//! Trials that were better long before their end, as models are that overfit.

use super::{Curve, Goal, Measurement};

/// The fewest values of a curve of which anything is said.
const MIN_VALUES: usize = 8;

/// A curve is much worse at its end where that is so many times what it moves from value to value, ...
const MIN_STEPS_OF_IT: f64 = 4.0;

/// ... and this share of its best value.
const MIN_SHARE: f64 = 0.1;

/// Long before the end is before this share of the values.
const LONG_BEFORE: f64 = 0.75;

/// The best measurement of a curve that is much worse at its end, and was long before; `None` of any other. Values that are
/// not finite are passed over.
#[must_use]
pub fn peak_before_end(curve: &Curve, goal: Goal) -> Option<&Measurement> {
    let (peak, last) = (curve.best(goal)?, curve.last()?);
    let values: Vec<f64> = curve.points().iter().map(|m| m.value).filter(|value| value.is_finite()).collect();
    if values.len() < MIN_VALUES || !last.value.is_finite() {
        return None;
    }
    let n_before = curve.points().iter().take_while(|m| m.position() < peak.position()).count();
    let mut moves: Vec<f64> = values.windows(2).map(|pair| (pair[1] - pair[0]).abs()).collect();
    moves.sort_by(f64::total_cmp);
    let usual = *moves.get(moves.len() / 2)?;
    let worse = (last.value - peak.value).abs();
    let is_much = worse > MIN_STEPS_OF_IT * usual && worse > MIN_SHARE * peak.value.abs();
    (is_much && (n_before as f64) < LONG_BEFORE * curve.points().len() as f64).then_some(peak)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::units::{Step, WallTime};

    fn peak(values: impl IntoIterator<Item = f64>, goal: Goal) -> Option<i64> {
        let mut curve = Curve::default();
        for (step, value) in (0..).zip(values) {
            curve.insert(Measurement::new(Step(step), value, WallTime(step as f64)));
        }
        peak_before_end(&curve, goal).map(|m| m.step.0)
    }

    #[test]
    fn a_curve_that_overfits_has_one_and_others_have_none() {
        let overfits = |step: i64| 0.3 + (step as f64 - 10.0).abs() * 0.02;
        assert_eq!(peak((0..40).map(overfits), Goal::Minimize), Some(10));
        assert_eq!(peak((0..40).map(|step| 1.0 - overfits(step)), Goal::Maximize), Some(10));
        assert_eq!(peak((0..40).map(overfits).chain([f64::NAN]), Goal::Minimize), None);
        assert_eq!(peak((0..40).map(|step| 1.0 / (1.0 + f64::from(step))), Goal::Minimize), None);
        // Noise about a value.
        let noise = |step: i64| 0.5 + 0.01 * ((step * 7_919 % 101) as f64 / 101.0);
        assert_eq!(peak((0..40).map(noise), Goal::Minimize), None);
        assert_eq!(peak([0.5, 0.1, 0.9], Goal::Minimize), None, "too short");
    }
}
