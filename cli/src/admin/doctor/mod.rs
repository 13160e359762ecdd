//! `nodkey admin doctor`: what is wrong with a deployment, or will be soon, and what to do about it.

mod certificate;
mod checks;
mod databases;
mod metrics;

use std::{collections::BTreeSet, path::PathBuf, time::Duration};

use anstyle::{AnsiColor, Style};
use anyhow::Context as _;
use nodkey_client::{Error, Kind, ServiceName};
use nodkey_kernel::time::Clock;
use nodkey_proto::{
    registry::v1::{ListSigningKeysRequest, signing_key_service_client::SigningKeyServiceClient},
    status::v1::{
        CountSealedRequest, GetStatusRequest, ProcessStatus, status_service_client::StatusServiceClient,
        vault_service_client::VaultServiceClient,
    },
};
use serde::Serialize;
use serde_json::{Value, json};
use tonic::Request;

use super::{Admin, answer, request};
use crate::{
    connection::{DataDir, Grpc},
    output::{document, line, plain},
};

/// The services with a database, and their names.
const SERVICES: [(ServiceName, &str); 4] = [
    (ServiceName::Registry, "registry"),
    (ServiceName::Binding, "binding"),
    (ServiceName::Trusonafication, "trusonafication"),
    (ServiceName::Notification, "notification"),
];
/// Deadline for reading every sealed value.
const SCAN: Duration = Duration::from_mins(10);
/// Deadline of a request to the gateway.
const PATIENCE: Duration = Duration::from_secs(5);

/// Check a deployment: what is wrong, or will be soon, and what to do
///
/// Versions, schemas, keys, clocks, reachability, events that wait, certificates, values and rows that cannot be read. Of several replicas
/// behind one address, one responds. Exit code 0: nothing failed; 1: a check failed; 2: wrong usage.
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:
  nodkey admin doctor
  nodkey admin doctor --http https://id.example.com --json
  nodkey admin doctor --databases databases.env       # also asks the databases themselves: a service need not run")]
pub struct Args {
    /// The gateway's public URL, to check it too
    #[arg(long, env = "NODKEY_HTTP", value_name = "URL")]
    http: Option<String>,
    /// File with the URLs of the PostgreSQL databases, as for `nodkey admin backup`, to ask them directly
    #[arg(long, value_name = "FILE")]
    databases: Option<PathBuf>,
}

/// How a check ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum State {
    Ok,
    Warn,
    Fail,
}

/// A check of something. Its kind and its subject are part of the interface.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Check {
    #[serde(rename = "check")]
    pub kind: &'static str,
    /// A service, or the gateway.
    pub subject: String,
    pub state: State,
    /// What was found.
    pub what: String,
    /// What to do about it.
    #[serde(rename = "do", skip_serializing_if = "Option::is_none")]
    pub todo: Option<&'static str>,
}

impl Check {
    pub fn ok(kind: &'static str, subject: &str, what: impl Into<String>) -> Self {
        Self { kind, subject: subject.to_owned(), state: State::Ok, what: what.into(), todo: None }
    }

    pub fn warn(kind: &'static str, subject: &str, what: impl Into<String>, todo: &'static str) -> Self {
        Self { state: State::Warn, todo: Some(todo), ..Self::ok(kind, subject, what) }
    }

    pub fn fail(kind: &'static str, subject: &str, what: impl Into<String>, todo: &'static str) -> Self {
        Self { state: State::Fail, todo: Some(todo), ..Self::ok(kind, subject, what) }
    }
}

/// Runs the command.
pub async fn run(admin: &Admin, data_dir: &DataDir, grpc: &Grpc, args: Args) -> anyhow::Result<()> {
    let mut found = of_services(admin).await;
    let mut urls = grpc.urls()?;
    if let Some(http) = &args.http {
        found.push(of_gateway(http, data_dir).await?);
        urls.insert(http.clone(), "gateway");
    }
    for (url, subject) in urls {
        found.extend(certificate::check(subject, &url, Clock::system().now()).await);
    }
    if let Some(file) = &args.databases {
        found.extend(databases::checks(file, &Clock::system()).await?);
    }
    report(admin.json, &found)
}

/// What the services say of themselves.
async fn of_services(admin: &Admin) -> Vec<Check> {
    let (mut found, mut seen, mut versions) = (Vec::new(), BTreeSet::new(), BTreeSet::new());
    for (service, name) in SERVICES {
        let before = Clock::system().now();
        let asked = answer(StatusServiceClient::new(admin.channel(service)).get_status(request(GetStatusRequest {}))).await;
        let status = match asked {
            Ok(status) => status,
            Err(e) => {
                found.push(unreachable(name, &e));
                continue;
            }
        };
        found.push(Check::ok("reachability", name, format!("process {}, version {}", status.id, status.version)));
        versions.insert(status.version.clone());
        // One process may run all services.
        if !seen.insert(status.id.clone()) {
            continue;
        }
        let between = (before, Clock::system().now());
        let subject = if status.services.len() > 1 { "this process" } else { name };
        found.extend(checks::of_process(subject, &status, between));
        found.extend(sealed(admin, service, subject, &status).await);
    }
    found.push(checks::versions(&versions));
    if !seen.is_empty() {
        found.extend(signing_keys(admin).await);
    }
    found
}

