//! The functions that need no connection. `tests/spec` runs the vectors by them.

use std::time::{Duration, SystemTime};

use base64::{Engine as _, engine::general_purpose::STANDARD};
use nodkey_kernel::{
    jose::{b64u_decode, hs256},
    time::Timestamp,
};
use nodkey_server_sdk::{
    Credential, EvidenceError, Expectation, Expected, InvalidWebhook, JoseError, Level, Webhook, WebhookError, WebhookHeaders,
    WebhookTrust, hash_user_identifier, verify_device_identifier, verify_evidence, verify_receipt, verify_result, verify_webhook,
};
use serde_json::{Value, json};

use crate::failure::Failure;

/// What a function makes of its input; `None` where there is no such function.
pub fn run(name: &str, input: &Value) -> Option<Result<Value, Failure>> {
    Some(match name {
        "bearer_token" => bearer(input),
        "verify_evidence" => evidence(input),
        "verify_webhook" => webhook(input),
        "verify_result" => claims(verify_result(text(input, "jwt"), &jwks(input), text(input, "issuer"), text(input, "relying_party"))),
        "verify_receipt" => claims(verify_receipt(text(input, "jwt"), &jwks(input))),
        "verify_device_identifier" => {
            let (issuer, party) = (text(input, "issuer"), text(input, "relying_party"));
            claims(verify_device_identifier(text(input, "jwt"), &jwks(input), issuer, party, now(input)))
        }
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

fn jwks(input: &Value) -> nodkey_server_sdk::Jwks {
    serde_json::from_value(input["jwks"].clone()).unwrap_or_default()
}

fn since(input: &Value) -> Duration {
    Duration::from_secs_f64(input["now"].as_f64().unwrap_or_default())
}

fn now(input: &Value) -> Timestamp {
    Timestamp::from_seconds(since(input).as_secs().try_into().unwrap_or(i64::MAX))
}

/// The parts of a token that is signed by the secret.
fn bearer(input: &Value) -> Result<Value, Failure> {
    let credential = Credential::new(text(input, "token"), text(input, "secret")).map_err(Failure::credential)?;
    let signed = credential.audience(text(input, "audience")).bearer_token(SystemTime::UNIX_EPOCH + since(input));
    let claims: Value = hs256::verify(&signed, text(input, "secret").as_bytes()).map_err(Failure::parameter)?;
    let header = b64u_decode(signed.split('.').next().unwrap_or_default()).map_err(Failure::parameter)?;
    let header: Value = serde_json::from_slice(&header).map_err(Failure::parameter)?;
    Ok(json!({"header": header, "claims": claims}))
}

/// The name of an error in `sdk/spec`.
fn word(error: JoseError) -> &'static str {
    match error {
        JoseError::Base64 | JoseError::Malformed => "malformed",
        JoseError::Key => "unknown_key",
        JoseError::Type => "wrong_type",
        JoseError::Algorithm => "wrong_algorithm",
        JoseError::Signature => "invalid_signature",
        JoseError::Claims => "wrong_claims",
    }
}

fn claims(found: Result<impl serde::Serialize, JoseError>) -> Result<Value, Failure> {
    found.map(|claims| json!({ "claims": claims })).map_err(|error| Failure::Unverified(word(error), None))
}

fn evidence(input: &Value) -> Result<Value, Failure> {
    let evidence = serde_json::from_value(input["evidence"].clone()).map_err(Failure::parameter)?;
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
            "party" => expected.party(text),
            "user" => expected.user(text),
            "device" => expected.device(text),
            "level" => expected.level(Level::try_from(i32::try_from(number).unwrap_or(0)).map_err(|_| Failure::parameter("level"))?),
            "max_age_seconds" => expected.max_age(Duration::from_secs(number), now(input)),
            "allow_uncertified" if value == true => expected.allow_uncertified(),
            other => return Err(Failure::parameter(other)),
        };
    }
    let unverified = |reason, detail: String| Failure::Unverified(reason, Some(detail));
    match verify_evidence(&evidence, &jwks(input), &expected) {
        Ok(found) => Ok(json!({"receipt": found.receipt, "certification": found.certification})),
        Err(EvidenceError::NotGenuine(fault)) => Err(unverified("not_genuine", fault.part().into())),
        Err(EvidenceError::NotProven(why)) => Err(unverified("not_proven", why.reason().into())),
        Err(EvidenceError::Unexpected(found)) => {
            let differs: Vec<_> = found.differs.iter().copied().map(Expectation::as_str).collect();
            Err(unverified("unexpected", differs.join(",")))
        }
    }
}

fn webhook(input: &Value) -> Result<Value, Failure> {
    let (jwks, headers) = (jwks(input), &input["headers"]);
    let headers = WebhookHeaders {
        id: text(headers, "webhook-id"),
        timestamp: text(headers, "webhook-timestamp"),
        signature: text(headers, "webhook-signature"),
    };
    let trust = WebhookTrust { key: text(input, "key"), jwks: &jwks, relying_party: text(input, "relying_party") };
    let body = match input["body_base64"].as_str() {
        Some(bytes) => STANDARD.decode(bytes).map_err(Failure::parameter)?,
        None => text(input, "body").as_bytes().to_vec(),
    };
    let (reason, detail) = match verify_webhook(trust, headers, &body, SystemTime::UNIX_EPOCH + since(input)) {
        Ok(told) => {
            let (id, kind) = (told.id().to_owned(), told.event_type().to_owned());
            return Ok(match told {
                Webhook::Result(told) => json!({
                    "kind": "result", "id": id, "type": kind, "timestamp": told.timestamp, "data": told.data, "data_json": told.data_json,
                    "receipt": told.receipt,
                }),
                Webhook::Notice(told) => json!({
                    "kind": "notice", "id": id, "type": kind, "timestamp": told.timestamp, "data": told.data, "data_json": told.data_json,
                }),
            });
        }
        Err(InvalidWebhook::Receipt(why)) => ("invalid_receipt", Some(word(why).to_owned())),
        Err(InvalidWebhook::Mismatch(what)) => ("mismatch", Some(what.replace(' ', "_"))),
        Err(InvalidWebhook::NoReceipt) => ("no_receipt", None),
        Err(InvalidWebhook::Body) => ("malformed_body", None),
        Err(InvalidWebhook::Signature(WebhookError::Key)) => ("invalid_key", None),
        Err(InvalidWebhook::Signature(WebhookError::Timestamp)) => ("malformed_timestamp", None),
        Err(InvalidWebhook::Signature(WebhookError::Time)) => ("timestamp_out_of_tolerance", None),
        Err(InvalidWebhook::Signature(WebhookError::Signature)) => ("invalid_signature", None),
    };
    Err(Failure::Unverified(reason, detail))
}
