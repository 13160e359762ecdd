//! Publishing again how trusonafications ended, for consumers that missed it.

use std::time::Duration;

use nodkey_db::outbox;
use nodkey_kernel::time::Timestamp;
use nodkey_runtime::{Failure, page::Cursor};
use uuid::Uuid;

use super::{App, signing::Ending};
use crate::{error::Error, store};

/// How old an end may be. Consumers refuse events that are older than their memory of handled events, which is longer.
const MAX_AGE: Duration = Duration::from_hours(7 * 24);
/// Maximum number of changes that one call reads, and publishes in one transaction.
const PAGE: i64 = 100;

/// What a call has published.
#[derive(Debug)]
pub struct Replayed {
    /// Number of events.
    pub count: i32,
    /// Where to continue; `None` at the end.
    pub next: Option<Cursor>,
}

impl App {
    /// Publishes the next ends between two times again, after a position.
    pub async fn replay_ends(&self, since: Timestamp, until: Option<Timestamp>, after: Option<Cursor>) -> Result<Replayed, Error> {
        let now = self.now();
        if since < now - MAX_AGE {
            let text = "must be within the last 7 days: consumers do not remember longer which events they have handled";
            return Err(Failure::field("since", text).into());
        }
        let until = until.unwrap_or(now).min(now);
        // Nothing has this id, so the first position is before everything of its time.
        let from = after.unwrap_or(Cursor { at: since, id: Uuid::nil().to_string() });
        if from.at < since {
            return Err(Failure::field("cursor", "must be one that a response to the same request held").into());
        }
        let changed = store::changes(&self.db, &from, PAGE).await?;
        let next = changed.last().filter(|last| changed.has_next() && last.at < until).cloned();
        let mut entries = Vec::new();
        for change in changed.into_rows().into_iter().filter(|change| change.ended) {
            let Some((t, receipt)) = store::get_with_receipt(&self.db, change.relying_party, change.id).await? else { continue };
            if (since..until).contains(&t.updated_at) {
                // Results for a `callback_url` are signed on delivery, if they have not been delivered.
                let ending = Ending { receipt: receipt.unwrap_or_default(), result: None };
                entries.push(Self::entry(&t, ending));
            }
        }
        let mut count = 0;
        if !entries.is_empty() {
            let mut tx = self.db.begin_patient().await?;
            for entry in &entries {
                count += i32::from(outbox::insert_again(&mut tx, entry).await?);
            }
            tx.commit().await?;
        }
        Ok(Replayed { count, next })
    }
}
