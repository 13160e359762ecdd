use nodkey_kernel::{
    id::DeviceId,
    jose::{Algorithm, PrivateKey, jws},
    key_statement::{StatedKey, sign_key_statement},
    random::Random,
};
use serde_json::json;

use super::*;
use crate::domain::device_challenge::DeviceChallenge;

/// The master key of these tests.
pub const VAULT: [u8; 32] = [7; 32];
const GATEWAY: &str = "https://auth.example";
const NOW: Timestamp = Timestamp::from_seconds(1_700_000_000);

pub fn verifier(vault: &Vault, now: Timestamp) -> Verifier<'_> {
    Verifier { audience: GATEWAY, vault, now }
}

/// A device that makes statements with fresh nonces.
pub struct Signer {
    pub device: PrivateKey,
    pub now: Timestamp,
}

impl Signer {
    fn id(&self) -> DeviceId {
        DeviceId::parse(&self.device.public().thumbprint()).unwrap()
    }

    fn nonce(&self) -> String {
        DeviceChallenge::issue(&Vault::new(&VAULT), &self.id(), self.now).nonce
    }

    fn claims(&self, seq: u64, keys: &PresenceKeys) -> KeyStatementClaims {
        let stated = |(kind, key): (PresenceKind, PublicJwk)| StatedKey { kind, jkt: key.thumbprint() };
        let (iss, iat) = (self.id().to_string(), self.now.as_seconds());
        KeyStatementClaims { iss, aud: GATEWAY.into(), seq, keys: keys.iter().map(stated).collect(), nonce: self.nonce(), iat }
    }

    /// A statement that names these keys, without signatures by them.
    pub fn sent(&self, seq: u64, keys: &PresenceKeys) -> SentStatement {
        sent(&self.claims(seq, keys), &self.device, &[])
    }
}

fn sent(claims: &KeyStatementClaims, device: &PrivateKey, presence: &[&PrivateKey]) -> SentStatement {
    let signatures = presence.iter().map(|key| sign_key_statement(claims, key)).collect();
    SentStatement { jws: sign_key_statement(claims, device), signatures }
}

fn key(seed: u64) -> PrivateKey {
    PrivateKey::generate(Algorithm::Es256, &Random::seeded(seed))
}

/// A device with device key 1, biometric key 2 and PIN key 3, at its third statement.
struct World {
    vault: Vault,
    signer: Signer,
    keys: PresenceKeys,
    vouching: Vouching,
}

impl World {
    fn new() -> Self {
        let keys = PresenceKeys { biometric: Some(key(2).public()), credential: Some(key(3).public()) };
        let vouching = Vouching { statement: None, seq: 3, challenged_at: Some(Timestamp::from_seconds(NOW.as_seconds() - 60)) };
        Self { vault: Vault::new(&VAULT), signer: Signer { device: key(1), now: NOW }, keys, vouching }
    }

    fn claims(&self) -> KeyStatementClaims {
        self.signer.claims(4, &self.keys)
    }

    fn renew(&self, sent: Option<&SentStatement>, before: &PresenceKeys) -> Result<Vouching, StatementRefusal> {
        let device = self.signer.device.public();
        self.vouching.clone().renew(sent, &device, before, &self.keys, verifier(&self.vault, NOW))
    }

    /// The reason a statement with these claims is refused.
    fn refusal(&self, change: impl FnOnce(&mut KeyStatementClaims)) -> StatementRefusal {
        let mut claims = self.claims();
        change(&mut claims);
        self.renew(Some(&sent(&claims, &self.signer.device, &[])), &self.keys).unwrap_err()
    }
}

#[test]
fn a_statement_by_the_device_and_its_presence_keys_is_kept_as_it_came() {
    let world = World::new();
    let statement = sent(&world.claims(), &world.signer.device, &[&key(2), &key(3)]);
    let vouching = world.renew(Some(&statement), &world.keys).unwrap();
    assert_eq!((vouching.seq, vouching.challenged_at), (4, Some(NOW)));
    let kept = vouching.statement.unwrap();
    assert_eq!((kept.jws.as_str(), &kept.signatures), (statement.jws.as_str(), &statement.signatures));
    assert!(kept.covers(&world.keys));
    assert!(!kept.covers(&PresenceKeys { credential: None, ..world.keys }));
    assert!(!kept.covers(&PresenceKeys { biometric: world.keys.credential, credential: world.keys.biometric }));
}

#[test]
fn a_statement_that_differs_in_one_thing_is_refused_for_that_thing() {
    use StatementRefusal as R;
    let world = World::new();
    let jkt = |seed| key(seed).public().thumbprint();
    assert_eq!(world.refusal(|c| c.iss = jkt(9)), R::Issuer);
    assert_eq!(world.refusal(|c| c.aud = format!("{GATEWAY}/").into()), R::Audience);
    assert_eq!(world.refusal(|c| c.keys.truncate(1)), R::Keys);
    assert_eq!(world.refusal(|c| c.keys.push(StatedKey { kind: PresenceKind::Biometric, jkt: jkt(4) })), R::Keys);
    assert_eq!(world.refusal(|c| c.keys[1] = c.keys[0].clone()), R::Keys);
    assert_eq!(world.refusal(|c| c.keys[0].jkt = jkt(4)), R::Keys);
    assert_eq!(world.refusal(|c| c.keys[0].kind = PresenceKind::Credential), R::Keys);
    assert_eq!(world.refusal(|c| c.seq = 3), R::Outdated);
    assert_eq!(world.refusal(|c| c.seq = 1 << 53), R::Outdated);
    assert_eq!(world.refusal(|c| c.nonce = String::new()), R::Nonce(NonceError::Unknown));
    assert_eq!(world.refusal(|c| c.nonce = Signer { device: key(9), now: NOW }.nonce()), R::Nonce(NonceError::Unknown), "a stolen one");
    let made = |seconds: i64| Signer { device: key(1), now: Timestamp::from_seconds(NOW.as_seconds() - seconds) }.nonce();
    assert_eq!(world.refusal(|c| c.nonce = made(600)), R::Nonce(NonceError::Expired));
    assert_eq!(world.refusal(|c| c.nonce = made(60)), R::NonceUsed);
    assert_eq!(world.refusal(|c| c.nonce = made(61)), R::NonceUsed, "a later one has been used");
}

