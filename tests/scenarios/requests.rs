//! The accepted format of requests: body, content type and host name, and that a request is neither a response nor a repetition.

use nodkey_client::ServiceName;
use nodkey_kernel::{
    time::Clock,
    trusona_mac::{authorization, body_md5, mac, string_to_sign},
};
use nodkey_proto::registry::v1::{
    CreateCredentialResponse, SignatureSettings, UpdateRelyingPartyRequest, relying_party_service_client::RelyingPartyServiceClient,
};
use reqwest::{
    Client, Method, Response,
    header::{ALLOW, CONTENT_TYPE},
};
use serde_json::{Value, json};

use crate::{
    http::{self, backend},
    world::{PATIENCE, Tenant, World},
};

scenarios!(
    compressed_bodies_byte_order_marks_and_arrays_for_objects_are_refused,
    every_refusal_is_json_whoever_refuses,
    a_body_is_json_with_any_parameters,
    whom_to_tell_of_a_hole_is_told_until_a_time_to_come,
    an_answer_played_back_is_no_request,
    a_request_comes_once_where_a_relying_party_wants_it_so,
);

/// A signed request of a backend.
struct Signed {
    method: Method,
    path: String,
    body: Vec<u8>,
    content_type: String,
    date: String,
    authorization: String,
}

impl Signed {
    fn new(credential: &CreateCredentialResponse, method: Method, path: &str, body: &[u8]) -> Self {
        let (date, content_type) = (Clock::system().now().to_http_date(), "application/json");
        let text = string_to_sign(method.as_str(), &body_md5(body), content_type, &date, path);
        let authorization = authorization(&credential.credential.as_ref().unwrap().token, &mac(&credential.secret, &text));
        Self { method, path: path.into(), body: body.to_vec(), content_type: content_type.into(), date, authorization }
    }

    async fn send(&self, http: &str) -> Response {
        let request = Client::new().request(self.method.clone(), format!("{http}{}", self.path)).body(self.body.clone());
        let request = request.header(CONTENT_TYPE, &self.content_type).header("X-Date", &self.date);
        request.header("Authorization", &self.authorization).send().await.unwrap()
    }
}

async fn compressed_bodies_byte_order_marks_and_arrays_for_objects_are_refused(world: &World) {
    let tenant = world.tenant().await;
    let post = |encoding: &'static str| {
        let body = json!({"relying_party_id": tenant.id}).to_string();
        Client::new().post(format!("{}/api/v2/trucodes", world.http)).header("Content-Encoding", encoding).body(body).send()
    };
    assert_eq!(post("identity").await.unwrap().status(), 201);
    for encoding in ["gzip", "br", "identity, zstd"] {
        let refused = http::read(post(encoding).await.unwrap()).await;
        assert_eq!((refused.status, refused.error.as_str()), (415, "BODY_COMPRESSED"), "{encoding}");
    }
    let phone = tenant.registered().await;
    let path = "/api/v2/user_devices";
    let object = json!({"user_identifier": "ada", "device_identifier": phone.device_identifier().as_str()}).to_string();
    let marked = backend(&world.http, &tenant.server, Method::POST, path, &format!("\u{feff}{object}")).await;
    assert_eq!((marked.status, marked.error.as_str()), (400, "MALFORMED_JSON"));
    let array = json!(["ada", phone.device_identifier().as_str()]).to_string();
    let listed = backend(&world.http, &tenant.server, Method::POST, path, &array).await;
    assert_eq!((listed.status, listed.error.as_str()), (422, "VALIDATION_FAILED"));
    assert_eq!(backend(&world.http, &tenant.server, Method::GET, "/api/v2/users/ada/devices", "").await.body["devices"], json!([]));
}

async fn every_refusal_is_json_whoever_refuses(world: &World) {
    let tenant = world.tenant().await;
    // The router, the extractors of a library, the pages: each has its own error messages.
    for (method, path, status) in [
        (Method::GET, "/nowhere", 404),
        (Method::GET, "/assets/nowhere.js", 404),
        (Method::GET, "/assets/console/index.html", 404),
        (Method::PUT, "/jwks", 405),
        (Method::DELETE, "/console", 405),
        (Method::GET, "/api/v2/trucodes/%ff", 400),
        (Method::GET, "/console/api/enrolments/%ff", 400),
        (Method::POST, "/console/api/enrolments/x", 403),
        (Method::GET, "/api/v2/devices/x", 403),
        (Method::POST, "/api/v2/devices/x", 405),
    ] {
        let answer = Client::new().request(method.clone(), format!("{}{path}", world.http)).send().await.unwrap();
        assert_eq!(answer.headers()[CONTENT_TYPE], "application/json; charset=utf-8", "{method} {path}");
        assert_eq!(answer.headers().contains_key(ALLOW), status == 405, "{method} {path}");
        assert_eq!(http::read(answer).await.status, status, "{method} {path}");
    }
    // Where the response is signed, too.
    let signed = Signed::new(&tenant.server, Method::GET, "/api/v2/trusonafications/%ff", b"").send(&world.http).await;
    let signature = signed.headers()["x-signature"].to_str().unwrap().to_owned();
    let (date, kind) = (signed.headers()["x-date"].clone(), signed.headers()[CONTENT_TYPE].clone());
    assert_eq!(signed.status(), 400);
    let body = signed.bytes().await.unwrap();
    assert_eq!(serde_json::from_slice::<Value>(&body).unwrap()["error"], "BAD_REQUEST");
    let (date, kind) = (date.to_str().unwrap(), kind.to_str().unwrap());
    let text = string_to_sign("GET", &body_md5(&body), kind, date, "/api/v2/trusonafications/%ff");
    assert_eq!(signature, mac(&tenant.server.secret, &text));
}

