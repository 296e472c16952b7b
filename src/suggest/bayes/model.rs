//! A Gaussian process over the encoded space: its likelihood, its fit and what it predicts.

#![expect(
    clippy::indexing_slicing,
    reason = "indices run over points and coordinates whose numbers the data fix"
)]

use super::kernel::Kernel;
use crate::linear::{BATCH, Lower, dot};

/// What is added to the diagonal at least, relative to the signal: the matrix must stay definite in 53 bits.
pub(super) const MIN_NOISE: f64 = 1e-8;

/// How often ten times as much is tried where it is not definite all the same.
const MAX_JITTERS: usize = 7;

/// Points of the encoded space, row by row.
#[derive(Debug, Clone, Default)]
pub(super) struct Points {
    /// Which coordinates are categories: any two different ones are at distance 1.
    pub(super) is_category: Vec<bool>,
    values: Vec<f64>,
}

impl Points {
    pub(super) fn new(is_category: Vec<bool>) -> Self {
        Self { is_category, values: Vec::new() }
    }

    pub(super) fn push(&mut self, point: &[f64]) {
        debug_assert_eq!(point.len(), self.is_category.len());
        self.values.extend_from_slice(point);
    }

    /// The number of coordinates.
    pub(super) fn n_coordinates(&self) -> usize {
        self.is_category.len()
    }

    pub(super) fn n(&self) -> usize {
        self.values.len() / self.n_coordinates().max(1)
    }

    pub(super) fn row(&self, i: usize) -> &[f64] {
        let d = self.n_coordinates();
        &self.values[i * d..(i + 1) * d]
    }

    pub(super) fn rows(&self) -> impl Iterator<Item = &[f64]> {
        self.values.chunks_exact(self.n_coordinates().max(1))
    }

    /// The squared distance of a coordinate.
    pub(super) fn squared(&self, j: usize, a: f64, b: f64) -> f64 {
        if self.is_category[j] { f64::from(u8::from(a != b)) } else { (a - b) * (a - b) }
    }
}

/// What the covariance depends on besides the points.
#[derive(Debug, Clone)]
pub(super) struct Hyperparameters {
    pub(super) kernel: Kernel,
    /// Of each coordinate 1 / lengthscale².
    pub(super) weights: Vec<f64>,
    /// The variance of the noise, relative to that of the signal.
    pub(super) noise: f64,
}

/// A Gaussian process that knows some values.
#[derive(Debug, Clone)]
pub(in super::super) struct Model {
    points: Points,
    parameters: Hyperparameters,
    /// The variance of the signal.
    signal: f64,
    /// The Cholesky factor of the covariances relative to the signal, of points with values and, behind them, of
    /// those that are pending.
    factor: Lower,
    /// The weight of each point with a value in the mean.
    alpha: Vec<f64>,
    mean: f64,
}

/// A normal distribution.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(in super::super) struct Normal {
    pub(in super::super) mean: f64,
    /// The standard deviation, above 0.
    pub(in super::super) deviation: f64,
}

/// The prior of the signal's variance: as if so many values with this sum of squares had been seen.
pub(super) const SIGNAL_VALUES: f64 = 2.0;
pub(super) const SIGNAL_SQUARES: f64 = 2.0;

/// The prior variance of the mean, relative to the signal.
pub(super) const MEAN_VARIANCE: f64 = 10.0;

impl Model {
    /// The process that knows `values` at `points`. The values are around 0 with a deviation of about 1.
    pub(super) fn new(points: Points, values: &[f64], parameters: Hyperparameters) -> Option<Self> {
        let n = points.n();
        debug_assert_eq!(n, values.len());
        let mut jitter = MIN_NOISE;
        for _ in 0..MAX_JITTERS {
            let covariance = Lower::new(n, |i, k| {
                let value = covariance(&points, &parameters, points.row(i), points.row(k)).0;
                if i == k { value + parameters.noise + jitter } else { value }
            });
            if let Some(factor) = covariance.factor() {
                let mut ones = vec![1.0; n];
                factor.forward(&mut ones);
                let mut alpha = values.to_vec();
                factor.forward(&mut alpha);
                let mean = dot(&ones, &alpha) / (dot(&ones, &ones) + 1.0 / MEAN_VARIANCE);
                for (a, one) in alpha.iter_mut().zip(&ones) {
                    *a -= mean * one;
                }
                let squares = dot(&alpha, &alpha) + mean * mean / MEAN_VARIANCE;
                let signal = (squares + SIGNAL_SQUARES) / (n as f64 + SIGNAL_VALUES);
                factor.backward(&mut alpha);
                return Some(Self { points, parameters, signal, factor, alpha, mean });
            }
            jitter *= 10.0;
        }
        None
    }

