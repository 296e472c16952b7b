//! Uploads to buckets that are directories here, as Cloud Storage takes them: what `gcloud` does with a trainer's package.
//!
//! Source: the JSON API's reference, `objects.insert`: `uploadType` media, multipart (a JSON object and the bytes, as
//! `multipart/related`) and resumable (a session that takes the bytes in pieces).

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::io::{ErrorKind, Read, Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant, UNIX_EPOCH};

use axum::Router;
use axum::body::Body;
use axum::extract::{Path as Named, Query, State};
use axum::http::{HeaderMap, HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use bytes::Bytes;
use http_body_util::BodyExt;
use serde_json::{Value as Json, json};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::time::timeout;

use super::body::Answer;
use super::error::{ApiError, Code};
use super::{App, Queried, Shared, buckets, lock};

/// The longest upload in one request, in bytes, which is held in memory: clients send up to 8 MiB so.
const MAX_UPLOAD_BYTES: usize = 16 << 20;

/// The longest upload in pieces, in bytes: a trainer's package with its data.
const MAX_OBJECT_BYTES: u64 = 1 << 30;

/// The longest piece of such an upload, in bytes, which is held in memory; clients send 1 to 100 MiB.
const MAX_PIECE_BYTES: usize = 128 << 20;

/// How long a body may take to arrive.
const UPLOAD_TIMEOUT: Duration = Duration::from_secs(600);

/// How many uploads may be held in memory at once: until they are written.
const MAX_UPLOADS: usize = 4;

/// How many uploads in pieces may be open at once, and for how long without a piece.
const MAX_SESSIONS: usize = 64;
/// See [`MAX_SESSIONS`].
const SESSION_TIMEOUT: Duration = Duration::from_secs(3_600);

/// What files begin with that are not whole yet.
const PART: &str = ".hptune-upload-";

/// Uploads that are under way.
#[derive(Debug)]
pub(super) struct Uploads {
    places: Arc<Semaphore>,
    sessions: Mutex<BTreeMap<String, Arc<Mutex<Session>>>>,
}

/// An upload in pieces.
#[derive(Debug)]
struct Session {
    bucket: String,
    name: String,
    /// Where it will be.
    path: PathBuf,
    /// Where its pieces are.
    part: PathBuf,
    n_bytes: u64,
    used: Instant,
}

impl Uploads {
    /// None. What uploads left in these directories that broke off with another process is removed.
    pub(super) fn new<'d>(directories: impl Iterator<Item = &'d PathBuf>) -> Self {
        directories.for_each(|directory| sweep(directory));
        Self { places: Arc::new(Semaphore::new(MAX_UPLOADS)), sessions: Mutex::default() }
    }
}

/// Removes what uploads left that broke off: nothing was written to it for longer than one waits for a piece.
fn sweep(directory: &Path) {
    for entry in fs::read_dir(directory).into_iter().flatten().flatten() {
        let is_part = entry.file_name().to_string_lossy().starts_with(PART);
        let written = entry.metadata().and_then(|metadata| metadata.modified()).ok().filter(|_| is_part);
        if written.and_then(|at| at.elapsed().ok()).is_some_and(|age| age > 2 * SESSION_TIMEOUT) {
            let _ = fs::remove_file(entry.path());
        }
    }
}

pub(super) fn routes() -> Router<Arc<Shared>> {
    Router::new()
        .route("/upload/storage/v1/b/{bucket}/o", post(upload).put(piece))
        .route("/storage/v1/b/{bucket}", get(bucket))
        .route("/storage/v1/b/{bucket}/o/{object}", get(object))
}

