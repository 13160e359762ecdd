//! Who gets through, and who does not.

#![expect(clippy::unwrap_used, clippy::panic, reason = "a test that cannot go on fails")]

use std::sync::{Arc, Mutex, OnceLock};

use axum::{Router, body::Body, middleware, routing::post};
use http::{Request, header::AUTHORIZATION};
use nodkey_kernel::{
    egress::Egress,
    id::{CredentialId, RelyingPartyId},
    jose::hs256,
    random::Random,
    service_key::{ServiceKey, ServiceName},
    time::{Clock, Timestamp},
};
use nodkey_proto::{
    access::{ACCESS, Principal, owner},
    notification::v1::{ApnsCredentials, PutPushConfigurationRequest, put_push_configuration_request::Credentials},
    registry::v1::{
        AuditEntry, CompleteAuditEntryRequest, CompleteAuditEntryResponse, CreateAuditEntryRequest, CreateAuditEntryResponse,
        CreateCredentialRequest, CreateCredentialResponse, CreateOperatorSessionRequest, Credential, CredentialKind,
        DisableCredentialRequest, EndOperatorSessionRequest, EndOperatorSessionResponse, ListAuditEntriesRequest, ListAuditEntriesResponse,
        ListCredentialsRequest, ListCredentialsResponse, Operator, OperatorSession, ResolveCredentialRequest, ResolveCredentialResponse,
        ResolveOperatorSessionRequest, Role,
        audit_service_server::{AuditService, AuditServiceServer},
        credential_service_server::{CredentialService, CredentialServiceServer},
        operator_session_service_server::{OperatorSessionService, OperatorSessionServiceServer},
    },
};
use nodkey_runtime::{
    Channel, Deployment, Peers,
    auth::{self, Authenticator},
    mount, service_token,
    token::Claims,
};
use prost::Message as _;
use tonic::{Code, Response, Status};
use tower::ServiceExt as _;

const NOW: i64 = 1_700_000_000;
const BACKEND: &str = "/nodkey.binding.v1.BindingService/CreateBinding";
const SERVICE: &str = "/nodkey.registry.v1.SigningKeyService/Sign";
const OPERATOR: &str = "/nodkey.registry.v1.RelyingPartyService/CreateRelyingParty";
const PUBLIC: &str = "/nodkey.registry.v1.SigningKeyService/GetJwks";

/// A registry that knows four credentials by the last digit of their id.
struct Registry(RelyingPartyId);

#[tonic::async_trait]
impl CredentialService for Registry {
    async fn resolve_credential(
        &self,
        request: tonic::Request<ResolveCredentialRequest>,
    ) -> Result<Response<ResolveCredentialResponse>, Status> {
        let id = request.into_inner().credential_id;
        let (kind, disabled) = match id.chars().last() {
            Some('1') => (CredentialKind::Server, false),
            Some('2') => (CredentialKind::Mobile, false),
            Some('3') => (CredentialKind::Server, true),
            _ => return Err(Status::not_found("unknown")),
        };
        Ok(Response::new(ResolveCredentialResponse {
            relying_party_id: self.0.to_string(),
            kind: kind.into(),
            secret: "secret".into(),
            disabled,
            token_sha256: vec![].into(),
            signatures: None,
        }))
    }

    async fn create_credential(&self, _: tonic::Request<CreateCredentialRequest>) -> Result<Response<CreateCredentialResponse>, Status> {
        Err(Status::unimplemented("not needed"))
    }

    async fn list_credentials(&self, _: tonic::Request<ListCredentialsRequest>) -> Result<Response<ListCredentialsResponse>, Status> {
        Err(Status::unimplemented("not needed"))
    }

    async fn disable_credential(&self, _: tonic::Request<DisableCredentialRequest>) -> Result<Response<Credential>, Status> {
        Err(Status::unimplemented("not needed"))
    }
}

/// Sessions of an auditor, an operator and an owner by the last digit of their id.
struct Sessions;

