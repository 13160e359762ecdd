//! `nodkey verify`, as scripts call it: what it prints and how it ends.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on fails")]

use std::{
    io::{Read as _, Write as _},
    net::TcpListener,
    path::{Path, PathBuf},
    process::{Command, Output},
};

use serde_json::Value;
use tempfile::TempDir;

const TESTS: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../tests");

fn read(path: impl AsRef<Path>) -> Value {
    serde_json::from_slice(&std::fs::read(Path::new(TESTS).join(path)).unwrap()).unwrap()
}

/// A folder with the files of one call.
struct Files(TempDir);

impl Files {
    fn new() -> Self {
        Self(TempDir::new().unwrap())
    }

    fn write(&self, name: &str, value: &Value) -> PathBuf {
        let path = self.0.path().join(name);
        std::fs::write(&path, value.to_string()).unwrap();
        path
    }
}

fn verify(evidence: &Path, arguments: &[&str]) -> Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_nodkey"));
    command.arg("verify").args(arguments).arg(evidence).env_remove("NODKEY_CA_CERTIFICATE").output().unwrap()
}

fn code(output: &Output) -> i32 {
    output.status.code().unwrap()
}

fn printed(output: &Output) -> String {
    String::from_utf8(output.stdout.clone()).unwrap()
}

fn case(name: &str) -> (Files, PathBuf, PathBuf) {
    let vectors = read("vectors/evidence-v1.json");
    let case = vectors["cases"].as_array().unwrap().iter().find(|case| case["name"] == name).unwrap();
    let files = Files::new();
    let evidence = files.write("evidence.json", &case["evidence"]);
    let jwks = files.write("jwks.json", &vectors["jwks"]["now"]);
    (files, evidence, jwks)
}

/// The flags for what a case of the vectors expects; `None` when no flags say that.
fn flags(expected: &Value) -> Option<Vec<String>> {
    let mut flags = Vec::new();
    for (name, value) in expected.as_object().unwrap() {
        match (name.as_str(), value) {
            // Accepts alone are a success here, and the vectors have a time of their own.
            ("outcome" | "max_age", _) => return None,
            ("allow_uncertified", _) => flags.push("--allow-uncertified".to_owned()),
            (name, Value::String(text)) => flags.extend([format!("--{name}"), text.clone()]),
            (name, other) => flags.extend([format!("--{name}"), other.to_string()]),
        }
    }
    Some(flags)
}

#[test]
fn each_vector_ends_with_the_exit_code_of_its_verdict() {
    let vectors = read("vectors/evidence-v1.json");
    let files = Files::new();
    let mut seen = 0;
    for case in vectors["cases"].as_array().unwrap() {
        let Some(flags) = flags(&case["expected"]) else { continue };
        let evidence = files.write("evidence.json", &case["evidence"]);
        let jwks = files.write("jwks.json", &vectors["jwks"][case["jwks"].as_str().unwrap()]);
        let mut arguments = vec!["--json", "--jwks", jwks.to_str().unwrap()];
        arguments.extend(flags.iter().map(String::as_str));
        let output = verify(&evidence, &arguments);
        let expected = match case["verdict"].as_str().unwrap() {
            "verified" => 0,
            "unexpected" => 4,
            "not_proven" => 5,
            "not_genuine" => 6,
            other => panic!("{other}"),
        };
        assert_eq!(code(&output), expected, "{}: {}", case["name"], String::from_utf8_lossy(&output.stderr));
        let found: Value = serde_json::from_str(&printed(&output)).unwrap();
        for member in ["verdict", "reason", "differs", "fault", "certification"] {
            assert_eq!(found[member], case[member], "{}: {member}", case["name"]);
        }
        assert_eq!(found["receipt"].is_object(), case["certification"].is_object(), "{}", case["name"]);
        assert_eq!(found["challenge"].is_object(), expected != 6, "{}", case["name"]);
        seen += 1;
    }
    assert!(seen > 60, "{seen} vectors");
}

#[test]
fn everything_that_was_signed_is_shown() {
    let (_files, evidence, jwks) = case("accepted with a document");
    let output = verify(&evidence, &["--jwks", jwks.to_str().unwrap(), "--level", "3"]);
    assert_eq!(code(&output), 0);
    let shown = printed(&output);
    assert!(shown.starts_with("verified: an accept, as expected\n"), "{shown}");
    let evidence = read_claims(&evidence);
    // Numbers, hashes and what only the protocol needs are shown as words, or stand for what is shown.
    for (part, left_out) in [
        ("receipt", &["iss", "sub", "rp", "at", "level", "key", "chal", "resp"][..]),
        ("challenge", &["iat", "exp", "rp", "prompt", "presence", "document", "nonce"]),
        ("response", &["aud", "chal", "iat", "jti"]),
    ] {
        for (name, value) in evidence[part].as_object().unwrap() {
            let text = value.as_str().map_or_else(|| value.to_string(), ToOwned::to_owned);
            assert!(left_out.contains(&name.as_str()) || shown.contains(&text), "{part}.{name} in {shown}");
        }
    }
    for part in [
        "3, the phone, the person's presence",
        "biometric key",
        "Acme (",
        "2026-09-21T14:13:30.000Z",
        "prompt, presence, document",
        "statement 1",
    ] {
        assert!(shown.contains(part), "{part} in {shown}");
    }
}

fn read_claims(evidence: &Path) -> Value {
    let evidence: Value = serde_json::from_slice(&std::fs::read(evidence).unwrap()).unwrap();
    let claims = |part: &str| {
        let payload = evidence[part].as_str().unwrap().split('.').nth(1).unwrap();
        serde_json::from_slice::<Value>(&nodkey_kernel::jose::b64u_decode(payload).unwrap()).unwrap()
    };
    serde_json::json!({"receipt": claims("receipt"), "challenge": claims("challenge"), "response": claims("response")})
}

