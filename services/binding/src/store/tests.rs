//! Tests of the rows on both engines.

use std::{collections::BTreeSet, path::Path, time::Duration};

use nodkey_db::{DbConfig, used_proof};
use nodkey_kernel::random::Random;
use nodkey_runtime::Service as _;
use nodkey_testkit::{
    TestDatabase,
    plans::{self, Plan},
};

use super::*;
use crate::{
    Binding as Service,
    domain::{
        Change,
        freeze::{Freeze, Freezer, Note},
    },
};

const NOW: Timestamp = Timestamp::from_seconds(1_700_000_000);
const TABLES: [&str; 6] = ["binding", "bound_user", "known_device", "identifier", "frozen_user", "used_proof"];

async fn connect(database: &TestDatabase, max_connections: u32) -> Db {
    let db = Db::connect(&DbConfig { max_connections, ..DbConfig::new(database.url()) }).await.unwrap();
    db.migrate(&Service::migrations().unwrap()).await.unwrap();
    db
}

fn party() -> RelyingPartyId {
    RelyingPartyId::generate(NOW, &Random::seeded(1))
}

fn user(name: &str) -> UserIdentifier {
    UserIdentifier::parse(name).unwrap()
}

fn bound(n: u64) -> Binding {
    let at = NOW + Duration::from_secs(n);
    let (id, device) = (BindingId::generate(at, &Random::seeded(n)), DeviceId::parse(&format!("{n:0>43}")).unwrap());
    Binding::create(id, party(), user(if n.is_multiple_of(2) { "ada" } else { "bob" }), device, 0, at).unwrap()
}

fn identifier(name: &str) -> Identifier {
    Identifier { scope: Scope::RelyingParty, user: user(name), trusona_id: TrusonaId::parse("123456789").unwrap(), created_at: NOW }
}

async fn insert_all(db: &Db, bindings: &[Binding]) {
    let mut tx = db.begin().await.unwrap();
    for binding in bindings {
        insert(&mut tx, binding).await.unwrap();
    }
    tx.commit().await.unwrap();
}

async fn every_state_is_read_as_it_was_written_one_version_later(db: Db) {
    let mut binding = bound(0);
    insert_all(&db, std::slice::from_ref(&binding)).await;
    loop {
        let read = get(&db, party(), binding.id).await.unwrap().unwrap();
        assert_eq!(read, binding);
        let change = if read.state == State::Inactive { read.activate(NOW).unwrap() } else { read.deactivate(NOW) };
        let Change::Changed(changed) = change else { break };
        assert_eq!(changed.version, binding.version + 1);
        let mut tx = db.begin().await.unwrap();
        assert!(update(&mut tx, &changed).await.unwrap());
        assert!(!update(&mut tx, &changed).await.unwrap(), "another was first");
        tx.commit().await.unwrap();
        binding = changed;
    }
    assert_eq!(binding.version, 3);
    let twice = Binding { version: 5, ..binding };
    let mut tx = db.begin().await.unwrap();
    assert!(update(&mut tx, &twice).await.is_err(), "nothing becomes of it twice");
    assert_eq!(get(&db, RelyingPartyId::CONSOLE, twice.id).await.unwrap(), None, "it is another's");
}

async fn lists_find_their_own_newest_first_and_go_on_past_what_cannot_be_read(db: Db) {
    let mut all: Vec<_> = (0..8).map(bound).collect();
    for binding in &mut all[4..] {
        let Ok(Change::Changed(active)) = binding.clone().activate(NOW) else { panic!("it is inactive") };
        *binding = active;
    }
    let inactive: Vec<_> = all.iter().map(|b| Binding { state: State::Inactive, version: 1, ..b.clone() }).collect();
    insert_all(&db, &inactive).await;
    let mut tx = db.begin().await.unwrap();
    for binding in &all[4..] {
        assert!(update(&mut tx, binding).await.unwrap());
    }
    tx.commit().await.unwrap();
    let ada = user("ada");
    for (user, state, expected) in [
        (None, None, vec![7, 6, 5, 4, 3, 2, 1, 0]),
        (Some(&ada), None, vec![6, 4, 2, 0]),
        (None, Some(StateName::Active), vec![7, 6, 5, 4]),
        (Some(&ada), Some(StateName::Inactive), vec![2, 0]),
        (None, Some(StateName::Deactivated), vec![]),
    ] {
        let listing = Listing { user, state, at: NOW + Duration::from_hours(1), id: Uuid::max(), size: 10 };
        let found = list(&db, party(), &listing).await.unwrap();
        let expected: Vec<_> = expected.into_iter().map(|n: usize| all[n].id).collect();
        assert_eq!(found.iter().map(|b| b.id).collect::<Vec<_>>(), expected);
    }
    let spoiled = all[6].id;
    db.execute("UPDATE binding SET device_id = 'x' WHERE id = $1").bind(spoiled.as_uuid()).execute().await.unwrap();
    db.execute("UPDATE binding SET version = 7 WHERE id = $1").bind(all[7].id.as_uuid()).execute().await.unwrap();
    let (mut at, mut id, mut seen) = (NOW + Duration::from_hours(1), Uuid::max(), 0);
    loop {
        let page = list(&db, party(), &Listing { user: None, state: None, at, id, size: 2 }).await.unwrap();
        seen += page.iter().count();
        let Some(last) = page.last().filter(|_| page.has_next()) else { break };
        (at, id) = (last.at, last.id.parse().unwrap());
    }
    assert_eq!(seen, 6);
    assert_eq!(of_user(&db, party(), &ada).await.unwrap().len(), 3);
    let error = get(&db, party(), spoiled).await.unwrap_err();
    let Failure::Db(error) = error else { panic!("{error:?}") };
    assert_eq!(error.to_string(), format!("binding.device_id of row {spoiled} is inconsistent"));
    assert!(!format!("{error:?}").contains("ada"));
}

