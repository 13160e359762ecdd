//! Relying parties, the tenants of the deployment.

use nodkey_kernel::{id::RelyingPartyId, time::Timestamp};
use serde::{Deserialize, Serialize};

use super::{Change, Refusal, Violations, text};

/// Maximum number of origins, and maximum length of one in characters.
const MAX_ORIGINS: usize = 20;
const MAX_ORIGIN: usize = 200;

/// TruCode settings of a relying party. Stored as JSON.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct TruCodeSettings {
    /// Origins whose pages may create codes; empty: any origin.
    pub allowed_origins: Vec<String>,
    /// Lets clients without a device key pair any identifier.
    pub allow_unproven_pairing: bool,
    /// The person must match two digits that the page shows.
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

/// Which defects in the request signatures of old clients are tolerated. Stored as JSON.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct SignatureSettings {
    /// Refuses signatures over the path before percent-encoding.
    pub refuse_unescaped_path: bool,
    /// Refuses signatures over only the beginning of the body.
    pub refuse_truncated_body: bool,
    /// Maximum clock skew in seconds; 0: the default.
    pub max_date_skew_seconds: i32,
    /// Refuses signatures that were seen before.
    pub refuse_repeated: bool,
}

impl SignatureSettings {
    /// For clients without the defects of old clients.
    pub const STRICT: Self =
        Self { refuse_unescaped_path: true, refuse_truncated_body: true, max_date_skew_seconds: 300, refuse_repeated: false };
}

/// Maximum value of a limit.
const MAX_LIMIT: i32 = 100_000_000;
/// Maximum limit of webhook endpoints: each event is delivered to each of them.
const MAX_ENDPOINTS: i32 = 1_000;

/// Quotas and rate limits of a relying party; 0: the deployment's default. Stored as JSON.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Limits {
    /// New device registrations per hour from one address.
    pub registrations_per_address: i32,
    /// Devices that were never bound.
    pub unbound_devices: i32,
    /// Webhook endpoints.
    pub webhook_endpoints: i32,
    /// Trusonafications in progress.
    pub open_trusonafications: i32,
}

impl Limits {
    /// The names of the limits that are not valid, each with its maximum.
    fn faults(self) -> impl Iterator<Item = (&'static str, i32)> {
        let Self { registrations_per_address, unbound_devices, webhook_endpoints, open_trusonafications } = self;
        let all = [
            ("limits.registrations_per_address", registrations_per_address, MAX_LIMIT),
            ("limits.unbound_devices", unbound_devices, MAX_LIMIT),
            ("limits.webhook_endpoints", webhook_endpoints, MAX_ENDPOINTS),
            ("limits.open_trusonafications", open_trusonafications, MAX_LIMIT),
        ];
        all.into_iter().filter(|(_, limit, most)| !(0..=*most).contains(limit)).map(|(name, _, most)| (name, most))
    }
}

/// Which prompting behavior is tolerated.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct PromptSettings {
    /// As before prompt budgets existed: 20 prompts may be pending per user, no matter how many stay unanswered.
    pub tolerant: bool,
    /// A prompt may request an answer without a person.
    pub allow_unprompted: bool,
    /// Two digits are not enough for number matching.
    pub require_six_digits: bool,
}

impl PromptSettings {
    /// For clients that predate prompt budgets.
    pub const TOLERANT: Self = Self { tolerant: true, allow_unprompted: false, require_six_digits: false };
}

/// Maximum number of hours that an inactive binding may wait for activation.
const MAX_INACTIVE_HOURS: i32 = 8_760;

/// Binding settings of a relying party.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct BindingSettings {
    /// Hours after which an inactive binding expires; 0: never.
    pub inactive_hours: i32,
}

impl Default for BindingSettings {
    /// The settings of a new relying party: backends verify a new phone within days, and unneeded activation codes should expire.
    fn default() -> Self {
        Self { inactive_hours: 72 }
    }
}

