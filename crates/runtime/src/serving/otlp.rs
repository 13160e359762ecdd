//! Traces, metrics and logs by OTLP (OpenTelemetry Protocol), as the environment variables of OpenTelemetry's specification say.

mod recorder;

use std::{
    env::{self, VarError},
    sync::OnceLock,
    time::Duration,
};

use anyhow::Context as _;
use opentelemetry::{KeyValue, metrics::MeterProvider as _};
use opentelemetry_otlp::{LogExporter, MetricExporter, SpanExporter};
use opentelemetry_sdk::{Resource, logs::SdkLoggerProvider, metrics::SdkMeterProvider, trace::SdkTracerProvider};
use tracing::warn;

pub(super) use self::recorder::{Buckets, OtlpRecorder};

/// How long the last exports may take when a process ends.
const FAREWELL: Duration = Duration::from_secs(5);
/// The samplers of the specification that the SDK has (`OTEL_TRACES_SAMPLER`).
const SAMPLERS: [&str; 6] =
    ["always_on", "always_off", "traceidratio", "parentbased_always_on", "parentbased_always_off", "parentbased_traceidratio"];
static METERS: OnceLock<SdkMeterProvider> = OnceLock::new();

/// What is exported. Nothing, unless the environment names where to.
#[derive(Debug, Default)]
pub struct Otlp {
    traces: Option<SdkTracerProvider>,
    metrics: Option<SdkMeterProvider>,
    pub(super) logs: Option<SdkLoggerProvider>,
}

/// A signal of OpenTelemetry.
#[derive(Clone, Copy, Debug)]
enum Signal {
    Traces,
    Metrics,
    Logs,
}

impl Signal {
    const fn name(self) -> &'static str {
        match self {
            Self::Traces => "TRACES",
            Self::Metrics => "METRICS",
            Self::Logs => "LOGS",
        }
    }
}

impl Otlp {
    /// Starts what the environment asks for. `service` is the name of the process, which `OTEL_SERVICE_NAME` overrides.
    ///
    /// # Errors
    /// A variable has a value that is not supported; the error names it.
    pub fn of_environment(service: &str) -> anyhow::Result<Self> {
        let [traces, metrics, logs] = Self::wanted()?;
        let resource = || {
            let builder = match variable("OTEL_SERVICE_NAME")? {
                Some(_) => Resource::builder(),
                None => Resource::builder().with_service_name(service.to_owned()),
            };
            let version = KeyValue::new(nodkey_trace::attribute::SERVICE_VERSION, env!("CARGO_PKG_VERSION"));
            anyhow::Ok(builder.with_attribute(version).build())
        };
        let mut started = Self::default();
        if traces {
            let exporter = SpanExporter::builder().with_http().build().context("OTLP traces")?;
            let provider = SdkTracerProvider::builder().with_batch_exporter(exporter).with_resource(resource()?).build();
            nodkey_trace::install(&provider);
            started.traces = Some(provider);
        }
        if metrics {
            let exporter = MetricExporter::builder().with_http().build().context("OTLP metrics")?;
            let provider = SdkMeterProvider::builder().with_periodic_exporter(exporter).with_resource(resource()?).build();
            let _ = METERS.set(provider.clone());
            started.metrics = Some(provider);
        }
        if logs {
            let exporter = LogExporter::builder().with_http().build().context("OTLP logs")?;
            started.logs = Some(SdkLoggerProvider::builder().with_batch_exporter(exporter).with_resource(resource()?).build());
        }
        Ok(started)
    }

    /// Whether traces, metrics and logs are exported.
    ///
    /// # Errors
    /// As [`Self::of_environment`].
    pub(super) fn wanted() -> anyhow::Result<[bool; 3]> {
        check_sampler(&variable)?;
        let wanted = |signal| is_wanted(signal, &variable);
        Ok([wanted(Signal::Traces)?, wanted(Signal::Metrics)?, wanted(Signal::Logs)?])
    }

    /// Exports what is left, and ends. It may take some seconds, and must not run on an asynchronous task.
    pub fn end(self) {
        let Self { traces, metrics, logs } = self;
        let ended = [
            ("traces", traces.map(|provider| provider.shutdown_with_timeout(FAREWELL))),
            ("metrics", metrics.map(|provider| provider.shutdown_with_timeout(FAREWELL))),
            ("logs", logs.map(|provider| provider.shutdown_with_timeout(FAREWELL))),
        ];
        for (signal, ended) in ended {
            if let Some(Err(error)) = ended {
                warn!(signal, %error, "the last telemetry was not exported");
            }
        }
    }
}

/// Where metrics are recorded for export, if they are exported. Histograms have these buckets, by name.
pub(super) fn recorder(buckets: Buckets) -> Option<OtlpRecorder> {
    METERS.get().map(|provider| OtlpRecorder::new(provider.meter("nodkey"), buckets))
}

/// A variable of the environment; empty ones count as unset, as the specification says.
#[expect(clippy::disallowed_methods, reason = "the SDK reads the others itself")]
fn variable(name: &str) -> anyhow::Result<Option<String>> {
    match env::var(name) {
        Ok(value) => Ok(Some(value).filter(|value| !value.is_empty())),
        Err(VarError::NotPresent) => Ok(None),
        Err(VarError::NotUnicode(_)) => anyhow::bail!("{name} is not UTF-8"),
    }
}

