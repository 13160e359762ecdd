//! Conversion from domain types to messages.

use nodkey_kernel::challenge::RequestContext;
use nodkey_proto::{
    convert::{timestamp, to_struct},
    trusonafication::v1 as pb,
};

use crate::domain::{Grade, MatchMode, Outcome, Reason, State, Target, Trusonafication};

/// Converts a trusonafication for responses.
#[must_use]
pub fn message(t: &Trusonafication) -> pb::Trusonafication {
    let RequestContext { address, browser, place } = t.ask.request_context.clone();
    let request_context = (!t.ask.request_context.is_empty()).then_some(pb::RequestContext { address, browser, place });
    // For older clients, and only if it has the same meaning.
    let custom_fields = t.ask.custom_fields().as_ref().and_then(to_struct);
    pb::Trusonafication { custom_fields, request_context, ..event(t) }
}

/// Converts a trusonafication for events: custom fields once, as text, and without the request context.
#[must_use]
pub fn event(t: &Trusonafication) -> pb::Trusonafication {
    let trucode_id = match &t.ask.target {
        Target::TruCode(code) => code.to_string(),
        Target::User(_) | Target::Device(_) => String::new(),
    };
    let number_match = match t.ask.number_match.as_ref().map(|m| m.mode) {
        None => pb::NumberMatch::Unspecified,
        Some(MatchMode::Choose) => pb::NumberMatch::Choose,
        Some(MatchMode::Enter) => pb::NumberMatch::Enter,
    };
    pb::Trusonafication {
        id: t.id.to_string(),
        relying_party_id: t.relying_party.to_string(),
        status: status(&t.state).into(),
        desired_level: t.ask.desired_level.as_i32(),
        action: t.ask.action.clone(),
        resource: t.ask.resource.clone(),
        user_identifier: t.user.clone().unwrap_or_default(),
        device_identifier: t.device.as_ref().map(ToString::to_string).unwrap_or_default(),
        trucode_id,
        prompt: t.ask.prompt,
        user_presence: t.ask.user_presence,
        show_identity_document: t.ask.show_identity_document,
        custom_fields: None,
        callback_url: t.ask.callback_url.clone().unwrap_or_default(),
        relying_party_name: t.relying_party_name.clone(),
        created_at: Some(timestamp(t.created_at)),
        updated_at: Some(timestamp(t.updated_at)),
        expires_at: Some(timestamp(t.ask.expires_at)),
        result: result(&t.state),
        number_match: number_match.into(),
        version: t.version,
        custom_fields_json: t.ask.custom_fields.clone().unwrap_or_default(),
        context: t.ask.context.clone(),
        request_context: None,
    }
}

/// The status of a state.
#[must_use]
pub const fn status(state: &State) -> pb::Status {
    match state {
        State::InProgress => pb::Status::InProgress,
        State::Accepted { grade: Grade::AtLevel, .. } => pb::Status::Accepted,
        State::Accepted { grade: Grade::Higher, .. } => pb::Status::AcceptedAtHigherLevel,
        State::Accepted { grade: Grade::Lower, .. } => pb::Status::AcceptedAtLowerLevel,
        State::Rejected { .. } => pb::Status::Rejected,
        State::Expired => pb::Status::Expired,
        State::Canceled => pb::Status::Canceled,
    }
}

/// The level that was proven; 0 unless accepted.
#[must_use]
pub const fn accepted_level(state: &State) -> i32 {
    match state {
        State::Accepted { level, .. } => level.as_i32(),
        _ => 0,
    }
}

fn result(state: &State) -> Option<pb::Result> {
    let (outcome, reason): (&Outcome, _) = match state {
        State::Accepted { outcome, .. } => (outcome, None),
        State::Rejected { outcome, reason } => (outcome, *reason),
        State::InProgress | State::Expired | State::Canceled => return None,
    };
    let reject_reason = match reason {
        None => pb::RejectReason::Unspecified,
        Some(Reason::NotMe) => pb::RejectReason::NotMe,
        Some(Reason::ChangedMind) => pb::RejectReason::ChangedMind,
        Some(Reason::NumberMismatch) => pb::RejectReason::NumberMismatch,
    };
    Some(pb::Result {
        id: outcome.id.to_string(),
        accepted: matches!(state, State::Accepted { .. }),
        accepted_level: accepted_level(state),
        bound_user_identifier: outcome.user.clone(),
        device_identifier: outcome.device.to_string(),
        reject_reason: reject_reason.into(),
    })
}
