//! The program that `sdk/spec/runner` speaks to, a JSON object on each line: see "Conformance" in `sdk/spec/README.md`.

#![expect(clippy::unwrap_used, reason = "a program for tests that cannot go on fails")]

mod calls;
mod failure;
mod functions;
mod message;

use std::{collections::HashMap, env, fs, sync::Arc, time::Duration};

use failure::Failure;
use nodkey_server_sdk::{Credential, Endpoints, Error, Kind, Nodkey};
use serde_json::{Value, json};
use tokio::{
    io::{AsyncBufReadExt as _, AsyncWriteExt as _, BufReader, stdin, stdout},
    sync::{mpsc, oneshot},
};

/// The client that the environment describes.
#[expect(clippy::disallowed_methods, reason = "the runner speaks to programs through the environment")]
fn client() -> Result<Nodkey, Failure> {
    let text = |name: &str| env::var(name).unwrap_or_default();
    let url = text("NODKEY_URL");
    if !(url.starts_with("http://") || url.starts_with("https://")) {
        return Err(Failure::Client("INVALID_URL", Kind::Invalid, format!("{url:?} is not an http or https URL")));
    }
    let mut credential = Credential::new(&text("NODKEY_TOKEN"), text("NODKEY_SECRET")).map_err(Failure::credential)?;
    if let Ok(audience) = env::var("NODKEY_AUDIENCE") {
        credential = credential.audience(audience);
    }
    let mut endpoints = Endpoints::single(&url);
    if let Ok(file) = env::var("NODKEY_CA_CERTIFICATE") {
        endpoints = endpoints.trusting(fs::read_to_string(file).unwrap());
    }
    Nodkey::connect(&endpoints, credential).map_err(|error| Failure::Client("INVALID_URL", Kind::Invalid, error.to_string()))
}

async fn answer(client: &Result<Nodkey, Failure>, call: &str, params: &Value) -> Result<Value, Failure> {
    if let Some(found) = functions::run(call, params) {
        return found;
    }
    match client {
        Ok(client) => calls::run(client, call, params).await,
        Err(Failure::Client(reason, kind, message)) => Err(Failure::Client(reason, *kind, message.clone())),
        Err(_) => unreachable!("only the client fails to be made"),
    }
}

/// Fails a wait that lasts longer.
pub async fn within<T>(limit: Duration, wait: impl Future<Output = Result<T, Error>>) -> Result<T, Failure> {
    let late = || Failure::Client("DEADLINE_EXCEEDED", Kind::Unavailable, "the wait lasted longer than its time-out".into());
    Ok(tokio::time::timeout(limit, wait).await.map_err(|_| late())??)
}

#[tokio::main]
async fn main() {
    let client = Arc::new(client());
    let (replies, mut outgoing) = mpsc::channel::<Value>(100);
    let writer = tokio::spawn(async move {
        let mut out = stdout();
        while let Some(reply) = outgoing.recv().await {
            out.write_all(format!("{reply}\n").as_bytes()).await.unwrap();
            out.flush().await.unwrap();
        }
    });
    let mut running: HashMap<u64, oneshot::Sender<()>> = HashMap::new();
    let mut lines = BufReader::new(stdin()).lines();
    while let Some(line) = lines.next_line().await.unwrap() {
        let command: Value = serde_json::from_str(&line).unwrap();
        let id = command["id"].as_u64().unwrap();
        if let Some(other) = command["cancel"].as_u64() {
            // One that has been answered is not running any more.
            let _ = running.remove(&other).map(|cancel| cancel.send(()));
            replies.send(json!({"id": id, "result": {}})).await.unwrap();
            continue;
        }
        let (cancel, canceled) = oneshot::channel();
        running.insert(id, cancel);
        let (client, replies) = (Arc::clone(&client), replies.clone());
        tokio::spawn(async move {
            let answer = tokio::select! {
                answer = answer(&client, command["call"].as_str().unwrap(), &command["params"]) => answer,
                Ok(()) = canceled => Err(Failure::Client("CANCELLED", Kind::Unavailable, "the caller cancelled the call".into())),
            };
            let reply = match answer {
                Ok(result) => json!({"id": id, "result": result}),
                Err(failure) => json!({"id": id, "error": failure.to_value()}),
            };
            // The runner has gone.
            let _ = replies.send(reply).await;
        });
    }
    // What still runs is not answered any more.
    drop(replies);
    writer.abort();
}
