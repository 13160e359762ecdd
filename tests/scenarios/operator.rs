//! What operators do, and the effect on everything else.

use nodkey_client::ServiceName;
use nodkey_proto::registry::v1::{
    SetVerificationStatusRequest, VerificationStatus, identity_document_service_client::IdentityDocumentServiceClient,
};
use reqwest::Method;
use serde_json::json;

use crate::{http, world::World};

scenarios!(a_document_is_verified_by_the_backend);

async fn a_document_is_verified_by_the_backend(world: &World) {
    let tenant = world.tenant().await;
    let phone = tenant.active("ada").await;
    let id = phone.register_identity_document("hash").await.unwrap().id.into();
    let mut documents = IdentityDocumentServiceClient::new(tenant.backend.channel(ServiceName::Registry));
    let request = SetVerificationStatusRequest { id, verification_status: VerificationStatus::Verified.into() };
    let document = documents.set_verification_status(request).await.unwrap().into_inner();
    assert_eq!((document.verification_status(), document.user_identifier.as_str()), (VerificationStatus::Verified, "ada"));
    assert!(document.verified_at.is_some());

    // As old SDKs read it, over HTTP.
    let get = async |path: &str| http::backend(&world.http, &tenant.server, Method::GET, path, "").await;
    let list = get("/api/v2/identity_documents?user_identifier=ada").await;
    assert_eq!(
        (list.status, &list.body[0]["verification_status"], list.body[0]["id"].as_str()),
        (200, &json!("VERIFIED"), Some(&*document.id))
    );
    let one = get(&format!("/api/v2/identity_documents/{}", document.id)).await;
    assert_eq!((one.status, &one.body["hash"], &one.body["type"]), (200, &json!("hash"), &json!("AAMVA_DRIVERS_LICENSE")));
    assert_eq!(get("/api/v2/identity_documents?user_identifier=nobody").await.body, json!([]));
    assert_eq!(get("/api/v2/identity_documents?user_identifier=").await.status, 422);
    assert_eq!(get("/api/v2/identity_documents/x").await.status, 404);
    let other = world.tenant().await;
    let path = format!("/api/v2/identity_documents/{}", document.id);
    assert_eq!(http::backend(&world.http, &other.server, Method::GET, &path, "").await.status, 404);
}
