//! What every process of Nodkey does: configuration, telemetry, channels (switch 3), authentication, serving, shutdown.
//!
//! A service is built, not started: [`Service::build`] turns a configuration and [`Deps`] into [`Parts`]. [`main`] runs one
//! service as a process of its own; [`embedded`] runs all of them in one. There is no third way to wire anything.

/// Connections wait by the thousand: what they have not touched of their buffers must cost nothing, and what is freed must go back.
#[global_allocator]
static ALLOCATOR: tikv_jemallocator::Jemalloc = tikv_jemallocator::Jemalloc;

mod audit;
pub mod auth;
mod channel;
pub mod config;
mod data_dir;
mod deadline;
pub mod embedded;
mod failure;
mod grpc;
mod health;
pub mod housekeeping;
pub mod idempotent;
mod lifecycle;
mod listener;
pub mod page;
mod peers;
mod process;
mod process_status;
mod received;
mod resolver;
pub mod rows;
mod server;
mod service;
pub mod status;
pub mod telemetry;
mod tls;
pub mod trace;

pub use auth::{Caller, Operator, caller};
pub use channel::Channel;
pub use data_dir::{DataDir, DataDirError};
pub use failure::{Failure, Validation};
pub use grpc::mount;
pub use peers::{OperatorSession, Peer, PeerChannel, Peers};
pub use process::{install_crypto_provider, main};
pub use resolver::{CredentialResolver, ResolvedCredential, ResolvedSession};
pub use service::{Deployment, Deps, Job, Parts, Service};
pub use tls::TlsFiles;
pub use trace::uninterrupted;
