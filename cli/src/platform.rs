//! All services in this process: what `nodkey serve` and `nodkey dev` have in common.

use std::{net::SocketAddr, path::Path};

use anyhow::Context as _;
use axum::Router;
use nodkey_binding::Binding;
use nodkey_client::{Nodkey, OperatorKey, ServiceName};
use nodkey_gateway::Gateway;
use nodkey_kernel::{random::Random, service_key::ServiceKey, time::Clock};
use nodkey_notification::Notification;
use nodkey_proto::registry::v1::{
    InviteOperatorRequest, ListOperatorsRequest, Operator, OperatorState, RenewInvitationRequest, Role,
    operator_service_client::OperatorServiceClient,
};
use nodkey_registry::Registry;
use nodkey_runtime::{
    DataDir, Deployment, Service,
    config::ServerConfig,
    embedded::{Embedded, EmbeddedConfig, Handle},
};
use nodkey_trusonafication::Trusonafication;
use serde::{Deserialize, Serialize};

use crate::connection::{read_json, write_secret};

/// The own settings of each service.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub struct Services {
    pub registry: nodkey_registry::config::Config,
    pub binding: nodkey_binding::Config,
    pub trusonafication: nodkey_trusonafication::Config,
    pub notification: nodkey_notification::Config,
    pub gateway: nodkey_gateway::Config,
}

/// How to run all services.
pub struct Platform {
    /// Where keys and databases are kept.
    pub data_dir: DataDir,
    /// Where phones, browsers and backends call.
    pub server: ServerConfig,
    /// Where operators call gRPC, and metrics are served.
    pub operators: SocketAddr,
    /// Whether that is over TLS where `server` is.
    pub operators_tls: bool,
    /// The gateway's URL as phones see it; `None`: the address it listens on.
    pub public_url: Option<String>,
    pub deployment: Deployment,
    /// Seals and opens secrets at rest.
    pub master_key: [u8; 32],
    /// Others that open.
    pub previous_master_keys: Vec<[u8; 32]>,
    pub services: Services,
    /// Routes besides the gateway's.
    pub routes: Router,
}

/// The secrets of a data folder. What its services sign with is made at every start.
#[derive(Debug, Serialize, Deserialize)]
pub struct Keys {
    #[serde(rename = "master_key")]
    pub master: String,
    #[serde(rename = "operator_key")]
    pub operator: String,
    /// The operator key of an earlier release, which is symmetric. Accepted for this one version.
    #[serde(rename = "symmetric_operator_key", default, skip_serializing_if = "Option::is_none")]
    pub symmetric_operator: Option<String>,
}

impl Services {
    /// Refuses values that have the right type and are still invalid.
    pub fn check(&self) -> anyhow::Result<()> {
        fn named<S: Service>(config: &S::Config) -> anyhow::Result<()> {
            S::check(config).map_err(|e| anyhow::anyhow!("configuration: service.{}.{e}", S::NAME))
        }
        named::<Registry>(&self.registry)?;
        named::<Binding>(&self.binding)?;
        named::<Trusonafication>(&self.trusonafication)?;
        named::<Notification>(&self.notification)?;
        named::<Gateway>(&self.gateway)
    }
}

impl Platform {
    /// Builds and starts every service. It is ready only when [`Handle::ready`] is called.
    pub async fn start(self) -> anyhow::Result<Handle> {
        let Self {
            data_dir,
            server,
            operators,
            operators_tls,
            public_url,
            deployment,
            master_key,
            previous_master_keys,
            mut services,
            routes,
        } = self;
        let random = Random::system();
        let (limits, drain) = (server.connection_limits(), server.drain());
        // What a browser keeps of a sign-in under way need not outlive this process.
        services.gateway.cookie_key.get_or_insert_with(|| hex::encode(random.bytes::<32>()).into());
        let config = EmbeddedConfig {
            data_dir,
            http: server.listen,
            grpc: operators,
            tls: server.tls,
            public_url,
            deployment,
            service_keys: ServiceKey::all(&random),
            master_key,
            previous_master_keys,
            clock: Clock::system(),
            random,
        };
        let embedded = Embedded::new(config);
        let embedded = if operators_tls { embedded } else { embedded.plain_operators() };
        let embedded = embedded
            .connections(limits)
            .max_calls(server.max_calls)
            .drain(drain)
            .with::<Registry>(services.registry)
            .with::<Binding>(services.binding)
            .with::<Trusonafication>(services.trusonafication)
            .with::<Notification>(services.notification)
            .with::<Gateway>(services.gateway)
            .routes(routes)
            .ready_on_request();
        // Large, and made once.
        Box::pin(embedded.start()).await
    }
}

