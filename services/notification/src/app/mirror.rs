//! Mirroring deliveries for a machine that the deployment cannot reach, such as a developer's.
//!
//! A mirror works from the database, so it does not matter which replica creates a delivery. Deliveries of this process wake it; it polls for
//! those of others.

use std::{
    collections::{BTreeSet, VecDeque},
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use nodkey_bus::Listener;
use nodkey_db::Tx;
use nodkey_kernel::{
    id::{DeliveryId, EndpointId, RelyingPartyId},
    time::Timestamp,
};
use nodkey_runtime::{
    Failure,
    counts::{Counts, Full},
};
use uuid::Uuid;

use super::{App, Listing, endpoint_keys::EndpointKeys};
use crate::{
    domain::Delivery,
    error::Error,
    store::{delivery, endpoint},
    webhook::header_fields,
};

/// The maximum number of mirrors of a relying party at this process, and of all together.
const PER_PARTY: u64 = 4;
const ALL: usize = 64;
/// How often a mirror looks without a wake.
const POLL: Duration = Duration::from_secs(1);
/// Maximum number of deliveries read at once.
const PAGE: i64 = 100;
/// How much later than its timestamp a delivery may be committed and still be mirrored, minus the clock difference between two replicas.
const OVERLAP: Duration = Duration::from_secs(30);
/// How far back a mirror may begin.
const MAX_PAST: Duration = Duration::from_hours(1);

/// The mirrors of this process. Cheap to clone.
#[derive(Clone, Debug, Default)]
pub struct Mirrors(Arc<Mutex<Held>>);

#[derive(Debug, Default)]
struct Held {
    all: usize,
    parties: Counts<RelyingPartyId>,
}

/// A place for one mirror, returned when dropped.
#[derive(Debug)]
struct Place(Mirrors, RelyingPartyId);

impl Mirrors {
    fn are_there(&self) -> bool {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).all > 0
    }

    fn take(&self, party: RelyingPartyId) -> Result<Place, Error> {
        let mut held = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if held.all >= ALL {
            return Err(Error::TooManyMirrors("this process"));
        }
        held.parties.add(party, 1, PER_PARTY).map_err(|Full| Error::TooManyMirrors("this relying party"))?;
        held.all += 1;
        drop(held);
        Ok(Place(self.clone(), party))
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        let mut held = self.0.0.lock().unwrap_or_else(PoisonError::into_inner);
        held.all -= 1;
        held.parties.remove(&self.1, 1);
    }
}

/// A delivery, and the request by which its endpoint gets it.
#[derive(Debug)]
pub struct Mirrored {
    /// The delivery, with its body.
    pub delivery: Delivery,
    /// The header fields of a request at this moment.
    pub headers: Vec<(&'static str, String)>,
}

/// A stream of the deliveries to the endpoints of a relying party.
#[derive(Debug)]
pub struct Mirror {
    app: App,
    party: RelyingPartyId,
    endpoint: Option<EndpointId>,
    listener: Listener,
    /// Where the current look began.
    begun: Timestamp,
    /// Everything created before is done: the look before began [`OVERLAP`] later.
    from: Timestamp,
    /// Position of the current look.
    after: (Timestamp, Uuid),
    /// What was mirrored since `from`.
    seen: BTreeSet<(Timestamp, DeliveryId)>,
    /// What the current page has that was not.
    found: VecDeque<Delivery>,
    /// Whether there are more pages.
    more: bool,
    _place: Place,
}

impl App {
    /// Wakes the mirrors of a relying party in this process once the transaction is committed.
    pub(super) fn wake_mirrors(&self, tx: &mut Tx, party: RelyingPartyId) {
        // One that begins meanwhile finds it by its first poll.
        if !self.mirrors.are_there() {
            return;
        }
        let bus = self.bus.clone();
        tx.after_commit(move || {
            bus.hint(&topic(party));
        });
    }

