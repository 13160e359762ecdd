//! Use case: creating a trusonafication.

use std::{
    sync::atomic::{AtomicBool, Ordering::Relaxed},
    time::Duration,
};

use futures_util::future::try_join_all;
use nodkey_kernel::{
    challenge::{CHALLENGE_TYP, ChallengeClaims, RelyingPartyClaim},
    device::MATCH6,
    error::{Classify as _, Kind},
    id::{BindingId, DeviceId, RelyingPartyId, TruCodeId, TrusonaficationId},
    time::Timestamp,
};
use nodkey_proto::{
    binding::v1::{Binding, BindingState, ListUserDevicesRequest, user_service_client::UserServiceClient},
    registry::v1::{GetDeviceRequest, device_service_client::DeviceServiceClient},
    trusonafication::v1::CreateTrusonaficationResponse,
};
use nodkey_runtime::{
    Failure,
    idempotent::{Answers, Request, once_stored},
    status::PeerError,
};

use super::{
    App,
    budget::{Admitted, Policy},
};
use crate::{
    convert,
    domain::{Ask, Digits, Limits, MatchMode, NumberMatch, PAIRED_WITHIN, State, Target, Trusonafication, Unchecked, Way},
    error::Error,
    store,
};

/// The response to a create request.
pub type Created = CreateTrusonaficationResponse;

/// Whether and how a number is to be matched.
#[derive(Clone, Copy, Debug, Default)]
pub struct Matching {
    /// The requested mode.
    pub mode: Option<MatchMode>,
    /// The caller shows a number whenever there is one, so the service may add one that was not requested.
    pub shown: bool,
}

/// A checked trusonafication that is ready to be written.
struct Prepared {
    asked: Trusonafication,
    challenge: String,
    policy: Policy,
    /// A pairing that makes this the user's own sign-in, unless another prompt uses it first.
    pairing: Option<TruCodeId>,
}

/// Who can answer: the user, once known, and the devices to wake.
struct Addressed {
    user: Option<String>,
    device: Option<DeviceId>,
    devices: Vec<DeviceId>,
    /// The bindings of the devices to the user.
    bindings: Vec<BindingId>,
    /// The target is an existing code that nothing was requested for yet.
    unasked_code: bool,
}

impl App {
    /// Creates a trusonafication for a user, a device or a code.
    pub async fn create(
        &self,
        party: RelyingPartyId,
        request: Option<Request>,
        fields: Unchecked,
        matching: Matching,
    ) -> Result<Created, Error> {
        let answers = Answers { db: &self.db, vault: &self.vault, random: &self.random, clock: &self.clock };
        // Creation does not depend on fresh answers of other services: who may answer is checked again when the answer arrives.
        let (demanded, contended) = (AtomicBool::new(false), AtomicBool::new(false));
        let attempt = async || {
            let now = self.now();
            let ask = self.read(fields.clone(), now)?;
            let mode = matching.mode.or_else(|| demanded.load(Relaxed).then_some(MatchMode::Enter));
            let Prepared { mut asked, challenge, policy, pairing } = self.prepare(party, ask, mode, now).await?;
            // Whatever else has to be written or locked first takes a transaction that also locks the budget.
            let alone = pairing.is_none() && !matches!(asked.ask.target, Target::TruCode(_)) && !contended.load(Relaxed);
            let foreseen = if alone { self.foresee(&asked).await? } else { None };
            let mut tx = self.db.begin().await?;
            if let Some(pairing) = pairing
                && store::spend_pairing(&mut tx, pairing).await?
            {
                asked.way = Way::Own;
            }
            let (Admitted { replaced, others_wait }, mark) = match foreseen {
                Some((admitted, mark)) => (admitted, Some(mark)),
                None => (self.admit(&mut tx, &asked).await?, None),
            };
            if others_wait && asked.ask.prompt && mode.is_none() && matching.shown {
                // Only the number lets the user tell which of the two pending prompts is their own.
                demanded.store(true, Relaxed);
                tx.rollback().await?;
                return Ok(None);
            }
            self.replace(&mut tx, party, replaced).await?;
            if let Target::TruCode(code) = asked.ask.target {
                // A phone that pairs the code from here on finds this trusonafication.
                let code = store::lock_trucode(&mut tx, party, code).await?;
                // A party that learns of a code later cannot prompt with it again.
                if !policy.tolerant && code.as_ref().is_some_and(|code| code.asked > 1) {
                    return Err(Error::TruCodeUsed);
                }
                let paired_by = code.and_then(|code| code.identifier).and_then(|id| DeviceId::parse(&id).ok());
                if asked.device != paired_by {
                    // The binding of this device was not read.
                    asked.bindings = Some(Vec::new());
                }
                asked.told = paired_by.iter().cloned().collect();
                asked.device = paired_by;
            }
            let answer = Created {
                trusonafication: Some(convert::message(&asked)),
                match_number: asked.ask.number_match.as_ref().map(|m| m.number.clone()).unwrap_or_default(),
            };
            let (update, response) = (Self::created(&asked, &challenge), request.as_ref().map(|request| request.seal(&answers, &answer)));
            let (max, event, response) = (self.config.max_pending, &update.entry, response.as_ref());
            let new = store::New { t: &asked, challenge: &challenge, max, event, response, mark: mark.as_ref() };
            if !store::insert(&mut tx, &new).await? {
                tx.rollback().await?;
                if mark.is_some() {
                    contended.store(true, Relaxed);
                    return Ok(None);
                }
                let first = store::first_end(&self.db, party, &asked.ask.target, now).await?;
                return Err(Error::TooManyPending { after: first.map(|end| now.until(end)).unwrap_or_default() });
            }
            self.notify(&mut tx, &update);
            tx.commit().await?;
            self.next_look.note(asked.ask.expires_at);
            Ok(Some(answer))
        };
        once_stored(request.as_ref(), &answers, attempt).await
    }

