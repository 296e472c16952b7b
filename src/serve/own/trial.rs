//! One trial: what it is and was started with, its series, its files, why it was stopped, all that it has measured.

use std::fs;

use axum::extract::{Path, Query, State};
use serde::Serialize;
use serde_json::Value as Json;
use tfevents::series::Position;
use tfevents::tail::is_event_file;
use tfevents::{Keep, LogDir};
use utoipa::ToSchema;

use super::curves::{self, CurvePoint, reduce};
use super::{find, read_files, trial_number, with_job};
use crate::app::doctor::diagnose;
use crate::app::inspect::{Inspection, inspect};
use crate::app::plot::series_of_trial;
use crate::app::why;
use crate::edge::files;
use crate::edge::store::Store;
use crate::edge::trial_files::{DESCRIPTION, TrialFiles};
use crate::engine;
use crate::layout::run_of;
use crate::serve::body::Answer;
use crate::serve::error::{ApiError, Code};
use crate::serve::snapshots::Snapshot;
use crate::serve::summary::TrialRow;
use crate::serve::{App, Queried};
use crate::study::launch::{self, TrialContext};
use crate::study::{Replica, StopReason, Trial};
use crate::units::{MetricValue, RunName, Step, TrialId, serialize_f64};

/// How many points the curves have that tell why a trial was stopped, and how many other trials' are given.
const WHY_POINTS: usize = 200;
/// See [`WHY_POINTS`].
const MAX_OTHERS: usize = 50;

/// The most series that are listed.
const MAX_SERIES: usize = 1_000;

/// How many measurements a page has where nothing is asked for, and the most.
const DEFAULT_MEASUREMENTS: usize = 1_000;
/// See [`DEFAULT_MEASUREMENTS`].
const MAX_MEASUREMENTS: usize = 10_000;

/// How many points a series has where nothing is asked for, and the most.
const DEFAULT_SERIES_POINTS: usize = 1_000;
/// See [`DEFAULT_SERIES_POINTS`].
const MAX_SERIES_POINTS: usize = 10_000;

/// A trial.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(crate) struct TrialDetail {
    #[serde(flatten)]
    row: TrialRow,
    /// What was started; empty where nothing was yet.
    command: Vec<String>,
    /// The names of the variables that were added to its environment.
    environment: Vec<String>,
    replicas: Vec<ReplicaShown>,
    directory: String,
    /// Why it was stopped early, where it was.
    #[serde(skip_serializing_if = "Option::is_none")]
    why: Option<Why>,
    series: Vec<SeriesShown>,
    files: Vec<FileShown>,
    /// Why no value of the objective was found, and what to do.
    #[serde(skip_serializing_if = "Option::is_none")]
    diagnosis: Option<String>,
}

/// A process of a trial.
#[derive(Debug, Serialize, ToSchema)]
struct ReplicaShown {
    name: String,
}

/// A series in the trial's event files.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
struct SeriesShown {
    run: String,
    tag: String,
    count: u64,
    first_step: i64,
    last_step: i64,
    #[schema(value_type = Option<f64>)]
    #[serde(skip_serializing_if = "Option::is_none")]
    last_value: Option<MetricValue>,
    /// Whether the trial is judged by it.
    objective: bool,
}

/// A file that the trial's values are in.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
struct FileShown {
    path: String,
    size: u64,
    /// How far what the job has taken of the objective is behind what the file has, in seconds by the writer's clock.
    #[serde(skip_serializing_if = "Option::is_none")]
    lag_seconds: Option<f64>,
    /// How many stretches gave no event.
    damaged: usize,
    kind: &'static str,
}

/// Why a trial was stopped early.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Why {
    #[serde(skip_serializing_if = "Option::is_none")]
    decided_at: Option<String>,
    /// median, decay_curve, rung, request or time_limit.
    rule: &'static str,
    sentence: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    step: Option<i64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    value: Option<f64>,
    /// What the value was compared with.
    #[serde(skip_serializing_if = "Option::is_none")]
    threshold: Option<f64>,
    #[schema(value_type = Vec<Vec<f64>>)]
    curve: Vec<CurvePoint>,
    others: Vec<OtherCurve>,
    /// By step: the lower quartile, the median and the upper quartile of the others.
    #[schema(value_type = Vec<Vec<f64>>)]
    quantiles: Vec<Quantiles>,
}

