//! Transfers: a phone hands its binding to another phone, or adds another phone to its user.

use nodkey_kernel::{
    id::{BindingId, DeviceId},
    time::Timestamp,
    transfer::TransferAct,
};

use super::{Binding, Change, MAX_DEVICES, Refusal, State};

/// A transfer that the registry has verified.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Transfer {
    /// The phone that is bound.
    pub old: DeviceId,
    /// The new phone.
    pub new: DeviceId,
    /// What the transfer does.
    pub act: TransferAct,
    /// When the nonce of the statement was made.
    pub challenged_at: Timestamp,
}

/// The current state of the two phones and the user.
#[derive(Debug)]
pub struct Found {
    /// Live binding of the old phone.
    pub old: Option<Binding>,
    /// Live binding of the new phone.
    pub new: Option<Binding>,
    /// Number of live bindings of the user.
    pub devices: usize,
    /// When the nonce of the last statement that took effect was made.
    pub challenged_at: Option<Timestamp>,
}

/// The result of a transfer.
#[derive(Debug, PartialEq, Eq)]
pub enum Transferred {
    /// Nothing changed: this same statement already created this binding.
    Before(Binding),
    /// A new binding, and the end of the old one if it is replaced.
    Now {
        /// The ended binding.
        ended: Option<Binding>,
        /// The new, active binding.
        begun: Binding,
    },
}

impl Transfer {
    /// Decides the result. `id` is the id of the new binding.
    pub fn apply(&self, found: Found, id: BindingId, now: Timestamp) -> Result<Transferred, Refusal> {
        let Found { old, new, devices, challenged_at } = found;
        if challenged_at.is_some_and(|last| self.challenged_at <= last) {
            let made = new.filter(|new| challenged_at == Some(self.challenged_at) && new.vouched_by.as_ref() == Some(&self.old));
            return made.map(Transferred::Before).ok_or(Refusal::StatementUsed);
        }
        let old = old.ok_or(Refusal::DeviceNotBound)?;
        if !matches!(old.state, State::Active { .. }) {
            return Err(Refusal::DeviceNotActive);
        }
        if old.user_frozen {
            return Err(Refusal::UserFrozen);
        }
        if new.is_some() {
            return Err(Refusal::DeviceAlreadyBound);
        }
        let remaining = devices - usize::from(self.act == TransferAct::Replace);
        if remaining >= MAX_DEVICES {
            return Err(Refusal::TooManyDevices);
        }
        let begun = Binding {
            id,
            relying_party: old.relying_party,
            user: old.user.clone(),
            device: self.new.clone(),
            vouched_by: Some(self.old.clone()),
            state: State::Active { activated_at: now },
            user_frozen: old.user_frozen,
            created_at: now,
            version: 2,
        };
        let ended = match (self.act, old.deactivate(now)) {
            (TransferAct::Add, _) => None,
            (TransferAct::Replace, Change::Same(ended) | Change::Changed(ended)) => Some(ended),
        };
        Ok(Transferred::Now { ended, begun })
    }
}

#[cfg(test)]
mod tests {
    use nodkey_kernel::{id::RelyingPartyId, random::Random};
    use proptest::prelude::*;

    use super::*;
    use crate::domain::UserIdentifier;

    const NOW: Timestamp = Timestamp::from_seconds(1_700_000_000);

    fn device(letter: char) -> DeviceId {
        DeviceId::parse(&letter.to_string().repeat(43)).unwrap()
    }

    fn bound(letter: char, state: State) -> Binding {
        let random = Random::seeded(u64::from(letter));
        let user = UserIdentifier::parse("jones").unwrap();
        let party = RelyingPartyId::generate(NOW, &Random::seeded(1));
        let new = Binding::create(BindingId::generate(NOW, &random), party, user, device(letter), 0, NOW).unwrap();
        Binding { state, version: if state == State::Inactive { 1 } else { 2 }, ..new }
    }

    const ACTIVE: State = State::Active { activated_at: NOW };

    fn transfer(act: TransferAct) -> Transfer {
        Transfer { old: device('o'), new: device('n'), act, challenged_at: NOW }
    }

    fn found(devices: usize) -> Found {
        Found { old: Some(bound('o', ACTIVE)), new: None, devices, challenged_at: None }
    }

    fn id() -> BindingId {
        BindingId::generate(NOW, &Random::seeded(9))
    }

