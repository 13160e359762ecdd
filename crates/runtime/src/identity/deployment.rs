//! What the services of a deployment know of it.

use nodkey_kernel::{
    egress::Egress,
    service_key::{ServiceKey, ServiceKeys},
};
use secrecy::SecretString;

/// Facts about the whole deployment, the same for each of its services but for what it signs with.
#[derive(Clone, Debug)]
pub struct Deployment {
    /// The gateway's public URL without a trailing slash: `iss` of challenges, base of `htu`.
    pub public_url: String,
    /// `aud` of bearer tokens.
    pub audience: String,
    /// Signs what this service says to the others; `None` where a deployment of before has an internal key alone.
    pub service_key: Option<ServiceKey>,
    /// Verify what services say.
    pub service_keys: ServiceKeys,
    /// What all services sign with in a deployment of before. Taken for this one version, with a warning.
    pub internal_key: Option<SecretString>,
    /// Verify what holders of the operator key say: the key, and for a while its predecessor or successor. None in the gateway.
    pub operator_keys: Vec<SecretString>,
    /// Where services may connect to on behalf of others.
    pub egress: Egress,
}

impl Deployment {
    /// One whose services have no keys yet.
    #[must_use]
    pub fn new(public_url: impl Into<String>, egress: Egress) -> Self {
        Self {
            public_url: public_url.into(),
            audience: "nodkey".into(),
            service_key: None,
            service_keys: ServiceKeys::default(),
            internal_key: None,
            operator_keys: Vec::new(),
            egress,
        }
    }

    /// The same, as the holder of a key sees it.
    #[must_use]
    pub fn seen_by(&self, key: &ServiceKey) -> Self {
        Self { service_key: Some(key.clone()), ..self.clone() }
    }
}
