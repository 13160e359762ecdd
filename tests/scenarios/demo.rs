//! Acme Bank: the demo site's backend, which uses only Nodkey's public APIs.

use std::{net::SocketAddr, time::Duration};

use nodkey_client::{Evidence, Expected, verify_evidence};
use nodkey_demo::{Backend, Site};
use nodkey_kernel::{random::Random, time::Clock};
use nodkey_mobile_sdk::{Decision, NumberMatch, RejectReason};
use reqwest::Method;
use serde_json::{Value, json};

use crate::{
    browser::Browser,
    http::Answered,
    world::{SoftPhone, Tenant, World, asked},
};

scenarios!(
    a_phone_is_enrolled_by_a_ticket_and_a_name_is_one_persons,
    whoever_scans_the_code_is_signed_in,
    who_is_asked_by_name_matches_the_number,
    a_transfer_is_signed_as_it_is_and_moves_money_once,
    what_a_browser_asked_is_its_own_alone,
    a_stranger_is_shown_as_one_and_gets_in_by_no_answer,
    the_bank_says_what_is_wrong,
);

/// The bank of a tenant, at an address of its own.
async fn bank(world: &World, tenant: &Tenant) -> String {
    let site = Site::new(Clock::system(), Random::system());
    site.open(Backend {
        nodkey: tenant.backend.clone(),
        gateway: world.http.clone(),
        relying_party_id: tenant.id.clone(),
        mobile_token: tenant.mobile.credential.as_ref().unwrap().token.clone(),
        mobile_secret: tenant.mobile.secret.clone().into(),
    });
    let listener = tokio::net::TcpListener::bind(SocketAddr::from(([127, 0, 0, 1], 0))).await.unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    tokio::spawn(async move { axum::serve(listener, site.routes()).await });
    url
}

fn refused(answer: &Answered) -> (u16, &str) {
    (answer.status, answer.error.as_str())
}

async fn ticket(browser: &mut Browser, user: &str) -> Answered {
    browser.post("/demo/api/enrolments", &json!({"user": user})).await
}

/// Enrols a phone by a ticket.
async fn hand_over(browser: &mut Browser, path: &str, phone: &SoftPhone) -> Answered {
    let jwt = phone.status().await.unwrap().device_identifier_jwt;
    browser.post(path, &json!({"device_identifier_jwt": jwt})).await
}

async fn enrolled(browser: &mut Browser, tenant: &Tenant, user: &str) -> SoftPhone {
    let path = ticket(browser, user).await.body["path"].as_str().unwrap().to_owned();
    let phone = tenant.registered().await;
    assert_eq!(hand_over(browser, &path, &phone).await.status, 204);
    phone
}

/// Creates a code, as any page does.
async fn code(world: &World, site: &Value) -> Value {
    let body = json!({"relying_party_id": site["relying_party_id"]}).to_string();
    let client = reqwest::Client::new().post(format!("{}/api/v2/trucodes", world.http)).header("Content-Type", "application/json");
    crate::http::read(client.body(body).send().await.unwrap()).await.body
}

/// Waits until a request is over.
async fn over(browser: &mut Browser, request: &Answered) -> Value {
    assert_eq!((request.status, &request.body["status"]), (201, &json!("IN_PROGRESS")), "{}", request.body);
    browser.get(&format!("/demo/api/requests/{}?wait=25", request.body["id"].as_str().unwrap())).await.body
}

async fn signed_in(bank: &str, tenant: &Tenant, user: &str) -> (Browser, SoftPhone) {
    let mut browser = Browser::new(bank);
    let phone = enrolled(&mut browser, tenant, user).await;
    let request = browser.post("/demo/api/sign_ins", &json!({"user": user})).await;
    let number = request.body["match_number"].as_str().unwrap().to_owned();
    phone.respond(&asked(&phone).await, Decision::Accept, Some(&number)).await.unwrap();
    assert_eq!(over(&mut browser, &request).await["status"], "ACCEPTED");
    (browser, phone)
}

async fn a_phone_is_enrolled_by_a_ticket_and_a_name_is_one_persons(world: &World) {
    let tenant = world.tenant().await;
    let bank = bank(world, &tenant).await;
    let mut browser = Browser::new(&bank);
    let path = ticket(&mut browser, " Ada ").await.body["path"].as_str().unwrap().to_owned();
    let shown = browser.get(&path).await.body;
    assert_eq!((&shown["user"], &shown["gateway"], &shown["relying_party"]), (&json!("ada"), &json!(world.http), &json!("Acme Bank")));
    let also = ticket(&mut browser, "ada").await.body["path"].as_str().unwrap().to_owned();
    let (phone, other) = (tenant.registered().await, tenant.registered().await);
    assert_eq!(refused(&browser.post(&path, &json!({"device_identifier_jwt": "x"})).await), (422, "VALIDATION_FAILED"));
    let foreign = world.tenant().await.registered().await;
    assert_eq!(refused(&hand_over(&mut browser, &path, &foreign).await), (422, "VALIDATION_FAILED"));
    for _ in 0..2 {
        assert_eq!(hand_over(&mut browser, &path, &phone).await.status, 204);
    }
    assert!(phone.status().await.unwrap().is_active);
    assert_eq!(refused(&hand_over(&mut browser, &also, &other).await), (409, "USER_EXISTS"), "the name is gone meanwhile");
    assert_eq!(refused(&ticket(&mut browser, "ADA").await), (409, "USER_EXISTS"));
    // A signed-in user may add a phone.
    let (mut grace, _) = signed_in(&bank, &tenant, "grace").await;
    enrolled(&mut grace, &tenant, "grace").await;
    assert_eq!(refused(&browser.get("/demo/api/enrolments/x").await), (404, "NOT_FOUND"));
}