/// What phones may do on their users' word alone. Stored as JSON.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct PhoneSettings {
    /// Phones may not transfer their binding to a new phone.
    pub refuse_transfers: bool,
    /// Phones may add another phone to the user.
    pub phones_add_phones: bool,
}

/// Changes to a relying party; `None` keeps the value.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RelyingPartyPatch {
    name: Option<String>,
    trucodes: Option<TruCodeSettings>,
    signatures: Option<SignatureSettings>,
    limits: Option<Limits>,
    prompts: Option<PromptSettings>,
    bindings: Option<BindingSettings>,
    phones: Option<PhoneSettings>,
}

impl RelyingPartyPatch {
    /// Parses the fields of a request.
    pub fn parse(
        name: Option<&str>,
        trucodes: Option<TruCodeSettings>,
        signatures: Option<SignatureSettings>,
        limits: Option<Limits>,
        prompts: Option<PromptSettings>,
        bindings: Option<BindingSettings>,
        phones: Option<PhoneSettings>,
    ) -> Result<Self, Refusal> {
        let mut violations = Violations::default();
        let name = violations.check("name", name.map(|name| text::name(name, 100)).transpose());
        let fault = trucodes.as_ref().and_then(TruCodeSettings::fault);
        let trucodes = violations.check("trucodes.allowed_origins", fault.map_or(Ok(trucodes), Err));
        let skew = signatures.is_none_or(|s| (0..=86_400).contains(&s.max_date_skew_seconds));
        let signatures = violations.check("signatures.max_date_skew_seconds", skew.then_some(signatures).ok_or("must be 0 to 86400"));
        let mut good = true;
        for (field, most) in limits.iter().flat_map(|limits| limits.faults()) {
            good = violations.check::<(), _>(field, Err(format!("must be 0 to {most}; 0 is the default of the deployment"))).is_some();
        }
        let hours = bindings.is_none_or(|b| (0..=MAX_INACTIVE_HOURS).contains(&b.inactive_hours));
        let bindings = violations.check("bindings.inactive_hours", hours.then_some(bindings).ok_or("must be 0 to 8760; 0 is never"));
        match (name, trucodes, signatures, bindings) {
            (Some(name), Some(trucodes), Some(signatures), Some(bindings)) if good => {
                Ok(Self { name, trucodes, signatures, limits, prompts, bindings, phones })
            }
            _ => Err(violations.refusal()),
        }
    }
}

/// A tenant.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RelyingParty {
    /// Identifier of the relying party.
    pub id: RelyingPartyId,
    /// Name shown on the phone.
    pub name: String,
    /// TruCode settings.
    pub trucodes: TruCodeSettings,
    /// Which signature defects it tolerates.
    pub signatures: SignatureSettings,
    /// Quotas and rate limits.
    pub limits: Limits,
    /// Which prompting behavior is tolerated.
    pub prompts: PromptSettings,
    /// Binding settings.
    pub bindings: BindingSettings,
    /// What its phones may do.
    pub phones: PhoneSettings,
    /// When it was created.
    pub created_at: Timestamp,
    /// When it was disabled, if it was. Its credentials stopped working then.
    pub disabled_at: Option<Timestamp>,
    /// Increases with every change.
    pub version: i64,
}

/// A relying party to create.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NewRelyingParty {
    /// Name shown on the phone.
    pub name: String,
    /// The requested id, if any.
    pub id: Option<RelyingPartyId>,
    /// Which signature defects it tolerates.
    pub signatures: SignatureSettings,
    /// Which prompting behavior is tolerated.
    pub prompts: PromptSettings,
}

