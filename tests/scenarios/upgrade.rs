//! A roll: every replica of every service is stopped and started again, one after the other, by the same build or by a newer one. Nobody
//! notices.
//!
//! The build before this one is the commit in `tests/build-before`; `make test-upgrade` builds it and runs what needs it.

use std::{
    collections::BTreeSet,
    path::{Path, PathBuf},
    pin::pin,
    process::Command,
    sync::atomic::{AtomicBool, Ordering},
    time::Duration,
};

use futures_util::future::join_all;
use nodkey_client::{Expected, is_success};
use nodkey_mobile_sdk::Decision;
use reqwest::Method;
use serde_json::json;
use tokio::{
    task::block_in_place,
    time::{Instant, MissedTickBehavior, interval_at},
};

use super::drill::amount;
use crate::{
    http,
    processes::{Plan, SERVICES, Topology, binaries},
    receiver::receiver,
    world::{PATIENCE, SoftPhone, Tenant, asked, environment, eventually},
    writes::{Ended, Writers, log_in, log_in_by},
};

/// How often each user logs in.
const PERIOD: Duration = Duration::from_secs(1);

/// A relying party whose users log in. Its backend calls the public address over HTTP and repeats nothing, so a request that fails ends the
/// test.
struct Site {
    tenant: Tenant,
    phones: Vec<(String, SoftPhone)>,
    client: reqwest::Client,
}

impl Site {
    async fn new(topology: &Topology) -> Self {
        let tenant = topology.world.tenant().await;
        let mut phones = Vec::new();
        for n in 0..amount("NODKEY_TEST_ROLL_USERS", 4) {
            let user = format!("user {n}");
            let phone = tenant.active(&user).await;
            // It knows the deployment's keys afterwards.
            log_in_by(&tenant, &user, &phone).await;
            phones.push((user, phone));
        }
        Self { tenant, phones, client: reqwest::Client::new() }
    }

    async fn call(&self, method: Method, path: &str, body: &str) -> serde_json::Value {
        let answered = http::backend_by(&self.client, &self.tenant.http, &self.tenant.server, method, path, body, &[]).await;
        assert!(matches!(answered.status, 200 | 201), "{path}: {} {}", answered.status, answered.text);
        answered.body
    }

    /// A login, up to the result; returns its id.
    async fn log_in(&self, user: &str, phone: &SoftPhone, callback_url: &str) -> String {
        let new = json!({ "user_identifier": user, "action": "log in", "resource": "Acme", "callback_url": callback_url });
        let created = self.call(Method::POST, "/api/v2/trusonafications", &new.to_string()).await;
        let id = created["id"].as_str().unwrap().to_owned();
        // A wait may end with nothing, as it does when its gateway stops.
        let prompted = async || phone.wait(PATIENCE).await.unwrap().into_iter().find(|pending| pending.id == id);
        let pending = eventually("the phone is prompted", prompted).await;
        phone.respond(&pending, Decision::Accept, None).await.unwrap();
        let path = format!("/api/v2/trusonafications/{id}?wait=30");
        let ended = eventually("the result is there", async || {
            let now = self.call(Method::GET, &path, "").await;
            (now["status"] != "IN_PROGRESS").then_some(now)
        });
        assert_eq!(ended.await["status"], "ACCEPTED", "{id}");
        id
    }

    /// Everybody logs in once a second, one after the other, while `roll` goes on. Returns how many logins there were. The webhook of each
    /// has arrived.
    async fn while_users_log_in(&self, roll: impl AsyncFnOnce()) -> usize {
        let mut receiving = receiver(Vec::new()).await;
        let (rolled, url) = (AtomicBool::new(false), receiving.url.clone());
        let (begin, apart) = (Instant::now(), PERIOD / u32::try_from(self.phones.len()).unwrap());
        let users = (0..).zip(&self.phones).map(async |(n, (user, phone))| {
            let (mut ids, mut turns) = (BTreeSet::new(), interval_at(begin + n * apart, PERIOD));
            turns.set_missed_tick_behavior(MissedTickBehavior::Delay);
            while !rolled.load(Ordering::Relaxed) {
                turns.tick().await;
                ids.insert(self.log_in(user, phone, &url).await);
            }
            ids
        });
        let rolling = async {
            roll().await;
            rolled.store(true, Ordering::Relaxed);
        };
        let mut logins = pin!(async { tokio::join!(join_all(users), rolling).0.into_iter().flatten().collect::<BTreeSet<_>>() });
        let (mut ids, mut notified) = (None, BTreeSet::new());
        while !ids.as_ref().is_some_and(|ids: &BTreeSet<String>| ids.is_subset(&notified)) {
            tokio::select! {
                all = &mut logins, if ids.is_none() => ids = Some(all),
                webhook = receiving.next() => {
                    notified.insert(webhook.body["id"].as_str().unwrap().to_owned());
                }
            }
        }
        ids.unwrap().len()
    }
}

