//! `nodkey serve`: one process in production, from the first start to the first login.

use std::{
    io::{BufRead as _, BufReader, Read as _},
    net::TcpListener,
    os::unix::fs::PermissionsExt as _,
    process::{Child, Command, Output, Stdio},
};

use serde_json::Value;
use tempfile::TempDir;

use crate::{
    collector::{Collector, attribute},
    processes::binaries,
};

/// Runs `nodkey serve` at ports of its own, with its log.
struct Serve {
    folder: TempDir,
    child: Child,
    log: BufReader<std::process::ChildStderr>,
    http: String,
    operators: String,
}

impl Serve {
    fn start(folder: TempDir) -> Self {
        Self::start_with(folder, &[])
    }

    fn start_with(folder: TempDir, settings: &[(&str, &str)]) -> Self {
        // Phones are told the port, so it is known before: taken from the operating system, and given back.
        let port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
        let http = format!("http://127.0.0.1:{port}");
        let mut command = serve(&folder);
        command.envs(settings.iter().copied());
        command.env("NODKEY_DEPLOYMENT__PUBLIC_URL", &http).env("NODKEY_SERVER__LISTEN", format!("127.0.0.1:{port}"));
        let mut child = command.env("NODKEY_OPERATORS__LISTEN", "127.0.0.1:0").stderr(Stdio::piped()).spawn().unwrap();
        let mut log = BufReader::new(child.stderr.take().unwrap());
        let operators = loop {
            let mut line = String::new();
            assert!(log.read_line(&mut line).unwrap() > 0, "it ended before it listened");
            assert!(!line.contains("/console/invitation"), "the log has no invitation: {line}");
            let entry: Value = serde_json::from_str(&line).unwrap();
            if entry["message"] == "listening" {
                break format!("http://{}", entry["operators"].as_str().unwrap());
            }
        };
        Self { folder, child, log, http, operators }
    }

    /// Stops it as systemd does; everything that it logged after it listened.
    fn stop(mut self) -> (TempDir, String) {
        Command::new("kill").arg(self.child.id().to_string()).status().unwrap();
        let mut rest = String::new();
        self.log.read_to_string(&mut rest).unwrap();
        assert!(self.child.wait().unwrap().success(), "{rest}");
        (self.folder, rest)
    }

    fn nodkey(&self, arguments: &[&str], variables: &[(&str, &str)]) -> Value {
        let keys: Value = serde_json::from_slice(&std::fs::read(self.folder.path().join("keys.json")).unwrap()).unwrap();
        let mut command = nodkey();
        command.args(arguments).arg("--json").env("NODKEY_OPERATOR_KEY", keys["operator_key"].as_str().unwrap());
        let output =
            command.env("NODKEY_GRPC", &self.operators).envs(variables.iter().copied()).current_dir(&self.folder).output().unwrap();
        assert!(output.status.success(), "{arguments:?}: {}", String::from_utf8_lossy(&output.stderr));
        serde_json::from_slice(&output.stdout).unwrap()
    }
}

/// The command without what this test was given: settings of other processes are refused.
fn nodkey() -> Command {
    let mut command = Command::new(binaries().join("nodkey"));
    for (name, _) in std::env::vars_os().filter(|(name, _)| name.to_string_lossy().starts_with("NODKEY_")) {
        command.env_remove(name);
    }
    command
}

fn serve(folder: &TempDir) -> Command {
    let mut command = nodkey();
    command.args(["serve", "--data-dir"]).arg(folder.path()).current_dir(folder);
    command
}

fn said(output: &Output) -> String {
    String::from_utf8_lossy(&[output.stdout.clone(), output.stderr.clone()].concat()).into_owned()
}

#[test]
fn one_process_serves_in_production_from_the_first_start_to_a_login_and_again_after_a_restart() {
    let running = Serve::start(TempDir::new().unwrap());
    // What the first owner needs is in a file of the owner's alone, and nobody has a credential who did not get one.
    let invitation = running.folder.path().join("first-owner.url");
    let link = std::fs::read_to_string(&invitation).unwrap();
    assert!(link.starts_with(&running.http), "{link}");
    assert_eq!(std::fs::metadata(&invitation).unwrap().permissions().mode() & 0o777, 0o600);
    assert!(!running.folder.path().join("dev.json").exists());
    let parties = running.nodkey(&["admin", "relying-parties", "list"], &[]);
    assert_eq!(parties["items"].as_array().unwrap().len(), 0, "{parties}");

    let party = running.nodkey(&["admin", "relying-parties", "create", "Shop"], &[])["id"].as_str().unwrap().to_owned();
    let credential = |kind: &str| running.nodkey(&["admin", "credentials", "create", kind, "--relying-party", &party], &[]);
    let (server, mobile) = (credential("server"), credential("mobile"));
    let text = |value: &Value, name: &str| value[name].as_str().unwrap().to_owned();
    let variables = [
        ("NODKEY_SERVER_TOKEN", text(&server, "token")),
        ("NODKEY_SERVER_SECRET", text(&server, "secret")),
        ("NODKEY_MOBILE_TOKEN", text(&mobile, "token")),
        ("NODKEY_MOBILE_SECRET", text(&mobile, "secret")),
        ("NODKEY_GRPC", running.http.clone()),
    ];
    let variables: Vec<_> = variables.iter().map(|(name, value)| (*name, value.as_str())).collect();
    let times = running.nodkey(&["demo", "--rounds", "1", "--http", &running.http], &variables);
    assert_eq!(times["rounds"], 1);

    let (folder, _) = running.stop();
    let again = Serve::start(folder);
    let parties = again.nodkey(&["admin", "relying-parties", "list"], &[]);
    assert_eq!(parties["items"][0]["name"], "Shop");
    again.stop();
}

