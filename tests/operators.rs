//! Operators with their phones and browsers.

use std::sync::Arc;

use nodkey_client::ServiceName;
use nodkey_mobile_sdk::{Decision, Phone, software::SoftwareKeyStore};
use nodkey_proto::registry::v1::{Invitation, InviteOperatorRequest, Role, operator_service_client::OperatorServiceClient};
use serde_json::{Value, json};

use crate::{
    browser::Browser,
    world::{SoftPhone, World, asked, built, phone_config},
};

/// Invites an operator.
pub async fn invite(world: &World, name: &str, role: Role) -> Invitation {
    let mut operators = OperatorServiceClient::new(world.operator(None).channel(ServiceName::Registry));
    let request = InviteOperatorRequest { name: name.into(), role: role.into(), ..InviteOperatorRequest::default() };
    operators.invite_operator(request).await.unwrap().into_inner()
}

/// The token in the path of an invitation link.
pub fn ticket(link: &str) -> String {
    link.split_once("#enrol=").unwrap().1.to_owned()
}

/// Registers a phone by an invitation. Returns it, and the body that makes it the operator's.
pub async fn register(world: &World, link: &str) -> (SoftPhone, Value) {
    register_with(world, link, SoftwareKeyStore::generate()).await
}

/// Does the same with these keys.
pub async fn register_with(world: &World, link: &str, keys: SoftwareKeyStore) -> (SoftPhone, Value) {
    let opened = Browser::new(&world.http).get(&ticket(link)).await;
    assert_eq!((opened.status, &opened.body["relying_party"]), (200, &json!("Nodkey console")));
    let mobile = &opened.body["mobile"];
    let config = phone_config(
        &world.http,
        mobile["token"].as_str().unwrap(),
        mobile["secret"].as_str().unwrap(),
        world.endpoints.ca_certificate.as_deref(),
    );
    let phone = built(Phone::builder(config, Arc::new(keys)));
    let registered = phone.register("operator's phone").await.unwrap();
    (phone, json!({"device_identifier_jwt": registered.device_identifier_jwt}))
}

/// Enrols a phone for an operator.
pub async fn enrolled(world: &World, name: &str, role: Role) -> (SoftPhone, String) {
    let invitation = invite(world, name, role).await;
    let (phone, jwt) = register(world, &invitation.link).await;
    assert_eq!(Browser::new(&world.http).post(&ticket(&invitation.link), &jwt).await.status, 204);
    (phone, invitation.operator.unwrap().id)
}

/// Begins a sign-in and scans its code with a phone. The browser's wait sends the challenge.
pub async fn scan(browser: &mut Browser, phone: &SoftPhone) {
    let begun = browser.post("/console/api/sign_in", &json!({})).await;
    assert_eq!(begun.status, 201, "{}", begun.body);
    let scanned = phone.scan(begun.body["payload"].as_str().unwrap()).await.unwrap();
    assert_eq!(scanned.context.relying_party, "Nodkey console");
    phone.pair(&scanned, None).await.unwrap();
    assert_ne!(standing(browser, "WAITING").await, "WAITING");
}

/// The state of a browser's sign-in, once it differs from `known`.
pub async fn standing(browser: &mut Browser, known: &str) -> String {
    let answer = browser.get(&format!("/console/api/sign_in?wait=30&after={known}")).await;
    answer.body["status"].as_str().unwrap_or_else(|| panic!("{}", answer.body)).to_owned()
}

/// Signs in with that phone.
pub async fn sign_in(world: &World, phone: &SoftPhone) -> Browser {
    let mut browser = Browser::new(&world.http);
    scan(&mut browser, phone).await;
    phone.respond(&asked(phone).await, Decision::Accept, None).await.unwrap();
    assert_eq!(standing(&mut browser, "SCANNED").await, "ACCEPTED");
    browser
}
