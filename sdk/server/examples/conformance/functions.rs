//! The functions that need no connection. `tests/spec` runs the vectors by them.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use base64::{Engine as _, engine::general_purpose::STANDARD};
use nodkey_kernel::jose::{b64u_decode, hs256};
use nodkey_server_sdk::{
    Certification, Decision, Evidence, Expected, Jwks, Level, Receipt, ReceiptKey, RelyingPartyId, SignedDevice, SignedResult, Webhook,
    WebhookHeaders, WebhookTrust, bearer_token, hash_user_identifier, verify_device_identifier, verify_evidence, verify_receipt,
    verify_result, verify_webhook,
};
use serde_json::{Map, Value, json};

use crate::failure::Failure;

/// What a function makes of its input; `None` where there is no such function.
pub fn run(name: &str, input: &Value) -> Option<Result<Value, Failure>> {
    Some(match name {
        "bearer_token" => bearer(input),
        "verify_evidence" => evidence(input),
        "verify_webhook" => webhook(input),
        "verify_result" => result(input),
        "verify_receipt" => {
            verify_receipt(text(input, "jwt"), &jwks(input)).map(|it| json!({"claims": receipt(&it)})).map_err(Failure::from)
        }
        "verify_device_identifier" => device_identifier(input),
        "hash_user_identifier" => {
            let key = b64u_decode(text(input, "key")).map_err(Failure::parameter);
            key.map(|key| json!({"hash": hash_user_identifier(&key, text(input, "user_identifier"))}))
        }
        _ => return None,
    })
}

fn text<'a>(input: &'a Value, name: &str) -> &'a str {
    input[name].as_str().unwrap_or_default()
}

fn jwks(input: &Value) -> Jwks {
    Jwks::parse(&input["jwks"].to_string()).unwrap()
}

fn party(input: &Value) -> RelyingPartyId {
    text(input, "relying_party").into()
}

fn now(input: &Value) -> SystemTime {
    UNIX_EPOCH + Duration::from_secs_f64(input["now"].as_f64().unwrap_or_default())
}

/// The parts of a token that is signed by the secret.
fn bearer(input: &Value) -> Result<Value, Failure> {
    let signed = bearer_token(text(input, "token"), text(input, "secret"), text(input, "audience"), now(input))?;
    let claims: Value = hs256::verify(&signed, text(input, "secret").as_bytes()).map_err(Failure::parameter)?;
    let header = b64u_decode(signed.split('.').next().unwrap_or_default()).map_err(Failure::parameter)?;
    let header: Value = serde_json::from_slice(&header).map_err(Failure::parameter)?;
    Ok(json!({"header": header, "claims": claims}))
}

/// Claims under the names under which they were signed, without those that are absent.
fn claims<const N: usize>(members: [(&str, Value); N]) -> Value {
    let present = members.into_iter().filter(|(_, value)| !value.is_null());
    present.map(|(name, value)| (name.to_owned(), value)).collect::<Map<_, _>>().into()
}

fn micros(at: SystemTime) -> Value {
    json!(i64::try_from(at.duration_since(UNIX_EPOCH).unwrap().as_micros()).unwrap())
}

fn seconds(at: SystemTime) -> Value {
    json!(at.duration_since(UNIX_EPOCH).unwrap().as_secs())
}

fn key(key: &ReceiptKey) -> Value {
    json!({"jkt": key.thumbprint, "kind": key.kind.as_str()})
}

fn maybe(text: Option<impl AsRef<str>>) -> Value {
    text.map_or(Value::Null, |text| json!(text.as_ref()))
}

fn audience(audience: &[RelyingPartyId]) -> Value {
    match audience {
        [one] => json!(one.as_str()),
        several => several.iter().map(RelyingPartyId::as_str).collect(),
    }
}

fn receipt(it: &Receipt) -> Value {
    claims([
        ("iss", json!(it.issuer)),
        ("jti", json!(it.id.as_str())),
        ("sub", json!(it.trusonafication.as_str())),
        ("rp", json!(it.relying_party.as_str())),
        ("at", micros(it.ended_at)),
        ("status", json!(it.status.as_str())),
        ("level", json!(it.level.map(Level::number))),
        ("dec", json!(it.decision.map(Decision::as_str))),
        ("why", json!(it.reject_reason.map(|why| why.as_str().to_lowercase()))),
        ("dev", maybe(it.device.as_ref())),
        ("key", it.key.as_ref().map_or(Value::Null, key)),
        ("user", maybe(it.user.as_ref())),
        ("chal", json!(it.challenge_hash)),
        ("resp", json!(it.response_hash)),
        ("data", json!(it.data_hash)),
    ])
}

