//! Tests of the rows on both engines: an unreadable row is named and does not affect others, and every lookup uses an index.

use std::{collections::BTreeSet, path::Path, time::Duration};

use nodkey_db::{Db, DbConfig, retention::Window, used_proof};
use nodkey_kernel::{
    id::{AuditEntryId, ConfirmationId, CredentialId, DeviceId, IdentityDocumentId, OperatorId, OperatorSessionId, TrusonaficationId},
    jose::{Algorithm, PrivateKey},
    key_statement::{KeyStatementClaims, PresenceKind, StatedKey, sign_key_statement},
    random::Random,
    role::Role,
    vault::Vault,
};
use nodkey_runtime::{Failure, Service as _};
use nodkey_testkit::{
    TestDatabase,
    plans::{self, Plan},
};
use uuid::Uuid;

use super::*;
use crate::{
    Registry,
    app::restored::{Ended, end_what_was_open},
    domain::{
        Change,
        app_links::{AppLinks, Apps},
        audit::{Action, AuditEntry, Chain, ChainId},
        confirmation::{Confirmation, Request, Shown},
        credential::{Credential, CredentialKind},
        device::{Device, Platform, PresenceKeys, Profile, Registration, RegistrationFields},
        device_challenge::DeviceChallenge,
        document::{Document, DocumentType, Scan, VerificationStatus},
        key_statement::{SentStatement, Verifier, Vouching},
        operator::{Client, NewOperator, Operator, OperatorSession},
        relying_party::{NewRelyingParty, RelyingParty},
        retention::RetentionPolicy,
        signing_key::{Owner, SigningKey},
    },
    error::Error,
};

const NOW: Timestamp = Timestamp::from_seconds(1_700_000_000);
const TABLES: [&str; 13] = [
    "relying_party",
    "credential",
    "device",
    "identity_document",
    "published_key",
    "operator",
    "operator_session",
    "audit_entry",
    "audit_chain",
    "audit_checkpoint",
    "app_link",
    "used_proof",
    "proven_key",
];

async fn connect(database: &TestDatabase, max_connections: u32) -> Db {
    let db = Db::connect(&DbConfig { max_connections, ..DbConfig::new(database.url()) }).await.unwrap();
    db.migrate(&Registry::migrations().unwrap()).await.unwrap();
    db
}

fn at(n: u64) -> Timestamp {
    NOW + Duration::from_secs(n)
}

fn party(n: u64) -> RelyingParty {
    RelyingParty::create(RelyingPartyId::generate(at(n), &Random::seeded(n)), NewRelyingParty::parse("Acme", "", false).unwrap(), at(n))
}

fn credential_of(party: RelyingPartyId, n: u64) -> Credential {
    let id = CredentialId::generate(at(n), &Random::seeded(n));
    let (kind, token) = (CredentialKind::Server, "token".to_owned());
    Credential {
        id,
        relying_party: party,
        kind,
        token,
        name: String::new(),
        last_used_at: None,
        created_at: at(n),
        disabled_at: None,
        version: 1,
    }
}

fn device_of(party: RelyingPartyId, n: u64) -> Device {
    let [key, presence] = [n, n + 1_000_000].map(|seed| PrivateKey::generate(Algorithm::EdDsa, &Random::seeded(seed)));
    let (vault, audience) = (Vault::new(&[0; 32]), "https://auth.example");
    let id = DeviceId::parse(&key.public().thumbprint()).unwrap();
    let challenge = DeviceChallenge::issue(&vault, &id, at(n));
    let claims = KeyStatementClaims {
        iss: id.to_string(),
        aud: audience.into(),
        seq: u64::try_from(challenge.seq).unwrap(),
        keys: vec![StatedKey { kind: PresenceKind::Biometric, jkt: presence.public().thumbprint() }],
        nonce: challenge.nonce,
        iat: at(n).as_seconds(),
    };
    let [statement, signature] = [&key, &presence].map(|key| sign_key_statement(&claims, key));
    let registration = Registration::parse(RegistrationFields {
        device_key: &jwk(&key.public()),
        presence: Ok(PresenceKeys { biometric: Some(presence.public()), credential: None }),
        name: "phone",
        platform: Ok(Platform::Ios),
        app_version: "1",
        statement: SentStatement::parse(&statement, &[signature]).unwrap(),
    });
    Device::register(party, registration.unwrap(), Verifier { audience, vault: &vault, now: at(n) }).unwrap()
}

