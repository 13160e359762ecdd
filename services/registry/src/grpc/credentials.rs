//! The gRPC service of credentials.

use nodkey_proto::registry::v1::{
    CreateCredentialRequest, CreateCredentialResponse, Credential, DisableCredentialRequest, ListCredentialsRequest,
    ListCredentialsResponse, ResolveCredentialRequest, ResolveCredentialResponse, credential_service_server::CredentialService,
};
use nodkey_runtime::{caller, page::Page, status::status, uninterrupted};
use tonic::{Request, Response, Status};

use super::{Grpc, convert::credential_kind, id, party, repeatable};
use crate::domain::Refusal;

#[tonic::async_trait]
impl CredentialService for Grpc {
    async fn create_credential(&self, request: Request<CreateCredentialRequest>) -> Result<Response<CreateCredentialResponse>, Status> {
        let party = party(&caller(&request)?, &request.get_ref().relying_party_id)?;
        let repeated = repeatable(Some(party), "create_credential", &request, |message| &message.request_id).map_err(status)?;
        let (app, message) = (self.0.clone(), request.into_inner());
        let kind = credential_kind(message.kind).map_err(|e| status(Refusal::invalid("kind", e.to_string())))?;
        let created = uninterrupted(async move { app.create_credential(repeated, party, kind, |new| new.into()).await });
        Ok(Response::new(created.await.map_err(status)?))
    }

    async fn list_credentials(&self, request: Request<ListCredentialsRequest>) -> Result<Response<ListCredentialsResponse>, Status> {
        let party = party(&caller(&request)?, &request.get_ref().relying_party_id)?;
        let message = request.into_inner();
        let page = Page::parse(message.page_size, &message.page_token).map_err(status)?;
        let (credentials, next_page_token) = self.0.credentials(party, &page).await.map_err(status)?;
        Ok(Response::new(ListCredentialsResponse { credentials: credentials.iter().map(Into::into).collect(), next_page_token }))
    }

    async fn disable_credential(&self, request: Request<DisableCredentialRequest>) -> Result<Response<Credential>, Status> {
        let party = party(&caller(&request)?, &request.get_ref().relying_party_id)?;
        let id = id(&request.get_ref().id, "credential").map_err(status)?;
        let app = self.0.clone();
        let credential = uninterrupted(async move { app.disable_credential(party, id).await }).await.map_err(status)?;
        Ok(Response::new((&credential).into()))
    }

    async fn resolve_credential(&self, request: Request<ResolveCredentialRequest>) -> Result<Response<ResolveCredentialResponse>, Status> {
        let message = request.into_inner();
        let id = id(&message.credential_id, "credential").map_err(status)?;
        Ok(Response::new(self.0.resolve_credential(id, message.proof.as_ref()).await.map_err(status)?.into()))
    }
}
