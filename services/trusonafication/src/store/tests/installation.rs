//! An installation from before opens, and every row in it is readable.

use uuid::Uuid;

use super::{super::*, *};

async fn every_row_is_read(db: Db) {
    let rows = db.query("SELECT id, relying_party_id, status FROM trusonafication").fetch_all().await.unwrap();
    assert_eq!(rows.len(), 46);
    let mut answered = 0;
    for row in &rows {
        let (id, party): (Uuid, Uuid) = (row.get("id").unwrap(), row.get("relying_party_id").unwrap());
        let (id, party) = (TrusonaficationId::from_uuid(id), RelyingPartyId::from_uuid(party));
        let found = get(&db, party, id).await.unwrap().unwrap();
        assert_eq!(found.state.status().as_str(), row.get::<String>("status").unwrap());
        assert!(get_answerable(&db, party, id).await.unwrap().is_some());
        let proof = proof(&db, party, id).await.unwrap();
        assert_eq!(proof.is_some(), matches!(found.state, State::Accepted { .. } | State::Rejected { .. }));
        assert!(proof.as_ref().is_none_or(|proof| proof.receipt.is_none()), "none was given then");
        answered += usize::from(proof.is_some());
        let listed = list(&db, party, &Listing::newest(500), NOW).await.unwrap();
        assert!(listed.iter().any(|t| *t == found));
    }
    assert_eq!(answered, 35, "the evidence is where it was");
    let codes = db.query("SELECT id FROM trucode").fetch_all().await.unwrap();
    assert_eq!(codes.len(), 8);
    for row in &codes {
        assert!(trucode_by_id(&db, TruCodeId::from_uuid(row.get("id").unwrap())).await.unwrap().is_some());
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn on_sqlite() {
    let kept = TestDatabase::sqlite_of("trusonafication");
    every_row_is_read(connect(&kept, 4).await).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn on_postgres() {
    let kept = TestDatabase::postgres_of("trusonafication").await;
    every_row_is_read(connect(&kept, 4).await).await;
}