fn document_of(party: RelyingPartyId, n: u64) -> Document {
    let scan = Scan { hash: n.to_string(), document_type: DocumentType::AamvaDriversLicense };
    Document::register(
        IdentityDocumentId::generate(at(n), &Random::seeded(n)),
        party,
        format!("user {}", n / 5),
        scan,
        n.is_multiple_of(2),
        at(n),
    )
}

fn signing_key(n: u64) -> SigningKey {
    let key = PrivateKey::generate(Algorithm::EdDsa, &Random::seeded(n)).public();
    let typs = Owner::Registry.typs().iter().map(|typ| (*typ).to_owned()).collect();
    let (owner, created_at) = (Owner::Registry, at(n));
    SigningKey { key, owner, typs, created_at, signs_at: created_at, retires_at: None, revoked_at: None }
}

fn retired(n: u64) -> SigningKey {
    SigningKey { retires_at: Some(at(n)), ..signing_key(n) }
}

fn invited(n: u64) -> Operator {
    let new = NewOperator::parse("Ada", Some(Role::Owner)).unwrap();
    let mut sha256 = [0; 32];
    sha256[..8].copy_from_slice(&n.to_be_bytes());
    Operator::invite(OperatorId::generate(at(n), &Random::seeded(n)), new, sha256, at(n))
}

fn session_of(operator: OperatorId, n: u64) -> OperatorSession {
    let random = Random::seeded(n);
    let (id, trusonafication) = (OperatorSessionId::generate(at(n), &random), TrusonaficationId::generate(at(n), &random));
    OperatorSession { id, operator, trusonafication, created_at: at(n), expires_at: at(n + 60), seen_at: at(n), client: Client::default() }
}

fn confirmation_of(operator: OperatorId, n: u64) -> Confirmation {
    let random = Random::seeded(n);
    Confirmation {
        id: ConfirmationId::generate(at(n), &random),
        operator,
        request: Request { method: "x.Y/Z".into(), relying_party: Some(party(n).id), sha256: [7; 32] },
        trusonafication: TrusonaficationId::generate(at(n), &random),
        shown: Shown { action: "a".into(), resource: "r".into() },
        created_at: at(n),
        expires_at: at(n + 120),
        used_at: None,
    }
}

fn entry(n: u64) -> AuditEntry {
    let id = AuditEntryId::generate(at(n), &Random::seeded(n));
    let operator = Some(OperatorId::generate(NOW, &Random::seeded(n % 50)));
    let relying_party = Some(RelyingPartyId::generate(NOW, &Random::seeded(n % 50)));
    let action = Action { operator, relying_party, method: "registry.v1.X/List".into(), ..Action::default() };
    AuditEntry { id, at: at(n), action, outcome: String::new() }
}

fn outcome(n: u64) -> AuditEntry {
    AuditEntry { action: Action::default(), outcome: "OK".into(), ..entry(n) }
}

fn chain(checkpoint: u64) -> Chain {
    Chain { id: ChainId::DEPLOYMENT, seq: 2, hash: [0; 32], cut: 0, cut_hash: [0; 32], checkpoint }
}

fn links(n: u64) -> AppLinks {
    AppLinks { host: format!("{n}.example.com"), apps: Apps::default() }
}

fn start<T>(id: T) -> Start<T> {
    Start { at: Timestamp::from_seconds(253_402_300_799), id }
}

fn named(error: Error) -> String {
    let Error::Failure(Failure::Db(error)) = error else { panic!("{error:?}") };
    error.to_string()
}

/// Inserts one relying party and `count` rows of everything that belongs to it.
async fn insert_all(db: &Db, count: u64) -> RelyingPartyId {
    let mut tx = db.begin().await.unwrap();
    let party = party(0);
    assert!(relying_party::insert(&mut tx, &party).await.unwrap());
    for n in 0..count {
        credential::insert(&mut tx, &credential_of(party.id, n), b"sealed").await.unwrap();
        assert!(device::insert(&mut tx, &device_of(party.id, n)).await.unwrap());
        assert!(document::insert(&mut tx, &document_of(party.id, n)).await.unwrap());
        operator::insert(&mut tx, &invited(n)).await.unwrap();
        assert!(signing_key::insert(&mut tx, &signing_key(n)).await.unwrap());
        if n + 1 < count {
            signing_key::retire(&mut tx, &retired(n)).await.unwrap();
        }
    }
    tx.commit().await.unwrap();
    party.id
}

