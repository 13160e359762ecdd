//! Waking phones: a push only tells the phone to look. Challenges wait for the phone whether it is pushed or not.

mod address;
mod apns;
mod fcm;
mod webpush;

use std::{sync::Arc, time::Duration};

use nodkey_kernel::{
    error::chain,
    id::{DeviceId, RelyingPartyId},
    random::Random,
    time::Timestamp,
};
use nodkey_runtime::Failure;
use nodkey_trace::{Following, FutureExt as _, KeyValue, SpanKind, attribute};
use reqwest::{Client, StatusCode, header::RETRY_AFTER, redirect::Policy};
use serde::{Deserialize, Serialize};
use tracing::{info, warn};

use crate::{
    app::App,
    cause,
    config::PushConfig,
    guard::Guard,
    metrics::{PUSH_ATTEMPTS, PushOutcome},
    queues::Outgoing,
};

pub use self::{
    address::{Address, Provider, SubscriptionKeys},
    webpush::vapid_public_key,
};

/// Timeout of a provider's answer.
const TIMEOUT: Duration = Duration::from_secs(10);
/// Maximum length of a stored explanation of a provider, in characters.
const MAX_REASON: usize = 200;

/// The credentials of a relying party for a provider. Sealed when stored.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "provider", rename_all = "lowercase")]
pub enum Credentials {
    /// Token authentication of APNs.
    Apns {
        /// Team id of the developer account.
        team_id: String,
        /// Id of the key.
        key_id: String,
        /// Private key in PKCS #8, PEM.
        private_key: String,
        /// Bundle id of the app.
        topic: String,
        /// Whether the app is a development build.
        sandbox: bool,
        /// The alert that the phone shows.
        alert: String,
    },
    /// A service account of FCM.
    Fcm {
        /// Id of the Firebase project.
        project_id: String,
        /// The service account that signs.
        client_email: String,
        /// Private key in PKCS #8, PEM.
        private_key: String,
    },
    /// VAPID (RFC 8292).
    WebPush {
        /// Contact for the push service: `mailto:` or `https://`.
        subject: String,
        /// The P-256 private key in base64url.
        private_key: String,
    },
}

impl Credentials {
    /// The provider they are for.
    #[must_use]
    pub const fn provider(&self) -> Provider {
        match self {
            Self::Apns { .. } => Provider::Apns,
            Self::Fcm { .. } => Provider::Fcm,
            Self::WebPush { .. } => Provider::WebPush,
        }
    }

    /// Checks that they can sign; the error says what is wrong.
    pub fn check(&self) -> Result<(), &'static str> {
        match self {
            Self::Apns { private_key, .. } => apns::check_key(private_key),
            Self::Fcm { private_key, .. } => fcm::check_key(private_key),
            Self::WebPush { .. } => Ok(()),
        }
    }
}

/// Credentials with their version: tokens made with other credentials are no longer used.
#[derive(Clone, Debug)]
pub struct Configuration {
    /// The credentials.
    pub credentials: Credentials,
    /// Identifies the version: relying party and time of change.
    pub version: String,
}

/// A push configuration as stored.
#[derive(Clone, Debug)]
pub struct KeptConfiguration {
    /// The provider it is for.
    pub provider: Provider,
    /// Sealed credentials.
    pub sealed_credentials: Vec<u8>,
    /// Description for people.
    pub description: String,
    /// Public VAPID key; empty for others.
    pub public_key: String,
    /// When it was set.
    pub updated_at: Timestamp,
    /// The provider's last refusal, and when.
    pub last_failure: Option<(String, Timestamp)>,
}

/// A phone to be woken.
#[derive(Clone, Debug)]
pub struct Push {
    /// The relying party it belongs to.
    pub relying_party: RelyingPartyId,
    /// The device.
    pub device: DeviceId,
    /// Number of attempts, including this one.
    pub attempt_count: i32,
    /// When the push expires.
    pub expires_at: Timestamp,
    /// Whether every trusonafication that it was to wake the phone for has ended.
    pub over: bool,
    /// Counts the changes, from 1.
    pub version: i64,
    /// `traceparent` of the latest of what it wakes the phone for (W3C Trace Context).
    pub traceparent: Option<String>,
}

/// The verdict of a provider.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// Accepted.
    Sent,
    /// The address is no longer valid.
    Dead,
    /// Temporarily refused; retry after this time, if given.
    Later(Option<Duration>, String),
    /// Refused: the relying party has to change something.
    Refused(String),
}

impl Verdict {
    const fn outcome(&self) -> PushOutcome {
        match self {
            Self::Sent => PushOutcome::Sent,
            Self::Dead => PushOutcome::Dead,
            Self::Later(..) => PushOutcome::Later,
            Self::Refused(_) => PushOutcome::Refused,
        }
    }
}

