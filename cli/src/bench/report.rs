//! The report of `nodkey bench logins`: JSON for programs, Markdown for people and documents.

use std::{collections::BTreeMap, fmt::Write as _, time::Duration};

use serde::Serialize;

use super::{
    background,
    counters::Counts,
    load::Pace,
    machine::Reading,
    number,
    phone::Wait,
    process::Usage,
    samples::{Samples, Summary},
    target::Target,
};

/// The names of a login's parts in the table, in the order of [`Samples::PARTS`].
const PARTS: [&str; 4] = ["create answered", "create to phone", "answer to result", "whole"];

/// All runs of one invocation.
#[derive(Debug, Serialize)]
pub struct Report {
    mode: &'static str,
    users: usize,
    phone: &'static str,
    in_progress: usize,
    finished: u64,
    waiting: usize,
    waiting_backends: usize,
    /// Memory that a process uses more since phones and backends wait, in KiB for each of them, where that is at least a tenth of one.
    waiting_kib: BTreeMap<String, f64>,
    paces: Vec<Column>,
}

/// The runs at one pace.
#[derive(Debug, Serialize)]
struct Column {
    concurrency: Option<usize>,
    rate: Option<f64>,
    runs: Vec<Run>,
}

/// One run. Everything "per login" is per completed login.
#[derive(Debug, Serialize)]
pub struct Run {
    seconds: f64,
    logins_per_second: f64,
    server_cpu_ms_per_login: f64,
    #[serde(flatten)]
    summary: Summary,
    per_login: BTreeMap<String, Cost>,
    postgres_per_login: BTreeMap<&'static str, f64>,
    counts_per_login: BTreeMap<String, f64>,
}

/// The cost of a login for one process.
#[derive(Clone, Copy, Debug, Serialize)]
struct Cost {
    cpu_ms: f64,
    written_bytes: f64,
}

impl Run {
    /// Makes a run from the measurements before and after it.
    pub fn new(summary: Summary, took: Duration, after: &Reading, before: &Reading, counts: Counts) -> Self {
        let logins = number(summary.completed.max(1));
        let cost = |usage: Usage| Cost { cpu_ms: usage.cpu.as_secs_f64() * 1000.0 / logins, written_bytes: number(usage.written) / logins };
        let per_login: BTreeMap<_, _> = after.usages_since(before).into_iter().map(|(name, usage)| (name, cost(usage))).collect();
        let servers = per_login.iter().filter(|(name, _)| *name != "bench");
        Self {
            seconds: took.as_secs_f64(),
            logins_per_second: number(summary.completed) / took.as_secs_f64(),
            server_cpu_ms_per_login: servers.map(|(_, cost)| cost.cpu_ms).sum(),
            postgres_per_login: after.postgres_since(before).into_iter().map(|(name, count)| (name, number(count) / logins)).collect(),
            counts_per_login: counts.into_iter().map(|(name, count)| (name, number(count) / logins)).collect(),
            summary,
            per_login,
        }
    }
}

impl Report {
    /// Makes a report without runs.
    pub fn new(target: &Target, background: &background::BackgroundArgs, paces: &[Pace], users: usize, phone: Wait) -> Self {
        let column = |pace: &Pace| match *pace {
            Pace::Closed { concurrency } => Column { concurrency: Some(concurrency), rate: None, runs: Vec::new() },
            Pace::Open { rate } => Column { concurrency: None, rate: Some(rate), runs: Vec::new() },
        };
        Self {
            mode: if target.embedded() { "embedded" } else { "distributed" },
            users,
            phone: phone.as_str(),
            in_progress: background.in_progress,
            finished: background.finished,
            waiting: background.waiting,
            waiting_backends: background.waiting_backends,
            waiting_kib: BTreeMap::new(),
            paces: paces.iter().map(column).collect(),
        }
    }

    /// Notes what the processes use since the phones and backends wait.
    pub fn waits(&mut self, after: &Reading, before: &Reading) {
        let all = self.waiting + self.waiting_backends;
        if all > 0 {
            let kib = |usage: Usage| number(usage.memory) / 1024.0 / number(all as u64);
            let each = after.usages_since(before).into_iter().map(|(name, usage)| (name, kib(usage)));
            self.waiting_kib = each.filter(|(name, kib)| name != "bench" && *kib >= 0.1).collect();
        }
    }

    /// Adds a run at the pace of this index.
    pub fn add(&mut self, pace: usize, run: Run) {
        if let Some(column) = self.paces.get_mut(pace) {
            column.runs.push(run);
        }
    }

