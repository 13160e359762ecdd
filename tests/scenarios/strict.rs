//! Input that would have no effect is refused, with messages of our own: unknown members, parameters and names, values that cannot be
//! changed, invalid times, keys that cannot be encrypted to.

use nodkey_client::{Error, Kind, ServiceName};
use nodkey_kernel::{
    id::RelyingPartyId,
    jose::{Algorithm, PrivateKey, b64u},
    random::Random,
    time::Clock,
};
use nodkey_proto::{
    FILE_DESCRIPTOR_SET,
    access::{ACCESS, Principal},
    notification::v1::{CreateEndpointRequest, endpoint_service_client::EndpointServiceClient},
    trusonafication::v1::ListTrusonaficationsRequest,
};
use prost_reflect::DescriptorPool;
use reqwest::Method;
use serde_json::{Value, json};

use super::{
    bad_input::{key, operations},
    rpc::{UNKNOWN, call},
    texts::{Doors, members},
};
use crate::{
    http::{self, backend, phone},
    world::World,
};

scenarios!(
    no_refusal_speaks_the_words_of_a_library,
    phones_are_told_what_nobody_knows_and_old_backends_are_not,
    what_cannot_be_changed_is_refused_by_its_name,
    names_in_filters_that_nothing_has_are_refused,
    an_answer_says_no_address_but_the_one_that_was_asked_by,
    times_beyond_all_bounds_are_refused_or_over,
    a_push_key_that_is_no_point_is_refused,
    urls_are_kept_as_everybody_reads_them,
);

/// Words of libraries in error messages that help nobody.
const WORDS: [&str; 22] = [
    "untagged",
    "struct ",
    "enum ",
    "variant",
    "expected ",
    "invalid type",
    "invalid value",
    "invalid length",
    "missing field",
    "unknown field",
    "unrecognized",
    "deserial",
    "serde",
    "did not match",
    "os error",
    "nodkey_",
    "sequence",
    "i32",
    "u64",
    "option",
    "error:",
    "protobuf",
];

async fn no_refusal_speaks_the_words_of_a_library(world: &World) {
    let document: Value = serde_json::from_str(&nodkey_gateway::openapi()).unwrap();
    let tenant = world.tenant().await;
    let mut doors = Doors::of(world, &tenant).await;
    let mut tried = 0;
    for (method, path, scheme, _) in operations().into_iter().filter(|(.., has_body)| *has_body) {
        let schema = &document["paths"][&path][method.as_str().to_lowercase()]["requestBody"]["content"]["application/json"]["schema"];
        let mut bodies: Vec<_> =
            ["{", "not json", "{}", "[]", "[{}, {}]", "7", "\"x\"", "null", "{\"a\": }", "\u{feff}{}", "{} {}", "[[]]"]
                .map(ToOwned::to_owned)
                .into();
        for (_, body) in members(&document, schema) {
            let wrong = [json!(7), json!(-1.5), json!(true), json!("x\u{fffd}"), json!([[]]), json!({"x": {}}), json!(u64::MAX)];
            bodies.extend(wrong.into_iter().map(|value| body(value).to_string()));
        }
        for body in bodies {
            let answer = doors.call(&scheme, &method, &path, "x", &body).await;
            assert!(answer.status < 500, "{method} {path} {body}: {} {}", answer.status, answer.body);
            if answer.status < 400 {
                continue;
            }
            let said = answer.body.to_string().to_lowercase();
            let words: Vec<_> = WORDS.iter().filter(|word| said.contains(**word)).collect();
            assert!(words.is_empty(), "{method} {path} {body}: {words:?} in {said}");
            tried += 1;
        }
    }
    assert!(tried >= 300, "{tried}");
}

