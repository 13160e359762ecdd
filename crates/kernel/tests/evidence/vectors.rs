//! Worked examples of evidence: every verifier must reach the same verdict on each.

use std::{path::Path, time::Duration};

use nodkey_kernel::{
    challenge::CHALLENGE_TYP,
    evidence::{Evidence, EvidenceError, Expectation, Expected, Unproven, verify_evidence},
    jose::{Algorithm, Jwks, PrivateKey, jws},
    key_statement::{KeyStatementClaims, PresenceKind, StatedKey, sign_key_statement},
    level::Level,
    random::Random,
    receipt::RECEIPT_TYP,
    time::Timestamp,
};
use serde_json::{Value, json};

use crate::world::{ACME, ANSWERED, WORLD};

const FILE: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../../tests/vectors/evidence-v1.json");
const ABOUT: &str = "What is to be said of evidence: `verdict` is verified, unexpected (then `differs` names what), not_proven (`reason` is \
                     no_receipt or uncertified) or not_genuine (then `fault` names the part). `jwks` and `expected` are the verifier's; without `outcome` an accept is expected.";
const NOW: Timestamp = Timestamp::from_micros(ANSWERED.as_micros() + 30_000_000);

struct Case {
    name: String,
    evidence: Evidence,
    expected: Value,
    jwks: &'static str,
}

impl Case {
    fn new(name: &str, evidence: Evidence) -> Self {
        Self { name: name.into(), evidence, expected: json!({}), jwks: "now" }
    }

    fn jwks(&self) -> Jwks {
        if self.jwks == "now" { WORLD.jwks() } else { WORLD.jwks_before() }
    }

    /// The case with its expected verdict.
    fn to_value(&self) -> Value {
        let found = verify_evidence(&self.evidence, &self.jwks(), &expected(&self.expected));
        let mut case = json!({"name": self.name, "jwks": self.jwks, "expected": self.expected});
        match found {
            Ok(found) => {
                case["verdict"] = json!("verified");
                case["certification"] = json!(found.certification);
            }
            Err(EvidenceError::Unexpected(found)) => {
                case["verdict"] = json!("unexpected");
                case["differs"] = found.differs.iter().copied().map(Expectation::as_str).collect();
                case["certification"] = json!(found.evidence.certification);
            }
            Err(EvidenceError::NotProven(found)) => {
                case["verdict"] = json!("not_proven");
                case["reason"] = json!(found.reason());
                if let Unproven::Uncertified(found) = found {
                    case["certification"] = json!(found.certification);
                }
            }
            Err(EvidenceError::NotGenuine(fault)) => {
                case["verdict"] = json!("not_genuine");
                case["fault"] = json!(fault.part());
            }
        }
        case["evidence"] = json!(self.evidence);
        case
    }
}

fn expected(value: &Value) -> Expected {
    let text = |name: &str| value[name].as_str();
    let mut expected = match text("outcome") {
        None => Expected::accept(),
        Some("rejection") => Expected::rejection(),
        Some("any") => Expected::any_outcome(),
        Some(other) => panic!("{other}"),
    };
    if let Some(id) = text("trusonafication") {
        expected = expected.trusonafication(id);
    }
    if let Some(id) = text("party") {
        expected = expected.party(id);
    }
    if let Some(identifier) = text("user") {
        expected = expected.user(identifier);
    }
    if let Some(identifier) = text("device") {
        expected = expected.device(identifier);
    }
    if let Some(level) = value["level"].as_i64() {
        expected = expected.level(Level::try_from(i32::try_from(level).unwrap()).unwrap());
    }
    if let Some(seconds) = value["max_age"].as_u64() {
        expected = expected.max_age(Duration::from_secs(seconds), NOW);
    }
    if value["allow_uncertified"] == true { expected.allow_uncertified() } else { expected }
}

fn fresh() -> PrivateKey {
    PrivateKey::generate(Algorithm::Es256, &Random::seeded(99))
}

