//! Rows. Every finder leads with the relying party, except those that find out whose something is, which say so.

pub mod app_links;
pub mod audit;
pub mod credential;
pub mod device;
pub mod document;
pub mod operator;
pub mod relying_party;
pub mod retention;
pub mod signing_key;

use std::str::FromStr;

use nodkey_db::Row;
use nodkey_kernel::{id::RelyingPartyId, jose::PublicJwk, time::Timestamp};

use crate::error::Error;

/// A column that holds the name of something.
fn named<T: FromStr>(row: &Row, column: &'static str) -> Result<T, Error> {
    row.get::<String>(column)?.parse().map_err(|_| Error::Corrupt(column))
}

/// A column that holds a public JWK.
fn key(row: &Row, column: &'static str) -> Result<PublicJwk, Error> {
    PublicJwk::parse(&row.get::<String>(column)?).map_err(|_| Error::Corrupt(column))
}

/// The same, or nothing.
fn optional_key(row: &Row, column: &'static str) -> Result<Option<PublicJwk>, Error> {
    row.get::<Option<String>>(column)?.map(|jwk| PublicJwk::parse(&jwk).map_err(|_| Error::Corrupt(column))).transpose()
}

fn jwk(key: &PublicJwk) -> String {
    key.to_value().to_string()
}

fn relying_party(row: &Row) -> Result<RelyingPartyId, Error> {
    Ok(RelyingPartyId::from_uuid(row.get("relying_party_id")?))
}

/// A place in a list, newest first: what comes strictly after it is read.
#[derive(Debug, Clone)]
pub struct Start<T> {
    /// When the last one before was created.
    pub at: Timestamp,
    /// Tells those of the same moment apart.
    pub id: T,
}