#[test]
fn a_rejection_is_no_success_and_says_so() {
    let (_files, evidence, jwks) = case("rejected");
    let output = verify(&evidence, &["--jwks", jwks.to_str().unwrap()]);
    assert_eq!(code(&output), 4);
    let shown = printed(&output);
    assert!(shown.contains("NOT what was expected: decision differs") && shown.contains("REJECTED") && shown.contains("not_me"), "{shown}");
}

#[test]
fn a_key_that_the_device_does_not_certify_proves_nothing_unless_it_is_allowed() {
    let (_files, evidence, jwks) = case("accepted by a key that the device did not state");
    let jwks = jwks.to_str().unwrap();
    let output = verify(&evidence, &["--jwks", jwks]);
    assert_eq!(code(&output), 5);
    let shown = printed(&output);
    assert!(shown.starts_with("NOT PROVEN: the device does not certify the key that answered\n"), "{shown}");
    assert!(shown.contains("ACCEPTED") && shown.contains("only the deployment"), "{shown}");
    assert_eq!(code(&verify(&evidence, &["--jwks", jwks, "--allow-uncertified"])), 0);
    assert_eq!(code(&verify(&evidence, &["--jwks", jwks, "--allow-uncertified", "--user", "alice"])), 4);
}

#[test]
fn an_accept_that_is_too_old_is_not_what_was_expected() {
    let (_files, evidence, jwks) = case("accepted");
    let jwks = jwks.to_str().unwrap();
    let output = verify(&evidence, &["--json", "--jwks", jwks, "--max-age", "1s"]);
    let found: Value = serde_json::from_str(&printed(&output)).unwrap();
    assert_eq!((code(&output), &found["differs"]), (4, &serde_json::json!(["age"])));
    assert_eq!(code(&verify(&evidence, &["--jwks", jwks, "--max-age", "36500d"])), 0);
    assert_eq!(code(&verify(&evidence, &["--jwks", jwks, "--max-age", "soon"])), 2);
}

#[test]
fn the_keys_of_the_evidence_itself_prove_nothing() {
    let vectors = read("vectors/evidence-v1.json");
    let (files, evidence, _) = case("accepted");
    let mut whole: Value = serde_json::from_slice(&std::fs::read(evidence).unwrap()).unwrap();
    whole["jwks"] = vectors["jwks"]["now"].clone();
    let output = verify(&files.write("whole.json", &whole), &["--trust-embedded-jwks"]);
    assert_eq!(code(&output), 5);
    assert!(printed(&output).starts_with("NOT PROVEN: the keys are from the evidence itself\n"));
    whole["receipt"] = "a.b.c".into();
    assert_eq!(code(&verify(&files.write("broken.json", &whole), &["--trust-embedded-jwks"])), 6);
    // Nor is there a default: without keys of one's own it is wrong usage.
    assert_eq!(code(&verify(&files.write("whole.json", &whole), &[])), 2);
}

#[test]
fn evidence_of_an_earlier_release_is_not_proven() {
    let installation = Path::new(TESTS).join("installation");
    let index = read("installation/evidence/index.json");
    for entry in index["evidence"].as_array().unwrap() {
        let evidence = installation.join("evidence").join(entry["file"].as_str().unwrap());
        let jwks = installation.join("jwks").join(entry["jwks"][0].as_str().unwrap());
        let output = verify(&evidence, &["--json", "--jwks", jwks.to_str().unwrap()]);
        let found: Value = serde_json::from_str(&printed(&output)).unwrap();
        let verdict = (code(&output), found["verdict"].as_str(), found["reason"].as_str());
        assert_eq!(verdict, (5, Some("not_proven"), Some("no_receipt")), "{}", entry["file"]);
        assert_eq!(found["response"], entry["verified"]["response"]);
    }
}

#[test]
fn keys_are_fetched_from_an_address() {
    let (_files, evidence, jwks) = case("accepted");
    let answer = std::fs::read_to_string(jwks).unwrap();
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}/jwks", listener.local_addr().unwrap());
    let server = std::thread::spawn(move || {
        for (status, body) in [("200 OK", answer.as_str()), ("404 Not Found", "{}"), ("200 OK", "no JWKS")] {
            let (mut client, _) = listener.accept().unwrap();
            assert!(client.read(&mut [0; 4096]).unwrap() > 0);
            let head = format!("HTTP/1.1 {status}\r\ncontent-length: {}\r\nconnection: close\r\n\r\n", body.len());
            client.write_all([head.as_bytes(), body.as_bytes()].concat().as_slice()).unwrap();
        }
    });
    for expected in [0, 1, 1] {
        assert_eq!(code(&verify(&evidence, &["--jwks", &url])), expected);
    }
    server.join().unwrap();
    let refused = verify(&evidence, &["--jwks", "http://auth.example/jwks"]);
    assert_eq!(code(&refused), 1);
    assert!(String::from_utf8_lossy(&refused.stderr).contains("use https, or a trusted copy"));
}

#[test]
fn what_cannot_be_read_is_a_failure() {
    let (files, evidence, jwks) = case("accepted");
    let jwks = jwks.to_str().unwrap();
    assert_eq!(code(&verify(Path::new("/nowhere"), &["--jwks", jwks])), 1);
    assert_eq!(code(&verify(&evidence, &["--jwks", "/nowhere"])), 1);
    assert_eq!(code(&verify(&files.write("empty.json", &serde_json::json!({})), &["--jwks", jwks])), 1);
    assert_eq!(code(&verify(&evidence, &["--jwks", jwks, "--level", "4"])), 2);
}
