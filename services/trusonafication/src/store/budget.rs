//! Rows of prompt budgets and holds.

use std::time::Duration;

use nodkey_db::{Db, DbError, Query, Row, Tx, retention};
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
    let row = tx.query(sql).bind(id).bind(party.as_uuid()).bind(user).bind(day(now)).fetch_one().await?;
    Ok(read(&row, "id")?)
}

/// The day on which a budget is used.
fn day(now: Timestamp) -> Timestamp {
    Timestamp::from_seconds(now.as_seconds() / DAY * DAY)
}

fn read(row: &Row, id: &'static str) -> Result<Budget, DbError> {
    let record = row.of("prompt_budget", row.get::<Uuid>(id)?);
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
    row.as_ref().map_or_else(|| Ok(Budget::default()), |row| read(row, "id"))
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
    let rows = waiting(tx.query(""), party, user).fetch_all().await?;
    rows.iter().map(read_open).collect()
}

/// Returns the same prompts, and until when the context is blocked.
pub async fn waiting_and_held(
    tx: &mut Tx,
    party: RelyingPartyId,
    user: &str,
    context: &str,
) -> Result<(Vec<Open>, Option<Timestamp>), DbError> {
    let query = tx.query("SELECT t.id, t.context, t.created_at, t.expires_at, h.held_until FROM (SELECT 1 AS one) o");
    read_waiting_and_held(&join_waiting_and_held(query, party, user, context).fetch_all().await?)
}

/// What is known of a user's prompts outside a transaction.
#[derive(Debug)]
pub struct Seen {
    /// The user's budget.
    pub budget: Budget,
    /// The counted prompts that are in progress, including overdue ones.
    pub open: Vec<Open>,
    /// Until when the context is blocked.
    pub held: Option<Timestamp>,
    /// What only holds while nobody writes the budget.
    pub mark: Mark,
}

/// A version of a user's budget. Whatever makes the budget stricter, another prompt included, writes its row in the same transaction. Only a "not
/// me" about a sign-in that the user started does not: as with the lock, a prompt that is being created at that moment may still be shown.
#[derive(Debug)]
pub struct Mark {
    party: RelyingPartyId,
    user: String,
    /// The transaction that wrote the row last: the system column `xmin` of PostgreSQL.
    written_by: String,
    used_on: Timestamp,
}

/// Looks at all of it at one moment, on PostgreSQL; `None` if the user has no budget yet.
pub async fn look(db: &Db, party: RelyingPartyId, user: &str, context: &str, now: Timestamp) -> Result<Option<Seen>, DbError> {
    let select = "SELECT b.id AS budget, b.strikes, b.wrong_numbers, b.struck_at, b.xmin::text AS written_by, \
                  t.id, t.context, t.created_at, t.expires_at, h.held_until FROM prompt_budget b";
    let query = join_waiting_and_held(db.query(select), party, user, context).push(" WHERE b.relying_party_id = ");
    let rows = query.push_bind(party.as_uuid()).push(" AND b.user_identifier = ").push_bind(user).fetch_all().await?;
    let Some(row) = rows.first() else { return Ok(None) };
    let mark = Mark { party, user: user.to_owned(), written_by: row.get("written_by")?, used_on: day(now) };
    let (open, held) = read_waiting_and_held(&rows)?;
    Ok(Some(Seen { budget: read(row, "budget")?, open, held, mark }))
}

impl Mark {
    /// Appends a statement that writes the row of the budget, and returns one, if nobody else has.
    pub(super) fn push_use<'a>(&self, query: Query<'a>) -> Query<'a> {
        let query = query.push("UPDATE prompt_budget SET used_on = ").push_bind(self.used_on).push(" WHERE relying_party_id = ");
        let query = query.push_bind(self.party.as_uuid()).push(" AND user_identifier = ").push_bind(self.user.as_str());
        query.push(" AND xmin::text = ").push_bind(self.written_by.as_str()).push(" RETURNING 1")
    }
}

/// Appends two joins to one row. There is still one row if they find nothing.
fn join_waiting_and_held<'a>(query: Query<'a>, party: RelyingPartyId, user: &str, context: &str) -> Query<'a> {
    let query = waiting(query.push(" LEFT JOIN ("), party, user);
    let query = query.push(") t ON TRUE LEFT JOIN (SELECT held_until FROM prompt_hold WHERE relying_party_id = ");
    let query = query.push_bind(party.as_uuid()).push(" AND user_identifier = ").push_bind(user).push(" AND context = ");
    query.push_bind(context).push(") h ON TRUE")
}

fn read_waiting_and_held(rows: &[Row]) -> Result<(Vec<Open>, Option<Timestamp>), DbError> {
    let held = rows.first().map(|row| row.get("held_until")).transpose()?.flatten();
    let mut open = Vec::new();
    for row in rows {
        if row.get::<Option<Uuid>>("id")?.is_some() {
            open.push(read_open(row)?);
        }
    }
    Ok((open, held))
}

fn waiting<'a>(select: Query<'a>, party: RelyingPartyId, user: &str) -> Query<'a> {
    let query = select.push("SELECT id, context, created_at, expires_at FROM trusonafication WHERE user_identifier = ").push_bind(user);
    let query = query.push(" AND status = 'in_progress' AND (relying_party_id = ").push_bind(party.as_uuid()).push(") IS TRUE");
    query.push(" AND (way = 'counted') IS TRUE ORDER BY created_at, id LIMIT ").push_bind(MAX_LOOKED_AT)
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