type Variables<'a> = &'a dyn Fn(&str) -> anyhow::Result<Option<String>>;

/// Whether a signal is exported: its exporter is `otlp`, or an endpoint is named and its exporter is not `none`.
fn is_wanted(signal: Signal, variable: Variables<'_>) -> anyhow::Result<bool> {
    if variable("OTEL_SDK_DISABLED")?.is_some_and(|disabled| disabled.eq_ignore_ascii_case("true")) {
        return Ok(false);
    }
    let name = signal.name();
    let exporter = format!("OTEL_{name}_EXPORTER");
    let wanted = match variable(&exporter)?.as_deref() {
        Some("none") => false,
        Some("otlp") => true,
        Some(other) => anyhow::bail!("{exporter} is {other:?}: otlp and none are supported"),
        None => {
            let own = variable(&format!("OTEL_EXPORTER_OTLP_{name}_ENDPOINT"))?;
            own.or(variable("OTEL_EXPORTER_OTLP_ENDPOINT")?).is_some()
        }
    };
    if wanted {
        for protocol in ["OTEL_EXPORTER_OTLP_PROTOCOL".to_owned(), format!("OTEL_EXPORTER_OTLP_{name}_PROTOCOL")] {
            if let Some(other) = variable(&protocol)?.filter(|value| value != "http/protobuf") {
                anyhow::bail!("{protocol} is {other:?}: http/protobuf is supported, usually at port 4318");
            }
        }
    }
    Ok(wanted)
}

fn check_sampler(variable: Variables<'_>) -> anyhow::Result<()> {
    let Some(sampler) = variable("OTEL_TRACES_SAMPLER")? else { return Ok(()) };
    anyhow::ensure!(SAMPLERS.contains(&sampler.as_str()), "OTEL_TRACES_SAMPLER is {sampler:?}: it must be one of {}", SAMPLERS.join(", "));
    if sampler.ends_with("traceidratio") {
        let ratio = variable("OTEL_TRACES_SAMPLER_ARG")?.and_then(|text| text.parse::<f64>().ok());
        anyhow::ensure!(
            ratio.is_some_and(|ratio| (0.0..=1.0).contains(&ratio)),
            "OTEL_TRACES_SAMPLER_ARG must be from 0 to 1 for {sampler}"
        );
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn given(variables: &[(&str, &str)], signal: Signal) -> Result<bool, String> {
        let variable = |name: &str| Ok(variables.iter().find(|(given, _)| *given == name).map(|(_, value)| (*value).to_owned()));
        is_wanted(signal, &variable).map_err(|e| e.to_string())
    }

    #[test]
    fn nothing_is_exported_unless_the_environment_says_where() {
        let endpoint = ("OTEL_EXPORTER_OTLP_ENDPOINT", "http://collector:4318");
        assert_eq!(given(&[], Signal::Traces), Ok(false));
        for signal in [Signal::Traces, Signal::Metrics, Signal::Logs] {
            assert_eq!(given(&[endpoint], signal), Ok(true));
            assert_eq!(given(&[endpoint, ("OTEL_SDK_DISABLED", "true")], signal), Ok(false));
        }
        let own = [("OTEL_EXPORTER_OTLP_LOGS_ENDPOINT", "http://logs:4318/v1/logs")];
        assert_eq!((given(&own, Signal::Logs), given(&own, Signal::Traces)), (Ok(true), Ok(false)));
        let none = [endpoint, ("OTEL_METRICS_EXPORTER", "none")];
        assert_eq!((given(&none, Signal::Metrics), given(&none, Signal::Traces)), (Ok(false), Ok(true)));
        assert_eq!(given(&[("OTEL_TRACES_EXPORTER", "otlp")], Signal::Traces), Ok(true), "to this machine");
    }

    #[test]
    fn what_is_not_supported_is_refused_by_its_name() {
        let endpoint = ("OTEL_EXPORTER_OTLP_ENDPOINT", "http://collector:4317");
        for (name, value) in [
            ("OTEL_TRACES_EXPORTER", "zipkin"),
            ("OTEL_EXPORTER_OTLP_PROTOCOL", "grpc"),
            ("OTEL_EXPORTER_OTLP_TRACES_PROTOCOL", "http/json"),
        ] {
            let refused = given(&[endpoint, (name, value)], Signal::Traces).unwrap_err();
            assert!(refused.starts_with(&format!("{name} is {value:?}")), "{refused}");
        }
        let sampler = |variables: &[(&str, &str)]| {
            check_sampler(&|name| Ok(variables.iter().find(|(given, _)| *given == name).map(|(_, value)| (*value).to_owned()))).is_ok()
        };
        assert!(sampler(&[]) && sampler(&[("OTEL_TRACES_SAMPLER", "always_off")]));
        assert!(sampler(&[("OTEL_TRACES_SAMPLER", "parentbased_traceidratio"), ("OTEL_TRACES_SAMPLER_ARG", "0.01")]));
        for refused in [
            &[("OTEL_TRACES_SAMPLER", "xray")][..],
            &[("OTEL_TRACES_SAMPLER", "traceidratio")],
            &[("OTEL_TRACES_SAMPLER", "traceidratio"), ("OTEL_TRACES_SAMPLER_ARG", "2")],
        ] {
            assert!(!sampler(refused), "{refused:?}");
        }
    }
}
