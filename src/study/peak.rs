//! Trials that were better long before their end, as models are that overfit.

use super::{Curve, Goal, Measurement};

/// The fewest values of a curve of which anything is said.
const MIN_VALUES: usize = 8;

/// What a curve comes to at a place is the median of so many values about it, or of one in [`PIECES`] of all: a single value of
/// a noisy curve says nothing.
const MIN_WINDOW: usize = 5;
const PIECES: usize = 20;

/// A curve is much worse at its end where that is so many times what it moves from value to value, ...
const MIN_MOVES: f64 = 2.0;

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
    let window = MIN_WINDOW.max(values.len() / PIECES);
    let starts = (0..=values.len() - window).step_by(window.div_ceil(2)).chain([values.len() - window]);
    let medians: Vec<f64> =
        starts.filter_map(|at| median(values.get(at..at + window)?.iter().copied())).collect();
    let end = *medians.last()?;
    let best = medians.iter().copied().reduce(|best, m| if goal.is_better(m, best) { m } else { best })?;
    let at = medians.iter().position(|m| *m == best)?;
    let usual = median(values.windows(2).filter_map(|pair| Some((pair.last()? - pair.first()?).abs())))?;
    let worse = (end - best).abs();
    let is_much = worse > MIN_MOVES * usual && worse > MIN_SHARE * best.abs();
    (is_much && (at as f64) < LONG_BEFORE * (medians.len() - 1) as f64).then_some(peak)
}

/// The middle one of some values; of an even number the upper of the two.
fn median(values: impl Iterator<Item = f64>) -> Option<f64> {
    let mut values: Vec<f64> = values.collect();
    values.sort_by(f64::total_cmp);
    values.get(values.len() / 2).copied()
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
        // Noise about a value, and with long tails, as rewards have.
        let mut random = 1u64;
        let mut uniform = || {
            random = random.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            (random >> 11) as f64 / (1u64 << 53) as f64
        };
        let mut n_found = 0;
        for n in [40, 200, 1_000, 5_000] {
            for _ in 0..50 {
                let noise: Vec<f64> = (0..n).map(|_| 1.0 + uniform() - uniform()).collect();
                let mut reward = || if uniform() < 0.5 { uniform().ln() } else { -uniform().ln() };
                let rewards: Vec<f64> = (0..n).map(|_| reward()).collect();
                n_found += usize::from(peak(noise, Goal::Minimize).is_some());
                n_found += usize::from(peak(rewards, Goal::Maximize).is_some());
            }
        }
        assert!(n_found <= 20, "{n_found} of 400");
        assert_eq!(peak([0.5, 0.1, 0.9], Goal::Minimize), None, "too short");
    }
}
