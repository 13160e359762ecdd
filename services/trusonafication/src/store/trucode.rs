//! Rows of secure QR codes. The browser and the phone know a code before anybody knows whose it is: those finders are unscoped.

use nodkey_db::{Db, Row, Tx};
use nodkey_kernel::id::{RelyingPartyId, TruCodeId};
use nodkey_runtime::Failure;

use crate::domain::TruCode;

/// Inserts.
pub async fn insert(tx: &mut Tx, code: &TruCode) -> Result<(), Failure> {
    tx.query(
        "INSERT INTO trucode (id, relying_party_id, reference, payload, origin, place, match_number, created_at, expires_at, version) \
         VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10)",
    )
    .bind(code.id.as_uuid())
    .bind(code.relying_party.as_uuid())
    .bind(code.reference.as_str())
    .bind(code.payload.as_str())
    .bind(code.origin.as_str())
    .bind(code.place.as_str())
    .bind(code.match_number.as_deref())
    .bind(code.created_at)
    .bind(code.expires_at)
    .bind(code.version)
    .execute()
    .await?;
    Ok(())
}

/// Returns one by its id.
pub async fn by_id(db: &Db, id: TruCodeId) -> Result<Option<TruCode>, Failure> {
    let sql = "SELECT id, relying_party_id, reference, payload, origin, place, match_number, created_at, expires_at, identifier, version \
         FROM trucode WHERE id = $1";
    db.query(sql).bind(id.as_uuid()).fetch_optional().await?.as_ref().map(read).transpose()
}

/// Returns one by its reference.
pub async fn by_reference(db: &Db, reference: &str) -> Result<Option<TruCode>, Failure> {
    let sql = "SELECT id, relying_party_id, reference, payload, origin, place, match_number, created_at, expires_at, identifier, version \
         FROM trucode WHERE reference = $1";
    db.query(sql).bind(reference).fetch_optional().await?.as_ref().map(read).transpose()
}

/// Pairs it; false when another was first.
pub async fn pair(tx: &mut Tx, code: &TruCode) -> Result<bool, Failure> {
    let updated = tx
        .query(
            "UPDATE trucode SET identifier = $1, version = version + 1 \
             WHERE relying_party_id = $2 AND id = $3 AND identifier IS NULL",
        )
        .bind(code.identifier.as_deref())
        .bind(code.relying_party.as_uuid())
        .bind(code.id.as_uuid())
        .execute()
        .await?;
    Ok(updated == 1)
}

/// Lets nobody pair it until this transaction ends. Returns who has paired it; `None` when there is no such code or nobody has.
pub async fn lock(tx: &mut Tx, party: RelyingPartyId, id: TruCodeId) -> Result<Option<String>, Failure> {
    let sql = "UPDATE trucode SET version = version + 1 WHERE relying_party_id = $1 AND id = $2 RETURNING identifier";
    let row = tx.query(sql).bind(party.as_uuid()).bind(id.as_uuid()).fetch_optional().await?;
    Ok(row.map(|row| row.get::<Option<String>>("identifier")).transpose()?.flatten())
}

fn read(row: &Row) -> Result<TruCode, Failure> {
    Ok(TruCode {
        id: TruCodeId::from_uuid(row.get("id")?),
        relying_party: RelyingPartyId::from_uuid(row.get("relying_party_id")?),
        reference: row.get("reference")?,
        payload: row.get("payload")?,
        origin: row.get("origin")?,
        place: row.get("place")?,
        match_number: row.get("match_number")?,
        created_at: row.get("created_at")?,
        expires_at: row.get("expires_at")?,
        identifier: row.get("identifier")?,
        version: row.get("version")?,
    })
}
