//! The median rule, as the service documents it.
//!
//! A trial is stopped at its last step *s* if its best value up to *s* is strictly worse than the
//! median, over the finished trials, of their running averages up to *s*. Source: Golovin et al.,
//! "Google Vizier: A Service for Black-Box Optimization" (KDD 2017), section 3.2.2.

use super::{StopRule, finished};
use crate::study::{StopDecision, StopReason, StudySpec, Trial};

/// The median rule; its steps are global ones ([`crate::study::Curve`]), and no trial is compared whose steps come in no order.
///
/// A finished trial is one that succeeded by running to its own end, not far before that of the others ([`crate::study::UsualEnds`]):
/// those that were stopped would lower the bar with their worst part. Values that are not finite count neither way; a trial that
/// has none that is finite is not judged. Trials are compared only with those whose values are of the same data
/// ([`crate::study::Curve::split`]).
#[derive(Debug, Clone, Copy)]
pub struct MedianRule {
    /// No trial is stopped before this step.
    pub min_steps: i64,
    /// No trial is stopped before so many others have finished with a value up to its step.
    pub min_trials: u32,
}

impl StopRule for MedianRule {
    fn judge(&self, spec: &StudySpec, trial: &Trial, trials: &[Trial]) -> Option<StopDecision> {
        let step = trial.curve.reached()?;
        if step.0 < self.min_steps || !trial.curve.is_in_order() {
            return None;
        }
        let best = trial.curve.best(spec.goal)?.value;
        let others = finished(trial, trials).into_iter();
        let compared: Vec<(&Trial, f64)> =
            others.filter_map(|other| Some((other, other.curve.running_average(step)?))).collect();
        let n_trials = u32::try_from(compared.len()).unwrap_or(u32::MAX);
        if n_trials < self.min_trials {
            return None;
        }
        let mut averages: Vec<f64> = compared.iter().map(|(_, average)| *average).collect();
        let median = median(&mut averages)?;
        if !spec.goal.is_better(median, best) {
            return None;
        }
        let reason =
            StopReason::Median { step: trial.last_step()?.0, pass: trial.pass(), best, median, n_trials };
        let compared = compared.into_iter().map(|(other, average)| (other, Some(average)));
        Some(StopDecision::by_comparison(reason, step, compared))
    }
}

