//! Several databases at one moment, and their rows on the other engine.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on fails")]

use std::sync::{
    Arc,
    atomic::{AtomicBool, Ordering},
};

use nodkey_db::{
    Db, DbConfig, Migration, Migrations,
    outbox::{self, EventContext},
    snapshot::{Content, Snapshot, Snapshots, Target, is_empty},
};
use nodkey_kernel::{id::RelyingPartyId, random::Random, time::Timestamp};
use nodkey_proto::registry::v1::DeviceRetired;
use nodkey_testkit::TestDatabase;
use uuid::Uuid;

const NOW: Timestamp = Timestamp::from_seconds(1_700_000_000);

const SCHEMA: Migrations = Migrations {
    postgres: &[Migration {
        version: 1000,
        name: "things",
        sql: "CREATE TABLE a_part (thing_id UUID NOT NULL, n INT NOT NULL, PRIMARY KEY (thing_id, n)); \
              CREATE TABLE thing (id UUID PRIMARY KEY, name TEXT, size BIGINT, flag BOOLEAN, data BYTEA, at TIMESTAMPTZ); \
              CREATE TABLE counter (id TEXT PRIMARY KEY, n BIGINT NOT NULL); INSERT INTO counter VALUES ('x', 0); \
              ALTER TABLE a_part ADD FOREIGN KEY (thing_id) REFERENCES thing (id)",
    }],
    sqlite: &[Migration {
        version: 1000,
        name: "things",
        sql: "CREATE TABLE a_part (thing_id BLOB NOT NULL REFERENCES thing (id), n INTEGER NOT NULL, PRIMARY KEY (n, thing_id)) STRICT, WITHOUT ROWID; \
              CREATE TABLE thing (data BLOB, id BLOB PRIMARY KEY, name TEXT, size INTEGER, flag INTEGER, at INTEGER) STRICT; \
              CREATE TABLE counter (id TEXT PRIMARY KEY, n INTEGER NOT NULL) STRICT; INSERT INTO counter VALUES ('x', 0)",
    }],
};

struct Two {
    databases: [TestDatabase; 2],
    dbs: [Db; 2],
}

impl Two {
    async fn on(databases: [TestDatabase; 2]) -> Self {
        let [one, other] = &databases;
        let dbs = [connect(one).await, connect(other).await];
        Self { databases, dbs }
    }

    fn configs(&self) -> Vec<DbConfig> {
        self.databases.iter().map(|database| DbConfig::new(database.url())).collect()
    }

    async fn snapshots(&self) -> Vec<Snapshot> {
        Snapshots::open(&self.configs()).await.unwrap().all
    }
}

async fn connect(database: &TestDatabase) -> Db {
    let db = Db::connect(&DbConfig { max_connections: 4, ..DbConfig::new(database.url()) }).await.unwrap();
    db.migrate(&SCHEMA).await.unwrap();
    db
}

macro_rules! on_both {
    ($($name:ident,)+) => {
        mod sqlite {
            use super::*;
            $(#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
            async fn $name() {
                super::$name(Two::on([TestDatabase::sqlite(), TestDatabase::sqlite()]).await).await;
            })+
        }
        mod postgres {
            use super::*;
            $(#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
            async fn $name() {
                super::$name(Two::on([TestDatabase::postgres().await, TestDatabase::postgres().await]).await).await;
            })+
        }
    };
}

on_both! {
    what_was_written_first_is_in_no_snapshot_without_what_was_written_before_it,
    what_is_written_later_is_not_seen,
    an_empty_database_is_told_from_one_with_a_schema,
}

async fn count(db: &Db) {
    db.execute("UPDATE counter SET n = n + 1 WHERE id = 'x'").execute().await.unwrap();
}

async fn insert(db: &Db, n: u128) {
    db.execute("INSERT INTO thing (id) VALUES ($1)").bind(Uuid::from_u128(n)).execute().await.unwrap();
}