    /// A table with a column for each pace: medians, with minimum and maximum where values are noisy.
    pub fn markdown(&self) -> String {
        let mut table = Table { columns: &self.paces, text: self.heading() };
        table.row("logins per second", |column| column.spread(|run| run.logins_per_second, 1));
        for (name, part) in PARTS.into_iter().zip(Samples::PARTS) {
            table.row(&format!("{name}, ms: p50 / p99"), |column| {
                let quantile = |read: fn(&super::samples::Quantiles) -> f64| {
                    column.median(|run| run.summary.latency_ms.get(part).map(read).unwrap_or_default())
                };
                format!("{:.1} / {:.1}", quantile(|part| part.p50), quantile(|part| part.p99))
            });
        }
        table.row("failed", Column::failures);
        table.row("server CPU, ms per login", |column| column.spread(|run| run.server_cpu_ms_per_login, 2));
        for name in self.names(|run| run.per_login.keys()) {
            let cost = |run: &Run| run.per_login.get(&name).copied();
            table.row(&format!("{name}: CPU ms / KiB written"), |column| {
                let median = |read: fn(Cost) -> f64| column.median(|run| cost(run).map(read).unwrap_or_default());
                format!("{:.2} / {:.1}", median(|cost| cost.cpu_ms), median(|cost| cost.written_bytes / 1024.0))
            });
        }
        for name in self.names(|run| run.postgres_per_login.keys()) {
            table.row(&format!("PostgreSQL {} per login", name.replace('_', " ")), |column| {
                format!("{:.2}", column.median(|run| run.postgres_per_login.get(name).copied().unwrap_or_default()))
            });
        }
        for name in self.names(|run| run.counts_per_login.keys()).into_iter().filter(|name| !name.contains(' ')) {
            table.row(&format!("{} per login", name.replace('_', " ")), |column| {
                format!("{:.2}", column.median(|run| run.counts_per_login.get(&name).copied().unwrap_or_default()))
            });
        }
        table.text
    }

    /// The names that occur in any run, each once.
    fn names<'a, T: Clone + Ord + 'a, I: Iterator<Item = &'a T>>(&'a self, of: impl Fn(&'a Run) -> I) -> Vec<T> {
        let mut names: Vec<_> = self.paces.iter().flat_map(|column| &column.runs).flat_map(of).cloned().collect();
        names.sort();
        names.dedup();
        names
    }

    fn heading(&self) -> String {
        let runs = self.paces.first().map_or(0, |column| column.runs.len());
        let mut text = format!("**{}", self.mode);
        let background = [
            (self.in_progress as u64, "in progress"),
            (self.finished, "finished"),
            (self.waiting as u64, "phones waiting"),
            (self.waiting_backends as u64, "backends waiting"),
        ];
        for (count, what) in background.into_iter().filter(|(count, _)| *count > 0) {
            let _ = write!(text, ", {count} {what}");
        }
        let _ = write!(text, "** ({} users, phones by {}, {runs} runs)", self.users, self.phone);
        for (name, kib) in &self.waiting_kib {
            let _ = write!(text, "; {name}: {kib:.1} KiB for each that waits");
        }
        text.push_str("\n\n|");
        for column in &self.paces {
            let _ = match (column.concurrency, column.rate) {
                (Some(concurrency), _) => write!(text, " | {concurrency} at once"),
                (None, rate) => write!(text, " | {} a second", rate.unwrap_or_default()),
            };
        }
        let _ = writeln!(text, " |\n|---{}|", "|---".repeat(self.paces.len()));
        text
    }
}

/// Rows of Markdown.
struct Table<'a> {
    columns: &'a [Column],
    text: String,
}

impl Table<'_> {
    fn row(&mut self, name: &str, cell: impl Fn(&Column) -> String) {
        let cells: Vec<_> = self.columns.iter().map(cell).collect();
        let _ = writeln!(self.text, "| {name} | {} |", cells.join(" | "));
    }
}

impl Column {
    fn values(&self, value: impl Fn(&Run) -> f64) -> Vec<f64> {
        let mut values: Vec<_> = self.runs.iter().map(value).collect();
        values.sort_by(f64::total_cmp);
        values
    }

    fn median(&self, value: impl Fn(&Run) -> f64) -> f64 {
        let values = self.values(value);
        values.get(values.len() / 2).copied().unwrap_or_default()
    }

    fn spread(&self, value: impl Fn(&Run) -> f64, digits: usize) -> String {
        let values = self.values(value);
        match values.as_slice() {
            [first, .., last] => format!("{:.digits$} [{first:.digits$}..{last:.digits$}]", values[values.len() / 2]),
            [only] => format!("{only:.digits$}"),
            [] => String::new(),
        }
    }

    fn failures(&self) -> String {
        let mut failures = BTreeMap::<&str, u64>::new();
        for (reason, count) in self.runs.iter().flat_map(|run| &run.summary.errors) {
            *failures.entry(reason).or_default() += count;
        }
        let failures: Vec<_> = failures.into_iter().map(|(reason, count)| format!("{reason}: {count}")).collect();
        if failures.is_empty() { "0".to_owned() } else { failures.join(", ") }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn run(logins_per_second: f64) -> Run {
        let summary = Samples::new().unwrap().summary();
        let none = BTreeMap::new;
        Run {
            seconds: 1.0,
            logins_per_second,
            server_cpu_ms_per_login: 0.0,
            summary,
            per_login: BTreeMap::new(),
            postgres_per_login: none(),
            counts_per_login: BTreeMap::new(),
        }
    }

    #[test]
    fn a_cell_has_the_median_and_the_spread() {
        let column = |rates: &[f64]| Column { concurrency: Some(1), rate: None, runs: rates.iter().copied().map(run).collect() };
        assert_eq!(column(&[3.0, 1.0, 2.0]).spread(|run| run.logins_per_second, 1), "2.0 [1.0..3.0]");
        assert_eq!(column(&[3.0]).spread(|run| run.logins_per_second, 1), "3.0");
    }
}