async fn upload(
    State(shared): App,
    Named(bucket): Named<String>,
    Query(query): Queried,
    headers: HeaderMap,
    body: Body,
) -> Result<Response, ApiError> {
    let directory = buckets::directory(&shared.options, &bucket)?.to_owned();
    let name = query.get("name").cloned();
    let kind = query.get("uploadType").map_or("media", String::as_str);
    let (read, place) = read(&shared, body, MAX_UPLOAD_BYTES).await?;
    let (name, bytes) = match kind {
        "media" => (name, read),
        "multipart" => {
            let content_type = headers.get(header::CONTENT_TYPE).and_then(|kind| kind.to_str().ok());
            let (described, bytes) = parts(content_type.unwrap_or_default(), &read)?;
            (name.or_else(|| name_in(&described)), bytes)
        }
        "resumable" => {
            let described = serde_json::from_slice(&read).unwrap_or_default();
            let name = name.or_else(|| name_in(&described));
            return blocking(move || begin(&shared, bucket, &directory, name, &headers)).await;
        }
        other => {
            return Err(ApiError::of_field(
                "uploadType",
                format!("got `{other}`, want media, multipart or resumable"),
            ));
        }
    };
    let name = name.ok_or_else(|| ApiError::of_field("name", "missing"))?;
    let written = blocking(move || {
        let _place = place;
        let path = path_of(&directory, &name)?;
        let failed = |e| failed(&path, &e);
        let part = part_in(&directory).map_err(failed)?;
        let write = || -> std::io::Result<()> {
            let mut file = File::create_new(&part)?;
            file.write_all(&bytes)?;
            finish(&file, &part, &path)
        };
        write().inspect_err(|_| drop(fs::remove_file(&part))).map_err(failed)?;
        describe(&bucket, &name, &path)
    });
    Ok(Answer::new(&written.await?)?.into_response())
}

/// Has `call`, which uses files, run on a thread that may block. It runs to its end, also where the client is gone.
async fn blocking<T, F>(call: F) -> Result<T, ApiError>
where
    T: Send + 'static,
    F: FnOnce() -> Result<T, ApiError> + Send + 'static,
{
    tokio::task::spawn_blocking(call).await.map_err(|_| fault())?
}

/// Where an object is.
fn path_of(directory: &Path, name: &str) -> Result<PathBuf, ApiError> {
    if name.split('/').any(|part| part.starts_with(PART)) {
        return Err(ApiError::of_field("name", "is that of an upload that is not whole"));
    }
    buckets::below(directory, name)
}

/// A file cannot be used: for now, or because others are where it would be.
fn failed(path: &Path, error: &std::io::Error) -> ApiError {
    let message = format!("{}: {error}", path.display());
    match error.kind() {
        ErrorKind::NotADirectory
        | ErrorKind::IsADirectory
        | ErrorKind::AlreadyExists
        | ErrorKind::DirectoryNotEmpty => ApiError::new(Code::FailedPrecondition, message),
        _ => ApiError::unavailable(message),
    }
}

fn fault() -> ApiError {
    ApiError::new(Code::Internal, "the upload failed by a fault of this program")
}

/// The whole body of an upload, where not too many are held already, with its place among those that are.
async fn read(shared: &Shared, body: Body, most: usize) -> Result<(Bytes, OwnedSemaphorePermit), ApiError> {
    let Ok(place) = shared.uploads.places.clone().try_acquire_owned() else {
        return Err(ApiError::new(
            Code::ResourceExhausted,
            format!("{MAX_UPLOADS} uploads are under way; try again"),
        ));
    };
    match timeout(UPLOAD_TIMEOUT, http_body_util::Limited::new(body, most).collect()).await {
        Ok(Ok(read)) => Ok((read.to_bytes(), place)),
        Ok(Err(e)) if e.is::<http_body_util::LengthLimitError>() => {
            Err(ApiError::new(Code::TooLarge, format!("the upload is longer than {most} bytes")))
        }
        Ok(Err(e)) => Err(ApiError::new(Code::InvalidArgument, format!("the upload broke off: {e}"))),
        Err(_) => Err(ApiError::new(Code::InvalidArgument, "the upload took too long")),
    }
}

fn name_in(described: &Json) -> Option<String> {
    Some(described.get("name")?.as_str()?.to_owned())
}

