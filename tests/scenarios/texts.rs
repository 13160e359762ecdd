//! Text that some or all databases refuse: no field of any RPC and no route accepts it. The fields are read from the descriptors and from
//! the OpenAPI document, so that new ones are covered, too.

use std::collections::BTreeMap;

use nodkey_client::{Kind as ErrorKind, Nodkey};
use nodkey_kernel::{
    dpop,
    id::RelyingPartyId,
    jose::{PrivateKey, jws},
    random::Random,
    service_key::ServiceName,
    time::Clock,
};
use nodkey_proto::{
    FILE_DESCRIPTOR_SET,
    access::{ACCESS, Principal, owner},
    trusonafication::v1::ListTrusonaficationsRequest,
};
use nodkey_runtime::service_token;
use prost_reflect::{DescriptorPool, DynamicMessage, Kind, MapKey, MessageDescriptor, Value as Proto};
use reqwest::Method;
use serde_json::{Value, json};
use tonic::{Status, client::Grpc, codegen::http::uri::PathAndQuery, metadata::MetadataValue, transport::Channel};
use tonic_prost::ProstCodec;

use super::{
    access::channels,
    bad_input::{filled, key, operations},
    bearer,
    rpc::service,
};
use crate::{
    http::{self, Answered, backend, nobody, phone},
    world::{Tenant, World, eventually},
};

scenarios!(
    no_rpc_takes_nul_in_any_of_its_texts,
    no_route_takes_control_characters_in_any_of_its_texts,
    what_is_kept_to_the_letter_is_and_what_is_kept_of_proofs_is_text,
);

const NUL: &str = "a\0b";
/// How deep nested messages are tried.
const DEPTH: usize = 6;

/// A request for each text field of a message, with only this field set, and the name of the field.
fn requests(message: &MessageDescriptor, depth: usize) -> Vec<(String, DynamicMessage)> {
    let mut requests = Vec::new();
    let mut with = |field: &prost_reflect::FieldDescriptor, name: &str, value: Proto| {
        let mut request = DynamicMessage::new(message.clone());
        request.set_field(field, value);
        requests.push((name.to_owned(), request));
    };
    for field in message.fields() {
        let one = |value| if field.is_list() { Proto::List(vec![value]) } else { value };
        match field.kind() {
            Kind::String => with(&field, field.name(), one(Proto::String(NUL.to_owned()))),
            Kind::Message(entry) if field.is_map() && depth > 0 => {
                let of = |key: &str, value: Proto| Proto::Map([(MapKey::String(key.to_owned()), value)].into());
                let Kind::Message(inner) = entry.map_entry_value_field().kind() else { panic!("a map of what is no message") };
                with(&field, "key", of(NUL, Proto::Message(DynamicMessage::new(inner.clone()))));
                for (name, inner) in self::requests(&inner, depth - 1) {
                    with(&field, &name, of("k", Proto::Message(inner)));
                }
            }
            Kind::Message(inner) if depth > 0 => {
                for (name, inner) in self::requests(&inner, depth - 1) {
                    with(&field, &name, one(Proto::Message(inner)));
                }
            }
            _ => {}
        }
    }
    requests
}

/// The principals that may call methods.
struct Callers<'a> {
    world: &'a World,
    tenant: &'a Tenant,
    operator: Nodkey,
    channels: BTreeMap<&'static str, Channel>,
}

