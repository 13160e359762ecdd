//! Rows. Every finder leads with the relying party, except those that find out whose something is, which say so.

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

/// A column that holds the name of something.
fn named<T: for<'a> TryFrom<&'a str, Error = UnknownName>>(record: &Record<'_>, column: &'static str) -> Result<T, DbError> {
    record.convert(column, |name: String| T::try_from(name.as_str()))
}

/// A column that holds settings as JSON.
fn json<T: DeserializeOwned>(record: &Record<'_>, column: &'static str) -> Result<T, DbError> {
    record.convert(column, |json: String| serde_json::from_str(&json))
}

/// A column that holds a public JWK.
fn key(record: &Record<'_>, column: &'static str) -> Result<PublicJwk, DbError> {
    record.convert(column, |jwk: String| PublicJwk::parse(&jwk))
}

/// The same, or nothing.
fn optional_key(record: &Record<'_>, column: &'static str) -> Result<Option<PublicJwk>, DbError> {
    record.convert(column, |jwk: Option<String>| jwk.as_deref().map(PublicJwk::parse).transpose())
}

fn jwk(key: &PublicJwk) -> String {
    key.to_value().to_string()
}

fn relying_party(record: &Record<'_>) -> Result<RelyingPartyId, DbError> {
    Ok(RelyingPartyId::from_uuid(record.get("relying_party_id")?))
}

/// By the id, and then it has to be the relying party's: `IS TRUE` keeps PostgreSQL from a plan it would make while the table is empty,
/// and keep: looking through everything of the relying party.
fn by_id(query: Query<'_>, party: RelyingPartyId, id: impl Param) -> Query<'_> {
    query.push("id = ").push_bind(id).push(" AND (relying_party_id = ").push_bind(party.as_uuid()).push(") IS TRUE")
}

/// The end of a list, newest first: what comes after its start, one more than the page has.
fn page<'a, T: Param + Clone>(query: Query<'a>, start: &Start<T>, size: i64) -> Query<'a> {
    let query = query.push("(created_at, id) < (").push_bind(start.at).push(", ").push_bind(start.id.clone()).push(")");
    query.push(" ORDER BY created_at DESC, id DESC LIMIT ").push_bind(size + 1)
}

/// A place in a list, newest first: what comes strictly after it is read.
#[derive(Debug, Clone)]
pub struct Start<T> {
    /// When the last one before was created.
    pub at: Timestamp,
    /// Tells those of the same moment apart.
    pub id: T,
}

#[cfg(test)]
mod tests;
