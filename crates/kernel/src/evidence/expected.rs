//! What a verifier expects of evidence.

use std::time::Duration;

use super::VerifiedEvidence;
use crate::{level::Level, named, receipt::ReceiptStatus, time::Timestamp};

/// Maximum time by which the deployment's clock may be ahead of the verifier's.
const MAX_AHEAD: Duration = Duration::from_mins(1);

/// What a verifier expects. The default is an accept at the desired level or higher, of anything by anyone at any time, with a key that the
/// device itself certifies. Each method adds an expectation, except the two that select another outcome and
/// [`Expected::allow_uncertified`].
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Expected {
    outcome: Outcome,
    trusonafication: Option<String>,
    party: Option<String>,
    user: Option<String>,
    device: Option<String>,
    level: Option<Level>,
    since: Option<(Timestamp, Timestamp)>,
    uncertified: bool,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum Outcome {
    #[default]
    Accept,
    Rejection,
    Any,
}

named! {
    /// A single expectation.
    pub enum Expectation {
        /// The outcome: accepted or rejected.
        Decision = "decision",
        /// The id of the trusonafication.
        Trusonafication = "trusonafication",
        /// The relying party that sent the challenge.
        Party = "party",
        /// The user who answered.
        User = "user",
        /// The device that answered.
        Device = "device",
        /// The minimum level.
        Level = "level",
        /// The maximum age.
        Age = "age",
    }
}

impl Expected {
    /// Expects an accept at the desired level or higher.
    #[must_use]
    pub fn accept() -> Self {
        Self::default()
    }

    /// Expects a rejection.
    #[must_use]
    pub fn rejection() -> Self {
        Self { outcome: Outcome::Rejection, ..Self::default() }
    }

    /// Expects any outcome. Evidence that verifies is then genuine, but says nothing about the decision until you examine it.
    #[must_use]
    pub fn any_outcome() -> Self {
        Self { outcome: Outcome::Any, ..Self::default() }
    }

    /// Expects the trusonafication with that id: the one that the verifier created.
    #[must_use]
    pub fn trusonafication(self, id: impl Into<String>) -> Self {
        Self { trusonafication: Some(id.into()), ..self }
    }

    /// Expects a challenge from the relying party with that id.
    #[must_use]
    pub fn party(self, id: impl Into<String>) -> Self {
        Self { party: Some(id.into()), ..self }
    }

    /// Expects a response from the user with that identifier.
    #[must_use]
    pub fn user(self, identifier: impl Into<String>) -> Self {
        Self { user: Some(identifier.into()), ..self }
    }

    /// Expects a response from the device with that identifier.
    #[must_use]
    pub fn device(self, identifier: impl Into<String>) -> Self {
        Self { device: Some(identifier.into()), ..self }
    }

    /// Expects at least this level to be proven, whatever level was desired. A rejection proves no level.
    #[must_use]
    pub fn level(self, least: Level) -> Self {
        Self { level: Some(least), ..self }
    }

    /// Expects it to have ended no longer ago than this, and not in the future.
    #[must_use]
    pub fn max_age(self, age: Duration, now: Timestamp) -> Self {
        Self { since: Some((now - age, now + MAX_AHEAD)), ..self }
    }

    /// Also accepts a key that the device does not certify: only the deployment then vouches that the key belongs to the device. For phones
    /// whose apps make no key statements.
    #[must_use]
    pub fn allow_uncertified(self) -> Self {
        Self { uncertified: true, ..self }
    }

    /// Whether an uncertified key is accepted.
    pub(super) const fn allows_uncertified(&self) -> bool {
        self.uncertified
    }

    /// The expectations that are not met.
    pub(super) fn compare(&self, found: &VerifiedEvidence) -> Vec<Expectation> {
        let receipt = &found.receipt;
        let decision = match (self.outcome, self.level) {
            (Outcome::Accept, None) => receipt.status.is_success(),
            (Outcome::Accept, Some(_)) => receipt.status.is_accepted(),
            (Outcome::Rejection, _) => receipt.status == ReceiptStatus::Rejected,
            (Outcome::Any, _) => true,
        };
        let same = |expected: &Option<String>, found: Option<&String>| expected.is_none() || expected.as_ref() == found;
        let level = self.level.is_none_or(|least| receipt.level.is_some_and(|proven| proven >= least));
        let age = self.since.is_none_or(|(from, to)| (from..=to).contains(&receipt.ended_at()));
        [
            (Expectation::Decision, decision),
            (Expectation::Trusonafication, same(&self.trusonafication, Some(&receipt.sub))),
            (Expectation::Party, same(&self.party, Some(&receipt.rp))),
            (Expectation::User, same(&self.user, receipt.user.as_ref())),
            (Expectation::Device, same(&self.device, receipt.dev.as_ref())),
            (Expectation::Level, level),
            (Expectation::Age, age),
        ]
        .into_iter()
        .filter_map(|(expectation, holds)| (!holds).then_some(expectation))
        .collect()
    }
}

/// Their names, as readable text.
pub(super) fn names(expectations: &[Expectation]) -> String {
    expectations.iter().map(|expectation| expectation.as_str()).collect::<Vec<_>>().join(", ")
}
