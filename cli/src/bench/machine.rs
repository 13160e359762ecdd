//! The processes of a deployment, found by their listening ports, and PostgreSQL's own statistics.

use std::collections::BTreeMap;

use anyhow::Context as _;
use tokio_postgres::{Client, NoTls};
use url::Url;

use super::{
    process::{Process, Usage, usages},
    target::Target,
};

/// The servers to measure besides the deployment's own processes.
#[derive(Clone, Debug, clap::Args)]
#[command(next_help_heading = "Servers")]
pub struct ServerArgs {
    /// PostgreSQL URL of a superuser, for its processes and statistics
    #[arg(long, env = "NODKEY_TEST_POSTGRES_URL", value_name = "URL")]
    pub postgres_url: Option<Url>,
    /// NATS URL, for its process
    #[arg(long, env = "NODKEY_TEST_NATS_URL", value_name = "URL")]
    pub nats_url: Option<Url>,
    /// A process of the deployment that cannot be found by its port
    #[arg(long = "pid", value_name = "NAME=PID", value_parser = named_pid)]
    pids: Vec<(String, u32)>,
}

/// The processes, and a connection to PostgreSQL.
pub struct Machine {
    processes: Vec<Process>,
    postgres: Option<Client>,
}

/// The usage up to some moment.
pub struct Reading {
    usages: BTreeMap<String, Usage>,
    postgres: BTreeMap<&'static str, u64>,
}

fn named_pid(text: &str) -> Result<(String, u32), String> {
    let (name, pid) = text.split_once('=').ok_or("must be NAME=PID")?;
    Ok((name.to_owned(), pid.parse().map_err(|_| "must be NAME=PID")?))
}

impl ServerArgs {
    /// Finds the processes. An embedded deployment has neither PostgreSQL nor NATS.
    pub async fn machine(&self, target: &Target) -> anyhow::Result<Machine> {
        let mut processes = self.processes(target);
        let mut postgres = None;
        if !target.embedded() {
            let server = |name: &str, url: &Option<Url>, port: u16| Process::listening(name, url.as_ref()?.port().unwrap_or(port));
            processes.extend(server("postgres", &self.postgres_url, 5432).map(Process::with_children));
            processes.extend(server("nats", &self.nats_url, 4222));
            if let Some(url) = &self.postgres_url {
                postgres = Some(connect(url.as_str()).await?);
            }
        }
        processes.push(Process::own());
        Ok(Machine { processes, postgres })
    }

    /// The processes of the deployment itself.
    pub fn processes(&self, target: &Target) -> Vec<Process> {
        let named = |name: &str| self.pids.iter().find(|(known, _)| known == name).map(|(_, pid)| Process::new(name, *pid));
        let port = |url: &str| Url::parse(url).ok()?.port_or_known_default();
        target.processes.iter().filter_map(|(name, url)| named(name).or_else(|| Process::listening(name, port(url)?))).collect()
    }
}

/// Connects to PostgreSQL.
pub async fn connect(url: &str) -> anyhow::Result<Client> {
    let (client, connection) = tokio_postgres::connect(url, NoTls).await.context("cannot connect to PostgreSQL")?;
    // Ends with the client. Whoever uses the client sees the error.
    tokio::spawn(connection);
    Ok(client)
}

impl Machine {
    /// The usage so far.
    pub async fn read(&self) -> anyhow::Result<Reading> {
        let mut postgres = BTreeMap::new();
        if let Some(client) = &self.postgres {
            let sql = "SELECT wal_records, wal_bytes::bigint, wal_sync, \
                       (SELECT sum(xact_commit)::bigint FROM pg_stat_database) AS transactions FROM pg_stat_wal";
            let row = client.query_one(sql, &[]).await?;
            for name in ["wal_records", "wal_bytes", "wal_sync", "transactions"] {
                postgres.insert(name, u64::try_from(row.try_get::<_, i64>(name)?)?);
            }
        }
        Ok(Reading { usages: usages(&self.processes), postgres })
    }
}

impl Reading {
    /// The usage of each process since `before`.
    pub fn usages_since(&self, before: &Self) -> BTreeMap<String, Usage> {
        let used = |(name, usage): (&String, &Usage)| (name.clone(), usage.since(before.usages.get(name).copied().unwrap_or_default()));
        self.usages.iter().map(used).collect()
    }

    /// PostgreSQL's statistics since `before`.
    pub fn postgres_since(&self, before: &Self) -> BTreeMap<&'static str, u64> {
        let since = |name, value: u64| value.saturating_sub(before.postgres.get(name).copied().unwrap_or(0));
        self.postgres.iter().map(|(name, value)| (*name, since(*name, *value))).collect()
    }
}
