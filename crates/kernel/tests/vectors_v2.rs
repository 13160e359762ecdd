//! The worked examples of version 2 of the mobile protocol: key statements, receipts, and valid and invalid evidence.
//!
//! `tests/vectors/mobile-v2.json` is generated here from the keys of version 1, with no randomness: ES256 signatures are deterministic here
//! (RFC 6979), and need not be elsewhere. After a change of the protocol, `cargo test -p nodkey-kernel --test vectors_v2 -- --ignored`
//! writes it again.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on fails")]

use std::{collections::BTreeSet, path::Path};

use nodkey_kernel::{
    challenge::{CHALLENGE_TYP, ChallengeClaims, RESPONSE_TYP, challenge_hash, verify_challenge},
    evidence::{Certification, Evidence, EvidenceError, Expected, Unproven, verify_evidence},
    jose::{Algorithm, Jwks, PrivateKey, PublicJwk, b64u, b64u_decode, jws, sha256},
    key_statement::{KeyStatementClaims, PresenceKind, StatedKey, sign_key_statement, verify_key_signature, verify_key_statement},
    receipt::{RECEIPT_TYP, verify_receipt},
    time::Timestamp,
    transfer::{
        TransferAct, TransferClaims, TransferRequestClaims, sign_transfer, sign_transfer_request, verify_transfer, verify_transfer_request,
        verify_transfer_signature,
    },
};
use serde_json::{Map, Value, json};

const V1: &str = include_str!("../../../tests/vectors/mobile-v1.json");
const V2: &str = include_str!("../../../tests/vectors/mobile-v2.json");
const ISSUER: &str = "https://gw.example";
const NOTE: &str = "ES256 signatures may be randomised: verify them, do not compare bytes. EdDSA ones are deterministic. JSON members stand \
                    in the order shown. `verdict` is what a verifier says of evidence that expects an accept with at least what was asked for: \
                    verified, unexpected (genuine, and something else), not_proven (no receipt, or the device does not certify the key) or \
                    not_genuine (`fault` is the part). \
                    `certified_by` is who says that the key that answered is the device's: device_key, key_statement or deployment.";

fn private(name: &str) -> PrivateKey {
    let v1: Value = serde_json::from_str(V1).unwrap();
    match v1["keys"].get(name) {
        Some(key) => {
            let algorithm = Algorithm::parse(key["alg"].as_str().unwrap()).unwrap();
            PrivateKey::from_secret_bytes(algorithm, &b64u_decode(key["d"].as_str().unwrap()).unwrap()).unwrap()
        }
        // Keys that version 1 did not need.
        None => PrivateKey::from_secret_bytes(Algorithm::Es256, &sha256(format!("nodkey vectors 2 {name}").as_bytes())).unwrap(),
    }
}

fn public(name: &str) -> PublicJwk {
    private(name).public()
}

fn jkt(name: &str) -> String {
    public(name).thumbprint()
}

/// All keys: those of the deployment, of two phones, and of an attacker.
const KEYS: [&str; 7] =
    ["device_ed25519", "device_p256", "presence_p256", "server_ed25519", "server_p256", "credential_p256", "attacker_p256"];

fn keys() -> Value {
    let entry = |name: &&str| {
        let key = private(name);
        let (alg, jwk) = (key.public().algorithm().as_str(), key.public().to_value());
        ((*name).to_owned(), json!({"alg": alg, "jwk": jwk, "d": b64u(&key.to_secret_bytes()), "thumbprint": jkt(name)}))
    };
    KEYS.iter().map(entry).collect::<Map<_, _>>().into()
}

/// The deployment's keys: one signs challenges and receipts, the other only device identifiers.
fn jwks() -> Value {
    let published = |name, typs: &[&str]| {
        let mut jwk = public(name).to_value();
        jwk["kid"] = json!(jkt(name));
        jwk["alg"] = json!(public(name).algorithm().as_str());
        jwk["use"] = json!("sig");
        jwk["typs"] = json!(typs);
        jwk
    };
    let receipts = [CHALLENGE_TYP, RECEIPT_TYP, "nodkey-result+jwt", "nodkey-trucode+jwt"];
    json!({"keys": [published("server_ed25519", &receipts), published("server_p256", &["nodkey-device+jwt"])]})
}

