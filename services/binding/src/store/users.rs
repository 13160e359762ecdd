//! Searching the users of a relying party.

use std::collections::HashMap;

use nodkey_db::{
    Db, DbError, Query, Row,
    retention::{MAX_LIST, in_list},
};
use nodkey_kernel::id::RelyingPartyId;
use nodkey_runtime::{
    Failure,
    rows::{inconsistent, readable},
};

use super::freeze;
use crate::domain::{User, UserIdentifier, freeze::Freeze};

/// A page of users, ordered by the bytes of their identifiers.
#[derive(Debug)]
pub struct Found {
    /// The readable users of the page.
    pub users: Vec<User>,
    /// The last identifier of the page, readable or not, if there are more.
    pub last: Option<String>,
}

/// Lists users whose identifiers begin with `prefix` and come after `after`: everyone who was ever bound, with the number of live bindings.
/// A page has at most 256 users.
pub async fn list(db: &Db, party: RelyingPartyId, prefix: &str, after: &str, size: i64) -> Result<Found, Failure> {
    let query = db.query("SELECT user_identifier FROM bound_user WHERE relying_party_id = ").push_bind(party.as_uuid());
    let query = query.push(" AND user_identifier >= ").push_bind(prefix).push(" AND user_identifier > ").push_bind(after);
    // No character sorts after this one.
    let query = query.push(" AND user_identifier < ").push_bind(format!("{prefix}{}", char::MAX));
    let most = usize::try_from(size).unwrap_or_default().min(MAX_LIST);
    let limit = i64::try_from(most).unwrap_or_default() + 1;
    let rows = query.push(" ORDER BY user_identifier LIMIT ").push_bind(limit).fetch_all().await?;
    let mut names = rows.iter().map(|row| row.get("user_identifier")).collect::<Result<Vec<String>, _>>()?;
    let has_next = names.len() > most;
    names.truncate(most);
    if names.is_empty() {
        return Ok(Found { users: Vec::new(), last: None });
    }
    let devices = devices(db, party, &names).await?;
    let mut frozen = frozen(db, party, &names).await?;
    let last = names.last().filter(|_| has_next).cloned();
    let users = names.iter().filter_map(|name| {
        // A user whose freeze cannot be read is left out.
        let freeze = frozen.remove(name).map(readable);
        let freeze = match freeze {
            Some(None) => return None,
            freeze => freeze.flatten(),
        };
        let devices = devices.get(name).copied().unwrap_or_default();
        // The row's own key would reveal the user.
        let unreadable = |fault: &'static str| inconsistent("bound_user", "user_identifier", format_args!("of {party}"), fault);
        Some(User { identifier: readable(UserIdentifier::parse(name).map_err(unreadable))?, freeze, devices })
    });
    Ok(Found { users: users.collect(), last })
}

/// The number of live bindings of each of these users.
async fn devices(db: &Db, party: RelyingPartyId, users: &[String]) -> Result<HashMap<String, usize>, Failure> {
    let query = db.query("SELECT user_identifier, COUNT(*) AS devices FROM binding WHERE relying_party_id = ").push_bind(party.as_uuid());
    let rows =
        of(query.push(" AND deactivated_at IS NULL AND user_identifier IN"), users).push(" GROUP BY user_identifier").fetch_all().await?;
    let read = |row: &Row| {
        let devices = row.of("binding", "of a user").convert("devices", |count: i64| usize::try_from(count))?;
        Ok((row.get("user_identifier")?, devices))
    };
    Ok(rows.iter().map(read).collect::<Result<_, DbError>>()?)
}

/// The freezes of these users, for those who are frozen.
async fn frozen(db: &Db, party: RelyingPartyId, users: &[String]) -> Result<HashMap<String, Result<Freeze, DbError>>, Failure> {
    let query = db.query("SELECT user_identifier, frozen_at, frozen_by, device_id, note FROM frozen_user WHERE relying_party_id = ");
    let rows = of(query.push_bind(party.as_uuid()).push(" AND user_identifier IN"), users).fetch_all().await?;
    Ok(rows.iter().map(|row| Ok((row.get("user_identifier")?, freeze::read(row, party)))).collect::<Result<_, DbError>>()?)
}

fn of<'a>(query: Query<'a>, users: &[String]) -> Query<'a> {
    in_list(query, &users.iter().map(String::as_str).collect::<Vec<_>>())
}