#[tonic::async_trait]
impl OperatorSessionService for Sessions {
    async fn resolve_operator_session(
        &self,
        request: tonic::Request<ResolveOperatorSessionRequest>,
    ) -> Result<Response<OperatorSession>, Status> {
        let id = request.into_inner().id;
        let role = match id.chars().last() {
            Some('1') => Role::Auditor,
            Some('2') => Role::Operator,
            Some('3') => Role::Owner,
            _ => return Err(Status::not_found("over")),
        };
        let operator = Operator { id: id.clone(), name: "Ada".into(), role: role.into(), ..Operator::default() };
        let expires_at = Some(nodkey_proto::convert::timestamp(Timestamp::from_seconds(NOW + 60)));
        Ok(Response::new(OperatorSession { id, operator: Some(operator), secret: "secret".into(), expires_at }))
    }

    async fn create_operator_session(&self, _: tonic::Request<CreateOperatorSessionRequest>) -> Result<Response<OperatorSession>, Status> {
        Err(Status::unimplemented("not needed"))
    }

    async fn end_operator_session(
        &self,
        _: tonic::Request<EndOperatorSessionRequest>,
    ) -> Result<Response<EndOperatorSessionResponse>, Status> {
        Err(Status::unimplemented("not needed"))
    }
}

/// An audit log that can be full.
#[derive(Clone, Default)]
struct Log(Arc<Mutex<(bool, Vec<AuditEntry>)>>);

#[tonic::async_trait]
impl AuditService for Log {
    async fn create_audit_entry(
        &self,
        request: tonic::Request<CreateAuditEntryRequest>,
    ) -> Result<Response<CreateAuditEntryResponse>, Status> {
        let (full, entries) = &mut *self.0.lock().unwrap();
        if *full {
            return Err(Status::unavailable("full"));
        }
        entries.push(request.into_inner().entry.unwrap());
        Ok(Response::new(CreateAuditEntryResponse { id: (entries.len() - 1).to_string() }))
    }

    async fn complete_audit_entry(
        &self,
        request: tonic::Request<CompleteAuditEntryRequest>,
    ) -> Result<Response<CompleteAuditEntryResponse>, Status> {
        let CompleteAuditEntryRequest { id, outcome } = request.into_inner();
        self.0.lock().unwrap().1[id.parse::<usize>().unwrap()].outcome = outcome;
        Ok(Response::new(CompleteAuditEntryResponse {}))
    }

    async fn list_audit_entries(&self, _: tonic::Request<ListAuditEntriesRequest>) -> Result<Response<ListAuditEntriesResponse>, Status> {
        Err(Status::unimplemented("not needed"))
    }
}

struct World(Router, Log);

impl World {
    fn new() -> Self {
        Self::with(None)
    }

    fn with(internal_key: Option<&str>) -> Self {
        let clock = Clock::manual(Timestamp::from_seconds(NOW));
        let keys = ServiceKey::all(&Random::seeded(1));
        let deployment = Deployment {
            service_keys: keys.iter().collect(),
            internal_key: internal_key.map(Into::into),
            operator_keys: vec!["operator-key".into(), "previous-operator-key".into()],
            ..Deployment::new("http://gw", Egress::new(true))
        };
        let deployment = Arc::new(deployment.seen_by(&service_key(ServiceName::Registry)));
        let relying_party = RelyingPartyId::generate(clock.now(), &Random::seeded(1));
        let routes = Arc::new(OnceLock::new());
        let channel = Channel::InProcess(Arc::clone(&routes));
        let peers = Peers::new(ServiceName::Registry, &deployment, &clock, |_| Ok(channel.clone())).unwrap();
        let authenticator = Authenticator::new(deployment, peers.registry(), clock);
        let log = Log::default();
        // Whoever reaches it is let through; the registry answers behind the same door.
        let registry = mount(Router::new(), CredentialServiceServer::new(Registry(relying_party)));
        let registry = mount(mount(registry, OperatorSessionServiceServer::new(Sessions)), AuditServiceServer::new(log.clone()));
        let routes_behind = registry
            .fallback(post(|| async { Status::ok("").into_http::<Body>() }))
            .layer(middleware::from_fn_with_state(authenticator, auth::middleware));
        routes.set(routes_behind.clone()).unwrap();
        Self(routes_behind, log)
    }

