//! Waiting: the request is held, a wake is a hint, the answer is always read again from its owner.

use std::time::Duration;

use metrics::gauge;
use nodkey_bus::Listener;
use nodkey_kernel::id::DeviceId;
use nodkey_proto::trusonafication::v1::{
    ListPendingRequest, PendingTrusonafication, trusonafication_service_client::TrusonaficationServiceClient,
};
use tokio::time::Instant;

use crate::{auth::phone::Phone, edge::Edge, extract::Place, problem::Problem};

/// A wake may get lost; this often it is looked without one.
const RECHECK: Duration = Duration::from_secs(15);

/// A phone that waits for something to answer.
pub struct Waiting {
    gateway: Edge,
    phone: Phone,
    listener: Listener,
    _place: Place,
}

/// Returns what there is for a phone to answer, now.
pub async fn pending(gateway: &Edge, phone: &Phone) -> Result<Vec<PendingTrusonafication>, Problem> {
    let mut client = TrusonaficationServiceClient::new(gateway.peers.trusonafication().acting_for(phone.relying_party))
        .max_decoding_message_size(crate::body::MAX_MESSAGE);
    let request = ListPendingRequest { device_id: phone.device.to_string() };
    Ok(client.list_pending(request).await?.into_inner().trusonafications)
}

impl Waiting {
    /// Begins to wait. What comes from here on is not missed.
    pub fn new(gateway: &Edge, phone: Phone, place: Place) -> Self {
        gauge!("nodkey_waiting_phones").increment(1.0);
        let listener = gateway.bus.listen(&topic(&phone.device));
        Self { gateway: gateway.clone(), phone, listener, _place: place }
    }

    /// Returns what there is, now.
    pub async fn pending(&self) -> Result<Vec<PendingTrusonafication>, Problem> {
        pending(&self.gateway, &self.phone).await
    }

    /// Returns what there is once there is something; empty after `patience`, or when this gateway is to stop.
    pub async fn first(&mut self, patience: Duration) -> Result<Vec<PendingTrusonafication>, Problem> {
        let end = Instant::now() + patience;
        loop {
            let pending = self.pending().await?;
            let left = end.saturating_duration_since(Instant::now());
            if !pending.is_empty() || left.is_zero() || !self.changed(left).await {
                return Ok(pending);
            }
        }
    }

    /// Resolves when it is worth looking again, at the latest after `limit`; false when this gateway is to stop.
    pub async fn changed(&mut self, limit: Duration) -> bool {
        tokio::select! {
            () = self.listener.notified() => true,
            () = tokio::time::sleep(limit.min(RECHECK)) => true,
            () = self.gateway.stopping.cancelled() => false,
        }
    }
}

impl Drop for Waiting {
    fn drop(&mut self) {
        gauge!("nodkey_waiting_phones").decrement(1.0);
    }
}

fn topic(device: &DeviceId) -> String {
    format!("device.{device}")
}
