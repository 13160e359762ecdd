//! Periodic jobs of the trusonafication service.

use std::time::Duration;

use nodkey_db::Db;
use nodkey_kernel::{service_key::ServiceName, time::Clock};
use nodkey_runtime::{
    Job,
    housekeeping::{self, Rule, common_rules},
    signing,
};

use crate::app::{App, changes_job, expiry_job};

/// The jobs of the service. `dead_letters` is the number of days that dead letters are kept.
#[must_use]
pub fn jobs(app: App, interval: Duration, dead_letters: Option<u32>, db: Db, clock: Clock) -> Vec<Job> {
    let mut rules = common_rules(&db, dead_letters);
    let (codes, all, budgets, holds) = (app.clone(), app.clone(), app.clone(), app.clone());
    rules.push(Rule::new("trucode", move |pass| {
        let app = codes.clone();
        async move { app.delete_trucodes(&pass).await }
    }));
    rules.push(Rule::new("trusonafication", move |pass| {
        let app = all.clone();
        async move { app.delete_trusonafications(&pass).await }
    }));
    rules.push(Rule::new("prompt_hold", move |pass| {
        let app = holds.clone();
        async move { app.delete_holds(&pass).await }
    }));
    rules.push(Rule::new("prompt_budget", move |pass| {
        let app = budgets.clone();
        async move { app.delete_budgets(&pass).await }
    }));
    vec![
        signing::job(ServiceName::Trusonafication, app.signing_keys()),
        signing::follow(app.signing_keys(), app.bus()),
        changes_job(app.clone()),
        expiry_job(app, interval),
        housekeeping::job("trusonafication", db, clock, rules),
    ]
}
