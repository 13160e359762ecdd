//! What operators did.

use nodkey_kernel::{
    id::{AuditEntryId, OperatorId, RelyingPartyId},
    time::Timestamp,
};

use super::operator::Operator;

/// The most of a request that is kept, in bytes.
const MAX_REQUEST: usize = 4096;
/// The most any other text has, in characters.
const MAX_TEXT: usize = 200;

/// Something an operator did, or was refused.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AuditEntry {
    /// Names it.
    pub id: AuditEntryId,
    /// When.
    pub at: Timestamp,
    /// What.
    pub action: Action,
    /// `OK` or a reason; empty while it is not known.
    pub outcome: String,
}

/// Who did what, for whom.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Action {
    /// `None`: whoever holds the operator key.
    pub operator: Option<OperatorId>,
    /// Their name then.
    pub actor: String,
    /// Their role then.
    pub role: String,
    /// Whom they acted for.
    pub relying_party: Option<RelyingPartyId>,
    /// `package.Service/Method`.
    pub method: String,
    /// JSON, without secrets.
    pub request: String,
    /// Of logs and events.
    pub trace_id: String,
}

impl Action {
    /// What an operator does by no door that notes it.
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

    /// Cuts off what is too long: an entry is better than none.
    #[must_use]
    pub fn bounded(mut self) -> Self {
        self.request.truncate(self.request.floor_char_boundary(MAX_REQUEST));
        for text in [&mut self.actor, &mut self.role, &mut self.method, &mut self.trace_id] {
            text.truncate(text.floor_char_boundary(MAX_TEXT));
        }
        self
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
    }
}
