//! Calls that operators confirm on their phones: refused without a confirmation, done with it, and a confirmation is valid for nothing
//! else.

use std::time::Duration;

use nodkey_client::{Credential, Error, Nodkey, ServiceName};
use nodkey_kernel::{
    jose::{b64u, sha256},
    time::Clock,
};
use nodkey_mobile_sdk::{Decision, Outcome, RejectReason};
use nodkey_proto::{
    access::RECONFIRMED,
    binding::v1::{ImportRow, ImportUsersRequest, import_service_client::ImportServiceClient},
    registry::v1::{
        AuditEntry, CreateConfirmationRequest, ListAuditEntriesRequest, Role, audit_service_client::AuditServiceClient,
        confirmation_service_client::ConfirmationServiceClient,
    },
};
use prost::Message as _;
use serde_json::{Value, json};
use tonic::Request;

use crate::{
    browser::Browser,
    confirmations::{confirmation, confirmed, to_confirm},
    http::Answered,
    operators::{enrolled, sign_in},
    world::{SoftPhone, Tenant, World, asked},
};

scenarios!(
    what_outlives_a_session_is_refused_without_a_confirmation_and_done_with_one,
    what_cannot_be_done_is_refused_before_the_phone_is_asked,
    a_confirmation_is_for_its_operator_its_request_and_once,
    what_the_phone_rejects_or_does_not_answer_is_not_done,
    a_phone_shows_what_exactly_will_be_done_and_wants_the_number,
    nobody_is_asked_for_what_they_may_not_do_and_the_operator_key_asks_nobody,
    an_import_is_confirmed_as_the_stream_it_is,
    the_console_imports_an_array_as_the_stream_that_was_confirmed,
    an_act_is_in_the_audit_log_with_what_confirmed_it,
);

const INVITE: &str = "registry.v1.OperatorService/InviteOperator";
const DISABLE: &str = "registry.v1.RelyingPartyService/DisableRelyingParty";
const CREATE: &str = "registry.v1.ConfirmationService/CreateConfirmation";
const GET: &str = "registry.v1.ConfirmationService/GetConfirmation";
const IMPORT: &str = "nodkey.binding.v1.ImportService/ImportUsers";

fn refused(answer: &Answered) -> (u16, &str) {
    (answer.status, answer.error.as_str())
}

const UNCONFIRMED: (u16, &str) = (424, "CONFIRMATION_REQUIRED");

async fn owner(world: &World) -> (SoftPhone, Browser) {
    let (phone, _) = enrolled(world, "Ada", Role::Owner).await;
    let browser = sign_in(world, &phone).await;
    (phone, browser)
}

async fn what_cannot_be_done_is_refused_before_the_phone_is_asked(world: &World) {
    let (phone, mut browser) = owner(world).await;
    let (_, other) = enrolled(world, "Grace", Role::Operator).await;
    for (method, message) in [
        (INVITE, json!({"name": " ", "role": "ROLE_AUDITOR"})),
        ("registry.v1.OperatorService/UpdateOperator", json!({"id": other, "name": " "})),
    ] {
        let request = json!({"method": format!("nodkey.{method}"), "request": message.to_string()});
        let answer = browser.rpc(CREATE, None, request).await;
        assert_eq!((answer.status, answer.error.as_str()), (422, "VALIDATION_FAILED"), "{}", answer.body);
        assert!(answer.body["field_errors"].get("name").is_some(), "{}", answer.body);
    }
    assert!(phone.wait(Duration::ZERO).await.unwrap().is_empty());
}

