//! Successive halving, asynchronously: at each rung a trial goes on only if it is among the best that came there.
//!
//! Source: Li et al., "A System for Massively Parallel Hyperparameter Tuning" (ASHA, 2020); for the brackets Li et al.,
//! "Hyperband" (2018). Steps are global ones ([`crate::study::Curve`]). The highest step that a finished trial has reached stands for the budget of a trial, since
//! trainers do not announce theirs; the rungs lie at that step divided by powers of the reduction factor.

use super::{StopRule, is_comparable};
use crate::study::{Outcome, StopDecision, StopReason, StudySpec, Trial};
use crate::units::Step;

/// How many rungs there are below the last step.
const N_RUNGS: u32 = 3;

/// ASHA, or Hyperband: the same with trials spread over brackets that begin at different rungs.
#[derive(Debug, Clone, Copy)]
pub struct Rungs {
    /// No rung lies before this step.
    pub min_steps: i64,
    /// No trial is stopped before so many, itself among them, have come to its rung.
    pub min_trials: u32,
    /// One in so many goes on, 2 or more.
    pub reduction_factor: u32,
    /// Whether trials are spread over brackets.
    pub has_brackets: bool,
}

impl StopRule for Rungs {
    fn judge(&self, spec: &StudySpec, trial: &Trial, trials: &[Trial]) -> Option<StopDecision> {
        let step = trial.curve.reached().filter(|_| trial.curve.is_in_order())?;
        let is_finished =
            |other: &&Trial| other.outcome() == Some(&Outcome::Succeeded) && is_comparable(trial, other);
        let end = trials.iter().filter(is_finished).filter_map(|other| other.curve.reached()).max()?;
        let rung = self.rung(trial, step, end)?;
        let best_at_rung = |other: &Trial| other.curve.running_best(rung, spec.goal);
        let value = best_at_rung(trial)?;
        let came = |other: &&Trial| {
            other.curve.reached().is_some_and(|last| last >= rung)
                && is_comparable(trial, other)
                && self.bracket(other) == self.bracket(trial)
        };
        let compared: Vec<(&Trial, f64)> =
            trials.iter().filter(came).filter_map(|other| Some((other, best_at_rung(other)?))).collect();
        let n_trials = u32::try_from(compared.len()).unwrap_or(u32::MAX);
        if n_trials < self.min_trials.max(2) {
            return None;
        }
        let n_better = compared.iter().filter(|(_, other)| spec.goal.is_better(*other, value)).count() as u32;
        let n_going_on = (n_trials / self.reduction_factor.max(2)).max(1);
        if n_better < n_going_on {
            return None;
        }
        let (step, pass) = (trial.last_step()?.0, trial.pass());
        let reason = StopReason::Rung { step, pass, rung: rung.0, value, n_better, n_going_on, n_trials };
        let others = compared.into_iter().filter(|(other, _)| other.id != trial.id);
        Some(StopDecision::by_comparison(reason, rung, others.map(|(other, value)| (other, Some(value)))))
    }
}

impl Rungs {
    /// The bracket of a trial: how many of the lowest rungs it passes freely.
    fn bracket(&self, trial: &Trial) -> u32 {
        if self.has_brackets { (trial.id.get() - 1) % (N_RUNGS + 1) } else { 0 }
    }

