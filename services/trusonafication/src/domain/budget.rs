//! Prompt budgets: how often other parties may prompt a user.
//!
//! Each prompt that ends without being accepted is a strike, no matter who ended it and how. Otherwise, someone who cancels prompts or lets
//! them expire immediately could ring a phone as often as they like. Strikes impose pauses, and an accept clears them. Sign-ins that the
//! user starts with a code of their own are accounted for separately.

use std::time::Duration;

use nodkey_kernel::{named, time::Timestamp};

/// Maximum number of pending prompts per user while there are no strikes.
pub const MAX_WAITING: usize = 3;
/// The same once there are strikes.
const MAX_WAITING_AFTER_STRIKES: usize = 1;
/// The pause after each number of strikes; the last one applies to all further strikes.
const PAUSES: [Duration; 6] = [
    Duration::from_secs(10),
    Duration::from_secs(30),
    Duration::from_mins(2),
    Duration::from_mins(10),
    Duration::from_mins(30),
    Duration::from_hours(1),
];
/// How long without another strike until all strikes are cleared.
const FORGOTTEN: Duration = Duration::from_hours(24);
/// How long a "not me" report blocks prompts in a named context.
const HELD_NAMED: Duration = Duration::from_hours(4);
/// The same for prompts without a context, which may include the user's next sign-in.
const HELD_UNNAMED: Duration = Duration::from_mins(10);
/// Maximum age of a device's pairing of a code that makes a prompt the user's own sign-in.
pub const PAIRED_WITHIN: Duration = Duration::from_mins(1);

named! {
    /// How a prompt is accounted for.
    pub enum Way {
        /// Started by the user, with a code they scanned.
        Own = "own",
        /// Counted against the budget of the user.
        Counted = "counted",
        /// Created for a relying party without budgets.
        Tolerated = "tolerated",
    }
}

/// How long a "not me" report at this time blocks prompts in a context.
#[must_use]
pub fn held_until(context: &str, now: Timestamp) -> Timestamp {
    now + if context.is_empty() { HELD_UNNAMED } else { HELD_NAMED }
}

/// The prompt budget of a user.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Budget {
    /// Prompts not accepted since the last accepted one, and wrong numbers.
    pub strikes: u32,
    /// How many of the strikes are wrong numbers.
    pub wrong_numbers: u32,
    /// When the last strike happened.
    pub struck_at: Option<Timestamp>,
}

/// A counted prompt that is in progress, or overdue and not yet written as expired.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Waiting {
    /// When it was created.
    pub created_at: Timestamp,
    /// When it expires.
    pub expires_at: Timestamp,
}

impl Waiting {
    /// When it ends if nobody answers. Even a prompt created with an expiry in the past was displayed.
    #[must_use]
    pub fn ends_at(self) -> Timestamp {
        self.created_at.max(self.expires_at)
    }
}

impl Budget {
    /// Adds a strike for a prompt that ended without being accepted.
    #[must_use]
    pub fn strike(self, at: Timestamp) -> Self {
        let (strikes, wrong_numbers) = if self.is_forgotten(at) { (0, 0) } else { (self.strikes, self.wrong_numbers) };
        Self { strikes: strikes.saturating_add(1), wrong_numbers, struck_at: self.struck_at.max(Some(at)) }
    }

    /// Adds a strike for a wrong number: someone is guessing, or the user looks at a screen other than the one that prompts them.
    #[must_use]
    pub fn wrong_number(self, at: Timestamp) -> Self {
        let struck = self.strike(at);
        Self { wrong_numbers: struck.wrong_numbers.saturating_add(1), ..struck }
    }

    /// Until when prompts are paused.
    #[must_use]
    pub fn paused_until(self) -> Option<Timestamp> {
        let last = usize::try_from(self.strikes).unwrap_or(usize::MAX).checked_sub(1)?;
        Some(self.struck_at? + PAUSES[last.min(PAUSES.len() - 1)])
    }

