//! A wake is lost, or the trusonafication service is restarted: callers that wait get their update all the same, on the same connection.

use std::pin::pin;

use futures_util::StreamExt as _;
use nodkey_client::NewTrusonafication;
use nodkey_mobile_sdk::{Decision, PhoneEvent};
use nodkey_proto::registry::v1::{TruCodeSettings, UpdateRelyingPartyRequest};
use reqwest::Method;

use super::numbers::{code, refused, update};
use crate::{
    http,
    processes::{Plan, Topology},
    world::{PATIENCE, Tenant, asked, next_asked},
};

async fn ask(tenant: &Tenant) -> String {
    tenant.backend.create_trusonafication(NewTrusonafication::user("ada", "log in", "Acme")).await.unwrap().trusonafication.id
}

/// The response to a backend that waits over HTTP.
async fn waited(topology: &Topology, tenant: &Tenant, id: &str) -> String {
    let path = format!("/api/v2/trusonafications/{id}?wait=30");
    let answer = http::backend(&topology.world.http, &tenant.server, Method::GET, &path, "").await;
    answer.body["status"].as_str().unwrap_or_else(|| panic!("{} {}", answer.status, answer.body)).to_owned()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn phones_and_backends_are_told_while_the_gateway_hears_nothing() {
    let topology = Plan::new().run().await;
    let tenant = topology.world.tenant().await;
    let phone = tenant.active("ada").await;
    let mut stream = pin!(phone.events().await.unwrap());
    let bus = &topology.service("gateway").bus;
    bus.refuse().await;
    bus.cut();
    let (polled, id) = tokio::join!(asked(&phone), ask(&tenant));
    assert_eq!(polled.id, id);
    let streamed = next_asked(&mut stream).await;
    assert_eq!(streamed.id, id);
    let (end, _) = tokio::join!(waited(&topology, &tenant, &id), async { phone.respond(&streamed, Decision::Accept, None).await.unwrap() });
    assert_eq!(end, "ACCEPTED");
    // What a look has reported is not reported again.
    let next = ask(&tenant).await;
    assert_eq!(next_asked(&mut stream).await.id, next);
    bus.accept();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_page_gets_the_end_of_its_code_while_the_gateway_hears_nothing() {
    let topology = Plan::new().run().await;
    let (world, tenant) = (&topology.world, topology.world.tenant().await);
    let trucodes = Some(TruCodeSettings { match_number: true, ..TruCodeSettings::default() });
    update(world, &tenant, UpdateRelyingPartyRequest { trucodes, ..UpdateRelyingPartyRequest::default() }).await;
    let phone = tenant.active("ada").await;
    let made = code(world, &tenant).await;
    let (id, right) = (made["id"].as_str().unwrap(), made["match_number"].as_str().unwrap());
    let scanned = phone.scan(made["payload"].as_str().unwrap()).await.unwrap();
    let bus = &topology.service("gateway").bus;
    bus.refuse().await;
    bus.cut();
    let path = format!("/api/v2/trucodes/{id}");
    let (waited, ()) = tokio::join!(http::nobody(&world.http, Method::GET, &path, ""), async {
        for number in (10..100).map(|n| n.to_string()).filter(|n| n != right).take(3) {
            refused(phone.pair(&scanned, Some(&number)).await);
        }
    });
    assert_eq!((waited.status, waited.body["paired"].as_bool()), (200, Some(false)));
    // A phone would not send it if the page had waited until the code expires.
    assert_eq!(refused(phone.pair(&scanned, Some(right)).await).1, "TOO_MANY_WRONG_NUMBERS");
    bus.accept();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_restart_of_the_service_ends_no_stream_and_no_wait() {
    let topology = Plan::new().run().await;
    let tenant = topology.world.tenant().await;
    let phone = tenant.active("ada").await;
    let mut stream = pin!(phone.events().await.unwrap());
    let first = ask(&tenant).await;
    assert_eq!(next_asked(&mut stream).await.id, first);
    let service = topology.service("trusonafication");
    let (end, ()) = tokio::join!(waited(&topology, &tenant, &first), async {
        for _ in 0..2 {
            service.kill(0);
            service.start(0);
            service.readiness(200).await;
            let id = ask(&tenant).await;
            assert_eq!(next_asked(&mut stream).await.id, id);
        }
        tenant.backend.cancel(&first).await.unwrap();
        let closed = async {
            loop {
                match stream.next().await {
                    Some(Ok(PhoneEvent::Closed { id })) => return id,
                    Some(Ok(PhoneEvent::Synced)) => {}
                    other => panic!("{other:?}"),
                }
            }
        };
        assert_eq!(tokio::time::timeout(PATIENCE, closed).await.unwrap(), first);
    });
    assert_eq!(end, "CANCELED");
}
