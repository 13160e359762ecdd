//! Errors in the format that existing clients read: `error`, `message`, `description`, `field_errors`.

use std::{collections::BTreeMap, fmt::Display, time::Duration};

use axum::{
    http::{
        HeaderValue, StatusCode,
        header::{CONTENT_ENCODING, CONTENT_LENGTH, CONTENT_TYPE, RETRY_AFTER, WWW_AUTHENTICATE},
    },
    response::{IntoResponse, Response},
};
use nodkey_kernel::{
    dpop::ProofError,
    error::{Classify as _, Kind, retry_seconds},
    id::DeviceId,
};
use nodkey_runtime::{
    admission::Overloaded,
    fault,
    status::{self, PeerError},
};
use serde::Serialize;
use tonic::Status;
use tracing::error;
use utoipa::ToSchema;

use crate::reply::reply;

/// The reason of an invalid DPoP proof.
const INVALID_PROOF: &str = "INVALID_PROOF";
/// The default `Retry-After`, in seconds, for errors that may soon pass.
const SOON: u32 = 1;

/// The reasons for refusing to prompt a user now, as backends see them.
const PROMPTS_REFUSED: [&str; 2] = ["PROMPT_BUDGET_EXHAUSTED", "PROMPTS_HELD"];

/// An error.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub struct Problem {
    /// The reason, for programs. It is stable.
    #[schema(value_type = String, example = "VALIDATION_FAILED")]
    pub error: Box<str>,
    /// The specific cause, for programs, where `error` covers several causes. It is stable.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<String>, example = "wrong_htu")]
    pub cause: Option<&'static str>,
    /// What is wrong, in one line, for people.
    #[schema(value_type = String)]
    pub message: Box<str>,
    /// What to do, for people.
    #[schema(value_type = String)]
    pub description: Box<str>,
    /// The errors of each invalid field, by the field's name.
    pub field_errors: BTreeMap<String, Vec<String>>,
    /// In development only, for a request with a wrong signature: the text to sign.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<String>)]
    pub string_to_sign: Option<Box<str>>,
    #[serde(skip)]
    status: StatusCode,
    /// The `WWW-Authenticate` header of a 401.
    #[serde(skip)]
    challenge: Option<Challenge>,
    /// The number of seconds after which the same request may succeed.
    #[serde(skip)]
    retry_after: Option<u32>,
    /// Whether a service refused the caller's authentication.
    #[serde(skip)]
    refused: bool,
}

/// The authentication scheme that an unauthenticated caller may use.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Challenge {
    /// A DPoP proof by the device key, where none was sent.
    Proof,
    /// A DPoP proof by the device key, where the one that was sent is invalid.
    OtherProof,
    /// A bearer token, where the one that was sent is invalid.
    OtherToken,
    /// Signing in to the console.
    SignIn,
}

impl Challenge {
    /// The value of `WWW-Authenticate`.
    const fn as_str(self) -> &'static str {
        match self {
            Self::Proof => r#"DPoP algs="ES256 EdDSA Ed25519""#,
            Self::OtherProof => r#"DPoP error="invalid_dpop_proof", algs="ES256 EdDSA Ed25519""#,
            Self::OtherToken => r#"Bearer error="invalid_token""#,
            Self::SignIn => r#"Cookie realm="Nodkey console""#,
        }
    }
}

/// Marks an error response that is caused by a service refusing the caller's authentication: the gateway's own, or that of the backend it
/// called for.
#[derive(Clone, Copy, Debug)]
pub struct Refused;

impl Problem {
    /// Makes a problem.
    pub fn new(status: StatusCode, error: &str, message: impl Into<String>) -> Self {
        let message = message.into().into_boxed_str();
        let retry_after = match status {
            StatusCode::TOO_MANY_REQUESTS | StatusCode::SERVICE_UNAVAILABLE => Some(SOON),
            _ => None,
        };
        Self {
            error: error.into(),
            cause: None,
            description: message.clone(),
            message,
            field_errors: BTreeMap::new(),
            string_to_sign: None,
            status,
            challenge: None,
            retry_after,
            refused: false,
        }
    }

    /// Sets how long to wait before the same request may succeed, in whole seconds, see [`retry_seconds`].
    #[must_use]
    pub fn retry_after(self, after: Duration) -> Self {
        Self { retry_after: Some(u32::try_from(retry_seconds(after)).unwrap_or(u32::MAX)), ..self }
    }

    /// Whether the caller is not authenticated.
    pub fn is_unauthenticated(&self) -> bool {
        self.status == StatusCode::UNAUTHORIZED
    }

