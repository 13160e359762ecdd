//! A data folder goes on as five processes: `nodkey admin move`.

use std::{collections::BTreeMap, path::Path, process::Output, time::Instant};

use nodkey_client::Expected;
use nodkey_db::{Db, DbConfig};
use nodkey_testkit::Proxy;
use tempfile::TempDir;

use super::drill::{amount, command as nodkey};
use crate::{
    keys::Keys,
    processes::{Plan, Running},
    world::{World, free_addresses},
    writes::log_in_by,
};

/// How many trusonafications are moved.
fn many() -> i64 {
    amount("NODKEY_TEST_MOVE_ROWS", 3_000)
}

fn said(output: &Output) -> String {
    String::from_utf8_lossy(&[output.stdout.clone(), output.stderr.clone()].concat()).into_owned()
}

/// Repeats the trusonafications of a stopped installation under new ids, until there are so many.
async fn multiply(folder: &Path, wanted: i64) {
    let db = Db::connect(&DbConfig::new(format!("sqlite:{}", folder.join("trusonafication.db").display()))).await.unwrap();
    let columns = db.query("SELECT name FROM pragma_table_info('trusonafication') WHERE name <> 'id'").fetch_all().await.unwrap();
    let columns: Vec<String> = columns.iter().map(|row| row.get("name").unwrap()).collect();
    let columns = columns.join(", ");
    let sql = format!(
        "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < $1) INSERT INTO trusonafication (id, {columns}) \
         SELECT randomblob(16), {columns} FROM (SELECT * FROM trusonafication LIMIT 1), n"
    );
    db.execute(sql.leak()).bind(wanted).execute().await.unwrap();
    db.close().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_data_folder_moves_to_five_processes_and_its_phones_answer_there() {
    let place = TempDir::new().unwrap();
    let data = place.path().join("data");
    // Phones and backends know one address, whoever is behind it.
    let front = Proxy::start([]);
    let public_url = format!("http://{}", front.address());
    let (http, grpc) = free_addresses();
    let mut dev = nodkey();
    dev.args(["dev", "--http", &http.to_string(), "--grpc", &grpc.to_string(), "--public-url", &public_url, "--data-dir"]).arg(&data);
    let running = Running::start(&mut dev, "ready");
    front.set_targets([http]);
    let mut world = World::of_file(&std::fs::read_to_string(data.join("dev.json")).unwrap());
    world.http.clone_from(&public_url);
    let mut tenant = world.tenant().await;
    let phone = tenant.active("ada").await;
    let id = log_in_by(&tenant, "ada", &phone).await;
    let evidence = tenant.backend.evidence(&id).await.unwrap();

    let plan = Plan::new().set("NODKEY_DEPLOYMENT__PUBLIC_URL", &public_url);
    plan.create_databases().await;
    let urls = place.path().join("databases.env");
    plan.name_databases(&urls);
    let moving = || nodkey().args(["admin", "move", "--json", "--databases"]).arg(&urls).arg("--data-dir").arg(&data).output().unwrap();
    let refused = moving();
    assert!(!refused.status.success() && said(&refused).contains("is already in use"), "{}", said(&refused));
    // Ends in order, so that everything is written.
    drop(running);
    multiply(&data, many()).await;
    let since = Instant::now();
    let moved = moving();
    assert!(moved.status.success(), "{}", said(&moved));
    eprintln!("{} trusonafications moved and compared in {:.1?}", many() + 1, since.elapsed());
    let again = moving();
    assert!(again.status.code() == Some(3) && said(&again).contains("is not empty"), "{}", said(&again));

    let keys: BTreeMap<String, String> = serde_json::from_slice(&std::fs::read(data.join("keys.json")).unwrap()).unwrap();
    let folder = place.path().join("keys");
    let mut init = nodkey();
    init.env("NODKEY_DEPLOYMENT__MASTER_KEY", &keys["master_key"]).env("NODKEY_DEPLOYMENT__OPERATOR_KEY", &keys["operator_key"]);
    let made = init.args(["keys", "init"]).arg(&folder).output().unwrap();
    assert!(made.status.success(), "{}", said(&made));
    let topology = Plan { keys: Keys::of(&folder), ..plan.clone() }.start().await;
    front.set_targets([topology.service("gateway").entrance.address()]);
    let moved = World::at(public_url.clone(), topology.world.endpoints.clone(), keys["operator_key"].clone());
    let backend = tenant.backend_at(&moved);
    assert_eq!(serde_json::to_string(&backend.evidence(&id).await.unwrap()).unwrap(), serde_json::to_string(&evidence).unwrap());
    tenant.backend = backend;
    tenant.prove(&id, &Expected::accept()).await.unwrap();
    log_in_by(&tenant, "ada", &phone).await;
    tenant.active("grace").await;
}
