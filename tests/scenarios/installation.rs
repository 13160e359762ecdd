//! The data of an installation made by an earlier release can be opened, with everything still in it.
//!
//! `tests/installation` holds one installation per engine, what its clients know, and the evidence that it issued. Its README says how it
//! was made.

use std::{
    collections::BTreeMap,
    net::TcpListener,
    path::{Path, PathBuf},
    process::Command,
};

use nodkey_client::ServiceName;
use nodkey_db::{Db, DbConfig};
use nodkey_kernel::{
    challenge::{self, Decision, ResponseClaims},
    evidence::{Evidence, EvidenceError, Expected, Unproven, verify_evidence},
    jose::{Algorithm, Jwks, PrivateKey, PublishedKey, b64u_decode, jws},
    random::Random,
    time::Clock,
};
use nodkey_proto::{
    binding::v1::{GetBindingRequest, binding_service_client::BindingServiceClient},
    registry::v1::{
        CreateCredentialResponse, Credential, GetIdentityDocumentRequest, ListOperatorsRequest,
        identity_document_service_client::IdentityDocumentServiceClient, operator_service_client::OperatorServiceClient,
    },
};
use reqwest::{Client, Method};
use serde_json::{Value, json};
use tempfile::TempDir;

use crate::{
    http::{self, Answered},
    processes::{Plan, Running, binaries},
    world::{World, environment, eventually},
};

/// Tables with rows that stay forever unless a retention policy is set. Rows of the others expire.
const KEPT: &[(&str, &[&str])] = &[
    ("registry", &["app_link", "credential", "device", "identity_document", "operator", "relying_party", "signing_key"]),
    ("binding", &["binding", "bound_user", "identifier", "known_device"]),
    ("trusonafication", &["trusonafication"]),
    ("notification", &["endpoint", "push_configuration", "push_registration"]),
];

fn fixture() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("installation")
}

fn read(path: &str) -> Value {
    let path = fixture().join(path);
    serde_json::from_str(&std::fs::read_to_string(&path).unwrap_or_else(|e| panic!("{}: {e}", path.display()))).unwrap()
}

fn text<'a>(value: &'a Value, name: &str) -> &'a str {
    value[name].as_str().unwrap_or_else(|| panic!("{name} of {value}"))
}

/// A reopened installation, and what its clients know.
struct Installation {
    /// `sqlite` or `postgres`.
    name: &'static str,
    world: World,
    clients: Value,
}

impl Installation {
    fn new(name: &'static str, world: World) -> Self {
        Self { name, world, clients: read(&format!("{name}.json")) }
    }

    fn entries(&self, kind: &str) -> impl Iterator<Item = (&String, &Value)> {
        self.clients[kind].as_object().unwrap().iter()
    }

    fn credential(&self, name: &str) -> CreateCredentialResponse {
        let known = &self.clients["credentials"][name];
        let credential = Credential { token: text(known, "token").into(), ..Credential::default() };
        CreateCredentialResponse { credential: Some(credential), secret: text(known, "secret").into() }
    }

    /// The backend of a relying party calls the gateway.
    async fn get(&self, relying_party: &str, path: &str) -> Answered {
        http::backend(&self.world.http, &self.credential(&format!("{relying_party} server")), Method::GET, path, "").await
    }

    /// A phone calls the gateway, which now has another address than the phone knows.
    /// Calls as a phone does, which repeats what a busy server does not take.
    async fn phone(&self, phone: &Value, method: Method, path: &str, body: &str) -> Answered {
        let key = private_key(&phone["device_key"]);
        eventually("the phone is answered", async || {
            let answer = http::phone_at(&self.world.http, text(&self.clients, "public_url"), &key, method.clone(), path, body).await;
            (answer.status != 503).then_some(answer)
        })
        .await
    }

    fn jwks(&self, when: &str) -> Jwks {
        serde_json::from_value(read(&format!("jwks/{}-{when}.json", self.name))).unwrap()
    }

