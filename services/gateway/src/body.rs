//! Bodies, and how large they may be.

use std::time::Duration;

use axum::{
    body::{Body, Bytes},
    http::StatusCode,
};
use http_body_util::{BodyExt as _, LengthLimitError, Limited};

use crate::problem::Problem;

/// The largest body that is read: 1 MiB of custom fields, and room for the rest.
pub const MAX_BODY: usize = (1 << 20) + (64 << 10);
/// The largest message another service answers with.
pub const MAX_MESSAGE: usize = 8 << 20;
/// How long a body may take to arrive.
const BODY_TIMEOUT: Duration = Duration::from_secs(20);

/// Reads a body, up to a size and for a time.
pub async fn read_body(body: Body) -> Result<Bytes, Problem> {
    match tokio::time::timeout(BODY_TIMEOUT, Limited::new(body, MAX_BODY).collect()).await {
        Ok(Ok(body)) => Ok(body.to_bytes()),
        Ok(Err(e)) if e.is::<LengthLimitError>() => {
            Err(Problem::new(StatusCode::PAYLOAD_TOO_LARGE, "BODY_TOO_LARGE", "the body is larger than 1 MB"))
        }
        Ok(Err(_)) => Err(Problem::new(StatusCode::BAD_REQUEST, "BODY_INCOMPLETE", "the body ended too early")),
        Err(_) => Err(Problem::new(StatusCode::REQUEST_TIMEOUT, "BODY_TOO_SLOW", "the body took too long")),
    }
}
