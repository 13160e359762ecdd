//! All keys of a deployment, and the steps of their rotation.

use std::{collections::BTreeMap, fmt};

use anyhow::Context as _;
use nodkey_kernel::{
    operator_key::{OperatorKey, OperatorKeys},
    random::Random,
    service_key::{ServiceKey, ServiceKeys, ServiceName},
    time::Timestamp,
};
use serde::{Deserialize, Serialize};

use super::nats::Nats;

/// The contents of keys.json.
#[derive(Debug, Serialize, Deserialize)]
pub struct Keys {
    /// By service. Each has one key that signs, and temporarily another.
    pub services: BTreeMap<String, Vec<Key>>,
    /// The key that seals secrets in the databases.
    pub master: Vec<Key>,
    /// The key that signs calls of `nodkey admin`. An older one is symmetric.
    pub operator: Vec<Key>,
    /// The key that signs cookies.
    pub cookie: Vec<Key>,
    /// The services' users in NATS.
    pub nats: Nats,
}

/// One key.
#[derive(Clone, Serialize, Deserialize)]
pub struct Key {
    /// The secret key material.
    #[serde(rename = "key")]
    pub secret: String,
    /// RFC 3339.
    pub made_at: String,
    /// The state of its rotation.
    pub state: State,
}

impl fmt::Debug for Key {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Key").field("made_at", &self.made_at).field("state", &self.state).finish_non_exhaustive()
    }
}

/// The state of a key's rotation.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum State {
    /// Accepted, and will sign.
    Next,
    /// Signs.
    Current,
    /// Accepted, and no longer signs.
    Previous,
}

/// A key that can be rotated.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Name {
    /// The key of a service.
    Service(ServiceName),
    /// The key of the gateway's cookies.
    Cookie,
    /// The key of `nodkey admin`.
    Operator,
    /// The master key, which seals secrets.
    Master,
}

impl Name {
    /// Parses a name.
    pub fn parse(text: &str) -> Result<Self, String> {
        match text {
            "cookie" => Ok(Self::Cookie),
            "operator" => Ok(Self::Operator),
            "master" => Ok(Self::Master),
            other => ServiceName::try_from(other).map(Self::Service).map_err(|_| "is not the name of a key".to_owned()),
        }
    }
}

impl Keys {
    /// Creates all keys.
    pub fn new(random: &Random, now: Timestamp) -> Self {
        let text = || Key::text(random, now, State::Current);
        let services = super::services().map(|name| (name.to_string(), vec![Key::service(name, random, now, State::Current)]));
        Self {
            services: services.collect(),
            master: vec![text()],
            operator: vec![Key::operator(random, now, State::Current)],
            cookie: vec![text()],
            nats: Nats::new("", random, now),
        }
    }

    /// Keeps the keys of an existing deployment.
    pub fn keep(&mut self, master: Option<String>, operator: Option<String>) -> anyhow::Result<()> {
        if let Some(key) = master {
            let hex = key.len() == 64 && key.bytes().all(|b| b.is_ascii_hexdigit());
            anyhow::ensure!(hex, "the master key must be 64 hex digits");
            self.master[0].secret = key;
        }
        match operator {
            Some(key) if OperatorKey::is_secret(&key) => {
                OperatorKey::from_secret(&key).context("the operator key is damaged: it is one word of 59 characters")?;
                self.operator[0].secret = key;
            }
            // The key pair replaces it, and it is still accepted meanwhile.
            Some(key) => {
                let plain = key.len() >= 32 && !key.contains(['\'', '\n']);
                anyhow::ensure!(plain, "the operator key must be at least 32 characters in one line, without a single quote");
                self.operator.push(Key { secret: key, state: State::Previous, ..self.operator[0].clone() });
            }
            None => {}
        }
        Ok(())
    }

