//! Rows of signing keys. They are the deployment's, not a relying party's.

use nodkey_db::{Db, DbError, Row, Tx};
use nodkey_kernel::{id::SigningKeyId, time::Timestamp};
use nodkey_runtime::{
    page::Listed,
    rows::{self, listed, readable},
};
use uuid::Uuid;

use super::{Start, key, page};
use crate::{domain::signing_key::SigningKey, error::Error, invariants};

const TABLE: &str = "signing_key";

/// Inserts the key that signs from now on; false when there is one that signs.
pub async fn insert(tx: &mut Tx, signing_key: &SigningKey, sealed_private: &[u8]) -> Result<bool, Error> {
    let inserted = tx
        .query(
            "INSERT INTO signing_key (id, kid, public_key, sealed_private, created_at) VALUES ($1, $2, $3, $4, $5) \
             ON CONFLICT DO NOTHING",
        )
        .bind(signing_key.id.as_uuid())
        .bind(signing_key.key.thumbprint())
        .bind(signing_key.key.to_value().to_string())
        .bind(sealed_private)
        .bind(signing_key.created_at)
        .execute()
        .await?;
    Ok(inserted == 1)
}

/// Retires whatever key signs, and forgets its private half.
pub async fn retire_current(tx: &mut Tx, at: Timestamp) -> Result<(), Error> {
    tx.query("UPDATE signing_key SET retires_at = $1, sealed_private = NULL WHERE retires_at IS NULL").bind(at).execute().await?;
    Ok(())
}

/// Returns the key that signs with its sealed private half, if there is one, and every key still to be published.
pub async fn alive(db: &Db, now: Timestamp) -> Result<(Option<(SigningKey, Vec<u8>)>, Vec<SigningKey>), Error> {
    let rows = db
        .query(
            "SELECT id, public_key, sealed_private, sealed_private IS NOT NULL AS has_private, created_at, retires_at FROM signing_key \
             WHERE retires_at IS NULL OR retires_at > $1 ORDER BY created_at DESC, id DESC",
        )
        .bind(now)
        .fetch_all()
        .await?;
    let (mut current, mut keys) = (None, Vec::with_capacity(rows.len()));
    for row in &rows {
        let key = match read(row) {
            Ok(key) => key,
            // Nothing can be signed without it; one that only verifies is missed by whoever needs it alone.
            Err(e) if row.get::<Option<Timestamp>>("retires_at")?.is_none() => return Err(e.into()),
            unreadable => {
                readable(unreadable);
                continue;
            }
        };
        if key.retires_at.is_none() {
            current = Some((key.clone(), row.of(TABLE, key.id).get("sealed_private")?));
        }
        keys.push(key);
    }
    Ok((current, keys))
}

/// Lists all of them.
pub async fn list(db: &Db, start: &Start<Uuid>, size: i64) -> Result<Listed<SigningKey>, Error> {
    let select = "SELECT id, public_key, sealed_private IS NOT NULL AS has_private, created_at, retires_at FROM signing_key WHERE ";
    Ok(listed(size, &page(db.query(select), start, size).fetch_all().await?, "created_at", read))
}

fn read(row: &Row) -> Result<SigningKey, DbError> {
    let record = row.of(TABLE, rows::key(row, "id"));
    let signing_key = SigningKey {
        id: SigningKeyId::from_uuid(record.get("id")?),
        key: key(&record, "public_key")?,
        created_at: record.get("created_at")?,
        retires_at: record.get("retires_at")?,
    };
    invariants::check_signing_key(&signing_key, record.get("has_private")?)?;
    Ok(signing_key)
}
