//! Requests to webhook endpoints.

use base64::{Engine as _, engine::general_purpose::STANDARD};
use nodkey_kernel::{
    jose::hmac_sha256,
    random::Random,
    receipt::data_hash,
    time::Timestamp,
    webhook::{ID, SIGNATURE, SigningKeys, TIMESTAMP},
};
use serde_json::{Value, json};

use crate::{
    Case, Vectors,
    deployment::{ACME, DEPLOYMENT, NOW, OTHER_PARTY},
    tokens::{accepted, ended, rejected, with},
};

const MESSAGE: &str = "019ab2f4-0000-7000-8000-0000000000e1";
/// When what is reported ended, as `at` of the receipts.
const ENDED: &str = "2026-09-21T14:13:20.250Z";

/// The endpoint, its keys before the last rotation, and those of somebody else.
struct Keys {
    now: SigningKeys,
    previous: SigningKeys,
    other: SigningKeys,
}

impl Keys {
    fn new() -> Self {
        let keys = |seed| SigningKeys::generate(&Random::seeded(seed));
        Self { now: keys(11), previous: keys(12), other: keys(13) }
    }

    /// A request that is signed now, by both keys.
    fn request(&self, body: &str) -> Value {
        request(&NOW.to_string(), &self.now.sign(MESSAGE, NOW, body), body)
    }
}

fn request(timestamp: &str, signature: &str, body: &str) -> Value {
    json!({"headers": {ID: MESSAGE, TIMESTAMP: timestamp, SIGNATURE: signature}, "body": body})
}

/// What `data` of a webhook is, character by character.
fn data(status: &str) -> String {
    let result = match status {
        "EXPIRED" | "CANCELED" => Value::Null,
        _ => {
            json!({"id": accepted()["jti"], "is_accepted": status != "REJECTED", "accepted_level": if status == "REJECTED" { 0 } else { 2 }, "bound_user_identifier": "ada"})
        }
    };
    json!({
        "id": accepted()["sub"], "status": status, "desired_level": 2, "action": "pay", "resource": "12,50 € an Müller",
        "user_identifier": "ada", "device_identifier": "the-device", "custom_fields": {"to": "ACME"}, "result": result,
    })
    .to_string()
}

/// The claims of a receipt for `data`.
fn claims(of: &Value, data: &str) -> Value {
    with(of, json!({"data": data_hash(data)}))
}

fn receipt(claims: &Value) -> String {
    DEPLOYMENT.receipts.sign("nodkey-receipt+jwt", claims)
}

