//! Authentication challenges: created by a backend, answered by a phone, proven by signatures.

mod app;
mod config;
mod convert;
mod domain;
mod error;
mod events;
mod grpc;
mod invariants;
mod jobs;
mod metrics;
mod store;

use std::time::Duration;

pub use config::Config;
use nodkey_db::{Migration, Migrations};
use nodkey_kernel::service_key::ServiceName;
use nodkey_metrics::List;
use nodkey_runtime::{Deps, Parts, Service, signing};

/// The trusonafication service.
#[derive(Debug)]
pub struct Trusonafication;

const POSTGRES: &[Migration] = &[
    Migration { version: 1000, name: "init", sql: include_str!("../migrations/postgres/1000_init.sql") },
    Migration { version: 1001, name: "trucode", sql: include_str!("../migrations/postgres/1001_trucode.sql") },
    Migration { version: 1002, name: "status", sql: include_str!("../migrations/postgres/1002_status.sql") },
    Migration { version: 1003, name: "in progress", sql: include_str!("../migrations/postgres/1003_in_progress.sql") },
    Migration { version: 1004, name: "receipt", sql: include_str!("../migrations/postgres/1004_receipt.sql") },
    Migration { version: 1005, name: "owner leads", sql: include_str!("../migrations/postgres/1005_owner_leads.sql") },
    Migration { version: 1006, name: "signing key", sql: signing::POSTGRES },
    Migration { version: 1010, name: "bindings", sql: include_str!("../migrations/postgres/1010_bindings.sql") },
    Migration { version: 1026, name: "changes", sql: include_str!("../migrations/postgres/1026_changes.sql") },
    Migration { version: 1027, name: "paired", sql: include_str!("../migrations/postgres/1027_paired.sql") },
    Migration { version: 1031, name: "budgets", sql: include_str!("../migrations/postgres/1031_budgets.sql") },
    Migration { version: 1032, name: "holds", sql: include_str!("../migrations/postgres/1032_holds.sql") },
    Migration { version: 1053, name: "numbers", sql: include_str!("../migrations/postgres/1053_numbers.sql") },
    Migration { version: 1071, name: "traces", sql: include_str!("../migrations/postgres/1071_traces.sql") },
];
const SQLITE: &[Migration] = &[
    Migration { version: 1000, name: "init", sql: include_str!("../migrations/sqlite/1000_init.sql") },
    Migration { version: 1001, name: "trucode", sql: include_str!("../migrations/sqlite/1001_trucode.sql") },
    Migration { version: 1002, name: "status", sql: include_str!("../migrations/sqlite/1002_status.sql") },
    Migration { version: 1003, name: "in progress", sql: include_str!("../migrations/sqlite/1003_in_progress.sql") },
    Migration { version: 1004, name: "receipt", sql: include_str!("../migrations/sqlite/1004_receipt.sql") },
    Migration { version: 1005, name: "owner leads", sql: include_str!("../migrations/sqlite/1005_owner_leads.sql") },
    Migration { version: 1006, name: "signing key", sql: signing::SQLITE },
    Migration { version: 1010, name: "bindings", sql: include_str!("../migrations/sqlite/1010_bindings.sql") },
    Migration { version: 1026, name: "changes", sql: include_str!("../migrations/sqlite/1026_changes.sql") },
    Migration { version: 1027, name: "paired", sql: include_str!("../migrations/sqlite/1027_paired.sql") },
    Migration { version: 1031, name: "budgets", sql: include_str!("../migrations/sqlite/1031_budgets.sql") },
    Migration { version: 1032, name: "holds", sql: include_str!("../migrations/sqlite/1032_holds.sql") },
    Migration { version: 1053, name: "numbers", sql: include_str!("../migrations/sqlite/1053_numbers.sql") },
    Migration { version: 1071, name: "traces", sql: include_str!("../migrations/sqlite/1071_traces.sql") },
];

impl Service for Trusonafication {
    const NAME: ServiceName = ServiceName::Trusonafication;

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
        let (db, clock) = (deps.db()?, deps.clock.clone());
        let (interval, dead_letters) = (Duration::from_millis(config.sweep_milliseconds.into()), config.dead_letter_retention_days);
        let app = app::App::new(config, deps)?;
        let (grpc, consumers) = (grpc::routes(&app), events::consumers(&app));
        Ok(Parts { grpc, consumers, jobs: jobs::jobs(app, interval, dead_letters, db, clock), sealed: signing::SEALED, ..Parts::default() })
    }
}
