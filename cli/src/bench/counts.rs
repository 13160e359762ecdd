//! `nodkey bench counts`.

use std::{
    collections::{BTreeMap, BTreeSet},
    net::SocketAddr,
    path::PathBuf,
    pin::pin,
    sync::Arc,
    time::{Duration, Instant},
};

use anyhow::Context as _;
use serde::Serialize;
use tokio::sync::Semaphore;

use super::{
    Output,
    counters::{Counts, Sources, SyncTrace, since, with_totals},
    fleet::{self, Fleet},
    machine, number,
    phone::Wait,
    target,
};

/// The number of users who take turns.
const USERS: usize = 4;
/// How long all counters must stand still before a step counts as done: longer than the relay gathers what it deletes.
const QUIET: Duration = Duration::from_millis(80);
/// The polling interval.
const LOOK: Duration = Duration::from_millis(10);
/// The longest a step may take.
const PATIENCE: Duration = Duration::from_secs(30);
/// Logins before counting begins: to open connections, prepare statements and fill caches.
const WARMUP: u32 = 12;

/// Count what one login of one user does.
///
/// A login is counted in two steps, each until all activity has stopped: `asked` is the backend's call, until the phone has the challenge
/// and the backend watches; `answered` is the phone's answer, until the backend has the result and the phone waits again. The report has
/// the lowest count shared by a tenth of the logins, so that background work of the server does not show.
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:
  nodkey bench counts
  nodkey bench counts --phone stream --json")]
pub struct Args {
    /// Logins that are counted
    #[arg(long, default_value_t = 40, value_name = "N", value_parser = clap::value_parser!(u32).range(1..=1000))]
    rounds: u32,
    /// How phones wait
    #[arg(long, value_enum, default_value_t = Wait::Poll)]
    phone: Wait,
    /// Use a relying party with prompt budgets, as each has by default: the load is limited by them, so others have none
    #[arg(long)]
    budgets: bool,
    /// Seconds without any login that are also counted
    #[arg(long, default_value_t = 0, value_name = "SECONDS", value_parser = clap::value_parser!(u64).range(0..=86_400))]
    idle: u64,
    /// Address where `nodkey bench tap` serves its counts; it sets this for the command it runs
    #[arg(long, env = "NODKEY_BENCH_TAP", value_name = "ADDRESS")]
    tap: Option<SocketAddr>,
    /// Trace the system calls of the deployment with strace to count its syncs, and write them to this file
    #[arg(long, value_name = "FILE")]
    strace: Option<PathBuf>,
    #[command(flatten)]
    output: Output,
    #[command(flatten)]
    servers: machine::ServerArgs,
    #[command(flatten)]
    target: target::TargetArgs,
}

/// The counts of one login.
#[derive(Debug, Serialize)]
struct Report {
    phone: &'static str,
    rounds: u32,
    login: Counts,
    asked: Counts,
    answered: Counts,
    /// For each total, in how many of the rounds it was exactly this.
    agreement: BTreeMap<String, usize>,
    idle_per_second: BTreeMap<String, f64>,
}

/// Runs the command.
pub async fn run(args: Args) -> anyhow::Result<()> {
    let target = args.target.target()?;
    let trace = match &args.strace {
        Some(file) => Some(SyncTrace::start(&args.servers.processes(&target), file).await?),
        None => None,
    };
    let mut sources = Sources::open(&target, args.tap, trace).await?;
    let party = target.party(args.budgets).await?;
    let enrolled = fleet::enrol(&target, &party, "user", USERS, || ()).await?;
    let permits = Arc::new(Semaphore::new(0));
    let fleet = Fleet::start(party.grpc().await?, enrolled, args.phone, Some(&permits))?;

    let (mut asked, mut answered) = (Vec::new(), Vec::new());
    for round in 0..WARMUP + args.rounds {
        let (first, second) = login(&fleet, &mut sources, &permits).await?;
        if round >= WARMUP {
            asked.push(first);
            answered.push(second);
        }
    }
    let idle_per_second = idle(&mut sources, args.idle).await?;
    let totals: Vec<_> = asked.iter().zip(&answered).map(|(asked, answered)| with_totals(&sum(asked, answered))).collect();
    let (asked, answered) = (with_totals(&regular(&asked)), with_totals(&regular(&answered)));
    let login = sum(&asked, &answered);
    let agreement = login
        .iter()
        .filter(|(name, _)| !name.contains(' '))
        .map(|(name, count)| (name.clone(), totals.iter().filter(|round| round.get(name) == Some(count)).count()));
    let agreement = agreement.collect();
    let report = Report { phone: args.phone.as_str(), rounds: args.rounds, login, asked, answered, agreement, idle_per_second };
    args.output.tell(&report, &report.markdown())
}