async fn phones_are_told_what_nobody_knows_and_old_backends_are_not(world: &World) {
    let tenant = world.tenant().await;
    tenant.active("ada").await;
    let mut doors = Doors::of(world, &tenant).await;
    let is_told = |body: &Value| body["field_errors"].get("nobody_knows").is_some();
    for (method, path, scheme, has_body) in operations().into_iter().filter(|(_, _, scheme, _)| !scheme.is_empty()) {
        if has_body {
            let answer = doors.call(&scheme, &method, &path, "x", r#"{"nobody_knows": 1}"#).await;
            assert_eq!((answer.status, is_told(&answer.body)), (422, true), "{method} {path}: {}", answer.body);
        }
        // A registration has no id in its path to begin with.
        if scheme != "mobile" {
            let answer = doors.call(&scheme, &method, &format!("{path}?nobody_knows=1"), "x", "").await;
            assert_eq!((answer.status, is_told(&answer.body)), (422, true), "{method} {path}: {}", answer.body);
        }
    }
    // A pairing phone is recognized by its proof, and old clients by its absence.
    let device = key(&tenant).await;
    let scan = json!({"payload": "x", "identifier": device.public().thumbprint(), "nobody_knows": 1}).to_string();
    let paired = phone(&world.http, &device, Method::POST, "/api/v2/paired_trucodes", &scan).await;
    assert!(is_told(&paired.body), "{}", paired.body);
    let unproven = http::nobody(&world.http, Method::POST, "/api/v2/paired_trucodes", &scan).await;
    assert!(!is_told(&unproven.body), "{}", unproven.body);
    // Old clients send extra members.
    let ask = json!({"user_identifier": "ada", "action": "a", "resource": "r", "nobody_knows": {"a": "b\n"}}).to_string();
    let asked = backend(&world.http, &tenant.server, Method::POST, "/api/v2/trusonafications?nobody_knows=1", &ask).await;
    assert_eq!(asked.status, 201, "{}", asked.body);
}

async fn what_cannot_be_changed_is_refused_by_its_name(world: &World) {
    let tenant = world.tenant().await;
    let device = key(&tenant).await;
    let (id, own) = (device.public().thumbprint(), format!("/api/v2/devices/{}", device.public().thumbprint()));
    for field in ["platform", "device_key", "device_identifier", "is_active"] {
        let answer = phone(&world.http, &device, Method::PATCH, &own, &json!({"name": "new", field: "x"}).to_string()).await;
        assert_eq!((answer.status, answer.body["field_errors"].get(field).is_some()), (422, true), "{field}: {}", answer.body);
    }
    let body = json!({"user_identifier": "ada", "device_identifier": id}).to_string();
    let bound = backend(&world.http, &tenant.server, Method::POST, "/api/v2/user_devices", &body).await;
    let binding = format!("/api/v2/user_devices/{}", bound.body["id"].as_str().unwrap());
    for (field, value) in [("user_identifier", "bob"), ("device_identifier", "x"), ("id", UNKNOWN)] {
        let body = json!({"active": true, field: value}).to_string();
        let answer = backend(&world.http, &tenant.server, Method::PATCH, &binding, &body).await;
        assert_eq!((answer.status, answer.body["field_errors"].get(field).is_some()), (422, true), "{field}: {}", answer.body);
    }
    let seen = backend(&world.http, &tenant.server, Method::GET, &own, "").await;
    assert_eq!(seen.body["is_active"], json!(false), "and nothing is changed besides");
    let nulls = json!({"active": true, "id": bound.body["id"], "user_identifier": null, "device_identifier": null}).to_string();
    assert_eq!(backend(&world.http, &tenant.server, Method::PATCH, &binding, &nulls).await.status, 200);
    for path in ["/api/v2/users/ada", "/api/v2/trusonafications/x", "/api/v2/identity_documents/x", "/api/v2/user_identifiers/x"] {
        assert_eq!(backend(&world.http, &tenant.server, Method::PATCH, path, "{}").await.status, 405, "{path}");
    }
}

/// The id of a relying party, an operator or an endpoint that does not exist and was never requested before.
fn unknown() -> String {
    RelyingPartyId::generate(Clock::system().now(), &Random::system()).to_string()
}

async fn names_in_filters_that_nothing_has_are_refused(world: &World) {
    let pool = DescriptorPool::decode(FILE_DESCRIPTOR_SET).unwrap();
    let (tenant, operator, unknown) = (world.tenant().await, world.operator(None), unknown());
    let refused = async |method: &str, json: Value| {
        let refused = call(&operator, &pool, method, &json.to_string()).await.err().map(Error::from);
        refused.map(|refused| (refused.kind, refused.field_violations.into_iter().map(|v| v.field).collect::<Vec<_>>()))
    };
    let entries = "registry.v1.AuditService/ListAuditEntries";
    for method in ["Nope", "nodkey.registry.v1.AuditService/Nope", "CreateRelyingPartyy"] {
        assert_eq!(refused(entries, json!({"method": method})).await, Some((Kind::Invalid, vec!["method".to_owned()])), "{method}");
    }
    for method in ["ReleasePromptHold", "nodkey.trusonafication.v1.PromptService/ReleasePromptHold", "anonymous", "UseConfirmation"] {
        let filter = json!({"method": method, "relyingPartyId": tenant.id});
        assert_eq!(refused(entries, filter).await, None, "{method} is a method, whether or not it was called");
    }
    let not_found = Some((Kind::NotFound, Vec::new()));
    for (method, filter) in [
        (entries, json!({"relyingPartyId": unknown})),
        (entries, json!({"operatorId": unknown})),
        ("registry.v1.AuditService/ListAuditRecords", json!({"relyingPartyId": unknown})),
        ("registry.v1.OperatorSessionService/ListOperatorSessions", json!({"operatorId": unknown})),
        ("registry.v1.CredentialService/ListCredentials", json!({"relyingPartyId": unknown})),
    ] {
        assert_eq!(refused(method, filter).await, not_found, "{method}");
    }
    let to_nobody = json!({"endpointId": unknown}).to_string();
    let deliveries = call(&tenant.backend, &pool, "notification.v1.DeliveryService/ListDeliveries", &to_nobody).await;
    assert_eq!(Error::from(deliveries.unwrap_err()).kind, Kind::NotFound);
    // A caller that acts for a relying party that does not exist gets an error, whatever the method.
    let stranger = world.operator(Some(&unknown));
    let mut tried = 0;
    for (path, _) in ACCESS.iter().filter(|(_, allow)| allow.contains(&Principal::Auditor)) {
        let method = path.strip_prefix("/nodkey.").unwrap();
        if !method.rsplit('/').next().unwrap().starts_with("List") {
            continue;
        }
        let user = r#"{"userIdentifier": "ada"}"#;
        let request = ["ListIdentityDocuments", "ListUserDevices"].iter().any(|name| method.ends_with(name)).then_some(user);
        let needs_one = call(&operator, &pool, method, request.unwrap_or("{}")).await;
        if !needs_one.is_err_and(|refused| Error::from(refused).reason == "RELYING_PARTY_REQUIRED") {
            continue;
        }
        let refused = call(&stranger, &pool, method, request.unwrap_or("{}")).await.err().map(|refused| Error::from(refused).kind);
        assert_eq!(refused, Some(Kind::NotFound), "{method}");
        tried += 1;
    }
    assert!(tried >= 8, "{tried}");
}

async fn an_answer_says_no_address_but_the_one_that_was_asked_by(world: &World) {
    let tenant = world.tenant().await;
    tenant.active("ada@example.com").await;
    let path = "/api/v2/trusonafications";
    let ask = async |who: Value| {
        let mut body = json!({"action": "a", "resource": "r"});
        body.as_object_mut().unwrap().extend(who.as_object().unwrap().clone());
        let asked = backend(&world.http, &tenant.server, Method::POST, path, &body.to_string()).await;
        assert_eq!(asked.status, 201, "{}", asked.body);
        asked.body
    };
    let by_address = ask(json!({"email": "ada@example.com"})).await;
    assert_eq!((&by_address["email"], by_address.get("trusona_id")), (&json!("ada@example.com"), None));
    assert_eq!(by_address["user_identifier"], "ada@example.com");
    for who in [json!({"user_identifier": "ada@example.com"}), json!({"user_identifier": "ada@example.com", "email": null})] {
        let asked = ask(who).await;
        assert_eq!((asked.get("email"), asked.get("trusona_id")), (None, None));
        let read = backend(&world.http, &tenant.server, Method::GET, &format!("{path}/{}", asked["id"].as_str().unwrap()), "").await.body;
        assert_eq!((read.get("email"), read.get("trusona_id"), read.get("trucode_id")), (None, None, Some(&Value::Null)));
    }
}

async fn times_beyond_all_bounds_are_refused_or_over(world: &World) {
    let tenant = world.tenant().await;
    tenant.active("ada").await;
    let path = "/api/v2/trusonafications";
    for (at, status) in [
        ("9999-12-31T23:59:59.999999999Z", 422),
        ("9999-12-30T00:00:00Z", 422),
        ("+010000-01-01T00:00:00Z", 422),
        ("99999-01-01T00:00:00Z", 422),
        ("292277-01-01T00:00:00Z", 422),
        ("-009999-01-01T00:00:00Z", 422),
        ("0000-12-31T23:59:59Z", 422),
        ("2026-02-30T00:00:00Z", 422),
        ("0001-01-01T00:00:00Z", 201),
        ("1969-12-31T23:59:59Z", 201),
    ] {
        let body = json!({"user_identifier": "ada", "action": "a", "resource": "r", "expires_at": at}).to_string();
        let asked = backend(&world.http, &tenant.server, Method::POST, path, &body).await;
        assert_eq!(asked.status, status, "{at}: {}", asked.body);
        if status == 422 {
            let said = asked.body["field_errors"]["expires_at"][0].as_str().unwrap();
            assert!(said.contains("24 hours") || said.contains("a time"), "{at}: {said}");
        } else {
            assert!(asked.body["expires_at"].as_str().unwrap().starts_with(&at[..4]), "{at}: {}", asked.body);
        }
    }
    let list = tenant.backend.list_trusonafications(ListTrusonaficationsRequest::default()).await.unwrap();
    assert_eq!(list.trusonafications.len(), 2, "lists hold them, too");
}

async fn a_push_key_that_is_no_point_is_refused(world: &World) {
    let tenant = world.tenant().await;
    let device = key(&tenant).await;
    let path = format!("/api/v2/devices/{}/push_registration", device.public().thumbprint());
    let point = PrivateKey::generate(Algorithm::Es256, &Random::system()).public().to_raw();
    let mut off = point.clone();
    off[64] ^= 1;
    for (provider, p256dh, status) in
        [("webpush", &point, 204), ("webpush", &off, 422), ("unifiedpush", &vec![4; 65], 422), ("webpush", &point[1..].to_vec(), 422)]
    {
        let keys = json!({"p256dh": b64u(p256dh), "auth": b64u(&[0; 16])});
        let body =
            json!({"provider": provider, "endpoint": "https://push.example.com/x", "expirationTime": null, "keys": keys}).to_string();
        let answer = phone(&world.http, &device, Method::PUT, &path, &body).await;
        assert_eq!(answer.status, status, "{}", answer.body);
        assert!(status == 204 || answer.body["field_errors"].to_string().contains("p256dh"), "{}", answer.body);
    }
    let body = json!({"provider": "fcm", "token": "t", "tokn": "t"}).to_string();
    let answer = phone(&world.http, &device, Method::PUT, &path, &body).await;
    assert_eq!((answer.status, answer.body["field_errors"].get("tokn").is_some()), (422, true), "{}", answer.body);
}

async fn urls_are_kept_as_everybody_reads_them(world: &World) {
    let tenant = world.tenant().await;
    tenant.active("ada").await;
    let (given, kept) = ("HTTPS://Example.com:443/a/../hook?x=\u{e9}", "https://example.com/hook?x=%C3%A9");
    let body = json!({"user_identifier": "ada", "action": "a", "resource": "r", "callback_url": given}).to_string();
    let asked = backend(&world.http, &tenant.server, Method::POST, "/api/v2/trusonafications", &body).await;
    assert_eq!((asked.status, &asked.body["callback_url"]), (201, &json!(kept)), "{}", asked.body);
    let mut endpoints = EndpointServiceClient::new(tenant.backend.channel(ServiceName::Notification));
    let created = endpoints.create_endpoint(CreateEndpointRequest { url: given.to_owned(), ..Default::default() }).await.unwrap();
    assert_eq!(created.into_inner().endpoint.unwrap().url, kept);
    for url in ["https://example.com/\0", "https://example.com/a\nb", "https://example.com/\u{85}"] {
        let body = json!({"user_identifier": "ada", "action": "a", "resource": "r", "callback_url": url}).to_string();
        let answer = backend(&world.http, &tenant.server, Method::POST, "/api/v2/trusonafications", &body).await;
        assert_eq!((answer.status, answer.body["field_errors"].get("callback_url").is_some()), (422, true), "{url:?}: {}", answer.body);
    }
}
