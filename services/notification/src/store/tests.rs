//! Tests of the rows on both engines: an unreadable row is named and does not affect others, and every lookup uses an index.

use std::{collections::BTreeSet, path::Path, time::Duration};

use nodkey_db::{Db, DbConfig, DbError};
use nodkey_kernel::{
    id::{DeliveryId, DeviceId, EndpointId, RelyingPartyId, TrusonaficationId},
    random::Random,
    time::Timestamp,
};
use nodkey_runtime::{Failure, Service as _};
use nodkey_testkit::{
    TestDatabase,
    plans::{self, Plan},
};
use uuid::Uuid;

use super::*;
use crate::domain::push_cause::Cause;
use crate::{
    Notification,
    domain::{Attempt, Delivery, DisabledReason, Endpoint, EventType, State, Subject},
    push::{KeptConfiguration, Provider, Push},
};

const NOW: Timestamp = Timestamp::from_seconds(1_700_000_000);
const TABLES: [&str; 7] = ["delivery", "attempt", "endpoint", "push", "push_cause", "push_registration", "push_configuration"];

async fn connect(database: &TestDatabase, max_connections: u32) -> Db {
    let db = Db::connect(&DbConfig { max_connections, ..DbConfig::new(database.url()) }).await.unwrap();
    db.migrate(&Notification::migrations().unwrap()).await.unwrap();
    db
}

fn party() -> RelyingPartyId {
    RelyingPartyId::generate(NOW, &Random::seeded(1))
}

fn device(n: u64) -> DeviceId {
    DeviceId::parse(&format!("{n:0>43}")).unwrap()
}

/// Every second subject is a trusonafication.
fn subject(n: u64, at: Timestamp, random: &Random) -> Subject {
    if n.is_multiple_of(2) { Subject::Trusonafication(TrusonaficationId::generate(at, random)) } else { Subject::Device(device(n)) }
}

fn due(n: u64) -> Delivery {
    let (at, random) = (NOW + Duration::from_secs(n), Random::seeded(n));
    Delivery {
        id: DeliveryId::generate(at, &random),
        relying_party: party(),
        subject: subject(n, at, &random),
        event_type: EventType::Accepted,
        endpoint: Some(EndpointId::generate(at, &Random::seeded(n % 10))),
        queue: format!("lane {}", n % 10),
        url: "https://example.com".into(),
        body: r#"{"id":"x"}"#.into(),
        state: State::Pending,
        attempt_count: 0,
        attempts_before: 0,
        next_attempt_at: at,
        occurred_at: at,
        created_at: at,
        version: 1,
        traceparent: None,
    }
}

fn listening(n: u64) -> Endpoint {
    let at = NOW + Duration::from_secs(n);
    Endpoint {
        id: EndpointId::generate(at, &Random::seeded(n)),
        relying_party: party(),
        url: "https://example.com".into(),
        event_types: vec![EventType::Rejected],
        sealed_keys: vec![1],
        previous_keys: None,
        older_keys: None,
        disabled: None,
        failing_since: None,
        created_at: at,
        version: 1,
    }
}

fn asked(n: u64) -> Cause {
    Cause::Prompt(TrusonaficationId::generate(NOW, &Random::seeded(n)))
}

fn attempt() -> Attempt {
    Attempt { number: 1, started_at: NOW, duration_ms: 1, status_code: 200, error: String::new(), response: String::new() }
}

fn configured() -> KeptConfiguration {
    let (provider, sealed_credentials) = (Provider::Fcm, vec![1]);
    let (description, public_key) = ("project x".to_owned(), String::new());
    KeptConfiguration { provider, sealed_credentials, description, public_key, updated_at: NOW, last_failure: None }
}

async fn insert_all(db: &Db, deliveries: &[Delivery]) {
    let mut tx = db.begin().await.unwrap();
    for each in deliveries {
        delivery::insert(&mut tx, each).await.unwrap();
    }
    tx.commit().await.unwrap();
}

fn listing(size: i64) -> delivery::Listing {
    let at = NOW + Duration::from_hours(1_000);
    delivery::Listing {
        state: None,
        subject: None,
        endpoint: None,
        from: None,
        until: None,
        at,
        id: Uuid::max(),
        oldest_first: false,
        size,
    }
}

