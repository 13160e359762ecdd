//! An attacker has any amount of genuine evidence, and keys and a phone of her own, but no key of the deployment or of an honest phone.
//! Nothing she assembles verifies as something that did not happen.

use std::sync::LazyLock;

use nodkey_kernel::{
    challenge::{CHALLENGE_TYP, Decision, RESPONSE_TYP, ResponseClaims, challenge_hash},
    evidence::{Certification, Evidence, EvidenceError, Expected, Fault, Unproven, VerifiedEvidence, verify_evidence},
    jose::{Algorithm, JoseError, PrivateKey, PublicJwk, b64u, b64u_decode, jws, sha256},
    key_statement::{KEYS_TYP, PresenceKind, StatedKey, sign_key_statement},
    random::Random,
    receipt::{RECEIPT_TYP, verify_receipt},
};
use proptest::{prelude::*, sample::Index};
use serde_json::{Value, json};

use crate::world::{Happened, Phone, WORLD};

/// What the attacker has.
struct Loot {
    /// Every JWS that any honest party signed.
    parts: Vec<String>,
    /// Every public key.
    public: Vec<PublicJwk>,
    /// Her own keys: new ones, and those of her phone.
    private: Vec<PrivateKey>,
    /// Names of keys, for use in headers.
    kids: Vec<String>,
    /// Values to replace members of claims with.
    values: Vec<(&'static str, Value)>,
}

static LOOT: LazyLock<Loot> = LazyLock::new(|| {
    let world = &*WORLD;
    let evidences = || world.happened.iter().map(|happened| &happened.evidence);
    let mut parts: Vec<String> = evidences().flat_map(slots).flatten().collect();
    parts.extend(world.loose.iter().cloned());
    parts.sort();
    parts.dedup();
    let fresh = |algorithm, seed| PrivateKey::generate(algorithm, &Random::seeded(seed));
    let mallory = &world.mallory;
    let private = vec![fresh(Algorithm::Es256, 90), fresh(Algorithm::EdDsa, 91), mallory.device.clone(), mallory.presence.clone()];
    let mut public: Vec<PublicJwk> = evidences().flat_map(|evidence| evidence.keys.clone()).collect();
    public.extend(world.jwks().keys.iter().map(|published| published.key));
    public.extend(private.iter().map(PrivateKey::public));
    let kids: Vec<String> = public.iter().map(PublicJwk::thumbprint).collect();
    let mut values: Vec<(&str, Value)> =
        ["ACCEPTED", "ACCEPTED_AT_HIGHER_LEVEL", "REJECTED"].map(|status| ("status", json!(status))).into();
    values.extend([1, 2, 3].map(|level| ("level", json!(level))));
    values.extend(["accept", "reject"].map(|dec| ("dec", json!(dec))));
    values.extend([json!("number_mismatch"), json!("not_me"), Value::Null].map(|why| ("why", why)));
    values.extend(["alice", "bob"].map(|user| ("user", json!(user))));
    values.extend([&world.alice, &world.bob, mallory].map(Phone::id).iter().flat_map(|id| [("iss", json!(id)), ("dev", json!(id))]));
    for kid in &kids {
        values.push(("key", json!({"jkt": kid, "kind": "biometric"})));
        values.push(("keys", json!([{"kind": "biometric", "jkt": kid}])));
    }
    for part in &parts {
        let hash = b64u(&sha256(part.as_bytes()));
        values.extend([("chal", json!(hash)), ("resp", json!(hash))]);
    }
    values.extend(world.happened.iter().map(|happened| ("sub", json!(happened.challenge.jti))));
    values.extend([
        ("lvl", json!(1)),
        ("at", json!(1)),
        ("seq", json!(9)),
        ("act", json!("transfer 1,000,000 EUR")),
        ("rp", json!("other")),
    ]);
    Loot { parts, public, private, kids, values }
});

fn slots(evidence: &Evidence) -> [Option<String>; 5] {
    [
        Some(evidence.challenge.clone()),
        Some(evidence.response.clone()),
        evidence.receipt.clone(),
        evidence.key_statement.clone(),
        evidence.key_signatures.first().cloned(),
    ]
}

/// How a JWS is made.
#[derive(Clone, Debug)]
enum Part {
    /// An honest party signed it.
    Known(Index),
    /// The claims of a known one, changed and signed with a key of the attacker's.
    Signed { claims: Index, edits: Vec<Index>, typ: Index, kid: Index, embed: bool, by: Index },
    /// Header, claims and signature from three known ones.
    Spliced([Index; 3]),
    /// A known one with one character changed.
    Tampered(Index, Index, char),
    /// The claims of a known one, changed, with an algorithm that needs no key.
    Unsigned { claims: Index, edits: Vec<Index>, typ: Index, kid: Index, alg: Index },
}

/// A change to evidence.
#[derive(Clone, Debug)]
enum Attack {
    /// Puts a JWS into one of [`slots`].
    Put(Index, Part),
    /// Removes a part that may be absent.
    Drop(Index),
    /// Replaces the keys.
    Keys(Vec<Index>),
    /// Adds a key of the attacker's.
    AddKey(Index),
    /// Answers the challenge with a key of the attacker's, in the name of another phone.
    Answer { accept: bool, phone: Index, by: Index },
    /// States, from her own phone, that any keys are hers.
    State(Index),
}

fn known(which: Index) -> &'static str {
    &LOOT.parts[which.index(LOOT.parts.len())]
}

