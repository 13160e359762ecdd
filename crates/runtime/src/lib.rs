//! What every process of Nodkey does, by purpose: how a call travels (`call`, with switch 3), who calls (`identity`), what use cases are
//! made of (`use_case`), and how a process is put together, served and stopped (`serving`). Each uses those before it, never one after it.
//!
//! A service is built, not started: [`Service::build`] turns a configuration and [`Deps`] into [`Parts`]. [`main`] runs one
//! service as a process of its own; [`embedded`] runs all of them in one. There is no third way to wire anything.

/// Connections wait by the thousand: what they have not touched of their buffers must cost nothing, and what is freed must go back.
#[global_allocator]
static ALLOCATOR: tikv_jemallocator::Jemalloc = tikv_jemallocator::Jemalloc;

mod call;
mod identity;
mod serving;
pub mod signing;
mod use_case;

pub use call::{
    channel::Channel,
    grpc::mount,
    status,
    trace::{self, uninterrupted},
};
pub use identity::{
    auth,
    caller::{Caller, Operator, caller},
    deployment::Deployment,
    peers::{OperatorSession, Peer, PeerChannel, Peers},
    resolver::{CredentialResolver, ResolvedCredential, ResolvedSession},
    service_token, token,
};
pub use serving::{
    config,
    data_dir::{DataDir, DataDirError},
    embedded, housekeeping,
    process::{install_crypto_provider, main},
    service::{Deps, Job, Parts, Service},
    telemetry,
    tls::TlsFiles,
};
pub use use_case::{
    failure::{Failure, Validation},
    idempotent, page, rows,
};
