//! A bar for long work on databases.

use std::{io::IsTerminal as _, time::Duration};

use indicatif::{ProgressBar, ProgressStyle};

/// The progress of a command. It shows on a terminal only.
#[derive(Clone, Debug)]
pub struct Progress(ProgressBar);

impl Progress {
    pub fn new(quiet: bool) -> Self {
        if quiet || !std::io::stderr().is_terminal() {
            return Self(ProgressBar::hidden());
        }
        let style =
            ProgressStyle::with_template("{bar:30} {pos}/{len} {wide_msg} {elapsed}").unwrap_or_else(|_| ProgressStyle::default_bar());
        let bar = ProgressBar::new(0).with_style(style);
        bar.enable_steady_tick(Duration::from_millis(200));
        Self(bar)
    }

    /// Adds steps to those that there are.
    pub fn expect(&self, steps: usize) {
        self.0.inc_length(steps as u64);
    }

    /// Says what is being done.
    pub fn doing(&self, what: impl Into<String>) {
        self.0.set_message(what.into());
    }

    /// Ends a step.
    pub fn done(&self) {
        self.0.inc(1);
    }

    /// Clears the bar.
    pub fn finish(&self) {
        self.0.finish_and_clear();
    }
}
