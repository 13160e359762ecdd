//! Custom fields are shown, signed and delivered verbatim, and what cannot be carried everywhere is accepted nowhere.

use nodkey_client::{AuthenticatedChannel, Error, Expected, Kind, NewTrusonafication, Nodkey, ServiceName};
use nodkey_db::{Db, DbConfig};
use nodkey_kernel::jose::b64u_decode;
use nodkey_mobile_sdk::Decision;
use nodkey_proto::{
    notification::v1::{CreateEndpointRequest, endpoint_service_client::EndpointServiceClient},
    registry::v1::Role,
    trusonafication::v1::{
        CreateTrusonaficationRequest, ListTrusonaficationsRequest, create_trusonafication_request::Target,
        trusonafication_service_client::TrusonaficationServiceClient,
    },
};
use prost_types::{ListValue, Struct, Value, value::Kind as Of};
use reqwest::Method;
use serde_json::json;

use super::{console::signed_in, webhook::verify};
use crate::{
    http::{Answered, backend, backend_with},
    processes::Plan,
    receiver::{Receiving, receiver},
    world::{SoftPhone, Tenant, World, asked},
};

scenarios!(
    what_the_backend_wrote_is_shown_signed_and_told_to_the_letter,
    fields_of_32_levels_are_answered_everywhere_and_deeper_ones_or_members_twice_are_taken_by_no_door,
);

/// JSON that another reader might spell or order differently.
const WRITTEN: &str =
    r#"{"iban": 89370400440532013000, "z":9007199254740993.0,"10":12345678901234567890123,"2": [1.0, 1e2,-0,  {"\u00e9":"\/"}], "a":"b" }"#;
const PATH: &str = "/api/v2/trusonafications";

fn client(backend: &Nodkey) -> TrusonaficationServiceClient<AuthenticatedChannel> {
    TrusonaficationServiceClient::new(backend.channel(ServiceName::Trusonafication))
}

