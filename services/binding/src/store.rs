//! Database tables. Every statement is scoped to a relying party.

pub mod freeze;
pub mod replay;
pub mod users;

use nodkey_db::{Db, DbError, Query, Row, Tx};
use nodkey_kernel::{
    id::{BindingId, DeviceId, RelyingPartyId},
    time::Timestamp,
};
use nodkey_runtime::{
    Failure,
    page::Listed,
    rows::{key, listed, readable},
};
use uuid::Uuid;

use crate::{
    domain::{Binding, Identifier, Scope, State, StateName, TrusonaId, UserIdentifier},
    invariants,
};

const TABLE: &str = "binding";
/// Whether the user is frozen is read with the binding, since it is needed for every answer. As a scalar subquery, PostgreSQL looks it up
/// for each row and never scans all frozen users.
const SELECT: &str = "SELECT id, relying_party_id, user_identifier, device_id, vouched_by, created_at, activated_at, deactivated_at, version, \
    (SELECT f.frozen_at FROM frozen_user f WHERE f.relying_party_id = binding.relying_party_id AND f.user_identifier = binding.user_identifier) \
    AS user_frozen_at FROM binding WHERE ";

/// Inserts a binding.
pub async fn insert(tx: &mut Tx, binding: &Binding) -> Result<(), Failure> {
    invariants::check(binding)?;
    let query = tx.query(
        "INSERT INTO binding (id, relying_party_id, user_identifier, device_id, vouched_by, created_at, version) \
         VALUES ($1, $2, $3, $4, $5, $6, $7)",
    );
    let query = query.bind(binding.id.as_uuid()).bind(binding.relying_party.as_uuid()).bind(binding.user.as_str());
    let query = query.bind(binding.device.as_str()).bind(binding.vouched_by.as_ref().map(DeviceId::as_str));
    query.bind(binding.created_at).bind(binding.version).execute().await?;
    Ok(())
}

/// Updates the previous version; false if a concurrent change was first.
pub async fn update(tx: &mut Tx, binding: &Binding) -> Result<bool, Failure> {
    invariants::check(binding)?;
    let query = tx.query("UPDATE binding SET activated_at = ").push_bind(binding.state.activated_at()).push(", deactivated_at = ");
    let query = query.push_bind(binding.state.deactivated_at()).push(", version = ").push_bind(binding.version).push(" WHERE ");
    let updated = by_id(query, binding.relying_party, binding.id).push(" AND version = ").push_bind(binding.version - 1).execute().await?;
    Ok(updated == 1)
}

/// Locks a binding until the transaction ends; false if a concurrent change was first.
pub async fn hold(tx: &mut Tx, binding: &Binding) -> Result<bool, Failure> {
    let query = by_id(tx.query("UPDATE binding SET version = version WHERE "), binding.relying_party, binding.id);
    Ok(query.push(" AND version = ").push_bind(binding.version).execute().await? == 1)
}

/// Looks up by id, and then checks the relying party. `IS TRUE` keeps PostgreSQL from a plan that it would make while the table is empty
/// and then keep: scanning everything of the relying party.
fn by_id(query: Query<'_>, party: RelyingPartyId, id: BindingId) -> Query<'_> {
    query.push("id = ").push_bind(id.as_uuid()).push(" AND (relying_party_id = ").push_bind(party.as_uuid()).push(") IS TRUE")
}

fn of_living_device<'a>(query: Query<'a>, party: RelyingPartyId, device: &DeviceId) -> Query<'a> {
    let query = query.push("relying_party_id = ").push_bind(party.as_uuid()).push(" AND device_id = ").push_bind(device.as_str());
    query.push(" AND deactivated_at IS NULL")
}

fn of_living_user<'a>(query: Query<'a>, party: RelyingPartyId, user: &UserIdentifier) -> Query<'a> {
    let query = query.push("relying_party_id = ").push_bind(party.as_uuid()).push(" AND user_identifier = ").push_bind(user.as_str());
    query.push(" AND (deactivated_at IS NULL) IS TRUE ORDER BY created_at, id")
}

/// Returns a binding.
pub async fn get(db: &Db, party: RelyingPartyId, id: BindingId) -> Result<Option<Binding>, Failure> {
    one(by_id(db.query(SELECT), party, id)).await
}

/// Returns a binding inside a transaction.
pub async fn load(tx: &mut Tx, party: RelyingPartyId, id: BindingId) -> Result<Option<Binding>, Failure> {
    one(by_id(tx.query(SELECT), party, id)).await
}

/// Returns the live binding of a device.
pub async fn living(db: &Db, party: RelyingPartyId, device: &DeviceId) -> Result<Option<Binding>, Failure> {
    one(of_living_device(db.query(SELECT), party, device)).await
}

/// Returns the live binding of a device inside a transaction.
pub async fn load_living(tx: &mut Tx, party: RelyingPartyId, device: &DeviceId) -> Result<Option<Binding>, Failure> {
    one(of_living_device(tx.query(SELECT), party, device)).await
}

