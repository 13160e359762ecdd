//! What does not verify.

use std::fmt;

use nodkey_kernel::{
    challenge::ChallengeError,
    evidence::{EvidenceError, Expectation, Fault, Unproven},
    jose::JoseError,
    webhook::WebhookError,
};

use crate::{VerifiedEvidence, webhook::InvalidWebhook};

/// Something does not verify: do not act on it.
#[derive(Clone, Debug)]
pub struct VerificationError {
    reason: VerificationReason,
    detail: Option<String>,
    evidence: Option<Box<VerifiedEvidence>>,
    is_unknown_key: bool,
}

impl VerificationError {
    /// What is wrong.
    #[must_use]
    pub const fn reason(&self) -> VerificationReason {
        self.reason
    }

    /// Which part of it, where there are several: see [`VerificationReason`].
    #[must_use]
    pub fn detail(&self) -> Option<&str> {
        self.detail.as_deref()
    }

    /// What evidence shows that is genuine, and is not what was expected ([`VerificationReason::Unexpected`]), or whose key only the
    /// deployment certifies ([`VerificationReason::NotProven`]).
    #[must_use]
    pub fn evidence(&self) -> Option<&VerifiedEvidence> {
        self.evidence.as_deref()
    }

    /// Whether it is signed with a key that is not in these keys. If they are a copy, it may be an old one.
    #[must_use]
    pub const fn is_unknown_key(&self) -> bool {
        self.is_unknown_key
    }

    fn new(reason: VerificationReason, detail: Option<String>) -> Self {
        Self { is_unknown_key: matches!(reason, VerificationReason::UnknownKey), reason, detail, evidence: None }
    }
}

impl fmt::Display for VerificationError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.reason.description())?;
        self.detail.as_ref().map_or(Ok(()), |detail| write!(f, ": {detail}"))
    }
}

impl std::error::Error for VerificationError {}

