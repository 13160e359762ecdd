//! What records: counters, gauges and histograms, by their handles.

use std::{fmt, sync::LazyLock};

use metrics::{Key, KeyName, Level, Metadata, Unit};

/// What a metric is, by the names of Prometheus.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// Only grows.
    Counter,
    /// Rises and falls.
    Gauge,
    /// A distribution in buckets.
    Histogram,
}

impl fmt::Display for Kind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Counter => "counter",
            Self::Gauge => "gauge",
            Self::Histogram => "histogram",
        })
    }
}

/// A handle that records.
pub trait Instrument: Clone + Send + Sync + 'static {
    /// Its kind.
    const KIND: Kind;

    /// Registers a metric with these labels at the recorder of this process.
    fn register(key: Key) -> Self;

    /// Describes a metric to the recorder of this process.
    fn describe(name: &'static str, help: &'static str);

    /// A handle that records nothing.
    fn noop() -> &'static Self;
}

static METADATA: Metadata<'static> = Metadata::new("nodkey", Level::INFO, None);

/// The unit that the end of a name states.
fn unit(name: &str) -> Unit {
    let name = name.strip_suffix("_total").unwrap_or(name);
    match name.rsplit('_').next() {
        Some("seconds") => Unit::Seconds,
        Some("bytes") => Unit::Bytes,
        _ => Unit::Count,
    }
}

macro_rules! instrument {
    ($kind:ident, $register:ident, $describe:ident) => {
        impl Instrument for metrics::$kind {
            const KIND: Kind = Kind::$kind;

            fn register(key: Key) -> Self {
                metrics::with_recorder(|recorder| recorder.$register(&key, &METADATA))
            }

            fn describe(name: &'static str, help: &'static str) {
                metrics::with_recorder(|recorder| recorder.$describe(KeyName::from_const_str(name), Some(unit(name)), help.into()));
            }

            fn noop() -> &'static Self {
                static NOOP: LazyLock<metrics::$kind> = LazyLock::new(metrics::$kind::noop);
                &NOOP
            }
        }
    };
}

instrument!(Counter, register_counter, describe_counter);
instrument!(Gauge, register_gauge, describe_gauge);
instrument!(Histogram, register_histogram, describe_histogram);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_unit_is_the_end_of_the_name() {
        let units = ["a_seconds", "a_seconds_total", "a_bytes", "a_total", "seconds_of_a", "a"].map(unit);
        assert_eq!(units, [Unit::Seconds, Unit::Seconds, Unit::Bytes, Unit::Count, Unit::Count, Unit::Count]);
    }
}
