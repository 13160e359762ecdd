//! How many devices register anew from one address. The credential that an app registers with is in every copy of the app, so it keeps nobody
//! out.

use std::time::Duration;

use metrics::counter;
use nodkey_kernel::id::RelyingPartyId;

use super::{
    budget::{Budget, Charge, Spent},
    network::{Network, Source},
};
use crate::problem::Problem;

/// For how long registrations are counted together.
const WINDOW: Duration = Duration::from_hours(1);

/// How many devices registered anew.
#[derive(Debug)]
pub struct Registrations {
    limit: u32,
    budget: Budget<(RelyingPartyId, Network)>,
}

impl Registrations {
    /// At most so many an hour with one relying party from one address, where it does not say.
    #[must_use]
    pub fn new(limit: u32) -> Self {
        Self { limit, budget: Budget::new(WINDOW) }
    }

    /// Counts one, until it turns out to be none. `own` is what the relying party says; 0 where it says nothing.
    pub fn charge(&self, party: RelyingPartyId, own: i32, source: &Source) -> Result<Charge, Problem> {
        let limit = u32::try_from(own).ok().filter(|own| *own > 0).unwrap_or(self.limit);
        let networks = source.0.iter().flat_map(|network| network.counted(limit)).map(|(network, limit)| ((party, network), limit));
        self.budget.charge(networks).map_err(|Spent(left)| {
            counter!("nodkey_registrations_refused_total").increment(1);
            let text = format!("{limit} devices an hour may register from one address (registrations_per_address); try again later");
            Problem::new(http::StatusCode::TOO_MANY_REQUESTS, "TOO_MANY_REGISTRATIONS", text).retry_after(left)
        })
    }
}
