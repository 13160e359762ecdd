//! Switch 3: a call behaves the same in process and over HTTP/2.

#![expect(clippy::unwrap_used, clippy::panic, reason = "a test that cannot go on fails")]

use std::{
    net::SocketAddr,
    sync::{Arc, OnceLock},
    time::Duration,
};

use futures_util::{StreamExt as _, TryStreamExt as _, stream};
use nodkey_db::Migrations;
use nodkey_kernel::{
    egress::Egress,
    error::{Classify as _, FieldViolation, Kind},
    id::RelyingPartyId,
    random::Random,
    service_key::{ServiceKey, ServiceName},
    time::Clock,
};
use nodkey_proto::registry::v1::{
    self as pb,
    credential_service_server::{CredentialService, CredentialServiceServer},
};
use nodkey_proto::trusonafication::v1::{
    CancelTrusonaficationRequest, CountTrusonaficationsRequest, CountTrusonaficationsResponse, CreateTrusonaficationRequest,
    CreateTrusonaficationResponse, Evidence, GetEvidenceRequest, GetTrusonaficationRequest, ListChangesRequest, ListChangesResponse,
    ListPendingRequest, ListPendingResponse, ListTrusonaficationsRequest, ListTrusonaficationsResponse, RespondRequest, RespondResponse,
    SignResultRequest, SignResultResponse, Trusonafication, WatchResultsRequest, WatchResultsResponse, WatchTrusonaficationRequest,
    WatchTrusonaficationsRequest,
    trusonafication_service_client::TrusonaficationServiceClient,
    trusonafication_service_server::{TrusonaficationService, TrusonaficationServiceServer},
};
use nodkey_runtime::{
    Actor, Caller, Channel, DataDir, Deployment, Deps, Parts, Peer, Peers, ResolvedCredential, Service, caller,
    embedded::{Embedded, EmbeddedConfig, Handle},
    mount,
    status::{self, PeerError},
};
use tonic::{Request, Response, Status};

/// Responses that show how the call arrived.
struct Probe;

/// The channels to other services.
static PEERS: OnceLock<Peers> = OnceLock::new();

impl Service for Probe {
    const NAME: ServiceName = ServiceName::Gateway;

    type Config = ();

    fn migrations() -> Option<Migrations> {
        None
    }

    async fn build((): (), deps: Deps) -> anyhow::Result<Parts> {
        let _ = PEERS.set(deps.peers);
        let grpc = mount(axum::Router::new(), TrusonaficationServiceServer::new(Self));
        Ok(Parts { grpc: mount(grpc, CredentialServiceServer::new(Self)), ..Parts::default() })
    }
}

/// Resolves a backend's credential.
#[tonic::async_trait]
impl CredentialService for Probe {
    async fn resolve_credential(
        &self,
        _: Request<pb::ResolveCredentialRequest>,
    ) -> Result<Response<pb::ResolveCredentialResponse>, Status> {
        let ResolvedCredential { relying_party, .. } = backend();
        let kind = pb::CredentialKind::Server.into();
        let relying_party_id = relying_party.to_string();
        let secret = "secret".into();
        Ok(Response::new(pb::ResolveCredentialResponse { relying_party_id, kind, secret, ..pb::ResolveCredentialResponse::default() }))
    }

    async fn create_credential(&self, _: Request<pb::CreateCredentialRequest>) -> Result<Response<pb::CreateCredentialResponse>, Status> {
        Err(Status::unimplemented(""))
    }

    async fn list_credentials(&self, _: Request<pb::ListCredentialsRequest>) -> Result<Response<pb::ListCredentialsResponse>, Status> {
        Err(Status::unimplemented(""))
    }

    async fn update_credential(&self, _: Request<pb::UpdateCredentialRequest>) -> Result<Response<pb::Credential>, Status> {
        Err(Status::unimplemented(""))
    }

    async fn disable_credential(&self, _: Request<pb::DisableCredentialRequest>) -> Result<Response<pb::Credential>, Status> {
        Err(Status::unimplemented(""))
    }
}

fn backend() -> ResolvedCredential {
    ResolvedCredential {
        id: "018bcfe5-6800-7000-8000-000000000001".parse().unwrap(),
        relying_party: PARTY,
        kind: pb::CredentialKind::Server,
        secret: "secret".into(),
        disabled: false,
        token_sha256: Vec::new(),
        signatures: pb::SignatureSettings::default(),
        limits: pb::RelyingPartyLimits::default(),
    }
}

