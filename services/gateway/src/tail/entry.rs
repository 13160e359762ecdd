//! What listeners get of a request: nothing that its sender did not send or get, and neither bodies nor secrets.

use std::collections::BTreeMap;

use axum::{
    body::{Body, HttpBody as _, to_bytes},
    response::Response,
};
use nodkey_kernel::{error::Classify as _, id::CredentialId};
use nodkey_proto::code::code_name;
use nodkey_runtime::{fault::Fault, status::PeerError};
use serde::{Deserialize, Serialize};
use tonic::Status;
use utoipa::ToSchema;

use super::request::{Found, Watched};
use crate::reply::X_REQUEST_ID;

/// The maximum size of an error that is read. A larger one is sent as it is, and listeners see its status alone.
const MAX_ERROR: usize = 16 << 10;

/// A request, and how it was answered.
#[derive(Clone, Debug, Default, Serialize, ToSchema)]
pub struct TailedRequest {
    /// When it arrived, RFC 3339.
    #[schema(format = DateTime)]
    pub time: String,
    /// The credential that it names, a UUID.
    #[schema(format = Uuid)]
    pub credential_id: String,
    /// Whether its signature proved that. If not, anybody may have sent it.
    pub authenticated: bool,
    /// `http`, or `grpc` where the gateway forwarded it.
    pub transport: &'static str,
    /// The method of HTTP.
    pub method: &'static str,
    /// The template of its path, such as `/api/v2/trusonafications/{id}`, or the method of gRPC. Null: there is no such path.
    #[schema(required)]
    pub route: Option<String>,
    /// The status, over HTTP.
    #[schema(required)]
    pub status: Option<u16>,
    /// The name of the status code, over gRPC. That of a stream is the one it began with.
    #[schema(required)]
    pub code: Option<&'static str>,
    /// The reason of an error, as in the response.
    #[schema(required)]
    pub error: Option<String>,
    /// Why the sender is not authenticated, which the response does not say: `wrong_signature`, `expired` and so on.
    #[schema(required)]
    pub cause: Option<&'static str>,
    /// What is wrong, for people.
    #[schema(required)]
    pub description: Option<String>,
    /// The errors of each invalid field, by the field's name.
    pub field_errors: BTreeMap<String, Vec<String>>,
    /// The `X-Request-Id` of the response.
    #[schema(required)]
    pub request_id: Option<String>,
    /// How long it took until the response began, in milliseconds.
    pub duration_ms: f64,
}

/// The part of an error over HTTP that listeners get.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct Refusal {
    error: Option<String>,
    description: Option<String>,
    field_errors: BTreeMap<String, Vec<String>>,
}

/// Describes a request and its response, and returns the response.
pub(super) async fn of(watched: &Watched, Found { proven, fault }: Found, response: Response) -> (TailedRequest, Response) {
    let request_id = response.headers().get(X_REQUEST_ID).and_then(|id| id.to_str().ok()).map(ToOwned::to_owned);
    let (outcome, response) = if watched.is_grpc { over_grpc(response) } else { over_http(response).await };
    let entry = TailedRequest {
        time: watched.at.to_string(),
        credential_id: CredentialId::to_string(&watched.credential),
        authenticated: proven.is_some(),
        method: watched.method,
        route: watched.route.as_ref().map(|route| route.as_str().to_owned()),
        cause: fault.map(Fault::as_str),
        description: fault.map(|fault| fault.why().to_owned()).or(outcome.description),
        request_id,
        duration_ms: watched.since.elapsed().as_secs_f64() * 1_000.0,
        ..outcome
    };
    (entry, response)
}

async fn over_http(response: Response) -> (TailedRequest, Response) {
    let status = response.status();
    let outcome = TailedRequest { transport: "http", status: Some(status.as_u16()), ..TailedRequest::default() };
    let size = response.body().size_hint().upper();
    let is_small = size.is_some_and(|size| size <= MAX_ERROR as u64);
    if !is_small || !status.is_client_error() && !status.is_server_error() {
        return (outcome, response);
    }
    let (parts, body) = response.into_parts();
    let body = to_bytes(body, MAX_ERROR).await.unwrap_or_default();
    let Refusal { error, description, field_errors } = serde_json::from_slice(&body).unwrap_or_default();
    (TailedRequest { error, description, field_errors, ..outcome }, Response::from_parts(parts, Body::from(body)))
}

fn over_grpc(response: Response) -> (TailedRequest, Response) {
    let outcome = TailedRequest { transport: "grpc", code: Some("OK"), ..TailedRequest::default() };
    // A call that is refused has its status in the headers.
    let Some(status) = Status::from_header_map(response.headers()).filter(|status| status.code() != tonic::Code::Ok) else {
        return (outcome, response);
    };
    let code = Some(code_name(status.code()));
    let error = PeerError::from(status);
    let mut field_errors = BTreeMap::<_, Vec<_>>::new();
    for violation in error.field_violations() {
        field_errors.entry(violation.field.clone()).or_default().push(violation.description.clone());
    }
    let reason = Some(error.reason()).filter(|reason| !reason.is_empty()).map(ToOwned::to_owned);
    (TailedRequest { code, error: reason, description: Some(error.to_string()), field_errors, ..outcome }, response)
}

#[cfg(test)]
mod tests {
    use axum::http::StatusCode;

    use super::*;

    async fn watched(body: String) -> (TailedRequest, usize) {
        let refused = Response::builder().status(StatusCode::UNPROCESSABLE_ENTITY).body(Body::from(body)).unwrap();
        let (entry, response) = over_http(refused).await;
        (entry, to_bytes(response.into_body(), usize::MAX).await.unwrap().len())
    }

    #[tokio::test]
    async fn what_a_caller_gets_is_the_same_whether_somebody_listens_or_not_however_large_an_error_is() {
        let error = |padding: usize| format!(r#"{{"error":"VALIDATION_FAILED","padding":"{}"}}"#, "x".repeat(padding));
        for (padding, shown) in [(0, Some("VALIDATION_FAILED")), (MAX_ERROR, None)] {
            let (entry, sent) = watched(error(padding)).await;
            assert_eq!((entry.status, entry.error.as_deref(), sent), (Some(422), shown, error(padding).len()));
        }
    }
}
