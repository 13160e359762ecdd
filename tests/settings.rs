//! The tables of docs/operations/settings.md, against what the binaries say of themselves.

use std::{collections::BTreeSet, process::Command};

use crate::processes::binaries;

const DOCUMENT: &str = include_str!("../docs/operations/settings.md");
const SERVICES: [&str; 5] = ["registry", "binding", "trusonafication", "notification", "gateway"];

/// The settings of a service, by the variables that its usage lists.
fn of(service: &str) -> BTreeSet<String> {
    let output = Command::new(binaries().join(format!("nodkey-{service}"))).arg("--help").output().unwrap();
    let usage = String::from_utf8(output.stdout).unwrap();
    let variables = usage.lines().filter_map(|line| line.trim().split(' ').next()?.strip_prefix("NODKEY_"));
    variables.filter(|name| name.contains("__")).map(|name| name.to_lowercase().replace("__", ".")).collect()
}

/// The rows of the table that follows this text, by cell.
fn table(before: &str) -> Vec<Vec<&'static str>> {
    let (_, rows) = DOCUMENT.split_once(before).unwrap();
    let rows = rows.trim_start().lines().skip(2).take_while(|line| line.starts_with('|'));
    rows.map(|row| row.split('|').skip(1).map(str::trim).collect()).collect()
}

/// The settings that a cell names; `.key` after `server.tls.certificate` is `server.tls.key`.
fn names(cell: &str) -> Vec<String> {
    let mut all: Vec<String> = Vec::new();
    for name in cell.split('`').skip(1).step_by(2) {
        let before = all.last().and_then(|last| last.rsplit_once('.')).map_or("", |(section, _)| section);
        all.push(if name.starts_with('.') { format!("{before}{name}") } else { name.to_owned() });
    }
    all
}

#[test]
fn every_setting_of_every_service_is_in_the_document_and_no_other() {
    let shared: BTreeSet<_> = table("are the same list.\n").iter().flat_map(|row| names(row[0])).collect();
    let own = table("Each service has its own settings under `service.*`:\n");
    let mut known = BTreeSet::new();
    for service in SERVICES {
        let is_of = |row: &&Vec<&str>| row[0] == service || (row[0] == "all but the gateway" && service != "gateway");
        let own: BTreeSet<_> = own.iter().filter(is_of).flat_map(|row| names(row[1])).map(|name| format!("service.{name}")).collect();
        let settings = of(service);
        let in_service: BTreeSet<_> = settings.iter().filter(|name| name.starts_with("service.")).cloned().collect();
        assert_eq!(own, in_service, "{service}");
        known.extend(settings.into_iter().filter(|name| !name.starts_with("service.")));
    }
    assert_eq!(shared, known);
}

#[test]
fn one_process_has_the_settings_of_the_five_but_for_those_that_the_document_leaves_out() {
    let mut command = Command::new(binaries().join("nodkey"));
    let output = command.args(["serve", "--print-config"]).output().unwrap();
    let shown = String::from_utf8(output.stdout).unwrap();
    let shown: BTreeSet<_> = shown.lines().map(|line| line.trim_start_matches("# ").split(' ').next().unwrap().to_owned()).collect();
    let left_out = |name: &String| ["db.", "bus.", "peers."].iter().any(|section| name.starts_with(section));
    let mut expected = BTreeSet::from(["operators.listen".to_owned()]);
    for service in SERVICES {
        let settings = of(service).into_iter().filter(|name| !left_out(name));
        expected.extend(settings.map(|name| match name.strip_prefix("service.") {
            Some(own) => format!("service.{service}.{own}"),
            None => name,
        }));
    }
    assert_eq!(shown, expected);
}

#[test]
fn what_is_out_of_range_is_refused_by_the_check_of_the_settings_already_with_the_name_it_was_set_by() {
    let check = |service: &str, name: &str, value: &str| {
        let mut command = Command::new(binaries().join(format!("nodkey-{service}")));
        for (name, _) in std::env::vars_os().filter(|(name, _)| name.to_string_lossy().starts_with("NODKEY_")) {
            command.env_remove(name);
        }
        let internal = "NODKEY_DEPLOYMENT__INTERNAL_KEY";
        command.arg("check-config").env("NODKEY_DEPLOYMENT__PUBLIC_URL", "https://id.example.com").env(internal, "k".repeat(32));
        if service != "gateway" {
            command.env("NODKEY_DEPLOYMENT__MASTER_KEY", "7".repeat(64)).env("NODKEY_DB__URL", "sqlite:nowhere.db");
        }
        let output = command.env(name, value).output().unwrap();
        (output.status.success(), String::from_utf8_lossy(&[output.stdout, output.stderr].concat()).into_owned())
    };
    for (service, setting, good, bad) in [
        ("gateway", "look_seconds", "60", "61"),
        ("notification", "retention_days", "4", "3"),
        ("registry", "session_hours", "168", "169"),
        ("trusonafication", "trucode_seconds", "55", "56"),
    ] {
        let variable = format!("NODKEY_SERVICE__{}", setting.to_uppercase());
        let (is_valid, said) = check(service, &variable, good);
        assert!(is_valid && said.contains("the settings are valid"), "{service}: {said}");
        let (is_valid, said) = check(service, &variable, bad);
        assert!(!is_valid && said.contains(&format!("service.{setting} must be")), "{service}: {said}");
    }
}

/// Settings that are named as secrets are, and are none: what is public, and where something is.
const PUBLIC: [&str; 4] = ["deployment.service_keys", "deployment.operator_public_keys", "server.tls.key", "service.push.google_token_url"];

#[test]
fn whatever_is_named_as_a_secret_is_shown_by_no_process() {
    let mut looked_at = 0;
    for service in SERVICES {
        let is_named = |name: &&String| ["key", "secret", "password", "token"].iter().any(|word| name.contains(word));
        for name in of(service).iter().filter(is_named).filter(|name| !PUBLIC.contains(&name.as_str())) {
            let variable = format!("NODKEY_{}", name.replace('.', "__").to_uppercase());
            let mut command = Command::new(binaries().join(format!("nodkey-{service}")));
            let output = command.arg("print-config").env(&variable, "not-to-be-shown").output().unwrap();
            let shown = String::from_utf8(output.stdout).unwrap();
            if !shown.contains(&format!("{name} is secret")) {
                // A number of days, say, takes no such text and does not show it either.
                assert!(shown.contains(&format!("{variable} must be a whole number")), "{service} {name}: {shown}");
            }
            assert!(!shown.contains("not-to-be-shown"), "{service} {name}: {shown}");
            looked_at += 1;
        }
    }
    assert!(looked_at > 20, "{looked_at}");
}

#[test]
fn whoever_has_read_enough_of_the_help_sees_no_failure() {
    for service in SERVICES {
        let mut command = Command::new(binaries().join(format!("nodkey-{service}")));
        let (reader, writer) = std::io::pipe().unwrap();
        drop(reader);
        let output = command.arg("--help").stdout(writer).output().unwrap();
        assert!(output.status.success(), "{service}: {}", String::from_utf8_lossy(&output.stderr));
    }
}
