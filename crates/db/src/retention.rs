//! Deleting old rows, a few at a time.

use std::time::Duration;

use nodkey_kernel::time::Timestamp;
use uuid::Uuid;

use crate::{Db, DbError, Param, Query};

/// Maximum number of rows deleted by one statement, except that rows of the same microsecond stay together: other statements wait for it
/// for milliseconds only.
pub const BATCH: i64 = 200;

/// Earliest time from which old rows are deleted by default: when this installation was first able to delete them. Older rows stay until an
/// operator sets a retention.
pub async fn since(db: &Db) -> Result<Timestamp, DbError> {
    db.query("SELECT since FROM retention").fetch_one().await?.get("since")
}

/// The rows to delete: those from one time up to another.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Window {
    /// Start, inclusive.
    pub from: Timestamp,
    /// End, exclusive.
    pub before: Timestamp,
}

impl Window {
    /// What is older than a number of days: `set` by an operator, or the default, which spares rows from before `since`. `None` for 0 days,
    /// which keep rows forever.
    #[must_use]
    pub fn of(set: Option<u32>, default: u32, since: Timestamp, now: Timestamp) -> Option<Self> {
        let (days, from) = set.map_or((default, since), |days| (days, Timestamp::from_seconds(0)));
        (days > 0).then(|| Self { from, before: now - Duration::from_hours(24) * days })
    }
}

/// Lengths of argument lists. There are few, so that few statements are prepared.
const LENGTHS: [usize; 4] = [1, 8, 64, 256];
/// Maximum number of values that [`in_list`] accepts.
pub const MAX_LIST: usize = 256;

/// Appends a list of values to a statement that ends in `WHERE id IN`. The last value is repeated to pad the list.
pub fn in_list<'a, T: Param + Clone>(query: Query<'a>, values: &[T]) -> Query<'a> {
    let length = LENGTHS.into_iter().find(|length| *length >= values.len()).unwrap_or(MAX_LIST);
    let Some(last) = values.last() else { return query.push(" (NULL)") };
    let padded = values.iter().chain(std::iter::repeat(last)).take(length).cloned();
    let query = padded.enumerate().fold(query, |query, (at, value)| query.push(if at == 0 { " (" } else { ", " }).push_bind(value));
    query.push(")")
}

/// Deletes the rows whose `id` a query finds, at most [`BATCH`]. `delete` ends in `WHERE id IN`. Returns how many.
///
/// In a single statement PostgreSQL would scan the whole table for them.
pub async fn delete_found(db: &Db, old: Query<'_>, delete: &'static str) -> Result<u64, DbError> {
    let ids: Vec<Uuid> = old.fetch_all().await?.iter().map(|row| row.get("id")).collect::<Result<_, _>>()?;
    if ids.is_empty() {
        return Ok(0);
    }
    in_list(db.execute(delete), &ids).execute().await
}

/// Deletes the rows between two times that a query returns as `first` and `last`. `delete` takes both. Returns how many.
pub async fn delete_between(db: &Db, moments: Query<'_>, delete: &'static str) -> Result<u64, DbError> {
    let row = moments.fetch_one().await?;
    let (Some(first), Some(last)) = (row.get::<Option<Timestamp>>("first")?, row.get::<Option<Timestamp>>("last")?) else { return Ok(0) };
    db.execute(delete).bind(first).bind(last).execute().await
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_default_spares_what_came_before_and_a_setting_does_not() {
        let (now, since) = (Timestamp::from_seconds(10 * 86_400), Timestamp::from_seconds(5 * 86_400));
        let day = |day: i64| Timestamp::from_seconds(day * 86_400);
        assert_eq!(Window::of(None, 2, since, now), Some(Window { from: since, before: day(8) }));
        assert_eq!(Window::of(Some(2), 3, since, now), Some(Window { from: day(0), before: day(8) }));
        assert_eq!(Window::of(Some(0), 3, since, now), None);
        assert_eq!(Window::of(None, 0, since, now), None);
    }
}
