//! What is exported by OTLP: traces, metrics and logs of the five processes, and of one.

use std::collections::{BTreeMap, BTreeSet};

use nodkey_client::{NewTrusonafication, ServiceName};
use nodkey_mobile_sdk::Decision;
use nodkey_proto::{
    registry::v1::{AuditEntry, ListAuditEntriesRequest, audit_service_client::AuditServiceClient},
    trusonafication::v1::{
        CreateTrusonaficationRequest, create_trusonafication_request::Target, trusonafication_service_client::TrusonaficationServiceClient,
    },
};
use opentelemetry_proto::tonic::{
    metrics::v1::metric::Data,
    trace::v1::{Span, span::SpanKind},
};
use reqwest::{Client, Method};
use serde_json::json;
use tonic::Request;

use super::webhook;
use crate::{
    collector::{Collector, attribute},
    http,
    processes::{Plan, Topology},
    receiver::{Callback, receiver},
    world::{Tenant, World, asked, eventually},
};

/// The trace that a backend names, and its span.
const TRACE: &str = "0af7651916cd43dd8448eb211c80319c";
const SPAN: &str = "b7ad6b7169203331";
/// What is nobody's business.
const USER: &str = "user-who-is-nobodys-business";
const FIELD: &str = "field-that-is-nobodys-business";

const PROCESSES: [&str; 5] = ["nodkey-gateway", "nodkey-registry", "nodkey-binding", "nodkey-trusonafication", "nodkey-notification"];

/// The five processes, exporting to a collector.
async fn exporting(collector: &Collector, settings: &[(&str, &str)]) -> Topology {
    let plan = collector.environment().into_iter().fold(Plan::new(), |plan, (name, value)| plan.set(name, value));
    settings.iter().fold(plan, |plan, (name, value)| plan.set(*name, *value)).run().await
}

/// A login that a backend asks for at the gateway, in a trace of its own. Returns the webhook that tells of it.
async fn login(world: &World, tenant: &Tenant, flags: &str) -> Callback {
    let mut hook = receiver(Vec::new()).await;
    webhook::create(tenant, &hook.url, &["trusonafication.accepted"]).await;
    let phone = tenant.active(USER).await;
    let backend = tenant.backend_through(&world.one_address());
    let mut create = TrusonaficationServiceClient::new(backend.channel(ServiceName::Trusonafication));
    let mut request = Request::new(CreateTrusonaficationRequest {
        target: Some(Target::UserIdentifier(USER.into())),
        action: "log in".into(),
        resource: "Acme".into(),
        custom_fields_json: json!({"iban": FIELD}).to_string(),
        ..CreateTrusonaficationRequest::default()
    });
    request.metadata_mut().insert("traceparent", format!("00-{TRACE}-{SPAN}-{flags}").parse().unwrap());
    create.create_trusonafication(request).await.unwrap();
    phone.respond(&asked(&phone).await, Decision::Accept, None).await.unwrap();
    hook.next().await
}

fn kind(span: &Span) -> SpanKind {
    SpanKind::try_from(span.kind).unwrap()
}

