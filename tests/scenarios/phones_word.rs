//! Only a phone itself states its keys, and only a user's own phone registers their documents: a service's secrets can do neither in its
//! name. `broken` has the other attacks.

use nodkey_kernel::{
    dpop,
    jose::{Algorithm, PrivateKey},
    random::Random,
    service_key::ServiceName,
    time::Clock,
};
use nodkey_proto::{
    registry::v1::{
        DocumentType, PhoneCall, Platform, PresenceKey, PresenceKind, RegisterDeviceRequest, RegisterIdentityDocumentRequest,
        UpdateDeviceRequest, device_service_client::DeviceServiceClient, identity_document_service_client::IdentityDocumentServiceClient,
    },
    trusonafication::v1::{ListPendingRequest, RespondRequest, Status, trusonafication_service_client::TrusonaficationServiceClient},
};
use serde_json::{Value, json};

use super::broken::{Thief, forged, log_in};
use crate::{
    software::of_device,
    world::{World, asked},
};

scenarios!(no_service_gives_a_phone_another_key_or_a_document, what_a_phone_called_once_changes_nothing_again);

/// A call by a phone, as a thief may have recorded or invented it.
fn called(by: &PrivateKey, world: &World, method: &str, path: &str, body: &Value) -> PhoneCall {
    let body = body.to_string();
    let url = format!("{}{path}", world.http);
    let proof = dpop::create(by, method, &url, body.as_bytes(), Clock::system().now(), &Random::system());
    PhoneCall { proof, body: body.into() }
}

fn biometric(key: &PrivateKey) -> PresenceKey {
    PresenceKey { kind: PresenceKind::Biometric.into(), jwk: key.public().to_value().to_string(), ..PresenceKey::default() }
}

/// The gateway forwards what phones say about themselves, so its secrets allow saying the same in the name of any phone.
async fn no_service_gives_a_phone_another_key_or_a_document(world: &World) {
    let tenant = world.tenant().await;
    let device_key = PrivateKey::generate(Algorithm::Es256, &Random::system());
    let phone = tenant.phone_with(of_device(&device_key));
    phone.register("phone").await.unwrap();
    tenant.activate("ada", &phone).await;
    let id = tenant.backend.create_trusonafication(log_in()).await.unwrap().trusonafication.id;
    let audience = asked(&phone).await.challenge.gateway;
    let device = phone.device_identifier().to_string();
    let before = tenant.backend.device(&device).await.unwrap();
    let own = PrivateKey::generate(Algorithm::Es256, &Random::system());
    let path = format!("/api/v2/devices/{device}");
    let (keys, hash) = (json!([{"kind": "biometric", "jwk": own.public().to_value()}]), "a licence of the thief's");
    for thief in Thief::all(world, &tenant) {
        let mut devices = DeviceServiceClient::new(thief.to(ServiceName::Registry));
        let mut documents = IdentityDocumentServiceClient::new(thief.to(ServiceName::Registry));
        // Without any call of the phone, with a call by the thief, and with a call of the phone about something else.
        let (new_name, new_document) = (json!({"name": "new"}), json!({"type": "AAMVA_DRIVERS_LICENSE", "hash": "of the phone"}));
        let body = json!({"presence_keys": keys, "device_key": device_key.public().to_value()});
        for call in [
            None,
            Some(called(&own, world, "PATCH", &path, &body)),
            Some(called(&device_key, world, "PATCH", &path, &new_name)),
            Some(PhoneCall { body: body.to_string().into(), ..called(&device_key, world, "PATCH", &path, &new_name) }),
        ] {
            let request = UpdateDeviceRequest {
                device_id: device.clone(),
                presence_keys: vec![biometric(&own)],
                call,
                ..UpdateDeviceRequest::default()
            };
            assert!(devices.update_device(request).await.is_err(), "{}", thief.name);
        }
        for call in [
            None,
            Some(called(&own, world, "POST", "/api/v2/devices", &body)),
            Some(called(&device_key, world, "POST", "/api/v2/devices", &new_name)),
            Some(called(&device_key, world, "PATCH", &path, &new_name)),
        ] {
            let request = RegisterDeviceRequest {
                relying_party_id: tenant.id.clone(),
                device_key: device_key.public().to_value().to_string(),
                presence_keys: vec![biometric(&own)],
                platform: Platform::Other.into(),
                call,
                ..RegisterDeviceRequest::default()
            };
            assert!(devices.register_device(request).await.is_err(), "{}", thief.name);
        }
        for call in [
            None,
            Some(called(&own, world, "POST", "/api/v2/identity_documents", &json!({"hash": hash}))),
            Some(called(&device_key, world, "POST", "/api/v2/identity_documents", &new_document)),
        ] {
            let document = DocumentType::AamvaDriversLicense.into();
            let request = RegisterIdentityDocumentRequest { device_id: device.clone(), hash: hash.into(), r#type: document, call };
            assert!(documents.register_identity_document(request).await.is_err(), "{}", thief.name);
        }
        let mut owner = TrusonaficationServiceClient::new(thief.to(ServiceName::Trusonafication));
        let listed = owner.list_pending(ListPendingRequest { device_id: device.clone(), ..ListPendingRequest::default() }).await;
        let challenge = listed.map_or_else(|_| "a.b.c".into(), |listed| listed.into_inner().trusonafications[0].challenge.clone());
        let response = forged(&challenge, &device, &audience, &id, &own);
        assert!(owner.respond(RespondRequest { device_id: device.clone(), response }).await.is_err(), "{}", thief.name);
    }
    assert_eq!(tenant.backend.trusonafication(&id).await.unwrap().status(), Status::InProgress);
    let after = tenant.backend.device(&device).await.unwrap();
    assert_eq!((after.presence_keys, after.key_statement), (before.presence_keys, before.key_statement));
    assert_eq!(after.name, before.name);
}

async fn what_a_phone_called_once_changes_nothing_again(world: &World) {
    let tenant = world.tenant().await;
    let device_key = PrivateKey::generate(Algorithm::Es256, &Random::system());
    let phone = tenant.phone_with(of_device(&device_key));
    phone.register("phone").await.unwrap();
    let device = phone.device_identifier().to_string();
    let path = format!("/api/v2/devices/{device}");
    let gateway = Thief::all(world, &tenant).find(|thief| thief.name == ServiceName::Gateway).unwrap();
    let mut devices = DeviceServiceClient::new(gateway.to(ServiceName::Registry));
    let [first, second] = [(), ()].map(|()| PrivateKey::generate(Algorithm::Es256, &Random::system()));
    let mut change = async |key: &PrivateKey, call: &PhoneCall| {
        let (device_id, call) = (device.clone(), Some(call.clone()));
        devices.update_device(UpdateDeviceRequest { device_id, presence_keys: vec![biometric(key)], call, ..Default::default() }).await
    };
    let call = |key: &PrivateKey| {
        let body = json!({"presence_keys": [{"kind": "biometric", "jwk": key.public().to_value()}]});
        called(&device_key, world, "PATCH", &path, &body)
    };
    let (to_first, to_second) = (call(&first), call(&second));
    change(&first, &to_first).await.unwrap();
    // The response was lost: repeating has the same result.
    change(&first, &to_first).await.unwrap();
    change(&second, &to_second).await.unwrap();
    let refused = nodkey_client::Error::from(change(&first, &to_first).await.unwrap_err());
    assert_eq!(refused.reason, "INVALID_PROOF", "{refused}");
    let now = tenant.backend.device(&device).await.unwrap();
    let [held] = now.presence_keys.as_slice() else { panic!("it has one") };
    assert_eq!(held.jwk, biometric(&second).jwk);
}
