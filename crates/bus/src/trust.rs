//! What a consumer believes that comes over the bus.

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

/// How long after publishers have keys they may still publish without: a rolling restart.
const UPGRADE: Duration = Duration::from_hours(1);

/// The rules of one consumer.
#[derive(Debug)]
pub(crate) struct Trust {
    keys: Arc<ServiceKeys>,
    owner: ServiceName,
    subject: &'static str,
    unsigned: Unsigned,
}

/// Which events without a signature are taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Unsigned {
    All,
    StoredBefore(Timestamp),
}

impl Trust {
    /// The rules of a consumer that is about to subscribe; `None` where services have no keys.
    ///
    /// One that is there already may have events before it that nobody signed: it takes what the bus stored up to an hour after it first
    /// had keys, which is remembered for good, as long as a stream keeps that. One that is new takes none.
    pub(crate) async fn of(nats: &Nats, consumer: &Consumer, db: &Db, clock: &Clock) -> Result<Option<Self>, BusError> {
        let unavailable = |e: DbError| BusError::unavailable("look up what is taken unsigned", e);
        let unsigned = if nats.requires_signatures() {
            let until = if nats.has(consumer).await? { clock.now() + UPGRADE } else { Timestamp::default() };
            let until = unsigned::stored_before(db, consumer.name(), until).await.map_err(unavailable)?;
            if until > clock.now() {
                info!(consumer = consumer.name(), %until, "events without a signature are still taken");
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

    /// Tells why an event that the bus stored at a moment is not to be believed now.
    pub(crate) fn check(&self, message: &Message, stored: Option<Timestamp>, now: Timestamp) -> Result<(), Refused> {
        // Whoever may change the consumer at the server could send it any event of the stream.
        if !message.subject.strip_prefix(self.subject).is_some_and(|rest| rest.starts_with('.')) {
            return Err(Refused::Subject);
        }
        match (verify(message, self.owner, &self.keys, now), self.unsigned) {
            (Err(Refused::Unsigned), Unsigned::All) => Ok(()),
            (Err(Refused::Unsigned), Unsigned::StoredBefore(moment)) => {
                // The server's word comes in a subject, which others can send, too: for no longer than it can be true.
                let backlog = stored.is_some_and(|stored| stored < moment) && now < moment + nats::MAX_AGE;
                if backlog { Ok(()) } else { Err(Refused::Unsigned) }
            }
            (verdict, _) => verdict,
        }
    }
}
