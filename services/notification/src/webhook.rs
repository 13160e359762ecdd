//! One delivery attempt: network I/O only, outside any transaction.

use std::{
    pin::pin,
    sync::Arc,
    time::{Duration, Instant},
};

use nodkey_kernel::{
    error::{Classify as _, Kind, chain},
    time::Timestamp,
    webhook::{self, SigningKeys},
};
use nodkey_runtime::Failure;
use nodkey_trace::{Following, FutureExt as _, KeyValue, SpanKind, TRACEPARENT, attribute, traceparent};
use reqwest::{
    Client, RequestBuilder,
    header::{DATE, HeaderMap, HeaderValue, RETRY_AFTER},
    redirect::Policy,
};
use tokio::sync::{mpsc, oneshot};
use tracing::{info, warn};

use crate::{
    answer::first_of,
    app::{App, Settled},
    cause,
    domain::{Attempt, Delivery, Outcome},
    guard::Guard,
    metrics::{AttemptOutcome, DELIVERY_ATTEMPT_SECONDS, DELIVERY_ATTEMPTS, DELIVERY_FIRST_ATTEMPT_SECONDS},
    queues::Outgoing,
};

/// Maximum length of a stored cause, in characters.
const MAX_CAUSE: usize = 300;
/// Maximum size of a stored response body, in bytes.
const KEPT_ANSWER: usize = 1 << 10;
/// How often a reservation is renewed while its delivery is being sent.
const RENEWAL: Duration = Duration::from_secs(3);
/// Maximum number of outcomes recorded in one transaction.
const BATCH: usize = 64;

/// Sends deliveries over HTTP. Cheap to clone.
#[derive(Clone, Debug)]
pub struct Webhooks {
    app: App,
    client: Client,
    guard: Guard,
    outcomes: mpsc::Sender<Recording>,
}

/// An outcome to be recorded; the sender is notified when it is.
type Recording = (Settled, oneshot::Sender<()>);

/// The delivery was not attempted, and will be when the reservation expires: the fault is ours, not the receiver's.
struct NotNow(String);

impl Webhooks {
    /// Creates the sender, and the task that records its outcomes. Redirects are not followed: a receiver must be registered with its own
    /// URL.
    pub fn new(app: App, guard: Guard, timeout: Duration) -> anyhow::Result<(Self, impl Future<Output = ()> + Send + 'static)> {
        let client = Client::builder()
            .timeout(timeout)
            .redirect(Policy::none())
            .dns_resolver(Arc::new(guard.clone()))
            // A proxy from the environment would resolve names by itself.
            .no_proxy()
            .user_agent(concat!("Nodkey/", env!("CARGO_PKG_VERSION")))
            .build()?;
        let (outcomes, recordings) = mpsc::channel(BATCH);
        Ok((Self { app: app.clone(), client, guard, outcomes }, record(app, recordings)))
    }

    async fn attempt(&self, claimed: &Delivery) -> Result<Outcome, NotNow> {
        let (started_at, clock) = (self.app.now(), Instant::now());
        let Some((url, request)) = self.prepare(claimed, started_at).await? else { return Ok(Outcome::Withdrawn) };
        let request = match traceparent() {
            Some(traceparent) => request.header(TRACEPARENT, traceparent),
            None => request,
        };
        let answer = match self.guard.0.check(&url) {
            Ok(_) => exchange(request, started_at).await,
            Err(refused) => Err(format!("the URL {refused}")),
        };
        let duration = clock.elapsed();
        let (answer, error) = match answer {
            Ok(answer) => (answer, String::new()),
            Err(cause) => (Answer::default(), cause.chars().take(MAX_CAUSE).collect()),
        };
        let attempt = Attempt {
            number: claimed.attempt_count + 1,
            started_at,
            duration_ms: i64::try_from(duration.as_millis()).unwrap_or(i64::MAX),
            status_code: answer.status_code,
            error: if error.is_empty() { answer.remark } else { error },
            response: answer.text,
        };
        let outcome = if attempt.succeeded() { AttemptOutcome::Succeeded } else { AttemptOutcome::Failed };
        DELIVERY_ATTEMPTS.with(outcome).increment(1);
        DELIVERY_ATTEMPT_SECONDS.record(duration);
        if claimed.attempt_count == 0 {
            DELIVERY_FIRST_ATTEMPT_SECONDS.record(claimed.occurred_at.until(started_at));
        }
        info!(delivery = %claimed.id, attempt = attempt.number, status = attempt.status_code, error = attempt.error, "delivery attempted");
        Ok(Outcome::Attempted { attempt, retry_after: answer.retry_after })
    }