/// The curve of a trial that another one was compared with.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
struct OtherCurve {
    trial_id: u32,
    #[schema(value_type = Vec<Vec<f64>>)]
    points: Vec<CurvePoint>,
}

/// A step and three quartiles.
#[derive(Debug, Serialize)]
struct Quantiles(i64, f64, f64, f64);

/// A trial with its series and files.
#[utoipa::path(
    get,
    path = "/api/v1/jobs/{job}/trials/{trial}",
    tag = "jobs",
    params(
        ("job" = String, Path, description = "The name of the job"),
        ("trial" = u32, Path, description = "The number of the trial"),
    ),
    responses(
        (status = 200, description = "The trial", body = TrialDetail),
    )
)]
pub(in crate::serve) async fn detail(
    State(shared): App,
    Path((job, trial)): Path<(String, String)>,
) -> Result<Answer, ApiError> {
    let trial = trial_number(&trial)?;
    let got = with_job(&shared, &job, move |store, snapshot| {
        let why = why_of(store, &snapshot, find(&snapshot, trial)?)?;
        Ok((snapshot, why))
    });
    let (snapshot, why) = got.await?;
    let read = read_files(&shared, move || {
        let trial = find(&snapshot, trial)?;
        let (job, config) = (&snapshot.known.stored.job, &snapshot.known.config);
        let files = TrialFiles::of(job, trial.id);
        // One that has not begun has no directory, and one in an object store is not read for this.
        let inspection = match files.address {
            None if files.directory.is_dir() => inspect(&files.directory).unwrap_or_default(),
            _ => Inspection::default(),
        };
        let replicas = config.cluster.replicas();
        // Of one that runs elsewhere there is nothing here to look at.
        let is_here = engine::is_here(config);
        let diagnosis = (trial.curve.points().is_empty()
            && trial.started_at.is_some()
            && is_here
            && files.address.is_none())
        .then(|| diagnose(&files.directory, &config.spec.metric_tag, &config.run).ok())
        .flatten()
        .filter(|diagnosis| !diagnosis.found)
        .map(|diagnosis| {
            std::iter::once(diagnosis.message).chain(diagnosis.fix).collect::<Vec<_>>().join("\n")
        });
        Answer::new(&TrialDetail {
            row: TrialRow::of(&snapshot, trial),
            command: command_of(&files),
            environment: if is_here { environment_of(&snapshot, trial.id, &replicas) } else { Vec::new() },
            replicas: replicas.iter().map(|replica| ReplicaShown { name: replica.to_string() }).collect(),
            directory: files.trial_dir(),
            why,
            series: series_of(&snapshot, trial, &inspection),
            files: files_of(&files, &inspection, lag_of(&snapshot, trial, &inspection)),
            diagnosis,
        })
    });
    read.await
}

/// What the trial's records say that was started.
fn command_of(files: &TrialFiles) -> Vec<String> {
    let text = fs::read_to_string(files.records.join(DESCRIPTION)).unwrap_or_default();
    let description: Json = serde_json::from_str(&text).unwrap_or_default();
    let program = description.get("program").and_then(Json::as_str);
    let arguments = description.get("arguments").and_then(Json::as_array).into_iter().flatten();
    program.into_iter().chain(arguments.filter_map(Json::as_str)).map(str::to_owned).collect()
}

fn environment_of(snapshot: &Snapshot, trial: TrialId, replicas: &[Replica]) -> Vec<String> {
    let config = &snapshot.known.config;
    let ports: Vec<(Replica, u16)> = replicas.iter().map(|replica| (*replica, 0)).collect();
    let context = TrialContext {
        job_id: &snapshot.known.stored.job.id,
        trial,
        trial_dir: "",
        metric_tag: &config.spec.metric_tag,
        training_input: &config.training_input,
        replicas: &ports,
    };
    let Some(main) = replicas.first() else { return Vec::new() };
    let mut names: Vec<String> =
        launch::environment(&context, *main, "").into_iter().map(|(name, _)| name).collect();
    names.sort();
    names.dedup();
    names
}

