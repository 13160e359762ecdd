//! The keys of a deployment: created, checked and rotated by `nodkey keys`, and used by the five processes.

use std::{os::unix::fs::PermissionsExt as _, path::Path};

use nodkey_mobile_sdk::Decision;
use nodkey_proto::registry::v1::{ListRelyingPartiesRequest, relying_party_service_client::RelyingPartyServiceClient};
use serde_json::{Value, json};
use tempfile::TempDir;

use crate::{
    keys::{Keys, nodkey_keys},
    processes::{Plan, SERVICES, Topology},
    world::{SoftPhone, Tenant, World, asked},
    writes::log_in,
};

/// A folder of keys, and the output of checking it.
struct Folder(TempDir);

impl Folder {
    fn made() -> Self {
        let dir = tempfile::tempdir().unwrap();
        let made = nodkey_keys(&["init", dir.path().join("keys").to_str().unwrap()]);
        assert!(made.status.success(), "{}", String::from_utf8_lossy(&made.stderr));
        Self(dir)
    }

    fn path(&self, file: &str) -> std::path::PathBuf {
        self.0.path().join("keys").join(file)
    }

    fn check(&self) -> (i32, Vec<(String, String)>) {
        let checked = nodkey_keys(&["check", "--json", self.path("").to_str().unwrap()]);
        let found: Value =
            serde_json::from_slice(&checked.stdout).unwrap_or_else(|_| panic!("{}", String::from_utf8_lossy(&checked.stderr)));
        let text = |problem: &Value, member: &str| problem[member].as_str().unwrap().to_owned();
        let problems = found["problems"].as_array().unwrap().iter().map(|it| (text(it, "file"), text(it, "kind"))).collect();
        (checked.status.code().unwrap(), problems)
    }
}

fn mode(path: &Path) -> u32 {
    std::fs::metadata(path).unwrap().permissions().mode() & 0o777
}

#[test]
fn each_service_is_given_what_it_needs_and_nothing_else_and_no_other_may_read_it() {
    let folder = Folder::made();
    assert_eq!(mode(&folder.path("")), 0o700);
    for entry in std::fs::read_dir(folder.path("")).unwrap() {
        assert_eq!(mode(&entry.unwrap().path()), 0o600);
    }
    let keys = Keys::of(&folder.path(""));
    let secrets = |service: &str| keys.settings(service).into_values().filter(|value| !value.starts_with('{')).collect::<Vec<_>>();
    let names = |service: &str| keys.settings(service).into_keys().map(|name| name.replace("NODKEY_", "")).collect::<Vec<_>>();
    assert_eq!(
        names("gateway"),
        ["BUS__PASSWORD", "BUS__USER", "DEPLOYMENT__SERVICE_KEY", "DEPLOYMENT__SERVICE_KEYS", "SERVICE__COOKIE_KEY"]
    );
    for service in &SERVICES[..4] {
        let needed = ["MASTER_KEY", "OPERATOR_PUBLIC_KEYS", "SERVICE_KEY", "SERVICE_KEYS"].map(|name| format!("DEPLOYMENT__{name}"));
        let bus = ["BUS__PASSWORD", "BUS__USER"].map(ToOwned::to_owned);
        assert_eq!(names(service), [&bus[..], &needed].concat(), "{service}");
        assert!(!secrets(service).iter().any(|secret| secrets("gateway").contains(secret)), "{service}");
    }
    assert_eq!(names("operator"), ["OPERATOR_KEY"]);
    assert_eq!(folder.check(), (0, vec![]));
}

#[test]
fn keys_are_never_overwritten_and_never_shown() {
    let folder = Folder::made();
    let before = std::fs::read(folder.path("keys.json")).unwrap();
    let again = nodkey_keys(&["init", folder.path("").to_str().unwrap()]);
    assert_eq!(again.status.code(), Some(1));
    assert!(String::from_utf8_lossy(&again.stderr).contains("rotate"));
    assert_eq!(std::fs::read(folder.path("keys.json")).unwrap(), before);
    let keys = Keys::of(&folder.path(""));
    for arguments in [&["check"][..], &["check", "--json"], &["write"], &["write", "--json"]] {
        let shown = nodkey_keys(&[arguments, &[folder.path("").to_str().unwrap()]].concat()).stdout;
        let shown = String::from_utf8_lossy(&shown);
        let secrets = SERVICES.iter().flat_map(|service| keys.settings(service));
        for (name, secret) in secrets.filter(|(name, value)| !name.ends_with("__USER") && !value.starts_with('{')) {
            assert!(!shown.contains(&secret), "{arguments:?}: {name}");
        }
    }
}

