//! Settings: defaults, then a file, then the environment.
//!
//! `NODKEY_CONFIG` names a TOML file. `NODKEY_<SECTION>__<KEY>` sets one value: `NODKEY_DB__URL`, `NODKEY_BUS__URL`.

use std::{
    net::SocketAddr,
    path::{Path, PathBuf},
    time::Duration,
};

use ipnet::IpNet;
use nodkey_bus::BusConfig;
use nodkey_db::DbConfig;
use nodkey_kernel::{
    egress::Egress,
    key_set::KeySetError,
    service_key::{ServiceKey, ServiceKeys, ServiceName},
};
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
    /// The service's database. A stateless service has none.
    pub db: Option<DbConfig>,
    /// The bus for events.
    #[serde(default)]
    pub bus: BusConfig,
    /// The listeners of this process.
    #[serde(default)]
    pub server: ServerConfig,
    /// The addresses of the other services.
    #[serde(default)]
    pub peers: PeersConfig,
    /// Settings of the deployment.
    pub deployment: DeploymentConfig,
    /// Settings of the service itself.
    #[serde(default)]
    pub service: S,
}

/// The listeners of a process.
#[derive(Clone, Debug, Deserialize)]
#[serde(default)]
pub struct ServerConfig {
    /// Address and port.
    pub listen: SocketAddr,
    /// Additional address for `/metrics`, `/livez` and `/readyz`, never over TLS. The gateway serves metrics nowhere else.
    pub metrics_listen: Option<SocketAddr>,
    /// Enables TLS on `listen`.
    pub tls: Option<TlsFiles>,
    /// Maximum number of concurrent connections on each address above.
    pub max_connections: usize,
    /// Maximum number of them from one client address; see [`ConnectionLimits`].
    pub max_connections_per_address: Option<usize>,
    /// Maximum number of concurrent gRPC calls from backends and operators; more are refused.
    pub max_calls: usize,
    /// How many seconds a process that was told to stop goes on serving, although it is not ready any more: until whoever sends it requests
    /// has noticed.
    pub drain_seconds: u16,
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
            drain_seconds: 0,
        }
    }
}

impl ServerConfig {
    /// How long a process that was told to stop goes on serving.
    #[must_use]
    pub const fn drain(&self) -> Duration {
        Duration::from_secs(self.drain_seconds as u64)
    }

