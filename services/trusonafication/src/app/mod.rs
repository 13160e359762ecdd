//! Use cases: calls to other services first, then one transaction with a pure transition and its event, then waiters are woken.

mod budget;
mod changes;
mod count;
mod create;
mod expiry;
mod open;
mod replay;
mod respond;
mod retention;
mod seen;
mod signing;
mod trucode;
mod watch;
#[cfg(test)]
mod world;

use std::{sync::Arc, time::Duration};

use bytes::Bytes;
use nodkey_bus::Bus;
use nodkey_db::{
    Db, Tx,
    outbox::{self, Entry, EventContext},
};
use nodkey_kernel::{
    error::{Classify as _, Kind},
    id::{DeviceId, RelyingPartyId, TrusonaficationId},
    random::Random,
    time::{Clock, Timestamp},
    vault::Vault,
};
use nodkey_proto::{
    binding::v1::{Binding, BindingState, GetDeviceBindingRequest, binding_service_client::BindingServiceClient},
    convert::timestamp,
    registry::v1::{ListIdentityDocumentsRequest, identity_document_service_client::IdentityDocumentServiceClient},
    trusonafication::v1::{
        DeviceUpdate, PendingTrusonafication, TrusonaficationAccepted, TrusonaficationCanceled, TrusonaficationCreated,
        TrusonaficationExpired, TrusonaficationRejected, device_update,
    },
};
use nodkey_runtime::{
    Deployment, Deps, Failure, Peers,
    page::Listed,
    signing::{Held, Keys, Signer},
    status::PeerError,
};
use nodkey_trace::{Following, SpanKind};
use prost::Message as _;
use tokio_util::sync::CancellationToken;

pub use budget::Patience;
pub use changes::{Changes, job as changes_job};
pub use count::{Counted, Steps};
pub use create::Matching;
use expiry::NextLook;
pub use expiry::job as expiry_job;
use open::Open;
use seen::{Bound, RelyingParties};
use signing::{Ending, OwnKeys, Registry};
pub use watch::Watch;

pub use crate::store::{Hold, Listing, Of};
use crate::{
    config::Config,
    convert,
    domain::{Change, State, Status, Trusonafication},
    error::Error,
    metrics::{Measures, NumberOf, WRONG_NUMBERS},
    store::{self, Pending},
};

/// How long signing keys are cached, so that signing costs no read. A change of the keys is announced as well.
const FRESH: Duration = Duration::from_secs(30);
/// How often a change is attempted when concurrent changes win.
const ATTEMPTS: usize = 8;
/// Maximum number of challenges a phone gets in one response.
const MAX_CHALLENGES: i64 = 20;
/// Maximum number of trusonafications ended in one transaction.
const BATCH: i64 = 50;

/// The use cases. Cheap to clone.
#[derive(Clone, Debug)]
pub struct App {
    config: Config,
    db: Db,
    bus: Bus,
    peers: Peers,
    clock: Clock,
    random: Random,
    vault: Arc<Vault>,
    deployment: Arc<Deployment>,
    stopping: CancellationToken,
    keys: OwnKeys,
    open: Open,
    relying_parties: Arc<RelyingParties>,
    bound: Arc<Bound>,
    measures: Measures,
    next_look: Arc<NextLook>,
}

/// What is published about a change: an event and wakes.
struct Update {
    entry: Entry,
    /// Those to wake: with what changed, where they need not read it then.
    wakes: Vec<(String, Option<Bytes>)>,
    relying_party: RelyingPartyId,
    status: Status,
    /// How long the trusonafication was in progress.
    waited: Duration,
    wrong_number: bool,
}

impl App {
    /// Creates the use cases.
    pub fn new(config: Config, deps: Deps) -> anyhow::Result<Self> {
        let first = config.first_algorithm()?;
        let (db, vault) = (deps.db()?, deps.vault()?);
        let Deps { bus, peers, clock, random, deployment, stopping, .. } = deps;
        let keys = Arc::new(Keys {
            db: db.clone(),
            vault: Arc::clone(&vault),
            clock: clock.clone(),
            random: random.clone(),
            first,
            publisher: Registry(peers.clone()),
            ring: Held::lasting(FRESH),
        });
        let measures = Measures::new(&config.measured_relying_parties);
        let relying_parties = Arc::new(RelyingParties::new(peers.clone(), &bus));
        let (open, bound) = (Open::default(), Arc::new(Bound::new()));
        Ok(Self {
            config,
            db,
            bus,
            peers,
            clock,
            random,
            vault,
            deployment,
            stopping,
            keys,
            open,
            relying_parties,
            bound,
            measures,
            next_look: Arc::default(),
        })
    }