    async fn call(&self, path: &str, authorization: Option<&str>) -> Code {
        self.send(path, authorization, Body::empty()).await
    }

    async fn send(&self, path: &str, authorization: Option<&str>, body: Body) -> Code {
        let mut request = Request::post(path).header("content-type", "application/grpc");
        if let Some(value) = authorization {
            request = request.header(AUTHORIZATION, value);
        }
        let response = self.0.clone().oneshot(request.body(body).unwrap()).await.unwrap();
        Status::from_header_map(response.headers()).map_or(Code::Unknown, |status| status.code())
    }
}

fn credential(last: u8) -> String {
    let text = format!("018bcfe5-6800-7000-8000-00000000000{last}");
    text.parse::<CredentialId>().unwrap().to_string()
}

fn session(last: u8) -> String {
    format!("operator/{}", credential(last))
}

fn bearer(kid: &str, secret: &str, aud: &str, exp: i64) -> String {
    let claims = Claims { aud: aud.into(), exp, iss: Some("binding".into()), rp: None };
    format!("Bearer {}", hs256::sign(Some(kid), &claims, secret.as_bytes()))
}

fn service_key(name: ServiceName) -> ServiceKey {
    ServiceKey::all(&Random::seeded(1)).into_iter().find(|key| key.name() == name).unwrap()
}

/// What a service shows another.
fn service(name: ServiceName, to: ServiceName, exp: i64) -> String {
    let claims = service_token::Claims { iss: name.to_string(), aud: format!("nodkey/{to}"), exp, rp: None };
    format!("Bearer {}", service_key(name).sign(service_token::TYP, &claims))
}

#[tokio::test]
async fn each_principal_reaches_its_own_methods_and_no_others() {
    let world = World::new();
    let backend = bearer(&credential(1), "secret", "nodkey", NOW + 30);
    // Each role may do what those before it may.
    let roles = [Principal::Auditor, Principal::Operator, Principal::Owner];
    let operators = [
        (1, bearer(&session(1), "secret", "nodkey", NOW + 30)),
        (2, bearer(&session(2), "secret", "nodkey", NOW + 30)),
        (3, bearer(&session(3), "secret", "nodkey", NOW + 30)),
        (3, bearer("operator", "operator-key", "nodkey", NOW + 30)),
    ];
    let people = operators.iter().map(|(rank, token)| (&roles[..*rank], token));
    let callers: Vec<_> = [(&[Principal::Backend][..], &backend)].into_iter().chain(people).collect();
    let behind = ["CredentialService", "OperatorSessionService", "AuditService"];
    for (path, allow) in ACCESS.iter().filter(|(path, _)| !behind.iter().any(|service| path.contains(service))) {
        for (principals, token) in &callers {
            let may = allow.iter().any(|allowed| *allowed == Principal::Public || principals.contains(allowed));
            let expected = if may { Code::Ok } else { Code::PermissionDenied };
            assert_eq!(world.call(path, Some(token)).await, expected, "{principals:?} {path}");
        }
        for name in ServiceName::ALL.iter().copied() {
            let Some(owner) = owner(path) else { continue };
            let may = allow.iter().any(|allowed| [Principal::Public, Principal::Service(name)].contains(allowed));
            let expected = if may { Code::Ok } else { Code::PermissionDenied };
            assert_eq!(world.call(path, Some(&service(name, owner, NOW + 30))).await, expected, "{name} {path}");
        }
        let expected = if allow.contains(&Principal::Public) { Code::Ok } else { Code::Unauthenticated };
        assert_eq!(world.call(path, None).await, expected, "nobody {path}");
    }
}