async fn what_is_written_is_what_is_read_one_version_later(db: Db) {
    let party = insert_all(&db, 1).await;
    let mut tx = db.begin().await.unwrap();
    let Change::Changed(off) = credential_of(party, 0).disable(NOW) else { panic!("it was on") };
    assert!(credential::update(&mut tx, &off).await.unwrap() && !credential::update(&mut tx, &off).await.unwrap());
    let Change::Changed(retired) = device_of(party, 0).retire(NOW) else { panic!("it was alive") };
    assert!(device::update(&mut tx, &retired).await.unwrap() && !device::update(&mut tx, &retired).await.unwrap());
    let Change::Changed(verified) = document_of(party, 0).verified(VerificationStatus::Verified, NOW) else { panic!("it was not") };
    assert!(document::update(&mut tx, &verified).await.unwrap() && !document::update(&mut tx, &verified).await.unwrap());
    let Ok(Change::Changed(taken)) = invited(0).take(&retired.id, NOW) else { panic!("it was free") };
    assert!(operator::update(&mut tx, &taken).await.unwrap() && !operator::update(&mut tx, &taken).await.unwrap());
    assert!(device::update(&mut tx, &Device { version: 1, ..retired.clone() }).await.is_err(), "a retired one changed once at least");
    tx.commit().await.unwrap();
    assert_eq!(credential::get(&db, party, off.id).await.unwrap(), Some(off));
    assert_eq!(device::get(&db, party, &retired.id).await.unwrap(), Some(retired.clone()));
    assert_eq!(document::get(&db, party, verified.id).await.unwrap(), Some(verified));
    assert_eq!(operator::get(&db, taken.id).await.unwrap(), Some(taken));
    assert_eq!(device::get(&db, RelyingPartyId::CONSOLE, &retired.id).await.unwrap(), None, "it is another's");
}

/// Statements that each corrupt the newest of three rows, and the column that the error names.
const SPOILED: [(&str, &str); 14] = [
    ("relying_party.trucodes", "UPDATE relying_party SET trucodes = '!' WHERE name = 'Acme'"),
    ("credential.kind", "UPDATE credential SET kind = 'toaster' WHERE id = $1"),
    ("credential.version", "UPDATE credential SET version = 2 WHERE id = $1"),
    ("device.platform", "UPDATE device SET platform = 'toaster' WHERE id = $1"),
    ("device.biometric_key", "UPDATE device SET biometric_key = '{}' WHERE id = $1"),
    ("device.key_statement", "UPDATE device SET key_statement = 'a.b.c' WHERE id = $1"),
    ("device.key_statement", "UPDATE device SET biometric_key = NULL WHERE id = $1"),
    ("device.key_statement_seq", "UPDATE device SET key_statement_seq = 0 WHERE id = $1"),
    ("device.key_signatures", "UPDATE device SET key_signatures = '!' WHERE id = $1"),
    ("device.device_key", "UPDATE device SET device_key = biometric_key WHERE id = $1"),
    ("identity_document.type", "UPDATE identity_document SET type = 'ticket' WHERE id = $1"),
    ("identity_document.verified_at", "UPDATE identity_document SET verification_status = 'verified' WHERE id = $1"),
    ("operator.role", "UPDATE operator SET role = 'king' WHERE id = $1"),
    ("operator.device_id", "UPDATE operator SET state = 'active' WHERE id = $1"),
];

async fn one_that_cannot_be_read_is_named_and_takes_no_list_with_it(db: Db) {
    let party = insert_all(&db, 3).await;
    let (credential, device, document, operator) = (credential_of(party, 2), device_of(party, 2), document_of(party, 2), invited(2));
    for (column, spoiling) in SPOILED {
        let (table, _) = column.split_once('.').unwrap();
        let query = db.execute(spoiling);
        let (query, error, row, left) = match table {
            "credential" => (query.bind(credential.id.as_uuid()), None, credential.id.to_string(), 2),
            "device" => (query.bind(device.id.as_str()), None, device.id.to_string(), 2),
            "identity_document" => (query.bind(document.id.as_uuid()), None, document.id.to_string(), 2),
            "operator" => (query.bind(operator.id.as_uuid()), None, operator.id.to_string(), 2),
            _ => (query, None::<Error>, party.to_string(), 0),
        };
        assert_eq!(query.execute().await.unwrap(), 1, "{spoiling}");
        let (found, listed) = match table {
            "credential" => {
                let listed = credential::list(&db, party, &start(Uuid::max()), 3).await.unwrap().iter().count();
                (credential::get(&db, party, credential.id).await.err(), listed)
            }
            "device" => {
                let listed = device::list(&db, party, &start(String::new()), 3).await.unwrap().iter().count();
                (device::get(&db, party, &device.id).await.err(), listed)
            }
            "identity_document" => {
                let listed = document::list(&db, party, &document.user, false, &start(Uuid::max()), 3).await.unwrap().iter().count();
                (document::get(&db, party, document.id).await.err(), listed)
            }
            "operator" => {
                let listed = operator::list(&db, &start(Uuid::max()), 3).await.unwrap().iter().count();
                (operator::get(&db, operator.id).await.err(), listed)
            }
            _ => {
                let listed = relying_party::list(&db, &start(Uuid::max()), 3).await.unwrap().iter().count();
                (relying_party::get(&db, party).await.err(), listed)
            }
        };
        assert_eq!(named(error.or(found).unwrap()), format!("{column} of row {row} is inconsistent"));
        assert_eq!(listed, left, "{column}");
        if table == "device" && column != "device.device_key" {
            write_again(&db, &device).await;
            continue;
        }
        let mended = match column {
            "credential.kind" => "UPDATE credential SET kind = 'server'",
            "identity_document.type" => "UPDATE identity_document SET type = 'aamva_drivers_license'",
            "operator.role" => "UPDATE operator SET role = 'owner'",
            _ => continue,
        };
        db.execute(mended).execute().await.unwrap();
    }
}

