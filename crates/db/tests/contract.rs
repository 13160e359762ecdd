//! One suite for both engines.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on fails")]

use std::{
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use futures_util::FutureExt as _;
use nodkey_db::{
    Condition, Db, DbConfig, DbError, Lease, Migration, Migrations, Outgoing, backlog, dead_letter,
    idempotency::{self, IdempotencyError, Kept, Lookup, RequestKey},
    inbox,
    outbox::{self, EventContext},
    retention::{self, Window},
};
use nodkey_kernel::{
    error::chain,
    id::{EventId, RelyingPartyId},
    random::Random,
    time::{Clock, Timestamp},
};
use nodkey_proto::registry::v1::DeviceRetired;
use nodkey_testkit::TestDatabase;
use uuid::Uuid;

const NOW: Timestamp = Timestamp::from_seconds(1_700_000_000);

const SCHEMA: Migrations = Migrations {
    postgres: &[Migration {
        version: 1000,
        name: "thing",
        sql: "CREATE TABLE thing (id UUID PRIMARY KEY, name TEXT UNIQUE, size BIGINT, small INT, flag BOOLEAN, data BYTEA, at TIMESTAMPTZ, version BIGINT NOT NULL DEFAULT 1)",
    }],
    sqlite: &[Migration {
        version: 1000,
        name: "thing",
        sql: "CREATE TABLE thing (id BLOB PRIMARY KEY, name TEXT UNIQUE, size INTEGER, small INTEGER, flag INTEGER, data BLOB, at INTEGER, version INTEGER NOT NULL DEFAULT 1) STRICT",
    }],
};

async fn connect(database: &TestDatabase) -> Db {
    let db = Db::connect(&DbConfig { max_connections: 8, ..DbConfig::new(database.url()) }).await.unwrap();
    db.migrate(&SCHEMA).await.unwrap();
    db
}

fn uuid(n: u64) -> Uuid {
    EventId::generate(NOW, &Random::seeded(n)).as_uuid()
}

fn context(n: u64) -> EventContext {
    let random = Random::seeded(n);
    EventContext { now: NOW, version: 1, relying_party: RelyingPartyId::generate(NOW, &random) }
}

async fn insert(db: &Db, id: Uuid, name: &str) -> Result<u64, DbError> {
    db.execute("INSERT INTO thing (id, name) VALUES ($1, $2)").bind(id).bind(name).execute().await
}

/// Runs each function on both engines, as a separate test.
macro_rules! on_both_engines {
    ($($name:ident,)+) => {
        mod sqlite {$(
            #[tokio::test]
            async fn $name() {
                let database = super::TestDatabase::sqlite();
                super::$name(super::connect(&database).await, &database).await;
            }
        )+}
        mod postgres {$(
            #[tokio::test]
            async fn $name() {
                let database = super::TestDatabase::postgres().await;
                super::$name(super::connect(&database).await, &database).await;
            }
        )+}
    };
}

on_both_engines! {
    every_type_and_null_survives_the_round_trip,
    timestamps_sort_as_time_does,
    migrating_again_changes_nothing_and_an_older_build_runs_beside_a_newer_schema_but_not_beside_one_of_the_next_major,
    of_two_versioned_updates_one_wins,
    a_duplicate_is_a_conflict_that_names_its_constraint,
    an_uncommitted_change_is_not_seen_and_a_dropped_one_never_was,
    events_leave_only_with_the_commit_and_wake_the_relay,
    events_come_out_in_order_and_go_when_deleted,
    what_a_consumer_could_not_take_is_kept_for_it_alone_and_can_go_back_to_the_outbox,
    what_is_old_goes_in_batches,
    the_moment_from_which_on_things_are_deleted_is_when_the_table_was_made,
    an_event_is_first_once_a_consumer,
    a_dead_letter_is_kept_once_with_its_cause,
    a_request_id_repeats_its_answer_and_refuses_another_content,
    of_two_requests_with_one_id_one_stores,
    abandoned_begins_do_not_poison_the_pool,
    a_corrupt_column_is_named,
    a_statement_of_pieces_numbers_its_arguments,
    a_transaction_with_a_failed_statement_is_not_committed,
    what_the_engine_cannot_store_is_not_the_engines_fault,
    a_closed_database_is_away,
    a_commit_that_begins_too_late_never_was,
    a_last_statement_takes_effect_with_its_transaction_and_nothing_follows_it,
    a_last_statement_that_fails_or_is_late_takes_everything_with_it,
    places_to_write_from_are_few_and_leave_the_rest_to_those_who_ask_nobody,
}

const INSERT: &str = "INSERT INTO thing (id) VALUES ($1)";

async fn count(db: &Db) -> usize {
    db.query("SELECT id FROM thing").fetch_all().await.unwrap().len()
}

async fn a_last_statement_takes_effect_with_its_transaction_and_nothing_follows_it(db: Db, _: &TestDatabase) {
    let ran = Arc::new(AtomicUsize::new(0));
    for before in [false, true] {
        let mut tx = db.begin().await.unwrap();
        if before {
            tx.query(INSERT).bind(uuid(10)).execute().await.unwrap();
        }
        assert_eq!(tx.last_query(INSERT).bind(uuid(before.into())).execute().await.unwrap(), 1);
        let counted = Arc::clone(&ran);
        tx.after_commit(move || {
            counted.fetch_add(1, Ordering::Relaxed);
        });
        tx.commit().await.unwrap();
    }
    assert_eq!((count(&db).await, ran.load(Ordering::Relaxed)), (3, 2));
    // One that changed nothing is rolled back, and its connection is as good as before.
    let mut tx = db.begin().await.unwrap();
    let none = tx.last_query("DELETE FROM thing WHERE id = $1").bind(uuid(99)).execute().await.unwrap();
    tx.after_commit(|| panic!("it was rolled back"));
    tx.rollback().await.unwrap();
    assert_eq!((none, count(&db).await), (0, 3));
    // Or the transaction goes on.
    let mut tx = db.begin().await.unwrap();
    assert_eq!(tx.last_query("DELETE FROM thing WHERE id = $1").bind(uuid(99)).execute().await.unwrap(), 0);
    tx.go_on();
    tx.query("DELETE FROM thing WHERE id = $1").bind(uuid(10)).execute().await.unwrap();
    tx.rollback().await.unwrap();
    assert_eq!(count(&db).await, 3);
    if db.is_postgres() {
        let mut tx = db.begin().await.unwrap();
        tx.last_query(INSERT).bind(uuid(20)).execute().await.unwrap();
        assert!(matches!(tx.query(INSERT).bind(uuid(21)).execute().await, Err(DbError::Aborted)), "it is over");
        assert!(matches!(tx.last_query(INSERT).bind(uuid(21)).execute().await, Err(DbError::Aborted)));
    }
}

async fn a_last_statement_that_fails_or_is_late_takes_everything_with_it(db: Db, _: &TestDatabase) {
    insert(&db, uuid(1), "taken").await.unwrap();
    for before in [false, true] {
        let mut tx = db.begin().await.unwrap();
        if before {
            tx.query(INSERT).bind(uuid(10)).execute().await.unwrap();
        }
        let refused = tx.last_query("INSERT INTO thing (id, name) VALUES ($1, 'taken')").bind(uuid(2)).execute().await;
        assert!(matches!(refused, Err(DbError::Unique { .. })), "{refused:?}");
        tx.after_commit(|| panic!("it failed"));
        assert!(matches!(tx.commit().await, Err(DbError::Aborted)));
    }
    let clock = Clock::manual(NOW);
    let mut tx = db.place().await.unwrap().begin(&clock, NOW).await.unwrap();
    clock.advance(Duration::from_micros(1));
    let late = tx.last_query(INSERT).bind(uuid(3)).execute().await;
    assert!(matches!(late, Err(DbError::Late)), "{late:?}");
    drop(tx);
    assert_eq!(count(&db).await, 1);
}

async fn every_type_and_null_survives_the_round_trip(db: Db, _: &TestDatabase) {
    db.execute("INSERT INTO thing (id, name, size, small, flag, data, at) VALUES ($1, $2, $3, $4, $5, $6, $7)")
        .bind(uuid(1))
        .bind("ä'\"")
        .bind(i64::MAX)
        .bind(-7)
        .bind(true)
        .bind(&[0u8, 255][..])
        .bind(Timestamp::from_micros(-1))
        .execute()
        .await
        .unwrap();
    db.execute("INSERT INTO thing (id, name, size, small, flag, data, at) VALUES ($1, $2, $3, $4, $5, $6, $7)")
        .bind(uuid(2))
        .bind(None::<String>)
        .bind(None::<i64>)
        .bind(None::<i32>)
        .bind(None::<bool>)
        .bind(None::<Vec<u8>>)
        .bind(None::<Timestamp>)
        .execute()
        .await
        .unwrap();
    let row = db.query("SELECT * FROM thing WHERE id = $1").bind(uuid(1)).fetch_one().await.unwrap();
    assert_eq!(row.get::<Uuid>("id").unwrap(), uuid(1));
    assert_eq!(row.get::<String>("name").unwrap(), "ä'\"");
    assert_eq!(row.get::<i64>("size").unwrap(), i64::MAX);
    assert_eq!(row.get::<i32>("small").unwrap(), -7);
    assert!(row.get::<bool>("flag").unwrap());
    assert_eq!(row.get::<Vec<u8>>("data").unwrap(), [0, 255]);
    assert_eq!(row.get::<Timestamp>("at").unwrap(), Timestamp::from_micros(-1));
    let row = db.query("SELECT * FROM thing WHERE id = $1").bind(uuid(2)).fetch_one().await.unwrap();
    assert_eq!(row.get::<Option<String>>("name").unwrap(), None);
    assert_eq!(row.get::<Option<i64>>("size").unwrap(), None);
    assert_eq!(row.get::<Option<bool>>("flag").unwrap(), None);
    assert_eq!(row.get::<Option<Vec<u8>>>("data").unwrap(), None);
    assert_eq!(row.get::<Option<Timestamp>>("at").unwrap(), None);
}

async fn timestamps_sort_as_time_does(db: Db, _: &TestDatabase) {
    let second = Timestamp::from_seconds(1_700_000_045);
    for (n, at) in [(1, second + Duration::from_millis(500)), (2, second), (3, Timestamp::from_seconds(-5))] {
        db.execute("INSERT INTO thing (id, at) VALUES ($1, $2)").bind(uuid(n)).bind(at).execute().await.unwrap();
    }
    let rows = db.query("SELECT id FROM thing WHERE at <= $1 ORDER BY at").bind(second).fetch_all().await.unwrap();
    let ids: Vec<Uuid> = rows.iter().map(|row| row.get("id").unwrap()).collect();
    assert_eq!(ids, [uuid(3), uuid(2)]);
}

async fn migrating_again_changes_nothing_and_an_older_build_runs_beside_a_newer_schema_but_not_beside_one_of_the_next_major(
    db: Db,
    _: &TestDatabase,
) {
    insert(&db, uuid(1), "a").await.unwrap();
    db.migrate(&SCHEMA).await.unwrap();
    assert_eq!(db.query("SELECT id FROM thing").fetch_all().await.unwrap().len(), 1);
    let older = Migrations { postgres: &[], sqlite: &[] };
    db.migrate(&older).await.unwrap();
    assert_eq!(db.query("SELECT id FROM thing").fetch_all().await.unwrap().len(), 1, "what is newer stays");
    let next = &[Migration { version: 1_000_000, name: "next", sql: "ALTER TABLE thing DROP COLUMN small" }];
    db.migrate(&Migrations { postgres: next, sqlite: next }).await.unwrap();
    db.migrate(&Migrations { postgres: next, sqlite: next }).await.unwrap();
    let refused = db.migrate(&SCHEMA).await.unwrap_err();
    assert!(chain(&refused).contains("1000000"), "{}", chain(&refused));
}

async fn of_two_versioned_updates_one_wins(db: Db, _: &TestDatabase) {
    insert(&db, uuid(1), "a").await.unwrap();
    let update = |name: &'static str| {
        let db = db.clone();
        async move {
            let mut tx = db.begin().await.unwrap();
            let changed = tx
                .query("UPDATE thing SET name = $3, version = version + 1 WHERE id = $1 AND version = $2")
                .bind(uuid(1))
                .bind(1i64)
                .bind(name)
                .execute()
                .await
                .unwrap();
            tx.commit().await.unwrap();
            changed
        }
    };
    let (a, b) = tokio::join!(tokio::spawn(update("x")), tokio::spawn(update("y")));
    assert_eq!(a.unwrap() + b.unwrap(), 1);
}

