//! Limits how many new devices one address registers. The credential that an app registers with is in every copy of the app, so it stops
//! nobody.

use std::time::Duration;

use nodkey_kernel::id::RelyingPartyId;

use super::{
    budget::{Budget, Charge, Spent},
    network::{Network, Source},
};
use crate::{metrics::REGISTRATIONS_REFUSED, problem::Problem};

/// The window in which registrations are counted together.
const WINDOW: Duration = Duration::from_hours(1);

/// Counts new registrations.
#[derive(Debug)]
pub struct Registrations {
    limit: u32,
    budget: Budget<(RelyingPartyId, Network)>,
}

impl Registrations {
    /// The default limit per hour for one relying party and one address, where the relying party sets none.
    #[must_use]
    pub fn new(limit: u32) -> Self {
        Self { limit, budget: Budget::new(WINDOW) }
    }

    /// Counts a registration, until it turns out not to be new. `own` is the relying party's limit, 0 where it sets none.
    pub fn charge(&self, party: RelyingPartyId, own: i32, source: &Source) -> Result<Charge, Problem> {
        let limit = u32::try_from(own).ok().filter(|own| *own > 0).unwrap_or(self.limit);
        let networks = source.0.iter().flat_map(|network| network.counted(limit)).map(|(network, limit)| ((party, network), limit));
        self.budget.charge(networks).map_err(|Spent(left)| {
            REGISTRATIONS_REFUSED.increment(1);
            let text =
                format!("at most {limit} devices an hour may register from one address (registrations_per_address); try again later");
            Problem::new(http::StatusCode::TOO_MANY_REQUESTS, "TOO_MANY_REGISTRATIONS", text).retry_after(left)
        })
    }
}
