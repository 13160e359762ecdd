//! Conversion between messages and commands. Writes run in their own tasks, so a client that disconnects cannot interrupt one halfway.

mod app_links;
mod audit;
mod confirmations;
mod convert;
mod credentials;
mod devices;
mod documents;
mod operators;
mod relying_parties;
mod replays;
mod retention;
mod signing_keys;

use std::str::FromStr;

use axum::Router;
use nodkey_kernel::id::RelyingPartyId;
use nodkey_proto::registry::v1::{
    app_link_service_server::AppLinkServiceServer, audit_service_server::AuditServiceServer,
    confirmation_service_server::ConfirmationServiceServer, credential_service_server::CredentialServiceServer,
    device_service_server::DeviceServiceServer, identity_document_service_server::IdentityDocumentServiceServer,
    operator_service_server::OperatorServiceServer, operator_session_service_server::OperatorSessionServiceServer,
    relying_party_service_server::RelyingPartyServiceServer, replay_service_server::ReplayServiceServer,
    retention_service_server::RetentionServiceServer, signing_key_service_server::SigningKeyServiceServer,
};
use nodkey_runtime::{Caller, idempotent, mount, status::status};
use prost::Message;
use tonic::{Request, Status};
use uuid::Uuid;

use crate::{
    app::App,
    domain::{Refusal, text},
    error::Error,
};

/// Maximum length of a request id, in characters.
const MAX_REQUEST_ID: usize = 128;

/// Implements every gRPC service of the registry.
#[derive(Debug, Clone)]
struct Grpc(App);

/// Returns the gRPC services as routes.
pub fn routes(app: &App) -> Router {
    let grpc = Grpc(app.clone());
    let router = mount(Router::new(), AppLinkServiceServer::new(grpc.clone()));
    let router = mount(router, AuditServiceServer::new(grpc.clone()));
    let router = mount(router, ConfirmationServiceServer::new(grpc.clone()));
    let router = mount(router, CredentialServiceServer::new(grpc.clone()));
    let router = mount(router, DeviceServiceServer::new(grpc.clone()));
    let router = mount(router, IdentityDocumentServiceServer::new(grpc.clone()));
    let router = mount(router, OperatorServiceServer::new(grpc.clone()));
    let router = mount(router, OperatorSessionServiceServer::new(grpc.clone()));
    let router = mount(router, RelyingPartyServiceServer::new(grpc.clone()));
    let router = mount(router, ReplayServiceServer::new(grpc.clone()));
    let router = mount(router, RetentionServiceServer::new(grpc.clone()));
    mount(router, SigningKeyServiceServer::new(grpc))
}

/// The relying party a request is about: the named one, which must be the caller's own if it has one, or else the caller's own.
fn party(caller: &Caller, named: &str) -> Result<RelyingPartyId, Status> {
    let acts_for = match caller {
        Caller::Backend { relying_party, .. } => Some(*relying_party),
        Caller::Service { relying_party, .. } | Caller::Operator { relying_party, .. } => *relying_party,
    };
    if named.is_empty() {
        return caller.relying_party();
    }
    let named = id(named, "relying party").map_err(status)?;
    match acts_for {
        // The console is not a tenant: a caller who could issue its credentials could become an owner.
        _ if named == RelyingPartyId::CONSOLE && !matches!(caller, Caller::Service { .. }) => {
            Err(status(Refusal::NotFound("relying party")))
        }
        Some(other) if other != named => Err(status(Refusal::NotFound("relying party"))),
        _ => Ok(named),
    }
}

/// Parses the id of something that must exist; text that is not an id is reported as not found.
fn id<T: FromStr>(text: &str, what: &'static str) -> Result<T, Refusal> {
    text.parse().map_err(|_| Refusal::NotFound(what))
}

/// Identifies a request that may be repeated. Without a relying party it belongs to the deployment.
fn repeatable<M: Message>(
    party: Option<RelyingPartyId>,
    operation: &'static str,
    request: &Request<M>,
    request_id: fn(&M) -> &String,
) -> Result<Option<idempotent::Request>, Error> {
    text::optional(request_id(request.get_ref()), MAX_REQUEST_ID).map_err(|e| Refusal::invalid("request_id", e.to_string()))?;
    let party = party.unwrap_or(RelyingPartyId::from_uuid(Uuid::nil()));
    Ok(idempotent::Request::read(party, operation, request, |message| request_id(message))?)
}
