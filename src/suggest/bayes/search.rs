//! The point where the model promises most.

#![expect(clippy::indexing_slicing, reason = "indices run over the coordinates of rows of one length")]

use super::acquisition::ln_expected_improvement;
use super::minimize::minimize;
use super::model::{Model, Points};
use crate::suggest::draw::{Draw, even};
use crate::suggest::encode::Encoding;

/// How many points are looked at before the best of them are improved. Half of them fill the space evenly, half lie near
/// the best trials.
const N_CANDIDATES: usize = 400;

/// How many of them are improved.
const N_STARTS: usize = 4;

/// Starts that are no further apart than this (the square of the distance) would climb the same hill.
const APART: f64 = 1e-3;

/// How many of the best trials candidates lie near to.
const N_BEST: usize = 10;

/// How often the promise is evaluated along one climb.
const MAX_CLIMB: usize = 30;

/// How often a climb and a sweep follow each other.
const MAX_ROUNDS: usize = 3;

/// A search for the row with the greatest expected improvement.
pub(super) struct Search<'a> {
    pub(super) encoding: &'a Encoding,
    pub(super) model: &'a Model,
    /// The rows of finished trials with their means, the best first; at least one.
    pub(super) best_first: &'a [(f64, Vec<f64>)],
}

impl Search<'_> {
    /// Rows, the most promising first; all are feasible.
    pub(super) fn run(&self, draw: &mut Draw) -> Vec<Vec<f64>> {
        let candidates = self.candidates(draw);
        let improvements = self.model.predict_many(&candidates).into_iter();
        let improvements = improvements.map(|at| ln_expected_improvement(at, self.best()).0);
        let mut rows: Vec<(f64, Vec<f64>)> =
            improvements.zip(candidates.rows().map(<[f64]>::to_vec)).collect();
        rows.sort_by(|a, b| b.0.total_cmp(&a.0));
        let mut starts: Vec<Vec<f64>> = Vec::new();
        for (_, row) in &rows {
            let is_apart = |start: &Vec<f64>| {
                start.iter().zip(row).map(|(a, b)| (a - b) * (a - b)).sum::<f64>() >= APART
            };
            if starts.len() < N_STARTS && starts.iter().all(is_apart) {
                starts.push(row.clone());
            }
        }
        starts.extend(self.best_first.first().map(|(_, row)| row.clone()));
        for mut row in starts {
            for _ in 0..MAX_ROUNDS {
                self.climb(&mut row);
                self.encoding.snap(&mut row);
                if !self.sweep(&mut row) {
                    break;
                }
            }
            rows.push((self.promise(&row), row));
        }
        rows.sort_by(|a, b| b.0.total_cmp(&a.0));
        rows.into_iter().map(|(_, row)| row).collect()
    }

    /// The least mean of a finished trial.
    fn best(&self) -> f64 {
        self.best_first.first().map_or(0.0, |(mean, _)| *mean)
    }

    fn promise(&self, row: &[f64]) -> f64 {
        ln_expected_improvement(self.model.predict(row), self.best()).0
    }

    fn candidates(&self, draw: &mut Draw) -> Points {
        let coordinates = self.encoding.coordinates();
        let mut candidates = Points::new(self.encoding.is_category());
        let scramble = draw.bits();
        for i in 0..N_CANDIDATES {
            let mut row: Vec<f64> = if i % 2 == 0 {
                coordinates.iter().enumerate().map(|(j, c)| c.place(even(i / 2, j, scramble))).collect()
            } else {
                self.near_a_good_one(draw)
            };
            self.encoding.snap(&mut row);
            candidates.push(&row);
        }
        candidates
    }

    /// One of the best trials, the best most often, with some of its coordinates moved, by much or by little.
    fn near_a_good_one(&self, draw: &mut Draw) -> Vec<f64> {
        let among = self.best_first.len().min(N_BEST) as f64;
        let which = (draw.unit() * draw.unit() * among) as usize;
        let mut row = self.best_first[which].1.clone();
        // From a third of the range down to a thousandth of that.
        let scale = libm::exp10(-0.5 - 3.0 * draw.unit());
        let share = (3.0 / row.len() as f64).max(0.3);
        for (u, c) in row.iter_mut().zip(self.encoding.coordinates()) {
            if draw.unit() >= share {
                continue;
            }
            if c.is_smooth() {
                *u = (*u + scale * draw.normal()).clamp(0.0, 1.0);
            } else if draw.unit() < 0.3 {
                *u = c.place(draw.unit());
            }
        }
        row
    }

    /// Climbs along the slopes of the smooth coordinates, as if all their values were feasible.
    fn climb(&self, row: &mut [f64]) {
        let coordinates = self.encoding.coordinates();
        let smooth: Vec<usize> = (0..row.len()).filter(|j| coordinates[*j].is_smooth()).collect();
        if smooth.is_empty() {
            return;
        }
        let mut x: Vec<f64> = smooth.iter().map(|j| row[*j]).collect();
        let bounds = vec![(0.0, 1.0); x.len()];
        minimize(&mut x, &bounds, MAX_CLIMB, 1e-6, &mut |x, gradient| {
            for (j, x) in smooth.iter().zip(x) {
                row[*j] = *x;
            }
            let (at, mean_slopes, deviation_slopes) = self.model.predict_with_gradient(row);
            let (promise, by_mean, by_deviation) = ln_expected_improvement(at, self.best());
            for (g, j) in gradient.iter_mut().zip(&smooth) {
                *g = -(by_mean * mean_slopes[*j] + by_deviation * deviation_slopes[*j]);
            }
            -promise
        });
        for (j, x) in smooth.iter().zip(&x) {
            row[*j] = *x;
        }
    }

    /// Tries every value of each other coordinate in turn. Whether one was better.
    fn sweep(&self, row: &mut [f64]) -> bool {
        let mut promise = self.promise(row);
        let mut is_better = false;
        for (j, c) in self.encoding.coordinates().iter().enumerate() {
            for place in c.places() {
                let before = std::mem::replace(&mut row[j], place);
                let other = self.promise(row);
                if other > promise + 1e-9 {
                    promise = other;
                    is_better = true;
                } else {
                    row[j] = before;
                }
            }
        }
        is_better
    }
}
