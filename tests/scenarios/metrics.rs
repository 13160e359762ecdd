//! What a running deployment serves at `/metrics` is what `docs/operations/metrics.md` says, after logins and faults.

use std::{
    cell::LazyCell,
    collections::{BTreeMap, BTreeSet},
};

use nodkey_client::NewTrusonafication;
use nodkey_mobile_sdk::Decision;
use nodkey_proto::registry::v1::CreateCredentialResponse;
use reqwest::Method;

use crate::{
    http,
    metrics::{Row, declared, documented, known_values, metric_of},
    processes::Plan,
    receiver::receiver,
    world::{PATIENCE, World, eventually},
};

scenarios!(what_is_served_is_what_is_documented);

/// What neither logins nor the faults of this test bring about.
const NEVER: [&str; 8] = [
    "nodkey_admission_limit",
    "nodkey_dead_letters_handled_total",
    "nodkey_invariant_violations_total",
    "nodkey_relying_party_acceptance_seconds",
    "nodkey_relying_party_trusonafications_total",
    "nodkey_retention_deleted_total",
    "nodkey_rows_unreadable_total",
    "nodkey_signature_tolerances_total",
];

/// A sample: its name and labels.
type Series = (String, BTreeMap<String, String>);

/// What the replicas of a service serve together: each serves only what it has done.
struct Served {
    process: String,
    /// Kind and description, by metric.
    metrics: BTreeMap<String, (String, String)>,
    series: Vec<Series>,
}

impl Served {
    async fn by(process: String, urls: &[String]) -> Self {
        let mut text = String::new();
        for url in urls {
            text += &reqwest::get(url).await.unwrap().error_for_status().unwrap().text().await.unwrap();
        }
        let (mut metrics, mut series): (BTreeMap<String, (String, String)>, Vec<Series>) = Default::default();
        for line in text.lines().filter(|line| !line.is_empty()) {
            if let Some((name, kind)) = line.strip_prefix("# TYPE ").and_then(|rest| rest.split_once(' ')) {
                kind.clone_into(&mut metrics.entry(name.to_owned()).or_default().0);
            } else if let Some((name, help)) = line.strip_prefix("# HELP ").and_then(|rest| rest.split_once(' ')) {
                help.clone_into(&mut metrics.entry(name.to_owned()).or_default().1);
            } else {
                series.push(sample(line));
            }
        }
        Self { process, metrics, series }
    }

    /// Whether a row says that this process serves it.
    fn should_serve(&self, row: &Row) -> bool {
        let embedded = self.process == "all";
        match row.served_by.as_str() {
            "all" => true,
            "PostgreSQL" | "NATS" => !embedded && self.process != "gateway",
            "TLS" => !embedded,
            "services" => self.process != "gateway",
            service => embedded || service == self.process,
        }
    }
}

/// Reads `name{label="value",...} number`. No value of ours has a quote or a comma.
fn sample(line: &str) -> Series {
    let (series, value) = line.rsplit_once(' ').unwrap();
    value.parse::<f64>().unwrap_or_else(|_| panic!("{line}"));
    let (name, labels) = series.split_once('{').unwrap_or((series, ""));
    let labels = labels.trim_end_matches('}').split(',').filter_map(|label| label.split_once('='));
    (name.to_owned(), labels.map(|(key, value)| (key.to_owned(), value.trim_matches('"').to_owned())).collect())
}

async fn scrape(world: &World) -> Vec<Served> {
    let mut all = Vec::new();
    for (process, urls) in world.metrics() {
        all.push(Served::by(process, &urls).await);
    }
    all
}

/// Logins, requests that are refused, a webhook that arrives and one that does not, and paths and methods that somebody invents.
async fn live(world: &World) {
    let tenant = world.tenant().await;
    let phone = tenant.active("ada").await;
    let mut receiving = receiver(vec![axum::http::StatusCode::NO_CONTENT]).await;
    for decision in [Decision::Accept, Decision::Reject] {
        let new = NewTrusonafication::user("ada", "log in", "the bank").callback_url(&receiving.url);
        let id = tenant.backend.create_trusonafication(new).await.unwrap().trusonafication.id;
        let pending = phone.wait(PATIENCE).await.unwrap();
        let asked = pending.iter().find(|pending| pending.id == id).unwrap();
        phone.respond(asked, decision, None).await.unwrap();
        tenant.backend.wait(&id).await.unwrap();
        receiving.next().await;
    }
    let secret = "another secret, which is long enough to be one".to_owned();
    let other = CreateCredentialResponse { secret, ..tenant.server.clone() };
    let path = "/api/v2/trusonafications/00000000-0000-0000-0000-000000000000";
    assert_eq!(http::backend(&world.http, &other, Method::GET, path, "").await.status, 403);
    assert_eq!(http::backend(&world.http, &tenant.server, Method::GET, path, "").await.status, 404);
    let brew = Method::from_bytes(b"BREW").unwrap();
    for (method, path) in [(brew, "/jwks"), (Method::GET, "/nobodys/business"), (Method::GET, "/jwks"), (Method::GET, "/docs")] {
        http::client().request(method, format!("{}{path}", world.http)).send().await.unwrap();
    }
}

