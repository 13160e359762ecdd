//! Bindings: which device belongs to which user of the relying party.
//!
//! A binding is created inactive. Its id is the activation code, with which the backend activates it after its own check. A device has at
//! most one live binding, a user at most a hundred.

mod app;
mod config;
mod convert;
mod domain;
mod error;
mod events;
mod grpc;
mod import;
mod invariants;
mod jobs;
mod store;

pub use config::Config;

use nodkey_db::{Migration, Migrations};
use nodkey_kernel::service_key::ServiceName;
use nodkey_runtime::{Deps, Parts, Service};

/// The binding service.
#[derive(Debug)]
pub struct Binding;

const POSTGRES: &[Migration] = &[
    Migration { version: 1000, name: "init", sql: include_str!("../migrations/postgres/1000_init.sql") },
    Migration { version: 1001, name: "identifier", sql: include_str!("../migrations/postgres/1001_identifier.sql") },
    Migration { version: 1002, name: "in place", sql: include_str!("../migrations/postgres/1002_in_place.sql") },
    Migration { version: 1050, name: "frozen", sql: include_str!("../migrations/postgres/1050_frozen.sql") },
    Migration { version: 1052, name: "transfers", sql: include_str!("../migrations/postgres/1052_transfers.sql") },
    Migration { version: 1055, name: "users", sql: include_str!("../migrations/postgres/1055_users.sql") },
];
const SQLITE: &[Migration] = &[
    Migration { version: 1000, name: "init", sql: include_str!("../migrations/sqlite/1000_init.sql") },
    Migration { version: 1001, name: "identifier", sql: include_str!("../migrations/sqlite/1001_identifier.sql") },
    Migration { version: 1050, name: "frozen", sql: include_str!("../migrations/sqlite/1050_frozen.sql") },
    Migration { version: 1052, name: "transfers", sql: include_str!("../migrations/sqlite/1052_transfers.sql") },
];

impl Service for Binding {
    const NAME: ServiceName = ServiceName::Binding;

    type Config = Config;

    fn migrations() -> Option<Migrations> {
        Some(Migrations { postgres: POSTGRES, sqlite: SQLITE })
    }

    async fn build(config: Config, deps: Deps) -> anyhow::Result<Parts> {
        let app = app::App::new(&deps)?;
        let jobs = jobs::jobs(app.clone(), config.dead_letter_retention_days, deps.db()?, deps.clock);
        Ok(Parts { grpc: grpc::routes(&app), consumers: events::consumers(&app), jobs, ..Parts::default() })
    }
}