#[tokio::test]
async fn a_token_that_is_wrong_in_any_way_is_refused() {
    let world = World::new();
    let good = bearer(&credential(1), "secret", "nodkey", NOW + 60);
    assert_eq!(world.call(BACKEND, Some(&good)).await, Code::Ok);
    for (what, token) in [
        ("expired", bearer(&credential(1), "secret", "nodkey", NOW - 5)),
        ("lives too long", bearer(&credential(1), "secret", "nodkey", NOW + 66)),
        ("for another deployment", bearer(&credential(1), "secret", "other", NOW + 30)),
        ("signed with another secret", bearer(&credential(1), "wrong", "nodkey", NOW + 30)),
        ("of a mobile credential", bearer(&credential(2), "secret", "nodkey", NOW + 30)),
        ("of a disabled credential", bearer(&credential(3), "secret", "nodkey", NOW + 30)),
        ("of an unknown credential", bearer(&credential(4), "secret", "nodkey", NOW + 30)),
        ("of no credential at all", bearer("nonsense", "secret", "nodkey", NOW + 30)),
        ("of no session", bearer(&session(4), "secret", "nodkey", NOW + 30)),
        ("of a session, forged", bearer(&session(3), "wrong", "nodkey", NOW + 30)),
        ("of a session that is none", bearer("operator/nonsense", "secret", "nodkey", NOW + 30)),
        ("of the operator, forged", bearer("operator", "secret", "nodkey", NOW + 30)),
        ("of a service by the key of before, which this deployment has not", bearer("internal", "", "nodkey", NOW + 30)),
        ("no token", "Bearer x".into()),
        ("another scheme", "Basic x".into()),
    ] {
        assert_eq!(world.call(BACKEND, Some(&token)).await, Code::Unauthenticated, "{what}");
    }
}

#[tokio::test]
async fn a_service_is_nobody_else_and_its_token_is_for_one_other() {
    use ServiceName::{Binding, Gateway, Notification, Registry, Trusonafication};
    let world = World::new();
    let good = service(Trusonafication, Registry, NOW + 60);
    for _ in 0..2 {
        assert_eq!(world.call(SERVICE, Some(&good)).await, Code::Ok);
    }
    let signed = |typ: &str, iss: &str, key: &ServiceKey| {
        let claims = service_token::Claims { iss: iss.into(), aud: "nodkey/registry".into(), exp: NOW + 30, rp: None };
        format!("Bearer {}", key.sign(typ, &claims))
    };
    let own = service_key(Trusonafication);
    let stranger = ServiceKey::generate(Trusonafication, &Random::seeded(2));
    // HS256 with a public key as the secret, by its name: what takes any algorithm takes this.
    let confused = bearer(own.kid(), &own.public().to_value().to_string(), "nodkey/registry", NOW + 30);
    for (what, token) in [
        ("expired", service(Trusonafication, Registry, NOW - 5)),
        ("lives too long", service(Trusonafication, Registry, NOW + 66)),
        ("shown to another service than it was made for", service(Trusonafication, Binding, NOW + 30)),
        ("names another service than the one whose key signed", signed(service_token::TYP, "notification", &own)),
        ("by a key that nobody knows", signed(service_token::TYP, "trusonafication", &stranger)),
        ("of another type", signed("nodkey-event+jwt", "trusonafication", &own)),
        ("of another algorithm", confused),
    ] {
        assert_eq!(world.call(SERVICE, Some(&token)).await, Code::Unauthenticated, "{what}");
    }
    for (name, expected) in [(Notification, Code::Ok), (Gateway, Code::PermissionDenied), (Binding, Code::PermissionDenied)] {
        assert_eq!(world.call(SERVICE, Some(&service(name, Registry, NOW + 30))).await, expected, "{name}");
    }
}

