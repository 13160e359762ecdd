//! One suite for both buses.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on fails")]

mod batches;
mod letters;
mod only_nats;
mod relay;
mod rights;
mod signed;
mod stuck;
mod wakes;
mod world;

use std::sync::{
    Arc,
    atomic::{AtomicBool, Ordering},
};

use nodkey_bus::{Bus, BusConfig, HandlerError, relay};
use nodkey_db::{
    dead_letter,
    outbox::{self},
};
use nodkey_kernel::time::Clock;
use tokio_util::sync::CancellationToken;

use stuck::*;
use wakes::*;
use world::World;

macro_rules! on_both_buses {
    ($($name:ident,)+) => {
        mod memory {$(
            #[tokio::test]
            async fn $name() {
                super::$name(super::World::new("memory:".into()).await).await;
            }
        )+}
        mod nats {$(
            #[tokio::test]
            async fn $name() {
                super::$name(super::World::new(nodkey_testkit::nats_url()).await).await;
            }
        )+}
    };
}

on_both_buses! {
    an_event_has_its_effect,
    the_same_event_twice_has_it_once,
    a_failure_that_passes_is_tried_again_before_what_comes_later_about_the_same_thing,
    events_about_one_thing_arrive_in_order,
    an_unreadable_event_is_a_dead_letter_and_holds_up_nothing,
    a_fatal_failure_is_a_dead_letter_without_effect,
    what_has_no_effect_is_done_without_a_mark,
    one_bad_event_among_many_that_wait_spoils_none_of_the_others,
    what_may_pass_is_tried_until_it_does,
    what_fails_holds_up_only_what_is_about_the_same_thing,
    a_database_that_takes_nothing_is_waited_for,
    an_event_survives_a_consumer_killed_in_the_middle,
    the_relay_empties_the_outbox_in_order_even_after_a_restart,
    an_event_that_is_not_taken_holds_up_no_other_in_the_outbox,
    a_consumer_that_hangs_holds_up_no_other_and_no_producer,
    a_consumer_that_takes_over_from_one_that_hung_gets_everything_in_order,
    a_hint_reaches_who_listens_in_this_process_and_says_whether_somebody_does,
    a_wake_reaches_who_listens_and_nobody_else,
    a_payload_arrives_where_it_is_verified_and_everywhere_else_the_wake_alone,
    a_payload_that_is_too_large_is_a_wake_alone,
    the_wakes_of_a_relying_party_reach_who_looks_at_it,
    what_is_only_of_this_process_wakes_this_process,
}

async fn an_event_has_its_effect(world: World) {
    let (mut seen, task) = world.start(|_, _| None).await;
    world.bus.publish(&world.message(world.relying_party(), "d")).await.unwrap();
    assert_eq!(seen.recv().await.unwrap(), "d");
    world.stop(task).await;
    assert_eq!(world.effects().await, ["d"]);
}

async fn the_same_event_twice_has_it_once(world: World) {
    let (mut seen, task) = world.start(|_, _| None).await;
    let rp = world.relying_party();
    let message = world.message(rp, "d");
    world.bus.publish(&message).await.unwrap();
    world.bus.publish(&message).await.unwrap();
    world.bus.publish(&world.message(rp, "last")).await.unwrap();
    while seen.recv().await.unwrap() != "last" {}
    world.stop(task).await;
    assert_eq!(world.effects().await, ["d", "last"]);
}

async fn a_failure_that_passes_is_tried_again_before_what_comes_later_about_the_same_thing(world: World) {
    let (mut seen, task) = world.start(|n, _| (n < 2).then(|| HandlerError::Retry("away".into()))).await;
    let rp = world.relying_party();
    let (first, second) = (world.message(rp, "first"), world.about(rp, "first", "second"));
    let bus = world.bus.clone();
    let publishing = tokio::spawn(async move {
        let (first, second) = tokio::join!(bus.publish(&first), bus.publish(&second));
        assert!(first.is_ok() && second.is_ok());
    });
    for expected in ["first", "first", "first", "second"] {
        assert_eq!(seen.recv().await.unwrap(), expected);
    }
    publishing.await.unwrap();
    world.stop(task).await;
    assert_eq!(world.effects().await, ["first", "second"]);
}

async fn events_about_one_thing_arrive_in_order(world: World) {
    let (mut seen, task) = world.start(|_, _| None).await;
    let rp = world.relying_party();
    for n in 0..20 {
        world.bus.publish(&world.about(rp, "d", &n.to_string())).await.unwrap();
    }
    for n in 0..20 {
        assert_eq!(seen.recv().await.unwrap(), n.to_string());
    }
    world.stop(task).await;
}

async fn an_unreadable_event_is_a_dead_letter_and_holds_up_nothing(world: World) {
    let (mut seen, task) = world.start(|_, _| None).await;
    let rp = world.relying_party();
    let mut poison = world.message(rp, "poison");
    poison.payload = vec![0xff; 3].into();
    world.bus.publish(&poison).await.unwrap();
    world.bus.publish(&world.message(rp, "good")).await.unwrap();
    assert_eq!(seen.recv().await.unwrap(), "good");
    world.stop(task).await;
    let letters = dead_letter::list(&world.db, 10).await.unwrap();
    assert_eq!(letters.len(), 1);
    assert_eq!(letters[0].event_id, poison.id);
    assert!(letters[0].cause.contains("cannot be read"), "{}", letters[0].cause);
}

