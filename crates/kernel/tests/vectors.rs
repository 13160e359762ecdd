//! The worked examples of the mobile protocol: an implementation that reproduces them is interoperable.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on fails")]

use nodkey_kernel::{
    challenge::{self, ChallengeClaims, ResponseClaims},
    dpop::{self, ProofError},
    evidence::{Evidence, EvidenceError, Expected, Unproven, verify_evidence},
    jose::{Algorithm, Jwks, PrivateKey, PublicJwk, PublishedKey, b64u_decode, jws},
    time::Timestamp,
};
use serde_json::Value;

const VECTORS: &str = include_str!("../../../tests/vectors/mobile-v1.json");
const NOW: Timestamp = Timestamp::from_seconds(1_767_322_800);

fn vectors() -> Value {
    serde_json::from_str(VECTORS).unwrap()
}

fn text<'a>(value: &'a Value, name: &str) -> &'a str {
    value[name].as_str().unwrap()
}

fn key(name: &str) -> PublicJwk {
    PublicJwk::from_value(&vectors()["keys"][name]["jwk"]).unwrap()
}

fn private(name: &str) -> PrivateKey {
    let key = &vectors()["keys"][name];
    let algorithm = Algorithm::parse(text(key, "alg")).unwrap();
    PrivateKey::from_secret_bytes(algorithm, &b64u_decode(text(key, "d")).unwrap()).unwrap()
}

fn jwks() -> Jwks {
    let key = key("server_ed25519");
    Jwks { keys: vec![PublishedKey { kid: key.thumbprint(), key, typs: None }] }
}

#[test]
fn thumbprints_and_public_halves_are_those_of_the_vectors() {
    for (name, entry) in vectors()["keys"].as_object().unwrap() {
        assert_eq!(key(name).thumbprint(), text(entry, "thumbprint"), "{name}");
        assert_eq!(private(name).public(), key(name), "{name}");
    }
}

#[test]
fn proofs_verify_and_every_difference_is_noticed() {
    let url = "https://gw.example/api/v2/trusonafication_responses";
    for proof in vectors()["dpop"].as_array().unwrap() {
        let (jws, body) = (text(proof, "jws"), text(proof, "body").as_bytes());
        let good = dpop::verify(jws, "POST", url, body, NOW).unwrap();
        assert_eq!(good.device_id.as_str(), key(text(proof, "by")).thumbprint());
        assert_eq!(dpop::verify(jws, "PUT", url, body, NOW).unwrap_err(), ProofError::Method);
        assert_eq!(dpop::verify(jws, "POST", "https://gw.example/", body, NOW).unwrap_err(), ProofError::Url);
        assert_eq!(dpop::verify(jws, "POST", url, b"{}", NOW).unwrap_err(), ProofError::Body);
        let late = Timestamp::from_seconds(NOW.as_seconds() + 61);
        assert_eq!(dpop::verify(jws, "POST", url, body, late).unwrap_err(), ProofError::Skew { iat: NOW, now: late });
        let forwarded = |seconds| dpop::verify_forwarded(jws, "POST", url, body, Timestamp::from_seconds(NOW.as_seconds() + seconds));
        assert!(forwarded(65).is_ok());
        assert!(matches!(forwarded(66).unwrap_err(), ProofError::Skew { .. }));
        let forged = jws.replacen("ImJoIjo", "ImJoIjp", 1);
        assert!(forged == jws || dpop::verify(&forged, "POST", url, body, NOW).is_err());
    }
}

#[test]
fn the_challenge_verifies_and_signs_to_the_same_bytes() {
    let vector = &vectors()["challenge"];
    let issued = text(vector, "jws");
    let claims = challenge::verify_challenge(issued, &jwks(), "https://gw.example", NOW).unwrap();
    let expected: ChallengeClaims = serde_json::from_value(vector["claims"].clone()).unwrap();
    assert_eq!(claims, expected);
    assert_eq!(challenge::challenge_hash(issued), text(vector, "chal"));
    let server = private("server_ed25519");
    let kid = server.public().thumbprint();
    assert_eq!(jws::sign(challenge::CHALLENGE_TYP, Some(&kid), None, &claims, &server), issued);
}

#[test]
fn responses_hold_and_prove_the_level_of_the_vectors_once_there_is_a_receipt() {
    let challenge = text(&vectors()["challenge"], "jws").to_owned();
    for vector in vectors()["responses"].as_array().unwrap() {
        let signer = key(text(vector, "by"));
        let device = vector["device"].as_str().map_or(signer, key);
        let keys = if device == signer { vec![device] } else { vec![device, signer] };
        let response = text(vector, "jws").to_owned();
        let evidence =
            Evidence { challenge: challenge.clone(), response, keys, receipt: None, key_statement: None, key_signatures: vec![] };
        let Err(EvidenceError::NotProven(found)) = verify_evidence(&evidence, &jwks(), &Expected::any_outcome()) else {
            panic!("no receipt")
        };
        let Unproven::NoReceipt(found) = found else { panic!("{found:?}") };
        let expected: ResponseClaims = serde_json::from_value(vector["claims"].clone()).unwrap();
        assert_eq!((found.response, found.signing_key), (expected, signer.thumbprint()));
        if let Some(level) = vector["accepted_level"].as_i64() {
            assert_eq!(i64::from(challenge::proven_level(device != signer, false).as_i32()), level);
        }
        let other = Evidence { challenge: challenge.replacen('A', "B", 1), ..evidence };
        let found = verify_evidence(&other, &jwks(), &Expected::any_outcome());
        assert!(matches!(found, Err(EvidenceError::NotGenuine(_))));
    }
}
