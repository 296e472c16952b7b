//! Bayesian optimisation: a Gaussian process of what is known, and the point where it promises most.
//!
//! 1. The centre of the space comes first, then points that fill it evenly ([`n_initial`]).
//! 2. Results are warped ([`mod@warp`]): in turn evenly and by rank in their worse half. Each wins on some problems.
//! 3. Two kernels are fitted ([`fit`]), and one is drawn by how likely each makes the results.
//! 4. Pending trials count in the deviations of the prediction, not in its means ([`model`]).
//! 5. The point with the greatest expected improvement on the best mean so far is taken ([`search`]), none twice.
//!
//! Every sum has one order, no result depends on a thread or on the machine, and nothing is kept between suggestions.
//! Sources: Frazier, "A Tutorial on Bayesian Optimization" (2018); Song et al., "The Vizier Gaussian Process Bandit
//! Algorithm" (2024); Ament et al., "Unexpected improvements to expected improvement" (2023).

mod acquisition;
mod fit;
mod kernel;
mod minimize;
mod model;
mod search;
mod warp;

use super::draw::{Draw, even};
use super::encode::Encoding;
use super::known::{Finished, Known, is_taken};
use super::random::RandomSearch;
use super::{Observation, Suggest};
use crate::limits::{MAX_FIT_POINTS, MAX_MODEL_POINTS};
use crate::study::{Assignment, StudySpec};
use kernel::Kernel;
pub(super) use model::Model;
use model::Points;
use search::Search;
pub(super) use warp::{Warp, warp};

/// Bayesian optimisation with a Gaussian process; what `ALGORITHM_UNSPECIFIED` means.
#[derive(Debug)]
pub struct BayesianOptimization;

impl Suggest for BayesianOptimization {
    fn suggest(&mut self, spec: &StudySpec, observations: &[Observation]) -> Option<Assignment> {
        let encoding = Encoding::new(&spec.space);
        let mut draw = Draw::new(spec.seed, observations.len());
        let is_new = |row: &[f64]| {
            let point = encoding.decode(row);
            (!is_taken(observations, &point)).then_some(point)
        };
        if observations.is_empty() {
            return is_new(&encoding.coordinates().iter().map(|c| c.place(0.5)).collect::<Vec<_>>());
        }
        let known = Known::of(spec, &encoding, observations);
        let proposals = if observations.len() < n_initial(spec, &encoding) || !known.is_telling() {
            let scramble = spec.seed as u32;
            let place =
                |(j, c): (usize, &super::encode::Coordinate)| c.place(even(observations.len(), j, scramble));
            vec![encoding.coordinates().iter().enumerate().map(place).collect()]
        } else {
            propose(&encoding, &known, &mut draw)
        };
        // Where everything that it thinks of was tried: whatever was not, if anything is left.
        proposals.iter().find_map(|row| is_new(row)).or_else(|| RandomSearch.suggest(spec, observations))
    }
}

/// How many trials come before the model is asked: some for each coordinate, but at most a quarter of the budget.
fn n_initial(spec: &StudySpec, encoding: &Encoding) -> usize {
    let affordable = (spec.max_trials / 4).max(3) as usize;
    (2 * encoding.coordinates().len() + 1).min(affordable)
}

/// Rows to try next, the most promising first.
fn propose(encoding: &Encoding, known: &Known, draw: &mut Draw) -> Vec<Vec<f64>> {
    let how = if draw.unit() < 0.5 { Warp::Even } else { Warp::HalfRank };
    let Some(mut model) = learn(encoding, &known.finished, how, draw) else { return Vec::new() };
    let finished: Vec<(f64, Vec<f64>)> = {
        let means = model.predict_many(model.points());
        let mut rows: Vec<_> =
            means.iter().map(|m| m.mean).zip(model.points().rows().map(<[f64]>::to_vec)).collect();
        rows.sort_by(|a, b| a.0.total_cmp(&b.0));
        rows
    };
    for row in &known.pending {
        model.add_pending(row);
    }
    Search { encoding, model: &model, best_first: &finished }.run(draw)
}

/// The model of what is known, with a kernel drawn by how likely it is. `None` where it cannot be computed, which takes values
/// beyond all reason.
fn learn(encoding: &Encoding, finished: &[Finished], how: Warp, draw: &mut Draw) -> Option<Model> {
    let chance = draw.unit();
    learn_with(encoding, finished, how, chance)
}

/// The same with the likelier kernel.
pub(super) fn learn_most_likely(encoding: &Encoding, finished: &[Finished], how: Warp) -> Option<Model> {
    learn_with(encoding, finished, how, 0.5)
}

/// The model with Matérn's kernel where its share of the evidence is above `chance`, with the squared exponential otherwise.
fn learn_with(encoding: &Encoding, finished: &[Finished], how: Warp, chance: f64) -> Option<Model> {
    let values: Vec<f64> = finished.iter().map(|f| f.value).collect();
    let values = warp(how, &values);
    let (few, few_values) = select(encoding, finished, &values, MAX_FIT_POINTS);
    let [matern, squared] =
        [Kernel::Matern52, Kernel::SquaredExponential].map(|kernel| fit::fit(kernel, &few, &few_values));
    let share = 1.0 / (1.0 + libm::exp((matern.1 - squared.1).clamp(-50.0, 50.0)));
    let parameters = if chance < share { matern.0 } else { squared.0 };
    let (points, values) = select(encoding, finished, &values, MAX_MODEL_POINTS);
    Model::new(points, &values, parameters)
}

/// All points with their values, or where there are more than `max`: the better half of so many, and the newest.
fn select(encoding: &Encoding, finished: &[Finished], values: &[f64], max: usize) -> (Points, Vec<f64>) {
    let mut by_value: Vec<(usize, f64)> = values.iter().copied().enumerate().collect();
    by_value.sort_by(|a, b| a.1.total_cmp(&b.1).then(a.0.cmp(&b.0)));
    let mut is_chosen = vec![finished.len() <= max; finished.len()];
    let best = by_value.iter().take(max / 2).map(|(i, _)| *i);
    for i in best {
        if let Some(chosen) = is_chosen.get_mut(i) {
            *chosen = true;
        }
    }
    let mut n_free = max - max / 2;
    for chosen in is_chosen.iter_mut().rev().filter(|chosen| !**chosen) {
        if n_free == 0 {
            break;
        }
        *chosen = true;
        n_free -= 1;
    }
    let (mut points, mut kept) = (Points::new(encoding.is_category()), Vec::new());
    for ((f, value), _) in finished.iter().zip(values).zip(is_chosen).filter(|(_, is_chosen)| *is_chosen) {
        points.push(&f.row);
        kept.push(*value);
    }
    (points, kept)
}
