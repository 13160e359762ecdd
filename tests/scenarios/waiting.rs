//! Callers that wait are woken.

use std::{collections::BTreeSet, pin::pin, time::Duration};

use futures_util::StreamExt as _;
use nodkey_client::{Evidence, Expected, Jwks, NewTrusonafication, verify_evidence};
use nodkey_kernel::time::{Clock, Timestamp};
use nodkey_mobile_sdk::Decision;
use nodkey_proto::trusonafication::v1::{ListTrusonaficationsRequest, Status, Trusonafication};
use reqwest::Method;
use serde_json::json;

use crate::{
    browser::Browser,
    http,
    world::{World, asked, next_asked},
};

scenarios!(
    a_phone_that_waits_is_woken,
    a_phone_that_streams_is_told_one_after_the_other,
    a_watch_gives_the_state_at_once_and_the_end_when_it_comes,
    a_backend_may_wait_over_http,
    a_phone_that_was_offline_finds_what_it_is_asked_oldest_first,
    lists_have_filters_and_pages,
    a_list_of_large_ones_comes_in_smaller_pages,
    filters_hold_in_every_combination,
);

fn log_in() -> NewTrusonafication {
    NewTrusonafication::user("ada", "log in", "Acme")
}

async fn a_phone_that_waits_is_woken(world: &World) {
    let tenant = world.tenant().await;
    let phone = tenant.active("ada").await;
    assert!(phone.wait(Duration::from_secs(1)).await.unwrap().is_empty(), "empty on time-out");
    let (pending, created) = tokio::join!(asked(&phone), tenant.backend.create_trusonafication(log_in()));
    assert_eq!(pending.id, created.unwrap().trusonafication.id);
}

async fn a_phone_that_streams_is_told_one_after_the_other(world: &World) {
    let tenant = world.tenant().await;
    let phone = tenant.active("ada").await;
    let mut stream = pin!(phone.events().await.unwrap());
    for _ in 0..3 {
        let id = tenant.backend.create_trusonafication(log_in()).await.unwrap().trusonafication.id;
        let pending = next_asked(&mut stream).await;
        assert_eq!(pending.id, id);
        phone.respond(&pending, Decision::Accept, None).await.unwrap();
    }
}

async fn a_watch_gives_the_state_at_once_and_the_end_when_it_comes(world: &World) {
    let tenant = world.tenant().await;
    let phone = tenant.active("ada").await;
    let id = tenant.backend.create_trusonafication(log_in()).await.unwrap().trusonafication.id;
    let mut watch = pin!(tenant.backend.watch(&id).await.unwrap());
    assert_eq!(watch.next().await.unwrap().unwrap().status(), Status::InProgress);
    phone.respond(&asked(&phone).await, Decision::Reject, None).await.unwrap();
    assert_eq!(watch.next().await.unwrap().unwrap().status(), Status::Rejected);
    assert!(watch.next().await.is_none(), "and then it ends");
    let mut late = pin!(tenant.backend.watch(&id).await.unwrap());
    assert_eq!(late.next().await.unwrap().unwrap().status(), Status::Rejected);
    assert!(late.next().await.is_none());
}