impl Callers<'_> {
    async fn call(&self, path: &str, allow: &[Principal], request: DynamicMessage) -> Result<(), Status> {
        let to = owner(path).unwrap_or(ServiceName::Registry);
        let service = service(path.strip_prefix("/nodkey.").unwrap());
        let path = PathAndQuery::try_from(path).unwrap();
        let operators = [Principal::Operator, Principal::Owner, Principal::Auditor, Principal::Oneself];
        if allow.contains(&Principal::Backend) {
            return send(self.tenant.backend.channel(service), path, tonic::Request::new(request)).await;
        }
        if operators.iter().any(|who| allow.contains(who)) {
            return send(self.operator.channel(service), path, tonic::Request::new(request)).await;
        }
        let party = self.tenant.id.parse().unwrap();
        let (name, party) = allow
            .iter()
            .find_map(|who| match who {
                Principal::Service(name) => Some((*name, party)),
                Principal::ForConsole(name) => Some((*name, RelyingPartyId::CONSOLE)),
                _ => None,
            })
            .unwrap();
        let key = self.world.service_keys().iter().find(|key| key.name() == name).unwrap();
        let exp = Clock::system().now().as_seconds() + 30;
        let claims = service_token::Claims { iss: name.to_string(), aud: format!("nodkey/{to}"), exp, rp: Some(party) };
        let token = format!("Bearer {}", key.sign(service_token::TYP, &claims));
        let mut request = tonic::Request::new(request);
        request.metadata_mut().insert("authorization", MetadataValue::try_from(token).unwrap());
        send(self.channels[to.as_str()].clone(), path, request).await
    }
}

async fn send<S>(channel: S, path: PathAndQuery, request: tonic::Request<DynamicMessage>) -> Result<(), Status>
where
    S: tonic::client::GrpcService<tonic::body::Body>,
    S::ResponseBody: tonic::codegen::Body + Send + 'static,
    <S::ResponseBody as tonic::codegen::Body>::Error: Into<tonic::codegen::StdError>,
    S::Error: std::fmt::Display,
{
    let mut grpc = Grpc::new(channel);
    grpc.ready().await.map_err(|e| Status::unavailable(e.to_string()))?;
    let codec = ProstCodec::<DynamicMessage, ()>::default();
    grpc.server_streaming(request, path, codec).await?.into_inner().message().await.map(|_| ())
}

async fn no_rpc_takes_nul_in_any_of_its_texts(world: &World) {
    let pool = DescriptorPool::decode(FILE_DESCRIPTOR_SET).unwrap();
    let tenant = world.tenant().await;
    let callers = Callers { world, tenant: &tenant, operator: world.operator(Some(&tenant.id)), channels: channels(world) };
    let gateway = tenant.backend_through(&world.one_address());
    let mut tried = 0;
    for (path, allow) in ACCESS.iter().filter(|(_, allow)| !allow.contains(&Principal::Public)) {
        let (service_name, name) = path.strip_prefix('/').unwrap().split_once('/').unwrap();
        let input = pool.get_service_by_name(service_name).unwrap().methods().find(|m| m.name() == name).unwrap().input();
        for (field, request) in requests(&input, DEPTH) {
            let mut refusals = vec![callers.call(path, allow, request.clone()).await];
            if allow.contains(&Principal::Backend) {
                let service = service(path.strip_prefix("/nodkey.").unwrap());
                let request = tonic::Request::new(request);
                refusals.push(send(gateway.channel(service), PathAndQuery::try_from(*path).unwrap(), request).await);
            }
            for refused in refusals {
                let refused = nodkey_client::Error::from(refused.unwrap_err());
                assert_eq!((refused.kind, refused.reason.as_str()), (ErrorKind::Invalid, "VALIDATION_FAILED"), "{path} {field}: {refused}");
                let named = refused.field_violations.iter().map(|violation| violation.field.split(['.', '[']).collect::<Vec<_>>());
                assert!(named.flatten().any(|part| part == field), "{path} {field}: {refused:?}");
            }
            tried += 1;
        }
    }
    assert!(tried >= 150, "{tried}");
    let list = tenant.backend.list_trusonafications(ListTrusonaficationsRequest::default()).await.unwrap();
    assert!(list.trusonafications.is_empty(), "nothing is stored");
}

/// Resolves references, and picks the alternative that is not null.
fn resolved<'a>(document: &'a Value, schema: &'a Value) -> &'a Value {
    if let Some(name) = schema["$ref"].as_str() {
        return resolved(document, document.pointer(name.trim_start_matches('#')).unwrap());
    }
    let several = ["oneOf", "anyOf", "allOf"].iter().find_map(|name| schema[*name].as_array());
    several.and_then(|all| all.iter().find(|one| one["type"] != "null")).map_or(schema, |one| resolved(document, one))
}

