//! How a process is assembled, listens, reports its state, and stops.

mod arguments;
pub mod config;
mod connection;
pub mod data_dir;
pub mod embedded;
mod gauges;
pub mod given;
pub mod health;
pub mod housekeeping;
pub mod keys;
pub mod lifecycle;
pub mod listener;
mod measured;
pub mod metrics;
mod opening;
mod otlp;
pub mod places;
pub mod process;
pub mod process_status;
pub mod reseal;
pub mod server;
pub mod service;
mod shape;
mod stream;
pub mod telemetry;
mod timed;
pub mod tls;
