//! Both flows from the protocol documents alone: JSON, headers and signatures, without any SDK.

use nodkey_kernel::{
    jose::{Algorithm, Jwks, PrivateKey, b64u, jws, sha256},
    random::Random,
};
use reqwest::Method;
use serde_json::{Value, json};

use crate::{
    http::{self, backend, phone},
    world::World,
};

scenarios!(a_phone_and_a_backend_written_by_the_documents_complete_both_flows);

async fn a_phone_and_a_backend_written_by_the_documents_complete_both_flows(world: &World) {
    let tenant = world.tenant().await;
    let (server, random) = (&tenant.server, Random::system());
    let (device_key, presence_key) = (PrivateKey::generate(Algorithm::Es256, &random), PrivateKey::generate(Algorithm::EdDsa, &random));
    let device = device_key.public().thumbprint();

    // Flow 1.
    let body = json!({
        "device_key": device_key.public().to_value(),
        "presence_keys": [{"kind": "biometric", "jwk": presence_key.public().to_value()}],
        "name": "by hand", "platform": "ios", "app_version": "1.0",
    });
    for status in [201, 200] {
        let registered = http::register(&world.http, &tenant.mobile, &device_key, &body.to_string()).await;
        assert_eq!((registered.status, registered.body["device_identifier"].as_str()), (status, Some(device.as_str())));
        assert_eq!(registered.body["is_active"], false);
    }
    let body = json!({"user_identifier": "ada", "device_identifier": device}).to_string();
    let bound = backend(&world.http, server, Method::POST, "/api/v2/user_devices", &body).await;
    assert_eq!((bound.status, &bound.body["active"]), (201, &json!(false)));
    let path = format!("/api/v2/user_devices/{}", bound.body["id"].as_str().unwrap());
    let activated = backend(&world.http, server, Method::PATCH, &path, r#"{"active":true}"#).await;
    assert_eq!((activated.status, &activated.body["active"], &activated.body["user_identifier"]), (200, &json!(true), &json!("ada")));
    let seen = backend(&world.http, server, Method::GET, &format!("/api/v2/devices/{device}"), "").await;
    assert_eq!((seen.status, &seen.body["is_active"], &seen.body["active"]), (200, &json!(true), &json!(true)));
    let status = phone(&world.http, &device_key, Method::GET, &format!("/api/v2/devices/{device}/status"), "").await;
    assert_eq!((status.status, &status.body["is_active"]), (200, &json!(true)));
    let devices = backend(&world.http, server, Method::GET, "/api/v2/users/ada/devices", "").await;
    assert_eq!(devices.body["devices"][0]["presence_keys"], json!(["biometric"]));
    assert!(devices.body["devices"][0]["last_seen_at"].is_string());

    // Flow 2.
    let body = json!({
        "user_identifier": "ada", "action": "transfer", "resource": "90 EUR", "desired_level": 2, "custom_fields": {"to": "Bob"},
        "id": null, "email": null, "number_match": "enter",
    });
    let asked = backend(&world.http, server, Method::POST, "/api/v2/trusonafications", &body.to_string()).await;
    assert_eq!((asked.status, &asked.body["status"], &asked.body["relying_party"]), (201, &json!("IN_PROGRESS"), &json!("Acme")));
    let id = asked.body["id"].as_str().unwrap();
    let path = format!("/api/v2/devices/{device}/trusonafications?wait=30");
    let pending = phone(&world.http, &device_key, Method::GET, &path, "").await;
    let challenge = pending.body["trusonafications"][0]["challenge"].as_str().unwrap();
    let jwks: Jwks = serde_json::from_value(http::nobody(&world.http, Method::GET, "/jwks", "").await.body).unwrap();
    let compact = jws::Compact::parse(challenge).unwrap();
    let key = jwks.find_for(compact.header().kid.as_deref().unwrap(), "nodkey-challenge+jwt").unwrap();
    let shown: Value = compact.verify(key, "nodkey-challenge+jwt").unwrap();
    assert_eq!((&shown["act"], &shown["res"], &shown["fields"]), (&json!("transfer"), &json!("90 EUR"), &json!({"to": "Bob"})));
    assert_eq!((&shown["jti"], &shown["iss"], &shown["match"]), (&json!(id), &json!(world.http), &json!({"mode": "enter"})));
    let claims = json!({
        "iss": device, "aud": shown["iss"], "sub": id, "chal": b64u(&sha256(challenge.as_bytes())), "dec": "accept",
        "num": asked.body["match_number"], "iat": 1, "jti": random.token(),
    });
    let response = jws::sign("nodkey-response+jwt", Some(&presence_key.public().thumbprint()), None, &claims, &presence_key);
    let body = json!({"response": response}).to_string();
    let answered = phone(&world.http, &device_key, Method::POST, "/api/v2/trusonafication_responses", &body).await;
    assert_eq!(answered.body, json!({"id": id, "status": "ACCEPTED", "accepted_level": 2}));

    let done = backend(&world.http, server, Method::GET, &format!("/api/v2/trusonafications/{id}"), "").await;
    assert_eq!((&done.body["status"], &done.body["result"]["is_accepted"]), (&json!("ACCEPTED"), &json!(true)));
    assert!(done.body.get("match_number").is_none(), "the number is told once");
    let canceled = backend(&world.http, server, Method::DELETE, &format!("/api/v2/trusonafications/{id}"), "").await;
    assert_eq!((canceled.status, canceled.error.as_str()), (422, "NOT_IN_PROGRESS"));
    let gone = backend(&world.http, server, Method::DELETE, "/api/v2/users/ada", "").await;
    assert_eq!(gone.status, 204);
    let seen = backend(&world.http, server, Method::GET, &format!("/api/v2/devices/{device}"), "").await;
    assert_eq!((seen.status, &seen.body["is_active"]), (200, &json!(false)));
}
