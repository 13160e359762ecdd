//! The proxies of `deploy/proxies`, real ones, in front of the gateway: logins work over HTTP and gRPC, events arrive immediately, and
//! clients cannot choose their address.

use std::{
    net::{SocketAddr, TcpListener},
    path::{Path, PathBuf},
    process::{Child, Command},
    time::Duration,
};

use futures_util::{StreamExt as _, future::join_all};
use nodkey_client::{Kind, NewTrusonafication, is_success};
use nodkey_kernel::{
    dpop,
    jose::{Algorithm, PrivateKey, hs256},
    random::Random,
    time::Clock,
};
use nodkey_mobile_sdk::Decision;
use nodkey_proto::trusonafication::v1::{GetTrusonaficationRequest, trusonafication_service_client::TrusonaficationServiceClient};
use reqwest::{Client, Method};
use serde_json::{Value, json};
use tempfile::TempDir;
use tonic::{
    Code,
    transport::{Certificate, Channel, ClientTlsConfig, Endpoint},
};

use crate::{
    http,
    world::{PATIENCE, World, asked, environment},
};

/// A proxy with the shipped configuration, on a port of its own. It ends with the test.
struct Proxy {
    child: Child,
    _folder: TempDir,
}

impl Drop for Proxy {
    fn drop(&mut self) {
        let _ = Command::new("kill").arg(self.child.id().to_string()).status();
        let _ = self.child.wait();
    }
}

/// A certificate for 127.0.0.1 by an authority that this test run trusts, and its key.
fn certificate() -> (PathBuf, PathBuf) {
    let native: Value = serde_json::from_str(&std::fs::read_to_string(environment("NODKEY_TEST_NATIVE")).unwrap()).unwrap();
    let folder = Path::new(native["ca_certificate"].as_str().unwrap()).parent().unwrap().to_owned();
    (folder.join("certificate.pem"), folder.join("key.pem"))
}

/// The shipped file with each of these texts replaced. Each has to occur.
fn shipped(name: &str, replaced: &[(&str, String)]) -> String {
    let text = std::fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join("../deploy/proxies").join(name)).unwrap();
    replaced.iter().fold(text, |text, (old, new)| {
        assert!(text.contains(old), "{name} has no {old}");
        text.replace(old, new)
    })
}

fn nginx(listen: SocketAddr, gateway: SocketAddr) -> Proxy {
    let (folder, (certificate, key)) = (tempfile::tempdir().unwrap(), certificate());
    let own = folder.path().display();
    // Its temporary files go to its own folder, because the user who runs the tests may not be root.
    let kept = ["client_body", "proxy", "fastcgi", "uwsgi", "scgi"].map(|of| format!("  {of}_temp_path {own}/{of};\n")).concat();
    let text = shipped(
        "nginx.conf",
        &[
            ("listen 443 ssl", format!("listen {listen} ssl")),
            ("127.0.0.1:8080", gateway.to_string()),
            ("/etc/nodkey/tls/certificate.pem", certificate.display().to_string()),
            ("/etc/nodkey/tls/key.pem", key.display().to_string()),
            ("worker_processes auto;", format!("worker_processes 1;\npid {own}/pid;\ndaemon off;")),
            ("worker_rlimit_nofile 262144;", String::new()),
            ("worker_connections 65536;", "worker_connections 512;".to_owned()),
            ("http {\n", format!("http {{\n{kept}")),
        ],
    );
    let file = folder.path().join("nginx.conf");
    std::fs::write(&file, text).unwrap();
    // Its workers run as another user than root.
    let mut command = Command::new(found("nginx"));
    command.arg("-c").arg(&file).arg("-p").arg(folder.path()).args(["-e", "stderr"]);
    if is_root() {
        command.args(["-g", "user root;"]);
    }
    Proxy { child: command.spawn().unwrap(), _folder: folder }
}

