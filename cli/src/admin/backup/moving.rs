//! `nodkey admin move`.

use std::{collections::BTreeMap, path::Path};

use anyhow::Context as _;
use nodkey_db::{
    Db,
    snapshot::{Content, MIGRATIONS, Snapshot, Snapshots, Target},
};
use nodkey_kernel::{service_key::ServiceName, time::Clock};
use nodkey_runtime::DataDir;
use serde_json::json;

use super::{
    contents,
    databases::{Database, Databases, Servers, schema},
    ensure_data_folder,
    progress::Progress,
};
use crate::{
    failure::Refused,
    output::{document, line},
};

/// Copy a data folder into empty PostgreSQL databases, to go on with five processes
///
/// `nodkey serve` must be stopped, and nobody can start it meanwhile: what it would write would be lost. The folder stays as it is. Every
/// row is compared afterwards.
#[derive(Debug, clap::Args)]
#[command(after_help = "Example:
  nodkey admin move --data-dir /var/lib/nodkey --databases databases.env

databases.env has a line for each service: registry=postgres://registry@db.example.com/registry")]
pub struct Args {
    #[command(flatten)]
    servers: Servers,
}

/// Runs the command.
pub async fn run(args: Args, data_dir: &Path, json: bool) -> anyhow::Result<()> {
    let targets = args.servers.named()?;
    ensure_data_folder(data_dir)?;
    // Until the end, so that nobody starts on it meanwhile.
    let _folder = DataDir::open(data_dir, &Clock::system())?;
    let progress = Progress::new(json);
    let moved = copy(&Databases::in_folder(data_dir), &targets, &progress).await;
    progress.finish();
    report(data_dir, moved?, json)
}

async fn copy(sources: &Databases, targets: &Databases, progress: &Progress) -> anyhow::Result<u64> {
    let mut snapshots = Snapshots::open(&sources.configs()).await?.all;
    for (Database { service, .. }, snapshot) in sources.all.iter().zip(&mut snapshots) {
        let known = schema(*service).map(|schema| schema.versions(false)).unwrap_or_default();
        if snapshot.migrations().await? != known {
            let what = format!("nothing was changed: the data of {service} is of another version of nodkey");
            return Err(Refused(format!("{what}. Start `nodkey serve` of this version on the folder once, and stop it")).into());
        }
    }
    targets.ensure_empty().await?;
    let copied = async {
        let mut rows = 0;
        progress.expect(targets.all.len());
        for (target, snapshot) in targets.all.iter().zip(&mut snapshots) {
            rows += copy_one(target, snapshot, progress).await.with_context(|| format!("the database of {}", target.service))?;
            progress.done();
        }
        verify(targets, &mut snapshots, progress).await.map(|()| rows)
    };
    copied.await.context("the folder is as it was, and the databases are not usable: drop them, create them again, and repeat this")
}

async fn copy_one(target: &Database, from: &mut Snapshot, progress: &Progress) -> anyhow::Result<u64> {
    let service = target.service;
    let db = Db::connect(&target.config).await?;
    let migrated = match schema(service) {
        Some(schema) => db.migrate(&schema).await,
        None => Ok(()),
    };
    db.close().await;
    migrated?;
    let mut loading = Target::begin(&target.config).await?;
    let (mut tables, there) = (loading.tables(), from.tables().await?);
    let missing: Vec<_> = there.iter().filter(|table| !tables.contains(table) && *table != MIGRATIONS).cloned().collect();
    anyhow::ensure!(missing.is_empty(), "PostgreSQL has no table {}", missing.join(", "));
    // What only replicas need is empty at first.
    tables.retain(|table| there.contains(table));
    let mut all = 0;
    for table in tables {
        let mut copied = 0;
        let told = |rows| {
            copied = rows;
            progress.doing(format!("{service}: {rows} rows of {table}"));
        };
        loading.copy(from, &table, told).await?;
        all += copied;
    }
    loading.commit().await?;
    Ok(all)
}

async fn verify(targets: &Databases, sources: &mut [Snapshot], progress: &Progress) -> anyhow::Result<()> {
    let mut snapshots = Snapshots::open(&targets.configs()).await?.all;
    for ((Database { service, .. }, there), here) in targets.all.iter().zip(sources).zip(&mut snapshots) {
        let (there, mut here) = (of_rows(*service, there, progress).await?, of_rows(*service, here, progress).await?);
        here.retain(|table, content| there.contains_key(table) || content.rows > 0);
        let differs = there.keys().chain(here.keys()).find(|table| there.get(*table) != here.get(*table));
        anyhow::ensure!(differs.is_none(), "the table {} of {service} differs from that in the folder", differs.map_or("", String::as_str));
    }
    Ok(())
}

async fn of_rows(service: ServiceName, snapshot: &mut Snapshot, progress: &Progress) -> anyhow::Result<BTreeMap<String, Content>> {
    let mut contents = contents(service.as_str(), snapshot, progress).await?;
    contents.remove(MIGRATIONS);
    Ok(contents)
}

fn report(data_dir: &Path, rows: u64, json: bool) -> anyhow::Result<()> {
    let keys = data_dir.join("keys.json");
    let keys = keys.display();
    let next = [
        format!(
            "Make the keys of the five services with the master key and the operator key of the folder, unless your settings have them: \
             NODKEY_DEPLOYMENT__MASTER_KEY=$(jq -r .master_key {keys}) NODKEY_DEPLOYMENT__OPERATOR_KEY=$(jq -r .operator_key {keys}) \
             nodkey keys init keys"
        ),
        "Start the services with the same deployment.public_url: phones know no other.".to_owned(),
        format!(
            "Do not start `nodkey serve` on {} again. Delete it once the services run, and you have a backup of them.",
            data_dir.display()
        ),
    ];
    if json {
        return document(&json!({"rows": rows, "next": next}));
    }
    line(format_args!("copied and compared: {rows} rows"))?;
    next.iter().try_for_each(line)
}