fn kid_of(which: Index) -> &'static str {
    &LOOT.kids[which.index(LOOT.kids.len())]
}

fn claims(part: &str, edits: &[Index]) -> Value {
    let payload = b64u_decode(part.split('.').nth(1).unwrap()).unwrap();
    let mut claims: Value = serde_json::from_slice(&payload).unwrap();
    for edit in edits {
        let (name, value) = edit.get(&LOOT.values);
        claims[*name] = value.clone();
    }
    claims
}

fn make(part: &Part) -> String {
    let typs = [CHALLENGE_TYP, RESPONSE_TYP, RECEIPT_TYP, KEYS_TYP];
    match part {
        Part::Known(which) => known(*which).to_owned(),
        Part::Signed { claims: of, edits, typ, kid, embed, by } => {
            let by = by.get(&LOOT.private);
            let jwk = embed.then(|| by.public());
            jws::sign(typs[typ.index(typs.len())], Some(kid_of(*kid)), jwk.as_ref(), &claims(known(*of), edits), by)
        }
        Part::Spliced(of) => {
            let piece = |at: usize| known(of[at]).split('.').nth(at).unwrap();
            format!("{}.{}.{}", piece(0), piece(1), piece(2))
        }
        Part::Tampered(which, at, with) => {
            let mut characters: Vec<char> = known(*which).chars().collect();
            *at.get_mut(&mut characters) = *with;
            characters.into_iter().collect()
        }
        Part::Unsigned { claims: of, edits, typ, kid, alg } => {
            let (typ, kid, alg) = (typs[typ.index(typs.len())], kid_of(*kid), ["none", "HS256"][alg.index(2)]);
            let header = json!({"alg": alg, "typ": typ, "kid": kid}).to_string();
            let input = format!("{}.{}", b64u(header.as_bytes()), b64u(claims(known(*of), edits).to_string().as_bytes()));
            let public = LOOT.public.iter().find(|key| key.thumbprint() == kid).unwrap().to_raw();
            let tag = if alg == "none" { vec![] } else { nodkey_kernel::jose::hmac_sha256(&public, input.as_bytes()).to_vec() };
            format!("{input}.{}", b64u(&tag))
        }
    }
}

