//! Use cases of what operators do between signing in and signing out.

use metrics::counter;
use nodkey_kernel::{
    error::Classify as _,
    id::{DeviceId, OperatorId, OperatorSessionId, RelyingPartyId, TrusonaficationId},
};
use nodkey_proto::{
    convert::from_timestamp,
    trusonafication::v1::{
        GetTrusonaficationRequest, Status, Trusonafication, trusonafication_service_client::TrusonaficationServiceClient,
    },
};
use nodkey_runtime::{rows, token};
use secrecy::{ExposeSecret as _, SecretString};

use super::App;
use crate::{
    domain::{
        Refusal,
        audit::Action,
        operator::{Operator, OperatorSession, OperatorState, SIGN_IN_LIFETIME},
    },
    error::Error,
    store::{audit, operator as store},
};

/// What signing in and out are called in the audit log.
const SIGN_IN: &str = "nodkey.registry.v1.OperatorSessionService/CreateOperatorSession";
const SIGN_OUT: &str = "nodkey.registry.v1.OperatorSessionService/EndOperatorSession";

/// A session with what its tokens are signed and checked by.
#[derive(Debug)]
pub struct AliveSession {
    /// The session.
    pub session: OperatorSession,
    /// Whose it is.
    pub operator: Operator,
    /// What signs.
    pub secret: SecretString,
}

impl App {
    /// Begins a session: by what an operator accepted on their phone, with their presence, a moment ago, and once.
    pub async fn create_operator_session(&self, accepted: TrusonaficationId, client_address: &str) -> Result<AliveSession, Error> {
        let created = self.begin_operator_session(accepted, client_address).await;
        counter!("nodkey_operator_sign_ins_total", "outcome" => if created.is_ok() { "ok" } else { "refused" }).increment(1);
        if let Err(e) = &created {
            self.note_failure("sign_in", client_address, e.reason());
        }
        created
    }

    async fn begin_operator_session(&self, accepted: TrusonaficationId, client_address: &str) -> Result<AliveSession, Error> {
        let mut client = TrusonaficationServiceClient::new(self.0.peers.trusonafication().acting_for(RelyingPartyId::CONSOLE));
        let request = GetTrusonaficationRequest { id: accepted.to_string(), wait_seconds: 0 };
        let done = client.get_trusonafication(request).await?.into_inner();
        let (operator, device) = self.signed_in(&done)?;
        let now = self.now();
        let operator = store::get(&self.0.db, operator).await?.ok_or(Refusal::OperatorNotActive)?.sign_in(&device, now)?;
        let session = OperatorSession {
            id: OperatorSessionId::generate(now, &self.0.random),
            operator: operator.id,
            trusonafication: accepted,
            created_at: now,
            expires_at: now + self.0.session_lifetime,
            seen_at: now,
        };
        let secret = hex::encode(self.0.random.bytes::<32>());
        let sealed = self.0.vault.seal(&self.0.random, &context(session.id), secret.as_bytes());
        let request = serde_json::json!({"trusonaficationId": accepted, "clientAddress": client_address, "sessionId": session.id});
        let entry = self.entry(Action::of(&operator, SIGN_IN, request.to_string()), "OK");
        let mut tx = self.0.db.begin().await?;
        if !store::insert_session(&mut tx, &session, &sealed).await? {
            return Err(Refusal::SignInNotAccepted.into());
        }
        // Lost against a change of the operator: whether they may sign in is asked again when they try again.
        if !store::update(&mut tx, &operator).await? {
            return Err(Error::Raced);
        }
        audit::append(&mut tx, entry.into()).await?;
        tx.commit().await?;
        Ok(AliveSession { session, operator, secret: secret.into() })
    }

    /// Returns a session that is alive to whoever shows a token that it signed.
    pub async fn resolve_operator_session(&self, id: OperatorSessionId, token: &str) -> Result<AliveSession, Error> {
        let alive = self.alive(id).await?;
        let proven = if token.is_empty() {
            self.takes_unproven()
        } else {
            token::verify(token, alive.secret.expose_secret(), &self.0.deployment.audience, self.now())
        };
        if proven {
            if alive.session.is_to_be_noted(self.now()) {
                store::note_session_seen(&self.0.db, id, self.now()).await?;
            }
            return Ok(alive);
        }
        self.note_failure("session", &id.to_string(), "wrong_signature");
        Err(Refusal::NotFound("session").into())
    }

    async fn alive(&self, id: OperatorSessionId) -> Result<AliveSession, Error> {
        let over = || Refusal::NotFound("session");
        let (session, sealed) = store::session(&self.0.db, id, self.now()).await?.ok_or_else(over)?;
        let operator = store::get(&self.0.db, session.operator).await?.ok_or_else(over)?;
        if operator.state != OperatorState::Active || session.is_idle(self.now(), self.0.session_idle) {
            return Err(over().into());
        }
        let secret = self.0.vault.open(&context(id), &sealed).map_err(Error::Sealed)?;
        let secret =
            std::str::from_utf8(&secret).map_err(|_| rows::inconsistent("operator_session", "sealed_secret", id, "is no text"))?.into();
        Ok(AliveSession { session, operator, secret })
    }

    /// Ends the session that signed a token, if it is not over.
    pub async fn end_operator_session(&self, id: OperatorSessionId, token: &str) -> Result<(), Error> {
        let alive = match self.resolve_operator_session(id, token).await {
            Ok(alive) => alive,
            Err(Error::Refused(Refusal::NotFound(_))) => return Ok(()),
            Err(e) => return Err(e),
        };
        let request = serde_json::json!({"sessionId": id}).to_string();
        let entry = self.entry(Action::of(&alive.operator, SIGN_OUT, request), "OK");
        let mut tx = self.0.db.begin().await?;
        store::end_session(&mut tx, id, self.now()).await?;
        audit::append(&mut tx, entry.into()).await?;
        tx.commit().await?;
        Ok(())
    }

    /// Says who signed in, by which phone, if somebody did.
    fn signed_in(&self, done: &Trusonafication) -> Result<(OperatorId, DeviceId), Refusal> {
        let accepted = matches!(done.status(), Status::Accepted | Status::AcceptedAtHigherLevel) && done.desired_level >= 2;
        let answered_at = done.updated_at.as_ref().and_then(from_timestamp);
        let fresh = answered_at.is_some_and(|at| at.until(self.now()) < SIGN_IN_LIFETIME);
        let result = done.result.as_ref().filter(|_| accepted && fresh).ok_or(Refusal::SignInNotAccepted)?;
        let operator = result.bound_user_identifier.parse().map_err(|_| Refusal::OperatorNotActive)?;
        Ok((operator, DeviceId::parse(&result.device_identifier).map_err(|_| Refusal::OperatorNotActive)?))
    }
}

/// What a secret is sealed for.
fn context(id: OperatorSessionId) -> String {
    format!("operator_session/{id}")
}

#[cfg(test)]
mod tests;
