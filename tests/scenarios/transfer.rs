//! A new phone replaces an old one, or is added beside it: both phones and the person with the old one have to sign, and it happens once.

use std::sync::Arc;

use nodkey_client::{NewTrusonafication, ServiceName};
use nodkey_kernel::{
    jose::{Audience, PrivateKey},
    service_key,
    transfer::{TransferAct, TransferClaims, TransferRequestClaims, sign_transfer, sign_transfer_request},
};
use nodkey_mobile_sdk::{
    Decision, Error, ErrorKind, PresenceKind, TransferAct as PhoneAct, Transferred, UserDevice, software::NeverPresent,
};
use nodkey_proto::{
    binding::v1::{BindingState, GetBindingRequest, TransferBindingRequest, binding_service_client::BindingServiceClient},
    registry::v1::{
        PhoneSettings, RelyingPartyLimits, Role, UpdateRelyingPartyRequest, VerifyTransferRequest,
        device_service_client::DeviceServiceClient, relying_party_service_client::RelyingPartyServiceClient,
    },
    trusonafication::v1::Status,
};
use reqwest::Method;
use serde_json::json;
use tokio::task::JoinSet;

use super::{
    broken::Thief,
    flood::limit,
    key_statements::{ByHand, key, refused},
};
use crate::{
    http::{Answered, phone},
    operators::enrolled,
    software::store,
    world::{SoftPhone, Tenant, World, asked, eventually, number_of_races},
};

scenarios!(
    a_new_phone_takes_the_place_of_the_old_one,
    what_the_old_phone_was_asked_ends_and_what_the_user_was_asked_stays,
    a_phone_lets_another_in_where_the_relying_party_allows_it,
    a_relying_party_may_bind_each_phone_itself,
    each_phone_sees_in_its_status_when_the_users_phones_were_activated,
    the_keys_of_a_stolen_phone_without_the_person_move_nothing,
    who_is_not_bound_or_bound_already_is_refused_and_nothing_changes,
    nobody_reaches_another_tenants_phone,
    a_frozen_users_phone_hands_nothing_on_until_the_release,
    a_statement_has_an_effect_once,
    of_two_new_phones_one_takes_the_place,
    no_answer_counts_that_is_given_after_its_phones_place_was_handed_on,
    no_service_moves_a_place_by_its_own_key,
    an_operators_phone_is_never_moved,
);

/// The number of races, and how many run at the same time.
const RACES: usize = 100;
const AT_ONCE: usize = 4;

/// The statements of a phone by hand, to be changed before it signs them.
struct Papers {
    claims: TransferClaims,
    asks: TransferRequestClaims,
}

async fn papers(world: &World, old: &ByHand<'_>, new: &ByHand<'_>, act: TransferAct) -> Papers {
    let aud = Audience::from(world.http.as_str());
    let claims = TransferClaims { iss: old.id(), sub: new.id(), aud: aud.clone(), act, nonce: old.nonce().await, iat: 1 };
    Papers { claims, asks: TransferRequestClaims { iss: new.id(), aud, nonce: new.nonce().await } }
}

/// Sends the statements signed by these keys, as the phone with the first key. Sends them again while the machine is too busy to commit before
/// the checks are outdated.
async fn send(world: &World, Papers { claims, asks }: &Papers, device: &PrivateKey, presence: &PrivateKey, new: &PrivateKey) -> Answered {
    let (statement, signature) = (sign_transfer(claims, device), sign_transfer(claims, presence));
    let body = json!({"statement": statement, "signature": signature, "request": sign_transfer_request(asks, new)}).to_string();
    eventually("there is time for it", async || {
        let answer = phone(&world.http, device, Method::POST, "/api/v2/device_transfers", &body).await;
        (answer.status != 503).then_some(answer)
    })
    .await
}

async fn active<'a>(world: &'a World, tenant: &'a Tenant, user: &str) -> ByHand<'a> {
    let old = registered(world, tenant).await;
    tenant.activate(user, &old.phone(&old.presence)).await;
    old
}

async fn registered<'a>(world: &'a World, tenant: &'a Tenant) -> ByHand<'a> {
    let by_hand = ByHand::new(world, tenant);
    assert_eq!(by_hand.register().await.0.status, 201);
    by_hand
}

async fn allow(world: &World, tenant: &Tenant, phones: PhoneSettings) {
    let mut parties = RelyingPartyServiceClient::new(world.operator(None).channel(ServiceName::Registry));
    let request = UpdateRelyingPartyRequest { id: tenant.id.clone(), phones: Some(phones), ..UpdateRelyingPartyRequest::default() };
    assert_eq!(parties.update_relying_party(request).await.unwrap().into_inner().phones, Some(phones));
}

