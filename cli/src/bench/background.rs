//! The background of measured logins: trusonafications in progress, finished ones, phones that wait.

use std::path::{Path, PathBuf};

use anyhow::Context as _;
use clap::builder::RangedU64ValueParser;
use futures_util::{StreamExt as _, TryStreamExt as _, stream};
use hyper::body::Incoming;
use indicatif::ProgressBar;
use nodkey_client::NewTrusonafication;

use super::{
    fleet,
    target::{Party, Target},
    waits::{self, Waits},
};

/// Trusonafications in progress per user: the maximum that a deployment allows by default.
const OF_ONE_USER: usize = 20;
/// Streams per phone: the maximum for one device.
const OF_ONE_PHONE: usize = 4;
/// How many are created concurrently.
const CREATING: usize = 16;
/// How long they stay in progress.
const LIFETIME: std::time::Duration = std::time::Duration::from_hours(23);
/// How many finished ones one statement inserts.
const BATCH: u64 = 50_000;

/// The background to create.
#[derive(Clone, Debug, clap::Args)]
#[command(next_help_heading = "Background")]
pub struct BackgroundArgs {
    /// Trusonafications in progress, of other users
    #[arg(long, default_value_t = 0, value_name = "N", value_parser = RangedU64ValueParser::<usize>::new().range(0..=1_000_000))]
    pub in_progress: usize,
    /// Finished trusonafications, written to the database of the trusonafication service: needs --database
    #[arg(long, default_value_t = 0, value_name = "N", requires = "database", value_parser = clap::value_parser!(u64).range(0..=1_000_000_000))]
    pub finished: u64,
    /// Other phones that wait, each on its own connection
    #[arg(long, default_value_t = 0, value_name = "N", value_parser = RangedU64ValueParser::<usize>::new().range(0..=1_000_000))]
    pub waiting: usize,
    /// Backends that wait for results over HTTP (`?wait=60`), repeatedly
    #[arg(long, default_value_t = 0, value_name = "N", value_parser = RangedU64ValueParser::<usize>::new().range(0..=1_000_000))]
    pub waiting_backends: usize,
    /// Database of the trusonafication service: a PostgreSQL URL, or the path of the SQLite file
    #[arg(long, value_name = "URL|FILE")]
    pub database: Option<String>,
}

/// Keeps phones and backends waiting until it is dropped.
pub struct Waiting {
    _streams: Vec<Incoming>,
    _backends: Waits,
}

impl BackgroundArgs {
    /// The total number of all kinds.
    pub fn total(&self) -> u64 {
        (self.in_progress + self.waiting + self.waiting_backends) as u64 + self.finished
    }

    /// Creates the background. The relying party already has a finished trusonafication, `example`, which is copied.
    pub async fn lay(&self, target: &Target, party: &Party, example: &str, progress: &ProgressBar) -> anyhow::Result<Waiting> {
        self.lay_finished(example, progress).await.context("cannot write finished trusonafications")?;
        self.lay_in_progress(target, party, progress).await.context("cannot create those in progress")?;
        let streams = self.open_streams(target, party, progress).await.context("not all phones can wait")?;
        let backends = waits::open(target, party, self.waiting_backends, progress).await.context("not all backends can wait")?;
        Ok(Waiting { _streams: streams, _backends: backends })
    }

    async fn lay_in_progress(&self, target: &Target, party: &Party, progress: &ProgressBar) -> anyhow::Result<()> {
        let users = self.in_progress.div_ceil(OF_ONE_USER);
        let enrolled = fleet::enrol(target, party, "in-progress", users, || ()).await?;
        let names = enrolled.iter().flat_map(|user| std::iter::repeat_n(&user.name, OF_ONE_USER)).take(self.in_progress);
        stream::iter(names.map(anyhow::Ok))
            .try_for_each_concurrent(CREATING, |name| async move {
                let new = NewTrusonafication::user(name, "log in", "nodkey bench").expires_in(LIFETIME);
                party.backend.create_trusonafication(new).await?;
                progress.inc(1);
                Ok(())
            })
            .await
    }

    async fn open_streams(&self, target: &Target, party: &Party, progress: &ProgressBar) -> anyhow::Result<Vec<Incoming>> {
        let phones = fleet::enrol(target, party, "waiting", self.waiting.div_ceil(OF_ONE_PHONE), || ()).await?;
        let waits = phones.iter().flat_map(|user| std::iter::repeat_n(&user.phone, OF_ONE_PHONE)).take(self.waiting);
        stream::iter(waits.map(|phone| async {
            let stream = phone.open_stream().await;
            progress.inc(1);
            stream
        }))
        .buffer_unordered(CREATING)
        .try_collect()
        .await
    }

    async fn lay_finished(&self, example: &str, progress: &ProgressBar) -> anyhow::Result<()> {
        let Some(database) = self.database.clone().filter(|_| self.finished > 0) else { return Ok(()) };
        let (count, example, progress) = (self.finished, example.parse::<uuid::Uuid>()?, progress.clone());
        if database.contains("://") {
            return finish_postgres(&database, example, count, &progress).await;
        }
        let path = PathBuf::from(database);
        tokio::task::spawn_blocking(move || finish_sqlite(&path, example, count, &progress)).await?
    }
}

