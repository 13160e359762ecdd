//! Tenants.

use nodkey_kernel::{id::RelyingPartyId, time::Timestamp};
use serde::{Deserialize, Serialize};

use super::{Change, Refusal, Violations, text};

/// The most origins, and the most characters of one.
const MAX_ORIGINS: usize = 20;
const MAX_ORIGIN: usize = 200;

/// How secure QR codes of a relying party behave. As JSON in the database.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct TruCodeSettings {
    /// Whose pages may make codes; empty: anybody's.
    pub allowed_origins: Vec<String>,
    /// Clients without a device key may pair any identifier.
    pub allow_unproven_pairing: bool,
    /// The person confirms two digits that the page shows.
    pub match_number: bool,
}

impl TruCodeSettings {
    fn fault(&self) -> Option<&'static str> {
        let origin = |o: &String| {
            let host = o.strip_prefix("https://").or_else(|| o.strip_prefix("http://")).unwrap_or_default();
            !host.is_empty() && o.len() <= MAX_ORIGIN && host.bytes().all(|b| b.is_ascii_graphic() && !b"/?#@".contains(&b))
        };
        let good = self.allowed_origins.len() <= MAX_ORIGINS && self.allowed_origins.iter().all(origin);
        (!good).then_some("must be at most 20 origins such as https://shop.example.com, without a path")
    }
}

/// Which faults of old clients' request signatures a relying party puts up with. As JSON in the database.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct SignatureSettings {
    /// Not over the path before it was percent-encoded.
    pub refuse_unescaped_path: bool,
    /// Not over the beginning of the body alone.
    pub refuse_truncated_body: bool,
    /// In seconds; 0: the usual.
    pub max_date_skew_seconds: i32,
}

/// What is to change; the rest stays.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RelyingPartyPatch {
    name: Option<String>,
    trucodes: Option<TruCodeSettings>,
    signatures: Option<SignatureSettings>,
}

impl RelyingPartyPatch {
    /// Reads what a request says.
    pub fn parse(name: Option<&str>, trucodes: Option<TruCodeSettings>, signatures: Option<SignatureSettings>) -> Result<Self, Refusal> {
        let mut violations = Violations::default();
        let name = violations.check("name", name.map(|name| text::required(name, 100)).transpose());
        let fault = trucodes.as_ref().and_then(TruCodeSettings::fault);
        let trucodes = violations.check("trucodes.allowed_origins", fault.map_or(Ok(trucodes), Err));
        let skew = signatures.is_none_or(|s| (0..=86_400).contains(&s.max_date_skew_seconds));
        let signatures = violations.check("signatures.max_date_skew_seconds", skew.then_some(signatures).ok_or("must be 0 to 86400"));
        match (name, trucodes, signatures) {
            (Some(name), Some(trucodes), Some(signatures)) => Ok(Self { name, trucodes, signatures }),
            _ => Err(violations.refusal()),
        }
    }
}

/// A tenant.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RelyingParty {
    /// Names it.
    pub id: RelyingPartyId,
    /// Shown on the phone.
    pub name: String,
    /// How its secure QR codes behave.
    pub trucodes: TruCodeSettings,
    /// What it puts up with.
    pub signatures: SignatureSettings,
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
        Self {
            id,
            name,
            trucodes: TruCodeSettings::default(),
            signatures: SignatureSettings::default(),
            created_at: now,
            disabled_at: None,
            version: 1,
        }
    }

    /// Changes settings.
    #[must_use]
    pub fn update(self, patch: RelyingPartyPatch) -> Change<Self> {
        let name = patch.name.unwrap_or_else(|| self.name.clone());
        let trucodes = patch.trucodes.unwrap_or_else(|| self.trucodes.clone());
        let signatures = patch.signatures.unwrap_or(self.signatures);
        if name == self.name && trucodes == self.trucodes && signatures == self.signatures {
            return Change::Same(self);
        }
        Change::Changed(Self { name, trucodes, signatures, version: self.version + 1, ..self })
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
    fn settings_change_and_origins_are_origins() {
        let party = RelyingParty::create(RelyingPartyId::from_uuid(uuid::Uuid::max()), "ACME".into(), Timestamp::from_seconds(1));
        let with = |origin: &str| TruCodeSettings { allowed_origins: vec![origin.into()], ..TruCodeSettings::default() };
        let good = RelyingPartyPatch::parse(None, Some(with("https://shop.example.com:8443")), None).unwrap();
        let Change::Changed(changed) = party.update(good.clone()) else { panic!("unchanged") };
        assert_eq!((changed.version, changed.name.as_str()), (2, "ACME"));
        assert_eq!(changed.clone().update(good), Change::Same(changed));
        for bad in ["", "shop.example.com", "https://", "https://shop.example.com/", "https://a b", "ftp://x"] {
            assert!(RelyingPartyPatch::parse(None, Some(with(bad)), None).is_err(), "{bad}");
        }
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