    async fn holds(&self) {
        self.trusonafications_are_as_they_were().await;
        self.evidence_is_as_it_was().await;
        self.bindings_documents_and_operators_are_as_they_were().await;
        self.credentials_work_unless_they_are_disabled().await;
        self.the_console_is_as_it_was().await;
        self.phones_answer_what_they_were_asked().await;
        self.who_pinned_the_keys_of_before_goes_on_and_what_ends_has_a_receipt().await;
    }

    async fn trusonafications_are_as_they_were(&self) {
        for (name, expected) in self.entries("trusonafications") {
            let path = format!("/api/v2/trusonafications/{}", text(expected, "id"));
            let answer = self.get(text(expected, "relying_party"), &path).await;
            assert_eq!(answer.status, 200, "{name}");
            let status = text(&answer.body, "status");
            let ages = name.starts_with("in progress") && !name.contains("2036") && status == "EXPIRED";
            assert!(status == text(expected, "status") || ages, "{name}: {status}");
            for member in ["desired_level", "user_identifier", "result"] {
                let differs = expected.get(member).is_some_and(|expected| !holds(&answer.body[member], expected));
                assert!(!differs, "{name}: {member} of {}", answer.body);
            }
        }
    }

    async fn evidence_is_as_it_was(&self) {
        let jwks = http::nobody(&self.world.http, Method::GET, "/jwks", "").await.body;
        let published: Jwks = serde_json::from_value(jwks.clone()).unwrap();
        let is_published = |key: &PublishedKey| published.keys.iter().any(|now| (&now.kid, now.key) == (&key.kid, key.key));
        assert!(self.jwks("after").keys.iter().all(is_published));
        let index = read("evidence/index.json");
        let here: Vec<_> = index["evidence"].as_array().unwrap().iter().filter(|entry| entry["installation"] == self.name).collect();
        assert_eq!(here.len(), 31);
        for entry in here {
            let (name, id) = (text(entry, "name"), text(entry, "id"));
            let relying_party = text(&self.clients["trusonafications"][name], "relying_party");
            let answer = self.get(relying_party, &format!("/api/v2/trusonafications/{id}/evidence")).await;
            let before = read(&format!("evidence/{}", text(entry, "file")));
            for member in ["challenge", "response", "keys"] {
                assert_eq!(answer.body[member], before[member], "{name}: {member}");
            }
            assert_eq!(answer.body["jwks"], jwks, "{name}");
            let evidence: Evidence = serde_json::from_value(answer.body).unwrap();
            for when in ["before", "between", "after"] {
                let file = json!(format!("{}-{when}.json", self.name));
                let found = verify_evidence(&evidence, &self.jwks(when), &Expected::any_outcome()).unwrap_err();
                if entry["jwks"].as_array().unwrap().contains(&file) {
                    let EvidenceError::NotProven(found) = found else { panic!("{name} by {file}: {found}") };
                    let Unproven::NoReceipt(found) = found else { panic!("{name} by {file}: {found:?}") };
                    for (member, value) in serde_json::to_value(&found).unwrap().as_object().unwrap() {
                        assert_eq!(value, &entry["verified"][member], "{name} by {file}: {member}");
                    }
                } else {
                    assert!(matches!(found, EvidenceError::NotGenuine(_)), "{name} by {file}: {found}");
                }
            }
        }
    }

