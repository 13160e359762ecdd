//! Bindings and their transitions.

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

/// Maximum number of live bindings of a user.
pub const MAX_DEVICES: usize = 100;

/// Why a well-formed request is refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Refusal {
    /// The device does not exist, or is retired.
    #[error("the device is not known, or it is retired")]
    DeviceNotFound,
    /// The device is bound to another user.
    #[error("the device is bound to another user; deactivate that binding first")]
    DeviceAlreadyBound,
    /// The binding has ended.
    #[error("the binding is deactivated, or it waited too long for its activation; create a new one")]
    BindingDeactivated,
    /// The user has no live binding.
    #[error("there is no such user, or the user is deactivated")]
    UserNotFound,
    /// Phones of a frozen user cannot transfer until the user is released.
    #[error("the user is frozen: the backend has to release them first")]
    UserFrozen,
    /// The statement, or a later one, has already taken effect.
    #[error("the nonce of the statement, or a later one, has already been used")]
    StatementUsed,
    /// The identifier already has another Trusona ID.
    #[error("the identifier is registered with another Trusona ID")]
    IdentifierTaken,
    /// The user has the maximum number of devices.
    #[error("the user has {MAX_DEVICES} devices; deactivate one first")]
    TooManyDevices,
    /// The device that wants to freeze its user, or transfer its binding, is bound to nobody.
    #[error("the device is not bound to a user")]
    DeviceNotBound,
    /// The binding is not activated yet.
    #[error("the binding of the device is not active")]
    DeviceNotActive,
    /// The request is not proven to come from the phone itself.
    #[error("{0}")]
    Unproven(Unproven),
}

macro_rules! names {
    ($($(#[$doc:meta])* $name:ident,)+) => {$(
        $(#[$doc])*
        #[derive(Clone, PartialEq, Eq)]
        pub struct $name(String);

        impl $name {
            /// Accepts 1 to 255 characters. Control characters are refused, since not every database supports them.
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

            /// The exact text.
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
    /// The relying party's own name for a user: compared exactly, and never logged.
    UserIdentifier,
    /// The number by which another system knows a user.
    TrusonaId,
}

/// The namespace of identifiers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Scope {
    /// The relying party's user identifiers.
    RelyingParty,
    /// The identifiers of an integration.
    Integration(Uuid),
}

impl Scope {
    /// The stored form: the nil UUID is the relying party itself.
    pub const fn as_uuid(self) -> Uuid {
        match self {
            Self::RelyingParty => Uuid::nil(),
            Self::Integration(id) => id,
        }
    }
}

/// A user and their number in another system.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Identifier {
    /// The namespace of `user`.
    pub scope: Scope,
    /// Identifier of the user in that namespace.
    pub user: UserIdentifier,
    /// The number.
    pub trusona_id: TrusonaId,
    /// When it was first registered.
    pub created_at: Timestamp,
}

impl Identifier {
    /// Registers the identifier again for `trusona_id`.
    pub fn register_again(self, trusona_id: &TrusonaId) -> Result<Self, Refusal> {
        if self.trusona_id == *trusona_id { Ok(self) } else { Err(Refusal::IdentifierTaken) }
    }
}

/// State of a binding.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum State {
    /// Not activated yet.
    Inactive,
    /// Active.
    Active {
        /// When it was activated.
        activated_at: Timestamp,
    },
    /// Ended permanently.
    Deactivated {
        /// When it had been activated, if it was.
        activated_at: Option<Timestamp>,
        /// When it ended.
        deactivated_at: Timestamp,
    },
}

impl State {
    /// The state for these stored times.
    pub const fn of(activated_at: Option<Timestamp>, deactivated_at: Option<Timestamp>) -> Self {
        match (activated_at, deactivated_at) {
            (activated_at, Some(deactivated_at)) => Self::Deactivated { activated_at, deactivated_at },
            (Some(activated_at), None) => Self::Active { activated_at },
            (None, None) => Self::Inactive,
        }
    }

    /// Whether the binding is active.
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
    /// Names of the states of a binding.
    pub enum StateName {
        /// Not activated yet.
        Inactive = "inactive",
        /// Active.
        Active = "active",
        /// Ended.
        Deactivated = "deactivated",
    }
}

/// The result of a transition.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Change {
    /// Nothing changed.
    Same(Binding),
    /// The new state, one version later.
    Changed(Binding),
}

/// A user with their current state.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct User {
    /// The user identifier.
    pub identifier: UserIdentifier,
    /// The freeze, if the user is frozen.
    pub freeze: Option<Freeze>,
    /// Number of live bindings.
    pub devices: usize,
}

/// The binding of a device to a user, in any state.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Binding {
    /// The activation code.
    pub id: BindingId,
    /// The relying party it belongs to.
    pub relying_party: RelyingPartyId,
    /// The user.
    pub user: UserIdentifier,
    /// The device.
    pub device: DeviceId,
    /// The phone whose statement created it; `None` if the relying party created it.
    pub vouched_by: Option<DeviceId>,
    /// State of the binding.
    pub state: State,
    /// Whether the user was frozen when the binding was read; not a part of the binding itself.
    pub user_frozen: bool,
    /// When it was created.
    pub created_at: Timestamp,
    /// Increases with every change, from 1.
    pub version: i64,
}

impl Binding {
    /// Creates an inactive binding for a user who already has `devices` live bindings.
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

    /// Handles a request to bind the device to `user` while this binding is live.
    pub fn create_again(self, user: &UserIdentifier) -> Result<Self, Refusal> {
        if self.user == *user { Ok(self) } else { Err(Refusal::DeviceAlreadyBound) }
    }

    /// Activates the binding.
    pub fn activate(self, now: Timestamp) -> Result<Change, Refusal> {
        match self.state {
            State::Inactive => Ok(Change::Changed(self.transition(State::Active { activated_at: now }))),
            State::Active { .. } => Ok(Change::Same(self)),
            State::Deactivated { .. } => Err(Refusal::BindingDeactivated),
        }
    }

    /// Ends the binding permanently.
    pub fn deactivate(self, now: Timestamp) -> Change {
        let activated_at = self.state.activated_at();
        match self.state {
            State::Inactive | State::Active { .. } => {
                Change::Changed(self.transition(State::Deactivated { activated_at, deactivated_at: now }))
            }
            State::Deactivated { .. } => Change::Same(self),
        }
    }

    /// Ends the binding if it was created before `oldest` and is still inactive.
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
                        // Once activated, the time of activation is kept.
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
