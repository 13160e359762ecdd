//! The gRPC service of the audit log.

use nodkey_kernel::{id::RelyingPartyId, service_key::ServiceName, time::Timestamp};
use nodkey_proto::{
    access::owner,
    convert::from_timestamp,
    registry::v1::{
        self as pb, AuditEntry, CompleteAuditEntryRequest, CompleteAuditEntryResponse, CreateAuditEntryRequest, CreateAuditEntryResponse,
        ListAuditEntriesRequest, ListAuditEntriesResponse, ListAuditRecordsRequest, ListAuditRecordsResponse,
        audit_service_server::AuditService,
    },
};
use nodkey_runtime::{Caller, caller, page::Page, status::status};
use tonic::{Request, Response, Status};

use super::{Grpc, id};
use crate::{
    app::{Exported, Filter, Noted, OutcomeFilter, Presented},
    domain::{Refusal, audit::Action, text},
};

/// Maximum length of a method's path, in characters.
const MAX_METHOD: usize = 200;

#[tonic::async_trait]
impl AuditService for Grpc {
    async fn list_audit_entries(&self, request: Request<ListAuditEntriesRequest>) -> Result<Response<ListAuditEntriesResponse>, Status> {
        let caller = caller(&request)?;
        let message = request.into_inner();
        let page = Page::parse(message.page_size, &message.page_token).map_err(status)?;
        let outcome = pb::OutcomeFilter::try_from(message.outcome);
        let outcome = outcome.map_err(|_| status(Refusal::invalid("outcome", "must be one that there is")))?;
        let filter = Filter {
            relying_party: visible(&caller, &message.relying_party_id).map_err(status)?,
            operator: optional(&message.operator_id, "operator_id").map_err(status)?,
            method: text::optional(&message.method, MAX_METHOD).map_err(|e| status(Refusal::invalid("method", e.to_string())))?,
            from: message.created_after.as_ref().map(|at| moment(from_timestamp(at), "created_after")).transpose().map_err(status)?,
            until: message.created_before.as_ref().map(|at| moment(from_timestamp(at), "created_before")).transpose().map_err(status)?,
            outcome: match outcome {
                pb::OutcomeFilter::Unspecified => None,
                pb::OutcomeFilter::Ok => Some(OutcomeFilter::Ok),
                pb::OutcomeFilter::Read => Some(OutcomeFilter::Read),
                pb::OutcomeFilter::Refused => Some(OutcomeFilter::Refused),
                pb::OutcomeFilter::Unknown => Some(OutcomeFilter::Unknown),
            },
            oldest_first: message.oldest_first,
        };
        let (entries, next_page_token) = self.0.audit_entries(&filter, &page).await.map_err(status)?;
        Ok(Response::new(ListAuditEntriesResponse { entries: entries.iter().map(Into::into).collect(), next_page_token }))
    }

    async fn list_audit_records(&self, request: Request<ListAuditRecordsRequest>) -> Result<Response<ListAuditRecordsResponse>, Status> {
        let caller = caller(&request)?;
        let message = request.into_inner();
        let size = Page::parse(message.page_size, "").map_err(status)?.size;
        let party = visible(&caller, &message.relying_party_id).map_err(status)?;
        let Exported { lines, next_page_token } = self.0.export_audit_log(party, &message.page_token, size).await.map_err(status)?;
        Ok(Response::new(ListAuditRecordsResponse { lines, next_page_token }))
    }

    async fn create_audit_entry(&self, request: Request<CreateAuditEntryRequest>) -> Result<Response<CreateAuditEntryResponse>, Status> {
        let caller = caller(&request)?;
        let CreateAuditEntryRequest { entry, confirmation_id, request_sha256 } = request.into_inner();
        let entry = entry.unwrap_or_default();
        let AuditEntry { operator_id, actor, role, relying_party_id, method, request, outcome, trace_id, .. } = entry;
        let action = Action {
            operator: optional(&operator_id, "operator_id").map_err(status)?,
            actor,
            role,
            relying_party: optional(&relying_party_id, "relying_party_id").map_err(status)?,
            method,
            request,
            trace_id,
        };
        if !outcome.is_empty() {
            let id = self.0.create_audit_entry(action, &outcome).await.map_err(status)?;
            return Ok(Response::new(CreateAuditEntryResponse { id: id.to_string(), ..CreateAuditEntryResponse::default() }));
        }
        // A service accepts confirmations only for its own methods. In a single process, all services write under the registry's name.
        let is_served = |name| name == ServiceName::Registry || owner(&format!("/{}", action.method)) == Some(name);
        let own = matches!(caller, Caller::Service { name, .. } if is_served(name));
        let is_stream = request_sha256.is_empty();
        let presented = Presented { id: confirmation_id.parse().ok().filter(|_| own), request_sha256 };
        let Noted { id, confirmed } = self.0.note_intent(action, presented).await.map_err(status)?;
        Ok(Response::new(CreateAuditEntryResponse {
            id: id.to_string(),
            confirmed: confirmed.is_some(),
            stream_sha256: confirmed.filter(|_| is_stream).map(|sha256| sha256.to_vec().into()).unwrap_or_default(),
        }))
    }

    async fn complete_audit_entry(
        &self,
        request: Request<CompleteAuditEntryRequest>,
    ) -> Result<Response<CompleteAuditEntryResponse>, Status> {
        let message = request.into_inner();
        let entry = id(&message.id, "audit entry").map_err(status)?;
        self.0.complete_audit_entry(entry, message.request, &message.outcome).await.map_err(status)?;
        Ok(Response::new(CompleteAuditEntryResponse {}))
    }
}

/// The relying party whose entries a caller may see; `None` for all. A backend sees its own.
fn visible(caller: &Caller, named: &str) -> Result<Option<RelyingPartyId>, Refusal> {
    let named = optional(named, "relying_party_id")?;
    match caller {
        Caller::Backend { relying_party, .. } if named.is_none_or(|named| named == *relying_party) => Ok(Some(*relying_party)),
        Caller::Backend { .. } => Err(Refusal::NotFound("relying party")),
        _ => Ok(named),
    }
}

/// What was read of a time.
fn moment(read: Option<Timestamp>, field: &str) -> Result<Timestamp, Refusal> {
    read.ok_or_else(|| Refusal::invalid(field, "must be a time"))
}

/// Parses an optional id.
fn optional<T: std::str::FromStr>(text: &str, field: &str) -> Result<Option<T>, Refusal> {
    if text.is_empty() { Ok(None) } else { text.parse().map(Some).map_err(|_| Refusal::invalid(field, "must be a UUID")) }
}
