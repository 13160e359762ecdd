//! Two replicas that both try to delete.

use std::sync::{
    Arc,
    atomic::{AtomicU64, Ordering},
};

use nodkey_db::{DbConfig, DbError, Migrations};
use nodkey_testkit::TestDatabase;

use super::*;

const NO_TABLES: Migrations = Migrations { postgres: &[], sqlite: &[] };

async fn replica(database: &TestDatabase) -> Arc<Keeper> {
    let db = Db::connect(&DbConfig { max_connections: 2, ..DbConfig::new(database.url()) }).await.unwrap();
    db.migrate(&NO_TABLES).await.unwrap();
    let lease = Lease::new("retention", &Random::system());
    Arc::new(Keeper { service: "test", db, clock: Clock::system(), lease, shutdown: CancellationToken::new() })
}

/// A rule with this number of batches; `at_each` runs at each of them.
fn rule<F>(batches: u64, at_each: impl Fn() -> F + Send + Sync + 'static) -> (Rule, Arc<AtomicU64>)
where
    F: Future<Output = ()> + Send + 'static,
{
    let (begun, counted) = (Arc::new(AtomicU64::new(0)), Arc::new(AtomicU64::new(0)));
    let at_each = Arc::new(at_each);
    let count = Arc::clone(&counted);
    let rule = Rule::new("rows", move |pass: Pass| {
        let (begun, counted, at_each) = (Arc::clone(&begun), Arc::clone(&counted), Arc::clone(&at_each));
        async move {
            let batch = || async {
                if begun.fetch_add(1, Ordering::SeqCst) >= batches {
                    return Ok::<_, DbError>(0);
                }
                at_each().await;
                counted.fetch_add(1, Ordering::SeqCst);
                Ok(1)
            };
            pass.repeat(batch).await.map(drop)
        }
    });
    (rule, count)
}

#[tokio::test]
async fn of_two_replicas_one_deletes_at_a_time_and_the_other_takes_over_when_it_leaves() {
    let database = TestDatabase::postgres().await;
    let (one, other) = (replica(&database).await, replica(&database).await);
    assert!(one.holds().await);
    let looking = Arc::clone(&other);
    let (rule, batches) = rule(3, move || {
        let looking = Arc::clone(&looking);
        async move { assert!(!looking.holds().await, "the other deletes") }
    });
    assert!(one.apply(&rule).await);
    assert_eq!(batches.load(Ordering::SeqCst), 3);
    one.leave().await;
    assert!(other.holds().await);
    assert!(!one.holds().await);
}

#[tokio::test]
async fn a_replica_that_was_too_slow_and_lost_its_turn_stops_after_the_batch_it_is_at() {
    let database = TestDatabase::postgres().await;
    let (one, other) = (replica(&database).await, replica(&database).await);
    assert!(one.holds().await);
    let taking = Arc::clone(&other);
    let (rule, batches) = rule(3, move || {
        let taking = Arc::clone(&taking);
        async move {
            let late = "UPDATE lease SET expires_at = clock_timestamp() - INTERVAL '1 second'";
            taking.db.execute(late).execute().await.unwrap();
            assert!(taking.holds().await);
        }
    });
    assert!(one.apply(&rule).await, "that is no error");
    assert_eq!(batches.load(Ordering::SeqCst), 1);
}
