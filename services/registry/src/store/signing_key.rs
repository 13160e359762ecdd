//! Rows of signing keys. They are the deployment's, not a relying party's.

use nodkey_db::{Db, Row, Tx};
use nodkey_kernel::{id::SigningKeyId, time::Timestamp};
use uuid::Uuid;

use super::{Start, key};
use crate::{domain::signing_key::SigningKey, error::Error};

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
            "SELECT id, public_key, sealed_private, created_at, retires_at FROM signing_key \
             WHERE retires_at IS NULL OR retires_at > $1 ORDER BY created_at DESC, id DESC",
        )
        .bind(now)
        .fetch_all()
        .await?;
    let (mut current, mut keys) = (None, Vec::with_capacity(rows.len()));
    for row in &rows {
        let key = read(row)?;
        if key.retires_at.is_none() {
            let sealed: Option<Vec<u8>> = row.get("sealed_private")?;
            current = Some((key.clone(), sealed.ok_or(Error::Corrupt("sealed_private"))?));
        }
        keys.push(key);
    }
    Ok((current, keys))
}

/// Lists all of them.
pub async fn list(db: &Db, start: &Start<Uuid>, limit: i64) -> Result<Vec<SigningKey>, Error> {
    let rows = db
        .query(
            "SELECT id, public_key, created_at, retires_at FROM signing_key \
             WHERE (created_at, id) < ($1, $2) ORDER BY created_at DESC, id DESC LIMIT $3",
        )
        .bind(start.at)
        .bind(start.id)
        .bind(limit)
        .fetch_all()
        .await?;
    rows.iter().map(read).collect()
}

fn read(row: &Row) -> Result<SigningKey, Error> {
    Ok(SigningKey {
        id: SigningKeyId::from_uuid(row.get("id")?),
        key: key(row, "public_key")?,
        created_at: row.get("created_at")?,
        retires_at: row.get("retires_at")?,
    })
}