    #[test]
    fn a_new_phone_takes_the_place_of_the_old_one_and_not_one_more() {
        let Ok(Transferred::Now { ended: Some(ended), begun }) = transfer(TransferAct::Replace).apply(found(MAX_DEVICES), id(), NOW) else {
            panic!("it is the user's hundredth phone as the old one was")
        };
        assert_eq!((ended.device, ended.state.deactivated_at()), (device('o'), Some(NOW)));
        assert_eq!((&begun.device, &begun.state, &begun.vouched_by), (&device('n'), &ACTIVE, &Some(device('o'))));
        assert!(crate::invariants::check(&begun).is_ok());
        let adds = transfer(TransferAct::Add);
        assert_eq!(adds.apply(found(MAX_DEVICES), id(), NOW), Err(Refusal::TooManyDevices));
        let Ok(Transferred::Now { ended: None, begun }) = adds.apply(found(MAX_DEVICES - 1), id(), NOW) else {
            panic!("there is one left")
        };
        assert_eq!(begun.user, found(1).old.unwrap().user);
    }

    #[test]
    fn who_is_not_bound_has_no_place_and_who_is_bound_takes_none() {
        for act in [TransferAct::Replace, TransferAct::Add] {
            let refused = |found: Found| transfer(act).apply(found, id(), NOW).unwrap_err();
            assert_eq!(refused(Found { old: None, ..found(0) }), Refusal::DeviceNotBound);
            assert_eq!(refused(Found { old: Some(bound('o', State::Inactive)), ..found(1) }), Refusal::DeviceNotActive);
            let frozen = Binding { user_frozen: true, ..bound('o', ACTIVE) };
            assert_eq!(refused(Found { old: Some(frozen), ..found(1) }), Refusal::UserFrozen);
            for state in [State::Inactive, ACTIVE] {
                assert_eq!(refused(Found { new: Some(bound('n', state)), ..found(2) }), Refusal::DeviceAlreadyBound);
            }
        }
    }

    #[test]
    fn the_same_statement_again_makes_nothing_and_says_what_it_made() {
        let again = |new: Option<Binding>, last: Timestamp| {
            let found = Found { new, challenged_at: Some(last), ..found(1) };
            transfer(TransferAct::Add).apply(found, id(), NOW)
        };
        let made = Binding { vouched_by: Some(device('o')), ..bound('n', ACTIVE) };
        assert_eq!(again(Some(made.clone()), NOW), Ok(Transferred::Before(made.clone())));
        // Ended since, created by another statement, or bound by the backend.
        assert_eq!(again(None, NOW), Err(Refusal::StatementUsed));
        assert_eq!(again(Some(made), Timestamp::from_micros(NOW.as_micros() + 1)), Err(Refusal::StatementUsed));
        assert_eq!(again(Some(bound('n', ACTIVE)), NOW), Err(Refusal::StatementUsed));
    }

    proptest! {
        /// In every case at most one binding is created, for the new phone and the old one's user, and a replaced binding has ended.
        #[test]
        fn a_transfer_makes_one_binding_of_the_same_user(
            replaces in any::<bool>(),
            old in 0_u8..3,
            new in 0_u8..3,
            devices in 1_usize..102,
            last in prop::option::of(-1_i64..2),
        ) {
            let living = |letter, state| match state {
                0 => None,
                1 => Some(bound(letter, State::Inactive)),
                _ => Some(bound(letter, ACTIVE)),
            };
            let act = if replaces { TransferAct::Replace } else { TransferAct::Add };
            let challenged_at = last.map(|micros| Timestamp::from_micros(NOW.as_micros() + micros));
            let found = Found { old: living('o', old), new: living('n', new), devices, challenged_at };
            let allowed = old == 2 && new == 0 && last.is_none_or(|last| last < 0) && devices - usize::from(replaces) < MAX_DEVICES;
            match transfer(act).apply(found, id(), NOW) {
                Ok(Transferred::Now { ended, begun }) => {
                    prop_assert!(allowed);
                    prop_assert_eq!(ended.is_some(), replaces);
                    prop_assert_eq!((&begun.device, begun.state), (&device('n'), ACTIVE));
                    let user = bound('o', ACTIVE).user;
                    prop_assert!(begun.user == user && ended.as_ref().is_none_or(|ended| ended.user == user && ended.version == 3));
                    for binding in ended.iter().chain([&begun]) {
                        prop_assert!(crate::invariants::check(binding).is_ok());
                    }
                }
                Ok(Transferred::Before(_)) => prop_assert!(false, "no binding here was made by a phone"),
                Err(_) => prop_assert!(!allowed),
            }
        }
    }
}
