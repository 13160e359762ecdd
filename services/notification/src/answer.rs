//! HTTP responses of receivers and push providers. Status and headers decide the outcome. Only the useful part of a body is awaited, so
//! that a body that never ends blocks nothing.

use std::time::Duration;

use reqwest::Response;
use serde::de::DeserializeOwned;
use tokio::time::{Instant, timeout_at};

/// Maximum number of bytes read from a body. A body that is read to its end leaves the connection usable for the next call.
const MOST: usize = 16 << 10;
/// How long a body is awaited.
const PATIENCE: Duration = Duration::from_secs(1);

/// The first bytes of a body, at most `most`, as far as they arrive in time.
pub async fn first_of(response: &mut Response, most: usize) -> Vec<u8> {
    read(response, most, PATIENCE).await
}

/// Parses a JSON body; `None` if it is not JSON, too long or too late.
pub async fn json<T: DeserializeOwned>(response: Response) -> Option<T> {
    json_within(response, PATIENCE).await
}

/// As [`json`], for calls whose purpose is the body.
pub async fn json_within<T: DeserializeOwned>(mut response: Response, patience: Duration) -> Option<T> {
    serde_json::from_slice(&read(&mut response, MOST, patience).await).ok()
}

async fn read(response: &mut Response, most: usize, patience: Duration) -> Vec<u8> {
    let (mut kept, mut read, end) = (Vec::new(), 0, Instant::now() + patience);
    while read < MOST
        && let Ok(Ok(Some(chunk))) = timeout_at(end, response.chunk()).await
    {
        kept.extend_from_slice(&chunk[..chunk.len().min(most.saturating_sub(kept.len()))]);
        read += chunk.len();
    }
    kept
}
