//! Calls every RPC without authentication, and with invalid input.

use std::collections::BTreeSet;

use nodkey_client::{Credential, Kind, Nodkey, OperatorKey, ServiceName};
use nodkey_kernel::{jose::b64u, random::Random};
use nodkey_proto::{
    FILE_DESCRIPTOR_SET,
    access::{ACCESS, Principal},
};
use prost_reflect::{DescriptorPool, DynamicMessage};
use serde_json::{Value, json};
use tonic::{Status, client::Grpc, codegen::http::uri::PathAndQuery};
use tonic_prost::ProstCodec;

use super::access::channel;
use crate::world::World;

scenarios!(
    no_rpc_but_the_golden_ones_answers_without_a_credential,
    bad_input_gets_its_reason_from_every_rpc,
    tokens_that_no_list_answered_and_names_nobody_has_are_refused_by_every_list,
    both_versions_of_reflection_name_the_services,
);

async fn both_versions_of_reflection_name_the_services(world: &World) {
    /// Lists the registry's services of one version.
    macro_rules! services {
        ($version:ident) => {{
            use tonic_reflection::pb::$version::{
                ServerReflectionRequest, server_reflection_client::ServerReflectionClient, server_reflection_request::MessageRequest,
                server_reflection_response::MessageResponse,
            };
            let request = MessageRequest::ListServices(String::new());
            let request = ServerReflectionRequest { host: String::new(), message_request: Some(request) };
            let mut client = ServerReflectionClient::new(channel(&world.endpoints.registry, world.endpoints.ca_certificate.as_ref()));
            let mut answers = client.server_reflection_info(tokio_stream::once(request)).await.unwrap().into_inner();
            let answer = answers.message().await.unwrap().unwrap().message_response;
            let Some(MessageResponse::ListServicesResponse(listed)) = answer else { panic!("{answer:?}") };
            listed.service.into_iter().map(|service| service.name).collect::<Vec<_>>()
        }};
    }
    for named in [services!(v1), services!(v1alpha)] {
        assert!(named.iter().any(|name| name == "nodkey.registry.v1.DeviceService"), "{named:?}");
    }
}

/// The rights that a call has.
#[derive(Clone, Copy)]
enum As {
    Backend,
    Operator,
}

use As::{Backend, Operator};

pub(super) const UNKNOWN: &str = "00000000-0000-7000-8000-000000000000";

