//! `GET /api/v2/requests` and `nodkey requests tail`. Each gateway shows its own requests, so they are sent to one.

use futures_util::StreamExt as _;
use nodkey_client::NewTrusonafication;
use nodkey_kernel::jose::hs256;
use nodkey_proto::{
    registry::v1::{CreateCredentialResponse, CredentialKind, Role},
    trusonafication::v1::ListTrusonaficationsRequest,
};
use reqwest::{Method, Response};
use serde_json::{Value, json};

use super::{Nodkey, command};
use crate::{
    http::{backend, client, nobody, phone, read},
    operators::{enrolled, sign_in},
    scenarios::{
        bad_input::key,
        bearer::{call, token},
    },
    world::{PATIENCE, Tenant, World},
};

scenarios!(
    a_backend_sees_what_its_credential_sent_and_why_it_was_refused_and_nothing_of_others,
    who_only_names_a_credential_is_shown_as_not_authenticated_with_the_cause,
    an_operator_sees_every_credential_of_one_relying_party_and_names_it,
    who_may_not_listen_is_refused_and_there_is_an_end_to_listeners,
    the_command_prints_a_line_for_each_request,
);

const PATH: &str = "/api/v2/requests";

/// A stream of requests.
struct Tail {
    body: std::pin::Pin<Box<dyn futures_util::Stream<Item = reqwest::Result<bytes::Bytes>> + Send>>,
    read: String,
}

async fn open(world: &World, token: &str, party: Option<&str>) -> Response {
    let mut request = client().get(format!("{}{PATH}", world.http)).bearer_auth(token);
    if let Some(party) = party {
        request = request.header("X-Nodkey-Relying-Party", party);
    }
    request.send().await.unwrap()
}

impl Tail {
    /// Begins to listen. Returns also what the stream says that it is about.
    async fn of(world: &World, token: &str, party: Option<&str>) -> (Self, Value) {
        let response = open(world, token, party).await;
        assert_eq!(response.status(), 200);
        assert_eq!(response.headers()["content-type"], "text/event-stream");
        let mut tail = Self { body: Box::pin(response.bytes_stream()), read: String::new() };
        let (name, about) = tail.event().await;
        assert_eq!(name, "listening");
        (tail, about)
    }

    async fn of_backend(world: &World, tenant: &Tenant) -> Self {
        Self::of(world, &token(&tenant.server, "nodkey", 60), None).await.0
    }

    async fn event(&mut self) -> (String, Value) {
        loop {
            if let Some((event, rest)) = self.read.split_once("\n\n") {
                let field = |name: &str| event.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(": ")).map(ToOwned::to_owned);
                let found = field("event").zip(field("data"));
                self.read = rest.into();
                match found {
                    Some((name, data)) => return (name, serde_json::from_str(&data).unwrap()),
                    None => continue,
                }
            }
            let piece = tokio::time::timeout(PATIENCE, self.body.next()).await.expect("an event comes").unwrap().unwrap();
            self.read.push_str(std::str::from_utf8(&piece).unwrap());
        }
    }

    /// The next request.
    async fn next(&mut self) -> Value {
        let (name, request) = self.event().await;
        assert_eq!(name, "request", "{request}");
        request
    }
}

fn id(credential: &CreateCredentialResponse) -> Value {
    json!(credential.credential.as_ref().unwrap().id)
}

/// The members of a request with these names.
fn parts<const N: usize>(request: &Value, names: [&str; N]) -> [Value; N] {
    names.map(|name| request[name].clone())
}