/// The median; of an even number of values the mean of the middle two. `None` of no value.
fn median(values: &mut [f64]) -> Option<f64> {
    values.sort_by(f64::total_cmp);
    let upper = *values.get(values.len() / 2)?;
    if values.len() % 2 == 1 {
        return Some(upper);
    }
    let lower = *values.get(values.len() / 2 - 1)?;
    Some(lower / 2.0 + upper / 2.0)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::study::{Assignment, Goal, Measurement, Outcome, Stage, config};
    use crate::units::{Step, TrialId, WallTime};

    const RULE: MedianRule = MedianRule { min_steps: 0, min_trials: 3 };

    fn trial(n: u32, values: &[f64], outcome: Option<Outcome>) -> Trial {
        let mut trial = Trial::suggested(TrialId::new(n).expect("not 0"), Assignment::default());
        for (i, value) in values.iter().enumerate() {
            let step = Step(10 * (i as i64 + 1));
            trial.curve.insert(Measurement::new(step, *value, WallTime(0.0)));
        }
        trial.stage = outcome.map_or(Stage::Running, Stage::Ended);
        trial
    }

    /// Three finished trials. Their running averages at step 20 are 0.25, 0.45 and 0.55; at step 30
    /// they are 0.3, 0.5 and 0.6.
    fn finished() -> Vec<Trial> {
        [[0.2, 0.3, 0.4], [0.4, 0.5, 0.6], [0.5, 0.6, 0.7]]
            .iter()
            .zip(1..)
            .map(|(values, n)| trial(n, values, Some(Outcome::Succeeded)))
            .collect()
    }

    #[track_caller]
    fn check(
        rule: MedianRule,
        goal: Goal,
        others: &[Trial],
        values: &[f64],
        expected: Option<(i64, f64, f64)>,
    ) {
        let mut spec =
            config::tests::spec("{params: [{parameterName: a, type: INTEGER, minValue: 1, maxValue: 2}]}");
        spec.goal = goal;
        let mut trials = others.to_vec();
        trials.push(trial(9, values, None));
        let got = rule.judge(&spec, &trials[trials.len() - 1], &trials);
        let numbers = got.map(|decision| match decision.reason {
            StopReason::Median { step, best, median, .. } => (step, best, (median * 1e9).round() / 1e9),
            other => panic!("another rule's reason: {other:?}"),
        });
        assert_eq!(numbers, expected);
    }

    #[test]
    fn the_worked_example_of_three_finished_curves() {
        // Maximize: the best value against the median of the averages, strictly.
        check(RULE, Goal::Maximize, &finished(), &[0.1, 0.44], Some((20, 0.44, 0.45)));
        check(RULE, Goal::Maximize, &finished(), &[0.1, 0.46], None);
        check(RULE, Goal::Maximize, &finished(), &[0.46, 0.1], None);
        check(RULE, Goal::Maximize, &finished(), &[0.1, 0.2, 0.49], Some((30, 0.49, 0.5)));
        // Beyond the others' last step their whole curves count.
        check(RULE, Goal::Maximize, &finished(), &[0.1, 0.2, 0.3, 0.49], Some((40, 0.49, 0.5)));
        // Minimize: the same turned round.
        check(RULE, Goal::Minimize, &finished(), &[0.9, 0.46], Some((20, 0.46, 0.45)));
        check(RULE, Goal::Minimize, &finished(), &[0.9, 0.44], None);
    }

    #[test]
    fn an_even_number_of_trials_takes_the_mean_of_the_middle_two() {
        let rule = MedianRule { min_trials: 2, ..RULE };
        check(rule, Goal::Maximize, &finished()[..2], &[0.1, 0.34], Some((20, 0.34, 0.35)));
        check(rule, Goal::Maximize, &finished()[..2], &[0.1, 0.36], None);
    }

    #[test]
    fn a_tie_is_no_reason() {
        let same = [trial(1, &[0.5], Some(Outcome::Succeeded))];
        check(MedianRule { min_trials: 1, ..RULE }, Goal::Maximize, &same, &[0.5], None);
    }

    #[test]
    fn nobody_is_stopped_while_too_little_is_known() {
        check(RULE, Goal::Maximize, &finished()[..2], &[0.0], None);
        check(RULE, Goal::Maximize, &finished(), &[], None);
        check(RULE, Goal::Maximize, &finished(), &[f64::NAN], None);
        check(MedianRule { min_steps: 30, ..RULE }, Goal::Maximize, &finished(), &[0.0, 0.0], None);
        check(
            MedianRule { min_steps: 20, ..RULE },
            Goal::Maximize,
            &finished(),
            &[0.0, 0.0],
            Some((20, 0.0, 0.45)),
        );
    }

    #[test]
    fn only_trials_that_ran_to_their_end_count() {
        let mut others = finished();
        others.push(trial(4, &[0.0, 0.0], Some(Outcome::StoppedEarly)));
        others.push(trial(5, &[0.0, 0.0], Some(Outcome::Cancelled)));
        others.push(trial(6, &[0.0, 0.0], None));
        others.push(trial(7, &[], Some(Outcome::Succeeded)));
        check(RULE, Goal::Maximize, &others, &[0.1, 0.44], Some((20, 0.44, 0.45)));
    }

    #[test]
    fn one_that_ended_far_before_the_others_is_no_teacher() {
        let mut others = finished();
        let before = trial(4, &[0.9], Some(Outcome::Succeeded));
        others.push(before);
        // With it the median would be 0.5 of four.
        check(RULE, Goal::Maximize, &others, &[0.1, 0.46], None);
        check(RULE, Goal::Maximize, &others, &[0.1, 0.44], Some((20, 0.44, 0.45)));
    }

    #[test]
    fn training_is_not_compared_with_evaluation() {
        let mut others = finished();
        for other in &mut others {
            let points = other.curve.points().to_vec();
            other.curve.start_over("eval".into());
            points.into_iter().for_each(|m| other.curve.insert(m));
        }
        check(RULE, Goal::Maximize, &others, &[0.1, 0.44], None);
    }

    #[test]
    fn values_that_are_not_finite_count_neither_way() {
        check(RULE, Goal::Maximize, &finished(), &[0.46, f64::NAN], None);
        check(RULE, Goal::Maximize, &finished(), &[0.1, f64::INFINITY], Some((20, 0.1, 0.45)));
    }
}