async fn an_identifier_that_cannot_be_read_shows_nobody(db: Db) {
    let mut tx = db.begin().await.unwrap();
    for name in ["ada", "bob"] {
        assert!(insert_identifier(&mut tx, party(), &identifier(name)).await.unwrap());
    }
    tx.commit().await.unwrap();
    assert_eq!(identifiers_of(&db, party(), Scope::RelyingParty, &identifier("ada").trusona_id).await.unwrap().len(), 2);
    db.execute("UPDATE identifier SET identifier = ' ' WHERE identifier = 'bob'").execute().await.unwrap();
    assert_eq!(identifiers_of(&db, party(), Scope::RelyingParty, &identifier("ada").trusona_id).await.unwrap(), [identifier("ada")]);
    db.execute("UPDATE identifier SET trusona_id = ' '").execute().await.unwrap();
    let error = super::identifier(&db, party(), Scope::RelyingParty, &user("ada")).await.unwrap_err();
    assert!(!format!("{error:?}").contains("ada"), "{error:?}");
}

fn by_device() -> Freeze {
    Freeze { at: NOW, by: Freezer::Device(bound(0).device), note: Note::default() }
}

async fn a_frozen_user_is_seen_with_every_binding_of_theirs_until_the_release(db: Db) {
    let (ada, bob) = (user("ada"), user("bob"));
    insert_all(&db, &[bound(0), bound(1)]).await;
    let by_backend = Freeze { at: NOW, by: Freezer::Backend, note: Note::parse("lost").unwrap() };
    for freeze in [by_backend, by_device(), Freeze { by: Freezer::Operator, ..by_device() }] {
        let mut tx = db.begin().await.unwrap();
        assert_eq!(freeze::load(&mut tx, party(), &ada).await.unwrap(), None);
        freeze::insert(&mut tx, party(), &ada, &freeze).await.unwrap();
        assert_eq!(freeze::load(&mut tx, party(), &ada).await.unwrap().as_ref(), Some(&freeze));
        tx.commit().await.unwrap();
        assert_eq!(freeze::get(&db, party(), &ada).await.unwrap(), Some(freeze));
        assert_eq!(freeze::get(&db, party(), &bob).await.unwrap(), None);
        assert_eq!(freeze::get(&db, RelyingPartyId::CONSOLE, &ada).await.unwrap(), None, "it is another's");
        let listing = Listing { user: None, state: None, at: NOW + Duration::from_hours(1), id: Uuid::max(), size: 10 };
        let frozen: Vec<_> = list(&db, party(), &listing).await.unwrap().iter().map(|b| b.user_frozen).collect();
        assert_eq!(frozen, [false, true]);
        for n in 0..2 {
            assert_eq!(living(&db, party(), &bound(n).device).await.unwrap().unwrap().user_frozen, n == 0);
        }
        let mut tx = db.begin().await.unwrap();
        assert!(freeze::delete(&mut tx, party(), &ada).await.unwrap());
        assert!(!freeze::delete(&mut tx, party(), &ada).await.unwrap(), "once");
        tx.commit().await.unwrap();
        assert!(!of_user(&db, party(), &ada).await.unwrap()[0].user_frozen);
    }
}

