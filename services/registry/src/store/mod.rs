//! Database rows. Every query is scoped to a relying party, except the documented ones that find out which relying party something belongs
//! to.

pub mod app_links;
pub mod audit;
pub mod audit_chain;
pub mod confirmation;
pub mod credential;
pub mod device;
pub mod document;
pub mod operator;
pub mod proven_key;
pub mod relying_party;
pub mod retention;
pub mod sealed;
pub mod signing_key;

use nodkey_db::{DbError, Param, Query, Record};
use nodkey_kernel::{id::RelyingPartyId, jose::PublicJwk, named::UnknownName, time::Timestamp};
use serde::de::DeserializeOwned;

/// Reads a column that holds an enumeration name.
fn named<T: for<'a> TryFrom<&'a str, Error = UnknownName>>(record: &Record<'_>, column: &'static str) -> Result<T, DbError> {
    record.convert(column, |name: String| T::try_from(name.as_str()))
}

/// Reads a column that holds settings as JSON.
fn json<T: DeserializeOwned>(record: &Record<'_>, column: &'static str) -> Result<T, DbError> {
    record.convert(column, |json: String| serde_json::from_str(&json))
}

/// Reads a column that holds a public JWK.
fn key(record: &Record<'_>, column: &'static str) -> Result<PublicJwk, DbError> {
    record.convert(column, |jwk: String| PublicJwk::parse(&jwk))
}

/// Reads a nullable column that holds a public JWK.
fn optional_key(record: &Record<'_>, column: &'static str) -> Result<Option<PublicJwk>, DbError> {
    record.convert(column, |jwk: Option<String>| jwk.as_deref().map(PublicJwk::parse).transpose())
}

fn jwk(key: &PublicJwk) -> String {
    key.to_value().to_string()
}

fn relying_party(record: &Record<'_>) -> Result<RelyingPartyId, DbError> {
    Ok(RelyingPartyId::from_uuid(record.get("relying_party_id")?))
}

/// Looks up by id, and then checks the relying party. `IS TRUE` keeps PostgreSQL from a plan that it would make while the table is empty
/// and then keep: scanning everything of the relying party.
fn by_id(query: Query<'_>, party: RelyingPartyId, id: impl Param) -> Query<'_> {
    query.push("id = ").push_bind(id).push(" AND (relying_party_id = ").push_bind(party.as_uuid()).push(") IS TRUE")
}

/// Appends the end of a list query, newest first: the rows after its start, one more than the page size.
fn page<'a, T: Param + Clone>(query: Query<'a>, start: &Start<T>, size: i64) -> Query<'a> {
    let query = query.push("(created_at, id) < (").push_bind(start.at).push(", ").push_bind(start.id.clone()).push(")");
    query.push(" ORDER BY created_at DESC, id DESC LIMIT ").push_bind(size + 1)
}

/// A position in a list, newest first: reading continues strictly after it.
#[derive(Debug, Clone)]
pub struct Start<T> {
    /// When the last row before it was created.
    pub at: Timestamp,
    /// Distinguishes rows of the same time.
    pub id: T,
}

#[cfg(test)]
mod tests;
