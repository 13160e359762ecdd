//! `DeliveryService.WatchDeliveries` and `nodkey listen`.

use std::time::{Duration, SystemTime};

use axum::http::StatusCode;
use nodkey_client::{
    AuthenticatedChannel, NewTrusonafication, Nodkey as Backend, ReceiptStatus, ServiceName, Webhook, WebhookHeaders, WebhookTrust,
    verify_webhook,
};
use nodkey_kernel::time::{Clock, Timestamp};
use nodkey_proto::{
    convert::timestamp,
    notification::v1::{
        CreateEndpointRequest, CreateEndpointResponse, ListDeliveriesRequest, TestEndpointRequest, UpdateEndpointRequest,
        WatchDeliveriesRequest, WatchDeliveriesResponse, delivery_service_client::DeliveryServiceClient,
        endpoint_service_client::EndpointServiceClient,
    },
};
use serde_json::{Value, json};
use tonic::Streaming;

use super::{Nodkey, command};
use crate::{
    processes::Plan,
    receiver::receiver,
    scenarios::webhook::{create, verify},
    world::{PATIENCE, Tenant, World},
};

scenarios!(
    what_an_endpoint_gets_is_mirrored_with_its_id_body_and_a_signature_that_verifies,
    an_endpoint_need_be_neither_reachable_nor_enabled_and_others_are_left_out,
    a_stream_continues_where_another_broke_off,
    there_is_an_end_to_streams,
    the_command_posts_to_a_handler_and_prints_what_it_answers,
    without_an_endpoint_the_command_says_how_to_make_one,
);

fn deliveries(backend: &Backend) -> DeliveryServiceClient<AuthenticatedChannel> {
    DeliveryServiceClient::new(backend.channel(ServiceName::Notification))
}

async fn watch(backend: &Backend, request: WatchDeliveriesRequest) -> Streaming<WatchDeliveriesResponse> {
    deliveries(backend).watch_deliveries(request).await.unwrap().into_inner()
}

async fn next(stream: &mut Streaming<WatchDeliveriesResponse>) -> WatchDeliveriesResponse {
    tokio::time::timeout(PATIENCE, stream.message()).await.expect("a delivery comes").unwrap().unwrap()
}

/// Ends a trusonafication. Returns its id.
async fn canceled(tenant: &Tenant) -> String {
    let ask = NewTrusonafication::user("ada", "log in", "Acme");
    let id = tenant.backend.create_trusonafication(ask).await.unwrap().trusonafication.id;
    tenant.backend.cancel(&id).await.unwrap();
    id
}

fn id(created: &CreateEndpointResponse) -> String {
    created.endpoint.as_ref().unwrap().id.clone()
}

fn header<'a>(mirrored: &'a WatchDeliveriesResponse, name: &str) -> &'a str {
    &mirrored.headers.iter().find(|field| field.name == name).unwrap_or_else(|| panic!("{name}")).value
}

async fn verified(tenant: &Tenant, secret: &str, mirrored: &WatchDeliveriesResponse) -> Webhook {
    let jwks = tenant.backend.jwks().await.unwrap();
    let [id, timestamp, signature] = ["webhook-id", "webhook-timestamp", "webhook-signature"].map(|name| header(mirrored, name));
    let now = SystemTime::UNIX_EPOCH + Duration::from_secs(Clock::system().now().as_seconds().unsigned_abs());
    let trust = WebhookTrust { key: secret, jwks: &jwks, relying_party: &tenant.id };
    verify_webhook(trust, WebhookHeaders { id, timestamp, signature }, mirrored.body.as_bytes(), now).unwrap()
}

