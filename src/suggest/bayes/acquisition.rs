//! How promising a point is, by what the model expects there.

use super::model::Normal;

/// The logarithm of the expected improvement on `best` where smaller values are better, and its slopes by the mean
/// and by the deviation. Source: Ament et al., "Unexpected improvements to expected improvement" (2023): the
/// logarithm has a slope to follow where the improvement itself is too small for a number.
pub(super) fn ln_expected_improvement(at: Normal, best: f64) -> (f64, f64, f64) {
    let z = (best - at.mean) / at.deviation;
    let (ln_h, ratio) = ln_h(z);
    // d/dz ln h = ratio; dz/dmean = -1/s; dz/ds = -z/s.
    (libm::log(at.deviation) + ln_h, -ratio / at.deviation, (1.0 - ratio * z) / at.deviation)
}

/// The logarithm of h(z) = φ(z) + z Φ(z), and Φ(z) / h(z).
fn ln_h(z: f64) -> (f64, f64) {
    const LN_SQRT_TAU: f64 = 0.918_938_533_204_672_7;
    if z < -30.0 {
        // Expansion for large -z; what is left out is below one part in 10^5.
        let ln = -0.5 * z * z - LN_SQRT_TAU - 2.0 * libm::log(-z) - 3.0 / (z * z);
        return (ln, -z + -2.0 / z);
    }
    let density = libm::exp(-0.5 * z * z - LN_SQRT_TAU);
    let below = 0.5 * libm::erfc(-z * std::f64::consts::FRAC_1_SQRT_2);
    let h = density + z * below;
    (libm::log(h), below / h)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_slopes_are_those_of_finite_differences() {
        for (mean, deviation) in [(0.0, 1.0), (3.0, 0.5), (-2.0, 0.1), (20.0, 0.8), (9.0, 0.1), (-1.0, 3.0)] {
            let value = |mean, deviation| ln_expected_improvement(Normal { mean, deviation }, 0.3).0;
            let (_, by_mean, by_deviation) = ln_expected_improvement(Normal { mean, deviation }, 0.3);
            let h = 1e-6;
            let differences = [
                (value(mean + h, deviation) - value(mean - h, deviation)) / (2.0 * h),
                (value(mean, deviation + h * deviation) - value(mean, deviation - h * deviation))
                    / (2.0 * h * deviation),
            ];
            for (got, want) in [by_mean, by_deviation].into_iter().zip(differences) {
                assert!(
                    (got - want).abs() <= 1e-4 * want.abs().max(1.0),
                    "at {mean} {deviation}: {got}, {want}"
                );
            }
        }
    }

    #[test]
    fn the_improvement_is_that_of_the_closed_form() {
        // At the best value itself with deviation 1 it is φ(0) = 0.39894.
        let at = Normal { mean: 0.0, deviation: 1.0 };
        assert!((ln_expected_improvement(at, 0.0).0 - 0.398_942_28_f64.ln()).abs() < 1e-7);
        // Both branches meet.
        assert!((ln_h(-30.0 - 1e-9).0 - ln_h(-30.0 + 1e-9).0).abs() < 1e-4);
    }
}