    /// The source of randomness.
    pub const fn random(&self) -> &Random {
        &self.random
    }

    /// Canceled when this process is about to stop.
    pub const fn stopping(&self) -> &CancellationToken {
        &self.stopping
    }

    pub(crate) fn now(&self) -> Timestamp {
        self.clock.now()
    }

    /// Returns a trusonafication. Once past its expiry, it is expired permanently from then on.
    pub async fn get(&self, party: RelyingPartyId, id: TrusonaficationId) -> Result<Trusonafication, Error> {
        for _ in 0..ATTEMPTS {
            let found = self.find(party, id).await?;
            match found.expire(self.now()) {
                Change::Same(found) => return Ok(found),
                Change::Changed(expired) => {
                    if self.write(&expired).await? {
                        return Ok(expired);
                    }
                }
            }
        }
        Err(Error::Raced)
    }

    async fn find(&self, party: RelyingPartyId, id: TrusonaficationId) -> Result<Trusonafication, Error> {
        Ok(store::get(&self.db, party, id).await?.ok_or(Failure::NotFound("trusonafication"))?)
    }

    /// Lists them in the requested order.
    pub async fn list(&self, party: RelyingPartyId, listing: &Listing<'_>) -> Result<Listed<Trusonafication>, Error> {
        let now = self.now();
        Ok(store::list(&self.db, party, listing, now).await?.map(|t| t.effective_at(now)))
    }

    /// Cancels a trusonafication.
    pub async fn cancel(&self, party: RelyingPartyId, id: TrusonaficationId) -> Result<Trusonafication, Error> {
        for _ in 0..ATTEMPTS {
            match self.find(party, id).await?.cancel(self.now())? {
                Change::Same(canceled) => return Ok(canceled),
                Change::Changed(canceled) => {
                    if self.write(&canceled).await? {
                        return Ok(canceled);
                    }
                }
            }
        }
        Err(Error::Raced)
    }

    /// Returns the evidence of an answered trusonafication.
    pub async fn evidence(&self, party: RelyingPartyId, id: TrusonaficationId) -> Result<store::Proof, Error> {
        Ok(store::proof(&self.db, party, id).await?.ok_or(Failure::NotFound("evidence: there is none before the phone answers"))?)
    }

    /// Returns the pending challenges of a device: first those its user started with a code, each group oldest first. With `recent`, the
    /// user that the device is bound to may be the answer of a moment ago.
    pub async fn pending(&self, party: RelyingPartyId, device: &DeviceId, recent: bool) -> Result<Vec<Pending>, Error> {
        let user = match self.bound.user(party, device).filter(|_| recent) {
            Some(user) => user,
            None => self.active_user(party, device).await?,
        };
        // Challenges give their expiry in whole seconds. If a phone considers one of them expired, some would refuse the rest as well.
        let second = Timestamp::from_seconds(self.now().as_seconds()) + Duration::from_micros(999_999);
        Ok(store::pending(&self.db, party, device, &user, second, MAX_CHALLENGES).await?)
    }

    /// Cancels the trusonafications that end with a user, binding or device, in the transaction of its event.
    pub async fn cancel_pending(&self, tx: &mut Tx, party: RelyingPartyId, of: Of<'_>) -> Result<(), Error> {
        let (now, mut after) = (self.now(), None);
        loop {
            let page = store::in_progress(tx, party, of, after.as_ref(), BATCH).await?;
            let (last, more) = (page.last().cloned(), page.has_next());
            if last.is_none() {
                return Ok(());
            }
            let rows = page.into_rows();
            if !rows.is_empty() {
                let signer = self.keys.published_in(tx).await?.ok_or(Error::NoSigningKey)?;
                for found in rows {
                    let ended = match found.expire(now) {
                        Change::Changed(expired) => expired,
                        Change::Same(found) => match found.cancel(now)? {
                            Change::Changed(canceled) | Change::Same(canceled) => canceled,
                        },
                    };
                    // Lost against a phone: its answer was given while it still counted.
                    self.end(tx, &signer, &ended).await?;
                }
            }
            if !more {
                return Ok(());
            }
            after = last;
        }
    }