async fn what_an_endpoint_gets_is_mirrored_with_its_id_body_and_a_signature_that_verifies(world: &World) {
    let (tenant, other) = (world.tenant().await, world.tenant().await);
    for tenant in [&tenant, &other] {
        tenant.active("ada").await;
    }
    let mut receiving = receiver(Vec::new()).await;
    let endpoint = create(&tenant, &receiving.url, &["trusonafication.canceled"]).await;
    create(&other, "http://127.0.0.1:1/", &[]).await;
    canceled(&tenant).await;
    let before = receiving.next().await;
    // At the service and at the public address, by the backend and by an operator.
    let request = WatchDeliveriesRequest::default;
    let mut streams = Vec::new();
    for client in [tenant.backend.clone(), tenant.backend_through(&world.one_address()), world.operator(Some(&tenant.id))] {
        streams.push(watch(&client, request()).await);
    }
    canceled(&other).await;
    let trusonafication = canceled(&tenant).await;
    let received = receiving.next().await;
    assert_ne!(before.id, received.id);
    for stream in &mut streams {
        let mirrored = next(stream).await;
        let delivery = mirrored.delivery.clone().unwrap();
        assert_eq!((delivery.id.as_str(), header(&mirrored, "webhook-id")), (received.id.as_str(), received.id.as_str()), "from now on");
        assert_eq!((delivery.event_type.as_str(), delivery.endpoint_id), ("trusonafication.canceled", id(&endpoint)));
        assert_eq!((delivery.trusonafication_id.as_str(), &mirrored.body), (trusonafication.as_str(), &received.text));
        assert_eq!(header(&mirrored, "content-type"), received.headers["content-type"]);
        let trace = |traceparent: &str| traceparent.split('-').nth(1).unwrap().to_owned();
        assert_eq!(trace(header(&mirrored, "traceparent")), trace(received.headers["traceparent"].to_str().unwrap()));
        for key in [&endpoint.secret, &endpoint.endpoint.as_ref().unwrap().public_key] {
            let webhook = verified(&tenant, key, &mirrored).await.result().unwrap();
            assert_eq!((webhook.receipt.status, webhook.receipt.sub.as_str()), (ReceiptStatus::Canceled, trusonafication.as_str()));
        }
        // Within the same second it is the same signature.
        if header(&mirrored, "webhook-timestamp") == received.headers["webhook-timestamp"] {
            assert_eq!(header(&mirrored, "webhook-signature"), received.headers["webhook-signature"]);
        }
    }
    // Notices as well, once.
    let tested = EndpointServiceClient::new(tenant.backend.channel(ServiceName::Notification));
    { tested }.test_endpoint(TestEndpointRequest { id: id(&endpoint) }).await.unwrap();
    for stream in &mut streams {
        let mirrored = next(stream).await;
        assert!(matches!(verified(&tenant, &endpoint.secret, &mirrored).await, Webhook::Notice(_)), "{}", mirrored.body);
    }
}

async fn an_endpoint_need_be_neither_reachable_nor_enabled_and_others_are_left_out(world: &World) {
    let tenant = world.tenant().await;
    tenant.active("ada").await;
    let (one, other) = (create(&tenant, "http://127.0.0.1:1/", &[]).await, create(&tenant, "http://127.0.0.1:1/", &[]).await);
    let mut endpoints = EndpointServiceClient::new(tenant.backend.channel(ServiceName::Notification));
    let off = UpdateEndpointRequest { id: id(&one), enabled: Some(false), ..UpdateEndpointRequest::default() };
    endpoints.update_endpoint(off).await.unwrap();
    let mut of_one = watch(&tenant.backend, WatchDeliveriesRequest { endpoint_id: id(&one), created_after: None }).await;
    let mut of_all = watch(&tenant.backend, WatchDeliveriesRequest::default()).await;
    let mut ended = [canceled(&tenant).await, canceled(&tenant).await];
    ended.sort();
    let mut own = Vec::new();
    for _ in &ended {
        let mirrored = next(&mut of_one).await;
        verified(&tenant, &one.secret, &mirrored).await;
        let delivery = mirrored.delivery.unwrap();
        own.push((delivery.trusonafication_id, delivery.endpoint_id));
    }
    own.sort();
    assert_eq!(own, ended.clone().map(|end| (end, id(&one))));
    let mut all = Vec::new();
    for _ in 0..4 {
        let delivery = next(&mut of_all).await.delivery.unwrap();
        all.push((delivery.trusonafication_id, delivery.endpoint_id));
    }
    all.sort();
    let mut expected: Vec<_> = ended.iter().flat_map(|end| [(end.clone(), id(&one)), (end.clone(), id(&other))]).collect();
    expected.sort();
    assert_eq!(all, expected);
}

async fn a_stream_continues_where_another_broke_off(world: &World) {
    let tenant = world.tenant().await;
    tenant.active("ada").await;
    create(&tenant, "http://127.0.0.1:1/", &[]).await;
    let mut first = watch(&tenant.backend, WatchDeliveriesRequest::default()).await;
    canceled(&tenant).await;
    let known = next(&mut first).await.delivery.unwrap();
    drop(first);
    let mut missed = Vec::new();
    for _ in 0..3 {
        missed.push(canceled(&tenant).await);
    }
    // They are there before the next stream is.
    let created = crate::world::eventually("three more deliveries", async || {
        let listed = deliveries(&tenant.backend).list_deliveries(ListDeliveriesRequest::default()).await.unwrap().into_inner();
        (listed.deliveries.len() == 4).then_some(())
    });
    created.await;
    let created_after = known.created_at;
    let mut second = watch(&tenant.backend, WatchDeliveriesRequest { created_after, ..WatchDeliveriesRequest::default() }).await;
    assert_eq!(next(&mut second).await.delivery.unwrap().id, known.id, "at this time or later");
    let mut continued = Vec::new();
    for _ in &missed {
        continued.push(next(&mut second).await.delivery.unwrap().trusonafication_id);
    }
    missed.sort();
    continued.sort();
    assert_eq!(continued, missed);
    let long_ago = Some(timestamp(Timestamp::from_micros(Clock::system().now().as_micros() - 3_700_000_000)));
    let request = WatchDeliveriesRequest { created_after: long_ago, ..WatchDeliveriesRequest::default() };
    let refused = nodkey_client::Error::from(deliveries(&tenant.backend).watch_deliveries(request).await.unwrap_err());
    assert_eq!((refused.reason.as_str(), refused.field_violations[0].field.as_str()), ("VALIDATION_FAILED", "created_after"));
}