fn named(error: Failure) -> (&'static str, &'static str, String) {
    let Failure::Db(DbError::Inconsistent { table, column, row, .. }) = error else { panic!("{error:?}") };
    (table, column, row)
}

async fn deliveries_that_cannot_be_read_hold_up_no_other(db: Db) {
    let all: Vec<_> = (0..12).map(|n| Delivery { queue: "lane".into(), ..due(n) }).collect();
    insert_all(&db, &all).await;
    for (n, spoiling) in [
        (0, "UPDATE delivery SET event_type = 'party' WHERE id = $1"),
        (1, "UPDATE delivery SET attempts_before = 1 WHERE id = $1"),
        (2, "UPDATE delivery SET version = -1 WHERE id = $1"),
        (3, "UPDATE delivery SET subject = 'moon/1' WHERE id = $1"),
        (5, "UPDATE delivery SET subject = NULL WHERE id = $1"),
        (9, "UPDATE delivery SET state = 'lost' WHERE id = $1"),
    ] {
        db.execute(spoiling).bind(all[n].id.as_uuid()).execute().await.unwrap();
    }
    let unknown = named(delivery::get(&db, party(), all[9].id).await.unwrap_err());
    assert_eq!(unknown, ("delivery", "state", all[9].id.to_string()));
    assert_eq!(named(delivery::get(&db, party(), all[1].id).await.unwrap_err()).1, "attempts_before");
    let (mut page, mut listed) = (listing(3), 0);
    loop {
        let found = delivery::list(&db, party(), &page).await.unwrap();
        listed += found.iter().count();
        assert!(found.iter().all(|d| d.body.is_empty()), "no list reads bodies");
        let Some(last) = found.last().filter(|_| found.has_next()) else { break };
        (page.at, page.id) = (last.at, last.id.parse().unwrap());
    }
    assert_eq!(listed, 6);
    // Each is reserved once, whether it is readable or not: the next ones follow.
    let (later, mut claimed) = (NOW + Duration::from_mins(1), 0);
    for _ in 0..4 {
        let some = delivery::claim(&db, "lane", later, later + Duration::from_secs(10), 3).await.unwrap();
        assert!(some.iter().all(|d| d.body == all[0].body));
        claimed += some.len();
    }
    assert_eq!(claimed, 6);
    assert!(delivery::claim(&db, "lane", later, later, 3).await.unwrap().is_empty());
}

async fn endpoints_are_read_as_they_were_written_and_one_that_cannot_be_is_left_out(db: Db) {
    let mut tx = db.begin().await.unwrap();
    for n in 0..6 {
        endpoint::insert(&mut tx, &listening(n)).await.unwrap();
    }
    let off = Endpoint {
        disabled: Some((DisabledReason::Failing, NOW)),
        previous_keys: Some((vec![2], NOW)),
        older_keys: Some(vec![3]),
        failing_since: Some(NOW),
        version: 2,
        ..listening(0)
    };
    assert!(endpoint::update(&mut tx, &off).await.unwrap());
    assert!(!endpoint::update(&mut tx, &off).await.unwrap(), "another was first");
    tx.commit().await.unwrap();
    assert_eq!(endpoint::get(&db, party(), off.id).await.unwrap(), Some(off));
    for (n, column, spoiling) in [
        (1, "disabled_reason", "UPDATE endpoint SET enabled = FALSE, disabled_reason = 'mood' WHERE id = $1"),
        (2, "disabled_at", "UPDATE endpoint SET enabled = FALSE, disabled_reason = 'gone' WHERE id = $1"),
        (3, "enabled", "UPDATE endpoint SET enabled = FALSE WHERE id = $1"),
        (4, "event_types", "UPDATE endpoint SET event_types = 'all' WHERE id = $1"),
    ] {
        db.execute(spoiling).bind(listening(n).id.as_uuid()).execute().await.unwrap();
        let error = endpoint::get(&db, party(), listening(n).id).await.unwrap_err();
        assert_eq!(named(error), ("endpoint", column, listening(n).id.to_string()));
    }
    let page = endpoint::list(&db, party(), NOW + Duration::from_hours(1), Uuid::max(), 10).await.unwrap();
    assert_eq!(page.iter().count(), 2);
    let mut tx = db.begin().await.unwrap();
    assert_eq!(endpoint::all(&mut tx, party()).await.unwrap().len(), 2, "the others are told");
}

