//! Our own methods, below `/api/v1`: what the page shows and does.

pub(super) mod curves;
pub(super) mod events;
pub(super) mod log;
mod notes;
pub(super) mod reports;
pub(super) mod trial;

use std::sync::Arc;

use axum::Router;
use axum::body::Body;
use axum::extract::{Path, Query, State};
use axum::http::HeaderMap;
use axum::routing::{get, post};
use jiff::Timestamp;
use serde::Serialize;
use serde_json::{Map, Value as Json, json};
use tokio::time::timeout;
use utoipa::ToSchema;

use super::body::{Answer, read_object};
use super::create::{self, Submission};
use super::error::{ApiError, Code, Violation};
use super::filter::Filter;
use super::launcher::OWNERS;
use super::limits::{DEFAULT_PAGE, MAX_OWN_PAGE, STORE_WAIT};
use super::ml::{cancel, check_name, choose};
use super::paging::page;
use super::snapshots::Snapshot;
use super::summary::{JobDetail, JobSummary};
use super::{App, Queried, Shared};
use crate::edge::store::{RequestKind, Store};
use crate::study::Trial;
use crate::units::TrialId;

pub(super) use curves::{CurvePoint, TrialCurve, reduce};
pub(super) use notes::of_job as notes_of;

pub(super) fn routes() -> Router<Arc<Shared>> {
    Router::new()
        .route("/api/v1/jobs", get(list).post(submit))
        .route("/api/v1/jobs:check", post(check))
        .route("/api/v1/jobs/{job}", get(detail).post(call))
        .route("/api/v1/jobs/{job}/curves", get(curves::curves))
        .route("/api/v1/events", get(events::of_all))
        .route("/api/v1/jobs/{job}/events", get(events::of_job))
        .route("/api/v1/jobs/{job}/trials/{trial}", get(trial::detail).post(call_trial))
        .route("/api/v1/jobs/{job}/trials/{trial}/why", get(trial::why))
        .route("/api/v1/jobs/{job}/trials/{trial}/measurements", get(trial::measurements))
        .route("/api/v1/jobs/{job}/trials/{trial}/series", get(trial::series))
        .route("/api/v1/jobs/{job}/trials/{trial}/log", get(log::log))
}

/// A page of the list of jobs, the newest first.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(super) struct JobList {
    jobs: Vec<JobSummary>,
    #[serde(skip_serializing_if = "Option::is_none")]
    next_page_token: Option<String>,
    /// How many jobs there are, whatever the filter.
    total: usize,
    server: Server,
}

/// The service.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
struct Server {
    version: &'static str,
    max_jobs: usize,
}

/// Lists jobs.
#[utoipa::path(
    get,
    path = "/api/v1/jobs",
    tag = "jobs",
    params(
        ("pageSize" = Option<u64>, Query, description = "How many at most"),
        ("pageToken" = Option<String>, Query, description = "`nextPageToken` of the page before"),
        ("filter" = Option<String>, Query, description = "Terms such as `state:RUNNING AND jobId:rnn*`"),
    ),
    responses(
        (status = 200, description = "A page of them, the newest first", body = JobList),
    )
)]
pub(in crate::serve) async fn list(State(shared): App, Query(query): Queried) -> Result<Answer, ApiError> {
    let page = page(&query, DEFAULT_PAGE, MAX_OWN_PAGE)?;
    let filter = Filter::read(query.get("filter").map_or("", String::as_str))?;
    let sharing = shared.clone();
    let listed = shared.stores.call(move |store| {
        let (heads, next_page_token) = choose(store, &filter, &page)?;
        let total = store.heads()?.iter().filter(|head| !head.is_study).count();
        // One that cannot be read does not hide the others.
        let jobs = heads.iter().filter_map(|head| sharing.snapshots.summary(store, head).ok()).collect();
        let server = Server { version: env!("CARGO_PKG_VERSION"), max_jobs: sharing.launcher.max_jobs() };
        Answer::new(&JobList { jobs, next_page_token, total, server })
    });
    listed.await
}

/// What somebody submits.
#[derive(Debug, ToSchema)]
#[schema(rename_all = "camelCase")]
#[expect(dead_code, reason = "it describes what `submission` reads, which tells all faults at once")]
pub(super) struct SubmissionBody {
    /// The configuration, in YAML or JSON.
    config: String,
    /// The job's name; that of the configuration, or made of the time, where there is none.
    job_id: Option<String>,
    /// The trainer's command; that of the configuration where there is none.
    command: Option<Vec<String>>,
}

/// That a submission can be run.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(super) struct CheckedBody {
    ok: bool,
    notes: Vec<String>,
    job_id: String,
}

