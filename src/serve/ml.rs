//! The jobs of `ml.googleapis.com` v1: `projects.jobs` create, get, list, cancel, patch.
//!
//! Source: the service's discovery document, and what its clients send: parameters of a query that are not known are
//! ignored, `cancel` may have no body, a list without jobs is `{}`.

use std::collections::BTreeMap;
use std::sync::Arc;

use axum::Router;
use axum::body::Body;
use axum::extract::{Path, Query, State};
use axum::routing::get;
use bytes::Bytes;
use jiff::Timestamp;
use serde_json::{Map, Value as Json, json};

use super::body::{Answer, read_object};
use super::error::{ApiError, Code};
use super::filter::{Filter, Filtered};
use super::launcher::Purpose;
use super::limits::{DEFAULT_PAGE, MAX_METRICS, MAX_METRICS_A_TRIAL, MAX_PAGE, MIN_METRICS_A_TRIAL};
use super::paging::{Page, page, token};
use super::{App, Queried, Shared, create, labels};
use crate::app::jobs::KnownJob;
use crate::edge::store::{Etag, JobHead, RequestKind, Store};
use crate::study::config::{OUTPUT_KEY, check_job_id};
use crate::study::{FinalState, State as JobState, training_output_of};

pub(super) fn routes() -> Router<Arc<Shared>> {
    Router::new()
        .route("/v1/projects/{project}/jobs", get(list).post(create_job))
        .route("/v1/projects/{project}/jobs/{job}", get(get_job).patch(patch).post(call))
}

/// projects.jobs.create: the body and the answer are a `Job`.
#[utoipa::path(
    post,
    path = "/v1/projects/{project}/jobs",
    tag = "ml.googleapis.com v1",
    params(
        ("project" = String, Path, description = "Any name: all projects have the same jobs"),
    ),
    request_body = Object,
    responses(
        (status = 200, description = "The job waits in the queue", body = Object),
    )
)]
pub(in crate::serve) async fn create_job(
    State(shared): App,
    Path(project): Path<String>,
    body: Body,
) -> Result<Answer, ApiError> {
    let submission = create::of_job(read_object(body).await?, &project)?;
    let sharing = shared.clone();
    let created = shared.stores.call(move |store| {
        let job = create::create(submission, &sharing.options, &sharing.access, store)?;
        let snapshot = sharing.snapshots.get(store, &job.id)?;
        Answer::new(&to_json(&snapshot.known, Metrics::All))
    });
    let created = created.await?;
    shared.launcher.wake();
    Ok(created)
}

/// projects.jobs.get.
#[utoipa::path(
    get,
    path = "/v1/projects/{project}/jobs/{job}",
    tag = "ml.googleapis.com v1",
    params(
        ("project" = String, Path, description = "Any name: all projects have the same jobs"),
        ("job" = String, Path, description = "The name of the job"),
    ),
    responses(
        (status = 200, description = "The `Job`", body = Object),
    )
)]
pub(in crate::serve) async fn get_job(
    State(shared): App,
    Path((_, job)): Path<(String, String)>,
) -> Result<Answer, ApiError> {
    check_name(&job)?;
    let sharing = shared.clone();
    let got = shared.stores.call(move |store| {
        let snapshot = sharing.snapshots.get(store, &job)?;
        let answer =
            snapshot.answer.get_or_init(|| to_json(&snapshot.known, Metrics::All).to_string().into());
        Ok(Answer::from(answer.clone()))
    });
    got.await
}

/// projects.jobs.list.
#[utoipa::path(
    get,
    path = "/v1/projects/{project}/jobs",
    tag = "ml.googleapis.com v1",
    params(
        ("project" = String, Path, description = "Any name: all projects have the same jobs"),
        ("pageSize" = Option<u64>, Query, description = "How many at most"),
        ("pageToken" = Option<String>, Query, description = "`nextPageToken` of the page before"),
        ("filter" = Option<String>, Query, description = "Terms such as `state:RUNNING AND jobId:rnn*`"),
    ),
    responses(
        (status = 200, description = "`jobs` and `nextPageToken`", body = Object),
    )
)]
pub(in crate::serve) async fn list(State(shared): App, Query(query): Queried) -> Result<Answer, ApiError> {
    let page = page(&query, DEFAULT_PAGE, MAX_PAGE)?;
    let filter = Filter::read(query.get("filter").map_or("", String::as_str))?;
    let sharing = shared.clone();
    let listed = shared.stores.call(move |store| {
        let (heads, next) = choose(store, &filter, &page)?;
        let row = |known: &KnownJob| to_json(known, Metrics::None).to_string();
        // One that cannot be read does not hide the others.
        let rows: Vec<_> =
            heads.iter().filter_map(|head| sharing.snapshots.row(store, head, row).ok()).collect();
        let mut fields = Vec::new();
        if !rows.is_empty() {
            fields.push(format!("\"jobs\":[{}]", rows.join(",")));
        }
        fields.extend(next.map(|token| format!("\"nextPageToken\":{}", Json::from(token))));
        Ok(Answer::from(Bytes::from(format!("{{{}}}", fields.join(",")))))
    });
    listed.await
}

