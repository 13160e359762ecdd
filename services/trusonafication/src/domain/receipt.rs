//! What is signed when a trusonafication ends.

use nodkey_kernel::{
    challenge::{Decision, challenge_hash},
    id::DeliveryId,
    receipt::{ReceiptClaims, ReceiptReason, ReceiptStatus, data_hash},
    result::{ReceiptMembers, ResultClaims},
};
use uuid::Uuid;

use super::{Answer, Grade, Outcome, Reason, State, Trusonafication};

/// What a receipt contains besides the trusonafication.
#[derive(Clone, Copy, Debug)]
pub struct Proven<'a> {
    /// The gateway's public URL.
    pub issuer: &'a str,
    /// Identifier of the result if nobody answered.
    pub id: Uuid,
    /// The challenge as issued.
    pub challenge: &'a str,
    /// The verified answer, and the response as received.
    pub answer: Option<(&'a Answer, &'a str)>,
    /// The webhook payload.
    pub data: &'a str,
}

/// The status in receipts; `None` while in progress.
#[must_use]
pub const fn receipt_status(state: &State) -> Option<ReceiptStatus> {
    match state {
        State::InProgress => None,
        State::Accepted { grade: Grade::AtLevel, .. } => Some(ReceiptStatus::Accepted),
        State::Accepted { grade: Grade::Higher, .. } => Some(ReceiptStatus::AcceptedAtHigherLevel),
        State::Accepted { grade: Grade::Lower, .. } => Some(ReceiptStatus::AcceptedAtLowerLevel),
        State::Rejected { .. } => Some(ReceiptStatus::Rejected),
        State::Expired => Some(ReceiptStatus::Expired),
        State::Canceled => Some(ReceiptStatus::Canceled),
    }
}

/// The receipt of an ended trusonafication; `None` while in progress.
#[must_use]
pub fn receipt(t: &Trusonafication, proven: Proven<'_>) -> Option<ReceiptClaims> {
    let (outcome, level, dec, why): (Option<&Outcome>, _, _, _) = match &t.state {
        State::Accepted { outcome, level, .. } => (Some(outcome), Some(*level), Some(Decision::Accept), None),
        State::Rejected { outcome, reason } => (Some(outcome), None, Some(Decision::Reject), reason.map(ReceiptReason::from)),
        State::InProgress | State::Expired | State::Canceled => (None, None, None, None),
    };
    let Proven { issuer, id, challenge, answer, data } = proven;
    Some(ReceiptClaims {
        iss: issuer.to_owned(),
        jti: outcome.map_or(id, |outcome| outcome.id).to_string(),
        sub: t.id.to_string(),
        rp: t.relying_party.to_string(),
        at: t.updated_at.as_micros(),
        status: receipt_status(&t.state)?,
        level,
        dec,
        why,
        dev: outcome.map(|outcome| &outcome.device).or(t.device.as_ref()).map(ToString::to_string),
        key: answer.map(|(answer, _)| answer.signed_by.clone()),
        user: outcome.map(|outcome| &outcome.user).or(t.user.as_ref()).cloned(),
        chal: challenge_hash(challenge),
        resp: answer.map(|(_, response)| challenge_hash(response)),
        data: Some(data_hash(data)),
    })
}

/// The result that the given delivery sends to the `callback_url`, including the members of the receipt if there is one; `None` while in
/// progress.
#[must_use]
pub fn result(t: &Trusonafication, issuer: &str, delivery: DeliveryId, receipt: Option<ReceiptClaims>) -> Option<ResultClaims> {
    let accepted_level = if let State::Accepted { level, .. } = &t.state { Some(level.as_i32()) } else { None };
    Some(ResultClaims {
        iss: issuer.to_owned(),
        aud: t.relying_party.to_string().into(),
        sub: t.id.to_string(),
        jti: delivery.to_string(),
        iat: t.updated_at.as_seconds(),
        status: receipt_status(&t.state)?.as_str().to_owned(),
        desired_level: t.ask.desired_level.as_i32(),
        accepted_level,
        action: t.ask.action.clone(),
        resource: t.ask.resource.clone(),
        user_identifier: t.user.clone(),
        device_identifier: t.device.as_ref().map(ToString::to_string),
        receipt: receipt.map(ReceiptMembers::from),
    })
}

impl From<Reason> for ReceiptReason {
    fn from(reason: Reason) -> Self {
        match reason {
            Reason::NotMe => Self::NotMe,
            Reason::ChangedMind => Self::ChangedMind,
            Reason::NumberMismatch => Self::NumberMismatch,
        }
    }
}
