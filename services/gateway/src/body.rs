//! Request bodies: limited in size each, and in memory together.

use std::{hash::Hash, time::Duration};

use axum::{
    body::{Body, Bytes, HttpBody as _, to_bytes},
    http::{Method, StatusCode},
};
use bytes::BytesMut;
use futures_util::StreamExt as _;
use nodkey_kernel::id::RelyingPartyId;
use nodkey_runtime::{Refusal, counts::Full, refused};
use tokio::{sync::Semaphore, time::timeout};

use crate::{
    limits::{
        buffer::{Buffer, Taken},
        network::{Network, Source},
    },
    problem::Problem,
};

/// The largest body of any route, in bytes: 1 MiB of custom fields and some space for the rest.
pub const MAX_BODY: usize = (1 << 20) + (64 << 10);
/// The largest body of a route without custom fields, in bytes.
pub const ORDINARY_BODY: usize = 64 << 10;
/// The largest body of a call of the console that takes a stream, in bytes.
pub const UPLOAD: usize = 8 << 20;
/// How many of them arrive at the same time.
pub const UPLOADS: usize = 4;
/// The largest body of a caller without a credential, in bytes.
pub const ANONYMOUS_BODY: usize = 8 << 10;
/// The largest response message accepted from another service, in bytes.
pub const MAX_MESSAGE: usize = 8 << 20;
/// The route that takes custom fields.
const WITH_CUSTOM_FIELDS: (Method, &str) = (Method::POST, "/api/v2/trusonafications");

/// How long a body may take to arrive.
const BODY_TIMEOUT: Duration = Duration::from_secs(10);
const UPLOAD_TIMEOUT: Duration = Duration::from_mins(1);
/// How long, and how far, a rejected body is still read: otherwise a client that is still sending would not see the response.
const DISCARD_TIMEOUT: Duration = Duration::from_secs(1);
const DISCARD: usize = 2 * MAX_BODY;
/// How many rejected bodies are read at the same time. Beyond that, a client that is still sending may see a reset instead of the response.
static DISCARDING: Semaphore = Semaphore::const_new(256);
/// How many bytes bodies may hold together while they arrive: from authenticated callers, from callers that name a credential, and from
/// others.
const OF_KNOWN: u64 = 64 << 20;
const OF_NAMED: u64 = 32 << 20;
const OF_STRANGERS: u64 = 8 << 20;
/// The total is divided by this for the share of one relying party, or of one address.
const OF_ONE_PARTY: u64 = 4;
const OF_ONE_ADDRESS: u64 = 16;
/// Memory is reserved in units of this many bytes, so that a body that arrives byte by byte does not cost a reservation for each.
const UNIT: usize = 1 << 10;
/// The memory held by the head of a request while its body arrives.
const HEAD: usize = 8 << 10;

/// The largest body of a route for callers with a credential.
pub fn limit(method: &Method, route: &str) -> usize {
    if (method, route) == (&WITH_CUSTOM_FIELDS.0, WITH_CUSTOM_FIELDS.1) { MAX_BODY } else { ORDINARY_BODY }
}

/// The sender of a body.
#[derive(Clone, Debug)]
pub enum Sender {
    /// A caller authenticated for this relying party, or one that shows the token of a recently proven credential.
    Known(RelyingPartyId),
    /// An operator whose call takes a stream. There are at most [`UPLOADS`] of them at once.
    Upload,
    /// A caller that names a credential.
    Named(Source),
    /// Any other caller.
    Stranger(Source),
}

/// The memory for bodies while they arrive.
#[derive(Debug)]
pub struct Bodies {
    known: Buffer<RelyingPartyId>,
    uploads: Buffer<RelyingPartyId>,
    named: Buffer<Network>,
    strangers: Buffer<Network>,
}

impl Default for Bodies {
    fn default() -> Self {
        let of_strangers = |bytes| Buffer::new(bytes, bytes / OF_ONE_ADDRESS);
        let of_uploads = (UPLOADS * (UPLOAD + HEAD + UNIT)) as u64;
        Self {
            known: Buffer::new(OF_KNOWN, OF_KNOWN / OF_ONE_PARTY),
            uploads: Buffer::new(of_uploads, of_uploads),
            named: of_strangers(OF_NAMED),
            strangers: of_strangers(OF_STRANGERS),
        }
    }
}

