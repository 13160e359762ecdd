//! What operators do is written down before it is done.

use axum::{
    body::{Body, Bytes, to_bytes},
    extract::Request,
    middleware::Next,
    response::Response,
};
use metrics::counter;
use nodkey_kernel::{
    error::{Classify as _, Kind},
    id::RelyingPartyId,
};
use nodkey_proto::{
    reflect,
    registry::v1::{AuditEntry, CompleteAuditEntryRequest, CreateAuditEntryRequest, audit_service_client::AuditServiceClient},
};
use serde_json::Value;
use tonic::{Code, Status};
use tracing::error;

use super::{caller::Caller, peers::Peer};
use crate::call::{
    status::{self, PeerError},
    trace,
};

/// The largest message that is read; tonic's own limit.
const MAX_MESSAGE: usize = 4 << 20;
/// Before a message in a gRPC body: whether it is compressed, and its length.
const PREFIX: usize = 5;

/// What came of what was done.
const OK: &str = "OK";

/// Writes the audit log, which the registry keeps.
#[derive(Clone, Debug)]
pub(crate) struct Audit {
    registry: Peer,
}

impl Audit {
    pub(crate) const fn new(registry: Peer) -> Self {
        Self { registry }
    }

    /// Runs an action of an operator's between its two notes. Without the first one nothing is done; the second one may be lost with
    /// the process, and says so by being missing.
    pub(crate) async fn run(&self, caller: &Caller, request: Request, next: Next) -> Response {
        let (entry, request) = match describe(caller, request).await {
            Ok(described) => described,
            Err(refused) => return refused.into_http(),
        };
        let mut log = AuditServiceClient::new(self.registry.unscoped());
        let id = match log.create_audit_entry(CreateAuditEntryRequest { entry: Some(entry) }).await {
            Ok(answer) => answer.into_inner().id,
            Err(failed) => return status::status(PeerError::from(failed)).into_http(),
        };
        // Who hangs up cuts nothing in half.
        trace::uninterrupted(async move {
            let response = next.run(request).await;
            let outcome = outcome(&response);
            counter!("nodkey_operator_actions_total", "outcome" => if outcome == OK { "ok" } else { "refused" }).increment(1);
            if let Err(failed) = log.complete_audit_entry(CompleteAuditEntryRequest { id, outcome }).await {
                error!(cause = %failed.message(), "the outcome of an action is not in the audit log");
            }
            response
        })
        .await
    }
}

/// Says who is about to do what. Returns the request as it was.
async fn describe(caller: &Caller, request: Request) -> Result<(AuditEntry, Request), Status> {
    let path = request.uri().path().to_owned();
    let (request, message) = match reflect::method(&path) {
        // Only a message that comes alone is taken down: a stream may be long, and is for its handler to bound.
        Some(method) if !method.is_client_streaming() => {
            let (parts, body) = request.into_parts();
            let body = read(body).await?;
            let message =
                (body.len() >= PREFIX).then(|| body.slice(PREFIX..)).and_then(|bytes| reflect::to_redacted_json(method.input(), bytes));
            (Request::from_parts(parts, Body::from(body)), message)
        }
        _ => (request, None),
    };
    let Caller::Operator { relying_party, operator } = caller else {
        return Err(status::new(Kind::Internal, "INTERNAL", "operators alone are audited", &[]));
    };
    let entry = AuditEntry {
        operator_id: operator.id.map(|id| id.to_string()).unwrap_or_default(),
        actor: operator.name.clone(),
        role: operator.role.to_string(),
        relying_party_id: relying_party.or_else(|| named(&path, message.as_deref()?)).map(|id| id.to_string()).unwrap_or_default(),
        method: path.trim_start_matches('/').to_owned(),
        request: message.unwrap_or_default(),
        trace_id: trace::current().map(|context| trace::id(&context)).unwrap_or_default(),
        ..AuditEntry::default()
    };
    Ok((entry, request))
}

/// The tenant a message names, of those that are about one.
fn named(path: &str, message: &str) -> Option<RelyingPartyId> {
    let field = if path.contains(".RelyingPartyService/") { "id" } else { "relyingPartyId" };
    let message: Value = serde_json::from_str(message).ok()?;
    message.get(field)?.as_str()?.parse().ok()
}

async fn read(body: Body) -> Result<Bytes, Status> {
    to_bytes(body, MAX_MESSAGE + PREFIX)
        .await
        .map_err(|_| status::new(Kind::TooLarge, "MESSAGE_TOO_LARGE", "the message is larger than 4 MiB, or ended too early", &[]))
}

/// `OK`, or the reason of the refusal. A refusal is told in the headers: it has no body.
fn outcome(response: &Response) -> String {
    match Status::from_header_map(response.headers()) {
        Some(refused) if refused.code() != Code::Ok => PeerError::from(refused).reason().to_owned(),
        _ => OK.to_owned(),
    }
}