impl NewRelyingParty {
    /// Parses the fields of a request.
    pub fn parse(name: &str, id: &str, trusona_clients: bool) -> Result<Self, Refusal> {
        let mut violations = Violations::default();
        let name = violations.check("name", text::name(name, 100));
        let id = if id.is_empty() { Some(None) } else { violations.check("id", fixed(id)).map(Some) };
        let (signatures, prompts) = if trusona_clients {
            (SignatureSettings::default(), PromptSettings::TOLERANT)
        } else {
            (SignatureSettings::STRICT, PromptSettings::default())
        };
        name.zip(id).map(|(name, id)| Self { name, id, signatures, prompts }).ok_or_else(|| violations.refusal())
    }
}

fn fixed(id: &str) -> Result<RelyingPartyId, &'static str> {
    // The nil UUID stands for the deployment itself.
    id.parse().ok().filter(|id: &RelyingPartyId| !id.as_uuid().is_nil()).ok_or("must be a UUID")
}

impl RelyingParty {
    /// Creates the relying party.
    #[must_use]
    pub fn create(id: RelyingPartyId, new: NewRelyingParty, now: Timestamp) -> Self {
        Self {
            id,
            name: new.name,
            trucodes: TruCodeSettings::default(),
            signatures: new.signatures,
            limits: Limits::default(),
            prompts: new.prompts,
            bindings: BindingSettings::default(),
            phones: PhoneSettings::default(),
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
        let limits = patch.limits.unwrap_or(self.limits);
        let prompts = patch.prompts.unwrap_or(self.prompts);
        let bindings = patch.bindings.unwrap_or(self.bindings);
        let phones = patch.phones.unwrap_or(self.phones);
        let changed = Self { name, trucodes, signatures, limits, prompts, bindings, phones, ..self.clone() };
        if changed == self {
            return Change::Same(self);
        }
        Change::Changed(Self { version: self.version + 1, ..changed })
    }

    /// Disables the relying party permanently.
    #[must_use]
    pub fn disable(self, now: Timestamp) -> Change<Self> {
        match self.disabled_at {
            Some(_) => Change::Same(self),
            None => Change::Changed(Self { disabled_at: Some(now), version: self.version + 1, ..self }),
        }
    }

    /// Refuses a disabled relying party.
    pub const fn ensure_enabled(&self) -> Result<(), Refusal> {
        match self.disabled_at {
            Some(_) => Err(Refusal::RelyingPartyDisabled),
            None => Ok(()),
        }
    }
}

#[cfg(test)]
mod tests {
    use nodkey_kernel::error::Classify as _;

    use super::*;

    fn id() -> RelyingPartyId {
        RelyingPartyId::from_uuid(uuid::Uuid::max())
    }

    fn acme() -> RelyingParty {
        RelyingParty::create(id(), NewRelyingParty::parse("ACME", "", false).unwrap(), Timestamp::from_seconds(1))
    }

    #[test]
    fn everything_wrong_is_told_at_once() {
        let Err(Refusal::Invalid(violations)) = NewRelyingParty::parse(" ", "x", false) else { panic!("taken") };
        assert_eq!(violations.iter().map(|v| v.field.as_str()).collect::<Vec<_>>(), ["name", "id"]);
        assert!(NewRelyingParty::parse("ACME", "00000000-0000-0000-0000-000000000000", false).is_err());
    }

    #[test]
    fn faults_of_old_clients_are_put_up_with_where_there_are_some() {
        for (trusona_clients, signatures, prompts) in
            [(false, SignatureSettings::STRICT, PromptSettings::default()), (true, SignatureSettings::default(), PromptSettings::TOLERANT)]
        {
            let new = NewRelyingParty::parse("ACME", "", trusona_clients).unwrap();
            assert_eq!(new, NewRelyingParty { name: "ACME".into(), id: None, signatures, prompts });
            let party = RelyingParty::create(id(), new, Timestamp::from_seconds(1));
            assert_eq!((party.signatures, party.prompts), (signatures, prompts));
        }
        // As stored before these settings existed.
        assert_eq!(serde_json::from_str::<SignatureSettings>("{}").unwrap(), SignatureSettings::default());
    }

