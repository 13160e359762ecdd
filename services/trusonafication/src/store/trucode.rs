//! Rows of TruCodes. The browser and the phone know a code before its relying party is known, so those queries are unscoped.

use nodkey_db::{Db, DbError, Row, Tx};
use nodkey_kernel::{
    id::{DeviceId, RelyingPartyId, TruCodeId},
    time::Timestamp,
};
use nodkey_runtime::{Failure, rows::key};

use crate::{
    domain::{MAX_WRONG_NUMBERS, TruCode},
    invariants,
};

const TABLE: &str = "trucode";
const COLUMNS: &str = "id, relying_party_id, reference, payload, origin, place, match_number, created_at, expires_at, wrong_numbers, identifier, asked, version FROM trucode";

/// Inserts a code.
pub async fn insert(tx: &mut Tx, code: &TruCode) -> Result<(), Failure> {
    invariants::check_trucode(code)?;
    tx.query(
        "INSERT INTO trucode (id, relying_party_id, reference, payload, origin, place, match_number, created_at, expires_at, version) \
         VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10)",
    )
    .bind(code.id.as_uuid())
    .bind(code.relying_party.as_uuid())
    .bind(code.reference.as_str())
    .bind(code.payload.as_str())
    .bind(code.origin.as_str())
    .bind(code.place.as_str())
    .bind(code.match_number.as_deref())
    .bind(code.created_at)
    .bind(code.expires_at)
    .bind(code.version)
    .execute()
    .await?;
    Ok(())
}

/// Returns a code by its id.
pub async fn by_id(db: &Db, id: TruCodeId) -> Result<Option<TruCode>, Failure> {
    let query = db.query("SELECT ").push(COLUMNS).push(" WHERE id = ").push_bind(id.as_uuid());
    Ok(query.fetch_optional().await?.as_ref().map(read).transpose()?)
}

/// Returns a code by its reference.
pub async fn by_reference(db: &Db, reference: &str) -> Result<Option<TruCode>, Failure> {
    let query = db.query("SELECT ").push(COLUMNS).push(" WHERE reference = ").push_bind(reference);
    Ok(query.fetch_optional().await?.as_ref().map(read).transpose()?)
}

/// Pairs the code; false if a concurrent request was first or counted a wrong number in between, so that concurrent guesses gain nothing.
pub async fn pair(tx: &mut Tx, code: &TruCode, now: Timestamp) -> Result<bool, Failure> {
    let updated = tx
        .query(
            "UPDATE trucode SET identifier = $1, paired_at = $2, version = version + 1 \
             WHERE id = $3 AND (relying_party_id = $4) IS TRUE AND identifier IS NULL AND wrong_numbers = $5",
        )
        .bind(code.identifier.as_deref())
        .bind(now)
        .bind(code.id.as_uuid())
        .bind(code.relying_party.as_uuid())
        .bind(code.wrong_numbers)
        .execute()
        .await?;
    Ok(updated == 1)
}

/// Counts a wrong number, and ends the code after the last; false if a concurrent change was first. `paired_at` is then the time of its end,
/// by which whoever waits for it finds it.
pub async fn count_wrong_number(tx: &mut Tx, code: &TruCode) -> Result<bool, Failure> {
    let ended = (code.wrong_numbers >= MAX_WRONG_NUMBERS).then_some(code.expires_at);
    let updated = tx
        .query(
            "UPDATE trucode SET wrong_numbers = $1, expires_at = $2, paired_at = $6, version = version + 1 \
             WHERE id = $3 AND (relying_party_id = $4) IS TRUE AND identifier IS NULL AND wrong_numbers = $5",
        )
        .bind(code.wrong_numbers)
        .bind(code.expires_at)
        .bind(code.id.as_uuid())
        .bind(code.relying_party.as_uuid())
        .bind(code.wrong_numbers - 1)
        .bind(ended)
        .execute()
        .await?;
    Ok(updated == 1)
}

/// A locked code for which a prompt is about to be created.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Locked {
    /// The identifier that has paired it.
    pub identifier: Option<String>,
    /// Number of prompts requested for it, including this one.
    pub asked: i32,
}

/// Counts a prompt for the code and prevents pairing until this transaction ends; `None` if the code does not exist.
pub async fn lock(tx: &mut Tx, party: RelyingPartyId, id: TruCodeId) -> Result<Option<Locked>, Failure> {
    let sql = "UPDATE trucode SET version = version + 1, asked = asked + 1 WHERE id = $1 AND (relying_party_id = $2) IS TRUE \
               RETURNING identifier, asked";
    let row = tx.query(sql).bind(id.as_uuid()).bind(party.as_uuid()).fetch_optional().await?;
    let read = |row: Row| -> Result<Locked, DbError> {
        let record = row.of(TABLE, id);
        Ok(Locked { identifier: record.get("identifier")?, asked: record.get("asked")? })
    };
    Ok(row.map(read).transpose()?)
}

/// Returns a code that a device paired since a given time, if nothing was requested for it yet, nor for the device by name because of it.
pub async fn unspent_pairing(db: &Db, party: RelyingPartyId, device: &DeviceId, since: Timestamp) -> Result<Option<TruCodeId>, Failure> {
    let sql = "SELECT id FROM trucode WHERE identifier = $1 AND paired_at > $2 AND (relying_party_id = $3 AND device_asked = FALSE AND asked = 0) IS TRUE \
               ORDER BY paired_at DESC LIMIT 1";
    let row = db.query(sql).bind(device.as_str()).bind(since).bind(party.as_uuid()).fetch_optional().await?;
    Ok(row.map(|row| row.get("id").map(TruCodeId::from_uuid)).transpose()?)
}

/// Uses the one prompt by name that a pairing allows; false if another prompt was first.
pub async fn spend_pairing(tx: &mut Tx, code: TruCodeId) -> Result<bool, Failure> {
    let sql =
        "UPDATE trucode SET version = version + 1, device_asked = TRUE WHERE id = $1 AND (device_asked = FALSE AND asked = 0) IS TRUE";
    Ok(tx.query(sql).bind(code.as_uuid()).execute().await? == 1)
}

fn read(row: &Row) -> Result<TruCode, DbError> {
    let record = row.of(TABLE, key(row, "id"));
    let code = TruCode {
        id: TruCodeId::from_uuid(record.get("id")?),
        relying_party: RelyingPartyId::from_uuid(record.get("relying_party_id")?),
        reference: record.get("reference")?,
        payload: record.get("payload")?,
        origin: record.get("origin")?,
        place: record.get("place")?,
        match_number: record.get("match_number")?,
        created_at: record.get("created_at")?,
        expires_at: record.get("expires_at")?,
        wrong_numbers: record.get("wrong_numbers")?,
        identifier: record.get("identifier")?,
        asked: record.get("asked")?,
        version: record.get("version")?,
    };
    invariants::check_trucode(&code)?;
    Ok(code)
}
