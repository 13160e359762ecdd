//! A document makes an accept level 3 if a person's presence key or the backend vouches for it. The device key alone signs without the
//! person, so a document that only it registers does not count.

use nodkey_client::{NewTrusonafication, ServiceName};
use nodkey_kernel::{
    document_statement::{DocumentStatementClaims, sign_document_statement},
    jose::PrivateKey,
};
use nodkey_proto::registry::v1::{
    IdentityDocument, ListIdentityDocumentsRequest, identity_document_service_client::IdentityDocumentServiceClient,
};
use reqwest::Method;
use serde_json::{Value, json};

use super::key_statements::{ByHand, key, refused};
use crate::{
    http::{Answered, backend, phone},
    software::store,
    world::{SoftPhone, Tenant, World, asked},
};

scenarios!(
    a_document_by_the_device_key_alone_makes_no_accept_level_3,
    a_document_that_a_counting_presence_key_signed_makes_one,
    a_document_that_the_backend_registers_makes_one,
    a_statement_that_does_not_hold_is_refused_and_registers_nothing,
    made_up_documents_push_none_out_that_counts,
);

const MADE_UP: &str = "hash of a document that there is not";
const LICENCE: &str = "hash of a licence";

/// A registered phone by hand, bound to Ada.
async fn registered<'a>(world: &'a World, tenant: &'a Tenant) -> ByHand<'a> {
    let by_hand = ByHand::new(world, tenant);
    assert_eq!(by_hand.register().await.0.status, 201);
    tenant.activate("ada", &by_hand.phone(&by_hand.presence)).await;
    by_hand
}

/// Registers a document as a phone does, with the device key and this statement.
async fn register(world: &World, by_hand: &ByHand<'_>, hash: &str, statement: Option<&str>) -> Answered {
    let mut body = json!({"type": "AAMVA_DRIVERS_LICENSE", "hash": hash});
    if let Some(statement) = statement {
        body["statement"] = json!(statement);
    }
    phone(&world.http, &by_hand.device, Method::POST, "/api/v2/identity_documents", &body.to_string()).await
}

/// The claims of a phone's statement about a document, with a fresh nonce.
async fn claims(by_hand: &ByHand<'_>, hash: &str) -> DocumentStatementClaims {
    let fresh = by_hand.claims(&by_hand.presence).await;
    DocumentStatementClaims { iss: fresh.iss, aud: fresh.aud, hash: hash.to_owned(), nonce: fresh.nonce, iat: fresh.iat }
}

async fn statement(by_hand: &ByHand<'_>, hash: &str, by: &PrivateKey) -> String {
    sign_document_statement(&claims(by_hand, hash).await, by)
}

/// The accepted level of a level-2 challenge that a phone accepts presenting a document.
async fn level(tenant: &Tenant, phone: &SoftPhone, hash: &str) -> Option<i32> {
    tenant.backend.create_trusonafication(NewTrusonafication::user("ada", "log in", "Acme").level(2)).await.unwrap();
    phone.accept_with_document(&asked(phone).await, hash).await.unwrap().accepted_level
}

async fn refused_at_level_3(tenant: &Tenant) -> String {
    let ask = NewTrusonafication::user("ada", "log in", "Acme").level(3);
    tenant.backend.create_trusonafication(ask).await.unwrap_err().reason
}

async fn a_document_by_the_device_key_alone_makes_no_accept_level_3(world: &World) {
    let tenant = world.tenant().await;
    let by_hand = registered(world, &tenant).await;
    // The way older phones register, and with every key that an attacker with the device key has.
    let registered = register(world, &by_hand, MADE_UP, None).await;
    assert_eq!((registered.status, &registered.body["counts"]), (201, &json!(false)), "{}", registered.body);
    let own = key();
    for by in [&by_hand.device, &own] {
        let statement = statement(&by_hand, MADE_UP, by).await;
        refused(&register(world, &by_hand, MADE_UP, Some(&statement)).await, 403, "PRESENCE_REQUIRED");
    }
    assert_eq!(refused_at_level_3(&tenant).await, "NO_DOCUMENTS");
    // The person is present and accepts, and a compromised app presents the document.
    let phone = by_hand.phone(&by_hand.presence);
    assert_eq!(level(&tenant, &phone, MADE_UP).await, Some(2));
    // A key that replaces the person's does not count, and cannot vouch.
    assert_eq!(by_hand.replace(&own, None, &[]).await.status, 200);
    let statement = statement(&by_hand, MADE_UP, &own).await;
    refused(&register(world, &by_hand, MADE_UP, Some(&statement)).await, 403, "PRESENCE_REQUIRED");
    assert_eq!(level(&tenant, &by_hand.phone(&own), MADE_UP).await, Some(1));
    let again = register(world, &by_hand, MADE_UP, None).await;
    assert_eq!((&again.body["id"], &again.body["counts"]), (&registered.body["id"], &json!(false)), "the same document as before");
}

