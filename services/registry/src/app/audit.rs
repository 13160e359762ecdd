//! Use cases of the audit log.

use nodkey_kernel::{error::Classify as _, id::AuditEntryId};
use nodkey_proto::access::{ACCESS, is_reconfirmed};
use nodkey_runtime::page::Page;
use serde_json::json;

use super::{App, Presented, start};
use crate::{
    domain::{
        Refusal,
        audit::{Action, AuditEntry},
        confirmation::{MISSING, UNFIT},
    },
    error::Error,
    store::{
        audit::{self as store, Filter},
        confirmation as confirmations,
    },
};

/// Method name of audit entries for the use of a confirmation.
const USE: &str = "nodkey.registry.v1.ConfirmationService/UseConfirmation";
/// Method name of audit entries that count failed authentications.
const FAILURES: &str = "anonymous";

/// An audit entry for what an operator is about to do.
#[derive(Debug)]
pub struct Noted {
    /// Identifier of the entry.
    pub id: AuditEntryId,
    /// SHA-256 of the confirmed request, if the method requires confirmation.
    pub confirmed: Option<[u8; 32]>,
}

impl App {
    /// Records what an operator is about to do or, with an outcome, what was done or refused.
    pub async fn create_audit_entry(&self, action: Action, outcome: &str) -> Result<AuditEntryId, Error> {
        let entry = self.entry(action, outcome);
        let (id, mut tx) = (entry.id, self.0.db.begin().await?);
        store::append(&mut tx, entry.into()).await?;
        tx.commit().await?;
        Ok(id)
    }

    /// Records what an operator is about to do, and refuses it if a required confirmation is missing or does not fit. A missing
    /// confirmation is not recorded, since that is how clients learn that one is required. One that does not fit is.
    pub async fn note_intent(&self, action: Action, presented: Presented) -> Result<Noted, Error> {
        let Some(operator) = action.operator.filter(|_| is_reconfirmed(&format!("/{}", action.method))) else {
            return Ok(Noted { id: self.create_audit_entry(action, "").await?, confirmed: None });
        };
        let confirmation = match self.confirmed(operator, &action, presented).await {
            Ok(confirmation) => confirmation,
            Err(Error::Refused(refusal)) => {
                if refusal != MISSING {
                    self.create_audit_entry(action, refusal.reason()).await?;
                }
                return Err(refusal.into());
            }
            Err(e) => return Err(e),
        };
        let used = json!({
            "confirmationId": confirmation.id,
            "trusonaficationId": confirmation.trusonafication,
            "method": action.method,
            "sha256": hex::encode(confirmation.request.sha256),
        });
        let used = Action { method: USE.to_owned(), request: used.to_string(), ..action.clone() };
        let (used, entry) = (self.entry(used, "OK"), self.entry(action.clone(), ""));
        let (id, mut tx) = (entry.id, self.0.db.begin().await?);
        if !confirmations::spend(&mut tx, confirmation.id, id, self.now()).await? {
            tx.rollback().await?;
            self.create_audit_entry(action, UNFIT.reason()).await?;
            return Err(UNFIT.into());
        }
        store::append(&mut tx, used.into()).await?;
        store::append(&mut tx, entry.into()).await?;
        tx.commit().await?;
        Ok(Noted { id, confirmed: Some(confirmation.request.sha256) })
    }

    /// Records the outcome, once, with the parts of the request that are known only then.
    pub async fn complete_audit_entry(&self, id: AuditEntryId, request: String, outcome: &str) -> Result<(), Error> {
        let entry = self.entry(Action { request, ..Action::default() }, outcome);
        let mut tx = self.0.db.begin().await?;
        store::append_outcome(&mut tx, entry, id).await?;
        Ok(tx.commit().await?)
    }

    /// Counts a failed authentication.
    pub(super) fn note_failure(&self, what: &'static str, source: &str, reason: &'static str) {
        self.0.failures.note(what, source, reason);
    }

    /// Records, in one entry, the failed authentications since the last such entry.
    pub async fn write_failures(&self) -> Result<(), Error> {
        let Some(request) = self.0.failures.take() else { return Ok(()) };
        let action = Action { actor: "anonymous".into(), method: FAILURES.into(), request, ..Action::default() };
        self.create_audit_entry(action, "UNAUTHENTICATED").await.map(drop)
    }

    /// Lists entries with the token of the next page.
    pub async fn audit_entries(&self, filter: &Filter, page: &Page) -> Result<(Vec<AuditEntry>, String), Error> {
        let mut start = start(page, |id| id.parse().ok())?;
        if filter.oldest_first {
            start.at = page.since();
        }
        let found = store::list(&self.0.db, filter, &start, page.size).await?.into_parts();
        if found.0.is_empty() && page.after.is_none() {
            self.ensure_there(filter).await?;
        }
        Ok(found)
    }

    /// For a filter without results: refuses it if what it names does not exist. Entries of methods that were removed are still found.
    async fn ensure_there(&self, filter: &Filter) -> Result<(), Error> {
        if let Some(party) = filter.relying_party {
            self.relying_party(party).await?;
        }
        if let Some(operator) = filter.operator {
            self.ensure_operator(operator).await?;
        }
        let is_named = |path: &str| path == filter.method || path.rsplit('/').next() == Some(&filter.method);
        let mut methods = ACCESS.iter().map(|(path, _)| path.trim_start_matches('/')).chain([USE, FAILURES]);
        if filter.method.is_empty() || methods.any(is_named) {
            return Ok(());
        }
        Err(Refusal::invalid("method", "must be an existing method, such as CreateCredential, or its full path").into())
    }

    /// Makes an entry. Entries for actions in the registry itself are written in the same transaction.
    pub(super) fn entry(&self, action: Action, outcome: &str) -> AuditEntry {
        let at = self.now();
        let mut action = action.bounded();
        if action.trace_id.is_empty() {
            action.trace_id = nodkey_trace::trace_id().unwrap_or_default();
        }
        AuditEntry { id: AuditEntryId::generate(at, &self.0.random), at, action, outcome: outcome.to_owned() }
    }
}