/// Updates every mutable column of a device.
async fn write_again(db: &Db, device: &Device) {
    db.execute("UPDATE device SET version = 1 WHERE id = $1").bind(device.id.as_str()).execute().await.unwrap();
    let mut tx = db.begin().await.unwrap();
    assert!(device::update(&mut tx, &Device { version: 2, ..device.clone() }).await.unwrap());
    tx.commit().await.unwrap();
}

async fn a_published_key_is_read_as_it_was_written_and_one_that_cannot_be_is_passed_by(db: Db) {
    insert_all(&db, 3).await;
    assert_eq!(signing_key::all(&db).await.unwrap(), [signing_key(2), retired(1), retired(0)]);
    let mut tx = db.begin().await.unwrap();
    assert!(!signing_key::insert(&mut tx, &signing_key(0)).await.unwrap(), "it is there");
    tx.rollback().await.unwrap();
    for spoil in ["UPDATE published_key SET typs = '!' WHERE id = $1", "UPDATE published_key SET owner = 'binding' WHERE id = $1"] {
        db.execute(spoil).bind(signing_key(0).key.thumbprint()).execute().await.unwrap();
        assert_eq!(signing_key::all(&db).await.unwrap(), [signing_key(2), retired(1)]);
        assert_eq!(signing_key::list(&db, &start(String::new()), 10).await.unwrap().iter().count(), 2);
    }
    // The first key's id with another public key.
    let swap = "UPDATE published_key SET typs = '[]', owner = 'registry', public_key = $1 WHERE id = $2";
    let swap = db.execute(swap).bind(jwk(&signing_key(9).key)).bind(signing_key(0).key.thumbprint());
    swap.execute().await.unwrap();
    assert_eq!(signing_key::all(&db).await.unwrap().len(), 2);
}

async fn a_proof_is_used_once_by_its_device_until_it_is_deleted_for_its_age(db: Db) {
    let (one, other) = (device_of(party(1).id, 0).id, device_of(party(1).id, 1).id);
    for (expected, device, jti, used_at) in [(true, &one, "a", 1), (false, &one, "a", 2), (true, &one, "b", 3), (true, &other, "a", 3)] {
        let mut tx = db.begin().await.unwrap();
        assert_eq!(used_proof::insert(&mut tx, device, jti, at(used_at)).await.unwrap(), expected);
        tx.commit().await.unwrap();
    }
    assert_eq!(used_proof::prune(&db, at(3)).await.unwrap(), 1);
    let mut tx = db.begin().await.unwrap();
    assert!(used_proof::insert(&mut tx, &one, "a", at(4)).await.unwrap(), "it is old, and would not be taken");
    assert!(!used_proof::insert(&mut tx, &one, "b", at(4)).await.unwrap());
    tx.rollback().await.unwrap();
}

nodkey_testkit::on_both_engines! {
    |database| connect(database, 4) =>
    a_proof_is_used_once_by_its_device_until_it_is_deleted_for_its_age,
    what_is_written_is_what_is_read_one_version_later,
    one_that_cannot_be_read_is_named_and_takes_no_list_with_it,
    a_published_key_is_read_as_it_was_written_and_one_that_cannot_be_is_passed_by,
    a_key_that_several_devices_named_counts_for_none_of_them,
    after_a_restore_no_session_and_no_open_invitation_is_good_any_more,
}

