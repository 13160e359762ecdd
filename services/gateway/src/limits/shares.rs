//! Limits the streams of each relying party, so that none takes the capacity of all.

use std::sync::{Arc, Mutex, PoisonError};

use nodkey_kernel::id::RelyingPartyId;
use nodkey_runtime::counts::Counts;

use crate::metrics::GRPC_STREAMS;

/// A count per relying party, and one for all together. The streams of operators count as those of one party.
#[derive(Clone, Debug)]
pub struct Shares(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    most: u32,
    all: u32,
    held: Mutex<Held>,
}

#[derive(Debug, Default)]
struct Held {
    all: u32,
    parties: Counts<Option<RelyingPartyId>>,
}

impl Shares {
    /// Makes shares of at most `most` streams each, and `all` together.
    pub fn new(most: u32, all: u32) -> Self {
        Self(Arc::new(Inner { most, all, held: Mutex::default() }))
    }

    /// The maximum number of streams of each.
    pub fn most(&self) -> u32 {
        self.0.most
    }

    /// Takes one. `None` when the party, or all together, have reached the limit.
    pub fn take(&self, party: Option<RelyingPartyId>) -> Option<Share> {
        let mut held = self.0.held.lock().unwrap_or_else(PoisonError::into_inner);
        if held.all >= self.0.all {
            return None;
        }
        held.parties.add(party, 1, self.0.most.into()).ok()?;
        held.all += 1;
        GRPC_STREAMS.increment(1);
        Some(Share { of: self.clone(), party })
    }
}

/// One stream, returned when dropped.
#[derive(Debug)]
pub struct Share {
    of: Shares,
    party: Option<RelyingPartyId>,
}

impl Drop for Share {
    fn drop(&mut self) {
        let mut held = self.of.0.held.lock().unwrap_or_else(PoisonError::into_inner);
        held.all -= 1;
        held.parties.remove(&self.party, 1);
        GRPC_STREAMS.decrement(1);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_party_has_its_share_and_what_is_given_back_is_forgotten() {
        let shares = Shares::new(2, 3);
        let [one, other] = [None, Some(RelyingPartyId::CONSOLE)];
        let held = [shares.take(one).unwrap(), shares.take(one).unwrap()];
        assert!(shares.take(one).is_none());
        let last = shares.take(other).unwrap();
        assert!(shares.take(other).is_none(), "there is an end to all of them");
        drop((held, last));
        let held = shares.0.held.lock().unwrap();
        assert!(held.parties.is_empty() && held.all == 0);
        drop(held);
        assert!(shares.take(one).is_some());
    }
}
