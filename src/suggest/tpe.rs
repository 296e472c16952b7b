//! Tree-structured Parzen estimator: where good results are dense and others are not. For thousands of trials.
//!
//! Sources: Bergstra et al., "Algorithms for Hyper-Parameter Optimization" (2011); Watanabe, "Tree-Structured Parzen
//! Estimator: Understanding Its Algorithm Components" (2023), whose weights and bandwidths are used where it finds
//! them better.

use super::draw::{Draw, even};
use super::encode::{Coordinate, Encoding, Kind};
use super::known::{Known, is_taken};
use super::random::RandomSearch;
use super::{Observation, Suggest};
use crate::limits::MAX_PARZEN_POINTS;
use crate::study::{Assignment, StudySpec};

/// How many trials are drawn evenly before the densities are asked.
const N_INITIAL: usize = 10;

/// How many points are drawn from the density of the good ones.
const N_CANDIDATES: usize = 48;

/// At most so many trials are good ones.
const MAX_GOOD: usize = 25;

/// The narrowest bump, as a share of the range.
const MIN_BANDWIDTH: f64 = 0.01;

/// Two densities, of good trials and of the others.
#[derive(Debug)]
pub struct TreeParzen;

impl Suggest for TreeParzen {
    fn suggest(&mut self, spec: &StudySpec, observations: &[Observation]) -> Option<Assignment> {
        let encoding = Encoding::new(&spec.space);
        let mut draw = Draw::new(spec.seed, observations.len());
        let known = Known::of(spec, &encoding, observations);
        let is_new = |row: &[f64]| {
            let point = encoding.decode(row);
            (!is_taken(observations, &point)).then_some(point)
        };
        if observations.len() < N_INITIAL || !known.is_telling() {
            let place = |(j, c): (usize, &Coordinate)| c.place(even(observations.len(), j, spec.seed as u32));
            let row: Vec<f64> = encoding.coordinates().iter().enumerate().map(place).collect();
            return is_new(&row).or_else(|| RandomSearch.suggest(spec, observations));
        }
        let (good, others) = split(known);
        let (good, others) = (Density::new(&encoding, good), Density::new(&encoding, others));
        let mut candidates: Vec<(f64, Vec<f64>)> = (0..N_CANDIDATES)
            .map(|_| {
                let row = good.draw(&encoding, &mut draw);
                (good.ln(&row) - others.ln(&row), row)
            })
            .collect();
        candidates.sort_by(|a, b| b.0.total_cmp(&a.0));
        candidates
            .iter()
            .find_map(|(_, row)| is_new(row))
            .or_else(|| RandomSearch.suggest(spec, observations))
    }
}

/// The rows of good trials, the best first, and of the others; those that run or failed are among the others.
fn split(known: Known) -> (Vec<Vec<f64>>, Vec<Vec<f64>>) {
    let mut finished = known.finished;
    let n_good = (finished.len() / 10 + 1).min(MAX_GOOD);
    // A stable sort: of equal results the earlier trial comes first, and NaN comes last.
    finished.sort_by(|a, b| a.value.is_nan().cmp(&b.value.is_nan()).then(a.value.total_cmp(&b.value)));
    let mut rows: Vec<Vec<f64>> = finished.into_iter().map(|f| f.row).collect();
    let mut others = rows.split_off(n_good.min(rows.len()));
    // The newest where there are too many.
    others.extend(known.pending);
    let n_spare = others.len().saturating_sub(MAX_PARZEN_POINTS);
    others.drain(..n_spare);
    (rows, others)
}

/// A mixture of one bump around each row and one that is flat.
struct Density {
    rows: Vec<Vec<f64>>,
    bandwidths: Vec<Bandwidth>,
}

enum Bandwidth {
    /// The deviation of a normal bump between 0 and 1.
    Number(f64),
    /// Of so many categories each other one has this much for each one that its own has.
    Category { n: usize, other: f64 },
}

impl Density {
    fn new(encoding: &Encoding, rows: Vec<Vec<f64>>) -> Self {
        let (n, d) = (rows.len() as f64, encoding.coordinates().len() as f64);
        let narrowing = libm::pow(n + 1.0, -1.0 / (d + 4.0));
        let bandwidth = |(j, c): (usize, &Coordinate)| match c.kind {
            Kind::Category(n_categories) => Bandwidth::Category { n: n_categories, other: 1.0 / (n + 1.0) },
            Kind::Continuous | Kind::Stepped | Kind::Few(_) => {
                let values = || rows.iter().filter_map(|row| row.get(j));
                let mean = values().sum::<f64>() / n.max(1.0);
                let variance = values().map(|v| (v - mean) * (v - mean)).sum::<f64>() / n.max(1.0);
                Bandwidth::Number((variance.sqrt().max(0.1) * narrowing).max(MIN_BANDWIDTH))
            }
        };
        let bandwidths = encoding.coordinates().iter().enumerate().map(bandwidth).collect();
        Self { rows, bandwidths }
    }

    /// The logarithm of the density at a row.
    fn ln(&self, row: &[f64]) -> f64 {
        let mut sum = 0.0;
        let mut flat = 1.0;
        for bandwidth in &self.bandwidths {
            if let Bandwidth::Category { n, .. } = bandwidth {
                flat /= *n as f64;
            }
        }
        for known in &self.rows {
            let mut exponent = 0.0;
            let mut factor = 1.0;
            for ((bandwidth, known), x) in self.bandwidths.iter().zip(known).zip(row) {
                match bandwidth {
                    Bandwidth::Number(deviation) => {
                        let off = (x - known) / deviation;
                        exponent -= 0.5 * off * off;
                        factor *= 0.398_942_280_401_432_7 / deviation;
                    }
                    Bandwidth::Category { n, other } => {
                        let total = 1.0 + other * (*n as f64 - 1.0);
                        factor *= if x == known { 1.0 / total } else { other / total };
                    }
                }
            }
            sum += factor * libm::exp(exponent);
        }
        libm::log((sum + flat) / (self.rows.len() as f64 + 1.0))
    }

    /// A feasible row from the density.
    fn draw(&self, encoding: &Encoding, draw: &mut Draw) -> Vec<f64> {
        let base = self.rows.get(draw.below(self.rows.len() + 1));
        let mut row: Vec<f64> = Vec::with_capacity(self.bandwidths.len());
        for (j, (c, bandwidth)) in encoding.coordinates().iter().zip(&self.bandwidths).enumerate() {
            let Some(known) = base.and_then(|base| base.get(j)) else {
                row.push(c.place(draw.unit()));
                continue;
            };
            row.push(match bandwidth {
                Bandwidth::Number(deviation) => within(|| known + deviation * draw.normal()),
                Bandwidth::Category { n, other } => {
                    let is_other = draw.unit() < other * *n as f64 / (1.0 + other * (*n as f64 - 1.0));
                    if is_other { c.place(draw.unit()) } else { *known }
                }
            });
        }
        encoding.snap(&mut row);
        row
    }
}

/// A drawn number between 0 and 1, drawn again a few times where it lies outside.
fn within(mut draw: impl FnMut() -> f64) -> f64 {
    let mut last = 0.0;
    for _ in 0..20 {
        last = draw();
        if (0.0..=1.0).contains(&last) {
            break;
        }
    }
    last.clamp(0.0, 1.0)
}
