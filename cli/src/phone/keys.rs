//! The file of a phone's keys: private JWKs (RFC 7517), readable only by its owner.

use std::path::{Path, PathBuf};

use anyhow::Context as _;
use nodkey_kernel::{
    jose::{b64u, b64u_decode},
    key_statement,
};
use nodkey_mobile_sdk::{
    Algorithm, PresenceKind, PublicKey,
    software::{SoftwareKey, SoftwareKeyStore},
};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use url::Url;

use crate::{
    connection::{create_private_dir, read_dev_file, read_json, write_secret},
    session::state_dir,
};

#[derive(Serialize, Deserialize)]
struct File {
    device_key: Value,
    presence_keys: Vec<PresenceKey>,
    /// The replaced keys, until their successors are registered.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    former_presence_keys: Vec<PresenceKey>,
}

#[derive(Serialize, Deserialize)]
struct PresenceKey {
    kind: key_statement::PresenceKind,
    jwk: Value,
}

impl PresenceKey {
    fn kind(&self) -> PresenceKind {
        match self.kind {
            key_statement::PresenceKind::Biometric => PresenceKind::Biometric,
            key_statement::PresenceKind::Credential => PresenceKind::Credential,
        }
    }
}

/// The key file for a gateway, in the user's own state folder: a private key in a working folder ends up in a repository. A file that an
/// earlier release left in the folder of `nodkey dev` is still used.
pub fn default_file(data_dir: &Path, gateway: &Url) -> anyhow::Result<PathBuf> {
    let former = data_dir.join("phone.json");
    let is_of = |url: &str| url.parse::<Url>().is_ok_and(|url| url.origin() == gateway.origin());
    let is_here = former.exists() && read_dev_file(data_dir)?.is_some_and(|dev| is_of(&dev.http));
    if is_here { Ok(former) } else { Ok(file_in(&state_dir().context("name a file with --key FILE")?, gateway)) }
}

fn file_in(state_dir: &Path, gateway: &Url) -> PathBuf {
    let host = gateway.host_str().unwrap_or_default().trim_matches(['[', ']']).replace(':', "-");
    let port = gateway.port_or_known_default().unwrap_or_default();
    state_dir.join("phones").join(format!("{host}_{port}.json"))
}

/// Reads the keys.
pub fn load(path: &Path) -> anyhow::Result<SoftwareKeyStore> {
    read(path)?.with_context(|| format!("there is no phone yet: run `nodkey phone enrol` first ({} is missing)", path.display()))
}

/// Reads the keys, or creates and writes them.
pub fn load_or_generate(path: &Path) -> anyhow::Result<SoftwareKeyStore> {
    if let Some(keys) = read(path)? {
        return Ok(keys);
    }
    if let Some(folder) = path.parent().filter(|folder| !folder.as_os_str().is_empty()) {
        create_private_dir(folder)?;
    }
    let keys = SoftwareKeyStore::generate();
    write(path, &keys)?;
    Ok(keys)
}

/// Writes the keys, replacing those in the file.
pub fn write(path: &Path, keys: &SoftwareKeyStore) -> anyhow::Result<()> {
    let one = |(kind, key): &(PresenceKind, SoftwareKey)| anyhow::Ok(PresenceKey { kind: kind.as_str().try_into()?, jwk: to_jwk(key)? });
    let file = |keys: &[_]| keys.iter().map(one).collect::<anyhow::Result<Vec<_>>>();
    let (presence_keys, former_presence_keys) = (file(keys.private_presence_keys())?, file(keys.private_former_keys())?);
    write_secret(path, &File { device_key: to_jwk(keys.private_device_key())?, presence_keys, former_presence_keys })
}

/// Creates a new presence key and writes it. Keeps the old one until the new one is registered, unless it is `lost`.
pub fn renew(path: &Path, keys: SoftwareKeyStore, lost: bool) -> anyhow::Result<SoftwareKeyStore> {
    let renewed = keys.with_new_presence_key(PresenceKind::Biometric, SoftwareKey::generate(Algorithm::Es256));
    let renewed = if lost { renewed.with_former(Vec::new()) } else { renewed };
    write(path, &renewed)?;
    Ok(renewed)
}

/// Deletes the keys.
pub fn delete(path: &Path) -> anyhow::Result<()> {
    std::fs::remove_file(path).with_context(|| format!("cannot delete {}", path.display()))
}

