//! Which presence keys count as proof of a person's presence: the weaker factor must not replace the stronger one.
//!
//! The device key signs without user interaction, so anyone who holds it could claim any key to be behind a fingerprint. A presence key
//! therefore counts only if it came with the registration, if a key that counts vouched for it, or if the backend approved it. Until then
//! it proves no more than the device key.

use nodkey_kernel::{jose::PublicJwk, key_statement::PresenceKind, time::Timestamp};

use super::device::PresenceKeys;

/// Whether and since when a presence key counts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Standing {
    /// Whether its signatures prove a person's presence.
    pub counts: bool,
    /// Since when the device has the key; `None` if that predates the record.
    pub since: Option<Timestamp>,
}

impl Default for Standing {
    /// The standing of keys that predate standings, and of a kind without a key.
    fn default() -> Self {
        Self { counts: true, since: None }
    }
}

/// The standings of a device's presence keys, by kind.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Standings {
    /// The key behind fingerprint or face.
    pub biometric: Standing,
    /// The key behind PIN, pattern or passcode.
    pub credential: Standing,
}

impl Standings {
    /// The standings of the keys of a new device.
    #[must_use]
    pub fn of_new(keys: &PresenceKeys, now: Timestamp) -> Self {
        let new = |key: Option<PublicJwk>| key.map_or_else(Standing::default, |_| Standing { counts: true, since: Some(now) });
        Self { biometric: new(keys.biometric), credential: new(keys.credential) }
    }

    /// The standing of the key of a kind.
    #[must_use]
    pub const fn of(&self, kind: PresenceKind) -> Standing {
        match kind {
            PresenceKind::Biometric => self.biometric,
            PresenceKind::Credential => self.credential,
        }
    }

    /// The standings once the keys change from `before` to `after`. `signers` are the thumbprints of the keys that signed the new key
    /// statement.
    #[must_use]
    pub fn renew(&self, before: &PresenceKeys, after: &PresenceKeys, signers: &[String], now: Timestamp) -> Self {
        let signed = |key: &PublicJwk| signers.contains(&key.thumbprint());
        let is_vouched_for =
            |key: PublicJwk| signed(&key) && before.iter().any(|(kind, other)| other != key && self.of(kind).counts && signed(&other));
        let stands = |key: Option<PublicJwk>| {
            let Some(key) = key else { return Standing::default() };
            let stood = before.iter().find(|(_, known)| *known == key).map(|(kind, _)| self.of(kind));
            match stood {
                Some(stood) => Standing { counts: stood.counts || is_vouched_for(key), ..stood },
                None => Standing { counts: is_vouched_for(key), since: Some(now) },
            }
        };
        Self { biometric: stands(after.biometric), credential: stands(after.credential) }
    }

    /// The standings once the backend has approved a key. Returns `None` if the device has no such key.
    #[must_use]
    pub fn approve(self, keys: &PresenceKeys, thumbprint: &str) -> Option<Self> {
        let is = |key: Option<PublicJwk>| key.is_some_and(|key| key.thumbprint() == thumbprint);
        let counts = |standing: Standing| Standing { counts: true, ..standing };
        match (is(keys.biometric), is(keys.credential)) {
            (false, false) => None,
            (biometric, credential) => Some(Self {
                biometric: if biometric { counts(self.biometric) } else { self.biometric },
                credential: if credential { counts(self.credential) } else { self.credential },
            }),
        }
    }
}

#[cfg(test)]
mod tests {
    use nodkey_kernel::{
        jose::{Algorithm, PrivateKey},
        random::Random,
    };
    use proptest::prelude::*;

    use super::*;

    const NOW: Timestamp = Timestamp::from_seconds(1_700_000_000);

    fn key(seed: u64) -> PublicJwk {
        PrivateKey::generate(Algorithm::EdDsa, &Random::seeded(seed)).public()
    }

    fn keys(biometric: Option<u64>, credential: Option<u64>) -> PresenceKeys {
        PresenceKeys { biometric: biometric.map(key), credential: credential.map(key) }
    }

    fn signers(seeds: &[u64]) -> Vec<String> {
        seeds.iter().map(|seed| key(*seed).thumbprint()).collect()
    }

    #[test]
    fn a_key_that_comes_later_counts_once_it_and_one_that_counts_have_signed() {
        let before = keys(Some(1), Some(2));
        let stood = Standings::of_new(&before, NOW);
        let after = keys(Some(3), Some(2));
        let counts = |signed: &[u64]| stood.renew(&before, &after, &signers(signed), NOW).biometric.counts;
        assert!(counts(&[3, 2]) && counts(&[3, 1]), "the one beside it, or the one it replaces");
        for signed in [&[][..], &[3], &[2], &[1, 2], &[3, 4]] {
            assert!(!counts(signed), "{signed:?}");
        }
        assert!(stood.renew(&before, &after, &[], NOW).credential.counts, "what stays needs nothing");
        // Keys that do not count cannot vouch for a key, nor for each other.
        let (worse, both) = (stood.renew(&before, &keys(Some(3), Some(4)), &[], NOW), keys(Some(3), Some(4)));
        assert!(!worse.biometric.counts && !worse.credential.counts);
        let again = worse.renew(&both, &both, &signers(&[3, 4]), NOW);
        assert!(!again.biometric.counts && !again.credential.counts);
        let other = worse.renew(&both, &keys(Some(5), Some(4)), &signers(&[5, 4]), NOW);
        assert!(!other.biometric.counts);
        // The backend can.
        let approved = worse.approve(&both, &key(4).thumbprint()).unwrap();
        assert!(approved.credential.counts && !approved.biometric.counts);
        assert!(approved.renew(&both, &both, &signers(&[3, 4]), NOW).biometric.counts);
        assert_eq!(worse.approve(&both, &key(9).thumbprint()), None);
    }

    #[test]
    fn a_key_is_known_by_itself_and_not_by_its_kind() {
        let (before, swapped) = (keys(Some(1), Some(2)), keys(Some(2), Some(1)));
        let stood = Standings { biometric: Standing { counts: false, since: None }, ..Standings::of_new(&before, NOW) };
        let renewed = stood.renew(&before, &swapped, &[], NOW);
        assert_eq!((renewed.biometric, renewed.credential), (stood.credential, stood.biometric));
    }

    proptest! {
        /// An attacker who holds the device key and makes new keys, but has none of the person's, never gets one that counts.
        #[test]
        fn no_sequence_of_changes_without_a_key_that_counts_makes_one_count(
            changes in prop::collection::vec((prop::option::of(1_u64..9), prop::option::of(1_u64..9)), 1..12),
        ) {
            const OF_THE_PERSON: [u64; 2] = [1, 2];
            let mut held = keys(Some(OF_THE_PERSON[0]), Some(OF_THE_PERSON[1]));
            let mut standings = Standings::of_new(&held, NOW);
            let stolen: Vec<u64> = (1..9).filter(|seed| !OF_THE_PERSON.contains(seed)).collect();
            for (biometric, credential) in changes {
                let after = keys(biometric, credential);
                standings = standings.renew(&held, &after, &signers(&stolen), NOW);
                held = after;
                for (kind, key_held) in held.iter() {
                    prop_assert!(!standings.of(kind).counts || OF_THE_PERSON.iter().any(|seed| key(*seed) == key_held));
                }
            }
        }
    }
}
