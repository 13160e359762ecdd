//! Endpoints that subscribe to them receive the events of devices, bindings and documents, and other endpoints do not.

use std::collections::BTreeMap;

use nodkey_client::{AuthenticatedChannel, NewTrusonafication, ServiceName, Webhook, WebhookNotice};
use nodkey_kernel::key_statement::sign_key_statement;
use nodkey_mobile_sdk::TransferAct;
use nodkey_proto::{
    notification::v1::{
        Delivery, DeliveryState, ListDeliveriesRequest, RedeliverRequest, UpdateEndpointRequest,
        delivery_service_client::DeliveryServiceClient, endpoint_service_client::EndpointServiceClient,
    },
    registry::v1::{ApproveDeviceKeysRequest, RetireDeviceRequest, device_service_client::DeviceServiceClient},
};
use reqwest::Method;
use serde_json::{Value, json};

use super::{
    key_statements::{ByHand, key},
    webhook::{create, verify},
};
use crate::{
    http::phone,
    receiver::{Receiving, receiver},
    world::{Tenant, World, eventually},
};

scenarios!(
    the_life_of_a_device_is_told_to_who_names_it,
    who_names_other_types_is_told_nothing_of_devices,
    a_frozen_user_is_told_with_who_froze_them,
    a_phone_that_hands_its_place_on_is_told_with_both_devices,
    a_notice_is_kept_listed_by_what_it_is_about_and_sent_again,
    what_endpoints_may_name_is_checked,
);

fn deliveries(tenant: &Tenant) -> DeliveryServiceClient<AuthenticatedChannel> {
    DeliveryServiceClient::new(tenant.backend.channel(ServiceName::Notification))
}

/// Waits for the next event, which is not about a trusonafication and has no receipt.
async fn next(tenant: &Tenant, receiving: &mut Receiving, secret: &str) -> WebhookNotice {
    let told = receiving.next().await;
    assert!(told.body.get("receipt").is_none(), "{}", told.text);
    match verify(tenant, secret, &told).await.unwrap() {
        Webhook::Notice(notice) => notice,
        Webhook::Result(result) => panic!("{result:?}"),
    }
}

/// Waits for this many events, by type: different ones arrive in any order.
async fn some(tenant: &Tenant, receiving: &mut Receiving, secret: &str, count: usize) -> BTreeMap<String, Value> {
    let mut notices = BTreeMap::new();
    for _ in 0..count {
        let notice = next(tenant, receiving, secret).await;
        notices.insert(notice.event_type, notice.data);
    }
    notices
}

/// What an event says about the keys of a device, without its version, which increases.
fn keys(told: &Value) -> Value {
    assert!(told["version"].as_i64().unwrap() > 0, "{told}");
    json!({"device_identifier": told["device_identifier"], "certified": told["certified"], "presence_keys": told["presence_keys"]})
}

