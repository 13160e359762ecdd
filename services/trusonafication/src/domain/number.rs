//! Number matching: the person shows that they see the screen that asks.

use nodkey_kernel::{challenge::MatchClaim, named, random::Random};

named! {
    /// How the number gets into the phone.
    pub enum MatchMode {
        /// The phone offers three.
        Choose = "choose",
        /// The person types it.
        Enter = "enter",
    }
}

/// The number to match.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NumberMatch {
    /// How.
    pub mode: MatchMode,
    /// The right one, two digits.
    pub number: String,
}

impl NumberMatch {
    /// Picks a number.
    #[must_use]
    pub fn pick(mode: MatchMode, random: &Random) -> Self {
        Self { mode, number: two_digits(random) }
    }

    /// What the challenge says about it: never which is right.
    #[must_use]
    pub fn claim(&self, random: &Random) -> MatchClaim {
        match self.mode {
            MatchMode::Enter => MatchClaim::Enter,
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
            let picked = NumberMatch::pick(MatchMode::Choose, &random);
            let MatchClaim::Choose { choices } = picked.claim(&random) else { panic!("choose offers choices") };
            let distinct: std::collections::BTreeSet<_> = choices.iter().collect();
            prop_assert_eq!((choices.len(), distinct.len()), (3, 3));
            prop_assert!(choices.contains(&picked.number));
            prop_assert!(choices.iter().all(|n| n.len() == 2));
        }
    }
}
