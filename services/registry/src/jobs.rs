//! What the registry does without being asked.

use std::time::Duration;

use nodkey_db::Db;
use nodkey_kernel::time::Clock;
use nodkey_runtime::{
    Job,
    housekeeping::{self, Pass, Rule, common_rules},
    signing,
};

use crate::{app::App, error::Error};

/// How often to look for devices that nobody uses: the binding service is asked about each that was not seen for long.
const DEVICES: Duration = Duration::from_hours(24);

/// The jobs of the registry. `dead_letters`: how many days they are kept.
#[must_use]
pub fn jobs(app: &App, dead_letters: Option<u32>, db: Db, clock: Clock) -> Vec<Job> {
    let mut rules = common_rules(&db, dead_letters);
    rules.push(rule(app, "operator_session", |app, pass| async move { app.delete_operator_sessions(&pass).await }));
    rules.push(rule(app, "operator", |app, pass| async move { app.delete_invitations(&pass).await }));
    rules.push(rule(app, "audit_entry", |app, pass| async move { app.delete_audit_entries(&pass).await }));
    rules.push(rule(app, "device", |app, pass| async move { app.delete_unbound_devices(&pass).await }).every(DEVICES));
    vec![signing::job(app.own_keys()), housekeeping::job("registry", db, clock, rules)]
}

fn rule<F>(app: &App, table: &'static str, apply: impl Fn(App, Pass) -> F + Send + Sync + 'static) -> Rule
where
    F: Future<Output = Result<(), Error>> + Send + 'static,
{
    let app = app.clone();
    Rule::new(table, move |pass| apply(app.clone(), pass))
}