/// `value` with changed members.
fn with(mut value: Value, changes: Value) -> Value {
    let Value::Object(changes) = changes else { panic!("an object") };
    value.as_object_mut().unwrap().extend(changes);
    value
}

fn by(name: &str, typ: &str, claims: &Value) -> String {
    jws::sign(typ, Some(&jkt(name)), None, claims, &private(name))
}

fn challenge_claims() -> Value {
    serde_json::from_str::<Value>(V1).unwrap()["challenge"]["claims"].clone()
}

fn statement_claims() -> KeyStatementClaims {
    let stated = |kind, name| StatedKey { kind, jkt: jkt(name) };
    KeyStatementClaims {
        iss: jkt("device_p256"),
        aud: ISSUER.into(),
        seq: 1_767_322_700_000_000,
        keys: vec![stated(PresenceKind::Biometric, "presence_p256"), stated(PresenceKind::Credential, "credential_p256")],
        nonce: "AAZHXkZ3PAABAgMEBQYHCAkKCwwNDg8QERITFBUWFxgZGhscHR4fIA".into(),
        iat: 1_767_322_700,
    }
}

fn sign(claims: &KeyStatementClaims, name: &str) -> String {
    sign_key_statement(claims, &private(name))
}

fn key_statement() -> Value {
    let claims = statement_claims();
    let signature = |name: &str| json!({"by": name, "jws": sign(&claims, name)});
    json!({
        "by": "device_p256",
        "claims": serde_json::to_value(&claims).unwrap(),
        "jws": sign(&claims, "device_p256"),
        "signatures": [signature("presence_p256"), signature("credential_p256")],
    })
}

/// Statements that a registry refuses whatever nonce it issued, each with the reason.
fn refused_statements() -> Value {
    let good = statement_claims();
    let refused = |name: &str, reason: &str, statement: String, signatures: Vec<String>| {
        let keys = json!([
            {"kind": "biometric", "jwk": public("presence_p256")}, {"kind": "credential", "jwk": public("credential_p256")}
        ]);
        json!({"name": name, "reason": reason, "presence_keys": keys, "key_statement": statement, "key_signatures": signatures})
    };
    let changed = |change: &dyn Fn(&mut KeyStatementClaims)| {
        let mut claims = good.clone();
        change(&mut claims);
        sign(&claims, "device_p256")
    };
    let (device, other) = (sign(&good, "device_p256"), KeyStatementClaims { seq: 1, ..good.clone() });
    let claims = serde_json::to_value(&good).unwrap();
    json!([
        refused("another type", "KEY_STATEMENT_MALFORMED", by("device_p256", RESPONSE_TYP, &claims), vec![]),
        refused("by a presence key", "KEY_STATEMENT_SIGNATURE", sign(&good, "presence_p256"), vec![]),
        refused("by an attacker in the device's name", "KEY_STATEMENT_SIGNATURE", sign(&good, "attacker_p256"), vec![]),
        refused("about another device", "KEY_STATEMENT_ISSUER", changed(&|c| c.iss = jkt("device_ed25519")), vec![]),
        refused("for another deployment", "KEY_STATEMENT_AUDIENCE", changed(&|c| c.aud = "https://else.example".into()), vec![]),
        refused("without a key that is registered", "KEY_STATEMENT_KEYS", changed(&|c| c.keys.truncate(1)), vec![]),
        refused("with another key", "KEY_STATEMENT_KEYS", changed(&|c| c.keys[0].jkt = jkt("attacker_p256")), vec![]),
        refused("with another kind", "KEY_STATEMENT_KEYS", changed(&|c| c.keys[0].kind = PresenceKind::Credential), vec![]),
        refused("with a key twice", "KEY_STATEMENT_KEYS", changed(&|c| c.keys[1] = c.keys[0].clone()), vec![]),
        refused("signed by a key that it does not name", "KEY_SIGNATURE_INVALID", device.clone(), vec![sign(&good, "attacker_p256")]),
        refused("a signature over other claims", "KEY_SIGNATURE_INVALID", device, vec![sign(&other, "presence_p256")]),
    ])
}

