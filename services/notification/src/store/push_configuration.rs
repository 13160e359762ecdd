//! Rows of push configurations.

use nodkey_db::{Db, DbError, Query, Row, Tx};
use nodkey_kernel::{id::RelyingPartyId, time::Timestamp};
use nodkey_runtime::{
    Failure,
    rows::{key, readable},
};

use crate::push::{KeptConfiguration, Provider};

const SELECT: &str = "SELECT relying_party_id, provider, sealed_credentials, description, public_key, updated_at, last_failure, \
    last_failure_at FROM push_configuration WHERE relying_party_id = ";

/// Sets the configuration for a provider.
pub async fn put(tx: &mut Tx, party: RelyingPartyId, kept: &KeptConfiguration) -> Result<(), Failure> {
    tx.query(
        "INSERT INTO push_configuration (relying_party_id, provider, sealed_credentials, description, public_key, updated_at) \
         VALUES ($1, $2, $3, $4, $5, $6) ON CONFLICT (relying_party_id, provider) DO UPDATE SET \
         sealed_credentials = excluded.sealed_credentials, description = excluded.description, public_key = excluded.public_key, \
         updated_at = excluded.updated_at, last_failure = '', last_failure_at = NULL",
    )
    .bind(party.as_uuid())
    .bind(kept.provider.as_str())
    .bind(kept.sealed_credentials.as_slice())
    .bind(kept.description.as_str())
    .bind(kept.public_key.as_str())
    .bind(kept.updated_at)
    .execute()
    .await?;
    Ok(())
}

/// Returns the configuration for a provider.
pub async fn get(db: &Db, party: RelyingPartyId, provider: &str) -> Result<Option<KeptConfiguration>, Failure> {
    Ok(of_provider(db.query(SELECT), party, provider).fetch_optional().await?.as_ref().map(read).transpose()?)
}

/// Returns the configuration for a provider inside a transaction.
pub async fn get_in(tx: &mut Tx, party: RelyingPartyId, provider: &str) -> Result<Option<KeptConfiguration>, Failure> {
    Ok(of_provider(tx.query(SELECT), party, provider).fetch_optional().await?.as_ref().map(read).transpose()?)
}

/// Lists the configurations of a relying party: at most one per provider.
pub async fn list(db: &Db, party: RelyingPartyId) -> Result<Vec<KeptConfiguration>, Failure> {
    let rows = db.query(SELECT).push_bind(party.as_uuid()).push(" ORDER BY provider").fetch_all().await?;
    Ok(rows.iter().filter_map(|row| readable(read(row))).collect())
}

/// Records a refusal of the provider.
pub async fn failed(db: &Db, party: RelyingPartyId, provider: &'static str, why: &str, now: Timestamp) -> Result<(), Failure> {
    let sql = "UPDATE push_configuration SET last_failure = $1, last_failure_at = $2 WHERE relying_party_id = $3 AND provider = $4";
    db.execute(sql).bind(why).bind(now).bind(party.as_uuid()).bind(provider).execute().await?;
    Ok(())
}

/// Deletes a configuration.
pub async fn delete(db: &Db, party: RelyingPartyId, provider: &'static str) -> Result<(), Failure> {
    let sql = "DELETE FROM push_configuration WHERE relying_party_id = $1 AND provider = $2";
    db.execute(sql).bind(party.as_uuid()).bind(provider).execute().await?;
    Ok(())
}

fn of_provider<'a>(query: Query<'a>, party: RelyingPartyId, provider: &str) -> Query<'a> {
    query.push_bind(party.as_uuid()).push(" AND provider = ").push_bind(provider)
}

fn read(row: &Row) -> Result<KeptConfiguration, DbError> {
    let record = row.of("push_configuration", format_args!("of {}", key(row, "relying_party_id")));
    let (why, at): (String, Option<Timestamp>) = (record.get("last_failure")?, record.get("last_failure_at")?);
    Ok(KeptConfiguration {
        provider: record.convert("provider", |name: String| Provider::try_from(name.as_str()))?,
        sealed_credentials: record.get("sealed_credentials")?,
        description: record.get("description")?,
        public_key: record.get("public_key")?,
        updated_at: record.get("updated_at")?,
        last_failure: at.map(|at| (why, at)),
    })
}
