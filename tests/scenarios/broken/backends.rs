//! A service's key cannot do what only backends may do.

use std::time::Duration;

use nodkey_client::{Credential, Kind, Nodkey};
use nodkey_kernel::{
    time::{Clock, Timestamp},
    trusona_mac,
};
use nodkey_mobile_sdk::Decision as Answer;
use nodkey_proto::{
    binding::v1::{
        ActivateBindingRequest, BindingState, CreateBindingRequest, DeactivateUserRequest, binding_service_client::BindingServiceClient,
        user_service_client::UserServiceClient,
    },
    registry::v1::{
        CreateCredentialResponse, ResolveCredentialRequest, SignedRequest, credential_service_client::CredentialServiceClient,
        resolve_credential_request::Proof,
    },
    trusonafication::v1::{
        CancelTrusonaficationRequest, CreateTrusonaficationRequest, GetEvidenceRequest, Status, create_trusonafication_request::Target,
        trusonafication_service_client::TrusonaficationServiceClient,
    },
};
use nodkey_runtime::token;
use reqwest::Method;
use tonic::Code;

use super::{ServiceName, Thief, log_in};
use crate::{
    http,
    world::{SoftPhone, World, asked},
};

scenarios!(no_service_binds_a_phone_asks_cancels_or_deactivates_for_a_backend, no_service_gets_a_secret_of_a_backend_that_is_not_calling,);

const UNKNOWN: &str = "00000000-0000-7000-8000-000000000000";

async fn no_service_binds_a_phone_asks_cancels_or_deactivates_for_a_backend(world: &World) {
    let tenant = world.tenant().await;
    let phone = tenant.active("ada").await;
    let strange: SoftPhone = tenant.registered().await;
    // Bound by the backend, waiting for its activation code.
    let code = tenant.backend.create_binding("grace", strange.device_identifier().as_str()).await.unwrap().id;
    let third = tenant.registered().await.device_identifier().to_string();
    let id = tenant.backend.create_trusonafication(log_in()).await.unwrap().trusonafication.id;
    for thief in Thief::all(world, &tenant) {
        let mut bindings = BindingServiceClient::new(thief.to(ServiceName::Binding));
        let mut users = UserServiceClient::new(thief.to(ServiceName::Binding));
        let mut owner = TrusonaficationServiceClient::new(thief.to(ServiceName::Trusonafication));
        let bind =
            CreateBindingRequest { user_identifier: "ada".into(), device_identifier: third.clone(), ..CreateBindingRequest::default() };
        let ask =
            CreateTrusonaficationRequest { target: Some(Target::UserIdentifier("ada".into())), ..CreateTrusonaficationRequest::default() };
        let refused = [
            bindings.create_binding(bind).await.map(drop),
            bindings.activate_binding(ActivateBindingRequest { id: code.clone() }).await.map(drop),
            users.deactivate_user(DeactivateUserRequest { user_identifier: "ada".into() }).await.map(drop),
            owner.create_trusonafication(ask).await.map(drop),
            owner.cancel_trusonafication(CancelTrusonaficationRequest { id: id.clone() }).await.map(drop),
            owner.get_evidence(GetEvidenceRequest { id: id.clone() }).await.map(drop),
        ];
        for (n, refused) in refused.into_iter().enumerate() {
            assert_eq!(refused.unwrap_err().code(), Code::PermissionDenied, "{} {n}", thief.name);
        }
    }
    // Ada still has the same phone, and it has exactly one prompt, which the backend created.
    let devices = tenant.backend.user_devices("ada").await.unwrap();
    assert_eq!(devices.iter().map(|it| it.device_identifier.as_str()).collect::<Vec<_>>(), [phone.device_identifier().as_str()]);
    let waiting = tenant.backend.device_binding(strange.device_identifier().as_str()).await.unwrap();
    assert_eq!(waiting.state(), BindingState::Inactive);
    phone.respond(&asked(&phone).await, Answer::Accept, None).await.unwrap();
    assert_eq!(tenant.backend.trusonafication(&id).await.unwrap().status(), Status::Accepted);
}

