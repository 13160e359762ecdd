//! `nodkey trigger`, as a developer of a handler runs it: what the handler gets, whom it may trust, and how the command ends.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on fails")]

use std::{
    io::{Read as _, Write as _},
    net::TcpListener,
    path::Path,
    process::{Command, Output},
    time::{Duration, SystemTime},
};

use nodkey_client::{InvalidWebhook, JoseError, Jwks, WebhookHeaders, WebhookResult, WebhookTrust, verify_webhook};
use nodkey_kernel::{
    jose::{Algorithm, PrivateKey, PublishedKey},
    random::Random,
    receipt::RECEIPT_TYP,
    time::Clock,
    webhook::SigningKeys,
};
use serde_json::Value;
use tempfile::TempDir;

const PARTY: &str = "0192f1c4-0000-7000-8000-00000000ac3e";

/// A webhook as a handler received it: its head in lower case, and its body.
struct Received {
    head: String,
    body: String,
}

impl Received {
    fn header(&self, name: &str) -> &str {
        let line = self.head.lines().find_map(|line| line.split_once(": ").filter(|(own, _)| own.eq_ignore_ascii_case(name)));
        line.unwrap().1
    }

    fn verify(&self, secret: &str, jwks: &Jwks, relying_party: &str) -> Result<WebhookResult, InvalidWebhook> {
        let [id, timestamp, signature] = ["webhook-id", "webhook-timestamp", "webhook-signature"].map(|name| self.header(name));
        let trust = WebhookTrust { key: secret, jwks, relying_party };
        let now = SystemTime::UNIX_EPOCH + Duration::from_secs(Clock::system().now().as_seconds().unsigned_abs());
        let webhook = verify_webhook(trust, WebhookHeaders { id, timestamp, signature }, self.body.as_bytes(), now)?;
        Ok(webhook.result().unwrap())
    }
}

/// Runs the command against a handler with this answer. Returns what the handler received.
fn trigger(secret: &str, answer: &'static str, arguments: &[&str]) -> (Output, Received) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}/hook", listener.local_addr().unwrap());
    let handler = std::thread::spawn(move || {
        let (mut stream, _) = listener.accept().unwrap();
        let (mut text, mut piece) = (Vec::new(), [0; 4096]);
        loop {
            let read = stream.read(&mut piece).unwrap();
            text.extend_from_slice(&piece[..read]);
            let whole = String::from_utf8_lossy(&text).into_owned();
            let Some((head, body)) = whole.split_once("\r\n\r\n") else { continue };
            let received = Received { head: head.to_owned(), body: body.to_owned() };
            if received.header("content-length").parse::<usize>().unwrap() == body.len() {
                stream.write_all(answer.as_bytes()).unwrap();
                return received;
            }
        }
    });
    let output = command(secret).args(arguments).args(["--to", &url]).output().unwrap();
    assert!(handler.is_finished() || output.status.code() != Some(2), "{}", String::from_utf8_lossy(&output.stderr));
    (output, handler.join().unwrap())
}

fn command(secret: &str) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_nodkey"));
    command.arg("trigger").env("NODKEY_WEBHOOK_SECRET", secret).env("NODKEY_RELYING_PARTY", PARTY);
    command.env("NODKEY_DATA_DIR", "/nowhere").env_remove("NODKEY_CA_CERTIFICATE");
    command
}

fn jwks(path: &Path) -> Jwks {
    serde_json::from_slice(&std::fs::read(path).unwrap()).unwrap()
}

/// The keys of a deployment, which the command knows nothing of.
fn deployment() -> Jwks {
    let key = PrivateKey::generate(Algorithm::EdDsa, &Random::seeded(7)).public();
    Jwks { keys: vec![PublishedKey { kid: key.thumbprint(), key, typs: Some(vec![RECEIPT_TYP.to_owned()]) }] }
}

