//! Trusonafications in progress. They are few among many that have ended, and have indexes of their own by target. `(...) IS TRUE` keeps a
//! condition out of the choice of an index: an index chosen while a table is small would still be used when it is large.

use nodkey_db::{Db, DbError, Query, Row, Tx};
use nodkey_kernel::{
    id::{BindingId, DeviceId, RelyingPartyId, TrusonaficationId},
    time::Timestamp,
};
use nodkey_runtime::{
    page::{Cursor, Listed},
    rows::{key, readable},
};
use uuid::Uuid;

use super::row::{COLUMNS, MAX_BYTES, Reader, TABLE, page};
use crate::domain::{Target, Trusonafication};

/// A challenge that a phone is to show.
#[derive(Debug)]
pub struct Pending {
    /// Identifier of the trusonafication.
    pub id: TrusonaficationId,
    /// The challenge, a compact JWS.
    pub challenge: String,
    /// When it expires.
    pub expires_at: Timestamp,
    /// Whether its user started it, with a code.
    pub self_started: bool,
}

/// Returns the pending challenges of a device: first those its user started with a code, each group oldest first. Returns at most `limit`,
/// and as many as fit in size; the first is returned whatever its size.
pub async fn pending(
    db: &Db,
    party: RelyingPartyId,
    device: &DeviceId,
    user: &str,
    now: Timestamp,
    limit: i64,
) -> Result<Vec<Pending>, DbError> {
    let own = db.query("SELECT id, challenge, expires_at, turn FROM (SELECT id, challenge, expires_at, created_at, turn, ");
    let weighed =
        own.push("octet_length(challenge) AS own, SUM(octet_length(challenge)) OVER (ORDER BY turn, created_at, id) AS bytes FROM (");
    // Rows of earlier releases mark requests for a code only by their target.
    let turn = "SELECT id, challenge, expires_at, created_at, CASE WHEN target = 'trucode' OR way = 'own' THEN 0 ELSE 1 END AS turn ";
    let of_device = waiting(weighed.push(turn), party, "device_id", device.as_str(), now);
    let both = of_device.push(" AND target <> 'user' UNION ALL SELECT id, challenge, expires_at, created_at, 1 AS turn ");
    let both = waiting(both, party, "user_identifier", user, now).push(" AND target = 'user'");
    // A number of six digits is only for devices that support it and were notified at creation.
    let both = both.push(" AND (match_number IS NULL OR LENGTH(match_number) < 6 OR REPLACE(told, ");
    let both = both.push_bind(device.as_str()).push(", '') <> told)");
    let first = both.push(" ORDER BY turn, created_at, id LIMIT ").push_bind(limit).push(") AS waiting) AS weighed WHERE bytes <= ");
    let max = i64::try_from(MAX_BYTES).unwrap_or(i64::MAX);
    let rows = first.push_bind(max).push(" OR bytes = own ORDER BY turn, created_at, id").fetch_all().await?;
    let read = |row: &Row| -> Result<Pending, DbError> {
        let record = row.of(TABLE, key(row, "id"));
        let id = TrusonaficationId::from_uuid(record.get("id")?);
        let turn: i32 = record.get("turn")?;
        Ok(Pending { id, challenge: record.get("challenge")?, expires_at: record.get("expires_at")?, self_started: turn == 0 })
    };
    Ok(rows.iter().filter_map(|row| readable(read(row))).collect())
}

/// When the first pending trusonafication of the same user or device ends, if nobody answers it.
pub async fn first_end(db: &Db, party: RelyingPartyId, target: &Target, now: Timestamp) -> Result<Option<Timestamp>, DbError> {
    let Some((owner, name, of_kind)) = owner(target) else { return Ok(None) };
    let query = waiting(db.query("SELECT MIN(expires_at) AS ends_at "), party, owner, name, now);
    query.push(of_kind).fetch_one().await?.get("ends_at")
}

/// The column and the condition that find the pending trusonafications of the same target; a code has no others.
fn owner(target: &Target) -> Option<(&'static str, &str, &'static str)> {
    match target {
        Target::User(user) => Some(("user_identifier", user.as_str(), " AND target = 'user'")),
        Target::Device(device) => Some(("device_id", device.as_str(), " AND target = 'device'")),
        Target::TruCode(_) => None,
    }
}

/// Completes an INSERT with the condition that fewer than `max` are pending for the same user or device.
pub(super) fn unless_full<'a>(insert: Query<'a>, party: RelyingPartyId, target: &Target, max: i64, now: Timestamp) -> Query<'a> {
    let Some((owner, name, of_kind)) = owner(target) else { return insert };
    let waiting = waiting(insert.push(" WHERE (SELECT COUNT(*) "), party, owner, name, now);
    waiting.push(of_kind).push(") < ").push_bind(max)
}