    /// The URL and the signed request; `None` if the endpoint is disabled or deleted, or the subject no longer exists.
    async fn prepare(&self, claimed: &Delivery, now: Timestamp) -> Result<Option<(String, RequestBuilder)>, NotNow> {
        let post = |url: &str, keys: &[SigningKeys]| {
            let fields = header_fields(claimed, keys, now).into_iter();
            fields.fold(self.client.post(url), |request, (name, value)| request.header(name, value))
        };
        let Some(endpoint) = claimed.endpoint else {
            let body = match self.app.callback(claimed).await {
                Ok(body) => body,
                // Deleted in the meantime: its result can no longer be signed.
                Err(e) if e.kind() == Kind::NotFound => return Ok(None),
                Err(e) => return Err(NotNow(chain(&e))),
            };
            return Ok(Some((claimed.url.clone(), post(&claimed.url, &[]).body(body))));
        };
        let found = self.app.signing_keys(claimed.relying_party, endpoint).await.map_err(|e| NotNow(chain(&e)))?;
        let Some((url, keys)) = found else { return Ok(None) };
        let request = post(&url, &keys).body(claimed.body.clone());
        Ok(Some((url, request)))
    }
}

/// The header fields of a request that is sent now: the type of its body, and what is signed, with a signature by each of the keys.
pub fn header_fields(delivery: &Delivery, keys: &[SigningKeys], now: Timestamp) -> Vec<(&'static str, String)> {
    let (id, timestamp) = (delivery.id.to_string(), now.as_seconds());
    let signatures: Vec<_> = keys.iter().map(|keys| keys.sign(&id, timestamp, &delivery.body)).collect();
    let mut fields = vec![
        ("content-type", "application/json; charset=utf-8".to_owned()),
        (webhook::ID, id),
        (webhook::TIMESTAMP, timestamp.to_string()),
    ];
    if !signatures.is_empty() {
        fields.push((webhook::SIGNATURE, signatures.join(" ")));
    }
    fields
}

impl Outgoing for Webhooks {
    type Item = Delivery;

    async fn queues(&self, after: &str, limit: usize) -> Result<Vec<String>, Failure> {
        self.app.queues(after, limit).await
    }

    async fn claim(&self, queue: &str, limit: usize) -> Result<Vec<Delivery>, Failure> {
        self.app.claim(queue, limit).await
    }

    async fn send(&self, claimed: Delivery) -> bool {
        let span = Following::from(claimed.traceparent.as_deref(), SpanKind::Client, || None);
        let outcome = {
            let mut attempt = pin!(self.attempt(&claimed).with_context(span.context()));
            loop {
                tokio::select! {
                    outcome = &mut attempt => break outcome,
                    () = tokio::time::sleep(RENEWAL) => drop(self.app.renew(&claimed).await),
                }
            }
        };
        describe(&span, outcome.as_ref().ok());
        drop(span);
        let outcome = match outcome {
            Ok(outcome) => outcome,
            Err(NotNow(cause)) => {
                warn!(delivery = %claimed.id, cause, "a delivery could not be signed; trying again");
                return false;
            }
        };
        let well = !matches!(&outcome, Outcome::Attempted { attempt, .. } if !attempt.succeeded());
        let (recorded, done) = oneshot::channel();
        if self.outcomes.send((Settled { delivery: claimed, outcome }, recorded)).await.is_ok() {
            let _ = done.await;
        }
        well
    }
}

