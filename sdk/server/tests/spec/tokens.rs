//! What the deployment signs for backends: receipts, results, device identifiers.

use nodkey_kernel::jose::b64u;
use serde_json::{Value, json};

use crate::{
    Case, Vectors,
    deployment::{ACME, DEPLOYMENT, GATEWAY, Key, NOW, OTHER_PARTY, by_public_key, compact, signed},
    member,
};

const RECEIPT: &str = "nodkey-receipt+jwt";
const RESULT: &str = "nodkey-result+jwt";
const DEVICE: &str = "nodkey-device+jwt";

/// The claims, changed; a member that is null is removed.
pub fn with(claims: &Value, changes: Value) -> Value {
    let mut claims = claims.clone();
    let Value::Object(changes) = changes else { panic!("an object") };
    for (name, value) in changes {
        if value.is_null() {
            claims.as_object_mut().unwrap().shift_remove(&name);
        } else {
            claims[name] = value;
        }
    }
    claims
}

/// The claims of the receipt of an accept.
pub fn accepted() -> Value {
    json!({
        "iss": GATEWAY, "jti": "019ab2f4-0000-7000-8000-000000000001", "sub": "019ab2f4-0000-7000-8000-00000000000a", "rp": ACME,
        "at": NOW * 1_000_000 + 250_000, "status": "ACCEPTED", "level": 2, "dec": "accept", "dev": "the-device",
        "key": {"jkt": "the-key", "kind": "biometric"}, "user": "ada", "chal": "the-challenge", "resp": "the-response",
    })
}

pub fn rejected() -> Value {
    with(&accepted(), json!({"status": "REJECTED", "level": null, "dec": "reject", "why": "not_me"}))
}

pub fn ended(status: &str) -> Value {
    with(&accepted(), json!({"status": status, "level": null, "dec": null, "key": null, "resp": null}))
}

fn genuine(name: &str, jwt: String, claims: &Value) -> Case {
    Case::ok(name, member("jwt", jwt), json!({ "claims": claims }))
}

fn refused(name: &str, jwt: String, reason: &str) -> Case {
    Case::error(name, member("jwt", jwt), reason)
}