async fn a_duplicate_is_a_conflict_that_names_its_constraint(db: Db, _: &TestDatabase) {
    insert(&db, uuid(1), "a").await.unwrap();
    let refused = insert(&db, uuid(2), "a").await.unwrap_err();
    assert!(matches!(&refused, DbError::Unique { constraint } if constraint.contains("name")), "{refused:?}");
}

async fn an_uncommitted_change_is_not_seen_and_a_dropped_one_never_was(db: Db, _: &TestDatabase) {
    let mut tx = db.begin().await.unwrap();
    tx.query("INSERT INTO thing (id) VALUES ($1)").bind(uuid(1)).execute().await.unwrap();
    assert!(db.query("SELECT id FROM thing").fetch_optional().await.unwrap().is_none());
    drop(tx);
    assert!(db.query("SELECT id FROM thing").fetch_optional().await.unwrap().is_none());
    assert_eq!(insert(&db, uuid(1), "a").await.unwrap(), 1);
}

async fn events_leave_only_with_the_commit_and_wake_the_relay(db: Db, _: &TestDatabase) {
    let event = DeviceRetired { device_id: "d".into() };
    let mut tx = db.begin().await.unwrap();
    outbox::add(&mut tx, &event, &context(1)).await.unwrap();
    tx.rollback().await.unwrap();
    assert_eq!(outbox::depth(&db).await.unwrap(), (0, None));

    let mut tx = db.begin().await.unwrap();
    outbox::add(&mut tx, &event, &context(1)).await.unwrap();
    tx.commit().await.unwrap();
    db.fresh().notified().await;
    assert_eq!(outbox::depth(&db).await.unwrap(), (1, Some(NOW)));
}