/// What somebody submits: `config`, perhaps `jobId` and `command`.
fn submission(mut body: Map<String, Json>) -> Result<Submission, ApiError> {
    let mut violations = Vec::new();
    let mut fault = |field: &str, description: &str| {
        violations.push(Violation::new(field, description));
    };
    let config = match body.remove("config") {
        Some(Json::String(text)) => text,
        Some(config @ Json::Object(_)) => serde_json::to_string_pretty(&config).unwrap_or_default(),
        _ => {
            fault("config", "want the configuration as a text in YAML or JSON");
            String::new()
        }
    };
    let job_id = match body.remove("jobId") {
        None | Some(Json::Null) => None,
        Some(Json::String(id)) => Some(id).filter(|id| !id.is_empty()),
        Some(_) => {
            fault("jobId", "want a text");
            None
        }
    };
    let command = match body.remove("command") {
        None | Some(Json::Null) => Vec::new(),
        Some(Json::Array(words)) => match words.iter().map(|word| word.as_str().map(str::to_owned)).collect()
        {
            Some(words) => words,
            None => {
                fault("command", "want a list of texts");
                Vec::new()
            }
        },
        Some(_) => {
            fault("command", "want a list of texts");
            Vec::new()
        }
    };
    for name in body.keys() {
        fault(name, "unknown field");
    }
    if !violations.is_empty() {
        return Err(ApiError::of_fields(violations));
    }
    Ok(Submission { config, is_text: true, job_id, command, owner: format!("{OWNERS}hptune") })
}

/// Submits a job.
#[utoipa::path(
    post,
    path = "/api/v1/jobs",
    tag = "jobs",
    request_body = SubmissionBody,
    responses(
        (status = 200, description = "The job waits in the queue", body = JobSummary),
    )
)]
pub(in crate::serve) async fn submit(State(shared): App, body: Body) -> Result<Answer, ApiError> {
    let submission = submission(read_object(body).await?)?;
    let sharing = shared.clone();
    let created = shared.stores.call(move |store| {
        let job = create::create(submission, &sharing.options, &sharing.access, store)?;
        let snapshot = sharing.snapshots.get(store, &job.id)?;
        Answer::new(&JobSummary::of(&snapshot.known, snapshot.is_led))
    });
    let created = created.await?;
    shared.launcher.wake();
    Ok(created)
}

/// Checks a submission and starts nothing.
#[utoipa::path(
    post,
    path = "/api/v1/jobs:check",
    tag = "jobs",
    request_body = SubmissionBody,
    responses(
        (status = 200, description = "It can be run", body = CheckedBody),
    )
)]
pub(in crate::serve) async fn check(State(shared): App, body: Body) -> Result<Answer, ApiError> {
    let submission = submission(read_object(body).await?)?;
    let sharing = shared.clone();
    let checked = shared.stores.call(move |store| {
        let dry = create::check(submission, &sharing.options, &sharing.access, store)?;
        Answer::new(&CheckedBody { ok: true, notes: dry.notes, job_id: dry.job_id })
    });
    checked.await
}

/// A job with its configuration and its trials.
#[utoipa::path(
    get,
    path = "/api/v1/jobs/{job}",
    tag = "jobs",
    params(
        ("job" = String, Path, description = "The name of the job"),
    ),
    responses(
        (status = 200, description = "The job", body = JobDetail),
    )
)]
pub(in crate::serve) async fn detail(
    State(shared): App,
    Path(job): Path<String>,
) -> Result<Answer, ApiError> {
    let sharing = shared.clone();
    let got = with_job(&shared, &job, move |_, snapshot| {
        let notes = notes::of_job(&snapshot.known.stored.job);
        let importance = sharing.importances.of(&snapshot);
        Answer::new(&JobDetail::of(&snapshot, notes, importance))
    });
    got.await
}

/// Has `call` run with a job as it stands now.
///
/// # Errors
/// There is no such job, or those of `call`.
pub(super) async fn with_job<T, F>(shared: &Arc<Shared>, job: &str, call: F) -> Result<T, ApiError>
where
    T: Send + 'static,
    F: FnOnce(&mut Store, Snapshot) -> Result<T, ApiError> + Send + 'static,
{
    check_name(job)?;
    let (sharing, job) = (shared.clone(), job.to_owned());
    let called = shared.stores.call(move |store| {
        let snapshot = sharing.snapshots.get(store, &job)?;
        call(store, snapshot)
    });
    called.await
}

