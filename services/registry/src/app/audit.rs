//! Use cases of the audit log.

use nodkey_kernel::id::AuditEntryId;
use nodkey_runtime::{page::Page, trace};

use super::{App, start};
use crate::{
    domain::audit::{Action, AuditEntry},
    error::Error,
    store::audit::{self as store, Filter},
};

impl App {
    /// Notes what an operator is about to do.
    pub async fn create_audit_entry(&self, action: Action) -> Result<AuditEntryId, Error> {
        let entry = self.entry(action, "");
        let mut tx = self.0.db.begin().await?;
        store::insert(&mut tx, &entry).await?;
        tx.commit().await?;
        Ok(entry.id)
    }

    /// Notes what came of it.
    pub async fn complete_audit_entry(&self, id: AuditEntryId, outcome: &str) -> Result<(), Error> {
        store::complete(&self.0.db, id, outcome).await
    }

    /// Lists entries, newest first, with the token of the next page.
    pub async fn audit_entries(&self, filter: &Filter, page: &Page) -> Result<(Vec<AuditEntry>, String), Error> {
        let start = start(page, |id| id.parse().ok())?;
        Ok(store::list(&self.0.db, filter, &start, page.size).await?.into_parts())
    }

    /// Makes an entry; what is done in the registry itself is written with it.
    pub(super) fn entry(&self, action: Action, outcome: &str) -> AuditEntry {
        let at = self.now();
        let mut action = action.bounded();
        if action.trace_id.is_empty() {
            action.trace_id = trace::current().map(|context| trace::id(&context)).unwrap_or_default();
        }
        AuditEntry { id: AuditEntryId::generate(at, &self.0.random), at, action, outcome: outcome.to_owned() }
    }
}
