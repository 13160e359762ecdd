//! Invariants of every row, no matter what wrote it. They are checked when rows are read and before they are written.
//!
//! A violation is an error that names the row, and a metric. It is never a panic, so other rows stay usable.

use nodkey_db::DbError;
use nodkey_runtime::rows::Violation;

use crate::domain::{
    credential::Credential,
    device::Device,
    document::{Document, VerificationStatus},
    key_statement::Vouching,
    operator::{Operator, OperatorState},
    relying_party::RelyingParty,
    signing_key::SigningKey,
};

const SERVICE: &str = "registry";

/// Checks a relying party.
pub fn check_relying_party(party: &RelyingParty) -> Result<(), DbError> {
    let counts = party.version > i64::from(party.disabled_at.is_some());
    version_counts_changes(counts).map_err(|violation| violation.of(SERVICE, "relying_party", party.id))
}

/// Checks a credential: its only possible change is to be disabled.
pub fn check_credential(credential: &Credential) -> Result<(), DbError> {
    let counts = credential.version == 1 + i64::from(credential.disabled_at.is_some());
    version_counts_changes(counts).map_err(|violation| violation.of(SERVICE, "credential", credential.id))
}

/// Checks a device: its identifier is the thumbprint of its key, its presence keys differ from the device key, and its key statement names
/// exactly its presence keys.
pub fn check_device(device: &Device) -> Result<(), DbError> {
    let check = || {
        version_counts_changes(device.version > i64::from(device.retired_at.is_some()))?;
        let named = device.key.thumbprint() == device.id.as_str();
        Violation::unless(named, "device_is_named_by_its_key", "device_key")?;
        let apart = device.profile.presence.iter().all(|(_, key)| key != device.key);
        Violation::unless(apart, "presence_key_is_not_the_device_key", "device_key")?;
        let Vouching { statement, seq, challenged_at } = &device.vouching;
        let covered = statement.as_ref().is_none_or(|statement| statement.covers(&device.profile.presence));
        Violation::unless(covered, "key_statement_names_the_presence_keys", "key_statement")?;
        // A nonce may have been used for a document before the first key statement.
        let counted = (*seq == 0 || challenged_at.is_some()) && (*seq > 0 || statement.is_none());
        Violation::unless(counted, "key_statement_has_a_seq_and_a_nonce", "key_statement_seq")
    };
    check().map_err(|violation: Violation| violation.of(SERVICE, "device", &device.id))
}

/// Checks a document.
pub fn check_document(document: &Document) -> Result<(), DbError> {
    let dated = document.verified_at.is_some() == (document.status == VerificationStatus::Verified);
    let check = || {
        version_counts_changes(document.version >= 1)?;
        Violation::unless(dated, "verified_at_belongs_to_verified", "verified_at")
    };
    check().map_err(|violation: Violation| violation.of(SERVICE, "identity_document", document.id))
}

/// Checks an operator: an active operator has accepted an invitation.
pub fn check_operator(operator: &Operator) -> Result<(), DbError> {
    let taken = operator.state != OperatorState::Active || operator.invitation.taken_by.is_some();
    let check = || {
        version_counts_changes(operator.version >= 1)?;
        Violation::unless(taken, "active_operator_has_a_phone", "device_id")
    };
    check().map_err(|violation: Violation| violation.of(SERVICE, "operator", operator.id))
}

/// Checks a published key: it does not sign before it is published, and a revoked key is no longer in the JWKS.
pub fn check_signing_key(key: &SigningKey) -> Result<(), DbError> {
    let check = || {
        Violation::unless(key.created_at <= key.signs_at, "a_key_is_published_before_it_signs", "signs_at")?;
        let ended = key.revoked_at.is_none() || key.retires_at == key.revoked_at;
        Violation::unless(ended, "a_revoked_key_has_left_the_jwks", "retires_at")
    };
    check().map_err(|violation: Violation| violation.of(SERVICE, "published_key", key.key.thumbprint()))
}

const fn version_counts_changes(counts: bool) -> Result<(), Violation> {
    Violation::unless(counts, "version_counts_changes", "version")
}
