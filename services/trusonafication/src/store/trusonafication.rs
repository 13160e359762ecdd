//! Rows of trusonafications. The sweep alone looks for what is overdue, whosever it is.

use nodkey_db::{Db, DbError, Query, Row, Tx};
use nodkey_kernel::{
    challenge::Decision,
    id::{DeviceId, RelyingPartyId, TruCodeId, TrusonaficationId},
    level::Level,
    time::Timestamp,
};
use nodkey_runtime::Failure;
use uuid::Uuid;

use crate::domain::{Answer, Ask, Grade, MatchMode, NumberMatch, Outcome, Reason, State, Target, Trusonafication};

macro_rules! select {
    ($rest:expr) => {
        concat!(
            "SELECT id, relying_party_id, relying_party_name, target, user_identifier, device_id, trucode_id, desired_level, action, \
             resource, prompt, user_presence, show_identity_document, custom_fields, callback_url, number_match, match_number, told, \
             created_at, updated_at, expires_at, status, result_id, answered_by, bound_user, decision, number, accepted_level, \
             reject_reason, version FROM trusonafication ",
            $rest
        )
    };
}
pub(super) use select;

const GET: &str = select!("WHERE relying_party_id = $1 AND id = $2");

/// Inserts.
pub async fn insert(tx: &mut Tx, t: &Trusonafication, challenge: &str) -> Result<(), Failure> {
    let (target, trucode) = match &t.ask.target {
        Target::User(_) => ("user", None),
        Target::Device(_) => ("device", None),
        Target::TruCode(code) => ("trucode", Some(code.as_uuid())),
    };
    let told = serde_json::to_string(&t.told).map_err(|_| Failure::Internal("identifiers serialize"))?;
    tx.query(
        "INSERT INTO trusonafication (id, relying_party_id, relying_party_name, target, user_identifier, device_id, trucode_id, \
         desired_level, action, resource, prompt, user_presence, show_identity_document, custom_fields, callback_url, number_match, \
         match_number, challenge, told, created_at, updated_at, expires_at, status, version) \
         VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15, $16, $17, $18, $19, $20, $21, $22, $23, $24)",
    )
    .bind(t.id.as_uuid())
    .bind(t.relying_party.as_uuid())
    .bind(t.relying_party_name.as_str())
    .bind(target)
    .bind(t.user.as_deref())
    .bind(t.device.as_ref().map(DeviceId::as_str))
    .bind(trucode)
    .bind(t.ask.desired_level.as_i32())
    .bind(t.ask.action.as_str())
    .bind(t.ask.resource.as_str())
    .bind(t.ask.prompt)
    .bind(t.ask.user_presence)
    .bind(t.ask.show_identity_document)
    .bind(t.ask.custom_fields.as_deref())
    .bind(t.ask.callback_url.as_deref())
    .bind(t.ask.number_match.as_ref().map(|m| mode(m.mode)))
    .bind(t.ask.number_match.as_ref().map(|m| m.number.as_str()))
    .bind(challenge)
    .bind(told)
    .bind(t.created_at)
    .bind(t.updated_at)
    .bind(t.ask.expires_at)
    .bind(status(&t.state))
    .bind(t.version)
    .execute()
    .await?;
    Ok(())
}

/// Writes what became of the version before; false when another was first.
pub async fn update(tx: &mut Tx, t: &Trusonafication) -> Result<bool, Failure> {
    let updated = tx
        .query(
            "UPDATE trusonafication SET status = $1, updated_at = $2, version = $3 \
             WHERE relying_party_id = $4 AND id = $5 AND version = $3 - 1",
        )
        .bind(status(&t.state))
        .bind(t.updated_at)
        .bind(t.version)
        .bind(t.relying_party.as_uuid())
        .bind(t.id.as_uuid())
        .execute()
        .await?;
    Ok(updated == 1)
}