#[test]
fn what_is_no_statement_by_the_device_key_is_refused() {
    use StatementRefusal as R;
    let world = World::new();
    let refusal = |jws: String| world.renew(Some(&SentStatement { jws, signatures: Vec::new() }), &world.keys).unwrap_err();
    let device = &world.signer.device;
    assert_eq!(refusal("a.b.c".into()), R::Malformed);
    assert_eq!(refusal(jws::sign("nodkey-response+jwt", None, None, &world.claims(), device)), R::Malformed);
    assert_eq!(refusal(jws::sign(KEYS_TYP, None, None, &json!({"iss": world.signer.id().as_str()}), device)), R::Malformed);
    assert_eq!(refusal(sign_key_statement(&world.claims(), &key(2))), R::Signature);
    let statement = sign_key_statement(&world.claims(), device);
    let (input, _) = statement.rsplit_once('.').unwrap();
    assert_eq!(refusal(format!("{input}.{}", "A".repeat(86))), R::Signature);
}

#[test]
fn signatures_are_by_keys_of_the_device_over_the_very_claims() {
    let world = World::new();
    let before = PresenceKeys { biometric: Some(key(5).public()), ..world.keys };
    let claims = world.claims();
    let renew = |signatures: Vec<String>| {
        let statement = SentStatement { jws: sign_key_statement(&claims, &world.signer.device), signatures };
        world.renew(Some(&statement), &before).map(|vouching| vouching.seq)
    };
    assert_eq!(renew(vec![sign_key_statement(&claims, &key(5))]), Ok(4), "the key that is replaced vouches for its successor");
    assert_eq!(renew(vec![sign_key_statement(&claims, &key(2)), sign_key_statement(&claims, &key(3))]), Ok(4));
    let other = KeyStatementClaims { iat: 0, ..claims.clone() };
    for wrong in [
        sign_key_statement(&claims, &key(9)),
        sign_key_statement(&claims, &key(1)),
        sign_key_statement(&other, &key(2)),
        jws::sign(KEYS_TYP, None, None, &claims, &key(2)),
        jws::sign(KEYS_TYP, Some(&key(2).public().thumbprint()), None, &claims, &key(3)),
        "a.b.c".to_owned(),
    ] {
        assert_eq!(renew(vec![sign_key_statement(&claims, &key(3)), wrong]), Err(StatementRefusal::CoSignature));
    }
}

#[test]
fn a_statement_that_was_used_is_used_no_second_time() {
    let mut world = World::new();
    let statement = sent(&world.claims(), &world.signer.device, &[]);
    world.vouching = world.renew(Some(&statement), &PresenceKeys::default()).unwrap();
    assert_eq!(world.renew(Some(&statement), &world.keys).unwrap(), world.vouching, "a repeated request changes nothing");
    let others = PresenceKeys { credential: None, ..world.keys };
    let refused = world.renew(Some(&statement), &others).unwrap_err();
    assert_eq!(refused, StatementRefusal::Outdated, "nor does it bring back keys that were replaced");
    world.vouching = world.renew(None, &others).unwrap();
    assert_eq!((world.vouching.statement.is_none(), world.vouching.seq), (true, 4), "uncertified, and the statement stays used");
    assert_eq!(world.renew(Some(&statement), &world.keys).unwrap_err(), StatementRefusal::Outdated);
}

#[test]
fn what_a_request_brings_is_bounded() {
    let long = "x".repeat(4097);
    assert_eq!(SentStatement::parse("", &[]), Ok(None));
    assert!(SentStatement::parse(&long, &[]).is_err());
    assert!(SentStatement::parse("x", &[long]).is_err());
    assert!(SentStatement::parse("x", &vec![String::new(); 5]).is_err());
    assert!(SentStatement::parse("", &["x".to_owned()]).is_err(), "signatures of nothing");
    assert!(SentStatement::parse("x", &vec![String::new(); 4]).unwrap().is_some());
}

#[test]
fn every_cause_has_a_reason_of_its_own() {
    use StatementRefusal as R;
    let all = [
        R::Malformed,
        R::Signature,
        R::Issuer,
        R::Audience,
        R::Keys,
        R::Outdated,
        R::Nonce(NonceError::Unknown),
        R::Nonce(NonceError::Expired),
        R::NonceUsed,
        R::CoSignature,
    ];
    let reasons: std::collections::BTreeSet<_> = all.iter().map(Classify::reason).collect();
    assert_eq!(reasons.len(), all.len());
}
