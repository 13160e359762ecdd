//! A certificate authority of this machine's own, for `nodkey dev --tls`.

use std::path::{Path, PathBuf};

use anyhow::Context as _;
use nodkey_kernel::time::Clock;
use nodkey_runtime::TlsFiles;
use rcgen::{BasicConstraints, CertificateParams, DnType, ExtendedKeyUsagePurpose, IsCa, Issuer, KeyPair, KeyUsagePurpose};
use time::{Duration, OffsetDateTime};

use crate::connection::write_private;

/// How long the authority counts.
const AUTHORITY_LIFETIME: Duration = Duration::days(10 * 365);
/// How long a certificate counts; made anew at every start. Some systems take none that counts longer than 398 days.
const LIFETIME: Duration = Duration::days(90);
/// Clocks differ: how much earlier than now either begins to count.
const LEEWAY: Duration = Duration::hours(1);

/// Where the authority's certificate is, for others to trust.
pub fn path(data_dir: &Path) -> PathBuf {
    data_dir.join("tls").join("ca.pem")
}

/// Makes a certificate for these names and addresses, and the authority behind it on the first start.
pub fn certify(data_dir: &Path, names: Vec<String>) -> anyhow::Result<TlsFiles> {
    let folder = data_dir.join("tls");
    std::fs::create_dir_all(&folder).with_context(|| format!("cannot create {}", folder.display()))?;
    let now = OffsetDateTime::from_unix_timestamp(Clock::system().now().as_seconds())?;
    let (certificate, key) = (folder.join("ca.pem"), folder.join("ca-key.pem"));
    if !certificate.exists() || !key.exists() {
        let pair = KeyPair::generate()?;
        let mut params = CertificateParams::default();
        params.distinguished_name.push(DnType::CommonName, format!("Nodkey of {}", folder.display()));
        params.is_ca = IsCa::Ca(BasicConstraints::Constrained(0));
        params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
        (params.not_before, params.not_after) = (now - LEEWAY, now + AUTHORITY_LIFETIME);
        write_private(&key, pair.serialize_pem().as_bytes())?;
        write_private(&certificate, params.self_signed(&pair)?.pem().as_bytes())?;
    }
    let read = |path: &Path| std::fs::read_to_string(path).with_context(|| format!("cannot read {}", path.display()));
    let damaged = || format!("{} is damaged; delete that folder to begin anew", folder.display());
    let authority = read(&certificate)?;
    let issuer = Issuer::from_ca_cert_pem(&authority, KeyPair::from_pem(&read(&key)?).with_context(damaged)?).with_context(damaged)?;
    let mut params = CertificateParams::new(names)?;
    params.distinguished_name.push(DnType::CommonName, "nodkey dev");
    params.key_usages = vec![KeyUsagePurpose::DigitalSignature];
    params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth];
    params.use_authority_key_identifier_extension = true;
    (params.not_before, params.not_after) = (now - LEEWAY, now + LIFETIME);
    let pair = KeyPair::generate()?;
    let chain = params.signed_by(&pair, &issuer)?.pem() + &authority;
    let files = TlsFiles { certificate: folder.join("certificate.pem"), key: folder.join("key.pem") };
    write_private(&files.key, pair.serialize_pem().as_bytes())?;
    write_private(&files.certificate, chain.as_bytes())?;
    Ok(files)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_authority_is_made_once_and_a_damaged_one_is_told() {
        let folder = tempfile::tempdir().unwrap();
        let names = || vec!["localhost".to_owned(), "127.0.0.1".to_owned()];
        let files = certify(folder.path(), names()).unwrap();
        let (authority, certificate) = (std::fs::read(path(folder.path())).unwrap(), std::fs::read(&files.certificate).unwrap());
        certify(folder.path(), names()).unwrap();
        assert_eq!(std::fs::read(path(folder.path())).unwrap(), authority);
        assert_ne!(std::fs::read(&files.certificate).unwrap(), certificate);
        std::fs::write(path(folder.path()), "x").unwrap();
        assert!(certify(folder.path(), names()).unwrap_err().to_string().contains("begin anew"));
    }
}