async fn whoever_scans_the_code_is_signed_in(world: &World) {
    let tenant = world.tenant().await;
    let bank = bank(world, &tenant).await;
    let mut browser = Browser::new(&bank);
    let phone = enrolled(&mut browser, &tenant, "ada").await;
    let site = browser.get("/demo/api/site").await.body;
    let code = code(world, &site).await;
    phone.pair(&phone.scan(code["payload"].as_str().unwrap()).await.unwrap(), None).await.unwrap();
    let request = browser.post("/demo/api/sign_ins", &json!({"trucode_id": code["id"]})).await;
    assert_eq!(request.body.get("match_number"), None);
    assert_eq!(browser.get("/demo/api/session").await.body, json!({"session": null}));
    let pending = asked(&phone).await;
    assert_eq!((pending.challenge.action.as_str(), pending.challenge.resource.as_str()), ("sign in", "Acme Bank"));
    phone.respond(&pending, Decision::Accept, None).await.unwrap();
    assert_eq!(over(&mut browser, &request).await["accepted_level"], 2);
    let session = browser.get("/demo/api/session").await.body["session"].clone();
    assert_eq!((&session["user"], &session["balance"]), (&json!("ada"), &json!("2500.00")));
    assert_eq!(session["device_identifier"], phone.device_identifier().as_str());
    assert_eq!(browser.send(browser.request(Method::DELETE, "/demo/api/session")).await.status, 204);
    assert_eq!(browser.get("/demo/api/session").await.body, json!({"session": null}));
    // The same accept does not sign anybody in again.
    over(&mut browser, &request).await;
    assert_eq!(browser.get("/demo/api/session").await.body, json!({"session": null}));
}

async fn who_is_asked_by_name_matches_the_number(world: &World) {
    let tenant = world.tenant().await;
    let bank = bank(world, &tenant).await;
    let mut browser = Browser::new(&bank);
    let phone = enrolled(&mut browser, &tenant, "ada").await;
    let sign_in = json!({"user": "Ada"});
    let request = browser.post("/demo/api/sign_ins", &sign_in).await;
    let pending = asked(&phone).await;
    let number = request.body["match_number"].as_str().unwrap();
    assert_eq!(pending.challenge.number_match, Some(NumberMatch::Enter { digits: 6 }));
    let wrong = if number == "123456" { "123457" } else { "123456" };
    phone.respond(&pending, Decision::Accept, Some(wrong)).await.unwrap();
    let rejected = over(&mut browser, &request).await;
    assert_eq!((&rejected["status"], &rejected["reject_reason"]), (&json!("REJECTED"), &json!("number_mismatch")));
    let request = browser.post("/demo/api/sign_ins", &sign_in).await;
    phone.reject(&asked(&phone).await, RejectReason::NotMe).await.unwrap();
    assert_eq!(over(&mut browser, &request).await["reject_reason"], "not_me");
    let request = browser.post("/demo/api/sign_ins", &sign_in).await;
    let path = format!("/demo/api/requests/{}", request.body["id"].as_str().unwrap());
    assert_eq!(browser.send(browser.request(Method::DELETE, &path)).await.status, 204);
    assert_eq!(over(&mut browser, &request).await["status"], "CANCELED");
    assert_eq!(browser.get("/demo/api/session").await.body, json!({"session": null}));
}

async fn a_transfer_is_signed_as_it_is_and_moves_money_once(world: &World) {
    let tenant = world.tenant().await;
    let bank = bank(world, &tenant).await;
    let (mut browser, phone) = signed_in(&bank, &tenant, "ada").await;
    let request = browser.post("/demo/api/transfers", &json!({"payee": "Grace Hopper", "amount": "90.00"})).await;
    let pending = asked(&phone).await;
    assert_eq!(pending.challenge.action, "transfer 90.00 EUR to Grace Hopper");
    phone.respond(&pending, Decision::Accept, None).await.unwrap();
    for _ in 0..2 {
        assert_eq!(over(&mut browser, &request).await["status"], "ACCEPTED");
    }
    assert_eq!(browser.get("/demo/api/session").await.body["session"]["balance"], "2410.00");
    let path = format!("/demo/api/requests/{}/evidence", request.body["id"].as_str().unwrap());
    let evidence: Evidence = serde_json::from_value(browser.get(&path).await.body).unwrap();
    let expected = Expected::accept().user("ada").device(phone.device_identifier().as_str());
    let verified = verify_evidence(&evidence, &tenant.backend.jwks().await.unwrap(), &expected).unwrap();
    assert_eq!(verified.challenge.act, "transfer 90.00 EUR to Grace Hopper");
}

