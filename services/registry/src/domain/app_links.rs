//! App links: links that open a relying party's app.

use serde::{Deserialize, Serialize};

use super::{Refusal, Violations};

/// Maximum number of apps per platform.
const MAX_APPS: usize = 10;
/// Maximum number of certificates per app.
const MAX_FINGERPRINTS: usize = 10;
/// Maximum length of a URL, in characters.
const MAX_URL: usize = 500;

/// The apps that open the links of a host.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AppLinks {
    /// Host name in lower case, without scheme and port.
    pub host: String,
    /// The apps that open its links.
    pub apps: Apps,
}

/// The apps of a relying party. Stored as JSON.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Apps {
    /// Android apps.
    pub android: Vec<AndroidApp>,
    /// iOS apps, such as `TEAMID1234.com.example.app`.
    pub apple: Vec<String>,
    /// Where to download the app; empty: nowhere.
    pub download_url: String,
}

/// An Android app.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct AndroidApp {
    /// Package name, such as `com.example.app`.
    pub package_name: String,
    /// Fingerprints in upper-case hex with colons, as Android compares them.
    pub sha256_cert_fingerprints: Vec<String>,
}

impl AppLinks {
    /// Parses the fields of a request and normalizes the fingerprints.
    pub fn parse(host: &str, mut apps: Apps) -> Result<Self, Refusal> {
        let mut violations = Violations::default();
        violations.check("host", is_host(host).then_some(()).ok_or("must be a host name such as acme.links.example.com, in lower case"));
        let good = apps.android.len() <= MAX_APPS && apps.android.iter_mut().all(AndroidApp::normalize);
        violations.check(
            "android_apps",
            good.then_some(()).ok_or("must be at most 10, each with a package name and 1 to 10 SHA-256 fingerprints of 32 bytes in hex"),
        );
        let good = apps.apple.len() <= MAX_APPS && apps.apple.iter().all(|id| is_apple_app_id(id));
        violations.check("apple_app_ids", good.then_some(()).ok_or("must be at most 10 such as TEAMID1234.com.example.app"));
        // In the form that every URL parser agrees on.
        let url = match apps.download_url.as_str() {
            "" => Some(String::new()),
            url => url::Url::parse(url).ok().filter(|url| url.scheme() == "https" && url.as_str().len() <= MAX_URL).map(Into::into),
        };
        let url = violations.check("download_url", url.ok_or("must be an https URL of at most 500 characters"));
        violations.finish()?;
        apps.download_url = url.unwrap_or_default();
        Ok(Self { host: host.to_owned(), apps })
    }
}

impl AndroidApp {
    /// Normalizes the fingerprints. Returns false if the app is not valid.
    fn normalize(&mut self) -> bool {
        let part = |part: &str| {
            part.starts_with(|c: char| c.is_ascii_alphabetic()) && part.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'_')
        };
        let name = &self.package_name;
        let fingerprints = &mut self.sha256_cert_fingerprints;
        name.len() <= 255
            && name.contains('.')
            && name.split('.').all(part)
            && (1..=MAX_FINGERPRINTS).contains(&fingerprints.len())
            && fingerprints.iter_mut().all(|fingerprint| {
                let Ok(bytes) = hex::decode(fingerprint.replace(':', "")) else { return false };
                *fingerprint = bytes.iter().map(|byte| format!("{byte:02X}")).collect::<Vec<_>>().join(":");
                bytes.len() == 32
            })
    }
}

/// A host name per RFC 1123, in lower case.
fn is_host(text: &str) -> bool {
    let label = |label: &str| {
        (1..=63).contains(&label.len())
            && label.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-')
            && !label.starts_with('-')
            && !label.ends_with('-')
    };
    text.len() <= 253 && text.split('.').all(label)
}

/// A prefix of ten characters and a bundle identifier.
fn is_apple_app_id(text: &str) -> bool {
    let bundle =
        |bundle: &str| (1..=155).contains(&bundle.len()) && bundle.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'.' || b == b'-');
    text.split_once('.').is_some_and(|(prefix, rest)| {
        prefix.len() == 10 && prefix.bytes().all(|b| b.is_ascii_uppercase() || b.is_ascii_digit()) && bundle(rest)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn apps(package: &str, fingerprint: &str, apple: &str, download: &str) -> Apps {
        let android = AndroidApp { package_name: package.into(), sha256_cert_fingerprints: vec![fingerprint.into()] };
        Apps { android: vec![android], apple: vec![apple.into()], download_url: download.into() }
    }

    #[test]
    fn fingerprints_have_one_spelling() {
        let good = apps("com.example.app", &"ab".repeat(32), "TEAMID1234.com.example.app", "https://example.com/get");
        let links = AppLinks::parse("acme.links.example.com", good).unwrap();
        let spelled = vec!["AB"; 32].join(":");
        assert_eq!(links.apps.android[0].sha256_cert_fingerprints, std::slice::from_ref(&spelled));
        let again = apps("com.example.app", &spelled, "TEAMID1234.com.example.app", "");
        assert_eq!(AppLinks::parse("localhost", again).unwrap().apps.android[0].sha256_cert_fingerprints, [spelled]);
    }

    #[test]
    fn everything_wrong_is_told_at_once() {
        for host in ["", "Acme.example.com", "https://acme.example.com", "acme.example.com:443", "-a.example.com", "a..b"] {
            assert!(AppLinks::parse(host, Apps::default()).is_err(), "{host}");
        }
        let bad = apps("app", "00", "com.example.app", "http://example.com");
        let Err(Refusal::Invalid(violations)) = AppLinks::parse("", bad) else { panic!("taken") };
        let fields: Vec<_> = violations.iter().map(|v| v.field.as_str()).collect();
        assert_eq!(fields, ["host", "android_apps", "apple_app_ids", "download_url"]);
    }
}
