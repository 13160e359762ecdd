//! The signing keys of an endpoint: the current ones, and previous ones that also sign until their overlap ends.

use std::time::Duration;

use nodkey_kernel::{id::EndpointId, random::Random, time::Timestamp, vault::Vault, webhook::SigningKeys};
use nodkey_runtime::Failure;
use zeroize::Zeroizing;

use crate::{domain::Endpoint, error::Error};

/// Maximum number of previous keys that may sign. Each adds two signatures to every request.
const MAX_PREVIOUS: usize = 4;
/// Stored form of previous keys: the end of their overlap in microseconds since the epoch, then both keys.
const TIME: usize = 8;
const KEPT: usize = TIME + 64;

/// The keys that currently sign.
#[derive(Debug)]
pub struct EndpointKeys {
    current: SigningKeys,
    /// Previous keys, newest first.
    previous: Vec<Previous>,
}

/// Previous keys and when they stop signing.
#[derive(Debug)]
struct Previous {
    until: Timestamp,
    keys: SigningKeys,
}

impl EndpointKeys {
    /// Decrypts the keys that sign at a given time.
    pub fn open(vault: &Vault, endpoint: &Endpoint, now: Timestamp) -> Result<Self, Failure> {
        let current = open(vault, endpoint.id, &endpoint.sealed_keys)?;
        let mut previous = Vec::new();
        if let Some((sealed, until)) = &endpoint.previous_keys {
            let last = Previous { until: *until, keys: open(vault, endpoint.id, sealed)? };
            // If the latest previous keys are missing, an earlier release has ended all of them.
            if let Some(sealed) = &endpoint.older_keys {
                previous = unpack(vault, endpoint.id, sealed)?;
            }
            // An earlier release stores the keys that it replaces only there.
            if previous.iter().all(|known| known.keys.to_bytes() != last.keys.to_bytes()) {
                previous.insert(0, last);
            }
        }
        previous.retain(|previous| previous.until > now);
        Ok(Self { current, previous })
    }

    /// The current keys.
    #[must_use]
    pub const fn current(&self) -> &SigningKeys {
        &self.current
    }

    /// All keys, newest first.
    #[must_use]
    pub fn into_all(self) -> Vec<SigningKeys> {
        std::iter::once(self.current).chain(self.previous.into_iter().map(|previous| previous.keys)).collect()
    }

    /// When the last previous keys stop signing, if any sign.
    #[must_use]
    pub fn previous_until(&self) -> Option<Timestamp> {
        self.previous.iter().map(|previous| previous.until).max()
    }

    /// Returns the endpoint with new keys. The current keys also sign for the `overlap`, and earlier ones until their own end. Without an
    /// overlap, only the new keys sign.
    pub fn rotate(
        self,
        (vault, random): (&Vault, &Random),
        endpoint: Endpoint,
        new: &SigningKeys,
        overlap: Duration,
        now: Timestamp,
    ) -> Result<Endpoint, Error> {
        let Self { current, mut previous } = self;
        let (id, version) = (endpoint.id, endpoint.version + 1);
        let sealed_keys = seal(vault, random, id, new);
        if overlap.is_zero() {
            return Ok(Endpoint { sealed_keys, previous_keys: None, older_keys: None, version, ..endpoint });
        }
        if previous.len() >= MAX_PREVIOUS
            && let Some(until) = previous.iter().map(|previous| previous.until).min()
        {
            return Err(Error::TooManyKeys { most: MAX_PREVIOUS, until });
        }
        let until = now + overlap;
        previous.insert(0, Previous { until, keys: current });
        let older_keys = Some(pack(vault, random, id, &previous));
        // An earlier release signs only with these two.
        Ok(Endpoint { previous_keys: Some((endpoint.sealed_keys, until)), sealed_keys, older_keys, version, ..endpoint })
    }
}

