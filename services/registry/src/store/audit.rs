//! Rows of the audit log: added, completed once, never changed.

use nodkey_db::{Db, DbError, Row, Tx};
use nodkey_kernel::id::{AuditEntryId, OperatorId, RelyingPartyId};
use nodkey_runtime::{
    page::Listed,
    rows::{key, listed},
};
use uuid::Uuid;

use super::Start;
use crate::{
    domain::audit::{Action, AuditEntry},
    error::Error,
};

/// Adds one.
pub async fn insert(tx: &mut Tx, entry: &AuditEntry) -> Result<(), Error> {
    let AuditEntry { id, at, action, outcome } = entry;
    tx.query(
        "INSERT INTO audit_entry (id, at, operator_id, actor, role, relying_party_id, method, request, outcome, trace_id) \
         VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10)",
    )
    .bind(id.as_uuid())
    .bind(*at)
    .bind(action.operator.map(|id| id.as_uuid()))
    .bind(action.actor.as_str())
    .bind(action.role.as_str())
    .bind(action.relying_party.map(|id| id.as_uuid()))
    .bind(action.method.as_str())
    .bind(action.request.as_str())
    .bind(outcome.as_str())
    .bind(action.trace_id.as_str())
    .execute()
    .await?;
    Ok(())
}

/// Says what came of one, once.
pub async fn complete(db: &Db, id: AuditEntryId, outcome: &str) -> Result<(), Error> {
    let sql = "UPDATE audit_entry SET outcome = $1 WHERE id = $2 AND outcome = ''";
    db.execute(sql).bind(outcome).bind(id.as_uuid()).execute().await?;
    Ok(())
}

/// Which to list.
#[derive(Debug, Clone, Default)]
pub struct Filter {
    /// For this tenant.
    pub relying_party: Option<RelyingPartyId>,
    /// By this operator.
    pub operator: Option<OperatorId>,
    /// Path or name of the method; empty: any.
    pub method: String,
}

/// Lists, newest first. One text a filter, so that each finds its index.
pub async fn list(db: &Db, filter: &Filter, start: &Start<Uuid>, size: i64) -> Result<Listed<AuditEntry>, Error> {
    let select = "SELECT id, at, operator_id, actor, role, relying_party_id, method, request, outcome, trace_id FROM audit_entry WHERE ";
    let mut query = db.query(select);
    if let Some(party) = filter.relying_party {
        query = query.push("relying_party_id = ").push_bind(party.as_uuid()).push(" AND ");
    }
    if let Some(operator) = filter.operator {
        query = query.push("operator_id = ").push_bind(operator.as_uuid()).push(" AND ");
    }
    if !filter.method.is_empty() {
        query = query.push("(method = ").push_bind(filter.method.as_str()).push(" OR method LIKE '%/' || ");
        query = query.push_bind(filter.method.as_str()).push(") AND ");
    }
    let query = query.push("(at, id) < (").push_bind(start.at).push(", ").push_bind(start.id).push(") ORDER BY at DESC, id DESC LIMIT ");
    Ok(listed(size, &query.push_bind(size + 1).fetch_all().await?, "at", read))
}

fn read(row: &Row) -> Result<AuditEntry, DbError> {
    let record = row.of("audit_entry", key(row, "id"));
    let operator: Option<Uuid> = record.get("operator_id")?;
    let relying_party: Option<Uuid> = record.get("relying_party_id")?;
    Ok(AuditEntry {
        id: AuditEntryId::from_uuid(record.get("id")?),
        at: record.get("at")?,
        action: Action {
            operator: operator.map(OperatorId::from_uuid),
            actor: record.get("actor")?,
            role: record.get("role")?,
            relying_party: relying_party.map(RelyingPartyId::from_uuid),
            method: record.get("method")?,
            request: record.get("request")?,
            trace_id: record.get("trace_id")?,
        },
        outcome: record.get("outcome")?,
    })
}