async fn a_freeze_that_cannot_be_read_freezes_and_shows_nobody(db: Db) {
    let ada = user("ada");
    insert_all(&db, &[bound(0)]).await;
    let mut tx = db.begin().await.unwrap();
    freeze::insert(&mut tx, party(), &ada, &by_device()).await.unwrap();
    tx.commit().await.unwrap();
    db.execute("UPDATE frozen_user SET frozen_by = 'backend'").execute().await.unwrap();
    let error = freeze::get(&db, party(), &ada).await.unwrap_err();
    assert!(!format!("{error:?}").contains("ada"), "{error:?}");
    assert!(living(&db, party(), &bound(0).device).await.unwrap().unwrap().user_frozen);
}

async fn a_proof_is_used_once_and_forgotten_when_it_is_old(db: Db) {
    let device = bound(0).device;
    let mut tx = db.begin().await.unwrap();
    for (jti, expected) in [("one", true), ("one", false), ("other", true)] {
        assert_eq!(used_proof::insert(&mut tx, &device, jti, NOW).await.unwrap(), expected, "{jti}");
    }
    tx.commit().await.unwrap();
    assert_eq!(used_proof::prune(&db, NOW).await.unwrap(), 0);
    assert_eq!(used_proof::prune(&db, NOW + Duration::from_secs(1)).await.unwrap(), 2);
}

async fn what_waits_for_its_code_is_found_oldest_first(db: Db) {
    insert_all(&db, &(0..5).map(bound).collect::<Vec<_>>()).await;
    let Ok(Change::Changed(active)) = bound(1).activate(NOW) else { panic!("it is inactive") };
    let Change::Changed(ended) = bound(2).deactivate(NOW) else { panic!("it lives") };
    let mut tx = db.begin().await.unwrap();
    for changed in [active, ended] {
        assert!(update(&mut tx, &changed).await.unwrap());
    }
    tx.commit().await.unwrap();
    let found = inactive_before(&db, party(), bound(4).created_at, 10).await.unwrap();
    assert_eq!(found.iter().map(|b| b.id).collect::<Vec<_>>(), [bound(0).id, bound(3).id]);
    assert_eq!(inactive_before(&db, party(), NOW + Duration::from_hours(1), 2).await.unwrap().len(), 2);
    assert_eq!(inactive_before(&db, RelyingPartyId::CONSOLE, NOW + Duration::from_hours(1), 2).await.unwrap(), []);
}

async fn who_vouches_is_kept_with_the_binding_and_by_which_nonce_with_the_device(db: Db) {
    let (old, new) = (bound(0), bound(1));
    let vouched = Binding { vouched_by: Some(old.device.clone()), ..new };
    insert_all(&db, &[old.clone(), vouched.clone()]).await;
    assert_eq!(get(&db, party(), vouched.id).await.unwrap().unwrap(), vouched);
    let mut tx = db.begin().await.unwrap();
    lock_device(&mut tx, party(), &old.device).await.unwrap();
    assert_eq!(challenged_at(&mut tx, party(), &old.device).await.unwrap(), None);
    note_challenge(&mut tx, party(), &old.device, NOW).await.unwrap();
    assert_eq!(challenged_at(&mut tx, party(), &old.device).await.unwrap(), Some(NOW));
    // Neither locking nor retiring the device loses that.
    assert!(!lock_device(&mut tx, party(), &old.device).await.unwrap());
    retire_device(&mut tx, party(), &old.device).await.unwrap();
    assert_eq!(challenged_at(&mut tx, party(), &old.device).await.unwrap(), Some(NOW));
    assert!(hold(&mut tx, &old).await.unwrap());
    let Ok(Change::Changed(newer)) = old.clone().activate(NOW) else { panic!("it is inactive") };
    assert!(!hold(&mut tx, &newer).await.unwrap(), "it is another version");
    tx.commit().await.unwrap();
    assert!(has_vouched(&db, party(), &old.device).await.unwrap());
    assert!(!has_vouched(&db, party(), &vouched.device).await.unwrap());
    assert!(!has_vouched(&db, RelyingPartyId::CONSOLE, &old.device).await.unwrap());
}

