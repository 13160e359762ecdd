//! Whatever happens, in any order: one terminal state, reached only by the target device.

use std::time::Duration;

use nodkey_kernel::{
    challenge::{Decision, RESPONSE_TYP, RejectReason, RequestContext, ResponseClaims, challenge_hash},
    egress::Egress,
    id::{DeliveryId, TruCodeId},
    jose::{
        Algorithm, Jwks, PrivateKey, PublishedKey,
        jws::{self, Compact},
    },
    random::Random,
    receipt::{KeyKind, RECEIPT_TYP, ReceiptKey, verify_receipt},
};
use proptest::{prelude::*, sample::select};

use super::*;
use crate::invariants;

const START: Timestamp = Timestamp::from_seconds(1_000_000);
static EGRESS: Egress = Egress { networks: Vec::new(), ports: Vec::new(), development: false };
static LIMITS: Limits<'_> = Limits { lifetime: Duration::from_mins(2), egress: &EGRESS };

fn fields(target: Target) -> Unchecked {
    Unchecked {
        target: Some(target),
        desired_level: 2,
        action: "log in".into(),
        resource: "Acme".into(),
        prompt: None,
        user_presence: None,
        show_identity_document: None,
        custom_fields: String::new(),
        callback_url: String::new(),
        context: String::new(),
        request_context: RequestContext::default(),
        expires_at: None,
    }
}

fn asked(ask: Ask) -> Trusonafication {
    let random = Random::seeded(1);
    Trusonafication {
        id: TrusonaficationId::generate(START, &random),
        relying_party: RelyingPartyId::generate(START, &random),
        relying_party_name: "Acme".into(),
        user: None,
        device: None,
        told: Vec::new(),
        bindings: Some(Vec::new()),
        way: Way::Tolerated,
        ask,
        created_at: START,
        updated_at: START,
        state: State::InProgress,
        version: 1,
        traceparent: None,
    }
}

fn device(n: u8) -> DeviceId {
    DeviceId::parse(&char::from(b'a' + n).to_string().repeat(43)).unwrap()
}

fn by(n: u8, decision: Decision, number: Option<&str>, proven: Level) -> Answer {
    let key = PrivateKey::generate(Algorithm::EdDsa, &Random::seeded(u64::from(n))).public();
    let (user, number) = ("ada".to_owned(), number.map(ToOwned::to_owned));
    let signed_by = ReceiptKey { jkt: key.thumbprint(), kind: KeyKind::Device };
    Answer { device: device(n), user, decision, reason: None, number, proven, keys: vec![key], signed_by, stated: Stated::default() }
}

/// Whether verifiers accept its receipt and the receipt describes it correctly.
fn receipt_holds(t: &Trusonafication) -> bool {
    let key = PrivateKey::generate(Algorithm::EdDsa, &Random::seeded(7));
    let kid = key.public().thumbprint();
    let jwks = Jwks { keys: vec![PublishedKey { kid: kid.clone(), key: key.public(), typs: Some(vec![RECEIPT_TYP.into()]) }] };
    let answered = by(0, Decision::Accept, None, Level::Essential);
    let answer = matches!(t.state, State::Accepted { .. } | State::Rejected { .. }).then_some((&answered, "the.response"));
    let proven = Proven { issuer: "https://id.example.com", id: Uuid::nil(), challenge: ISSUED, answer, data: "{}" };
    let Some(claims) = receipt(t, proven) else { return false };
    let said = verify_receipt(&jws::sign(RECEIPT_TYP, Some(&kid), None, &claims, &key), &jwks).unwrap();
    let result = result(t, "https://id.example.com", DeliveryId::generate(START, &Random::seeded(1)), Some(claims)).unwrap();
    assert_eq!((said.at, said.sub, said.chal), (t.updated_at.as_micros(), t.id.to_string(), challenge_hash(ISSUED)));
    assert_eq!((result.status.as_str(), result.accepted_level), (said.status.as_str(), said.level.map(Level::as_i32)));
    assert_eq!((said.user, said.dev), (t.user.clone(), t.device.as_ref().map(ToString::to_string)));
    assert!(invariants::check_end(t, &jws::sign(RECEIPT_TYP, None, None, &result.receipt, &key)).is_err(), "a result is no receipt");
    true
}