    #[test]
    fn settings_change_and_origins_are_origins() {
        let party = acme();
        let with = |origin: &str| TruCodeSettings { allowed_origins: vec![origin.into()], ..TruCodeSettings::default() };
        let good = RelyingPartyPatch::parse(None, Some(with("https://shop.example.com:8443")), None, None, None, None, None).unwrap();
        let Change::Changed(changed) = party.update(good.clone()) else { panic!("unchanged") };
        assert_eq!((changed.version, changed.name.as_str()), (2, "ACME"));
        assert_eq!(changed.clone().update(good), Change::Same(changed));
        for bad in ["", "shop.example.com", "https://", "https://shop.example.com/", "https://a b", "ftp://x"] {
            assert!(RelyingPartyPatch::parse(None, Some(with(bad)), None, None, None, None, None).is_err(), "{bad}");
        }
        for (limit, good) in [(0, true), (7, true), (-1, false), (i32::MAX, false)] {
            let limits = Limits { unbound_devices: limit, ..Limits::default() };
            assert_eq!(RelyingPartyPatch::parse(None, None, None, Some(limits), None, None, None).is_ok(), good, "{limit}");
        }
        let endpoints = Limits { webhook_endpoints: MAX_ENDPOINTS + 1, ..Limits::default() };
        let refused = RelyingPartyPatch::parse(None, None, None, Some(endpoints), None, None, None).unwrap_err();
        let violations = refused.field_violations();
        assert!(violations[0].description.contains(&format!("0 to {MAX_ENDPOINTS}")), "{violations:?}");
    }

    #[test]
    fn what_is_tolerated_of_prompts_changes_alone() {
        let Ok(patch) = RelyingPartyPatch::parse(None, None, None, None, Some(PromptSettings::TOLERANT), None, None) else {
            panic!("refused")
        };
        let Change::Changed(changed) = acme().update(patch.clone()) else { panic!("unchanged") };
        assert_eq!(changed, RelyingParty { prompts: PromptSettings::TOLERANT, version: 2, ..acme() });
        assert_eq!(changed.clone().update(patch), Change::Same(changed));
    }

    #[test]
    fn how_long_a_binding_waits_has_a_bound() {
        let patch = |inactive_hours| RelyingPartyPatch::parse(None, None, None, None, None, Some(BindingSettings { inactive_hours }), None);
        assert!([-1, 8_761].into_iter().all(|hours| patch(hours).is_err()));
        assert_eq!(acme().bindings.inactive_hours, 72);
        let Change::Changed(changed) = acme().update(patch(0).unwrap()) else { panic!("unchanged") };
        assert_eq!((changed.bindings.inactive_hours, changed.version), (0, 2));
    }

    #[test]
    fn what_is_left_to_phones_changes_alone() {
        let phones = PhoneSettings { phones_add_phones: true, ..PhoneSettings::default() };
        let Ok(patch) = RelyingPartyPatch::parse(None, None, None, None, None, None, Some(phones)) else { panic!("refused") };
        let Change::Changed(changed) = acme().update(patch.clone()) else { panic!("unchanged") };
        assert_eq!(changed, RelyingParty { phones, version: 2, ..acme() });
        assert_eq!(changed.clone().update(patch), Change::Same(changed));
        // As stored before these settings existed.
        assert_eq!(serde_json::from_str::<PhoneSettings>("{}").unwrap(), PhoneSettings::default());
    }

    #[test]
    fn it_is_disabled_once() {
        let party = acme();
        let Change::Changed(disabled) = party.disable(Timestamp::from_seconds(2)) else { panic!("unchanged") };
        assert_eq!(disabled.ensure_enabled(), Err(Refusal::RelyingPartyDisabled));
        assert_eq!(disabled.clone().disable(Timestamp::from_seconds(3)), Change::Same(disabled));
    }
}
