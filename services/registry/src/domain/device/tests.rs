use nodkey_kernel::{
    jose::{Algorithm, PrivateKey},
    random::Random,
    vault::Vault,
};
use proptest::prelude::*;

use super::*;
use crate::domain::key_statement::tests::{Signer, VAULT, verifier};

/// The key of a seed; 0 is the device key.
fn private(seed: u64) -> PrivateKey {
    PrivateKey::generate(if seed.is_multiple_of(2) { Algorithm::EdDsa } else { Algorithm::Es256 }, &Random::seeded(seed))
}

fn key(seed: u64) -> PublicJwk {
    private(seed).public()
}

fn party(seed: u64) -> RelyingPartyId {
    RelyingPartyId::generate(Timestamp::from_seconds(1), &Random::seeded(seed))
}

fn presence(biometric: Option<u64>, credential: Option<u64>) -> PresenceKeys {
    PresenceKeys { biometric: biometric.map(key), credential: credential.map(key) }
}

fn registration(presence: PresenceKeys, name: &str, statement: Option<SentStatement>) -> Registration {
    let profile =
        Profile { presence, name: name.into(), platform: Platform::Ios, app_version: "1".into(), capabilities: Capabilities::default() };
    Registration { key: key(0), profile, statement }
}

/// How a phone vouches for its keys in a request.
#[derive(Debug, Clone, Copy)]
enum Vouch {
    Not,
    ForThese,
    ForOthers,
    AsBefore,
}

#[derive(Debug, Clone)]
enum Command {
    Register(u64, PresenceKeys, String, Vouch),
    Update(Patch, Vouch),
    Retire,
}

fn commands() -> impl Strategy<Value = Command> {
    let keys = || (prop::option::of(0_u64..4), prop::option::of(0_u64..4)).prop_map(|(b, c)| presence(b, c));
    let vouch = || prop_oneof![2 => Just(Vouch::Not), 4 => Just(Vouch::ForThese), 1 => Just(Vouch::ForOthers), 1 => Just(Vouch::AsBefore)];
    let patch = |presence, name| Patch { presence, name, ..Patch::default() };
    prop_oneof![
        4 => (1_u64..3, keys(), "[ab]", vouch()).prop_map(|(party, keys, name, vouch)| Command::Register(party, keys, name, vouch)),
        4 => (keys(), prop::option::of("[ab]"), vouch()).prop_map(move |(keys, name, vouch)| Command::Update(patch(keys, name), vouch)),
        1 => Just(Command::Retire),
    ]
}

/// The statement of a request that leaves the device with `keys`.
fn statement(device: &Device, keys: PresenceKeys, vouch: Vouch, now: Timestamp) -> Option<SentStatement> {
    let (signer, others) = (Signer { device: private(0), now }, presence(Some(99), None));
    let seq = device.vouching.seq + 1;
    match vouch {
        Vouch::Not => None,
        Vouch::ForThese => Some(signer.sent(seq, &keys)),
        Vouch::ForOthers => Some(signer.sent(seq, &others)),
        Vouch::AsBefore => device.vouching.statement.as_ref().map(|made| SentStatement::parse(&made.jws, &[]).unwrap().unwrap()),
    }
}

