//! Rows of confirmations. They belong to the deployment, not to a relying party.

use nodkey_db::{Db, Tx};
use nodkey_kernel::{
    id::{AuditEntryId, ConfirmationId, OperatorId, RelyingPartyId, TrusonaficationId},
    time::Timestamp,
};
use uuid::Uuid;

use crate::{
    domain::confirmation::{Confirmation, Request, Shown},
    error::Error,
};

/// Inserts a confirmation.
pub async fn insert(db: &Db, confirmation: &Confirmation) -> Result<(), Error> {
    let Confirmation { id, operator, request, trusonafication, shown, created_at, expires_at, used_at: _ } = confirmation;
    db.execute(
        "INSERT INTO operator_confirmation (id, operator_id, method, relying_party_id, request_sha256, trusonafication_id, action, \
         resource, created_at, expires_at) VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10)",
    )
    .bind(id.as_uuid())
    .bind(operator.as_uuid())
    .bind(request.method.as_str())
    .bind(request.relying_party.map(|id| id.as_uuid()))
    .bind(&request.sha256[..])
    .bind(trusonafication.as_uuid())
    .bind(shown.action.as_str())
    .bind(shown.resource.as_str())
    .bind(*created_at)
    .bind(*expires_at)
    .execute()
    .await?;
    Ok(())
}

/// Returns a confirmation.
pub async fn get(db: &Db, id: ConfirmationId) -> Result<Option<Confirmation>, Error> {
    let sql = "SELECT id, operator_id, method, relying_party_id, request_sha256, trusonafication_id, action, resource, created_at, \
               expires_at, used_at FROM operator_confirmation WHERE id = $1";
    let row = db.query(sql).bind(id.as_uuid()).fetch_optional().await?;
    row.map(|row| {
        let record = row.of("operator_confirmation", id);
        let relying_party: Option<Uuid> = record.get("relying_party_id")?;
        Ok(Confirmation {
            id,
            operator: OperatorId::from_uuid(record.get("operator_id")?),
            request: Request {
                method: record.get("method")?,
                relying_party: relying_party.map(RelyingPartyId::from_uuid),
                sha256: record.convert("request_sha256", |bytes: Vec<u8>| bytes.try_into().map_err(|_| "is not a SHA-256 hash"))?,
            },
            trusonafication: TrusonaficationId::from_uuid(record.get("trusonafication_id")?),
            shown: Shown { action: record.get("action")?, resource: record.get("resource")? },
            created_at: record.get("created_at")?,
            expires_at: record.get("expires_at")?,
            used_at: record.get("used_at")?,
        })
    })
    .transpose()
}

/// Marks a confirmation as used by an audit entry; false if it was already used.
pub async fn spend(tx: &mut Tx, id: ConfirmationId, entry: AuditEntryId, now: Timestamp) -> Result<bool, Error> {
    let sql = "UPDATE operator_confirmation SET used_at = $1, audit_entry_id = $2 WHERE id = $3 AND used_at IS NULL";
    Ok(tx.query(sql).bind(now).bind(entry.as_uuid()).bind(id.as_uuid()).execute().await? == 1)
}