/// The jobs of a page, the newest first, and the token of the next page.
pub(super) fn choose(
    store: &Store,
    filter: &Filter,
    page: &Page,
) -> Result<(Vec<JobHead>, Option<String>), ApiError> {
    let heads = store.heads()?.into_iter().filter(|head| !head.is_study);
    // Jobs that are older than the last one of the page before.
    let behind = |head: &JobHead| page.behind.is_none_or(|behind| head.number.get() < behind);
    let mut chosen = Vec::new();
    for head in heads.filter(behind) {
        let labels = match filter.has_labels() {
            true => labels_of(store, &head)?,
            false => BTreeMap::new(),
        };
        if filter.takes(&Listed { head: &head, labels }) {
            chosen.push(head);
            if chosen.len() > page.size {
                break;
            }
        }
    }
    let has_more = chosen.len() > page.size;
    chosen.truncate(page.size);
    let next = chosen.last().filter(|_| has_more).map(|last| token(last.number.get()));
    Ok((chosen, next))
}

/// A job that a filter looks at.
struct Listed<'h> {
    head: &'h JobHead,
    labels: BTreeMap<String, String>,
}

impl Filtered for Listed<'_> {
    fn job_id(&self) -> &str {
        &self.head.id
    }

    fn state(&self) -> &str {
        self.head.state.name()
    }

    fn create_time(&self) -> String {
        self.head.created_at.to_string()
    }

    fn label(&self, key: &str) -> Option<String> {
        self.labels.get(key).cloned()
    }
}

fn labels_of(store: &Store, head: &JobHead) -> Result<BTreeMap<String, String>, ApiError> {
    if let Some(labels) = &head.labels {
        return Ok(labels.clone());
    }
    let stored = store.job_without_curves(&head.id)?;
    let known = stored.and_then(|stored| KnownJob::read(store, stored).ok());
    Ok(known.map(|known| known.labels().clone()).unwrap_or_default())
}

/// `JOB:cancel` and what else is called on a job.
async fn call(
    State(shared): App,
    Path((_, call)): Path<(String, String)>,
    body: Body,
) -> Result<Answer, ApiError> {
    let Some((job, verb)) = call.rsplit_once(':') else {
        return Err(ApiError::new(Code::MethodNotAllowed, "this address does not take this method"));
    };
    check_name(job)?;
    match verb {
        "cancel" => cancel_job(&shared, job, body).await,
        "getIamPolicy" | "setIamPolicy" | "testIamPermissions" => Err(no_policies()),
        _ => Err(ApiError::not_found(format!("a job has no method `{verb}`"))),
    }
}

/// projects.jobs.cancel.
#[utoipa::path(
    post,
    path = "/v1/projects/{project}/jobs/{job}:cancel",
    tag = "ml.googleapis.com v1",
    params(
        ("project" = String, Path, description = "Any name: all projects have the same jobs"),
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
    read_object(body).await?;
    cancel(shared, job.to_owned(), "a client of the service").await?;
    Answer::new(&json!({}))
}

fn no_policies() -> ApiError {
    ApiError::new(Code::Unimplemented, "jobs have no IAM policies here: who has the token may do all")
}

/// Has a job cancelled. Where no process leads it, one is started for that.
pub(super) async fn cancel(
    shared: &Arc<Shared>,
    job: String,
    asked_by: &'static str,
) -> Result<(), ApiError> {
    let sharing = shared.clone();
    let asked = shared.stores.call(move |store| {
        let missing = || ApiError::not_found(format!("there is no job `{job}`"));
        let head = store.head(&job)?.filter(|head| !head.is_study).ok_or_else(missing)?;
        if head.is_held()
            && let Some((holder, _)) = &head.holder
        {
            // One that somebody stopped takes no request, and may hold the store's lock.
            holder.wake();
        }
        let state = store.request(&job, RequestKind::Cancel, asked_by, Timestamp::now())?;
        if !state.is_over() && !head.is_held() {
            sharing.launcher.start(store, &job, Purpose::Cancel)?;
        }
        Ok(())
    });
    asked.await
}

