//! Genuine evidence, and the expectations that a verifier may have of it.

use std::time::Duration;

use nodkey_kernel::{
    evidence::{Certification, EvidenceError, Expectation, Expected, Fault, Unproven, verify_evidence},
    jose::JoseError,
    level::Level,
};

use crate::world::{ACME, ANSWERED, WORLD};

fn differs(name: &str, expected: &Expected) -> Vec<Expectation> {
    match verify_evidence(&WORLD.find(name).evidence, &WORLD.jwks(), expected) {
        Ok(_) => vec![],
        Err(EvidenceError::Unexpected(unexpected)) => unexpected.differs,
        Err(other) => panic!("{name}: {other}"),
    }
}

#[test]
fn genuine_evidence_shows_everything_that_was_signed() {
    for happened in WORLD.happened.iter().filter(|happened| happened.receipt.is_some()) {
        let verified = verify_evidence(&happened.evidence, &WORLD.jwks(), &Expected::any_outcome().allow_uncertified()).unwrap();
        assert_eq!(verified.challenge, happened.challenge, "{}", happened.name);
        assert_eq!(verified.response, happened.response, "{}", happened.name);
        assert_eq!(Some(&verified.receipt), happened.receipt.as_ref(), "{}", happened.name);
        let certification = match (happened.evidence.keys.len(), happened.states) {
            (1, _) => Certification::DeviceKey,
            (_, true) => Certification::KeyStatement { seq: 1, iat: 1_780_000_000, co_signed: true },
            (_, false) => Certification::Deployment,
        };
        assert_eq!(verified.certification, certification, "{}", happened.name);
    }
}

#[test]
fn nothing_but_an_accept_with_what_was_asked_for_verifies_unless_the_caller_says_so() {
    for happened in WORLD.happened.iter().filter(|happened| happened.receipt.is_some()) {
        let success = happened.receipt.as_ref().unwrap().status.is_success();
        assert_eq!(success, happened.name.starts_with("accepted") && !["number", "lower"].iter().any(|part| happened.name.contains(part)));
        for expected in [Expected::default(), Expected::accept()].map(Expected::allow_uncertified) {
            let verified = verify_evidence(&happened.evidence, &WORLD.jwks(), &expected);
            assert_eq!(verified.is_ok(), success, "{}", happened.name);
            assert!(verified.is_ok_and(|verified| verified.is_success()) || !success);
        }
    }
    let decision = vec![Expectation::Decision];
    for rejected in ["rejected", "rejected without a reason", "accepted with the wrong number"] {
        assert_eq!(differs(rejected, &Expected::accept().allow_uncertified()), decision);
        assert_eq!(differs(rejected, &Expected::rejection().allow_uncertified()), []);
        let any = Expected::any_outcome().allow_uncertified();
        let any = verify_evidence(&WORLD.find(rejected).evidence, &WORLD.jwks(), &any).unwrap();
        assert!(!any.is_success());
    }
    assert_eq!(differs("accepted at a lower level", &Expected::accept()), decision);
    assert_eq!(differs("accepted", &Expected::rejection()), decision);
}

#[test]
fn what_differs_is_named() {
    let alice = WORLD.alice.id();
    let good = Expected::accept().user("alice").device(&alice).party(ACME).trusonafication("trusonafication: accepted");
    let good = good.level(Level::Essential).max_age(Duration::from_mins(1), ANSWERED);
    assert_eq!(differs("accepted", &good), []);
    for (expected, named) in [
        (Expected::accept().user("bob"), Expectation::User),
        (Expected::accept().user(""), Expectation::User),
        (Expected::accept().device(WORLD.bob.id()), Expectation::Device),
        (Expected::accept().party("other"), Expectation::Party),
        (Expected::accept().trusonafication("other"), Expectation::Trusonafication),
        (Expected::accept().level(Level::Executive), Expectation::Level),
        (Expected::accept().max_age(Duration::from_secs(59), ANSWERED + Duration::from_mins(1)), Expectation::Age),
        (Expected::accept().max_age(Duration::from_secs(59), ANSWERED - Duration::from_secs(61)), Expectation::Age),
    ] {
        assert_eq!(differs("accepted", &expected), [named]);
    }
    let error = verify_evidence(&WORLD.find("rejected").evidence, &WORLD.jwks(), &Expected::accept().user("bob")).unwrap_err();
    assert_eq!(error.to_string(), "the evidence is genuine, but not what was expected: decision, user differs");
}

