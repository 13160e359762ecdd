//! The README, as somebody follows it who has just started `nodkey dev`: each block in a terminal of its own, in a fresh folder.

use std::{
    os::unix::fs::symlink,
    process::{Command, Output},
};

use tempfile::TempDir;

use crate::processes::{Running, binaries};

const README: &str = include_str!("../README.md");
/// The example that has the README's Rust.
const EXAMPLE: &str = include_str!("../sdk/server/examples/login.rs");
/// Where a deployment is that nobody configured.
const USUAL: &str = "127.0.0.1:7070";

/// The fenced blocks, in order: language and text.
fn blocks() -> Vec<(&'static str, &'static str)> {
    README.split("```").skip(1).step_by(2).filter_map(|block| block.split_once('\n')).collect()
}

/// The commands of the blocks in which all of these occur; exactly one has to be there.
fn block(part: &str) -> &'static str {
    let found: Vec<_> = blocks().into_iter().filter(|(language, text)| ["sh", "bash"].contains(language) && text.contains(part)).collect();
    assert_eq!(found.len(), 1, "{part}: {found:?}");
    found[0].1
}

/// A checkout with a build in it, in which `nodkey dev` runs.
struct Checkout {
    folder: TempDir,
    address: String,
    _dev: Running,
}

impl Checkout {
    fn new() -> Self {
        let folder = TempDir::new().unwrap();
        std::fs::create_dir(folder.path().join("target")).unwrap();
        symlink(binaries(), folder.path().join("target/debug")).unwrap();
        let mut dev = Command::new(binaries().join("nodkey"));
        dev.args(["dev", "--http", "127.0.0.1:0", "--grpc", "127.0.0.1:0"]).current_dir(&folder);
        let dev = Running::start(&mut dev, "ready");
        let described: serde_json::Value = serde_json::from_slice(&std::fs::read(folder.path().join(".nodkey/dev.json")).unwrap()).unwrap();
        let address = described["http"].as_str().unwrap().strip_prefix("http://").unwrap().to_owned();
        Self { folder, address, _dev: dev }
    }

    /// A command of the user's, who has an empty home and whose PATH knows nothing of the checkout.
    fn command(&self, program: &str) -> Command {
        let mut command = Command::new(program);
        command.current_dir(&self.folder).env("XDG_STATE_HOME", self.folder.path().join("home"));
        command
    }

    /// A new terminal, in which this is typed.
    fn terminal(&self, script: &str) -> Output {
        self.command("bash").args(["-euo", "pipefail", "-c", &script.replace(USUAL, &self.address)]).output().unwrap()
    }

    /// What is printed where this is typed, which works.
    fn prints(&self, script: &str) -> String {
        let output = self.terminal(script);
        let (printed, failed) = (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
        assert!(output.status.success(), "{script}\n{printed}\n{failed}");
        printed.into_owned()
    }
}

/// What the Rust SDK takes from the environment, as the README says where it is.
const ENVIRONMENT: &str = "export NODKEY_URL=$(jq -r .http .nodkey/dev.json) NODKEY_TOKEN=$(jq -r .server.token .nodkey/dev.json)
    export NODKEY_SECRET=$(jq -r .server.secret .nodkey/dev.json) PATH=$PWD/target/debug:$PATH";

#[test]
fn every_block_of_the_readme_works_in_a_terminal_of_its_own_from_the_first_phone_to_the_proof() {
    let checkout = Checkout::new();
    // Nobody is at this terminal to press a key.
    let phone = block("nodkey phone enrol");
    assert_eq!(phone.matches("\nnodkey phone wait ").count(), 1, "the phone waits");
    let phone = phone.replace("\nnodkey phone wait ", "\nexec nodkey phone wait --decide accept 2>&1 ");
    let _phone = Running::start(checkout.command("bash").args(["-euo", "pipefail", "-c", &phone]), "waiting as");
    let written: Vec<_> = std::fs::read_dir(checkout.folder.path()).unwrap().map(|entry| entry.unwrap().file_name()).collect();
    assert_eq!(written.len(), 3, "nothing but .nodkey, target and the home: {written:?}");
    assert!(!checkout.folder.path().join(".nodkey/phone.json").exists(), "the phone's keys are among the user's files");

    let proof = checkout.prints(&[block("curl -sS --fail-with-body"), block("nodkey verify")].concat());
    assert!(proof.contains("\"status\": \"ACCEPTED\"") && proof.contains("verified"), "{proof}");
    let by_command_line = checkout.prints(block("trusonafications create"));
    assert!(by_command_line.contains("accepted"), "{by_command_line}");
    let rust = checkout.prints(&format!("{ENVIRONMENT}\ntarget/debug/examples/login ada"));
    assert_eq!(rust, "look at your phone\nsigned in: ada at level 2\n");
    let demo = checkout.prints("target/debug/nodkey demo");
    assert!(demo.contains("the evidence verifies offline"), "{demo}");
}

#[test]
fn every_command_of_the_readme_is_run_by_a_test_but_for_those_that_build() {
    let shell = blocks().into_iter().filter(|(language, _)| ["sh", "bash"].contains(language)).map(|(_, text)| text);
    let others: Vec<_> = shell.filter(|text| !text.contains("nodkey") || text.starts_with("make ")).collect();
    assert!(others.len() == 1 && others[0].lines().all(|line| line.starts_with("make ")), "{others:?}");
}

#[test]
fn the_rust_of_the_readme_is_that_of_an_example() {
    let rust = blocks().into_iter().find(|(language, _)| *language == "rust").unwrap().1;
    let lines = |text: &str| text.lines().map(str::trim).filter(|line| !line.is_empty()).map(ToOwned::to_owned).collect::<Vec<_>>();
    let example = lines(EXAMPLE);
    for line in lines(rust) {
        assert!(example.contains(&line), "{line}");
    }
}

#[test]
fn the_example_of_a_phone_answers_the_example_of_a_backend() {
    let checkout = Checkout::new();
    let script = "
        exec 3< <(target/debug/examples/phone)
        read -r device <&3
        target/debug/examples/login ada $device
        cat <&3";
    assert_eq!(checkout.prints(&format!("{ENVIRONMENT}{script}")), "look at your phone\nsigned in: ada at level 2\nlog in at Acme Bank\n");
}
