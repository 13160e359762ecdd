//! Use cases of the audit log.

use nodkey_kernel::id::AuditEntryId;
use nodkey_runtime::{page::Page, trace};

use super::{App, start};
use crate::{
    domain::audit::{Action, AuditEntry},
    error::Error,
    store::audit::{self as store, Filter},
};

/// What the entries are called that count failures.
const FAILURES: &str = "anonymous";

impl App {
    /// Writes down what an operator is about to do, or, with an outcome, what was done or refused.
    pub async fn create_audit_entry(&self, action: Action, outcome: &str) -> Result<AuditEntryId, Error> {
        let entry = self.entry(action, outcome);
        let (id, mut tx) = (entry.id, self.0.db.begin().await?);
        store::append(&mut tx, entry.into()).await?;
        tx.commit().await?;
        Ok(id)
    }

    /// Writes down what came of it, once, and what is known of the request only then.
    pub async fn complete_audit_entry(&self, id: AuditEntryId, request: String, outcome: &str) -> Result<(), Error> {
        let entry = self.entry(Action { request, ..Action::default() }, outcome);
        let mut tx = self.0.db.begin().await?;
        store::append_outcome(&mut tx, entry, id).await?;
        Ok(tx.commit().await?)
    }

    /// Counts somebody who did not prove who they are.
    pub(super) fn note_failure(&self, what: &'static str, source: &str, reason: &'static str) {
        self.0.failures.note(what, source, reason);
    }

    /// Writes down, in one entry, how many did not prove who they are since the last time.
    pub async fn write_failures(&self) -> Result<(), Error> {
        let Some(request) = self.0.failures.take() else { return Ok(()) };
        let action = Action { actor: "anonymous".into(), method: FAILURES.into(), request, ..Action::default() };
        self.create_audit_entry(action, "UNAUTHENTICATED").await.map(drop)
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
