//! When a trial is given up before its end: one rule a file behind one small trait.
//!
//! Layer 7. Pure. Every stop carries its reason in numbers.

mod decay;
mod median;
mod rungs;

use crate::study::{StopDecision, Study, StudySpec, Trial, UsualEnds};
use crate::units::TrialId;

pub use decay::DecayCurve;
pub use median::MedianRule;
pub use rungs::Rungs;

/// How many others are to be known before a trial is compared with them, by default.
const DEFAULT_MIN_TRIALS: u32 = 5;

/// One trial in so many goes on, by default.
const DEFAULT_REDUCTION_FACTOR: u32 = 3;

/// An early-stopping rule.
pub trait StopRule: Send + std::fmt::Debug {
    /// Whether `trial`, which runs, is to be given up, judged by `trials`, which may have it among them.
    fn judge(&self, spec: &StudySpec, trial: &Trial, trials: &[Trial]) -> Option<StopDecision>;
}

/// What a rule says of a running trial of a study. The decision names the jobs of trials that are of others.
#[must_use]
pub fn judge(rule: &dyn StopRule, study: &Study, trial: &Trial) -> Option<StopDecision> {
    let mut decision = rule.judge(study.spec(), trial, study.comparable_trials())?;
    for compared in decision.compared.iter_mut().flat_map(|comparison| &mut comparison.trials) {
        let id = TrialId::new(compared.trial);
        compared.job = id.and_then(|id| study.prior_job_of(id)).cloned();
    }
    Some(decision)
}

/// Whether the values of two trials at one step mean the same: they are of the same data, and the other trial's steps
/// come in order.
fn is_comparable(trial: &Trial, other: &Trial) -> bool {
    other.curve.split() == trial.curve.split() && other.curve.is_in_order()
}

/// The trials whose whole curves may be compared with that of `trial`: those that ended well by themselves, and not far
/// before the others.
pub fn finished<'t>(trial: &Trial, trials: &'t [Trial]) -> Vec<&'t Trial> {
    let ends = UsualEnds::of(trials);
    let is_finished =
        |other: &&Trial| other.id != trial.id && is_comparable(trial, other) && ends.is_reached_by(other);
    trials.iter().filter(is_finished).collect()
}

/// What a configuration says of its rule (`hptune.earlyStopping`), but for the name.
#[derive(Debug, Clone, Copy)]
pub struct Settings {
    /// No trial is stopped before this step.
    pub min_steps: i64,
    /// Nor before so many others, 1 or more, are known to compare it with.
    pub min_trials: u32,
    /// One in so many goes on, 2 or more; only some rules have this.
    pub reduction_factor: Option<u32>,
}

/// The name of a rule with its settings, see [`Settings`]: a new rule is a file of its own, and a variant, a name and a line
/// of [`for_spec`] here.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum EarlyStopping {
    /// Never.
    None,
    /// By the median of the finished trials' running averages; see [`MedianRule`].
    Median {
        /// See above.
        min_steps: i64,
        /// See above.
        min_trials: u32,
    },
    /// By what the finished trials' curves tell of its own; see [`DecayCurve`].
    DecayCurve {
        /// See above.
        min_steps: i64,
        /// See above.
        min_trials: u32,
    },
    /// By its place among those that came to the same rung; see [`Rungs`].
    Rungs {
        /// See above.
        min_steps: i64,
        /// See above.
        min_trials: u32,
        /// One in so many goes on, 2 or more.
        reduction_factor: u32,
        /// Whether trials are spread over brackets (Hyperband) or not (ASHA).
        has_brackets: bool,
    },
}

impl Default for Settings {
    fn default() -> Self {
        Self { min_steps: 0, min_trials: DEFAULT_MIN_TRIALS, reduction_factor: None }
    }
}

impl Default for EarlyStopping {
    /// The rule of a specification that asks for early stopping and names none.
    fn default() -> Self {
        let Settings { min_steps, min_trials, .. } = Settings::default();
        Self::DecayCurve { min_steps, min_trials }
    }
}

