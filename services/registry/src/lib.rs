//! The registry: relying parties, their credentials, the deployment's signing keys, devices with their keys, and identity
//! documents.

pub mod app;
pub mod config;
pub mod domain;
pub mod error;
pub mod events;
pub mod grpc;
mod invariants;
pub mod jobs;
mod metrics;
mod store;

use anyhow::ensure;
use nodkey_db::{Migration, Migrations};
use nodkey_kernel::service_key::ServiceName;
use nodkey_metrics::List;
use nodkey_runtime::{Deps, Parts, Service};

use app::App;
use config::Config;
use domain::credential::readable_by_clients;

/// The registry service.
#[derive(Debug)]
pub struct Registry;

impl Service for Registry {
    const NAME: ServiceName = ServiceName::Registry;

    type Config = Config;

    fn metrics() -> List {
        metrics::METRICS
    }

    fn migrations() -> Option<Migrations> {
        Some(Migrations {
            postgres: &[
                Migration { version: 1000, name: "init", sql: include_str!("../migrations/postgres/1000_init.sql") },
                Migration { version: 1001, name: "trucodes", sql: include_str!("../migrations/postgres/1001_trucodes.sql") },
                Migration { version: 1002, name: "signatures", sql: include_str!("../migrations/postgres/1002_signatures.sql") },
                Migration { version: 1003, name: "app_link", sql: include_str!("../migrations/postgres/1003_app_link.sql") },
                Migration { version: 1004, name: "operators", sql: include_str!("../migrations/postgres/1004_operators.sql") },
                Migration { version: 1005, name: "in place", sql: include_str!("../migrations/postgres/1005_in_place.sql") },
                Migration { version: 1006, name: "retention", sql: include_str!("../migrations/postgres/1006_retention.sql") },
                Migration { version: 1007, name: "key statements", sql: include_str!("../migrations/postgres/1007_key_statements.sql") },
                Migration { version: 1010, name: "published keys", sql: include_str!("../migrations/postgres/1010_published_keys.sql") },
                Migration { version: 1014, name: "used proofs", sql: include_str!("../migrations/postgres/1014_used_proofs.sql") },
                Migration { version: 1026, name: "limits", sql: include_str!("../migrations/postgres/1026_limits.sql") },
                Migration { version: 1031, name: "prompts", sql: include_str!("../migrations/postgres/1031_prompts.sql") },
                Migration { version: 1040, name: "counting keys", sql: include_str!("../migrations/postgres/1040_counting_keys.sql") },
                Migration { version: 1041, name: "audit chain", sql: include_str!("../migrations/postgres/1041_audit_chain.sql") },
                Migration { version: 1042, name: "session idle", sql: include_str!("../migrations/postgres/1042_session_idle.sql") },
                Migration { version: 1050, name: "bindings", sql: include_str!("../migrations/postgres/1050_bindings.sql") },
                Migration {
                    version: 1051,
                    name: "counting documents",
                    sql: include_str!("../migrations/postgres/1051_counting_documents.sql"),
                },
                Migration { version: 1052, name: "transfers", sql: include_str!("../migrations/postgres/1052_transfers.sql") },
                Migration { version: 1053, name: "capabilities", sql: include_str!("../migrations/postgres/1053_capabilities.sql") },
                Migration { version: 1054, name: "confirmations", sql: include_str!("../migrations/postgres/1054_confirmations.sql") },
                Migration {
                    version: 1070,
                    name: "credential names",
                    sql: include_str!("../migrations/postgres/1070_credential_names.sql"),
                },
            ],
            sqlite: &[
                Migration { version: 1000, name: "init", sql: include_str!("../migrations/sqlite/1000_init.sql") },
                Migration { version: 1001, name: "trucodes", sql: include_str!("../migrations/sqlite/1001_trucodes.sql") },
                Migration { version: 1002, name: "signatures", sql: include_str!("../migrations/sqlite/1002_signatures.sql") },
                Migration { version: 1003, name: "app_link", sql: include_str!("../migrations/sqlite/1003_app_link.sql") },
                Migration { version: 1004, name: "operators", sql: include_str!("../migrations/sqlite/1004_operators.sql") },
                Migration { version: 1006, name: "retention", sql: include_str!("../migrations/sqlite/1006_retention.sql") },
                Migration { version: 1007, name: "key statements", sql: include_str!("../migrations/sqlite/1007_key_statements.sql") },
                Migration { version: 1010, name: "published keys", sql: include_str!("../migrations/sqlite/1010_published_keys.sql") },
                Migration { version: 1014, name: "used proofs", sql: include_str!("../migrations/sqlite/1014_used_proofs.sql") },
                Migration { version: 1026, name: "limits", sql: include_str!("../migrations/sqlite/1026_limits.sql") },
                Migration { version: 1031, name: "prompts", sql: include_str!("../migrations/sqlite/1031_prompts.sql") },
                Migration { version: 1040, name: "counting keys", sql: include_str!("../migrations/sqlite/1040_counting_keys.sql") },
                Migration { version: 1041, name: "audit chain", sql: include_str!("../migrations/sqlite/1041_audit_chain.sql") },
                Migration { version: 1042, name: "session idle", sql: include_str!("../migrations/sqlite/1042_session_idle.sql") },
                Migration { version: 1050, name: "bindings", sql: include_str!("../migrations/sqlite/1050_bindings.sql") },
                Migration {
                    version: 1051,
                    name: "counting documents",
                    sql: include_str!("../migrations/sqlite/1051_counting_documents.sql"),
                },
                Migration { version: 1052, name: "transfers", sql: include_str!("../migrations/sqlite/1052_transfers.sql") },
                Migration { version: 1053, name: "capabilities", sql: include_str!("../migrations/sqlite/1053_capabilities.sql") },
                Migration { version: 1054, name: "confirmations", sql: include_str!("../migrations/sqlite/1054_confirmations.sql") },
                Migration { version: 1070, name: "credential names", sql: include_str!("../migrations/sqlite/1070_credential_names.sql") },
            ],
        })
    }

    fn check(config: &Config) -> anyhow::Result<()> {
        config.check()
    }

    async fn build(config: Config, deps: Deps) -> anyhow::Result<Parts> {
        ensure!(
            readable_by_clients(&deps.deployment.public_url, &deps.deployment.audience),
            "deployment.public_url and deployment.audience are part of tokens that old clients must be able to read: use short ASCII text without > ? ~"
        );
        let (db, clock, dead_letters) = (deps.db()?, deps.clock.clone(), config.dead_letter_retention_days);
        let app = App::new(&config, deps)?;
        let jobs = jobs::jobs(&app, dead_letters, db, clock);
        Ok(Parts { grpc: grpc::routes(&app), consumers: events::consumers(&app), jobs, sealed: store::sealed::SEALED, ..Parts::default() })
    }
}
