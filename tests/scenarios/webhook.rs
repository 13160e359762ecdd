//! Endpoints of a relying party: signed, filtered, disabled and enabled, with failures recorded.

use std::{
    collections::VecDeque,
    time::{Duration, SystemTime},
};

use axum::http::StatusCode;
use nodkey_client::{
    AuthenticatedChannel, InvalidWebhook, NewTrusonafication, ReceiptStatus, ServiceName, Webhook, WebhookHeaders, WebhookTrust,
    verify_webhook,
};
use nodkey_kernel::{
    challenge::Decision as SignedDecision,
    time::{Clock, Timestamp},
};
use nodkey_mobile_sdk::Decision;
use nodkey_proto::{
    convert::timestamp,
    notification::v1::{
        CreateEndpointRequest, CreateEndpointResponse, Delivery, DeliveryState, DisabledReason, Endpoint, EventTypes, GetDeliveryRequest,
        GetEndpointRequest, ListDeliveriesRequest, RedeliverManyRequest, RedeliverRequest, RotateEndpointKeysRequest, TestEndpointRequest,
        UpdateEndpointRequest, delivery_service_client::DeliveryServiceClient, endpoint_service_client::EndpointServiceClient,
    },
    registry::v1::{DisableRelyingPartyRequest, relying_party_service_client::RelyingPartyServiceClient},
};
use reqwest::Method;

use crate::{
    http,
    receiver::{Callback, Reply, receiver, replying},
    world::{PATIENCE, SoftPhone, Tenant, World, asked, eventually},
};

scenarios!(
    an_endpoint_is_told_what_it_asked_for_and_verifies_it_by_either_key,
    every_end_is_told_with_a_receipt_that_verifies,
    while_keys_are_exchanged_holders_of_either_verify,
    a_second_exchange_leaves_the_secret_of_a_receiver_good_and_one_too_many_is_refused,
    a_receiver_that_leaves_its_answers_open_holds_up_nothing,
    a_relying_party_that_was_disabled_is_told_nothing_any_more,
    an_endpoint_that_is_gone_is_disabled_and_what_it_missed_can_be_sent_later,
    an_endpoint_that_is_off_is_told_nothing_and_loses_nothing,
    a_test_is_sent_to_one_endpoint_alone_one_at_a_time_and_to_none_that_is_off,
    what_goes_wrong_at_a_receiver_is_recorded,
    a_receiver_that_never_answers_delays_nobody_else,
    addresses_within_the_network_are_refused_when_they_are_named,
    there_is_an_end_to_endpoints,
);

fn endpoints(tenant: &Tenant) -> EndpointServiceClient<AuthenticatedChannel> {
    EndpointServiceClient::new(tenant.backend.channel(ServiceName::Notification))
}

fn deliveries(tenant: &Tenant) -> DeliveryServiceClient<AuthenticatedChannel> {
    DeliveryServiceClient::new(tenant.backend.channel(ServiceName::Notification))
}

pub(super) async fn create(tenant: &Tenant, url: &str, event_types: &[&str]) -> CreateEndpointResponse {
    let event_types = event_types.iter().map(|&t| t.to_owned()).collect();
    let request = CreateEndpointRequest { url: url.to_owned(), event_types, ..CreateEndpointRequest::default() };
    endpoints(tenant).create_endpoint(request).await.unwrap().into_inner()
}

async fn endpoint(tenant: &Tenant, id: &str) -> Endpoint {
    endpoints(tenant).get_endpoint(GetEndpointRequest { id: id.to_owned() }).await.unwrap().into_inner()
}

async fn switch(tenant: &Tenant, id: &str, enabled: bool) -> Endpoint {
    let request = UpdateEndpointRequest { id: id.to_owned(), enabled: Some(enabled), ..UpdateEndpointRequest::default() };
    endpoints(tenant).update_endpoint(request).await.unwrap().into_inner()
}

