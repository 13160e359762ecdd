//! Signing with the service's own keys.

use std::sync::Arc;

use nodkey_bus::Bus;
use nodkey_kernel::{
    challenge::CHALLENGE_TYP,
    id::{DeliveryId, RelyingPartyId, TrusonaficationId},
    jose::{Algorithm, PublicJwk, jws::Compact},
    receipt::RECEIPT_TYP,
    result::RESULT_TYP,
    time::Timestamp,
    trucode::TRUCODE_TYP,
};
use nodkey_proto::{
    convert::from_timestamp,
    registry::v1::{PublishSigningKeyRequest, SignRequest, signing_key_service_client::SigningKeyServiceClient},
    rest,
};
use nodkey_runtime::{
    Failure, Peers,
    idempotent::Request,
    signing::{self, Keys, Publish, Signer, SigningKey},
};
use prost::Message;
use serde::Serialize;

use super::App;
use crate::{
    convert,
    domain::{Answer, Proven, State, Trusonafication, receipt, result},
    error::Error,
    store,
};

/// The `typ`s that the service signs with its own keys.
const TYPS: [&str; 4] = [CHALLENGE_TYP, RECEIPT_TYP, RESULT_TYP, TRUCODE_TYP];

/// The keys that the service signs with.
pub(crate) type OwnKeys = Arc<Keys<Registry>>;

/// The registry publishes the public keys.
#[derive(Clone, Debug)]
pub struct Registry(pub(super) Peers);

impl Publish for Registry {
    async fn publish(&self, key: &PublicJwk, at_once: bool) -> Result<Timestamp, Failure> {
        let mut keys = SigningKeyServiceClient::new(self.0.registry().unscoped());
        let typs = TYPS.map(ToOwned::to_owned).to_vec();
        let request = PublishSigningKeyRequest { jwk: key.to_value().to_string(), typs, at_once };
        let signs_at = keys.publish_signing_key(request).await?.into_inner().signs_at;
        signs_at.as_ref().and_then(from_timestamp).ok_or(Failure::Internal("the registry says when a key signs"))
    }
}

/// The signatures made when a trusonafication ends.
#[derive(Debug, Default)]
pub(super) struct Ending {
    /// The receipt.
    pub(super) receipt: String,
    /// The result for its `callback_url`; `None` if it has none, or if the result is signed on delivery.
    pub(super) result: Option<String>,
}

impl App {
    /// The bus over which replicas notify each other.
    pub(crate) fn bus(&self) -> Bus {
        self.bus.clone()
    }

    /// The keys that the service signs with.
    pub(crate) fn signing_keys(&self) -> OwnKeys {
        Arc::clone(&self.keys)
    }

    /// Makes a successor of the current signing key.
    pub async fn rotate_signing_key<A: Message + Default>(
        &self,
        request: Option<Request>,
        algorithm: Algorithm,
        at_once: bool,
        answer: impl Fn(&SigningKey) -> A + Send + Sync,
    ) -> Result<A, Error> {
        let answer = self.keys.rotate(request.as_ref(), algorithm, at_once, answer).await?;
        // Once the call returns, the other replicas sign with the new key, and the registry publishes it.
        self.bus.wake(signing::CHANGED).await;
        Ok(answer)
    }

    /// Signs claims that verifiers may still check with a key set from before the service's own key was published. While such key sets may
    /// be in use, the registry signs them, as in earlier releases.
    pub(super) async fn sign(&self, party: RelyingPartyId, typ: &str, claims: &(impl Serialize + Sync)) -> Result<String, Error> {
        if let Some(signer) = self.keys.current().await? {
            return Ok(signer.sign(typ, claims));
        }
        let claims = serde_json::to_vec(claims).map_err(|_| Failure::Internal("claims serialize"))?;
        let mut keys = SigningKeyServiceClient::new(self.peers.registry().acting_for(party));
        Ok(keys.sign(SignRequest { typ: typ.to_owned(), claims: claims.into() }).await?.into_inner().jws)
    }

    /// Signs the end of a trusonafication. The receipt is signed as soon as the service's own key is published, since no receipt was ever
    /// signed with another key. The result is signed later if a verifier may not know that key yet.
    pub(super) fn ending(
        &self,
        signer: &Signer,
        t: &Trusonafication,
        challenge: &str,
        answer: Option<(&Answer, &str)>,
    ) -> Result<Ending, Error> {
        let id = uuid::Builder::from_random_bytes(self.random.bytes()).into_uuid();
        let issuer = &self.deployment.public_url;
        let data = rest::text(&convert::event(t)).map_err(|_| Failure::Internal("JSON serializes"))?;
        let claims = receipt(t, Proven { issuer, id, challenge, answer, data: data.get() }).ok_or(Failure::Internal("it has ended"))?;
        let receipt = signer.sign(RECEIPT_TYP, &claims);
        let called_back = t.ask.callback_url.is_some() && t.state != State::Canceled;
        let result = (called_back && signer.signs_at() <= self.now()).then(|| {
            // The same if the end is ever published again.
            let delivery = DeliveryId::of_callback(t.updated_at, t.id);
            result(t, issuer, delivery, Some(claims)).map(|claims| signer.sign(RESULT_TYP, &claims))
        });
        Ok(Ending { receipt, result: result.flatten() })
    }

    /// Signs the result that the given delivery sends to a `callback_url`.
    pub async fn sign_result(&self, party: RelyingPartyId, id: TrusonaficationId, delivery: DeliveryId) -> Result<String, Error> {
        let found = store::get_with_receipt(&self.db, party, id).await?;
        let (t, receipt) = found.ok_or(Failure::NotFound("trusonafication"))?;
        let claims = receipt.as_deref().and_then(|receipt| Compact::parse(receipt).ok()?.unverified_claims().ok());
        let claims = result(&t, &self.deployment.public_url, delivery, claims).ok_or(Failure::NotFound("result: it is in progress"))?;
        self.sign(party, RESULT_TYP, &claims).await
    }
}
