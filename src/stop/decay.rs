//! The learning-curve rule: a trial is given up when it is not likely to become the best.
//!
//! What is still to be gained from a step on is learnt from the trials that have finished: by ridge regression on
//! what a curve looks like at that step, with an uncertainty that grows with how fast the curve moves. A curve that moves
//! fast is spared besides, as long as going on at its pace by doublings of the step might make it the best: slow
//! learners are rare among the finished trials, since they tend to be stopped, and so the regression knows them badly.

#![expect(clippy::indexing_slicing, reason = "indices run over features, whose number is fixed")]

use super::{StopRule, finished};
use crate::linear::Lower;
use crate::study::{Curve, Goal, Reduce, StopDecision, StopReason, StudySpec, Trial};
use crate::units::Step;

/// The learning-curve rule.
///
/// Only trials that ran to their own end teach it, which was not far before that of the others ([`crate::study::UsualEnds`]). Values
/// that are not finite are passed over; trials are compared only with those whose values are of the same data
/// ([`Curve::split`]), by global steps ([`Curve`]), and none whose steps come in no order. Steps may differ between trials: a curve is read between its points. Beyond the last step of the finished trials nobody is stopped.
#[derive(Debug, Clone, Copy)]
pub struct DecayCurve {
    /// No trial is stopped before this step.
    pub min_steps: i64,
    /// No trial is stopped before so many others have finished that were measured on both sides of its step.
    pub min_trials: u32,
}

/// A trial is stopped when its chance to become the best is below this.
const MIN_CHANCE: f64 = 0.05;

/// How many times the gain of its last doubling of the step a trial may gain with each one that is left.
const OPTIMISM: f64 = 1.5;

/// How strongly the regression is drawn to the mean gain, in numbers of trials.
const RIDGE: f64 = 0.5;

/// How many features describe a curve at a step.
const N: usize = 4;

impl StopRule for DecayCurve {
    fn judge<'a>(&self, spec: &StudySpec, trial: &'a Trial, trials: &'a [Trial]) -> Option<StopDecision> {
        let view = |trial: &'a Trial| View { curve: &trial.curve, goal: spec.goal, reduce: spec.reduce };
        let own = view(trial);
        let last = own.last()?;
        // A first value has no pace; a value that is not finite says nothing.
        let is_judged = own.start()?.0 < last.0
            && trial.curve.reached()?.0 as f64 == last.0
            && last.0 >= self.min_steps as f64;
        if !is_judged || !trial.curve.is_in_order() {
            return None;
        }
        let peers = finished(trial, trials);
        let others: Vec<View<'_>> = peers.iter().copied().map(view).collect();
        let best = others.iter().filter_map(View::result).min_by(f64::total_cmp)?;
        if last.1 <= best {
            return None;
        }
        let clock = Clock::new(std::iter::once(&own).chain(&others))?;
        let x = features(&clock, &own, last.0)?;
        let known_of = |other: &View<'_>| {
            other.last().filter(|end| end.0 > last.0)?;
            Some((features(&clock, other, last.0)?, other.result()? - other.value_at(last.0)?))
        };
        let of_peers: Vec<Option<Known>> = others.iter().map(known_of).collect();
        let known: Vec<Known> = of_peers.iter().flatten().copied().collect();
        let n_trials = u32::try_from(known.len()).unwrap_or(u32::MAX);
        if n_trials < self.min_trials.max(2) {
            return None;
        }
        let gain = Gain::expect(&known, &x)?;
        let predicted = last.1 + gain.mean;
        let chance = below((best - predicted) / gain.deviation);
        let end = others.iter().filter_map(|other| other.last()).map(|end| end.0).fold(last.0, f64::max);
        let reachable = last.1 - OPTIMISM * x[1].max(0.0) * clock.doublings(last.0, end);
        if chance >= MIN_CHANCE || reachable <= best {
            return None;
        }
        let sign = own.sign();
        let reason = StopReason::DecayCurve {
            step: trial.last_step()?.0,
            pass: trial.pass(),
            value: sign * last.1,
            predicted: sign * predicted,
            deviation: gain.deviation,
            best: sign * best,
            chance,
            n_trials,
        };
        // The first feature is the value.
        let value = |known: &Option<Known>| known.as_ref().map(|([value, ..], _)| sign * value);
        let compared = peers.into_iter().zip(of_peers.iter().map(value));
        Some(StopDecision::by_comparison(reason, Step(last.0 as i64), compared))
    }
}