async fn a_fatal_failure_is_a_dead_letter_without_effect(world: World) {
    let (mut seen, task) = world.start(|_, device| (device == "bad").then(|| HandlerError::Fatal("no".into()))).await;
    let rp = world.relying_party();
    world.bus.publish(&world.message(rp, "bad")).await.unwrap();
    world.bus.publish(&world.message(rp, "good")).await.unwrap();
    while seen.recv().await.unwrap() != "good" {}
    world.stop(task).await;
    assert_eq!(world.effects().await, ["good"]);
    assert_eq!(dead_letter::list(&world.db, 10).await.unwrap()[0].cause, "no");
}

async fn what_has_no_effect_is_done_without_a_mark(world: World) {
    let (mut seen, task) = world.start(|_, _| None).await;
    let rp = world.relying_party();
    for device in ["nothing", "d", "nothing"] {
        world.bus.publish(&world.message(rp, device)).await.unwrap();
    }
    world.bus.publish(&world.message(rp, "last")).await.unwrap();
    for expected in ["d", "last"] {
        assert_eq!(seen.recv().await.unwrap(), expected);
    }
    world.stop(task).await;
    assert_eq!(world.effects().await, ["d", "last"]);
    let marks = world.db.query("SELECT count(*) AS marks FROM inbox").fetch_one().await.unwrap();
    assert_eq!(marks.get::<i64>("marks").unwrap(), 2);
}

/// No number of attempts makes it a dead letter.
async fn what_may_pass_is_tried_until_it_does(world: World) {
    let (mut seen, task) = world.start(|n, _| (n < 10).then(|| HandlerError::Retry("still away".into()))).await;
    let message = world.message(world.relying_party(), "d");
    let bus = world.bus.clone();
    let publishing = tokio::spawn(async move { bus.publish(&message).await.unwrap() });
    for _ in 0..=10 {
        assert_eq!(seen.recv().await.unwrap(), "d");
    }
    publishing.await.unwrap();
    world.stop(task).await;
    assert_eq!(world.effects().await, ["d"]);
    assert!(dead_letter::list(&world.db, 10).await.unwrap().is_empty());
}

async fn what_fails_holds_up_only_what_is_about_the_same_thing(world: World) {
    let mended = Arc::new(AtomicBool::new(false));
    let broken = Arc::clone(&mended);
    let (mut seen, task) = world
        .start(move |_, device| {
            let fails = device == "bad" && !broken.load(Ordering::SeqCst);
            fails.then(|| HandlerError::Retry("still away".into()))
        })
        .await;
    let rp = world.relying_party();
    let bad = world.message(rp, "bad");
    // About the same thing, but it would succeed.
    let behind = world.about(rp, "bad", "behind");
    let bus = world.bus.clone();
    let publishing = tokio::spawn(async move { tokio::join!(bus.publish(&bad), bus.publish(&behind)) });
    while seen.recv().await.unwrap() != "bad" {}
    for n in 0..40 {
        let other = n.to_string();
        world.bus.publish(&world.message(rp, &other)).await.unwrap();
        while seen.recv().await.unwrap() != other {}
    }
    assert!(!world.effects().await.contains(&"behind".to_owned()));
    mended.store(true, Ordering::SeqCst);
    while seen.recv().await.unwrap() != "behind" {}
    let published = publishing.await.unwrap();
    assert!(published.0.is_ok() && published.1.is_ok());
    world.stop(task).await;
    assert_eq!(world.effects().await[40..], ["bad", "behind"]);
    assert!(dead_letter::list(&world.db, 10).await.unwrap().is_empty());
}

async fn a_database_that_takes_nothing_is_waited_for(world: World) {
    let (mut seen, task) = world.start(|_, _| None).await;
    let rp = world.relying_party();
    // Nothing can be marked as seen; a read gives the same result.
    world.db.execute("ALTER TABLE inbox RENAME TO away").execute().await.unwrap();
    let messages: Vec<_> = (0..40).map(|n| world.message(rp, &n.to_string())).collect();
    let bus = world.bus.clone();
    let publishing = tokio::spawn(async move { futures_util::future::join_all(messages.iter().map(|message| bus.publish(message))).await });
    tokio::task::yield_now().await;
    assert!(seen.try_recv().is_err());
    world.db.execute("ALTER TABLE away RENAME TO inbox").execute().await.unwrap();
    assert!(publishing.await.unwrap().iter().all(Result::is_ok));
    let mut tried = Vec::new();
    while tried.len() < 40 {
        tried.push(seen.recv().await.unwrap());
    }
    world.stop(task).await;
    assert_eq!(world.effects().await.len(), 40);
    assert!(dead_letter::list(&world.db, 10).await.unwrap().is_empty());
}