async fn a_backend_may_wait_over_http(world: &World) {
    let tenant = world.tenant().await;
    let phone = tenant.active("ada").await;
    let id = tenant.backend.create_trusonafication(log_in()).await.unwrap().trusonafication.id;
    let path = |wait: u32| format!("/api/v2/trusonafications/{id}?wait={wait}");
    let now = http::backend(&world.http, &tenant.server, Method::GET, &path(0), "").await;
    assert_eq!((now.status, now.body["status"].as_str()), (200, Some("IN_PROGRESS")));
    let path = path(30);
    let (end, _) = tokio::join!(http::backend(&world.http, &tenant.server, Method::GET, &path, ""), async {
        phone.respond(&asked(&phone).await, Decision::Accept, None).await.unwrap()
    });
    assert_eq!((end.status, end.body["status"].as_str()), (200, Some("ACCEPTED")));
    assert_eq!(end.body["result"]["bound_user_identifier"], "ada");
    let evidence = http::backend(&world.http, &tenant.server, Method::GET, &format!("/api/v2/trusonafications/{id}/evidence"), "").await;
    let (jwks, evidence): (Jwks, Evidence) =
        (serde_json::from_value(evidence.body["jwks"].clone()).unwrap(), serde_json::from_value(evidence.body).unwrap());
    let expected = Expected::accept().trusonafication(&id).party(&tenant.id).user("ada").device(phone.device_identifier().as_str());
    assert_eq!(verify_evidence(&evidence, &jwks, &expected).unwrap().challenge.jti, id);
}

async fn a_phone_that_was_offline_finds_what_it_is_asked_oldest_first(world: &World) {
    let tenant = world.tenant().await;
    let phone = tenant.active("ada").await;
    let mut ids = Vec::new();
    for _ in 0..3 {
        ids.push(tenant.backend.create_trusonafication(log_in()).await.unwrap().trusonafication.id);
    }
    let pending: Vec<_> = phone.wait(Duration::ZERO).await.unwrap().into_iter().map(|p| p.id).collect();
    assert_eq!(pending, ids);
}

async fn lists_have_filters_and_pages(world: &World) {
    let tenant = world.tenant().await;
    let phone = tenant.active("ada").await;
    tenant.active("bob").await;
    for _ in 0..5 {
        tenant.backend.create_trusonafication(log_in()).await.unwrap();
    }
    tenant.backend.create_trusonafication(NewTrusonafication::user("bob", "log in", "Acme")).await.unwrap();
    let pending = phone.wait(Duration::ZERO).await.unwrap();
    phone.respond(&pending[0], Decision::Accept, None).await.unwrap();
    let list = async |request: ListTrusonaficationsRequest| tenant.backend.list_trusonafications(request).await.unwrap();
    let accepted = list(ListTrusonaficationsRequest { status: Status::Accepted.into(), ..Default::default() }).await;
    assert_eq!(accepted.trusonafications.iter().map(|t| t.id.as_str()).collect::<Vec<_>>(), [pending[0].id.as_str()]);
    let bobs = list(ListTrusonaficationsRequest { user_identifier: "bob".into(), ..Default::default() }).await;
    assert_eq!(bobs.trusonafications.len(), 1);
    let (mut seen, mut page_token) = (Vec::new(), String::new());
    loop {
        let page = list(ListTrusonaficationsRequest { page_size: 4, page_token, ..Default::default() }).await;
        seen.extend(page.trusonafications.into_iter().map(|t| (t.created_at.map(|at| (at.seconds, at.nanos)), t.id)));
        page_token = page.next_page_token;
        if page_token.is_empty() {
            break;
        }
    }
    let mut sorted = seen.clone();
    sorted.sort_unstable_by(|a, b| b.cmp(a));
    sorted.dedup();
    assert_eq!((seen.len(), seen), (6, sorted), "each once, newest first");
}

async fn a_list_of_large_ones_comes_in_smaller_pages(world: &World) {
    let tenant = world.tenant().await;
    tenant.active("ada").await;
    // Reported as text, too: 900 kB each.
    let fields = json!({"contract": "x".repeat(450_000)});
    for _ in 0..5 {
        tenant.backend.create_trusonafication(log_in().custom_fields(fields.as_object().unwrap())).await.unwrap();
    }
    let (mut sizes, mut ids, mut page_token) = (Vec::new(), BTreeSet::new(), String::new());
    loop {
        let request = ListTrusonaficationsRequest { page_token, ..Default::default() };
        let page = tenant.backend.list_trusonafications(request).await.unwrap();
        sizes.push(page.trusonafications.len());
        ids.extend(page.trusonafications.into_iter().map(|t| t.id));
        page_token = page.next_page_token;
        if page_token.is_empty() {
            break;
        }
    }
    assert_eq!((sizes, ids.len()), (vec![2, 2, 1], 5));
}

