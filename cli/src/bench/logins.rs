//! `nodkey bench logins`.

use std::{net::SocketAddr, time::Duration};

use anyhow::Context as _;
use indicatif::{ProgressBar, ProgressStyle};

use super::{
    Output, background,
    counters::{Sources, since, with_totals},
    fleet::{self, Fleet},
    load::{self, End, Pace},
    machine,
    phone::Wait,
    report::{Report, Run},
    target,
};

/// The minimum number of users: the rate of one phone is limited.
const USERS: usize = 128;

/// Run logins through the interfaces of backends and phones, and report the cost of a login.
///
/// Each login is complete: the backend creates a trusonafication, the waiting phone is notified, signs and answers, and the watching
/// backend gets the result. Times include everything; CPU and bytes are reported for each process, including this one.
#[derive(Debug, clap::Args)]
#[command(args_override_self = true)]
#[command(after_help = "Examples:
  nodkey bench logins --concurrency 1,8,32 --runs 3
  nodkey bench logins --rate 50 --duration 60 --phone stream
  nodkey bench logins --in-progress 20000 --finished 1000000 --database .nodkey/trusonafication.db --json")]
pub struct Args {
    /// Concurrent logins, each followed by the next; several values are measured one after the other
    #[arg(long, value_delimiter = ',', default_value = "1", value_name = "N,...", value_parser = clap::value_parser!(u16).range(1..=4096))]
    concurrency: Vec<u16>,
    /// Logins per second, started on time whatever becomes of earlier ones; instead of --concurrency
    #[arg(long, value_name = "N", conflicts_with = "concurrency", value_parser = rate)]
    rate: Option<f64>,
    /// Users who take turns, each with their own phone [default: 128, or four for each concurrent login]
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..=100_000))]
    users: Option<u32>,
    /// How phones wait
    #[arg(long, value_enum, default_value_t = Wait::Poll)]
    phone: Wait,
    /// Seconds to measure
    #[arg(long, default_value_t = 10, value_name = "SECONDS", value_parser = clap::value_parser!(u64).range(1..=86_400))]
    duration: u64,
    /// Logins to measure; instead of --duration
    #[arg(long, value_name = "N", conflicts_with = "duration", value_parser = clap::value_parser!(u64).range(1..=1_000_000_000))]
    count: Option<u64>,
    /// Seconds of logins before each run that are not measured
    #[arg(long, default_value_t = 3, value_name = "SECONDS", value_parser = clap::value_parser!(u64).range(0..=3600))]
    warmup: u64,
    /// How often to measure each, alternating
    #[arg(long, default_value_t = 1, value_name = "N", value_parser = clap::value_parser!(u32).range(1..=100))]
    runs: u32,
    #[command(flatten)]
    output: Output,
    #[command(flatten)]
    background: background::BackgroundArgs,
    #[command(flatten)]
    servers: machine::ServerArgs,
    #[command(flatten)]
    target: target::TargetArgs,
}

fn rate(text: &str) -> Result<f64, String> {
    text.parse()
        .ok()
        .filter(|rate: &f64| *rate > 0.0 && *rate <= 1e6)
        .ok_or_else(|| "must be a number above 0, and 1000000 at most".to_owned())
}

/// Runs the command.
pub async fn run(args: Args) -> anyhow::Result<()> {
    let target = args.target.target()?;
    let machine = args.servers.machine(&target).await?;
    let mut sources = Sources::open(&target, None::<SocketAddr>, None).await?;
    let party = target.party(false).await?;

    let most = args.concurrency.iter().copied().max().unwrap_or_default();
    let users = args.users.map_or_else(|| USERS.max(4 * usize::from(most)), |users| users as usize);
    let progress = bar("enrolling users", users as u64);
    let enrolled = fleet::enrol(&target, &party, "user", users, || progress.inc(1)).await?;
    progress.finish_and_clear();
    let fleet = Fleet::start(party.grpc().await?, enrolled, args.phone, None)?;

    let example = first(&fleet).await?;
    let progress = bar("creating the background", args.background.total());
    let before = machine.read().await?;
    let waiting = args.background.lay(&target, &party, &example, &progress).await?;
    let after = machine.read().await?;
    progress.finish_and_clear();

    let paces: Vec<_> = match args.rate {
        Some(rate) => vec![Pace::Open { rate }],
        None => args.concurrency.iter().map(|n| Pace::Closed { concurrency: (*n).into() }).collect(),
    };
    let progress = ProgressBar::new_spinner();
    progress.enable_steady_tick(Duration::from_millis(200));
    let warmup = End { duration: Some(Duration::from_secs(args.warmup)), count: None };
    let end = End { duration: args.count.is_none().then(|| Duration::from_secs(args.duration)), count: args.count };
    let mut report = Report::new(&target, &args.background, &paces, users, args.phone);
    report.waits(&after, &before);
    for _ in 0..args.runs {
        for (column, pace) in paces.iter().enumerate() {
            load::run(&fleet, *pace, warmup, &progress).await?;
            let (counted, before) = (sources.read().await?, machine.read().await?);
            let (samples, took) = load::run(&fleet, *pace, end, &progress).await?;
            let (after, count) = (machine.read().await?, sources.read().await?);
            report.add(column, Run::new(samples.summary(), took, &after, &before, with_totals(&since(&count, &counted))));
        }
    }
    progress.finish_and_clear();
    drop(waiting);
    args.output.tell(&report, &report.markdown())
}

/// Completes a first login, and returns its trusonafication.
async fn first(fleet: &Fleet) -> anyhow::Result<String> {
    let mut user = fleet.take().await?;
    let id = fleet.backend().create(user.name()).await?;
    let completed = async { tokio::try_join!(fleet.backend().result(&id), user.answered(&id)) };
    tokio::time::timeout(Duration::from_secs(30), completed).await.context("the first login took longer than 30 s")??;
    fleet.give_back(user);
    Ok(id)
}

/// A progress bar on a terminal, and nothing elsewhere.
fn bar(what: &'static str, length: u64) -> ProgressBar {
    let style = ProgressStyle::with_template("{msg} {wide_bar} {pos}/{len}").unwrap_or_else(|_| ProgressStyle::default_bar());
    ProgressBar::new(length).with_style(style).with_message(what)
}
