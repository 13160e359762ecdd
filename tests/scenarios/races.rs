//! Answers race with deactivations, under load.

use nodkey_client::NewTrusonafication;
use nodkey_mobile_sdk::Decision;
use nodkey_proto::{registry::v1::RelyingPartyLimits, trusonafication::v1::Status};
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

use super::flood::limit;
use crate::world::{Tenant, World, asked, number_of_races};

scenarios!(no_answer_counts_that_is_given_after_its_deactivation_was_confirmed);

/// The number of races, and how many run at the same time.
const RACES: usize = 200;
const AT_ONCE: usize = 8;

async fn no_answer_counts_that_is_given_after_its_deactivation_was_confirmed(world: &World) {
    let tenant = std::sync::Arc::new(world.tenant().await);
    // All phones of the tenant register from this address.
    let many = RelyingPartyLimits { registrations_per_address: 1_000, ..RelyingPartyLimits::default() };
    limit(world, &tenant, many).await;
    let stop = CancellationToken::new();
    let mut writers = JoinSet::new();
    for n in 0..4 {
        let (tenant, stop) = (std::sync::Arc::clone(&tenant), stop.clone());
        writers.spawn(async move {
            let user = format!("writer {n}");
            let _phone = tenant.active(&user).await;
            while !stop.is_cancelled() {
                let asked = tenant.backend.create_trusonafication(NewTrusonafication::user(&user, "log in", "Acme")).await.unwrap();
                tenant.backend.cancel(&asked.trusonafication.id).await.unwrap();
            }
        });
    }
    let mut races = JoinSet::new();
    for n in 0..number_of_races(RACES) {
        if races.len() == AT_ONCE {
            races.join_next().await.unwrap().unwrap();
        }
        let tenant = std::sync::Arc::clone(&tenant);
        races.spawn(async move { race(&tenant, n).await });
    }
    while races.join_next().await.transpose().unwrap().is_some() {}
    stop.cancel();
    while writers.join_next().await.transpose().unwrap().is_some() {}
}

async fn race(tenant: &Tenant, n: usize) {
    let phone = tenant.registered().await;
    let binding = tenant.backend.create_binding(&format!("user {n}"), phone.device_identifier().as_str()).await.unwrap();
    tenant.backend.activate_binding(&binding.id).await.unwrap();
    let new = NewTrusonafication::device(phone.device_identifier().as_str(), "log in", "Acme");
    let id = tenant.backend.create_trusonafication(new).await.unwrap().trusonafication.id;
    let pending = asked(&phone).await;
    let deactivation = async {
        for _ in 0..n % 10 {
            tokio::task::yield_now().await;
        }
        tenant.backend.deactivate_binding(&binding.id).await.unwrap();
    };
    let (answered, ()) = tokio::join!(phone.respond(&pending, Decision::Accept, None), deactivation);
    // The accept succeeded.
    match phone.respond(&pending, Decision::Accept, None).await {
        Err(e) if e.status() == Some(403) => assert_eq!(e.reason(), "DEVICE_NOT_BOUND"),
        other => panic!("{other:?}"),
    }
    let accepted = tenant.backend.trusonafication(&id).await.unwrap().status() == Status::Accepted;
    assert_eq!(accepted, answered.is_ok(), "{answered:?}");
}
