//! A device states its presence keys itself: nobody else can state them, and old or stolen statements are worthless.

use std::sync::{Arc, Mutex};

use axum::{Json, Router, http::StatusCode, routing::post};
use nodkey_client::{NewTrusonafication, ServiceName};
use nodkey_kernel::{
    evidence::{Certification, Evidence, EvidenceError, Expected, Unproven, verify_evidence},
    jose::{Algorithm, PrivateKey, jws},
    key_statement::{KeyStatementClaims, PresenceKind, StatedKey, sign_key_statement, verify_key_signature, verify_key_statement},
    random::Random,
};
use nodkey_mobile_sdk::{
    Config, Decision, ErrorKind, Phone, Platform, PresenceKind as PhoneKind,
    software::{NeverPresent, SoftwareKeyStore},
};
use nodkey_proto::registry::v1::{ApproveDeviceKeysRequest, Device, device_service_client::DeviceServiceClient};
use reqwest::Method;
use serde_json::{Value, json};

use crate::{
    http::{self, Answered, backend, phone},
    software::store,
    world::{SoftPhone, Tenant, World, asked, built},
};

scenarios!(
    a_phone_certifies_its_keys_when_it_registers,
    a_phone_that_makes_no_statements_is_uncertified,
    a_statement_that_does_not_hold_is_refused_by_its_reason_and_changes_nothing,
    a_nonce_is_for_one_device_once_and_a_stolen_one_for_nobody,
    other_keys_without_a_statement_make_a_device_uncertified,
    a_repeated_request_changes_nothing_and_a_kept_one_brings_back_no_key,
    the_key_that_is_replaced_may_vouch_for_its_successor,
    a_key_that_was_swapped_behind_the_phones_back_is_found_by_whoever_verifies,
);

pub(super) fn key() -> PrivateKey {
    PrivateKey::generate(Algorithm::Es256, &Random::system())
}

/// A phone implemented from the documents alone.
pub(super) struct ByHand<'a> {
    world: &'a World,
    tenant: &'a Tenant,
    pub(super) device: PrivateKey,
    pub(super) presence: PrivateKey,
}

impl<'a> ByHand<'a> {
    pub(super) fn new(world: &'a World, tenant: &'a Tenant) -> Self {
        Self { world, tenant, device: key(), presence: key() }
    }

    pub(super) fn id(&self) -> String {
        self.device.public().thumbprint()
    }

    async fn challenge(&self) -> Value {
        let answer = phone(&self.world.http, &self.device, Method::POST, "/api/v2/device_challenges", "").await;
        assert_eq!(answer.status, 201, "{}", answer.body);
        answer.body
    }

    /// A fresh one, for this device.
    pub(super) async fn nonce(&self) -> String {
        self.challenge().await["nonce"].as_str().unwrap().to_owned()
    }

    /// Claims with a fresh nonce that name one biometric key.
    pub(super) async fn claims(&self, biometric: &PrivateKey) -> KeyStatementClaims {
        let challenge = self.challenge().await;
        KeyStatementClaims {
            iss: self.id(),
            aud: self.world.http.as_str().into(),
            seq: challenge["seq"].as_u64().unwrap(),
            keys: vec![StatedKey { kind: PresenceKind::Biometric, jkt: biometric.public().thumbprint() }],
            nonce: challenge["nonce"].as_str().unwrap().to_owned(),
            iat: 1,
        }
    }

    pub(super) fn registration(&self, statement: Option<&str>, signatures: &[String]) -> String {
        let body = json!({
            "device_key": self.device.public().to_value(),
            "presence_keys": [{"kind": "biometric", "jwk": self.presence.public().to_value()}],
            "name": "by hand", "key_statement": statement, "key_signatures": signatures,
        });
        body.to_string()
    }

    pub(super) async fn send(&self, body: &str) -> Answered {
        http::register(&self.world.http, &self.tenant.mobile, &self.device, body).await
    }

    /// Registers with a statement signed by the device key and the presence key.
    pub(super) async fn register(&self) -> (Answered, String) {
        let claims = self.claims(&self.presence).await;
        let statement = sign_key_statement(&claims, &self.device);
        let body = self.registration(Some(&statement), &[sign_key_statement(&claims, &self.presence)]);
        (self.send(&body).await, body)
    }

