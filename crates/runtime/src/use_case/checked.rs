//! Check, then act: changes that rely on other services' answers are committed while those answers are fresh.
//!
//! A use case takes a permit to write, calls the other services, and begins its transaction with the permit, so that nothing is waited for
//! between the answers and the commit. If something is waited for nevertheless (a lock, a slow database, a long queue for the writer's
//! turn), the transaction is rolled back and the services are called again.

use std::time::Duration;

use nodkey_db::{Db, DbError, Place, Tx};
use nodkey_kernel::{
    error::Classify,
    time::{Clock, Timestamp},
};
use tonic::Status;

use super::{failure::Failure, metrics::CHECKS_OUTDATED};

/// Maximum age of the oldest answer when the commit that relies on it begins.
pub const FRESH: Duration = Duration::from_millis(50);
/// Maximum number of attempts.
const CHECKS: u8 = 3;
/// Maximum duration of all calls made while a permit is held: nobody else may write with it meanwhile.
const ASKING: Duration = Duration::from_millis(500);

/// One attempt to call the other services.
#[derive(Clone, Copy, Debug)]
pub struct Check(u8);

impl Check {
    /// All attempts.
    pub fn all() -> impl Iterator<Item = Self> {
        (0..CHECKS).map(Self)
    }

    /// Takes the permit to write. From the second attempt on it includes, on SQLite, the writer's turn: only services that do not need a
    /// turn of this database may be called then.
    pub async fn place(self, db: &Db) -> Result<Place, DbError> {
        if self.0 == 0 { db.place().await } else { db.place_in_turn().await }
    }
}

/// Calls other services while a permit is held, with a timeout, so that an unresponsive service does not block other use cases.
pub async fn asking<T, E: From<Failure>>(answers: impl Future<Output = Result<T, E>> + Send) -> Result<T, E> {
    match tokio::time::timeout(ASKING, answers).await {
        Ok(answer) => answer,
        Err(_) => Err(Failure::from(Status::unavailable("another service took too long")).into()),
    }
}

/// Begins a transaction that relies on other services' answers, the first of which was given at `said`.
pub async fn begin(place: Place, clock: &Clock, said: Timestamp) -> Result<Tx, DbError> {
    place.begin(clock, said + FRESH).await
}

/// Runs a use case that relies on other services' answers, and repeats it when they were too old. Each `attempt` calls them again; its
/// error is returned otherwise.
pub async fn checked<T, E, F>(attempt: impl Fn() -> F + Send + Sync) -> Result<T, E>
where
    E: Classify + From<DbError>,
    F: Future<Output = Result<T, E>> + Send,
{
    for _ in Check::all() {
        match attempt().await {
            Err(error) if is_late(&error) => {}
            done => return done,
        }
    }
    Err(DbError::Late.into())
}

/// Whether an error means that the other services have to be called again. Counts it if so.
pub fn is_late(error: &impl Classify) -> bool {
    let late = error.reason() == DbError::Late.reason();
    if late {
        CHECKS_OUTDATED.increment(1);
    }
    late
}
