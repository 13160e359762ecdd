//! Settings: defaults, then a file, then the environment.
//!
//! `NODKEY_CONFIG` names a TOML file. `NODKEY_<SECTION>__<KEY>` sets one value: `NODKEY_DB__URL`, `NODKEY_BUS__URL`.

use std::{
    net::SocketAddr,
    path::{Path, PathBuf},
};

use figment::{
    Figment,
    providers::{Env, Format as _, Toml},
};
use ipnet::IpNet;
use nodkey_bus::BusConfig;
use nodkey_db::DbConfig;
use nodkey_kernel::egress::Egress;
use secrecy::{ExposeSecret as _, SecretString};
use serde::{Deserialize, de::DeserializeOwned};

use crate::{service::Deployment, tls::TlsFiles};

/// Settings of one process.
#[derive(Debug, Deserialize)]
pub struct Config<S> {
    /// Its database. A service without state has none.
    pub db: Option<DbConfig>,
    /// Events.
    #[serde(default)]
    pub bus: BusConfig,
    /// Where it listens.
    #[serde(default)]
    pub server: ServerConfig,
    /// Where the others listen.
    #[serde(default)]
    pub peers: PeersConfig,
    /// The deployment.
    pub deployment: DeploymentConfig,
    /// Its own.
    #[serde(default)]
    pub service: S,
}

/// Where a process listens.
#[derive(Clone, Debug, Deserialize)]
#[serde(default)]
pub struct ServerConfig {
    /// Address and port.
    pub listen: SocketAddr,
    /// Where `/metrics`, `/livez` and `/readyz` are served besides, never over TLS; the gateway serves metrics nowhere else.
    pub metrics_listen: Option<SocketAddr>,
    /// Makes `listen` TLS.
    pub tls: Option<TlsFiles>,
}

impl Default for ServerConfig {
    fn default() -> Self {
        Self { listen: SocketAddr::from(([127, 0, 0, 1], 7070)), metrics_listen: None, tls: None }
    }
}

/// gRPC URLs of the services.
#[derive(Clone, Debug, Deserialize)]
#[serde(default)]
pub struct PeersConfig {
    /// The registry.
    pub registry: String,
    /// The binding service.
    pub binding: String,
    /// The trusonafication service.
    pub trusonafication: String,
    /// The notification service.
    pub notification: String,
    /// PEM file of the authority behind their certificates, when it is none of the system's; for https.
    pub ca_certificate: Option<PathBuf>,
}

impl Default for PeersConfig {
    fn default() -> Self {
        let at = |name: &str| format!("http://{name}:7070");
        Self {
            registry: at("registry"),
            binding: at("binding"),
            trusonafication: at("trusonafication"),
            notification: at("notification"),
            ca_certificate: None,
        }
    }
}

impl PeersConfig {
    /// The URL of a service.
    #[must_use]
    pub fn url(&self, name: &str) -> &str {
        match name {
            "registry" => &self.registry,
            "binding" => &self.binding,
            "trusonafication" => &self.trusonafication,
            _ => &self.notification,
        }
    }
}

/// What all processes of a deployment share.
#[derive(Debug, Deserialize)]
pub struct DeploymentConfig {
    /// The gateway's public URL.
    pub public_url: String,
    /// `aud` of bearer tokens.
    #[serde(default = "audience")]
    pub audience: String,
    /// 64 hex digits; secrets at rest are sealed under it.
    pub master_key: SecretString,
    /// Signs what services say to one another.
    pub internal_key: SecretString,
    /// Signs what operators say.
    pub operator_key: SecretString,
    /// Whether webhooks may go to this machine, over http and to any port.
    #[serde(default)]
    pub development: bool,
    /// Networks that may be connected to on behalf of others besides public addresses, such as `10.1.0.0/16`.
    #[serde(default)]
    pub allowed_networks: Vec<IpNet>,
    /// Ports that may be connected to on behalf of others; empty: 443 and 8443.
    #[serde(default)]
    pub allowed_ports: Vec<u16>,
}

fn audience() -> String {
    "nodkey".into()
}

/// A setting is missing or wrong.
#[derive(Debug, thiserror::Error)]
pub enum ConfigError {
    /// Missing, or of another type. Says where it came from.
    #[error("configuration: {0}")]
    Figment(#[from] Box<figment::Error>),
    /// Of the right type and still wrong.
    #[error("configuration: {0}")]
    Invalid(&'static str),
}

impl<S: DeserializeOwned + Default> Config<S> {
    /// Loads settings.
    pub fn load(file: Option<&Path>) -> Result<Self, ConfigError> {
        let mut figment = Figment::new();
        if let Some(file) = file {
            figment = figment.merge(Toml::file_exact(file));
        }
        // Values stay text: a key of digits is no number.
        let config: Self =
            figment.merge(Env::prefixed("NODKEY_").ignore(&["config", "log", "log_format"]).split("__")).extract().map_err(Box::new)?;
        config.deployment.master_key_bytes()?;
        Ok(config)
    }
}

impl DeploymentConfig {
    /// The master key.
    pub fn master_key_bytes(&self) -> Result<[u8; 32], ConfigError> {
        let mut key = [0; 32];
        let text = self.master_key.expose_secret();
        hex::decode_to_slice(text, &mut key)
            .map_err(|_| ConfigError::Invalid("deployment.master_key must be 64 hex digits; make one with: openssl rand -hex 32"))?;
        Ok(key)
    }

    /// The facts services see, checked.
    pub fn into_deployment(self) -> Result<Deployment, ConfigError> {
        let url = url::Url::parse(&self.public_url).map_err(|_| ConfigError::Invalid("deployment.public_url must be a URL"))?;
        if url.query().is_some() || url.path() != "/" {
            return Err(ConfigError::Invalid("deployment.public_url must have no path: existing clients sign paths from the root"));
        }
        for key in [&self.internal_key, &self.operator_key] {
            if key.expose_secret().len() < 32 {
                return Err(ConfigError::Invalid("deployment.internal_key and operator_key must be at least 32 characters"));
            }
        }
        let mut egress = Egress { networks: self.allowed_networks, ..Egress::new(self.development) };
        if !self.allowed_ports.is_empty() {
            egress.ports = self.allowed_ports;
        }
        Ok(Deployment {
            public_url: self.public_url.trim_end_matches('/').to_owned(),
            audience: self.audience,
            internal_key: self.internal_key,
            operator_key: self.operator_key,
            egress,
        })
    }
}
