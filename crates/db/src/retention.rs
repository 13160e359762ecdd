//! Deleting what is old, a few rows at a time.

use std::time::Duration;

use nodkey_kernel::time::Timestamp;
use uuid::Uuid;

use crate::{Db, DbError, Param, Query};

/// How many rows one statement deletes at most, but for those of one microsecond: whoever waits for it waits for milliseconds.
pub const BATCH: i64 = 200;

/// Since when what is old is deleted by default: the moment this installation learned to. What existed before stays until an operator
/// says otherwise.
pub async fn since(db: &Db) -> Result<Timestamp, DbError> {
    db.query("SELECT since FROM retention").fetch_one().await?.get("since")
}

/// What is to be deleted: what came from a moment on, and before another.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Window {
    /// From then on.
    pub from: Timestamp,
    /// Before then.
    pub before: Timestamp,
}

impl Window {
    /// What is older than so many days, `set` by somebody or the default, which spares what came before `since`. `None` when it is kept
    /// for ever: for 0 days.
    #[must_use]
    pub fn of(set: Option<u32>, default: u32, since: Timestamp, now: Timestamp) -> Option<Self> {
        let (days, from) = set.map_or((default, since), |days| (days, Timestamp::from_seconds(0)));
        (days > 0).then(|| Self { from, before: now - Duration::from_hours(24) * days })
    }
}

/// How long lists of arguments are: few lengths, so that few statements are prepared.
const LENGTHS: [usize; 4] = [1, 8, 64, 256];
/// The most values [`in_list`] takes.
pub const MAX_LIST: usize = 256;

/// Ends a statement with a list of values: `WHERE id IN` and what this appends. The last value fills a list up.
pub fn in_list<'a, T: Param + Clone>(query: Query<'a>, values: &[T]) -> Query<'a> {
    let length = LENGTHS.into_iter().find(|length| *length >= values.len()).unwrap_or(MAX_LIST);
    let Some(last) = values.last() else { return query.push(" (NULL)") };
    let padded = values.iter().chain(std::iter::repeat(last)).take(length).cloned();
    let query = padded.enumerate().fold(query, |query, (at, value)| query.push(if at == 0 { " (" } else { ", " }).push_bind(value));
    query.push(")")
}

/// Deletes the rows whose `id` a query finds, [`BATCH`] at most. `delete` ends in `WHERE id IN`. Returns how many.
///
/// In one statement PostgreSQL would look through the whole table for them.
pub async fn delete_found(db: &Db, old: Query<'_>, delete: &'static str) -> Result<u64, DbError> {
    let ids: Vec<Uuid> = old.fetch_all().await?.iter().map(|row| row.get("id")).collect::<Result<_, _>>()?;
    if ids.is_empty() {
        return Ok(0);
    }
    in_list(db.execute(delete), &ids).execute().await
}

/// Deletes the rows of the moments that a query finds, as `first` and `last`. `delete` takes both. Returns how many.
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
