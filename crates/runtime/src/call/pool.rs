//! Several connections to each service: spread over its replicas, renewed by age, and replaced when they break.
//!
//! Nothing runs while nothing is called: a caller notices what is due, and a separate task does it.

use std::{
    collections::HashMap,
    fmt, io,
    net::SocketAddr,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use anyhow::Context as _;
use futures_util::future::{BoxFuture, join_all};
use http::{Request, Response, request::Parts};
use http_body_util::{BodyExt as _, Full, LengthLimitError, Limited};
use nodkey_kernel::{error::Kind, random::Random, service_key::ServiceName};
use nodkey_proto::access::is_idempotent;
use tokio::time::{Instant, timeout};
use tonic::{Status, body::Body};
use tower::BoxError;
use tracing::debug;

use super::{
    connection::{Connection, Failed, Lease, Target, broken},
    metrics::{Outcome, PEER_CALLS, PEER_CALLS_REPEATED, PEER_CONNECTIONS_OPENED},
    refusal::Refusal,
    refusals::refused,
    status,
};

/// The largest request that is buffered for a retry, as large as services accept.
const REPEATABLE: usize = 4 << 20;
/// Maximum number of times that a call is sent. It is sent again only if nothing of it had left, or if it may be repeated.
const ATTEMPTS: usize = 3;

/// Limits on the number and age of connections.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Settings {
    /// Minimum number of connections to a service, regardless of load; at least one to each of its addresses.
    pub(crate) kept: usize,
    /// Maximum number of connections. Calls beyond their capacity are refused.
    pub(crate) most: usize,
    /// Maximum number of calls on one connection; fewer if the peer accepts fewer.
    pub(crate) calls: usize,
    /// Maximum age of a connection, varied by up to a fifth.
    pub(crate) age: Duration,
    /// How long resolved addresses of a name are used.
    pub(crate) resolve: Duration,
}

impl Settings {
    pub(crate) const DEFAULT: Self =
        Self { kept: 2, most: 256, calls: 100, age: Duration::from_mins(10), resolve: Duration::from_secs(10) };
}

/// Minimum interval between upkeep runs, however often they fail.
const UPKEEP: Duration = Duration::from_secs(1);
/// Timeout for resolving addresses.
const RESOLVING: Duration = Duration::from_secs(3);
/// Maximum number of addresses used per name.
const MAX_ADDRESSES: usize = 32;

/// How long an address that could not be connected to is tried only after all others.
const AVOIDED: Duration = Duration::from_secs(30);

type Resolve = Box<dyn Fn() -> BoxFuture<'static, io::Result<Vec<SocketAddr>>> + Send + Sync>;
/// Connects to an address; the connection is to be renewed at the given time.
type Connect = Box<dyn Fn(SocketAddr, Instant) -> BoxFuture<'static, anyhow::Result<Connection>> + Send + Sync>;

/// The connections to one service.
pub(crate) struct Pool {
    target: Target,
    settings: Settings,
    resolve: Resolve,
    connect: Connect,
    random: Random,
    state: Mutex<State>,
    /// Held by callers that open connections, and while addresses are resolved: other callers that need a connection wait for the outcome.
    opening: tokio::sync::Mutex<Opening>,
    /// Held by the one task that opens missing connections: no caller waits for it.
    upkeep: tokio::sync::Mutex<()>,
}

struct State {
    connections: Vec<Arc<Connection>>,
    /// Where to begin searching for a connection, so that all are used in turn.
    turn: usize,
    /// When to check next whether upkeep is due.
    upkeep_at: Instant,
    /// Time of the last failed or pending attempt to connect to an address.
    tried: HashMap<SocketAddr, Instant>,
}

#[derive(Default)]
struct Opening {
    addresses: Vec<SocketAddr>,
    resolved_at: Option<Instant>,
    failed_at: Option<Instant>,
}

impl fmt::Debug for Pool {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Pool").field("name", &self.target.name).field("host", &self.target.host).finish_non_exhaustive()
    }
}

impl Pool {
    /// Creates a pool. Connects on first use.
    pub(crate) fn new(name: ServiceName, url: &str, authority: Option<&[u8]>) -> anyhow::Result<Self> {
        let target = Target::new(name, url, authority)?;
        let (host, port) = (target.host.clone(), target.port);
        let resolve: Resolve = Box::new(move || {
            let host = host.clone();
            Box::pin(async move { Ok(tokio::net::lookup_host((host.as_str(), port)).await?.collect()) })
        });
        let connect = over_tcp(target.clone());
        Ok(Self::with(target, Settings::DEFAULT, resolve, connect, Random::system()))
    }

    pub(crate) fn with(target: Target, settings: Settings, resolve: Resolve, connect: Connect, random: Random) -> Self {
        let state = State { connections: Vec::new(), turn: 0, upkeep_at: Instant::now(), tried: HashMap::new() };
        let (state, opening, upkeep) = (Mutex::new(state), tokio::sync::Mutex::default(), tokio::sync::Mutex::default());
        Self { target, settings, resolve, connect, random, state, opening, upkeep }
    }

