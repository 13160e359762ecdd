//! The audit log over gRPC.

use nodkey_proto::registry::v1::{
    AuditEntry, CompleteAuditEntryRequest, CompleteAuditEntryResponse, CreateAuditEntryRequest, CreateAuditEntryResponse,
    ListAuditEntriesRequest, ListAuditEntriesResponse, audit_service_server::AuditService,
};
use nodkey_runtime::{page::Page, status::status};
use tonic::{Request, Response, Status};

use super::{Grpc, id};
use crate::{
    app::Filter,
    domain::{Refusal, audit::Action, text},
};

/// The most a method's path has, in characters.
const MAX_METHOD: usize = 200;

#[tonic::async_trait]
impl AuditService for Grpc {
    async fn list_audit_entries(&self, request: Request<ListAuditEntriesRequest>) -> Result<Response<ListAuditEntriesResponse>, Status> {
        let message = request.into_inner();
        let page = Page::parse(message.page_size, &message.page_token).map_err(status)?;
        let filter = Filter {
            relying_party: optional(&message.relying_party_id, "relying_party_id").map_err(status)?,
            operator: optional(&message.operator_id, "operator_id").map_err(status)?,
            method: text::optional(&message.method, MAX_METHOD).map_err(|e| status(Refusal::invalid("method", e.to_string())))?,
        };
        let (entries, next_page_token) = self.0.audit_entries(&filter, &page).await.map_err(status)?;
        Ok(Response::new(ListAuditEntriesResponse { entries: entries.iter().map(Into::into).collect(), next_page_token }))
    }

    async fn create_audit_entry(&self, request: Request<CreateAuditEntryRequest>) -> Result<Response<CreateAuditEntryResponse>, Status> {
        let entry = request.into_inner().entry.unwrap_or_default();
        let AuditEntry { operator_id, actor, role, relying_party_id, method, request, trace_id, .. } = entry;
        let action = Action {
            operator: optional(&operator_id, "operator_id").map_err(status)?,
            actor,
            role,
            relying_party: optional(&relying_party_id, "relying_party_id").map_err(status)?,
            method,
            request,
            trace_id,
        };
        let id = self.0.create_audit_entry(action).await.map_err(status)?;
        Ok(Response::new(CreateAuditEntryResponse { id: id.to_string() }))
    }

    async fn complete_audit_entry(
        &self,
        request: Request<CompleteAuditEntryRequest>,
    ) -> Result<Response<CompleteAuditEntryResponse>, Status> {
        let message = request.into_inner();
        let entry = id(&message.id, "audit entry").map_err(status)?;
        self.0.complete_audit_entry(entry, &message.outcome).await.map_err(status)?;
        Ok(Response::new(CompleteAuditEntryResponse {}))
    }
}

/// Reads an id that may be left out.
fn optional<T: std::str::FromStr>(text: &str, field: &str) -> Result<Option<T>, Refusal> {
    if text.is_empty() { Ok(None) } else { text.parse().map(Some).map_err(|_| Refusal::invalid(field, "must be a UUID")) }
}