    /// When the next prompt is allowed if nobody answers the pending ones: `now`, or later.
    #[must_use]
    pub fn free_at(self, waiting: &[Waiting], now: Timestamp) -> Timestamp {
        let mut ends: Vec<_> = waiting.iter().map(|waiting| waiting.ends_at()).collect();
        ends.sort_unstable();
        let (mut budget, mut at, mut left) = (self, now, &ends[..]);
        loop {
            while let Some((first, rest)) = left.split_first().filter(|(first, _)| **first <= at) {
                (budget, left) = (budget.strike(*first), rest);
            }
            if let Some(until) = budget.paused_until().filter(|until| *until > at) {
                at = until;
                continue;
            }
            match left.first() {
                // Until one ends, or until the strikes that limit it to one at a time are cleared.
                Some(first) if left.len() >= budget.most_waiting(at) => {
                    at = budget.forgotten_after(at).map_or(*first, |then| then.min(*first));
                }
                _ => return at,
            }
        }
    }

    fn most_waiting(self, at: Timestamp) -> usize {
        if self.strikes == 0 || self.is_forgotten(at) { MAX_WAITING } else { MAX_WAITING_AFTER_STRIKES }
    }

    fn is_forgotten(self, at: Timestamp) -> bool {
        self.struck_at.is_none_or(|struck| struck + FORGOTTEN <= at)
    }