    /// Sends a request. If nothing of it was sent, it is sent on another connection. A request that may be repeated is sent once more.
    pub(crate) async fn call(self: Arc<Self>, request: Request<Body>) -> Result<Response<Body>, Status> {
        let answered = Arc::clone(&self).sent(request).await;
        let outcome = if answered.is_ok() { Outcome::Ok } else { Outcome::Failed };
        PEER_CALLS.with((self.target.name, outcome)).increment(1);
        answered
    }

    async fn sent(self: Arc<Self>, request: Request<Body>) -> Result<Response<Body>, Status> {
        let (mut parts, body) = request.into_parts();
        parts.uri = self.target.uri(&parts.uri).map_err(|_| Status::internal("no path of a method"))?;
        let (mut request, mut repeat) = if is_idempotent(parts.uri.path()) {
            let body = Limited::new(body, REPEATABLE).collect().await;
            let body = body.map_err(unread)?.to_bytes();
            let again = |parts: Parts| Request::from_parts(parts, Body::new(Full::new(body.clone())));
            (again(parts.clone()), Some(again(parts)))
        } else {
            (Request::from_parts(parts, body), None)
        };
        let mut lease = self.lease(None).await?;
        for _ in 1..ATTEMPTS {
            let Failed { on, unsent } = match lease.send(request).await {
                Ok(response) => return Ok(response),
                Err(failed) => failed,
            };
            let Some(next) = unsent.map(|request| *request).or_else(|| repeat.take()) else { return Err(broken()) };
            PEER_CALLS_REPEATED.with(self.target.name).increment(1);
            request = next;
            lease = self.lease(Some(&on)).await?;
        }
        lease.send(request).await.map_err(|_| broken())
    }

    /// Takes a slot on a connection other than `avoid`.
    async fn lease(self: &Arc<Self>, avoid: Option<&Arc<Connection>>) -> Result<Lease, Status> {
        if let Some(lease) = self.pick(avoid) {
            return Ok(lease);
        }
        let asked_at = Instant::now();
        let mut opening = self.opening.lock().await;
        // An earlier caller may have opened one, or found that none can be opened.
        if let Some(lease) = self.pick(avoid) {
            return Ok(lease);
        }
        if opening.failed_at.is_some_and(|at| at >= asked_at) {
            return Err(away());
        }
        if self.state().connections.len() >= self.settings.most {
            refused(Refusal::Call);
            return Err(status::new(Kind::Unavailable, "OVERLOADED", "too many calls to another service; try again soon", &[]));
        }
        let opened = self.open(&mut opening).await;
        opening.failed_at = opened.is_err().then(Instant::now);
        let connection = opened.map_err(|error| {
            debug!(peer = self.target.name.as_str(), error = format!("{error:#}"), "another service cannot be reached");
            away()
        })?;
        Ok(Lease::of(&connection))
    }

    /// Takes a slot on the connection with the fewest calls. Connections on which a caller gave up waiting come after the others, and those
    /// that are due for renewal are the last resort. Neither is a reason to open another.
    fn pick(self: &Arc<Self>, avoid: Option<&Arc<Connection>>) -> Option<Lease> {
        let now = Instant::now();
        let mut state = self.state();
        let before = state.connections.len();
        state.connections.retain(|connection| !connection.is_closed());
        if state.connections.len() < before {
            state.upkeep_at = now;
        }
        if now >= state.upkeep_at && before > 0 {
            state.upkeep_at = now + UPKEEP;
            tokio::spawn(Arc::clone(self).keep_up());
        }
        let n = state.connections.len();
        state.turn = state.turn.wrapping_add(1);
        let turn = state.turn;
        let candidates = (0..n).map(|i| &state.connections[(turn + i) % n]);
        let others = candidates.filter(|connection| avoid.is_none_or(|avoid| !Arc::ptr_eq(avoid, connection)));
        let rank = |connection: &Connection, calls| (now >= connection.renew_at, connection.is_doubted(now), calls);
        let free = others.filter_map(|connection| Some((rank(connection, connection.load(self.settings.calls)?), connection)));
        free.min_by_key(|(rank, _)| *rank).map(|(_, connection)| Lease::of(connection))
    }

