//! Counters of the server's work: its own metrics, a tap, and system calls.

use std::{
    collections::{BTreeMap, BTreeSet},
    net::SocketAddr,
    path::{Path, PathBuf},
    process::Stdio,
};

use anyhow::Context as _;
use bytes::Bytes;
use http::{Request, StatusCode};
use http_body_util::Full;
use tokio::process::{Child, Command};

use super::{http::Connection, http::Server, process::Process, tap, target::Target};

/// Nodkey's counters of the cost of an authentication, and their names in reports.
const METRICS: [(&str, &str); 6] = [
    ("nodkey_db_statements_total", "statements"),
    ("nodkey_db_round_trips_total", "round_trips"),
    ("nodkey_db_commits_total", "commits"),
    ("nodkey_db_syncs_total", "syncs"),
    ("nodkey_grpc_requests_total", "grpc"),
    ("nodkey_http_requests_total", "http"),
];

/// Counts by name: what is counted, and optionally a part and a part of that, separated by spaces. As read, there are only parts.
/// [`with_totals`] adds the totals.
pub type Counts = BTreeMap<String, u64>;

/// The sources of counters.
pub struct Sources {
    metrics: Vec<Metrics>,
    tap: Option<SocketAddr>,
    trace: Option<SyncTrace>,
}

/// The metrics of a process, over a connection that is kept open.
struct Metrics {
    process: String,
    server: Server,
    connection: Connection,
}

/// Counts the fsyncs of processes by tracing their system calls.
pub struct SyncTrace {
    _strace: Child,
    file: PathBuf,
}

impl Sources {
    /// Opens the metrics of a deployment, as far as they are reachable, and a tap if there is one.
    pub async fn open(target: &Target, tap: Option<SocketAddr>, trace: Option<SyncTrace>) -> anyhow::Result<Self> {
        let mut metrics = Vec::new();
        for (name, url) in &target.processes {
            let server = Server::new(url, target.ca_certificate.as_deref())?;
            let mut source = Metrics { process: name.clone(), connection: server.connect().await?, server };
            // The gateway serves its metrics at a separate address, if at all.
            if source.scrape().await?.is_some() {
                metrics.push(source);
            }
        }
        Ok(Self { metrics, tap, trace })
    }

    /// Reads all of them.
    pub async fn read(&mut self) -> anyhow::Result<Counts> {
        let mut counts = Counts::new();
        for source in &mut self.metrics {
            let text = source.read().await?;
            parse(&text, &source.process, &mut counts);
        }
        // Counts from outside take precedence over a process's own.
        let mut replace = |seen: Counts| {
            let of = |name: &str| name.split(' ').next().unwrap_or_default().to_owned();
            let kinds: BTreeSet<String> = seen.keys().map(|name| of(name)).collect();
            counts.retain(|name, _| !kinds.contains(&of(name)));
            counts.extend(seen);
        };
        if let Some(tap) = self.tap {
            replace(tap::counts(tap).await?);
        }
        if let Some(trace) = &self.trace {
            replace(Counts::from([("syncs".to_owned(), trace.count()?)]));
        }
        Ok(counts)
    }
}

impl SyncTrace {
    /// Begins to trace processes.
    pub async fn start(processes: &[Process], file: &Path) -> anyhow::Result<Self> {
        let mut command = Command::new("strace");
        command.args(["-f", "-q", "-e", "trace=fsync,fdatasync", "-o"]).arg(file);
        for process in processes {
            command.args(["-p", &process.pid().to_string()]);
        }
        let strace = command.stdin(Stdio::null()).stderr(Stdio::null()).kill_on_drop(true).spawn().context("strace is missing")?;
        // The output says when it has attached to a process.
        for process in processes {
            while !traced(process.pid()) {
                tokio::time::sleep(std::time::Duration::from_millis(10)).await;
            }
        }
        Ok(Self { _strace: strace, file: file.to_owned() })
    }