async fn what_was_written_first_is_in_no_snapshot_without_what_was_written_before_it(two: Two) {
    let stop = Arc::new(AtomicBool::new(false));
    let (dbs, stopping) = (two.dbs.clone(), Arc::clone(&stop));
    // Each row is in the first database before it is in the second. No write may fail.
    let writer = tokio::spawn(async move {
        let mut written = 0;
        while !stopping.load(Ordering::Relaxed) {
            for db in &dbs {
                insert(db, written).await;
            }
            written += 1;
        }
    });
    let (mut last, mut rounds) = (0, 0);
    // Until there was something to compare.
    while rounds < 10 || last == 0 {
        rounds += 1;
        let mut rows = Vec::new();
        for mut snapshot in two.snapshots().await {
            rows.push(snapshot.content("thing", |_| {}).await.unwrap().rows);
        }
        assert!(rows[0] == rows[1] || rows[0] == rows[1] + 1, "{rows:?}");
        last = rows[1];
    }
    stop.store(true, Ordering::Relaxed);
    writer.await.unwrap();
}

async fn what_is_written_later_is_not_seen(two: Two) {
    count(&two.dbs[0]).await;
    let mut snapshots = two.snapshots().await;
    let before = snapshots[0].content("counter", |_| {}).await.unwrap();
    count(&two.dbs[0]).await;
    assert_eq!(snapshots[0].content("counter", |_| {}).await.unwrap(), before);
    assert_ne!(two.snapshots().await[0].content("counter", |_| {}).await.unwrap(), before);
    assert_eq!(snapshots[0].migrations().await.unwrap(), SCHEMA.versions(two.dbs[0].is_postgres()));
    assert!(snapshots[0].tables().await.unwrap().contains(&"a_part".to_owned()));
    if !two.dbs[0].is_postgres() {
        let copy = TestDatabase::sqlite();
        std::fs::write(copy.url().trim_start_matches("sqlite:"), "").unwrap();
        snapshots[0].copy_to(std::path::Path::new(copy.url().trim_start_matches("sqlite:")), |_, _| {}).unwrap();
        let mut copied = Snapshots::open(&[DbConfig::new(copy.url())]).await.unwrap().all;
        assert_eq!(copied[0].content("counter", |_| {}).await.unwrap(), before);
    }
}

async fn an_empty_database_is_told_from_one_with_a_schema(two: Two) {
    assert!(!is_empty(&two.configs()[0]).await.unwrap());
    let fresh = if two.dbs[0].is_postgres() { TestDatabase::postgres().await } else { TestDatabase::sqlite() };
    assert!(is_empty(&DbConfig::new(fresh.url())).await.unwrap());
    assert!(Snapshots::open(&[DbConfig::new(two.databases[0].url())]).await.is_ok());
}

