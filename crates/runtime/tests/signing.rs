//! Keys of a service: none signs before its time, and none is lost whatever fails and whenever, on both engines.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on fails")]

use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex},
    time::Duration,
};

use nodkey_db::{Db, DbConfig, Migration, Migrations};
use nodkey_kernel::{
    error::{Classify as _, FieldViolation},
    jose::{Algorithm, PublicJwk, jws::Compact},
    random::Random,
    time::{Clock, Timestamp},
    vault::Vault,
};
use nodkey_proto::trusonafication::v1::SigningKey as Answer;
use nodkey_runtime::{
    Failure,
    signing::{Held, Keys, POSTGRES, Publish, SQLITE, SigningKey},
};
use nodkey_testkit::TestDatabase;
use serde_json::{Value, json};

const NOW: Timestamp = Timestamp::from_seconds(1_700_000_000);
const LEAD: Duration = Duration::from_mins(5);
const SCHEMA: Migrations = Migrations {
    postgres: &[Migration { version: 1000, name: "keys", sql: POSTGRES }],
    sqlite: &[Migration { version: 1000, name: "keys", sql: SQLITE }],
};

/// Publishes like the registry, unless it is unreachable.
#[derive(Clone, Debug)]
struct Registry {
    clock: Clock,
    published: Arc<Mutex<BTreeMap<String, Timestamp>>>,
    away: Arc<Mutex<bool>>,
    /// Another service signs in its place, as after an upgrade.
    another_signs: bool,
}

impl Publish for Registry {
    async fn publish(&self, key: &PublicJwk, at_once: bool) -> Result<Timestamp, Failure> {
        if *self.away.lock().unwrap() {
            return Err(Failure::Invalid(vec![FieldViolation::new("registry", "is away")]));
        }
        let mut published = self.published.lock().unwrap();
        let now = self.clock.now();
        let first = published.is_empty() && !self.another_signs;
        let signs_at = if first || at_once { now } else { now + LEAD };
        Ok(*published.entry(key.thumbprint()).or_insert(signs_at))
    }
}

/// A service, which may have replicas.
struct World {
    db: Db,
    clock: Clock,
    registry: Registry,
}

impl World {
    async fn new(database: &TestDatabase) -> Self {
        let db = Db::connect(&DbConfig { max_connections: 8, ..DbConfig::new(database.url()) }).await.unwrap();
        db.migrate(&SCHEMA).await.unwrap();
        let clock = Clock::manual(NOW);
        let registry = Registry { clock: clock.clone(), published: Arc::default(), away: Arc::default(), another_signs: false };
        Self { db, clock, registry }
    }

    fn replica(&self, seed: u64) -> Keys<Registry> {
        Keys {
            db: self.db.clone(),
            vault: Arc::new(Vault::new(&[7; 32])),
            clock: self.clock.clone(),
            random: Random::seeded(seed),
            first: Algorithm::EdDsa,
            publisher: self.registry.clone(),
            ring: Held::lasting(Duration::from_secs(30)),
        }
    }

    fn away(&self, away: bool) {
        *self.registry.away.lock().unwrap() = away;
    }

    async fn private_halves(&self) -> usize {
        self.db.query("SELECT id FROM signing_key WHERE sealed_private IS NOT NULL").fetch_all().await.unwrap().len()
    }

    async fn rows(&self) -> usize {
        self.db.query("SELECT id FROM signing_key").fetch_all().await.unwrap().len()
    }
}

fn answer(key: &SigningKey) -> Answer {
    Answer { id: key.key.thumbprint(), algorithm: key.key.algorithm().as_str().into(), ..Answer::default() }
}

async fn rotate(keys: &Keys<Registry>, algorithm: Algorithm, at_once: bool) -> Result<String, Failure> {
    Ok(keys.rotate(None, algorithm, at_once, answer).await?.id)
}

async fn kid(keys: &Keys<Registry>) -> String {
    keys.current().await.unwrap().unwrap().kid().to_owned()
}

nodkey_testkit::on_both_engines! {
    World::new =>
    the_first_key_signs_at_once_and_replicas_agree_on_it,
    a_successor_signs_when_its_time_has_come_and_not_before,
    after_an_upgrade_another_signs_until_the_first_key_was_published_long_enough,
    a_compromised_key_and_those_that_wait_are_gone_at_once,
    while_the_publisher_is_away_the_key_before_signs_on,
    without_a_published_key_nothing_is_signed,
    a_replica_that_hears_of_a_key_signs_by_it_at_once,
    what_the_publisher_has_lost_is_published_again,
    a_key_that_was_sealed_under_another_master_key_is_named,
    in_a_transaction_keys_are_read_by_its_connection,
}