async fn a_document_that_a_counting_presence_key_signed_makes_one(world: &World) {
    let tenant = world.tenant().await;
    let by_hand = registered(world, &tenant).await;
    let first = register(world, &by_hand, LICENCE, None).await;
    let signed = statement(&by_hand, LICENCE, &by_hand.presence).await;
    let registered = register(world, &by_hand, LICENCE, Some(&signed)).await;
    assert_eq!((registered.status, &registered.body["counts"]), (201, &json!(true)), "{}", registered.body);
    assert_eq!(registered.body["id"], first.body["id"], "the same hash, the same document");
    assert_eq!(register(world, &by_hand, LICENCE, Some(&signed)).await.body, registered.body, "the same again has the same result");
    assert_eq!(register(world, &by_hand, LICENCE, None).await.body, registered.body, "and it goes on counting");
    assert_eq!(level(&tenant, &by_hand.phone(&by_hand.presence), LICENCE).await, Some(3));

    // The way our own phones do it.
    let phone = tenant.registered().await;
    tenant.activate("bob", &phone).await;
    let document = phone.register_identity_document(LICENCE).await.unwrap();
    assert!(document.counts);
    let bare = tenant.phone_with(store(&key(), &[]));
    bare.register("without presence keys").await.unwrap();
    tenant.activate("carol", &bare).await;
    assert!(!bare.register_identity_document(LICENCE).await.unwrap().counts);
}

async fn a_document_that_the_backend_registers_makes_one(world: &World) {
    let (tenant, other) = (world.tenant().await, world.tenant().await);
    let by_hand = registered(world, &tenant).await;
    let known = register(world, &by_hand, LICENCE, None).await.body;
    let path = format!("/api/v2/devices/{}/identity_documents", by_hand.id());
    let body = json!({"type": "AAMVA_DRIVERS_LICENSE", "hash": LICENCE}).to_string();
    refused(&backend(&world.http, &other.server, Method::POST, &path, &body).await, 404, "NOT_FOUND");
    let unknown = format!("/api/v2/devices/{}/identity_documents", key().public().thumbprint());
    refused(&backend(&world.http, &tenant.server, Method::POST, &unknown, &body).await, 404, "NOT_FOUND");
    let wrong = json!({"type": "AAMVA_DRIVERS_LICENSE", "hash": ""}).to_string();
    refused(&backend(&world.http, &tenant.server, Method::POST, &path, &wrong).await, 422, "VALIDATION_FAILED");
    // None of these changed anything.
    let phone = by_hand.phone(&by_hand.presence);
    assert_eq!(level(&tenant, &phone, LICENCE).await, Some(2));
    for _ in 0..2 {
        let registered = backend(&world.http, &tenant.server, Method::POST, &path, &body).await;
        assert_eq!((registered.status, &registered.body["counts"]), (201, &json!(true)), "{}", registered.body);
        assert_eq!(registered.body["id"], known["id"], "that of the phone counts now");
    }
    assert_eq!(level(&tenant, &phone, LICENCE).await, Some(3));
    // Over gRPC, a document that no phone registered.
    let document = tenant.backend.register_identity_document(&by_hand.id(), "hash of a passport").await.unwrap();
    assert_eq!((document.user_identifier.as_str(), document.counts), ("ada", Some(true)));
    let unbound = tenant.registered().await;
    let refused = tenant.backend.register_identity_document(unbound.device_identifier().as_str(), LICENCE).await.unwrap_err();
    assert_eq!(refused.reason, "DEVICE_NOT_BOUND");
}