/// Seals keys for their endpoint.
pub fn seal(vault: &Vault, random: &Random, id: EndpointId, keys: &SigningKeys) -> Vec<u8> {
    vault.seal(random, &context(id), &keys.to_bytes())
}

fn open(vault: &Vault, id: EndpointId, sealed: &[u8]) -> Result<SigningKeys, Failure> {
    read(&vault.open(&context(id), sealed).map_err(|_| UNOPENED)?)
}

fn read(bytes: &[u8]) -> Result<SigningKeys, Failure> {
    SigningKeys::from_bytes(bytes).map_err(|_| Failure::Internal("stored webhook keys are not valid"))
}

fn pack(vault: &Vault, random: &Random, id: EndpointId, previous: &[Previous]) -> Vec<u8> {
    let mut bytes = Zeroizing::new(Vec::with_capacity(KEPT * previous.len()));
    for Previous { until, keys } in previous {
        bytes.extend_from_slice(&until.as_micros().to_be_bytes());
        bytes.extend_from_slice(&keys.to_bytes());
    }
    vault.seal(random, &older_context(id), &bytes)
}

fn unpack(vault: &Vault, id: EndpointId, sealed: &[u8]) -> Result<Vec<Previous>, Failure> {
    let bytes = vault.open(&older_context(id), sealed).map_err(|_| UNOPENED)?;
    let (each, rest) = bytes.as_chunks::<KEPT>();
    if !rest.is_empty() {
        return Err(Failure::Internal("stored webhook keys are not valid"));
    }
    let previous = |kept: &[u8; KEPT]| {
        let (until, keys) = kept.split_first_chunk::<TIME>().ok_or(UNOPENED)?;
        Ok(Previous { until: Timestamp::from_micros(i64::from_be_bytes(*until)), keys: read(keys)? })
    };
    each.iter().map(previous).collect()
}

const UNOPENED: Failure = Failure::Internal("webhook keys cannot be decrypted");

/// The context keys are sealed with.
fn context(id: EndpointId) -> String {
    format!("endpoint/{id}")
}

/// The context all previous keys are sealed with together.
fn older_context(id: EndpointId) -> String {
    format!("endpoint/{id}/older")
}

#[cfg(test)]
mod tests {
    use nodkey_kernel::{error::Classify as _, id::RelyingPartyId};

    use super::*;

    const NOW: Timestamp = Timestamp::from_seconds(1_700_000_000);
    const HOUR: Duration = Duration::from_hours(1);

    fn vault() -> Vault {
        Vault::new(&[7; 32])
    }

    fn keys(seed: u64) -> SigningKeys {
        SigningKeys::generate(&Random::seeded(seed))
    }

    fn endpoint() -> Endpoint {
        let random = Random::seeded(1);
        let id = EndpointId::generate(NOW, &random);
        Endpoint {
            id,
            relying_party: RelyingPartyId::generate(NOW, &random),
            url: "https://example.com".into(),
            event_types: Vec::new(),
            sealed_keys: seal(&vault(), &random, id, &keys(0)),
            previous_keys: None,
            older_keys: None,
            disabled: None,
            failing_since: None,
            created_at: NOW,
            version: 1,
        }
    }

    fn rotated(endpoint: Endpoint, seed: u64, overlap: Duration, now: Timestamp) -> Result<Endpoint, Error> {
        let held = EndpointKeys::open(&vault(), &endpoint, now).unwrap();
        held.rotate((&vault(), &Random::seeded(seed)), endpoint, &keys(seed), overlap, now)
    }

    /// The seeds of the keys that sign.
    fn signing(endpoint: &Endpoint, now: Timestamp) -> Vec<u64> {
        let all = EndpointKeys::open(&vault(), endpoint, now).unwrap().into_all();
        let seed = |held: &SigningKeys| (0..100).find(|seed| keys(*seed).to_bytes() == held.to_bytes()).unwrap();
        all.iter().map(seed).collect()
    }

