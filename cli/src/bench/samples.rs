//! The measurements of a run: histograms of latency, and failures by reason.

use std::{
    collections::BTreeMap,
    fmt::{self, Display},
    time::Duration,
};

use hdrhistogram::Histogram;
use serde::Serialize;

use super::number;

/// The longest time that the histogram resolves, in microseconds.
const LONGEST: u64 = 600_000_000;
/// The number of significant decimal digits.
const DIGITS: u8 = 3;

/// Why an authentication did not complete: the step, and a reason from a small set.
#[derive(Clone, Debug, thiserror::Error)]
#[error("{step}: {reason}")]
pub struct Fault {
    step: &'static str,
    reason: String,
}

impl Fault {
    /// A fault of a step.
    pub fn new(step: &'static str, reason: impl Display) -> Self {
        Self { step, reason: reason.to_string() }
    }
}

/// The durations of the parts of one authentication.
#[derive(Clone, Copy, Debug)]
pub struct Times {
    /// The call that creates the trusonafication.
    pub create: Duration,
    /// From that call until the phone has the challenge.
    pub create_to_phone: Duration,
    /// From the phone's answer until the watching backend has the result.
    pub answer_to_result: Duration,
    /// From when it was due until the result.
    pub whole: Duration,
}

/// Histograms and failures.
#[derive(Debug)]
pub struct Samples {
    parts: [Histogram<u64>; 4],
    errors: BTreeMap<String, u64>,
}

/// Some quantiles, in milliseconds.
#[derive(Clone, Copy, Debug, Serialize)]
pub struct Quantiles {
    /// The median.
    pub p50: f64,
    /// 90 of 100 are faster.
    pub p90: f64,
    /// 99 of 100 are faster.
    pub p99: f64,
    /// 999 of 1,000 are faster.
    pub p999: f64,
    /// The slowest.
    pub max: f64,
}

/// The latency of each part, and the failures.
#[derive(Clone, Debug, Serialize)]
pub struct Summary {
    /// How many completed.
    pub completed: u64,
    /// How many failed, by reason.
    pub errors: BTreeMap<String, u64>,
    /// In milliseconds, by part.
    pub latency_ms: BTreeMap<&'static str, Quantiles>,
}

impl Samples {
    /// The parts, in the order of [`Times`].
    pub const PARTS: [&str; 4] = ["create", "create_to_phone", "answer_to_result", "whole"];

    /// Makes empty samples.
    pub fn new() -> anyhow::Result<Self> {
        let empty = || Histogram::new_with_bounds(1, LONGEST, DIGITS);
        Ok(Self { parts: [empty()?, empty()?, empty()?, empty()?], errors: BTreeMap::new() })
    }

    /// Records one outcome.
    pub fn record(&mut self, outcome: Result<Times, Fault>) {
        match outcome {
            Ok(times) => {
                let parts = [times.create, times.create_to_phone, times.answer_to_result, times.whole];
                for (histogram, took) in self.parts.iter_mut().zip(parts) {
                    histogram.saturating_record(u64::try_from(took.as_micros()).unwrap_or(LONGEST));
                }
            }
            Err(fault) => *self.errors.entry(fault.to_string()).or_default() += 1,
        }
    }

    /// How many completed so far.
    pub fn completed(&self) -> u64 {
        self.parts[0].len()
    }

    /// How many failed so far.
    pub fn failed(&self) -> u64 {
        self.errors.values().sum()
    }

    /// Summarizes the samples.
    pub fn summary(&self) -> Summary {
        let latency_ms = Self::PARTS.into_iter().zip(&self.parts).map(|(name, part)| (name, Quantiles::of(part))).collect();
        Summary { completed: self.completed(), errors: self.errors.clone(), latency_ms }
    }
}

impl Quantiles {
    /// Reads the quantiles of a histogram of microseconds.
    pub fn of(histogram: &Histogram<u64>) -> Self {
        let at = |quantile| millis(histogram.value_at_quantile(quantile));
        Self { p50: at(0.5), p90: at(0.9), p99: at(0.99), p999: at(0.999), max: millis(histogram.max()) }
    }
}

impl Display for Quantiles {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:.1} | {:.1} | {:.1} | {:.1} | {:.1}", self.p50, self.p90, self.p99, self.p999, self.max)
    }
}

fn millis(micros: u64) -> f64 {
    number(micros) / 1000.0
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn completed_ones_are_measured_and_failures_counted_by_reason() {
        let mut samples = Samples::new().unwrap();
        let part = Duration::from_millis(2);
        for _ in 0..3 {
            samples.record(Ok(Times { create: part, create_to_phone: part, answer_to_result: part, whole: part * 3 }));
        }
        samples.record(Err(Fault::new("create", "UNAVAILABLE")));
        let summary = samples.summary();
        assert_eq!((summary.completed, summary.errors["create: UNAVAILABLE"]), (3, 1));
        assert!((summary.latency_ms["whole"].p50 - 6.0).abs() < 0.01);
        assert!((summary.latency_ms["create"].max - 2.0).abs() < 0.01);
    }
}
