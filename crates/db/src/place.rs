//! Check, then act: who asks others before a transaction holds the place that it will be written from while it asks, so that nothing is
//! waited for between their word and the commit. A deadline ends what was waited for all the same.

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

/// A place that a transaction will be written from. Nothing has begun: others may be asked meanwhile.
///
/// On PostgreSQL it is a connection. Half of them can be places at once; the others are for whoever asks nobody. On SQLite it is one of
/// few, so that what was heard does not grow old in a long line for the writer's turn; [`Db::place_in_turn`] has the turn itself.
pub struct Place {
    db: Db,
    held: Held,
    permit: OwnedSemaphorePermit,
}

enum Held {
    Postgres(Box<Session>),
    /// `None`: the turn is waited for when the transaction begins.
    Sqlite(Option<Turn>),
}

impl fmt::Debug for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Place").finish_non_exhaustive()
    }
}

impl Db {
    /// Takes a place.
    pub async fn place(&self) -> Result<Place, DbError> {
        self.take_place(false).await
    }

    /// Takes a place that has, on SQLite, the writer's turn: nobody writes while it is held. For who was too late once.
    pub async fn place_in_turn(&self) -> Result<Place, DbError> {
        self.take_place(true).await
    }

    async fn take_place(&self, in_turn: bool) -> Result<Place, DbError> {
        let permit = tokio::time::timeout(PATIENCE, self.places()).await;
        let permit = permit.map_err(|_| DbError::unavailable(Condition::Busy, "every place to write from is taken"))?;
        let held = match self.engine() {
            Engine::Postgres(postgres) => Held::Postgres(Box::new(postgres.session().await?)),
            Engine::Sqlite(sqlite) if in_turn => Held::Sqlite(Some(sqlite.turn().await?)),
            Engine::Sqlite(_) => Held::Sqlite(None),
        };
        Ok(Place { db: self.clone(), held, permit })
    }
}

impl Place {
    /// Begins the transaction. When it does not begin by then, going by this clock, or its commit does not, it is taken back:
    /// [`DbError::Late`].
    pub async fn begin(self, clock: &Clock, by: Timestamp) -> Result<Tx, DbError> {
        let Self { db, held, permit } = self;
        let begun = match (held, db.engine()) {
            (Held::Postgres(session), Engine::Postgres(postgres)) => {
                postgres.begin_on(*session).await.map(|s| Inner::Postgres(Box::new(s)))
            }
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
        // The line for the turn was long.
        tx.rollback().await?;
        Err(DbError::Late)
    }
}
