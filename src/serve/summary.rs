//! Jobs and trials as our own methods show them.

use std::collections::BTreeMap;
use std::path::Path;

use serde::Serialize;
use utoipa::ToSchema;

use super::snapshots::Snapshot;
use crate::app::jobs::KnownJob;
use crate::edge::store::{ConfigFormat, Etag};
use crate::study::{
    Assignment, Domain, EarlyStopping, FinalState, Measurement, Outcome, ParamValue, Parameter, Scale, Stage,
    State, Trial,
};
use crate::units::serialize_f64;

/// What a list shows of a job.
#[derive(Debug, Clone, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(super) struct JobSummary {
    pub(super) job_id: String,
    /// QUEUED, PREPARING, RUNNING, CANCELLING, SUCCEEDED, FAILED or CANCELLED.
    pub(super) state: String,
    pub(super) create_time: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) start_time: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) end_time: Option<String>,
    pub(super) labels: BTreeMap<String, String>,
    /// Why it failed.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) error_message: Option<String>,
    /// MINIMIZE or MAXIMIZE.
    pub(super) goal: &'static str,
    /// The objective's tag.
    pub(super) metric: String,
    pub(super) max_trials: u32,
    pub(super) counts: Counts,
    /// The recommended trial, where one gave a result.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) best: Option<Best>,
    /// Another one after each change.
    pub(super) etag: String,
    /// Whether a process leads it.
    pub(super) running: bool,
    /// Its name for people.
    pub(super) name: String,
}

/// How many trials stand where. Those that were stopped by request are counted with those that were stopped early.
#[derive(Debug, Clone, Default, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(super) struct Counts {
    pub(super) pending: usize,
    pub(super) running: usize,
    pub(super) succeeded: usize,
    pub(super) stopped_early: usize,
    pub(super) infeasible: usize,
    pub(super) failed: usize,
    pub(super) cancelled: usize,
}

/// The best trial of a job.
#[derive(Debug, Clone, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(super) struct Best {
    pub(super) trial_id: u32,
    #[schema(value_type = f64)]
    #[serde(serialize_with = "serialize_f64")]
    pub(super) value: f64,
    pub(super) step: i64,
    pub(super) parameters: BTreeMap<String, String>,
}

/// A value of the objective and its step.
#[derive(Debug, Clone, Serialize, ToSchema)]
pub(super) struct ValueAt {
    /// A number, or one of "NaN", "Infinity", "-Infinity".
    #[schema(value_type = f64)]
    #[serde(serialize_with = "serialize_f64")]
    pub(super) value: f64,
    pub(super) step: i64,
}

/// A trial in one row.
#[derive(Debug, Clone, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(super) struct TrialRow {
    pub(super) trial_id: u32,
    /// PENDING, RUNNING, SUCCEEDED, STOPPED_EARLY, STOPPED_BY_REQUEST, INFEASIBLE, FAILED or CANCELLED.
    pub(super) state: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) start_time: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) end_time: Option<String>,
    pub(super) parameters: BTreeMap<String, String>,
    /// Its result, or its last value while it runs.
    #[schema(value_type = Option<f64>)]
    #[serde(skip_serializing_if = "Option::is_none", serialize_with = "optional_f64")]
    pub(super) value: Option<f64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) step: Option<i64>,
    /// Its best finite value.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) best: Option<ValueAt>,
    /// How many values it has reported.
    pub(super) points: u64,
    /// One sentence on why it ended early or failed.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) reason: Option<String>,
    /// Which attempt it is, from 1.
    pub(super) attempt: u32,
}

/// A job with its configuration and its trials.
#[derive(Debug, Clone, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(super) struct JobDetail {
    #[serde(flatten)]
    pub(super) summary: JobSummary,
    /// The configuration as it was given.
    pub(super) config: String,
    /// yaml or json.
    pub(super) config_format: &'static str,
    pub(super) command: Vec<String>,
    pub(super) job_dir: String,
    pub(super) parameters: Vec<ParameterShown>,
    pub(super) algorithm: &'static str,
    pub(super) early_stopping: EarlyStoppingShown,
    /// What there was to say of the job, the latest last.
    pub(super) notes: Vec<Note>,
    pub(super) trials: Vec<TrialRow>,
    /// How much each parameter matters, the most important first; left out where there are too few results.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) importance: Option<Vec<Share>>,
}