/// Evidence with another receipt: changed claims, signed with `by` under the name `kid`.
fn with_receipt(of: &str, changes: Value, by: &PrivateKey, kid: &str) -> Evidence {
    let happened = WORLD.find(of);
    let mut claims = json!(happened.receipt);
    let Value::Object(changes) = changes else { panic!("an object") };
    for (name, value) in changes {
        claims[name.as_str()] = value;
    }
    Evidence { receipt: Some(jws::sign(RECEIPT_TYP, Some(kid), None, &claims, by)), ..happened.evidence.clone() }
}

fn genuine() -> Vec<Case> {
    let mut cases: Vec<_> = WORLD.happened.iter().map(|happened| Case::new(happened.name, happened.evidence.clone())).collect();
    for outcome in ["rejection", "any"] {
        for name in ["accepted", "rejected", "accepted with the wrong number", "accepted before receipts"] {
            let case = Case::new(&format!("{name}, {outcome} expected"), WORLD.find(name).evidence.clone());
            cases.push(Case { expected: json!({ "outcome": outcome }), ..case });
        }
    }
    let accepted = |expected: Value, what: &str| {
        let case = Case::new(&format!("accepted, {what}"), WORLD.find("accepted").evidence.clone());
        Case { expected, ..case }
    };
    let alice = WORLD.alice.id();
    let all = json!({
        "trusonafication": "trusonafication: accepted", "party": ACME, "user": "alice", "device": alice, "level": 2, "max_age": 60,
    });
    cases.push(accepted(all, "everything as expected"));
    cases.push(accepted(json!({"trusonafication": "another"}), "another trusonafication expected"));
    cases.push(accepted(json!({"party": "another"}), "another party expected"));
    cases.push(accepted(json!({"user": "bob"}), "another user expected"));
    cases.push(accepted(json!({"device": WORLD.bob.id()}), "another device expected"));
    cases.push(accepted(json!({"level": 3}), "more expected"));
    cases.push(accepted(json!({"level": 3, "user": "bob"}), "more by another user expected"));
    cases.push(accepted(json!({"max_age": 30}), "just young enough"));
    cases.push(accepted(json!({"max_age": 29}), "a second too old"));
    let case = |name: &str, of: &str, expected: Value| Case { expected, ..Case::new(name, WORLD.find(of).evidence.clone()) };
    let unstated = "accepted by a key that the device did not state";
    let allowed = |mut expected: Value| {
        expected["allow_uncertified"] = json!(true);
        expected
    };
    cases.push(case("an uncertified key, and the deployment's word is enough", unstated, allowed(json!({}))));
    cases.push(case("an uncertified key of another user", unstated, json!({"user": "alice"})));
    cases.push(case(
        "an uncertified key of another user, and the deployment's word is enough",
        unstated,
        allowed(json!({"user": "alice"})),
    ));
    let unstated = "rejected without a reason";
    cases.push(case("rejected by an uncertified key, rejection expected", unstated, json!({"outcome": "rejection"})));
    let rejection = allowed(json!({"outcome": "rejection"}));
    cases.push(case("rejected by an uncertified key, and the deployment's word is enough", unstated, rejection));
    cases.push(case("a certified key where the deployment's word would be enough", "accepted", allowed(json!({}))));
    cases.push(case("a lower level is enough for who says so", "accepted at a lower level", json!({"level": 1})));
    let rejected = json!({"user": "bob", "device": WORLD.bob.id(), "level": 1});
    cases.push(case("rejected by another user and device", "rejected", rejected));
    let before = |name: &str, of: &str| Case { jwks: "before", ..Case::new(name, WORLD.find(of).evidence.clone()) };
    cases.push(before("accepted before receipts, by keys from before", "accepted before receipts"));
    cases.push(before("accepted, by keys from before", "accepted"));
    cases
}

