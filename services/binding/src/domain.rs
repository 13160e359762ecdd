//! A binding and what may become of it.

pub mod freeze;
pub mod transfer;

use std::fmt;

use nodkey_kernel::{
    dpop::Unproven,
    id::{BindingId, DeviceId, RelyingPartyId},
    named,
    time::Timestamp,
};
use uuid::Uuid;

use freeze::Freeze;

/// How many living bindings a user may have.
pub const MAX_DEVICES: usize = 100;

/// What is refused although the request is well-formed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Refusal {
    /// There is no such device, or it is retired.
    #[error("the device is not known, or it is retired")]
    DeviceNotFound,
    /// Another user was first.
    #[error("the device is bound to another user; deactivate that binding first")]
    DeviceAlreadyBound,
    /// The binding is over.
    #[error("the binding is deactivated, or it waited too long for its activation; create a new one")]
    BindingDeactivated,
    /// The user has no living binding.
    #[error("there is no such user, or the user is deactivated")]
    UserNotFound,
    /// The user's phones hand nothing on until the user is released.
    #[error("the user is frozen: the relying party has to release them")]
    UserFrozen,
    /// It had its effect, or a later one had.
    #[error("the nonce of the statement, or one that was made after it, has been used")]
    StatementUsed,
    /// The identifier stands for another Trusona ID.
    #[error("the identifier is registered with another Trusona ID")]
    IdentifierTaken,
    /// The user has as many devices as a user may have.
    #[error("the user has {MAX_DEVICES} devices; deactivate one first")]
    TooManyDevices,
    /// The device that would freeze its user, or hand its place on, belongs to nobody.
    #[error("the device is not bound to a user")]
    DeviceNotBound,
    /// Its binding waits for its activation code.
    #[error("the binding of the device is not active")]
    DeviceNotActive,
    /// Nobody knows that the phone itself asked.
    #[error("{0}")]
    Unproven(Unproven),
}

macro_rules! names {
    ($($(#[$doc:meta])* $name:ident,)+) => {$(
        $(#[$doc])*
        #[derive(Clone, PartialEq, Eq)]
        pub struct $name(String);

        impl $name {
            /// Takes 1 to 255 characters; control characters, which not every database takes, are refused.
            pub fn parse(text: &str) -> Result<Self, &'static str> {
                if text.trim().is_empty() {
                    return Err("must not be blank");
                }
                if text.chars().count() > 255 {
                    return Err("must be at most 255 characters");
                }
                if text.chars().any(char::is_control) {
                    return Err("must not contain control characters");
                }
                Ok(Self(text.to_owned()))
            }

            /// To the letter.
            pub fn as_str(&self) -> &str {
                &self.0
            }
        }

        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(stringify!($name))
            }
        }
    )+};
}

names! {
    /// The relying party's own name for a user: taken to the letter, and never shown in logs.
    UserIdentifier,
    /// The number another system knows a user by.
    TrusonaId,
}

/// Whose names identifiers are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Scope {
    /// The relying party's own: user identifiers.
    RelyingParty,
    /// An integration's.
    Integration(Uuid),
}

impl Scope {
    /// As stored: the nil UUID is no integration.
    pub const fn as_uuid(self) -> Uuid {
        match self {
            Self::RelyingParty => Uuid::nil(),
            Self::Integration(id) => id,
        }
    }
}

/// A user under the number another system knows them by.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Identifier {
    /// Whose names these are.
    pub scope: Scope,
    /// The user, or whom an integration calls so.
    pub user: UserIdentifier,
    /// The number.
    pub trusona_id: TrusonaId,
    /// When it was first registered.
    pub created_at: Timestamp,
}

impl Identifier {
    /// Answers the wish to register its identifier for `trusona_id`.
    pub fn register_again(self, trusona_id: &TrusonaId) -> Result<Self, Refusal> {
        if self.trusona_id == *trusona_id { Ok(self) } else { Err(Refusal::IdentifierTaken) }
    }
}

/// Where a binding stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum State {
    /// Waits for its activation code.
    Inactive,
    /// Counts.
    Active {
        /// Since when.
        activated_at: Timestamp,
    },
    /// Over, for good.
    Deactivated {
        /// When it had been activated, if it was.
        activated_at: Option<Timestamp>,
        /// When it ended.
        deactivated_at: Timestamp,
    },
}

