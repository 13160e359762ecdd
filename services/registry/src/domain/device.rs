//! Devices and their keys.

use std::time::Duration;

use nodkey_kernel::{
    device::DeviceClaims,
    id::{DeviceId, RelyingPartyId},
    jose::PublicJwk,
    named,
    time::Timestamp,
};

use super::{Change, Refusal, Unknown, Violations, text};

/// How long a device-identifier JWT lives, in seconds.
const JWT_LIFETIME: i64 = 24 * 3600;
/// How often it is noted that a device proved itself.
const SEEN_EVERY: Duration = Duration::from_hours(1);

named! {
    /// How the operating system asks the person.
    pub enum PresenceKind {
        /// Fingerprint, face.
        Biometric = "biometric",
        /// PIN, pattern, passcode.
        Credential = "credential",
    }
}

named! {
    /// What a device runs.
    pub enum Platform {
        /// iOS.
        Ios = "ios",
        /// Android.
        Android = "android",
        /// Something else.
        Other = "other",
    }
}

/// The keys the operating system only lets sign after it asked the person: at most one of each kind.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct PresenceKeys {
    /// Behind fingerprint or face.
    pub biometric: Option<PublicJwk>,
    /// Behind PIN, pattern or passcode.
    pub credential: Option<PublicJwk>,
}

impl PresenceKeys {
    /// Reads what a request says: kinds and JWKs.
    pub fn parse<'a>(given: impl IntoIterator<Item = (Result<PresenceKind, Unknown>, &'a str)>) -> Result<Self, String> {
        let mut keys = Self::default();
        for (kind, jwk) in given {
            let kind = kind.map_err(|_| "must be biometric or credential".to_owned())?;
            let key = PublicJwk::parse(jwk).map_err(|e| format!("must be public keys: {e}"))?;
            if keys.slot(kind).replace(key).is_some() {
                return Err(format!("must be at most one of each kind; there are two of kind {}", kind.as_str()));
            }
        }
        Ok(keys)
    }

    fn slot(&mut self, kind: PresenceKind) -> &mut Option<PublicJwk> {
        match kind {
            PresenceKind::Biometric => &mut self.biometric,
            PresenceKind::Credential => &mut self.credential,
        }
    }

    /// The keys with their kinds.
    pub fn iter(&self) -> impl Iterator<Item = (PresenceKind, PublicJwk)> {
        [(PresenceKind::Biometric, self.biometric), (PresenceKind::Credential, self.credential)]
            .into_iter()
            .filter_map(|(kind, key)| Some((kind, key?)))
    }

    /// Those in `newer` replace those of their kind.
    #[must_use]
    fn overlaid(self, newer: Self) -> Self {
        Self { biometric: newer.biometric.or(self.biometric), credential: newer.credential.or(self.credential) }
    }
}

/// What a device says about itself.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Profile {
    /// Keys behind user presence.
    pub presence: PresenceKeys,
    /// For people.
    pub name: String,
    /// What it runs.
    pub platform: Platform,
    /// What the app says.
    pub app_version: String,
}

/// A registration as a phone sends it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Registration {
    key: PublicJwk,
    profile: Profile,
}

/// The raw fields of a registration.
#[derive(Debug)]
pub struct RegistrationFields<'a> {
    /// A JWK.
    pub device_key: &'a str,
    /// As read.
    pub presence: Result<PresenceKeys, String>,
    /// For people.
    pub name: &'a str,
    /// As read.
    pub platform: Result<Platform, Unknown>,
    /// What the app says.
    pub app_version: &'a str,
}

impl Registration {
    /// Reads what a request says.
    pub fn parse(fields: RegistrationFields<'_>) -> Result<Self, Refusal> {
        let mut violations = Violations::default();
        let key = violations.check("device_key", PublicJwk::parse(fields.device_key).map_err(|e| format!("must be a public key: {e}")));
        let presence = violations.check("presence_keys", fields.presence);
        let name = violations.check("name", text::optional(fields.name, 100));
        let platform = violations.check("platform", fields.platform);
        let app_version = violations.check("app_version", text::optional(fields.app_version, 50));
        let (Some(key), Some(presence), Some(name), Some(platform), Some(app_version)) = (key, presence, name, platform, app_version)
        else {
            return Err(violations.refusal());
        };
        Ok(Self { key, profile: Profile { presence, name, platform, app_version } })
    }

    /// The identifier the device has: the thumbprint of its key.
    ///
    /// # Panics
    /// Never: a thumbprint has the shape of an identifier.
    #[must_use]
    pub fn device_id(&self) -> DeviceId {
        DeviceId::parse(&self.key.thumbprint()).expect("a thumbprint")
    }
}