    /// The number of points, pending ones among them.
    pub(super) fn n(&self) -> usize {
        self.factor.n()
    }

    /// The points, pending ones last.
    pub(super) fn points(&self) -> &Points {
        &self.points
    }

    /// The variance of the noise, relative to that of the signal.
    pub(in super::super) fn noise(&self) -> f64 {
        self.parameters.noise
    }

    /// The standard deviation of the noise.
    pub(in super::super) fn noise_deviation(&self) -> f64 {
        (self.parameters.noise * self.signal).sqrt()
    }

    /// The mean of [`Self::predict`] alone, at less cost.
    pub(in super::super) fn predict_mean(&self, point: &[f64]) -> f64 {
        let known = self.points.rows().zip(&self.alpha);
        let value = |known: &[f64]| covariance(&self.points, &self.parameters, known, point).0;
        self.mean + known.map(|(known, alpha)| alpha * value(known)).sum::<f64>()
    }

    /// Takes a point whose value is awaited: it changes deviations, not means.
    pub(super) fn add_pending(&mut self, point: &[f64]) {
        let mut row: Vec<f64> = self
            .points
            .rows()
            .map(|known| covariance(&self.points, &self.parameters, known, point).0)
            .collect();
        row.push(1.0 + self.parameters.noise.max(1e-6));
        if self.factor.append(&row) {
            self.points.push(point);
        }
    }

    /// What is expected at a point, without noise.
    pub(in super::super) fn predict(&self, point: &[f64]) -> Normal {
        let mut row: Vec<f64> = self
            .points
            .rows()
            .map(|known| covariance(&self.points, &self.parameters, known, point).0)
            .collect();
        let mean = self.mean + dot(&row[..self.alpha.len()], &self.alpha);
        self.factor.forward(&mut row);
        self.normal(mean, dot(&row, &row))
    }

    fn normal(&self, mean: f64, known: f64) -> Normal {
        // Rounding leaves nothing below the smallest noise.
        let variance = (1.0 - known).max(1e-10);
        Normal { mean, deviation: (variance * self.signal).sqrt() }
    }

    /// [`Self::predict`] of several points.
    pub(super) fn predict_many(&self, points: &Points) -> Vec<Normal> {
        let mut normals = Vec::with_capacity(points.n());
        let mut rows = vec![[0.0; BATCH]; self.n()];
        for first in (0..points.n()).step_by(BATCH) {
            let n_lanes = BATCH.min(points.n() - first);
            let mut means = [self.mean; BATCH];
            for (i, (known, row)) in self.points.rows().zip(&mut rows).enumerate() {
                for lane in 0..n_lanes {
                    let value = covariance(&self.points, &self.parameters, known, points.row(first + lane)).0;
                    row[lane] = value;
                    if i < self.alpha.len() {
                        means[lane] += value * self.alpha[i];
                    }
                }
            }
            self.factor.forward_many(&mut rows);
            let mut known = [0.0; BATCH];
            for row in &rows {
                for (known, x) in known.iter_mut().zip(row) {
                    *known += x * x;
                }
            }
            normals.extend((0..n_lanes).map(|lane| self.normal(means[lane], known[lane])));
        }
        normals
    }

    /// [`Self::predict`], and how mean and deviation change with each coordinate; 0 for categories.
    pub(super) fn predict_with_gradient(&self, point: &[f64]) -> (Normal, Vec<f64>, Vec<f64>) {
        let d = point.len();
        let (mut row, mut slopes) = (Vec::with_capacity(self.n()), Vec::with_capacity(self.n()));
        for known in self.points.rows() {
            let (value, slope) = covariance(&self.points, &self.parameters, known, point);
            row.push(value);
            slopes.push(slope);
        }
        let mean = self.mean + dot(&row[..self.alpha.len()], &self.alpha);
        self.factor.forward(&mut row);
        let normal = self.normal(mean, dot(&row, &row));
        self.factor.backward(&mut row);
        let (mut by_mean, mut by_deviation) = (vec![0.0; d], vec![0.0; d]);
        for (i, known) in self.points.rows().enumerate() {
            let alpha = self.alpha.get(i).copied().unwrap_or(0.0);
            let (a, b) = (slopes[i] * alpha, slopes[i] * row[i]);
            for j in 0..d {
                let off = point[j] - known[j];
                by_mean[j] += a * off;
                by_deviation[j] += b * off;
            }
        }
        for j in 0..d {
            let is_category = self.points.is_category[j];
            let weight = if is_category { 0.0 } else { 2.0 * self.parameters.weights[j] };
            by_mean[j] *= weight;
            by_deviation[j] *= -weight * self.signal / normal.deviation;
        }
        (normal, by_mean, by_deviation)
    }
}