    /// Resolves the addresses again, opens missing connections, and stops using connections that are old or to addresses that are gone;
    /// calls on these complete.
    async fn keep_up(self: Arc<Self>) {
        let Ok(_alone) = self.upkeep.try_lock() else { return };
        let (resolved, addresses) = {
            let Ok(mut opening) = self.opening.try_lock() else { return };
            (self.resolve(&mut opening).await.is_ok(), opening.addresses.clone())
        };
        // Concurrently: an address that does not answer holds up no other address, and no caller that needs a connection.
        let missing = self.missing(&addresses);
        let opened = join_all(missing.into_iter().map(|address| self.connect(address))).await;
        let complete = resolved && opened.iter().all(Result::is_ok);
        let now = Instant::now();
        let mut state = self.state();
        state.tried.retain(|address, at| addresses.contains(address) && now < *at + AVOIDED);
        let stays = |connection: &Arc<Connection>| connection.renew_at > now && addresses.contains(&connection.address);
        if state.connections.iter().any(stays) {
            state.connections.retain(stays);
        }
        let next = state.connections.iter().map(|connection| connection.renew_at).chain([now + self.settings.resolve]).min();
        state.upkeep_at = if complete { next.unwrap_or(now).max(now + UPKEEP.min(self.settings.age)) } else { now + UPKEEP };
    }

    /// The addresses to connect to, each as often as it lacks connections.
    fn missing(&self, addresses: &[SocketAddr]) -> Vec<SocketAddr> {
        let (now, of_each) = (Instant::now(), self.settings.kept.div_ceil(addresses.len().max(1)));
        let state = self.state();
        let there = |address: SocketAddr| state.connections.iter().filter(|c| c.address == address && c.renew_at > now).count();
        addresses.iter().flat_map(|address| std::iter::repeat_n(*address, of_each.saturating_sub(there(*address)))).collect()
    }

    /// Opens one connection, to the reachable address with the fewest connections.
    async fn open(&self, opening: &mut Opening) -> anyhow::Result<Arc<Connection>> {
        self.resolve(opening).await?;
        let mut last = None;
        for address in self.by_promise(&opening.addresses) {
            match self.connect(address).await {
                Ok(connection) => return Ok(connection),
                Err(error) => last = Some(error.context(address)),
            }
        }
        Err(last.unwrap_or_else(|| anyhow::anyhow!("{} has no address", self.target.host)))
    }

    /// The addresses, most promising first: those without recent failures, and among them the one with the fewest connections.
    fn by_promise(&self, addresses: &[SocketAddr]) -> Vec<SocketAddr> {
        let (now, state) = (Instant::now(), self.state());
        let promise = |address: &SocketAddr| {
            let to = || state.connections.iter().filter(|connection| connection.address == *address);
            let tried = state.tried.get(address).is_some_and(|at| now < *at + AVOIDED);
            (tried, to().any(|connection| connection.is_doubted(now)), to().count())
        };
        let mut addresses = addresses.to_vec();
        addresses.sort_by_cached_key(promise);
        addresses
    }

    async fn resolve(&self, opening: &mut Opening) -> anyhow::Result<()> {
        if opening.resolved_at.is_some_and(|at| at.elapsed() < self.settings.resolve) {
            return Ok(());
        }
        match timeout(RESOLVING, (self.resolve)()).await.unwrap_or_else(|late| Err(late.into())) {
            Ok(mut addresses) if !addresses.is_empty() => {
                addresses.sort();
                addresses.dedup();
                // Callers start at different addresses, where there are more than are used.
                let first = usize::try_from(self.random.below(u32::try_from(addresses.len())?))?;
                addresses.rotate_left(first);
                addresses.truncate(MAX_ADDRESSES);
                opening.addresses = addresses;
                opening.resolved_at = Some(Instant::now());
                Ok(())
            }
            // The known addresses may still be valid, and callers do not each retry the lookup.
            _ if !opening.addresses.is_empty() => {
                opening.resolved_at = Some(Instant::now());
                Ok(())
            }
            Ok(_) => anyhow::bail!("{} has no address", self.target.host),
            Err(error) => Err(error).with_context(|| self.target.host.clone()),
        }
    }

    async fn connect(&self, address: SocketAddr) -> anyhow::Result<Arc<Connection>> {
        // From four to six fifths: connections opened together are not renewed together.
        let age = self.settings.age.mul_f64(0.8 + f64::from(self.random.below(400)) / 1000.0);
        let begun = Instant::now();
        // Before connecting: the waiting caller may give up.
        self.state().tried.insert(address, begun);
        let opened = (self.connect)(address, begun + age).await;
        let outcome = if opened.is_ok() { Outcome::Ok } else { Outcome::Failed };
        PEER_CONNECTIONS_OPENED.with((self.target.name, outcome)).increment(1);
        let connection = Arc::new(opened?);
        let mut state = self.state();
        state.tried.remove(&address);
        state.connections.push(Arc::clone(&connection));
        Ok(connection)
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn over_tcp(target: Target) -> Connect {
    Box::new(move |address, renew_at| {
        let target = target.clone();
        Box::pin(async move { Connection::open(&target, address, renew_at).await })
    })
}

/// The error for a request that could not be buffered.
fn unread(error: BoxError) -> Status {
    if error.is::<LengthLimitError>() {
        return status::new(Kind::TooLarge, "MESSAGE_TOO_LARGE", "the request is larger than 4 MiB", &[]);
    }
    Status::from_error(error)
}

fn away() -> Status {
    Status::unavailable("another service cannot be reached; try again soon")
}

#[cfg(test)]
mod tests;