/// The description and the bytes of a `multipart/related` body.
fn parts(content_type: &str, body: &Bytes) -> Result<(Json, Bytes), ApiError> {
    let fail = || {
        ApiError::new(Code::InvalidArgument, "the body is no multipart/related of a JSON object and bytes")
    };
    let boundary = content_type.split(';').find_map(|parameter| {
        let (name, value) = parameter.split_once('=')?;
        name.trim().eq_ignore_ascii_case("boundary").then(|| value.trim())
    });
    // Google's clients put it between single quotes, which could be part of it.
    let boundary = boundary.map(|boundary| boundary.trim_matches(['"', '\'']));
    let boundary = boundary.filter(|boundary| (1..=70).contains(&boundary.len())).ok_or_else(fail)?;
    let line = format!("--{boundary}");
    // The first part begins at the first line, each further one behind the end of the one before.
    let first = find(body, line.as_bytes(), 0).ok_or_else(fail)? + line.len();
    let between = format!("\r\n--{boundary}");
    let alone = format!("\n--{boundary}");
    let end_of = |from: usize| {
        find(body, between.as_bytes(), from)
            .map(|at| (at, at + between.len()))
            .or_else(|| find(body, alone.as_bytes(), from).map(|at| (at, at + alone.len())))
    };
    let content = |from: usize| {
        let crlf = find(body, b"\r\n\r\n", from).map(|at| at + 4);
        let lf = find(body, b"\n\n", from).map(|at| at + 2);
        crlf.into_iter().chain(lf).min()
    };
    let (description_at, (description_end, second)) =
        content(first).and_then(|at| Some((at, end_of(at)?))).ok_or_else(fail)?;
    let bytes_at = content(second).ok_or_else(fail)?;
    // The last line is looked for from the end: the bytes may hold anything.
    let last = body
        .windows(alone.len())
        .rposition(|window| window == alone.as_bytes())
        .filter(|at| *at + 1 >= bytes_at)
        .ok_or_else(fail)?;
    let bytes_end = if last > bytes_at && body.get(last - 1) == Some(&b'\r') { last - 1 } else { last };
    let described =
        body.get(description_at..description_end).and_then(|text| serde_json::from_slice(text).ok());
    let bytes_end = bytes_end.max(bytes_at);
    Ok((described.ok_or_else(fail)?, body.slice(bytes_at..bytes_end)))
}

fn find(body: &[u8], wanted: &[u8], from: usize) -> Option<usize> {
    body.get(from..)?.windows(wanted.len()).position(|window| window == wanted).map(|at| from + at)
}

/// A file for the bytes of an upload, in the bucket's directory.
fn part_in(directory: &Path) -> std::io::Result<PathBuf> {
    Ok(directory.join(format!("{PART}{}", random_id()?)))
}

fn random_id() -> std::io::Result<String> {
    let mut bytes = [0; 16];
    File::open("/dev/urandom")?.read_exact(&mut bytes)?;
    Ok(bytes.iter().map(|byte| format!("{byte:02x}")).collect())
}

/// Gives a file that is whole its name.
fn finish(file: &File, part: &Path, path: &Path) -> std::io::Result<()> {
    file.sync_all()?;
    if let Some(parent) = path.parent() {
        fs::create_dir_all(parent)?;
    }
    fs::rename(part, path)
}

/// An object as the service describes it.
fn describe(bucket: &str, name: &str, path: &Path) -> Result<Json, ApiError> {
    let missing = || ApiError::not_found(format!("there is no object `{name}` in the bucket `{bucket}`"));
    let metadata = path.metadata().map_err(|e| match e.kind() {
        ErrorKind::NotFound | ErrorKind::NotADirectory => missing(),
        _ => failed(path, &e),
    })?;
    if !metadata.is_file() {
        return Err(missing());
    }
    let modified =
        metadata.modified().ok().and_then(|at| at.duration_since(UNIX_EPOCH).ok()).unwrap_or_default();
    let at = jiff::Timestamp::try_from(UNIX_EPOCH + modified).unwrap_or_default().to_string();
    Ok(json!({
        "kind": "storage#object",
        "id": format!("{bucket}/{name}/{}", modified.as_micros()),
        "name": name,
        "bucket": bucket,
        "size": metadata.len().to_string(),
        "generation": modified.as_micros().to_string(),
        "metageneration": "1",
        "contentType": "application/octet-stream",
        "timeCreated": at,
        "updated": at,
    }))
}

async fn bucket(State(shared): App, Named(bucket): Named<String>) -> Result<Answer, ApiError> {
    buckets::directory(&shared.options, &bucket)?;
    Answer::new(
        &json!({"kind": "storage#bucket", "id": bucket, "name": bucket, "location": "LOCAL", "storageClass": "STANDARD"}),
    )
}

