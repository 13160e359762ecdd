//! Trusonafications and their transitions: from in progress to exactly one terminal status.

mod answer;
mod ask;
mod budget;
mod number;
mod receipt;
mod target;
mod trucode;

use nodkey_kernel::{
    challenge::Decision,
    id::{BindingId, DeviceId, RelyingPartyId, TrusonaficationId},
    level::Level,
    named,
    time::Timestamp,
};
use uuid::Uuid;

pub use answer::{Answer, AnsweringDevice, PresenceKey, Stated, answer};
pub use ask::{Ask, Limits, MAX_CUSTOM_FIELDS, Unchecked};
use budget::held_until;
pub use budget::{Budget, PAIRED_WITHIN, Waiting, Way};
pub use number::{Digits, MatchMode, NumberMatch, two_digits};
pub use receipt::{Proven, receipt, receipt_status, result};
pub use target::{Target, TargetKind};
pub use trucode::{MAX_TEXT as MAX_IDENTIFIER, MAX_WRONG_NUMBERS, Paired, PayloadClaims, TruCode};

/// Why an answer, a cancellation or a pairing is refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Refusal {
    /// The response does not fit this challenge.
    #[error("the response does not answer this challenge: {0}")]
    InvalidResponse(&'static str),
    /// The response is not signed with a key of the device.
    #[error("the response is not signed by a key of the device")]
    InvalidSignature,
    /// The trusonafication targets another device.
    #[error("this trusonafication is for another device")]
    NotAddressed,
    /// The answer arrived after the expiry, or the code has expired.
    #[error("the trusonafication or the code has expired")]
    Expired,
    /// A different answer was first, or it was canceled.
    #[error("the trusonafication has already ended with another result")]
    AlreadyCompleted,
    /// It has ended.
    #[error("the trusonafication is no longer in progress")]
    NotInProgress,
    /// The payload was not issued here, or not for this device.
    #[error("the payload does not belong to a code for this device")]
    InvalidPayload,
    /// Another identifier was paired first.
    #[error("the code is already paired with another identifier")]
    AlreadyPaired,
    /// The person looks at a page other than the one that created the code.
    #[error("the number is not the one that the page shows")]
    NumberMismatch,
    /// Protects against guessing.
    #[error("too many wrong numbers ended the code; show another one")]
    TooManyWrongNumbers,
}

/// How an acceptance compares to the desired level.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Grade {
    /// At the desired level.
    AtLevel,
    /// At a higher level.
    Higher,
    /// At a lower level.
    Lower,
}

named! {
    /// Why a trusonafication was rejected.
    pub enum Reason {
        /// The person did not start this.
        NotMe = "not_me",
        /// The person started it, and no longer wants it.
        ChangedMind = "changed_mind",
        /// The number was not the one shown.
        NumberMismatch = "number_mismatch",
    }
}

named! {
    /// Name of a trusonafication's status.
    pub enum Status {
        /// Waiting for an answer.
        InProgress = "in_progress",
        /// Accepted at the desired level.
        Accepted = "accepted",
        /// Accepted at a higher level than desired.
        AcceptedAtHigherLevel = "accepted_at_higher_level",
        /// Accepted at a lower level than desired.
        AcceptedAtLowerLevel = "accepted_at_lower_level",
        /// Rejected.
        Rejected = "rejected",
        /// Not answered before it expired.
        Expired = "expired",
        /// Canceled.
        Canceled = "canceled",
    }
}

/// The answer that led to a terminal state.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Outcome {
    /// Identifier of the result.
    pub id: Uuid,
    /// The device that answered.
    pub device: DeviceId,
    /// The user it was bound to at that time.
    pub user: String,
    /// The signed decision.
    pub decision: Decision,
    /// The signed number.
    pub number: Option<String>,
}

/// State of a trusonafication. A terminal state is never left.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum State {
    /// Waiting for an answer.
    InProgress,
    /// Accepted; terminal.
    Accepted {
        /// The answer.
        outcome: Outcome,
        /// The level that was proven.
        level: Level,
        /// How it compares to the desired level.
        grade: Grade,
    },
    /// Rejected; terminal.
    Rejected {
        /// The answer.
        outcome: Outcome,
        /// The reason, if given.
        reason: Option<Reason>,
    },
    /// Expired; terminal.
    Expired,
    /// Canceled; terminal.
    Canceled,
}

impl State {
    /// Name of the state.
    #[must_use]
    pub const fn status(&self) -> Status {
        match self {
            Self::InProgress => Status::InProgress,
            Self::Accepted { grade: Grade::AtLevel, .. } => Status::Accepted,
            Self::Accepted { grade: Grade::Higher, .. } => Status::AcceptedAtHigherLevel,
            Self::Accepted { grade: Grade::Lower, .. } => Status::AcceptedAtLowerLevel,
            Self::Rejected { .. } => Status::Rejected,
            Self::Expired => Status::Expired,
            Self::Canceled => Status::Canceled,
        }
    }
}

/// An authentication challenge.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Trusonafication {
    /// Identifier of the trusonafication.
    pub id: TrusonaficationId,
    /// The relying party that created it.
    pub relying_party: RelyingPartyId,
    /// Its name as shown to the person.
    pub relying_party_name: String,
    /// What was requested.
    pub ask: Ask,
    /// The user, once known.
    pub user: Option<String>,
    /// The device, once known.
    pub device: Option<DeviceId>,
    /// The devices notified when it was created.
    pub told: Vec<DeviceId>,
    /// The bindings of these devices to the user at that time; `None` if it was created before bindings were recorded.
    pub bindings: Option<Vec<BindingId>>,
    /// How it is accounted for.
    pub way: Way,
    /// When it was created.
    pub created_at: Timestamp,
    /// When it was last changed.
    pub updated_at: Timestamp,
    /// State of the trusonafication.
    pub state: State,
    /// Counts the changes of state, from 1.
    pub version: i64,
    /// `traceparent` of the request that created it (W3C Trace Context): what becomes of it belongs to the same trace.
    pub traceparent: Option<String>,
}

