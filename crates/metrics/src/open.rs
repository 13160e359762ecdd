//! Metrics whose label values are known only at run time.

use std::marker::PhantomData;

use metrics::{Key, SharedString};

use crate::{
    declared::{Declared, LabelValues},
    instrument::{Instrument, Kind},
};

/// A metric with `N` labels, whose values must still be few: names of ours, never anything that a caller chooses.
pub struct Open<I, const N: usize> {
    name: &'static str,
    keys: [&'static str; N],
    help: &'static str,
    buckets: &'static [f64],
    instrument: PhantomData<fn() -> I>,
}

impl<I, const N: usize> Open<I, N> {
    const fn declared(name: &'static str, keys: [&'static str; N], help: &'static str, buckets: &'static [f64]) -> Self {
        Self { name, keys, help, buckets, instrument: PhantomData }
    }
}

impl<const N: usize> Open<metrics::Counter, N> {
    /// Declares a counter with these label keys.
    #[must_use]
    pub const fn new(name: &'static str, keys: [&'static str; N], help: &'static str) -> Self {
        Self::declared(name, keys, help, &[])
    }
}

impl<const N: usize> Open<metrics::Gauge, N> {
    /// Declares a gauge with these label keys.
    #[must_use]
    pub const fn new(name: &'static str, keys: [&'static str; N], help: &'static str) -> Self {
        Self::declared(name, keys, help, &[])
    }
}

impl<const N: usize> Open<metrics::Histogram, N> {
    /// Declares a histogram with these upper bounds and label keys.
    #[must_use]
    pub const fn new(name: &'static str, keys: [&'static str; N], buckets: &'static [f64], help: &'static str) -> Self {
        Self::declared(name, keys, help, buckets)
    }
}

impl<I: Instrument, const N: usize> Open<I, N> {
    /// The handle for these values. It is looked up, so keep it where it is used often. One that was taken before the recorder was
    /// installed records nothing.
    pub fn with<V: Into<SharedString>>(&self, values: [V; N]) -> I {
        let labels = self.keys.into_iter().zip(values).map(|(key, value)| metrics::Label::new(key, value)).collect::<Vec<_>>();
        I::register(Key::from_parts(self.name, labels))
    }
}

impl<I: Instrument, const N: usize> Declared for Open<I, N> {
    fn name(&self) -> &'static str {
        self.name
    }

    fn kind(&self) -> Kind {
        I::KIND
    }

    fn help(&self) -> &'static str {
        self.help
    }

    fn labels(&self) -> Vec<LabelValues> {
        self.keys.into_iter().map(|key| (key, None)).collect()
    }

    fn buckets(&self) -> &'static [f64] {
        self.buckets
    }

    fn declare(&self) {
        I::describe(self.name, self.help);
    }
}
