//! Webhook endpoints: which events a relying party wants at which URL, and the health of the receiver.

use std::time::Duration;

use nodkey_kernel::{
    id::{EndpointId, RelyingPartyId},
    named,
    time::Timestamp,
};

use super::{
    EventType,
    delivery::{Attempt, GONE},
};

/// A webhook endpoint of a relying party.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Endpoint {
    /// Identifier of the endpoint.
    pub id: EndpointId,
    /// The relying party it belongs to.
    pub relying_party: RelyingPartyId,
    /// The URL.
    pub url: String,
    /// Event types it wants; empty: all.
    pub event_types: Vec<EventType>,
    /// Sealed signing keys.
    pub sealed_keys: Vec<u8>,
    /// Sealed previous signing keys, and when they stop signing as well.
    pub previous_keys: Option<(Vec<u8>, Timestamp)>,
    /// All sealed previous signing keys that also sign, each with its own end, sealed together.
    pub older_keys: Option<Vec<u8>>,
    /// Why it is disabled, and since when.
    pub disabled: Option<(DisabledReason, Timestamp)>,
    /// Since when every attempt has failed.
    pub failing_since: Option<Timestamp>,
    /// When it was created.
    pub created_at: Timestamp,
    /// Counts the changes, from 1.
    pub version: i64,
}

named! {
    /// Why an endpoint is disabled.
    pub enum DisabledReason {
        /// Its owner disabled it.
        Owner = "owner",
        /// It answered 410.
        Gone = "gone",
        /// Every attempt failed for days.
        Failing = "failing",
    }
}

impl Endpoint {
    /// Whether it wants events of this type.
    #[must_use]
    pub fn wants(&self, event_type: EventType) -> bool {
        self.event_types.is_empty() || self.event_types.contains(&event_type)
    }

    /// Enables or disables it. Enabling resets its health.
    #[must_use]
    pub fn switch(mut self, on: bool, now: Timestamp) -> Self {
        if on && self.disabled.is_some() {
            (self.disabled, self.failing_since) = (None, None);
        } else if !on && self.disabled.is_none() {
            self.disabled = Some((DisabledReason::Owner, now));
        }
        self
    }

    /// Updates its health after an attempt; `None` if nothing changes.
    #[must_use]
    pub fn learn(&self, attempt: &Attempt, patience: Duration, now: Timestamp) -> Option<Self> {
        let failing_since = if attempt.succeeded() { None } else { Some(self.failing_since.unwrap_or(attempt.started_at)) };
        let reason = match failing_since {
            _ if attempt.status_code == GONE => Some(DisabledReason::Gone),
            Some(since) if since.until(now) >= patience => Some(DisabledReason::Failing),
            _ => None,
        };
        let disabled = self.disabled.or_else(|| reason.map(|reason| (reason, now)));
        let learned = Self { failing_since, disabled, version: self.version + 1, ..self.clone() };
        (learned.failing_since != self.failing_since || learned.disabled != self.disabled).then_some(learned)
    }
}

#[cfg(test)]
mod tests {
    use nodkey_kernel::random::Random;

    use super::*;

    const DAY: Duration = Duration::from_hours(24);

    fn endpoint() -> Endpoint {
        let (now, random) = (Timestamp::from_seconds(0), Random::seeded(1));
        Endpoint {
            id: EndpointId::generate(now, &random),
            relying_party: RelyingPartyId::generate(now, &random),
            url: "https://example.com".into(),
            event_types: Vec::new(),
            sealed_keys: Vec::new(),
            previous_keys: None,
            older_keys: None,
            disabled: None,
            failing_since: None,
            created_at: now,
            version: 1,
        }
    }

    fn attempt(status_code: i32, started_at: Timestamp) -> Attempt {
        Attempt { number: 1, started_at, duration_ms: 1, status_code, error: String::new(), response: String::new() }
    }

    #[test]
    fn days_of_nothing_but_failures_disable_it_and_one_success_begins_anew() {
        let at = |hours: u64| Timestamp::from_seconds(0) + Duration::from_hours(hours);
        let learn = |e: &Endpoint, status, hours| e.learn(&attempt(status, at(hours)), 5 * DAY, at(hours));
        assert_eq!(learn(&endpoint(), 200, 1), None, "a healthy one is not written");
        let failing = learn(&endpoint(), 500, 1).unwrap();
        assert_eq!((failing.failing_since, failing.disabled), (Some(at(1)), None));
        assert_eq!(learn(&failing, 0, 100), None, "nor one that goes on failing");
        let well = learn(&failing, 204, 120).unwrap();
        assert_eq!((well.failing_since, well.disabled), (None, None));
        let off = learn(&failing, 503, 121).unwrap();
        assert_eq!(off.disabled, Some((DisabledReason::Failing, at(121))));
        let on = off.switch(true, at(130));
        assert_eq!((on.failing_since, on.disabled), (None, None));
    }

    #[test]
    fn one_that_is_gone_is_disabled_at_once() {
        let now = Timestamp::from_seconds(9);
        let gone = endpoint().learn(&attempt(410, now), DAY, now).unwrap();
        assert_eq!(gone.disabled, Some((DisabledReason::Gone, now)));
        // The owner's reason is kept.
        let off = endpoint().switch(false, now).learn(&attempt(410, now), DAY, now).unwrap();
        assert_eq!(off.disabled, Some((DisabledReason::Owner, now)));
    }

    #[test]
    fn an_endpoint_is_told_what_it_asked_for() {
        let some = Endpoint { event_types: vec![EventType::Accepted], ..endpoint() };
        assert!(endpoint().wants(EventType::Expired) && some.wants(EventType::Accepted));
        assert!(!some.wants(EventType::Expired));
    }
}
