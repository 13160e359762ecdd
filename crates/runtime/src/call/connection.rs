//! One HTTP/2 connection to a replica of another service, and the calls on it.

use std::{
    net::SocketAddr,
    pin::{Pin, pin},
    sync::{
        Arc,
        atomic::{AtomicU64, AtomicUsize, Ordering},
    },
    task::{Context, Poll},
    time::Duration,
};

use anyhow::Context as _;
use bytes::Bytes;
use http::{Request, Response, Uri, Version, uri::Scheme};
use hyper::{
    body::{Frame, Incoming, SizeHint},
    client::conn::http2,
};
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use nodkey_kernel::service_key::ServiceName;
use rustls::{
    ClientConfig, RootCertStore,
    pki_types::{CertificateDer, ServerName, pem::PemObject as _},
};
use tokio::{
    io::{AsyncRead, AsyncWrite},
    net::TcpStream,
    time::Instant,
};
use tokio_rustls::TlsConnector;
use tonic::{Status, body::Body};
use tracing::debug;

use super::metrics::PEER_CONNECTIONS;

/// Connect timeout, including TLS.
const CONNECT: Duration = Duration::from_secs(3);
/// Duration of silence after which the peer is pinged.
const PING: Duration = Duration::from_secs(5);
/// How long the peer may take to answer the ping.
const PONG: Duration = Duration::from_secs(10);
/// How long a connection is suspect: by then it is closed, or the peer has answered.
const DOUBT: Duration = PING.saturating_add(PONG);

/// The address of a service, from the URL in its setting.
#[derive(Clone)]
pub(crate) struct Target {
    pub(crate) name: ServiceName,
    pub(crate) host: String,
    pub(crate) port: u16,
    origin: Uri,
    tls: Option<(TlsConnector, ServerName<'static>)>,
}

impl Target {
    /// Parses a URL. With `https` it trusts the authority in this PEM, or the system's.
    pub(crate) fn new(name: ServiceName, url: &str, authority: Option<&[u8]>) -> anyhow::Result<Self> {
        let invalid = || format!("{url:?} is no URL of a service: set NODKEY_PEERS__...");
        let origin: Uri = url.parse().with_context(invalid)?;
        let secure = match origin.scheme() {
            Some(scheme) if *scheme == Scheme::HTTPS => true,
            Some(scheme) if *scheme == Scheme::HTTP => false,
            _ => anyhow::bail!(invalid()),
        };
        let host = origin.host().with_context(invalid)?.trim_matches(['[', ']']).to_owned();
        let tls = if secure { Some((connector(authority)?, ServerName::try_from(host.clone()).with_context(invalid)?)) } else { None };
        Ok(Self { name, port: origin.port_u16().unwrap_or(if secure { 443 } else { 80 }), host, origin, tls })
    }

    /// The same path and query at this service.
    pub(crate) fn uri(&self, of: &Uri) -> Result<Uri, http::Error> {
        let mut parts = self.origin.clone().into_parts();
        parts.path_and_query = of.path_and_query().cloned();
        Ok(Uri::from_parts(parts)?)
    }
}

fn connector(authority: Option<&[u8]>) -> anyhow::Result<TlsConnector> {
    let mut roots = RootCertStore::empty();
    if let Some(pem) = authority {
        for certificate in CertificateDer::pem_slice_iter(pem) {
            roots.add(certificate.context("peers.ca_certificate is not PEM")?).context("peers.ca_certificate")?;
        }
    } else {
        roots.add_parsable_certificates(rustls_native_certs::load_native_certs().certs);
    }
    anyhow::ensure!(!roots.is_empty(), "no certificate authority is trusted for https: set NODKEY_PEERS__CA_CERTIFICATE");
    let mut config = ClientConfig::builder().with_root_certificates(roots).with_no_client_auth();
    config.alpn_protocols = vec![b"h2".to_vec()];
    Ok(TlsConnector::from(Arc::new(config)))
}

/// One connection. It is closed once nobody holds it any more and its calls have completed.
pub(crate) struct Connection {
    pub(crate) address: SocketAddr,
    /// After this time it is used only if there is no other.
    pub(crate) renew_at: Instant,
    sender: http2::SendRequest<Body>,
    calls: AtomicUsize,
    /// Maximum number of concurrent calls that the peer accepts.
    most: Arc<AtomicUsize>,
    made_at: Instant,
    /// Until when the peer is suspected to be gone, in milliseconds since `made_at`.
    doubted: AtomicU64,
}

impl Connection {
    /// Connects to the address.
    pub(crate) async fn open(target: &Target, address: SocketAddr, renew_at: Instant) -> anyhow::Result<Self> {
        let connect = async {
            let tcp = TcpStream::connect(address).await?;
            // Messages are small, and must not wait for the previous one to be acknowledged.
            tcp.set_nodelay(true)?;
            match &target.tls {
                None => Self::over(tcp, target.name, address, renew_at).await,
                Some((connector, name)) => {
                    let tls = connector.connect(name.clone(), tcp).await?;
                    Self::over(tls, target.name, address, renew_at).await
                }
            }
        };
        tokio::time::timeout(CONNECT, connect).await.context("it takes too long")?
    }

