//! The measured deployment, and a relying party of the benchmark's own in it.

use std::path::{Path, PathBuf};

use anyhow::Context as _;
use nodkey_client::{Credential, Endpoints, Nodkey, ServiceName};
use nodkey_proto::registry::v1::{
    CreateCredentialRequest, CreateRelyingPartyRequest, CredentialKind, PromptSettings, RelyingPartyLimits, UpdateRelyingPartyRequest,
    credential_service_client::CredentialServiceClient, relying_party_service_client::RelyingPartyServiceClient,
};
use serde::Deserialize;

use super::{grpc, http::Server};
use crate::connection::{self, DataDir, Pair, dev_path, read_json};

/// The services with a gRPC address of their own.
const SERVICES: [&str; 4] = ["registry", "binding", "trusonafication", "notification"];

/// More than any measurement creates.
const UNLIMITED: i32 = 100_000_000;

/// The deployment to measure.
#[derive(Clone, Debug, clap::Args)]
#[command(next_help_heading = "Deployment")]
pub struct TargetArgs {
    /// File that describes the deployment: native.json of scripts/up-native [default: dev.json in the data folder]
    #[arg(long, value_name = "FILE")]
    deployment: Option<PathBuf>,
    /// Have the backend call the gateway, as backends do, instead of the services directly
    #[arg(long)]
    one_address: bool,
    #[command(flatten)]
    data_dir: DataDir,
}

/// `native.json` or `dev.json`.
#[derive(Clone, Debug, Deserialize)]
struct File {
    http: String,
    grpc: Option<String>,
    registry: Option<String>,
    binding: Option<String>,
    trusonafication: Option<String>,
    notification: Option<String>,
    ca_certificate: Option<PathBuf>,
    audience: Option<String>,
    operator_key: String,
}

/// A running deployment.
pub struct Target {
    endpoints: Endpoints,
    /// The address that the backend calls for logins.
    logins: String,
    audience: String,
    operator_key: String,
    /// The gateway.
    pub gateway: Server,
    /// Name and URL of each process.
    pub processes: Vec<(String, String)>,
    /// PEM of the authority to trust.
    pub ca_certificate: Option<String>,
}

/// The relying party of the users.
pub struct Party {
    /// The client of its backend, for calls that are not measured.
    pub backend: Nodkey,
    /// Its server credential, for HTTP.
    pub server: Pair,
    logins: Server,
    credential: grpc::Credential,
    /// The credential of its app.
    pub mobile: Pair,
}

impl TargetArgs {
    /// Reads the description.
    pub fn target(&self) -> anyhow::Result<Target> {
        let path = self.deployment.clone().unwrap_or_else(|| dev_path(&self.data_dir.path));
        let file: File = read_json(&path)?.with_context(|| {
            format!("no server is known: start one with `nodkey dev`, or name one with --deployment ({} is missing)", path.display())
        })?;
        let authority = self.data_dir.ca_certificate.as_ref().or(file.ca_certificate.as_ref());
        Target::new(&file, authority.map(PathBuf::as_path), self.one_address)
    }
}

impl Party {
    /// The client of its backend for the measured logins.
    pub async fn grpc(&self) -> anyhow::Result<grpc::Backend> {
        grpc::Backend::connect(&self.logins, self.credential.clone()).await
    }
}

impl Target {
    fn new(file: &File, authority: Option<&Path>, one_address: bool) -> anyhow::Result<Self> {
        let read = |path: &Path| std::fs::read_to_string(path).with_context(|| format!("cannot read {}", path.display()));
        let ca_certificate = authority.map(read).transpose()?;
        let urls = [&file.registry, &file.binding, &file.trusonafication, &file.notification];
        let mut processes = Vec::new();
        let endpoints = if let Some(grpc) = &file.grpc {
            processes.push(("nodkey".to_owned(), grpc.clone()));
            Endpoints::single(grpc)
        } else {
            for (name, url) in SERVICES.iter().zip(urls) {
                let url = url.clone().with_context(|| format!("the description of the deployment has no {name}"))?;
                processes.push(((*name).to_owned(), url));
            }
            processes.push(("gateway".to_owned(), file.http.clone()));
            let url = |index: usize| processes[index].1.clone();
            Endpoints { registry: url(0), binding: url(1), trusonafication: url(2), notification: url(3), ca_certificate: None }
        };
        Ok(Self {
            logins: if one_address { file.http.clone() } else { endpoints.trusonafication.clone() },
            endpoints: Endpoints { ca_certificate: ca_certificate.clone(), ..endpoints },
            audience: file.audience.clone().unwrap_or_else(|| "nodkey".to_owned()),
            operator_key: file.operator_key.clone(),
            gateway: Server::new(&file.http, ca_certificate.as_deref())?,
            processes,
            ca_certificate,
        })
    }

    /// Whether all services are one process.
    pub fn embedded(&self) -> bool {
        self.processes.len() == 1
    }

    /// Creates a relying party with both credentials. It has prompt budgets only if `budgets` says so.
    pub async fn party(&self, budgets: bool) -> anyhow::Result<Party> {
        let operator = self.operator()?;
        let registry = operator.channel(ServiceName::Registry);
        let request = CreateRelyingPartyRequest { name: "nodkey bench".into(), ..CreateRelyingPartyRequest::default() };
        let mut parties = RelyingPartyServiceClient::new(registry.clone());
        let id = parties.create_relying_party(request).await.context("cannot create a relying party")?.into_inner().id;
        // All its phones register from one address, and a phone that falls behind must not reduce the load.
        let prompts = PromptSettings { tolerant: !budgets, ..PromptSettings::default() };
        let limits = RelyingPartyLimits {
            registrations_per_address: UNLIMITED,
            unbound_devices: UNLIMITED,
            open_trusonafications: UNLIMITED,
            ..RelyingPartyLimits::default()
        };
        let request = UpdateRelyingPartyRequest {
            id: id.clone(),
            limits: Some(limits),
            prompts: Some(prompts),
            ..UpdateRelyingPartyRequest::default()
        };
        parties.update_relying_party(request).await.context("cannot raise the limits of the relying party")?;
        let mut credentials = CredentialServiceClient::new(registry);
        let mut create = async |kind: CredentialKind| {
            let request = CreateCredentialRequest { relying_party_id: id.clone(), kind: kind.into(), ..CreateCredentialRequest::default() };
            let made = credentials.create_credential(request).await.context("cannot create a credential")?.into_inner();
            let credential = made.credential.unwrap_or_default();
            anyhow::Ok((credential.id, Pair { token: credential.token, secret: made.secret }))
        };
        let ((id, server), (_, mobile)) = (create(CredentialKind::Server).await?, create(CredentialKind::Mobile).await?);
        let backend = self.connect(Credential::new(&server.token, server.secret.clone())?)?;
        let credential = grpc::Credential { id, secret: server.secret.clone(), audience: self.audience.clone() };
        let logins = Server::new(&self.logins, self.ca_certificate.as_deref())?;
        Ok(Party { backend, server, logins, credential, mobile })
    }

    /// A client with an operator's rights.
    pub fn operator(&self) -> anyhow::Result<Nodkey> {
        self.connect(connection::operator(&self.operator_key, None)?)
    }

    fn connect(&self, credential: Credential) -> anyhow::Result<Nodkey> {
        Ok(Nodkey::connect(&self.endpoints, credential.audience(self.audience.clone()))?)
    }
}
