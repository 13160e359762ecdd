//! Limit of trusonafications in progress per relying party.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use nodkey_db::Db;
use nodkey_kernel::{
    id::RelyingPartyId,
    time::{Clock, Timestamp},
};

use crate::{error::Error, store};

/// How long a relying party is considered to be at its limit, without counting again.
const FULL: Duration = Duration::from_secs(1);

/// An upper bound of the trusonafications in progress: the last count plus what this process has created since. Below the limit no count is
/// needed. At the limit one task at a time counts, once per [`FULL`]. A count only sees committed rows, and other replicas' rows only when
/// it is made, so the limit may be exceeded by what others create in the meantime and what is being written. Kept for each relying party
/// that ever created one.
#[derive(Clone, Debug, Default)]
pub struct Open(Arc<Mutex<HashMap<RelyingPartyId, Known>>>);

#[derive(Debug)]
struct Known {
    /// Unknown, and so maximal, before the first count.
    at_most: u32,
    full_until: Option<Timestamp>,
    /// Held while counting.
    counting: Arc<tokio::sync::Mutex<()>>,
}

impl Default for Known {
    fn default() -> Self {
        Self { at_most: u32::MAX, full_until: None, counting: Arc::default() }
    }
}

impl Open {
    /// Counts one more, unless the limit is reached.
    pub async fn count(&self, db: &Db, clock: &Clock, party: RelyingPartyId, limit: u32) -> Result<(), Error> {
        // Counts beyond the limit too: sign-ins that users start may double it, and a count that stopped at the limit would not bound them.
        self.add(party, limit, clock, async || store::count_open(db, party, limit.saturating_mul(2)).await.map_err(Error::from)).await
    }

    async fn add(
        &self,
        party: RelyingPartyId,
        limit: u32,
        clock: &Clock,
        count: impl AsyncFnOnce() -> Result<i64, Error>,
    ) -> Result<(), Error> {
        let Some(counting) = self.try_to_add(party, limit, clock.now())? else { return Ok(()) };
        let _alone = counting.lock().await;
        // Another task may have counted since.
        if self.try_to_add(party, limit, clock.now())?.is_none() {
            return Ok(());
        }
        let before = self.known().entry(party).or_default().at_most;
        let counted = u32::try_from(count().await?).unwrap_or(u32::MAX);
        let mut open = self.known();
        let known = open.entry(party).or_default();
        // Tasks with a higher limit did not wait.
        let meanwhile = known.at_most.saturating_sub(before);
        known.at_most = counted.saturating_add(meanwhile);
        if known.at_most >= limit {
            known.full_until = Some(clock.now() + FULL);
            return Err(Error::TooManyOpen { limit, after: FULL });
        }
        known.at_most += 1;
        Ok(())
    }

    /// Counts one more if the bound is known to be below the limit. `Some` if a count is needed: hold this lock while counting.
    fn try_to_add(&self, party: RelyingPartyId, limit: u32, now: Timestamp) -> Result<Option<Arc<tokio::sync::Mutex<()>>>, Error> {
        let mut open = self.known();
        let known = open.entry(party).or_default();
        if known.at_most < limit {
            known.at_most += 1;
            return Ok(None);
        }
        if let Some(until) = known.full_until.filter(|until| now < *until) {
            return Err(Error::TooManyOpen { limit, after: now.until(until) });
        }
        Ok(Some(Arc::clone(&known.counting)))
    }

    fn known(&self) -> MutexGuard<'_, HashMap<RelyingPartyId, Known>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests;
