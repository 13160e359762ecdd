//! A certificate authority of this machine, for `nodkey dev --tls`. People trust it on their phones, so it signs one certificate, of this
//! server, and its key is never stored: nobody can sign another, whatever they read here.
//!
//! Its names are not limited by RFC 5280, section 4.2.1.10: `BoringSSL`, and with it gRPC in Python, C++ and Ruby, accepts no certificate with an
//! address from an authority that is limited to addresses.

use std::path::{Path, PathBuf};

use anyhow::Context as _;
use nodkey_kernel::time::Timestamp;
use nodkey_runtime::TlsFiles;
use rcgen::{BasicConstraints, CertificateParams, DnType, ExtendedKeyUsagePurpose, IsCa, Issuer, KeyPair, KeyUsagePurpose};
use serde::{Deserialize, Serialize};
use time::{Duration, OffsetDateTime};

use crate::connection::{read_json, write_private, write_secret};

/// How long both are valid, [`LEEWAY`] included. Some systems accept no certificate that is valid for more than 398 days.
const LIFETIME: Duration = Duration::days(365);
/// What expires sooner than this is replaced at a start.
const RENEWAL: Duration = Duration::days(30);
/// Tolerance for clocks that differ: both are valid from this long before now.
const LEEWAY: Duration = Duration::hours(1);

/// What the certificate is for.
#[derive(Debug, Serialize, Deserialize)]
struct Scope {
    /// Names and addresses.
    names: Vec<String>,
    /// In seconds.
    expires_at: i64,
}

/// The path of the authority's certificate, for clients to trust.
pub fn path(data_dir: &Path) -> PathBuf {
    data_dir.join("tls").join("ca.pem")
}

/// A certificate for these names and addresses. Makes an authority with a new one unless there is one for all of them that does not expire soon.
pub fn certify(data_dir: &Path, names: Vec<String>, now: Timestamp) -> anyhow::Result<TlsFiles> {
    let folder = data_dir.join("tls");
    std::fs::create_dir_all(&folder).with_context(|| format!("cannot create {}", folder.display()))?;
    let now = OffsetDateTime::from_unix_timestamp(now.as_seconds())?;
    let files = TlsFiles { certificate: folder.join("certificate.pem"), key: folder.join("key.pem") };
    // Earlier versions kept the key of the authority.
    let kept = folder.join("ca-key.pem");
    let covers = |scope: Scope| names.iter().all(|name| scope.names.contains(name)) && scope.expires_at > (now + RENEWAL).unix_timestamp();
    let is_there = [&path(data_dir), &files.certificate, &files.key].iter().all(|file| file.exists()) && !kept.exists();
    if !is_there || !read_json(&folder.join("ca.json"))?.is_some_and(covers) {
        establish(&folder, &files, names, now)?;
        if kept.exists() {
            std::fs::remove_file(&kept).with_context(|| format!("cannot remove {}", kept.display()))?;
        }
    }
    Ok(files)
}

/// Makes an authority, and the one certificate that it signs.
fn establish(folder: &Path, files: &TlsFiles, names: Vec<String>, now: OffsetDateTime) -> anyhow::Result<()> {
    // Removed first and written last: what was interrupted is made again.
    let described = folder.join("ca.json");
    if described.exists() {
        std::fs::remove_file(&described).with_context(|| format!("cannot remove {}", described.display()))?;
    }
    let (begin, end) = (now - LEEWAY, now - LEEWAY + LIFETIME);
    let scope = Scope { names: names.clone(), expires_at: end.unix_timestamp() };

    let mut params = CertificateParams::default();
    params.distinguished_name.push(DnType::CommonName, format!("Nodkey of {}", folder.display()));
    params.is_ca = IsCa::Ca(BasicConstraints::Constrained(0));
    params.key_usages = vec![KeyUsagePurpose::KeyCertSign];
    (params.not_before, params.not_after) = (begin, end);
    let pair = KeyPair::generate()?;
    let authority = params.self_signed(&pair)?.pem();
    let issuer = Issuer::new(params, pair);

    let mut params = CertificateParams::new(names)?;
    params.distinguished_name.push(DnType::CommonName, "nodkey dev");
    params.key_usages = vec![KeyUsagePurpose::DigitalSignature];
    params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth];
    params.use_authority_key_identifier_extension = true;
    (params.not_before, params.not_after) = (begin, end);
    let pair = KeyPair::generate()?;
    let chain = params.signed_by(&pair, &issuer)?.pem() + &authority;

    write_private(&files.key, pair.serialize_pem().as_bytes())?;
    write_private(&files.certificate, chain.as_bytes())?;
    write_private(&folder.join("ca.pem"), authority.as_bytes())?;
    write_secret(&described, &scope)
}

#[cfg(test)]
mod tests {
    use std::{sync::Arc, time::Duration as Seconds};

    use nodkey_kernel::time::Clock;
    use rustls::{
        RootCertStore,
        client::{WebPkiServerVerifier, danger::ServerCertVerifier as _},
        pki_types::{CertificateDer, ServerName, UnixTime, pem::PemObject as _},
    };

