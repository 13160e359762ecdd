//! Errors of the bus.

use nodkey_kernel::error::{Classify, Kind};

/// The bus did not accept a message or a connection.
#[derive(Debug, thiserror::Error)]
pub enum BusError {
    /// The URL names no known bus.
    #[error("the bus URL must be memory: or start with nats://")]
    Url,
    /// The bus is unreachable or refused; a retry may succeed soon.
    #[error("the bus is unavailable: cannot {action}")]
    Unavailable {
        /// The action that was attempted.
        action: &'static str,
        /// Why it failed.
        #[source]
        source: Box<dyn std::error::Error + Send + Sync>,
    },
    /// The server would reject large events.
    #[error("the nats-server takes messages of {limit} bytes at most: set `max_payload: 8MB` in its configuration")]
    Payload {
        /// The server's limit.
        limit: usize,
    },
    /// A consumer subscribes to events of an unknown service, which nobody could sign.
    #[error("no service {0:?} exists that could sign these events")]
    Owner(String),
    /// A consumer stopped before it acknowledged.
    #[error("consumer {0} stopped before it acknowledged")]
    Unacknowledged(String),
}

impl BusError {
    pub(crate) fn unavailable(action: &'static str, source: impl Into<Box<dyn std::error::Error + Send + Sync>>) -> Self {
        Self::Unavailable { action, source: source.into() }
    }
}

impl Classify for BusError {
    fn kind(&self) -> Kind {
        match self {
            Self::Url | Self::Payload { .. } | Self::Owner(_) => Kind::Internal,
            Self::Unavailable { .. } | Self::Unacknowledged(_) => Kind::Unavailable,
        }
    }

    fn reason(&self) -> &'static str {
        "BUS_UNAVAILABLE"
    }
}
