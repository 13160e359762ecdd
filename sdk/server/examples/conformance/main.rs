//! The program that `sdk/spec/runner` speaks to, a JSON object on each line: see "Conformance" in `sdk/spec/README.md`.

#![expect(clippy::unwrap_used, reason = "a program for tests that cannot go on fails")]

mod calls;
mod failure;
mod functions;
mod given;
mod shown;

use std::{collections::HashMap, sync::Arc};

use failure::Failure;
use nodkey_server_sdk::{Error, Nodkey};
use serde_json::{Value, json};
use tokio::{
    io::{AsyncBufReadExt as _, AsyncWriteExt as _, BufReader, stdin, stdout},
    sync::{mpsc, oneshot},
};

async fn answer(client: &Result<Nodkey, Error>, call: &str, params: &Value) -> Result<Value, Failure> {
    if let Some(found) = functions::run(call, params) {
        return found;
    }
    calls::run(client.as_ref().map_err(Clone::clone)?, call, params).await
}

#[tokio::main]
async fn main() {
    let client = Arc::new(Nodkey::from_env());
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
                Ok(()) = canceled => Err(Failure::Program("CANCELLED", "the caller cancelled the call".into())),
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
