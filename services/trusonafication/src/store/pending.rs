//! What is in progress. It is little among much that is over, and has indexes of its own, by whom it is for. `(...) IS TRUE` keeps a
//! condition out of the choice of an index: one that led there would be taken while a table is small, and kept when it is not.

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

/// Something a phone is to be shown.
#[derive(Debug)]
pub struct Pending {
    /// Names it.
    pub id: TrusonaficationId,
    /// Compact JWS.
    pub challenge: String,
    /// When it is too late.
    pub expires_at: Timestamp,
    /// Whether its user began it, by a code.
    pub self_started: bool,
}

/// Returns what a device is asked, first what its user started by a code, each oldest first: at most `limit`, and as many challenges as fit, the first whatever its size.
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
    // What releases before asked of a code says so by its target alone.
    let turn = "SELECT id, challenge, expires_at, created_at, CASE WHEN target = 'trucode' OR way = 'own' THEN 0 ELSE 1 END AS turn ";
    let of_device = waiting(weighed.push(turn), party, "device_id", device.as_str(), now);
    let both = of_device.push(" AND target <> 'user' UNION ALL SELECT id, challenge, expires_at, created_at, 1 AS turn ");
    let both = waiting(both, party, "user_identifier", user, now).push(" AND target = 'user'");
    // A number of six digits is for those who can take it, and who were told when it was asked.
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

/// When the first of those that wait for the same user or device ends, if nobody answers it.
pub async fn first_end(tx: &mut Tx, party: RelyingPartyId, target: &Target, now: Timestamp) -> Result<Option<Timestamp>, DbError> {
    let Some((owner, name, of_kind)) = owner(target) else { return Ok(None) };
    let query = waiting(tx.query("SELECT MIN(expires_at) AS ends_at "), party, owner, name, now);
    query.push(of_kind).fetch_one().await?.get("ends_at")
}

/// By which column they are found that wait for the same as a target, and of which kind they are; a code is for one.
fn owner(target: &Target) -> Option<(&'static str, &str, &'static str)> {
    match target {
        Target::User(user) => Some(("user_identifier", user.as_str(), " AND target = 'user'")),
        Target::Device(device) => Some(("device_id", device.as_str(), " AND target = 'device'")),
        Target::TruCode(_) => None,
    }
}

/// Ends an INSERT with the condition that fewer than `max` wait for the same user or device.
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

/// Whose trusonafications end with something else that ended.
#[derive(Clone, Copy, Debug)]
pub enum Of<'a> {
    /// Every one this user is asked, through whichever device, that was sent to one of these bindings.
    User(&'a str, &'a [BindingId]),
    /// Every one this device alone is asked, that was sent to this binding.
    Binding(&'a DeviceId, BindingId),
    /// Every one this device alone is asked. It never comes back.
    Device(&'a DeviceId),
}

impl Of<'_> {
    /// Whether it is about one that was found by the name of its user or device.
    fn is_about(&self, t: &Trusonafication) -> bool {
        match self {
            Self::User(_, bindings) => t.was_sent_to(bindings),
            Self::Binding(_, binding) => t.was_sent_to(&[*binding]),
            Self::Device(_) => true,
        }
    }
}

/// Returns some of what is in progress, oldest first, after a place.
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

/// Returns some of what should have expired by now, whosever it is, longest overdue first, after a place.
pub async fn overdue(db: &Db, now: Timestamp, after: Option<&Cursor>, size: i64) -> Result<Listed<Trusonafication>, DbError> {
    let query = db.query("SELECT ").push(COLUMNS).push(" FROM trusonafication WHERE status = 'in_progress' AND expires_at <= ");
    let (at, id) = begin(after);
    let query = query.push_bind(now).push(" AND (expires_at, id) > (").push_bind(at).push(", ").push_bind(id).push(")");
    let rows = query.push(" ORDER BY expires_at, id LIMIT ").push_bind(size + 1).fetch_all().await?;
    page(Reader::Db(db), size, &rows, "expires_at").await
}

/// The year 1, before which no request can name an expiry.
const BEGINNING: Timestamp = Timestamp::from_seconds(-62_135_596_800);

/// Where to go on; without a place, before everything.
fn begin(after: Option<&Cursor>) -> (Timestamp, Uuid) {
    after.map_or((BEGINNING, Uuid::nil()), |place| (place.at, place.id.parse().unwrap_or_default()))
}