async fn object(
    State(shared): App,
    Named((bucket, name)): Named<(String, String)>,
    Query(query): Queried,
) -> Result<Response, ApiError> {
    let directory = buckets::directory(&shared.options, &bucket)?.to_owned();
    let is_media = query.get("alt").is_some_and(|alt| alt == "media");
    let got = blocking(move || {
        let path = path_of(&directory, &name)?;
        let described = describe(&bucket, &name, &path)?;
        if !is_media {
            return Ok(Answer::new(&described)?.into_response());
        }
        let (mut bytes, most) = (Vec::new(), MAX_UPLOAD_BYTES);
        let read = File::open(&path).and_then(|file| file.take(most as u64 + 1).read_to_end(&mut bytes));
        read.map_err(|e| failed(&path, &e))?;
        if bytes.len() > most {
            let message = format!("the object `{name}` is longer than {most} bytes, more than is handed out");
            return Err(ApiError::new(Code::TooLarge, message));
        }
        Ok(([(header::CONTENT_TYPE, "application/octet-stream")], bytes).into_response())
    });
    got.await
}

/// Begins an upload in pieces.
fn begin(
    shared: &Shared,
    bucket: String,
    directory: &Path,
    name: Option<String>,
    headers: &HeaderMap,
) -> Result<Response, ApiError> {
    let name = name.ok_or_else(|| ApiError::of_field("name", "missing"))?;
    let path = path_of(directory, &name)?;
    let length =
        headers.get("x-upload-content-length").and_then(|length| length.to_str().ok()?.parse::<u64>().ok());
    if length.is_some_and(|length| length > MAX_OBJECT_BYTES) {
        return Err(ApiError::new(
            Code::TooLarge,
            format!("the object is longer than {MAX_OBJECT_BYTES} bytes"),
        ));
    }
    let part = part_in(directory).map_err(|e| failed(directory, &e))?;
    File::create_new(&part).map_err(|e| failed(&part, &e))?;
    let id = part.to_string_lossy().rsplit(PART).next().unwrap_or_default().to_owned();
    let mut sessions = lock(&shared.uploads.sessions);
    sessions.retain(|_, session| {
        // One that is locked takes a piece.
        let Ok(session) = session.try_lock() else { return true };
        let is_used = session.used.elapsed() < SESSION_TIMEOUT;
        if !is_used {
            let _ = fs::remove_file(&session.part);
        }
        is_used
    });
    if sessions.len() >= MAX_SESSIONS {
        let _ = fs::remove_file(&part);
        return Err(ApiError::new(
            Code::ResourceExhausted,
            format!("{MAX_SESSIONS} uploads are open; try again"),
        ));
    }
    let host = headers.get(header::HOST).and_then(|host| host.to_str().ok()).unwrap_or_default();
    let scheme = if shared.options.tls.is_some() { "https" } else { "http" };
    let location =
        format!("{scheme}://{host}/upload/storage/v1/b/{bucket}/o?uploadType=resumable&upload_id={id}");
    let session = Session { bucket, name, path, part, n_bytes: 0, used: Instant::now() };
    sessions.insert(id, Arc::new(Mutex::new(session)));
    let location = HeaderValue::from_str(&location).map_err(|_| fault())?;
    Ok((StatusCode::OK, [(header::LOCATION, location)]).into_response())
}

/// Takes a piece of an upload, or says how far it is.
async fn piece(
    State(shared): App,
    Query(query): Queried,
    headers: HeaderMap,
    body: Body,
) -> Result<Response, ApiError> {
    let missing = || ApiError::not_found("there is no such upload");
    let id = query.get("upload_id").cloned().ok_or_else(missing)?;
    let range = headers.get(header::CONTENT_RANGE).and_then(|range| range.to_str().ok()).map(str::to_owned);
    let (bytes, place) = read(&shared, body, MAX_PIECE_BYTES).await?;
    let taken = blocking(move || {
        let _place = place;
        let session = lock(&shared.uploads.sessions).get(&id).cloned().ok_or_else(missing)?;
        // One piece after the other.
        let mut session = lock(&session);
        if session.take(range.as_deref(), &bytes)? {
            lock(&shared.uploads.sessions).remove(&id);
            return Ok(
                Answer::new(&describe(&session.bucket, &session.name, &session.path)?)?.into_response()
            );
        }
        let n_bytes = session.n_bytes;
        let mut answer = StatusCode::PERMANENT_REDIRECT.into_response();
        if n_bytes > 0 {
            let range = HeaderValue::from_str(&format!("bytes=0-{}", n_bytes - 1)).map_err(|_| fault())?;
            answer.headers_mut().insert(header::RANGE, range);
        }
        Ok(answer)
    });
    taken.await
}

