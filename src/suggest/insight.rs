//! What the trials of a study say about its parameters, by the model that the search would use.

use std::sync::Arc;

use serde::Serialize;

use super::Observation;
use super::bayes::{self, Warp};
use super::draw::even;
use super::encode::{Coordinate, Encoding};
use super::known::Known;
use crate::study::{Domain, Goal, ParamValue, StudySpec, Trial};
use crate::units::{TrialId, serialize_f64};

/// With fewer results nothing is said.
const MIN_RESULTS: usize = 10;

/// How many points importance is estimated with, for each parameter.
const N_SAMPLES: usize = 512;

/// Noise is evident where its variance is more than this share of the signal's.
const EVIDENT_NOISE: f64 = 0.01;

/// A bound is crowded where this share of the best trials lies within [`NEAR`] of it.
const CROWDED: f64 = 0.6;
const NEAR: f64 = 0.05;

/// What the trials say.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Insight {
    /// Each parameter that has a choice, the most important first.
    pub importance: Vec<Importance>,
    /// The trial that the model expects to be best if it were run again and again. Only where noise is evident.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub best_mean: Option<BestMean>,
    /// Bounds that the best trials crowd: better values may lie beyond.
    pub crowded: Vec<Crowded>,
}

/// How much a parameter matters.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Importance {
    /// The parameter.
    pub parameter: Arc<str>,
    /// Its share, 0 to 1, all shares summing to 1: how much of the variance of the model's mean over the whole space
    /// would be gone if the parameter were known, interactions with others included. Source: Jansen, "Analysis of
    /// variance designs for model output" (1999), the total effect.
    #[serde(serialize_with = "serialize_f64")]
    pub share: f64,
}

/// An expectation.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct BestMean {
    /// The trial.
    pub trial_id: TrialId,
    /// Its result without noise, as the model expects it.
    #[serde(serialize_with = "serialize_f64")]
    pub mean: f64,
    /// The standard deviation of that.
    #[serde(serialize_with = "serialize_f64")]
    pub deviation: f64,
    /// The standard deviation of the noise of one trial.
    #[serde(serialize_with = "serialize_f64")]
    pub noise: f64,
}

/// A crowded bound.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Crowded {
    /// The parameter.
    pub parameter: Arc<str>,
    /// Whether it is the upper bound.
    pub is_upper: bool,
    /// The bound.
    #[serde(serialize_with = "serialize_f64")]
    pub bound: f64,
    /// How many of the best trials lie near it.
    pub n_near: usize,
    /// How many were looked at.
    pub n_best: usize,
}

/// What the trials say; `None` where there are too few results, or all are equal.
#[must_use]
pub fn insight(spec: &StudySpec, trials: &[Trial]) -> Option<Insight> {
    let encoding = Encoding::new(&spec.space);
    let known = Known::of(spec, &encoding, &Observation::of_all(spec, trials));
    let n_results = known.finished.iter().filter(|f| f.value.is_finite()).count();
    if n_results < MIN_RESULTS || !known.is_telling() || encoding.coordinates().is_empty() {
        return None;
    }
    Some(Insight {
        importance: importance(&encoding, &known)?,
        best_mean: best_mean(spec, &encoding, trials),
        crowded: crowded(spec, &encoding, &known),
    })
}

fn importance(encoding: &Encoding, known: &Known) -> Option<Vec<Importance>> {
    let model = bayes::learn_most_likely(encoding, &known.finished, Warp::HalfRank)?;
    let d = encoding.coordinates().len();
    let point = |n: usize, half: usize| -> Vec<f64> {
        let place = |(j, c): (usize, &Coordinate)| c.place(even(n, j + half * d, 0));
        let mut row: Vec<f64> = encoding.coordinates().iter().enumerate().map(place).collect();
        encoding.snap(&mut row);
        row
    };
    let mut effects = vec![0.0; d];
    for n in 0..N_SAMPLES {
        let (base, other) = (point(n, 0), point(n, 1));
        let at_base = model.predict_mean(&base);
        for (j, (effect, u)) in effects.iter_mut().zip(other).enumerate() {
            let mut moved = base.clone();
            if let Some(place) = moved.get_mut(j) {
                *place = u;
            }
            let off = model.predict_mean(&moved) - at_base;
            *effect += off * off;
        }
    }
    let total: f64 = effects.iter().sum();
    let names = encoding.names();
    let share = |effect: f64| if total > 0.0 { effect / total } else { 1.0 / d as f64 };
    let mut importance: Vec<Importance> = names
        .zip(effects)
        .map(|(name, effect)| Importance { parameter: name.clone(), share: share(effect) })
        .collect();
    importance.sort_by(|a, b| b.share.total_cmp(&a.share));
    Some(importance)
}

