//! No statement scans a table that grows: not on a full one, and not with a plan that was made while it was empty.

use std::{collections::BTreeSet, path::Path};

use nodkey_db::{
    idempotency::{Kept, RequestKey},
    retention::Window,
};
use nodkey_runtime::page::Cursor;
use nodkey_testkit::plans::{self, Plan};
use uuid::Uuid;

use super::{super::*, *};
use crate::domain::{Budget, Status};

const TABLES: [&str; 4] = ["trusonafication", "trucode", "prompt_budget", "prompt_hold"];

/// Runs every statement once; the rows it writes are rolled back.
async fn exercise(db: &Db) {
    let (t, now) = (asked(0, user()), NOW + Duration::from_hours(1));
    for target in [user(), Target::Device(device(0)), Target::TruCode(code().id)] {
        first_end(db, party(), &target, NOW).await.unwrap();
    }
    let mut tx = db.begin().await.unwrap();
    for target in [user(), Target::Device(device(0)), Target::TruCode(code().id)] {
        put(&mut tx, &asked(1, target), "challenge", 0).await.unwrap();
    }
    put(&mut tx, &t, "challenge", 20).await.unwrap();
    let key = RequestKey { relying_party: party(), operation: "create", request_id: "r", request_hash: [0; 32] };
    let response = Kept { key, response: Vec::new(), now: NOW };
    let repeatable =
        New { t: &asked(3, user()), challenge: "challenge", max: 20, event: &event(&t), response: Some(&response), mark: None };
    insert(&mut tx, &repeatable).await.unwrap();
    repeatable.insert_one_by_one(&mut tx).await.unwrap();
    let canceled = Trusonafication { state: State::Canceled, version: 2, ..t.clone() };
    update(&mut tx, &canceled, &receipt_of(&canceled, None)).await.unwrap();
    challenge(&mut tx, party(), t.id).await.unwrap();
    let answered = match asked(0, user()).respond(Uuid::nil(), &answer(0, Decision::Accept), NOW) {
        Ok(crate::domain::Change::Changed(answered)) => answered,
        other => panic!("{other:?}"),
    };
    let by = answer(0, Decision::Accept);
    let receipt = receipt_of(&answered, Some(&by));
    let answered = Answered { t: &answered, answer: &by, response: "response", receipt: &receipt, event: &event(&t) };
    update_answered(&mut tx, &answered).await.unwrap();
    assign(&mut tx, party(), code().id, &device(0), NOW).await.unwrap();
    for owner in [Of::User("ada", &[]), Of::Device(&device(0))] {
        in_progress(&mut tx, party(), owner, None, 10).await.unwrap();
    }
    insert_trucode(&mut tx, &code()).await.unwrap();
    pair_trucode(&mut tx, &TruCode { identifier: Some("x".into()), version: 2, ..code() }, NOW).await.unwrap();
    lock_trucode(&mut tx, party(), code().id).await.unwrap();
    spend_pairing(&mut tx, code().id).await.unwrap();
    count_wrong_number(&mut tx, &TruCode { wrong_numbers: 1, ..code() }).await.unwrap();
    lock_budget(&mut tx, party(), "ada", Uuid::nil(), NOW).await.unwrap();
    write_budget(&mut tx, party(), "ada", Budget { strikes: 1, wrong_numbers: 0, struck_at: Some(NOW) }).await.unwrap();
    forgive(&mut tx, party(), "ada").await.unwrap();
    waiting_for(&mut tx, party(), "ada").await.unwrap();
    let one = Hold { context: "session".into(), trusonafication: t.id, held_at: NOW, held_until: NOW };
    hold(&mut tx, party(), "ada", &one, Uuid::nil()).await.unwrap();
    waiting_and_held(&mut tx, party(), "ada", "session").await.unwrap();
    holds(&mut tx, party(), "ada", NOW).await.unwrap();
    release(&mut tx, party(), "ada", "session").await.unwrap();
    get_in(&mut tx, party(), t.id).await.unwrap();
    budget_of(&mut tx, party(), "ada").await.unwrap();
    put(&mut tx, &Trusonafication { way: Way::Counted, ..asked(2, user()) }, "challenge", 0).await.unwrap();
    tx.rollback().await.unwrap();
    if db.is_postgres() {
        let mut tx = db.begin().await.unwrap();
        lock_budget(&mut tx, party(), "bob", Uuid::from_u128(7), NOW).await.unwrap();
        tx.commit().await.unwrap();
        let mark = look(db, party(), "bob", "session", NOW).await.unwrap().unwrap().mark;
        let counted = Trusonafication { way: Way::Counted, ..asked(4, user()) };
        let mut tx = db.begin().await.unwrap();
        // Executed alone it would stay.
        get_in(&mut tx, party(), t.id).await.unwrap();
        let marked = New { t: &counted, challenge: "challenge", max: 20, event: &event(&t), response: None, mark: Some(&mark) };
        assert!(insert(&mut tx, &marked).await.unwrap());
        tx.rollback().await.unwrap();
    }
    get(db, party(), t.id).await.unwrap();
    get_answerable(db, party(), t.id).await.unwrap();
    get_with_receipt(db, party(), t.id).await.unwrap();
    proof(db, party(), t.id).await.unwrap();
    pending(db, party(), &device(0), "ada", NOW, 20).await.unwrap();
    next_expiry(db, now, None).await.unwrap();
    overdue(db, now, None, 10).await.unwrap();
    changes(db, &Cursor { at: NOW, id: Uuid::nil().to_string() }, 10).await.unwrap();
    settled_trucodes(db, &Cursor { at: NOW, id: Uuid::nil().to_string() }, 10).await.unwrap();
    count_open(db, party(), 10).await.unwrap();
    count(db, party(), (NOW, NOW), 10, NOW).await.unwrap();
    retention::delete(db, party(), "expired", Window { from: NOW, before: NOW }).await.unwrap();
    retention::delete_trucodes(db, NOW).await.unwrap();
    trucode_by_id(db, code().id).await.unwrap();
    trucode_by_reference(db, "reference").await.unwrap();
    unspent_pairing(db, party(), &device(0), NOW).await.unwrap();
    delete_budgets(db, NOW, Duration::ZERO).await.unwrap();
    delete_holds(db, NOW).await.unwrap();
}