    /// Whether a body or a message is too large.
    pub fn is_too_large(&self) -> bool {
        self.status == StatusCode::PAYLOAD_TOO_LARGE
    }

    /// Converts a refusal by the gateway itself to a gRPC status.
    pub fn into_status(self) -> Status {
        let kind = match self.status {
            StatusCode::TOO_MANY_REQUESTS => Kind::Exhausted,
            StatusCode::SERVICE_UNAVAILABLE => Kind::Unavailable,
            StatusCode::PAYLOAD_TOO_LARGE => Kind::TooLarge,
            status if status.is_client_error() => Kind::Invalid,
            _ => Kind::Internal,
        };
        match self.retry_after {
            Some(after) => status::later(kind, &self.error, &*self.message, Duration::from_secs(after.into())),
            None => status::new(kind, &self.error, &*self.message, &[]),
        }
    }

    /// Whether the gateway is overloaded, as opposed to a caller that exceeds its limit.
    pub fn is_overload(&self) -> bool {
        self.status == StatusCode::SERVICE_UNAVAILABLE
    }

    /// The reason, for programs. It is stable.
    #[cfg(test)]
    pub fn code(&self) -> &str {
        &self.error
    }

    /// One field is invalid.
    pub fn field(name: &str, fault: impl Into<String>) -> Self {
        Self::new(StatusCode::UNPROCESSABLE_ENTITY, "VALIDATION_FAILED", "the request is not valid").and_field(name, fault)
    }

    /// Another field is invalid, too.
    #[must_use]
    pub fn and_field(mut self, name: &str, fault: impl Into<String>) -> Self {
        self.field_errors.entry(name.to_owned()).or_default().push(fault.into());
        self
    }

    /// Invalid credentials: the same error for every cause, and never 401, which existing clients do not understand.
    pub fn credentials() -> Self {
        Self::new(StatusCode::FORBIDDEN, "FORBIDDEN", "the token, its signature or its rights are not sufficient")
    }

    /// An invalid bearer token.
    pub fn token(why: &str) -> Self {
        // RFC 6750 section 3: a caller without a token uses another scheme.
        Self::unauthorized(Challenge::OtherToken, "UNAUTHENTICATED", why)
    }

    /// Adds the cause and the text to sign, for a caller that may learn them.
    #[must_use]
    pub fn explained(self, why: &str, string_to_sign: String) -> Self {
        Self { description: format!("{}: {why}", self.message).into(), string_to_sign: Some(string_to_sign.into()), ..self }
    }

    /// An invalid or missing DPoP proof. Logs and counts it.
    pub fn proof(fault: ProofFault, device: Option<&DeviceId>) -> Self {
        fault::note("DPoP", fault.as_str(), device.map(DeviceId::as_str));
        Self::unproven(Some(fault.cause_code()), fault.to_string())
    }

    fn unproven(cause: Option<&'static str>, message: String) -> Self {
        // RFC 9449 section 7.1. Without an error code where there is no proof (RFC 6750 section 3.1).
        let challenge = match cause {
            Some(ProofFault::MISSING) => Challenge::Proof,
            _ => Challenge::OtherProof,
        };
        Self { cause, ..Self::unauthorized(challenge, INVALID_PROOF, message) }
    }

    /// The caller is not authenticated. `challenge` is the scheme that it may use (RFC 9110 section 11.6.1).
    pub fn unauthorized(challenge: Challenge, error: &str, message: impl Into<String>) -> Self {
        Self { challenge: Some(challenge), ..Self::new(StatusCode::UNAUTHORIZED, error, message) }
    }

    /// The problem of a response that has nothing but a status.
    fn of(status: StatusCode) -> Self {
        match status {
            StatusCode::NOT_FOUND => Self::not_found(),
            StatusCode::INTERNAL_SERVER_ERROR => Self::because("the response states no cause"),
            StatusCode::BAD_REQUEST => Self::new(status, "BAD_REQUEST", "the path or the query is malformed"),
            status => Self::new(status, "REFUSED", status.canonical_reason().unwrap_or("the request was refused").to_lowercase()),
        }
    }

    /// A body is compressed. The gateway decompresses nothing: the signature covers what arrives, and a small body must not become a large
    /// one.
    pub fn compressed() -> Self {
        Self::new(StatusCode::UNSUPPORTED_MEDIA_TYPE, "BODY_COMPRESSED", "the body must be sent as it is, without Content-Encoding")
    }

