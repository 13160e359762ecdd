//! Records what the `metrics` macros measure as instruments of OpenTelemetry.
//!
//! The crates that do this either belong to another version of OpenTelemetry, or give only the first labels of a metric its description.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, PoisonError, atomic::Ordering},
};

use metrics::{Counter, Gauge, Histogram, HistogramFn, Key, KeyName, Metadata, Recorder, SharedString, Unit, atomics::AtomicU64};
use metrics_util::registry::{Registry, Storage};
use opentelemetry::{
    KeyValue,
    metrics::{Histogram as Instrument, Meter},
};

/// Records measurements with a meter.
pub(crate) struct OtlpRecorder(Registry<Key, Instruments>, Descriptions);

/// The upper bounds of the buckets of histograms, by name.
pub(crate) type Buckets = HashMap<&'static str, &'static [f64]>;

type Descriptions = Arc<Mutex<HashMap<String, (Option<Unit>, SharedString)>>>;

impl OtlpRecorder {
    /// Records with a meter; histograms have these buckets.
    pub(crate) fn new(meter: Meter, buckets: Buckets) -> Self {
        let descriptions = Descriptions::default();
        Self(Registry::new(Instruments { meter, buckets, descriptions: Arc::clone(&descriptions) }), descriptions)
    }

    fn describe(&self, name: &KeyName, unit: Option<Unit>, description: SharedString) {
        self.1.lock().unwrap_or_else(PoisonError::into_inner).insert(name.as_str().to_owned(), (unit, description));
    }
}

impl Recorder for OtlpRecorder {
    fn describe_counter(&self, name: KeyName, unit: Option<Unit>, description: SharedString) {
        self.describe(&name, unit, description);
    }

    fn describe_gauge(&self, name: KeyName, unit: Option<Unit>, description: SharedString) {
        self.describe(&name, unit, description);
    }

    fn describe_histogram(&self, name: KeyName, unit: Option<Unit>, description: SharedString) {
        self.describe(&name, unit, description);
    }

    fn register_counter(&self, key: &Key, _: &Metadata<'_>) -> Counter {
        self.0.get_or_create_counter(key, |counter| Counter::from_arc(Arc::clone(counter)))
    }

    fn register_gauge(&self, key: &Key, _: &Metadata<'_>) -> Gauge {
        self.0.get_or_create_gauge(key, |gauge| Gauge::from_arc(Arc::clone(gauge)))
    }

    fn register_histogram(&self, key: &Key, _: &Metadata<'_>) -> Histogram {
        self.0.get_or_create_histogram(key, |histogram| Histogram::from_arc(Arc::clone(histogram)))
    }
}

/// Makes instruments. Counters and gauges are read when they are exported, so that counting costs no more than an addition.
struct Instruments {
    meter: Meter,
    buckets: Buckets,
    descriptions: Descriptions,
}

impl Instruments {
    /// The name of a metric, its unit (UCUM), and its description.
    fn about(&self, key: &Key) -> (String, &'static str, String) {
        let descriptions = self.descriptions.lock().unwrap_or_else(PoisonError::into_inner);
        let (unit, description) = descriptions.get(key.name()).cloned().unwrap_or((None, SharedString::const_str("")));
        let unit = match unit {
            Some(Unit::Seconds) => "s",
            Some(Unit::Bytes) => "By",
            _ if key.name().ends_with("_seconds") => "s",
            _ => "",
        };
        (key.name().to_owned(), unit, description.into_owned())
    }
}

fn labels(key: &Key) -> Vec<KeyValue> {
    key.labels().map(|label| KeyValue::new(label.key().to_owned(), label.value().to_owned())).collect()
}

impl Storage<Key> for Instruments {
    type Counter = Arc<AtomicU64>;
    type Gauge = Arc<AtomicU64>;
    type Histogram = Arc<Measured>;

    fn counter(&self, key: &Key) -> Arc<AtomicU64> {
        let (value, labels, (name, unit, description)) = (Arc::new(AtomicU64::new(0)), labels(key), self.about(key));
        let observed = Arc::clone(&value);
        let counter = self.meter.u64_observable_counter(name).with_unit(unit).with_description(description);
        counter.with_callback(move |observer| observer.observe(observed.load(Ordering::Relaxed), &labels)).build();
        value
    }

    fn gauge(&self, key: &Key) -> Arc<AtomicU64> {
        let (value, labels, (name, unit, description)) = (Arc::new(AtomicU64::new(0)), labels(key), self.about(key));
        let observed = Arc::clone(&value);
        let gauge = self.meter.f64_observable_gauge(name).with_unit(unit).with_description(description);
        gauge.with_callback(move |observer| observer.observe(f64::from_bits(observed.load(Ordering::Relaxed)), &labels)).build();
        value
    }

    fn histogram(&self, key: &Key) -> Arc<Measured> {
        let (name, unit, description) = self.about(key);
        let mut histogram = self.meter.f64_histogram(name).with_unit(unit).with_description(description);
        if let Some(buckets) = self.buckets.get(key.name()) {
            histogram = histogram.with_boundaries(buckets.to_vec());
        }
        Arc::new(Measured(histogram.build(), labels(key)))
    }
}

/// A histogram with these labels.
struct Measured(Instrument<f64>, Vec<KeyValue>);

impl HistogramFn for Measured {
    fn record(&self, value: f64) {
        self.0.record(value, &self.1);
    }
}
