//! The gRPC service of relying parties.

use nodkey_proto::registry::v1::{
    CreateRelyingPartyRequest, DisableRelyingPartyRequest, GetRelyingPartyRequest, ListRelyingPartiesRequest, ListRelyingPartiesResponse,
    RelyingParty, UpdateRelyingPartyRequest, relying_party_service_server::RelyingPartyService,
};
use nodkey_runtime::{caller, page::Page, status::status, uninterrupted};
use tonic::{Request, Response, Status};

use super::{Grpc, party, repeatable};
use crate::domain::relying_party::{NewRelyingParty, RelyingPartyPatch};

#[tonic::async_trait]
impl RelyingPartyService for Grpc {
    async fn create_relying_party(&self, request: Request<CreateRelyingPartyRequest>) -> Result<Response<RelyingParty>, Status> {
        let repeated = repeatable(None, "create_relying_party", &request, |message| &message.request_id).map_err(status)?;
        let (app, message) = (self.0.clone(), request.into_inner());
        let new = NewRelyingParty::parse(&message.name, &message.id, message.trusona_clients).map_err(status)?;
        let created = uninterrupted(async move { app.create_relying_party(repeated, new, |party| party.into()).await });
        Ok(Response::new(created.await.map_err(status)?))
    }

    async fn get_relying_party(&self, request: Request<GetRelyingPartyRequest>) -> Result<Response<RelyingParty>, Status> {
        let party = party(&caller(&request)?, &request.get_ref().id)?;
        let party = self.0.relying_party(party).await.map_err(status)?;
        Ok(Response::new((&party).into()))
    }

    async fn list_relying_parties(
        &self,
        request: Request<ListRelyingPartiesRequest>,
    ) -> Result<Response<ListRelyingPartiesResponse>, Status> {
        let message = request.into_inner();
        let page = Page::parse(message.page_size, &message.page_token).map_err(status)?;
        let (parties, next_page_token) = self.0.relying_parties(&page).await.map_err(status)?;
        Ok(Response::new(ListRelyingPartiesResponse { relying_parties: parties.iter().map(Into::into).collect(), next_page_token }))
    }

    async fn update_relying_party(&self, request: Request<UpdateRelyingPartyRequest>) -> Result<Response<RelyingParty>, Status> {
        let party = party(&caller(&request)?, &request.get_ref().id)?;
        let (app, message) = (self.0.clone(), request.into_inner());
        let patch = RelyingPartyPatch::parse(
            message.name.as_deref(),
            message.trucodes.map(Into::into),
            message.signatures.map(Into::into),
            message.limits.map(Into::into),
            message.prompts.map(Into::into),
            message.bindings.map(Into::into),
            message.phones.map(Into::into),
        );
        let patch = patch.map_err(status)?;
        let party = uninterrupted(async move { app.update_relying_party(party, patch).await }).await.map_err(status)?;
        Ok(Response::new((&party).into()))
    }

    async fn disable_relying_party(&self, request: Request<DisableRelyingPartyRequest>) -> Result<Response<RelyingParty>, Status> {
        let party = party(&caller(&request)?, &request.get_ref().id)?;
        let app = self.0.clone();
        let party = uninterrupted(async move { app.disable_relying_party(party).await }).await.map_err(status)?;
        Ok(Response::new((&party).into()))
    }
}
