//! An OTLP receiver, as a collector is one.

use std::{
    collections::{BTreeMap, BTreeSet},
    net::SocketAddr,
    sync::{Arc, Mutex},
};

use axum::{Router, body::Bytes, extract::State, routing::post};
use opentelemetry_proto::tonic::{
    collector::{logs::v1::ExportLogsServiceRequest, metrics::v1::ExportMetricsServiceRequest, trace::v1::ExportTraceServiceRequest},
    common::v1::{AnyValue, KeyValue, any_value::Value},
    logs::v1::LogRecord,
    metrics::v1::Metric,
    resource::v1::Resource,
    trace::v1::Span,
};
use prost::Message as _;
use tokio::net::TcpListener;

/// Everything that was received so far. Cheap to clone.
#[derive(Clone, Default)]
pub struct Collector {
    /// Its URL, for `OTEL_EXPORTER_OTLP_ENDPOINT`.
    pub url: String,
    received: Arc<Mutex<Received>>,
}

#[derive(Default)]
struct Received {
    /// With the name of the process that each came from.
    spans: Vec<(String, Span)>,
    metrics: Vec<(String, Metric)>,
    logs: Vec<(String, LogRecord)>,
    /// Every byte.
    raw: Vec<u8>,
}

impl Collector {
    /// Starts a receiver on a free port.
    pub async fn start() -> Self {
        let listener = TcpListener::bind(SocketAddr::from(([127, 0, 0, 1], 0))).await.unwrap();
        let collector = Self { url: format!("http://{}", listener.local_addr().unwrap()), received: Arc::default() };
        let routes = Router::new()
            .route("/v1/traces", post(traces))
            .route("/v1/metrics", post(metrics))
            .route("/v1/logs", post(logs))
            .with_state(collector.clone());
        tokio::spawn(async move { axum::serve(listener, routes).await });
        collector
    }

    /// The environment of a process that exports here at once.
    pub fn environment(&self) -> [(&'static str, String); 4] {
        [
            ("OTEL_EXPORTER_OTLP_ENDPOINT", self.url.clone()),
            ("OTEL_BSP_SCHEDULE_DELAY", "50".into()),
            ("OTEL_BLRP_SCHEDULE_DELAY", "50".into()),
            ("OTEL_METRIC_EXPORT_INTERVAL", "200".into()),
        ]
    }

    /// The spans of a trace, with the names of their processes.
    pub fn trace(&self, id: &str) -> Vec<(String, Span)> {
        let received = self.received.lock().unwrap();
        received.spans.iter().filter(|(_, span)| hex::encode(&span.trace_id) == id).cloned().collect()
    }

    /// The ids of all traces.
    pub fn traces(&self) -> BTreeSet<String> {
        self.received.lock().unwrap().spans.iter().map(|(_, span)| hex::encode(&span.trace_id)).collect()
    }

    /// The spans that link a trace.
    pub fn linking(&self, id: &str) -> Vec<Span> {
        let links = |span: &Span| span.links.iter().any(|link| hex::encode(&link.trace_id) == id);
        self.received.lock().unwrap().spans.iter().filter(|(_, span)| links(span)).map(|(_, span)| span.clone()).collect()
    }

    /// The latest of each metric, by the process that it came from and its name.
    pub fn metrics(&self) -> BTreeMap<(String, String), Metric> {
        let received = self.received.lock().unwrap();
        received.metrics.iter().map(|(process, metric)| ((process.clone(), metric.name.clone()), metric.clone())).collect()
    }

    /// The log records of a trace.
    pub fn logs(&self, trace_id: &str) -> Vec<LogRecord> {
        let received = self.received.lock().unwrap();
        received.logs.iter().filter(|(_, record)| hex::encode(&record.trace_id) == trace_id).map(|(_, record)| record.clone()).collect()
    }

    /// Whether anything at all was received.
    pub fn is_empty(&self) -> bool {
        self.received.lock().unwrap().raw.is_empty()
    }

    /// Whether this text was received, in whatever.
    pub fn holds(&self, text: &str) -> bool {
        self.received.lock().unwrap().raw.windows(text.len()).any(|window| window == text.as_bytes())
    }
}

/// An attribute of a span, as text; empty if it has none of this name.
pub fn attribute(span: &Span, name: &str) -> String {
    text(&span.attributes, name)
}

fn text(attributes: &[KeyValue], name: &str) -> String {
    let found = attributes.iter().find(|attribute| attribute.key == name).and_then(|attribute| attribute.value.clone());
    match found {
        Some(AnyValue { value: Some(Value::StringValue(text)) }) => text,
        Some(AnyValue { value: Some(Value::IntValue(number)) }) => number.to_string(),
        _ => String::new(),
    }
}

fn process(resource: Option<Resource>) -> String {
    text(&resource.unwrap_or_default().attributes, "service.name")
}

async fn traces(State(collector): State<Collector>, body: Bytes) {
    let request = ExportTraceServiceRequest::decode(body.clone()).unwrap();
    let mut received = collector.received.lock().unwrap();
    received.raw.extend_from_slice(&body);
    for of in request.resource_spans {
        let process = process(of.resource);
        received.spans.extend(of.scope_spans.into_iter().flat_map(|scope| scope.spans).map(|span| (process.clone(), span)));
    }
}

async fn metrics(State(collector): State<Collector>, body: Bytes) {
    let request = ExportMetricsServiceRequest::decode(body.clone()).unwrap();
    let mut received = collector.received.lock().unwrap();
    received.raw.extend_from_slice(&body);
    for of in request.resource_metrics {
        let process = process(of.resource);
        received.metrics.extend(of.scope_metrics.into_iter().flat_map(|scope| scope.metrics).map(|metric| (process.clone(), metric)));
    }
}

async fn logs(State(collector): State<Collector>, body: Bytes) {
    let request = ExportLogsServiceRequest::decode(body.clone()).unwrap();
    let mut received = collector.received.lock().unwrap();
    received.raw.extend_from_slice(&body);
    for of in request.resource_logs {
        let process = process(of.resource);
        received.logs.extend(of.scope_logs.into_iter().flat_map(|scope| scope.log_records).map(|record| (process.clone(), record)));
    }
}