    /// The same phone with our own app, and this biometric key.
    pub(super) fn phone(&self, biometric: &PrivateKey) -> SoftPhone {
        self.tenant.phone_with(store(&self.device, &[(PhoneKind::Biometric, biometric)]))
    }

    /// Replaces the biometric key.
    pub(super) async fn replace(&self, biometric: &PrivateKey, statement: Option<&str>, signatures: &[String]) -> Answered {
        let body = json!({
            "presence_keys": [{"kind": "biometric", "jwk": biometric.public().to_value()}],
            "key_statement": statement, "key_signatures": signatures,
        });
        phone(&self.world.http, &self.device, Method::PATCH, &format!("/api/v2/devices/{}", self.id()), &body.to_string()).await
    }

    /// The device as the registry stores it.
    pub(super) async fn stored(&self) -> Device {
        self.tenant.backend.device(&self.id()).await.unwrap()
    }
}

/// A change that makes a valid statement invalid.
type Change<'a> = &'a dyn Fn(&mut KeyStatementClaims);

/// Fails unless it is this refusal.
pub(super) fn refused(answer: &Answered, status: u16, reason: &str) {
    assert_eq!((answer.status, answer.error.as_str()), (status, reason), "{}", answer.body);
}

async fn a_phone_certifies_its_keys_when_it_registers(world: &World) {
    let tenant = world.tenant().await;
    let (device, presence_keys) = (key(), [(PresenceKind::Biometric, key()), (PresenceKind::Credential, key())]);
    let [(_, biometric), (_, credential)] = &presence_keys;
    let device_key = device.public();
    let phone = tenant.phone_with(store(&device, &[(PhoneKind::Biometric, biometric), (PhoneKind::Credential, credential)]));
    for name in ["phone", "phone again"] {
        assert!(phone.register(name).await.unwrap().certified, "{name}");
    }
    tenant.activate("ada", &phone).await;
    assert!(phone.status().await.unwrap().certified);
    let devices = backend(&world.http, &tenant.server, Method::GET, "/api/v2/users/ada/devices", "").await;
    assert_eq!(devices.body["devices"][0]["certified"], true);

    let stored = tenant.backend.device(phone.device_identifier().as_str()).await.unwrap();
    let claims = verify_key_statement(&stored.key_statement, &device_key, &world.http).unwrap();
    let named: Vec<_> = claims.keys.iter().map(|key| (key.kind, key.jkt.clone())).collect();
    assert_eq!(named, presence_keys.iter().map(|(kind, key)| (*kind, key.public().thumbprint())).collect::<Vec<_>>());
    assert_eq!(stored.key_signatures.len(), 2, "each presence key has signed that it is one");
    for (signature, (_, key)) in stored.key_signatures.iter().zip(&presence_keys) {
        verify_key_signature(signature, &claims, &key.public()).unwrap();
    }
}

async fn a_phone_that_makes_no_statements_is_uncertified(world: &World) {
    let tenant = world.tenant().await;
    let old = ByHand::new(world, &tenant);
    let registered = old.send(&old.registration(None, &[])).await;
    assert_eq!((registered.status, &registered.body["certified"]), (201, &json!(false)));
    let body = json!({"user_identifier": "ada", "device_identifier": old.id()}).to_string();
    assert_eq!(backend(&world.http, &tenant.server, Method::POST, "/api/v2/user_devices", &body).await.status, 201);
    let devices = backend(&world.http, &tenant.server, Method::GET, "/api/v2/users/ada/devices", "").await;
    assert_eq!(devices.body["devices"][0]["certified"], false);
    // Once its app is updated, it makes a statement without new keys.
    let claims = old.claims(&old.presence).await;
    let body = json!({"key_statement": sign_key_statement(&claims, &old.device)}).to_string();
    let path = format!("/api/v2/devices/{}", old.id());
    let updated = phone(&world.http, &old.device, Method::PATCH, &path, &body).await;
    assert_eq!((updated.status, &updated.body["certified"]), (200, &json!(true)), "{}", updated.body);
}