fn is(schema: &Value, kind: &str) -> bool {
    schema["type"] == kind || schema["type"].as_array().is_some_and(|kinds| kinds.iter().any(|one| one == kind))
}

/// Makes a body with a single member of this value.
type Body = Box<dyn Fn(Value) -> Value>;

/// Every member of a body without nested members: its name, and a function that makes a body with only this member.
pub(super) fn members(document: &Value, schema: &Value) -> Vec<(String, Body)> {
    let schema = resolved(document, schema);
    let mut found: Vec<(String, Body)> = Vec::new();
    if let Some(properties) = schema["properties"].as_object() {
        for (name, property) in properties {
            let inner = members(document, property);
            if inner.is_empty() {
                let member = name.clone();
                found.push((name.clone(), Box::new(move |value| json!({&member: value}))));
            }
            for (leaf, body) in inner {
                let member = name.clone();
                found.push((leaf, Box::new(move |value| json!({&member: body(value)}))));
            }
        }
    } else if is(schema, "array") {
        for (leaf, body) in members(document, &schema["items"]) {
            found.push((leaf, Box::new(move |value| json!([body(value)]))));
        }
    }
    found
}

/// Whether a member is text, judged by the response to a string in it.
fn is_text(document: &Value, schema: &Value, name: &str) -> bool {
    let schema = resolved(document, schema);
    let within = |inner: &Value| is_text(document, inner, name);
    match schema["properties"].as_object() {
        Some(properties) => properties.iter().any(|(member, property)| {
            let property = resolved(document, property);
            if member == name && property["properties"].is_null() {
                is(property, "string") || (is(property, "array") && is(resolved(document, &property["items"]), "string"))
            } else {
                within(property)
            }
        }),
        None => is(schema, "array") && within(&schema["items"]),
    }
}

/// Calls routes as a caller that they are for. Phones get a new key now and then, because of the rate limit of each device.
pub(super) struct Doors<'a> {
    world: &'a World,
    pub(super) tenant: &'a Tenant,
    phone: PrivateKey,
    called: usize,
}

impl<'a> Doors<'a> {
    const OFTEN: usize = 30;

    pub(super) async fn of(world: &'a World, tenant: &'a Tenant) -> Self {
        Self { world, tenant, phone: key(tenant).await, called: 0 }
    }

    /// `path` still has its parameters. Each is replaced by `parameter`, except a phone's own id.
    pub(super) async fn call(&mut self, scheme: &str, method: &Method, path: &str, parameter: &str, body: &str) -> Answered {
        self.called += 1;
        if scheme == "dpop" && self.called.is_multiple_of(Self::OFTEN) {
            self.phone = key(self.tenant).await;
        }
        let (route, query) = path.split_once('?').map_or((path, String::new()), |(route, query)| (route, format!("?{query}")));
        let route = if scheme == "dpop" { route.replace("{id}", &self.phone.public().thumbprint()) } else { route.to_owned() };
        let (http, target) = (&self.world.http, filled(&route, parameter) + &query);
        eventually("it may be called so often", async || {
            let answer = match scheme {
                "" => nobody(http, method.clone(), &target, body).await,
                "bearer" => {
                    let token = bearer::token(&self.tenant.server, "nodkey", 60);
                    bearer::call(self.world, &token, method.clone(), &target, body).await
                }
                "server" => backend(http, &self.tenant.server, method.clone(), &target, body).await,
                "mobile" => http::register(http, &self.tenant.mobile, &self.phone, body).await,
                _ => phone(http, &self.phone, method.clone(), &target, body).await,
            };
            (answer.status != 429).then_some(answer)
        })
        .await
    }
}

fn schema<'a>(document: &'a Value, method: &Method, path: &str) -> &'a Value {
    &document["paths"][path][method.as_str().to_lowercase()]["requestBody"]["content"]["application/json"]["schema"]
}

