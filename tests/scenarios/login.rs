//! `nodkey login`: an operator signs in with their phone, the command line then acts in their name, and logging out ends the session.

use std::{
    os::unix::fs::PermissionsExt as _,
    path::{Path, PathBuf},
    process::{Output, Stdio},
};

use nodkey_client::{Endpoints, ServiceName};
use nodkey_mobile_sdk::Decision;
use nodkey_proto::registry::v1::{AuditEntry, ListAuditEntriesRequest, Role, audit_service_client::AuditServiceClient};
use serde_json::{Value, json};
use tempfile::TempDir;
use tokio::{
    io::{AsyncBufReadExt as _, BufReader, Lines},
    process::{Child, ChildStderr, Command},
};

use crate::{
    operators::{enrolled, invite, register, sign_in},
    processes::binaries,
    world::{SoftPhone, World, asked},
};

scenarios!(
    what_the_command_line_does_names_who_signed_in_and_roles_hold,
    a_session_that_was_ended_is_of_no_use_to_whoever_has_the_file,
    what_has_to_be_is_confirmed_on_the_phone_first,
    sessions_are_listed_and_ended_on_the_command_line,
    who_rejects_or_is_no_operator_is_not_signed_in_and_keeps_the_session_before,
);

/// A shell with a folder of its own.
struct Shell {
    folder: TempDir,
    gateway: String,
    authority: Option<PathBuf>,
}

impl Shell {
    fn new(world: &World) -> Self {
        let folder = TempDir::new().unwrap();
        let authority = world.endpoints.ca_certificate.as_ref().map(|pem| {
            let path = folder.path().join("ca.pem");
            std::fs::write(&path, pem).unwrap();
            path
        });
        Self { folder, gateway: world.http.clone(), authority }
    }

    /// The default path of the session.
    fn file(&self) -> PathBuf {
        self.folder.path().join("state/nodkey/session.json")
    }

    fn command(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new(binaries().join("nodkey"));
        command.current_dir(self.folder.path()).env_clear().env("XDG_STATE_HOME", self.folder.path().join("state"));
        command.args(arguments).stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped()).kill_on_drop(true);
        command
    }

    async fn run(&self, arguments: &[&str]) -> Output {
        self.command(arguments).output().await.unwrap()
    }

    /// Runs a command that succeeds, and parses the JSON that it prints.
    async fn json(&self, arguments: &[&str]) -> Value {
        let output = self.run(&[arguments, &["--json"]].concat()).await;
        read(&output)
    }

    /// Starts a command.
    fn begin(&self, arguments: &[&str]) -> Running {
        let mut child = self.command(arguments).spawn().unwrap();
        let said = BufReader::new(child.stderr.take().unwrap()).lines();
        Running { child, said }
    }

    /// Starts signing in, and scans the code that is shown.
    async fn login_scanned(&self, phone: &SoftPhone) -> Running {
        let mut arguments = vec!["login", &self.gateway, "--json"];
        let authority = self.authority.as_ref().map(|path| path.to_str().unwrap().to_owned());
        if let Some(path) = &authority {
            arguments.extend(["--ca-certificate", path]);
        }
        let mut login = self.begin(&arguments);
        let link = login.line("#scan=").await;
        let (_, payload) = link.split_once("#scan=").unwrap();
        let payload = url_decoded(payload);
        let scanned = phone.scan(&payload).await.unwrap();
        phone.pair(&scanned, None).await.unwrap();
        login
    }

    async fn login(&self, phone: &SoftPhone) -> Value {
        let login = self.login_scanned(phone).await;
        phone.respond(&asked(phone).await, Decision::Accept, None).await.unwrap();
        read(&login.output().await)
    }
}

struct Running {
    child: Child,
    said: Lines<BufReader<ChildStderr>>,
}

impl Running {
    /// Waits for the next line on standard error that contains this.
    async fn line(&mut self, part: &str) -> String {
        let mut before = Vec::new();
        while let Some(line) = self.said.next_line().await.unwrap() {
            if line.contains(part) {
                return line;
            }
            before.push(line);
        }
        panic!("it said nothing with {part}: {}", before.join("\n"))
    }

    /// Waits for the end, and returns the output.
    async fn output(mut self) -> Output {
        let mut stderr = String::new();
        while let Some(line) = self.said.next_line().await.unwrap() {
            stderr.push_str(&line);
            stderr.push('\n');
        }
        let output = self.child.wait_with_output().await.unwrap();
        Output { stderr: stderr.into_bytes(), ..output }
    }

