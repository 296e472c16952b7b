//! The hyperparameters that make the known values most likely.

#![expect(
    clippy::indexing_slicing,
    reason = "indices run over points and coordinates whose numbers the data fix"
)]

use super::kernel::Kernel;
use super::minimize::minimize;
use super::model::{Hyperparameters, MEAN_VARIANCE, MIN_NOISE, Points, SIGNAL_SQUARES, SIGNAL_VALUES};
use crate::linear::{Lower, dot};

/// The bounds of the logarithms of the weights and of the noise.
const LN_WEIGHT_BOUNDS: (f64, f64) = (-9.0, 7.5);
const LN_NOISE_BOUNDS: (f64, f64) = (-18.4, 0.7);

/// The prior of the hyperparameters: normal in their logarithms.
const LN_LENGTH_MEAN: f64 = -0.9;
const LN_WEIGHT_DEVIATION: f64 = 2.4;
const LN_NOISE_MEAN: f64 = -11.5;
const LN_NOISE_DEVIATION: f64 = 4.0;

/// The squared distances of all pairs of points, pair by pair of the lower half without its diagonal.
struct Distances {
    d: usize,
    squares: Vec<f64>,
}

impl Distances {
    fn new(points: &Points) -> Self {
        let (n, d) = (points.n(), points.n_coordinates());
        let mut squares = Vec::with_capacity(n * n.saturating_sub(1) / 2 * d);
        for i in 0..n {
            for k in 0..i {
                let (a, b) = (points.row(i), points.row(k));
                squares.extend((0..d).map(|j| points.squared(j, a[j], b[j])));
            }
        }
        Self { d, squares }
    }
}

/// The negative logarithm of the posterior density of hyperparameters, up to a constant, as a function of the
/// logarithms of weights and noise; the signal is integrated out.
struct Fit<'a> {
    kernel: Kernel,
    n: usize,
    distances: &'a Distances,
    values: &'a [f64],
    ln_weight_mean: f64,
    weights: Vec<f64>,
    slopes: Vec<f64>,
}

impl<'a> Fit<'a> {
    fn new(kernel: Kernel, distances: &'a Distances, values: &'a [f64]) -> Self {
        // In more dimensions points are further apart.
        let ln_weight_mean = -2.0 * LN_LENGTH_MEAN - libm::log(distances.d as f64);
        let n = values.len();
        let slopes = vec![0.0; n * n.saturating_sub(1) / 2];
        Self { kernel, n, distances, values, ln_weight_mean, weights: vec![0.0; distances.d], slopes }
    }

    /// The mean of the prior of each logarithm.
    fn prior_means(&self) -> Vec<f64> {
        let mut means = vec![self.ln_weight_mean; self.distances.d];
        means.push(LN_NOISE_MEAN);
        means
    }

    /// The value at `x`, and its gradient. Infinite where the covariances are not definite.
    fn evaluate(&mut self, x: &[f64], gradient: &mut [f64]) -> f64 {
        let (n, d) = (self.n, self.distances.d);
        for (weight, x) in self.weights.iter_mut().zip(x) {
            *weight = libm::exp(*x);
        }
        let noise = libm::exp(x[d]);
        let (kernel, weights, squares) = (self.kernel, &self.weights, &self.distances.squares);
        let mut pair = 0;
        let slopes = &mut self.slopes;
        let covariance = Lower::new(n, |i, k| {
            if i == k {
                return 1.0 + MIN_NOISE + noise + MEAN_VARIANCE;
            }
            let squared = &squares[pair * d..(pair + 1) * d];
            let (value, slope) = kernel.at(weights.iter().zip(squared).map(|(w, s)| w * s).sum());
            slopes[pair] = slope;
            pair += 1;
            value + MEAN_VARIANCE
        });
        let Some(factor) = covariance.factor() else { return f64::INFINITY };
        let mut alpha = self.values.to_vec();
        factor.forward(&mut alpha);
        let squares_sum = dot(&alpha, &alpha) + SIGNAL_SQUARES;
        factor.backward(&mut alpha);
        let n_values = n as f64 + SIGNAL_VALUES;
        let mut value = 0.5 * n_values * libm::log(squares_sum) + factor.ln_determinant();
        // d value = 1/2 sum over i, k of (C⁻¹ - s a aᵀ) dC, with s = n_values / squares_sum.
        let scale = n_values / squares_sum;
        let inverse = factor.inverse_of_product();
        gradient.fill(0.0);
        let mut pair = 0;
        let mut trace = 0.0;
        for i in 0..n {
            let row = inverse.row(i);
            for k in 0..i {
                let share = (row[k] - scale * alpha[i] * alpha[k]) * self.slopes[pair];
                let squared = &self.distances.squares[pair * d..(pair + 1) * d];
                for (g, s) in gradient.iter_mut().zip(squared) {
                    *g += share * s;
                }
                pair += 1;
            }
            trace += row[i] - scale * alpha[i] * alpha[i];
        }
        for (g, weight) in gradient.iter_mut().zip(&self.weights) {
            *g *= weight;
        }
        gradient[d] = 0.5 * trace * noise;
        for (j, x) in x.iter().enumerate() {
            let (mean, deviation) = if j < d {
                (self.ln_weight_mean, LN_WEIGHT_DEVIATION)
            } else {
                (LN_NOISE_MEAN, LN_NOISE_DEVIATION)
            };
            let off = (x - mean) / deviation;
            value += 0.5 * off * off;
            gradient[j] += off / deviation;
        }
        value
    }
}