    use super::*;

    fn names() -> Vec<String> {
        ["localhost", "127.0.0.1", "::1"].map(ToOwned::to_owned).to_vec()
    }

    fn now() -> Timestamp {
        Clock::system().now()
    }

    /// Whether a client that trusts the authority of a folder accepts a certificate for a server of this name, in this many days.
    fn accepts(data_dir: &Path, certificate: &CertificateDer<'_>, name: &str, days: u64) -> bool {
        nodkey_runtime::install_crypto_provider();
        let mut roots = RootCertStore::empty();
        roots.add(CertificateDer::from_pem_file(path(data_dir)).unwrap()).unwrap();
        let verifier = WebPkiServerVerifier::builder(Arc::new(roots)).build().unwrap();
        let at = UnixTime::since_unix_epoch(Seconds::from_secs(now().as_seconds().unsigned_abs() + days * 86_400));
        verifier.verify_server_cert(certificate, &[], &ServerName::try_from(name.to_owned()).unwrap(), &[], at).is_ok()
    }

    #[test]
    fn an_authority_and_its_certificate_are_made_once_and_again_when_one_is_gone() {
        let folder = tempfile::tempdir().unwrap();
        let files = certify(folder.path(), names(), now()).unwrap();
        let read = || [path(folder.path()), files.certificate.clone(), files.key.clone()].map(|file| std::fs::read(file).unwrap());
        let first = read();
        certify(folder.path(), names(), now()).unwrap();
        assert_eq!(read(), first);
        std::fs::remove_file(&files.key).unwrap();
        certify(folder.path(), names(), now()).unwrap();
        let second = read();
        assert!(second.iter().zip(&first).all(|(new, old)| new != old), "no half of another pair");
    }

    #[test]
    fn an_authority_vouches_for_its_own_names_alone_and_for_a_year() {
        let folder = tempfile::tempdir().unwrap();
        let files = certify(folder.path(), names(), now()).unwrap();
        let own = CertificateDer::from_pem_file(&files.certificate).unwrap();
        for name in ["localhost", "127.0.0.1", "::1"] {
            assert!(accepts(folder.path(), &own, name, 1), "{name}");
            assert!(!accepts(folder.path(), &own, name, 366), "{name} in a year");
        }
        for name in ["bank.example.com", "192.0.2.1", "2001:db8::1"] {
            assert!(!accepts(folder.path(), &own, name, 1), "{name}");
        }
        // An attacker with all that is stored: each key, as if it were the authority's.
        let authority = std::fs::read_to_string(path(folder.path())).unwrap();
        let stored =
            std::fs::read_dir(folder.path().join("tls")).unwrap().map(|entry| std::fs::read_to_string(entry.unwrap().path()).unwrap());
        let keys: Vec<_> = stored.filter_map(|text| KeyPair::from_pem(&text).ok()).collect();
        assert_eq!(keys.len(), 1);
        for key in keys {
            let issuer = Issuer::from_ca_cert_pem(&authority, key).unwrap();
            let params = CertificateParams::new(vec!["bank.example.com".to_owned()]).unwrap();
            let forged = CertificateDer::from(params.signed_by(&KeyPair::generate().unwrap(), &issuer).unwrap());
            assert!(!accepts(folder.path(), &forged, "bank.example.com", 1));
        }
    }

    #[test]
    fn an_authority_whose_key_an_earlier_version_kept_is_replaced_and_the_key_removed() {
        let folder = tempfile::tempdir().unwrap();
        certify(folder.path(), names(), now()).unwrap();
        let first = std::fs::read(path(folder.path())).unwrap();
        let kept = folder.path().join("tls/ca-key.pem");
        std::fs::write(&kept, "a key").unwrap();
        certify(folder.path(), names(), now()).unwrap();
        assert_ne!(std::fs::read(path(folder.path())).unwrap(), first);
        assert!(!kept.exists());
    }

    #[test]
    fn another_name_or_the_end_of_the_year_makes_another_authority() {
        let folder = tempfile::tempdir().unwrap();
        let authority = |names: Vec<String>, now: Timestamp| {
            certify(folder.path(), names, now).unwrap();
            std::fs::read(path(folder.path())).unwrap()
        };
        let day = |n: u64| now() + Seconds::from_secs(n * 86_400);
        let first = authority(names(), now());
        assert_eq!(authority(names(), day(300)), first);
        let scope: Scope = read_json(&folder.path().join("tls/ca.json")).unwrap().unwrap();
        assert!(scope.expires_at <= day(365).as_seconds());
        let second = authority(names(), day(340));
        assert_ne!(second, first);
        let third = authority([names(), vec!["id.example.com".to_owned()]].concat(), day(340));
        assert_ne!(third, second);
        assert_eq!(authority(names(), day(340)), third, "it vouches for fewer names, too");
        // An authority made before its scope was recorded.
        std::fs::remove_file(folder.path().join("tls/ca.json")).unwrap();
        assert_ne!(authority(names(), day(340)), third);
    }
}