/// The user's active devices.
async fn devices_of(tenant: &Tenant, user: &str) -> Vec<String> {
    let bindings = tenant.backend.user_devices(user).await.unwrap();
    bindings.into_iter().filter(|b| b.state() == BindingState::Active).map(|b| b.device_identifier).collect()
}

async fn ensure_answers(tenant: &Tenant, phone: &SoftPhone, user: &str) {
    let created = tenant.backend.create_trusonafication(NewTrusonafication::user(user, "log in", "Acme").level(2)).await.unwrap();
    phone.respond(&asked(phone).await, Decision::Accept, None).await.unwrap();
    assert_eq!(tenant.backend.trusonafication(&created.trusonafication.id).await.unwrap().status(), Status::Accepted);
}

fn code(result: Result<impl Sized, Error>) -> String {
    match result {
        Err(e) if e.status().is_some() => e.reason().to_owned(),
        Err(other) => panic!("{other}"),
        Ok(_) => panic!("it was taken"),
    }
}

async fn a_new_phone_takes_the_place_of_the_old_one(world: &World) {
    let tenant = world.tenant().await;
    let (old, new) = (tenant.active("ada").await, tenant.registered().await);
    let before = tenant.backend.device_binding(old.device_identifier().as_str()).await.unwrap();
    let made = old.transfer(&new.transfer_request().await.unwrap(), PhoneAct::Replace).await.unwrap();
    assert_eq!((made.device_identifier.as_str(), made.is_active), (new.device_identifier().as_str(), true));
    // Immediately, on both sides.
    assert_eq!(devices_of(&tenant, "ada").await, [new.device_identifier().as_str()]);
    assert!(new.status().await.unwrap().is_active);
    let binding = tenant.backend.device_binding(new.device_identifier().as_str()).await.unwrap();
    assert_eq!((binding.user_identifier.as_str(), binding.vouched_by.as_str()), ("ada", old.device_identifier().as_str()));
    assert!(before.vouched_by.is_empty());
    let mut bindings = BindingServiceClient::new(tenant.backend.channel(ServiceName::Binding));
    let ended = bindings.get_binding(GetBindingRequest { id: before.id }).await.unwrap().into_inner();
    assert_eq!(ended.state(), BindingState::Deactivated);
    ensure_answers(&tenant, &new, "ada").await;
    // The old one is retired permanently.
    eventually("the old phone is retired", async || {
        tenant.backend.device(old.device_identifier().as_str()).await.unwrap().retired.then_some(())
    })
    .await;
    assert_eq!(code(old.status().await), "DEVICE_RETIRED");
    assert_eq!(code(old.transfer(&tenant.registered().await.transfer_request().await.unwrap(), PhoneAct::Replace).await), "DEVICE_RETIRED");
}

async fn what_the_old_phone_was_asked_ends_and_what_the_user_was_asked_stays(world: &World) {
    let tenant = world.tenant().await;
    let (old, new) = (tenant.active("ada").await, tenant.registered().await);
    let of_device = NewTrusonafication::device(old.device_identifier().as_str(), "log in", "Acme");
    let of_device = tenant.backend.create_trusonafication(of_device).await.unwrap().trusonafication.id;
    let of_user = tenant.backend.create_trusonafication(NewTrusonafication::user("ada", "pay", "Acme")).await.unwrap().trusonafication.id;
    let pending = old.wait(crate::world::PATIENCE).await.unwrap();
    old.transfer(&new.transfer_request().await.unwrap(), PhoneAct::Replace).await.unwrap();
    for pending in &pending {
        assert!(["DEVICE_NOT_BOUND", "DEVICE_RETIRED"].contains(&code(old.respond(pending, Decision::Accept, None).await).as_str()));
    }
    let status = async |id: &str| tenant.backend.trusonafication(id).await.unwrap().status();
    eventually("what the old phone was asked ends", async || (status(&of_device).await == Status::Canceled).then_some(())).await;
    assert_eq!(status(&of_user).await, Status::InProgress);
    new.respond(&asked(&new).await, Decision::Accept, None).await.unwrap();
    assert_eq!(status(&of_user).await, Status::Accepted);
}

