//! An unauthenticated caller does not learn why, except in development. The log always has the cause.

use nodkey_kernel::{
    dpop,
    jose::{Algorithm, PrivateKey, hs256},
    random::Random,
    time::Clock,
    trusona_mac::{authorization, body_md5, mac, string_to_sign},
};
use nodkey_proto::{
    binding::v1::{ListUserDevicesRequest, user_service_client::UserServiceClient},
    registry::v1::CreateCredentialResponse,
};
use reqwest::Client;
use serde_json::Value;

use crate::{
    http,
    log::Log,
    world::{Tenant, World},
};

scenarios!(
    in_development_a_backend_is_told_what_it_should_have_signed,
    in_development_a_phone_is_told_what_its_proof_is_to_be_made_of,
    in_development_a_caller_by_grpc_is_told_what_is_wrong_with_its_token,
);

const PATH: &str = "/api/v2/users/user-who-is-nobodys-business/devices";

/// Sends a call signed like this, and returns the response.
async fn signed(world: &World, token: &str, secret: &str, date: &str, path: &str) -> http::Answered {
    let signature = mac(secret, &string_to_sign("GET", &body_md5(b""), "", date, path));
    let request = Client::new().get(format!("{}{PATH}", world.http)).header("X-Date", date);
    http::read(request.header("Authorization", authorization(token, &signature)).send().await.unwrap()).await
}

/// Everything that can be wrong with a backend's credentials, by its name in logs and metrics.
async fn wrong_signatures(world: &World, tenant: &Tenant) -> Vec<(&'static str, http::Answered)> {
    let now = Clock::system().now().to_http_date();
    let token = |of: &CreateCredentialResponse| of.credential.as_ref().unwrap().token.clone();
    let (server, mobile) = (&tenant.server, &tenant.mobile);
    let other = token(server).rsplit_once('.').unwrap().0.to_owned() + ".c2lnbmF0dXJl";
    let unknown = "e30.eyJqdGkiOiIwMDAwMDAwMC0wMDAwLTQwMDAtODAwMC0wMDAwMDAwMDAwMDAifQ.e30";
    let bare = Client::new().get(format!("{}{PATH}", world.http));
    vec![
        ("missing", http::read(bare.try_clone().unwrap().send().await.unwrap()).await),
        ("malformed", http::read(bare.header("Authorization", "Basic YTpi").send().await.unwrap()).await),
        ("names_no_credential", signed(world, "e30.e30.e30", "x", &now, PATH).await),
        ("unknown_credential", signed(world, unknown, "x", &now, PATH).await),
        ("other_token", signed(world, &other, &server.secret, &now, PATH).await),
        ("wrong_signature", signed(world, &token(server), "secret-that-is-wrong", &now, PATH).await),
        ("wrong_signature", signed(world, &token(server), &server.secret, &now, "/api/v2/users").await),
        ("wrong_kind", signed(world, &token(mobile), &mobile.secret, &now, PATH).await),
        ("date_off", signed(world, &token(server), &server.secret, "Tue, 24 Nov 2015 10:00:00 GMT", PATH).await),
    ]
}

async fn in_development_a_backend_is_told_what_it_should_have_signed(world: &World) {
    let tenant = world.tenant().await;
    for (fault, answer) in wrong_signatures(world, &tenant).await {
        // Old SDKs get the same error, whatever is wrong.
        assert_eq!((answer.status, answer.error.as_str()), (403, "FORBIDDEN"), "{fault}");
        let description = answer.body["description"].as_str().unwrap();
        assert!(description.starts_with(answer.body["message"].as_str().unwrap()) && description.contains(": "), "{description}");
        let to_sign = answer.body["string_to_sign"].as_str().unwrap();
        let lines: Vec<_> = to_sign.split('\n').collect();
        assert_eq!((lines.len(), lines[0], lines[1], lines[4]), (5, "GET", body_md5(b"").as_str(), PATH), "{to_sign}");
        let text = answer.body.to_string();
        for secret in [&tenant.server.secret, &tenant.mobile.secret] {
            assert!(!text.contains(secret.as_str()), "{fault}");
        }
        // Signed with the returned text and the current date, it is accepted.
        if fault == "wrong_signature" {
            let credential = tenant.server.credential.as_ref().unwrap();
            let signature = mac(&tenant.server.secret, to_sign);
            let again = Client::new().get(format!("{}{PATH}", world.http)).header("X-Date", lines[3]);
            let again = again.header("Authorization", authorization(&credential.token, &signature)).send().await.unwrap();
            assert_eq!(again.status(), 200);
        }
    }
}

async fn in_development_a_phone_is_told_what_its_proof_is_to_be_made_of(world: &World) {
    let key = PrivateKey::generate(Algorithm::EdDsa, &Random::system());
    let path = "/api/v2/trusonafication_responses";
    let proof = dpop::create(&key, "POST", "https://other.example/", b"", Clock::system().now(), &Random::system());
    let answer = Client::new().post(format!("{}{path}", world.http)).header("DPoP", proof).body("{}").send().await.unwrap();
    let answer = http::read(answer).await;
    assert_eq!((answer.status, answer.error.as_str()), (401, "INVALID_PROOF"));
    let bh = dpop::body_hash(b"{}").unwrap();
    assert_eq!(answer.body["string_to_sign"], format!("htm POST\nhtu {}{path}\nbh {bh}", world.http));
}

