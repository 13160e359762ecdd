//! The bytes that published server SDKs send, with their spellings and faults, are taken; what they verify of answers holds.

use nodkey_kernel::{
    time::{Clock, Timestamp},
    trusona_mac::{authorization, body_md5, mac, string_to_sign, verify},
};
use nodkey_proto::registry::v1::{
    CreateCredentialResponse, SignatureSettings, UpdateRelyingPartyRequest, relying_party_service_client::RelyingPartyServiceClient,
};
use nodkey_server_sdk::ServiceName;
use reqwest::{Client, Method};
use serde_json::json;

use crate::{
    http::{self, Answered},
    world::{Tenant, World},
};

scenarios!(
    every_sdk_creates_a_trusonafication_in_its_own_spelling,
    get_and_delete_work_without_a_content_type_or_with_an_empty_one,
    a_path_signed_before_it_was_encoded_is_taken_unless_refused,
    a_body_signed_by_its_beginning_is_taken_from_the_c_sdk_unless_refused,
    an_old_date_is_refused,
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

/// Two blanks, a numeric zone.
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

/// What is signed may differ from what is sent: that is the fault of some.
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
        // Signed over the path as it was on the wire, whatever the client signed.
        let text = string_to_sign(sent.method.as_str(), &body_md5(&bytes), &content_type, &date, sent.sent_path);
        assert!(verify(&credential.secret, &text, &signature), "{}", sdk.user_agent);
        return Answered { status, error: String::new(), body: serde_json::from_slice(&bytes).unwrap_or_default() };
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
        // More than a day ahead is refused with a body every SDK can read.
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

async fn get_and_delete_work_without_a_content_type_or_with_an_empty_one(world: &World) {
    let tenant = world.tenant().await;
    let path = "/api/v2/users/ada/devices";
    for sdk in &SDKS {
        let sent = Call { method: Method::GET, sent_path: path, signed_path: path, body: "", signed_body: b"" };
        assert_eq!(send(world, &tenant.server, sdk, sent).await.status, 200);
    }
    // Ruby sends the header, with nothing in it.
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