    /// A call interrupted by another thread's has two lines.
    fn count(&self) -> anyhow::Result<u64> {
        let text = std::fs::read_to_string(&self.file).with_context(|| format!("cannot read {}", self.file.display()))?;
        Ok(text.lines().filter(|line| line.contains("sync(")).count() as u64)
    }
}

fn traced(pid: u32) -> bool {
    let status = std::fs::read_to_string(format!("/proc/{pid}/status")).unwrap_or_default();
    !status.lines().any(|line| line.starts_with("TracerPid:") && line.ends_with("\t0"))
}

impl Metrics {
    /// Reconnects if the server has closed an idle connection.
    async fn read(&mut self) -> anyhow::Result<String> {
        if let Ok(Some(text)) = self.scrape().await {
            return Ok(text);
        }
        self.connection = self.server.connect().await?;
        self.scrape().await?.context("/metrics is no longer there")
    }

    async fn scrape(&mut self) -> anyhow::Result<Option<String>> {
        let request = Request::get("/metrics").body(Full::new(Bytes::new()))?;
        let (status, body) = self.connection.exchange(request).await.context("cannot read /metrics")?;
        Ok((status == StatusCode::OK).then(|| String::from_utf8_lossy(&body).into_owned()))
    }
}

/// Sums the samples of each counter of a process. Prometheus text format: `name{labels} value`.
fn parse(text: &str, process: &str, counts: &mut Counts) {
    for line in text.lines() {
        let Some((series, value)) = line.rsplit_once(' ') else { continue };
        let (metric, labels) = series.split_once('{').unwrap_or((series, ""));
        let Some((_, name)) = METRICS.iter().find(|(known, _)| *known == metric) else { continue };
        let value: u64 = value.parse().unwrap_or(0);
        let labels = labels.trim_end_matches('}').replace(' ', "_");
        *counts.entry(format!("{name} {process} {labels}").trim_end().to_owned()).or_default() += value;
    }
}

/// Sums the parts of parts, and the parts.
pub fn with_totals(parts: &Counts) -> Counts {
    let mut counts = parts.clone();
    for (name, count) in parts {
        let ends: Vec<_> = name.match_indices(' ').map(|(end, _)| end).take(2).collect();
        for end in ends {
            *counts.entry(name[..end].to_owned()).or_default() += count;
        }
    }
    counts
}

/// The increments since `before`, without those that are zero.
pub fn since(now: &Counts, before: &Counts) -> Counts {
    let grown = now.iter().map(|(name, count)| (name.clone(), count.saturating_sub(before.get(name).copied().unwrap_or(0))));
    grown.filter(|(_, count)| *count > 0).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn samples_of_a_counter_add_up_and_keep_their_labels() {
        let text = "# TYPE nodkey_db_commits_total counter\nnodkey_db_commits_total{service=\"a\"} 3\nnodkey_db_commits_total{service=\"b\"} 4\n\
                    nodkey_db_syncs_total 5\nnodkey_connections 6\n";
        let mut counts = Counts::new();
        parse(text, "nodkey", &mut counts);
        let expected = [("commits nodkey service=\"a\"", 3), ("commits nodkey service=\"b\"", 4), ("syncs nodkey", 5)];
        assert_eq!(counts, expected.map(|(name, count)| (name.to_owned(), count)).into());
        let before = Counts::from([("commits nodkey service=\"a\"".to_owned(), 3), ("syncs nodkey".to_owned(), 4)]);
        let since = since(&counts, &before);
        assert_eq!(since.get("syncs nodkey"), Some(&1));
        assert!(!since.contains_key("commits nodkey service=\"a\""));
    }

    #[test]
    fn totals_are_the_sums_of_their_parts() {
        let parts = [("statements a SELECT 1", 1), ("statements a SELECT 2", 2), ("statements b SELECT 1", 4), ("syncs", 8)];
        let counts = with_totals(&parts.map(|(name, count)| (name.to_owned(), count)).into());
        for (name, count) in [("statements", 7), ("statements a", 3), ("statements b", 4), ("statements a SELECT 2", 2), ("syncs", 8)] {
            assert_eq!(counts[name], count, "{name}");
        }
        assert_eq!(counts.len(), 7);
    }
}
