//! The deployment's own keys over gRPC.

use nodkey_proto::registry::v1::{
    GetJwksRequest, GetJwksResponse, ListSigningKeysRequest, ListSigningKeysResponse, RotateSigningKeyRequest, SignRequest, SignResponse,
    SigningKey, signing_key_service_server::SigningKeyService,
};
use nodkey_runtime::{Failure, page::Page, status::status, uninterrupted};
use tonic::{Request, Response, Status};

use super::{Grpc, repeatable};
use crate::domain::signing_key::algorithm;

#[tonic::async_trait]
impl SigningKeyService for Grpc {
    async fn get_jwks(&self, _: Request<GetJwksRequest>) -> Result<Response<GetJwksResponse>, Status> {
        let jwks = self.0.jwks().await.map_err(status)?;
        let jwks = serde_json::to_string(&jwks).map_err(|_| status(Failure::Internal("keys serialize")))?;
        Ok(Response::new(GetJwksResponse { jwks }))
    }

    async fn rotate_signing_key(&self, request: Request<RotateSigningKeyRequest>) -> Result<Response<SigningKey>, Status> {
        let repeated = repeatable(None, "rotate_signing_key", &request, |message| &message.request_id).map_err(status)?;
        let (app, message) = (self.0.clone(), request.into_inner());
        let algorithm = algorithm(&message.algorithm).map_err(status)?;
        let key = uninterrupted(async move { app.rotate_signing_key(repeated, algorithm, |key| key.into()).await });
        Ok(Response::new(key.await.map_err(status)?))
    }

    async fn list_signing_keys(&self, request: Request<ListSigningKeysRequest>) -> Result<Response<ListSigningKeysResponse>, Status> {
        let message = request.into_inner();
        let page = Page::parse(message.page_size, &message.page_token).map_err(status)?;
        let (keys, next_page_token) = self.0.signing_keys(&page).await.map_err(status)?;
        Ok(Response::new(ListSigningKeysResponse { signing_keys: keys.iter().map(Into::into).collect(), next_page_token }))
    }

    async fn sign(&self, request: Request<SignRequest>) -> Result<Response<SignResponse>, Status> {
        let message = request.into_inner();
        Ok(Response::new(SignResponse { jws: self.0.sign(&message.typ, &message.claims).await.map_err(status)? }))
    }
}
