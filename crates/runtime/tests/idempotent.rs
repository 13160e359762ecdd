//! A repeated request has one effect and one response, on both engines.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on fails")]

use nodkey_db::{Db, DbConfig, Migration, Migrations, Tx};
use nodkey_kernel::{
    error::Classify as _,
    id::RelyingPartyId,
    random::Random,
    time::{Clock, Timestamp},
    vault::Vault,
};
use nodkey_proto::binding::v1::{Binding, CreateBindingRequest};
use nodkey_runtime::{
    Failure,
    idempotent::{Answers, Request, once},
};
use nodkey_testkit::TestDatabase;

const NOW: Timestamp = Timestamp::from_seconds(1_700_000_000);

const SCHEMA: Migrations = Migrations {
    postgres: &[Migration { version: 1000, name: "effect", sql: "CREATE TABLE effect (id TEXT NOT NULL)" }],
    sqlite: &[Migration { version: 1000, name: "effect", sql: "CREATE TABLE effect (id TEXT NOT NULL) STRICT" }],
};

struct World {
    db: Db,
    vault: Vault,
    random: Random,
    clock: Clock,
}

impl World {
    async fn new(database: &TestDatabase) -> Self {
        let db = Db::connect(&DbConfig { max_connections: 8, ..DbConfig::new(database.url()) }).await.unwrap();
        db.migrate(&SCHEMA).await.unwrap();
        Self { db, vault: Vault::new(&[7; 32]), random: Random::seeded(1), clock: Clock::manual(NOW) }
    }

    fn answers(&self) -> Answers<'_> {
        Answers { db: &self.db, vault: &self.vault, random: &self.random, clock: &self.clock }
    }

    /// Writes a row, and responds with its contents.
    async fn attempt(&self) -> Result<Option<(Tx, Binding)>, Failure> {
        let mut tx = self.db.begin().await?;
        let id = self.random.token();
        tx.query("INSERT INTO effect (id) VALUES ($1)").bind(id.as_str()).execute().await?;
        Ok(Some((tx, Binding { id, ..Binding::default() })))
    }

    async fn create(&self, request: Option<&Request>) -> Result<Binding, Failure> {
        once(request, &self.answers(), || self.attempt()).await
    }

    async fn effects(&self) -> Vec<String> {
        let rows = self.db.query("SELECT id FROM effect").fetch_all().await.unwrap();
        rows.iter().map(|row| row.get("id").unwrap()).collect()
    }
}

fn request(id: &str, user: &str) -> Option<Request> {
    let party = RelyingPartyId::generate(NOW, &Random::seeded(2));
    let message = CreateBindingRequest { request_id: id.into(), user_identifier: user.into(), ..CreateBindingRequest::default() };
    Request::read(party, "CreateBinding", &tonic::Request::new(message), |message| &message.request_id).unwrap()
}

nodkey_testkit::on_both_engines! {
    World::new =>
    the_same_again_has_one_effect_and_one_answer,
    the_same_many_times_at_once_has_one_effect_and_one_answer,
    without_an_id_it_is_done_each_time,
    another_content_is_refused,
    an_answer_that_cannot_be_opened_any_more_is_an_error_and_nothing_is_done_again,
    what_the_same_request_did_a_moment_ago_is_no_reason_to_refuse_it,
    who_loses_every_race_is_told_to_try_again,
}

async fn the_same_again_has_one_effect_and_one_answer(world: World) {
    let first = world.create(request("r", "ada").as_ref()).await.unwrap();
    let again = world.create(request("r", "ada").as_ref()).await.unwrap();
    assert_eq!(first, again);
    assert_eq!(world.effects().await, [first.id]);
}

async fn the_same_many_times_at_once_has_one_effect_and_one_answer(world: World) {
    let world = std::sync::Arc::new(world);
    let mut tasks = tokio::task::JoinSet::new();
    for _ in 0..8 {
        let world = std::sync::Arc::clone(&world);
        tasks.spawn(async move { world.create(request("r", "ada").as_ref()).await.unwrap().id });
    }
    let answers = tasks.join_all().await;
    let effects = world.effects().await;
    assert_eq!(effects.len(), 1);
    assert!(answers.iter().all(|answer| *answer == effects[0]), "{answers:?}");
}

async fn without_an_id_it_is_done_each_time(world: World) {
    assert!(request("", "ada").is_none());
    world.create(None).await.unwrap();
    world.create(None).await.unwrap();
    assert_eq!(world.effects().await.len(), 2);
}

async fn another_content_is_refused(world: World) {
    world.create(request("r", "ada").as_ref()).await.unwrap();
    let refused = world.create(request("r", "grace").as_ref()).await.unwrap_err();
    assert_eq!(refused.reason(), "REQUEST_ID_REUSED");
    assert_eq!(world.effects().await.len(), 1);
}

async fn an_answer_that_cannot_be_opened_any_more_is_an_error_and_nothing_is_done_again(world: World) {
    world.create(request("r", "ada").as_ref()).await.unwrap();
    let world = World { vault: Vault::new(&[8; 32]), ..world };
    let refused = world.create(request("r", "ada").as_ref()).await.unwrap_err();
    assert_eq!(refused.reason(), "ANSWER_LOST");
    assert_eq!(world.effects().await.len(), 1);
    world.create(request("another", "ada").as_ref()).await.unwrap();
}

async fn what_the_same_request_did_a_moment_ago_is_no_reason_to_refuse_it(world: World) {
    let (request, other) = (request("r", "ada"), request("other", "ada"));
    let answer: Result<Binding, Failure> = once(request.as_ref(), &world.answers(), || async {
        // A concurrent attempt of the same request is faster, and its effect conflicts.
        world.create(request.as_ref()).await.unwrap();
        Err(Failure::NotFound("device"))
    })
    .await;
    assert_eq!(world.effects().await, [answer.unwrap().id]);
    let refused: Result<Binding, Failure> = once(other.as_ref(), &world.answers(), || async { Err(Failure::NotFound("device")) }).await;
    assert_eq!(refused.unwrap_err().reason(), "NOT_FOUND");
}

async fn who_loses_every_race_is_told_to_try_again(world: World) {
    let lost: Result<Binding, Failure> = once(request("r", "ada").as_ref(), &world.answers(), || async { Ok(None) }).await;
    assert_eq!(lost.unwrap_err().reason(), "RACED");
}