async fn filters_hold_in_every_combination(world: &World) {
    let tenant = world.tenant().await;
    let (ada, bob) = (tenant.active("ada").await, tenant.active("bob").await);
    let ask = async |user: &str| {
        tenant.backend.create_trusonafication(NewTrusonafication::user(user, "log in", "Acme")).await.unwrap().trusonafication.id
    };
    for (phone, user) in [(&ada, "ada"), (&bob, "bob")] {
        for decision in [Decision::Accept, Decision::Reject] {
            ask(user).await;
            phone.respond(&asked(phone).await, decision, None).await.unwrap();
        }
        tenant.backend.cancel(&ask(user).await).await.unwrap();
        let past = NewTrusonafication::user(user, "log in", "Acme").expires_at(Timestamp::from_seconds(1));
        tenant.backend.create_trusonafication(past).await.unwrap();
        ask(user).await;
    }
    let list = async |request: ListTrusonaficationsRequest| tenant.backend.list_trusonafications(request).await.unwrap().trusonafications;
    let all = list(ListTrusonaficationsRequest::default()).await;
    assert_eq!(all.len(), 10);
    let middle = all[5].created_at;
    let moment = |at: Option<prost_types::Timestamp>| at.map(|at| (at.seconds, at.nanos));
    let devices = ["", ada.device_identifier().as_str(), bob.device_identifier().as_str()];
    let statuses = [Status::Unspecified, Status::InProgress, Status::Accepted, Status::Rejected, Status::Expired, Status::Canceled];
    for (status, user, device) in
        statuses.iter().flat_map(|s| ["", "ada", "bob"].map(|u| (*s, u))).flat_map(|(s, u)| devices.map(|d| (s, u, d)))
    {
        for (after, before) in [(None, None), (middle, None), (None, middle)] {
            let found = list(ListTrusonaficationsRequest {
                status: status.into(),
                user_identifier: user.into(),
                device_identifier: device.into(),
                created_after: after,
                created_before: before,
                ..Default::default()
            });
            let meant = |t: &&Trusonafication| {
                (status == Status::Unspecified || t.status() == status)
                    && (user.is_empty() || t.user_identifier == user)
                    && (device.is_empty() || t.device_identifier == device)
                    && (after.is_none() || moment(t.created_at) >= moment(after))
                    && (before.is_none() || moment(t.created_at) < moment(before))
            };
            let ids = |found: &[Trusonafication]| found.iter().map(|t| t.id.clone()).collect::<Vec<_>>();
            let expected: Vec<_> = all.iter().filter(meant).cloned().collect();
            assert_eq!(ids(&found.await), ids(&expected), "{status:?} {user} {device} {after:?} {before:?}");
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_browser_that_knows_that_its_code_is_over_has_nobody_asked_while_it_waits() {
    let clock = Clock::manual(Clock::system().now());
    let world = World::embedded_by(clock.clone()).await;
    let mut browser = Browser::new(&world.http);
    browser.post("/console/api/sign_in", &json!({})).await;
    // The code has expired, but the browser's cookie has not.
    clock.advance(Duration::from_secs(150));
    let statements = async || {
        let metrics = reqwest::get(format!("{}/metrics", world.endpoints.registry)).await.unwrap().text().await.unwrap();
        let line = "nodkey_db_statements_total{database=\"trusonafication\"} ";
        metrics.lines().find_map(|found| found.strip_prefix(line)?.parse::<u64>().ok()).unwrap()
    };
    let before = statements().await;
    let waited = browser.get("/console/api/sign_in?wait=1&after=EXPIRED").await;
    assert_eq!(waited.body["status"], json!("EXPIRED"));
    let asked = statements().await - before;
    assert!(asked < 20, "{asked}");
}
