//! The tables. Every statement names the relying party.

use nodkey_db::{Db, Query, Row, Tx};
use nodkey_kernel::{
    id::{BindingId, DeviceId, RelyingPartyId},
    time::Timestamp,
};
use nodkey_runtime::Failure;
use uuid::Uuid;

use crate::domain::{Binding, Identifier, Scope, State, TrusonaId, UserIdentifier};

macro_rules! select {
    ($rest:literal) => {
        concat!(
            "SELECT id, relying_party_id, user_identifier, device_id, created_at, activated_at, deactivated_at, version FROM binding ",
            $rest
        )
    };
}

const GET: &str = select!("WHERE relying_party_id = $1 AND id = $2");
const LIVING: &str = select!("WHERE relying_party_id = $1 AND device_id = $2 AND deactivated_at IS NULL");
const OF_USER: &str = select!("WHERE relying_party_id = $1 AND user_identifier = $2 AND deactivated_at IS NULL ORDER BY created_at, id");

/// Inserts a binding.
pub async fn insert(tx: &mut Tx, binding: &Binding) -> Result<(), Failure> {
    tx.query("INSERT INTO binding (id, relying_party_id, user_identifier, device_id, created_at, version) VALUES ($1, $2, $3, $4, $5, $6)")
        .bind(binding.id.as_uuid())
        .bind(binding.relying_party.as_uuid())
        .bind(binding.user.as_str())
        .bind(binding.device.as_str())
        .bind(binding.created_at)
        .bind(binding.version)
        .execute()
        .await?;
    Ok(())
}

/// Writes what became of the version before; false when another was first.
pub async fn update(tx: &mut Tx, binding: &Binding) -> Result<bool, Failure> {
    let updated = tx
        .query(
            "UPDATE binding SET activated_at = $1, deactivated_at = $2, version = $3 \
             WHERE relying_party_id = $4 AND id = $5 AND version = $6",
        )
        .bind(binding.state.activated_at())
        .bind(binding.state.deactivated_at())
        .bind(binding.version)
        .bind(binding.relying_party.as_uuid())
        .bind(binding.id.as_uuid())
        .bind(binding.version - 1)
        .execute()
        .await?;
    Ok(updated == 1)
}

/// Returns one.
pub async fn get(db: &Db, party: RelyingPartyId, id: BindingId) -> Result<Option<Binding>, Failure> {
    one(db.query(GET).bind(party.as_uuid()).bind(id.as_uuid())).await
}

/// Returns one inside a transaction.
pub async fn load(tx: &mut Tx, party: RelyingPartyId, id: BindingId) -> Result<Option<Binding>, Failure> {
    one(tx.query(GET).bind(party.as_uuid()).bind(id.as_uuid())).await
}

/// Returns the living binding of a device.
pub async fn living(db: &Db, party: RelyingPartyId, device: &DeviceId) -> Result<Option<Binding>, Failure> {
    one(db.query(LIVING).bind(party.as_uuid()).bind(device.as_str())).await
}

/// Returns the living binding of a device inside a transaction.
pub async fn load_living(tx: &mut Tx, party: RelyingPartyId, device: &DeviceId) -> Result<Option<Binding>, Failure> {
    one(tx.query(LIVING).bind(party.as_uuid()).bind(device.as_str())).await
}

/// Returns the living bindings of a user, oldest first. There are few: the domain bounds them.
pub async fn of_user(db: &Db, party: RelyingPartyId, user: &UserIdentifier) -> Result<Vec<Binding>, Failure> {
    all(db.query(OF_USER).bind(party.as_uuid()).bind(user.as_str())).await
}

/// Returns the living bindings of a user inside a transaction.
pub async fn load_of_user(tx: &mut Tx, party: RelyingPartyId, user: &UserIdentifier) -> Result<Vec<Binding>, Failure> {
    all(tx.query(OF_USER).bind(party.as_uuid()).bind(user.as_str())).await
}

/// Which bindings to list: newest first, what comes after `at` and `id`.
#[derive(Debug)]
pub struct Listing<'a> {
    /// Of this user alone.
    pub user: Option<&'a UserIdentifier>,
    /// `inactive`, `active`, `deactivated`; empty: any.
    pub state: &'static str,
    /// Before this moment.
    pub at: Timestamp,
    /// Or at it and below this id.
    pub id: Uuid,
    /// At most so many.
    pub limit: i64,
}

