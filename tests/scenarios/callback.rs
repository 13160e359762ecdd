//! The result of a trusonafication with a `callback_url` is posted there until it is accepted.

use std::time::Duration;

use axum::http::StatusCode;
use nodkey_client::{NewTrusonafication, ServiceName, verify_result};
use nodkey_kernel::{jose::hmac_sha256, time::Clock};
use nodkey_mobile_sdk::Decision;
use nodkey_proto::notification::v1::{
    CreateEndpointRequest, DeliveryState, GetDeliveryRequest, ListDeliveriesRequest, RedeliverRequest,
    delivery_service_client::DeliveryServiceClient, endpoint_service_client::EndpointServiceClient,
};

use crate::{
    receiver::receiver,
    world::{Tenant, World, asked},
};

scenarios!(
    an_answer_is_told_to_the_callback_url,
    a_callback_that_fails_is_tried_again_under_the_same_id,
    an_expiry_is_told_although_nobody_asks,
    an_endpoint_is_told_with_a_signature,
);

fn log_in() -> NewTrusonafication {
    NewTrusonafication::user("ada", "log in", "Acme")
}

/// The only delivery of a tenant, once it is in this state.
async fn delivery(tenant: &Tenant, state: DeliveryState) -> nodkey_proto::notification::v1::Delivery {
    let mut deliveries = DeliveryServiceClient::new(tenant.backend.channel(ServiceName::Notification));
    // The outcome is recorded right after the receiver's response.
    tokio::time::timeout(crate::world::PATIENCE, async {
        loop {
            let request = ListDeliveriesRequest { state: state.into(), ..ListDeliveriesRequest::default() };
            let found = deliveries.list_deliveries(request).await.unwrap().into_inner().deliveries;
            if let [one] = &found[..] {
                let request = GetDeliveryRequest { id: one.id.clone() };
                return deliveries.get_delivery(request).await.unwrap().into_inner();
            }
            tokio::task::yield_now().await;
        }
    })
    .await
    .unwrap()
}

async fn an_answer_is_told_to_the_callback_url(world: &World) {
    let tenant = world.tenant().await;
    let phone = tenant.active("ada").await;
    let mut receiving = receiver(Vec::new()).await;
    let id = tenant.backend.create_trusonafication(log_in().callback_url(&receiving.url)).await.unwrap().trusonafication.id;
    let pending = asked(&phone).await;
    phone.respond(&pending, Decision::Accept, None).await.unwrap();
    let told = receiving.next().await;
    assert_eq!((told.body["id"].as_str(), told.body["status"].as_str()), (Some(id.as_str()), Some("ACCEPTED")));
    assert_eq!(told.body["result"]["bound_user_identifier"], "ada");
    assert_eq!(told.headers["content-type"], "application/json; charset=utf-8");
    // Anybody with the deployment's keys can verify that the deployment signed it.
    let jwks = tenant.backend.jwks().await.unwrap();
    let claims = verify_result(told.body["jwt"].as_str().unwrap(), &jwks, &pending.challenge.gateway, &tenant.id).unwrap();
    assert_eq!((claims.sub.as_str(), claims.jti.as_str(), claims.status.as_str()), (id.as_str(), told.id.as_str(), "ACCEPTED"));
    assert_eq!((claims.accepted_level, claims.user_identifier.as_deref()), (Some(2), Some("ada")));
    let delivered = delivery(&tenant, DeliveryState::Succeeded).await;
    assert_eq!((delivered.id.as_str(), delivered.attempts.len(), delivered.attempts[0].status_code), (told.id.as_str(), 1, 204));
    // It can be sent again in any state.
    let mut deliveries = DeliveryServiceClient::new(tenant.backend.channel(ServiceName::Notification));
    deliveries.redeliver(RedeliverRequest { id: delivered.id.clone() }).await.unwrap();
    assert_eq!(receiving.next().await.id, delivered.id);
}

async fn a_callback_that_fails_is_tried_again_under_the_same_id(world: &World) {
    let tenant = world.tenant().await;
    let phone = tenant.active("ada").await;
    let mut receiving = receiver(vec![StatusCode::INTERNAL_SERVER_ERROR]).await;
    tenant.backend.create_trusonafication(log_in().callback_url(&receiving.url)).await.unwrap();
    phone.respond(&asked(&phone).await, Decision::Reject, None).await.unwrap();
    let (first, second) = (receiving.next().await, receiving.next().await);
    assert_eq!((first.id.as_str(), first.text.as_str()), (second.id.as_str(), second.text.as_str()));
    let delivered = delivery(&tenant, DeliveryState::Succeeded).await;
    assert_eq!(delivered.attempts.iter().map(|a| a.status_code).collect::<Vec<_>>(), [500, 204]);
}

async fn an_expiry_is_told_although_nobody_asks(world: &World) {
    let tenant = world.tenant().await;
    tenant.active("ada").await;
    let mut receiving = receiver(Vec::new()).await;
    let past = log_in().expires_at(Clock::system().now() - Duration::from_secs(1)).callback_url(&receiving.url);
    tenant.backend.create_trusonafication(past).await.unwrap();
    assert_eq!(receiving.next().await.body["status"], "EXPIRED");
}

async fn an_endpoint_is_told_with_a_signature(world: &World) {
    let tenant = world.tenant().await;
    let phone = tenant.active("ada").await;
    let mut receiving = receiver(Vec::new()).await;
    let mut endpoints = EndpointServiceClient::new(tenant.backend.channel(ServiceName::Notification));
    let request = CreateEndpointRequest { url: receiving.url.clone(), ..CreateEndpointRequest::default() };
    let secret = endpoints.create_endpoint(request).await.unwrap().into_inner().secret;
    tenant.backend.create_trusonafication(log_in()).await.unwrap();
    phone.respond(&asked(&phone).await, Decision::Accept, None).await.unwrap();
    let told = receiving.next().await;
    let timestamp = told.headers["webhook-timestamp"].to_str().unwrap();
    let key = base64(secret.strip_prefix("whsec_").unwrap());
    let expected = hmac_sha256(&key, format!("{}.{timestamp}.{}", told.id, told.text).as_bytes());
    let given = base64(told.headers["webhook-signature"].to_str().unwrap().split(' ').next().unwrap().strip_prefix("v1,").unwrap());
    assert_eq!(given, expected);
}

/// Decodes standard base64 with the URL-safe decoder.
fn base64(text: &str) -> Vec<u8> {
    nodkey_kernel::jose::b64u_decode(text.trim_end_matches('=').replace('+', "-").replace('/', "_").as_str()).unwrap()
}
