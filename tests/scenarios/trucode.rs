//! Secure QR codes: an unknown browser visitor becomes a known device.

use std::time::Duration;

use nodkey_client::{NewTrusonafication, ServiceName, is_success};
use nodkey_kernel::jose::b64u_decode;
use nodkey_mobile_sdk::{Decision, Error};
use nodkey_proto::registry::v1::{TruCodeSettings, UpdateRelyingPartyRequest, relying_party_service_client::RelyingPartyServiceClient};
use reqwest::{Client, Method};
use serde_json::{Value, json};

use crate::{
    http::{self, Answered, backend},
    world::{SoftPhone, Tenant, World, asked, eventually},
};

scenarios!(
    a_scan_wakes_the_browser_and_the_phone_can_be_asked,
    what_is_asked_before_pairing_arrives_with_it,
    a_phone_that_cannot_answer_is_not_asked_for_having_scanned,
    one_device_pairs_a_code,
    a_page_of_another_site_makes_no_code_and_sees_none,
    a_page_of_the_gateways_own_sees_the_codes_it_made,
    digits_are_confirmed_where_they_are_wanted,
    unproven_pairing_is_refused_unless_allowed,
    payloads_are_what_existing_pages_read,
    who_scanned_is_bound_to_a_user_once,
    a_binding_by_code_that_was_left_half_is_made_whole_when_the_call_is_repeated,
);

const ORIGIN: &str = "https://shop.example.com";

/// A request as a page makes it.
async fn page(world: &World, method: Method, path: &str, origin: &str, body: Option<Value>) -> Answered {
    let mut request = Client::new().request(method, format!("{}{path}", world.http)).header("Origin", origin);
    if let Some(body) = body {
        request = request.header("Content-Type", "application/json").body(body.to_string());
    }
    let response = request.send().await.unwrap();
    assert_eq!(response.headers()["access-control-allow-origin"], "*");
    // When to try again, and how long the code lives by the server's time.
    assert_eq!(response.headers()["access-control-expose-headers"], "retry-after,date");
    assert!(response.headers().contains_key("date"));
    http::read(response).await
}

/// Creates a code as a page does: its id, its payload and the whole response.
pub(super) async fn code(world: &World, tenant: &Tenant) -> (String, String, Value) {
    let made = page(world, Method::POST, "/api/v2/trucodes", ORIGIN, Some(json!({"relying_party_id": tenant.id}))).await;
    assert_eq!(made.status, 201, "{}", made.body);
    let text = |name: &str| made.body[name].as_str().unwrap().to_owned();
    (text("id"), text("payload"), made.body.clone())
}

async fn settings(world: &World, tenant: &Tenant, trucodes: TruCodeSettings) {
    let mut parties = RelyingPartyServiceClient::new(world.operator(None).channel(ServiceName::Registry));
    let request = UpdateRelyingPartyRequest { id: tenant.id.clone(), trucodes: Some(trucodes), ..Default::default() };
    parties.update_relying_party(request).await.unwrap();
}

fn refused(error: &Error) -> (u16, String) {
    let status = error.status().unwrap_or_else(|| panic!("refused, not {error}"));
    (status, error.reason().to_owned())
}

