//! A trusonafication and what may become of it: from in progress to exactly one terminal status.

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

/// Why an answer or a withdrawal is refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Refusal {
    /// The response is not one to this challenge.
    #[error("the response is not one to this challenge: {0}")]
    InvalidResponse(&'static str),
    /// The response is not signed by a key of the device.
    #[error("the response is not signed by a key of the device")]
    InvalidSignature,
    /// Another is asked.
    #[error("this device is not asked")]
    NotAddressed,
    /// The answer came too late.
    #[error("it has expired")]
    Expired,
    /// Another answer was first, or it was canceled.
    #[error("it was completed otherwise")]
    AlreadyCompleted,
    /// It is over.
    #[error("it is not in progress any more")]
    NotInProgress,
    /// It is not a code of ours, or not one for this device.
    #[error("the payload is not that of a code for this device")]
    InvalidPayload,
    /// Another was first.
    #[error("the code is paired with another")]
    AlreadyPaired,
    /// The person looks at another page than the one that made the code.
    #[error("the number is not the one the page shows")]
    NumberMismatch,
    /// Somebody guesses.
    #[error("too many wrong numbers ended the code; show another one")]
    TooManyWrongNumbers,
}

/// How an acceptance compares to what was asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Grade {
    /// What was asked.
    AtLevel,
    /// More.
    Higher,
    /// Less.
    Lower,
}

named! {
    /// Why it was rejected.
    pub enum Reason {
        /// They did not start this.
        NotMe = "not_me",
        /// They did, and no longer want it.
        ChangedMind = "changed_mind",
        /// The number was not the one shown.
        NumberMismatch = "number_mismatch",
    }
}

named! {
    /// The name of where it stands.
    pub enum Status {
        /// Waits for an answer.
        InProgress = "in_progress",
        /// Accepted at the level that was asked for.
        Accepted = "accepted",
        /// Accepted, with more proven than was asked for.
        AcceptedAtHigherLevel = "accepted_at_higher_level",
        /// Accepted, with less proven than was asked for.
        AcceptedAtLowerLevel = "accepted_at_lower_level",
        /// Rejected.
        Rejected = "rejected",
        /// Nobody answered before it expired.
        Expired = "expired",
        /// Withdrawn.
        Canceled = "canceled",
    }
}

/// Who decided what.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Outcome {
    /// Names the result.
    pub id: Uuid,
    /// The device that answered.
    pub device: DeviceId,
    /// The user it was bound to then.
    pub user: String,
    /// As it was signed.
    pub decision: Decision,
    /// As it was signed.
    pub number: Option<String>,
}

/// Where it stands. Nothing leaves a terminal state.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum State {
    /// Waits for an answer.
    InProgress,
    /// Terminal.
    Accepted {
        /// Who.
        outcome: Outcome,
        /// What was proven.
        level: Level,
        /// Compared to what was asked for.
        grade: Grade,
    },
    /// Terminal.
    Rejected {
        /// Who.
        outcome: Outcome,
        /// Why, if they said.
        reason: Option<Reason>,
    },
    /// Terminal.
    Expired,
    /// Terminal.
    Canceled,
}

impl State {
    /// Its name.
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
    /// Names it.
    pub id: TrusonaficationId,
    /// Who asks.
    pub relying_party: RelyingPartyId,
    /// What the person sees of them.
    pub relying_party_name: String,
    /// What is asked.
    pub ask: Ask,
    /// Its user, once known.
    pub user: Option<String>,
    /// Its device, once known.
    pub device: Option<DeviceId>,
    /// The devices told at its creation.
    pub told: Vec<DeviceId>,
    /// The bindings by which they were the user's then; `None` when it was asked before they were noted.
    pub bindings: Option<Vec<BindingId>>,
    /// On whose account it is.
    pub way: Way,
    /// When it was asked.
    pub created_at: Timestamp,
    /// When it last changed.
    pub updated_at: Timestamp,
    /// Where it stands.
    pub state: State,
    /// Counts the changes of state, from 1.
    pub version: i64,
}

/// What an answer did.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Change {
    /// Nothing: the same was answered before.
    Same(Trusonafication),
    /// This is what it became, one version later.
    Changed(Trusonafication),
}

impl Trusonafication {
    /// Tells whether it was sent to one of these bindings: what ended with them can have been of no earlier life of user or device. What
    /// was asked before that was noted is taken to have been.
    #[must_use]
    pub fn was_sent_to(&self, bindings: &[BindingId]) -> bool {
        self.bindings.as_ref().is_none_or(|own| own.iter().any(|id| bindings.contains(id)))
    }

    /// Until when others do not prompt the user in its context, because they said that it was not them; `None`: nothing is held by it.
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

    /// Tells whether nothing will happen to it any more.
    #[must_use]
    pub const fn is_terminal(&self) -> bool {
        !matches!(self.state, State::InProgress)
    }

    /// Tells whether it should have expired by now.
    #[must_use]
    pub fn is_overdue(&self, now: Timestamp) -> bool {
        !self.is_terminal() && self.ask.expires_at <= now
    }

    /// As it is to be seen at `now`: overdue is expired, written down already or not.
    #[must_use]
    pub fn effective_at(self, now: Timestamp) -> Self {
        if self.is_overdue(now) { self.transition(State::Expired, now) } else { self }
    }

    /// Takes a verified answer. The time of arrival counts, not the one the phone claims.
    pub fn respond(self, result_id: Uuid, answer: &Answer, now: Timestamp) -> Result<Change, Refusal> {
        let addressed = match &self.ask.target {
            Target::Device(device) => *device == answer.device,
            Target::User(user) => *user == answer.user,
            // The device that paired it; until then nobody is asked.
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

    /// Withdraws it. Again on a canceled one: nothing more.
    pub fn cancel(self, now: Timestamp) -> Result<Change, Refusal> {
        match self.state {
            State::Canceled => Ok(Change::Same(self)),
            State::InProgress if !self.is_overdue(now) => Ok(Change::Changed(self.transition(State::Canceled, now))),
            _ => Err(Refusal::NotInProgress),
        }
    }

    /// Ends it when its time is up.
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
