//! The phone behaves as `sdk/spec/phone.json` says, case by case; the file explains its format.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on fails")]

mod gateway;
mod prompts;

use std::{
    collections::BTreeMap,
    pin::pin,
    sync::{Arc, Mutex},
    time::{Duration, SystemTime},
};

use nodkey_kernel::{
    jose::{self, PrivateKey, PublicJwk, b64u_decode},
    random::Random,
    time::{Clock, Timestamp},
};
use nodkey_mobile_sdk::{
    Algorithm, Config, Decision, DeploymentKeys, Environment, Error, ErrorKind, NumberMatch, Pending, Phone, PhoneEvent, Platform,
    PresenceError, PresenceKind, RejectReason, Untrusted, UserPresence, async_trait,
    software::{SoftwareKey, SoftwareKeyStore},
};
use serde_json::{Map, Value, json};

use gateway::Gateway;

const SPEC: &str = include_str!("../../../spec/phone.json");
/// Pauses are shorter; a wait this long is for a silent stream.
const SILENCE: Duration = Duration::from_secs(30);

/// A log of what happened, in order.
#[derive(Clone, Debug, Default)]
pub struct Log(Arc<Mutex<Vec<Value>>>);

impl Log {
    /// Adds an entry.
    ///
    /// # Panics
    /// If a test that wrote to it panicked.
    pub fn add(&self, entry: Value) {
        self.0.lock().unwrap().push(entry);
    }
}

/// The keys of the file, by name.
pub type Keys = BTreeMap<String, PrivateKey>;

fn keys(spec: &Value) -> Keys {
    let key = |jwk: &Value| {
        let mut public = jwk.clone();
        public.as_object_mut().unwrap().remove("d");
        let algorithm = if jwk["kty"] == "EC" { jose::Algorithm::Es256 } else { jose::Algorithm::EdDsa };
        let key = PrivateKey::from_secret_bytes(algorithm, &b64u_decode(jwk["d"].as_str().unwrap()).unwrap()).unwrap();
        assert_eq!(key.public(), PublicJwk::from_value(&public).unwrap());
        key
    };
    spec["keys"].as_object().unwrap().iter().map(|(name, jwk)| (name.clone(), key(jwk))).collect()
}

fn software(key: &PrivateKey) -> SoftwareKey {
    let algorithm = if key.public().algorithm() == jose::Algorithm::Es256 { Algorithm::Es256 } else { Algorithm::EdDsa };
    SoftwareKey::from_secret_bytes(algorithm, &key.to_secret_bytes()).unwrap()
}

/// A person whose presence checks end as a case says.
struct Person {
    log: Log,
    presence: Value,
}

#[async_trait]
impl UserPresence for Person {
    async fn confirm(&self, kind: PresenceKind, reason: String) -> Result<(), PresenceError> {
        self.log.add(json!({"confirms": kind.as_str(), "reason": reason}));
        match self.presence[kind.as_str()].as_str().unwrap_or("confirms") {
            "confirms" => Ok(()),
            "denies" => Err(PresenceError::Denied),
            "unavailable" => Err(PresenceError::Unavailable),
            other => panic!("{other}"),
        }
    }
}

/// A clock that stands still, and pauses that are over at once.
struct Paused {
    log: Log,
    clock: Clock,
}

#[async_trait]
impl Environment for Paused {
    fn now(&self) -> SystemTime {
        SystemTime::UNIX_EPOCH + Duration::from_micros(self.clock.now().as_micros().unsigned_abs())
    }

    fn fill(&self, buffer: &mut [u8]) {
        Random::system().fill(buffer);
    }

    async fn sleep(&self, pause: Duration) {
        if pause < SILENCE {
            self.log.add(json!({"pause": u64::try_from(pause.as_millis()).unwrap()}));
        } else {
            std::future::pending::<()>().await;
        }
    }
}

/// An app that acts as a case says.
struct App<'a> {
    case: &'a Value,
    log: Log,
    phone: Phone,
    clock: Clock,
    open: Vec<Pending>,
}

