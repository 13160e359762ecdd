//! The token that a service shows another: a JWS signed with the caller's own key, for that one recipient and valid for less than a minute.
//!
//! A new token is made every ten seconds for each service called and each relying party acted for, and it is verified once. A login costs
//! at most one signature and one verification, and usually none.

use std::{sync::Arc, time::Duration};

use http::HeaderValue;
use moka::sync::Cache;
use nodkey_kernel::{
    id::RelyingPartyId,
    jose::{hs256, numeric_date, sha256},
    service_key::ServiceName,
    time::{Clock, Timestamp},
};
use secrecy::ExposeSecret as _;
use serde::{Deserialize, Serialize};

use super::{
    deployment::Deployment,
    metrics::INTERNAL_KEY_CALLS,
    token::{self, INTERNAL},
};

/// The `typ` of a token.
pub const TYP: &str = "nodkey-service+jwt";
/// Lifetime of a token, in seconds.
const LIFETIME: i64 = 40;
/// How long a token is used, in seconds. The rest of its lifetime covers the call itself, and clock differences.
const USE: i64 = 10;
/// Maximum number of tokens cached by the signer, and by the verifier.
const CAPACITY: u64 = 10_000;

/// Claims of a token.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Claims {
    /// The service that calls.
    pub iss: String,
    /// The deployment's audience, a slash, and the called service, which therefore cannot use the token with a third one.
    pub aud: String,
    /// Expiry, in seconds.
    #[serde(deserialize_with = "numeric_date")]
    pub exp: i64,
    /// The relying party it acts for.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub rp: Option<RelyingPartyId>,
}

/// An authenticated service, and the relying party it claims to act for.
pub(crate) type Proven = (ServiceName, Option<RelyingPartyId>);

/// The `aud` of tokens for a service.
#[must_use]
pub fn audience(deployment: &Deployment, service: ServiceName) -> String {
    format!("{}/{service}", deployment.audience)
}

/// Signs tokens of one service.
#[derive(Debug)]
pub(crate) struct Signer {
    name: ServiceName,
    deployment: Arc<Deployment>,
    clock: Clock,
    made: Cache<(ServiceName, Option<RelyingPartyId>), (i64, HeaderValue)>,
}

impl Signer {
    pub(crate) fn new(name: ServiceName, deployment: &Arc<Deployment>, clock: &Clock) -> anyhow::Result<Self> {
        let named = deployment.service_key.as_ref().is_none_or(|key| key.name() == name);
        anyhow::ensure!(named, "the key of another service cannot sign for {name}");
        anyhow::ensure!(deployment.service_key.is_some() || deployment.internal_key.is_some(), "{name} has no key to sign with");
        let made = Cache::builder().max_capacity(CAPACITY).time_to_live(Duration::from_secs(LIFETIME.unsigned_abs())).build();
        Ok(Self { name, deployment: Arc::clone(deployment), clock: clock.clone(), made })
    }

    /// The current time.
    pub(crate) fn now(&self) -> Timestamp {
        self.clock.now()
    }

    pub(crate) fn deployment(&self) -> &Deployment {
        &self.deployment
    }

    /// The `Authorization` header for a call to a service.
    pub(crate) fn authorization(&self, to: ServiceName, relying_party: Option<RelyingPartyId>) -> Option<HeaderValue> {
        let now = self.now().as_seconds();
        if let Some((at, value)) = self.made.get(&(to, relying_party))
            && (at..at + USE).contains(&now)
        {
            return Some(value);
        }
        let mut value = HeaderValue::try_from(format!("Bearer {}", self.token(to, relying_party, now + LIFETIME))).ok()?;
        value.set_sensitive(true);
        self.made.insert((to, relying_party), (now, value.clone()));
        Some(value)
    }

    fn token(&self, to: ServiceName, rp: Option<RelyingPartyId>, exp: i64) -> String {
        let iss = self.name.to_string();
        match (&self.deployment.service_key, &self.deployment.internal_key) {
            (Some(key), _) => key.sign(TYP, &Claims { iss, aud: audience(&self.deployment, to), exp, rp }),
            (None, internal) => {
                let claims = token::Claims { aud: self.deployment.audience.as_str().into(), exp, iss: Some(iss), rp };
                let secret = internal.as_ref().map_or("", |key| key.expose_secret());
                hs256::sign(Some(INTERNAL), &claims, secret.as_bytes())
            }
        }
    }
}

/// Verifies tokens of all services.
#[derive(Clone, Debug)]
pub(crate) struct Verifier {
    deployment: Arc<Deployment>,
    clock: Clock,
    /// By SHA-256 of the token. Refused tokens are not cached: they would evict valid ones.
    known: Cache<[u8; 32], (ServiceName, Claims)>,
}

