//! Features that only older clients use: Trusona IDs, integrations, look-ups, verifications, apps that poll and delete.

use nodkey_kernel::{
    challenge::{Decision, RESPONSE_TYP, ResponseClaims, challenge_hash},
    jose::{Algorithm, PrivateKey, jws},
    random::Random,
    time::Clock,
};
use nodkey_mobile_sdk::Decision as PhoneDecision;
use reqwest::Method;
use serde_json::{Value, json};

use crate::{
    http::{Answered, backend, phone},
    software::store,
    world::{Tenant, World, asked},
};

scenarios!(
    a_user_is_asked_by_trusona_id_or_address,
    an_identifier_stands_for_one_trusona_id_of_one_relying_party,
    an_account_tells_what_its_user_can_prove,
    names_of_an_integration_are_its_own,
    no_credentials_are_made_for_integrations,
    a_verification_is_a_trusonafication_seen_otherwise,
    canceling_again_is_told,
    an_app_that_polls_gets_the_oldest_question_and_may_delete_it,
);

async fn call(tenant: &Tenant, method: Method, path: &str, body: &Value) -> Answered {
    let body = if body.is_null() { String::new() } else { body.to_string() };
    backend(&tenant.http, &tenant.server, method, path, &body).await
}

async fn get(tenant: &Tenant, path: &str) -> Answered {
    call(tenant, Method::GET, path, &Value::Null).await
}

async fn post(tenant: &Tenant, path: &str, body: Value) -> Answered {
    call(tenant, Method::POST, path, &body).await
}

async fn a_user_is_asked_by_trusona_id_or_address(world: &World) {
    let tenant = world.tenant().await;
    let device = tenant.active("jones@example.com").await;
    let ask = |who: Value| {
        let mut body = json!({"action": "login", "resource": "Acme", "device_identifier": "", "user_identifier": null});
        body.as_object_mut().unwrap().extend(who.as_object().unwrap().clone());
        post(&tenant, "/api/v2/trusonafications", body)
    };
    let unknown = ask(json!({"trusona_id": "123456789"})).await;
    assert_eq!((unknown.status, unknown.body["field_errors"].get("trusona_id").is_some()), (422, true));
    let registered = post(&tenant, "/api/v2/user_identifiers", json!({"identifier": "jones@example.com", "trusona_id": "123456789"})).await;
    assert_eq!(registered.status, 201);
    for who in [json!({"trusona_id": "123456789", "email": "x@y"}), json!({"trusona_id": "", "email": "jones@example.com"})] {
        let created = ask(who).await;
        assert_eq!((created.status, created.body["user_identifier"].as_str()), (201, Some("jones@example.com")));
        // Java would prefer it to the user identifier.
        assert!(created.body["trusona_id"].is_null());
        let answer = device.respond(&asked(&device).await, PhoneDecision::Accept, None).await.unwrap();
        assert_eq!(answer.id, created.body["id"].as_str().unwrap());
    }
    let stranger = ask(json!({"email": "smith@example.com"})).await;
    assert_eq!((stranger.status, stranger.error.as_str()), (422, "USER_HAS_NO_ACTIVE_DEVICE"));
}

async fn an_identifier_stands_for_one_trusona_id_of_one_relying_party(world: &World) {
    let (tenant, other) = (world.tenant().await, world.tenant().await);
    let pair = json!({"identifier": "am9uZXNAdGFjb3MubmV0Cg==", "trusona_id": "123456789"});
    // The way Ruby sends it: every call gets the same response.
    for _ in 0..2 {
        let registered = post(&tenant, "/api/v2/user_identifiers", pair.clone()).await;
        assert_eq!((registered.status, registered.body), (201, pair.clone()));
    }
    let found = get(&tenant, "/api/v2/user_identifiers/am9uZXNAdGFjb3MubmV0Cg==").await;
    assert_eq!((found.status, found.body), (200, pair));
    let taken = post(&tenant, "/api/v2/user_identifiers", json!({"identifier": "am9uZXNAdGFjb3MubmV0Cg==", "trusona_id": "1"})).await;
    assert_eq!((taken.status, taken.error.as_str()), (409, "IDENTIFIER_TAKEN"));
    assert_eq!(get(&other, "/api/v2/user_identifiers/am9uZXNAdGFjb3MubmV0Cg==").await.status, 404);
    for (body, field) in [(json!({"trusona_id": "1"}), "identifier"), (json!({"identifier": "x", "trusona_id": " "}), "trusona_id")] {
        let refused = post(&tenant, "/api/v2/user_identifiers", body).await;
        assert_eq!((refused.status, refused.body["field_errors"].get(field).is_some()), (422, true));
    }
}

