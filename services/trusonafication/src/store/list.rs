//! Lists of trusonafications.

use nodkey_db::{Db, DbError, Query, Row};
use nodkey_kernel::{
    id::{RelyingPartyId, TrusonaficationId},
    time::Timestamp,
};
use nodkey_runtime::{
    page::{Listed, Page},
    rows::{key, place, readable},
};
use uuid::Uuid;

use super::row::{COLUMNS, Reader, TABLE, page};
use crate::domain::{Status, Trusonafication};

/// Which trusonafications to list, newest first: those after the position of `at` and `id`.
#[derive(Clone, Copy, Debug)]
pub struct Listing<'a> {
    /// Only in this status.
    pub status: Option<Status>,
    /// Only of this user.
    pub user: Option<&'a str>,
    /// Only of this device.
    pub device: Option<&'a str>,
    /// Created at this time or later.
    pub from: Option<Timestamp>,
    /// Created before this time,
    pub at: Timestamp,
    /// or at this time with a smaller id.
    pub id: Uuid,
    /// Maximum number of trusonafications.
    pub size: i64,
}

impl Listing<'static> {
    /// The newest, in any status and for any user and device.
    #[must_use]
    pub fn newest(size: i64) -> Self {
        let at = Page { size: 0, after: None }.before();
        Self { status: None, user: None, device: None, from: None, at, id: Uuid::max(), size }
    }
}

/// Which statuses a statement selects. Overdue trusonafications count as expired.
#[derive(Clone, Copy)]
enum Wanted {
    /// Any status.
    Any,
    /// A status that is stored as it is reported.
    Written(Status),
    /// In progress, and not overdue.
    Waiting(Timestamp),
    /// In progress, and overdue.
    Overdue(Timestamp),
    /// A status as of a given time. One user or device has few rows, so they may be scanned.
    Seen(Status, Timestamp),
}

/// Lists trusonafications. Each combination of filters has its own SQL text, so that each uses its index and rare rows among a million are
/// not searched one by one.
pub async fn list(db: &Db, party: RelyingPartyId, listing: &Listing<'_>, now: Timestamp) -> Result<Listed<Trusonafication>, DbError> {
    let rows = rows(db, COLUMNS, party, listing, now).await?;
    page(Reader::Db(db), listing.size, &rows, "created_at").await
}

/// What shows whether a trusonafication changed: its version as of a given time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Head {
    /// Identifier of the trusonafication.
    pub id: TrusonaficationId,
    /// Its version; one more while its end is still to be written.
    pub version: i64,
}

/// Lists only ids and versions.
pub async fn heads(db: &Db, party: RelyingPartyId, listing: &Listing<'_>, now: Timestamp) -> Result<Vec<Head>, DbError> {
    let rows = rows(db, "id, created_at, expires_at, status, version", party, listing, now).await?;
    let read = |row: &Row| -> Result<Head, DbError> {
        let record = row.of(TABLE, key(row, "id"));
        let overdue = record.get::<String>("status")? == Status::InProgress.as_str() && record.get::<Timestamp>("expires_at")? <= now;
        let version: i64 = record.get("version")?;
        Ok(Head { id: TrusonaficationId::from_uuid(record.get("id")?), version: version + i64::from(overdue) })
    };
    let size = usize::try_from(listing.size).unwrap_or_default();
    Ok(rows.iter().take(size).filter_map(|row| readable(read(row))).collect())
}

/// Counts the trusonafications of a relying party in progress, up to `limit`.
pub async fn count_open(db: &Db, party: RelyingPartyId, limit: u32) -> Result<i64, DbError> {
    let query = db.query("SELECT COUNT(*) AS n FROM (SELECT 1 AS one FROM trusonafication WHERE relying_party_id = ");
    // Ordered, so that the index with that order is used.
    let query = query.push_bind(party.as_uuid()).push(" AND status = 'in_progress' ORDER BY created_at DESC, id DESC LIMIT ");
    let query = query.push_bind(i64::from(limit));
    query.push(") AS open").fetch_one().await?.get("n")
}

async fn rows(db: &Db, columns: &'static str, party: RelyingPartyId, listing: &Listing<'_>, now: Timestamp) -> Result<Vec<Row>, DbError> {
    let fetch = async |wanted| statement(db, columns, party, listing, wanted).fetch_all().await;
    let one_owner = listing.user.is_some() || listing.device.is_some();
    match listing.status {
        None => fetch(Wanted::Any).await,
        Some(status) if one_owner => fetch(Wanted::Seen(status, now)).await,
        Some(Status::InProgress) => fetch(Wanted::Waiting(now)).await,
        Some(Status::Expired) => {
            let mut both = fetch(Wanted::Written(Status::Expired)).await?;
            both.extend(fetch(Wanted::Overdue(now)).await?);
            both.sort_by_cached_key(|row| std::cmp::Reverse(place(row, "created_at").map(|place| (place.at, place.id))));
            both.truncate(usize::try_from(listing.size).unwrap_or_default() + 1);
            Ok(both)
        }
        Some(status) => fetch(Wanted::Written(status)).await,
    }
}

/// Reads one row more than the page has, to learn whether there is a next page.
fn statement<'a>(db: &'a Db, columns: &'static str, party: RelyingPartyId, listing: &Listing<'_>, wanted: Wanted) -> Query<'a> {
    let query = db.query("SELECT ").push(columns).push(" FROM trusonafication WHERE relying_party_id = ").push_bind(party.as_uuid());
    let mut query = query.push(" AND (created_at, id) < (").push_bind(listing.at).push(", ").push_bind(listing.id).push(")");
    if let Some(user) = listing.user {
        query = query.push(" AND user_identifier = ").push_bind(user);
    }
    if let Some(device) = listing.device {
        query = query.push(" AND device_id = ").push_bind(device);
    }
    query = match wanted {
        Wanted::Any => query,
        Wanted::Written(status) => query.push(" AND status = ").push_bind(status.as_str()),
        Wanted::Waiting(now) => query.push(" AND status = 'in_progress' AND (expires_at > ").push_bind(now).push(") IS TRUE"),
        Wanted::Overdue(now) => query.push(" AND status = 'in_progress' AND (expires_at <= ").push_bind(now).push(") IS TRUE"),
        Wanted::Seen(status, now) => query
            .push(" AND CASE WHEN status = 'in_progress' AND expires_at <= ")
            .push_bind(now)
            .push(" THEN 'expired' ELSE status END = ")
            .push_bind(status.as_str()),
    };
    // A lower bound that excludes nothing would lead SQLite to the wrong index.
    if let Some(from) = listing.from {
        query = query.push(" AND created_at >= ").push_bind(from);
    }
    query.push(" ORDER BY created_at DESC, id DESC LIMIT ").push_bind(listing.size + 1)
}
