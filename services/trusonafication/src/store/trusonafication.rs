//! Rows of trusonafications.
//!
//! A row is looked up by its id, and then its relying party is checked: `IS TRUE` keeps PostgreSQL from a plan that it would make while the
//! table is empty and then keep: scanning everything of the relying party.

use nodkey_db::{
    Db, DbError, Query, Row, Tx,
    idempotency::{self, Kept},
    outbox::{self, Entry},
};
use nodkey_kernel::{
    id::{DeviceId, RelyingPartyId, TruCodeId, TrusonaficationId},
    level::Level,
    time::Timestamp,
};
use nodkey_runtime::{Failure, rows::key};
use serde_json::Value;

use super::{
    budget::Mark,
    pending::unless_full,
    row::{COLUMNS, TABLE, read_whole},
};
use crate::{
    domain::{Answer, Reason, State, Stated, Target, Trusonafication, Way},
    invariants,
};

/// Ends a statement whose last part inserts an event, as `sent`.
const SENT: &str = ") SELECT seq, older, unnamed FROM sent";

/// Notes the event that a statement has inserted; false if it has not.
fn note(tx: &mut Tx, event: &Entry, sent: Option<&Row>) -> Result<bool, Failure> {
    if let Some(row) = sent {
        outbox::inserted(tx, event, row)?;
    }
    Ok(sent.is_some())
}

/// A new trusonafication and what is written with it.
pub struct New<'a> {
    /// The trusonafication.
    pub t: &'a Trusonafication,
    /// Its challenge.
    pub challenge: &'a str,
    /// How many may be pending for the same user or device of a relying party that has no budgets.
    pub max: u32,
    /// Its event.
    pub event: &'a Entry,
    /// The response to the request, if it may be repeated.
    pub response: Option<&'a Kept<'a>>,
    /// The version of the user's budget that allows it, unless the transaction has locked the budget. Only PostgreSQL has versions.
    pub mark: Option<&'a Mark>,
}

/// Writes a trusonafication as the last statement of the transaction, with its event and response. Returns false, for the caller to roll
/// back, if too many are pending, the request was answered before, or the budget was written since.
pub async fn insert(tx: &mut Tx, new: &New<'_>) -> Result<bool, Failure> {
    invariants::check(new.t)?;
    if tx.is_postgres() { new.insert_in_one(tx).await } else { new.insert_one_by_one(tx).await }
}

