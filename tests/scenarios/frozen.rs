//! Freezes: a user is frozen by their backend, an operator, or one of their phones when somebody else has the other.

use std::{sync::Arc, time::Duration};

use nodkey_client::{Kind, NewTrusonafication, is_success};
use nodkey_kernel::{
    dpop,
    jose::{Algorithm, PrivateKey, b64u_decode},
    random::Random,
    service_key::ServiceName,
    time::Clock,
};
use nodkey_mobile_sdk::{Decision, Error};
use nodkey_proto::{
    binding::v1::{FreezeDeviceUserRequest, FrozenBy, User, user_service_client::UserServiceClient},
    registry::v1::{PhoneCall, RelyingPartyLimits, Role},
    trusonafication::v1::Status,
};
use reqwest::Method;
use serde_json::json;
use tokio::task::JoinSet;

use super::{broken::Thief, console::signed_in, flood::limit, prompts::scan};
use crate::{
    http::{backend, phone as by_hand},
    software::of_device,
    world::{SoftPhone, Tenant, World, asked, eventually, number_of_races},
};

scenarios!(
    a_frozen_user_is_asked_nothing_and_answers_nothing_until_the_release,
    nobody_prompts_a_frozen_user_by_name_device_or_code,
    no_answer_counts_that_is_given_after_its_freeze_was_confirmed,
    a_freeze_is_the_relying_partys_own_and_operators_act_by_their_role,
    a_phone_freezes_its_user_and_releases_nobody,
    no_service_freezes_a_user_in_the_name_of_a_phone_and_no_call_does_twice,
    a_device_that_is_bound_to_a_frozen_user_waits_with_the_others,
    a_frozen_user_who_is_deleted_begins_anew,
    no_auditor_is_shown_an_activation_code,
);

const RACES: usize = 100;
const AT_ONCE: usize = 4;

fn log_in() -> NewTrusonafication {
    NewTrusonafication::user("ada", "log in", "Acme")
}

fn refused<T: std::fmt::Debug>(answer: Result<T, Error>) -> (u16, String) {
    let error = answer.unwrap_err();
    let status = error.status().unwrap_or_else(|| panic!("refused, not {error}"));
    (status, error.reason().to_owned())
}

fn frozen() -> (u16, String) {
    (424, "USER_FROZEN".into())
}

fn by(user: &User) -> (FrozenBy, &str, &str) {
    let freeze = user.freeze.as_ref().unwrap();
    (freeze.frozen_by(), &freeze.frozen_by_device, &freeze.note)
}

async fn a_frozen_user_is_asked_nothing_and_answers_nothing_until_the_release(world: &World) {
    let tenant = world.tenant().await;
    let (phone, other) = (tenant.active("ada").await, tenant.active("ada").await);
    let by_name = tenant.backend.create_trusonafication(log_in()).await.unwrap().trusonafication.id;
    let pending = asked(&phone).await;
    let by_device = NewTrusonafication::device(other.device_identifier().as_str(), "pay", "Acme");
    let by_device = tenant.backend.create_trusonafication(by_device).await.unwrap().trusonafication.id;
    let code = scan(world, &tenant, &phone).await;
    let by_code = tenant.backend.create_trusonafication(NewTrusonafication::trucode(&code, "log in", "Acme")).await.unwrap();
    assert_eq!(tenant.backend.user("ada").await.unwrap().freeze, None);

    let first = tenant.backend.freeze_user("ada", "lost her phone").await.unwrap();
    assert_eq!((by(&first), first.devices), ((FrozenBy::Backend, "", "lost her phone"), 2));
    assert_eq!(refused(phone.respond(&pending, Decision::Accept, None).await), frozen());
    assert_eq!(refused(phone.wait(Duration::ZERO).await), frozen());
    for id in [&by_name, &by_device, &by_code.trusonafication.id] {
        assert_eq!(tenant.backend.wait(id).await.unwrap().status(), Status::Canceled);
    }
    assert_eq!(refused(other.register_identity_document("a hash").await), frozen());
    // The device is unchanged, and reports that its user is frozen.
    let status = phone.status().await.unwrap();
    assert!(status.is_active && status.frozen);
    // Repeating changes nothing: the first freeze stays.
    assert_eq!(tenant.backend.freeze_user("ada", "again").await.unwrap(), first);
    assert_eq!(tenant.backend.user("ada").await.unwrap(), first);

    for _ in 0..2 {
        let released = tenant.backend.release_user("ada").await.unwrap();
        assert_eq!((released.freeze, released.devices), (None, 2));
    }
    assert!(!phone.status().await.unwrap().frozen);
    assert!(phone.wait(Duration::ZERO).await.unwrap().is_empty(), "what ended does not come back");
    let id = tenant.backend.create_trusonafication(log_in()).await.unwrap().trusonafication.id;
    other.respond(&asked(&other).await, Decision::Accept, None).await.unwrap();
    assert!(is_success(&tenant.backend.wait(&id).await.unwrap()));
}

