//! Use cases of operator sessions, from sign-in to sign-out.

use std::time::Duration;

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
use nodkey_runtime::{page::Page, rows, token};
use secrecy::{ExposeSecret as _, SecretString};
use tonic::Request;

use super::{App, start};
use crate::{
    domain::{
        Refusal,
        audit::Action,
        operator::{Client, Operator, OperatorSession, OperatorState, SIGN_IN_LIFETIME},
    },
    error::Error,
    metrics::{OPERATOR_SIGN_INS, SignIn},
    store::{audit, operator as store},
};

/// Method names of sign-in and sign-out in the audit log.
const SIGN_IN: &str = "nodkey.registry.v1.OperatorSessionService/CreateOperatorSession";
const SIGN_OUT: &str = "nodkey.registry.v1.OperatorSessionService/EndOperatorSession";

/// How long the trusonafication service may take to answer, on top of the requested wait.
const ANSWER: Duration = Duration::from_secs(5);

/// A session with the secret that signs and verifies its tokens.
#[derive(Debug)]
pub struct AliveSession {
    /// The session.
    pub session: OperatorSession,
    /// The operator the session belongs to.
    pub operator: Operator,
    /// The key that signs its tokens.
    pub secret: SecretString,
}

impl App {
    /// Begins a session from a trusonafication that the operator accepted recently, with user presence. Each can be used once.
    pub async fn create_operator_session(&self, accepted: TrusonaficationId, client: Client) -> Result<AliveSession, Error> {
        let address = client.address.clone();
        let created = self.begin_operator_session(accepted, client).await;
        OPERATOR_SIGN_INS.with(if created.is_ok() { SignIn::Ok } else { SignIn::Refused }).increment(1);
        if let Err(e) = &created {
            self.note_failure("sign_in", &address, e.reason());
        }
        created
    }

    async fn begin_operator_session(&self, accepted: TrusonaficationId, client: Client) -> Result<AliveSession, Error> {
        let done = self.trusonafication(accepted, Duration::ZERO).await?;
        // Sign-in begins with a TruCode. A trusonafication that targets the operator by name is a confirmation and cannot sign in.
        let by_code = !done.trucode_id.is_empty();
        let (operator, device) = self.accepted_by(&done).filter(|_| by_code).ok_or(Refusal::SignInNotAccepted)?;
        let now = self.now();
        let operator = store::get(&self.0.db, operator).await?.ok_or(Refusal::OperatorNotActive)?.sign_in(&device, now)?;
        let session = OperatorSession {
            id: OperatorSessionId::generate(now, &self.0.random),
            operator: operator.id,
            trusonafication: accepted,
            created_at: now,
            expires_at: now + self.0.session_lifetime,
            seen_at: now,
            client,
        };
        let secret = hex::encode(self.0.random.bytes::<32>());
        let sealed = self.0.vault.seal(&self.0.random, &context(session.id), secret.as_bytes());
        let request = serde_json::json!({"trusonaficationId": accepted, "clientAddress": session.client.address, "sessionId": session.id});
        let entry = self.entry(Action::of(&operator, SIGN_IN, request.to_string()), "OK");
        let mut tx = self.0.db.begin().await?;
        if !store::insert_session(&mut tx, &session, &sealed).await? {
            return Err(Refusal::SignInNotAccepted.into());
        }
        // Lost against a concurrent change of the operator; a retry checks again whether they may sign in.
        if !store::update(&mut tx, &operator).await? {
            return Err(Error::Raced);
        }
        audit::append(&mut tx, entry.into()).await?;
        tx.commit().await?;
        Ok(AliveSession { session, operator, secret: secret.into() })
    }

    /// Returns a live session to a caller that presents a token signed by it.
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

    /// Ends the session that signed a token, unless it is already over.
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

    /// Lists live sessions of one operator or of all, newest first, with the token of the next page.
    pub async fn operator_sessions(&self, operator: Option<OperatorId>, page: &Page) -> Result<(Vec<OperatorSession>, String), Error> {
        let (start, now) = (start(page, |id| id.parse().ok())?, self.now());
        let alive = (now, now - self.0.session_idle);
        let found = store::list_sessions(&self.0.db, operator, alive, &start, page.size).await?.into_parts();
        if let Some(operator) = operator
            && found.0.is_empty()
        {
            self.ensure_operator(operator).await?;
        }
        Ok(found)
    }

    /// Refuses an operator that does not exist.
    pub(super) async fn ensure_operator(&self, id: OperatorId) -> Result<(), Error> {
        store::get(&self.0.db, id).await?.map(drop).ok_or(Refusal::NotFound("operator").into())
    }

    /// Ends a session by its id: one that belongs to `operator`, or any session with `None`.
    pub async fn end_operator_session_of(&self, operator: Option<OperatorId>, id: OperatorSessionId) -> Result<(), Error> {
        let owner = store::session_owner(&self.0.db, id).await?.ok_or(Refusal::NotFound("session"))?;
        if operator.is_some_and(|operator| operator != owner) {
            return Err(Refusal::NotFound("session").into());
        }
        let mut tx = self.0.db.begin().await?;
        store::end_session(&mut tx, id, self.now()).await?;
        Ok(tx.commit().await?)
    }

    /// Returns a trusonafication, waiting up to `patience` for its result.
    pub(super) async fn trusonafication(&self, id: TrusonaficationId, patience: Duration) -> Result<Trusonafication, Error> {
        let mut client = TrusonaficationServiceClient::new(self.0.peers.trusonafication().acting_for(RelyingPartyId::CONSOLE));
        let wait_seconds = i32::try_from(patience.as_secs()).unwrap_or_default();
        let mut request = Request::new(GetTrusonaficationRequest { id: id.to_string(), wait_seconds });
        request.set_timeout(patience + ANSWER);
        Ok(client.get_trusonafication(request).await?.into_inner())
    }

    /// Returns the operator and the phone that accepted, if it was recent and with user presence.
    pub(super) fn accepted_by(&self, done: &Trusonafication) -> Option<(OperatorId, DeviceId)> {
        let accepted = matches!(done.status(), Status::Accepted | Status::AcceptedAtHigherLevel) && done.desired_level >= 2;
        let answered_at = done.updated_at.as_ref().and_then(from_timestamp);
        let fresh = answered_at.is_some_and(|at| at.until(self.now()) < SIGN_IN_LIFETIME);
        let result = done.result.as_ref().filter(|_| accepted && fresh)?;
        Some((result.bound_user_identifier.parse().ok()?, DeviceId::parse(&result.device_identifier).ok()?))
    }
}

/// The context a secret is sealed with.
fn context(id: OperatorSessionId) -> String {
    format!("operator_session/{id}")
}

#[cfg(test)]
mod tests;
