//! `nodkey admin restore`.

use std::{
    io,
    path::{Path, PathBuf},
};

use anyhow::Context as _;
use nodkey_db::{Db, snapshot::Snapshots};
use nodkey_kernel::{
    service_key::ServiceName,
    time::{Clock, Timestamp},
    vault::Vault,
};
use nodkey_registry::app::restored::{Ended, end_what_was_open};
use nodkey_runtime::DataDir;
use serde_json::json;

use super::{
    acts::{self, Act},
    contents,
    databases::{Database, Databases, Engine, Servers, file},
    manifest::{Manifest, Part},
    postgres::Programs,
    private_file,
    progress::Progress,
    repeat,
};
use crate::{
    connection::read_json,
    failure::Refused,
    output::{document, line, plain},
    platform::Keys,
};

/// What may be in a data folder before a backup is restored there.
const ALLOWED: [&str; 3] = ["keys.json", "lock.json", ".gitignore"];

/// Restore a backup into empty databases, or into a data folder without any
///
/// Everything is checked before anything is changed, and every row afterwards. Operators' sessions end, and open invitations are withdrawn.
/// Starts nothing: it prints what to do before anybody is let in again.
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:
  nodkey admin restore /backups/2026-11-27 --data-dir /var/lib/nodkey
  nodkey admin restore /backups/2026-11-27 --databases databases.env --audit audit.jsonl

The services must be stopped. A data folder may hold keys.json of the installation, and nothing else.")]
pub struct Args {
    /// Folder of the backup
    from: PathBuf,
    /// Export of the audit log, kept elsewhere: lists what operators did after the backup, to repeat it
    #[arg(long, value_name = "FILE")]
    audit: Option<PathBuf>,
    #[command(flatten)]
    servers: Servers,
}

/// Runs the command.
pub async fn run(args: Args, data_dir: &Path, json: bool) -> anyhow::Result<()> {
    let manifest = Manifest::read(&args.from)?;
    let taken_at = Timestamp::parse_rfc3339(&manifest.taken_at).context("the manifest is damaged: taken_at")?;
    let acts = args.audit.as_deref().map(|file| acts::since(file, taken_at)).transpose()?;
    let databases = args.servers.databases(data_dir)?;
    if databases.engine != manifest.engine {
        let what = match manifest.engine {
            Engine::Postgres => "the backup is of PostgreSQL databases: name those to restore with --databases",
            Engine::Sqlite => "the backup is of a data folder: restore it without --databases; `nodkey admin move` takes it to PostgreSQL",
        };
        return Err(Refused(format!("nothing was changed: {what}")).into());
    }
    let programs = Programs(args.servers.bin());
    let progress = Progress::new(json);
    progress.doing("checking the backup");
    manifest.check_parts(&args.from)?;
    let restored = match databases.engine {
        Engine::Postgres => {
            programs.version("pg_restore").await?;
            databases.ensure_empty().await?;
            to_servers(&manifest, &databases, &programs, &args.from, &progress).await
        }
        Engine::Sqlite => {
            ensure_folder(data_dir, &manifest)?;
            // Until the end, so that nobody starts on it meanwhile.
            let folder = DataDir::open(data_dir, &Clock::system())?;
            let restored = to_folder(&manifest, &databases, &args.from, folder.path(), &progress).await;
            if restored.is_err() {
                remove_databases(&databases, folder.path());
            }
            restored
        }
    };
    progress.finish();
    report(&manifest, &restored?, acts.as_deref(), json)
}

async fn to_servers(
    manifest: &Manifest,
    databases: &Databases,
    programs: &Programs<'_>,
    from: &Path,
    progress: &Progress,
) -> anyhow::Result<Ended> {
    progress.expect(databases.all.len());
    let restored = async {
        for Database { service, config } in &databases.all {
            progress.doing(format!("{service}: pg_restore"));
            programs
                .restore(config, &from.join(&manifest.part(*service)?.file))
                .await
                .with_context(|| format!("the database of {service}"))?;
            progress.done();
        }
        verify(manifest, databases, progress).await
    };
    restored.await.context("the databases are not restored: drop them, create them again, and repeat this")
}

async fn to_folder(manifest: &Manifest, databases: &Databases, from: &Path, folder: &Path, progress: &Progress) -> anyhow::Result<Ended> {
    progress.expect(databases.all.len());
    for Database { service, .. } in &databases.all {
        let part = manifest.part(*service)?;
        progress.doing(format!("{service}: {} bytes", part.bytes));
        copy(&from.join(&part.file), &folder.join(file(*service)))?;
        progress.done();
    }
    verify(manifest, databases, progress).await
}