#[derive(Clone, Debug)]
enum Event {
    Respond(u8, Decision),
    Cancel,
    Expire,
    Wait(u64),
}

fn events() -> impl Strategy<Value = Event> {
    prop_oneof![
        3 => (0..3_u8, select(&[Decision::Accept, Decision::Reject][..])).prop_map(|(n, d)| Event::Respond(n, d)),
        1 => Just(Event::Cancel),
        1 => Just(Event::Expire),
        1 => (0..90_u64).prop_map(Event::Wait),
    ]
}

proptest! {
    #[test]
    fn nothing_leaves_a_terminal_state_and_versions_count_the_changes(script in prop::collection::vec(events(), 0..12)) {
        let mut now = START;
        let mut t = asked(Ask::parse(fields(Target::User("ada".into())), &LIMITS, now).unwrap());
        for event in script {
            let before = t.clone();
            let result = match event {
                Event::Wait(seconds) => { now = now + Duration::from_secs(seconds); continue }
                Event::Respond(n, decision) => before.clone().respond(Uuid::nil(), &by(n, decision, None, Level::Essential), now),
                Event::Cancel => before.clone().cancel(now),
                Event::Expire => Ok(before.clone().expire(now)),
            };
            match result {
                Ok(Change::Changed(after)) => {
                    prop_assert!(!before.is_terminal() && after.is_terminal());
                    prop_assert!(invariants::check(&after).is_ok());
                    prop_assert_eq!(after.version, before.version + 1);
                    // Once overdue, the only possible end is expiry.
                    prop_assert_eq!(before.is_overdue(now), after.state == State::Expired);
                    t = after;
                }
                Ok(Change::Same(after)) => prop_assert_eq!(after, before),
                Err(_) => {}
            }
        }
        prop_assert_eq!(receipt_holds(&t), t.is_terminal());
        let seen = t.clone().effective_at(START + Duration::from_hours(1));
        prop_assert!(seen.is_terminal());
        prop_assert!(!t.is_terminal() || seen == t);
    }

    #[test]
    fn the_same_answer_again_changes_nothing_and_any_other_is_told_so(n in 0..3_u8, again in 0..3_u8, accept: bool, again_accept: bool) {
        let t = asked(Ask::parse(fields(Target::User("ada".into())), &LIMITS, START).unwrap());
        let decision = |accept| if accept { Decision::Accept } else { Decision::Reject };
        let first = t.respond(Uuid::nil(), &by(n, decision(accept), None, Level::Essential), START);
        let Ok(Change::Changed(t)) = first else { panic!("the first answer counts") };
        let second = t.clone().respond(Uuid::max(), &by(again, decision(again_accept), None, Level::Essential), START);
        let expected = if (n, accept) == (again, again_accept) { Ok(Change::Same(t)) } else { Err(Refusal::AlreadyCompleted) };
        prop_assert_eq!(second, expected);
    }

    #[test]
    fn the_grade_follows_from_what_was_proven(
        desired in 1..=3_i32, presence: Option<bool>, document: Option<bool>, proven in select(&[Level::Possession, Level::Essential, Level::Executive][..]),
    ) {
        let wanted = Unchecked { desired_level: desired, user_presence: presence, show_identity_document: document, ..fields(Target::User("ada".into())) };
        let t = asked(Ask::parse(wanted, &LIMITS, START).unwrap());
        let (required, desired) = (t.ask.required_level(), t.ask.desired_level);
        let Ok(Change::Changed(t)) = t.respond(Uuid::nil(), &by(0, Decision::Accept, None, proven), START) else { panic!("it counts") };
        prop_assert!(invariants::check(&t).is_ok());
        let State::Accepted { level, grade, .. } = t.state else { panic!("it is accepted") };
        prop_assert_eq!(level, proven);
        prop_assert_eq!(grade == Grade::Lower, proven < required);
        prop_assert_eq!(grade == Grade::Higher, proven >= required && proven > desired);
    }

    #[test]
    fn only_who_is_addressed_may_answer(target in 0..3_u8, answering in 0..3_u8) {
        let t = asked(Ask::parse(fields(Target::Device(device(target))), &LIMITS, START).unwrap());
        let result = t.respond(Uuid::nil(), &by(answering, Decision::Accept, None, Level::Essential), START);
        prop_assert_eq!(result == Err(Refusal::NotAddressed), target != answering);
    }
}

