//! Nothing of another relying party can be read, guessed or influenced.

use nodkey_client::{Credential, Kind, NewTrusonafication, Nodkey, ServiceName};
use nodkey_mobile_sdk::{Decision, software::SoftwareKeyStore};
use nodkey_proto::{
    registry::v1::{
        DisableCredentialRequest, GetRelyingPartyRequest, ListCredentialsRequest, credential_service_client::CredentialServiceClient,
        relying_party_service_client::RelyingPartyServiceClient,
    },
    trusonafication::v1::ListTrusonaficationsRequest,
};
use reqwest::Method;

use crate::{
    http,
    world::{World, asked},
};

scenarios!(
    another_tenants_everything_is_not_there,
    a_device_key_belongs_to_one_tenant,
    a_disabled_credential_is_refused,
    a_credential_that_was_disabled_since_the_gateway_heard_of_it_is_refused_the_same,
    credentials_do_what_they_are_for_and_nothing_else,
);

async fn another_tenants_everything_is_not_there(world: &World) {
    let (ours, theirs) = (world.tenant().await, world.tenant().await);
    let phone = theirs.active("ada").await;
    let binding = theirs.backend.device_binding(phone.device_identifier().as_str()).await.unwrap();
    let id = theirs.backend.create_trusonafication(NewTrusonafication::user("ada", "log in", "Acme")).await.unwrap().trusonafication.id;

    let ours = &ours.backend;
    assert_eq!(ours.trusonafication(&id).await.unwrap_err().kind, Kind::NotFound);
    assert_eq!(ours.wait(&id).await.unwrap_err().kind, Kind::NotFound);
    assert_eq!(ours.cancel(&id).await.unwrap_err().kind, Kind::NotFound);
    assert_eq!(ours.evidence(&id).await.unwrap_err().kind, Kind::NotFound);
    assert_eq!(ours.device(phone.device_identifier().as_str()).await.unwrap_err().kind, Kind::NotFound);
    assert_eq!(ours.device_binding(phone.device_identifier().as_str()).await.unwrap_err().kind, Kind::NotFound);
    assert_eq!(ours.activate_binding(&binding.id).await.unwrap_err().kind, Kind::NotFound);
    assert_eq!(ours.deactivate_binding(&binding.id).await.unwrap_err().kind, Kind::NotFound);
    assert_eq!(ours.deactivate_user("ada").await.unwrap_err().kind, Kind::NotFound);
    assert_eq!(ours.create_binding("ada", phone.device_identifier().as_str()).await.unwrap_err().reason, "DEVICE_NOT_FOUND");
    assert!(ours.user_devices("ada").await.unwrap().is_empty());
    let listed = ours.list_trusonafications(ListTrusonaficationsRequest::default()).await.unwrap();
    assert!(listed.trusonafications.is_empty());
    let mut parties = RelyingPartyServiceClient::new(ours.channel(ServiceName::Registry));
    let named = parties.get_relying_party(GetRelyingPartyRequest { id: theirs.id.clone() }).await.unwrap_err();
    assert_eq!(named.code(), tonic::Code::NotFound);

    // Everything is unchanged.
    phone.respond(&asked(&phone).await, Decision::Accept, None).await.unwrap();
}

async fn a_device_key_belongs_to_one_tenant(world: &World) {
    let (ours, theirs) = (world.tenant().await, world.tenant().await);
    let keys = SoftwareKeyStore::generate();
    theirs.phone_with(keys.clone()).register("theirs").await.unwrap();
    let refused = ours.phone_with(keys).register("ours").await.unwrap_err();
    assert_eq!((refused.status(), refused.reason()), (Some(409), "DEVICE_KEY_IN_USE"));
}

async fn a_disabled_credential_is_refused(world: &World) {
    let tenant = world.tenant().await;
    let mut credentials = CredentialServiceClient::new(world.operator(None).channel(ServiceName::Registry));
    let id = tenant.server.credential.as_ref().unwrap().id.clone();
    // Never used before, so nothing has it cached as valid.
    credentials.disable_credential(DisableCredentialRequest { relying_party_id: tenant.id.clone(), id }).await.unwrap();
    assert_eq!(tenant.backend.user_devices("ada").await.unwrap_err().kind, Kind::Unauthenticated);
    let path = "/api/v2/users/ada/devices";
    assert_eq!(http::backend(&world.http, &tenant.server, Method::GET, path, "").await.status, 403);
}

async fn a_credential_that_was_disabled_since_the_gateway_heard_of_it_is_refused_the_same(world: &World) {
    let tenant = world.tenant().await;
    // The gateway answers this by itself, so no service knows the credential.
    let alone = http::backend(&world.http, &tenant.server, Method::POST, "/api/v2/integrations/windows/credentials", "{}").await;
    assert_eq!((alone.status, alone.error.as_str()), (422, "INTEGRATIONS_NOT_SUPPORTED"));
    let mut credentials = CredentialServiceClient::new(world.operator(None).channel(ServiceName::Registry));
    let id = tenant.server.credential.as_ref().unwrap().id.clone();
    credentials.disable_credential(DisableCredentialRequest { relying_party_id: tenant.id.clone(), id }).await.unwrap();
    let refused = http::backend(&world.http, &tenant.server, Method::GET, "/api/v2/users/ada/devices", "").await;
    assert_eq!((refused.status, refused.error.as_str()), (403, "FORBIDDEN"));
}

async fn credentials_do_what_they_are_for_and_nothing_else(world: &World) {
    let tenant = world.tenant().await;
    // A mobile credential does not authenticate a backend.
    let token = tenant.mobile.credential.as_ref().unwrap().token.clone();
    let credential = Credential::new(&token, tenant.mobile.secret.clone()).unwrap();
    let mobile = Nodkey::connect(&world.endpoints, credential).unwrap();
    assert_eq!(mobile.user_devices("ada").await.unwrap_err().kind, Kind::Unauthenticated);
    assert_eq!(http::backend(&world.http, &tenant.mobile, Method::GET, "/api/v2/users/ada/devices", "").await.status, 403);
    // A backend is neither an operator nor another relying party.
    let mut parties = RelyingPartyServiceClient::new(tenant.backend.channel(ServiceName::Registry));
    let refused = parties.list_relying_parties(nodkey_proto::registry::v1::ListRelyingPartiesRequest::default()).await.unwrap_err();
    assert_eq!(refused.code(), tonic::Code::PermissionDenied);
    let mut credentials = CredentialServiceClient::new(tenant.backend.channel(ServiceName::Registry));
    let listed = credentials.list_credentials(ListCredentialsRequest::default()).await.unwrap().into_inner().credentials;
    assert_eq!(listed.len(), 2);
    // The right token with a wrong secret authenticates nobody.
    let token = tenant.server.credential.as_ref().unwrap().token.clone();
    let wrong = Nodkey::connect(&world.endpoints, Credential::new(&token, "f".repeat(128)).unwrap()).unwrap();
    assert_eq!(wrong.user_devices("ada").await.unwrap_err().kind, Kind::Unauthenticated);
}
