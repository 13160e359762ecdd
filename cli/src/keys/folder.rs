//! The folder of a deployment's keys.

use std::{
    os::unix::fs::DirBuilderExt as _,
    path::{Path, PathBuf},
};

use anyhow::Context as _;
use nodkey_kernel::service_key::ServiceName;

use super::{
    nats,
    ring::{Key, Keys, Name, current, other},
};
use crate::connection::{read_json, write_private, write_secret};

/// All keys.
pub const KEYS: &str = "keys.json";
/// The public halves of the services' keys, which are also in the files of all services.
pub const PUBLIC: &str = "service_keys.json";
/// The file for `nodkey admin`.
pub const OPERATOR: &str = "operator.env";

/// A folder.
#[derive(Debug)]
pub struct Folder(PathBuf);

impl Folder {
    /// Creates a new folder, readable only by its owner.
    pub fn create(path: PathBuf) -> anyhow::Result<Self> {
        let made = std::fs::DirBuilder::new().mode(0o700).create(&path);
        if made.as_ref().is_err_and(|e| e.kind() == std::io::ErrorKind::AlreadyExists) {
            anyhow::bail!("{} already exists: keys are never overwritten; use `nodkey keys rotate` to replace one", path.display());
        }
        made.with_context(|| format!("cannot create {}", path.display()))?;
        Ok(Self(path))
    }

    /// Opens an existing folder.
    pub const fn open(path: PathBuf) -> Self {
        Self(path)
    }

    /// Its path.
    pub fn path(&self) -> &Path {
        &self.0
    }

    /// The path of a file in it.
    pub fn file(&self, name: &str) -> PathBuf {
        self.0.join(name)
    }

    /// Reads keys.json.
    pub fn read(&self) -> anyhow::Result<Keys> {
        let path = self.file(KEYS);
        read_json(&path)?.with_context(|| format!("{} is missing: `nodkey keys init DIR` creates a folder of keys", path.display()))
    }

    /// Writes keys.json and, from it, every other file.
    pub fn write(&self, keys: &Keys) -> anyhow::Result<()> {
        write_secret(&self.file(KEYS), keys)?;
        write_private(&self.file(PUBLIC), (keys.public()?.to_value().to_string() + "\n").as_bytes())?;
        write_private(&self.file(nats::USERS), keys.nats.users().as_bytes())?;
        for (name, settings) in files(keys)? {
            let lines: Vec<_> = settings.iter().map(|(name, value)| format!("{name}={}", quoted(value))).collect();
            let text = lines.join("\n") + "\n";
            write_private(&self.file(&name), text.as_bytes())?;
        }
        Ok(())
    }
}

/// Names and values of settings.
pub type Settings = Vec<(&'static str, String)>;

/// The files for processes and people, each with exactly what its reader needs.
pub fn files(keys: &Keys) -> anyhow::Result<Vec<(String, Settings)>> {
    let public = keys.public()?.to_value().to_string();
    let operators = operators(keys)?;
    let mut files = Vec::new();
    for service in super::services() {
        let own = current(keys.ring(Name::Service(service))).with_context(|| format!("keys.json is damaged: no key of {service}"))?;
        let mut settings =
            vec![("NODKEY_DEPLOYMENT__SERVICE_KEY", own.secret.clone()), ("NODKEY_DEPLOYMENT__SERVICE_KEYS", public.clone())];
        if service == ServiceName::Gateway {
            settings.extend(pair(&keys.cookie, ["NODKEY_SERVICE__COOKIE_KEY", "NODKEY_SERVICE__PREVIOUS_COOKIE_KEY"]));
        } else {
            settings.extend(pair(&keys.master, ["NODKEY_DEPLOYMENT__MASTER_KEY", "NODKEY_DEPLOYMENT__PREVIOUS_MASTER_KEYS"]));
            settings.extend(operators.iter().cloned());
        }
        settings.extend(keys.nats.settings(service));
        files.push((format!("{service}.env"), settings));
    }
    let operator = current(&keys.operator).context("keys.json is damaged: no operator key")?;
    files.push((OPERATOR.to_owned(), vec![("NODKEY_OPERATOR_KEY", operator.secret.clone())]));
    Ok(files)
}

/// The settings of the key that signs, and of the other key that is accepted.
fn pair(ring: &[Key], names: [&'static str; 2]) -> impl Iterator<Item = (&'static str, String)> {
    let keys = [current(ring), other(ring)].into_iter().zip(names);
    keys.filter_map(|(key, name)| Some((name, key?.secret.clone())))
}

/// What services verify operators with: the public halves, and the keys that they replace. An older folder has only symmetric keys.
fn operators(keys: &Keys) -> anyhow::Result<Settings> {
    let (public, symmetric) = keys.operator_keys()?;
    if public.is_empty() {
        return Ok(pair(&keys.operator, ["NODKEY_DEPLOYMENT__OPERATOR_KEY", "NODKEY_DEPLOYMENT__PREVIOUS_OPERATOR_KEY"]).collect());
    }
    let mut settings = vec![("NODKEY_DEPLOYMENT__OPERATOR_PUBLIC_KEYS", public.to_value().to_string())];
    settings.extend(symmetric.first().map(|key| ("NODKEY_DEPLOYMENT__PREVIOUS_OPERATOR_KEY", key.secret.clone())));
    Ok(settings)
}

/// Every secret, with its name.
pub fn secrets(keys: &Keys) -> Vec<(String, &Key)> {
    let services =
        super::services().flat_map(|name| keys.ring(Name::Service(name)).iter().map(move |key| (format!("the key of {name}"), key)));
    let operator = keys.operator.iter().map(|key| ("an operator key".to_owned(), key));
    let cookie = keys.cookie.iter().map(|key| ("a cookie key".to_owned(), key));
    let master = keys.master.iter().map(|key| ("a master key".to_owned(), key));
    services.chain(operator).chain(cookie).chain(master).chain(keys.nats.secrets()).collect()
}

/// In a form that shells, Docker Compose and systemd read: JSON between single quotes, anything else as it is.
fn quoted(value: &str) -> String {
    if value.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'_')) { value.to_owned() } else { format!("'{value}'") }
}

/// Parses the settings of such a file. Ignores other lines.
pub fn parse(text: &str) -> Vec<(String, String)> {
    let setting = |line: &str| {
        let (name, value) = line.trim().split_once('=')?;
        let quoted = value.strip_prefix('\'').and_then(|value| value.strip_suffix('\''));
        (!name.starts_with('#')).then(|| (name.to_owned(), quoted.unwrap_or(value).to_owned()))
    };
    text.lines().filter_map(setting).collect()
}
