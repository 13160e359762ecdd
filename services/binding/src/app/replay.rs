//! Publishing again what bindings became, for consumers that missed it.

use nodkey_db::outbox::{Entry, EventContext};
use nodkey_kernel::time::Timestamp;
use nodkey_proto::Event;
use nodkey_runtime::{
    page::Cursor,
    replay::{Replayed, Span, publish_again},
};

use super::App;
use crate::{
    convert::{activated, deactivated, replaced},
    domain::Binding,
    error::Error,
    store,
};

/// How many bindings a call looks at.
const PAGE: i64 = 500;
/// The version of a binding that was just activated. It is created with the one before.
const ACTIVATED: i64 = 2;

impl App {
    /// Publishes again what became of the next bindings.
    pub async fn replay_events(&self, span: Span) -> Result<Replayed, Error> {
        let after = span.after.as_ref().and_then(|cursor| cursor.id.parse().ok()).unwrap_or_default();
        let seen = store::replay::moments_after(&self.db, after, PAGE).await?;
        let is_last = seen.len() < usize::try_from(PAGE).unwrap_or(usize::MAX);
        let next = seen.last().filter(|_| !is_last).map(|last| Cursor { at: span.since, id: last.id.to_string() });
        let mut entries = Vec::new();
        for moments in seen {
            if [moments.activated_at, moments.deactivated_at].into_iter().flatten().any(|at| span.contains(at))
                && let Some(binding) = store::get(&self.db, moments.relying_party, moments.id).await?
            {
                self.add_entries(&span, &binding, &mut entries).await?;
            }
        }
        Ok(Replayed { count: publish_again(&self.db, &entries).await?, next })
    }

    async fn add_entries(&self, span: &Span, binding: &Binding, entries: &mut Vec<Entry>) -> Result<(), Error> {
        let activated_at = binding.state.activated_at();
        if let Some(at) = activated_at.filter(|at| span.contains(*at)) {
            let others = store::replay::active_beside(&self.db, binding, at).await?;
            entries.push(entry(&activated(binding, &others), binding, ACTIVATED, at));
        }
        if let Some(at) = binding.state.deactivated_at().filter(|at| span.contains(*at)) {
            // Nobody could be asked by one that was never active.
            let last = activated_at.is_some() && store::replay::active_beside(&self.db, binding, at).await?.is_empty();
            entries.push(entry(&deactivated(binding, last), binding, binding.version, at));
            if let Some(begun) = store::replay::successor(&self.db, binding, at).await? {
                entries.push(entry(&replaced(binding, &begun), binding, binding.version, at));
            }
        }
        Ok(())
    }
}

fn entry<E: Event>(event: &E, binding: &Binding, version: i64, now: Timestamp) -> Entry {
    Entry::new(event, &EventContext { now, version, relying_party: binding.relying_party })
}

#[cfg(test)]
mod tests;