    /// Mirrors the deliveries to an endpoint, or to all, from a time on; `None`: from now on.
    pub async fn mirror(&self, party: RelyingPartyId, endpoint: Option<EndpointId>, since: Option<Timestamp>) -> Result<Mirror, Error> {
        let now = self.now();
        if since.is_some_and(|since| since < now - MAX_PAST) {
            return Err(Failure::field("created_after", "must be at most an hour ago").into());
        }
        if let Some(endpoint) = endpoint {
            self.endpoint(party, endpoint).await?;
        }
        let place = self.mirrors.take(party)?;
        let listener = self.bus.listen(&topic(party));
        let from = since.unwrap_or(now - OVERLAP);
        let mut mirror = Mirror {
            app: self.clone(),
            party,
            endpoint,
            listener,
            begun: now,
            from,
            after: (from, Uuid::nil()),
            seen: BTreeSet::new(),
            found: VecDeque::new(),
            more: true,
            _place: place,
        };
        // What is there already counts as mirrored, and what is committed later with an earlier timestamp does not.
        while since.is_none() && mirror.more {
            mirror.read().await?;
            mirror.found.clear();
        }
        Ok(mirror)
    }

    /// The request by which the endpoint of a delivery gets it; `None` if the endpoint is deleted. Also for a disabled one: whoever develops
    /// its receiver need not have it reachable.
    async fn request_of(&self, found: Delivery) -> Result<Option<Mirrored>, Error> {
        let Some(id) = found.endpoint else { return Ok(None) };
        let Some(endpoint) = endpoint::get(&self.db, found.relying_party, id).await? else { return Ok(None) };
        let now = self.now();
        let keys = EndpointKeys::open(&self.vault, &endpoint, now)?.into_all();
        let delivery = Delivery { body: delivery::body(&self.db, found.id).await?, ..found };
        let mut headers = header_fields(&delivery, &keys, now);
        headers.extend(delivery.traceparent.clone().map(|traceparent| ("traceparent", traceparent)));
        Ok(Some(Mirrored { delivery, headers }))
    }
}

impl Mirror {
    /// Returns the next delivery, oldest first; [`Error::Stopping`] if this process is about to stop.
    pub async fn next(&mut self) -> Result<Mirrored, Error> {
        loop {
            while let Some(delivery) = self.found.pop_front() {
                if let Some(mirrored) = self.app.request_of(delivery).await? {
                    return Ok(mirrored);
                }
            }
            if !self.more {
                tokio::select! {
                    _ = self.listener.notified() => {}
                    () = tokio::time::sleep(POLL) => {}
                    () = self.app.stopping.cancelled() => return Err(Error::Stopping),
                }
                self.begin();
            }
            self.read().await?;
        }
    }

    /// Begins another look. It overlaps with the one before, since deliveries that were committed during that may have earlier timestamps.
    fn begin(&mut self) {
        // Never forward past what was not looked at, however long the caller took.
        self.from = self.from.max(self.begun - OVERLAP);
        self.begun = self.app.now();
        self.after = (self.from, Uuid::nil());
        self.seen = self.seen.split_off(&(self.from, DeliveryId::from_uuid(Uuid::nil())));
        self.more = true;
    }

    /// Reads a page of the current look.
    async fn read(&mut self) -> Result<(), Error> {
        let (at, id) = self.after;
        let listing = Listing { endpoint: self.endpoint, id, oldest_first: true, ..Listing::newest(at, PAGE) };
        let page = delivery::list(&self.app.db, self.party, &listing).await?;
        self.more = false;
        if let Some(last) = page.last()
            && let Ok(id) = last.id.parse()
        {
            (self.after, self.more) = ((last.at, id), page.has_next());
        }
        let new = page.into_rows().into_iter().filter(|delivery| self.seen.insert((delivery.created_at, delivery.id)));
        self.found = new.collect();
        Ok(())
    }
}

/// The topic, within this process, of the deliveries of a relying party.
fn topic(party: RelyingPartyId) -> String {
    format!("deliveries.{party}")
}
