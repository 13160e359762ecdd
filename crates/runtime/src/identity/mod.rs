//! Identity: how a service authenticates to another, and how callers are authenticated.

pub mod actor;
pub mod admit;
pub mod audit;
pub mod auth;
pub mod caller;
pub mod confirmation;
pub mod deployment;
pub mod fault;
pub mod metrics;
pub mod parties;
pub mod peers;
pub mod resolver;
pub mod service_token;
pub mod signature;
mod tally;
pub mod token;
