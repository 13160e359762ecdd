//! How a caller authenticates: with a bearer token that it signs itself, so that the secret is never sent.

use std::{sync::Arc, time::SystemTime};

use nodkey_kernel::{
    jose::{self, hs256},
    operator_key::OperatorKey,
    time::Clock,
};
use secrecy::{ExposeSecret as _, SecretString};
use serde::{Deserialize, Serialize};
use tonic::{
    Request, Status,
    body::Body,
    codegen::{BoxFuture, Context, Poll, Service, http},
    metadata::MetadataValue,
    service::{Interceptor, interceptor::InterceptedService},
    transport,
};

use crate::error::unreachable;

/// A channel with authenticated calls, for use with any generated client. If the server cannot be reached, calls fail with
/// [`Status::unavailable`], with the address and a description of the cause.
#[derive(Clone, Debug)]
pub struct AuthenticatedChannel {
    inner: InterceptedService<transport::Channel, Signer>,
    url: Arc<str>,
}

impl AuthenticatedChannel {
    pub(crate) fn new(url: &str, channel: transport::Channel, signer: Signer) -> Self {
        Self { inner: InterceptedService::new(channel, signer), url: url.into() }
    }
}

impl Service<http::Request<Body>> for AuthenticatedChannel {
    type Response = http::Response<Body>;
    type Error = Status;
    type Future = BoxFuture<Self::Response, Status>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), Status>> {
        self.inner.poll_ready(cx).map_err(|error| unreachable(&self.url, error))
    }

    fn call(&mut self, request: http::Request<Body>) -> Self::Future {
        let (answer, url) = (self.inner.call(request), Arc::clone(&self.url));
        Box::pin(async move {
            match answer.await {
                Ok(response) => Ok(response.map(Body::new)),
                Err(error) => Err(unreachable(&url, error)),
            }
        })
    }
}

/// Lifetime of a self-signed token, in seconds. The server accepts at most 60.
const LIFETIME: i64 = 30;

/// The caller's identity and secret.
#[derive(Clone, Debug)]
pub struct Credential {
    secret: Secret,
    audience: String,
    relying_party_id: Option<String>,
}

#[derive(Clone, Debug)]
enum Secret {
    /// Shared with the verifier: its name, and the secret.
    Shared(String, SecretString),
    /// A private key whose public key verifies.
    Operator(Box<OperatorKey>),
}

/// The token was not issued by Nodkey, or comes without its secret.
#[derive(Debug, thiserror::Error)]
#[error("the token is not a JWT with a `jti`, or the secret is empty; copy both whole, as they were shown when the credential was created")]
pub struct InvalidCredential;

impl Credential {
    /// A relying party's server credential.
    pub fn new(token: &str, secret: impl Into<SecretString>) -> Result<Self, InvalidCredential> {
        #[derive(Deserialize)]
        struct Claims {
            jti: String,
        }
        let payload = token.split('.').nth(1).ok_or(InvalidCredential)?;
        let bytes = jose::b64u_decode(payload).map_err(|_| InvalidCredential)?;
        let claims: Claims = serde_json::from_slice(&bytes).map_err(|_| InvalidCredential)?;
        let secret = secret.into();
        if secret.expose_secret().is_empty() {
            return Err(InvalidCredential);
        }
        Ok(Self { secret: Secret::Shared(claims.jti, secret), audience: "nodkey".into(), relying_party_id: None })
    }

    /// An operator of a deployment, acting for `relying_party_id` where a call needs one.
    #[must_use]
    pub fn operator(key: OperatorKey, relying_party_id: Option<String>) -> Self {
        Self { secret: Secret::Operator(Box::new(key)), audience: "nodkey".into(), relying_party_id }
    }

    /// An operator of a deployment whose operator key is symmetric, as all were before they became key pairs. Accepted for one version.
    #[must_use]
    pub fn symmetric_operator(key: impl Into<SecretString>, relying_party_id: Option<String>) -> Self {
        Self { secret: Secret::Shared("operator".into(), key.into()), audience: "nodkey".into(), relying_party_id }
    }

