//! Lists: what belongs in them, and how much of it is read at once.

use nodkey_runtime::page::Cursor;

use super::{super::*, *};
use crate::domain::Status;

async fn ids(db: &Db, listing: Listing<'_>, now: Timestamp) -> Vec<TrusonaficationId> {
    list(db, party(), &listing, now).await.unwrap().iter().map(|t| t.id).collect()
}

async fn each_filter_finds_its_own_newest_first(db: Db) {
    let mut rows = vec![asked(0, user()), asked(1, Target::Device(device(1))), asked(2, user()), asked(3, Target::User("bob".into()))];
    rows[2].state = State::Canceled;
    rows[2].version = 2;
    rows[3].state = State::Expired;
    rows[3].version = 2;
    insert_all(&db, &rows).await;
    let all = Listing::newest(10);
    let oldest = Listing { at: Timestamp::from_seconds(0), id: uuid::Uuid::nil(), oldest_first: true, ..all };
    let only = |status| Listing { status: Some(status), ..all };
    let overdue = NOW + Duration::from_secs(61);
    for (listing, now, expected) in [
        (all, NOW, vec![3, 2, 1, 0]),
        (only(Status::InProgress), NOW, vec![1, 0]),
        (only(Status::InProgress), overdue, vec![]),
        (only(Status::Expired), NOW, vec![3]),
        (only(Status::Expired), overdue, vec![3, 1, 0]),
        (Listing { size: 2, ..only(Status::Expired) }, overdue, vec![3, 1]),
        (only(Status::Canceled), NOW, vec![2]),
        (Listing { user: Some("ada"), ..all }, NOW, vec![2, 0]),
        (Listing { user: Some("ada"), ..only(Status::Expired) }, NOW, vec![]),
        (Listing { user: Some("ada"), ..only(Status::Expired) }, NOW + Duration::from_mins(1), vec![0]),
        (Listing { device: Some(device(1).as_str()), ..all }, NOW, vec![1]),
        (Listing { user: Some("ada"), device: Some(device(1).as_str()), ..all }, NOW, vec![]),
        (Listing { from: Some(NOW + Duration::from_secs(2)), ..all }, NOW, vec![3, 2]),
        (Listing { at: NOW + Duration::from_secs(2), id: uuid::Uuid::nil(), ..all }, NOW, vec![1, 0]),
        (oldest, NOW, vec![0, 1, 2, 3]),
        (Listing { until: Some(NOW + Duration::from_secs(2)), ..oldest }, NOW, vec![0, 1]),
        (Listing { at: NOW + Duration::from_secs(1), id: uuid::Uuid::max(), ..oldest }, NOW, vec![2, 3]),
        (Listing { status: Some(Status::Expired), ..oldest }, overdue, vec![0, 1, 3]),
    ] {
        let expected: Vec<_> = expected.into_iter().map(|n: usize| rows[n].id).collect();
        assert_eq!(ids(&db, listing, now).await, expected, "{listing:?}");
    }
    let heads = heads(&db, party(), &all, overdue).await.unwrap();
    let versions: Vec<_> = heads.iter().map(|head| head.version).collect();
    assert_eq!(versions, [2, 2, 2, 2], "what is overdue has its next version already");
}

async fn they_are_counted_by_status_as_it_is_seen_the_newest_first_as_far_as_is_wanted(db: Db) {
    let mut rows = vec![asked(0, user()), asked(1, user()), asked(2, user()), asked(3, user())];
    (rows[2].state, rows[2].version) = (State::Canceled, 2);
    insert_all(&db, &rows).await;
    let after = |seconds| NOW + Duration::from_secs(seconds);
    let counted = async |from, until, limit, now| {
        let mut counted = count(&db, party(), (from, until), limit, now).await.unwrap();
        counted.sort_by_key(|(status, _)| status.as_str());
        counted
    };
    let (waiting, overdue) = (NOW, after(61));
    assert_eq!(counted(NOW, after(10), 10, waiting).await, [(Status::Canceled, 1), (Status::InProgress, 3)]);
    assert_eq!(counted(NOW, after(10), 10, overdue).await, [(Status::Canceled, 1), (Status::Expired, 2), (Status::InProgress, 1)]);
    assert_eq!(counted(after(1), after(3), 10, waiting).await, [(Status::Canceled, 1), (Status::InProgress, 1)]);
    assert_eq!(counted(NOW, after(10), 1, waiting).await, [(Status::InProgress, 1)], "the newest one");
    assert_eq!(counted(after(4), after(10), 10, waiting).await, []);
}