async fn a_statement_that_does_not_hold_is_refused_by_its_reason_and_changes_nothing(world: &World) {
    let tenant = world.tenant().await;
    let by_hand = ByHand::new(world, &tenant);
    assert_eq!(by_hand.register().await.0.status, 201);
    let before = by_hand.stored().await;
    let other = key();
    let jkt = other.public().thumbprint();
    let wrong: &[(u16, &str, Change<'_>)] = &[
        (422, "KEY_STATEMENT_ISSUER", &|claims| claims.iss.clone_from(&jkt)),
        (422, "KEY_STATEMENT_AUDIENCE", &|claims| claims.aud = "https://elsewhere.example".into()),
        (422, "KEY_STATEMENT_KEYS", &|claims| claims.keys.clear()),
        (422, "KEY_STATEMENT_KEYS", &|claims| claims.keys[0].jkt = by_hand.presence.public().thumbprint()),
        (422, "KEY_STATEMENT_KEYS", &|claims| claims.keys[0].kind = PresenceKind::Credential),
        (409, "KEY_STATEMENT_OUTDATED", &|claims| claims.seq = 1),
        (422, "DEVICE_CHALLENGE_UNKNOWN", &|claims| claims.nonce = "bm9uY2U".into()),
    ];
    for (status, reason, change) in wrong {
        let mut claims = by_hand.claims(&other).await;
        change(&mut claims);
        refused(&by_hand.replace(&other, Some(&sign_key_statement(&claims, &by_hand.device)), &[]).await, *status, reason);
    }
    let claims = by_hand.claims(&other).await;
    let statement = sign_key_statement(&claims, &by_hand.device);
    let response = jws::sign("nodkey-response+jwt", None, None, &claims, &by_hand.device);
    for (reason, statement, signature) in [
        ("KEY_STATEMENT_MALFORMED", "no.jws".to_owned(), None),
        ("KEY_STATEMENT_MALFORMED", response, None),
        ("KEY_STATEMENT_SIGNATURE", sign_key_statement(&claims, &other), None),
        ("KEY_SIGNATURE_INVALID", statement.clone(), Some(sign_key_statement(&claims, &key()))),
        ("KEY_SIGNATURE_INVALID", statement.clone(), Some(statement.clone())),
        ("VALIDATION_FAILED", "x".repeat(4097), None),
        ("VALIDATION_FAILED", String::new(), Some(statement)),
    ] {
        let signatures: Vec<_> = signature.into_iter().collect();
        let answer = by_hand.replace(&other, Some(&statement), &signatures).await;
        refused(&answer, 422, reason);
        let field = if signatures.is_empty() { "key_statement" } else { "key_signatures" };
        assert!(answer.body["field_errors"][field][0].is_string(), "{}", answer.body);
    }
    assert_eq!(by_hand.stored().await, before);
}

async fn a_nonce_is_for_one_device_once_and_a_stolen_one_for_nobody(world: &World) {
    let tenant = world.tenant().await;
    let (ada, thief) = (ByHand::new(world, &tenant), ByHand::new(world, &tenant));
    // Issuing a nonce requires a proof by a key.
    refused(&http::nobody(&world.http, Method::POST, "/api/v2/device_challenges", "").await, 401, "INVALID_PROOF");
    let claims = ada.claims(&ada.presence).await;
    let stolen = KeyStatementClaims { nonce: claims.nonce.clone(), ..thief.claims(&thief.presence).await };
    let body = thief.registration(Some(&sign_key_statement(&stolen, &thief.device)), &[]);
    refused(&thief.send(&body).await, 422, "DEVICE_CHALLENGE_UNKNOWN");
    // It is still valid for the key that requested it, and afterwards for none.
    let older = ada.claims(&ada.presence).await;
    let statement = sign_key_statement(&older, &ada.device);
    assert_eq!(ada.send(&ada.registration(Some(&statement), &[])).await.status, 201);
    let next = key();
    for nonce in [claims.nonce, older.nonce] {
        let claims = KeyStatementClaims { nonce, ..ada.claims(&next).await };
        let answer = ada.replace(&next, Some(&sign_key_statement(&claims, &ada.device)), &[]).await;
        refused(&answer, 409, "DEVICE_CHALLENGE_USED");
    }
}

async fn other_keys_without_a_statement_make_a_device_uncertified(world: &World) {
    let tenant = world.tenant().await;
    let by_hand = ByHand::new(world, &tenant);
    let (registered, _) = by_hand.register().await;
    assert_eq!((registered.status, &registered.body["certified"]), (201, &json!(true)), "{}", registered.body);
    // Updates of anything but keys leave the statement as it is, and so do the same keys.
    for body in [json!({"name": "new"}), json!({"presence_keys": [{"kind": "biometric", "jwk": by_hand.presence.public().to_value()}]})] {
        let path = format!("/api/v2/devices/{}", by_hand.id());
        let updated = phone(&world.http, &by_hand.device, Method::PATCH, &path, &body.to_string()).await;
        assert_eq!((updated.status, &updated.body["certified"]), (200, &json!(true)));
    }
    let swapped = by_hand.replace(&key(), None, &[]).await;
    assert_eq!((swapped.status, &swapped.body["certified"]), (200, &json!(false)));
    let stored = by_hand.stored().await;
    assert!(stored.key_statement.is_empty() && stored.key_signatures.is_empty(), "an old statement vouches for no new key");
}

async fn a_repeated_request_changes_nothing_and_a_kept_one_brings_back_no_key(world: &World) {
    let tenant = world.tenant().await;
    let by_hand = ByHand::new(world, &tenant);
    let (registered, body) = by_hand.register().await;
    assert_eq!(registered.status, 201);
    let first = by_hand.stored().await;
    let again = by_hand.send(&body).await;
    assert_eq!((again.status, &again.body["certified"]), (200, &json!(true)), "{}", again.body);
    assert_eq!(by_hand.stored().await, first);
    let next = key();
    let claims = by_hand.claims(&next).await;
    let replaced = by_hand.replace(&next, Some(&sign_key_statement(&claims, &by_hand.device)), &[]).await;
    assert_eq!((replaced.status, &replaced.body["certified"]), (200, &json!(true)), "{}", replaced.body);
    let second = by_hand.stored().await;
    refused(&by_hand.send(&body).await, 409, "KEY_STATEMENT_OUTDATED");
    assert_eq!(by_hand.stored().await, second);
}

async fn the_key_that_is_replaced_may_vouch_for_its_successor(world: &World) {
    let tenant = world.tenant().await;
    let by_hand = ByHand::new(world, &tenant);
    assert_eq!(by_hand.register().await.0.status, 201);
    let next = key();
    let claims = by_hand.claims(&next).await;
    let signatures = [sign_key_statement(&claims, &by_hand.presence), sign_key_statement(&claims, &next)];
    let replaced = by_hand.replace(&next, Some(&sign_key_statement(&claims, &by_hand.device)), &signatures).await;
    assert_eq!((replaced.status, &replaced.body["certified"]), (200, &json!(true)), "{}", replaced.body);
    assert_eq!(by_hand.stored().await.key_signatures, signatures, "both are kept, in their order");
}

async fn a_key_that_was_swapped_behind_the_phones_back_is_found_by_whoever_verifies(world: &World) {
    let tenant = world.tenant().await;
    let by_hand = ByHand::new(world, &tenant);
    assert_eq!(by_hand.register().await.0.status, 201);
    let (genuine, swapped) = (by_hand.phone(&by_hand.presence), key());
    tenant.activate("ada", &genuine).await;
    let evidence = accept(&tenant, &genuine).await;
    let jwks = tenant.backend.jwks().await.unwrap();
    let verify = |evidence: &Evidence| verify_evidence(evidence, &jwks, &Expected::accept().user("ada"));
    let Certification::KeyStatement { co_signed, .. } = verify(&evidence).unwrap().certification else { panic!("by the device") };
    assert!(co_signed, "the presence key signed that it is one");

    // All that an attacker with write access to the registry's rows can do is to put another key there. Only the phone can state it.
    assert_eq!(by_hand.replace(&swapped, None, &[]).await.status, 200);
    let approved = ApproveDeviceKeysRequest { device_id: by_hand.id(), thumbprints: vec![swapped.public().thumbprint()] };
    DeviceServiceClient::new(tenant.backend.channel(ServiceName::Registry)).approve_device_keys(approved).await.unwrap();
    let forged = accept(&tenant, &by_hand.phone(&swapped)).await;
    assert_eq!(forged.key_statement, None);
    for statement in [None, evidence.key_statement] {
        let key_signatures = if statement.is_some() { evidence.key_signatures.clone() } else { Vec::new() };
        let forged = Evidence { key_statement: statement, key_signatures, ..forged.clone() };
        let Err(EvidenceError::NotProven(found)) = verify(&forged) else { panic!("it is not the phone's key") };
        let Unproven::Uncertified(found) = found else { panic!("{found:?}") };
        assert_eq!(found.certification, Certification::Deployment);
        verify_evidence(&forged, &jwks, &Expected::accept().allow_uncertified()).unwrap();
    }
}

/// The evidence of a login that a phone accepts.
async fn accept(tenant: &Tenant, phone: &SoftPhone) -> Evidence {
    let id = tenant.backend.create_trusonafication(NewTrusonafication::user("ada", "log in", "Acme")).await.unwrap().trusonafication.id;
    phone.respond(&asked(phone).await, Decision::Accept, None).await.unwrap();
    tenant.backend.evidence(&id).await.unwrap()
}

/// An older gateway: it has no device challenges, and ignores unknown members of a registration.
async fn old_gateway() -> (String, Arc<Mutex<Vec<Value>>>) {
    let registrations = Arc::new(Mutex::new(Vec::new()));
    let kept = Arc::clone(&registrations);
    let register = post(move |Json(body): Json<Value>| async move {
        let answer = json!({"device_identifier": "d", "device_identifier_jwt": "jwt", "is_active": false});
        kept.lock().unwrap().push(body);
        (StatusCode::CREATED, Json(answer))
    });
    let unknown = || async { (StatusCode::NOT_FOUND, Json(json!({"error": "NOT_FOUND", "description": "there is nothing here"}))) };
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    tokio::spawn(async move { axum::serve(listener, Router::new().route("/api/v2/devices", register).fallback(unknown)).await });
    (url, registrations)
}

fn config(gateway: &str) -> Config {
    Config::builder().url(gateway).token("token").secret("secret").platform(Platform::Cli).app_version("test 1").build().unwrap()
}

#[tokio::test]
async fn a_new_phone_registers_at_an_old_gateway_as_before_and_asks_nobody() {
    let (gateway, registrations) = old_gateway().await;
    let phone = Phone::builder(config(&gateway), Arc::new(SoftwareKeyStore::generate())).user_presence(Arc::new(NeverPresent));
    let phone = built(phone);
    assert!(!phone.register("phone").await.unwrap().certified);
    let registrations = registrations.lock().unwrap();
    let members: Vec<_> = registrations[0].as_object().unwrap().keys().map(String::as_str).collect();
    // The last one is unknown to it, and ignored.
    assert_eq!(members, ["device_key", "presence_keys", "name", "platform", "capabilities", "app_version"]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn whoever_does_not_confirm_a_presence_key_registers_nothing() {
    let world = World::embedded().await;
    let tenant = world.tenant().await;
    let keys = SoftwareKeyStore::generate();
    let denied = tenant.phone_of(keys.clone(), NeverPresent);
    assert_eq!(denied.register("phone").await.unwrap_err().kind(), ErrorKind::Denied);
    assert!(tenant.backend.device(denied.device_identifier().as_str()).await.is_err());
    assert!(tenant.phone_with(keys).register("phone").await.unwrap().certified);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nonces_for_one_address_are_limited() {
    let world = World::embedded_with(nodkey_gateway::Config { challenge_rate: 1, ..nodkey_gateway::Config::default() }).await;
    let mut refusals = 0;
    for _ in 0..10 {
        let answer = phone(&world.http, &key(), Method::POST, "/api/v2/device_challenges", "").await;
        refusals += u32::from((answer.status, answer.error.as_str()) == (429, "RATE_LIMITED"));
    }
    assert!(refusals > 0, "whatever key asks");
}
