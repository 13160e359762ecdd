//! What is published again is what was published: same ids, same content.

use std::{collections::BTreeMap, time::Duration};

use nodkey_db::{Db, Message, outbox};
use nodkey_kernel::{
    id::{BindingId, DeviceId, RelyingPartyId},
    random::Random,
    transfer::TransferAct,
};
use uuid::Uuid;

use super::*;
use crate::{
    app::inactive::tests::{Registry, app, connect},
    domain::{
        UserIdentifier,
        freeze::{Freezer, Note},
        transfer::Transfer,
    },
};

const START: Timestamp = Timestamp::from_seconds(1_700_000_000);

fn device(n: u64) -> DeviceId {
    DeviceId::parse(&format!("{n:0>43}")).unwrap()
}

async fn bound(app: &App, party: RelyingPartyId, user: &str, n: u64) -> BindingId {
    let at = app.now();
    let id = BindingId::generate(at, &Random::system());
    let binding = Binding::create(id, party, UserIdentifier::parse(user).unwrap(), device(n), 0, at).unwrap();
    let mut tx = app.db.begin().await.unwrap();
    store::insert(&mut tx, &binding).await.unwrap();
    tx.commit().await.unwrap();
    id
}

async fn active(app: &App, party: RelyingPartyId, user: &str, n: u64) -> BindingId {
    let id = bound(app, party, user, n).await;
    app.clock.advance(Duration::from_secs(1));
    app.activate(party, id).await.unwrap();
    app.clock.advance(Duration::from_secs(1));
    id
}

/// Takes what is in the outbox, by id.
async fn take(db: &Db) -> BTreeMap<Uuid, Message> {
    let batch = outbox::batch(db, 10_000).await.unwrap();
    outbox::delete(db, &batch.iter().map(|event| event.seq).collect::<Vec<_>>()).await.unwrap();
    batch.into_iter().map(|event| (event.message.id, event.message)).collect()
}

async fn replay(app: &App, since: Timestamp, until: Timestamp) -> i32 {
    let (mut count, mut after) = (0, None);
    loop {
        let replayed = app.replay_events(Span { since, until, after }).await.unwrap();
        count += replayed.count;
        after = replayed.next;
        if after.is_none() {
            return count;
        }
    }
}

async fn what_became_of_bindings_is_published_again_as_it_was(db: Db) {
    let party = RelyingPartyId::generate(START, &Random::seeded(1));
    let app = app(&db, Registry(Vec::new())).await;
    let ada = UserIdentifier::parse("ada").unwrap();
    // More than one page, of which nothing is published.
    for n in 0..600 {
        bound(&app, party, &format!("user {n}"), 1_000 + n).await;
    }
    let first = active(&app, party, "ada", 1).await;
    active(&app, party, "ada", 2).await;
    app.deactivate(party, first).await.unwrap();
    app.clock.advance(Duration::from_secs(1));
    active(&app, party, "ada", 3).await;
    let handing_on = Transfer { old: device(3), new: device(4), act: TransferAct::Replace, challenged_at: app.now() };
    let mut tx = db.begin().await.unwrap();
    app.write_transfer(&mut tx, party, &handing_on, app.now()).await.unwrap();
    tx.commit().await.unwrap();
    app.clock.advance(Duration::from_secs(1));
    // Both end at once, and the later one is the last.
    app.freeze_by(party, &ada, Freezer::Backend, Note::default(), None).await.unwrap();
    app.deactivate_user(party, &ada).await.unwrap();
    app.clock.advance(Duration::from_secs(1));
    let alone = active(&app, party, "grace", 5).await;
    app.deactivate(party, alone).await.unwrap();
    app.clock.advance(Duration::from_secs(1));

    let mut published = take(&db).await;
    // A row says neither of these.
    published.retain(|_, message| {
        !["created", "user_frozen", "user_deactivated"].iter().any(|kind| message.subject.contains(&format!(".{kind}.")))
    });
    assert_eq!(published.len(), 5 + 5 + 1);
    assert_eq!(replay(&app, START, app.now()).await, 11);
    // What waits in the outbox is not written twice.
    assert_eq!(replay(&app, START, app.now()).await, 0);
    assert_eq!(take(&db).await, published);

    let at = app.get(party, alone).await.unwrap().state.deactivated_at().unwrap();
    assert_eq!(replay(&app, at, at + Duration::from_micros(1)).await, 1);
    let again = take(&db).await;
    assert!(again.values().all(|message| published.get(&message.id) == Some(message)));
}

nodkey_testkit::on_both_engines! {
    |database| connect(database, 4) =>
    what_became_of_bindings_is_published_again_as_it_was,
}
