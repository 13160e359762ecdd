//! What a consumer is: a durable name, a kind of event, and a handler.

use std::{error::Error, fmt, sync::Arc, time::Duration};

use futures_util::future::BoxFuture;
use nodkey_db::{Db, DbError, Message, Tx};
use nodkey_kernel::{
    error::{Classify, Kind, chain},
    id::RelyingPartyId,
    time::Timestamp,
};
use nodkey_proto::Event;
use uuid::Uuid;

/// Delay before the first retry of an event; doubles.
const BACKOFF: Duration = Duration::from_millis(50);

/// Metadata of an event.
#[derive(Clone, Debug)]
pub struct EventMeta {
    /// Unique identifier.
    pub id: Uuid,
    /// The relying party that the event belongs to.
    pub relying_party: RelyingPartyId,
    /// Version of the aggregate after the event; 0 when unknown.
    pub version: i64,
    /// When it happened.
    pub time: Option<Timestamp>,
}

/// Why an event had no effect.
#[derive(Debug, thiserror::Error)]
pub enum HandlerError {
    /// The event cannot be decoded, and never will be.
    #[error("the event cannot be read: {0}")]
    Undecodable(String),
    /// Something else is wrong: with a dependency, or with this service. The same event may succeed later.
    #[error("{0}")]
    Retry(String),
    /// The event is itself invalid: a rule refuses it.
    #[error("{0}")]
    Fatal(String),
}

impl<E: Classify> From<E> for HandlerError {
    fn from(error: E) -> Self {
        let text = chain(&error);
        // The caller's error says less about a failed statement than the database's own error does.
        let kind = statement(&error).map_or_else(|| error.kind(), Classify::kind);
        match kind {
            Kind::Unavailable | Kind::Exhausted | Kind::Internal => Self::Retry(text),
            _ => Self::Fatal(text),
        }
    }
}

/// The failed statement among the causes of an error.
fn statement(error: &dyn Error) -> Option<&DbError> {
    let mut cause = error.source();
    while let Some(found) = cause {
        if let Some(statement) = found.downcast_ref() {
            return Some(statement);
        }
        cause = found.source();
    }
    None
}

type Handler = Arc<dyn for<'a> Fn(&'a mut Tx, &'a Message) -> BoxFuture<'a, Result<(), HandlerError>> + Send + Sync>;

type Look = Arc<dyn for<'a> Fn(&'a Db, &'a Message) -> BoxFuture<'a, Result<bool, DbError>> + Send + Sync>;

/// A durable consumer of one kind of event.
#[derive(Clone)]
pub struct Consumer {
    name: &'static str,
    subject: &'static str,
    handler: Handler,
    look: Option<Look>,
    backoff: Duration,
}

impl fmt::Debug for Consumer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Consumer").field("name", &self.name).field("subject", &self.subject).finish_non_exhaustive()
    }
}

impl Consumer {
    /// Makes a consumer of `E`. `name` is durable: `<service>_<fact>`, and never changes.
    ///
    /// The handler writes through the given transaction and does no other I/O.
    pub fn new<E, F>(name: &'static str, handler: F) -> Self
    where
        E: Event + 'static,
        F: for<'a> Fn(&'a mut Tx, E, EventMeta) -> BoxFuture<'a, Result<(), HandlerError>> + Send + Sync + Clone + 'static,
    {
        let handler: Handler = Arc::new(move |tx, message| {
            let handler = handler.clone();
            Box::pin(async move {
                let event = E::decode(message.payload.clone()).map_err(|e| HandlerError::Undecodable(e.to_string()))?;
                handler(tx, event, meta(message)?).await
            })
        });
        Self { name, subject: E::SUBJECT, handler, look: None, backoff: BACKOFF }
    }

    /// Sets a check that decides before any transaction, from what it reads, whether an event has an effect. An event without one is
    /// acknowledged without a transaction and without being marked as seen. `E` is the event type of the consumer.
    #[must_use]
    pub fn only_if<E, F>(mut self, look: F) -> Self
    where
        E: Event + 'static,
        F: for<'a> Fn(&'a Db, E, EventMeta) -> BoxFuture<'a, Result<bool, DbError>> + Send + Sync + 'static,
    {
        debug_assert_eq!(self.subject, E::SUBJECT, "a consumer looks at what it consumes");
        self.look = Some(Arc::new(move |db, message| {
            match (E::decode(message.payload.clone()), meta(message)) {
                (Ok(event), Ok(meta)) => look(db, event, meta),
                // The handler reports what is wrong with it.
                _ => Box::pin(std::future::ready(Ok(true))),
            }
        }));
        self
    }

    /// Sets the delay before the first retry of an event; doubles. Default 50 ms.
    #[must_use]
    pub const fn backoff(mut self, backoff: Duration) -> Self {
        self.backoff = backoff;
        self
    }

    /// The durable name.
    #[must_use]
    pub const fn name(&self) -> &'static str {
        self.name
    }

    /// The subject, without relying party and key.
    #[must_use]
    pub const fn subject(&self) -> &'static str {
        self.subject
    }

    /// The service that publishes the events.
    #[must_use]
    pub fn producer(&self) -> &'static str {
        producer(self.subject)
    }

    /// Whether a subject is of the kind of event that this consumer reads.
    pub(crate) fn reads(&self, subject: &str) -> bool {
        is_of(subject, self.subject)
    }

    pub(crate) const fn first_pause(&self) -> Duration {
        self.backoff
    }

    pub(crate) async fn has_effect(&self, db: &Db, message: &Message) -> Result<bool, DbError> {
        match &self.look {
            Some(look) => look(db, message).await,
            None => Ok(true),
        }
    }

    pub(crate) fn handle<'a>(&self, tx: &'a mut Tx, message: &'a Message) -> BoxFuture<'a, Result<(), HandlerError>> {
        (self.handler)(tx, message)
    }
}

