//! Transactions.

use std::fmt;

use tokio::sync::OwnedSemaphorePermit;

use crate::{
    connection::{Db, Engine},
    deadline::Deadline,
    error::DbError,
    fresh::FreshEvent,
    postgres::Session,
    spans,
    sqlite::{Company, Member},
};

/// A transaction. If dropped without a commit, it has no effect. On PostgreSQL it begins with its first statement.
///
/// On SQLite a transaction may read uncommitted changes of another that shares its commit. A caller that answers based on what a
/// transaction read must end it first, with [`Tx::commit`] or [`Tx::rollback`].
pub struct Tx {
    /// `None` once it has ended.
    inner: Option<Inner>,
    db: Db,
    then: Vec<Box<dyn FnOnce() + Send>>,
    /// How far it is at the server.
    stage: Stage,
    /// Whether a statement failed. PostgreSQL would answer COMMIT with a rollback, and no error.
    failed: bool,
    /// The latest time at which its commit may begin, if there is one.
    deadline: Option<Deadline>,
    /// The permit it was begun with.
    place: Option<OwnedSemaphorePermit>,
}

/// How far a transaction is at PostgreSQL.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Stage {
    /// No statement was sent: the server knows nothing of it.
    New,
    /// BEGIN was sent.
    Begun,
    /// Its only statement was sent, which committed by itself.
    Done,
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
            Engine::Postgres(postgres) => postgres.session().await.map(|session| Inner::Postgres(Box::new(session))),
            Engine::Sqlite(sqlite) => sqlite.begin(company).await.map(|member| Inner::Sqlite(Box::new(member))),
        };
        let inner = inner.inspect_err(|error| db.failed(error))?;
        let (then, stage) = (Vec::new(), Stage::New);
        Ok(Self { inner: Some(inner), db: db.clone(), then, stage, failed: false, deadline: None, place: None })
    }

    /// A transaction that has begun and has a deadline for its commit.
    pub(crate) fn within(db: Db, inner: Inner, deadline: Deadline, place: OwnedSemaphorePermit) -> Self {
        let (then, stage) = (Vec::new(), Stage::New);
        Self { inner: Some(inner), db, then, stage, failed: false, deadline: Some(deadline), place: Some(place) }
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
        if self.stage != Stage::Done && self.is_late() {
            // Even if the rollback fails, nothing was committed.
            let _ = self.take_back().await;
            return Err(DbError::Late);
        }
        let deadline = self.deadline.take();
        let then = std::mem::take(&mut self.then);
        if self.is_postgres() && self.stage == Stage::New {
            // Nothing was executed, which says nothing about the database.
            for then in then {
                then();
            }
            return Ok(());
        }
        let outcome = match self.inner.take() {
            None => Ok(()),
            Some(Inner::Sqlite(member)) => {
                // It has had its turn: another use case may make its calls while this one waits for the disk.
                drop(self.place.take());
                member.commit(then, deadline).await
            }
            Some(Inner::Postgres(mut session)) => {
                let committed = if self.stage == Stage::Begun { session.command("COMMIT").await } else { Ok(()) };
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
            Some(Inner::Postgres(mut session)) if self.stage == Stage::Begun => {
                let rolled_back = session.command("ROLLBACK").await;
                if rolled_back.is_err() {
                    session.discard();
                }
                rolled_back
            }
            Some(Inner::Postgres(_) | Inner::Sqlite(_)) | None => Ok(()),
        }
    }

    /// Goes on after a [last statement](Tx::last_query) that changed nothing.
    pub fn go_on(&mut self) {
        if self.stage == Stage::Done && !self.failed {
            self.stage = Stage::New;
        }
    }

    /// Whether it runs on PostgreSQL.
    #[must_use]
    pub fn is_postgres(&self) -> bool {
        self.db.is_postgres()
    }

    /// The underlying transaction, begun; [`DbError::Aborted`] once it has ended.
    pub(crate) async fn inner(&mut self) -> Result<&mut Inner, DbError> {
        let inner = self.inner.as_mut().ok_or(DbError::Aborted)?;
        if let (Inner::Postgres(session), Engine::Postgres(postgres)) = (&mut *inner, self.db.engine()) {
            match self.stage {
                Stage::New => {
                    if let Err(error) = postgres.begin_on(session).await {
                        self.failed = true;
                        self.db.failed(&error);
                        return Err(error);
                    }
                }
                Stage::Begun => {}
                Stage::Done => return Err(DbError::Aborted),
            }
            self.stage = Stage::Begun;
        }
        Ok(inner)
    }

    /// The connection for the only statement of this transaction, which commits by itself; `None` if it has to be run as any other. On the
    /// connection's death in idleness, [`Tx::reconnect`] and run it again.
    pub(crate) fn alone(&mut self) -> Result<Option<&mut Session>, DbError> {
        if self.is_late() {
            return Err(DbError::Late);
        }
        match (&mut self.inner, self.stage) {
            (Some(Inner::Postgres(session)), Stage::New) => Ok(Some(session)),
            (Some(_), Stage::New | Stage::Begun) => Ok(None),
            (_, Stage::Done) | (None, _) => Err(DbError::Aborted),
        }
    }

    /// Takes another connection for one that the server had closed.
    pub(crate) async fn reconnect(&mut self) -> Result<(), DbError> {
        if let Engine::Postgres(postgres) = self.db.engine() {
            let session = postgres.session().await.inspect_err(|error| {
                self.failed = true;
                self.db.failed(error);
            })?;
            self.inner = Some(Inner::Postgres(Box::new(session)));
        }
        Ok(())
    }

    /// Records that its only statement was committed.
    pub(crate) fn done(&mut self) {
        self.stage = Stage::Done;
    }

    /// Records that a statement failed.
    pub(crate) fn failed(&mut self, error: &DbError) {
        self.failed = true;
        self.db.failed(error);
    }

    /// Gives an event to the relay after the commit.
    pub(crate) fn publish(&mut self, event: FreshEvent) {
        let fresh = self.db.fresh();
        self.after_commit(move || fresh.put(event));
    }
}

impl Drop for Tx {
    fn drop(&mut self) {
        if let Some(Inner::Postgres(session)) = self.inner.take()
            && self.stage == Stage::Begun
        {
            session.roll_back();
        }
    }
}
