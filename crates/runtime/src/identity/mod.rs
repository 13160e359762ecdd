//! Who calls: how a service proves itself to another, and how the door finds out who stands before it.

pub mod actor;
pub mod admit;
pub mod audit;
pub mod auth;
pub mod caller;
pub mod confirmation;
pub mod deployment;
pub mod fault;
mod parties;
pub mod peers;
pub mod resolver;
pub mod service_token;
pub mod signature;
mod tally;
pub mod token;