    /// Wakes the requests waiting for one of these devices once the transaction is committed: what they may see has changed.
    pub fn wake(&self, tx: &mut Tx, party: RelyingPartyId, devices: Vec<DeviceId>) {
        let (bus, bound) = (self.bus.clone(), Arc::clone(&self.bound));
        tx.after_commit(move || {
            for device in &devices {
                bound.forget(party, device);
            }
            tokio::spawn(async move {
                for device in devices {
                    bus.wake(&format!("device.{device}")).await;
                }
            });
        });
    }

    /// Writes a change that is not an answer; false if a concurrent change was first.
    async fn write(&self, changed: &Trusonafication) -> Result<bool, Error> {
        let signer = self.keys.published().await?;
        let mut tx = self.db.begin().await?;
        if !self.end(&mut tx, &signer, changed).await? {
            tx.rollback().await?;
            return Ok(false);
        }
        tx.commit().await?;
        Ok(true)
    }

    /// Ends a trusonafication without an answer, with its receipt; false if a concurrent change was first.
    async fn end(&self, tx: &mut Tx, signer: &Signer, ended: &Trusonafication) -> Result<bool, Error> {
        let challenge = store::challenge(tx, ended.relying_party, ended.id).await?;
        let ending = self.ending(signer, ended, &challenge, None)?;
        let budget = self.account(tx, ended).await?;
        if !store::update(tx, ended, &ending.receipt).await? {
            return Ok(false);
        }
        self.write_budget(tx, ended, budget).await?;
        self.publish(tx, &Self::ended(ended, ending)).await?;
        Ok(true)
    }

    /// What is published when a trusonafication is created.
    fn created(t: &Trusonafication, challenge: &str) -> Update {
        let created = PendingTrusonafication {
            id: t.id.to_string(),
            challenge: challenge.to_owned(),
            expires_at: Some(timestamp(t.ask.expires_at)),
            self_started: t.is_self_started(),
        };
        Self::update(t, Ending::default(), device_update::Update::Created(created))
    }

    /// What is published when a trusonafication ends.
    fn ended(t: &Trusonafication, ending: Ending) -> Update {
        Self::update(t, ending, device_update::Update::EndedId(t.id.to_string()))
    }

    fn update(t: &Trusonafication, ending: Ending, update: device_update::Update) -> Update {
        let entry = Self::entry(t, ending);
        let mut wakes = Vec::with_capacity(t.told.len() + 2);
        if t.is_terminal() {
            wakes.push((topic(t.id), None));
        }
        let update = Bytes::from(DeviceUpdate { update: Some(update) }.encode_to_vec());
        wakes.extend(t.told.iter().map(|device| (format!("device.{device}"), Some(update.clone()))));
        wakes.push((all_topic(t.relying_party), None));
        let (status, waited) = (t.state.status(), t.created_at.until(t.updated_at));
        Update { entry, wakes, relying_party: t.relying_party, status, waited, wrong_number: t.has_wrong_number() }
    }

    /// The event of a change. Made again from the row of an ended trusonafication it is the same event, with the same id.
    fn entry(t: &Trusonafication, Ending { receipt, result }: Ending) -> Entry {
        let trusonafication = Some(convert::event(t));
        let result = result.unwrap_or_default();
        // A login is one trace, however many requests it takes.
        let span = traced(t);
        let _guard = span.context().attach();
        let about = EventContext { now: t.updated_at, version: t.version, relying_party: t.relying_party };
        match &t.state {
            State::InProgress => {
                let device_identifiers = t.told.iter().map(ToString::to_string).collect();
                Entry::new(&TrusonaficationCreated { trusonafication, device_identifiers }, &about)
            }
            State::Accepted { .. } => Entry::new(&TrusonaficationAccepted { trusonafication, receipt, result }, &about),
            State::Rejected { .. } => Entry::new(&TrusonaficationRejected { trusonafication, receipt, result }, &about),
            State::Expired => Entry::new(&TrusonaficationExpired { trusonafication, receipt, result }, &about),
            State::Canceled => Entry::new(&TrusonaficationCanceled { trusonafication, receipt }, &about),
        }
    }

