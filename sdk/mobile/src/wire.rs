//! What is sent and received, and its conversion to the types of this library: the only place that knows both.

use std::time::{Duration, SystemTime};

use nodkey_kernel::{
    challenge::{self, ChallengeClaims, ChallengeError, MatchClaim},
    json::null_as_default,
    key_statement,
    time::Timestamp,
    transfer,
};
use serde::{Deserialize, Deserializer};
use serde_json::{Value, json};

use crate::{
    Answer, Challenge, CustomFields, Decision, HeldKey, NumberMatch, Outcome, Platform, PresenceKey, PresenceKind, PushRegistration,
    RegisteredDevice, RegisteredDocument, RejectReason, RelyingParty, RequestContext, TransferAct, Transferred, TruCodeContext, Untrusted,
    UserDevice, WebPushKeys,
};

/// To the microsecond. Saturates.
pub(crate) fn timestamp(at: SystemTime) -> Timestamp {
    let micros = |distance: Duration| i64::try_from(distance.as_micros()).unwrap_or(i64::MAX);
    Timestamp::from_micros(match at.duration_since(SystemTime::UNIX_EPOCH) {
        Ok(since) => micros(since),
        Err(before) => -micros(before.duration()),
    })
}

/// The epoch for times that the system cannot represent.
pub(crate) fn system_time(at: Timestamp) -> SystemTime {
    let (epoch, distance) = (SystemTime::UNIX_EPOCH, Duration::from_micros(at.as_micros().unsigned_abs()));
    let time = if at.as_micros() < 0 { epoch.checked_sub(distance) } else { epoch.checked_add(distance) };
    time.unwrap_or(epoch)
}

/// The result of a response.
#[derive(Deserialize)]
pub(crate) struct AnswerBody {
    id: String,
    status: String,
    #[serde(default)]
    accepted_level: Option<i32>,
    #[serde(default)]
    held_until: Option<Timestamp>,
}

impl From<AnswerBody> for Answer {
    fn from(body: AnswerBody) -> Self {
        let outcome = match body.status.as_str() {
            "ACCEPTED" => Outcome::Accepted,
            "ACCEPTED_AT_LOWER_LEVEL" => Outcome::AcceptedAtLowerLevel,
            "ACCEPTED_AT_HIGHER_LEVEL" => Outcome::AcceptedAtHigherLevel,
            "REJECTED" => Outcome::Rejected,
            _ => Outcome::Other(body.status),
        };
        Self {
            id: body.id.into(),
            outcome,
            accepted_level: body.accepted_level.filter(|level| *level > 0),
            held_until: body.held_until.map(system_time),
        }
    }
}

/// A device, as the gateway describes it to itself.
#[derive(Deserialize)]
pub(crate) struct DeviceBody {
    device_identifier: String,
    device_identifier_jwt: String,
    is_active: bool,
    #[serde(default, deserialize_with = "null_as_default")]
    certified: bool,
    #[serde(default, deserialize_with = "null_as_default")]
    frozen: bool,
    #[serde(default, deserialize_with = "null_as_default")]
    presence_keys: Vec<HeldKeyBody>,
    #[serde(default, deserialize_with = "null_as_default")]
    user_devices: Vec<UserDeviceBody>,
}

#[derive(Deserialize)]
struct HeldKeyBody {
    kind: key_statement::PresenceKind,
    thumbprint: String,
    counts: bool,
    since: Option<Timestamp>,
}

#[derive(Deserialize)]
struct UserDeviceBody {
    activated_at: Timestamp,
    is_this: bool,
}

impl From<DeviceBody> for RegisteredDevice {
    fn from(body: DeviceBody) -> Self {
        let held = |key: HeldKeyBody| HeldKey {
            kind: PresenceKind::from_kernel(key.kind),
            thumbprint: key.thumbprint,
            counts: key.counts,
            since: key.since.map(system_time),
        };
        let device = |device: UserDeviceBody| UserDevice { activated_at: system_time(device.activated_at), is_this: device.is_this };
        Self {
            device_identifier: body.device_identifier.into(),
            device_identifier_jwt: body.device_identifier_jwt,
            is_active: body.is_active,
            certified: body.certified,
            frozen: body.frozen,
            presence_keys: body.presence_keys.into_iter().map(held).collect(),
            user_devices: body.user_devices.into_iter().map(device).collect(),
        }
    }
}

/// A registered document.
#[derive(Deserialize)]
pub(crate) struct DocumentBody {
    id: String,
    #[serde(default = "of_before", deserialize_with = "or_of_before")]
    counts: bool,
}

/// With gateways that do not report it, every document counts.
const fn of_before() -> bool {
    true
}

fn or_of_before<'de, D: Deserializer<'de>>(deserializer: D) -> Result<bool, D::Error> {
    Option::deserialize(deserializer).map(|counts| counts.unwrap_or(of_before()))
}

impl From<DocumentBody> for RegisteredDocument {
    fn from(body: DocumentBody) -> Self {
        Self { id: body.id.into(), counts: body.counts }
    }
}

/// The phone that a transfer bound.
#[derive(Deserialize)]
pub(crate) struct TransferredBody {
    device_identifier: String,
    is_active: bool,
}

impl From<TransferredBody> for Transferred {
    fn from(body: TransferredBody) -> Self {
        Self { device_identifier: body.device_identifier.into(), is_active: body.is_active }
    }
}

/// What to show before a code is paired.
#[derive(Deserialize)]
pub(crate) struct ContextBody {
    relying_party: String,
    origin: Option<String>,
    place: Option<String>,
    match_number: bool,
}

