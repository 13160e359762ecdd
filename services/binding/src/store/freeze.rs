//! Rows of frozen users.

use nodkey_db::{Db, DbError, Query, Row, Tx};
use nodkey_kernel::id::{DeviceId, RelyingPartyId};
use nodkey_runtime::Failure;

use crate::domain::{
    UserIdentifier,
    freeze::{Freeze, Freezer, FreezerName, Note},
};

const SELECT: &str = "SELECT frozen_at, frozen_by, device_id, note FROM frozen_user WHERE relying_party_id = $1 AND user_identifier = $2";

/// Freezes a user who is not frozen.
pub async fn insert(tx: &mut Tx, party: RelyingPartyId, user: &UserIdentifier, freeze: &Freeze) -> Result<(), Failure> {
    tx.query(
        "INSERT INTO frozen_user (relying_party_id, user_identifier, frozen_at, frozen_by, device_id, note) VALUES ($1, $2, $3, $4, $5, $6)",
    )
    .bind(party.as_uuid())
    .bind(user.as_str())
    .bind(freeze.at)
    .bind(freeze.by.name().as_str())
    .bind(freeze.by.device().map(DeviceId::as_str))
    .bind(freeze.note.as_str())
    .execute()
    .await?;
    Ok(())
}

/// Releases a user; false if they were not frozen.
pub async fn delete(tx: &mut Tx, party: RelyingPartyId, user: &UserIdentifier) -> Result<bool, Failure> {
    let query = tx.query("DELETE FROM frozen_user WHERE relying_party_id = $1 AND user_identifier = $2");
    Ok(query.bind(party.as_uuid()).bind(user.as_str()).execute().await? == 1)
}

/// Returns the freeze of a user.
pub async fn get(db: &Db, party: RelyingPartyId, user: &UserIdentifier) -> Result<Option<Freeze>, Failure> {
    one(db.query(SELECT), party, user).await
}

/// Returns the freeze of a user inside a transaction.
pub async fn load(tx: &mut Tx, party: RelyingPartyId, user: &UserIdentifier) -> Result<Option<Freeze>, Failure> {
    one(tx.query(SELECT), party, user).await
}

async fn one(query: Query<'_>, party: RelyingPartyId, user: &UserIdentifier) -> Result<Option<Freeze>, Failure> {
    let row = query.bind(party.as_uuid()).bind(user.as_str()).fetch_optional().await?;
    Ok(row.map(|row| read(&row, party)).transpose()?)
}

pub(super) fn read(row: &Row, party: RelyingPartyId) -> Result<Freeze, DbError> {
    // The row's own key would reveal the user.
    let record = row.of("frozen_user", format_args!("of {party}"));
    let name = record.convert("frozen_by", |name: String| FreezerName::try_from(name.as_str()))?;
    let device = record.convert("device_id", |id: Option<String>| id.map(|id| DeviceId::parse(&id)).transpose())?;
    let by =
        Freezer::of(name, device).ok_or_else(|| record.inconsistent("device_id", "must be set if and only if a device froze the user"))?;
    Ok(Freeze { at: record.get("frozen_at")?, by, note: record.convert("note", |text: String| Note::parse(&text))? })
}