/// The covariance of two points relative to the signal, and its slope by the squared distance.
fn covariance(points: &Points, parameters: &Hyperparameters, a: &[f64], b: &[f64]) -> (f64, f64) {
    let mut squared = 0.0;
    for (j, weight) in parameters.weights.iter().enumerate() {
        squared += weight * points.squared(j, a[j], b[j]);
    }
    parameters.kernel.at(squared)
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;

    /// Points without pattern in two numbers and a category.
    pub(in super::super) fn points(n: usize) -> Points {
        let mut points = Points::new(vec![false, false, true]);
        for i in 0..n {
            let i = i as f64;
            points.push(&[(i * 0.618_034).fract(), (i * 0.414_214).fract(), (i % 3.0).floor()]);
        }
        points
    }

    pub(in super::super) fn values(n: usize) -> Vec<f64> {
        points(n).rows().map(|row| (5.0 * row[0]).sin() + row[1] * row[1] + 0.3 * row[2] - 0.9).collect()
    }

    fn model(kernel: Kernel) -> Model {
        let parameters = Hyperparameters { kernel, weights: vec![4.0, 1.0, 0.5], noise: 1e-3 };
        Model::new(points(12), &values(12), parameters).expect("it is definite")
    }

    #[test]
    fn the_prediction_of_two_points_worked_out_by_hand() {
        // rho = exp(-1/2). By symmetry the mean is 0 and alpha = y / (1 - rho) = -+2.5415. At 1/4 the covariances are
        // exp(-1/32) and exp(-9/32): the mean is 2.5415 (0.75484 - 0.96923) = -0.54487. What is known there is
        // (0.93941 + 0.56978 - 2 rho 0.73161) / (1 - rho^2) = 0.98352; the signal (5.0830 + 2) / (2 + 2) = 1.77074.
        let mut points = Points::new(vec![false]);
        points.push(&[0.0]);
        points.push(&[1.0]);
        let parameters =
            Hyperparameters { kernel: Kernel::SquaredExponential, weights: vec![1.0], noise: 0.0 };
        let at = Model::new(points, &[-1.0, 1.0], parameters).expect("it is definite").predict(&[0.25]);
        assert!((at.mean - -0.54487).abs() < 1e-4, "{at:?}");
        assert!((at.deviation - (1.77074_f64 * (1.0 - 0.98352)).sqrt()).abs() < 1e-3, "{at:?}");
    }

    #[test]
    fn many_predictions_are_those_made_one_by_one() {
        let mut model = model(Kernel::Matern52);
        model.add_pending(&[0.5, 0.5, 1.0]);
        let asked = points(21);
        for (row, many) in asked.rows().zip(model.predict_many(&asked)) {
            let one = model.predict(row);
            assert!((one.mean - many.mean).abs() < 1e-10 && (one.deviation - many.deviation).abs() < 1e-8);
        }
    }

    #[test]
    fn the_slopes_of_a_prediction_are_those_of_finite_differences() {
        for kernel in [Kernel::Matern52, Kernel::SquaredExponential] {
            let model = model(kernel);
            let row = [0.31, 0.77, 1.0];
            let (_, by_mean, by_deviation) = model.predict_with_gradient(&row);
            for j in 0..2 {
                let at = |h: f64| {
                    let mut moved = row;
                    moved[j] += h;
                    model.predict(&moved)
                };
                let (h, above, below) = (1e-5, at(1e-5), at(-1e-5));
                let differences =
                    ((above.mean - below.mean) / (2.0 * h), (above.deviation - below.deviation) / (2.0 * h));
                assert!((by_mean[j] - differences.0).abs() < 1e-6, "{kernel:?} {j}");
                assert!((by_deviation[j] - differences.1).abs() < 1e-6, "{kernel:?} {j}");
            }
            assert_eq!((by_mean[2], by_deviation[2]), (0.0, 0.0), "a category has no slope");
        }
    }

    #[test]
    fn a_pending_point_narrows_what_is_near_and_moves_no_mean() {
        let known = model(Kernel::Matern52);
        let mut waiting = known.clone();
        waiting.add_pending(&[0.9, 0.1, 0.0]);
        let (before, after) = (known.predict(&[0.9, 0.12, 0.0]), waiting.predict(&[0.9, 0.12, 0.0]));
        assert!((before.mean - after.mean).abs() < 1e-12);
        assert!(after.deviation < 0.5 * before.deviation, "{before:?} {after:?}");
        // The same point again and again leaves it definite.
        for _ in 0..5 {
            waiting.add_pending(&[0.9, 0.1, 0.0]);
        }
        assert!(waiting.predict(&[0.9, 0.1, 0.0]).deviation.is_finite());
    }
}
