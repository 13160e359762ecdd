//! Shows everything that was signed, as names and values.

use nodkey_client::{Certification, ChallengeClaims, Level, ResponseClaims, Unreceipted, VerifiedEvidence};
use nodkey_kernel::time::Timestamp;
use serde_json::{Value, json};

use crate::output::{Record, record};

/// Shows genuine evidence, the outcome first.
pub fn proven(evidence: &VerifiedEvidence) -> Record {
    let receipt = &evidence.receipt;
    let key = receipt.key.as_ref().map(|key| format!("{} key {}", key.kind.as_str(), key.jkt));
    let mut shown = record([
        ("status", json!(receipt.status)),
        ("level", json!(receipt.level.map(words))),
        ("decision", json!(receipt.dec)),
        ("reason", json!(receipt.why)),
        ("ended_at", json!(format!("{}, by the deployment's clock", receipt.ended_at()))),
        ("user", json!(receipt.user)),
        ("device", json!(receipt.dev)),
        ("key", json!(key)),
        ("certified_by", json!(certified_by(evidence))),
        ("result", json!(receipt.jti)),
    ]);
    shown.extend(asked(&evidence.challenge));
    shown.extend(answered(&evidence.response));
    shown
}

/// Shows evidence without a receipt.
pub fn unproven(found: &Unreceipted) -> Record {
    let mut shown = asked(&found.challenge);
    shown.extend(record([("claimed_device", json!(found.response.iss)), ("key", json!(found.signing_key))]));
    shown.extend(answered(&found.response));
    shown
}

fn asked(challenge: &ChallengeClaims) -> Record {
    let demands = [(challenge.prompt, "prompt"), (challenge.presence, "presence"), (challenge.document, "document")];
    let demands: Vec<_> = demands.into_iter().filter_map(|(demanded, name)| demanded.then_some(name)).collect();
    let mut shown = record([
        ("trusonafication", json!(challenge.jti)),
        ("relying_party", json!(format!("{} ({})", challenge.rp.name, challenge.rp.id))),
        ("deployment", json!(challenge.iss)),
        ("action", json!(challenge.act)),
        ("resource", json!(challenge.res)),
        ("fields", Value::Null),
        ("requested_from", challenge.request_context.as_ref().map_or(Value::Null, |from| json!(from.describe()))),
        ("desired_level", json!(challenge.lvl)),
        ("demanded", json!(demands.join(", "))),
        ("number_match", json!(challenge.number_match)),
        ("asked_at", json!(Timestamp::from_seconds(challenge.iat))),
        ("expires_at", json!(Timestamp::from_seconds(challenge.exp))),
    ]);
    if let Some(fields) = challenge.fields.clone() {
        shown.insert("fields", fields);
    }
    shown
}

/// What the person signed, which may differ from what it counted as.
fn answered(response: &ResponseClaims) -> Record {
    record([
        ("signed_decision", json!(response.dec)),
        ("signed_reason", json!(response.why)),
        ("signed_number", json!(response.num)),
        ("signed_document", json!(response.doc)),
        ("signed_at", json!(format!("{}, by the phone's clock", Timestamp::from_seconds(response.iat)))),
    ])
}

const fn words(level: Level) -> &'static str {
    match level {
        Level::Possession => "1, the phone",
        Level::Essential => "2, the phone and the person's presence",
        Level::Executive => "3, the phone, the person's presence and an identity document",
    }
}

fn certified_by(evidence: &VerifiedEvidence) -> String {
    match evidence.certification {
        Certification::DeviceKey => "itself: its thumbprint is the device identifier".to_owned(),
        Certification::KeyStatement { seq, iat, co_signed } => {
            let signed = if co_signed { ", which the key also signed" } else { "" };
            format!("the device, in its statement {seq} of {}{signed}", Timestamp::from_seconds(iat))
        }
        Certification::Deployment => "only the deployment: the device made no statement about it".to_owned(),
    }
}
