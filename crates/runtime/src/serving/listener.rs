//! Listeners: HTTP/1.1 and HTTP/2 on one port, plain or over TLS, with a limit on connections.

use std::{io, net::SocketAddr, sync::Arc, time::Duration};

use anyhow::Context as _;
use axum::Router;
use hyper_util::server::conn::auto;
use tokio::net::{TcpListener, TcpStream};
use tokio_rustls::TlsAcceptor;
use tokio_util::{sync::CancellationToken, task::TaskTracker};
use tracing::{debug, warn};

use super::{
    connection::{self, Audience},
    metrics::{CONNECTIONS, TLS_HANDSHAKES_FAILED},
    places::{ConnectionLimits, Place, Places},
    stream::Streams,
};
use crate::call::refusals::refused;

/// Timeout of a TLS handshake.
const HANDSHAKE: Duration = Duration::from_secs(10);
/// Pause when no connection can be accepted, for example when file descriptors run out.
const RECOVERY: Duration = Duration::from_millis(500);

/// A socket that accepts clients.
pub(crate) struct Listener {
    tcp: TcpListener,
    tls: Option<TlsAcceptor>,
    limits: ConnectionLimits,
    audience: Audience,
}

impl Listener {
    /// Binds a listener for the public.
    pub(crate) async fn bind(address: SocketAddr) -> anyhow::Result<Self> {
        let tcp = TcpListener::bind(address).await.with_context(|| format!("cannot listen on {address}; is another nodkey running?"))?;
        Ok(Self { tcp, tls: None, limits: ConnectionLimits::default(), audience: Audience::Public })
    }

    /// Sets TLS, if there is any.
    pub(crate) fn with_tls(self, tls: Option<TlsAcceptor>) -> Self {
        Self { tls, ..self }
    }

    /// Sets the connection limits.
    pub(crate) fn with_limits(self, limits: ConnectionLimits) -> Self {
        Self { limits, ..self }
    }

    /// Sets the audience.
    pub(crate) fn for_audience(self, audience: Audience) -> Self {
        Self { audience, ..self }
    }

    /// The address on which it listens.
    pub(crate) fn local_addr(&self) -> io::Result<SocketAddr> {
        self.tcp.local_addr()
    }

    /// Serves until the token is canceled, then completes the requests in flight.
    pub(crate) async fn serve(self, routes: Router, shutdown: CancellationToken) -> anyhow::Result<()> {
        let (tracker, places) = (TaskTracker::new(), Places::new(self.limits.within_files()));
        let serving = Arc::new(Serving { builder: self.audience.builder(), tls: self.tls, routes, shutdown: shutdown.clone() });
        while let Some(accepted) = shutdown.run_until_cancelled(self.tcp.accept()).await {
            match accepted {
                Ok((tcp, address)) => match places.take(address.ip()) {
                    Ok(place) => drop(tracker.spawn(Arc::clone(&serving).connection(tcp, address, place))),
                    // Closed immediately: the protocol is not known yet, so no response can be sent.
                    Err(limit) => refused(limit),
                },
                Err(e) if is_of_the_connection(&e) => {}
                Err(e) => {
                    warn!(error = %e, "cannot accept connections");
                    tokio::time::sleep(RECOVERY).await;
                }
            }
        }
        drop(self.tcp);
        tracker.close();
        tracker.wait().await;
        Ok(())
    }
}

/// Whether the client was gone before it was accepted.
fn is_of_the_connection(error: &io::Error) -> bool {
    matches!(error.kind(), io::ErrorKind::ConnectionRefused | io::ErrorKind::ConnectionAborted | io::ErrorKind::ConnectionReset)
}

/// What is needed to serve connections.
struct Serving {
    builder: auto::Builder<Streams>,
    tls: Option<TlsAcceptor>,
    routes: Router,
    shutdown: CancellationToken,
}

impl Serving {
    async fn connection(self: Arc<Self>, tcp: TcpStream, address: SocketAddr, _place: Place) {
        CONNECTIONS.increment(1);
        // Responses are small, and must not wait for the previous one to be acknowledged.
        let _ = tcp.set_nodelay(true);
        let (routes, shutdown) = (self.routes.clone(), self.shutdown.clone());
        // Boxed, so that a connection takes no more memory than it needs: there are many.
        let served = match &self.tls {
            None => Box::pin(connection::serve(tcp, &self.builder, routes, address, shutdown)).await,
            Some(tls) => Box::pin(secure(tcp, tls, &self.builder, routes, address, shutdown)).await,
        };
        if let Err(e) = served {
            debug!(error = format!("{e:#}"), "a connection failed");
        }
        CONNECTIONS.decrement(1);
    }
}

async fn secure(
    tcp: TcpStream,
    tls: &TlsAcceptor,
    builder: &auto::Builder<Streams>,
    routes: Router,
    address: SocketAddr,
    shutdown: CancellationToken,
) -> anyhow::Result<()> {
    let accepted = shutdown.run_until_cancelled(tokio::time::timeout(HANDSHAKE, tls.accept(tcp))).await;
    let Some(accepted) = accepted else { return Ok(()) };
    let accepted = accepted.unwrap_or_else(|_| Err(io::ErrorKind::TimedOut.into()));
    let stream = accepted.inspect_err(|_| TLS_HANDSHAKES_FAILED.increment(1)).context("TLS handshake")?;
    Box::pin(connection::serve(stream, builder, routes, address, shutdown)).await
}

#[cfg(test)]
mod tests {
    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};

    use super::*;

    /// A request after which no other follows.
    const LAST: &[u8] = b"GET / HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n";

    async fn exchange(address: SocketAddr) -> String {
        let mut stream = TcpStream::connect(address).await.unwrap();
        // Refused connections may be closed before they send it.
        let _ = stream.write_all(LAST).await;
        let mut answer = String::new();
        let _ = stream.read_to_string(&mut answer).await;
        answer
    }

    #[tokio::test]
    async fn who_has_asked_nothing_does_not_hold_up_the_stop() {
        let listener = Listener::bind(([127, 0, 0, 1], 0).into()).await.unwrap();
        let (address, stop) = (listener.local_addr().unwrap(), CancellationToken::new());
        let server = tokio::spawn(listener.serve(Router::new(), stop.clone()));
        let mut silent = TcpStream::connect(address).await.unwrap();
        // Connections are accepted in order: once this one is answered, the previous one is being served.
        let answer = exchange(address).await;
        assert!(answer.starts_with("HTTP/1.1 404"), "{answer}");
        stop.cancel();
        // Less than any timeout that would end it.
        tokio::time::timeout(Duration::from_secs(20), server).await.expect("stopped").unwrap().unwrap();
        assert_eq!(silent.read(&mut [0; 1]).await.unwrap(), 0);
    }

    #[tokio::test]
    async fn connections_beyond_the_limit_are_closed_and_served_again_when_others_end() {
        let limits = ConnectionLimits { all: 10, of_one_address: Some(2) };
        let listener = Listener::bind(([127, 0, 0, 1], 0).into()).await.unwrap().with_limits(limits);
        let address = listener.local_addr().unwrap();
        tokio::spawn(listener.serve(Router::new(), CancellationToken::new()));
        let held = [TcpStream::connect(address).await.unwrap(), TcpStream::connect(address).await.unwrap()];
        assert_eq!(exchange(address).await, "", "closed without an answer");
        drop(held);
        while exchange(address).await.is_empty() {
            tokio::task::yield_now().await;
        }
    }
}