async fn users_are_found_by_how_they_begin_in_the_order_of_their_bytes_page_by_page(db: Db) {
    let names = ["Zoe", "ada", "ada@example.com", "adb", "zo\u{e9}", "\u{e9}mile", "100%", "1000"];
    let mut tx = db.begin().await.unwrap();
    for (n, name) in (0..).zip(names) {
        lock_user(&mut tx, party(), &user(name)).await.unwrap();
        insert(&mut tx, &Binding { user: user(name), ..bound(n) }).await.unwrap();
    }
    lock_user(&mut tx, RelyingPartyId::CONSOLE, &user("adam")).await.unwrap();
    lock_user(&mut tx, party(), &user("ada without a device")).await.unwrap();
    freeze::insert(&mut tx, party(), &user("adb"), &by_device()).await.unwrap();
    tx.commit().await.unwrap();
    let find = async |prefix: &str, size| {
        let (mut found, mut after) = (Vec::new(), String::new());
        loop {
            let page = users::list(&db, party(), prefix, &after, size).await.unwrap();
            assert!(i64::try_from(page.users.len()).unwrap() <= size);
            found.extend(page.users.iter().map(|user| (user.identifier.as_str().to_owned(), user.devices, user.freeze.is_some())));
            match page.last {
                Some(last) => after = last,
                None => return found,
            }
        }
    };
    let expected =
        |all: &[(&str, usize, bool)]| all.iter().map(|(name, devices, frozen)| ((*name).to_owned(), *devices, *frozen)).collect::<Vec<_>>();
    let ad = expected(&[("ada", 1, false), ("ada without a device", 0, false), ("ada@example.com", 1, false), ("adb", 1, true)]);
    for size in [1, 2, 4, 100] {
        assert_eq!(find("ad", size).await, ad, "{size}");
    }
    assert_eq!(
        find("", 3).await.iter().map(|(name, ..)| name.as_str()).collect::<Vec<_>>(),
        ["100%", "1000", "Zoe", "ada", "ada without a device", "ada@example.com", "adb", "zo\u{e9}", "\u{e9}mile"]
    );
    assert_eq!(find("100%", 3).await, expected(&[("100%", 1, false)]), "it is no pattern");
    assert!(find("nobody", 3).await.is_empty() && find("A", 3).await.is_empty());
    db.execute("UPDATE frozen_user SET frozen_by = 'nonsense'").execute().await.unwrap();
    assert_eq!(find("adb", 3).await, [], "how they are frozen cannot be read");
}

nodkey_testkit::on_both_engines! {
    |database| connect(database, 4) =>
    a_frozen_user_is_seen_with_every_binding_of_theirs_until_the_release,
    a_freeze_that_cannot_be_read_freezes_and_shows_nobody,
    a_proof_is_used_once_and_forgotten_when_it_is_old,
    what_waits_for_its_code_is_found_oldest_first,
    every_state_is_read_as_it_was_written_one_version_later,
    lists_find_their_own_newest_first_and_go_on_past_what_cannot_be_read,
    an_identifier_that_cannot_be_read_shows_nobody,
    who_vouches_is_kept_with_the_binding_and_by_which_nonce_with_the_device,
    users_are_found_by_how_they_begin_in_the_order_of_their_bytes_page_by_page,
}

/// Runs every statement once; the rows it writes are rolled back.
async fn exercise(db: &Db) {
    let (ada, device) = (user("ada"), bound(0).device);
    let mut tx = db.begin().await.unwrap();
    insert(&mut tx, &bound(0)).await.unwrap();
    let Ok(Change::Changed(active)) = bound(0).activate(NOW) else { panic!("it is inactive") };
    update(&mut tx, &active).await.unwrap();
    load(&mut tx, party(), active.id).await.unwrap();
    load_living(&mut tx, party(), &device).await.unwrap();
    load_of_user(&mut tx, party(), &ada).await.unwrap();
    lock_user(&mut tx, party(), &ada).await.unwrap();
    lock_device(&mut tx, party(), &device).await.unwrap();
    challenged_at(&mut tx, party(), &device).await.unwrap();
    note_challenge(&mut tx, party(), &device, NOW).await.unwrap();
    hold(&mut tx, &active).await.unwrap();
    retire_device(&mut tx, party(), &device).await.unwrap();
    insert_identifier(&mut tx, party(), &identifier("ada")).await.unwrap();
    load_identifier(&mut tx, party(), Scope::RelyingParty, &ada).await.unwrap();
    freeze::insert(&mut tx, party(), &ada, &by_device()).await.unwrap();
    freeze::load(&mut tx, party(), &ada).await.unwrap();
    freeze::delete(&mut tx, party(), &ada).await.unwrap();
    used_proof::insert(&mut tx, &device, "jti", NOW).await.unwrap();
    tx.rollback().await.unwrap();
    get(db, party(), active.id).await.unwrap();
    living(db, party(), &device).await.unwrap();
    has_vouched(db, party(), &device).await.unwrap();
    of_user(db, party(), &ada).await.unwrap();
    inactive_before(db, party(), NOW, 10).await.unwrap();
    freeze::get(db, party(), &ada).await.unwrap();
    users::list(db, party(), "user 1", "", 10).await.unwrap();
    used_proof::prune(db, NOW).await.unwrap();
    super::identifier(db, party(), Scope::RelyingParty, &ada).await.unwrap();
    identifiers_of(db, party(), Scope::RelyingParty, &identifier("ada").trusona_id).await.unwrap();
    for user in [None, Some(&ada)] {
        for state in [None, Some(StateName::Active)] {
            list(db, party(), &Listing { user, state, at: NOW, id: Uuid::max(), size: 10 }).await.unwrap();
        }
    }
}

