//! Backends reach everything they may call at the gateway's address, over gRPC and HTTP, and nothing else is there.

use std::{collections::BTreeSet, pin::pin, time::Duration};

use futures_util::{StreamExt as _, future::join_all};
use nodkey_client::{AuthenticatedChannel, Credential, Kind, NewTrusonafication, Nodkey, ServiceName, is_success};
use nodkey_gateway::Config;
use nodkey_mobile_sdk::Decision;
use nodkey_proto::{
    binding::v1::{ListBindingsRequest, binding_service_client::BindingServiceClient},
    registry::v1::{ListRelyingPartiesRequest, Role, relying_party_service_client::RelyingPartyServiceClient},
    trusonafication::v1::{
        GetTrusonaficationRequest, ListTrusonaficationsRequest, Status, Trusonafication, WatchResultsRequest, WatchTrusonaficationRequest,
        WatchTrusonaficationsRequest, trusonafication_service_client::TrusonaficationServiceClient,
    },
};
use serde_json::json;
use tokio::sync::mpsc;
use tokio_stream::wrappers::ReceiverStream;
use tonic::{Code, Request};

use super::access::{Tokens, channel, knock, table};
use crate::{
    operators::{enrolled, sign_in},
    world::{PATIENCE, Tenant, World, asked, eventually},
};

scenarios!(
    what_is_for_backends_or_operators_who_signed_in_is_there_for_them_and_nothing_else_for_anybody,
    a_login_needs_no_other_address,
    both_sides_stream_on_one_call,
    a_refusal_arrives_as_the_service_said_it,
    a_message_above_its_limit_is_refused_and_custom_fields_have_room,
    a_deadline_ends_a_call_and_a_stream,
    nobody_acts_for_another_by_a_header,
    what_is_no_grpc_is_told_what_is_missing,
);

const UNKNOWN: &str = "00000000-0000-7000-8000-000000000000";

fn log_in() -> NewTrusonafication {
    NewTrusonafication::user("ada", "log in", "Acme")
}

fn trusonafications(backend: &Nodkey) -> TrusonaficationServiceClient<AuthenticatedChannel> {
    TrusonaficationServiceClient::new(backend.channel(ServiceName::Trusonafication))
}

/// A trusonafication that nobody has answered.
async fn open(tenant: &Tenant) -> String {
    tenant.backend.create_trusonafication(log_in()).await.unwrap().trusonafication.id
}