/// A parameter of the search space.
#[derive(Debug, Clone, Serialize, ToSchema)]
pub(super) struct ParameterShown {
    pub(super) name: String,
    #[serde(rename = "type")]
    pub(super) kind: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) min: Option<f64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) max: Option<f64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) values: Option<Vec<String>>,
    /// NONE, UNIT_LINEAR_SCALE, UNIT_LOG_SCALE or UNIT_REVERSE_LOG_SCALE.
    pub(super) scale: &'static str,
}

/// The rule by which trials are given up early.
#[derive(Debug, Clone, Serialize, ToSchema)]
pub(super) struct EarlyStoppingShown {
    pub(super) enabled: bool,
    pub(super) rule: &'static str,
}

/// Something that was said of a job.
#[derive(Debug, Clone, PartialEq, Serialize, ToSchema)]
pub(super) struct Note {
    pub(super) at: String,
    pub(super) text: String,
}

/// How much a parameter matters.
#[derive(Debug, Clone, Serialize, ToSchema)]
pub(super) struct Share {
    pub(super) parameter: String,
    /// 0 to 1.
    pub(super) share: f64,
}

impl JobSummary {
    pub(super) fn of(known: &KnownJob, is_led: bool) -> Self {
        let (stored, spec) = (&known.stored, known.spec());
        let mut counts = Counts::default();
        for trial in &stored.trials {
            *counts.of(state_of(trial)) += 1;
        }
        let best = known.best().and_then(|trial| {
            let result = trial.final_measurement(spec.goal, spec.reduce)?;
            Some(Best {
                trial_id: trial.id.get(),
                value: result.value,
                step: result.step.0,
                parameters: parameters_of(&trial.params),
            })
        });
        let is_fault = !matches!(stored.state, State::Ended(FinalState::Succeeded | FinalState::Cancelled));
        let resource = &stored.job.resource;
        Self {
            job_id: stored.job.id.clone(),
            state: stored.state.name().to_owned(),
            create_time: stored.job.created_at.to_string(),
            start_time: stored.started_at.map(|at| at.to_string()),
            end_time: stored.ended_at.map(|at| at.to_string()),
            labels: known.labels().clone(),
            error_message: stored.message.clone().filter(|_| is_fault),
            goal: spec.goal.name(),
            metric: spec.metric_tag.as_str().to_owned(),
            max_trials: spec.max_trials,
            counts,
            best,
            etag: stored.etag.to_string(),
            running: is_led,
            name: resource.display_name.clone().unwrap_or_else(|| stored.job.id.clone()),
        }
    }

    pub(super) fn etag(&self) -> Etag {
        Etag(self.etag.parse().unwrap_or_default())
    }

    /// The same, led by a process or not.
    pub(super) fn led(&self, is_led: bool) -> Self {
        Self { running: is_led, ..self.clone() }
    }
}

impl Counts {
    fn of(&mut self, state: &str) -> &mut usize {
        match state {
            "PENDING" => &mut self.pending,
            "RUNNING" => &mut self.running,
            "SUCCEEDED" => &mut self.succeeded,
            "STOPPED_EARLY" | "STOPPED_BY_REQUEST" => &mut self.stopped_early,
            "INFEASIBLE" => &mut self.infeasible,
            "CANCELLED" => &mut self.cancelled,
            _ => &mut self.failed,
        }
    }
}

/// The state that our own methods have for a trial.
pub(super) fn state_of(trial: &Trial) -> &'static str {
    match &trial.stage {
        Stage::Suggested => "PENDING",
        Stage::Running | Stage::Stopping(..) | Stage::Killing(..) | Stage::Waiting(..) => "RUNNING",
        Stage::Ended(outcome) => match outcome {
            Outcome::Succeeded => "SUCCEEDED",
            Outcome::StoppedEarly => "STOPPED_EARLY",
            Outcome::StoppedByRequest => "STOPPED_BY_REQUEST",
            Outcome::Infeasible | Outcome::Rejected(_) => "INFEASIBLE",
            Outcome::Cancelled => "CANCELLED",
            Outcome::Failed(_)
            | Outcome::ReplicaFailed(..)
            | Outcome::Preempted
            | Outcome::Lost
            | Outcome::NotStarted(_)
            | Outcome::LeftAtWork(_)
            | Outcome::NoMetric => "FAILED",
        },
    }
}

pub(super) fn parameters_of(params: &Assignment) -> BTreeMap<String, String> {
    params.iter().map(|(name, value)| (name.to_owned(), value.to_string())).collect()
}

