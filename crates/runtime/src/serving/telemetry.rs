//! Logs and metrics.

use std::{io::IsTerminal as _, sync::OnceLock, time::Duration};

use metrics_exporter_prometheus::{PrometheusBuilder, PrometheusHandle};
use tracing::warn;
use tracing_subscriber::{EnvFilter, fmt};

use super::service::Job;
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

/// Starts logging to standard error. `filter` is in the format of `NODKEY_LOG`: `info`, `nodkey_gateway=debug,warn`. If it is invalid,
/// `info` is used, and that is the first thing logged.
pub fn init(format: LogFormat, filter: &str) {
    let read = EnvFilter::try_new(filter);
    let refused = read.as_ref().err().map(ToString::to_string);
    let filter = read.unwrap_or_else(|_| EnvFilter::new("info"));
    let builder = fmt().with_env_filter(filter).with_writer(std::io::stderr).with_ansi(std::io::stderr().is_terminal());
    // A second call in the same process has no effect: tests start many worlds.
    let _ = match format {
        LogFormat::Json => builder.json().flatten_event(true).try_init(),
        LogFormat::Pretty => builder.with_target(false).compact().try_init(),
    };
    if let Some(cause) = refused {
        warn!(cause, "NODKEY_LOG is invalid: logging at level info");
    }
}

/// The metrics of this process, in Prometheus text form.
#[must_use]
pub fn metrics() -> String {
    handle().render()
}

/// Keeps measurements that nobody reads from growing, and reports refusals.
pub(crate) fn upkeep() -> Job {
    Job::new("telemetry", |shutdown| async move {
        let (mut upkeep, mut report) = (tokio::time::interval(UPKEEP), tokio::time::interval(REPORT));
        loop {
            tokio::select! {
                () = shutdown.cancelled() => break,
                _ = upkeep.tick() => handle().run_upkeep(),
                _ = report.tick() => refusals::report(),
            }
        }
        refusals::report();
    })
}

/// Installs the recorder of this process, once.
///
/// # Panics
/// If another recorder was installed before.
pub(crate) fn handle() -> &'static PrometheusHandle {
    static HANDLE: OnceLock<PrometheusHandle> = OnceLock::new();
    HANDLE.get_or_init(|| PrometheusBuilder::new().install_recorder().expect("one recorder a process"))
}
