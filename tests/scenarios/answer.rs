//! A backend sends a challenge, the phone answers, and the backend gets a provable result.

use nodkey_client::{
    Evidence, EvidenceError, Expectation, Expected, Fault, Level, NewTrusonafication, ReceiptReason, is_success, verify_evidence,
};
use nodkey_kernel::{
    challenge::{self, RESPONSE_TYP, ResponseClaims},
    jose::{Algorithm, PrivateKey, jws},
    random::Random,
};
use nodkey_mobile_sdk::{Decision, Outcome, RejectReason};
use nodkey_proto::trusonafication::v1::{NumberMatch, RejectReason as WireReason, Status};
use serde_json::json;

use crate::{
    software::store,
    world::{World, asked},
};

scenarios!(
    an_accept_at_level_2_is_provable_offline,
    an_accept_at_level_1_needs_only_the_device,
    an_accept_at_level_3_needs_the_registered_document,
    less_than_asked_is_no_success_and_more_is,
    a_reject_says_why,
    who_holds_the_evidence_of_a_rejection_makes_no_accept_of_it,
    the_number_shown_has_to_be_matched,
    one_device_alone_can_be_asked,
    what_is_asked_arrives_to_the_letter,
);

fn log_in() -> NewTrusonafication {
    NewTrusonafication::user("ada", "log in", "Acme")
}

async fn an_accept_at_level_2_is_provable_offline(world: &World) {
    let tenant = world.tenant().await;
    let phone = tenant.active("ada").await;
    let created = tenant.backend.create_trusonafication(log_in()).await.unwrap().trusonafication;
    assert_eq!(created.status(), Status::InProgress);
    assert!(tenant.backend.evidence(&created.id).await.is_err(), "no proof before the answer");
    let pending = asked(&phone).await;
    assert_eq!(
        (pending.id.as_str(), pending.challenge.action.as_str(), pending.challenge.relying_party.name.as_str()),
        (created.id.as_str(), "log in", "Acme")
    );
    let answer = phone.respond(&pending, Decision::Accept, None).await.unwrap();
    assert_eq!((answer.outcome.as_str(), answer.accepted_level), ("ACCEPTED", Some(2)));

    let done = tenant.backend.wait(&created.id).await.unwrap();
    assert!(is_success(&done));
    let result = done.result.clone().unwrap();
    assert_eq!((result.accepted, result.accepted_level, result.bound_user_identifier.as_str()), (true, 2, "ada"));
    assert_eq!(result.device_identifier, phone.device_identifier().as_str());
    let expected = Expected::accept().trusonafication(&created.id).party(&tenant.id).user("ada").device(phone.device_identifier().as_str());
    let verified = tenant.prove(&created.id, &expected.level(Level::Essential)).await.unwrap();
    assert_eq!((verified.challenge.act.as_str(), verified.receipt.level), ("log in", Some(Level::Essential)));
    assert!(phone.wait(std::time::Duration::ZERO).await.unwrap().is_empty(), "nothing is left to answer");
}

async fn an_accept_at_level_1_needs_only_the_device(world: &World) {
    let tenant = world.tenant().await;
    let phone = tenant.phone_with(store(&PrivateKey::generate(Algorithm::EdDsa, &Random::system()), &[]));
    phone.register("without presence keys").await.unwrap();
    tenant.activate("ada", &phone).await;
    let id = tenant.backend.create_trusonafication(log_in().level(1)).await.unwrap().trusonafication.id;
    let answer = phone.respond(&asked(&phone).await, Decision::Accept, None).await.unwrap();
    assert_eq!((answer.outcome.as_str(), answer.accepted_level), ("ACCEPTED", Some(1)));
    assert!(is_success(&tenant.backend.wait(&id).await.unwrap()));
}

async fn an_accept_at_level_3_needs_the_registered_document(world: &World) {
    let tenant = world.tenant().await;
    let phone = tenant.active("ada").await;
    let refused = tenant.backend.create_trusonafication(log_in().level(3)).await.unwrap_err();
    assert_eq!(refused.reason, "NO_DOCUMENTS");
    let document = phone.register_identity_document("hash of a licence").await.unwrap();
    assert_eq!(phone.register_identity_document("hash of a licence").await.unwrap(), document, "the same hash, the same document");
    tenant.backend.create_trusonafication(log_in().level(3)).await.unwrap();
    let answer = phone.accept_with_document(&asked(&phone).await, "hash of a licence").await.unwrap();
    assert_eq!((answer.outcome.as_str(), answer.accepted_level), ("ACCEPTED", Some(3)));
    // A document other than the registered one proves nothing.
    let id = tenant.backend.create_trusonafication(log_in().level(3)).await.unwrap().trusonafication.id;
    let answer = phone.accept_with_document(&asked(&phone).await, "hash of another").await.unwrap();
    assert_eq!((answer.outcome.as_str(), answer.accepted_level), ("ACCEPTED_AT_LOWER_LEVEL", Some(2)));
    assert!(!is_success(&tenant.backend.wait(&id).await.unwrap()));
}

async fn less_than_asked_is_no_success_and_more_is(world: &World) {
    let tenant = world.tenant().await;
    let bare = tenant.phone_with(store(&PrivateKey::generate(Algorithm::Es256, &Random::system()), &[]));
    bare.register("without presence keys").await.unwrap();
    tenant.activate("bob", &bare).await;
    let id = tenant.backend.create_trusonafication(NewTrusonafication::user("bob", "pay", "90 EUR")).await.unwrap().trusonafication.id;
    let answer = bare.respond(&asked(&bare).await, Decision::Accept, None).await.unwrap();
    assert_eq!(answer.outcome, Outcome::AcceptedAtLowerLevel);
    assert!(!is_success(&tenant.backend.wait(&id).await.unwrap()));

    let phone = tenant.active("ada").await;
    let id = tenant.backend.create_trusonafication(log_in().level(1).user_presence(true)).await.unwrap().trusonafication.id;
    let answer = phone.respond(&asked(&phone).await, Decision::Accept, None).await.unwrap();
    assert_eq!(answer.outcome, Outcome::AcceptedAtHigherLevel);
    assert!(is_success(&tenant.backend.wait(&id).await.unwrap()));
}

