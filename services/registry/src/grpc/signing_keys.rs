//! The gRPC service of the deployment's signing keys.

use nodkey_kernel::jose::PublicJwk;
use nodkey_proto::{
    convert::timestamp,
    registry::v1::{
        GetJwksArchiveRequest, GetJwksArchiveResponse, GetJwksRequest, GetJwksResponse, ListSigningKeysRequest, ListSigningKeysResponse,
        PublishSigningKeyRequest, PublishSigningKeyResponse, RotateSigningKeyRequest, SignRequest, SignResponse, SigningKey,
        signing_key_service_server::SigningKeyService,
    },
};
use nodkey_runtime::{Caller, Failure, caller, page::Page, signing, status::status, uninterrupted};
use tonic::{Request, Response, Status};

use super::{Grpc, repeatable};
use crate::domain::{
    Refusal,
    signing_key::{self as domain, Owner, algorithm},
};

#[tonic::async_trait]
impl SigningKeyService for Grpc {
    async fn get_jwks(&self, _: Request<GetJwksRequest>) -> Result<Response<GetJwksResponse>, Status> {
        let jwks = self.0.jwks().await.map_err(status)?;
        let jwks = serde_json::to_string(&jwks).map_err(|_| status(Failure::Internal("keys serialize")))?;
        Ok(Response::new(GetJwksResponse { jwks }))
    }

    async fn get_jwks_archive(&self, _: Request<GetJwksArchiveRequest>) -> Result<Response<GetJwksArchiveResponse>, Status> {
        let jwks = self.0.jwks_archive().await.map_err(status)?.to_string();
        Ok(Response::new(GetJwksArchiveResponse { jwks }))
    }

    async fn rotate_signing_key(&self, request: Request<RotateSigningKeyRequest>) -> Result<Response<SigningKey>, Status> {
        let repeated = repeatable(None, "rotate_signing_key", &request, |message| &message.request_id).map_err(status)?;
        let (app, message) = (self.0.clone(), request.into_inner());
        let algorithm = algorithm(&message.algorithm).map_err(status)?;
        let rotate = async move { app.rotate_signing_key(repeated, algorithm, message.at_once, |key| rotated(key, message.at_once)).await };
        Ok(Response::new(uninterrupted(rotate).await.map_err(status)?))
    }

    async fn list_signing_keys(&self, request: Request<ListSigningKeysRequest>) -> Result<Response<ListSigningKeysResponse>, Status> {
        let message = request.into_inner();
        let page = Page::parse(message.page_size, &message.page_token).map_err(status)?;
        let (keys, next_page_token) = self.0.signing_keys(&page).await.map_err(status)?;
        let signing_keys = keys.iter().map(|(key, current)| listed(key, *current)).collect();
        Ok(Response::new(ListSigningKeysResponse { signing_keys, next_page_token }))
    }

    async fn publish_signing_key(&self, request: Request<PublishSigningKeyRequest>) -> Result<Response<PublishSigningKeyResponse>, Status> {
        let owner = match caller(&request)? {
            Caller::Service { name, .. } => Owner::try_from(name.as_str()).ok().filter(|owner| *owner != Owner::Registry),
            Caller::Backend { .. } | Caller::Operator { .. } => None,
        };
        let owner = owner.ok_or_else(|| status(Refusal::NotAnOwner))?;
        let PublishSigningKeyRequest { jwk, typs, at_once } = request.into_inner();
        let key = PublicJwk::parse(&jwk).map_err(|e| status(Refusal::invalid("jwk", e.to_string())))?;
        let app = self.0.clone();
        let publish = async move { app.publish_signing_key(owner, key, typs, at_once).await };
        let published = uninterrupted(publish).await.map_err(status)?;
        Ok(Response::new(PublishSigningKeyResponse { signs_at: Some(timestamp(published.signs_at)) }))
    }

    async fn sign(&self, request: Request<SignRequest>) -> Result<Response<SignResponse>, Status> {
        let message = request.into_inner();
        Ok(Response::new(SignResponse { jws: self.0.sign(&message.typ, &message.claims).await.map_err(status)? }))
    }
}

/// A newly rotated key.
fn rotated(key: &signing::SigningKey, at_once: bool) -> SigningKey {
    SigningKey {
        id: key.key.thumbprint(),
        algorithm: key.key.algorithm().as_str().to_owned(),
        current: at_once,
        created_at: Some(timestamp(key.created_at)),
        retires_at: None,
        owner: Owner::Registry.as_str().to_owned(),
        typs: Vec::new(),
        signs_at: key.signs_at.map(timestamp),
        revoked_at: None,
    }
}

fn listed(key: &domain::SigningKey, current: bool) -> SigningKey {
    SigningKey {
        id: key.key.thumbprint(),
        algorithm: key.key.algorithm().as_str().to_owned(),
        current,
        created_at: Some(timestamp(key.created_at)),
        retires_at: key.retires_at.map(timestamp),
        owner: key.owner.as_str().to_owned(),
        typs: key.typs.clone(),
        signs_at: Some(timestamp(key.signs_at)),
        revoked_at: key.revoked_at.map(timestamp),
    }
}
