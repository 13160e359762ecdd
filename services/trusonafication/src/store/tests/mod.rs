//! Tests of the rows on both engines.

mod installation;
mod lists;
mod plans;
mod rows;

use std::{
    sync::atomic::{AtomicI64, Ordering},
    time::Duration,
};

use nodkey_db::{
    Db, DbConfig, Tx,
    outbox::{Entry, EventContext},
};
use nodkey_kernel::{
    challenge::Decision,
    id::{BindingId, DeviceId, RelyingPartyId, TruCodeId, TrusonaficationId},
    jose::{Algorithm, PrivateKey, jws},
    level::Level,
    random::Random,
    receipt::{KeyKind, RECEIPT_TYP, ReceiptKey},
    time::Timestamp,
};
use nodkey_proto::trusonafication::v1::TrusonaficationCanceled;
use nodkey_runtime::{Failure, Service as _};
use nodkey_testkit::TestDatabase;
use uuid::Uuid;

use super::*;
use crate::{
    Trusonafication as Service,
    domain::{Answer, Ask, Proven, State, Stated, Target, TruCode, Trusonafication, Way, receipt},
};

const NOW: Timestamp = Timestamp::from_seconds(1_700_000_000);

/// An event that is like no other.
fn event(t: &Trusonafication) -> Entry {
    static VERSION: AtomicI64 = AtomicI64::new(0);
    let version = VERSION.fetch_add(1, Ordering::Relaxed);
    let context = EventContext { now: t.updated_at, version, relying_party: t.relying_party };
    Entry::new(&TrusonaficationCanceled { trusonafication: None, receipt: String::new() }, &context)
}

/// Inserts a trusonafication in a transaction that goes on.
async fn put(tx: &mut Tx, t: &Trusonafication, challenge: &str, max: u32) -> Result<bool, Failure> {
    tx.query("SELECT 1 AS one").fetch_one().await?;
    super::insert(tx, &New { t, challenge, max, event: &event(t), response: None, mark: None }).await
}

/// Writes an answer in a transaction that goes on.
async fn put_answer(tx: &mut Tx, t: &Trusonafication, answer: &Answer, response: &str, receipt: &str) -> Result<bool, Failure> {
    tx.query("SELECT 1 AS one").fetch_one().await?;
    super::update_answered(tx, &Answered { t, answer, response, receipt, event: &event(t) }).await
}

async fn connect(database: &TestDatabase, max_connections: u32) -> Db {
    let db = Db::connect(&DbConfig { max_connections, ..DbConfig::new(database.url()) }).await.unwrap();
    db.migrate(&Service::migrations().unwrap()).await.unwrap();
    db
}

fn party() -> RelyingPartyId {
    RelyingPartyId::generate(NOW, &Random::seeded(1))
}

fn device(n: u8) -> DeviceId {
    DeviceId::parse(&char::from(b'a' + n).to_string().repeat(43)).unwrap()
}

fn user() -> Target {
    Target::User("ada".into())
}

/// A trusonafication created `n` seconds after [`NOW`] that expires a minute later.
fn asked(n: u64, target: Target) -> Trusonafication {
    let at = NOW + Duration::from_secs(n);
    Trusonafication {
        id: TrusonaficationId::generate(at, &Random::seeded(n)),
        relying_party: party(),
        relying_party_name: "Acme".into(),
        user: if let Target::User(user) = &target { Some(user.clone()) } else { None },
        device: if let Target::Device(device) = &target { Some(device.clone()) } else { None },
        ask: Ask {
            target,
            desired_level: Level::Essential,
            action: "log in".into(),
            resource: "Acme".into(),
            prompt: true,
            user_presence: true,
            show_identity_document: false,
            custom_fields: None,
            callback_url: None,
            number_match: None,
            context: String::new(),
            request_context: nodkey_kernel::challenge::RequestContext::default(),
            expires_at: at + Duration::from_mins(1),
        },
        told: vec![device(0)],
        bindings: None,
        way: Way::Tolerated,
        created_at: at,
        updated_at: at,
        state: State::InProgress,
        version: 1,
        traceparent: None,
    }
}

fn with_fields(mut t: Trusonafication, bytes: usize) -> Trusonafication {
    t.ask.custom_fields = Some(format!(r#"{{"x":"{}"}}"#, "y".repeat(bytes - 8)));
    t
}

fn answer(n: u8, decision: Decision) -> Answer {
    let [key, presence] = [1, 2].map(|seed| PrivateKey::generate(Algorithm::EdDsa, &Random::seeded(seed)).public());
    let (device, user, keys) = (device(n), "ada".to_owned(), vec![key, presence]);
    let signed_by = ReceiptKey { jkt: presence.thumbprint(), kind: KeyKind::Biometric };
    let stated = Stated { statement: Some("a.key.statement".into()), signatures: vec!["a.key.signature".into()] };
    Answer { device, user, decision, reason: None, number: None, proven: Level::Essential, keys, signed_by, stated }
}

fn code() -> TruCode {
    TruCode {
        id: TruCodeId::generate(NOW, &Random::seeded(1)),
        relying_party: party(),
        reference: "reference".into(),
        payload: "payload".into(),
        origin: "https://acme.example".into(),
        place: String::new(),
        match_number: Some("42".into()),
        created_at: NOW,
        expires_at: NOW + Duration::from_secs(50),
        wrong_numbers: 0,
        identifier: None,
        asked: 0,
        version: 1,
    }
}

/// What is written with the end of a trusonafication, and with its answer, if any.
fn receipt_of(t: &Trusonafication, answer: Option<&Answer>) -> String {
    let answer = answer.map(|answer| (answer, "a.response"));
    let proven = Proven { issuer: "https://id.example.com", id: Uuid::nil(), challenge: "the.issued.challenge", answer, data: "{}" };
    let key = PrivateKey::generate(Algorithm::EdDsa, &Random::seeded(7));
    jws::sign(RECEIPT_TYP, None, None, &receipt(t, proven).unwrap(), &key)
}

async fn insert_all(db: &Db, rows: &[Trusonafication]) {
    let mut tx = db.begin().await.unwrap();
    for t in rows {
        assert!(put(&mut tx, t, "the.issued.challenge", u32::MAX).await.unwrap());
    }
    tx.commit().await.unwrap();
}

/// Corrupts rows in ways that no code path does.
async fn spoil(db: &Db, sql: &'static str) {
    assert!(db.execute(sql).execute().await.unwrap() > 0, "{sql}");
}