async fn exercise_lists(db: &Db, from: Option<Timestamp>) {
    for status in [None, Some(Status::InProgress), Some(Status::Expired), Some(Status::Rejected)] {
        for (user, device) in [(None, None), (Some("ada"), None), (None, Some("d")), (Some("ada"), Some("d"))] {
            let listing = Listing { status, user, device, from, ..Listing::newest(10) };
            list(db, party(), &listing, NOW).await.unwrap();
            heads(db, party(), &listing, NOW).await.unwrap();
            let oldest = Listing { from: None, until: from, at: NOW, id: Uuid::nil(), oldest_first: true, ..listing };
            list(db, party(), &oldest, NOW).await.unwrap();
        }
    }
}

/// Two pages of custom fields: each number of placeholders is its own SQL text.
async fn exercise_custom_fields(db: &Db) {
    insert_all(db, &(0..12).map(|n| with_fields(asked(n, Target::User("eve".into())), 100)).collect::<Vec<_>>()).await;
    for size in [5, 12] {
        assert_eq!(list(db, party(), &Listing::newest(size), NOW).await.unwrap().iter().count(), usize::try_from(size).unwrap());
    }
}

/// Inserts `count` ended trusonafications, and a tenth as many in progress.
async fn fill(db: &Db, count: u64) {
    let ended = |t: Trusonafication| Trusonafication { state: State::Canceled, version: 2, ..t };
    let owner = |n: u64| Target::User(format!("user {}", n % 100));
    let mut rows: Vec<_> = (0..count).map(|n| ended(asked(n, owner(n)))).collect();
    rows.extend((count..count + count / 10).map(|n| asked(n, if n % 2 == 0 { owner(n) } else { Target::Device(device((n % 20) as u8)) })));
    insert_all(db, &rows).await;
    let mut tx = db.begin().await.unwrap();
    for n in 0..count {
        let id = TruCodeId::generate(NOW, &Random::seeded(n));
        let expires_at = NOW + Duration::from_secs(n);
        let code = TruCode { id, reference: n.to_string(), expires_at, ..code() };
        insert_trucode(&mut tx, &code).await.unwrap();
        if n % 2 == 0 {
            let paired = TruCode { identifier: Some("x".into()), version: 2, ..code };
            assert!(pair_trucode(&mut tx, &paired, NOW + Duration::from_secs(n)).await.unwrap());
        }
    }
    for n in 0..count {
        let (user, id, at) = (format!("user {n}"), Uuid::from_u128(n.into()), NOW + Duration::from_hours(24 * n));
        lock_budget(&mut tx, party(), &user, id, at).await.unwrap();
        let trusonafication = TrusonaficationId::from_uuid(id);
        let one = Hold { context: "session".into(), trusonafication, held_at: at, held_until: at };
        hold(&mut tx, party(), &user, &one, id).await.unwrap();
    }
    tx.commit().await.unwrap();
}