    async fn bindings_documents_and_operators_are_as_they_were(&self) {
        let operator = |relying_party: &str| {
            let party = self.clients["relying_parties"].get(relying_party).map(|id| id.as_str().unwrap());
            self.world.operator(party)
        };
        for (id, expected) in self.entries("bindings") {
            let relying_party = text(&self.clients["phones"][text(expected, "device")], "relying_party");
            let mut bindings = BindingServiceClient::new(operator(relying_party).channel(ServiceName::Binding));
            let binding = bindings.get_binding(GetBindingRequest { id: id.clone() }).await.unwrap().into_inner();
            assert_eq!(binding.user_identifier, text(expected, "user"));
            assert_eq!(format!("{:?}", binding.state()).to_lowercase(), text(expected, "state"), "{id}");
        }
        for (name, expected) in self.entries("documents") {
            let relying_party = if name.starts_with("cafe") { "cafe" } else { "acme" };
            let mut documents = IdentityDocumentServiceClient::new(operator(relying_party).channel(ServiceName::Registry));
            let id = text(expected, "id").to_owned();
            let document = documents.get_identity_document(GetIdentityDocumentRequest { id }).await.unwrap().into_inner();
            assert_eq!(document.hash, text(expected, "hash"), "{name}");
            assert_eq!(format!("{:?}", document.verification_status()).to_uppercase(), text(expected, "status"), "{name}");
        }
        let mut operators = OperatorServiceClient::new(self.world.operator(None).channel(ServiceName::Registry));
        let known = operators.list_operators(ListOperatorsRequest::default()).await.unwrap().into_inner().operators;
        let known: BTreeMap<_, _> = known.iter().map(|operator| (operator.id.as_str(), operator)).collect();
        for (name, expected) in self.entries("operators") {
            let operator = known[text(expected, "id")];
            assert_eq!(&operator.name, name);
            assert_eq!(format!("{:?}", operator.role()).to_lowercase(), text(expected, "role"), "{name}");
            assert_eq!(format!("{:?}", operator.state()).to_lowercase(), text(expected, "state"), "{name}");
        }
    }

    async fn credentials_work_unless_they_are_disabled(&self) {
        for (name, known) in self.entries("credentials") {
            let credential = self.credential(name);
            let (found, status) = if text(known, "kind") == "server" {
                let nothing = format!("/api/v2/trusonafications/{}", uuid::Uuid::nil());
                (404, http::backend(&self.world.http, &credential, Method::GET, &nothing, "").await.status)
            } else {
                let key = PrivateKey::generate(Algorithm::Es256, &Random::system());
                let public_url = text(&self.clients, "public_url");
                let phone = json!({"device_key": key.public().to_value(), "presence_keys": [], "name": "a new phone", "platform": "other"});
                (201, http::register_at(&self.world.http, public_url, &credential, &key, &phone.to_string()).await.status)
            };
            let expected = if known["disabled"] == json!(false) { found } else { 403 };
            assert_eq!(status, expected, "{name}");
        }
    }

    async fn the_console_is_as_it_was(&self) {
        let cookie = text(&self.clients["operators"]["Grace Hopper"], "session_cookie");
        let session = Client::new().get(format!("{}/console/api/session", self.world.http)).header("Cookie", cookie);
        let session = http::read(session.header("Sec-Fetch-Site", "same-origin").send().await.unwrap()).await;
        assert_eq!(session.status, 200, "{}", session.body);
        assert!(session.body.to_string().contains("Grace Hopper"), "{}", session.body);
        for (name, operator) in self.entries("operators") {
            if let Some(link) = operator.get("invitation_link") {
                let path = link.as_str().unwrap().split_once("#enrol=").unwrap().1;
                assert_eq!(http::nobody(&self.world.http, Method::GET, path, "").await.status, 200, "{name}");
            }
        }
    }

    async fn phones_answer_what_they_were_asked(&self) {
        let document = text(&self.clients["documents"]["jürgen"], "hash");
        for (name, phone, presence, document) in [
            ("in progress until 2036", "1 Ada's phone", Some("biometric"), None),
            ("in progress until 2036, level 3, choose", "2 Jürgen, both kinds", Some("biometric"), Some(document)),
            ("in progress until 2036, enter", "1 Ada's phone", Some("biometric"), None),
            ("in progress until 2036, at 1", "3 Ann, no presence key", None, None),
        ] {
            let (asked, phone) = (&self.clients["trusonafications"][name], &self.clients["phones"][phone]);
            let key = private_key(presence.map_or(&phone["device_key"], |kind| &phone["presence_keys"][kind]));
            let response = self.respond(asked, phone, &key, document).await;
            let body = json!({"response": response}).to_string();
            let answer = self.phone(phone, Method::POST, "/api/v2/trusonafication_responses", &body).await;
            assert_eq!((answer.status, text(&answer.body, "status")), (200, "ACCEPTED"), "{name}: {}", answer.body);
            let path = format!("/api/v2/trusonafications/{}", text(asked, "id"));
            let done = self.get(text(asked, "relying_party"), &path).await.body;
            assert_eq!((&done["status"], &done["result"]["accepted_level"]), (&json!("ACCEPTED"), &asked["desired_level"]), "{name}");
        }
    }