async fn a_phone_lets_another_in_where_the_relying_party_allows_it(world: &World) {
    let tenant = world.tenant().await;
    let (first, second) = (tenant.active("ada").await, tenant.registered().await);
    let request = second.transfer_request().await.unwrap();
    assert_eq!(code(first.transfer(&request, PhoneAct::Add).await), "TRANSFER_NOT_ALLOWED");
    assert!(!second.status().await.unwrap().is_active);
    allow(world, &tenant, PhoneSettings { phones_add_phones: true, ..PhoneSettings::default() }).await;
    first.transfer(&request, PhoneAct::Add).await.unwrap();
    assert_eq!(devices_of(&tenant, "ada").await, [first.device_identifier().as_str(), second.device_identifier().as_str()]);
    assert_eq!(
        tenant.backend.device_binding(second.device_identifier().as_str()).await.unwrap().vouched_by,
        first.device_identifier().as_str()
    );
    for phone in [&first, &second] {
        ensure_answers(&tenant, phone, "ada").await;
        assert!(!tenant.backend.device(phone.device_identifier().as_str()).await.unwrap().retired);
    }
}

async fn a_relying_party_may_bind_each_phone_itself(world: &World) {
    let tenant = world.tenant().await;
    allow(world, &tenant, PhoneSettings { refuse_transfers: true, ..PhoneSettings::default() }).await;
    let (old, new) = (tenant.active("ada").await, tenant.registered().await);
    for act in [PhoneAct::Replace, PhoneAct::Add] {
        assert_eq!(code(old.transfer(&new.transfer_request().await.unwrap(), act).await), "TRANSFER_NOT_ALLOWED");
    }
    assert_eq!(devices_of(&tenant, "ada").await, [old.device_identifier().as_str()]);
}