async fn a_backend_sees_what_its_credential_sent_and_why_it_was_refused_and_nothing_of_others(world: &World) {
    let gateway = &world.at_one_gateway();
    let (tenant, other) = (world.tenant().await, world.tenant().await);
    let device = key(&tenant).await;
    let mut tail = Tail::of_backend(gateway, &tenant).await;
    // Of another tenant, of a phone, of nobody: none of them comes before the next.
    backend(&gateway.http, &other.server, Method::GET, "/api/v2/users/eve", "").await;
    phone(&world.http, &device, Method::GET, "/api/v2/trusonafications/next", "").await;
    nobody(&gateway.http, Method::GET, "/api/v2/users/eve", "").await;

    // By either scheme over HTTP.
    backend(&gateway.http, &tenant.server, Method::GET, "/api/v2/users/secret-name/devices?x=y", "").await;
    let request = tail.next().await;
    assert_eq!(
        parts(&request, ["credential_id", "authenticated", "transport", "method", "route", "status", "code", "error", "cause"]),
        [
            id(&tenant.server),
            json!(true),
            json!("http"),
            json!("GET"),
            json!("/api/v2/users/{user_identifier}/devices"),
            json!(200),
            Value::Null,
            Value::Null,
            Value::Null,
        ]
    );
    assert!(!request.to_string().contains("secret-name"), "{request}");
    assert!(request["duration_ms"].as_f64().unwrap() >= 0.0 && request["request_id"].is_string());
    let ask = json!({"user_identifier": "nobody", "actoin": "log in", "resource": "Acme"}).to_string();
    let refused = call(gateway, &token(&tenant.server, "nodkey", 60), Method::POST, "/api/v2/trusonafications", &ask).await;
    let request = tail.next().await;
    assert_eq!(
        parts(&request, ["authenticated", "status", "error", "description", "field_errors"]),
        [json!(true), json!(422), json!("VALIDATION_FAILED"), refused.body["description"].clone(), refused.body["field_errors"].clone()]
    );
    assert!(request["field_errors"]["actoin"].is_array() && !request.to_string().contains("log in"), "{request}");
    // The caller's own id, and a path that there is not.
    let answer = client().get(format!("{}/api/v2/nowhere", gateway.http)).header("X-Request-Id", "mine");
    let answer = answer.bearer_auth(token(&tenant.server, "nodkey", 60)).send().await.unwrap();
    assert_eq!(answer.status(), 404);
    let request = tail.next().await;
    assert_eq!(parts(&request, ["route", "status", "error", "request_id"]), [Value::Null, json!(404), json!("NOT_FOUND"), json!("mine")]);

    // Over gRPC, where the gateway forwards it.
    let through = tenant.backend_through(&gateway.one_address());
    let refused = through.create_trusonafication(NewTrusonafication::user("nobody", "log in", "Acme")).await.unwrap_err();
    let request = tail.next().await;
    let method = "/nodkey.trusonafication.v1.TrusonaficationService/CreateTrusonafication";
    assert_eq!(
        parts(&request, ["authenticated", "transport", "method", "route", "status", "error", "description"]),
        [json!(true), json!("grpc"), json!("POST"), json!(method), Value::Null, json!(refused.reason), json!(refused.message)]
    );
    assert_ne!(request["code"], "OK");
    through.list_trusonafications(ListTrusonaficationsRequest::default()).await.unwrap();
    assert_eq!(parts(&tail.next().await, ["code", "error"]), [json!("OK"), Value::Null]);
}

async fn who_only_names_a_credential_is_shown_as_not_authenticated_with_the_cause(world: &World) {
    let gateway = &world.at_one_gateway();
    let tenant = world.tenant().await;
    let mut guessed = tenant.server.clone();
    guessed.secret.push('x');
    let mut tail = Tail::of_backend(gateway, &tenant).await;
    let refused = call(gateway, &token(&guessed, "nodkey", 60), Method::GET, "/api/v2/users/ada", "").await;
    assert_eq!(refused.status, 401);
    let shown = ["credential_id", "authenticated", "status", "error", "cause"];
    let expected = |status: u16, error: &str, cause: &str| [id(&tenant.server), json!(false), json!(status), json!(error), json!(cause)];
    let request = tail.next().await;
    assert_eq!(parts(&request, shown), expected(401, "UNAUTHENTICATED", "wrong_signature"));
    assert!(request["description"].as_str().unwrap().contains("credential's secret"));
    backend(&gateway.http, &guessed, Method::GET, "/api/v2/users/ada", "").await;
    assert_eq!(parts(&tail.next().await, shown), expected(403, "FORBIDDEN", "wrong_signature"));
    call(gateway, &token(&tenant.server, "other", 60), Method::GET, "/api/v2/users/ada", "").await;
    assert_eq!(parts(&tail.next().await, shown), expected(401, "UNAUTHENTICATED", "wrong_audience"));
    call(gateway, &token(&tenant.server, "nodkey", -60), Method::GET, "/api/v2/users/ada", "").await;
    let request = tail.next().await;
    assert_eq!(parts(&request, shown), expected(401, "UNAUTHENTICATED", "expired"));
    assert!(!request.to_string().contains(&tenant.server.secret));
}

