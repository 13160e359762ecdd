//! Use cases of the deployment's signing keys: the registry signs with its own, and publishes those of all services.

use std::{sync::Arc, time::Duration};

use nodkey_db::Db;
use nodkey_kernel::{
    jose::{Algorithm, Jwks, PublicJwk},
    time::{Clock, Timestamp},
};
use nodkey_runtime::{
    Deps, Failure,
    idempotent::Request,
    page::Page,
    signing::{self, Fresh, Keys, Publish, SigningKey as OwnKey},
};
use prost::Message;
use serde::Serialize;
use serde_json::Value;

use super::{ATTEMPTS, App, start};
use crate::{
    config::Config,
    domain::{
        Refusal,
        signing_key::{self, Offer, Owner, Publication, Published, SigningKey, check_claims, lent},
    },
    error::Error,
    store::signing_key as store,
};

/// How long keys are cached, so that one of many concurrent requests reads. A key that replaces a compromised one signs immediately, and
/// may have been published by another replica: a client that fetches the JWKS then must get it, or would distrust its signatures.
const FRESH: Duration = Duration::from_millis(100);

/// The keys that the registry signs with.
pub(crate) type OwnKeys = Arc<Keys<Here>>;

/// The registry publishes its own keys itself.
#[derive(Debug)]
pub(crate) struct Here(Arc<PublicKeys>);

/// The published keys of all services.
#[derive(Debug)]
pub(crate) struct PublicKeys {
    db: Db,
    clock: Clock,
    publication: Publication,
    all: Fresh<Vec<SigningKey>>,
}

/// Creates both key stores.
pub(super) fn keys(config: &Config, deps: &Deps) -> anyhow::Result<(OwnKeys, Arc<PublicKeys>)> {
    let first = config.first_algorithm()?;
    let publication = Publication {
        lead: Duration::from_secs(config.signing_key_lead_seconds.into()),
        retention: Duration::from_hours(24) * config.retired_key_days,
    };
    let public = Arc::new(PublicKeys { db: deps.db()?, clock: deps.clock.clone(), publication, all: Fresh::lasting(FRESH) });
    let keys = Keys {
        db: deps.db()?,
        vault: deps.vault()?,
        clock: deps.clock.clone(),
        random: deps.random.clone(),
        first,
        publisher: Here(Arc::clone(&public)),
        ring: signing::Held::lasting(FRESH),
    };
    Ok((Arc::new(keys), public))
}

impl PublicKeys {
    async fn all(&self) -> Result<Arc<Vec<SigningKey>>, Error> {
        let all = self.all.get(self.clock.now(), || store::all(&self.db)).await?;
        if signing_key::is_complete(&all) {
            return Ok(all);
        }
        // The first key of a service signs as soon as it is published, possibly by another replica.
        self.all.forget().await;
        self.all.get(self.clock.now(), || store::all(&self.db)).await
    }

    /// Publishes the key that `offer` makes from the keys published before. Publishing the same key again returns it unchanged.
    async fn admit(&self, offer: impl Fn(&[SigningKey], Timestamp) -> Offer + Send + Sync) -> Result<SigningKey, Error> {
        for _ in 0..ATTEMPTS {
            let (all, now) = (store::all(&self.db).await?, self.clock.now());
            let (new, changed) = match self.publication.publish(&all, offer(&all, now), now)? {
                Published::Before(key) => return Ok(key),
                Published::Now(new, changed) => (new, changed),
            };
            let mut tx = self.db.begin().await?;
            if !store::insert(&mut tx, &new).await? {
                tx.rollback().await?;
                continue;
            }
            for key in &changed {
                store::retire(&mut tx, key).await?;
            }
            tx.commit().await?;
            self.all.forget().await;
            return Ok(new);
        }
        Err(Error::Raced)
    }
}

