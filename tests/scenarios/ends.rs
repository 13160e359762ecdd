//! Everything other than an answer that ends a trusonafication.

use std::time::Duration;

use nodkey_client::{NewTrusonafication, ServiceName};
use nodkey_kernel::time::Clock;
use nodkey_mobile_sdk::{Decision, Error};
use nodkey_proto::{
    registry::v1::{RetireDeviceRequest, device_service_client::DeviceServiceClient},
    trusonafication::v1::Status,
};

use crate::world::{SoftPhone, World, asked};

scenarios!(
    it_expires_by_itself,
    one_that_is_over_already_is_expired_when_read,
    a_canceled_one_cannot_be_answered,
    a_retired_device_is_dead_at_once,
    what_a_user_is_asked_ends_with_the_last_phone_and_not_before,
    however_the_last_phone_goes_whatever_it_was_asked_ends,
    a_deactivated_user_is_asked_nothing_any_more,
    the_device_of_a_deactivated_user_begins_no_other_life,
    nobody_is_asked_who_cannot_answer,
    a_flood_of_prompts_is_refused,
);

fn log_in() -> NewTrusonafication {
    NewTrusonafication::user("ada", "log in", "Acme")
}

fn refused(error: &Error) -> (u16, String) {
    let status = error.status().unwrap_or_else(|| panic!("refused, not {error}"));
    (status, error.reason().to_owned())
}

async fn it_expires_by_itself(world: &World) {
    let tenant = world.tenant().await;
    let phone = tenant.active("ada").await;
    let id = tenant.backend.create_trusonafication(log_in().expires_in(Duration::from_secs(2))).await.unwrap().trusonafication.id;
    let pending = asked(&phone).await;
    assert_eq!(tenant.backend.wait(&id).await.unwrap().status(), Status::Expired);
    let late = phone.respond(&pending, Decision::Accept, None).await.unwrap_err();
    assert_eq!(refused(&late), (410, "EXPIRED".into()));
    assert_eq!(tenant.backend.trusonafication(&id).await.unwrap().status(), Status::Expired);
}

async fn one_that_is_over_already_is_expired_when_read(world: &World) {
    let tenant = world.tenant().await;
    let phone = tenant.active("ada").await;
    let past = log_in().expires_at(Clock::system().now() - Duration::from_secs(1));
    let created = tenant.backend.create_trusonafication(past).await.unwrap().trusonafication;
    assert_eq!(created.status(), Status::InProgress);
    assert_eq!(tenant.backend.trusonafication(&created.id).await.unwrap().status(), Status::Expired);
    assert!(phone.wait(Duration::ZERO).await.unwrap().is_empty());
}

async fn a_canceled_one_cannot_be_answered(world: &World) {
    let tenant = world.tenant().await;
    let phone = tenant.active("ada").await;
    let id = tenant.backend.create_trusonafication(log_in()).await.unwrap().trusonafication.id;
    let pending = asked(&phone).await;
    for _ in 0..2 {
        assert_eq!(tenant.backend.cancel(&id).await.unwrap().status(), Status::Canceled);
    }
    assert_eq!(refused(&phone.respond(&pending, Decision::Accept, None).await.unwrap_err()), (409, "ALREADY_COMPLETED".into()));
    assert!(phone.wait(Duration::ZERO).await.unwrap().is_empty());
    // What is answered cannot be canceled.
    let id = tenant.backend.create_trusonafication(log_in()).await.unwrap().trusonafication.id;
    phone.respond(&asked(&phone).await, Decision::Accept, None).await.unwrap();
    assert_eq!(tenant.backend.cancel(&id).await.unwrap_err().reason, "NOT_IN_PROGRESS");
}

async fn a_retired_device_is_dead_at_once(world: &World) {
    let tenant = world.tenant().await;
    let phone = tenant.active("ada").await;
    let new = NewTrusonafication::device(phone.device_identifier().as_str(), "log in", "Acme");
    let id = tenant.backend.create_trusonafication(new).await.unwrap().trusonafication.id;
    let pending = asked(&phone).await;
    let mut devices = DeviceServiceClient::new(tenant.backend.channel(ServiceName::Registry));
    devices.retire_device(RetireDeviceRequest { device_id: phone.device_identifier().as_str().into() }).await.unwrap();
    assert_eq!(refused(&phone.respond(&pending, Decision::Accept, None).await.unwrap_err()), (403, "DEVICE_RETIRED".into()));
    assert_eq!(refused(&phone.status().await.unwrap_err()).0, 403);
    assert_eq!(tenant.backend.wait(&id).await.unwrap().status(), Status::Canceled, "what it alone was asked is withdrawn");
    assert_eq!(refused(&phone.register("again").await.unwrap_err()).1, "DEVICE_RETIRED");
}

async fn what_a_user_is_asked_ends_with_the_last_phone_and_not_before(world: &World) {
    let tenant = world.tenant().await;
    let (first, second) = (tenant.active("ada").await, tenant.active("ada").await);
    let id = tenant.backend.create_trusonafication(log_in()).await.unwrap().trusonafication.id;
    first.retire().await.unwrap();
    // Bound but not activated, so it could not answer.
    tenant.backend.create_binding("ada", tenant.registered().await.device_identifier().as_str()).await.unwrap();
    let pending = asked(&second).await;
    assert_eq!(tenant.backend.trusonafication(&id).await.unwrap().status(), Status::InProgress, "there is another phone");
    let binding = tenant.backend.device_binding(second.device_identifier().as_str()).await.unwrap();
    tenant.backend.deactivate_binding(&binding.id).await.unwrap();
    assert_eq!(tenant.backend.wait(&id).await.unwrap().status(), Status::Canceled);
    assert_eq!(refused(&second.respond(&pending, Decision::Accept, None).await.unwrap_err()).0, 403);
    // Prompts for the next phone are independent.
    let third = tenant.active("ada").await;
    tenant.backend.create_trusonafication(log_in()).await.unwrap();
    asked(&third).await;
}