#[test]
fn another_number_than_the_one_shown_rejects() {
    let number_match = Some(NumberMatch { mode: MatchMode::Enter, number: "42".into() });
    let ask = Ask { number_match, ..Ask::parse(fields(Target::User("ada".into())), &LIMITS, START).unwrap() };
    for (number, accepted) in [(Some("42"), true), (Some("43"), false), (Some("042"), false), (None, false)] {
        let result = asked(ask.clone()).respond(Uuid::nil(), &by(0, Decision::Accept, number, Level::Essential), START);
        let Ok(Change::Changed(t)) = result else { panic!("it counts") };
        let mismatch = matches!(t.state, State::Rejected { reason: Some(Reason::NumberMismatch), .. });
        assert_eq!((matches!(t.state, State::Accepted { .. }), mismatch), (accepted, !accepted), "{number:?}");
    }
}

#[test]
fn a_code_nobody_paired_addresses_nobody() {
    let code = TruCodeId::generate(START, &Random::seeded(1));
    let t = asked(Ask::parse(fields(Target::TruCode(code)), &LIMITS, START).unwrap());
    let answer = by(0, Decision::Accept, None, Level::Essential);
    assert_eq!(t.respond(Uuid::nil(), &answer, START), Err(Refusal::NotAddressed));
}

#[test]
fn every_fault_of_a_request_is_told_at_once() {
    let bad = Unchecked {
        target: None,
        desired_level: 4,
        action: " ".into(),
        resource: "x".repeat(256),
        custom_fields: "[1]".into(),
        callback_url: "http://example.com/".into(),
        request_context: RequestContext { address: "localhost".into(), browser: "\u{202E}".into(), place: "x".repeat(101) },
        expires_at: Some(START + Duration::from_hours(25)),
        ..fields(Target::User("ada".into()))
    };
    let faults = Ask::parse(bad, &LIMITS, START).unwrap_err();
    let named: Vec<_> = faults.iter().map(|f| f.field.as_str()).collect();
    assert_eq!(
        named,
        [
            "desired_level",
            "action",
            "resource",
            "user_identifier",
            "custom_fields",
            "request_context.address",
            "request_context.browser",
            "request_context.place",
            "callback_url",
            "expires_at",
        ]
    );
}

#[test]
fn what_hides_or_reorders_text_is_refused_where_it_is_shown_and_taken_in_custom_fields() {
    for bad in ["Acme\u{202E}", "\u{200B}Acme", "Acme\u{2066}", "Ac\u{2028}me", "Acme\u{E0041}", "\u{3164}"] {
        let bad_text = Unchecked { action: bad.into(), resource: bad.into(), ..fields(Target::User("ada".into())) };
        let faults = Ask::parse(bad_text, &LIMITS, START).unwrap_err();
        assert_eq!(faults.iter().map(|fault| fault.field.as_str()).collect::<Vec<_>>(), ["action", "resource"], "{bad:?}");
        let custom_fields = serde_json::json!({"memo": bad}).to_string();
        let good = Unchecked { custom_fields: custom_fields.clone(), ..fields(Target::User("ada".into())) };
        assert_eq!(Ask::parse(good, &LIMITS, START).unwrap().custom_fields, Some(custom_fields));
    }
}

/// A phone, its keys and what it signs.
struct Signed {
    device: AnsweringDevice,
    device_key: PrivateKey,
    presence_key: PrivateKey,
    claims: ResponseClaims,
}

const ISSUED: &str = "the.issued.challenge";

