//! Behavior of PostgreSQL only: connections that break, sessions that end, timeouts.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on fails")]

use nodkey_db::{Condition, Db, DbConfig, DbError, Migration, Migrations};
use nodkey_testkit::TestDatabase;

const SCHEMA: Migrations =
    Migrations { postgres: &[Migration { version: 1000, name: "thing", sql: "CREATE TABLE thing (id BIGINT PRIMARY KEY)" }], sqlite: &[] };

async fn connect(max_connections: u32) -> (TestDatabase, Db) {
    let database = TestDatabase::postgres().await;
    let db = Db::connect(&DbConfig { max_connections, statement_timeout_ms: 500, ..DbConfig::new(database.url()) }).await.unwrap();
    db.migrate(&SCHEMA).await.unwrap();
    (database, db)
}

/// Ends every session of a database except that of `by`, as a server does that shuts down.
async fn end_sessions(by: &Db) {
    by.query("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = current_database() AND pid <> pg_backend_pid()")
        .fetch_all()
        .await
        .unwrap();
    // The sessions end asynchronously.
    let others = "SELECT 1 FROM pg_stat_activity WHERE datname = current_database() AND pid <> pg_backend_pid()";
    while !by.query(others).fetch_all().await.unwrap().is_empty() {}
}

async fn insert(db: &Db, id: i64) -> Result<u64, DbError> {
    db.execute("INSERT INTO thing (id) VALUES ($1)").bind(id).execute().await
}

async fn backend(db: &Db) -> i32 {
    db.query("SELECT pg_backend_pid() AS pid").fetch_one().await.unwrap().get("pid").unwrap()
}

#[tokio::test]
async fn a_session_that_ended_while_idle_is_not_noticed_by_who_reads_or_begins() {
    let (database, db) = connect(4).await;
    let other = Db::connect(&DbConfig::new(database.url())).await.unwrap();
    // Four idle connections.
    let mut open = Vec::new();
    for _ in 0..4 {
        open.push(db.begin().await.unwrap());
    }
    for tx in open {
        tx.rollback().await.unwrap();
    }
    end_sessions(&other).await;
    db.ping().await.unwrap();
    end_sessions(&other).await;
    let mut tx = db.begin().await.unwrap();
    tx.query("INSERT INTO thing (id) VALUES (1)").execute().await.unwrap();
    tx.commit().await.unwrap();
}

#[tokio::test]
async fn a_transaction_that_could_not_begin_is_not_committed() {
    let (database, db) = connect(4).await;
    let other = Db::connect(&DbConfig::new(database.url())).await.unwrap();
    let _idle = db.begin().await.unwrap();
    for last in [false, true] {
        // On a connection that was opened for it: one that had been idle would be replaced.
        let mut tx = db.begin().await.unwrap();
        end_sessions(&other).await;
        let insert = "INSERT INTO thing (id) VALUES (1)";
        let query = if last { tx.last_query(insert) } else { tx.query(insert) };
        query.execute().await.unwrap_err();
        tx.after_commit(|| panic!("nothing was committed"));
        let outcome = tx.commit().await;
        assert!(matches!(outcome, Err(DbError::Aborted)), "{outcome:?}");
    }
}

#[tokio::test]
async fn a_session_that_ends_inside_a_transaction_takes_it_with_it_and_nothing_else() {
    let (database, db) = connect(4).await;
    let other = Db::connect(&DbConfig::new(database.url())).await.unwrap();
    let mut tx = db.begin().await.unwrap();
    tx.query("INSERT INTO thing (id) VALUES (1)").execute().await.unwrap();
    end_sessions(&other).await;
    let error = tx.query("INSERT INTO thing (id) VALUES (2)").execute().await.unwrap_err();
    assert_eq!(error.condition(), Some(Condition::Away), "{error:?}");
    assert!(tx.commit().await.is_err());
    assert_eq!(insert(&db, 1).await.unwrap(), 1);
}

#[tokio::test]
async fn a_connection_that_is_abandoned_within_a_statement_is_not_used_again() {
    let (_database, db) = connect(1).await;
    let before = backend(&db).await;
    assert_eq!(backend(&db).await, before, "one connection is used again and again");
    let slow = db.query("SELECT pg_sleep(0.2)").fetch_all();
    tokio::select! { biased; _ = slow => {}, () = tokio::task::yield_now() => {} }
    assert_ne!(backend(&db).await, before);
}

#[tokio::test]
async fn what_takes_too_long_is_canceled_and_the_connection_goes_on() {
    let (_database, db) = connect(1).await;
    let before = backend(&db).await;
    let error = db.query("SELECT pg_sleep(5)").fetch_all().await.unwrap_err();
    assert_eq!(error.condition(), Some(Condition::TimedOut), "{error:?}");
    assert_eq!(backend(&db).await, before);
}

#[tokio::test]
async fn a_lock_that_others_hold_is_waited_for_less_long_than_a_statement_may_take() {
    let (_database, db) = connect(2).await;
    insert(&db, 1).await.unwrap();
    let mut holder = db.begin().await.unwrap();
    holder.query("UPDATE thing SET id = 1 WHERE id = 1").execute().await.unwrap();
    let error = db.execute("DELETE FROM thing WHERE id = 1").execute().await.unwrap_err();
    assert_eq!(error.condition(), Some(Condition::Busy), "{error:?}");
    holder.commit().await.unwrap();
    assert_eq!(db.execute("DELETE FROM thing WHERE id = 1").execute().await.unwrap(), 1);
}