/// The parts of evidence, to be changed before they are assembled.
struct Parts {
    challenge: Value,
    response: Value,
    signer: &'static str,
    receipt: Value,
    statement: Option<String>,
    signatures: Vec<String>,
}

impl Parts {
    /// The biometric key accepts the challenge.
    fn accepted() -> Self {
        let challenge = challenge_claims();
        let claims = statement_claims();
        let response = json!({
            "iss": jkt("device_p256"), "aud": ISSUER, "sub": challenge["jti"], "dec": "accept", "iat": 1_767_322_805,
            "jti": "AQEBAQEBAQEBAQEBAQEBAQ",
        });
        let receipt = json!({
            "iss": ISSUER, "jti": "0198b2c4-0000-7000-8000-000000000001", "sub": challenge["jti"], "rp": challenge["rp"]["id"],
            "at": 1_767_322_805_250_000_i64, "status": "ACCEPTED", "level": 2, "dec": "accept", "dev": jkt("device_p256"),
            "key": {"jkt": jkt("presence_p256"), "kind": "biometric"}, "user": "ada",
        });
        Self {
            challenge,
            response,
            signer: "presence_p256",
            receipt,
            statement: Some(sign(&claims, "device_p256")),
            signatures: vec![sign(&claims, "presence_p256"), sign(&claims, "credential_p256")],
        }
    }

    /// Assembles the parts, and computes the hashes from them.
    fn evidence(self) -> Evidence {
        let challenge = by("server_ed25519", CHALLENGE_TYP, &self.challenge);
        let chal = challenge_hash(&challenge);
        let response = by(self.signer, RESPONSE_TYP, &with(self.response, json!({"chal": chal})));
        let hashes = json!({"chal": chal, "resp": b64u(&sha256(response.as_bytes()))});
        let receipt = by("server_ed25519", RECEIPT_TYP, &with(self.receipt, hashes));
        let mut keys = vec![public("device_p256")];
        if self.signer != "device_p256" {
            keys.push(public(self.signer));
        }
        Evidence { challenge, response, receipt: Some(receipt), keys, key_statement: self.statement, key_signatures: self.signatures }
    }

    fn rejected() -> Self {
        let good = Self::accepted();
        let response = with(good.response, json!({"dec": "reject", "why": "not_me"}));
        let mut receipt = with(good.receipt, json!({"status": "REJECTED", "dec": "reject", "why": "not_me"}));
        receipt["key"] = json!({"jkt": jkt("device_p256"), "kind": "device"});
        receipt.as_object_mut().unwrap().remove("level");
        Self { response, receipt, signer: "device_p256", ..good }
    }
}

/// A verifier's verdict on one piece of evidence.
struct Case {
    name: &'static str,
    verdict: &'static str,
    fault: Option<&'static str>,
    certified_by: Option<&'static str>,
    evidence: Evidence,
}

fn genuine(name: &'static str, certified_by: &'static str, evidence: Evidence) -> Case {
    Case { name, verdict: "verified", fault: None, certified_by: Some(certified_by), evidence }
}

fn uncertified_case(name: &'static str, evidence: Evidence) -> Case {
    Case { name, verdict: "not_proven", fault: None, certified_by: Some("deployment"), evidence }
}

fn unexpected(name: &'static str, certified_by: &'static str, evidence: Evidence) -> Case {
    Case { name, verdict: "unexpected", fault: None, certified_by: Some(certified_by), evidence }
}

fn forged(name: &'static str, fault: &'static str, evidence: Evidence) -> Case {
    Case { name, verdict: "not_genuine", fault: Some(fault), certified_by: None, evidence }
}

