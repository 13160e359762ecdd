//! Bare PostgreSQL: prepared statements, one round trip per transaction.

use std::{
    collections::HashMap,
    time::{Duration, Instant},
};

use futures_util::future::{BoxFuture, FutureExt as _, try_join_all};
use hdrhistogram::Histogram;
use tokio_postgres::{Client, Statement};
use url::Url;

use super::{
    Bound, Measured,
    writes::{Commits, Login, STATEMENTS, Values, Write},
};
use crate::bench::{machine::connect, process::Process};

const SCHEMA: &str = "nodkey_bench";
/// With as many indexes as Nodkey has on trusonafications in progress and in lists.
const TABLES: &str = "
  CREATE TABLE login (id UUID PRIMARY KEY, relying_party_id UUID NOT NULL, user_identifier TEXT NOT NULL, challenge TEXT NOT NULL,
    created_at TIMESTAMPTZ NOT NULL, status TEXT NOT NULL, response TEXT, version BIGINT NOT NULL);
  CREATE INDEX ON login (relying_party_id, created_at, id);
  CREATE INDEX ON login (relying_party_id, user_identifier) WHERE status = 'in_progress';
  CREATE TABLE event (seq BIGINT GENERATED ALWAYS AS IDENTITY PRIMARY KEY, id UUID NOT NULL UNIQUE, payload BYTEA NOT NULL);
  CREATE TABLE request (id UUID PRIMARY KEY, answer BYTEA NOT NULL);
  CREATE TABLE seen (id UUID PRIMARY KEY);";

/// A connection with all statements prepared.
struct Writer {
    client: Client,
    statements: HashMap<&'static str, Statement>,
}

/// Measures each number of commits with each number of clients.
pub(super) async fn measure(url: &Url, clients: &[u16], length: Duration) -> anyhow::Result<Vec<Bound>> {
    let admin = connect(url.as_str()).await?;
    let server = Process::listening("postgres", url.port().unwrap_or(5432)).map(Process::with_children);
    let mut bounds = Vec::new();
    for commits in [Commits::Two, Commits::Six] {
        for clients in clients {
            admin
                .batch_execute(&format!(
                    "DROP SCHEMA IF EXISTS {SCHEMA} CASCADE; CREATE SCHEMA {SCHEMA}; SET search_path = {SCHEMA}; {TABLES}"
                ))
                .await?;
            let writers = try_join_all((0..*clients).map(|_| Writer::connect(url))).await?;
            let usage = || server.as_ref().map(Process::usage).unwrap_or_default();
            let (used, own, begun) = (usage(), Process::own().usage(), Instant::now());
            let times = try_join_all(writers.iter().map(|writer| writer.repeat(commits, begun + length))).await?;
            let took = begun.elapsed();
            let mut all = Histogram::new(3)?;
            times.iter().try_for_each(|times| all.add(times))?;
            let measured = Measured { times: all, took, server: usage().since(used), client: Process::own().usage().since(own) };
            bounds.push(measured.bound(&format!("PostgreSQL, {}", commits.name()), *clients));
        }
    }
    admin.batch_execute(&format!("DROP SCHEMA {SCHEMA} CASCADE")).await?;
    Ok(bounds)
}

impl Writer {
    async fn connect(url: &Url) -> anyhow::Result<Self> {
        let client = connect(url.as_str()).await?;
        client.batch_execute(&format!("SET search_path = {SCHEMA}")).await?;
        let mut statements = HashMap::new();
        for sql in STATEMENTS {
            statements.insert(sql, client.prepare(sql).await?);
        }
        Ok(Self { client, statements })
    }

    async fn repeat(&self, commits: Commits, until: Instant) -> anyhow::Result<Histogram<u64>> {
        let mut times = Histogram::new(3)?;
        while Instant::now() < until {
            let (login, begun) = (Login::new(), Instant::now());
            for transaction in commits.transactions() {
                self.commit(transaction, &login).await?;
            }
            times.record(u64::try_from(begun.elapsed().as_micros())?)?;
        }
        Ok(times)
    }

    /// Sends all statements before it waits for any result.
    async fn commit(&self, transaction: &[Write], login: &Login) -> Result<(), tokio_postgres::Error> {
        if let [write] = transaction {
            return self.execute(write, login).await;
        }
        let begin = self.client.batch_execute("BEGIN").boxed();
        let writes = transaction.iter().map(|write| self.execute(write, login).boxed());
        let commit = self.client.batch_execute("COMMIT").boxed();
        let all: Vec<BoxFuture<'_, _>> = std::iter::once(begin).chain(writes).chain(std::iter::once(commit)).collect();
        try_join_all(all).await.map(drop)
    }

    async fn execute(&self, write: &Write, login: &Login) -> Result<(), tokio_postgres::Error> {
        let statement = &self.statements[write.sql];
        let event = |second| login.event_id(second);
        match write.values {
            Values::Asked => self.client.execute(statement, &[&login.id, &login.challenge]).await,
            Values::Answered => self.client.execute(statement, &[&login.response, &login.id]).await,
            Values::FirstEvent => self.client.execute(statement, &[&event(false), &login.payload]).await,
            Values::SecondEvent => self.client.execute(statement, &[&event(true), &login.payload]).await,
            Values::FirstId => self.client.execute(statement, &[&event(false)]).await,
            Values::SecondId => self.client.execute(statement, &[&event(true)]).await,
        }
        .map(drop)
    }
}
