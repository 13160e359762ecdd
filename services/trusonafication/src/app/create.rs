//! Asking.

use std::time::Duration;

use nodkey_kernel::{
    challenge::{CHALLENGE_TYP, ChallengeClaims, RelyingPartyClaim},
    id::{DeviceId, RelyingPartyId, TrusonaficationId},
};
use nodkey_proto::{
    binding::v1::{Binding, BindingState, ListUserDevicesRequest, user_service_client::UserServiceClient},
    registry::v1::{GetRelyingPartyRequest, relying_party_service_client::RelyingPartyServiceClient},
    trusonafication::v1::CreateTrusonaficationResponse,
};
use nodkey_runtime::{
    Failure,
    idempotent::{Answers, Request, once},
    trace,
};

use super::App;
use crate::{
    convert,
    domain::{Ask, Limits, MatchMode, NumberMatch, State, Target, Trusonafication, Unchecked},
    error::Error,
    store,
};

/// The answer to a request to ask.
pub type Created = CreateTrusonaficationResponse;

/// Who can answer: the user, once known, and the devices to wake.
struct Addressed {
    user: Option<String>,
    device: Option<DeviceId>,
    devices: Vec<DeviceId>,
}

impl App {
    /// Asks a user or a device.
    pub async fn create(
        &self,
        party: RelyingPartyId,
        request: Option<Request>,
        fields: Unchecked,
        number_match: Option<MatchMode>,
    ) -> Result<Created, Error> {
        let answers = Answers { db: &self.db, vault: &self.vault, random: &self.random, clock: &self.clock };
        let attempt = async || {
            let (mut asked, challenge) = self.prepare(party, fields.clone(), number_match).await?;
            let mut tx = self.db.begin().await?;
            if let Target::TruCode(code) = asked.ask.target {
                // Whoever pairs it from here on finds this one.
                asked.device = store::lock_trucode(&mut tx, party, code).await?.and_then(|id| DeviceId::parse(&id).ok());
                asked.told = asked.device.iter().cloned().collect();
            }
            if !store::insert(&mut tx, &asked, &challenge, self.config.max_pending).await? {
                return Err(Error::TooManyPending);
            }
            self.announce(&mut tx, &asked, None, trace::current().map(|t| t.to_string())).await?;
            let answer = Created {
                trusonafication: Some(convert::message(&asked)),
                match_number: asked.ask.number_match.as_ref().map(|m| m.number.clone()).unwrap_or_default(),
            };
            Ok(Some((tx, answer)))
        };
        once(request.as_ref(), &answers, attempt).await
    }

    /// Everything that has to be asked of others: who can answer, how the relying party is called, and the signature.
    async fn prepare(
        &self,
        party: RelyingPartyId,
        fields: Unchecked,
        number_match: Option<MatchMode>,
    ) -> Result<(Trusonafication, String), Error> {
        let now = self.now();
        let limits = Limits { lifetime: Duration::from_secs(self.config.lifetime_seconds.into()), egress: &self.deployment.egress };
        let number_match = number_match.map(|mode| NumberMatch::pick(mode, &self.random));
        let ask = Ask::parse(Unchecked { number_match, ..fields }, &limits, now).map_err(Failure::Invalid)?;
        let addressed = self.addressed(party, &ask.target).await?;
        if ask.show_identity_document
            && let Some(user) = &addressed.user
            && self.documents(party, user).await?.is_empty()
        {
            return Err(Error::NoDocuments);
        }
        let mut parties = RelyingPartyServiceClient::new(self.peers.registry().acting_for(party));
        let relying_party_name = parties.get_relying_party(GetRelyingPartyRequest::default()).await?.into_inner().name;
        let asked = Trusonafication {
            id: TrusonaficationId::generate(now, &self.random),
            relying_party: party,
            relying_party_name,
            ask,
            user: addressed.user,
            device: addressed.device,
            told: addressed.devices,
            created_at: now,
            updated_at: now,
            state: State::InProgress,
            version: 1,
        };
        let challenge = self.challenge(&asked).await?;
        Ok((asked, challenge))
    }

    async fn addressed(&self, party: RelyingPartyId, target: &Target) -> Result<Addressed, Error> {
        match target {
            Target::TruCode(code) => {
                // Whoever paired it already is held to what is asked of a device by name.
                let code = store::trucode_by_id(&self.db, *code).await?.filter(|code| code.relying_party == party);
                if let Some(device) = code.and_then(|code| code.identifier).and_then(|id| DeviceId::parse(&id).ok()) {
                    self.active_binding(party, &device).await?;
                }
                Ok(Addressed { user: None, device: None, devices: Vec::new() })
            }
            Target::Device(device) => {
                let binding = self.active_binding(party, device).await?;
                Ok(Addressed { user: Some(binding.user_identifier), device: Some(device.clone()), devices: vec![device.clone()] })
            }
            Target::User(user) => {
                let mut users = UserServiceClient::new(self.peers.binding().acting_for(party));
                let request = ListUserDevicesRequest { user_identifier: user.clone() };
                let bindings = users.list_user_devices(request).await?.into_inner().bindings;
                let active = bindings.iter().filter(|b| b.state() == BindingState::Active);
                let devices: Vec<_> = active.filter_map(|b| DeviceId::parse(&b.device_identifier).ok()).collect();
                if devices.is_empty() {
                    return Err(Error::UserHasNoActiveDevice);
                }
                Ok(Addressed { user: Some(user.clone()), device: None, devices })
            }
        }
    }

    async fn active_binding(&self, party: RelyingPartyId, device: &DeviceId) -> Result<Binding, Error> {
        let binding = self.binding(party, device).await?.filter(|b| b.state() == BindingState::Active);
        binding.ok_or(Error::DeviceHasNoActiveBinding)
    }

    async fn challenge(&self, asked: &Trusonafication) -> Result<String, Error> {
        let ask = &asked.ask;
        let claims = ChallengeClaims {
            iss: self.deployment.public_url.clone(),
            jti: asked.id.to_string(),
            iat: asked.created_at.as_seconds(),
            exp: ask.expires_at.as_seconds(),
            rp: RelyingPartyClaim { id: asked.relying_party.to_string(), name: asked.relying_party_name.clone() },
            act: ask.action.clone(),
            res: ask.resource.clone(),
            lvl: ask.desired_level.as_i32(),
            prompt: ask.prompt,
            presence: ask.user_presence,
            document: ask.show_identity_document,
            fields: ask.custom_fields_object(),
            number_match: ask.number_match.as_ref().map(|m| m.claim(&self.random)),
            nonce: self.random.token(),
        };
        self.sign(asked.relying_party, CHALLENGE_TYP, &claims).await
    }
}
