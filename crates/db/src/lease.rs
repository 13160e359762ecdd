//! Chooses one of several replicas at a time, by a row and the database's clock.

use std::time::Duration;

use nodkey_kernel::random::Random;
use uuid::Uuid;

use crate::{Db, DbError};

/// A claim to be the one replica that does something, such as relaying the events of a service.
///
/// On PostgreSQL the lease is a row that its holder renews. If the holder stops, the lease expires by the database's clock. Two replicas
/// may hold it for a moment when one was paused in the middle of its work, and that work has to tolerate this. On SQLite the process is the
/// only one.
#[derive(Debug)]
pub struct Lease {
    name: &'static str,
    term: Duration,
    holder: Uuid,
}

impl Lease {
    /// Names the task, and this claimant. The lease lasts for 10 s unless it is renewed.
    #[must_use]
    pub fn new(name: &'static str, random: &Random) -> Self {
        let holder = uuid::Builder::from_random_bytes(random.bytes()).into_uuid();
        Self { name, term: Duration::from_secs(10), holder }
    }

    /// Sets how long it lasts.
    #[must_use]
    pub const fn lasting(mut self, term: Duration) -> Self {
        self.term = term;
        self
    }

    /// Takes the lease if it is free, or renews it; false while another replica holds it.
    pub async fn hold(&self, db: &Db) -> Result<bool, DbError> {
        if !db.is_postgres() {
            return Ok(true);
        }
        let held = db
            .execute(
                "INSERT INTO lease (name, holder, expires_at) VALUES ($1, $2, clock_timestamp() + $3 * INTERVAL '1 millisecond') \
                 ON CONFLICT (name) DO UPDATE SET holder = excluded.holder, expires_at = excluded.expires_at \
                 WHERE lease.holder = excluded.holder OR lease.expires_at < clock_timestamp()",
            )
            .bind(self.name)
            .bind(self.holder)
            .bind(i64::try_from(self.term.as_millis()).unwrap_or(i64::MAX))
            .execute()
            .await?;
        Ok(held == 1)
    }

    /// Lets another replica take the lease now.
    pub async fn release(&self, db: &Db) -> Result<(), DbError> {
        if db.is_postgres() {
            db.execute("DELETE FROM lease WHERE name = $1 AND holder = $2").bind(self.name).bind(self.holder).execute().await?;
        }
        Ok(())
    }
}