async fn the_life_of_a_device_is_told_to_who_names_it(world: &World) {
    let (tenant, neighbour) = (world.tenant().await, world.tenant().await);
    let (mut receiving, mut others) = (receiver(Vec::new()).await, receiver(Vec::new()).await);
    create(&neighbour, &others.url, &[]).await;
    let types = ["device.registered", "device.keys_changed", "device.retired", "binding.activated", "identity_document.registered"];
    let secret = create(&tenant, &receiving.url, &types).await.secret;
    let by_hand = ByHand::new(world, &tenant);
    let id = by_hand.id();
    let device = |certified: bool, key: &nodkey_kernel::jose::PrivateKey, counts: bool| {
        let key = json!({"kind": "biometric", "thumbprint": key.public().thumbprint(), "counts": counts});
        json!({"device_identifier": id, "certified": certified, "presence_keys": [key]})
    };
    let next_is = async |receiving: &mut Receiving, event_type: &str| {
        let notice = next(&tenant, receiving, &secret).await;
        assert_eq!(notice.event_type, event_type, "{}", notice.data);
        notice.data
    };

    assert_eq!(by_hand.register().await.0.status, 201);
    assert_eq!(keys(&next_is(&mut receiving, "device.registered").await), device(true, &by_hand.presence, true));
    let binding = tenant.backend.create_binding("ada", &id).await.unwrap();
    tenant.backend.activate_binding(&binding.id).await.unwrap();
    let told = next_is(&mut receiving, "binding.activated").await;
    let expected = json!({
        "id": binding.id, "user_identifier": "ada", "device_identifier": id, "vouched_by": null, "version": told["version"],
    });
    assert_eq!(told, expected);

    // A thief replaces the key; the backend approves it.
    let other = key();
    assert_eq!(by_hand.replace(&other, None, &[]).await.status, 200);
    let told = next_is(&mut receiving, "device.keys_changed").await;
    assert_eq!(keys(&told), device(false, &other, false));
    let mut devices = DeviceServiceClient::new(tenant.backend.channel(ServiceName::Registry));
    let request = ApproveDeviceKeysRequest { device_id: id.clone(), thumbprints: vec![other.public().thumbprint()] };
    devices.approve_device_keys(request).await.unwrap();
    let approved = next_is(&mut receiving, "device.keys_changed").await;
    assert_eq!(keys(&approved), device(false, &other, true));
    assert!(approved["version"].as_i64() > told["version"].as_i64(), "the greater is the later");

    // Neither a name nor a statement about the same keys is a change of keys.
    let path = format!("/api/v2/devices/{id}");
    let claims = by_hand.claims(&other).await;
    let statement = sign_key_statement(&claims, &by_hand.device);
    for body in [json!({"name": "new"}), json!({"app_version": "2"}), json!({"key_statement": statement})] {
        assert_eq!(phone(&world.http, &by_hand.device, Method::PATCH, &path, &body.to_string()).await.status, 200);
    }
    let document = tenant.backend.register_identity_document(&id, "hash of a licence").await.unwrap();
    let told = next_is(&mut receiving, "identity_document.registered").await;
    let expected = json!({
        "id": document.id, "user_identifier": "ada", "device_identifier": id, "type": "AAMVA_DRIVERS_LICENSE", "hash": "hash of a licence",
        "counts": true, "version": told["version"],
    });
    assert_eq!(told, expected);
    devices.retire_device(RetireDeviceRequest { device_id: id.clone() }).await.unwrap();
    assert_eq!(next_is(&mut receiving, "device.retired").await["device_identifier"], json!(id));
    assert!(receiving.is_quiet() && others.is_quiet());
}

async fn who_names_other_types_is_told_nothing_of_devices(world: &World) {
    let tenant = world.tenant().await;
    let (mut results, mut all) = (receiver(Vec::new()).await, receiver(Vec::new()).await);
    create(&tenant, &results.url, &["trusonafication.canceled"]).await;
    let secret = create(&tenant, &all.url, &[]).await.secret;
    let device = tenant.active("ada").await.device_identifier().to_string();
    let told = some(&tenant, &mut all, &secret, 2).await;
    assert_eq!(told.keys().map(String::as_str).collect::<Vec<_>>(), ["binding.activated", "device.registered"]);
    // Deactivating the user retires the devices.
    tenant.backend.deactivate_user("ada").await.unwrap();
    let told = some(&tenant, &mut all, &secret, 1).await;
    assert_eq!(told["device.retired"]["device_identifier"], json!(device));
    assert!(results.is_quiet());
    tenant.active("bob").await;
    let id = tenant.backend.create_trusonafication(NewTrusonafication::user("bob", "log in", "Acme")).await.unwrap().trusonafication.id;
    tenant.backend.cancel(&id).await.unwrap();
    assert_eq!(results.next().await.body["type"], "trusonafication.canceled");
}

async fn a_frozen_user_is_told_with_who_froze_them(world: &World) {
    let tenant = world.tenant().await;
    let device = tenant.active("ada").await.device_identifier().to_string();
    let mut receiving = receiver(Vec::new()).await;
    let secret = create(&tenant, &receiving.url, &["user.frozen"]).await.secret;
    tenant.backend.freeze_user("ada", "a phone was stolen").await.unwrap();
    let notice = next(&tenant, &mut receiving, &secret).await;
    let expected = json!({
        "user_identifier": "ada", "frozen_by": "backend", "frozen_by_device": null, "note": "a phone was stolen",
        "device_identifiers": [device], "version": notice.data["version"],
    });
    assert_eq!((notice.event_type.as_str(), notice.data), ("user.frozen", expected));
}

