//! Retention policies.

use nodkey_kernel::id::RelyingPartyId;

use super::{Refusal, Violations};

/// Maximum number of days: a century.
const MAX_DAYS: i32 = 36_500;

/// Retention periods of a relying party, in days; 0: forever, `None`: the default.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RetentionPolicy {
    /// The relying party.
    pub relying_party: RelyingPartyId,
    /// Answered trusonafications and their evidence.
    pub answered: Option<u32>,
    /// Trusonafications that expired or were canceled.
    pub unanswered: Option<u32>,
    /// Unbound devices.
    pub unbound_device: Option<u32>,
}

impl RetentionPolicy {
    /// Parses the fields of a request.
    pub fn parse(
        relying_party: RelyingPartyId,
        answered: Option<i32>,
        unanswered: Option<i32>,
        unbound_device: Option<i32>,
    ) -> Result<Self, Refusal> {
        let mut violations = Violations::default();
        let mut days = |field, days: Option<i32>| {
            let parsed = days.map(|days| u32::try_from(days).ok().filter(|_| days <= MAX_DAYS).ok_or("must be 0 to 36500")).transpose();
            violations.check(field, parsed)
        };
        let answered = days("retention_policy.answered_days", answered);
        let unanswered = days("retention_policy.unanswered_days", unanswered);
        let unbound_device = days("retention_policy.unbound_device_days", unbound_device);
        match (answered, unanswered, unbound_device) {
            (Some(answered), Some(unanswered), Some(unbound_device)) => Ok(Self { relying_party, answered, unanswered, unbound_device }),
            _ => Err(violations.refusal()),
        }
    }

    /// The policy of a relying party that has not set one.
    #[must_use]
    pub const fn default_of(relying_party: RelyingPartyId) -> Self {
        Self { relying_party, answered: None, unanswered: None, unbound_device: None }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn days_are_none_for_ever_or_a_number_of_them() {
        let party = RelyingPartyId::CONSOLE;
        let policy = RetentionPolicy::parse(party, None, Some(0), Some(36_500)).unwrap();
        assert_eq!((policy.answered, policy.unanswered, policy.unbound_device), (None, Some(0), Some(36_500)));
        let Err(Refusal::Invalid(violations)) = RetentionPolicy::parse(party, Some(-1), None, Some(36_501)) else { panic!("taken") };
        let fields: Vec<_> = violations.iter().map(|v| v.field.as_str()).collect();
        assert_eq!(fields, ["retention_policy.answered_days", "retention_policy.unbound_device_days"]);
    }
}