/// Returns the live bindings of a user, oldest first. There are few: the domain limits them.
pub async fn of_user(db: &Db, party: RelyingPartyId, user: &UserIdentifier) -> Result<Vec<Binding>, Failure> {
    all(of_living_user(db.query(SELECT), party, user)).await
}

/// Returns the live bindings of a user inside a transaction.
pub async fn load_of_user(tx: &mut Tx, party: RelyingPartyId, user: &UserIdentifier) -> Result<Vec<Binding>, Failure> {
    all(of_living_user(tx.query(SELECT), party, user)).await
}

/// Which bindings to list, newest first: those after the position of `at` and `id`.
#[derive(Debug)]
pub struct Listing<'a> {
    /// Only bindings of this user.
    pub user: Option<&'a UserIdentifier>,
    /// Only bindings in this state.
    pub state: Option<StateName>,
    /// Created before this time,
    pub at: Timestamp,
    /// or at this time with a smaller id.
    pub id: Uuid,
    /// Maximum number of bindings.
    pub size: i64,
}

/// Lists bindings.
pub async fn list(db: &Db, party: RelyingPartyId, listing: &Listing<'_>) -> Result<Listed<Binding>, Failure> {
    let query = db.query(SELECT).push("relying_party_id = ").push_bind(party.as_uuid()).push(" AND (created_at, id) < (");
    let mut query = query.push_bind(listing.at).push(", ").push_bind(listing.id).push(")");
    if let Some(user) = listing.user {
        query = query.push(" AND user_identifier = ").push_bind(user.as_str());
    }
    if let Some(state) = listing.state {
        query = query
            .push(" AND CASE WHEN deactivated_at IS NOT NULL THEN 'deactivated' WHEN activated_at IS NOT NULL THEN 'active' ELSE 'inactive' END = ")
            .push_bind(state.as_str());
    }
    let query = query.push(" ORDER BY created_at DESC, id DESC LIMIT ").push_bind(listing.size + 1);
    Ok(listed(listing.size, &query.fetch_all().await?, "created_at", read))
}

/// Returns a batch of a relying party's bindings that have been inactive since before a given time, oldest first.
pub async fn inactive_before(db: &Db, party: RelyingPartyId, before: Timestamp, size: i64) -> Result<Vec<Binding>, Failure> {
    let query = db.query(SELECT).push("relying_party_id = ").push_bind(party.as_uuid()).push(" AND created_at < ").push_bind(before);
    all(query.push(" AND activated_at IS NULL AND deactivated_at IS NULL ORDER BY created_at, id LIMIT ").push_bind(size)).await
}

/// Locks the devices of a user until the transaction ends. Returns the user's version after the change.
pub async fn lock_user(tx: &mut Tx, party: RelyingPartyId, user: &UserIdentifier) -> Result<i64, Failure> {
    let row = tx
        .query(
            "INSERT INTO bound_user (relying_party_id, user_identifier, version) VALUES ($1, $2, 1) \
             ON CONFLICT (relying_party_id, user_identifier) DO UPDATE SET version = bound_user.version + 1 RETURNING version",
        )
        .bind(party.as_uuid())
        .bind(user.as_str())
        .fetch_one()
        .await?;
    Ok(row.get("version")?)
}

/// Locks binding and retirement of a device until the transaction ends. Returns whether the device is retired.
pub async fn lock_device(tx: &mut Tx, party: RelyingPartyId, device: &DeviceId) -> Result<bool, Failure> {
    let row = tx
        .query(
            "INSERT INTO known_device (relying_party_id, device_id, retired) VALUES ($1, $2, $3) \
             ON CONFLICT (relying_party_id, device_id) DO UPDATE SET retired = known_device.retired RETURNING retired",
        )
        .bind(party.as_uuid())
        .bind(device.as_str())
        .bind(false)
        .fetch_one()
        .await?;
    Ok(row.get("retired")?)
}

/// Returns when the nonce was made with which a device last vouched for another. The device is locked.
pub async fn challenged_at(tx: &mut Tx, party: RelyingPartyId, device: &DeviceId) -> Result<Option<Timestamp>, Failure> {
    let query = tx.query("SELECT challenged_at FROM known_device WHERE relying_party_id = $1 AND device_id = $2");
    Ok(query.bind(party.as_uuid()).bind(device.as_str()).fetch_one().await?.get("challenged_at")?)
}

/// Whether a device has ever vouched for another.
pub async fn has_vouched(db: &Db, party: RelyingPartyId, device: &DeviceId) -> Result<bool, Failure> {
    let query = db.query("SELECT challenged_at FROM known_device WHERE relying_party_id = $1 AND device_id = $2");
    let row = query.bind(party.as_uuid()).bind(device.as_str()).fetch_optional().await?;
    Ok(row.map(|row| row.get::<Option<Timestamp>>("challenged_at")).transpose()?.flatten().is_some())
}

/// Records the nonce with which a device vouches for another. The device is locked.
pub async fn note_challenge(tx: &mut Tx, party: RelyingPartyId, device: &DeviceId, at: Timestamp) -> Result<(), Failure> {
    let query = tx.query("UPDATE known_device SET challenged_at = $1 WHERE relying_party_id = $2 AND device_id = $3");
    query.bind(at).bind(party.as_uuid()).bind(device.as_str()).execute().await?;
    Ok(())
}