/// The batches: the number that each begins after, and its size.
fn batches(count: u64) -> impl Iterator<Item = (i64, i64)> {
    (0..count.div_ceil(BATCH))
        .filter_map(move |n| Some((i64::try_from(n * BATCH).ok()?, i64::try_from(BATCH.min(count - n * BATCH)).ok()?)))
}

/// A statement that copies a row, whatever columns the table has. Ids, times and users differ, and everything else is copied.
fn multiply(columns: &[String], replaced: &[(&str, &str)], series: &str, example: &str) -> String {
    let value = |column: &String| {
        let replacement = replaced.iter().find(|(name, _)| name == column);
        replacement.map_or_else(|| format!("t.{column}"), |(_, expression)| (*expression).to_owned())
    };
    let values: Vec<_> = columns.iter().map(value).collect();
    format!(
        "INSERT INTO trusonafication ({}) SELECT {} FROM trusonafication t, {series} WHERE t.id = {example}",
        columns.join(", "),
        values.join(", ")
    )
}

async fn finish_postgres(url: &str, example: uuid::Uuid, count: u64, progress: &ProgressBar) -> anyhow::Result<()> {
    let (client, connection) = tokio_postgres::connect(url, tokio_postgres::NoTls).await?;
    tokio::spawn(connection);
    let sql = "SELECT column_name::text FROM information_schema.columns WHERE table_name = 'trusonafication' AND table_schema = 'public'";
    let columns: Vec<String> = client.query(sql, &[]).await?.iter().map(|row| row.get(0)).collect();
    let replaced = [
        ("id", "gen_random_uuid()"),
        ("result_id", "gen_random_uuid()"),
        ("user_identifier", "'finished-' || (n % 10000)"),
        ("bound_user", "'finished-' || (n % 10000)"),
        ("created_at", "t.created_at - n * interval '1 second'"),
        ("updated_at", "t.updated_at - n * interval '1 second'"),
    ];
    let insert = multiply(&columns, &replaced, "generate_series($2::bigint + 1, $2::bigint + $3::bigint) AS n", "$1");
    for (after, size) in batches(count) {
        let written = client.execute(&insert, &[&example, &after, &size]).await?;
        anyhow::ensure!(written > 0, "the trusonafication to copy is not in {url}");
        progress.inc(written);
    }
    client.batch_execute("ANALYZE trusonafication").await?;
    Ok(())
}

fn finish_sqlite(path: &Path, example: uuid::Uuid, count: u64, progress: &ProgressBar) -> anyhow::Result<()> {
    let flags = rusqlite::OpenFlags::SQLITE_OPEN_READ_WRITE;
    let connection = rusqlite::Connection::open_with_flags(path, flags).with_context(|| format!("cannot open {}", path.display()))?;
    connection.busy_timeout(std::time::Duration::from_secs(30))?;
    let mut statement = connection.prepare("SELECT name FROM pragma_table_info('trusonafication')")?;
    let columns: Vec<String> = statement.query_map([], |row| row.get(0))?.collect::<Result<_, _>>()?;
    let replaced = [
        ("id", "randomblob(16)"),
        ("result_id", "randomblob(16)"),
        ("user_identifier", "'finished-' || (n % 10000)"),
        ("bound_user", "'finished-' || (n % 10000)"),
        ("created_at", "t.created_at - n * 1000000"),
        ("updated_at", "t.updated_at - n * 1000000"),
    ];
    let series = "(WITH RECURSIVE series (n) AS (SELECT ?2 + 1 UNION ALL SELECT n + 1 FROM series WHERE n < ?2 + ?3) SELECT n FROM series)";
    let insert = multiply(&columns, &replaced, series, "?1");
    for (after, size) in batches(count) {
        let written = connection.execute(&insert, (example.as_bytes(), after, size))?;
        anyhow::ensure!(written > 0, "the trusonafication to copy is not in {}", path.display());
        progress.inc(written as u64);
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn batches_cover_everything_once() {
        let all: Vec<_> = batches(120_001).collect();
        assert_eq!(all, [(0, 50_000), (50_000, 50_000), (100_000, 20_001)]);
        assert_eq!(batches(0).count(), 0);
    }

    #[test]
    fn a_row_is_multiplied_whatever_columns_the_table_has() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("t.db");
        let connection = rusqlite::Connection::open(&path).unwrap();
        let example = uuid::Uuid::from_u128(7);
        connection.execute_batch("CREATE TABLE trusonafication (id BLOB PRIMARY KEY, created_at INTEGER, anything TEXT)").unwrap();
        connection.execute("INSERT INTO trusonafication VALUES ($1, 5000000, 'kept')", [example.as_bytes()]).unwrap();
        finish_sqlite(&path, example, 3, &ProgressBar::hidden()).unwrap();
        let count = "SELECT count(*), min(created_at), count(DISTINCT id) FROM trusonafication WHERE anything = 'kept'";
        let row = connection.query_row(count, [], |row| Ok((row.get(0)?, row.get(1)?, row.get(2)?))).unwrap();
        assert_eq!(row, (4, 2_000_000, 4));
        assert!(finish_sqlite(&path, uuid::Uuid::nil(), 3, &ProgressBar::hidden()).is_err());
    }
}