fn haproxy(listen: SocketAddr, gateway: SocketAddr) -> Proxy {
    let (folder, (certificate, key)) = (tempfile::tempdir().unwrap(), certificate());
    let both = folder.path().join("both.pem");
    std::fs::write(&both, [certificate, key].map(|file| std::fs::read_to_string(file).unwrap()).concat()).unwrap();
    let text = shipped(
        "haproxy.cfg",
        &[
            ("bind :443", format!("bind {listen}")),
            ("127.0.0.1:8080", gateway.to_string()),
            ("/etc/nodkey/tls/certificate-and-key.pem", both.display().to_string()),
            ("maxconn 100000", "maxconn 400".to_owned()),
        ],
    );
    let file = folder.path().join("haproxy.cfg");
    std::fs::write(&file, text).unwrap();
    let child = Command::new(found("haproxy")).args(["-db", "-f"]).arg(&file).spawn().unwrap();
    Proxy { child, _folder: folder }
}

/// The program, where Debian installs it.
fn found(name: &str) -> PathBuf {
    let path = Path::new("/usr/sbin").join(name);
    assert!(path.exists(), "{name} is missing: scripts/tools test installs it");
    path
}

fn is_root() -> bool {
    let id = Command::new("id").arg("-u").output().unwrap();
    id.stdout == b"0\n"
}

/// A deployment with the public URL of the proxy in front of its gateway.
async fn behind(proxy: impl FnOnce(SocketAddr, SocketAddr) -> Proxy) -> (World, Proxy) {
    let listen = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let gateway = nodkey_gateway::Config {
        address_header: Some("x-forwarded-for".into()),
        challenge_rate: 2,
        unknown_device_rate: 20,
        ..nodkey_gateway::Config::default()
    };
    let mut world = World::embedded_behind(gateway, &format!("https://{listen}")).await;
    world.endpoints.ca_certificate = Some(std::fs::read_to_string(certificate().0.with_file_name("ca.pem")).unwrap());
    let proxy = proxy(listen, world.gateway());
    let mut looks = tokio::time::interval(Duration::from_millis(50));
    let ready = async {
        while !Client::new().get(format!("{}/jwks", world.http)).send().await.is_ok_and(|answer| answer.status() == 200) {
            looks.tick().await;
        }
    };
    tokio::time::timeout(PATIENCE, ready).await.expect("the proxy serves");
    (world, proxy)
}

macro_rules! behind {
    ($($test:ident),+ $(,)?) => {
        mod nginx {
            $(#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
            async fn $test() {
                let (world, _proxy) = super::behind(super::nginx).await;
                super::$test(&world).await;
            })+
        }
        mod haproxy {
            $(#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
            async fn $test() {
                let (world, _proxy) = super::behind(super::haproxy).await;
                super::$test(&world).await;
            })+
        }
    };
}

behind!(
    a_login_goes_through_and_what_is_signed_arrives_as_it_was_sent,
    a_backend_calls_over_grpc_and_waits_on_a_stream,
    events_come_at_once_and_a_stream_is_neither_held_back_nor_changed,
    nobody_chooses_the_address_they_are_counted_by,
);

async fn a_login_goes_through_and_what_is_signed_arrives_as_it_was_sent(world: &World) {
    let tenant = world.tenant().await;
    // Characters that proxies like to normalize, which would break the signature.
    let user = "a b/c//../d%2e";
    let phone = tenant.active(user).await;
    let path = "/api/v2/users/a%20b%2Fc%2F%2F..%2Fd%252e/devices";
    let answer = http::backend(&world.http, &tenant.server, Method::GET, path, "").await;
    assert_eq!(answer.status, 200, "{}", answer.body);
    let query = "/api/v2/identity_documents?user_identifier=a%20b&x=%2f";
    assert_eq!(http::backend(&world.http, &tenant.server, Method::GET, query, "").await.status, 200);
    let body = json!({
        "user_identifier": user, "action": "log in", "resource": "Acme", "desired_level": 2, "custom_fields": {"x": "y".repeat(900_000)},
    });
    let created = http::backend(&world.http, &tenant.server, Method::POST, "/api/v2/trusonafications", &body.to_string()).await;
    assert_eq!(created.status, 201, "{}", created.error);
    phone.respond(&asked(&phone).await, Decision::Accept, None).await.unwrap();
    assert!(is_success(&tenant.backend.wait(created.body["id"].as_str().unwrap()).await.unwrap()));
}

