//! The JSON view of a trusonafication, as returned by `GET /api/v2/trusonafications/{id}` and carried by webhooks.
//!
//! Existing clients depend on the field names, nulls and spellings: statuses are a closed set, absent values are `null`.

use nodkey_kernel::custom_fields::CustomFields;
use serde::Serialize;
use serde_json::{Map, Value, value::RawValue};
use utoipa::{
    ToSchema,
    openapi::{Object, ObjectBuilder, OneOfBuilder, Schema, schema::Type},
};

use crate::{
    convert,
    trusonafication::v1::{self as pb, Status},
};

/// The only authenticator type.
const MOBILE_APP: &str = "MOBILE_APP";

/// A trusonafication.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub struct Trusonafication {
    /// UUID.
    #[schema(format = Uuid)]
    pub id: String,
    /// `IN_PROGRESS`, `ACCEPTED`, `ACCEPTED_AT_HIGHER_LEVEL`, `ACCEPTED_AT_LOWER_LEVEL`, `REJECTED`, `EXPIRED` or `CANCELED`.
    #[schema(schema_with = statuses)]
    pub status: &'static str,
    /// 1, 2 or 3.
    #[schema(minimum = 1, maximum = 3)]
    pub desired_level: i32,
    /// Shown on the phone.
    pub action: String,
    /// Shown on the phone.
    pub resource: String,
    /// The target device, or the device that answered.
    #[schema(required)]
    pub device_identifier: Option<String>,
    /// The target user, or the user bound to the device that answered.
    #[schema(required)]
    pub user_identifier: Option<String>,
    /// The target secure QR code.
    #[schema(required)]
    pub trucode_id: Option<String>,
    /// In the response to a call: the email address that the request named, otherwise absent. `user_identifier` names its user.
    #[serde(skip_serializing_if = "Member::is_absent")]
    #[schema(value_type = Option<String>)]
    pub email: Member,
    /// Absent from the response to a call: a client that merges the response keeps its own value.
    #[serde(skip_serializing_if = "Member::is_absent")]
    #[schema(value_type = Option<String>)]
    pub trusona_id: Member,
    /// Whether the phone shows it and prompts the user.
    pub prompt: bool,
    /// Whether the person has to prove their presence.
    pub user_presence: bool,
    /// Whether the person has to present their registered identity document.
    pub show_identity_document: bool,
    /// Character by character as the backend sent them.
    #[schema(value_type = Object)]
    pub custom_fields: CustomFields,
    /// The URL to which the result is posted.
    #[schema(required)]
    pub callback_url: Option<String>,
    /// Display name of the relying party.
    pub relying_party: String,
    /// RFC 3339.
    #[schema(format = DateTime, required)]
    pub created_at: Option<String>,
    /// RFC 3339.
    #[schema(format = DateTime, required)]
    pub updated_at: Option<String>,
    /// RFC 3339.
    #[schema(format = DateTime, required)]
    pub expires_at: Option<String>,
    /// `MOBILE_APP` once answered.
    #[schema(required, schema_with = authenticators)]
    pub authenticator_type: Option<&'static str>,
    /// Always null.
    #[schema(required)]
    pub magic_link_email: Option<String>,
    /// Null until accepted or rejected.
    #[schema(required)]
    pub result: Option<TrusonaficationResult>,
}

/// A member that may be omitted.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(untagged)]
pub enum Member {
    /// Omitted.
    Absent,
    /// Null.
    Null,
    /// A text.
    Text(String),
}

impl Member {
    const fn is_absent(&self) -> bool {
        matches!(self, Self::Absent)
    }
}

impl Trusonafication {
    /// The same as the response to a call: members that the request did not have are omitted, because some clients merge the response into
    /// their request.
    #[must_use]
    pub fn answering(self, email: Option<String>) -> Self {
        Self { email: email.map_or(Member::Absent, Member::Text), trusona_id: Member::Absent, ..self }
    }
}

/// The phone's response.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub struct TrusonaficationResult {
    /// UUID.
    #[schema(format = Uuid)]
    pub id: String,
    /// True for each of the three accepted statuses.
    pub is_accepted: bool,
    /// The proven level: 1, 2 or 3; 0 when rejected.
    #[schema(minimum = 0, maximum = 3)]
    pub accepted_level: i32,
    /// The user bound to the device that answered.
    #[schema(required)]
    pub bound_user_identifier: Option<String>,
    /// Why it was rejected: `not_me`, `changed_mind` or `number_mismatch`.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(schema_with = reject_reasons)]
    pub reject_reason: Option<&'static str>,
}

/// Every status, for the API description.
#[must_use]
pub fn statuses() -> Object {
    let all = (0..).map_while(|value| Status::try_from(value).ok()).filter(|it| *it != Status::Unspecified);
    names(all.map(status))
}

fn reject_reasons() -> Object {
    let all = (0..).map_while(|value| pb::RejectReason::try_from(value).ok());
    names(all.filter_map(reject_reason))
}

fn authenticators() -> Schema {
    OneOfBuilder::new().item(Object::with_type(Type::Null)).item(names([MOBILE_APP])).into()
}