fn best_mean(spec: &StudySpec, encoding: &Encoding, trials: &[Trial]) -> Option<BestMean> {
    // By trial, so that the best is named: each with what it says alone.
    let finished: Vec<(TrialId, _)> = trials
        .iter()
        .filter_map(|trial| {
            let known = Known::of(spec, encoding, &[Observation::of(spec, trial)]).finished.pop()?;
            known.value.is_finite().then_some((trial.id, known))
        })
        .collect();
    let known: Vec<_> = finished.iter().map(|(_, known)| known.clone()).collect();
    let model = bayes::learn_most_likely(encoding, &known, Warp::Even)?;
    if model.noise() < EVIDENT_NOISE {
        return None;
    }
    let expected = finished.iter().map(|(id, known)| (*id, model.predict(&known.row)));
    let (trial_id, at) = expected.min_by(|a, b| a.1.mean.total_cmp(&b.1.mean))?;
    // The warp is even: two values tell how it goes back.
    let values: Vec<f64> = known.iter().map(|f| f.value).collect();
    let warped = bayes::warp(Warp::Even, &values);
    let ends = |v: &[f64]| {
        (v.iter().copied().fold(f64::INFINITY, f64::min), v.iter().copied().fold(f64::NEG_INFINITY, f64::max))
    };
    let ((low, high), (warped_low, warped_high)) = (ends(&values), ends(&warped));
    let unit = (high - low) / (warped_high - warped_low);
    let sign = if spec.goal == Goal::Maximize { -1.0 } else { 1.0 };
    Some(BestMean {
        trial_id,
        mean: sign * (low + unit * (at.mean - warped_low)),
        deviation: unit * at.deviation,
        noise: unit * model.noise_deviation(),
    })
}