#[test]
fn what_is_missing_misplaced_or_readable_is_told_and_written_anew() {
    let folder = Folder::made();
    let master = Keys::of(&folder.path("")).settings("registry")["NODKEY_DEPLOYMENT__MASTER_KEY"].clone();
    let gateway = folder.path("gateway.env");
    let text = std::fs::read_to_string(&gateway).unwrap() + "NODKEY_DEPLOYMENT__MASTER_KEY=" + &master + "\n";
    std::fs::write(&gateway, text).unwrap();
    std::fs::remove_file(folder.path("binding.env")).unwrap();
    std::fs::set_permissions(folder.path("operator.env"), std::fs::Permissions::from_mode(0o644)).unwrap();
    let (code, mut problems) = folder.check();
    problems.sort();
    let expected = [("binding.env", "missing"), ("gateway.env", "misplaced"), ("operator.env", "readable")];
    assert_eq!((code, problems), (3, expected.map(|(file, kind)| (file.to_owned(), kind.to_owned())).to_vec()));
    assert!(nodkey_keys(&["write", folder.path("").to_str().unwrap()]).status.success());
    assert_eq!(folder.check(), (0, vec![]));
}

#[test]
fn an_old_key_is_told() {
    let folder = Folder::made();
    let mut keys: Value = serde_json::from_slice(&std::fs::read(folder.path("keys.json")).unwrap()).unwrap();
    keys["cookie"][0]["made_at"] = json!("2020-01-01T00:00:00Z");
    std::fs::write(folder.path("keys.json"), keys.to_string()).unwrap();
    assert_eq!(folder.check(), (3, vec![("keys.json".to_owned(), "old".to_owned())]));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_process_that_is_given_what_it_must_not_have_does_not_start() {
    let topology = Plan::new().run().await;
    let master = ("NODKEY_DEPLOYMENT__MASTER_KEY", "07".repeat(32));
    let foreign = ("NODKEY_DEPLOYMENT__SERVICE_KEY", topology.plan.keys.settings("registry")["NODKEY_DEPLOYMENT__SERVICE_KEY"].clone());
    for ((name, value), told) in [(master, "must not have deployment.master_key"), (foreign, "belongs to none of the keys of gateway")] {
        let ended = topology.service("gateway").try_with(name, &value);
        assert!(ended.contains(told), "{ended}");
        assert!(!ended.contains(&value));
    }
    let symmetric = ("NODKEY_DEPLOYMENT__OPERATOR_KEY", "07".repeat(32));
    let private = ("NODKEY_DEPLOYMENT__OPERATOR_PUBLIC_KEYS", topology.plan.keys.operator());
    for ((name, value), told) in [(symmetric, "must not have deployment.operator_key"), (private, "the private operator key")] {
        let ended = topology.service("notification").try_with(name, &value);
        assert!(ended.contains(told), "{ended}");
        assert!(!ended.contains(&value));
    }
}

/// A folder as `nodkey keys init` made it when the operator key was symmetric.
fn with_a_symmetric_operator_key() -> Keys {
    let keys = Keys::made();
    let path = keys.folder().join("keys.json");
    let mut all: Value = serde_json::from_slice(&std::fs::read(&path).unwrap()).unwrap();
    all["operator"][0]["key"] = json!("07".repeat(32));
    std::fs::write(&path, all.to_string()).unwrap();
    assert!(nodkey_keys(&["write", keys.folder().to_str().unwrap()]).status.success());
    keys
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_symmetric_operator_key_gives_way_to_a_pair_and_nothing_is_refused_meanwhile() {
    let plan = Plan { keys: with_a_symmetric_operator_key(), ..Plan::replicated() };
    let topology = plan.run().await;
    let keys = topology.plan.keys.clone();
    let checked = nodkey_keys(&["check", keys.folder().to_str().unwrap()]);
    assert!(String::from_utf8_lossy(&checked.stdout).contains("the operator key is symmetric"), "{checked:?}");
    let before = keys.operator();
    let given = |service: &str| {
        let gone = ["OPERATOR_KEY", "PREVIOUS_OPERATOR_KEY"].map(|name| (format!("NODKEY_DEPLOYMENT__{name}"), None));
        let settings = keys.settings(service).into_iter().map(|(name, value)| (name, Some(value)));
        gone.into_iter().chain(settings).collect()
    };
    // First the successor is accepted. Then it signs, which needs no restart. Then its predecessor is no longer accepted.
    for who in [&SERVICES[..4], &[], &SERVICES[..4]] {
        keys.rotate("operator");
        let operator = World::at(topology.world.http.clone(), topology.world.endpoints.clone(), keys.operator());
        restart(&topology, who, given, async || drop(operator.tenant().await)).await;
        operator.tenant().await;
    }
    assert_ne!(keys.operator(), before);
    let before = World::at(topology.world.http.clone(), topology.world.endpoints.clone(), before).operator(None);
    let mut parties = RelyingPartyServiceClient::new(before.channel(nodkey_client::ServiceName::Registry));
    let refused = parties.list_relying_parties(ListRelyingPartiesRequest::default()).await.unwrap_err();
    assert_eq!(refused.code(), tonic::Code::Unauthenticated);
    assert_eq!(nodkey_keys(&["check", keys.folder().to_str().unwrap()]).status.code(), Some(0));
}

#[test]
fn keys_of_a_deployment_of_before_are_kept_and_a_pair_follows_its_operator_key() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("keys");
    let before = "operator key of before, 32 characters";
    let made = nodkey_keys(&["init", path.to_str().unwrap(), "--operator-key", before]);
    assert!(made.status.success(), "{}", String::from_utf8_lossy(&made.stderr));
    let keys = Keys::of(&path);
    for service in &SERVICES[..4] {
        let settings = keys.settings(service);
        assert_eq!(settings["NODKEY_DEPLOYMENT__PREVIOUS_OPERATOR_KEY"], before);
        assert!(settings["NODKEY_DEPLOYMENT__OPERATOR_PUBLIC_KEYS"].contains("Ed25519"));
        assert!(!settings.contains_key("NODKEY_DEPLOYMENT__OPERATOR_KEY"));
    }
    assert!(keys.operator().starts_with("nodkey_operator_"));
}

/// Logs in once through every process.
async fn log_in_once(tenant: &Tenant, phone: &SoftPhone) {
    let created = tenant.backend.create_trusonafication(log_in("ada")).await.unwrap().trusonafication;
    let pending = asked(phone).await;
    assert_eq!(pending.id, created.id);
    phone.respond(&pending, Decision::Accept, None).await.unwrap();
}

/// Changes the settings of services, one process after the other, and logs in after each.
async fn restart(topology: &Topology, services: &[&str], settings: impl Fn(&str) -> Vec<(String, Option<String>)>, login: impl AsyncFn()) {
    for name in services {
        let service = topology.service(name);
        service.change(settings(name));
        for replica in 0..2 {
            service.stop(replica);
            service.start(replica);
            service.readiness(200).await;
            login().await;
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_key_gives_way_to_its_successor_and_nothing_is_refused_meanwhile() {
    let topology = Plan::replicated().run().await;
    let tenant = topology.world.tenant().await;
    let phone = tenant.active("ada").await;
    let keys = topology.plan.keys.clone();
    let first = keys.of_services()[0].kid().to_owned();
    let given = |service: &str| keys.settings(service).into_iter().map(|(name, value)| (name, Some(value))).collect();
    for who in [&SERVICES[..], &["gateway"], &SERVICES] {
        keys.rotate("gateway");
        restart(&topology, who, given, async || log_in_once(&tenant, &phone).await).await;
    }
    assert_ne!(keys.of_services()[0].kid(), first);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_deployment_of_before_gets_service_keys_and_nothing_is_refused_meanwhile() {
    let before = ["MASTER_KEY", "OPERATOR_KEY"].map(|name| (format!("NODKEY_DEPLOYMENT__{name}"), "07".repeat(32)));
    let internal = ("NODKEY_DEPLOYMENT__INTERNAL_KEY".to_owned(), "internal key of before, 32 characters".to_owned());
    let plan = before.into_iter().chain([internal]).fold(Plan::replicated(), |plan, (name, value)| plan.set(name, value));
    let topology = plan.run().await;
    let tenant = topology.world.tenant().await;
    let phone = tenant.active("ada").await;
    let keys = topology.plan.keys.clone();
    let only = |service: &str, wanted: &[&str]| -> Vec<(String, Option<String>)> {
        let given = keys.settings(service).into_iter().filter(|(name, _)| wanted.iter().any(|wanted| name.ends_with(wanted)));
        given.map(|(name, value)| (name, Some(value))).collect()
    };
    // First all accept the new keys, then sign with them, then accept nothing else.
    let taken = |service: &str| only(service, &["SERVICE_KEYS"]);
    let signed = |service: &str| only(service, &["SERVICE_KEY", "COOKIE_KEY"]);
    let gone = |service: &str| {
        let needless: &[&str] = if service == "gateway" { &["INTERNAL_KEY", "MASTER_KEY", "OPERATOR_KEY"] } else { &["INTERNAL_KEY"] };
        needless.iter().map(|name| (format!("NODKEY_DEPLOYMENT__{name}"), None)).collect()
    };
    restart(&topology, &SERVICES, taken, async || log_in_once(&tenant, &phone).await).await;
    restart(&topology, &SERVICES, signed, async || log_in_once(&tenant, &phone).await).await;
    restart(&topology, &SERVICES, gone, async || log_in_once(&tenant, &phone).await).await;
}
