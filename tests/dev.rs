//! `nodkey dev`, as somebody starts it.

use std::process::{Command, Stdio};

use serde_json::Value;
use tempfile::TempDir;

use crate::processes::{Running, binaries};

fn dev(folder: &TempDir, arguments: &[&str]) -> Command {
    let mut command = Command::new(binaries().join("nodkey"));
    command.arg("dev").args(arguments).args(["--grpc", "127.0.0.1:0"]).current_dir(folder);
    command
}

#[test]
fn a_local_network_is_shown_a_code_and_served_over_tls_at_one_address() {
    let folder = TempDir::new().unwrap();
    // This machine has all of 127.0.0.0/8: another one than the usual address.
    let _dev = Running::start(&mut dev(&folder, &["--lan", "--http", "127.0.0.2:0"]), "▀");
    let described: Value = serde_json::from_slice(&std::fs::read(folder.path().join(".nodkey/dev.json")).unwrap()).unwrap();
    let http = described["http"].as_str().unwrap();
    assert!(http.starts_with("https://127.0.0.2:"), "{http}");
    let curl = ["-sS", "--fail", "--cacert", ".nodkey/tls/ca.pem", &format!("{http}/demo")];
    let page = Command::new("curl").args(curl).current_dir(&folder).output().unwrap();
    assert!(page.status.success(), "{}", String::from_utf8_lossy(&page.stderr));
    let demo = Command::new(binaries().join("nodkey")).args(["demo", "--rounds", "1"]).current_dir(&folder).output().unwrap();
    assert!(demo.status.success(), "{}", String::from_utf8_lossy(&demo.stderr));
}

#[test]
fn every_address_without_a_url_for_phones_is_refused_with_what_to_do_and_nothing_is_made() {
    let folder = TempDir::new().unwrap();
    let output = dev(&folder, &["--http", "0.0.0.0:0"]).stdout(Stdio::null()).output().unwrap();
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(!output.status.success() && said.contains("--lan") && said.contains("--public-url"), "{said}");
    assert!(!folder.path().join(".nodkey").exists());
}
