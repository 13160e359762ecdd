//! The public halves of the deployment's keys, each of the service that signs by it: when they sign, and until when they are published.

use std::time::Duration;

use nodkey_kernel::{
    audit::AUDIT_TYP,
    challenge::CHALLENGE_TYP,
    device::DEVICE_TYP,
    jose::{Algorithm, JoseError, Jwks, PublicJwk, PublishedKey},
    named,
    receipt::RECEIPT_TYP,
    result::RESULT_TYP,
    time::Timestamp,
    trucode::TRUCODE_TYP,
};
use serde_json::{Value, json};

use super::Refusal;

/// The `typ` of the tokens of credentials.
pub const TOKEN_TYP: &str = "JWT";
/// What the registry signed for others in releases before; see [`lent`].
const LENT: [&str; 3] = [CHALLENGE_TYP, RESULT_TYP, TRUCODE_TYP];
/// The largest claims that are signed for others, in bytes: their JWS is just below what readers take.
const MAX_CLAIMS: usize = 1_150_000;

named! {
    /// A service that signs by keys of its own.
    pub enum Owner {
        /// Device identifiers, the tokens of credentials, and checkpoints of the audit log.
        Registry = "registry",
        /// Everything about trusonafications.
        Trusonafication = "trusonafication",
    }
}

impl Owner {
    /// The `typ`s that are its own to sign.
    #[must_use]
    pub const fn typs(self) -> &'static [&'static str] {
        match self {
            Self::Registry => &[DEVICE_TYP, TOKEN_TYP, AUDIT_TYP],
            Self::Trusonafication => &[CHALLENGE_TYP, RECEIPT_TYP, RESULT_TYP, TRUCODE_TYP],
        }
    }

    /// Checks that every one of these `typ`s is its own.
    pub fn check(self, typs: &[String]) -> Result<(), Refusal> {
        let own = typs.iter().all(|typ| self.typs().contains(&typ.as_str()));
        let each_once = typs.iter().enumerate().all(|(at, typ)| !typs[..at].contains(typ));
        if own && each_once && !typs.is_empty() {
            return Ok(());
        }
        Err(Refusal::invalid("typs", format!("must be some of {}, each once", self.typs().join(", "))))
    }
}

/// Whether there is a key for everything that is signed.
#[must_use]
pub fn is_complete(all: &[SigningKey]) -> bool {
    Owner::ALL.iter().flat_map(|owner| owner.typs()).all(|typ| all.iter().any(|key| key.signs(typ)))
}

/// A published key.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SigningKey {
    /// The key; its thumbprint is the `kid`.
    pub key: PublicJwk,
    /// Who signs by it.
    pub owner: Owner,
    /// The `typ`s of what it signs.
    pub typs: Vec<String>,
    /// When it was published.
    pub created_at: Timestamp,
    /// When it begins to sign.
    pub signs_at: Timestamp,
    /// When it leaves the JWKS; `None` for the newest of its owner.
    pub retires_at: Option<Timestamp>,
    /// When it was declared compromised.
    pub revoked_at: Option<Timestamp>,
}

impl SigningKey {
    /// Whether what it signed is still to be verified by the JWKS.
    #[must_use]
    pub fn is_published(&self, now: Timestamp) -> bool {
        self.revoked_at.is_none() && self.retires_at.is_none_or(|at| now < at)
    }

    /// Whether it signs JWS of this `typ`.
    #[must_use]
    pub fn signs(&self, typ: &str) -> bool {
        self.typs.iter().any(|named| named == typ)
    }

    /// Whether what it signed is kept and verified later: evidence, and checkpoints of the audit log.
    fn is_archived(&self) -> bool {
        self.signs(CHALLENGE_TYP) || self.signs(RECEIPT_TYP) || self.signs(AUDIT_TYP)
    }

    /// The key as it is published.
    #[must_use]
    pub fn public(&self) -> PublishedKey {
        PublishedKey { kid: self.key.thumbprint(), key: self.key, typs: Some(self.typs.clone()) }
    }
}

/// How long keys are published before they sign, and after.
#[derive(Debug, Clone, Copy)]
pub struct Publication {
    /// How long nobody may verify by a key set without a key before it signs.
    pub lead: Duration,
    /// How long signatures live.
    pub retention: Duration,
}

/// A key that somebody wants to publish.
#[derive(Debug, Clone)]
pub struct Offer {
    /// Who signs by it.
    pub owner: Owner,
    /// The key.
    pub key: PublicJwk,
    /// The `typ`s of what it signs.
    pub typs: Vec<String>,
    /// Those before are compromised.
    pub at_once: bool,
}

/// What publishing a key does.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Published {
    /// It was published before.
    Before(SigningKey),
    /// It is, and these others have changed.
    Now(SigningKey, Vec<SigningKey>),
}