impl From<ContextBody> for TruCodeContext {
    fn from(body: ContextBody) -> Self {
        Self { relying_party: body.relying_party, origin: body.origin, place: body.place, match_number: body.match_number }
    }
}

// Not `From`: an implementation for a type of another crate would be part of the public API.
impl Challenge {
    pub(crate) fn from_kernel(claims: ChallengeClaims) -> Self {
        let number = |number| match number {
            MatchClaim::Choose { choices } => NumberMatch::Choose { choices },
            MatchClaim::Enter { digits } => NumberMatch::Enter { digits },
        };
        let context = |challenge::RequestContext { address, browser, place }| RequestContext { address, browser, place };
        Self {
            gateway: claims.iss,
            relying_party: RelyingParty { id: claims.rp.id, name: claims.rp.name },
            action: claims.act,
            resource: claims.res,
            level: claims.lvl,
            prompt: claims.prompt,
            presence: claims.presence,
            document: claims.document,
            custom_fields: claims.fields.map(CustomFields),
            number_match: claims.number_match.map(number),
            request_context: claims.request_context.map(context),
            issued_at: system_time(Timestamp::from_seconds(claims.iat)),
            expires_at: system_time(Timestamp::from_seconds(claims.exp)),
        }
    }
}

impl RequestContext {
    pub(crate) fn to_kernel(&self) -> challenge::RequestContext {
        let Self { address, browser, place } = self.clone();
        challenge::RequestContext { address, browser, place }
    }
}

impl Decision {
    pub(crate) const fn to_kernel(self) -> challenge::Decision {
        match self {
            Self::Accept => challenge::Decision::Accept,
            Self::Reject => challenge::Decision::Reject,
        }
    }
}

impl RejectReason {
    pub(crate) const fn to_kernel(self) -> challenge::RejectReason {
        match self {
            Self::NotMe => challenge::RejectReason::NotMe,
            Self::ChangedMind => challenge::RejectReason::ChangedMind,
        }
    }
}

impl TransferAct {
    pub(crate) const fn to_kernel(self) -> transfer::TransferAct {
        match self {
            Self::Replace => transfer::TransferAct::Replace,
            Self::Add => transfer::TransferAct::Add,
        }
    }
}

impl Untrusted {
    pub(crate) const fn from_kernel(error: ChallengeError) -> Self {
        match error {
            ChallengeError::UnknownKey => Self::UnknownKey,
            ChallengeError::Issuer => Self::OtherGateway,
            // One that has expired is over, whoever signed it: it is not shown, and not reported.
            ChallengeError::Jose(_) | ChallengeError::Expired => Self::Signature,
        }
    }
}

impl PresenceKey {
    pub(crate) fn to_value(&self) -> Value {
        json!({"kind": self.kind.as_str(), "jwk": self.public_key.0.to_value()})
    }

    /// As it stands in a key statement.
    pub(crate) fn stated(&self) -> key_statement::StatedKey {
        key_statement::StatedKey { kind: self.kind.to_kernel(), jkt: self.public_key.thumbprint() }
    }
}

impl Platform {
    pub(crate) const fn as_str(self) -> &'static str {
        match self {
            Self::Ios => "ios",
            Self::Android => "android",
            Self::Web => "web",
            Self::Cli => "cli",
            Self::Other => "other",
        }
    }
}

impl PushRegistration {
    pub(crate) fn to_value(&self) -> Value {
        let keys = |WebPushKeys { p256dh, auth }: &WebPushKeys| json!({"p256dh": p256dh, "auth": auth});
        match self {
            Self::Apns { token } => json!({"provider": "apns", "token": token}),
            Self::Fcm { token } => json!({"provider": "fcm", "token": token}),
            Self::WebPush { endpoint, keys: own } => json!({"provider": "webpush", "endpoint": endpoint, "keys": keys(own)}),
            Self::UnifiedPush { endpoint, keys: Some(own) } => {
                json!({"provider": "unifiedpush", "endpoint": endpoint, "keys": keys(own)})
            }
            Self::UnifiedPush { endpoint, keys: None } => json!({"provider": "unifiedpush", "endpoint": endpoint}),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_come_back_the_same_and_absurd_ones_do_no_harm() {
        for micros in [0, 1, -1, 1_767_323_045_678_901, -62_135_596_800_000_000] {
            let at = Timestamp::from_micros(micros);
            assert_eq!(timestamp(system_time(at)), at);
        }
        for absurd in [i64::MIN, i64::MAX] {
            system_time(Timestamp::from_micros(absurd));
        }
    }

    #[test]
    fn what_an_older_gateway_does_not_say_is_as_it_was_before_and_what_a_newer_one_says_is_kept() {
        let old = json!({"device_identifier": "d", "device_identifier_jwt": "a.b.c", "is_active": true, "presence_keys": null});
        let device: RegisteredDevice = serde_json::from_value::<DeviceBody>(old).unwrap().into();
        assert!(device.is_active && !device.certified && device.presence_keys.is_empty() && device.user_devices.is_empty());
        for old in [json!({"id": "1"}), json!({"id": "1", "counts": null})] {
            assert!(RegisteredDocument::from(serde_json::from_value::<DocumentBody>(old).unwrap()).counts);
        }
        let new = json!({"id": "1", "status": "ACCEPTED_BY_TWO", "accepted_level": 0});
        let answer: Answer = serde_json::from_value::<AnswerBody>(new).unwrap().into();
        assert_eq!((answer.outcome.as_str(), answer.accepted_level), ("ACCEPTED_BY_TWO", None));
    }
}
