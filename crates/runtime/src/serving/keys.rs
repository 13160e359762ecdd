//! The keys given to a process: reads them, and checks that they are exactly those that its service needs.

use std::path::Path;

use nodkey_kernel::{
    operator_key::{OperatorKey, OperatorKeys},
    service_key::{ServiceKey, ServiceKeys, ServiceName},
    vault::Vault,
};
use secrecy::{ExposeSecret as _, SecretString};
use zeroize::Zeroizing;

use super::config::{ConfigError, DeploymentConfig};

/// Minimum number of characters of a key in text form.
const MIN_LENGTH: usize = 32;
/// Characters of a service's private key.
const SERVICE_KEY_LENGTH: usize = 43;

impl DeploymentConfig {
    /// The secrets that this process was given although a service of this kind does not need them: an attacker who compromises it would
    /// have them. Where public keys verify operators' tokens, a symmetric key can only be one that they replace.
    #[must_use]
    pub fn needless(&self, stateful: bool) -> Vec<&'static str> {
        let given = [
            ("deployment.master_key", !stateful && self.master_key.is_some()),
            ("deployment.previous_master_keys", !stateful && self.previous_master_keys.is_some()),
            ("deployment.operator_key", (!stateful || self.operator_public_keys.is_some()) && self.operator_key.is_some()),
            ("deployment.previous_operator_key", !stateful && self.previous_operator_key.is_some()),
        ];
        given.iter().filter(|(_, given)| *given).map(|(name, _)| *name).collect()
    }

    /// The vault that seals and opens secrets at rest, where there is a master key.
    pub fn vault(&self) -> Result<Option<Vault>, ConfigError> {
        let previous = self.previous_master_keys()?;
        Ok(self.master_key()?.map(|current| Vault::new(&current).opening(previous.iter().map(|key| &**key))))
    }

    /// The master key, if there is one.
    pub fn master_key(&self) -> Result<Option<Zeroizing<[u8; 32]>>, ConfigError> {
        let read = |key: &SecretString| master_key(key.expose_secret()).ok_or(ConfigError::Invalid(NO_MASTER_KEY));
        self.master_key.as_ref().map(read).transpose()
    }

    /// The other master keys that open.
    pub fn previous_master_keys(&self) -> Result<Vec<Zeroizing<[u8; 32]>>, ConfigError> {
        let keys = self.previous_master_keys.iter().flat_map(|keys| keys.expose_secret().split(',')).map(str::trim);
        let read = |key| master_key(key).ok_or(ConfigError::Invalid(NO_PREVIOUS_MASTER_KEY));
        keys.filter(|key| !key.is_empty()).map(read).collect()
    }

    /// The key that the service signs with, and the public keys of all.
    pub(crate) fn service_keys(&self, name: ServiceName) -> Result<(Option<ServiceKey>, ServiceKeys), ConfigError> {
        let keys = match &self.service_keys {
            None => ServiceKeys::default(),
            Some(text) => {
                let keys = ServiceKeys::parse(&document(text)?).map_err(|e| ConfigError::KeySet("service_keys", e))?;
                if let Some(missing) = ServiceName::ALL.iter().find(|name| keys.kids(**name).next().is_none()) {
                    return Err(ConfigError::NoPublicHalf(*missing));
                }
                keys
            }
        };
        let Some(text) = &self.service_key else {
            return if self.internal_key.is_some() { Ok((None, keys)) } else { Err(ConfigError::Invalid(NO_KEY)) };
        };
        let text = text.expose_secret().trim();
        // A mistyped key is no file name, which an error would show.
        let secret: SecretString = match text.len() {
            SERVICE_KEY_LENGTH => text.into(),
            _ if text.contains('/') || Path::new(text).is_file() => read(text)?.trim().into(),
            _ => return Err(ConfigError::Invalid(NO_SERVICE_KEY)),
        };
        let key = ServiceKey::from_secret(name, secret.expose_secret()).map_err(|_| ConfigError::Invalid(NO_SERVICE_KEY))?;
        if keys.find(name, key.kid()).is_none() {
            return Err(ConfigError::Stranger(name));
        }
        Ok((Some(key), keys))
    }

    /// The keys that verify operators' tokens: public keys, and older symmetric keys.
    pub(crate) fn operator_keys(&self) -> Result<(OperatorKeys, Vec<SecretString>), ConfigError> {
        let public = match &self.operator_public_keys {
            None => OperatorKeys::default(),
            // Reported before the text is used as a file name, which would appear in the log.
            Some(text) if OperatorKey::is_secret(text.trim()) => return Err(ConfigError::Invalid(PRIVATE_OPERATOR_KEY)),
            Some(text) => OperatorKeys::parse(&document(text)?).map_err(|e| ConfigError::KeySet("operator_public_keys", e))?,
        };
        let symmetric: Vec<_> = [&self.operator_key, &self.previous_operator_key].into_iter().flatten().cloned().collect();
        if symmetric.iter().any(|key| OperatorKey::is_secret(key.expose_secret())) {
            return Err(ConfigError::Invalid(PRIVATE_OPERATOR_KEY));
        }
        Ok((public, symmetric))
    }

    /// Refuses keys that could be guessed.
    pub(crate) fn check_lengths(&self) -> Result<(), ConfigError> {
        let keys = [&self.internal_key, &self.operator_key, &self.previous_operator_key];
        if keys.into_iter().flatten().any(|key| key.expose_secret().len() < MIN_LENGTH) {
            return Err(ConfigError::Invalid("deployment.internal_key and operator_key must be at least 32 characters"));
        }
        Ok(())
    }
}

