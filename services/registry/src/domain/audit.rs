//! Audit entries and how they are chained.

use nodkey_kernel::{
    audit::{CheckpointClaims, DEPLOYMENT, Record, RecordKind},
    id::{AuditEntryId, OperatorId, RelyingPartyId},
    time::Timestamp,
};
use serde_json::{Value, json};
use uuid::Uuid;

use super::operator::Operator;

/// Maximum size of a stored request, in bytes.
const MAX_REQUEST: usize = 4096;
/// Maximum length of any other text, in characters.
const MAX_TEXT: usize = 200;

/// What an operator did, or was refused.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AuditEntry {
    /// Identifier of the entry.
    pub id: AuditEntryId,
    /// When it happened.
    pub at: Timestamp,
    /// What was done.
    pub action: Action,
    /// `OK` or an error reason; empty while the outcome is not known.
    pub outcome: String,
}

/// Who did what, and for which relying party.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Action {
    /// The operator; `None` for a caller with the operator key.
    pub operator: Option<OperatorId>,
    /// Name of the operator at that time.
    pub actor: String,
    /// Role of the operator at that time.
    pub role: String,
    /// The relying party the operator acted for.
    pub relying_party: Option<RelyingPartyId>,
    /// `package.Service/Method`.
    pub method: String,
    /// The request as JSON, without secrets.
    pub request: String,
    /// Trace id in logs and events.
    pub trace_id: String,
}

impl Action {
    /// An action of an operator that no API records by itself.
    #[must_use]
    pub fn of(operator: &Operator, method: &str, request: String) -> Self {
        Self {
            operator: Some(operator.id),
            actor: operator.name.clone(),
            role: operator.role.to_string(),
            method: method.to_owned(),
            request,
            ..Self::default()
        }
    }

    /// Truncates texts that are too long: a truncated entry is better than none.
    #[must_use]
    pub fn bounded(mut self) -> Self {
        self.request.truncate(self.request.floor_char_boundary(MAX_REQUEST));
        for text in [&mut self.actor, &mut self.role, &mut self.method, &mut self.trace_id] {
            text.truncate(text.floor_char_boundary(MAX_TEXT));
        }
        self
    }
}

impl AuditEntry {
    /// The entry as the export shows it when it is in no chain.
    #[must_use]
    pub fn to_value(&self) -> Value {
        let Self { id, at, action, outcome } = self;
        json!({
            "id": id,
            "at": at.as_micros(),
            "actor": action.actor,
            "role": action.role,
            "operator": action.operator,
            "relying_party": action.relying_party,
            "method": action.method,
            "request": action.request,
            "outcome": outcome,
            "trace_id": action.trace_id,
        })
    }
}

/// A record to append to the log: an entry and how it relates to others.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NewRecord {
    /// Kind of record.
    pub kind: RecordKind,
    /// The intent that an outcome belongs to.
    pub intent: Option<AuditEntryId>,
    /// The entry itself.
    pub entry: AuditEntry,
}

impl From<AuditEntry> for NewRecord {
    /// An entry without an outcome is an intent.
    fn from(entry: AuditEntry) -> Self {
        let kind = if entry.outcome.is_empty() { RecordKind::Intent } else { RecordKind::Event };
        Self { kind, intent: None, entry }
    }
}

/// Identifier of a chain.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct ChainId(pub Uuid);

impl ChainId {
    /// The chain of entries that belong to no relying party.
    pub const DEPLOYMENT: Self = Self(Uuid::nil());

    /// Its name in records and checkpoints.
    #[must_use]
    pub fn name(self) -> String {
        if self == Self::DEPLOYMENT { DEPLOYMENT.to_owned() } else { self.0.to_string() }
    }
}

/// The state of a chain: its newest entry, its cut and its checkpoint.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Chain {
    /// Identifier of the chain.
    pub id: ChainId,
    /// Position of the newest entry; 0 if there is none.
    pub seq: u64,
    /// Hash of the newest entry.
    pub hash: [u8; 32],
    /// Position of the last entry that retention has deleted; 0 if none was.
    pub cut: u64,
    /// Hash of that entry.
    pub cut_hash: [u8; 32],
    /// Position of the newest entry that a checkpoint covers.
    pub checkpoint: u64,
}