async fn a_scan_wakes_the_browser_and_the_phone_can_be_asked(world: &World) {
    let tenant = world.tenant().await;
    let phone = tenant.active("ada").await;
    let (id, payload, _) = code(world, &tenant).await;
    let path = format!("/api/v2/paired_trucodes/{id}");
    assert_eq!(backend(&world.http, &tenant.server, Method::GET, &path, "").await.status, 404, "at once, while nobody has scanned");
    let status = format!("/api/v2/trucodes/{id}");
    let (held, ()) = tokio::join!(page(world, Method::GET, &status, ORIGIN, None), async {
        let scanned = phone.scan(&format!("https://acme.example/trucode?payload={payload}")).await.unwrap();
        assert_eq!((scanned.context.relying_party.as_str(), scanned.context.origin.as_deref()), ("Acme", Some(ORIGIN)));
        phone.pair(&scanned, None).await.unwrap();
        phone.pair(&scanned, None).await.unwrap();
    });
    assert_eq!(held.body, json!({"id": id, "paired": true}));
    let paired = backend(&world.http, &tenant.server, Method::GET, &path, "").await;
    assert_eq!(paired.body, json!({"id": id, "identifier": phone.device_identifier().as_str(), "paired": true}));
    let other = world.tenant().await;
    assert_eq!(backend(&world.http, &other.server, Method::GET, &path, "").await.status, 404);

    let created = tenant.backend.create_trusonafication(NewTrusonafication::trucode(&id, "log in", "Acme")).await.unwrap();
    let answer = phone.respond(&asked(&phone).await, Decision::Accept, None).await.unwrap();
    assert_eq!(answer.id, created.trusonafication.id);
    let done = tenant.backend.wait(answer.id.as_str()).await.unwrap();
    assert!(is_success(&done));
    assert_eq!(done.result.unwrap().bound_user_identifier, "ada", "now it is known who it is");
}

async fn what_is_asked_before_pairing_arrives_with_it(world: &World) {
    let tenant = world.tenant().await;
    let (phone, stranger) = (tenant.active("ada").await, tenant.active("bob").await);
    let (id, payload, _) = code(world, &tenant).await;
    let new = NewTrusonafication::trucode(&id.to_uppercase(), "log in", "Acme");
    let created = tenant.backend.create_trusonafication(new).await.unwrap().trusonafication;
    assert!(phone.wait(Duration::ZERO).await.unwrap().is_empty());
    let (pending, ()) = tokio::join!(asked(&phone), async {
        let scanned = phone.scan(&payload).await.unwrap();
        phone.pair(&scanned, None).await.unwrap();
    });
    assert_eq!(pending.id, created.id);
    assert_eq!(refused(&stranger.respond(&pending, Decision::Accept, None).await.unwrap_err()).1, "NOT_ADDRESSED");
    phone.respond(&pending, Decision::Accept, None).await.unwrap();
    assert!(is_success(&tenant.backend.wait(&created.id).await.unwrap()));
}

async fn a_phone_that_cannot_answer_is_not_asked_for_having_scanned(world: &World) {
    let tenant = world.tenant().await;
    let phone = tenant.registered().await;
    let (id, payload, _) = code(world, &tenant).await;
    phone.pair(&phone.scan(&payload).await.unwrap(), None).await.unwrap();
    let sign_in = NewTrusonafication::trucode(&id, "sign in", "Acme");
    assert_eq!(tenant.backend.create_trusonafication(sign_in).await.unwrap_err().reason, "DEVICE_HAS_NO_ACTIVE_BINDING");
}

async fn one_device_pairs_a_code(world: &World) {
    let tenant = world.tenant().await;
    let (one, two) = (tenant.registered().await, tenant.registered().await);
    let (_, payload, _) = code(world, &tenant).await;
    let pair = async |phone: &SoftPhone| phone.pair(&phone.scan(&payload).await.unwrap(), None).await;
    let (first, second) = tokio::join!(pair(&one), pair(&two));
    let lost = first.err().or(second.err()).expect("one of them comes second");
    assert_eq!(refused(&lost), (409, "ALREADY_PAIRED".into()));
    // A device of another tenant, and a payload nobody issued.
    let other = world.tenant().await;
    let foreign = other.registered().await;
    assert_eq!(refused(&pair(&foreign).await.unwrap_err()), (422, "INVALID_PAYLOAD".into()));
    assert!(one.scan(&payload[..payload.len() - 4]).await.is_err(), "the phone notices before it asks");
}