#[test]
fn settings_are_checked_and_shown_without_secrets_and_without_a_start() {
    let folder = TempDir::new().unwrap();
    let file = folder.path().join("nodkey.toml");
    let text = "[deployment]\npublic_url = \"https://id.example.com\"\n[service.gateway]\naddress_header = \"x-forwarded-for\"\n";
    std::fs::write(&file, text).unwrap();
    let run = |arguments: &[&str], variables: &[(&str, &str)]| {
        let mut command = serve(&folder);
        command.arg("--config").arg(&file).args(arguments).envs(variables.iter().copied()).output().unwrap()
    };
    let valid = run(&["--check-config"], &[]);
    assert!(valid.status.success() && said(&valid).contains("valid"), "{}", said(&valid));
    let secret = "7".repeat(64);
    let shown = run(&["--print-config"], &[("NODKEY_DEPLOYMENT__MASTER_KEY", &secret), ("NODKEY_SERVICE__REGISTRY__SESSION_HOURS", "8")]);
    let shown = said(&shown);
    assert!(shown.contains("service.gateway.address_header = \"x-forwarded-for\"") && shown.contains("service.registry.session_hours = 8"));
    assert!(!shown.contains(&secret) && shown.contains("deployment.master_key is secret"), "{shown}");
    for (variable, value, complaint) in [
        ("NODKEY_DEPLOYMENT__PUBLIC_ULR", "https://a", "did you mean NODKEY_DEPLOYMENT__PUBLIC_URL?"),
        ("NODKEY_DEPLOYMENT__MASTER_KEY", "short", "64 hex digits"),
        ("NODKEY_DEPLOYMENT__SERVICE_KEY", "x", "remove"),
        ("NODKEY_DEPLOYMENT__OPERATOR_KEY", &"k".repeat(32), "set deployment.operator_public_keys"),
        ("NODKEY_DB__URL", "postgres://db", "NODKEY_DB__URL is not a setting"),
        ("NODKEY_SERVICE__GATEWAY__LOOK_SECONDS", "61", "service.gateway.look_seconds must be 1 to 60"),
        ("NODKEY_SERVICE__REGISTRY__SIGNING_ALGORITHM", "RS256", "service.registry.signing_algorithm must be EdDSA or ES256"),
    ] {
        let refused = run(&["--check-config"], &[(variable, value)]);
        assert!(!refused.status.success() && said(&refused).contains(complaint), "{variable}: {}", said(&refused));
    }
    let mut nothing = serve(&folder);
    let nothing = nothing.output().unwrap();
    assert!(!nothing.status.success() && said(&nothing).contains("set NODKEY_DEPLOYMENT__PUBLIC_URL"), "{}", said(&nothing));
    let made: Vec<_> = std::fs::read_dir(folder.path()).unwrap().map(|entry| entry.unwrap().file_name()).collect();
    assert_eq!(made, ["nodkey.toml"], "nothing was made");
}

#[test]
fn one_process_serves_on_until_it_is_drained_or_told_again() {
    let served = Serve::start_with(tempfile::tempdir().unwrap(), &[("NODKEY_SERVER__DRAIN_SECONDS", "600")]);
    let status = |path: &str| {
        let url = format!("{}{path}", served.http);
        let output =
            Command::new("curl").args(["--silent", "--output", "/dev/null", "--write-out", "%{http_code}", &url]).output().unwrap();
        String::from_utf8(output.stdout).unwrap()
    };
    assert_eq!(status("/readyz"), "200");
    Command::new("kill").arg(served.child.id().to_string()).status().unwrap();
    while status("/readyz") != "503" {}
    assert_eq!(status("/livez"), "200");
    served.stop();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn one_process_exports_its_traces_the_last_ones_when_it_stops() {
    let collector = Collector::start().await;
    let [(endpoint, url), ..] = collector.environment();
    let settings = [(endpoint, url.as_str()), ("OTEL_BSP_SCHEDULE_DELAY", "600000"), ("OTEL_SERVICE_NAME", "id")];
    let served = Serve::start_with(TempDir::new().unwrap(), &settings);
    served.nodkey(&["admin", "relying-parties", "create", "Shop"], &[]);
    served.stop();
    let create = "nodkey.registry.v1.RelyingPartyService/CreateRelyingParty";
    let traces = collector.traces().into_iter().map(|id| collector.trace(&id));
    let created = traces.into_iter().find(|spans| spans.iter().any(|(_, span)| span.name == create)).expect("its trace");
    assert!(created.iter().all(|(process, _)| process == "id"));
    let statement = created.iter().find(|(_, span)| attribute(span, "db.query.text").starts_with("INSERT INTO relying_party "));
    assert_eq!(attribute(&statement.unwrap().1, "db.system.name"), "sqlite");
}
