//! What a phone learns from its event stream: all pending trusonafications, and those that are over.

use std::pin::pin;

use futures_util::{Stream, StreamExt as _};
use nodkey_client::NewTrusonafication;
use nodkey_mobile_sdk::{Error, PhoneEvent};

use super::prompts::scan;
use crate::world::{PATIENCE, Tenant, World};

scenarios!(
    a_stream_begins_with_what_is_open_and_says_when_that_is_all,
    what_ended_while_a_phone_was_away_is_over_when_it_is_back,
    what_the_user_began_is_marked_wherever_it_comes_on_a_stream,
);

async fn ask(tenant: &Tenant) -> String {
    tenant.backend.create_trusonafication(NewTrusonafication::user("ada", "log in", "Acme")).await.unwrap().trusonafication.id
}

/// The next event, as its name and an id.
async fn next(events: &mut (impl Stream<Item = Result<PhoneEvent, Error>> + Unpin)) -> String {
    match tokio::time::timeout(PATIENCE, events.next()).await.unwrap().unwrap().unwrap() {
        PhoneEvent::Asked(pending) => format!("asked {}", pending.id),
        PhoneEvent::Closed { id } => format!("closed {id}"),
        PhoneEvent::Untrusted { id, reason } => format!("untrusted {id} {reason}"),
        PhoneEvent::Synced => "synced".to_owned(),
        other => panic!("{other:?}"),
    }
}

async fn a_stream_begins_with_what_is_open_and_says_when_that_is_all(world: &World) {
    let tenant = world.tenant().await;
    let phone = tenant.active("ada").await;
    let mut events = pin!(phone.events().await.unwrap());
    assert_eq!(next(&mut events).await, "synced", "nothing is open");
    let (one, two) = (ask(&tenant).await, ask(&tenant).await);
    for id in [&one, &two] {
        assert_eq!(next(&mut events).await, format!("asked {id}"));
    }
    tenant.backend.cancel(&one).await.unwrap();
    assert_eq!(next(&mut events).await, format!("closed {one}"));
    let mut others = pin!(phone.events().await.unwrap());
    for event in [format!("asked {two}"), "synced".to_owned()] {
        assert_eq!(next(&mut others).await, event);
    }
}

async fn what_ended_while_a_phone_was_away_is_over_when_it_is_back(world: &World) {
    let tenant = world.tenant().await;
    let phone = tenant.active("ada").await;
    let (one, two) = (ask(&tenant).await, ask(&tenant).await);
    {
        let mut events = pin!(phone.events().await.unwrap());
        for event in [format!("asked {one}"), format!("asked {two}"), "synced".to_owned()] {
            assert_eq!(next(&mut events).await, event);
        }
    }
    tenant.backend.cancel(&one).await.unwrap();
    let three = ask(&tenant).await;
    let mut events = pin!(phone.events().await.unwrap());
    for event in [format!("asked {two}"), format!("asked {three}"), format!("closed {one}"), "synced".to_owned()] {
        assert_eq!(next(&mut events).await, event);
    }
}

async fn what_the_user_began_is_marked_wherever_it_comes_on_a_stream(world: &World) {
    let tenant = world.tenant().await;
    let phone = tenant.active("ada").await;
    let others = ask(&tenant).await;
    let mut events = pin!(phone.events().await.unwrap());
    for event in [format!("asked {others}"), "synced".to_owned()] {
        assert_eq!(next(&mut events).await, event);
    }
    let code = scan(world, &tenant, &phone).await;
    let own = tenant.backend.create_trusonafication(NewTrusonafication::trucode(&code, "log in", "Acme")).await.unwrap().trusonafication.id;
    assert_eq!(next(&mut events).await, format!("asked {own}"));
    let listed = phone.wait(PATIENCE).await.unwrap();
    assert_eq!(listed.iter().map(|one| (one.id.as_str(), one.self_started)).collect::<Vec<_>>(), [(&*own, true), (&*others, false)]);
    assert!(listed.is_sorted_by(|one, other| one.turn() <= other.turn()), "as a phone sorts what comes one by one");
}
