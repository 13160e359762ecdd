//! The weaker factor never replaces the stronger: a key that nobody vouched for proves no more than the device key, whoever added it.

use nodkey_client::{NewTrusonafication, ServiceName};
use nodkey_kernel::{jose::PrivateKey, key_statement::sign_key_statement};
use nodkey_mobile_sdk::{Decision, PresenceKind};
use nodkey_proto::{
    registry::v1::{ApproveDeviceKeysRequest, Device, device_service_client::DeviceServiceClient},
    trusonafication::v1::Status,
};
use reqwest::Method;
use serde_json::{Value, json};

use super::key_statements::{ByHand, key, refused};
use crate::{
    http::{backend, phone},
    software::{software, store},
    world::{SoftPhone, Tenant, World, asked},
};

scenarios!(
    whoever_has_the_device_key_alone_puts_no_key_in_place_that_counts,
    a_key_that_a_counting_one_vouched_for_counts,
    the_backend_approves_a_key_and_it_counts_from_then_on,
    a_key_that_proved_itself_is_one_devices,
    a_device_key_is_never_changed,
    keys_of_a_first_registration_count_and_are_told_with_their_thumbprints,
    our_own_phones_have_the_old_key_vouch_for_the_new_one_and_say_which_do_not_count,
);

/// The status of a level-2 challenge accepted by this phone.
async fn accepts_as(tenant: &Tenant, phone: &SoftPhone) -> Status {
    let created = tenant.backend.create_trusonafication(NewTrusonafication::user("ada", "log in", "Acme").level(2)).await.unwrap();
    phone.respond(&asked(phone).await, Decision::Accept, None).await.unwrap();
    tenant.backend.trusonafication(&created.trusonafication.id).await.unwrap().status()
}

/// Whether the device's only presence key counts.
fn counts(device: &Device) -> bool {
    let [key] = device.presence_keys.as_slice() else { panic!("it has one") };
    key.counts.unwrap()
}

async fn registered<'a>(world: &'a World, tenant: &'a Tenant) -> ByHand<'a> {
    let by_hand = ByHand::new(world, tenant);
    assert_eq!(by_hand.register().await.0.status, 201);
    tenant.activate("ada", &by_hand.phone(&by_hand.presence)).await;
    by_hand
}

/// Replaces the biometric key, with all signatures that an attacker with the device key and this key can make.
async fn swap(by_hand: &ByHand<'_>, next: &PrivateKey, more: &[&PrivateKey]) {
    let claims = by_hand.claims(next).await;
    let signatures: Vec<_> = more.iter().chain(&[next]).map(|key| sign_key_statement(&claims, key)).collect();
    let replaced = by_hand.replace(next, Some(&sign_key_statement(&claims, &by_hand.device)), &signatures).await;
    assert_eq!(replaced.status, 200, "{}", replaced.body);
}

async fn whoever_has_the_device_key_alone_puts_no_key_in_place_that_counts(world: &World) {
    let tenant = world.tenant().await;
    let by_hand = registered(world, &tenant).await;
    assert_eq!(accepts_as(&tenant, &by_hand.phone(&by_hand.presence)).await, Status::Accepted);
    // Without a statement, with one, and repeatedly.
    let (one, two, three) = (key(), key(), key());
    assert_eq!(by_hand.replace(&one, None, &[]).await.status, 200);
    assert!(!counts(&by_hand.stored().await));
    assert_eq!(accepts_as(&tenant, &by_hand.phone(&one)).await, Status::AcceptedAtLowerLevel);
    for next in [&two, &three] {
        swap(&by_hand, next, &[]).await;
        assert!(!counts(&by_hand.stored().await));
    }
    swap(&by_hand, &one, &[&three]).await;
    assert!(!counts(&by_hand.stored().await), "one that does not count vouches for nothing");
    assert_eq!(accepts_as(&tenant, &by_hand.phone(&one)).await, Status::AcceptedAtLowerLevel, "nobody is locked out");
    // Registering once more does not count as the first registration.
    let mut by_hand = by_hand;
    by_hand.presence = two;
    let (again, _) = by_hand.register().await;
    assert_eq!((again.status, &again.body["presence_keys"][0]["counts"]), (200, &json!(false)), "{}", again.body);
}

