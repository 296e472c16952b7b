//! A job's result in the service's terms: `TrainingOutput` and its trials, best first.
//!
//! Source of the shape: Cloud ML Engine's REST reference, `projects.jobs`: `TrainingOutput`,
//! `HyperparameterOutput`, `HyperparameterMetric`. 64-bit integers are JSON strings there.

use std::cmp::Ordering;
use std::collections::BTreeMap;

use jiff::Timestamp;
use serde::Serialize;

use super::{Assignment, Measurement, State, StudySpec, Trial};
use crate::objective::is_preferred;
use crate::units::{TrialId, serialize_f64};

/// Which trials are best.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Ranking {
    /// Every trial whose result is the best one, the recommended first: of equals, the one that cost
    /// least time. Empty where no trial gave a result.
    pub best: Vec<TrialId>,
    /// All trials: those with a result by falling worth, the others behind by number.
    pub order: Vec<TrialId>,
}

/// Ranks the trials of a study. Where the objective of some comes from validation data, one that never came to be
/// validated is not compared with them: only those count whose data are the best that any has; see [`is_preferred`].
#[must_use]
pub fn rank(spec: &StudySpec, trials: &[Trial]) -> Ranking {
    let with_result = trials.iter().filter(|trial| worth(spec, trial).is_some());
    let best_split = with_result.map(|trial| trial.curve.split());
    let best_split = best_split.reduce(|best, other| if is_preferred(other, best) { other } else { best });
    let comparable = |trial: &Trial| worth(spec, trial).filter(|_| Some(trial.curve.split()) == best_split);
    let mut sorted: Vec<(Option<f64>, &Trial)> =
        trials.iter().map(|trial| (comparable(trial), trial)).collect();
    sorted.sort_by(|(a, trial_a), (b, trial_b)| {
        let by_worth = match (a, b) {
            (Some(a), Some(b)) if spec.goal.is_better(*a, *b) => Ordering::Less,
            (Some(a), Some(b)) if spec.goal.is_better(*b, *a) => Ordering::Greater,
            (Some(_), Some(_)) => {
                let duration = |t: &Trial| t.duration_s().unwrap_or(f64::INFINITY);
                duration(trial_a).total_cmp(&duration(trial_b))
            }
            (Some(_), None) => Ordering::Less,
            (None, Some(_)) => Ordering::Greater,
            (None, None) => Ordering::Equal,
        };
        by_worth.then(trial_a.id.cmp(&trial_b.id))
    });
    let top = sorted.first().and_then(|(worth, _)| *worth);
    let best =
        sorted.iter().filter(|(worth, _)| worth.is_some() && *worth == top).map(|(_, t)| t.id).collect();
    Ranking { best, order: sorted.iter().map(|(_, trial)| trial.id).collect() }
}

/// A successful trial's result, where it is finite.
fn worth(spec: &StudySpec, trial: &Trial) -> Option<f64> {
    trial.outcome().filter(|outcome| outcome.is_success())?;
    trial.result(spec.goal, spec.reduce).map(|m| m.value).filter(|value| value.is_finite())
}

/// The service's `TrainingOutput`.
#[derive(Debug, Clone, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct TrainingOutput {
    /// How many trials completed successfully.
    #[serde(serialize_with = "as_string")]
    pub completed_trial_count: usize,
    /// The trials, best first.
    pub trials: Vec<HyperparameterOutput>,
    /// Always true.
    pub is_hyperparameter_tuning_job: bool,
    /// The objective's tag.
    pub hyperparameter_metric_tag: String,
}

/// The service's `HyperparameterOutput`.
#[derive(Debug, Clone, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct HyperparameterOutput {
    trial_id: TrialId,
    hyperparameters: Assignment,
    #[serde(skip_serializing_if = "Option::is_none", serialize_with = "as_time")]
    start_time: Option<Timestamp>,
    #[serde(skip_serializing_if = "Option::is_none", serialize_with = "as_time")]
    end_time: Option<Timestamp>,
    state: State,
    #[serde(skip_serializing_if = "Option::is_none")]
    final_metric: Option<HyperparameterMetric>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    all_metrics: Vec<HyperparameterMetric>,
    is_trial_stopped_early: bool,
}

/// The service's `HyperparameterMetric`. A value that is not finite is one of the strings `"NaN"`,
/// `"Infinity"`, `"-Infinity"`.
#[derive(Debug, Clone, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct HyperparameterMetric {
    #[serde(serialize_with = "as_string")]
    training_step: i64,
    #[serde(serialize_with = "serialize_f64")]
    objective_value: f64,
}

impl From<&Measurement> for HyperparameterMetric {
    fn from(m: &Measurement) -> Self {
        Self { training_step: m.step.0, objective_value: m.value }
    }
}

/// A job's result in the service's terms.
#[must_use]
pub fn training_output(spec: &StudySpec, trials: &[Trial]) -> TrainingOutput {
    training_output_of(spec, trials, usize::MAX)
}

/// The same with no more than `max_metrics` values of each trial: as many of them, evenly apart, the first and the last
/// among them where there is room for two.
#[must_use]
pub fn training_output_of(spec: &StudySpec, trials: &[Trial], max_metrics: usize) -> TrainingOutput {
    let ranking = rank(spec, trials);
    let by_id: BTreeMap<TrialId, &Trial> = trials.iter().map(|trial| (trial.id, trial)).collect();
    let ordered = ranking.order.iter().filter_map(|id| by_id.get(id));
    TrainingOutput {
        completed_trial_count: trials.iter().filter(|t| t.outcome().is_some_and(|o| o.is_success())).count(),
        trials: ordered.map(|trial| hyperparameter_output(spec, trial, max_metrics)).collect(),
        is_hyperparameter_tuning_job: true,
        hyperparameter_metric_tag: spec.metric_tag.as_str().to_owned(),
    }
}

