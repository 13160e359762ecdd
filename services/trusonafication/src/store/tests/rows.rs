//! What is written is what is read, and an unreadable row is named and does not affect others.

use nodkey_db::DbError;

use super::{super::*, *};
use crate::domain::{Change, Grade, MatchMode, NumberMatch, Reason};

/// One trusonafication in each state that transitions lead to.
fn of_each_state() -> Vec<Trusonafication> {
    let by = |t: Trusonafication, answer: &Answer| match t.respond(uuid::Uuid::from_u128(1), answer, NOW) {
        Ok(Change::Changed(t)) => t,
        other => panic!("{other:?}"),
    };
    let ended = |t: Trusonafication| if let Ok(Change::Changed(t)) = t.cancel(NOW) { t } else { panic!("it is in progress") };
    let expired = |t: Trusonafication| if let Change::Changed(t) = t.expire(NOW + Duration::from_hours(1)) { t } else { panic!("late") };
    let low = Answer { proven: Level::Possession, keys: answer(0, Decision::Accept).keys[..1].to_vec(), ..answer(0, Decision::Accept) };
    let mut numbered = asked(6, user());
    numbered.ask.number_match = Some(NumberMatch { mode: MatchMode::Enter, number: "42".into() });
    let mut paired = asked(8, Target::TruCode(code().id));
    paired.device = Some(device(3));
    paired.bindings = Some(vec![BindingId::generate(NOW, &Random::seeded(1))]);
    vec![
        asked(0, user()),
        asked(1, Target::TruCode(code().id)),
        by(asked(2, Target::Device(device(1))), &answer(1, Decision::Accept)),
        by(asked(3, user()), &Answer { proven: Level::Executive, ..answer(0, Decision::Accept) }),
        by(asked(4, user()), &low),
        by(asked(5, user()), &Answer { reason: Some(Reason::NotMe), ..answer(2, Decision::Reject) }),
        by(numbered, &Answer { number: Some("43".into()), ..answer(0, Decision::Accept) }),
        by(asked(7, user()), &answer(2, Decision::Reject)),
        by(paired, &answer(3, Decision::Accept)),
        ended(with_fields(asked(9, user()), 100)),
        expired(asked(10, Target::Device(device(1)))),
    ]
}

fn keys_of(t: &Trusonafication) -> Answer {
    let mut answer = answer(0, Decision::Accept);
    if matches!(t.state, State::Accepted { grade: Grade::Lower, .. }) {
        answer.keys.truncate(1);
    }
    answer
}

async fn every_state_is_read_as_it_was_written_one_version_later(db: Db) {
    for after in of_each_state() {
        let mut before = Trusonafication { state: State::InProgress, version: 1, updated_at: after.created_at, ..after.clone() };
        if let (State::Accepted { .. } | State::Rejected { .. }, Target::User(_)) = (&after.state, &after.ask.target) {
            before.device = None;
        }
        insert_all(&db, std::slice::from_ref(&before)).await;
        let read = get(&db, party(), before.id).await.unwrap().unwrap();
        assert_eq!(read, before);
        if !after.is_terminal() {
            continue;
        }
        let mut tx = db.begin().await.unwrap();
        let written = match &after.state {
            State::Accepted { .. } | State::Rejected { .. } => {
                let answer = keys_of(&after);
                put_answer(&mut tx, &after, &answer, "a.response", &receipt_of(&after, Some(&answer))).await
            }
            _ => update(&mut tx, &after, &receipt_of(&after, None)).await,
        };
        assert!(written.unwrap());
        assert_eq!(challenge(&mut tx, party(), after.id).await.unwrap(), "the.issued.challenge");
        assert!(!update(&mut tx, &after, &receipt_of(&after, None)).await.unwrap(), "another was first");
        tx.commit().await.unwrap();
        let now = get(&db, party(), after.id).await.unwrap().unwrap();
        assert_eq!((now.version, &now), (read.version + 1, &after));
        let answered = matches!(after.state, State::Accepted { .. } | State::Rejected { .. });
        let (again, kept) = get_with_receipt(&db, party(), after.id).await.unwrap().unwrap();
        assert_eq!(again, after);
        let proof = proof(&db, party(), after.id).await.unwrap();
        assert_eq!(proof.is_some(), answered);
        if let Some(proof) = proof {
            assert_eq!((proof.receipt, proof.stated), (kept, keys_of(&after).stated));
        }
    }
    assert_eq!(get(&db, RelyingPartyId::CONSOLE, asked(0, user()).id).await.unwrap(), None, "it is another's");
}

/// Values that are never written, the column that the error names, and what the row would be mistaken for.
const SPOILED: [(&str, &str); 10] = [
    ("status", "UPDATE trusonafication SET status = 'finished'"),
    ("target", "UPDATE trusonafication SET target = 'everybody'"),
    ("number_match", "UPDATE trusonafication SET number_match = 'guess', match_number = '42'"),
    ("match_number", "UPDATE trusonafication SET number_match = 'enter', match_number = NULL"),
    ("desired_level", "UPDATE trusonafication SET desired_level = 4"),
    ("told", "UPDATE trusonafication SET told = 'nobody'"),
    ("bindings", "UPDATE trusonafication SET bindings = 'none'"),
    ("user_identifier", "UPDATE trusonafication SET user_identifier = NULL"),
    ("version", "UPDATE trusonafication SET version = 3"),
    ("result_id", "UPDATE trusonafication SET decision = 'accept'"),
];