/// Has `call`, which reads what trials wrote, run on a thread that may block: a slow disk holds up no request that only
/// needs the store. Where too many are at it for [`STORE_WAIT`], it does not run.
///
/// # Errors
/// Those of `call`; 503 where its turn did not come.
pub(super) async fn read_files<T, F>(shared: &Arc<Shared>, call: F) -> Result<T, ApiError>
where
    T: Send + 'static,
    F: FnOnce() -> Result<T, ApiError> + Send + 'static,
{
    let Ok(Ok(turn)) = timeout(STORE_WAIT, shared.reads.clone().acquire_owned()).await else {
        return Err(ApiError::unavailable("too many requests read the files of trials; try again"));
    };
    let called = tokio::task::spawn_blocking(move || {
        let _turn = turn;
        call()
    });
    called.await.unwrap_or_else(|_| {
        Err(ApiError::new(Code::Internal, "the request failed by a fault of this program"))
    })
}

/// The number of a trial in an address.
///
/// # Errors
/// It is none.
pub(super) fn trial_number(text: &str) -> Result<TrialId, ApiError> {
    let shown = || text.chars().take(20).collect::<String>();
    let number = text.parse().ok().and_then(TrialId::new);
    number.ok_or_else(|| ApiError::not_found(format!("there is no trial `{}`", shown())))
}

/// A trial of a job.
///
/// # Errors
/// There is none of this number.
pub(super) fn find(snapshot: &Snapshot, trial: TrialId) -> Result<&Trial, ApiError> {
    let stored = &snapshot.known.stored;
    let found = stored.trials.iter().find(|other| other.id == trial);
    found.ok_or_else(|| ApiError::not_found(format!("job `{}` has no trial {trial}", stored.job.id)))
}

/// `JOB:cancel`.
async fn call(State(shared): App, Path(call): Path<String>, body: Body) -> Result<Answer, ApiError> {
    match call.rsplit_once(':') {
        Some((job, "cancel")) => cancel_job(&shared, job, body).await,
        Some((_, verb)) => Err(ApiError::not_found(format!("a job has no method `{verb}`"))),
        None => Err(ApiError::new(Code::MethodNotAllowed, "this address does not take this method")),
    }
}

/// Has a job cancelled: its trials are told to end, and the job is over when they have.
#[utoipa::path(
    post,
    path = "/api/v1/jobs/{job}:cancel",
    tag = "jobs",
    params(
        ("job" = String, Path, description = "The name of the job"),
    ),
    responses(
        (status = 200, description = "It is asked for", body = Object),
    )
)]
pub(in crate::serve) async fn cancel_job(
    shared: &Arc<Shared>,
    job: &str,
    body: Body,
) -> Result<Answer, ApiError> {
    check_name(job)?;
    read_object(body).await?;
    cancel(shared, job.to_owned(), "a user of the service").await?;
    Answer::new(&json!({}))
}

/// `TRIAL:stop`, or a report of the trial's sidecar.
async fn call_trial(
    State(shared): App,
    Path((job, call)): Path<(String, String)>,
    headers: HeaderMap,
    body: Body,
) -> Result<Answer, ApiError> {
    match call.rsplit_once(':') {
        Some((trial, "stop")) => stop_trial(&shared, &job, trial, body).await,
        Some((_, verb)) => Err(ApiError::not_found(format!("a trial has no method `{verb}`"))),
        None => reports::report(&shared, &job, &call, &headers, body).await,
    }
}

/// Has one trial stopped: what it has reported is its result.
#[utoipa::path(
    post,
    path = "/api/v1/jobs/{job}/trials/{trial}:stop",
    tag = "jobs",
    params(
        ("job" = String, Path, description = "The name of the job"),
        ("trial" = u32, Path, description = "The number of the trial"),
    ),
    responses(
        (status = 200, description = "It is asked for", body = Object),
    )
)]
pub(in crate::serve) async fn stop_trial(
    shared: &Arc<Shared>,
    job: &str,
    trial: &str,
    body: Body,
) -> Result<Answer, ApiError> {
    let trial = trial_number(trial)?;
    read_object(body).await?;
    let stopped = with_job(shared, job, move |store, snapshot| {
        let stored = &snapshot.known.stored;
        let trial = find(&snapshot, trial)?.id;
        if !stored.is_over() && !snapshot.is_led {
            let message = format!(
                "no process leads job `{}`: none of its trials goes on; `hptune jobs resume {0}` goes on with it",
                stored.job.id
            );
            return Err(ApiError::new(Code::FailedPrecondition, message));
        }
        if let Some((holder, _)) = stored.holder.as_ref().filter(|_| snapshot.is_led) {
            holder.wake();
        }
        let kind = RequestKind::StopTrial(trial);
        store.request(&stored.job.id, kind, "a user of the service", Timestamp::now())?;
        Answer::new(&json!({}))
    });
    stopped.await
}
