//! Rows of identity documents.

use nodkey_db::{Db, DbError, Query, Row, Tx};
use nodkey_kernel::id::{IdentityDocumentId, RelyingPartyId};
use nodkey_runtime::{
    page::Listed,
    rows::{key, listed},
};
use uuid::Uuid;

use super::{Start, by_id, named, page, relying_party};
use crate::{domain::document::Document, error::Error, invariants};

/// Inserts a document; false if the user already has one with this hash.
pub async fn insert(tx: &mut Tx, document: &Document) -> Result<bool, Error> {
    invariants::check_document(document)?;
    let inserted = tx
        .query(
            "INSERT INTO identity_document (id, relying_party_id, user_identifier, hash, type, verification_status, counts, created_at, \
             version) VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9) ON CONFLICT DO NOTHING",
        )
        .bind(document.id.as_uuid())
        .bind(document.relying_party.as_uuid())
        .bind(document.user.as_str())
        .bind(document.hash.as_str())
        .bind(document.document_type.as_str())
        .bind(document.status.as_str())
        .bind(document.counts)
        .bind(document.created_at)
        .bind(document.version)
        .execute()
        .await?;
    Ok(inserted == 1)
}

const SELECT: &str = "SELECT id, relying_party_id, user_identifier, hash, type, verification_status, verified_at, counts, created_at, version \
     FROM identity_document WHERE ";

/// Returns a document.
pub async fn get(db: &Db, party: RelyingPartyId, id: IdentityDocumentId) -> Result<Option<Document>, Error> {
    Ok(by_id(db.query(SELECT), party, id.as_uuid()).fetch_optional().await?.as_ref().map(read).transpose()?)
}

/// Returns a user's document by its hash.
pub async fn find(tx: &mut Tx, party: RelyingPartyId, user: &str, hash: &str) -> Result<Option<Document>, Error> {
    let query = of_user(tx.query(SELECT), party, user).push("hash = ").push_bind(hash);
    Ok(query.fetch_optional().await?.as_ref().map(read).transpose()?)
}

/// Updates the previous version; false if a concurrent change was first.
pub async fn update(tx: &mut Tx, document: &Document) -> Result<bool, Error> {
    invariants::check_document(document)?;
    let query = tx.query("UPDATE identity_document SET verification_status = ").push_bind(document.status.as_str());
    let query = query
        .push(", verified_at = ")
        .push_bind(document.verified_at)
        .push(", counts = ")
        .push_bind(document.counts)
        .push(", version = ")
        .push_bind(document.version);
    let query = by_id(query.push(" WHERE "), document.relying_party, document.id.as_uuid());
    Ok(query.push(" AND version = ").push_bind(document.version - 1).execute().await? == 1)
}

/// Lists the documents of a user. With `counting`, only those that count.
pub async fn list(
    db: &Db,
    party: RelyingPartyId,
    user: &str,
    counting: bool,
    start: &Start<Uuid>,
    size: i64,
) -> Result<Listed<Document>, Error> {
    let query = of_user(db.query(SELECT), party, user);
    let query = if counting { query.push("counts = TRUE AND ") } else { query };
    Ok(listed(size, &page(query, start, size).fetch_all().await?, "created_at", read))
}

fn of_user<'a>(query: Query<'a>, party: RelyingPartyId, user: &str) -> Query<'a> {
    let query = query.push("relying_party_id = ").push_bind(party.as_uuid());
    query.push(" AND user_identifier = ").push_bind(user).push(" AND ")
}

fn read(row: &Row) -> Result<Document, DbError> {
    let record = row.of("identity_document", key(row, "id"));
    let document = Document {
        id: IdentityDocumentId::from_uuid(record.get("id")?),
        relying_party: relying_party(&record)?,
        user: record.get("user_identifier")?,
        hash: record.get("hash")?,
        document_type: named(&record, "type")?,
        status: named(&record, "verification_status")?,
        verified_at: record.get("verified_at")?,
        counts: record.get("counts")?,
        created_at: record.get("created_at")?,
        version: record.get("version")?,
    };
    invariants::check_document(&document)?;
    Ok(document)
}