async fn a_page_of_large_custom_fields_reads_two_mebibytes_of_them_and_the_next_goes_on(db: Db) {
    let (count, mebibyte) = (120, 1 << 20);
    let rows: Vec<_> = (0..count).map(|n| with_fields(asked(n, user()), if n == 119 { 3 * mebibyte } else { mebibyte })).collect();
    insert_all(&db, &rows).await;
    let (mut listing, mut pages, mut seen) = (Listing::newest(120), 0, 0);
    loop {
        let page = list(&db, party(), &listing, NOW).await.unwrap();
        let fields: Vec<_> = page.iter().map(|t| t.ask.custom_fields.as_ref().unwrap().len()).collect();
        assert!(fields.len() == 1 || fields.iter().sum::<usize>() <= MAX_BYTES, "{fields:?}");
        (pages, seen) = (pages + 1, seen + fields.len());
        let Some(last) = page.last().filter(|_| page.has_next()) else { break };
        (listing.at, listing.id) = (last.at, last.id.parse().unwrap());
    }
    assert_eq!((pages, seen), (61, 120), "the one of three alone, then two by two, and one is left");
    let late = NOW + Duration::from_hours(1);
    assert_eq!(overdue(&db, late, None, 50).await.unwrap().iter().count(), 2);
    let mut tx = db.begin().await.unwrap();
    assert_eq!(in_progress(&mut tx, party(), Of::User("ada", &[]), None, 50).await.unwrap().iter().count(), 2);
}

async fn a_phone_is_given_as_many_challenges_as_fit_the_oldest_first(db: Db) {
    let rows = [asked(2, user()), asked(0, Target::Device(device(1))), asked(1, user()), asked(3, Target::Device(device(2)))];
    let mut answered = asked(4, user());
    (answered.state, answered.version) = (State::Canceled, 2);
    insert_all(&db, &rows).await;
    insert_all(&db, &[answered]).await;
    let now = async |limit, device| -> Vec<TrusonaficationId> {
        let pending = pending(&db, party(), &device, "ada", NOW, limit).await.unwrap();
        pending.iter().map(|p| p.id).collect()
    };
    assert_eq!(now(10, device(1)).await, [rows[1].id, rows[2].id, rows[0].id]);
    assert_eq!(now(2, device(1)).await, [rows[1].id, rows[2].id]);
    assert_eq!(now(10, device(0)).await, [rows[2].id, rows[0].id]);
    let later = NOW + Duration::from_secs(61);
    assert_eq!(pending(&db, party(), &device(1), "ada", later, 10).await.unwrap().len(), 1, "two are overdue");
    let large = "c".repeat(900_000);
    db.execute("UPDATE trusonafication SET challenge = $1").bind(large.as_str()).execute().await.unwrap();
    assert_eq!(now(10, device(1)).await, [rows[1].id, rows[2].id]);
    let larger = "c".repeat(MAX_BYTES + 1);
    db.execute("UPDATE trusonafication SET challenge = $1").bind(larger.as_str()).execute().await.unwrap();
    assert_eq!(now(10, device(1)).await, [rows[1].id], "else it would never be answered");
}

async fn no_more_wait_for_a_user_or_a_device_than_may(db: Db) {
    let rows = [asked(0, user()), asked(1, user()), asked(2, Target::Device(device(1))), asked(3, Target::Device(device(2)))];
    insert_all(&db, &rows).await;
    let mut tx = db.begin().await.unwrap();
    let mut taken = async |n: u64, target, max| put(&mut tx, &asked(n, target), "challenge", max).await.unwrap();
    assert!(!taken(4, user(), 2).await);
    assert!(taken(4, user(), 3).await);
    assert!(!taken(5, Target::Device(device(1)), 1).await, "what waits for its user does not count, nor does another device's");
    assert!(taken(5, Target::Device(device(1)), 2).await);
    assert!(taken(6, Target::User("eve".into()), 1).await);
    let later = Trusonafication { created_at: NOW + Duration::from_secs(61), ..asked(7, user()) };
    assert!(put(&mut tx, &later, "challenge", 2).await.unwrap(), "of three, two are overdue");
}

