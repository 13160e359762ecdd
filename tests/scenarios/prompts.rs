//! Others prompt a user as fast as they can, while the user starts logins by themselves.

use std::time::Duration;

use nodkey_client::{Kind, NewTrusonafication, ReceiptReason, ServiceName, is_success};
use nodkey_mobile_sdk::{Decision, RejectReason};
use nodkey_proto::{
    registry::v1::{PromptSettings, UpdateRelyingPartyRequest, relying_party_service_client::RelyingPartyServiceClient},
    trusonafication::v1::{ResetPromptBudgetRequest, Status, prompt_service_client::PromptServiceClient},
};
use reqwest::{Client, Method};
use serde_json::{Value, json};

use super::webhook::{create, verify};
use crate::{
    http,
    receiver::receiver,
    world::{SoftPhone, Tenant, World, eventually},
};

scenarios!(
    a_stolen_credential_rings_a_phone_a_few_times_and_its_user_signs_in_by_code_all_the_while,
    a_refusal_to_prompt_says_when_it_is_over_and_what_to_do_instead,
    whether_prompts_have_a_budget_is_for_operators_to_say,
    it_was_not_me_is_told_and_holds_the_login_session_until_the_backend_releases_it,
);

fn by_name() -> NewTrusonafication {
    NewTrusonafication::user("ada", "log in", "Acme")
}

/// A code scanned by this phone: its id.
pub(super) async fn scan(world: &World, tenant: &Tenant, phone: &SoftPhone) -> String {
    let body = json!({"relying_party_id": tenant.id});
    let made = Client::new().post(format!("{}/api/v2/trucodes", world.http)).json(&body).send().await.unwrap();
    let made: Value = made.json().await.unwrap();
    let scanned = phone.scan(made["payload"].as_str().unwrap()).await.unwrap();
    phone.pair(&scanned, None).await.unwrap();
    made["id"].as_str().unwrap().to_owned()
}

async fn a_stolen_credential_rings_a_phone_a_few_times_and_its_user_signs_in_by_code_all_the_while(world: &World) {
    let tenant = world.tenant_of("Acme", false).await;
    let phone = tenant.active("ada").await;
    let by_device = || NewTrusonafication::device(phone.device_identifier().as_str(), "log in", "Acme");
    let (mut rings, mut refused) = (0, 0);
    for round in 0..5 {
        for n in 0..10 {
            let new = if n % 2 == 0 { by_name() } else { by_device() };
            // Some expire before anybody could answer, and some are canceled immediately.
            let new = if n % 3 == 0 { new.expires_in(Duration::from_secs(1)) } else { new };
            match tenant.backend.create_trusonafication(new).await {
                Ok(created) => {
                    rings += 1;
                    if n == 4 {
                        tenant.backend.cancel(&created.trusonafication.id).await.unwrap();
                    }
                }
                Err(e) => {
                    assert_eq!((e.kind, e.reason.as_str()), (Kind::Exhausted, "PROMPT_BUDGET_EXHAUSTED"));
                    refused += 1;
                }
            }
        }
        // By the code itself, or by the device that scanned it.
        let code = scan(world, &tenant, &phone).await;
        let own = if round % 2 == 0 { NewTrusonafication::trucode(&code, "log in", "Acme") } else { by_device() };
        let id = tenant.backend.create_trusonafication(own).await.unwrap().trusonafication.id;
        let shown = phone.wait(Duration::ZERO).await.unwrap();
        assert_eq!(shown[0].id, id, "it comes first");
        phone.respond(&shown[0], Decision::Accept, None).await.unwrap();
        assert!(is_success(&tenant.backend.wait(&id).await.unwrap()), "one prompt is enough");
    }
    assert!(rings <= 12 && refused >= 38, "{rings} {refused}");
}

async fn a_refusal_to_prompt_says_when_it_is_over_and_what_to_do_instead(world: &World) {
    let tenant = world.tenant_of("Acme", false).await;
    let phone = tenant.active("ada").await;
    let id = tenant.backend.create_trusonafication(by_name()).await.unwrap().trusonafication.id;
    tenant.backend.cancel(&id).await.unwrap();
    let refused = tenant.backend.create_trusonafication(by_name()).await.unwrap_err();
    assert_eq!(refused.kind, Kind::Exhausted);
    let after = refused.retry_after.unwrap();
    assert!(after <= Duration::from_secs(10) && !after.is_zero(), "{after:?}");
    assert!(refused.message.contains("scan a code"), "{refused}");
    // Callers that sign as Trusona's SDKs do get another status: one of those SDKs treats a 429 as no response at all.
    let body = json!({"user_identifier": "ada", "action": "log in", "resource": "Acme"}).to_string();
    let refused = http::backend(&world.http, &tenant.server, Method::POST, "/api/v2/trusonafications", &body).await;
    assert_eq!((refused.status, refused.error.as_str()), (424, "PROMPT_BUDGET_EXHAUSTED"));
    assert!((1..=10).contains(&refused.retry_after.unwrap()), "{:?}", refused.retry_after);
    assert!(refused.body["message"].as_str().unwrap().contains("scan a code"));
    // Users do not affect each other.
    tenant.active("grace").await;
    tenant.backend.create_trusonafication(NewTrusonafication::user("grace", "log in", "Acme")).await.unwrap();
    drop(phone);
}

