//! What is to be said of evidence.

use nodkey_server_sdk::{EvidenceError, Expectation, Fault, Unexpected, Unproven, Unreceipted, VerifiedEvidence};
use serde_json::{Value, json};

use super::show;
use crate::output::{bold, document, line, show as print};

/// What verifying found.
pub enum Verdict {
    /// An accept, as expected.
    Verified(VerifiedEvidence),
    /// Genuine.
    Unexpected(Unexpected),
    /// There is no receipt.
    NoReceipt(Unreceipted),
    /// The device does not certify the key that answered.
    Uncertified(VerifiedEvidence),
    /// It is whole by keys that it brought itself.
    EmbeddedKeys(VerifiedEvidence),
    /// Something does not hold.
    NotGenuine(Fault),
}

/// Evidence that shows no accept as expected. What it is instead, standard output has.
#[derive(Debug, thiserror::Error)]
pub enum NotAccepted {
    /// Genuine.
    #[error("the evidence is genuine, but not what was expected: {0} differs")]
    Unexpected(String),
    /// Not to be relied upon.
    #[error("not proven: {0}")]
    NotProven(&'static str),
    /// Something does not hold.
    #[error("the evidence is not genuine")]
    NotGenuine(#[source] Fault),
}

const NO_RECEIPT: &str = "there is no receipt, so that whoever holds the challenge could have made this answer";
const UNCERTIFIED: &str = "the device does not certify the key that answered, so that it is the device's by the deployment's word alone";
const EMBEDDED_KEYS: &str = "the keys are the evidence's own, so that whoever made it could have made them";

impl NotAccepted {
    /// The exit code for it.
    #[must_use]
    pub const fn code(&self) -> u8 {
        match self {
            Self::Unexpected(_) => 4,
            Self::NotProven(_) => 5,
            Self::NotGenuine(_) => 6,
        }
    }
}

impl Verdict {
    /// What was found, by keys that the evidence brought itself or by others.
    pub fn new(found: Result<VerifiedEvidence, EvidenceError>, are_keys_embedded: bool) -> Self {
        match found {
            Ok(evidence) if are_keys_embedded => Self::EmbeddedKeys(evidence),
            Ok(evidence) => Self::Verified(evidence),
            Err(EvidenceError::Unexpected(found)) if are_keys_embedded => Self::EmbeddedKeys(found.evidence),
            Err(EvidenceError::Unexpected(found)) => Self::Unexpected(*found),
            Err(EvidenceError::NotProven(Unproven::NoReceipt(found))) => Self::NoReceipt(*found),
            Err(EvidenceError::NotProven(Unproven::Uncertified(evidence))) if are_keys_embedded => Self::EmbeddedKeys(*evidence),
            Err(EvidenceError::NotProven(Unproven::Uncertified(evidence))) => Self::Uncertified(*evidence),
            Err(EvidenceError::NotGenuine(fault)) => Self::NotGenuine(fault),
        }
    }

    /// Prints it for people.
    pub fn print(&self) -> anyhow::Result<()> {
        match self {
            Self::Verified(evidence) => {
                line(bold("verified: an accept, as expected"))?;
                print(false, &show::proven(evidence))
            }
            Self::Unexpected(found) => {
                line(bold(&format!("genuine, but NOT what was expected: {} differs", names(&found.differs))))?;
                print(false, &show::proven(&found.evidence))
            }
            Self::NoReceipt(found) => {
                line(bold("NOT PROVEN: there is no receipt"))?;
                print(false, &show::unproven(found))
            }
            Self::Uncertified(evidence) => {
                line(bold("NOT PROVEN: the device does not certify the key that answered"))?;
                print(false, &show::proven(evidence))
            }
            Self::EmbeddedKeys(evidence) => {
                line(bold("NOT PROVEN: the keys are the evidence's own"))?;
                print(false, &show::proven(evidence))
            }
            Self::NotGenuine(fault) => line(bold(&format!("NOT GENUINE: {} does not hold", fault.part()))),
        }
    }

    /// Prints it for programs: `verdict`, why, and the claims of everything that was signed.
    pub fn print_json(&self) -> anyhow::Result<()> {
        let mut shown = match self {
            Self::Verified(evidence) | Self::Uncertified(evidence) | Self::EmbeddedKeys(evidence) => json!(evidence),
            Self::Unexpected(found) => json!(found.evidence),
            Self::NoReceipt(found) => json!(found),
            Self::NotGenuine(_) => json!({}),
        };
        let mut whole = match self {
            Self::Verified(_) => json!({"verdict": "verified"}),
            Self::Unexpected(found) => json!({"verdict": "unexpected", "differs": values(&found.differs)}),
            Self::NoReceipt(_) => json!({"verdict": "not_proven", "reason": "no_receipt"}),
            Self::Uncertified(_) => json!({"verdict": "not_proven", "reason": "uncertified"}),
            Self::EmbeddedKeys(_) => json!({"verdict": "not_proven", "reason": "embedded_jwks"}),
            Self::NotGenuine(fault) => json!({"verdict": "not_genuine", "fault": fault.part()}),
        };
        if let (Value::Object(whole), Value::Object(shown)) = (&mut whole, &mut shown) {
            whole.append(shown);
        }
        document(&whole)
    }

    /// Only an accept as expected is a success.
    pub fn into_result(self) -> anyhow::Result<()> {
        Err(match self {
            Self::Verified(_) => return Ok(()),
            Self::Unexpected(found) => NotAccepted::Unexpected(names(&found.differs)),
            Self::NoReceipt(_) => NotAccepted::NotProven(NO_RECEIPT),
            Self::Uncertified(_) => NotAccepted::NotProven(UNCERTIFIED),
            Self::EmbeddedKeys(_) => NotAccepted::NotProven(EMBEDDED_KEYS),
            Self::NotGenuine(fault) => NotAccepted::NotGenuine(fault),
        }
        .into())
    }
}

fn names(differs: &[Expectation]) -> String {
    differs.iter().map(|expectation| expectation.as_str()).collect::<Vec<_>>().join(", ")
}

fn values(differs: &[Expectation]) -> Value {
    differs.iter().map(|expectation| expectation.as_str()).collect()
}