async fn fill(db: &Db, count: u64) {
    let all: Vec<_> = (0..count).map(|n| Binding { user: user(&format!("user {}", n / 2)), ..bound(n) }).collect();
    insert_all(db, &all).await;
    let mut tx = db.begin().await.unwrap();
    for n in 0..count / 2 {
        let name = format!("user {n}");
        lock_user(&mut tx, party(), &user(&name)).await.unwrap();
        lock_device(&mut tx, party(), &bound(n).device).await.unwrap();
        insert_identifier(&mut tx, party(), &identifier(&name)).await.unwrap();
        freeze::insert(&mut tx, party(), &user(&name), &by_device()).await.unwrap();
        used_proof::insert(&mut tx, &bound(n).device, "jti", NOW + Duration::from_secs(n)).await.unwrap();
    }
    tx.commit().await.unwrap();
}

fn check(plans: &[Plan]) {
    let wrong = plans.iter().filter(|plan| {
        let by_id = !plan.statement.contains("WHERE id = ") || plan.says("binding_pkey") || plan.says("(id=?)");
        let living = !plan.statement.contains("device_id = $2 AND deactivated_at IS NULL") || plan.says("binding_living");
        plan.looks_through(&TABLES).is_some() || !by_id || !living
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
    assert!(statements.len() > 12, "{}", statements.len());
    check(&plans::at_every_size(&db, &TABLES, &statements, 2_000, async |count| fill(&db, count).await).await);
    let db = connect(&sqlite, 1).await;
    check(&plans::of_sqlite(&db, &statements).await);
}

#[test]
fn every_function_of_the_store_is_among_those_whose_plans_are_checked() {
    let exercised = include_str!("tests.rs");
    for name in plans::functions(Path::new("src/store.rs")) {
        assert!(exercised.contains(&format!("{name}(")), "{name}");
    }
    for name in plans::functions(Path::new("src/store/users.rs")) {
        assert!(exercised.contains(&format!("users::{name}(")), "{name}");
    }
    for name in plans::functions(Path::new("src/store/freeze.rs")) {
        assert!(exercised.contains(&format!("freeze::{name}(")), "{name}");
    }
}

async fn every_row_of_an_installation_is_read(db: Db) {
    let rows = db.query("SELECT id, relying_party_id, device_id, user_identifier FROM binding").fetch_all().await.unwrap();
    assert_eq!(rows.len(), 14);
    for row in &rows {
        let (id, party): (Uuid, Uuid) = (row.get("id").unwrap(), row.get("relying_party_id").unwrap());
        let party = RelyingPartyId::from_uuid(party);
        let found = get(&db, party, BindingId::from_uuid(id)).await.unwrap().unwrap();
        assert!(!found.user_frozen);
        let listing = Listing { user: Some(&found.user), state: None, at: NOW + Duration::from_hours(100_000), id: Uuid::max(), size: 100 };
        assert!(list(&db, party, &listing).await.unwrap().iter().any(|b| *b == found));
    }
    let rows = db.query("SELECT relying_party_id, integration_id, trusona_id FROM identifier").fetch_all().await.unwrap();
    assert_eq!(rows.len(), 4);
    for row in &rows {
        let party = RelyingPartyId::from_uuid(row.get("relying_party_id").unwrap());
        let integration: Uuid = row.get("integration_id").unwrap();
        let scope = if integration.is_nil() { Scope::RelyingParty } else { Scope::Integration(integration) };
        let trusona_id = TrusonaId::parse(&row.get::<String>("trusona_id").unwrap()).unwrap();
        assert!(!identifiers_of(&db, party, scope, &trusona_id).await.unwrap().is_empty());
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_row_of_an_installation_on_sqlite_is_read() {
    let kept = TestDatabase::sqlite_of("binding");
    every_row_of_an_installation_is_read(connect(&kept, 4).await).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_row_of_an_installation_on_postgres_is_read() {
    let kept = TestDatabase::postgres_of("binding").await;
    every_row_of_an_installation_is_read(connect(&kept, 4).await).await;
}