fn read(path: &Path) -> anyhow::Result<Option<SoftwareKeyStore>> {
    let Some(file) = read_json::<File>(path)? else { return Ok(None) };
    let damaged = || format!("{} is damaged: not private P-256 or Ed25519 JWKs", path.display());
    let device = from_jwk(file.device_key).with_context(damaged)?;
    let keys =
        |keys: Vec<PresenceKey>| keys.into_iter().map(|key| Ok((key.kind(), from_jwk(key.jwk)?))).collect::<anyhow::Result<Vec<_>>>();
    let (presence, former) = (keys(file.presence_keys).with_context(damaged)?, keys(file.former_presence_keys).with_context(damaged)?);
    Ok(Some(SoftwareKeyStore::new(device, presence).with_former(former)))
}

fn to_jwk(key: &SoftwareKey) -> anyhow::Result<Value> {
    let mut jwk: Value = serde_json::from_str(&key.public_key().to_jwk())?;
    jwk["d"] = json!(b64u(&key.to_secret_bytes()));
    Ok(jwk)
}

fn from_jwk(mut jwk: Value) -> anyhow::Result<SoftwareKey> {
    let secret = jwk.as_object_mut().and_then(|members| members.remove("d"));
    let secret = b64u_decode(secret.as_ref().and_then(Value::as_str).context("d is missing")?)?;
    let public = PublicKey::from_jwk(&jwk.to_string())?;
    let key = SoftwareKey::from_secret_bytes(public.algorithm(), &secret)?;
    anyhow::ensure!(key.public_key() == public, "d does not belong to the public key");
    Ok(key)
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt as _;

    use super::*;
    use crate::connection::{DevFile, Pair};

    #[test]
    fn keys_come_back_the_same_from_a_file_nobody_else_can_read() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("phone.json");
        assert!(load(&path).unwrap_err().to_string().contains("nodkey phone enrol"));
        let device = |keys: &SoftwareKeyStore| keys.private_device_key().public_key();
        let of = |keys: &[(PresenceKind, SoftwareKey)]| keys.iter().map(|(kind, key)| (*kind, key.public_key())).collect::<Vec<_>>();
        let made = load_or_generate(&path).unwrap();
        let read = load(&path).unwrap();
        assert_eq!(device(&read), device(&made));
        assert_eq!(of(read.private_presence_keys()), of(made.private_presence_keys()));
        assert_eq!(device(&load_or_generate(&path).unwrap()), device(&made));
        assert_eq!(std::fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
        let renewed = read.with_new_presence_key(PresenceKind::Biometric, SoftwareKey::generate(Algorithm::Es256));
        write(&path, &renewed).unwrap();
        let read = load(&path).unwrap();
        assert_eq!(of(read.private_presence_keys()), of(renewed.private_presence_keys()));
        assert_eq!(of(read.private_former_keys()), of(made.private_presence_keys()));
        assert_eq!(std::fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
        delete(&path).unwrap();
        assert!(load(&path).is_err());
    }

    #[test]
    fn each_gateway_has_a_phone_of_its_own_and_one_of_an_earlier_release_is_used_on() {
        let folder = tempfile::tempdir().unwrap();
        let file = |url: &str| file_in(folder.path(), &url.parse().unwrap());
        assert!(file("http://127.0.0.1:7070").ends_with("phones/127.0.0.1_7070.json"));
        assert!(file("https://[2001:db8::1]").ends_with("phones/2001-db8--1_443.json"));
        load_or_generate(&file("https://id.example.com")).unwrap();
        assert_eq!(std::fs::metadata(folder.path().join("phones")).unwrap().permissions().mode() & 0o777, 0o700);
        let former = folder.path().join("phone.json");
        load_or_generate(&former).unwrap();
        let pair = || Pair { token: "t".into(), secret: "s".into() };
        let dev = DevFile {
            http: "http://127.0.0.1:7070".into(),
            grpc: String::new(),
            relying_party_id: String::new(),
            server: pair(),
            mobile: pair(),
            operator_key: String::new(),
            ca_certificate: None,
        };
        write_secret(&folder.path().join("dev.json"), &dev).unwrap();
        let file = |url: &str| default_file(folder.path(), &url.parse().unwrap()).unwrap();
        assert_eq!(file("http://127.0.0.1:7070"), former);
        assert_ne!(file("https://id.example.com"), former, "its keys are for another gateway");
    }

    #[test]
    fn a_private_key_that_is_not_of_its_public_key_is_refused() {
        let keys = [SoftwareKeyStore::generate(), SoftwareKeyStore::generate()];
        let [mut mixed, other] = keys.map(|keys| to_jwk(keys.private_device_key()).unwrap());
        mixed["d"] = other["d"].clone();
        assert!(from_jwk(mixed).is_err());
        assert!(from_jwk(json!({"kty": "EC"})).is_err());
    }
}