async fn after_a_restore_no_session_and_no_open_invitation_is_good_any_more(db: Db) {
    let later = at(30);
    let device = device_of(party(1).id, 0).id;
    let (open, accepted) = (invited(0), invited(1));
    let (session, over) = (session_of(accepted.id, 10), session_of(accepted.id, 11));
    let mut tx = db.begin().await.unwrap();
    for operator in [&open, &accepted] {
        operator::insert(&mut tx, operator).await.unwrap();
    }
    let Ok(Change::Changed(taken)) = accepted.take(&device, NOW) else { panic!("it is open") };
    assert!(operator::update(&mut tx, &taken).await.unwrap());
    let Ok(Change::Changed(active)) = taken.activate(&device) else { panic!("it was taken") };
    assert!(operator::update(&mut tx, &active).await.unwrap());
    operator::insert_session(&mut tx, &session, b"sealed").await.unwrap();
    operator::insert_session(&mut tx, &over, b"sealed").await.unwrap();
    operator::end_session(&mut tx, over.id, NOW).await.unwrap();
    tx.commit().await.unwrap();
    assert!(operator::session(&db, session.id, later).await.unwrap().is_some());

    let ended = end_what_was_open(&db, later).await.unwrap();
    assert_eq!(ended, Ended { sessions: 1, invitations: 1 });
    assert!(operator::session(&db, session.id, later).await.unwrap().is_none());
    let withdrawn = operator::get(&db, open.id).await.unwrap().unwrap();
    assert!(withdrawn.ensure_unused(later).is_err());
    assert_eq!(operator::get(&db, active.id).await.unwrap(), Some(active), "who had accepted stays");
    assert_eq!(end_what_was_open(&db, later).await.unwrap(), Ended { sessions: 0, invitations: 0 });
}

/// As the migration does with devices that exist already.
async fn a_key_that_several_devices_named_counts_for_none_of_them(db: Db) {
    let tenant = party(1);
    let one = device_of(tenant.id, 0);
    let presence = PresenceKeys { credential: one.profile.presence.biometric, biometric: None };
    let other = device_of(tenant.id, 1);
    let other = Device { profile: Profile { presence, ..other.profile }, vouching: Vouching::default(), ..other };
    let third = device_of(tenant.id, 2);
    let mut tx = db.begin().await.unwrap();
    relying_party::insert(&mut tx, &tenant).await.unwrap();
    for device in [&one, &other, &third] {
        device::insert(&mut tx, device).await.unwrap();
    }
    tx.commit().await.unwrap();
    let migration = if db.is_postgres() {
        include_str!("../../migrations/postgres/1040_counting_keys.sql")
    } else {
        include_str!("../../migrations/sqlite/1040_counting_keys.sql")
    };
    let (_, marking) = migration.split_once("-- Nobody can tell").unwrap();
    let (_, marking) = marking.split_once('\n').unwrap();
    for statement in marking.split(';').map(str::trim).filter(|statement| !statement.is_empty()) {
        db.execute(statement.to_owned().leak()).execute().await.unwrap();
    }
    let standings = async |device: &Device| device::get(&db, tenant.id, &device.id).await.unwrap().unwrap().standings;
    assert!(!standings(&one).await.biometric.counts && !standings(&other).await.credential.counts);
    assert_eq!(standings(&third).await, third.standings, "and nobody else is concerned");
}

async fn exercise_audit(db: &Db, id: RelyingPartyId) {
    for relying_party in [None, Some(id)] {
        for operator in [None, Some(invited(0).id)] {
            for method in ["", "List"] {
                let filter = audit::Filter { relying_party, operator, method: method.into(), ..audit::Filter::default() };
                audit::list(db, &filter, &start(Uuid::max()), 10).await.unwrap();
                let narrow = audit::Filter { from: Some(NOW), until: Some(NOW), outcome: Some(audit::OutcomeFilter::Refused), ..filter };
                for oldest_first in [false, true] {
                    let filter = audit::Filter { oldest_first, ..narrow.clone() };
                    audit::list(db, &filter, &start(Uuid::max()), 10).await.unwrap();
                }
            }
        }
    }
}

