//! The page and its parts, as they are built into the program.

use std::sync::Arc;

use axum::Router;
use axum::http::{HeaderMap, HeaderName, StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::routing::get;

use super::Shared;

/// A part of the page: its path and what it is. Its ending says of what kind.
type Asset = (&'static str, &'static str);

/// Parts of the page by their files below `page/`.
macro_rules! assets {
    ($($file:literal),* $(,)?) => {
        [$((concat!("/", $file), include_str!(concat!("page/", $file)))),*]
    };
}

const ASSETS: [Asset; 20] = assets![
    "page.css",
    "favicon.svg",
    "page.js",
    "api.js",
    "text.js",
    "dom.js",
    "frames.js",
    "model.js",
    "canvas.js",
    "chart.js",
    "parallel.js",
    "table.js",
    "progress.js",
    "jobs.js",
    "job.js",
    "jobcharts.js",
    "trials.js",
    "trial.js",
    "log.js",
    "submit.js",
];

/// The parts that stand elsewhere.
const OTHERS: [Asset; 2] =
    [("/", include_str!("page/index.html")), ("/axis.js", include_str!("../plot/axis.js"))];

/// Scripts and styles come from here, as files of their own, and nothing from elsewhere.
const POLICY: &str = "default-src 'self'; img-src 'self' data:; base-uri 'none'; form-action 'self'; \
                      frame-ancestors 'none'; object-src 'none'";

pub(super) fn routes() -> Router<Arc<Shared>> {
    let route = |router: Router<Arc<Shared>>, asset: &'static Asset| {
        router.route(asset.0, get(async move |headers: HeaderMap| answer(asset, &headers)))
    };
    const ALL: [&[Asset]; 2] = [&ASSETS, &OTHERS];
    ALL.into_iter().flatten().fold(Router::new(), route)
}

fn answer((path, text): &'static Asset, asked: &HeaderMap) -> Response {
    let etag = format!("\"{:08x}-{}\"", crc32c::crc32c(text.as_bytes()), text.len());
    let kind = match path.rsplit('.').next() {
        Some("css") => "text/css; charset=utf-8",
        Some("js") => "text/javascript; charset=utf-8",
        Some("svg") => "image/svg+xml; charset=utf-8",
        _ => "text/html; charset=utf-8",
    };
    // A compressed one has the same text.
    let is_known = asked.get(header::IF_NONE_MATCH).is_some_and(|known| known.as_bytes() == etag.as_bytes());
    let headers: [(HeaderName, &str); 6] = [
        (header::CONTENT_TYPE, kind),
        (header::CONTENT_SECURITY_POLICY, POLICY),
        (header::CACHE_CONTROL, "no-cache"),
        (header::ETAG, &etag),
        (header::X_CONTENT_TYPE_OPTIONS, "nosniff"),
        (header::REFERRER_POLICY, "no-referrer"),
    ];
    match is_known {
        true => (StatusCode::NOT_MODIFIED, headers).into_response(),
        false => (headers, *text).into_response(),
    }
}