/// What attackers make of a genuine token, or from nothing.
fn forgeries(key: &Key, typ: &str, claims: &Value) -> Vec<Case> {
    let it = &DEPLOYMENT;
    let (genuine, header) = (key.sign(typ, claims), key.header(typ));
    let [first, payload, signature] = genuine.split('.').collect::<Vec<_>>()[..] else { panic!("{genuine}") };
    let other = with(claims, json!({"sub": "another"}));
    let unsigned = |alg: &str| compact(&with(&header, json!({ "alg": alg })), claims, |_| Vec::new());
    let another_type = key.sign("nodkey-other+jwt", claims);
    let embedded = with(&header, json!({"jwk": it.stranger.public().to_value()}));
    let own = json!({"alg": "EdDSA", "typ": typ, "kid": it.stranger.public().thumbprint()});
    let wrong = if key.key.public().algorithm().as_str() == "EdDSA" { "ES256" } else { "EdDSA" };
    let flipped = format!("{}{}", if signature.starts_with('A') { 'B' } else { 'A' }, &signature[1..]);
    vec![
        refused("altered_claims", format!("{first}.{}.{signature}", b64u(other.to_string().as_bytes())), "invalid_signature"),
        refused("an_altered_signature", format!("{first}.{payload}.{flipped}"), "invalid_signature"),
        refused("half_a_signature", format!("{first}.{payload}.{}", &signature[..44]), "invalid_signature"),
        refused("by_a_stranger_under_the_name_of_the_key", signed(&with(&header, json!({"alg": "EdDSA"})), claims, &it.stranger), {
            if wrong == "EdDSA" { "wrong_algorithm" } else { "invalid_signature" }
        }),
        refused("by_a_stranger_under_its_own_name", signed(&own, claims, &it.stranger), "unknown_key"),
        refused(
            "by_a_stranger_whose_key_comes_with_it",
            signed(&with(&embedded, json!({"kid": null})), claims, &it.stranger),
            "unknown_key",
        ),
        refused("without_the_name_of_a_key", signed(&with(&header, json!({"kid": null})), claims, &key.key), "unknown_key"),
        refused("by_a_revoked_key", it.revoked.sign(typ, claims), "unknown_key"),
        refused("by_a_key_whose_types_cannot_be_read", it.unreadable.sign(typ, claims), "unknown_key"),
        refused("by_a_key_that_is_not_for_signatures", it.encrypts.sign(typ, claims), "unknown_key"),
        refused("of_another_type", another_type, "wrong_type"),
        refused("of_no_type", signed(&with(&header, json!({"typ": null})), claims, &key.key), "wrong_type"),
        refused("unsigned", unsigned("none"), "wrong_algorithm"),
        refused(
            "signed_by_the_public_key_as_a_secret",
            by_public_key(&with(&header, json!({"alg": "HS256"})), claims, key),
            "wrong_algorithm",
        ),
        refused(
            "of_an_algorithm_that_is_not_the_keys",
            signed(&with(&header, json!({ "alg": wrong })), claims, &key.key),
            "wrong_algorithm",
        ),
        refused(
            "with_an_extension_that_must_be_understood",
            signed(&with(&header, json!({"crit": ["exp"]})), claims, &key.key),
            "malformed",
        ),
        refused("with_an_empty_list_of_extensions", signed(&with(&header, json!({"crit": []})), claims, &key.key), "malformed"),
        refused("of_two_parts", format!("{first}.{payload}"), "malformed"),
        refused("of_four_parts", format!("{genuine}."), "malformed"),
        refused("with_padding", format!("{first}.{payload}.{signature}=="), "malformed"),
        refused("with_a_space_at_the_end", format!("{genuine} "), "malformed"),
        refused("with_a_header_that_is_not_json", format!("{}.{payload}.{signature}", b64u(b"EdDSA")), "malformed"),
        refused("of_nothing", String::new(), "malformed"),
        refused("with_claims_that_are_no_object", signed(&header, &json!("accepted"), &key.key), "wrong_claims"),
        refused("without_claims", signed(&header, &json!({}), &key.key), "wrong_claims"),
    ]
}

/// An ES256 signature in the form that X.509 has (ASN.1), which JWS has not.
fn der(raw: &[u8]) -> Vec<u8> {
    let number = |half: &[u8]| {
        let pad: &[u8] = if half[0] < 0x80 { &[] } else { &[0] };
        [&[2, u8::try_from(half.len() + pad.len()).unwrap()], pad, half].concat()
    };
    let numbers = [number(&raw[..32]), number(&raw[32..])].concat();
    [&[0x30, u8::try_from(numbers.len()).unwrap()], &numbers[..]].concat()
}