fn apply(evidence: &mut Evidence, attack: &Attack) {
    match attack {
        Attack::Put(slot, part) => {
            let part = make(part);
            match slot.index(5) {
                0 => evidence.challenge = part,
                1 => evidence.response = part,
                2 => evidence.receipt = Some(part),
                3 => evidence.key_statement = Some(part),
                _ => evidence.key_signatures = vec![part],
            }
        }
        Attack::Drop(slot) => match slot.index(3) {
            0 => evidence.receipt = None,
            1 => evidence.key_statement = None,
            _ => evidence.key_signatures.clear(),
        },
        Attack::Keys(keys) => evidence.keys = keys.iter().map(|key| *key.get(&LOOT.public)).collect(),
        Attack::AddKey(key) => evidence.keys.push(key.get(&LOOT.private).public()),
        Attack::Answer { accept, phone, by } => {
            answer(evidence, *accept, [&WORLD.alice, &WORLD.bob, &WORLD.mallory][phone.index(3)], by.get(&LOOT.private));
        }
        Attack::State(key) => {
            let jkt = kid_of(*key).to_owned();
            let keys = vec![StatedKey { kind: PresenceKind::Biometric, jkt }];
            let statement = nodkey_kernel::key_statement::KeyStatementClaims { seq: 7, keys, ..WORLD.mallory.statement() };
            evidence.key_statement = Some(sign_key_statement(&statement, &WORLD.mallory.device));
            evidence.key_signatures = vec![sign_key_statement(&statement, &WORLD.mallory.presence)];
        }
    }
}

/// Answers the challenge of the evidence with a key, in the name of a phone, and lists that key as the phone's.
pub fn answer(evidence: &mut Evidence, accept: bool, phone: &Phone, by: &PrivateKey) {
    let asked = jws::Compact::parse(&evidence.challenge).ok().and_then(|c| c.unverified_claims::<Value>().ok()).unwrap_or_default();
    let text = |name: &str| asked[name].as_str().unwrap_or_default().to_owned();
    let claims = ResponseClaims {
        iss: phone.id(),
        aud: text("iss").into(),
        sub: text("jti"),
        chal: challenge_hash(&evidence.challenge),
        dec: if accept { Decision::Accept } else { Decision::Reject },
        why: None,
        num: None,
        doc: None,
        iat: 1,
        jti: "forged".into(),
    };
    evidence.response = jws::sign(RESPONSE_TYP, Some(&by.public().thumbprint()), None, &claims, by);
    evidence.keys = vec![phone.device.public(), by.public()];
}

fn indices(most: usize) -> impl Strategy<Value = Vec<Index>> {
    prop::collection::vec(any::<Index>(), 0..most)
}

fn part() -> impl Strategy<Value = Part> {
    let index = any::<Index>;
    prop_oneof![
        4 => index().prop_map(Part::Known),
        4 => (index(), indices(4), index(), index(), any::<bool>(), index())
            .prop_map(|(claims, edits, typ, kid, embed, by)| Part::Signed { claims, edits, typ, kid, embed, by }),
        2 => [index(), index(), index()].prop_map(Part::Spliced),
        1 => (index(), index(), prop::char::range('!', '~')).prop_map(|(which, at, with)| Part::Tampered(which, at, with)),
        1 => (index(), indices(4), index(), index(), index())
            .prop_map(|(claims, edits, typ, kid, alg)| Part::Unsigned { claims, edits, typ, kid, alg }),
    ]
}

fn attack() -> impl Strategy<Value = Attack> {
    let index = any::<Index>;
    prop_oneof![
        6 => (index(), part()).prop_map(|(slot, part)| Attack::Put(slot, part)),
        1 => index().prop_map(Attack::Drop),
        1 => indices(4).prop_map(Attack::Keys),
        1 => index().prop_map(Attack::AddKey),
        2 => (any::<bool>(), index(), index()).prop_map(|(accept, phone, by)| Attack::Answer { accept, phone, by }),
        1 => index().prop_map(Attack::State),
    ]
}