fn signed() -> Signed {
    let (device_key, presence_key) =
        (PrivateKey::generate(Algorithm::Es256, &Random::seeded(1)), PrivateKey::generate(Algorithm::EdDsa, &Random::seeded(2)));
    let id = DeviceId::parse(&device_key.public().thumbprint()).unwrap();
    let device = AnsweringDevice {
        id: id.clone(),
        key: device_key.public(),
        presence_keys: vec![PresenceKey { kind: KeyKind::Credential, key: presence_key.public(), counts: true }],
        user: "ada".into(),
        documents: vec!["licence".into()],
        stated: Stated { statement: Some("a.key.statement".into()), signatures: vec!["a.key.signature".into()] },
    };
    let claims = ResponseClaims {
        iss: id.to_string(),
        aud: "https://id.example.com".into(),
        sub: "t".into(),
        chal: challenge_hash(ISSUED),
        dec: Decision::Accept,
        why: None,
        num: None,
        doc: None,
        iat: 1,
        jti: "j".into(),
    };
    Signed { device, device_key, presence_key, claims }
}

fn check(phone: &Signed, key: &PrivateKey, claims: &ResponseClaims) -> Result<Answer, Refusal> {
    let response = jws::sign(RESPONSE_TYP, Some(&key.public().thumbprint()), None, claims, key);
    answer(&Compact::parse(&response).unwrap(), ISSUED, "https://id.example.com", "t", &phone.device)
}

#[test]
fn the_proven_level_is_computed_from_key_and_document() {
    let phone = signed();
    let with = |doc: Option<&str>| ResponseClaims { doc: doc.map(Into::into), ..phone.claims.clone() };
    for (key, doc, level) in [
        (&phone.device_key, None, Level::Possession),
        (&phone.device_key, Some("licence"), Level::Possession),
        (&phone.presence_key, None, Level::Essential),
        (&phone.presence_key, Some("another"), Level::Essential),
        (&phone.presence_key, Some("licence"), Level::Executive),
    ] {
        let answer = check(&phone, key, &with(doc)).unwrap();
        assert_eq!(answer.proven, level);
        let kind = if level == Level::Possession { KeyKind::Device } else { KeyKind::Credential };
        assert_eq!(answer.signed_by, ReceiptKey { jkt: key.public().thumbprint(), kind });
        assert_eq!(answer.stated, phone.device.stated);
        let t = asked(Ask::parse(fields(Target::User("ada".into())), &LIMITS, START).unwrap());
        let Ok(Change::Changed(answered)) = t.respond(Uuid::nil(), &answer, START) else { panic!("it counts") };
        assert!(invariants::check_answer(&answered, &answer).is_ok(), "its keys prove its level");
    }
    let rejected = ResponseClaims { dec: Decision::Reject, why: Some(RejectReason::NotMe), ..phone.claims.clone() };
    assert_eq!(check(&phone, &phone.device_key, &rejected).unwrap().reason, Some(Reason::NotMe));
}

#[test]
fn an_answer_to_anything_else_or_by_anybody_else_is_refused() {
    let phone = signed();
    let stranger = PrivateKey::generate(Algorithm::Es256, &Random::seeded(9));
    assert_eq!(check(&phone, &stranger, &phone.claims), Err(Refusal::InvalidSignature));
    let claims = &phone.claims;
    for other in [
        ResponseClaims { iss: "b".repeat(43), ..claims.clone() },
        ResponseClaims { aud: "https://other.example.com".into(), ..claims.clone() },
        ResponseClaims { sub: "u".into(), ..claims.clone() },
        ResponseClaims { chal: challenge_hash("another.issued.challenge"), ..claims.clone() },
        ResponseClaims { num: Some("1".repeat(300)), ..claims.clone() },
    ] {
        assert!(matches!(check(&phone, &phone.device_key, &other), Err(Refusal::InvalidResponse(_))), "{other:?}");
    }
    // Signed with an unknown key in the name of the device key.
    let forged = jws::sign(RESPONSE_TYP, Some(&phone.device_key.public().thumbprint()), None, claims, &stranger);
    let forged = answer(&Compact::parse(&forged).unwrap(), ISSUED, "https://id.example.com", &claims.sub, &phone.device);
    assert_eq!(forged, Err(Refusal::InvalidSignature));
}
