//! Devices and their keys.

use std::time::Duration;

use nodkey_kernel::{
    device::DeviceClaims,
    dpop::Unproven,
    id::{DeviceId, RelyingPartyId},
    jose::PublicJwk,
    key_statement::PresenceKind,
    named,
    time::Timestamp,
};

use super::{
    Change, Refusal, Unknown, Violations,
    capability::Capabilities,
    key_statement::{SentStatement, Verifier, Vouching},
    phone_call::ProvenCall,
    standing::Standings,
    text,
};

/// Lifetime of a device-identifier JWT, in seconds.
const JWT_LIFETIME: i64 = 24 * 3600;
/// Minimum interval between updates of `last_seen_at`.
const SEEN_EVERY: Duration = Duration::from_hours(1);

named! {
    /// The platform of a device.
    pub enum Platform {
        /// iOS.
        Ios = "ios",
        /// Android.
        Android = "android",
        /// A browser.
        Web = "web",
        /// A terminal.
        Cli = "cli",
        /// Any other platform.
        Other = "other",
    }
}

/// Keys that the operating system only lets sign after it verified the person: at most one of each kind.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct PresenceKeys {
    /// Requires fingerprint or face.
    pub biometric: Option<PublicJwk>,
    /// Requires PIN, pattern or passcode.
    pub credential: Option<PublicJwk>,
}

impl PresenceKeys {
    /// Parses the kinds and JWKs of a request.
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

    /// Replaces keys with those of the same kind in `newer`.
    #[must_use]
    fn overlaid(self, newer: Self) -> Self {
        Self { biometric: newer.biometric.or(self.biometric), credential: newer.credential.or(self.credential) }
    }
}

/// What a device reports about itself.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Profile {
    /// Presence keys.
    pub presence: PresenceKeys,
    /// Display name.
    pub name: String,
    /// Platform.
    pub platform: Platform,
    /// App version as reported by the app.
    pub app_version: String,
    /// Optional capabilities of the app.
    pub capabilities: Capabilities,
}

/// A registration request of a phone.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Registration {
    key: PublicJwk,
    profile: Profile,
    statement: Option<SentStatement>,
}

/// The unparsed fields of a registration.
#[derive(Debug)]
pub struct RegistrationFields<'a> {
    /// Device key as a JWK.
    pub device_key: &'a str,
    /// Presence keys, parsed.
    pub presence: Result<PresenceKeys, String>,
    /// Display name.
    pub name: &'a str,
    /// Platform, parsed.
    pub platform: Result<Platform, Unknown>,
    /// App version as reported by the app.
    pub app_version: &'a str,
    /// Key statement, parsed.
    pub statement: Option<SentStatement>,
}

impl Registration {
    /// Parses the fields of a request.
    pub fn parse(fields: RegistrationFields<'_>) -> Result<Self, Refusal> {
        let mut violations = Violations::default();
        let key = violations.check("device_key", PublicJwk::parse(fields.device_key).map_err(|e| format!("must be a public key: {e}")));
        let presence = violations.check("presence_keys", fields.presence);
        let name = violations.check("name", text::optional_name(fields.name, 100));
        let platform = violations.check("platform", fields.platform);
        let app_version = violations.check("app_version", text::optional(fields.app_version, 50));
        let (Some(key), Some(presence), Some(name), Some(platform), Some(app_version)) = (key, presence, name, platform, app_version)
        else {
            return Err(violations.refusal());
        };
        let capabilities = Capabilities::default();
        Ok(Self { key, profile: Profile { presence, name, platform, app_version, capabilities }, statement: fields.statement })
    }

    /// The identifier of the device: the thumbprint of its key.
    ///
    /// # Panics
    /// Never: a thumbprint is always a valid identifier.
    #[must_use]
    pub fn device_id(&self) -> DeviceId {
        DeviceId::parse(&self.key.thumbprint()).expect("a thumbprint")
    }