impl Publication {
    /// Publishes a key beside all that were published before.
    pub fn publish(&self, all: &[SigningKey], offer: Offer, now: Timestamp) -> Result<Published, Refusal> {
        let Offer { owner, key, typs, at_once } = offer;
        if let Some(before) = all.iter().find(|before| before.key.thumbprint() == key.thumbprint()) {
            return if before.owner == owner { Ok(Published::Before(before.clone())) } else { Err(Refusal::SigningKeyTaken) };
        }
        let another_signs = all.iter().any(|other| {
            let alike = other.is_published(now) && other.typs.iter().any(|typ| typs.contains(typ));
            alike && other.signs_at <= now
        });
        let signs_at = if at_once || !another_signs { now } else { now + self.lead };
        let changed = all.iter().filter(|other| other.owner == owner && other.is_published(now)).filter_map(|other| {
            if at_once {
                return Some(SigningKey { retires_at: Some(now), revoked_at: Some(now), ..other.clone() });
            }
            let retires = other.retires_at.is_none();
            retires.then(|| SigningKey { retires_at: Some(signs_at + self.retention), ..other.clone() })
        });
        let changed = changed.collect();
        let new = SigningKey { key, owner, typs, created_at: now, signs_at, retires_at: None, revoked_at: None };
        Ok(Published::Now(new, changed))
    }
}

/// What the registry's next key signs besides its own: after an upgrade what its keys signed before, until the service that signs it
/// from then on does so by a key of its own.
#[must_use]
pub fn lent(all: &[SigningKey], now: Timestamp) -> &'static [&'static str] {
    let lends = |key: &SigningKey| key.owner == Owner::Registry && key.is_published(now) && key.signs(CHALLENGE_TYP);
    let takes = |key: &SigningKey| key.owner == Owner::Trusonafication && key.revoked_at.is_none() && key.signs_at <= now;
    if all.iter().any(lends) && !all.iter().any(takes) { &LENT } else { &[] }
}

/// The keys whose signatures may still be alive.
#[must_use]
pub fn jwks(all: &[SigningKey], now: Timestamp) -> Jwks {
    Jwks { keys: all.iter().filter(|key| key.is_published(now)).map(SigningKey::public).collect() }
}

/// Every key that signed, or may sign, what evidence or an audit log is verified by, with what is known of its life: `iat`, `exp` and `revoked` of
/// OpenID Federation 1.0 section 8.7.
#[must_use]
pub fn archive(all: &[SigningKey]) -> Value {
    let historical = |key: &SigningKey| {
        let mut jwk = key.key.to_value();
        jwk["kid"] = json!(key.key.thumbprint());
        jwk["alg"] = json!(key.key.algorithm().as_str());
        jwk["use"] = json!("sig");
        jwk["typs"] = json!(key.typs);
        jwk["iat"] = json!(key.created_at.as_seconds());
        if let Some(at) = key.retires_at {
            jwk["exp"] = json!(at.as_seconds());
        }
        if let Some(at) = key.revoked_at {
            jwk["revoked"] = json!({"revoked_at": at.as_seconds(), "reason": "compromised"});
        }
        jwk
    };
    json!({"keys": all.iter().filter(|key| key.is_archived()).map(historical).collect::<Vec<_>>()})
}

/// The `kid`s of the keys that sign now, one an owner.
pub fn current(all: &[SigningKey], now: Timestamp) -> impl Iterator<Item = &SigningKey> {
    Owner::ALL.iter().filter_map(move |owner| {
        let signing = all.iter().filter(|key| key.owner == *owner && key.revoked_at.is_none() && key.signs_at <= now);
        signing.max_by_key(|key| (key.signs_at, key.created_at))
    })
}

/// Reads the algorithm of a request; empty means EdDSA.
pub fn algorithm(name: &str) -> Result<Algorithm, Refusal> {
    if name.is_empty() {
        return Ok(Algorithm::EdDsa);
    }
    Algorithm::parse(name).map_err(|_: JoseError| Refusal::invalid("algorithm", "must be EdDSA or ES256"))
}

/// Checks what is to be signed for another service: a `typ` that was lent, and claims that are a JSON object.
pub fn check_claims(typ: &str, claims: &[u8]) -> Result<(), Refusal> {
    if !LENT.contains(&typ) {
        return Err(Refusal::invalid("typ", format!("must be one of {}", LENT.join(", "))));
    }
    if claims.len() > MAX_CLAIMS {
        return Err(Refusal::invalid("claims", format!("must be at most {MAX_CLAIMS} bytes")));
    }
    let object = claims.trim_ascii_start().starts_with(b"{")
        && std::str::from_utf8(claims).is_ok_and(|json| serde_json::from_str::<serde::de::IgnoredAny>(json).is_ok());
    if object { Ok(()) } else { Err(Refusal::invalid("claims", "must be a JSON object")) }
}

#[cfg(test)]
mod tests;