impl Keys {
    /// Reads the keys of a data folder, or makes them on the first start.
    pub fn of(data_dir: &Path) -> anyhow::Result<Self> {
        let path = data_dir.join("keys.json");
        let random = Random::system();
        let operator = || OperatorKey::generate(&random).to_secret().to_string();
        let known: Option<Self> = read_json(&path).context("without the keys of this folder its secrets cannot be opened")?;
        let keys = match known {
            Some(keys) if OperatorKey::is_secret(&keys.operator) => return Ok(keys),
            Some(keys) => Self { symmetric_operator: Some(keys.operator), operator: operator(), ..keys },
            None => Self { master: hex::encode(random.bytes::<32>()), operator: operator(), symmetric_operator: None },
        };
        write_secret(&path, &keys)?;
        Ok(keys)
    }

    /// The operator key.
    pub fn operator(&self) -> anyhow::Result<OperatorKey> {
        OperatorKey::from_secret(&self.operator).context("keys.json is damaged: the operator key")
    }

    /// The master key.
    pub fn master(&self) -> anyhow::Result<[u8; 32]> {
        let mut key = [0; 32];
        hex::decode_to_slice(&self.master, &mut key).context("keys.json is damaged: the master key must be 64 hex digits")?;
        Ok(key)
    }

    /// The deployment with these operator keys.
    pub fn accepted_by(&self, deployment: Deployment) -> anyhow::Result<Deployment> {
        Ok(Deployment {
            operator_keys: [&self.operator()?].into_iter().collect(),
            symmetric_operator_keys: self.symmetric_operator.iter().map(|key| key.as_str().into()).collect(),
            ..deployment
        })
    }
}

/// What the first owner is called until they are renamed.
const FIRST_OWNER: &str = "First owner";

/// A link for the first owner of the console; `None` once somebody else was invited, or has accepted an invitation.
pub async fn first_owner(nodkey: &Nodkey) -> anyhow::Result<Option<String>> {
    let mut operators = OperatorServiceClient::new(nodkey.channel(ServiceName::Registry));
    let known = operators.list_operators(ListOperatorsRequest { page_size: 500, ..Default::default() }).await?.into_inner().operators;
    if known.iter().any(|operator| operator.state() == OperatorState::Active) {
        return Ok(None);
    }
    // An invitation by somebody else stays as it is: its link was sent already.
    let is_ours = |operator: &Operator| operator.state() == OperatorState::Invited && operator.name == FIRST_OWNER;
    let is_invited = known.iter().any(|operator| operator.state() == OperatorState::Invited);
    let invitation = match known.into_iter().find(is_ours) {
        Some(operator) => operators.renew_invitation(RenewInvitationRequest { id: operator.id }).await?,
        None if is_invited => return Ok(None),
        None => {
            let request = InviteOperatorRequest { name: FIRST_OWNER.into(), role: Role::Owner.into(), ..Default::default() };
            operators.invite_operator(request).await?
        }
    };
    Ok(Some(invitation.into_inner().link))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_are_made_once_and_a_master_key_is_64_hex_digits() {
        let folder = tempfile::tempdir().unwrap();
        let first = Keys::of(folder.path()).unwrap();
        assert_eq!(Keys::of(folder.path()).unwrap().master, first.master);
        assert_eq!(hex::encode(first.master().unwrap()), first.master);
        assert_eq!(Keys::of(folder.path()).unwrap().operator, first.operator);
        for damaged in ["00".to_owned(), "g".repeat(64)] {
            assert!(Keys { master: damaged, ..Keys::of(folder.path()).unwrap() }.master().is_err());
        }
    }

    #[test]
    fn a_folder_of_an_earlier_release_gets_a_pair_for_its_operator_key_and_keeps_that_for_one_version() {
        let folder = tempfile::tempdir().unwrap();
        let (master, before) = ("ab".repeat(32), "cd".repeat(32));
        std::fs::write(folder.path().join("keys.json"), format!(r#"{{"master_key":"{master}","operator_key":"{before}"}}"#)).unwrap();
        let first = Keys::of(folder.path()).unwrap();
        assert_eq!((&first.master, first.symmetric_operator.as_ref()), (&master, Some(&before)));
        first.operator().unwrap();
        let again = Keys::of(folder.path()).unwrap();
        assert_eq!((again.operator, again.symmetric_operator), (first.operator, first.symmetric_operator));
    }
}
