//! Answering.

use nodkey_kernel::{
    error::{Classify as _, Kind},
    id::{DeviceId, RelyingPartyId, TrusonaficationId},
    jose::{PublicJwk, jws::Compact},
    receipt::KeyKind,
};
use nodkey_proto::registry::v1::{GetDeviceRequest, PresenceKey, PresenceKind, device_service_client::DeviceServiceClient};
use nodkey_runtime::{Failure, status::PeerError, trace};
use serde::Deserialize;

use super::{ATTEMPTS, App, signing::Ending};
use crate::{
    domain::{Answer, AnsweringDevice, Change, Refusal, Stated, Trusonafication, answer},
    error::Error,
    store,
};

/// What is read of a response before it is verified: what it claims to answer, and whether documents have to be asked for.
#[derive(Deserialize)]
struct Unverified {
    sub: String,
    #[serde(default)]
    doc: Option<String>,
}

impl App {
    /// Takes a phone's signed answer. The same again gets the same result and has no effect.
    pub async fn respond(&self, party: RelyingPartyId, device: &DeviceId, response: &str) -> Result<Trusonafication, Error> {
        let compact = Compact::parse(response).map_err(|_| Refusal::InvalidResponse("it is no compact JWS"))?;
        let claims: Unverified = compact.unverified_claims().map_err(|_| Refusal::InvalidResponse("it has no sub"))?;
        let id: TrusonaficationId = claims.sub.parse().map_err(|_| Failure::NotFound("trusonafication"))?;
        let found = store::get_with_challenge(&self.db, party, id).await?;
        let (found, challenge) = found.ok_or(Failure::NotFound("trusonafication"))?;
        let device = self.answering_device(party, device, claims.doc.is_some()).await?;
        let answer = answer(&compact, &challenge, &self.deployment.public_url, &claims.sub, &device)?;
        let signer = self.keys.published().await?;
        let mut found = Some(found);
        for _ in 0..ATTEMPTS {
            let now = self.now();
            let result_id = uuid::Builder::from_random_bytes(self.random.bytes()).into_uuid();
            let current = match found.take() {
                Some(first) => first,
                None => self.find(party, id).await?,
            };
            match current.respond(result_id, &answer, now)? {
                Change::Same(answered) => return Ok(answered),
                Change::Changed(answered) => {
                    let ending = self.ending(&signer, &answered, &challenge, Some((&answer, response)))?;
                    if self.write_answered(&answered, &answer, response, ending).await? {
                        return Ok(answered);
                    }
                }
            }
        }
        Err(Error::Raced)
    }

    /// False when another was first.
    async fn write_answered(&self, answered: &Trusonafication, answer: &Answer, response: &str, ending: Ending) -> Result<bool, Error> {
        let mut tx = self.db.begin().await?;
        if !store::update_answered(&mut tx, answered, answer, response, &ending.receipt).await? {
            tx.rollback().await?;
            return Ok(false);
        }
        self.announce(&mut tx, answered, Some(ending), trace::current().map(|t| t.to_string())).await?;
        tx.commit().await?;
        Ok(true)
    }

    /// Asks the owners of keys, bindings and documents, now: what was revoked a moment ago does not count any more.
    async fn answering_device(&self, party: RelyingPartyId, id: &DeviceId, with_documents: bool) -> Result<AnsweringDevice, Error> {
        let mut devices = DeviceServiceClient::new(self.peers.registry().acting_for(party));
        let device = match devices.get_device(GetDeviceRequest { device_id: id.to_string() }).await.map_err(PeerError::from) {
            Ok(answer) => answer.into_inner(),
            Err(e) if e.kind() == Kind::NotFound => return Err(Error::DeviceNotBound),
            Err(e) => return Err(e.into()),
        };
        if device.retired {
            return Err(Error::DeviceRetired);
        }
        let user = self.active_user(party, id).await?;
        let documents = if with_documents { self.documents(party, &user).await? } else { Vec::new() };
        let key = |jwk: &str| PublicJwk::parse(jwk).map_err(|_| Failure::Internal("the registry holds checked keys"));
        let presence_key = |presence: &PresenceKey| {
            let kind = match presence.kind() {
                PresenceKind::Biometric => KeyKind::Biometric,
                PresenceKind::Credential => KeyKind::Credential,
                PresenceKind::Unspecified => return Err(Failure::Internal("the registry knows of what kind a presence key is")),
            };
            Ok((kind, key(&presence.jwk)?))
        };
        Ok(AnsweringDevice {
            id: id.clone(),
            key: key(&device.device_key)?,
            presence_keys: device.presence_keys.iter().map(presence_key).collect::<Result<_, _>>()?,
            user,
            documents,
            stated: Stated { statement: Some(device.key_statement).filter(|jws| !jws.is_empty()), signatures: device.key_signatures },
        })
    }
}
