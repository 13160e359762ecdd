//! Users of the NATS server: one per service, and one for people.

use std::{collections::BTreeMap, fmt};

use nodkey_bus::{User, authorization};
use nodkey_kernel::{random::Random, service_key::ServiceName, time::Timestamp};
use serde::{Deserialize, Serialize};

use super::ring::{Key, State};

/// The part of a NATS server's configuration that defines users and their permissions.
pub const USERS: &str = "nats-users.conf";
/// The user who may do everything.
const ADMIN: &str = "admin";

/// The part of keys.json for NATS.
#[derive(Clone, Serialize, Deserialize)]
pub struct Nats {
    /// `bus.prefix` of the deployment.
    pub prefix: String,
    /// By user.
    passwords: BTreeMap<String, Key>,
}

impl fmt::Debug for Nats {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Nats").field("prefix", &self.prefix).finish_non_exhaustive()
    }
}

impl Nats {
    /// Creates a password for each user.
    pub fn new(prefix: &str, random: &Random, now: Timestamp) -> Self {
        let all = ServiceName::ALL.iter().map(|service| service.as_str()).chain([ADMIN]);
        let passwords = all.map(|user| (name(prefix, user), Key::text(random, now, State::Current))).collect();
        Self { prefix: prefix.to_owned(), passwords }
    }

    /// The settings of a service: its user and its password.
    pub fn settings(&self, service: ServiceName) -> Vec<(&'static str, String)> {
        let user = name(&self.prefix, service.as_str());
        let Some(password) = self.passwords.get(&user).map(|password| password.secret.clone()) else { return Vec::new() };
        let mut settings = vec![("NODKEY_BUS__USER", user), ("NODKEY_BUS__PASSWORD", password)];
        if !self.prefix.is_empty() {
            settings.push(("NODKEY_BUS__PREFIX", self.prefix.clone()));
        }
        settings
    }

    /// The contents of the configuration file.
    pub fn users(&self) -> String {
        let services = ServiceName::ALL.iter().map(|service| (Some(*service), name(&self.prefix, service.as_str())));
        let users: Vec<_> = services.chain([(None, name(&self.prefix, ADMIN))]).collect();
        let users =
            users.iter().filter_map(|(service, name)| Some(User { service: *service, name, password: &self.passwords.get(name)?.secret }));
        let users: Vec<_> = users.collect();
        format!("# Written by `nodkey keys`; deploy/nats.conf includes it.\n{}", authorization(&self.prefix, &users))
    }

    /// Every password, with its name.
    pub fn secrets(&self) -> impl Iterator<Item = (String, &Key)> {
        self.passwords.iter().map(|(user, password)| (format!("the NATS password of {user}"), password))
    }
}

/// Deployments that share a server have separate users.
fn name(prefix: &str, user: &str) -> String {
    if prefix.is_empty() { user.to_owned() } else { format!("{prefix}_{user}") }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_service_is_told_its_own_password_alone() {
        let nats = Nats::new("acme", &Random::seeded(1), Timestamp::from_seconds(1));
        let users = nats.users();
        let mut seen = BTreeMap::new();
        for service in ServiceName::ALL {
            let settings: BTreeMap<_, _> = nats.settings(*service).into_iter().collect();
            assert_eq!(settings["NODKEY_BUS__USER"], format!("acme_{service}"));
            assert_eq!(settings["NODKEY_BUS__PREFIX"], "acme");
            assert!(users.contains(&settings["NODKEY_BUS__PASSWORD"]));
            assert!(seen.insert(settings["NODKEY_BUS__PASSWORD"].clone(), service).is_none(), "no two have the same");
        }
        assert_eq!(nats.secrets().count(), 6);
        assert!(nats.secrets().all(|(_, password)| !format!("{nats:?}").contains(&password.secret)));
    }

    #[test]
    fn it_comes_back() {
        let nats = Nats::new("", &Random::seeded(1), Timestamp::from_seconds(1));
        let back: Nats = serde_json::from_str(&serde_json::to_string(&nats).unwrap()).unwrap();
        assert_eq!(back.users(), nats.users());
        assert_eq!(back.settings(ServiceName::Gateway).len(), 2, "without a prefix there is none to tell");
    }
}