pub fn receipts() -> Vectors {
    let it = &DEPLOYMENT;
    let sign = |claims: &Value| it.receipts.sign(RECEIPT, claims);
    let ok = |name: &str, claims: Value| genuine(name, sign(&claims), &claims);
    let wrong = |name: &str, of: Value, changes: Value| refused(name, sign(&with(&of, changes)), "wrong_claims");
    let next = compact(&it.next_receipts.header(RECEIPT), &accepted(), |input| der(&it.next_receipts.key.sign(input)));
    let mut cases = vec![
        ok("of_an_accept", accepted()),
        ok("of_an_accept_at_a_higher_level", with(&accepted(), json!({"status": "ACCEPTED_AT_HIGHER_LEVEL", "level": 3}))),
        ok("of_an_accept_at_a_lower_level", with(&accepted(), json!({"status": "ACCEPTED_AT_LOWER_LEVEL", "level": 1}))),
        ok("of_a_rejection", rejected()),
        ok("of_a_rejection_without_a_reason", with(&rejected(), json!({"why": null}))),
        ok("of_a_wrong_number", with(&rejected(), json!({"why": "number_mismatch"}))),
        ok("of_an_expiry", ended("EXPIRED")),
        ok("of_a_cancelation_of_what_had_no_target_yet", with(&ended("CANCELED"), json!({"dev": null, "user": null}))),
        ok("with_the_hash_of_a_webhooks_data", with(&accepted(), json!({"data": "the-data"}))),
        genuine("by_the_next_key_which_is_of_another_algorithm", it.next_receipts.sign(RECEIPT, &accepted()), &accepted()),
        genuine("with_members_of_a_later_release", sign(&with(&accepted(), json!({"later": {"a": 1}}))), &accepted()),
        refused("with_a_signature_in_asn_1", next, "invalid_signature"),
        refused("by_a_key_from_before_keys_had_types", it.before.sign(RECEIPT, &accepted()), "unknown_key"),
        refused("by_the_key_for_results", it.results.sign(RECEIPT, &accepted()), "unknown_key"),
        refused("of_the_type_of_results", it.receipts.sign(RESULT, &accepted()), "wrong_type"),
        wrong("an_accept_without_a_level", accepted(), json!({"level": null})),
        wrong("an_accept_at_a_level_that_there_is_not", accepted(), json!({"level": 4})),
        wrong("an_accept_that_was_decided_otherwise", accepted(), json!({"dec": "reject"})),
        wrong("an_accept_without_a_user", accepted(), json!({"user": null})),
        wrong("an_accept_without_a_key", accepted(), json!({"key": null})),
        wrong("an_accept_with_a_reason", accepted(), json!({"why": "not_me"})),
        wrong("a_rejection_with_a_level", rejected(), json!({"level": 1})),
        wrong("an_expiry_with_a_response", ended("EXPIRED"), json!({"resp": "the-response"})),
        wrong("a_status_that_is_no_end", accepted(), json!({"status": "IN_PROGRESS"})),
        wrong("a_kind_of_key_that_there_is_not", accepted(), json!({"key": {"jkt": "the-key", "kind": "voice"}})),
        wrong("a_time_that_is_text", accepted(), json!({"at": "1790000000000000"})),
        wrong("no_challenge", accepted(), json!({"chal": null})),
    ];
    cases.extend(forgeries(&it.receipts, RECEIPT, &accepted()));
    Vectors {
        name: "receipts",
        about: "verify_receipt: what holds as the deployment's statement of how a trusonafication ended.",
        shared: json!({"jwks": it.jwks()}),
        cases,
        function: "verify_receipt",
    }
}

fn result() -> Value {
    let receipt = accepted();
    json!({
        "iss": GATEWAY, "aud": ACME, "sub": receipt["sub"], "jti": "019ab2f4-0000-7000-8000-00000000000d", "iat": NOW, "status": "ACCEPTED",
        "desired_level": 2, "accepted_level": 2, "action": "pay", "resource": "12,50 € an Müller", "user_identifier": "ada",
        "device_identifier": "the-device", "rp": ACME, "at": receipt["at"], "level": 2, "dec": "accept", "dev": "the-device",
        "key": receipt["key"], "user": "ada", "chal": "the-challenge", "resp": "the-response",
    })
}

