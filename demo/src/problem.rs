//! The errors of the bank's backend, in the format of Nodkey's own.

use std::{collections::BTreeMap, time::Duration};

use axum::{
    Json,
    extract::rejection::{JsonRejection, QueryRejection},
    http::{
        HeaderMap, HeaderValue, StatusCode,
        header::{CACHE_CONTROL, CONTENT_TYPE, RETRY_AFTER, WWW_AUTHENTICATE, X_CONTENT_TYPE_OPTIONS},
    },
    response::{IntoResponse, Response},
};
use nodkey_client::{Error, Kind};
use serde_json::{Value, json};

/// Why a request was refused.
#[derive(Debug)]
pub struct Problem {
    status: StatusCode,
    reason: String,
    message: String,
    fields: BTreeMap<String, Vec<String>>,
    retry_after: Option<Duration>,
}

impl Problem {
    pub fn new(status: StatusCode, reason: &str, message: impl Into<String>) -> Self {
        Self { status, reason: reason.into(), message: message.into(), fields: BTreeMap::new(), retry_after: None }
    }

    pub fn closed() -> Self {
        Self::new(StatusCode::SERVICE_UNAVAILABLE, "CLOSED", "the bank is starting; try again in a second")
    }

    pub fn wrong_host(gateway: &str) -> Self {
        let text = format!("the demo is served only at {gateway}/demo; a proxy must forward the Host header");
        Self::new(StatusCode::MISDIRECTED_REQUEST, "WRONG_HOST", text)
    }

    pub fn full() -> Self {
        Self::new(StatusCode::SERVICE_UNAVAILABLE, "OVERLOADED", "too many browsers are waiting; try again soon")
    }

    pub fn not_signed_in() -> Self {
        Self::new(StatusCode::UNAUTHORIZED, "NOT_SIGNED_IN", "you are signed out: sign in again")
    }

    pub fn not_found(what: &str) -> Self {
        Self::new(StatusCode::NOT_FOUND, "NOT_FOUND", format!("there is no such {what}, or it has expired"))
    }

    pub fn status(&self) -> u16 {
        self.status.as_u16()
    }

    /// The body of the response.
    pub fn body(&self) -> Value {
        let Self { reason, message, fields, .. } = self;
        json!({"error": reason, "message": message, "description": message, "field_errors": fields})
    }

    pub fn field(name: &str, fault: &str) -> Self {
        let mut problem = Self::new(StatusCode::UNPROCESSABLE_ENTITY, "VALIDATION_FAILED", format!("{name} {fault}"));
        problem.fields.insert(name.to_owned(), vec![fault.to_owned()]);
        problem
    }
}

/// A refusal by Nodkey, passed on where the person can do something about it.
impl From<Error> for Problem {
    fn from(error: Error) -> Self {
        let status = match error.kind {
            Kind::Invalid | Kind::Precondition => StatusCode::UNPROCESSABLE_ENTITY,
            Kind::NotFound => StatusCode::NOT_FOUND,
            Kind::Conflict => StatusCode::CONFLICT,
            Kind::Gone => StatusCode::GONE,
            Kind::Exhausted => StatusCode::TOO_MANY_REQUESTS,
            Kind::Unavailable => StatusCode::SERVICE_UNAVAILABLE,
            Kind::TooLarge => StatusCode::PAYLOAD_TOO_LARGE,
            Kind::Unauthenticated | Kind::Forbidden | Kind::Internal => {
                return Self::new(StatusCode::BAD_GATEWAY, &error.reason, "Nodkey refused the bank's call; see the log");
            }
        };
        let fields = error.field_violations.into_iter().map(|v| (v.field, vec![v.description])).collect();
        Self { status, reason: error.reason, message: error.message, fields, retry_after: error.retry_after }
    }
}

/// The body is not JSON, or not of the expected form.
impl From<JsonRejection> for Problem {
    fn from(rejection: JsonRejection) -> Self {
        Self::new(rejection.status(), "MALFORMED_JSON", rejection.body_text())
    }
}

impl From<QueryRejection> for Problem {
    fn from(rejection: QueryRejection) -> Self {
        Self::new(StatusCode::UNPROCESSABLE_ENTITY, "VALIDATION_FAILED", rejection.body_text())
    }
}

impl IntoResponse for Problem {
    fn into_response(self) -> Response {
        let body = Json(self.body());
        let Self { status, retry_after, .. } = self;
        // Whole seconds, not one too few.
        let seconds = |after: Duration| after.as_secs() + u64::from(after.subsec_nanos() > 0);
        let retry_after = retry_after.map(|after| (RETRY_AFTER, HeaderValue::from(seconds(after))));
        let challenge = (WWW_AUTHENTICATE, HeaderValue::from_static(r#"Cookie realm="Acme Bank""#));
        let challenge = (status == StatusCode::UNAUTHORIZED).then_some(challenge);
        let headers: HeaderMap = retry_after.into_iter().chain(challenge).collect();
        (status, headers, body).into_response()
    }
}

/// Forbids caching and content sniffing, and turns refusals by libraries into JSON.
pub async fn private(mut response: Response) -> Response {
    let status = response.status();
    let is_json = response.headers().get(CONTENT_TYPE).is_some_and(|kind| kind.as_bytes().starts_with(b"application/json"));
    if (status.is_client_error() || status.is_server_error()) && !is_json {
        response = Problem::new(status, "REFUSED", "the bank does not understand this request").into_response();
    }
    let headers = response.headers_mut();
    headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
    headers.insert(X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
    response
}