/// Ends a trusonafication, so that endpoints get an event. Returns its id.
async fn canceled(tenant: &Tenant) -> String {
    let ask = NewTrusonafication::user("ada", "log in", "Acme");
    let id = tenant.backend.create_trusonafication(ask).await.unwrap().trusonafication.id;
    tenant.backend.cancel(&id).await.unwrap();
    id
}

async fn accepted(tenant: &Tenant, phone: &SoftPhone) -> String {
    let ask = NewTrusonafication::user("ada", "log in", "Acme");
    let id = tenant.backend.create_trusonafication(ask).await.unwrap().trusonafication.id;
    phone.respond(&asked(phone).await, Decision::Accept, None).await.unwrap();
    id
}

/// The delivery about a trusonafication, once it is in this state.
async fn delivery(tenant: &Tenant, trusonafication: &str, ready: impl Fn(&Delivery) -> bool) -> Delivery {
    let mut client = deliveries(tenant);
    // The outcome is recorded right after the receiver's response.
    tokio::time::timeout(PATIENCE, async {
        loop {
            let request = ListDeliveriesRequest { trusonafication_id: trusonafication.to_owned(), ..ListDeliveriesRequest::default() };
            let found = client.list_deliveries(request).await.unwrap().into_inner().deliveries;
            if let Some(one) = found.first().filter(|d| ready(d)) {
                return client.get_delivery(GetDeliveryRequest { id: one.id.clone() }).await.unwrap().into_inner();
            }
            tokio::task::yield_now().await;
        }
    })
    .await
    .unwrap()
}

pub(super) async fn verify(tenant: &Tenant, key: &str, told: &Callback) -> Result<Webhook, InvalidWebhook> {
    let jwks = tenant.backend.jwks().await.unwrap();
    let since = Clock::system().now().as_seconds().unsigned_abs();
    let now = SystemTime::UNIX_EPOCH + Duration::from_secs(since);
    let header = |name: &str| told.headers[name].to_str().unwrap();
    let headers = WebhookHeaders { id: &told.id, timestamp: header("webhook-timestamp"), signature: header("webhook-signature") };
    verify_webhook(WebhookTrust { key, jwks: &jwks, relying_party: &tenant.id }, headers, told.text.as_bytes(), now)
}

async fn an_endpoint_is_told_what_it_asked_for_and_verifies_it_by_either_key(world: &World) {
    let tenant = world.tenant().await;
    let phone = tenant.active("ada").await;
    let mut receiving = receiver(Vec::new()).await;
    let created = create(&tenant, &receiving.url, &["trusonafication.accepted"]).await;
    canceled(&tenant).await;
    let id = accepted(&tenant, &phone).await;
    let told = receiving.next().await;
    for key in [&created.secret, &created.endpoint.unwrap().public_key] {
        let webhook = verify(&tenant, key, &told).await.unwrap().result().unwrap();
        assert_eq!((webhook.event_type.as_str(), webhook.id.as_str()), ("trusonafication.accepted", told.id.as_str()));
        assert_eq!((webhook.data["id"].as_str(), webhook.data["status"].as_str()), (Some(id.as_str()), Some("ACCEPTED")));
        let receipt = webhook.receipt;
        assert_eq!(
            (receipt.sub.as_str(), receipt.user.as_deref(), receipt.dev.as_deref()),
            (&*id, Some("ada"), Some(phone.device_identifier().as_str()))
        );
    }
    assert!(receiving.is_quiet(), "nothing else was asked for");
    delivery(&tenant, &id, |d| d.state() == DeliveryState::Succeeded).await;
}