async fn what_is_for_backends_or_operators_who_signed_in_is_there_for_them_and_nothing_else_for_anybody(world: &World) {
    let (principals, rows) = table();
    let tokens = Tokens::of(world).await;
    let mut channel = channel(&world.http, world.endpoints.ca_certificate.as_ref());
    let column = |name: &str| principals.iter().position(|principal| *principal == name).unwrap();
    let mut wrong = Vec::new();
    let people = ["auditor", "operator", "owner"];
    for (method, cells) in rows {
        let path = format!("/nodkey.{method}");
        // What every process serves for itself is served nowhere else.
        let for_people = people.iter().any(|name| cells[column(name)] == "yes") && !method.starts_with("status.");
        for principal in &principals {
            let code = knock(&mut channel, &path, tokens.token(principal, &path, tokens.party).as_deref()).await;
            let [backend, public] = ["backend", "public"].map(|name| cells[column(name)] == "yes");
            let through = !matches!(code, Code::Unauthenticated | Code::PermissionDenied | Code::Unimplemented | Code::Unavailable);
            let right = match (backend, public, *principal) {
                // The service checks the identity, and what the role allows.
                (_, false, person) if people.contains(&person) && (backend || for_people) => {
                    if cells[column(person)] == "yes" {
                        through
                    } else {
                        code == Code::PermissionDenied
                    }
                }
                (false, ..) => code == Code::Unimplemented,
                // A caller that is not a backend is nobody here.
                (true, false, other) if other != "backend" => code == Code::Unauthenticated,
                (true, ..) => through,
            };
            if !right {
                wrong.push(format!("{method} by {principal}: {code:?}"));
            }
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    for path in ["/nodkey.registry.v1.DeviceService/Nothing", "/grpc.health.v1.Health/Nothing", "/nothing"] {
        assert_eq!(knock(&mut channel, path, None).await, Code::Unimplemented, "{path}");
    }
}

async fn a_login_needs_no_other_address(world: &World) {
    let tenant = world.tenant().await;
    let backend = tenant.backend_through(&world.one_address());
    let phone = tenant.registered().await;
    let binding = backend.create_binding("ada", phone.device_identifier().as_str()).await.unwrap();
    backend.activate_binding(&binding.id).await.unwrap();
    let id = backend.create_trusonafication(log_in()).await.unwrap().trusonafication.id;
    let mut watch = pin!(backend.watch(&id).await.unwrap());
    assert_eq!(watch.next().await.unwrap().unwrap().status(), Status::InProgress);
    let (done, ()) = tokio::join!(backend.wait(&id), async {
        phone.respond(&asked(&phone).await, Decision::Accept, None).await.unwrap();
    });
    assert!(is_success(&done.unwrap()));
    assert_eq!(watch.next().await.unwrap().unwrap().status(), Status::Accepted);
    assert!(watch.next().await.is_none(), "and then it ends");
    let expected = nodkey_client::Expected::accept().trusonafication(&id).user("ada");
    nodkey_client::verify_evidence(&backend.evidence(&id).await.unwrap(), &backend.jwks().await.unwrap(), &expected).unwrap();
    assert_eq!(backend.list_trusonafications(ListTrusonaficationsRequest::default()).await.unwrap().trusonafications.len(), 1);
    assert_eq!(backend.deactivate_user("ada").await.unwrap(), [phone.device_identifier().as_str()]);
}

async fn both_sides_stream_on_one_call(world: &World) {
    let tenant = world.tenant().await;
    let phone = tenant.active("ada").await;
    // The same as at the service itself.
    for endpoints in [world.endpoints.clone(), world.one_address()] {
        let (ids, receiver) = mpsc::channel(8);
        let send = async |id: &str| ids.send(WatchResultsRequest { id: id.to_owned() }).await.unwrap();
        let backend = tenant.backend_through(&endpoints);
        let mut results = trusonafications(&backend).watch_results(ReceiverStream::new(receiver)).await.unwrap().into_inner();
        for decision in [Decision::Accept, Decision::Reject] {
            let id = open(&tenant).await;
            send(&id).await;
            send(&id).await;
            phone.respond(&asked(&phone).await, decision, None).await.unwrap();
            let result = results.message().await.unwrap().unwrap();
            assert_eq!((result.id, result.trusonafication.map(|t| is_success(&t))), (id, Some(decision == Decision::Accept)));
        }
        send("no such id").await;
        let result = results.message().await.unwrap().unwrap();
        assert_eq!((result.id.as_str(), result.trusonafication), ("no such id", None));
        drop(ids);
        assert!(results.message().await.unwrap().is_none(), "it ends in order");
    }
}

async fn a_refusal_arrives_as_the_service_said_it(world: &World) {
    let tenant = world.tenant().await;
    let backend = tenant.backend_through(&world.one_address());
    for new in [NewTrusonafication::user("ada", "", "Acme"), NewTrusonafication::user("nobody", "log in", "Acme")] {
        let here = backend.create_trusonafication(new.clone()).await.unwrap_err();
        let there = tenant.backend.create_trusonafication(new).await.unwrap_err();
        assert_eq!((here.kind, here.reason, here.message), (there.kind, there.reason, there.message));
        assert_eq!(here.field_violations, there.field_violations);
    }
    let unknown = backend.wait(UNKNOWN).await.unwrap_err();
    assert_eq!(unknown.kind, Kind::NotFound, "{unknown}");
    let too_long = GetTrusonaficationRequest { id: UNKNOWN.into(), wait_seconds: 61 };
    let refused = trusonafications(&backend).get_trusonafication(too_long).await.unwrap_err();
    assert_eq!(nodkey_client::Error::from(refused).reason, "VALIDATION_FAILED");
}

async fn a_message_above_its_limit_is_refused_and_custom_fields_have_room(world: &World) {
    let tenant = world.tenant().await;
    tenant.active("ada").await;
    let backend = tenant.backend_through(&world.one_address());
    for large in [70_000, 3_000_000] {
        let refused = backend.device(&"x".repeat(large)).await.unwrap_err();
        assert_eq!((refused.kind, refused.reason.as_str()), (Kind::TooLarge, "MESSAGE_TOO_LARGE"), "{refused}");
        let refused = backend.create_binding(&"x".repeat(large), "y").await.unwrap_err();
        assert_eq!((refused.kind, refused.reason.as_str()), (Kind::TooLarge, "MESSAGE_TOO_LARGE"), "{refused}");
        let refused = backend.trusonafication(&"x".repeat(large)).await.unwrap_err();
        assert_eq!((refused.kind, refused.reason.as_str()), (Kind::TooLarge, "MESSAGE_TOO_LARGE"), "{refused}");
    }
    let fields = json!({"contract": "x".repeat(900_000)});
    let new = log_in().custom_fields(fields.as_object().unwrap());
    let created = backend.create_trusonafication(new).await.unwrap().trusonafication;
    let read = backend.trusonafication(&created.id).await.unwrap();
    assert_eq!(read.custom_fields_json, fields.to_string());
}

async fn a_deadline_ends_a_call_and_a_stream(world: &World) {
    let tenant = world.tenant().await;
    tenant.active("ada").await;
    let id = open(&tenant).await;
    let backend = tenant.backend_through(&world.one_address());
    let within = Duration::from_millis(200);
    let mut wait = Request::new(GetTrusonaficationRequest { id: id.clone(), wait_seconds: 30 });
    wait.set_timeout(within);
    let ended = trusonafications(&backend).get_trusonafication(wait).await.unwrap_err();
    assert!(matches!(ended.code(), Code::DeadlineExceeded | Code::Cancelled), "{ended}");
    // Without a deadline, it is answered with the current state when the wait is over.
    let wait = GetTrusonaficationRequest { id: id.clone(), wait_seconds: 1 };
    assert_eq!(trusonafications(&backend).get_trusonafication(wait).await.unwrap().into_inner().status(), Status::InProgress);
    let mut watch = Request::new(WatchTrusonaficationRequest { id });
    watch.set_timeout(within);
    let mut states = trusonafications(&backend).watch_trusonafication(watch).await.unwrap().into_inner();
    assert_eq!(states.message().await.unwrap().unwrap().status(), Status::InProgress);
    assert_eq!(states.message().await.unwrap_err().code(), Code::DeadlineExceeded);
    let mut watch = Request::new(WatchTrusonaficationsRequest::default());
    watch.set_timeout(within);
    let mut updates = trusonafications(&backend).watch_trusonafications(watch).await.unwrap().into_inner();
    assert_eq!(updates.message().await.unwrap_err().code(), Code::DeadlineExceeded);
}

async fn nobody_acts_for_another_by_a_header(world: &World) {
    let (tenant, other) = (world.tenant().await, world.tenant().await);
    other.active("ada").await;
    let backend = tenant.backend_through(&world.one_address());
    for name in ["x-nodkey-relying-party", "x-nodkey-service"] {
        let mut request = Request::new(ListBindingsRequest::default());
        request.metadata_mut().insert(name, other.id.parse().unwrap());
        let mut bindings = BindingServiceClient::new(backend.channel(ServiceName::Binding));
        assert!(bindings.list_bindings(request).await.unwrap().into_inner().bindings.is_empty());
    }
}

async fn what_is_no_grpc_is_told_what_is_missing(world: &World) {
    let mut client = reqwest::Client::builder().http1_only();
    if let Some(authority) = &world.endpoints.ca_certificate {
        client = client.add_root_certificate(reqwest::Certificate::from_pem(authority.as_bytes()).unwrap());
    }
    let client = client.build().unwrap();
    let url = format!("{}/nodkey.registry.v1.SigningKeyService/GetJwks", world.http);
    let call = async |content_type: &str| client.post(&url).header("content-type", content_type).send().await.unwrap().status().as_u16();
    assert_eq!(call("application/json").await, 415);
    assert_eq!(call("application/grpc-web").await, 415);
    assert_eq!(call("application/grpc").await, 505);
    assert_eq!(client.get(format!("{}/nothing", world.http)).send().await.unwrap().status().as_u16(), 404);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn all_who_wait_at_one_client_share_a_stream() {
    const WAITS: u32 = 20;
    // One permit for a stream, one for each wait on it, and one for the phone.
    let world = World::embedded_with(Config { max_waiting_per_party: WAITS + 2, ..Config::default() }).await;
    let tenant = world.tenant().await;
    let backend = tenant.backend_through(&world.one_address());
    let phone = tenant.active("ada").await;
    let mut ids = Vec::new();
    for _ in 0..WAITS {
        ids.push(open(&tenant).await);
    }
    let waits = join_all(ids.iter().map(|id| backend.wait(id)));
    let (ended, ()) = tokio::join!(waits, async {
        let mut left: BTreeSet<_> = ids.iter().cloned().collect();
        while !left.is_empty() {
            for pending in phone.wait(PATIENCE).await.unwrap() {
                left.remove(pending.id.as_str());
                phone.respond(&pending, Decision::Accept, None).await.unwrap();
            }
        }
    });
    let ended: Vec<Trusonafication> = ended.into_iter().map(Result::unwrap).collect();
    assert!(ended.iter().all(is_success));
    assert_eq!(ended.into_iter().map(|t| t.id).collect::<Vec<_>>(), ids);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn each_relying_party_has_its_share_of_streams_and_what_is_given_up_is_given_back() {
    let world = World::embedded_with(Config { streams_per_party: 1, max_waiting_per_party: 2, ..Config::default() }).await;
    let (tenant, other) = (world.tenant().await, world.tenant().await);
    tenant.active("ada").await;
    let id = open(&tenant).await;
    let [mut mine, mut theirs] = [&tenant, &other].map(|tenant| trusonafications(&tenant.backend_through(&world.one_address())));
    let all = WatchTrusonaficationsRequest::default;
    let one = || WatchTrusonaficationRequest { id: id.clone() };
    let held = (mine.watch_trusonafications(all()).await.unwrap(), mine.watch_trusonafication(one()).await.unwrap());
    let refused = [mine.watch_trusonafications(all()).await.unwrap_err(), mine.watch_trusonafication(one()).await.unwrap_err()];
    for (refused, reason) in refused.into_iter().zip(["TOO_MANY_STREAMS", "TOO_MANY_WAITS"]) {
        assert_eq!(refused.code(), Code::ResourceExhausted, "{refused}");
        assert_eq!(nodkey_client::Error::from(refused).reason, reason);
    }
    // Others are not affected, nor are calls that hold nothing.
    theirs.watch_trusonafications(all()).await.unwrap();
    tenant.backend_through(&world.one_address()).trusonafication(&id).await.unwrap();
    drop(held);
    eventually("the places are free", async || {
        let (mut mine, mut again) = (mine.clone(), mine.clone());
        (mine.watch_trusonafications(all()).await.is_ok() && again.watch_trusonafication(one()).await.is_ok()).then_some(())
    })
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn operators_reach_their_methods_at_the_one_address_where_that_is_switched_on() {
    for (operator_grpc, expected) in [(false, Some(Code::Unimplemented)), (true, None)] {
        let world = World::embedded_with(Config { operator_grpc, ..Config::default() }).await;
        let tenant = world.tenant().await;
        let through = World::at(world.http.clone(), world.one_address(), world.operator_key().to_owned());
        let mut parties = RelyingPartyServiceClient::new(through.operator(None).channel(ServiceName::Registry));
        let listed = parties.list_relying_parties(ListRelyingPartiesRequest::default()).await;
        assert_eq!(listed.err().map(|status| status.code()), expected);
        // For a tenant: operators may set the header.
        let mut bindings = BindingServiceClient::new(through.operator(Some(&tenant.id)).channel(ServiceName::Binding));
        let listed = bindings.list_bindings(ListBindingsRequest::default()).await;
        let expected = expected.map(|_| Code::Unauthenticated);
        assert_eq!(listed.err().map(|status| status.code()), expected);
        // Methods for services are not served here.
        let tokens = Tokens::of(&world).await;
        let path = "/nodkey.registry.v1.CredentialService/ResolveCredential";
        let mut channel = channel(&world.http, None);
        assert_eq!(knock(&mut channel, path, tokens.token("gateway", path, tokens.party).as_deref()).await, Code::Unimplemented);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn who_signed_in_reaches_the_methods_for_operators_where_there_is_a_console() {
    let list = async |world: &World, session: &str| {
        let (id, secret) = session.split_once('.').unwrap();
        let client = Nodkey::connect(&world.one_address(), Credential::operator_session(id, secret, None)).unwrap();
        let mut parties = RelyingPartyServiceClient::new(client.channel(ServiceName::Registry));
        parties.list_relying_parties(ListRelyingPartiesRequest::default()).await.err().map(|status| status.code())
    };
    let invented = format!("{UNKNOWN}.secret");
    let without = World::embedded_with(Config { console: false, ..Config::default() }).await;
    assert_eq!(list(&without, &invented).await, Some(Code::Unimplemented));
    let world = World::embedded().await;
    let (phone, _) = enrolled(&world, "Audrey", Role::Auditor).await;
    let session = sign_in(&world, &phone).await.session();
    assert_eq!(list(&world, &session).await, None);
    // Invented sessions belong to nobody, and count against the limit of their address.
    let mut answers = Vec::new();
    while !answers.contains(&Some(Code::ResourceExhausted)) {
        answers.push(list(&world, &invented).await);
        assert!(answers.len() < 1_000, "it goes on for ever");
    }
    answers.dedup();
    assert_eq!(answers, [Some(Code::Unauthenticated), Some(Code::ResourceExhausted)]);
}