fn cases() -> Vec<Case> {
    [genuine_cases(), forged_cases(), cases_of_statements()].into_iter().flatten().collect()
}

fn genuine_cases() -> Vec<Case> {
    let by_device = || {
        let good = Parts::accepted();
        let receipt = with(good.receipt, json!({"level": 1, "key": {"jkt": jkt("device_p256"), "kind": "device"}}));
        Parts { receipt, signer: "device_p256", ..good }
    };
    let level_1 = |parts: Parts| Parts { challenge: with(parts.challenge, json!({"lvl": 1, "presence": false})), ..parts };
    let lower = |parts: Parts| Parts { receipt: with(parts.receipt, json!({"status": "ACCEPTED_AT_LOWER_LEVEL"})), ..parts };
    let uncertified = || Parts { statement: None, signatures: Vec::new(), ..Parts::accepted() };
    let wrong_number = || {
        let good = Parts::accepted();
        let mut receipt = with(good.receipt, json!({"status": "REJECTED", "dec": "reject", "why": "number_mismatch"}));
        receipt.as_object_mut().unwrap().remove("level");
        Parts { receipt, response: with(good.response, json!({"num": "00"})), ..good }
    };
    let old = Evidence { receipt: None, ..uncertified().evidence() };
    vec![
        genuine("accepted by a presence key that signed the statement", "key_statement", Parts::accepted().evidence()),
        genuine(
            "accepted by a presence key that the device alone vouches for",
            "key_statement",
            Parts { signatures: Vec::new(), ..Parts::accepted() }.evidence(),
        ),
        genuine("accepted by the device key, which level 1 needs", "device_key", level_1(by_device()).evidence()),
        uncertified_case("accepted on a phone that makes no statements", uncertified().evidence()),
        unexpected("accepted below the level that was asked for", "device_key", lower(by_device()).evidence()),
        unexpected("rejected", "device_key", Parts::rejected().evidence()),
        unexpected("an accept with a wrong number", "key_statement", wrong_number().evidence()),
        Case { name: "from before receipts", verdict: "not_proven", fault: None, certified_by: None, evidence: old },
    ]
}

/// What can be assembled by someone who has genuine evidence, but no key of the deployment.
fn forged_cases() -> Vec<Case> {
    let (accepted, rejected) = (Parts::accepted().evidence(), Parts::rejected().evidence());
    let another = {
        let good = Parts::accepted();
        let id = json!({"jti": "0198b2c4-0000-7000-8000-00000000000f"});
        let sub = json!({"sub": "0198b2c4-0000-7000-8000-00000000000f"});
        let (challenge, response) = (with(good.challenge, id), with(good.response, sub.clone()));
        Parts { challenge, response, receipt: with(good.receipt, sub), ..good }.evidence()
    };
    // The attack on a rejection: a fresh key accepts in the phone's name.
    let fresh = {
        let claims = with(Parts::accepted().response, json!({"chal": challenge_hash(&rejected.challenge)}));
        let response = by("attacker_p256", RESPONSE_TYP, &claims);
        let keys = vec![public("device_p256"), public("attacker_p256")];
        Evidence { response, keys, ..rejected.clone() }
    };
    let receipt_claims: Value = jws::Compact::parse(accepted.receipt.as_ref().unwrap()).unwrap().unverified_claims().unwrap();
    let by_somebody = jws::sign(RECEIPT_TYP, Some(&jkt("server_ed25519")), None, &receipt_claims, &private("attacker_p256"));
    let receipt = |receipt: String| Evidence { receipt: Some(receipt), ..accepted.clone() };
    let altered = {
        let (head, signature) = accepted.challenge.rsplit_once('.').unwrap();
        let (header, _) = head.split_once('.').unwrap();
        let claims = serde_json::to_vec(&with(challenge_claims(), json!({"res": "EUR 9000.00 to ACME GmbH"}))).unwrap();
        format!("{header}.{}.{signature}", b64u(&claims))
    };
    let bare = Evidence { receipt: None, ..fresh.clone() };
    vec![
        forged("a rejection that a fresh key turned into an accept", "receipt.resp", fresh),
        Case { name: "the same without its receipt", verdict: "not_proven", fault: None, certified_by: None, evidence: bare },
        forged("an altered challenge", "challenge", Evidence { challenge: altered, ..accepted.clone() }),
        forged("the receipt of another", "receipt.sub", receipt(another.receipt.clone().unwrap())),
        forged("the response to another", "response.chal", Evidence { response: another.response.clone(), ..accepted.clone() }),
        forged("the receipt of a rejection", "receipt.resp", receipt(rejected.receipt.clone().unwrap())),
        forged("a receipt by somebody else", "receipt", receipt(by_somebody)),
        forged("a receipt by a key that signs none", "receipt", receipt(by("server_p256", RECEIPT_TYP, &receipt_claims))),
        forged("another type of token as a receipt", "receipt", receipt(by("server_ed25519", "nodkey-result+jwt", &receipt_claims))),
        forged("without the key that answered", "response", Evidence { keys: vec![public("device_p256")], ..accepted.clone() }),
        forged(
            "another device in front of the keys",
            "device",
            Evidence { keys: vec![public("device_ed25519"), public("presence_p256")], ..accepted },
        ),
    ]
}