impl State {
    /// The state of which these are the moments.
    pub const fn of(activated_at: Option<Timestamp>, deactivated_at: Option<Timestamp>) -> Self {
        match (activated_at, deactivated_at) {
            (activated_at, Some(deactivated_at)) => Self::Deactivated { activated_at, deactivated_at },
            (Some(activated_at), None) => Self::Active { activated_at },
            (None, None) => Self::Inactive,
        }
    }

    /// Whether it counts.
    pub const fn is_active(self) -> bool {
        matches!(self, Self::Active { .. })
    }

    /// When it was activated, if it was.
    pub const fn activated_at(self) -> Option<Timestamp> {
        match self {
            Self::Inactive => None,
            Self::Active { activated_at } => Some(activated_at),
            Self::Deactivated { activated_at, .. } => activated_at,
        }
    }

    /// When it ended, if it did.
    pub const fn deactivated_at(self) -> Option<Timestamp> {
        match self {
            Self::Inactive | Self::Active { .. } => None,
            Self::Deactivated { deactivated_at, .. } => Some(deactivated_at),
        }
    }
}

named! {
    /// The names of where a binding may stand.
    pub enum StateName {
        /// Waits for its activation code.
        Inactive = "inactive",
        /// Counts.
        Active = "active",
        /// Over.
        Deactivated = "deactivated",
    }
}

/// What a transition did.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Change {
    /// Nothing: it was so already.
    Same(Binding),
    /// This is what it became, one version later.
    Changed(Binding),
}

/// A user as they stand.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct User {
    /// Which.
    pub identifier: UserIdentifier,
    /// Whether they are frozen.
    pub freeze: Option<Freeze>,
    /// How many living bindings they have.
    pub devices: usize,
}

/// A device that belongs to a user, or will, or did.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Binding {
    /// The activation code.
    pub id: BindingId,
    /// Whose it is.
    pub relying_party: RelyingPartyId,
    /// Whose device.
    pub user: UserIdentifier,
    /// Which device.
    pub device: DeviceId,
    /// The phone whose statement made it; `None`: the relying party did.
    pub vouched_by: Option<DeviceId>,
    /// Where it stands.
    pub state: State,
    /// Whether the user is frozen, as it was read: that is not the binding's to change.
    pub user_frozen: bool,
    /// When it was made.
    pub created_at: Timestamp,
    /// Rises with every change, from 1.
    pub version: i64,
}

impl Binding {
    /// Makes one, inactive, for a user who has `devices` already.
    pub fn create(
        id: BindingId,
        relying_party: RelyingPartyId,
        user: UserIdentifier,
        device: DeviceId,
        devices: usize,
        now: Timestamp,
    ) -> Result<Self, Refusal> {
        if devices >= MAX_DEVICES {
            return Err(Refusal::TooManyDevices);
        }
        Ok(Self {
            id,
            relying_party,
            user,
            device,
            vouched_by: None,
            state: State::Inactive,
            user_frozen: false,
            created_at: now,
            version: 1,
        })
    }

    /// Answers the wish to bind its device to `user`, while it lives.
    pub fn create_again(self, user: &UserIdentifier) -> Result<Self, Refusal> {
        if self.user == *user { Ok(self) } else { Err(Refusal::DeviceAlreadyBound) }
    }

    /// Activates it.
    pub fn activate(self, now: Timestamp) -> Result<Change, Refusal> {
        match self.state {
            State::Inactive => Ok(Change::Changed(self.transition(State::Active { activated_at: now }))),
            State::Active { .. } => Ok(Change::Same(self)),
            State::Deactivated { .. } => Err(Refusal::BindingDeactivated),
        }
    }

    /// Ends it, for good.
    pub fn deactivate(self, now: Timestamp) -> Change {
        let activated_at = self.state.activated_at();
        match self.state {
            State::Inactive | State::Active { .. } => {
                Change::Changed(self.transition(State::Deactivated { activated_at, deactivated_at: now }))
            }
            State::Deactivated { .. } => Change::Same(self),
        }
    }

    /// Ends it if it is older than `oldest` and still waits for its activation code.
    pub fn expire(self, oldest: Timestamp, now: Timestamp) -> Change {
        if self.state == State::Inactive && self.created_at < oldest { self.deactivate(now) } else { Change::Same(self) }
    }

