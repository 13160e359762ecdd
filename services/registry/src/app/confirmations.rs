//! Use cases of confirmations, which operators give on their phones.

use std::time::Duration;

use axum::body::Bytes;
use nodkey_kernel::id::{ConfirmationId, OperatorId, OperatorSessionId, RelyingPartyId};
use nodkey_proto::{
    access::is_reconfirmed,
    convert::{from_timestamp, role},
    reflect,
    registry::v1 as pb,
    trusonafication::v1::{
        self as trusonafication, CreateTrusonaficationRequest, NumberMatch, Status, create_trusonafication_request::Target,
        trusonafication_service_client::TrusonaficationServiceClient,
    },
};
use nodkey_runtime::confirmation::{request_digest, subject};
use prost::Message;

use super::App;
use crate::{
    domain::{
        Refusal,
        audit::Action,
        confirmation::{Confirmation, MISSING, Request, Shown, UNFIT},
        operator::{NewOperator, Operator, OperatorPatch, OperatorState},
    },
    error::Error,
    store::{confirmation as store, operator as operators},
};

/// An operation that an operator requests and must confirm.
#[derive(Debug)]
pub struct RequestedOperation {
    /// The operator who requests it.
    pub operator: OperatorId,
    /// The session that requests it.
    pub session: OperatorSessionId,
    /// The relying party the operator acts for.
    pub acts_for: Option<RelyingPartyId>,
    /// `package.Service/Method`.
    pub method: String,
    /// The message as JSON; empty for streaming methods.
    pub request: String,
    /// SHA-256 of the stream; only for streaming methods.
    pub stream_sha256: Bytes,
}

/// The confirmation presented with a request.
#[derive(Debug, Default)]
pub struct Presented {
    /// Identifier of the confirmation.
    pub id: Option<ConfirmationId>,
    /// SHA-256 of the message; empty for streaming methods.
    pub request_sha256: Bytes,
}

/// State of a confirmation.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Standing {
    /// Not answered yet.
    Waiting,
    /// Accepted; may be used.
    Accepted,
    /// Rejected, or accepted without user presence.
    Rejected,
    /// Expired.
    Expired,
    /// Used.
    Used,
}

impl App {
    /// Prompts the operator's phone. Returns the number that must also be entered there.
    pub async fn create_confirmation(&self, asked: RequestedOperation) -> Result<(Confirmation, String), Error> {
        let operator = operators::get(&self.0.db, asked.operator).await?;
        let operator = operator.filter(|it| it.state == OperatorState::Active).ok_or(Refusal::OperatorNotActive)?;
        let (request, shown) = self.read(&asked).await?;
        let (id, now) = (ConfirmationId::generate(self.now(), &self.0.random), self.now());
        let prompt = CreateTrusonaficationRequest {
            request_id: format!("confirmation {id}"),
            target: Some(Target::UserIdentifier(operator.id.to_string())),
            desired_level: 2,
            action: shown.action.clone(),
            resource: shown.resource.clone(),
            // Only a person who sees the requesting page can accept.
            number_match: NumberMatch::Enter.into(),
            // One prompt at a time. An operator who reports "not me" blocks the session that requested it, and no other.
            context: format!("session {}", asked.session),
            ..CreateTrusonaficationRequest::default()
        };
        let mut client = TrusonaficationServiceClient::new(self.0.peers.trusonafication().acting_for(RelyingPartyId::CONSOLE));
        let created = client.create_trusonafication(prompt).await?.into_inner();
        let prompted = created.trusonafication.unwrap_or_default();
        let confirmation = Confirmation {
            id,
            operator: operator.id,
            request,
            trusonafication: prompted.id.parse().map_err(|_| UNFIT)?,
            shown,
            created_at: now,
            expires_at: prompted.expires_at.as_ref().and_then(from_timestamp).unwrap_or(now),
            used_at: None,
        };
        store::insert(&self.0.db, &confirmation).await?;
        Ok((confirmation, created.match_number))
    }

    /// Returns a confirmation of this operator, waiting up to `patience` for its answer.
    pub async fn confirmation(
        &self,
        operator: OperatorId,
        id: ConfirmationId,
        patience: Duration,
    ) -> Result<(Confirmation, Standing), Error> {
        let found = store::get(&self.0.db, id).await?.filter(|it| it.operator == operator);
        let confirmation = found.ok_or(Refusal::NotFound("confirmation"))?;
        if confirmation.used_at.is_some() {
            return Ok((confirmation, Standing::Used));
        }
        let done = self.trusonafication(confirmation.trusonafication, patience).await?;
        let standing = match done.status() {
            Status::InProgress => Standing::Waiting,
            Status::Accepted | Status::AcceptedAtHigherLevel if self.accepted_by(&done).is_some() => Standing::Accepted,
            Status::Rejected | Status::AcceptedAtLowerLevel => Standing::Rejected,
            Status::Accepted | Status::AcceptedAtHigherLevel | Status::Expired | Status::Canceled | Status::Unspecified => {
                Standing::Expired
            }
        };
        Ok((confirmation, standing))
    }

