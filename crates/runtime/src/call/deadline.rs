//! Deadlines of gRPC calls, honored the same way in process and over the network.

use std::time::Duration;

use axum::{extract::Request, middleware::Next, response::Response};
use http::HeaderMap;
use tonic::Status;

/// Answers `DEADLINE_EXCEEDED` once the time in the `grpc-timeout` header has passed.
pub(crate) async fn middleware(request: Request, next: Next) -> Response {
    match requested(request.headers()) {
        None => next.run(request).await,
        Some(limit) => match tokio::time::timeout(limit, next.run(request)).await {
            Ok(response) => response,
            Err(_) => deadline_exceeded().into_http(),
        },
    }
}

/// The response when the deadline has passed, whichever side notices.
#[must_use]
pub fn deadline_exceeded() -> Status {
    Status::deadline_exceeded("the deadline of the call has passed")
}

/// Reads `grpc-timeout`: at most eight digits and a unit.
#[must_use]
pub fn requested(headers: &HeaderMap) -> Option<Duration> {
    let text = headers.get("grpc-timeout")?.to_str().ok()?;
    let (digits, unit) = text.split_at_checked(text.len().checked_sub(1)?)?;
    if digits.len() > 8 {
        return None;
    }
    let n: u64 = digits.parse().ok()?;
    Some(match unit {
        "H" => Duration::from_secs(n * 3600),
        "M" => Duration::from_secs(n * 60),
        "S" => Duration::from_secs(n),
        "m" => Duration::from_millis(n),
        "u" => Duration::from_micros(n),
        "n" => Duration::from_nanos(n),
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_what_clients_send_and_ignores_the_rest() {
        for (text, expected) in [
            ("10S", Some(Duration::from_secs(10))),
            ("500m", Some(Duration::from_millis(500))),
            ("1H", Some(Duration::from_hours(1))),
            ("", None),
            ("S", None),
            ("10", None),
            ("999999999S", None),
        ] {
            let headers = HeaderMap::from_iter([(http::HeaderName::from_static("grpc-timeout"), text.parse().unwrap())]);
            assert_eq!(requested(&headers), expected, "{text}");
        }
    }
}