pub fn results() -> Vectors {
    let it = &DEPLOYMENT;
    let sign = |claims: &Value| it.results.sign(RESULT, claims);
    let ok = |name: &str, claims: Value| genuine(name, sign(&claims), &claims);
    let wrong = |name: &str, changes: Value| refused(name, sign(&with(&result(), changes)), "wrong_claims");
    let mut expired = result();
    for name in ["level", "dec", "dev", "key", "resp"] {
        expired.as_object_mut().unwrap().shift_remove(name);
    }
    for (name, value) in [("status", json!("EXPIRED")), ("accepted_level", Value::Null), ("device_identifier", Value::Null)] {
        expired[name] = value;
    }
    let mut early = result();
    for name in ["rp", "at", "level", "dec", "dev", "key", "user", "chal", "resp"] {
        early.as_object_mut().unwrap().shift_remove(name);
    }
    let mut cases = vec![
        ok("of_an_accept", result()),
        ok("of_an_expiry", expired),
        ok("for_several_parties", with(&result(), json!({"aud": [OTHER_PARTY, ACME]}))),
        genuine("from_before_keys_had_types_and_there_were_receipts", it.before.sign(RESULT, &early), &early),
        genuine("with_members_of_a_later_release", sign(&with(&result(), json!({"later": [1]}))), &result()),
        refused(
            "with_a_signature_in_asn_1",
            compact(&it.results.header(RESULT), &result(), |i| der(&it.results.key.sign(i))),
            "invalid_signature",
        ),
        refused("by_the_key_for_receipts", it.receipts.sign(RESULT, &result()), "unknown_key"),
        refused("of_the_type_of_receipts", it.results.sign(RECEIPT, &result()), "wrong_type"),
        wrong("of_another_deployment", json!({"iss": "https://else.example"})),
        wrong("of_a_deployment_with_almost_the_same_name", json!({"iss": format!("{GATEWAY}/")})),
        wrong("for_another_party", json!({"aud": OTHER_PARTY})),
        wrong("for_others", json!({"aud": [OTHER_PARTY]})),
        wrong("for_nobody", json!({"aud": null})),
        wrong("without_a_status", json!({"status": null})),
    ];
    cases.extend(forgeries(&it.results, RESULT, &result()));
    Vectors {
        name: "results",
        about: "verify_result: what a callback_url receives, for the relying party and from the deployment that the input names.",
        shared: json!({"issuer": GATEWAY, "relying_party": ACME, "jwks": it.jwks()}),
        cases,
        function: "verify_result",
    }
}

pub fn device_identifiers() -> Vectors {
    let it = &DEPLOYMENT;
    let claims = json!({"iss": GATEWAY, "aud": ACME, "sub": "the-device", "iat": NOW - 60, "exp": NOW + 60, "jti": "the-token"});
    let sign = |changes: Value| it.devices.sign(DEVICE, &with(&claims, changes));
    let ok = |name: &str, changes: Value| genuine(name, sign(changes.clone()), &with(&claims, changes));
    let wrong = |name: &str, changes: Value| refused(name, sign(changes), "wrong_claims");
    let mut cases = vec![
        ok("of_a_device", json!({})),
        ok("in_its_last_second", json!({"exp": NOW + 1})),
        ok("for_several_parties", json!({"aud": [ACME, OTHER_PARTY]})),
        genuine("by_a_key_from_before_keys_had_types", it.before.sign(DEVICE, &claims), &claims),
        wrong("that_expires_now", json!({"exp": NOW})),
        wrong("that_has_expired", json!({"exp": NOW - 1})),
        wrong("that_never_expires", json!({"exp": null})),
        wrong("that_expires_at_a_time_in_words", json!({"exp": "tomorrow"})),
        wrong("of_another_deployment", json!({"iss": "https://else.example"})),
        wrong("for_another_party", json!({"aud": OTHER_PARTY})),
        wrong("of_no_device", json!({"sub": null})),
        refused("by_the_key_for_results", it.results.sign(DEVICE, &claims), "unknown_key"),
        refused("of_the_type_of_results", it.devices.sign(RESULT, &claims), "wrong_type"),
    ];
    cases.extend(forgeries(&it.devices, DEVICE, &claims));
    Vectors {
        name: "device-identifiers",
        about: "verify_device_identifier: the device identifier as a JWT, which an app hands to its backend.",
        shared: json!({"now": NOW, "issuer": GATEWAY, "relying_party": ACME, "jwks": it.jwks()}),
        cases,
        function: "verify_device_identifier",
    }
}
