//! The public keys of the deployment, each owned by the service that signs with it: when they sign, and until when they are published.

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

/// The `typ` of credential tokens.
pub const TOKEN_TYP: &str = "JWT";
/// `typ`s that the registry signed on behalf of others in earlier releases; see [`lent`].
const LENT: [&str; 3] = [CHALLENGE_TYP, RESULT_TYP, TRUCODE_TYP];
/// Maximum size of claims signed on behalf of others, in bytes: their JWS is just below the limit of readers.
const MAX_CLAIMS: usize = 1_150_000;

named! {
    /// A service that has signing keys of its own.
    pub enum Owner {
        /// Signs device identifiers, credential tokens, and checkpoints of the audit log.
        Registry = "registry",
        /// Signs everything about trusonafications.
        Trusonafication = "trusonafication",
    }
}

impl Owner {
    /// The `typ`s that this service may sign.
    #[must_use]
    pub const fn typs(self) -> &'static [&'static str] {
        match self {
            Self::Registry => &[DEVICE_TYP, TOKEN_TYP, AUDIT_TYP],
            Self::Trusonafication => &[CHALLENGE_TYP, RECEIPT_TYP, RESULT_TYP, TRUCODE_TYP],
        }
    }

    /// Checks that this service may sign each of these `typ`s.
    pub fn check(self, typs: &[String]) -> Result<(), Refusal> {
        let own = typs.iter().all(|typ| self.typs().contains(&typ.as_str()));
        let each_once = typs.iter().enumerate().all(|(at, typ)| !typs[..at].contains(typ));
        if own && each_once && !typs.is_empty() {
            return Ok(());
        }
        Err(Refusal::invalid("typs", format!("must be some of {}, each once", self.typs().join(", "))))
    }
}

/// Whether every `typ` has a key.
#[must_use]
pub fn is_complete(all: &[SigningKey]) -> bool {
    Owner::ALL.iter().flat_map(|owner| owner.typs()).all(|typ| all.iter().any(|key| key.signs(typ)))
}

/// A published key.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SigningKey {
    /// The key; its thumbprint is the `kid`.
    pub key: PublicJwk,
    /// The service that signs with it.
    pub owner: Owner,
    /// The `typ`s that it signs.
    pub typs: Vec<String>,
    /// When it was published.
    pub created_at: Timestamp,
    /// When it starts to sign.
    pub signs_at: Timestamp,
    /// When it leaves the JWKS; `None` for the newest key of its owner.
    pub retires_at: Option<Timestamp>,
    /// When it was declared compromised.
    pub revoked_at: Option<Timestamp>,
}

impl SigningKey {
    /// Whether the JWKS still contains the key.
    #[must_use]
    pub fn is_published(&self, now: Timestamp) -> bool {
        self.revoked_at.is_none() && self.retires_at.is_none_or(|at| now < at)
    }

    /// Whether the key signs this `typ`.
    #[must_use]
    pub fn signs(&self, typ: &str) -> bool {
        self.typs.iter().any(|named| named == typ)
    }

    /// Whether its signatures are kept and verified later: evidence and audit checkpoints.
    fn is_archived(&self) -> bool {
        self.signs(CHALLENGE_TYP) || self.signs(RECEIPT_TYP) || self.signs(AUDIT_TYP)
    }

    /// The key as published.
    #[must_use]
    pub fn public(&self) -> PublishedKey {
        PublishedKey { kid: self.key.thumbprint(), key: self.key, typs: Some(self.typs.clone()) }
    }
}

/// How long keys are published before they sign, and after they stop.
#[derive(Debug, Clone, Copy)]
pub struct Publication {
    /// How long after publication a key starts to sign, so that no verifier still uses a key set without it.
    pub lead: Duration,
    /// Maximum lifetime of signatures.
    pub retention: Duration,
}

/// A key to publish.
#[derive(Debug, Clone)]
pub struct Offer {
    /// The service that signs with it.
    pub owner: Owner,
    /// The key.
    pub key: PublicJwk,
    /// The `typ`s that it signs.
    pub typs: Vec<String>,
    /// Revokes the owner's previous keys as compromised.
    pub at_once: bool,
}

/// The result of publishing a key.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Published {
    /// The key was already published.
    Before(SigningKey),
    /// The key is now published, and these other keys have changed.
    Now(SigningKey, Vec<SigningKey>),
}

impl Publication {
    /// Publishes a key next to all keys published before.
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

/// The `typ`s that the registry's next key signs on behalf of others. After an upgrade, these are the `typ`s its keys signed before, until
/// the service that now owns them signs with a key of its own.
#[must_use]
pub fn lent(all: &[SigningKey], now: Timestamp) -> &'static [&'static str] {
    let lends = |key: &SigningKey| key.owner == Owner::Registry && key.is_published(now) && key.signs(CHALLENGE_TYP);
    let takes = |key: &SigningKey| key.owner == Owner::Trusonafication && key.revoked_at.is_none() && key.signs_at <= now;
    if all.iter().any(lends) && !all.iter().any(takes) { &LENT } else { &[] }
}

/// The keys whose signatures may still be valid.
#[must_use]
pub fn jwks(all: &[SigningKey], now: Timestamp) -> Jwks {
    Jwks { keys: all.iter().filter(|key| key.is_published(now)).map(SigningKey::public).collect() }
}

/// Every key that signed, or may sign, evidence or the audit log, with its lifetime: `iat`, `exp` and `revoked` of OpenID Federation 1.0
/// section 8.7.
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

/// The keys that sign now, one per owner.
pub fn current(all: &[SigningKey], now: Timestamp) -> impl Iterator<Item = &SigningKey> {
    Owner::ALL.iter().filter_map(move |owner| {
        let signing = all.iter().filter(|key| key.owner == *owner && key.revoked_at.is_none() && key.signs_at <= now);
        signing.max_by_key(|key| (key.signs_at, key.created_at))
    })
}

/// Parses the algorithm of a request; empty means EdDSA.
pub fn algorithm(name: &str) -> Result<Algorithm, Refusal> {
    if name.is_empty() {
        return Ok(Algorithm::EdDsa);
    }
    Algorithm::parse(name).map_err(|_: JoseError| Refusal::invalid("algorithm", "must be EdDSA or ES256"))
}

/// Checks what is to be signed on behalf of another service: a `typ` that was lent, and claims that are a JSON object.
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
