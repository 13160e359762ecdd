//! Results, as `proto/` has them in JSON.

use std::time::{SystemTime, UNIX_EPOCH};

use nodkey_kernel::time::Timestamp;
use nodkey_server_sdk::{
    Attempt, Binding, Created, Delivery, Device, Endpoint, EndpointWithSecret, IdentityDocument, Level, Pairing, PresenceKey,
    RequestContext, Trusonafication, TrusonaficationResult, User,
};
use serde_json::{Value, json};

/// What a result is in the JSON of `proto/`. What is empty may be null.
pub trait Shown {
    /// The JSON.
    fn shown(&self) -> Value;
}

/// Microseconds since 1970.
pub fn micros(at: SystemTime) -> i64 {
    i64::try_from(at.duration_since(UNIX_EPOCH).unwrap().as_micros()).unwrap()
}

fn time(at: SystemTime) -> Value {
    json!(Timestamp::from_micros(micros(at)).to_string())
}

fn maybe_time(at: Option<SystemTime>) -> Value {
    at.map_or(Value::Null, time)
}

fn text(id: Option<impl AsRef<str>>) -> Value {
    id.map_or(Value::Null, |id| json!(id.as_ref()))
}

fn shown<T: Shown>(one: Option<&T>) -> Value {
    one.map_or(Value::Null, Shown::shown)
}

/// An enum by its name in `proto/`.
fn named(prefix: &str, name: &str) -> Value {
    json!(format!("{prefix}_{name}"))
}

impl Shown for Binding {
    fn shown(&self) -> Value {
        json!({
            "id": self.id.as_str(), "relying_party_id": self.relying_party.as_str(), "user_identifier": self.user.as_str(),
            "device_identifier": self.device.as_str(), "state": named("BINDING_STATE", self.state.as_str()),
            "created_at": time(self.created_at), "activated_at": maybe_time(self.activated_at),
            "deactivated_at": maybe_time(self.deactivated_at), "user_frozen": self.is_user_frozen, "vouched_by": text(self.vouched_by.as_ref()),
        })
    }
}

impl Shown for User {
    fn shown(&self) -> Value {
        let freeze = self.freeze.as_ref().map(|freeze| {
            json!({
                "frozen_at": time(freeze.frozen_at), "frozen_by": named("FROZEN_BY", freeze.frozen_by.as_str()),
                "frozen_by_device": text(freeze.frozen_by_device.as_ref()), "note": freeze.note,
            })
        });
        json!({"user_identifier": self.user.as_str(), "devices": self.devices, "freeze": freeze})
    }
}

impl Shown for Pairing {
    fn shown(&self) -> Value {
        json!({"id": self.id.as_str(), "identifier": self.device.as_str()})
    }
}

impl Shown for PresenceKey {
    fn shown(&self) -> Value {
        json!({
            "kind": named("PRESENCE_KIND", self.kind.as_str()), "jwk": self.jwk.as_json(), "thumbprint": self.thumbprint,
            "counts": self.counts, "since": maybe_time(self.since),
        })
    }
}

impl Shown for Device {
    fn shown(&self) -> Value {
        json!({
            "id": self.id.as_str(), "relying_party_id": self.relying_party.as_str(), "device_key": self.device_key.as_json(),
            "presence_keys": self.presence_keys.iter().map(Shown::shown).collect::<Value>(), "name": self.name,
            "platform": named("PLATFORM", self.platform.as_str()), "app_version": self.app_version, "retired": self.is_retired,
            "created_at": time(self.created_at), "updated_at": time(self.updated_at), "last_seen_at": maybe_time(self.last_seen_at),
            "key_statement": self.key_statement, "key_signatures": self.key_signatures, "capabilities": self.capabilities,
        })
    }
}