/// The body of a prompt for ada with these custom fields.
fn body(fields: &str) -> String {
    format!(r#"{{"user_identifier": "ada", "action": "pay", "resource": "90 EUR", "custom_fields": {fields}}}"#)
}

fn asking(fields: &str) -> NewTrusonafication {
    NewTrusonafication::user("ada", "pay", "90 EUR").custom_fields_json(fields)
}

/// The same with the fields as a `Struct`.
fn with_struct(fields: Struct) -> CreateTrusonaficationRequest {
    CreateTrusonaficationRequest {
        target: Some(Target::UserIdentifier("ada".into())),
        action: "pay".into(),
        resource: "90 EUR".into(),
        custom_fields: Some(fields),
        ..CreateTrusonaficationRequest::default()
    }
}

/// A value with this many levels inside an object, arrays and objects alternating.
fn nested(levels: usize) -> String {
    let levels = 1 + levels;
    let opening: String = (0..levels).map(|level| if level % 2 == 0 { "{\"a\":" } else { "[" }).collect();
    let closing: String = (0..levels).rev().map(|level| if level % 2 == 0 { '}' } else { ']' }).collect();
    format!("{opening}1{closing}")
}

/// This many levels of objects inside one, with a number in the innermost.
fn nested_struct(levels: usize) -> Struct {
    let holding = |kind| Struct { fields: [("a".to_owned(), Value { kind: Some(kind) })].into() };
    (0..levels).fold(holding(Of::NumberValue(1.0)), |inner, _| holding(Of::StructValue(inner)))
}

/// The payload of a JWS, verbatim.
fn payload(jws: &str) -> String {
    String::from_utf8(b64u_decode(jws.split('.').nth(1).unwrap()).unwrap()).unwrap()
}

async fn get(world: &World, tenant: &Tenant, id: &str) -> Answered {
    let found = backend(&world.http, &tenant.server, Method::GET, &format!("{PATH}/{id}"), "").await;
    assert_eq!(found.status, 200, "{}", found.text);
    found
}

/// The custom fields of everything in a list, newest first.
async fn listed(backend: &Nodkey) -> Vec<String> {
    let found = client(backend).list_trusonafications(ListTrusonaficationsRequest::default()).await.unwrap().into_inner();
    found.trusonafications.into_iter().map(|t| t.custom_fields_json).collect()
}

/// Has a trusonafication accepted, and checks that everything about it carries these fields verbatim.
async fn accepted(world: &World, tenant: &Tenant, phone: &SoftPhone, told: &mut Receiving, secret: &str, id: &str, written: &str) {
    phone.respond(&asked(phone).await, Decision::Accept, None).await.unwrap();
    let member = format!("\"custom_fields\":{written},");
    let webhook = told.next().await;
    assert!(webhook.text.contains(&member), "{}", webhook.text);
    let result = verify(tenant, secret, &webhook).await.unwrap().result().unwrap();
    assert!(result.receipt.sub == id && result.data_json.contains(&member), "the receipt covers what is told");
    let found = get(world, tenant, id).await;
    assert!(found.text.contains(&member) && found.body["status"] == "ACCEPTED", "{}", found.text);
    assert_eq!(tenant.backend.trusonafication(id).await.unwrap().custom_fields_json, written);
    assert_eq!(tenant.backend.wait(id).await.unwrap().custom_fields_json, written);
    tenant.prove(id, &Expected::accept().trusonafication(id)).await.unwrap();
}

async fn endpoint(tenant: &Tenant) -> (Receiving, String) {
    let told = receiver(Vec::new()).await;
    let mut endpoints = EndpointServiceClient::new(tenant.backend.channel(ServiceName::Notification));
    let request = CreateEndpointRequest { url: told.url.clone(), ..CreateEndpointRequest::default() };
    let secret = endpoints.create_endpoint(request).await.unwrap().into_inner().secret;
    (told, secret)
}

async fn what_the_backend_wrote_is_shown_signed_and_told_to_the_letter(world: &World) {
    let tenant = world.tenant().await;
    let phone = tenant.active("ada").await;
    let (mut told, secret) = endpoint(&tenant).await;
    let written = format!("\"custom_fields\":{WRITTEN},");
    let mut ids = Vec::new();

    // Over HTTP, and once more: a repeated request gets the same response.
    let key = [("Idempotency-Key", "once")];
    let [created, again] = [
        backend_with(&world.http, &tenant.server, Method::POST, PATH, &body(WRITTEN), &key).await,
        backend_with(&world.http, &tenant.server, Method::POST, PATH, &body(WRITTEN), &key).await,
    ];
    assert_eq!((created.status, &created.text), (201, &again.text));
    assert!(created.text.contains(&written), "{}", created.text);
    ids.push(created.body["id"].as_str().unwrap().to_owned());
    let other = body(&WRITTEN.replace("1.0", "1"));
    let other = backend_with(&world.http, &tenant.server, Method::POST, PATH, &other, &key).await;
    assert_eq!((other.status, other.error.as_str()), (422, "IDEMPOTENCY_MISMATCH"), "another spelling is another content");

    // Over gRPC, through the service and through the gateway.
    for backend in [tenant.backend_at(world), tenant.backend_through(&world.one_address())] {
        for id in ids.drain(..) {
            let pending = asked(&phone).await;
            assert_eq!(pending.challenge.custom_fields.as_ref().unwrap().as_json(), WRITTEN);
            assert!(get(world, &tenant, &id).await.text.contains(&written));
            accepted(world, &tenant, &phone, &mut told, &secret, &id, WRITTEN).await;
            let evidence = tenant.backend.evidence(&id).await.unwrap();
            assert!(payload(&evidence.challenge).contains(&format!("\"fields\":{WRITTEN},")));
            let proven = tenant.prove(&id, &Expected::accept().trusonafication(&id)).await.unwrap();
            assert_eq!(proven.challenge.fields.unwrap().as_str(), WRITTEN);
        }
        let created = backend.create_trusonafication(asking(WRITTEN)).await.unwrap().trusonafication;
        assert_eq!((created.custom_fields_json.as_str(), created.custom_fields), (WRITTEN, None), "no Struct holds these numbers");
        assert_eq!(backend.trusonafication(&created.id).await.unwrap().custom_fields_json, WRITTEN);
        assert!(listed(&backend).await.iter().all(|fields| fields == WRITTEN));
        ids.push(created.id);
    }
    let mut browser = signed_in(world, Role::Auditor).await;
    let method = "trusonafication.v1.TrusonaficationService/GetTrusonafication";
    let shown = browser.rpc(method, Some(&tenant.id), json!({"id": ids[0]})).await;
    assert_eq!((shown.status, shown.body["customFieldsJson"].as_str()), (200, Some(WRITTEN)));
    accepted(world, &tenant, &phone, &mut told, &secret, &ids[0], WRITTEN).await;

    // A callback, and fields sent as a `Struct`: its numbers are doubles. Responses contain a `Struct`, too, where it says the same.
    let mut called = receiver(Vec::new()).await;
    let id = tenant.backend.create_trusonafication(asking(WRITTEN).callback_url(&called.url)).await.unwrap().trusonafication.id;
    accepted(world, &tenant, &phone, &mut told, &secret, &id, WRITTEN).await;
    let text = called.next().await.text;
    assert!(text.contains(&written), "{text}");
    let created = client(&tenant.backend).create_trusonafication(with_struct(nested_struct(1))).await.unwrap().into_inner();
    let created = created.trusonafication.unwrap();
    assert_eq!((created.custom_fields_json.as_str(), created.custom_fields), (r#"{"a":{"a":1}}"#, Some(nested_struct(1))));
    accepted(world, &tenant, &phone, &mut told, &secret, &created.id, r#"{"a":{"a":1}}"#).await;
}

async fn fields_of_32_levels_are_answered_everywhere_and_deeper_ones_or_members_twice_are_taken_by_no_door(world: &World) {
    let tenant = world.tenant().await;
    let phone = tenant.active("ada").await;
    let (mut told, secret) = endpoint(&tenant).await;
    let backends = [tenant.backend_at(world), tenant.backend_through(&world.one_address())];
    let fits = nested(32);

    let created = backend(&world.http, &tenant.server, Method::POST, PATH, &body(&fits)).await;
    assert_eq!(created.status, 201, "{}", created.text);
    accepted(world, &tenant, &phone, &mut told, &secret, created.body["id"].as_str().unwrap(), &fits).await;
    for backend in &backends {
        let created = backend.create_trusonafication(asking(&fits)).await.unwrap().trusonafication;
        assert!(created.custom_fields_json == fits && created.custom_fields.is_some());
        accepted(world, &tenant, &phone, &mut told, &secret, &created.id, &fits).await;
        let created = client(backend).create_trusonafication(with_struct(nested_struct(32))).await.unwrap().into_inner();
        let created = created.trusonafication.unwrap();
        assert_eq!(created.custom_fields, Some(nested_struct(32)));
        accepted(world, &tenant, &phone, &mut told, &secret, &created.id, &created.custom_fields_json).await;
    }
    let taken = listed(&tenant.backend).await;

    for refused in
        [&nested(33), &nested(34), &nested(60), &nested(5_000), r#"{"a":1,"a":1}"#, r#"{"x":[{"a":1,"\u0061":2}]}"#, r#"{"a":1e400}"#]
    {
        let answer = backend(&world.http, &tenant.server, Method::POST, PATH, &body(refused)).await;
        assert_eq!((answer.status, answer.error.as_str()), (422, "VALIDATION_FAILED"), "{refused}");
        assert!(answer.body["field_errors"]["custom_fields"].is_array(), "{}", answer.text);
        for backend in &backends {
            let error = backend.create_trusonafication(asking(refused)).await.unwrap_err();
            assert_eq!((error.kind, error.field_violations[0].field.as_str()), (Kind::Invalid, "custom_fields"), "{refused}");
        }
    }
    let holding = |kind| Struct { fields: [("a".to_owned(), Value { kind: Some(kind) })].into() };
    let lists = |levels: usize| {
        let list = |values| Of::ListValue(ListValue { values });
        holding((1..levels).fold(list(Vec::new()), |inner, _| list(vec![Value { kind: Some(inner) }])))
    };
    let structs = [33, 34, 60].map(nested_struct).into_iter().chain([33, 48, 60].map(lists));
    for refused in structs.chain([f64::NAN, f64::INFINITY].map(|n| holding(Of::NumberValue(n)))) {
        for backend in &backends {
            let error = client(backend).create_trusonafication(with_struct(refused.clone())).await.unwrap_err();
            assert_eq!(error.code(), tonic::Code::InvalidArgument, "{error}");
            assert_eq!(Error::from(error).field_violations[0].field, "custom_fields");
        }
    }
    assert_eq!(listed(&tenant.backend).await, taken, "nothing else was asked");
}

/// Custom fields as earlier releases accepted them, too deep and with duplicate members: they are still shown, returned, listed and
/// delivered.
async fn what_was_taken_before_is_as_it_was(world: &World, db: &Db) {
    let tenant = world.tenant().await;
    let phone = tenant.active("ada").await;
    let (mut told, secret) = endpoint(&tenant).await;
    let mut browser = signed_in(world, Role::Auditor).await;
    let mut planted = Vec::new();
    for old in [nested(33), nested(60), nested(119), r#"{"a":1,"b":{"c":1,"c":2.0},"a":89370400440532013000}"#.to_owned()] {
        let id = tenant.backend.create_trusonafication(asking("{\"a\":1}")).await.unwrap().trusonafication.id;
        let plant = db.execute("UPDATE trusonafication SET custom_fields = $1 WHERE id = $2");
        plant.bind(old.as_str()).bind(id.parse::<uuid::Uuid>().unwrap()).execute().await.unwrap();
        planted.insert(0, old.clone());
        assert_eq!(listed(&tenant.backend).await, planted);
        assert!(get(world, &tenant, &id).await.text.contains(&format!("\"custom_fields\":{old},")));
        let verification = backend(&world.http, &tenant.server, Method::GET, &format!("/api/v1/verifications/{id}"), "").await;
        assert_eq!(verification.status, 200);
        for method in ["GetTrusonafication", "ListTrusonafications"] {
            let message = if method.starts_with("Get") { json!({"id": id}) } else { json!({}) };
            let method = format!("trusonafication.v1.TrusonaficationService/{method}");
            assert_eq!(browser.rpc(&method, Some(&tenant.id), message).await.status, 200, "{method}");
        }
        accepted(world, &tenant, &phone, &mut told, &secret, &id, &old).await;
    }
    let id = tenant.backend.create_trusonafication(asking("{\"a\":1}")).await.unwrap().trusonafication.id;
    let plant = db.execute("UPDATE trusonafication SET custom_fields = $1 WHERE id = $2");
    plant.bind(nested(60).as_str()).bind(id.parse::<uuid::Uuid>().unwrap()).execute().await.unwrap();
    assert_eq!(backend(&world.http, &tenant.server, Method::DELETE, &format!("{PATH}/{id}"), "").await.status, 204);
    let canceled = verify(&tenant, &secret, &told.next().await).await.unwrap().result().unwrap();
    assert!(canceled.event_type == "trusonafication.canceled" && canceled.data_json.contains(&nested(60)));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_a_data_folder_has_from_before_is_as_it_was() {
    let world = World::embedded().await;
    let url = format!("sqlite:{}", world.data_dir().join("trusonafication.db").display());
    let db = Db::connect(&DbConfig { max_connections: 1, ..DbConfig::new(url) }).await.unwrap();
    what_was_taken_before_is_as_it_was(&world, &db).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_a_database_has_from_before_is_as_it_was() {
    let topology = Plan::new().run().await;
    let server = topology.plan.postgres.rsplit_once('/').unwrap().0;
    let db = Db::connect(&DbConfig::new(format!("{server}/{}", topology.plan.database("trusonafication")))).await.unwrap();
    what_was_taken_before_is_as_it_was(&topology.world, &db).await;
}
