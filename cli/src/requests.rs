//! `nodkey requests tail`: the requests of a backend, live, each with how it was answered.

use std::time::{Duration, SystemTime};

use anyhow::Context as _;
use clap::Subcommand;
use eventsource_stream::Eventsource as _;
use futures_util::StreamExt as _;
use nodkey_kernel::time::Clock;
use nodkey_runtime::token::RELYING_PARTY_HEADER;
use reqwest::{Client, Response, StatusCode, header::ACCEPT, redirect::Policy};
use serde::Deserialize;
use serde_json::{Value, json};

use crate::{
    connection::HttpCaller,
    failure::Refused,
    output::{bold, line, plain},
    reconnect,
    who::Who,
};

/// How long the gateway may take to begin the stream.
const PATIENCE: Duration = Duration::from_secs(20);
/// The longest silence of a stream: the gateway sends a comment every 15 seconds.
const SILENCE: Duration = Duration::from_secs(45);

#[derive(Debug, Subcommand)]
pub enum Verb {
    Tail(Tail),
}

/// Print each request of your backend as it is answered, and why it was refused
///
/// By the server credential of the backend: the requests that name this credential, over HTTP and over gRPC at the public address, also
/// those with a wrong signature (marked: anybody may have sent them). As an operator: those of all credentials of a relying party. Nothing is
/// stored: only what arrives from now on is shown, and neither bodies nor paths with identifiers are. If there are several gateways, each
/// shows its own requests: name each with --http. About every five minutes the stream begins anew, and misses what arrives in that moment.
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:
  nodkey requests tail                                      the backend of `nodkey dev`
  nodkey requests tail --failed                             only what was refused
  NODKEY_SERVER_TOKEN=... NODKEY_SERVER_SECRET=... nodkey requests tail --http https://auth.example.com
  nodkey requests tail --operator --relying-party UUID      every credential of a relying party
  nodkey requests tail --json | jq 'select(.error == \"VALIDATION_FAILED\").field_errors'

An operator signs in first (`nodkey login`); the operator key is taken only where the gateway serves it
(`operator_grpc`). With --json, each request is one line of JSON. Ctrl-C ends it.")]
pub struct Tail {
    /// Only requests that were refused
    #[arg(long)]
    failed: bool,
    /// Print JSON
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    who: Who,
}

/// A request, as the gateway describes it.
#[derive(Debug, Deserialize)]
struct Entry {
    time: String,
    authenticated: bool,
    method: String,
    route: Option<String>,
    status: Option<u16>,
    code: Option<String>,
    error: Option<String>,
    cause: Option<String>,
    description: Option<String>,
    #[serde(default)]
    field_errors: std::collections::BTreeMap<String, Vec<String>>,
    request_id: Option<String>,
    duration_ms: f64,
}

/// Runs a verb.
pub async fn run(verb: Verb) -> anyhow::Result<()> {
    let Verb::Tail(args) = verb;
    tail(&args.who.caller()?, &Shown { failed: args.failed, json: args.json }).await
}

/// What is printed.
struct Shown {
    failed: bool,
    json: bool,
}

/// Prints until Ctrl-C. A stream that ends is opened again; a first one that cannot be opened is an error.
async fn tail(caller: &HttpCaller, shown: &Shown) -> anyhow::Result<()> {
    let client = client(caller)?;
    let (mut failures, mut has_listened) = (0_u32, false);
    loop {
        let lost = match open(&client, caller).await {
            Ok(response) => {
                if !has_listened || failures > 0 {
                    anstream::eprintln!("listening to requests at {}; Ctrl-C ends it", caller.url);
                }
                (failures, has_listened) = (0, true);
                match follow(response, shown).await? {
                    Ended::ByItself => continue,
                    Ended::Lost => "the connection was lost".to_owned(),
                }
            }
            Err(error) if !has_listened || error.is::<Refused>() => return Err(error),
            Err(error) => format!("{error:#}"),
        };
        failures = failures.saturating_add(1);
        anstream::eprintln!("{lost}; trying again. Requests in between are not shown");
        reconnect::pause(failures).await;
    }
}

fn client(caller: &HttpCaller) -> anyhow::Result<Client> {
    let mut client = Client::builder().connect_timeout(PATIENCE).read_timeout(SILENCE).redirect(Policy::none());
    if let Some(pem) = &caller.authority {
        let authority = reqwest::Certificate::from_pem_bundle(pem.as_bytes()).context("the file of the authority is not PEM")?;
        client = client.tls_certs_only(authority);
    }
    Ok(client.build()?)
}

