//! Rows of the audit log: appended to its chains, never changed.

use nodkey_db::{Db, DbError, Record, Tx};
use nodkey_kernel::{
    audit::{RecordKind, START},
    id::{AuditEntryId, OperatorId, RelyingPartyId},
};
use nodkey_runtime::{
    page::Listed,
    rows::{key, listed},
};
use uuid::Uuid;

use super::{
    Start,
    audit_chain::{hash, position},
};
use crate::{
    domain::audit::{Action, AuditEntry, ChainId, Chained, NewRecord},
    error::Error,
};

/// Appends a record to its chain: that of its relying party if it exists, else the deployment's. Concurrent appends to the same chain wait
/// until this transaction ends, so this record stays the last.
pub async fn append(tx: &mut Tx, record: NewRecord) -> Result<(), Error> {
    let chain = chain_of(tx, record.entry.action.relying_party).await?;
    append_to(tx, chain, record).await
}

/// Appends the outcome of an intent to its chain, once. For an entry that predates chains, the outcome is written into the entry.
pub async fn append_outcome(tx: &mut Tx, outcome: AuditEntry, intent: AuditEntryId) -> Result<(), Error> {
    let found = tx.query("SELECT chain_id FROM audit_entry WHERE id = $1").bind(intent.as_uuid()).fetch_optional().await?;
    let Some(found) = found else { return Ok(()) };
    let Some(chain) = found.get::<Option<Uuid>>("chain_id")? else {
        let sql = "UPDATE audit_entry SET outcome = $1 WHERE id = $2 AND outcome = ''";
        tx.query(sql).bind(outcome.outcome).bind(intent.as_uuid()).execute().await?;
        return Ok(());
    };
    append_to(tx, ChainId(chain), NewRecord { kind: RecordKind::Outcome, intent: Some(intent), entry: outcome }).await
}

async fn chain_of(tx: &mut Tx, party: Option<RelyingPartyId>) -> Result<ChainId, Error> {
    let Some(party) = party.filter(|party| *party != RelyingPartyId::CONSOLE) else { return Ok(ChainId::DEPLOYMENT) };
    let known = tx.query("SELECT id FROM relying_party WHERE id = $1").bind(party.as_uuid()).fetch_optional().await?;
    Ok(known.map_or(ChainId::DEPLOYMENT, |_| ChainId(party.as_uuid())))
}

async fn append_to(tx: &mut Tx, chain: ChainId, record: NewRecord) -> Result<(), Error> {
    // Locks the row until the transaction ends; its hash is still that of the previous entry.
    let next = "UPDATE audit_chain SET seq = seq + 1 WHERE id = $1 RETURNING seq, hash";
    let mut head = tx.query(next).bind(chain.0).fetch_optional().await?;
    if head.is_none() {
        let begin = "INSERT INTO audit_chain (id, seq, hash, cut_seq, cut_hash, checkpoint_seq) VALUES ($1, 0, $2, 0, $2, 0) \
                     ON CONFLICT DO NOTHING";
        tx.query(begin).bind(chain.0).bind(&START[..]).execute().await?;
        head = tx.query(next).bind(chain.0).fetch_optional().await?;
    }
    let head = head.ok_or(DbError::NoRow)?;
    let head = head.of("audit_chain", chain.name());
    let chained = Chained { chain, seq: position(&head, "seq")?, prev: hash(&head, "hash")?, record };
    let hash = chained.hash();
    // A second outcome is ignored.
    if let Some(intent) = chained.record.intent {
        let sql = "SELECT id FROM audit_entry WHERE intent_id = $1";
        if tx.query(sql).bind(intent.as_uuid()).fetch_optional().await?.is_some() {
            tx.query("UPDATE audit_chain SET seq = seq - 1 WHERE id = $1").bind(chain.0).execute().await?;
            return Ok(());
        }
    }
    insert(tx, &chained, &hash).await?;
    tx.query("UPDATE audit_chain SET hash = $1 WHERE id = $2").bind(&hash[..]).bind(chain.0).execute().await?;
    Ok(())
}

async fn insert(tx: &mut Tx, chained: &Chained, hash: &[u8]) -> Result<(), Error> {
    let Chained { chain, seq, prev, record: NewRecord { kind, intent, entry: AuditEntry { id, at, action, outcome } } } = chained;
    tx.query(
        "INSERT INTO audit_entry (id, at, operator_id, actor, role, relying_party_id, method, request, outcome, trace_id, kind, \
         intent_id, chain_id, seq, prev, hash) VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15, $16)",
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
    .bind(kind.as_str())
    .bind(intent.map(|id| id.as_uuid()))
    .bind(chain.0)
    .bind(i64::try_from(*seq).unwrap_or(i64::MAX))
    .bind(&prev[..])
    .bind(hash)
    .execute()
    .await?;
    Ok(())
}

/// Which entries to list.
#[derive(Debug, Clone, Default)]
pub struct Filter {
    /// Entries of this relying party.
    pub relying_party: Option<RelyingPartyId>,
    /// Entries of this operator.
    pub operator: Option<OperatorId>,
    /// Path or name of the method; empty: any.
    pub method: String,
}

/// Lists entries with their outcomes, newest first. Each filter has its own SQL text, so that each uses its index.
pub async fn list(db: &Db, filter: &Filter, start: &Start<Uuid>, size: i64) -> Result<Listed<AuditEntry>, Error> {
    // Each outcome is looked up by its index: a join might scan the whole table.
    let select = "SELECT e.id, e.at, e.operator_id, e.actor, e.role, e.relying_party_id, e.method, e.trace_id, \
                  CASE WHEN e.request <> '' THEN e.request \
                  ELSE COALESCE((SELECT o.request FROM audit_entry o WHERE o.intent_id = e.id), '') END AS request, \
                  CASE WHEN e.kind <> 'intent' THEN e.outcome \
                  ELSE COALESCE((SELECT o.outcome FROM audit_entry o WHERE o.intent_id = e.id), '') END AS outcome \
                  FROM audit_entry e WHERE e.kind <> 'outcome' AND ";
    let mut query = db.query(select);
    if let Some(party) = filter.relying_party {
        query = query.push("e.relying_party_id = ").push_bind(party.as_uuid()).push(" AND ");
    }
    if let Some(operator) = filter.operator {
        query = query.push("e.operator_id = ").push_bind(operator.as_uuid()).push(" AND ");
    }
    if !filter.method.is_empty() {
        query = query.push("(e.method = ").push_bind(filter.method.as_str()).push(" OR e.method LIKE '%/' || ");
        query = query.push_bind(filter.method.as_str()).push(") AND ");
    }
    let query = query.push("(e.at, e.id) < (").push_bind(start.at).push(", ").push_bind(start.id);
    let query = query.push(") ORDER BY e.at DESC, e.id DESC LIMIT ");
    Ok(listed(size, &query.push_bind(size + 1).fetch_all().await?, "at", |row| read(&row.of("audit_entry", key(row, "id")))))
}

/// Reads the columns of an entry.
pub(super) fn read(record: &Record<'_>) -> Result<AuditEntry, DbError> {
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
