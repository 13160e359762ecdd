//! Overload is refused early, with a clear error.

use nodkey_gateway::Config;
use reqwest::Method;

use crate::{http, world::World};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn who_waits_beyond_the_limit_is_refused() {
    let world = World::embedded_with(Config { max_waiting: 1, ..Config::default() }).await;
    let tenant = world.tenant().await;
    let (one, two) = (tenant.active("ada").await, tenant.active("bob").await);
    let stream = one.events().await.unwrap();
    let refused = two.events().await.map(|_| ()).unwrap_err();
    assert_eq!((refused.status(), refused.reason()), (Some(503), "OVERLOADED"));
    // Calls that do not wait are served all the same.
    assert!(two.status().await.unwrap().is_active);
    drop(stream);
    // The permit is free once the gateway has noticed.
    while two.events().await.is_err() {
        tokio::task::yield_now().await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_caller_beyond_its_rate_is_refused() {
    let world = World::embedded_with(Config { credential_rate: 1, ..Config::default() }).await;
    let (tenant, other) = (world.tenant().await, world.tenant().await);
    let call = async |tenant: &crate::world::Tenant| {
        http::backend(&world.http, &tenant.server, Method::GET, "/api/v2/users/ada/devices", "").await
    };
    let mut answers = Vec::new();
    for _ in 0..10 {
        answers.push(call(&tenant).await);
    }
    let refused: Vec<_> = answers.iter().filter(|answer| answer.status == 429).collect();
    assert!(!refused.is_empty() && refused.iter().all(|answer| answer.error == "RATE_LIMITED"));
    assert_eq!(answers[0].status, 200);
    assert_eq!(call(&other).await.status, 200, "another tenant does not notice");
}
