//! Answers of those who are called on behalf of others. Their status and headers decide: of a body there is waited for no more than is of use,
//! and one that is left open holds nobody up.

use std::time::Duration;

use reqwest::Response;
use serde::de::DeserializeOwned;
use tokio::time::{Instant, timeout_at};

/// The most of a body that is read, in bytes. One that is read to its end leaves the connection for the next call.
const MOST: usize = 16 << 10;
/// How long there is waited for it.
const PATIENCE: Duration = Duration::from_secs(1);

/// The first of a body, at most so many bytes: what there is of it by then.
pub async fn first_of(response: &mut Response, most: usize) -> Vec<u8> {
    read(response, most, PATIENCE).await
}

/// A body that is JSON; `None` when it is something else, too long or too late.
pub async fn json<T: DeserializeOwned>(response: Response) -> Option<T> {
    json_within(response, PATIENCE).await
}

/// The same where the body is what the call is for.
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
