//! A deployment, three phones and everything that happened between them.

use std::sync::LazyLock;

use nodkey_kernel::{
    challenge::{
        CHALLENGE_TYP, ChallengeClaims, Decision, MatchClaim, RESPONSE_TYP, RejectReason, RelyingPartyClaim, ResponseClaims, challenge_hash,
    },
    evidence::Evidence,
    jose::{Algorithm, Jwks, PrivateKey, PublishedKey, b64u, jws, sha256},
    key_statement::{KeyStatementClaims, PresenceKind, StatedKey, sign_key_statement},
    level::Level,
    random::Random,
    receipt::{KeyKind, RECEIPT_TYP, ReceiptClaims, ReceiptKey, ReceiptReason, ReceiptStatus},
    time::Timestamp,
};
use serde::Serialize;

pub const GATEWAY: &str = "https://auth.example";
pub const ACME: &str = "0192f1c4-0000-7000-8000-00000000ac3e";
/// When everything was answered.
pub const ANSWERED: Timestamp = Timestamp::from_seconds(1_790_000_010);

pub static WORLD: LazyLock<World> = LazyLock::new(World::new);

/// A deployment's key, and what it signs.
pub struct Signer {
    pub key: PrivateKey,
    typs: Option<Vec<String>>,
}

impl Signer {
    fn new(seed: u64, typ: Option<&str>) -> Self {
        let typs = typ.map(|typ| vec![typ.to_owned()]);
        Self { key: PrivateKey::generate(Algorithm::EdDsa, &Random::seeded(seed)), typs }
    }

    fn sign(&self, typ: &str, claims: &impl Serialize) -> String {
        jws::sign(typ, Some(&self.key.public().thumbprint()), None, claims, &self.key)
    }

    fn published(&self) -> PublishedKey {
        PublishedKey { kid: self.key.public().thumbprint(), key: self.key.public(), typs: self.typs.clone() }
    }
}

/// A phone and its owner.
pub struct Phone {
    pub user: &'static str,
    pub device: PrivateKey,
    pub presence: PrivateKey,
    /// Whether it makes key statements.
    states: bool,
}

impl Phone {
    fn new(user: &'static str, seed: u64, algorithm: Algorithm, states: bool) -> Self {
        let key = |seed| PrivateKey::generate(algorithm, &Random::seeded(seed));
        Self { user, device: key(seed), presence: key(seed + 1), states }
    }

    pub fn id(&self) -> String {
        self.device.public().thumbprint()
    }

    pub fn statement(&self) -> KeyStatementClaims {
        KeyStatementClaims {
            iss: self.id(),
            aud: GATEWAY.into(),
            seq: 1,
            keys: vec![StatedKey { kind: PresenceKind::Biometric, jkt: self.presence.public().thumbprint() }],
            nonce: "nonce".into(),
            iat: 1_780_000_000,
        }
    }
}

/// The course of one trusonafication.
pub struct Happened {
    pub name: &'static str,
    pub evidence: Evidence,
    pub challenge: ChallengeClaims,
    pub response: ResponseClaims,
    pub receipt: Option<ReceiptClaims>,
    pub states: bool,
}

/// How a person answered.
struct Login<'a> {
    phone: &'a Phone,
    by: KeyKind,
    asked: i32,
    decision: Decision,
    why: Option<RejectReason>,
    number: Option<&'static str>,
    document: bool,
    status: ReceiptStatus,
    proven: Option<Level>,
}

impl<'a> Login<'a> {
    /// An accept at level 2 by fingerprint.
    fn accept(phone: &'a Phone) -> Self {
        Self {
            phone,
            by: KeyKind::Biometric,
            asked: 2,
            decision: Decision::Accept,
            why: None,
            number: None,
            document: false,
            status: ReceiptStatus::Accepted,
            proven: Some(Level::Essential),
        }
    }

    fn reject(phone: &'a Phone) -> Self {
        Self { decision: Decision::Reject, status: ReceiptStatus::Rejected, proven: None, ..Self::accept(phone) }
    }
}