async fn nobody_prompts_a_frozen_user_by_name_device_or_code(world: &World) {
    let tenant = world.tenant().await;
    let phone = tenant.active("ada").await;
    let code = scan(world, &tenant, &phone).await;
    tenant.backend.freeze_user("ada", "").await.unwrap();
    let news = [
        log_in(),
        NewTrusonafication::device(phone.device_identifier().as_str(), "log in", "Acme"),
        NewTrusonafication::trucode(&code, "log in", "Acme"),
    ];
    for new in news {
        let refused = tenant.backend.create_trusonafication(new).await.unwrap_err();
        assert_eq!((refused.kind, refused.reason.as_str()), (Kind::Precondition, "USER_FROZEN"), "{refused}");
    }
    // Trusona's SDKs get a refusal that they know, with a text.
    let body = json!({"user_identifier": "ada", "action": "log in", "resource": "Acme"}).to_string();
    let refused = backend(&world.http, &tenant.server, Method::POST, "/api/v2/trusonafications", &body).await;
    assert_eq!((refused.status, refused.error.as_str()), (424, "USER_FROZEN"));
    assert!(refused.body["description"].as_str().unwrap().contains("frozen"));
    // Other users are not affected.
    let grace = tenant.active("grace").await;
    tenant.backend.create_trusonafication(NewTrusonafication::user("grace", "log in", "Acme")).await.unwrap();
    asked(&grace).await;
}

async fn no_answer_counts_that_is_given_after_its_freeze_was_confirmed(world: &World) {
    let tenant = Arc::new(world.tenant().await);
    // All phones of the tenant register from this address.
    let many = RelyingPartyLimits { registrations_per_address: 1_000, ..RelyingPartyLimits::default() };
    limit(world, &tenant, many).await;
    let mut races = JoinSet::new();
    for n in 0..number_of_races(RACES) {
        if races.len() == AT_ONCE {
            races.join_next().await.unwrap().unwrap();
        }
        let tenant = Arc::clone(&tenant);
        races.spawn(async move { race(&tenant, n).await });
    }
    while races.join_next().await.transpose().unwrap().is_some() {}
}

async fn race(tenant: &Tenant, n: usize) {
    let user = format!("user {n}");
    let phone = tenant.active(&user).await;
    let id = tenant.backend.create_trusonafication(NewTrusonafication::user(&user, "log in", "Acme")).await.unwrap().trusonafication.id;
    let pending = asked(&phone).await;
    let freeze = async {
        for _ in 0..n % 10 {
            tokio::task::yield_now().await;
        }
        tenant.backend.freeze_user(&user, "").await.unwrap();
    };
    let (answered, ()) = tokio::join!(phone.respond(&pending, Decision::Accept, None), freeze);
    // The accept succeeded.
    assert_eq!(refused(phone.respond(&pending, Decision::Accept, None).await), frozen());
    let end = tenant.backend.wait(&id).await.unwrap().status();
    assert_eq!(end, if answered.is_ok() { Status::Accepted } else { Status::Canceled }, "{answered:?}");
}