fn master_key(text: &str) -> Option<Zeroizing<[u8; 32]>> {
    let mut key = Zeroizing::new([0; 32]);
    hex::decode_to_slice(text, &mut *key).ok()?;
    Some(key)
}

const NO_MASTER_KEY: &str = "deployment.master_key must be 64 hex digits; make one with: openssl rand -hex 32";
const NO_PREVIOUS_MASTER_KEY: &str = "deployment.previous_master_keys must be keys of 64 hex digits, separated by commas";
const NO_KEY: &str = "deployment.service_key is missing: `nodkey keys init` makes the keys of a deployment";
const NO_SERVICE_KEY: &str = "deployment.service_key must be a private key as `nodkey keys init` makes it, or a file that holds one";

const PRIVATE_OPERATOR_KEY: &str =
    "the private operator key is only for people who run `nodkey admin`; services need deployment.operator_public_keys";

/// A JSON document, or the contents of the file that a setting names.
fn document(text: &str) -> Result<String, ConfigError> {
    if text.trim_start().starts_with('{') { Ok(text.to_owned()) } else { read(text) }
}

fn read(path: &str) -> Result<String, ConfigError> {
    std::fs::read_to_string(Path::new(path)).map_err(|e| ConfigError::Unreadable(path.to_owned(), e))
}

#[cfg(test)]
mod tests {
    use nodkey_kernel::random::Random;
    use serde_json::json;

    use super::*;

    fn config(values: &serde_json::Value) -> DeploymentConfig {
        let mut config = json!({"public_url": "https://id.example.com"});
        config.as_object_mut().unwrap().extend(values.as_object().unwrap().clone());
        serde_json::from_value(config).unwrap()
    }

    fn keys() -> (Vec<ServiceKey>, String) {
        let keys = ServiceKey::all(&Random::seeded(1));
        let public = keys.iter().collect::<ServiceKeys>().to_value().to_string();
        (keys, public)
    }

    #[test]
    fn keys_are_values_or_files() {
        let folder = tempfile::tempdir().unwrap();
        let (keys, public) = keys();
        let secret = keys[0].to_secret();
        let (file, document) = (folder.path().join("key"), folder.path().join("service_keys.json"));
        std::fs::write(&file, format!("{}\n", *secret)).unwrap();
        std::fs::write(&document, &public).unwrap();
        for given in [
            config(&json!({"service_key": *secret, "service_keys": public})),
            config(&json!({"service_key": file, "service_keys": document})),
        ] {
            let (own, all) = given.service_keys(keys[0].name()).unwrap();
            assert_eq!((own.unwrap().kid(), all), (keys[0].kid(), keys.iter().collect()));
        }
    }