/// Whether an honest party signed exactly this, and the deployment confirmed it. For her own phone, the attacker may state any keys, but
/// not that it gave another response.
fn happened(found: &VerifiedEvidence) -> bool {
    let same = |happened: &&Happened| {
        (Some(&found.receipt), &found.challenge, &found.response) == (happened.receipt.as_ref(), &happened.challenge, &happened.response)
    };
    WORLD.happened.iter().find(same).is_some_and(|happened| {
        let own = found.response.iss == WORLD.mallory.id();
        match found.certification {
            Certification::DeviceKey => happened.evidence.keys.len() == 1,
            Certification::KeyStatement { seq, iat, .. } => own || (happened.states && (seq, iat) == (1, 1_780_000_000)),
            Certification::Deployment => true,
        }
    })
}

/// Any outcome, by a key that the device certifies or not.
fn anything() -> Expected {
    Expected::any_outcome().allow_uncertified()
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(4096))]

    #[test]
    fn nothing_that_did_not_happen_verifies(of in any::<Index>(), attacks in prop::collection::vec(attack(), 0..5)) {
        let mut evidence = of.get(&WORLD.happened).evidence.clone();
        for attack in &attacks {
            apply(&mut evidence, attack);
        }
        match verify_evidence(&evidence, &WORLD.jwks(), &anything()) {
            Ok(found) => prop_assert!(happened(&found), "{found:?}"),
            Err(EvidenceError::NotProven(found)) => {
                let Unproven::NoReceipt(found) = found else { panic!("{found:?}") };
                prop_assert!(evidence.receipt.is_none());
                prop_assert!(WORLD.happened.iter().any(|h| h.challenge == found.challenge) || WORLD.loose.contains(&evidence.challenge));
            }
            Err(_) => {}
        }
        if let Ok(found) = verify_evidence(&evidence, &WORLD.jwks(), &Expected::default()) {
            prop_assert!(found.is_success() && happened(&found) && found.certification.is_by_device(), "{found:?}");
        }
        prop_assert!(verify_evidence(&evidence, &WORLD.jwks_before(), &anything()).is_err(), "by keys from before receipts");
    }

    #[test]
    fn a_receipt_is_the_deployments_or_none(part in part()) {
        let receipt = make(&part);
        if let Ok(found) = verify_receipt(&receipt, &WORLD.jwks()) {
            let known = LOOT.parts.iter().any(|known| jws::Compact::parse(known).unwrap().unverified_claims::<Value>().unwrap() == json!(found));
            prop_assert!(known, "{found:?}");
        }
    }
}

fn not_genuine(evidence: &Evidence) -> Fault {
    match verify_evidence(evidence, &WORLD.jwks(), &anything()) {
        Err(EvidenceError::NotGenuine(fault)) => fault,
        other => panic!("{other:?}"),
    }
}

/// The attack that made receipts necessary.
#[test]
fn a_rejection_does_not_become_an_accept_by_a_fresh_key() {
    let key = &LOOT.private[0];
    let mut evidence = WORLD.find("rejected").evidence.clone();
    answer(&mut evidence, true, &WORLD.alice, key);
    assert_eq!(not_genuine(&evidence), Fault::Mismatch("receipt.resp"));
    // Nor with the receipt of an accept, nor with none.
    evidence.receipt.clone_from(&WORLD.find("accepted").evidence.receipt);
    assert_eq!(not_genuine(&evidence), Fault::Mismatch("receipt.sub"));
    evidence.receipt = None;
    assert!(matches!(verify_evidence(&evidence, &WORLD.jwks(), &Expected::default()), Err(EvidenceError::NotProven(_))));
    // Nor with a receipt of her own, under the name of the deployment's key or of her own.
    let happened = WORLD.find("rejected");
    for kid in [WORLD.receipts.key.public().thumbprint(), key.public().thumbprint()] {
        let mut claims = json!(happened.receipt);
        (claims["status"], claims["dec"], claims["level"]) = (json!("ACCEPTED"), json!("accept"), json!(2));
        evidence.receipt = Some(jws::sign(RECEIPT_TYP, Some(&kid), Some(&key.public()), &claims, key));
        assert!(matches!(not_genuine(&evidence), Fault::Receipt(JoseError::Algorithm | JoseError::Key)));
    }
}

