//! The exact bytes that published server SDKs send, including their quirks and faults, are accepted, and responses pass the SDKs'
//! verification.

use nodkey_client::ServiceName;
use nodkey_kernel::{
    time::{Clock, Timestamp},
    trusona_mac::{authorization, body_md5, mac, string_to_sign, verify},
};
use nodkey_mobile_sdk::Decision;
use nodkey_proto::registry::v1::{
    CreateCredentialResponse, SignatureSettings, UpdateRelyingPartyRequest, relying_party_service_client::RelyingPartyServiceClient,
};
use reqwest::{Client, Method};
use serde_json::json;

use crate::{
    http::{self, Answered},
    world::{Tenant, World, asked},
};

scenarios!(
    every_sdk_creates_a_trusonafication_in_its_own_spelling,
    every_sdk_walks_from_binding_to_deactivation,
    get_and_delete_work_without_a_content_type_or_with_an_empty_one,
    a_path_signed_before_it_was_encoded_is_taken_unless_refused,
    a_body_signed_by_its_beginning_is_taken_from_the_c_sdk_unless_refused,
    an_old_date_is_refused,
    no_fault_is_put_up_with_for_a_relying_party_without_old_clients,
    a_blank_activation_code_is_a_validation_error,
);

/// How one SDK writes a request.
struct Sdk {
    user_agent: &'static str,
    content_type: &'static str,
    date: fn(Timestamp) -> String,
    /// Whether it sends the date as `Date`, too.
    both_dates: bool,
    /// How it writes JSON.
    body: fn(&serde_json::Value) -> String,
}

fn imf(now: Timestamp) -> String {
    now.to_http_date()
}

/// Two spaces, a numeric zone.
fn java(now: Timestamp) -> String {
    let imf = now.to_http_date();
    format!("{}  {} +0000", &imf[..16], &imf[17..25])
}

fn compact(value: &serde_json::Value) -> String {
    value.to_string()
}

fn indented(value: &serde_json::Value) -> String {
    serde_json::to_string_pretty(value).unwrap()
}

const SDKS: [Sdk; 5] = [
    Sdk { user_agent: "TrusonaServerSdk/1.0", content_type: "application/json", date: imf, both_dates: true, body: compact },
    Sdk { user_agent: "Ruby", content_type: "application/json;charset=utf-8", date: imf, both_dates: true, body: compact },
    Sdk {
        user_agent: "TrusonaServerSdk/1.0",
        content_type: "application/json; charset=UTF-8",
        date: java,
        both_dates: false,
        body: compact,
    },
    Sdk { user_agent: "", content_type: "application/json; charset=utf-8", date: imf, both_dates: false, body: indented },
    Sdk { user_agent: "Trusona_C_API/3.2.1", content_type: "application/json;charset=UTF-8", date: imf, both_dates: true, body: compact },
];

/// A call. Some SDKs sign something other than they send.
struct Call<'a> {
    method: Method,
    sent_path: &'a str,
    signed_path: &'a str,
    body: &'a str,
    signed_body: &'a [u8],
}

async fn send(world: &World, credential: &CreateCredentialResponse, sdk: &Sdk, sent: Call<'_>) -> Answered {
    let date = (sdk.date)(Clock::system().now());
    let content_type = if sent.body.is_empty() { "" } else { sdk.content_type };
    let text = string_to_sign(sent.method.as_str(), &body_md5(sent.signed_body), content_type, &date, sent.signed_path);
    let token = &credential.credential.as_ref().unwrap().token;
    let mut request = Client::new()
        .request(sent.method.clone(), format!("{}{}", world.http, sent.sent_path))
        .header("x-date", &date)
        .header("authorization", authorization(token, &mac(&credential.secret, &text)))
        .header("user-agent", sdk.user_agent);
    if sdk.both_dates {
        request = request.header("date", &date);
    }
    if !sent.body.is_empty() {
        request = request.header("content-type", content_type).body(sent.body.to_owned());
    }
    let response = request.send().await.unwrap();
    if response.status().is_success() {
        let header = |name: &str| response.headers().get(name).map(|v| v.to_str().unwrap().to_owned()).unwrap_or_default();
        let (signature, date, content_type) = (header("x-signature"), header("x-date"), header("content-type"));
        assert!(!response.headers().contains_key("content-encoding"), "never compressed");
        let status = response.status().as_u16();
        let bytes = response.bytes().await.unwrap();
        // The response is signed over the path as it was on the wire, whatever the client signed.
        let text = string_to_sign(sent.method.as_str(), &body_md5(&bytes), &content_type, &date, sent.sent_path);
        assert!(verify(&credential.secret, &text, &signature), "{}", sdk.user_agent);
        let text = String::from_utf8_lossy(&bytes).into_owned();
        return Answered { status, error: String::new(), retry_after: None, body: serde_json::from_str(&text).unwrap_or_default(), text };
    }
    http::read(response).await
}