impl App<'_> {
    async fn act(&mut self, action: &Value) {
        match action {
            Value::String(name) if name == "listen" => self.listen().await,
            Value::String(name) if name == "register" => match self.phone.register("Test").await {
                Ok(device) => self.log.add(json!({"registered": device.device_identifier.as_str()})),
                Err(e) => self.failed(&e),
            },
            advance => {
                self.clock.advance(Duration::from_secs(advance["advance"].as_u64().unwrap()));
                self.log.add(json!({"advanced": advance["advance"]}));
            }
        }
    }

    async fn listen(&mut self) {
        let phone = &self.phone;
        let mut failed = None;
        let mut stream = match phone.events().await {
            Ok(stream) => stream,
            Err(e) => return self.failed(&e),
        };
        while let Some(event) = stream.next().await {
            match event {
                Ok(PhoneEvent::Asked(pending)) => {
                    self.open.retain(|open| open.id != pending.id);
                    self.open.push((*pending).clone());
                    if answer(self.case, &self.log, phone, &pending).await {
                        self.open.retain(|open| open.id != pending.id);
                    }
                }
                Ok(PhoneEvent::Closed { id }) => {
                    self.open.retain(|open| open.id != id);
                    self.log.add(json!({"closed": id.as_str()}));
                }
                Ok(PhoneEvent::Untrusted { id, reason }) => {
                    self.log.add(json!({"untrusted": {"id": id.as_str(), "reason": reason_of(reason)}}));
                }
                Ok(PhoneEvent::Synced) => {
                    self.open.sort_by(|one, other| one.turn().cmp(&other.turn()));
                    self.log.add(json!({"synced": self.open.iter().map(|open| open.id.as_str()).collect::<Vec<_>>()}));
                }
                Ok(other) => panic!("{other:?}"),
                Err(e) => failed = Some(e),
            }
        }
        drop(stream);
        match failed {
            Some(e) => self.failed(&e),
            None => self.log.add(json!({"ended": true})),
        }
    }

    fn failed(&self, error: &Error) {
        self.log.add(failure(error));
    }
}

/// Shows what has to be shown, and answers as the person decides. Returns whether it was answered.
async fn answer(case: &Value, log: &Log, phone: &Phone, pending: &Pending) -> bool {
    let person = &case["person"];
    let mut decision = json!({"decide": "accept"});
    if pending.is_shown() {
        log.add(shown(pending));
        for of in ["*", pending.id.as_str()] {
            if let Some(named) = person.get(of) {
                decision = named.clone();
            }
        }
    }
    let number = decision["number"].as_str();
    let answered = match (decision["decide"].as_str().unwrap(), decision["why"].as_str()) {
        ("nothing", _) => return false,
        ("accept", _) => phone.respond(pending, Decision::Accept, number).await,
        ("reject", None) => phone.respond(pending, Decision::Reject, None).await,
        ("reject", Some("not_me")) => phone.reject(pending, RejectReason::NotMe).await,
        other => panic!("{other:?}"),
    };
    let is_over = answered.is_ok();
    log.add(match answered {
        Ok(answer) => json!({"answered": answer.outcome.as_str()}),
        Err(e) => failure(&e),
    });
    is_over
}

fn shown(pending: &Pending) -> Value {
    let challenge = &pending.challenge;
    let mut shown = json!({
        "id": pending.id.as_str(),
        "relying_party": challenge.relying_party.name,
        "action": challenge.action,
        "resource": challenge.resource,
        "level": challenge.level,
    });
    if let Some(fields) = &challenge.custom_fields {
        shown["fields"] = fields.members().into_iter().map(|(name, value)| json!([name, value])).collect();
    }
    match &challenge.number_match {
        Some(NumberMatch::Enter { digits }) => shown["number"] = json!({"enter": digits}),
        Some(NumberMatch::Choose { choices }) => shown["number"] = json!({"choose": choices}),
        Some(other) => panic!("{other:?}"),
        None => {}
    }
    if let Some(from) = &challenge.request_context {
        let parts = [("address", &from.address), ("browser", &from.browser), ("place", &from.place)];
        shown["from"] = parts.into_iter().filter(|(_, part)| !part.is_empty()).map(|(name, part)| (name.to_owned(), json!(part))).collect();
    }
    json!({"shows": shown})
}

fn reason_of(reason: Untrusted) -> &'static str {
    match reason {
        Untrusted::OtherGateway => "ISSUER",
        Untrusted::Signature | Untrusted::UnknownKey => "SIGNATURE",
        Untrusted::Mismatch => "MISMATCH",
        Untrusted::Malformed => "MALFORMED",
        other => panic!("{other}"),
    }
}