fn series_of(snapshot: &Snapshot, trial: &Trial, inspection: &Inspection) -> Vec<SeriesShown> {
    let objective = (trial.curve.run(), &snapshot.known.spec().metric_tag);
    let of_run = |(name, run)| {
        let run: &crate::app::inspect::Run = run;
        let name: &crate::units::RunName = name;
        let scalars = run.tags.iter().filter(|(_, summary)| summary.n_scalars > 0);
        scalars
            .map(|(tag, summary)| {
                let (last_step, last_value) = summary.last();
                SeriesShown {
                    run: name.to_string(),
                    tag: tag.to_string(),
                    count: summary.count(),
                    first_step: summary.first_step.0,
                    last_step: last_step.0,
                    last_value,
                    objective: objective == (Some(name), tag),
                }
            })
            .collect::<Vec<_>>()
    };
    let mut series: Vec<SeriesShown> = inspection.runs.iter().flat_map(of_run).collect();
    // That by which the trial is judged comes first, and is never left out.
    series.sort_by_key(|series| !series.objective);
    series.truncate(MAX_SERIES);
    series
}

/// The run that a trial that goes on is judged by, and how many seconds of its values the job has not taken yet.
fn lag_of<'t>(snapshot: &Snapshot, trial: &'t Trial, inspection: &Inspection) -> Option<(&'t RunName, f64)> {
    let (run, taken) = (trial.curve.run()?, trial.curve.last()?.wall_time.0);
    let summary = inspection.runs.get(run)?.tags.get(&snapshot.known.spec().metric_tag)?;
    let (_, written) = summary.wall_times?;
    trial.is_active().then(|| (run, (written.0 - taken).max(0.0))).filter(|(_, lag)| lag.is_finite())
}

fn files_of(files: &TrialFiles, inspection: &Inspection, lag: Option<(&RunName, f64)>) -> Vec<FileShown> {
    if files.address.is_some() || !files.directory.is_dir() {
        return Vec::new();
    }
    let logs = LogDir::of(files::directory(&files.directory));
    let damaged = |path: &str| {
        let damages = inspection.runs.values().flat_map(|run| &run.damages);
        damages.filter(|(of, _)| of == path).count()
    };
    let shown = logs.files().iter().map(|file| FileShown {
        damaged: damaged(&file.path),
        kind: if is_event_file(&file.path) { "events" } else { "hypertune" },
        size: file.bytes,
        lag_seconds: lag.and_then(|(run, lag)| (run_of(&file.path) == *run).then_some(lag)),
        path: file.path.clone(),
    });
    shown.collect()
}

/// Why a trial was stopped early, with its curve and those that it was compared with.
#[utoipa::path(
    get,
    path = "/api/v1/jobs/{job}/trials/{trial}/why",
    tag = "jobs",
    params(
        ("job" = String, Path, description = "The name of the job"),
        ("trial" = u32, Path, description = "The number of the trial"),
    ),
    responses(
        (status = 200, description = "Why", body = Why),
    )
)]
pub(in crate::serve) async fn why(
    State(shared): App,
    Path((job, trial)): Path<(String, String)>,
) -> Result<Answer, ApiError> {
    let trial = trial_number(&trial)?;
    let got = with_job(&shared, &job, move |store, snapshot| {
        let trial = find(&snapshot, trial)?;
        match why_of(store, &snapshot, trial)? {
            Some(why) => Answer::new(&why),
            None => Err(ApiError::not_found(format!("trial {} was not stopped early", trial.id))),
        }
    });
    got.await
}