/// Runs every statement once; the rows it writes are rolled back.
async fn exercise(db: &Db) {
    let mut tx = db.begin().await.unwrap();
    let tenant = party(1);
    let (id, device, document) = (tenant.id, device_of(tenant.id, 0), document_of(tenant.id, 0));
    relying_party::insert(&mut tx, &tenant).await.unwrap();
    relying_party::update(&mut tx, &RelyingParty { version: 2, ..tenant.clone() }).await.unwrap();
    credential::insert(&mut tx, &credential_of(id, 0), b"sealed").await.unwrap();
    let off = Credential { disabled_at: Some(NOW), version: 2, ..credential_of(id, 0) };
    credential::update(&mut tx, &off).await.unwrap();
    device::insert(&mut tx, &device).await.unwrap();
    device::load(&mut tx, id, &device.id).await.unwrap();
    device::update(&mut tx, &Device { version: 2, ..device.clone() }).await.unwrap();
    document::insert(&mut tx, &document).await.unwrap();
    document::find(&mut tx, id, "ada", "hash").await.unwrap();
    document::update(&mut tx, &Document { version: 2, ..document.clone() }).await.unwrap();
    operator::insert(&mut tx, &invited(0)).await.unwrap();
    operator::update(&mut tx, &Operator { version: 2, ..invited(0) }).await.unwrap();
    let session = session_of(invited(0).id, 0);
    operator::insert_session(&mut tx, &session, b"sealed").await.unwrap();
    confirmation::spend(&mut tx, confirmation_of(invited(0).id, 0).id, entry(0).id, NOW).await.unwrap();
    operator::end_session(&mut tx, session.id, NOW).await.unwrap();
    operator::end_sessions(&mut tx, session.operator, NOW).await.unwrap();
    operator::end_all_sessions(&mut tx, NOW).await.unwrap();
    operator::withdraw_invitations(&mut tx, NOW).await.unwrap();
    signing_key::insert(&mut tx, &signing_key(0)).await.unwrap();
    signing_key::retire(&mut tx, &retired(0)).await.unwrap();
    audit::append(&mut tx, entry(0).into()).await.unwrap();
    audit::append_outcome(&mut tx, outcome(1), entry(0).id).await.unwrap();
    audit::append_outcome(&mut tx, outcome(2), entry(0).id).await.unwrap();
    audit::append(&mut tx, AuditEntry { action: Action { relying_party: Some(id), ..entry(3).action }, ..entry(3) }.into()).await.unwrap();
    audit_chain::insert_checkpoint(&mut tx, &chain(0), &Chain { cut: 1, ..chain(1) }, NOW, "jws").await.unwrap();
    app_links::insert(&mut tx, id, &links(0)).await.unwrap();
    app_links::delete(&mut tx, id).await.unwrap();
    used_proof::insert(&mut tx, &device.id, "jti", NOW).await.unwrap();
    proven_key::insert(&mut tx, &device.id, "jkt").await.unwrap();
    proven_key::is_anothers(&mut tx, &device.id, &["jkt".to_owned()]).await.unwrap();
    tx.rollback().await.unwrap();
    relying_party::get(db, id).await.unwrap();
    relying_party::list(db, &start(Uuid::max()), 10).await.unwrap();
    credential::get(db, id, off.id).await.unwrap();
    credential::resolve(db, off.id).await.unwrap();
    credential::list(db, id, &start(Uuid::max()), 10).await.unwrap();
    credential::rename(db, id, off.id, "name").await.unwrap();
    credential::note_use(db, off.id, NOW, NOW).await.unwrap();
    device::get(db, id, &device.id).await.unwrap();
    device::resolve(db, &device.id).await.unwrap();
    retention::note_seen(db, &device, NOW).await.unwrap();
    device::note_in_use(db, &device, NOW).await.unwrap();
    device::count_unbound(db, id, 10).await.unwrap();
    device::list(db, id, &start(String::new()), 10).await.unwrap();
    device::moments_after(db, "", 10).await.unwrap();
    document::get(db, id, document.id).await.unwrap();
    document::list(db, id, "ada", false, &start(Uuid::max()), 10).await.unwrap();
    document::list(db, id, "ada", true, &start(Uuid::max()), 10).await.unwrap();
    operator::get(db, invited(0).id).await.unwrap();
    operator::invited(db, &[0; 32]).await.unwrap();
    operator::list(db, &start(Uuid::max()), 10).await.unwrap();
    operator::session(db, session.id, NOW).await.unwrap();
    operator::note_session_seen(db, session.id, NOW).await.unwrap();
    operator::session_owner(db, session.id).await.unwrap();
    for of in [None, Some(invited(0).id)] {
        operator::list_sessions(db, of, (NOW, NOW), &start(Uuid::max()), 10).await.unwrap();
    }
    // The operator does not exist, but the statement is still prepared.
    confirmation::insert(db, &confirmation_of(invited(0).id, 0)).await.unwrap_err();
    confirmation::get(db, confirmation_of(invited(0).id, 0).id).await.unwrap();
    signing_key::all(db).await.unwrap();
    signing_key::list(db, &start(String::new()), 10).await.unwrap();
    let deployment = ChainId::DEPLOYMENT;
    audit_chain::get(db, deployment).await.unwrap();
    audit_chain::count(db).await.unwrap();
    audit_chain::entries(db, deployment, 0, 10).await.unwrap();
    audit_chain::hash_at(db, deployment, 1).await.unwrap();
    audit_chain::checkpoints(db, deployment, (1, 2), 10).await.unwrap();
    audit_chain::delete_cut(db, deployment, 1).await.unwrap();
    for after in [None, Some(deployment)] {
        audit_chain::next(db, after).await.unwrap();
        audit_chain::uncovered(db, after, 10).await.unwrap();
        audit_chain::cuttable(db, NOW, after).await.unwrap();
        audit_chain::unchained(db, after.map(|_| id), (NOW, Uuid::nil()), 10).await.unwrap();
    }
    exercise_audit(db, id).await;
    app_links::get(db, id).await.unwrap();
    app_links::resolve(db, "0.example.com").await.unwrap();
    let (window, begin) = (Window { from: NOW, before: NOW }, retention::Place { at: NOW, id: String::new() });
    // The relying party does not exist, but the statement is still prepared.
    retention::put(db, &RetentionPolicy::default_of(id)).await.unwrap_err();
    retention::get(db, id).await.unwrap();
    retention::list(db, &start(Uuid::max()), 10).await.unwrap();
    retention::unseen(db, id, window, &begin).await.unwrap();
    retention::delete_unseen(db, id, NOW, &[device.id]).await.unwrap();
    retention::delete_sessions(db, NOW).await.unwrap();
    retention::delete_confirmations(db, NOW).await.unwrap();
    used_proof::prune(db, NOW).await.unwrap();
    retention::delete_unchained(db, NOW).await.unwrap();
    retention::delete_invitations(db, window).await.unwrap();
}