/// Runs one login. Returns the counts of each step.
async fn login(fleet: &Fleet, sources: &mut Sources, permits: &Semaphore) -> anyhow::Result<(Counts, Counts)> {
    let mut user = fleet.take().await?;
    let before = quiet(sources).await?;
    let id = fleet.backend().create(user.name()).await?;
    let mut result = pin!(fleet.backend().result(&id));
    let asked = tokio::select! {
        ended = &mut result => anyhow::bail!("a login ended before the phone had answered: {ended:?}"),
        asked = quiet(sources) => asked?,
    };
    permits.add_permits(1);
    tokio::time::timeout(PATIENCE, async { tokio::try_join!(result, user.answered(&id)) })
        .await
        .context("a login took longer than 30 s")??;
    let answered = quiet(sources).await?;
    fleet.give_back(user);
    Ok((since(&asked, &before), since(&answered, &asked)))
}

/// Waits until no counter changes, and returns the counters.
async fn quiet(sources: &mut Sources) -> anyhow::Result<Counts> {
    let begun = Instant::now();
    let (mut counts, mut moved) = (sources.read().await?, Instant::now());
    while moved.elapsed() < QUIET {
        anyhow::ensure!(begun.elapsed() < PATIENCE, "the server is never idle: something else is using it");
        tokio::time::sleep(LOOK).await;
        let now = sources.read().await?;
        if now != counts {
            (counts, moved) = (now, Instant::now());
        }
    }
    Ok(counts)
}

async fn idle(sources: &mut Sources, seconds: u64) -> anyhow::Result<BTreeMap<String, f64>> {
    if seconds == 0 {
        return Ok(BTreeMap::new());
    }
    let before = sources.read().await?;
    tokio::time::sleep(Duration::from_secs(seconds)).await;
    let after = sources.read().await?;
    Ok(with_totals(&since(&after, &before)).into_iter().map(|(name, count)| (name, number(count) / number(seconds))).collect())
}

/// For each name, the lowest count that a tenth of the rounds share.
fn regular(rounds: &[Counts]) -> Counts {
    let names: BTreeSet<&String> = rounds.iter().flat_map(Counts::keys).collect();
    let least = |name: &String| {
        let mut frequency = BTreeMap::new();
        for round in rounds {
            *frequency.entry(round.get(name).copied().unwrap_or(0)).or_insert(0) += 1;
        }
        frequency.into_iter().find(|(_, times)| times * 10 >= rounds.len()).map_or(0, |(count, _)| count)
    };
    names.into_iter().map(|name| (name.clone(), least(name))).filter(|(_, count)| *count > 0).collect()
}

fn sum(first: &Counts, second: &Counts) -> Counts {
    let mut sum = first.clone();
    for (name, count) in second {
        *sum.entry(name.clone()).or_default() += count;
    }
    sum
}

impl Report {
    fn markdown(&self) -> String {
        use std::fmt::Write as _;
        let mut text = format!("| phone by {} | asked | answered | login | same in |\n|---|---|---|---|---|\n", self.phone);
        let of = |counts: &Counts, name: &str| counts.get(name).copied().unwrap_or(0);
        // Statements are shown individually, the rest by service or kind.
        let shown = |name: &str| name.starts_with("statements ") || name.starts_with("grpc ") || name.matches(' ').count() < 2;
        for (name, count) in self.login.iter().filter(|(name, _)| shown(name)) {
            let same = self.agreement.get(name).map(|times| format!("{times} of {}", self.rounds)).unwrap_or_default();
            let label = name.replace('|', "\\|");
            let _ = writeln!(text, "| {label} | {} | {} | {count} | {same} |", of(&self.asked, name), of(&self.answered, name));
        }
        if !self.idle_per_second.is_empty() {
            text.push_str("\n| idle | a second |\n|---|---|\n");
            for (name, rate) in self.idle_per_second.iter().filter(|(name, _)| name.matches(' ').count() < 2) {
                let _ = writeln!(text, "| {name} | {rate:.1} |");
            }
        }
        text
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_happens_now_and_then_does_not_count() {
        let round = |commits, sweeps| Counts::from([("commits a".to_owned(), commits), ("sweeps".to_owned(), sweeps)]);
        let rounds: Vec<_> = std::iter::repeat_n(round(3, 0), 6).chain(std::iter::repeat_n(round(4, 1), 13)).chain([round(2, 1)]).collect();
        assert_eq!(regular(&rounds), Counts::from([("commits a".to_owned(), 3)]));
    }
}