async fn settings(world: &World, tenant: &Tenant, signatures: SignatureSettings) {
    let mut parties = RelyingPartyServiceClient::new(world.operator(None).channel(ServiceName::Registry));
    let request = UpdateRelyingPartyRequest { id: tenant.id.clone(), signatures: Some(signatures), ..Default::default() };
    parties.update_relying_party(request).await.unwrap();
}

async fn every_sdk_creates_a_trusonafication_in_its_own_spelling(world: &World) {
    let tenant = world.tenant().await;
    tenant.active("jones@example.com").await;
    let path = "/api/v2/trusonafications";
    for sdk in &SDKS {
        let body = (sdk.body)(&json!({
            "id": null, "status": null, "trucode_id": null, "email": null, "custom_fields": {}, "prompt": true, "user_presence": true,
            "user_identifier": "jones@example.com", "action": "login", "resource": "Acme", "desired_level": 2,
            "expires_at": "2030-01-02T03:04:05.6789012Z",
        }));
        // A date more than a day ahead is refused with a body that every SDK can read.
        let sent = Call { method: Method::POST, sent_path: path, signed_path: path, body: &body, signed_body: body.as_bytes() };
        let refused = send(world, &tenant.server, sdk, sent).await;
        assert_eq!((refused.status, refused.body["field_errors"].get("expires_at").is_some()), (422, true), "{}", sdk.user_agent);
        let body = body.replace("2030-01-02T03:04:05.6789012Z", &Clock::system().now().to_string());
        let sent = Call { method: Method::POST, sent_path: path, signed_path: path, body: &body, signed_body: body.as_bytes() };
        let created = send(world, &tenant.server, sdk, sent).await;
        assert_eq!((created.status, created.body["status"].as_str()), (201, Some("IN_PROGRESS")), "{}", sdk.user_agent);
        assert!(created.body["trusona_id"].is_null() && created.body["authenticator_type"].is_null());
    }
}

