//! Logs and metrics.

use std::{io::IsTerminal as _, time::Duration};

use opentelemetry_appender_tracing::layer::OpenTelemetryTracingBridge;
use tracing::warn;
use tracing_subscriber::{
    EnvFilter, Layer as _,
    filter::{LevelFilter, Targets},
    fmt,
    layer::SubscriberExt as _,
    util::SubscriberInitExt as _,
};

pub use super::otlp::Otlp;
use super::{metrics, service::Job};
use crate::call::refusals;

/// Interval of metrics upkeep.
const UPKEEP: Duration = Duration::from_secs(5);

/// Interval of reports on refusals.
const REPORT: Duration = Duration::from_mins(1);

/// Format of logs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LogFormat {
    /// One JSON object per line.
    Json,
    /// For people.
    Pretty,
}

/// What exports logs itself: its lines are not exported, or each would cause another.
const EXPORTING: [&str; 7] = ["h2", "hyper", "hyper_util", "opentelemetry", "opentelemetry_sdk", "opentelemetry_otlp", "reqwest"];

/// Starts logging to standard error, and to where `otlp` exports logs. `filter` is in the format of `NODKEY_LOG`: `info`,
/// `nodkey_gateway=debug,warn`. If it is invalid, `info` is used, and that is the first thing logged.
pub fn init(format: LogFormat, filter: &str, otlp: &Otlp) {
    let read = EnvFilter::try_new(filter);
    let refused = read.as_ref().err().map(ToString::to_string);
    let filter = read.unwrap_or_else(|_| EnvFilter::new("info"));
    let lines = fmt::layer().with_writer(std::io::stderr).with_ansi(std::io::stderr().is_terminal());
    let lines = match format {
        LogFormat::Json => lines.json().flatten_event(true).boxed(),
        LogFormat::Pretty => lines.with_target(false).compact().boxed(),
    };
    let exported = otlp.logs.as_ref().map(|provider| {
        let others = EXPORTING.iter().map(|target| (*target, LevelFilter::OFF));
        OpenTelemetryTracingBridge::new(provider).with_filter(Targets::new().with_default(LevelFilter::TRACE).with_targets(others))
    });
    // A second call in the same process has no effect: tests start many worlds.
    let _ = tracing_subscriber::registry().with(filter).with(lines).with(exported).try_init();
    if let Some(cause) = refused {
        warn!(cause, "NODKEY_LOG is invalid: logging at level info");
    }
}

/// The metrics of this process, in Prometheus text form.
#[must_use]
pub fn metrics() -> String {
    metrics::handle().render()
}

/// Keeps measurements that nobody reads from growing, and reports refusals.
pub(crate) fn upkeep() -> Job {
    Job::new("telemetry", |shutdown| async move {
        let (mut upkeep, mut report) = (tokio::time::interval(UPKEEP), tokio::time::interval(REPORT));
        loop {
            tokio::select! {
                () = shutdown.cancelled() => break,
                _ = upkeep.tick() => metrics::handle().run_upkeep(),
                _ = report.tick() => refusals::report(),
            }
        }
        refusals::report();
    })
}
