//! What every process of Nodkey has in common, by purpose: how a call travels (`call`, with switch 3), who calls (`identity`), the building
//! blocks of use cases (`use_case`), and how a process is assembled, served and stopped (`serving`). Each uses only those before it.
//!
//! A service is built, not started: [`Service::build`] turns a configuration and [`Deps`] into [`Parts`]. [`main`] runs one service as a
//! separate process; [`embedded`] runs all of them in one. There is no third way to wire anything.

/// Thousands of connections wait: untouched parts of their buffers must cost no memory, and freed memory must be returned.
#[global_allocator]
static ALLOCATOR: tikv_jemallocator::Jemalloc = tikv_jemallocator::Jemalloc;

mod call;
mod identity;
mod serving;
pub mod signing;
pub mod topics;
mod use_case;

pub use call::{
    admission, backoff,
    channel::Channel,
    counts, deadline, frames,
    grpc::mount,
    refusal::Refusal,
    refusals::refused,
    results, status,
    trace::{self, uninterrupted},
};
pub use identity::{
    actor::{Actor, OperatorSession, ResolvedCredential},
    admit::{class_of, waits},
    auth,
    caller::{Caller, Operator, bearer_token, caller, not_authenticated, unauthenticated},
    confirmation,
    deployment::Deployment,
    fault,
    peers::{Peer, PeerChannel, Peers},
    resolver::{CredentialResolver, Proof, ResolvedSession},
    service_token, signature, token,
};
pub use serving::{
    config,
    data_dir::{DataDir, DataDirError},
    embedded,
    given::OF_THE_COMMAND,
    housekeeping,
    metrics::common as common_metrics,
    places::ConnectionLimits,
    process::{install_crypto_provider, main},
    service::{Deps, Job, Parts, Service},
    telemetry,
    tls::TlsFiles,
};
pub use use_case::{
    checked,
    failure::{Failure, Validation},
    idempotent, page, replay, rows,
};
