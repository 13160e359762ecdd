//! `nodkey dev`.

use std::{
    net::SocketAddr,
    path::{Path, PathBuf},
    time::Instant,
};

use anyhow::Context as _;
use axum::Router;
use nodkey_binding::Binding;
use nodkey_demo::{Backend, Site};
use nodkey_gateway::Gateway;
use nodkey_kernel::{egress::Egress, id::EventId, random::Random, service_key::ServiceKey, time::Clock};
use nodkey_notification::{Notification, PushConfig};
use nodkey_proto::registry::v1::{
    CreateCredentialRequest, CreateRelyingPartyRequest, CredentialKind, GetRelyingPartyRequest, InviteOperatorRequest,
    ListOperatorsRequest, OperatorState, RenewInvitationRequest, Role, TruCodeSettings, UpdateRelyingPartyRequest,
    credential_service_client::CredentialServiceClient, operator_service_client::OperatorServiceClient,
    relying_party_service_client::RelyingPartyServiceClient,
};
use nodkey_registry::Registry;
use nodkey_runtime::{
    DataDir, Deployment,
    embedded::{Embedded, EmbeddedConfig, Handle},
    telemetry::{self, LogFormat},
};
use nodkey_server_sdk::{Credential, Endpoints, Nodkey, OperatorKey, ServiceName};
use nodkey_trusonafication::Trusonafication;
use serde::{Deserialize, Serialize};
use url::Url;

use crate::{
    authority,
    connection::{DevFile, Pair, dev_path, read_dev_file, read_json, write_secret},
    output::{bold, line},
};

/// Run all of Nodkey in this process, on SQLite.
///
/// The first start makes keys and a demo relying party with both credentials; later ones go on with them.
#[derive(Debug, clap::Args)]
#[expect(clippy::struct_excessive_bools, reason = "switches of a command line")]
#[command(after_help = "Examples:
  nodkey dev
  nodkey dev --tls
  nodkey dev --http 127.0.0.1:8080 --data-dir /var/lib/nodkey")]
pub struct Args {
    /// Where phones, browsers and backends reach it, over HTTP and gRPC
    #[arg(long, env = "NODKEY_DEV_HTTP", default_value = "127.0.0.1:7070", value_name = "ADDRESS")]
    http: SocketAddr,
    /// Where operators reach gRPC, and metrics are served: keep it inside
    #[arg(long, env = "NODKEY_DEV_GRPC", default_value = "127.0.0.1:7071", value_name = "ADDRESS")]
    grpc: SocketAddr,
    /// The gateway's URL as phones see it, when it differs from --http
    #[arg(long, env = "NODKEY_PUBLIC_URL", value_name = "URL")]
    public_url: Option<String>,
    /// Where keys and databases are kept
    #[arg(long, env = "NODKEY_DATA_DIR", default_value = ".nodkey", value_name = "DIR")]
    data_dir: PathBuf,
    /// Fixes the id of the demo relying party on the first start
    #[arg(long, env = "NODKEY_DEV_RELYING_PARTY_ID", value_name = "UUID")]
    relying_party_id: Option<String>,
    /// Let clients without a device key pair secure QR codes of the demo relying party, as test suites of old SDKs do
    #[arg(long, env = "NODKEY_DEV_ALLOW_UNPROVEN_PAIRING")]
    allow_unproven_pairing: bool,
    /// Let phones name push addresses on this machine, to try push without a provider
    #[arg(long, env = "NODKEY_DEV_PUSH_TO_THIS_MACHINE")]
    push_to_this_machine: bool,
    /// Serve over TLS, by a certificate of an authority of this folder's own; says how to trust it
    #[arg(long, env = "NODKEY_DEV_TLS")]
    tls: bool,
    /// How long a phone has to answer, in seconds, where the request does not say
    #[arg(long, env = "NODKEY_DEV_LIFETIME_SECONDS", default_value_t = 120, value_name = "N", value_parser = clap::value_parser!(u32).range(1..=86_400))]
    lifetime_seconds: u32,
    /// Serve the demo site and its phone at /demo
    #[arg(long, env = "NODKEY_DEV_DEMO", default_value_t = true, action = clap::ArgAction::Set, value_name = "BOOL")]
    demo: bool,
    /// What to log: error, warn, info, debug, or per module
    #[arg(long, env = "NODKEY_LOG", default_value = "warn", value_name = "FILTER")]
    log: String,
}

/// The secrets of a deployment that runs in one process, kept beside its databases. What its services sign with is made at every start.
#[derive(Debug, Serialize, Deserialize)]
struct Keys {
    #[serde(rename = "master_key")]
    master: String,
    #[serde(rename = "operator_key")]
    operator: String,
    /// The operator key of a folder of before, which is symmetric. Accepted for this one version.
    #[serde(rename = "symmetric_operator_key", default, skip_serializing_if = "Option::is_none")]
    symmetric_operator: Option<String>,
}