fn waiting<'a>(query: Query<'a>, party: RelyingPartyId, owner: &'static str, name: &str, now: Timestamp) -> Query<'a> {
    of(query, party, owner, name).push(" AND (expires_at > ").push_bind(now).push(") IS TRUE")
}

fn of<'a>(query: Query<'a>, party: RelyingPartyId, owner: &'static str, name: &str) -> Query<'a> {
    let query = query.push("FROM trusonafication WHERE ").push(owner).push(" = ").push_bind(name).push(" AND status = 'in_progress'");
    query.push(" AND (relying_party_id = ").push_bind(party.as_uuid()).push(") IS TRUE")
}

/// Which trusonafications end because something else has ended.
#[derive(Clone, Copy, Debug)]
pub enum Of<'a> {
    /// Those that target this user, on any device, and were sent to one of these bindings.
    User(&'a str, &'a [BindingId]),
    /// Those that target only this device and were sent to this binding.
    Binding(&'a DeviceId, BindingId),
    /// Those that target only this device, which is retired permanently.
    Device(&'a DeviceId),
}

impl Of<'_> {
    /// Whether a trusonafication found by its user or device is affected.
    fn is_about(&self, t: &Trusonafication) -> bool {
        match self {
            Self::User(_, bindings) => t.was_sent_to(bindings),
            Self::Binding(_, binding) => t.was_sent_to(&[*binding]),
            Self::Device(_) => true,
        }
    }
}

/// Returns a batch of trusonafications in progress after a position, oldest first.
pub async fn in_progress(
    tx: &mut Tx,
    party: RelyingPartyId,
    owner: Of<'_>,
    after: Option<&Cursor>,
    size: i64,
) -> Result<Listed<Trusonafication>, DbError> {
    let select = tx.query("SELECT ").push(COLUMNS).push(" ");
    let query = match owner {
        Of::User(user, _) => of(select, party, "user_identifier", user),
        Of::Device(device) | Of::Binding(device, _) => of(select, party, "device_id", device.as_str()).push(" AND target <> 'user'"),
    };
    let (at, id) = begin(after);
    let query = query.push(" AND (created_at, id) > (").push_bind(at).push(", ").push_bind(id).push(")");
    let rows = query.push(" ORDER BY created_at, id LIMIT ").push_bind(size + 1).fetch_all().await?;
    let page = page(Reader::Tx(tx), size, &rows, "created_at").await?;
    Ok(page.filter_map(|t| owner.is_about(&t).then_some(t)))
}

/// When the next trusonafication in progress expires, or did, of all relying parties and after a position; `None` if it is after `until`.
pub async fn next_expiry(db: &Db, until: Timestamp, after: Option<&Cursor>) -> Result<Option<Timestamp>, DbError> {
    let query = db.query("SELECT expires_at FROM trusonafication WHERE status = 'in_progress' AND expires_at <= ").push_bind(until);
    let (at, id) = begin(after);
    let query = query.push(" AND (expires_at, id) > (").push_bind(at).push(", ").push_bind(id).push(")");
    let row = query.push(" ORDER BY expires_at, id LIMIT 1").fetch_optional().await?;
    row.map(|row| row.get("expires_at")).transpose()
}

/// Returns a batch of overdue trusonafications of all relying parties after a position, longest overdue first.
pub async fn overdue(db: &Db, now: Timestamp, after: Option<&Cursor>, size: i64) -> Result<Listed<Trusonafication>, DbError> {
    let query = db.query("SELECT ").push(COLUMNS).push(" FROM trusonafication WHERE status = 'in_progress' AND expires_at <= ");
    let (at, id) = begin(after);
    let query = query.push_bind(now).push(" AND (expires_at, id) > (").push_bind(at).push(", ").push_bind(id).push(")");
    let rows = query.push(" ORDER BY expires_at, id LIMIT ").push_bind(size + 1).fetch_all().await?;
    page(Reader::Db(db), size, &rows, "expires_at").await
}

/// The year 1; no request can name an earlier expiry.
const BEGINNING: Timestamp = Timestamp::from_seconds(-62_135_596_800);

/// The position to continue from; without one, before everything.
fn begin(after: Option<&Cursor>) -> (Timestamp, Uuid) {
    after.map_or((BEGINNING, Uuid::nil()), |place| (place.at, place.id.parse().unwrap_or_default()))
}