async fn a_page_of_another_site_makes_no_code_and_sees_none(world: &World) {
    let tenant = world.tenant().await;
    settings(world, &tenant, TruCodeSettings { allowed_origins: vec![ORIGIN.into()], ..TruCodeSettings::default() }).await;
    let (id, ..) = code(world, &tenant).await;
    let body = || Some(json!({"relying_party_id": tenant.id}));
    let evil = page(world, Method::POST, "/api/v2/trucodes", "https://evil.example.com", body()).await;
    assert_eq!((evil.status, evil.error.as_str()), (403, "ORIGIN_NOT_ALLOWED"));
    let path = format!("/api/v2/trucodes/{id}");
    assert_eq!(page(world, Method::GET, &path, "https://evil.example.com", None).await.status, 404);
    let slash = page(world, Method::POST, "/api/v2/trucodes/", ORIGIN, body()).await;
    assert_eq!(slash.status, 201, "a slash at the end means the same");
    for party in ["x", "00000000-0000-7000-8000-000000000000"] {
        let unknown = page(world, Method::POST, "/api/v2/trucodes", ORIGIN, Some(json!({"relying_party_id": party}))).await;
        assert_eq!((unknown.status, unknown.body["field_errors"].get("relying_party_id").is_some()), (422, true));
    }
    let much = page(world, Method::POST, "/api/v2/trucodes", ORIGIN, Some(json!("x".repeat(100_000)))).await;
    assert_eq!(much.status, 413, "what is refused before it is read can be read by the page, too");
    let preflight = Client::new()
        .request(Method::OPTIONS, format!("{}/api/v2/trucodes", world.http))
        .header("Origin", ORIGIN)
        .header("Access-Control-Request-Method", "POST")
        .header("Access-Control-Request-Headers", "content-type")
        .send()
        .await
        .unwrap();
    assert!(preflight.status().is_success());
    assert!(preflight.headers()["access-control-allow-methods"].to_str().unwrap().contains("POST"));
    assert_eq!(preflight.headers()["access-control-allow-headers"], "content-type");
}

/// Browsers send an `Origin` header with a POST, but not when a page GETs from its own server.
async fn a_page_of_the_gateways_own_sees_the_codes_it_made(world: &World) {
    let tenant = world.tenant().await;
    let phone = tenant.registered().await;
    let body = Some(json!({"relying_party_id": tenant.id}));
    let made = page(world, Method::POST, "/api/v2/trucodes", &world.http, body).await.body;
    let status = format!("/api/v2/trucodes/{}", made["id"].as_str().unwrap());
    let (held, ()) = tokio::join!(http::nobody(&world.http, Method::GET, &status, ""), async {
        phone.pair(&phone.scan(made["payload"].as_str().unwrap()).await.unwrap(), None).await.unwrap();
    });
    assert_eq!((held.status, &held.body["paired"]), (200, &json!(true)));
}

async fn digits_are_confirmed_where_they_are_wanted(world: &World) {
    let tenant = world.tenant().await;
    settings(world, &tenant, TruCodeSettings { match_number: true, ..TruCodeSettings::default() }).await;
    let phone = tenant.registered().await;
    let (_, payload, made) = code(world, &tenant).await;
    let scanned = phone.scan(&payload).await.unwrap();
    assert!(scanned.context.match_number);
    for wrong in [None, Some("00")] {
        assert_eq!(refused(&phone.pair(&scanned, wrong).await.unwrap_err()), (422, "NUMBER_MISMATCH".into()));
    }
    phone.pair(&scanned, made["match_number"].as_str()).await.unwrap();
}

