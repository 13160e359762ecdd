//! How a call travels from one service to another, and what it carries along.

pub mod channel;
pub mod deadline;
pub mod grpc;
pub mod received;
pub mod status;
pub mod trace;
