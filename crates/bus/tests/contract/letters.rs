//! Dead letters: what an operator replays has its effect once, whatever else happens to the same event.

use std::{sync::Arc, time::Duration};

use nodkey_bus::{Consumer, EventMeta, HandlerError, Replayed, drop_letter, replay};
use nodkey_db::{Db, Message, dead_letter, inbox};
use nodkey_kernel::time::Clock;
use nodkey_proto::registry::v1::DeviceRetired;
use nodkey_testkit::TestDatabase;
use tokio::sync::Semaphore;

use crate::world::{NOW, World};

const NAME: &str = "test_device_retired";

macro_rules! on_both_engines {
    ($($name:ident,)+) => {
        mod sqlite {$(
            #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
            async fn $name() {
                super::$name(super::World::new("memory:".into()).await).await;
            }
        )+}
        mod postgres {$(
            #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
            async fn $name() {
                super::$name(super::World::on(super::TestDatabase::postgres().await, "memory:".into()).await).await;
            }
        )+}
    };
}

on_both_engines! {
    a_replayed_event_has_its_effect_and_its_letter_goes_with_it,
    a_letter_that_is_replayed_many_times_at_once_has_one_effect,
    a_replay_that_fails_again_has_no_effect_and_leaves_the_letter_with_its_cause,
    a_replay_that_is_cut_off_has_no_effect_and_leaves_the_letter,
    an_event_that_is_replayed_and_redelivered_at_once_has_one_effect,
    an_event_that_had_its_effect_otherwise_has_no_other_and_its_letter_goes,
    a_letter_is_gone_before_the_mark_of_its_effect_is,
    what_nobody_signed_or_this_consumer_does_not_read_is_never_replayed,
    an_event_without_an_effect_now_is_settled_without_a_mark,
    a_dropped_letter_never_has_an_effect,
    pages_hold_every_letter_once_and_filters_take_whole_words,
}

fn clock() -> Clock {
    Clock::manual(NOW)
}

/// A letter of the consumer about `device`.
async fn letter(world: &World, device: &str) -> Message {
    let message = world.message(world.relying_party(), device);
    dead_letter::add(&world.db, NAME, &message, "no", NOW).await.unwrap();
    message
}

async fn letters(world: &World) -> Vec<String> {
    dead_letter::list(&world.db, 100).await.unwrap().into_iter().map(|letter| letter.cause).collect()
}

async fn replayed(world: &World, consumer: &Consumer, message: &Message) -> Replayed {
    replay(&world.bus, &world.db, &clock(), consumer, message.id).await.unwrap()
}

async fn a_replayed_event_has_its_effect_and_its_letter_goes_with_it(world: World) {
    let (consumer, mut seen) = World::consumer(|_, _| None);
    let message = letter(&world, "d").await;
    assert!(matches!(replayed(&world, &consumer, &message).await, Replayed::Done));
    assert_eq!((world.effects().await, letters(&world).await, seen.recv().await.unwrap()), (vec!["d".to_owned()], vec![], "d".to_owned()));
    assert!(matches!(replayed(&world, &consumer, &message).await, Replayed::Gone));
    assert_eq!(world.effects().await, ["d"]);
}

/// Two connections to one database are two replicas.
async fn a_letter_that_is_replayed_many_times_at_once_has_one_effect(world: World) {
    let (consumer, _seen) = World::consumer(|_, _| None);
    for round in 0..10 {
        let message = letter(&world, &round.to_string()).await;
        let tries = (0..8).map(|_| {
            let (bus, db, consumer, id) = (world.bus.clone(), world.db.clone(), consumer.clone(), message.id);
            tokio::spawn(async move { replay(&bus, &db, &clock(), &consumer, id).await.unwrap() })
        });
        let tries: Vec<_> = tries.collect();
        let mut done = 0;
        for one in tries {
            match one.await.unwrap() {
                Replayed::Done => done += 1,
                Replayed::Gone => {}
                other => panic!("{other:?}"),
            }
        }
        assert_eq!(done, 1);
    }
    assert_eq!((world.effects().await.len(), letters(&world).await), (10, vec![]));
}

async fn a_replay_that_fails_again_has_no_effect_and_leaves_the_letter_with_its_cause(world: World) {
    let fail = |n, _: &str| match n {
        0 => Some(HandlerError::Fatal("still no".into())),
        1 => Some(HandlerError::Retry("away".into())),
        _ => None,
    };
    let (consumer, _seen) = World::consumer(fail);
    let message = letter(&world, "d").await;
    assert!(matches!(replayed(&world, &consumer, &message).await, Replayed::Failed(HandlerError::Fatal(_))));
    assert_eq!((world.effects().await, letters(&world).await), (vec![], vec!["still no".to_owned()]));
    assert!(matches!(replayed(&world, &consumer, &message).await, Replayed::Failed(HandlerError::Retry(_))));
    assert_eq!(letters(&world).await, ["still no"], "what passes is not why it was given up");
    assert!(matches!(replayed(&world, &consumer, &message).await, Replayed::Done));
    assert_eq!((world.effects().await.len(), letters(&world).await), (1, vec![]));
}