fn failure(error: &Error) -> Value {
    let name = match error.kind() {
        _ if error.status().is_some() => {
            let retry_after = error.retry_after().unwrap_or_default();
            return json!({"failed": {"error": error.reason(), "retry_after": u64::try_from(retry_after.as_millis()).unwrap()}});
        }
        ErrorKind::Offline => "UNREACHABLE",
        ErrorKind::Denied => "PRESENCE_DENIED",
        ErrorKind::PresenceUnavailable => "PRESENCE_UNAVAILABLE",
        _ => panic!("{error}"),
    };
    json!({"failed": {"error": name}})
}

/// Runs a case, and returns what happened.
async fn run(spec: &Value, case: &Value) -> Vec<Value> {
    let (keys, log) = (keys(spec), Log::default());
    let clock = Clock::manual(Timestamp::from_seconds(spec["now"].as_i64().unwrap()));
    let gateway = Gateway::start(&keys, case, clock.clone(), log.clone()).await;
    let key = |name: &str| software(&keys[name]);
    let has_none = case["presence"].as_object().is_some_and(Map::is_empty);
    let presence = if has_none {
        Vec::new()
    } else {
        vec![(PresenceKind::Biometric, key("biometric")), (PresenceKind::Credential, key("credential"))]
    };
    let mut config = Config::builder().url(&gateway.url).token(gateway::TOKEN).secret(gateway::SECRET);
    if let Some(pinned) = case.get("pinned") {
        config = config.deployment_keys(DeploymentKeys::from_json(&gateway::jwks(&keys, pinned).to_string()).unwrap());
    }
    config = match case["app"]["platform"].as_str() {
        Some("cli") => config.platform(Platform::Cli),
        Some("web") => config.platform(Platform::Web),
        _ => config,
    };
    if let Some(version) = case["app"]["version"].as_str() {
        config = config.app_version(version);
    }
    let environment = Paused { log: log.clone(), clock: clock.clone() };
    let person = Person { log: log.clone(), presence: case["presence"].clone() };
    let store = Arc::new(SoftwareKeyStore::new(key("device"), presence));
    let phone = Phone::builder(config.build().unwrap(), store).user_presence(Arc::new(person)).environment(Arc::new(environment));
    let phone = phone.build().await.unwrap();
    assert_eq!(*phone.device_identifier(), gateway.device);
    let mut app = App { case, log: log.clone(), phone, clock, open: Vec::new() };
    for action in case["do"].as_array().unwrap() {
        app.act(action).await;
    }
    gateway.assert_done();
    let happened = log.0.lock().unwrap();
    happened.clone()
}

/// Whether what happened matches what is expected, which may be less detailed.
fn holds(expected: &Value, happened: &Value) -> bool {
    match (expected, happened) {
        (Value::Object(expected), Value::Number(pause)) => {
            let bound = |name: &str| expected[name].as_u64().unwrap();
            (bound("least")..=bound("most")).contains(&pause.as_u64().unwrap())
        }
        (Value::Object(expected), Value::Object(happened)) => {
            expected.iter().all(|(name, value)| holds(value, happened.get(name).unwrap_or(&Value::Null)))
        }
        (expected, happened) => expected == happened,
    }
}

#[tokio::test]
async fn the_phone_does_what_the_list_of_behaviours_says() {
    let spec: Value = serde_json::from_str(SPEC).unwrap();
    let mut failures = Vec::new();
    for case in spec["cases"].as_array().unwrap() {
        let happened = pin!(run(&spec, case)).await;
        let device = keys(&spec)["device"].public().thumbprint();
        let expected: Vec<Value> = serde_json::from_str(&case["log"].to_string().replace("{device}", &device)).unwrap();
        let is_same =
            expected.len() == happened.len() && expected.iter().zip(&happened).all(|(expected, happened)| holds(expected, happened));
        if !is_same {
            let lines = |log: &[Value]| log.iter().map(|entry| format!("    {entry}")).collect::<Vec<_>>().join("\n");
            failures.push(format!("{}\n  expected\n{}\n  happened\n{}", case["name"], lines(&expected), lines(&happened)));
        }
    }
    assert!(failures.is_empty(), "{}", failures.join("\n"));
}
