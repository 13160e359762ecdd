//! Metrics of a process, and the recorder that all metrics of the process go to.

use std::sync::OnceLock;

use metrics_exporter_prometheus::{Matcher, PrometheusBuilder, PrometheusHandle};
use metrics_util::layers::FanoutBuilder;
use nodkey_metrics::{Counter, Gauge, List, OpenCounter, OpenGauge};

use super::otlp::{self, Buckets};
use crate::{call, identity, signing, use_case};

pub(super) static BUILD: OpenGauge<1> = OpenGauge::new("nodkey_build_info", ["version"], "Always 1; the version is a label.");

pub(super) static CONNECTIONS: Gauge = Gauge::of_none_yet("nodkey_connections", &[], "Open connections of clients.");

pub(super) static TLS_HANDSHAKES_FAILED: Counter =
    Counter::new("nodkey_tls_handshakes_failed_total", &[], "Connections that ended during the TLS handshake.");

pub(super) static TLS_CERTIFICATE_VALID: Gauge = Gauge::new(
    "nodkey_tls_certificate_valid",
    &[],
    "1 while the files hold a usable certificate and key, 0 while the previous pair is in use.",
);

pub(super) static TLS_CERTIFICATE_NOT_AFTER: Gauge =
    Gauge::new("nodkey_tls_certificate_not_after_timestamp_seconds", &[], "When the certificate in use expires, in seconds since 1970.");

pub(super) static RETENTION_DELETED: OpenCounter<2> =
    OpenCounter::new("nodkey_retention_deleted_total", ["service", "table"], "Rows that were deleted because they were old.");

pub(super) static DEAD_LETTERS: OpenGauge<1> =
    OpenGauge::new("nodkey_dead_letters", ["service"], "Events that were given up and are kept, up to 10,000.");

static METRICS: List =
    &[&BUILD, &CONNECTIONS, &TLS_HANDSHAKES_FAILED, &TLS_CERTIFICATE_VALID, &TLS_CERTIFICATE_NOT_AFTER, &RETENTION_DELETED, &DEAD_LETTERS];

/// The metrics that every process has, in addition to those of its services.
#[must_use]
pub fn common() -> Vec<List> {
    vec![
        nodkey_db::METRICS,
        nodkey_bus::METRICS,
        call::metrics::METRICS,
        identity::metrics::METRICS,
        use_case::metrics::METRICS,
        signing::metrics::METRICS,
        METRICS,
    ]
}

static HANDLE: OnceLock<PrometheusHandle> = OnceLock::new();

/// Installs the recorder of this process, once, and declares the metrics of everything that runs in it. Call it before the first metric:
/// what is recorded earlier is lost.
///
/// # Panics
/// If another recorder was installed before.
pub(super) fn start(of_services: &[List]) {
    let lists = [common(), of_services.to_vec()].concat();
    HANDLE.get_or_init(|| install(&lists));
    for metric in lists.into_iter().flatten() {
        metric.declare();
    }
    BUILD.with([env!("CARGO_PKG_VERSION")]).set(1);
}

/// The recorder of this process.
pub(super) fn handle() -> &'static PrometheusHandle {
    HANDLE.get_or_init(|| install(&common()))
}

/// Installs the recorder, which exports by OTLP as well if anything is. Buckets, unlike summaries, add up over replicas.
fn install(lists: &[List]) -> PrometheusHandle {
    let metrics = lists.iter().copied().flatten().map(|metric| (metric.name(), metric.buckets()));
    let buckets: Buckets = metrics.filter(|(_, buckets)| !buckets.is_empty()).collect();
    let builder = buckets.iter().fold(PrometheusBuilder::new(), |builder, (name, buckets)| {
        builder.set_buckets_for_metric(Matcher::Full((*name).to_owned()), buckets).expect("there are buckets")
    });
    let prometheus = builder.build_recorder();
    let handle = prometheus.handle();
    let installed = match otlp::recorder(buckets) {
        Some(otlp) => metrics::set_global_recorder(FanoutBuilder::default().add_recorder(prometheus).add_recorder(otlp).build()).is_ok(),
        None => metrics::set_global_recorder(prometheus).is_ok(),
    };
    assert!(installed, "one recorder a process");
    handle
}
