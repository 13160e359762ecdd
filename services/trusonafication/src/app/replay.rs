//! Publishing again how trusonafications ended, for consumers that missed it.

use nodkey_runtime::{
    page::Cursor,
    replay::{Replayed, Span, publish_again},
};
use uuid::Uuid;

use super::{App, signing::Ending};
use crate::{error::Error, store};

/// Maximum number of changes that one call reads, and publishes in one transaction.
const PAGE: i64 = 100;

impl App {
    /// Publishes the next ends again, oldest first.
    pub async fn replay_ends(&self, span: Span) -> Result<Replayed, Error> {
        // Nothing has this id, so the first position is before everything of its time.
        let from = span.after.clone().unwrap_or(Cursor { at: span.since, id: Uuid::nil().to_string() });
        let changed = store::changes(&self.db, &from, PAGE).await?;
        let next = changed.last().filter(|last| changed.has_next() && last.at < span.until).cloned();
        let mut entries = Vec::new();
        for change in changed.into_rows().into_iter().filter(|change| change.ended) {
            let Some((t, receipt)) = store::get_with_receipt(&self.db, change.relying_party, change.id).await? else { continue };
            if span.contains(t.updated_at) {
                // Results for a `callback_url` are signed on delivery, if they have not been delivered.
                let ending = Ending { receipt: receipt.unwrap_or_default(), result: None };
                entries.push(Self::entry(&t, ending));
            }
        }
        Ok(Replayed { count: publish_again(&self.db, &entries).await?, next })
    }
}
