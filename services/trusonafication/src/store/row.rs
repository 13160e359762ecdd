//! Reading rows. Custom fields may be a megabyte: lists and sweeps read their sizes first, and then as many as fit.

use std::collections::HashMap;

use nodkey_db::{Db, DbError, Query, Record, Row, Tx};
use nodkey_kernel::{
    challenge::Decision,
    id::{DeviceId, RelyingPartyId, TruCodeId, TrusonaficationId},
    level::Level,
};
use nodkey_runtime::{
    page::Listed,
    rows::{key, listed, readable},
};
use uuid::Uuid;

use crate::{
    domain::{Ask, Grade, MatchMode, NumberMatch, Outcome, Reason, State, Status, Target, TargetKind, Trusonafication, Way},
    invariants,
};

pub(super) const TABLE: &str = "trusonafication";

/// Maximum size of custom fields, or of challenges, read at once in bytes, unless the first row alone is larger. Responses are slightly
/// larger than that, and gRPC clients accept 4 MiB.
pub const MAX_BYTES: usize = 2 << 20;

/// The columns of a row except custom fields, challenge, response and keys.
pub(super) const COLUMNS: &str = "id, relying_party_id, relying_party_name, target, user_identifier, device_id, trucode_id, \
    desired_level, action, resource, prompt, user_presence, show_identity_document, octet_length(custom_fields) AS custom_fields_bytes, \
    callback_url, number_match, match_number, told, bindings, way, context, request_context, created_at, updated_at, expires_at, status, result_id, answered_by, bound_user, \
    decision, number, accepted_level, reject_reason, version, traceparent";

/// Maximum number of ids per statement.
const MAX_IDS: usize = 64;

/// A row without its custom fields.
#[derive(Debug)]
struct Slim {
    row: Trusonafication,
    custom_fields: usize,
}

/// Where a query runs.
pub(super) enum Reader<'a> {
    /// Outside any transaction.
    Db(&'a Db),
    /// In a transaction.
    Tx(&'a mut Tx),
}

impl Reader<'_> {
    pub(super) fn query(&mut self, sql: &'static str) -> Query<'_> {
        match self {
            Self::Db(db) => db.query(sql),
            Self::Tx(tx) => tx.query(sql),
        }
    }
}

/// Reads a page of at most `size` of these rows, ordered by a timestamp column, and ends it before its custom fields become too large.
pub(super) async fn page(mut reader: Reader<'_>, size: i64, rows: &[Row], at: &'static str) -> Result<Listed<Trusonafication>, DbError> {
    let page = listed(size, rows, at, read).within(MAX_BYTES, |slim| slim.custom_fields);
    let with_fields = |slim: &&Slim| slim.custom_fields > 0;
    let wanted: Vec<_> = page.iter().filter(with_fields).map(|slim| (slim.row.relying_party, slim.row.id.as_uuid())).collect();
    let mut fields = HashMap::new();
    for chunk in wanted.chunk_by(|(one, _), (other, _)| one == other).flat_map(|of_party| of_party.chunks(MAX_IDS)) {
        let ids: Vec<_> = chunk.iter().map(|(_, id)| *id).collect();
        let rows = custom_fields(reader.query("SELECT wanted.id, "), chunk[0].0, &ids).fetch_all().await?;
        fields.extend(rows.iter().filter_map(|row| readable(read_custom_fields(row))));
    }
    Ok(page.filter_map(|Slim { mut row, custom_fields }| {
        if custom_fields > 0 {
            // If they are unreadable or were deleted since, so is the row.
            row.ask.custom_fields = Some(fields.remove(&row.id.as_uuid())?);
        }
        Some(row)
    }))
}

/// Looks each id up by the primary key, whatever PostgreSQL assumed about the table when it made the plan. The last id is repeated, so that
/// there is one SQL text for up to 8 ids and one for up to 64.
fn custom_fields<'a>(query: Query<'a>, party: RelyingPartyId, ids: &[Uuid]) -> Query<'a> {
    let places = if ids.len() <= 8 { 8 } else { MAX_IDS };
    let query = query.push("(SELECT t.custom_fields FROM trusonafication t WHERE t.id = wanted.id AND (t.relying_party_id = ");
    let query = query.push_bind(party.as_uuid()).push(") IS TRUE) AS custom_fields FROM (SELECT ");
    let mut padded = ids.iter().chain(ids.last().into_iter().cycle()).take(places);
    let first = padded.next().copied().unwrap_or_default();
    let query = query.push_bind(first).push(" AS id");
    padded.fold(query, |query, id| query.push(" UNION SELECT ").push_bind(*id)).push(") AS wanted")
}

fn read_custom_fields(row: &Row) -> Result<(Uuid, String), DbError> {
    let record = row.of(TABLE, key(row, "id"));
    Ok((record.get("id")?, record.get("custom_fields")?))
}

/// Reads a row that is queried individually, with its custom fields.
pub(super) fn read_whole(row: &Row) -> Result<Trusonafication, DbError> {
    let mut t = read(row)?.row;
    t.ask.custom_fields = row.of(TABLE, t.id).get("custom_fields")?;
    Ok(t)
}