async fn what_was_created_assigned_or_ended_since_is_found_whosever_it_is(db: Db) {
    let code = code();
    let rows = [asked(0, user()), asked(1, Target::Device(device(1))), asked(2, Target::TruCode(code.id))];
    insert_all(&db, &rows).await;
    let since = |seconds| Cursor { at: NOW + Duration::from_secs(seconds), id: Uuid::nil().to_string() };
    let found = async |after, size| {
        let page = changes(&db, &after, size).await.unwrap();
        let more = page.has_next();
        (page.into_rows().into_iter().map(|c| (c.id, c.ended, c.devices)).collect::<Vec<_>>(), more)
    };
    let of = |n: usize, ended| (rows[n].id, ended, vec![device(0)]);
    assert_eq!(found(since(0), 10).await, (vec![of(0, false), of(1, false), of(2, false)], false));
    assert_eq!(found(since(1), 1).await, (vec![of(1, false)], true));
    assert_eq!(found(since(3), 10).await, (vec![], false));
    let mut tx = db.begin().await.unwrap();
    let canceled = Trusonafication { state: State::Canceled, version: 2, updated_at: NOW + Duration::from_secs(8), ..rows[0].clone() };
    assert!(update(&mut tx, &canceled, &receipt_of(&canceled, None)).await.unwrap());
    insert_trucode(&mut tx, &code).await.unwrap();
    pair_trucode(&mut tx, &TruCode { identifier: Some("x".into()), version: 2, ..code.clone() }, NOW).await.unwrap();
    assign(&mut tx, party(), code.id, &device(7), NOW + Duration::from_secs(9)).await.unwrap();
    tx.commit().await.unwrap();
    assert_eq!(found(since(3), 10).await, (vec![of(0, true), (rows[2].id, false, vec![device(7)])], false));
}

async fn codes_that_were_settled_since_are_found_in_the_order_they_were_settled_in_however_long_they_live(db: Db) {
    let codes: Vec<_> = (0..5)
        .map(|n| {
            let id = TruCodeId::generate(NOW, &Random::seeded(n));
            TruCode { id, reference: n.to_string(), expires_at: NOW + Duration::from_secs(50 + n), ..code() }
        })
        .collect();
    let mut tx = db.begin().await.unwrap();
    for code in &codes {
        insert_trucode(&mut tx, code).await.unwrap();
    }
    // The code created last is not settled by two wrong numbers, and the one before by the third. The first is paired last.
    for (n, wrong_numbers) in [(3, 1), (4, 1), (3, 2), (4, 2)] {
        assert!(count_wrong_number(&mut tx, &TruCode { wrong_numbers, ..codes[n].clone() }).await.unwrap());
    }
    let third = TruCode { wrong_numbers: 3, expires_at: NOW + Duration::from_secs(25), ..codes[3].clone() };
    assert!(count_wrong_number(&mut tx, &third).await.unwrap());
    for (n, seconds) in [(2, 10), (1, 20), (0, 30)] {
        let paired = TruCode { identifier: Some("x".into()), version: 2, ..codes[n].clone() };
        assert!(pair_trucode(&mut tx, &paired, NOW + Duration::from_secs(seconds)).await.unwrap());
    }
    tx.commit().await.unwrap();
    let mut after = Cursor { at: NOW + Duration::from_secs(10), id: Uuid::nil().to_string() };
    for (n, more) in [(2, true), (1, true), (3, true), (0, false)] {
        let page = settled_trucodes(&db, &after, 1).await.unwrap();
        assert_eq!((page.iter().collect::<Vec<_>>(), page.has_next()), (vec![&codes[n].id], more));
        after = page.last().unwrap().clone();
    }
    assert_eq!(settled_trucodes(&db, &after, 1).await.unwrap().into_rows(), []);
}

nodkey_testkit::on_both_engines! {
    |database| connect(database, 4) =>
    each_filter_finds_its_own_newest_first,
    they_are_counted_by_status_as_it_is_seen_the_newest_first_as_far_as_is_wanted,
    a_page_of_large_custom_fields_reads_two_mebibytes_of_them_and_the_next_goes_on,
    a_phone_is_given_as_many_challenges_as_fit_the_oldest_first,
    no_more_wait_for_a_user_or_a_device_than_may,
    what_was_created_assigned_or_ended_since_is_found_whosever_it_is,
    codes_that_were_settled_since_are_found_in_the_order_they_were_settled_in_however_long_they_live,
}