    /// The old key signs challenges until its successor has been published long enough for everybody. The new key signs receipts
    /// immediately.
    async fn who_pinned_the_keys_of_before_goes_on_and_what_ends_has_a_receipt(&self) {
        let (phone, device) = (&self.clients["phones"]["1 Ada's phone"], "device_identifier");
        let body = json!({"device_identifier": phone[device], "action": "log in", "resource": "Acme"}).to_string();
        let path = "/api/v2/trusonafications";
        let asked = http::backend(&self.world.http, &self.credential("acme server"), Method::POST, path, &body).await;
        assert_eq!(asked.status, 201, "{}", asked.body);
        // It verifies the challenge by the pinned keys.
        let response = self.respond(&asked.body, phone, &private_key(&phone["presence_keys"]["biometric"]), None).await;
        let body = json!({"response": response}).to_string();
        assert_eq!(self.phone(phone, Method::POST, "/api/v2/trusonafication_responses", &body).await.status, 200);
        let jwks = http::nobody(&self.world.http, Method::GET, "/jwks", "").await.body;
        let (published, pinned): (Jwks, Jwks) = (serde_json::from_value(jwks).unwrap(), self.jwks("after"));
        let new: Vec<_> = published.keys.iter().filter(|key| pinned.keys.iter().all(|before| before.kid != key.kid)).collect();
        assert_eq!(new.len(), 1, "each of before is there, and one more");
        for id in [&asked.body["id"], &self.clients["trusonafications"]["in progress until 2036"]["id"]] {
            let evidence = self.get("acme", &format!("{path}/{}/evidence", id.as_str().unwrap())).await.body;
            let evidence: Evidence = serde_json::from_value(evidence).unwrap();
            let receipt = jws::Compact::parse(evidence.receipt.as_ref().unwrap()).unwrap().header().clone();
            assert_eq!(receipt.kid.as_ref(), Some(&new[0].kid));
            // Its phones make no key statements.
            assert!(matches!(verify_evidence(&evidence, &published, &Expected::accept()), Err(EvidenceError::NotProven(_))));
            verify_evidence(&evidence, &published, &Expected::accept().allow_uncertified()).unwrap();
        }
    }

    /// Accepts the pending trusonafication that the phone finds, with this key.
    async fn respond(&self, asked: &Value, phone: &Value, key: &PrivateKey, document: Option<&str>) -> String {
        let device = text(phone, "device_identifier");
        let pending = self.phone(phone, Method::GET, &format!("/api/v2/devices/{device}/trusonafications?wait=0"), "").await;
        let pending = pending.body["trusonafications"].as_array().unwrap().clone();
        let pending = pending.iter().find(|pending| pending["id"] == asked["id"]).unwrap_or_else(|| panic!("{asked} is in {pending:?}"));
        let (signed, issuer, now) = (text(pending, "challenge"), text(&self.clients, "public_url"), Clock::system().now());
        let challenge = challenge::verify_challenge(signed, &self.jwks("after"), issuer, now).unwrap();
        let claims = ResponseClaims {
            iss: device.to_owned(),
            aud: challenge.iss.into(),
            sub: challenge.jti,
            chal: challenge::challenge_hash(signed),
            dec: Decision::Accept,
            why: None,
            num: asked.get("match_number").map(|number| number.as_str().unwrap().to_owned()),
            doc: document.map(ToOwned::to_owned),
            iat: now.as_seconds(),
            jti: Random::system().token(),
        };
        jws::sign(challenge::RESPONSE_TYP, Some(&key.public().thumbprint()), None, &claims, key)
    }

