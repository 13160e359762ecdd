//! A service that cannot go on, in one process: it holds up nobody else, and gets everything later.

use std::collections::BTreeSet;

use futures_util::future::join_all;
use nodkey_client::is_success;
use nodkey_db::{Db, DbConfig};
use nodkey_mobile_sdk::Decision;

use crate::{
    receiver::receiver,
    world::{World, asked, eventually},
    writes::log_in,
};

/// More than a consumer is given before it acknowledges.
const USERS: usize = 20;
const LOGINS: usize = 8;

async fn connect(world: &World, service: &str) -> Db {
    let file = world.data_dir().join(format!("{service}.db"));
    Db::connect(&DbConfig { max_connections: 2, ..DbConfig::new(format!("sqlite:{}", file.display())) }).await.unwrap()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_service_that_can_write_nothing_holds_up_no_login_and_no_other_consumer_in_one_process() {
    let world = World::embedded().await;
    let (tenant, mut receiving) = (world.tenant().await, receiver(Vec::new()).await);
    let (retired, callback) = (tenant.active("bob").await, receiving.url.clone());
    let notification = connect(&world, "notification").await;
    let mut held = notification.begin().await.unwrap();
    held.query("DELETE FROM inbox WHERE consumer = 'nobody'").execute().await.unwrap();

    let logins = (0..USERS).map(async |n| {
        let user = format!("user{n}");
        let (phone, mut ids) = (tenant.active(&user).await, Vec::new());
        for _ in 0..LOGINS {
            let id = tenant.backend.create_trusonafication(log_in(&user).callback_url(&callback)).await.unwrap().trusonafication.id;
            phone.respond(&asked(&phone).await, Decision::Accept, None).await.unwrap();
            assert!(is_success(&tenant.backend.wait(&id).await.unwrap()));
            ids.push(id);
        }
        ids
    });
    let ids: BTreeSet<String> = Box::pin(join_all(logins)).await.into_iter().flatten().collect();
    assert_eq!(ids.len(), USERS * LOGINS);
    retired.retire().await.unwrap();
    eventually("another consumer of the same event has ended the binding", async || {
        tenant.backend.user_devices("bob").await.map_or(Some(()), |devices| devices.is_empty().then_some(()))
    })
    .await;
    for service in ["trusonafication", "registry"] {
        let db = connect(&world, service).await;
        eventually("the outbox is empty", async || {
            db.query("SELECT seq FROM outbox LIMIT 1").fetch_optional().await.unwrap().is_none().then_some(())
        })
        .await;
    }
    assert!(receiving.is_quiet());

    held.rollback().await.unwrap();
    let mut notified = BTreeSet::new();
    while notified.len() < ids.len() {
        notified.insert(receiving.next().await.body["id"].as_str().unwrap().to_owned());
    }
    assert_eq!(notified, ids);
    for service in ["trusonafication", "registry"] {
        let db = connect(&world, service).await;
        eventually("nothing is kept for anybody", async || {
            db.query("SELECT seq FROM backlog LIMIT 1").fetch_optional().await.unwrap().is_none().then_some(())
        })
        .await;
    }
}