    /// The request has more header fields than any client needs.
    pub fn too_many_fields(most: usize) -> Self {
        let text = format!("a request has at most {most} header fields");
        Self::new(StatusCode::REQUEST_HEADER_FIELDS_TOO_LARGE, "TOO_MANY_HEADER_FIELDS", text)
    }

    /// There is no such route or resource.
    pub fn not_found() -> Self {
        Self::new(StatusCode::NOT_FOUND, "NOT_FOUND", "there is no such resource")
    }

    /// The gateway is overloaded.
    pub fn overloaded() -> Self {
        Self::new(StatusCode::SERVICE_UNAVAILABLE, "OVERLOADED", "the gateway is overloaded; try again soon")
    }

    /// Another service refused the gateway, or failed.
    fn unexpected(error: &PeerError) -> Self {
        Self::because(format_args!("another service answered {}: {error}", error.reason()))
    }

    /// An internal error. Logs the cause.
    pub fn because(cause: impl Display) -> Self {
        error!(%cause, "request failed");
        Self::new(StatusCode::INTERNAL_SERVER_ERROR, "INTERNAL", "something went wrong on our side; it is logged")
    }
}

/// What is wrong with a phone's proof.
#[derive(Clone, Copy, Debug, thiserror::Error)]
pub enum ProofFault {
    /// There is none.
    #[error("there is no DPoP header: every call by a phone needs one")]
    Missing,
    /// There is more than one.
    #[error("there are several DPoP headers: a call has exactly one")]
    Several,
    /// It is not text.
    #[error("the DPoP header is not ASCII")]
    NotAscii,
    /// It was used before.
    #[error("the DPoP proof's jti was used before: create a new one for each call")]
    Replayed,
    /// It is signed by another device than the path names.
    #[error("the DPoP proof is signed by another device than the path names")]
    OtherDevice,
    /// It is not signed by a registered device.
    #[error("the DPoP proof is not signed by a registered device: register first")]
    NotRegistered,
    /// It is invalid.
    #[error(transparent)]
    Invalid(#[from] ProofError),
}

impl ProofFault {
    /// The cause of a call without a proof.
    const MISSING: &'static str = "missing";

    /// The cause for programs, one for each fault.
    const fn cause_code(self) -> &'static str {
        match self {
            Self::Missing => Self::MISSING,
            Self::Several => "several",
            Self::NotAscii => "malformed",
            Self::Replayed => "used_jti",
            Self::OtherDevice => "other_device",
            Self::NotRegistered => "unknown_device",
            Self::Invalid(error) => error.cause_code(),
        }
    }

    /// The name in logs and metrics.
    const fn as_str(self) -> &'static str {
        match self {
            Self::Missing => "missing",
            Self::Several | Self::NotAscii => "malformed",
            Self::Replayed => "replayed",
            Self::OtherDevice => "other_device",
            Self::NotRegistered => "not_registered",
            Self::Invalid(error) => error.as_str(),
        }
    }
}

impl From<Status> for Problem {
    fn from(status: Status) -> Self {
        PeerError::from(status).into()
    }
}

impl From<PeerError> for Problem {
    fn from(error: PeerError) -> Self {
        // The registry verifies the proofs of some calls again, by its own clock.
        if error.reason() == INVALID_PROOF {
            fault::note("DPoP", "registry", None);
            return Self::unproven(error.cause_code(), error.to_string());
        }
        let status = match error.kind() {
            // One of the old SDKs treats a 429 as no response at all.
            Kind::Exhausted if PROMPTS_REFUSED.contains(&error.reason()) => StatusCode::FAILED_DEPENDENCY,
            Kind::Invalid => StatusCode::UNPROCESSABLE_ENTITY,
            Kind::Forbidden => StatusCode::FORBIDDEN,
            Kind::NotFound => StatusCode::NOT_FOUND,
            Kind::Conflict => StatusCode::CONFLICT,
            Kind::Gone => StatusCode::GONE,
            Kind::Precondition => StatusCode::FAILED_DEPENDENCY,
            Kind::TooLarge => StatusCode::PAYLOAD_TOO_LARGE,
            Kind::Exhausted => StatusCode::TOO_MANY_REQUESTS,
            Kind::Unavailable => StatusCode::SERVICE_UNAVAILABLE,
            // The request itself is not at fault, unless the service was called as the caller.
            Kind::Unauthenticated => return Self { refused: true, ..Self::unexpected(&error) },
            Kind::Internal => return Self::unexpected(&error),
        };
        let reason = match error.reason() {
            "REQUEST_ID_REUSED" => "IDEMPOTENCY_MISMATCH",
            reason => reason,
        };
        let mut problem = Self::new(status, reason, error.to_string());
        if let Some(after) = error.retry_after() {
            problem = problem.retry_after(after);
        }
        error.field_violations().iter().fold(problem, |problem, v| problem.and_field(&v.field, v.description.clone()))
    }
}