/// Describes the span of an attempt. The URL is the receiver's business: it may hold a secret.
fn describe(span: &Following, outcome: Option<&Outcome>) {
    let attempt = if let Some(Outcome::Attempted { attempt, .. }) = outcome { Some(attempt) } else { None };
    span.describe(|| {
        let mut attributes = vec![KeyValue::new(attribute::HTTP_REQUEST_METHOD, "POST")];
        if let Some(attempt) = attempt {
            attributes.push(KeyValue::new(attribute::HTTP_REQUEST_RESEND_COUNT, i64::from(attempt.number - 1)));
            let status = (attempt.status_code != 0).then_some(i64::from(attempt.status_code));
            attributes.extend(status.map(|status| KeyValue::new(attribute::HTTP_RESPONSE_STATUS_CODE, status)));
        }
        ("webhook POST".into(), attributes)
    });
    match attempt {
        Some(attempt) if attempt.succeeded() => {}
        Some(attempt) if attempt.status_code != 0 => span.fail(attempt.status_code.to_string()),
        Some(_) => span.fail("no_response"),
        // Withdrawn, or to be tried again because of a fault of ours.
        None if outcome.is_some() => {}
        None => span.fail("not_attempted"),
    }
}

/// Records outcomes, batching those that have accumulated; ends when all senders are gone.
async fn record(app: App, mut recordings: mpsc::Receiver<Recording>) {
    let mut batch = Vec::with_capacity(BATCH);
    while recordings.recv_many(&mut batch, BATCH).await > 0 {
        let (settled, told): (Vec<_>, Vec<_>) = batch.drain(..).unzip();
        if let Err(e) = app.settle(settled).await {
            // The reservations expire and the deliveries are sent again: at least once, not exactly once.
            warn!(deliveries = told.len(), error = chain(&e), "the outcome of deliveries could not be recorded");
        }
        for recorded in told {
            let _ = recorded.send(());
        }
    }
}

/// The response.
#[derive(Debug, Default)]
struct Answer {
    status_code: i32,
    retry_after: Option<Duration>,
    remark: String,
    text: String,
}

/// Sends a request and reads the response, or returns why there is none.
async fn exchange(request: RequestBuilder, now: Timestamp) -> Result<Answer, String> {
    let mut response = request.send().await.map_err(|e| cause::of(&e.without_url()))?;
    let status = response.status();
    let retry_after = response.headers().get(RETRY_AFTER).and_then(|text| retry_after(text, now));
    let remark = if status.is_redirection() {
        "redirects are not followed: the URL must be the receiver's own".to_owned()
    } else if status.is_client_error() {
        clock_remark(response.headers(), now)
    } else {
        String::new()
    };
    let text = printable(&first_of(&mut response, KEPT_ANSWER).await);
    Ok(Answer { status_code: i32::from(status.as_u16()), retry_after, remark, text })
}

/// Parses seconds or a date (RFC 9110 section 10.2.3).
pub fn retry_after(text: &HeaderValue, now: Timestamp) -> Option<Duration> {
    let text = text.to_str().ok()?;
    let seconds = text.parse().map(Duration::from_secs);
    seconds.ok().or_else(|| Timestamp::parse_http_date(text).ok().map(|at| now.until(at)))
}

/// A remark if the receiver's clock is so far off that signatures look outdated to it.
fn clock_remark(headers: &HeaderMap, now: Timestamp) -> String {
    let theirs = headers.get(DATE).and_then(|text| Timestamp::parse_http_date(text.to_str().ok()?).ok());
    let off = theirs.map_or(0, |theirs| theirs.as_seconds().abs_diff(now.as_seconds()));
    if off > webhook::TOLERANCE.as_secs() {
        format!("the receiver's clock is {off} s off this one: to it the signature is out of date")
    } else {
        String::new()
    }
}

/// Replaces characters that databases or terminals cannot handle.
fn printable(bytes: &[u8]) -> String {
    let text = String::from_utf8_lossy(bytes);
    text.chars().map(|c| if c.is_control() && c != '\n' && c != '\t' { char::REPLACEMENT_CHARACTER } else { c }).collect()
}