impl New<'_> {
    /// In SQLite, a statement writes to one table.
    pub(super) async fn insert_one_by_one(&self, tx: &mut Tx) -> Result<bool, Failure> {
        if let Some(response) = self.response
            && !idempotency::store(tx, response).await?
        {
            return Ok(false);
        }
        if self.if_allowed(self.push_insert(tx.query(""))?).execute().await? == 0 {
            return Ok(false);
        }
        outbox::insert(tx, self.event).await?;
        Ok(true)
    }

    /// Each part is executed if the one before it wrote a row. A repeated statement writes none.
    async fn insert_in_one(&self, tx: &mut Tx) -> Result<bool, Failure> {
        let query = tx.last_query("WITH ");
        let query = match self.mark {
            Some(mark) => mark.push_use(query.push("used AS (")).push("), "),
            None => query,
        };
        let query = match self.response {
            Some(response) => {
                let query = self.if_allowed(response.push_insert(query.push("kept AS (")));
                let query = query.push(" ON CONFLICT DO NOTHING RETURNING 1), made AS (");
                self.push_insert(query)?.push(" WHERE EXISTS (SELECT FROM kept)")
            }
            None => self.if_allowed(self.push_insert(query.push("made AS ("))?),
        };
        let query = self.event.push_insert(query.push(" RETURNING 1), sent AS (")).push(" WHERE EXISTS (SELECT FROM made)");
        let sent = query.push(outbox::RETURNING).push(SENT).fetch_optional().await?;
        note(tx, self.event, sent.as_ref())
    }

    fn if_allowed<'a>(&self, query: Query<'a>) -> Query<'a> {
        match self.t.way {
            Way::Tolerated => unless_full(query, self.t.relying_party, &self.t.ask.target, self.max.into(), self.t.created_at),
            Way::Own | Way::Counted if self.mark.is_some() => query.push(" WHERE EXISTS (SELECT FROM used)"),
            Way::Own | Way::Counted => query,
        }
    }

    fn push_insert<'a>(&self, query: Query<'a>) -> Result<Query<'a>, Failure> {
        let t = self.t;
        let trucode = match &t.ask.target {
            Target::TruCode(code) => Some(code.as_uuid()),
            Target::User(_) | Target::Device(_) => None,
        };
        let json = |text: serde_json::Result<String>| text.map_err(|_| Failure::Internal("identifiers serialize"));
        let told = json(serde_json::to_string(&t.told))?;
        let bindings = t.bindings.as_ref().map(|ids| json(serde_json::to_string(ids))).transpose()?;
        let from = &t.ask.request_context;
        let request_context = if from.is_empty() { None } else { Some(json(serde_json::to_string(from))?) };
        let number_match = t.ask.number_match.as_ref();
        let query = query
            .push(
                "INSERT INTO trusonafication (id, relying_party_id, relying_party_name, target, user_identifier, device_id, trucode_id, \
                 desired_level, action, resource, prompt, user_presence, show_identity_document, custom_fields, callback_url, number_match, \
                 match_number, challenge, told, created_at, updated_at, expires_at, status, version, bindings, way, \
                 context, request_context, traceparent) SELECT ",
            )
            .push_bind(t.id.as_uuid())
            .and_bind(t.relying_party.as_uuid())
            .and_bind(t.relying_party_name.as_str())
            .and_bind(t.ask.target.kind().as_str())
            .and_bind(t.user.as_deref())
            .and_bind(t.device.as_ref().map(DeviceId::as_str))
            .and_bind(trucode)
            .and_bind(t.ask.desired_level.as_i32())
            .and_bind(t.ask.action.as_str())
            .and_bind(t.ask.resource.as_str())
            .and_bind(t.ask.prompt)
            .and_bind(t.ask.user_presence)
            .and_bind(t.ask.show_identity_document)
            .and_bind(t.ask.custom_fields.as_deref())
            .and_bind(t.ask.callback_url.as_deref())
            .and_bind(number_match.map(|m| m.mode.as_str()))
            .and_bind(number_match.map(|m| m.number.as_str()))
            .and_bind(self.challenge)
            .and_bind(told)
            .and_bind(t.created_at)
            .and_bind(t.updated_at)
            .and_bind(t.ask.expires_at)
            .and_bind(t.state.status().as_str())
            .and_bind(t.version)
            .and_bind(bindings)
            .and_bind(t.way.as_str())
            .and_bind(Some(t.ask.context.as_str()).filter(|context| !context.is_empty()))
            .and_bind(request_context)
            .and_bind(t.traceparent.as_deref());
        Ok(query)
    }
}

/// Updates the previous version to an end without an answer, with its receipt; false if a concurrent change was first.
pub async fn update(tx: &mut Tx, t: &Trusonafication, receipt: &str) -> Result<bool, Failure> {
    invariants::check_end(t, receipt)?;
    let query = changes(tx.query("UPDATE trusonafication SET status = "), t, receipt);
    Ok(version_before(query, t).execute().await? == 1)
}

/// An answer and what is written with it.
pub struct Answered<'a> {
    /// The trusonafication as the answer leaves it.
    pub t: &'a Trusonafication,
    /// The answer.
    pub answer: &'a Answer,
    /// The answer as it was received.
    pub response: &'a str,
    /// Its receipt.
    pub receipt: &'a str,
    /// Its event.
    pub event: &'a Entry,
}

/// Updates the previous version with an answer and its evidence, as the last statement of the transaction, with its event. Returns false,
/// for the caller to roll back, if a concurrent change was first.
pub async fn update_answered(tx: &mut Tx, answered: &Answered<'_>) -> Result<bool, Failure> {
    invariants::check_answer(answered.t, answered.answer)?;
    invariants::check_end(answered.t, answered.receipt)?;
    if tx.is_postgres() {
        if answered.update_in_one(tx).await? {
            return Ok(true);
        }
        // Somebody changed it, or holds its lock. That is waited for in a transaction, which has a deadline.
        tx.go_on();
    }
    answered.update_one_by_one(tx).await
}