fn cases_of_statements() -> Vec<Case> {
    let statement = |statement: String| Parts { statement: Some(statement), signatures: Vec::new(), ..Parts::accepted() }.evidence();
    // A registry that replaces a presence key with a key of its own, alongside the phone's earlier statement.
    let swapped = {
        let good = Parts::accepted();
        let receipt = with(good.receipt, json!({"key": {"jkt": jkt("attacker_p256"), "kind": "biometric"}}));
        Parts { receipt, signer: "attacker_p256", ..good }.evidence()
    };
    let by_attacker = {
        let stated = StatedKey { kind: PresenceKind::Biometric, jkt: jkt("attacker_p256") };
        let made_up = sign(&KeyStatementClaims { keys: vec![stated], ..statement_claims() }, "attacker_p256");
        Evidence { key_statement: Some(made_up), key_signatures: Vec::new(), ..swapped.clone() }
    };
    let elsewhere = KeyStatementClaims { aud: "https://else.example".into(), ..statement_claims() };
    let another_device = KeyStatementClaims { iss: jkt("device_ed25519"), ..statement_claims() };
    let older = KeyStatementClaims { seq: 1, ..statement_claims() };
    let other_claims = Parts { signatures: vec![sign(&older, "presence_p256")], ..Parts::accepted() }.evidence();
    vec![
        uncertified_case("accepted by a key that the registry put in the place of a presence key", swapped),
        forged("the same with a statement that the phone did not make", "key_statement", by_attacker),
        forged("the statement of another device", "key_statement", statement(sign(&another_device, "device_ed25519"))),
        forged("a statement for another deployment", "key_statement", statement(sign(&elsewhere, "device_p256"))),
        forged("another type of token as a statement", "key_statement", {
            let claims = serde_json::to_value(statement_claims()).unwrap();
            statement(by("device_p256", "dpop+jwt", &claims))
        }),
        forged("a signature of the key that answered over another statement", "key_signatures", other_claims),
    ]
}

/// Challenges that require a number, and say who requests.
fn challenges() -> Value {
    let challenge = |name: &str, changes: Value| {
        let claims = with(challenge_claims(), changes);
        json!({"name": name, "by": "server_ed25519", "claims": claims, "jws": by("server_ed25519", CHALLENGE_TYP, &claims)})
    };
    json!([
        challenge("two digits are typed", json!({"match": {"mode": "enter"}})),
        challenge("six digits are typed", json!({"match": {"mode": "enter", "digits": 6}})),
        challenge("one of three is chosen", json!({"match": {"mode": "choose", "choices": ["17", "42", "88"]}})),
        challenge(
            "the backend says who asks",
            json!({"from": {"address": "203.0.113.7", "browser": "Firefox on Linux", "place": "Berlin"}}),
        ),
        challenge("the backend knows the address alone", json!({"from": {"address": "203.0.113.7"}})),
    ])
}

