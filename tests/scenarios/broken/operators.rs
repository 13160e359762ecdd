//! A service's secrets cannot do what only operators may do.

use std::{collections::BTreeSet, time::Duration};

use nodkey_kernel::{
    id::RelyingPartyId,
    jose::{Algorithm, PrivateKey, b64u_decode, hs256, jws},
    operator_key::{OPERATOR_TYP, OperatorKey},
    time::Clock,
};
use nodkey_mobile_sdk::Decision as Answer;
use nodkey_proto::{
    binding::v1::{ActivateBindingRequest, CreateBindingRequest, binding_service_client::BindingServiceClient},
    registry::v1::{
        AuditEntry, CreateAuditEntryRequest, CreateConfirmationRequest, CreateOperatorSessionRequest, CreateRelyingPartyRequest,
        DisableRelyingPartyRequest, EndOperatorSessionRequest, GetConfirmationRequest, ResolveOperatorSessionRequest, Role,
        audit_service_client::AuditServiceClient, confirmation_service_client::ConfirmationServiceClient,
        operator_session_service_client::OperatorSessionServiceClient, relying_party_service_client::RelyingPartyServiceClient,
    },
    trusonafication::v1::{
        CreateTrusonaficationRequest, create_trusonafication_request::Target, trusonafication_service_client::TrusonaficationServiceClient,
    },
};
use nodkey_runtime::token;
use prost::Message as _;
use serde_json::json;
use tonic::{Code, Request};

use super::{ServiceName, Thief, channels};
use crate::{
    browser::Browser,
    confirmations::{confirmation, to_confirm},
    operators::{enrolled, invite, register, scan, sign_in, standing},
    processes::Plan,
    world::{World, asked},
};

scenarios!(
    no_service_gets_or_ends_a_session_of_an_operator_who_is_not_calling,
    a_phone_that_the_key_of_the_registry_binds_to_an_owner_signs_nobody_in,
    with_the_key_of_another_service_nobody_confirms_what_is_the_operators_to_confirm,
    what_an_operator_confirms_signs_nobody_in,
);

async fn no_service_gets_or_ends_a_session_of_an_operator_who_is_not_calling(world: &World) {
    let tenant = world.tenant().await;
    let (phone, _) = enrolled(world, "Ada", Role::Owner).await;
    let mut browser = sign_in(world, &phone).await;
    let session = browser.session();
    let (id, secret) = session.split_once('.').unwrap();
    let (kid, now, hour) = (format!("operator/{id}"), Clock::system().now(), Duration::from_hours(1));
    let wrong = [
        String::new(),
        id.to_owned(),
        token::sign(&kid, &"f".repeat(64), "nodkey", now),
        token::sign(&kid, secret, "nodkey", now - hour),
        token::sign(&kid, secret, "other", now),
    ];
    for thief in Thief::all(world, &tenant) {
        let mut registry = OperatorSessionServiceClient::new(thief.to(ServiceName::Registry));
        for bearer_token in &wrong {
            let request = ResolveOperatorSessionRequest { id: id.into(), bearer_token: bearer_token.clone() };
            assert_eq!(registry.resolve_operator_session(request).await.unwrap_err().code(), Code::NotFound, "{}", thief.name);
            let request = EndOperatorSessionRequest { id: id.into(), bearer_token: bearer_token.clone() };
            let ended = registry.end_operator_session(request).await;
            assert_eq!(ended.is_ok(), thief.name == ServiceName::Gateway, "what is not there ends without effect");
        }
        let request = ResolveOperatorSessionRequest { id: id.into(), bearer_token: token::sign(&kid, secret, "nodkey", now) };
        let resolved = registry.resolve_operator_session(request).await.unwrap().into_inner();
        assert_eq!((resolved.proven, resolved.secret.as_str()), (true, ""), "whoever is called learns who calls, and no secret");
    }
    assert_eq!(browser.get("/console/api/session").await.body["operator"]["name"], "Ada");
}

