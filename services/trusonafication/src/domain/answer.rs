//! A phone's answer and its verification.

use nodkey_kernel::{
    challenge::{self, Decision, RESPONSE_TYP, ResponseClaims, challenge_hash, proven_level},
    id::DeviceId,
    jose::{JoseError, PublicJwk, jws::Compact},
    level::Level,
    receipt::{KeyKind, ReceiptKey},
};

use super::{Reason, Refusal};

/// Maximum size of a number or a document hash, in bytes.
const MAX_CLAIM: usize = 255;

/// A device as its owning services describe it at the time of the answer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AnsweringDevice {
    /// Identifier of the device.
    pub id: DeviceId,
    /// Device key; signs without user interaction.
    pub key: PublicJwk,
    /// Presence keys, with their kinds.
    pub presence_keys: Vec<PresenceKey>,
    /// The user it is bound to.
    pub user: String,
    /// Hashes of the user's documents that count.
    pub documents: Vec<String>,
    /// What the device has signed about its presence keys.
    pub stated: Stated,
}

/// A key that signs only after the operating system verified the person.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PresenceKey {
    /// How the person is verified.
    pub kind: KeyKind,
    /// The public key.
    pub key: PublicJwk,
    /// Whether its signatures prove presence: a key that does not count was not vouched for.
    pub counts: bool,
}

/// What a device has signed about its presence keys.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Stated {
    /// The key statement, a compact JWS signed by the device key, if it made one.
    pub statement: Option<String>,
    /// Compact JWSs over the same claims, signed by the keys that vouched for the presence keys.
    pub signatures: Vec<String>,
}

/// A verified answer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Answer {
    /// The device that answered.
    pub device: DeviceId,
    /// The user it is bound to.
    pub user: String,
    /// The decision.
    pub decision: Decision,
    /// Why it was rejected, if given.
    pub reason: Option<Reason>,
    /// The number that was chosen or entered.
    pub number: Option<String>,
    /// The level that was proven.
    pub proven: Level,
    /// The device key, and the presence key that signed, if one did.
    pub keys: Vec<PublicJwk>,
    /// The key that signed.
    pub signed_by: ReceiptKey,
    /// What the device had signed about its presence keys by then.
    pub stated: Stated,
}

/// Verifies a response against the challenge that was issued. `audience` is the gateway's public URL.
pub fn answer(response: &Compact<'_>, issued: &str, audience: &str, subject: &str, device: &AnsweringDevice) -> Result<Answer, Refusal> {
    let kid = response.header().kid.as_deref().ok_or(Refusal::InvalidResponse("the header has no kid"))?;
    let mut keys = vec![device.key];
    let presence = device.presence_keys.iter().find(|presence| presence.key.thumbprint() == kid);
    keys.extend(presence.map(|presence| presence.key));
    if presence.is_none() && device.key.thumbprint() != kid {
        return Err(Refusal::InvalidSignature);
    }
    let (signed_as, signer) = presence.map_or((KeyKind::Device, &device.key), |presence| (presence.kind, &presence.key));
    let claims: ResponseClaims = response.verify(signer, RESPONSE_TYP).map_err(|e| match e {
        JoseError::Type => Refusal::InvalidResponse("typ is not nodkey-response+jwt"),
        JoseError::Algorithm => {
            Refusal::InvalidResponse("alg is not that of the key kid names: ES256 of P-256, EdDSA or Ed25519 of Ed25519")
        }
        JoseError::Claims => {
            Refusal::InvalidResponse("the claims are not iss, aud, sub, chal, dec, iat and jti, and why, num and doc as may be")
        }
        _ => Refusal::InvalidSignature,
    })?;
    for (holds, fault) in [
        (claims.iss == device.id.as_str(), "iss is not the device"),
        (claims.aud.includes(audience), "aud is not the iss of the challenge"),
        (claims.sub == subject, "sub is another trusonafication"),
        (claims.chal == challenge_hash(issued), "chal is not the hash of the challenge"),
        (claims.num.as_ref().is_none_or(|n| n.len() <= MAX_CLAIM && !n.contains('\0')), "num is too long"),
        (claims.doc.as_ref().is_none_or(|d| d.len() <= MAX_CLAIM), "doc is too long"),
    ] {
        if !holds {
            return Err(Refusal::InvalidResponse(fault));
        }
    }
    let document = claims.doc.is_some_and(|hash| device.documents.contains(&hash));
    Ok(Answer {
        device: device.id.clone(),
        user: device.user.clone(),
        decision: claims.dec,
        reason: claims.why.map(Reason::from),
        number: claims.num,
        proven: proven_level(presence.is_some_and(|presence| presence.counts), document),
        keys,
        signed_by: ReceiptKey { jkt: signer.thumbprint(), kind: signed_as },
        stated: device.stated.clone(),
    })
}

impl From<challenge::RejectReason> for Reason {
    fn from(reason: challenge::RejectReason) -> Self {
        match reason {
            challenge::RejectReason::NotMe => Self::NotMe,
            challenge::RejectReason::ChangedMind => Self::ChangedMind,
        }
    }
}