async fn whether_prompts_have_a_budget_is_for_operators_to_say(world: &World) {
    let tenant = world.tenant_of("Acme", false).await;
    tenant.active("ada").await;
    let request = UpdateRelyingPartyRequest {
        id: tenant.id.clone(),
        prompts: Some(PromptSettings { tolerant: true, ..PromptSettings::default() }),
        ..UpdateRelyingPartyRequest::default()
    };
    let mut own = RelyingPartyServiceClient::new(tenant.backend.channel(ServiceName::Registry));
    assert_eq!(own.update_relying_party(request.clone()).await.unwrap_err().code(), tonic::Code::PermissionDenied);
    for _ in 0..3 {
        tenant.backend.create_trusonafication(by_name()).await.unwrap();
    }
    assert_eq!(tenant.backend.create_trusonafication(by_name()).await.unwrap_err().reason, "PROMPT_BUDGET_EXHAUSTED");
    let mut parties = RelyingPartyServiceClient::new(world.operator(None).channel(ServiceName::Registry));
    let changed = parties.update_relying_party(request).await.unwrap().into_inner();
    assert!(changed.prompts.unwrap().tolerant);
    // The settings of before are remembered for five seconds if nobody hears of the change.
    eventually("the budget is gone", async || tenant.backend.create_trusonafication(by_name()).await.ok()).await;
    for _ in 4..20 {
        tenant.backend.create_trusonafication(by_name()).await.unwrap();
    }
    let refused = tenant.backend.create_trusonafication(by_name()).await.unwrap_err();
    // When the first of them expires, two minutes after it was created.
    let after = refused.retry_after.unwrap();
    assert!(after > Duration::from_secs(1) && after <= Duration::from_mins(2), "{after:?}");
    assert_eq!(refused.reason, "TOO_MANY_PENDING");
}

async fn it_was_not_me_is_told_and_holds_the_login_session_until_the_backend_releases_it(world: &World) {
    let tenant = world.tenant_of("Acme", false).await;
    let phone = tenant.active("ada").await;
    let mut receiving = receiver(Vec::new()).await;
    let endpoint = create(&tenant, &receiving.url, &["trusonafication.reported"]).await;
    let ask = async || tenant.backend.create_trusonafication(by_name().context("session/1")).await;
    let older = ask().await.unwrap().trusonafication.id;
    let newer = ask().await.unwrap().trusonafication;
    assert_eq!(newer.context, "session/1");
    let shown = phone.wait(Duration::ZERO).await.unwrap();
    assert_eq!(shown.iter().map(|pending| pending.id.as_str()).collect::<Vec<_>>(), [newer.id.as_str()]);
    assert_eq!(tenant.backend.trusonafication(&older).await.unwrap().status(), Status::Canceled);
    phone.reject(&shown[0], RejectReason::NotMe).await.unwrap();
    let told = verify(&tenant, &endpoint.secret, &receiving.next().await).await.unwrap().result().unwrap();
    assert_eq!((told.event_type.as_str(), told.data["id"].as_str()), ("trusonafication.reported", Some(newer.id.as_str())));
    assert_eq!((&told.data["result"]["reject_reason"], told.receipt.why), (&json!("not_me"), Some(ReceiptReason::NotMe)));

    let refused = ask().await.unwrap_err();
    assert_eq!((refused.kind, refused.reason.as_str()), (Kind::Exhausted, "PROMPTS_HELD"));
    assert!(refused.retry_after.unwrap() > Duration::from_hours(3));
    let path = "/api/v2/users/ada/prompts";
    let found = http::backend(&world.http, &tenant.server, Method::GET, path, "").await;
    assert_eq!((found.status, &found.body["strikes"], &found.body["holds"][0]["context"]), (200, &json!(2), &json!("session/1")));
    let path = "/api/v2/users/ada/prompt_holds?context=session%2F1";
    assert_eq!(http::backend(&world.http, &tenant.server, Method::DELETE, path, "").await.status, 204);
    assert_eq!(ask().await.unwrap_err().reason, "PROMPT_BUDGET_EXHAUSTED", "that it rang stays");
    // The backend cannot end that, but an operator can.
    let request = || ResetPromptBudgetRequest { user_identifier: "ada".into() };
    let mut own = PromptServiceClient::new(tenant.backend.channel(ServiceName::Trusonafication));
    assert_eq!(own.reset_prompt_budget(request()).await.unwrap_err().code(), tonic::Code::PermissionDenied);
    let operator = world.operator(Some(&tenant.id));
    let left = PromptServiceClient::new(operator.channel(ServiceName::Trusonafication)).reset_prompt_budget(request()).await.unwrap();
    assert_eq!((left.get_ref().strikes, left.get_ref().holds.len()), (0, 0));
    ask().await.unwrap();
}