async fn every_end_is_told_with_a_receipt_that_verifies(world: &World) {
    let tenant = world.tenant().await;
    let phone = tenant.active("ada").await;
    let mut receiving = receiver(Vec::new()).await;
    let secret = create(&tenant, &receiving.url, &[]).await.secret;
    // With everything that can be spelled in two ways.
    let ask = r#"{"user_identifier": "ada", "action": "é \u0026 \/", "resource": "Acme", "custom_fields": {"n": 1.50, "b": {"\u00e9": "\u007f"}, "a": [1e3]}}"#;
    for (decision, signed) in [(Decision::Accept, SignedDecision::Accept), (Decision::Reject, SignedDecision::Reject)] {
        let created = http::backend(&world.http, &tenant.server, Method::POST, "/api/v2/trusonafications", ask).await;
        assert_eq!(created.status, 201, "{}", created.body);
        phone.respond(&asked(&phone).await, decision, None).await.unwrap();
        let told = receiving.next().await;
        let webhook = verify(&tenant, &secret, &told).await.unwrap().result().unwrap();
        assert_eq!(webhook.receipt.dec, Some(signed), "{}", told.text);
    }
    canceled(&tenant).await;
    let webhook = verify(&tenant, &secret, &receiving.next().await).await.unwrap().result().unwrap();
    assert_eq!((webhook.event_type.as_str(), webhook.receipt.status), ("trusonafication.canceled", ReceiptStatus::Canceled));
    let past = NewTrusonafication::user("ada", "log in", "Acme").expires_at(long_ago());
    tenant.backend.create_trusonafication(past).await.unwrap();
    let webhook = verify(&tenant, &secret, &receiving.next().await).await.unwrap().result().unwrap();
    assert_eq!((webhook.event_type.as_str(), webhook.receipt.status), ("trusonafication.expired", ReceiptStatus::Expired));
}

async fn while_keys_are_exchanged_holders_of_either_verify(world: &World) {
    let tenant = world.tenant().await;
    tenant.active("ada").await;
    let mut receiving = receiver(Vec::new()).await;
    let first = create(&tenant, &receiving.url, &[]).await;
    let id = first.endpoint.unwrap().id;
    let rotate = async |overlap_seconds| {
        let request = RotateEndpointKeysRequest { id: id.clone(), overlap_seconds, ..RotateEndpointKeysRequest::default() };
        endpoints(&tenant).rotate_endpoint_keys(request).await.unwrap().into_inner()
    };
    let second = rotate(None).await;
    assert!(second.endpoint.unwrap().previous_keys_until.is_some());
    canceled(&tenant).await;
    let told = receiving.next().await;
    assert!(verify(&tenant, &first.secret, &told).await.is_ok() && verify(&tenant, &second.secret, &told).await.is_ok());
    // Leaked secrets: the old ones become invalid immediately.
    let third = rotate(Some(0)).await;
    canceled(&tenant).await;
    let told = receiving.next().await;
    assert!(verify(&tenant, &third.secret, &told).await.is_ok());
    assert!(verify(&tenant, &second.secret, &told).await.is_err() && verify(&tenant, &first.secret, &told).await.is_err());
}

async fn a_second_exchange_leaves_the_secret_of_a_receiver_good_and_one_too_many_is_refused(world: &World) {
    let tenant = world.tenant().await;
    tenant.active("ada").await;
    let mut receiving = receiver(Vec::new()).await;
    let created = create(&tenant, &receiving.url, &[]).await;
    let id = created.endpoint.unwrap().id;
    let rotate = async |overlap_seconds| {
        let request = RotateEndpointKeysRequest { id: id.clone(), overlap_seconds, ..RotateEndpointKeysRequest::default() };
        endpoints(&tenant).rotate_endpoint_keys(request).await.map(tonic::Response::into_inner)
    };
    let mut secrets = vec![created.secret];
    for _ in 0..4 {
        secrets.push(rotate(Some(3_600)).await.unwrap().secret);
    }
    let refused = nodkey_client::Error::from(rotate(Some(3_600)).await.unwrap_err());
    assert_eq!(refused.reason, "TOO_MANY_KEYS", "{refused}");
    canceled(&tenant).await;
    let told = receiving.next().await;
    for secret in &secrets {
        assert!(verify(&tenant, secret, &told).await.is_ok());
    }
    // Without an overlap all of them end, and there is capacity again.
    let alone = rotate(Some(0)).await.unwrap();
    assert!(alone.endpoint.unwrap().previous_keys_until.is_none());
    canceled(&tenant).await;
    let told = receiving.next().await;
    for secret in &secrets {
        assert!(verify(&tenant, secret, &told).await.is_err());
    }
    assert!(verify(&tenant, &alone.secret, &told).await.is_ok());
    assert!(rotate(Some(3_600)).await.is_ok());
}