    /// Parses and checks the request.
    fn read(&self, fields: Unchecked, now: Timestamp) -> Result<Ask, Error> {
        let limits = Limits { lifetime: Duration::from_secs(self.config.lifetime_seconds.into()), egress: &self.deployment.egress };
        Ok(Ask::parse(fields, &limits, now).map_err(Failure::Invalid)?)
    }

    /// Makes all calls to other services, in parallel: who can answer, the relying party's name and its limit of open trusonafications. If
    /// a number must be entered, the capabilities of the devices follow. The challenge is signed last.
    async fn prepare(&self, party: RelyingPartyId, mut ask: Ask, mode: Option<MatchMode>, now: Timestamp) -> Result<Prepared, Error> {
        let binding = async {
            let addressed = self.addressed(party, &ask.target).await?;
            if ask.show_identity_document
                && let Some(user) = &addressed.user
                && self.documents(party, user).await?.is_empty()
            {
                return Err(Error::NoDocuments);
            }
            Ok(addressed)
        };
        let (mut addressed, relying_party) = tokio::try_join!(binding, self.relying_party(party))?;
        let policy = Policy::of(&relying_party);
        ask.prompt |= !policy.unprompted;
        if let Some(mode) = mode {
            ask.number_match = Some(self.number(party, mode, policy, &mut addressed).await?);
        }
        let pairing = match &ask.target {
            Target::Device(device) if !policy.tolerant => store::unspent_pairing(&self.db, party, device, now - PAIRED_WITHIN).await?,
            Target::User(_) | Target::Device(_) | Target::TruCode(_) => None,
        };
        let limit = relying_party.limits.and_then(|limits| u32::try_from(limits.open_trusonafications).ok()).filter(|own| *own > 0);
        let limit = limit.unwrap_or(self.config.max_open);
        // Sign-ins that users start have a limit of the same size on top, so that other parties who use up theirs cannot block them.
        let own = !policy.tolerant && (addressed.unasked_code || pairing.is_some());
        self.open.count(&self.db, &self.clock, party, if own { limit.saturating_mul(2) } else { limit }).await?;
        let way = match ask.target {
            Target::TruCode(_) => Way::Own,
            Target::User(_) | Target::Device(_) if policy.tolerant => Way::Tolerated,
            Target::User(_) | Target::Device(_) => Way::Counted,
        };
        let asked = Trusonafication {
            id: TrusonaficationId::generate(now, &self.random),
            relying_party: party,
            relying_party_name: relying_party.name,
            ask,
            user: addressed.user,
            device: addressed.device,
            told: addressed.devices,
            bindings: Some(addressed.bindings),
            way,
            created_at: now,
            updated_at: now,
            state: State::InProgress,
            version: 1,
            traceparent: nodkey_trace::traceparent(),
        };
        let challenge = self.challenge(&asked).await?;
        Ok(Prepared { asked, challenge, policy, pairing })
    }

