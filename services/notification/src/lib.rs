//! What backends are told, and where phones are woken: webhook endpoints, deliveries with their attempts, push registrations.

mod app;
mod config;
mod domain;
mod error;
mod events;
mod grpc;
mod guard;
mod jobs;
mod send;
mod store;

use std::time::Duration;

pub use config::Config;
use nodkey_db::{Migration, Migrations};
use nodkey_runtime::{Deps, Parts, Service};

/// The notification service.
#[derive(Debug)]
pub struct Notification;

const POSTGRES: &[Migration] = &[Migration { version: 1000, name: "init", sql: include_str!("../migrations/postgres/1000_init.sql") }];
const SQLITE: &[Migration] = &[Migration { version: 1000, name: "init", sql: include_str!("../migrations/sqlite/1000_init.sql") }];

impl Service for Notification {
    const NAME: &'static str = "notification";

    type Config = Config;

    fn migrations() -> Option<Migrations> {
        Some(Migrations { postgres: POSTGRES, sqlite: SQLITE })
    }

    async fn build(config: Config, deps: Deps) -> anyhow::Result<Parts> {
        let concurrency = usize::try_from(config.concurrency)?;
        anyhow::ensure!(concurrency > 0, "service.concurrency must be at least 1");
        let (db, clock) = (deps.db()?, deps.clock.clone());
        let timeout = Duration::from_secs(config.attempt_timeout_seconds.into());
        let guard = guard::Guard::new(config.allowed_networks.clone(), config.allowed_ports.clone(), deps.deployment.development);
        let app = app::App::new(&config, deps)?;
        let sender = send::Sender::new(app.clone(), guard, timeout)?;
        let (grpc, consumers) = (grpc::routes(&app), events::consumers(&app));
        Ok(Parts { grpc, consumers, jobs: jobs::jobs(app, sender, concurrency, db, clock), ..Parts::default() })
    }
}