#[cfg(test)]
mod tests {
    use tokio::{
        io::{AsyncReadExt as _, AsyncWriteExt as _},
        net::TcpListener,
    };

    use super::*;

    #[test]
    fn what_is_kept_of_an_answer_can_be_stored_and_shown() {
        assert_eq!(printable(b"no\0 \x1b[31mred\nline\xff"), "no\u{fffd} \u{fffd}[31mred\nline\u{fffd}");
    }

    #[test]
    fn a_receiver_says_when_in_seconds_or_by_date() {
        let now = Timestamp::from_seconds(784_111_777);
        let after = |text: &str| retry_after(&text.parse().unwrap(), now);
        assert_eq!(after("120"), Some(Duration::from_mins(2)));
        assert_eq!(after("Sun, 06 Nov 1994 08:50:37 GMT"), Some(Duration::from_mins(1)));
        assert_eq!(after("Sun, 06 Nov 1994 08:00:00 GMT"), Some(Duration::ZERO));
        assert_eq!(after("soon"), None);
    }

    #[test]
    fn a_clock_that_is_off_is_remarked() {
        let now = Timestamp::from_seconds(784_111_777);
        let remark = |text: &str| clock_remark(&HeaderMap::from_iter([(DATE, text.parse().unwrap())]), now);
        assert_eq!(remark("Sun, 06 Nov 1994 08:49:37 GMT"), "");
        assert!(remark("Sun, 06 Nov 1994 08:39:37 GMT").contains("600 s"));
    }

    /// Serves one connection: answers a request with `head`, and then sends a byte from time to time.
    async fn dripping(head: &'static [u8]) -> String {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}/", listener.local_addr().unwrap());
        tokio::spawn(async move {
            let (mut stream, _) = listener.accept().await.unwrap();
            assert!(stream.read(&mut [0; 4096]).await.unwrap() > 0);
            stream.write_all(head).await.unwrap();
            while stream.write_all(b"x").await.is_ok() {
                tokio::time::sleep(Duration::from_millis(20)).await;
            }
        });
        url
    }

    #[tokio::test]
    async fn an_answer_that_drips_is_cut_off_and_its_status_counts_if_it_came() {
        nodkey_runtime::install_crypto_provider();
        let client = Client::builder().timeout(Duration::from_millis(300)).build().unwrap();
        let now = Timestamp::from_seconds(0);
        let url = dripping(b"HTTP/1.1 200 OK\r\nx-").await;
        assert_eq!(exchange(client.post(url), now).await.unwrap_err(), "no answer in time");
        let url = dripping(b"HTTP/1.1 200 OK\r\ncontent-length: 1000000\r\n\r\n").await;
        let answer = exchange(client.post(url), now).await.unwrap();
        assert_eq!(answer.status_code, 200);
        assert!(answer.text.starts_with('x'), "{}", answer.text);
    }

    #[tokio::test]
    async fn an_answer_that_is_left_open_is_not_waited_for_longer_than_its_status() {
        nodkey_runtime::install_crypto_provider();
        let client = Client::builder().build().unwrap();
        for head in
            ["HTTP/1.1 200 OK\r\ncontent-length: 1000000\r\n\r\nwell", "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n4\r\nwell\r\n"]
        {
            let url = open(head.as_bytes()).await;
            let answer = exchange(client.post(url), Timestamp::from_seconds(0)).await.unwrap();
            assert_eq!((answer.status_code, answer.text.as_str()), (200, "well"));
        }
    }

    /// Serves one connection: answers a request with `head`, and then sends nothing, forever.
    async fn open(head: &'static [u8]) -> String {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}/", listener.local_addr().unwrap());
        tokio::spawn(async move {
            let (mut stream, _) = listener.accept().await.unwrap();
            assert!(stream.read(&mut [0; 4096]).await.unwrap() > 0);
            stream.write_all(head).await.unwrap();
            std::future::pending::<()>().await;
        });
        url
    }
}
