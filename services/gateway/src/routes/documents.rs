//! Identity documents, as phones register them, and as backends read them.

use axum::{
    extract::{Path, RawQuery, State},
    http::StatusCode,
    response::Response,
};
use nodkey_proto::{
    registry::v1::{
        DocumentType, GetIdentityDocumentRequest, IdentityDocument, ListIdentityDocumentsRequest, RegisterIdentityDocumentRequest,
        VerificationStatus, identity_document_service_client::IdentityDocumentServiceClient,
    },
    rest,
};
use nodkey_runtime::{Actor, PeerChannel};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::devices::rfc3339;
use crate::{
    auth::{backend::Backend, phone::Phone},
    extract::{Json, ProvenJson},
    problem::Problem,
    reply::reply,
    state::AppState,
};

/// How many documents of a user are listed, newest first.
const MAX_LISTED: i32 = 100;

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
    #[schema(min_length = 1, max_length = 255)]
    hash: String,
    /// JWS by a presence key that counts, `typ` `nodkey-document+jwt`. Without it the document does not count.
    #[expect(dead_code, reason = "the registry takes it from the call itself")]
    #[schema(max_length = 4096)]
    statement: Option<String>,
}

/// The hash of a document that the backend has verified.
#[derive(Debug, Deserialize, ToSchema)]
pub struct RegisterForDevice {
    r#type: Type,
    /// At most 255 characters, opaque: the same that the phone will present.
    #[schema(min_length = 1, max_length = 255)]
    hash: String,
}

/// A registered document.
#[derive(Debug, Serialize, ToSchema)]
pub struct Document {
    /// UUID.
    #[schema(format = Uuid)]
    id: String,
    user_identifier: String,
    hash: String,
    #[schema(value_type = Type)]
    r#type: &'static str,
    /// `UNVERIFIED`, `UNVERIFIABLE`, `VERIFIED` or `FAILED`.
    #[schema(schema_with = verification_statuses)]
    verification_status: &'static str,
    /// RFC 3339.
    #[schema(format = DateTime, required)]
    verified_at: Option<String>,
    /// Whether an accept that presents it is level 3: a presence key that counts, or the backend, has vouched for it.
    counts: bool,
}

fn verification_statuses() -> utoipa::openapi::Object {
    rest::names(["UNVERIFIED", "UNVERIFIABLE", "VERIFIED", "FAILED"])
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
            user_identifier: document.user_identifier.clone(),
            hash: document.hash.clone(),
            r#type: "AAMVA_DRIVERS_LICENSE",
            verification_status,
            verified_at: rfc3339(document.verified_at.as_ref()),
            // A registry of an older version does not send it, and treats all documents as counting.
            counts: document.counts.unwrap_or(true),
        }
    }
}

/// Registers a document for the user of the device. The same hash again returns the same document.
#[utoipa::path(post, path = "/api/v2/identity_documents", operation_id = "registerIdentityDocument", tag = "phones", request_body = RegisterDocument, responses(
    (status = 201, description = "The document. `counts` says whether it counts", body = Document),
    (status = 403, description = "`PRESENCE_REQUIRED`: the statement is not signed by a presence key that counts", body = Problem),
    (status = 409, description = "`DEVICE_CHALLENGE_USED`: create a new challenge", body = Problem),
    (status = 410, description = "`DEVICE_CHALLENGE_EXPIRED`: create a new challenge", body = Problem),
    (status = 422, description = "Invalid request", body = Problem)))]
pub async fn register(
    State(state): State<AppState>,
    phone: Phone,
    ProvenJson(body, call): ProvenJson<RegisterDocument>,
) -> Result<Response, Problem> {
    let Type::AamvaDriversLicense = body.r#type;
    let request = RegisterIdentityDocumentRequest {
        device_id: phone.device.to_string(),
        hash: body.hash,
        r#type: DocumentType::AamvaDriversLicense.into(),
        call: Some(call),
    };
    let document = documents(&state, phone.relying_party).register_identity_document(request).await?.into_inner();
    Ok(reply(StatusCode::CREATED, &Document::from(&document)))
}

/// Vouches for a document of the user of a device.
/// Registers the document, or makes one count that the phone has registered: accepts that present it are level 3 from then on. The backend
/// has verified by other means that the document is the user's. The same hash again returns the same document.
#[utoipa::path(post, path = "/api/v2/devices/{id}/identity_documents", operation_id = "registerIdentityDocumentForDevice", tag = "documents", request_body = RegisterForDevice,
    params(("id" = String, Path, description = "Device identifier")), responses(
    (status = 201, description = "The document, which counts", body = Document),
    (status = 403, description = "`DEVICE_NOT_BOUND`, `DEVICE_NOT_ACTIVE` or `DEVICE_RETIRED`", body = Problem),
    (status = 404, description = "No such device", body = Problem), (status = 422, description = "Invalid request", body = Problem)))]
pub async fn register_for_device(
    State(state): State<AppState>,
    backend: Backend,
    Path(device_id): Path<String>,
    Json(body): Json<RegisterForDevice>,
) -> Result<Response, Problem> {
    let Type::AamvaDriversLicense = body.r#type;
    let document_type = DocumentType::AamvaDriversLicense.into();
    let request = RegisterIdentityDocumentRequest { device_id, hash: body.hash, r#type: document_type, ..Default::default() };
    let document = documents(&state, &backend).register_identity_document(request).await?.into_inner();
    Ok(reply(StatusCode::CREATED, &Document::from(&document)))
}

/// Lists a user's documents, newest first. Empty for an unknown user.
#[utoipa::path(get, path = "/api/v2/identity_documents", operation_id = "listIdentityDocuments", tag = "documents", params(("user_identifier" = String, Query)), responses(
    (status = 200, description = "The documents, newest first", body = Vec<Document>),
    (status = 422, description = "Invalid request", body = Problem)))]
pub async fn list(State(state): State<AppState>, backend: Backend, RawQuery(query): RawQuery) -> Result<Response, Problem> {
    let query = query.unwrap_or_default();
    let named = url::form_urlencoded::parse(query.as_bytes()).find(|(name, _)| name == "user_identifier");
    let user_identifier = named.map(|(_, value)| value.into_owned()).unwrap_or_default();
    let request = ListIdentityDocumentsRequest { user_identifier, page_size: MAX_LISTED, ..Default::default() };
    let found = documents(&state, &backend).list_identity_documents(request).await?.into_inner().identity_documents;
    Ok(reply(StatusCode::OK, &found.iter().map(Document::from).collect::<Vec<_>>()))
}

/// Returns one document.
#[utoipa::path(get, path = "/api/v2/identity_documents/{id}", operation_id = "getIdentityDocument", tag = "documents", params(("id" = String, Path)), responses(
    (status = 200, description = "The document", body = Document), (status = 404, description = "No such document", body = Problem)))]
pub async fn get(State(state): State<AppState>, backend: Backend, Path(id): Path<String>) -> Result<Response, Problem> {
    let found = documents(&state, &backend).get_identity_document(GetIdentityDocumentRequest { id }).await?.into_inner();
    Ok(reply(StatusCode::OK, &Document::from(&found)))
}

fn documents(state: &AppState, by: impl Into<Actor>) -> IdentityDocumentServiceClient<PeerChannel> {
    IdentityDocumentServiceClient::new(state.peers.registry().on_behalf_of(by))
}
