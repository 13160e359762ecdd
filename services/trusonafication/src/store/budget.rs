//! Rows of prompt budgets and holds.

use std::time::Duration;

use nodkey_db::{Db, DbError, Row, Tx, retention};
use nodkey_kernel::{
    id::{RelyingPartyId, TrusonaficationId},
    time::Timestamp,
};
use nodkey_runtime::Failure;
use uuid::Uuid;

use crate::domain::{Budget, Waiting};

/// Pending prompts beyond this number are not counted.
const MAX_LOOKED_AT: i64 = 16;
/// Maximum number of holds listed.
const MAX_HOLDS: i64 = 100;
const DAY: i64 = 86_400;

/// Returns a user's budget and locks it until this transaction ends. `id` is used for a new row if there is none yet.
pub async fn lock_budget(tx: &mut Tx, party: RelyingPartyId, user: &str, id: Uuid, now: Timestamp) -> Result<Budget, Failure> {
    let sql = "INSERT INTO prompt_budget (id, relying_party_id, user_identifier, strikes, used_on) VALUES ($1, $2, $3, 0, $4) \
               ON CONFLICT (relying_party_id, user_identifier) DO UPDATE SET used_on = excluded.used_on RETURNING id, strikes, wrong_numbers, struck_at";
    let day = Timestamp::from_seconds(now.as_seconds() / DAY * DAY);
    let row = tx.query(sql).bind(id).bind(party.as_uuid()).bind(user).bind(day).fetch_one().await?;
    Ok(read(&row)?)
}

fn read(row: &Row) -> Result<Budget, DbError> {
    let record = row.of("prompt_budget", row.get::<Uuid>("id")?);
    Ok(Budget {
        strikes: record.convert("strikes", |strikes: i32| u32::try_from(strikes))?,
        wrong_numbers: record.convert("wrong_numbers", |wrong: i32| u32::try_from(wrong))?,
        struck_at: record.get("struck_at")?,
    })
}

/// Returns a user's budget.
pub async fn budget_of(tx: &mut Tx, party: RelyingPartyId, user: &str) -> Result<Budget, DbError> {
    let sql = "SELECT id, strikes, wrong_numbers, struck_at FROM prompt_budget WHERE relying_party_id = $1 AND user_identifier = $2";
    let row = tx.query(sql).bind(party.as_uuid()).bind(user).fetch_optional().await?;
    row.as_ref().map_or_else(|| Ok(Budget::default()), read)
}

/// Writes a user's budget.
pub async fn write_budget(tx: &mut Tx, party: RelyingPartyId, user: &str, budget: Budget) -> Result<(), Failure> {
    let sql =
        "UPDATE prompt_budget SET strikes = $1, wrong_numbers = $2, struck_at = $3 WHERE relying_party_id = $4 AND user_identifier = $5";
    tx.query(sql)
        .bind(i32::try_from(budget.strikes).unwrap_or(i32::MAX))
        .bind(i32::try_from(budget.wrong_numbers).unwrap_or(i32::MAX))
        .bind(budget.struck_at)
        .bind(party.as_uuid())
        .bind(user)
        .execute()
        .await?;
    Ok(())
}

/// Clears a user's strikes. Writes nothing if there are none.
pub async fn forgive(tx: &mut Tx, party: RelyingPartyId, user: &str) -> Result<(), Failure> {
    tx.query(
        "UPDATE prompt_budget SET strikes = 0, wrong_numbers = 0, struck_at = NULL WHERE relying_party_id = $1 AND user_identifier = $2 AND (strikes > 0) IS TRUE",
    )
    .bind(party.as_uuid())
    .bind(user)
    .execute()
    .await?;
    Ok(())
}

/// A counted prompt that is in progress.
#[derive(Clone, Debug)]
pub struct Open {
    /// Identifier of the prompt.
    pub id: TrusonaficationId,
    /// Context as given.
    pub context: String,
    /// Its time span.
    pub waiting: Waiting,
}

/// Returns the counted prompts of a user that are in progress, including overdue ones.
pub async fn waiting_for(tx: &mut Tx, party: RelyingPartyId, user: &str) -> Result<Vec<Open>, DbError> {
    let query = tx.query("SELECT id, context, created_at, expires_at FROM trusonafication WHERE user_identifier = ").push_bind(user);
    let query = query.push(" AND status = 'in_progress' AND (relying_party_id = ").push_bind(party.as_uuid()).push(") IS TRUE");
    let rows = query.push(" AND (way = 'counted') IS TRUE ORDER BY created_at, id LIMIT ").push_bind(MAX_LOOKED_AT).fetch_all().await?;
    rows.iter().map(read_open).collect()
}

