//! The public keys of the deployment, and what is verified with them.

use std::{
    fmt,
    sync::Arc,
    time::{Duration, SystemTime},
};

use nodkey_proto::registry::v1::{GetJwksArchiveRequest, GetJwksRequest, signing_key_service_client::SigningKeyServiceClient};
use tokio::{sync::Mutex, time::Instant};

use super::wire::send;
use crate::{
    Error, Evidence, Expected, Jwks, Receipt, RelyingPartyId, SignedDevice, SignedResult, VerificationError, VerifiedEvidence, Webhook,
    WebhookHeaders, WebhookTrust, client::Inner, verify_device_identifier, verify_evidence, verify_receipt, verify_result, verify_webhook,
};

/// How old the cache may be.
const CACHED: Duration = Duration::from_mins(5);

/// The keys that were fetched last, and when.
#[derive(Debug, Default)]
pub(crate) struct KeyCache(Mutex<Option<(Instant, Jwks)>>);

/// The public keys of the deployment. Its own `verify_…` methods verify with them, from a cache; a key that is not in it is looked up, once.
#[derive(Clone, Debug)]
pub struct SigningKeys(Arc<Inner>);

/// Something does not verify with the keys of the deployment, or there are no keys.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub enum VerifyError {
    /// It does not verify.
    Invalid(VerificationError),
    /// The keys cannot be fetched, so that nothing is known.
    Keys(Error),
}

impl fmt::Display for VerifyError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Invalid(error) => error.fmt(f),
            Self::Keys(error) => write!(f, "the keys of the deployment cannot be fetched: {error}"),
        }
    }
}

impl std::error::Error for VerifyError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match self {
            Self::Invalid(error) => std::error::Error::source(error),
            Self::Keys(error) => Some(error),
        }
    }
}

impl SigningKeys {
    pub(crate) const fn new(inner: Arc<Inner>) -> Self {
        Self(inner)
    }

    /// Returns the keys whose signatures may still be valid, from a cache of five minutes at most.
    pub async fn get(&self) -> Result<Jwks, Error> {
        self.fetched_since(Instant::now().checked_sub(CACHED)).await
    }

    /// Fetches them past the cache.
    pub async fn refresh(&self) -> Result<Jwks, Error> {
        self.fetched_since(Some(Instant::now())).await
    }

    /// Returns every key that ever signed evidence, for evidence of any age; those that were revoked are marked, and verify nothing. Keep it
    /// with the evidence.
    pub async fn archive(&self) -> Result<Jwks, Error> {
        let answer = send!(self.0, Registry, SigningKeyServiceClient::get_jwks_archive, GetJwksArchiveRequest {})?;
        Jwks::answered(&answer.jwks)
    }

    /// As [`verify_evidence`](crate::verify_evidence()).
    pub async fn verify_evidence(
        &self,
        evidence: &Evidence,
        expected: &Expected,
        now: SystemTime,
    ) -> Result<VerifiedEvidence, VerifyError> {
        self.verify(|jwks| verify_evidence(evidence, jwks, expected, now)).await
    }

    /// As [`verify_webhook`](crate::verify_webhook()).
    pub async fn verify_webhook(
        &self,
        trust: WebhookTrust<'_>,
        headers: WebhookHeaders<'_>,
        body: &[u8],
        now: SystemTime,
    ) -> Result<Webhook, VerifyError> {
        self.verify(|jwks| verify_webhook(trust, headers, body, jwks, now)).await
    }

    /// As [`verify_receipt`](crate::verify_receipt()).
    pub async fn verify_receipt(&self, receipt: &str) -> Result<Receipt, VerifyError> {
        self.verify(|jwks| verify_receipt(receipt, jwks)).await
    }

    /// As [`verify_result`](crate::verify_result()).
    pub async fn verify_result(&self, jwt: &str, issuer: &str, relying_party: &RelyingPartyId) -> Result<SignedResult, VerifyError> {
        self.verify(|jwks| verify_result(jwt, jwks, issuer, relying_party)).await
    }

    /// As [`verify_device_identifier`](crate::verify_device_identifier()).
    pub async fn verify_device_identifier(
        &self,
        jwt: &str,
        issuer: &str,
        relying_party: &RelyingPartyId,
        now: SystemTime,
    ) -> Result<SignedDevice, VerifyError> {
        self.verify(|jwks| verify_device_identifier(jwt, jwks, issuer, relying_party, now)).await
    }

    async fn verify<T>(&self, verify: impl Fn(&Jwks) -> Result<T, VerificationError>) -> Result<T, VerifyError> {
        let known = self.get().await.map_err(VerifyError::Keys)?;
        match verify(&known) {
            Err(error) if error.is_unknown_key() => {
                let fresh = self.refresh().await.map_err(VerifyError::Keys)?;
                verify(&fresh).map_err(VerifyError::Invalid)
            }
            verified => verified.map_err(VerifyError::Invalid),
        }
    }

    /// The cached keys, or new ones if those are older; `None`: however old. Whoever asks meanwhile waits for the same.
    async fn fetched_since(&self, time: Option<Instant>) -> Result<Jwks, Error> {
        let mut cache = self.0.keys.0.lock().await;
        if let Some((at, jwks)) = &*cache
            && time.is_none_or(|time| *at >= time)
        {
            return Ok(jwks.clone());
        }
        let asked = Instant::now();
        let answer = send!(self.0, Registry, SigningKeyServiceClient::get_jwks, GetJwksRequest {})?;
        let jwks = Jwks::answered(&answer.jwks)?;
        *cache = Some((asked, jwks.clone()));
        Ok(jwks)
    }
}