/// Sends pushes to all providers. Cheap to clone.
#[derive(Clone, Debug)]
pub struct Pushes {
    app: App,
    random: Random,
    apns: Arc<apns::Apns>,
    fcm: Arc<fcm::Fcm>,
    /// Client for URLs that phones name.
    guarded: Client,
    guard: Guard,
}

impl Pushes {
    /// Creates the sender.
    pub fn new(app: App, random: Random, guard: Guard, config: &PushConfig) -> anyhow::Result<Self> {
        let builder = || {
            let agent = concat!("Nodkey/", env!("CARGO_PKG_VERSION"));
            Client::builder().timeout(TIMEOUT).redirect(Policy::none()).no_proxy().user_agent(agent)
        };
        let guarded = builder().dns_resolver(Arc::new(guard.clone())).build()?;
        // APNs only speaks HTTP/2.
        let apns = apns::Apns::new(builder().http2_prior_knowledge().build()?, config);
        let fcm = fcm::Fcm::new(builder().build()?, config);
        Ok(Self { app, random, apns: Arc::new(apns), fcm: Arc::new(fcm), guarded, guard })
    }

    async fn post(&self, provider: Provider, address: &Address, configuration: Option<&Configuration>, push: &Push) -> Verdict {
        let now = self.app.now();
        let credentials = configuration.map(|c| &c.credentials);
        match (provider, address, configuration, credentials) {
            (Provider::Apns, Address::Token { token }, Some(configuration), _) => self.apns.send(token, configuration, push, now).await,
            (Provider::Fcm, Address::Token { token }, Some(configuration), _) => self.fcm.send(token, configuration, push, now).await,
            (Provider::WebPush | Provider::UnifiedPush, Address::Subscription { endpoint, keys }, _, vapid) => {
                if let Err(refused) = self.guard.0.check(endpoint) {
                    return Verdict::Refused(format!("the endpoint {refused}"));
                }
                let request = webpush::request(&self.guarded, &self.random, endpoint, keys.as_ref(), vapid, push, now);
                match request {
                    Ok(request) => webpush::send(request, now).await,
                    Err(cause) => Verdict::Refused(cause.to_owned()),
                }
            }
            _ => Verdict::Refused("the relying party has no credentials for this provider".to_owned()),
        }
    }
}

impl Outgoing for Pushes {
    type Item = Push;

    async fn queues(&self, after: &str, limit: usize) -> Result<Vec<String>, Failure> {
        self.app.push_queues(after, limit).await
    }

    async fn claim(&self, queue: &str, limit: usize) -> Result<Vec<Push>, Failure> {
        self.app.claim_pushes(queue, limit).await
    }

    async fn send(&self, push: Push) -> bool {
        let target = match self.app.push_target(&push).await {
            Ok(target) => target,
            Err(e) => {
                warn!(error = chain(&e), "a push could not be prepared; trying again");
                return false;
            }
        };
        // The phone has no registration any more, or it is too late.
        let Some((registration, configuration)) = target else { return true };
        let provider = registration.provider;
        let span = Following::from(push.traceparent.as_deref(), SpanKind::Client, || None);
        span.describe(|| (format!("push {}", provider.as_str()).into(), vec![KeyValue::new(attribute::HTTP_REQUEST_METHOD, "POST")]));
        let verdict = self.post(provider, &registration.address, configuration.as_ref(), &push).with_context(span.context()).await;
        if verdict != Verdict::Sent {
            span.fail(verdict.outcome().as_str());
        }
        drop(span);
        PUSH_ATTEMPTS.with((provider, verdict.outcome())).increment(1);
        info!(device = %push.device, provider = provider.as_str(), verdict = ?verdict, "push attempted");
        let well = matches!(verdict, Verdict::Sent | Verdict::Dead);
        if let Err(e) = self.app.settle_push(&push, &registration, verdict).await {
            warn!(error = chain(&e), "the outcome of a push could not be recorded; it may be sent again");
        }
        well
    }
}

/// Whether a status means too many requests or a temporary failure, as used by all providers.
fn is_passing(status: StatusCode) -> bool {
    status == StatusCode::TOO_MANY_REQUESTS || status.is_server_error()
}

fn retry_after(response: &reqwest::Response, now: Timestamp) -> Option<Duration> {
    crate::webhook::retry_after(response.headers().get(RETRY_AFTER)?, now)
}

fn unreachable(error: reqwest::Error) -> Verdict {
    Verdict::Later(None, reason(&cause::of(&error.without_url())))
}

/// A provider's explanation, short enough to store and safe to display.
fn reason(text: &str) -> String {
    text.chars().filter(|c| !c.is_control()).take(MAX_REASON).collect()
}