    /// Refuses fields that the phone's own call does not contain, and adds those that are read only from that call.
    pub fn sent_by(mut self, call: &ProvenCall) -> Result<Self, Unproven> {
        call.ensure_has(&self.profile.presence, self.statement.as_ref())?;
        self.profile.capabilities = call.capabilities().unwrap_or_default();
        Ok(self)
    }
}

/// Changes to a device's profile; `None` keeps the value.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Patch {
    presence: PresenceKeys,
    name: Option<String>,
    app_version: Option<String>,
    capabilities: Option<Capabilities>,
    statement: Option<SentStatement>,
}

impl Patch {
    /// Parses the fields of a request.
    pub fn parse(
        presence: Result<PresenceKeys, String>,
        name: Option<&str>,
        app_version: Option<&str>,
        statement: Option<SentStatement>,
    ) -> Result<Self, Refusal> {
        let mut violations = Violations::default();
        let presence = violations.check("presence_keys", presence);
        let name = violations.check("name", name.map(|n| text::optional_name(n, 100)).transpose());
        let app_version = violations.check("app_version", app_version.map(|v| text::optional(v, 50)).transpose());
        match (presence, name, app_version) {
            (Some(presence), Some(name), Some(app_version)) => Ok(Self { presence, name, app_version, capabilities: None, statement }),
            _ => Err(violations.refusal()),
        }
    }

    /// Refuses fields that the phone's own call does not contain, and adds those that are read only from that call.
    pub fn sent_by(mut self, call: &ProvenCall) -> Result<Self, Unproven> {
        call.ensure_has(&self.presence, self.statement.as_ref())?;
        self.capabilities = call.capabilities();
        Ok(self)
    }
}

/// A phone or tablet.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Device {
    /// Thumbprint of the device key.
    pub id: DeviceId,
    /// The relying party it belongs to.
    pub relying_party: RelyingPartyId,
    /// Device key; signs without user interaction.
    pub key: PublicJwk,
    /// What the device reports about itself.
    pub profile: Profile,
    /// What the device has signed about its presence keys.
    pub vouching: Vouching,
    /// Which of its presence keys count.
    pub standings: Standings,
    /// When it was registered.
    pub created_at: Timestamp,
    /// When it was last changed.
    pub updated_at: Timestamp,
    /// When it last authenticated; updated at most once an hour.
    pub last_seen_at: Option<Timestamp>,
    /// When it was retired, if it was.
    pub retired_at: Option<Timestamp>,
    /// Whether a binding was ever about to be created for it.
    pub in_use: bool,
    /// Increases with every change.
    pub version: i64,
}

impl Device {
    /// Registers a device that is not known yet.
    pub fn register(relying_party: RelyingPartyId, registration: Registration, verifier: Verifier<'_>) -> Result<Self, Refusal> {
        let (id, now) = (registration.device_id(), verifier.now);
        let Registration { key, profile, statement } = registration;
        separate(&key, profile.presence)?;
        let none = PresenceKeys::default();
        let vouching = Vouching::default().renew(statement.as_ref(), &key, &none, &profile.presence, verifier)?;
        Ok(Self {
            id,
            relying_party,
            key,
            vouching,
            standings: Standings::of_new(&profile.presence, now),
            profile,
            created_at: now,
            updated_at: now,
            last_seen_at: None,
            retired_at: None,
            in_use: false,
            version: 1,
        })
    }

    /// Updates a known device: the profile is replaced entirely. `relying_party` is the one that registers it.
    pub fn register_again(
        self,
        relying_party: RelyingPartyId,
        registration: Registration,
        verifier: Verifier<'_>,
    ) -> Result<Change<Self>, Refusal> {
        if self.relying_party != relying_party {
            return Err(Refusal::DeviceKeyInUse);
        }
        self.with_profile(registration.profile, registration.statement.as_ref(), verifier)
    }

    /// Changes parts of the profile.
    pub fn update(self, patch: Patch, verifier: Verifier<'_>) -> Result<Change<Self>, Refusal> {
        let old = self.profile.clone();
        let profile = Profile {
            presence: old.presence.overlaid(patch.presence),
            name: patch.name.unwrap_or(old.name),
            app_version: patch.app_version.unwrap_or(old.app_version),
            capabilities: patch.capabilities.unwrap_or(old.capabilities),
            platform: old.platform,
        };
        self.with_profile(profile, patch.statement.as_ref(), verifier)
    }

