//! Rows of the audit log's chains, their checkpoints and their entries.

use nodkey_db::{
    Db, DbError, Record, Row, Tx,
    retention::{BATCH, delete_found},
};
use nodkey_kernel::{
    audit,
    id::{AuditEntryId, RelyingPartyId},
    time::Timestamp,
};
use nodkey_runtime::{
    page::Listed,
    rows::{key, listed, readable},
};
use uuid::Uuid;

use super::{audit::read, named};
use crate::{
    domain::audit::{AuditEntry, Chain, ChainId, Chained, NewRecord},
    error::Error,
};

const CHAIN: &str = "SELECT id, seq, hash, cut_seq, cut_hash, checkpoint_seq FROM audit_chain WHERE ";
const ENTRY: &str = "SELECT id, at, operator_id, actor, role, relying_party_id, method, request, outcome, trace_id, kind, intent_id, chain_id, \
     seq, prev, hash FROM audit_entry WHERE ";

/// Returns a chain.
pub async fn get(db: &Db, id: ChainId) -> Result<Option<Chain>, Error> {
    let row = db.query(CHAIN).push("id = ").push_bind(id.0).fetch_optional().await?;
    Ok(row.as_ref().map(read_chain).transpose()?)
}

/// Returns the first chain after another in the order of ids: the deployment's is the first.
pub async fn next(db: &Db, after: Option<ChainId>) -> Result<Option<Chain>, Error> {
    let query = match after {
        Some(id) => db.query(CHAIN).push("id > ").push_bind(id.0),
        None => db.query(CHAIN).push("id >= ").push_bind(ChainId::DEPLOYMENT.0),
    };
    Ok(query.push(" ORDER BY id LIMIT 1").fetch_optional().await?.as_ref().map(read_chain).transpose()?)
}

/// Returns chains with entries that no checkpoint covers, after another in the order of ids.
pub async fn uncovered(db: &Db, after: Option<ChainId>, limit: i64) -> Result<Vec<ChainId>, Error> {
    let sql = "SELECT id FROM audit_chain WHERE checkpoint_seq < seq AND ";
    let query = match after {
        Some(id) => db.query(sql).push("id > ").push_bind(id.0),
        None => db.query(sql).push("id >= ").push_bind(ChainId::DEPLOYMENT.0),
    };
    let rows = query.push(" ORDER BY id LIMIT ").push_bind(limit).fetch_all().await?;
    rows.iter().map(|row| Ok(ChainId(row.get("id")?))).collect()
}

/// Counts all chains.
pub async fn count(db: &Db) -> Result<u64, Error> {
    let row = db.query("SELECT COUNT(*) AS chains FROM audit_chain").fetch_one().await?;
    Ok(position(&row.of("audit_chain", "all"), "chains")?)
}

/// Returns the entries of a chain after a position, in order, each with its stored hash. Unreadable entries are left out.
pub async fn entries(db: &Db, id: ChainId, after: u64, limit: i64) -> Result<Vec<(Chained, Vec<u8>)>, Error> {
    let query = db.query(ENTRY).push("chain_id = ").push_bind(id.0).push(" AND seq > ").push_bind(signed(after));
    let rows = query.push(" ORDER BY seq LIMIT ").push_bind(limit).fetch_all().await?;
    Ok(rows.iter().filter_map(|row| readable(read_chained(row))).collect())
}

/// Returns the hash of an entry.
pub async fn hash_at(db: &Db, id: ChainId, seq: u64) -> Result<Option<[u8; 32]>, Error> {
    let row =
        db.query("SELECT hash FROM audit_entry WHERE chain_id = $1 AND seq = $2").bind(id.0).bind(signed(seq)).fetch_optional().await?;
    Ok(row.map(|row| hash(&row.of("audit_entry", id.name()), "hash")).transpose()?)
}

/// Returns the checkpoints of a chain in a range of positions, in order, with their positions.
pub async fn checkpoints(db: &Db, id: ChainId, (from, to): (u64, u64), limit: i64) -> Result<Vec<(u64, String)>, Error> {
    let sql = "SELECT seq, jws FROM audit_checkpoint WHERE chain_id = $1 AND seq >= $2 AND seq <= $3 ORDER BY seq LIMIT $4";
    let rows = db.query(sql).bind(id.0).bind(signed(from)).bind(signed(to)).bind(limit).fetch_all().await?;
    let read = |row: &Row| {
        let record = row.of("audit_checkpoint", id.name());
        Ok((position(&record, "seq")?, record.get("jws")?))
    };
    rows.iter().map(read).collect()
}

