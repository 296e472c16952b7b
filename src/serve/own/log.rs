//! What trainers print: pieces of a log, or all that follows.

use std::fs::File;
use std::io::{self, Read, Seek, SeekFrom};
use std::path::PathBuf;
use std::sync::Arc;

use axum::extract::{Path, Query, State};
use axum::http::{HeaderName, header};
use axum::response::sse::{Event, Sse};
use axum::response::{IntoResponse, Response};
use futures_util::stream::unfold;
use serde_json::json;

use super::{events, find, trial_number, with_job};
use crate::edge::trial_files::TrialFiles;
use crate::limits::LOG_INTERVAL;
use crate::serve::error::{ApiError, Code};
use crate::serve::snapshots::Snapshot;
use crate::serve::{App, Queried, Shared};
use crate::units::TrialId;

/// How much of a log is given where nothing is asked for, and the most at once, in bytes.
const DEFAULT_BYTES: u64 = 64 << 10;
/// See [`DEFAULT_BYTES`].
const MAX_BYTES: u64 = 1 << 20;

const OFFSET: HeaderName = HeaderName::from_static("hptune-offset");
const NEXT_OFFSET: HeaderName = HeaderName::from_static("hptune-next-offset");

/// What a trial's trainer printed.
#[utoipa::path(
    get,
    path = "/api/v1/jobs/{job}/trials/{trial}/log",
    tag = "jobs",
    params(
        ("job" = String, Path, description = "The name of the job"),
        ("trial" = u32, Path, description = "The number of the trial"),
        ("replica" = Option<String>, Query, description = "The replica, such as worker-0; the main one where none is given"),
        ("offset" = Option<i64>, Query, description = "Where to begin, in bytes; below 0: from the end"),
        ("limit" = Option<u64>, Query, description = "How many bytes at most"),
        ("follow" = Option<bool>, Query, description = "true: as server-sent events `log` and at last `end`, until the trial is over"),
    ),
    responses(
        (status = 200, description = "The text; the headers Hptune-Offset and Hptune-Next-Offset say where it begins and ends", body = String, content_type = "text/plain"),
    )
)]
pub(in crate::serve) async fn log(
    State(shared): App,
    Path((job, trial)): Path<(String, String)>,
    Query(query): Queried,
) -> Result<Response, ApiError> {
    let trial = trial_number(&trial)?;
    let offset = match query.get("offset").filter(|text| !text.is_empty()).map(|text| text.parse::<i64>()) {
        None => 0,
        Some(Ok(offset)) => offset,
        Some(Err(_)) => {
            return Err(ApiError::of_field("offset", "want a number of bytes; below 0: from the end"));
        }
    };
    let limit = super::curves::number(&query, "limit", DEFAULT_BYTES as usize, MAX_BYTES as usize)? as u64;
    let replica = query.get("replica").filter(|name| !name.is_empty()).cloned();
    let path =
        with_job(&shared, &job, move |_, snapshot| path_of(&snapshot, trial, replica.as_deref())).await?;
    if query.get("follow").is_some_and(|follow| follow == "true") {
        return follow(shared, job, trial, path, offset);
    }
    let read = tokio::task::spawn_blocking(move || read(&path, offset, limit)).await;
    let (from, bytes) = read.map_err(|_| fault())?.map_err(|e| unreadable(&e))?;
    let next = from + bytes.len() as u64;
    let headers = [
        (header::CONTENT_TYPE, "text/plain; charset=utf-8".to_owned()),
        (header::X_CONTENT_TYPE_OPTIONS, "nosniff".to_owned()),
        (OFFSET, from.to_string()),
        (NEXT_OFFSET, next.to_string()),
    ];
    Ok((headers, bytes).into_response())
}

fn fault() -> ApiError {
    ApiError::new(Code::Internal, "the log was not read by a fault of this program")
}

fn unreadable(e: &io::Error) -> ApiError {
    ApiError::new(Code::FailedPrecondition, format!("the log cannot be read: {e}"))
}

/// The log of a replica of a trial, by its name; of the main one where none is given.
fn path_of(snapshot: &Snapshot, trial: TrialId, replica: Option<&str>) -> Result<PathBuf, ApiError> {
    let trial = find(snapshot, trial)?;
    let files = TrialFiles::of(&snapshot.known.stored.job, trial.id);
    let Some(name) = replica else { return Ok(files.main_log()) };
    let replicas = snapshot.known.config.cluster.replicas();
    match replicas.iter().find(|replica| replica.to_string() == name) {
        Some(replica) => Ok(files.log(*replica)),
        None => {
            let names: Vec<String> = replicas.iter().map(ToString::to_string).collect();
            Err(ApiError::of_field("replica", format!("want one of {}", names.join(", "))))
        }
    }
}