/// How often the density is evaluated for one fit. The fit need not be exact: the next trial is fitted anew.
const MAX_EVALUATIONS: usize = 20;

/// The slope of the density's logarithm at which it is flat enough.
const TOLERANCE: f64 = 1e-2;

/// The most likely hyperparameters of one kernel, and how unlikely they are with these values: the negative
/// logarithm of the posterior density up to a constant that all kernels share.
pub(super) fn fit(kernel: Kernel, points: &Points, values: &[f64]) -> (Hyperparameters, f64) {
    let distances = Distances::new(points);
    let mut fit = Fit::new(kernel, &distances, values);
    let d = distances.d;
    let mut x = fit.prior_means();
    let mut bounds = vec![LN_WEIGHT_BOUNDS; d];
    bounds.push(LN_NOISE_BOUNDS);
    let value =
        minimize(&mut x, &bounds, MAX_EVALUATIONS, TOLERANCE, &mut |x, gradient| fit.evaluate(x, gradient));
    let weights = x[..d].iter().map(|x| libm::exp(*x)).collect();
    (Hyperparameters { kernel, weights, noise: libm::exp(x[d]) }, value)
}

#[cfg(test)]
mod tests {
    use super::super::model::tests::{points, values};
    use super::*;

    #[test]
    fn the_gradient_is_that_of_finite_differences() {
        for kernel in [Kernel::Matern52, Kernel::SquaredExponential] {
            let (points, values) = (points(15), values(15));
            let distances = Distances::new(&points);
            let mut fit = Fit::new(kernel, &distances, &values);
            let x = [1.2, -0.4, 0.1, -6.0];
            let mut gradient = vec![0.0; 4];
            fit.evaluate(&x, &mut gradient);
            for j in 0..4 {
                let mut at = |h: f64| {
                    let mut moved = x;
                    moved[j] += h;
                    fit.evaluate(&moved, &mut [0.0; 4])
                };
                let difference = (at(1e-5) - at(-1e-5)) / 2e-5;
                assert!(
                    (gradient[j] - difference).abs() < 1e-4 * difference.abs().max(1.0),
                    "{kernel:?} {j}"
                );
            }
        }
    }

    #[test]
    fn a_coordinate_without_effect_gets_the_longest_lengthscale() {
        let mut points = Points::new(vec![false; 2]);
        let mut values = Vec::new();
        for i in 0..30 {
            let row = [(f64::from(i) * 0.618_034).fract(), (f64::from(i) * 0.414_214).fract()];
            points.push(&row);
            values.push((9.0 * row[0]).sin());
        }
        let (parameters, _) = fit(Kernel::Matern52, &points, &values);
        assert!(parameters.weights[0] > 20.0 * parameters.weights[1], "{parameters:?}");
        assert!(parameters.noise < 1e-3, "{parameters:?}");
    }
}
