//! The client.

use std::{env, fmt, fs, sync::Arc};

use nodkey_client::{Credential, Endpoints as Addresses, InvalidCredential};
use nodkey_kernel::{id::EventId, random::Random, time::Clock};

use crate::{
    Error, ErrorKind, FieldViolation,
    resources::{Bindings, Codes, Deliveries, Devices, Documents, Endpoints, KeyCache, SigningKeys, Trusonafications, Users},
};

/// A client of a Nodkey deployment, for a relying party's backend. Make one and keep it: it is cheap to clone, and all clones share a
/// connection, which is opened at the first call and again when it is lost.
///
/// Every call has a deadline of ten seconds for each of three attempts, signs a new bearer token for each, and is repeated only when the failure
/// passes. Creates carry a request id, so that a repetition has no second effect. To cancel a call, drop its future.
#[derive(Clone, Debug)]
pub struct Nodkey {
    inner: Arc<Inner>,
}

/// What all clones share.
#[derive(Debug)]
pub(crate) struct Inner {
    pub(crate) client: nodkey_client::Nodkey,
    pub(crate) keys: KeyCache,
    random: Random,
    clock: Clock,
}

impl Inner {
    /// The caller's request id, otherwise a new one.
    pub(crate) fn request_id(&self, given: Option<String>) -> String {
        given.unwrap_or_else(|| EventId::generate(self.clock.now(), &self.random).to_string())
    }
}

impl Nodkey {
    /// A client that is made from what its builder is given.
    pub fn builder() -> Builder {
        Builder::default()
    }

    /// A client that is made from the environment: see [`Builder::from_env`]. Errors as those of [`Builder::build`].
    pub fn from_env() -> Result<Self, Error> {
        Builder::from_env()?.build()
    }

    /// Requests to people, and how they end.
    #[must_use]
    pub fn trusonafications(&self) -> Trusonafications {
        Trusonafications::new(Arc::clone(&self.inner))
    }

    /// Which device is which user's.
    #[must_use]
    pub fn bindings(&self) -> Bindings {
        Bindings::new(Arc::clone(&self.inner))
    }

    /// Users, by the names that you give them.
    #[must_use]
    pub fn users(&self) -> Users {
        Users::new(Arc::clone(&self.inner))
    }

    /// Who scanned a secure QR code.
    #[must_use]
    pub fn codes(&self) -> Codes {
        Codes::new(Arc::clone(&self.inner))
    }

    /// Devices and their keys.
    #[must_use]
    pub fn devices(&self) -> Devices {
        Devices::new(Arc::clone(&self.inner))
    }

    /// Identity documents of users, for level 3.
    #[must_use]
    pub fn documents(&self) -> Documents {
        Documents::new(Arc::clone(&self.inner))
    }

    /// Webhook endpoints.
    #[must_use]
    pub fn endpoints(&self) -> Endpoints {
        Endpoints::new(Arc::clone(&self.inner))
    }

    /// What was sent to them.
    #[must_use]
    pub fn deliveries(&self) -> Deliveries {
        Deliveries::new(Arc::clone(&self.inner))
    }

    /// The public keys of the deployment, for what verifies.
    #[must_use]
    pub fn jwks(&self) -> SigningKeys {
        SigningKeys::new(Arc::clone(&self.inner))
    }
}

/// What a client is made from. Its debug output shows neither the token nor the secret.
#[derive(Clone, Default)]
#[must_use]
pub struct Builder {
    url: String,
    token: String,
    secret: String,
    audience: Option<String>,
    ca_certificate: Option<String>,
}

impl Builder {
    /// What the environment says: `NODKEY_URL`, `NODKEY_TOKEN`, `NODKEY_SECRET`, and optionally `NODKEY_CA_CERTIFICATE`, the PEM file of the only
    /// authority to trust, and `NODKEY_AUDIENCE`. What is missing can be given to the builder. `INVALID_PARAMETER`: the file cannot be read.
    #[expect(clippy::disallowed_methods, reason = "whoever calls this wants the environment")]
    pub fn from_env() -> Result<Self, Error> {
        let variable = |name: &str| env::var(name).ok().filter(|value| !value.is_empty());
        let ca_certificate = variable("NODKEY_CA_CERTIFICATE").map(fs::read_to_string).transpose();
        let [url, token, secret] = ["NODKEY_URL", "NODKEY_TOKEN", "NODKEY_SECRET"].map(|name| variable(name).unwrap_or_default());
        Ok(Self {
            url,
            token,
            secret,
            audience: variable("NODKEY_AUDIENCE"),
            ca_certificate: ca_certificate
                .map_err(|error| Error::parameter(&format!("the file of NODKEY_CA_CERTIFICATE cannot be read: {error}")))?,
        })
    }