fn why_of(store: &Store, snapshot: &Snapshot, trial: &Trial) -> Result<Option<Why>, ApiError> {
    let Some(decision) = &trial.stop else { return Ok(None) };
    let (rule, step, value, threshold) = match decision.reason {
        StopReason::Median { step, best, median, .. } => ("median", Some(step), Some(best), Some(median)),
        StopReason::DecayCurve { step, value, best, .. } => {
            ("decay_curve", Some(step), Some(value), Some(best))
        }
        StopReason::Rung { rung, value, .. } => ("rung", Some(rung), Some(value), None),
        StopReason::Request => ("request", trial.last_step().map(|step| step.0), None, None),
        StopReason::TimeLimit { .. } => ("time_limit", trial.last_step().map(|step| step.0), None, None),
    };
    let known = &snapshot.known;
    let compared = why::why(store.path(), known, trial.id.get())?;
    let of_peer = |peer: &why::Peer| {
        let own = peer.job.is_none().then(|| known.stored.trials.iter().find(|other| other.id == peer.trial));
        let other = own.flatten()?;
        Some(OtherCurve { trial_id: other.id.get(), points: reduce(&other.curve, WHY_POINTS) })
    };
    let is_compared = !matches!(decision.reason, StopReason::Request | StopReason::TimeLimit { .. });
    let peers = compared.peers.iter().filter(|_| is_compared);
    let decided_at = store.stop_decided_at(known.stored.number, trial.id)?;
    Ok(Some(Why {
        decided_at: decided_at.map(|at| at.to_string()),
        rule,
        sentence: decision.reason.to_string(),
        step,
        value: value.filter(|value| value.is_finite()),
        threshold: threshold.filter(|threshold| threshold.is_finite()),
        curve: reduce(&trial.curve, WHY_POINTS),
        others: peers.filter_map(of_peer).take(MAX_OTHERS).collect(),
        quantiles: compared
            .band
            .iter()
            .map(|(step, [low, mid, high])| Quantiles(*step, *low, *mid, *high))
            .collect(),
    }))
}

/// A page of what a trial has measured.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Measurements {
    measurements: Vec<MeasurementShown>,
    #[serde(skip_serializing_if = "Option::is_none")]
    next_page_token: Option<String>,
}

/// A value of the objective.
#[derive(Debug, Serialize, ToSchema)]
struct MeasurementShown {
    step: i64,
    /// The pass over the steps, from 1; left out where it is 1.
    #[serde(skip_serializing_if = "Option::is_none")]
    pass: Option<u32>,
    /// By the trainer's clock.
    #[serde(skip_serializing_if = "Option::is_none")]
    time: Option<String>,
    #[schema(value_type = f64)]
    #[serde(serialize_with = "serialize_f64")]
    value: f64,
}

/// All values of the objective that a trial has reported.
#[utoipa::path(
    get,
    path = "/api/v1/jobs/{job}/trials/{trial}/measurements",
    tag = "jobs",
    params(
        ("job" = String, Path, description = "The name of the job"),
        ("trial" = u32, Path, description = "The number of the trial"),
        ("pageSize" = Option<u64>, Query, description = "How many at most"),
        ("pageToken" = Option<String>, Query, description = "`nextPageToken` of the page before"),
    ),
    responses(
        (status = 200, description = "A page of them, by pass and step", body = Measurements),
    )
)]
pub(in crate::serve) async fn measurements(
    State(shared): App,
    Path((job, trial)): Path<(String, String)>,
    Query(query): Queried,
) -> Result<Answer, ApiError> {
    let trial = trial_number(&trial)?;
    let size = match curves::number(&query, "pageSize", DEFAULT_MEASUREMENTS, MAX_MEASUREMENTS)? {
        0 => DEFAULT_MEASUREMENTS,
        size => size,
    };
    let behind = query.get("pageToken").filter(|token| !token.is_empty()).map(|token| {
        let position = token.split_once('.').and_then(|(pass, step)| {
            Some(Position { pass: pass.parse().ok()?, step: Step(step.parse().ok()?) })
        });
        position.ok_or_else(|| ApiError::of_field("pageToken", "is none that was given out here"))
    });
    let behind = behind.transpose()?;
    let got = with_job(&shared, &job, move |store, snapshot| {
        let trial = find(&snapshot, trial)?.id;
        let mut read = store.measurements(snapshot.known.stored.number, trial, behind, size + 1)?;
        let has_more = read.len() > size;
        read.truncate(size);
        let last = read.last().filter(|_| has_more);
        let next_page_token = last.map(|last| format!("{}.{}", last.pass, last.step.0));
        let shown = read.iter().map(|m| MeasurementShown {
            step: m.step.0,
            pass: (m.pass > 0).then_some(m.pass + 1),
            time: jiff::Timestamp::from_microsecond((m.wall_time.0 * 1e6) as i64)
                .ok()
                .map(|at| at.to_string()),
            value: m.value,
        });
        Answer::new(&Measurements { measurements: shown.collect(), next_page_token })
    });
    got.await
}

