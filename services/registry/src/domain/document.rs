//! Identity documents: hashes of what a phone scanned.

use nodkey_kernel::{
    id::{IdentityDocumentId, RelyingPartyId},
    named,
    time::Timestamp,
};

use super::{Change, Refusal, Unknown, Violations, text};

/// The longest hash and the longest user identifier.
pub const MAX_LENGTH: usize = 255;

named! {
    /// What was scanned.
    pub enum DocumentType {
        /// A driver's licence of the United States or Canada.
        AamvaDriversLicense = "aamva_drivers_license",
    }
}

named! {
    /// What a verification by a third party found.
    pub enum VerificationStatus {
        /// Nobody looked.
        Unverified = "unverified",
        /// It cannot be found out.
        Unverifiable = "unverifiable",
        /// It is genuine.
        Verified = "verified",
        /// It is not.
        Failed = "failed",
    }
}

/// A document of a user.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Document {
    /// Names it.
    pub id: IdentityDocumentId,
    /// Whose it is.
    pub relying_party: RelyingPartyId,
    /// The user.
    pub user: String,
    /// Opaque; what is compared at the executive level.
    pub hash: String,
    /// What was scanned.
    pub document_type: DocumentType,
    /// What a verification found.
    pub status: VerificationStatus,
    /// When it was verified; absent while it is not.
    pub verified_at: Option<Timestamp>,
    /// Whether it makes an accept level 3: a presence key that counts vouched for it, or the backend.
    pub counts: bool,
    /// When it came.
    pub created_at: Timestamp,
    /// Rises with every change.
    pub version: i64,
}

/// What a phone sends.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Scan {
    /// Opaque.
    pub hash: String,
    /// What was scanned.
    pub document_type: DocumentType,
}

impl Scan {
    /// Reads what a request says.
    pub fn parse(hash: &str, document_type: Result<DocumentType, Unknown>) -> Result<Self, Refusal> {
        let mut violations = Violations::default();
        let hash = violations.check("hash", text::required(hash, MAX_LENGTH));
        let document_type = violations.check("type", document_type);
        hash.zip(document_type).map(|(hash, document_type)| Self { hash, document_type }).ok_or_else(|| violations.refusal())
    }
}

impl Document {
    /// Records a scan, which counts when somebody vouches for it.
    #[must_use]
    pub fn register(id: IdentityDocumentId, relying_party: RelyingPartyId, user: String, scan: Scan, counts: bool, now: Timestamp) -> Self {
        let Scan { hash, document_type } = scan;
        let status = VerificationStatus::Unverified;
        Self { id, relying_party, user, hash, document_type, status, verified_at: None, counts, created_at: now, version: 1 }
    }

    /// Has it count, whoever registered it.
    #[must_use]
    pub fn vouched_for(self) -> Self {
        Self { counts: true, version: self.version + 1, ..self }
    }

    /// Records what a verification found.
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