    /// When strikes that count at this time are cleared.
    fn forgotten_after(self, at: Timestamp) -> Option<Timestamp> {
        self.struck_at.map(|struck| struck + FORGOTTEN).filter(|then| *then > at)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const START: Timestamp = Timestamp::from_seconds(1_000_000);

    /// What an attacker does between two attempts.
    #[derive(Clone, Debug)]
    enum Move {
        /// Creates a prompt as soon as allowed, with this lifetime; in the past when negative.
        Ask(i64),
        /// The same in one context, so that it replaces the pending prompt there.
        Replace(i64),
        /// Ends a pending prompt, as a person who rejects or a backend that cancels does.
        End(usize),
        /// Waits this many seconds.
        Rest(u64),
    }

    fn moves() -> impl Strategy<Value = Vec<Move>> {
        let lifetime = prop_oneof![Just(-3_600), Just(0), Just(1), 1..7_200_i64];
        let one = prop_oneof![4 => lifetime.clone().prop_map(Move::Ask),
            3 => lifetime.prop_map(Move::Replace), 2 => (0..3_usize).prop_map(Move::End), 1 => (0..600_u64).prop_map(Move::Rest)];
        prop::collection::vec(one, 0..80)
    }

    /// The times at which the phone rings.
    fn rings(moves: &[Move]) -> Vec<Timestamp> {
        let (mut budget, mut waiting, mut now, mut rings) = (Budget::default(), Vec::<Waiting>::new(), START, Vec::new());
        for one in moves {
            match one {
                Move::Ask(lifetime) => {
                    now = budget.free_at(&waiting, now);
                    let seconds = Duration::from_secs(lifetime.unsigned_abs());
                    let expires_at = if *lifetime < 0 { now - seconds } else { now + seconds };
                    waiting.push(Waiting { created_at: now, expires_at });
                    rings.push(now);
                }
                // All pending prompts of one context.
                Move::Replace(lifetime) => {
                    // Prompts that end during the pause extend it.
                    loop {
                        let (over, open): (Vec<_>, Vec<_>) = waiting.iter().copied().partition(|waiting| waiting.ends_at() <= now);
                        let free = budget.free_at(&over, now);
                        if free == now {
                            budget = over.into_iter().fold(budget, |budget, over| budget.strike(over.ends_at()));
                            budget = open.into_iter().fold(budget, |budget, _| budget.strike(now));
                            break;
                        }
                        now = free;
                    }
                    waiting.clear();
                    let seconds = Duration::from_secs(lifetime.unsigned_abs());
                    waiting.push(Waiting { created_at: now, expires_at: if *lifetime < 0 { now - seconds } else { now + seconds } });
                    rings.push(now);
                }
                Move::End(which) if *which < waiting.len() => {
                    // A prompt that was over by then has expired.
                    let ended = waiting.remove(*which);
                    budget = budget.strike(ended.ends_at().min(now));
                }
                Move::End(_) => {}
                Move::Rest(seconds) => now = now + Duration::from_secs(*seconds),
            }
            let (over, left): (Vec<_>, Vec<_>) = waiting.into_iter().partition(|waiting| waiting.ends_at() <= now);
            waiting = left;
            budget = over.into_iter().fold(budget, |budget, over| budget.strike(over.ends_at()));
        }
        rings
    }

    proptest! {
        #[test]
        fn whatever_others_do_a_phone_that_nobody_accepts_on_rings_at_most_12_times_in_any_hour(moves in moves()) {
            let rings = rings(&moves);
            for (n, first) in rings.iter().enumerate() {
                let within = rings[n..].iter().filter(|ring| **ring < *first + Duration::from_hours(1)).count();
                prop_assert!(within <= 12, "{within} from {first}");
            }
        }

        #[test]
        fn the_moment_that_is_told_is_the_first_at_which_others_may_ask(
            strikes in 0..9_u32, struck in 0..100_000_u64, asked in prop::collection::vec((0..90_u64, -900..4_000_i64), 0..4), early in 1..4_000_000_000_u64,
        ) {
            let now = START + Duration::from_secs(100);
            let budget = Budget { strikes, wrong_numbers: 0, struck_at: (strikes > 0).then(|| START - Duration::from_secs(struck)) };
            let waiting: Vec<_> = asked.into_iter().map(|(ago, left)| {
                let (created_at, seconds) = (now - Duration::from_secs(ago), Duration::from_secs(left.unsigned_abs()));
                Waiting { created_at, expires_at: if left < 0 { now - seconds } else { now + seconds } }
            }).collect();
            let free = budget.free_at(&waiting, now);
            prop_assert!(free >= now);
            prop_assert_eq!(budget.free_at(&waiting, free), free);
            let before = free - Duration::from_micros(early);
            if before >= now {
                prop_assert_eq!(budget.free_at(&waiting, before), free);
            }
        }
    }

    #[test]
    fn the_pause_grows_by_what_nobody_accepts_and_is_forgotten_after_a_quiet_day() {
        let seconds = |n: u32| {
            let struck = (0..n).fold(Budget::default(), |budget, _| budget.strike(START));
            START.until(struck.free_at(&[], START)).as_secs()
        };
        assert_eq!([0, 1, 2, 3, 4, 5, 6, 50].map(seconds), [0, 10, 30, 120, 600, 1_800, 3_600, 3_600]);
        let struck = (0..9).fold(Budget::default(), |budget, _| budget.strike(START));
        let (late, almost) = (START + FORGOTTEN, START + FORGOTTEN - Duration::from_secs(1));
        assert_eq!((struck.strike(almost).strikes, struck.strike(late).strikes), (10, 1));
        let wrong = struck.wrong_number(almost);
        assert_eq!((wrong.strikes, wrong.wrong_numbers, wrong.paused_until()), (10, 1, Some(almost + Duration::from_hours(1))));
        let forgotten = wrong.wrong_number(almost + FORGOTTEN);
        assert_eq!((forgotten.strikes, forgotten.wrong_numbers), (1, 1));
    }

    #[test]
    fn three_may_wait_and_after_a_strike_one() {
        let waiting = |n: usize| vec![Waiting { created_at: START, expires_at: START + Duration::from_mins(30) }; n];
        let struck = Budget { strikes: 1, wrong_numbers: 0, struck_at: Some(START - Duration::from_mins(1)) };
        assert_eq!([0, 2].map(|n| Budget::default().free_at(&waiting(n), START)), [START; 2]);
        assert_eq!((struck.free_at(&waiting(0), START)), START);
        for full in [Budget::default().free_at(&waiting(3), START), struck.free_at(&waiting(1), START)] {
            assert!(full > START + Duration::from_mins(30), "those that wait are strikes when they end");
        }
    }
}