impl Shown for IdentityDocument {
    fn shown(&self) -> Value {
        json!({
            "id": self.id.as_str(), "relying_party_id": self.relying_party.as_str(), "user_identifier": self.user.as_str(),
            "hash": self.hash, "type": named("DOCUMENT_TYPE", self.document_type.as_str()),
            "verification_status": named("VERIFICATION_STATUS", self.verification_status.as_str()),
            "verified_at": maybe_time(self.verified_at), "created_at": time(self.created_at), "counts": self.counts,
        })
    }
}

impl Shown for Endpoint {
    fn shown(&self) -> Value {
        json!({
            "id": self.id.as_str(), "url": self.url, "event_types": self.event_types, "created_at": time(self.created_at),
            "enabled": self.is_enabled, "disabled_reason": self.disabled_reason.map(|reason| named("DISABLED_REASON", reason.as_str())),
            "disabled_at": maybe_time(self.disabled_at), "failing_since": maybe_time(self.failing_since), "public_key": self.public_key,
            "previous_keys_until": maybe_time(self.previous_keys_until),
        })
    }
}

impl Shown for EndpointWithSecret {
    fn shown(&self) -> Value {
        json!({"endpoint": self.endpoint.shown(), "secret": self.secret.expose()})
    }
}

impl Shown for Attempt {
    fn shown(&self) -> Value {
        json!({
            "started_at": time(self.started_at), "duration_ms": self.duration.as_millis().to_string(),
            "status_code": self.status_code, "error": self.error, "response": self.response,
        })
    }
}

impl Shown for Delivery {
    fn shown(&self) -> Value {
        json!({
            "id": self.id.as_str(), "trusonafication_id": text(self.trusonafication.as_ref()), "event_type": self.event_type, "url": self.url,
            "state": named("DELIVERY_STATE", self.state.as_str()), "attempt_count": self.attempt_count,
            "next_attempt_at": maybe_time(self.next_attempt_at), "created_at": time(self.created_at),
            "attempts": self.attempts.iter().map(Shown::shown).collect::<Value>(), "endpoint_id": text(self.endpoint.as_ref()),
            "occurred_at": maybe_time(self.occurred_at), "subject": self.subject, "body": self.body,
            "body_bytes": self.body_bytes.to_string(),
        })
    }
}

impl Shown for RequestContext {
    fn shown(&self) -> Value {
        json!({"address": self.address, "browser": self.browser, "place": self.place})
    }
}

impl Shown for TrusonaficationResult {
    fn shown(&self) -> Value {
        json!({
            "id": self.id.as_str(), "accepted": self.accepted, "accepted_level": self.accepted_level.map(Level::number),
            "bound_user_identifier": self.bound_user.as_str(), "device_identifier": self.device.as_str(),
            "reject_reason": self.reject_reason.map(|reason| named("REJECT_REASON", reason.as_str())),
        })
    }
}

impl Shown for Trusonafication {
    fn shown(&self) -> Value {
        json!({
            "id": self.id.as_str(), "relying_party_id": self.relying_party.as_str(), "relying_party_name": self.relying_party_name,
            "status": named("STATUS", self.status.as_str()), "desired_level": self.desired_level.number(), "action": self.action,
            "resource": self.resource, "user_identifier": text(self.user.as_ref()), "device_identifier": text(self.device.as_ref()),
            "trucode_id": text(self.code.as_ref()), "prompt": self.prompt, "user_presence": self.user_presence,
            "show_identity_document": self.show_identity_document, "custom_fields_json": self.custom_fields_json,
            "callback_url": self.callback_url, "number_match": self.number_match.map(|mode| named("NUMBER_MATCH", mode.as_str())),
            "context": self.context, "request_context": shown(self.request_context.as_ref()), "created_at": time(self.created_at),
            "updated_at": time(self.updated_at), "expires_at": time(self.expires_at), "result": shown(self.result.as_ref()),
            "version": self.version.to_string(),
        })
    }
}

impl Shown for Created {
    fn shown(&self) -> Value {
        json!({"trusonafication": self.trusonafication.shown(), "match_number": self.match_number})
    }
}