impl Verifier {
    pub(crate) fn new(deployment: &Arc<Deployment>, clock: &Clock) -> Self {
        let known = Cache::builder().max_capacity(CAPACITY).time_to_live(Duration::from_secs(LIFETIME.unsigned_abs())).build();
        Self { deployment: Arc::clone(deployment), clock: clock.clone(), known }
    }

    /// Whether `kid` is that of a service's key.
    pub(crate) fn knows(&self, kid: &str) -> bool {
        self.deployment.service_keys.by_kid(kid).is_some()
    }

    /// Returns the service that shows this token to the service `to`; `None` if anything is wrong with the token.
    pub(crate) fn verify(&self, token: &str, to: ServiceName) -> Option<Proven> {
        let digest = sha256(token.as_bytes());
        let (signer, claims) = if let Some(known) = self.known.get(&digest) {
            known
        } else {
            let (signer, claims) = self.deployment.service_keys.verify::<Claims>(token, TYP).ok()?;
            if claims.iss != signer.as_str() {
                return None;
            }
            self.known.insert(digest, (signer, claims.clone()));
            (signer, claims)
        };
        let good = token::alive(claims.exp, self.clock.now()) && claims.aud == audience(&self.deployment, to);
        good.then_some((signer, claims.rp))
    }

    /// Verifies a token signed with the key that all services of an older deployment share, where there is one.
    pub(crate) fn verify_internal(&self, token: &str) -> Option<Proven> {
        let key = self.deployment.internal_key.as_ref()?;
        let claims: token::Claims = hs256::verify(token, key.expose_secret().as_bytes()).ok()?;
        let name = ServiceName::try_from(claims.iss.as_deref()?).ok()?;
        if !token::alive(claims.exp, self.clock.now()) || !claims.aud.includes(&self.deployment.audience) {
            return None;
        }
        INTERNAL_KEY_CALLS.with(name).increment(1);
        Some((name, claims.rp))
    }
}

#[cfg(test)]
mod tests {
    use nodkey_kernel::{
        egress::Egress,
        random::Random,
        service_key::{ServiceKey, ServiceKeys},
    };

    use super::*;

    fn deployment() -> (ServiceKey, Arc<Deployment>) {
        let key = ServiceKey::generate(ServiceName::Gateway, &Random::seeded(1));
        let keys: ServiceKeys = [&key].into_iter().collect();
        let deployment = Deployment { service_keys: keys, ..Deployment::new("http://gw", Egress::new(true)) };
        (key.clone(), Arc::new(deployment.seen_by(&key)))
    }

    #[test]
    fn a_token_is_made_once_in_ten_seconds_for_each_service_and_party() {
        let (clock, (_, deployment)) = (Clock::manual(Timestamp::from_seconds(1_000)), deployment());
        let signer = Signer::new(ServiceName::Gateway, &deployment, &clock).unwrap();
        let party = RelyingPartyId::generate(clock.now(), &Random::seeded(1));
        let first = signer.authorization(ServiceName::Registry, None).unwrap();
        assert_eq!(signer.authorization(ServiceName::Registry, None).unwrap(), first);
        assert_ne!(signer.authorization(ServiceName::Registry, Some(party)).unwrap(), first);
        assert_ne!(signer.authorization(ServiceName::Binding, None).unwrap(), first);
        clock.advance(Duration::from_secs(10));
        assert_ne!(signer.authorization(ServiceName::Registry, None).unwrap(), first);
        assert!(first.is_sensitive());
    }

    #[test]
    fn a_token_that_was_verified_ends_all_the_same_and_is_for_one_service_alone() {
        let (clock, (key, deployment)) = (Clock::manual(Timestamp::from_seconds(1_000)), deployment());
        let verifier = Verifier::new(&deployment, &clock);
        let claims = Claims { iss: "gateway".into(), aud: "nodkey/registry".into(), exp: 1_040, rp: None };
        let token = key.sign(TYP, &claims);
        for _ in 0..2 {
            assert_eq!(verifier.verify(&token, ServiceName::Registry), Some((ServiceName::Gateway, None)));
            assert_eq!(verifier.verify(&token, ServiceName::Binding), None);
        }
        clock.advance(Duration::from_secs(45));
        assert_eq!(verifier.verify(&token, ServiceName::Registry), None);
    }

    #[test]
    fn nobody_signs_with_the_key_of_another_or_with_none() {
        let (clock, (_, deployment)) = (Clock::manual(Timestamp::from_seconds(1_000)), deployment());
        assert!(Signer::new(ServiceName::Registry, &deployment, &clock).is_err());
        let none = Arc::new(Deployment::new("http://gw", Egress::new(true)));
        assert!(Signer::new(ServiceName::Registry, &none, &clock).is_err());
    }
}
