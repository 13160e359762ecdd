//! Invalid input gets the documented error and changes nothing, in every route and RPC.

use nodkey_client::NewTrusonafication;
use nodkey_kernel::{
    dpop,
    jose::{Algorithm, PrivateKey, PublicJwk},
    random::Random,
    time::Clock,
};
use nodkey_mobile_sdk::Decision;
use nodkey_proto::trusonafication::v1::ListTrusonaficationsRequest;
use reqwest::{Client, Method};
use serde_json::{Value, json};

use crate::{
    http::{self, backend, nobody, phone},
    software::store,
    world::{Tenant, World, asked},
};

scenarios!(
    no_route_but_the_golden_ones_answers_without_a_credential,
    bodies_that_are_not_what_is_asked_for_are_refused_by_every_route,
    registrations_that_are_not_what_is_asked_for_are_refused,
    what_does_not_exist_is_not_found_by_every_route,
    custom_fields_and_bodies_have_a_limit,
    a_proof_is_for_one_call_by_one_device_at_one_time,
    a_signature_is_for_one_call,
    an_answer_that_is_none_is_refused,
    refusals_have_changed_nothing,
);

/// Every operation of the OpenAPI document: method, path, security scheme, and whether it has a body.
pub(super) fn operations() -> Vec<(Method, String, String, bool)> {
    let document: Value = serde_json::from_str(&nodkey_gateway::openapi()).unwrap();
    let mut operations = Vec::new();
    for (path, item) in document["paths"].as_object().unwrap() {
        for (method, operation) in item.as_object().unwrap() {
            let Ok(method) = method.to_uppercase().parse::<Method>() else { continue };
            let schemes: Vec<_> = operation["security"][0].as_object().into_iter().flat_map(|s| s.keys().cloned()).collect();
            // Registration needs both a mobile credential and a proof.
            let scheme = if schemes.len() > 1 { "mobile".into() } else { schemes.into_iter().next().unwrap_or_default() };
            operations.push((method, path.clone(), scheme, operation.get("requestBody").is_some()));
        }
    }
    assert!(operations.len() >= 16, "the document lists every route");
    operations
}

/// A path with its parameters filled in.
pub(super) fn filled(path: &str, value: &str) -> String {
    let parameter = |part: &str| if part.starts_with('{') { value.to_owned() } else { part.to_owned() };
    path.split('/').map(parameter).collect::<Vec<_>>().join("/")
}

/// The key of a registered phone that has nothing else.
pub(super) async fn key(tenant: &Tenant) -> PrivateKey {
    let key = PrivateKey::generate(Algorithm::Es256, &Random::system());
    tenant.phone_with(store(&key, &[])).register("phone").await.unwrap();
    key
}

async fn no_route_but_the_golden_ones_answers_without_a_credential(world: &World) {
    let golden: Vec<_> = include_str!("../golden/open.txt").lines().collect();
    for (method, path, scheme, _) in operations() {
        let open = golden.contains(&format!("{method} {path}").as_str());
        assert_eq!(scheme.is_empty(), open, "{method} {path} needs no credential; if that is meant, say so in golden/open.txt");
        let status = nobody(&world.http, method.clone(), &filled(&path, "x"), "").await.status;
        match scheme.as_str() {
            // Without a body or an existing id, it is refused, but not for lack of a credential.
            "" => assert!(![401, 403].contains(&status), "{method} {path}: {status}"),
            "dpop" => assert_eq!(status, 401, "{method} {path}"),
            _ => assert_eq!(status, 403, "{method} {path}"),
        }
    }
    let by_name = world.http.replace("127.0.0.1", "localhost");
    super::app_links::set(world, &world.tenant().await, "localhost").await.unwrap();
    for line in golden.iter().filter_map(|line| line.strip_prefix("GET ")).filter(|path| !path.contains('{')) {
        let answer = Client::new().get(format!("{by_name}{line}")).send().await.unwrap();
        assert_eq!(answer.status(), 200, "{line}");
    }
    assert_eq!(nobody(&world.http, Method::GET, "/nowhere", "").await.status, 404);
    assert_eq!(nobody(&world.http, Method::PUT, "/jwks", "").await.status, 405);
}

