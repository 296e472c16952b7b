//! What a request can be refused for, as `google.rpc.Status` in JSON.
//!
//! Source of the shape: <https://cloud.google.com/apis/design/errors>: codes, their HTTP statuses, `BadRequest`.

use std::fmt;

use axum::http::{HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use serde_json::{Value as Json, json};
use utoipa::ToSchema;

use crate::app::prepare::QueueError;
use crate::app::{Failure, FailureKind};
use crate::edge::store::StoreError;
use crate::study::{Problem, Severity};

/// Why a request was refused; nothing was changed then.
#[derive(Debug, Clone)]
pub(super) struct ApiError {
    code: Code,
    message: String,
    violations: Vec<Violation>,
}

/// An error as it is answered: `google.rpc.Status` under `error`.
#[derive(Debug, ToSchema)]
#[expect(dead_code, reason = "it describes what `ApiError` answers")]
pub(super) struct ErrorBody {
    error: Status,
}

#[derive(Debug, ToSchema)]
#[expect(dead_code, reason = "see `ErrorBody`")]
struct Status {
    /// The HTTP status.
    code: u16,
    /// What happened, and what to do.
    message: String,
    /// The canonical code, such as INVALID_ARGUMENT.
    status: String,
    /// `google.rpc.BadRequest` with all `fieldViolations`, where fields are wrong.
    #[schema(value_type = Vec<Object>)]
    details: Vec<Json>,
}

/// What is wrong with a field.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Violation {
    /// Its path, such as `trainingInput.hyperparameters.maxTrials`.
    pub(super) field: String,
    /// What is wrong, and what to do.
    pub(super) description: String,
    /// The line and the column of a text where it stands, counted from 1.
    pub(super) at: Option<(usize, usize)>,
}

impl Violation {
    pub(super) fn new(field: impl Into<String>, description: impl Into<String>) -> Self {
        Self { field: field.into(), description: description.into(), at: None }
    }
}

/// The canonical codes that are used here.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Code {
    InvalidArgument,
    FailedPrecondition,
    Unauthenticated,
    PermissionDenied,
    NotFound,
    MethodNotAllowed,
    AlreadyExists,
    Aborted,
    TooLarge,
    ResourceExhausted,
    Internal,
    Unimplemented,
    Unavailable,
}

impl Code {
    fn status(self) -> (StatusCode, &'static str) {
        match self {
            Self::InvalidArgument => (StatusCode::BAD_REQUEST, "INVALID_ARGUMENT"),
            Self::FailedPrecondition => (StatusCode::BAD_REQUEST, "FAILED_PRECONDITION"),
            Self::Unauthenticated => (StatusCode::UNAUTHORIZED, "UNAUTHENTICATED"),
            Self::PermissionDenied => (StatusCode::FORBIDDEN, "PERMISSION_DENIED"),
            Self::NotFound => (StatusCode::NOT_FOUND, "NOT_FOUND"),
            Self::MethodNotAllowed => (StatusCode::METHOD_NOT_ALLOWED, "UNIMPLEMENTED"),
            Self::AlreadyExists => (StatusCode::CONFLICT, "ALREADY_EXISTS"),
            Self::Aborted => (StatusCode::CONFLICT, "ABORTED"),
            Self::TooLarge => (StatusCode::PAYLOAD_TOO_LARGE, "INVALID_ARGUMENT"),
            Self::ResourceExhausted => (StatusCode::TOO_MANY_REQUESTS, "RESOURCE_EXHAUSTED"),
            Self::Internal => (StatusCode::INTERNAL_SERVER_ERROR, "INTERNAL"),
            Self::Unimplemented => (StatusCode::NOT_IMPLEMENTED, "UNIMPLEMENTED"),
            Self::Unavailable => (StatusCode::SERVICE_UNAVAILABLE, "UNAVAILABLE"),
        }
    }
}

impl ApiError {
    pub(super) fn new(code: Code, message: impl Into<String>) -> Self {
        Self { code, message: message.into(), violations: Vec::new() }
    }

    pub(super) fn not_found(message: impl Into<String>) -> Self {
        Self::new(Code::NotFound, message)
    }

    pub(super) fn unavailable(message: impl Into<String>) -> Self {
        Self::new(Code::Unavailable, message)
    }

    /// One field is wrong.
    pub(super) fn of_field(field: &str, description: impl Into<String>) -> Self {
        Self::of_fields(vec![Violation::new(field, description)])
    }

