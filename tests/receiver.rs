//! A backend that is called back.

use std::net::SocketAddr;

use axum::{
    Router,
    body::Bytes,
    extract::State,
    http::{HeaderMap, StatusCode},
    routing::post,
};
use serde_json::Value;
use tokio::{
    net::TcpListener,
    sync::mpsc::{Receiver, Sender, channel},
};

/// What arrived.
pub struct Callback {
    /// The `webhook-id`.
    pub id: String,
    /// Its other headers.
    pub headers: HeaderMap,
    /// As sent.
    pub text: String,
    /// As JSON.
    pub body: Value,
}

/// Something that is called back, on a free port.
pub struct Receiving {
    /// Where.
    pub url: String,
    arrived: Receiver<Callback>,
}

/// Starts one that answers each call with the next of these statuses, then 204.
pub async fn receiver(statuses: Vec<StatusCode>) -> Receiving {
    let listener = TcpListener::bind(SocketAddr::from(([127, 0, 0, 1], 0))).await.unwrap();
    let url = format!("http://{}/hook", listener.local_addr().unwrap());
    let (sender, arrived) = channel(100);
    let statuses = std::sync::Arc::new(tokio::sync::Mutex::new(std::collections::VecDeque::from(statuses)));
    let routes = Router::new().route("/hook", post(take)).with_state((sender, statuses));
    tokio::spawn(async move { axum::serve(listener, routes).await });
    Receiving { url, arrived }
}

type Statuses = std::sync::Arc<tokio::sync::Mutex<std::collections::VecDeque<StatusCode>>>;

async fn take(State((sender, statuses)): State<(Sender<Callback>, Statuses)>, headers: HeaderMap, body: Bytes) -> StatusCode {
    let id = headers.get("webhook-id").and_then(|v| v.to_str().ok()).unwrap_or_default().to_owned();
    let text = String::from_utf8_lossy(&body).into_owned();
    let callback = Callback { id, headers, body: serde_json::from_str(&text).unwrap_or_default(), text };
    sender.send(callback).await.unwrap();
    statuses.lock().await.pop_front().unwrap_or(StatusCode::NO_CONTENT)
}

impl Receiving {
    /// Waits for the next call.
    pub async fn next(&mut self) -> Callback {
        tokio::time::timeout(2 * crate::world::PATIENCE, self.arrived.recv()).await.expect("a callback comes").unwrap()
    }
}
