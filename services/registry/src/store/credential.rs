//! Rows of credentials.

use nodkey_db::{Db, Row, Tx};
use nodkey_kernel::id::{CredentialId, RelyingPartyId};
use uuid::Uuid;

use super::{Start, named, relying_party};
use crate::{
    domain::{credential::Credential, relying_party::SignatureSettings},
    error::Error,
};

/// A credential with what verifies its signatures.
#[derive(Debug)]
pub struct Resolved {
    /// The credential.
    pub credential: Credential,
    /// Sealed by the vault.
    pub sealed_secret: Vec<u8>,
    /// Whether its relying party is disabled.
    pub party_disabled: bool,
    /// What its relying party puts up with.
    pub signatures: SignatureSettings,
}

/// Inserts.
pub async fn insert(tx: &mut Tx, credential: &Credential, sealed_secret: &[u8]) -> Result<(), Error> {
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

/// Returns one.
pub async fn get(db: &Db, party: RelyingPartyId, id: CredentialId) -> Result<Option<Credential>, Error> {
    let row = db
        .query(
            "SELECT id, relying_party_id, kind, token, created_at, disabled_at, version FROM credential \
             WHERE relying_party_id = $1 AND id = $2",
        )
        .bind(party.as_uuid())
        .bind(id.as_uuid())
        .fetch_optional()
        .await?;
    row.as_ref().map(read).transpose()
}

/// Finds out whose a credential is: unscoped, because that is the question.
pub async fn resolve(db: &Db, id: CredentialId) -> Result<Option<Resolved>, Error> {
    let row = db
        .query(
            "SELECT c.id, c.relying_party_id, c.kind, c.token, c.created_at, c.disabled_at, c.version, c.sealed_secret, \
             p.disabled_at AS party_disabled_at, p.signatures \
             FROM credential c JOIN relying_party p ON p.id = c.relying_party_id WHERE c.id = $1",
        )
        .bind(id.as_uuid())
        .fetch_optional()
        .await?;
    row.map(|row| {
        let signatures = serde_json::from_str(&row.get::<String>("signatures")?).map_err(|_| Error::Corrupt("signatures"))?;
        let party_disabled_at: Option<nodkey_kernel::time::Timestamp> = row.get("party_disabled_at")?;
        Ok(Resolved {
            credential: read(&row)?,
            sealed_secret: row.get("sealed_secret")?,
            party_disabled: party_disabled_at.is_some(),
            signatures,
        })
    })
    .transpose()
}

/// Writes a change of the version before; false when another was first.
pub async fn update(tx: &mut Tx, credential: &Credential) -> Result<bool, Error> {
    let updated = tx
        .query("UPDATE credential SET disabled_at = $1, version = $2 WHERE relying_party_id = $3 AND id = $4 AND version = $2 - 1")
        .bind(credential.disabled_at)
        .bind(credential.version)
        .bind(credential.relying_party.as_uuid())
        .bind(credential.id.as_uuid())
        .execute()
        .await?;
    Ok(updated == 1)
}

/// Lists those of a relying party.
pub async fn list(db: &Db, party: RelyingPartyId, start: &Start<Uuid>, limit: i64) -> Result<Vec<Credential>, Error> {
    let rows = db
        .query(
            "SELECT id, relying_party_id, kind, token, created_at, disabled_at, version FROM credential \
             WHERE relying_party_id = $1 AND (created_at, id) < ($2, $3) ORDER BY created_at DESC, id DESC LIMIT $4",
        )
        .bind(party.as_uuid())
        .bind(start.at)
        .bind(start.id)
        .bind(limit)
        .fetch_all()
        .await?;
    rows.iter().map(read).collect()
}

fn read(row: &Row) -> Result<Credential, Error> {
    Ok(Credential {
        id: CredentialId::from_uuid(row.get("id")?),
        relying_party: relying_party(row)?,
        kind: named(row, "kind")?,
        token: row.get("token")?,
        created_at: row.get("created_at")?,
        disabled_at: row.get("disabled_at")?,
        version: row.get("version")?,
    })
}
