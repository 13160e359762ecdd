//! Rows of identity documents.

use nodkey_db::{Db, Row, Tx};
use nodkey_kernel::id::{IdentityDocumentId, RelyingPartyId};
use uuid::Uuid;

use super::{Start, named, relying_party};
use crate::{domain::document::Document, error::Error};

/// Inserts; false when the user has a document of this hash.
pub async fn insert(tx: &mut Tx, document: &Document) -> Result<bool, Error> {
    let inserted = tx
        .query(
            "INSERT INTO identity_document (id, relying_party_id, user_identifier, hash, type, verification_status, created_at, version) \
             VALUES ($1, $2, $3, $4, $5, $6, $7, $8) ON CONFLICT DO NOTHING",
        )
        .bind(document.id.as_uuid())
        .bind(document.relying_party.as_uuid())
        .bind(document.user.as_str())
        .bind(document.hash.as_str())
        .bind(document.document_type.as_str())
        .bind(document.status.as_str())
        .bind(document.created_at)
        .bind(document.version)
        .execute()
        .await?;
    Ok(inserted == 1)
}

/// Returns one.
pub async fn get(db: &Db, party: RelyingPartyId, id: IdentityDocumentId) -> Result<Option<Document>, Error> {
    let row = db
        .query(
            "SELECT id, relying_party_id, user_identifier, hash, type, verification_status, verified_at, created_at, version \
             FROM identity_document WHERE relying_party_id = $1 AND id = $2",
        )
        .bind(party.as_uuid())
        .bind(id.as_uuid())
        .fetch_optional()
        .await?;
    row.as_ref().map(read).transpose()
}

/// Returns a user's document of a hash.
pub async fn find(tx: &mut Tx, party: RelyingPartyId, user: &str, hash: &str) -> Result<Option<Document>, Error> {
    let row = tx
        .query(
            "SELECT id, relying_party_id, user_identifier, hash, type, verification_status, verified_at, created_at, version \
             FROM identity_document WHERE relying_party_id = $1 AND user_identifier = $2 AND hash = $3",
        )
        .bind(party.as_uuid())
        .bind(user)
        .bind(hash)
        .fetch_optional()
        .await?;
    row.as_ref().map(read).transpose()
}

/// Writes a change of the version before; false when another was first.
pub async fn update(tx: &mut Tx, document: &Document) -> Result<bool, Error> {
    let updated = tx
        .query(
            "UPDATE identity_document SET verification_status = $1, verified_at = $2, version = $3 \
             WHERE relying_party_id = $4 AND id = $5 AND version = $3 - 1",
        )
        .bind(document.status.as_str())
        .bind(document.verified_at)
        .bind(document.version)
        .bind(document.relying_party.as_uuid())
        .bind(document.id.as_uuid())
        .execute()
        .await?;
    Ok(updated == 1)
}

/// Lists those of a user.
pub async fn list(db: &Db, party: RelyingPartyId, user: &str, start: &Start<Uuid>, limit: i64) -> Result<Vec<Document>, Error> {
    let rows = db
        .query(
            "SELECT id, relying_party_id, user_identifier, hash, type, verification_status, verified_at, created_at, version \
             FROM identity_document WHERE relying_party_id = $1 AND user_identifier = $2 AND (created_at, id) < ($3, $4) \
             ORDER BY created_at DESC, id DESC LIMIT $5",
        )
        .bind(party.as_uuid())
        .bind(user)
        .bind(start.at)
        .bind(start.id)
        .bind(limit)
        .fetch_all()
        .await?;
    rows.iter().map(read).collect()
}

fn read(row: &Row) -> Result<Document, Error> {
    Ok(Document {
        id: IdentityDocumentId::from_uuid(row.get("id")?),
        relying_party: relying_party(row)?,
        user: row.get("user_identifier")?,
        hash: row.get("hash")?,
        document_type: named(row, "type")?,
        status: named(row, "verification_status")?,
        verified_at: row.get("verified_at")?,
        created_at: row.get("created_at")?,
        version: row.get("version")?,
    })
}