/// Everything there is, including what an attacker has.
pub struct World {
    pub challenges: Signer,
    pub receipts: Signer,
    /// Signed all of it before keys listed their types.
    pub before: Signer,
    pub alice: Phone,
    /// His phone makes no key statements.
    pub bob: Phone,
    /// Attacks, with a phone of her own.
    pub mallory: Phone,
    pub happened: Vec<Happened>,
    /// Other signed parts: of what expired, was canceled, or came too late.
    pub loose: Vec<String>,
}

impl World {
    fn new() -> Self {
        let mut world = Self {
            challenges: Signer::new(1, Some(CHALLENGE_TYP)),
            receipts: Signer::new(2, Some(RECEIPT_TYP)),
            before: Signer::new(3, None),
            alice: Phone::new("alice", 10, Algorithm::Es256, true),
            bob: Phone::new("bob", 20, Algorithm::EdDsa, false),
            mallory: Phone::new("mallory", 30, Algorithm::Es256, true),
            happened: Vec::new(),
            loose: Vec::new(),
        };
        let (alice, bob) = (&world.alice, &world.bob);
        let by_device = Login { by: KeyKind::Device, proven: Some(Level::Possession), ..Login::accept(bob) };
        let wrong_number = Login { number: Some("17"), status: ReceiptStatus::Rejected, proven: None, ..Login::accept(alice) };
        let with_document = Login { asked: 3, document: true, proven: Some(Level::Executive), ..Login::accept(alice) };
        let higher = Login { asked: 1, status: ReceiptStatus::AcceptedAtHigherLevel, ..Login::accept(alice) };
        let lower = Login { status: ReceiptStatus::AcceptedAtLowerLevel, ..by_device };
        let happened = vec![
            world.answered("accepted", &Login::accept(alice), true),
            world.answered("rejected", &Login { why: Some(RejectReason::NotMe), ..Login::reject(alice) }, true),
            world.answered("rejected without a reason", &Login::reject(bob), true),
            world.answered("accepted with the wrong number", &wrong_number, true),
            world.answered("accepted by a key that the device did not state", &Login::accept(bob), true),
            world.answered("accepted by the device key", &Login { asked: 1, status: ReceiptStatus::Accepted, ..lower }, true),
            world.answered("accepted at a lower level", &lower, true),
            world.answered("accepted at a higher level", &higher, true),
            world.answered("accepted with a document", &with_document, true),
            world.answered("accepted by the attacker", &Login::accept(&world.mallory), true),
            world.answered("accepted before receipts", &Login::accept(alice), false),
            world.answered("rejected before receipts", &Login::reject(alice), false),
        ];
        let loose =
            [("expired", ReceiptStatus::Expired), ("canceled", ReceiptStatus::Canceled)].map(|(name, status)| world.ended(name, status));
        world.happened = happened;
        world.loose = loose.concat();
        world
    }

    /// The deployment's keys as it publishes them.
    pub fn jwks(&self) -> Jwks {
        Jwks { keys: [&self.challenges, &self.receipts, &self.before].map(Signer::published).into() }
    }

    /// The keys as they were published before keys listed their types.
    pub fn jwks_before(&self) -> Jwks {
        Jwks { keys: vec![self.before.published()] }
    }

    pub fn find(&self, name: &str) -> &Happened {
        self.happened.iter().find(|happened| happened.name == name).unwrap()
    }

    fn challenge(name: &str, login: &Login<'_>) -> ChallengeClaims {
        let at = ANSWERED.as_seconds() - 10;
        ChallengeClaims {
            iss: GATEWAY.into(),
            jti: format!("trusonafication: {name}"),
            iat: at,
            exp: at + 300,
            rp: RelyingPartyClaim { id: ACME.into(), name: "Acme".into() },
            act: "log in".into(),
            res: "Acme Bank".into(),
            lvl: login.asked,
            prompt: true,
            presence: login.asked > 1,
            document: login.asked > 2,
            fields: None,
            number_match: login.number.map(|_| MatchClaim::Enter { digits: 2 }),
            request_context: None,
            nonce: format!("nonce: {name}"),
        }
    }

