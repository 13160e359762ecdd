//! Receiving webhooks.

use std::time::SystemTime;

use nodkey_kernel::{
    jose::{JoseError, Jwks},
    receipt::{ReceiptClaims, ReceiptReason, ReceiptStatus, verify_receipt},
    time::Timestamp,
    webhook::{VerifyingKey, WebhookError},
};
use serde::Deserialize;
use serde_json::{Value, value::RawValue};

/// The three headers of a webhook, as they arrived.
#[derive(Clone, Copy, Debug)]
pub struct WebhookHeaders<'a> {
    /// `webhook-id`
    pub id: &'a str,
    /// `webhook-timestamp`
    pub timestamp: &'a str,
    /// `webhook-signature`
    pub signature: &'a str,
}

/// What a receiver verifies with, all of it from its own configuration.
#[derive(Clone, Copy, Debug)]
pub struct WebhookTrust<'a> {
    /// The secret of the endpoint (`whsec_`), or its public key (`whpk_`). It proves the sender, not that the content is true.
    pub key: &'a str,
    /// The keys of the deployment, which sign receipts.
    pub jwks: &'a Jwks,
    /// The id of the relying party that owns the endpoint.
    pub relying_party: &'a str,
}

/// A verified webhook. Its variant shows what it proves: a notice is never treated as a result.
#[derive(Clone, Debug, PartialEq)]
pub enum Webhook {
    /// How a trusonafication ended, signed by the deployment.
    Result(Box<WebhookResult>),
    /// Anything else. The holder of the endpoint's key says so, and the deployment did not sign it.
    Notice(WebhookNotice),
}

/// How a trusonafication ended, signed by the deployment.
#[derive(Clone, Debug, PartialEq)]
pub struct WebhookResult {
    /// The same on every delivery: remember it, and act once. Better still, act once for each `receipt.sub`.
    pub id: String,
    /// `trusonafication.accepted`, `.rejected`, `.expired`, `.canceled` or, besides `.rejected`, `.reported`.
    pub event_type: String,
    /// When that happened, RFC 3339.
    pub timestamp: String,
    /// The trusonafication, as returned by `GET /api/v2/trusonafications/{id}`. Numbers in custom fields are doubles here.
    pub data: Value,
    /// `data` as received, character by character, with the numbers of custom fields as you wrote them.
    pub data_json: String,
    /// How it ended, signed by the deployment. It contains the hash of `data`.
    pub receipt: ReceiptClaims,
}

/// Something that happened to a device, a binding, a document or a user. It has no receipt: treat it as a reason to check with a call of
/// your own, and never as a reason to grant access.
#[derive(Clone, Debug, PartialEq)]
pub struct WebhookNotice {
    /// The same on every delivery.
    pub id: String,
    /// `device.registered`, `binding.activated` and so on. Later releases add types, so ignore those you do not know.
    pub event_type: String,
    /// When that happened, RFC 3339.
    pub timestamp: String,
    /// The content, depending on the type. Of two about the same thing, the one with the greater `version` is newer.
    pub data: Value,
    /// `data` as received, character by character.
    pub data_json: String,
}

impl Webhook {
    /// The `webhook-id`.
    #[must_use]
    pub fn id(&self) -> &str {
        match self {
            Self::Result(result) => &result.id,
            Self::Notice(notice) => &notice.id,
        }
    }

    /// What happened.
    #[must_use]
    pub fn event_type(&self) -> &str {
        match self {
            Self::Result(result) => &result.event_type,
            Self::Notice(notice) => &notice.event_type,
        }
    }

    /// How a trusonafication ended; `None` for anything else.
    #[must_use]
    pub fn result(self) -> Option<WebhookResult> {
        match self {
            Self::Result(result) => Some(*result),
            Self::Notice(_) => None,
        }
    }
}