#[test]
fn a_key_that_the_device_does_not_certify_proves_nothing_unless_the_caller_says_so() {
    for (name, outcomes) in [
        ("accepted by a key that the device did not state", [Expected::accept(), Expected::any_outcome()]),
        ("rejected without a reason", [Expected::rejection(), Expected::any_outcome()]),
    ] {
        let happened = WORLD.find(name);
        for expected in outcomes {
            // Regardless of other expectations: it is unknown who answered.
            for expected in [expected.clone(), expected.clone().user("nobody")] {
                let Err(EvidenceError::NotProven(found)) = verify_evidence(&happened.evidence, &WORLD.jwks(), &expected) else {
                    panic!("{name}")
                };
                let Unproven::Uncertified(found) = found else { panic!("{found:?}") };
                assert_eq!((Some(&found.receipt), found.certification), (happened.receipt.as_ref(), Certification::Deployment));
            }
            let believed = verify_evidence(&happened.evidence, &WORLD.jwks(), &expected.clone().allow_uncertified()).unwrap();
            assert_eq!(believed.certification, Certification::Deployment);
            assert_eq!(differs(name, &expected.allow_uncertified().user("nobody")), [Expectation::User]);
        }
    }
    assert_eq!(differs("accepted by the device key", &Expected::accept()), [], "its thumbprint is the device identifier");
}

#[test]
fn a_level_that_is_named_counts_instead_of_what_was_asked_for() {
    assert_eq!(differs("accepted at a lower level", &Expected::accept().level(Level::Possession)), []);
    assert_eq!(differs("accepted at a lower level", &Expected::accept().level(Level::Essential)), [Expectation::Level]);
    assert_eq!(differs("accepted at a higher level", &Expected::accept().level(Level::Essential)), []);
    assert_eq!(differs("accepted by the device key", &Expected::accept().level(Level::Essential)), [Expectation::Level]);
    assert_eq!(differs("rejected", &Expected::rejection().level(Level::Possession)), [Expectation::Level], "a rejection proves none");
}

#[test]
fn evidence_from_before_receipts_is_not_proven() {
    for name in ["accepted before receipts", "rejected before receipts"] {
        let happened = WORLD.find(name);
        let json = serde_json::to_value(&happened.evidence).unwrap();
        assert_eq!(json.as_object().unwrap().keys().collect::<Vec<_>>(), ["challenge", "response", "keys"], "as it was written before");
        for jwks in [WORLD.jwks(), WORLD.jwks_before()] {
            for expected in [Expected::accept(), Expected::rejection(), Expected::any_outcome()] {
                let Err(EvidenceError::NotProven(found)) = verify_evidence(&happened.evidence, &jwks, &expected) else { panic!("{name}") };
                let Unproven::NoReceipt(found) = found else { panic!("{found:?}") };
                assert_eq!((&found.challenge, &found.response), (&happened.challenge, &happened.response));
                assert_eq!(found.signing_key, WORLD.alice.presence.public().thumbprint());
            }
        }
    }
}

#[test]
fn a_receipt_by_a_key_that_was_published_before_receipts_is_not_genuine() {
    let mut evidence = WORLD.find("accepted before receipts").evidence.clone();
    evidence.receipt.clone_from(&WORLD.find("accepted").evidence.receipt);
    let found = verify_evidence(&evidence, &WORLD.jwks_before(), &Expected::any_outcome()).unwrap_err();
    assert_eq!(found, EvidenceError::NotGenuine(Fault::Receipt(JoseError::Key)));
}
