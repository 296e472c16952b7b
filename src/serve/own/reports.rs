//! The sidecar's way in: what a watcher delivers of a trial (`docs/watch.md`).

use std::sync::Arc;

use axum::body::Body;
use axum::http::HeaderMap;
use serde::Serialize;
use serde_json::Value as Json;
use utoipa::ToSchema;
use utoipa::openapi::Object;

use super::trial_number;
use crate::edge::store::{NewReport, Reportable};
use crate::report::reported::ReportedLine;
use crate::report::watch::VERSION;
use crate::serve::Shared;
use crate::serve::body::{Answer, read_object};
use crate::serve::error::ApiError;
use crate::serve::limits::{MAX_KEY_BYTES, MAX_REPORTED_LINES, REPORT_WITHIN};
use crate::serve::ml::check_name;

/// What a watcher learns when it has delivered lines: they are durable, and whether the trial goes on.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(in crate::serve) struct Taken {
    /// How many lines were taken.
    accepted: usize,
    /// The trainer is to be stopped.
    #[serde(skip_serializing_if = "Option::is_none")]
    stop: Option<Stop>,
    /// When the watcher is to report again, with or without lines.
    next_within_seconds: u64,
}

/// Why a trainer is to be stopped.
#[derive(Debug, Serialize, ToSchema)]
pub(in crate::serve) struct Stop {
    reason: String,
}

/// What a watcher delivers.
#[derive(ToSchema)]
#[expect(dead_code, reason = "it describes the body of a request")]
pub(in crate::serve) struct Report {
    /// 1.
    version: u32,
    /// The lines, as `docs/watch.md` has them; none where a watcher only asks whether its trial goes on.
    lines: Vec<Object>,
}

/// Takes what a sidecar reports of its trial: the lines of `hptune watch`, once however often they come.
#[utoipa::path(
    post,
    path = "/api/v1/jobs/{job}/trials/{trial}",
    tag = "jobs",
    params(
        ("job" = String, Path, description = "The name of the job"),
        ("trial" = u32, Path, description = "The number of the trial"),
        ("Idempotency-Key" = Option<String>, Header, description = "Tells these lines apart from all others; needed where there are any"),
    ),
    request_body = Report,
    responses(
        (status = 200, description = "The lines are durable", body = Taken),
    )
)]
pub(in crate::serve) async fn report(
    shared: &Arc<Shared>,
    job: &str,
    trial: &str,
    headers: &HeaderMap,
    body: Body,
) -> Result<Answer, ApiError> {
    check_name(job)?;
    let trial = trial_number(trial)?;
    let mut body = read_object(body).await?;
    match body.remove("version").as_ref().map(Json::as_u64) {
        Some(Some(version)) if version == u64::from(VERSION) => {}
        _ => return Err(ApiError::of_field("version", format!("want {VERSION}"))),
    }
    let Some(Json::Array(lines)) = body.remove("lines") else {
        return Err(ApiError::of_field("lines", "want a list of lines"));
    };
    if lines.len() > MAX_REPORTED_LINES {
        return Err(ApiError::of_field("lines", format!("want at most {MAX_REPORTED_LINES}")));
    }
    ReportedLine::read_all(&lines).map_err(|e| ApiError::of_field("lines", e))?;
    let key = headers.get("idempotency-key").and_then(|key| key.to_str().ok()).unwrap_or_default();
    if key.len() > MAX_KEY_BYTES || (key.is_empty() && !lines.is_empty()) {
        let message = format!("want a header Idempotency-Key of 1 to {MAX_KEY_BYTES} bytes");
        return Err(ApiError::of_field("", message));
    }
    let accepted = lines.len();
    let lines = Json::Array(lines).to_string();
    let standing = shared.reporter.store(job, NewReport { trial, key: key.to_owned(), lines }).await?;
    let stop = stop(&standing);
    Answer::new(&Taken { accepted, stop, next_within_seconds: REPORT_WITHIN.as_secs() })
}

fn stop(trial: &Reportable) -> Option<Stop> {
    let reason = match &trial.stop {
        Some(decision) => decision.reason.to_string(),
        None if trial.is_cancelled => "the job is cancelled".to_owned(),
        None if trial.is_over => "the trial is over".to_owned(),
        None => return None,
    };
    Some(Stop { reason })
}
