//! How metrics are declared: each once, as a static, with its name, its description and the values of its labels.
//!
//! The unit is the end of the name, as Prometheus has it: `_seconds`, `_bytes`, else a count. A [`Family`] has labels whose values are
//! enums: its handles are kept, so that recording neither looks anything up nor allocates, and what counts begins at zero, so that the
//! first increment is one. An [`Open`] family has labels whose values are known only at run time, such as tables and routes. Nothing is
//! recorded before a process has installed its recorder and called [`Declared::declare`].

mod declared;
mod family;
mod instrument;
mod label;
mod open;

pub use declared::{Declared, LabelValues, List};
pub use family::Family;
pub use instrument::{Instrument, Kind};
pub use label::{Label, Labels};
pub use metrics::SharedString;
pub use open::Open;

/// Counts what only grows; its name ends in `_total`.
pub type Counter<L = ()> = Family<metrics::Counter, L>;
/// A value that rises and falls.
pub type Gauge<L = ()> = Family<metrics::Gauge, L>;
/// A distribution in buckets, which add up over replicas.
pub type Histogram<L = ()> = Family<metrics::Histogram, L>;

/// A counter whose label values are known only at run time.
pub type OpenCounter<const N: usize> = Open<metrics::Counter, N>;
/// A gauge whose label values are known only at run time.
pub type OpenGauge<const N: usize> = Open<metrics::Gauge, N>;
/// A histogram whose label values are known only at run time.
pub type OpenHistogram<const N: usize> = Open<metrics::Histogram, N>;

/// Upper bounds for the duration of work, in seconds. 0.1 and 0.25 are the targets of admission control, 10 the longest deadline.
pub const WORK: &[f64] = &[0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 10.0];
/// Upper bounds for the duration of waits and of what people do, in seconds.
pub const WAITS: &[f64] = &[1.0, 2.0, 5.0, 10.0, 15.0, 20.0, 30.0, 45.0, 60.0, 90.0, 120.0, 300.0, 900.0, 3600.0];
