//! Which callers are admitted, and which are not.

#![expect(clippy::unwrap_used, clippy::panic, reason = "a test that cannot go on fails")]

use std::sync::{
    Arc, Mutex, OnceLock,
    atomic::{AtomicBool, AtomicUsize, Ordering},
};

use axum::{Router, body::Body, middleware, routing::post};
use http::{Request, header::AUTHORIZATION};
use nodkey_kernel::{
    egress::Egress,
    id::{CredentialId, RelyingPartyId},
    jose::{Algorithm, PrivateKey, hs256, jws},
    operator_key::{OPERATOR_TYP, OperatorKey},
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
        ListAuditRecordsRequest, ListAuditRecordsResponse, ListCredentialsRequest, ListCredentialsResponse, ListOperatorSessionsRequest,
        ListOperatorSessionsResponse, Operator, OperatorSession, ResolveCredentialRequest, ResolveCredentialResponse,
        ResolveOperatorSessionRequest, Role,
        audit_service_server::{AuditService, AuditServiceServer},
        credential_service_server::{CredentialService, CredentialServiceServer},
        operator_session_service_server::{OperatorSessionService, OperatorSessionServiceServer},
    },
};
use nodkey_runtime::{
    Channel, Deployment, Peers, Proof,
    auth::{self, Authenticator},
    mount, service_token,
    token::{self, Claims},
};
use prost::Message as _;
use tonic::{Code, Response, Status};
use tower::ServiceExt as _;

const NOW: i64 = 1_700_000_000;
const BACKEND: &str = "/nodkey.binding.v1.BindingService/CreateBinding";
const SERVICE: &str = "/nodkey.registry.v1.SigningKeyService/Sign";
const OPERATOR: &str = "/nodkey.registry.v1.RelyingPartyService/CreateRelyingParty";
const PUBLIC: &str = "/nodkey.registry.v1.SigningKeyService/GetJwks";

/// A registry that knows three credentials by the last digit of their id, gives them to the services that their holders call, and counts
/// the requests.
#[derive(Clone)]
struct Registry(RelyingPartyId, Arc<AtomicUsize>);

/// Whether a token was signed with the secret that all have here.
fn proves(token: &str) -> bool {
    token::verify(token, "secret", "nodkey", Timestamp::from_seconds(NOW))
}