/// The consumers: durable names, which begin with the service's name, and the subjects of their events.
pub const CONSUMERS: &[(&str, &str)] = &[
    ("registry_user_deactivated", "evt.binding.v1.user_deactivated"),
    ("registry_device_replaced", "evt.binding.v1.device_replaced"),
    ("binding_device_retired", "evt.registry.v1.device_retired"),
    ("trusonafication_device_retired", "evt.registry.v1.device_retired"),
    ("trusonafication_binding_deactivated", "evt.binding.v1.deactivated"),
    ("trusonafication_user_deactivated", "evt.binding.v1.user_deactivated"),
    ("trusonafication_user_frozen", "evt.binding.v1.user_frozen"),
    ("notification_created", "evt.trusonafication.v1.created"),
    ("notification_accepted", "evt.trusonafication.v1.accepted"),
    ("notification_rejected", "evt.trusonafication.v1.rejected"),
    ("notification_expired", "evt.trusonafication.v1.expired"),
    ("notification_canceled", "evt.trusonafication.v1.canceled"),
    ("notification_relying_party_disabled", "evt.registry.v1.relying_party_disabled"),
    ("notification_device_registered", "evt.registry.v1.device_registered"),
    ("notification_device_updated", "evt.registry.v1.device_updated"),
    ("notification_device_retired", "evt.registry.v1.device_retired"),
    ("notification_binding_activated", "evt.binding.v1.activated"),
    ("notification_device_replaced", "evt.binding.v1.device_replaced"),
    ("notification_user_frozen", "evt.binding.v1.user_frozen"),
    ("notification_document_registered", "evt.registry.v1.identity_document_registered"),
];

/// Whether a subject is of this kind of event.
pub(crate) fn is_of(subject: &str, kind: &str) -> bool {
    subject.strip_prefix(kind).is_some_and(|rest| rest.starts_with('.'))
}

/// The service that publishes events of this subject.
pub(crate) fn producer(subject: &str) -> &str {
    subject.split('.').nth(1).unwrap_or_default()
}

fn meta(message: &Message) -> Result<EventMeta, HandlerError> {
    let relying_party = message.key().split('.').next().unwrap_or_default();
    let header = |name: &str| message.headers.get(name).map(String::as_str);
    Ok(EventMeta {
        id: message.id,
        relying_party: relying_party.parse().map_err(|_| HandlerError::Undecodable("the subject names no relying party".into()))?,
        version: header("ce-version").and_then(|v| v.parse().ok()).unwrap_or(0),
        time: header("ce-time").and_then(|t| Timestamp::parse_rfc3339(t).ok()),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Debug, thiserror::Error)]
    #[error("failed")]
    struct Failed(Kind, #[source] Option<DbError>);

    impl Classify for Failed {
        fn kind(&self) -> Kind {
            self.0
        }

        fn reason(&self) -> &'static str {
            "FAILED"
        }
    }

    #[test]
    fn only_what_is_bad_in_itself_is_given_up() {
        for kind in Kind::ALL {
            let may_pass = matches!(kind, Kind::Unavailable | Kind::Exhausted | Kind::Internal);
            let error = HandlerError::from(Failed(kind, None));
            assert_eq!(matches!(error, HandlerError::Retry(_)), may_pass, "{kind:?}");
        }
    }

    #[test]
    fn a_constraint_counts_as_what_it_is_and_not_as_what_a_caller_is_told() {
        let refused = DbError::Unique { constraint: "name".into() };
        assert!(matches!(HandlerError::from(Failed(Kind::Internal, Some(refused))), HandlerError::Fatal(_)));
        assert!(matches!(HandlerError::from(Failed(Kind::Conflict, Some(DbError::Url))), HandlerError::Retry(_)));
    }
}