impl Session {
    /// Takes a piece; true: it is whole.
    fn take(&mut self, range: Option<&str>, bytes: &[u8]) -> Result<bool, ApiError> {
        self.used = Instant::now();
        let (start, total) = match range {
            None => (Some(0), Some(bytes.len() as u64)),
            Some(range) => {
                content_range(range).ok_or_else(|| ApiError::of_field("Content-Range", "cannot be read"))?
            }
        };
        let path = self.part.clone();
        let failed = |e: std::io::Error| failed(&path, &e);
        if let Some(start) = start {
            let end = start.saturating_add(bytes.len() as u64);
            if start > self.n_bytes || end > MAX_OBJECT_BYTES {
                let what = format!("the piece begins at {start}, and {} bytes are there", self.n_bytes);
                return Err(ApiError::of_field("Content-Range", what));
            }
            let mut file = File::options().write(true).open(&self.part).map_err(failed)?;
            file.seek(SeekFrom::Start(start)).and_then(|_| file.write_all(bytes)).map_err(failed)?;
            self.n_bytes = self.n_bytes.max(end);
        }
        if total != Some(self.n_bytes) {
            return Ok(false);
        }
        let file = File::options().write(true).open(&self.part).map_err(failed)?;
        finish(&file, &self.part, &self.path).map_err(failed)?;
        Ok(true)
    }
}

/// `bytes 0-99/1000`, `bytes 0-99/*` or `bytes */1000`: where a piece begins, and how long all is.
fn content_range(text: &str) -> Option<(Option<u64>, Option<u64>)> {
    let (range, total) = text.strip_prefix("bytes ")?.split_once('/')?;
    let total = if total == "*" { None } else { Some(total.parse().ok()?) };
    let start = if range == "*" { None } else { Some(range.split_once('-')?.0.parse().ok()?) };
    Some((start, total))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_body_of_two_parts_is_taken_apart() {
        #[track_caller]
        fn check(content_type: &str, body: &[u8], expected: Option<&[u8]>) {
            let read = parts(content_type, &Bytes::copy_from_slice(body)).ok();
            assert_eq!(read.as_ref().map(|(_, bytes)| &**bytes), expected);
            assert!(read.is_none_or(|(described, _)| described["size"] == "3"));
        }
        let kind = "multipart/related; boundary='==b=='";
        let head = b"--==b==\r\nContent-Type: application/json\r\n\r\n{\"size\":\"3\"}\r\n--==b==\r\nContent-Type: x\r\n\r\n";
        check(kind, &[&head[..], b"a\r\n--\r\n--==b==--"].concat(), Some(b"a\r\n--"));
        check(
            kind,
            &[&head[..], b"a\r\n--==b== not the end\r\n--==b==--\r\n"].concat(),
            Some(b"a\r\n--==b== not the end"),
        );
        check(kind, &[&head[..], b"\r\n--==b==--"].concat(), Some(b""));
        check(kind, &[&head[..], b"cut off"].concat(), None);
        check("multipart/related", b"", None);
        check(kind, b"", None);
        let unix =
            b"--b\nContent-Type: application/json\n\n{\"size\":\"3\"}\n--b\nContent-Type: x\n\nabc\n--b--";
        check("multipart/related; boundary=\"b\"", unix, Some(b"abc"));
    }

    #[test]
    fn what_an_earlier_process_left_is_removed_when_it_is_old() {
        let place = tempfile::tempdir().expect("a directory");
        let long_ago = std::time::SystemTime::now() - 3 * SESSION_TIMEOUT;
        for (name, is_old) in [(".hptune-upload-old", true), (".hptune-upload-new", false), ("old", true)] {
            let file = File::create_new(place.path().join(name)).expect("it is made");
            if is_old {
                file.set_modified(long_ago).expect("it is set");
            }
        }
        drop(Uploads::new([place.path().to_owned(), place.path().join("absent")].iter()));
        let is_there = |name: &str| place.path().join(name).exists();
        assert!(!is_there(".hptune-upload-old") && is_there(".hptune-upload-new") && is_there("old"));
    }

    #[test]
    fn ranges_are_read() {
        #[track_caller]
        fn check(text: &str, expected: Option<(Option<u64>, Option<u64>)>) {
            assert_eq!(content_range(text), expected);
        }
        check("bytes 0-99/1000", Some((Some(0), Some(1000))));
        check("bytes 5-9/*", Some((Some(5), None)));
        check("bytes */1000", Some((None, Some(1000))));
        check("bytes */*", Some((None, None)));
        check("bytes", None);
        check("bytes -1-5/3", None);
    }
}