    /// Picks the number to match, with as many digits as all target devices can take. If two are not enough, only devices that can take six
    /// are targeted.
    async fn number(
        &self,
        party: RelyingPartyId,
        mode: MatchMode,
        policy: Policy,
        addressed: &mut Addressed,
    ) -> Result<NumberMatch, Error> {
        if mode == MatchMode::Choose {
            let refused = Failure::field("number_match", "must be enter: the relying party requires six digits");
            return if policy.six_digits { Err(refused.into()) } else { Ok(NumberMatch::pick(mode, Digits::Two, &self.random)) };
        }
        let asked: Vec<_> =
            if addressed.devices.is_empty() { addressed.device.clone().into_iter().collect() } else { addressed.devices.clone() };
        let able = try_join_all(asked.iter().map(|device| self.takes_six_digits(party, device))).await?;
        let digits = Digits::of(&able, policy.six_digits).ok_or(Error::NoSixDigits)?;
        if digits == Digits::Six {
            addressed.devices = asked.into_iter().zip(able).filter_map(|(device, able)| able.then_some(device)).collect();
        }
        Ok(NumberMatch::pick(mode, digits, &self.random))
    }

    async fn takes_six_digits(&self, party: RelyingPartyId, device: &DeviceId) -> Result<bool, Error> {
        let mut devices = DeviceServiceClient::new(self.peers.registry().acting_for(party));
        match devices.get_device(GetDeviceRequest { device_id: device.to_string() }).await.map_err(PeerError::from) {
            Ok(answer) => Ok(answer.into_inner().capabilities.iter().any(|name| name == MATCH6)),
            Err(e) if e.kind() == Kind::NotFound => Ok(false),
            Err(e) => Err(e.into()),
        }
    }

    async fn addressed(&self, party: RelyingPartyId, target: &Target) -> Result<Addressed, Error> {
        match target {
            Target::TruCode(code) => {
                // A device that has already paired the code must be bound and active, as if it were targeted by its identifier.
                let code = store::trucode_by_id(&self.db, *code).await?.filter(|code| code.relying_party == party);
                let unasked_code = code.as_ref().is_some_and(|code| code.asked == 0);
                let device = code.and_then(|code| code.identifier).and_then(|id| DeviceId::parse(&id).ok());
                let bindings = match &device {
                    Some(device) => binding_id(&self.active_binding(party, device).await?).into_iter().collect(),
                    None => Vec::new(),
                };
                Ok(Addressed { user: None, device, devices: Vec::new(), bindings, unasked_code })
            }
            Target::Device(device) => {
                let binding = self.active_binding(party, device).await?;
                let bindings = binding_id(&binding).into_iter().collect();
                let user = Some(binding.user_identifier);
                Ok(Addressed { user, device: Some(device.clone()), devices: vec![device.clone()], bindings, unasked_code: false })
            }
            Target::User(user) => {
                let mut users = UserServiceClient::new(self.peers.binding().acting_for(party));
                let request = ListUserDevicesRequest { user_identifier: user.clone() };
                let bindings = users.list_user_devices(request).await?.into_inner().bindings;
                if bindings.iter().any(|b| b.user_frozen) {
                    return Err(Error::UserFrozen);
                }
                let active = bindings.iter().filter(|b| b.state() == BindingState::Active);
                let devices: Vec<_> = active.clone().filter_map(|b| DeviceId::parse(&b.device_identifier).ok()).collect();
                let bindings = active.filter_map(binding_id).collect();
                if devices.is_empty() {
                    return Err(Error::UserHasNoActiveDevice);
                }
                Ok(Addressed { user: Some(user.clone()), device: None, devices, bindings, unasked_code: false })
            }
        }
    }

    async fn active_binding(&self, party: RelyingPartyId, device: &DeviceId) -> Result<Binding, Error> {
        let binding = self.binding(party, device).await?.filter(|b| b.state() == BindingState::Active);
        let binding = binding.ok_or(Error::DeviceHasNoActiveBinding)?;
        if binding.user_frozen { Err(Error::UserFrozen) } else { Ok(binding) }
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
            fields: ask.custom_fields(),
            number_match: ask.number_match.as_ref().map(|m| m.claim(&self.random)),
            request_context: Some(ask.request_context.clone()).filter(|context| !context.is_empty()),
            nonce: self.random.token(),
        };
        self.sign(asked.relying_party, CHALLENGE_TYP, &claims).await
    }
}

/// Parses the id of a binding.
fn binding_id(binding: &Binding) -> Option<BindingId> {
    binding.id.parse().ok()
}

#[cfg(test)]
mod tests;