fn read_open(row: &Row) -> Result<Open, DbError> {
    Ok(Open {
        id: TrusonaficationId::from_uuid(row.get("id")?),
        context: row.get::<Option<String>>("context")?.unwrap_or_default(),
        waiting: Waiting { created_at: row.get("created_at")?, expires_at: row.get("expires_at")? },
    })
}

/// A context in which a user reported "not me".
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Hold {
    /// The context; empty for prompts without one.
    pub context: String,
    /// The trusonafication that was rejected.
    pub trusonafication: TrusonaficationId,
    /// When it was rejected.
    pub held_at: Timestamp,
    /// Until when prompts in this context are blocked.
    pub held_until: Timestamp,
}

/// Inserts or replaces a hold. `id` is new, so that a concurrent deletion of the previous hold by its id leaves this one.
pub async fn hold(tx: &mut Tx, party: RelyingPartyId, user: &str, hold: &Hold, id: Uuid) -> Result<(), Failure> {
    tx.query(
        "INSERT INTO prompt_hold (id, relying_party_id, user_identifier, context, trusonafication_id, held_at, held_until) \
         VALUES ($1, $2, $3, $4, $5, $6, $7) ON CONFLICT (relying_party_id, user_identifier, context) \
         DO UPDATE SET id = excluded.id, trusonafication_id = excluded.trusonafication_id, held_at = excluded.held_at, held_until = excluded.held_until",
    )
    .bind(id)
    .bind(party.as_uuid())
    .bind(user)
    .bind(hold.context.as_str())
    .bind(hold.trusonafication.as_uuid())
    .bind(hold.held_at)
    .bind(hold.held_until)
    .execute()
    .await?;
    Ok(())
}

/// Returns until when a context is blocked.
pub async fn held(tx: &mut Tx, party: RelyingPartyId, user: &str, context: &str) -> Result<Option<Timestamp>, DbError> {
    let sql = "SELECT held_until FROM prompt_hold WHERE relying_party_id = $1 AND user_identifier = $2 AND context = $3";
    let row = tx.query(sql).bind(party.as_uuid()).bind(user).bind(context).fetch_optional().await?;
    row.map(|row| row.get("held_until")).transpose()
}

/// Returns the current holds of a user, those that last longest first.
pub async fn holds(tx: &mut Tx, party: RelyingPartyId, user: &str, now: Timestamp) -> Result<Vec<Hold>, DbError> {
    let sql = "SELECT context, trusonafication_id, held_at, held_until FROM prompt_hold WHERE relying_party_id = $1 AND user_identifier = $2 \
               AND (held_until > $3) IS TRUE ORDER BY held_until DESC LIMIT $4";
    let rows = tx.query(sql).bind(party.as_uuid()).bind(user).bind(now).bind(MAX_HOLDS).fetch_all().await?;
    let read = |row: &Row| -> Result<Hold, DbError> {
        let trusonafication = TrusonaficationId::from_uuid(row.get("trusonafication_id")?);
        Ok(Hold { context: row.get("context")?, trusonafication, held_at: row.get("held_at")?, held_until: row.get("held_until")? })
    };
    rows.iter().map(read).collect()
}

/// Ends a hold.
pub async fn release(tx: &mut Tx, party: RelyingPartyId, user: &str, context: &str) -> Result<(), Failure> {
    let sql = "DELETE FROM prompt_hold WHERE relying_party_id = $1 AND user_identifier = $2 AND context = $3";
    tx.query(sql).bind(party.as_uuid()).bind(user).bind(context).execute().await?;
    Ok(())
}

/// Deletes a batch of expired holds. Returns how many.
pub async fn delete_holds(db: &Db, now: Timestamp) -> Result<u64, Failure> {
    let old = db.query("SELECT id FROM prompt_hold WHERE held_until < $1 ORDER BY held_until LIMIT $2").bind(now);
    Ok(retention::delete_found(db, old.bind(retention::BATCH), "DELETE FROM prompt_hold WHERE id IN").await?)
}

/// Deletes a batch of budgets that were unused for the given time. Returns how many.
pub async fn delete_budgets(db: &Db, now: Timestamp, unused: Duration) -> Result<u64, Failure> {
    let old = db.query("SELECT id FROM prompt_budget WHERE used_on < $1 ORDER BY used_on LIMIT $2").bind(now - unused);
    Ok(retention::delete_found(db, old.bind(retention::BATCH), "DELETE FROM prompt_budget WHERE id IN").await?)
}