    #[test]
    fn keys_of_before_sign_each_until_its_own_time_is_over() {
        let first = rotated(endpoint(), 1, 3 * HOUR, NOW).unwrap();
        assert_eq!(signing(&first, NOW), [1, 0]);
        let second = rotated(first, 2, HOUR, NOW + HOUR).unwrap();
        assert_eq!(signing(&second, NOW + HOUR), [2, 1, 0], "the receiver's secret is worth something after a second rotation, too");
        let until = |now| EndpointKeys::open(&vault(), &second, now).unwrap().previous_until();
        assert_eq!(until(NOW + HOUR), Some(NOW + 3 * HOUR));
        assert_eq!(signing(&second, NOW + 2 * HOUR), [2, 0], "one that was replaced later may end sooner");
        assert_eq!(signing(&second, NOW + 3 * HOUR), [2]);
        assert_eq!(until(NOW + 3 * HOUR), None);
        assert_eq!((second.version, EndpointKeys::open(&vault(), &second, NOW).unwrap().current().secret()), (3, keys(2).secret()));
    }

    #[test]
    fn beyond_so_many_the_rotation_is_refused_and_without_an_overlap_all_end_at_once() {
        let mut held = endpoint();
        for seed in 1..=4 {
            held = rotated(held, seed, HOUR * u32::try_from(seed).unwrap(), NOW).unwrap();
        }
        assert_eq!(signing(&held, NOW), [4, 3, 2, 1, 0]);
        let refused = rotated(held.clone(), 5, HOUR, NOW).unwrap_err();
        assert_eq!(refused.reason(), "TOO_MANY_KEYS");
        assert!(refused.to_string().contains(&(NOW + HOUR).to_string()), "{refused}");
        let later = rotated(held.clone(), 5, HOUR, NOW + HOUR).unwrap();
        assert_eq!(signing(&later, NOW + HOUR), [5, 4, 3, 2, 1]);
        let alone = rotated(held, 5, Duration::ZERO, NOW).unwrap();
        assert_eq!((signing(&alone, NOW), alone.previous_keys, alone.older_keys), (vec![5], None, None));
    }

    #[test]
    fn what_a_release_before_writes_is_read_and_ends_nothing_that_it_does_not_know() {
        let random = Random::seeded(9);
        let by_before = |before: Endpoint, seed: u64, overlap: Duration| {
            let previous_keys = (!overlap.is_zero()).then(|| (before.sealed_keys.clone(), NOW + overlap));
            Endpoint { sealed_keys: seal(&vault(), &random, before.id, &keys(seed)), previous_keys, ..before }
        };
        assert_eq!(signing(&by_before(endpoint(), 1, HOUR), NOW), [1, 0]);
        let both = by_before(rotated(endpoint(), 1, 2 * HOUR, NOW).unwrap(), 2, HOUR);
        assert_eq!(signing(&both, NOW), [2, 1, 0]);
        assert_eq!(signing(&rotated(both.clone(), 3, HOUR, NOW).unwrap(), NOW), [3, 2, 1, 0]);
        assert_eq!(signing(&by_before(both, 3, Duration::ZERO), NOW), [3], "it has ended all");
    }

    #[test]
    fn keys_of_before_are_those_of_their_endpoint_and_of_their_column() {
        let held = rotated(endpoint(), 1, HOUR, NOW).unwrap();
        let opened = |changed: Endpoint| EndpointKeys::open(&vault(), &changed, NOW).map(drop);
        let other = EndpointId::generate(NOW, &Random::seeded(5));
        assert!(opened(held.clone()).is_ok());
        assert!(opened(Endpoint { id: other, ..held.clone() }).is_err());
        let swapped = Endpoint { older_keys: Some(held.sealed_keys.clone()), ..held.clone() };
        assert!(opened(swapped).is_err());
        let cut = vault().seal(&Random::seeded(1), &older_context(held.id), &[0; KEPT - 1]);
        assert!(opened(Endpoint { older_keys: Some(cut), ..held }).is_err());
    }
}
