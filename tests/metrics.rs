//! Metrics are declared once, in code, and everything that names them agrees with that: `docs/operations/metrics.md`, the alerting rules, the
//! dashboards and the runbook. What a running deployment serves is compared in `scenarios/metrics.rs`.

use std::{
    collections::{BTreeMap, BTreeSet},
    path::Path,
};

use nodkey_kernel::service_key::ServiceName;
use nodkey_runtime::{Service, common_metrics};
use serde_json::Value;

use crate::architecture::top;

/// A metric as it is declared or documented.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Metric {
    /// `counter`, `gauge` or `histogram`.
    pub kind: String,
    /// Its labels, with their values where they are listed.
    pub labels: Vec<(String, Option<Vec<String>>)>,
}

/// A row of the table.
pub struct Row {
    /// What it says.
    pub metric: Metric,
    /// Who serves it: `all`, `services` (all but the gateway), a service, `PostgreSQL`, `TLS`.
    pub served_by: String,
    /// Whether it is served only once it has happened.
    pub once: bool,
}

/// The contents of a file of the repository.
pub fn file(name: &str) -> String {
    let path = top().join(name);
    std::fs::read_to_string(&path).unwrap_or_else(|e| panic!("{}: {e}", path.display()))
}

/// The declared metrics, with their descriptions.
pub fn declared() -> BTreeMap<&'static str, (Metric, &'static str)> {
    let of_services = [
        nodkey_registry::Registry::metrics(),
        nodkey_binding::Binding::metrics(),
        nodkey_trusonafication::Trusonafication::metrics(),
        nodkey_notification::Notification::metrics(),
        nodkey_gateway::Gateway::metrics(),
    ];
    let mut all = BTreeMap::new();
    for metric in common_metrics().into_iter().chain(of_services).flatten() {
        let owned = |values: Vec<&str>| values.into_iter().map(ToOwned::to_owned).collect();
        let labels = metric.labels().into_iter().map(|(key, values)| (key.to_owned(), values.map(owned))).collect();
        let before = all.insert(metric.name(), (Metric { kind: metric.kind().to_string(), labels }, metric.help()));
        assert!(before.is_none(), "{} is declared twice", metric.name());
    }
    all
}

/// The text in backticks.
pub fn quoted(text: &str) -> Vec<String> {
    text.split('`').skip(1).step_by(2).map(ToOwned::to_owned).collect()
}

/// Labels as a cell lists them, with their values where it does: `` `provider` = `apns`, `fcm`; `outcome` ``.
fn labels(cell: &str) -> Vec<(String, Option<Vec<String>>)> {
    let label = |text: &str| {
        let mut names = quoted(text).into_iter();
        (names.next().unwrap(), text.contains('=').then(|| names.collect()))
    };
    cell.split(';').filter(|text| !text.is_empty()).map(label).collect()
}

/// The rows of the table in `docs/operations/metrics.md`.
pub fn documented() -> BTreeMap<String, Row> {
    let page = file("docs/operations/metrics.md");
    let rows = page.lines().filter(|line| line.starts_with("| `nodkey_"));
    let mut documented = BTreeMap::new();
    for row in rows {
        let cells: Vec<_> = row.trim_matches('|').split('|').map(str::trim).collect();
        let [name, kind, keys, served_by, _] = cells[..] else { panic!("{row}") };
        let metric = Metric { kind: kind.to_owned(), labels: labels(keys) };
        let row = Row { metric, served_by: served_by.trim_end_matches('*').to_owned(), once: served_by.ends_with('*') };
        assert!(documented.insert(name.trim_matches('`').to_owned(), row).is_none(), "{name} has two rows");
    }
    documented
}