    /// Returns the presented confirmation, if the operator accepted exactly this action, recently, on their own phone. Whether it has been
    /// used in the meantime is checked when it is used.
    pub(super) async fn confirmed(&self, operator: OperatorId, action: &Action, presented: Presented) -> Result<Confirmation, Error> {
        let id = presented.id.ok_or(MISSING)?;
        let confirmation = store::get(&self.0.db, id).await?.ok_or(UNFIT)?;
        let sha256 = match <[u8; 32]>::try_from(&presented.request_sha256[..]) {
            Ok(sha256) => sha256,
            // The stream has not been read yet: the serving method compares it with what was confirmed.
            Err(_) if is_streamed(&action.method) => confirmation.request.sha256,
            Err(_) => return Err(UNFIT.into()),
        };
        let request = Request { method: action.method.clone(), relying_party: action.relying_party, sha256 };
        confirmation.ensure_for(operator, &request)?;
        let done = self.trusonafication(confirmation.trusonafication, Duration::ZERO).await?;
        let (by, phone) = self.accepted_by(&done).ok_or(UNFIT)?;
        let known = operators::get(&self.0.db, operator).await?.ok_or(UNFIT)?;
        if by != operator || !known.answers_by(&phone) {
            return Err(UNFIT.into());
        }
        Ok(confirmation)
    }

    /// Reads what exactly is to be confirmed, and what the phone shows of it.
    async fn read(&self, asked: &RequestedOperation) -> Result<(Request, Shown), Error> {
        let path = format!("/{}", asked.method);
        let method = reflect::method(&path).filter(|_| is_reconfirmed(&path));
        let method = method.ok_or_else(|| {
            Refusal::invalid("method", "must be one that operators confirm, such as nodkey.registry.v1.OperatorService/InviteOperator")
        })?;
        let request = |relying_party, sha256| Request { method: asked.method.clone(), relying_party, sha256 };
        if method.is_client_streaming() {
            let sha256 =
                <[u8; 32]>::try_from(&asked.stream_sha256[..]).map_err(|_| Refusal::invalid("stream_sha256", "must be 32 bytes"))?;
            let party = asked.acts_for.ok_or_else(|| Refusal::invalid("method", "acts for a relying party: set x-nodkey-relying-party"))?;
            let name = self.relying_party(party).await?.name;
            return Ok((request(Some(party), sha256), Shown::import(&name, &sha256)));
        }
        let wrong = |fault: String| Refusal::invalid("request", format!("must be the method's message as JSON: {fault}"));
        let json = if asked.request.is_empty() { "{}" } else { &asked.request };
        let message = reflect::from_json(method.input(), json.as_bytes()).map_err(wrong)?;
        let digest = request_digest(&path, message.clone()).ok_or_else(|| wrong("it cannot be read".to_owned()))?;
        // In the form that the audit entry will use.
        let read = reflect::to_json(method.input(), message.clone());
        let party = subject(asked.acts_for, &path, read.as_deref());
        let shown = self.shown(&path, message).await?;
        Ok((request(party, digest), shown))
    }

    async fn shown(&self, path: &str, message: Bytes) -> Result<Shown, Error> {
        Ok(match path {
            "/nodkey.registry.v1.OperatorService/InviteOperator" => {
                let request = decode::<pb::InviteOperatorRequest>(message)?;
                // An invalid request is refused before the phone is prompted.
                NewOperator::parse(&request.name, role(request.role()))?;
                Shown::invite(&request.name, role(request.role()))
            }
            "/nodkey.registry.v1.OperatorService/RenewInvitation" => {
                let operator = self.named(&decode::<pb::RenewInvitationRequest>(message)?.id).await?;
                Shown::renew(&operator.name, operator.role)
            }
            "/nodkey.registry.v1.OperatorService/UpdateOperator" => {
                let request = decode::<pb::UpdateOperatorRequest>(message)?;
                let operator = self.named(&request.id).await?;
                let (renamed, role) = (request.name.as_deref(), role(request.role()));
                OperatorPatch::parse(renamed, role)?;
                Shown::update(&operator.name, renamed.filter(|name| *name != operator.name), role.filter(|role| *role != operator.role))
            }
            "/nodkey.registry.v1.OperatorService/DisableOperator" => {
                let operator = self.named(&decode::<pb::DisableOperatorRequest>(message)?.id).await?;
                Shown::disable(&operator.name, operator.role)
            }
            "/nodkey.registry.v1.RelyingPartyService/DisableRelyingParty" => {
                let id = decode::<pb::DisableRelyingPartyRequest>(message)?.id.parse().map_err(|_| Refusal::NotFound("relying party"))?;
                Shown::disable_relying_party(&self.relying_party(id).await?.name)
            }
            "/nodkey.registry.v1.SigningKeyService/RotateSigningKey" => {
                let request = decode::<pb::RotateSigningKeyRequest>(message)?;
                Shown::rotate("registry", &request.algorithm, request.at_once)
            }
            "/nodkey.trusonafication.v1.SigningKeyService/RotateSigningKey" => {
                let request = decode::<trusonafication::RotateSigningKeyRequest>(message)?;
                Shown::rotate("trusonafication", &request.algorithm, request.at_once)
            }
            // A method of a later release: what cannot be displayed cannot be confirmed.
            _ => return Err(Refusal::invalid("method", "is not known to this release").into()),
        })
    }

    async fn named(&self, id: &str) -> Result<Operator, Error> {
        let id = id.parse().map_err(|_| Refusal::NotFound("operator"))?;
        Ok(operators::get(&self.0.db, id).await?.ok_or(Refusal::NotFound("operator"))?)
    }
}

fn decode<M: Message + Default>(message: Bytes) -> Result<M, Refusal> {
    M::decode(message).map_err(|_| Refusal::invalid("request", "must be the method's message"))
}

/// Whether the method takes a client stream.
fn is_streamed(method: &str) -> bool {
    reflect::method(&format!("/{method}")).is_some_and(|method| method.is_client_streaming())
}
