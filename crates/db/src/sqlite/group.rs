//! Group commit: transactions that follow each other closely become parts of one, and wait for the disk once.
//!
//! One member changes the database at a time. After its commit it stays in the open transaction until the thread of the [`Committer`] gets
//! its turn, and the members that queued meanwhile have joined by then. No caller learns that a transaction is committed before the disk
//! has it, so a failure of the whole is a failure of each member.

use std::{
    fmt,
    panic::{AssertUnwindSafe, catch_unwind},
    path::{Path, PathBuf},
    sync::{
        Arc,
        mpsc::{Receiver, SyncSender, sync_channel},
    },
};

use nodkey_kernel::error::chain;
use rusqlite::{Connection, OpenFlags, types::Value};
use tokio::{
    runtime::Handle,
    sync::{Mutex, OwnedMutexGuard, oneshot},
};
use tracing::{error, warn};

use super::{
    open,
    statement::{self, SqliteRow},
};
use crate::{condition::Condition, config::PATIENCE, counters::Counters, deadline::Deadline, error::DbError};

/// With which other members a member shares its commit.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Company {
    /// With any.
    Anybody,
    /// With those that have no deadline: this member takes a while.
    Patient,
    /// With none: a write that exceeds the space would fail the others too.
    Nobody,
}

/// Actions to run once a transaction is committed.
pub(crate) type Then = Vec<Box<dyn FnOnce() + Send>>;

/// The only writer of a file, and the thread that commits.
pub(crate) struct Committer {
    writer: Arc<Mutex<Writer>>,
    wake: SyncSender<()>,
}

/// A member that is done, and its caller, who waits until the disk has it.
struct Done {
    then: Then,
    committed: oneshot::Sender<Result<(), DbError>>,
    /// Whether its commit has a deadline.
    hurries: bool,
}

struct Writer {
    path: PathBuf,
    counters: Arc<Counters>,
    /// Discarded after an error that ended the transaction unexpectedly, or that came from the disk.
    connection: Option<Connection>,
    /// Whether a transaction is open. While nobody holds the lock, this is true exactly when there are members.
    open: bool,
    members: Vec<Done>,
    /// The earliest deadline of the members.
    deadline: Option<Deadline>,
    closed: bool,
}

impl Committer {
    /// Opens the writer and starts the thread.
    pub(crate) fn start(path: &Path, counters: Arc<Counters>) -> Result<Self, DbError> {
        let mut writer =
            Writer { path: path.to_owned(), counters, connection: None, open: false, members: Vec::new(), deadline: None, closed: false };
        writer.connection()?;
        let writer = Arc::new(Mutex::new(writer));
        // One wake-up is enough for any number of members.
        let (wake, woken) = sync_channel(1);
        let (locked, runtime) = (Arc::clone(&writer), Handle::try_current().ok());
        std::thread::Builder::new()
            .name("sqlite-commit".to_owned())
            .spawn(move || commit_when_woken(&locked, &woken, runtime.as_ref()))
            .map_err(|e| DbError::unavailable(Condition::Away, e))?;
        Ok(Self { writer, wake })
    }

    /// Waits for a turn. Turns are given in order of arrival; the committing thread queues like everyone else.
    pub(crate) async fn turn(this: &Arc<Self>) -> Result<Turn, DbError> {
        let turn = tokio::time::timeout(PATIENCE, Arc::clone(&this.writer).lock_owned());
        let writer = turn.await.map_err(|_| DbError::unavailable(Condition::Busy, "other transactions were writing the whole time"))?;
        Ok(Turn { writer, committer: Arc::clone(this) })
    }

    /// Waits for a turn and begins a member.
    pub(crate) async fn begin(this: &Arc<Self>, company: Company) -> Result<Member, DbError> {
        Self::turn(this).await?.begin(company).await
    }

    /// Commits the open transaction, and closes the file.
    pub(crate) async fn close(&self) {
        let mut writer = Arc::clone(&self.writer).lock_owned().await;
        writer.closed = true;
        // Fails only when the runtime stops, and then no one is waiting any more.
        let _ = off_the_runtime(writer, |writer| {
            writer.commit();
            writer.connection = None;
        })
        .await;
    }
}

/// The writer's turn. While it is held, nobody else writes and nothing is committed.
pub(crate) struct Turn {
    writer: OwnedMutexGuard<Writer>,
    committer: Arc<Committer>,
}