/// The result of a transition.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Change {
    /// Nothing changed: the same answer was given before.
    Same(Trusonafication),
    /// The new state, one version later.
    Changed(Trusonafication),
}

impl Trusonafication {
    /// Whether it was sent to one of these bindings, so that the end of a binding does not affect trusonafications of a later binding of
    /// the same user or device. If its bindings were not recorded, it is assumed to have been.
    #[must_use]
    pub fn was_sent_to(&self, bindings: &[BindingId]) -> bool {
        self.bindings.as_ref().is_none_or(|own| own.iter().any(|id| bindings.contains(id)))
    }

    /// Until when its context is blocked because the user reported "not me"; `None` if nothing is blocked.
    #[must_use]
    pub fn held_until(&self) -> Option<Timestamp> {
        let reported = matches!(self.state, State::Rejected { reason: Some(Reason::NotMe), .. });
        (reported && self.way != Way::Tolerated).then(|| held_until(&self.ask.context, self.updated_at))
    }

    /// Whether it was rejected because of a wrong number.
    #[must_use]
    pub const fn has_wrong_number(&self) -> bool {
        matches!(self.state, State::Rejected { reason: Some(Reason::NumberMismatch), .. })
    }

    /// Whether the state is terminal.
    #[must_use]
    pub const fn is_terminal(&self) -> bool {
        !matches!(self.state, State::InProgress)
    }

    /// Whether the user started it, with a code. What targets a user never counts as that: other devices would show it first as well.
    #[must_use]
    pub const fn is_self_started(&self) -> bool {
        match self.ask.target {
            Target::TruCode(_) => true,
            Target::Device(_) => matches!(self.way, Way::Own),
            Target::User(_) => false,
        }
    }

    /// Whether it is past its expiry but still in progress.
    #[must_use]
    pub fn is_overdue(&self, now: Timestamp) -> bool {
        !self.is_terminal() && self.ask.expires_at <= now
    }

    /// Its state as of `now`: overdue counts as expired, whether that is written yet or not.
    #[must_use]
    pub fn effective_at(self, now: Timestamp) -> Self {
        if self.is_overdue(now) { self.transition(State::Expired, now) } else { self }
    }

    /// Applies a verified answer. The time of arrival counts, not the one that the phone claims.
    pub fn respond(self, result_id: Uuid, answer: &Answer, now: Timestamp) -> Result<Change, Refusal> {
        let addressed = match &self.ask.target {
            Target::Device(device) => *device == answer.device,
            Target::User(user) => *user == answer.user,
            // Only the device that paired it may answer.
            Target::TruCode(_) => self.device.as_ref() == Some(&answer.device),
        };
        if !addressed {
            return Err(Refusal::NotAddressed);
        }
        match &self.state {
            State::InProgress if self.is_overdue(now) => Err(Refusal::Expired),
            State::InProgress => {
                let state = self.decide(result_id, answer);
                let mut changed = self.transition(state, now);
                changed.user = Some(answer.user.clone());
                changed.device = Some(answer.device.clone());
                Ok(Change::Changed(changed))
            }
            State::Accepted { outcome, .. } | State::Rejected { outcome, .. } => {
                let same = outcome.device == answer.device && outcome.decision == answer.decision && outcome.number == answer.number;
                if same { Ok(Change::Same(self)) } else { Err(Refusal::AlreadyCompleted) }
            }
            State::Expired => Err(Refusal::Expired),
            State::Canceled => Err(Refusal::AlreadyCompleted),
        }
    }

    fn decide(&self, result_id: Uuid, answer: &Answer) -> State {
        let outcome = Outcome {
            id: result_id,
            device: answer.device.clone(),
            user: answer.user.clone(),
            decision: answer.decision,
            number: answer.number.clone(),
        };
        if answer.decision == Decision::Reject {
            return State::Rejected { outcome, reason: answer.reason };
        }
        if self.ask.number_match.as_ref().is_some_and(|m| Some(&m.number) != answer.number.as_ref()) {
            return State::Rejected { outcome, reason: Some(Reason::NumberMismatch) };
        }
        State::Accepted { outcome, level: answer.proven, grade: self.ask.grade(answer.proven) }
    }

    /// Cancels the trusonafication. Canceling it again changes nothing.
    pub fn cancel(self, now: Timestamp) -> Result<Change, Refusal> {
        match self.state {
            State::Canceled => Ok(Change::Same(self)),
            State::InProgress if !self.is_overdue(now) => Ok(Change::Changed(self.transition(State::Canceled, now))),
            _ => Err(Refusal::NotInProgress),
        }
    }

    /// Ends it if its time is up.
    #[must_use]
    pub fn expire(self, now: Timestamp) -> Change {
        if self.is_overdue(now) { Change::Changed(self.transition(State::Expired, now)) } else { Change::Same(self) }
    }

    fn transition(self, state: State, now: Timestamp) -> Self {
        Self { state, updated_at: now, version: self.version + 1, ..self }
    }
}

#[cfg(test)]
mod tests;
