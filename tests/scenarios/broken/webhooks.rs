//! The secret of an endpoint cannot make a receiver believe a wrong result.

use std::time::{Duration, SystemTime};

use nodkey_client::{InvalidWebhook, WebhookHeaders, WebhookTrust, verify_webhook};
use nodkey_kernel::{
    jose::{Algorithm, PrivateKey, b64u, b64u_decode, hmac_sha256, jws},
    random::Random,
    receipt::RECEIPT_TYP,
    time::Clock,
};
use nodkey_mobile_sdk::Decision as Answer;
use nodkey_proto::{
    notification::v1::{CreateEndpointRequest, endpoint_service_client::EndpointServiceClient},
    trusonafication::v1::{SignResultRequest, trusonafication_service_client::TrusonaficationServiceClient},
};
use serde_json::{Value, json};

use super::{ServiceName, Thief, log_in};
use crate::{
    receiver::receiver,
    world::{World, asked},
};

scenarios!(whoever_has_the_secret_of_an_endpoint_tells_it_of_no_accept_that_was_none);

/// Signs as the notification service does.
fn signed(secret: &str, told: &Value) -> (String, String, String) {
    let (at, body) = (Clock::system().now().as_seconds(), told.to_string());
    let key = secret.strip_prefix("whsec_").unwrap().trim_end_matches('=').replace('+', "-").replace('/', "_");
    let tag = hmac_sha256(&b64u_decode(&key).unwrap(), format!("forged.{at}.{body}").as_bytes());
    (at.to_string(), format!("v1,{}=", b64u(&tag).replace('-', "+").replace('_', "/")), body)
}

async fn whoever_has_the_secret_of_an_endpoint_tells_it_of_no_accept_that_was_none(world: &World) {
    let (tenant, neighbour) = (world.tenant().await, world.tenant().await);
    let mut loot = Vec::new();
    let mut secret = String::new();
    let (mut accepted, mut rejected) = (Value::Null, Value::Null);
    for tenant in [&neighbour, &tenant] {
        let phone = tenant.active("ada").await;
        let mut told = receiver(Vec::new()).await;
        let mut endpoints = EndpointServiceClient::new(tenant.backend.channel(nodkey_client::ServiceName::Notification));
        let request = CreateEndpointRequest { url: told.url.clone(), ..CreateEndpointRequest::default() };
        secret = endpoints.create_endpoint(request).await.unwrap().into_inner().secret;
        for (decision, kept) in [(Answer::Accept, &mut accepted), (Answer::Reject, &mut rejected)] {
            tenant.backend.create_trusonafication(log_in()).await.unwrap();
            phone.respond(&asked(&phone).await, decision, None).await.unwrap();
            *kept = told.next().await.body;
            loot.push(kept["receipt"].clone());
        }
    }
    // Tokens that the service may have signed, and tokens that a thief signs.
    let notification = Thief::all(world, &tenant).find(|thief| thief.name == ServiceName::Notification).unwrap();
    let mut owner = TrusonaficationServiceClient::new(notification.to(ServiceName::Trusonafication));
    let id = accepted["data"]["id"].as_str().unwrap().to_owned();
    let request = SignResultRequest { id, delivery_id: "019ab2f4-0000-7000-8000-000000000000".into() };
    loot.push(json!(owner.sign_result(request).await.unwrap().into_inner().jwt));
    let own = PrivateKey::generate(Algorithm::EdDsa, &Random::system());
    let receipt = jws::Compact::parse(accepted["receipt"].as_str().unwrap()).unwrap();
    let (kid, claims) = (receipt.header().kid.clone(), receipt.unverified_claims::<Value>().unwrap());
    loot.push(json!(jws::sign(RECEIPT_TYP, kid.as_deref(), Some(&own.public()), &claims, &own)));
    loot.push(Value::Null);

    let jwks = tenant.backend.jwks().await.unwrap();
    let take = |told: &Value| {
        let (timestamp, signature, body) = signed(&secret, told);
        let headers = WebhookHeaders { id: "forged", timestamp: &timestamp, signature: &signature };
        let trust = WebhookTrust { key: &secret, jwks: &jwks, relying_party: &tenant.id };
        let now = SystemTime::UNIX_EPOCH + Duration::from_secs(timestamp.parse().unwrap());
        verify_webhook(trust, headers, body.as_bytes(), now)
    };
    // A thief can make up events without a receipt, and those give a receiver no result.
    let notice = json!({"type": "device.retired", "timestamp": "2026-11-25T03:04:05.678Z", "data": {"device_identifier": "d"}});
    assert_eq!(take(&notice).unwrap().result(), None);
    // A thief can sign true results, too.
    assert_eq!(take(&accepted).unwrap().result().unwrap().receipt.sub, accepted["data"]["id"].as_str().unwrap());
    let mut forgeries = Vec::new();
    for (place, value) in
        [("resource", json!("1,000,000 EUR")), ("user_identifier", json!("bob")), ("custom_fields", json!({"to": "thief"}))]
    {
        let mut told = accepted.clone();
        told["data"][place] = value;
        forgeries.push(told);
    }
    // The rejection disguised as an accept, in every form.
    let mut told = rejected.clone();
    told["type"] = accepted["type"].clone();
    forgeries.push(told.clone());
    (told["data"]["status"], told["data"]["result"]) = (accepted["data"]["status"].clone(), accepted["data"]["result"].clone());
    forgeries.push(told);
    for forgery in forgeries {
        for receipt in &loot {
            let told =
                Value::Object(forgery.as_object().unwrap().clone().into_iter().chain([("receipt".into(), receipt.clone())]).collect());
            let refused = take(&told).unwrap_err();
            assert!(!matches!(refused, InvalidWebhook::Signature(_) | InvalidWebhook::Body), "{refused}");
        }
    }
}
