use nodkey_kernel::{
    jose::{Algorithm, PrivateKey, PublishedKey, jws},
    random::Random,
    receipt::{RECEIPT_TYP, data_hash},
};
use nodkey_proto::trusonafication::v1::{Result as Answer, Status};
use serde_json::{Value, json};

use super::*;

const NOW: Timestamp = Timestamp::from_seconds(1_700_000_000);
const ISSUER: &str = "https://auth.example";
const DATA: &str = r#"{"id":"t"}"#;

fn party() -> RelyingPartyId {
    RelyingPartyId::generate(NOW, &Random::seeded(1))
}

fn key(seed: u64) -> PrivateKey {
    PrivateKey::generate(Algorithm::EdDsa, &Random::seeded(seed))
}

/// A verifier that read the deployment's keys at a given time: one key for receipts and one for challenges.
fn receipts(read_at: Option<Timestamp>) -> Receipts {
    let receipts = Receipts::new(ISSUER, NOW);
    let published =
        |seed, typ: &str| PublishedKey { kid: key(seed).public().thumbprint(), key: key(seed).public(), typs: Some(vec![typ.to_owned()]) };
    let jwks = Jwks { keys: vec![published(1, RECEIPT_TYP), published(2, "nodkey-challenge+jwt")] };
    *receipts.keys.write().unwrap() = Keys { jwks, read_at };
    receipts
}

fn accepted() -> Trusonafication {
    Trusonafication {
        id: "t".into(),
        status: Status::Accepted.into(),
        result: Some(Answer {
            id: "r".into(),
            accepted: true,
            accepted_level: 2,
            bound_user_identifier: "ada".into(),
            device_identifier: "d".into(),
            ..Answer::default()
        }),
        ..Trusonafication::default()
    }
}

fn claims(changes: &Value) -> Value {
    let mut claims = json!({
        "iss": ISSUER, "jti": "r", "sub": "t", "rp": party(), "at": 1, "status": "ACCEPTED", "level": 2, "dec": "accept", "dev": "d",
        "key": {"jkt": "p", "kind": "biometric"}, "user": "ada", "chal": "c", "resp": "r", "data": data_hash(DATA),
    });
    for (name, value) in changes.as_object().unwrap() {
        claims[name] = value.clone();
    }
    claims
}

fn signed(seed: u64, typ: &str, changes: &Value) -> String {
    jws::sign(typ, Some(&key(seed).public().thumbprint()), None, &claims(changes), &key(seed))
}

fn check(receipts: &Receipts, receipt: &str) -> Result<Timestamp, HandlerError> {
    receipts.check(receipt, party(), Reported { about: &accepted(), data: DATA, at: NOW })
}

#[test]
fn a_receipt_that_says_what_the_event_says_is_taken_and_no_other() {
    let receipts = receipts(Some(NOW + SKEW));
    assert_eq!(check(&receipts, &signed(1, RECEIPT_TYP, &json!({}))).unwrap(), Timestamp::from_micros(1), "when it ended, by the receipt");
    let other = RelyingPartyId::generate(NOW, &Random::seeded(2));
    for wrong in [
        json!({"iss": "https://other.example"}),
        json!({"rp": other}),
        json!({"sub": "another"}),
        json!({"status": "ACCEPTED_AT_LOWER_LEVEL"}),
        json!({"level": 3}),
        json!({"jti": "another"}),
        json!({"user": "grace"}),
        json!({"dev": "another"}),
        json!({"dec": "reject"}),
        json!({"data": "another"}),
        json!({"data": null}),
    ] {
        let refused = check(&receipts, &signed(1, RECEIPT_TYP, &wrong));
        assert!(matches!(refused, Err(HandlerError::Fatal(_))), "{wrong}: {refused:?}");
    }
    // Signed with a key for another purpose, with another `typ`, with an unknown key under the name of a known one.
    let named = jws::sign(RECEIPT_TYP, Some(&key(1).public().thumbprint()), None, &claims(&json!({})), &key(3));
    for forged in [signed(2, RECEIPT_TYP, &json!({})), signed(1, "nodkey-challenge+jwt", &json!({})), named, "x".to_owned()] {
        assert!(matches!(check(&receipts, &forged), Err(HandlerError::Fatal(_))), "{forged}");
    }
}

#[test]
fn a_key_that_may_have_been_published_since_is_waited_for() {
    let unknown = signed(3, RECEIPT_TYP, &json!({}));
    for read_at in [None, Some(NOW), Some(NOW + SKEW - Duration::from_micros(1))] {
        assert!(matches!(check(&receipts(read_at), &unknown), Err(HandlerError::Retry(_))), "{read_at:?}");
    }
    assert!(matches!(check(&receipts(Some(NOW + SKEW)), &unknown), Err(HandlerError::Fatal(_))));
    assert!(matches!(check(&receipts(None), "e30.e30.AAAA"), Err(HandlerError::Fatal(_))), "one that names none is not");
}

#[test]
fn only_what_ended_before_receipts_were_given_may_have_none() {
    let receipts = receipts(Some(NOW));
    let before = NOW - Duration::from_micros(1);
    assert_eq!(receipts.check("", party(), Reported { about: &accepted(), data: DATA, at: before }).unwrap(), before);
    assert!(matches!(check(&receipts, ""), Err(HandlerError::Fatal(_))));
}
