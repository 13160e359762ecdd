//! Credentials and the claims of their tokens.

use std::time::Duration;

use nodkey_kernel::{
    id::{CredentialId, RelyingPartyId},
    named,
    time::Timestamp,
};
use serde::Serialize;

use super::Change;

named! {
    /// Who uses a credential.
    pub enum CredentialKind {
        /// A backend.
        Server = "server",
        /// A mobile app; it registers devices and nothing else.
        Mobile = "mobile",
    }
}

impl CredentialKind {
    /// The `ath` of a token.
    #[must_use]
    pub const fn role(self) -> &'static str {
        match self {
            Self::Server => "ROLE_TRUSTED_RP",
            Self::Mobile => "ROLE_TRUSTED_RP_CLIENT",
        }
    }
}

/// A token that names a relying party, and a secret that signs.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Credential {
    /// Names it; the `jti` of the token.
    pub id: CredentialId,
    /// Whose it is.
    pub relying_party: RelyingPartyId,
    /// Who uses it.
    pub kind: CredentialKind,
    /// A JWT.
    pub token: String,
    /// What people call it; may be empty.
    pub name: String,
    /// When it was last used, exact to [`USE_NOTED`]; `None`: never, or not since it is noted.
    pub last_used_at: Option<Timestamp>,
    /// When it came.
    pub created_at: Timestamp,
    /// When it stopped working, if it did.
    pub disabled_at: Option<Timestamp>,
    /// Rises with every change.
    pub version: i64,
}

/// How long after a use the next one is noted.
pub const USE_NOTED: Duration = Duration::from_hours(1);

impl Credential {
    /// Whether a use now is worth noting.
    #[must_use]
    pub fn notes_use(&self, now: Timestamp) -> bool {
        self.last_used_at.is_none_or(|last| last + USE_NOTED <= now)
    }

    /// Ends it, for good.
    #[must_use]
    pub fn disable(self, now: Timestamp) -> Change<Self> {
        match self.disabled_at {
            Some(_) => Change::Same(self),
            None => Change::Changed(Self { disabled_at: Some(now), version: self.version + 1, ..self }),
        }
    }
}

/// How long a token lives, in seconds: ten years.
const LIFETIME: i64 = 10 * 365 * 86_400;
/// How long `iss` and `aud` may be together: clients keep whole tokens in small buffers.
const MAX_NAMES: usize = 250;

/// The claims of a token, in the order they are written. Existing clients read `exp` and `iat` as 32-bit numbers.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct TokenClaims<'a> {
    iss: &'a str,
    sub: RelyingPartyId,
    aud: &'a str,
    iat: i64,
    exp: i64,
    jti: CredentialId,
    ath: &'static str,
}

impl<'a> TokenClaims<'a> {
    /// Says who the holder of a credential is.
    #[must_use]
    pub fn new(
        issuer: &'a str,
        audience: &'a str,
        relying_party: RelyingPartyId,
        id: CredentialId,
        kind: CredentialKind,
        now: Timestamp,
    ) -> Self {
        let iat = now.as_seconds().clamp(0, i64::from(i32::MAX));
        let exp = (iat + LIFETIME).min(i64::from(i32::MAX));
        Self { iss: issuer, sub: relying_party, aud: audience, iat, exp, jti: id, ath: kind.role() }
    }
}

/// Tells whether tokens of this issuer and audience can be read by every client: some decode the claims as plain base64, so
/// their text must be ASCII without `>`, `?`, `~`, which alone encode to `-` and `_`.
#[must_use]
pub fn readable_by_clients(issuer: &str, audience: &str) -> bool {
    let plain = |text: &str| text.bytes().all(|b| b.is_ascii_graphic() && !b">?~".contains(&b));
    plain(issuer) && plain(audience) && issuer.len() + audience.len() <= MAX_NAMES
}

#[cfg(test)]
mod tests {
    use nodkey_kernel::{jose::b64u, random::Random};
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn claims_are_plain_base64_and_fit_in_32_bits(
            issuer in "https://[!-=@-}]{1,40}", audience in "[!-=@-}]{1,40}", seconds in 0..i64::from(i32::MAX), seed: u64, server: bool,
        ) {
            prop_assert!(readable_by_clients(&issuer, &audience));
            let (now, random) = (Timestamp::from_seconds(seconds), Random::seeded(seed));
            let kind = if server { CredentialKind::Server } else { CredentialKind::Mobile };
            let party = RelyingPartyId::generate(now, &random);
            let claims = TokenClaims::new(&issuer, &audience, party, CredentialId::generate(now, &random), kind, now);
            let encoded = b64u(&serde_json::to_vec(&claims).unwrap());
            prop_assert!(!encoded.contains(['-', '_']), "{encoded}");
            prop_assert!(claims.exp <= i64::from(i32::MAX) && claims.exp > claims.iat);
        }
    }

    #[test]
    fn names_that_break_clients_are_told_apart() {
        assert!(readable_by_clients("https://id.example.com/nodkey", "api.example.com"));
        for issuer in ["https://example.com/~me", "https://example.com/?a", "https://exämple.com", &"a".repeat(300)] {
            assert!(!readable_by_clients(issuer, "nodkey"));
        }
    }
}