/// Inserts many rows of each kind, for many relying parties.
async fn fill(db: &Db, count: u64) {
    let mut tx = db.begin().await.unwrap();
    for n in 1..count {
        let tenant = party(n);
        relying_party::insert(&mut tx, &tenant).await.unwrap();
        let entry_of_tenant = AuditEntry { action: Action { relying_party: Some(tenant.id), ..Action::default() }, ..entry(2_000_000 + n) };
        audit::append(&mut tx, entry_of_tenant.into()).await.unwrap();
        let before = Chain { id: ChainId(tenant.id.as_uuid()), ..chain(0) };
        audit_chain::insert_checkpoint(&mut tx, &before, &Chain { checkpoint: 1, ..before }, at(n), "jws").await.unwrap();
        app_links::insert(&mut tx, tenant.id, &links(n)).await.unwrap();
        signing_key::insert(&mut tx, &signing_key(n)).await.unwrap();
        operator::insert(&mut tx, &invited(n)).await.unwrap();
        operator::insert_session(&mut tx, &session_of(invited(n).id, n), b"sealed").await.unwrap();
        for m in [2 * n, 2 * n + 1] {
            credential::insert(&mut tx, &credential_of(tenant.id, m), b"sealed").await.unwrap();
            device::insert(&mut tx, &device_of(tenant.id, m)).await.unwrap();
            used_proof::insert(&mut tx, &device_of(tenant.id, m).id, "jti", at(m)).await.unwrap();
            proven_key::insert(&mut tx, &device_of(tenant.id, m).id, &format!("{m}")).await.unwrap();
            document::insert(&mut tx, &document_of(tenant.id, m)).await.unwrap();
            audit::append(&mut tx, entry(m).into()).await.unwrap();
            audit::append_outcome(&mut tx, outcome(1_000_000 + m), entry(m).id).await.unwrap();
        }
    }
    tx.commit().await.unwrap();
    for n in 1..count {
        confirmation::insert(db, &confirmation_of(invited(n).id, n)).await.unwrap();
    }
}

