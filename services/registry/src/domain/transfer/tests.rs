use nodkey_kernel::{
    id::RelyingPartyId,
    jose::{Algorithm, PrivateKey},
    random::Random,
    transfer::{sign_transfer, sign_transfer_request},
    vault::Vault,
};
use proptest::prelude::*;

use super::*;
use crate::domain::{
    Change,
    capability::Capabilities,
    device::{Platform, PresenceKeys, Profile},
    device_challenge::DeviceChallenge,
    key_statement::Vouching,
    standing::{Standing, Standings},
};

const GATEWAY: &str = "https://auth.example";
const NOW: Timestamp = Timestamp::from_seconds(1_700_000_000);
/// Seeds of the keys: the old phone, its biometric and PIN, the new phone and its biometric.
const OLD: u64 = 1;
const FINGER: u64 = 2;
const PIN: u64 = 3;
const NEW: u64 = 4;
const ITS_FINGER: u64 = 5;

fn key(seed: u64) -> PrivateKey {
    PrivateKey::generate(Algorithm::Es256, &Random::seeded(seed))
}

fn id(seed: u64) -> DeviceId {
    DeviceId::parse(&key(seed).public().thumbprint()).unwrap()
}

fn vault() -> Vault {
    Vault::new(&[7; 32])
}

fn verifier(vault: &Vault, now: Timestamp) -> Verifier<'_> {
    Verifier { audience: GATEWAY, vault, now }
}

fn device(own: u64, presence: PresenceKeys) -> Device {
    let now = Timestamp::from_seconds(0);
    Device {
        id: id(own),
        relying_party: RelyingPartyId::generate(now, &Random::seeded(1)),
        key: key(own).public(),
        profile: Profile {
            presence,
            name: String::new(),
            platform: Platform::Other,
            app_version: String::new(),
            capabilities: Capabilities::default(),
        },
        vouching: Vouching::default(),
        standings: Standings::of_new(&presence, now),
        created_at: now,
        updated_at: now,
        last_seen_at: None,
        retired_at: None,
        in_use: true,
        version: 1,
    }
}

fn old() -> Device {
    device(OLD, PresenceKeys { biometric: Some(key(FINGER).public()), credential: Some(key(PIN).public()) })
}

fn new() -> Device {
    device(NEW, PresenceKeys { biometric: Some(key(ITS_FINGER).public()), credential: None })
}

fn nonce(of: u64, at: Timestamp) -> String {
    DeviceChallenge::issue(&vault(), &id(of), at).nonce
}

fn claims() -> TransferClaims {
    let (iss, sub) = (id(OLD).to_string(), id(NEW).to_string());
    TransferClaims { iss, sub, aud: GATEWAY.into(), act: TransferAct::Replace, nonce: nonce(OLD, NOW), iat: 1 }
}

fn asks() -> TransferRequestClaims {
    TransferRequestClaims { iss: id(NEW).to_string(), aud: GATEWAY.into(), nonce: nonce(NEW, NOW) }
}

/// A transfer signed by these keys, in the order of its parts.
fn sent(claims: &TransferClaims, by: u64, presence: u64, asks: &TransferRequestClaims, asked_by: u64) -> SentTransfer {
    let (statement, signature) = (sign_transfer(claims, &key(by)), sign_transfer(claims, &key(presence)));
    SentTransfer::parse(&statement, &signature, &sign_transfer_request(asks, &key(asked_by))).unwrap()
}

fn good() -> SentTransfer {
    sent(&claims(), OLD, FINGER, &asks(), NEW)
}

fn verify(sent: &SentTransfer, now: Timestamp) -> Result<Transfer, Refusal> {
    sent.verify(&old(), &new(), verifier(&vault(), now))
}

fn refused(sent: &SentTransfer, refusal: TransferRefusal) {
    assert_eq!(verify(sent, NOW), Err(refusal.into()));
}

#[test]
fn both_phones_and_the_person_who_holds_the_old_one_sign_a_transfer() {
    let transfer = Transfer { old: id(OLD), new: id(NEW), act: TransferAct::Replace, challenged_at: NOW };
    assert_eq!(verify(&good(), NOW), Ok(transfer.clone()));
    assert_eq!(verify(&sent(&claims(), OLD, PIN, &asks(), NEW), NOW), Ok(transfer));
}

#[test]
fn whoever_has_less_than_the_keys_it_takes_transfers_nothing() {
    // The device key alone, the presence key alone, the new phone's keys, an unknown key.
    for presence in [OLD, NEW, ITS_FINGER, 9] {
        refused(&sent(&claims(), OLD, presence, &asks(), NEW), TransferRefusal::Presence);
    }
    for by in [FINGER, NEW, 9] {
        refused(&sent(&claims(), by, FINGER, &asks(), NEW), TransferRefusal::Statement(JoseError::Signature));
    }
    for asked_by in [OLD, FINGER, ITS_FINGER, 9] {
        refused(&sent(&claims(), OLD, FINGER, &asks(), asked_by), TransferRefusal::Request(JoseError::Signature));
    }
    let nobody = SentTransfer { signature: String::new(), ..good() };
    refused(&nobody, TransferRefusal::Presence);
}

#[test]
fn a_presence_key_that_does_not_count_vouches_for_nothing() {
    let mut old = old();
    old.standings.biometric = Standing { counts: false, since: None };
    let verify = |sent: &SentTransfer| sent.verify(&old, &new(), verifier(&vault(), NOW));
    assert_eq!(verify(&good()), Err(TransferRefusal::Presence.into()));
    assert!(verify(&sent(&claims(), OLD, PIN, &asks(), NEW)).is_ok(), "the one beside it does");
}