    /// Confirms on a phone what the command requests. Returns what the phone showed.
    async fn confirmed_by(mut self, phone: &SoftPhone) -> (String, Output) {
        let line = self.line("Type this number there: ").await;
        let (_, number) = line.rsplit_once(": ").unwrap();
        let pending = asked(phone).await;
        phone.respond(&pending, Decision::Accept, Some(number)).await.unwrap();
        (format!("{}: {}", pending.challenge.action, pending.challenge.resource), self.output().await)
    }
}

/// The gRPC address for operators with a key.
fn grpc(world: &World) -> String {
    let Endpoints { registry, binding, trusonafication, notification, .. } = &world.endpoints;
    format!("registry={registry},binding={binding},trusonafication={trusonafication},notification={notification}")
}

fn url_decoded(text: &str) -> String {
    let parsed = reqwest::Url::parse(&format!("http://x/?{text}")).unwrap();
    parsed.query_pairs().next().unwrap().0.into_owned()
}

fn read(output: &Output) -> Value {
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{said}");
    serde_json::from_slice(&output.stdout).unwrap_or_else(|e| panic!("{e}: {} {said}", String::from_utf8_lossy(&output.stdout)))
}

/// The exit code and the error.
fn refused(output: &Output) -> (i32, String) {
    (output.status.code().unwrap(), String::from_utf8_lossy(&output.stderr).into_owned())
}

fn is_private(path: &Path) -> bool {
    path.metadata().unwrap().permissions().mode() & 0o777 == 0o600
}

async fn audit(world: &World, operator_id: &str) -> Vec<AuditEntry> {
    let mut log = AuditServiceClient::new(world.operator(None).channel(ServiceName::Registry));
    let request = ListAuditEntriesRequest { operator_id: operator_id.to_owned(), ..ListAuditEntriesRequest::default() };
    log.list_audit_entries(request).await.unwrap().into_inner().entries
}

async fn what_the_command_line_does_names_who_signed_in_and_roles_hold(world: &World) {
    let shell = Shell::new(world);
    let (code, said) = refused(&shell.run(&["admin", "relying-parties", "list"]).await);
    assert!(code == 1 && said.contains("nodkey login"), "{said}");
    let (phone, id) = enrolled(world, "Ada Lovelace", Role::Operator).await;
    let signed_in = shell.login(&phone).await;
    assert_eq!((&signed_in["operator_id"], &signed_in["role"]), (&json!(id), &json!("operator")));
    assert!(is_private(&shell.file()));
    let who = shell.json(&["whoami"]).await;
    assert_eq!((&who["name"], &who["gateway"]), (&json!("Ada Lovelace"), &json!(world.http)));
    let made = shell.json(&["admin", "relying-parties", "create", "Shop"]).await;
    // For a relying party, as with the key.
    let party = made["id"].as_str().unwrap();
    shell.json(&["admin", "credentials", "create", "server", "--relying-party", party]).await;
    assert_eq!(shell.json(&["admin", "devices", "list", "--relying-party", party]).await["items"], json!([]));
    let entries = audit(world, &id).await;
    let of = |method: &str| entries.iter().find(|entry| entry.method.ends_with(method)).unwrap_or_else(|| panic!("{method}"));
    for method in ["/CreateRelyingParty", "/CreateCredential"] {
        assert_eq!((of(method).actor.as_str(), of(method).outcome.as_str()), ("Ada Lovelace", "OK"));
    }
    // The role is the operator's own.
    let (code, said) = refused(&shell.run(&["admin", "operators", "invite", "Eve", "--role", "owner"]).await);
    assert!(code == 3 && said.contains("NOT_ALLOWED"), "{said}");
    let (phone, _) = enrolled(world, "Audrey", Role::Auditor).await;
    shell.login(&phone).await;
    let (code, said) = refused(&shell.run(&["admin", "relying-parties", "create", "Mine"]).await);
    assert!(code == 3 && said.contains("NOT_ALLOWED"), "{said}");
    let listed = shell.run(&["admin", "relying-parties", "list"]).await;
    assert!(listed.status.success(), "an auditor reads");
    // The operator key takes precedence where it is given.
    let mut command = shell.command(&["admin", "relying-parties", "create", "Theirs", "--json", "--grpc", &grpc(world)]);
    if let Some(path) = &shell.authority {
        command.arg("--ca-certificate").arg(path);
    }
    read(&command.env("NODKEY_OPERATOR_KEY", world.operator_key()).output().await.unwrap());
}

