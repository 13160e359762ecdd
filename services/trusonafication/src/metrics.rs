//! Metrics of trusonafications.

use std::{collections::HashMap, sync::Arc, time::Duration};

use nodkey_kernel::{id::RelyingPartyId, named};
use nodkey_metrics::{Counter, Histogram, List, OpenCounter, OpenHistogram, WAITS, labels};

use crate::domain::Status;

named! {
    /// Why a prompt was refused.
    pub enum PromptRefusal {
        /// The user's budget is used up.
        Budget = "budget",
        /// The user reported "not me".
        Held = "held",
    }
}

named! {
    /// Where a wrong number was entered.
    pub enum NumberOf {
        /// For a prompt.
        Prompt = "prompt",
        /// For a secure QR code.
        Code = "code",
    }
}

labels!(Status, PromptRefusal, NumberOf);

pub static TRUSONAFICATIONS: Counter<Status> =
    Counter::new("nodkey_trusonafications_total", &["status"], "Trusonafications that reached a status; in_progress are those created.");

pub static TRUSONAFICATION_SECONDS: Histogram<Status> =
    Histogram::new("nodkey_trusonafication_seconds", &["status"], WAITS, "Time from the request of a trusonafication to its end.");

pub static PROMPTS_REFUSED: Counter<PromptRefusal> =
    Counter::new("nodkey_prompts_refused_total", &["reason"], "Prompts that were refused to protect their user.");

pub static WRONG_NUMBERS: Counter<NumberOf> =
    Counter::new("nodkey_wrong_numbers_total", &["of"], "Numbers that users entered and that were not those shown.");

static OF_PARTY: OpenCounter<2> = OpenCounter::new(
    "nodkey_relying_party_trusonafications_total",
    ["relying_party", "status"],
    "Trusonafications that reached a status, of the relying parties that are measured separately.",
);

static OF_PARTY_SECONDS: OpenHistogram<1> = OpenHistogram::new(
    "nodkey_relying_party_acceptance_seconds",
    ["relying_party"],
    WAITS,
    "Time until a trusonafication was accepted, of the relying parties that are measured separately.",
);

/// The metrics of this service.
pub static METRICS: List = &[&TRUSONAFICATIONS, &TRUSONAFICATION_SECONDS, &PROMPTS_REFUSED, &WRONG_NUMBERS, &OF_PARTY, &OF_PARTY_SECONDS];

/// Measures trusonafications, also by relying party for those that are measured separately. Cheap to clone.
#[derive(Clone, Debug)]
pub struct Measures(Arc<HashMap<RelyingPartyId, OfParty>>);

#[derive(Debug)]
struct OfParty {
    /// By status, in the order of [`Status::ALL`].
    reached: Vec<metrics::Counter>,
    accepted: metrics::Histogram,
}

impl Measures {
    /// Begins to measure these relying parties separately.
    pub fn new(parties: &[RelyingPartyId]) -> Self {
        let of_party = |party: &RelyingPartyId| {
            let name = party.to_string();
            let reached = Status::ALL.iter().map(|status| OF_PARTY.with([name.clone(), status.as_str().to_owned()])).collect();
            (*party, OfParty { reached, accepted: OF_PARTY_SECONDS.with([name]) })
        };
        Self(Arc::new(parties.iter().map(of_party).collect()))
    }

    /// Records that a trusonafication reached a status, after this time.
    pub fn record(&self, party: RelyingPartyId, status: Status, after: Duration) {
        TRUSONAFICATIONS.with(status).increment(1);
        if status != Status::InProgress {
            TRUSONAFICATION_SECONDS.with(status).record(after);
        }
        let Some(of_party) = self.0.get(&party) else { return };
        of_party.reached[status as usize].increment(1);
        if matches!(status, Status::Accepted | Status::AcceptedAtHigherLevel | Status::AcceptedAtLowerLevel) {
            of_party.accepted.record(after);
        }
    }
}
