use std::sync::OnceLock;

use axum::Router;
use nodkey_bus::{Bus, BusConfig};
use nodkey_db::DbConfig;
use nodkey_kernel::{
    audit::AUDIT_TYP,
    challenge::CHALLENGE_TYP,
    device::DEVICE_TYP,
    egress::Egress,
    error::Classify as _,
    jose::{PrivateKey as Jose, jws::Compact},
    random::Random,
    receipt::RECEIPT_TYP,
    result::RESULT_TYP,
    service_key::ServiceName,
    vault::Vault,
};
use nodkey_proto::registry::v1 as pb;
use nodkey_runtime::{Channel, Deployment, Peers, Service as _};
use nodkey_testkit::TestDatabase;
use serde_json::json;

use super::*;
use crate::{Registry, domain::signing_key::TOKEN_TYP};

/// A time after the fixtures were made.
const NOW: Timestamp = Timestamp::from_seconds(1_800_000_000);
const LEAD: Duration = Duration::from_mins(5);

struct World {
    app: App,
    clock: Clock,
}

impl World {
    async fn open(database: &TestDatabase, master_key: [u8; 32]) -> Self {
        let db = Db::connect(&DbConfig { max_connections: 4, ..DbConfig::new(database.url()) }).await.unwrap();
        db.migrate(&Registry::migrations().unwrap()).await.unwrap();
        let clock = Clock::manual(NOW);
        let deployment =
            Deployment { internal_key: Some("i".repeat(32).into()), ..Deployment::new("https://id.example.com", Egress::new(false)) };
        let deployment = Arc::new(deployment);
        let nobody = Arc::new(OnceLock::from(Router::new()));
        let peers = Peers::new(ServiceName::Registry, &deployment, &clock, |_| Ok(Channel::InProcess(Arc::clone(&nobody)))).unwrap();
        let deps = Deps {
            db: Some(db),
            bus: Bus::connect(&BusConfig::default()).await.unwrap(),
            peers,
            clock: clock.clone(),
            random: Random::seeded(1),
            vault: Some(Arc::new(Vault::new(&master_key))),
            deployment,
            stopping: tokio_util::sync::CancellationToken::new(),
        };
        Self { app: App::new(&Config::default(), deps).unwrap(), clock }
    }

    async fn new(database: &TestDatabase) -> Self {
        Self::open(database, [7; 32]).await
    }

    /// Publishes a key of trusonafication and returns it with the time from which it signs.
    async fn publish(&self, seed: u64, at_once: bool) -> (PublicJwk, Timestamp) {
        let key = Jose::generate(Algorithm::EdDsa, &Random::seeded(seed)).public();
        let typs = Owner::Trusonafication.typs().iter().map(|typ| (*typ).to_owned()).collect();
        let published = self.app.publish_signing_key(Owner::Trusonafication, key, typs, at_once).await.unwrap();
        (key, published.signs_at)
    }

    async fn rotate(&self) {
        let answer = |key: &OwnKey| pb::SigningKey { id: key.key.thumbprint(), ..pb::SigningKey::default() };
        self.app.rotate_signing_key(None, Algorithm::EdDsa, false, answer).await.unwrap();
    }

    /// The `kid` of the key that signs the registry's own claims.
    async fn own(&self) -> String {
        let jws = self.app.sign_claims(DEVICE_TYP, &json!({})).await.unwrap();
        Compact::parse(&jws).unwrap().header().kid.clone().unwrap()
    }

    async fn typs(&self, kid: &str) -> Vec<String> {
        let jwks = self.app.jwks().await.unwrap();
        jwks.keys.iter().find(|key| key.kid == kid).unwrap().typs.clone().unwrap()
    }
}

nodkey_testkit::on_both_engines! {
    World::new =>
    in_a_new_deployment_the_registry_signs_for_nobody_else,
    a_key_of_another_service_is_published_and_told_when_it_signs,
    a_service_publishes_keys_for_its_own_types_and_under_its_own_name_alone,
}

async fn in_a_new_deployment_the_registry_signs_for_nobody_else(world: World) {
    let kid = world.own().await;
    assert_eq!(world.typs(&kid).await, [DEVICE_TYP, TOKEN_TYP, AUDIT_TYP]);
    let archive = world.app.jwks_archive().await.unwrap();
    assert_eq!(archive["keys"][0]["typs"], json!([DEVICE_TYP, TOKEN_TYP, AUDIT_TYP]), "it signs no evidence, and the audit log");
    for typ in [CHALLENGE_TYP, RESULT_TYP] {
        assert_eq!(world.app.sign(typ, b"{}").await.unwrap_err().reason(), "NOT_SIGNED_HERE");
    }
    for typ in [DEVICE_TYP, TOKEN_TYP, RECEIPT_TYP, "a+jwt"] {
        assert_eq!(world.app.sign(typ, b"{}").await.unwrap_err().reason(), "VALIDATION_FAILED");
    }
}