async fn what_outlives_a_session_is_refused_without_a_confirmation_and_done_with_one(world: &World) {
    let tenant = world.tenant().await;
    let (phone, mut browser) = owner(world).await;
    let (_, other) = enrolled(world, "Grace", Role::Operator).await;
    // All tests have an operator key. A caller with a confirmation gets the errors of the request itself.
    let wrong = || json!({"algorithm": "RS256"});
    let cases = [
        (INVITE, json!({"name": "Eve", "role": "ROLE_AUDITOR"}), 200),
        ("registry.v1.OperatorService/UpdateOperator", json!({"id": other, "role": "ROLE_OWNER"}), 200),
        ("registry.v1.OperatorService/RenewInvitation", json!({"id": other}), 200),
        ("registry.v1.OperatorService/DisableOperator", json!({"id": other}), 200),
        ("registry.v1.SigningKeyService/RotateSigningKey", wrong(), 422),
        ("trusonafication.v1.SigningKeyService/RotateSigningKey", wrong(), 422),
        (DISABLE, json!({"id": tenant.id}), 200),
    ];
    let mut tried: Vec<_> = cases.iter().map(|(method, ..)| format!("/nodkey.{method}")).collect();
    for (method, message, status) in cases {
        assert_eq!(refused(&browser.rpc(method, None, message.clone()).await), UNCONFIRMED, "{method}");
        let answer = confirmed(&mut browser, &phone, method, None, message).await;
        assert_eq!(answer.status, status, "{method}: {}", answer.body);
    }
    tried.push(format!("/{IMPORT}"));
    tried.sort_unstable();
    let mut all = RECONFIRMED.to_vec();
    all.sort_unstable();
    assert_eq!(tried, all);
}

async fn a_confirmation_is_for_its_operator_its_request_and_once(world: &World) {
    let (tenant, other) = (world.tenant().await, world.tenant().await);
    let (phone, mut browser) = owner(world).await;
    let (_, mut another) = owner(world).await;
    let message = json!({"id": tenant.id});
    let id = confirmation(&mut browser, &phone, DISABLE, None, &message).await;
    for (what, browser, method, party, message) in [
        ("another operator", &mut another, DISABLE, None, message.clone()),
        ("another request", &mut browser.stolen(), DISABLE, None, json!({"id": other.id})),
        ("another relying party", &mut browser.stolen(), DISABLE, Some(other.id.as_str()), message.clone()),
        ("another method", &mut browser.stolen(), INVITE, None, json!({"name": "Eve", "role": "ROLE_OWNER"})),
    ] {
        let answer = browser.rpc_confirmed(method, party, message, &id).await;
        assert_eq!(refused(&answer), UNCONFIRMED, "{what}");
    }
    for nothing in ["", "x", "018f4c1e-0000-7000-8000-000000000000"] {
        assert_eq!(refused(&browser.rpc_confirmed(DISABLE, None, message.clone(), nothing).await), UNCONFIRMED, "{nothing}");
    }
    let found = another.rpc(GET, None, json!({"id": id})).await;
    assert_eq!(refused(&found), (404, "NOT_FOUND"), "nor is it shown to others");
    // In any order, and with or without default values: it is the same request.
    let (mut first, mut second) = (browser.stolen(), browser.stolen());
    let (one, two) =
        tokio::join!(first.rpc_confirmed(DISABLE, None, message.clone(), &id), second.rpc_confirmed(DISABLE, None, message.clone(), &id));
    let mut both = [one.status, two.status];
    both.sort_unstable();
    assert_eq!(both, [200, 424], "of two that race one is done");
    assert_eq!(refused(&browser.rpc_confirmed(DISABLE, None, message, &id).await), UNCONFIRMED, "used");
    let used = browser.rpc(GET, None, json!({"id": id})).await;
    assert_eq!(used.body["state"], json!("CONFIRMATION_STATE_USED"));
}