    fn transition(self, state: State) -> Self {
        Self { state, version: self.version + 1, ..self }
    }
}

#[cfg(test)]
mod tests {
    use nodkey_kernel::random::Random;
    use proptest::prelude::*;

    use super::*;

    fn binding(devices: usize) -> Result<Binding, Refusal> {
        let (now, random) = (Timestamp::from_seconds(0), Random::seeded(1));
        let user = UserIdentifier::parse("jones").unwrap();
        let device = DeviceId::parse(&"d".repeat(43)).unwrap();
        Binding::create(BindingId::generate(now, &random), RelyingPartyId::generate(now, &random), user, device, devices, now)
    }

    #[test]
    fn the_hundred_and_first_device_is_refused() {
        assert_eq!(binding(99).map(|b| b.state), Ok(State::Inactive));
        assert_eq!(binding(100), Err(Refusal::TooManyDevices));
    }

    #[test]
    fn a_living_binding_is_for_its_own_user_alone() {
        let b = binding(0).unwrap();
        assert_eq!(b.clone().create_again(&UserIdentifier::parse("jones").unwrap()), Ok(b.clone()));
        assert_eq!(b.create_again(&UserIdentifier::parse("Jones").unwrap()), Err(Refusal::DeviceAlreadyBound));
    }

    #[test]
    fn what_waits_for_its_code_expires_and_nothing_else_does() {
        let (made, later) = (Timestamp::from_seconds(0), Timestamp::from_seconds(9));
        let inactive = binding(0).unwrap();
        assert_eq!(inactive.clone().expire(made, later), Change::Same(inactive.clone()), "it is not older");
        let Change::Changed(expired) = inactive.clone().expire(Timestamp::from_seconds(1), later) else { panic!("it is older") };
        assert_eq!(expired.state, State::Deactivated { activated_at: None, deactivated_at: later });
        assert_eq!(expired.clone().activate(later), Err(Refusal::BindingDeactivated));
        assert_eq!(expired.clone().expire(later, later), Change::Same(expired));
        let Ok(Change::Changed(active)) = inactive.activate(made) else { panic!("it is inactive") };
        assert_eq!(active.clone().expire(later, later), Change::Same(active));
    }

    #[test]
    fn a_user_identifier_does_not_show() {
        assert!(!format!("{:?}", binding(0).unwrap()).contains("jones"));
    }

    proptest! {
        #[test]
        fn a_user_identifier_is_taken_to_the_letter_or_not_at_all(text in ".{0,300}") {
            let fits = !text.trim().is_empty() && text.chars().count() <= 255 && !text.chars().any(char::is_control);
            let parsed = UserIdentifier::parse(&text);
            prop_assert_eq!(parsed.is_ok(), fits);
            if let Ok(user) = parsed {
                prop_assert_eq!(user.as_str(), text);
            }
        }

        #[test]
        fn whatever_is_asked_nothing_leaves_deactivated_and_versions_count_changes(activates in prop::collection::vec(any::<bool>(), 0..12)) {
            let mut b = binding(0).unwrap();
            for (at, activates) in (1_i64..).zip(activates) {
                let (before, now) = (b.clone(), Timestamp::from_seconds(at));
                let change = if activates { before.clone().activate(now) } else { Ok(before.clone().deactivate(now)) };
                b = match change {
                    Ok(Change::Changed(after)) => {
                        prop_assert_eq!(before.state.deactivated_at(), None);
                        prop_assert_eq!(after.version, before.version + 1);
                        // Once activated, the moment is kept.
                        prop_assert!(before.state.activated_at().is_none() || before.state.activated_at() == after.state.activated_at());
                        after
                    }
                    Ok(Change::Same(after)) => {
                        prop_assert_eq!(&after, &before);
                        after
                    }
                    Err(refusal) => {
                        prop_assert_eq!(refusal, Refusal::BindingDeactivated);
                        prop_assert!(before.state.deactivated_at().is_some());
                        before
                    }
                };
                prop_assert!(crate::invariants::check(&b).is_ok());
                prop_assert_eq!(State::of(b.state.activated_at(), b.state.deactivated_at()), b.state);
            }
        }
    }
}