async fn open(client: &Client, caller: &HttpCaller) -> anyhow::Result<Response> {
    let now = Duration::from_secs(Clock::system().now().as_seconds().unsigned_abs());
    let token = caller.credential.bearer_token(SystemTime::UNIX_EPOCH + now);
    let mut request = client.get(format!("{}/api/v2/requests", caller.url)).header(ACCEPT, "text/event-stream").bearer_auth(token);
    if let Some(party) = &caller.relying_party {
        request = request.header(RELYING_PARTY_HEADER, party);
    }
    let response = request.send().await.with_context(|| format!("cannot reach the gateway at {}", caller.url))?;
    let status = response.status();
    if status.is_success() {
        return Ok(response);
    }
    let problem: Value = response.json().await.unwrap_or_default();
    let text = |name: &str| problem[name].as_str().unwrap_or_default();
    let what = format!("{} ({status} {})", plain(text("description")), plain(text("error")));
    // What may pass is tried again.
    if status.is_server_error() || status == StatusCode::TOO_MANY_REQUESTS { Err(anyhow::anyhow!(what)) } else { Err(Refused(what).into()) }
}

/// How a stream ended.
enum Ended {
    /// As streams do after some minutes.
    ByItself,
    /// It broke off.
    Lost,
}

async fn follow(response: Response, shown: &Shown) -> anyhow::Result<Ended> {
    let mut events = response.bytes_stream().eventsource();
    while let Some(event) = events.next().await {
        let Ok(event) = event else { return Ok(Ended::Lost) };
        match event.event.as_str() {
            "request" => print(&event.data, shown)?,
            "lost" => {
                let count = serde_json::from_str::<Value>(&event.data)?["count"].as_u64().unwrap_or_default();
                if shown.json {
                    line(json!({"lost": count}))?;
                }
                anstream::eprintln!("{count} requests are not shown: there were too many at once");
            }
            // Later releases may say more.
            _ => {}
        }
    }
    Ok(Ended::ByItself)
}

fn print(data: &str, shown: &Shown) -> anyhow::Result<()> {
    let entry: Entry = serde_json::from_str(data).context("the gateway's event cannot be understood: is it of a different release?")?;
    if shown.failed && !entry.is_failed() {
        return Ok(());
    }
    if shown.json {
        return line(serde_json::from_str::<Value>(data)?);
    }
    for text in entry.lines() {
        line(text)?;
    }
    Ok(())
}

impl Entry {
    fn is_failed(&self) -> bool {
        self.status.is_some_and(|status| status >= 400) || self.code.as_ref().is_some_and(|code| code != "OK")
    }

    /// One line, and more about what was wrong.
    fn lines(&self) -> Vec<String> {
        let outcome = self.status.map_or_else(|| self.code.clone().unwrap_or_default(), |status| status.to_string());
        let route = self.route.as_deref().unwrap_or("(no such path)");
        let head = format!("{} {} {} {} {:.1} ms", self.time, self.method, route, outcome, self.duration_ms);
        if !self.is_failed() && self.authenticated {
            return vec![plain(&head)];
        }
        let mut lines = vec![bold(&plain(&head))];
        let mut more = |text: String| lines.push(format!("    {}", plain(&text)));
        if !self.authenticated {
            let cause = self.cause.as_deref().unwrap_or("nothing was proven");
            more(format!("not authenticated ({cause}): anybody may have sent it"));
        }
        if let Some(error) = &self.error {
            more(format!("{error}: {}", self.description.as_deref().unwrap_or_default()));
        }
        for (field, faults) in &self.field_errors {
            for fault in faults {
                more(format!("{field}: {fault}"));
            }
        }
        if let Some(id) = &self.request_id {
            more(format!("request {id}"));
        }
        lines
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn lines(entry: &Value) -> Vec<String> {
        let mut whole = json!({
            "time": "2026-11-25T03:04:05.678Z", "credential_id": "c", "authenticated": true, "transport": "http", "method": "POST",
            "route": "/api/v2/trusonafications", "status": 201, "code": null, "error": null, "cause": null, "description": null,
            "field_errors": {}, "request_id": "r", "duration_ms": 12.34,
        });
        for (name, value) in entry.as_object().unwrap() {
            whole[name] = value.clone();
        }
        serde_json::from_value::<Entry>(whole).unwrap().lines()
    }

    #[test]
    fn what_went_well_is_one_line_and_what_was_refused_says_why() {
        assert_eq!(lines(&json!({})), ["2026-11-25T03:04:05.678Z POST /api/v2/trusonafications 201 12.3 ms"]);
        let refused = lines(&json!({
            "status": 422, "error": "VALIDATION_FAILED", "description": "the request is not valid", "field_errors": {"action": ["is required"]},
        }));
        assert!(refused[0].contains(" 422 "));
        assert_eq!(refused[1..], ["    VALIDATION_FAILED: the request is not valid", "    action: is required", "    request r"]);
        let stranger = lines(&json!({
            "authenticated": false, "status": null, "code": "UNAUTHENTICATED", "cause": "wrong_signature", "route": null, "request_id": null,
        }));
        assert!(stranger[0].contains("(no such path) UNAUTHENTICATED"));
        assert_eq!(stranger[1..], ["    not authenticated (wrong_signature): anybody may have sent it"]);
        let steered = lines(&json!({"status": 400, "error": "E", "description": "\u{1b}[2K"}));
        assert_eq!(steered[1], "    E: \\u{001B}[2K");
    }
}