/// Checks every row, and then ends what must not go on.
async fn verify(manifest: &Manifest, databases: &Databases, progress: &Progress) -> anyhow::Result<Ended> {
    let mut snapshots = Snapshots::open(&databases.configs()).await?.all;
    for (Database { service, .. }, snapshot) in databases.all.iter().zip(&mut snapshots) {
        let Part { tables, .. } = manifest.part(*service)?;
        let found = contents(service.as_str(), snapshot, progress).await?;
        let differs = tables.keys().chain(found.keys()).find(|table| tables.get(*table) != found.get(*table));
        if let Some(table) = differs {
            return Err(Refused(format!("the table {table} of {service} is not as it was in the backup")).into());
        }
    }
    drop(snapshots);
    let registry = databases.all.iter().find(|database| database.service == ServiceName::Registry).context("no registry")?;
    let db = Db::connect(&registry.config).await?;
    let ended = end_what_was_open(&db, Clock::system().now()).await;
    db.close().await;
    ended.context("cannot end the operators' sessions")
}

/// Refuses a folder in which something is, and keys that open nothing of this backup.
fn ensure_folder(folder: &Path, manifest: &Manifest) -> anyhow::Result<()> {
    let entries = match std::fs::read_dir(folder) {
        Err(e) if e.kind() == io::ErrorKind::NotFound => return Ok(()),
        entries => entries.with_context(|| format!("cannot read {}", folder.display()))?,
    };
    for entry in entries {
        let name = entry?.file_name();
        if !ALLOWED.iter().any(|allowed| name == *allowed) {
            let what = format!("nothing was changed: {} is not empty, it has {}", folder.display(), name.display());
            return Err(Refused(format!("{what}. Restore to a folder that has at most keys.json in it")).into());
        }
    }
    let path = folder.join("keys.json");
    let Some(keys) = read_json::<Keys>(&path)? else { return Ok(()) };
    let ids: Vec<_> = Vault::new(&keys.master()?).key_ids().collect();
    if !manifest.master_keys.is_empty() && !ids.iter().any(|id| manifest.master_keys.contains(id)) {
        let needed = manifest.master_key_list();
        let what = format!("nothing was changed: {} has master key {}, and the backup needs {needed}", path.display(), ids.join(", "));
        return Err(Refused(format!("{what}. Put keys.json of that installation there, or remove this one")).into());
    }
    Ok(())
}

fn copy(from: &Path, to: &Path) -> anyhow::Result<()> {
    let mut target = private_file(to)?;
    let mut source = std::fs::File::open(from).with_context(|| format!("cannot read {}", from.display()))?;
    io::copy(&mut source, &mut target).and_then(|_| target.sync_all()).with_context(|| format!("cannot write {}", to.display()))
}

/// Leaves a folder as it was found.
fn remove_databases(databases: &Databases, folder: &Path) {
    for Database { service, .. } in &databases.all {
        for suffix in ["", "-wal", "-shm"] {
            let _ = std::fs::remove_file(folder.join(file(*service) + suffix));
        }
    }
}

fn report(manifest: &Manifest, ended: &Ended, acts: Option<&[Act]>, json: bool) -> anyhow::Result<()> {
    let todo = repeat::list(manifest, ended);
    if json {
        return document(&json!({
            "taken_at": manifest.taken_at,
            "rows": manifest.rows(),
            "master_keys": manifest.master_keys,
            "sessions_ended": ended.sessions,
            "invitations_withdrawn": ended.invitations,
            "todo": todo,
            "acts": acts,
        }));
    }
    line(format_args!("restored: {} rows, every one of them as it was at {}", manifest.rows(), manifest.taken_at))?;
    line(format_args!("\nBefore you start the services, and before you let anybody in:"))?;
    todo.iter().try_for_each(|item| line(format_args!("\n{}\n  {}", item.subject, item.text)))?;
    let Some(acts) = acts else { return Ok(()) };
    line(format_args!("\nWhat operators did since, by the export:"))?;
    acts.iter().try_for_each(|Act { at, actor, method, relying_party, request }| {
        let whom = relying_party.as_ref().map(|id| format!(" for {id}")).unwrap_or_default();
        line(format_args!("  {at} {} {method}{whom} {}", plain(actor), plain(request)))
    })
}
