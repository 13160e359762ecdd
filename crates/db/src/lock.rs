//! One relay a service, however many replicas.

use sqlx::{Connection as _, PgConnection};

use crate::{Db, DbError, connection::Engine};

/// "nodkey" and a 1; only has to differ from the locks of other programs in the same database.
const RELAY_LOCK: i64 = 0x6e6f_646b_6579_0001;

/// The right to relay, held until dropped.
///
/// On PostgreSQL it lives on a connection of its own: if that breaks, two relays may run for a moment, and event ids absorb it.
/// On SQLite the process is the lock.
#[derive(Debug)]
pub struct RelayLock(Option<PgConnection>);

impl RelayLock {
    /// Tells whether the lock still holds.
    pub async fn holds(&mut self) -> bool {
        match &mut self.0 {
            Some(connection) => connection.ping().await.is_ok(),
            None => true,
        }
    }
}

/// Takes the right to relay; `None` while another replica has it.
pub async fn relay_lock(db: &Db) -> Result<Option<RelayLock>, DbError> {
    let Engine::Postgres(postgres) = db.engine() else { return Ok(Some(RelayLock(None))) };
    let mut connection = postgres.connect_alone().await?;
    let (locked,): (bool,) = sqlx::query_as("SELECT pg_try_advisory_lock($1)").bind(RELAY_LOCK).fetch_one(&mut connection).await?;
    Ok(locked.then_some(RelayLock(Some(connection))))
}