fn statements() -> Vec<Case> {
    let good = WORLD.find("accepted").evidence.clone();
    let alice = &WORLD.alice;
    let stated = |keys: Vec<StatedKey>| {
        let claims = KeyStatementClaims { keys, ..alice.statement() };
        Some(sign_key_statement(&claims, &alice.device))
    };
    let jkt = alice.presence.public().thumbprint();
    let elsewhere = KeyStatementClaims { aud: "https://else.example".into(), ..alice.statement() };
    let older = KeyStatementClaims { seq: 0, ..alice.statement() };
    let with = |name: &str, key_statement: Option<String>| Case::new(name, Evidence { key_statement, ..good.clone() });
    let co_signed = |name: &str, key_signatures: Vec<String>| Case::new(name, Evidence { key_signatures, ..good.clone() });
    vec![
        with("the statement is missing", None),
        with("the statement does not name the key", stated(vec![])),
        with("the statement names the key as another kind", stated(vec![StatedKey { kind: PresenceKind::Credential, jkt: jkt.clone() }])),
        with(
            "the statement names the key twice",
            stated([PresenceKind::Biometric, PresenceKind::Credential].map(|kind| StatedKey { kind, jkt: jkt.clone() }).into()),
        ),
        with("the statement is for another deployment", Some(sign_key_statement(&elsewhere, &alice.device))),
        with("the statement is by another device", Some(sign_key_statement(&WORLD.mallory.statement(), &WORLD.mallory.device))),
        with("the statement is by a presence key", Some(sign_key_statement(&alice.statement(), &alice.presence))),
        co_signed("the key that answered did not sign the statement", vec![]),
        co_signed("the key that answered signed another statement", vec![sign_key_statement(&older, &alice.presence)]),
        co_signed("a key that is not ours to know signed the statement", vec![sign_key_statement(&alice.statement(), &fresh())]),
        co_signed("a signature over the statement is none", vec!["a.b".into()]),
    ]
}

fn contradictions() -> Vec<Case> {
    let (key, kid) = (&WORLD.receipts.key, WORLD.receipts.key.public().thumbprint());
    let with = |name: &str, of: &str, changes: Value| Case::new(name, with_receipt(of, changes, key, &kid));
    let jkt = WORLD.bob.presence.public().thumbprint();
    let device = json!({"jkt": WORLD.alice.presence.public().thumbprint(), "kind": "device"});
    vec![
        with("the receipt is of another deployment", "accepted", json!({"iss": "https://else.example"})),
        with("the receipt is of another party", "accepted", json!({"rp": "another"})),
        with("the receipt is of another challenge", "accepted", json!({"chal": "another"})),
        with("the receipt is of another device", "accepted", json!({"dev": WORLD.bob.id()})),
        with("the receipt names another key", "accepted", json!({"key": {"jkt": jkt, "kind": "biometric"}})),
        with("the receipt names the key as the device key", "accepted", json!({"key": device})),
        with("the receipt says more than the key proves", "accepted at a lower level", json!({"status": "ACCEPTED", "level": 2})),
        with(
            "the receipt says of a rejection that it was an accept",
            "rejected without a reason",
            json!({"status": "ACCEPTED", "dec": "accept", "level": 1}),
        ),
        with(
            "the receipt says of an accept that it was a rejection",
            "accepted",
            json!({"status": "REJECTED", "dec": "reject", "level": null}),
        ),
        with("the receipt gives another reason", "rejected", json!({"why": "changed_mind"})),
        with("the receipt has no level", "accepted", json!({"level": null})),
        with("the receipt has a level that there is not", "accepted", json!({"level": 4})),
        with("the receipt accepts what it rejects", "rejected", json!({"status": "ACCEPTED", "level": 2})),
        with(
            "the receipt is of what expired",
            "accepted",
            json!({"status": "EXPIRED", "level": null, "dec": null, "key": null, "resp": null}),
        ),
        with("the receipt is of what is in progress", "accepted", json!({"status": "IN_PROGRESS"})),
    ]
}

