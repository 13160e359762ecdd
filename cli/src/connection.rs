//! How commands find a server: by flags, by the environment, or by the file that `nodkey dev` writes.

use std::{
    collections::BTreeMap,
    path::{Path, PathBuf},
};

use anyhow::Context as _;
use nodkey_client::{Credential, Endpoints, Jwks, Nodkey, OperatorKey};
use nodkey_mobile_sdk::{Config as PhoneConfig, DeploymentKeys, Platform};
use serde::{Deserialize, Serialize};
use url::Url;

use crate::session::{Session, SessionFile};

/// The contents of `<data-dir>/dev.json`, written by `nodkey dev` and readable only by its owner.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct DevFile {
    /// URL of the gateway.
    pub http: String,
    /// URL of gRPC for operators. Backends call `http`.
    pub grpc: String,
    /// The demo relying party.
    pub relying_party_id: String,
    /// The server credential of its backend.
    pub server: Pair,
    /// The mobile credential of its app.
    pub mobile: Pair,
    /// The key of `nodkey admin`.
    pub operator_key: String,
    /// PEM file of the authority to trust, with `--tls`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ca_certificate: Option<PathBuf>,
}

/// A credential.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Pair {
    /// The token, which names the relying party.
    pub token: String,
    /// The secret, which signs.
    pub secret: String,
}

/// The default folder of `nodkey dev`.
const DATA_DIR: &str = ".nodkey";

/// The folder of `nodkey dev`.
#[derive(Clone, Debug, clap::Args)]
#[command(next_help_heading = "Connection")]
pub struct DataDir {
    /// Folder of `nodkey dev`: its dev.json provides what the flags below do not
    #[arg(long = "data-dir", env = "NODKEY_DATA_DIR", default_value = DATA_DIR, value_name = "DIR", global = true)]
    pub path: PathBuf,
    /// PEM file of the only authority to trust for https; by default those of the system
    #[arg(long, env = "NODKEY_CA_CERTIFICATE", value_name = "FILE", global = true)]
    pub ca_certificate: Option<PathBuf>,
}

/// The gRPC addresses for backends and operators.
#[derive(Clone, Debug, clap::Args)]
#[command(next_help_heading = "Connection")]
pub struct Grpc {
    /// URL of gRPC: the gateway's, for backends, and for operators if it serves them; or one per service:
    /// registry=URL,binding=URL,trusonafication=URL,notification=URL
    #[arg(long, env = "NODKEY_GRPC", value_name = "URL", global = true)]
    grpc: Option<String>,
    /// The deployment's audience
    #[arg(long, env = "NODKEY_AUDIENCE", default_value = "nodkey", value_name = "NAME", global = true)]
    audience: String,
}

/// The operator, and the relying party to act for.
#[derive(Clone, Debug, clap::Args)]
#[command(next_help_heading = "Connection")]
#[expect(clippy::struct_field_names, reason = "names of options")]
pub struct Operator {
    /// Operator key of the deployment; preferably set in the environment
    #[arg(long, env = "NODKEY_OPERATOR_KEY", hide_env_values = true, value_name = "KEY", global = true)]
    operator_key: Option<String>,
    /// Relying party to act for
    #[arg(long, env = "NODKEY_RELYING_PARTY", value_name = "UUID", global = true)]
    relying_party: Option<String>,
    #[command(flatten)]
    session: SessionFile,
}

/// A connection as an operator.
pub struct Connected {
    /// The client.
    pub nodkey: Nodkey,
    /// The relying party from the flags or dev.json.
    pub relying_party: Option<String>,
    /// The session in use. `None` with the operator key.
    pub session: Option<Session>,
}

/// A caller of the gateway over HTTP.
#[derive(Debug)]
pub struct HttpCaller {
    /// URL of the gateway.
    pub url: String,
    /// PEM of the only authority to trust.
    pub authority: Option<String>,
    /// Whose calls they are.
    pub credential: Credential,
    /// The relying party that an operator acts for.
    pub relying_party: Option<String>,
}

/// How an operator authenticates.
enum Proof {
    Key(String),
    Session(Session),
}