impl Turn {
    /// The same turn with no transaction open.
    pub(crate) async fn committed(self) -> Result<Self, DbError> {
        let Self { writer, committer } = self;
        let writer = if writer.open { off_the_runtime(writer, Writer::commit).await? } else { writer };
        Ok(Self { writer, committer })
    }

    /// Begins a member of the open transaction, or of a new one if the open one is to be committed soon or this member may not share it.
    pub(crate) async fn begin(self, company: Company) -> Result<Member, DbError> {
        let closing = match (company, &self.writer.deadline) {
            (Company::Nobody, _) | (Company::Patient, Some(_)) => true,
            (Company::Anybody, Some(deadline)) => deadline.is_near(),
            (Company::Anybody | Company::Patient, None) => false,
        };
        let Self { mut writer, committer } = if closing { self.committed().await? } else { self };
        let nested = writer.enter()?;
        Ok(Member { writer: Some(writer), committer, nested, alone: company == Company::Nobody })
    }
}

/// The thread's loop; it ends with the [`Committer`].
fn commit_when_woken(writer: &Mutex<Writer>, woken: &Receiver<()>, runtime: Option<&Handle>) {
    while woken.recv().is_ok() {
        let mut writer = writer.blocking_lock();
        // Actions that run after a commit may spawn tasks.
        let _context = runtime.map(Handle::enter);
        writer.commit();
    }
}

/// Does work that waits for the disk on a thread that may block.
async fn off_the_runtime(
    mut writer: OwnedMutexGuard<Writer>,
    work: impl FnOnce(&mut Writer) + Send + 'static,
) -> Result<OwnedMutexGuard<Writer>, DbError> {
    let done = tokio::task::spawn_blocking(move || {
        work(&mut writer);
        writer
    });
    done.await.map_err(|e| DbError::unavailable(Condition::Away, e))
}

impl Writer {
    fn connection(&mut self) -> Result<&Connection, DbError> {
        if self.closed {
            return Err(DbError::unavailable(Condition::Away, "the database is closed"));
        }
        match &mut self.connection {
            Some(connection) => Ok(connection),
            none => {
                let access = OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_CREATE;
                Ok(none.insert(open(&self.path, access)?))
            }
        }
    }

    /// Begins a member; returns whether it is a savepoint among others.
    fn enter(&mut self) -> Result<bool, DbError> {
        if self.open {
            self.run(|connection| statement::execute(connection, "SAVEPOINT member", &[]))?;
            return Ok(true);
        }
        // IMMEDIATE: a deferred transaction that starts to write fails immediately when another process is writing.
        if let Err(error) = statement::execute(self.connection()?, "BEGIN IMMEDIATE", &[]) {
            let error = DbError::from(error);
            self.abandon(&error);
            return Err(error);
        }
        self.open = true;
        Ok(false)
    }

    /// Runs a statement in the open transaction.
    fn run<T>(&mut self, call: impl FnOnce(&Connection) -> rusqlite::Result<T>) -> Result<T, DbError> {
        let Some(connection) = self.connection.as_ref().filter(|_| self.open) else {
            return Err(DbError::unavailable(Condition::Away, "the transaction ended before"));
        };
        let outcome = call(connection).map_err(DbError::from);
        let ended = connection.is_autocommit();
        if let Err(error) = &outcome
            && (ended || matches!(error.condition(), Some(Condition::Away | Condition::Full | Condition::ReadOnly)))
        {
            self.abandon(error);
        }
        outcome
    }

    /// Commits the members' changes to the disk, and notifies their callers.
    fn commit(&mut self) {
        let Some(connection) = self.connection.as_ref().filter(|_| self.open) else { return };
        // A later member took long: the answers that the earlier ones rely on are too old now.
        if self.deadline.take().is_some_and(|deadline| deadline.has_passed()) {
            return self.abandon(&DbError::Late);
        }
        match statement::execute(connection, "COMMIT", &[]) {
            Ok(_) => {
                self.open = false;
                self.counters.syncs.increment(1);
                for Done { then, committed, .. } in self.members.drain(..) {
                    for then in then {
                        // A panic must not stop this thread: without it nothing would be committed any more.
                        if catch_unwind(AssertUnwindSafe(then)).is_err() {
                            error!(file = %self.path.display(), "an action after a commit panicked");
                        }
                    }
                    // The caller may be gone.
                    let _ = committed.send(Ok(()));
                }
            }
            Err(error) => self.abandon(&error.into()),
        }
    }