fn result(input: &Value) -> Result<Value, Failure> {
    let it: SignedResult = verify_result(text(input, "jwt"), &jwks(input), text(input, "issuer"), &party(input))?;
    let mut claims_of_result = json!({
        "iss": it.issuer, "aud": audience(&it.audience), "sub": it.trusonafication.as_str(), "jti": it.delivery.as_str(),
        "iat": seconds(it.ended_at), "status": it.status, "desired_level": it.desired_level, "accepted_level": it.accepted_level,
        "action": it.action, "resource": it.resource, "user_identifier": maybe(it.user.as_ref()),
        "device_identifier": maybe(it.device.as_ref()),
    });
    if let Some(it) = &it.receipt {
        let Value::Object(members) = claims([
            ("rp", json!(it.relying_party.as_str())),
            ("at", micros(it.ended_at)),
            ("level", json!(it.level.map(Level::number))),
            ("dec", json!(it.decision.map(Decision::as_str))),
            ("why", json!(it.reject_reason.map(|why| why.as_str().to_lowercase()))),
            ("dev", maybe(it.device.as_ref())),
            ("key", it.key.as_ref().map_or(Value::Null, key)),
            ("user", maybe(it.user.as_ref())),
            ("chal", json!(it.challenge_hash)),
            ("resp", json!(it.response_hash)),
        ]) else {
            unreachable!("an object")
        };
        claims_of_result.as_object_mut().unwrap().extend(members);
    }
    Ok(json!({ "claims": claims_of_result }))
}

fn device_identifier(input: &Value) -> Result<Value, Failure> {
    let it: SignedDevice = verify_device_identifier(text(input, "jwt"), &jwks(input), text(input, "issuer"), &party(input), now(input))?;
    Ok(json!({"claims": {
        "iss": it.issuer, "aud": audience(&it.audience), "sub": it.device.as_str(), "iat": seconds(it.issued_at),
        "exp": seconds(it.expires_at), "jti": it.id,
    }}))
}

fn evidence(input: &Value) -> Result<Value, Failure> {
    let evidence = Evidence::parse(&input["evidence"].to_string())?;
    let mut expected = match input["expected"]["outcome"].as_str() {
        Some("rejection") => Expected::rejection(),
        Some("any") => Expected::any_outcome(),
        _ => Expected::accept(),
    };
    for (name, value) in input["expected"].as_object().into_iter().flatten() {
        let (text, number) = (value.as_str().unwrap_or_default(), value.as_u64().unwrap_or_default());
        expected = match name.as_str() {
            "outcome" => expected,
            "trusonafication" => expected.trusonafication(text),
            "party" => expected.relying_party(text),
            "user" => expected.user(text),
            "device" => expected.device(text),
            "level" => {
                let level = number.try_into().ok().and_then(Level::from_number);
                expected.level(level.ok_or_else(|| Failure::parameter("level"))?)
            }
            "max_age_seconds" => expected.max_age(Duration::from_secs(number)),
            "allow_uncertified" if value == true => expected.allow_uncertified(),
            other => return Err(Failure::parameter(other)),
        };
    }
    let found = verify_evidence(&evidence, &jwks(input), &expected, now(input))?;
    let certification = match found.certification {
        Certification::DeviceKey => json!({"by": "device_key"}),
        Certification::Deployment => json!({"by": "deployment"}),
        Certification::KeyStatement { sequence, made_at, is_co_signed, .. } => {
            json!({"by": "key_statement", "seq": sequence, "iat": seconds(made_at), "co_signed": is_co_signed})
        }
        _ => return Err(Failure::parameter("a certification of a later release")),
    };
    Ok(json!({"receipt": receipt(&found.receipt), "certification": certification}))
}

fn webhook(input: &Value) -> Result<Value, Failure> {
    let headers = WebhookHeaders::find(|name| input["headers"][name].as_str());
    let body = match input["body_base64"].as_str() {
        Some(bytes) => STANDARD.decode(bytes).map_err(Failure::parameter)?,
        None => text(input, "body").as_bytes().to_vec(),
    };
    let party = party(input);
    let trust = WebhookTrust::new(text(input, "key"), &party);
    let data = |json: &str| serde_json::from_str::<Value>(json).map_err(Failure::parameter);
    Ok(match verify_webhook(trust, headers, &body, &jwks(input), now(input))? {
        Webhook::Result(told) => json!({
            "kind": "result", "id": told.id.as_str(), "type": told.event_type, "timestamp": told.timestamp,
            "data": data(&told.data_json)?, "data_json": told.data_json, "receipt": receipt(&told.receipt),
        }),
        Webhook::Notice(told) => json!({
            "kind": "notice", "id": told.id.as_str(), "type": told.event_type, "timestamp": told.timestamp,
            "data": data(&told.data_json)?, "data_json": told.data_json,
        }),
        _ => return Err(Failure::parameter("a webhook of a later release")),
    })
}
