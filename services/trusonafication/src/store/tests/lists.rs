//! Lists: what belongs on them, and how much of it is read at once.

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
    ] {
        let expected: Vec<_> = expected.into_iter().map(|n: usize| rows[n].id).collect();
        assert_eq!(ids(&db, listing, now).await, expected, "{listing:?}");
    }
    let heads = heads(&db, party(), &all, overdue).await.unwrap();
    let versions: Vec<_> = heads.iter().map(|head| head.version).collect();
    assert_eq!(versions, [2, 2, 2, 2], "what is overdue has its next version already");
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
    assert_eq!(in_progress(&mut tx, party(), Of::User("ada"), None, 50).await.unwrap().iter().count(), 2);
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
    let mut taken = async |n: u64, target, max| insert(&mut tx, &asked(n, target), "challenge", max).await.unwrap();
    assert!(!taken(4, user(), 2).await);
    assert!(taken(4, user(), 3).await);
    assert!(!taken(5, Target::Device(device(1)), 1).await, "what waits for its user does not count, nor does another device's");
    assert!(taken(5, Target::Device(device(1)), 2).await);
    assert!(taken(6, Target::User("eve".into()), 1).await);
    let later = Trusonafication { created_at: NOW + Duration::from_secs(61), ..asked(7, user()) };
    assert!(insert(&mut tx, &later, "challenge", 2).await.unwrap(), "of three, two are overdue");
}

nodkey_testkit::on_both_engines! {
    |database| connect(database, 4) =>
    each_filter_finds_its_own_newest_first,
    a_page_of_large_custom_fields_reads_two_mebibytes_of_them_and_the_next_goes_on,
    a_phone_is_given_as_many_challenges_as_fit_the_oldest_first,
    no_more_wait_for_a_user_or_a_device_than_may,
}