    /// Sets the prefix of subjects, streams and users in NATS.
    pub fn share_nats(&mut self, prefix: &str, random: &Random, now: Timestamp) -> anyhow::Result<()> {
        let plain = prefix.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'_');
        anyhow::ensure!(plain, "the prefix of NATS must consist of letters, digits and _");
        self.nats = Nats::new(prefix, random, now);
        Ok(())
    }

    /// Takes the next step in the rotation of a key. Returns what to do after it.
    pub fn rotate(&mut self, name: Name, random: &Random, now: Timestamp) -> String {
        let (ring, next) = match name {
            Name::Service(service) => {
                (self.services.entry(service.to_string()).or_default(), Key::service(service, random, now, State::Next))
            }
            Name::Cookie => (&mut self.cookie, Key::text(random, now, State::Next)),
            Name::Operator => (&mut self.operator, Key::operator(random, now, State::Next)),
            Name::Master => (&mut self.master, Key::text(random, now, State::Next)),
        };
        let replicas = |of: &dyn std::fmt::Display| format!("{of}, all its replicas");
        let stateful = || "every service but the gateway".to_owned();
        let (all, then) = match name {
            Name::Service(service) => ("every service".to_owned(), format!("restart {}", replicas(&service))),
            Name::Cookie => (replicas(&"the gateway"), format!("restart {}", replicas(&"the gateway"))),
            Name::Operator => (stateful(), "use the new operator.env".to_owned()),
            Name::Master => (
                stateful(),
                format!("restart {}, run `nodkey admin keys reseal` until `nodkey admin keys sealed` shows nothing", stateful()),
            ),
        };
        if ring.iter().any(|key| key.state == State::Previous) {
            ring.retain(|key| key.state != State::Previous);
            return format!("step 3 of 3: the old key is no longer accepted; restart {all}, one after the other");
        }
        if ring.iter().any(|key| key.state == State::Next) {
            for key in ring {
                key.state = if key.state == State::Next { State::Current } else { State::Previous };
            }
            return format!("step 2 of 3: the new key signs; {then}, then rotate again");
        }
        ring.push(next);
        format!("step 1 of 3: the new key is accepted; restart {all}, one after the other, then rotate again")
    }

    /// The public halves of all services.
    pub fn public(&self) -> anyhow::Result<ServiceKeys> {
        let mut all = ServiceKeys::default();
        for name in super::services() {
            for key in self.ring(Name::Service(name)) {
                all.insert(name, key.open(name)?.public());
            }
        }
        Ok(all)
    }

    /// The public halves of the operator keys, and the older symmetric keys.
    pub fn operator_keys(&self) -> anyhow::Result<(OperatorKeys, Vec<&Key>)> {
        let (pairs, symmetric): (Vec<_>, Vec<_>) = self.operator.iter().partition(|key| OperatorKey::is_secret(&key.secret));
        let open = |key: &Key| OperatorKey::from_secret(&key.secret).context("keys.json is damaged: the operator key");
        let pairs = pairs.into_iter().map(open).collect::<anyhow::Result<Vec<_>>>()?;
        Ok((pairs.iter().collect(), symmetric))
    }

    /// The keys with a name.
    pub fn ring(&self, name: Name) -> &[Key] {
        match name {
            Name::Service(service) => self.services.get(service.as_str()).map_or(&[], Vec::as_slice),
            Name::Cookie => &self.cookie,
            Name::Operator => &self.operator,
            Name::Master => &self.master,
        }
    }

    /// Name, state and creation time of every key, and for a key pair the name of its public half.
    pub fn list(&self) -> Vec<(String, State, String, Option<String>)> {
        let services = super::services().flat_map(|name| {
            let kid = move |key: &Key| key.open(name).ok().map(|key| key.kid().to_owned());
            self.ring(Name::Service(name)).iter().map(move |key| (name.to_string(), key.state, key.made_at.clone(), kid(key)))
        });
        let of = |name: &'static str, ring: &[Key]| -> Vec<_> {
            ring.iter().map(|key| (name.to_owned(), key.state, key.made_at.clone(), None)).collect()
        };
        let operator = self.operator.iter().map(|key| {
            let kid = OperatorKey::from_secret(&key.secret).ok().map(|key| key.kid().to_owned());
            ("operator".to_owned(), key.state, key.made_at.clone(), kid)
        });
        let (master, cookie) = (of("master", &self.master), of("cookie", &self.cookie));
        services.chain(master).chain(operator).chain(cookie).collect()
    }
}

impl Key {
    pub(super) fn text(random: &Random, now: Timestamp, state: State) -> Self {
        Self { secret: hex::encode(random.bytes::<32>()), made_at: now.to_string(), state }
    }

    fn service(name: ServiceName, random: &Random, now: Timestamp, state: State) -> Self {
        Self { secret: ServiceKey::generate(name, random).to_secret().to_string(), made_at: now.to_string(), state }
    }