/// What a device changes about itself; the rest stays.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Patch {
    presence: PresenceKeys,
    name: Option<String>,
    app_version: Option<String>,
}

impl Patch {
    /// Reads what a request says.
    pub fn parse(presence: Result<PresenceKeys, String>, name: Option<&str>, app_version: Option<&str>) -> Result<Self, Refusal> {
        let mut violations = Violations::default();
        let presence = violations.check("presence_keys", presence);
        let name = violations.check("name", name.map(|n| text::optional(n, 100)).transpose());
        let app_version = violations.check("app_version", app_version.map(|v| text::optional(v, 50)).transpose());
        match (presence, name, app_version) {
            (Some(presence), Some(name), Some(app_version)) => Ok(Self { presence, name, app_version }),
            _ => Err(violations.refusal()),
        }
    }
}

/// A phone or tablet.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Device {
    /// Thumbprint of its key.
    pub id: DeviceId,
    /// Whose it is.
    pub relying_party: RelyingPartyId,
    /// Needs no user to sign.
    pub key: PublicJwk,
    /// What it says about itself.
    pub profile: Profile,
    /// When it came.
    pub created_at: Timestamp,
    /// When it last changed.
    pub updated_at: Timestamp,
    /// When it last proved itself; noted once an hour at most.
    pub last_seen_at: Option<Timestamp>,
    /// When its keys died, if they did.
    pub retired_at: Option<Timestamp>,
    /// Rises with every change.
    pub version: i64,
}

impl Device {
    /// Registers a device nobody knew.
    pub fn register(relying_party: RelyingPartyId, registration: Registration, now: Timestamp) -> Result<Self, Refusal> {
        let id = registration.device_id();
        let Registration { key, profile } = registration;
        separate(&key, profile.presence)?;
        Ok(Self { id, relying_party, key, profile, created_at: now, updated_at: now, last_seen_at: None, retired_at: None, version: 1 })
    }

    /// Brings a known device up to date: what it says about itself now is all there is. `relying_party` is who registers.
    pub fn register_again(
        self,
        relying_party: RelyingPartyId,
        registration: Registration,
        now: Timestamp,
    ) -> Result<Change<Self>, Refusal> {
        if self.relying_party != relying_party {
            return Err(Refusal::DeviceKeyInUse);
        }
        self.with_profile(registration.profile, now)
    }

    /// Changes some of what it says about itself.
    pub fn update(self, patch: Patch, now: Timestamp) -> Result<Change<Self>, Refusal> {
        let old = self.profile.clone();
        let profile = Profile {
            presence: old.presence.overlaid(patch.presence),
            name: patch.name.unwrap_or(old.name),
            app_version: patch.app_version.unwrap_or(old.app_version),
            platform: old.platform,
        };
        self.with_profile(profile, now)
    }

    /// Ends it, for good.
    #[must_use]
    pub fn retire(self, now: Timestamp) -> Change<Self> {
        match self.retired_at {
            Some(_) => Change::Same(self),
            None => Change::Changed(Self { retired_at: Some(now), updated_at: now, version: self.version + 1, ..self }),
        }
    }

    /// Tells whether it is worth noting that it proved itself at `now`: once an hour is enough, and cheap.
    #[must_use]
    pub fn is_seen_anew(&self, now: Timestamp) -> bool {
        self.last_seen_at.is_none_or(|at| at.until(now) >= SEEN_EVERY)
    }

    /// Refuses what only a living one may do.
    pub const fn ensure_alive(&self) -> Result<(), Refusal> {
        match self.retired_at {
            Some(_) => Err(Refusal::DeviceRetired),
            None => Ok(()),
        }
    }

    fn with_profile(self, profile: Profile, now: Timestamp) -> Result<Change<Self>, Refusal> {
        self.ensure_alive()?;
        separate(&self.key, profile.presence)?;
        if self.profile == profile {
            return Ok(Change::Same(self));
        }
        Ok(Change::Changed(Self { profile, updated_at: now, version: self.version + 1, ..self }))
    }
}

/// A device key signs without asking anybody, so it proves nobody's presence.
fn separate(key: &PublicJwk, presence: PresenceKeys) -> Result<(), Refusal> {
    if presence.iter().any(|(_, presence)| presence == *key) {
        return Err(Refusal::invalid("presence_keys", "must differ from the device key"));
    }
    Ok(())
}

/// The claims of a device-identifier JWT.
#[must_use]
pub fn claims(issuer: &str, device: &Device, jti: String, now: Timestamp) -> DeviceClaims {
    let iat = now.as_seconds();
    DeviceClaims {
        iss: issuer.to_owned(),
        aud: device.relying_party.to_string(),
        sub: device.id.to_string(),
        iat,
        exp: iat + JWT_LIFETIME,
        jti,
    }
}