async fn an_account_tells_what_its_user_can_prove(world: &World) {
    let (tenant, other) = (world.tenant().await, world.tenant().await);
    let look_up = |tenant| post(tenant, "/internal/v1/account_lookups", json!({"email": "jones@example.com"}));
    assert_eq!(get(&tenant, "/internal/v1/users/167791378").await.status, 404);
    assert_eq!(look_up(&tenant).await.status, 404);
    assert_eq!(post(&tenant, "/internal/v1/account_lookups", json!({"email": null})).await.status, 422);
    for identifier in ["jones@example.com", "j@example.org", "jones"] {
        post(&tenant, "/api/v2/user_identifiers", json!({"identifier": identifier, "trusona_id": "167791378"})).await;
    }
    let account = look_up(&tenant).await.body;
    assert_eq!((account["status"].as_str(), account["metadata"]["max_level"].as_str()), (Some("inactive"), Some("entry")));
    let device = tenant.active("jones@example.com").await;
    let account = get(&tenant, "/internal/v1/users/167791378").await.body;
    assert_eq!((account["status"].as_str(), account["metadata"]["max_level"].as_str()), (Some("active"), Some("essential")));
    assert_eq!(account["trusona_id"], "167791378");
    assert_eq!((account["email"].as_str(), account["emails"][1]["email"].as_str()), (Some("jones@example.com"), Some("j@example.org")));
    assert_eq!(account["metadata"]["devices"].as_array().unwrap().len(), 1);
    device.register_identity_document("licence").await.unwrap();
    assert_eq!(look_up(&tenant).await.body["metadata"]["max_level"], "executive");
    assert_eq!(look_up(&other).await.status, 404);
}

async fn names_of_an_integration_are_its_own(world: &World) {
    let (tenant, other) = (world.tenant().await, world.tenant().await);
    let accounts = "/api/v2/integrations/86c00180-4d7f-4a5e-8f37-0d7a9a2f2a11/accounts";
    let pair = json!({"identifier": "win.QUNNRVxK T05FUw==", "trusona_id": "123456789"});
    let registered = post(&tenant, accounts, pair.clone()).await;
    assert_eq!((registered.status, &registered.body), (201, &pair));
    // Both spellings of the name, and a space as a plus sign.
    for query in ["identifier%5B%5D=win.QUNNRVxK+T05FUw%3D%3D&identifier%5B%5D=win.x", "identifier=win.QUNNRVxK+T05FUw=="] {
        let found = get(&tenant, &format!("{accounts}?{query}")).await;
        assert_eq!((found.status, found.body), (200, json!([pair])), "{query}");
    }
    assert_eq!(get(&tenant, &format!("{accounts}?identifier=win.x")).await.body, json!([]));
    assert_eq!(get(&other, &format!("{accounts}?identifier=win.QUNNRVxK+T05FUw==")).await.body, json!([]));
    let elsewhere = "/api/v2/integrations/86c00180-4d7f-4a5e-8f37-0d7a9a2f2a12/accounts?identifier=win.QUNNRVxK+T05FUw==";
    assert_eq!(get(&tenant, elsewhere).await.body, json!([]));
    // Nor is it a user identifier.
    assert_eq!(get(&tenant, "/api/v2/user_identifiers/win.QUNNRVxK%20T05FUw==").await.status, 404);
    assert_eq!(get(&tenant, accounts).await.status, 422);
    assert_eq!(get(&tenant, "/api/v2/integrations/x/accounts?identifier=y").await.status, 422);
    let many = vec!["identifier=x"; 101].join("&");
    assert_eq!(get(&tenant, &format!("{accounts}?{many}")).await.status, 422);
}

async fn no_credentials_are_made_for_integrations(world: &World) {
    let tenant = world.tenant().await;
    let path = "/api/v2/integrations/86c00180-4d7f-4a5e-8f37-0d7a9a2f2a11/credentials";
    let refused = post(&tenant, path, json!({"account_identifier": "win.x"})).await;
    assert_eq!((refused.status, refused.error.as_str()), (422, "INTEGRATIONS_NOT_SUPPORTED"));
}