/// The spans of the trace, by process and name, once it is whole.
async fn whole(collector: &Collector) -> Vec<(String, Span)> {
    eventually("the trace is whole", async || {
        let spans = collector.trace(TRACE);
        let is_told = spans.iter().any(|(_, span)| span.name == "webhook POST");
        let known: BTreeSet<_> = spans.iter().map(|(_, span)| hex::encode(&span.span_id)).collect();
        let is_known = |id: &str| id == SPAN || known.contains(id);
        (is_told && spans.iter().all(|(_, span)| is_known(&hex::encode(&span.parent_span_id)))).then_some(spans)
    })
    .await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn one_login_is_one_trace_through_every_service_the_bus_and_the_webhook() {
    let collector = Collector::start().await;
    let topology = exporting(&collector, &[]).await;
    let tenant = topology.world.tenant().await;
    let told = login(&topology.world, &tenant, "01").await;
    let sent = told.headers["traceparent"].to_str().unwrap();
    assert!(sent.starts_with(&format!("00-{TRACE}-")) && sent.ends_with("-01"), "the receiver may continue it: {sent}");

    let spans = whole(&collector).await;
    let processes: BTreeSet<_> = spans.iter().map(|(process, _)| process.as_str()).collect();
    assert_eq!(processes, BTreeSet::from(PROCESSES));
    let named = |process: &str, name: &str, of: SpanKind| {
        let found = spans.iter().find(|(by, span)| by == process && span.name == name && kind(span) == of);
        found.map_or_else(
            || {
                let all: Vec<_> = spans.iter().map(|(by, span)| format!("{by} {} {:?}", span.name, kind(span))).collect();
                panic!("{process} {name} {of:?} is not among {all:#?}")
            },
            |(_, span)| span,
        )
    };
    // Asked at the gateway, which calls the service, which calls the others.
    let create = "nodkey.trusonafication.v1.TrusonaficationService/CreateTrusonafication";
    let entered = named("nodkey-gateway", create, SpanKind::Server);
    assert_eq!(hex::encode(&entered.parent_span_id), SPAN, "the backend's own span is its parent");
    assert_eq!(attribute(entered, "rpc.system.name"), "grpc");
    assert_eq!(attribute(entered, "rpc.response.status_code"), "OK");
    let forwarded = named("nodkey-gateway", create, SpanKind::Client);
    let served = named("nodkey-trusonafication", create, SpanKind::Server);
    assert_eq!((&forwarded.parent_span_id, &served.parent_span_id), (&entered.span_id, &forwarded.span_id));
    named("nodkey-registry", "nodkey.registry.v1.RelyingPartyService/GetRelyingParty", SpanKind::Server);
    let insert = spans.iter().find(|(_, span)| attribute(span, "db.query.text").contains("INSERT INTO trusonafication ")).unwrap();
    assert_eq!((insert.0.as_str(), attribute(&insert.1, "db.system.name").as_str()), ("nodkey-trusonafication", "postgresql"));
    assert_eq!(kind(&insert.1), SpanKind::Client);
    // What the phone does later belongs to the same trace.
    let parent = |span: &Span| {
        let (process, parent) = spans.iter().find(|(_, other)| other.span_id == span.parent_span_id).unwrap();
        (format!("{process}: {}", parent.name), kind(parent), parent)
    };
    let hook = named("nodkey-notification", "webhook POST", SpanKind::Client);
    assert_eq!(attribute(hook, "http.response.status_code"), "204");
    let (name, of, consumed) = parent(hook);
    assert_eq!((name.as_str(), of), ("nodkey-notification: process trusonafication.v1.accepted", SpanKind::Consumer));
    let (name, of, published) = parent(consumed);
    assert_eq!((name.as_str(), of), ("nodkey-trusonafication: publish trusonafication.v1.accepted", SpanKind::Producer));
    assert_eq!(attribute(published, "messaging.system"), "nats");
    assert_eq!(consumed.links[0].span_id, published.span_id);
    let (name, of, accepted) = parent(published);
    assert_eq!((name.as_str(), of), ("nodkey-trusonafication: trusonafication accepted", SpanKind::Internal));
    // The phone's own request is a trace of its own, linked.
    let link = hex::encode(&accepted.links[0].trace_id);
    let answered = eventually("the phone's request", async || {
        collector.trace(&link).into_iter().find(|(process, span)| process == "nodkey-gateway" && kind(span) == SpanKind::Server)
    })
    .await;
    assert_eq!(attribute(&answered.1, "http.response.status_code"), "200");

    // Logs carry the trace, and metrics are those of Prometheus.
    eventually("the delivery is logged", async || collector.logs(TRACE).iter().any(|_| true).then_some(())).await;
    let metric = ("nodkey-trusonafication".to_owned(), "nodkey_trusonafications_total".to_owned());
    let counted = eventually("the login is counted", async || collector.metrics().get(&metric).cloned()).await;
    assert!(matches!(counted.data, Some(Data::Sum(sum)) if sum.is_monotonic), "a counter");

    let token = |credential: &nodkey_proto::registry::v1::CreateCredentialResponse| credential.credential.clone().unwrap().token;
    for secret in [USER, FIELD, &tenant.server.secret, &tenant.mobile.secret, &token(&tenant.server), &token(&tenant.mobile)] {
        assert!(!collector.holds(secret), "{secret} is exported");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn whoever_is_not_authenticated_names_no_trace_but_by_a_link() {
    let collector = Collector::start().await;
    let topology = exporting(&collector, &[]).await;
    let world = &topology.world;
    let tenant = world.tenant().await;
    let traceparent = format!("00-{TRACE}-{SPAN}-01");
    let named = |request: reqwest::RequestBuilder| request.header("traceparent", &traceparent);
    let gateway = &world.http;
    // Nobody, a backend whose signature is wrong, and a phone.
    assert_eq!(named(Client::new().get(format!("{gateway}/jwks"))).send().await.unwrap().status(), 200);
    let path = "/api/v2/trusonafications/018bcfe5-6800-7000-8000-000000000001";
    let forged = named(Client::new().get(format!("{gateway}{path}"))).header("authorization", "TRUSONA invented:x");
    assert_eq!(forged.send().await.unwrap().status(), 403);
    let bearer = named(Client::new().get(format!("{gateway}{path}"))).bearer_auth("invented");
    assert_eq!(bearer.send().await.unwrap().status(), 401);
    eventually("each is linked", async || (collector.linking(TRACE).len() >= 3).then_some(())).await;
    // At a service, whose failed authentications are in the audit log.
    let registry = tenant.backend.channel(ServiceName::Registry);
    drop(registry);
    let mut wrong = tenant.server.clone();
    wrong.secret = "0".repeat(43);
    assert_eq!(http::backend(gateway, &wrong, Method::GET, path, "").await.status, 403);
    let mut log = AuditServiceClient::new(world.operator(None).channel(ServiceName::Registry));
    let entries: Vec<AuditEntry> = log.list_audit_entries(ListAuditEntriesRequest::default()).await.unwrap().into_inner().entries;
    assert!(!entries.is_empty() && entries.iter().all(|entry| entry.trace_id != TRACE), "{entries:?}");
    assert!(collector.trace(TRACE).is_empty(), "{:?}", collector.trace(TRACE));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_not_sampled_is_not_exported_and_keeps_its_trace() {
    let collector = Collector::start().await;
    let none = [("OTEL_METRICS_EXPORTER", "none"), ("OTEL_LOGS_EXPORTER", "none")];
    let topology = exporting(&collector, &none).await;
    let tenant = topology.world.tenant().await;
    let told = login(&topology.world, &tenant, "00").await;
    let sent = told.headers["traceparent"].to_str().unwrap();
    assert!(sent.starts_with(&format!("00-{TRACE}-")) && sent.ends_with("-00"), "{sent}");
    // Others are, by now.
    eventually("others are exported", async || (!collector.traces().is_empty()).then_some(())).await;
    assert!(collector.trace(TRACE).is_empty());
    assert!(collector.metrics().is_empty());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nothing_is_exported_unless_it_is_asked_for_and_what_is_wrong_is_refused() {
    let collector = Collector::start().await;
    let topology = exporting(&collector, &[("OTEL_SDK_DISABLED", "true")]).await;
    let tenant = topology.world.tenant().await;
    let told = login(&topology.world, &tenant, "01").await;
    assert!(told.headers["traceparent"].to_str().unwrap().starts_with(&format!("00-{TRACE}-")));
    drop(topology);
    assert!(collector.is_empty());
    let topology = Plan::new().run().await;
    for (name, value) in [("OTEL_TRACES_EXPORTER", "zipkin"), ("OTEL_TRACES_SAMPLER", "xray")] {
        let refused = topology.service("registry").try_with(name, value);
        assert!(refused.contains(&format!("configuration: {name} is \"{value}\"")), "{refused}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_collector_that_is_away_costs_no_login() {
    let nobody = BTreeMap::from(Collector::default().environment());
    let plan = nobody.into_iter().fold(Plan::new(), |plan, (name, _)| plan.set(name, "100"));
    let topology = plan.set("OTEL_EXPORTER_OTLP_ENDPOINT", "http://127.0.0.1:1").run().await;
    let tenant = topology.world.tenant().await;
    let phone = tenant.active("ada").await;
    let id = tenant.backend.create_trusonafication(NewTrusonafication::user("ada", "log in", "Acme")).await.unwrap().trusonafication.id;
    phone.respond(&asked(&phone).await, Decision::Accept, None).await.unwrap();
    tenant.backend.wait(&id).await.unwrap();
    // It ends in time, whatever was not exported.
    topology.service("trusonafication").stop(0);
}
