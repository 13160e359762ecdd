//! Settings: defaults, then a file, then the environment.
//!
//! `NODKEY_CONFIG` names a TOML file. `NODKEY_<SECTION>__<KEY>` sets one value: `NODKEY_DB__URL`, `NODKEY_BUS__URL`.

use std::{net::SocketAddr, path::PathBuf};

use ipnet::IpNet;
use nodkey_bus::BusConfig;
use nodkey_db::DbConfig;
use nodkey_kernel::{egress::Egress, key_set::KeySetError, service_key::ServiceName};
use secrecy::SecretString;
use serde::{Deserialize, de::DeserializeOwned};

use super::{
    given::{Faults, Given},
    places::ConnectionLimits,
    tls::TlsFiles,
};
use crate::identity::deployment::{self, Deployment, InvalidPublicUrl};

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
    /// How many connections each address above takes at once.
    pub max_connections: usize,
    /// How many of them from one client's address; see [`ConnectionLimits`].
    pub max_connections_per_address: Option<usize>,
    /// How many gRPC calls of backends and operators are served at once; more are refused.
    pub max_calls: usize,
}

impl Default for ServerConfig {
    fn default() -> Self {
        Self {
            listen: SocketAddr::from(([127, 0, 0, 1], 7070)),
            metrics_listen: None,
            tls: None,
            max_connections: ConnectionLimits::default().all,
            max_connections_per_address: None,
            max_calls: 4_096,
        }
    }
}

impl ServerConfig {
    /// How many connections each listener takes.
    #[must_use]
    pub const fn connection_limits(&self) -> ConnectionLimits {
        ConnectionLimits { all: self.max_connections, of_one_address: self.max_connections_per_address }
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
    /// The URL of a service; nobody calls the gateway.
    #[must_use]
    pub fn url(&self, name: ServiceName) -> Option<&str> {
        match name {
            ServiceName::Registry => Some(&self.registry),
            ServiceName::Binding => Some(&self.binding),
            ServiceName::Trusonafication => Some(&self.trusonafication),
            ServiceName::Notification => Some(&self.notification),
            ServiceName::Gateway => None,
        }
    }
}

/// What the processes of a deployment share, and the keys of this one.
#[derive(Debug, Deserialize)]
pub struct DeploymentConfig {
    /// The gateway's public URL.
    pub public_url: String,
    /// `aud` of bearer tokens.
    #[serde(default = "audience")]
    pub audience: String,
    /// 64 hex digits; secrets at rest are sealed under it. Services with a database need it, the gateway must not have it.
    pub master_key: Option<SecretString>,
    /// Other master keys, which open and do not seal, separated by commas: predecessors, or the successor before it seals.
    pub previous_master_keys: Option<SecretString>,
    /// Signs what this service says to the others: 43 characters as `nodkey keys init` makes them, or a file that holds them.
    pub service_key: Option<SecretString>,
    /// Public halves of the keys of all services: a JSON document as `nodkey keys init` makes it, or a file that holds one.
    pub service_keys: Option<String>,
    /// Of before there were service keys: signs what services say to one another. Taken beside service keys for this one version.
    pub internal_key: Option<SecretString>,
    /// Public halves of the operator keys that are accepted: a JSON document as `nodkey keys init` makes it, or a file that holds one.
    pub operator_public_keys: Option<String>,
    /// Of before operator keys were pairs: signs what operators say and verifies it. Accepted for this one version, not beside public halves.
    pub operator_key: Option<SecretString>,
    /// A symmetric key that is accepted, too: a predecessor or successor, or what public halves follow. For this one version.
    pub previous_operator_key: Option<SecretString>,
    /// Whether webhooks may go to this machine, over http and to any port.
    #[serde(default)]
    pub development: bool,
    /// Whether callers that did not prove who they are learn why, with what they should have signed; unset: as `development`.
    pub explain_refusals: Option<bool>,
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
    /// Missing, unknown, or of another type.
    #[error("configuration:\n  {0}")]
    Faults(#[from] Faults),
    /// Of the right type and still wrong.
    #[error("configuration: {0}")]
    Invalid(&'static str),
    /// Not one that phones and backends can reach the gateway by.
    #[error("configuration: {0}")]
    PublicUrl(#[from] InvalidPublicUrl),
    /// A file that a setting names.
    #[error("configuration: cannot read {0}: {1}")]
    Unreadable(String, #[source] std::io::Error),
    /// A document of public halves: the setting, and what is wrong.
    #[error("configuration: deployment.{0} {1}")]
    KeySet(&'static str, #[source] KeySetError),
    /// The document of public halves is not complete.
    #[error("configuration: deployment.service_keys has no key of {0}")]
    NoPublicHalf(ServiceName),
    /// The private key is another service's, or was replaced.
    #[error("configuration: deployment.service_key belongs to none of the keys of {0} in deployment.service_keys")]
    Stranger(ServiceName),
}

impl<S: DeserializeOwned + Default> Config<S> {
    /// Puts the settings of a service together; what is missing of those it needs, unknown or wrong is told at once. `own` says which settings
    /// of its own it needs.
    pub(crate) fn of(given: &Given, stateful: bool, own: impl Fn(&S) -> &'static [&'static str]) -> Result<Self, ConfigError> {
        let mut missing = given.missing(&required(given, stateful));
        if !given.has(INTERNAL_KEY) {
            missing.extend(given.missing(own(&given.section("service"))));
        }
        if !stateful && given.has_section("db") && !given.has("db.url") {
            missing.push("db.* is given to a service that has no database: take it away".to_owned());
        }
        let config: Self = given.to_settings(missing)?;
        config.deployment.vault()?;
        Ok(config)
    }
}

/// Stands in for the keys that each service has of its own, for this one version.
const INTERNAL_KEY: &str = "deployment.internal_key";

/// What a service needs, whatever its own settings are.
fn required(given: &Given, stateful: bool) -> Vec<&'static str> {
    let mut required = vec!["deployment.public_url"];
    if !given.has(INTERNAL_KEY) {
        required.extend(["deployment.service_key", "deployment.service_keys"]);
    }
    if stateful {
        required.extend(["deployment.master_key", "db.url"]);
    }
    if given.has_section("server.tls") {
        required.extend(["server.tls.certificate", "server.tls.key"]);
    }
    required
}

impl DeploymentConfig {
    /// The facts the service of this name sees, checked.
    pub fn into_deployment(self, name: ServiceName) -> Result<Deployment, ConfigError> {
        let public_url = deployment::public_url(&self.public_url)?;
        self.check_lengths()?;
        let (service_key, service_keys) = self.service_keys(name)?;
        let (operator_keys, symmetric_operator_keys) = self.operator_keys()?;
        let mut egress = Egress { networks: self.allowed_networks, ..Egress::new(self.development) };
        if !self.allowed_ports.is_empty() {
            egress.ports = self.allowed_ports;
        }
        Ok(Deployment {
            public_url,
            audience: self.audience,
            service_key,
            service_keys,
            internal_key: self.internal_key,
            operator_keys,
            symmetric_operator_keys,
            serves_tls: false,
            explain_refusals: self.explain_refusals.unwrap_or(egress.development),
            egress,
        })
    }
}
