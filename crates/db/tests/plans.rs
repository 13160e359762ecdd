//! No statement on the tables that every service has scans one that grows.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on fails")]

use std::{collections::BTreeSet, time::Duration};

use nodkey_db::{
    Db, DbConfig, Message, Migrations, Tx, backlog, dead_letter,
    idempotency::{self, Kept, RequestKey},
    inbox,
    outbox::{self, EventContext},
    retention::Window,
};
use nodkey_kernel::{
    id::{EventId, RelyingPartyId},
    random::Random,
    time::Timestamp,
};
use nodkey_proto::registry::v1::DeviceRetired;
use nodkey_testkit::{
    TestDatabase,
    plans::{self, Plan},
};
use uuid::Uuid;

const NOW: Timestamp = Timestamp::from_seconds(1_700_000_000);
const TABLES: [&str; 5] = ["outbox", "backlog", "inbox", "idempotency", "dead_letter"];
const SCHEMA: Migrations = Migrations { postgres: &[], sqlite: &[] };

async fn connect(database: &TestDatabase) -> Db {
    let db = Db::connect(&DbConfig { max_connections: 1, ..DbConfig::new(database.url()) }).await.unwrap();
    db.migrate(&SCHEMA).await.unwrap();
    db
}

fn uuid(n: u64) -> Uuid {
    EventId::generate(NOW, &Random::seeded(n)).as_uuid()
}

/// Writes one row of each.
async fn write(tx: &mut Tx, n: u64) {
    let (random, now) = (Random::seeded(n), NOW + Duration::from_micros(n));
    let relying_party = RelyingPartyId::generate(now, &random);
    let context = EventContext { now, version: 1, relying_party };
    outbox::add(tx, &DeviceRetired { device_id: n.to_string() }, &context).await.unwrap();
    let seq: i64 = tx.query("SELECT MAX(seq) AS seq FROM outbox").fetch_one().await.unwrap().get("seq").unwrap();
    assert_eq!(backlog::add(tx, "consumer", &[seq]).await.unwrap(), 1);
    assert!(inbox::first_time(tx, "consumer", uuid(n), now).await.unwrap());
    let key = RequestKey { relying_party, operation: "create", request_id: "r", request_hash: [0; 32] };
    assert!(idempotency::store(tx, &Kept { key, response: b"answer".to_vec(), now }).await.unwrap());
}

async fn exercise(db: &Db) {
    let mut tx = db.begin().await.unwrap();
    write(&mut tx, 0).await;
    tx.commit().await.unwrap();
    let message: Message = outbox::batch(db, 10).await.unwrap().remove(0).message;
    outbox::depth(db).await.unwrap();
    outbox::delete(db, &[1, 2]).await.unwrap();
    assert_eq!(backlog::batch_after(db, "consumer", 0, 10).await.unwrap().len(), 1);
    backlog::oldest(db, "consumer").await.unwrap();
    let mut tx = db.begin().await.unwrap();
    assert_eq!(backlog::remove(&mut tx, "consumer", &[1, 2]).await.unwrap(), 1);
    tx.commit().await.unwrap();
    let relying_party = RelyingPartyId::generate(NOW, &Random::seeded(0));
    let key = RequestKey { relying_party, operation: "create", request_id: "r", request_hash: [0; 32] };
    idempotency::lookup(db, &key).await.unwrap();
    dead_letter::add(db, "consumer", &message, "cause", NOW).await.unwrap();
    dead_letter::list(db, 10).await.unwrap();
    let later = NOW + Duration::from_secs(1);
    assert_eq!(inbox::prune(db, later).await.unwrap(), 1);
    assert_eq!(idempotency::prune(db, later).await.unwrap(), 1);
    assert_eq!(dead_letter::prune(db, Window { from: NOW, before: later }).await.unwrap(), 1);
}

fn check(plans: &[Plan]) {
    // The relay reads at the ends of an index, which a LIMIT stops. Dead letters are few, and an operator reads them.
    let from_an_end = |plan: &Plan| {
        plan.statement.contains("FROM outbox WHERE seq > $1 ORDER BY seq LIMIT")
            && !["Seq Scan", "Sort Key", "TEMP B-TREE"].iter().any(|sorts| plan.says(sorts))
    };
    let fine = |plan: &Plan, line: &str| line.contains("dead_letter") || from_an_end(plan);
    let wrong = plans.iter().filter(|plan| plan.looks_through(&TABLES).is_some_and(|line| !fine(plan, line)));
    let wrong: Vec<_> = wrong.map(ToString::to_string).collect();
    assert!(wrong.is_empty(), "{}", wrong.join("\n\n"));
}

#[tokio::test]
async fn every_statement_finds_what_it_looks_for_by_an_index_also_when_planned_on_empty_tables() {
    let (postgres, sqlite) = (TestDatabase::postgres().await, TestDatabase::sqlite());
    let (db, mut statements) = (connect(&postgres).await, BTreeSet::new());
    exercise(&db).await;
    plans::collect(&db, &TABLES, &mut statements).await;
    assert!(statements.len() > 12, "{}", statements.len());
    check(&plans::of_postgres(&db, &statements).await);
    let mut tx = db.begin().await.unwrap();
    for n in 1..2_000 {
        write(&mut tx, n).await;
    }
    tx.commit().await.unwrap();
    plans::analyze(&db).await;
    check(&plans::of_postgres(&db, &statements).await);
    check(&plans::of_sqlite(&connect(&sqlite).await, &statements).await);
}
