//! Members that queue, fail, are dropped and panic.

use std::{
    sync::atomic::{AtomicU64, Ordering},
    time::Duration,
};

use metrics::Counter;
use nodkey_kernel::time::{Clock, Timestamp};
use tempfile::TempDir;
use tokio::task::JoinSet;

use super::*;

struct World {
    committer: Arc<Committer>,
    syncs: Arc<AtomicU64>,
    dir: TempDir,
}

impl World {
    async fn new() -> Self {
        let dir = tempfile::tempdir().unwrap();
        let syncs = Arc::new(AtomicU64::new(0));
        let counters = Arc::new(Counters {
            statements: Counter::noop(),
            round_trips: Counter::noop(),
            commits: Counter::noop(),
            syncs: Counter::from_arc(Arc::clone(&syncs)),
        });
        let committer = Arc::new(Committer::start(&dir.path().join("test.db"), counters).unwrap());
        let world = Self { committer, syncs, dir };
        let mut member = world.begin().await;
        member.execute("CREATE TABLE thing (id INTEGER PRIMARY KEY, data BLOB) STRICT", &[]).unwrap();
        member.commit(Vec::new(), None).await.unwrap();
        world
    }

    async fn begin(&self) -> Member {
        Committer::begin(&self.committer, Company::Anybody).await.unwrap()
    }

    /// The ids that a separate connection finds in the file.
    fn ids(&self) -> Vec<i64> {
        let reader = open(&self.dir.path().join("test.db"), OpenFlags::SQLITE_OPEN_READ_ONLY).unwrap();
        let rows = statement::fetch(&reader, "SELECT id FROM thing ORDER BY id", &[]).unwrap();
        rows.iter().map(|row| if let Value::Integer(id) = row.value("id").unwrap() { *id } else { 0 }).collect()
    }

    /// Leaves so little space that a blob of one page does not fit.
    async fn fill(&self) {
        let writer = self.committer.writer.lock().await;
        let connection = writer.connection.as_ref().unwrap();
        let pages: i64 = connection.query_row("PRAGMA page_count", [], |row| row.get(0)).unwrap();
        let _: i64 = connection.query_row(&format!("PRAGMA max_page_count = {}", pages + 1), [], |row| row.get(0)).unwrap();
    }
}

fn insert(member: &mut Member, id: i64, bytes: usize) -> Result<u64, DbError> {
    member.execute("INSERT INTO thing (id, data) VALUES ($1, $2)", &[Value::Integer(id), Value::Blob(vec![0; bytes])])
}

/// Begins one member, queues others behind it that each insert an id and a number of bytes, then commits the first.
async fn together(world: &World, others: &[(i64, usize)]) -> (Result<(), DbError>, Vec<(i64, Result<(), DbError>)>) {
    let mut first = world.begin().await;
    let mut queued = JoinSet::new();
    for &(id, bytes) in others {
        let committer = Arc::clone(&world.committer);
        queued.spawn(async move {
            let mut member = Committer::begin(&committer, Company::Anybody).await.unwrap();
            match insert(&mut member, id, bytes) {
                Ok(_) => (id, member.commit(Vec::new(), None).await),
                Err(error) => (id, Err(error)),
            }
        });
    }
    // On this one thread, each runs until it waits for its turn.
    tokio::task::yield_now().await;
    insert(&mut first, 0, 1).unwrap();
    let first = first.commit(Vec::new(), None).await;
    let mut outcomes = queued.join_all().await;
    outcomes.sort_by_key(|(id, _)| *id);
    (first, outcomes)
}

#[tokio::test]
async fn those_who_queued_reach_the_disk_together_with_one_sync() {
    let world = World::new().await;
    let before = world.syncs.load(Ordering::Relaxed);
    let (first, others) = together(&world, &[(1, 1), (2, 1), (3, 1), (4, 1)]).await;
    assert!(first.is_ok() && others.iter().all(|(_, outcome)| outcome.is_ok()), "{others:?}");
    assert_eq!(world.ids(), [0, 1, 2, 3, 4]);
    assert_eq!(world.syncs.load(Ordering::Relaxed) - before, 1);
}

