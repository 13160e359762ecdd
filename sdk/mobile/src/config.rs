//! What an app ships with.

use nodkey_kernel::jose::Jwks;
use secrecy::SecretString;
use url::Url;

use crate::{Error, error::Failure};

/// The platform that the app runs on.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Platform {
    /// iOS.
    Ios,
    /// Android.
    Android,
    /// A browser.
    Web,
    /// A terminal.
    Cli,
    /// Something else.
    #[default]
    Other,
}

/// The deployment's public keys, which verify challenges and codes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DeploymentKeys(pub(crate) Jwks);

impl DeploymentKeys {
    /// Reads the JSON that the gateway serves at `/jwks`. Keys of unknown kinds and revoked ones are ignored.
    pub fn from_json(json: &str) -> Result<Self, Error> {
        let keys: Jwks =
            serde_json::from_str(json).map_err(|_| Error::configuration("the keys are not a JWKS, as the gateway serves it at /jwks"))?;
        Ok(Self(keys))
    }
}

/// The gateway's address, and the app's credential for it. The secret does not show in debug output.
#[derive(Clone, Debug)]
pub struct Config {
    pub(crate) url: Url,
    pub(crate) token: String,
    pub(crate) secret: SecretString,
    pub(crate) keys: Option<DeploymentKeys>,
    pub(crate) platform: Platform,
    pub(crate) app_version: Option<String>,
    pub(crate) http: reqwest::Client,
}

impl Config {
    /// Begins a configuration. [`url`](ConfigBuilder::url), [`token`](ConfigBuilder::token) and [`secret`](ConfigBuilder::secret) are
    /// required.
    pub fn builder() -> ConfigBuilder {
        ConfigBuilder::default()
    }

    /// The gateway's public URL.
    #[must_use]
    pub fn url(&self) -> &str {
        self.url.as_str()
    }
}

/// Builds a [`Config`].
#[derive(Clone, Debug, Default)]
#[must_use]
pub struct ConfigBuilder {
    url: Option<String>,
    token: Option<String>,
    secret: Option<SecretString>,
    keys: Option<DeploymentKeys>,
    platform: Platform,
    app_version: Option<String>,
    ca_certificate: Option<String>,
}

impl ConfigBuilder {
    /// The gateway's public URL, such as `https://id.example.com`: proofs and challenges name it.
    pub fn url(self, url: impl Into<String>) -> Self {
        Self { url: Some(url.into()), ..self }
    }

    /// Token of the mobile credential.
    pub fn token(self, token: impl Into<String>) -> Self {
        Self { token: Some(token.into()), ..self }
    }

    /// Secret of the mobile credential. Everybody can read it out of an app: it can register devices, and nothing else.
    pub fn secret(self, secret: impl Into<String>) -> Self {
        Self { secret: Some(secret.into().into()), ..self }
    }

    /// The deployment's public keys, shipped with the app: no others are trusted. Without them the phone fetches them, and again when a
    /// challenge names a new key: then only TLS proves whose they are.
    pub fn deployment_keys(self, keys: DeploymentKeys) -> Self {
        Self { keys: Some(keys), ..self }
    }

    /// The platform that the app runs on, shown to the relying party's operators.
    pub fn platform(self, platform: Platform) -> Self {
        Self { platform, ..self }
    }

    /// The app's version, preceded by its name where there are several apps: `Acme Bank 3.2`. At most 50 bytes.
    pub fn app_version(self, version: impl Into<String>) -> Self {
        Self { app_version: Some(version.into()), ..self }
    }

    /// PEM of the only authority to trust for `https`, instead of the system's.
    pub fn ca_certificate(self, pem: impl Into<String>) -> Self {
        Self { ca_certificate: Some(pem.into()), ..self }
    }

    /// The configuration, if it is complete and valid. Sends nothing.
    pub fn build(self) -> Result<Config, Error> {
        let missing = |what: &str| Error::configuration(format!("the configuration has no {what}"));
        let url = self.url.ok_or_else(|| missing("url"))?;
        let url = Url::parse(&url).ok().filter(|url| matches!(url.scheme(), "http" | "https") && url.has_host());
        let mut http = reqwest::Client::builder().connect_timeout(std::time::Duration::from_secs(5));
        if let Some(pem) = &self.ca_certificate {
            let certificates = reqwest::Certificate::from_pem_bundle(pem.as_bytes());
            let certificates =
                certificates.map_err(|source| Failure::Certificate { what: "the certificate of the authority is malformed", source })?;
            http = http.tls_certs_only(certificates);
        }
        let http = http.build().map_err(|source| Failure::Certificate { what: "TLS cannot be set up", source })?;
        Ok(Config {
            url: url.ok_or_else(|| Error::configuration("the gateway's URL is not valid: it is like https://id.example.com"))?,
            token: self.token.ok_or_else(|| missing("token"))?,
            secret: self.secret.ok_or_else(|| missing("secret"))?,
            keys: self.keys,
            platform: self.platform,
            app_version: self.app_version,
            http,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ErrorKind;

    fn complete() -> ConfigBuilder {
        Config::builder().url("https://id.example.com").token("t").secret("hush")
    }

    #[test]
    fn what_is_missing_or_invalid_is_named() {
        for (builder, named) in [
            (Config::builder().token("t").secret("s"), "url"),
            (Config::builder().url("https://g").secret("s"), "token"),
            (Config::builder().url("https://g").token("t"), "secret"),
            (complete().url("id.example.com"), "URL"),
            (complete().url("ftp://id.example.com"), "URL"),
            (complete().ca_certificate("-----BEGIN CERTIFICATE-----\n!\n-----END CERTIFICATE-----"), "authority"),
        ] {
            let error = builder.build().unwrap_err();
            assert_eq!(error.kind(), ErrorKind::Configuration);
            assert!(error.to_string().contains(named), "{error}");
        }
        assert_eq!(DeploymentKeys::from_json("[]").unwrap_err().kind(), ErrorKind::Configuration);
        assert_eq!(complete().build().unwrap().url(), "https://id.example.com/");
    }

    #[test]
    fn the_secret_does_not_show_in_debug_output() {
        let shown = format!("{:?} {:?}", complete(), complete().build().unwrap());
        assert!(!shown.contains("hush"), "{shown}");
    }
}
