//! How far the outbox has been read.

use std::time::Duration;

use tokio::time::Instant;

/// How long a transaction that has written an event may take until its commit. Its row has a lower number than rows that were committed,
/// and read, before.
const SETTLED: Duration = Duration::from_mins(1);
/// How often the whole outbox is read nevertheless.
const WHOLE: Duration = Duration::from_mins(10);

/// A position in the outbox. It is read in passes: from where everything before is settled to the end. So a read does not walk over the rows
/// that were deleted long ago and that the database still keeps, for example for a backup.
#[derive(Debug)]
pub(super) struct Position {
    /// The pass continues behind this.
    after: i64,
    /// The next pass begins behind this.
    start: i64,
    /// The end of a pass, which will be the start once it is settled.
    settling: i64,
    since: Instant,
    /// When to read the whole outbox.
    whole: Instant,
    /// The highest number that is known.
    highest: i64,
    /// The highest number that was known at the end of the last pass, and of the one before.
    ended: i64,
    recent: i64,
}

impl Position {
    /// Before everything.
    pub(super) fn new(now: Instant) -> Self {
        Self { after: 0, start: 0, settling: 0, since: now, whole: now + WHOLE, highest: 0, ended: 0, recent: 0 }
    }

    /// Whether the next read begins a pass.
    pub(super) const fn is_first(&self) -> bool {
        self.after == self.start
    }

    /// The next read begins behind this.
    pub(super) const fn after(&self) -> i64 {
        self.after
    }

    /// Notes an event that the outbox has.
    pub(super) fn saw(&mut self, seq: i64) {
        self.highest = self.highest.max(seq);
    }

    /// Goes on behind what was read.
    pub(super) const fn go_on(&mut self, last: i64) {
        self.after = last;
    }

    /// The highest number that is known.
    pub(super) const fn highest(&self) -> i64 {
        self.highest
    }

    /// What another replica commits now is probably behind this. Between this and the end few rows are deleted.
    pub(super) const fn recent(&self) -> i64 {
        self.recent
    }

    /// Ends a pass whose last read began when `highest` was known: what is committed up to there was read.
    pub(super) fn end(&mut self, highest: i64, now: Instant) {
        if now.saturating_duration_since(self.since) >= SETTLED {
            (self.start, self.settling, self.since) = (self.settling, highest, now);
        }
        self.recent = std::mem::replace(&mut self.ended, self.highest);
        self.after = self.start;
        if now >= self.whole {
            (self.after, self.whole) = (0, now + WHOLE);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_recent_came_in_the_last_two_passes() {
        let now = Instant::now();
        let mut position = Position::new(now);
        for (seen, recent) in [(5, 0), (9, 5), (20, 9), (20, 20)] {
            position.saw(seen);
            // An event that is not published yet holds up the passes, and not this.
            position.end(1, now);
            assert_eq!(position.recent(), recent);
        }
    }

    #[test]
    fn what_was_read_is_read_again_until_no_commit_can_come_before_it_and_once_in_a_while_as_a_whole() {
        let begun = Instant::now();
        let mut position = Position::new(begun);
        let mut starts = Vec::new();
        for second in 1..=700 {
            position.saw(second);
            position.end(position.highest(), begun + Duration::from_secs(u64::try_from(second).unwrap()));
            starts.push(position.after());
        }
        let start = |second: usize| starts[second - 1];
        assert_eq!((start(1), start(119), start(120), start(179), start(180)), (0, 0, 60, 60, 120));
        assert_eq!((start(599), start(600), start(601)), (480, 0, 540));
        for (second, start) in (1i64..).zip(&starts) {
            assert!(*start <= (second - 60).max(0), "{second}: {start}");
        }
    }
}