async fn no_route_takes_control_characters_in_any_of_its_texts(world: &World) {
    let document: Value = serde_json::from_str(&nodkey_gateway::openapi()).unwrap();
    let tenant = world.tenant().await;
    let mut doors = Doors::of(world, &tenant).await;
    let names = |answer: &Answered, field: &str| {
        let fields = answer.body["field_errors"].as_object().cloned().unwrap_or_default();
        fields.contains_key(field) || fields.keys().any(|name| name.split(['.', '[']).any(|part| part.trim_end_matches(']') == field))
    };
    let mut tried = 0;
    for (method, path, scheme, has_body) in operations() {
        let operation = &document["paths"][&path][method.as_str().to_lowercase()];
        let schemes = if scheme == "bearer" { vec!["bearer", "server"] } else { vec![scheme.as_str()] };
        for (parameter, scheme) in
            operation["parameters"].as_array().into_iter().flatten().flat_map(|it| schemes.iter().map(move |scheme| (it, *scheme)))
        {
            let parameter = resolved(&document, parameter);
            let name = parameter["name"].as_str().unwrap();
            // A phone's own path is part of its proof.
            let (path, value) = match parameter["in"].as_str().unwrap() {
                "path" if scheme == "dpop" && name == "id" => continue,
                "path" => (path.clone(), "a%00b"),
                // HTTP allows none in headers.
                "header" => continue,
                _ => (format!("{path}?{}=a%00b", name.replace("[]", "%5B%5D")), "x"),
            };
            let body = if has_body { "{}" } else { "" };
            let answer = doors.call(scheme, &method, &path, value, body).await;
            assert_eq!((answer.status, names(&answer, name)), (422, true), "{method} {path} {name}: {}", answer.body);
            tried += 1;
        }
        let schema = schema(&document, &method, &path);
        for (name, body) in members(&document, schema) {
            if !is_text(&document, schema, &name) {
                continue;
            }
            let texts = [json!(NUL), json!([NUL]), json!("a\nb"), json!("\u{7f}")];
            for (text, scheme) in texts.iter().flat_map(|text| schemes.iter().map(move |scheme| (text, *scheme))) {
                let (body, is_nul) = (body(text.clone()).to_string(), text.to_string().contains("\\u0000"));
                let answer = doors.call(scheme, &method, &path, "x", &body).await;
                assert!((400..500).contains(&answer.status), "{method} {path} {body}: {} {}", answer.status, answer.body);
                assert!(!is_nul || (answer.status == 422 && names(&answer, &name)), "{method} {path} {body}: {}", answer.body);
                tried += 1;
            }
        }
    }
    assert!(tried >= 150, "{tried}");
    let list = tenant.backend.list_trusonafications(ListTrusonaficationsRequest::default()).await.unwrap();
    assert!(list.trusonafications.is_empty(), "nothing is stored");
}

async fn what_is_kept_to_the_letter_is_and_what_is_kept_of_proofs_is_text(world: &World) {
    let tenant = world.tenant().await;
    tenant.active("ada").await;
    // JSON can escape NUL, although its text contains none.
    let ask = r#"{"user_identifier": "ada", "action": "a", "resource": "r", "custom_fields": {"a": "\u0000", "b": "1\n2"}}"#;
    let asked = backend(&world.http, &tenant.server, Method::POST, "/api/v2/trusonafications", ask).await;
    assert_eq!((asked.status, &asked.body["custom_fields"]), (201, &json!({"a": "\0", "b": "1\n2"})));
    // What distinguishes one proof from another is kept.
    let (device, random) = (key(&tenant).await, Random::system());
    let (path, body) = ("/api/v2/user_freezes", "{}");
    let url = format!("{}{path}", world.http);
    for jti in [format!("{}\0", random.token()), format!("{}\n", random.token())] {
        let claims = dpop::Claims {
            jti,
            htm: "POST".to_owned(),
            htu: url.clone(),
            iat: Clock::system().now().as_seconds(),
            bh: dpop::body_hash(body.as_bytes()),
        };
        let proof = jws::sign("dpop+jwt", None, Some(&device.public()), &claims, &device);
        let answer = http::read(reqwest::Client::new().post(&url).header("DPoP", proof).body(body).send().await.unwrap()).await;
        assert_eq!((answer.status, answer.error.as_str()), (401, "INVALID_PROOF"));
    }
}
