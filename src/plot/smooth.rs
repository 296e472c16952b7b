//! Smoothing as TensorBoard does it.
//!
//! Imports nothing and does no IO.

/// The largest weight: beyond it the average would not move within any curve.
const MAX_WEIGHT: f64 = 0.999_999;

/// The exponential moving average of y as TensorBoard's slider gives it (`resmoothDataset` of its
/// line chart): `last = weight * last + (1 - weight) * y`, divided by `1 - weight^n` after the `n`-th
/// value, so that the start is not drawn towards zero. The same x in the same order.
///
/// The weight goes from 0 (the points as they are) to below 1; what lies outside is taken to the
/// nearest, NaN to 0. Values that are not finite pass through and do not enter the average. A constant
/// series stays itself to the last digit.
#[must_use]
pub fn smooth(points: &[(f64, f64)], weight: f64) -> Vec<(f64, f64)> {
    let mut finite = points.iter().map(|(_, y)| *y).filter(|y| y.is_finite());
    let first = finite.next();
    let is_constant = finite.all(|y| Some(y) == first);
    let weight = weight_within(weight);
    if is_constant || weight == 0.0 {
        return points.to_vec();
    }
    let (mut last, mut remaining) = (0.0, 1.0);
    points
        .iter()
        .map(|&(x, y)| {
            if !y.is_finite() {
                return (x, y);
            }
            last = last * weight + (1.0 - weight) * y;
            remaining *= weight;
            (x, last / (1.0 - remaining))
        })
        .collect()
}

/// The weight that [`smooth`] takes for a given one.
pub(super) fn weight_within(weight: f64) -> f64 {
    if weight > 0.0 { weight.min(MAX_WEIGHT) } else { 0.0 }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(ys: &[f64], weight: f64, expected: &[f64]) {
        let points: Vec<(f64, f64)> = ys.iter().enumerate().map(|(i, y)| (i as f64, *y)).collect();
        let smoothed = smooth(&points, weight);
        assert_eq!(smoothed.len(), expected.len());
        for ((got, want), (point, before)) in smoothed.iter().zip(expected).zip(smoothed.iter().zip(&points))
        {
            assert!(
                got.1 == *want || (got.1 - want).abs() < 1e-12 || got.1.is_nan() && want.is_nan(),
                "{smoothed:?}"
            );
            assert_eq!(point.0, before.0);
        }
    }

    #[test]
    fn the_average_is_tensorboards() {
        // By hand: 1; (0.5 * 0.5 + 0.5 * 2) / 0.75; (0.5 * 1.25 + 0.5 * 4) / 0.875.
        check(&[1.0, 2.0, 4.0], 0.5, &[1.0, 1.25 / 0.75, 2.625 / 0.875]);
        check(&[1.0, 2.0, 4.0], 0.0, &[1.0, 2.0, 4.0]);
        check(&[], 0.9, &[]);
    }

    #[test]
    fn a_constant_series_stays_itself() {
        check(&[0.1; 50], 0.97, &[0.1; 50]);
        check(&[0.1, f64::NAN, 0.1], 0.6, &[0.1, f64::NAN, 0.1]);
    }

    #[test]
    fn gaps_pass_through_and_do_not_enter_the_average() {
        check(&[1.0, f64::NAN, 2.0, f64::INFINITY], 0.5, &[1.0, f64::NAN, 1.25 / 0.75, f64::INFINITY]);
    }

    #[test]
    fn a_weight_outside_its_range_is_taken_to_the_nearest() {
        check(&[1.0, 2.0], f64::NAN, &[1.0, 2.0]);
        check(&[1.0, 2.0], -1.0, &[1.0, 2.0]);
        let smoothed = smooth(&[(0.0, 1.0), (1.0, 2.0)], 7.0);
        assert!(smoothed.iter().all(|(_, y)| (1.0..=2.0).contains(y)), "{smoothed:?}");
    }
}