async fn the_first_key_signs_at_once_and_replicas_agree_on_it(world: World) {
    let world = Arc::new(world);
    let mut tasks = tokio::task::JoinSet::new();
    for seed in 0..6 {
        let world = Arc::clone(&world);
        tasks.spawn(async move { kid(&world.replica(seed)).await });
    }
    let kids = tasks.join_all().await;
    assert!(kids.iter().all(|kid| *kid == kids[0]), "{kids:?}");
    let keys = world.replica(7);
    let signer = keys.published().await.unwrap();
    assert_eq!(signer.kid(), kids[0]);
    let jws = signer.sign("a+jwt", &json!({"a": 1}));
    let header = Compact::parse(&jws).unwrap().header().clone();
    assert_eq!((header.kid.as_deref(), header.typ.as_deref(), header.alg.as_str()), (Some(signer.kid()), Some("a+jwt"), "EdDSA"));
    assert_eq!(signer.sign_bytes("a+jwt", br#"{"a":1}"#), jws);
}

async fn a_successor_signs_when_its_time_has_come_and_not_before(world: World) {
    let (one, other) = (world.replica(1), world.replica(2));
    let first = kid(&one).await;
    assert_eq!(kid(&other).await, first);
    let second = rotate(&one, Algorithm::Es256, false).await.unwrap();
    world.clock.advance(LEAD.saturating_sub(Duration::from_micros(1)));
    assert_eq!((kid(&one).await, kid(&other).await), (first.clone(), first), "it is not published long enough");
    world.clock.advance(Duration::from_micros(1));
    // No replica has to read again: the clock decides.
    assert_eq!((kid(&one).await, kid(&other).await), (second.clone(), second.clone()));
    assert_eq!(world.private_halves().await, 2);
    one.keep().await.unwrap();
    assert_eq!((world.private_halves().await, world.rows().await), (1, 2), "nobody can sign with the one before");
    assert_eq!(kid(&one).await, second);
}

async fn after_an_upgrade_another_signs_until_the_first_key_was_published_long_enough(world: World) {
    let world = World { registry: Registry { another_signs: true, ..world.registry.clone() }, ..world };
    let keys = world.replica(1);
    assert!(keys.current().await.unwrap().is_none());
    let published = keys.published().await.unwrap().kid().to_owned();
    world.clock.advance(LEAD);
    assert_eq!(kid(&keys).await, published, "what nobody verified before may be signed by it at once");
}

async fn a_compromised_key_and_those_that_wait_are_gone_at_once(world: World) {
    let keys = world.replica(1);
    kid(&keys).await;
    rotate(&keys, Algorithm::EdDsa, false).await.unwrap();
    let now = rotate(&keys, Algorithm::EdDsa, true).await.unwrap();
    assert_eq!((kid(&keys).await, world.private_halves().await), (now.clone(), 1));
    world.clock.advance(LEAD * 2);
    assert_eq!(kid(&keys).await, now, "the one that waited signs never");
}

async fn while_the_publisher_is_away_the_key_before_signs_on(world: World) {
    let keys = world.replica(1);
    let first = kid(&keys).await;
    world.away(true);
    rotate(&keys, Algorithm::EdDsa, false).await.unwrap_err();
    world.clock.advance(LEAD * 2);
    assert_eq!((kid(&keys).await, kid(&world.replica(2)).await), (first.clone(), first.clone()));
    world.away(false);
    // An unpublished key is used, unless another kind is requested.
    let second = rotate(&keys, Algorithm::Es256, false).await.unwrap();
    assert_eq!((world.rows().await, kid(&keys).await), (2, first));
    world.clock.advance(LEAD);
    assert_eq!(kid(&keys).await, second);
}

async fn without_a_published_key_nothing_is_signed(world: World) {
    let keys = world.replica(1);
    world.away(true);
    keys.current().await.unwrap_err();
    keys.published().await.unwrap_err();
    keys.keep().await.unwrap_err();
    let mut tx = world.db.begin().await.unwrap();
    assert!(keys.published_in(&mut tx).await.unwrap().is_none());
    tx.rollback().await.unwrap();
    world.away(false);
    keys.keep().await.unwrap();
    assert_eq!((world.rows().await, world.registry.published.lock().unwrap().len()), (1, 1), "the key that was made is the one");
}

async fn a_replica_that_hears_of_a_key_signs_by_it_at_once(world: World) {
    let (one, other) = (world.replica(1), world.replica(2));
    let before = kid(&one).await;
    assert_eq!(kid(&other).await, before);
    let after = rotate(&one, Algorithm::Es256, true).await.unwrap();
    assert_eq!((kid(&one).await, kid(&other).await), (after.clone(), before), "it does not know yet");
    other.forget().await;
    assert_eq!(kid(&other).await, after);
}

async fn what_the_publisher_has_lost_is_published_again(world: World) {
    let keys = world.replica(1);
    let first = kid(&keys).await;
    let second = rotate(&keys, Algorithm::EdDsa, false).await.unwrap();
    world.registry.published.lock().unwrap().clear();
    keys.keep().await.unwrap();
    let published: Vec<_> = world.registry.published.lock().unwrap().keys().cloned().collect();
    assert!(published.len() == 2 && published.contains(&first) && published.contains(&second), "{published:?}");
    world.clock.advance(LEAD);
    assert_eq!(kid(&keys).await, second, "when it signs stays as it was");
    world.registry.published.lock().unwrap().clear();
    keys.keep().await.unwrap();
    assert_eq!(world.registry.published.lock().unwrap().len(), 1, "the one before needs no place there any more");
}

async fn a_key_that_was_sealed_under_another_master_key_is_named(world: World) {
    kid(&world.replica(1)).await;
    let keys = Keys { vault: Arc::new(Vault::new(&[8; 32])), ..world.replica(2) };
    let error = keys.current().await.unwrap_err();
    assert_eq!(error.reason(), "INTERNAL");
    assert!(nodkey_kernel::error::chain(&error).contains("sealed under another master key"));
    assert_eq!(world.rows().await, 1, "no other is made in its place");
}

async fn in_a_transaction_keys_are_read_by_its_connection(world: World) {
    let first = kid(&world.replica(1)).await;
    let keys = world.replica(2);
    let mut tx = world.db.begin().await.unwrap();
    assert_eq!(keys.published_in(&mut tx).await.unwrap().unwrap().kid(), first);
    tx.rollback().await.unwrap();
    let claims: Value =
        Compact::parse(&keys.published().await.unwrap().sign("a+jwt", &json!({"b": 2}))).unwrap().unverified_claims().unwrap();
    assert_eq!(claims, json!({"b": 2}));
}