async fn what_the_phone_rejects_or_does_not_answer_is_not_done(world: &World) {
    let message = json!({"name": "Eve", "role": "ROLE_OWNER"});
    let try_it = async |browser: &mut Browser, id: &str, state: &str| {
        let found = browser.rpc(GET, None, json!({"id": id})).await;
        assert_eq!(found.body["state"], json!(state));
        assert_eq!(refused(&browser.rpc_confirmed(INVITE, None, message.clone(), id).await), UNCONFIRMED, "{state}");
    };
    let (phone, mut browser) = owner(world).await;
    let (id, number) = to_confirm(&mut browser, INVITE, None, &message).await;
    try_it(&mut browser, &id, "CONFIRMATION_STATE_WAITING").await;
    phone.reject(&asked(&phone).await, RejectReason::NotMe).await.unwrap();
    try_it(&mut browser, &id, "CONFIRMATION_STATE_REJECTED").await;
    // An operator who answered so is not prompted again in this session, and knowing the number does not help.
    let again = browser.rpc(CREATE, None, json!({"method": format!("nodkey.{INVITE}"), "request": message.to_string()})).await;
    assert_eq!(refused(&again), (424, "PROMPTS_HELD"), "{number}");
    // A wrong number, as from somebody who does not see the page.
    let (phone, mut browser) = owner(world).await;
    let (id, number) = to_confirm(&mut browser, INVITE, None, &message).await;
    let wrong = number.chars().map(|digit| if digit == '9' { '0' } else { '9' }).collect::<String>();
    let answer = phone.respond(&asked(&phone).await, Decision::Accept, Some(&wrong)).await.unwrap();
    assert_eq!(answer.outcome, Outcome::Rejected);
    try_it(&mut browser, &id, "CONFIRMATION_STATE_REJECTED").await;
    // A confirmation replaced by the next one.
    let (_phone, mut browser) = owner(world).await;
    let (first, _) = to_confirm(&mut browser, INVITE, None, &message).await;
    to_confirm(&mut browser, INVITE, None, &message).await;
    try_it(&mut browser, &first, "CONFIRMATION_STATE_EXPIRED").await;
}

async fn a_phone_shows_what_exactly_will_be_done_and_wants_the_number(world: &World) {
    let tenant = world.tenant_of("Acme Bank", true).await;
    let (phone, mut browser) = owner(world).await;
    let (_, id) = enrolled(world, "Grace Hopper", Role::Operator).await;
    let service = "registry.v1.OperatorService";
    for (method, message, action, resource) in [
        (INVITE.to_owned(), json!({"name": "Eve", "role": "ROLE_OWNER"}), "invite an owner", "Eve"),
        (format!("{service}/UpdateOperator"), json!({"id": id, "role": "ROLE_OWNER"}), "make an owner", "Grace Hopper"),
        (format!("{service}/RenewInvitation"), json!({"id": id}), "give the operator a new phone", "Grace Hopper"),
        (format!("{service}/DisableOperator"), json!({"id": id}), "disable the operator", "Grace Hopper"),
        (DISABLE.to_owned(), json!({"id": tenant.id}), "end the relying party", "Acme Bank"),
        (
            "registry.v1.SigningKeyService/RotateSigningKey".to_owned(),
            json!({"atOnce": true}),
            "revoke the signing keys and make a new one",
            "registry, EdDSA",
        ),
    ] {
        let (confirmation, number) = to_confirm(&mut browser, &method, None, &message).await;
        let pending = asked(&phone).await;
        assert_eq!((pending.challenge.action.as_str(), pending.challenge.resource.as_str()), (action, resource));
        assert_eq!((pending.challenge.level, pending.challenge.number_match.is_some()), (2, true));
        phone.respond(&pending, Decision::Accept, Some(&number)).await.unwrap();
        let accepted = browser.rpc(GET, None, json!({"id": confirmation, "waitSeconds": 10})).await;
        assert_eq!(accepted.body["state"], json!("CONFIRMATION_STATE_ACCEPTED"));
    }
}