async fn a_key_of_another_service_is_published_and_told_when_it_signs(world: World) {
    let (first, at) = world.publish(1, false).await;
    assert_eq!(at, NOW, "nobody signs these yet");
    world.clock.advance(Duration::from_hours(1));
    assert_eq!(world.publish(1, false).await, (first, NOW), "again: as it was");
    let (second, at) = world.publish(2, false).await;
    assert_eq!(at, NOW + Duration::from_hours(1) + LEAD);
    assert_eq!(world.publish(2, true).await, (second, at));
    let published = async |key: &PublicJwk| world.app.jwks().await.unwrap().keys.iter().any(|published| published.key == *key);
    assert!(published(&first).await && published(&second).await);
    world.clock.advance(LEAD + Duration::from_hours(30 * 24));
    assert!(!published(&first).await && published(&second).await, "its signatures are dead");
    assert_eq!(world.app.jwks_archive().await.unwrap()["keys"].as_array().unwrap().len(), 3, "evidence is not, nor the audit log");
    let (third, _) = world.publish(3, true).await;
    assert!(published(&third).await && !published(&second).await);
    let (keys, _) = world.app.signing_keys(&Page::parse(10, "").unwrap()).await.unwrap();
    let current: Vec<_> = keys.iter().filter(|(_, current)| *current).map(|(key, _)| (key.owner, key.key)).collect();
    assert!(current.contains(&(Owner::Trusonafication, third)) && current.len() == 2);
    assert_eq!(keys.iter().filter(|(key, _)| key.revoked_at.is_some()).map(|(key, _)| key.key).collect::<Vec<_>>(), [second]);
}

async fn a_service_publishes_keys_for_its_own_types_and_under_its_own_name_alone(world: World) {
    let key = Jose::generate(Algorithm::EdDsa, &Random::seeded(1)).public();
    for typ in [DEVICE_TYP, TOKEN_TYP, "a+jwt"] {
        let refused = world.app.publish_signing_key(Owner::Trusonafication, key, vec![typ.into()], false).await.unwrap_err();
        assert_eq!(refused.reason(), "VALIDATION_FAILED", "{typ}");
    }
    world.own().await;
    let own = world.app.jwks().await.unwrap().keys[0].key;
    let stolen = world.app.publish_signing_key(Owner::Trusonafication, own, vec![CHALLENGE_TYP.into()], false).await.unwrap_err();
    assert_eq!(stolen.reason(), "SIGNING_KEY_TAKEN");
    assert_eq!(world.app.jwks().await.unwrap().keys.len(), 1);
}

/// After an upgrade: the registry's key has signed everything so far.
async fn the_registry_signs_for_another_until_that_signs_by_a_key_of_its_own(world: World) {
    let before = world.own().await;
    assert!(world.typs(&before).await.contains(&CHALLENGE_TYP.to_owned()));
    let by = async || Compact::parse(&world.app.sign(CHALLENGE_TYP, br#"{"a":1}"#).await.unwrap()).unwrap().header().kid.clone().unwrap();
    assert_eq!(by().await, before);
    let (key, at) = world.publish(1, false).await;
    assert_eq!(at, NOW + LEAD);
    // A rotation in the meantime does not change that.
    world.rotate().await;
    world.clock.advance(LEAD);
    let second = world.own().await;
    assert_ne!(second, before);
    assert_eq!(by().await, second, "for a build of before");
    world.rotate().await;
    world.clock.advance(LEAD);
    assert_eq!(world.typs(&world.own().await).await, [DEVICE_TYP, TOKEN_TYP, AUDIT_TYP]);
    assert_eq!(world.app.sign(CHALLENGE_TYP, b"{}").await.unwrap_err().reason(), "NOT_SIGNED_HERE");
    // The three keys of the installation, the one that was lent, its successor, and that of the other service.
    let archive = world.app.jwks_archive().await.unwrap();
    assert_eq!(archive["keys"].as_array().unwrap().len(), 6);
    assert!(archive["keys"].as_array().unwrap().iter().any(|published| published["kid"] == key.thumbprint()));
}

fn master_key(text: &str) -> [u8; 32] {
    hex::decode(text).unwrap().try_into().unwrap()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_first_key_of_a_service_is_at_once_in_the_key_set_of_every_replica() {
    let database = TestDatabase::postgres().await;
    let (here, there) = (World::open(&database, [7; 32]).await, World::open(&database, [7; 32]).await);
    assert_eq!(there.app.jwks().await.unwrap().keys.len(), 1, "the registry's own");
    let (key, at) = here.publish(1, false).await;
    assert_eq!(at, NOW, "it signs");
    assert!(there.app.jwks().await.unwrap().keys.iter().any(|published| published.key == key));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn after_an_upgrade_on_sqlite_the_registry_signs_until_the_other_does() {
    let keys: Value = serde_json::from_str(include_str!("../../../../../tests/installation/sqlite/keys.json")).unwrap();
    let database = TestDatabase::sqlite_of("registry");
    let world = World::open(&database, master_key(keys["master_key"].as_str().unwrap())).await;
    the_registry_signs_for_another_until_that_signs_by_a_key_of_its_own(world).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn after_an_upgrade_on_postgres_the_registry_signs_until_the_other_does() {
    let database = TestDatabase::postgres_of("registry").await;
    let world = World::open(&database, [0xaa; 32]).await;
    the_registry_signs_for_another_until_that_signs_by_a_key_of_its_own(world).await;
}
