//! `nodkey admin endpoints listen`: a receiver on this machine, to see webhooks before one's own receiver exists.

use std::{
    net::SocketAddr,
    time::{Duration, SystemTime},
};

use anyhow::Context as _;
use axum::{
    Router,
    body::Bytes,
    extract::State,
    http::{HeaderMap, StatusCode},
    routing::post,
};
use nodkey_client::{InvalidWebhook, Jwks, Nodkey, ServiceName, Webhook, WebhookHeaders, WebhookTrust, verify_webhook};
use nodkey_kernel::{error::chain, time::Clock, webhook};
use nodkey_proto::notification::v1::{CreateEndpointRequest, DeleteEndpointRequest, endpoint_service_client::EndpointServiceClient};
use serde::Serialize;
use serde_json::value::RawValue;
use tokio::net::TcpListener;

use super::{Admin, answer, request, request_id};
use crate::output::line;

#[derive(Clone)]
struct Receiver {
    nodkey: Nodkey,
    relying_party: String,
    secret: String,
    json: bool,
}

/// A webhook webhook, for programs.
#[derive(Serialize)]
struct ReceivedWebhook<'a> {
    id: &'a str,
    r#type: &'a str,
    timestamp: &'a str,
    proven: bool,
    /// Verbatim.
    data: &'a RawValue,
}

/// Receives, verifies and prints until Ctrl-C, and then deletes the endpoint.
pub async fn run(admin: &Admin, address: SocketAddr, events: Vec<String>) -> anyhow::Result<()> {
    let (nodkey, relying_party) = (admin.nodkey.clone(), admin.relying_party()?);
    let mut client = EndpointServiceClient::new(admin.channel(ServiceName::Notification));
    let listener = TcpListener::bind(address).await.with_context(|| format!("cannot listen on {address}"))?;
    let url = format!("http://{}/", listener.local_addr()?);
    let message = CreateEndpointRequest { request_id: request_id(), url: url.clone(), event_types: events };
    let created = answer(client.create_endpoint(request(message))).await?;
    let id = created.endpoint.unwrap_or_default().id;
    anstream::eprintln!("listening at {url} as endpoint {id}; Ctrl-C ends it");
    let routes =
        Router::new().route("/", post(take)).with_state(Receiver { nodkey, relying_party, secret: created.secret, json: admin.json });
    let stopped = async { drop(tokio::signal::ctrl_c().await) };
    let served = axum::serve(listener, routes).with_graceful_shutdown(stopped).await;
    answer(client.delete_endpoint(request(DeleteEndpointRequest { id }))).await?;
    Ok(served?)
}

async fn take(State(receiver): State<Receiver>, headers: HeaderMap, body: Bytes) -> StatusCode {
    // Read each time, because keys may have been rotated.
    let Ok(jwks) = receiver.nodkey.jwks().await else { return StatusCode::SERVICE_UNAVAILABLE };
    match receiver.verify(&jwks, &headers, &body) {
        Ok(webhook) if print(&webhook, receiver.json).is_ok() => StatusCode::NO_CONTENT,
        Ok(_) => StatusCode::SERVICE_UNAVAILABLE,
        Err(refused) => {
            anstream::eprintln!("refused: {}", chain(&refused));
            StatusCode::BAD_REQUEST
        }
    }
}

impl Receiver {
    fn verify(&self, jwks: &Jwks, headers: &HeaderMap, body: &[u8]) -> Result<Webhook, InvalidWebhook> {
        let header = |name: &str| headers.get(name).and_then(|value| value.to_str().ok()).unwrap_or_default();
        let headers =
            WebhookHeaders { id: header(webhook::ID), timestamp: header(webhook::TIMESTAMP), signature: header(webhook::SIGNATURE) };
        let trust = WebhookTrust { key: &self.secret, jwks, relying_party: &self.relying_party };
        let now = Duration::from_secs(Clock::system().now().as_seconds().unsigned_abs());
        verify_webhook(trust, headers, body, SystemTime::UNIX_EPOCH + now)
    }
}

fn print(webhook: &Webhook, json: bool) -> anyhow::Result<()> {
    let (timestamp, data, data_json) = match webhook {
        Webhook::Result(result) => (&result.timestamp, &result.data, &result.data_json),
        Webhook::Notice(notice) => (&notice.timestamp, &notice.data, &notice.data_json),
    };
    if json {
        let webhook = ReceivedWebhook {
            id: webhook.id(),
            r#type: webhook.event_type(),
            timestamp,
            proven: matches!(webhook, Webhook::Result(_)),
            data: serde_json::from_str(data_json)?,
        };
        return line(serde_json::to_string(&webhook)?);
    }
    let text = |name: &str| data[name].as_str().unwrap_or("-").to_owned();
    let head = format!("{timestamp} {}", webhook.event_type());
    match webhook {
        Webhook::Result(_) => line(format_args!("{head} {} by {}: {}", text("action"), text("user_identifier"), text("id"))),
        Webhook::Notice(_) => line(format_args!("{head}: {data}")),
    }
}