async fn unproven_pairing_is_refused_unless_allowed(world: &World) {
    let tenant = world.tenant().await;
    let (id, payload, _) = code(world, &tenant).await;
    let body = json!({"payload": payload, "identifier": "an identifier of an old client"}).to_string();
    let refused = http::nobody(&world.http, Method::POST, "/api/v2/paired_trucodes", &body).await;
    assert_eq!((refused.status, refused.error.as_str()), (403, "PROOF_REQUIRED"));
    settings(world, &tenant, TruCodeSettings { allow_unproven_pairing: true, ..TruCodeSettings::default() }).await;
    // The settings of before are remembered for five seconds if nobody hears of the change.
    let paired = eventually("it is allowed", async || {
        let paired = http::nobody(&world.http, Method::POST, "/api/v2/paired_trucodes/", &body).await;
        (paired.status != 403).then_some(paired)
    })
    .await;
    assert_eq!((paired.status, paired.body["id"].as_str()), (201, Some(id.as_str())));
    let seen = backend(&world.http, &tenant.server, Method::GET, &format!("/api/v2/paired_trucodes/{id}"), "").await;
    assert_eq!(seen.body["identifier"], "an identifier of an old client");
}

async fn payloads_are_what_existing_pages_read(world: &World) {
    let tenant = world.tenant().await;
    let (id, payload, made) = code(world, &tenant).await;
    assert!(payload.len() < 400, "short enough for a camera: {}", payload.len());
    let segment = payload.split('.').nth(1).unwrap();
    assert!(!segment.contains(['-', '_']));
    let claims: Value = serde_json::from_slice(&b64u_decode(segment).unwrap()).unwrap();
    let now = nodkey_kernel::time::Clock::system().now().as_micros() / 1_000;
    assert_eq!(claims.as_object().unwrap().keys().collect::<Vec<_>>(), ["jti", "exp"], "no digits to be read off the code");
    assert!((15_000..60_000).contains(&(claims["exp"].as_i64().unwrap() - now)), "milliseconds, and neither too long nor too short");
    assert!(!payload.contains(&id) && claims["jti"] != id.as_str(), "who photographs the code does not learn the id");
    assert!(made.as_object().unwrap().values().all(Value::is_string), "a flat object of strings");
}

async fn a_binding_by_code_that_was_left_half_is_made_whole_when_the_call_is_repeated(world: &World) {
    let tenant = world.tenant().await;
    let phone = tenant.registered().await;
    let (id, payload, _) = code(world, &tenant).await;
    phone.pair(&phone.scan(&payload).await.unwrap(), None).await.unwrap();
    // The state in which the first of the two steps leaves it when the second fails.
    tenant.backend.create_binding("ada", phone.device_identifier().as_str()).await.unwrap();
    assert!(!phone.status().await.unwrap().is_active);
    let bind = async |user: &str| {
        let body = json!({"user_identifier": user, "trucode_id": id}).to_string();
        let answer = backend(&world.http, &tenant.server, Method::POST, "/api/v2/user_bindings", &body).await;
        (answer.status, answer.error)
    };
    assert_eq!(bind("bob").await, (409, "USER_ALREADY_BOUND".into()), "it is ada's, however far it came");
    assert_eq!(bind("ada").await.0, 204);
    assert!(phone.status().await.unwrap().is_active);
    assert_eq!(bind("ada").await, (409, "USER_ALREADY_BOUND".into()), "what is whole is there already");
}

async fn who_scanned_is_bound_to_a_user_once(world: &World) {
    let tenant = world.tenant().await;
    let phone = tenant.registered().await;
    let (id, payload, _) = code(world, &tenant).await;
    let bind = async |user: &str, id: &str| {
        let body = json!({"user_identifier": user, "trucode_id": id}).to_string();
        let answer = backend(&world.http, &tenant.server, Method::POST, "/api/v2/user_bindings", &body).await;
        (answer.status, answer.error)
    };
    assert_eq!(bind("", &id).await.0, 422);
    assert_eq!(bind("ada", "").await.0, 422);
    assert_eq!(bind("ada", &id).await, (424, "TRUCODE_NOT_PAIRED".into()));
    phone.pair(&phone.scan(&payload).await.unwrap(), None).await.unwrap();
    assert_eq!(bind("ada", &id).await.0, 204);
    assert!(phone.status().await.unwrap().is_active);
    assert_eq!(bind("ada", &id).await, (409, "USER_ALREADY_BOUND".into()), "even with the very same identifier");
}
