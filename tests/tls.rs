//! TLS: the protocols that are spoken, how certificates are replaced, and what a slow client blocks.

use std::{path::Path, sync::Arc};

use nodkey_client::{Expected, NewTrusonafication};
use nodkey_gateway::Gateway;
use nodkey_runtime::{
    TlsFiles,
    embedded::{Embedded, EmbeddedConfig},
};
use rcgen::{BasicConstraints, CertificateParams, IsCa, Issuer, KeyPair};
use reqwest::Client;
use tempfile::TempDir;
use tokio::{io::AsyncReadExt as _, net::TcpStream};
use tokio_rustls::{
    TlsConnector,
    client::TlsStream,
    rustls::{
        ClientConfig, ProtocolVersion, RootCertStore, SupportedProtocolVersion,
        pki_types::{CertificateDer, pem::PemObject as _},
        version::{TLS12, TLS13},
    },
};

use crate::world::{PATIENCE, World, asked, config};

/// A certificate authority, and the files of the server's certificate and key.
struct Authority {
    issuer: Issuer<'static, KeyPair>,
    pem: String,
    folder: TempDir,
}

impl Authority {
    fn new() -> Self {
        let mut params = CertificateParams::default();
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let key = KeyPair::generate().unwrap();
        let pem = params.self_signed(&key).unwrap().pem();
        Self { issuer: Issuer::new(params, key), pem, folder: tempfile::tempdir().unwrap() }
    }

    fn files(&self) -> TlsFiles {
        TlsFiles { certificate: self.folder.path().join("certificate.pem"), key: self.folder.path().join("key.pem") }
    }

    /// Writes a new certificate, the key first. Returns it.
    fn certify(&self) -> CertificateDer<'static> {
        let key = KeyPair::generate().unwrap();
        let certificate = CertificateParams::new(vec!["127.0.0.1".into()]).unwrap().signed_by(&key, &self.issuer).unwrap();
        std::fs::write(self.files().key, key.serialize_pem()).unwrap();
        std::fs::write(self.files().certificate, certificate.pem()).unwrap();
        certificate.into()
    }

    async fn world(&self) -> World {
        World::embedded_over_tls(self.files(), &self.pem).await
    }

    fn client(&self) -> Client {
        let authority = reqwest::Certificate::from_pem(self.pem.as_bytes()).unwrap();
        Client::builder().tls_certs_only([authority]).build().unwrap()
    }

    async fn connect(&self, url: &str, version: &'static SupportedProtocolVersion, alpn: &[&str]) -> TlsStream<TcpStream> {
        let mut roots = RootCertStore::empty();
        roots.add(CertificateDer::from_pem_slice(self.pem.as_bytes()).unwrap()).unwrap();
        let mut config = ClientConfig::builder_with_protocol_versions(&[version]).with_root_certificates(roots).with_no_client_auth();
        config.alpn_protocols = alpn.iter().map(|protocol| protocol.as_bytes().to_vec()).collect();
        let tcp = TcpStream::connect(url.strip_prefix("https://").unwrap()).await.unwrap();
        TlsConnector::from(Arc::new(config)).connect("127.0.0.1".try_into().unwrap(), tcp).await.unwrap()
    }

    /// The certificate that the server presents now.
    async fn shown(&self, url: &str) -> CertificateDer<'static> {
        let stream = self.connect(url, &TLS13, &[]).await;
        stream.get_ref().1.peer_certificates().unwrap()[0].clone().into_owned()
    }
}

#[tokio::test]
async fn a_login_works_over_tls_from_registration_to_evidence() {
    let authority = Authority::new();
    authority.certify();
    let world = authority.world().await;
    let tenant = world.tenant().await;
    let phone = tenant.active("ada").await;
    let created = tenant.backend.create_trusonafication(NewTrusonafication::user("ada", "login", "Acme")).await.unwrap();
    phone.respond(&asked(&phone).await, nodkey_mobile_sdk::Decision::Accept, None).await.unwrap();
    let verified = tenant.prove(&created.trusonafication.id, &Expected::accept()).await.unwrap();
    assert!(verified.challenge.iss.starts_with("https://127.0.0.1:"));
}

#[tokio::test]
async fn tls_1_2_and_1_3_are_spoken_for_http_1_and_2() {
    let authority = Authority::new();
    authority.certify();
    let world = authority.world().await;
    for url in [&world.http, &world.endpoints.registry] {
        for (version, named) in [(&TLS12, ProtocolVersion::TLSv1_2), (&TLS13, ProtocolVersion::TLSv1_3)] {
            for alpn in ["h2", "http/1.1"] {
                let stream = authority.connect(url, version, &[alpn]).await;
                let session = stream.get_ref().1;
                assert_eq!((session.protocol_version(), session.alpn_protocol()), (Some(named), Some(alpn.as_bytes())));
            }
        }
        let answer = authority.client().get(format!("{url}/readyz")).send().await.unwrap();
        assert_eq!(answer.status(), 200);
        // A client that speaks plain HTTP gets nothing.
        let plain = Client::new().get(format!("{}/readyz", url.replace("https", "http"))).send().await;
        assert!(plain.is_err());
    }
}

