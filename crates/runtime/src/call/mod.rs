//! How a call travels from one service to another, what it carries along, and which calls are admitted under overload.

pub mod admission;
pub mod backoff;
pub mod channel;
mod class;
mod connection;
pub mod counts;
pub mod deadline;
pub mod frames;
pub mod grpc;
pub mod metrics;
mod pool;
pub mod received;
pub mod refusal;
pub mod refusals;
pub mod results;
pub mod status;
pub mod trace;