/// Runs the command.
pub async fn run(args: Args) -> anyhow::Result<()> {
    let started = Instant::now();
    telemetry::init(LogFormat::Pretty, &args.log);
    // First: the keys below are made once, by whoever has the folder.
    let data_dir = DataDir::open(&args.data_dir, &Clock::system())?;
    let keys = keys(&args.data_dir)?;
    let site = Site::new(Clock::system(), Random::system());
    let handle = start(&args, data_dir, &keys, &site).await?;
    let operator = operator(&args, &handle, &keys)?;
    let file = demo_relying_party(&args, &handle, &operator, &keys).await?;
    site.open(backend(&file)?);
    let invitation = first_owner(&operator).await.context("cannot invite the first owner of the console")?;
    // Whoever waits for it finds the demo relying party and dev.json.
    handle.ready();
    let problems = handle.problems().await;
    print_welcome(&args, &file, invitation.as_deref(), started, &problems)?;
    let told = handle.until_told().await?;
    site.close();
    handle.stop().await;
    anyhow::ensure!(told, "a part of the server failed; run again with --log info to see which");
    Ok(())
}

async fn start(args: &Args, data_dir: DataDir, keys: &Keys, site: &Site) -> anyhow::Result<Handle> {
    let random = Random::system();
    let config = EmbeddedConfig {
        data_dir,
        http: args.http,
        grpc: args.grpc,
        tls: if args.tls { Some(authority::certify(&args.data_dir, names(args)?, Clock::system().now())?) } else { None },
        public_url: args.public_url.clone(),
        deployment: Deployment {
            operator_keys: [&operator_key(keys)?].into_iter().collect(),
            symmetric_operator_keys: keys.symmetric_operator.iter().map(|key| key.as_str().into()).collect(),
            ..Deployment::new("", Egress::new(true))
        },
        service_keys: ServiceKey::all(&random),
        master_key: master_key(&keys.master)?,
        previous_master_keys: Vec::new(),
        clock: Clock::system(),
        random: random.clone(),
    };
    let push = PushConfig { allow_this_machine: args.push_to_this_machine, ..PushConfig::default() };
    let notification = nodkey_notification::Config { push, ..nodkey_notification::Config::default() };
    Embedded::new(config)
        .with::<Registry>(nodkey_registry::config::Config::default())
        .with::<Binding>(nodkey_binding::Config::default())
        .with::<Trusonafication>(nodkey_trusonafication::Config {
            lifetime_seconds: args.lifetime_seconds,
            ..nodkey_trusonafication::Config::default()
        })
        .with::<Notification>(notification)
        .with::<Gateway>(nodkey_gateway::Config {
            cookie_key: Some(hex::encode(random.bytes::<32>()).into()),
            ..nodkey_gateway::Config::default()
        })
        .routes(if args.demo { site.routes() } else { Router::new() })
        .ready_when_told()
        .start()
        .await
}

/// What this server is called: in URLs, and by those on this machine.
fn names(args: &Args) -> anyhow::Result<Vec<String>> {
    let mut names = vec!["localhost".to_owned(), "127.0.0.1".to_owned(), "::1".to_owned()];
    names.extend([args.http.ip(), args.grpc.ip()].iter().filter(|ip| !ip.is_unspecified()).map(ToString::to_string));
    if let Some(url) = &args.public_url {
        let url = Url::parse(url).with_context(|| format!("--public-url must be a URL such as https://auth.example.com, not {url:?}"))?;
        names.extend(url.host_str().map(|host| host.trim_matches(['[', ']']).to_owned()));
    }
    names.sort();
    names.dedup();
    Ok(names)
}

/// Reads the keys, or makes them on the first start.
fn keys(data_dir: &Path) -> anyhow::Result<Keys> {
    let path = data_dir.join("keys.json");
    let random = Random::system();
    let operator = || OperatorKey::generate(&random).to_secret().to_string();
    let known: Option<Keys> = read_json(&path).context("without the keys of this folder its secrets cannot be opened")?;
    let keys = match known {
        Some(keys) if OperatorKey::is_secret(&keys.operator) => return Ok(keys),
        Some(keys) => Keys { symmetric_operator: Some(keys.operator), operator: operator(), ..keys },
        None => Keys { master: hex::encode(random.bytes::<32>()), operator: operator(), symmetric_operator: None },
    };
    write_secret(&path, &keys)?;
    Ok(keys)
}

fn operator_key(keys: &Keys) -> anyhow::Result<OperatorKey> {
    OperatorKey::from_secret(&keys.operator).context("keys.json is damaged: the operator key")
}

fn master_key(text: &str) -> anyhow::Result<[u8; 32]> {
    let mut key = [0; 32];
    hex::decode_to_slice(text, &mut key).context("the master key must be 64 hex digits")?;
    Ok(key)
}

