//! Rows of credentials.

use nodkey_db::{Db, DbError, Row, Tx};
use nodkey_kernel::{
    id::{CredentialId, RelyingPartyId},
    time::Timestamp,
};
use nodkey_runtime::{
    page::Listed,
    rows::{key, listed},
};
use uuid::Uuid;

use super::{Start, by_id, json, named, page, relying_party};
use crate::{
    domain::{
        credential::Credential,
        relying_party::{Limits, SignatureSettings},
    },
    error::Error,
    invariants,
};

const TABLE: &str = "credential";

/// A credential with what is needed to verify its signatures.
#[derive(Debug)]
pub struct Resolved {
    /// The credential.
    pub credential: Credential,
    /// Secret, sealed by the vault.
    pub sealed_secret: Vec<u8>,
    /// Whether its relying party is disabled.
    pub party_disabled: bool,
    /// Signature settings of its relying party.
    pub signatures: SignatureSettings,
    /// Limits of its relying party.
    pub limits: Limits,
}

/// Inserts a credential.
pub async fn insert(tx: &mut Tx, credential: &Credential, sealed_secret: &[u8]) -> Result<(), Error> {
    invariants::check_credential(credential)?;
    tx.query(
        "INSERT INTO credential (id, relying_party_id, kind, token, sealed_secret, created_at, version) \
         VALUES ($1, $2, $3, $4, $5, $6, $7)",
    )
    .bind(credential.id.as_uuid())
    .bind(credential.relying_party.as_uuid())
    .bind(credential.kind.as_str())
    .bind(credential.token.as_str())
    .bind(sealed_secret)
    .bind(credential.created_at)
    .bind(credential.version)
    .execute()
    .await?;
    Ok(())
}

const SELECT: &str = "SELECT id, relying_party_id, kind, token, created_at, disabled_at, version FROM credential WHERE ";

/// Returns a credential.
pub async fn get(db: &Db, party: RelyingPartyId, id: CredentialId) -> Result<Option<Credential>, Error> {
    Ok(by_id(db.query(SELECT), party, id.as_uuid()).fetch_optional().await?.as_ref().map(read).transpose()?)
}

/// Finds a credential of any relying party. Unscoped, since the caller does not know the relying party yet.
pub async fn resolve(db: &Db, id: CredentialId) -> Result<Option<Resolved>, Error> {
    let row = db
        .query(
            "SELECT c.id, c.relying_party_id, c.kind, c.token, c.created_at, c.disabled_at, c.version, c.sealed_secret, \
             p.disabled_at AS party_disabled_at, p.signatures, p.limits \
             FROM credential c JOIN relying_party p ON p.id = c.relying_party_id WHERE c.id = $1",
        )
        .bind(id.as_uuid())
        .fetch_optional()
        .await?;
    row.map(|row| {
        let record = row.of(TABLE, key(&row, "id"));
        Ok(Resolved {
            credential: read(&row)?,
            sealed_secret: record.get("sealed_secret")?,
            party_disabled: record.get::<Option<Timestamp>>("party_disabled_at")?.is_some(),
            signatures: json(&record, "signatures")?,
            limits: json(&record, "limits")?,
        })
    })
    .transpose()
}

/// Updates the previous version; false if a concurrent change was first.
pub async fn update(tx: &mut Tx, credential: &Credential) -> Result<bool, Error> {
    invariants::check_credential(credential)?;
    let query = tx.query("UPDATE credential SET disabled_at = ").push_bind(credential.disabled_at).push(", version = ");
    let query = by_id(query.push_bind(credential.version).push(" WHERE "), credential.relying_party, credential.id.as_uuid());
    Ok(query.push(" AND version = ").push_bind(credential.version - 1).execute().await? == 1)
}

/// Lists the credentials of a relying party.
pub async fn list(db: &Db, party: RelyingPartyId, start: &Start<Uuid>, size: i64) -> Result<Listed<Credential>, Error> {
    let query = db.query(SELECT).push("relying_party_id = ").push_bind(party.as_uuid()).push(" AND ");
    Ok(listed(size, &page(query, start, size).fetch_all().await?, "created_at", read))
}

fn read(row: &Row) -> Result<Credential, DbError> {
    let record = row.of(TABLE, key(row, "id"));
    let credential = Credential {
        id: CredentialId::from_uuid(record.get("id")?),
        relying_party: relying_party(&record)?,
        kind: named(&record, "kind")?,
        token: record.get("token")?,
        created_at: record.get("created_at")?,
        disabled_at: record.get("disabled_at")?,
        version: record.get("version")?,
    };
    invariants::check_credential(&credential)?;
    Ok(credential)
}
