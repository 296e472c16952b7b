//! Objective values as the model sees them: smaller is better, around 0, with a deviation of about 1.

/// How values are stretched.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in super::super) enum Warp {
    /// Evenly.
    Even,
    /// The better half evenly; of the worse half only the ranks count, so that how bad the bad ones are does not hide what
    /// tells the good ones apart. Source: Song et al., "The Vizier Gaussian Process Bandit Algorithm" (2024), section 3.2.
    HalfRank,
}

/// The warped values. A value that is not finite counts as worse than the worst that is. Without two different finite
/// values all are 0 but for those.
pub(in super::super) fn warp(how: Warp, values: &[f64]) -> Vec<f64> {
    let finite: Vec<f64> = values.iter().copied().filter(|v| v.is_finite()).collect();
    // Halves and a common scale, since differences of the largest numbers overflow.
    let largest = finite.iter().fold(f64::MIN_POSITIVE, |max, v| max.max(v.abs()));
    let mut warped: Vec<f64> = finite.iter().map(|v| v / largest).collect();
    if how == Warp::HalfRank {
        half_rank(&mut warped);
    }
    let n = warped.len().max(1) as f64;
    let mean = warped.iter().sum::<f64>() / n;
    let deviation = (warped.iter().map(|v| (v - mean) * (v - mean)).sum::<f64>() / n).sqrt();
    let scale = if deviation > 1e-14 { 1.0 / deviation } else { 0.0 };
    for v in &mut warped {
        *v = (*v - mean) * scale;
    }
    let worst = warped.iter().copied().fold(0.0, f64::max);
    let mut warped = warped.into_iter();
    values.iter().map(|v| if v.is_finite() { warped.next().unwrap_or(0.0) } else { worst + 0.5 }).collect()
}

fn half_rank(values: &mut [f64]) {
    let n = values.len();
    let mut order: Vec<usize> = (0..n).collect();
    let of = |values: &[f64], i: usize| values.get(i).copied().unwrap_or(0.0);
    order.sort_by(|a, b| of(values, *a).total_cmp(&of(values, *b)));
    let middle = order.get(n.saturating_sub(1) / 2).map_or(0.0, |i| of(values, *i));
    let better: Vec<f64> = values.iter().copied().filter(|v| *v <= middle).collect();
    let squares: f64 = better.iter().map(|v| (v - middle) * (v - middle)).sum();
    let deviation = (squares / better.len().max(1) as f64).sqrt();
    if deviation <= 0.0 {
        return;
    }
    // Equal values have equal ranks: the mean of theirs.
    let mut first = 0;
    while let Some(value) = order.get(first).map(|i| of(values, *i)) {
        let n_equal = order.iter().skip(first).take_while(|i| of(values, **i) == value).count();
        if value > middle {
            let rank = (first as f64 + 0.5 * n_equal as f64) / n as f64;
            let warped = middle + deviation * normal_quantile(rank);
            for i in order.iter().skip(first).take(n_equal) {
                if let Some(v) = values.get_mut(*i) {
                    *v = warped;
                }
            }
        }
        first += n_equal;
    }
}

/// The value below which a standard normal variable lies with this probability, in (0, 1): Newton's method on the
/// error function.
fn normal_quantile(p: f64) -> f64 {
    let mut x = 0.0;
    for _ in 0..60 {
        let below = 0.5 * libm::erfc(-x * std::f64::consts::FRAC_1_SQRT_2);
        let density = libm::exp(-0.5 * x * x) * 0.398_942_280_401_432_7;
        let step = ((p - below) / density).clamp(-1.0, 1.0);
        x += step;
        if step.abs() < 1e-12 {
            break;
        }
    }
    x
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn quantiles_are_those_of_the_tables() {
        for (p, x) in [(0.5, 0.0), (0.975, 1.959_963_985), (0.001, -3.090_232_306), (0.9, 1.281_551_566)] {
            assert!((normal_quantile(p) - x).abs() < 1e-8, "{p}");
        }
    }

    #[test]
    fn the_better_half_keeps_its_proportions_and_the_order_stays() {
        let values = [5.0, 1.0, 2.0, 4.0, 1e9, f64::NAN, 3.0, 1e6];
        let warped = warp(Warp::HalfRank, &values);
        let order = [1, 2, 6, 3, 0, 7, 4, 5];
        assert!(order.windows(2).all(|w| warped[w[0]] < warped[w[1]]), "{warped:?}");
        assert!(((warped[6] - warped[2]) - (warped[2] - warped[1])).abs() < 1e-12);
        assert!(warped.iter().all(|v| v.abs() < 4.0), "{warped:?}");
    }

    #[test]
    fn equal_huge_and_absent_values_end_well() {
        assert_eq!(warp(Warp::Even, &[]), [] as [f64; 0]);
        assert_eq!(warp(Warp::HalfRank, &[2.0, 2.0]), [0.0, 0.0]);
        assert_eq!(warp(Warp::Even, &[f64::NAN, f64::INFINITY]), [0.5, 0.5]);
        for how in [Warp::Even, Warp::HalfRank] {
            let warped = warp(how, &[f64::MAX, -f64::MAX, 0.0]);
            assert!(warped.iter().all(|v| v.abs() < 2.0), "{warped:?}");
            assert!(warped[1] < warped[2] && warped[2] < warped[0]);
        }
    }
}