    /// The connection limits of each listener.
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
    /// PEM file of the authority that issued their certificates, if the system does not trust it; for https.
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

/// Settings shared by the processes of a deployment, and the keys of this one.
#[derive(Debug, Deserialize)]
pub struct DeploymentConfig {
    /// The gateway's public URL.
    pub public_url: String,
    /// `aud` of bearer tokens.
    #[serde(default = "audience")]
    pub audience: String,
    /// 64 hex digits; the key that seals secrets at rest. Services with a database need it; the gateway must not have it.
    pub master_key: Option<SecretString>,
    /// Other master keys that can open but not seal, separated by commas: predecessors, or a successor before it takes over.
    pub previous_master_keys: Option<SecretString>,
    /// The key that signs this service's tokens to the others: 43 characters as written by `nodkey keys init`, or a file that contains
    /// them.
    pub service_key: Option<SecretString>,
    /// The public keys of all services: a JSON document as written by `nodkey keys init`, or a file that contains one.
    pub service_keys: Option<String>,
    /// From before service keys existed: signs the tokens between services. Accepted beside service keys for this one version.
    pub internal_key: Option<SecretString>,
    /// The public operator keys that are accepted: a JSON document as written by `nodkey keys init`, or a file that contains one.
    pub operator_public_keys: Option<String>,
    /// From before operator keys were key pairs: signs and verifies operators' tokens. Accepted for this one version, and not beside public
    /// keys.
    pub operator_key: Option<SecretString>,
    /// A further symmetric key that is accepted: a predecessor or successor, or the one that public keys replace. For this one version.
    pub previous_operator_key: Option<SecretString>,
    /// Whether webhooks may be sent to this machine, over http and to any port.
    #[serde(default)]
    pub development: bool,
    /// Whether unauthenticated callers are told the reason, with what they should have signed. Unset: as `development`.
    pub explain_refusals: Option<bool>,
    /// Networks that services may connect to on behalf of others, besides public addresses, such as `10.1.0.0/16`.
    #[serde(default)]
    pub allowed_networks: Vec<IpNet>,
    /// Ports that services may connect to on behalf of others; empty: 443 and 8443.
    #[serde(default)]
    pub allowed_ports: Vec<u16>,
}

fn audience() -> String {
    "nodkey".into()
}

/// A setting is missing or invalid.
#[derive(Debug, thiserror::Error)]
pub enum ConfigError {
    /// Missing, unknown, or of the wrong type.
    #[error("configuration:\n  {0}")]
    Faults(#[from] Faults),
    /// Of the right type, but invalid.
    #[error("configuration: {0}")]
    Invalid(&'static str),
    /// Not a URL at which phones and backends can reach the gateway.
    #[error("configuration: {0}")]
    PublicUrl(#[from] InvalidPublicUrl),
    /// A file that a setting names cannot be read.
    #[error("configuration: cannot read {0}: {1}")]
    Unreadable(String, #[source] std::io::Error),
    /// A document of public keys is invalid: the setting, and the reason.
    #[error("configuration: deployment.{0} {1}")]
    KeySet(&'static str, #[source] KeySetError),
    /// The document of public keys lacks a service.
    #[error("configuration: deployment.service_keys has no key of {0}")]
    NoPublicHalf(ServiceName),
    /// The private key belongs to another service, or was replaced.
    #[error("configuration: deployment.service_key belongs to none of the keys of {0} in deployment.service_keys")]
    Stranger(ServiceName),
}

impl<S: DeserializeOwned + Default> Config<S> {
    /// Assembles the settings of a service. All missing, unknown and invalid settings are reported together. `own` returns the service's
    /// own settings that it requires.
    pub(crate) fn of(given: &Given, stateful: bool, own: impl Fn(&S) -> &'static [&'static str]) -> Result<Self, ConfigError> {
        let mut missing = given.missing(&required(given, stateful));
        if !given.has(INTERNAL_KEY) {
            missing.extend(given.missing(own(&given.section("service"))));
        }
        if !stateful && given.has_section("db") && !given.has("db.url") {
            missing.push("db.* is set, but this service has no database: remove it".to_owned());
        }
        let config: Self = given.to_settings(missing)?;
        config.deployment.vault()?;
        Ok(config)
    }
}

const NO_SERVICE_KEYS: &str =
    "deployment.service_key, service_keys and internal_key are for services in processes of their own: remove them";

const NO_SYMMETRIC_KEYS: &str = "deployment.operator_key and previous_operator_key are from deployments of five processes: remove them, and \
                                 set deployment.operator_public_keys, or use the operator key in keys.json of the data folder";

/// Replaces the individual service keys, for this one version.
const INTERNAL_KEY: &str = "deployment.internal_key";

/// The settings that a service requires, apart from its own.
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

/// Settings of a process that runs all services, as given.
#[derive(Debug)]
pub struct Settings(Given);

impl Settings {
    /// Reads the file, if there is one, and the environment.
    pub fn read(file: Option<&Path>) -> Result<Self, ConfigError> {
        Ok(Self(Given::read(file, std::env::vars_os())?))
    }

    /// All of them, checked; everything wrong is reported together. `required` are settings that must be there.
    pub fn check<T: DeserializeOwned>(&self, required: &[&str]) -> Result<T, ConfigError> {
        Ok(self.0.to_settings(self.0.missing(required))?)
    }

    /// Variables that name no setting of `T`, each with what may have been meant.
    #[must_use]
    pub fn strays<T: DeserializeOwned>(&self) -> Vec<String> {
        self.0.strays::<T>()
    }

    /// As TOML, without secrets, with where each came from.
    #[must_use]
    pub fn to_toml<T: DeserializeOwned>(&self) -> String {
        self.0.to_toml::<T>()
    }
}

impl DeploymentConfig {
    /// The validated deployment facts for a process that runs all services, which makes their keys itself.
    pub fn into_embedded(self) -> Result<Deployment, ConfigError> {
        if self.service_key.is_some() || self.service_keys.is_some() || self.internal_key.is_some() {
            return Err(ConfigError::Invalid(NO_SERVICE_KEYS));
        }
        if self.operator_key.is_some() || self.previous_operator_key.is_some() {
            return Err(ConfigError::Invalid(NO_SYMMETRIC_KEYS));
        }
        self.into_facts(None, ServiceKeys::default())
    }

    /// The validated deployment facts for the service with this name.
    pub fn into_deployment(self, name: ServiceName) -> Result<Deployment, ConfigError> {
        let (service_key, service_keys) = self.service_keys(name)?;
        self.into_facts(service_key, service_keys)
    }

    fn into_facts(self, service_key: Option<ServiceKey>, service_keys: ServiceKeys) -> Result<Deployment, ConfigError> {
        let public_url = deployment::public_url(&self.public_url)?;
        self.check_lengths()?;
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
