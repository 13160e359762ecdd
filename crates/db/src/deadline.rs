//! The latest time at which a commit that relies on other services' answers may begin.

use std::time::Duration;

use nodkey_kernel::time::{Clock, Timestamp};

/// How long before its earliest deadline a SQLite group accepts no more members and is committed: half the time for which other services'
/// answers are valid. A member that waited longer than that for its turn would wait as long for its commit.
const CLOSING: Duration = Duration::from_millis(25);

/// The latest time at which a commit may begin.
#[derive(Clone, Debug)]
pub(crate) struct Deadline {
    clock: Clock,
    at: Timestamp,
}

impl Deadline {
    pub(crate) fn new(clock: &Clock, at: Timestamp) -> Self {
        Self { clock: clock.clone(), at }
    }

    /// Whether the deadline has passed.
    pub(crate) fn has_passed(&self) -> bool {
        self.clock.now() > self.at
    }

    /// Whether it is too late to wait for another member.
    pub(crate) fn is_near(&self) -> bool {
        self.clock.now() + CLOSING > self.at
    }

    /// The earlier of two deadlines.
    pub(crate) fn earlier(self, other: Option<Self>) -> Self {
        match other {
            Some(other) if other.at < self.at => other,
            _ => self,
        }
    }
}