fn check(plans: &[Plan]) {
    let wrong = plans.iter().filter(|plan| {
        let by_id = !plan.statement.contains("WHERE id = ") || plan.says("_pkey") || plan.says("(id=?)");
        // Chains are counted at most once a minute. A deployment has few signing keys and few operators with open invitations; the method
        // filter scans the entries that the other filters leave. After a restore, all sessions and all open invitations end. A replay, which is
        // rare, walks over all devices.
        let few = |line: &str| {
            line.contains("published_key")
                || plan.statement.contains("FROM device WHERE id > $1")
                || ["method LIKE", "invitation_expires_at < ", "COUNT(*) AS chains", "WHERE ended_at IS NULL", "invitation_expires_at > $1"]
                    .iter()
                    .any(|few| plan.statement.contains(few))
        };
        plan.looks_through(&TABLES).is_some_and(|line| !few(line)) || !by_id
    });
    let wrong: Vec<_> = wrong.map(ToString::to_string).collect();
    assert!(wrong.is_empty(), "{}", wrong.join("\n\n"));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_statement_finds_what_it_looks_for_by_an_index_also_when_planned_on_empty_tables() {
    let (postgres, sqlite) = (TestDatabase::postgres().await, TestDatabase::sqlite());
    let (db, mut statements) = (connect(&postgres, 1).await, BTreeSet::new());
    exercise(&db).await;
    plans::collect(&db, &TABLES, &mut statements).await;
    assert!(statements.len() > 40, "{}", statements.len());
    check(&plans::at_every_size(&db, &TABLES, &statements, 500, async |count| fill(&db, count).await).await);
    let db = connect(&sqlite, 1).await;
    check(&plans::of_sqlite(&db, &statements).await);
}

#[test]
fn every_function_of_the_store_is_among_those_whose_plans_are_checked() {
    let exercised = include_str!("tests.rs");
    for name in plans::functions(Path::new("src/store")) {
        assert!(exercised.contains(&format!("::{name}(")), "{name}");
    }
}

async fn every_row_of_an_installation_is_read(db: Db) {
    let count = async |sql| db.query(sql).fetch_all().await.unwrap();
    let parties = count("SELECT id FROM relying_party").await;
    let (mut credentials, mut devices, mut documents) = (0, 0, 0);
    for row in &parties {
        let party = RelyingPartyId::from_uuid(row.get("id").unwrap());
        let found = relying_party::get(&db, party).await.unwrap().unwrap();
        assert_eq!(found.bindings.inactive_hours, 0, "no binding of before ends by itself");
        app_links::get(&db, party).await.unwrap();
        credentials += credential::list(&db, party, &start(Uuid::max()), 500).await.unwrap().iter().count();
        for device in device::list(&db, party, &start(String::new()), 500).await.unwrap().iter() {
            devices += 1;
            let counts = device.presence_thumbprints().len()
                == device.profile.presence.iter().filter(|(kind, _)| device.standings.of(*kind).counts).count();
            assert!(counts, "who could prove presence before can");
        }
    }
    for row in count("SELECT id, relying_party_id FROM identity_document").await {
        let (party, id) = (RelyingPartyId::from_uuid(row.get("relying_party_id").unwrap()), row.get("id").unwrap());
        documents += usize::from(document::get(&db, party, IdentityDocumentId::from_uuid(id)).await.unwrap().is_some());
    }
    assert_eq!(credentials, count("SELECT id FROM credential").await.len());
    assert_eq!((parties.len(), devices, documents), (4, 13, 4));
    assert_eq!(signing_key::list(&db, &start(String::new()), 500).await.unwrap().iter().count(), 3);
    let keys = signing_key::all(&db).await.unwrap();
    assert!(keys.iter().all(|key| key.owner == Owner::Registry && key.signs("nodkey-challenge+jwt")), "they signed everything");
    assert_eq!(keys.iter().filter(|key| key.retires_at.is_none()).count(), 1);
    let operators = operator::list(&db, &start(Uuid::max()), 500).await.unwrap().iter().count();
    assert_eq!(operators, count("SELECT id FROM operator").await.len());
    let entries = audit::list(&db, &audit::Filter::default(), &start(Uuid::max()), 500).await.unwrap().iter().count();
    assert_eq!(entries, count("SELECT id FROM audit_entry").await.len());
    for row in count("SELECT id FROM operator_session").await {
        operator::session(&db, OperatorSessionId::from_uuid(row.get("id").unwrap()), NOW).await.unwrap();
    }
    let known = DeviceId::parse(&count("SELECT id FROM device").await[0].get::<String>("id").unwrap()).unwrap();
    assert!(device::resolve(&db, &known).await.unwrap().is_some());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_row_of_an_installation_on_sqlite_is_read() {
    let kept = TestDatabase::sqlite_of("registry");
    every_row_of_an_installation_is_read(connect(&kept, 4).await).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_row_of_an_installation_on_postgres_is_read() {
    let kept = TestDatabase::postgres_of("registry").await;
    every_row_of_an_installation_is_read(connect(&kept, 4).await).await;
}