impl Chain {
    /// The claims that a checkpoint signs about the chain up to an entry.
    #[must_use]
    pub fn claims(&self, issuer: &str, upto: (u64, [u8; 32]), chains: Option<u64>, now: Timestamp) -> CheckpointClaims {
        CheckpointClaims {
            iss: issuer.to_owned(),
            chain: self.id.name(),
            seq: upto.0,
            hash: hex::encode(upto.1),
            cut: self.cut,
            chains,
            at: now.as_micros(),
        }
    }
}

/// An entry in its chain.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Chained {
    /// The chain.
    pub chain: ChainId,
    /// Its position, from 1.
    pub seq: u64,
    /// Hash of the previous entry.
    pub prev: [u8; 32],
    /// The entry.
    pub record: NewRecord,
}

impl Chained {
    /// The form of the entry that is hashed, exported and verified.
    #[must_use]
    pub fn to_record(&self) -> Record {
        let NewRecord { kind, intent, entry } = &self.record;
        let action = &entry.action;
        Record {
            actor: action.actor.clone(),
            at: entry.at.as_micros(),
            chain: self.chain.name(),
            id: entry.id.to_string(),
            intent: intent.map(|id| id.to_string()),
            kind: *kind,
            method: action.method.clone(),
            operator: action.operator.map(|id| id.to_string()),
            // An earlier release may fill it in; the outcome has its own record.
            outcome: if *kind == RecordKind::Intent { String::new() } else { entry.outcome.clone() },
            prev: hex::encode(self.prev),
            relying_party: action.relying_party.map(|id| id.to_string()),
            request: action.request.clone(),
            role: action.role.clone(),
            seq: self.seq,
            trace_id: action.trace_id.clone(),
        }
    }

    /// Hash of the record.
    #[must_use]
    pub fn hash(&self) -> [u8; 32] {
        self.to_record().hash()
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn whatever_is_long_is_cut_off_between_characters(text in ".{0,300}", times in 1_usize..40) {
            let request = text.repeat(times);
            let action = Action { request: request.clone(), method: text.clone(), ..Action::default() }.bounded();
            prop_assert!(action.request.len() <= MAX_REQUEST && request.starts_with(&action.request));
            prop_assert!(action.request.len() + 4 > MAX_REQUEST || action.request == request);
            prop_assert!(text.starts_with(&action.method) && action.method.len() <= MAX_TEXT);
        }

        #[test]
        fn whatever_is_changed_in_an_entry_changes_its_hash(text in "[a-z]{1,20}", seq in 1_u64..1_000_000, which in 0..9) {
            let chained = |action: Action, outcome: &str, seq: u64, prev: [u8; 32], micros: i64| {
                let id = AuditEntryId::from_uuid(Uuid::nil());
                let entry = AuditEntry { id, at: Timestamp::from_micros(micros), action, outcome: outcome.to_owned() };
                let record = NewRecord { kind: RecordKind::Event, intent: None, entry };
                Chained { chain: ChainId::DEPLOYMENT, seq, prev, record }.hash()
            };
            let (action, before) = (Action::default(), chained(Action::default(), "OK", seq, [0; 32], 7));
            prop_assert_eq!(before, chained(action.clone(), "OK", seq, [0; 32], 7));
            let after = match which {
                0 => chained(Action { actor: text, ..action }, "OK", seq, [0; 32], 7),
                1 => chained(Action { role: text, ..action }, "OK", seq, [0; 32], 7),
                2 => chained(Action { method: text, ..action }, "OK", seq, [0; 32], 7),
                3 => chained(Action { request: text, ..action }, "OK", seq, [0; 32], 7),
                4 => chained(Action { trace_id: text, ..action }, "OK", seq, [0; 32], 7),
                5 => chained(action, &text, seq, [0; 32], 7),
                6 => chained(action, "OK", seq + 1, [0; 32], 7),
                7 => chained(action, "OK", seq, [1; 32], 7),
                _ => chained(action, "OK", seq, [0; 32], 8),
            };
            prop_assert_ne!(before, after);
        }
    }
}