#[tonic::async_trait]
impl CredentialService for Registry {
    async fn resolve_credential(
        &self,
        request: tonic::Request<ResolveCredentialRequest>,
    ) -> Result<Response<ResolveCredentialResponse>, Status> {
        self.1.fetch_add(1, Ordering::Relaxed);
        tokio::task::yield_now().await;
        let ResolveCredentialRequest { credential_id: id, proof } = request.into_inner();
        if !matches!(proof, Some(Proof::BearerToken(token)) if proves(&token)) {
            return Err(Status::not_found("unproven"));
        }
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
            limits: None,
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

/// Sessions of an auditor, an operator and an owner, by the last digit of their id. For the owner's it behaves like a registry of the
/// previous release, which verifies no token.
struct Sessions;

#[tonic::async_trait]
impl OperatorSessionService for Sessions {
    async fn resolve_operator_session(
        &self,
        request: tonic::Request<ResolveOperatorSessionRequest>,
    ) -> Result<Response<OperatorSession>, Status> {
        let ResolveOperatorSessionRequest { id, bearer_token } = request.into_inner();
        let role = match id.chars().last() {
            Some('1') => Role::Auditor,
            Some('2') => Role::Operator,
            Some('3') => Role::Owner,
            _ => return Err(Status::not_found("over")),
        };
        let operator = Operator { id: id.clone(), name: "Ada".into(), role: role.into(), ..Operator::default() };
        let expires_at = Some(nodkey_proto::convert::timestamp(Timestamp::from_seconds(NOW + 60)));
        let answer = OperatorSession { id, operator: Some(operator), expires_at, ..OperatorSession::default() };
        match role {
            Role::Owner => Ok(Response::new(OperatorSession { secret: "secret".into(), ..answer })),
            _ if proves(&bearer_token) => Ok(Response::new(OperatorSession { proven: true, ..answer })),
            _ => Err(Status::not_found("unproven")),
        }
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

    async fn list_operator_sessions(
        &self,
        _: tonic::Request<ListOperatorSessionsRequest>,
    ) -> Result<Response<ListOperatorSessionsResponse>, Status> {
        Err(Status::unimplemented("not needed"))
    }
}

/// An audit log that can be full, or from an earlier release that knows no confirmations. Otherwise everything is confirmed.
#[derive(Clone, Default)]
struct Log(Arc<Mutex<(bool, Vec<AuditEntry>)>>, Arc<AtomicBool>);

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
        let confirmed = !self.1.load(Ordering::Relaxed);
        Ok(Response::new(CreateAuditEntryResponse {
            id: (entries.len() - 1).to_string(),
            confirmed,
            ..CreateAuditEntryResponse::default()
        }))
    }

    async fn complete_audit_entry(
        &self,
        request: tonic::Request<CompleteAuditEntryRequest>,
    ) -> Result<Response<CompleteAuditEntryResponse>, Status> {
        let CompleteAuditEntryRequest { id, outcome, request } = request.into_inner();
        let entry = &mut self.0.lock().unwrap().1[id.parse::<usize>().unwrap()];
        entry.outcome = outcome;
        entry.request += &request;
        Ok(Response::new(CompleteAuditEntryResponse {}))
    }

    async fn list_audit_entries(&self, _: tonic::Request<ListAuditEntriesRequest>) -> Result<Response<ListAuditEntriesResponse>, Status> {
        Err(Status::unimplemented("not needed"))
    }

    async fn list_audit_records(&self, _: tonic::Request<ListAuditRecordsRequest>) -> Result<Response<ListAuditRecordsResponse>, Status> {
        Err(Status::unimplemented("not needed"))
    }
}

struct World(Router, Log, Registry);

impl World {
    fn new() -> Self {
        Self::with(None)
    }

