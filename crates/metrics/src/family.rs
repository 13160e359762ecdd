//! Metrics whose labels have fixed values.

use std::{marker::PhantomData, ops::Deref, sync::OnceLock};

use metrics::Key;

use crate::{
    declared::{Declared, LabelValues},
    instrument::{Instrument, Kind},
    label::{Labels, combinations},
};

/// A metric for every combination of the values of its labels.
pub struct Family<I, L = ()> {
    name: &'static str,
    keys: &'static [&'static str],
    help: &'static str,
    buckets: &'static [f64],
    /// Whether every combination is served from the start.
    from_zero: bool,
    handles: OnceLock<Box<[OnceLock<I>]>>,
    labels: PhantomData<fn(L)>,
}

impl<I, L> Family<I, L> {
    const fn declared(
        name: &'static str,
        keys: &'static [&'static str],
        help: &'static str,
        buckets: &'static [f64],
        from_zero: bool,
    ) -> Self {
        Self { name, keys, help, buckets, from_zero, handles: OnceLock::new(), labels: PhantomData }
    }
}

impl<L> Family<metrics::Counter, L> {
    /// Declares a counter with these label keys, in the order of `L`. It is served from the start, with every combination at zero.
    #[must_use]
    pub const fn new(name: &'static str, keys: &'static [&'static str], help: &'static str) -> Self {
        Self::declared(name, keys, help, &[], true)
    }
}

impl<L> Family<metrics::Gauge, L> {
    /// Declares a gauge with these label keys. A combination is served once it is set: until then its value is not known.
    #[must_use]
    pub const fn new(name: &'static str, keys: &'static [&'static str], help: &'static str) -> Self {
        Self::declared(name, keys, help, &[], false)
    }

    /// The same, for a gauge that counts what there is now, and begins at zero.
    #[must_use]
    pub const fn of_none_yet(name: &'static str, keys: &'static [&'static str], help: &'static str) -> Self {
        Self::declared(name, keys, help, &[], true)
    }
}

impl<L> Family<metrics::Histogram, L> {
    /// Declares a histogram with these upper bounds and label keys. It is served from the start.
    #[must_use]
    pub const fn new(name: &'static str, keys: &'static [&'static str], buckets: &'static [f64], help: &'static str) -> Self {
        Self::declared(name, keys, help, buckets, true)
    }
}

impl<I: Instrument, L: Labels> Family<I, L> {
    /// The handle for these values. Records nothing before the metric is declared.
    #[must_use]
    pub fn with(&self, labels: L) -> &I {
        let index = labels.index();
        match self.handles.get().and_then(|handles| handles.get(index)) {
            Some(handle) => handle.get_or_init(|| self.register(&combinations::<L>()[index])),
            None => I::noop(),
        }
    }

    fn register(&self, values: &[&'static str]) -> I {
        let labels = self.keys.iter().zip(values).map(|(key, value)| metrics::Label::from_static_parts(key, value)).collect::<Vec<_>>();
        I::register(Key::from_parts(self.name, labels))
    }
}

/// A metric without labels is its only handle.
impl<I: Instrument> Deref for Family<I> {
    type Target = I;

    fn deref(&self) -> &I {
        self.with(())
    }
}

impl<I: Instrument, L: Labels> Declared for Family<I, L> {
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
        self.keys.iter().copied().zip(L::values().into_iter().map(Some)).collect()
    }

    fn buckets(&self) -> &'static [f64] {
        self.buckets
    }

    fn declare(&self) {
        I::describe(self.name, self.help);
        let all = combinations::<L>();
        let handles = self.handles.get_or_init(|| all.iter().map(|_| OnceLock::new()).collect());
        if self.from_zero {
            for (handle, values) in handles.iter().zip(&all) {
                handle.get_or_init(|| self.register(values));
            }
        }
    }
}
