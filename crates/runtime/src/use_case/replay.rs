//! Requests to publish events again from the database.

use std::time::Duration;

use nodkey_db::{Db, DbError, outbox};
use nodkey_kernel::time::Timestamp;
use nodkey_proto::convert::{TimestampMessage, from_timestamp};

use super::{
    failure::{Failure, Validation},
    page::{Cursor, Page},
};

/// How old an event may be. Consumers refuse events that are older than their memory of handled events, which is longer.
const MAX_AGE: Duration = Duration::from_hours(7 * 24);

/// What to publish again: what happened within a time, behind a position.
#[derive(Clone, Debug)]
pub struct Span {
    /// Start, inclusive.
    pub since: Timestamp,
    /// End, exclusive; not in the future.
    pub until: Timestamp,
    /// Where to continue; `None` at the start.
    pub after: Option<Cursor>,
}

/// What was published.
#[derive(Debug)]
pub struct Replayed {
    /// Number of events.
    pub count: i32,
    /// Where to continue; `None` at the end.
    pub next: Option<Cursor>,
}

impl Span {
    /// Reads it from a request.
    pub fn read(since: Option<&TimestampMessage>, until: Option<&TimestampMessage>, cursor: &str, now: Timestamp) -> Result<Self, Failure> {
        let page = Page::parse(0, cursor).map_err(|_| Failure::field("cursor", "must be one that a response held"))?;
        let mut validation = Validation::default();
        let mut read = |field, at: Option<&_>| {
            let at = at.map(|at| from_timestamp(at).ok_or("must be a time in the years 1 to 9999"));
            validation.read(field, at.transpose()).flatten()
        };
        let (read_since, until) = (read("since", since), read("until", until));
        validation.require(since.is_some(), "since", "is required");
        validation.finish()?;
        let since = read_since.ok_or_else(|| Failure::field("since", "is required"))?;
        if since < now - MAX_AGE {
            let text = "must be within the last 7 days: consumers do not remember longer which events they have handled";
            return Err(Failure::field("since", text));
        }
        if page.after.as_ref().is_some_and(|cursor| cursor.at < since) {
            return Err(Failure::field("cursor", "must be one that a response to the same request held"));
        }
        Ok(Self { since, until: until.unwrap_or(now).min(now), after: page.after })
    }

    /// Whether something happened within it.
    #[must_use]
    pub fn contains(&self, at: Timestamp) -> bool {
        (self.since..self.until).contains(&at)
    }
}

/// Writes events to the outbox again, unless they wait there. Returns how many.
pub async fn publish_again(db: &Db, entries: &[outbox::Entry]) -> Result<i32, DbError> {
    let mut count = 0;
    if !entries.is_empty() {
        let mut tx = db.begin_patient().await?;
        for entry in entries {
            count += i32::from(outbox::insert_again(&mut tx, entry).await?);
        }
        tx.commit().await?;
    }
    Ok(count)
}
