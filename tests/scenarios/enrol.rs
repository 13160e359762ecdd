//! A phone registers, a backend binds and activates it.

use nodkey_client::Kind;
use nodkey_kernel::{
    device::DEVICE_TYP,
    jose::{Jwks, jws::Compact},
    random::Random,
};
use nodkey_mobile_sdk::{PresenceKind, software::SoftwareKeyStore};
use nodkey_proto::binding::v1::BindingState;
use serde_json::Value;

use crate::{software::store, world::World};

scenarios!(
    a_phone_registers_and_is_bound_and_activated,
    registering_again_is_the_same_device,
    a_device_is_bound_to_one_user,
    an_unknown_device_is_not_bound,
    the_device_identifier_jwt_verifies_offline,
    both_algorithms_register,
);

async fn a_phone_registers_and_is_bound_and_activated(world: &World) {
    let tenant = world.tenant().await;
    let phone = tenant.registered().await;
    assert!(!phone.status().await.unwrap().is_active);
    let binding = tenant.backend.create_binding("ada", phone.device_identifier().as_str()).await.unwrap();
    assert_eq!(binding.state(), BindingState::Inactive);
    let again = tenant.backend.create_binding("ada", phone.device_identifier().as_str()).await.unwrap();
    assert_eq!(again.id, binding.id, "the same pair, the same activation code");
    assert!(!phone.status().await.unwrap().is_active);
    for _ in 0..2 {
        assert_eq!(tenant.backend.activate_binding(&binding.id).await.unwrap().state(), BindingState::Active);
    }
    assert!(phone.status().await.unwrap().is_active);
    let devices = tenant.backend.user_devices("ada").await.unwrap();
    assert_eq!(devices.iter().map(|b| b.device_identifier.as_str()).collect::<Vec<_>>(), [phone.device_identifier().as_str()]);
    assert_eq!(tenant.backend.device_binding(phone.device_identifier().as_str()).await.unwrap().id, binding.id);
}

async fn registering_again_is_the_same_device(world: &World) {
    let tenant = world.tenant().await;
    let phone = tenant.registered().await;
    let again = phone.register("renamed").await.unwrap();
    assert_eq!(again.device_identifier, phone.device_identifier().as_str());
    assert_eq!(tenant.backend.device(phone.device_identifier().as_str()).await.unwrap().name, "renamed");
}

async fn a_device_is_bound_to_one_user(world: &World) {
    let tenant = world.tenant().await;
    let phone = tenant.active("ada").await;
    let refused = tenant.backend.create_binding("bob", phone.device_identifier().as_str()).await.unwrap_err();
    assert_eq!((refused.kind, refused.reason.as_str()), (Kind::Conflict, "DEVICE_ALREADY_BOUND"));
    assert!(tenant.backend.user_devices("bob").await.unwrap().is_empty());
}

async fn an_unknown_device_is_not_bound(world: &World) {
    let tenant = world.tenant().await;
    for device in ["d".repeat(43), "no device identifier at all".into()] {
        let refused = tenant.backend.create_binding("ada", &device).await.unwrap_err();
        assert_eq!(refused.reason, "DEVICE_NOT_FOUND");
    }
    let refused = tenant.backend.create_binding("", &"d".repeat(43)).await.unwrap_err();
    assert_eq!(refused.field_violations.iter().map(|v| v.field.as_str()).collect::<Vec<_>>(), ["user_identifier"]);
}

async fn the_device_identifier_jwt_verifies_offline(world: &World) {
    let tenant = world.tenant().await;
    let registered = tenant.phone_with(SoftwareKeyStore::generate()).register("phone").await.unwrap();
    let jwks: Jwks = tenant.backend.jwks().await.unwrap();
    let compact = Compact::parse(&registered.device_identifier_jwt).unwrap();
    let key = jwks.find_for(compact.header().kid.as_deref().unwrap(), DEVICE_TYP).unwrap();
    let claims: Value = compact.verify(key, DEVICE_TYP).unwrap();
    assert_eq!(claims["sub"], registered.device_identifier.as_str());
    assert_eq!(claims["iss"], world.http.as_str());
}

async fn both_algorithms_register(world: &World) {
    use nodkey_kernel::jose::{Algorithm, PrivateKey};
    let tenant = world.tenant().await;
    let key = |algorithm| PrivateKey::generate(algorithm, &Random::system());
    for (device, presence) in [(Algorithm::Es256, Algorithm::EdDsa), (Algorithm::EdDsa, Algorithm::Es256)] {
        let keys = store(&key(device), &[(PresenceKind::Credential, &key(presence))]);
        tenant.phone_with(keys).register("phone").await.unwrap();
    }
}
