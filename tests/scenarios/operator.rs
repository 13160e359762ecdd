//! What operators do, and what everything else makes of it.

use nodkey_mobile_sdk::Decision;
use nodkey_proto::registry::v1::{
    GetJwksRequest, RotateSigningKeyRequest, SetVerificationStatusRequest, VerificationStatus,
    identity_document_service_client::IdentityDocumentServiceClient, signing_key_service_client::SigningKeyServiceClient,
};
use nodkey_server_sdk::{NewTrusonafication, ServiceName, verify_evidence};
use reqwest::Method;
use serde_json::json;

use crate::{
    http,
    world::{World, asked},
};

scenarios!(evidence_outlives_a_rotation_of_signing_keys, a_document_is_verified_by_the_backend);

async fn evidence_outlives_a_rotation_of_signing_keys(world: &World) {
    let tenant = world.tenant().await;
    let phone = tenant.active("ada").await;
    let id = tenant.backend.create_trusonafication(NewTrusonafication::user("ada", "log in", "Acme")).await.unwrap().trusonafication.id;
    phone.respond(&asked(&phone).await, Decision::Accept, None).await.unwrap();
    let before = tenant.backend.jwks().await.unwrap();
    let mut keys = SigningKeyServiceClient::new(world.operator(None).channel(ServiceName::Registry));
    let rotated = keys.rotate_signing_key(RotateSigningKeyRequest { algorithm: "ES256".into(), ..Default::default() }).await;
    let rotated = rotated.unwrap().into_inner();
    assert!(rotated.current);
    let after = tenant.backend.jwks().await.unwrap();
    assert!(after.find(&rotated.id).is_some() && before.find(&rotated.id).is_none());
    let evidence = tenant.backend.evidence(&id).await.unwrap();
    verify_evidence(&evidence, &before).unwrap();
    verify_evidence(&evidence, &after).unwrap();
    // A phone that was given no keys to pin learns the new one, and what it signs is good evidence.
    let id = tenant.backend.create_trusonafication(NewTrusonafication::user("ada", "log in", "Acme")).await.unwrap().trusonafication.id;
    phone.respond(&asked(&phone).await, Decision::Accept, None).await.unwrap();
    verify_evidence(&tenant.backend.evidence(&id).await.unwrap(), &after).unwrap();
    assert!(!keys.get_jwks(GetJwksRequest {}).await.unwrap().into_inner().jwks.contains("\"d\""), "public halves alone");
}

async fn a_document_is_verified_by_the_backend(world: &World) {
    let tenant = world.tenant().await;
    let phone = tenant.active("ada").await;
    let id = phone.register_identity_document("hash").await.unwrap();
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