async fn a_freeze_is_the_relying_partys_own_and_operators_act_by_their_role(world: &World) {
    let (tenant, other) = (world.tenant().await, world.tenant().await);
    tenant.active("ada").await;
    for refused in [
        other.backend.freeze_user("ada", "").await,
        other.backend.release_user("ada").await,
        other.backend.user("ada").await,
        tenant.backend.freeze_user("Ada", "").await,
    ] {
        assert_eq!(refused.unwrap_err().reason, "USER_NOT_FOUND");
    }
    // Another relying party's ada is somebody else.
    let theirs = other.active("ada").await;
    other.backend.freeze_user("ada", "").await.unwrap();
    assert_eq!(tenant.backend.user("ada").await.unwrap().freeze, None);
    tenant.backend.create_trusonafication(log_in()).await.unwrap();
    other.backend.release_user("ada").await.unwrap();
    theirs.wait(Duration::ZERO).await.unwrap();

    let user = |note: &str| json!({"userIdentifier": "ada", "note": note});
    for (role, acts) in [(Role::Auditor, false), (Role::Operator, true)] {
        let mut browser = signed_in(world, role).await;
        let frozen = browser.rpc("binding.v1.UserService/FreezeUser", Some(&tenant.id), user("by phone, ticket 4711")).await;
        assert_eq!(frozen.status, if acts { 200 } else { 403 }, "{}", frozen.body);
        let read = browser.rpc("binding.v1.UserService/GetUser", Some(&tenant.id), json!({"userIdentifier": "ada"})).await;
        assert_eq!((read.status, read.body.get("freeze").is_some()), (200, acts));
        if acts {
            assert_eq!(read.body["freeze"]["frozenBy"], "FROZEN_BY_OPERATOR");
            assert_eq!(read.body["freeze"]["note"], "by phone, ticket 4711");
        }
        let released = browser.rpc("binding.v1.UserService/ReleaseUser", Some(&tenant.id), json!({"userIdentifier": "ada"})).await;
        assert_eq!(released.status, if acts { 200 } else { 403 });
    }
    let body = json!({"note": "a".repeat(201)}).to_string();
    let bad = backend(&world.http, &tenant.server, Method::POST, "/api/v2/users/ada/freeze", &body).await;
    assert_eq!((bad.status, &bad.body["field_errors"]["note"]), (422, &json!(["must be at most 200 characters"])));
    assert_eq!(tenant.backend.user("ada").await.unwrap().freeze, None, "bad input changes nothing");
}

async fn a_phone_freezes_its_user_and_releases_nobody(world: &World) {
    let tenant = world.tenant().await;
    let (device_key, lost) = (PrivateKey::generate(Algorithm::Es256, &Random::system()), tenant.active("ada").await);
    let phone = tenant.phone_with(of_device(&device_key));
    phone.register("at hand").await.unwrap();
    assert_eq!(refused(phone.freeze_user().await), (403, "DEVICE_NOT_BOUND".into()));
    let binding = tenant.backend.create_binding("ada", phone.device_identifier().as_str()).await.unwrap();
    assert_eq!(refused(phone.freeze_user().await), (403, "DEVICE_NOT_ACTIVE".into()));
    tenant.backend.activate_binding(&binding.id).await.unwrap();
    let id = tenant.backend.create_trusonafication(log_in()).await.unwrap().trusonafication.id;
    let pending = asked(&lost).await;

    for _ in 0..2 {
        phone.freeze_user().await.unwrap();
    }
    let user = tenant.backend.user("ada").await.unwrap();
    assert_eq!(by(&user), (FrozenBy::Device, phone.device_identifier().as_str(), ""));
    assert_eq!(refused(lost.respond(&pending, Decision::Accept, None).await), frozen());
    assert_eq!(refused(phone.wait(Duration::ZERO).await), frozen(), "itself included");
    assert_eq!(tenant.backend.wait(&id).await.unwrap().status(), Status::Canceled);
    // Calls that only a backend may make: there is no such call for phones.
    for (method, path) in
        [(Method::DELETE, "/api/v2/users/ada/freeze"), (Method::DELETE, "/api/v2/user_freezes"), (Method::POST, "/api/v2/users/ada/freeze")]
    {
        let answer = by_hand(&world.http, &device_key, method.clone(), path, "{}").await;
        assert!([403, 405].contains(&answer.status), "{method} {path}: {}", answer.status);
    }
    assert_eq!(tenant.backend.user("ada").await.unwrap(), user);
    let read = backend(&world.http, &tenant.server, Method::GET, "/api/v2/users/ada", "").await;
    assert_eq!((read.status, &read.body["devices"], &read.body["freeze"]["frozen_by"]), (200, &json!(2), &json!("device")));
    assert_eq!(read.body["freeze"]["device_identifier"], phone.device_identifier().as_str());
    let released = backend(&world.http, &tenant.server, Method::DELETE, "/api/v2/users/ada/freeze", "").await;
    assert_eq!((released.status, &released.body["freeze"]), (200, &json!(null)));
    tenant.backend.create_trusonafication(log_in()).await.unwrap();
}

