//! The phone behaves as `sdk/spec/phone.json` says, case by case; the file explains its format.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on fails")]

mod gateway;

use std::{
    collections::BTreeMap,
    pin::pin,
    sync::{Arc, Mutex},
    time::Duration,
};

use futures_util::StreamExt as _;
use nodkey_kernel::jose::{Algorithm, Jwks, PrivateKey, PublicJwk, b64u_decode};
use nodkey_mobile_sdk::{
    ChallengeError, Config, Decision, Error, KeyStore, Pending, Phone, PhoneEvent, Platform, PresenceError, PresenceKind, RejectReason,
    Untrusted, UserPresence,
    software::SoftwareKeyStore,
    time::{Clock, Random, Sleep, Time, Timestamp},
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
        let algorithm = if jwk["kty"] == "EC" { Algorithm::Es256 } else { Algorithm::EdDsa };
        let key = PrivateKey::from_secret_bytes(algorithm, &b64u_decode(jwk["d"].as_str().unwrap()).unwrap()).unwrap();
        assert_eq!(key.public(), PublicJwk::from_value(&public).unwrap());
        key
    };
    spec["keys"].as_object().unwrap().iter().map(|(name, jwk)| (name.clone(), key(jwk))).collect()
}

/// A person whose presence checks end as a case says.
struct Person {
    log: Log,
    presence: Value,
}

impl UserPresence for Person {
    async fn confirm(&self, kind: PresenceKind, reason: &str) -> Result<(), PresenceError> {
        self.log.add(json!({"confirms": kind, "reason": reason}));
        match self.presence[kind.as_str()].as_str().unwrap_or("confirms") {
            "confirms" => Ok(()),
            "denies" => Err(PresenceError::Denied),
            "unavailable" => Err(PresenceError::Unavailable),
            other => panic!("{other}"),
        }
    }
}

/// An app that acts as a case says.
struct App<'a> {
    case: &'a Value,
    log: Log,
    phone: Phone<SoftwareKeyStore, Person>,
    clock: Clock,
    open: Vec<Pending>,
}

impl App<'_> {
    async fn act(&mut self, action: &Value) {
        match action {
            Value::String(name) if name == "listen" => self.listen().await,
            Value::String(name) if name == "register" => match self.phone.register("Test").await {
                Ok(device) => self.log.add(json!({"registered": device.device_identifier})),
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
            Ok(stream) => Box::pin(stream),
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
                    self.log.add(json!({"closed": id}));
                }
                Ok(PhoneEvent::Untrusted { id, reason }) => self.log.add(json!({"untrusted": {"id": id, "reason": reason_of(reason)}})),
                Ok(PhoneEvent::Synced) => {
                    self.open.sort_by(|one, other| one.turn().cmp(&other.turn()));
                    self.log.add(json!({"synced": self.open.iter().map(|open| &open.id).collect::<Vec<_>>()}));
                }
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
async fn answer(case: &Value, log: &Log, phone: &Phone<SoftwareKeyStore, Person>, pending: &Pending) -> bool {
    let person = &case["person"];
    let mut decision = json!({"decide": "accept"});
    if pending.is_shown() {
        log.add(shown(pending));
        for of in ["*", &pending.id] {
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
        Ok(answer) => json!({"answered": answer.status}),
        Err(e) => failure(&e),
    });
    is_over
}

fn shown(pending: &Pending) -> Value {
    let challenge = &pending.challenge;
    let mut shown = json!({
        "id": pending.id,
        "relying_party": challenge.rp.name,
        "action": challenge.act,
        "resource": challenge.res,
        "level": challenge.lvl,
    });
    if let Some(fields) = &challenge.fields {
        shown["fields"] = fields.members().into_iter().map(|(name, value)| json!([name, value])).collect();
    }
    if let Some(number) = &challenge.number_match {
        let number = serde_json::to_value(number).unwrap();
        shown["number"] = match number["mode"].as_str().unwrap() {
            "enter" => json!({"enter": number.get("digits").unwrap_or(&json!(2))}),
            _ => json!({"choose": number["choices"]}),
        };
    }
    if let Some(from) = &challenge.request_context {
        shown["from"] = serde_json::to_value(from).unwrap();
    }
    json!({"shows": shown})
}

fn reason_of(reason: Untrusted) -> &'static str {
    match reason {
        Untrusted::Challenge(ChallengeError::Issuer) => "ISSUER",
        Untrusted::Challenge(_) => "SIGNATURE",
        Untrusted::Mismatch => "MISMATCH",
        Untrusted::Malformed => "MALFORMED",
    }
}

fn failure(error: &Error) -> Value {
    let name = match error {
        Error::Refused { code, retry_after, .. } => {
            return json!({"failed": {"error": code, "retry_after": u64::try_from(retry_after.as_millis()).unwrap()}});
        }
        Error::Unreachable(_) => "UNREACHABLE",
        Error::Presence(PresenceError::Denied) => "PRESENCE_DENIED",
        Error::Presence(PresenceError::Unavailable) => "PRESENCE_UNAVAILABLE",
        other => panic!("{other}"),
    };
    json!({"failed": {"error": name}})
}

/// Runs a case, and returns what happened.
async fn run(spec: &Value, case: &Value) -> Vec<Value> {
    let (keys, log) = (keys(spec), Log::default());
    let clock = Clock::manual(Timestamp::from_seconds(spec["now"].as_i64().unwrap()));
    let gateway = Gateway::start(&keys, case, clock.clone(), log.clone()).await;
    let key = |name: &str| keys[name].clone();
    let has_none = case["presence"].as_object().is_some_and(Map::is_empty);
    let presence = if has_none {
        Vec::new()
    } else {
        vec![(PresenceKind::Biometric, key("biometric")), (PresenceKind::Credential, key("credential"))]
    };
    let config = Config {
        gateway: gateway.url.parse().unwrap(),
        mobile_token: gateway::TOKEN.to_owned(),
        mobile_secret: gateway::SECRET.to_owned().into(),
        jwks: case.get("pinned").map(|pinned| serde_json::from_value::<Jwks>(gateway::jwks(&keys, pinned)).unwrap()),
        platform: match case["app"]["platform"].as_str() {
            Some("cli") => Platform::Cli,
            Some("web") => Platform::Web,
            _ => Platform::default(),
        },
        app_version: case["app"]["version"].as_str().map(ToOwned::to_owned),
        ca_certificate: None,
    };
    let pauses = log.clone();
    let sleep = Sleep::new(move |pause| {
        let is_pause = pause < SILENCE;
        if is_pause {
            pauses.add(json!({"pause": u64::try_from(pause.as_millis()).unwrap()}));
        }
        async move {
            if !is_pause {
                std::future::pending::<()>().await;
            }
        }
    });
    let time = Time { clock: clock.clone(), random: Random::system(), sleep };
    let person = Person { log: log.clone(), presence: case["presence"].clone() };
    let store = SoftwareKeyStore::new(key("device"), presence);
    assert_eq!(store.device_key().thumbprint(), gateway.device);
    let phone = Phone::with_time(config, store, person, time).unwrap();
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