async fn a_reject_says_why(world: &World) {
    let tenant = world.tenant().await;
    let phone = tenant.active("ada").await;
    let id = tenant.backend.create_trusonafication(log_in()).await.unwrap().trusonafication.id;
    let answer = phone.reject(&asked(&phone).await, RejectReason::NotMe).await.unwrap();
    assert_eq!((answer.outcome.as_str(), answer.accepted_level), ("REJECTED", None));
    let done = tenant.backend.wait(&id).await.unwrap();
    assert_eq!((done.status(), done.result.as_ref().unwrap().reject_reason()), (Status::Rejected, WireReason::NotMe));
    let verified = tenant.prove(&id, &Expected::rejection()).await.unwrap();
    assert_eq!((verified.receipt.why, verified.receipt.level), (Some(ReceiptReason::NotMe), None));
    let Err(EvidenceError::Unexpected(found)) = tenant.prove(&id, &Expected::accept()).await else { panic!("it is no accept") };
    assert_eq!(found.differs, [Expectation::Decision]);
}

async fn who_holds_the_evidence_of_a_rejection_makes_no_accept_of_it(world: &World) {
    let tenant = world.tenant().await;
    let phone = tenant.active("ada").await;
    let id = tenant.backend.create_trusonafication(log_in()).await.unwrap().trusonafication.id;
    phone.reject(&asked(&phone).await, RejectReason::NotMe).await.unwrap();
    let (held, jwks) = (tenant.backend.evidence(&id).await.unwrap(), tenant.backend.jwks().await.unwrap());
    let fresh = PrivateKey::generate(Algorithm::Es256, &Random::system());
    let mut claims: ResponseClaims = jws::Compact::parse(&held.response).unwrap().unverified_claims().unwrap();
    (claims.dec, claims.why) = (challenge::Decision::Accept, None);
    let response = jws::sign(RESPONSE_TYP, Some(&fresh.public().thumbprint()), None, &claims, &fresh);
    let keys = vec![held.keys[0], fresh.public()];
    let forged = Evidence { response, keys, key_statement: None, key_signatures: vec![], ..held };
    let refused = verify_evidence(&forged, &jwks, &Expected::any_outcome());
    assert_eq!(refused, Err(EvidenceError::NotGenuine(Fault::Mismatch("receipt.resp"))));
    let without = verify_evidence(&Evidence { receipt: None, ..forged }, &jwks, &Expected::accept());
    assert!(matches!(without, Err(EvidenceError::NotProven(_))), "{without:?}");
}

async fn the_number_shown_has_to_be_matched(world: &World) {
    let tenant = world.tenant().await;
    let phone = tenant.active("ada").await;
    for (mode, right) in [(NumberMatch::Choose, true), (NumberMatch::Enter, true), (NumberMatch::Enter, false)] {
        let created = tenant.backend.create_trusonafication(log_in().number_match(mode)).await.unwrap();
        let number = created.match_number.unwrap();
        let pending = asked(&phone).await;
        let shown = format!("{:?}", pending.challenge.number_match);
        assert_eq!(shown.contains(&number), mode == NumberMatch::Choose, "{shown}");
        let entered = if right { number } else { "00".into() };
        phone.respond(&pending, Decision::Accept, Some(&entered)).await.unwrap();
        let done = tenant.backend.wait(&created.trusonafication.id).await.unwrap();
        assert_eq!(is_success(&done), right);
        assert_eq!(done.result.unwrap().reject_reason() == WireReason::NumberMismatch, !right);
        assert_eq!(tenant.prove(&done.id, &Expected::accept()).await.is_ok(), right, "an accept with a wrong number is none");
    }
}

async fn one_device_alone_can_be_asked(world: &World) {
    let tenant = world.tenant().await;
    let (phone, other) = (tenant.active("ada").await, tenant.active("ada").await);
    let new = NewTrusonafication::device(phone.device_identifier().as_str(), "log in", "Acme");
    let created = tenant.backend.create_trusonafication(new).await.unwrap().trusonafication;
    assert_eq!(created.user_identifier, "ada", "the user is known by the binding");
    let pending = asked(&phone).await;
    assert!(other.wait(std::time::Duration::ZERO).await.unwrap().is_empty());
    let refused = other.respond(&pending, Decision::Accept, None).await.unwrap_err();
    assert_eq!((refused.status(), refused.reason()), (Some(403), "NOT_ADDRESSED"));
    phone.respond(&pending, Decision::Accept, None).await.unwrap();
    assert!(is_success(&tenant.backend.wait(&created.id).await.unwrap()));
}

async fn what_is_asked_arrives_to_the_letter(world: &World) {
    let tenant = world.tenant().await;
    let phone = tenant.active("ada").await;
    let fields = json!({"z": 1, "amount": "90.00", "payee": {"name": "Zoë \u{1f600}"}, "a": [true, null, 1.5]});
    let new = log_in().custom_fields(fields.as_object().unwrap());
    tenant.backend.create_trusonafication(new).await.unwrap();
    let pending = asked(&phone).await;
    assert_eq!(pending.challenge.custom_fields.unwrap().as_json(), fields.to_string(), "order and spelling are kept");
}
