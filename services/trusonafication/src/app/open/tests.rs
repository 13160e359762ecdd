use std::sync::atomic::{AtomicUsize, Ordering};

use futures_util::{FutureExt as _, future::join_all};
use nodkey_kernel::random::Random;
use tokio::sync::oneshot;

use super::*;

const NOW: Timestamp = Timestamp::from_seconds(1_700_000_000);

fn party(n: u64) -> RelyingPartyId {
    RelyingPartyId::generate(NOW, &Random::seeded(n))
}

fn is_refused(added: &Result<(), Error>) -> bool {
    matches!(added, Err(Error::TooManyOpen { after, .. }) if !after.is_zero() && *after <= FULL)
}

#[tokio::test]
async fn at_the_limit_it_is_counted_once_a_second_however_many_are_refused() {
    let (open, clock, counted) = (Open::default(), Clock::manual(NOW), AtomicUsize::new(0));
    let count = async || {
        counted.fetch_add(1, Ordering::Relaxed);
        tokio::task::yield_now().await;
        Ok(5)
    };
    // Trusonafications in progress from before this process started are counted first.
    open.add(party(1), 5, &clock, async || Ok(0)).await.unwrap();
    for _ in 1..5 {
        open.add(party(1), 5, &clock, count).await.unwrap();
    }
    assert_eq!(counted.load(Ordering::Relaxed), 0, "below the limit nobody counts");
    let at_once = join_all((0..100).map(|_| open.add(party(1), 5, &clock, count))).await;
    assert!(at_once.iter().all(is_refused));
    assert_eq!(counted.load(Ordering::Relaxed), 1);
    clock.advance(FULL.saturating_sub(Duration::from_micros(1)));
    assert!(is_refused(&open.add(party(1), 5, &clock, count).await));
    assert_eq!(counted.load(Ordering::Relaxed), 1);
    assert!(is_refused(&open.add(party(2), 5, &clock, async || Ok(5)).await), "and as many there are of another");
    clock.advance(Duration::from_micros(1));
    assert!(is_refused(&open.add(party(1), 5, &clock, count).await));
    assert_eq!(counted.load(Ordering::Relaxed), 2);
    clock.advance(FULL);
    open.add(party(1), 5, &clock, async || Ok(3)).await.unwrap();
    open.add(party(1), 5, &clock, count).await.unwrap();
    assert_eq!(counted.load(Ordering::Relaxed), 2, "two had ended");
    assert!(is_refused(&open.add(party(1), 5, &clock, count).await));
}

#[tokio::test]
async fn no_more_are_let_through_at_once_than_there_is_room_for() {
    let (open, clock) = (Open::default(), Clock::manual(NOW));
    open.add(party(1), 5, &clock, async || Ok(4)).await.unwrap();
    let (found, waits) = oneshot::channel();
    let first = open.add(party(1), 5, &clock, async || Ok(waits.await.unwrap()));
    let others = join_all((0..10).map(|_| open.add(party(1), 5, &clock, async || Ok(5))));
    let mut all = std::pin::pin!(futures_util::future::join(first, others));
    assert!((&mut all).now_or_never().is_none(), "one counts, the others wait");
    // A caller whose limit was raised in the meantime.
    open.add(party(1), 100, &clock, async || unreachable!()).await.unwrap();
    found.send(1).unwrap();
    let (first, others) = all.await;
    first.unwrap();
    assert_eq!(others.iter().filter(|added| added.is_ok()).count(), 2, "one and one there were, and one was let through");
}

#[tokio::test]
async fn who_could_not_count_says_so_and_the_next_counts() {
    let (open, clock) = (Open::default(), Clock::manual(NOW));
    let failed = open.add(party(1), 0, &clock, async || Err(Error::Raced)).await;
    assert!(matches!(failed, Err(Error::Raced)));
    assert!(is_refused(&open.add(party(1), 0, &clock, async || Ok(0)).await));
}
