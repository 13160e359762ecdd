//! The HTTP API with the bearer token of gRPC: no signature scheme is needed.

use nodkey_client::ServiceName;
use nodkey_kernel::{jose::hs256, time::Clock};
use nodkey_mobile_sdk::Decision;
use nodkey_proto::registry::v1::{
    CreateCredentialResponse, DisableCredentialRequest, Role, credential_service_client::CredentialServiceClient,
};
use reqwest::Method;
use serde_json::{Value, json};

use crate::{
    http::{Answered, backend, client, read},
    operators::{enrolled, sign_in},
    world::{World, asked},
};

scenarios!(
    a_backend_does_all_it_may_by_a_token_and_answers_are_not_signed,
    a_token_that_is_wrong_in_any_way_or_no_backends_is_refused_with_401,
    a_token_that_held_is_worth_nothing_once_its_credential_is_disabled,
);

/// A token as any backend makes it: it expires `ahead` seconds from now.
pub(super) fn token(credential: &CreateCredentialResponse, audience: &str, ahead: i64) -> String {
    let id = &credential.credential.as_ref().unwrap().id;
    let claims = json!({"aud": audience, "exp": Clock::system().now().as_seconds() + ahead});
    hs256::sign(Some(id), &claims, credential.secret.as_bytes())
}

pub(super) async fn call(world: &World, token: &str, method: Method, path: &str, body: &str) -> Answered {
    let request = client().request(method, format!("{}{path}", world.http)).header("Authorization", format!("Bearer {token}"));
    let answer = request.header("Content-Type", "application/json").body(body.to_owned()).send().await.unwrap();
    assert!(!answer.headers().contains_key("x-signature"), "it would be by a scheme that the caller does not speak");
    read(answer).await
}

async fn a_backend_does_all_it_may_by_a_token_and_answers_are_not_signed(world: &World) {
    let tenant = world.tenant().await;
    let phone = tenant.active("ada").await;
    let send = async |method, path: &str, body: &str| call(world, &token(&tenant.server, "nodkey", 60), method, path, body).await;
    let create = json!({"user_identifier": "ada", "action": "log in", "resource": "Acme"}).to_string();
    let created = send(Method::POST, "/api/v2/trusonafications", &create).await;
    assert_eq!((created.status, created.body["status"].as_str()), (201, Some("IN_PROGRESS")), "{}", created.body);
    let path = format!("/api/v2/trusonafications/{}", created.body["id"].as_str().unwrap());
    phone.respond(&asked(&phone).await, Decision::Accept, None).await.unwrap();
    let waited = send(Method::GET, &format!("{path}?wait=30"), "").await;
    assert_eq!((waited.status, waited.body["status"].as_str()), (200, Some("ACCEPTED")), "{}", waited.body);
    // The other scheme gives the same result.
    assert_eq!(backend(&world.http, &tenant.server, Method::GET, &path, "").await.body, waited.body);
    assert_eq!(send(Method::DELETE, &path, "").await.error, "NOT_IN_PROGRESS");
    assert_eq!(send(Method::GET, "/api/v2/users/ada/devices", "").await.body["devices"].as_array().map(Vec::len), Some(1));
    // Custom fields fit, and nothing of another relying party is found.
    let large = json!({"user_identifier": "ada", "action": "a", "resource": "b", "custom_fields": {"x": "x".repeat(500_000)}}).to_string();
    assert_eq!(send(Method::POST, "/api/v2/trusonafications", &large).await.status, 201);
    let other = world.tenant().await;
    assert_eq!(call(world, &token(&other.server, "nodkey", 60), Method::GET, &path, "").await.error, "NOT_FOUND");
}

async fn a_token_that_is_wrong_in_any_way_or_no_backends_is_refused_with_401(world: &World) {
    let tenant = world.tenant().await;
    let (phone, _) = enrolled(world, "owner", Role::Owner).await;
    let cookie = sign_in(world, &phone).await.session();
    let (session, secret) = cookie.split_once('.').unwrap();
    let claims = json!({"aud": "nodkey", "exp": Clock::system().now().as_seconds() + 30});
    let operator = hs256::sign(Some(&format!("operator/{session}")), &claims, secret.as_bytes());
    let mut unknown = tenant.server.clone();
    "00000000-0000-7000-8000-000000000000".clone_into(&mut unknown.credential.as_mut().unwrap().id);
    let mut guessed = tenant.server.clone();
    guessed.secret.push('x');
    let wrong = [
        ("another deployment's", token(&tenant.server, "other", 60)),
        ("over", token(&tenant.server, "nodkey", -60)),
        ("alive too long", token(&tenant.server, "nodkey", 600)),
        ("by another secret", token(&guessed, "nodkey", 60)),
        ("of nobody", token(&unknown, "nodkey", 60)),
        ("an app's", token(&tenant.mobile, "nodkey", 60)),
        ("an operator's", operator),
        ("no token", "x".to_owned()),
    ];
    for (why, token) in wrong {
        for (method, path) in [(Method::GET, "/api/v2/users/ada"), (Method::POST, "/api/v2/trusonafications")] {
            let refused = call(world, &token, method, path, "{}").await;
            assert_eq!((refused.status, refused.error.as_str()), (401, "UNAUTHENTICATED"), "{why}");
        }
    }
    // Registering a phone needs the app's own scheme.
    let refused = call(world, &token(&tenant.mobile, "nodkey", 60), Method::POST, "/api/v2/devices", "{}").await;
    assert_eq!((refused.status, refused.error.as_str()), (403, "FORBIDDEN"));
    assert_eq!(refused.body["field_errors"], Value::Object(serde_json::Map::new()));
}

async fn a_token_that_held_is_worth_nothing_once_its_credential_is_disabled(world: &World) {
    let tenant = world.tenant().await;
    let token = || token(&tenant.server, "nodkey", 60);
    // The gateway answers this by itself, so no service knows the credential.
    let alone = call(world, &token(), Method::POST, "/api/v2/integrations/windows/credentials", "{}").await;
    assert_eq!((alone.status, alone.error.as_str()), (422, "INTEGRATIONS_NOT_SUPPORTED"));
    let mut credentials = CredentialServiceClient::new(world.operator(None).channel(ServiceName::Registry));
    let id = tenant.server.credential.as_ref().unwrap().id.clone();
    credentials.disable_credential(DisableCredentialRequest { relying_party_id: tenant.id.clone(), id }).await.unwrap();
    let refused = call(world, &token(), Method::GET, "/api/v2/users/nobody", "").await;
    assert_eq!((refused.status, refused.error.as_str()), (401, "UNAUTHENTICATED"));
}
