//! What is published again is what was published: same ids, same content.

use std::{collections::BTreeMap, time::Duration};

use nodkey_db::{Db, Message, outbox};
use uuid::Uuid;

use super::*;
use crate::{
    app::retention::tests::World,
    domain::device::{Patch, PresenceKeys},
};

/// Takes what is in the outbox, by id.
async fn take(db: &Db) -> BTreeMap<Uuid, Message> {
    let batch = outbox::batch(db, 10_000).await.unwrap();
    outbox::delete(db, &batch.iter().map(|event| event.seq).collect::<Vec<_>>()).await.unwrap();
    batch.into_iter().map(|event| (event.message.id, event.message)).collect()
}

async fn replay(world: &World, since: Timestamp, until: Timestamp) -> i32 {
    let (mut count, mut after) = (0, None);
    loop {
        let replayed = world.app.replay_events(Span { since, until, after }).await.unwrap();
        count += replayed.count;
        after = replayed.next;
        if after.is_none() {
            return count;
        }
    }
}

async fn what_became_of_devices_is_published_again_as_it_was(world: World) {
    let begun = world.clock.now();
    take(&world.db).await;
    let second = Duration::from_secs(1);
    let mut devices = Vec::new();
    for seed in 0..4 {
        devices.push(world.register(seed).await);
        world.clock.advance(second);
    }
    let [unchanged, retired, updated, both] = &devices[..] else { panic!("four") };
    for device in [updated, both] {
        let patch = Patch::parse(Ok(PresenceKeys::default()), Some("another"), None, None).unwrap();
        world.app.update_device(world.party, device, patch, None).await.unwrap();
        world.clock.advance(second);
    }
    for device in [retired, both] {
        world.app.retire_device(world.party, device).await.unwrap();
        world.clock.advance(second);
    }
    let mut published = take(&world.db).await;
    assert_eq!(published.len(), 4 + 2 + 2);
    // Nothing says which keys a device had before a change, or that they did not change.
    published.retain(|_, message| {
        let is_about = |device: &DeviceId| message.subject.ends_with(device.as_str());
        message.subject.contains(".device_retired.") || is_about(unchanged) || is_about(retired)
    });
    assert_eq!(replay(&world, begun, world.clock.now()).await, 4);
    assert_eq!(replay(&world, begun, world.clock.now()).await, 0, "they wait in the outbox");
    assert_eq!(take(&world.db).await, published);
    assert_eq!(replay(&world, world.clock.now() - second, world.clock.now()).await, 1);
    assert!(take(&world.db).await.values().all(|message| message.subject.ends_with(both.as_str())));
}

nodkey_testkit::on_both_engines! {
    World::new =>
    what_became_of_devices_is_published_again_as_it_was,
}
