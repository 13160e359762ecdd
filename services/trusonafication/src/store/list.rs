//! Lists of trusonafications.

use std::cmp::Reverse;

use nodkey_db::{Db, Query};
use nodkey_kernel::{id::RelyingPartyId, time::Timestamp};
use nodkey_runtime::{Failure, page::Page};
use uuid::Uuid;

use super::trusonafication::{all, select};
use crate::domain::Trusonafication;

/// Which to list: newest first, what comes after `at` and `id`.
#[derive(Debug)]
pub struct Listing<'a> {
    /// In this status; empty: any.
    pub status: &'static str,
    /// Of this user; empty: anyone's.
    pub user: &'a str,
    /// Of this device; empty: any.
    pub device: &'a str,
    /// Created at this moment or later.
    pub from: Timestamp,
    /// Before this moment.
    pub at: Timestamp,
    /// Or at it and below this id.
    pub id: Uuid,
    /// At most so many.
    pub limit: i64,
}

impl Listing<'static> {
    /// All of them, none yet.
    #[must_use]
    pub fn newest() -> Self {
        let at = Page { size: 0, after: None }.before();
        Self { status: "", user: "", device: "", from: Timestamp::from_seconds(0), at, id: Uuid::max(), limit: 0 }
    }
}

/// What every list has: whose, from where, how many.
macro_rules! page {
    ($filter:expr) => {
        select!(concat!(
            "WHERE relying_party_id = $1 AND (created_at, id) < ($2, $3)",
            $filter,
            " ORDER BY created_at DESC, id DESC LIMIT $4"
        ))
    };
}

/// Two texts of a list: from the beginning of time, and from the moment that is its last argument. A lower bound that bounds nothing
/// would lead SQLite to the wrong index.
macro_rules! pages {
    ($filter:expr, $from:literal) => {
        [page!($filter), page!(concat!($filter, " AND created_at >= ", $from))]
    };
}

/// Of a status as it is seen at `$6`, or of any: of one user or device there are few, so that they may be looked through.
macro_rules! seen_as {
    ($and:literal) => {
        concat!(" AND ($5 = '' OR $5 = CASE WHEN status = 'in_progress' AND expires_at <= $6 THEN 'expired' ELSE status END)", $and)
    };
}

/// Lists. What is overdue counts as expired. There is a text for each way to ask, so that each finds its index: among a million, what
/// is rare is not looked for one by one.
pub async fn list(db: &Db, party: RelyingPartyId, listing: &Listing<'_>, now: Timestamp) -> Result<Vec<Trusonafication>, Failure> {
    let Listing { status, user, device, from, at, id, limit } = *listing;
    let from = (from > Timestamp::from_seconds(0)).then_some(from);
    let begin = |[all, since]: [&'static str; 2]| {
        let sql = if from.is_some() { since } else { all };
        db.query(sql).bind(party.as_uuid()).bind(at).bind(id).bind(limit)
    };
    let end = async |query: Query<'_>| match from {
        Some(from) => all(query.bind(from)).await,
        None => all(query).await,
    };
    match (user, device, status) {
        ("", "", "") => end(begin(pages!("", "$5"))).await,
        ("", "", "in_progress") => end(begin(pages!(" AND status = 'in_progress' AND expires_at > $5", "$6")).bind(now)).await,
        ("", "", "expired") => {
            let mut both = end(begin(pages!(" AND status = 'expired'", "$5"))).await?;
            both.extend(end(begin(pages!(" AND status = 'in_progress' AND expires_at <= $5", "$6")).bind(now)).await?);
            both.sort_by_key(|t| Reverse((t.created_at, t.id)));
            both.truncate(usize::try_from(limit).unwrap_or(usize::MAX));
            Ok(both)
        }
        ("", "", _) => end(begin(pages!(" AND status = $5", "$6")).bind(status)).await,
        (_, "", _) => end(begin(pages!(seen_as!(" AND user_identifier = $7"), "$8")).bind(status).bind(now).bind(user)).await,
        ("", _, _) => end(begin(pages!(seen_as!(" AND device_id = $7"), "$8")).bind(status).bind(now).bind(device)).await,
        _ => {
            let texts = pages!(seen_as!(" AND user_identifier = $7 AND device_id = $8"), "$9");
            end(begin(texts).bind(status).bind(now).bind(user).bind(device)).await
        }
    }
}