fn crowded(spec: &StudySpec, encoding: &Encoding, known: &Known) -> Vec<Crowded> {
    let mut best: Vec<_> = known.finished.iter().filter(|f| f.value.is_finite()).collect();
    best.sort_by(|a, b| a.value.total_cmp(&b.value));
    best.truncate((best.len() / 5).max(5));
    let mut crowded = Vec::new();
    for (j, name) in encoding.names().enumerate() {
        let Some(domain) = spec.space.parameters.iter().find(|p| p.name == *name).map(|p| &p.domain) else {
            continue;
        };
        // Few values have no beyond that is near.
        let is_range = match domain {
            Domain::Double { .. } => true,
            Domain::Integer { .. } | Domain::Discrete { .. } => domain.size().is_some_and(|size| size >= 5),
            Domain::Categorical(_) => false,
        };
        for (is_upper, at) in [(false, 0.0), (true, 1.0)] {
            let is_near = |f: &&&super::known::Finished| f.row.get(j).is_some_and(|u| (u - at).abs() <= NEAR);
            let n_near = best.iter().filter(is_near).count();
            if let (true, ParamValue::Number(bound)) =
                (is_range && n_near as f64 >= CROWDED * best.len() as f64, domain.nearest(at))
            {
                crowded.push(Crowded {
                    parameter: name.clone(),
                    is_upper,
                    bound,
                    n_near,
                    n_best: best.len(),
                });
            }
        }
    }
    crowded
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::study::{Study, config};
    use crate::tuner::{End, Tuner};

    fn study(value: &mut dyn FnMut(&[f64]) -> f64) -> (StudySpec, Vec<Trial>) {
        let spec = config::tests::spec(
            "{goal: MAXIMIZE, algorithm: RANDOM_SEARCH, maxTrials: 60, params: [\
             {parameterName: idle, type: DOUBLE, minValue: 0, maxValue: 1},\
             {parameterName: strong, type: DOUBLE, minValue: 0, maxValue: 1},\
             {parameterName: weak, type: INTEGER, minValue: 0, maxValue: 10}]}",
        );
        let mut tuner = Tuner::new(Study::new(spec.clone()));
        while let Some((id, params)) = tuner.suggest(jiff::Timestamp::UNIX_EPOCH) {
            let row: Vec<f64> =
                params.iter().map(|(_, v)| if let ParamValue::Number(v) = v { *v } else { 0.0 }).collect();
            let end = End::Value(Some(value(&row)), None);
            tuner.complete(jiff::Timestamp::UNIX_EPOCH, id.get(), end).expect("it runs");
        }
        (spec, tuner.trials().to_vec())
    }

    #[test]
    fn what_matters_is_told_from_what_does_not() {
        let (spec, trials) = study(&mut |row| 5.0 * row[1] + 0.1 * row[2]);
        let insight = insight(&spec, &trials).expect("there are 60 results");
        let names: Vec<&str> = insight.importance.iter().map(|i| &*i.parameter).collect();
        assert_eq!(names, ["strong", "weak", "idle"]);
        let shares: Vec<f64> = insight.importance.iter().map(|i| i.share).collect();
        // The variances are 25/12 and 0.1.
        assert!((shares[0] - 0.95).abs() < 0.03 && shares[2] < 0.01, "{shares:?}");
        assert!((shares.iter().sum::<f64>() - 1.0).abs() < 1e-12);
        assert_eq!(insight.best_mean, None, "there is no noise");
    }

    #[test]
    fn a_bound_that_the_best_crowd_is_named() {
        let (spec, mut trials) = study(&mut |row| row[1]);
        assert_eq!(insight(&spec, &trials).map(|i| i.crowded), Some(Vec::new()), "chance crowds none");
        for trial in trials.iter_mut().rev().take(12) {
            trial.params.0[1].1 = ParamValue::Number(0.99);
            let m = trial.curve.points()[0];
            trial.curve.insert(crate::study::Measurement { value: 1.0, ..m });
        }
        let crowded = insight(&spec, &trials).expect("there are 60 results").crowded;
        let Some(Crowded { parameter, is_upper: true, bound, n_near, n_best: 12 }) = crowded.first() else {
            panic!("{crowded:?}");
        };
        assert!(&**parameter == "strong" && *bound == 1.0 && *n_near >= 8, "{crowded:?}");
    }

    #[test]
    fn under_noise_the_best_mean_is_not_the_luckiest_observation() {
        let mut n = 0_u32;
        let (spec, trials) = study(&mut |row| {
            n += 1;
            // Noise of deviation 0.2, and one stroke of luck.
            let noise = 0.35 * (f64::from(n) * 12.9898).sin().mul_add(43758.5453, 0.0).fract();
            -(row[1] - 0.6).powi(2) * 4.0 + noise + if n == 31 { 0.5 } else { 0.0 }
        });
        let best = insight(&spec, &trials).expect("there are 60 results").best_mean.expect("there is noise");
        let params = &trials[best.trial_id.get() as usize - 1].params;
        let ParamValue::Number(strong) = params.0[1].1 else { panic!("{params}") };
        assert!((strong - 0.6).abs() < 0.2, "{params}");
        assert!((0.05..0.5).contains(&best.noise), "{best:?}");
        assert!(best.mean < 0.4 && best.deviation > 0.0, "{best:?}");
    }

    #[test]
    fn too_little_says_nothing() {
        let (spec, trials) = study(&mut |_| 1.0);
        assert_eq!(insight(&spec, &trials), None);
        let (spec, trials) = study(&mut |row| row[1]);
        assert_eq!(insight(&spec, &trials[..9]), None);
    }
}