impl Bodies {
    /// Reads a body, limited in size and time. A rejected body is read a little further and discarded.
    pub async fn read(&self, body: Body, limit: usize, sender: Sender) -> Result<Bytes, Problem> {
        if body.is_end_stream() {
            return Ok(Bytes::new());
        }
        let mut body = body.into_data_stream();
        let longest = if matches!(sender, Sender::Upload) { UPLOAD_TIMEOUT } else { BODY_TIMEOUT };
        let read = match timeout(longest, self.collect(&mut body, limit, sender)).await {
            Ok(read) => read,
            Err(_) => Err(Problem::new(StatusCode::REQUEST_TIMEOUT, "BODY_TOO_SLOW", "the body took too long")),
        };
        if read.is_err() {
            discard(body).await;
        }
        read
    }

    async fn collect(&self, body: &mut axum::body::BodyDataStream, limit: usize, sender: Sender) -> Result<Bytes, Problem> {
        if usize::try_from(body.size_hint().lower()).is_ok_and(|at_least| at_least > limit) {
            return Err(too_large(limit));
        }
        match sender {
            Sender::Known(party) => gather(self.known.begin(Some(party)), body, limit).await,
            Sender::Upload => gather(self.uploads.begin(None), body, limit).await,
            Sender::Named(source) => gather(self.named.begin(source.0), body, limit).await,
            Sender::Stranger(source) => gather(self.strangers.begin(source.0), body, limit).await,
        }
    }
}

async fn gather<K: Hash + Eq + Clone>(
    mut held: Taken<'_, K>,
    body: &mut axum::body::BodyDataStream,
    limit: usize,
) -> Result<Bytes, Problem> {
    let full = |_: Full| {
        refused(Refusal::Body);
        Problem::overloaded()
    };
    held.grow(HEAD).map_err(full)?;
    // Copied, because an arriving chunk keeps its whole receive buffer alive.
    let mut read = BytesMut::new();
    while let Some(data) = body.next().await {
        let data = data.map_err(|_| Problem::new(StatusCode::BAD_REQUEST, "BODY_INCOMPLETE", "the body ended too early"))?;
        if read.len() + data.len() > limit {
            return Err(too_large(limit));
        }
        held.grow(HEAD + (read.len() + data.len()).next_multiple_of(UNIT)).map_err(full)?;
        read.extend_from_slice(&data);
    }
    Ok(read.freeze())
}

fn too_large(limit: usize) -> Problem {
    Problem::new(StatusCode::PAYLOAD_TOO_LARGE, "BODY_TOO_LARGE", format!("the body is larger than {limit} bytes"))
}

/// Reads and discards the rest for a moment, so that a client that is still sending gets a response and not a reset.
async fn discard(mut body: axum::body::BodyDataStream) {
    let Ok(_place) = DISCARDING.try_acquire() else { return };
    let mut left = DISCARD;
    let _ = timeout(DISCARD_TIMEOUT, async {
        while let Some(Ok(data)) = body.next().await {
            match left.checked_sub(data.len()) {
                Some(less) => left = less,
                None => return,
            }
        }
    })
    .await;
}

/// Does the same for a body of which nothing was read.
pub async fn discard_unread(body: Body) {
    if !body.is_end_stream() {
        discard(body.into_data_stream()).await;
    }
}

/// Returns a body that a layer has already buffered.
pub async fn read_body(body: Body) -> Result<Bytes, Problem> {
    to_bytes(body, MAX_BODY).await.map_err(Problem::because)
}

#[cfg(test)]
mod tests {
    use futures_util::{FutureExt as _, stream};
    use nodkey_kernel::{random::Random, time::Timestamp};
    use tokio::sync::mpsc;
    use tokio_stream::wrappers::ReceiverStream;

    use super::*;

    /// A body that has begun with these bytes and continues when the sender is used.
    fn begun(first: &[u8]) -> (mpsc::Sender<Result<Bytes, std::io::Error>>, Body) {
        let (sender, rest) = mpsc::channel(1);
        let first = stream::iter([Ok(Bytes::copy_from_slice(first))]);
        (sender, Body::from_stream(first.chain(ReceiverStream::new(rest))))
    }

    fn party(n: u64) -> RelyingPartyId {
        RelyingPartyId::generate(Timestamp::from_seconds(0), &Random::seeded(n))
    }

    fn from(n: u8) -> Source {
        Source(Some(Network::of(&format!("198.51.100.{n}"))))
    }

