//! Switch 1: where state lives, in PostgreSQL or SQLite. The scheme of a URL chooses once, and one SQL text serves both.
//!
//! Only DDL, the codec of timestamps and leases differ between the engines, and they differ in this crate alone. Besides the connection,
//! the crate has the tables that every service has: [`outbox`], [`backlog`], [`inbox`], [`dead_letter`], [`idempotency`], [`retention`] and
//! [`unsigned`]. Two services also have [`used_proof`]. [`sealed`] finds sealed values in any table.
//! [`snapshot`] reads whole databases as they were at one moment.

pub mod backlog;
mod codec;
mod condition;
mod config;
mod connection;
mod counters;
pub mod dead_letter;
mod deadline;
mod error;
mod fresh;
mod gauges;
pub mod idempotency;
pub mod inbox;
mod lease;
mod message;
mod metrics;
mod migrate;
pub mod outbox;
mod place;
mod postgres;
mod query;
pub mod retention;
pub mod sealed;
pub mod snapshot;
mod spans;
mod sqlite;
mod tx;
pub mod unsigned;
pub mod used_proof;

pub use self::metrics::METRICS;
pub use codec::{Column, Param, Record, Row};
pub use condition::Condition;
pub use config::DbConfig;
pub use connection::Db;
pub use error::DbError;
pub use fresh::{Fresh, FreshEvent, Outgoing};
pub use lease::Lease;
pub use message::Message;
pub use migrate::{Migration, Migrations};
pub use place::Place;
pub use query::Query;
pub use tx::Tx;
