//! The keys that a service signs with: private keys sealed in its own database, public keys published by the registry.
//!
//! A key is generated, published, and signs from a time on. The publisher determines that time: the first key of its kind signs
//! immediately, a successor once nobody may still verify with a key set that lacks it. Each replica follows the clock, so all switch
//! together.

mod fresh;
pub(crate) mod metrics;
mod store;

use std::{sync::Arc, time::Duration};

pub use fresh::Fresh;
use metrics::SIGNING_SINCE;
use nodkey_bus::Bus;
use nodkey_db::{
    Db, Query, Tx,
    sealed::{KeyColumn, SealedColumn},
};
use nodkey_kernel::{
    error::{Classify as _, chain},
    id::SigningKeyId,
    jose::{Algorithm, PrivateKey, PublicJwk, jws},
    random::Random,
    service_key::ServiceName,
    time::{Clock, Timestamp},
    vault::Vault,
};
use prost::Message;
use serde::Serialize;
use tracing::warn;

use crate::{
    Failure, Job,
    idempotent::{Answers, Request, once},
    rows::{inconsistent, readable},
};

/// The table of keys on PostgreSQL, as a separate migration for a service that gains keys.
pub const POSTGRES: &str = include_str!("../../migrations/postgres/signing_key.sql");
/// The table of keys on SQLite.
pub const SQLITE: &str = include_str!("../../migrations/sqlite/signing_key.sql");

/// The sealed columns of that table.
pub const SEALED: &[SealedColumn] = &[SealedColumn {
    table: "signing_key",
    column: "sealed_private",
    key: &[KeyColumn::Uuid("id")],
    context: |key| format!("signing_key/{}", key[0]),
}];

/// Maximum number of times that a key is looked up again because another replica was first.
const ATTEMPTS: usize = 8;
/// Interval at which private keys that are no longer needed are deleted.
const KEEPING: Duration = Duration::from_mins(10);
/// Retry delay after a failure.
const AGAIN: Duration = Duration::from_secs(5);

/// A key of a service.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SigningKey {
    /// Identifier of the row.
    pub id: SigningKeyId,
    /// The public key; its thumbprint is the `kid`.
    pub key: PublicJwk,
    /// When it was generated.
    pub created_at: Timestamp,
    /// When it begins to sign; `None` until it is published.
    pub signs_at: Option<Timestamp>,
}

/// The publisher of public keys.
pub trait Publish: Send + Sync + 'static {
    /// Publishes a key and returns from when on it signs. Publishing it again returns the same time. `at_once` is for a compromised
    /// predecessor: the key signs now, and earlier keys are revoked.
    fn publish(&self, key: &PublicJwk, at_once: bool) -> impl Future<Output = Result<Timestamp, Failure>> + Send;
}

/// A published private key.
#[derive(Debug)]
pub struct Signer {
    kid: String,
    algorithm: Algorithm,
    key: PrivateKey,
    signs_at: Timestamp,
    id: SigningKeyId,
}

impl Signer {
    /// The `kid` of its signatures.
    #[must_use]
    pub fn kid(&self) -> &str {
        &self.kid
    }

    /// When it begins to sign what others may verify with an earlier key set.
    #[must_use]
    pub const fn signs_at(&self) -> Timestamp {
        self.signs_at
    }

    /// Signs claims.
    pub fn sign(&self, typ: &str, claims: &impl Serialize) -> String {
        let signer = |input: &[u8]| Ok::<_, std::convert::Infallible>(self.key.sign(input));
        match jws::sign_with(typ, self.algorithm, Some(&self.kid), None, claims, signer) {
            Ok(jws) => jws,
            Err(never) => match never {},
        }
    }

    /// Signs a payload that is already JSON, unchanged.
    #[must_use]
    pub fn sign_bytes(&self, typ: &str, payload: &[u8]) -> String {
        let signer = |input: &[u8]| Ok::<_, std::convert::Infallible>(self.key.sign(input));
        match jws::sign_bytes(typ, self.algorithm, Some(&self.kid), None, payload, signer) {
            Ok(jws) => jws,
            Err(never) => match never {},
        }
    }
}

/// The published keys, in the order in which they sign.
#[derive(Debug)]
struct Ring(Vec<Arc<Signer>>);

impl Ring {
    fn current(&self, now: Timestamp) -> Option<&Arc<Signer>> {
        self.0.iter().rfind(|signer| signer.signs_at <= now)
    }

    fn published(&self, now: Timestamp) -> Option<&Arc<Signer>> {
        self.current(now).or(self.0.first())
    }
}

/// The keys of a service, cached in memory: signing needs no read.
#[derive(Debug)]
pub struct Keys<P> {
    /// The service's database.
    pub db: Db,
    /// Seals private keys.
    pub vault: Arc<Vault>,
    /// Determines which key signs now.
    pub clock: Clock,
    /// Generates keys.
    pub random: Random,
    /// The algorithm of the very first key.
    pub first: Algorithm,
    /// Publishes public keys.
    pub publisher: P,
    /// The cached keys.
    pub ring: Held,
}