/// Method, rights, message, reason.
const BAD: &[(&str, As, &str, &str)] = &[
    ("registry.v1.RelyingPartyService/CreateRelyingParty", Operator, r#"{"name": " "}"#, "VALIDATION_FAILED"),
    ("registry.v1.RelyingPartyService/CreateRelyingParty", Operator, r#"{"name": "Acme", "id": "x"}"#, "VALIDATION_FAILED"),
    ("registry.v1.RelyingPartyService/GetRelyingParty", Backend, r#"{"id": "UNKNOWN"}"#, "NOT_FOUND"),
    ("registry.v1.RelyingPartyService/ListRelyingParties", Operator, r#"{"pageSize": 501}"#, "VALIDATION_FAILED"),
    ("registry.v1.RelyingPartyService/UpdateRelyingParty", Operator, r#"{"id": "UNKNOWN"}"#, "NOT_FOUND"),
    (
        "registry.v1.RelyingPartyService/UpdateRelyingParty",
        Operator,
        r#"{"id": "UNKNOWN", "trucodes": {"allowedOrigins": ["x"]}}"#,
        "VALIDATION_FAILED",
    ),
    (
        "registry.v1.RelyingPartyService/UpdateRelyingParty",
        Operator,
        r#"{"id": "UNKNOWN", "bindings": {"inactiveHours": 8761}}"#,
        "VALIDATION_FAILED",
    ),
    ("registry.v1.RelyingPartyService/DisableRelyingParty", Operator, r#"{"id": "x"}"#, "NOT_FOUND"),
    ("registry.v1.CredentialService/CreateCredential", Operator, r#"{"relyingPartyId": "UNKNOWN", "kind": 1}"#, "NOT_FOUND"),
    ("registry.v1.CredentialService/CreateCredential", Operator, r#"{"relyingPartyId": "UNKNOWN"}"#, "VALIDATION_FAILED"),
    ("registry.v1.CredentialService/ListCredentials", Backend, r#"{"pageToken": "!"}"#, "VALIDATION_FAILED"),
    ("registry.v1.CredentialService/UpdateCredential", Operator, r#"{"relyingPartyId": "UNKNOWN", "id": "UNKNOWN"}"#, "NOT_FOUND"),
    ("registry.v1.CredentialService/DisableCredential", Operator, r#"{"relyingPartyId": "UNKNOWN", "id": "UNKNOWN"}"#, "NOT_FOUND"),
    ("registry.v1.CredentialService/ResolveCredential", Backend, "{}", "NOT_ALLOWED"),
    ("registry.v1.AppLinkService/SetAppLinks", Operator, r#"{"relyingPartyId": "UNKNOWN", "host": "x"}"#, "NOT_FOUND"),
    ("registry.v1.AppLinkService/SetAppLinks", Operator, r#"{"relyingPartyId": "UNKNOWN", "host": "https://x"}"#, "VALIDATION_FAILED"),
    ("registry.v1.AppLinkService/GetAppLinks", Backend, r#"{"relyingPartyId": "UNKNOWN"}"#, "NOT_FOUND"),
    ("registry.v1.AppLinkService/ResolveAppLinks", Backend, "{}", "NOT_ALLOWED"),
    ("registry.v1.RetentionService/GetRetentionPolicy", Backend, r#"{"relyingPartyId": "UNKNOWN"}"#, "NOT_FOUND"),
    ("registry.v1.RetentionService/ListRetentionPolicies", Backend, "{}", "NOT_ALLOWED"),
    ("registry.v1.RetentionService/ListRetentionPolicies", Operator, r#"{"pageSize": -1}"#, "VALIDATION_FAILED"),
    ("registry.v1.RetentionService/PutRetentionPolicy", Backend, "{}", "NOT_ALLOWED"),
    (
        "registry.v1.RetentionService/PutRetentionPolicy",
        Operator,
        r#"{"retentionPolicy": {"relyingPartyId": "UNKNOWN", "answeredDays": 30}}"#,
        "NOT_FOUND",
    ),
    (
        "registry.v1.RetentionService/PutRetentionPolicy",
        Operator,
        r#"{"retentionPolicy": {"relyingPartyId": "UNKNOWN", "answeredDays": -1}}"#,
        "VALIDATION_FAILED",
    ),
    ("registry.v1.SigningKeyService/RotateSigningKey", Operator, r#"{"algorithm": "RS256"}"#, "VALIDATION_FAILED"),
    ("registry.v1.SigningKeyService/ListSigningKeys", Operator, r#"{"pageSize": -1}"#, "VALIDATION_FAILED"),
    ("registry.v1.SigningKeyService/PublishSigningKey", Operator, "{}", "NOT_ALLOWED"),
    ("registry.v1.SigningKeyService/Sign", Backend, "{}", "NOT_ALLOWED"),
    ("trusonafication.v1.SigningKeyService/RotateSigningKey", Operator, r#"{"algorithm": "RS256"}"#, "VALIDATION_FAILED"),
    ("trusonafication.v1.SigningKeyService/RotateSigningKey", Backend, "{}", "NOT_ALLOWED"),
    ("trusonafication.v1.TrusonaficationService/SignResult", Operator, "{}", "NOT_ALLOWED"),
    ("registry.v1.OperatorService/InviteOperator", Operator, r#"{"name": "Ada"}"#, "VALIDATION_FAILED"),
    ("registry.v1.OperatorService/InviteOperator", Operator, r#"{"name": " ", "role": 3}"#, "VALIDATION_FAILED"),
    ("registry.v1.OperatorService/RenewInvitation", Operator, r#"{"id": "UNKNOWN"}"#, "NOT_FOUND"),
    ("registry.v1.OperatorService/ListOperators", Backend, "{}", "NOT_ALLOWED"),
    ("registry.v1.OperatorService/ListOperators", Operator, r#"{"pageToken": "!"}"#, "VALIDATION_FAILED"),
    ("registry.v1.OperatorService/UpdateOperator", Operator, r#"{"id": "UNKNOWN", "name": ""}"#, "VALIDATION_FAILED"),
    ("registry.v1.OperatorService/DisableOperator", Operator, r#"{"id": "x"}"#, "NOT_FOUND"),
    ("registry.v1.OperatorService/ResolveInvitation", Operator, "{}", "NOT_ALLOWED"),
    ("registry.v1.OperatorService/AcceptInvitation", Backend, "{}", "NOT_ALLOWED"),
    ("registry.v1.OperatorSessionService/CreateOperatorSession", Operator, "{}", "NOT_ALLOWED"),
    ("registry.v1.OperatorSessionService/ResolveOperatorSession", Operator, "{}", "NOT_ALLOWED"),
    ("registry.v1.OperatorSessionService/EndOperatorSession", Backend, "{}", "NOT_ALLOWED"),
    ("registry.v1.OperatorSessionService/EndOperatorSession", Operator, r#"{"id": "UNKNOWN"}"#, "NOT_FOUND"),
    ("registry.v1.OperatorSessionService/ListOperatorSessions", Operator, r#"{"operatorId": "x"}"#, "VALIDATION_FAILED"),
    ("registry.v1.OperatorSessionService/ListOperatorSessions", Backend, "{}", "NOT_ALLOWED"),
    ("registry.v1.ConfirmationService/CreateConfirmation", Operator, r#"{"method": "x"}"#, "NOT_ALLOWED"),
    ("registry.v1.ConfirmationService/CreateConfirmation", Backend, "{}", "NOT_ALLOWED"),
    ("registry.v1.ConfirmationService/GetConfirmation", Operator, r#"{"id": "UNKNOWN"}"#, "NOT_ALLOWED"),
    ("registry.v1.AuditService/ListAuditEntries", Operator, r#"{"operatorId": "x"}"#, "VALIDATION_FAILED"),
    ("registry.v1.AuditService/ListAuditRecords", Operator, r#"{"relyingPartyId": "x"}"#, "VALIDATION_FAILED"),
    ("registry.v1.AuditService/ListAuditRecords", Backend, r#"{"relyingPartyId": "UNKNOWN"}"#, "NOT_FOUND"),
    ("registry.v1.AuditService/CreateAuditEntry", Operator, "{}", "NOT_ALLOWED"),
    ("registry.v1.AuditService/CompleteAuditEntry", Backend, "{}", "NOT_ALLOWED"),
    ("registry.v1.DeviceService/CreateDeviceChallenge", Backend, "{}", "NOT_ALLOWED"),
    ("registry.v1.DeviceService/RegisterDevice", Backend, "{}", "NOT_ALLOWED"),
    ("registry.v1.DeviceService/ResolveDevice", Operator, "{}", "NOT_ALLOWED"),
    ("registry.v1.DeviceService/UpdateDevice", Backend, "{}", "NOT_ALLOWED"),
    ("registry.v1.DeviceService/IssueDeviceIdentifierJwt", Backend, "{}", "NOT_ALLOWED"),
    ("registry.v1.DeviceService/GetDevice", Backend, r#"{"deviceId": "x"}"#, "NOT_FOUND"),
    ("registry.v1.DeviceService/ListDevices", Backend, r#"{"pageSize": 501}"#, "VALIDATION_FAILED"),
    ("registry.v1.DeviceService/ApproveDeviceKeys", Backend, r#"{"deviceId": "x", "thumbprints": ["x"]}"#, "NOT_FOUND"),
    ("registry.v1.DeviceService/RetireDevice", Backend, r#"{"deviceId": "x"}"#, "NOT_FOUND"),
    ("registry.v1.IdentityDocumentService/RegisterIdentityDocument", Backend, "{}", "VALIDATION_FAILED"),
    (
        "registry.v1.IdentityDocumentService/RegisterIdentityDocument",
        Backend,
        r#"{"deviceId": "UNKNOWN", "hash": "h", "type": 1}"#,
        "NOT_FOUND",
    ),
    ("registry.v1.IdentityDocumentService/GetIdentityDocument", Backend, r#"{"id": "x"}"#, "NOT_FOUND"),
    ("registry.v1.IdentityDocumentService/ListIdentityDocuments", Backend, "{}", "VALIDATION_FAILED"),
    ("registry.v1.IdentityDocumentService/SetVerificationStatus", Backend, r#"{"id": "UNKNOWN", "verificationStatus": 3}"#, "NOT_FOUND"),
    ("registry.v1.IdentityDocumentService/SetVerificationStatus", Backend, r#"{"id": "UNKNOWN"}"#, "VALIDATION_FAILED"),
    ("binding.v1.BindingService/CreateBinding", Backend, "{}", "VALIDATION_FAILED"),
    ("binding.v1.BindingService/CreateBinding", Backend, r#"{"userIdentifier": "ada", "deviceIdentifier": "x"}"#, "DEVICE_NOT_FOUND"),
    ("binding.v1.BindingService/ActivateBinding", Backend, r#"{"id": "x"}"#, "NOT_FOUND"),
    ("binding.v1.BindingService/ActivateBinding", Backend, "{}", "VALIDATION_FAILED"),
    ("binding.v1.BindingService/DeactivateBinding", Backend, r#"{"id": "UNKNOWN"}"#, "NOT_FOUND"),
    ("binding.v1.BindingService/GetBinding", Backend, r#"{"id": "UNKNOWN"}"#, "NOT_FOUND"),
    ("binding.v1.BindingService/GetDeviceBinding", Backend, r#"{"deviceIdentifier": "x"}"#, "NOT_FOUND"),
    ("binding.v1.BindingService/ListBindings", Backend, r#"{"pageSize": 501}"#, "VALIDATION_FAILED"),
    ("binding.v1.UserService/DeactivateUser", Backend, r#"{"userIdentifier": "nobody"}"#, "USER_NOT_FOUND"),
    ("binding.v1.BindingService/TransferBinding", Backend, "{}", "NOT_ALLOWED"),
    ("registry.v1.DeviceService/VerifyTransfer", Operator, "{}", "NOT_ALLOWED"),
    ("binding.v1.UserService/DeactivateUser", Backend, "{}", "VALIDATION_FAILED"),
    ("binding.v1.UserService/ListUserDevices", Backend, "{}", "VALIDATION_FAILED"),
    ("binding.v1.UserService/ListUsers", Backend, r#"{"pageSize": 501}"#, "VALIDATION_FAILED"),
    ("binding.v1.UserService/ListUsers", Backend, r#"{"pageToken": "x"}"#, "VALIDATION_FAILED"),
    ("binding.v1.UserService/ListUsers", Backend, r#"{"prefix": "a\u0000"}"#, "VALIDATION_FAILED"),
    ("binding.v1.UserService/FreezeUser", Backend, r#"{"userIdentifier": "nobody"}"#, "USER_NOT_FOUND"),
    ("binding.v1.UserService/FreezeUser", Operator, "{}", "RELYING_PARTY_REQUIRED"),
    ("binding.v1.UserService/FreezeUser", Backend, r#"{"userIdentifier": "ada", "note": "a\u0007b"}"#, "VALIDATION_FAILED"),
    ("binding.v1.UserService/FreezeDeviceUser", Backend, "{}", "NOT_ALLOWED"),
    ("binding.v1.UserService/ReleaseUser", Backend, r#"{"userIdentifier": "nobody"}"#, "USER_NOT_FOUND"),
    ("binding.v1.UserService/GetUser", Backend, "{}", "VALIDATION_FAILED"),
    ("binding.v1.UserService/GetUser", Backend, r#"{"userIdentifier": "nobody"}"#, "USER_NOT_FOUND"),
    ("binding.v1.IdentifierService/RegisterIdentifier", Backend, r#"{"identifier": "ada"}"#, "VALIDATION_FAILED"),
    (
        "binding.v1.IdentifierService/RegisterIdentifier",
        Backend,
        r#"{"identifier": "ada", "trusonaId": "1", "integrationId": "x"}"#,
        "VALIDATION_FAILED",
    ),
    ("binding.v1.IdentifierService/ListIdentifiers", Backend, "{}", "VALIDATION_FAILED"),
    ("binding.v1.ImportService/ImportUsers", Backend, "{}", "NOT_ALLOWED"),
    ("trusonafication.v1.TrusonaficationService/CreateTrusonafication", Backend, "{}", "VALIDATION_FAILED"),
    (
        "trusonafication.v1.TrusonaficationService/CreateTrusonafication",
        Backend,
        r#"{"userIdentifier": "nobody", "action": "a", "resource": "r"}"#,
        "USER_HAS_NO_ACTIVE_DEVICE",
    ),
    ("trusonafication.v1.TrusonaficationService/GetTrusonafication", Backend, r#"{"id": "UNKNOWN"}"#, "NOT_FOUND"),
    (
        "trusonafication.v1.TrusonaficationService/GetTrusonafication",
        Backend,
        r#"{"id": "UNKNOWN", "waitSeconds": 61}"#,
        "VALIDATION_FAILED",
    ),
    ("trusonafication.v1.TrusonaficationService/WatchTrusonafication", Backend, r#"{"id": "UNKNOWN"}"#, "NOT_FOUND"),
    ("trusonafication.v1.TrusonaficationService/WatchTrusonafications", Operator, "{}", "RELYING_PARTY_REQUIRED"),
    ("trusonafication.v1.TrusonaficationService/ListTrusonafications", Backend, r#"{"status": 99}"#, "VALIDATION_FAILED"),
    ("trusonafication.v1.TrusonaficationService/CancelTrusonafication", Backend, r#"{"id": "x"}"#, "NOT_FOUND"),
    ("trusonafication.v1.TrusonaficationService/GetEvidence", Backend, r#"{"id": "x"}"#, "NOT_FOUND"),
    ("trusonafication.v1.TrusonaficationService/ListChanges", Backend, "{}", "NOT_ALLOWED"),
    ("trusonafication.v1.TrusonaficationService/ListPending", Backend, "{}", "NOT_ALLOWED"),
    ("trusonafication.v1.TrusonaficationService/Respond", Operator, "{}", "NOT_ALLOWED"),
    ("trusonafication.v1.TrusonaficationService/CountTrusonafications", Backend, "{}", "VALIDATION_FAILED"),
    (
        "trusonafication.v1.TrusonaficationService/CountTrusonafications",
        Backend,
        r#"{"createdAfter": "2020-01-01T00:00:00Z"}"#,
        "VALIDATION_FAILED",
    ),
    ("trusonafication.v1.PromptService/GetPromptBudget", Backend, "{}", "VALIDATION_FAILED"),
    ("trusonafication.v1.PromptService/ReleasePromptHold", Backend, "{}", "VALIDATION_FAILED"),
    ("trusonafication.v1.PromptService/ResetPromptBudget", Backend, r#"{"userIdentifier": "ada"}"#, "NOT_ALLOWED"),
    ("trusonafication.v1.TruCodeService/CreateTruCode", Backend, "{}", "NOT_ALLOWED"),
    ("trusonafication.v1.TruCodeService/GetTruCodeStatus", Backend, "{}", "NOT_ALLOWED"),
    ("trusonafication.v1.TruCodeService/GetTruCodeContext", Operator, "{}", "NOT_ALLOWED"),
    ("trusonafication.v1.TruCodeService/PairTruCode", Backend, "{}", "NOT_ALLOWED"),
    ("trusonafication.v1.TruCodeService/GetPairing", Backend, r#"{"id": "x"}"#, "NOT_FOUND"),
    ("notification.v1.DeliveryService/ListDeliveries", Backend, r#"{"trusonaficationId": "x"}"#, "VALIDATION_FAILED"),
    ("notification.v1.DeliveryService/GetDelivery", Backend, r#"{"id": "UNKNOWN"}"#, "NOT_FOUND"),
    ("notification.v1.DeliveryService/Redeliver", Backend, r#"{"id": "x"}"#, "NOT_FOUND"),
    ("notification.v1.DeliveryService/RedeliverMany", Backend, "{}", "VALIDATION_FAILED"),
    (
        "notification.v1.DeliveryService/RedeliverMany",
        Backend,
        r#"{"since": "2026-01-01T00:00:00Z", "endpointId": "UNKNOWN"}"#,
        "NOT_FOUND",
    ),
    ("notification.v1.DeliveryService/WatchDeliveries", Backend, r#"{"endpointId": "UNKNOWN"}"#, "NOT_FOUND"),
    ("notification.v1.DeliveryService/WatchDeliveries", Backend, r#"{"createdAfter": "2026-01-01T00:00:00Z"}"#, "VALIDATION_FAILED"),
    ("notification.v1.EndpointService/GetEndpoint", Backend, r#"{"id": "x"}"#, "NOT_FOUND"),
    ("notification.v1.EndpointService/UpdateEndpoint", Backend, r#"{"id": "UNKNOWN", "enabled": false}"#, "NOT_FOUND"),
    ("notification.v1.EndpointService/UpdateEndpoint", Backend, r#"{"id": "UNKNOWN", "url": "x"}"#, "VALIDATION_FAILED"),
    ("notification.v1.EndpointService/TestEndpoint", Backend, r#"{"id": "UNKNOWN"}"#, "NOT_FOUND"),
    ("notification.v1.EndpointService/RotateEndpointKeys", Backend, r#"{"id": "UNKNOWN"}"#, "NOT_FOUND"),
    ("notification.v1.EndpointService/RotateEndpointKeys", Backend, r#"{"id": "UNKNOWN", "overlapSeconds": 604801}"#, "VALIDATION_FAILED"),
    ("notification.v1.EndpointService/CreateEndpoint", Backend, r#"{"url": "http://example.com"}"#, "VALIDATION_FAILED"),
    (
        "notification.v1.EndpointService/CreateEndpoint",
        Backend,
        r#"{"url": "https://example.com", "eventTypes": ["x"]}"#,
        "VALIDATION_FAILED",
    ),
    ("notification.v1.EndpointService/ListEndpoints", Backend, r#"{"pageSize": 501}"#, "VALIDATION_FAILED"),
    ("notification.v1.PushConfigurationService/PutPushConfiguration", Backend, "{}", "VALIDATION_FAILED"),
    ("notification.v1.PushConfigurationService/PutPushConfiguration", Backend, r#"{"apns": {"privateKey": "x"}}"#, "VALIDATION_FAILED"),
    ("notification.v1.PushConfigurationService/PutPushConfiguration", Backend, r#"{"fcm": {"serviceAccount": "{}"}}"#, "VALIDATION_FAILED"),
    ("notification.v1.PushConfigurationService/PutPushConfiguration", Backend, r#"{"webpush": {"subject": "ada"}}"#, "VALIDATION_FAILED"),
    ("notification.v1.PushConfigurationService/DeletePushConfiguration", Backend, "{}", "VALIDATION_FAILED"),
    ("notification.v1.PushRegistrationService/GetPushRegistration", Backend, r#"{"deviceId": "x"}"#, "NOT_FOUND"),
    ("notification.v1.PushRegistrationService/GetWebPushKey", Backend, "{}", "NOT_ALLOWED"),
    ("notification.v1.PushRegistrationService/PutPushRegistration", Backend, "{}", "NOT_ALLOWED"),
    ("notification.v1.PushRegistrationService/DeletePushRegistration", Operator, "{}", "NOT_ALLOWED"),
    ("registry.v1.ReplayService/ReplayEvents", Operator, "{}", "VALIDATION_FAILED"),
    ("registry.v1.ReplayService/ReplayEvents", Operator, r#"{"since": "2020-01-01T00:00:00Z"}"#, "VALIDATION_FAILED"),
    ("binding.v1.ReplayService/ReplayEvents", Operator, "{}", "VALIDATION_FAILED"),
    ("binding.v1.ReplayService/ReplayEvents", Operator, r#"{"since": "2020-01-01T00:00:00Z"}"#, "VALIDATION_FAILED"),
    ("trusonafication.v1.ReplayService/ReplayEnds", Operator, "{}", "VALIDATION_FAILED"),
    ("trusonafication.v1.ReplayService/ReplayEnds", Operator, r#"{"since": "2020-01-01T00:00:00Z", "cursor": "x"}"#, "VALIDATION_FAILED"),
    ("trusonafication.v1.ReplayService/ReplayEnds", Operator, r#"{"since": "2020-01-01T00:00:00Z"}"#, "VALIDATION_FAILED"),
    ("status.v1.DeadLetterService/ListDeadLetters", Operator, "{}", "VALIDATION_FAILED"),
    ("status.v1.DeadLetterService/ListDeadLetters", Operator, r#"{"service": "gateway"}"#, "VALIDATION_FAILED"),
    ("status.v1.DeadLetterService/GetDeadLetter", Operator, "{}", "VALIDATION_FAILED"),
    (
        "status.v1.DeadLetterService/GetDeadLetter",
        Operator,
        r#"{"name": {"consumer": "registry_device_replaced", "eventId": "UNKNOWN"}}"#,
        "NOT_FOUND",
    ),
    ("status.v1.DeadLetterService/ReplayDeadLetters", Operator, "{}", "VALIDATION_FAILED"),
    ("status.v1.DeadLetterService/ReplayDeadLetters", Operator, r#"{"names": [{"consumer": "registry_x"}]}"#, "VALIDATION_FAILED"),
    ("status.v1.DeadLetterService/DropDeadLetters", Operator, "{}", "VALIDATION_FAILED"),
    (
        "status.v1.DeadLetterService/DropDeadLetters",
        Operator,
        r#"{"names": [{"consumer": "registry_x", "eventId": "UNKNOWN"}], "note": " "}"#,
        "VALIDATION_FAILED",
    ),
    ("status.v1.VaultService/Reseal", Backend, "{}", "NOT_ALLOWED"),
    ("status.v1.VaultService/CountSealed", Backend, "{}", "NOT_ALLOWED"),
];

/// Methods that no input can make fail: they have none, or an unknown name is simply absent afterwards.
const HARMLESS: [&str; 6] = [
    "status.v1.StatusService/GetStatus",
    "registry.v1.SigningKeyService/GetJwks",
    "registry.v1.SigningKeyService/GetJwksArchive",
    "trusonafication.v1.TrusonaficationService/WatchResults",
    "notification.v1.EndpointService/DeleteEndpoint",
    "notification.v1.PushConfigurationService/ListPushConfigurations",
];

pub(super) fn service(path: &str) -> ServiceName {
    match path.split('.').next().unwrap() {
        // Every process serves its own status.
        "registry" | "status" => ServiceName::Registry,
        "binding" => ServiceName::Binding,
        "trusonafication" => ServiceName::Trusonafication,
        "notification" => ServiceName::Notification,
        other => panic!("a service {other}"),
    }
}

/// Calls a method by its name, and ignores the contents of the response.
pub(super) async fn call(client: &Nodkey, pool: &DescriptorPool, method: &str, json: &str) -> Result<(), Status> {
    let path = format!("nodkey.{method}");
    let (service_name, name) = path.split_once('/').unwrap();
    let descriptor = pool.get_service_by_name(service_name).unwrap().methods().find(|m| m.name() == name).unwrap();
    let message = DynamicMessage::deserialize(descriptor.input(), &mut serde_json::Deserializer::from_str(json)).unwrap();
    let mut grpc = Grpc::new(client.channel(service(method)));
    grpc.ready().await.map_err(|e| Status::unavailable(e.to_string()))?;
    let codec = ProstCodec::<DynamicMessage, ()>::default();
    let path = PathAndQuery::try_from(format!("/{path}")).unwrap();
    grpc.server_streaming(tonic::Request::new(message), path, codec).await?.into_inner().message().await.map(|_| ())
}

async fn no_rpc_but_the_golden_ones_answers_without_a_credential(world: &World) {
    let golden: BTreeSet<_> = include_str!("../golden/open.txt").lines().filter(|line| line.starts_with("/nodkey.")).collect();
    let open: BTreeSet<_> = ACCESS.iter().filter(|(_, allow)| allow.contains(&Principal::Public)).map(|(path, _)| *path).collect();
    assert_eq!(open, golden, "an RPC needs no credential; if that is meant, say so in golden/open.txt");
    let pool = DescriptorPool::decode(FILE_DESCRIPTOR_SET).unwrap();
    // A key that nobody has.
    let key = OperatorKey::generate(&Random::system());
    for stranger in [Credential::operator(key, None), Credential::symmetric_operator("no such key", None)] {
        let nobody = Nodkey::connect(&world.endpoints, stranger).unwrap();
        for (path, _) in ACCESS {
            let refused = call(&nobody, &pool, path.strip_prefix("/nodkey.").unwrap(), "{}").await;
            let code = refused.err().map(|status| status.code());
            assert_eq!(code, if open.contains(path) { None } else { Some(tonic::Code::Unauthenticated) }, "{path}");
        }
    }
}

async fn bad_input_gets_its_reason_from_every_rpc(world: &World) {
    let pool = DescriptorPool::decode(FILE_DESCRIPTOR_SET).unwrap();
    let tenant = world.tenant().await;
    let operator = world.operator(None);
    for (method, who, json, reason) in BAD {
        let client = match who {
            Backend => &tenant.backend,
            Operator => &operator,
        };
        let refused = call(client, &pool, method, &json.replace("UNKNOWN", UNKNOWN)).await.unwrap_err();
        let refused = nodkey_client::Error::from(refused);
        assert_eq!(refused.reason, *reason, "{method} {json}: {refused}");
        assert!(refused.kind != Kind::Internal, "{method} {json}");
        assert!(*reason != "VALIDATION_FAILED" || !refused.field_violations.is_empty(), "{method} {json} names the field");
    }
    let covered: BTreeSet<_> = BAD.iter().map(|(method, ..)| *method).chain(HARMLESS).collect();
    let all: BTreeSet<_> = ACCESS.iter().map(|(path, _)| path.strip_prefix("/nodkey.").unwrap()).collect();
    assert_eq!(covered, all, "every RPC is here");
}

/// Page tokens that no list issued: extreme numbers, invalid ids, text that no database accepts.
const TOKENS: [&str; 8] = [
    "9223372036854775807|00000000-0000-7000-8000-000000000000",
    "-9223372036854775808|00000000-0000-7000-8000-000000000000",
    "99999999999999999999|00000000-0000-7000-8000-000000000000",
    "-1|00000000-0000-7000-8000-000000000000",
    "1700000000000000|no UUID",
    "1700000000000000|a\0b",
    "1700000000000000|",
    "|",
];

async fn tokens_that_no_list_answered_and_names_nobody_has_are_refused_by_every_list(world: &World) {
    let pool = DescriptorPool::decode(FILE_DESCRIPTOR_SET).unwrap();
    let (tenant, operator) = (world.tenant().await, world.operator(None));
    let mut lists = 0;
    for (path, allow) in ACCESS {
        let method = path.strip_prefix("/nodkey.").unwrap();
        let (service_name, name) = path.strip_prefix('/').unwrap().split_once('/').unwrap();
        let input = pool.get_service_by_name(service_name).unwrap().methods().find(|m| m.name() == name).unwrap().input();
        let client = match allow {
            allow if allow.contains(&Principal::Backend) => &tenant.backend,
            allow if [Principal::Auditor, Principal::Operator, Principal::Owner].iter().any(|who| allow.contains(who)) => &operator,
            _ => continue,
        };
        if input.get_field_by_name("page_token").is_none() {
            continue;
        }
        lists += 1;
        let user = if name == "ListIdentityDocuments" { json!("ada") } else { json!("") };
        let with_user = input.get_field_by_name("user_identifier").is_some();
        let mut requests: Vec<Value> = TOKENS.iter().map(|token| json!({"pageToken": b64u(token.as_bytes())})).collect();
        requests.extend([i32::MIN, -1, 501, i32::MAX].map(|size| json!({"pageSize": size})));
        if with_user {
            for request in &mut requests {
                request["userIdentifier"] = user.clone();
            }
            requests.push(json!({"userIdentifier": "a\0b"}));
        }
        for request in requests {
            let refused = call(client, &pool, method, &request.to_string()).await.unwrap_err();
            let refused = nodkey_client::Error::from(refused);
            assert_eq!(refused.reason, "VALIDATION_FAILED", "{method} {request}: {refused}");
        }
    }
    assert!(lists >= 10, "{lists}");
    let method = "trusonafication.v1.TrusonaficationService/ListTrusonafications";
    let refused = call(&tenant.backend, &pool, method, r#"{"deviceIdentifier": "a\u0000b"}"#).await.unwrap_err();
    assert_eq!(nodkey_client::Error::from(refused).reason, "VALIDATION_FAILED");
    let extremes = r#"{"createdAfter": "0001-01-01T00:00:00Z", "createdBefore": "9999-12-31T23:59:59Z"}"#;
    call(&tenant.backend, &pool, method, extremes).await.unwrap();
    let method = "notification.v1.DeliveryService/RedeliverMany";
    call(&tenant.backend, &pool, method, r#"{"since": "0001-01-01T00:00:00Z", "until": "9999-12-31T23:59:59Z"}"#).await.unwrap();
}