async fn a_receiver_that_leaves_its_answers_open_holds_up_nothing(world: &World) {
    let tenant = world.tenant().await;
    tenant.active("ada").await;
    let mut receiving = replying(VecDeque::new(), Reply::Open).await;
    create(&tenant, &receiving.url, &["trusonafication.canceled"]).await;
    // The longest that an attempt may take.
    tokio::time::timeout(PATIENCE, async {
        for _ in 0..4 {
            let id = canceled(&tenant).await;
            receiving.next().await;
            let taken = delivery(&tenant, &id, |d| d.state() == DeliveryState::Succeeded).await;
            assert_eq!((taken.attempts[0].status_code, taken.attempts[0].response.as_str()), (200, "taken"));
        }
    })
    .await
    .unwrap();
}

async fn a_relying_party_that_was_disabled_is_told_nothing_any_more(world: &World) {
    let tenant = world.tenant().await;
    tenant.active("ada").await;
    let mut failing = replying(VecDeque::new(), Reply::Status(StatusCode::SERVICE_UNAVAILABLE, "")).await;
    let id = create(&tenant, &failing.url, &[]).await.endpoint.unwrap().id;
    let waiting = canceled(&tenant).await;
    failing.next().await;
    delivery(&tenant, &waiting, |d| d.attempt_count == 1).await;
    let operator = world.operator(Some(&tenant.id));
    let mut parties = RelyingPartyServiceClient::new(world.operator(None).channel(ServiceName::Registry));
    parties.disable_relying_party(DisableRelyingPartyRequest { id: tenant.id.clone() }).await.unwrap();
    let of_operator = EndpointServiceClient::new(operator.channel(ServiceName::Notification));
    eventually("its endpoint is off", async || {
        let found = of_operator.clone().get_endpoint(GetEndpointRequest { id: id.clone() }).await.unwrap().into_inner();
        (!found.enabled).then_some(())
    })
    .await;
    let request = ListDeliveriesRequest { trusonafication_id: waiting, ..ListDeliveriesRequest::default() };
    let listed =
        DeliveryServiceClient::new(operator.channel(ServiceName::Notification)).list_deliveries(request).await.unwrap().into_inner();
    assert!(listed.deliveries.iter().all(|d| d.state() == DeliveryState::Exhausted), "{listed:?}");
}

async fn an_endpoint_that_is_gone_is_disabled_and_what_it_missed_can_be_sent_later(world: &World) {
    let began = Clock::system().now();
    let tenant = world.tenant().await;
    tenant.active("ada").await;
    let mut receiving = receiver(vec![StatusCode::GONE]).await;
    let id = create(&tenant, &receiving.url, &[]).await.endpoint.unwrap().id;
    let first = canceled(&tenant).await;
    receiving.next().await;
    let exhausted = delivery(&tenant, &first, |d| d.state() == DeliveryState::Exhausted).await;
    assert_eq!(exhausted.attempts.iter().map(|a| a.status_code).collect::<Vec<_>>(), [410]);
    let off = endpoint(&tenant, &id).await;
    assert_eq!((off.enabled, off.disabled_reason()), (false, DisabledReason::Gone));
    let second = canceled(&tenant).await;
    assert_eq!(delivery(&tenant, &second, |_| true).await.state(), DeliveryState::Exhausted);

    let many = RedeliverManyRequest { since: Some(timestamp(began)), endpoint_id: id.clone(), ..RedeliverManyRequest::default() };
    let refused = deliveries(&tenant).redeliver_many(many.clone()).await.unwrap_err();
    assert_eq!(nodkey_client::Error::from(refused).reason, "ENDPOINT_DISABLED");
    let refused = deliveries(&tenant).redeliver(RedeliverRequest { id: exhausted.id }).await.unwrap_err();
    assert_eq!(nodkey_client::Error::from(refused).reason, "ENDPOINT_DISABLED");
    assert!(switch(&tenant, &id, true).await.enabled);
    assert_eq!(deliveries(&tenant).redeliver_many(many.clone()).await.unwrap().into_inner().count, 2);
    let told = [receiving.next().await, receiving.next().await].map(|told| told.body["data"]["id"].as_str().unwrap().to_owned());
    assert!(told.contains(&first) && told.contains(&second));
    let done = async |id: &str| delivery(&tenant, id, |d| d.state() == DeliveryState::Succeeded).await;
    assert_eq!((done(&first).await.attempts.len(), done(&second).await.attempts.len()), (2, 1));
    // No delivery is exhausted any more. Successful ones are sent again only on request.
    assert_eq!(deliveries(&tenant).redeliver_many(many.clone()).await.unwrap().into_inner().count, 0);
    let all = RedeliverManyRequest { include_succeeded: true, ..many };
    assert_eq!(deliveries(&tenant).redeliver_many(all).await.unwrap().into_inner().count, 2);
    receiving.next().await;
    receiving.next().await;
}