async fn nobody_is_asked_for_what_they_may_not_do_and_the_operator_key_asks_nobody(world: &World) {
    let tenant = world.tenant().await;
    let ask = |method: &str, request: Value| json!({"method": format!("nodkey.{method}"), "request": request.to_string()});
    let (phone, _) = enrolled(world, "Otto", Role::Operator).await;
    let mut operator = sign_in(world, &phone).await;
    let answer = operator.rpc(CREATE, None, ask(DISABLE, json!({"id": tenant.id}))).await;
    assert_eq!(refused(&answer), (403, "NOT_ALLOWED"));
    let (phone, _) = enrolled(world, "Audrey", Role::Auditor).await;
    let mut auditor = sign_in(world, &phone).await;
    assert_eq!(refused(&auditor.rpc(CREATE, None, ask(INVITE, json!({"name": "Eve"}))).await), (403, "NOT_ALLOWED"));
    let (_phone, mut owner) = owner(world).await;
    for (message, expected) in [
        (ask("registry.v1.RelyingPartyService/CreateRelyingParty", json!({"name": "Shop"})), "VALIDATION_FAILED"),
        (ask("nothing.v1.Service/Method", json!({})), "VALIDATION_FAILED"),
        (ask(INVITE, json!({"nonsense": 1})), "VALIDATION_FAILED"),
        (ask(DISABLE, json!({"id": "018f4c1e-0000-7000-8000-000000000000"})), "NOT_FOUND"),
        (json!({"method": IMPORT, "streamSha256": "AAAA"}), "VALIDATION_FAILED"),
    ] {
        assert_eq!(owner.rpc(CREATE, Some(&tenant.id), message.clone()).await.error, expected, "{message}");
    }
    let mut key = ConfirmationServiceClient::new(world.operator(None).channel(ServiceName::Registry));
    let create = CreateConfirmationRequest { method: format!("nodkey.{INVITE}"), ..CreateConfirmationRequest::default() };
    assert_eq!(Error::from(key.create_confirmation(create).await.unwrap_err()).reason, "NOT_ALLOWED");
}

/// The body of a stream in gRPC framing.
fn body(messages: &[ImportUsersRequest]) -> Vec<u8> {
    let framed = |message: &ImportUsersRequest| {
        let bytes = message.encode_to_vec();
        [&[0][..], &u32::try_from(bytes.len()).unwrap().to_be_bytes(), &bytes].concat()
    };
    messages.iter().flat_map(framed).collect()
}

async fn import(client: &Nodkey, messages: Vec<ImportUsersRequest>, confirmation: Option<&str>) -> Result<i32, Error> {
    let mut request = Request::new(tokio_stream::iter(messages));
    if let Some(id) = confirmation {
        request.metadata_mut().insert("x-nodkey-confirmation", id.parse().unwrap());
    }
    let mut imports = ImportServiceClient::new(client.channel(ServiceName::Binding));
    Ok(imports.import_users(request).await?.into_inner().changed)
}

async fn an_import_is_confirmed_as_the_stream_it_is(world: &World) {
    let tenant: Tenant = world.tenant_of("Acme Bank", true).await;
    let (phone, _) = enrolled(world, "Otto", Role::Operator).await;
    let mut browser = sign_in(world, &phone).await;
    let session = browser.session();
    let (id, secret) = session.split_once('.').unwrap();
    let rows = |names: &[&str]| {
        let row = |name: &&str| ImportRow { user_identifier: (*name).into(), trusona_id: "123456789".into(), ..ImportRow::default() };
        vec![ImportUsersRequest { rows: names.iter().map(row).collect(), dry_run: false }]
    };
    let (wanted, other) = (rows(&["ada"]), rows(&["eve"]));
    // At the services themselves, and at the single public address.
    for endpoints in [&world.endpoints, &world.one_address()] {
        let credential = Credential::operator_session(id, secret, Some(tenant.id.clone()));
        let client = Nodkey::connect(endpoints, credential).unwrap();
        assert_eq!(import(&client, wanted.clone(), None).await.unwrap_err().reason, "CONFIRMATION_REQUIRED");
        let ask = json!({"method": IMPORT, "streamSha256": b64u(&sha256(&body(&wanted)))});
        let created = browser.rpc(CREATE, Some(&tenant.id), ask).await;
        let pending = asked(&phone).await;
        assert!(pending.challenge.action.starts_with("import users, file ") && pending.challenge.resource == "Acme Bank");
        phone.respond(&pending, Decision::Accept, created.body["matchNumber"].as_str()).await.unwrap();
        let confirmation = created.body["confirmation"]["id"].as_str().unwrap();
        if endpoints.registry == world.endpoints.registry {
            let refused = import(&client, other.clone(), Some(confirmation)).await.unwrap_err();
            assert_eq!(refused.reason, "CONFIRMATION_REQUIRED", "{refused}");
            let again = import(&client, wanted.clone(), Some(confirmation)).await.unwrap_err();
            assert_eq!(again.reason, "CONFIRMATION_REQUIRED", "it was used, and nothing was done by it");
        } else {
            assert_eq!(import(&client, wanted.clone(), Some(confirmation)).await.unwrap(), 1);
        }
    }
}