#[tokio::test]
async fn the_internal_key_of_before_is_taken_where_it_is_configured_and_names_its_caller() {
    let internal = |iss: &str| {
        let claims = Claims { aud: "nodkey".into(), exp: NOW + 30, iss: Some(iss.into()), rp: None };
        format!("Bearer {}", hs256::sign(Some("internal"), &claims, b"internal-key"))
    };
    let (before, now) = (World::with(Some("internal-key")), World::new());
    assert_eq!(before.call(SERVICE, Some(&internal("notification"))).await, Code::Ok);
    assert_eq!(before.call(SERVICE, Some(&service(ServiceName::Notification, ServiceName::Registry, NOW + 30))).await, Code::Ok);
    assert_eq!(before.call(SERVICE, Some(&internal("gateway"))).await, Code::PermissionDenied);
    assert_eq!(before.call(SERVICE, Some(&internal("mallory"))).await, Code::Unauthenticated);
    assert_eq!(now.call(SERVICE, Some(&internal("notification"))).await, Code::Unauthenticated);
}

#[tokio::test]
async fn an_operator_key_and_its_predecessor_are_both_taken() {
    let world = World::new();
    for (key, expected) in [("operator-key", Code::Ok), ("previous-operator-key", Code::Ok), ("other", Code::Unauthenticated)] {
        assert_eq!(world.call(OPERATOR, Some(&bearer("operator", key, "nodkey", NOW + 30))).await, expected, "{key}");
    }
}

#[tokio::test]
async fn a_method_nobody_is_named_for_does_not_exist() {
    let world = World::new();
    for path in ["/nodkey.registry.v1.SigningKeyService/Steal", "/other.Service/Method", "/"] {
        assert_eq!(world.call(path, Some(&bearer("operator", "operator-key", "nodkey", NOW + 30))).await, Code::Unimplemented, "{path}");
    }
    assert_eq!(world.call(PUBLIC, None).await, Code::Ok);
    assert_eq!(world.call(SERVICE, None).await, Code::Unauthenticated);
    assert_eq!(world.call(OPERATOR, None).await, Code::Unauthenticated);
}

#[tokio::test]
async fn what_an_operator_does_is_written_down_first_without_secrets_and_what_it_reads_is_not() {
    let world = World::new();
    let operator = bearer(&session(2), "secret", "nodkey", NOW + 30);
    let apns = ApnsCredentials { team_id: "T".into(), private_key: "SECRET".into(), ..ApnsCredentials::default() };
    let message = PutPushConfigurationRequest { credentials: Some(Credentials::Apns(apns)) }.encode_to_vec();
    let mut framed = vec![0];
    framed.extend(u32::try_from(message.len()).unwrap().to_be_bytes());
    framed.extend(message);
    let path = "/nodkey.notification.v1.PushConfigurationService/PutPushConfiguration";
    assert_eq!(world.send(path, Some(&operator), Body::from(framed)).await, Code::Ok);
    assert_eq!(world.call("/nodkey.notification.v1.EndpointService/ListEndpoints", Some(&operator)).await, Code::Ok);
    let noted = world.1.0.lock().unwrap().1.clone();
    let [entry] = &noted[..] else { panic!("one action, not {noted:?}") };
    assert_eq!((entry.actor.as_str(), entry.role.as_str(), entry.outcome.as_str()), ("Ada", "operator", "OK"));
    assert_eq!((entry.method.as_str(), entry.request.as_str()), (&path[1..], r#"{"apns":{"teamId":"T"}}"#));
}

#[tokio::test]
async fn what_cannot_be_written_down_is_not_done() {
    let world = World::new();
    world.1.0.lock().unwrap().0 = true;
    let owner = bearer(&session(3), "secret", "nodkey", NOW + 30);
    assert_eq!(world.call(OPERATOR, Some(&owner)).await, Code::Unavailable);
    assert_eq!(world.call("/nodkey.registry.v1.RelyingPartyService/ListRelyingParties", Some(&owner)).await, Code::Ok);
}
