//! A receiver of webhooks: it acts on what the deployment has signed, once.
//!
//! With `nodkey dev`, the environment of `README.md`, and an endpoint for `http://127.0.0.1:8080/nodkey` (`nodkey admin endpoints create`):
//! `cargo run --example webhooks RELYING_PARTY_ID WHSEC`

#![expect(clippy::disallowed_methods, reason = "the time, as backends take it")]

use std::{env, error::Error, sync::Arc, time::SystemTime};

use axum::{
    Router,
    body::Bytes,
    extract::State,
    http::{HeaderMap, StatusCode},
    routing::post,
};
use nodkey_server_sdk::{Nodkey, RelyingPartyId, VerifyError, Webhook, WebhookHeaders, WebhookTrust};

struct Receiver {
    nodkey: Nodkey,
    relying_party: RelyingPartyId,
    secret: String,
}

async fn receive(State(it): State<Arc<Receiver>>, headers: HeaderMap, body: Bytes) -> StatusCode {
    let signed = WebhookHeaders::find(|name| headers.get(name)?.to_str().ok());
    let trust = WebhookTrust::new(&it.secret, &it.relying_party);
    match it.nodkey.jwks().verify_webhook(trust, signed, &body, SystemTime::now()).await {
        // Proven. A delivery may come twice: act once for each trusonafication.
        Ok(Webhook::Result(told)) => println!("{} ended: {}", told.receipt.trusonafication, told.receipt.status.as_str()),
        // A reason to look, and no proof.
        Ok(told) => println!("{}", told.event_type()),
        // The deployment tries again.
        Err(VerifyError::Keys(error)) => {
            eprintln!("{error}");
            return StatusCode::SERVICE_UNAVAILABLE;
        }
        Err(_) => return StatusCode::BAD_REQUEST,
    }
    StatusCode::NO_CONTENT
}

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    let mut arguments = env::args().skip(1);
    let (Some(relying_party), Some(secret)) = (arguments.next(), arguments.next()) else {
        return Err("name the relying party, and the secret of the endpoint".into());
    };
    let receiver = Receiver { nodkey: Nodkey::from_env()?, relying_party: relying_party.into(), secret };
    let listener = tokio::net::TcpListener::bind("127.0.0.1:8080").await?;
    axum::serve(listener, Router::new().route("/nodkey", post(receive)).with_state(Arc::new(receiver))).await?;
    Ok(())
}
