//! Deliveries and their transitions.

use std::time::Duration;

use nodkey_kernel::{
    id::{DeliveryId, EndpointId, RelyingPartyId, TrusonaficationId},
    named,
    random::Random,
    time::Timestamp,
};
use url::Url;

use super::{EventType, Subject};
use crate::queues::queue;

/// Wait after each failed attempt, in seconds; there is none after the last. About three days in total.
const SCHEDULE: [u32; 11] = [5, 30, 120, 600, 1_800, 3_600, 10_800, 21_600, 43_200, 86_400, 86_400];
/// Maximum `Retry-After` of a receiver that is honored.
const MAX_RETRY_AFTER: Duration = Duration::from_hours(24);
/// The receiver wants no more deliveries.
pub(super) const GONE: i32 = 410;

named! {
    /// State of a delivery.
    pub enum State {
        /// Waiting for its next attempt.
        Pending = "pending",
        /// Accepted by the receiver.
        Succeeded = "succeeded",
        /// Given up: no attempt is left, the receiver wants no more, or its endpoint is disabled or deleted.
        Exhausted = "exhausted",
    }
}

/// A notification to one receiver.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Delivery {
    /// The `webhook-id`, the same at every attempt.
    pub id: DeliveryId,
    /// The relying party it belongs to.
    pub relying_party: RelyingPartyId,
    /// What it is about.
    pub subject: Subject,
    /// Event type.
    pub event_type: EventType,
    /// The endpoint whose keys sign it; `None` for a `callback_url`.
    pub endpoint: Option<EndpointId>,
    /// Name of the receiver's queue.
    pub queue: String,
    /// The URL it is sent to.
    pub url: String,
    /// JSON; empty in lists, which do not read it.
    pub body: String,
    /// State of the delivery.
    pub state: State,
    /// Number of attempts so far.
    pub attempt_count: i32,
    /// How many of them were made before it was redelivered.
    pub attempts_before: i32,
    /// When it is due; while reserved, when the reservation expires.
    pub next_attempt_at: Timestamp,
    /// When the fact happened.
    pub occurred_at: Timestamp,
    /// When it was created.
    pub created_at: Timestamp,
    /// Counts the changes, from 1.
    pub version: i64,
    /// `traceparent` of what it tells of (W3C Trace Context).
    pub traceparent: Option<String>,
}

/// One attempt of a delivery.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Attempt {
    /// Number of the attempt, from 1.
    pub number: i32,
    /// When it was started.
    pub started_at: Timestamp,
    /// Duration in milliseconds.
    pub duration_ms: i64,
    /// HTTP status; 0 if there was no response.
    pub status_code: i32,
    /// What went wrong, beyond the status.
    pub error: String,
    /// The beginning of the response body, as text.
    pub response: String,
}

impl Attempt {
    /// Whether the receiver accepted the delivery.
    #[must_use]
    pub const fn succeeded(&self) -> bool {
        200 <= self.status_code && self.status_code < 300
    }
}

/// The outcome of a reserved delivery.
#[derive(Clone, Debug)]
pub enum Outcome {
    /// An attempt was made, or failed just before sending.
    Attempted {
        /// The attempt.
        attempt: Attempt,
        /// `Retry-After` of the receiver.
        retry_after: Option<Duration>,
    },
    /// Its endpoint is disabled or deleted.
    Withdrawn,
}

impl Delivery {
    /// Applies the outcome of a reservation.
    #[must_use]
    pub fn settle(self, outcome: &Outcome, now: Timestamp, random: &Random) -> Self {
        let (state, next_attempt_at, attempt_count) = match outcome {
            Outcome::Withdrawn => (State::Exhausted, now, self.attempt_count),
            Outcome::Attempted { attempt, .. } if attempt.succeeded() => (State::Succeeded, now, attempt.number),
            Outcome::Attempted { attempt, retry_after } => {
                let wait = wait_after(attempt.number - self.attempts_before, random).filter(|_| attempt.status_code != GONE);
                match wait {
                    Some(wait) => (State::Pending, now + wait.max(retry_after.unwrap_or_default().min(MAX_RETRY_AFTER)), attempt.number),
                    None => (State::Exhausted, now, attempt.number),
                }
            }
        };
        Self { state, next_attempt_at, attempt_count, version: self.version + 1, ..self }
    }

    /// The trusonafication it is about, if any.
    #[must_use]
    pub const fn trusonafication(&self) -> Option<TrusonaficationId> {
        match self.subject {
            Subject::Trusonafication(id) => Some(id),
            _ => None,
        }
    }

