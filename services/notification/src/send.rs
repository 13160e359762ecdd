//! One attempt to deliver: network I/O only, outside any transaction.

use std::{
    pin::pin,
    sync::Arc,
    time::{Duration, Instant},
};

use metrics::{counter, histogram};
use nodkey_kernel::error::chain;
use reqwest::{Client, header::CONTENT_TYPE, redirect::Policy};
use tracing::{info, warn};

use crate::{
    app::{App, RENEWAL},
    domain::{Attempt, Delivery, signature},
    guard::Guard,
};

/// The most of a cause that is kept, in characters.
const MAX_CAUSE: usize = 300;

/// Sends deliveries over HTTP.
#[derive(Clone, Debug)]
pub struct Sender {
    app: App,
    client: Client,
    guard: Guard,
}

impl Sender {
    /// Makes one. Redirects are not followed: a receiver names its own address.
    pub fn new(app: App, guard: Guard, timeout: Duration) -> anyhow::Result<Self> {
        let client = Client::builder()
            .timeout(timeout)
            .redirect(Policy::none())
            .dns_resolver(Arc::new(guard.clone()))
            // A proxy of the environment would resolve names by itself.
            .no_proxy()
            .user_agent(concat!("Nodkey/", env!("CARGO_PKG_VERSION")))
            .build()?;
        Ok(Self { app, client, guard })
    }

    /// Attempts a delivery that was reserved, and records what happened.
    pub async fn attempt(&self, mut claimed: Delivery) {
        let (id, delivery) = (claimed.id, claimed.clone());
        let (started_at, clock) = (self.app.now(), Instant::now());
        let mut post = pin!(self.post(&delivery));
        let outcome = loop {
            tokio::select! {
                outcome = &mut post => break outcome,
                () = tokio::time::sleep(RENEWAL) => {
                    if let Ok(Some(renewed)) = self.app.renew(claimed.clone()).await {
                        claimed = renewed;
                    }
                }
            }
        };
        let (status_code, error) = match outcome {
            Ok(status) => (status, String::new()),
            Err(cause) => (0, cause.chars().take(MAX_CAUSE).collect()),
        };
        let duration = clock.elapsed();
        let attempt = Attempt {
            number: claimed.attempt_count + 1,
            started_at,
            duration_ms: i64::try_from(duration.as_millis()).unwrap_or(i64::MAX),
            status_code,
            error,
        };
        let outcome = if attempt.succeeded() { "succeeded" } else { "failed" };
        counter!("nodkey_delivery_attempts_total", "outcome" => outcome).increment(1);
        histogram!("nodkey_delivery_attempt_seconds").record(duration.as_secs_f64());
        info!(delivery = %id, attempt = attempt.number, status = attempt.status_code, outcome, "delivery attempted");
        if let Err(e) = self.app.settle(claimed, &attempt).await {
            // The reservation runs out and it is sent again: at least once, not exactly once.
            warn!(delivery = %id, error = chain(&e), "the outcome of a delivery could not be recorded");
        }
    }

    /// Returns the HTTP status, or why there is none.
    async fn post(&self, delivery: &Delivery) -> Result<i32, String> {
        self.guard.check(&delivery.url).map_err(|blocked| blocked.to_string())?;
        let timestamp = self.app.now().as_seconds();
        let id = delivery.id.to_string();
        let mut request = self
            .client
            .post(&delivery.url)
            .header(CONTENT_TYPE, "application/json; charset=utf-8")
            .header("webhook-id", &id)
            .header("webhook-timestamp", timestamp);
        if let Some(endpoint) = delivery.endpoint {
            let secret = self.app.secret(delivery.relying_party, endpoint).await.map_err(|e| e.to_string())?;
            let secret = secret.ok_or("the endpoint was deleted")?;
            let signature = signature(&secret, &id, timestamp, &delivery.body).ok_or("the secret of the endpoint is none")?;
            request = request.header("webhook-signature", signature);
        }
        let answer = request.body(delivery.body.clone()).send().await.map_err(|e| chain(&e.without_url()))?;
        Ok(i32::from(answer.status().as_u16()))
    }
}
