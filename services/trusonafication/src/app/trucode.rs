//! Use cases of TruCodes (secure QR codes).

use std::time::Duration;

use nodkey_db::{
    Tx,
    outbox::{self, EventContext},
};
use nodkey_kernel::{
    id::{DeviceId, RelyingPartyId, TruCodeId},
    jose::jws::Compact,
    trucode::TRUCODE_TYP,
};
use nodkey_proto::{
    binding::v1::BindingState,
    registry::v1::RelyingParty,
    trusonafication::v1::{TruCodeCreated, TruCodePaired},
};
use nodkey_runtime::Failure;
use serde::Deserialize;

use super::{ATTEMPTS, App, budget::Policy};
use crate::{
    domain::{MAX_WRONG_NUMBERS, Paired, PayloadClaims, Refusal, TruCode, two_digits},
    error::Error,
    metrics::{NumberOf, WRONG_NUMBERS},
    store,
};

/// Maximum length of a reference, in bytes.
const MAX_REFERENCE: usize = 255;

/// What is read from a payload before it is compared with the issued one.
#[derive(Deserialize)]
struct Unverified {
    jti: String,
}

impl App {
    /// Creates a code for a page of this origin.
    pub async fn create_trucode(&self, party: RelyingPartyId, origin: String, place: String) -> Result<TruCode, Error> {
        let relying_party = self.relying_party(party).await?;
        let settings = relying_party.trucodes.unwrap_or_default();
        if relying_party.disabled {
            return Err(Failure::field("relying_party_id", "is disabled").into());
        }
        if !settings.allowed_origins.is_empty() && !settings.allowed_origins.contains(&origin) {
            return Err(Error::OriginNotAllowed);
        }
        let now = self.now();
        let (reference, expires_at) = (self.random.token(), now + Duration::from_secs(self.config.trucode_seconds.into()));
        let payload = self.sign(party, TRUCODE_TYP, &PayloadClaims::new(&reference, expires_at)).await?;
        let code = TruCode {
            id: TruCodeId::generate(now, &self.random),
            relying_party: party,
            reference,
            payload,
            origin,
            place,
            match_number: settings.match_number.then(|| two_digits(&self.random)),
            created_at: now,
            expires_at,
            wrong_numbers: 0,
            identifier: None,
            asked: 0,
            version: 1,
        };
        let mut tx = self.db.begin().await?;
        store::insert_trucode(&mut tx, &code).await?;
        let event = TruCodeCreated { trucode_id: code.id.to_string() };
        outbox::add(&mut tx, &event, &self.about(&code)).await?;
        tx.commit().await?;
        Ok(code)
    }

    /// Returns a code to the page that created it; a page of another origin is refused. A request without an origin comes from the page's
    /// own server.
    pub async fn trucode_status(&self, id: TruCodeId, origin: &str) -> Result<TruCode, Error> {
        let own = |code: &TruCode| origin.is_empty() || code.origin == origin;
        let code = store::trucode_by_id(&self.db, id).await?.filter(own);
        Ok(code.ok_or(Failure::NotFound("code"))?)
    }

    /// Returns a scanned code with the name of its relying party.
    pub async fn trucode_context(&self, reference: &str) -> Result<(TruCode, String), Error> {
        let code = self.trucode(reference).await?.ok_or(Failure::NotFound("code"))?;
        code.ensure_open(self.now())?;
        let name = self.relying_party(code.relying_party).await?.name;
        Ok((code, name))
    }

    /// Pairs a code. `party` is the relying party of the device; `None` for a client without proof.
    pub async fn pair_trucode(
        &self,
        party: Option<RelyingPartyId>,
        payload: &str,
        identifier: &str,
        number: &str,
    ) -> Result<TruCode, Error> {
        let reference = Compact::parse(payload).ok().and_then(|compact| compact.unverified_claims::<Unverified>().ok());
        let reference = reference.ok_or(Refusal::InvalidPayload)?.jti;
        for _ in 0..ATTEMPTS {
            let code = self.trucode(&reference).await?;
            // The exact payload that was issued; no other proof is needed that it was signed here.
            let code = code.filter(|code| code.payload == payload).ok_or(Refusal::InvalidPayload)?;
            match party {
                Some(party) if party != code.relying_party => return Err(Refusal::InvalidPayload.into()),
                Some(_) => {}
                None if self.allows_unproven_pairing(code.relying_party).await? => {}
                None => return Err(Error::ProofRequired),
            }
            let now = self.now();
            match code.pair(identifier, number, now)? {
                Paired::Same(code) => return Ok(code),
                Paired::Now(code) => {
                    if self.write_pairing(self.db.begin().await?, &code).await? {
                        return Ok(code);
                    }
                }
                Paired::Wrong(code) => {
                    if self.write_wrong_number(party, &code, identifier).await? {
                        let ended = code.wrong_numbers >= MAX_WRONG_NUMBERS;
                        return Err(if ended { Refusal::TooManyWrongNumbers } else { Refusal::NumberMismatch }.into());
                    }
                }
            }
        }
        Err(Error::Raced)
    }

