//! `nodkey bench counts`.

use std::{
    collections::BTreeMap,
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
    counters::{Counts, Sources, SyncTrace, since},
    fleet::{self, Fleet},
    machine,
    phone::Wait,
    target,
};

/// Users who take turns.
const USERS: usize = 4;
/// How long no counter may move before a step counts as done.
const QUIET: Duration = Duration::from_millis(60);
/// How often it is looked.
const LOOK: Duration = Duration::from_millis(10);
/// The longest a step may take.
const PATIENCE: Duration = Duration::from_secs(30);
/// Logins before any is counted: connections are opened, statements prepared, caches filled.
const WARMUP: u32 = 12;

/// Count what one login of one user does.
///
/// A login is counted in two steps, each until all is quiet: `asked` is the backend's call, the phone that gets the challenge and
/// the backend that begins to watch; `answered` is the phone's answer, the result, and the phone that waits again. Of many logins
/// the most frequent count is told, so that what the server does by itself now and then does not show.
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
    /// Seconds without any login that are counted, too
    #[arg(long, default_value_t = 0, value_name = "SECONDS")]
    idle: u64,
    /// Where `nodkey bench tap` tells its counts; it sets this for the command it runs
    #[arg(long, env = "NODKEY_BENCH_TAP", value_name = "ADDRESS")]
    tap: Option<SocketAddr>,
    /// Follow the system calls of the deployment with strace to count its syncs, writing them to a file
    #[arg(long, value_name = "FILE")]
    strace: Option<PathBuf>,
    #[command(flatten)]
    output: Output,
    #[command(flatten)]
    servers: machine::Args,
    #[command(flatten)]
    target: target::Args,
}

/// What one login does.
#[derive(Debug, Serialize)]
struct Report {
    phone: &'static str,
    rounds: u32,
    login: Counts,
    asked: Counts,
    answered: Counts,
    /// Of the totals: how many of the rounds had exactly this count, in both steps the least.
    agreement: BTreeMap<String, u32>,
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
    let party = target.party().await?;
    let enrolled = fleet::enrol(&target, &party, "user", USERS, || ()).await?;
    let permits = Arc::new(Semaphore::new(0));
    let fleet = Fleet::start(party.backend.clone(), enrolled, args.phone, Some(&permits))?;

    let (mut asked, mut answered) = (Vec::new(), Vec::new());
    for round in 0..WARMUP + args.rounds {
        let (first, second) = login(&fleet, &mut sources, &permits).await?;
        if round >= WARMUP {
            asked.push(first);
            answered.push(second);
        }
    }
    let idle_per_second = idle(&mut sources, args.idle).await?;
    let (asked, agree) = modes(&asked);
    let (answered, agree_too) = modes(&answered);
    let mut login = asked.clone();
    for (name, count) in &answered {
        *login.entry(name.clone()).or_default() += count;
    }
    let agreement = login.keys().filter(|name| !name.contains(' ')).map(|name| {
        let least = [&agree, &agree_too].iter().filter_map(|agree| agree.get(name)).min().copied().unwrap_or(0);
        (name.clone(), least)
    });
    let agreement = agreement.collect();
    let report = Report { phone: args.phone.as_str(), rounds: args.rounds, login, asked, answered, agreement, idle_per_second };
    args.output.tell(&report, &report.markdown())
}

/// One login, with what was counted in each step.
async fn login(fleet: &Fleet, sources: &mut Sources, permits: &Semaphore) -> anyhow::Result<(Counts, Counts)> {
    let mut user = fleet.take().await?;
    let before = quiet(sources).await?;
    let id = fleet.create(user.name()).await?;
    let mut result = pin!(fleet.result(&id));
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

/// Waits until no counter moves, and returns the counters.
async fn quiet(sources: &mut Sources) -> anyhow::Result<Counts> {
    let begun = Instant::now();
    let (mut counts, mut moved) = (sources.read().await?, Instant::now());
    while moved.elapsed() < QUIET {
        anyhow::ensure!(begun.elapsed() < PATIENCE, "the server is never quiet: something else uses it");
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
    Ok(since(&after, &before).into_iter().map(|(name, count)| (name, count as f64 / seconds as f64)).collect())
}

/// The most frequent count of each name, of two the lower, and how many have it. What is mostly not there is left out.
fn modes(rounds: &[Counts]) -> (Counts, BTreeMap<String, u32>) {
    let names: std::collections::BTreeSet<&String> = rounds.iter().flat_map(Counts::keys).collect();
    let (mut modes, mut agreement) = (Counts::new(), BTreeMap::new());
    for name in names {
        let mut frequency = BTreeMap::new();
        for round in rounds {
            *frequency.entry(round.get(name).copied().unwrap_or(0)).or_insert(0_u32) += 1;
        }
        // Of equals the last is the maximum, so the lower ones come last.
        if let Some((count, times)) = frequency.into_iter().rev().max_by_key(|(_, times)| *times) {
            agreement.insert(name.clone(), times);
            if count > 0 {
                modes.insert(name.clone(), count);
            }
        }
    }
    (modes, agreement)
}

impl Report {
    fn markdown(&self) -> String {
        use std::fmt::Write as _;
        let mut text = format!("| phone by {} | asked | answered | login | same in |\n|---|---|---|---|---|\n", self.phone);
        let of = |counts: &Counts, name: &str| counts.get(name).copied().unwrap_or(0);
        for (name, count) in &self.login {
            let same = self.agreement.get(name).map(|times| format!("{times} of {}", self.rounds)).unwrap_or_default();
            let name_shown = name.replace('|', "\\|").replace('_', " ");
            let _ = writeln!(text, "| {name_shown} | {} | {} | {count} | {same} |", of(&self.asked, name), of(&self.answered, name));
        }
        if !self.idle_per_second.is_empty() {
            text.push_str("\n| idle | a second |\n|---|---|\n");
            for (name, rate) in &self.idle_per_second {
                let _ = writeln!(text, "| {} | {rate:.1} |", name.replace('|', "\\|").replace('_', " "));
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
        let round = |commits, sweeps| {
            let counts = Counts::from([("commits".to_owned(), commits), ("sweeps".to_owned(), sweeps)]);
            since(&counts, &Counts::new())
        };
        let (modes, agreement) = modes(&[round(3, 0), round(4, 1), round(3, 0), round(3, 0)]);
        assert_eq!(modes, Counts::from([("commits".to_owned(), 3)]));
        assert_eq!((agreement["commits"], agreement["sweeps"]), (3, 3));
    }
}