impl EarlyStopping {
    /// What `hptune.earlyStopping.rule` may name, with these settings; the default first.
    #[must_use]
    pub fn choices(settings: Settings) -> [(&'static str, Self); 5] {
        let Settings { min_steps, min_trials, reduction_factor } = settings;
        let reduction_factor = reduction_factor.unwrap_or(DEFAULT_REDUCTION_FACTOR);
        let rungs = |has_brackets| Self::Rungs { min_steps, min_trials, reduction_factor, has_brackets };
        [
            ("decay-curve", Self::DecayCurve { min_steps, min_trials }),
            ("median", Self::Median { min_steps, min_trials }),
            ("asha", rungs(false)),
            ("hyperband", rungs(true)),
            ("none", Self::None),
        ]
    }

    /// Whether its rule has a reduction factor, or there is no rule.
    #[must_use]
    pub fn takes_reduction_factor(self) -> bool {
        matches!(self, Self::None | Self::Rungs { .. })
    }
}

/// The rule that a specification asks for.
#[must_use]
pub fn for_spec(spec: &StudySpec) -> Option<Box<dyn StopRule>> {
    Some(match spec.early_stopping {
        EarlyStopping::None => return None,
        EarlyStopping::Median { min_steps, min_trials } => Box::new(MedianRule { min_steps, min_trials }),
        EarlyStopping::DecayCurve { min_steps, min_trials } => Box::new(DecayCurve { min_steps, min_trials }),
        EarlyStopping::Rungs { min_steps, min_trials, reduction_factor, has_brackets } => {
            Box::new(Rungs { min_steps, min_trials, reduction_factor, has_brackets })
        }
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::study::{Assignment, Compared, Measurement, Outcome, PriorJob, Stage, config};
    use crate::units::{Step, WallTime};

    /// A trial with this value at each of some steps, that has ended well.
    fn trial(number: u32, steps: &[i64], value: f64) -> Trial {
        let id = TrialId::new(number).expect("not 0");
        let mut trial = Trial::suggested(id, Assignment::default());
        for step in steps {
            trial.curve.insert(Measurement::new(Step(*step), value, WallTime(0.0)));
        }
        trial.stage = Stage::Ended(Outcome::Succeeded);
        trial
    }

    #[test]
    fn a_decision_names_what_it_compared_and_whose_that_is() {
        let spec =
            config::tests::spec("{params: [{parameterName: a, type: INTEGER, minValue: 1, maxValue: 9}]}");
        let job = |id: &str, trials| PriorJob { id: id.into(), trials };
        let finished_with = |number, value| trial(number, &[4, 8], value);
        let before = vec![
            job("first", vec![finished_with(1, 0.7), finished_with(2, 0.8)]),
            job("second", vec![finished_with(3, 0.9)]),
        ];
        let warm = vec![finished_with(u32::MAX, 99.0)];
        let own = vec![finished_with(4, 0.6), Trial { stage: Stage::Running, ..trial(5, &[4], 0.1) }];
        let study = Study::new(spec)
            .with_prior_trials(warm, before, TrialId::after(3))
            .with_trials(own, crate::study::Decided::Nothing);
        let judged = study.trial(TrialId::after(4)).expect("it is there");
        let compared = |trial, job: Option<&str>, value| Compared {
            trial,
            job: job.map(Into::into),
            value: Some(value),
        };
        let expected = [
            compared(1, Some("first"), 0.7),
            compared(2, Some("first"), 0.8),
            compared(3, Some("second"), 0.9),
            compared(4, None, 0.6),
        ];
        let rules: [Box<dyn StopRule>; 2] = [
            Box::new(MedianRule { min_steps: 0, min_trials: 1 }),
            Box::new(Rungs { min_steps: 0, min_trials: 1, reduction_factor: 2, has_brackets: false }),
        ];
        for rule in rules {
            let decision = judge(&*rule, &study, judged);
            let comparison = decision.and_then(|decision| decision.compared).expect("it is the worst");
            assert_eq!((comparison.step, &*comparison.trials), (4, &expected[..]), "{rule:?}");
        }
    }
}
