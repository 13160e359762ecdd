//! Bare SQLite: one connection on one thread, prepared statements, every commit synced to disk.

use std::{
    fs::OpenOptions,
    io::{Seek as _, Write as _},
    path::Path,
    time::{Duration, Instant},
};

use hdrhistogram::Histogram;
use rusqlite::{Connection, params};

use super::{
    Bound, Measured,
    writes::{Commits, Login, Values, Write},
};
use crate::bench::process::Process;

const FILE: &str = "nodkey-bench.db";
/// The number of logins that share one commit, as when this many users log in concurrently.
const GROUP: usize = 32;
const TABLES: &str = "
  PRAGMA journal_mode = WAL;
  PRAGMA synchronous = FULL;
  CREATE TABLE login (id BLOB PRIMARY KEY, relying_party_id BLOB NOT NULL, user_identifier TEXT NOT NULL, challenge TEXT NOT NULL,
    created_at TEXT NOT NULL, status TEXT NOT NULL, response TEXT, version INTEGER NOT NULL) STRICT;
  CREATE INDEX login_newest ON login (relying_party_id, created_at, id);
  CREATE INDEX login_open ON login (relying_party_id, user_identifier) WHERE status = 'in_progress';
  CREATE TABLE event (seq INTEGER PRIMARY KEY, id BLOB NOT NULL UNIQUE, payload BLOB NOT NULL) STRICT;
  CREATE TABLE request (id BLOB PRIMARY KEY, answer BLOB NOT NULL) STRICT;
  CREATE TABLE seen (id BLOB PRIMARY KEY) STRICT;";

/// Measures a sync alone, then each number of commits, then a group.
pub(super) fn measure(folder: &Path, length: Duration) -> anyhow::Result<Vec<Bound>> {
    let mut bounds = vec![sync(folder, length)?];
    for (commits, group) in [(Commits::Two, 1), (Commits::Six, 1), (Commits::Two, GROUP)] {
        let path = folder.join(FILE);
        remove(&path);
        let connection = Connection::open(&path)?;
        connection.execute_batch(TABLES)?;
        let measured = repeat(&connection, commits, group, length);
        drop(connection);
        remove(&path);
        let shared = if group > 1 { format!(", {group} logins together") } else { String::new() };
        bounds.push(measured?.bound(&format!("SQLite, {}{shared}", commits.name()), 1));
    }
    Ok(bounds)
}

fn remove(path: &Path) {
    for suffix in ["", "-wal", "-shm"] {
        let mut name = path.as_os_str().to_owned();
        name.push(suffix);
        // The file may not exist.
        let _ = std::fs::remove_file(name);
    }
}

fn repeat(connection: &Connection, commits: Commits, group: usize, length: Duration) -> anyhow::Result<Measured> {
    let (begun, used) = (Instant::now(), Process::own().usage());
    let mut times = Histogram::new(3)?;
    while begun.elapsed() < length {
        let logins: Vec<_> = (0..group).map(|_| Login::new()).collect();
        let start = Instant::now();
        for transaction in commits.transactions() {
            connection.prepare_cached("BEGIN IMMEDIATE")?.execute([])?;
            for login in &logins {
                for write in *transaction {
                    execute(connection, write, login)?;
                }
            }
            connection.prepare_cached("COMMIT")?.execute([])?;
        }
        times.record_n(u64::try_from(start.elapsed().as_micros())?, group as u64)?;
    }
    Ok(Measured { times, took: begun.elapsed(), server: super::Usage::default(), client: Process::own().usage().since(used) })
}

fn execute(connection: &Connection, write: &Write, login: &Login) -> rusqlite::Result<usize> {
    let mut statement = connection.prepare_cached(write.sql)?;
    let event = |second| login.event_id(second).into_bytes();
    match write.values {
        Values::Asked => statement.execute(params![login.id.as_bytes(), login.challenge]),
        Values::Answered => statement.execute(params![login.response, login.id.as_bytes()]),
        Values::FirstEvent => statement.execute(params![event(false), login.payload]),
        Values::SecondEvent => statement.execute(params![event(true), login.payload]),
        Values::FirstId => statement.execute(params![event(false)]),
        Values::SecondId => statement.execute(params![event(true)]),
    }
}

/// Writes and syncs 8 KiB.
fn sync(folder: &Path, length: Duration) -> anyhow::Result<Bound> {
    let path = folder.join(FILE);
    remove(&path);
    let mut file = OpenOptions::new().write(true).create_new(true).open(&path)?;
    let (begun, used) = (Instant::now(), Process::own().usage());
    let mut times = Histogram::new(3)?;
    while begun.elapsed() < length {
        let start = Instant::now();
        file.rewind()?;
        file.write_all(&[7; 8192])?;
        file.sync_data()?;
        times.record(u64::try_from(start.elapsed().as_micros())?)?;
    }
    remove(&path);
    let client = Process::own().usage().since(used);
    Ok(Measured { times, took: begun.elapsed(), server: super::Usage::default(), client }.bound("8 KiB on the disk (fdatasync)", 1))
}
