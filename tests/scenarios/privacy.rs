//! Secrets, tokens, user identifiers and custom fields never appear in logs and metrics, whatever the log level.

use nodkey_client::NewTrusonafication;
use nodkey_kernel::{
    jose::{Algorithm, PrivateKey},
    random::Random,
};
use nodkey_mobile_sdk::Decision;
use nodkey_proto::registry::v1::Role;
use reqwest::Method;
use serde_json::json;

use crate::{
    browser::Browser,
    http,
    log::Log,
    operators,
    world::{World, asked},
};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nothing_secret_is_logged_or_measured() {
    let log = Log::default();
    // Everything, including the libraries. HTTP/2 frames are logged at a lower level.
    tracing_subscriber::fmt().with_max_level(tracing_subscriber::filter::LevelFilter::DEBUG).with_writer(log.clone()).init();
    let world = World::embedded().await;
    let tenant = world.tenant().await;
    let phone = tenant.active("user-who-is-nobodys-business").await;
    let fields = json!({"iban": "field-that-is-nobodys-business"});
    let new = NewTrusonafication::user("user-who-is-nobodys-business", "log in", "Acme").custom_fields(fields.as_object().unwrap());
    let id = tenant.backend.create_trusonafication(new).await.unwrap().trusonafication.id;
    phone.respond(&asked(&phone).await, Decision::Accept, None).await.unwrap();
    tenant.backend.wait(&id).await.unwrap();
    let evidence = tenant.backend.evidence(&id).await.unwrap();
    let path = "/api/v2/users/user-who-is-nobodys-business/devices";
    assert_eq!(http::backend(&world.http, &tenant.server, Method::GET, path, "").await.status, 200);
    // Through the console: an invitation, a session, a path that names a user, a call about one.
    let invitation = operators::invite(&world, "Ada", Role::Operator).await;
    let (phone, jwt) = operators::register(&world, &invitation.link).await;
    let ticket = operators::ticket(&invitation.link);
    assert_eq!(Browser::new(&world.http).post(&ticket, &jwt).await.status, 204);
    let mut browser = operators::sign_in(&world, &phone).await;
    assert_eq!(browser.get("/console/users/user-who-is-nobodys-business").await.status, 200);
    let message = json!({"userIdentifier": "user-who-is-nobodys-business"});
    assert_eq!(browser.rpc("binding.v1.UserService/DeactivateUser", Some(&tenant.id), message).await.status, 200);
    let session = browser.cookie("nodkey_session");
    // Refusals are logged, too, with the cause.
    let mut wrong = tenant.server.clone();
    wrong.secret = "secret-that-is-wrong".into();
    assert_eq!(http::backend(&world.http, &wrong, Method::GET, path, "").await.status, 403);
    let request =
        reqwest::Client::new().get(format!("{}{path}", world.http)).header("authorization", "TRUSONA token-that-is-nobodys-business:x");
    assert_eq!(request.send().await.unwrap().status(), 403);
    let stranger = PrivateKey::generate(Algorithm::EdDsa, &Random::system());
    assert_eq!(http::phone(&world.http, &stranger, Method::GET, "/api/v2/trusonafications/next", "").await.status, 401);
    assert!(tenant.backend.create_binding("user-who-is-nobodys-business", "x").await.is_err());
    assert!(tenant.backend.create_trusonafication(NewTrusonafication::user("user-who-is-nobodys-business", "", "")).await.is_err());

    let logged = log.text();
    assert!(logged.contains("request"), "something is logged: {logged}");
    let measured = nodkey_runtime::telemetry::metrics();
    assert!(measured.contains("nodkey_trusonafications_total"), "something is measured: {measured}");
    let token = |credential: &nodkey_proto::registry::v1::CreateCredentialResponse| credential.credential.clone().unwrap().token;
    for secret in [
        "user-who-is-nobodys-business",
        "field-that-is-nobodys-business",
        &tenant.server.secret,
        &tenant.mobile.secret,
        &token(&tenant.server),
        &token(&tenant.mobile),
        &evidence.challenge,
        &evidence.response,
        "secret-that-is-wrong",
        "token-that-is-nobodys-business",
        ticket.rsplit('/').next().unwrap(),
        session.split('.').nth(1).unwrap(),
    ] {
        let line = logged.lines().find(|line| line.contains(secret));
        assert!(line.is_none(), "it is logged: {line:?}");
        assert!(!measured.contains(secret), "it is measured");
    }
}