macro_rules! reasons {
    ($($(#[$doc:meta])* $variant:ident = $name:literal, $description:literal;)+) => {
        /// What is wrong with what does not verify.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
        #[non_exhaustive]
        pub enum VerificationReason {
            $($(#[$doc])* $variant,)+
        }

        impl VerificationReason {
            /// Its name in all SDKs: `unknown_key`.
            #[must_use]
            pub const fn as_str(self) -> &'static str {
                match self { $(Self::$variant => $name,)+ }
            }

            const fn description(self) -> &'static str {
                match self { $(Self::$variant => $description,)+ }
            }
        }
    };
}

reasons! {
    /// It is not a compact JWS, or has `crit`.
    Malformed = "malformed", "it is not a compact JWS";
    /// No key of these has this `kid` and may sign this type.
    UnknownKey = "unknown_key", "it is signed with a key that is not among these, or not for this type";
    /// Its `typ` is another.
    WrongType = "wrong_type", "it is something else";
    /// Its `alg` is not the key's.
    WrongAlgorithm = "wrong_algorithm", "its algorithm is not the key's";
    /// The signature does not verify.
    InvalidSignature = "invalid_signature", "its signature does not verify";
    /// Its claims are missing, contradict each other, or are of another issuer, party or time.
    WrongClaims = "wrong_claims", "its claims are not the expected ones";
    /// Of a webhook: the key of the endpoint is neither `whsec_…` nor `whpk_…`, or too short.
    InvalidKey = "invalid_key", "the key of the endpoint is not valid";
    /// Of a webhook: its timestamp is no number of seconds.
    MalformedTimestamp = "malformed_timestamp", "the timestamp is not a number of seconds";
    /// Of a webhook: its timestamp is more than five minutes off.
    TimestampOutOfTolerance = "timestamp_out_of_tolerance", "the timestamp is more than five minutes off";
    /// Of a webhook: it is signed, and its body is not that of a webhook.
    MalformedBody = "malformed_body", "the body is not that of a webhook";
    /// Of a webhook: it says how a trusonafication ended, without a receipt. It proves nothing.
    NoReceipt = "no_receipt", "there is no receipt, and nothing is proven";
    /// Of a webhook: its receipt does not verify. The detail is why, as the name of a reason above.
    InvalidReceipt = "invalid_receipt", "the receipt does not verify";
    /// Of a webhook: its receipt is for something else. The detail is `relying_party`, `data`, `type` or `timestamp`.
    Mismatch = "mismatch", "the receipt is for something else";
    /// Of evidence: a signature does not verify, or its parts do not belong together. The detail is the part: `challenge`, `response`,
    /// `device`, `receipt`, `key_statement`, `key_signatures`, or a claim such as `receipt.resp`.
    NotGenuine = "not_genuine", "the evidence is not genuine";
    /// Of evidence: its signatures verify, and do not show who responded. The detail is `no_receipt` or `uncertified`.
    NotProven = "not_proven", "the evidence does not prove who responded";
    /// Of evidence: it is genuine, and of something else than expected. The detail is which expectations are not met, separated by commas:
    /// `decision`, `trusonafication`, `party`, `user`, `device`, `level`, `age`.
    Unexpected = "unexpected", "the evidence is genuine, and not what was expected";
}

const fn reason(error: JoseError) -> VerificationReason {
    match error {
        JoseError::Base64 | JoseError::Malformed => VerificationReason::Malformed,
        JoseError::Key => VerificationReason::UnknownKey,
        JoseError::Type => VerificationReason::WrongType,
        JoseError::Algorithm => VerificationReason::WrongAlgorithm,
        JoseError::Signature => VerificationReason::InvalidSignature,
        JoseError::Claims => VerificationReason::WrongClaims,
    }
}

/// Of a JWS.
pub fn of_jws(error: JoseError) -> VerificationError {
    VerificationError::new(reason(error), None)
}

/// Of evidence.
pub fn of_evidence(error: EvidenceError) -> VerificationError {
    match error {
        EvidenceError::NotGenuine(fault) => {
            let unknown = matches!(fault, Fault::Challenge(ChallengeError::UnknownKey) | Fault::Receipt(JoseError::Key));
            let error = VerificationError::new(VerificationReason::NotGenuine, Some(fault.part().to_owned()));
            VerificationError { is_unknown_key: unknown, ..error }
        }
        EvidenceError::NotProven(unproven) => {
            let error = VerificationError::new(VerificationReason::NotProven, Some(unproven.reason().to_owned()));
            match unproven {
                Unproven::NoReceipt(_) => error,
                Unproven::Uncertified(found) => VerificationError { evidence: Some(Box::new(VerifiedEvidence::of(*found))), ..error },
            }
        }
        EvidenceError::Unexpected(found) => {
            let differs: Vec<_> = found.differs.iter().copied().map(Expectation::as_str).collect();
            let error = VerificationError::new(VerificationReason::Unexpected, Some(differs.join(",")));
            VerificationError { evidence: Some(Box::new(VerifiedEvidence::of(found.evidence))), ..error }
        }
    }
}

/// Of a webhook.
pub fn of_webhook(error: InvalidWebhook) -> VerificationError {
    let (reason, detail) = match error {
        InvalidWebhook::Signature(WebhookError::Key) => (VerificationReason::InvalidKey, None),
        InvalidWebhook::Signature(WebhookError::Timestamp) => (VerificationReason::MalformedTimestamp, None),
        InvalidWebhook::Signature(WebhookError::Time) => (VerificationReason::TimestampOutOfTolerance, None),
        InvalidWebhook::Signature(WebhookError::Signature) => (VerificationReason::InvalidSignature, None),
        InvalidWebhook::Body => (VerificationReason::MalformedBody, None),
        InvalidWebhook::NoReceipt => (VerificationReason::NoReceipt, None),
        InvalidWebhook::Receipt(why) => (VerificationReason::InvalidReceipt, Some(reason(why).as_str().to_owned())),
        InvalidWebhook::Mismatch(what) => (VerificationReason::Mismatch, Some(what.replace(' ', "_"))),
    };
    let is_unknown_key = matches!(error, InvalidWebhook::Receipt(JoseError::Key));
    VerificationError { is_unknown_key, ..VerificationError::new(reason, detail) }
}