fn read(row: &Row) -> Result<Slim, DbError> {
    let record = row.of(TABLE, key(row, "id"));
    let user: Option<String> = record.get("user_identifier")?;
    let device = device(&record, "device_id")?;
    let ask = Ask {
        target: target(&record, user.as_ref(), device.as_ref())?,
        desired_level: record.convert("desired_level", |level: i32| Level::try_from(level))?,
        action: record.get("action")?,
        resource: record.get("resource")?,
        prompt: record.get("prompt")?,
        user_presence: record.get("user_presence")?,
        show_identity_document: record.get("show_identity_document")?,
        custom_fields: None,
        callback_url: record.get("callback_url")?,
        number_match: number_match(&record)?,
        context: record.get::<Option<String>>("context")?.unwrap_or_default(),
        request_context: record
            .convert("request_context", |json: Option<String>| json.as_deref().map(serde_json::from_str).transpose())?
            .unwrap_or_default(),
        expires_at: record.get("expires_at")?,
    };
    let t = Trusonafication {
        id: TrusonaficationId::from_uuid(record.get("id")?),
        relying_party: RelyingPartyId::from_uuid(record.get("relying_party_id")?),
        relying_party_name: record.get("relying_party_name")?,
        ask,
        user,
        device,
        told: record.convert("told", |told: String| serde_json::from_str(&told))?,
        bindings: record.convert("bindings", |ids: Option<String>| ids.as_deref().map(serde_json::from_str).transpose())?,
        way: record.convert("way", |name: Option<String>| name.as_deref().map_or(Ok(Way::Tolerated), Way::try_from))?,
        created_at: record.get("created_at")?,
        updated_at: record.get("updated_at")?,
        state: state(&record)?,
        version: record.get("version")?,
        traceparent: record.get("traceparent")?,
    };
    invariants::check(&t)?;
    let custom_fields: Option<i32> = record.get("custom_fields_bytes")?;
    Ok(Slim { row: t, custom_fields: usize::try_from(custom_fields.unwrap_or_default()).unwrap_or_default() })
}

fn target(record: &Record<'_>, user: Option<&String>, device: Option<&DeviceId>) -> Result<Target, DbError> {
    let kind = record.convert("target", |name: String| TargetKind::try_from(name.as_str()))?;
    let (target, column) = match kind {
        TargetKind::User => (user.cloned().map(Target::User), "user_identifier"),
        TargetKind::Device => (device.cloned().map(Target::Device), "device_id"),
        TargetKind::TruCode => {
            (record.get::<Option<Uuid>>("trucode_id")?.map(|id| Target::TruCode(TruCodeId::from_uuid(id))), "trucode_id")
        }
    };
    target.ok_or_else(|| record.inconsistent(column, "is missing, but it is the target"))
}

fn number_match(record: &Record<'_>) -> Result<Option<NumberMatch>, DbError> {
    let mode = record.convert("number_match", |name: Option<String>| name.as_deref().map(MatchMode::try_from).transpose())?;
    match (mode, record.get("match_number")?) {
        (None, None) => Ok(None),
        (Some(mode), Some(number)) => Ok(Some(NumberMatch { mode, number })),
        _ => Err(record.inconsistent("match_number", "must be set if and only if number_match is")),
    }
}

fn state(record: &Record<'_>) -> Result<State, DbError> {
    let status = record.convert("status", |name: String| Status::try_from(name.as_str()))?;
    let result_id: Option<Uuid> = record.get("result_id")?;
    let accepted = |grade| -> Result<State, DbError> {
        let level: Option<i32> = record.get("accepted_level")?;
        let level = level.ok_or_else(|| record.inconsistent("accepted_level", "is missing"))?;
        let level = Level::try_from(level).map_err(|e| record.inconsistent("accepted_level", e))?;
        Ok(State::Accepted { outcome: outcome(record, result_id)?, level, grade })
    };
    let state = match status {
        Status::InProgress => State::InProgress,
        Status::Accepted => accepted(Grade::AtLevel)?,
        Status::AcceptedAtHigherLevel => accepted(Grade::Higher)?,
        Status::AcceptedAtLowerLevel => accepted(Grade::Lower)?,
        Status::Rejected => {
            let reason = record.convert("reject_reason", |name: Option<String>| name.as_deref().map(Reason::try_from).transpose())?;
            State::Rejected { outcome: outcome(record, result_id)?, reason }
        }
        Status::Expired => State::Expired,
        Status::Canceled => State::Canceled,
    };
    let answered = matches!(state, State::Accepted { .. } | State::Rejected { .. });
    let filled = result_id.is_some() || record.get::<Option<String>>("decision")?.is_some();
    invariants::outcome_belongs_to_an_answer(record, answered, filled)?;
    Ok(state)
}

fn outcome(record: &Record<'_>, result_id: Option<Uuid>) -> Result<Outcome, DbError> {
    let missing = |column| record.inconsistent(column, "is missing");
    let decision = record.convert("decision", |name: Option<String>| name.as_deref().map(Decision::try_from).transpose())?;
    Ok(Outcome {
        id: result_id.ok_or_else(|| missing("result_id"))?,
        device: device(record, "answered_by")?.ok_or_else(|| missing("answered_by"))?,
        user: record.get::<Option<String>>("bound_user")?.ok_or_else(|| missing("bound_user"))?,
        decision: decision.ok_or_else(|| missing("decision"))?,
        number: record.get("number")?,
    })
}

fn device(record: &Record<'_>, column: &'static str) -> Result<Option<DeviceId>, DbError> {
    record.convert(column, |id: Option<String>| id.as_deref().map(DeviceId::parse).transpose())
}