#[test]
fn the_table_of_metrics_is_what_the_code_declares() {
    let (declared, documented) = (declared(), documented());
    let names = |all: Vec<&str>| all.into_iter().map(ToOwned::to_owned).collect::<BTreeSet<String>>();
    assert_eq!(names(declared.keys().copied().collect()), names(documented.keys().map(String::as_str).collect()));
    for (name, (metric, _)) in declared {
        let Row { metric: row, served_by, .. } = &documented[name];
        assert_eq!(row.kind, metric.kind, "{name}");
        let keys = |metric: &Metric| metric.labels.iter().map(|(key, _)| key.clone()).collect::<Vec<_>>();
        assert_eq!(keys(row), keys(&metric), "{name}");
        for ((key, listed), (_, values)) in row.labels.iter().zip(&metric.labels) {
            match (listed, values) {
                (Some(listed), Some(values)) => assert_eq!(listed, values, "{name} {key}"),
                // Where the row does not list them, the table of labels does.
                (None, Some(values)) => {
                    let known = known_values(key, name);
                    assert!(values.iter().all(|value| known.contains(value)), "{name} {key}: {values:?} and {known:?}");
                }
                (_, None) => {}
            }
        }
        let places = ["all", "services", "PostgreSQL", "NATS", "TLS"];
        let is_place = places.contains(&served_by.as_str()) || ServiceName::try_from(served_by.as_str()).is_ok();
        assert!(is_place, "{name}: {served_by}");
    }
}

/// The documented values of a label that its row does not list.
pub fn known_values(key: &str, metric: &str) -> BTreeSet<String> {
    let in_quotes = |name: &str| quoted(&file(name)).into_iter().collect::<BTreeSet<_>>();
    let methods = || nodkey_proto::access::ACCESS.iter().map(|(path, _)| path.trim_start_matches('/').to_owned());
    match key {
        "service" | "peer" | "caller" => ServiceName::ALL.iter().map(ToString::to_string).collect(),
        "outcome" => ["ok", "failed", "refused"].map(ToOwned::to_owned).into(),
        "consumer" => in_quotes("docs/events.md"),
        "type" => in_quotes("docs/events.md").iter().filter_map(|subject| subject.strip_prefix("evt.").map(ToOwned::to_owned)).collect(),
        "method" if metric.starts_with("nodkey_grpc_") => {
            let others = ["Check", "List", "Watch"].map(|method| format!("grpc.health.v1.Health/{method}"));
            let reflection = ["v1", "v1alpha"].map(|version| format!("grpc.reflection.{version}.ServerReflection/ServerReflectionInfo"));
            methods().chain(others).chain(reflection).chain(["other".to_owned()]).collect()
        }
        "method" => {
            let nine = ["GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS", "TRACE", "CONNECT", "other"];
            nine.map(ToOwned::to_owned).into()
        }
        "code" => nodkey_proto::code::CODES.map(ToOwned::to_owned).into(),
        "status" => (200..600).map(|status: u16| status.to_string()).collect(),
        "reason" => in_quotes("docs/errors.md"),
        "kind" => &in_quotes("docs/operations/metrics.md") | &in_quotes("docs/operations/overload.md"),
        "version" => [env!("CARGO_PKG_VERSION").to_owned()].into(),
        "route" => {
            let document: Value = serde_json::from_str(&nodkey_gateway::openapi()).unwrap();
            let documented: Vec<_> = document["paths"].as_object().unwrap().keys().cloned().collect();
            methods().map(|method| format!("/{method}")).chain(documented).chain(["other".to_owned()]).collect()
        }
        other => panic!("nobody says which values {other} of {metric} has"),
    }
}

#[test]
fn names_end_with_their_unit_and_descriptions_are_sentences() {
    for (name, (metric, help)) in declared() {
        assert!(name.starts_with("nodkey_") && name.bytes().all(|b| b.is_ascii_lowercase() || b == b'_'), "{name}");
        assert_eq!(name.ends_with("_total"), metric.kind == "counter", "{name}");
        assert!(metric.kind != "histogram" || name.ends_with("_seconds"), "{name}");
        for reserved in ["_count", "_sum", "_bucket"] {
            assert!(!name.ends_with(reserved), "{name} looks like a part of a histogram");
        }
        let is_sentence = help.ends_with('.') && help.starts_with(|c: char| c.is_uppercase() || c.is_ascii_digit() || c == 'g');
        assert!(is_sentence && !help.contains('\n'), "{name}: {help}");
        for (key, _) in &metric.labels {
            // These are Prometheus's own.
            assert!(!["le", "quantile", "job", "instance"].contains(&key.as_str()), "{name} {key}");
        }
    }
}

