//! Which events a consumer trusts.

use std::{sync::Arc, time::Duration};

use nodkey_db::{Db, DbError, Message, unsigned};
use nodkey_kernel::{
    service_key::{ServiceKeys, ServiceName},
    time::{Clock, Timestamp},
};
use tracing::info;

use crate::{
    consumer::Consumer,
    error::BusError,
    nats::{self, Nats},
    signature::{Refused, verify},
};

/// How long publishers may still publish unsigned events after they have keys: a rolling restart.
const UPGRADE: Duration = Duration::from_hours(1);

/// The trust rules of one consumer.
#[derive(Debug)]
pub(crate) struct Trust {
    keys: Arc<ServiceKeys>,
    owner: ServiceName,
    subject: &'static str,
    unsigned: Unsigned,
}

/// Which unsigned events are accepted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Unsigned {
    All,
    StoredBefore(Timestamp),
}

impl Trust {
    /// The rules of a consumer that is about to subscribe; `None` where services have no keys.
    ///
    /// A consumer that already exists may be behind on events that nobody signed. It accepts unsigned events that the bus stored up to an
    /// hour after the consumer first had keys, for as long as a stream keeps them; that limit is remembered for good. A new consumer
    /// accepts none.
    pub(crate) async fn of(nats: &Nats, consumer: &Consumer, db: &Db, clock: &Clock) -> Result<Option<Self>, BusError> {
        let unavailable = |e: DbError| BusError::unavailable("look up which unsigned events to accept", e);
        let unsigned = if nats.requires_signatures() {
            let until = if nats.has(consumer).await? { clock.now() + UPGRADE } else { Timestamp::default() };
            let until = unsigned::stored_before(db, consumer.name(), until).await.map_err(unavailable)?;
            if until > clock.now() {
                info!(consumer = consumer.name(), %until, "unsigned events are still accepted");
            }
            Unsigned::StoredBefore(until)
        } else {
            unsigned::forget(db, consumer.name()).await.map_err(unavailable)?;
            Unsigned::All
        };
        let Some(identity) = nats.identity() else { return Ok(None) };
        let owner = ServiceName::try_from(consumer.producer()).map_err(|_| BusError::Owner(consumer.producer().to_owned()))?;
        Ok(Some(Self { keys: Arc::clone(&identity.keys), owner, subject: consumer.subject(), unsigned }))
    }

    /// Checks whether an event that the bus stored at `stored` is trusted now, and says why not.
    pub(crate) fn check(&self, message: &Message, stored: Option<Timestamp>, now: Timestamp) -> Result<(), Refused> {
        // Anyone who may change the consumer at the server could send it any event of the stream.
        if !message.subject.strip_prefix(self.subject).is_some_and(|rest| rest.starts_with('.')) {
            return Err(Refused::Subject);
        }
        match (verify(message, self.owner, &self.keys, now), self.unsigned) {
            (Err(Refused::Unsigned), Unsigned::All) => Ok(()),
            (Err(Refused::Unsigned), Unsigned::StoredBefore(moment)) => {
                // The server's statement arrives in a subject, which others can send as well: trust it only for as long as it can be true.
                let backlog = stored.is_some_and(|stored| stored < moment) && now < moment + nats::MAX_AGE;
                if backlog { Ok(()) } else { Err(Refused::Unsigned) }
            }
            (verdict, _) => verdict,
        }
    }
}
