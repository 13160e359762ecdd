//! Rows of signing keys, in the database of the service that signs with them. Services with keys create the table `signing_key`.

use nodkey_db::{Db, DbError, Query, Row, Tx};
use nodkey_kernel::{id::SigningKeyId, jose::PublicJwk, time::Timestamp};

use super::SigningKey;
use crate::rows;

const TABLE: &str = "signing_key";

/// A key with its sealed private key.
pub(super) type Kept = (SigningKey, Vec<u8>);

/// Inserts an unpublished key; false when there is one already.
pub(super) async fn insert(tx: &mut Tx, key: &SigningKey, sealed_private: &[u8]) -> Result<bool, DbError> {
    let inserted = tx
        .query(
            "INSERT INTO signing_key (id, kid, public_key, sealed_private, created_at) VALUES ($1, $2, $3, $4, $5) \
             ON CONFLICT DO NOTHING",
        )
        .bind(key.id.as_uuid())
        .bind(key.key.thumbprint())
        .bind(key.key.to_value().to_string())
        .bind(sealed_private)
        .bind(key.created_at)
        .execute()
        .await?;
    Ok(inserted == 1)
}

/// Whether there is any key, signing or not.
pub(super) async fn any(tx: &mut Tx) -> Result<bool, DbError> {
    Ok(tx.query("SELECT id FROM signing_key LIMIT 1").fetch_optional().await?.is_some())
}

/// Returns the keys whose private key is stored: those that sign, will sign, or signed a moment ago.
pub(super) async fn private(query: Query<'_>) -> Result<Vec<Row>, DbError> {
    query
        .push("SELECT id, public_key, sealed_private, created_at, signs_at FROM signing_key WHERE sealed_private IS NOT NULL")
        .fetch_all()
        .await
}

/// Returns the unpublished key, if there is one.
pub(super) async fn unpublished(tx: &mut Tx) -> Result<Option<SigningKey>, DbError> {
    let query = tx.query("SELECT id, public_key, sealed_private, created_at, signs_at FROM signing_key WHERE signs_at IS NULL");
    Ok(query.fetch_optional().await?.as_ref().map(read).transpose()?.map(|(key, _)| key))
}

/// Deletes an unpublished key.
pub(super) async fn delete_unpublished(tx: &mut Tx, id: SigningKeyId) -> Result<(), DbError> {
    tx.query("DELETE FROM signing_key WHERE id = $1 AND signs_at IS NULL").bind(id.as_uuid()).execute().await?;
    Ok(())
}

/// Records when a published key begins to sign. If that time has come, it replaces all others.
pub(super) async fn publish(tx: &mut Tx, id: SigningKeyId, signs_at: Timestamp, now: Timestamp) -> Result<(), DbError> {
    let published = tx.query("UPDATE signing_key SET signs_at = $1 WHERE id = $2 AND signs_at IS NULL");
    let published = published.bind(signs_at).bind(id.as_uuid()).execute().await?;
    if published == 1 && signs_at <= now {
        let others = tx.query("UPDATE signing_key SET sealed_private = NULL WHERE id <> $1 AND signs_at IS NOT NULL");
        others.bind(id.as_uuid()).execute().await?;
    }
    Ok(())
}

/// Deletes the private keys of keys that have been superseded by a later one.
pub(super) async fn forget_superseded(db: &Db, now: Timestamp) -> Result<(), DbError> {
    db.execute(
        "UPDATE signing_key SET sealed_private = NULL WHERE sealed_private IS NOT NULL \
         AND signs_at < (SELECT MAX(signs_at) FROM signing_key WHERE signs_at <= $1)",
    )
    .bind(now)
    .execute()
    .await?;
    Ok(())
}

/// Reads a key with its sealed private key.
pub(super) fn read(row: &Row) -> Result<Kept, DbError> {
    let record = row.of(TABLE, rows::key(row, "id"));
    let key = SigningKey {
        id: SigningKeyId::from_uuid(record.get("id")?),
        key: record.convert("public_key", |jwk: String| PublicJwk::parse(&jwk))?,
        created_at: record.get("created_at")?,
        signs_at: record.get("signs_at")?,
    };
    Ok((key, record.get("sealed_private")?))
}