/// Replaces every replica, one after the other, by one of the build in this folder.
async fn roll(topology: &Topology, build: &Path) {
    for name in SERVICES {
        for replica in 0..topology.plan.replicas {
            replace(topology, name, replica, build).await;
        }
    }
}

async fn replace(topology: &Topology, name: &str, replica: usize, build: &Path) {
    let service = topology.service(name);
    service.use_build(build);
    block_in_place(|| {
        service.stop(replica);
        service.start(replica);
    });
    service.readiness(200).await;
}

/// From now on everybody reaches only this replica of each service.
fn only(topology: &Topology, replica: usize) {
    for service in topology.services() {
        service.entrance.set_targets([service.address(replica)]);
        service.entrance.cut();
    }
}

/// The binaries of the build before, and a deployment that runs them.
async fn before() -> Topology {
    let folder = PathBuf::from(environment("NODKEY_TEST_BUILD_BEFORE"));
    Plan { binaries: folder, ..Plan::replicated() }.run().await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_rolling_restart_under_load_fails_no_request_and_loses_no_result() {
    let topology = Plan::replicated().run().await;
    let site = Site::new(&topology).await;
    let (began, mut took) = (Instant::now(), Duration::ZERO);
    let logins = site.while_users_log_in(async || {
        roll(&topology, &binaries()).await;
        took = began.elapsed();
    });
    let logins = logins.await;
    assert!(logins >= 2 * site.phones.len(), "{logins}");
    eprintln!("rolling restart of ten processes in {took:.1?}: {logins} logins, 0 failed, 0 lost");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "it needs the build before this one: make test-upgrade"]
async fn a_roll_from_the_build_before_under_load_fails_no_request_and_loses_no_result() {
    let topology = before().await;
    let site = Site::new(&topology).await;
    let logins = site.while_users_log_in(async || roll(&topology, &binaries()).await).await;
    assert!(logins >= 2 * site.phones.len(), "{logins}");
    eprintln!("roll from the build before: {logins} logins, 0 failed, 0 lost");
}

/// Replicas of both builds run on the same databases, and everything goes to one of the two at a time.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "it needs the build before this one: make test-upgrade"]
async fn the_build_before_and_this_one_read_and_go_on_with_what_the_other_wrote() {
    const BEFORE: usize = 0;
    const NEW: usize = 1;
    let topology = before().await;
    let writers = Writers::new(&topology.world).await;
    for name in SERVICES {
        replace(&topology, name, NEW, &binaries()).await;
    }
    let tenant = topology.world.tenant().await;
    let expected = Expected::accept();
    for (writer, reader) in [(BEFORE, NEW), (NEW, BEFORE)] {
        only(&topology, writer);
        let user = format!("user of {writer}");
        let phone = tenant.active(&user).await;
        let done = log_in_by(&tenant, &user, &phone).await;
        let open = tenant.backend.create_trusonafication(log_in(&user)).await.unwrap().trusonafication.id;
        only(&topology, reader);
        assert!(is_success(&tenant.backend.trusonafication(&done).await.unwrap()));
        tenant.prove(&done, &expected).await.unwrap();
        let pending = asked(&phone).await;
        assert_eq!(pending.id, open);
        phone.respond(&pending, Decision::Accept, None).await.unwrap();
        only(&topology, writer);
        assert!(is_success(&tenant.backend.wait(&open).await.unwrap()));
        tenant.prove(&open, &expected).await.unwrap();
        // A binding that one has made, the other ends.
        tenant.backend.freeze_user(&user, "").await.unwrap();
        only(&topology, reader);
        assert!(tenant.backend.create_trusonafication(log_in(&user)).await.is_err());
        tenant.backend.release_user(&user).await.unwrap();
        only(&topology, writer);
        log_in_by(&tenant, &user, &phone).await;
        let ended = writers.each().await;
        assert!(ended.iter().all(|(_, ended)| *ended == Ended::Done), "{ended:?}");
    }
    writers.answers_count().await;
}

/// Whoever removes a setting lets it go with a warning for one version: a process that does not start after an upgrade is an outage.
#[test]
#[ignore = "it needs the build before this one: make test-upgrade"]
fn every_setting_of_the_build_before_is_a_setting_of_this_one() {
    let before = PathBuf::from(environment("NODKEY_TEST_BUILD_BEFORE"));
    for service in SERVICES {
        let [before, now] = [&before, &binaries()].map(|build| {
            let help = Command::new(build.join(format!("nodkey-{service}"))).arg("--help").output().unwrap();
            let settings = String::from_utf8(help.stdout).unwrap();
            let settings = settings.lines().filter_map(|line| line.trim().strip_prefix("NODKEY_"));
            settings.map(|line| line.split_whitespace().collect::<Vec<_>>().join(" ")).collect::<BTreeSet<_>>()
        });
        assert!(before.len() > 20, "{service}: {before:?}");
        assert!(before.is_subset(&now), "{service}: {:?}", before.difference(&now));
    }
}
