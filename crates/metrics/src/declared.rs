//! What is known of a metric before anything is recorded.

use crate::instrument::Kind;

/// The metrics of a crate.
pub type List = &'static [&'static dyn Declared];

/// A label: its key, and its values where they are fixed.
pub type LabelValues = (&'static str, Option<Vec<&'static str>>);

/// A declared metric.
pub trait Declared: Sync {
    /// Its name.
    fn name(&self) -> &'static str;

    /// Its kind.
    fn kind(&self) -> Kind;

    /// Its description: one sentence.
    fn help(&self) -> &'static str;

    /// Its labels.
    fn labels(&self) -> Vec<LabelValues>;

    /// The upper bounds of the buckets of a histogram; none of anything else.
    fn buckets(&self) -> &'static [f64];

    /// Describes the metric to the recorder of this process, and begins to record. Doing it again changes nothing.
    fn declare(&self);
}