/// The call with which a phone freezes its user, as a service that forwards it may have recorded or invented it.
fn called(world: &World, by: &PrivateKey, path: &str) -> PhoneCall {
    let proof = dpop::create(by, "POST", &format!("{}{path}", world.http), b"{}", Clock::system().now(), &Random::system());
    PhoneCall { proof, body: b"{}".to_vec().into() }
}

async fn no_service_freezes_a_user_in_the_name_of_a_phone_and_no_call_does_twice(world: &World) {
    let tenant = world.tenant().await;
    let device_key = PrivateKey::generate(Algorithm::Es256, &Random::system());
    let phone = tenant.phone_with(of_device(&device_key));
    phone.register("phone").await.unwrap();
    tenant.activate("ada", &phone).await;
    let own = PrivateKey::generate(Algorithm::Es256, &Random::system());
    let device_identifier = phone.device_identifier().to_string();
    for thief in Thief::all(world, &tenant) {
        let mut users = UserServiceClient::new(thief.to(ServiceName::Binding));
        for call in [None, Some(called(world, &own, "/api/v2/user_freezes")), Some(called(world, &device_key, "/api/v2/device_challenges"))]
        {
            let request = FreezeDeviceUserRequest { device_identifier: device_identifier.clone(), call };
            assert!(users.freeze_device_user(request).await.is_err(), "{}", thief.name);
        }
    }
    assert_eq!(tenant.backend.user("ada").await.unwrap().freeze, None);

    let gateway = Thief::all(world, &tenant).find(|thief| thief.name == ServiceName::Gateway).unwrap();
    let mut users = UserServiceClient::new(gateway.to(ServiceName::Binding));
    let call = called(world, &device_key, "/api/v2/user_freezes");
    let mut freeze = async |call: &PhoneCall| {
        let request = FreezeDeviceUserRequest { device_identifier: device_identifier.clone(), call: Some(call.clone()) };
        users.freeze_device_user(request).await
    };
    freeze(&call).await.unwrap();
    // The response was lost: repeating has the same result.
    freeze(&call).await.unwrap();
    tenant.backend.release_user("ada").await.unwrap();
    let replayed = nodkey_client::Error::from(freeze(&call).await.unwrap_err());
    assert_eq!(replayed.reason, "INVALID_PROOF", "{replayed}");
    assert_eq!(tenant.backend.user("ada").await.unwrap().freeze, None);
}

async fn a_device_that_is_bound_to_a_frozen_user_waits_with_the_others(world: &World) {
    let tenant = world.tenant().await;
    let lost = tenant.active("ada").await;
    tenant.backend.freeze_user("ada", "").await.unwrap();
    let new: SoftPhone = tenant.active("ada").await;
    assert_eq!(refused(new.wait(Duration::ZERO).await), frozen());
    assert_eq!(tenant.backend.create_trusonafication(log_in()).await.unwrap_err().reason, "USER_FROZEN");
    // The help desk deactivates the lost phone, and releases the user once it knows who has the new one.
    let binding = tenant.backend.device_binding(lost.device_identifier().as_str()).await.unwrap();
    assert!(binding.user_frozen);
    tenant.backend.deactivate_binding(&binding.id).await.unwrap();
    assert_eq!(tenant.backend.release_user("ada").await.unwrap().devices, 1);
    tenant.backend.create_trusonafication(log_in()).await.unwrap();
    asked(&new).await;
    assert_eq!(refused(lost.wait(Duration::ZERO).await), (403, "DEVICE_NOT_BOUND".into()));
}

