//! The audit log as its readers see it: exported over gRPC, verified offline with published keys, and separate for each relying party.

use nodkey_client::{Nodkey, ServiceName};
use nodkey_kernel::audit::{Report, Verifier};
use nodkey_proto::registry::v1::{
    DisableCredentialRequest, ListAuditEntriesRequest, ListAuditRecordsRequest, audit_service_client::AuditServiceClient,
    credential_service_client::CredentialServiceClient,
};
use tonic::Code;

use crate::world::{Tenant, World};

scenarios!(an_export_is_verified_offline_by_the_published_keys, a_backend_reads_and_exports_what_was_done_for_it_and_nothing_else,);

/// Exports every line, a few at a time.
async fn export(client: &Nodkey, relying_party_id: &str) -> Vec<String> {
    let mut log = AuditServiceClient::new(client.channel(ServiceName::Registry));
    let (mut lines, mut page_token) = (Vec::new(), String::new());
    loop {
        let request = ListAuditRecordsRequest { page_size: 3, page_token, relying_party_id: relying_party_id.to_owned() };
        let page = log.list_audit_records(request).await.unwrap().into_inner();
        lines.extend(page.lines);
        page_token = page.next_page_token;
        if page_token.is_empty() {
            return lines;
        }
    }
}

async fn verify(tenant: &Tenant, lines: &[String]) -> Report {
    let archive = tenant.backend.jwks_archive().await.unwrap();
    let mut verifier = Verifier::new(&archive);
    for line in lines {
        verifier.line(line);
    }
    verifier.finish()
}

async fn an_export_is_verified_offline_by_the_published_keys(world: &World) {
    let tenant = world.tenant().await;
    let mut credentials = CredentialServiceClient::new(world.operator(Some(&tenant.id)).channel(ServiceName::Registry));
    let id = tenant.mobile.credential.as_ref().unwrap().id.clone();
    credentials.disable_credential(DisableCredentialRequest { id, ..DisableCredentialRequest::default() }).await.unwrap();
    let lines = export(&world.operator(None), &tenant.id).await;
    let report = verify(&tenant, &lines).await;
    assert!(report.is_proven(), "{report:?}");
    let [chain] = &report.chains[..] else { panic!("{report:?}") };
    assert_eq!((chain.chain.as_str(), chain.records), (tenant.id.as_str(), 6), "three acts, each with its outcome");
    // A missing line and a changed line are detected.
    let disabled = lines.iter().position(|line| line.contains("DisableCredential")).unwrap();
    let mut removed = lines.clone();
    removed.remove(disabled);
    assert!(!verify(&tenant, &removed).await.holds());
    let mut changed = lines.clone();
    changed[disabled] = changed[disabled].replace("DisableCredential", "CreateCredential");
    assert!(!verify(&tenant, &changed).await.holds());
    // The log of the whole deployment: other tests write at the same time, so not all of it is signed yet.
    let everything = verify(&tenant, &export(&world.operator(None), "").await).await;
    assert!(everything.holds() && everything.chains.len() > 1, "{everything:?}");
}

async fn a_backend_reads_and_exports_what_was_done_for_it_and_nothing_else(world: &World) {
    let (tenant, other) = (world.tenant().await, world.tenant().await);
    let mut log = AuditServiceClient::new(tenant.backend.channel(ServiceName::Registry));
    let listed = log.list_audit_entries(ListAuditEntriesRequest::default()).await.unwrap().into_inner().entries;
    assert_eq!(listed.len(), 2, "its credentials were made");
    assert!(listed.iter().all(|entry| entry.relying_party_id == tenant.id && entry.outcome == "OK"));
    let lines = export(&tenant.backend, "").await;
    assert!(verify(&tenant, &lines).await.is_proven());
    assert!(lines.iter().all(|line| !line.contains(&other.id)) && lines.iter().any(|line| line.contains(&tenant.id)));
    let named = ListAuditEntriesRequest { relying_party_id: other.id.clone(), ..ListAuditEntriesRequest::default() };
    assert_eq!(log.list_audit_entries(named).await.unwrap_err().code(), Code::NotFound);
    let named = ListAuditRecordsRequest { relying_party_id: other.id, ..ListAuditRecordsRequest::default() };
    assert_eq!(log.list_audit_records(named).await.unwrap_err().code(), Code::NotFound);
}