/// Writes the answer to the version before, with its proof; false when another was first.
pub async fn update_answered(tx: &mut Tx, t: &Trusonafication, answer: &Answer, response: &str) -> Result<bool, Failure> {
    let (outcome, level, reason) = match &t.state {
        State::Accepted { outcome, level, .. } => (outcome, Some(level.as_i32()), None),
        State::Rejected { outcome, reason } => (outcome, None, reason.map(reason_name)),
        State::InProgress | State::Expired | State::Canceled => return Err(Failure::Internal("an answer accepts or rejects")),
    };
    let keys = serde_json::to_string(&answer.keys).map_err(|_| Failure::Internal("keys serialize"))?;
    let updated = tx
        .query(
            "UPDATE trusonafication SET status = $1, updated_at = $2, version = $3, user_identifier = $4, device_id = $5, \
             result_id = $6, answered_by = $7, bound_user = $8, decision = $9, number = $10, accepted_level = $11, \
             reject_reason = $12, response = $13, keys = $14 \
             WHERE relying_party_id = $15 AND id = $16 AND version = $3 - 1",
        )
        .bind(status(&t.state))
        .bind(t.updated_at)
        .bind(t.version)
        .bind(t.user.as_deref())
        .bind(t.device.as_ref().map(DeviceId::as_str))
        .bind(outcome.id)
        .bind(outcome.device.as_str())
        .bind(outcome.user.as_str())
        .bind(decision(outcome.decision))
        .bind(outcome.number.as_deref())
        .bind(level)
        .bind(reason)
        .bind(response)
        .bind(keys)
        .bind(t.relying_party.as_uuid())
        .bind(t.id.as_uuid())
        .execute()
        .await?;
    Ok(updated == 1)
}

/// Returns one.
pub async fn get(db: &Db, party: RelyingPartyId, id: TrusonaficationId) -> Result<Option<Trusonafication>, Failure> {
    let row = db.query(GET).bind(party.as_uuid()).bind(id.as_uuid()).fetch_optional().await?;
    row.as_ref().map(read).transpose()
}

/// Returns the challenge of one.
pub async fn challenge(db: &Db, party: RelyingPartyId, id: TrusonaficationId) -> Result<Option<String>, Failure> {
    let sql = "SELECT challenge FROM trusonafication WHERE relying_party_id = $1 AND id = $2";
    let row = db.query(sql).bind(party.as_uuid()).bind(id.as_uuid()).fetch_optional().await?;
    Ok(row.map(|row| row.get("challenge")).transpose()?)
}

/// The proof of an answer: challenge, response, keys as JSON.
pub type Proof = (String, String, String);

/// Returns the proof of an answered one.
pub async fn proof(db: &Db, party: RelyingPartyId, id: TrusonaficationId) -> Result<Option<Proof>, Failure> {
    let sql = "SELECT challenge, response, keys FROM trusonafication WHERE relying_party_id = $1 AND id = $2 AND response IS NOT NULL";
    let row = db.query(sql).bind(party.as_uuid()).bind(id.as_uuid()).fetch_optional().await?;
    let read = |row: Row| -> Result<Proof, DbError> { Ok((row.get("challenge")?, row.get("response")?, row.get("keys")?)) };
    Ok(row.map(read).transpose()?)
}

/// Something a phone is to be shown.
#[derive(Debug)]
pub struct Pending {
    /// Names it.
    pub id: TrusonaficationId,
    /// Compact JWS.
    pub challenge: String,
    /// When it is too late.
    pub expires_at: Timestamp,
}

/// Returns what a device is asked, oldest first.
pub async fn pending(
    db: &Db,
    party: RelyingPartyId,
    device: &DeviceId,
    user: &str,
    now: Timestamp,
    limit: i64,
) -> Result<Vec<Pending>, Failure> {
    let rows = db
        .query(
            "SELECT id, challenge, expires_at FROM trusonafication WHERE relying_party_id = $1 AND status = 'in_progress' \
             AND expires_at > $2 AND ((target <> 'user' AND device_id = $3) OR (target = 'user' AND user_identifier = $4)) \
             ORDER BY created_at, id LIMIT $5",
        )
        .bind(party.as_uuid())
        .bind(now)
        .bind(device.as_str())
        .bind(user)
        .bind(limit)
        .fetch_all()
        .await?;
    let read = |row: &Row| -> Result<Pending, DbError> {
        let id = TrusonaficationId::from_uuid(row.get("id")?);
        Ok(Pending { id, challenge: row.get("challenge")?, expires_at: row.get("expires_at")? })
    };
    Ok(rows.iter().map(read).collect::<Result<_, _>>()?)
}