impl TrialRow {
    pub(super) fn of(snapshot: &Snapshot, trial: &Trial) -> Self {
        let spec = snapshot.known.spec();
        let shown = trial.result(spec.goal, spec.reduce);
        let at = |m: &Measurement| ValueAt { value: m.value, step: m.step.0 };
        Self {
            trial_id: trial.id.get(),
            state: state_of(trial),
            start_time: trial.started_at.map(|at| at.to_string()),
            end_time: trial.ended_at.map(|at| at.to_string()),
            parameters: parameters_of(&trial.params),
            value: shown.map(|m| m.value),
            step: shown.map(|m| m.step.0),
            best: trial.curve.best(spec.goal).map(at),
            points: snapshot.counts.get(&trial.id).copied().unwrap_or_default(),
            reason: reason_of(trial),
            attempt: trial.attempt,
        }
    }
}

/// Why a trial ended early, or failed.
pub(super) fn reason_of(trial: &Trial) -> Option<String> {
    match (&trial.stop, trial.outcome()) {
        (Some(decision), _) => Some(decision.reason.to_string()),
        (None, Some(Outcome::Succeeded) | None) => None,
        (None, Some(outcome)) => Some(outcome.to_string()),
    }
}

impl JobDetail {
    pub(super) fn of(snapshot: &Snapshot, notes: Vec<Note>, importance: Option<Vec<Share>>) -> Self {
        let known = &snapshot.known;
        let (job, spec) = (&known.stored.job, known.spec());
        let is_json = job.config.trim_start().starts_with('{');
        let command = match (&*job.command, &known.config.python_module) {
            ([], Some(module)) => ["python3", "-m", module].map(str::to_owned).into(),
            (words, _) => words.to_vec(),
        };
        Self {
            summary: JobSummary::of(known, snapshot.is_led),
            config: job.config.clone(),
            config_format: match (job.resource.config_format, is_json) {
                (ConfigFormat::MlV1, false) => "yaml",
                (ConfigFormat::MlV1 | ConfigFormat::VertexV1 | ConfigFormat::Vizier, _) => "json",
            },
            command,
            job_dir: shown_path(&job.job_dir),
            parameters: spec.space.parameters.iter().map(ParameterShown::of).collect(),
            algorithm: spec.algorithm.name(),
            early_stopping: EarlyStoppingShown::of(spec.early_stopping),
            notes,
            trials: known.stored.trials.iter().map(|trial| TrialRow::of(snapshot, trial)).collect(),
            importance,
        }
    }
}

impl ParameterShown {
    fn of(parameter: &Parameter) -> Self {
        let (kind, min, max, values, scale) = match &parameter.domain {
            Domain::Double { min, max, scale } => ("DOUBLE", Some(*min), Some(*max), None, Some(*scale)),
            Domain::Integer { min, max, scale } => {
                ("INTEGER", Some(*min as f64), Some(*max as f64), None, Some(*scale))
            }
            Domain::Discrete { values, scale } => {
                let texts = values.iter().map(|value| ParamValue::Number(*value).to_string()).collect();
                ("DISCRETE", None, None, Some(texts), Some(*scale))
            }
            Domain::Categorical(values) => (
                "CATEGORICAL",
                None,
                None,
                Some(values.iter().map(|value| value.to_string()).collect()),
                None,
            ),
        };
        let scale = match scale {
            None => "NONE",
            Some(Scale::Linear) => "UNIT_LINEAR_SCALE",
            Some(Scale::Log) => "UNIT_LOG_SCALE",
            Some(Scale::ReverseLog) => "UNIT_REVERSE_LOG_SCALE",
        };
        Self { name: parameter.name.to_string(), kind, min, max, values, scale }
    }
}

impl EarlyStoppingShown {
    fn of(rule: EarlyStopping) -> Self {
        let (enabled, rule) = match rule {
            EarlyStopping::None => (false, "none"),
            EarlyStopping::Median { .. } => (true, "median"),
            EarlyStopping::DecayCurve { .. } => (true, "decay-curve"),
            EarlyStopping::Rungs { has_brackets: false, .. } => (true, "asha"),
            EarlyStopping::Rungs { has_brackets: true, .. } => (true, "hyperband"),
        };
        Self { enabled, rule }
    }
}

pub(super) fn shown_path(path: &Path) -> String {
    path.to_string_lossy().into_owned()
}

fn optional_f64<S: serde::Serializer>(value: &Option<f64>, serializer: S) -> Result<S::Ok, S::Error> {
    match value {
        Some(value) => serialize_f64(value, serializer),
        None => serializer.serialize_none(),
    }
}
