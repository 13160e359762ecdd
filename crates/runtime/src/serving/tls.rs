//! TLS on the listeners: certificate and key from files, reloaded when they change.

use std::{path::PathBuf, sync::Arc, time::Duration};

use anyhow::Context as _;
use rustls::{
    ServerConfig,
    crypto::CryptoProvider,
    pki_types::{CertificateDer, PrivateKeyDer, pem::PemObject as _},
    server::{ClientHello, ResolvesServerCert},
    sign::CertifiedKey,
};
use serde::Deserialize;
use tokio::sync::watch;
use tokio_rustls::TlsAcceptor;
use tokio_util::sync::CancellationToken;
use tracing::{info, warn};

use super::{
    metrics::{TLS_CERTIFICATE_NOT_AFTER, TLS_CERTIFICATE_VALID},
    service::Job,
};

/// Interval at which the files are checked.
const CHECK: Duration = Duration::from_secs(1);

/// Paths of certificate and key.
#[derive(Clone, Debug, Deserialize)]
pub struct TlsFiles {
    /// PEM: the server's certificate, followed by the chain to a trusted one.
    pub certificate: PathBuf,
    /// PEM: the private key, in PKCS#8, PKCS#1 or SEC1.
    pub key: PathBuf,
}

/// The contents of the files, byte for byte.
#[derive(Default, PartialEq, Eq)]
struct Pem {
    certificate: Vec<u8>,
    key: Vec<u8>,
}

#[derive(Debug)]
struct Current(watch::Sender<Arc<CertifiedKey>>);

impl ResolvesServerCert for Current {
    fn resolve(&self, _: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        Some(Arc::clone(&self.0.borrow()))
    }
}

/// Creates the acceptor for TLS 1.2 and 1.3 with HTTP/2 and HTTP/1.1, and the job that reloads the files.
pub(crate) async fn load(files: Option<TlsFiles>) -> anyhow::Result<(Option<TlsAcceptor>, Option<Job>)> {
    let Some(files) = files else { return Ok((None, None)) };
    let pem = read(&files).await?;
    let current = Arc::new(Current(watch::Sender::new(Arc::new(parse(&pem).with_context(|| files.certificate.display().to_string())?))));
    let mut config = ServerConfig::builder().with_no_client_auth().with_cert_resolver(Arc::clone(&current) as _);
    config.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
    let job = Job::new("certificate", move |stop| watch(files, pem, current, stop));
    Ok((Some(TlsAcceptor::from(Arc::new(config))), Some(job)))
}

/// A pair that does not match, for example while one file is half written, leaves the previous one in use.
async fn watch(files: TlsFiles, mut seen: Pem, current: Arc<Current>, stop: CancellationToken) {
    let mut ticks = tokio::time::interval(CHECK);
    ticks.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    TLS_CERTIFICATE_VALID.set(1);
    report_expiry(&current);
    while stop.run_until_cancelled(ticks.tick()).await.is_some() {
        // Unreadable: being replaced. If not, gauge and log report it.
        let found = read(&files).await.unwrap_or_default();
        if found == seen {
            continue;
        }
        match parse(&found) {
            Ok(pair) => {
                current.0.send_replace(Arc::new(pair));
                TLS_CERTIFICATE_VALID.set(1);
                report_expiry(&current);
                info!(certificate = %files.certificate.display(), "the certificate was replaced");
            }
            Err(e) => {
                TLS_CERTIFICATE_VALID.set(0);
                warn!(error = format!("{e:#}"), "the new certificate is not usable; the previous one stays in use");
            }
        }
        seen = found;
    }
}

/// Reports when the first certificate of the chain expires.
fn report_expiry(current: &Current) {
    if let Some(expires) = current.0.borrow().cert.iter().filter_map(|certificate| not_after(certificate)).min() {
        #[expect(clippy::cast_precision_loss, reason = "exact for the next hundred million years")]
        TLS_CERTIFICATE_NOT_AFTER.set(expires as f64);
    }
}

/// The end of a certificate's validity, in seconds since 1970. `None` where the parser is stricter than rustls.
fn not_after(certificate: &[u8]) -> Option<i64> {
    let (_, certificate) = x509_parser::parse_x509_certificate(certificate).ok()?;
    Some(certificate.validity().not_after.timestamp())
}

async fn read(files: &TlsFiles) -> anyhow::Result<Pem> {
    let file = async |path: &PathBuf| tokio::fs::read(path).await.with_context(|| format!("cannot read {}", path.display()));
    Ok(Pem { certificate: file(&files.certificate).await?, key: file(&files.key).await? })
}

fn parse(pem: &Pem) -> anyhow::Result<CertifiedKey> {
    let chain: Vec<_> = CertificateDer::pem_slice_iter(&pem.certificate).collect::<Result<_, _>>().context("no PEM certificate")?;
    anyhow::ensure!(!chain.is_empty(), "the certificate file contains no certificate");
    let key = PrivateKeyDer::from_pem_slice(&pem.key).context("the key file contains no private key")?;
    let provider = CryptoProvider::get_default().context("no cryptography provider is installed")?;
    CertifiedKey::from_der(chain, key, provider).context("certificate and key do not match")
}