    /// The public URL of the deployment, which serves gRPC: `https://auth.example.com`.
    pub fn url(self, url: impl Into<String>) -> Self {
        Self { url: url.into(), ..self }
    }

    /// The token, as it was shown when the server credential was created.
    pub fn token(self, token: impl Into<String>) -> Self {
        Self { token: token.into(), ..self }
    }

    /// The secret that was shown with it. It is never sent.
    pub fn secret(self, secret: impl Into<String>) -> Self {
        Self { secret: secret.into(), ..self }
    }

    /// The audience of the deployment, if its operator changed it: `deployment.audience`. Otherwise it is `nodkey`.
    pub fn audience(self, audience: impl Into<String>) -> Self {
        Self { audience: Some(audience.into()), ..self }
    }

    /// PEM of the only authority to trust for https. Otherwise those of the system are trusted.
    pub fn ca_certificate(self, pem: impl Into<String>) -> Self {
        Self { ca_certificate: Some(pem.into()), ..self }
    }

    /// Makes the client. Nothing is sent yet.
    ///
    /// Errors: `INVALID_URL`, `INVALID_CREDENTIAL`; `INVALID_PARAMETER` if the certificate is none, or outside of a Tokio runtime.
    pub fn build(self) -> Result<Nodkey, Error> {
        if !is_url(&self.url) {
            return Err(invalid_url());
        }
        let credential = Credential::new(&self.token, self.secret).map_err(|error| invalid_credential(&error))?;
        let credential = match self.audience {
            Some(audience) => credential.audience(audience),
            None => credential,
        };
        if tokio::runtime::Handle::try_current().is_err() {
            return Err(Error::parameter("a client is made inside of a Tokio runtime, and there is none here"));
        }
        let mut addresses = Addresses::single(&self.url);
        if let Some(pem) = self.ca_certificate {
            // Otherwise it would be found out at the first call, where nobody can be trusted.
            if !pem.contains("-----BEGIN CERTIFICATE-----") {
                return Err(Error::parameter("the CA certificate is not PEM"));
            }
            addresses = addresses.trusting(pem);
        }
        let client = nodkey_client::Nodkey::connect(&addresses, credential).map_err(|_| invalid_url())?;
        let inner = Inner { client, keys: KeyCache::default(), random: Random::system(), clock: Clock::system() };
        Ok(Nodkey { inner: Arc::new(inner) })
    }
}

impl fmt::Debug for Builder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Builder").field("url", &self.url).field("audience", &self.audience).finish_non_exhaustive()
    }
}

/// Whether it is an http or https URL of a host, without a user in it.
fn is_url(url: &str) -> bool {
    let rest = url.strip_prefix("https://").or_else(|| url.strip_prefix("http://"));
    let authority = rest.and_then(|rest| rest.split(['/', '?', '#']).next()).unwrap_or_default();
    !authority.is_empty() && !authority.contains('@')
}

fn invalid_url() -> Error {
    Error::client("INVALID_URL", ErrorKind::Invalid, "the URL (NODKEY_URL) is not an http or https URL, such as https://auth.example.com")
}

pub(crate) fn invalid_credential(error: &InvalidCredential) -> Error {
    Error::client("INVALID_CREDENTIAL", ErrorKind::Invalid, error.to_string())
}

impl Error {
    /// A call that the server refused, or that failed.
    pub(crate) fn of_call(error: nodkey_client::Error) -> Self {
        use nodkey_kernel::error::Kind;
        let kind = match error.kind {
            Kind::Invalid => ErrorKind::Invalid,
            Kind::Unauthenticated => ErrorKind::Unauthenticated,
            Kind::Forbidden => ErrorKind::Forbidden,
            Kind::NotFound => ErrorKind::NotFound,
            Kind::Conflict => ErrorKind::Conflict,
            Kind::Gone => ErrorKind::Gone,
            Kind::Precondition => ErrorKind::Precondition,
            Kind::TooLarge => ErrorKind::TooLarge,
            Kind::Exhausted => ErrorKind::Exhausted,
            Kind::Unavailable => ErrorKind::Unavailable,
            Kind::Internal => ErrorKind::Internal,
        };
        let field =
            |violation: nodkey_kernel::error::FieldViolation| FieldViolation { field: violation.field, description: violation.description };
        let fields = error.field_violations.into_iter().map(field).collect();
        Self { reason: error.reason, kind, message: error.message, fields, retry_after: error.retry_after }
    }
}
