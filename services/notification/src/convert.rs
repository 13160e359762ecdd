//! Conversion from rows to messages.

use nodkey_kernel::{time::Timestamp, webhook::SigningKeys};
use nodkey_proto::{
    convert::timestamp,
    notification::v1::{self as pb, DeliveryState},
};

use crate::{
    app::Mirrored,
    domain::{Attempt, Delivery, DisabledReason, Endpoint, State},
    push::{KeptConfiguration, Provider},
};

/// Converts a delivery with the given attempts.
#[must_use]
pub fn delivery(delivery: &Delivery, attempts: &[Attempt]) -> pb::Delivery {
    let state = match delivery.state {
        State::Pending => DeliveryState::Pending,
        State::Succeeded => DeliveryState::Succeeded,
        State::Exhausted => DeliveryState::Exhausted,
    };
    let attempt = |a: &Attempt| pb::Attempt {
        started_at: Some(timestamp(a.started_at)),
        duration_ms: a.duration_ms,
        status_code: a.status_code,
        error: a.error.clone(),
        response: a.response.clone(),
    };
    pb::Delivery {
        id: delivery.id.to_string(),
        trusonafication_id: delivery.trusonafication().map(|id| id.to_string()).unwrap_or_default(),
        event_type: delivery.event_type.as_str().to_owned(),
        url: delivery.url.clone(),
        state: state.into(),
        attempt_count: delivery.attempt_count,
        next_attempt_at: (delivery.state == State::Pending).then(|| timestamp(delivery.next_attempt_at)),
        created_at: Some(timestamp(delivery.created_at)),
        attempts: attempts.iter().map(attempt).collect(),
        endpoint_id: delivery.endpoint.map(|id| id.to_string()).unwrap_or_default(),
        occurred_at: Some(timestamp(delivery.occurred_at)),
        subject: delivery.subject.to_string(),
        ..pb::Delivery::default()
    }
}

/// Converts a delivery with the request by which its endpoint gets it.
#[must_use]
pub fn mirrored(Mirrored { delivery: found, headers }: Mirrored) -> pb::WatchDeliveriesResponse {
    let headers = headers.into_iter().map(|(name, value)| pb::HeaderField { name: name.to_owned(), value });
    pb::WatchDeliveriesResponse { delivery: Some(delivery(&found, &[])), headers: headers.collect(), body: found.body }
}

/// The most of a body that is shown, in bytes.
const SHOWN: usize = 16 << 10;

/// A whole delivery, with its attempts and the beginning of its body.
#[must_use]
pub fn whole_delivery(found: &Delivery, attempts: &[Attempt], body: &str) -> pb::Delivery {
    let shown = body.get(..body.floor_char_boundary(SHOWN)).unwrap_or_default().to_owned();
    pb::Delivery { body: shown, body_bytes: i64::try_from(body.len()).unwrap_or(i64::MAX), ..delivery(found, attempts) }
}

/// Converts an endpoint with its current keys; previous keys also sign until `previous_until`.
#[must_use]
pub fn endpoint(endpoint: &Endpoint, keys: &SigningKeys, previous_until: Option<Timestamp>) -> pb::Endpoint {
    pb::Endpoint {
        id: endpoint.id.to_string(),
        url: endpoint.url.clone(),
        event_types: endpoint.event_types.iter().map(|event_type| event_type.as_str().to_owned()).collect(),
        created_at: Some(timestamp(endpoint.created_at)),
        enabled: endpoint.disabled.is_none(),
        disabled_reason: endpoint.disabled.map_or(pb::DisabledReason::Unspecified, |(reason, _)| disabled_reason(reason)).into(),
        disabled_at: endpoint.disabled.map(|(_, at)| timestamp(at)),
        failing_since: endpoint.failing_since.map(timestamp),
        public_key: keys.public_key(),
        previous_keys_until: previous_until.map(timestamp),
    }
}

/// Converts a configuration, without its credentials.
#[must_use]
pub fn push_configuration(kept: &KeptConfiguration) -> pb::PushConfiguration {
    let (last_failure, last_failure_at) = kept.last_failure.clone().unzip();
    pb::PushConfiguration {
        provider: push_provider(kept.provider).into(),
        description: kept.description.clone(),
        public_key: kept.public_key.clone(),
        updated_at: Some(timestamp(kept.updated_at)),
        last_failure: last_failure.unwrap_or_default(),
        last_failure_at: last_failure_at.map(timestamp),
    }
}

/// Converts a provider.
#[must_use]
pub const fn push_provider(provider: Provider) -> pb::PushProvider {
    match provider {
        Provider::Apns => pb::PushProvider::Apns,
        Provider::Fcm => pb::PushProvider::Fcm,
        Provider::WebPush => pb::PushProvider::Webpush,
        Provider::UnifiedPush => pb::PushProvider::Unifiedpush,
    }
}

/// Parses the provider of a message.
#[must_use]
pub const fn provider(provider: pb::PushProvider) -> Option<Provider> {
    match provider {
        pb::PushProvider::Unspecified => None,
        pb::PushProvider::Apns => Some(Provider::Apns),
        pb::PushProvider::Fcm => Some(Provider::Fcm),
        pb::PushProvider::Webpush => Some(Provider::WebPush),
        pb::PushProvider::Unifiedpush => Some(Provider::UnifiedPush),
    }
}

/// Converts a reason.
#[must_use]
pub const fn disabled_reason(reason: DisabledReason) -> pb::DisabledReason {
    match reason {
        DisabledReason::Owner => pb::DisabledReason::Owner,
        DisabledReason::Gone => pb::DisabledReason::Gone,
        DisabledReason::Failing => pb::DisabledReason::Failing,
    }
}