async fn events_come_out_in_order_and_go_when_deleted(db: Db, _: &TestDatabase) {
    for n in 0..5 {
        let mut tx = db.begin().await.unwrap();
        outbox::add(&mut tx, &DeviceRetired { device_id: n.to_string() }, &context(n)).await.unwrap();
        tx.commit().await.unwrap();
    }
    let batch = outbox::batch(&db, 3).await.unwrap();
    let keys: Vec<&str> = batch.iter().map(|o| o.message.subject.rsplit('.').next().unwrap()).collect();
    assert_eq!(keys, ["0", "1", "2"]);
    assert_eq!(batch[0].message.headers["ce-type"], "registry.v1.device_retired");
    assert_eq!(batch[0].message.key(), format!("{}.0", context(0).relying_party));
    outbox::delete(&db, &[batch[0].seq, batch[2].seq]).await.unwrap();
    assert_eq!(outbox::batch(&db, 9).await.unwrap()[0].seq, batch[1].seq);
    assert_eq!(outbox::depth(&db).await.unwrap(), (4, Some(NOW)), "from the first to the last");
    outbox::delete(&db, &[]).await.unwrap();
    let rest: Vec<i64> = outbox::batch(&db, 9).await.unwrap().iter().map(|o| o.seq).collect();
    assert_eq!(rest.len(), 3);
    outbox::delete(&db, &rest.repeat(100)).await.unwrap();
    assert_eq!(outbox::depth(&db).await.unwrap(), (0, None));
}