    #[test]
    fn a_process_with_the_key_of_another_service_does_not_start() {
        let (keys, public) = keys();
        let given = config(&json!({"service_key": *keys[0].to_secret(), "service_keys": public}));
        assert!(matches!(given.service_keys(keys[1].name()), Err(ConfigError::Stranger(name)) if name == keys[1].name()));
    }

    #[test]
    fn public_halves_are_of_all_services_and_some_key_signs() {
        let (keys, public) = keys();
        let four = keys[1..].iter().collect::<ServiceKeys>().to_value().to_string();
        assert!(matches!(config(&json!({"service_keys": four})).service_keys(keys[1].name()), Err(ConfigError::NoPublicHalf(_))));
        let only_public = config(&json!({"service_keys": public}));
        assert!(matches!(only_public.service_keys(keys[1].name()), Err(ConfigError::Invalid(NO_KEY))));
        let both = config(&json!({"service_keys": public, "internal_key": "i".repeat(32)}));
        assert!(both.service_keys(keys[1].name()).unwrap().0.is_none(), "the first step from an internal key to service keys");
        for wrong in ["/nowhere/at/all", "x"] {
            assert!(matches!(config(&json!({"service_keys": wrong})).service_keys(keys[1].name()), Err(ConfigError::Unreadable(..))));
        }
    }

    #[test]
    fn master_keys_are_hex_and_there_may_be_others_that_open() {
        let (one, two) = ("01".repeat(32), "02".repeat(32));
        let vault = |values: &serde_json::Value| config(values).vault();
        assert!(vault(&json!({})).unwrap().is_none());
        for wrong in [json!({"master_key": "01"}), json!({"master_key": one, "previous_master_keys": "x"})] {
            assert!(vault(&wrong).is_err(), "{wrong}");
        }
        let sealed = vault(&json!({"master_key": one})).unwrap().unwrap().seal(&Random::seeded(1), "a", b"s");
        for given in [&one, &format!(" {two}, {one}")] {
            let given = json!({"master_key": two, "previous_master_keys": given});
            assert!(vault(&given).unwrap().unwrap().open("a", &sealed).is_ok());
        }
        assert!(vault(&json!({"master_key": two, "previous_master_keys": ""})).unwrap().unwrap().open("a", &sealed).is_err());
    }

    #[test]
    fn what_a_service_does_not_need_is_named() {
        let given = config(&json!({"master_key": "00", "operator_key": "o", "internal_key": "i"}));
        assert_eq!(given.needless(false), ["deployment.master_key", "deployment.operator_key"]);
        assert!(given.needless(true).is_empty());
        let given = config(&json!({"operator_public_keys": "{}", "operator_key": "o", "previous_operator_key": "p"}));
        assert_eq!(given.needless(true), ["deployment.operator_key"], "public halves follow a predecessor at most");
    }

    #[test]
    fn operators_are_verified_by_public_halves_and_no_service_takes_a_private_one() {
        let key = OperatorKey::generate(&Random::seeded(1));
        let public: OperatorKeys = [&key].into_iter().collect();
        let given = config(&json!({"operator_public_keys": public.to_value().to_string(), "previous_operator_key": "o".repeat(32)}));
        let (keys, symmetric) = given.operator_keys().unwrap();
        assert_eq!((keys, symmetric.len()), (public, 1));
        let secret = key.to_secret();
        for setting in ["operator_public_keys", "operator_key", "previous_operator_key"] {
            let mut given = json!({});
            given[setting] = json!(*secret);
            let refused = config(&given).operator_keys().unwrap_err();
            assert!(matches!(refused, ConfigError::Invalid(PRIVATE_OPERATOR_KEY)), "{setting}");
            assert!(!refused.to_string().contains(&*secret));
        }
        let wrong = config(&json!({"operator_public_keys": r#"{"keys": [{}]}"#}));
        assert!(matches!(wrong.operator_keys(), Err(ConfigError::KeySet("operator_public_keys", _))));
    }
}