/// How a curve is read: global steps with finite values, of which smaller ones are better.
struct View<'a> {
    curve: &'a Curve,
    goal: Goal,
    reduce: Reduce,
}

impl View<'_> {
    fn sign(&self) -> f64 {
        match self.goal {
            Goal::Maximize => -1.0,
            Goal::Minimize => 1.0,
        }
    }

    fn point(&self, (step, value): (f64, f64)) -> (f64, f64) {
        (step, self.sign() * value)
    }

    fn start(&self) -> Option<(f64, f64)> {
        Some(self.point(self.curve.finite_from(f64::NEG_INFINITY)?))
    }

    fn last(&self) -> Option<(f64, f64)> {
        Some(self.point(self.curve.finite_until(self.curve.reached()?.0 as f64)?))
    }

    fn result(&self) -> Option<f64> {
        match self.reduce {
            Reduce::Last => Some(self.last()?.1),
            Reduce::Best => self.best_until(f64::INFINITY),
        }
    }

    fn best_until(&self, step: f64) -> Option<f64> {
        Some(self.sign() * self.curve.running_best(Step(step as i64), self.goal)?)
    }

    /// The value at a step, between points on the straight line; before the first point that, behind the last
    /// one that.
    fn value_at(&self, step: f64) -> Option<f64> {
        let (before, after) = (self.curve.finite_until(step), self.curve.finite_from(step));
        match (before.map(|m| self.point(m)), after.map(|m| self.point(m))) {
            (Some(a), Some(b)) if a.0 < b.0 => Some(a.1 + (b.1 - a.1) * ((step - a.0) / (b.0 - a.0))),
            (Some(point), _) | (None, Some(point)) => Some(point.1),
            (None, None) => None,
        }
    }
}

/// Steps counted from where curves begin, so that a half and a double of them mean something: the first step that
/// anybody reports is 1, and 1 is what lies between the first two.
struct Clock {
    origin: f64,
    unit: f64,
}

impl Clock {
    fn new<'a>(curves: impl Iterator<Item = &'a View<'a>>) -> Option<Self> {
        let mut first = f64::INFINITY;
        let mut gaps = Vec::new();
        for view in curves {
            let Some((start, _)) = view.start() else { continue };
            first = first.min(start);
            gaps.extend(view.curve.finite_from(start + 0.5).map(|next| view.point(next).0 - start));
        }
        gaps.sort_by(f64::total_cmp);
        let unit = *gaps.get(gaps.len() / 2)?;
        Some(Self { origin: first - unit, unit })
    }

    fn time(&self, step: f64) -> f64 {
        ((step - self.origin) / self.unit).max(1.0)
    }

    /// The step at a share of the time until `step`.
    fn step_at(&self, share: f64, step: f64) -> f64 {
        self.origin + self.unit * (share * self.time(step)).max(1.0)
    }

    fn doublings(&self, from: f64, to: f64) -> f64 {
        (libm::log(self.time(to) / self.time(from)) / std::f64::consts::LN_2).max(0.0)
    }
}

/// What a curve looks like at a step: its value, its gain over the last doubling of the time, its gain over the last quarter,
/// and how far it is behind its own best. `None` where it begins later.
fn features(clock: &Clock, curve: &View<'_>, step: f64) -> Option<[f64; N]> {
    if curve.start()?.0 > step {
        return None;
    }
    let now = curve.value_at(step)?;
    let half = clock.step_at(0.5, step);
    let doublings = clock.doublings(half, step);
    let gain = curve.value_at(half)? - now;
    let by_doubling = if doublings > 0.0 { gain / doublings } else { 0.0 };
    let best = curve.best_until(step)?.min(now);
    Some([now, by_doubling, curve.value_at(clock.step_at(0.75, step))? - now, now - best])
}