async fn pushes_that_cannot_be_read_hold_up_no_other(db: Db) {
    let mut tx = db.begin().await.unwrap();
    for n in 0..4 {
        push::put(&mut tx, (party(), &device(n)), "lane", Cause::Notice, NOW, NOW + Duration::from_mins(1)).await.unwrap();
    }
    push_configuration::put(&mut tx, party(), &configured()).await.unwrap();
    tx.commit().await.unwrap();
    push_registration::put(&db, party(), &device(0), "apns", "receiver", b"sealed", NOW).await.unwrap();
    let kept = push_registration::get(&db, party(), &device(0)).await.unwrap().unwrap();
    assert_eq!(kept.provider, Provider::Apns);
    db.execute("DELETE FROM push_cause").execute().await.unwrap();
    db.execute("UPDATE push SET device_id = 'x' WHERE device_id = $1").bind(device(1).as_str()).execute().await.unwrap();
    assert_eq!(push::claim(&db, "lane", NOW, NOW + Duration::from_secs(30), 10).await.unwrap().len(), 3);
    assert_eq!(push_configuration::list(&db, party()).await.unwrap().len(), 1);
    db.execute("UPDATE push_registration SET provider = 'pigeon'").execute().await.unwrap();
    db.execute("UPDATE push_configuration SET provider = 'pigeon'").execute().await.unwrap();
    assert_eq!(named(push_registration::get(&db, party(), &device(0)).await.unwrap_err()).1, "provider");
    assert!(push_configuration::list(&db, party()).await.unwrap().is_empty());
}

async fn a_phone_is_woken_until_the_last_that_it_is_woken_for_ends(db: Db) {
    let mut tx = db.begin().await.unwrap();
    for minutes in [5, 24 * 60, 1] {
        push::put(&mut tx, (party(), &device(0)), "lane", Cause::Notice, NOW, NOW + Duration::from_mins(minutes)).await.unwrap();
    }
    tx.commit().await.unwrap();
    let claimed = push::claim(&db, "lane", NOW, NOW + Duration::from_secs(30), 10).await.unwrap();
    assert_eq!(claimed.iter().map(|push| push.expires_at).collect::<Vec<_>>(), [NOW + Duration::from_hours(24)]);
}

async fn a_phone_is_woken_for_nothing_that_is_over_and_goes_on_for_what_is_not(db: Db) {
    let later = |minutes| NOW + Duration::from_mins(minutes);
    let put = async |cause| {
        let mut tx = db.begin().await.unwrap();
        push::put(&mut tx, (party(), &device(0)), "lane", cause, NOW, later(60)).await.unwrap();
        tx.commit().await.unwrap();
    };
    let end = async |cause| {
        let mut tx = db.begin().await.unwrap();
        push::end(&mut tx, cause).await.unwrap();
        tx.commit().await.unwrap();
        assert!(!push::is_anybody_concerned(&db, party(), cause).await.unwrap());
    };
    // The n-th claim, when it is due.
    let claim = async |n| {
        let mut claimed = push::claim(&db, "lane", later(n), later(n + 1), 10).await.unwrap();
        assert_eq!(claimed.len(), 1, "it is due");
        claimed.remove(0)
    };
    put(asked(1)).await;
    put(asked(2)).await;
    assert!(!claim(0).await.over);
    end(asked(1)).await;
    assert!(!claim(1).await.over && push::is_anybody_concerned(&db, party(), asked(2)).await.unwrap(), "the other is still there");
    end(asked(2)).await;
    let over = claim(2).await;
    assert!(over.over);
    // Requested again before it was given up.
    put(asked(3)).await;
    push::delete(&db, &over).await.unwrap();
    let again = claim(0).await;
    assert!(!again.over);
    put(Cause::Notice).await;
    end(asked(3)).await;
    let noticed = claim(0).await;
    assert!(!noticed.over, "another phone has joined, which no answer ends");
    push::delete(&db, &noticed).await.unwrap();
    assert!(!push::is_anybody_concerned(&db, party(), Cause::Notice).await.unwrap(), "causes go with what they are for");

    // An earlier release that runs concurrently does not record causes.
    put(asked(4)).await;
    db.execute("UPDATE push SET version = version + 1").execute().await.unwrap();
    end(asked(4)).await;
    let unknown = claim(0).await;
    assert!(!unknown.over, "it may have been asked something else since");
    db.execute("DELETE FROM push").execute().await.unwrap();
    let sql = "INSERT INTO push (relying_party_id, device_id, lane, attempt_count, next_attempt_at, expires_at, version) \
               VALUES ($1, $2, 'lane', 0, $3, $4, 1)";
    let insert = db.execute(sql).bind(party().as_uuid()).bind(device(0).as_str()).bind(NOW).bind(later(60));
    insert.execute().await.unwrap();
    put(asked(5)).await;
    end(asked(5)).await;
    assert!(!claim(0).await.over);
}

