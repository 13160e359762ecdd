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

/// How long a device-identifier JWT lives, in seconds.
const JWT_LIFETIME: i64 = 24 * 3600;
/// How often it is noted that a device proved itself.
const SEEN_EVERY: Duration = Duration::from_hours(1);

named! {
    /// What a device runs.
    pub enum Platform {
        /// iOS.
        Ios = "ios",
        /// Android.
        Android = "android",
        /// A browser.
        Web = "web",
        /// A terminal.
        Cli = "cli",
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
    /// What the app can do beyond what all can.
    pub capabilities: Capabilities,
}

/// A registration as a phone sends it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Registration {
    key: PublicJwk,
    profile: Profile,
    statement: Option<SentStatement>,
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
    /// As read.
    pub statement: Option<SentStatement>,
}

impl Registration {
    /// Reads what a request says.
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

    /// The identifier the device has: the thumbprint of its key.
    ///
    /// # Panics
    /// Never: a thumbprint has the shape of an identifier.
    #[must_use]
    pub fn device_id(&self) -> DeviceId {
        DeviceId::parse(&self.key.thumbprint()).expect("a thumbprint")
    }

    /// Refuses what the phone did not send, and adds what is read of its own call alone.
    pub fn sent_by(mut self, call: &ProvenCall) -> Result<Self, Unproven> {
        call.ensure_has(&self.profile.presence, self.statement.as_ref())?;
        self.profile.capabilities = call.capabilities().unwrap_or_default();
        Ok(self)
    }
}

/// What a device changes about itself; the rest stays.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Patch {
    presence: PresenceKeys,
    name: Option<String>,
    app_version: Option<String>,
    capabilities: Option<Capabilities>,
    statement: Option<SentStatement>,
}

impl Patch {
    /// Reads what a request says.
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

    /// Refuses what the phone did not send, and adds what is read of its own call alone.
    pub fn sent_by(mut self, call: &ProvenCall) -> Result<Self, Unproven> {
        call.ensure_has(&self.presence, self.statement.as_ref())?;
        self.capabilities = call.capabilities();
        Ok(self)
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
    /// What it has signed about its presence keys.
    pub vouching: Vouching,
    /// Which of them count.
    pub standings: Standings,
    /// When it came.
    pub created_at: Timestamp,
    /// When it last changed.
    pub updated_at: Timestamp,
    /// When it last proved itself; noted once an hour at most.
    pub last_seen_at: Option<Timestamp>,
    /// When its keys died, if they did.
    pub retired_at: Option<Timestamp>,
    /// Whether a binding was ever about to be made for it.
    pub in_use: bool,
    /// Rises with every change.
    pub version: i64,
}

impl Device {
    /// Registers a device nobody knew.
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

    /// Brings a known device up to date: what it says about itself now is all there is. `relying_party` is who registers.
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

    /// Changes some of what it says about itself.
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

    /// Has presence keys count that the backend approved, by their thumbprints.
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

    /// Those of its presence keys that have proven that it holds them: they signed its statement.
    #[must_use]
    pub fn proven_thumbprints(&self) -> Vec<String> {
        let signers = self.vouching.signers();
        self.presence_thumbprints().into_iter().filter(|thumbprint| signers.contains(thumbprint)).collect()
    }

    /// Notes that it has used a nonce that was made then: no earlier one is any good.
    #[must_use]
    pub fn challenged(self, at: Timestamp) -> Self {
        Self { vouching: Vouching { challenged_at: Some(at), ..self.vouching }, version: self.version + 1, ..self }
    }

    /// Whether the keys of this one differ from those that it had `before`, or count otherwise.
    #[must_use]
    pub fn has_other_keys(&self, before: &Self) -> bool {
        let standing = |device: &Self| device.profile.presence.iter().map(|(kind, _)| device.standings.of(kind).counts).collect::<Vec<_>>();
        self.profile.presence != before.profile.presence || standing(self) != standing(before)
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
        aud: device.relying_party.to_string().into(),
        sub: device.id.to_string(),
        iat,
        exp: iat + JWT_LIFETIME,
        jti,
    }
}

#[cfg(test)]
mod tests;