fn receipt() -> Value {
    let jws = Parts::accepted().evidence().receipt.unwrap();
    let claims: Value = jws::Compact::parse(&jws).unwrap().unverified_claims().unwrap();
    json!({"by": "server_ed25519", "claims": claims, "jws": jws})
}

/// The phone of `device_ed25519` replaces that of `device_p256`.
fn transfer_claims() -> (TransferClaims, TransferRequestClaims) {
    let (old, new) = (jkt("device_p256"), jkt("device_ed25519"));
    let nonce = "AAZHXkZ3PAEgHx4dHBsaGRgXFhUUExIREA8ODQwLCgkIBwYFBAMCAQ".to_owned();
    let act = TransferAct::Replace;
    let statement = TransferClaims { iss: old, sub: new.clone(), aud: ISSUER.into(), act, nonce, iat: 1_767_322_700 };
    let nonce = "AAZHXkZ3PAICBAYICgwOEBIUFhgaHB4gIiQmKCosLjAyNDY4Ojw-QA".to_owned();
    (statement, TransferRequestClaims { iss: new, aud: ISSUER.into(), nonce })
}

fn transfer() -> Value {
    let (statement, request) = transfer_claims();
    let statement_by = |name: &str| sign_transfer(&statement, &private(name));
    json!({
        "request": {
            "by": "device_ed25519", "claims": serde_json::to_value(&request).unwrap(),
            "jws": sign_transfer_request(&request, &private("device_ed25519")),
        },
        "statement": {"by": "device_p256", "claims": serde_json::to_value(&statement).unwrap(), "jws": statement_by("device_p256")},
        "signature": {"by": "presence_p256", "jws": statement_by("presence_p256")},
    })
}

/// Transfers that a registry refuses whatever nonces it issued, each with the reason.
fn refused_transfers() -> Value {
    let (good, asks) = transfer_claims();
    let refused = |name: &str, reason: &str, statement: &TransferClaims, by: [&str; 3]| {
        let [device, presence, new] = by;
        json!({
            "name": name, "reason": reason,
            "statement": sign_transfer(statement, &private(device)), "signature": sign_transfer(&good, &private(presence)),
            "request": sign_transfer_request(&asks, &private(new)),
        })
    };
    let all = ["device_p256", "presence_p256", "device_ed25519"];
    let (add, elsewhere) =
        (TransferClaims { act: TransferAct::Add, ..good.clone() }, TransferClaims { aud: "https://else.example".into(), ..good.clone() });
    let another = TransferClaims { sub: jkt("attacker_p256"), ..good.clone() };
    json!([
        refused("the device key alone", "TRANSFER_PRESENCE_REQUIRED", &good, ["device_p256", "device_p256", "device_ed25519"]),
        refused("a presence key of somebody else", "TRANSFER_PRESENCE_REQUIRED", &good, ["device_p256", "attacker_p256", "device_ed25519"]),
        refused("the person agreed to something else", "TRANSFER_PRESENCE_REQUIRED", &add, all),
        refused("another device key", "TRANSFER_STATEMENT_INVALID", &good, ["attacker_p256", "presence_p256", "device_ed25519"]),
        refused(
            "the presence key in place of the device key",
            "TRANSFER_STATEMENT_INVALID",
            &good,
            ["presence_p256", "presence_p256", "device_ed25519"]
        ),
        refused("for another deployment", "TRANSFER_STATEMENT_INVALID", &elsewhere, all),
        refused("to another phone than the one that asks", "TRANSFER_STATEMENT_INVALID", &another, all),
        refused("a new phone that did not ask", "TRANSFER_REQUEST_INVALID", &good, ["device_p256", "presence_p256", "attacker_p256"]),
    ])
}

