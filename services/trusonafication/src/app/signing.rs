//! Signing, by keys of the service's own.

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

/// What the service signs by its own keys.
const TYPS: [&str; 4] = [CHALLENGE_TYP, RECEIPT_TYP, RESULT_TYP, TRUCODE_TYP];

/// The keys the service signs by.
pub(crate) type OwnKeys = Arc<Keys<Registry>>;

/// The registry publishes the public halves.
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

/// What is signed when a trusonafication ends.
#[derive(Debug, Default)]
pub(super) struct Ending {
    /// The receipt.
    pub(super) receipt: String,
    /// What its `callback_url` is told; `None` when it has none, or it is signed when it is sent.
    pub(super) result: Option<String>,
}

impl App {
    /// Where replicas hear of each other.
    pub(crate) fn bus(&self) -> Bus {
        self.bus.clone()
    }

    /// The keys the service signs by.
    pub(crate) fn signing_keys(&self) -> OwnKeys {
        Arc::clone(&self.keys)
    }

    /// Makes a successor of the key that signs.
    pub async fn rotate_signing_key<A: Message + Default>(
        &self,
        request: Option<Request>,
        algorithm: Algorithm,
        at_once: bool,
        answer: impl Fn(&SigningKey) -> A + Send + Sync,
    ) -> Result<A, Error> {
        let answer = self.keys.rotate(request.as_ref(), algorithm, at_once, answer).await?;
        // The others sign by it, and the registry publishes it, as soon as this is answered.
        self.bus.wake(signing::CHANGED).await;
        Ok(answer)
    }

    /// Signs what others may verify by a key set from before the own key was published: until nobody does, the registry signs it, as
    /// releases before had it do.
    pub(super) async fn sign(&self, party: RelyingPartyId, typ: &str, claims: &(impl Serialize + Sync)) -> Result<String, Error> {
        if let Some(signer) = self.keys.current().await? {
            return Ok(signer.sign(typ, claims));
        }
        let claims = serde_json::to_vec(claims).map_err(|_| Failure::Internal("claims serialize"))?;
        let mut keys = SigningKeyServiceClient::new(self.peers.registry().acting_for(party));
        Ok(keys.sign(SignRequest { typ: typ.to_owned(), claims: claims.into() }).await?.into_inner().jws)
    }

    /// Signs what became of one. A receipt is signed as soon as the own key is published: nobody verified any by another. A result is
    /// left for later while nobody may verify it by that key.
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
            let delivery = DeliveryId::generate(self.now(), &self.random);
            result(t, issuer, delivery, Some(claims)).map(|claims| signer.sign(RESULT_TYP, &claims))
        });
        Ok(Ending { receipt, result: result.flatten() })
    }

    /// Signs what a `callback_url` is told by the delivery of that id.
    pub async fn sign_result(&self, party: RelyingPartyId, id: TrusonaficationId, delivery: DeliveryId) -> Result<String, Error> {
        let found = store::get_with_receipt(&self.db, party, id).await?;
        let (t, receipt) = found.ok_or(Failure::NotFound("trusonafication"))?;
        let claims = receipt.as_deref().and_then(|receipt| Compact::parse(receipt).ok()?.unverified_claims().ok());
        let claims = result(&t, &self.deployment.public_url, delivery, claims).ok_or(Failure::NotFound("result: it is in progress"))?;
        self.sign(party, RESULT_TYP, &claims).await
    }
}