/// Addresses what was asked of a code to the device that paired it. No change of state: nobody could have answered before.
pub async fn assign(tx: &mut Tx, party: RelyingPartyId, code: TruCodeId, device: &DeviceId) -> Result<(), Failure> {
    let told = serde_json::to_string(&[device]).map_err(|_| Failure::Internal("identifiers serialize"))?;
    tx.query(
        "UPDATE trusonafication SET device_id = $1, told = $2 \
         WHERE relying_party_id = $3 AND trucode_id = $4 AND status = 'in_progress' AND device_id IS NULL",
    )
    .bind(device.as_str())
    .bind(told)
    .bind(party.as_uuid())
    .bind(code.as_uuid())
    .execute()
    .await?;
    Ok(())
}

/// Counts what waits for the same user or device.
pub async fn count_pending(tx: &mut Tx, party: RelyingPartyId, target: &Target, now: Timestamp) -> Result<i64, Failure> {
    let (sql, whom) = match target {
        Target::User(user) => (
            "SELECT COUNT(*) AS pending FROM trusonafication WHERE relying_party_id = $1 AND status = 'in_progress' AND expires_at > $2 \
             AND target = 'user' AND user_identifier = $3",
            user.as_str(),
        ),
        Target::Device(device) => (
            "SELECT COUNT(*) AS pending FROM trusonafication WHERE relying_party_id = $1 AND status = 'in_progress' AND expires_at > $2 \
             AND target = 'device' AND device_id = $3",
            device.as_str(),
        ),
        Target::TruCode(_) => return Ok(0),
    };
    Ok(tx.query(sql).bind(party.as_uuid()).bind(now).bind(whom).fetch_one().await?.get("pending")?)
}

/// Whose trusonafications end with something else that ended.
#[derive(Clone, Copy, Debug)]
pub enum Of<'a> {
    /// Every one this user is asked, through whichever device.
    User(&'a str),
    /// Every one this device alone is asked.
    Device(&'a DeviceId),
}

/// Returns what is in progress.
pub async fn in_progress(tx: &mut Tx, party: RelyingPartyId, of: Of<'_>) -> Result<Vec<Trusonafication>, Failure> {
    let of_user = select!("WHERE relying_party_id = $1 AND user_identifier = $2 AND status = 'in_progress' ORDER BY created_at, id");
    let of_device =
        select!("WHERE relying_party_id = $1 AND device_id = $2 AND target <> 'user' AND status = 'in_progress' ORDER BY created_at, id");
    let (sql, whom) = match of {
        Of::User(user) => (of_user, user),
        Of::Device(device) => (of_device, device.as_str()),
    };
    all(tx.query(sql).bind(party.as_uuid()).bind(whom)).await
}

/// Returns what should have expired by now, whosever it is.
pub async fn overdue(db: &Db, now: Timestamp, limit: i64) -> Result<Vec<Trusonafication>, Failure> {
    all(db.query(select!("WHERE status = 'in_progress' AND expires_at <= $1 ORDER BY expires_at LIMIT $2")).bind(now).bind(limit)).await
}

/// Reads every row.
pub(super) async fn all(query: Query<'_>) -> Result<Vec<Trusonafication>, Failure> {
    query.fetch_all().await?.iter().map(read).collect()
}

/// The name of a state in the database.
#[must_use]
pub const fn status(state: &State) -> &'static str {
    match state {
        State::InProgress => "in_progress",
        State::Accepted { grade: Grade::AtLevel, .. } => "accepted",
        State::Accepted { grade: Grade::Higher, .. } => "accepted_at_higher_level",
        State::Accepted { grade: Grade::Lower, .. } => "accepted_at_lower_level",
        State::Rejected { .. } => "rejected",
        State::Expired => "expired",
        State::Canceled => "canceled",
    }
}

const fn mode(mode: MatchMode) -> &'static str {
    match mode {
        MatchMode::Choose => "choose",
        MatchMode::Enter => "enter",
    }
}

const fn reason_name(reason: Reason) -> &'static str {
    match reason {
        Reason::NotMe => "not_me",
        Reason::ChangedMind => "changed_mind",
        Reason::NumberMismatch => "number_mismatch",
    }
}