#[tokio::test]
async fn a_transaction_that_was_dropped_holds_no_lock() {
    let (_database, db) = connect(2).await;
    insert(&db, 1).await.unwrap();
    let mut dropped = db.begin().await.unwrap();
    dropped.query("UPDATE thing SET id = 1 WHERE id = 1").execute().await.unwrap();
    drop(dropped);
    assert_eq!(db.execute("DELETE FROM thing WHERE id = 1").execute().await.unwrap(), 1);
}

#[tokio::test]
async fn a_server_without_a_connection_left_is_busy() {
    let (database, db) = connect(1).await;
    let held = db.begin().await.unwrap();
    let limited = Db::connect(&DbConfig::new(database.url())).await.unwrap();
    limited
        .execute("DO $$ BEGIN EXECUTE format('ALTER DATABASE %I CONNECTION LIMIT 0', current_database()); END $$")
        .execute()
        .await
        .unwrap();
    limited.execute("CREATE ROLE nobody_in_particular LOGIN").execute().await.ok();
    drop(held);
    let url = database.url().replacen("postgres@", "nobody_in_particular@", 1);
    let error = Db::connect(&DbConfig::new(url)).await.unwrap_err();
    assert_eq!(error.condition(), Some(Condition::Busy), "{error:?}");
}

#[tokio::test]
async fn a_database_that_takes_no_writes_says_so_and_is_probed_until_it_does() {
    let (database, db) = connect(1).await;
    db.probe().await.unwrap();
    let set = "DO $$ BEGIN EXECUTE format('ALTER DATABASE %I SET default_transaction_read_only = on', current_database()); END $$";
    db.execute(set).execute().await.unwrap();
    let read_only = Db::connect(&DbConfig::new(database.url())).await.unwrap();
    assert_eq!(insert(&read_only, 1).await.unwrap_err().condition(), Some(Condition::ReadOnly));
    assert_eq!(read_only.probe().await.unwrap_err().condition(), Some(Condition::ReadOnly));
    // The sessions that were open before go on writing.
    insert(&db, 1).await.unwrap();
    db.probe().await.unwrap();
}

#[tokio::test]
async fn a_full_disk_is_probed_by_writing_until_there_is_room() {
    let (_database, db) = connect(2).await;
    db.execute("CREATE FUNCTION full_disk() RETURNS trigger AS $$ BEGIN RAISE EXCEPTION 'no space' USING ERRCODE = 'disk_full'; END $$ LANGUAGE plpgsql")
        .execute()
        .await
        .unwrap();
    for sql in [
        "CREATE TRIGGER full_disk BEFORE INSERT ON thing FOR EACH ROW EXECUTE FUNCTION full_disk()",
        "CREATE TRIGGER full_disk BEFORE INSERT ON probe FOR EACH ROW EXECUTE FUNCTION full_disk()",
    ] {
        db.execute(sql).execute().await.unwrap();
    }
    assert_eq!(insert(&db, 1).await.unwrap_err().condition(), Some(Condition::Full));
    assert_eq!(db.probe().await.unwrap_err().condition(), Some(Condition::Full));
    db.execute("DROP TRIGGER full_disk ON probe").execute().await.unwrap();
    assert_eq!(insert(&db, 1).await.unwrap_err().condition(), Some(Condition::Full));
    db.probe().await.unwrap();
}

/// With an index that is built while others write.
const INDEXED: Migrations = Migrations {
    postgres: &[
        SCHEMA.postgres[0],
        Migration {
            version: 1001,
            name: "index",
            sql: "-- no-transaction\nCREATE INDEX CONCURRENTLY IF NOT EXISTS thing_by_half ON thing ((id / 2))",
        },
    ],
    sqlite: &[],
};

async fn is_valid(db: &Db) -> Option<bool> {
    let sql = "SELECT i.indisvalid FROM pg_index i JOIN pg_class c ON c.oid = i.indexrelid WHERE c.relname = 'thing_by_half'";
    db.query(sql).fetch_optional().await.unwrap().map(|row| row.get("indisvalid").unwrap())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn replicas_that_start_together_build_an_index_once_and_wait_for_one_another() {
    let (database, db) = connect(4).await;
    let start = async || Db::connect(&DbConfig::new(database.url())).await.unwrap().migrate(&INDEXED).await.unwrap();
    futures_util::join!(start(), start(), start(), start());
    assert_eq!(is_valid(&db).await, Some(true));
}

#[tokio::test]
async fn an_index_that_was_left_unfinished_is_built_again() {
    let (_database, db) = connect(4).await;
    db.execute("CREATE INDEX thing_by_half ON thing ((id / 2))").execute().await.unwrap();
    // What a process leaves that is killed on the way. Only a superuser may say so.
    let left = "UPDATE pg_index SET indisvalid = false WHERE indexrelid = 'thing_by_half'::regclass";
    db.execute(left).execute().await.unwrap();
    assert_eq!(is_valid(&db).await, Some(false));
    let others = "CREATE INDEX of_others ON thing ((id / 3))";
    db.execute(others).execute().await.unwrap();
    db.execute("UPDATE pg_index SET indisvalid = false WHERE indexrelid = 'of_others'::regclass").execute().await.unwrap();
    db.migrate(&SCHEMA).await.unwrap();
    assert_eq!(is_valid(&db).await, Some(false), "it is dropped by the build that makes it again, and by no other");
    db.migrate(&INDEXED).await.unwrap();
    assert_eq!(is_valid(&db).await, Some(true));
    let kept = db.query("SELECT 1 AS one FROM pg_class WHERE relname = 'of_others'").fetch_all().await.unwrap();
    assert_eq!(kept.len(), 1, "what somebody else left is theirs");
}