/// Turns a refusal into JSON, including the plain or empty ones of libraries.
pub fn in_json(mut response: Response) -> Response {
    let status = response.status();
    let is_error = status.is_client_error() || status.is_server_error();
    let is_json = |kind: &HeaderValue| kind.as_bytes().starts_with(b"application/json");
    if !is_error || response.headers().get(CONTENT_TYPE).is_some_and(is_json) {
        return response;
    }
    let (parts, body) = Problem::of(status).into_response().into_parts();
    for header in [CONTENT_ENCODING, CONTENT_LENGTH] {
        response.headers_mut().remove(header);
    }
    response.headers_mut().extend(parts.headers);
    *response.body_mut() = body;
    response
}

impl From<Overloaded> for Problem {
    fn from(Overloaded: Overloaded) -> Self {
        Self::overloaded()
    }
}

impl IntoResponse for Problem {
    fn into_response(self) -> Response {
        let mut response = reply(self.status, &self);
        if let Some(seconds) = self.retry_after {
            response.headers_mut().insert(RETRY_AFTER, HeaderValue::from(seconds));
        }
        if let Some(challenge) = self.challenge {
            response.headers_mut().insert(WWW_AUTHENTICATE, HeaderValue::from_static(challenge.as_str()));
        }
        if self.refused {
            response.extensions_mut().insert(Refused);
        }
        response
    }
}

#[cfg(test)]
mod tests {
    use axum::body::to_bytes;
    use serde_json::Value;

    use super::*;

    #[test]
    fn what_may_work_later_says_after_how_many_whole_seconds_over_http_and_grpc() {
        let refused = |status| Problem::new(status, "SOME_REASON", "text");
        for (problem, seconds) in [
            (refused(StatusCode::TOO_MANY_REQUESTS), Some(1)),
            (refused(StatusCode::SERVICE_UNAVAILABLE), Some(1)),
            (refused(StatusCode::TOO_MANY_REQUESTS).retry_after(Duration::ZERO), Some(1)),
            (refused(StatusCode::TOO_MANY_REQUESTS).retry_after(Duration::from_millis(59_001)), Some(60)),
            (refused(StatusCode::CONFLICT), None),
        ] {
            let over_grpc = PeerError::from(problem.clone().into_status()).retry_after();
            assert_eq!(over_grpc, seconds.map(Duration::from_secs));
            let header = problem.into_response().headers().get(RETRY_AFTER).map(|value| value.to_str().unwrap().parse::<u64>().unwrap());
            assert_eq!(header, seconds);
        }
    }

    #[test]
    fn what_a_service_says_of_later_is_passed_on() {
        let status = status::later(Kind::Exhausted, "PROMPT_BUDGET_EXHAUSTED", "text", Duration::from_millis(29_500));
        let answered = Problem::from(status).into_response();
        assert_eq!((answered.status(), &answered.headers()[RETRY_AFTER]), (StatusCode::FAILED_DEPENDENCY, &HeaderValue::from(30)));
    }

    #[tokio::test]
    async fn every_refusal_is_json_and_keeps_what_else_it_says() {
        for (status, reason) in [(400, "BAD_REQUEST"), (404, "NOT_FOUND"), (413, "REFUSED"), (431, "REFUSED"), (500, "INTERNAL")] {
            let text = (StatusCode::from_u16(status).unwrap(), [("allow", "GET")], "Invalid URL: in words of its own").into_response();
            let refused = in_json(text);
            assert_eq!((refused.status().as_u16(), refused.headers()["allow"].as_bytes()), (status, &b"GET"[..]));
            assert_eq!(refused.headers()[CONTENT_TYPE], "application/json; charset=utf-8");
            let body: Value = serde_json::from_slice(&to_bytes(refused.into_body(), 1_000).await.unwrap()).unwrap();
            assert_eq!(body["error"], reason);
        }
        let own = in_json(Problem::credentials().into_response());
        assert_eq!(to_bytes(own.into_body(), 1_000).await.unwrap(), serde_json::to_vec(&Problem::credentials()).unwrap());
        assert_eq!(in_json((StatusCode::OK, "text").into_response()).headers()[CONTENT_TYPE], "text/plain; charset=utf-8");
    }
}