async fn a_phone_that_hands_its_place_on_is_told_with_both_devices(world: &World) {
    let tenant = world.tenant().await;
    let (old, new) = (tenant.active("ada").await, tenant.registered().await);
    let mut receiving = receiver(Vec::new()).await;
    let secret = create(&tenant, &receiving.url, &["device.replaced"]).await.secret;
    let request = new.transfer_request().await.unwrap();
    old.transfer(&request, TransferAct::Replace).await.unwrap();
    let notice = next(&tenant, &mut receiving, &secret).await;
    let expected = json!({
        "user_identifier": "ada", "device_identifier": new.device_identifier().as_str(), "replaced_device_identifier": old.device_identifier().as_str(),
        "version": notice.data["version"],
    });
    assert_eq!((notice.event_type.as_str(), notice.data), ("device.replaced", expected));
}

async fn a_notice_is_kept_listed_by_what_it_is_about_and_sent_again(world: &World) {
    let tenant = world.tenant().await;
    let mut receiving = receiver(Vec::new()).await;
    create(&tenant, &receiving.url, &["device.registered"]).await;
    let (device, other) = (tenant.registered().await, tenant.registered().await);
    let first = [receiving.next().await, receiving.next().await];
    let subject = format!("device/{}", device.device_identifier().as_str());
    let list = async |subject: &str| -> Vec<Delivery> {
        let request = ListDeliveriesRequest { subject: subject.to_owned(), ..ListDeliveriesRequest::default() };
        deliveries(&tenant).list_deliveries(request).await.unwrap().into_inner().deliveries
    };
    let delivery = eventually("its outcome is recorded", async || {
        let found = list(&subject).await;
        found.into_iter().find(|delivery| delivery.state() == DeliveryState::Succeeded)
    })
    .await;
    assert_eq!((delivery.subject.as_str(), delivery.trusonafication_id.as_str()), (subject.as_str(), ""));
    assert_eq!(list(&format!("device/{}", other.device_identifier().as_str())).await.len(), 1);
    assert!(first.iter().any(|told| told.id == delivery.id));
    deliveries(&tenant).redeliver(RedeliverRequest { id: delivery.id.clone() }).await.unwrap();
    let again = receiving.next().await;
    assert_eq!(again.id, delivery.id, "under the same webhook-id");
    assert!(first.iter().any(|told| told.text == again.text), "to the letter");
    let mut deliveries = deliveries(&tenant);
    for (subject, trusonafication_id) in [("moon/1", ""), ("device/x", ""), (subject.as_str(), "019ab2f4-0000-7000-8000-000000000000")] {
        let (subject, trusonafication_id) = (subject.to_owned(), trusonafication_id.to_owned());
        let request = ListDeliveriesRequest { subject, trusonafication_id, ..ListDeliveriesRequest::default() };
        let refused = nodkey_client::Error::from(deliveries.list_deliveries(request).await.unwrap_err());
        assert_eq!(refused.reason, "VALIDATION_FAILED");
    }
}

async fn what_endpoints_may_name_is_checked(world: &World) {
    let tenant = world.tenant().await;
    let receiving = receiver(Vec::new()).await;
    let created = create(&tenant, &receiving.url, &["device.retired", "trusonafication.accepted"]).await.endpoint.unwrap();
    assert_eq!(created.event_types, ["device.retired", "trusonafication.accepted"]);
    let mut endpoints = EndpointServiceClient::new(tenant.backend.channel(ServiceName::Notification));
    for wrong in ["device", "device.*", "Device.retired", ""] {
        let event_types = Some(nodkey_proto::notification::v1::EventTypes { event_types: vec![wrong.to_owned()] });
        let request = UpdateEndpointRequest { id: created.id.clone(), event_types, ..UpdateEndpointRequest::default() };
        let refused = nodkey_client::Error::from(endpoints.update_endpoint(request).await.unwrap_err());
        assert_eq!(refused.reason, "VALIDATION_FAILED", "{wrong}");
        assert!(refused.to_string().contains("device.retired"), "{refused}");
    }
}