/// The features of a finished trial at a step, and what it still gained from there.
type Known = ([f64; N], f64);

/// What a finished trial teaches: its features, what it still gained, and how much that counts.
struct Taught {
    row: [f64; N + 1],
    gain: f64,
    weight: f64,
}

/// What is still to be gained; negative is better.
struct Gain {
    mean: f64,
    deviation: f64,
}

impl Gain {
    /// Ridge regression, each trial weighted by how slowly its curve moves. `None` where the numbers are beyond all
    /// reason.
    fn expect(known: &[Known], x: &[f64; N]) -> Option<Self> {
        let n = known.len() as f64;
        let mean_of = |f: &dyn Fn(&Known) -> f64| known.iter().map(f).sum::<f64>() / n;
        let pace = |x: &[f64; N]| x[1].abs();
        // The uncertainty of a curve, as a multiple of the mean one.
        let rest = mean_of(&|k| pace(&k.0)).max(1e-12);
        let mean_spread = mean_of(&|k| rest + pace(&k.0));
        let spread = |x: &[f64; N]| (rest + pace(x)) / mean_spread;
        let means: [f64; N] = std::array::from_fn(|j| mean_of(&|k| k.0[j]));
        let deviations: [f64; N] = std::array::from_fn(|j| {
            let variance = mean_of(&|k| (k.0[j] - means[j]) * (k.0[j] - means[j]));
            variance.sqrt() + 1e-12
        });
        // The first entry is the constant.
        let row = |x: &[f64; N]| -> [f64; N + 1] {
            std::array::from_fn(|j| if j == 0 { 1.0 } else { (x[j - 1] - means[j - 1]) / deviations[j - 1] })
        };
        let rows: Vec<Taught> = known
            .iter()
            .map(|(x, gain)| Taught { row: row(x), gain: *gain, weight: 1.0 / (spread(x) * spread(x)) })
            .collect();
        let sum = |f: &dyn Fn(&Taught) -> f64| rows.iter().map(f).sum::<f64>();
        let matrix = Lower::new(N + 1, |i, j| {
            let ridge = if i != j {
                0.0
            } else if i == 0 {
                1e-9
            } else {
                RIDGE
            };
            sum(&|taught| taught.weight * taught.row[i] * taught.row[j]) + ridge
        });
        let inverse = matrix.factor()?.inverse_of_product();
        let inverse: [[f64; N + 1]; N + 1] =
            std::array::from_fn(|i| std::array::from_fn(|j| inverse.row(i.max(j))[i.min(j)]));
        let right: [f64; N + 1] =
            std::array::from_fn(|i| sum(&|taught| taught.weight * taught.row[i] * taught.gain));
        let product = |z: &[f64; N + 1]| -> [f64; N + 1] { std::array::from_fn(|i| dot(&inverse[i], z)) };
        let factors = product(&right);
        // What each trial's gain is missed by when it does not teach itself.
        let missed = rows.iter().map(|Taught { row, gain, weight }| {
            let own_share = weight * dot(row, &product(row));
            let missed = (gain - dot(row, &factors)) / (1.0 - own_share).max(0.1);
            weight * missed * missed
        });
        let variance = missed.sum::<f64>() / n;
        let z = row(x);
        let deviation = (variance * (spread(x) * spread(x) + dot(&z, &product(&z)))).sqrt();
        let mean = dot(&z, &factors);
        (mean.is_finite() && deviation.is_finite()).then_some(Self { mean, deviation: deviation.max(1e-300) })
    }
}

fn dot(a: &[f64; N + 1], b: &[f64; N + 1]) -> f64 {
    a.iter().zip(b).map(|(a, b)| a * b).sum()
}