/// Returns chains with checkpoints before a time, after another in the order of ids, each with the position of the newest of these.
pub async fn cuttable(db: &Db, before: Timestamp, after: Option<ChainId>) -> Result<Vec<(ChainId, u64)>, Error> {
    let query = db.query("SELECT chain_id AS id, MAX(seq) AS seq FROM audit_checkpoint WHERE at < ").push_bind(before);
    let query = match after {
        Some(id) => query.push(" AND chain_id > ").push_bind(id.0),
        None => query.push(" AND chain_id >= ").push_bind(ChainId::DEPLOYMENT.0),
    };
    let rows = query.push(" GROUP BY chain_id ORDER BY chain_id LIMIT ").push_bind(BATCH).fetch_all().await?;
    rows.iter().map(|row| Ok((ChainId(row.get("id")?), position(&row.of("audit_checkpoint", "newest"), "seq")?))).collect()
}

/// Deletes a batch of entries of a chain up to its cut. Returns how many.
pub async fn delete_cut(db: &Db, id: ChainId, cut: u64) -> Result<u64, Error> {
    let old = db.query("SELECT id FROM audit_entry WHERE chain_id = $1 AND seq <= $2 ORDER BY seq LIMIT $3");
    let old = old.bind(id.0).bind(signed(cut)).bind(BATCH);
    Ok(delete_found(db, old, "DELETE FROM audit_entry WHERE id IN").await?)
}

/// Writes a checkpoint and advances the chain's checkpoint and cut, and deletes checkpoints before the cut; false if a concurrent writer
/// was first.
pub async fn insert_checkpoint(tx: &mut Tx, before: &Chain, after: &Chain, at: Timestamp, jws: &str) -> Result<bool, Error> {
    let sql =
        "UPDATE audit_chain SET checkpoint_seq = $1, cut_seq = $2, cut_hash = $3 WHERE id = $4 AND checkpoint_seq = $5 AND cut_seq = $6";
    let update = tx.query(sql).bind(signed(after.checkpoint)).bind(signed(after.cut)).bind(&after.cut_hash[..]).bind(after.id.0);
    if update.bind(signed(before.checkpoint)).bind(signed(before.cut)).execute().await? == 0 {
        return Ok(false);
    }
    let sql = "INSERT INTO audit_checkpoint (chain_id, seq, at, jws) VALUES ($1, $2, $3, $4) \
               ON CONFLICT (chain_id, seq) DO UPDATE SET jws = excluded.jws";
    tx.query(sql).bind(after.id.0).bind(signed(after.checkpoint)).bind(at).bind(jws).execute().await?;
    if after.cut > before.cut {
        let sql = "DELETE FROM audit_checkpoint WHERE chain_id = $1 AND seq < $2";
        tx.query(sql).bind(after.id.0).bind(signed(after.cut)).execute().await?;
    }
    Ok(true)
}

/// Lists entries that predate chains, oldest first.
pub async fn unchained(db: &Db, party: Option<RelyingPartyId>, after: (Timestamp, Uuid), size: i64) -> Result<Listed<AuditEntry>, Error> {
    let query =
        db.query("SELECT id, at, operator_id, actor, role, relying_party_id, method, request, outcome, trace_id FROM audit_entry WHERE ");
    let query = match party {
        Some(party) => query.push("relying_party_id = ").push_bind(party.as_uuid()).push(" AND "),
        None => query,
    };
    let query = query.push("(at, id) > (").push_bind(after.0).push(", ").push_bind(after.1);
    let rows = query.push(") AND kind = 'unchained' ORDER BY at, id LIMIT ").push_bind(size + 1).fetch_all().await?;
    Ok(listed(size, &rows, "at", |row| read(&row.of("audit_entry", key(row, "id")))))
}

fn read_chain(row: &Row) -> Result<Chain, DbError> {
    let id = ChainId(row.get("id")?);
    let record = row.of("audit_chain", id.name());
    Ok(Chain {
        id,
        seq: position(&record, "seq")?,
        hash: hash(&record, "hash")?,
        cut: position(&record, "cut_seq")?,
        cut_hash: hash(&record, "cut_hash")?,
        checkpoint: position(&record, "checkpoint_seq")?,
    })
}

fn read_chained(row: &Row) -> Result<(Chained, Vec<u8>), DbError> {
    let record = row.of("audit_entry", key(row, "id"));
    let intent: Option<Uuid> = record.get("intent_id")?;
    let new = NewRecord {
        kind: named::<audit::RecordKind>(&record, "kind")?,
        intent: intent.map(AuditEntryId::from_uuid),
        entry: read(&record)?,
    };
    let chained =
        Chained { chain: ChainId(record.get("chain_id")?), seq: position(&record, "seq")?, prev: hash(&record, "prev")?, record: new };
    Ok((chained, record.get("hash")?))
}

/// Reads a column that holds a position.
pub(super) fn position(record: &Record<'_>, column: &'static str) -> Result<u64, DbError> {
    record.convert(column, |seq: i64| u64::try_from(seq))
}

/// Reads a column that holds a hash.
pub(super) fn hash(record: &Record<'_>, column: &'static str) -> Result<[u8; 32], DbError> {
    record.convert(column, |bytes: Vec<u8>| <[u8; 32]>::try_from(bytes).map_err(|_| "is not 32 bytes"))
}

fn signed(seq: u64) -> i64 {
    i64::try_from(seq).unwrap_or(i64::MAX)
}