/// The registry defines the operators, so its key can bind phones for them. The phone that an operator signs in with is set in the
/// registry's database.
async fn a_phone_that_the_key_of_the_registry_binds_to_an_owner_signs_nobody_in(world: &World) {
    let console = RelyingPartyId::CONSOLE.to_string();
    let (owners, owner) = enrolled(world, "Ada", Role::Owner).await;
    let (strange, _) = register(world, &invite(world, "Eve", Role::Auditor).await.link).await;
    let ask =
        CreateTrusonaficationRequest { target: Some(Target::UserIdentifier(owner.clone())), ..CreateTrusonaficationRequest::default() };
    for name in ServiceName::ALL {
        let thief = Thief { world, name: *name, party: console.clone() };
        let mut bindings = BindingServiceClient::new(thief.to(ServiceName::Binding));
        let request = CreateBindingRequest {
            user_identifier: owner.clone(),
            device_identifier: strange.device_identifier().as_str().into(),
            ..CreateBindingRequest::default()
        };
        match bindings.create_binding(request).await {
            Ok(bound) => {
                assert_eq!(thief.name, ServiceName::Registry);
                let request = ActivateBindingRequest { id: bound.into_inner().id };
                bindings.activate_binding(request).await.unwrap();
            }
            Err(refused) => assert_eq!(refused.code(), Code::PermissionDenied, "{}", thief.name),
        }
        // None of them can prompt an operator by name, except the registry: its prompts confirm calls and sign nobody in.
        let mut owner = TrusonaficationServiceClient::new(thief.to(ServiceName::Trusonafication));
        let refused = owner.create_trusonafication(ask.clone()).await.unwrap_err();
        let expected = if thief.name == ServiceName::Registry { Code::InvalidArgument } else { Code::PermissionDenied };
        assert_eq!(refused.code(), expected, "{}", thief.name);
    }
    let mut browser = Browser::new(&world.http);
    scan(&mut browser, &strange).await;
    strange.respond(&asked(&strange).await, Answer::Accept, None).await.unwrap();
    assert_eq!(standing(&mut browser, "SCANNED").await, "REFUSED");
    assert_eq!(browser.get("/console/api/session").await.body["operator"], serde_json::Value::Null);
    sign_in(world, &owners).await;
}

/// Only the phone's signature counts: the keys of services can neither request it for an operator nor have anything else accepted in its
/// place.
async fn with_the_key_of_another_service_nobody_confirms_what_is_the_operators_to_confirm(world: &World) {
    let tenant = world.tenant().await;
    let (phone, id) = enrolled(world, "Ada", Role::Owner).await;
    let mut browser = sign_in(world, &phone).await;
    let (method, message) = ("registry.v1.RelyingPartyService/DisableRelyingParty", json!({"id": tenant.id}));
    let (unanswered, _) = to_confirm(&mut browser, method, None, &message).await;
    let entry = AuditEntry {
        operator_id: id,
        actor: "Ada".into(),
        role: "owner".into(),
        relying_party_id: tenant.id.clone(),
        method: format!("nodkey.{method}"),
        ..AuditEntry::default()
    };
    let sha256 = nodkey_kernel::jose::sha256(&DisableRelyingPartyRequest { id: tenant.id.clone() }.encode_to_vec());
    let intent =
        CreateAuditEntryRequest { entry: Some(entry), confirmation_id: unanswered.clone(), request_sha256: sha256.to_vec().into() };
    for thief in Thief::all(world, &tenant) {
        let mut confirmations = ConfirmationServiceClient::new(thief.to(ServiceName::Registry));
        let create = CreateConfirmationRequest { method: format!("nodkey.{method}"), request: message.to_string(), ..Default::default() };
        assert_eq!(confirmations.create_confirmation(create).await.unwrap_err().code(), Code::PermissionDenied, "{}", thief.name);
        let get = GetConfirmationRequest { id: unanswered.clone(), wait_seconds: 0 };
        assert_eq!(confirmations.get_confirmation(get).await.unwrap_err().code(), Code::PermissionDenied, "{}", thief.name);
        // Services that write the log cannot confirm anything themselves: nobody has accepted it.
        let mut log = AuditServiceClient::new(thief.to(ServiceName::Registry));
        let code = log.create_audit_entry(intent.clone()).await.unwrap_err().code();
        let expected = if thief.name == ServiceName::Gateway { Code::PermissionDenied } else { Code::FailedPrecondition };
        assert_eq!(code, expected, "{}", thief.name);
    }
    // Once the operator has accepted, only the service that owns the method may use the confirmation.
    let intent = CreateAuditEntryRequest { confirmation_id: confirmation(&mut browser, &phone, method, None, &message).await, ..intent };
    for thief in Thief::all(world, &tenant).filter(|thief| thief.name != ServiceName::Gateway) {
        let mut log = AuditServiceClient::new(thief.to(ServiceName::Registry));
        let taken = log.create_audit_entry(intent.clone()).await;
        assert_eq!(taken.is_ok(), thief.name == ServiceName::Registry, "{}", thief.name);
    }
}

