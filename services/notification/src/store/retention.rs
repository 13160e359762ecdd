//! Deletion of old rows.

use nodkey_db::{
    Db,
    retention::{BATCH, in_list},
};
use nodkey_kernel::{id::DeliveryId, time::Timestamp};
use nodkey_runtime::Failure;
use uuid::Uuid;

/// Deletes a batch of finished deliveries created before a given time, with their attempts. Returns how many deliveries.
pub async fn delete_deliveries(db: &Db, before: Timestamp) -> Result<u64, Failure> {
    // Ids begin with the time of what happened, so their index finds the oldest.
    let bound = DeliveryId::first_of(before).as_uuid();
    let mut tx = db.begin().await?;
    let old = tx.query("SELECT id FROM delivery WHERE id < $1 AND state <> 'pending' ORDER BY id LIMIT $2").bind(bound).bind(BATCH);
    let old: Vec<Uuid> = old.fetch_all().await?.iter().map(|row| row.get("id")).collect::<Result<_, _>>()?;
    in_list(tx.query("DELETE FROM attempt WHERE delivery_id IN"), &old).execute().await?;
    let deleted = in_list(tx.query("DELETE FROM delivery WHERE id IN"), &old).execute().await?;
    tx.commit().await?;
    Ok(deleted)
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use nodkey_db::DbConfig;
    use nodkey_kernel::{
        id::{RelyingPartyId, TrusonaficationId},
        random::Random,
    };
    use nodkey_runtime::Service as _;
    use nodkey_testkit::TestDatabase;

    use super::*;
    use crate::{
        Notification,
        domain::{Attempt, Delivery, EventType, State, Subject},
        store::delivery,
    };

    const NOW: Timestamp = Timestamp::from_seconds(1_000_000);

    /// Inserts deliveries created at `NOW`, each with an attempt.
    async fn insert(db: &Db, random: &Random, state: State, count: i64) {
        let mut tx = db.begin().await.unwrap();
        for _ in 0..count {
            let delivery = Delivery {
                id: DeliveryId::generate(NOW, random),
                relying_party: RelyingPartyId::generate(NOW, random),
                subject: Subject::Trusonafication(TrusonaficationId::generate(NOW, random)),
                event_type: EventType::Accepted,
                endpoint: None,
                queue: "lane".into(),
                url: "https://example.com".into(),
                body: "{}".into(),
                state,
                attempt_count: 1,
                attempts_before: 0,
                next_attempt_at: NOW,
                occurred_at: NOW,
                created_at: NOW,
                version: 1,
                traceparent: None,
            };
            delivery::insert(&mut tx, &delivery).await.unwrap();
            let attempt =
                Attempt { number: 1, started_at: NOW, duration_ms: 1, status_code: 200, error: String::new(), response: String::new() };
            delivery::insert_attempt(&mut tx, delivery.id, &attempt).await.unwrap();
        }
        tx.commit().await.unwrap();
    }

    async fn old_finished_deliveries_go_in_batches_and_nothing_else(db: Db) {
        db.migrate(&Notification::migrations().unwrap()).await.unwrap();
        let random = Random::seeded(1);
        insert(&db, &random, State::Succeeded, BATCH).await;
        insert(&db, &random, State::Exhausted, 1).await;
        insert(&db, &random, State::Pending, 1).await;
        let later = NOW + Duration::from_secs(1);
        assert_eq!(delete_deliveries(&db, NOW).await.unwrap(), 0, "not older");
        assert_eq!(delete_deliveries(&db, later).await.unwrap(), u64::try_from(BATCH).unwrap());
        assert_eq!(delete_deliveries(&db, later).await.unwrap(), 1);
        assert_eq!(delete_deliveries(&db, later).await.unwrap(), 0);
        for sql in ["SELECT id FROM delivery", "SELECT delivery_id FROM attempt"] {
            assert_eq!(db.query(sql).fetch_all().await.unwrap().len(), 1, "{sql}: what waits stays");
        }
    }

    async fn connect(database: &TestDatabase) -> Db {
        Db::connect(&DbConfig { max_connections: 4, ..DbConfig::new(database.url()) }).await.unwrap()
    }

    #[tokio::test]
    async fn old_finished_deliveries_go_on_sqlite() {
        let database = TestDatabase::sqlite();
        old_finished_deliveries_go_in_batches_and_nothing_else(connect(&database).await).await;
    }

    #[tokio::test]
    async fn old_finished_deliveries_go_on_postgres() {
        let database = TestDatabase::postgres().await;
        old_finished_deliveries_go_in_batches_and_nothing_else(connect(&database).await).await;
    }
}