/// The gateway and credential of a phone.
#[derive(Clone, Debug, clap::Args)]
#[command(next_help_heading = "Connection")]
pub struct Gateway {
    /// The gateway's public URL
    #[arg(long, env = "NODKEY_HTTP", value_name = "URL", global = true)]
    http: Option<String>,
    /// Token of the mobile credential
    #[arg(long, env = "NODKEY_MOBILE_TOKEN", hide_env_values = true, value_name = "TOKEN", global = true)]
    mobile_token: Option<String>,
    /// Secret of the mobile credential; preferably set in the environment
    #[arg(long, env = "NODKEY_MOBILE_SECRET", hide_env_values = true, value_name = "SECRET", global = true)]
    mobile_secret: Option<String>,
    /// The deployment's public keys, to trust no others; by default they are fetched from the gateway at every start
    #[arg(long, env = "NODKEY_JWKS", value_name = "FILE", global = true)]
    jwks: Option<PathBuf>,
}

/// The backend to act as.
#[derive(Clone, Debug, clap::Args)]
#[command(next_help_heading = "Connection")]
pub struct Backend {
    /// Token of the server credential
    #[arg(long, env = "NODKEY_SERVER_TOKEN", hide_env_values = true, value_name = "TOKEN")]
    server_token: Option<String>,
    /// Secret of the server credential; preferably set in the environment
    #[arg(long, env = "NODKEY_SERVER_SECRET", hide_env_values = true, value_name = "SECRET")]
    server_secret: Option<String>,
}

impl DataDir {
    /// Reads dev.json.
    pub fn dev_file(&self) -> anyhow::Result<DevFile> {
        read_dev_file(&self.path)?.with_context(|| {
            let missing = dev_path(&self.path);
            format!("no server is known: start one with `nodkey dev`, or name one with flags ({} is missing)", missing.display())
        })
    }

    /// The authority from the flags, or the one of `nodkey dev` if the server was found through its file.
    pub fn authority(&self, known: Option<&DevFile>) -> anyhow::Result<Option<String>> {
        let path = self.ca_certificate.as_ref().or_else(|| known?.ca_certificate.as_ref());
        path.map(|path| std::fs::read_to_string(path).with_context(|| format!("cannot read {}", path.display()))).transpose()
    }
}

impl Backend {
    /// Connects as the backend of a relying party: by the credential that was given, else by that of dev.json. Without `--grpc`, to the
    /// gateway: the one that was named, else that of dev.json.
    pub fn connect(self, data_dir: &DataDir, grpc: &Grpc, gateway: &Gateway) -> anyhow::Result<Nodkey> {
        self.connect_at(data_dir, grpc, gateway.http.as_deref())
    }

    /// The same, where no other option of a gateway is needed than its URL.
    pub fn connect_at(self, data_dir: &DataDir, grpc: &Grpc, http: Option<&str>) -> anyhow::Result<Nodkey> {
        let credential = self.credential(data_dir, http)?;
        let Some(http) = http else { return grpc.connect(data_dir, credential, |known| &known.http) };
        grpc.connect_or(data_dir, credential.audience(&grpc.audience), || {
            Ok(Endpoints { ca_certificate: data_dir.authority(None)?, ..Endpoints::single(http) })
        })
    }

    /// The credential that was given, else that of dev.json, which is nothing to a gateway that was named.
    fn credential(self, data_dir: &DataDir, http: Option<&str>) -> anyhow::Result<Credential> {
        let server = match (self.server_token, self.server_secret) {
            (Some(token), Some(secret)) => Pair { token, secret },
            (None, None) if http.is_none() => data_dir.dev_file()?.server,
            _ => anyhow::bail!("a backend needs its server credential: set NODKEY_SERVER_TOKEN and NODKEY_SERVER_SECRET"),
        };
        Credential::new(&server.token, server.secret).context("the token of the server credential is damaged")
    }

    /// The credential, for calls over HTTP.
    pub fn caller(self, data_dir: &DataDir, grpc: &Grpc, http: Option<&str>) -> anyhow::Result<HttpCaller> {
        let credential = self.credential(data_dir, http)?.audience(&grpc.audience);
        let (url, authority) = gateway(data_dir, http)?;
        Ok(HttpCaller { url, authority, credential, relying_party: None })
    }
}