async fn there_is_an_end_to_streams(world: &World) {
    let tenant = world.tenant().await;
    let mut held = Vec::new();
    for _ in 0..4 {
        held.push(watch(&tenant.backend, WatchDeliveriesRequest::default()).await);
    }
    let mut client = deliveries(&tenant.backend);
    let refused = client.watch_deliveries(WatchDeliveriesRequest::default()).await.unwrap_err();
    let refused = nodkey_client::Error::from(refused);
    assert_eq!(refused.reason, "TOO_MANY_STREAMS", "{refused}");
    assert!(refused.retry_after.is_some());
    // Others have their own, and what is given up is free again.
    watch(&world.tenant().await.backend, WatchDeliveriesRequest::default()).await;
    held.pop();
    crate::world::eventually("a stream is free again", async || {
        deliveries(&tenant.backend).watch_deliveries(WatchDeliveriesRequest::default()).await.ok()
    })
    .await;
}

async fn the_command_posts_to_a_handler_and_prints_what_it_answers(world: &World) {
    let tenant = world.tenant().await;
    tenant.active("ada").await;
    // Nobody listens where the endpoint is.
    let endpoint = create(&tenant, "http://127.0.0.1:1/", &["trusonafication.canceled"]).await;
    let mut handler = receiver(vec![StatusCode::NO_CONTENT, StatusCode::IM_A_TEAPOT]).await;
    let arguments = ["listen", "--forward-to", &handler.url];
    let mut listening = Nodkey::start(world, &tenant, &arguments, "forwarding the webhooks").await;
    for status in [204, 418] {
        let trusonafication = canceled(&tenant).await;
        let received = handler.next().await;
        let webhook = verify(&tenant, &endpoint.secret, &received).await.unwrap().result().unwrap();
        assert_eq!(webhook.receipt.sub, trusonafication);
        let line = listening.next().await;
        assert_eq!((&line["id"], &line["status"], &line["error"]), (&json!(received.id), &json!(status), &Value::Null));
        assert_eq!((&line["type"], &line["endpoint_id"]), (&json!("trusonafication.canceled"), &json!(id(&endpoint))));
        assert_eq!(line["subject"], json!(format!("trusonafication/{trusonafication}")));
    }
    // A handler that is away is no reason to end.
    let nowhere = ["listen", "--forward-to", "http://127.0.0.1:1/", "--endpoint", &id(&endpoint)];
    let mut nowhere = Nodkey::start(world, &tenant, &nowhere, "forwarding the webhooks").await;
    for _ in 0..2 {
        canceled(&tenant).await;
        let line = nowhere.next().await;
        assert!(line["status"].is_null() && line["error"].as_str().unwrap().contains("nobody listens there"), "{line}");
    }
}

async fn without_an_endpoint_the_command_says_how_to_make_one(world: &World) {
    let tenant = world.tenant().await;
    let (mut nodkey, _place) = command(world, &tenant);
    let refused = nodkey.args(["listen", "--forward-to", "http://127.0.0.1:1/"]).output().unwrap();
    let said = String::from_utf8_lossy(&refused.stderr).into_owned();
    assert!(refused.status.code() == Some(3) && said.contains("nodkey admin endpoints create"), "{said}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn whichever_replica_makes_a_delivery_both_mirror_it_once() {
    let topology = Plan::replicated().run().await;
    let tenant = topology.world.tenant().await;
    tenant.active("ada").await;
    let request = CreateEndpointRequest { url: "http://127.0.0.1:1/".to_owned(), ..CreateEndpointRequest::default() };
    EndpointServiceClient::new(tenant.backend.channel(ServiceName::Notification)).create_endpoint(request).await.unwrap();
    let mut streams = Vec::new();
    for replica in 0..2 {
        streams.push(watch(&tenant.backend_at(&topology.replica(replica)), WatchDeliveriesRequest::default()).await);
    }
    let mut ended = Vec::new();
    for _ in 0..20 {
        ended.push(canceled(&tenant).await);
    }
    ended.sort();
    for stream in &mut streams {
        let mut mirrored = Vec::new();
        for _ in 0..20 {
            mirrored.push(next(stream).await.delivery.unwrap().trusonafication_id);
        }
        mirrored.sort();
        assert_eq!(mirrored, ended);
    }
}
