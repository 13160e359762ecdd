//! Number matching: the person proves that they see the screen that started the request.

use nodkey_kernel::{challenge::MatchClaim, named, random::Random};

named! {
    /// How the number is entered on the phone.
    pub enum MatchMode {
        /// The phone offers three numbers to choose from.
        Choose = "choose",
        /// The person types it.
        Enter = "enter",
    }
}

/// The length of a number.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Digits {
    /// Two digits; every phone supports this.
    Two,
    /// Six digits; supported by phones that registered `match6`.
    Six,
}

impl Digits {
    /// The length of a number to enter. `able` says for each target device whether it supports six digits; no device is known before a code
    /// is paired. Returns `None` if two digits are not enough and no device supports six.
    #[must_use]
    pub fn of(able: &[bool], six_required: bool) -> Option<Self> {
        match able {
            [] if six_required => Some(Self::Six),
            [] => Some(Self::Two),
            able if able.iter().all(|able| *able) => Some(Self::Six),
            _ if !six_required => Some(Self::Two),
            able => able.contains(&true).then_some(Self::Six),
        }
    }
}

/// The number to match.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NumberMatch {
    /// How the number is entered.
    pub mode: MatchMode,
    /// The correct number, two or six digits.
    pub number: String,
}

impl NumberMatch {
    /// Picks a number.
    #[must_use]
    pub fn pick(mode: MatchMode, digits: Digits, random: &Random) -> Self {
        let number = match digits {
            Digits::Two => two_digits(random),
            Digits::Six => (100_000 + random.below(900_000)).to_string(),
        };
        Self { mode, number }
    }

    /// The claim in the challenge. It never reveals which number is correct.
    #[must_use]
    pub fn claim(&self, random: &Random) -> MatchClaim {
        match self.mode {
            MatchMode::Enter => MatchClaim::Enter { digits: u8::try_from(self.number.len()).unwrap_or(u8::MAX) },
            MatchMode::Choose => {
                let mut choices = Vec::with_capacity(3);
                while choices.len() < 2 {
                    let other = two_digits(random);
                    if other != self.number && !choices.contains(&other) {
                        choices.push(other);
                    }
                }
                choices.insert(random.below(3) as usize, self.number.clone());
                MatchClaim::Choose { choices }
            }
        }
    }
}

/// A number from 10 to 99.
#[must_use]
pub fn two_digits(random: &Random) -> String {
    (10 + random.below(90)).to_string()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn three_different_numbers_are_offered_and_one_is_right(seed: u64) {
            let random = Random::seeded(seed);
            let picked = NumberMatch::pick(MatchMode::Choose, Digits::Two, &random);
            let MatchClaim::Choose { choices } = picked.claim(&random) else { panic!("choose offers choices") };
            let distinct: std::collections::BTreeSet<_> = choices.iter().collect();
            prop_assert_eq!((choices.len(), distinct.len()), (3, 3));
            prop_assert!(choices.contains(&picked.number));
            prop_assert!(choices.iter().all(|n| n.len() == 2));
        }

        #[test]
        fn a_number_is_typed_with_as_many_digits_as_the_challenge_says(seed: u64, six: bool) {
            let digits = if six { Digits::Six } else { Digits::Two };
            let random = Random::seeded(seed);
            let picked = NumberMatch::pick(MatchMode::Enter, digits, &random);
            prop_assert!(picked.number.bytes().all(|b| b.is_ascii_digit()));
            prop_assert_eq!(picked.number.len(), if six { 6 } else { 2 });
            prop_assert_eq!(picked.claim(&random), MatchClaim::Enter { digits: if six { 6 } else { 2 } });
        }

        #[test]
        fn six_digits_go_to_who_can_take_them_and_two_only_where_they_may(able in prop::collection::vec(any::<bool>(), 0..6), required: bool) {
            let of = Digits::of(&able, required);
            let (all, any) = (!able.contains(&false), able.contains(&true));
            let fits = match of {
                Some(Digits::Two) => !required && (able.is_empty() || !all),
                Some(Digits::Six) if required => able.is_empty() || any,
                Some(Digits::Six) => all,
                None => required && !able.is_empty() && !any,
            };
            prop_assert!(fits, "{:?}", of);
        }
    }
}