#[tokio::test]
async fn one_bad_member_fails_alone() {
    let world = World::new().await;
    let (first, others) = together(&world, &[(1, 1), (0, 1), (3, 1)]).await;
    assert!(first.is_ok());
    assert!(matches!(&others[..], [(0, Err(DbError::Unique { .. })), (1, Ok(())), (3, Ok(()))]), "{others:?}");
    assert_eq!(world.ids(), [0, 1, 3]);
}

#[tokio::test]
async fn a_full_disk_fails_every_member_and_once_there_is_room_everything_works() {
    let world = World::new().await;
    world.fill().await;
    let (first, others) = together(&world, &[(1, 100_000), (2, 1)]).await;
    let full = |outcome: &Result<(), DbError>| outcome.as_ref().err().and_then(DbError::condition) == Some(Condition::Full);
    assert!(full(&first), "it was released and lost with the others: {first:?}");
    assert!(full(&others[0].1), "{others:?}");
    // The last began after the transaction was gone: it has its own transaction on its own connection.
    assert!(others[1].1.is_ok(), "{others:?}");
    assert_eq!(world.ids(), [2]);
    let mut member = world.begin().await;
    insert(&mut member, 3, 100_000).unwrap();
    member.commit(Vec::new(), None).await.unwrap();
    assert_eq!(world.ids(), [2, 3]);
}

#[tokio::test]
async fn who_goes_away_before_the_commit_changes_nothing_and_after_it_everything() {
    let world = World::new().await;
    let mut member = world.begin().await;
    insert(&mut member, 1, 1).unwrap();
    drop(member);
    let mut member = world.begin().await;
    insert(&mut member, 2, 1).unwrap();
    let commit = member.commit(Vec::new(), None);
    // One poll hands it over, then the caller is dropped.
    tokio::select! { biased; _ = commit => {}, () = std::future::ready(()) => {} }
    let mut member = world.begin().await;
    insert(&mut member, 3, 1).unwrap();
    member.commit(Vec::new(), None).await.unwrap();
    assert_eq!(world.ids(), [2, 3]);
}

#[tokio::test]
async fn a_panic_after_a_commit_takes_nothing_with_it() {
    let world = World::new().await;
    let mut member = world.begin().await;
    insert(&mut member, 1, 1).unwrap();
    member.commit(vec![Box::new(|| panic!("on purpose"))], None).await.unwrap();
    let mut member = world.begin().await;
    insert(&mut member, 2, 1).unwrap();
    member.commit(Vec::new(), None).await.unwrap();
    assert_eq!(world.ids(), [1, 2]);
}

#[tokio::test]
async fn what_a_member_saw_is_visible_to_all_once_it_is_rolled_back() {
    let world = World::new().await;
    let mut first = world.begin().await;
    let committer = Arc::clone(&world.committer);
    let second = tokio::spawn(async move {
        let mut second = Committer::begin(&committer, Company::Anybody).await.unwrap();
        let seen = second.fetch("SELECT id FROM thing", &[]).unwrap().len();
        insert(&mut second, 2, 1).unwrap();
        second.roll_back().await;
        seen
    });
    tokio::task::yield_now().await;
    insert(&mut first, 1, 1).unwrap();
    let first = tokio::spawn(first.commit(Vec::new(), None));
    assert_eq!(second.await.unwrap(), 1, "what is not committed yet");
    assert_eq!(world.ids(), [1]);
    first.await.unwrap().unwrap();
}

#[tokio::test]
async fn a_large_transaction_shares_its_commit_with_no_other() {
    let world = World::new().await;
    let mut first = world.begin().await;
    insert(&mut first, 1, 1).unwrap();
    let first = tokio::spawn(first.commit(Vec::new(), None));
    tokio::task::yield_now().await;
    let mut large = Committer::begin(&world.committer, Company::Nobody).await.unwrap();
    assert!(!large.nested);
    assert!(first.await.unwrap().is_ok());
    insert(&mut large, 2, 1).unwrap();
    large.commit(Vec::new(), None).await.unwrap();
    assert_eq!(world.ids(), [1, 2]);
}