/// The schema of a string with a fixed set of values.
#[must_use]
pub fn names(names: impl IntoIterator<Item = &'static str>) -> Object {
    ObjectBuilder::new().schema_type(Type::String).enum_values(Some(names)).build()
}

/// The JSON text of a trusonafication. It is, character by character, the `data` of webhooks, and receipts contain its hash.
pub fn text(t: &pb::Trusonafication) -> Result<Box<RawValue>, serde_json::Error> {
    serde_json::value::to_raw_value(&Trusonafication::from(t))
}

/// The same text in the form of earlier releases, which wrote custom fields anew: numbers as doubles, and no white space. Results that they
/// signed and this release delivers contain its hash.
pub fn text_of_before(t: &pb::Trusonafication) -> Result<Box<RawValue>, serde_json::Error> {
    let respelled = |fields: &str| serde_json::from_str::<Map<String, Value>>(fields).and_then(|fields| serde_json::to_string(&fields));
    let custom_fields = respelled(&t.custom_fields_json).ok().and_then(|json| CustomFields::stored(&json)).unwrap_or_default();
    serde_json::value::to_raw_value(&Trusonafication { custom_fields, ..t.into() })
}

impl From<&pb::Trusonafication> for Trusonafication {
    fn from(t: &pb::Trusonafication) -> Self {
        Self {
            id: t.id.clone(),
            status: status(t.status()),
            desired_level: t.desired_level,
            action: t.action.clone(),
            resource: t.resource.clone(),
            device_identifier: filled(&t.device_identifier),
            user_identifier: filled(&t.user_identifier),
            trucode_id: filled(&t.trucode_id),
            email: Member::Null,
            trusona_id: Member::Null,
            prompt: t.prompt,
            user_presence: t.user_presence,
            show_identity_document: t.show_identity_document,
            custom_fields: CustomFields::stored(&t.custom_fields_json).unwrap_or_default(),
            callback_url: filled(&t.callback_url),
            relying_party: t.relying_party_name.clone(),
            created_at: rfc3339(t.created_at.as_ref()),
            updated_at: rfc3339(t.updated_at.as_ref()),
            expires_at: rfc3339(t.expires_at.as_ref()),
            authenticator_type: t.result.is_some().then_some(MOBILE_APP),
            magic_link_email: None,
            result: t.result.as_ref().map(Into::into),
        }
    }
}

impl From<&pb::Result> for TrusonaficationResult {
    fn from(r: &pb::Result) -> Self {
        Self {
            id: r.id.clone(),
            is_accepted: r.accepted,
            accepted_level: r.accepted_level,
            bound_user_identifier: filled(&r.bound_user_identifier),
            reject_reason: reject_reason(r.reject_reason()),
        }
    }
}

/// Returns the spelling of a status in JSON.
#[must_use]
pub fn status(status: Status) -> &'static str {
    match status {
        Status::Unspecified | Status::InProgress => "IN_PROGRESS",
        Status::Accepted => "ACCEPTED",
        Status::AcceptedAtHigherLevel => "ACCEPTED_AT_HIGHER_LEVEL",
        Status::AcceptedAtLowerLevel => "ACCEPTED_AT_LOWER_LEVEL",
        Status::Rejected => "REJECTED",
        Status::Expired => "EXPIRED",
        Status::Canceled => "CANCELED",
    }
}

fn reject_reason(reason: pb::RejectReason) -> Option<&'static str> {
    match reason {
        pb::RejectReason::Unspecified => None,
        pb::RejectReason::NotMe => Some("not_me"),
        pb::RejectReason::ChangedMind => Some("changed_mind"),
        pb::RejectReason::NumberMismatch => Some("number_mismatch"),
    }
}

fn filled(text: &str) -> Option<String> {
    (!text.is_empty()).then(|| text.to_owned())
}

fn rfc3339(at: Option<&prost_types::Timestamp>) -> Option<String> {
    at.and_then(convert::from_timestamp).map(|at| at.to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn custom_fields_are_a_part_of_the_text_to_the_letter_and_were_not_before() {
        let written = r#"{"b": 1.0, "iban":89370400440532013000, "\u00e9": [1e2]}"#;
        let t = pb::Trusonafication { custom_fields_json: written.into(), ..pb::Trusonafication::default() };
        assert!(text(&t).unwrap().get().contains(&format!("\"custom_fields\":{written},")));
        let respelled = serde_json::json!({"b": 1.0, "iban": 89_370_400_440_532_013_000_f64, "é": [100.0]});
        assert!(text_of_before(&t).unwrap().get().contains(&format!("\"custom_fields\":{respelled},")));
        for none in ["", "[1]", "{"] {
            let t = pb::Trusonafication { custom_fields_json: none.into(), ..pb::Trusonafication::default() };
            assert!(text(&t).unwrap().get().contains(r#""custom_fields":{},"#), "{none}");
            assert_eq!(text(&t).unwrap().get(), text_of_before(&t).unwrap().get());
        }
    }
}
