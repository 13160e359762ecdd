//! Rows of published keys. They belong to the deployment, not to a relying party.

use nodkey_db::{Db, DbError, Row, Tx};
use nodkey_runtime::{
    page::Listed,
    rows::{listed, readable},
};

use super::{Start, json, key, named, page};
use crate::{domain::signing_key::SigningKey, error::Error, invariants};

const TABLE: &str = "published_key";

/// Inserts a key; false if it already exists.
pub async fn insert(tx: &mut Tx, key: &SigningKey) -> Result<bool, Error> {
    invariants::check_signing_key(key)?;
    let inserted = tx
        .query(
            "INSERT INTO published_key (id, owner, public_key, typs, created_at, signs_at) VALUES ($1, $2, $3, $4, $5, $6) \
             ON CONFLICT DO NOTHING",
        )
        .bind(key.key.thumbprint())
        .bind(key.owner.as_str())
        .bind(key.key.to_value().to_string())
        .bind(serde_json::json!(key.typs).to_string())
        .bind(key.created_at)
        .bind(key.signs_at)
        .execute()
        .await?;
    Ok(inserted == 1)
}

/// Updates when a key leaves the JWKS, and whether it was revoked.
pub async fn retire(tx: &mut Tx, key: &SigningKey) -> Result<(), Error> {
    invariants::check_signing_key(key)?;
    let update = tx.query("UPDATE published_key SET retires_at = $1, revoked_at = $2 WHERE id = $3");
    update.bind(key.retires_at).bind(key.revoked_at).bind(key.key.thumbprint()).execute().await?;
    Ok(())
}

/// Returns every key, newest first. Unreadable keys are left out, so that only what needs them is affected.
pub async fn all(db: &Db) -> Result<Vec<SigningKey>, Error> {
    let select = "SELECT id, owner, public_key, typs, created_at, signs_at, retires_at, revoked_at FROM published_key";
    let rows = db.query(select).push(" ORDER BY created_at DESC, id DESC").fetch_all().await?;
    Ok(rows.iter().filter_map(|row| readable(read(row))).collect())
}

/// Lists the keys.
pub async fn list(db: &Db, start: &Start<String>, size: i64) -> Result<Listed<SigningKey>, Error> {
    let select = "SELECT id, owner, public_key, typs, created_at, signs_at, retires_at, revoked_at FROM published_key WHERE ";
    Ok(listed(size, &page(db.query(select), start, size).fetch_all().await?, "created_at", read))
}

fn read(row: &Row) -> Result<SigningKey, DbError> {
    let id: String = row.get("id")?;
    let record = row.of(TABLE, &id);
    let signing_key = SigningKey {
        key: key(&record, "public_key")?,
        owner: named(&record, "owner")?,
        typs: json(&record, "typs")?,
        created_at: record.get("created_at")?,
        signs_at: record.get("signs_at")?,
        retires_at: record.get("retires_at")?,
        revoked_at: record.get("revoked_at")?,
    };
    if signing_key.key.thumbprint() != id {
        return Err(record.inconsistent("public_key", "is not the key that the id names"));
    }
    invariants::check_signing_key(&signing_key)?;
    Ok(signing_key)
}
