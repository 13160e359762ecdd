//! Identity documents: hashes of what a phone scanned.

use nodkey_kernel::{
    id::{IdentityDocumentId, RelyingPartyId},
    named,
    time::Timestamp,
};

use super::{Change, Refusal, Unknown, Violations, text};

/// Maximum length of a hash and of a user identifier.
pub const MAX_LENGTH: usize = 255;

named! {
    /// Type of a document.
    pub enum DocumentType {
        /// A driver's license of the United States or Canada.
        AamvaDriversLicense = "aamva_drivers_license",
    }
}

named! {
    /// Result of a third party's verification.
    pub enum VerificationStatus {
        /// Not verified yet.
        Unverified = "unverified",
        /// Cannot be verified.
        Unverifiable = "unverifiable",
        /// Genuine.
        Verified = "verified",
        /// Not genuine.
        Failed = "failed",
    }
}

/// An identity document of a user.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Document {
    /// Identifier of the document.
    pub id: IdentityDocumentId,
    /// The relying party it belongs to.
    pub relying_party: RelyingPartyId,
    /// Identifier of the user.
    pub user: String,
    /// Opaque hash; compared at the executive level.
    pub hash: String,
    /// Type of the document.
    pub document_type: DocumentType,
    /// Result of the verification.
    pub status: VerificationStatus,
    /// When it was verified; `None` if it is not.
    pub verified_at: Option<Timestamp>,
    /// Whether it raises an accept to level 3: a presence key that counts, or the backend, vouched for it.
    pub counts: bool,
    /// When it was registered.
    pub created_at: Timestamp,
    /// Increases with every change.
    pub version: i64,
}

/// A scan as a phone sends it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Scan {
    /// Opaque hash.
    pub hash: String,
    /// Type of the document.
    pub document_type: DocumentType,
}

impl Scan {
    /// Parses the fields of a request.
    pub fn parse(hash: &str, document_type: Result<DocumentType, Unknown>) -> Result<Self, Refusal> {
        let mut violations = Violations::default();
        let hash = violations.check("hash", text::required(hash, MAX_LENGTH));
        let document_type = violations.check("type", document_type);
        hash.zip(document_type).map(|(hash, document_type)| Self { hash, document_type }).ok_or_else(|| violations.refusal())
    }
}

impl Document {
    /// Registers a scan. With `counts`, it was vouched for.
    #[must_use]
    pub fn register(id: IdentityDocumentId, relying_party: RelyingPartyId, user: String, scan: Scan, counts: bool, now: Timestamp) -> Self {
        let Scan { hash, document_type } = scan;
        let status = VerificationStatus::Unverified;
        Self { id, relying_party, user, hash, document_type, status, verified_at: None, counts, created_at: now, version: 1 }
    }

    /// Makes the document count, no matter who registered it.
    #[must_use]
    pub fn vouched_for(self) -> Self {
        Self { counts: true, version: self.version + 1, ..self }
    }

    /// Records the result of a verification.
    #[must_use]
    pub fn verified(self, status: VerificationStatus, now: Timestamp) -> Change<Self> {
        if self.status == status {
            return Change::Same(self);
        }
        let verified_at = (status == VerificationStatus::Verified).then_some(now);
        Change::Changed(Self { status, verified_at, version: self.version + 1, ..self })
    }
}

#[cfg(test)]
mod tests {
    use nodkey_kernel::random::Random;
    use proptest::{prelude::*, sample::select};

    use super::*;

    const ALL: [VerificationStatus; 4] =
        [VerificationStatus::Unverified, VerificationStatus::Unverifiable, VerificationStatus::Verified, VerificationStatus::Failed];

    proptest! {
        #[test]
        fn verified_at_is_there_exactly_while_verified(findings in prop::collection::vec(select(&ALL[..]), 0..8)) {
            let (start, random) = (Timestamp::from_seconds(1), Random::seeded(1));
            let scan = Scan { hash: "h".into(), document_type: DocumentType::AamvaDriversLicense };
            let id = IdentityDocumentId::generate(start, &random);
            let mut document = Document::register(id, RelyingPartyId::generate(start, &random), "ada".into(), scan, false, start);
            for status in findings {
                let before = document.version;
                document = match document.verified(status, start) {
                    Change::Same(same) => { prop_assert_eq!(same.version, before); same }
                    Change::Changed(changed) => { prop_assert_eq!(changed.version, before + 1); changed }
                };
                prop_assert_eq!(document.status, status);
                prop_assert!(crate::invariants::check_document(&document).is_ok());
            }
        }
    }
}