    /// The highest rung that `step` has come to, where one counts for this trial.
    fn rung(&self, trial: &Trial, step: Step, end: Step) -> Option<Step> {
        let factor = i64::from(self.reduction_factor.max(2));
        let lowest = self.bracket(trial);
        (lowest..N_RUNGS)
            .map(|rung| Step(end.0 / factor.saturating_pow(N_RUNGS - rung)))
            .filter(|rung| rung.0 >= self.min_steps.max(1) && *rung <= step)
            .max()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::study::{Assignment, Goal, Measurement, Stage, config};
    use crate::units::{TrialId, WallTime};

    const ASHA: Rungs = Rungs { min_steps: 0, min_trials: 3, reduction_factor: 3, has_brackets: false };

    fn trial(n: u32, n_steps: i64, value: f64, outcome: Option<Outcome>) -> Trial {
        let mut trial = Trial::suggested(TrialId::new(n).expect("not 0"), Assignment::default());
        for step in 1..=n_steps {
            trial.curve.insert(Measurement::new(Step(step), value, WallTime(0.0)));
        }
        trial.stage = outcome.map_or(Stage::Running, Stage::Ended);
        trial
    }

    #[track_caller]
    fn check(
        rule: Rungs,
        goal: Goal,
        mut others: Vec<Trial>,
        own: Trial,
        expected: Option<(i64, u32, u32, u32)>,
    ) {
        let mut spec =
            config::tests::spec("{params: [{parameterName: a, type: INTEGER, minValue: 1, maxValue: 2}]}");
        spec.goal = goal;
        others.push(own);
        let got =
            rule.judge(&spec, &others[others.len() - 1], &others).map(|decision| match decision.reason {
                StopReason::Rung { rung, n_better, n_going_on, n_trials, .. } => {
                    (rung, n_better, n_going_on, n_trials)
                }
                other => panic!("another rule's reason: {other:?}"),
            });
        assert_eq!(got, expected);
    }

    /// One trial that ran to step 27, and two that were stopped at step 3.
    fn others() -> Vec<Trial> {
        vec![
            trial(1, 27, 0.5, Some(Outcome::Succeeded)),
            trial(2, 3, 0.6, Some(Outcome::StoppedEarly)),
            trial(3, 3, 0.7, Some(Outcome::StoppedEarly)),
        ]
    }

    #[test]
    fn at_each_rung_one_in_three_goes_on() {
        // Of 4 trials at the rung of step 1 one goes on.
        check(ASHA, Goal::Minimize, others(), trial(4, 1, 0.55, None), Some((1, 1, 1, 4)));
        check(ASHA, Goal::Minimize, others(), trial(4, 1, 0.45, None), None);
        check(ASHA, Goal::Maximize, others(), trial(4, 3, 0.55, None), Some((3, 2, 1, 4)));
        check(ASHA, Goal::Maximize, others(), trial(4, 3, 0.75, None), None);
        // At step 9 only one other has come so far.
        check(ASHA, Goal::Minimize, others(), trial(4, 9, 0.9, None), None);
        // An equal value is no worse.
        check(ASHA, Goal::Minimize, others(), trial(4, 2, 0.5, None), None);
    }

    #[test]
    fn nobody_is_stopped_while_too_little_is_known() {
        let unfinished = others().split_off(1);
        check(ASHA, Goal::Minimize, unfinished, trial(4, 3, 9.0, None), None);
        check(Rungs { min_trials: 5, ..ASHA }, Goal::Minimize, others(), trial(4, 3, 9.0, None), None);
        check(Rungs { min_steps: 4, ..ASHA }, Goal::Minimize, others(), trial(4, 8, 9.0, None), None);
        check(ASHA, Goal::Minimize, others(), trial(4, 3, f64::NAN, None), None);
        check(ASHA, Goal::Minimize, others(), trial(4, 0, 0.0, None), None);
    }

    #[test]
    fn a_bracket_passes_its_first_rungs_freely() {
        let hyperband = Rungs { has_brackets: true, min_trials: 2, ..ASHA };
        // Trials 1, 5 and 9 are in the bracket without a free rung, 2 and 6 in the next one, 4 in the last one, which has none.
        let others = || {
            vec![trial(1, 27, 0.5, Some(Outcome::Succeeded)), trial(2, 3, 0.5, Some(Outcome::StoppedEarly))]
        };
        check(hyperband, Goal::Minimize, others(), trial(5, 1, 0.9, None), Some((1, 1, 1, 2)));
        check(hyperband, Goal::Minimize, others(), trial(6, 1, 0.9, None), None);
        check(hyperband, Goal::Minimize, others(), trial(6, 3, 0.9, None), Some((3, 1, 1, 2)));
        check(hyperband, Goal::Minimize, others(), trial(4, 26, 0.9, None), None);
    }
}