/// Cached keys.
#[derive(Debug)]
pub struct Held(Fresh<Ring>);

impl Held {
    /// Creates an empty cache. A replica signs with cached keys for this long. Where it hears of a change sooner, call [`Keys::forget`].
    #[must_use]
    pub fn lasting(lifetime: Duration) -> Self {
        Self(Fresh::lasting(lifetime))
    }
}

impl<P: Publish> Keys<P> {
    /// Returns the key that signs now, generating and publishing the very first. `None` while the first key's time has not come: another
    /// service still signs in its place. Accesses the database and the publisher, so call it before a transaction.
    pub async fn current(&self) -> Result<Option<Arc<Signer>>, Failure> {
        Ok(self.ring().await?.current(self.clock.now()).cloned())
    }

    /// Returns the key that signs now, or else the one that will sign first: for content that nobody verified before this key was
    /// published. Like [`Keys::current`], call it before a transaction.
    pub async fn published(&self) -> Result<Arc<Signer>, Failure> {
        self.ring().await?.published(self.clock.now()).cloned().ok_or(Failure::Internal("a ring that was read has a key"))
    }

    /// Like [`Keys::published`], but inside a transaction, using only its connection. `None` while no key is published.
    pub async fn published_in(&self, tx: &mut Tx) -> Result<Option<Arc<Signer>>, Failure> {
        let now = self.clock.now();
        if let Some(ring) = self.ring.0.held(now) {
            return Ok(ring.published(now).cloned());
        }
        let (ring, _) = self.read(tx.query("")).await?;
        Ok(ring.published(now).cloned())
    }

    /// Generates a successor and publishes it. One that is generated concurrently is a successor as well.
    pub async fn rotate<A: Message + Default>(
        &self,
        request: Option<&Request>,
        algorithm: Algorithm,
        at_once: bool,
        answer: impl Fn(&SigningKey) -> A + Send + Sync,
    ) -> Result<A, Failure> {
        let attempt = async || {
            let key = self.successor(algorithm).await?;
            let signs_at = self.publisher.publish(&key.key, at_once).await?;
            let mut tx = self.db.begin().await?;
            store::publish(&mut tx, key.id, signs_at, self.clock.now()).await?;
            Ok::<_, Failure>(Some((tx, answer(&SigningKey { signs_at: Some(signs_at), ..key }))))
        };
        let answers = Answers { db: &self.db, vault: &self.vault, random: &self.random, clock: &self.clock };
        let answer = once(request, &answers, attempt).await?;
        self.forget().await;
        Ok(answer)
    }

    /// Makes the keys be read again before the next signature, because another replica changed them.
    pub async fn forget(&self) {
        self.ring.0.forget().await;
    }

    /// Generates and publishes the first key unless it exists, and publishes the published keys again, in case the publisher was restored
    /// from a backup. Deletes private keys that are no longer needed.
    pub async fn keep(&self) -> Result<(), Failure> {
        store::forget_superseded(&self.db, self.clock.now()).await?;
        self.forget().await;
        for signer in &self.ring().await?.0 {
            self.publisher.publish(&signer.key.public(), false).await?;
        }
        Ok(())
    }

    /// Reports since when the current key has been signing.
    async fn report(&self, service: ServiceName) {
        if let Ok(Some(signer)) = self.current().await {
            #[expect(clippy::cast_precision_loss, reason = "exact for the next hundred million years")]
            SIGNING_SINCE.with(service).set(signer.signs_at.as_seconds() as f64);
        }
    }

    async fn ring(&self) -> Result<Arc<Ring>, Failure> {
        // Boxed, since it is seldom read: otherwise every call that signs would carry its size.
        self.ring.0.get(self.clock.now(), || Box::pin(self.read_ring())).await
    }

    async fn read_ring(&self) -> Result<Ring, Failure> {
        for _ in 0..ATTEMPTS {
            let (ring, unpublished) = self.read(self.db.query("")).await?;
            let made = match unpublished {
                Some(key) => key,
                None if !ring.0.is_empty() => return Ok(ring),
                None => match self.make_first().await? {
                    Some(key) => key,
                    None => continue,
                },
            };
            match self.finish(&made).await {
                Ok(()) => {}
                Err(e) if ring.0.is_empty() => return Err(e),
                Err(e) => {
                    warn!(error = chain(&e), reason = e.reason(), "a signing key could not be published; the previous one still signs");
                    return Ok(ring);
                }
            }
        }
        Err(Failure::Internal("no signing key has its private key: rotate the keys"))
    }

