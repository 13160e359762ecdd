//! Listeners: HTTP/1.1 and HTTP/2 on one port, plain or over TLS.

use std::{
    future::pending,
    io,
    net::SocketAddr,
    pin::pin,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use anyhow::Context as _;
use axum::{Router, body::Body, extract::ConnectInfo};
use http::Request;
use hyper::body::Incoming;
use hyper_util::{
    rt::{TokioExecutor, TokioIo, TokioTimer},
    server::{
        conn::auto,
        graceful::{GracefulShutdown, Watcher},
    },
    service::TowerToHyperService,
};
use metrics::{counter, gauge};
use tokio::{
    io::{AsyncRead, AsyncWrite},
    net::{TcpListener, TcpStream},
};
use tokio_rustls::TlsAcceptor;
use tokio_util::sync::CancellationToken;
use tower::ServiceExt as _;
use tracing::{debug, warn};

/// How long a TLS handshake may take.
const HANDSHAKE: Duration = Duration::from_secs(10);
/// How long a connection may take to ask its first thing, and an HTTP/1.1 one to ask the next.
const IDLE: Duration = Duration::from_mins(1);
/// How often an HTTP/2 client is asked whether it is still there, and how long it may take to say so.
const PING: Duration = Duration::from_secs(20);
/// How many calls of one HTTP/2 connection are served at once: those that wait count, too.
const MAX_STREAMS: u32 = 10_000;
/// How long to wait when no connection can be accepted, as when file descriptors run out.
const BREATH: Duration = Duration::from_millis(500);

/// Where clients connect.
pub(crate) struct Listener {
    tcp: TcpListener,
    tls: Option<TlsAcceptor>,
}

impl Listener {
    /// Binds one.
    pub(crate) async fn bind(address: SocketAddr) -> anyhow::Result<Self> {
        let tcp = TcpListener::bind(address).await.with_context(|| format!("cannot listen on {address}; is another nodkey running?"))?;
        Ok(Self { tcp, tls: None })
    }

    /// The same, over TLS if there is any.
    pub(crate) fn with_tls(self, tls: Option<TlsAcceptor>) -> Self {
        Self { tls, ..self }
    }

    /// Where it listens.
    pub(crate) fn local_addr(&self) -> io::Result<SocketAddr> {
        self.tcp.local_addr()
    }

    /// Serves until the token is cancelled, then finishes what is in flight.
    pub(crate) async fn serve(self, routes: Router, shutdown: CancellationToken) -> anyhow::Result<()> {
        let graceful = GracefulShutdown::new();
        while let Some(accepted) = shutdown.run_until_cancelled(self.tcp.accept()).await {
            match accepted {
                Ok((tcp, address)) => {
                    let connection = connection(tcp, address, self.tls.clone(), routes.clone(), graceful.watcher());
                    tokio::spawn(connection);
                }
                Err(e) if is_of_the_connection(&e) => {}
                Err(e) => {
                    warn!(error = %e, "cannot accept connections");
                    tokio::time::sleep(BREATH).await;
                }
            }
        }
        drop(self.tcp);
        graceful.shutdown().await;
        Ok(())
    }
}

/// Whether the client was gone before it was accepted.
fn is_of_the_connection(error: &io::Error) -> bool {
    matches!(error.kind(), io::ErrorKind::ConnectionRefused | io::ErrorKind::ConnectionAborted | io::ErrorKind::ConnectionReset)
}

async fn connection(tcp: TcpStream, address: SocketAddr, tls: Option<TlsAcceptor>, routes: Router, watcher: Watcher) {
    // Answers are small: none may wait for the one before to be acknowledged.
    let _ = tcp.set_nodelay(true);
    let Some(tls) = tls else {
        return serve(tcp, address, routes, watcher).await;
    };
    let why = match tokio::time::timeout(HANDSHAKE, tls.accept(tcp)).await {
        Ok(Ok(stream)) => return serve(stream, address, routes, watcher).await,
        Ok(Err(e)) => e.to_string(),
        Err(_) => "it took too long".to_owned(),
    };
    counter!("nodkey_tls_handshakes_failed_total").increment(1);
    debug!(why, "a TLS handshake failed");
}

async fn serve(stream: impl AsyncRead + AsyncWrite + Send + Unpin + 'static, address: SocketAddr, routes: Router, watcher: Watcher) {
    let open = gauge!("nodkey_connections");
    open.increment(1);
    let asked = Arc::new(AtomicBool::new(false));
    let seen = Arc::clone(&asked);
    let service = TowerToHyperService::new(routes.map_request(move |mut request: Request<Incoming>| {
        seen.store(true, Ordering::Relaxed);
        request.extensions_mut().insert(ConnectInfo(address));
        request.map(Body::new)
    }));
    let mut builder = auto::Builder::new(TokioExecutor::new());
    builder.http1().timer(TokioTimer::new()).header_read_timeout(IDLE);
    builder.http2().timer(TokioTimer::new()).keep_alive_interval(PING).keep_alive_timeout(PING).max_concurrent_streams(MAX_STREAMS);
    let mut serving = pin!(watcher.watch(builder.serve_connection(TokioIo::new(stream), service)));
    // Until its first bytes tell the protocol, no limit of either applies.
    let silent = async {
        tokio::time::sleep(IDLE).await;
        if asked.load(Ordering::Relaxed) {
            pending::<()>().await;
        }
    };
    tokio::select! {
        ended = &mut serving => if let Err(e) = ended {
            debug!(error = e, "a connection failed");
        },
        () = silent => debug!("a connection asked nothing"),
    }
    open.decrement(1);
}