async fn an_operator_sees_every_credential_of_one_relying_party_and_names_it(world: &World) {
    let gateway = &world.at_one_gateway();
    let (tenant, other) = (world.tenant().await, world.tenant().await);
    let second = world.credential(&tenant.id, CredentialKind::Server).await;
    let (phone, _) = enrolled(world, "auditor", Role::Auditor).await;
    let cookie = sign_in(world, &phone).await.session();
    let (session, secret) = cookie.split_once('.').unwrap();
    let token = || {
        let exp = nodkey_kernel::time::Clock::system().now().as_seconds() + 30;
        hs256::sign(Some(&format!("operator/{session}")), &json!({"aud": "nodkey", "exp": exp}), secret.as_bytes())
    };
    let unnamed = read(open(gateway, &token(), None).await).await;
    assert_eq!((unnamed.status, unnamed.error.as_str()), (422, "VALIDATION_FAILED"));
    let (mut tail, about) = Tail::of(gateway, &token(), Some(&tenant.id)).await;
    assert_eq!(about, json!({"relying_party_id": tenant.id, "credential_id": null}));
    backend(&gateway.http, &other.server, Method::GET, "/api/v2/users/eve", "").await;
    for credential in [&tenant.server, &second] {
        backend(&gateway.http, credential, Method::GET, "/api/v2/users/ada", "").await;
        assert_eq!(parts(&tail.next().await, ["credential_id", "authenticated"]), [id(credential), json!(true)]);
    }
    // One that was never used rightly.
    let mut guessed = world.credential(&tenant.id, CredentialKind::Server).await;
    guessed.secret.push('x');
    let (mut later, _) = Tail::of(gateway, &token(), Some(&tenant.id)).await;
    // The other listener is shown this one's call, too, if it names a credential; an operator's does not.
    backend(&gateway.http, &guessed, Method::GET, "/api/v2/users/ada", "").await;
    let shown = parts(&later.next().await, ["credential_id", "authenticated", "cause"]);
    assert_eq!(shown, [id(&guessed), json!(false), json!("wrong_signature")]);
    let ended = read(open(gateway, &token().replace('.', "x."), Some(&tenant.id)).await).await;
    assert_eq!(ended.status, 401);
    let unknown = read(open(gateway, &token(), Some("00000000-0000-7000-8000-000000000000")).await).await;
    assert!((400..500).contains(&unknown.status), "{}", unknown.status);
}

async fn who_may_not_listen_is_refused_and_there_is_an_end_to_listeners(world: &World) {
    let gateway = &world.at_one_gateway();
    let tenant = world.tenant().await;
    assert_eq!(nobody(&gateway.http, Method::GET, PATH, "").await.status, 403);
    // A stream cannot be signed as a whole.
    assert_eq!(backend(&gateway.http, &tenant.server, Method::GET, PATH, "").await.status, 403);
    let mut guessed = tenant.server.clone();
    guessed.secret.push('x');
    for wrong in [token(&guessed, "nodkey", 60), token(&tenant.mobile, "nodkey", 60), "x".to_owned()] {
        let refused = read(open(gateway, &wrong, None).await).await;
        assert_eq!((refused.status, refused.error.as_str()), (401, "UNAUTHENTICATED"));
    }
    let mut held = Vec::new();
    for _ in 0..8 {
        held.push(Tail::of_backend(gateway, &tenant).await);
    }
    let refused = read(open(gateway, &token(&tenant.server, "nodkey", 60), None).await).await;
    assert_eq!((refused.status, refused.error.as_str(), refused.retry_after), (429, "TOO_MANY_WAITS", Some(5)));
    // Others have their own.
    Tail::of_backend(gateway, &world.tenant().await).await;
}

async fn the_command_prints_a_line_for_each_request(world: &World) {
    let gateway = &world.at_one_gateway();
    let tenant = world.tenant().await;
    let mut all = Nodkey::start(gateway, &tenant, &["requests", "tail"], "listening to requests").await;
    let mut failed = Nodkey::start(gateway, &tenant, &["requests", "tail", "--failed"], "listening to requests").await;
    // The second is a request, too.
    assert_eq!(all.next().await["route"], PATH);
    backend(&gateway.http, &tenant.server, Method::GET, "/api/v2/users/ada/devices", "").await;
    backend(&gateway.http, &tenant.server, Method::GET, "/api/v2/devices/x", "").await;
    assert_eq!(all.next().await["status"], 200);
    let shown = all.next().await;
    assert_eq!((&shown["status"], &shown["error"]), (&json!(404), &json!("NOT_FOUND")));
    assert_eq!(failed.next().await["request_id"], shown["request_id"]);
    // A wrong secret is a refusal.
    let (mut command, _place) = command(gateway, &tenant);
    let refused = command.args(["requests", "tail"]).env("NODKEY_SERVER_SECRET", "wrong").output().unwrap();
    assert_eq!(refused.status.code(), Some(3), "{}", String::from_utf8_lossy(&refused.stderr));
    assert!(String::from_utf8_lossy(&refused.stderr).contains("UNAUTHENTICATED"));
}