fn body(kind: &str, timestamp: &str, data: &str, receipt: &str) -> String {
    format!(r#"{{"type":"{kind}","timestamp":"{timestamp}","data":{data},"receipt":"{receipt}"}}"#)
}

/// What is returned for a genuine result.
fn told(kind: &str, data: &str, claims: &Value) -> Value {
    let parsed: Value = serde_json::from_str(data).unwrap();
    json!({"kind": "result", "id": MESSAGE, "type": kind, "timestamp": ENDED, "data": parsed, "data_json": data, "receipt": claims})
}

/// A case of an end that happened, and of its report.
fn end(keys: &Keys, name: &str, kind: &str, data: &str, of: &Value) -> Case {
    let claims = claims(of, data);
    Case::ok(name, keys.request(&body(kind, ENDED, data, &receipt(&claims))), told(kind, data, &claims))
}

fn ends(keys: &Keys) -> Vec<Case> {
    let with_fields = |fields: &str| data("ACCEPTED").replace(r#"{"to":"ACME"}"#, fields);
    let spelled = with_fields(r#"{"amount": 1.10, "account": 12345678901234567890, "n": 1e2}"#);
    let inner = with_fields(r#"{"a":"\",\"receipt\":\"x","data":{"data":1},"receipt":"{","b":["]}",{"type":"user.frozen"}]}"#);
    let why = |status: &str, level: i32| with(&accepted(), json!({"status": status, "level": level}));
    let ended_claims = claims(&accepted(), &data("ACCEPTED"));
    let (kind, told_data, signed) = ("trusonafication.accepted", data("ACCEPTED"), receipt(&ended_claims));
    let otherwise = |name: &str, body: String| Case::ok(name, keys.request(&body), told(kind, &told_data, &ended_claims));
    vec![
        end(keys, "an_accept", kind, &told_data, &accepted()),
        end(keys, "an_accept_at_a_higher_level", kind, &data("ACCEPTED_AT_HIGHER_LEVEL"), &why("ACCEPTED_AT_HIGHER_LEVEL", 3)),
        end(keys, "an_accept_at_a_lower_level", kind, &data("ACCEPTED_AT_LOWER_LEVEL"), &why("ACCEPTED_AT_LOWER_LEVEL", 1)),
        end(keys, "a_rejection", "trusonafication.rejected", &data("REJECTED"), &with(&rejected(), json!({"why": "changed_mind"}))),
        end(keys, "a_report_of_a_request_that_was_not_theirs", "trusonafication.reported", &data("REJECTED"), &rejected()),
        end(keys, "an_expiry", "trusonafication.expired", &data("EXPIRED"), &ended("EXPIRED")),
        end(keys, "a_cancelation", "trusonafication.canceled", &data("CANCELED"), &ended("CANCELED")),
        end(keys, "custom_fields_as_they_were_written", kind, &spelled, &accepted()),
        end(keys, "text_in_data_that_looks_like_members_of_the_body_is_only_text", kind, &inner, &accepted()),
        otherwise("members_in_another_order", {
            format!(r#"{{"receipt":"{signed}","data":{told_data},"later":[1],"timestamp":"{ENDED}","type":"{kind}"}}"#)
        }),
        otherwise("spaces_around_members", {
            format!("{{ \"type\" : \"{kind}\",\n \"timestamp\": \"{ENDED}\",\t\"data\" : {told_data} , \"receipt\": \"{signed}\" }}\n")
        }),
        otherwise("a_member_whose_name_is_written_with_an_escape", {
            format!(r#"{{"type":"{kind}","timestamp":"{ENDED}","\u0064ata":{told_data},"receipt":"{signed}"}}"#)
        }),
    ]
}

/// Who signed, and what.
fn signatures(keys: &Keys) -> Vec<Case> {
    let text = body("trusonafication.accepted", ENDED, &data("ACCEPTED"), &receipt(&claims(&accepted(), &data("ACCEPTED"))));
    let ok = || told("trusonafication.accepted", &data("ACCEPTED"), &claims(&accepted(), &data("ACCEPTED")));
    let by = |key: String, mut input: Value| {
        input["key"] = json!(key);
        input
    };
    let sign = |keys: &SigningKeys| keys.sign(MESSAGE, NOW, &text);
    let both = sign(&keys.now);
    let (v1, v1a) = both.split_once(' ').unwrap();
    let now = NOW.to_string();
    let signed = |signature: &str| request(&now, signature, &text);
    let rotated = || signed(&format!("{} {}", sign(&keys.now), sign(&keys.previous)));
    let at = |seconds: i64| request(&seconds.to_string(), &keys.now.sign(MESSAGE, seconds, &text), &text);
    let refused = |name: &str, input: Value| Case::error(name, input, "invalid_signature");
    let without = |header: &str| {
        let mut input = signed(&both);
        input["headers"].as_object_mut().unwrap().shift_remove(header);
        input
    };
    let mut other_id = signed(&both);
    other_id["headers"][ID] = json!("019ab2f4-0000-7000-8000-0000000000e2");
    let mut cases = vec![
        Case::ok("by_the_secret", signed(v1), ok()),
        Case::ok("by_the_public_key", by(keys.now.public_key(), signed(v1a)), ok()),
        Case::ok("by_the_public_key_besides_the_secret", by(keys.now.public_key(), signed(&both)), ok()),
        Case::ok("during_a_rotation_by_the_new_secret", rotated(), ok()),
        Case::ok("during_a_rotation_by_the_previous_secret", by(keys.previous.secret(), rotated()), ok()),
        Case::ok("during_a_rotation_by_the_new_public_key", by(keys.now.public_key(), rotated()), ok()),
        Case::ok("during_a_rotation_by_the_previous_public_key", by(keys.previous.public_key(), rotated()), ok()),
        Case::ok("beside_signatures_of_later_versions", signed(&format!("v2,AAAA {v1} later")), ok()),
        Case::ok("five_minutes_ago", at(NOW - 300), ok()),
        Case::ok("five_minutes_from_now", at(NOW + 300), ok()),
        Case::error("more_than_five_minutes_ago", at(NOW - 301), "timestamp_out_of_tolerance"),
        Case::error("more_than_five_minutes_from_now", at(NOW + 301), "timestamp_out_of_tolerance"),
        refused("by_another_secret", by(keys.other.secret(), signed(&both))),
        refused("by_another_public_key", by(keys.other.public_key(), signed(&both))),
        refused("by_the_secret_where_the_public_key_is_expected", by(keys.now.public_key(), signed(v1))),
        refused("by_the_public_key_where_the_secret_is_expected", signed(v1a)),
        refused("the_right_signature_of_another_version", signed(&v1.replace("v1,", "v2,"))),
        refused("the_right_signature_of_no_version", signed(&v1[3..])),
        refused("the_right_signature_without_its_end", signed(&v1[..v1.len() - 4])),
        refused("the_right_signature_without_its_padding", signed(v1.trim_end_matches('='))),
        refused("no_signature", signed("")),
        refused("separators_without_signatures", signed(" , v1, v1a,")),
        refused("without_the_header_of_the_signature", without(SIGNATURE)),
        refused("without_the_header_of_the_id", without(ID)),
        refused("of_another_id", other_id),
        refused("of_another_time", request(&(NOW + 1).to_string(), &both, &text)),
        refused("of_a_body_with_a_space_more", request(&now, &both, &format!("{text} "))),
        refused("of_a_body_with_another_level", request(&now, &both, &text.replace(r#""desired_level":2"#, r#""desired_level":1"#))),
        refused("of_an_empty_body", request(&now, &both, "")),
        Case::error("without_the_header_of_the_time", without(TIMESTAMP), "malformed_timestamp"),
    ];
    for (name, timestamp) in [
        ("of_a_time_in_words", "now"),
        ("of_a_time_with_a_fraction", "1790000000.5"),
        ("of_a_time_with_an_exponent", "179e7"),
        ("of_a_time_with_a_space", " 1790000000"),
        ("of_a_time_with_a_unit", "1790000000s"),
        ("of_a_time_in_hexadecimal", "0x6ab13b80"),
        ("of_a_time_beyond_all_numbers", "99999999999999999999"),
    ] {
        cases.push(Case::error(name, request(timestamp, &both, &text), "malformed_timestamp"));
    }
    let short = format!("whsec_{}", STANDARD.encode([1; 23]));
    for (name, key) in [
        ("a_key_without_its_prefix", keys.now.secret().replace("whsec_", "")),
        ("a_key_that_is_not_base64", "whsec_!!!!".to_owned()),
        ("a_secret_that_is_too_short", short),
        ("a_public_key_that_is_too_short", "whpk_AAAA".to_owned()),
        ("an_empty_key", String::new()),
    ] {
        cases.push(Case::error(name, by(key, signed(&both)), "invalid_key"));
    }
    cases
}

/// What somebody can send who has the endpoint's secret and any number of genuine webhooks.
fn attacks(keys: &Keys) -> Vec<Case> {
    let (accept, reject) = (data("ACCEPTED"), data("REJECTED"));
    let (yes, no) = (receipt(&claims(&accepted(), &accept)), receipt(&claims(&rejected(), &reject)));
    let kind = "trusonafication.accepted";
    let sent = |text: &str| keys.request(text);
    let mismatch = |name: &str, text: &str, what: &str| Case::detailed(name, sent(text), "mismatch", what);
    let invalid =
        |name: &str, receipt: &str, why: &str| Case::detailed(name, sent(&body(kind, ENDED, &accept, receipt)), "invalid_receipt", why);
    let malformed = |name: &str, text: &str| Case::error(name, sent(text), "malformed_body");
    let bare = format!(r#"{{"type":"{kind}","timestamp":"{ENDED}","data":{accept}}}"#);
    let mut foreign = sent(&body(kind, ENDED, &accept, &yes));
    foreign["relying_party"] = json!(OTHER_PARTY);
    let genuine = body("trusonafication.rejected", ENDED, &reject, &no);
    let it = &DEPLOYMENT;
    let proof = claims(&accepted(), &accept);
    let mut cases = vec![
        mismatch("the_receipt_of_other_data", &body(kind, ENDED, &accept, &receipt(&claims_of_other())), "data"),
        mismatch("an_accept_made_of_a_rejection", &body(kind, ENDED, &accept, &no), "data"),
        mismatch("data_with_a_space_more", &body(kind, ENDED, &accept.replacen(':', ": ", 1), &yes), "data"),
        mismatch(
            "data_with_its_members_in_another_order",
            &{
                let mut data: serde_json::Map<String, Value> = serde_json::from_str(&accept).unwrap();
                let id = data.shift_remove("id").unwrap();
                data.insert("id".into(), id);
                body(kind, ENDED, &Value::from(data).to_string(), &yes)
            },
            "data",
        ),
        mismatch("the_receipt_has_no_hash_of_data", &body(kind, ENDED, &accept, &receipt(&accepted())), "data"),
        mismatch("a_rejection_called_an_accept", &body(kind, ENDED, &reject, &no), "type"),
        mismatch("an_accept_called_a_rejection", &body("trusonafication.rejected", ENDED, &accept, &yes), "type"),
        mismatch("an_accept_called_a_report", &body("trusonafication.reported", ENDED, &accept, &yes), "type"),
        mismatch(
            "a_change_of_mind_called_a_report",
            &{
                let changed = with(&claims(&rejected(), &reject), json!({"why": "changed_mind"}));
                body("trusonafication.reported", ENDED, &reject, &receipt(&changed))
            },
            "type",
        ),
        mismatch("a_type_of_end_that_there_is_not", &body("trusonafication.other", ENDED, &accept, &yes), "type"),
        mismatch("a_notice_with_a_receipt", &body("user.frozen", ENDED, &accept, &yes), "type"),
        mismatch("another_time", &body(kind, "2026-09-21T14:13:30.250Z", &accept, &yes), "timestamp"),
        mismatch("the_same_time_in_another_form", &body(kind, "2026-09-21T14:13:20.250+00:00", &accept, &yes), "timestamp"),
        Case::detailed("the_receipt_of_another_party", foreign, "mismatch", "relying_party"),
        mismatch(
            "a_receipt_that_names_another_party",
            &body(kind, ENDED, &accept, &receipt(&with(&proof, json!({"rp": OTHER_PARTY})))),
            "relying_party",
        ),
        invalid(
            "a_receipt_by_a_stranger",
            &crate::deployment::signed(&it.receipts.header("nodkey-receipt+jwt"), &proof, &it.stranger),
            "invalid_signature",
        ),
        invalid("a_receipt_by_the_key_for_results", &it.results.sign("nodkey-receipt+jwt", &proof), "unknown_key"),
        invalid("a_result_for_a_receipt", &it.receipts.sign("nodkey-result+jwt", &proof), "wrong_type"),
        invalid("a_receipt_that_is_none", "receipt", "malformed"),
        invalid("an_empty_receipt", "", "malformed"),
        invalid("a_receipt_that_contradicts_itself", &receipt(&with(&proof, json!({"level": null}))), "wrong_claims"),
        Case::error("an_end_without_a_receipt", sent(&bare), "no_receipt"),
        Case::error("an_end_whose_receipt_is_null", sent(&genuine.replace(&format!("\"{no}\""), "null")), "no_receipt"),
        Case::error("an_unknown_end_without_a_receipt", sent(&bare.replace(kind, "trusonafication.later")), "no_receipt"),
        malformed("data_twice", &genuine.replacen("\"data\":", &format!("\"data\":{accept},\"data\":"), 1)),
        malformed(
            "data_twice_the_second_time_with_an_escape",
            &genuine.replacen(",\"receipt\"", &format!(",\"dat\\u0061\":{accept},\"receipt\""), 1),
        ),
        malformed("a_receipt_twice", &genuine.replacen("\"receipt\":", &format!("\"receipt\":\"{yes}\",\"receipt\":"), 1)),
        malformed("a_type_twice", &genuine.replacen("\"timestamp\"", &format!("\"type\":\"{kind}\",\"timestamp\""), 1)),
        malformed("no_data", &format!(r#"{{"type":"{kind}","timestamp":"{ENDED}","receipt":"{yes}"}}"#)),
        malformed("no_type", &format!(r#"{{"timestamp":"{ENDED}","data":{accept},"receipt":"{yes}"}}"#)),
        malformed("no_timestamp", &format!(r#"{{"type":"{kind}","data":{accept},"receipt":"{yes}"}}"#)),
        malformed("a_type_that_is_no_text", &genuine.replace("\"trusonafication.rejected\"", "1")),
        malformed("a_body_of_nothing", ""),
        malformed("a_body_that_is_no_object", "[]"),
        malformed("a_body_that_is_not_json", "type=trusonafication.accepted"),
        malformed("two_bodies", &format!("{genuine}{genuine}")),
    ];
    let bytes = [genuine.replace("Müller", "M").as_bytes(), b"\xff"].concat();
    let tag = hmac_sha256(
        &STANDARD.decode(keys.now.secret().replace("whsec_", "")).unwrap(),
        &[format!("{MESSAGE}.{NOW}.").as_bytes(), &bytes].concat(),
    );
    let mut input = request(&NOW.to_string(), &format!("v1,{}", STANDARD.encode(tag)), "");
    input.as_object_mut().unwrap().shift_remove("body");
    input["body_base64"] = json!(STANDARD.encode(bytes));
    cases.push(Case::error("a_body_that_is_not_utf_8", input, "malformed_body"));
    cases
}

/// A genuine receipt of another trusonafication.
fn claims_of_other() -> Value {
    claims(&with(&accepted(), json!({"sub": "019ab2f4-0000-7000-8000-00000000000b"})), &data("ACCEPTED").replace("pay", "log in"))
}

fn notices(keys: &Keys) -> Vec<Case> {
    let data = r#"{"device_identifier":"the-device","version":2}"#;
    let text = |kind: &str| format!(r#"{{"type":"{kind}","timestamp":"{ENDED}","data":{data}}}"#);
    let notice = |name: &str, kind: &str, data: &str| {
        let parsed: Value = serde_json::from_str(data).unwrap();
        let text = format!(r#"{{"type":"{kind}","timestamp":"{ENDED}","data":{data}}}"#);
        Case::ok(
            name,
            keys.request(&text),
            json!({"kind": "notice", "id": MESSAGE, "type": kind, "timestamp": ENDED, "data": parsed, "data_json": data}),
        )
    };
    let mut cases = vec![
        notice("a_notice_of_a_device", "device.keys_changed", data),
        notice("a_notice_of_a_user", "user.frozen", r#"{"user_identifier":"ada","frozen_by":"device"}"#),
        notice("a_test", "endpoint.test", r#"{"endpoint_id":"019ab2f4-0000-7000-8000-0000000000ef"}"#),
        notice("a_notice_of_a_later_release", "passkey.moved_away", r#"{ "n": [] }"#),
        notice("a_notice_about_a_thing_that_begins_like_an_end", "trusonafications.counted", "{}"),
    ];
    for (name, kind) in [
        ("a_notice_of_nothing", ""),
        ("a_notice_of_one_word", "device"),
        ("a_notice_of_three_words", "device.keys.changed"),
        ("a_notice_that_ends_in_a_dot", "device."),
        ("a_notice_with_a_space", " device.retired"),
        ("a_notice_in_capitals", "Device.retired"),
        ("an_end_in_capitals", "Trusonafication.accepted"),
    ] {
        cases.push(Case::error(name, keys.request(&text(kind)), "malformed_body"));
    }
    cases
}

pub fn vectors() -> Vectors {
    let keys = Keys::new();
    assert_eq!(Timestamp::from_micros(accepted()["at"].as_i64().unwrap()).to_string(), ENDED);
    Vectors {
        name: "webhooks",
        about: "verify_webhook: requests to an endpoint of the relying party. A header that is absent counts as empty.",
        shared: json!({"now": NOW, "key": keys.now.secret(), "relying_party": ACME, "jwks": DEPLOYMENT.jwks()}),
        cases: [ends(&keys), signatures(&keys), attacks(&keys), notices(&keys)].into_iter().flatten().collect(),
        function: "verify_webhook",
    }
}
