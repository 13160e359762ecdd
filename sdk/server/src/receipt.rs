//! The receipt: how a trusonafication ended, signed by the deployment.

use std::time::SystemTime;

use nodkey_kernel::{
    challenge,
    receipt::{self, ReceiptClaims},
};

use crate::{
    DeviceIdentifier, Jwks, Level, RejectReason, RelyingPartyId, ResultId, TrusonaficationId, UserIdentifier, VerificationError, time,
    verification,
};

/// How a trusonafication ended, signed by the deployment (`docs/guides/evidence.md`).
///
/// An accept has `decision`, `level`, `device`, `key`, `user` and `response_hash`; a rejection has the same without `level`; an expired or
/// canceled one has none of `decision`, `level`, `key` and `response_hash`.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Receipt {
    /// The deployment: its public URL. The claim `iss`.
    pub issuer: String,
    /// The result. The claim `jti`.
    pub id: ResultId,
    /// What ended. Compare it with the one that you created. The claim `sub`.
    pub trusonafication: TrusonaficationId,
    /// Whose it was. The claim `rp`.
    pub relying_party: RelyingPartyId,
    /// When it ended, by the deployment's clock. The claim `at`.
    pub ended_at: SystemTime,
    /// How it ended. The claim `status`.
    pub status: ReceiptStatus,
    /// What the accept proved. The claim `level`.
    pub level: Option<Level>,
    /// How the response counted: a signed accept with a wrong number is a rejection. The claim `dec`.
    pub decision: Option<Decision>,
    /// Why it was rejected, if that is known. The claim `why`.
    pub reject_reason: Option<RejectReason>,
    /// The device that responded; without a response the target device, if there was one. The claim `dev`.
    pub device: Option<DeviceIdentifier>,
    /// The key that signed the response. The claim `key`.
    pub key: Option<ReceiptKey>,
    /// The user who responded; without a response the target user, if known. The claim `user`.
    pub user: Option<UserIdentifier>,
    /// base64url of the SHA-256 of the challenge. The claim `chal`.
    pub challenge_hash: String,
    /// base64url of the SHA-256 of the response. The claim `resp`.
    pub response_hash: Option<String>,
    /// base64url of the SHA-256 of `data` in the webhook that reports it. The claim `data`.
    pub data_hash: Option<String>,
}

/// A key as a receipt describes it.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct ReceiptKey {
    /// RFC 7638.
    pub thumbprint: String,
    /// Its role on the device.
    pub kind: KeyKind,
}

macro_rules! claims {
    ($($(#[$doc:meta])* $name:ident of $kernel:path { $($(#[$variant_doc:meta])* $variant:ident = $text:literal,)+ })+) => {$(
        $(#[$doc])*
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
        #[non_exhaustive]
        pub enum $name {
            $($(#[$variant_doc])* $variant,)+
        }

        impl $name {
            /// The value of the claim.
            #[must_use]
            pub const fn as_str(self) -> &'static str {
                match self { $(Self::$variant => $text,)+ }
            }
        }

        impl $name {
            pub(crate) const fn of(value: $kernel) -> Self {
                use $kernel as Kernel;
                match value { $(Kernel::$variant => Self::$variant,)+ }
            }
        }
    )+};
}

claims! {
    /// How a trusonafication ended.
    ReceiptStatus of receipt::ReceiptStatus {
        /// Accepted at the desired level.
        Accepted = "ACCEPTED",
        /// Accepted, with more proven than was desired.
        AcceptedAtHigherLevel = "ACCEPTED_AT_HIGHER_LEVEL",
        /// Accepted, with less proven than was desired.
        AcceptedAtLowerLevel = "ACCEPTED_AT_LOWER_LEVEL",
        /// Rejected.
        Rejected = "REJECTED",
        /// Nobody responded in time.
        Expired = "EXPIRED",
        /// Canceled by the relying party, or replaced.
        Canceled = "CANCELED",
    }
    /// The person's decision.
    Decision of challenge::Decision {
        /// Yes.
        Accept = "accept",
        /// No.
        Reject = "reject",
    }
    /// The role of a key on its device.
    KeyKind of receipt::KeyKind {
        /// Signs without the person.
        Device = "device",
        /// Signs after the person's fingerprint or face.
        Biometric = "biometric",
        /// Signs after the person's PIN, pattern or passcode.
        Credential = "credential",
    }
}

impl RejectReason {
    pub(crate) const fn of(reason: receipt::ReceiptReason) -> Self {
        match reason {
            receipt::ReceiptReason::NotMe => Self::NotMe,
            receipt::ReceiptReason::ChangedMind => Self::ChangedMind,
            receipt::ReceiptReason::NumberMismatch => Self::NumberMismatch,
        }
    }
}

impl ReceiptStatus {
    /// Whether it was accepted, at any level.
    #[must_use]
    pub const fn is_accepted(self) -> bool {
        matches!(self, Self::Accepted | Self::AcceptedAtHigherLevel | Self::AcceptedAtLowerLevel)
    }

    /// Whether it was accepted at the desired level or above: what a backend acts on.
    #[must_use]
    pub const fn is_success(self) -> bool {
        matches!(self, Self::Accepted | Self::AcceptedAtHigherLevel)
    }
}

impl ReceiptKey {
    pub(crate) fn of(key: receipt::ReceiptKey) -> Self {
        Self { thumbprint: key.jkt, kind: KeyKind::of(key.kind) }
    }
}

impl Receipt {
    pub(crate) fn of(claims: ReceiptClaims) -> Self {
        let ended_at = time::from_timestamp(claims.ended_at());
        let ReceiptClaims { iss, jti, sub, rp, at: _, status, level, dec, why, dev, key, user, chal, resp, data } = claims;
        Self {
            issuer: iss,
            id: jti.into(),
            trusonafication: sub.into(),
            relying_party: rp.into(),
            ended_at,
            status: ReceiptStatus::of(status),
            level: level.map(Level::of),
            decision: dec.map(Decision::of),
            reject_reason: why.map(RejectReason::of),
            device: dev.map(DeviceIdentifier::from),
            key: key.map(ReceiptKey::of),
            user: user.map(UserIdentifier::from),
            challenge_hash: chal,
            response_hash: resp,
            data_hash: data,
        }
    }
}

/// Verifies a receipt, and that its claims go together.
///
/// It is the deployment's own statement; [`verify_evidence`](crate::verify_evidence) also verifies what it rests on. Compare `issuer`,
/// `relying_party` and `trusonafication` with your own.
///
/// Errors: those of a JWS, [`Malformed`](crate::VerificationReason::Malformed) to [`WrongClaims`](crate::VerificationReason::WrongClaims).
pub fn verify_receipt(receipt: &str, jwks: &Jwks) -> Result<Receipt, VerificationError> {
    receipt::verify_receipt(receipt, jwks.keys()).map(Receipt::of).map_err(verification::of_jws)
}