/// A response that arrived after the end is signed by an honest phone, and counts for nothing.
#[test]
fn an_accept_that_was_not_taken_is_not_proven_by_the_receipt_of_the_end() {
    for parts in WORLD.loose.chunks(3) {
        let [challenge, response, receipt] = parts else { panic!("three parts each") };
        let evidence = Evidence {
            challenge: challenge.clone(),
            response: response.clone(),
            receipt: Some(receipt.clone()),
            ..WORLD.find("accepted").evidence.clone()
        };
        assert_eq!(not_genuine(&evidence), Fault::Mismatch("receipt.resp"));
    }
}

#[test]
fn a_key_that_the_device_stated_cannot_be_swapped_even_by_the_deployment() {
    let mut evidence = WORLD.find("accepted").evidence.clone();
    let (alice, fresh) = (&WORLD.alice, &LOOT.private[0]);
    answer(&mut evidence, true, alice, fresh);
    let mut receipt = WORLD.find("accepted").receipt.clone().unwrap();
    receipt.resp = Some(b64u(&sha256(evidence.response.as_bytes())));
    receipt.key.as_mut().unwrap().jkt = fresh.public().thumbprint();
    let kid = WORLD.receipts.key.public().thumbprint();
    evidence.receipt = Some(jws::sign(RECEIPT_TYP, Some(&kid), None, &receipt, &WORLD.receipts.key));
    let Err(EvidenceError::NotProven(found)) = verify_evidence(&evidence, &WORLD.jwks(), &Expected::default()) else {
        panic!("no statement")
    };
    assert!(matches!(found, Unproven::Uncertified(_)), "{found:?}");
    let believed = verify_evidence(&evidence, &WORLD.jwks(), &Expected::accept().allow_uncertified()).unwrap();
    assert_eq!(believed.certification, Certification::Deployment, "whoever believes the deployment sees that they do");
    // Nor can the deployment raise the level above what the key proves.
    let by_device = WORLD.find("accepted at a lower level");
    let mut receipt = by_device.receipt.clone().unwrap();
    (receipt.status, receipt.level) = (nodkey_kernel::receipt::ReceiptStatus::Accepted, Some(nodkey_kernel::level::Level::Essential));
    let raised = Some(jws::sign(RECEIPT_TYP, Some(&kid), None, &receipt, &WORLD.receipts.key));
    assert_eq!(not_genuine(&Evidence { receipt: raised, ..by_device.evidence.clone() }), Fault::Mismatch("receipt.level"));
}

#[test]
fn a_statement_that_is_there_holds_or_the_evidence_is_not_genuine() {
    let good = &WORLD.find("accepted").evidence;
    let others = Some(sign_key_statement(&WORLD.mallory.statement(), &WORLD.mallory.device));
    let forged = Some(sign_key_statement(&WORLD.alice.statement(), &WORLD.mallory.device));
    for key_statement in [others, forged] {
        let fault = not_genuine(&Evidence { key_statement, ..good.clone() });
        assert_eq!(fault, Fault::KeyStatement(JoseError::Signature));
    }
    let newer = nodkey_kernel::key_statement::KeyStatementClaims { seq: 2, ..WORLD.alice.statement() };
    let key_signatures = vec![sign_key_statement(&newer, &WORLD.alice.presence)];
    assert_eq!(not_genuine(&Evidence { key_signatures, ..good.clone() }), Fault::KeySignature(JoseError::Claims));
    let unsigned = verify_evidence(&Evidence { key_signatures: vec![], ..good.clone() }, &WORLD.jwks(), &Expected::default()).unwrap();
    assert_eq!(unsigned.certification, Certification::KeyStatement { seq: 1, iat: 1_780_000_000, co_signed: false });
}