/// Some of these measurements, evenly apart.
fn some_of(points: &[Measurement], most: usize) -> Vec<HyperparameterMetric> {
    if points.len() <= most {
        return points.iter().map(Into::into).collect();
    }
    let last = points.len() - 1;
    let gaps = most.saturating_sub(1).max(1);
    let place = |n: usize| usize::try_from((n as u128) * (last as u128) / (gaps as u128)).unwrap_or(last);
    (0..most).filter_map(|n| points.get(place(n))).map(Into::into).collect()
}

fn hyperparameter_output(spec: &StudySpec, trial: &Trial, max_metrics: usize) -> HyperparameterOutput {
    HyperparameterOutput {
        trial_id: trial.id,
        hyperparameters: trial.params.clone(),
        start_time: trial.started_at,
        end_time: trial.ended_at,
        state: trial.state(),
        final_metric: trial.final_measurement(spec.goal, spec.reduce).map(Into::into),
        all_metrics: some_of(trial.curve.points(), max_metrics),
        is_trial_stopped_early: trial.stop.is_some(),
    }
}

fn as_string<T: ToString + Copy, S: serde::Serializer>(value: &T, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_str(&value.to_string())
}

fn as_time<S: serde::Serializer>(time: &Option<Timestamp>, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.collect_str(&time.unwrap_or_default())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::study::{Outcome, Stage, config};
    use crate::units::{Step, WallTime};

    fn trial(n: u32, value: Option<f64>, outcome: Outcome, seconds: i64) -> Trial {
        let mut trial = Trial::suggested(TrialId::new(n).expect("not 0"), Assignment::default());
        if let Some(value) = value {
            trial.curve.insert(Measurement::new(Step(7), value, WallTime(0.0)));
        }
        trial.stage = Stage::Ended(outcome);
        trial.started_at = Some(Timestamp::UNIX_EPOCH);
        trial.ended_at = Timestamp::from_second(seconds).ok();
        trial
    }

    fn trials() -> Vec<Trial> {
        vec![
            trial(1, Some(0.5), Outcome::Succeeded, 10),
            trial(2, Some(0.9), Outcome::Succeeded, 20),
            trial(3, Some(0.9), Outcome::StoppedEarly, 5),
            trial(4, Some(f64::NAN), Outcome::Infeasible, 1),
            trial(5, Some(0.99), Outcome::Failed(crate::study::Exit::Code(1)), 1),
            trial(6, None, Outcome::NoMetric, 1),
        ]
    }

    fn spec() -> StudySpec {
        config::tests::spec("{params: [{parameterName: a, type: INTEGER, minValue: 1, maxValue: 2}]}")
    }

    #[test]
    fn equals_are_all_named_and_the_cheapest_is_first() {
        let ranking = rank(&spec(), &trials());
        let ids = |ids: &[TrialId]| ids.iter().map(|id| id.get()).collect::<Vec<_>>();
        assert_eq!(ids(&ranking.best), [3, 2]);
        assert_eq!(ids(&ranking.order), [3, 2, 1, 4, 5, 6]);
        let mut minimize = spec();
        minimize.goal = crate::study::Goal::Minimize;
        assert_eq!(ids(&rank(&minimize, &trials()).best), [1]);
        assert_eq!(rank(&spec(), &trials()[3..]).best, []);
    }

    #[test]
    fn a_trial_that_never_came_to_be_evaluated_is_not_the_best() {
        let mut trials =
            vec![trial(1, Some(0.01), Outcome::Succeeded, 1), trial(2, Some(0.5), Outcome::Succeeded, 1)];
        let point = trials[1].curve.points()[0];
        trials[1].curve.start_over("eval".into());
        trials[1].curve.insert(point);
        let mut spec = spec();
        spec.goal = crate::study::Goal::Minimize;
        assert_eq!(rank(&spec, &trials).best, [trials[1].id]);
    }

    #[test]
    fn of_many_values_some_are_given_evenly_apart() {
        #[track_caller]
        fn check(n: i64, most: usize, expected: &[i64]) {
            let points: Vec<_> =
                (0..n).map(|step| Measurement::new(Step(step), 0.5, WallTime(0.0))).collect();
            let steps: Vec<i64> = some_of(&points, most).iter().map(|m| m.training_step).collect();
            assert_eq!(steps, expected);
        }
        check(3, 3, &[0, 1, 2]);
        check(11, 3, &[0, 5, 10]);
        check(11, 1, &[0]);
        check(11, 0, &[]);
        check(0, 3, &[]);
    }

    #[test]
    fn the_output_has_the_service_s_shape() {
        let json = serde_json::to_value(training_output(&spec(), &trials()[1..4])).expect("it serializes");
        assert_eq!(json["completedTrialCount"], "2");
        assert_eq!(json["isHyperparameterTuningJob"], true);
        assert_eq!(
            json["trials"][1],
            serde_json::json!({
                "trialId": "2", "hyperparameters": {}, "state": "SUCCEEDED", "isTrialStoppedEarly": false,
                "startTime": "1970-01-01T00:00:00Z", "endTime": "1970-01-01T00:00:20Z",
                "finalMetric": {"trainingStep": "7", "objectiveValue": 0.9},
                "allMetrics": [{"trainingStep": "7", "objectiveValue": 0.9}],
            })
        );
        assert_eq!(json["trials"][2]["finalMetric"]["objectiveValue"], "NaN");
    }
}