/// So many bytes of a log from an offset on, which counts from the end where it is below 0, and where they begin. A log
/// that is not there yet is empty.
fn read(path: &PathBuf, offset: i64, limit: u64) -> io::Result<(u64, Vec<u8>)> {
    let mut file = match File::open(path) {
        Err(e) if e.kind() == io::ErrorKind::NotFound => return Ok((0, Vec::new())),
        file => file?,
    };
    let length = file.metadata()?.len();
    let from = match u64::try_from(offset) {
        Ok(offset) => offset.min(length),
        Err(_) => length.saturating_sub(offset.unsigned_abs()),
    };
    file.seek(SeekFrom::Start(from))?;
    let mut bytes = Vec::new();
    file.take(limit).read_to_end(&mut bytes)?;
    Ok((from, bytes))
}

/// Where a stream of a log is.
struct Following {
    shared: Arc<Shared>,
    job: String,
    trial: TrialId,
    path: PathBuf,
    offset: i64,
    has_ended: bool,
}

/// A log as server-sent events, until its trial is over.
fn follow(
    shared: Arc<Shared>,
    job: String,
    trial: TrialId,
    path: PathBuf,
    offset: i64,
) -> Result<Response, ApiError> {
    let place = events::place(&shared)?;
    let following = Following { shared, job, trial, path, offset, has_ended: false };
    let pieces = unfold((following, place), async |(mut following, place)| {
        let event = following.next().await?;
        Some((Ok::<_, std::convert::Infallible>(event), (following, place)))
    });
    Ok(Sse::new(pieces).keep_alive(events::keep_alive()).into_response())
}

impl Following {
    /// The next piece, or the end; nothing follows that.
    async fn next(&mut self) -> Option<Event> {
        if self.has_ended {
            return None;
        }
        loop {
            // Asked for before the look: what was printed by then is read.
            let is_active = with_job(&self.shared, &self.job, {
                let trial = self.trial;
                move |_, snapshot| Ok(!snapshot.known.stored.is_over() && find(&snapshot, trial)?.is_active())
            });
            // A store that is busy says nothing of the trial.
            let is_active = is_active.await.unwrap_or(true);
            let (path, offset) = (self.path.clone(), self.offset);
            let read = tokio::task::spawn_blocking(move || read(&path, offset, DEFAULT_BYTES)).await.ok()?;
            let (from, bytes) = read.ok()?;
            let n_whole = if is_active { whole(&bytes) } else { bytes.len() };
            if let Some(text) = bytes.get(..n_whole).filter(|text| !text.is_empty()) {
                self.offset = i64::try_from(from + n_whole as u64).unwrap_or(i64::MAX);
                let piece = json!({"offset": from, "text": String::from_utf8_lossy(text)});
                return Some(Event::default().event("log").data(piece.to_string()));
            }
            if !is_active {
                self.has_ended = true;
                return Some(Event::default().event("end").data("{}"));
            }
            self.offset = i64::try_from(from).unwrap_or(i64::MAX);
            tokio::time::sleep(LOG_INTERVAL).await;
        }
    }
}

/// How many bytes come before a character that is cut off.
fn whole(bytes: &[u8]) -> usize {
    match std::str::from_utf8(bytes) {
        Err(e) if e.error_len().is_none() => e.valid_up_to(),
        _ => bytes.len(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_piece_of_a_log_is_read_from_either_end() {
        let place = tempfile::tempdir().expect("a directory");
        let path = place.path().join("log");
        let check = |offset, limit, expected: (u64, &str)| {
            let (from, bytes) = read(&path, offset, limit).expect("it is read");
            assert_eq!((from, String::from_utf8_lossy(&bytes).as_ref()), expected);
        };
        check(5, 10, (0, ""));
        std::fs::write(&path, "0123456789").expect("it is written");
        check(0, 4, (0, "0123"));
        check(4, 100, (4, "456789"));
        check(100, 100, (10, ""));
        check(-3, 100, (7, "789"));
        check(-100, 2, (0, "01"));
        check(i64::MIN, 2, (0, "01"));
        assert_eq!(whole("aé".as_bytes()), 3);
        assert_eq!(whole(&"aé".as_bytes()[..2]), 1);
        assert_eq!(whole(b"a\xff"), 2);
    }
}