    /// Makes presence keys count that the backend approved, given by their thumbprints.
    pub fn approve_keys(self, thumbprints: &[String], now: Timestamp) -> Result<Change<Self>, Refusal> {
        self.ensure_alive()?;
        let approve = |standings: Standings, jkt: &String| standings.approve(&self.profile.presence, jkt).ok_or(Refusal::NoSuchKey);
        let standings = thumbprints.iter().try_fold(self.standings, approve)?;
        if standings == self.standings {
            return Ok(Change::Same(self));
        }
        Ok(Change::Changed(Self { standings, updated_at: now, version: self.version + 1, ..self }))
    }

    /// The thumbprints of its presence keys.
    #[must_use]
    pub fn presence_thumbprints(&self) -> Vec<String> {
        self.profile.presence.iter().map(|(_, key)| key.thumbprint()).collect()
    }

    /// Thumbprints of the presence keys that have signed the device's statement, which proves that the device holds them.
    #[must_use]
    pub fn proven_thumbprints(&self) -> Vec<String> {
        let signers = self.vouching.signers();
        self.presence_thumbprints().into_iter().filter(|thumbprint| signers.contains(thumbprint)).collect()
    }

    /// Records when the last used nonce was made; earlier nonces are no longer accepted.
    #[must_use]
    pub fn challenged(self, at: Timestamp) -> Self {
        Self { vouching: Vouching { challenged_at: Some(at), ..self.vouching }, version: self.version + 1, ..self }
    }

    /// Whether its presence keys, or which of them count, differ from `before`.
    #[must_use]
    pub fn has_other_keys(&self, before: &Self) -> bool {
        let standing = |device: &Self| device.profile.presence.iter().map(|(kind, _)| device.standings.of(kind).counts).collect::<Vec<_>>();
        self.profile.presence != before.profile.presence || standing(self) != standing(before)
    }

    /// Retires the device permanently.
    #[must_use]
    pub fn retire(self, now: Timestamp) -> Change<Self> {
        match self.retired_at {
            Some(_) => Change::Same(self),
            None => Change::Changed(Self { retired_at: Some(now), updated_at: now, version: self.version + 1, ..self }),
        }
    }

    /// Whether to update `last_seen_at`: once an hour is precise enough, and cheap.
    #[must_use]
    pub fn is_seen_anew(&self, now: Timestamp) -> bool {
        self.last_seen_at.is_none_or(|at| at.until(now) >= SEEN_EVERY)
    }

    /// Refuses a retired device.
    pub const fn ensure_alive(&self) -> Result<(), Refusal> {
        match self.retired_at {
            Some(_) => Err(Refusal::DeviceRetired),
            None => Ok(()),
        }
    }

    fn with_profile(self, profile: Profile, sent: Option<&SentStatement>, verifier: Verifier<'_>) -> Result<Change<Self>, Refusal> {
        self.ensure_alive()?;
        separate(&self.key, profile.presence)?;
        let vouching = self.vouching.clone().renew(sent, &self.key, &self.profile.presence, &profile.presence, verifier)?;
        let signers = if vouching.seq > self.vouching.seq { vouching.signers() } else { Vec::new() };
        let standings = self.standings.renew(&self.profile.presence, &profile.presence, &signers, verifier.now);
        if self.profile == profile && self.vouching == vouching && self.standings == standings {
            return Ok(Change::Same(self));
        }
        Ok(Change::Changed(Self { profile, vouching, standings, updated_at: verifier.now, version: self.version + 1, ..self }))
    }
}

/// The device key signs without user interaction, so it must not serve as a presence key.
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
        aud: device.relying_party.to_string().into(),
        sub: device.id.to_string(),
        iat,
        exp: iat + JWT_LIFETIME,
        jti,
    }
}

#[cfg(test)]
mod tests;