/// With the gateway's key, sessions can be begun from the accept of somebody who scanned a code. A confirmation is something else.
async fn what_an_operator_confirms_signs_nobody_in(world: &World) {
    let tenant = world.tenant().await;
    let (phone, _) = enrolled(world, "Ada", Role::Owner).await;
    let mut browser = sign_in(world, &phone).await;
    let invite = json!({"name": "Eve", "role": "ROLE_OWNER"});
    let (_, number) = to_confirm(&mut browser, "registry.v1.OperatorService/InviteOperator", None, &invite).await;
    let pending = asked(&phone).await;
    phone.respond(&pending, Answer::Accept, Some(&number)).await.unwrap();
    let gateway = Thief::all(world, &tenant).find(|thief| thief.name == ServiceName::Gateway).unwrap();
    let mut sessions = OperatorSessionServiceClient::new(gateway.to(ServiceName::Registry));
    let request = CreateOperatorSessionRequest { trusonafication_id: pending.id.to_string(), ..Default::default() };
    let refused = sessions.create_operator_session(request).await.unwrap_err();
    assert_eq!(nodkey_client::Error::from(refused).reason, "SIGN_IN_NOT_ACCEPTED");
    // Nor does a sign-in count as a confirmation.
    let mut other = Browser::new(&world.http);
    scan(&mut other, &phone).await;
    let pending = asked(&phone).await;
    phone.respond(&pending, Answer::Accept, None).await.unwrap();
    let answer = browser.rpc_confirmed("registry.v1.OperatorService/InviteOperator", None, invite, pending.id.as_str()).await;
    assert_eq!((answer.status, answer.error.as_str()), (424, "CONFIRMATION_REQUIRED"));
}

/// Every token for a service that could be made from a secret: as a symmetric key under each name in use, and as a private key.
fn tokens(secret: &str, kids: &[String], service: ServiceName) -> Vec<String> {
    let exp = Clock::system().now().as_seconds() + 30;
    let audiences = ["nodkey".to_owned(), format!("nodkey/{service}")];
    let seed = hex::decode(secret).ok().or_else(|| b64u_decode(secret).ok()).unwrap_or_default();
    let key = PrivateKey::from_secret_bytes(Algorithm::EdDsa, &seed).ok();
    let mut all = Vec::new();
    for (kid, aud) in kids.iter().flat_map(|kid| audiences.iter().map(move |aud| (kid, aud))) {
        let claims = serde_json::json!({"aud": aud, "exp": exp, "iss": "operator"});
        all.push(hs256::sign(Some(kid), &claims, secret.as_bytes()));
        all.push(hs256::sign(Some(kid), &claims, &seed));
        let by_key = |key: &PrivateKey| [OPERATOR_TYP, "JWT"].map(|typ| jws::sign(typ, Some(kid), None, &claims, key));
        all.extend(key.iter().flat_map(by_key));
    }
    all
}

/// All strings in a setting: the setting itself, or the members of the document that it contains.
fn strings(setting: &str) -> Vec<String> {
    fn collect(value: &serde_json::Value, into: &mut Vec<String>) {
        match value {
            serde_json::Value::String(text) => into.push(text.clone()),
            serde_json::Value::Array(items) => items.iter().for_each(|item| collect(item, into)),
            serde_json::Value::Object(members) => {
                into.push(value.to_string());
                members.values().for_each(|member| collect(member, into));
            }
            _ => {}
        }
    }
    let mut all = vec![setting.to_owned()];
    if let Ok(document) = serde_json::from_str(setting) {
        collect(&document, &mut all);
    }
    all
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nobody_acts_for_operators_with_all_that_a_service_holds() {
    let topology = Plan::new().run().await;
    let keys = &topology.plan.keys;
    let operator = OperatorKey::from_secret(&keys.operator()).unwrap();
    let registry = channels(&topology.world).remove("registry").unwrap();
    let create = async |token: &str| {
        let mut value = format!("Bearer {token}").parse::<tonic::metadata::MetadataValue<_>>().unwrap();
        value.set_sensitive(true);
        let mut request = Request::new(CreateRelyingPartyRequest { name: "Mallory".into(), ..CreateRelyingPartyRequest::default() });
        request.metadata_mut().insert("authorization", value);
        RelyingPartyServiceClient::new(registry.clone()).create_relying_party(request).await
    };
    for service in ServiceName::ALL {
        let settings = keys.settings(service.as_str());
        let held: BTreeSet<_> = settings.values().flat_map(|setting| strings(setting)).collect();
        assert!(!held.contains(&keys.operator()), "{service} holds the private half");
        assert_eq!(held.contains(operator.kid()), *service != ServiceName::Gateway, "{service} verifies operators");
        let kids = ["operator", "internal", operator.kid()].map(ToOwned::to_owned);
        for token in held.iter().flat_map(|secret| tokens(secret, &kids, ServiceName::Registry)) {
            let refused = create(&token).await.unwrap_err();
            assert_eq!(refused.code(), Code::Unauthenticated, "{service}: {token}");
        }
    }
    // What an operator shows to one service is useless at another.
    let shown = |to: ServiceName| {
        let exp = Clock::system().now().as_seconds() + 30;
        operator.sign(&serde_json::json!({"aud": format!("nodkey/{to}"), "exp": exp}))
    };
    for other in ServiceName::ALL.iter().filter(|name| **name != ServiceName::Registry) {
        assert_eq!(create(&shown(*other)).await.unwrap_err().code(), Code::Unauthenticated, "{other}");
    }
    create(&shown(ServiceName::Registry)).await.unwrap();
}