impl Grpc {
    /// The URLs that were named, each with the name of a service at it.
    pub fn urls(&self) -> anyhow::Result<BTreeMap<String, &'static str>> {
        let Some(grpc) = &self.grpc else { return Ok(BTreeMap::new()) };
        let Endpoints { registry, binding, trusonafication, notification, .. } = endpoints(grpc)?;
        Ok([(notification, "notification"), (trusonafication, "trusonafication"), (binding, "binding"), (registry, "registry")].into())
    }

    /// Connects to the address from the flags, or to the one in dev.json.
    fn connect(&self, data_dir: &DataDir, credential: Credential, known_url: fn(&DevFile) -> &str) -> anyhow::Result<Nodkey> {
        self.connect_or(data_dir, credential.audience(&self.audience), || {
            let known = data_dir.dev_file()?;
            Ok(Endpoints { ca_certificate: data_dir.authority(Some(&known))?, ..Endpoints::single(known_url(&known)) })
        })
    }

    /// Connects to the address of the session, unless the flags name another.
    fn connect_as(&self, data_dir: &DataDir, session: &Session, relying_party: Option<String>) -> anyhow::Result<Nodkey> {
        let credential = Credential::operator_session(&session.id, session.secret.clone(), relying_party);
        self.connect_or(data_dir, credential.audience(&session.audience), || {
            let authority = data_dir.ca_certificate.as_ref().or(session.ca_certificate.as_ref());
            let read = |path: &PathBuf| std::fs::read_to_string(path).with_context(|| format!("cannot read {}", path.display()));
            Ok(Endpoints { ca_certificate: authority.map(read).transpose()?, ..Endpoints::single(&session.gateway) })
        })
    }

    fn connect_or(
        &self,
        data_dir: &DataDir,
        credential: Credential,
        otherwise: impl FnOnce() -> anyhow::Result<Endpoints>,
    ) -> anyhow::Result<Nodkey> {
        let endpoints = match &self.grpc {
            Some(grpc) => Endpoints { ca_certificate: data_dir.authority(None)?, ..endpoints(grpc)? },
            None => otherwise()?,
        };
        Nodkey::connect(&endpoints, credential).context("--grpc must be a URL such as http://127.0.0.1:7070")
    }
}

impl Operator {
    /// Connects as an operator. The first of these counts: the operator key from the flags, a named folder of `nodkey dev`, the session of
    /// `nodkey login`, the default folder. With `scoped`, calls are for the relying party only.
    pub fn connect(self, data_dir: &DataDir, grpc: &Grpc, scoped: bool) -> anyhow::Result<Connected> {
        let file = read_dev_file(&data_dir.path)?;
        let proof = self.proof(data_dir, file.as_ref())?;
        let here = |session: &Session| file.as_ref().is_none_or(|file| file.http == session.gateway);
        let known = match &proof {
            // The file belongs to another deployment than the session.
            Proof::Session(session) if !here(session) => None,
            _ => file.as_ref().map(|file| file.relying_party_id.clone()),
        };
        let relying_party = self.relying_party.or(known);
        let scope = relying_party.clone().filter(|_| scoped);
        let (nodkey, session) = match proof {
            Proof::Key(key) => (grpc.connect(data_dir, operator(&key, scope)?, |known| &known.grpc)?, None),
            Proof::Session(session) => (grpc.connect_as(data_dir, &session, scope)?, Some(session)),
        };
        Ok(Connected { nodkey, relying_party, session })
    }

    fn proof(&self, data_dir: &DataDir, file: Option<&DevFile>) -> anyhow::Result<Proof> {
        let by_file = file.map(|file| Proof::Key(file.operator_key.clone()));
        match (&self.operator_key, by_file) {
            (Some(key), _) => Ok(Proof::Key(key.clone())),
            (None, Some(by_file)) if data_dir.path != Path::new(DATA_DIR) => Ok(by_file),
            (None, by_file) => self.session.read()?.map(Proof::Session).or(by_file).with_context(|| {
                let missing = dev_path(&data_dir.path);
                format!(
                    "sign in with `nodkey login URL`, set NODKEY_OPERATOR_KEY, or set --data-dir to that of `nodkey dev` ({} is missing)",
                    missing.display()
                )
            }),
        }
    }

    /// The operator, for calls over HTTP about a relying party, of which the registry decides what the operator may see.
    pub fn caller(self, data_dir: &DataDir, grpc: &Grpc, http: Option<&str>) -> anyhow::Result<HttpCaller> {
        let file = read_dev_file(&data_dir.path)?;
        let proof = self.proof(data_dir, file.as_ref())?;
        let relying_party = self.relying_party.or_else(|| file.map(|file| file.relying_party_id).filter(|_| http.is_none()));
        let relying_party = Some(relying_party.context("a relying party is required: name one with --relying-party UUID")?);
        let (credential, http) = match &proof {
            Proof::Key(key) => (operator(key, None)?.audience(format!("{}/registry", grpc.audience)), http),
            Proof::Session(session) => {
                let credential = Credential::operator_session(&session.id, session.secret.clone(), None);
                (credential.audience(&session.audience), http.or(Some(&session.gateway)))
            }
        };
        let (url, authority) = gateway(data_dir, http)?;
        Ok(HttpCaller { url, authority, credential, relying_party })
    }
}