/// Where operators reach gRPC.
fn grpc(args: &Args, handle: &Handle) -> String {
    format!("{}://{}", if args.tls { "https" } else { "http" }, handle.grpc)
}

fn connect(grpc: &str, ca_certificate: Option<&PathBuf>, credential: Credential) -> anyhow::Result<Nodkey> {
    let mut endpoints = Endpoints::single(grpc);
    endpoints.ca_certificate = ca_certificate.map(std::fs::read_to_string).transpose()?;
    Ok(Nodkey::connect(&endpoints, credential)?)
}

/// The authority to trust, with `--tls`.
fn ca_certificate(args: &Args) -> Option<PathBuf> {
    args.tls.then(|| authority::path(&args.data_dir))
}

/// A client with the operator key.
fn operator(args: &Args, handle: &Handle, keys: &Keys) -> anyhow::Result<Nodkey> {
    connect(&grpc(args, handle), ca_certificate(args).as_ref(), Credential::operator(operator_key(keys)?, None))
}

/// A link for the first owner of the console; none once somebody has a phone.
async fn first_owner(nodkey: &Nodkey) -> anyhow::Result<Option<String>> {
    let mut operators = OperatorServiceClient::new(nodkey.channel(ServiceName::Registry));
    let known = operators.list_operators(ListOperatorsRequest { page_size: 500, ..Default::default() }).await?.into_inner().operators;
    if known.iter().any(|operator| operator.state() == OperatorState::Active) {
        return Ok(None);
    }
    let invited = known.into_iter().find(|operator| operator.state() == OperatorState::Invited && operator.role() == Role::Owner);
    let invitation = if let Some(operator) = invited {
        operators.renew_invitation(RenewInvitationRequest { id: operator.id }).await?
    } else {
        let request = InviteOperatorRequest { name: "First owner".into(), role: Role::Owner.into(), ..Default::default() };
        operators.invite_operator(request).await?
    };
    Ok(Some(invitation.into_inner().link))
}

/// The demo relying party of this folder; made on the first start.
async fn demo_relying_party(args: &Args, handle: &Handle, nodkey: &Nodkey, keys: &Keys) -> anyhow::Result<DevFile> {
    let ca_certificate = ca_certificate(args);
    let (http, grpc) = (handle.public_url.clone(), grpc(args, handle));
    let wanted = args.relying_party_id.as_deref();
    let known = match read_dev_file(&args.data_dir)? {
        Some(known) => known,
        None => create_relying_party(nodkey, wanted, keys).await.context("cannot create the demo relying party")?,
    };
    let same = wanted.is_none_or(|id| id.eq_ignore_ascii_case(&known.relying_party_id));
    anyhow::ensure!(same, "the demo relying party is {} already; take another --data-dir for another id", known.relying_party_id);
    let file = DevFile { http, grpc, ca_certificate, operator_key: keys.operator.clone(), ..known };
    if args.allow_unproven_pairing {
        allow_unproven_pairing(nodkey, &file.relying_party_id).await?;
    }
    write_secret(&dev_path(&args.data_dir), &file)?;
    Ok(file)
}

/// What the demo site knows of Nodkey: no more than any relying party.
fn backend(file: &DevFile) -> anyhow::Result<Backend> {
    let credential = Credential::new(&file.server.token, file.server.secret.clone())?;
    Ok(Backend {
        nodkey: connect(&file.grpc, file.ca_certificate.as_ref(), credential)?,
        gateway: file.http.clone(),
        relying_party_id: file.relying_party_id.clone(),
        mobile_token: file.mobile.token.clone(),
        mobile_secret: file.mobile.secret.clone().into(),
    })
}

async fn allow_unproven_pairing(nodkey: &Nodkey, id: &str) -> anyhow::Result<()> {
    let mut parties = RelyingPartyServiceClient::new(nodkey.channel(ServiceName::Registry));
    let party = parties.get_relying_party(GetRelyingPartyRequest { id: id.to_owned() }).await?.into_inner();
    let trucodes = TruCodeSettings { allow_unproven_pairing: true, ..party.trucodes.unwrap_or_default() };
    let request = UpdateRelyingPartyRequest { id: party.id, trucodes: Some(trucodes), ..UpdateRelyingPartyRequest::default() };
    parties.update_relying_party(request).await?;
    Ok(())
}

