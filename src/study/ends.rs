//! Where the trials of a study usually end, by global steps ([`super::Curve`]), and which ended well far before that.
//!
//! A trainer that is told to end by somebody may do so with exit code 0, as Lightning does: what it gave is the result
//! of a part of a training, and its curve says nothing of where whole ones lead.

use std::collections::BTreeMap;

use super::{Assignment, Outcome, ParamValue, Trial};
use crate::objective::Split;
use crate::units::Step;
use tfevents::series::Position;

/// Last steps, and numbers of parameters, within this share of each other are the same.
const SAME: f64 = 0.1;

/// A trial ended far before the others below this share of their last step.
const FAR: f64 = 0.75;

/// The fewest trials that say where trials usually end.
const MIN_TRIALS: usize = 3;

/// Where trials usually end, apart by the data that their values are of.
#[derive(Debug)]
pub struct UsualEnds<'t>(BTreeMap<Option<Split>, UsualEnd<'t>>);

/// The last step of most trials, and the parameters of those.
#[derive(Debug)]
struct UsualEnd<'t> {
    step: i64,
    params: Vec<&'t Assignment>,
}

impl<'t> UsualEnds<'t> {
    /// Where these trials usually end. Only those count that ended well by themselves, and only where two thirds of them,
    /// of three or more, agree: trainers that end when nothing is gained any more have no usual end.
    #[must_use]
    pub fn of(trials: &'t [Trial]) -> Self {
        let mut ends: BTreeMap<_, Vec<_>> = BTreeMap::new();
        for trial in trials.iter().filter(|trial| is_whole(trial)) {
            let end = trial.curve.reached().map(|step| (step.0, &trial.params));
            ends.entry(trial.curve.split()).or_default().extend(end);
        }
        let usual = ends.into_iter().filter_map(|(split, ends)| Some((split, UsualEnd::of(ends)?)));
        Self(usual.collect())
    }

    /// The usual end, where this trial ended well by itself and far before it. A trial of which a parameter may decide
    /// how many steps it has (all others have one and the same value of it, and this one another) is none.
    #[must_use]
    pub fn missed_by(&self, trial: &Trial) -> Option<Step> {
        let usual = self.0.get(&trial.curve.split()).filter(|_| is_whole(trial))?;
        let is_far = (trial.curve.reached()?.0 as f64) < FAR * usual.step as f64;
        (is_far && !usual.is_explained(&trial.params)).then_some(Step(usual.step))
    }

    /// Whether a trial ran to its own end with steps in order, so that its curve tells where others may lead.
    #[must_use]
    pub fn is_reached_by(&self, trial: &Trial) -> bool {
        is_whole(trial) && self.missed_by(trial).is_none() && trial.curve.is_in_order()
    }
}

/// Whether a trial ended well by itself.
fn is_whole(trial: &Trial) -> bool {
    trial.outcome() == Some(&Outcome::Succeeded)
}

