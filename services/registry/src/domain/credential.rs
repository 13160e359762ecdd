//! Credentials and the claims of their tokens.

use nodkey_kernel::{
    id::{CredentialId, RelyingPartyId},
    named,
    time::Timestamp,
};
use serde::Serialize;

use super::Change;

named! {
    /// The kind of client that uses a credential.
    pub enum CredentialKind {
        /// A backend.
        Server = "server",
        /// A mobile app; it can only register devices.
        Mobile = "mobile",
    }
}

impl CredentialKind {
    /// The `ath` claim of a token.
    #[must_use]
    pub const fn role(self) -> &'static str {
        match self {
            Self::Server => "ROLE_TRUSTED_RP",
            Self::Mobile => "ROLE_TRUSTED_RP_CLIENT",
        }
    }
}

/// A token that names a relying party, and the metadata of its secret.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Credential {
    /// Identifier of the credential; the `jti` of the token.
    pub id: CredentialId,
    /// The relying party it belongs to.
    pub relying_party: RelyingPartyId,
    /// The kind of client that uses it.
    pub kind: CredentialKind,
    /// The JWT.
    pub token: String,
    /// When it was created.
    pub created_at: Timestamp,
    /// When it was disabled, if it was.
    pub disabled_at: Option<Timestamp>,
    /// Increases with every change.
    pub version: i64,
}

impl Credential {
    /// Disables the credential permanently.
    #[must_use]
    pub fn disable(self, now: Timestamp) -> Change<Self> {
        match self.disabled_at {
            Some(_) => Change::Same(self),
            None => Change::Changed(Self { disabled_at: Some(now), version: self.version + 1, ..self }),
        }
    }
}

/// Lifetime of a token, in seconds: ten years.
const LIFETIME: i64 = 10 * 365 * 86_400;
/// Maximum combined length of `iss` and `aud`: clients keep whole tokens in small buffers.
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
    /// Builds the claims that identify the holder of a credential.
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

/// Returns whether every client can read tokens of this issuer and audience. Some clients decode the claims as plain base64, so their text
/// must be ASCII without `>`, `?`, `~`, the only characters that encode to `-` and `_`.
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
