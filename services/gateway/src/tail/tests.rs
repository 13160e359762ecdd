//! Listeners and their queues.

use futures_util::FutureExt as _;
use nodkey_kernel::{random::Random, time::Timestamp};

use super::*;

const NOW: Timestamp = Timestamp::from_seconds(0);

fn party(n: u64) -> RelyingPartyId {
    RelyingPartyId::generate(NOW, &Random::seeded(n))
}

fn credential(n: u64) -> CredentialId {
    CredentialId::generate(NOW, &Random::seeded(n))
}

fn entry(n: usize) -> Arc<str> {
    Arc::from(n.to_string())
}

fn next(listening: &mut Listening) -> Option<Update> {
    listening.next().now_or_never()
}

#[test]
fn a_backend_hears_of_its_own_credential_and_an_operator_of_all_of_one_relying_party() {
    let tail = Tail::default();
    let mut own = tail.listen(Scope::Credential(party(1), credential(1))).unwrap();
    let mut all = tail.listen(Scope::Party(party(1), HashSet::from([credential(3)]))).unwrap();
    for (n, named, known, own_hears, all_hears) in [
        (1, credential(1), Some(party(1)), true, true),
        // Its sender only names it.
        (2, credential(1), None, true, false),
        (3, credential(3), None, false, true),
        (4, credential(2), Some(party(1)), false, true),
        (5, credential(2), Some(party(2)), false, false),
    ] {
        assert_eq!(tail.has_listener_for(named, known, Instant::now()), own_hears || all_hears, "{n}");
        tail.publish(named, known, Instant::now(), &entry(n));
        assert_eq!(next(&mut own), own_hears.then(|| Update::Request(entry(n))));
        assert_eq!(next(&mut all), all_hears.then(|| Update::Request(entry(n))));
    }
}

#[test]
fn a_listener_hears_of_no_request_that_began_before_it_listened() {
    let tail = Tail::default();
    let mut first = tail.listen(Scope::Credential(party(1), credential(1))).unwrap();
    let began = Instant::now();
    let mut second = tail.listen(Scope::Credential(party(1), credential(1))).unwrap();
    tail.publish(credential(1), Some(party(1)), began, &entry(1));
    assert_eq!((next(&mut first), next(&mut second)), (Some(Update::Request(entry(1))), None));
}

#[test]
fn a_slow_listener_loses_what_its_queue_cannot_hold_and_is_told_how_many_where_they_were() {
    let tail = Tail::default();
    let mut slow = tail.listen(Scope::Credential(party(1), credential(1))).unwrap();
    let tell = |n| tail.publish(credential(1), Some(party(1)), Instant::now(), &entry(n));
    (0..QUEUE + 7).for_each(tell);
    assert_eq!(next(&mut slow), Some(Update::Request(entry(0))));
    // There is space for one again: it comes after those that were lost.
    tell(1_000);
    (1_001..1_004).for_each(tell);
    for n in 1..QUEUE {
        assert_eq!(next(&mut slow), Some(Update::Request(entry(n))));
    }
    assert_eq!(next(&mut slow), Some(Update::Lost(7)));
    assert_eq!(next(&mut slow), Some(Update::Request(entry(1_000))));
    assert_eq!(next(&mut slow), Some(Update::Lost(3)), "nothing has come since");
    assert_eq!(next(&mut slow), None);
}

#[test]
fn a_relying_party_has_so_many_listeners_and_a_request_costs_nothing_once_they_are_gone() {
    let tail = Tail::default();
    assert!(!tail.has_listeners());
    let listen = |n| tail.listen(Scope::Credential(party(n), credential(n)));
    let mut held: Vec<_> = (0..PER_PARTY).map(|_| listen(1).unwrap()).collect();
    assert!(listen(1).is_err() && listen(2).is_ok(), "others have their own");
    held.pop();
    assert!(listen(1).is_ok() && tail.has_listeners());
    drop(held);
    assert!(!tail.has_listeners() && tail.listeners().parties.is_empty());
}
