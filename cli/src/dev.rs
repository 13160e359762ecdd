//! `nodkey dev`.

use std::{
    net::{Ipv4Addr, Ipv6Addr, SocketAddr},
    path::{Path, PathBuf},
    time::Instant,
};

use anyhow::Context as _;
use axum::Router;
use nodkey_client::{Credential, Endpoints, Nodkey, ServiceName};
use nodkey_demo::{Backend, Site};
use nodkey_kernel::{egress::Egress, id::EventId, random::Random, time::Clock};
use nodkey_notification::PushConfig;
use nodkey_proto::registry::v1::{
    CreateCredentialRequest, CreateRelyingPartyRequest, CredentialKind, GetRelyingPartyRequest, TruCodeSettings, UpdateRelyingPartyRequest,
    credential_service_client::CredentialServiceClient, relying_party_service_client::RelyingPartyServiceClient,
};
use nodkey_runtime::{
    DataDir, Deployment,
    config::ServerConfig,
    embedded::Handle,
    telemetry::{self, LogFormat, Otlp},
};
use url::Url;

use crate::{
    authority,
    connection::{DevFile, Pair, dev_path, read_dev_file, write_secret},
    lan,
    output::{bold, line},
    platform::{Keys, Platform, Services, first_owner},
    qr,
};

/// Run all of Nodkey in this process, on SQLite.
///
/// The first start creates keys and a demo relying party with both credentials. Later starts use them again.
#[derive(Debug, clap::Args)]
#[expect(clippy::struct_excessive_bools, reason = "switches of a command line")]
#[command(after_help = "Examples:
  nodkey dev
  nodkey dev --tls
  nodkey dev --lan                 for the phones and computers of this network
  nodkey dev --http 127.0.0.1:8080 --data-dir /var/lib/nodkey")]
pub struct Args {
    /// Address for phones, browsers and backends, over HTTP and gRPC
    #[arg(long, env = "NODKEY_DEV_HTTP", default_value = "127.0.0.1:7070", value_name = "ADDRESS")]
    http: SocketAddr,
    /// Address for operators' gRPC and for metrics: keep it internal
    #[arg(long, env = "NODKEY_DEV_GRPC", default_value = "127.0.0.1:7071", value_name = "ADDRESS")]
    grpc: SocketAddr,
    /// The gateway's URL as phones see it, if it differs from --http
    #[arg(long, env = "NODKEY_PUBLIC_URL", value_name = "URL")]
    public_url: Option<String>,
    /// Folder of the keys and databases
    #[arg(long, env = "NODKEY_DATA_DIR", default_value = ".nodkey", value_name = "DIR")]
    data_dir: PathBuf,
    /// Id of the demo relying party, for the first start
    #[arg(long, env = "NODKEY_DEV_RELYING_PARTY_ID", value_name = "UUID")]
    relying_party_id: Option<String>,
    /// Serve this machine's network over TLS, at the address it has there or the one of --http, and show a code that opens it on a phone
    #[arg(long, env = "NODKEY_DEV_LAN", conflicts_with = "public_url")]
    lan: bool,
    /// Let clients without a device key pair secure QR codes of the demo relying party, as test suites of old SDKs do
    #[arg(long, env = "NODKEY_DEV_ALLOW_UNPROVEN_PAIRING")]
    allow_unproven_pairing: bool,
    /// Let phones register push addresses on this machine, to try push without a provider
    #[arg(long, env = "NODKEY_DEV_PUSH_TO_THIS_MACHINE")]
    push_to_this_machine: bool,
    /// Serve over TLS, with a certificate by an authority in the data folder; prints how to trust it
    #[arg(long, env = "NODKEY_DEV_TLS")]
    tls: bool,
    /// Seconds until a trusonafication expires, unless its request says otherwise
    #[arg(long, env = "NODKEY_DEV_LIFETIME_SECONDS", default_value_t = 120, value_name = "N", value_parser = clap::value_parser!(u32).range(1..=86_400))]
    lifetime_seconds: u32,
    /// Serve the demo site and its phone at /demo
    #[arg(long, env = "NODKEY_DEV_DEMO", default_value_t = true, action = clap::ArgAction::Set, value_name = "BOOL")]
    demo: bool,
    /// Log level: error, warn, info or debug; or a filter per module
    #[arg(long, env = "NODKEY_LOG", default_value = "warn", value_name = "FILTER")]
    log: String,
}