impl Answered<'_> {
    async fn update_one_by_one(&self, tx: &mut Tx) -> Result<bool, Failure> {
        if version_before(self.push_update(tx.query(""))?, self.t).execute().await? == 0 {
            return Ok(false);
        }
        outbox::insert(tx, self.event).await?;
        Ok(true)
    }

    /// Changes nothing if somebody holds the row's lock.
    async fn update_in_one(&self, tx: &mut Tx) -> Result<bool, Failure> {
        let free = version_before(tx.last_query("WITH free AS (SELECT id FROM trusonafication"), self.t);
        let changed = self.push_update(free.push(" FOR UPDATE SKIP LOCKED), changed AS ("))?.push(" WHERE id IN (SELECT id FROM free)");
        let sent = self.event.push_insert(changed.push(" RETURNING 1), sent AS (")).push(" WHERE EXISTS (SELECT FROM changed)");
        let sent = sent.push(outbox::RETURNING).push(SENT).fetch_optional().await?;
        note(tx, self.event, sent.as_ref())
    }

    fn push_update<'a>(&self, query: Query<'a>) -> Result<Query<'a>, Failure> {
        let Self { t, answer, .. } = self;
        let (outcome, level, reason) = match &t.state {
            State::Accepted { outcome, level, .. } => (outcome, Some(level.as_i32()), None),
            State::Rejected { outcome, reason } => (outcome, None, reason.map(Reason::as_str)),
            State::InProgress | State::Expired | State::Canceled => return Err(Failure::Internal("an answer accepts or rejects")),
        };
        let json = |texts: &[String]| serde_json::to_string(texts).map_err(|_| Failure::Internal("texts serialize"));
        let keys = serde_json::to_string(&answer.keys).map_err(|_| Failure::Internal("keys serialize"))?;
        let Stated { statement, signatures } = &answer.stated;
        let signatures = if signatures.is_empty() { None } else { Some(json(signatures)?) };
        let query = changes(query.push("UPDATE trusonafication SET status = "), t, self.receipt)
            .push(", user_identifier = ")
            .push_bind(t.user.as_deref())
            .push(", device_id = ")
            .push_bind(t.device.as_ref().map(DeviceId::as_str))
            .push(", result_id = ")
            .push_bind(outcome.id)
            .push(", answered_by = ")
            .push_bind(outcome.device.as_str())
            .push(", bound_user = ")
            .push_bind(outcome.user.as_str())
            .push(", decision = ")
            .push_bind(outcome.decision.as_str())
            .push(", number = ")
            .push_bind(outcome.number.as_deref())
            .push(", accepted_level = ")
            .push_bind(level)
            .push(", reject_reason = ")
            .push_bind(reason)
            .push(", response = ")
            .push_bind(self.response)
            .push(", keys = ")
            .push_bind(keys)
            .push(", key_statement = ")
            .push_bind(statement.as_deref())
            .push(", key_signatures = ")
            .push_bind(signatures);
        Ok(query)
    }
}

fn changes<'a>(query: Query<'a>, t: &Trusonafication, receipt: &str) -> Query<'a> {
    let query = query.push_bind(t.state.status().as_str()).push(", updated_at = ").push_bind(t.updated_at);
    let query = query.push(", receipt = ").push_bind(receipt);
    query.push(", version = ").push_bind(t.version)
}

fn version_before<'a>(query: Query<'a>, t: &Trusonafication) -> Query<'a> {
    by_id(query, t.relying_party, t.id).push(" AND version = ").push_bind(t.version - 1)
}