async fn a_verification_is_a_trusonafication_seen_otherwise(world: &World) {
    let (tenant, other) = (world.tenant().await, world.tenant().await);
    let device = tenant.active("jones@example.com").await;
    let verifications = "/api/v1/verifications";
    let asking = json!({"action": "login", "resource": "Acme", "desired_level": 2, "email": "jones@example.com", "agent_id": "a1"});
    for body in [asking.clone(), json!([asking])] {
        let created = post(&tenant, verifications, body).await;
        assert_eq!((created.status, created.body["status"].as_str()), (201, Some("IN_PROGRESS")));
        assert_eq!((&created.body["email"], &created.body["agent_id"]), (&json!("jones@example.com"), &json!("a1")));
        let path = format!("{verifications}/{}", created.body["verification_id"].as_str().unwrap());
        assert!(get(&tenant, &path).await.body["result_id"].is_null());
        device.respond(&asked(&device).await, PhoneDecision::Accept, None).await.unwrap();
        let done = get(&tenant, &path).await.body;
        assert_eq!((done["status"].as_str(), done["accepted_level"].as_i64()), (Some("ACCEPTED"), Some(2)));
        assert!(done["result_id"].is_string());
        assert_eq!(get(&other, &path).await.status, 404);
    }
    let created = post(&tenant, verifications, asking.clone()).await;
    let id = created.body["verification_id"].as_str().unwrap();
    call(&tenant, Method::DELETE, &format!("/api/v2/trusonafications/{id}"), &Value::Null).await;
    assert_eq!(get(&tenant, &format!("{verifications}/{id}")).await.body["status"], "REJECTED");
    for (member, value, field) in [
        ("trusona_id", json!("1"), "email"),
        ("email", Value::Null, "email"),
        ("callback_url", json!("https://example.com"), "callback_url"),
        ("action", Value::Null, "action"),
    ] {
        let mut body = asking.clone();
        body[member] = value;
        let refused = post(&tenant, verifications, body).await;
        assert_eq!((refused.status, refused.body["field_errors"].get(field).is_some()), (422, true), "{member}");
    }
}

async fn canceling_again_is_told(world: &World) {
    let tenant = world.tenant().await;
    tenant.active("ada").await;
    let created = post(&tenant, "/api/v2/trusonafications", json!({"user_identifier": "ada", "action": "a", "resource": "r"})).await;
    let path = format!("/api/v2/trusonafications/{}", created.body["id"].as_str().unwrap());
    let cancel = || call(&tenant, Method::DELETE, &path, &Value::Null);
    assert_eq!(cancel().await.status, 204);
    let again = cancel().await;
    assert_eq!((again.status, again.error.as_str()), (422, "NOT_IN_PROGRESS"));
    assert_eq!(get(&tenant, &path).await.body["status"], "CANCELED");
}

async fn an_app_that_polls_gets_the_oldest_question_and_may_delete_it(world: &World) {
    let tenant = world.tenant().await;
    let key = PrivateKey::generate(Algorithm::Es256, &Random::system());
    let registered = tenant.phone_with(store(&key, &[]));
    registered.register("phone").await.unwrap();
    let next = || phone(&tenant.http, &key, Method::GET, "/api/v2/trusonafications/next", "");
    assert_eq!(next().await.status, 403, "not before its binding is active");
    tenant.activate("ada", &registered).await;
    assert_eq!(next().await.status, 404, "nothing is asked");
    for resource in ["first", "second"] {
        post(&tenant, "/api/v2/trusonafications", json!({"user_identifier": "ada", "action": "a", "resource": resource})).await;
    }
    let oldest = next().await.body;
    let (id, challenge) = (oldest["id"].as_str().unwrap(), oldest["challenge"].as_str().unwrap());
    let now = Clock::system().now();
    let answer = |dec| {
        let claims = ResponseClaims {
            iss: key.public().thumbprint(),
            aud: tenant.http.as_str().into(),
            sub: id.to_owned(),
            chal: challenge_hash(challenge),
            dec,
            why: None,
            num: None,
            doc: None,
            iat: now.as_seconds(),
            jti: "0123456789abcdef0123".into(),
        };
        json!({"response": jws::sign(RESPONSE_TYP, Some(&key.public().thumbprint()), None, &claims, &key)}).to_string()
    };
    let path = format!("/api/v2/trusonafication_responses/{id}");
    let delete = async |path: &str, body: String| phone(&tenant.http, &key, Method::DELETE, path, &body).await;
    let accepting = delete(&path, answer(Decision::Accept)).await;
    assert_eq!((accepting.status, accepting.error.as_str()), (422, "INVALID_RESPONSE"));
    let of_another = delete("/api/v2/trusonafication_responses/x", answer(Decision::Reject)).await;
    assert_eq!((of_another.status, of_another.error.as_str()), (422, "INVALID_RESPONSE"));
    let rejected = delete(&path, answer(Decision::Reject)).await;
    assert_eq!((rejected.status, rejected.body["status"].as_str()), (200, Some("REJECTED")));
    assert_ne!(next().await.body["id"], id, "the second is next");
}
