//! `nodkey serve`.

use std::{
    net::{Ipv4Addr, SocketAddr},
    path::{Path, PathBuf},
};

use anyhow::Context as _;
use axum::Router;
use nodkey_client::{Credential, Endpoints, Nodkey, OperatorKey};
use nodkey_kernel::time::Clock;
use nodkey_runtime::{
    DataDir,
    config::{DeploymentConfig, ServerConfig, Settings},
    telemetry::{self, LogFormat, Otlp},
};
use serde::Deserialize;
use tracing::{info, warn};

use crate::{
    connection::write_private,
    output::line,
    platform::{Keys, Platform, Services, first_owner},
};

/// File with the link for the first owner of the console, until somebody has accepted it.
const FIRST_OWNER: &str = "first-owner.url";

/// Run all of Nodkey in this process, on SQLite, in production.
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:
  NODKEY_DEPLOYMENT__PUBLIC_URL=https://id.example.com nodkey serve
  nodkey serve --config /etc/nodkey.toml --data-dir /var/lib/nodkey
  nodkey serve --config /etc/nodkey.toml --print-config

Settings are those of the five services (docs/operations/settings.md): in the TOML file, then in the environment. Each service's own have its
name in them: service.gateway.address_header, NODKEY_SERVICE__GATEWAY__ADDRESS_HEADER. A secret may be in a file: NODKEY_..._FILE.
The first start makes the keys that the settings do not have, in the data folder: back it up.")]
pub struct Args {
    /// TOML file of settings
    #[arg(long, env = "NODKEY_CONFIG", value_name = "FILE")]
    config: Option<PathBuf>,
    /// Where keys and databases are kept
    #[arg(long, env = "NODKEY_DATA_DIR", default_value = ".nodkey", value_name = "DIR")]
    data_dir: PathBuf,
    /// Print the settings as TOML, with where each came from and without secrets, and exit
    #[arg(long)]
    print_config: bool,
    /// Check the settings, and exit
    #[arg(long, conflicts_with = "print_config")]
    check_config: bool,
    /// What to log: error, warn, info, debug, or per module
    #[arg(long, env = "NODKEY_LOG", default_value = "info", value_name = "FILTER")]
    log: String,
    /// Log JSON lines, or text for people
    #[arg(long, env = "NODKEY_LOG_FORMAT", default_value = "json", value_name = "FORMAT", value_parser = ["json", "pretty"])]
    log_format: String,
}

/// Settings of a deployment in one process.
#[derive(Debug, Deserialize)]
struct Config {
    #[serde(default)]
    server: ServerConfig,
    #[serde(default)]
    operators: Operators,
    deployment: DeploymentConfig,
    #[serde(default)]
    service: Services,
}

/// Where operators call gRPC, and metrics are served: keep it inside.
#[derive(Debug, Deserialize)]
#[serde(default)]
struct Operators {
    listen: SocketAddr,
}

impl Default for Operators {
    fn default() -> Self {
        Self { listen: SocketAddr::from((Ipv4Addr::LOCALHOST, 7071)) }
    }
}

/// Runs the command.
pub async fn run(args: Args) -> anyhow::Result<()> {
    let settings = Settings::read(args.config.as_deref())?;
    if args.print_config {
        line(settings.to_toml::<Config>())?;
    }
    let config: Config = settings.check(&["deployment.public_url"])?;
    let public_url = config.deployment.public_url.clone();
    let (master_key, previous) = (config.deployment.master_key()?, config.deployment.previous_master_keys()?);
    anyhow::ensure!(config.server.metrics_listen.is_none(), "server.metrics_listen: metrics are served at operators.listen");
    let deployment = config.deployment.into_embedded()?;
    config.service.check()?;
    if args.print_config {
        return Ok(());
    }
    if args.check_config {
        return line("the settings are valid");
    }
    let format = if args.log_format == "pretty" { LogFormat::Pretty } else { LogFormat::Json };
    let otlp = Otlp::of_environment("nodkey").context("configuration")?;
    telemetry::init(format, &args.log, &otlp);
    settings.strays::<Config>().into_iter().filter(|stray| !stray.starts_with("NODKEY_DATA_DIR ")).for_each(|stray| warn!("{stray}"));
    let data_dir = DataDir::open(&args.data_dir, &Clock::system())?;
    let keys = Keys::of(&args.data_dir)?;
    // Operators who hold a key of their own need not hold this folder's, too.
    let own_keys = Some(&keys).filter(|_| deployment.operator_keys.is_empty());
    let is_local = config.operators.listen.ip().is_loopback();
    let platform = Platform {
        data_dir,
        server: config.server,
        operators: config.operators.listen,
        // The certificate names the public host, and nobody else reaches this address.
        operators_tls: !is_local,
        public_url: Some(public_url),
        deployment: match own_keys {
            Some(keys) => keys.accepted_by(deployment)?,
            None => deployment,
        },
        master_key: master_key.map_or_else(|| keys.master(), |key| Ok(*key))?,
        previous_master_keys: previous.iter().map(|key| **key).collect(),
        services: config.service,
        routes: Router::new(),
    };
    let handle = platform.start().await?;
    if let Some(keys) = own_keys.filter(|_| is_local) {
        invite_first_owner(&args.data_dir, handle.grpc, keys.operator()?).await.context("cannot invite the first owner of the console")?;
    }
    handle.ready();
    info!(address = %handle.http, operators = %handle.grpc, url = handle.public_url, "listening");
    handle.problems().await.into_iter().for_each(|problem| warn!("not ready: {problem}"));
    let is_requested = handle.until_stopped().await?;
    handle.stop().await;
    tokio::task::spawn_blocking(|| otlp.end()).await?;
    anyhow::ensure!(is_requested, "a part of the server failed; see the log");
    Ok(())
}

/// Leaves a link for the first owner of the console in the data folder, until somebody has accepted it. It is a secret: no log has it.
async fn invite_first_owner(data_dir: &Path, operators: SocketAddr, key: OperatorKey) -> anyhow::Result<()> {
    let nodkey = Nodkey::connect(&Endpoints::single(&format!("http://{operators}")), Credential::operator(key, None))?;
    let path = data_dir.join(FIRST_OWNER);
    match first_owner(&nodkey).await? {
        Some(link) => {
            write_private(&path, format!("{link}\n").as_bytes())?;
            info!(file = %path.display(), "nobody owns this installation yet: open the link in this file with the first owner's browser");
        }
        None if path.exists() => std::fs::remove_file(&path).with_context(|| format!("cannot delete {}", path.display()))?,
        None => {}
    }
    Ok(())
}
