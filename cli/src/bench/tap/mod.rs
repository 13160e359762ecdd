//! `nodkey bench tap`: proxies in front of PostgreSQL and NATS that count the traffic of a command.
//!
//! They count what the services do, whatever library they use. Proxies cost time, so nothing is timed through them.

mod nats;
mod postgres;
mod proxy;

use std::{collections::BTreeMap, net::SocketAddr, process::Stdio, sync::Arc};

use anyhow::Context as _;
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::{TcpListener, TcpStream},
    process::Command,
};
use url::Url;

use proxy::{Counts, Proxy};

/// The variable with the PostgreSQL URL, as scripts/with-servers sets it.
const POSTGRES: &str = "NODKEY_TEST_POSTGRES_URL";
/// The variable with the NATS URL.
const NATS: &str = "NODKEY_TEST_NATS_URL";
/// The variable with the address of the counts.
const TAP: &str = "NODKEY_BENCH_TAP";

/// Count the traffic of a command and its children to PostgreSQL and NATS.
///
/// The command finds both by `NODKEY_TEST_POSTGRES_URL` and `NODKEY_TEST_NATS_URL`, and `nodkey bench counts` finds the counts by
/// `NODKEY_BENCH_TAP`.
#[derive(Debug, clap::Args)]
#[command(after_help = "Example:
  scripts/with-servers nodkey bench tap -- scripts/up-native -- nodkey bench counts --deployment target/native/native.json")]
pub struct Args {
    /// PostgreSQL URL
    #[arg(long, env = POSTGRES, value_name = "URL")]
    postgres_url: Url,
    /// NATS URL
    #[arg(long, env = NATS, value_name = "URL")]
    nats_url: Url,
    /// The command to run
    #[arg(last = true, required = true, value_name = "COMMAND")]
    command: Vec<String>,
}

/// Runs the command.
pub async fn run(args: Args) -> anyhow::Result<()> {
    let counts = Arc::new(Counts::default());
    let postgres = Proxy::start(upstream(&args.postgres_url, 5432)?, &counts, postgres::observer).await?;
    let nats = Proxy::start(upstream(&args.nats_url, 4222)?, &counts, nats::observer).await?;
    let listener = TcpListener::bind(SocketAddr::from(([127, 0, 0, 1], 0))).await?;
    let address = listener.local_addr()?;
    tokio::spawn(serve(listener, counts));
    let (program, arguments) = args.command.split_first().context("a command is required")?;
    let status = Command::new(program)
        .args(arguments)
        .env(POSTGRES, through(args.postgres_url, postgres)?.as_str())
        .env(NATS, through(args.nats_url, nats)?.as_str())
        .env(TAP, address.to_string())
        .stdin(Stdio::null())
        .kill_on_drop(true)
        .status()
        .await
        .with_context(|| format!("cannot run {program}"))?;
    anyhow::ensure!(status.success(), "{program} failed: {status}");
    Ok(())
}

/// Reads the counts of a tap.
pub async fn counts(address: SocketAddr) -> anyhow::Result<BTreeMap<String, u64>> {
    let mut stream = TcpStream::connect(address).await.context("cannot connect to the tap")?;
    let mut json = Vec::new();
    stream.read_to_end(&mut json).await?;
    serde_json::from_slice(&json).context("the tap did not return counts")
}

/// Sends the counts to every client that connects.
async fn serve(listener: TcpListener, counts: Arc<Counts>) {
    while let Ok((mut stream, _)) = listener.accept().await {
        let json = serde_json::to_vec(&counts.snapshot()).unwrap_or_default();
        // The client may have gone.
        let _ = stream.write_all(&json).await;
    }
}

fn upstream(url: &Url, port: u16) -> anyhow::Result<(String, u16)> {
    let host = url.host_str().with_context(|| format!("{url} names no host"))?;
    Ok((host.to_owned(), url.port().unwrap_or(port)))
}

/// The same URL with the address of a proxy.
fn through(mut url: Url, proxy: SocketAddr) -> anyhow::Result<Url> {
    let changed = url.set_ip_host(proxy.ip()).and_then(|()| url.set_port(Some(proxy.port())));
    changed.map_err(|()| anyhow::anyhow!("cannot replace the host of {url}"))?;
    Ok(url)
}