/// Marks a device as retired, and locks binding it until the transaction ends.
pub async fn retire_device(tx: &mut Tx, party: RelyingPartyId, device: &DeviceId) -> Result<(), Failure> {
    tx.query(
        "INSERT INTO known_device (relying_party_id, device_id, retired) VALUES ($1, $2, $3) \
         ON CONFLICT (relying_party_id, device_id) DO UPDATE SET retired = excluded.retired",
    )
    .bind(party.as_uuid())
    .bind(device.as_str())
    .bind(true)
    .execute()
    .await?;
    Ok(())
}

const IDENTIFIER: &str =
    "SELECT identifier, trusona_id, created_at FROM identifier WHERE relying_party_id = $1 AND integration_id = $2 AND identifier = $3";

/// Inserts an identifier; false if it already exists.
pub async fn insert_identifier(tx: &mut Tx, party: RelyingPartyId, new: &Identifier) -> Result<bool, Failure> {
    let inserted = tx
        .query(
            "INSERT INTO identifier (relying_party_id, integration_id, identifier, trusona_id, created_at) VALUES ($1, $2, $3, $4, $5) \
             ON CONFLICT (relying_party_id, integration_id, identifier) DO NOTHING",
        )
        .bind(party.as_uuid())
        .bind(new.scope.as_uuid())
        .bind(new.user.as_str())
        .bind(new.trusona_id.as_str())
        .bind(new.created_at)
        .execute()
        .await?;
    Ok(inserted == 1)
}

/// Returns an identifier.
pub async fn identifier(db: &Db, party: RelyingPartyId, scope: Scope, user: &UserIdentifier) -> Result<Option<Identifier>, Failure> {
    let query = db.query(IDENTIFIER).bind(party.as_uuid()).bind(scope.as_uuid()).bind(user.as_str());
    Ok(query.fetch_optional().await?.map(|row| read_identifier(&row, party, scope)).transpose()?)
}

/// Returns an identifier inside a transaction.
pub async fn load_identifier(
    tx: &mut Tx,
    party: RelyingPartyId,
    scope: Scope,
    user: &UserIdentifier,
) -> Result<Option<Identifier>, Failure> {
    let query = tx.query(IDENTIFIER).bind(party.as_uuid()).bind(scope.as_uuid()).bind(user.as_str());
    Ok(query.fetch_optional().await?.map(|row| read_identifier(&row, party, scope)).transpose()?)
}

/// Returns the identifiers of a Trusona ID, oldest first, at most 100.
pub async fn identifiers_of(db: &Db, party: RelyingPartyId, scope: Scope, trusona_id: &TrusonaId) -> Result<Vec<Identifier>, Failure> {
    let query = db
        .query(
            "SELECT identifier, trusona_id, created_at FROM identifier WHERE relying_party_id = $1 AND integration_id = $2 \
             AND trusona_id = $3 ORDER BY created_at, identifier LIMIT 100",
        )
        .bind(party.as_uuid())
        .bind(scope.as_uuid())
        .bind(trusona_id.as_str());
    Ok(query.fetch_all().await?.iter().filter_map(|row| readable(read_identifier(row, party, scope))).collect())
}

fn read_identifier(row: &Row, party: RelyingPartyId, scope: Scope) -> Result<Identifier, DbError> {
    // The row's own key would reveal the user.
    let record = row.of("identifier", format_args!("of {party}, {}", scope.as_uuid()));
    Ok(Identifier {
        scope,
        user: record.convert("identifier", |text: String| UserIdentifier::parse(&text))?,
        trusona_id: record.convert("trusona_id", |text: String| TrusonaId::parse(&text))?,
        created_at: record.get("created_at")?,
    })
}

async fn one(query: Query<'_>) -> Result<Option<Binding>, Failure> {
    Ok(query.fetch_optional().await?.as_ref().map(read).transpose()?)
}

async fn all(query: Query<'_>) -> Result<Vec<Binding>, Failure> {
    Ok(query.fetch_all().await?.iter().filter_map(|row| readable(read(row))).collect())
}

fn read(row: &Row) -> Result<Binding, DbError> {
    let record = row.of(TABLE, key(row, "id"));
    let binding = Binding {
        id: BindingId::from_uuid(record.get("id")?),
        relying_party: RelyingPartyId::from_uuid(record.get("relying_party_id")?),
        user: record.convert("user_identifier", |text: String| UserIdentifier::parse(&text))?,
        device: record.convert("device_id", |id: String| DeviceId::parse(&id))?,
        vouched_by: record.convert("vouched_by", |id: Option<String>| id.as_deref().map(DeviceId::parse).transpose())?,
        state: State::of(record.get("activated_at")?, record.get("deactivated_at")?),
        user_frozen: record.get::<Option<Timestamp>>("user_frozen_at")?.is_some(),
        created_at: record.get("created_at")?,
        version: record.get("version")?,
    };
    invariants::check(&binding)?;
    Ok(binding)
}

#[cfg(test)]
mod tests;