/// projects.jobs.patch: labels are replaced.
#[utoipa::path(
    patch,
    path = "/v1/projects/{project}/jobs/{job}",
    tag = "ml.googleapis.com v1",
    params(
        ("project" = String, Path, description = "Any name: all projects have the same jobs"),
        ("job" = String, Path, description = "The name of the job"),
        ("updateMask" = Option<String>, Query, description = "`labels`, or `labels,etag`"),
    ),
    request_body = Object,
    responses(
        (status = 200, description = "The `Job`", body = Object),
    )
)]
pub(in crate::serve) async fn patch(
    State(shared): App,
    Path((_, job)): Path<(String, String)>,
    Query(query): Queried,
    body: Body,
) -> Result<Answer, ApiError> {
    check_name(&job)?;
    let fields = read_object(body).await?;
    let mask: Vec<&str> = match query.get("updateMask").or_else(|| query.get("update_mask")) {
        Some(mask) => mask.split(',').map(str::trim).filter(|name| !name.is_empty()).collect(),
        None => vec!["labels"],
    };
    if let Some(other) = mask.iter().find(|name| !["labels", "etag"].contains(name)) {
        let what = format!("`{other}` cannot be changed; want labels, or labels,etag");
        return Err(ApiError::of_field("updateMask", what));
    }
    if !mask.contains(&"labels") {
        return Err(ApiError::of_field("updateMask", "names nothing that is changed; want labels"));
    }
    let labels = labels::read(fields.get("labels").unwrap_or(&Json::Null))?;
    let etag = match fields.get("etag").and_then(Json::as_str).filter(|etag| !etag.is_empty()) {
        None => None,
        Some(text) => {
            Some(text.parse().map(Etag).map_err(|_| ApiError::of_field("etag", "is none of ours"))?)
        }
    };
    let sharing = shared.clone();
    let patched = shared.stores.call(move |store| {
        if store.head(&job)?.is_none_or(|head| head.is_study) {
            return Err(ApiError::not_found(format!("there is no job `{job}`")));
        }
        store.set_labels(&job, &labels, etag)?;
        let snapshot = sharing.snapshots.get(store, &job)?;
        Answer::new(&to_json(&snapshot.known, Metrics::All))
    });
    patched.await
}

/// A name that no job can have is that of no job.
pub(super) fn check_name(job: &str) -> Result<(), ApiError> {
    // It may be as long as a request's head.
    let shown = || job.chars().take(80).collect::<String>();
    check_job_id(job).map_err(|_| ApiError::not_found(format!("there is no job `{}`", shown())))
}

/// Which values are under `allMetrics`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Metrics {
    All,
    None,
}

/// The service's `Job`.
fn to_json(known: &KnownJob, metrics: Metrics) -> Json {
    let stored = &known.stored;
    let (job, trials) = (&stored.job, &stored.trials);
    let mut fields = Map::new();
    fields.insert("jobId".into(), job.id.clone().into());
    fields.insert("trainingInput".into(), known.config.training_input.clone());
    fields.insert("createTime".into(), job.created_at.to_string().into());
    fields.extend(stored.started_at.map(|at| ("startTime".to_owned(), Json::from(at.to_string()))));
    fields.extend(stored.ended_at.map(|at| ("endTime".to_owned(), Json::from(at.to_string()))));
    fields.insert("state".into(), stored.state.name().into());
    let is_fault = !matches!(stored.state, JobState::Ended(FinalState::Succeeded | FinalState::Cancelled));
    if let Some(message) = stored.message.as_ref().filter(|_| is_fault) {
        fields.insert("errorMessage".into(), message.clone().into());
    }
    if !known.labels().is_empty() {
        fields.insert("labels".into(), json!(known.labels()));
    }
    fields.insert("etag".into(), etag_text(stored.etag).into());
    let most = match metrics {
        Metrics::None => 0,
        Metrics::All => (MAX_METRICS / trials.len().max(1)).clamp(MIN_METRICS_A_TRIAL, MAX_METRICS_A_TRIAL),
    };
    let output = training_output_of(known.spec(), trials, most);
    fields.insert("trainingOutput".into(), serde_json::to_value(output).unwrap_or_default());
    let mut ours = Map::new();
    ours.insert("jobDir".into(), job.job_dir.to_string_lossy().into());
    let is_cut = trials.iter().any(|trial| trial.curve.points().len() > most);
    if metrics == Metrics::All && is_cut {
        let note = format!(
            "allMetrics has {most} values of a trial at most, the first and the last among them; all are at \
             /api/v1/jobs/{}/trials/TRIAL/measurements",
            job.id
        );
        ours.insert("note".into(), note.into());
    }
    fields.insert(OUTPUT_KEY.into(), Json::Object(ours));
    Json::Object(fields)
}

/// An etag as the clients take it, for bytes in base64: digits are such a text where there are twelve of them.
fn etag_text(etag: Etag) -> String {
    format!("{:012}", etag.0)
}