async fn a_replay_that_is_cut_off_has_no_effect_and_leaves_the_letter(world: World) {
    let (gate, reached) = (Arc::new(Semaphore::new(0)), Arc::new(Semaphore::new(0)));
    let (open, at) = (Arc::clone(&gate), Arc::clone(&reached));
    let consumer = Consumer::new(NAME, move |tx, event: DeviceRetired, _: EventMeta| {
        let (open, at) = (Arc::clone(&open), Arc::clone(&at));
        Box::pin(async move {
            tx.query("INSERT INTO effect (device) VALUES ($1)").bind(event.device_id.as_str()).execute().await?;
            at.add_permits(1);
            open.acquire().await.unwrap().forget();
            Ok(())
        })
    });
    let message = letter(&world, "d").await;
    let (bus, db, cut, id) = (world.bus.clone(), world.db.clone(), consumer.clone(), message.id);
    let task = tokio::spawn(async move { replay(&bus, &db, &clock(), &cut, id).await });
    reached.acquire().await.unwrap().forget();
    task.abort();
    assert!(task.await.unwrap_err().is_cancelled());
    gate.add_permits(1);
    assert_eq!((world.effects().await, letters(&world).await), (vec![], vec!["no".to_owned()]));
    assert!(matches!(replayed(&world, &consumer, &message).await, Replayed::Done));
    assert_eq!((world.effects().await.len(), letters(&world).await), (1, vec![]));
}

async fn an_event_that_is_replayed_and_redelivered_at_once_has_one_effect(world: World) {
    let (_seen, task) = {
        let (mut seen, task) = world.start(|_, _| None).await;
        (tokio::spawn(async move { while seen.recv().await.is_some() {} }), task)
    };
    let (consumer, _handled) = World::consumer(|_, _| None);
    for round in 0..20 {
        let message = letter(&world, &round.to_string()).await;
        let (published, outcome) = tokio::join!(world.bus.publish(&message), replayed(&world, &consumer, &message));
        published.unwrap();
        assert!(matches!(outcome, Replayed::Done | Replayed::Duplicate), "{outcome:?}");
    }
    world.stop(task).await;
    assert_eq!((world.effects().await.len(), letters(&world).await), (20, vec![]));
}

async fn an_event_that_had_its_effect_otherwise_has_no_other_and_its_letter_goes(world: World) {
    let (mut seen, task) = world.start(|_, _| None).await;
    let message = letter(&world, "d").await;
    world.bus.publish(&message).await.unwrap();
    assert_eq!(seen.recv().await.unwrap(), "d");
    let (consumer, _handled) = World::consumer(|_, _| None);
    assert!(matches!(replayed(&world, &consumer, &message).await, Replayed::Duplicate));
    world.stop(task).await;
    assert_eq!((world.effects().await.len(), letters(&world).await), (1, vec![]));
    // Given up by another replica, which read it before.
    dead_letter::add(&world.db, NAME, &message, "no", NOW).await.unwrap();
    assert!(letters(&world).await.is_empty());
}

async fn a_letter_is_gone_before_the_mark_of_its_effect_is(world: World) {
    let (done, open) = (letter(&world, "done").await, letter(&world, "open").await);
    let mut tx = world.db.begin().await.unwrap();
    assert!(inbox::first_time(&mut tx, NAME, done.id, NOW).await.unwrap());
    tx.commit().await.unwrap();
    assert_eq!(inbox::prune(&world.db, NOW).await.unwrap(), 0);
    assert_eq!(letters(&world).await.len(), 2);
    assert_eq!(inbox::prune(&world.db, NOW + Duration::from_secs(1)).await.unwrap(), 1);
    let left = dead_letter::list(&world.db, 10).await.unwrap();
    assert_eq!(left.iter().map(|letter| letter.event_id).collect::<Vec<_>>(), [open.id]);
}

