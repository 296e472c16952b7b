//! Events of a job and of all jobs, as server-sent events.

use std::sync::Arc;

use axum::extract::{Path, State};
use axum::http::HeaderMap;
use axum::response::sse::{Event, KeepAlive, Sse};
use axum::response::{IntoResponse, Response};
use futures_util::stream::unfold;
use tokio::sync::OwnedSemaphorePermit;

use super::with_job;
use crate::serve::error::{ApiError, Code};
use crate::serve::feed::{MAX_STREAMS, Watching};
use crate::serve::{App, Shared};

/// The comment that keeps a connection open comes this often.
const KEEP_ALIVE: std::time::Duration = std::time::Duration::from_secs(15);

/// A place among the streams.
///
/// # Errors
/// There are too many.
pub(super) fn place(shared: &Shared) -> Result<OwnedSemaphorePermit, ApiError> {
    shared.streams.clone().try_acquire_owned().map_err(|_| {
        ApiError::new(
            Code::ResourceExhausted,
            format!("there are {MAX_STREAMS} streams of events; try again"),
        )
    })
}

/// A stream with its comments.
pub(super) fn keep_alive() -> KeepAlive {
    KeepAlive::new().interval(KEEP_ALIVE)
}

/// Changes of all jobs, as server-sent events.
#[utoipa::path(
    get,
    path = "/api/v1/events",
    tag = "jobs",
    responses(
        (status = 200, description = "Events `job` with a summary as their data", body = String, content_type = "text/event-stream"),
    )
)]
pub(in crate::serve) async fn of_all(State(shared): App, headers: HeaderMap) -> Result<Response, ApiError> {
    let place = place(&shared)?;
    let sharing = shared.clone();
    let watching = shared.stores.call(move |store| sharing.feed.watch_all(store)).await?;
    Ok(stream(shared, None, &headers, watching, place))
}

/// Changes of a job, as server-sent events.
#[utoipa::path(
    get,
    path = "/api/v1/jobs/{job}/events",
    tag = "jobs",
    params(
        ("job" = String, Path, description = "The name of the job"),
    ),
    responses(
        (status = 200, description = "Events `job`, `trial`, `points` and `note`", body = String, content_type = "text/event-stream"),
    )
)]
pub(in crate::serve) async fn of_job(
    State(shared): App,
    Path(job): Path<String>,
    headers: HeaderMap,
) -> Result<Response, ApiError> {
    let place = place(&shared)?;
    let sharing = shared.clone();
    let watching = with_job(&shared, &job, move |_, snapshot| Ok(sharing.feed.watch(&snapshot))).await?;
    Ok(stream(shared, Some(job), &headers, watching, place))
}

/// The events behind the last one that a client has seen.
fn stream(
    shared: Arc<Shared>,
    job: Option<String>,
    headers: &HeaderMap,
    watching: Watching,
    place: OwnedSemaphorePermit,
) -> Response {
    let behind = shared.feed.behind(headers.get("last-event-id").and_then(|id| id.to_str().ok()));
    let events =
        unfold((shared, job, behind, watching, place), async |(shared, job, behind, watching, place)| {
            let event = shared.feed.next(behind, job.as_deref()).await?;
            let sent =
                Event::default().id(shared.feed.id_of(event.number)).event(event.name).data(&*event.data);
            Some((Ok::<_, std::convert::Infallible>(sent), (shared, job, event.number, watching, place)))
        });
    Sse::new(events).keep_alive(keep_alive()).into_response()
}
