//! Until when the commit of what rests on others' word may begin.

use std::time::Duration;

use nodkey_kernel::time::{Clock, Timestamp};

/// How long before the earliest deadline of those it has a group of SQLite's takes in no more, and is committed: half of what owners' word is
/// good for. Who has waited longer than that for its turn would wait as long for its commit.
const CLOSING: Duration = Duration::from_millis(25);

/// Until when a commit may begin.
#[derive(Clone, Debug)]
pub(crate) struct Deadline {
    clock: Clock,
    at: Timestamp,
}

impl Deadline {
    pub(crate) fn new(clock: &Clock, at: Timestamp) -> Self {
        Self { clock: clock.clone(), at }
    }

    /// Whether it has passed.
    pub(crate) fn has_passed(&self) -> bool {
        self.clock.now() > self.at
    }

    /// Whether no other should be waited for any more.
    pub(crate) fn is_near(&self) -> bool {
        self.clock.now() + CLOSING > self.at
    }

    /// The earlier of two.
    pub(crate) fn earlier(self, other: Option<Self>) -> Self {
        match other {
            Some(other) if other.at < self.at => other,
            _ => self,
        }
    }
}
