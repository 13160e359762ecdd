//! Identity documents, as phones register them.

use axum::{extract::State, http::StatusCode, response::Response};
use nodkey_proto::registry::v1::{
    DocumentType, IdentityDocument, RegisterIdentityDocumentRequest, VerificationStatus,
    identity_document_service_client::IdentityDocumentServiceClient,
};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::devices::rfc3339;
use crate::{Edge, auth::phone::Phone, extract::Json, problem::Problem, reply};

#[derive(Debug, Deserialize, ToSchema)]
enum Type {
    #[serde(rename = "AAMVA_DRIVERS_LICENSE")]
    AamvaDriversLicense,
}

/// The hash of a scanned document.
#[derive(Debug, Deserialize, ToSchema)]
pub struct RegisterDocument {
    r#type: Type,
    /// At most 255 characters, opaque.
    hash: String,
}

/// A registered document.
#[derive(Debug, Serialize, ToSchema)]
pub struct Document {
    /// UUID.
    id: String,
    hash: String,
    r#type: &'static str,
    /// `UNVERIFIED`, `UNVERIFIABLE`, `VERIFIED` or `FAILED`.
    verification_status: &'static str,
    /// RFC 3339.
    verified_at: Option<String>,
}

impl From<&IdentityDocument> for Document {
    fn from(document: &IdentityDocument) -> Self {
        let verification_status = match document.verification_status() {
            VerificationStatus::Unspecified | VerificationStatus::Unverified => "UNVERIFIED",
            VerificationStatus::Unverifiable => "UNVERIFIABLE",
            VerificationStatus::Verified => "VERIFIED",
            VerificationStatus::Failed => "FAILED",
        };
        Self {
            id: document.id.clone(),
            hash: document.hash.clone(),
            r#type: "AAMVA_DRIVERS_LICENSE",
            verification_status,
            verified_at: rfc3339(document.verified_at.as_ref()),
        }
    }
}

/// Registers a document for the user the device is bound to. The same hash again: the same document.
#[utoipa::path(post, path = "/api/v2/identity_documents", tag = "phones", request_body = RegisterDocument, responses(
    (status = 201, description = "Registered", body = Document), (status = 422, description = "Not valid", body = Problem)))]
pub async fn register(State(edge): State<Edge>, phone: Phone, Json(body): Json<RegisterDocument>) -> Result<Response, Problem> {
    let Type::AamvaDriversLicense = body.r#type;
    let mut documents = IdentityDocumentServiceClient::new(edge.peers.registry().acting_for(phone.relying_party));
    let request = RegisterIdentityDocumentRequest {
        device_id: phone.device.to_string(),
        hash: body.hash,
        r#type: DocumentType::AamvaDriversLicense.into(),
    };
    let document = documents.register_identity_document(request).await?.into_inner();
    Ok(reply(StatusCode::CREATED, &Document::from(&document)))
}
