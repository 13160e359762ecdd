//! Transactions.

use std::{fmt, sync::Arc};

use tokio::sync::OwnedSemaphorePermit;

use crate::{
    connection::{Db, Engine},
    deadline::Deadline,
    error::DbError,
    postgres::Session,
    spans,
    sqlite::{Company, Member},
};

/// A transaction. If dropped without a commit, it has no effect.
///
/// On SQLite a transaction may read uncommitted changes of another that shares its commit. A caller that answers based on what a
/// transaction read must end it first, with [`Tx::commit`] or [`Tx::rollback`].
pub struct Tx {
    /// `None` once it has ended.
    inner: Option<Inner>,
    db: Db,
    then: Vec<Box<dyn FnOnce() + Send>>,
    /// Whether a statement failed. PostgreSQL would answer COMMIT with a rollback, and no error.
    failed: bool,
    /// The latest time at which its commit may begin, if there is one.
    deadline: Option<Deadline>,
    /// The permit it was begun with.
    place: Option<OwnedSemaphorePermit>,
}

#[derive(Debug)]
pub(crate) enum Inner {
    Postgres(Box<Session>),
    Sqlite(Box<Member>),
}

impl fmt::Debug for Tx {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.inner.fmt(f)
    }
}

impl Db {
    /// Begins a transaction that may write.
    pub async fn begin(&self) -> Result<Tx, DbError> {
        Tx::begin(self, Company::Anybody).await
    }

    /// Begins a transaction that may take a while. On SQLite it does not share its commit with any that has a deadline.
    pub async fn begin_patient(&self) -> Result<Tx, DbError> {
        Tx::begin(self, Company::Patient).await
    }

    /// Begins a transaction that may write much. On SQLite it has its own commit: if it exceeds the space, no other transaction fails with
    /// it.
    pub async fn begin_large(&self) -> Result<Tx, DbError> {
        Tx::begin(self, Company::Nobody).await
    }
}

impl Tx {
    async fn begin(db: &Db, company: Company) -> Result<Self, DbError> {
        let inner = match db.engine() {
            Engine::Postgres(postgres) => postgres.begin().await.map(|session| Inner::Postgres(Box::new(session))),
            Engine::Sqlite(sqlite) => sqlite.begin(company).await.map(|member| Inner::Sqlite(Box::new(member))),
        };
        let inner = inner.inspect_err(|error| db.failed(error))?;
        Ok(Self { inner: Some(inner), db: db.clone(), then: Vec::new(), failed: false, deadline: None, place: None })
    }

    /// A transaction that has begun and has a deadline for its commit.
    pub(crate) fn within(db: Db, inner: Inner, deadline: Deadline, place: OwnedSemaphorePermit) -> Self {
        Self { inner: Some(inner), db, then: Vec::new(), failed: false, deadline: Some(deadline), place: Some(place) }
    }

    /// Registers an action to run once the transaction is committed, and never otherwise. A crash right after the commit skips it, so use
    /// it for hints.
    pub fn after_commit(&mut self, then: impl FnOnce() + Send + 'static) {
        self.then.push(Box::new(then));
    }

    /// Commits, then runs the registered actions.
    pub async fn commit(self) -> Result<(), DbError> {
        let span = spans::commit(self.is_postgres());
        let outcome = self.finish().await;
        spans::end(span, &outcome);
        outcome
    }

    async fn finish(mut self) -> Result<(), DbError> {
        if self.failed {
            return Err(DbError::Aborted);
        }
        if self.is_late() {
            // Even if the rollback fails, nothing was committed.
            let _ = self.take_back().await;
            return Err(DbError::Late);
        }
        let deadline = self.deadline.take();
        let then = std::mem::take(&mut self.then);
        let outcome = match self.inner.take() {
            None => Ok(()),
            Some(Inner::Sqlite(member)) => {
                // It has had its turn: another use case may make its calls while this one waits for the disk.
                drop(self.place.take());
                member.commit(then, deadline).await
            }
            Some(Inner::Postgres(mut session)) => {
                let committed = session.command("COMMIT").await;
                if committed.is_ok() {
                    for then in then {
                        then();
                    }
                } else {
                    // It is unknown whether the commit succeeded. The connection cannot be reused in this state.
                    session.discard();
                }
                committed
            }
        };
        self.db.wrote(&outcome);
        self.db.counters().commits.increment(u64::from(outcome.is_ok()));
        outcome
    }

    /// Rolls back. A later read finds what this transaction saw, or what became of it.
    pub async fn rollback(mut self) -> Result<(), DbError> {
        match self.inner.take() {
            Some(Inner::Sqlite(member)) => {
                member.roll_back().await;
                Ok(())
            }
            other => {
                self.inner = other;
                self.take_back().await
            }
        }
    }

    /// Whether its commit would come too late.
    pub(crate) fn is_late(&self) -> bool {
        self.deadline.as_ref().is_some_and(Deadline::has_passed)
    }

    /// Rolls back. Nothing it read is reported to the caller, so it does not wait for the rest of its group.
    async fn take_back(&mut self) -> Result<(), DbError> {
        match self.inner.take() {
            Some(Inner::Postgres(mut session)) => {
                let rolled_back = session.command("ROLLBACK").await;
                if rolled_back.is_err() {
                    session.discard();
                }
                rolled_back
            }
            Some(Inner::Sqlite(_)) | None => Ok(()),
        }
    }

    pub(crate) fn is_postgres(&self) -> bool {
        self.db.is_postgres()
    }

    /// The underlying transaction; [`DbError::Aborted`] once it has ended.
    pub(crate) fn inner(&mut self) -> Result<&mut Inner, DbError> {
        self.inner.as_mut().ok_or(DbError::Aborted)
    }

    /// Records that a statement failed.
    pub(crate) fn failed(&mut self, error: &DbError) {
        self.failed = true;
        self.db.failed(error);
    }

    /// Wakes the relay after the commit, because there is something to send.
    pub(crate) fn mark_published(&mut self) {
        let outbox = Arc::clone(&self.db.outbox_notify());
        self.after_commit(move || outbox.notify_one());
    }
}

impl Drop for Tx {
    fn drop(&mut self) {
        if let Some(Inner::Postgres(session)) = self.inner.take() {
            session.roll_back();
        }
    }
}
