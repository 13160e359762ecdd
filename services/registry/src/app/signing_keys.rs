//! Use cases of the deployment's own keys.

use std::{
    convert::Infallible,
    sync::{Arc, PoisonError, RwLock},
    time::Duration,
};

use nodkey_kernel::{
    id::SigningKeyId,
    jose::{Algorithm, Jwks, PrivateKey, jws},
    time::Timestamp,
};
use nodkey_runtime::{
    Failure,
    idempotent::{Request, once},
    page::Page,
    rows,
};
use prost::Message;
use serde::Serialize;
use tokio::sync::Mutex;

use super::{ATTEMPTS, App, start};
use crate::{
    config::Config,
    domain::signing_key::{SigningKey, algorithm, check_claims, published},
    error::Error,
    store::signing_key as store,
};

/// For how long keys are taken from memory: a rotation by another replica is seen within this.
const FRESH: Duration = Duration::from_secs(30);

/// The keys in memory, so that signing costs no read.
pub(super) struct Keys {
    first: Algorithm,
    retention: Duration,
    ring: RwLock<Option<Arc<Ring>>>,
    // Held while reading, so that one reads and the others wait.
    turn: Mutex<()>,
}

struct Ring {
    kid: String,
    signer: PrivateKey,
    algorithm: Algorithm,
    jwks: Jwks,
    read_at: Timestamp,
}

impl Keys {
    pub(super) fn new(config: &Config) -> anyhow::Result<Self> {
        anyhow::ensure!(config.retired_key_days >= 1, "service.retired_key_days must be at least 1");
        let first =
            algorithm(&config.signing_algorithm).map_err(|_| anyhow::anyhow!("service.signing_algorithm must be EdDSA or ES256"))?;
        let retention = Duration::from_hours(24) * config.retired_key_days;
        Ok(Self { first, retention, ring: RwLock::default(), turn: Mutex::default() })
    }

    fn fresh(&self, now: Timestamp) -> Option<Arc<Ring>> {
        let ring = self.ring.read().unwrap_or_else(PoisonError::into_inner);
        ring.clone().filter(|ring| ring.read_at.until(now) < FRESH)
    }

    fn set(&self, ring: Option<Arc<Ring>>) {
        *self.ring.write().unwrap_or_else(PoisonError::into_inner) = ring;
    }
}

impl App {
    /// Signs claims of another service as they are. `typ` says what they are.
    pub async fn sign(&self, typ: &str, claims: &[u8]) -> Result<String, Error> {
        check_claims(typ, claims)?;
        self.sign_bytes(typ, claims).await
    }

    /// Signs claims of our own.
    pub(super) async fn sign_claims(&self, typ: &str, claims: &(impl Serialize + Sync)) -> Result<String, Error> {
        // Strings and numbers always serialize.
        let claims = serde_json::to_vec(claims).map_err(|_| Failure::Internal("claims serialize"))?;
        self.sign_bytes(typ, &claims).await
    }

    async fn sign_bytes(&self, typ: &str, claims: &[u8]) -> Result<String, Error> {
        let ring = self.ring().await?;
        let signer = |input: &[u8]| Ok::<_, Infallible>(ring.signer.sign(input));
        match jws::sign_bytes(typ, ring.algorithm, Some(&ring.kid), None, claims, signer) {
            Ok(jws) => Ok(jws),
            Err(never) => match never {},
        }
    }

    /// Returns the keys whose signatures may still be alive; never none.
    pub async fn jwks(&self) -> Result<Jwks, Error> {
        Ok(self.ring().await?.jwks.clone())
    }

    /// Makes a new key the one that signs.
    pub async fn rotate_signing_key<A: Message + Default>(
        &self,
        request: Option<Request>,
        algorithm: Algorithm,
        answer: impl Fn(&SigningKey) -> A + Send + Sync,
    ) -> Result<A, Error> {
        let attempt = async || {
            let (key, sealed) = self.generate(algorithm);
            let mut tx = self.0.db.begin().await?;
            store::retire_current(&mut tx, self.now() + self.0.keys.retention).await?;
            // Another that rotated in between made a key that is to be retired, too.
            Ok::<_, Error>(store::insert(&mut tx, &key, &sealed).await?.then(|| (tx, answer(&key))))
        };
        let answer = once(request.as_ref(), &self.answers(), attempt).await?;
        self.forget_ring().await;
        Ok(answer)
    }

    /// Lists all of them, newest first, with the token of the next page.
    pub async fn signing_keys(&self, page: &Page) -> Result<(Vec<SigningKey>, String), Error> {
        let start = start(page, |id| id.parse().ok())?;
        Ok(store::list(&self.0.db, &start, page.size).await?.into_parts())
    }

    async fn ring(&self) -> Result<Arc<Ring>, Error> {
        let keys = &self.0.keys;
        if let Some(ring) = keys.fresh(self.now()) {
            return Ok(ring);
        }
        let _turn = keys.turn.lock().await;
        if let Some(ring) = keys.fresh(self.now()) {
            return Ok(ring);
        }
        let ring = Arc::new(self.read_ring().await?);
        keys.set(Some(Arc::clone(&ring)));
        Ok(ring)
    }

    /// Waits for whoever is reading: what it read may be old.
    async fn forget_ring(&self) {
        let _turn = self.0.keys.turn.lock().await;
        self.0.keys.set(None);
    }

    /// Reads the keys, making the first one if there is none. Of replicas that do so at once, one wins.
    async fn read_ring(&self) -> Result<Ring, Error> {
        for _ in 0..ATTEMPTS {
            let now = self.now();
            let (current, keys) = store::alive(&self.0.db, now).await?;
            if let Some((key, sealed)) = current {
                let algorithm = key.key.algorithm();
                let secret = self.0.vault.open(&context(key.id), &sealed).map_err(Error::Sealed)?;
                let signer = PrivateKey::from_secret_bytes(algorithm, &secret)
                    .map_err(|_| rows::inconsistent("signing_key", "sealed_private", key.id, "is no private key"))?;
                return Ok(Ring { kid: key.key.thumbprint(), signer, algorithm, jwks: published(&keys, now), read_at: now });
            }
            let (key, sealed) = self.generate(self.0.keys.first);
            let mut tx = self.0.db.begin().await?;
            store::insert(&mut tx, &key, &sealed).await?;
            tx.commit().await?;
        }
        Err(Error::Raced)
    }

    fn generate(&self, algorithm: Algorithm) -> (SigningKey, Vec<u8>) {
        let now = self.now();
        let id = SigningKeyId::generate(now, &self.0.random);
        let private = PrivateKey::generate(algorithm, &self.0.random);
        let secret = private.to_secret_bytes();
        let sealed = self.0.vault.seal(&self.0.random, &context(id), &secret);
        (SigningKey { id, key: private.public(), created_at: now, retires_at: None }, sealed)
    }
}

/// What a private key is sealed for.
fn context(id: SigningKeyId) -> String {
    format!("signing_key/{id}")
}