/// The calls that every SDK but the C one documents, spelled as it does, with what its own tests expect of each.
async fn every_sdk_walks_from_binding_to_deactivation(world: &World) {
    let tenant = world.tenant().await;
    for sdk in &SDKS {
        let user = format!("jones-{}@example.com", SDKS.iter().position(|other| std::ptr::eq(other, sdk)).unwrap());
        let path_of_user = format!("/api/v2/users/{user}");
        let phone = tenant.registered().await;
        let device = phone.device_identifier().to_string();
        let call = async |method: Method, path: &str, body: serde_json::Value| {
            let body = if body.is_null() { String::new() } else { (sdk.body)(&body) };
            let sent = Call { method, sent_path: path, signed_path: path, body: &body, signed_body: body.as_bytes() };
            send(world, &tenant.server, sdk, sent).await
        };
        let get = async |path: &str| call(Method::GET, path, serde_json::Value::Null).await;
        let known = get(&format!("/api/v2/devices/{device}")).await;
        assert_eq!(
            (&known.body["is_active"], &known.body["active"], &known.body["activated_at"]),
            (&json!(false), &json!(false), &json!(null))
        );
        assert_eq!(get("/api/v2/devices/7f0b3a44-94f5-4f0b-8a3b-6f1d7d1c0f11").await.status, 404);
        let unknown = json!({"user_identifier": user, "device_identifier": "7f0b3a44-94f5-4f0b-8a3b-6f1d7d1c0f11"});
        assert_eq!(call(Method::POST, "/api/v2/user_devices", unknown).await.status, 424);
        let wanted = json!({"user_identifier": user, "device_identifier": device, "active": false});
        let bound = call(Method::POST, "/api/v2/user_devices", wanted.clone()).await;
        assert_eq!((bound.status, &bound.body["active"], &bound.body["user_identifier"]), (201, &json!(false), &json!(user)));
        assert_eq!(call(Method::POST, "/api/v2/user_devices", wanted).await.body["id"], bound.body["id"], "the same again");
        let other = json!({"user_identifier": "smith", "device_identifier": device});
        assert_eq!(call(Method::POST, "/api/v2/user_devices", other).await.status, 409);
        let code = bound.body["id"].as_str().unwrap();
        for _ in 0..2 {
            let active = call(Method::PATCH, &format!("/api/v2/user_devices/{code}"), json!({"active": true, "id": code})).await;
            assert_eq!((active.status, &active.body["active"], &active.body["device_identifier"]), (200, &json!(true), &json!(device)));
        }
        let random = "/api/v2/user_devices/7f0b3a44-94f5-4f0b-8a3b-6f1d7d1c0f11";
        assert_eq!(call(Method::PATCH, random, json!({"active": true})).await.status, 404);
        assert!(get(&format!("/api/v2/devices/{device}")).await.body["activated_at"].is_string());
        let documents = get(&format!("/api/v2/identity_documents?user_identifier={user}")).await;
        assert_eq!((documents.status, documents.body), (200, json!([])));
        assert_eq!(get("/api/v2/identity_documents?user_identifier=").await.status, 422);
        let ask = |level: i32| {
            let mut body = json!({"action": "login", "resource": "Acme", "desired_level": level, "prompt": true, "user_presence": true});
            body["device_identifier"] = json!(device);
            call(Method::POST, "/api/v2/trusonafications", body)
        };
        let executive = ask(3).await;
        assert_eq!((executive.status, executive.error.as_str()), (424, "NO_DOCUMENTS"));
        let created = ask(2).await;
        assert_eq!((created.status, &created.body["status"]), (201, &json!("IN_PROGRESS")));
        let path = format!("/api/v2/trusonafications/{}", created.body["id"].as_str().unwrap());
        assert!(get(&path).await.body["result"].is_null());
        phone.respond(&asked(&phone).await, Decision::Accept, None).await.unwrap();
        let done = get(&path).await.body;
        assert_eq!(
            (&done["status"], &done["user_identifier"], &done["authenticator_type"]),
            (&json!("ACCEPTED"), &json!(user), &json!("MOBILE_APP"))
        );
        assert_eq!((&done["result"]["is_accepted"], &done["result"]["bound_user_identifier"]), (&json!(true), &json!(user)));
        assert_eq!(call(Method::DELETE, &path, serde_json::Value::Null).await.status, 422, "too late");
        assert_eq!(get("/api/v2/trusonafications/7f0b3a44-94f5-4f0b-8a3b-6f1d7d1c0f11").await.status, 404);
        assert_eq!(get("/api/v2/paired_trucodes/7f0b3a44-94f5-4f0b-8a3b-6f1d7d1c0f11").await.status, 404);
        let end = || call(Method::DELETE, &path_of_user, serde_json::Value::Null);
        assert_eq!(end().await.status, 204);
        assert_eq!(end().await.status, 404);
        assert_eq!(get(&format!("/api/v2/devices/{device}")).await.body["is_active"], json!(false));
    }
}

async fn get_and_delete_work_without_a_content_type_or_with_an_empty_one(world: &World) {
    let tenant = world.tenant().await;
    let path = "/api/v2/users/ada/devices";
    for sdk in &SDKS {
        let sent = Call { method: Method::GET, sent_path: path, signed_path: path, body: "", signed_body: b"" };
        assert_eq!(send(world, &tenant.server, sdk, sent).await.status, 200);
    }
    // Ruby sends the header, empty.
    let date = Clock::system().now().to_http_date();
    let text = string_to_sign("GET", &body_md5(b""), "", &date, path);
    let request = Client::new()
        .get(format!("{}{path}", world.http))
        .header("X-Date", &date)
        .header("Content-Type", "")
        .header("Accept-Encoding", "gzip;q=1.0,deflate;q=0.6,identity;q=0.3")
        .header("Authorization", authorization(&tenant.server.credential.as_ref().unwrap().token, &mac(&tenant.server.secret, &text)));
    assert_eq!(request.send().await.unwrap().status(), 200);
}

