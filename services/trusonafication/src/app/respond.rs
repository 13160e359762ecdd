//! Use case: a phone's answer.

use nodkey_db::Tx;
use nodkey_kernel::{
    error::{Classify as _, Kind},
    id::{DeviceId, RelyingPartyId, TrusonaficationId},
    jose::{PublicJwk, jws::Compact},
    receipt::KeyKind,
    time::Timestamp,
};
use nodkey_proto::registry::v1::{GetDeviceRequest, PresenceKey, PresenceKind, device_service_client::DeviceServiceClient};
use nodkey_runtime::{
    Failure,
    checked::{Check, asking, begin, is_late},
    status::PeerError,
};
use serde::Deserialize;

use super::{App, Update};
use crate::{
    domain::{self, Answer, AnsweringDevice, Change, Refusal, Stated, Status, Trusonafication, answer},
    error::Error,
    store,
};

/// What is read from a response before it is verified: the trusonafication it answers, and whether documents have to be fetched.
#[derive(Deserialize)]
struct Unverified {
    sub: String,
    doc: Option<String>,
}

/// Everything that is written of an answer.
struct Answered {
    /// The device as the other services described it.
    device: AnsweringDevice,
    answer: Answer,
    changed: Trusonafication,
    receipt: String,
    update: Update,
}

impl App {
    /// Accepts a phone's signed answer. The same answer again returns the same result and has no effect.
    pub async fn respond(&self, party: RelyingPartyId, device: &DeviceId, response: &str) -> Result<Trusonafication, Error> {
        let compact = Compact::parse(response).map_err(|_| Refusal::InvalidResponse("it is not a compact JWS"))?;
        let claims: Unverified = compact.unverified_claims().map_err(|_| Refusal::InvalidResponse("it has no sub"))?;
        let id: TrusonaficationId = claims.sub.parse().map_err(|_| Failure::NotFound("trusonafication"))?;
        let found = store::get_answerable(&self.db, party, id).await?;
        let store::Answerable { t: found, challenge, mut struck } = found.ok_or(Failure::NotFound("trusonafication"))?;
        // Before a connection permit is held, since the keys may have to be read.
        let signer = self.keys.published().await?;
        let (mut found, mut last, mut late) = (Some(found), Error::Raced, None::<Answered>);
        for check in Check::all() {
            let place = check.place(&self.db).await?;
            let (device, said) = asking(self.answering_device(party, device, claims.doc.is_some())).await?;
            // A result built from the same device state is written as it is: rebuilding it with large custom fields would take longer than
            // that state stays fresh.
            let ready = if let Some(made) = late.take().filter(|made| made.device == device) {
                made
            } else {
                let answer = answer(&compact, &challenge, &self.deployment.public_url, &claims.sub, &device)?;
                let result_id = uuid::Builder::from_random_bytes(self.random.bytes()).into_uuid();
                let current = if let Some(first) = found.take() {
                    first
                } else {
                    // Whoever was first may have struck.
                    struck = true;
                    self.find(party, id).await?
                };
                let answered = match current.respond(result_id, &answer, self.now())? {
                    Change::Same(answered) => return Ok(answered),
                    Change::Changed(answered) => answered,
                };
                let ending = self.ending(&signer, &answered, &challenge, Some((&answer, response)))?;
                let receipt = ending.receipt.clone();
                let update = Self::ended(&answered, ending);
                Answered { device, answer, changed: answered, receipt, update }
            };
            let written = match begin(place, &self.clock, said).await {
                Ok(tx) => self.write_answered(tx, &ready, response, struck).await,
                Err(error) => Err(error.into()),
            };
            match written {
                Ok(true) => return Ok(ready.changed),
                Ok(false) => {}
                Err(e) if is_late(&e) => (last, late) = (e, Some(ready)),
                Err(e) => return Err(e),
            }
        }
        Err(last)
    }

    /// Returns false if a concurrent change was first. Nothing is forgiven a user whose budget has no strikes.
    async fn write_answered(&self, mut tx: Tx, ready: &Answered, response: &str, struck: bool) -> Result<bool, Error> {
        let Answered { answer, changed, receipt, update, .. } = ready;
        let settled = !struck && changed.state.status() == Status::Accepted;
        let budget = if settled { None } else { self.account(&mut tx, changed).await? };
        self.write_budget(&mut tx, changed, budget).await?;
        self.hold(&mut tx, changed).await?;
        let answered = store::Answered { t: changed, answer, response, receipt, event: &update.entry };
        if !store::update_answered(&mut tx, &answered).await? {
            tx.rollback().await?;
            return Ok(false);
        }
        self.notify(&mut tx, update);
        tx.commit().await?;
        Ok(true)
    }

    /// Fetches the keys, the binding and the documents from their owners, in parallel: what was revoked a moment ago no longer counts. Also
    /// returns when the first of them answered.
    async fn answering_device(
        &self,
        party: RelyingPartyId,
        id: &DeviceId,
        with_documents: bool,
    ) -> Result<(AnsweringDevice, Timestamp), Error> {
        let registry = async {
            let mut devices = DeviceServiceClient::new(self.peers.registry().acting_for(party));
            let answer = devices.get_device(GetDeviceRequest { device_id: id.to_string() }).await;
            (answer.map_err(PeerError::from), self.now())
        };
        let binding = async {
            let user = self.active_user(party, id).await;
            let said = self.now();
            let documents = match &user {
                Ok(user) if with_documents => self.documents(party, user).await,
                _ => Ok(Vec::new()),
            };
            (user, documents, said)
        };
        let ((device, one), (user, documents, other)) = tokio::join!(registry, binding);
        let device = match device {
            Ok(answer) => answer.into_inner(),
            Err(e) if e.kind() == Kind::NotFound => return Err(Error::DeviceNotBound),
            Err(e) => return Err(e.into()),
        };
        // Retirement is reported first: the end of the binding only follows from it.
        if device.retired {
            return Err(Error::DeviceRetired);
        }
        let (user, documents) = (user?, documents?);
        let key = |jwk: &str| PublicJwk::parse(jwk).map_err(|_| Failure::Internal("the registry holds checked keys"));
        let presence_key = |presence: &PresenceKey| {
            let kind = match presence.kind() {
                PresenceKind::Biometric => KeyKind::Biometric,
                PresenceKind::Credential => KeyKind::Credential,
                PresenceKind::Unspecified => return Err(Failure::Internal("the registry knows of what kind a presence key is")),
            };
            // A registry of an earlier release does not say.
            Ok(domain::PresenceKey { kind, key: key(&presence.jwk)?, counts: presence.counts.unwrap_or(true) })
        };
        let device = AnsweringDevice {
            id: id.clone(),
            key: key(&device.device_key)?,
            presence_keys: device.presence_keys.iter().map(presence_key).collect::<Result<_, _>>()?,
            user,
            documents,
            stated: Stated { statement: Some(device.key_statement).filter(|jws| !jws.is_empty()), signatures: device.key_signatures },
        };
        Ok((device, one.min(other)))
    }
}

#[cfg(test)]
mod tests;