async fn an_endpoint_that_is_off_is_told_nothing_and_loses_nothing(world: &World) {
    let tenant = world.tenant().await;
    tenant.active("ada").await;
    let (mut old, mut new) = (receiver(Vec::new()).await, receiver(Vec::new()).await);
    let id = create(&tenant, &old.url, &["trusonafication.accepted"]).await.endpoint.unwrap().id;
    let everything = Some(EventTypes::default());
    let request = UpdateEndpointRequest { id: id.clone(), url: Some(new.url.clone()), event_types: everything, enabled: Some(false) };
    let off = endpoints(&tenant).update_endpoint(request).await.unwrap().into_inner();
    assert_eq!((off.disabled_reason(), off.url.as_str()), (DisabledReason::Owner, new.url.as_str()));
    let missed = canceled(&tenant).await;
    let kept = delivery(&tenant, &missed, |_| true).await;
    assert_eq!((kept.state(), kept.attempt_count, kept.endpoint_id.as_str()), (DeliveryState::Exhausted, 0, id.as_str()));
    switch(&tenant, &id, true).await;
    deliveries(&tenant).redeliver(RedeliverRequest { id: kept.id.clone() }).await.unwrap();
    assert_eq!(new.next().await.id, kept.id);
    assert!(old.is_quiet());
}

async fn what_goes_wrong_at_a_receiver_is_recorded(world: &World) {
    let tenant = world.tenant().await;
    tenant.active("ada").await;
    let closed = format!("https://127.0.0.1:{}/", free_port().await);
    let refusing = replying(VecDeque::new(), Reply::Status(StatusCode::BAD_REQUEST, "signature\u{1b}[31m does not verify")).await;
    let redirecting = replying(VecDeque::new(), Reply::Redirect).await;
    let tls = refusing.url.replace("http://", "https://");
    let endless = replying(VecDeque::new(), Reply::Endless).await;
    for (url, state, status, error, response) in [
        (closed.as_str(), DeliveryState::Pending, 0, "no connection: nobody listens there", ""),
        ("https://nowhere.invalid/", DeliveryState::Pending, 0, "no connection: dns error", ""),
        (tls.as_str(), DeliveryState::Pending, 0, "no connection: the other side does not speak TLS", ""),
        (refusing.url.as_str(), DeliveryState::Pending, 400, "", "signature\u{fffd}[31m does not verify"),
        (redirecting.url.as_str(), DeliveryState::Pending, 302, "redirects are not followed", ""),
        (endless.url.as_str(), DeliveryState::Succeeded, 200, "", "xxxx"),
    ] {
        let ask = NewTrusonafication::user("ada", "log in", "Acme").callback_url(url).expires_at(long_ago());
        let id = tenant.backend.create_trusonafication(ask).await.unwrap().trusonafication.id;
        let tried = delivery(&tenant, &id, |d| d.attempt_count == 1).await;
        let attempt = &tried.attempts[0];
        assert_eq!((tried.state(), attempt.status_code), (state, status), "{url}: {}", attempt.error);
        assert!(attempt.error.starts_with(error) && error.is_empty() == attempt.error.is_empty(), "{url}: {}", attempt.error);
        assert!(attempt.response.starts_with(response) && attempt.response.len() <= 1_024, "{url}: {}", attempt.response);
    }
}

