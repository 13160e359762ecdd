//! Tests of state that other services change while an answer is on its way to the database.

use std::{sync::Arc, time::Duration};

use nodkey_kernel::time::Clock;
use nodkey_testkit::TestDatabase;
use tokio_util::sync::CancellationToken;

use super::*;
use crate::{
    app::world::World,
    domain::{State, Target},
    store::Of,
};

/// Slightly more than the maximum age of a service's answer.
const STALE: Duration = Duration::from_micros(50_001);

nodkey_testkit::on_both_engines! {
    World::new =>
    what_the_owners_say_counts_for_50_milliseconds_and_then_they_are_asked_again,
    when_their_word_is_too_old_three_times_nothing_is_written,
    a_late_event_about_an_earlier_life_ends_nothing_of_a_later_one,
    what_was_asked_before_bindings_were_noted_ends_by_name,
}

async fn what_the_owners_say_counts_for_50_milliseconds_and_then_they_are_asked_again(world: World) {
    for (waited, accepted, asked) in [(STALE.saturating_sub(Duration::from_micros(1)), true, 1), (STALE, false, 2)] {
        let phone = world.phone("ada");
        let id = world.ask(Target::User("ada".into())).await;
        let response = world.accept(&phone, id).await;
        let device = phone.device.clone();
        let before = world.owners.asked();
        // The registry has answered by then. The deactivation is confirmed right after the answer that the binding is active.
        world.owners.hook(move |owners| {
            owners.deactivate(&device);
            owners.0.clock.advance(waited);
        });
        let answered = world.respond(&phone, &response).await;
        assert_eq!(world.owners.asked() - before, asked);
        match answered {
            Ok(answered) => assert!(accepted && answered.is_terminal()),
            Err(Error::DeviceNotBound) => assert!(!accepted && world.state(id).await == State::InProgress),
            Err(e) => panic!("{e}"),
        }
    }
}

async fn when_their_word_is_too_old_three_times_nothing_is_written(world: World) {
    let phone = world.phone("ada");
    let id = world.ask(Target::User("ada".into())).await;
    let response = world.accept(&phone, id).await;
    world.owners.hook(|owners| owners.0.clock.advance(STALE));
    let refused = world.respond(&phone, &response).await.unwrap_err();
    assert_eq!((refused.kind(), refused.reason(), world.owners.asked()), (Kind::Unavailable, "CHECK_OUTDATED", 3));
    assert_eq!(world.state(id).await, State::InProgress);
    world.owners.hook(|_| {});
    assert!(world.respond(&phone, &response).await.unwrap().is_terminal());
}

async fn a_late_event_about_an_earlier_life_ends_nothing_of_a_later_one(world: World) {
    let (earlier, later) = (world.phone("ada"), world.phone("ada"));
    world.owners.deactivate(&earlier.device);
    let of_user = world.ask(Target::User("ada".into())).await;
    let of_device = world.ask(Target::Device(later.device.clone())).await;
    world.ended(Of::User("ada", &[earlier.binding])).await;
    world.ended(Of::User("ada", &[])).await;
    // The same device, previously bound to another user.
    world.ended(Of::Binding(&later.device, earlier.binding)).await;
    for id in [of_user, of_device] {
        assert_eq!(world.state(id).await, State::InProgress);
    }
    world.ended(Of::Binding(&later.device, later.binding)).await;
    assert_eq!((world.state(of_user).await, world.state(of_device).await), (State::InProgress, State::Canceled));
    world.ended(Of::User(&later.user, &[earlier.binding, later.binding])).await;
    assert_eq!(world.state(of_user).await, State::Canceled);
    // A retired device never becomes active again.
    let of_device = world.ask(Target::Device(later.device.clone())).await;
    world.ended(Of::Device(&later.device)).await;
    assert_eq!(world.state(of_device).await, State::Canceled);
}

async fn what_was_asked_before_bindings_were_noted_ends_by_name(world: World) {
    world.phone("ada");
    let id = world.ask(Target::User("ada".into())).await;
    world.db.execute("UPDATE trusonafication SET bindings = NULL").execute().await.unwrap();
    world.ended(Of::User("grace", &[])).await;
    assert_eq!(world.state(id).await, State::InProgress);
    world.ended(Of::User("ada", &[])).await;
    assert_eq!(world.state(id).await, State::Canceled);
}