#[tonic::async_trait]
impl TrusonaficationService for Probe {
    async fn get_trusonafication(&self, request: Request<GetTrusonaficationRequest>) -> Result<Response<Trusonafication>, Status> {
        match request.get_ref().id.as_str() {
            "who" => {
                let Caller::Service { name, relying_party } = caller(&request)? else { panic!("a service calls") };
                let relying_party_id = relying_party.map(|id| id.to_string()).unwrap_or_default();
                let resource = nodkey_trace::traceparent().unwrap();
                Ok(Response::new(Trusonafication { action: name.to_string(), relying_party_id, resource, ..Trusonafication::default() }))
            }
            "large" => Ok(Response::new(Trusonafication { action: "x".repeat(3 << 20), ..Trusonafication::default() })),
            "refused" => Err(status::new(Kind::Gone, "EXPIRED", "too late", &[FieldViolation::new("id", "is over")])),
            _ => std::future::pending().await,
        }
    }

    type WatchTrusonaficationStream = stream::BoxStream<'static, Result<Trusonafication, Status>>;

    async fn watch_trusonafication(
        &self,
        _: Request<WatchTrusonaficationRequest>,
    ) -> Result<Response<Self::WatchTrusonaficationStream>, Status> {
        let versions = stream::iter(1..=3).map(|version| Ok(Trusonafication { version, ..Trusonafication::default() }));
        Ok(Response::new(versions.chain(stream::pending()).boxed()))
    }

    type WatchResultsStream = stream::BoxStream<'static, Result<WatchResultsResponse, Status>>;

    async fn watch_results(
        &self,
        request: Request<tonic::Streaming<WatchResultsRequest>>,
    ) -> Result<Response<Self::WatchResultsStream>, Status> {
        let asked = request.into_inner().map_ok(|asked| WatchResultsResponse { id: asked.id, ..WatchResultsResponse::default() });
        Ok(Response::new(asked.boxed()))
    }

    type WatchTrusonaficationsStream = stream::BoxStream<'static, Result<Trusonafication, Status>>;

    async fn watch_trusonafications(
        &self,
        _: Request<WatchTrusonaficationsRequest>,
    ) -> Result<Response<Self::WatchTrusonaficationsStream>, Status> {
        Err(Status::unimplemented(""))
    }

    async fn count_trusonafications(
        &self,
        _: Request<CountTrusonaficationsRequest>,
    ) -> Result<Response<CountTrusonaficationsResponse>, Status> {
        Err(Status::unimplemented(""))
    }

    async fn create_trusonafication(
        &self,
        _: Request<CreateTrusonaficationRequest>,
    ) -> Result<Response<CreateTrusonaficationResponse>, Status> {
        Err(Status::unimplemented(""))
    }

    async fn list_trusonafications(
        &self,
        _: Request<ListTrusonaficationsRequest>,
    ) -> Result<Response<ListTrusonaficationsResponse>, Status> {
        Err(Status::unimplemented(""))
    }

    async fn cancel_trusonafication(&self, _: Request<CancelTrusonaficationRequest>) -> Result<Response<Trusonafication>, Status> {
        Err(Status::unimplemented(""))
    }

    async fn get_evidence(&self, _: Request<GetEvidenceRequest>) -> Result<Response<Evidence>, Status> {
        Err(Status::unimplemented(""))
    }

    async fn list_changes(&self, _: Request<ListChangesRequest>) -> Result<Response<ListChangesResponse>, Status> {
        Err(Status::unimplemented(""))
    }

    async fn list_pending(&self, _: Request<ListPendingRequest>) -> Result<Response<ListPendingResponse>, Status> {
        Err(Status::unimplemented(""))
    }

    async fn sign_result(&self, _: Request<SignResultRequest>) -> Result<Response<SignResultResponse>, Status> {
        Err(Status::unimplemented(""))
    }

    async fn respond(&self, _: Request<RespondRequest>) -> Result<Response<RespondResponse>, Status> {
        Err(Status::unimplemented(""))
    }
}

/// The relying party that the gateway calls for under its own identity.
const PARTY: RelyingPartyId = RelyingPartyId::CONSOLE;

fn deployment() -> Deployment {
    let keys = service_keys();
    let deployment = Deployment { service_keys: keys.iter().collect(), ..Deployment::new("", Egress::new(false)) };
    deployment.seen_by(keys.iter().find(|key| key.name() == ServiceName::Gateway).unwrap())
}

fn service_keys() -> Vec<ServiceKey> {
    ServiceKey::all(&Random::seeded(1))
}

async fn running() -> (Handle, tempfile::TempDir) {
    let dir = tempfile::tempdir().unwrap();
    let any = SocketAddr::from(([127, 0, 0, 1], 0));
    let config = EmbeddedConfig {
        data_dir: DataDir::open(dir.path(), &Clock::system()).unwrap(),
        http: any,
        grpc: any,
        tls: None,
        public_url: None,
        deployment: deployment(),
        service_keys: service_keys(),
        previous_master_keys: Vec::new(),
        master_key: [1; 32],
        clock: Clock::system(),
        random: Random::system(),
    };
    (Embedded::new(config).with::<Probe>(()).start().await.unwrap(), dir)
}