async fn what_a_consumer_could_not_take_is_kept_for_it_alone_and_can_go_back_to_the_outbox(db: Db, _: &TestDatabase) {
    let keys = |batch: Vec<Result<Outgoing, _>>| -> Vec<String> {
        batch.into_iter().map(|event| event.unwrap().message.subject.rsplit('.').next().unwrap().to_owned()).collect()
    };
    let mut tx = db.begin().await.unwrap();
    for n in 0..5 {
        outbox::add(&mut tx, &DeviceRetired { device_id: n.to_string() }, &context(n)).await.unwrap();
    }
    tx.commit().await.unwrap();
    let written = outbox::batch(&db, 9).await.unwrap();
    let seqs: Vec<i64> = written.iter().map(|event| event.seq).collect();
    let mut tx = db.begin().await.unwrap();
    // In any order, and once for each consumer.
    assert_eq!(backlog::add(&mut tx, "slow", &[seqs[2], seqs[0]]).await.unwrap(), 2);
    assert_eq!(backlog::add(&mut tx, "slow", &[seqs[0], seqs[1]]).await.unwrap(), 1);
    assert_eq!(backlog::add(&mut tx, "slower", &[seqs[1], seqs[3]]).await.unwrap(), 2);
    outbox::delete_in(&mut tx, &seqs[..4]).await.unwrap();
    tx.commit().await.unwrap();
    assert_eq!(backlog::consumers(&db).await.unwrap(), [("slow".to_owned(), 3), ("slower".to_owned(), 2)]);
    let batch = backlog::batch_after(&db, "slow", 0, 9).await.unwrap();
    assert_eq!(batch[0].as_ref().unwrap().message, written[0].message);
    assert_eq!(keys(batch), ["0", "1", "2"]);
    assert_eq!(keys(backlog::batch_after(&db, "slow", seqs[0], 1).await.unwrap()), ["1"]);
    let mut tx = db.begin().await.unwrap();
    assert_eq!(backlog::remove(&mut tx, "slow", &[seqs[0], seqs[3]]).await.unwrap(), 1);
    tx.commit().await.unwrap();
    assert_eq!(keys(backlog::batch_after(&db, "slow", 0, 9).await.unwrap()), ["1", "2"]);
    assert_eq!((backlog::oldest(&db, "slow").await.unwrap(), backlog::oldest(&db, "none").await.unwrap()), (Some(NOW), None));
    assert_eq!(backlog::put_back(&db).await.unwrap(), 3);
    assert_eq!(keys(outbox::batch_after(&db, 0, 9).await.unwrap()), ["4", "1", "2", "3"]);
    assert_eq!((backlog::put_back(&db).await.unwrap(), backlog::consumers(&db).await.unwrap()), (0, Vec::new()));
}

