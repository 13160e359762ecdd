//! The gRPC services of operators and their sessions.

use nodkey_kernel::{id::OperatorId, role::Role};
use nodkey_proto::{
    convert::role,
    registry::v1::{
        AcceptInvitationRequest, CreateOperatorSessionRequest, DisableOperatorRequest, EndOperatorSessionRequest,
        EndOperatorSessionResponse, Invitation, InviteOperatorRequest, ListOperatorSessionsRequest, ListOperatorSessionsResponse,
        ListOperatorsRequest, ListOperatorsResponse, Operator, OperatorSession, OperatorSessionInfo, RenewInvitationRequest,
        ResolveInvitationRequest, ResolveInvitationResponse, ResolveOperatorSessionRequest, UpdateOperatorRequest,
        operator_service_server::OperatorService, operator_session_service_server::OperatorSessionService,
    },
};
use nodkey_runtime::{Caller, caller, page::Page, status::status, uninterrupted};
use tonic::{Request, Response, Status};

use super::{Grpc, id, repeatable};
use crate::domain::{
    Refusal,
    operator::{Client, NewOperator, OperatorPatch},
};

/// The calling operator; `None` for a caller with the operator key.
fn by<T>(request: &Request<T>) -> Result<Option<OperatorId>, Status> {
    match caller(request)? {
        Caller::Operator { operator, .. } => Ok(operator.id),
        Caller::Backend { .. } | Caller::Service { .. } => Ok(None),
    }
}

#[tonic::async_trait]
impl OperatorService for Grpc {
    async fn invite_operator(&self, request: Request<InviteOperatorRequest>) -> Result<Response<Invitation>, Status> {
        let repeated = repeatable(None, "invite_operator", &request, |message| &message.request_id).map_err(status)?;
        let (app, message) = (self.0.clone(), request.into_inner());
        let new = NewOperator::parse(&message.name, role(message.role())).map_err(status)?;
        let invited = uninterrupted(async move { app.invite_operator(repeated, new, |invited| invited.into()).await });
        Ok(Response::new(invited.await.map_err(status)?))
    }

    async fn renew_invitation(&self, request: Request<RenewInvitationRequest>) -> Result<Response<Invitation>, Status> {
        let (app, operator) = (self.0.clone(), id(&request.get_ref().id, "operator").map_err(status)?);
        let invited = uninterrupted(async move { app.renew_invitation(operator).await }).await.map_err(status)?;
        Ok(Response::new((&invited).into()))
    }

    async fn list_operators(&self, request: Request<ListOperatorsRequest>) -> Result<Response<ListOperatorsResponse>, Status> {
        let message = request.into_inner();
        let page = Page::parse(message.page_size, &message.page_token).map_err(status)?;
        let (operators, next_page_token) = self.0.operators(&page).await.map_err(status)?;
        Ok(Response::new(ListOperatorsResponse { operators: operators.iter().map(Into::into).collect(), next_page_token }))
    }

    async fn update_operator(&self, request: Request<UpdateOperatorRequest>) -> Result<Response<Operator>, Status> {
        let by = by(&request)?;
        let (app, message) = (self.0.clone(), request.into_inner());
        let operator = id(&message.id, "operator").map_err(status)?;
        let patch = OperatorPatch::parse(message.name.as_deref(), role(message.role())).map_err(status)?;
        let operator = uninterrupted(async move { app.update_operator(operator, patch, by).await }).await.map_err(status)?;
        Ok(Response::new((&operator).into()))
    }

    async fn disable_operator(&self, request: Request<DisableOperatorRequest>) -> Result<Response<Operator>, Status> {
        let by = by(&request)?;
        let (app, operator) = (self.0.clone(), id(&request.get_ref().id, "operator").map_err(status)?);
        let operator = uninterrupted(async move { app.disable_operator(operator, by).await }).await.map_err(status)?;
        Ok(Response::new((&operator).into()))
    }

    async fn resolve_invitation(&self, request: Request<ResolveInvitationRequest>) -> Result<Response<ResolveInvitationResponse>, Status> {
        let opened = self.0.open_invitation(&request.into_inner().token).await.map_err(status)?;
        Ok(Response::new((&opened).into()))
    }

    async fn accept_invitation(&self, request: Request<AcceptInvitationRequest>) -> Result<Response<Operator>, Status> {
        let (app, message) = (self.0.clone(), request.into_inner());
        let accepted = uninterrupted(async move { app.accept_invitation(&message.token, &message.device_identifier_jwt).await });
        Ok(Response::new((&accepted.await.map_err(status)?).into()))
    }
}

#[tonic::async_trait]
impl OperatorSessionService for Grpc {
    async fn create_operator_session(&self, request: Request<CreateOperatorSessionRequest>) -> Result<Response<OperatorSession>, Status> {
        let (app, message) = (self.0.clone(), request.into_inner());
        let accepted = id(&message.trusonafication_id, "trusonafication").map_err(status)?;
        let client = Client::new(&message.client_address, &message.user_agent);
        let created = uninterrupted(async move { app.create_operator_session(accepted, client).await });
        Ok(Response::new((&created.await.map_err(status)?).into()))
    }

    async fn resolve_operator_session(&self, request: Request<ResolveOperatorSessionRequest>) -> Result<Response<OperatorSession>, Status> {
        let message = request.into_inner();
        let session = id(&message.id, "session").map_err(status)?;
        let alive = self.0.resolve_operator_session(session, &message.bearer_token).await.map_err(status)?;
        let answer = OperatorSession::from(&alive);
        // A service of the previous release presents no token and verifies with the secret instead.
        let legacy = message.bearer_token.is_empty();
        Ok(Response::new(if legacy { answer } else { OperatorSession { secret: String::new(), proven: true, ..answer } }))
    }

    async fn end_operator_session(
        &self,
        request: Request<EndOperatorSessionRequest>,
    ) -> Result<Response<EndOperatorSessionResponse>, Status> {
        let caller = caller(&request)?;
        let (app, message) = (self.0.clone(), request.into_inner());
        let session = id(&message.id, "session").map_err(status)?;
        let ended = match caller {
            Caller::Operator { operator, .. } => {
                let own = operator.id.filter(|_| operator.role < Role::Owner);
                uninterrupted(async move { app.end_operator_session_of(own, session).await }).await
            }
            _ => uninterrupted(async move { app.end_operator_session(session, &message.bearer_token).await }).await,
        };
        ended.map(|()| Response::new(EndOperatorSessionResponse {})).map_err(status)
    }

    async fn list_operator_sessions(
        &self,
        request: Request<ListOperatorSessionsRequest>,
    ) -> Result<Response<ListOperatorSessionsResponse>, Status> {
        let Caller::Operator { operator, .. } = caller(&request)? else { return Err(status(Refusal::NotFound("session"))) };
        let message = request.into_inner();
        let page = Page::parse(message.page_size, &message.page_token).map_err(status)?;
        let whose = match &*message.operator_id {
            "" => operator.id,
            named => Some(named.parse().map_err(|_| status(Refusal::invalid("operator_id", "must be a UUID")))?),
        };
        if whose != operator.id && operator.role < Role::Owner {
            return Err(status(Refusal::NotFound("operator")));
        }
        let (sessions, next_page_token) = self.0.operator_sessions(whose, &page).await.map_err(status)?;
        let sessions = sessions.iter().map(|it| OperatorSessionInfo { current: operator.session == Some(it.id), ..it.into() }).collect();
        Ok(Response::new(ListOperatorSessionsResponse { sessions, next_page_token }))
    }
}
