//! Runs the commands of the README, as somebody would who has just started `nodkey dev`.

use std::process::{Command, Output};

use tempfile::TempDir;

use crate::processes::{Running, binaries};

const README: &str = include_str!("../README.md");
/// The default address of a deployment.
const USUAL: &str = "127.0.0.1:7070";

/// The commands of a section, from its fenced shell blocks.
fn commands(section: &str) -> String {
    let section = README.split("\n## ").find(|text| text.starts_with(section)).unwrap();
    let blocks = section.split("```").skip(1).step_by(2);
    blocks.filter_map(|block| block.strip_prefix("sh\n").or_else(|| block.strip_prefix("bash\n"))).collect()
}

/// Runs in a folder of its own, with `nodkey dev` running in it.
fn run(dir: &TempDir, script: &str) -> Output {
    let script = format!("PATH={}:$PATH\n{script}", binaries().display());
    Command::new("bash").args(["-euo", "pipefail", "-c", &script]).current_dir(dir).output().unwrap()
}

#[test]
fn what_the_readme_tells_to_type_works_from_the_first_phone_to_the_proof() {
    let dir = TempDir::new().unwrap();
    let mut dev = Command::new(binaries().join("nodkey"));
    dev.args(["dev", "--http", "127.0.0.1:0", "--grpc", "127.0.0.1:0"]).current_dir(&dir);
    let _running = Running::start(&mut dev, "ready");
    let described: serde_json::Value = serde_json::from_slice(&std::fs::read(dir.path().join(".nodkey/dev.json")).unwrap()).unwrap();
    let address = described["http"].as_str().unwrap().strip_prefix("http://").unwrap();
    let script = commands("A first login from your own code");
    // Nobody presses keys at this terminal, and the test's folder does not contain the binaries.
    let waits = script.matches("\nnodkey phone wait ").count();
    let script = script
        .replace("\nnodkey phone wait ", "\nnodkey phone wait --decide accept >phone.log & trap 'kill $!' EXIT\n: ")
        .replace("export PATH=$PWD/target/debug:$PATH", "")
        .replace(USUAL, address);
    assert_eq!(waits, 1, "the phone is there");
    let output = run(&dir, &script);
    let (said, failed) = (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    assert!(output.status.success(), "{said}\n{failed}");
    for told in ["accepted", "\"status\": \"ACCEPTED\"", "verified"] {
        assert!(said.contains(told), "{told}: {said}");
    }
    let demo = run(&dir, "nodkey demo");
    assert!(demo.status.success(), "{}", String::from_utf8_lossy(&demo.stderr));
}