/// A series of a trial's event files.
#[derive(Debug, Serialize, ToSchema)]
struct Series {
    /// A step, a value and the writer's clock in seconds since the Unix epoch.
    #[schema(value_type = Vec<Vec<f64>>)]
    points: Vec<SeriesPoint>,
    /// How many points there are; where there are more than were asked for, some of them are given, evenly apart.
    total: usize,
}

#[derive(Debug, Clone, Copy, Serialize)]
struct SeriesPoint(
    i64,
    #[serde(serialize_with = "serialize_f64")] f64,
    #[serde(serialize_with = "serialize_f64")] f64,
);

/// One series of a trial's event files.
#[utoipa::path(
    get,
    path = "/api/v1/jobs/{job}/trials/{trial}/series",
    tag = "jobs",
    params(
        ("job" = String, Path, description = "The name of the job"),
        ("trial" = u32, Path, description = "The number of the trial"),
        ("run" = String, Query, description = "The run directory"),
        ("tag" = String, Query, description = "The tag, whole"),
        ("maxPoints" = Option<u64>, Query, description = "How many points at most"),
    ),
    responses(
        (status = 200, description = "The points that stand, by step", body = Series),
    )
)]
pub(in crate::serve) async fn series(
    State(shared): App,
    Path((job, trial)): Path<(String, String)>,
    Query(query): Queried,
) -> Result<Answer, ApiError> {
    let trial = trial_number(&trial)?;
    let most = curves::number(&query, "maxPoints", DEFAULT_SERIES_POINTS, MAX_SERIES_POINTS)?.max(2);
    let named = |name: &str| query.get(name).cloned().ok_or_else(|| ApiError::of_field(name, "missing"));
    let (run, tag) = (named("run")?, named("tag")?);
    let files = with_job(&shared, &job, move |_, snapshot| {
        let trial = find(&snapshot, trial)?.id;
        Ok(TrialFiles::of(&snapshot.known.stored.job, trial))
    });
    let files = files.await?;
    let read = read_files(&shared, move || {
        if files.address.is_some() {
            let what = "the trial's files are in an object store, and are not read for this";
            return Err(ApiError::new(Code::FailedPrecondition, format!("{what}: {}", files.trial_dir())));
        }
        let missing =
            || ApiError::not_found(format!("trial {trial} has no series `{tag}` in the run `{run}`"));
        let contents = series_of_trial(&files, |name| name.as_str() == run, |name| name == tag, Keep::All);
        let series = contents.series.into_values().next().ok_or_else(missing)?;
        let all: Vec<SeriesPoint> = series
            .latest()
            .map(|(point, _)| SeriesPoint(point.step.0, point.value.as_f64(), point.wall_time.0))
            .collect();
        let total = all.len();
        Answer::new(&Series { points: some_of(all, most), total })
    });
    read.await
}

/// As many of these points, evenly apart, the first and the last among them.
fn some_of(all: Vec<SeriesPoint>, most: usize) -> Vec<SeriesPoint> {
    if all.len() <= most {
        return all;
    }
    let last = all.len() - 1;
    (0..most).filter_map(|n| all.get(n * last / (most - 1)).copied()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn of_a_long_series_both_ends_are_given() {
        let all: Vec<SeriesPoint> = (0..1_001).map(|n| SeriesPoint(n, 0.5, 0.0)).collect();
        let steps: Vec<i64> = some_of(all, 3).iter().map(|point| point.0).collect();
        assert_eq!(steps, [0, 500, 1_000]);
    }
}