async fn the_console_imports_an_array_as_the_stream_that_was_confirmed(world: &World) {
    let tenant = world.tenant().await;
    let (phone, _) = enrolled(world, "Otto", Role::Operator).await;
    let mut browser = sign_in(world, &phone).await;
    let row =
        |line: i32, name: &str| ImportRow { line, user_identifier: name.into(), trusona_id: line.to_string(), ..ImportRow::default() };
    let wanted = [(2, "ada"), (3, "bjørn")].map(|(line, name)| ImportUsersRequest { rows: vec![row(line, name)], dry_run: false });
    let as_json = |names: [&str; 2]| {
        let message = |(line, name)| json!({"rows": [{"line": line, "userIdentifier": name, "trusonaId": format!("{line}")}]});
        Value::Array((2..).zip(names).map(message).collect())
    };
    let method = IMPORT.trim_start_matches("nodkey.");
    for (names, expected) in [(["ada", "eve"], UNCONFIRMED), (["ada", "bjørn"], (200, ""))] {
        let ask = json!({"method": IMPORT, "streamSha256": b64u(&sha256(&body(&wanted)))});
        let created = browser.rpc(CREATE, Some(&tenant.id), ask).await;
        phone.respond(&asked(&phone).await, Decision::Accept, created.body["matchNumber"].as_str()).await.unwrap();
        let confirmation = created.body["confirmation"]["id"].as_str().unwrap();
        let answer = browser.rpc_confirmed(method, Some(&tenant.id), as_json(names), confirmation).await;
        assert_eq!(refused(&answer), expected, "{}", answer.body);
        if answer.status == 200 {
            assert_eq!(answer.body, json!({"changed": 2}), "nothing was imported by the first");
        }
    }
}

async fn an_act_is_in_the_audit_log_with_what_confirmed_it(world: &World) {
    let tenant = world.tenant().await;
    let (phone, id) = enrolled(world, "Ada", Role::Owner).await;
    let mut browser = sign_in(world, &phone).await;
    let message = json!({"id": tenant.id});
    let confirmation = confirmation(&mut browser, &phone, DISABLE, None, &message).await;
    let wrong = browser.rpc_confirmed(INVITE, None, json!({"name": "Eve", "role": "ROLE_OWNER"}), &confirmation).await;
    assert_eq!(refused(&wrong), UNCONFIRMED);
    assert_eq!(browser.rpc_confirmed(DISABLE, None, message, &confirmation).await.status, 200);
    let mut log = AuditServiceClient::new(world.operator(None).channel(ServiceName::Registry));
    let request = ListAuditEntriesRequest { operator_id: id, ..ListAuditEntriesRequest::default() };
    let entries: Vec<AuditEntry> = log.list_audit_entries(request).await.unwrap().into_inner().entries;
    let told: Vec<_> = entries.iter().map(|e| (e.method.rsplit('/').next().unwrap(), e.outcome.as_str())).collect();
    let expected = [
        ("DisableRelyingParty", "OK"),
        ("UseConfirmation", "OK"),
        ("InviteOperator", "CONFIRMATION_REQUIRED"),
        ("CreateConfirmation", "OK"),
        ("CreateOperatorSession", "OK"),
        ("AcceptInvitation", "OK"),
    ];
    assert_eq!(told, expected);
    assert!(entries[1].request.contains(&confirmation) && entries[1].relying_party_id == tenant.id, "{}", entries[1].request);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_confirmation_is_over_two_minutes_after_the_answer() {
    let clock = Clock::manual(Clock::system().now());
    let world = World::embedded_by(clock.clone()).await;
    let (phone, mut browser) = owner(&world).await;
    let message = json!({"name": "Eve", "role": "ROLE_OWNER"});
    let id = confirmation(&mut browser, &phone, INVITE, None, &message).await;
    clock.advance(Duration::from_secs(121));
    assert_eq!(browser.rpc(GET, None, json!({"id": id})).await.body["state"], json!("CONFIRMATION_STATE_EXPIRED"));
    assert_eq!(refused(&browser.rpc_confirmed(INVITE, None, message, &id).await), UNCONFIRMED);
}