async fn a_key_that_a_counting_one_vouched_for_counts(world: &World) {
    let tenant = world.tenant().await;
    let by_hand = registered(world, &tenant).await;
    let next = key();
    swap(&by_hand, &next, &[&by_hand.presence]).await;
    assert!(counts(&by_hand.stored().await));
    assert_eq!(accepts_as(&tenant, &by_hand.phone(&next)).await, Status::Accepted);
}

async fn the_backend_approves_a_key_and_it_counts_from_then_on(world: &World) {
    let (tenant, other) = (world.tenant().await, world.tenant().await);
    let by_hand = registered(world, &tenant).await;
    let next = key();
    assert_eq!(by_hand.replace(&next, None, &[]).await.status, 200);
    let mut devices = DeviceServiceClient::new(tenant.backend.channel(ServiceName::Registry));
    let request = |thumbprints: &[String]| ApproveDeviceKeysRequest { device_id: by_hand.id(), thumbprints: thumbprints.to_vec() };
    let reason = |status| nodkey_client::Error::from(status).reason;
    let jkt = next.public().thumbprint();
    for (thumbprints, expected) in [
        (vec![by_hand.presence.public().thumbprint()], "NO_SUCH_PRESENCE_KEY"),
        (vec![by_hand.id()], "NO_SUCH_PRESENCE_KEY"),
        (vec![jkt.clone(), key().public().thumbprint()], "NO_SUCH_PRESENCE_KEY"),
        (vec![], "VALIDATION_FAILED"),
        (vec![jkt.clone(); 3], "VALIDATION_FAILED"),
    ] {
        assert_eq!(reason(devices.approve_device_keys(request(&thumbprints)).await.unwrap_err()), expected, "{thumbprints:?}");
    }
    let mut others = DeviceServiceClient::new(other.backend.channel(ServiceName::Registry));
    assert_eq!(reason(others.approve_device_keys(request(std::slice::from_ref(&jkt))).await.unwrap_err()), "NOT_FOUND");
    let before = by_hand.stored().await;
    assert!(!counts(&before));
    let approved = devices.approve_device_keys(request(std::slice::from_ref(&jkt))).await.unwrap().into_inner();
    assert!(counts(&approved));
    assert_eq!(accepts_as(&tenant, &by_hand.phone(&next)).await, Status::Accepted);
    // The same over HTTP, repeated.
    let (path, body) = (format!("/api/v2/devices/{}/key_approvals", by_hand.id()), json!({"thumbprints": [jkt]}).to_string());
    let again = backend(&world.http, &tenant.server, Method::POST, &path, &body).await;
    assert_eq!((again.status, &again.body["presence_keys"][0]["counts"]), (200, &json!(true)), "{}", again.body);
    assert_eq!(by_hand.stored().await, approved, "again changes nothing");
    let unknown = backend(&world.http, &tenant.server, Method::POST, &path, r#"{"thumbprints": ["x"]}"#).await;
    refused(&unknown, 422, "NO_SUCH_PRESENCE_KEY");
}

async fn a_key_that_proved_itself_is_one_devices(world: &World) {
    let tenant = world.tenant().await;
    let by_hand = registered(world, &tenant).await;
    let mut thief = ByHand::new(world, &tenant);
    thief.presence = by_hand.presence.clone();
    // As a named key, or as a signing key.
    refused(&thief.send(&thief.registration(None, &[])).await, 409, "PRESENCE_KEY_IN_USE");
    refused(&thief.register().await.0, 409, "PRESENCE_KEY_IN_USE");
    let own = ByHand::new(world, &tenant);
    assert_eq!(own.register().await.0.status, 201);
    refused(&own.replace(&by_hand.presence, None, &[]).await, 409, "PRESENCE_KEY_IN_USE");
    assert!(counts(&own.stored().await), "what is refused changes nothing");
    assert_eq!(accepts_as(&tenant, &by_hand.phone(&by_hand.presence)).await, Status::Accepted);
}

async fn a_device_key_is_never_changed(world: &World) {
    let tenant = world.tenant().await;
    let by_hand = registered(world, &tenant).await;
    let (path, before) = (format!("/api/v2/devices/{}", by_hand.id()), by_hand.stored().await);
    for device_key in [key().public().to_value(), by_hand.device.public().to_value(), Value::Bool(true)] {
        let body = json!({"device_key": device_key, "name": "other"}).to_string();
        let answer = phone(&world.http, &by_hand.device, Method::PATCH, &path, &body).await;
        refused(&answer, 422, "DEVICE_KEY_IMMUTABLE");
    }
    let after = by_hand.stored().await;
    assert_eq!((after.name, after.device_key, after.updated_at), (before.name, before.device_key, before.updated_at));
}

async fn keys_of_a_first_registration_count_and_are_told_with_their_thumbprints(world: &World) {
    let tenant = world.tenant().await;
    let by_hand = ByHand::new(world, &tenant);
    // Older phones make no statement.
    let registered = by_hand.send(&by_hand.registration(None, &[])).await;
    assert_eq!(registered.status, 201, "{}", registered.body);
    let held = |body: &Value| {
        let key = &body["presence_keys"][0];
        (key["kind"].clone(), key["thumbprint"].clone(), key["counts"].clone())
    };
    let expected = (json!("biometric"), json!(by_hand.presence.public().thumbprint()), json!(true));
    assert_eq!(held(&registered.body), expected);
    let seen = backend(&world.http, &tenant.server, Method::GET, &format!("/api/v2/devices/{}", by_hand.id()), "").await;
    assert_eq!((held(&seen.body), &seen.body["certified"]), (expected, &json!(false)));
    assert!(seen.body["presence_keys"][0]["since"].is_string());
}

async fn our_own_phones_have_the_old_key_vouch_for_the_new_one_and_say_which_do_not_count(world: &World) {
    let tenant = world.tenant().await;
    let (first, second, third) = (key(), key(), key());
    let keys = store(&key(), &[(PresenceKind::Biometric, &first)]);
    let phone = tenant.phone_with(keys.clone());
    assert_eq!(phone.register("phone").await.unwrap().not_counting().count(), 0);
    tenant.activate("ada", &phone).await;

    let renewed = keys.with_new_presence_key(PresenceKind::Biometric, software(&second));
    let phone = tenant.phone_with(renewed.clone());
    // Repeating it has the same result: the gateway no longer knows the old key.
    for _ in 0..2 {
        let device = phone.update_keys().await.unwrap();
        let [held] = device.presence_keys.as_slice() else { panic!("it has one") };
        assert_eq!((held.kind, held.thumbprint.as_str()), (PresenceKind::Biometric, &*second.public().thumbprint()));
        assert!(device.certified && held.counts && held.since.is_some());
    }
    assert_eq!(accepts_as(&tenant, &phone).await, Status::Accepted);
    // A key that the gateway never knew does no harm, not even when the whole phone is registered again.
    let again = tenant.phone_with(renewed.clone().with_former(vec![(PresenceKind::Biometric, software(&key()))]));
    assert_eq!(again.register("phone").await.unwrap().not_counting().count(), 0);

    // The operating system has deleted the key, so nothing can vouch for the next one.
    let lost = renewed.with_new_presence_key(PresenceKind::Biometric, software(&third)).with_former(Vec::new());
    let phone = tenant.phone_with(lost);
    phone.update_keys().await.unwrap();
    let told = phone.status().await.unwrap();
    let not_counting: Vec<_> = told.not_counting().map(|held| held.thumbprint.clone()).collect();
    assert_eq!(not_counting, [third.public().thumbprint()]);
    assert_eq!(accepts_as(&tenant, &phone).await, Status::AcceptedAtLowerLevel);
    let mut devices = DeviceServiceClient::new(tenant.backend.channel(ServiceName::Registry));
    let device_id = phone.device_identifier().to_string();
    devices.approve_device_keys(ApproveDeviceKeysRequest { device_id, thumbprints: not_counting }).await.unwrap();
    assert_eq!(phone.status().await.unwrap().not_counting().count(), 0);
    assert_eq!(accepts_as(&tenant, &phone).await, Status::Accepted);
}