/// The URL of the gateway that was named, else of that of dev.json, and the PEM of the authority to trust.
fn gateway(data_dir: &DataDir, http: Option<&str>) -> anyhow::Result<(String, Option<String>)> {
    if let Some(http) = http {
        return Ok((http.trim_end_matches('/').to_owned(), data_dir.authority(None)?));
    }
    let known = data_dir.dev_file()?;
    let authority = data_dir.authority(Some(&known))?;
    Ok((known.http, authority))
}

impl Gateway {
    /// The configuration of a phone.
    pub fn phone(self, data_dir: &DataDir) -> anyhow::Result<PhoneConfig> {
        let jwks = self.jwks.as_deref().map(read_jwks).transpose()?;
        let known = read_dev_file(&data_dir.path)?;
        let is_elsewhere = self.http.as_ref().is_some_and(|http| known.as_ref().is_none_or(|file| file.http != *http));
        let mobile = match (self.mobile_token, self.mobile_secret) {
            (Some(token), Some(secret)) => Pair { token, secret },
            // The credential of this folder is nothing to a deployment elsewhere.
            (None, None) if !is_elsewhere => data_dir.dev_file()?.mobile,
            _ => anyhow::bail!(
                "a phone needs the mobile credential of its relying party, a token and a secret: set NODKEY_MOBILE_TOKEN and NODKEY_MOBILE_SECRET"
            ),
        };
        let named = self.http.is_some();
        let http = self.http.map_or_else(|| Ok(data_dir.dev_file()?.http), anyhow::Ok)?;
        let url: Url = http.parse().with_context(|| format!("--http must be a URL such as https://auth.example.com, not {http:?}"))?;
        let mut config = PhoneConfig::builder().url(url).token(mobile.token).secret(mobile.secret).platform(Platform::Cli);
        config = config.app_version(concat!("nodkey ", env!("CARGO_PKG_VERSION")));
        if let Some(keys) = jwks {
            config = config.deployment_keys(DeploymentKeys::from_json(&serde_json::to_string(&keys)?)?);
        }
        if let Some(pem) = data_dir.authority(known.as_ref().filter(|_| !named))? {
            config = config.ca_certificate(pem);
        }
        Ok(config.build()?)
    }
}

/// The operator's credential from the operator key, which is symmetric in older deployments.
pub fn operator(key: &str, party: Option<String>) -> anyhow::Result<Credential> {
    if !OperatorKey::is_secret(key) {
        return Ok(Credential::symmetric_operator(key, party));
    }
    let key = OperatorKey::from_secret(key).context("the operator key is damaged: it is one word of 59 characters, see operator.env")?;
    Ok(Credential::operator(key, party))
}

/// Reads the public keys of a deployment.
pub fn read_jwks(path: &Path) -> anyhow::Result<Jwks> {
    let text = std::fs::read_to_string(path).with_context(|| format!("cannot read {}", path.display()))?;
    serde_json::from_str(&text).with_context(|| format!("{} is not a JWKS, as the gateway serves it at /jwks", path.display()))
}

fn endpoints(grpc: &str) -> anyhow::Result<Endpoints> {
    let named = |service: &str| grpc.split(',').filter_map(|part| part.split_once('=')).find(|(name, _)| *name == service);
    if named("registry").is_none() {
        return Ok(Endpoints::single(grpc));
    }
    let url = |service: &str| named(service).map(|(_, url)| url.to_owned()).with_context(|| format!("--grpc does not name {service}"));
    Ok(Endpoints {
        registry: url("registry")?,
        binding: url("binding")?,
        trusonafication: url("trusonafication")?,
        notification: url("notification")?,
        ca_certificate: None,
    })
}

/// The path of dev.json.
pub fn dev_path(data_dir: &Path) -> PathBuf {
    data_dir.join("dev.json")
}

/// Reads dev.json, if there is one.
pub fn read_dev_file(data_dir: &Path) -> anyhow::Result<Option<DevFile>> {
    read_json(&dev_path(data_dir))
}