/// The chance that a standard normal variable is below `z`.
fn below(z: f64) -> f64 {
    0.5 * libm::erfc(-z * std::f64::consts::FRAC_1_SQRT_2)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::study::Measurement;
    use crate::study::{Assignment, Outcome, Stage, config};
    use crate::units::{Step, TrialId, WallTime};

    const RULE: DecayCurve = DecayCurve { min_steps: 0, min_trials: 5 };

    /// A curve that falls from `end + height` to `end`, by a factor of e in `pace` epochs, measured at steps that lie `gap`
    /// apart.
    fn curve(end: f64, height: f64, pace: f64, n: i64, gap: i64) -> Curve {
        let mut curve = Curve::default();
        for epoch in 1..=n {
            let value = end + height * (-(epoch as f64) / pace).exp();
            curve.insert(Measurement::new(Step(epoch * gap), value, WallTime(0.0)));
        }
        curve
    }

    fn trial(n: u32, curve: Curve, outcome: Option<Outcome>) -> Trial {
        let mut trial = Trial::suggested(TrialId::new(n).expect("not 0"), Assignment::default());
        trial.curve = curve;
        trial.stage = outcome.map_or(Stage::Running, Stage::Ended);
        trial
    }

    /// Seven finished trials that end between 0.30 and 0.42.
    fn finished(gap: i64) -> Vec<Trial> {
        (1..=7_u32)
            .map(|n| {
                let n_f = f64::from(n);
                let curve = curve(0.28 + 0.02 * n_f, 1.0 - 0.05 * n_f, 3.0 + 0.2 * n_f, 27, gap);
                trial(n, curve, Some(Outcome::Succeeded))
            })
            .collect()
    }

    fn judge(rule: DecayCurve, goal: Goal, mut trials: Vec<Trial>, own: Curve) -> Option<StopReason> {
        let mut spec =
            config::tests::spec("{params: [{parameterName: a, type: INTEGER, minValue: 1, maxValue: 2}]}");
        spec.goal = goal;
        trials.push(trial(99, own, None));
        if goal == Goal::Maximize {
            for trial in &mut trials {
                let points = trial.curve.points().to_vec();
                points.into_iter().for_each(|m| trial.curve.insert(Measurement { value: -m.value, ..m }));
            }
        }
        rule.judge(&spec, &trials[trials.len() - 1], &trials).map(|decision| decision.reason)
    }

    #[test]
    fn a_hopeless_trial_is_stopped_for_both_goals_with_its_reason_in_numbers() {
        let hopeless = curve(0.9, 0.3, 3.0, 9, 1);
        let Some(StopReason::DecayCurve {
            step,
            pass: 0,
            value,
            predicted,
            deviation,
            best,
            chance,
            n_trials,
        }) = judge(RULE, Goal::Minimize, finished(1), hopeless.clone())
        else {
            panic!("it is stopped by this rule");
        };
        assert_eq!((step, n_trials), (9, 7));
        assert!((value - (0.9 + 0.3 * (-3.0_f64).exp())).abs() < 1e-12);
        assert!((0.3..0.301).contains(&best) && predicted > best && deviation > 0.0 && chance < 0.05);
        let Some(StopReason::DecayCurve { value: turned, best: turned_best, chance: same, .. }) =
            judge(RULE, Goal::Maximize, finished(1), hopeless)
        else {
            panic!("it is stopped by this rule");
        };
        assert_eq!((turned, turned_best), (-value, -best));
        assert!((same - chance).abs() < 1e-12);
    }

    #[test]
    fn who_may_still_win_goes_on() {
        let is_stopped = |own| judge(RULE, Goal::Minimize, finished(1), own).is_some();
        // As good as the best so far, or better.
        assert!(!is_stopped(curve(0.29, 0.9, 3.0, 9, 1)));
        // A slow learner: behind all others at this epoch, and still falling fast.
        assert!(!is_stopped(curve(0.25, 1.5, 9.0, 9, 1)));
        // A first value has no pace.
        assert!(!is_stopped(curve(5.0, 0.1, 3.0, 1, 1)));
        // Beyond the last step that is known.
        assert!(!is_stopped(curve(0.9, 0.3, 3.0, 28, 1)));
    }

    #[test]
    fn one_that_ended_far_before_the_others_is_no_teacher() {
        let own = || curve(0.34, 0.3, 3.0, 9, 1);
        let without = judge(RULE, Goal::Minimize, finished(1), own());
        let mut trials = finished(1);
        // The best of all, if it counted.
        trials.push(trial(8, curve(0.01, 0.1, 3.0, 12, 1), Some(Outcome::Succeeded)));
        assert_eq!(judge(RULE, Goal::Minimize, trials, own()), without);
    }

    #[test]
    fn nobody_is_stopped_while_too_little_is_known() {
        let hopeless = || curve(0.9, 0.3, 3.0, 9, 1);
        let few = finished(1)[..4].to_vec();
        assert_eq!(judge(RULE, Goal::Minimize, few, hopeless()), None);
        assert_eq!(judge(RULE, Goal::Minimize, Vec::new(), hopeless()), None);
        assert_eq!(
            judge(DecayCurve { min_steps: 10, ..RULE }, Goal::Minimize, finished(1), hopeless()),
            None
        );
        let mut not_to_their_end = finished(1);
        not_to_their_end[0].stage = Stage::Ended(Outcome::StoppedEarly);
        not_to_their_end[1].stage = Stage::Ended(Outcome::Failed(crate::study::Exit::Code(1)));
        not_to_their_end[2].stage = Stage::Running;
        assert_eq!(judge(RULE, Goal::Minimize, not_to_their_end, hopeless()), None);
        let mut evaluated = finished(1);
        for trial in &mut evaluated {
            let points = trial.curve.points().to_vec();
            trial.curve.start_over("eval".into());
            points.into_iter().for_each(|m| trial.curve.insert(m));
        }
        assert_eq!(judge(RULE, Goal::Minimize, evaluated, hopeless()), None);
    }

    #[test]
    fn a_value_that_is_not_finite_is_passed_over() {
        let mut ends_in_nan = curve(0.9, 0.3, 3.0, 9, 1);
        ends_in_nan.insert(Measurement::new(Step(10), f64::NAN, WallTime(0.0)));
        assert_eq!(
            judge(RULE, Goal::Minimize, finished(1), ends_in_nan.clone()),
            None,
            "it says nothing yet"
        );
        ends_in_nan.insert(Measurement::new(Step(11), 0.91, WallTime(0.0)));
        assert!(judge(RULE, Goal::Minimize, finished(1), ends_in_nan).is_some());
    }

    #[test]
    fn steps_may_be_of_any_size_and_differ_between_trials() {
        let chance = |others: Vec<Trial>, own| match judge(RULE, Goal::Minimize, others, own) {
            Some(StopReason::DecayCurve { chance, .. }) => chance,
            other => panic!("{other:?}"),
        };
        let once = chance(finished(1), curve(0.9, 0.3, 3.0, 9, 1));
        let hundred = chance(finished(100), curve(0.9, 0.3, 3.0, 9, 100));
        assert!((once - hundred).abs() < 1e-9);
        // The same curves measured twice as often.
        let own = curve(0.9, 0.3, 6.0, 18, 50);
        assert!(chance(finished(100), own) < 0.05);
    }

    #[test]
    fn a_rewind_makes_the_decision_anew() {
        let mut own = curve(0.9, 0.3, 3.0, 9, 1);
        own.rewind(tfevents::series::Position::first_pass(Step(5)));
        for m in curve(0.28, 0.9, 3.0, 9, 1).points().iter().skip(4) {
            own.insert(*m);
        }
        assert_eq!(judge(RULE, Goal::Minimize, finished(1), own), None);
    }

    #[test]
    fn equal_flat_and_huge_curves_end_well() {
        let flat = |value: f64, n: i64| curve(value, 0.0, 1.0, n, 1);
        let same: Vec<Trial> = (1..=6).map(|n| trial(n, flat(0.5, 27), Some(Outcome::Succeeded))).collect();
        assert_eq!(judge(RULE, Goal::Minimize, same.clone(), flat(0.5, 9)), None, "a tie is no reason");
        assert!(judge(RULE, Goal::Minimize, same, flat(0.6, 9)).is_some());
        let huge: Vec<Trial> = (1..=6).map(|n| trial(n, flat(1e300, 27), Some(Outcome::Succeeded))).collect();
        let _ = judge(RULE, Goal::Minimize, huge, flat(1e305, 9));
    }
}