/// The metrics that a text names and that begin like this: with `nodkey_` those of processes, with `nodkey:` those that rules record.
fn named(text: &str, start: &str) -> BTreeSet<String> {
    let is_part = |c: char| c.is_ascii_alphanumeric() || c == '_' || c == ':';
    text.split(|c: char| !is_part(c)).filter(|word| word.starts_with(start)).map(ToOwned::to_owned).collect()
}

/// The metric that a sample belongs to, if it is declared.
pub fn metric_of<'a>(sample: &'a str, declared: &BTreeMap<&str, (Metric, &str)>) -> Option<&'a str> {
    if declared.contains_key(sample) {
        return Some(sample);
    }
    let base = ["_bucket", "_sum", "_count"].into_iter().find_map(|part| sample.strip_suffix(part))?;
    declared.get(base).is_some_and(|(metric, _)| metric.kind == "histogram").then_some(base)
}

/// The files that name metrics to Prometheus and Grafana.
fn operators_files() -> Vec<(String, String)> {
    let names = ["deploy/prometheus/rules.yaml", "deploy/prometheus/rules-test.yaml"].map(ToOwned::to_owned);
    let dashboards = dashboards().into_iter().map(|(name, _)| name);
    names.into_iter().chain(dashboards).map(|name| (name.clone(), file(&name))).collect()
}

fn dashboards() -> Vec<(String, Value)> {
    let folder = top().join("deploy/grafana");
    let files = std::fs::read_dir(&folder).unwrap().map(|entry| entry.unwrap().path());
    let json = files.filter(|path| path.extension().is_some_and(|ending| ending == "json"));
    let name = |path: &Path| format!("deploy/grafana/{}", path.file_name().unwrap().to_string_lossy());
    json.map(|path| (name(&path), serde_json::from_str(&std::fs::read_to_string(&path).unwrap()).unwrap())).collect()
}

#[test]
fn every_metric_that_rules_and_dashboards_name_is_declared() {
    let declared = declared();
    let recorded: BTreeSet<_> = file("deploy/prometheus/rules.yaml").lines().filter_map(|line| Some(record(line)?.to_owned())).collect();
    for (name, text) in operators_files() {
        let metrics = named(&text, "nodkey_");
        assert!(metrics.len() > 10, "{name}: {metrics:?}");
        let unknown: Vec<_> = metrics.iter().filter(|sample| metric_of(sample, &declared).is_none()).collect();
        assert!(unknown.is_empty(), "{name} names {unknown:?}");
        // A histogram is read by its buckets, its sum or its count.
        let whole: Vec<_> =
            metrics.iter().filter(|sample| declared.get(sample.as_str()).is_some_and(|(m, _)| m.kind == "histogram")).collect();
        assert!(whole.is_empty(), "{name} names {whole:?} without a part");
        for rule in named(&text, "nodkey:") {
            assert!(recorded.contains(&rule), "{name} names {rule}, which no rule records");
        }
    }
}

fn record(line: &str) -> Option<&str> {
    line.trim().strip_prefix("- record: ")
}

/// The alerts of the rules, each with its lines.
fn alerts() -> BTreeMap<String, String> {
    let rules = file("deploy/prometheus/rules.yaml");
    let mut alerts = BTreeMap::new();
    let mut current: Option<String> = None;
    for line in rules.lines() {
        if let Some(name) = line.trim().strip_prefix("- alert: ") {
            assert!(alerts.insert(name.to_owned(), String::new()).is_none(), "{name} is there twice");
            current = Some(name.to_owned());
        } else if line.trim().starts_with("- ") {
            current = None;
        }
        if let Some(name) = &current {
            let lines: &mut String = alerts.get_mut(name).unwrap();
            lines.push_str(line);
            lines.push('\n');
        }
    }
    alerts
}

