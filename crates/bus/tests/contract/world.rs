//! A bus, a database, and a consumer that records what it has seen.

use std::{
    sync::{
        Arc,
        atomic::{AtomicU32, Ordering},
    },
    time::Duration,
};

use nodkey_bus::{Bus, BusConfig, Consumer, EventMeta, HandlerError, Identity, consume};
use nodkey_db::{
    Db, DbConfig, Message, Migration, Migrations,
    outbox::{self, EventContext},
};
use nodkey_kernel::{
    id::{EventId, RelyingPartyId},
    random::Random,
    service_key::ServiceKey,
    time::{Clock, Timestamp},
};
use nodkey_proto::{Event as _, registry::v1::DeviceRetired};
use nodkey_testkit::TestDatabase;
use prost::Message as _;
use tokio::{sync::mpsc, task::JoinHandle};
use tokio_util::sync::CancellationToken;

pub(crate) const NOW: Timestamp = Timestamp::from_seconds(1_700_000_000);

/// What the test consumer records: one row per effect.
pub(crate) const SCHEMA: Migrations = Migrations {
    postgres: &[Migration { version: 1000, name: "effect", sql: "CREATE TABLE effect (device TEXT NOT NULL)" }],
    sqlite: &[Migration { version: 1000, name: "effect", sql: "CREATE TABLE effect (device TEXT NOT NULL) STRICT" }],
};

pub(crate) struct World {
    pub(crate) bus: Bus,
    pub(crate) db: Db,
    pub(crate) random: Random,
    pub(crate) shutdown: CancellationToken,
    pub(crate) prefix: String,
    pub(crate) clock: Clock,
    pub(crate) _database: Option<TestDatabase>,
    pub(crate) url: String,
}

impl World {
    pub(crate) async fn new(url: String) -> Self {
        Self::on(TestDatabase::sqlite(), url).await
    }

    pub(crate) async fn on(database: TestDatabase, url: String) -> Self {
        let address = database.url();
        Self { _database: Some(database), ..Self::at(address, nodkey_testkit::unique_prefix(), url).await }
    }

    /// Another process of the same deployment, which may last as long as this one.
    pub(crate) async fn another(&self) -> Self {
        Self::at(self.url.clone(), self.prefix.clone(), nodkey_testkit::nats_url()).await
    }

    async fn at(address: String, prefix: String, url: String) -> Self {
        let db = Db::connect(&DbConfig { max_connections: 4, ..DbConfig::new(address.clone()) }).await.unwrap();
        db.migrate(&SCHEMA).await.unwrap();
        let config = BusConfig { url, prefix: prefix.clone(), ack_wait_seconds: 1, ..BusConfig::default() };
        let bus = Bus::connect(&config).await.unwrap();
        bus.ensure_stream("registry").await.unwrap();
        let shutdown = CancellationToken::new();
        Self { bus, db, random: Random::system(), shutdown, prefix, clock: Clock::system(), _database: None, url: address }
    }

    pub(crate) fn message(&self, relying_party: RelyingPartyId, device: &str) -> Message {
        self.about(relying_party, device, device)
    }

    /// A message about `device` that carries `said`.
    pub(crate) fn about(&self, relying_party: RelyingPartyId, device: &str, said: &str) -> Message {
        let event = DeviceRetired { device_id: said.into() };
        Message {
            id: EventId::generate(NOW, &self.random).as_uuid(),
            subject: format!("{}.{relying_party}.{device}", DeviceRetired::SUBJECT),
            payload: event.encode_to_vec().into(),
            headers: [("ce-version".to_owned(), "3".to_owned())].into(),
        }
    }

    pub(crate) fn relying_party(&self) -> RelyingPartyId {
        RelyingPartyId::generate(NOW, &self.random)
    }

    /// The same bus for a service that signs with `key` and trusts `keys`.
    pub(crate) async fn signing(&self, key: &ServiceKey, keys: &[&ServiceKey], require_signatures: bool) -> Bus {
        let config = BusConfig {
            url: nodkey_testkit::nats_url(),
            prefix: self.prefix.clone(),
            ack_wait_seconds: 1,
            require_signatures,
            ..BusConfig::default()
        };
        let identity = Identity { key: key.clone(), keys: Arc::new(keys.iter().copied().collect()), clock: self.clock.clone() };
        Bus::connect_as(&config, Some(identity)).await.unwrap()
    }

    /// Starts a consumer that writes a row per event, unless `fail` returns an error; reports each attempt.
    pub(crate) async fn start(
        &self,
        fail: impl Fn(u32, &str) -> Option<HandlerError> + Send + Sync + Clone + 'static,
    ) -> (mpsc::Receiver<String>, JoinHandle<()>) {
        self.start_at(Clock::system(), fail).await
    }

    /// The same with its own clock.
    pub(crate) async fn start_at(
        &self,
        clock: Clock,
        fail: impl Fn(u32, &str) -> Option<HandlerError> + Send + Sync + Clone + 'static,
    ) -> (mpsc::Receiver<String>, JoinHandle<()>) {
        let (consumer, seen) = Self::consumer(fail);
        let run = consume(&self.bus, self.db.clone(), clock, consumer, self.shutdown.clone()).await.unwrap();
        (seen, tokio::spawn(run))
    }

    /// The consumer alone, which is not started.
    pub(crate) fn consumer(
        fail: impl Fn(u32, &str) -> Option<HandlerError> + Send + Sync + Clone + 'static,
    ) -> (Consumer, mpsc::Receiver<String>) {
        let (tries, seen) = mpsc::channel(100);
        let count = Arc::new(AtomicU32::new(0));
        let consumer = Consumer::new("test_device_retired", move |tx, event: DeviceRetired, meta: EventMeta| {
            let (tries, fail, count) = (tries.clone(), fail.clone(), Arc::clone(&count));
            Box::pin(async move {
                assert_eq!(meta.version, 3);
                tx.query("INSERT INTO effect (device) VALUES ($1)").bind(event.device_id.as_str()).execute().await?;
                let outcome = fail(count.fetch_add(1, Ordering::SeqCst), &event.device_id);
                tries.send(event.device_id).await.unwrap();
                outcome.map_or(Ok(()), Err)
            })
        })
        .only_if(|_, event: DeviceRetired, _| Box::pin(async move { Ok(event.device_id != "nothing") }))
        .backoff(Duration::from_millis(1));
        (consumer, seen)
    }

    pub(crate) async fn effects(&self) -> Vec<String> {
        let rows = self.db.query("SELECT device FROM effect").fetch_all().await.unwrap();
        rows.iter().map(|row| row.get("device").unwrap()).collect()
    }

    pub(crate) fn context(relying_party: RelyingPartyId, now: Timestamp) -> EventContext {
        EventContext { now, version: 3, relying_party }
    }

    pub(crate) async fn outbox(&self, relying_party: RelyingPartyId, device: &str) {
        self.outbox_at(relying_party, device, NOW).await;
    }

    pub(crate) async fn outbox_at(&self, relying_party: RelyingPartyId, device: &str, now: Timestamp) {
        let mut tx = self.db.begin().await.unwrap();
        let context = Self::context(relying_party, now);
        outbox::add(&mut tx, &DeviceRetired { device_id: device.into() }, &context).await.unwrap();
        tx.commit().await.unwrap();
    }

    /// Stops a consumer once it has finished its current work.
    pub(crate) async fn stop(&self, task: JoinHandle<()>) {
        self.shutdown.cancel();
        task.await.unwrap();
    }
}