/// Runs the command.
pub async fn run(args: Args) -> anyhow::Result<()> {
    let started = Instant::now();
    let args = reachable(args)?;
    let otlp = Otlp::of_environment("nodkey").context("configuration")?;
    telemetry::init(LogFormat::Pretty, &args.log, &otlp);
    // First: only the process that has locked the folder may create the keys below.
    let data_dir = DataDir::open(&args.data_dir, &Clock::system())?;
    let keys = Keys::of(&args.data_dir)?;
    let site = Site::new(Clock::system(), Random::system());
    let handle = start(&args, data_dir, &keys, &site).await?;
    let operator = operator(&args, &handle, &keys)?;
    let file = demo_relying_party(&args, &handle, &operator, &keys).await?;
    site.open(backend(&file)?);
    let invitation = first_owner(&operator).await.context("cannot invite the first owner of the console")?;
    // Once it is ready, the demo relying party and dev.json exist.
    handle.ready();
    let problems = handle.problems().await;
    print_welcome(&args, &file, invitation.as_deref(), started, &problems)?;
    let is_requested = handle.until_stopped().await?;
    site.close();
    handle.stop().await;
    tokio::task::spawn_blocking(|| otlp.end()).await?;
    anyhow::ensure!(is_requested, "a part of the server failed; run again with --log info to see which");
    Ok(())
}

/// Applies the address and TLS of `--lan`. Returns an error if there is no address that phones could call.
fn reachable(args: Args) -> anyhow::Result<Args> {
    let (http, port) = (args.http, args.http.port());
    if !args.lan {
        let is_named = args.public_url.is_some() || !http.ip().is_unspecified();
        anyhow::ensure!(
            is_named,
            "--http {http} listens on every address, but phones need one to call: use --lan, or name one with --public-url http://192.168.1.20:{port}"
        );
        return Ok(args);
    }
    // The usual addresses of this machine name none.
    let is_named = !http.ip().is_unspecified() && http.ip() != Ipv4Addr::LOCALHOST && http.ip() != Ipv6Addr::LOCALHOST;
    let address = if is_named { http.ip() } else { lan::address()? };
    Ok(Args { http: SocketAddr::new(address, port), tls: true, ..args })
}

async fn start(args: &Args, data_dir: DataDir, keys: &Keys, site: &Site) -> anyhow::Result<Handle> {
    let tls = if args.tls { Some(authority::certify(&args.data_dir, names(args)?, Clock::system().now())?) } else { None };
    let push = PushConfig { allow_this_machine: args.push_to_this_machine, ..PushConfig::default() };
    let services = Services {
        trusonafication: nodkey_trusonafication::Config { lifetime_seconds: args.lifetime_seconds, ..Default::default() },
        notification: nodkey_notification::Config { push, ..Default::default() },
        ..Services::default()
    };
    let platform = Platform {
        data_dir,
        server: ServerConfig { listen: args.http, tls, ..ServerConfig::default() },
        operators: args.grpc,
        operators_tls: true,
        public_url: args.public_url.clone(),
        deployment: keys.accepted_by(Deployment::new("", Egress::new(true)))?,
        master_key: keys.master()?,
        previous_master_keys: Vec::new(),
        services,
        routes: if args.demo { site.routes() } else { Router::new() },
    };
    platform.start().await
}

/// The host names of this server: in its URLs, and on this machine.
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
    connect(&grpc(args, handle), ca_certificate(args).as_ref(), Credential::operator(keys.operator()?, None))
}

