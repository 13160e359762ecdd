use nodkey_db::{DbConfig, Migration, Migrations, sealed::KeyColumn};
use nodkey_kernel::vault::PREFIX;
use nodkey_testkit::{TestDatabase, on_both_engines};
use uuid::Uuid;

use super::*;

const SCHEMA: Migrations = Migrations {
    postgres: &[Migration {
        version: 1000,
        name: "secret",
        sql: "CREATE TABLE secret (owner UUID, name TEXT, sealed BYTEA, PRIMARY KEY (owner, name))",
    }],
    sqlite: &[Migration {
        version: 1000,
        name: "secret",
        sql: "CREATE TABLE secret (owner BLOB, name TEXT, sealed BLOB, PRIMARY KEY (owner, name)) STRICT",
    }],
};
const SECRET: SealedColumn = SealedColumn {
    table: "secret",
    column: "sealed",
    key: &[KeyColumn::Uuid("owner"), KeyColumn::Text("name")],
    context: |key| format!("secret/{}/{}", key[0], key[1]),
};
const OLD: [u8; 32] = [1; 32];
const NEW: [u8; 32] = [2; 32];

async fn connect(database: &TestDatabase) -> Db {
    let db = Db::connect(&DbConfig { max_connections: 2, ..DbConfig::new(database.url()) }).await.unwrap();
    db.migrate(&SCHEMA).await.unwrap();
    db
}

on_both_engines! {
    connect =>
    every_value_of_before_is_sealed_anew_once_and_the_old_key_can_go,
    a_value_that_nobody_can_open_stays_and_holds_up_nothing,
    a_value_that_is_changed_meanwhile_stays_as_it_was_changed,
}

fn context(owner: Uuid, name: &str) -> String {
    format!("secret/{owner}/{name}")
}

async fn put(db: &Db, owner: Uuid, name: &str, value: Option<&[u8]>) {
    let query = db.execute("INSERT INTO secret (owner, name, sealed) VALUES ($1, $2, $3)");
    query.bind(owner).bind(name).bind(value).execute().await.unwrap();
}

async fn get(db: &Db, owner: Uuid, name: &str) -> Vec<u8> {
    let query = db.query("SELECT sealed FROM secret WHERE owner = $1 AND name = $2").bind(owner).bind(name);
    query.fetch_one().await.unwrap().get("sealed").unwrap()
}

fn resealer(db: &Db) -> Resealer {
    let mut resealer = Resealer::new(Arc::new(Vault::new(&NEW).opening([&OLD])), Random::seeded(2));
    resealer.add("test", db, &[SECRET]);
    resealer
}

/// Runs to the end; returns the last progress message of each column.
async fn run(resealer: &Resealer) -> Vec<ResealProgress> {
    let mut told = resealer.reseal(Request::new(ResealRequest {})).await.unwrap().into_inner();
    let mut columns: Vec<ResealProgress> = Vec::new();
    while let Some(progress) = told.next().await {
        let progress = progress.unwrap();
        columns.retain(|before| before.table != progress.table);
        columns.push(progress);
    }
    columns
}

async fn former(resealer: &Resealer) -> u64 {
    let counted = resealer.count_sealed(Request::new(CountSealedRequest {})).await.unwrap().into_inner();
    counted.columns.iter().map(|column| column.former).sum()
}

async fn every_value_of_before_is_sealed_anew_once_and_the_old_key_can_go(db: Db) {
    let (old, random) = (Vault::new(&OLD), Random::seeded(1));
    // More than a batch, with two owners; every other value in the format of earlier releases.
    let owners = [Uuid::from_u128(1), Uuid::from_u128(2)];
    let rows: Vec<_> = (0..120).map(|n| (owners[n % 2], format!("{n}"))).collect();
    for (n, (owner, name)) in rows.iter().enumerate() {
        let sealed = old.seal(&random, &context(*owner, name), name.as_bytes());
        put(&db, *owner, name, Some(if n % 4 < 2 { &sealed } else { &sealed[PREFIX..] })).await;
    }
    put(&db, owners[0], "nothing", None).await;
    let resealer = resealer(&db);
    assert_eq!(former(&resealer).await, 120);
    let told = run(&resealer).await;
    let counts: Vec<_> = told.iter().map(|p| (p.table.as_str(), p.found, p.resealed, p.unopened)).collect();
    assert_eq!(counts, [("secret", 120, 120, 0), ("idempotency", 0, 0, 0)]);
    assert_eq!(former(&resealer).await, 0);
    let new = Vault::new(&NEW);
    let mut values = Vec::new();
    for (owner, name) in &rows {
        let sealed = get(&db, *owner, name).await;
        assert_eq!(new.open(&context(*owner, name), &sealed).unwrap().as_slice(), name.as_bytes());
        values.push(sealed);
    }
    assert!(run(&resealer).await.iter().all(|progress| progress.resealed == 0));
    assert_eq!(get(&db, rows[0].0, &rows[0].1).await, values[0], "what is done is left alone");
}

async fn a_value_that_nobody_can_open_stays_and_holds_up_nothing(db: Db) {
    let (old, random, owner) = (Vault::new(&OLD), Random::seeded(1), Uuid::from_u128(1));
    put(&db, owner, "a", Some(b"damaged")).await;
    put(&db, owner, "b", Some(&old.seal(&random, &context(owner, "a"), b"of another row"))).await;
    put(&db, owner, "c", Some(&old.seal(&random, &context(owner, "c"), b"good"))).await;
    let resealer = resealer(&db);
    let told = run(&resealer).await;
    assert_eq!((told[0].found, told[0].resealed, told[0].unopened), (3, 1, 2));
    assert_eq!(former(&resealer).await, 2);
    assert_eq!(get(&db, owner, "a").await, b"damaged");
}

async fn a_value_that_is_changed_meanwhile_stays_as_it_was_changed(db: Db) {
    let (old, random, owner) = (Vault::new(&OLD), Random::seeded(1), Uuid::from_u128(1));
    put(&db, owner, "a", Some(&old.seal(&random, &context(owner, "a"), b"before"))).await;
    let found = SECRET.behind(&db, Vault::new(&NEW).prefix(), None, 10).await.unwrap().remove(0);
    let query = db.execute("UPDATE secret SET sealed = $1");
    query.bind(&b"changed"[..]).execute().await.unwrap();
    let mut tx = db.begin().await.unwrap();
    assert!(!SECRET.replace(&mut tx, &found, b"anew").await.unwrap());
    tx.commit().await.unwrap();
    assert_eq!(get(&db, owner, "a").await, b"changed");
}
