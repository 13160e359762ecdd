//! Check, then act. A use case that calls other services before its transaction takes a permit first and holds it during the calls, so that
//! it waits for nothing between their answers and the commit. A deadline cuts off any waiting that remains.

use std::fmt;

use nodkey_kernel::time::{Clock, Timestamp};
use tokio::sync::OwnedSemaphorePermit;

use crate::{
    condition::Condition,
    config::PATIENCE,
    connection::{Db, Engine},
    deadline::Deadline,
    error::DbError,
    postgres::Session,
    sqlite::{Company, Turn},
    tx::{Inner, Tx},
};

/// A permit to begin a transaction. Nothing has begun yet: other services may be called meanwhile.
///
/// On PostgreSQL it is a connection. Half of the connections can be used in this way at a time; the others are for transactions that call
/// nobody. On SQLite the permits are limited, so that answers do not grow old in a long queue for the writer's turn. [`Db::place_in_turn`]
/// holds that turn.
pub struct Place {
    db: Db,
    held: Held,
    permit: OwnedSemaphorePermit,
}

enum Held {
    Postgres(Box<Session>),
    /// `None`: the transaction waits for its turn when it begins.
    Sqlite(Option<Turn>),
}

impl fmt::Debug for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Place").finish_non_exhaustive()
    }
}

impl Db {
    /// Takes a permit.
    pub async fn place(&self) -> Result<Place, DbError> {
        self.take_place(false).await
    }

    /// Takes a permit that includes, on SQLite, the writer's turn: nobody else writes while it is held. For a caller that was too late
    /// once.
    pub async fn place_in_turn(&self) -> Result<Place, DbError> {
        self.take_place(true).await
    }

    async fn take_place(&self, in_turn: bool) -> Result<Place, DbError> {
        let permit = tokio::time::timeout(PATIENCE, self.places()).await;
        let permit = permit.map_err(|_| DbError::unavailable(Condition::Busy, "no permit to write became free"))?;
        let held = match self.engine() {
            Engine::Postgres(postgres) => Held::Postgres(Box::new(postgres.session().await?)),
            Engine::Sqlite(sqlite) if in_turn => Held::Sqlite(Some(sqlite.turn().await?)),
            Engine::Sqlite(_) => Held::Sqlite(None),
        };
        Ok(Place { db: self.clone(), held, permit })
    }
}

impl Place {
    /// Begins the transaction. If the transaction or its commit does not begin by `by` on this clock, it is rolled back with
    /// [`DbError::Late`].
    pub async fn begin(self, clock: &Clock, by: Timestamp) -> Result<Tx, DbError> {
        let Self { db, held, permit } = self;
        let begun = match (held, db.engine()) {
            (Held::Postgres(session), _) => Ok(Inner::Postgres(session)),
            (Held::Sqlite(Some(turn)), _) => turn.begin(Company::Anybody).await.map(|member| Inner::Sqlite(Box::new(member))),
            (Held::Sqlite(None), Engine::Sqlite(sqlite)) => {
                sqlite.begin(Company::Anybody).await.map(|member| Inner::Sqlite(Box::new(member)))
            }
            _ => unreachable!("a place is of its own database"),
        };
        let inner = begun.inspect_err(|error| db.failed(error))?;
        let tx = Tx::within(db, inner, Deadline::new(clock, by), permit);
        if !tx.is_late() {
            return Ok(tx);
        }
        // The queue for the turn was long.
        tx.rollback().await?;
        Err(DbError::Late)
    }
}