fn by_id(query: Query<'_>, party: RelyingPartyId, id: TrusonaficationId) -> Query<'_> {
    let query = query.push(" WHERE id = ").push_bind(id.as_uuid());
    query.push(" AND (relying_party_id = ").push_bind(party.as_uuid()).push(") IS TRUE")
}

/// Returns a trusonafication.
pub async fn get(db: &Db, party: RelyingPartyId, id: TrusonaficationId) -> Result<Option<Trusonafication>, DbError> {
    let query = db.query("SELECT custom_fields, ").push(COLUMNS).push(" FROM trusonafication");
    by_id(query, party, id).fetch_optional().await?.as_ref().map(read_whole).transpose()
}

/// Returns a trusonafication inside a transaction.
pub async fn get_in(tx: &mut Tx, party: RelyingPartyId, id: TrusonaficationId) -> Result<Option<Trusonafication>, DbError> {
    let query = tx.query("SELECT custom_fields, ").push(COLUMNS).push(" FROM trusonafication");
    by_id(query, party, id).fetch_optional().await?.as_ref().map(read_whole).transpose()
}

/// A trusonafication as it is read to be answered.
pub struct Answerable {
    /// The trusonafication.
    pub t: Trusonafication,
    /// Its challenge.
    pub challenge: String,
    /// Whether the budget of its user has strikes.
    pub struck: bool,
}

/// Returns a trusonafication to be answered.
pub async fn get_answerable(db: &Db, party: RelyingPartyId, id: TrusonaficationId) -> Result<Option<Answerable>, DbError> {
    let strikes = "(SELECT strikes FROM prompt_budget b WHERE b.relying_party_id = trusonafication.relying_party_id \
                   AND b.user_identifier = trusonafication.user_identifier) AS strikes, ";
    let query = db.query("SELECT challenge, custom_fields, ").push(strikes).push(COLUMNS).push(" FROM trusonafication");
    let Some(row) = by_id(query, party, id).fetch_optional().await? else { return Ok(None) };
    let struck = row.get::<Option<i32>>("strikes")?.is_some_and(|strikes| strikes > 0);
    Ok(Some(Answerable { t: read_whole(&row)?, challenge: row.of(TABLE, id).get("challenge")?, struck }))
}

/// Returns the challenge of a trusonafication.
pub async fn challenge(tx: &mut Tx, party: RelyingPartyId, id: TrusonaficationId) -> Result<String, DbError> {
    by_id(tx.query("SELECT challenge FROM trusonafication"), party, id).fetch_one().await?.of(TABLE, id).get("challenge")
}

/// Returns a trusonafication with its receipt; those that ended before receipts existed have none.
pub async fn get_with_receipt(
    db: &Db,
    party: RelyingPartyId,
    id: TrusonaficationId,
) -> Result<Option<(Trusonafication, Option<String>)>, DbError> {
    let query = db.query("SELECT receipt, custom_fields, ").push(COLUMNS).push(" FROM trusonafication");
    let row = by_id(query, party, id).fetch_optional().await?;
    row.map(|row| Ok((read_whole(&row)?, row.of(TABLE, id).get("receipt")?))).transpose()
}

/// The evidence of an answer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Proof {
    /// The challenge as issued.
    pub challenge: String,
    /// The response as received.
    pub response: String,
    /// Public JWKs: the device key first, then the presence key that signed, if one did.
    pub keys: Vec<Value>,
    /// The signed receipt; absent for answers that predate receipts.
    pub receipt: Option<String>,
    /// What the device has signed about its presence keys.
    pub stated: Stated,
}

/// Returns the evidence of an answered trusonafication.
pub async fn proof(db: &Db, party: RelyingPartyId, id: TrusonaficationId) -> Result<Option<Proof>, DbError> {
    let select =
        "SELECT id, status, challenge, response, keys, accepted_level, receipt, key_statement, key_signatures FROM trusonafication";
    by_id(db.query(select), party, id).push(" AND response IS NOT NULL").fetch_optional().await?.as_ref().map(read_proof).transpose()
}

fn read_proof(row: &Row) -> Result<Proof, DbError> {
    let record = row.of(TABLE, key(row, "id"));
    let level = record.convert("accepted_level", |level: Option<i32>| level.map(Level::try_from).transpose())?;
    let keys: Vec<Value> = record.convert("keys", |keys: String| serde_json::from_str(&keys))?;
    let signatures = record.convert("key_signatures", |texts: Option<String>| texts.as_deref().map(serde_json::from_str).transpose());
    let proof = Proof {
        challenge: record.get("challenge")?,
        response: record.get("response")?,
        keys,
        receipt: record.get("receipt")?,
        stated: Stated { statement: record.get("key_statement")?, signatures: signatures?.unwrap_or_default() },
    };
    invariants::check_proof(&record, level, &proof)?;
    Ok(proof)
}

/// Assigns the trusonafications of a code to the device that paired it. This is not a change of state, since nobody could have answered
/// before, but it updates `updated_at`, so that a device that missed the wake still finds them.
pub async fn assign(tx: &mut Tx, party: RelyingPartyId, code: TruCodeId, device: &DeviceId, now: Timestamp) -> Result<(), Failure> {
    let told = serde_json::to_string(&[device]).map_err(|_| Failure::Internal("identifiers serialize"))?;
    tx.query(
        "UPDATE trusonafication SET device_id = $1, told = $2, updated_at = $3 \
         WHERE (relying_party_id = $4) IS TRUE AND trucode_id = $5 AND status = 'in_progress' AND device_id IS NULL",
    )
    .bind(device.as_str())
    .bind(told)
    .bind(now)
    .bind(party.as_uuid())
    .bind(code.as_uuid())
    .execute()
    .await?;
    Ok(())
}