#[test]
fn what_was_signed_is_about_these_phones_here() {
    let with = |claims: TransferClaims| sent(&claims, OLD, FINGER, &asks(), NEW);
    refused(&with(TransferClaims { sub: id(9).to_string(), ..claims() }), TransferRefusal::Statement(JoseError::Claims));
    refused(&with(TransferClaims { iss: id(9).to_string(), ..claims() }), TransferRefusal::Statement(JoseError::Claims));
    refused(&with(TransferClaims { aud: "https://else.example".into(), ..claims() }), TransferRefusal::Statement(JoseError::Claims));
    let asks_elsewhere = TransferRequestClaims { aud: "https://else.example".into(), ..asks() };
    refused(&sent(&claims(), OLD, FINGER, &asks_elsewhere, NEW), TransferRefusal::Request(JoseError::Claims));
    // The person has signed something else.
    let other = TransferClaims { act: TransferAct::Add, ..claims() };
    let swapped = SentTransfer { signature: sign_transfer(&other, &key(FINGER)), ..good() };
    refused(&swapped, TransferRefusal::Presence);
    for request in ["", "a.b.c", &sign_transfer(&claims(), &key(NEW)).replace('.', "")] {
        assert_eq!(SentTransfer::parse("", "", request), Err(TransferRefusal::Request(JoseError::Malformed)), "{request}");
    }
    let long = "x".repeat(MAX_LENGTH + 1);
    for (statement, signature) in [(long.as_str(), ""), ("", long.as_str())] {
        assert_eq!(SentTransfer::parse(statement, signature, &good().request), Err(TransferRefusal::TooLong));
    }
}

#[test]
fn a_retired_phone_neither_gives_nor_takes() {
    let retired = |device: Device| match device.retire(NOW) {
        Change::Changed(device) | Change::Same(device) => device,
    };
    for (old, new) in [(retired(old()), new()), (old(), retired(new()))] {
        assert_eq!(good().verify(&old, &new, verifier(&vault(), NOW)), Err(Refusal::DeviceRetired));
    }
}

#[test]
fn nonces_are_of_their_phones_for_ten_minutes_and_not_used_for_keys_since() {
    let with = |nonce: String| sent(&TransferClaims { nonce, ..claims() }, OLD, FINGER, &asks(), NEW);
    refused(&with(nonce(NEW, NOW)), TransferRefusal::Nonce("statement", NonceError::Unknown));
    refused(&with("n".into()), TransferRefusal::Nonce("statement", NonceError::Unknown));
    let asks_with = |nonce: String| sent(&claims(), OLD, FINGER, &TransferRequestClaims { nonce, ..asks() }, NEW);
    refused(&asks_with(nonce(OLD, NOW)), TransferRefusal::Nonce("request", NonceError::Unknown));
    let before = Timestamp::from_seconds(NOW.as_seconds() - 600);
    refused(&with(nonce(OLD, before)), TransferRefusal::Nonce("statement", NonceError::Expired));
    refused(&asks_with(nonce(NEW, before)), TransferRefusal::Nonce("request", NonceError::Expired));
    let mut stated = old();
    for (last, expected) in [(NOW.as_micros() - 1, true), (NOW.as_micros(), false), (NOW.as_micros() + 1, false)] {
        stated.vouching.challenged_at = Some(Timestamp::from_micros(last));
        assert_eq!(good().verify(&stated, &new(), verifier(&vault(), NOW)).is_ok(), expected);
    }
}

#[test]
fn a_relying_party_says_what_it_leaves_to_phones() {
    let none = PhoneSettings::default();
    assert_eq!((none.ensure_allow(TransferAct::Replace), none.ensure_allow(TransferAct::Add)), (Ok(()), Err(TransferRefusal::NotAllowed)));
    let other = PhoneSettings { refuse_transfers: true, phones_add_phones: true };
    assert_eq!(
        (other.ensure_allow(TransferAct::Replace), other.ensure_allow(TransferAct::Add)),
        (Err(TransferRefusal::NotAllowed), Ok(()))
    );
}

proptest! {
    /// Of all combinations of signers, only those are valid in which each part is signed by its own key.
    #[test]
    fn no_other_keys_transfer_anything(by in 1_u64..7, presence in 1_u64..7, asked_by in 1_u64..7, adds in any::<bool>()) {
        let act = if adds { TransferAct::Add } else { TransferAct::Replace };
        let sent = sent(&TransferClaims { act, ..claims() }, by, presence, &asks(), asked_by);
        let holds = by == OLD && [FINGER, PIN].contains(&presence) && asked_by == NEW;
        prop_assert_eq!(verify(&sent, NOW).is_ok(), holds);
    }

    /// If any character is changed, the transfer is refused or still the same.
    #[test]
    fn nothing_that_was_changed_on_its_way_holds(which in 0_usize..3, at in 0_usize..400, with in prop::char::range('A', 'z')) {
        let SentTransfer { statement, signature, request, .. } = good();
        let mut parts = [statement, signature, request];
        let mut changed: Vec<char> = parts[which].chars().collect();
        let at = at % changed.len();
        changed[at] = with;
        parts[which] = changed.into_iter().collect();
        let verified = SentTransfer::parse(&parts[0], &parts[1], &parts[2]).map_err(Refusal::from).and_then(|sent| verify(&sent, NOW));
        if let Ok(transfer) = verified {
            prop_assert_eq!(transfer, verify(&good(), NOW).unwrap());
        }
    }
}