async fn what_is_old_goes_in_batches(db: Db, _: &TestDatabase) {
    let count = u64::try_from(retention::BATCH).unwrap() + 1;
    let mut tx = db.begin().await.unwrap();
    for n in 0..count {
        assert!(inbox::first_time(&mut tx, "c", uuid(n), NOW + Duration::from_micros(n)).await.unwrap());
    }
    tx.commit().await.unwrap();
    let later = NOW + Duration::from_secs(1);
    assert_eq!(inbox::prune(&db, NOW).await.unwrap(), 0, "not older");
    assert_eq!(inbox::prune(&db, later).await.unwrap(), count - 1);
    assert_eq!(inbox::prune(&db, later).await.unwrap(), 1);
}

async fn the_moment_from_which_on_things_are_deleted_is_when_the_table_was_made(db: Db, _: &TestDatabase) {
    let now = nodkey_kernel::time::Clock::system().now();
    let since = retention::since(&db).await.unwrap();
    assert!(since.until(now) < Duration::from_mins(10) && now.until(since) < Duration::from_mins(10), "{since}");
    db.migrate(&SCHEMA).await.unwrap();
    assert_eq!(retention::since(&db).await.unwrap(), since);
}

async fn an_event_is_first_once_a_consumer(db: Db, _: &TestDatabase) {
    let mut tx = db.begin().await.unwrap();
    assert!(inbox::first_time(&mut tx, "a", uuid(1), NOW).await.unwrap());
    assert!(!inbox::first_time(&mut tx, "a", uuid(1), NOW).await.unwrap());
    assert!(inbox::first_time(&mut tx, "b", uuid(1), NOW).await.unwrap());
    tx.commit().await.unwrap();
    assert_eq!(inbox::prune(&db, NOW).await.unwrap(), 0);
    assert_eq!(inbox::prune(&db, NOW + Duration::from_secs(1)).await.unwrap(), 2);
}

async fn a_dead_letter_is_kept_once_with_its_cause(db: Db, _: &TestDatabase) {
    let mut tx = db.begin().await.unwrap();
    outbox::add(&mut tx, &DeviceRetired { device_id: "d".into() }, &context(1)).await.unwrap();
    tx.commit().await.unwrap();
    let message = outbox::batch(&db, 1).await.unwrap().remove(0).message;
    dead_letter::add(&db, "c", &message, "broken", NOW).await.unwrap();
    dead_letter::add(&db, "c", &message, "broken again", NOW).await.unwrap();
    let letters = dead_letter::list(&db, 10).await.unwrap();
    assert_eq!(letters.len(), 1);
    assert_eq!((letters[0].cause.as_str(), letters[0].event_id), ("broken", message.id));
    let later = NOW + Duration::from_secs(1);
    assert_eq!(dead_letter::prune(&db, Window { from: NOW, before: NOW }).await.unwrap(), 0, "not older");
    assert_eq!(dead_letter::prune(&db, Window { from: later, before: later }).await.unwrap(), 0, "from before");
    assert_eq!(dead_letter::prune(&db, Window { from: NOW, before: later }).await.unwrap(), 1);
}