    fn answered(&self, name: &'static str, login: &Login<'_>, receipts: bool) -> Happened {
        let challenge = Self::challenge(name, login);
        let issued = if receipts { &self.challenges } else { &self.before }.sign(CHALLENGE_TYP, &challenge);
        let phone = login.phone;
        let key = if login.by == KeyKind::Device { &phone.device } else { &phone.presence };
        let response = ResponseClaims {
            iss: phone.id(),
            aud: GATEWAY.into(),
            sub: challenge.jti.clone(),
            chal: challenge_hash(&issued),
            dec: login.decision,
            why: login.why,
            num: login.number.map(Into::into),
            doc: login.document.then(|| "hash of a licence".into()),
            iat: ANSWERED.as_seconds(),
            jti: format!("response: {name}"),
        };
        let jkt = key.public().thumbprint();
        let signed = jws::sign(RESPONSE_TYP, Some(&jkt), None, &response, key);
        let receipt = receipts.then(|| ReceiptClaims {
            level: login.proven,
            dec: Some(if login.status == ReceiptStatus::Rejected { Decision::Reject } else { Decision::Accept }),
            why: match (login.why, login.number) {
                (Some(RejectReason::NotMe), _) => Some(ReceiptReason::NotMe),
                (Some(RejectReason::ChangedMind), _) => Some(ReceiptReason::ChangedMind),
                (None, number) => number.map(|_| ReceiptReason::NumberMismatch),
            },
            dev: Some(phone.id()),
            key: Some(ReceiptKey { jkt, kind: login.by }),
            user: Some(phone.user.into()),
            resp: Some(b64u(&sha256(signed.as_bytes()))),
            ..Self::receipt(&challenge, &issued, login.status)
        });
        let mut keys = vec![phone.device.public()];
        keys.extend((login.by != KeyKind::Device).then(|| phone.presence.public()));
        let states = phone.states && receipts;
        let evidence = Evidence {
            challenge: issued,
            response: signed,
            receipt: receipt.as_ref().map(|receipt| self.receipts.sign(RECEIPT_TYP, receipt)),
            keys,
            key_statement: states.then(|| sign_key_statement(&phone.statement(), &phone.device)),
            key_signatures: states.then(|| sign_key_statement(&phone.statement(), &phone.presence)).into_iter().collect(),
        };
        Happened { name, evidence, challenge, response, receipt, states }
    }

    fn receipt(challenge: &ChallengeClaims, issued: &str, status: ReceiptStatus) -> ReceiptClaims {
        ReceiptClaims {
            iss: GATEWAY.into(),
            jti: format!("result: {}", challenge.nonce),
            sub: challenge.jti.clone(),
            rp: ACME.into(),
            at: ANSWERED.as_micros(),
            status,
            level: None,
            dec: None,
            why: None,
            dev: None,
            key: None,
            user: None,
            chal: challenge_hash(issued),
            resp: None,
            data: None,
        }
    }

    /// The challenge, an accept by Alice that was not taken into account, and the receipt.
    fn ended(&self, name: &'static str, status: ReceiptStatus) -> Vec<String> {
        let Happened { evidence, challenge, .. } = self.answered(name, &Login::accept(&self.alice), false);
        let issued = self.challenges.sign(CHALLENGE_TYP, &challenge);
        let key = &self.alice.presence;
        let mut response: ResponseClaims = jws::Compact::parse(&evidence.response).unwrap().unverified_claims().unwrap();
        response.chal = challenge_hash(&issued);
        let response = jws::sign(RESPONSE_TYP, Some(&key.public().thumbprint()), None, &response, key);
        let receipt = ReceiptClaims { user: Some("alice".into()), ..Self::receipt(&challenge, &issued, status) };
        vec![issued, response, self.receipts.sign(RECEIPT_TYP, &receipt)]
    }
}