/// A change that makes a valid statement invalid.
type Change<'a> = &'a dyn Fn(&mut DocumentStatementClaims);

async fn a_statement_that_does_not_hold_is_refused_and_registers_nothing(world: &World) {
    let tenant = world.tenant().await;
    let (by_hand, stranger) = (registered(world, &tenant).await, ByHand::new(world, &tenant));
    let stolen = claims(&stranger, LICENCE).await.nonce;
    let wrong: &[(u16, &str, Change<'_>)] = &[
        (422, "DOCUMENT_STATEMENT_INVALID", &|claims| claims.iss = stranger.id()),
        (422, "DOCUMENT_STATEMENT_INVALID", &|claims| claims.aud = "https://elsewhere.example".into()),
        (422, "DOCUMENT_STATEMENT_INVALID", &|claims| claims.hash = MADE_UP.into()),
        (422, "DEVICE_CHALLENGE_UNKNOWN", &|claims| claims.nonce.clone_from(&stolen)),
    ];
    for (status, reason, change) in wrong {
        let mut claims = claims(&by_hand, LICENCE).await;
        change(&mut claims);
        let signed = sign_document_statement(&claims, &by_hand.presence);
        refused(&register(world, &by_hand, LICENCE, Some(&signed)).await, *status, reason);
    }
    for malformed in ["x", "a.b.c", &"x".repeat(4097)] {
        let answer = register(world, &by_hand, LICENCE, Some(malformed)).await;
        assert_eq!(answer.status, 422, "{malformed}: {}", answer.body);
    }
    let documents = async || {
        let path = "/api/v2/identity_documents?user_identifier=ada";
        backend(&world.http, &tenant.server, Method::GET, path, "").await.body
    };
    assert_eq!(documents().await, json!([]), "none of these registered anything");
    // A nonce is valid once: using it for another document, or for a key statement, uses it up.
    let before = by_hand.claims(&by_hand.presence).await;
    let good = claims(&by_hand, LICENCE).await;
    let signed = sign_document_statement(&good, &by_hand.presence);
    assert_eq!(register(world, &by_hand, LICENCE, Some(&signed)).await.status, 201);
    let twice = sign_document_statement(&DocumentStatementClaims { hash: MADE_UP.into(), ..good }, &by_hand.presence);
    refused(&register(world, &by_hand, MADE_UP, Some(&twice)).await, 409, "DEVICE_CHALLENGE_USED");
    let late = nodkey_kernel::key_statement::sign_key_statement(&before, &by_hand.device);
    refused(&by_hand.send(&by_hand.registration(Some(&late), &[])).await, 409, "DEVICE_CHALLENGE_USED");
    let hashes: Vec<Value> = documents().await.as_array().unwrap().iter().map(|document| document["hash"].clone()).collect();
    assert_eq!(hashes, [json!(LICENCE)]);
}

async fn made_up_documents_push_none_out_that_counts(world: &World) {
    let tenant = world.tenant().await;
    let by_hand = registered(world, &tenant).await;
    let signed = statement(&by_hand, LICENCE, &by_hand.presence).await;
    assert_eq!(register(world, &by_hand, LICENCE, Some(&signed)).await.status, 201);
    for n in 0..3 {
        assert_eq!(register(world, &by_hand, &format!("{MADE_UP} {n}"), None).await.status, 201);
    }
    assert_eq!(level(&tenant, &by_hand.phone(&by_hand.presence), LICENCE).await, Some(3));
    // Even for a page of one, documents that do not count are filtered out.
    let mut documents = IdentityDocumentServiceClient::new(tenant.backend.channel(ServiceName::Registry));
    let mut newest = async |counting| -> IdentityDocument {
        let request = ListIdentityDocumentsRequest { user_identifier: "ada".into(), page_size: 1, counting, ..Default::default() };
        documents.list_identity_documents(request).await.unwrap().into_inner().identity_documents.remove(0)
    };
    let (counting, any) = (newest(true).await, newest(false).await);
    assert_eq!((counting.hash.as_str(), counting.counts), (LICENCE, Some(true)));
    assert_eq!((any.hash, any.counts), (format!("{MADE_UP} 2"), Some(false)));
}