#[tokio::test]
async fn a_new_certificate_is_used_without_a_restart_and_a_broken_one_never() {
    let authority = Authority::new();
    let first = authority.certify();
    let world = authority.world().await;
    assert_eq!(authority.shown(&world.http).await, first);
    let second = authority.certify();
    eventually("the new certificate is shown", async || authority.shown(&world.http).await == second).await;
    let metrics = format!("{}/metrics", world.endpoints.registry);
    let valid = async |line: &str| {
        let text = authority.client().get(&metrics).send().await.unwrap().text().await.unwrap();
        text.lines().any(|l| l == line)
    };
    let mut shown = second;
    for broken in ["", "-----BEGIN CERTIFICATE-----\nx", &authority.pem] {
        std::fs::write(authority.files().certificate, broken).unwrap();
        eventually("it is noticed", async || valid("nodkey_tls_certificate_valid 0").await).await;
        assert_eq!(authority.shown(&world.http).await, shown);
        shown = authority.certify();
        eventually("the next good one is shown", async || authority.shown(&world.http).await == shown).await;
    }
    std::fs::remove_file(authority.files().key).unwrap();
    eventually("a missing key is noticed", async || valid("nodkey_tls_certificate_valid 0").await).await;
    assert_eq!(authority.shown(&world.http).await, shown);
}

/// Tries again and again, each time over the network.
async fn eventually(what: &str, holds: impl AsyncFn() -> bool) {
    let until = async {
        while !holds().await {
            tokio::task::yield_now().await;
        }
    };
    tokio::time::timeout(PATIENCE, until).await.expect(what);
}

/// Returns the error of starting with these files.
async fn start(data_dir: &Path, files: TlsFiles) -> String {
    nodkey_runtime::install_crypto_provider();
    match Embedded::new(config(data_dir, Some(files))).start().await {
        Ok(_) => panic!("it started"),
        Err(e) => format!("{e:#}"),
    }
}

#[tokio::test]
async fn files_that_are_no_pair_are_refused_at_the_start() {
    let authority = Authority::new();
    authority.certify();
    std::fs::write(authority.files().key, KeyPair::generate().unwrap().serialize_pem()).unwrap();
    let refused = start(authority.folder.path(), authority.files()).await;
    assert!(refused.contains("do not match"), "{refused}");
    std::fs::remove_file(authority.files().key).unwrap();
    let refused = start(authority.folder.path(), authority.files()).await;
    assert!(refused.contains("cannot read") && refused.contains("key.pem"), "{refused}");
}

#[tokio::test]
async fn browsers_are_bound_to_tls_by_whoever_speaks_it() {
    let authority = Authority::new();
    authority.certify();
    nodkey_runtime::install_crypto_provider();
    let dir = tempfile::tempdir().unwrap();
    let config = EmbeddedConfig { public_url: Some("https://id.example.com".into()), ..config(dir.path(), Some(authority.files())) };
    let gateway = nodkey_gateway::Config { console: false, ..nodkey_gateway::Config::default() };
    let handle = Box::pin(Embedded::new(config).with::<Gateway>(gateway).start()).await.unwrap();
    for path in ["/openapi.json", "/nowhere", "/assets/design.css"] {
        let answer = authority.client().get(format!("https://{}{path}", handle.http)).send().await.unwrap();
        assert_eq!(answer.headers()["strict-transport-security"], "max-age=31536000", "{path}");
    }
    handle.stop().await;
    let plain = World::embedded().await;
    let answer = Client::new().get(format!("{}/openapi.json", plain.http)).send().await.unwrap();
    assert!(!answer.headers().contains_key("strict-transport-security"));
}

#[tokio::test]
async fn handshakes_that_never_end_hold_up_nobody() {
    let authority = Authority::new();
    authority.certify();
    let world = authority.world().await;
    let address = world.http.strip_prefix("https://").unwrap();
    let mut silent = Vec::new();
    for _ in 0..200 {
        silent.push(TcpStream::connect(address).await.unwrap());
    }
    let answer = authority.client().get(format!("{}/readyz", world.http)).send().await.unwrap();
    assert_eq!(answer.status(), 200);
    // Each is closed before long.
    let mut first = silent.swap_remove(0);
    let closed = tokio::time::timeout(PATIENCE, first.read(&mut [0; 1])).await;
    assert_eq!(closed.expect("closed by the server").unwrap_or_default(), 0);
}
