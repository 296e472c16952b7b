//! The description of our methods and of the service's jobs, as OpenAPI 3.1 at `/openapi.json`.

use std::sync::Arc;
use std::sync::OnceLock;

use axum::Router;
use axum::http::header;
use axum::routing::get;
use utoipa::openapi::{Content, Ref, ResponseBuilder};
use utoipa::{Modify, OpenApi};

use super::error::ErrorBody;
use super::own::{self, curves, events, log, reports, trial};
use super::{Shared, ml};

/// What is described. Uploads (`/upload/storage/v1`) and the reading of logs (`/v2/entries:list`) are as Cloud Storage and
/// Cloud Logging describe them.
#[derive(OpenApi)]
#[openapi(
    info(title = "hptune", description = "Tuning jobs: those of ml.googleapis.com v1, and more of them"),
    paths(
        ml::create_job,
        ml::get_job,
        ml::list,
        ml::cancel_job,
        ml::patch,
        own::list,
        own::submit,
        own::check,
        own::detail,
        own::cancel_job,
        own::stop_trial,
        reports::report,
        curves::curves,
        events::of_all,
        events::of_job,
        trial::detail,
        trial::why,
        trial::measurements,
        trial::series,
        log::log,
    ),
    components(schemas(ErrorBody)),
    modifiers(&Refusals)
)]
struct Description;

/// What each method may be refused with.
struct Refusals;

impl Modify for Refusals {
    fn modify(&self, described: &mut utoipa::openapi::OpenApi) {
        let error = Content::new(Some(Ref::from_schema_name("ErrorBody")));
        let refused = ResponseBuilder::new()
            .description("Refused, with what is wrong; after 503 it is to be sent again")
            .content("application/json", error)
            .build();
        for path in described.paths.paths.values_mut() {
            let methods = [&mut path.get, &mut path.put, &mut path.post, &mut path.patch, &mut path.delete];
            for method in methods.into_iter().flatten() {
                method.responses.responses.insert("default".to_owned(), refused.clone().into());
            }
        }
    }
}

pub(super) fn routes() -> Router<Arc<Shared>> {
    Router::new().route("/openapi.json", get(async || ([(header::CONTENT_TYPE, "application/json")], text())))
}

fn text() -> &'static str {
    static TEXT: OnceLock<String> = OnceLock::new();
    TEXT.get_or_init(|| Description::openapi().to_json().unwrap_or_default())
}

#[cfg(test)]
mod tests {
    use serde_json::Value as Json;

    use super::*;

    #[test]
    fn each_method_is_described_with_what_it_is_refused_by() {
        let described: Json = serde_json::from_str(text()).expect("it is JSON");
        assert!(described["openapi"].as_str().is_some_and(|version| version.starts_with("3.1")));
        let paths = described["paths"].as_object().expect("it has paths");
        let methods: Vec<&Json> =
            paths.values().flat_map(|path| path.as_object().into_iter().flat_map(|p| p.values())).collect();
        assert_eq!(methods.len(), 20);
        for method in methods {
            assert!(method["responses"]["default"]["content"]["application/json"].is_object(), "{method}");
        }
    }
}