/// The addresses are filled in by whoever knows them.
async fn create_relying_party(nodkey: &Nodkey, id: Option<&str>, keys: &Keys) -> anyhow::Result<DevFile> {
    let registry = nodkey.channel(ServiceName::Registry);
    let (clock, random) = (Clock::system(), Random::system());
    let request_id = || EventId::generate(clock.now(), &random).to_string();
    let party = RelyingPartyServiceClient::new(registry.clone())
        .create_relying_party(CreateRelyingPartyRequest {
            request_id: request_id(),
            name: "Acme Bank".into(),
            id: id.unwrap_or_default().into(),
            // Test suites of old SDKs are run against it.
            trusona_clients: true,
        })
        .await?
        .into_inner();
    let mut credentials = CredentialServiceClient::new(registry);
    let mut pairs = Vec::new();
    for kind in [CredentialKind::Server, CredentialKind::Mobile] {
        let request = CreateCredentialRequest {
            request_id: request_id(),
            relying_party_id: party.id.clone(),
            kind: kind.into(),
            ..Default::default()
        };
        let answer = credentials.create_credential(request).await?.into_inner();
        pairs.push(Pair { token: answer.credential.unwrap_or_default().token, secret: answer.secret });
    }
    let mobile = pairs.pop().context("two credentials were made")?;
    let server = pairs.pop().context("two credentials were made")?;
    let operator_key = keys.operator.clone();
    let (http, grpc) = (String::new(), String::new());
    Ok(DevFile { http, grpc, relying_party_id: party.id, server, mobile, operator_key, ca_certificate: None })
}

fn print_welcome(args: &Args, file: &DevFile, invitation: Option<&str>, started: Instant, problems: &[String]) -> anyhow::Result<()> {
    let folder = if args.data_dir == Path::new(".nodkey") { String::new() } else { format!(" --data-dir {}", args.data_dir.display()) };
    if problems.is_empty() {
        line(format_args!("{} in {} ms", bold("nodkey is ready"), started.elapsed().as_millis()))?;
    } else {
        line(format_args!("{}: {}", bold("nodkey runs and is not ready"), problems.join("; ")))?;
    }
    line(format_args!("  HTTP and gRPC         {}", file.http))?;
    line(format_args!("  operators, metrics    {}", file.grpc))?;
    line(format_args!("  credentials           {}", dev_path(&args.data_dir).display()))?;
    if let Some(path) = &file.ca_certificate {
        let path = std::path::absolute(path)?;
        line(format_args!("\nTo trust its certificate, trust {}:", path.display()))?;
        line(format_args!("  one command           curl --cacert {} {}/readyz", path.display(), file.http))?;
        line(format_args!("  Ruby, C, most others  export SSL_CERT_FILE={}", path.display()))?;
        line(format_args!("  Node.js               export NODE_EXTRA_CA_CERTS={}", path.display()))?;
        line(format_args!("  Java                  keytool -importcert -noprompt -alias nodkey -cacerts -file {}", path.display()))?;
        line(format_args!(
            "  Debian, .NET on it    sudo cp {} /usr/local/share/ca-certificates/nodkey.crt && sudo update-ca-certificates",
            path.display()
        ))?;
        line(format_args!(
            "  macOS                 sudo security add-trusted-cert -d -k /Library/Keychains/System.keychain {}",
            path.display()
        ))?;
        line("Its key is in the same folder: trust it on your own machines only.")?;
    }
    line("\nLook at it:")?;
    if args.demo {
        line(format_args!("  sign in to Acme Bank  {}", bold(&format!("{}/demo", file.http))))?;
    }
    line(format_args!("  operator console      {}/console", file.http))?;
    if let Some(link) = invitation {
        line(format_args!("  its first owner       {link}"))?;
        line("                        (once: makes the browser that opens it the owner's phone)")?;
    }
    line("\nOr on the command line, in another terminal:")?;
    line(format_args!("  nodkey demo{folder}"))?;
    line("Ctrl-C stops it.")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_are_made_once_and_a_master_key_is_64_hex_digits() {
        let folder = tempfile::tempdir().unwrap();
        let first = keys(folder.path()).unwrap();
        assert_eq!(keys(folder.path()).unwrap().master, first.master);
        assert_eq!(hex::encode(master_key(&first.master).unwrap()), first.master);
        assert_eq!(keys(folder.path()).unwrap().operator, first.operator);
        assert!(master_key("00").is_err());
        assert!(master_key(&"g".repeat(64)).is_err());
    }

    #[test]
    fn a_folder_of_before_gets_a_pair_for_its_operator_key_and_keeps_that_for_one_version() {
        let folder = tempfile::tempdir().unwrap();
        let (master, before) = ("ab".repeat(32), "cd".repeat(32));
        std::fs::write(folder.path().join("keys.json"), format!(r#"{{"master_key":"{master}","operator_key":"{before}"}}"#)).unwrap();
        let first = keys(folder.path()).unwrap();
        assert_eq!((&first.master, first.symmetric_operator.as_ref()), (&master, Some(&before)));
        operator_key(&first).unwrap();
        let again = keys(folder.path()).unwrap();
        assert_eq!((again.operator, again.symmetric_operator), (first.operator, first.symmetric_operator));
    }
}
