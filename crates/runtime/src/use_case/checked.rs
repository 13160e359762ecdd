//! Check, then act: what rests on other services' word is committed while that word is fresh.
//!
//! Whoever does so takes a place to write from, asks, and begins at the place. Nothing is waited for between the word and the commit then;
//! where something was all the same (a lock, a slow database, a long line for the writer's turn), it is taken back and they are asked again.

use std::time::Duration;

use metrics::counter;
use nodkey_db::{Db, DbError, Place, Tx};
use nodkey_kernel::{
    error::Classify,
    time::{Clock, Timestamp},
};
use tonic::Status;

use super::failure::Failure;

/// How old the oldest word may be when the commit that rests on it begins.
pub const FRESH: Duration = Duration::from_millis(50);
/// How often others are asked.
const CHECKS: u8 = 3;
/// How long all who are asked while a place is held may take: nobody else may write at it meanwhile.
const ASKING: Duration = Duration::from_millis(500);

/// One time that others are asked.
#[derive(Clone, Copy, Debug)]
pub struct Check(u8);

impl Check {
    /// Every time there is.
    pub fn all() -> impl Iterator<Item = Self> {
        (0..CHECKS).map(Self)
    }

    /// Takes the place to write from. From the second time on it has, on SQLite, the writer's turn: then only what needs no turn of this
    /// database may be asked.
    pub async fn place(self, db: &Db) -> Result<Place, DbError> {
        if self.0 == 0 { db.place().await } else { db.place_in_turn().await }
    }
}

/// Asks others while a place is held: not for long, so that none is held up by whoever does not answer.
pub async fn asking<T, E: From<Failure>>(answers: impl Future<Output = Result<T, E>> + Send) -> Result<T, E> {
    match tokio::time::timeout(ASKING, answers).await {
        Ok(answer) => answer,
        Err(_) => Err(Failure::from(Status::unavailable("another service took too long")).into()),
    }
}

/// Begins a transaction that rests on what others said, the first of them at `said`.
pub async fn begin(place: Place, clock: &Clock, said: Timestamp) -> Result<Tx, DbError> {
    place.begin(clock, said + FRESH).await
}

/// Does what rests on others' word, again when it was too old. An `attempt` asks each time, and its error is what it came to.
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

/// Whether an error says that others have to be asked again; counted.
pub fn is_late(error: &impl Classify) -> bool {
    let late = error.reason() == DbError::Late.reason();
    if late {
        counter!("nodkey_checks_outdated_total").increment(1);
    }
    late
}