async fn a_receiver_that_never_answers_delays_nobody_else(world: &World) {
    let (slow, quick) = (world.tenant().await, world.tenant().await);
    slow.active("ada").await;
    quick.active("ada").await;
    let mut dead = replying(VecDeque::new(), Reply::Never).await;
    let mut neighbour = receiver(Vec::new()).await;
    let mut well = receiver(Vec::new()).await;
    create(&slow, &dead.url, &[]).await;
    create(&slow, &neighbour.url, &[]).await;
    create(&quick, &well.url, &[]).await;
    for _ in 0..30 {
        canceled(&slow).await;
    }
    dead.next().await;
    canceled(&quick).await;
    well.next().await;
    // Nor does the other endpoint of the same relying party.
    for _ in 0..30 {
        neighbour.next().await;
    }
    assert!(dead.waiting() < world.replicas("notification"), "one at a time by each, until it has answered");
}

async fn addresses_within_the_network_are_refused_when_they_are_named(world: &World) {
    let tenant = world.tenant().await;
    tenant.active("ada").await;
    for url in ["https://10.0.0.1/", "https://169.254.169.254/latest/meta-data", "https://[fd00:ec2::254]/", "https://example.com:22/"] {
        let request = CreateEndpointRequest { url: url.to_owned(), ..CreateEndpointRequest::default() };
        let refused = endpoints(&tenant).create_endpoint(request).await.unwrap_err();
        assert_eq!(nodkey_client::Error::from(refused).field_violations[0].field, "url", "{url}");
        let ask = NewTrusonafication::user("ada", "log in", "Acme").callback_url(url);
        let refused = tenant.backend.create_trusonafication(ask).await.unwrap_err();
        assert_eq!(refused.field_violations[0].field, "callback_url", "{url}");
    }
}

async fn there_is_an_end_to_endpoints(world: &World) {
    let tenant = world.tenant().await;
    let mut client = endpoints(&tenant);
    let request = CreateEndpointRequest { url: "https://example.com/hook".into(), ..CreateEndpointRequest::default() };
    for _ in 0..50 {
        client.create_endpoint(request.clone()).await.unwrap();
    }
    let refused = client.create_endpoint(request).await.unwrap_err();
    assert_eq!(nodkey_client::Error::from(refused).reason, "TOO_MANY_ENDPOINTS");
}

fn long_ago() -> Timestamp {
    Clock::system().now() - Duration::from_secs(1)
}

/// A port that nothing listens on.
async fn free_port() -> u16 {
    tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap().local_addr().unwrap().port()
}

async fn a_test_is_sent_to_one_endpoint_alone_one_at_a_time_and_to_none_that_is_off(world: &World) {
    let tenant = world.tenant().await;
    let (mut failing, mut other) = (receiver(vec![StatusCode::INTERNAL_SERVER_ERROR; 2]).await, receiver(Vec::new()).await);
    let id = create(&tenant, &failing.url, &["trusonafication.accepted"]).await.endpoint.unwrap().id;
    create(&tenant, &other.url, &[]).await;
    let test = async || endpoints(&tenant).test_endpoint(TestEndpointRequest { id: id.clone() }).await;
    let first = test().await.unwrap().into_inner();
    assert_eq!(failing.next().await.body["type"], "endpoint.test");
    // It is still to be delivered: the same one, at once.
    let again = test().await.unwrap().into_inner();
    assert_eq!(again.id, first.id);
    assert_eq!(failing.next().await.id, first.id);
    assert!(other.is_quiet());
    switch(&tenant, &id, false).await;
    let refused = test().await.unwrap_err();
    assert_eq!(nodkey_client::Error::from(refused).reason, "ENDPOINT_DISABLED");
}