    #[tokio::test]
    async fn of_bodies_that_are_refused_some_are_read_on_and_no_more() {
        let mut read_on = Vec::new();
        for _ in 0..DISCARDING.available_permits() {
            let (sender, body) = begun(b"more");
            let mut discarding = Box::pin(discard_unread(body));
            assert!(discarding.as_mut().now_or_never().is_none(), "its client is still sending");
            read_on.push((sender, discarding));
        }
        assert!(discard_unread(begun(b"more").1).now_or_never().is_some());
        drop(read_on.pop());
        assert!(discard_unread(begun(b"more").1).now_or_never().is_none());
    }

    #[tokio::test]
    async fn bodies_that_arrive_hold_no_more_together_than_there_is_room_for() {
        let bodies = Bodies::default();
        let mut held = Vec::new();
        // Each with its head.
        let each = u64::try_from(HEAD + ANONYMOUS_BODY).unwrap();
        for n in 0..u8::MAX {
            for _ in 0..OF_STRANGERS / OF_ONE_ADDRESS / each {
                let (sender, body) = begun(&[0; ANONYMOUS_BODY]);
                let mut read = Box::pin(bodies.read(body, ANONYMOUS_BODY, Sender::Stranger(from(n))));
                if read.as_mut().now_or_never().is_none() {
                    held.push((sender, read));
                }
            }
            if bodies.strangers.taken() == OF_STRANGERS {
                break;
            }
        }
        assert_eq!(bodies.strangers.taken(), OF_STRANGERS);
        // One relying party fills its share, and another still has memory.
        let mut of_party = Vec::new();
        for _ in 0..2 * OF_KNOWN / u64::try_from(ORDINARY_BODY).unwrap() {
            let (sender, body) = begun(&vec![0; ORDINARY_BODY]);
            let mut read = Box::pin(bodies.read(body, ORDINARY_BODY, Sender::Known(party(1))));
            if read.as_mut().now_or_never().is_none() {
                of_party.push((sender, read));
            }
        }
        assert!((OF_KNOWN / 5..=OF_KNOWN / OF_ONE_PARTY).contains(&bodies.known.taken()), "{}", bodies.known.taken());
        assert_eq!(bodies.read(Body::from("more"), ORDINARY_BODY, Sender::Known(party(2))).await.unwrap(), "more");
        let refused = async |sender| bodies.read(Body::from("more"), ANONYMOUS_BODY, sender).await.unwrap_err().code().to_owned();
        assert_eq!(refused(Sender::Stranger(from(255))).await, "OVERLOADED");
        for sender in [Sender::Known(RelyingPartyId::CONSOLE), Sender::Named(from(1))] {
            let read = bodies.read(Body::from("more"), ANONYMOUS_BODY, sender).await;
            assert_eq!(read.unwrap(), "more", "others have room of their own");
        }
        drop(held);
        assert_eq!(bodies.read(Body::from("more"), ANONYMOUS_BODY, Sender::Stranger(from(255))).await.unwrap(), "more");
    }

    #[tokio::test(start_paused = true)]
    async fn who_says_that_it_is_too_large_or_does_not_go_on_is_refused() {
        let bodies = Bodies::default();
        let large =
            bodies.read(Body::from(vec![0; ORDINARY_BODY + 1]), ORDINARY_BODY, Sender::Known(RelyingPartyId::CONSOLE)).await.unwrap_err();
        assert_eq!(large.code(), "BODY_TOO_LARGE");
        let (_sender, body) = begun(b"{");
        assert_eq!(bodies.read(body, ORDINARY_BODY, Sender::Known(RelyingPartyId::CONSOLE)).await.unwrap_err().code(), "BODY_TOO_SLOW");
        assert_eq!(bodies.known.taken(), 0);
    }

    #[tokio::test]
    async fn the_largest_body_fits_into_what_one_address_has() {
        let bodies = Bodies::default();
        let read = bodies.read(Body::from(vec![b' '; MAX_BODY]), MAX_BODY, Sender::Named(from(1))).await;
        assert_eq!(read.unwrap().len(), MAX_BODY);
    }

    #[test]
    fn a_mebibyte_of_custom_fields_goes_where_they_are_and_nowhere_else() {
        assert_eq!(limit(&Method::POST, "/api/v2/trusonafications"), MAX_BODY);
        assert_eq!(limit(&Method::GET, "/api/v2/trusonafications"), ORDINARY_BODY);
        assert_eq!(limit(&Method::POST, "/api/v2/devices"), ORDINARY_BODY);
    }
}