/// Calls as a backend that signs its token like this.
async fn by_token(world: &World, token: &str) -> tonic::Status {
    let channel = super::access::channels(world).remove("binding").unwrap();
    let mut request = tonic::Request::new(ListUserDevicesRequest { user_identifier: "ada".into() });
    request.metadata_mut().insert("authorization", format!("Bearer {token}").parse().unwrap());
    UserServiceClient::new(channel).list_user_devices(request).await.unwrap_err()
}

async fn in_development_a_caller_by_grpc_is_told_what_is_wrong_with_its_token(world: &World) {
    let tenant = world.tenant().await;
    for (_, why, status) in wrong_tokens(world, &tenant).await {
        assert_eq!(status.code(), tonic::Code::Unauthenticated);
        assert!(status.message().contains(why), "{why}: {}", status.message());
    }
}

/// Everything that can be wrong with a token, by its name in logs and metrics and by its message.
async fn wrong_tokens(world: &World, tenant: &Tenant) -> Vec<(&'static str, &'static str, tonic::Status)> {
    let now = Clock::system().now().as_seconds();
    let id = |of: &CreateCredentialResponse| of.credential.as_ref().unwrap().id.clone();
    let (server, mobile) = (id(&tenant.server), id(&tenant.mobile));
    let claims = |aud: &str, exp: i64| serde_json::json!({"aud": aud, "exp": exp});
    let good = claims("nodkey", now + 30);
    let sign = |kid: Option<&str>, claims: &Value, secret: &str| hs256::sign(kid, claims, secret.as_bytes());
    let tokens = [
        ("malformed", "is not as its scheme", "nonsense".to_owned()),
        ("names_no_credential", "names no credential", sign(None, &good, "x")),
        ("unknown_credential", "no such credential", sign(Some("00000000-0000-4000-8000-000000000000"), &good, "x")),
        ("wrong_signature", "with the credential's secret", sign(Some(&server), &good, "secret-that-is-wrong")),
        ("wrong_claims", "aud or exp", sign(Some(&server), &serde_json::json!({}), &tenant.server.secret)),
        ("wrong_audience", "aud is not", sign(Some(&server), &claims("other", now + 30), &tenant.server.secret)),
        ("expired", "exp has passed", sign(Some(&server), &claims("nodkey", now - 60), &tenant.server.secret)),
        ("lives_too_long", "60 s ahead", sign(Some(&server), &claims("nodkey", now + 3600), &tenant.server.secret)),
        ("wrong_kind", "for apps", sign(Some(&mobile), &good, &tenant.mobile.secret)),
    ];
    let mut statuses = Vec::new();
    for (fault, why, token) in tokens {
        statuses.push((fault, why, by_token(world, &token).await));
    }
    statuses
}

/// The log lines about failed authentication since the previous call.
fn refused(log: &Log) -> Vec<Value> {
    let text = log.take();
    let lines = text.lines().map(|line| serde_json::from_str::<Value>(line).unwrap());
    lines.filter(|line| line["message"] == "not authenticated").collect()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn each_refusal_leaves_one_line_with_reason_credential_route_and_trace_and_is_counted() {
    let log = Log::default();
    let builder = tracing_subscriber::fmt().with_max_level(tracing_subscriber::filter::LevelFilter::DEBUG);
    builder.json().flatten_event(true).with_writer(log.clone()).init();
    let world = World::embedded_in_production().await;
    let tenant = world.tenant().await;
    let id = tenant.server.credential.as_ref().unwrap().id.clone();
    let (token, now) = (tenant.server.credential.as_ref().unwrap().token.clone(), Clock::system().now().to_http_date());
    refused(&log);
    let answer = signed(&world, &token, "secret-that-is-wrong", &now, PATH).await;
    assert_eq!((answer.status, answer.body.get("string_to_sign")), (403, None), "in production nobody learns why");
    assert_eq!(answer.body["description"], answer.body["message"]);
    let lines = refused(&log);
    let [line] = &lines[..] else { panic!("one line: {lines:?}") };
    assert_eq!((&line["scheme"], &line["reason"], &line["credential"]), (&"TRUSONA".into(), &"wrong_signature".into(), &id.into()));
    assert_eq!((&line["level"], &line["span"]["path"]), (&"DEBUG".into(), &"/api/v2/users/{user_identifier}/devices".into()));
    assert_eq!(line["span"]["trace_id"].as_str().unwrap().len(), 32);

    let signatures: Vec<_> = wrong_signatures(&world, &tenant).await.into_iter().map(|(fault, _)| fault).collect();
    let logged: Vec<_> = refused(&log).iter().map(|line| line["reason"].as_str().unwrap().to_owned()).collect();
    assert_eq!(logged, signatures);
    let tokens: Vec<_> = wrong_tokens(&world, &tenant).await.into_iter().map(|(fault, _, status)| (fault, status)).collect();
    assert!(tokens.iter().all(|(_, status)| status.message() == tokens[0].1.message()), "one answer for all");
    let lines = refused(&log);
    let logged: Vec<_> = lines.iter().map(|line| line["reason"].as_str().unwrap()).collect();
    assert_eq!(logged, tokens.iter().map(|(fault, _)| *fault).collect::<Vec<_>>());
    assert!(lines.iter().all(|line| line["span"]["path"] == "/nodkey.binding.v1.UserService/ListUserDevices"));
    let measured = nodkey_runtime::telemetry::metrics();
    assert!(measured.contains(r#"nodkey_unauthenticated_total{scheme="TRUSONA",reason="wrong_signature"} 3"#), "{measured}");
    assert!(measured.contains(r#"nodkey_unauthenticated_total{scheme="Bearer",reason="wrong_audience"} 1"#), "{measured}");
}
