//! Switch 1: where state lives. PostgreSQL or SQLite, chosen once by the scheme of a URL, behind one SQL text.
//!
//! Only DDL, the codec of timestamps and leases differ between the engines, and they differ in here.
//! Beside the connection stand the tables every service has: [`outbox`], [`inbox`], [`dead_letter`], [`idempotency`],
//! [`retention`] and [`unsigned`]; [`used_proof`] is in two of them; [`sealed`] finds what is sealed in any table.

mod codec;
mod condition;
mod config;
mod connection;
mod counters;
pub mod dead_letter;
mod deadline;
mod error;
pub mod idempotency;
pub mod inbox;
mod lease;
mod message;
mod migrate;
pub mod outbox;
mod place;
mod postgres;
mod query;
pub mod retention;
pub mod sealed;
mod sqlite;
mod tx;
pub mod unsigned;
pub mod used_proof;

pub use codec::{Column, Param, Record, Row};
pub use condition::Condition;
pub use config::DbConfig;
pub use connection::Db;
pub use error::DbError;
pub use lease::Lease;
pub use message::Message;
pub use migrate::{Migration, Migrations};
pub use place::Place;
pub use query::Query;
pub use tx::Tx;