    /// Reads the published keys, and the unpublished one. A key that cannot be read is skipped while another can sign.
    async fn read(&self, query: Query<'_>) -> Result<(Ring, Option<SigningKey>), Failure> {
        let rows = store::private(query).await?;
        let (mut signers, mut unpublished, mut fault) = (Vec::with_capacity(rows.len()), None, None);
        for row in &rows {
            let opened = store::read(row).and_then(|(key, sealed)| {
                let Some(signs_at) = key.signs_at else {
                    unpublished = Some(key);
                    return Ok(());
                };
                let wrong =
                    |source: Box<dyn std::error::Error + Send + Sync>| inconsistent("signing_key", "sealed_private", key.id, source);
                let secret = self.vault.open(&context(key.id), &sealed).map_err(|e| wrong(e.into()))?;
                let algorithm = key.key.algorithm();
                let private = PrivateKey::from_secret_bytes(algorithm, &secret).map_err(|e| wrong(e.into()))?;
                signers.push(Arc::new(Signer { kid: key.key.thumbprint(), algorithm, key: private, signs_at, id: key.id }));
                Ok(())
            });
            if let Err(e) = opened {
                fault = Some(e);
            }
        }
        match fault {
            Some(e) if signers.is_empty() => return Err(e.into()),
            Some(e) => drop(readable::<()>(Err(e))),
            None => {}
        }
        signers.sort_by_key(|signer| (signer.signs_at, signer.id.as_uuid()));
        Ok((Ring(signers), unpublished))
    }

    /// Returns `None` when another replica was first.
    async fn make_first(&self) -> Result<Option<SigningKey>, Failure> {
        let (key, sealed) = self.generate(self.first);
        let mut tx = self.db.begin().await?;
        if store::any(&mut tx).await? {
            // Another replica's keys, made a moment ago, or all earlier keys are gone.
            tx.rollback().await?;
            return Ok(None);
        }
        let inserted = store::insert(&mut tx, &key, &sealed).await?;
        tx.commit().await?;
        Ok(inserted.then_some(key))
    }

    /// Returns a key to publish: an unpublished one with the same algorithm if there is one, or a new one.
    async fn successor(&self, algorithm: Algorithm) -> Result<SigningKey, Failure> {
        for _ in 0..ATTEMPTS {
            let mut tx = self.db.begin().await?;
            match store::unpublished(&mut tx).await? {
                Some(left) if left.key.algorithm() == algorithm => {
                    tx.rollback().await?;
                    return Ok(left);
                }
                Some(other) => store::delete_unpublished(&mut tx, other.id).await?,
                None => {}
            }
            let (key, sealed) = self.generate(algorithm);
            let inserted = store::insert(&mut tx, &key, &sealed).await?;
            tx.commit().await?;
            if inserted {
                return Ok(key);
            }
        }
        Err(Failure::Internal("other replicas keep creating signing keys"))
    }

    async fn finish(&self, key: &SigningKey) -> Result<(), Failure> {
        let signs_at = self.publisher.publish(&key.key, false).await?;
        let mut tx = self.db.begin().await?;
        store::publish(&mut tx, key.id, signs_at, self.clock.now()).await?;
        Ok(tx.commit().await?)
    }

    fn generate(&self, algorithm: Algorithm) -> (SigningKey, Vec<u8>) {
        let now = self.clock.now();
        let id = SigningKeyId::generate(now, &self.random);
        let private = PrivateKey::generate(algorithm, &self.random);
        let sealed = self.vault.seal(&self.random, &context(id), &private.to_secret_bytes());
        (SigningKey { id, key: private.public(), created_at: now, signs_at: None }, sealed)
    }
}

/// The context that a private key is sealed for.
fn context(id: SigningKeyId) -> String {
    format!("signing_key/{id}")
}

/// The job that publishes a service's first key as soon as it runs, and deletes what is no longer needed.
#[must_use]
pub fn job<P: Publish>(service: ServiceName, keys: Arc<Keys<P>>) -> Job {
    Job::new("signing_keys", move |shutdown| async move {
        loop {
            let pause = match keys.keep().await {
                Ok(()) => {
                    keys.report(service).await;
                    KEEPING
                }
                Err(e) => {
                    warn!(error = chain(&e), reason = e.reason(), "the signing keys could not be published; trying again");
                    AGAIN
                }
            };
            tokio::select! {
                () = shutdown.cancelled() => return,
                () = tokio::time::sleep(pause) => {}
            }
        }
    })
}

/// The topic that a service hints after its keys changed, so that other replicas need not read them for each signature.
pub const CHANGED: &str = "signing_keys";

/// The job that makes a replica use another replica's new key as soon as it is notified. If the hint is lost, the delay of
/// [`Held::lasting`] applies.
#[must_use]
pub fn follow<P: Publish>(keys: Arc<Keys<P>>, bus: Bus) -> Job {
    Job::new("signing_keys_changed", move |shutdown| async move {
        let mut changed = bus.listen(CHANGED);
        loop {
            tokio::select! {
                () = shutdown.cancelled() => return,
                _ = changed.notified() => keys.forget().await,
            }
        }
    })
}