/// Lists bindings.
pub async fn list(db: &Db, party: RelyingPartyId, listing: &Listing<'_>) -> Result<Vec<Binding>, Failure> {
    let all_users = select!(
        "WHERE relying_party_id = $1 AND (created_at, id) < ($2, $3) AND ($4 = '' OR $4 = CASE WHEN deactivated_at IS NOT NULL \
         THEN 'deactivated' WHEN activated_at IS NOT NULL THEN 'active' ELSE 'inactive' END) ORDER BY created_at DESC, id DESC LIMIT $5"
    );
    let one_user = select!(
        "WHERE relying_party_id = $1 AND (created_at, id) < ($2, $3) AND ($4 = '' OR $4 = CASE WHEN deactivated_at IS NOT NULL \
         THEN 'deactivated' WHEN activated_at IS NOT NULL THEN 'active' ELSE 'inactive' END) AND user_identifier = $6 \
         ORDER BY created_at DESC, id DESC LIMIT $5"
    );
    let query = db
        .query(if listing.user.is_some() { one_user } else { all_users })
        .bind(party.as_uuid())
        .bind(listing.at)
        .bind(listing.id)
        .bind(listing.state)
        .bind(listing.limit);
    match listing.user {
        Some(user) => all(query.bind(user.as_str())).await,
        None => all(query).await,
    }
}

/// Lets this transaction alone change the devices of a user until it ends. Returns the user's version after the change.
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

/// Lets this transaction alone bind or retire a device until it ends. Returns whether the device is retired.
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

/// The same, and the device is retired from here on.
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

/// Inserts an identifier; false when there is one of this name.
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

/// Returns one identifier.
pub async fn identifier(db: &Db, party: RelyingPartyId, scope: Scope, user: &UserIdentifier) -> Result<Option<Identifier>, Failure> {
    let query = db.query(IDENTIFIER).bind(party.as_uuid()).bind(scope.as_uuid()).bind(user.as_str());
    query.fetch_optional().await?.map(|row| read_identifier(&row, scope)).transpose()
}

/// Returns one identifier inside a transaction.
pub async fn load_identifier(
    tx: &mut Tx,
    party: RelyingPartyId,
    scope: Scope,
    user: &UserIdentifier,
) -> Result<Option<Identifier>, Failure> {
    let query = tx.query(IDENTIFIER).bind(party.as_uuid()).bind(scope.as_uuid()).bind(user.as_str());
    query.fetch_optional().await?.map(|row| read_identifier(&row, scope)).transpose()
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
    query.fetch_all().await?.iter().map(|row| read_identifier(row, scope)).collect()
}

fn read_identifier(row: &Row, scope: Scope) -> Result<Identifier, Failure> {
    let (identifier, trusona_id): (String, String) = (row.get("identifier")?, row.get("trusona_id")?);
    Ok(Identifier {
        scope,
        user: UserIdentifier::parse(&identifier).map_err(|_| Failure::Internal("a stored identifier is none"))?,
        trusona_id: TrusonaId::parse(&trusona_id).map_err(|_| Failure::Internal("a stored Trusona ID is none"))?,
        created_at: row.get("created_at")?,
    })
}

async fn one(query: Query<'_>) -> Result<Option<Binding>, Failure> {
    query.fetch_optional().await?.as_ref().map(read).transpose()
}

async fn all(query: Query<'_>) -> Result<Vec<Binding>, Failure> {
    query.fetch_all().await?.iter().map(read).collect()
}

fn read(row: &Row) -> Result<Binding, Failure> {
    let (user, device): (String, String) = (row.get("user_identifier")?, row.get("device_id")?);
    Ok(Binding {
        id: BindingId::from_uuid(row.get("id")?),
        relying_party: RelyingPartyId::from_uuid(row.get("relying_party_id")?),
        user: UserIdentifier::parse(&user).map_err(|_| Failure::Internal("a stored user identifier is none"))?,
        device: DeviceId::parse(&device).map_err(|_| Failure::Internal("a stored device identifier is none"))?,
        state: State::of(row.get("activated_at")?, row.get("deactivated_at")?),
        created_at: row.get("created_at")?,
        version: row.get("version")?,
    })
}
