//! How a process is put together, listens, tells how it is, and stops.

pub mod config;
pub mod data_dir;
pub mod embedded;
pub mod health;
pub mod housekeeping;
pub mod keys;
pub mod lifecycle;
pub mod listener;
pub mod process;
pub mod process_status;
pub mod reseal;
pub mod server;
pub mod service;
pub mod telemetry;
pub mod tls;