/// A request signed by a backend in the TRUSONA scheme.
fn signed_request(secret: &str, at: Timestamp) -> SignedRequest {
    let request = SignedRequest {
        method: "GET".into(),
        body_md5: trusona_mac::body_md5(b""),
        date: at.to_http_date(),
        path_and_query: "/api/v2/users/ada/devices".into(),
        ..SignedRequest::default()
    };
    let text = trusona_mac::string_to_sign(&request.method, &request.body_md5, "", &request.date, &request.path_and_query);
    SignedRequest { signature: trusona_mac::mac(secret, &text), ..request }
}

async fn no_service_gets_a_secret_of_a_backend_that_is_not_calling(world: &World) {
    let tenant = world.tenant().await;
    let (now, hour) = (Clock::system().now(), Duration::from_hours(1));
    let (id, secret) = (tenant.server.credential.clone().unwrap().id, tenant.server.secret.as_str());
    let wrong = "f".repeat(128);
    let bearer = |secret: &str, audience: &str, at| Some(Proof::BearerToken(token::sign(&id, secret, audience, at)));
    let signed = |secret: &str, at| Some(Proof::SignedRequest(signed_request(secret, at)));
    let other_path = SignedRequest { path_and_query: "/api/v2/users/eve/devices".into(), ..signed_request(secret, now) };
    let proofs = [
        ("none", None),
        ("an empty token", Some(Proof::BearerToken(String::new()))),
        ("the id", Some(Proof::BearerToken(id.clone()))),
        ("a token by another secret", bearer(&wrong, "nodkey", now)),
        ("a token by the token", bearer(&tenant.server.credential.as_ref().unwrap().token, "nodkey", now)),
        ("a token of an hour ago", bearer(secret, "nodkey", now - hour)),
        ("a token of which nobody knows when it ends", bearer(secret, "nodkey", now + hour)),
        ("a token for another deployment", bearer(secret, "other", now)),
        ("an empty request", Some(Proof::SignedRequest(SignedRequest::default()))),
        ("a request by another secret", signed(&wrong, now)),
        ("a request of an hour ago", signed(secret, now - hour)),
        ("a request for another path", Some(Proof::SignedRequest(other_path))),
    ];
    for thief in Thief::all(world, &tenant) {
        let mut registry = CredentialServiceClient::new(thief.to(ServiceName::Registry));
        let unknown = ResolveCredentialRequest { credential_id: UNKNOWN.into(), proof: bearer(secret, "nodkey", now) };
        let unknown = registry.resolve_credential(unknown).await.unwrap_err();
        assert_eq!(unknown.code(), Code::NotFound);
        for (what, proof) in &proofs {
            let request = ResolveCredentialRequest { credential_id: id.clone(), proof: proof.clone() };
            let refused = registry.resolve_credential(request).await.unwrap_err();
            assert_eq!((refused.code(), refused.message()), (unknown.code(), unknown.message()), "{}: {what}", thief.name);
        }
        // The intended use: a service that the backend calls, and that sees the call, may verify it.
        for proof in [bearer(secret, "nodkey", now), signed(secret, now)] {
            let request = ResolveCredentialRequest { credential_id: id.clone(), proof };
            assert_eq!(registry.resolve_credential(request).await.unwrap().into_inner().secret, secret);
        }
    }
    // Guessing secrets does not lock the backend out.
    let path = "/api/v2/users/ada/devices";
    let forged = CreateCredentialResponse { secret: wrong.clone(), ..tenant.server.clone() };
    let credential = Credential::new(&tenant.server.credential.as_ref().unwrap().token, wrong).unwrap();
    let guessing = Nodkey::connect(&world.endpoints, credential).unwrap();
    for _ in 0..2 {
        assert_eq!(http::backend(&world.http, &forged, Method::GET, path, "").await.status, 403);
        assert_eq!(guessing.user_devices("ada").await.unwrap_err().kind, Kind::Unauthenticated);
        assert_eq!(http::backend(&world.http, &tenant.server, Method::GET, path, "").await.status, 200);
        assert!(tenant.backend.user_devices("ada").await.unwrap().is_empty());
    }
}