async fn however_the_last_phone_goes_whatever_it_was_asked_ends(world: &World) {
    for way in ["the phone retires itself", "the backend retires it", "its binding is deactivated", "its user is deactivated"] {
        let tenant = world.tenant().await;
        let phone = tenant.active("ada").await;
        let device = phone.device_identifier().as_str();
        let (code, payload, _) = super::trucode::code(world, &tenant).await;
        phone.pair(&phone.scan(&payload).await.unwrap(), None).await.unwrap();
        let mut open = Vec::new();
        for prompt in [log_in(), NewTrusonafication::device(device, "log in", "Acme"), NewTrusonafication::trucode(&code, "log in", "Acme")]
        {
            open.push(tenant.backend.create_trusonafication(prompt).await.unwrap().trusonafication.id);
        }
        match way {
            "the phone retires itself" => phone.retire().await.unwrap(),
            "the backend retires it" => {
                let mut devices = DeviceServiceClient::new(tenant.backend.channel(ServiceName::Registry));
                devices.retire_device(RetireDeviceRequest { device_id: device.into() }).await.unwrap();
            }
            "its binding is deactivated" => {
                let binding = tenant.backend.device_binding(device).await.unwrap();
                tenant.backend.deactivate_binding(&binding.id).await.unwrap();
            }
            _ => drop(tenant.backend.deactivate_user("ada").await.unwrap()),
        }
        for id in open {
            assert_eq!(tenant.backend.wait(&id).await.unwrap().status(), Status::Canceled, "{way}");
        }
    }
}

async fn a_deactivated_user_is_asked_nothing_any_more(world: &World) {
    let tenant = world.tenant().await;
    let phone = tenant.active("ada").await;
    let id = tenant.backend.create_trusonafication(log_in()).await.unwrap().trusonafication.id;
    let pending = asked(&phone).await;
    assert_eq!(tenant.backend.deactivate_user("ada").await.unwrap(), [phone.device_identifier().as_str()]);
    // Not bound, or already retired: refused either way, whichever event arrives first.
    assert_eq!(refused(&phone.respond(&pending, Decision::Accept, None).await.unwrap_err()).0, 403);
    assert_eq!(tenant.backend.wait(&id).await.unwrap().status(), Status::Canceled);
    assert_eq!(tenant.backend.deactivate_user("ada").await.unwrap_err().reason, "USER_NOT_FOUND");
    assert_eq!(tenant.backend.create_trusonafication(log_in()).await.unwrap_err().reason, "USER_HAS_NO_ACTIVE_DEVICE");
    // A new device brings the user back.
    let new: SoftPhone = tenant.active("ada").await;
    tenant.backend.create_trusonafication(log_in()).await.unwrap();
    asked(&new).await;
}

async fn the_device_of_a_deactivated_user_begins_no_other_life(world: &World) {
    let tenant = world.tenant().await;
    for _ in 0..10 {
        let phone = tenant.active("ada").await;
        tenant.backend.deactivate_user("ada").await.unwrap();
        // Whether the registry has processed the event or not: otherwise its event would end the binding made here.
        for user in ["ada", "grace"] {
            assert_eq!(
                tenant.backend.create_binding(user, phone.device_identifier().as_str()).await.unwrap_err().reason,
                "DEVICE_NOT_FOUND"
            );
        }
    }
}

async fn nobody_is_asked_who_cannot_answer(world: &World) {
    let tenant = world.tenant().await;
    let phone = tenant.registered().await;
    tenant.backend.create_binding("ada", phone.device_identifier().as_str()).await.unwrap();
    assert_eq!(tenant.backend.create_trusonafication(log_in()).await.unwrap_err().reason, "USER_HAS_NO_ACTIVE_DEVICE");
    let new = NewTrusonafication::device(phone.device_identifier().as_str(), "log in", "Acme");
    assert_eq!(tenant.backend.create_trusonafication(new).await.unwrap_err().reason, "DEVICE_HAS_NO_ACTIVE_BINDING");
    assert_eq!(refused(&phone.wait(Duration::ZERO).await.unwrap_err()), (403, "DEVICE_NOT_ACTIVE".into()));
    // A code that nobody has paired yet can be prompted all the same.
    let code = uuid::Uuid::from_u128(1).to_string().to_uppercase();
    let created = tenant.backend.create_trusonafication(NewTrusonafication::trucode(&code, "log in", "Acme")).await.unwrap();
    assert_eq!(created.trusonafication.status(), Status::InProgress);
}

async fn a_flood_of_prompts_is_refused(world: &World) {
    let tenant = world.tenant().await;
    tenant.active("ada").await;
    for _ in 0..20 {
        tenant.backend.create_trusonafication(log_in()).await.unwrap();
    }
    assert_eq!(tenant.backend.create_trusonafication(log_in()).await.unwrap_err().reason, "TOO_MANY_PENDING");
}
