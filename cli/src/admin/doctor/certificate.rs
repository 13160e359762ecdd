//! When the certificate of an address ends.

use std::{sync::Arc, time::Duration};

use anyhow::Context as _;
use nodkey_kernel::time::Timestamp;
use rustls::{
    ClientConfig, DigitallySignedStruct, Error, SignatureScheme,
    client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier},
    crypto::{CryptoProvider, aws_lc_rs, verify_tls12_signature, verify_tls13_signature},
    pki_types::{CertificateDer, ServerName, UnixTime},
};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;
use url::Url;
use x509_parser::prelude::{FromDer as _, X509Certificate};

use super::{Check, PATIENCE};

/// Certificates are usually renewed when a third of 90 days is left. With less than this, that has failed for a while.
const SOON: Duration = Duration::from_hours(21 * 24);

const RENEW: &str = "Renew it: services use new files within a second, proxies when they are reloaded.";

/// Checks the certificate of an https URL; `None` for others. An address that nobody listens at is not checked here.
pub async fn check(subject: &str, url: &str, now: Timestamp) -> Option<Check> {
    let url = Url::parse(url).ok().filter(|url| url.scheme() == "https")?;
    let host = url.host_str()?.trim_matches(['[', ']']);
    let connected = TcpStream::connect((host, url.port_or_known_default().unwrap_or(443)));
    let stream = tokio::time::timeout(PATIENCE, connected).await.ok()?.ok()?;
    let ends = tokio::time::timeout(PATIENCE, end(host, stream)).await.ok()?;
    Some(match ends {
        Err(e) => Check::fail("certificate", subject, format!("{e:#}"), RENEW),
        Ok(ends) if ends <= now => Check::fail("certificate", subject, format!("it ended at {ends}"), RENEW),
        Ok(ends) if now.until(ends) < SOON => Check::warn("certificate", subject, format!("it ends at {ends}"), RENEW),
        Ok(ends) => Check::ok("certificate", subject, format!("good until {ends}")),
    })
}

async fn end(host: &str, stream: TcpStream) -> anyhow::Result<Timestamp> {
    let provider = Arc::new(aws_lc_rs::default_provider());
    let config = ClientConfig::builder_with_provider(Arc::clone(&provider)).with_safe_default_protocol_versions()?;
    let config = config.dangerous().with_custom_certificate_verifier(Arc::new(Anybody(provider))).with_no_client_auth();
    let name = ServerName::try_from(host.to_owned())?;
    let stream = TlsConnector::from(Arc::new(config)).connect(name, stream).await.context("it does not speak TLS")?;
    let certificate = stream.get_ref().1.peer_certificates().and_then(<[_]>::first).context("it has no certificate")?;
    let (_, certificate) = X509Certificate::from_der(certificate).context("its certificate is malformed")?;
    Ok(Timestamp::from_seconds(certificate.validity().not_after.timestamp()))
}

/// Takes every certificate, to look at it. Nothing is sent to whoever has it: whether it is trusted, the calls themselves say.
#[derive(Debug)]
struct Anybody(Arc<CryptoProvider>);

impl ServerCertVerifier for Anybody {
    fn verify_server_cert(
        &self,
        _: &CertificateDer<'_>,
        _: &[CertificateDer<'_>],
        _: &ServerName<'_>,
        _: &[u8],
        _: UnixTime,
    ) -> Result<ServerCertVerified, Error> {
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        verify_tls12_signature(message, certificate, signature, &self.0.signature_verification_algorithms)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        verify_tls13_signature(message, certificate, signature, &self.0.signature_verification_algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.0.signature_verification_algorithms.supported_schemes()
    }
}

#[cfg(test)]
mod tests {
    use rcgen::{CertificateParams, KeyPair};
    use rustls::ServerConfig;
    use time::OffsetDateTime;
    use tokio::net::TcpListener;
    use tokio_rustls::TlsAcceptor;

    use super::{super::State, *};

    const DAY: Duration = Duration::from_hours(24);

    #[tokio::test]
    async fn a_certificate_that_ends_soon_is_found_before_it_has_ended() {
        let now = Timestamp::from_seconds(1_800_000_000);
        let ends = now + 100 * DAY;
        let mut parameters = CertificateParams::new(vec!["localhost".to_owned()]).unwrap();
        parameters.not_after = OffsetDateTime::from_unix_timestamp(ends.as_seconds()).unwrap();
        let key = KeyPair::generate().unwrap();
        let certificate = parameters.self_signed(&key).unwrap();
        let provider = Arc::new(aws_lc_rs::default_provider());
        let config = ServerConfig::builder_with_provider(provider).with_safe_default_protocol_versions().unwrap();
        let key = rustls::pki_types::PrivateKeyDer::try_from(key.serialize_der()).unwrap();
        let config = config.with_no_client_auth().with_single_cert(vec![certificate.der().clone()], key).unwrap();
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let server = tokio::spawn(async move {
            let acceptor = TlsAcceptor::from(Arc::new(config));
            while let Ok((stream, _)) = listener.accept().await {
                tokio::spawn(acceptor.accept(stream));
            }
        });
        let state = async |at| check("x", &format!("https://{address}"), at).await.map(|check| check.state);
        assert_eq!(state(now).await, Some(State::Ok));
        assert_eq!(state(now + 80 * DAY).await, Some(State::Warn));
        assert_eq!(state(ends).await, Some(State::Fail));
        assert_eq!(check("x", &format!("http://{address}"), now).await, None);
        server.abort();
        assert!(server.await.unwrap_err().is_cancelled());
        assert_eq!(state(now).await, None, "nobody listens there any more");
    }
}
