//! Use cases: network calls and reads first, then one transaction with a pure transition and its event.

mod app_links;
mod audit;
mod audit_chain;
mod confirmations;
mod credentials;
mod devices;
mod documents;
mod failures;
mod operator_sessions;
mod operators;
mod phone_calls;
mod relying_parties;
mod replay;
pub mod restored;
mod retention;
mod signing_keys;
mod transfers;

use std::{fmt, sync::Arc, time::Duration};

use nodkey_bus::Bus;
use nodkey_db::{
    Db, Tx,
    outbox::{self, EventContext},
};
use nodkey_kernel::{
    id::RelyingPartyId,
    random::Random,
    time::{Clock, Timestamp},
    vault::Vault,
};
use nodkey_proto::Event;
use nodkey_runtime::{
    Deployment, Deps, Peers,
    idempotent::Answers,
    page::{Cursor, Page},
};

pub use audit::Noted;
pub use audit_chain::Exported;
pub use confirmations::{Presented, RequestedOperation, Standing};
pub use credentials::{NewCredential, ResolvedCredential};
pub use devices::Registered;
pub use documents::Word;
pub use operator_sessions::AliveSession;
pub use operators::{Invited, Opened};

pub use crate::store::audit::{Filter, OutcomeFilter};
use crate::{config::Config, domain::Refusal, error::Error, store::Start};
use failures::Failures;
use signing_keys::{OwnKeys, PublicKeys};

/// How often a change is attempted when concurrent changes win.
const ATTEMPTS: usize = 8;
/// The use cases of the registry. Cheap to clone.
#[derive(Clone)]
pub struct App(Arc<Inner>);

struct Inner {
    db: Db,
    bus: Bus,
    peers: Peers,
    clock: Clock,
    random: Random,
    vault: Arc<Vault>,
    deployment: Arc<Deployment>,
    keys: OwnKeys,
    public_keys: Arc<PublicKeys>,
    session_lifetime: Duration,
    session_idle: Duration,
    audit_retention: Duration,
    failures: Failures,
    unbound_device_days: Option<u32>,
    max_unbound_devices: u32,
}

impl fmt::Debug for App {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("App")
    }
}

impl App {
    /// Creates the use cases.
    pub fn new(config: &Config, deps: Deps) -> anyhow::Result<Self> {
        let (db, vault, (keys, public_keys)) = (deps.db()?, deps.vault()?, signing_keys::keys(config, &deps)?);
        let session_idle = Duration::from_mins(config.session_idle_minutes.into());
        let session_lifetime = Duration::from_hours(config.session_hours.into());
        let audit_retention = Duration::from_hours(24) * config.audit_retention_days;
        let unbound_device_days = config.unbound_device_days;
        let Deps { bus, peers, clock, random, deployment, .. } = deps;
        Ok(Self(Arc::new(Inner {
            db,
            bus,
            peers,
            clock,
            random,
            vault,
            deployment,
            keys,
            public_keys,
            session_lifetime,
            session_idle,
            audit_retention,
            failures: Failures::default(),
            unbound_device_days,
            max_unbound_devices: config.max_unbound_devices,
        })))
    }

    pub(crate) fn now(&self) -> Timestamp {
        self.0.clock.now()
    }

    /// Writes an event to the outbox in this transaction.
    async fn emit<E: Event>(&self, tx: &mut Tx, event: &E, relying_party: RelyingPartyId, version: i64) -> Result<(), Error> {
        self.emit_at(tx, event, relying_party, version, self.now()).await
    }

    /// The same of something whose row says when it happened.
    async fn emit_at<E: Event>(
        &self,
        tx: &mut Tx,
        event: &E,
        relying_party: RelyingPartyId,
        version: i64,
        now: Timestamp,
    ) -> Result<(), Error> {
        Ok(outbox::add(tx, event, &EventContext { now, version, relying_party }).await?)
    }

    /// The store of answers to requests that may be repeated.
    fn answers(&self) -> Answers<'_> {
        Answers { db: &self.0.db, vault: &self.0.vault, random: &self.0.random, clock: &self.0.clock }
    }
}

/// Reads where a page starts. `parse` reads the id in its token.
fn start<T: Default>(page: &Page, parse: impl Fn(&str) -> Option<T>) -> Result<Start<T>, Refusal> {
    let Some(Cursor { at, id }) = &page.after else { return Ok(Start { at: page.before(), id: T::default() }) };
    let id = parse(id).ok_or_else(|| Refusal::invalid("page_token", "must be a page token from an earlier response"))?;
    Ok(Start { at: *at, id })
}
