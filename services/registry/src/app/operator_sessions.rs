//! Use cases of what operators do between signing in and signing out.

use std::time::Duration;

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
    store::{audit, operator as store},
};

/// What signing in and out are called in the audit log.
const SIGN_IN: &str = "nodkey.registry.v1.OperatorSessionService/CreateOperatorSession";
const SIGN_OUT: &str = "nodkey.registry.v1.OperatorSessionService/EndOperatorSession";

/// How long the trusonafication service may take for its answer, besides what it is to wait.
const ANSWER: Duration = Duration::from_secs(5);

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
    pub async fn create_operator_session(&self, accepted: TrusonaficationId, client: Client) -> Result<AliveSession, Error> {
        let address = client.address.clone();
        let created = self.begin_operator_session(accepted, client).await;
        counter!("nodkey_operator_sign_ins_total", "outcome" => if created.is_ok() { "ok" } else { "refused" }).increment(1);
        if let Err(e) = &created {
            self.note_failure("sign_in", &address, e.reason());
        }
        created
    }

    async fn begin_operator_session(&self, accepted: TrusonaficationId, client: Client) -> Result<AliveSession, Error> {
        let done = self.trusonafication(accepted, Duration::ZERO).await?;
        // Signing in begins with a code. What an operator was asked by name is a confirmation, and lets nobody in.
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

    /// Lists sessions that are alive, newest first, of an operator or of all, with the token of the next page.
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

    /// Refuses an operator that there is not.
    pub(super) async fn ensure_operator(&self, id: OperatorId) -> Result<(), Error> {
        store::get(&self.0.db, id).await?.map(drop).ok_or(Refusal::NotFound("operator").into())
    }

    /// Ends a session by its id: one of `operator`'s own, or with `None` anybody's.
    pub async fn end_operator_session_of(&self, operator: Option<OperatorId>, id: OperatorSessionId) -> Result<(), Error> {
        let owner = store::session_owner(&self.0.db, id).await?.ok_or(Refusal::NotFound("session"))?;
        if operator.is_some_and(|operator| operator != owner) {
            return Err(Refusal::NotFound("session").into());
        }
        let mut tx = self.0.db.begin().await?;
        store::end_session(&mut tx, id, self.now()).await?;
        Ok(tx.commit().await?)
    }

    /// What an operator was asked, now or once it is answered.
    pub(super) async fn trusonafication(&self, id: TrusonaficationId, patience: Duration) -> Result<Trusonafication, Error> {
        let mut client = TrusonaficationServiceClient::new(self.0.peers.trusonafication().acting_for(RelyingPartyId::CONSOLE));
        let wait_seconds = i32::try_from(patience.as_secs()).unwrap_or_default();
        let mut request = Request::new(GetTrusonaficationRequest { id: id.to_string(), wait_seconds });
        request.set_timeout(patience + ANSWER);
        Ok(client.get_trusonafication(request).await?.into_inner())
    }

    /// Who accepted, by which phone, with their presence and a moment ago.
    pub(super) fn accepted_by(&self, done: &Trusonafication) -> Option<(OperatorId, DeviceId)> {
        let accepted = matches!(done.status(), Status::Accepted | Status::AcceptedAtHigherLevel) && done.desired_level >= 2;
        let answered_at = done.updated_at.as_ref().and_then(from_timestamp);
        let fresh = answered_at.is_some_and(|at| at.until(self.now()) < SIGN_IN_LIFETIME);
        let result = done.result.as_ref().filter(|_| accepted && fresh)?;
        Some((result.bound_user_identifier.parse().ok()?, DeviceId::parse(&result.device_identifier).ok()?))
    }
}

/// What a secret is sealed for.
fn context(id: OperatorSessionId) -> String {
    format!("operator_session/{id}")
}

#[cfg(test)]
mod tests;
