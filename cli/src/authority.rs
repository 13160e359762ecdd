//! A certificate authority of this machine, for `nodkey dev --tls`. Its key is stored in a folder, so it is limited as far as possible: to
//! the names of this server (RFC 5280 section 4.2.1.10), and to a year.

use std::{
    net::IpAddr,
    path::{Path, PathBuf},
};

use anyhow::Context as _;
use nodkey_kernel::time::Timestamp;
use nodkey_runtime::TlsFiles;
use rcgen::{
    BasicConstraints, CertificateParams, CidrSubnet, DnType, ExtendedKeyUsagePurpose, GeneralSubtree, IsCa, Issuer, KeyPair,
    KeyUsagePurpose, NameConstraints,
};
use serde::{Deserialize, Serialize};
use time::{Duration, OffsetDateTime};

use crate::connection::{read_json, write_private, write_secret};

/// How long the authority is valid, [`LEEWAY`] included.
const AUTHORITY_LIFETIME: Duration = Duration::days(365);
/// An authority that expires sooner than this is replaced at a start.
const RENEWAL: Duration = Duration::days(30);
/// How long a certificate is valid at most. A new one is made at every start. Some systems accept none that is valid for more than 398
/// days.
const LIFETIME: Duration = Duration::days(90);
/// Tolerance for clocks that differ: both are valid from this long before now.
const LEEWAY: Duration = Duration::hours(1);

/// What an authority was made for. Older authorities without this record vouch for any name, and are replaced.
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

/// Makes a certificate for these names and addresses. Makes a new authority if there is none for all of them, or if it expires soon.
pub fn certify(data_dir: &Path, names: Vec<String>, now: Timestamp) -> anyhow::Result<TlsFiles> {
    let folder = data_dir.join("tls");
    std::fs::create_dir_all(&folder).with_context(|| format!("cannot create {}", folder.display()))?;
    let now = OffsetDateTime::from_unix_timestamp(now.as_seconds())?;
    let (certificate, key) = (folder.join("ca.pem"), folder.join("ca-key.pem"));
    let known: Option<Scope> = read_json(&folder.join("ca.json"))?;
    let covers = |scope: &Scope| names.iter().all(|name| scope.names.contains(name)) && scope.expires_at > (now + RENEWAL).unix_timestamp();
    let scope = match known {
        Some(scope) if certificate.exists() && key.exists() && covers(&scope) => scope,
        _ => establish(&folder, &names, now)?,
    };
    let read = |path: &Path| std::fs::read_to_string(path).with_context(|| format!("cannot read {}", path.display()));
    let damaged = || format!("{} is damaged; delete that folder to start over", folder.display());
    let authority = read(&certificate)?;
    let issuer = Issuer::from_ca_cert_pem(&authority, KeyPair::from_pem(&read(&key)?).with_context(damaged)?).with_context(damaged)?;
    let mut params = CertificateParams::new(names)?;
    params.distinguished_name.push(DnType::CommonName, "nodkey dev");
    params.key_usages = vec![KeyUsagePurpose::DigitalSignature];
    params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth];
    params.use_authority_key_identifier_extension = true;
    let end = OffsetDateTime::from_unix_timestamp(scope.expires_at)?;
    (params.not_before, params.not_after) = (now - LEEWAY, end.min(now + LIFETIME));
    let pair = KeyPair::generate()?;
    let chain = params.signed_by(&pair, &issuer)?.pem() + &authority;
    let files = TlsFiles { certificate: folder.join("certificate.pem"), key: folder.join("key.pem") };
    write_private(&files.key, pair.serialize_pem().as_bytes())?;
    write_private(&files.certificate, chain.as_bytes())?;
    Ok(files)
}

/// Makes the authority.
fn establish(folder: &Path, names: &[String], now: OffsetDateTime) -> anyhow::Result<Scope> {
    let begin = now - LEEWAY;
    let scope = Scope { names: names.to_vec(), expires_at: (begin + AUTHORITY_LIFETIME).unix_timestamp() };
    let pair = KeyPair::generate()?;
    let mut params = CertificateParams::default();
    params.distinguished_name.push(DnType::CommonName, format!("Nodkey of {}", folder.display()));
    params.is_ca = IsCa::Ca(BasicConstraints::Constrained(0));
    params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
    let subtree = |name: &String| match name.parse::<IpAddr>() {
        Ok(address) => GeneralSubtree::IpAddress(CidrSubnet::from_addr_prefix(address, if address.is_ipv4() { 32 } else { 128 })),
        Err(_) => GeneralSubtree::DnsName(name.clone()),
    };
    let permitted_subtrees = names.iter().map(subtree).collect();
    params.name_constraints = Some(NameConstraints { permitted_subtrees, excluded_subtrees: Vec::new() });
    (params.not_before, params.not_after) = (begin, begin + AUTHORITY_LIFETIME);
    write_private(&folder.join("ca-key.pem"), pair.serialize_pem().as_bytes())?;
    write_private(&folder.join("ca.pem"), params.self_signed(&pair)?.pem().as_bytes())?;
    write_secret(&folder.join("ca.json"), &scope)?;
    Ok(scope)
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
    fn an_authority_is_made_once_and_a_damaged_one_is_told() {
        let folder = tempfile::tempdir().unwrap();
        let files = certify(folder.path(), names(), now()).unwrap();
        let (authority, certificate) = (std::fs::read(path(folder.path())).unwrap(), std::fs::read(&files.certificate).unwrap());
        certify(folder.path(), names(), now()).unwrap();
        assert_eq!(std::fs::read(path(folder.path())).unwrap(), authority);
        assert_ne!(std::fs::read(&files.certificate).unwrap(), certificate);
        std::fs::write(path(folder.path()), "x").unwrap();
        assert!(certify(folder.path(), names(), now()).unwrap_err().to_string().contains("start over"));
    }

    #[test]
    fn an_authority_vouches_for_its_own_names_alone_and_for_a_year() {
        let folder = tempfile::tempdir().unwrap();
        let files = certify(folder.path(), names(), now()).unwrap();
        let own = CertificateDer::from_pem_file(&files.certificate).unwrap();
        for name in ["localhost", "127.0.0.1", "::1"] {
            assert!(accepts(folder.path(), &own, name, 1), "{name}");
        }
        // An attacker with its key.
        let key = KeyPair::from_pem(&std::fs::read_to_string(folder.path().join("tls/ca-key.pem")).unwrap()).unwrap();
        let issuer = Issuer::from_ca_cert_pem(&std::fs::read_to_string(path(folder.path())).unwrap(), key).unwrap();
        let forged = |name: &str| {
            let mut params = CertificateParams::new(vec![name.to_owned()]).unwrap();
            params.not_after = OffsetDateTime::from_unix_timestamp(now().as_seconds()).unwrap() + Duration::days(1_000);
            CertificateDer::from(params.signed_by(&KeyPair::generate().unwrap(), &issuer).unwrap())
        };
        for name in ["bank.example.com", "192.0.2.1", "2001:db8::1"] {
            assert!(!accepts(folder.path(), &forged(name), name, 1), "{name}");
        }
        assert!(accepts(folder.path(), &forged("localhost"), "localhost", 1));
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