impl<'t> UsualEnd<'t> {
    fn of(mut ends: Vec<(i64, &'t Assignment)>) -> Option<Self> {
        let middle = ends.len() / 2;
        if ends.len() < MIN_TRIALS {
            return None;
        }
        let step = ends.select_nth_unstable_by_key(middle, |(step, _)| *step).1.0;
        let n = ends.len();
        let params: Vec<&Assignment> = ends
            .into_iter()
            .filter(|(last, _)| is_same(*last as f64, step as f64))
            .map(|(_, params)| params)
            .collect();
        (step > 0 && 3 * params.len() >= 2 * n).then_some(Self { step, params })
    }

    fn is_explained(&self, params: &Assignment) -> bool {
        params.iter().any(|(name, own)| {
            let mut values = self.params.iter().filter_map(|params| params.get(name));
            let Some(first) = values.next() else { return false };
            values.all(|value| is_same_value(first, value)) && !is_same_value(first, own)
        })
    }
}

fn is_same_value(a: &ParamValue, b: &ParamValue) -> bool {
    match (a, b) {
        (ParamValue::Number(a), ParamValue::Number(b)) => is_same(*a, *b),
        (ParamValue::Text(a), ParamValue::Text(b)) => a == b,
        (ParamValue::Number(_), ParamValue::Text(_)) | (ParamValue::Text(_), ParamValue::Number(_)) => false,
    }
}

fn is_same(a: f64, b: f64) -> bool {
    (a - b).abs() <= SAME * a.abs().max(b.abs())
}

/// How many trials ended well with the same values to the bit at the same steps, though their parameters differ; `None`
/// where any of two or more differs. Such a trainer seems not to use its parameters.
#[must_use]
pub fn all_alike(trials: &[Trial]) -> Option<usize> {
    let mut whole = trials.iter().filter(|trial| is_whole(trial));
    let first = whole.next().filter(|trial| trial.last_step().is_some())?;
    let bits = |trial: &Trial| -> Vec<(Position, u64)> {
        trial.curve.points().iter().map(|m| (m.position(), m.value.to_bits())).collect()
    };
    let of_first = bits(first);
    let mut n = 1;
    for trial in whole {
        if bits(trial) != of_first {
            return None;
        }
        // The same parameters once more say nothing.
        n += usize::from(trial.params != first.params);
    }
    (n > 1).then_some(n)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::study::{Measurement, Stage};
    use crate::units::{TrialId, WallTime};

    fn trial(n: u32, last: i64, batch: f64, outcome: Option<Outcome>) -> Trial {
        let params = Assignment(vec![
            ("lr".into(), ParamValue::Number(1.0 / f64::from(n))),
            ("batch".into(), ParamValue::Number(batch)),
        ]);
        let mut trial = Trial::suggested(TrialId::new(n).expect("not 0"), params);
        for step in [last / 2, last] {
            trial.curve.insert(Measurement::new(Step(step), 0.5, WallTime(0.0)));
        }
        trial.stage = outcome.map_or(Stage::Running, Stage::Ended);
        trial
    }

    /// Trials of these last steps and batch sizes that all ended well.
    fn whole(ends: &[(i64, f64)]) -> Vec<Trial> {
        (1..).zip(ends).map(|(n, (last, batch))| trial(n, *last, *batch, Some(Outcome::Succeeded))).collect()
    }

    #[track_caller]
    fn check(trials: &[Trial], expected: &[(u32, i64)]) {
        let ends = UsualEnds::of(trials);
        let missed = trials.iter().filter_map(|t| Some((t.id.get(), ends.missed_by(t)?.0)));
        assert_eq!(missed.collect::<Vec<_>>(), expected);
        let reached = trials.iter().filter(|t| ends.is_reached_by(t)).count();
        let n_whole = trials.iter().filter(|t| is_whole(t)).count();
        assert_eq!(reached, n_whole - expected.len());
    }

    #[test]
    fn one_that_ended_far_before_the_others_is_seen() {
        check(&whole(&[(199, 8.0), (59, 16.0), (199, 16.0)]), &[(2, 199)]);
        check(&whole(&[(199, 8.0), (190, 16.0), (199, 16.0)]), &[]);
        // Two do not agree on anything.
        check(&whole(&[(199, 8.0), (59, 16.0)]), &[]);
        // Trainers that end when nothing is gained have no usual end.
        check(&whole(&[(199, 8.0), (59, 16.0), (120, 8.0), (80, 16.0)]), &[]);
        let mut trials = whole(&[(199, 8.0), (199, 16.0), (199, 16.0)]);
        trials.push(trial(4, 20, 8.0, Some(Outcome::StoppedEarly)));
        trials.push(trial(5, 20, 8.0, None));
        check(&trials, &[]);
        // What is read from training is not compared with what is read from evaluation.
        let point = trials[0].curve.points()[0];
        trials[3].stage = Stage::Ended(Outcome::Succeeded);
        trials[3].curve.start_over("eval".into());
        trials[3].curve.insert(point);
        check(&trials, &[]);
    }

    #[test]
    fn a_parameter_may_decide_how_many_steps_there_are() {
        // Twice the batch, half the steps.
        check(&whole(&[(200, 16.0), (200, 16.0), (100, 32.0), (200, 16.0)]), &[]);
        check(&whole(&[(200, 16.0), (200, 32.0), (100, 32.0), (200, 16.0)]), &[(3, 200)]);
    }

    #[test]
    fn values_that_are_the_same_to_the_bit_are_seen() {
        let mut trials = whole(&[(9, 8.0), (9, 16.0), (9, 32.0)]);
        assert_eq!(all_alike(&trials), Some(3));
        assert_eq!(all_alike(&trials[..1]), None);
        trials.push(trial(4, 4, 8.0, None));
        assert_eq!(all_alike(&trials), Some(3));
        trials.push(trial(5, 9, 8.0, Some(Outcome::Succeeded)));
        trials[4].curve.insert(Measurement::new(Step(9), 0.5 + 1e-16, WallTime(0.0)));
        assert_eq!(all_alike(&trials), None);
        // The same parameters give the same values.
        let same = vec![trials[0].clone(), Trial { id: TrialId::after(7), ..trials[0].clone() }];
        assert_eq!(all_alike(&same), None);
    }
}
