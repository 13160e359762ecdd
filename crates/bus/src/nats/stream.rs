//! The streams of events.

use std::{sync::atomic::Ordering, time::Duration};

use async_nats::jetstream::{
    ErrorCode,
    context::{CreateStreamError, GetStreamErrorKind},
    stream,
};
use nodkey_kernel::{error::chain, time::Timestamp};
use tracing::warn;

use super::{MAX_AGE, Nats};
use crate::{
    consumer::{CONSUMERS, producer},
    error::BusError,
    metrics::OLDEST,
};

/// The version of what [`Nats::stream_config`] sets: whoever changes that increments it. It is in the metadata of the stream.
const SETTINGS: u32 = 2;
const SETTINGS_KEY: &str = "nodkey_settings";

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
            Ok(stream) if is_as(&stream.cached_info().config, &config) => self.found(&stream.cached_info().config),
            // A newer build made it. Two builds side by side would change it back and forth.
            Ok(stream) if settings(&stream.cached_info().config) > SETTINGS => self.found(&stream.cached_info().config),
            Ok(stream) => match self.jetstream.update_stream(&config).await {
                Ok(updated) => self.found(&updated.config),
                // The stream accepts events nevertheless. Services that have their own users may not change streams.
                Err(e) if !self.config.user.is_empty() => {
                    warn!(
                        stream = config.name,
                        error = chain(&e),
                        "the stream is not as it should be, and an administrator has to change it"
                    );
                    self.found(&stream.cached_info().config);
                }
                Err(e) => return Err(failed(e)),
            },
            Err(_) => self.found(&self.jetstream.create_stream(config).await.map_err(failed)?.cached_info().config),
        }
        // Refused now: a server that rejected a large event later would hold up every event behind it.
        let limit = self.client.server_info().max_payload;
        if limit < MIN_PAYLOAD { Err(BusError::Payload { limit }) } else { Ok(()) }
    }

    /// Makes the stream again if it is gone, and reports for each of its consumers how old the oldest event is that it has not handled.
    pub(crate) async fn tend(&self, service: &str, now: Timestamp) -> Result<(), BusError> {
        self.require_connection("look after the stream")?;
        let stream = match self.jetstream.get_stream(self.names().stream(service)).await {
            Ok(stream) => stream,
            Err(e) if matches!(e.kind(), GetStreamErrorKind::JetStream(cause) if cause.error_code() == ErrorCode::STREAM_NOT_FOUND) => {
                return self.ensure_stream(service).await;
            }
            Err(e) => return Err(BusError::unavailable("look after the stream", e)),
        };
        self.found(&stream.cached_info().config);
        for (consumer, subject) in CONSUMERS.iter().filter(|(_, subject)| producer(subject) == service) {
            // A consumer that was never created misses nothing, and users from before this build may not ask.
            let Ok(info) = stream.consumer_info(self.names().name(consumer)).await else { continue };
            let oldest = if info.num_pending == 0 && info.num_ack_pending == 0 {
                0.0
            } else {
                let filter = self.names().subject(&format!("{subject}.>"));
                let next = stream.get_first_raw_message_by_subject(filter, info.ack_floor.stream_sequence + 1).await;
                let Ok(stored) = next.map(|message| message.time.unix_timestamp_nanos() / 1000) else { continue };
                Timestamp::from_micros(i64::try_from(stored).unwrap_or(i64::MAX)).until(now).as_secs_f64()
            };
            OLDEST.with([*consumer]).set(oldest);
        }
        Ok(())
    }

    /// Notes how the stream of this service is configured.
    fn found(&self, config: &stream::Config) {
        self.takes_batches.store(config.allow_atomic_publish, Ordering::Relaxed);
    }

    fn stream_config(&self, service: &str) -> stream::Config {
        stream::Config {
            name: self.names().stream(service),
            subjects: vec![self.names().subject(&format!("evt.{service}.>"))],
            storage: stream::StorageType::File,
            duplicate_window: DUPLICATE_WINDOW,
            max_age: MAX_AGE,
            num_replicas: self.config.replicas,
            // For a backlog: the server syncs its disk once for many events.
            allow_atomic_publish: true,
            metadata: [(SETTINGS_KEY.to_owned(), SETTINGS.to_string())].into(),
            ..stream::Config::default()
        }
    }
}

/// The version of the settings that a stream has; 0 if a build made it that did not number them.
fn settings(stream: &stream::Config) -> u32 {
    stream.metadata.get(SETTINGS_KEY).and_then(|version| version.parse().ok()).unwrap_or(0)
}

/// Whether a stream is configured as we would create it.
fn is_as(stream: &stream::Config, ours: &stream::Config) -> bool {
    let facts =
        |of: &stream::Config| (of.subjects.clone(), of.storage, of.duplicate_window, of.max_age, of.num_replicas, of.allow_atomic_publish);
    facts(stream) == facts(ours)
}