    /// These fields are wrong.
    pub(super) fn of_fields(violations: Vec<Violation>) -> Self {
        let lines = violations.iter().map(|Violation { field, description, at }| {
            let place = at.map(|(line, column)| format!("{line}:{column}: ")).unwrap_or_default();
            let field = if field.is_empty() { String::new() } else { format!("{field}: ") };
            format!("{place}{field}{description}")
        });
        let message = lines.collect::<Vec<_>>().join("\n");
        Self { code: Code::InvalidArgument, message, violations }
    }

    /// All that is wrong with a configuration. `is_text`: it was given as a text, in which lines can be looked up.
    pub(super) fn of_problems(problems: &[Problem], is_text: bool) -> Self {
        let errors = problems.iter().filter(|problem| problem.severity == Severity::Error);
        let violation = |problem: &Problem| {
            let Problem { at, path, message, hint, .. } = problem;
            let hint = hint.as_ref().map(|hint| format!("; {hint}")).unwrap_or_default();
            Violation {
                at: is_text.then_some((at.line, at.column)),
                ..Violation::new(path.clone(), format!("{message}{hint}"))
            }
        };
        Self::of_fields(errors.map(violation).collect())
    }

    fn to_json(&self) -> Json {
        let (http, status) = self.code.status();
        let mut details = Vec::new();
        if !self.violations.is_empty() {
            let to_json = |v: &Violation| {
                let mut json = json!({"field": v.field, "description": v.description});
                if let (Some((line, column)), Some(fields)) = (v.at, json.as_object_mut()) {
                    fields.insert("line".into(), line.into());
                    fields.insert("column".into(), column.into());
                }
                json
            };
            let violations: Vec<Json> = self.violations.iter().map(to_json).collect();
            details.push(
                json!({"@type": "type.googleapis.com/google.rpc.BadRequest", "fieldViolations": violations}),
            );
        }
        json!({"error": {"code": http.as_u16(), "message": self.message, "status": status, "details": details}})
    }
}

impl fmt::Display for ApiError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)
    }
}

impl From<StoreError> for ApiError {
    fn from(error: StoreError) -> Self {
        let code = match &error {
            StoreError::JobExists(_) => Code::AlreadyExists,
            StoreError::NoJob(_) | StoreError::NoTrial { .. } => Code::NotFound,
            StoreError::TrialOver { .. } | StoreError::JobOver { .. } => Code::FailedPrecondition,
            StoreError::Changed { .. } => Code::Aborted,
            StoreError::Held { .. } | StoreError::TakenOver(_) => Code::Unavailable,
            StoreError::Database { .. } if error.may_pass() => Code::Unavailable,
            StoreError::Database { .. }
            | StoreError::Directory { .. }
            | StoreError::Copy { .. }
            | StoreError::TooNew { .. }
            | StoreError::NotOurs { .. } => Code::Internal,
        };
        let again = if code == Code::Unavailable { "; try again" } else { "" };
        Self::new(code, format!("{error}{again}"))
    }
}

impl From<Failure> for ApiError {
    fn from(failure: Failure) -> Self {
        let code = match failure.kind {
            FailureKind::Usage => Code::InvalidArgument,
            FailureKind::Outside | FailureKind::Busy => Code::Unavailable,
        };
        let hint = failure.hint.map(|hint| format!("; {hint}")).unwrap_or_default();
        Self::new(code, format!("{}{hint}", failure.message))
    }
}

impl From<QueueError> for ApiError {
    fn from(error: QueueError) -> Self {
        match error {
            QueueError::Refused(failure) => failure.into(),
            QueueError::Store(error) => error.into(),
        }
    }
}

impl IntoResponse for ApiError {
    fn into_response(self) -> Response {
        let (http, _) = self.code.status();
        let mut response =
            (http, [(header::CONTENT_TYPE, "application/json")], self.to_json().to_string()).into_response();
        let headers = response.headers_mut();
        match self.code {
            Code::Unauthenticated => {
                headers.insert(header::WWW_AUTHENTICATE, HeaderValue::from_static("Bearer"));
            }
            Code::Unavailable | Code::ResourceExhausted => {
                headers.insert(header::RETRY_AFTER, HeaderValue::from_static("1"));
            }
            _ => {}
        }
        response
    }
}