    /// A signed-in operator, by the id and secret of their session, acting for `relying_party_id` where a call needs one.
    #[must_use]
    pub fn operator_session(id: &str, secret: impl Into<SecretString>, relying_party_id: Option<String>) -> Self {
        Self { secret: Secret::Shared(format!("operator/{id}"), secret.into()), audience: "nodkey".into(), relying_party_id }
    }

    /// Sets the audience, for deployments whose `deployment.audience` is not `nodkey`.
    #[must_use]
    pub fn audience(mut self, audience: impl Into<String>) -> Self {
        self.audience = audience.into();
        self
    }

    /// Signs a token for calls over HTTP that are made without this client: `Authorization: Bearer TOKEN`. It holds for 30 seconds from
    /// `now`; sign one for each call.
    #[must_use]
    pub fn bearer_token(&self, now: SystemTime) -> String {
        let now = now.duration_since(SystemTime::UNIX_EPOCH).map_or(0, |since| since.as_secs());
        self.sign(&self.audience, i64::try_from(now).unwrap_or(i64::MAX - LIFETIME))
    }

    /// Signs a token for an audience; `now` is in seconds.
    fn sign(&self, audience: &str, now: i64) -> String {
        #[derive(Serialize)]
        struct Claims<'a> {
            aud: &'a str,
            iat: i64,
            exp: i64,
        }
        let claims = Claims { aud: audience, iat: now, exp: now + LIFETIME };
        match &self.secret {
            Secret::Shared(name, secret) => hs256::sign(Some(name), &claims, secret.expose_secret().as_bytes()),
            Secret::Operator(key) => key.sign(&claims),
        }
    }
}

/// Signs a fresh token for every call.
#[derive(Clone, Debug)]
pub struct Signer {
    credential: Credential,
    service: &'static str,
    clock: Clock,
}

impl Signer {
    /// Creates a signer for calls of one service.
    pub(crate) fn new(credential: &Credential, service: &'static str) -> Self {
        Self { credential: credential.clone(), service, clock: Clock::system() }
    }

    fn token(&self) -> String {
        let (credential, now) = (&self.credential, self.clock.now().as_seconds());
        match credential.secret {
            Secret::Shared(..) => credential.sign(&credential.audience, now),
            // For one service alone, which cannot use the token with another.
            Secret::Operator(_) => credential.sign(&format!("{}/{}", credential.audience, self.service), now),
        }
    }
}

impl Interceptor for Signer {
    fn call(&mut self, mut request: Request<()>) -> Result<Request<()>, Status> {
        let mut value = MetadataValue::try_from(format!("Bearer {}", self.token()))
            .map_err(|_| Status::unauthenticated("the token contains characters that a header must not contain"))?;
        value.set_sensitive(true);
        request.metadata_mut().insert("authorization", value);
        if let Some(id) = &self.credential.relying_party_id {
            let id = MetadataValue::try_from(id).map_err(|_| Status::invalid_argument("the relying party id is not a UUID"))?;
            request.metadata_mut().insert("x-nodkey-relying-party", id);
        }
        Ok(request)
    }
}

#[cfg(test)]
mod tests {
    use nodkey_kernel::{operator_key::OperatorKeys, random::Random};

    use super::*;

    #[test]
    fn a_token_that_is_no_jwt_is_refused_at_construction() {
        for token in ["", "abc", "a.b.c", "a.e30.c"] {
            assert!(Credential::new(token, "secret").is_err(), "{token}");
        }
    }

    #[test]
    fn the_secret_does_not_show_in_debug_output() {
        let payload = jose::b64u(br#"{"jti":"x"}"#);
        let credential = Credential::new(&format!("h.{payload}.s"), "topsecret").unwrap();
        assert!(!format!("{credential:?}").contains("topsecret"));
        let key = OperatorKey::generate(&Random::seeded(1));
        let secret = key.to_secret();
        assert!(!format!("{:?}", Credential::operator(key, None)).contains(&*secret));
    }

    #[test]
    fn what_an_operator_signs_is_for_one_service() {
        let key = OperatorKey::generate(&Random::seeded(1));
        let keys: OperatorKeys = [&key].into_iter().collect();
        let token = Signer::new(&Credential::operator(key, None).audience("acme"), "registry").token();
        assert_eq!(keys.verify::<serde_json::Value>(&token).unwrap()["aud"], "acme/registry");
    }
}
