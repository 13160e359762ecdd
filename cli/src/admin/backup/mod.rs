//! `nodkey admin backup`, `restore` and `move`: whole databases, without a server.

mod acts;
pub(super) mod databases;
mod manifest;
mod moving;
mod postgres;
mod progress;
mod repeat;
mod restore;

use std::{
    collections::BTreeMap,
    fs::{DirBuilder, File, OpenOptions},
    os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _},
    path::{Path, PathBuf},
};

use anyhow::Context as _;
use nodkey_db::snapshot::{Content, Snapshot, Snapshots};
use nodkey_kernel::time::Clock;
use serde_json::json;

use self::{
    databases::{Database, Databases, Engine, Servers},
    manifest::{Manifest, Part},
    postgres::Programs,
    progress::Progress,
};
use crate::{
    failure::Refused,
    output::{document, line},
};

/// What is done with whole databases.
#[derive(Debug, clap::Subcommand)]
pub enum Command {
    Backup(Args),
    Restore(restore::Args),
    Move(moving::Args),
}

/// Back up the databases of an installation, all at the same moment, while it runs
///
/// Writes wait until every database is opened, for milliseconds as a rule and 2 s at most; everything else goes on. The backup is a folder
/// that only its owner reads: a file for each database, and manifest.json. Master keys are not in it: keep keys.json elsewhere.
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:
  nodkey admin backup /backups/2026-11-27 --data-dir /var/lib/nodkey
  nodkey admin backup /backups/2026-11-27 --databases databases.env

databases.env has a line for each service: registry=postgres://registry@db.example.com/registry")]
pub struct Args {
    /// Folder to create; an existing one is never overwritten
    to: PathBuf,
    #[command(flatten)]
    servers: Servers,
}

/// Runs the command.
pub async fn run(command: Command, data_dir: &Path, json: bool) -> anyhow::Result<()> {
    match command {
        Command::Backup(args) => back_up(args, data_dir, json).await,
        Command::Restore(args) => restore::run(args, data_dir, json).await,
        Command::Move(args) => moving::run(args, data_dir, json).await,
    }
}

async fn back_up(args: Args, data_dir: &Path, json: bool) -> anyhow::Result<()> {
    let databases = args.servers.databases(data_dir)?;
    let programs = Programs(args.servers.bin());
    if databases.engine == Engine::Sqlite {
        ensure_data_folder(data_dir)?;
    }
    let client = if databases.engine == Engine::Postgres { Some(programs.version("pg_dump").await?) } else { None };
    create(&args.to)?;
    let progress = Progress::new(json);
    let written = write(&databases, &programs, client, &args.to, &progress).await;
    progress.finish();
    if written.is_err() {
        // Half a backup is none.
        let _ = std::fs::remove_dir_all(&args.to);
    }
    report(&args.to, &written?, json)
}

/// Refuses a folder that lacks a database.
fn ensure_data_folder(data_dir: &Path) -> anyhow::Result<()> {
    let missing = databases::SERVICES.iter().map(|service| data_dir.join(databases::file(*service))).find(|path| !path.exists());
    let Some(path) = missing else { return Ok(()) };
    let what = format!("{} is no data folder: {} is missing", data_dir.display(), path.display());
    Err(Refused(format!("{what}. Name it with --data-dir, or PostgreSQL databases with --databases")).into())
}

fn create(folder: &Path) -> anyhow::Result<()> {
    let made = DirBuilder::new().mode(0o700).create(folder);
    if made.as_ref().is_err_and(|e| e.kind() == std::io::ErrorKind::AlreadyExists) {
        return Err(Refused(format!("{} already exists: a backup is never overwritten", folder.display())).into());
    }
    made.with_context(|| format!("cannot create {}", folder.display()))
}