fn kept(key: RequestKey<'_>) -> Kept<'_> {
    Kept { key, response: b"answer".to_vec(), now: NOW }
}

fn request(content: u8) -> RequestKey<'static> {
    let relying_party = RelyingPartyId::generate(NOW, &Random::seeded(1));
    RequestKey { relying_party, operation: "create", request_id: "r", request_hash: [content; 32] }
}

async fn a_request_id_repeats_its_answer_and_refuses_another_content(db: Db, _: &TestDatabase) {
    assert!(matches!(idempotency::lookup(&db, &request(1)).await.unwrap(), Lookup::New));
    let mut tx = db.begin().await.unwrap();
    assert!(idempotency::store(&mut tx, &kept(request(1))).await.unwrap());
    tx.commit().await.unwrap();
    assert!(matches!(idempotency::lookup(&db, &request(1)).await.unwrap(), Lookup::Replay(answer) if answer == b"answer"));
    assert!(matches!(idempotency::lookup(&db, &request(2)).await, Err(IdempotencyError::Mismatch)));
    assert_eq!(idempotency::prune(&db, NOW + Duration::from_secs(1)).await.unwrap(), 1);
}

async fn of_two_requests_with_one_id_one_stores(db: Db, _: &TestDatabase) {
    let run = || {
        let db = db.clone();
        async move {
            let mut tx = db.begin().await.unwrap();
            let stored = idempotency::store(&mut tx, &kept(request(1))).await.unwrap();
            tx.commit().await.unwrap();
            stored
        }
    };
    let (a, b) = tokio::join!(tokio::spawn(run()), tokio::spawn(run()));
    assert!(a.unwrap() ^ b.unwrap());
}

async fn abandoned_begins_do_not_poison_the_pool(db: Db, _: &TestDatabase) {
    for _ in 0..100 {
        // One poll starts the BEGIN, then the caller is dropped.
        let begin = db.begin();
        tokio::select! { biased; _ = begin => {}, () = std::future::ready(()) => {} }
    }
    for n in 0..20 {
        let mut tx = db.begin().await.unwrap();
        tx.query("INSERT INTO thing (id) VALUES ($1)").bind(uuid(n)).execute().await.unwrap();
        tx.commit().await.unwrap();
    }
    assert_eq!(db.query("SELECT id FROM thing").fetch_all().await.unwrap().len(), 20);
}

async fn a_corrupt_column_is_named(db: Db, _: &TestDatabase) {
    insert(&db, uuid(1), "a").await.unwrap();
    let row = db.query("SELECT name FROM thing").fetch_one().await.unwrap();
    assert!(matches!(row.get::<i64>("name"), Err(DbError::Corrupt { column: "name", .. })));
}

async fn a_statement_of_pieces_numbers_its_arguments(db: Db, _: &TestDatabase) {
    insert(&db, uuid(1), "a").await.unwrap();
    insert(&db, uuid(2), "b").await.unwrap();
    let named = |name: Option<&'static str>| {
        let query = db.query("SELECT id FROM thing WHERE version = $1").bind(1i64);
        let query = match name {
            Some(name) => query.push(" AND name = ").push_bind(name),
            None => query,
        };
        query.push(" ORDER BY name LIMIT ").push_bind(9i64).fetch_all()
    };
    assert_eq!(named(None).await.unwrap().len(), 2);
    assert_eq!(named(Some("b")).await.unwrap()[0].get::<Uuid>("id").unwrap(), uuid(2));
}

async fn a_transaction_with_a_failed_statement_is_not_committed(db: Db, _: &TestDatabase) {
    insert(&db, uuid(1), "a").await.unwrap();
    let mut tx = db.begin().await.unwrap();
    tx.query("UPDATE thing SET size = 1").execute().await.unwrap();
    let refused = tx.query("INSERT INTO thing (id) VALUES ($1)").bind(uuid(1)).execute().await;
    assert!(matches!(refused, Err(DbError::Unique { .. })));
    assert!(matches!(tx.commit().await, Err(DbError::Aborted)));
    let row = db.query("SELECT size FROM thing").fetch_one().await.unwrap();
    assert_eq!(row.get::<Option<i64>>("size").unwrap(), None);
}