/// How many locks are waited for.
async fn waiting(db: &Db) -> i64 {
    let sql = "SELECT count(*) AS n FROM pg_locks WHERE NOT granted AND mode = 'ShareLock' \
         AND database = (SELECT oid FROM pg_database WHERE datname = current_database())";
    db.query(sql).fetch_one().await.unwrap().get("n").unwrap()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_transaction_that_takes_long_is_not_ended_and_others_write_meanwhile() {
    let two = Two::on([TestDatabase::postgres().await, TestDatabase::postgres().await]).await;
    let mut slow = two.dbs[0].begin().await.unwrap();
    slow.query("INSERT INTO thing (id) VALUES ($1)").bind(Uuid::from_u128(1)).execute().await.unwrap();
    let configs = two.configs();
    let opening = tokio::spawn(async move { Snapshots::open(&configs).await });
    while waiting(&two.dbs[0]).await == 0 {}
    // Tables are locked by name, and this one comes before. The other side gives way before PostgreSQL sees a deadlock.
    slow.query("UPDATE counter SET n = n + 1").execute().await.unwrap();
    // Between the attempts, writers have their turn.
    count(&two.dbs[1]).await;
    slow.commit().await.unwrap();
    let mut snapshots = opening.await.unwrap().unwrap().all;
    assert_eq!(snapshots[0].content("thing", |_| {}).await.unwrap().rows, 1);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn rows_are_the_same_on_the_other_engine_and_what_comes_after_them_has_a_number_of_its_own() {
    let (from, to) = (TestDatabase::sqlite(), TestDatabase::postgres().await);
    let (source, target) = (connect(&from).await, connect(&to).await);
    fill(&source).await;
    let (from, to) = (DbConfig::new(from.url()), DbConfig::new(to.url()));
    let mut snapshot = Snapshots::open(std::slice::from_ref(&from)).await.unwrap().all.remove(0);
    let mut loading = Target::begin(&to).await.unwrap();
    let (mut tables, there) = (loading.tables(), snapshot.tables().await.unwrap());
    tables.retain(|table| there.contains(table));
    assert!(tables.len() > 7 && tables.iter().position(|it| it == "thing") < tables.iter().position(|it| it == "a_part"), "{tables:?}");
    let mut copied = 0;
    for table in &tables {
        loading.copy(&mut snapshot, table, |rows| copied = rows.max(copied)).await.unwrap();
    }
    assert_eq!(copied, 1200);
    loading.commit().await.unwrap();
    let mut loaded = Snapshots::open(std::slice::from_ref(&to)).await.unwrap().all.remove(0);
    for table in &tables {
        let (there, here): (Content, Content) =
            (snapshot.content(table, |_| {}).await.unwrap(), loaded.content(table, |_| {}).await.unwrap());
        assert_eq!(there, here, "{table}");
    }
    drop(loaded);
    publish(&target, 2).await;
    assert_eq!(outbox::batch(&target, 10).await.unwrap().len(), 2);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_value_that_the_other_engine_does_not_store_is_named_and_nothing_is_copied() {
    let (from, to) = (TestDatabase::sqlite(), TestDatabase::postgres().await);
    let (source, target) = (connect(&from).await, connect(&to).await);
    source.execute("INSERT INTO thing (id, name) VALUES ($1, $2)").bind(Uuid::from_u128(1)).bind("a\0b").execute().await.unwrap();
    let mut snapshot = Snapshots::open(&[DbConfig::new(from.url())]).await.unwrap().all.remove(0);
    let mut loading = Target::begin(&DbConfig::new(to.url())).await.unwrap();
    let refused = loading.copy(&mut snapshot, "thing", |_| {}).await.unwrap_err();
    assert!(nodkey_kernel::error::chain(&refused).contains("thing.name"), "{refused:?}");
    drop(loading);
    let n: i64 = target.query("SELECT n FROM counter").fetch_one().await.unwrap().get("n").unwrap();
    assert_eq!(n, 0, "what the schema wrote is still there");
}

async fn fill(db: &Db) {
    let insert = "INSERT INTO thing (id, name, size, flag, data, at) VALUES ($1, $2, $3, $4, $5, $6)";
    let (id, other) = (Uuid::from_u128(7), Uuid::from_u128(8));
    let row = db.execute(insert).bind(id).bind("Zürich \u{202e}").bind(i64::MIN).bind(true).bind(vec![0_u8, 255]);
    row.bind(Timestamp::from_micros(-1)).execute().await.unwrap();
    let row = db.execute(insert).bind(other).bind(None::<&str>).bind(None::<i64>).bind(false).bind(Vec::new());
    row.bind(None::<Timestamp>).execute().await.unwrap();
    let mut tx = db.begin().await.unwrap();
    for n in 0..1200_i32 {
        tx.query("INSERT INTO a_part (thing_id, n) VALUES ($1, $2)")
            .bind(if n % 2 == 0 { id } else { other })
            .bind(n / 2)
            .execute()
            .await
            .unwrap();
    }
    tx.commit().await.unwrap();
    publish(db, 1).await;
}

async fn publish(db: &Db, n: u64) {
    let random = Random::seeded(n);
    let context = EventContext { now: NOW, version: 1, relying_party: RelyingPartyId::generate(NOW, &random) };
    let mut tx = db.begin().await.unwrap();
    outbox::add(&mut tx, &DeviceRetired::default(), &context).await.unwrap();
    tx.commit().await.unwrap();
}