proptest! {
    #[test]
    fn whatever_happens_the_invariants_hold(commands in prop::collection::vec(commands(), 0..20)) {
        let vault = Vault::new(&VAULT);
        let at = |second| verifier(&vault, Timestamp::from_seconds(second));
        let mut device = Device::register(party(1), registration(presence(None, None), "a", None), at(0)).unwrap();
        for (second, command) in (1..).zip(commands) {
            let (before, now) = (device.clone(), Timestamp::from_seconds(second));
            let sent = match &command {
                Command::Register(_, keys, _, vouch) => statement(&device, *keys, *vouch, now),
                Command::Update(patch, vouch) => statement(&device, device.profile.presence.overlaid(patch.presence), *vouch, now),
                Command::Retire => None,
            };
            let outcome = match command {
                Command::Register(by, keys, name, _) => {
                    device.clone().register_again(party(by), registration(keys, &name, sent.clone()), at(second))
                }
                Command::Update(patch, _) => device.clone().update(Patch { statement: sent.clone(), ..patch }, at(second)),
                Command::Retire => Ok(device.clone().retire(now)),
            };
            match outcome {
                Ok(Change::Changed(changed)) => {
                    prop_assert_eq!(changed.version, before.version + 1);
                    prop_assert_eq!(changed.updated_at, now);
                    prop_assert!(before.retired_at.is_none(), "nothing leaves retirement");
                    device = changed;
                }
                Ok(Change::Same(same)) => prop_assert_eq!(&same, &before),
                Err(_) => {}
            }
            prop_assert_eq!((&device.id, device.relying_party, device.key), (&before.id, party(1), key(0)));
            prop_assert!(device.vouching.seq >= before.vouching.seq && device.vouching.challenged_at >= before.vouching.challenged_at);
            let other_keys = device.profile.presence != before.profile.presence;
            prop_assert!(!other_keys || sent.is_some() == device.vouching.statement.is_some(), "an old statement vouches for no new key");
            prop_assert!(crate::invariants::check_device(&device).is_ok());
        }
    }
}

#[test]
fn who_may_register_a_known_key_again() {
    let vault = Vault::new(&VAULT);
    let at = |second| verifier(&vault, Timestamp::from_seconds(second));
    let device = Device::register(party(1), registration(presence(Some(1), None), "a", None), at(0)).unwrap();
    let again = |device: &Device, by| device.clone().register_again(party(by), registration(presence(None, Some(1)), "b", None), at(1));
    assert_eq!(again(&device, 2), Err(Refusal::DeviceKeyInUse));
    let Ok(Change::Changed(changed)) = again(&device, 1) else { panic!("refused or unchanged") };
    assert_eq!(changed.profile.presence, presence(None, Some(1)));
    let Change::Changed(retired) = device.retire(Timestamp::from_seconds(1)) else { panic!("unchanged") };
    assert_eq!(again(&retired, 1), Err(Refusal::DeviceRetired));
    assert_eq!(again(&retired, 2), Err(Refusal::DeviceKeyInUse));
}

#[test]
fn the_same_registration_again_changes_nothing_even_when_its_nonce_has_expired() {
    let vault = Vault::new(&VAULT);
    let signer = Signer { device: private(0), now: Timestamp::from_seconds(0) };
    let keys = presence(Some(1), None);
    let request = registration(keys, "a", Some(signer.sent(1, &keys)));
    let device = Device::register(party(1), request.clone(), verifier(&vault, Timestamp::from_seconds(0))).unwrap();
    let day_after = verifier(&vault, Timestamp::from_seconds(86_400));
    assert_eq!(device.clone().register_again(party(1), request, day_after), Ok(Change::Same(device.clone())));
    let without = registration(keys, "a", None);
    assert_eq!(device.clone().register_again(party(1), without, day_after), Ok(Change::Same(device)), "the keys are those it vouched for");
}

#[test]
fn there_is_one_presence_key_of_a_kind() {
    let jwk = |seed| key(seed).to_value().to_string();
    let (one, two) = (jwk(1), jwk(2));
    let (biometric, credential) = (Ok(PresenceKind::Biometric), Ok(PresenceKind::Credential));
    assert_eq!(PresenceKeys::parse([(biometric, one.as_str()), (credential, two.as_str())]), Ok(presence(Some(1), Some(2))));
    assert!(PresenceKeys::parse([(biometric, one.as_str()), (biometric, two.as_str())]).is_err());
    assert!(PresenceKeys::parse([(Err(Unknown), one.as_str())]).is_err());
    assert!(PresenceKeys::parse([(biometric, "{}")]).is_err());
}