#[tokio::test]
async fn a_group_takes_in_no_more_when_its_deadline_is_near() {
    let (world, start) = (World::new().await, Timestamp::from_seconds(1));
    let clock = Clock::manual(start);
    for (left, syncs) in [(Duration::from_millis(50), 1), (Duration::from_millis(24), 2)] {
        let before = world.syncs.load(Ordering::Relaxed);
        let mut first = world.begin().await;
        // It queues before the committing thread does.
        let second = tokio::spawn({
            let committer = Arc::clone(&world.committer);
            async move { Committer::begin(&committer, Company::Anybody).await.unwrap().commit(Vec::new(), None).await }
        });
        tokio::task::yield_now().await;
        first.execute("DELETE FROM thing", &[]).unwrap();
        first.commit(Vec::new(), Some(Deadline::new(&clock, start + left))).await.unwrap();
        second.await.unwrap().unwrap();
        assert_eq!(world.syncs.load(Ordering::Relaxed) - before, syncs, "{left:?}");
    }
}

/// Two members of one group: one with `left` until its deadline, and one that joins it and advances the clock during its turn.
async fn one_who_takes_long(company: Company, left: Duration) -> (Result<(), DbError>, Result<(), DbError>, Vec<i64>) {
    let (world, start) = (World::new().await, Timestamp::from_seconds(1));
    let clock = Clock::manual(start);
    let mut hurried = world.begin().await;
    let slow = tokio::spawn({
        let (committer, clock) = (Arc::clone(&world.committer), clock.clone());
        async move {
            let mut slow = Committer::begin(&committer, company).await.unwrap();
            insert(&mut slow, 2, 1).unwrap();
            clock.advance(Duration::from_millis(51));
            slow.commit(Vec::new(), None).await
        }
    });
    tokio::task::yield_now().await;
    insert(&mut hurried, 1, 1).unwrap();
    let hurried = hurried.commit(Vec::new(), Some(Deadline::new(&clock, start + left))).await;
    let slow = slow.await.unwrap();
    (hurried, slow, world.ids())
}

#[tokio::test]
async fn a_group_whose_deadline_has_passed_when_it_is_committed_never_was() {
    let (hurried, slow, ids) = one_who_takes_long(Company::Anybody, Duration::from_millis(50)).await;
    assert!(matches!(hurried, Err(DbError::Late)), "{hurried:?}");
    assert_eq!(slow.unwrap_err().condition(), Some(Condition::Busy), "it may be tried again");
    assert_eq!(ids, [0; 0]);
}

#[tokio::test]
async fn who_takes_long_shares_no_commit_with_who_is_in_a_hurry() {
    let (hurried, slow, ids) = one_who_takes_long(Company::Patient, Duration::from_millis(50)).await;
    assert!(hurried.is_ok() && slow.is_ok(), "{hurried:?} {slow:?}");
    assert_eq!(ids, [1, 2]);
}

#[tokio::test]
async fn who_has_little_time_left_waits_for_nobody_who_queues() {
    let (hurried, slow, ids) = one_who_takes_long(Company::Anybody, Duration::from_millis(24)).await;
    assert!(hurried.is_ok() && slow.is_ok(), "{hurried:?} {slow:?}");
    assert_eq!(ids, [1, 2]);
}

#[tokio::test]
async fn who_holds_the_turn_keeps_nobody_waiting_for_the_disk() {
    let world = World::new().await;
    let mut first = world.begin().await;
    let held = tokio::spawn({
        let committer = Arc::clone(&world.committer);
        async move { Committer::turn(&committer).await.unwrap().committed().await.unwrap() }
    });
    tokio::task::yield_now().await;
    insert(&mut first, 1, 1).unwrap();
    // Resolves while the turn is held.
    first.commit(Vec::new(), None).await.unwrap();
    let mut member = held.await.unwrap().begin(Company::Anybody).await.unwrap();
    insert(&mut member, 2, 1).unwrap();
    member.commit(Vec::new(), None).await.unwrap();
    assert_eq!(world.ids(), [1, 2]);
}

#[tokio::test]
async fn what_is_closed_is_on_the_disk_and_takes_nothing_more() {
    let world = World::new().await;
    let mut member = world.begin().await;
    insert(&mut member, 1, 1).unwrap();
    let commit = tokio::spawn(member.commit(Vec::new(), None));
    tokio::task::yield_now().await;
    world.committer.close().await;
    assert!(commit.await.unwrap().is_ok());
    assert_eq!(world.ids(), [1]);
    assert!(Committer::begin(&world.committer, Company::Anybody).await.is_err());
}
