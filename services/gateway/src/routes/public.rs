//! What anybody may read.

use axum::{
    extract::State,
    http::{
        HeaderValue, StatusCode,
        header::{CACHE_CONTROL, CONTENT_TYPE},
    },
    response::{IntoResponse as _, Response},
};
use nodkey_proto::registry::v1::{GetJwksRequest, signing_key_service_client::SigningKeyServiceClient};

use crate::{edge::Edge, problem::Problem};

/// The public keys of the deployment (RFC 7517): they verify challenges, device-identifier JWTs and evidence.
#[utoipa::path(get, path = "/jwks", tag = "public", responses((status = 200, description = "A JWK set", content_type = "application/json")))]
pub async fn jwks(State(edge): State<Edge>) -> Result<Response, Problem> {
    let mut keys = SigningKeyServiceClient::new(edge.peers.registry().unscoped());
    let jwks = keys.get_jwks(GetJwksRequest {}).await?.into_inner().jwks;
    let headers = [
        (CONTENT_TYPE, HeaderValue::from_static("application/json; charset=utf-8")),
        (CACHE_CONTROL, HeaderValue::from_static("public, max-age=60")),
    ];
    Ok((StatusCode::OK, headers, jwks).into_response())
}

/// The OpenAPI document.
pub fn openapi(document: &str) -> Response {
    let headers = [(CONTENT_TYPE, HeaderValue::from_static("application/json; charset=utf-8"))];
    (StatusCode::OK, headers, document.to_owned()).into_response()
}