async fn a_session_that_was_ended_is_of_no_use_to_whoever_has_the_file(world: &World) {
    let shell = Shell::new(world);
    let (phone, _) = enrolled(world, "Ada", Role::Owner).await;
    shell.login(&phone).await;
    let stolen = shell.folder.path().join("stolen.json");
    std::fs::copy(shell.file(), &stolen).unwrap();
    let stolen = stolen.to_str().unwrap();
    assert!(shell.run(&["admin", "relying-parties", "list", "--session", stolen]).await.status.success());
    let out = shell.run(&["logout"]).await;
    assert!(out.status.success() && !shell.file().exists(), "{}", String::from_utf8_lossy(&out.stderr));
    for command in [&["whoami"][..], &["admin", "relying-parties", "list"], &["sessions", "list"]] {
        let (code, said) = refused(&shell.run(&[command, &["--session", stolen]].concat()).await);
        assert!(code == 3 && said.contains("ended") && said.contains("nodkey login"), "{command:?}: {said}");
    }
    // Logging out twice does no harm, and nobody is signed in.
    assert!(shell.run(&["logout"]).await.status.success());
    assert!(shell.run(&["logout", "--session", stolen]).await.status.success());
    let (code, said) = refused(&shell.run(&["whoami"]).await);
    assert!(code == 3 && said.contains("nobody is signed in"), "{said}");
}

async fn what_has_to_be_is_confirmed_on_the_phone_first(world: &World) {
    let shell = Shell::new(world);
    let (phone, id) = enrolled(world, "Ada", Role::Owner).await;
    shell.login(&phone).await;
    let invited = shell.begin(&["admin", "operators", "invite", "Eve", "--role", "owner", "--json"]).confirmed_by(&phone).await;
    assert_eq!((invited.0.as_str(), &read(&invited.1)["name"]), ("invite an owner: Eve", &json!("Eve")));
    // Streams, too.
    let tenant = world.tenant().await;
    let file = shell.folder.path().join("users.csv");
    std::fs::write(&file, "user_identifier,trusona_id\nada,123456789\nbob,987654321\n").unwrap();
    let arguments = ["admin", "import", file.to_str().unwrap(), "--relying-party", &tenant.id, "--json"];
    let (shown, imported) = shell.begin(&arguments).confirmed_by(&phone).await;
    assert!(shown.starts_with("import users, file ") && shown.ends_with(": Acme"), "{shown}");
    assert_eq!(read(&imported)["changed"], json!(2));
    assert!(audit(world, &id).await.iter().any(|entry| entry.method.ends_with("/ImportUsers") && entry.outcome == "OK"));
    // What the phone rejects is not done.
    let mut begun = shell.begin(&["admin", "relying-parties", "disable", "--yes", &tenant.id]);
    begun.line("Type this number").await;
    phone.respond(&asked(&phone).await, Decision::Reject, None).await.unwrap();
    let (code, said) = refused(&begun.output().await);
    assert!(code == 3 && said.contains("you rejected it on your phone"), "{said}");
    assert_eq!(shell.json(&["admin", "relying-parties", "show", &tenant.id]).await["disabled"], json!(false));
}

async fn sessions_are_listed_and_ended_on_the_command_line(world: &World) {
    let shell = Shell::new(world);
    let (phone, _) = enrolled(world, "Ada", Role::Auditor).await;
    let mut browser = sign_in(world, &phone).await;
    shell.login(&phone).await;
    let listed = shell.json(&["sessions", "list"]).await;
    let sessions = listed["items"].as_array().unwrap();
    let this = sessions.iter().find(|session| session["this_one"] == json!(true)).unwrap();
    assert!(sessions.len() == 2 && this["client"].as_str().unwrap().starts_with("nodkey/"), "{listed}");
    let session = browser.session();
    let (id, _) = session.split_once('.').unwrap();
    assert_eq!(shell.json(&["sessions", "end", id]).await["ended"], json!(true));
    assert_eq!(browser.get("/console/api/session").await.body["operator"], Value::Null);
    assert_eq!(shell.json(&["sessions", "list"]).await["items"].as_array().unwrap().len(), 1);
    // Signing in again ends the previous session.
    shell.login(&phone).await;
    let listed = shell.json(&["sessions", "list"]).await;
    assert!(listed["items"].as_array().unwrap().iter().all(|session| session["id"] != this["id"]), "{listed}");
}

async fn who_rejects_or_is_no_operator_is_not_signed_in_and_keeps_the_session_before(world: &World) {
    let shell = Shell::new(world);
    let (phone, _) = enrolled(world, "Ada", Role::Operator).await;
    shell.login(&phone).await;
    let login = shell.login_scanned(&phone).await;
    phone.respond(&asked(&phone).await, Decision::Reject, None).await.unwrap();
    let (code, said) = refused(&login.output().await);
    assert!(code == 3 && said.contains("the phone rejected the sign-in"), "{said}");
    assert_eq!(shell.json(&["whoami"]).await["name"], json!("Ada"));
    let invitation = invite(world, "Eve", Role::Owner).await;
    let (nobodys, _) = register(world, &invitation.link).await;
    let (code, said) = refused(&shell.login_scanned(&nobodys).await.output().await);
    assert!(code == 3 && said.contains("does not belong to an operator"), "{said}");
}