/// Queries that use an index of their own, whatever the table contains.
const BY: [(&str, &[&str]); 12] = [
    ("SELECT COUNT(*) FROM trusonafication WHERE user_identifier", &["waiting_for_user"]),
    ("SELECT COUNT(*) FROM trusonafication WHERE device_id", &["waiting_for_device"]),
    ("SELECT MIN(expires_at) AS ends_at FROM trusonafication WHERE user_identifier", &["waiting_for_user"]),
    ("SELECT MIN(expires_at) AS ends_at FROM trusonafication WHERE device_id", &["waiting_for_device"]),
    ("UNION ALL", &["waiting_for_device", "waiting_for_user"]),
    ("UPDATE trusonafication SET device_id", &["waiting_for_trucode"]),
    ("(expires_at, id) >", &["trusonafication_expiring"]),
    ("(paired_at, id) >", &["trucode_paired"]),
    ("SELECT id, context, created_at", &["waiting_for_user"]),
    ("FROM trucode WHERE identifier", &["trucode_of_device"]),
    ("WHERE used_on <", &["prompt_budget_old"]),
    ("WHERE held_until <", &["prompt_hold_over"]),
];

fn check(plans: &[Plan]) {
    let wrong = plans.iter().filter(|plan| {
        // A query by id uses the primary key.
        let by_id = !plan.statement.contains("WHERE id = ") || plan.says("_pkey") || plan.says("(id=?)");
        let by_index = BY.iter().all(|(what, indexes)| !plan.statement.contains(what) || indexes.iter().all(|index| plan.says(index)));
        plan.looks_through(&TABLES).is_some() || !by_id || !by_index
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
    for from in [None, Some(NOW)] {
        exercise_lists(&db, from).await;
        plans::collect(&db, &TABLES, &mut statements).await;
    }
    exercise_custom_fields(&db).await;
    plans::collect(&db, &TABLES, &mut statements).await;
    assert!(statements.len() >= 60, "{}", statements.len());
    check(&plans::at_every_size(&db, &TABLES, &statements, 3_000, async |count| fill(&db, count).await).await);
    // Those that write to several tables, and those that read the version of a row, are PostgreSQL's alone.
    statements.retain(|statement| !statement.text.starts_with("WITH ") && !statement.text.contains("xmin"));
    let db = connect(&sqlite, 1).await;
    check(&plans::of_sqlite(&db, &statements).await);
    fill(&db, 3_000).await;
    check(&plans::of_sqlite(&db, &statements).await);
}

#[test]
fn every_function_of_the_store_is_among_those_whose_plans_are_checked() {
    let exercised = include_str!("plans.rs");
    let renamed = include_str!("../mod.rs");
    for name in plans::functions(Path::new("src/store")) {
        let called = |name: &str| exercised.contains(&format!("{name}("));
        let alias = renamed.split(['{', ',', '}']).find_map(|item| item.trim().strip_prefix(&format!("{name} as ")));
        assert!(called(&name) || alias.is_some_and(called), "{name}");
    }
}