async fn what_nobody_signed_or_this_consumer_does_not_read_is_never_replayed(world: World) {
    let (consumer, _seen) = World::consumer(|_, _| None);
    let forged = world.message(world.relying_party(), "forged");
    dead_letter::add_refused(&world.db, NAME, &forged, "it is not signed", NOW).await.unwrap();
    let mut other = world.message(world.relying_party(), "other");
    other.subject = other.subject.replace("device_retired", "device_retired_not");
    dead_letter::add(&world.db, NAME, &other, "no", NOW).await.unwrap();
    let mut nobodys = world.message(world.relying_party(), "nobody");
    nobodys.subject = "evt.registry.v1.device_retired.nobody.d".into();
    dead_letter::add(&world.db, NAME, &nobodys, "no", NOW).await.unwrap();
    for message in [&forged, &other] {
        assert!(matches!(replayed(&world, &consumer, message).await, Replayed::Refused(_)));
    }
    assert!(matches!(replayed(&world, &consumer, &nobodys).await, Replayed::Failed(HandlerError::Undecodable(_))));
    assert_eq!((world.effects().await, letters(&world).await.len()), (vec![], 3));
    // A cause of ours is not taken for a refusal.
    let own = world.message(world.relying_party(), "own");
    dead_letter::add(&world.db, NAME, &own, "refused: by a rule", NOW).await.unwrap();
    assert!(matches!(replayed(&world, &consumer, &own).await, Replayed::Done));
}

async fn an_event_without_an_effect_now_is_settled_without_a_mark(world: World) {
    let (consumer, _seen) = World::consumer(|_, _| None);
    let message = letter(&world, "nothing").await;
    assert!(matches!(replayed(&world, &consumer, &message).await, Replayed::NoEffect));
    assert_eq!((world.effects().await, letters(&world).await), (vec![], Vec::<String>::new()));
    let mut tx = world.db.begin().await.unwrap();
    assert!(inbox::first_time(&mut tx, NAME, message.id, NOW).await.unwrap());
    tx.rollback().await.unwrap();
}

async fn a_dropped_letter_never_has_an_effect(world: World) {
    let (consumer, _seen) = World::consumer(|_, _| None);
    let message = letter(&world, "d").await;
    assert!(drop_letter(&world.db, NAME, message.id).await.unwrap());
    assert!(!drop_letter(&world.db, NAME, message.id).await.unwrap());
    assert!(matches!(replayed(&world, &consumer, &message).await, Replayed::Gone));
    assert!(world.effects().await.is_empty());
}

async fn pages_hold_every_letter_once_and_filters_take_whole_words(world: World) {
    let (one, other) = (world.relying_party(), world.relying_party());
    for n in 0..7_u64 {
        let message = world.message(if n % 2 == 0 { one } else { other }, &n.to_string());
        // Several at the same moment, and one event given up by two consumers.
        let at = NOW + Duration::from_secs(n / 3);
        dead_letter::add(&world.db, NAME, &message, &n.to_string(), at).await.unwrap();
        dead_letter::add(&world.db, "test_other", &message, &n.to_string(), at).await.unwrap();
    }
    let page = async |filter: &dead_letter::Filter| page_through(&world.db, filter).await;
    let all = page(&dead_letter::Filter::default()).await;
    assert_eq!(all.len(), 14);
    assert!(all.is_sorted_by(|a, b| a.at >= b.at));
    let distinct: std::collections::BTreeSet<_> = all.iter().map(|letter| (letter.event_id, letter.consumer.clone())).collect();
    assert_eq!(distinct.len(), 14);
    let filter = |subject: String| dead_letter::Filter { consumer: NAME.into(), subject, ..dead_letter::Filter::default() };
    for (subject, count) in [
        (String::new(), 7),
        ("evt.registry.v1.device_retired".into(), 7),
        ("evt.registry.".into(), 7),
        ("evt.registry.v1.device_ret".into(), 0),
        (format!("evt.registry.v1.device_retired.{one}"), 4),
        (format!("evt.registry.v1.device_retired.{other}.1"), 1),
        ("%".into(), 0),
    ] {
        assert_eq!(page(&filter(subject.clone())).await.len(), count, "{subject}");
    }
    let between = dead_letter::Filter {
        since: Some(NOW + Duration::from_secs(1)),
        until: Some(NOW + Duration::from_secs(2)),
        ..dead_letter::Filter::default()
    };
    assert_eq!(page(&between).await.len(), 6);
}

async fn page_through(db: &Db, filter: &dead_letter::Filter) -> Vec<dead_letter::DeadLetter> {
    let (mut all, mut after) = (Vec::new(), None);
    loop {
        let page = dead_letter::page(db, filter, after.as_ref(), 3).await.unwrap();
        let Some(last) = page.last() else { return all };
        after = Some(dead_letter::Position { at: last.at, event_id: last.event_id, consumer: last.consumer.clone() });
        all.extend(page);
    }
}