async fn one_that_cannot_be_read_is_named_with_table_column_and_row(db: Db) {
    let t = asked(0, user());
    for (column, spoiling) in SPOILED {
        insert_all(&db, std::slice::from_ref(&t)).await;
        spoil(&db, spoiling).await;
        let error = get(&db, party(), t.id).await.unwrap_err();
        assert_eq!(error.to_string(), format!("trusonafication.{column} of row {} is inconsistent", t.id));
        assert!(matches!(error, DbError::Inconsistent { .. }));
        assert!(!format!("{error:?}").contains("ada"), "it does not show who");
        spoil(&db, "DELETE FROM trusonafication").await;
    }
}

async fn an_answer_that_contradicts_what_was_asked_is_neither_read_nor_written(db: Db) {
    let answered = of_each_state().remove(2);
    let before = Trusonafication { state: State::InProgress, version: 1, ..answered.clone() };
    insert_all(&db, std::slice::from_ref(&before)).await;
    let State::Accepted { outcome, level, .. } = answered.state.clone() else { panic!("it is accepted") };
    let mut stranger = outcome.clone();
    stranger.device = device(9);
    let mut tx = db.begin().await.unwrap();
    for (column, wrong, keys) in [
        ("answered_by", State::Accepted { outcome: stranger, level, grade: Grade::AtLevel }, 2),
        ("status", State::Accepted { outcome: outcome.clone(), level, grade: Grade::Higher }, 2),
        ("keys", State::Accepted { outcome: outcome.clone(), level, grade: Grade::AtLevel }, 1),
        ("decision", State::Rejected { outcome, reason: None }, 2),
    ] {
        let wrong = Trusonafication { state: wrong, ..answered.clone() };
        let mut by = answer(1, Decision::Accept);
        by.keys.truncate(keys);
        let refused = put_answer(&mut tx, &wrong, &by, "a.response", &receipt_of(&wrong, Some(&by))).await.unwrap_err();
        let nodkey_runtime::Failure::Db(DbError::Inconsistent { column: named, .. }) = refused else { panic!("{refused:?}") };
        assert_eq!(named, column);
    }
    let by = answer(1, Decision::Accept);
    let canceled = receipt_of(&Trusonafication { state: State::Canceled, ..answered.clone() }, None);
    for no_receipt in ["", "a.receipt", &canceled, &receipt_of(&of_each_state()[3], Some(&by))] {
        let refused = put_answer(&mut tx, &answered, &by, "a.response", no_receipt).await.unwrap_err();
        let nodkey_runtime::Failure::Db(DbError::Inconsistent { column, .. }) = refused else { panic!("{refused:?}") };
        assert_eq!(column, "receipt");
    }
    assert!(put_answer(&mut tx, &answered, &by, "a.response", &receipt_of(&answered, Some(&by))).await.unwrap());
    tx.commit().await.unwrap();
    assert!(proof(&db, party(), answered.id).await.unwrap().unwrap().receipt.is_some());
    spoil(&db, "UPDATE trusonafication SET response = 'another.response'").await;
    let error = proof(&db, party(), answered.id).await.unwrap_err();
    assert_eq!(error.to_string(), format!("trusonafication.receipt of row {} is inconsistent", answered.id));
    // Answered before receipts existed.
    spoil(&db, "UPDATE trusonafication SET receipt = NULL").await;
    assert_eq!(proof(&db, party(), answered.id).await.unwrap().unwrap().receipt, None);
    spoil(&db, "UPDATE trusonafication SET answered_by = 'zzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzz'").await;
    assert!(get(&db, party(), answered.id).await.is_err());
    spoil(&db, "UPDATE trusonafication SET keys = '[{}]'").await;
    assert!(proof(&db, party(), answered.id).await.is_err());
}