async fn bodies_that_are_not_what_is_asked_for_are_refused_by_every_route(world: &World) {
    let tenant = world.tenant().await;
    let key = key(&tenant).await;
    let device = key.public().thumbprint();
    let mut checked = 0;
    for (method, path, scheme, has_body) in operations() {
        if !has_body || scheme == "mobile" {
            continue;
        }
        for (body, expected, reason) in [
            ("{", 400, "MALFORMED_JSON"),
            ("not json", 400, "MALFORMED_JSON"),
            ("[]", 422, "VALIDATION_FAILED"),
            ("7", 422, "VALIDATION_FAILED"),
        ] {
            let answer = match scheme.as_str() {
                "" => nobody(&world.http, method.clone(), &path, body).await,
                "bearer" => backend(&world.http, &tenant.server, method.clone(), &filled(&path, "x"), body).await,
                _ => phone(&world.http, &key, method.clone(), &filled(&path, &device), body).await,
            };
            assert_eq!((answer.status, answer.error.as_str()), (expected, reason), "{method} {path} {body}");
            checked += 1;
        }
    }
    assert!(checked >= 60, "every route that takes a body: {checked}");
    for (path, body, field) in [
        ("/api/v2/user_devices", json!({"user_identifier": 7, "device_identifier": "d"}), "user_identifier"),
        ("/api/v2/user_devices", json!({"user_identifier": " ", "device_identifier": "d"}), "user_identifier"),
        ("/api/v2/user_devices", json!({"user_identifier": "ada"}), "device_identifier"),
        ("/api/v2/trusonafications", json!({"action": "a", "resource": "r"}), "user_identifier"),
        ("/api/v2/trusonafications", json!({"user_identifier": "ada", "resource": "r"}), "action"),
        (
            "/api/v2/trusonafications",
            json!({"user_identifier": "ada", "action": "a", "resource": "r", "desired_level": 4}),
            "desired_level",
        ),
        (
            "/api/v2/trusonafications",
            json!({"user_identifier": "ada", "action": "a", "resource": "r", "desired_level": "2"}),
            "desired_level",
        ),
        ("/api/v2/trusonafications", json!({"user_identifier": "ada", "action": "a", "resource": "r", "expires_at": "soon"}), "expires_at"),
        (
            "/api/v2/trusonafications",
            json!({"user_identifier": "ada", "action": "a", "resource": "r", "custom_fields": [1]}),
            "custom_fields",
        ),
        (
            "/api/v2/trusonafications",
            json!({"user_identifier": "ada", "action": "a", "resource": "r", "number_match": "guess"}),
            "number_match",
        ),
        (
            "/api/v2/trusonafications",
            json!({"user_identifier": "ada", "action": "a", "resource": "r", "callback_url": "ftp://x"}),
            "callback_url",
        ),
        ("/api/v2/trusonafications", json!({"trucode_id": "x", "action": "a", "resource": "r"}), "trucode_id"),
    ] {
        let answer = backend(&world.http, &tenant.server, Method::POST, path, &body.to_string()).await;
        assert_eq!(answer.status, 422, "{body}");
        assert!(answer.body["field_errors"].get(field).is_some(), "{body} {}", answer.body);
    }
    for (path, body, field) in [
        ("/api/v2/identity_documents".to_owned(), json!({"type": "PASSPORT", "hash": "h"}), "type"),
        ("/api/v2/identity_documents".to_owned(), json!({"type": "AAMVA_DRIVERS_LICENSE", "hash": 1}), "hash"),
    ] {
        let answer = phone(&world.http, &key, Method::POST, &path, &body.to_string()).await;
        assert_eq!((answer.status, answer.body["field_errors"].get(field).is_some()), (422, true), "{body} {}", answer.body);
    }
    for body in
        [json!({"presence_keys": [{"kind": "nose", "jwk": {}}]}), json!({"presence_keys": [{"kind": "biometric", "jwk": {"kty": "RSA"}}]})]
    {
        let answer = phone(&world.http, &key, Method::PATCH, &format!("/api/v2/devices/{device}"), &body.to_string()).await;
        assert_eq!((answer.status, answer.error.as_str()), (422, "VALIDATION_FAILED"), "{body}");
    }
    let push =
        phone(&world.http, &key, Method::PUT, &format!("/api/v2/devices/{device}/push_registration"), r#"{"provider":"pigeon"}"#).await;
    assert_eq!((push.status, push.body["field_errors"].get("provider").is_some()), (422, true));
    for wait in ["61", "-1", "soon"] {
        let path = format!("/api/v2/devices/{device}/trusonafications?wait={wait}");
        assert_eq!(phone(&world.http, &key, Method::GET, &path, "").await.status, 422);
    }
}

async fn registrations_that_are_not_what_is_asked_for_are_refused(world: &World) {
    let tenant = world.tenant().await;
    let random = Random::system();
    let (new, other) = (PrivateKey::generate(Algorithm::EdDsa, &random), PrivateKey::generate(Algorithm::EdDsa, &random));
    let jwk = new.public().to_value();
    for (body, status) in [
        ("{".to_owned(), 400),
        ("[]".to_owned(), 422),
        (json!({}).to_string(), 422),
        (json!({"device_key": {"kty": "RSA"}}).to_string(), 422),
        (json!({"device_key": other.public().to_value()}).to_string(), 422),
        (json!({"device_key": jwk, "platform": "toaster"}).to_string(), 422),
        (json!({"device_key": jwk, "name": "x".repeat(101)}).to_string(), 422),
        (json!({"device_key": jwk, "presence_keys": [{"kind": "biometric", "jwk": jwk}]}).to_string(), 422),
    ] {
        let answer = http::register(&world.http, &tenant.mobile, &new, &body).await;
        assert_eq!(answer.status, status, "{body}");
    }
}

async fn what_does_not_exist_is_not_found_by_every_route(world: &World) {
    let tenant = world.tenant().await;
    let unknown = "00000000-0000-7000-8000-000000000000";
    for id in [unknown, "x", "..%2f"] {
        for (method, path, body) in [
            (Method::GET, format!("/api/v2/devices/{id}"), ""),
            (Method::PATCH, format!("/api/v2/user_devices/{id}"), r#"{"active":true}"#),
            (Method::GET, format!("/api/v2/trusonafications/{id}"), ""),
            (Method::DELETE, format!("/api/v2/trusonafications/{id}"), ""),
            (Method::GET, format!("/api/v2/trusonafications/{id}/evidence"), ""),
            (Method::GET, format!("/api/v2/user_identifiers/{id}"), ""),
            (Method::GET, format!("/api/v1/verifications/{id}"), ""),
        ] {
            let answer = backend(&world.http, &tenant.server, method.clone(), &path, body).await;
            assert_eq!((answer.status, answer.error.as_str()), (404, "NOT_FOUND"), "{method} {path}");
        }
    }
    let answer = backend(&world.http, &tenant.server, Method::DELETE, "/api/v2/users/nobody", "").await;
    assert_eq!((answer.status, answer.error.as_str()), (404, "USER_NOT_FOUND"));
    let body = json!({"user_identifier": "ada", "device_identifier": unknown}).to_string();
    let answer = backend(&world.http, &tenant.server, Method::POST, "/api/v2/user_devices", &body).await;
    assert_eq!((answer.status, answer.error.as_str()), (424, "DEVICE_NOT_FOUND"));
}

async fn custom_fields_and_bodies_have_a_limit(world: &World) {
    let tenant = world.tenant().await;
    let device = tenant.active("ada").await;
    let body = |size: usize| {
        json!({"user_identifier": "ada", "action": "a", "resource": "r", "custom_fields": {"x": "y".repeat(size)}}).to_string()
    };
    let fits = backend(&world.http, &tenant.server, Method::POST, "/api/v2/trusonafications", &body((1 << 20) - 20)).await;
    assert_eq!(fits.status, 201, "{}", fits.error);
    assert_eq!(asked(&device).await.challenge.custom_fields.unwrap().members()[0].1.len(), (1 << 20) - 20, "and arrives");
    for (size, reason) in [(1 << 20, "CUSTOM_FIELDS_TOO_LARGE"), (2 << 20, "BODY_TOO_LARGE")] {
        let answer = backend(&world.http, &tenant.server, Method::POST, "/api/v2/trusonafications", &body(size)).await;
        assert_eq!((answer.status, answer.error.as_str()), (413, reason));
    }
}

async fn a_proof_is_for_one_call_by_one_device_at_one_time(world: &World) {
    let tenant = world.tenant().await;
    let (key, other) = (key(&tenant).await, key(&tenant).await);
    let (path, random, now) = (format!("/api/v2/devices/{}/status", key.public().thumbprint()), Random::system(), Clock::system().now());
    let url = format!("{}{path}", world.http);
    let send = async |proof: &str| http::read(Client::new().get(&url).header("DPoP", proof).send().await.unwrap()).await;
    let good = dpop::create(&key, "GET", &url, b"", now, &random);
    assert_eq!(send(&good).await.status, 200);
    // Each gateway remembers what it took: one of them got it twice by then.
    let mut again = Vec::new();
    for _ in 0..world.replicas("gateway") {
        again.push(send(&good).await);
    }
    again.retain(|answer| answer.status != 200);
    assert!(!again.is_empty() && again.iter().all(|answer| answer.error == "INVALID_PROOF"), "a proof again");
    let stranger = PrivateKey::generate(Algorithm::EdDsa, &random);
    let minute = std::time::Duration::from_secs(90);
    for (what, proof) in [
        ("of another device", dpop::create(&other, "GET", &url, b"", now, &random)),
        ("of a device nobody knows", dpop::create(&stranger, "GET", &url, b"", now, &random)),
        ("for another method", dpop::create(&key, "POST", &url, b"", now, &random)),
        ("for another URL", dpop::create(&key, "GET", &format!("{url}2"), b"", now, &random)),
        ("for another gateway", dpop::create(&key, "GET", &format!("https://example.com{path}"), b"", now, &random)),
        ("too old", dpop::create(&key, "GET", &url, b"", now - minute, &random)),
        ("of the future", dpop::create(&key, "GET", &url, b"", now + minute, &random)),
        ("cut short", good[..good.len() - 8].to_owned()),
        ("nonsense", "nonsense".into()),
    ] {
        let answer = send(&proof).await;
        assert_eq!((answer.status, answer.error.as_str()), (401, "INVALID_PROOF"), "a proof {what}");
    }
    // A body other than the one that the proof covers.
    let url = format!("{}/api/v2/trusonafication_responses", world.http);
    let proof = dpop::create(&key, "POST", &url, br#"{"response":"a"}"#, now, &random);
    let answer = Client::new().post(&url).header("DPoP", proof).body(r#"{"response":"b"}"#).send().await.unwrap();
    assert_eq!(http::read(answer).await.status, 401);
}

async fn a_signature_is_for_one_call(world: &World) {
    use nodkey_kernel::trusona_mac::{authorization, body_md5, mac, string_to_sign};
    let tenant = world.tenant().await;
    let token = &tenant.server.credential.as_ref().unwrap().token;
    let path = "/api/v2/users/ada/devices";
    let sign = |method: &str, body: &str, date: &str, path: &str| {
        let text = string_to_sign(method, &body_md5(body.as_bytes()), "", date, path);
        authorization(token, &mac(&tenant.server.secret, &text))
    };
    let date = Clock::system().now().to_http_date();
    let send = async |authorization: String| {
        let request = Client::new().get(format!("{}{path}", world.http)).header("X-Date", &date).header("Authorization", authorization);
        http::read(request.send().await.unwrap()).await.status
    };
    assert_eq!(send(sign("GET", "", &date, path)).await, 200);
    for forged in [
        sign("DELETE", "", &date, path),
        sign("GET", "body", &date, path),
        sign("GET", "", "Tue, 27 Jun 2017 18:03:47 GMT", path),
        sign("GET", "", &date, "/api/v2/users/bob/devices"),
        format!("TRUSONA {token}:"),
        format!("TRUSONA {}x:{}", token, "x".repeat(88)),
        "TRUSONA".into(),
    ] {
        assert_eq!(send(forged).await, 403);
    }
    assert_eq!(send(sign("GET", "", &date, path).replace("TRUSONA ", "Bearer ")).await, 401, "it is no token of that scheme");
}

async fn an_answer_that_is_none_is_refused(world: &World) {
    let tenant = world.tenant().await;
    let key = key(&tenant).await;
    let store = tenant.phone_with(store(&key, &[]));
    tenant.activate("ada", &store).await;
    let id = tenant.backend.create_trusonafication(NewTrusonafication::user("ada", "log in", "Acme")).await.unwrap().trusonafication.id;
    let pending = asked(&store).await;
    let claims = json!({
        "iss": key.public().thumbprint(), "aud": world.http, "sub": id, "chal": "wrong", "dec": "accept", "iat": 1, "jti": "j"
    });
    let signed = |claims: &Value, key: &PrivateKey, kid: &PublicJwk| {
        let response = nodkey_kernel::jose::jws::sign("nodkey-response+jwt", Some(&kid.thumbprint()), None, claims, key);
        json!({"response": response}).to_string()
    };
    let stranger = PrivateKey::generate(Algorithm::Es256, &Random::system());
    let with = |name: &str, value: Value| {
        let mut claims = claims.clone();
        claims[name] = value;
        claims
    };
    for (body, status, reason) in [
        (json!({"response": "a.b"}).to_string(), 422, "INVALID_RESPONSE"),
        (signed(&claims, &key, &key.public()), 422, "INVALID_RESPONSE"),
        (signed(&with("aud", "https://example.com".into()), &key, &key.public()), 422, "INVALID_RESPONSE"),
        (signed(&with("iss", "d".into()), &key, &key.public()), 422, "INVALID_RESPONSE"),
        (signed(&with("dec", "maybe".into()), &key, &key.public()), 422, "INVALID_RESPONSE"),
        (signed(&claims, &stranger, &key.public()), 403, "INVALID_SIGNATURE"),
        (signed(&claims, &stranger, &stranger.public()), 403, "INVALID_SIGNATURE"),
        (signed(&with("sub", "00000000-0000-7000-8000-000000000000".into()), &key, &key.public()), 404, "NOT_FOUND"),
    ] {
        let answer = phone(&world.http, &key, Method::POST, "/api/v2/trusonafication_responses", &body).await;
        assert_eq!((answer.status, answer.error.as_str()), (status, reason));
    }
    // It can still be answered.
    store.respond(&pending, Decision::Reject, None).await.unwrap();
}

async fn refusals_have_changed_nothing(world: &World) {
    let tenant = world.tenant().await;
    let device = tenant.active("ada").await;
    let bad = NewTrusonafication::user("ada", "", "Acme");
    assert!(tenant.backend.create_trusonafication(bad).await.is_err());
    assert!(tenant.backend.create_binding("bob", device.device_identifier().as_str()).await.is_err());
    assert!(tenant.backend.activate_binding("00000000-0000-7000-8000-000000000000").await.is_err());
    assert!(tenant.backend.deactivate_user("bob").await.is_err());
    let list = tenant.backend.list_trusonafications(ListTrusonaficationsRequest::default()).await.unwrap();
    assert!(list.trusonafications.is_empty());
    assert_eq!(tenant.backend.user_devices("ada").await.unwrap().len(), 1);
    assert!(device.status().await.unwrap().is_active);
}