    async fn over<S>(stream: S, name: ServiceName, address: SocketAddr, renew_at: Instant) -> anyhow::Result<Self>
    where
        S: AsyncRead + AsyncWrite + Send + Unpin + 'static,
    {
        let mut builder = http2::Builder::new(TokioExecutor::new());
        builder.timer(TokioTimer::new()).keep_alive_interval(PING).keep_alive_timeout(PONG).keep_alive_while_idle(true);
        let (sender, connection) = builder.handshake(TokioIo::new(stream)).await?;
        let most = Arc::new(AtomicUsize::new(connection.current_max_send_streams()));
        let told = Arc::clone(&most);
        tokio::spawn(async move {
            let open = PEER_CONNECTIONS.with(name);
            open.increment(1);
            let mut connection = pin!(connection);
            let ended = std::future::poll_fn(|cx| {
                let state = connection.as_mut().poll(cx);
                told.store(connection.current_max_send_streams(), Ordering::Relaxed);
                state
            });
            if let Err(error) = ended.await {
                debug!(peer = name.as_str(), %address, %error, "a connection broke");
            }
            open.decrement(1);
        });
        let (calls, doubted) = (AtomicUsize::new(0), AtomicU64::new(0));
        Ok(Self { address, renew_at, sender, calls, most, made_at: Instant::now(), doubted })
    }

    /// Number of calls on it; `None` when it accepts no more.
    pub(crate) fn load(&self, at_most: usize) -> Option<usize> {
        let calls = self.calls.load(Ordering::Relaxed);
        (calls < at_most.min(self.most.load(Ordering::Relaxed))).then_some(calls)
    }

    /// Whether a caller recently gave up waiting on it, and nothing has been received since. The peer may be gone, or only slow.
    pub(crate) fn is_doubted(&self, now: Instant) -> bool {
        self.age(now) < self.doubted.load(Ordering::Relaxed)
    }

    fn doubt(&self) {
        let until = self.age(Instant::now() + DOUBT);
        self.doubted.store(until, Ordering::Relaxed);
    }

    fn trust(&self) {
        self.doubted.store(0, Ordering::Relaxed);
    }

    /// Its age in milliseconds.
    fn age(&self, now: Instant) -> u64 {
        u64::try_from(now.saturating_duration_since(self.made_at).as_millis()).unwrap_or(u64::MAX)
    }

    /// Whether nothing can be sent on it any more.
    pub(crate) fn is_closed(&self) -> bool {
        self.sender.is_closed()
    }
}

/// A call's slot on a connection, released when dropped.
pub(crate) struct Lease {
    on: Arc<Connection>,
    /// Whether a request was sent and nothing of a response has arrived.
    waits: bool,
}

impl Lease {
    pub(crate) fn of(connection: &Arc<Connection>) -> Self {
        connection.calls.fetch_add(1, Ordering::Relaxed);
        Self { on: Arc::clone(connection), waits: false }
    }

    /// Sends a request. The error returns the request if nothing of it was sent.
    pub(crate) async fn send(mut self, mut request: Request<Body>) -> Result<Response<Body>, Failed> {
        *request.version_mut() = Version::HTTP_2;
        self.waits = true;
        let answer = self.on.sender.clone().try_send_request(request).await;
        self.waits = false;
        match answer {
            Ok(response) => {
                self.on.trust();
                Ok(response.map(|incoming| Body::new(Leased { incoming, _lease: self })))
            }
            Err(mut error) => {
                let unsent = error.take_message().map(Box::new);
                debug!(address = %self.on.address, error = %error.error(), sent = unsent.is_none(), "a call failed on its connection");
                Err(Failed { on: Arc::clone(&self.on), unsent })
            }
        }
    }
}

impl Drop for Lease {
    fn drop(&mut self) {
        if self.waits {
            self.on.doubt();
        }
        self.on.calls.fetch_sub(1, Ordering::Relaxed);
    }
}

/// A call without a response.
pub(crate) struct Failed {
    pub(crate) on: Arc<Connection>,
    pub(crate) unsent: Option<Box<Request<Body>>>,
}

/// A response that holds the slot of its call until it is read.
struct Leased {
    incoming: Incoming,
    _lease: Lease,
}

impl hyper::body::Body for Leased {
    type Data = Bytes;
    type Error = Status;

    fn poll_frame(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, Status>>> {
        Pin::new(&mut self.incoming).poll_frame(cx).map_err(|error| {
            debug!(%error, "a response was interrupted");
            broken()
        })
    }

    fn is_end_stream(&self) -> bool {
        self.incoming.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.incoming.size_hint()
    }
}

/// The status that callers get when their connection breaks.
pub(crate) fn broken() -> Status {
    Status::unavailable("the connection to another service broke; try again soon")
}