async fn a_stranger_is_shown_as_one_and_gets_in_by_no_answer(world: &World) {
    let tenant = world.tenant_of("Acme Bank", false).await;
    let bank = bank(world, &tenant).await;
    let mut browser = Browser::new(&bank);
    let phone = enrolled(&mut browser, &tenant, "ada").await;
    let stranger = json!({"stranger_as": "ada"});
    let request = browser.post("/demo/api/sign_ins", &stranger).await;
    let pending = asked(&phone).await;
    assert_eq!(pending.challenge.request_context.as_ref().unwrap().describe(), "Chrome on Windows, Far away, 198.51.100.66");
    phone.respond(&pending, Decision::Accept, request.body["match_number"].as_str()).await.unwrap();
    assert_eq!(over(&mut browser, &request).await["status"], "ACCEPTED");
    assert_eq!(browser.get("/demo/api/session").await.body, json!({"session": null}));
    // Three prompts are sent. The fourth is refused with the time to try again.
    for _ in 0..3 {
        assert_eq!(browser.post("/demo/api/sign_ins", &stranger).await.status, 201);
    }
    let paused = browser.post("/demo/api/sign_ins", &stranger).await;
    assert_eq!(refused(&paused), (429, "PROMPT_BUDGET_EXHAUSTED"));
    assert!(paused.retry_after.unwrap() > 0);
    let shown = phone.wait(Duration::ZERO).await.unwrap();
    phone.reject(&shown[0], RejectReason::NotMe).await.unwrap();
    assert_eq!(refused(&browser.post("/demo/api/sign_ins", &stranger).await), (429, "PROMPTS_HELD"));
}

async fn what_a_browser_asked_is_its_own_alone(world: &World) {
    let tenant = world.tenant().await;
    let bank = bank(world, &tenant).await;
    let mut browser = Browser::new(&bank);
    let phone = enrolled(&mut browser, &tenant, "ada").await;
    let request = browser.post("/demo/api/sign_ins", &json!({"user": "ada"})).await;
    phone.respond(&asked(&phone).await, Decision::Accept, request.body["match_number"].as_str()).await.unwrap();
    let path = format!("/demo/api/requests/{}", request.body["id"].as_str().unwrap());
    let mut stranger = Browser::new(&bank);
    for path in [&path, &format!("{path}/evidence")] {
        assert_eq!(refused(&stranger.get(path).await), (404, "NOT_FOUND"));
    }
    assert_eq!(refused(&stranger.send(stranger.request(Method::DELETE, &path)).await), (404, "NOT_FOUND"));
    assert_eq!(stranger.get("/demo/api/session").await.body, json!({"session": null}));
}

async fn the_bank_says_what_is_wrong(world: &World) {
    let tenant = world.tenant().await;
    let bank = bank(world, &tenant).await;
    let mut browser = Browser::new(&bank);
    let transfer = json!({"payee": "Grace", "amount": "1.00"});
    assert_eq!(refused(&browser.post("/demo/api/transfers", &transfer).await), (401, "NOT_SIGNED_IN"));
    assert_eq!(refused(&browser.post("/demo/api/sign_ins", &json!({"user": "nobody"})).await), (422, "USER_HAS_NO_ACTIVE_DEVICE"));
    assert_eq!(refused(&browser.post("/demo/api/sign_ins", &json!({"user": "a b"})).await), (422, "VALIDATION_FAILED"));
    assert_eq!(refused(&browser.post("/demo/api/sign_ins", &json!({})).await), (400, "MALFORMED_JSON"));
    let stranger = tenant.registered().await;
    let code = code(world, &browser.get("/demo/api/site").await.body).await;
    stranger.pair(&stranger.scan(code["payload"].as_str().unwrap()).await.unwrap(), None).await.unwrap();
    let unbound = browser.post("/demo/api/sign_ins", &json!({"trucode_id": code["id"]})).await;
    assert_eq!(refused(&unbound), (422, "DEVICE_HAS_NO_ACTIVE_BINDING"));
    let (mut ada, _) = signed_in(&bank, &tenant, "ada").await;
    for (payee, amount, field) in [("Grace", "0", "amount"), ("Grace", "9999.00", "amount"), ("", "1.00", "payee")] {
        let refusal = ada.post("/demo/api/transfers", &json!({"payee": payee, "amount": amount})).await;
        assert!(refusal.status == 422 && refusal.body["field_errors"].get(field).is_some(), "{payee} {amount}: {}", refusal.body);
    }
    assert_eq!(refused(&ada.get("/demo/api/requests/x?wait=x").await), (422, "VALIDATION_FAILED"));
    // A bank that has not opened.
    let closed = Site::new(Clock::system(), Random::system()).routes();
    let listener = tokio::net::TcpListener::bind(SocketAddr::from(([127, 0, 0, 1], 0))).await.unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    tokio::spawn(async move { axum::serve(listener, closed).await });
    assert_eq!(refused(&Browser::new(&url).get("/demo/api/site").await), (503, "CLOSED"));
}
