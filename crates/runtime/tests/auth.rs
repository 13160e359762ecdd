//! Who gets through, and who does not.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on fails")]

use std::sync::{Arc, OnceLock};

use axum::{Router, body::Body, middleware, routing::post};
use http::{Request, header::AUTHORIZATION};
use nodkey_kernel::{
    egress::Egress,
    id::{CredentialId, RelyingPartyId},
    jose::hs256,
    random::Random,
    time::{Clock, Timestamp},
};
use nodkey_proto::{
    access::{ACCESS, Principal},
    registry::v1::{
        CreateCredentialRequest, CreateCredentialResponse, Credential, CredentialKind, DisableCredentialRequest, ListCredentialsRequest,
        ListCredentialsResponse, ResolveCredentialRequest, ResolveCredentialResponse,
        credential_service_server::{CredentialService, CredentialServiceServer},
    },
};
use nodkey_runtime::{
    Channel, CredentialResolver, Deployment, Peers,
    auth::{self, Authenticator, Claims},
    mount,
};
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

struct World(Router);

impl World {
    fn new() -> Self {
        let clock = Clock::manual(Timestamp::from_seconds(NOW));
        let deployment = Arc::new(Deployment {
            public_url: "http://gw".into(),
            audience: "nodkey".into(),
            internal_key: "internal-key".into(),
            operator_key: "operator-key".into(),
            egress: Egress::new(true),
        });
        let relying_party = RelyingPartyId::generate(clock.now(), &Random::seeded(1));
        let routes = Arc::new(OnceLock::new());
        let channel = Channel::InProcess(Arc::clone(&routes));
        let peers = Peers::new("test", &deployment, &clock, |_| Ok(channel.clone())).unwrap();
        let resolver = CredentialResolver::new(peers.registry().clone());
        let authenticator = Authenticator::new(deployment, resolver, clock);
        // Whoever reaches it is let through; the registry answers behind the same door.
        let routes_behind = mount(Router::new(), CredentialServiceServer::new(Registry(relying_party)))
            .fallback(post(|| async { Status::ok("").into_http::<Body>() }))
            .layer(middleware::from_fn_with_state(authenticator, auth::middleware));
        routes.set(routes_behind.clone()).unwrap();
        Self(routes_behind)
    }

    async fn call(&self, path: &str, authorization: Option<&str>) -> Code {
        let mut request = Request::post(path).header("content-type", "application/grpc");
        if let Some(value) = authorization {
            request = request.header(AUTHORIZATION, value);
        }
        let response = self.0.clone().oneshot(request.body(Body::empty()).unwrap()).await.unwrap();
        Status::from_header_map(response.headers()).map_or(Code::Unknown, |status| status.code())
    }
}

fn credential(last: u8) -> String {
    let text = format!("018bcfe5-6800-7000-8000-00000000000{last}");
    text.parse::<CredentialId>().unwrap().to_string()
}

fn bearer(kid: &str, secret: &str, aud: &str, exp: i64) -> String {
    let claims = Claims { aud: aud.into(), exp, iss: Some("binding".into()), rp: None };
    format!("Bearer {}", hs256::sign(Some(kid), &claims, secret.as_bytes()))
}

#[tokio::test]
async fn each_principal_reaches_its_own_methods_and_no_others() {
    let world = World::new();
    let callers = [
        (Principal::Backend, bearer(&credential(1), "secret", "nodkey", NOW + 30)),
        (Principal::Service, bearer("internal", "internal-key", "nodkey", NOW + 30)),
        (Principal::Operator, bearer("operator", "operator-key", "nodkey", NOW + 30)),
    ];
    for (path, allow) in ACCESS.iter().filter(|(path, _)| !path.contains("CredentialService")) {
        for (principal, token) in &callers {
            let expected = if allow.contains(principal) || allow.contains(&Principal::Public) { Code::Ok } else { Code::PermissionDenied };
            assert_eq!(world.call(path, Some(token)).await, expected, "{principal:?} {path}");
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
        ("of the operator, forged", bearer("operator", "secret", "nodkey", NOW + 30)),
        ("of a service, forged", bearer("internal", "secret", "nodkey", NOW + 30)),
        ("no token", "Bearer x".into()),
        ("another scheme", "Basic x".into()),
    ] {
        assert_eq!(world.call(BACKEND, Some(&token)).await, Code::Unauthenticated, "{what}");
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
