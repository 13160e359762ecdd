//! The verdict on evidence.

use nodkey_client::{EvidenceError, Expectation, Fault, Unexpected, Unproven, Unreceipted, VerifiedEvidence};
use serde::Serialize;

use super::show;
use crate::output::{bold, document, line, show as print};

/// The result of verification.
pub enum Verdict {
    /// An accept that matches the expectations.
    Verified(VerifiedEvidence),
    /// Genuine, but not an accept that matches the expectations.
    Unexpected(Unexpected),
    /// There is no receipt.
    NoReceipt(Unreceipted),
    /// The device does not certify the key that answered.
    Uncertified(VerifiedEvidence),
    /// Consistent with the keys that it contains itself.
    EmbeddedKeys(VerifiedEvidence),
    /// A signature or a claim is invalid.
    NotGenuine(Fault),
}

/// The evidence does not show an accept that matches the expectations. What it shows is on standard output.
#[derive(Debug, thiserror::Error)]
pub enum NotAccepted {
    /// Genuine, but not as expected.
    #[error("the evidence is genuine, but not what was expected: {0} differs")]
    Unexpected(String),
    /// Not reliable.
    #[error("not proven: {0}")]
    NotProven(&'static str),
    /// A signature or a claim is invalid.
    #[error("the evidence is not genuine")]
    NotGenuine(#[source] Fault),
}

const NO_RECEIPT: &str = "there is no receipt, so anyone who has the challenge could have made this response";
const UNCERTIFIED: &str = "the device does not certify the key that answered, so only the deployment says that it is the device's";
const EMBEDDED_KEYS: &str = "the keys are from the evidence itself, so anyone who made it could also have made them";

/// The output for programs.
#[derive(Default, Serialize)]
struct Report<'a> {
    verdict: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    reason: Option<&'static str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    differs: Option<Vec<&'static str>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    fault: Option<&'static str>,
    #[serde(flatten)]
    evidence: Option<&'a VerifiedEvidence>,
    #[serde(flatten)]
    unreceipted: Option<&'a Unreceipted>,
}

impl NotAccepted {
    /// The exit code.
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
    /// Makes the verdict from the result of verification, with keys from the evidence itself or from elsewhere.
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
                line(bold("NOT PROVEN: the keys are from the evidence itself"))?;
                print(false, &show::proven(evidence))
            }
            Self::NotGenuine(fault) => line(bold(&format!("NOT GENUINE: {} is not valid", fault.part()))),
        }
    }

    /// Prints it for programs: `verdict`, the reason, and the claims of everything that was signed.
    pub fn print_json(&self) -> anyhow::Result<()> {
        document(&self.report())
    }

    fn report(&self) -> Report<'_> {
        let of = |verdict| Report { verdict, ..Report::default() };
        match self {
            Self::Verified(evidence) => Report { evidence: Some(evidence), ..of("verified") },
            Self::Unexpected(found) => {
                let differs = Some(found.differs.iter().map(|expectation| expectation.as_str()).collect());
                Report { differs, evidence: Some(&found.evidence), ..of("unexpected") }
            }
            Self::NoReceipt(found) => Report { reason: Some("no_receipt"), unreceipted: Some(found), ..of("not_proven") },
            Self::Uncertified(evidence) => Report { reason: Some("uncertified"), evidence: Some(evidence), ..of("not_proven") },
            Self::EmbeddedKeys(evidence) => Report { reason: Some("embedded_jwks"), evidence: Some(evidence), ..of("not_proven") },
            Self::NotGenuine(fault) => Report { fault: Some(fault.part()), ..of("not_genuine") },
        }
    }

    /// Only an accept that matches the expectations is a success.
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn programs_get_the_verdict_first_and_custom_fields_to_the_letter() {
        let fields = r#"{"b": 1.0,"iban":89370400440532013000}"#;
        let challenge = format!(
            r#"{{"iss":"g","jti":"t","iat":1,"exp":2,"rp":{{"id":"r","name":"Acme"}},"act":"pay","res":"90 EUR","lvl":2,"prompt":true,"presence":true,"document":false,"fields":{fields},"nonce":"n"}}"#
        );
        let response = r#"{"iss":"d","aud":"g","sub":"t","chal":"c","dec":"accept","iat":1,"jti":"j"}"#;
        let found = Unreceipted {
            challenge: serde_json::from_str(&challenge).unwrap(),
            response: serde_json::from_str(response).unwrap(),
            signing_key: "k".into(),
        };
        let shown = show::unproven(&found);
        assert!(serde_json::to_string(&shown).unwrap().contains(&format!("\"fields\":{fields},")));
        let report = serde_json::to_string(&Verdict::NoReceipt(found).report()).unwrap();
        let expected =
            format!(r#"{{"verdict":"not_proven","reason":"no_receipt","challenge":{challenge},"response":{response},"signing_key":"k"}}"#);
        assert_eq!(report, expected);
        let fault = serde_json::to_string(&Verdict::NotGenuine(Fault::Device).report()).unwrap();
        assert_eq!(fault, r#"{"verdict":"not_genuine","fault":"device"}"#);
    }
}
