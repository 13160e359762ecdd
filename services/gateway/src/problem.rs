//! What can go wrong, as existing clients read it: `error`, `message`, `description`, `field_errors`.

use std::collections::BTreeMap;

use axum::{
    http::{HeaderValue, StatusCode, header::RETRY_AFTER},
    response::{IntoResponse, Response},
};
use nodkey_kernel::error::{Classify as _, Kind};
use nodkey_runtime::status::PeerError;
use serde::Serialize;
use tonic::Status;
use utoipa::ToSchema;

use crate::reply::reply;

/// Why a request was refused.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub struct Problem {
    /// Stable, for programs.
    #[schema(example = "VALIDATION_FAILED")]
    pub error: String,
    /// One line, for people.
    pub message: String,
    /// What to do.
    pub description: String,
    /// What is wrong with which field.
    pub field_errors: BTreeMap<String, Vec<String>>,
    #[serde(skip)]
    status: StatusCode,
    /// Seconds after which the same request may work.
    #[serde(skip)]
    retry_after: Option<u64>,
}

impl Problem {
    /// Makes one.
    pub fn new(status: StatusCode, error: &str, message: impl Into<String>) -> Self {
        let message = message.into();
        let retry_after = match status {
            StatusCode::TOO_MANY_REQUESTS | StatusCode::SERVICE_UNAVAILABLE => Some(1),
            _ => None,
        };
        Self { error: error.into(), description: message.clone(), message, field_errors: BTreeMap::new(), status, retry_after }
    }

    /// One field is wrong.
    pub fn field(name: &str, fault: impl Into<String>) -> Self {
        Self::new(StatusCode::UNPROCESSABLE_ENTITY, "VALIDATION_FAILED", "the request is not valid").and_field(name, fault)
    }

    /// Another field is wrong, too.
    #[must_use]
    pub fn and_field(mut self, name: &str, fault: impl Into<String>) -> Self {
        self.field_errors.entry(name.to_owned()).or_default().push(fault.into());
        self
    }

    /// Wrong credentials: one answer whatever is wrong with them, and never 401, which existing clients do not understand.
    pub fn credentials() -> Self {
        Self::new(StatusCode::FORBIDDEN, "FORBIDDEN", "the token, its signature or its rights are not sufficient")
    }

    /// A phone's proof does not hold.
    pub fn proof(why: impl Into<String>) -> Self {
        Self::new(StatusCode::UNAUTHORIZED, "INVALID_PROOF", why)
    }

    /// No such route, or nothing there.
    pub fn not_found() -> Self {
        Self::new(StatusCode::NOT_FOUND, "NOT_FOUND", "there is nothing here")
    }

    /// Too much at once.
    pub fn overloaded() -> Self {
        Self::new(StatusCode::SERVICE_UNAVAILABLE, "OVERLOADED", "too much at once; try again soon")
    }

    /// Our fault.
    pub fn internal() -> Self {
        Self::new(StatusCode::INTERNAL_SERVER_ERROR, "INTERNAL", "something went wrong on our side; it is logged")
    }
}

impl From<Status> for Problem {
    fn from(status: Status) -> Self {
        PeerError::from(status).into()
    }
}

impl From<PeerError> for Problem {
    fn from(error: PeerError) -> Self {
        let status = match error.kind() {
            Kind::Invalid => StatusCode::UNPROCESSABLE_ENTITY,
            Kind::Forbidden => StatusCode::FORBIDDEN,
            Kind::NotFound => StatusCode::NOT_FOUND,
            Kind::Conflict => StatusCode::CONFLICT,
            Kind::Gone => StatusCode::GONE,
            Kind::Precondition => StatusCode::FAILED_DEPENDENCY,
            Kind::TooLarge => StatusCode::PAYLOAD_TOO_LARGE,
            Kind::Exhausted => StatusCode::TOO_MANY_REQUESTS,
            Kind::Unavailable => StatusCode::SERVICE_UNAVAILABLE,
            // The gateway itself was refused: not what the caller asked for.
            Kind::Unauthenticated | Kind::Internal => return Self::internal(),
        };
        let reason = match error.reason() {
            "REQUEST_ID_REUSED" => "IDEMPOTENCY_MISMATCH",
            reason => reason,
        };
        let problem = Self::new(status, reason, error.to_string());
        error.field_violations().iter().fold(problem, |problem, v| problem.and_field(&v.field, v.description.clone()))
    }
}

impl IntoResponse for Problem {
    fn into_response(self) -> Response {
        let mut response = reply(self.status, &self);
        if let Some(seconds) = self.retry_after {
            response.headers_mut().insert(RETRY_AFTER, HeaderValue::from(seconds));
        }
        response
    }
}