/// Returns the demo relying party of this folder. Creates it on the first start.
async fn demo_relying_party(args: &Args, handle: &Handle, nodkey: &Nodkey, keys: &Keys) -> anyhow::Result<DevFile> {
    let ca_certificate = ca_certificate(args);
    let (http, grpc) = (handle.public_url.clone(), grpc(args, handle));
    let wanted = args.relying_party_id.as_deref();
    let known = match read_dev_file(&args.data_dir)? {
        Some(known) => known,
        None => create_relying_party(nodkey, wanted, keys).await.context("cannot create the demo relying party")?,
    };
    let same = wanted.is_none_or(|id| id.eq_ignore_ascii_case(&known.relying_party_id));
    anyhow::ensure!(same, "the demo relying party already has the id {}; for another id, use another --data-dir", known.relying_party_id);
    let file = DevFile { http, grpc, ca_certificate, operator_key: keys.operator.clone(), ..known };
    if args.allow_unproven_pairing {
        allow_unproven_pairing(nodkey, &file.relying_party_id).await?;
    }
    write_secret(&dev_path(&args.data_dir), &file)?;
    Ok(file)
}

/// What the demo site knows about Nodkey: no more than any relying party does.
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

/// The caller fills in the addresses.
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
        line(format_args!("{}: {}", bold("nodkey is running, but not ready"), problems.join("; ")))?;
    }
    line(format_args!("  HTTP and gRPC         {}", file.http))?;
    line(format_args!("  operators, metrics    {}", file.grpc))?;
    line(format_args!("  credentials           {}", dev_path(&args.data_dir).display()))?;
    if let Some(path) = &file.ca_certificate {
        let path = std::path::absolute(path)?;
        line(format_args!("\nTo trust the server's certificate, trust the authority {}:", path.display()))?;
        line(format_args!("  one command           curl --cacert {} {}/readyz", path.display(), file.http))?;
        line(format_args!("  Ruby, C, most others  export SSL_CERT_FILE={}", path.display()))?;
        line(format_args!("  Node.js               export NODE_EXTRA_CA_CERTS={}", path.display()))?;
        line(format_args!("  Java                  keytool -importcert -noprompt -alias nodkey -cacerts -file {}", path.display()))?;
        line(format_args!(
            "  Debian (also .NET)    sudo cp {} /usr/local/share/ca-certificates/nodkey.crt && sudo update-ca-certificates",
            path.display()
        ))?;
        line(format_args!(
            "  macOS                 sudo security add-trusted-cert -d -k /Library/Keychains/System.keychain {}",
            path.display()
        ))?;
        line("The authority's key is in the same folder: trust it only on your own machines.")?;
    }
    if args.lan {
        let page = format!("{}{}", file.http, if args.demo { "/demo" } else { "" });
        line(format_args!("\nOn a phone in this network, scan this or open {page}:"))?;
        for row in qr::lines(&page)? {
            line(row)?;
        }
        line("The phone warns about the certificate until it trusts the authority above. For this trial, continue anyway.")?;
    }
    line("\nOpen in a browser:")?;
    if args.demo {
        line(format_args!("  sign in to Acme Bank  {}", bold(&format!("{}/demo", file.http))))?;
    }
    line(format_args!("  operator console      {}/console", file.http))?;
    if let Some(link) = invitation {
        line(format_args!("  its first owner       {link}"))?;
        line("                        (once: the browser that opens it becomes the owner's phone)")?;
    }
    line("\nOr on the command line, in another terminal:")?;
    line(format_args!("  nodkey demo{folder}"))?;
    line("Ctrl-C stops it.")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn args(arguments: &[&str]) -> Args {
        #[derive(clap::Parser)]
        struct Command {
            #[command(flatten)]
            args: Args,
        }
        <Command as clap::Parser>::parse_from([&["dev"], arguments].concat()).args
    }

    #[test]
    fn a_local_network_is_served_at_one_address_over_tls() {
        let args = reachable(args(&["--lan", "--http", "192.168.1.20:8080"])).unwrap();
        assert_eq!((args.http.to_string().as_str(), args.tls), ("192.168.1.20:8080", true));
        assert!(names(&args).unwrap().contains(&"192.168.1.20".to_owned()));
    }

    #[test]
    fn every_address_is_none_to_call_and_the_error_says_what_to_do() {
        let refused = reachable(args(&["--http", "0.0.0.0:8080"])).unwrap_err().to_string();
        assert!(refused.contains("--lan") && refused.contains("--public-url http://192.168.1.20:8080"), "{refused}");
        assert!(reachable(args(&["--http", "[::]:8080"])).is_err());
        reachable(args(&["--http", "0.0.0.0:8080", "--public-url", "http://192.168.1.20:8080"])).unwrap();
    }
}