nodkey_testkit::on_both_engines! {
    |database| connect(database, 4) =>
    a_phone_is_woken_for_nothing_that_is_over_and_goes_on_for_what_is_not,
    a_phone_is_woken_until_the_last_that_it_is_woken_for_ends,
    deliveries_that_cannot_be_read_hold_up_no_other,
    endpoints_are_read_as_they_were_written_and_one_that_cannot_be_is_left_out,
    pushes_that_cannot_be_read_hold_up_no_other,
}

mod upgrade {
    use nodkey_db::{Migration, Migrations};

    use super::*;

    /// A database with the schema from before a migration.
    async fn before(database: &TestDatabase, version: i64) -> Db {
        let db = Db::connect(&DbConfig { max_connections: 4, ..DbConfig::new(database.url()) }).await.unwrap();
        let Migrations { postgres, sqlite } = Notification::migrations().unwrap();
        let earlier = |all: &'static [Migration]| &all[..all.iter().position(|migration| migration.version == version).unwrap()];
        db.migrate(&Migrations { postgres: earlier(postgres), sqlite: earlier(sqlite) }).await.unwrap();
        db
    }

    async fn endpoints_and_deliveries_of_before_go_on_as_they_were(db: Db) {
        let all = [(0, "[]"), (1, r#"["trusonafication.rejected"]"#)];
        for (n, event_types) in all {
            let (endpoint, at) = (listening(n), NOW + Duration::from_secs(n));
            let sql = "INSERT INTO endpoint (id, relying_party_id, url, event_types, sealed_keys, created_at, version) VALUES ($1, $2, $3, $4, $5, $6, 1)";
            let query = db.execute(sql).bind(endpoint.id.as_uuid()).bind(party().as_uuid()).bind("https://example.com");
            query.bind(event_types).bind([1_u8].as_slice()).bind(at).execute().await.unwrap();
        }
        let Subject::Trusonafication(about) = due(0).subject else { panic!("of a trusonafication") };
        let sql = "INSERT INTO delivery (id, relying_party_id, trusonafication_id, event_type, lane, url, body, state, attempt_count, \
                   attempts_before, next_attempt_at, occurred_at, created_at, version) \
                   VALUES ($1, $2, $3, 'trusonafication.accepted', 'lane', 'https://example.com', '{}', 'pending', 0, 0, $4, $4, $4, 1)";
        let query = db.execute(sql).bind(due(0).id.as_uuid()).bind(party().as_uuid()).bind(about.as_uuid());
        query.bind(NOW).execute().await.unwrap();

        db.migrate(&Notification::migrations().unwrap()).await.unwrap();
        let named = async |n| endpoint::get(&db, party(), listening(n).id).await.unwrap().unwrap();
        let results = [EventType::Accepted, EventType::Rejected, EventType::Expired, EventType::Canceled];
        assert_eq!(named(0).await.event_types, results, "no more than there was when it named none");
        assert_eq!(named(1).await.event_types, [EventType::Rejected]);
        let found = delivery::get(&db, party(), due(0).id).await.unwrap().unwrap();
        assert_eq!(found.subject, due(0).subject);
        let listing = delivery::Listing { subject: Some(found.subject), ..listing(10) };
        assert_eq!(delivery::list(&db, party(), &listing).await.unwrap().iter().count(), 1);
    }

    nodkey_testkit::on_both_engines! {
        |database| before(database, 1031) =>
        endpoints_and_deliveries_of_before_go_on_as_they_were,
    }
}

/// Runs every statement once; the rows it writes are rolled back.
async fn exercise(db: &Db) {
    let mut tx = db.begin().await.unwrap();
    delivery::insert(&mut tx, &due(0)).await.unwrap();
    delivery::update(&mut tx, &Delivery { state: State::Exhausted, version: 2, ..due(0) }).await.unwrap();
    delivery::again(&mut tx, due(0).id, NOW).await.unwrap();
    delivery::insert_attempt(&mut tx, due(0).id, &attempt()).await.unwrap();
    endpoint::insert(&mut tx, &listening(0)).await.unwrap();
    endpoint::update(&mut tx, &Endpoint { version: 2, ..listening(0) }).await.unwrap();
    endpoint::get_in(&mut tx, party(), listening(0).id).await.unwrap();
    endpoint::all(&mut tx, party()).await.unwrap();
    push::put(&mut tx, (party(), &device(0)), "lane", Cause::Notice, NOW, NOW).await.unwrap();
    push::end(&mut tx, asked(0)).await.unwrap();
    push::delete_all(&mut tx, party()).await.unwrap();
    delivery::withdraw(&mut tx, party(), NOW).await.unwrap();
    push_configuration::put(&mut tx, party(), &configured()).await.unwrap();
    push_configuration::get_in(&mut tx, party(), "fcm").await.unwrap();
    push_registration::receiver(&mut tx, party(), &device(0)).await.unwrap();
    push_registration::delete(&mut tx, party(), &device(0)).await.unwrap();
    tx.rollback().await.unwrap();
    delivery::get(db, party(), due(0).id).await.unwrap();
    delivery::queues(db, "", NOW, 10).await.unwrap();
    delivery::claim(db, "lane", NOW, NOW, 10).await.unwrap();
    delivery::renew(db, &due(0), NOW).await.unwrap();
    delivery::waiting(db).await.unwrap();
    delivery::body(db, due(0).id).await.unwrap();
    endpoint::failing(db, 10).await.unwrap();
    delivery::attempts(db, due(0).id).await.unwrap();
    for endpoint in [None, due(0).endpoint] {
        for include_succeeded in [false, true] {
            let range = delivery::Range { since: NOW, until: NOW, endpoint, include_succeeded };
            delivery::finished(db, party(), &range, (NOW, Uuid::nil()), 10).await.unwrap();
        }
        for state in [None, Some(State::Exhausted)] {
            for subject in [None, Some(due(0).subject), Some(due(1).subject)] {
                let listing = delivery::Listing { state, subject, endpoint, ..listing(10) };
                delivery::list(db, party(), &listing).await.unwrap();
                let of_a_time = delivery::Listing { from: Some(NOW), until: Some(NOW), ..listing };
                delivery::list(db, party(), &of_a_time).await.unwrap();
                delivery::list(db, party(), &delivery::Listing { oldest_first: true, ..of_a_time }).await.unwrap();
            }
        }
    }
    endpoint::get(db, party(), listening(0).id).await.unwrap();
    endpoint::any(db, party()).await.unwrap();
    endpoint::list(db, party(), NOW, Uuid::max(), 10).await.unwrap();
    endpoint::delete(db, party(), listening(0).id).await.unwrap();
    super::receipt::required_since(db).await.unwrap();
    push::queues(db, "", NOW, 10).await.unwrap();
    push::claim(db, "lane", NOW, NOW, 10).await.unwrap();
    push::is_anybody_concerned(db, party(), asked(0)).await.unwrap();
    let woken =
        Push { relying_party: party(), device: device(0), attempt_count: 1, expires_at: NOW, over: false, version: 1, traceparent: None };
    push::postpone(db, &woken, NOW).await.unwrap();
    push::delete(db, &woken).await.unwrap();
    push::waiting(db).await.unwrap();
    push_configuration::get(db, party(), "fcm").await.unwrap();
    push_configuration::list(db, party()).await.unwrap();
    push_configuration::failed(db, party(), "fcm", "no", NOW).await.unwrap();
    push_configuration::delete(db, party(), "fcm").await.unwrap();
    push_registration::put(db, party(), &device(0), "fcm", "receiver", b"sealed", NOW).await.unwrap();
    push_registration::get(db, party(), &device(0)).await.unwrap();
    push_registration::is_there(db, party(), &device(0)).await.unwrap();
    push_registration::delete_of(db, party(), &device(0), NOW).await.unwrap();
    retention::delete_deliveries(db, NOW).await.unwrap();
}

/// Inserts many rows of each kind, for many relying parties.
async fn fill(db: &Db, count: u64) {
    let of = |n: u64| RelyingPartyId::generate(NOW, &Random::seeded(n % 50));
    let state = |n: u64| if n.is_multiple_of(20) { State::Pending } else { State::Exhausted };
    let all: Vec<_> = (0..count).map(|n| Delivery { relying_party: of(n), state: state(n), ..due(n) }).collect();
    insert_all(db, &all).await;
    let mut tx = db.begin().await.unwrap();
    for n in 0..count / 2 {
        delivery::insert_attempt(&mut tx, due(n).id, &attempt()).await.unwrap();
        endpoint::insert(&mut tx, &Endpoint { relying_party: of(n), ..listening(n) }).await.unwrap();
        push::put(&mut tx, (of(n), &device(n)), &format!("lane {n}"), asked(n), NOW, NOW).await.unwrap();
        let own = RelyingPartyId::generate(NOW, &Random::seeded(n));
        push_configuration::put(&mut tx, own, &configured()).await.unwrap();
    }
    tx.commit().await.unwrap();
    for n in 0..count / 2 {
        push_registration::put(db, of(n), &device(n), "fcm", "receiver", b"sealed", NOW).await.unwrap();
    }
}

/// Queries that count everything pending may scan everything pending; that of failing endpoints is limited, and uses their index.
const COUNTS: [&str; 3] = [
    "SELECT count(*) AS waiting, min(created_at)",
    "SELECT count(*) AS waiting FROM push",
    "SELECT count(*) AS n FROM (SELECT 1 AS one FROM endpoint WHERE failing_since IS NOT NULL",
];

fn check(plans: &[Plan]) {
    let wrong = plans.iter().filter(|plan| {
        let counts = COUNTS.iter().any(|count| plan.statement.starts_with(count));
        let by_id = !plan.statement.contains("WHERE id = ") || plan.says("_pkey") || plan.says("(id=?)");
        (plan.looks_through(&TABLES).is_some() && !counts) || !by_id
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
    check(&plans::at_every_size(&db, &TABLES, &statements, 2_000, async |count| fill(&db, count).await).await);
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
    let rows = db.query("SELECT id, relying_party_id FROM delivery").fetch_all().await.unwrap();
    assert_eq!(rows.len(), 96);
    for row in &rows {
        let party = RelyingPartyId::from_uuid(row.get("relying_party_id").unwrap());
        let id = DeliveryId::from_uuid(row.get("id").unwrap());
        let found = delivery::get(&db, party, id).await.unwrap().unwrap();
        let attempts = delivery::attempts(&db, id).await.unwrap();
        assert_eq!(attempts.len(), usize::try_from(found.attempt_count).unwrap());
    }
    let rows = db.query("SELECT id, relying_party_id FROM endpoint").fetch_all().await.unwrap();
    assert_eq!(rows.len(), 4);
    for row in &rows {
        let party = RelyingPartyId::from_uuid(row.get("relying_party_id").unwrap());
        assert!(endpoint::get(&db, party, EndpointId::from_uuid(row.get("id").unwrap())).await.unwrap().is_some());
    }
    let rows = db.query("SELECT relying_party_id, device_id FROM push_registration").fetch_all().await.unwrap();
    assert_eq!(rows.len(), 4);
    for row in &rows {
        let party = RelyingPartyId::from_uuid(row.get("relying_party_id").unwrap());
        let device = DeviceId::parse(&row.get::<String>("device_id").unwrap()).unwrap();
        assert!(push_registration::get(&db, party, &device).await.unwrap().is_some());
    }
    let rows = db.query("SELECT relying_party_id, provider FROM push_configuration").fetch_all().await.unwrap();
    assert_eq!(rows.len(), 4);
    for row in &rows {
        let party = RelyingPartyId::from_uuid(row.get("relying_party_id").unwrap());
        let provider: String = row.get("provider").unwrap();
        assert!(push_configuration::get(&db, party, &provider).await.unwrap().is_some());
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_row_of_an_installation_on_sqlite_is_read() {
    let kept = TestDatabase::sqlite_of("notification");
    every_row_of_an_installation_is_read(connect(&kept, 4).await).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_row_of_an_installation_on_postgres_is_read() {
    let kept = TestDatabase::postgres_of("notification").await;
    every_row_of_an_installation_is_read(connect(&kept, 4).await).await;
}
