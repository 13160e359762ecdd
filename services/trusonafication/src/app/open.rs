//! How many trusonafications of a relying party are in progress at once.

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

/// How long a relying party that has as many as it may is taken to have them, without counting again.
const FULL: Duration = Duration::from_secs(1);

/// An upper bound of how many are in progress, by what this process has created since it counted last: as long as that is below the limit nobody
/// counts, and at the limit one at a time does, once in [`FULL`]. Another replica knows of ours only when it counts, and we count what is
/// written, so there may be as many more as others create meanwhile and as were being written. Kept for each relying party that ever asked.
#[derive(Clone, Debug, Default)]
pub struct Open(Arc<Mutex<HashMap<RelyingPartyId, Known>>>);

#[derive(Debug)]
struct Known {
    /// Before the first count there may be any number.
    at_most: u32,
    full_until: Option<Timestamp>,
    /// Held by whoever counts.
    counting: Arc<tokio::sync::Mutex<()>>,
}

impl Default for Known {
    fn default() -> Self {
        Self { at_most: u32::MAX, full_until: None, counting: Arc::default() }
    }
}

impl Open {
    /// Counts one more, unless there are as many as there may be.
    pub async fn count(&self, db: &Db, clock: &Clock, party: RelyingPartyId, limit: u32) -> Result<(), Error> {
        // Beyond the limit, too: what users start may be as many again, and a count that stopped here would be no bound for that.
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
        // Somebody may have counted since.
        if self.try_to_add(party, limit, clock.now())?.is_none() {
            return Ok(());
        }
        let before = self.known().entry(party).or_default().at_most;
        let counted = u32::try_from(count().await?).unwrap_or(u32::MAX);
        let mut open = self.known();
        let known = open.entry(party).or_default();
        // Whoever has a higher limit did not wait.
        let meanwhile = known.at_most.saturating_sub(before);
        known.at_most = counted.saturating_add(meanwhile);
        if known.at_most >= limit {
            known.full_until = Some(clock.now() + FULL);
            return Err(Error::TooManyOpen { limit, after: FULL });
        }
        known.at_most += 1;
        Ok(())
    }

    /// Counts one more if it is known that there may be. `Some` when somebody has to count: whoever holds this.
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
