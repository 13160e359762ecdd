//! What a verifier expects of evidence.

use std::time::Duration;

use super::VerifiedEvidence;
use crate::{level::Level, named, receipt::ReceiptStatus, time::Timestamp};

/// How far the deployment's clock may be ahead of the verifier's.
const MAX_AHEAD: Duration = Duration::from_mins(1);

/// What a verifier expects. By default, an accept with at least what was asked for, of anything by anybody at any time, by a key that the
/// device itself certifies; each method asks for more, except the two that name another outcome and [`Expected::allow_uncertified`].
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
    /// Something that a verifier expects.
    pub enum Expectation {
        /// The outcome: that it was accepted, or rejected.
        Decision = "decision",
        /// The id of the trusonafication.
        Trusonafication = "trusonafication",
        /// The relying party that asked.
        Party = "party",
        /// The user who answered.
        User = "user",
        /// The device that answered.
        Device = "device",
        /// The least level.
        Level = "level",
        /// The greatest age.
        Age = "age",
    }
}

impl Expected {
    /// An accept with at least what was asked for.
    #[must_use]
    pub fn accept() -> Self {
        Self::default()
    }

    /// A rejection.
    #[must_use]
    pub fn rejection() -> Self {
        Self { outcome: Outcome::Rejection, ..Self::default() }
    }

    /// Any outcome. Evidence that verifies then is genuine, and says nothing about what was decided before it is looked into.
    #[must_use]
    pub fn any_outcome() -> Self {
        Self { outcome: Outcome::Any, ..Self::default() }
    }

    /// The trusonafication of that id: the one that the verifier asked for.
    #[must_use]
    pub fn trusonafication(self, id: impl Into<String>) -> Self {
        Self { trusonafication: Some(id.into()), ..self }
    }

    /// Asked by the relying party of that id.
    #[must_use]
    pub fn party(self, id: impl Into<String>) -> Self {
        Self { party: Some(id.into()), ..self }
    }

    /// Answered by the user of that identifier.
    #[must_use]
    pub fn user(self, identifier: impl Into<String>) -> Self {
        Self { user: Some(identifier.into()), ..self }
    }

    /// Answered by the device of that identifier.
    #[must_use]
    pub fn device(self, identifier: impl Into<String>) -> Self {
        Self { device: Some(identifier.into()), ..self }
    }

    /// With at least this level proven, whether more or less was asked for. A rejection proves no level.
    #[must_use]
    pub fn level(self, least: Level) -> Self {
        Self { level: Some(least), ..self }
    }

    /// Ended no longer ago than this, and not in the future.
    #[must_use]
    pub fn max_age(self, age: Duration, now: Timestamp) -> Self {
        Self { since: Some((now - age, now + MAX_AHEAD)), ..self }
    }

    /// Also accepts a key that the device does not certify: that the key belongs to the device is then the deployment's word alone. For phones whose
    /// apps make no key statements.
    #[must_use]
    pub fn allow_uncertified(self) -> Self {
        Self { uncertified: true, ..self }
    }

    /// Whether an uncertified key is accepted.
    pub(super) const fn allows_uncertified(&self) -> bool {
        self.uncertified
    }

    /// What differs.
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

/// Their names, to be read.
pub(super) fn names(expectations: &[Expectation]) -> String {
    expectations.iter().map(|expectation| expectation.as_str()).collect::<Vec<_>>().join(", ")
}