/// Makes two tests of each guarantee, one per channel.
macro_rules! on_both_channels {
    ($($name:ident),+ $(,)?) => {
        mod in_process {
            $(#[tokio::test]
            async fn $name() {
                let _running = super::running().await;
                super::$name(super::PEERS.get().unwrap().trusonafication().clone()).await;
            })+
        }
        mod http2 {
            $(#[tokio::test]
            async fn $name() {
                let (handle, _dir) = super::running().await;
                let url = format!("http://{}", handle.grpc);
                let channel = super::Channel::remote(super::ServiceName::Trusonafication, &url, None).unwrap();
                let (deployment, clock) = (std::sync::Arc::new(super::deployment()), super::Clock::system());
                let peers = super::Peers::new(super::ServiceName::Gateway, &deployment, &clock, |_| Ok(channel.clone())).unwrap();
                super::$name(peers.trusonafication().clone()).await;
            })+
        }
    };
}

on_both_channels!(
    a_call_names_its_caller_and_whom_it_acts_for,
    a_trace_goes_along,
    a_refusal_keeps_kind_reason_and_fields,
    a_deadline_ends_a_call,
    a_stream_arrives_item_by_item,
    a_large_answer_arrives,
    many_calls_run_at_once,
);

fn ask(id: &str) -> GetTrusonaficationRequest {
    GetTrusonaficationRequest { id: id.into(), wait_seconds: 0 }
}

async fn a_call_names_its_caller_and_whom_it_acts_for(peer: Peer) {
    let channel = peer.acting_for(PARTY);
    let answer = TrusonaficationServiceClient::new(channel).get_trusonafication(ask("who")).await.unwrap().into_inner();
    assert_eq!((answer.action.as_str(), answer.relying_party_id), ("gateway", PARTY.to_string()));
}

async fn a_trace_goes_along(peer: Peer) {
    let channel = peer.acting_for(PARTY);
    // Outside a trace, a call begins one, and its own calls belong to it.
    let answer = TrusonaficationServiceClient::new(channel).get_trusonafication(ask("who")).await.unwrap().into_inner();
    assert!(answer.resource.starts_with("00-") && answer.resource.len() == 55, "{}", answer.resource);
}

async fn a_refusal_keeps_kind_reason_and_fields(peer: Peer) {
    let channel = peer.acting_for(PARTY);
    let refused = TrusonaficationServiceClient::new(channel).get_trusonafication(ask("refused")).await.unwrap_err();
    let refused = PeerError::from(refused);
    assert_eq!((refused.kind(), refused.reason(), refused.to_string().as_str()), (Kind::Gone, "EXPIRED", "too late"));
    assert_eq!(refused.field_violations(), [FieldViolation::new("id", "is over")]);
}

async fn a_deadline_ends_a_call(peer: Peer) {
    let channel = peer.acting_for(PARTY);
    let mut request = Request::new(ask("never"));
    request.set_timeout(Duration::from_millis(50));
    let ended = TrusonaficationServiceClient::new(channel).get_trusonafication(request).await.unwrap_err();
    assert_eq!(ended.code(), tonic::Code::DeadlineExceeded);
}

async fn a_stream_arrives_item_by_item(peer: Peer) {
    let channel = peer.on_behalf_of(Actor::Backend(Arc::new(backend())));
    let mut client = TrusonaficationServiceClient::new(channel);
    let mut stream = client.watch_trusonafication(WatchTrusonaficationRequest::default()).await.unwrap().into_inner();
    for version in 1..=3 {
        // The stream never ends, so each item arrived by itself.
        assert_eq!(stream.message().await.unwrap().unwrap().version, version);
    }
}

async fn a_large_answer_arrives(peer: Peer) {
    let channel = peer.acting_for(PARTY);
    let answer = TrusonaficationServiceClient::new(channel).get_trusonafication(ask("large")).await.unwrap().into_inner();
    assert_eq!(answer.action.len(), 3 << 20);
}

async fn many_calls_run_at_once(peer: Peer) {
    let channel = peer.acting_for(PARTY);
    // Pending calls do not hold up others.
    let held: Vec<_> = (0..64)
        .map(|_| {
            let mut client = TrusonaficationServiceClient::new(channel.clone());
            tokio::spawn(async move { client.get_trusonafication(ask("never")).await })
        })
        .collect();
    let client = Arc::new(TrusonaficationServiceClient::new(channel));
    let answered = stream::iter(0..64).map(|_| {
        let mut client = (*client).clone();
        async move { client.get_trusonafication(ask("who")).await.unwrap() }
    });
    assert_eq!(answered.buffer_unordered(64).count().await, 64);
    held.iter().for_each(tokio::task::JoinHandle::abort);
}