async fn a_path_signed_before_it_was_encoded_is_taken_unless_refused(world: &World) {
    let sent = || Call {
        method: Method::GET,
        sent_path: "/api/v2/users/a%20b/devices",
        signed_path: "/api/v2/users/a b/devices",
        body: "",
        signed_body: b"",
    };
    let (tolerant, strict) = (world.tenant().await, world.tenant().await);
    settings(world, &strict, SignatureSettings { refuse_unescaped_path: true, ..SignatureSettings::default() }).await;
    assert_eq!(send(world, &tolerant.server, &SDKS[0], sent()).await.status, 200);
    assert_eq!(send(world, &strict.server, &SDKS[0], sent()).await.status, 403);
}

async fn a_body_signed_by_its_beginning_is_taken_from_the_c_sdk_unless_refused(world: &World) {
    let (tolerant, strict) = (world.tenant().await, world.tenant().await);
    settings(world, &strict, SignatureSettings { refuse_truncated_body: true, ..SignatureSettings::default() }).await;
    let body = json!({"user_identifier": "nobody", "action": "login", "resource": "x".repeat(250), "desired_level": 2}).to_string();
    let path = "/api/v2/trusonafications";
    let sent = || Call { method: Method::POST, sent_path: path, signed_path: path, body: &body, signed_body: &body.as_bytes()[..256] };
    let taken = send(world, &tolerant.server, &SDKS[4], sent()).await;
    assert_eq!((taken.status, taken.error.as_str()), (422, "USER_HAS_NO_ACTIVE_DEVICE"), "the signature was taken");
    assert_eq!(send(world, &tolerant.server, &SDKS[0], sent()).await.status, 403, "from nobody else");
    assert_eq!(send(world, &strict.server, &SDKS[4], sent()).await.status, 403);
}

async fn no_fault_is_put_up_with_for_a_relying_party_without_old_clients(world: &World) {
    let (old, new) = (world.tenant_of("Acme", true).await, world.tenant_of("Acme", false).await);
    let body = json!({"user_identifier": "nobody", "action": "login", "resource": "x".repeat(250), "desired_level": 2}).to_string();
    let (users, asking) = ("/api/v2/users/ada/devices", "/api/v2/trusonafications");
    let get = |sent_path, signed_path| Call { method: Method::GET, sent_path, signed_path, body: "", signed_body: b"" };
    let post = |signed_body| Call { method: Method::POST, sent_path: asking, signed_path: asking, body: &body, signed_body };
    let french = Sdk { date: |now| format!("le {}", imf(now)), ..SDKS[2] };
    let faults = || {
        [
            ("a path before it was encoded", &SDKS[0], get("/api/v2/users/a%20b/devices", "/api/v2/users/a b/devices")),
            ("the beginning of a body", &SDKS[4], post(&body.as_bytes()[..256])),
            ("a date that cannot be read", &french, get(users, users)),
        ]
    };
    for (what, sdk, call) in faults() {
        assert_ne!(send(world, &old.server, sdk, call).await.status, 403, "{what}");
    }
    for (what, sdk, call) in faults() {
        assert_eq!(send(world, &new.server, sdk, call).await.status, 403, "{what}");
    }
    // The spellings of all SDKs count as no faults.
    for sdk in &SDKS {
        assert_eq!(send(world, &new.server, sdk, get(users, users)).await.status, 200, "{}", sdk.user_agent);
        assert_eq!(send(world, &new.server, sdk, post(body.as_bytes())).await.status, 422, "{}", sdk.user_agent);
    }
}

async fn an_old_date_is_refused(world: &World) {
    let tenant = world.tenant().await;
    let old = Sdk { date: |now| imf(now - std::time::Duration::from_mins(6)), ..SDKS[0] };
    let path = "/api/v2/users/ada/devices";
    let sent = Call { method: Method::GET, sent_path: path, signed_path: path, body: "", signed_body: b"" };
    assert_eq!(send(world, &tenant.server, &old, sent).await.status, 403);
}

async fn a_blank_activation_code_is_a_validation_error(world: &World) {
    let tenant = world.tenant().await;
    let path = "/api/v2/user_devices/";
    let body = r#"{"active":true}"#;
    let sent = Call { method: Method::PATCH, sent_path: path, signed_path: path, body, signed_body: body.as_bytes() };
    let refused = send(world, &tenant.server, &SDKS[0], sent).await;
    assert_eq!((refused.status, refused.body["field_errors"].get("id").is_some()), (422, true));
}
