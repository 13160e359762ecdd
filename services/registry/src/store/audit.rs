//! Rows of the audit log: added, completed once, never changed.

use nodkey_db::{Db, Row, Tx};
use nodkey_kernel::id::{AuditEntryId, OperatorId, RelyingPartyId};
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

macro_rules! select {
    ($which:literal) => {
        concat!(
            "SELECT id, at, operator_id, actor, role, relying_party_id, method, request, outcome, trace_id FROM audit_entry WHERE ",
            $which,
            "(at, id) < ($1, $2) AND ($3 = '' OR method = $3 OR method LIKE '%/' || $3) ORDER BY at DESC, id DESC LIMIT $4"
        )
    };
}

/// Lists, newest first. One text a filter, so that each finds its index.
pub async fn list(db: &Db, filter: &Filter, start: &Start<Uuid>, limit: i64) -> Result<Vec<AuditEntry>, Error> {
    let sql = match (filter.relying_party, filter.operator) {
        (None, None) => select!(""),
        (Some(_), None) => select!("relying_party_id = $5 AND "),
        (None, Some(_)) => select!("operator_id = $5 AND "),
        (Some(_), Some(_)) => select!("relying_party_id = $5 AND operator_id = $6 AND "),
    };
    let mut query = db.query(sql).bind(start.at).bind(start.id).bind(filter.method.as_str()).bind(limit);
    for id in [filter.relying_party.map(|id| id.as_uuid()), filter.operator.map(|id| id.as_uuid())].into_iter().flatten() {
        query = query.bind(id);
    }
    query.fetch_all().await?.iter().map(read).collect()
}

fn read(row: &Row) -> Result<AuditEntry, Error> {
    let operator: Option<Uuid> = row.get("operator_id")?;
    let relying_party: Option<Uuid> = row.get("relying_party_id")?;
    Ok(AuditEntry {
        id: AuditEntryId::from_uuid(row.get("id")?),
        at: row.get("at")?,
        action: Action {
            operator: operator.map(OperatorId::from_uuid),
            actor: row.get("actor")?,
            role: row.get("role")?,
            relying_party: relying_party.map(RelyingPartyId::from_uuid),
            method: row.get("method")?,
            request: row.get("request")?,
            trace_id: row.get("trace_id")?,
        },
        outcome: row.get("outcome")?,
    })
}