async fn what_the_engine_cannot_store_is_not_the_engines_fault(db: Db, _: &TestDatabase) {
    if db.is_postgres() {
        // SQLite stores it.
        assert!(matches!(insert(&db, uuid(1), "a\0b").await, Err(DbError::Data(_))));
        let ever = Timestamp::from_micros(i64::MIN);
        let query = db.query("SELECT id FROM thing WHERE at < $1").bind(ever);
        assert!(matches!(query.fetch_all().await, Err(DbError::Data(_))));
    }
    insert(&db, uuid(2), "fine").await.unwrap();
}

async fn a_closed_database_is_away(db: Db, _: &TestDatabase) {
    insert(&db, uuid(1), "a").await.unwrap();
    db.close().await;
    for error in [insert(&db, uuid(2), "b").await.unwrap_err(), db.ping().await.unwrap_err()] {
        assert_eq!(error.condition(), Some(Condition::Away), "{error:?}");
    }
}

#[tokio::test]
async fn one_replica_holds_a_lease_until_it_runs_out_or_is_released() {
    let database = TestDatabase::postgres().await;
    let (db, random) = (connect(&database).await, Random::seeded(1));
    let (a, b, other) = (Lease::new("relay", &random), Lease::new("relay", &random), Lease::new("retention", &random));
    assert!(a.hold(&db).await.unwrap());
    assert!(a.hold(&db).await.unwrap(), "renewed");
    assert!(!b.hold(&db).await.unwrap());
    assert!(other.hold(&db).await.unwrap(), "another thing to do");
    db.execute("UPDATE lease SET expires_at = clock_timestamp() WHERE name = 'relay'").execute().await.unwrap();
    assert!(b.hold(&db).await.unwrap());
    assert!(!a.hold(&db).await.unwrap());
    a.release(&db).await.unwrap();
    assert!(!a.hold(&db).await.unwrap(), "what another holds is not ours to release");
    b.release(&db).await.unwrap();
    assert!(a.hold(&db).await.unwrap());
}

#[tokio::test]
async fn another_scheme_is_refused() {
    let config = DbConfig::new("mysql://x");
    assert!(matches!(Db::connect(&config).await, Err(DbError::Url)));
}

async fn a_commit_that_begins_too_late_never_was(db: Db, _: &TestDatabase) {
    let (clock, fresh) = (Clock::manual(NOW), Duration::from_millis(50));
    for in_turn in [false, true] {
        for (waited, counts) in [(fresh, true), (fresh + Duration::from_micros(1), false)] {
            let place = if in_turn { db.place_in_turn().await } else { db.place().await }.unwrap();
            let mut tx = place.begin(&clock, clock.now() + fresh).await.unwrap();
            let id = Uuid::from_u64_pair(u64::from(in_turn), u64::from(counts));
            tx.query("INSERT INTO thing (id) VALUES ($1)").bind(id).execute().await.unwrap();
            clock.advance(waited);
            let outcome = tx.commit().await;
            assert_eq!(matches!(outcome, Err(DbError::Late)), !counts, "{outcome:?}");
            let found = db.query("SELECT id FROM thing WHERE id = $1").bind(id).fetch_optional().await.unwrap();
            assert_eq!(found.is_some(), counts);
        }
        let place = if in_turn { db.place_in_turn().await } else { db.place().await }.unwrap();
        let late = place.begin(&clock, clock.now() - Duration::from_micros(1)).await;
        assert!(matches!(late, Err(DbError::Late)), "what is too late already does not begin");
    }
}

async fn places_to_write_from_are_few_and_leave_the_rest_to_those_who_ask_nobody(db: Db, _: &TestDatabase) {
    let few = if db.is_postgres() { 4 } else { 64 };
    let mut taken = Vec::new();
    for _ in 0..few {
        taken.push(db.place().await.unwrap());
    }
    assert!(db.place().now_or_never().is_none(), "one more has to wait");
    insert(&db, uuid(1), "by one who asked nobody").await.unwrap();
    let place = taken.pop().unwrap();
    let mut tx = place.begin(&Clock::manual(NOW), NOW).await.unwrap();
    tx.query("INSERT INTO thing (id) VALUES ($1)").bind(uuid(2)).execute().await.unwrap();
    tx.commit().await.unwrap();
    taken.push(db.place().await.unwrap());
    assert!(db.place().now_or_never().is_none());
}
