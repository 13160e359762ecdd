//! Tenants.

use nodkey_kernel::{id::RelyingPartyId, time::Timestamp};

use super::{Change, Refusal, Violations, text};

/// A tenant.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RelyingParty {
    /// Names it.
    pub id: RelyingPartyId,
    /// Shown on the phone.
    pub name: String,
    /// When it came.
    pub created_at: Timestamp,
    /// When its credentials stopped working, if they did.
    pub disabled_at: Option<Timestamp>,
    /// Rises with every change.
    pub version: i64,
}

/// What a relying party is made of.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NewRelyingParty {
    /// Shown on the phone.
    pub name: String,
    /// The id it has to have, if it matters.
    pub id: Option<RelyingPartyId>,
}

impl NewRelyingParty {
    /// Reads what a request says.
    pub fn parse(name: &str, id: &str) -> Result<Self, Refusal> {
        let mut violations = Violations::default();
        let name = violations.check("name", text::required(name, 100));
        let id = if id.is_empty() { Some(None) } else { violations.check("id", fixed(id)).map(Some) };
        name.zip(id).map(|(name, id)| Self { name, id }).ok_or_else(|| violations.refusal())
    }
}

fn fixed(id: &str) -> Result<RelyingPartyId, &'static str> {
    // The nil UUID stands for the deployment itself.
    id.parse().ok().filter(|id: &RelyingPartyId| !id.as_uuid().is_nil()).ok_or("must be a UUID")
}

impl RelyingParty {
    /// Founds it.
    #[must_use]
    pub fn create(id: RelyingPartyId, name: String, now: Timestamp) -> Self {
        Self { id, name, created_at: now, disabled_at: None, version: 1 }
    }

    /// Ends it, for good.
    #[must_use]
    pub fn disable(self, now: Timestamp) -> Change<Self> {
        match self.disabled_at {
            Some(_) => Change::Same(self),
            None => Change::Changed(Self { disabled_at: Some(now), version: self.version + 1, ..self }),
        }
    }

    /// Refuses what only a living one may do.
    pub const fn ensure_enabled(&self) -> Result<(), Refusal> {
        match self.disabled_at {
            Some(_) => Err(Refusal::RelyingPartyDisabled),
            None => Ok(()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn everything_wrong_is_told_at_once() {
        let Err(Refusal::Invalid(violations)) = NewRelyingParty::parse(" ", "x") else { panic!("taken") };
        assert_eq!(violations.iter().map(|v| v.field.as_str()).collect::<Vec<_>>(), ["name", "id"]);
        assert!(NewRelyingParty::parse("ACME", "00000000-0000-0000-0000-000000000000").is_err());
        assert_eq!(NewRelyingParty::parse("ACME", ""), Ok(NewRelyingParty { name: "ACME".into(), id: None }));
    }

    #[test]
    fn it_is_disabled_once() {
        let id = RelyingPartyId::from_uuid(uuid::Uuid::max());
        let party = RelyingParty::create(id, "ACME".into(), Timestamp::from_seconds(1));
        let Change::Changed(disabled) = party.disable(Timestamp::from_seconds(2)) else { panic!("unchanged") };
        assert_eq!(disabled.ensure_enabled(), Err(Refusal::RelyingPartyDisabled));
        assert_eq!(disabled.clone().disable(Timestamp::from_seconds(3)), Change::Same(disabled));
    }
}