#[cfg(test)]
mod tests {
    use nodkey_kernel::{
        jose::{Algorithm, PrivateKey},
        random::Random,
    };
    use proptest::prelude::*;

    use super::*;

    /// The key a seed stands for; 0 is the device key's.
    fn key(seed: u64) -> PublicJwk {
        PrivateKey::generate(if seed.is_multiple_of(2) { Algorithm::EdDsa } else { Algorithm::Es256 }, &Random::seeded(seed)).public()
    }

    fn party(seed: u64) -> RelyingPartyId {
        RelyingPartyId::generate(Timestamp::from_seconds(1), &Random::seeded(seed))
    }

    fn presence(biometric: Option<u64>, credential: Option<u64>) -> PresenceKeys {
        PresenceKeys { biometric: biometric.map(key), credential: credential.map(key) }
    }

    fn registration(presence: PresenceKeys, name: &str) -> Registration {
        let profile = Profile { presence, name: name.into(), platform: Platform::Ios, app_version: "1".into() };
        Registration { key: key(0), profile }
    }

    #[derive(Debug, Clone)]
    enum Command {
        Register(u64, PresenceKeys, String),
        Update(Patch),
        Retire,
    }

    fn commands() -> impl Strategy<Value = Command> {
        let keys = || (prop::option::of(0_u64..4), prop::option::of(0_u64..4)).prop_map(|(b, c)| presence(b, c));
        prop_oneof![
            4 => (1_u64..3, keys(), "[ab]").prop_map(|(party, keys, name)| Command::Register(party, keys, name)),
            4 => (keys(), prop::option::of("[ab]")).prop_map(|(presence, name)| Command::Update(Patch { presence, name, app_version: None })),
            1 => Just(Command::Retire),
        ]
    }

    proptest! {
        #[test]
        fn whatever_happens_the_invariants_hold(commands in prop::collection::vec(commands(), 0..20)) {
            let mut device = Device::register(party(1), registration(presence(None, None), "a"), Timestamp::from_seconds(0)).unwrap();
            for (second, command) in (1..).zip(commands) {
                let (before, now) = (device.clone(), Timestamp::from_seconds(second));
                let outcome = match command {
                    Command::Register(by, keys, name) => device.clone().register_again(party(by), registration(keys, &name), now),
                    Command::Update(patch) => device.clone().update(patch, now),
                    Command::Retire => Ok(device.clone().retire(now)),
                };
                match outcome {
                    Ok(Change::Changed(changed)) => {
                        prop_assert_eq!(changed.version, before.version + 1);
                        prop_assert_eq!(changed.updated_at, now);
                        prop_assert!(before.retired_at.is_none(), "nothing leaves retirement");
                        device = changed;
                    }
                    Ok(Change::Same(same)) => prop_assert_eq!(&same, &before),
                    Err(_) => {}
                }
                prop_assert_eq!((&device.id, device.relying_party, device.key), (&before.id, party(1), key(0)));
                prop_assert!(crate::invariants::check_device(&device).is_ok());
            }
        }
    }

    #[test]
    fn who_may_register_a_known_key_again() {
        let device = Device::register(party(1), registration(presence(Some(1), None), "a"), Timestamp::from_seconds(0)).unwrap();
        let now = Timestamp::from_seconds(1);
        let again = |device: &Device, by| device.clone().register_again(party(by), registration(presence(None, Some(1)), "b"), now);
        assert_eq!(again(&device, 2), Err(Refusal::DeviceKeyInUse));
        let Ok(Change::Changed(changed)) = again(&device, 1) else { panic!("refused or unchanged") };
        assert_eq!(changed.profile.presence, presence(None, Some(1)));
        let Change::Changed(retired) = device.retire(now) else { panic!("unchanged") };
        assert_eq!(again(&retired, 1), Err(Refusal::DeviceRetired));
        assert_eq!(again(&retired, 2), Err(Refusal::DeviceKeyInUse));
    }

    #[test]
    fn there_is_one_presence_key_of_a_kind() {
        let jwk = |seed| key(seed).to_value().to_string();
        let (one, two) = (jwk(1), jwk(2));
        let (biometric, credential) = (Ok(PresenceKind::Biometric), Ok(PresenceKind::Credential));
        assert_eq!(PresenceKeys::parse([(biometric, one.as_str()), (credential, two.as_str())]), Ok(presence(Some(1), Some(2))));
        assert!(PresenceKeys::parse([(biometric, one.as_str()), (biometric, two.as_str())]).is_err());
        assert!(PresenceKeys::parse([(Err(Unknown), one.as_str())]).is_err());
        assert!(PresenceKeys::parse([(biometric, "{}")]).is_err());
    }
}