async fn each_phone_sees_in_its_status_when_the_users_phones_were_activated(world: &World) {
    let tenant = world.tenant().await;
    let (first, second, third) = (tenant.active("ada").await, tenant.registered().await, tenant.registered().await);
    tenant.active("grace").await;
    let seen = async |phone: &SoftPhone| phone.status().await.unwrap().user_devices;
    let which = |devices: &[UserDevice]| devices.iter().map(|device| device.is_this).collect::<Vec<_>>();
    assert_eq!(which(&seen(&first).await), [true]);
    // A device that is not active yet sees none of its user's devices, and they do not see it.
    let binding = tenant.backend.create_binding("ada", second.device_identifier().as_str()).await.unwrap();
    assert_eq!((seen(&second).await, which(&seen(&first).await)), (Vec::new(), vec![true]));
    tenant.backend.activate_binding(&binding.id).await.unwrap();
    let both = seen(&first).await;
    assert_eq!((which(&both), which(&seen(&second).await)), (vec![true, false], vec![false, true]));
    // In the order of activation, as documented.
    assert!(both[0].activated_at <= both[1].activated_at, "{both:?}");

    // A replacement counts as activated now. Only the status response has the list, and it identifies no device.
    first.transfer(&third.transfer_request().await.unwrap(), PhoneAct::Replace).await.unwrap();
    let now = seen(&second).await;
    assert_eq!((which(&now), now[0].activated_at), (vec![true, false], both[1].activated_at));
    assert!(third.update_keys().await.unwrap().user_devices.is_empty());
    let by_hand = active(world, &tenant, "ada").await;
    let path = format!("/api/v2/devices/{}/status", by_hand.id());
    let status = phone(&world.http, &by_hand.device, Method::GET, &path, "").await.body;
    for device in status["user_devices"].as_array().unwrap() {
        assert_eq!(device.as_object().unwrap().keys().collect::<Vec<_>>(), ["activated_at", "is_this"]);
    }
    let changed = phone(&world.http, &by_hand.device, Method::PATCH, path.trim_end_matches("/status"), r#"{"name": "new"}"#).await;
    assert_eq!((changed.status, changed.body.get("user_devices")), (200, None));
}

async fn the_keys_of_a_stolen_phone_without_the_person_move_nothing(world: &World) {
    let tenant = world.tenant().await;
    allow(world, &tenant, PhoneSettings { phones_add_phones: true, ..PhoneSettings::default() }).await;
    let (old, new) = (active(world, &tenant, "ada").await, registered(world, &tenant).await);
    for act in [TransferAct::Replace, TransferAct::Add] {
        // An attacker with the device key has also made keys of their own, and has a phone.
        for presence in [&old.device, &new.device, &new.presence, &key()] {
            let papers = papers(world, &old, &new, act).await;
            refused(&send(world, &papers, &old.device, presence, &new.device).await, 403, "TRANSFER_PRESENCE_REQUIRED");
        }
    }
    // A key that they put in place of the presence key does not count.
    let theirs = key();
    assert_eq!(old.replace(&theirs, None, &[]).await.status, 200);
    for act in [TransferAct::Replace, TransferAct::Add] {
        let papers = papers(world, &old, &new, act).await;
        refused(&send(world, &papers, &old.device, &theirs, &new.device).await, 403, "TRANSFER_PRESENCE_REQUIRED");
        refused(&send(world, &papers, &old.device, &old.presence, &new.device).await, 403, "TRANSFER_PRESENCE_REQUIRED");
    }
    // Nor does it work without the person's presence.
    let absent = tenant.phone_of(store(&old.device, &[(PresenceKind::Biometric, &theirs)]), NeverPresent);
    let request = new.phone(&new.presence).transfer_request().await.unwrap();
    assert_eq!(absent.transfer(&request, PhoneAct::Replace).await.unwrap_err().kind(), ErrorKind::Denied);
    assert_eq!(devices_of(&tenant, "ada").await, [old.id()]);
}

async fn who_is_not_bound_or_bound_already_is_refused_and_nothing_changes(world: &World) {
    let tenant = world.tenant().await;
    let (old, new) = (active(world, &tenant, "ada").await, registered(world, &tenant).await);
    let transfer = async |old: &ByHand<'_>, new: &ByHand<'_>| {
        let papers = papers(world, old, new, TransferAct::Replace).await;
        send(world, &papers, &old.device, &old.presence, &new.device).await
    };
    let (unbound, waiting) = (registered(world, &tenant).await, registered(world, &tenant).await);
    refused(&transfer(&unbound, &new).await, 403, "DEVICE_NOT_BOUND");
    assert!(!tenant.backend.device(&new.id()).await.unwrap().retired);
    tenant.backend.create_binding("bob", &waiting.id()).await.unwrap();
    refused(&transfer(&waiting, &new).await, 403, "DEVICE_NOT_ACTIVE");
    refused(&transfer(&old, &waiting).await, 409, "DEVICE_ALREADY_BOUND");
    let bound = active(world, &tenant, "eve").await;
    refused(&transfer(&old, &bound).await, 409, "DEVICE_ALREADY_BOUND");
    // The new phone made no request, is not registered, or is retired.
    let stranger = ByHand::new(world, &tenant);
    refused(&transfer(&old, &stranger).await, 404, "NOT_FOUND");
    let papers = papers(world, &old, &new, TransferAct::Replace).await;
    refused(&send(world, &papers, &old.device, &old.presence, &key()).await, 422, "TRANSFER_REQUEST_INVALID");
    let other = Papers { claims: TransferClaims { sub: unbound.id(), ..papers.claims.clone() }, asks: papers.asks.clone() };
    refused(&send(world, &other, &old.device, &old.presence, &new.device).await, 422, "TRANSFER_STATEMENT_INVALID");
    let swapped = Papers { claims: TransferClaims { nonce: new.nonce().await, ..papers.claims }, asks: papers.asks };
    refused(&send(world, &swapped, &old.device, &old.presence, &new.device).await, 422, "DEVICE_CHALLENGE_UNKNOWN");
    unbound.phone(&unbound.presence).retire().await.unwrap();
    refused(&transfer(&old, &unbound).await, 403, "DEVICE_RETIRED");
    let body = json!({"statement": "x".repeat(5_000), "signature": "", "request": "a.b.c"}).to_string();
    refused(&phone(&world.http, &old.device, Method::POST, "/api/v2/device_transfers", &body).await, 422, "VALIDATION_FAILED");
    // A user who was deactivated has no place to transfer.
    assert_eq!(devices_of(&tenant, "ada").await, [old.id()]);
    tenant.backend.deactivate_user("ada").await.unwrap();
    let gone = transfer(&old, &new).await;
    assert!(["DEVICE_NOT_BOUND", "DEVICE_RETIRED"].contains(&gone.error.as_str()), "{}", gone.body);
    assert!(!new.phone(&new.presence).status().await.unwrap().is_active);
}

async fn nobody_reaches_another_tenants_phone(world: &World) {
    let (tenant, other) = (world.tenant().await, world.tenant().await);
    let (old, theirs) = (active(world, &tenant, "ada").await, registered(world, &other).await);
    for act in [TransferAct::Replace, TransferAct::Add] {
        let papers = papers(world, &old, &theirs, act).await;
        refused(&send(world, &papers, &old.device, &old.presence, &theirs.device).await, 404, "NOT_FOUND");
    }
    assert_eq!(devices_of(&tenant, "ada").await, [old.id()]);
    assert!(!theirs.phone(&theirs.presence).status().await.unwrap().is_active);
}

async fn a_frozen_users_phone_hands_nothing_on_until_the_release(world: &World) {
    let tenant = world.tenant().await;
    allow(world, &tenant, PhoneSettings { phones_add_phones: true, ..PhoneSettings::default() }).await;
    let (old, new) = (tenant.active("ada").await, tenant.registered().await);
    tenant.backend.freeze_user("ada", "lost").await.unwrap();
    for act in [PhoneAct::Replace, PhoneAct::Add] {
        assert_eq!(code(old.transfer(&new.transfer_request().await.unwrap(), act).await), "USER_FROZEN");
    }
    assert_eq!(devices_of(&tenant, "ada").await, [old.device_identifier().as_str()]);
    tenant.backend.release_user("ada").await.unwrap();
    old.transfer(&new.transfer_request().await.unwrap(), PhoneAct::Replace).await.unwrap();
    ensure_answers(&tenant, &new, "ada").await;
}

async fn a_statement_has_an_effect_once(world: &World) {
    let tenant = world.tenant().await;
    allow(world, &tenant, PhoneSettings { phones_add_phones: true, ..PhoneSettings::default() }).await;
    let (old, new) = (active(world, &tenant, "ada").await, registered(world, &tenant).await);
    let earlier = papers(world, &old, &new, TransferAct::Add).await;
    let later = papers(world, &old, &new, TransferAct::Add).await;
    let first = send(world, &later, &old.device, &old.presence, &new.device).await;
    assert_eq!(first.status, 201, "{}", first.body);
    // If the response was lost, the request may be repeated.
    let again = send(world, &later, &old.device, &old.presence, &new.device).await;
    assert_eq!((again.status, &again.body), (201, &first.body));
    refused(&send(world, &earlier, &old.device, &old.presence, &new.device).await, 409, "DEVICE_CHALLENGE_USED");
    // Once the backend has deactivated the new phone, only a new statement can activate it again.
    let binding = tenant.backend.device_binding(&new.id()).await.unwrap();
    tenant.backend.deactivate_binding(&binding.id).await.unwrap();
    for papers in [&earlier, &later] {
        refused(&send(world, papers, &old.device, &old.presence, &new.device).await, 409, "DEVICE_CHALLENGE_USED");
    }
    assert_eq!(devices_of(&tenant, "ada").await, [old.id()]);
}

async fn of_two_new_phones_one_takes_the_place(world: &World) {
    let tenant = Arc::new(world.tenant().await);
    // All phones of the tenant register from this address.
    limit(world, &tenant, RelyingPartyLimits { registrations_per_address: 1_000, ..RelyingPartyLimits::default() }).await;
    race(&tenant, |tenant, n| async move {
        let user = format!("user {n}");
        let old = tenant.active(&user).await;
        let (one, other) = (tenant.registered().await, tenant.registered().await);
        let requests = (one.transfer_request().await.unwrap(), other.transfer_request().await.unwrap());
        let (first, second) = tokio::join!(replace(&old, &requests.0), replace(&old, &requests.1));
        let bound = devices_of(&tenant, &user).await;
        let taken: Vec<_> = [&first, &second].into_iter().flatten().map(|made| made.device_identifier.to_string()).collect();
        assert_eq!(bound, taken, "{first:?} {second:?}");
        assert_eq!(bound.len(), 1, "{first:?} {second:?}");
    })
    .await;
}

async fn no_answer_counts_that_is_given_after_its_phones_place_was_handed_on(world: &World) {
    let tenant = Arc::new(world.tenant().await);
    limit(world, &tenant, RelyingPartyLimits { registrations_per_address: 1_000, ..RelyingPartyLimits::default() }).await;
    race(&tenant, |tenant, n| async move {
        let user = format!("user {n}");
        let (old, new) = (tenant.active(&user).await, tenant.registered().await);
        let asks = NewTrusonafication::user(&user, "log in", "Acme");
        let id = tenant.backend.create_trusonafication(asks).await.unwrap().trusonafication.id;
        let (pending, request) = (asked(&old).await, new.transfer_request().await.unwrap());
        let transfer = async {
            for _ in 0..n % 10 {
                tokio::task::yield_now().await;
            }
            replace(&old, &request).await.unwrap();
        };
        let (answered, ()) = tokio::join!(old.respond(&pending, Decision::Accept, None), transfer);
        // The accept succeeded.
        let late = code(old.respond(&pending, Decision::Accept, None).await);
        assert!(["DEVICE_NOT_BOUND", "DEVICE_RETIRED"].contains(&late.as_str()), "{late}");
        let accepted = tenant.backend.trusonafication(&id).await.unwrap().status() == Status::Accepted;
        assert_eq!(accepted, answered.is_ok(), "{answered:?}");
    })
    .await;
}

/// An attacker has broken into a process, and also has a phone and an account of their own.
async fn no_service_moves_a_place_by_its_own_key(world: &World) {
    let tenant = world.tenant().await;
    allow(world, &tenant, PhoneSettings { phones_add_phones: true, ..PhoneSettings::default() }).await;
    let (ada, mallory) = (active(world, &tenant, "ada").await, active(world, &tenant, "mallory").await);
    let (hers, theirs) = (registered(world, &tenant).await, registered(world, &tenant).await);
    for thief in Thief::all(world, &tenant) {
        let mut bindings = BindingServiceClient::new(thief.to(service_key::ServiceName::Binding));
        let mut devices = DeviceServiceClient::new(thief.to(service_key::ServiceName::Registry));
        for act in [TransferAct::Replace, TransferAct::Add] {
            // Ada's place to the attacker's phone, with the attacker's keys. The attacker's place to a phone of Ada's that made no request.
            let (from_ada, to_hers) = (papers(world, &ada, &theirs, act).await, papers(world, &mallory, &hers, act).await);
            for (old, Papers { claims, asks }, keys) in [
                (&ada, &from_ada, [&mallory.device, &mallory.presence, &theirs.device]),
                (&ada, &from_ada, [&ada.device, &mallory.presence, &theirs.device]),
                (&mallory, &to_hers, [&mallory.device, &mallory.presence, &theirs.device]),
            ] {
                let [device, presence, new] = keys;
                let (statement, signature) = (sign_transfer(claims, device), sign_transfer(claims, presence));
                let (device_identifier, request) = (old.id(), sign_transfer_request(asks, new));
                let verify = VerifyTransferRequest {
                    device_id: old.id(),
                    statement: statement.clone(),
                    signature: signature.clone(),
                    request: request.clone(),
                };
                let transfer = TransferBindingRequest { device_identifier, statement, signature, request };
                assert!(bindings.transfer_binding(transfer).await.is_err(), "{}", thief.name);
                assert!(devices.verify_transfer(verify).await.is_err(), "{}", thief.name);
            }
        }
    }
    assert_eq!((devices_of(&tenant, "ada").await, devices_of(&tenant, "mallory").await), (vec![ada.id()], vec![mallory.id()]));
    // With all valid signatures it succeeds.
    let good = papers(world, &ada, &hers, TransferAct::Replace).await;
    assert_eq!(send(world, &good, &ada.device, &ada.presence, &hers.device).await.status, 201);
}

/// A session belongs to the operator who took the invitation, on that phone.
async fn an_operators_phone_is_never_moved(world: &World) {
    let (phone, _) = enrolled(world, "Olga", Role::Owner).await;
    let new = enrolled(world, "Otto", Role::Auditor).await.0;
    for act in [PhoneAct::Replace, PhoneAct::Add] {
        assert_eq!(code(phone.transfer(&new.transfer_request().await.unwrap(), act).await), "TRANSFER_NOT_ALLOWED");
    }
    assert!(phone.status().await.unwrap().is_active);
}

/// Transfers a place. Tries again when the machine is too busy to commit while the checks are still valid.
async fn replace(old: &SoftPhone, request: &str) -> Result<Transferred, Error> {
    loop {
        match old.transfer(request, PhoneAct::Replace).await {
            Err(e) if e.status() == Some(503) => {}
            done => return done,
        }
    }
}

/// Runs the number of races, several at the same time.
async fn race<F: Future<Output = ()> + Send + 'static>(tenant: &Arc<Tenant>, run: impl Fn(Arc<Tenant>, usize) -> F) {
    let mut races = JoinSet::new();
    for n in 0..number_of_races(RACES) {
        if races.len() == AT_ONCE {
            races.join_next().await.unwrap().unwrap();
        }
        races.spawn(run(Arc::clone(tenant), n));
    }
    while races.join_next().await.transpose().unwrap().is_some() {}
}