async fn rows_that_cannot_be_read_take_no_list_and_no_sweep_with_them(db: Db) {
    let rows: Vec<_> = (0..30).map(|n| asked(n, user())).collect();
    insert_all(&db, &rows).await;
    // The ten that expire first, and one among the others.
    spoil(&db, "UPDATE trusonafication SET told = '!' WHERE id IN (SELECT id FROM trusonafication ORDER BY created_at LIMIT 10)").await;
    spoil(&db, "UPDATE trusonafication SET status = 'in_progress', target = '?' WHERE id IN (SELECT id FROM trusonafication ORDER BY created_at DESC LIMIT 1)").await;
    let good = 19;
    let late = NOW + Duration::from_hours(1);
    let (mut after, mut swept) = (None, 0);
    loop {
        let page = overdue(&db, late, after.as_ref(), 4).await.unwrap();
        (after, swept) = (page.last().cloned(), swept + page.iter().count());
        assert!(page.last_unreadable().is_none_or(|place| page.last().is_some_and(|last| place.at <= last.at)));
        if !page.has_next() {
            break;
        }
    }
    assert_eq!(swept, good);
    let (mut listing, mut listed) = (Listing::newest(4), 0);
    loop {
        let page = list(&db, party(), &listing, NOW).await.unwrap();
        listed += page.iter().count();
        let Some(last) = page.last().filter(|_| page.has_next()) else { break };
        (listing.at, listing.id) = (last.at, last.id.parse().unwrap());
    }
    assert_eq!(listed, good);
    let (mut after, mut ended, mut tx) = (None, 0, db.begin().await.unwrap());
    loop {
        let page = in_progress(&mut tx, party(), Of::User("ada", &[]), after.as_ref(), 4).await.unwrap();
        (after, ended) = (page.last().cloned(), ended + page.iter().count());
        if !page.has_next() {
            break;
        }
    }
    assert_eq!(ended, good);
}

async fn what_comes_with_an_expiry_before_those_that_were_ended_is_found_by_the_next_look(db: Db) {
    let late = NOW + Duration::from_hours(1);
    insert_all(&db, &[asked(5, user()), asked(6, user())]).await;
    let page = overdue(&db, late, None, 10).await.unwrap();
    assert_eq!((page.iter().count(), page.last_unreadable()), (2, None));
    spoil(&db, "UPDATE trusonafication SET status = 'canceled'").await;
    insert_all(&db, &[asked(1, user())]).await;
    assert_eq!(overdue(&db, late, page.last_unreadable(), 10).await.unwrap().iter().count(), 1);
    // However long ago: the zero time of some languages is in the year 1.
    let mut of_long_ago = asked(2, user());
    of_long_ago.ask.expires_at = Timestamp::from_seconds(-62_135_596_800);
    insert_all(&db, &[of_long_ago]).await;
    assert_eq!(overdue(&db, late, None, 10).await.unwrap().iter().count(), 2);
}

async fn codes_are_paired_once_and_read_as_they_were_written(db: Db) {
    let mut tx = db.begin().await.unwrap();
    insert_trucode(&mut tx, &code()).await.unwrap();
    let unpaired = lock_trucode(&mut tx, party(), code().id).await.unwrap().unwrap();
    assert_eq!((unpaired.identifier, unpaired.asked), (None, 1));
    let paired = TruCode { identifier: Some(device(1).to_string()), asked: 1, version: 3, ..code() };
    assert!(pair_trucode(&mut tx, &paired, NOW).await.unwrap());
    assert!(!pair_trucode(&mut tx, &paired, NOW).await.unwrap());
    assert_eq!(lock_trucode(&mut tx, RelyingPartyId::CONSOLE, code().id).await.unwrap(), None, "it is another's");
    tx.commit().await.unwrap();
    assert_eq!(trucode_by_id(&db, code().id).await.unwrap().as_ref(), Some(&paired));
    assert_eq!(trucode_by_reference(&db, "reference").await.unwrap(), Some(paired));
    // One prompt by name per recent pairing, and only of this relying party; none once there was one for the code.
    assert_eq!(unspent_pairing(&db, party(), &device(1), NOW - Duration::from_secs(1)).await.unwrap(), None);
    spoil(&db, "UPDATE trucode SET asked = 0").await;
    let (second, other) = (Duration::from_secs(1), RelyingPartyId::CONSOLE);
    let before = NOW - second;
    for (party, device, since, found) in [
        (party(), device(1), before, true),
        (party(), device(2), before, false),
        (party(), device(1), NOW, false),
        (other, device(1), before, false),
    ] {
        assert_eq!(unspent_pairing(&db, party, &device, since).await.unwrap().is_some(), found, "{device} {since}");
    }
    let mut tx = db.begin().await.unwrap();
    assert!(spend_pairing(&mut tx, code().id).await.unwrap());
    assert!(!spend_pairing(&mut tx, code().id).await.unwrap());
    tx.commit().await.unwrap();
    assert_eq!(unspent_pairing(&db, party(), &device(1), before).await.unwrap(), None);
    spoil(&db, "UPDATE trucode SET version = 1").await;
    let error = trucode_by_id(&db, code().id).await.unwrap_err();
    let nodkey_runtime::Failure::Db(error) = error else { panic!("{error:?}") };
    assert_eq!(error.to_string(), format!("trucode.version of row {} is inconsistent", code().id));
}

nodkey_testkit::on_both_engines! {
    |database| connect(database, 4) =>
    every_state_is_read_as_it_was_written_one_version_later,
    one_that_cannot_be_read_is_named_with_table_column_and_row,
    an_answer_that_contradicts_what_was_asked_is_neither_read_nor_written,
    rows_that_cannot_be_read_take_no_list_and_no_sweep_with_them,
    what_comes_with_an_expiry_before_those_that_were_ended_is_found_by_the_next_look,
    codes_are_paired_once_and_read_as_they_were_written,
}