    /// Redelivers it, whatever its state; the schedule starts over.
    #[must_use]
    pub fn again(self, now: Timestamp) -> Self {
        Self { state: State::Pending, next_attempt_at: now, attempts_before: self.attempt_count, version: self.version + 1, ..self }
    }
}

/// The queue of an endpoint, or that of the host of a `callback_url`.
#[must_use]
pub fn queue_of(party: RelyingPartyId, endpoint: Option<EndpointId>, url: &str) -> String {
    match endpoint {
        Some(endpoint) => queue(party, endpoint),
        None => queue(party, Url::parse(url).map_or_else(|_| String::new(), |url| url.origin().ascii_serialization())),
    }
}

/// The wait after a number of attempts, with up to a fifth of jitter to spread retries; `None` after the last.
fn wait_after(attempts: i32, random: &Random) -> Option<Duration> {
    let seconds = *SCHEDULE.get(usize::try_from(attempts - 1).ok()?)?;
    Some(Duration::from_secs(seconds.into()) + Duration::from_millis(random.below(seconds * 200).into()))
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
            subject: Subject::Trusonafication(TrusonaficationId::generate(now, &random)),
            event_type: EventType::Accepted,
            endpoint: None,
            queue: String::new(),
            url: "https://example.com".into(),
            body: "{}".into(),
            state: State::Pending,
            attempt_count: 0,
            attempts_before: 0,
            next_attempt_at: now,
            occurred_at: now,
            created_at: now,
            version: 1,
            traceparent: None,
        }
    }

    fn attempted(number: i32, status_code: i32, retry_after: Option<Duration>) -> Outcome {
        let started_at = Timestamp::from_seconds(0);
        let attempt = Attempt { number, started_at, duration_ms: 1, status_code, error: String::new(), response: String::new() };
        Outcome::Attempted { attempt, retry_after }
    }

    proptest! {
        #[test]
        fn attempts_go_on_for_three_days_unless_the_receiver_answers(
            seed: u64,
            before in 0..100_i32,
            statuses in prop::collection::vec(0..600_i32, 12),
            asked in prop::option::of(0..1_000_000_u64),
        ) {
            let (random, asked) = (Random::seeded(seed), asked.map(Duration::from_secs));
            let mut now = Timestamp::from_seconds(0);
            let mut d = Delivery { attempt_count: before, ..delivery() }.again(now);
            for (round, status) in (1..).zip(statuses) {
                d = d.settle(&attempted(before + round, status, asked), now, &random);
                let expected = match status {
                    200..300 => State::Succeeded,
                    410 => State::Exhausted,
                    _ if round == 12 => State::Exhausted,
                    _ => State::Pending,
                };
                prop_assert_eq!((d.state, d.attempt_count), (expected, before + round));
                prop_assert!(crate::invariants::check_delivery(&d).is_ok());
                if expected != State::Pending { return Ok(()); }
                let wait = now.until(d.next_attempt_at);
                prop_assert!(wait >= Duration::from_secs(5) && wait >= asked.unwrap_or_default().min(MAX_RETRY_AFTER));
                prop_assert!(wait <= Duration::from_mins(24 * 72));
                now = d.next_attempt_at;
            }
        }
    }

    #[test]
    fn a_receiver_that_never_answers_is_given_up_after_three_days() {
        let random = Random::seeded(1);
        let total: Duration = (1..=11).filter_map(|n| wait_after(n, &random)).sum();
        assert!(Duration::from_hours(70) < total && total < Duration::from_hours(90), "{total:?}");
        assert_eq!(wait_after(12, &random), None);
    }

    #[test]
    fn what_is_withdrawn_is_over_without_an_attempt() {
        let d = delivery().settle(&Outcome::Withdrawn, Timestamp::from_seconds(1), &Random::seeded(1));
        assert_eq!((d.state, d.attempt_count, d.version), (State::Exhausted, 0, 2));
    }

    #[test]
    fn callbacks_to_one_host_share_a_lane_and_endpoints_have_their_own() {
        let (now, random) = (Timestamp::from_seconds(0), Random::seeded(1));
        let (party, other) = (RelyingPartyId::generate(now, &random), RelyingPartyId::generate(now, &random));
        let endpoint = Some(EndpointId::generate(now, &random));
        let callback = queue_of(party, None, "https://example.com/a");
        assert_eq!(callback, queue_of(party, None, "https://example.com:443/b?c"));
        assert_ne!(callback, queue_of(other, None, "https://example.com/a"));
        assert_ne!(callback, queue_of(party, None, "https://example.com:8443/a"));
        assert_ne!(callback, queue_of(party, endpoint, "https://example.com/a"));
    }
}
