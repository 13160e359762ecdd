//! A minimal HTTP/1.1 client: a persistent connection, one request at a time.

use std::sync::Arc;

use anyhow::Context as _;
use bytes::Bytes;
use http::{HeaderValue, Request, Response, StatusCode, header::HOST};
use http_body_util::{BodyExt as _, Full};
use hyper::{
    body::Incoming,
    client::conn::http1::{SendRequest, handshake},
};
use hyper_util::rt::TokioIo;
use rustls::{
    ClientConfig, RootCertStore,
    pki_types::{CertificateDer, ServerName, pem::PemObject as _},
};
use tokio::{
    io::{AsyncRead, AsyncWrite},
    net::TcpStream,
};
use tokio_rustls::TlsConnector;
use url::Url;

/// A byte stream in both directions, encrypted or not.
pub type Stream = Box<dyn Duplex>;

/// A stream that a connection reads from and writes to.
pub trait Duplex: AsyncRead + AsyncWrite + Unpin + Send {}

impl<S: AsyncRead + AsyncWrite + Unpin + Send> Duplex for S {}

/// A server.
#[derive(Clone)]
pub struct Server {
    base: String,
    host: String,
    port: u16,
    authority: HeaderValue,
    tls: Option<Arc<ClientConfig>>,
}

/// A connection to a server.
pub struct Connection {
    sender: SendRequest<Full<Bytes>>,
    authority: HeaderValue,
}

impl Server {
    /// For `https`, `ca_certificate` is the PEM of the only authority to trust.
    pub fn new(url: &str, ca_certificate: Option<&str>) -> anyhow::Result<Self> {
        let parsed: Url = url.parse().with_context(|| format!("{url:?} is not a URL"))?;
        let host = parsed.host_str().with_context(|| format!("{url:?} names no host"))?.to_owned();
        let port = parsed.port_or_known_default().with_context(|| format!("{url:?} names no port"))?;
        let tls = if parsed.scheme() == "https" {
            Some(trusting(ca_certificate.context("https needs the certificate of the authority: name it with --ca-certificate")?)?)
        } else {
            None
        };
        let authority = HeaderValue::try_from(format!("{host}:{port}"))?;
        Ok(Self { base: url.trim_end_matches('/').to_owned(), host, port, authority, tls })
    }

    /// Its URL, without a trailing slash.
    pub fn base(&self) -> &str {
        &self.base
    }

    /// Opens a connection.
    pub async fn connect(&self) -> anyhow::Result<Connection> {
        let (sender, connection) = handshake(TokioIo::new(self.open(&[]).await?)).await?;
        // Ends with the connection. Whoever uses the connection sees the error.
        tokio::spawn(connection);
        Ok(Connection { sender, authority: self.authority.clone() })
    }

    /// Opens a byte stream for one of these protocols (ALPN).
    pub async fn open(&self, protocols: &[&[u8]]) -> anyhow::Result<Stream> {
        let tcp = TcpStream::connect((self.host.as_str(), self.port)).await.with_context(|| format!("cannot connect to {}", self.base))?;
        tcp.set_nodelay(true)?;
        let Some(tls) = &self.tls else { return Ok(Box::new(tcp)) };
        let mut config = ClientConfig::clone(tls);
        config.alpn_protocols = protocols.iter().map(|protocol| protocol.to_vec()).collect();
        let name = ServerName::try_from(self.host.clone())?;
        Ok(Box::new(TlsConnector::from(Arc::new(config)).connect(name, tcp).await.context("TLS handshake")?))
    }
}

fn trusting(ca_certificate: &str) -> anyhow::Result<Arc<ClientConfig>> {
    let mut roots = RootCertStore::empty();
    for certificate in CertificateDer::pem_slice_iter(ca_certificate.as_bytes()) {
        roots.add(certificate?)?;
    }
    Ok(Arc::new(ClientConfig::builder().with_root_certificates(roots).with_no_client_auth()))
}

impl Connection {
    /// Sends a request with a path as its URI, and returns the head of the response.
    pub async fn send(&mut self, mut request: Request<Full<Bytes>>) -> Result<Response<Incoming>, hyper::Error> {
        request.headers_mut().insert(HOST, self.authority.clone());
        self.sender.ready().await?;
        self.sender.send_request(request).await
    }

    /// Sends a request and reads the whole response.
    pub async fn exchange(&mut self, request: Request<Full<Bytes>>) -> Result<(StatusCode, Bytes), hyper::Error> {
        let answer = self.send(request).await?;
        let status = answer.status();
        Ok((status, answer.into_body().collect().await?.to_bytes()))
    }
}