    async fn publish(&self, tx: &mut Tx, update: &Update) -> Result<(), Error> {
        outbox::insert(tx, &update.entry).await?;
        self.notify(tx, update);
        Ok(())
    }

    /// Wakes those who wait for a change, and counts it, once the transaction is committed.
    fn notify(&self, tx: &mut Tx, update: &Update) {
        let (bus, status, waited, wakes) = (self.bus.clone(), update.status, update.waited, update.wakes.clone());
        let (wrong_number, party, measures) = (update.wrong_number, update.relying_party, self.measures.clone());
        tx.after_commit(move || {
            if wrong_number {
                WRONG_NUMBERS.with(NumberOf::Prompt).increment(1);
            }
            measures.record(party, status, waited);
            tokio::spawn(async move {
                for (topic, update) in wakes {
                    match update {
                        Some(update) => bus.wake_with(&topic, update).await,
                        None => bus.wake(&topic).await,
                    }
                }
            });
        });
    }

    /// Fetches the user a device is bound to at this moment.
    async fn active_user(&self, party: RelyingPartyId, device: &DeviceId) -> Result<String, Error> {
        let user = self.read_active_user(party, device).await;
        self.bound.note(party, device, &user);
        user
    }

    async fn read_active_user(&self, party: RelyingPartyId, device: &DeviceId) -> Result<String, Error> {
        let binding = self.binding(party, device).await?.ok_or(Error::DeviceNotBound)?;
        match binding.state() {
            BindingState::Active if binding.user_frozen => Err(Error::UserFrozen),
            BindingState::Active => Ok(binding.user_identifier),
            BindingState::Inactive => Err(Error::DeviceNotActive),
            BindingState::Deactivated | BindingState::Unspecified => Err(Error::DeviceNotBound),
        }
    }

    async fn binding(&self, party: RelyingPartyId, device: &DeviceId) -> Result<Option<Binding>, Error> {
        let mut bindings = BindingServiceClient::new(self.peers.binding().acting_for(party));
        let request = GetDeviceBindingRequest { device_identifier: device.to_string(), with_user_devices: false };
        match bindings.get_device_binding(request).await.map_err(PeerError::from) {
            Ok(answer) => Ok(Some(answer.into_inner())),
            Err(e) if e.kind() == Kind::NotFound => Ok(None),
            Err(e) => Err(e.into()),
        }
    }

    /// Fetches the hashes of a user's documents that count: the newest hundred.
    async fn documents(&self, party: RelyingPartyId, user: &str) -> Result<Vec<String>, Error> {
        let mut documents = IdentityDocumentServiceClient::new(self.peers.registry().acting_for(party));
        let request = ListIdentityDocumentsRequest {
            user_identifier: user.to_owned(),
            page_size: 100,
            counting: true,
            ..ListIdentityDocumentsRequest::default()
        };
        let found = documents.list_identity_documents(request).await?.into_inner().identity_documents;
        // A registry of an earlier release does not say; there, all documents count.
        Ok(found.into_iter().filter(|document| document.counts.unwrap_or(true)).map(|document| document.hash).collect())
    }
}

/// The topic that is woken whenever a trusonafication of a relying party is created or changes.
fn all_topic(party: RelyingPartyId) -> String {
    format!("trusonafications.{party}")
}

/// The topic that is woken when the trusonafication ends.
fn topic(id: TrusonaficationId) -> String {
    format!("trusonafication.{id}")
}

/// What became of a trusonafication, in the trace of the request that created it. While nothing has, that is the current one.
fn traced(t: &Trusonafication) -> Following {
    let cause = t.traceparent.as_deref().filter(|_| t.is_terminal());
    let span = Following::from(cause, SpanKind::Internal, nodkey_trace::current);
    span.describe(|| (format!("trusonafication {}", t.state.status().as_str()).into(), Vec::new()));
    span
}