/// On one thread, so that every task that can proceed has done so after a while.
async fn an_answer_that_waited_for_the_database(database: TestDatabase) {
    let world = World::new(&database).await;
    let phone = world.phone("ada");
    let id = world.ask(Target::User("ada".into())).await;
    let response = world.accept(&phone, id).await;
    let held = world.hold(id).await;
    let answer = tokio::spawn({
        let (app, party, device) = (world.app.clone(), world.party, phone.device.clone());
        async move { app.respond(party, &device, &response).await }
    });
    world.owners.0.asked.subscribe().wait_for(|asked| *asked == 1).await.unwrap();
    if held.is_postgres() {
        // Of this database alone: others are tested at the same time.
        let sql = "SELECT COUNT(*) AS waiting FROM pg_stat_activity WHERE datname = current_database() AND wait_event_type = 'Lock'";
        while world.db.query(sql).fetch_one().await.unwrap().get::<i64>("waiting").unwrap() == 0 {
            tokio::task::yield_now().await;
        }
    }
    for _ in 0..100 {
        tokio::task::yield_now().await;
    }
    world.owners.deactivate(&phone.device);
    world.clock.advance(STALE);
    held.rollback().await.unwrap();
    let refused = answer.await.unwrap().unwrap_err();
    assert!(matches!(refused, Error::DeviceNotBound), "{refused}");
    assert_eq!((world.owners.asked(), world.state(id).await), (2, State::InProgress));
}

#[tokio::test]
async fn an_answer_that_waited_for_the_database_counts_for_what_the_owners_say_then_on_sqlite() {
    an_answer_that_waited_for_the_database(TestDatabase::sqlite()).await;
}

#[tokio::test]
async fn an_answer_that_waited_for_the_database_counts_for_what_the_owners_say_then_on_postgres() {
    an_answer_that_waited_for_the_database(TestDatabase::postgres().await).await;
}

/// Each of 200 answers races the deactivation of its device, under constant concurrent writes.
async fn race(database: TestDatabase) {
    let world = Arc::new(World::at(&database, Clock::system()).await);
    let stop = CancellationToken::new();
    let writers: Vec<_> = (0..4)
        .map(|n| {
            let (world, stop) = (Arc::clone(&world), stop.clone());
            tokio::spawn(async move {
                let phone = world.phone(&format!("writer {n}"));
                while !stop.is_cancelled() {
                    let id = world.ask(Target::Device(phone.device.clone())).await;
                    let response = world.accept(&phone, id).await;
                    // Under load the services' answers may become stale, and then that is the error.
                    let answered = world.respond(&phone, &response).await;
                    assert!(
                        answered.as_ref().map_or_else(|e| e.reason() == "CHECK_OUTDATED", Trusonafication::is_terminal),
                        "{answered:?}"
                    );
                }
            })
        })
        .collect();
    let mut racers = tokio::task::JoinSet::new();
    for n in 0..200 {
        let phone = world.phone(&format!("user {n}"));
        let id = world.ask(Target::User(phone.user.clone())).await;
        let response = world.accept(&phone, id).await;
        let (answering, deactivating) = (Arc::clone(&world), Arc::clone(&world));
        let device = phone.device.clone();
        racers.spawn(async move {
            let deactivation = tokio::spawn(async move {
                for _ in 0..n % 20 {
                    tokio::task::yield_now().await;
                }
                deactivating.owners.deactivate(&device);
            });
            let answered = answering.respond(&phone, &response).await;
            deactivation.await.unwrap();
            let said_active = answering.owners.known()[&phone.device].said_active;
            match answered {
                // The binding was reported active before the deactivation was confirmed.
                Ok(answered) => assert!(said_active && answered.is_terminal()),
                Err(Error::DeviceNotBound) => assert_eq!(answering.state(id).await, State::InProgress),
                Err(e) => assert_eq!(e.reason(), "CHECK_OUTDATED"),
            }
            // Once confirmed, no answer counts.
            let id = store::get(&answering.db, answering.party, id).await.unwrap().unwrap();
            if !id.is_terminal() {
                let late = answering.respond(&phone, &response).await.unwrap_err();
                assert!(matches!(late, Error::DeviceNotBound), "{late}");
            }
        });
        if n % 16 == 15 {
            while racers.join_next().await.transpose().unwrap().is_some() {}
        }
    }
    while racers.join_next().await.transpose().unwrap().is_some() {}
    stop.cancel();
    for writer in writers {
        writer.await.unwrap();
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn no_answer_counts_that_was_checked_after_its_device_was_deactivated_on_sqlite() {
    race(TestDatabase::sqlite()).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn no_answer_counts_that_was_checked_after_its_device_was_deactivated_on_postgres() {
    race(TestDatabase::postgres().await).await;
}