async fn one_bad_event_among_many_that_wait_spoils_none_of_the_others(world: World) {
    let (mut seen, task) = world.start(|_, device| (device == "5").then(|| HandlerError::Fatal("no".into()))).await;
    let rp = world.relying_party();
    let messages: Vec<_> = (0..20).map(|n| world.message(rp, &n.to_string())).collect();
    // Published twice, concurrently: an event that was seen before has no second effect, whichever batch it arrives in.
    let published = messages.iter().chain(&messages).map(|message| world.bus.publish(message));
    let published = futures_util::future::join_all(published);
    let drain = async {
        while world.effects().await.len() < 19 {
            while seen.try_recv().is_ok() {}
        }
    };
    let (published, ()) = tokio::join!(published, drain);
    assert!(published.iter().all(Result::is_ok));
    while seen.try_recv().is_ok() {}
    world.stop(task).await;
    let mut effects: Vec<u32> = world.effects().await.iter().map(|n| n.parse().unwrap()).collect();
    effects.sort_unstable();
    assert_eq!(effects, (0..20).filter(|n| *n != 5).collect::<Vec<_>>());
    let letters = dead_letter::list(&world.db, 10).await.unwrap();
    assert!(letters.iter().all(|letter| letter.event_id == messages[5].id) && !letters.is_empty());
}

/// In process the publisher is notified and keeps the event; NATS gives it to the next consumer after the acknowledgement wait.
async fn an_event_survives_a_consumer_killed_in_the_middle(world: World) {
    let (mut seen, task) = world.start(|_, _| Some(HandlerError::Retry("hangs".into()))).await;
    let message = world.message(world.relying_party(), "d");
    let (bus, published) = (world.bus.clone(), message.clone());
    let publishing = tokio::spawn(async move { bus.publish(&published).await });
    seen.recv().await.unwrap();
    task.abort();
    let _ = task.await;
    assert!(world.effects().await.is_empty());
    let (mut seen, task) = world.start(|_, _| None).await;
    if publishing.await.unwrap().is_err() {
        world.bus.publish(&message).await.unwrap();
    }
    assert_eq!(seen.recv().await.unwrap(), "d");
    world.stop(task).await;
    assert_eq!(world.effects().await, ["d"]);
}

async fn the_relay_empties_the_outbox_in_order_even_after_a_restart(world: World) {
    let (mut seen, task) = world.start(|_, _| None).await;
    let rp = world.relying_party();
    world.outbox(rp, "a").await;
    let first = CancellationToken::new();
    let running = tokio::spawn(relay("registry", world.bus.clone(), world.db.clone(), Clock::system(), first.clone()));
    assert_eq!(seen.recv().await.unwrap(), "a");
    first.cancel();
    running.await.unwrap();
    world.outbox(rp, "b").await;
    world.outbox(rp, "c").await;
    let second = CancellationToken::new();
    let running = tokio::spawn(relay("registry", world.bus.clone(), world.db.clone(), Clock::system(), second.clone()));
    let mut rest = [seen.recv().await.unwrap(), seen.recv().await.unwrap()];
    // Events about different things may overtake one another.
    rest.sort();
    assert_eq!(rest, ["b", "c"]);
    second.cancel();
    running.await.unwrap();
    assert_eq!(outbox::depth(&world.db).await.unwrap().0, 0);
    world.stop(task).await;
}

async fn an_event_that_is_not_taken_holds_up_no_other_in_the_outbox(world: World) {
    let mended = Arc::new(AtomicBool::new(false));
    let broken = Arc::clone(&mended);
    let (mut seen, task) = world
        .start(move |_, device| {
            let fails = device == "bad" && !broken.load(Ordering::SeqCst);
            fails.then(|| HandlerError::Retry("still away".into()))
        })
        .await;
    let rp = world.relying_party();
    world.outbox(rp, "bad").await;
    let stop = CancellationToken::new();
    let relaying = tokio::spawn(relay("registry", world.bus.clone(), world.db.clone(), Clock::system(), stop.clone()));
    for n in 0..600 {
        let other = n.to_string();
        world.outbox(rp, &other).await;
        if n % 100 == 0 { while seen.recv().await.unwrap() != other {} } else { while seen.try_recv().is_ok() {} }
    }
    mended.store(true, Ordering::SeqCst);
    while world.effects().await.len() < 601 {
        while seen.try_recv().is_ok() {}
    }
    while outbox::depth(&world.db).await.unwrap().0 > 0 {
        tokio::task::yield_now().await;
    }
    stop.cancel();
    relaying.await.unwrap();
    world.stop(task).await;
}

async fn a_hint_reaches_who_listens_in_this_process_and_says_whether_somebody_does(world: World) {
    let mut listener = world.bus.listen("device.c");
    assert!(world.bus.hint("device.c") && !world.bus.hint("device.d"));
    listener.notified().await;
    drop(listener);
    assert!(!world.bus.hint("device.c"));
}

#[tokio::test]
async fn another_scheme_is_refused() {
    let config = BusConfig { url: "amqp://x".into(), ..BusConfig::default() };
    assert!(Bus::connect(&config).await.is_err());
}
