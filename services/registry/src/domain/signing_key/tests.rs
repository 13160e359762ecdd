//! In any order of publication: no key signs before its lead is over, and no key that signed goes missing.

use nodkey_kernel::{jose::PrivateKey, random::Random};
use proptest::{prelude::*, sample::select};

use super::*;

const START: Timestamp = Timestamp::from_seconds(1_000_000);
const PUBLICATION: Publication = Publication { lead: Duration::from_mins(5), retention: Duration::from_hours(24) };

fn key(n: u64) -> PublicJwk {
    PrivateKey::generate(Algorithm::EdDsa, &Random::seeded(n)).public()
}

fn texts(typs: &[&str]) -> Vec<String> {
    typs.iter().map(|typ| (*typ).to_owned()).collect()
}

fn offer(owner: Owner, n: u64, at_once: bool) -> Offer {
    Offer { owner, key: key(n), typs: texts(owner.typs()), at_once }
}

/// A registry key that signs every `typ`, as before keys had owners.
fn before(n: u64) -> SigningKey {
    let typs = [Owner::Registry.typs(), &LENT].concat();
    SigningKey {
        key: key(n),
        owner: Owner::Registry,
        typs: texts(&typs),
        created_at: START,
        signs_at: START,
        retires_at: None,
        revoked_at: None,
    }
}

fn publish(all: &mut Vec<SigningKey>, offer: Offer, now: Timestamp) -> SigningKey {
    match PUBLICATION.publish(all, offer, now).unwrap() {
        Published::Before(key) => key,
        Published::Now(new, changed) => {
            for changed in changed {
                let before = all.iter_mut().find(|key| key.key == changed.key).unwrap();
                *before = changed;
            }
            all.push(new.clone());
            new
        }
    }
}

proptest! {
    #[test]
    fn a_successor_is_published_before_it_signs_and_its_predecessor_as_long_as_its_signatures_live(
        upgraded: bool,
        steps in prop::collection::vec((select(Owner::ALL), 0..600_u64, prop::bool::weighted(0.1)), 1..12),
    ) {
        let (mut all, mut now) = (if upgraded { vec![before(999)] } else { Vec::new() }, START);
        for (n, (owner, seconds, at_once)) in steps.into_iter().enumerate() {
            now = now + Duration::from_secs(seconds);
            let known = all.clone();
            let new = publish(&mut all, offer(owner, n as u64, at_once), now);
            let signing = |typ: &String| known.iter().any(|key| key.is_published(now) && key.signs_at <= now && key.signs(typ));
            let succeeds = new.typs.iter().any(signing);
            prop_assert_eq!(new.signs_at, if succeeds && !at_once { now + PUBLICATION.lead } else { now });
            prop_assert!(new.is_published(now) && jwks(&all, now).keys.iter().any(|published| published.key == new.key));
            for old in all.iter().filter(|old| old.owner == owner && old.key != new.key) {
                prop_assert!(old.retires_at.is_some());
                prop_assert!(!at_once || !old.is_published(now));
                let was = known.iter().find(|was| was.key == old.key).unwrap();
                let retires_now = was.retires_at.is_none() && !at_once;
                prop_assert!(!retires_now || old.retires_at == Some(new.signs_at + PUBLICATION.retention));
            }
            // Keys of other owners are unchanged.
            prop_assert!(known.iter().filter(|was| was.owner != owner).all(|was| all.contains(was)));
            let kids: Vec<_> = archive(&all)["keys"].as_array().unwrap().iter().map(|key| key["kid"].as_str().unwrap().to_owned()).collect();
            let of_evidence = all.iter().filter(|key| key.signs(CHALLENGE_TYP));
            prop_assert!(of_evidence.into_iter().all(|key| kids.contains(&key.key.thumbprint())), "it is in the archive for ever");
            let signs: Vec<_> = current(&all, now).collect();
            prop_assert!(signs.iter().all(|key| key.signs_at <= now && key.is_published(now)), "who signs now can be verified");
        }
    }
}

#[test]
fn a_key_that_is_published_again_is_as_it_was() {
    let mut all = vec![before(9)];
    let first = publish(&mut all, offer(Owner::Trusonafication, 1, false), START);
    assert_eq!(first.signs_at, START + PUBLICATION.lead, "the registry's key signs these already");
    let later = START + Duration::from_hours(1);
    for at_once in [false, true] {
        let again = PUBLICATION.publish(&all, offer(Owner::Trusonafication, 1, at_once), later).unwrap();
        assert_eq!(again, Published::Before(first.clone()));
    }
    let stolen = Offer { owner: Owner::Registry, typs: texts(Owner::Registry.typs()), ..offer(Owner::Registry, 1, false) };
    assert_eq!(PUBLICATION.publish(&all, stolen, later), Err(Refusal::SigningKeyTaken));
    let widened = Offer { typs: texts(&[RECEIPT_TYP]), ..offer(Owner::Trusonafication, 1, false) };
    assert_eq!(PUBLICATION.publish(&all, widened, later).unwrap(), Published::Before(first), "for what it was published for");
}

#[test]
fn a_service_publishes_keys_for_its_own_types_alone() {
    for owner in Owner::ALL {
        for other in Owner::ALL {
            assert_eq!(owner.check(&texts(other.typs())).is_ok(), owner == other);
        }
        assert!(owner.check(&[]).is_err());
        assert!(owner.check(&texts(&[owner.typs()[0], owner.typs()[0]])).is_err());
        assert!(owner.check(&texts(&["nodkey-keys+jwt"])).is_err());
    }
}

#[test]
fn the_registry_lends_its_key_until_the_other_signs_by_its_own() {
    assert!(lent(&[], START).is_empty(), "a new deployment never lends");
    let mut all = vec![before(9)];
    assert_eq!(lent(&all, START), LENT);
    let own = publish(&mut all, offer(Owner::Trusonafication, 1, false), START);
    assert_eq!(lent(&all, START), LENT);
    assert!(lent(&all, own.signs_at).is_empty());
}

#[test]
fn a_revoked_key_is_nowhere_but_in_the_archive_which_says_so() {
    let mut all = Vec::new();
    let old = publish(&mut all, offer(Owner::Trusonafication, 1, false), START);
    let now = START + Duration::from_hours(1);
    publish(&mut all, offer(Owner::Trusonafication, 2, true), now);
    assert!(jwks(&all, now).keys.iter().all(|published| published.key != old.key));
    let archive = archive(&all);
    assert_eq!(archive["keys"][0]["revoked"], json!({"revoked_at": now.as_seconds(), "reason": "compromised"}));
    assert_eq!(archive["keys"][0]["iat"], json!(START.as_seconds()));
    assert!(archive["keys"][1].get("revoked").is_none() && archive["keys"][1].get("exp").is_none());
}

#[test]
fn only_json_objects_of_lent_types_are_signed_for_others() {
    assert_eq!(check_claims(CHALLENGE_TYP, br#"{"a":1}"#), Ok(()));
    for claims in [&b"[1]"[..], b"", b"{", b"{\"a\":\"\xff\"}", b"{} {}"] {
        assert!(check_claims(CHALLENGE_TYP, claims).is_err());
    }
    for typ in ["", RECEIPT_TYP, DEVICE_TYP, TOKEN_TYP, "a+jwt"] {
        assert!(check_claims(typ, b"{}").is_err(), "{typ}");
    }
}
