//! `nodkey bench`: measures what logins cost in a running deployment, the least they could cost, and what each does how often.

mod background;
mod bounds;
mod counters;
mod counts;
mod fleet;
mod grpc;
mod http;
mod keys;
mod load;
mod logins;
mod machine;
mod phone;
mod process;
mod report;
mod samples;
mod tap;
mod target;
mod waits;

use std::path::PathBuf;

use anyhow::Context as _;
use clap::Subcommand;
use serde::Serialize;

use crate::output::{document, line};

/// Measure a running deployment
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:
  nodkey bench logins --concurrency 8
  nodkey bench counts
  nodkey bench bounds

`make bench-logins` builds release binaries, starts both kinds of deployment and measures them.")]
pub struct Args {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Run logins; report latency, throughput, CPU and bytes
    Logins(Box<logins::Args>),
    /// Count what one login does: statements, round trips, commits, messages, syncs
    Counts(counts::Args),
    /// Measure the least that a login could cost here: bare databases, an empty call, a signature
    Bounds(bounds::Args),
    /// Run a command and count its traffic to PostgreSQL and NATS
    Tap(tap::Args),
}

/// How results are reported.
#[derive(Debug, clap::Args)]
struct Output {
    /// Print JSON instead of tables
    #[arg(long)]
    json: bool,
    /// Also write the JSON to this file
    #[arg(long, value_name = "FILE")]
    save: Option<PathBuf>,
}

impl Output {
    /// Prints a report. Its tables are Markdown.
    fn tell(&self, report: &impl Serialize, markdown: &str) -> anyhow::Result<()> {
        if let Some(path) = &self.save {
            std::fs::write(path, serde_json::to_vec_pretty(report)?).with_context(|| format!("cannot write {}", path.display()))?;
        }
        if self.json { document(report) } else { line(markdown.trim_end()) }
    }
}

#[expect(clippy::cast_precision_loss, reason = "no count here comes near what a double cannot hold")]
const fn number(count: u64) -> f64 {
    count as f64
}

/// Runs the command.
pub async fn run(args: Args) -> anyhow::Result<()> {
    match args.command {
        Command::Logins(args) => logins::run(*args).await,
        Command::Counts(args) => counts::run(args).await,
        Command::Bounds(args) => bounds::run(args).await,
        Command::Tap(args) => tap::run(args).await,
    }
}