fn forgeries() -> Vec<Case> {
    let (accepted, rejected) = (&WORLD.find("accepted").evidence, &WORLD.find("rejected").evidence);
    let mut answered = rejected.clone();
    crate::attacks::answer(&mut answered, true, &WORLD.alice, &fresh());
    let case = Case::new;
    let from = |part: &str| Evidence { receipt: Some(part.to_owned()), ..accepted.clone() };
    let (kid, challenges) = (WORLD.receipts.key.public().thumbprint(), &WORLD.challenges.key);
    let mut other_typ = with_receipt("accepted", json!({}), &WORLD.receipts.key, &kid);
    let claims: Value = jws::Compact::parse(other_typ.receipt.as_ref().unwrap()).unwrap().unverified_claims().unwrap();
    other_typ.receipt = Some(jws::sign("nodkey-result+jwt", Some(&kid), None, &claims, &WORLD.receipts.key));
    let altered = |text: &str| {
        let (input, signature) = text.rsplit_once('.').unwrap();
        let (header, payload) = input.split_once('.').unwrap();
        let other = if payload.contains('A') { payload.replacen('A', "B", 1) } else { payload.replacen('B', "A", 1) };
        format!("{header}.{other}.{signature}")
    };
    let none = |text: &str| {
        let header = nodkey_kernel::jose::b64u(json!({"alg": "none", "typ": RECEIPT_TYP, "kid": kid}).to_string().as_bytes());
        format!("{header}.{}.", text.split('.').nth(1).unwrap())
    };
    let issued = jws::sign(CHALLENGE_TYP, Some(&kid), None, &WORLD.find("accepted").challenge, &WORLD.receipts.key);
    vec![
        case("a rejection answered again by a fresh key", answered.clone()),
        case("a rejection answered again by a fresh key, without its receipt", Evidence { receipt: None, ..answered.clone() }),
        case("a rejection answered again, with the receipt of an accept", Evidence { receipt: accepted.receipt.clone(), ..answered }),
        case("the receipt of another", Evidence { receipt: accepted.receipt.clone(), ..rejected.clone() }),
        case("the receipt is missing", Evidence { receipt: None, ..accepted.clone() }),
        case("a receipt by a fresh key under its own name", with_receipt("accepted", json!({}), &fresh(), &fresh().public().thumbprint())),
        case("a receipt by a fresh key under the deployment's name", with_receipt("accepted", json!({}), &fresh(), &kid)),
        case("a receipt by the key for challenges", with_receipt("accepted", json!({}), challenges, &challenges.public().thumbprint())),
        case("a receipt by a key that names no types", {
            let before = &WORLD.before.key;
            with_receipt("accepted", json!({}), before, &before.public().thumbprint())
        }),
        case("a receipt of another type", other_typ),
        case("a receipt without a signature", from(&none(accepted.receipt.as_ref().unwrap()))),
        case("a challenge for a receipt", from(&accepted.challenge)),
        case("a receipt that is none", from("")),
        case("an altered receipt", from(&altered(accepted.receipt.as_ref().unwrap()))),
        case("an altered challenge", Evidence { challenge: altered(&accepted.challenge), ..accepted.clone() }),
        case("a challenge by the key for receipts", Evidence { challenge: issued, ..accepted.clone() }),
        case("an altered response", Evidence { response: altered(&accepted.response), ..accepted.clone() }),
        case("the challenge of another", Evidence { challenge: rejected.challenge.clone(), ..accepted.clone() }),
        case("the keys the other way round", Evidence { keys: accepted.keys.iter().copied().rev().collect(), ..accepted.clone() }),
        case("without keys", Evidence { keys: vec![], ..accepted.clone() }),
        case("without the key that answered", Evidence { keys: accepted.keys[..1].to_vec(), ..accepted.clone() }),
        case("with keys that nobody asked for", {
            Evidence { keys: [&accepted.keys[..], &[fresh().public()]].concat(), ..accepted.clone() }
        }),
    ]
}

#[test]
fn the_vectors_are_what_is_said_of_evidence() {
    let cases = [genuine(), statements(), contradictions(), forgeries()].into_iter().flatten();
    let vectors = json!({
        "about": ABOUT,
        "now": NOW,
        "jwks": {"now": WORLD.jwks(), "before": WORLD.jwks_before()},
        "cases": cases.map(|case| case.to_value()).collect::<Vec<_>>(),
    });
    let text = serde_json::to_string_pretty(&vectors).unwrap() + "\n";
    if std::fs::read_to_string(FILE).is_ok_and(|kept| kept == text) {
        return;
    }
    let made = Path::new(env!("CARGO_TARGET_TMPDIR")).join("evidence-v1.json");
    std::fs::write(&made, text).unwrap();
    panic!("tests/vectors/evidence-v1.json is not what the code says; if the code is right, copy {} over it", made.display());
}