/// Reads one of our own files, if it exists.
pub fn read_json<T: serde::de::DeserializeOwned>(path: &Path) -> anyhow::Result<Option<T>> {
    match std::fs::read(path) {
        Ok(bytes) => Ok(Some(serde_json::from_slice(&bytes).with_context(|| format!("{} is damaged", path.display()))?)),
        Err(e) if e.kind() == std::io::ErrorKind::NotFound => Ok(None),
        Err(e) => Err(e).with_context(|| format!("cannot read {}", path.display())),
    }
}

/// Creates a folder, with those above it, that its owner alone can read.
pub fn create_private_dir(path: &Path) -> anyhow::Result<()> {
    use std::os::unix::fs::DirBuilderExt as _;
    let made = std::fs::DirBuilder::new().recursive(true).mode(0o700).create(path);
    made.with_context(|| format!("cannot create {}", path.display()))
}

/// Writes JSON as [`write_private`] does.
pub fn write_secret(path: &Path, value: &impl Serialize) -> anyhow::Result<()> {
    write_private(path, &serde_json::to_vec_pretty(value)?)
}

/// Writes a file that may contain secrets: atomically, and readable only by its owner.
pub fn write_private(path: &Path, bytes: &[u8]) -> anyhow::Result<()> {
    use std::{io::Write as _, os::unix::fs::OpenOptionsExt as _};
    let temporary = path.with_extension("tmp");
    let _ = std::fs::remove_file(&temporary);
    let mut file = std::fs::OpenOptions::new()
        .write(true)
        .create_new(true)
        .mode(0o600)
        .open(&temporary)
        .with_context(|| format!("cannot write {}", temporary.display()))?;
    file.write_all(bytes)?;
    file.sync_all()?;
    std::fs::rename(&temporary, path).with_context(|| format!("cannot write {}", path.display()))
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt as _;

    use super::*;

    #[test]
    fn one_url_serves_all_or_each_service_has_its_own() {
        assert_eq!(endpoints("http://a:1/?x=y").unwrap().notification, "http://a:1/?x=y");
        let each = endpoints("registry=http://r,binding=http://b,trusonafication=http://t,notification=http://n").unwrap();
        assert_eq!((each.registry.as_str(), each.trusonafication.as_str()), ("http://r", "http://t"));
        assert!(endpoints("registry=http://r,binding=http://b").unwrap_err().to_string().contains("trusonafication"));
    }

    #[test]
    fn secrets_are_readable_by_their_owner_alone_and_come_back() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("dev.json");
        let pair = Pair { token: "t".into(), secret: "s".into() };
        for _ in 0..2 {
            write_secret(&path, &pair).unwrap();
        }
        assert_eq!(std::fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
        assert_eq!(read_json::<Pair>(&path).unwrap().unwrap().secret, "s");
        assert!(read_json::<Pair>(&folder.path().join("none")).unwrap().is_none());
    }

    #[test]
    fn another_deployment_is_called_by_its_own_server_credential_and_never_by_that_of_this_folder() {
        let data_dir = DataDir { path: "/nowhere".into(), ca_certificate: None };
        let grpc = Grpc { grpc: None, audience: "nodkey".into() };
        let gateway = Gateway { http: Some("http://127.0.0.1:1".into()), mobile_token: None, mobile_secret: None, jwks: None };
        let connect = |server_token: Option<&str>, server_secret: Option<&str>| {
            let backend = Backend { server_token: server_token.map(Into::into), server_secret: server_secret.map(Into::into) };
            backend.connect(&data_dir, &grpc, &gateway).map(drop).unwrap_err().to_string()
        };
        assert!(connect(None, None).contains("NODKEY_SERVER_TOKEN"));
        assert!(connect(Some("token"), None).contains("NODKEY_SERVER_SECRET"));
        assert!(connect(Some("token"), Some("secret")).contains("the token of the server credential"));
    }

    #[test]
    fn half_a_mobile_credential_is_refused() {
        let gateway = Gateway { http: Some("http://g".into()), mobile_token: Some("t".into()), mobile_secret: None, jwks: None };
        assert!(gateway.phone(&DataDir { path: "/nowhere".into(), ca_certificate: None }).is_err());
        let elsewhere = Gateway { http: Some("http://g".into()), mobile_token: None, mobile_secret: None, jwks: None };
        let refused = elsewhere.phone(&DataDir { path: "/nowhere".into(), ca_certificate: None }).unwrap_err().to_string();
        assert!(refused.contains("NODKEY_MOBILE_TOKEN"), "{refused}");
    }
}