    /// An older deployment, which has an internal key, has symmetric operator keys as well.
    fn with(internal_key: Option<&str>) -> Self {
        let clock = Clock::manual(Timestamp::from_seconds(NOW));
        let keys = ServiceKey::all(&Random::seeded(1));
        let deployment = Deployment {
            service_keys: keys.iter().collect(),
            internal_key: internal_key.map(Into::into),
            operator_keys: [&operator_key(1), &operator_key(2)].into_iter().collect(),
            symmetric_operator_keys: internal_key.map_or_else(Vec::new, |_| vec!["operator-key".into(), "previous-operator-key".into()]),
            ..Deployment::new("http://gw", Egress::new(true))
        };
        let deployment = Arc::new(deployment.seen_by(&service_key(ServiceName::Registry)));
        let relying_party = RelyingPartyId::generate(clock.now(), &Random::seeded(1));
        let routes = Arc::new(OnceLock::new());
        let channel = Channel::InProcess(Arc::clone(&routes));
        let peers = Peers::new(ServiceName::Registry, &deployment, &clock, |_| Ok(channel.clone())).unwrap();
        let authenticator = Authenticator::new(deployment, peers.registry(), clock);
        let log = Log::default();
        // Anyone who reaches it is let through; the registry uses the same middleware.
        let known = Registry(relying_party, Arc::default());
        let registry = mount(Router::new(), CredentialServiceServer::new(known.clone()));
        let registry = mount(mount(registry, OperatorSessionServiceServer::new(Sessions)), AuditServiceServer::new(log.clone()));
        let routes_behind = registry
            .fallback(post(|| async { Status::ok("").into_http::<Body>() }))
            .layer(middleware::from_fn_with_state(authenticator, auth::middleware));
        routes.set(routes_behind.clone()).unwrap();
        Self(routes_behind, log, known)
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

fn operator_key(seed: u64) -> OperatorKey {
    // Differs from the seeds of service keys.
    OperatorKey::generate(&Random::seeded(100 + seed))
}

/// A token that the holder of an operator key signs for a service.
fn operator(key: &OperatorKey, aud: &str, exp: i64) -> String {
    format!("Bearer {}", key.sign(&Claims { aud: aud.into(), exp, iss: None, rp: None }))
}

/// A token that a service shows another.
fn service(name: ServiceName, to: ServiceName, exp: i64) -> String {
    service_for(name, to, exp, None)
}

/// The same, acting for a relying party.
fn service_for(name: ServiceName, to: ServiceName, exp: i64, rp: Option<RelyingPartyId>) -> String {
    let claims = service_token::Claims { iss: name.to_string(), aud: format!("nodkey/{to}"), exp, rp };
    format!("Bearer {}", service_key(name).sign(service_token::TYP, &claims))
}

#[tokio::test]
async fn each_principal_reaches_its_own_methods_and_no_others() {
    let world = World::new();
    let backend = bearer(&credential(1), "secret", "nodkey", NOW + 30);
    // Each role includes the permissions of those before it.
    let roles = [Principal::Auditor, Principal::Operator, Principal::Owner];
    let operators = [
        (1, bearer(&session(1), "secret", "nodkey", NOW + 30)),
        (2, bearer(&session(2), "secret", "nodkey", NOW + 30)),
        (3, bearer(&session(3), "secret", "nodkey", NOW + 30)),
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
            let for_console = may || allow.contains(&Principal::ForConsole(name));
            for (party, may) in [(None, may), (Some(world.2.0), may), (Some(RelyingPartyId::CONSOLE), for_console)] {
                let expected = if may { Code::Ok } else { Code::PermissionDenied };
                assert_eq!(world.call(path, Some(&service_for(name, owner, NOW + 30, party))).await, expected, "{name} {party:?} {path}");
            }
        }
        let may = allow.iter().any(|allowed| *allowed == Principal::Public || roles.contains(allowed));
        let expected = if may { Code::Ok } else { Code::PermissionDenied };
        let aud = format!("nodkey/{}", owner(path).unwrap_or(ServiceName::Binding));
        assert_eq!(world.call(path, Some(&operator(&operator_key(1), &aud, NOW + 30))).await, expected, "operator key {path}");
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
        ("of a session, forged", bearer(&session(2), "wrong", "nodkey", NOW + 30)),
        ("of a session, forged, where the registry does not look", bearer(&session(3), "wrong", "nodkey", NOW + 30)),
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
    // HS256 with a public key as the secret, under its name: a verifier that accepts any algorithm accepts this.
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
async fn a_wrong_proof_keeps_no_right_one_out_and_what_was_proven_once_lets_no_wrong_one_in() {
    let (good, forged) = (bearer(&credential(1), "secret", "nodkey", NOW + 30), bearer(&credential(1), "wrong", "nodkey", NOW + 30));
    let world = World::new();
    let asked = || world.2.1.load(Ordering::Relaxed);
    assert_eq!(world.call(BACKEND, Some(&forged)).await, Code::Unauthenticated);
    assert_eq!((world.call(BACKEND, Some(&good)).await, asked()), (Code::Ok, 2));
    for (token, expected) in [(&forged, Code::Unauthenticated), (&good, Code::Ok)] {
        assert_eq!((world.call(BACKEND, Some(token)).await, asked()), (expected, 2), "the registry is asked once");
    }
    // Concurrently: a valid token never gets the response of an invalid one, and of many valid ones only one causes a request.
    let world = World::new();
    let tokens: Vec<_> = (0..64).map(|n| if n % 2 == 0 { &forged } else { &good }).collect();
    let answers = futures_util::future::join_all(tokens.iter().map(|token| world.call(BACKEND, Some(token)))).await;
    for (n, answer) in answers.into_iter().enumerate() {
        assert_eq!(answer, if n % 2 == 0 { Code::Unauthenticated } else { Code::Ok }, "{n}");
    }
    let world = World::new();
    let right = (0..64).map(|_| world.call(BACKEND, Some(&good)));
    assert!(futures_util::future::join_all(right).await.into_iter().all(|answer| answer == Code::Ok));
    assert_eq!(world.2.1.load(Ordering::Relaxed), 1);
}

#[tokio::test]
async fn a_gateway_of_the_release_before_calls_for_backends_where_the_internal_key_is_configured() {
    let party = Some(World::new().2.0);
    let internal = |iss: &str, rp| {
        let claims = Claims { aud: "nodkey".into(), exp: NOW + 30, iss: Some(iss.into()), rp };
        format!("Bearer {}", hs256::sign(Some("internal"), &claims, b"internal-key"))
    };
    let (before, now) = (World::with(Some("internal-key")), World::new());
    assert_eq!(before.call(BACKEND, Some(&internal("gateway", party))).await, Code::Ok);
    assert_eq!(before.call(BACKEND, Some(&internal("gateway", None))).await, Code::PermissionDenied);
    assert_eq!(before.call(BACKEND, Some(&internal("notification", party))).await, Code::PermissionDenied);
    let own = service_for(ServiceName::Gateway, ServiceName::Binding, NOW + 30, party);
    assert_eq!(now.call(BACKEND, Some(&own)).await, Code::PermissionDenied);
}

#[tokio::test]
async fn an_operator_key_and_its_successor_are_both_accepted_and_nothing_else_is() {
    let world = World::new();
    let (known, successor, stranger) = (operator_key(1), operator_key(2), operator_key(3));
    for key in [&known, &successor] {
        assert_eq!(world.call(OPERATOR, Some(&operator(key, "nodkey/registry", NOW + 60))).await, Code::Ok);
    }
    let public = known.public().to_value();
    let claims = Claims { aud: "nodkey/registry".into(), exp: NOW + 30, iss: None, rp: None };
    // The same, signed with a service's key, naming the operators' key.
    let by_service = jws::sign(OPERATOR_TYP, Some(known.kid()), None, &claims, &PrivateKey::generate(Algorithm::EdDsa, &Random::seeded(9)));
    let own_kid = service_key(ServiceName::Notification).sign(OPERATOR_TYP, &claims);
    for (what, token) in [
        ("expired", operator(&known, "nodkey/registry", NOW - 5)),
        ("lives too long", operator(&known, "nodkey/registry", NOW + 66)),
        ("for another service", operator(&known, "nodkey/notification", NOW + 30)),
        ("for no service", operator(&known, "nodkey", NOW + 30)),
        ("for another deployment", operator(&known, "other/registry", NOW + 30)),
        ("by a key that nobody knows", operator(&stranger, "nodkey/registry", NOW + 30)),
        ("by another key than it names", format!("Bearer {by_service}")),
        ("by the key of a service", format!("Bearer {own_kid}")),
        ("with the public half as a secret", bearer(known.kid(), &public.to_string(), "nodkey/registry", NOW + 30)),
        ("with the public half as a symmetric key", bearer("operator", &public.to_string(), "nodkey", NOW + 30)),
        ("with the x of the public half", bearer(known.kid(), public["x"].as_str().unwrap(), "nodkey/registry", NOW + 30)),
        ("with no secret", bearer("operator", "", "nodkey", NOW + 30)),
        ("symmetric, which this deployment has not", bearer("operator", "operator-key", "nodkey", NOW + 30)),
    ] {
        assert_eq!(world.call(OPERATOR, Some(&token)).await, Code::Unauthenticated, "{what}");
    }
}

#[tokio::test]
async fn symmetric_operator_keys_of_before_are_accepted_where_they_are_configured_beside_a_pair() {
    let before = World::with(Some("internal-key"));
    for (key, expected) in [("operator-key", Code::Ok), ("previous-operator-key", Code::Ok), ("other", Code::Unauthenticated)] {
        assert_eq!(before.call(OPERATOR, Some(&bearer("operator", key, "nodkey", NOW + 30))).await, expected, "{key}");
    }
    assert_eq!(before.call(OPERATOR, Some(&operator(&operator_key(1), "nodkey/registry", NOW + 30))).await, Code::Ok);
}

#[tokio::test]
async fn a_method_nobody_is_named_for_does_not_exist() {
    let world = World::new();
    for path in ["/nodkey.registry.v1.SigningKeyService/Steal", "/other.Service/Method", "/"] {
        let token = operator(&operator_key(1), "nodkey/registry", NOW + 30);
        assert_eq!(world.call(path, Some(&token)).await, Code::Unimplemented, "{path}");
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

#[tokio::test]
async fn what_a_registry_cannot_say_was_confirmed_is_not_done_and_the_operator_key_confirms_nothing() {
    let world = World::new();
    let owner = bearer(&session(3), "secret", "nodkey", NOW + 30);
    let key = operator(&operator_key(1), "nodkey/binding", NOW + 30);
    let import = "/nodkey.binding.v1.ImportService/ImportUsers";
    assert_eq!(world.call(import, Some(&owner)).await, Code::Ok);
    world.1.1.store(true, Ordering::Relaxed);
    assert_eq!(world.call(import, Some(&owner)).await, Code::Unavailable);
    assert_eq!(world.call(import, Some(&key)).await, Code::Ok);
    assert_eq!(world.call(OPERATOR, Some(&owner)).await, Code::Ok, "what needs none goes on");
}

/// The recorded methods and outcomes.
fn noted(world: &World) -> Vec<(String, String, String)> {
    let entries = world.1.0.lock().unwrap().1.clone();
    entries.into_iter().map(|entry| (entry.method.rsplit('/').next().unwrap().to_owned(), entry.actor, entry.outcome)).collect()
}

#[tokio::test]
async fn what_the_role_of_an_operator_forbids_is_written_down_and_stays_forbidden_when_it_cannot_be() {
    let world = World::new();
    let auditor = bearer(&session(1), "secret", "nodkey", NOW + 30);
    assert_eq!(world.call(OPERATOR, Some(&auditor)).await, Code::PermissionDenied);
    assert_eq!(noted(&world), [("CreateRelyingParty".into(), "Ada".into(), "NOT_ALLOWED".into())]);
    world.1.0.lock().unwrap().0 = true;
    assert_eq!(world.call(OPERATOR, Some(&auditor)).await, Code::PermissionDenied);
    assert_eq!(noted(&world).len(), 1);
}

#[tokio::test]
async fn what_is_about_people_is_read_once_that_is_written_down_and_once_a_minute() {
    let world = World::new();
    let auditor = bearer(&session(1), "secret", "nodkey", NOW + 30);
    let (bindings, devices) = ("/nodkey.binding.v1.BindingService/ListBindings", "/nodkey.registry.v1.DeviceService/ListDevices");
    world.1.0.lock().unwrap().0 = true;
    assert_eq!(world.call(bindings, Some(&auditor)).await, Code::Unavailable);
    world.1.0.lock().unwrap().0 = false;
    for path in [bindings, bindings, devices, bindings] {
        assert_eq!(world.call(path, Some(&auditor)).await, Code::Ok);
    }
    let read = |method: &str| (method.to_owned(), "Ada".to_owned(), "READ".to_owned());
    assert_eq!(noted(&world), [read("ListBindings"), read("ListDevices")]);
    // A backend's reads are its own data.
    let backend = bearer(&credential(1), "secret", "nodkey", NOW + 30);
    assert_eq!(world.call(bindings, Some(&backend)).await, Code::Ok);
    assert_eq!(noted(&world).len(), 2);
}
