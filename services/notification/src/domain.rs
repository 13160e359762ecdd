//! A delivery and what becomes of it; how it is signed.

use std::time::Duration;

use base64::{Engine as _, engine::general_purpose::STANDARD};
use nodkey_kernel::{
    id::{DeliveryId, EndpointId, RelyingPartyId, TrusonaficationId},
    jose::hmac_sha256,
    random::Random,
    time::Timestamp,
};

/// How long to wait after each failed attempt, in seconds; nothing is tried after the last. About three days in all.
const SCHEDULE: [u64; 11] = [5, 30, 120, 600, 1_800, 3_600, 10_800, 21_600, 43_200, 86_400, 86_400];
/// The receiver wants no more.
const GONE: i32 = 410;
/// Before a secret, as Standard Webhooks has it.
const SECRET_PREFIX: &str = "whsec_";

/// What an endpoint can be told.
pub const EVENT_TYPES: [&str; 3] = ["trusonafication.accepted", "trusonafication.rejected", "trusonafication.expired"];

/// Where a delivery stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum State {
    /// Waits for its next attempt.
    Pending,
    /// The receiver has it.
    Succeeded,
    /// No attempt is left, or the receiver wants no more.
    Exhausted,
}

/// Something a backend is to be told.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Delivery {
    /// The `webhook-id`, the same at every attempt.
    pub id: DeliveryId,
    /// Whose.
    pub relying_party: RelyingPartyId,
    /// About which.
    pub trusonafication: TrusonaficationId,
    /// One of [`EVENT_TYPES`].
    pub event_type: String,
    /// Whose secret signs it; `None` for a `callback_url`.
    pub endpoint: Option<EndpointId>,
    /// Where to.
    pub url: String,
    /// JSON.
    pub body: String,
    /// Where it stands.
    pub state: State,
    /// Attempts so far.
    pub attempt_count: i32,
    /// When it is due; while somebody sends it, when they are given up.
    pub next_attempt_at: Timestamp,
    /// When there was something to tell.
    pub created_at: Timestamp,
    /// Counts the changes, from 1.
    pub version: i64,
}

/// What happened at an attempt.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Attempt {
    /// Which, from 1.
    pub number: i32,
    /// When.
    pub started_at: Timestamp,
    /// How long it took, in milliseconds.
    pub duration_ms: i64,
    /// HTTP status; 0 when there was no answer.
    pub status_code: i32,
    /// Why there was no answer.
    pub error: String,
}

impl Attempt {
    /// Tells whether the receiver has taken it.
    #[must_use]
    pub const fn succeeded(&self) -> bool {
        200 <= self.status_code && self.status_code < 300
    }
}

impl Delivery {
    /// Reserves it until `lease` is over, so that nobody else sends it meanwhile.
    #[must_use]
    pub fn claim(self, lease: Duration, now: Timestamp) -> Self {
        Self { next_attempt_at: now + lease, version: self.version + 1, ..self }
    }

    /// Takes the outcome of an attempt.
    #[must_use]
    pub fn settle(self, attempt: &Attempt, now: Timestamp, random: &Random) -> Self {
        let retry = retry_after(attempt.number, random).filter(|_| attempt.status_code != GONE);
        let (state, next_attempt_at) = match (attempt.succeeded(), retry) {
            (true, _) => (State::Succeeded, now),
            (false, Some(wait)) => (State::Pending, now + wait),
            (false, None) => (State::Exhausted, now),
        };
        Self { state, next_attempt_at, attempt_count: attempt.number, version: self.version + 1, ..self }
    }

    /// Sends it again, whatever its state.
    #[must_use]
    pub fn again(self, now: Timestamp) -> Self {
        Self { state: State::Pending, next_attempt_at: now, version: self.version + 1, ..self }
    }
}

/// How long to wait after attempt `number`, with up to a fifth more so that not everybody comes at once; `None` after the last.
fn retry_after(number: i32, random: &Random) -> Option<Duration> {
    let seconds = *SCHEDULE.get(usize::try_from(number - 1).ok()?)?;
    let fifth = u32::try_from(seconds * 200).unwrap_or(u32::MAX);
    Some(Duration::from_secs(seconds) + Duration::from_millis(random.below(fifth.max(1)).into()))
}

/// Makes a secret of an endpoint: `whsec_` and 32 random bytes in base64.
#[must_use]
pub fn new_secret(random: &Random) -> String {
    format!("{SECRET_PREFIX}{}", STANDARD.encode(random.bytes::<32>()))
}

/// Signs as Standard Webhooks has it: the HMAC-SHA256 of `id.timestamp.body`. `None` when the secret is none.
#[must_use]
pub fn signature(secret: &str, id: &str, timestamp: i64, body: &str) -> Option<String> {
    let key = STANDARD.decode(secret.strip_prefix(SECRET_PREFIX)?).ok()?;
    Some(format!("v1,{}", STANDARD.encode(hmac_sha256(&key, format!("{id}.{timestamp}.{body}").as_bytes()))))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn delivery() -> Delivery {
        let (now, random) = (Timestamp::from_seconds(0), Random::seeded(1));
        Delivery {
            id: DeliveryId::generate(now, &random),
            relying_party: RelyingPartyId::generate(now, &random),
            trusonafication: TrusonaficationId::generate(now, &random),
            event_type: EVENT_TYPES[0].into(),
            endpoint: None,
            url: "https://example.com".into(),
            body: "{}".into(),
            state: State::Pending,
            attempt_count: 0,
            next_attempt_at: now,
            created_at: now,
            version: 1,
        }
    }

    fn attempt(number: i32, status_code: i32) -> Attempt {
        Attempt { number, started_at: Timestamp::from_seconds(0), duration_ms: 1, status_code, error: String::new() }
    }

    proptest! {
        #[test]
        fn attempts_go_on_for_three_days_unless_the_receiver_answers(seed: u64, statuses in prop::collection::vec(0..600_i32, 12)) {
            let random = Random::seeded(seed);
            let (mut now, mut d) = (Timestamp::from_seconds(0), delivery());
            for (number, status) in (1..).zip(statuses) {
                d = d.claim(Duration::from_secs(40), now).settle(&attempt(number, status), now, &random);
                let expected = match status {
                    200..300 => State::Succeeded,
                    410 => State::Exhausted,
                    _ if number == 12 => State::Exhausted,
                    _ => State::Pending,
                };
                prop_assert_eq!((d.state, d.attempt_count), (expected, number));
                if expected != State::Pending { return Ok(()); }
                prop_assert!(d.next_attempt_at > now);
                now = d.next_attempt_at;
            }
        }
    }

    #[test]
    fn a_receiver_that_never_answers_is_given_up_after_three_days() {
        let random = Random::seeded(1);
        let total: Duration = (1..=11).filter_map(|n| retry_after(n, &random)).sum();
        assert!(Duration::from_hours(70) < total && total < Duration::from_hours(90), "{total:?}");
        assert_eq!(retry_after(12, &random), None);
    }

    /// The example of the Standard Webhooks libraries.
    #[test]
    fn the_signature_is_that_of_standard_webhooks() {
        let signed =
            signature("whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw", "msg_p5jXN8AQM9LWM0D4loKWxJek", 1_614_265_330, r#"{"test": 2432232314}"#);
        assert_eq!(signed.as_deref(), Some("v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE="));
        assert_eq!(signature("secret", "id", 0, ""), None);
        assert!(signature(&new_secret(&Random::seeded(1)), "id", 0, "").is_some());
    }
}
