//! The gRPC service of the service's own signing keys.

use nodkey_kernel::{id::RelyingPartyId, jose::Algorithm};
use nodkey_proto::{
    convert::timestamp,
    trusonafication::v1::{RotateSigningKeyRequest, SigningKey, signing_key_service_server::SigningKeyService},
};
use nodkey_runtime::{Failure, idempotent::Request as Repeatable, signing, status::status, uninterrupted};
use tonic::{Request, Response, Status};
use uuid::Uuid;

use super::Api;

#[tonic::async_trait]
impl SigningKeyService for Api {
    async fn rotate_signing_key(&self, request: Request<RotateSigningKeyRequest>) -> Result<Response<SigningKey>, Status> {
        // Keys belong to no relying party.
        let nobody = RelyingPartyId::from_uuid(Uuid::nil());
        let repeatable = Repeatable::read(nobody, "RotateSigningKey", &request, |asked| &asked.request_id).map_err(status)?;
        let asked = request.into_inner();
        let algorithm = match asked.algorithm.as_str() {
            "" => Algorithm::EdDsa,
            name => Algorithm::parse(name).map_err(|_| status(Failure::field("algorithm", "must be EdDSA or ES256")))?,
        };
        let app = self.0.clone();
        let rotate = async move { app.rotate_signing_key(repeatable, algorithm, asked.at_once, message).await };
        Ok(Response::new(uninterrupted(rotate).await.map_err(status)?))
    }
}

fn message(key: &signing::SigningKey) -> SigningKey {
    SigningKey {
        id: key.key.thumbprint(),
        algorithm: key.key.algorithm().as_str().to_owned(),
        created_at: Some(timestamp(key.created_at)),
        signs_at: key.signs_at.map(timestamp),
    }
}
