//! Notifying backends and waking phones: webhook endpoints, deliveries with their attempts, push registrations.

mod answer;
mod app;
mod cause;
mod config;
mod convert;
mod domain;
mod error;
mod events;
mod grpc;
mod guard;
mod invariants;
mod jobs;
mod metrics;
mod push;
mod queues;
mod receipts;
mod store;
mod webhook;

use std::time::Duration;

pub use config::{Config, PushConfig};
use nodkey_db::{Migration, Migrations};
use nodkey_kernel::service_key::ServiceName;
use nodkey_metrics::List;
use nodkey_runtime::{
    Deps, Job, Parts, Service,
    housekeeping::{self, common_rules},
};

use crate::{app::App, guard::Guard, push::Pushes, queues::DeliveryQueues, receipts::Receipts, store::sealed::SEALED, webhook::Webhooks};

/// The notification service.
#[derive(Debug)]
pub struct Notification;

const POSTGRES: &[Migration] = &[
    Migration { version: 1000, name: "init", sql: include_str!("../migrations/postgres/1000_init.sql") },
    Migration { version: 1001, name: "lanes", sql: include_str!("../migrations/postgres/1001_lanes.sql") },
    Migration { version: 1002, name: "push", sql: include_str!("../migrations/postgres/1002_push.sql") },
    Migration { version: 1003, name: "receipts", sql: include_str!("../migrations/postgres/1003_receipts.sql") },
    Migration { version: 1005, name: "trusonafication leads", sql: include_str!("../migrations/postgres/1005_trusonafication_leads.sql") },
    Migration { version: 1031, name: "pinned", sql: include_str!("../migrations/postgres/1031_pinned.sql") },
    Migration { version: 1051, name: "subjects", sql: include_str!("../migrations/postgres/1051_subjects.sql") },
    Migration { version: 1061, name: "older keys", sql: include_str!("../migrations/postgres/1061_older_keys.sql") },
    Migration { version: 1062, name: "push causes", sql: include_str!("../migrations/postgres/1062_push_causes.sql") },
    Migration { version: 1070, name: "failing endpoints", sql: include_str!("../migrations/postgres/1070_failing_endpoints.sql") },
    Migration { version: 1071, name: "traces", sql: include_str!("../migrations/postgres/1071_traces.sql") },
];
const SQLITE: &[Migration] = &[
    Migration { version: 1000, name: "init", sql: include_str!("../migrations/sqlite/1000_init.sql") },
    Migration { version: 1001, name: "lanes", sql: include_str!("../migrations/sqlite/1001_lanes.sql") },
    Migration { version: 1002, name: "push", sql: include_str!("../migrations/sqlite/1002_push.sql") },
    Migration { version: 1003, name: "receipts", sql: include_str!("../migrations/sqlite/1003_receipts.sql") },
    Migration { version: 1005, name: "trusonafication leads", sql: include_str!("../migrations/sqlite/1005_trusonafication_leads.sql") },
    Migration { version: 1031, name: "pinned", sql: include_str!("../migrations/sqlite/1031_pinned.sql") },
    Migration { version: 1051, name: "subjects", sql: include_str!("../migrations/sqlite/1051_subjects.sql") },
    Migration { version: 1061, name: "older keys", sql: include_str!("../migrations/sqlite/1061_older_keys.sql") },
    Migration { version: 1062, name: "push causes", sql: include_str!("../migrations/sqlite/1062_push_causes.sql") },
    Migration { version: 1070, name: "failing endpoints", sql: include_str!("../migrations/sqlite/1070_failing_endpoints.sql") },
    Migration { version: 1071, name: "traces", sql: include_str!("../migrations/sqlite/1071_traces.sql") },
];

impl Service for Notification {
    const NAME: ServiceName = ServiceName::Notification;

    type Config = Config;

    fn metrics() -> List {
        metrics::METRICS
    }

    fn migrations() -> Option<Migrations> {
        Some(Migrations { postgres: POSTGRES, sqlite: SQLITE })
    }

    fn check(config: &Config) -> anyhow::Result<()> {
        config.check()
    }

    async fn build(config: Config, deps: Deps) -> anyhow::Result<Parts> {
        let (db, clock, random, guard) = (deps.db()?, deps.clock.clone(), deps.random.clone(), Guard(deps.deployment.egress.clone()));
        let push_guard = Guard(config.push.egress(&deps.deployment.egress));
        let (issuer, peers) = (deps.deployment.public_url.clone(), deps.peers.clone());
        let receipts = Receipts::new(&issuer, store::receipt::required_since(&db).await?);
        let timeout = Duration::from_secs(config.attempt_timeout_seconds.into());
        let (app, woken) = App::new(&config, deps)?;
        let (webhooks, recorder) = Webhooks::new(app.clone(), guard, timeout)?;
        let pushes = Pushes::new(app.clone(), random, push_guard, &config.push)?;
        let queues = DeliveryQueues::new(webhooks, usize::try_from(config.concurrency)?);
        let mut rules = common_rules(&db, config.dead_letter_retention_days);
        rules.push(jobs::deliveries(app.clone()));
        let jobs = vec![
            queues.job("webhooks", woken.webhooks),
            DeliveryQueues::new(pushes, usize::try_from(config.push.concurrency)?).job("pushes", woken.pushes),
            Job::new("recorder", |_| recorder),
            jobs::backlog(app.clone()),
            receipts.job(peers, clock.clone()),
            housekeeping::job("notification", db, clock, rules),
        ];
        Ok(Parts { grpc: grpc::routes(&app), consumers: events::consumers(&app, &receipts), jobs, sealed: SEALED, ..Parts::default() })
    }
}
