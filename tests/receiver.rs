//! A backend that receives webhooks.

use std::{collections::VecDeque, net::SocketAddr, sync::Arc};

use axum::{
    Router,
    body::{Body, Bytes},
    extract::State,
    http::{HeaderMap, StatusCode, header::LOCATION},
    response::{IntoResponse as _, Response},
    routing::post,
};
use futures_util::{StreamExt as _, stream};
use serde_json::Value;
use tokio::{
    net::TcpListener,
    sync::{
        Mutex,
        mpsc::{Receiver, Sender, channel},
    },
};

/// A received call.
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

/// How a receiver responds.
#[derive(Clone, Copy)]
pub enum Reply {
    /// With this status and text.
    Status(StatusCode, &'static str),
    /// With a redirect.
    Redirect,
    /// With 200 and a body that never ends.
    Endless,
    /// With 200 and the beginning of a body that does not continue.
    Open,
    /// Not at all.
    Never,
}

/// A receiver on a free port.
pub struct Receiving {
    /// Its URL.
    pub url: String,
    arrived: Receiver<Callback>,
}

#[derive(Clone)]
struct Backend {
    arrived: Sender<Callback>,
    replies: Arc<Mutex<VecDeque<Reply>>>,
    default: Reply,
}

/// Starts a receiver that responds with these statuses in turn, then with 204.
pub async fn receiver(statuses: Vec<StatusCode>) -> Receiving {
    let replies = statuses.into_iter().map(|status| Reply::Status(status, "")).collect();
    replying(replies, Reply::Status(StatusCode::NO_CONTENT, "")).await
}

/// Starts a receiver that responds with these replies in turn, then with the default.
pub async fn replying(replies: VecDeque<Reply>, default: Reply) -> Receiving {
    let listener = TcpListener::bind(SocketAddr::from(([127, 0, 0, 1], 0))).await.unwrap();
    let url = format!("http://{}/hook", listener.local_addr().unwrap());
    let (sender, arrived) = channel(100);
    let backend = Backend { arrived: sender, replies: Arc::new(Mutex::new(replies)), default };
    let routes = Router::new().route("/hook", post(take)).with_state(backend);
    tokio::spawn(async move { axum::serve(listener, routes).await });
    Receiving { url, arrived }
}

async fn take(State(backend): State<Backend>, headers: HeaderMap, body: Bytes) -> Response {
    let id = headers.get("webhook-id").and_then(|v| v.to_str().ok()).unwrap_or_default().to_owned();
    let text = String::from_utf8_lossy(&body).into_owned();
    let callback = Callback { id, headers, body: serde_json::from_str(&text).unwrap_or_default(), text };
    let reply = backend.replies.lock().await.pop_front().unwrap_or(backend.default);
    backend.arrived.send(callback).await.unwrap();
    match reply {
        Reply::Status(status, text) => (status, text).into_response(),
        Reply::Redirect => (StatusCode::FOUND, [(LOCATION, "/hook")]).into_response(),
        Reply::Endless => {
            Body::from_stream(stream::repeat_with(|| Ok::<_, std::io::Error>(Bytes::from_static(&[b'x'; 4096])))).into_response()
        }
        Reply::Open => {
            let begun = stream::iter([Ok::<_, std::io::Error>(Bytes::from_static(b"taken"))]);
            Body::from_stream(begun.chain(stream::pending())).into_response()
        }
        Reply::Never => std::future::pending().await,
    }
}

impl Receiving {
    /// Waits for the next call.
    pub async fn next(&mut self) -> Callback {
        tokio::time::timeout(2 * crate::world::PATIENCE, self.arrived.recv()).await.expect("a callback comes").unwrap()
    }

    /// Whether no call has arrived that was not yet returned.
    pub fn is_quiet(&mut self) -> bool {
        self.waiting() == 0
    }

    /// The number of calls that have arrived and were not yet returned.
    pub fn waiting(&self) -> usize {
        self.arrived.len()
    }
}
