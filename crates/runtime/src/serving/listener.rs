//! Listeners: HTTP/1.1 and HTTP/2 on one port, plain or over TLS.

use std::{convert::Infallible, io, net::SocketAddr, time::Duration};

use anyhow::Context as _;
use axum::{Router, body::Body, extract::ConnectInfo, response::Response, routing::future::RouteFuture};
use http::Request;
use hyper::{
    body::Incoming,
    server::conn::{http1, http2},
    service::Service,
};
use hyper_util::{
    rt::{TokioExecutor, TokioIo, TokioTimer},
    server::graceful::{GracefulShutdown, Watcher},
};
use metrics::{counter, gauge};
use tokio::{
    io::{AsyncRead, AsyncWrite},
    net::{TcpListener, TcpStream},
};
use tokio_rustls::TlsAcceptor;
use tokio_util::sync::CancellationToken;
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
const RECOVERY: Duration = Duration::from_millis(500);
/// How long to wait for the rest of the few bytes that tell the protocol.
const BREATH: Duration = Duration::from_millis(10);

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
                    let serving = Serving {
                        routes: Routes { routes: routes.clone(), address },
                        watcher: graceful.watcher(),
                        shutdown: shutdown.clone(),
                    };
                    tokio::spawn(connection(tcp, self.tls.clone(), serving));
                }
                Err(e) if is_of_the_connection(&e) => {}
                Err(e) => {
                    warn!(error = %e, "cannot accept connections");
                    tokio::time::sleep(RECOVERY).await;
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

/// What a connection is served with.
struct Serving {
    routes: Routes,
    watcher: Watcher,
    shutdown: CancellationToken,
}

async fn connection(tcp: TcpStream, tls: Option<TlsAcceptor>, serving: Serving) {
    let open = gauge!("nodkey_connections");
    open.increment(1);
    // Answers are small: none may wait for the one before to be acknowledged.
    let _ = tcp.set_nodelay(true);
    // Boxed, so that a connection takes no more memory than what it is: there are many.
    let served = match tls {
        None => Box::pin(plain(tcp, serving)).await,
        Some(tls) => Box::pin(secure(tcp, tls, serving)).await,
    };
    if let Err(e) = served {
        debug!(error = format!("{e:#}"), "a connection failed");
    }
    open.decrement(1);
}

async fn plain(tcp: TcpStream, serving: Serving) -> anyhow::Result<()> {
    // Who has said nothing yet does not hold up the stop; whoever has is ended in order by the watcher.
    let begins = serving.shutdown.run_until_cancelled(tokio::time::timeout(IDLE, begins_http2(&tcp))).await;
    let Some(begins) = begins else { return Ok(()) };
    if begins.context("it asked nothing")?? { http2(tcp, serving).await } else { http1(tcp, serving).await }
}

async fn secure(tcp: TcpStream, tls: TlsAcceptor, serving: Serving) -> anyhow::Result<()> {
    let accepted = serving.shutdown.run_until_cancelled(tokio::time::timeout(HANDSHAKE, tls.accept(tcp))).await;
    let Some(accepted) = accepted else { return Ok(()) };
    let accepted = accepted.unwrap_or_else(|_| Err(io::ErrorKind::TimedOut.into()));
    let stream = accepted.inspect_err(|_| counter!("nodkey_tls_handshakes_failed_total").increment(1)).context("TLS handshake")?;
    match stream.get_ref().1.alpn_protocol() {
        Some(b"h2") => http2(stream, serving).await,
        _ => http1(stream, serving).await,
    }
}

/// Whether the first bytes are those of HTTP/2 (RFC 9113, section 3.4). They stay where they are: what reads them reads all at once.
async fn begins_http2(tcp: &TcpStream) -> io::Result<bool> {
    const PREFACE: &[u8] = b"PRI ";
    let mut start = [0; PREFACE.len()];
    loop {
        let n = tcp.peek(&mut start).await?;
        if n == 0 || start[..n] != PREFACE[..n] {
            return Ok(false);
        }
        if n == PREFACE.len() {
            return Ok(true);
        }
        // The rest is on its way; nothing tells when it is here while these bytes are not taken.
        tokio::time::sleep(BREATH).await;
    }
}

async fn http1(stream: impl Stream, Serving { routes, watcher, .. }: Serving) -> anyhow::Result<()> {
    let mut builder = http1::Builder::new();
    builder.timer(TokioTimer::new()).header_read_timeout(IDLE);
    Ok(watcher.watch(builder.serve_connection(TokioIo::new(stream), routes)).await?)
}

async fn http2(stream: impl Stream, Serving { routes, watcher, .. }: Serving) -> anyhow::Result<()> {
    let mut builder = http2::Builder::new(TokioExecutor::new());
    builder.timer(TokioTimer::new()).keep_alive_interval(PING).keep_alive_timeout(PING).max_concurrent_streams(MAX_STREAMS);
    Ok(watcher.watch(builder.serve_connection(TokioIo::new(stream), routes)).await?)
}

/// What a connection carries.
trait Stream: AsyncRead + AsyncWrite + Send + Unpin + 'static {}

impl<T: AsyncRead + AsyncWrite + Send + Unpin + 'static> Stream for T {}

/// Tells every request where it comes from.
struct Routes {
    routes: Router,
    address: SocketAddr,
}

impl Service<Request<Incoming>> for Routes {
    type Response = Response;
    type Error = Infallible;
    type Future = RouteFuture<Infallible>;

    fn call(&self, mut request: Request<Incoming>) -> Self::Future {
        request.extensions_mut().insert(ConnectInfo(self.address));
        // A router is always ready.
        tower::Service::call(&mut self.routes.clone(), request.map(Body::new))
    }
}

#[cfg(test)]
mod tests {
    use tokio::io::AsyncReadExt as _;

    use super::*;

    #[tokio::test]
    async fn who_has_asked_nothing_does_not_hold_up_the_stop() {
        let listener = Listener::bind(([127, 0, 0, 1], 0).into()).await.unwrap();
        let (address, stop) = (listener.local_addr().unwrap(), CancellationToken::new());
        let server = tokio::spawn(listener.serve(Router::new(), stop.clone()));
        let mut silent = TcpStream::connect(address).await.unwrap();
        // Accepted in order: once this one is answered, that one is being served.
        let mut asking = TcpStream::connect(address).await.unwrap();
        tokio::io::AsyncWriteExt::write_all(&mut asking, b"GET / HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n").await.unwrap();
        let mut answer = String::new();
        asking.read_to_string(&mut answer).await.unwrap();
        assert!(answer.starts_with("HTTP/1.1 404"), "{answer}");
        stop.cancel();
        // Half of what the idle limit would take.
        tokio::time::timeout(IDLE / 2, server).await.expect("stopped").unwrap().unwrap();
        assert_eq!(silent.read(&mut [0; 1]).await.unwrap(), 0);
    }
}