/// A request that must not be acted upon. Answer 400 or 401.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum InvalidWebhook {
    /// The signature is invalid.
    #[error(transparent)]
    Signature(#[from] WebhookError),
    /// It is signed, but its body is not that of a webhook.
    #[error("the body is not that of a webhook")]
    Body,
    /// It says how a trusonafication ended, but has no receipt: it comes from a deployment that makes none, or from someone who has only
    /// the endpoint's secret.
    #[error("the webhook has no receipt and proves nothing")]
    NoReceipt,
    /// The receipt is not the deployment's. `JoseError::Key`: not signed with a key in this JWKS; fetch the JWKS again, once.
    #[error("the receipt is not valid")]
    Receipt(#[source] JoseError),
    /// The receipt is genuine, but for something else.
    #[error("the receipt is for another {0}")]
    Mismatch(&'static str),
}

#[derive(Deserialize)]
struct Envelope<'a> {
    r#type: String,
    timestamp: String,
    #[serde(borrow)]
    data: &'a RawValue,
    receipt: Option<String>,
}

/// Verifies a request to a webhook endpoint: that its sender has the key of the endpoint, and for the end of a trusonafication, that the
/// deployment signed the content. An end without a receipt is an error.
///
/// `body` must be the exact bytes of the body, before anything has parsed them.
///
/// ```
/// # use nodkey_client::{Jwks, WebhookHeaders, WebhookTrust, verify_webhook};
/// # let (key, body, jwks, relying_party) = ("whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw", b"{}", &Jwks::default(), "");
/// let headers = WebhookHeaders { id: "01890a5d", timestamp: "1614265330", signature: "v1,AAAA" };
/// let trust = WebhookTrust { key, jwks, relying_party };
/// assert!(verify_webhook(trust, headers, body, std::time::SystemTime::now()).is_err());
/// ```
pub fn verify_webhook(
    trust: WebhookTrust<'_>,
    headers: WebhookHeaders<'_>,
    body: &[u8],
    now: SystemTime,
) -> Result<Webhook, InvalidWebhook> {
    let seconds = now.duration_since(SystemTime::UNIX_EPOCH).map_or(0, |since| since.as_secs());
    let now = Timestamp::from_seconds(i64::try_from(seconds).unwrap_or(i64::MAX));
    VerifyingKey::parse(trust.key)?.verify(headers.id, headers.timestamp, headers.signature, body, now)?;
    let envelope: Envelope<'_> = serde_json::from_slice(body).map_err(|_| InvalidWebhook::Body)?;
    let data = serde_json::from_str(envelope.data.get()).map_err(|_| InvalidWebhook::Body)?;
    let (id, data_json) = (headers.id.to_owned(), envelope.data.get().to_owned());
    let Envelope { r#type: event_type, timestamp, data: signed, receipt } = envelope;
    if !event_type.starts_with(END) {
        return match receipt {
            // A receipt is always for an end.
            Some(_) => Err(InvalidWebhook::Mismatch("type")),
            None if is_notice(&event_type) => Ok(Webhook::Notice(WebhookNotice { id, event_type, timestamp, data, data_json })),
            None => Err(InvalidWebhook::Body),
        };
    }
    let receipt = verify_receipt(receipt.as_deref().ok_or(InvalidWebhook::NoReceipt)?, trust.jwks).map_err(InvalidWebhook::Receipt)?;
    for (what, same) in [
        ("relying party", receipt.rp == trust.relying_party),
        ("data", receipt.has_data(signed.get())),
        ("type", event_type == end_of(receipt.status) || event_type == REPORTED && is_report(&receipt)),
        ("timestamp", timestamp == receipt.ended_at().to_string()),
    ] {
        if !same {
            return Err(InvalidWebhook::Mismatch(what));
        }
    }
    Ok(Webhook::Result(Box::new(WebhookResult { id, event_type, timestamp, data, data_json, receipt })))
}

/// Prefix of the types that only a receipt proves.
const END: &str = "trusonafication.";

/// Whether a type has the form of a notice's type, including those of later releases: two words of lower-case letters.
fn is_notice(event_type: &str) -> bool {
    let is_word = |word: &str| !word.is_empty() && word.bytes().all(|b| b.is_ascii_lowercase() || b == b'_');
    event_type.split_once('.').is_some_and(|(thing, happened)| is_word(thing) && is_word(happened))
}

/// The additional event when the person reported that they did not start the request.
const REPORTED: &str = "trusonafication.reported";

fn is_report(receipt: &ReceiptClaims) -> bool {
    receipt.status == ReceiptStatus::Rejected && receipt.why == Some(ReceiptReason::NotMe)
}

/// The event type of such an end.
const fn end_of(status: ReceiptStatus) -> &'static str {
    match status {
        ReceiptStatus::Accepted | ReceiptStatus::AcceptedAtHigherLevel | ReceiptStatus::AcceptedAtLowerLevel => "trusonafication.accepted",
        ReceiptStatus::Rejected => "trusonafication.rejected",
        ReceiptStatus::Expired => "trusonafication.expired",
        ReceiptStatus::Canceled => "trusonafication.canceled",
    }
}

#[cfg(test)]
mod tests {
    use std::{sync::LazyLock, time::Duration};

    use nodkey_kernel::{
        jose::{Algorithm, PrivateKey, PublishedKey, jws},
        random::Random,
        receipt::{RECEIPT_TYP, data_hash},
        webhook::SigningKeys,
    };
    use proptest::{prelude::*, sample::Index};
    use serde_json::json;

    use super::*;

    const ACME: &str = "0192f1c4-0000-7000-8000-00000000ac3e";
    const NOW: u64 = 1_790_000_000;

    /// A deployment, an endpoint of Acme's, and the webhooks of four ends.
    struct World {
        endpoint: SigningKeys,
        receipts: PrivateKey,
        challenges: PrivateKey,
        told: Vec<Value>,
    }

    static WORLD: LazyLock<World> = LazyLock::new(|| {
        let key = |seed| PrivateKey::generate(Algorithm::EdDsa, &Random::seeded(seed));
        let mut world =
            World { endpoint: SigningKeys::generate(&Random::seeded(1)), receipts: key(2), challenges: key(3), told: Vec::new() };
        world.told = [
            ("t1", "ACCEPTED", "ada", ACME),
            ("t2", "REJECTED", "ada", ACME),
            ("t3", "EXPIRED", "ada", ACME),
            ("t4", "ACCEPTED_AT_LOWER_LEVEL", "bob", ACME),
            ("t5", "ACCEPTED", "ada", "another relying party"),
        ]
        .map(|(id, status, user, party)| world.told(id, status, user, party))
        .into();
        world
    });

    impl World {
        fn jwks(&self) -> Jwks {
            let published = |key: &PrivateKey, typ: &str| PublishedKey {
                kid: key.public().thumbprint(),
                key: key.public(),
                typs: Some(vec![typ.to_owned()]),
            };
            Jwks { keys: vec![published(&self.receipts, RECEIPT_TYP), published(&self.challenges, "nodkey-challenge+jwt")] }
        }

        fn receipt(by: &PrivateKey, claims: &Value) -> String {
            jws::sign(RECEIPT_TYP, Some(&by.public().thumbprint()), None, claims, by)
        }

        /// The body of the webhook for the end of one.
        fn told(&self, id: &str, status: &str, user: &str, party: &str) -> Value {
            let (accepted, answered) = (status.starts_with("ACCEPTED"), status != "EXPIRED");
            let level = if status == "ACCEPTED" { 2 } else { 1 };
            let result = json!({"id": "r", "is_accepted": accepted, "accepted_level": if accepted { level } else { 0 }, "bound_user_identifier": user});
            let data = json!({
                "id": id, "status": status, "desired_level": 2, "action": "pay", "resource": "1 EUR", "device_identifier": "d",
                "user_identifier": user, "custom_fields": {"to": "ACME", "more": [1, {"deep": true}]}, "callback_url": null,
                "expires_at": "2026-09-21T14:13:30.000Z", "result": if answered { result } else { Value::Null },
            });
            let mut claims = json!({
                "iss": "https://auth.example", "jti": "r", "sub": id, "rp": party, "at": NOW * 1_000_000, "status": status, "chal": "c",
                "data": data_hash(&data.to_string()),
            });
            if answered {
                let key = json!({"jkt": "k", "kind": "biometric"});
                let dec = if accepted { "accept" } else { "reject" };
                for (name, value) in [("dec", json!(dec)), ("dev", json!("d")), ("key", key), ("user", json!(user)), ("resp", json!("r"))] {
                    claims[name] = value;
                }
            }
            if accepted {
                claims["level"] = json!(level);
            }
            let timestamp = Timestamp::from_seconds(i64::try_from(NOW).unwrap()).to_string();
            let end = if accepted { "accepted".to_owned() } else { status.to_lowercase() };
            let receipt = Self::receipt(&self.receipts, &claims);
            json!({"type": format!("trusonafication.{end}"), "timestamp": timestamp, "data": data, "receipt": receipt})
        }

        /// The receiver's verdict on a body signed by someone who has the endpoint's secret.
        fn take(&self, body: &str) -> Result<Webhook, InvalidWebhook> {
            let (timestamp, now) = (NOW.to_string(), SystemTime::UNIX_EPOCH + Duration::from_secs(NOW));
            let signature = self.endpoint.sign("id", i64::try_from(NOW).unwrap(), body);
            let headers = WebhookHeaders { id: "id", timestamp: &timestamp, signature: &signature };
            let (jwks, secret) = (self.jwks(), self.endpoint.secret());
            let trust = WebhookTrust { key: &secret, jwks: &jwks, relying_party: ACME };
            verify_webhook(trust, headers, body.as_bytes(), now)
        }
    }

    /// Every place in a value where something can be inserted, except the value itself.
    fn places(value: &Value, at: &str, found: &mut Vec<String>) {
        let members: Vec<(String, &Value)> = match value {
            Value::Object(members) => members.iter().map(|(name, value)| (name.clone(), value)).collect(),
            Value::Array(items) => items.iter().enumerate().map(|(index, value)| (index.to_string(), value)).collect(),
            _ => return,
        };
        for (name, value) in members {
            let place = format!("{at}/{name}");
            places(value, &place, found);
            found.push(place);
        }
    }

    /// Values that an attacker inserts there.
    fn others() -> Vec<Value> {
        let mut values =
            vec![Value::Null, json!(3), json!(true), json!("1,000,000 EUR"), json!("bob"), json!("ACCEPTED"), json!({}), json!("")];
        for told in &WORLD.told {
            let mut found = Vec::new();
            places(told, "", &mut found);
            values.extend(found.iter().map(|place| told.pointer(place).unwrap().clone()));
        }
        let kid = WORLD.receipts.public().thumbprint();
        let claims: Value = jws::Compact::parse(WORLD.told[0]["receipt"].as_str().unwrap()).unwrap().unverified_claims().unwrap();
        values.push(json!(World::receipt(&WORLD.challenges, &claims)));
        values.push(json!(jws::sign(RECEIPT_TYP, Some(&kid), None, &claims, &WORLD.challenges)));
        values.push(json!(jws::sign("nodkey-result+jwt", Some(&kid), None, &claims, &WORLD.receipts)));
        values
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(2048))]

        /// An attacker with the endpoint's secret and any number of genuine webhooks cannot report anything that did not happen.
        #[test]
        fn what_was_altered_and_signed_by_the_endpoints_secret_is_refused(
            of in any::<Index>(), edits in prop::collection::vec((any::<Index>(), any::<Index>(), any::<bool>()), 0..4),
        ) {
            let mut body = of.get(&WORLD.told).clone();
            for (place, value, removes) in &edits {
                let mut found = Vec::new();
                places(&body, "", &mut found);
                let Some(place) = found.get(place.index(found.len().max(1))) else { continue };
                let (parent, name) = place.rsplit_once('/').unwrap();
                match (body.pointer_mut(parent).unwrap(), removes) {
                    (Value::Object(members), true) => drop(members.shift_remove(name)),
                    (Value::Array(items), true) => drop(items.remove(name.parse().unwrap())),
                    (parent, _) => *parent.pointer_mut(&format!("/{name}")).unwrap() = value.get(&others()).clone(),
                }
            }
            let genuine = WORLD.told.contains(&body) && body["receipt"] != WORLD.told[4]["receipt"];
            let taken = WORLD.take(&body.to_string());
            let taken = taken.ok().and_then(Webhook::result);
            prop_assert_eq!(taken.is_some(), genuine, "{:?} of {}", taken, body);
            if let Some(taken) = taken {
                prop_assert_eq!(&taken.data, &body["data"]);
                prop_assert_eq!(Some(taken.receipt.status.as_str()), body["data"]["status"].as_str());
            }
        }
    }

    #[test]
    fn what_was_told_is_proven_and_each_fault_has_its_name() {
        let [accepted, rejected, ..] = &WORLD.told[..] else { panic!("five") };
        let told = WORLD.take(&accepted.to_string()).unwrap().result().unwrap();
        assert_eq!((told.id.as_str(), told.event_type.as_str(), &told.data["id"]), ("id", "trusonafication.accepted", &json!("t1")));
        assert_eq!((told.receipt.sub.as_str(), told.receipt.user.as_deref(), told.receipt.rp.as_str()), ("t1", Some("ada"), ACME));
        assert_eq!(told.data_json, accepted["data"].to_string());
        assert_eq!(WORLD.take("{}"), Err(InvalidWebhook::Body));
        let with = |name: &str, value: &Value| {
            let mut body = accepted.clone();
            body[name] = value.clone();
            WORLD.take(&body.to_string()).unwrap_err()
        };
        let mut bare = accepted.clone();
        bare.as_object_mut().unwrap().shift_remove("receipt");
        assert_eq!(WORLD.take(&bare.to_string()), Err(InvalidWebhook::NoReceipt));
        assert_eq!(with("receipt", &Value::Null), InvalidWebhook::NoReceipt);
        assert_eq!(with("receipt", &json!("")), InvalidWebhook::Receipt(JoseError::Malformed));
        assert_eq!(with("receipt", &rejected["receipt"]), InvalidWebhook::Mismatch("data"));
        assert_eq!(with("type", &json!("trusonafication.rejected")), InvalidWebhook::Mismatch("type"));
        assert_eq!(with("type", &json!("user.frozen")), InvalidWebhook::Mismatch("type"));
        assert_eq!(with("timestamp", &json!("2026-09-21T14:13:30.000Z")), InvalidWebhook::Mismatch("timestamp"));
        assert_eq!(WORLD.take(&WORLD.told[4].to_string()), Err(InvalidWebhook::Mismatch("relying party")));
        // Unsigned requests are not examined further.
        let headers = WebhookHeaders { id: "id", timestamp: "1790000000", signature: "v1,AAAA" };
        let (jwks, public) = (WORLD.jwks(), WORLD.endpoint.public_key());
        let trust = WebhookTrust { key: &public, jwks: &jwks, relying_party: ACME };
        let now = SystemTime::UNIX_EPOCH + Duration::from_secs(NOW);
        let refused = verify_webhook(trust, headers, accepted.to_string().as_bytes(), now);
        assert_eq!(refused, Err(InvalidWebhook::Signature(WebhookError::Signature)));
    }

    /// Anything without a receipt is a notice, and anyone who has the endpoint's secret can make one; it never says how something ended.
    #[test]
    fn a_notice_is_never_a_result_and_no_result_comes_without_its_receipt() {
        let data = json!({"device_identifier": "d", "version": 2});
        let body = |event_type: &str| json!({"type": event_type, "timestamp": "2026-09-21T14:13:20.000Z", "data": data}).to_string();
        let taken = WORLD.take(&body("device.retired")).unwrap();
        let Webhook::Notice(notice) = &taken else { panic!("{taken:?}") };
        assert_eq!((notice.id.as_str(), notice.event_type.as_str(), &notice.data), ("id", "device.retired", &data));
        assert_eq!((taken.id(), taken.event_type()), ("id", "device.retired"));
        assert_eq!(taken.result(), None);
        for end in ["trusonafication.accepted", "trusonafication.reported", "trusonafication.other", "trusonafication."] {
            assert_eq!(WORLD.take(&body(end)), Err(InvalidWebhook::NoReceipt), "{end}");
        }
        for other in
            ["", "device", "device.", ".retired", "Trusonafication.accepted", " trusonafication.accepted", "a.b.c", "device.retired "]
        {
            assert_eq!(WORLD.take(&body(other)), Err(InvalidWebhook::Body), "{other}");
        }
        let mut with_receipt: Value = serde_json::from_str(&body("device.retired")).unwrap();
        with_receipt["receipt"] = WORLD.told[0]["receipt"].clone();
        assert_eq!(WORLD.take(&with_receipt.to_string()), Err(InvalidWebhook::Mismatch("type")));
    }

    /// Repeated members, spaces, other spellings: a text that differs from the one the deployment signed is refused, or means the same.
    #[test]
    fn a_body_that_is_ambiguous_is_refused() {
        let told = WORLD.told[1].to_string();
        let accepted = r#""data":{"id":"t2","status":"ACCEPTED"},"#;
        let twice = told.replacen("\"data\":", &format!("{accepted}\"data\":"), 1);
        assert_eq!(WORLD.take(&twice), Err(InvalidWebhook::Body));
        let spaced = told.replacen("\"status\":", "\"status\": ", 1);
        assert_eq!(WORLD.take(&spaced), Err(InvalidWebhook::Mismatch("data")));
    }
}