async fn a_backend_calls_over_grpc_and_waits_on_a_stream(world: &World) {
    let tenant = world.tenant().await;
    let backend = tenant.backend_through(&world.one_address());
    let phone = tenant.registered().await;
    let binding = backend.create_binding("ada", phone.device_identifier().as_str()).await.unwrap();
    backend.activate_binding(&binding.id).await.unwrap();
    let fields = json!({"x": "y".repeat(900_000)});
    let new = NewTrusonafication::user("ada", "log in", "Acme").custom_fields(fields.as_object().unwrap());
    let id = backend.create_trusonafication(new).await.unwrap().trusonafication.id;
    assert_eq!(backend.trusonafication(&id).await.unwrap().custom_fields_json, fields.to_string());
    let (done, ()) = tokio::join!(backend.wait(&id), async {
        phone.respond(&asked(&phone).await, Decision::Accept, None).await.unwrap();
    });
    assert!(is_success(&done.unwrap()));
    // On the same connection, which is still open in both directions.
    let unknown = backend.wait("00000000-0000-7000-8000-000000000000").await.unwrap_err();
    assert_eq!(unknown.kind, Kind::NotFound, "{unknown}");
    // A refusal includes its details.
    let refused = backend.create_trusonafication(NewTrusonafication::user("ada", "", "Acme")).await.unwrap_err();
    assert_eq!((refused.reason.as_str(), refused.field_violations.len()), ("VALIDATION_FAILED", 1), "{refused}");
}

async fn events_come_at_once_and_a_stream_is_neither_held_back_nor_changed(world: &World) {
    let tenant = world.tenant().await;
    let key = PrivateKey::generate(Algorithm::EdDsa, &Random::system());
    let body = json!({"device_key": key.public().to_value(), "presence_keys": [], "name": "by hand", "platform": "other"});
    let registered = http::register(&world.http, &tenant.mobile, &key, &body.to_string()).await;
    assert_eq!(registered.status, 201, "{}", registered.error);
    let device = key.public().thumbprint();
    let binding = tenant.backend.create_binding("ada", &device).await.unwrap();
    tenant.backend.activate_binding(&binding.id).await.unwrap();
    let url = format!("{}/api/v2/devices/{device}/trusonafications", world.http);
    let proof = dpop::create(&key, "GET", &url, b"", Clock::system().now(), &Random::system());
    let stream = Client::new().get(&url).header("DPoP", proof).header("Accept", "text/event-stream").header("Accept-Encoding", "gzip");
    let stream = stream.send().await.unwrap();
    assert_eq!(stream.status(), 200);
    assert_eq!(stream.headers()["cache-control"], "no-store, no-transform");
    assert!(!stream.headers().contains_key("content-encoding"));
    let mut events = stream.bytes_stream();
    // Events may come together.
    let mut until = async |what: &str| {
        let mut text = String::new();
        while !text.contains(what) {
            let next = tokio::time::timeout(PATIENCE, events.next()).await.unwrap().unwrap().unwrap();
            text.push_str(std::str::from_utf8(&next).unwrap());
        }
        text
    };
    assert!(until("retry: ").await.starts_with(": open\n\n"), "the head comes with something behind it");
    let created = tenant.backend.create_trusonafication(NewTrusonafication::user("ada", "log in", "Acme")).await.unwrap().trusonafication;
    let event = until("event: trusonafication\n").await;
    assert!(event.contains(&created.id), "{event}");
    tenant.backend.cancel(&created.id).await.unwrap();
    until("event: closed\n").await;
}