async fn write(
    databases: &Databases,
    programs: &Programs<'_>,
    client: Option<u32>,
    to: &Path,
    progress: &Progress,
) -> anyhow::Result<Manifest> {
    progress.doing("waiting for running writes");
    // Before, not after: of what happens meanwhile, rather too much than too little is listed after a restore.
    let taken_at = Clock::system().now().to_string();
    let Snapshots { all, held } = Snapshots::open(&databases.configs()).await?;
    for (database, snapshot) in databases.all.iter().zip(&all) {
        ensure_new_enough(client, database, snapshot)?;
    }
    let mut parts = Vec::new();
    progress.expect(databases.all.len());
    for (database, mut snapshot) in databases.all.iter().zip(all) {
        parts.push(
            part(database, &mut snapshot, programs, to, progress).await.with_context(|| format!("the database of {}", database.service))?,
        );
        progress.done();
    }
    let manifest = Manifest::new(databases.engine, taken_at, held, parts);
    manifest.write(to)?;
    // Its name is on the disk, too.
    File::open(to).and_then(|folder| folder.sync_all()).with_context(|| format!("cannot write {}", to.display()))?;
    Ok(manifest)
}

/// Refuses a `pg_dump` that is older than a server: it would refuse, but only at its turn.
fn ensure_new_enough(client: Option<u32>, database: &Database, snapshot: &Snapshot) -> anyhow::Result<()> {
    if let (Some((_, server)), Some(client)) = (snapshot.exported(), client)
        && client < server / 10_000
    {
        let what = format!("pg_dump is of PostgreSQL {client}, and the server of {} of {}", database.service, server / 10_000);
        return Err(Refused(format!("{what}: name the folder of newer programs with --postgres-bin")).into());
    }
    Ok(())
}

async fn part(
    database: &Database,
    snapshot: &mut Snapshot,
    programs: &Programs<'_>,
    to: &Path,
    progress: &Progress,
) -> anyhow::Result<Part> {
    let service = database.service;
    let migrations = snapshot.migrations().await?;
    if migrations.is_empty() {
        return Err(Refused("it is no database of Nodkey: it has no schema".into()).into());
    }
    let tables = contents(service.as_str(), snapshot, progress).await?;
    let file = if snapshot.exported().is_some() { format!("{service}.dump") } else { databases::file(service) };
    let path = to.join(&file);
    let created = private_file(&path)?;
    if let Some((id, _)) = snapshot.exported() {
        progress.doing(format!("{service}: pg_dump"));
        programs.dump(&database.config, id, &path).await?;
    } else {
        snapshot.copy_to(&path, |copied, of| progress.doing(format!("{service}: {copied} of {of} pages")))?;
    }
    created.sync_all().with_context(|| format!("cannot write {}", path.display()))?;
    let (bytes, sha256) = manifest::hash(&path)?;
    let server_version = snapshot.exported().map(|(_, version)| version);
    Ok(Part { service: service.to_string(), file, bytes, sha256, server_version, migrations, tables })
}

/// Reads every row of every table.
async fn contents(service: &str, snapshot: &mut Snapshot, progress: &Progress) -> anyhow::Result<BTreeMap<String, Content>> {
    let tables = snapshot.tables().await?;
    progress.expect(tables.len());
    let mut contents = BTreeMap::new();
    for table in tables {
        let content = snapshot.content(&table, |rows| progress.doing(format!("{service}: {rows} rows of {table}"))).await?;
        contents.insert(table, content);
        progress.done();
    }
    Ok(contents)
}

/// Creates a file that only its owner reads.
fn private_file(path: &Path) -> anyhow::Result<File> {
    let file = OpenOptions::new().write(true).create_new(true).mode(0o600).open(path);
    file.with_context(|| format!("cannot create {}", path.display()))
}

fn report(folder: &Path, manifest: &Manifest, json: bool) -> anyhow::Result<()> {
    if json {
        return document(&json!({"backup": folder, "manifest": manifest}));
    }
    let (rows, megabytes) = (manifest.rows(), manifest.bytes().div_ceil(1_000_000));
    line(format_args!("{}: {rows} rows, {megabytes} MB, as of {}", folder.display(), manifest.taken_at))?;
    line(format_args!("writes waited {} ms", manifest.writes_held_ms))?;
    let keys = manifest.master_key_list();
    line(format_args!("keep elsewhere, because they are not in it:"))?;
    line(format_args!("  the keys, with the master key whose id is {keys}: without it the backup's secrets cannot be opened"))?;
    line(format_args!("  a copy of /jwks/archive, which verifies evidence, and an export of the audit log"))
}
