//! The streams of events.

use std::time::Duration;

use async_nats::jetstream::{context::CreateStreamError, stream};
use nodkey_kernel::error::chain;
use tracing::warn;

use super::{MAX_AGE, Nats};
use crate::error::BusError;

/// How long a stream remembers ids to recognize a repeated publish.
const DUPLICATE_WINDOW: Duration = Duration::from_mins(2);
/// Size of the largest event: a response with 1 MiB of custom fields, plus the remaining fields.
const MIN_PAYLOAD: usize = 2 << 20;

impl Nats {
    pub(crate) async fn ensure_stream(&self, service: &str) -> Result<(), BusError> {
        self.require_connection("create stream")?;
        let config = self.stream_config(service);
        let failed = |e: CreateStreamError| BusError::unavailable("create stream", e);
        match self.jetstream.get_stream(&config.name).await {
            Ok(stream) if is_as(&stream.cached_info().config, &config) => {}
            Ok(_) => match self.jetstream.update_stream(&config).await {
                Ok(_) => {}
                // The stream accepts events nevertheless. Services that have their own users may not change streams.
                Err(e) if !self.config.user.is_empty() => {
                    warn!(
                        stream = config.name,
                        error = chain(&e),
                        "the stream is not as it should be, and an administrator has to change it"
                    );
                }
                Err(e) => return Err(failed(e)),
            },
            Err(_) => drop(self.jetstream.create_stream(config).await.map_err(failed)?),
        }
        // Refused now: a server that rejected a large event later would hold up every event behind it.
        let limit = self.client.server_info().max_payload;
        if limit < MIN_PAYLOAD { Err(BusError::Payload { limit }) } else { Ok(()) }
    }

    fn stream_config(&self, service: &str) -> stream::Config {
        stream::Config {
            name: self.names().stream(service),
            subjects: vec![self.names().subject(&format!("evt.{service}.>"))],
            storage: stream::StorageType::File,
            duplicate_window: DUPLICATE_WINDOW,
            max_age: MAX_AGE,
            num_replicas: self.config.replicas,
            ..stream::Config::default()
        }
    }
}

/// Whether a stream is configured as we would create it.
fn is_as(stream: &stream::Config, ours: &stream::Config) -> bool {
    let facts = |of: &stream::Config| (of.subjects.clone(), of.storage, of.duplicate_window, of.max_age, of.num_replicas);
    facts(stream) == facts(ours)
}
