//! The gRPC service of identity documents.

use nodkey_proto::registry::v1::{
    GetIdentityDocumentRequest, IdentityDocument, ListIdentityDocumentsRequest, ListIdentityDocumentsResponse,
    RegisterIdentityDocumentRequest, SetVerificationStatusRequest, identity_document_service_server::IdentityDocumentService,
};
use nodkey_runtime::{Caller, caller, page::Page, status::status, uninterrupted};
use tonic::{Request, Response, Status};

use super::{
    Grpc,
    convert::{document_type, phone_call, verification_status},
    id,
};
use crate::{
    app::Word,
    domain::{
        Refusal,
        document::{MAX_LENGTH, Scan},
        phone_call::Operation,
        text,
    },
};

#[tonic::async_trait]
impl IdentityDocumentService for Grpc {
    async fn register_identity_document(
        &self,
        request: Request<RegisterIdentityDocumentRequest>,
    ) -> Result<Response<IdentityDocument>, Status> {
        let caller = caller(&request)?;
        let (party, app, message) = (caller.relying_party()?, self.0.clone(), request.into_inner());
        let scan = Scan::parse(&message.hash, document_type(message.r#type)).map_err(status)?;
        let device = id(&message.device_id, "device").map_err(status)?;
        let by = match caller {
            Caller::Service { .. } => {
                let call = app.prove(phone_call(message.call.as_ref()), Operation::RegisterDocument, &device).map_err(status)?;
                Word::of_phone(call).map_err(status)?
            }
            Caller::Backend { .. } | Caller::Operator { .. } => Word::Backend,
        };
        let document = uninterrupted(async move { app.register_document(party, &device, scan, by).await }).await.map_err(status)?;
        Ok(Response::new((&document).into()))
    }

    async fn get_identity_document(&self, request: Request<GetIdentityDocumentRequest>) -> Result<Response<IdentityDocument>, Status> {
        let party = caller(&request)?.relying_party()?;
        let id = id(&request.get_ref().id, "identity document").map_err(status)?;
        let document = self.0.document(party, id).await.map_err(status)?;
        Ok(Response::new((&document).into()))
    }

    async fn list_identity_documents(
        &self,
        request: Request<ListIdentityDocumentsRequest>,
    ) -> Result<Response<ListIdentityDocumentsResponse>, Status> {
        let party = caller(&request)?.relying_party()?;
        let message = request.into_inner();
        let user =
            text::required(&message.user_identifier, MAX_LENGTH).map_err(|e| status(Refusal::invalid("user_identifier", e.to_string())))?;
        let page = Page::parse(message.page_size, &message.page_token).map_err(status)?;
        let (documents, next_page_token) = self.0.documents(party, &user, message.counting, &page).await.map_err(status)?;
        let identity_documents = documents.iter().map(Into::into).collect();
        Ok(Response::new(ListIdentityDocumentsResponse { identity_documents, next_page_token }))
    }

    async fn set_verification_status(&self, request: Request<SetVerificationStatusRequest>) -> Result<Response<IdentityDocument>, Status> {
        let party = caller(&request)?.relying_party()?;
        let (app, message) = (self.0.clone(), request.into_inner());
        let found = verification_status(message.verification_status);
        let found = found.map_err(|e| status(Refusal::invalid("verification_status", e.to_string())))?;
        let id = id(&message.id, "identity document").map_err(status)?;
        let document = uninterrupted(async move { app.verify_document(party, id, found).await }).await.map_err(status)?;
        Ok(Response::new((&document).into()))
    }
}
