//! Periodic jobs of the registry.

use std::time::Duration;

use nodkey_db::Db;
use nodkey_kernel::{
    error::{Classify as _, chain},
    service_key::ServiceName,
    time::Clock,
};
use nodkey_runtime::{
    Job,
    housekeeping::{self, Pass, Rule, common_rules},
    signing,
};

use tracing::warn;

use crate::{app::App, error::Error};

/// How often to look for unused devices. Each device that was not seen for a long time costs one call to the binding service.
const DEVICES: Duration = Duration::from_hours(24);

/// How often to sign new audit entries: the newest entries can be tampered with for as long.
const CHECKPOINTS: Duration = Duration::from_mins(1);

/// The jobs of the registry. `dead_letters` is the number of days that dead letters are kept.
#[must_use]
pub fn jobs(app: &App, dead_letters: Option<u32>, db: Db, clock: Clock) -> Vec<Job> {
    let mut rules = common_rules(&db, dead_letters);
    rules.push(rule(app, "operator_session", |app, pass| async move { app.delete_operator_sessions(&pass).await }));
    rules.push(rule(app, "operator_confirmation", |app, pass| async move { app.delete_confirmations(&pass).await }));
    rules.push(rule(app, "operator", |app, pass| async move { app.delete_invitations(&pass).await }));
    rules.push(rule(app, "audit_entry", |app, pass| async move { app.delete_audit_entries(&pass).await }));
    rules.push(rule(app, "used_proof", |app, pass| async move { app.delete_used_proofs(&pass).await }));
    rules.push(rule(app, "device", |app, pass| async move { app.delete_unbound_devices(&pass).await }).every(DEVICES));
    vec![signing::job(ServiceName::Registry, app.own_keys()), checkpoints(app), housekeeping::job("registry", db, clock, rules)]
}

/// Signs the audit log. Replicas that run it concurrently sign only once.
fn checkpoints(app: &App) -> Job {
    let app = app.clone();
    Job::new("audit_checkpoints", move |shutdown| async move {
        loop {
            if let Err(e) = app.write_failures().await {
                warn!(error = chain(&e), reason = e.reason(), "the number of failed authentications could not be written to the audit log");
            }
            if let Err(e) = app.checkpoint_audit_chains().await {
                warn!(error = chain(&e), reason = e.reason(), "the audit log could not be signed; trying again");
            }
            tokio::select! {
                () = shutdown.cancelled() => return,
                () = tokio::time::sleep(CHECKPOINTS) => {}
            }
        }
    })
}

fn rule<F>(app: &App, table: &'static str, apply: impl Fn(App, Pass) -> F + Send + Sync + 'static) -> Rule
where
    F: Future<Output = Result<(), Error>> + Send + 'static,
{
    let app = app.clone();
    Rule::new(table, move |pass| apply(app.clone(), pass))
}
