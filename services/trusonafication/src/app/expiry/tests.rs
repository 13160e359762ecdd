use futures_util::FutureExt as _;
use nodkey_testkit::TestDatabase;

use super::*;
use crate::{
    app::world::{World, asking},
    domain::{Target, Unchecked},
};

/// Before the latest look.
const SOON: Duration = Duration::from_secs(4);

async fn world(database: &TestDatabase) -> World {
    World::new(database).await
}

async fn a_sweep_says_when_the_next_one_expires(world: World) {
    world.phone("ada");
    assert_eq!(world.app.sweep(None).await.unwrap().next, None, "nothing is in progress");
    let (soon, later) = (world.clock.now() + SOON, world.clock.now() + LONGEST);
    for at in [later, soon] {
        world.try_ask(Unchecked { expires_at: Some(at), ..asking(Target::User("ada".into())) }).await.unwrap();
    }
    assert_eq!(world.app.sweep(None).await.unwrap().next, Some(soon));
    world.clock.advance(SOON);
    let swept = world.app.sweep(None).await.unwrap();
    assert!(!swept.more && swept.unreadable.is_none());
    assert_eq!(swept.next, Some(soon), "there may be more that just expired");
    assert_eq!(world.app.sweep(None).await.unwrap().next, Some(later));
}

#[test]
fn what_expires_before_the_next_look_brings_it_forward_and_nothing_else_does() {
    let (look, at) = (NextLook::default(), Timestamp::from_seconds);
    let woken = || look.earlier.notified().now_or_never().is_some();
    look.plan(at(10));
    look.note(at(10));
    look.note(at(11));
    assert!(!woken(), "it looks by then anyway");
    look.note(at(9));
    assert!(woken());
    look.note(at(9));
    assert!(!woken(), "it knows");
    look.plan(at(20));
    look.note(at(15));
    assert!(woken());
}

nodkey_testkit::on_both_engines! {
    world =>
    a_sweep_says_when_the_next_one_expires,
}