fn unreachable(name: &str, error: &Error) -> Check {
    let todo = match (error.kind, error.reason.as_str()) {
        (Kind::Unauthenticated, _) => {
            "Is this the deployment's operator key? Do the clocks agree? A service refuses calls when they differ by more than 5 seconds."
        }
        (Kind::Forbidden, _) | (_, "UNIMPLEMENTED") => "Name the services with --grpc, not the gateway; auditors may ask, viewers may not.",
        _ => "Start the service, or look at its log; check the address in --grpc, and the network.",
    };
    Check::fail("reachability", name, plain(&error.to_string()), todo)
}

/// Whether the values at rest open. Reads each of them.
async fn sealed(admin: &Admin, service: ServiceName, subject: &str, status: &ProcessStatus) -> Vec<Check> {
    let mut request = Request::new(CountSealedRequest {});
    request.set_timeout(SCAN);
    let counted = answer(VaultServiceClient::new(admin.channel(service)).count_sealed(request)).await;
    match counted {
        Ok(counted) => checks::of_sealed(subject, &counted),
        Err(e) if status.problems.is_empty() => {
            vec![Check::fail(
                "keys",
                subject,
                format!("sealed values cannot be read: {}", plain(&e.to_string())),
                "Look at the service's log.",
            )]
        }
        // Why is said already.
        Err(_) => Vec::new(),
    }
}

async fn signing_keys(admin: &Admin) -> Option<Check> {
    let mut client = SigningKeyServiceClient::new(admin.channel(ServiceName::Registry));
    let listed = client.list_signing_keys(request(ListSigningKeysRequest { page_size: 100, ..Default::default() }));
    // If the registry does not respond, that is said already.
    Some(checks::of_signing_keys(&answer(listed).await.ok()?.signing_keys))
}

/// Whether the gateway serves.
async fn of_gateway(http: &str, data_dir: &DataDir) -> anyhow::Result<Check> {
    let mut client = reqwest::Client::builder().timeout(PATIENCE);
    if let Some(pem) = data_dir.authority(None)? {
        let authority = reqwest::Certificate::from_pem_bundle(pem.as_bytes()).context("the file of --ca-certificate is not PEM")?;
        client = authority.into_iter().fold(client, reqwest::ClientBuilder::add_root_certificate);
    }
    let answered = client.build()?.get(format!("{}/readyz", http.trim_end_matches('/'))).send().await;
    let answered = match answered {
        Err(e) => {
            let what = plain(&nodkey_kernel::cause::of_connection(&e));
            return Ok(Check::fail("reachability", "gateway", what, "Start the gateway, or look at the proxy in front of it."));
        }
        Ok(answered) => answered,
    };
    let status = answered.status();
    let body: Value = answered.json().await.unwrap_or_default();
    Ok(if status.is_success() {
        Check::ok("reachability", "gateway", "ready")
    } else {
        let problems: Vec<_> = body["problems"].as_array().into_iter().flatten().filter_map(Value::as_str).collect();
        // A proxy in front of it answers otherwise.
        let what = if problems.is_empty() { format!("it returned {status}") } else { plain(&problems.join("; ")) };
        Check::fail("readiness", "gateway", what, "Look at the gateway's log, or at the proxy in front of it.")
    })
}

fn report(json: bool, found: &[Check]) -> anyhow::Result<()> {
    let worst = found.iter().map(|check| check.state).max().unwrap_or(State::Ok);
    if json {
        document(&json!({"state": worst, "checks": found}))?;
    } else {
        for check in found {
            let (word, color) = match check.state {
                State::Ok => ("ok", AnsiColor::Green),
                State::Warn => ("warn", AnsiColor::Yellow),
                State::Fail => ("fail", AnsiColor::Red),
            };
            let style = Style::new().fg_color(Some(color.into()));
            line(format_args!("{style}{word:4}{style:#}  {:12}  {}: {}", check.kind, check.subject, check.what))?;
            check.todo.iter().try_for_each(|todo| line(format_args!("      {todo}")))?;
        }
    }
    let failed = found.iter().filter(|check| check.state == State::Fail).count();
    anyhow::ensure!(failed == 0, "{failed} of {} checks failed", found.len());
    Ok(())
}