impl Publish for Here {
    async fn publish(&self, key: &PublicJwk, at_once: bool) -> Result<Timestamp, Failure> {
        let offer = |all: &[SigningKey], now: Timestamp| {
            let typs = [Owner::Registry.typs(), lent(all, now)].concat().into_iter().map(ToOwned::to_owned).collect();
            Offer { owner: Owner::Registry, key: *key, typs, at_once }
        };
        match self.0.admit(offer).await {
            Ok(published) => Ok(published.signs_at),
            Err(Error::Failure(failure)) => Err(failure),
            Err(_) => Err(Failure::Internal("the registry cannot publish a key of its own")),
        }
    }
}

impl App {
    /// Publishes a key of another service.
    pub async fn publish_signing_key(&self, owner: Owner, key: PublicJwk, typs: Vec<String>, at_once: bool) -> Result<SigningKey, Error> {
        owner.check(&typs)?;
        // The registry's own key is published first: what it signs on behalf of others decides when they start to sign.
        self.0.keys.published().await?;
        self.0.public_keys.admit(|_, _| Offer { owner, key, typs: typs.clone(), at_once }).await
    }

    /// Signs claims of another service verbatim, while the registry's key may still sign that `typ`.
    pub async fn sign(&self, typ: &str, claims: &[u8]) -> Result<String, Error> {
        check_claims(typ, claims)?;
        let signer = self.0.keys.published().await?;
        let all = self.0.public_keys.all().await?;
        let lent = all.iter().any(|key| key.signs(typ) && key.key.thumbprint() == signer.kid());
        if lent { Ok(signer.sign_bytes(typ, claims)) } else { Err(Refusal::NotSignedHere.into()) }
    }

    /// Signs the registry's own claims.
    pub(super) async fn sign_claims(&self, typ: &str, claims: &(impl Serialize + Sync)) -> Result<String, Error> {
        Ok(self.0.keys.published().await?.sign(typ, claims))
    }

    /// Returns the keys whose signatures may still be valid; never empty.
    pub async fn jwks(&self) -> Result<Jwks, Error> {
        self.0.keys.published().await?;
        Ok(signing_key::jwks(&self.0.public_keys.all().await?, self.now()))
    }

    /// Returns every key that has signed parts of evidence, as a JWKS.
    pub async fn jwks_archive(&self) -> Result<Value, Error> {
        Ok(signing_key::archive(&self.0.public_keys.all().await?))
    }

    /// The archive as verifiers use it: without revoked keys.
    pub(super) async fn archived(&self) -> Result<Jwks, Error> {
        let all = self.0.public_keys.all().await?;
        Ok(Jwks { keys: all.iter().filter(|key| key.revoked_at.is_none()).map(SigningKey::public).collect() })
    }

    /// Creates a successor of the registry's key.
    pub async fn rotate_signing_key<A: Message + Default>(
        &self,
        request: Option<Request>,
        algorithm: Algorithm,
        at_once: bool,
        answer: impl Fn(&OwnKey) -> A + Send + Sync,
    ) -> Result<A, Error> {
        Ok(self.0.keys.rotate(request.as_ref(), algorithm, at_once, answer).await?)
    }

    /// Lists the keys of all services, newest first, each with whether it currently signs, and the token of the next page.
    pub async fn signing_keys(&self, page: &Page) -> Result<(Vec<(SigningKey, bool)>, String), Error> {
        let thumbprint = |id: &str| id.len() == 43 && id.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-' || b == b'_');
        let start = start(page, |id| thumbprint(id).then(|| id.to_owned()))?;
        let (listed, next) = store::list(&self.0.db, &start, page.size).await?.into_parts();
        let all = self.0.public_keys.all().await?;
        let signs = |key: &SigningKey| signing_key::current(&all, self.now()).any(|current| current.key == key.key);
        let with_state = |key: SigningKey| {
            let current = signs(&key);
            (key, current)
        };
        Ok((listed.into_iter().map(with_state).collect(), next))
    }

    /// The keys that the registry signs with.
    pub(crate) fn own_keys(&self) -> OwnKeys {
        Arc::clone(&self.0.keys)
    }
}

#[cfg(test)]
mod tests;