#[test]
fn who_trusts_a_deployment_refuses_every_end_and_who_trusts_the_written_key_takes_it() {
    let secret = SigningKeys::generate(&Random::seeded(1)).secret();
    let folder = TempDir::new().unwrap();
    let path = folder.path().join("jwks.json");
    for (end, status) in [("accepted", "ACCEPTED"), ("rejected", "REJECTED"), ("expired", "EXPIRED")] {
        let more = ["--user", "eve", "--action", "pay 9 €", "--resource", "Shop", "--jwks-out", path.to_str().unwrap()];
        let (output, received) = trigger(&secret, "HTTP/1.1 204 No Content\r\n\r\n", &[&[end], &more[..]].concat());
        assert_eq!(output.status.code(), Some(0), "{}", String::from_utf8_lossy(&output.stderr));
        let refused = received.verify(&secret, &deployment(), PARTY).unwrap_err();
        assert_eq!(refused, InvalidWebhook::Receipt(JoseError::Key), "{end}");
        let taken = received.verify(&secret, &jwks(&path), PARTY).unwrap();
        assert_eq!((taken.event_type, taken.receipt.status.as_str()), (format!("trusonafication.{end}"), status));
        let data = |name: &str| taken.data[name].as_str();
        let shown = [data("status"), data("user_identifier"), data("action"), data("resource"), data("id")];
        assert_eq!(shown, [Some(status), Some("eve"), Some("pay 9 €"), Some("Shop"), Some(&*taken.receipt.sub)]);
        let is_answered = end != "expired";
        assert_eq!((taken.data["result"].is_object(), taken.receipt.resp.is_some()), (is_answered, is_answered));
        assert_eq!(taken.data["result"]["is_accepted"], if is_answered { Value::from(end == "accepted") } else { Value::Null });
        let body: Value = serde_json::from_str(&received.body).unwrap();
        assert_eq!(body["test"], true);
        // Neither of another relying party, nor signed with another secret.
        let other = "0192f1c4-0000-7000-8000-00000000beef";
        assert_eq!(received.verify(&secret, &jwks(&path), other).unwrap_err(), InvalidWebhook::Mismatch("relying party"));
        let stranger = SigningKeys::generate(&Random::seeded(2)).secret();
        assert!(matches!(received.verify(&stranger, &jwks(&path), PARTY), Err(InvalidWebhook::Signature(_))));
    }
}

#[test]
fn each_call_has_a_key_of_its_own() {
    let secret = SigningKeys::generate(&Random::seeded(1)).secret();
    let folder = TempDir::new().unwrap();
    let keys = ["a", "b"].map(|name| {
        let path = folder.path().join(name);
        trigger(&secret, "HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n", &["accepted", "--jwks-out", path.to_str().unwrap()]);
        jwks(&path)
    });
    assert_ne!(keys[0], keys[1]);
}

#[test]
fn the_answer_of_the_handler_is_shown_and_decides_how_the_command_ends() {
    let secret = SigningKeys::generate(&Random::seeded(1)).secret();
    let answer = "HTTP/1.1 400 Bad Request\r\ncontent-length: 16\r\n\r\nunknown \x1b[31mkey";
    let (output, received) = trigger(&secret, answer, &["accepted"]);
    let printed = String::from_utf8(output.stdout).unwrap();
    assert!(printed.contains("400 Bad Request") && printed.contains("unknown \\u{001B}[31mkey"), "{printed}");
    assert_eq!(output.status.code(), Some(3));
    assert!(String::from_utf8(output.stderr).unwrap().contains("answered 400"));
    let (output, _) = trigger(&secret, answer, &["accepted", "--json"]);
    let printed: Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!((&printed["status"], &printed["type"]), (&Value::from(400), &Value::from("trusonafication.accepted")));
    assert_eq!(output.status.code(), Some(3));
    assert!(!received.head.contains(&secret) && !received.body.contains(&secret));
}

#[test]
fn what_cannot_be_sent_is_said_before_anything_is() {
    let secret = SigningKeys::generate(&Random::seeded(1)).secret();
    let port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    let nobody = format!("http://127.0.0.1:{port}/");
    let run = |secret: &str, arguments: &[&str]| {
        let output = command(secret).args(arguments).output().unwrap();
        (output.status.code(), String::from_utf8(output.stderr).unwrap())
    };
    let (code, said) = run(&secret, &["accepted", "--to", &nobody]);
    assert!(code == Some(1) && said.contains("cannot reach the handler") && said.contains("nobody listens there"), "{said}");
    for (secret, arguments, about) in [
        ("whsec_AAAA", &["accepted", "--to", &nobody][..], "--secret"),
        (&secret, &["accepted", "--to", &nobody, "--relying-party", "acme"], "--relying-party"),
        (&secret, &["canceled", "--to", &nobody], "canceled"),
        (&secret, &["accepted"], "--to"),
    ] {
        let (code, said) = run(secret, arguments);
        assert!(code == Some(2) && said.contains(about), "{code:?} {said}");
    }
    assert_eq!(run(&secret, &["accepted", "--to", "ftp://localhost"]).0, Some(1));
}