fn vectors() -> Value {
    let case = |case: Case| {
        let mut entry = json!({"name": case.name, "verdict": case.verdict});
        for (member, value) in [("fault", case.fault), ("certified_by", case.certified_by)] {
            if let Some(value) = value {
                entry[member] = json!(value);
            }
        }
        with(entry, json!({"evidence": serde_json::to_value(case.evidence).unwrap()}))
    };
    json!({
        "version": 2,
        "note": NOTE,
        "issuer": ISSUER,
        "jwks": jwks(),
        "keys": keys(),
        "key_statement": key_statement(),
        "refused_statements": refused_statements(),
        "transfer": transfer(),
        "refused_transfers": refused_transfers(),
        "receipt": receipt(),
        "challenges": challenges(),
        "evidence": cases().into_iter().map(case).collect::<Vec<_>>(),
    })
}

fn read() -> Value {
    serde_json::from_str(V2).unwrap()
}

#[test]
fn the_vectors_are_what_these_keys_sign() {
    assert!(read() == vectors(), "tests/vectors/mobile-v2.json is not what is made here: see above how to write it");
}

#[test]
#[ignore = "writes the vectors"]
fn write_the_vectors() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../tests/vectors/mobile-v2.json");
    let formatter = serde_json::ser::PrettyFormatter::with_indent(b" ");
    let mut json = Vec::new();
    let mut serializer = serde_json::Serializer::with_formatter(&mut json, formatter);
    serde::Serialize::serialize(&vectors(), &mut serializer).unwrap();
    json.push(b'\n');
    std::fs::write(path, json).unwrap();
}

#[test]
fn every_challenge_verifies_and_is_read_to_the_letter() {
    let read = read();
    let jwks: Jwks = serde_json::from_value(read["jwks"].clone()).unwrap();
    let now = Timestamp::from_seconds(1_767_322_800);
    for vector in read["challenges"].as_array().unwrap() {
        let claims = verify_challenge(vector["jws"].as_str().unwrap(), &jwks, ISSUER, now).unwrap();
        assert_eq!(serde_json::to_value(&claims).unwrap(), vector["claims"], "{}", vector["name"]);
    }
}

#[test]
fn the_key_statement_and_every_signature_over_it_verify() {
    let vector = &read()["key_statement"];
    let key = |name: &Value| PublicJwk::from_value(&read()["keys"][name.as_str().unwrap()]["jwk"]).unwrap();
    let claims = verify_key_statement(vector["jws"].as_str().unwrap(), &key(&vector["by"]), ISSUER).unwrap();
    assert_eq!(serde_json::to_value(&claims).unwrap(), vector["claims"]);
    for signature in vector["signatures"].as_array().unwrap() {
        verify_key_signature(signature["jws"].as_str().unwrap(), &claims, &key(&signature["by"])).unwrap();
    }
}

/// What a registry verifies, except for the nonces.
fn verify(transfer: &Value) -> Result<(), String> {
    let text = |name: &str| transfer[name].get("jws").unwrap_or(&transfer[name]).as_str().unwrap().to_owned();
    let statement = verify_transfer(&text("statement"), &public("device_p256"), ISSUER).map_err(|e| format!("statement: {e}"))?;
    let request = verify_transfer_request(&text("request"), &public("device_ed25519"), ISSUER).map_err(|e| format!("request: {e}"))?;
    if statement.sub != request.iss {
        return Err("statement: of another phone".into());
    }
    verify_transfer_signature(&text("signature"), &statement, &public("presence_p256")).map_err(|e| format!("presence: {e}"))
}

#[test]
fn the_transfer_verifies_and_each_refused_one_does_not_for_its_reason() {
    let vector = &read()["transfer"];
    assert_eq!(verify(vector), Ok(()));
    for (part, claims) in [("statement", json!(transfer_claims().0)), ("request", json!(transfer_claims().1))] {
        assert_eq!(vector[part]["claims"], claims);
    }
    for refused in read()["refused_transfers"].as_array().unwrap() {
        let why = verify(refused).unwrap_err();
        let reason = refused["reason"].as_str().unwrap().to_lowercase();
        assert!(reason.contains(why.split(':').next().unwrap()), "{}: {why}", refused["name"]);
    }
}