#[test]
fn every_alert_has_its_paragraph_in_the_runbook_and_every_paragraph_its_alert() {
    let (alerts, runbook) = (alerts(), file("docs/runbook.md"));
    let paragraphs: Vec<_> = runbook.split("\n## ").skip(1).filter(|paragraph| paragraph.starts_with("Nodkey")).collect();
    let titles: BTreeSet<_> = paragraphs.iter().map(|paragraph| paragraph.lines().next().unwrap().to_owned()).collect();
    assert_eq!(titles.len(), paragraphs.len(), "each once");
    assert_eq!(titles, alerts.keys().cloned().collect::<BTreeSet<_>>());
    for paragraph in paragraphs {
        for part in ["**For people:**", "**Look at:**", "**Do:**"] {
            assert!(paragraph.contains(part), "{part} is missing: {paragraph}");
        }
    }
}

#[test]
fn every_alert_says_how_urgent_it_is_and_where_to_read_on_and_is_tested() {
    let tests = file("deploy/prometheus/rules-test.yaml");
    for (name, lines) in alerts() {
        let field =
            |key: &str| lines.lines().find_map(|line| line.trim().strip_prefix(key)).unwrap_or_else(|| panic!("{name}: {key}")).trim();
        assert!(["page", "ticket"].contains(&field("severity:")), "{name}");
        assert_eq!(field("runbook_url:"), format!("docs/runbook.md#{}", name.to_lowercase()), "{name}");
        assert!(field("summary:").len() > 20 && !field("expr:").is_empty() && !field("for:").is_empty(), "{name}");
        assert!(tests.contains(&format!("alertname: {name}\n")), "{name} is not tested");
    }
}

#[test]
fn dashboards_are_of_one_schema_and_ask_the_data_source_that_is_chosen() {
    let dashboards = dashboards();
    assert_eq!(dashboards.len(), 2);
    let mut uids = BTreeSet::new();
    for (name, dashboard) in dashboards {
        assert_eq!(dashboard["schemaVersion"], 39, "{name}");
        assert!(dashboard["id"].is_null(), "{name}: Grafana gives the id");
        assert!(uids.insert(dashboard["uid"].as_str().unwrap().to_owned()), "{name}");
        let variables = dashboard["templating"]["list"].as_array().unwrap();
        let source = variables.iter().find(|variable| variable["type"] == "datasource").unwrap();
        assert_eq!((&source["name"], &source["query"]), (&"datasource".into(), &"prometheus".into()), "{name}");
        let panels = dashboard["panels"].as_array().unwrap();
        let (mut ids, mut places) = (BTreeSet::new(), BTreeSet::new());
        for panel in panels {
            let title = panel["title"].as_str().unwrap();
            assert!(ids.insert(panel["id"].as_u64().unwrap()), "{name}: {title} has the id of another");
            let at = &panel["gridPos"];
            let [x, y, w, h] = ["x", "y", "w", "h"].map(|side| at[side].as_u64().unwrap());
            assert!(w > 0 && x + w <= 24, "{name}: {title} is within the grid");
            for cell in (x..x + w).flat_map(|x| (y..y + h).map(move |y| (x, y))) {
                assert!(places.insert(cell), "{name}: {title} lies on another");
            }
            if panel["type"] == "row" {
                continue;
            }
            assert!(panel["description"].as_str().is_some_and(|text| text.ends_with('.')), "{name}: {title} says what it shows");
            assert!(panel["fieldConfig"]["defaults"]["unit"].is_string(), "{name}: {title} has a unit");
            let targets = panel["targets"].as_array().unwrap();
            assert!(!targets.is_empty(), "{name}: {title}");
            for asked in targets.iter().chain([panel]) {
                assert_eq!(asked["datasource"]["uid"], "${datasource}", "{name}: {title}");
            }
            let letters: BTreeSet<_> = targets.iter().map(|target| target["refId"].as_str().unwrap()).collect();
            assert_eq!(letters.len(), targets.len(), "{name}: {title}");
        }
    }
}