async fn a_body_is_json_with_any_parameters(world: &World) {
    let tenant = world.tenant().await;
    let body = json!({"relying_party_id": tenant.id}).to_string();
    for kind in ["application/json", "application/json;charset=UTF-8", "application/json; charset=\"utf-8\"; profile=x", "APPLICATION/JSON"]
    {
        let post = Client::new().post(format!("{}/api/v2/trucodes", world.http)).header(CONTENT_TYPE, kind).body(body.clone());
        assert_eq!(post.send().await.unwrap().status(), 201, "{kind}");
    }
}

async fn whom_to_tell_of_a_hole_is_told_until_a_time_to_come(world: &World) {
    let answer = Client::new().get(format!("{}/.well-known/security.txt", world.http)).send().await.unwrap();
    assert_eq!(answer.headers()[CONTENT_TYPE], "text/plain; charset=utf-8");
    let text = answer.text().await.unwrap();
    let field = |name: &str| {
        let mut lines = text.lines().filter_map(|line| line.split_once(": ")).filter(|(known, _)| *known == name);
        let (_, value) = lines.next().unwrap();
        assert!(lines.next().is_none(), "{name} once");
        value
    };
    assert_eq!(field("Contact"), "mailto:security@example.com");
    assert!(field("Canonical").ends_with("/.well-known/security.txt"));
    let (now, expires) = (Clock::system().now(), nodkey_kernel::time::Timestamp::parse_rfc3339(field("Expires")).unwrap());
    let days = now.until(expires).as_secs() / 86_400;
    assert!((1..365).contains(&days), "{days}");
}

async fn an_answer_played_back_is_no_request(world: &World) {
    let tenant = world.tenant().await;
    let phone = tenant.active("ada").await;
    let device = phone.device_identifier().as_str();
    for (path, body) in [
        ("/api/v2/trusonafications", json!({"user_identifier": "ada", "action": "log in", "resource": "Acme", "id": null, "result": null})),
        ("/api/v2/user_devices", json!({"user_identifier": "ada", "device_identifier": device, "id": null})),
        ("/api/v1/verifications", json!({"email": "ada", "action": "log in", "resource": "Acme", "desired_level": 2})),
    ] {
        let request = Signed::new(&tenant.server, Method::POST, path, body.to_string().as_bytes());
        let answer = request.send(&world.http).await;
        assert_eq!(answer.status(), 201, "{path}");
        let header = |name: &str| answer.headers()[name].to_str().unwrap().to_owned();
        let token = &tenant.server.credential.as_ref().unwrap().token;
        let (date, content_type) = (header("x-date"), header("content-type"));
        let authorization = authorization(token, &header("x-signature"));
        let played = Signed { body: answer.bytes().await.unwrap().to_vec(), date, content_type, authorization, ..request };
        let refused = http::read(played.send(&world.http).await).await;
        assert_eq!((refused.status, refused.error.as_str()), (422, "VALIDATION_FAILED"), "{path}: its signature holds, {}", refused.body);
        let fields = refused.body["field_errors"].as_object().unwrap();
        assert!(fields.contains_key("id") || fields.contains_key("verification_id"), "{path}: {}", refused.body);
    }
    assert_eq!(phone.wait(PATIENCE).await.unwrap().len(), 2, "what was asked, and nothing twice");
}

/// Changes which signatures a relying party tolerates.
async fn set(world: &World, tenant: &Tenant, signatures: SignatureSettings) {
    let mut parties = RelyingPartyServiceClient::new(world.operator(None).channel(ServiceName::Registry));
    let request = UpdateRelyingPartyRequest { id: tenant.id.clone(), signatures: Some(signatures), ..Default::default() };
    parties.update_relying_party(request).await.unwrap();
}

async fn a_request_comes_once_where_a_relying_party_wants_it_so(world: &World) {
    let (usual, once) = (world.tenant().await, world.tenant().await);
    set(world, &once, SignatureSettings { refuse_repeated: true, ..SignatureSettings::default() }).await;
    for (tenant, second) in [(&usual, 201), (&once, 403)] {
        let phone = tenant.registered().await;
        let body = json!({"user_identifier": "ada", "device_identifier": phone.device_identifier().as_str()}).to_string();
        let binding = Signed::new(&tenant.server, Method::POST, "/api/v2/user_devices", body.as_bytes());
        assert_eq!(binding.send(&world.http).await.status(), 201);
        // Each gateway remembers what it took: one of them got it twice by then.
        let mut again = Vec::new();
        for _ in 0..world.replicas("gateway") {
            again.push(binding.send(&world.http).await.status().as_u16());
        }
        assert!(again.contains(&second) && again.iter().all(|status| [201, second].contains(status)), "{again:?}");
        // A repeated read reveals nothing new.
        let reading = Signed::new(&tenant.server, Method::GET, "/api/v2/users/ada/devices", b"");
        for _ in 0..2 {
            assert_eq!(reading.send(&world.http).await.status(), 200);
        }
    }
}