#[test]
fn the_receipt_verifies_and_has_these_claims() {
    let (vector, jwks) = (&read()["receipt"], serde_json::from_value::<Jwks>(read()["jwks"].clone()).unwrap());
    let claims = verify_receipt(vector["jws"].as_str().unwrap(), &jwks).unwrap();
    assert_eq!(serde_json::to_value(claims).unwrap(), vector["claims"]);
}

#[test]
fn a_refused_statement_does_not_verify_or_names_other_keys() {
    let device = public("device_p256");
    for refused in read()["refused_statements"].as_array().unwrap() {
        let verified = verify_key_statement(refused["key_statement"].as_str().unwrap(), &device, ISSUER);
        let registered: BTreeSet<_> = refused["presence_keys"].as_array().unwrap().iter().map(stated).collect();
        let signatures = refused["key_signatures"].as_array().unwrap();
        let holds = verified.is_ok_and(|claims| {
            let named: BTreeSet<_> = claims.keys.iter().map(|key| (key.kind.as_str().to_owned(), key.jkt.clone())).collect();
            let signed = |jws: &Value| KEYS.iter().any(|name| signed_by(jws.as_str().unwrap(), &claims, name));
            named == registered && signatures.iter().all(signed)
        });
        assert!(!holds, "{}", refused["name"]);
    }
}

fn stated(key: &Value) -> (String, String) {
    (key["kind"].as_str().unwrap().to_owned(), PublicJwk::from_value(&key["jwk"]).unwrap().thumbprint())
}

fn signed_by(signature: &str, claims: &KeyStatementClaims, name: &str) -> bool {
    claims.keys.iter().any(|key| key.jkt == jkt(name)) && verify_key_signature(signature, claims, &public(name)).is_ok()
}

#[test]
fn evidence_is_what_the_vectors_say_of_it() {
    let (vectors, jwks) = (read(), serde_json::from_value::<Jwks>(read()["jwks"].clone()).unwrap());
    for case in vectors["evidence"].as_array().unwrap() {
        let evidence: Evidence = serde_json::from_value(case["evidence"].clone()).unwrap();
        let verified = verify_evidence(&evidence, &jwks, &Expected::accept());
        let (verdict, fault, certification) = match &verified {
            Ok(genuine) => ("verified", None, Some(genuine.certification)),
            Err(EvidenceError::Unexpected(unexpected)) => ("unexpected", None, Some(unexpected.evidence.certification)),
            Err(EvidenceError::NotProven(unproven)) => match unproven {
                Unproven::NoReceipt(_) => ("not_proven", None, None),
                Unproven::Uncertified(genuine) => ("not_proven", None, Some(genuine.certification)),
            },
            Err(EvidenceError::NotGenuine(fault)) => ("not_genuine", Some(fault.part()), None),
        };
        let found = (verdict, fault, certification.map(certified_by));
        let text = |member: &str| case.get(member).and_then(Value::as_str);
        assert_eq!(found, (text("verdict").unwrap(), text("fault"), text("certified_by")), "{}: {verified:?}", case["name"]);
        // A verifier that trusts the deployment says so.
        let believed = verify_evidence(&evidence, &jwks, &Expected::accept().allow_uncertified()).is_ok();
        assert_eq!(believed, verdict == "verified" || found.2 == Some("deployment"), "{}", case["name"]);
    }
}

const fn certified_by(certification: Certification) -> &'static str {
    match certification {
        Certification::DeviceKey => "device_key",
        Certification::KeyStatement { .. } => "key_statement",
        Certification::Deployment => "deployment",
    }
}

#[test]
fn the_challenges_of_both_versions_are_the_same_to_a_phone() {
    let claims: ChallengeClaims = serde_json::from_value(challenge_claims()).unwrap();
    let signed = jws::sign(CHALLENGE_TYP, Some(&jkt("server_ed25519")), None, &claims, &private("server_ed25519"));
    assert_eq!(read()["evidence"][0]["evidence"]["challenge"], signed);
}