async fn nobody_chooses_the_address_they_are_counted_by(world: &World) {
    // Each call claims other addresses: if one of them counted, no call would be refused.
    let invented = |n: u32| [format!("203.0.113.{n}"), format!("198.51.100.{n}")];
    let (client, url) = (Client::new(), format!("{}/api/v2/device_challenges", world.http));
    let calls = (0..20).map(|n| {
        let key = PrivateKey::generate(Algorithm::EdDsa, &Random::system());
        let proof = dpop::create(&key, "POST", &url, b"", Clock::system().now(), &Random::system());
        let [first, last] = invented(n);
        let call = client.post(&url).header("DPoP", proof).header("X-Forwarded-For", first).header("x-forwarded-for", &last);
        call.header("Forwarded", format!("for={last}")).header("X-Real-IP", last).send()
    });
    let statuses: Vec<_> = join_all(calls).await.into_iter().map(|answer| answer.unwrap().status().as_u16()).collect();
    assert!(statuses.contains(&429), "all of them come from one address: {statuses:?}");

    let channel = channel(world);
    let calls = (0..40).map(|n| {
        let claims = json!({"aud": "nodkey", "exp": Clock::system().now().as_seconds() + 30});
        let token = hs256::sign(Some(&format!("00000000-0000-7000-8000-{n:012}")), &claims, b"invented");
        let mut request = tonic::Request::new(GetTrusonaficationRequest::default());
        request.metadata_mut().insert("authorization", format!("Bearer {token}").parse().unwrap());
        let [first, last] = invented(n);
        request.metadata_mut().insert("forwarded", format!("for={last}").parse().unwrap());
        for address in [first, last] {
            request.metadata_mut().append("x-forwarded-for", address.parse().unwrap());
        }
        let mut trusonafications = TrusonaficationServiceClient::new(channel.clone());
        async move { trusonafications.get_trusonafication(request).await.unwrap_err().code() }
    });
    let codes = join_all(calls).await;
    assert!(codes.contains(&Code::ResourceExhausted), "all of them come from one address: {codes:?}");
}

/// A channel through the proxy, without a credential.
fn channel(world: &World) -> Channel {
    let authority = Certificate::from_pem(world.endpoints.ca_certificate.as_ref().unwrap());
    let endpoint = Endpoint::from_shared(world.http.clone()).unwrap();
    endpoint.tls_config(ClientTlsConfig::new().ca_certificate(authority)).unwrap().connect_lazy()
}

/// Lines that each file must contain, and how often: the proxy's own header counts, whatever address a client claims, and gRPC is forwarded
/// as HTTP/2.
const LINES: [(&str, &[&str]); 4] = [
    (
        "Caddyfile",
        &["header_up X-Forwarded-For {remote_host}", "header_up -Forwarded", "import forwarded", "import forwarded", "versions h2c 2"],
    ),
    (
        "envoy.yaml",
        &[
            "use_remote_address: true",
            "request_headers_to_remove: [forwarded]",
            "- match: { prefix: /nodkey. }",
            "explicit_http_config: { http2_protocol_options: {} }",
        ],
    ),
    (
        "haproxy.cfg",
        &[
            "http-request set-header X-Forwarded-For %[src]",
            "http-request del-header Forwarded",
            "use_backend grpc if { path_beg /nodkey. }",
            "server gateway 127.0.0.1:8080 proto h2",
        ],
    ),
    (
        "nginx.conf",
        &[
            "proxy_set_header X-Forwarded-For $remote_addr;",
            "proxy_set_header Forwarded \"\";",
            "location /nodkey. {",
            "grpc_pass grpc://gateway_grpc;",
            "grpc_set_header X-Forwarded-For $remote_addr;",
            "grpc_set_header Forwarded \"\";",
        ],
    ),
];

#[test]
fn every_proxy_that_is_described_sets_the_header_that_the_gateway_is_told_to_read() {
    let top = Path::new(env!("CARGO_MANIFEST_DIR")).join("..");
    let read = |file: &str| std::fs::read_to_string(top.join(file)).unwrap();
    assert!(read("docker-compose.yml").contains("NODKEY_SERVICE__ADDRESS_HEADER: x-forwarded-for"));
    let mut files: Vec<_> = std::fs::read_dir(top.join("deploy/proxies")).unwrap().map(|file| file.unwrap().path()).collect();
    files.sort();
    let names: Vec<_> = files.iter().map(|file| file.file_name().unwrap().to_str().unwrap()).collect();
    assert_eq!(names, LINES.map(|(name, _)| name));
    for (file, (name, lines)) in files.iter().zip(LINES) {
        let text = std::fs::read_to_string(file).unwrap();
        assert!(text.lines().next().unwrap().contains("NODKEY_SERVICE__ADDRESS_HEADER=x-forwarded-for"), "{name}");
        assert!(text.contains("75s"), "{name}");
        for line in lines {
            let wanted = lines.iter().filter(|other| *other == line).count();
            let found = text.lines().filter(|found| found.trim() == *line).count();
            assert!(found >= wanted, "{name} has {found} lines {line}");
        }
        assert!(read("deploy/README.md").contains(name));
    }
}