const fn decision(decision: Decision) -> &'static str {
    match decision {
        Decision::Accept => "accept",
        Decision::Reject => "reject",
    }
}

fn read(row: &Row) -> Result<Trusonafication, Failure> {
    let user: Option<String> = row.get("user_identifier")?;
    let device = device(row, "device_id")?;
    let target = match row.get::<String>("target")?.as_str() {
        "user" => user.clone().map(Target::User),
        "device" => device.clone().map(Target::Device),
        _ => row.get::<Option<Uuid>>("trucode_id")?.map(|id| Target::TruCode(TruCodeId::from_uuid(id))),
    };
    let ask = Ask {
        target: target.ok_or(corrupt())?,
        desired_level: Level::try_from(row.get::<i32>("desired_level")?).map_err(|_| corrupt())?,
        action: row.get("action")?,
        resource: row.get("resource")?,
        prompt: row.get("prompt")?,
        user_presence: row.get("user_presence")?,
        show_identity_document: row.get("show_identity_document")?,
        custom_fields: row.get("custom_fields")?,
        callback_url: row.get("callback_url")?,
        number_match: number_match(row)?,
        expires_at: row.get("expires_at")?,
    };
    Ok(Trusonafication {
        id: TrusonaficationId::from_uuid(row.get("id")?),
        relying_party: RelyingPartyId::from_uuid(row.get("relying_party_id")?),
        relying_party_name: row.get("relying_party_name")?,
        ask,
        user,
        device,
        told: serde_json::from_str(&row.get::<String>("told")?).map_err(|_| corrupt())?,
        created_at: row.get("created_at")?,
        updated_at: row.get("updated_at")?,
        state: state(row)?,
        version: row.get("version")?,
    })
}

fn number_match(row: &Row) -> Result<Option<NumberMatch>, Failure> {
    let Some(mode) = row.get::<Option<String>>("number_match")? else { return Ok(None) };
    let mode = if mode == "choose" { MatchMode::Choose } else { MatchMode::Enter };
    Ok(row.get::<Option<String>>("match_number")?.map(|number| NumberMatch { mode, number }))
}

fn state(row: &Row) -> Result<State, Failure> {
    let accepted = |grade| -> Result<State, Failure> {
        let level: Option<i32> = row.get("accepted_level")?;
        let level = level.and_then(|level| Level::try_from(level).ok()).ok_or(corrupt())?;
        Ok(State::Accepted { outcome: outcome(row)?, level, grade })
    };
    match row.get::<String>("status")?.as_str() {
        "in_progress" => Ok(State::InProgress),
        "accepted" => accepted(Grade::AtLevel),
        "accepted_at_higher_level" => accepted(Grade::Higher),
        "accepted_at_lower_level" => accepted(Grade::Lower),
        "rejected" => {
            let reason = match row.get::<Option<String>>("reject_reason")?.as_deref() {
                Some("not_me") => Some(Reason::NotMe),
                Some("changed_mind") => Some(Reason::ChangedMind),
                Some("number_mismatch") => Some(Reason::NumberMismatch),
                _ => None,
            };
            Ok(State::Rejected { outcome: outcome(row)?, reason })
        }
        "expired" => Ok(State::Expired),
        "canceled" => Ok(State::Canceled),
        _ => Err(corrupt()),
    }
}

fn outcome(row: &Row) -> Result<Outcome, Failure> {
    let decision = match row.get::<Option<String>>("decision")?.as_deref() {
        Some("accept") => Decision::Accept,
        Some("reject") => Decision::Reject,
        _ => return Err(corrupt()),
    };
    Ok(Outcome {
        id: row.get::<Option<Uuid>>("result_id")?.ok_or(corrupt())?,
        device: device(row, "answered_by")?.ok_or(corrupt())?,
        user: row.get::<Option<String>>("bound_user")?.ok_or(corrupt())?,
        decision,
        number: row.get("number")?,
    })
}

fn device(row: &Row, column: &'static str) -> Result<Option<DeviceId>, Failure> {
    row.get::<Option<String>>(column)?.map(|id| DeviceId::parse(&id).map_err(|_| corrupt())).transpose()
}

const fn corrupt() -> Failure {
    Failure::Internal("a trusonafication's row holds what nobody writes")
}