    /// Counts a wrong number against the code and against the user of the device. Returns false if a concurrent change was first.
    async fn write_wrong_number(&self, party: Option<RelyingPartyId>, code: &TruCode, identifier: &str) -> Result<bool, Error> {
        let user = match (party, DeviceId::parse(identifier)) {
            // If the user cannot be determined, it still counts against the code.
            (Some(party), Ok(device)) => self.user_with_budget(party, &device).await.ok().flatten(),
            _ => None,
        };
        let mut tx = self.db.begin().await?;
        if !store::count_wrong_number(&mut tx, code).await? {
            tx.rollback().await?;
            return Ok(false);
        }
        if let Some(user) = user {
            self.strike_wrong_number(&mut tx, code.relying_party, &user).await?;
        }
        let (bus, browser) = (self.bus.clone(), topic(code.id));
        let ended = code.is_over(self.now());
        tx.after_commit(move || {
            WRONG_NUMBERS.with(NumberOf::Code).increment(1);
            if ended {
                tokio::spawn(async move { bus.wake(&browser).await });
            }
        });
        tx.commit().await?;
        Ok(true)
    }

    /// The user whose budget a device spends, if budgets apply.
    async fn user_with_budget(&self, party: RelyingPartyId, device: &DeviceId) -> Result<Option<String>, Error> {
        let (relying_party, binding) = tokio::try_join!(self.relying_party(party), self.binding(party, device))?;
        let active = binding.filter(|binding| binding.state() == BindingState::Active && !Policy::of(&relying_party).tolerant);
        Ok(active.map(|binding| binding.user_identifier))
    }

    /// Returns the code of a reference. Text that is not a valid reference names no code: not every database accepts any text.
    async fn trucode(&self, reference: &str) -> Result<Option<TruCode>, Error> {
        let ours = reference.len() <= MAX_REFERENCE && reference.bytes().all(|b| b.is_ascii_graphic());
        Ok(if ours { store::trucode_by_reference(&self.db, reference).await? } else { None })
    }

    /// Writes a pairing, and sends the device what was requested for the code. Returns false if a concurrent change was first.
    async fn write_pairing(&self, mut tx: Tx, code: &TruCode) -> Result<bool, Error> {
        let (identifier, now) = (code.identifier.clone().unwrap_or_default(), self.now());
        if !store::pair_trucode(&mut tx, code, now).await? {
            tx.rollback().await?;
            return Ok(false);
        }
        let device = DeviceId::parse(&identifier).ok();
        if let Some(device) = &device {
            store::assign(&mut tx, code.relying_party, code.id, device, now).await?;
        }
        let event = TruCodePaired { trucode_id: code.id.to_string(), identifier };
        outbox::add(&mut tx, &event, &self.about(code)).await?;
        let (bus, browser) = (self.bus.clone(), topic(code.id));
        tx.after_commit(move || {
            tokio::spawn(async move {
                bus.wake(&browser).await;
                if let Some(device) = device {
                    bus.wake(&format!("device.{device}")).await;
                }
            });
        });
        tx.commit().await?;
        Ok(true)
    }

    /// Returns a paired code.
    pub async fn pairing(&self, party: RelyingPartyId, id: TruCodeId) -> Result<TruCode, Error> {
        let code = store::trucode_by_id(&self.db, id).await?;
        let paired = code.filter(|code| code.relying_party == party && code.identifier.is_some());
        Ok(paired.ok_or(Failure::NotFound("pairing"))?)
    }

    /// Where prompts have budgets, pairing needs proof: otherwise other parties could pass prompts off as the user's own sign-in.
    async fn allows_unproven_pairing(&self, party: RelyingPartyId) -> Result<bool, Error> {
        let relying_party = self.relying_party(party).await?;
        Ok(Policy::of(&relying_party).tolerant && relying_party.trucodes.unwrap_or_default().allow_unproven_pairing)
    }

    pub(super) async fn relying_party(&self, party: RelyingPartyId) -> Result<RelyingParty, Error> {
        Ok(self.relying_parties.get(party).await?)
    }

    fn about(&self, code: &TruCode) -> EventContext {
        EventContext { now: self.now(), version: code.version, relying_party: code.relying_party }
    }
}

/// The topic that is woken when a code is paired.
fn topic(id: TruCodeId) -> String {
    format!("trucode.{id}")
}

#[cfg(test)]
mod tests;