    /// Counts the rows that stay, in each database at its URL.
    async fn rows_are_all_there(&self, url: impl Fn(&str) -> String) {
        let expected = read("rows.json");
        for (service, tables) in KEPT {
            let config: DbConfig = serde_json::from_value(json!({"url": url(service), "max_connections": 1})).unwrap();
            let db = Db::connect(&config).await.unwrap();
            for table in *tables {
                // Two phones were registered above, and one got one more prompt.
                let added = match *table {
                    "device" => 2,
                    "trusonafication" => 1,
                    _ => 0,
                };
                let sql: &'static str = format!("SELECT count(*) AS rows FROM {table}").leak();
                let rows: i64 = db.query(sql).fetch_one().await.unwrap().get("rows").unwrap();
                assert_eq!(rows, expected[self.name][service][table].as_i64().unwrap() + added, "{service}.{table}");
            }
            db.close().await;
        }
    }
}

/// Whether everything expected is there. There may be more.
fn holds(found: &Value, expected: &Value) -> bool {
    match expected {
        Value::Object(members) => members.iter().all(|(name, expected)| holds(&found[name], expected)),
        expected => found == expected,
    }
}

fn private_key(jwk: &Value) -> PrivateKey {
    let algorithm = if jwk["kty"] == "EC" { Algorithm::Es256 } else { Algorithm::EdDsa };
    PrivateKey::from_secret_bytes(algorithm, &b64u_decode(text(jwk, "d")).unwrap()).unwrap()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_data_folder_of_an_earlier_release_opens_and_everything_is_where_it_was() {
    let dir = TempDir::new().unwrap();
    for entry in std::fs::read_dir(fixture().join("sqlite")).unwrap() {
        let entry = entry.unwrap();
        std::fs::copy(entry.path(), dir.path().join(entry.file_name())).unwrap();
    }
    // Twice: the first start migrates the schema, and the second finds it up to date.
    for start in 0..2 {
        let port = || TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().to_string();
        let (listen, grpc) = (port(), port());
        let public_url = read("sqlite.json")["public_url"].as_str().unwrap().to_owned();
        let mut command = Command::new(binaries().join("nodkey"));
        command.args(["dev", "--http", &listen, "--grpc", &grpc, "--public-url", &public_url, "--data-dir"]).arg(dir.path());
        let _running = Running::start(&mut command, "ready");
        let mut world = World::of_file(&std::fs::read_to_string(dir.path().join("dev.json")).unwrap());
        world.http = format!("http://{listen}");
        let installation = Installation::new("sqlite", world);
        if start == 0 {
            installation.evidence_is_as_it_was().await;
        } else {
            installation.holds().await;
            installation.rows_are_all_there(|service| format!("sqlite:{}", dir.path().join(format!("{service}.db")).display())).await;
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn databases_of_an_earlier_release_open_and_everything_is_where_it_was() {
    let keys = std::fs::read_to_string(fixture().join("postgres/keys.env")).unwrap();
    let settings = keys.lines().filter_map(|line| line.split_once('='));
    let plan = settings.fold(Plan::new(), |plan, (name, value)| plan.set(name.to_owned(), value));
    plan.create_databases().await;
    let server = plan.postgres.rsplit_once('@').unwrap().1.split_once('/').unwrap().0.to_owned();
    let url = |service: &str| {
        let name = plan.database(service);
        format!("postgres://{name}@{server}/{name}")
    };
    for (service, _) in KEPT {
        let psql = Path::new(&environment("NODKEY_TEST_POSTGRES_BIN")).join("psql");
        let dump = fixture().join(format!("postgres/{service}.sql"));
        let restored = Command::new(psql).args(["-q", "-v", "ON_ERROR_STOP=1", "-f"]).arg(dump).arg(url(service)).output().unwrap();
        assert!(restored.status.success(), "{}", String::from_utf8_lossy(&restored.stderr));
    }
    let topology = plan.clone().start().await;
    let installation = Installation::new(
        "postgres",
        World::at(topology.world.http.clone(), topology.world.endpoints.clone(), topology.world.operator_key().to_owned()),
    );
    installation.holds().await;
    installation.rows_are_all_there(url).await;
}