async fn what_is_served_is_what_is_documented(world: &World) {
    live(world).await;
    let (declared, documented) = (declared(), documented());
    // Some are measured now and then.
    let missing = |all: &[Served]| {
        let lacks = |served: &Served, name: &String, row: &Row| served.should_serve(row) && !served.metrics.contains_key(name);
        let mut missing = BTreeSet::new();
        for (name, row) in documented.iter().filter(|(name, _)| !NEVER.contains(&name.as_str())) {
            let of_one_process = name == "nodkey_peer_connections" && all.len() == 1;
            let by = all.iter().filter(|served| lacks(served, name, row)).map(|served| served.process.as_str()).collect::<Vec<_>>();
            let somewhere = all.iter().any(|served| served.metrics.contains_key(name)) || of_one_process;
            let expected = all.iter().any(|served| served.should_serve(row));
            if expected && if row.once { !somewhere } else { !by.is_empty() } {
                missing.insert(format!("{name} by {by:?}"));
            }
        }
        missing
    };
    let all = eventually("everything that is documented is served", async || {
        let all = scrape(world).await;
        let missing = missing(&all);
        if missing.is_empty() {
            return Some(all);
        }
        println!("not served yet: {missing:?}");
        None
    })
    .await;
    // Documents are read once for each label, and not for each of the thousands of series.
    let mut found_values = BTreeMap::<(&str, &str), BTreeSet<&str>>::new();
    for served in &all {
        for (name, (kind, help)) in &served.metrics {
            let (metric, description) = declared.get(name.as_str()).unwrap_or_else(|| panic!("{name} is not declared"));
            assert_eq!((kind, help.as_str()), (&metric.kind, *description), "{name}");
            assert!(served.should_serve(&documented[name]) || name == "nodkey_peer_connections", "{name} by {}", served.process);
        }
        for (name, labels) in &served.series {
            let metric = metric_of(name, &declared).unwrap_or_else(|| panic!("{name} is not declared"));
            let row = &documented[metric].metric;
            let expected: BTreeSet<_> = row.labels.iter().map(|(key, _)| key.as_str()).collect();
            let found: BTreeSet<_> = labels.keys().map(String::as_str).filter(|key| *key != "le").collect();
            assert_eq!(found, expected, "{name}");
            for key in expected {
                found_values.entry((metric, key)).or_default().insert(labels[key].as_str());
            }
        }
    }
    for ((metric, key), values) in found_values {
        let listed = documented[metric].metric.labels.iter().find_map(|(label, listed)| listed.as_ref().filter(|_| label == key));
        let known = LazyCell::new(|| listed.map_or_else(|| known_values(key, metric), |listed| listed.iter().cloned().collect()));
        for value in values {
            let documented = if listed.is_some() { known.contains(value) } else { is_documented(metric, key, value, &known) };
            assert!(documented, "{metric}: {key} is {value}");
        }
    }
    bounded(&all);
}

/// How the routes of pages and of their files begin. No document lists them.
const PAGES: [&str; 6] = ["/console", "/assets/", "/sdk/", "/demo", "/phone", "/grpc.health.v1.Health/"];

/// Whether a label whose values no row lists may have this one.
fn is_documented(metric: &str, key: &str, value: &str, known: &LazyCell<BTreeSet<String>, impl FnOnce() -> BTreeSet<String>>) -> bool {
    let is_name = |text: &str| !text.is_empty() && text.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'_');
    match key {
        // A test's databases have names of their own, which end like the service.
        "database" => known_values("service", metric).iter().any(|service| value.ends_with(service.as_str())) && is_name(value),
        "table" | "invariant" => is_name(value),
        // Pages and their files have no document, and templates without a value of anybody's.
        "route" if ["/", "/docs", "/openapi.json"].contains(&value) => true,
        "route" if PAGES.iter().any(|page| value.starts_with(page)) => true,
        // What old SDKs send for an identifier that is empty.
        "route" if value.ends_with('/') => known.iter().any(|route| route.starts_with(value)),
        _ => known.contains(value),
    }
}

/// What a stranger sends makes no series of its own.
fn bounded(all: &[Served]) {
    for (name, labels) in all.iter().flat_map(|served| &served.series) {
        for value in labels.values() {
            let is_theirs = value == "ada" || ["nobodys", "BREW", "00000000-"].iter().any(|part| value.contains(part));
            assert!(!is_theirs, "{name}: {value}");
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_relying_party_is_measured_separately_only_where_the_settings_name_it() {
    let topology = Plan::new().run().await;
    let (named, other) = (topology.world.tenant().await, topology.world.tenant().await);
    let service = topology.service("trusonafication");
    let setting = "NODKEY_SERVICE__MEASURED_RELYING_PARTIES".to_owned();
    service.change(vec![(setting, Some(format!("[\"{}\"]", named.id)))]);
    service.stop(0);
    service.start(0);
    topology.ready().await;
    for tenant in [&named, &other] {
        let phone = tenant.active("ada").await;
        let id =
            tenant.backend.create_trusonafication(NewTrusonafication::user("ada", "log in", "the bank")).await.unwrap().trusonafication.id;
        let asked = phone.wait(PATIENCE).await.unwrap();
        phone.respond(&asked[0], Decision::Accept, None).await.unwrap();
        tenant.backend.wait(&id).await.unwrap();
    }
    let metrics = service.metrics().await;
    let has = |line: &str| metrics.lines().any(|found| found == line);
    let of_named = format!("{{relying_party=\"{}\",status=\"accepted\"}}", named.id);
    assert!(has(&format!("nodkey_relying_party_trusonafications_total{of_named} 1")), "{metrics}");
    assert!(has(&format!("nodkey_relying_party_acceptance_seconds_count{{relying_party=\"{}\"}} 1", named.id)), "{metrics}");
    assert!(has("nodkey_trusonafications_total{status=\"accepted\"} 2"), "{metrics}");
    assert!(!metrics.contains(&other.id), "{metrics}");
}