    fn operator(random: &Random, now: Timestamp, state: State) -> Self {
        Self { secret: OperatorKey::generate(random).to_secret().to_string(), made_at: now.to_string(), state }
    }

    fn open(&self, name: ServiceName) -> anyhow::Result<ServiceKey> {
        ServiceKey::from_secret(name, &self.secret).map_err(|e| anyhow::anyhow!("keys.json is damaged: the key of {name}: {e}"))
    }
}

/// The key that signs.
pub fn current(ring: &[Key]) -> Option<&Key> {
    ring.iter().find(|key| key.state == State::Current)
}

/// The other key that is accepted.
pub fn other(ring: &[Key]) -> Option<&Key> {
    ring.iter().find(|key| key.state != State::Current)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_step_is_understood_by_the_step_before() {
        for name in [Name::Service(ServiceName::Registry), Name::Cookie, Name::Operator, Name::Master] {
            let (random, now) = (Random::seeded(1), Timestamp::from_seconds(1_700_000_000));
            let mut keys = Keys::new(&random, now);
            let first = keys.ring(name)[0].secret.clone();
            for _ in 0..6 {
                let signed = current(keys.ring(name)).unwrap().secret.clone();
                keys.rotate(name, &random, now);
                let signs = current(keys.ring(name)).unwrap().secret.clone();
                let taken = |wanted: &str| keys.ring(name).iter().any(|key| key.secret == wanted);
                assert!(taken(&signs) && (taken(&signed) || signed == signs), "{name:?}");
                assert!(keys.ring(name).len() <= 2);
            }
            assert_eq!(keys.ring(name).len(), 1);
            assert_ne!(keys.ring(name)[0].secret, first);
        }
    }

    #[test]
    fn keys_of_a_deployment_that_is_there_are_kept() {
        let mut keys = Keys::new(&Random::seeded(1), Timestamp::from_seconds(1));
        assert!(keys.keep(Some("short".into()), None).is_err());
        assert!(keys.keep(None, Some("short".into())).is_err());
        assert!(keys.keep(None, Some("nodkey_operator_damaged".into())).is_err());
        keys.keep(Some("ab".repeat(32)), Some("o".repeat(32))).unwrap();
        assert_eq!(keys.master[0].secret, "ab".repeat(32));
        let (pairs, symmetric) = keys.operator_keys().unwrap();
        assert!(!pairs.is_empty() && OperatorKey::is_secret(&current(&keys.operator).unwrap().secret), "a pair follows a symmetric key");
        assert_eq!(symmetric.iter().map(|key| (key.secret.clone(), key.state)).collect::<Vec<_>>(), [("o".repeat(32), State::Previous)]);
        let pair = Key::operator(&Random::seeded(2), Timestamp::from_seconds(1), State::Current).secret;
        let mut keys = Keys::new(&Random::seeded(1), Timestamp::from_seconds(1));
        keys.keep(None, Some(pair.clone())).unwrap();
        assert_eq!(keys.operator.iter().map(|key| &key.secret).collect::<Vec<_>>(), [&pair]);
    }

    #[test]
    fn what_follows_a_symmetric_operator_key_is_a_pair() {
        let (random, now) = (Random::seeded(1), Timestamp::from_seconds(1));
        let mut keys = Keys::new(&random, now);
        keys.operator = vec![Key::text(&random, now, State::Current)];
        let symmetric: Vec<_> = (0..4)
            .map(|_| {
                let (pairs, symmetric) = keys.operator_keys().unwrap();
                let step = (pairs.is_empty(), symmetric.first().map(|key| key.state));
                keys.rotate(Name::Operator, &random, now);
                step
            })
            .collect();
        let expected = [(true, Some(State::Current)), (false, Some(State::Current)), (false, Some(State::Previous)), (false, None)];
        assert_eq!(symmetric, expected);
    }

    #[test]
    fn keys_do_not_show() {
        let keys = Keys::new(&Random::seeded(1), Timestamp::from_seconds(1));
        assert!(!format!("{keys:?}").contains(&keys.master[0].secret));
        assert!(!format!("{:?}", keys.list()).contains(&keys.cookie[0].secret));
    }

    #[test]
    fn a_name_is_read_as_it_is_typed() {
        assert_eq!(Name::parse("master"), Ok(Name::Master));
        assert!(Name::parse("x").is_err());
        assert_eq!(Name::parse("gateway"), Ok(Name::Service(ServiceName::Gateway)));
    }
}
