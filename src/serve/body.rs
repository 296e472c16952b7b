//! Bodies: what a request brings, and what an answer is made of.

use std::io::Write;

use axum::body::{Body, to_bytes};
use axum::extract::Request;
use axum::http::{HeaderValue, StatusCode, header};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use bytes::Bytes;
use flate2::Compression;
use flate2::write::GzEncoder;
use http_body_util::BodyExt;
use hyper::body::Body as _;
use serde::Serialize;
use serde_json::Value as Json;
use tokio::time::timeout;

use super::error::{ApiError, Code};
use super::limits::{BODY_TIMEOUT, MAX_BODY_BYTES, MAX_DRAINED_BYTES, MIN_COMPRESSED_BYTES};

/// An answer in JSON. Made on the thread that blocks, where it may be large.
#[derive(Debug)]
pub(super) struct Answer(Bytes);

impl Answer {
    pub(super) fn new<T: Serialize + ?Sized>(value: &T) -> Result<Self, ApiError> {
        let text = serde_json::to_vec(value);
        text.map(|text| Self(text.into())).map_err(|e| ApiError::new(Code::Internal, format!("no JSON: {e}")))
    }
}

impl From<Bytes> for Answer {
    /// An answer that is JSON already.
    fn from(json: Bytes) -> Self {
        Self(json)
    }
}

impl IntoResponse for Answer {
    fn into_response(self) -> Response {
        (StatusCode::OK, [(header::CONTENT_TYPE, "application/json")], self.0).into_response()
    }
}

/// The whole body of a request.
///
/// # Errors
/// It is too long, comes too slowly, or breaks off.
pub(super) async fn read(body: Body) -> Result<Bytes, ApiError> {
    match timeout(BODY_TIMEOUT, gather(body)).await {
        Ok(read) => read,
        Err(_) => {
            let seconds = BODY_TIMEOUT.as_secs();
            Err(ApiError::new(Code::InvalidArgument, format!("the body took longer than {seconds} s")))
        }
    }
}

/// Of a body that is too long the rest is read too, so that its client hears why it is refused.
async fn gather(mut body: Body) -> Result<Bytes, ApiError> {
    let (mut read, mut n_bytes) = (Vec::new(), 0);
    while let Some(frame) = body.frame().await {
        let frame =
            frame.map_err(|e| ApiError::new(Code::InvalidArgument, format!("the body broke off: {e}")))?;
        let Ok(data) = frame.into_data() else { continue };
        n_bytes += data.len();
        if n_bytes > MAX_DRAINED_BYTES {
            break;
        }
        if n_bytes <= MAX_BODY_BYTES {
            read.extend_from_slice(&data);
        }
    }
    if n_bytes > MAX_BODY_BYTES { Err(too_long()) } else { Ok(read.into()) }
}

fn too_long() -> ApiError {
    ApiError::new(Code::TooLarge, format!("the body is longer than {MAX_BODY_BYTES} bytes"))
}

/// A body as JSON; an empty one is `{}`.
///
/// # Errors
/// As of [`read`], and that it is no JSON object.
pub(super) async fn read_object(body: Body) -> Result<serde_json::Map<String, Json>, ApiError> {
    let bytes = read(body).await?;
    if bytes.trim_ascii().is_empty() {
        return Ok(serde_json::Map::new());
    }
    match serde_json::from_slice(&bytes) {
        Ok(Json::Object(fields)) => Ok(fields),
        Ok(_) => Err(ApiError::new(Code::InvalidArgument, "the body is no JSON object")),
        Err(e) => Err(ApiError::new(Code::InvalidArgument, format!("the body is no JSON: {e}"))),
    }
}

/// Compresses an answer for a client that takes gzip, where it is text and long enough.
pub(super) async fn compress(request: Request, next: Next) -> Response {
    let takes_gzip = request.headers().get_all(header::ACCEPT_ENCODING).iter().any(|encodings| {
        encodings.to_str().is_ok_and(|encodings| encodings.split(',').any(|e| e.trim().starts_with("gzip")))
    });
    let response = next.run(request).await;
    let length = response.body().size_hint().exact().unwrap_or_default();
    let kind = response.headers().get(header::CONTENT_TYPE).map(|kind| kind.as_bytes().to_owned());
    let is_text = kind.is_some_and(|kind| {
        [&b"application/json"[..], b"text/html", b"text/css", b"text/javascript", b"image/svg"]
            .iter()
            .any(|text| kind.starts_with(text))
    });
    let has_encoding = response.headers().contains_key(header::CONTENT_ENCODING);
    if !takes_gzip || !is_text || has_encoding || length < MIN_COMPRESSED_BYTES as u64 {
        return response;
    }
    let (mut parts, body) = response.into_parts();
    let Ok(plain) = to_bytes(body, usize::MAX).await else {
        return ApiError::new(Code::Internal, "the answer broke off").into_response();
    };
    let pack = move || {
        let mut packed = GzEncoder::new(Vec::new(), Compression::fast());
        packed.write_all(&plain).and_then(|()| packed.finish()).map(Bytes::from)
    };
    let Ok(Ok(packed)) = tokio::task::spawn_blocking(pack).await else {
        return ApiError::new(Code::Internal, "the answer cannot be compressed").into_response();
    };
    parts.headers.remove(header::CONTENT_LENGTH);
    parts.headers.insert(header::CONTENT_ENCODING, HeaderValue::from_static("gzip"));
    parts.headers.insert(header::VARY, HeaderValue::from_static("accept-encoding"));
    Response::from_parts(parts, packed.into())
}