async fn a_frozen_user_who_is_deleted_begins_anew(world: &World) {
    let tenant = world.tenant().await;
    tenant.active("ada").await;
    tenant.backend.freeze_user("ada", "").await.unwrap();
    let delete = async || backend(&world.http, &tenant.server, Method::DELETE, "/api/v2/users/ada", "").await.status;
    assert_eq!((delete().await, delete().await), (204, 404));
    let read = backend(&world.http, &tenant.server, Method::GET, "/api/v2/users/ada", "").await;
    assert_eq!((read.status, read.error.as_str()), (404, "USER_NOT_FOUND"));
    let new = tenant.active("ada").await;
    tenant.backend.create_trusonafication(log_in()).await.unwrap();
    asked(&new).await;
    // A user whose last phone was merely retired stays frozen, until the release or the user's deactivation.
    tenant.backend.freeze_user("ada", "").await.unwrap();
    new.retire().await.unwrap();
    let without = eventually("the binding ended", async || tenant.backend.user("ada").await.ok().filter(|user| user.devices == 0)).await;
    assert!(without.freeze.is_some());
    assert_eq!((delete().await, delete().await), (204, 404));
}

async fn no_auditor_is_shown_an_activation_code(world: &World) {
    let tenant = world.tenant().await;
    let mut codes = Vec::new();
    for _ in 0..3 {
        let phone = tenant.registered().await;
        codes.push((tenant.backend.create_binding("ada", phone.device_identifier().as_str()).await.unwrap().id, phone));
    }
    let active = tenant.active("ada").await;
    let mut auditor = signed_in(world, Role::Auditor).await;
    let mut operator = signed_in(world, Role::Operator).await;
    let all = "binding.v1.BindingService/ListBindings";
    let seen = operator.rpc(all, Some(&tenant.id), json!({"userIdentifier": "ada"})).await;
    assert_eq!((seen.status, seen.body["bindings"][3]["id"].as_str()), (200, Some(codes[0].0.as_str())));
    // Every page, one by one: neither in the rows nor in the page tokens.
    let (mut token, mut rows) = (String::new(), Vec::new());
    loop {
        let page = auditor.rpc(all, Some(&tenant.id), json!({"pageSize": 1, "pageToken": token})).await;
        assert_eq!(page.status, 200, "{}", page.body);
        rows.extend(page.body["bindings"].as_array().unwrap().clone());
        let Some(next) = page.body["nextPageToken"].as_str().filter(|next| !next.is_empty()) else { break };
        let decoded = String::from_utf8_lossy(&b64u_decode(next).unwrap()).into_owned();
        assert!(!codes.iter().any(|(code, _)| decoded.contains(code)), "{decoded}");
        next.clone_into(&mut token);
    }
    assert_eq!(rows.len(), 4, "each once: {rows:?}");
    let ids: Vec<_> = rows.iter().map(|row| row["id"].as_str().unwrap_or_default()).collect();
    assert_eq!((ids[0].is_empty(), &ids[1..]), (false, &["", "", ""][..]), "{rows:?}");
    let devices = auditor.rpc("binding.v1.UserService/ListUserDevices", Some(&tenant.id), json!({"userIdentifier": "ada"})).await;
    let one = auditor
        .rpc(
            "binding.v1.BindingService/GetDeviceBinding",
            Some(&tenant.id),
            json!({"deviceIdentifier": codes[0].1.device_identifier().as_str()}),
        )
        .await;
    assert_eq!((devices.status, one.status), (200, 200));
    for (code, _) in &codes {
        assert!(![&devices.body, &one.body].iter().any(|body| body.to_string().contains(code)), "{code}");
    }
    assert!(devices.body.to_string().contains(active.device_identifier().as_str()));
    // Another relying party's page token is invalid here.
    let other = world.tenant().await;
    let refused = auditor.rpc(all, Some(&other.id), json!({"pageSize": 1, "pageToken": token})).await;
    assert_eq!(refused.status, 422, "{}", refused.body);
}