    /// Gives up the transaction and the connection, whose state is unknown after such an error.
    fn abandon(&mut self, error: &DbError) {
        warn!(file = %self.path.display(), members = self.members.len(), error = chain(error), "a transaction was rolled back");
        // Closing rolls back.
        self.connection = None;
        self.open = false;
        self.deadline = None;
        for member in self.members.drain(..) {
            let shared = match error {
                DbError::Late if member.hurries => DbError::Late,
                DbError::Late => DbError::unavailable(Condition::Busy, "it exceeded the deadline of other transactions"),
                error => DbError::unavailable(error.condition().unwrap_or(Condition::Away), chain(error)),
            };
            let _ = member.committed.send(Err(shared));
        }
    }
}

/// A transaction that has its turn. If dropped before it is committed, it has no effect.
pub(crate) struct Member {
    /// `None` once it is committed.
    writer: Option<OwnedMutexGuard<Writer>>,
    committer: Arc<Committer>,
    /// A savepoint; the first member of a transaction needs none.
    nested: bool,
    /// Shares its transaction with no other member.
    alone: bool,
}

impl fmt::Debug for Member {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Member").field("nested", &self.nested).finish_non_exhaustive()
    }
}

impl Member {
    /// Runs a statement; returns its rows.
    pub(crate) fn fetch(&mut self, sql: &str, args: &[Value]) -> Result<Vec<SqliteRow>, DbError> {
        self.run(|connection| statement::fetch(connection, sql, args))
    }

    /// Runs a statement; returns how many rows it changed.
    pub(crate) fn execute(&mut self, sql: &str, args: &[Value]) -> Result<u64, DbError> {
        self.run(|connection| statement::execute(connection, sql, args))
    }

    fn run<T>(&mut self, call: impl FnOnce(&Connection) -> rusqlite::Result<T>) -> Result<T, DbError> {
        let Some(writer) = &mut self.writer else { return Err(DbError::unavailable(Condition::Away, "the transaction ended before")) };
        writer.counters.statements.increment(1);
        writer.counters.round_trips.increment(1);
        writer.run(call)
    }

    /// Commits; resolves once the disk has it. It is committed and `then` runs afterwards even if the caller is dropped. When the deadline
    /// of this or an earlier member is near, queued members are not admitted first.
    pub(crate) async fn commit(mut self, then: Then, deadline: Option<Deadline>) -> Result<(), DbError> {
        let Some(mut writer) = self.writer.take() else { return Ok(()) };
        let released = writer.run(|connection| if self.nested { statement::execute(connection, "RELEASE member", &[]) } else { Ok(0) });
        if let Err(error) = released {
            self.writer = Some(writer);
            return Err(error);
        }
        let (committed, outcome) = oneshot::channel();
        writer.members.push(Done { then, committed, hurries: deadline.is_some() });
        if let Some(deadline) = deadline {
            writer.deadline = Some(deadline.earlier(writer.deadline.take()));
        }
        if self.alone || writer.deadline.as_ref().is_some_and(Deadline::is_near) {
            off_the_runtime(writer, Writer::commit).await?;
        } else {
            drop(writer);
            // Full: the thread is already notified, and has not had its turn.
            let _ = self.committer.wake.try_send(());
        }
        outcome.await.unwrap_or_else(|e| Err(DbError::unavailable(Condition::Away, e)))
    }
}

impl Member {
    /// Rolls back. Resolves once the transaction that it was a part of has ended: by then, what it read of other members is visible to all
    /// or was never committed.
    pub(crate) async fn roll_back(mut self) {
        self.undo();
        if let Some(mut writer) = self.writer.take()
            && writer.open
        {
            let (ended, outcome) = oneshot::channel();
            writer.members.push(Done { then: Vec::new(), committed: ended, hurries: false });
            drop(writer);
            // The outcome concerns the others.
            let _ = outcome.await;
        }
    }

    fn undo(&mut self) {
        let Some(writer) = &mut self.writer else { return };
        let end: &[&str] = if self.nested { &["ROLLBACK TO member", "RELEASE member"] } else { &["ROLLBACK"] };
        for sql in end {
            if writer.open && writer.run(|connection| statement::execute(connection, sql, &[])).is_err() {
                let gone = DbError::unavailable(Condition::Away, "it could not be rolled back");
                writer.abandon(&gone);
            }
        }
        if !self.nested {
            writer.open = false;
        }
    }
}

impl Drop for Member {
    fn drop(&mut self) {
        self.undo();
    }
}

#[cfg(test)]
mod tests;
