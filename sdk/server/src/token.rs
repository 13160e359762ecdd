//! JWTs that the deployment signs for a backend: results, and device identifiers.

use std::time::SystemTime;

use nodkey_kernel::{
    device::{self, DeviceClaims},
    jose::Audience,
    result::{self, ReceiptMembers, ResultClaims},
};

use crate::{
    Decision, DeliveryId, DeviceIdentifier, Jwks, Level, ReceiptKey, RejectReason, RelyingPartyId, TrusonaficationId, UserIdentifier,
    VerificationError, time, verification,
};

/// How a trusonafication ended, as a `callback_url` receives it in `jwt`, signed by the deployment (`docs/guides/webhooks.md`).
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct SignedResult {
    /// The deployment: its public URL. The claim `iss`.
    pub issuer: String,
    /// For whom it is. The claim `aud`.
    pub audience: Vec<RelyingPartyId>,
    /// What ended. Compare it with the one that you created. The claim `sub`.
    pub trusonafication: TrusonaficationId,
    /// The `webhook-id`. The claim `jti`.
    pub delivery: DeliveryId,
    /// When it ended, to the second. The claim `iat`.
    pub ended_at: SystemTime,
    /// How it ended: `ACCEPTED` and so on. The claim `status`.
    pub status: String,
    /// 1, 2 or 3. The claim `desired_level`.
    pub desired_level: i32,
    /// What was proven: 1, 2 or 3, or 0 if it was rejected; `None` without a response. The claim `accepted_level`.
    pub accepted_level: Option<i32>,
    /// The action, as it was shown. The claim `action`.
    pub action: String,
    /// The resource, as it was shown. The claim `resource`.
    pub resource: String,
    /// The user who responded, or the target user. The claim `user_identifier`.
    pub user: Option<UserIdentifier>,
    /// The device that responded, or the target device. The claim `device_identifier`.
    pub device: Option<DeviceIdentifier>,
    /// What else the receipt says; `None` in results from before there were receipts.
    pub receipt: Option<ResultReceipt>,
}

impl SignedResult {
    /// Whether it was accepted at the desired level or above: what a backend acts on.
    #[must_use]
    pub fn is_success(&self) -> bool {
        matches!(self.status.as_str(), "ACCEPTED" | "ACCEPTED_AT_HIGHER_LEVEL")
    }
}

/// The members of the receipt that a [`SignedResult`] repeats: see [`Receipt`](crate::Receipt).
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct ResultReceipt {
    /// Whose it was. The claim `rp`.
    pub relying_party: RelyingPartyId,
    /// When it ended, by the deployment's clock. The claim `at`.
    pub ended_at: SystemTime,
    /// What the accept proved. The claim `level`.
    pub level: Option<Level>,
    /// How the response counted. The claim `dec`.
    pub decision: Option<Decision>,
    /// Why it was rejected, if that is known. The claim `why`.
    pub reject_reason: Option<RejectReason>,
    /// The device that responded, or the target device. The claim `dev`.
    pub device: Option<DeviceIdentifier>,
    /// The key that signed the response. The claim `key`.
    pub key: Option<ReceiptKey>,
    /// The user who responded, or the target user. The claim `user`.
    pub user: Option<UserIdentifier>,
    /// base64url of the SHA-256 of the challenge. The claim `chal`.
    pub challenge_hash: String,
    /// base64url of the SHA-256 of the response. The claim `resp`.
    pub response_hash: Option<String>,
}

/// The device identifier that an app hands over, signed by the deployment.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct SignedDevice {
    /// The deployment: its public URL. The claim `iss`.
    pub issuer: String,
    /// For whom it is: the relying party whose app registered the device. The claim `aud`.
    pub audience: Vec<RelyingPartyId>,
    /// The device: bind this one. The claim `sub`.
    pub device: DeviceIdentifier,
    /// When it was issued, to the second. The claim `iat`.
    pub issued_at: SystemTime,
    /// When it expires, to the second. The claim `exp`.
    pub expires_at: SystemTime,
    /// A random value. The claim `jti`.
    pub id: String,
}

pub fn audience(audience: Audience) -> Vec<RelyingPartyId> {
    match audience {
        Audience::One(one) => vec![one.into()],
        Audience::Several(several) => several.into_iter().map(RelyingPartyId::from).collect(),
    }
}

impl SignedResult {
    pub(crate) fn of(claims: ResultClaims) -> Self {
        Self {
            issuer: claims.iss,
            audience: audience(claims.aud),
            trusonafication: claims.sub.into(),
            delivery: claims.jti.into(),
            ended_at: time::from_seconds(claims.iat),
            status: claims.status,
            desired_level: claims.desired_level,
            accepted_level: claims.accepted_level,
            action: claims.action,
            resource: claims.resource,
            user: claims.user_identifier.map(UserIdentifier::from),
            device: claims.device_identifier.map(DeviceIdentifier::from),
            receipt: claims.receipt.map(ResultReceipt::of),
        }
    }
}

impl ResultReceipt {
    pub(crate) fn of(members: ReceiptMembers) -> Self {
        let ReceiptMembers { rp, at, level, dec, why, dev, key, user, chal, resp } = members;
        Self {
            relying_party: rp.into(),
            ended_at: time::from_micros(at),
            level: level.map(Level::of),
            decision: dec.map(Decision::of),
            reject_reason: why.map(RejectReason::of),
            device: dev.map(DeviceIdentifier::from),
            key: key.map(ReceiptKey::of),
            user: user.map(UserIdentifier::from),
            challenge_hash: chal,
            response_hash: resp,
        }
    }
}

impl SignedDevice {
    pub(crate) fn of(claims: DeviceClaims) -> Self {
        Self {
            issuer: claims.iss,
            audience: audience(claims.aud),
            device: claims.sub.into(),
            issued_at: time::from_seconds(claims.iat),
            expires_at: time::from_seconds(claims.exp),
            id: claims.jti,
        }
    }
}

/// Verifies the `jwt` that a `callback_url` receives: that the deployment of that public URL signed it for this relying party. Compare
/// `trusonafication` with the one that you created.
///
/// Errors: those of a JWS, [`Malformed`](crate::VerificationReason::Malformed) to [`WrongClaims`](crate::VerificationReason::WrongClaims).
pub fn verify_result(jwt: &str, jwks: &Jwks, issuer: &str, relying_party: &RelyingPartyId) -> Result<SignedResult, VerificationError> {
    let claims = result::verify_result(jwt, jwks.keys(), issuer, relying_party.as_str());
    claims.map(SignedResult::of).map_err(verification::of_jws)
}

/// Verifies the device identifier that your app hands over (`device_identifier_jwt`): that the deployment of that public URL signed it for
/// this relying party, and that it has not expired. Bind only devices whose identifier verifies: then nobody can bind one that does not run
/// your app.
///
/// Errors: those of a JWS, [`Malformed`](crate::VerificationReason::Malformed) to [`WrongClaims`](crate::VerificationReason::WrongClaims).
pub fn verify_device_identifier(
    jwt: &str,
    jwks: &Jwks,
    issuer: &str,
    relying_party: &RelyingPartyId,
    now: SystemTime,
) -> Result<SignedDevice, VerificationError> {
    let claims = device::verify_device_identifier(jwt, jwks.keys(), issuer, relying_party.as_str(), time::to_timestamp(now));
    claims.map(SignedDevice::of).map_err(verification::of_jws)
}
