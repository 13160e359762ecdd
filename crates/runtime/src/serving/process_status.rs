//! The state of a process for the console: what `/readyz` and `/metrics` report, over gRPC.

use std::{cmp::Reverse, time::Duration};

use nodkey_db::{Db, DbError, Migrations, dead_letter, outbox};
use nodkey_kernel::{
    error::chain,
    random::Random,
    time::{Clock, Timestamp},
};
use nodkey_proto::{
    convert::timestamp,
    status::v1::{DatabaseStatus, DeadLetter, GetStatusRequest, ProcessStatus, status_service_server::StatusService},
};
use tonic::{Request, Response, Status};
use tracing::debug;

use super::{health::Health, telemetry};

/// How many dead letters are reported.
const DEAD_LETTERS: u8 = 100;
/// How long a database may take to tell its state.
const PATIENCE: Duration = Duration::from_secs(1);

/// Reports the state of this process.
#[derive(Clone, Debug)]
pub(crate) struct Reporter {
    id: String,
    services: Vec<&'static str>,
    started_at: Timestamp,
    health: Health,
    databases: Vec<Database>,
    clock: Clock,
}

/// A service's database, and the schema that this build has for it.
#[derive(Clone, Debug)]
pub(crate) struct Database {
    pub(crate) service: &'static str,
    pub(crate) db: Db,
    pub(crate) schema: Migrations,
}

impl Reporter {
    /// For a process that has just started.
    pub(crate) fn new(services: Vec<&'static str>, health: Health, databases: Vec<Database>, clock: &Clock) -> Self {
        Self { id: Random::system().token(), services, started_at: clock.now(), health, databases, clock: clock.clone() }
    }

    /// The databases that respond.
    async fn databases(&self) -> Vec<DatabaseStatus> {
        let mut all = Vec::new();
        for database in &self.databases {
            match tokio::time::timeout(PATIENCE, database.status()).await {
                Ok(Ok(status)) => all.push(status),
                Ok(Err(e)) => debug!(service = database.service, error = chain(&e), "the state of a database could not be read"),
                Err(_) => debug!(service = database.service, "the database did not respond in time"),
            }
        }
        all
    }

    /// The newest dead letters. A database that cannot be read has none here, and is among the problems.
    async fn dead_letters(&self) -> Vec<DeadLetter> {
        let mut all = Vec::new();
        for Database { db, .. } in &self.databases {
            match dead_letter::list(db, DEAD_LETTERS.into()).await {
                Ok(found) => all.extend(found),
                Err(e) => debug!(error = chain(&e), "dead letters could not be read"),
            }
        }
        all.sort_by_key(|letter| Reverse(letter.at));
        all.truncate(DEAD_LETTERS.into());
        let reported = |letter: dead_letter::DeadLetter| DeadLetter {
            consumer: letter.consumer,
            event_id: letter.event_id.to_string(),
            subject: letter.subject,
            cause: letter.cause,
            given_up_at: Some(timestamp(letter.at)),
        };
        all.into_iter().map(reported).collect()
    }
}

impl Database {
    async fn status(&self) -> Result<DatabaseStatus, DbError> {
        let (applied, known) = (self.db.migrations().await?, self.schema.versions(self.db.is_postgres()));
        let beyond = |of: &[i64], other: &[i64]| of.iter().filter(|version| !other.contains(version)).copied().collect();
        let (events_waiting, oldest) = outbox::depth(&self.db).await?;
        Ok(DatabaseStatus {
            service: self.service.to_owned(),
            missing_migrations: beyond(&known, &applied),
            unknown_migrations: beyond(&applied, &known),
            now: self.db.now().await?.map(timestamp),
            events_waiting,
            oldest_event_at: oldest.map(timestamp),
        })
    }
}

#[tonic::async_trait]
impl StatusService for Reporter {
    async fn get_status(&self, _: Request<GetStatusRequest>) -> Result<Response<ProcessStatus>, Status> {
        Ok(Response::new(ProcessStatus {
            id: self.id.clone(),
            services: self.services.iter().map(ToString::to_string).collect(),
            version: env!("CARGO_PKG_VERSION").to_owned(),
            started_at: Some(timestamp(self.started_at)),
            problems: self.health.problems().await,
            metrics: telemetry::metrics(),
            dead_letters: self.dead_letters().await,
            databases: self.databases().await,
            // Last, so that it is as near as possible to when the caller reads it.
            now: Some(timestamp(self.clock.now())),
        }))
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use nodkey_db::{DbConfig, Message};
    use nodkey_kernel::time::Timestamp;
    use uuid::Uuid;

    use super::*;
    use crate::serving::opening::Opening;

    #[tokio::test]
    async fn the_newest_dead_letters_are_reported_with_their_causes_and_a_database_that_is_away_hides_no_others() {
        let folder = tempfile::tempdir().unwrap();
        let mut databases = Vec::new();
        for name in ["one", "other"] {
            let db = Db::connect(&DbConfig::new(format!("sqlite:{}", folder.path().join(name).display()))).await.unwrap();
            db.migrate(&Migrations { postgres: &[], sqlite: &[] }).await.unwrap();
            databases.push(Database { service: name, db, schema: Migrations { postgres: &[], sqlite: &[] } });
        }
        for n in 0..130_u8 {
            let message = Message { id: Uuid::from_u128(n.into()), subject: "evt".into(), payload: "".into(), headers: BTreeMap::new() };
            let at = Timestamp::parse_rfc3339("2026-01-01T00:00:00Z").unwrap() + std::time::Duration::from_secs(n.into());
            dead_letter::add(&databases[usize::from(n % 2)].db, "consumer", &message, &format!("cause {n}"), at).await.unwrap();
        }
        let reporter = Reporter::new(vec!["one"], Health::new(Vec::new(), Opening::default()), databases.clone(), &Clock::system());
        let causes = async || {
            let status = reporter.get_status(Request::new(GetStatusRequest {})).await.unwrap().into_inner();
            status.dead_letters.into_iter().map(|letter| letter.cause).collect::<Vec<_>>()
        };
        assert_eq!(causes().await, (30..130).rev().map(|n| format!("cause {n}")).collect::<Vec<_>>());
        databases[1].db.close().await;
        assert_eq!(causes().await, (0..130).step_by(2).rev().map(|n| format!("cause {n}")).collect::<Vec<_>>());
    }
}
