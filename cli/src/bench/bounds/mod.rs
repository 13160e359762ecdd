//! `nodkey bench bounds`: what the parts of a login cost in isolation.
//!
//! These clients are deliberately not those of the services: a bound from the measured code would degrade together with it.

mod call;
mod postgres;
mod signature;
mod sqlite;
mod writes;

use std::{path::PathBuf, time::Duration};

use hdrhistogram::Histogram;
use indicatif::ProgressBar;
use serde::Serialize;

use super::{Output, machine, number, process::Usage, samples::Quantiles, target};

/// Measure the least that a login could cost here: the same rows written by bare clients, an empty gRPC call, a signature.
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:
  nodkey bench bounds
  scripts/with-servers nodkey bench bounds --json")]
pub struct Args {
    /// Seconds for each bound
    #[arg(long, default_value_t = 3, value_name = "SECONDS", value_parser = clap::value_parser!(u64).range(1..=600))]
    seconds: u64,
    /// Number of concurrent clients
    #[arg(long, value_delimiter = ',', default_value = "1,8,32", value_name = "N,...", value_parser = clap::value_parser!(u16).range(1..=256))]
    clients: Vec<u16>,
    /// Folder for a SQLite file, on the disk in question
    #[arg(long, default_value = ".", value_name = "DIR")]
    folder: PathBuf,
    #[command(flatten)]
    output: Output,
    #[command(flatten)]
    servers: machine::ServerArgs,
    #[command(flatten)]
    target: target::TargetArgs,
}

/// A measured bound.
#[derive(Debug, Serialize)]
struct Bound {
    name: String,
    clients: u16,
    per_second: f64,
    latency_ms: Quantiles,
    server_cpu_ms: f64,
    client_cpu_ms: f64,
}

/// Work that is repeated for some time.
struct Measured {
    times: Histogram<u64>,
    took: Duration,
    server: Usage,
    client: Usage,
}

impl Measured {
    fn bound(self, name: &str, clients: u16) -> Bound {
        let times = number(self.times.len().max(1));
        let each = |usage: Usage| usage.cpu.as_secs_f64() * 1000.0 / times;
        Bound {
            name: name.to_owned(),
            clients,
            per_second: number(self.times.len()) / self.took.as_secs_f64(),
            latency_ms: Quantiles::of(&self.times),
            server_cpu_ms: each(self.server),
            client_cpu_ms: each(self.client),
        }
    }
}

/// Runs the command.
pub async fn run(args: Args) -> anyhow::Result<()> {
    let length = Duration::from_secs(args.seconds);
    let progress = ProgressBar::new_spinner();
    progress.enable_steady_tick(Duration::from_millis(200));
    let mut bounds = Vec::new();
    progress.set_message("signatures");
    bounds.extend(signature::measure(length)?);
    progress.set_message("SQLite");
    let folder = args.folder.clone();
    bounds.extend(tokio::task::spawn_blocking(move || sqlite::measure(&folder, length)).await??);
    if let Some(url) = &args.servers.postgres_url {
        progress.set_message("PostgreSQL");
        bounds.extend(postgres::measure(url, &args.clients, length).await?);
    }
    // The empty call needs a deployment.
    if let Ok(target) = args.target.target() {
        progress.set_message("gRPC");
        bounds.extend(call::measure(&target, &args.servers.processes(&target), &args.clients, length).await?);
    }
    progress.finish_and_clear();
    args.output.tell(&bounds, &markdown(&bounds))
}

fn markdown(bounds: &[Bound]) -> String {
    use std::fmt::Write as _;
    let mut text =
        "| bound | clients | a second | p50 ms | p99 ms | server CPU ms | client CPU ms |\n|---|---|---|---|---|---|---|\n".to_owned();
    for Bound { name, clients, per_second, latency_ms, server_cpu_ms, client_cpu_ms } in bounds {
        let Quantiles { p50, p99, .. } = latency_ms;
        let _ = writeln!(text, "| {name} | {clients} | {per_second:.0} | {p50:.2} | {p99:.2} | {server_cpu_ms:.3} | {client_cpu_ms:.3} |");
    }
    text
}
