//! Periodic jobs of the trusonafication service.

use std::time::Duration;

use nodkey_db::Db;
use nodkey_kernel::{error::chain, service_key::ServiceName, time::Clock};
use nodkey_runtime::{
    Job,
    housekeeping::{self, Rule, common_rules},
    signing,
};
use tracing::warn;

use crate::app::{App, Swept, changes_job};

/// How often unreadable rows are reported again.
const ANEW: Duration = Duration::from_mins(1);

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
        expiry(app, interval, clock.clone()),
        housekeeping::job("trusonafication", db, clock, rules),
    ]
}

/// Ends overdue trusonafications. Ended ones are not found again, so each sweep begins after the last unreadable row: these are met once
/// per [`ANEW`], not in every sweep. Trusonafications created with an expiry in the past are still found immediately, wherever the sweep
/// is.
fn expiry(app: App, interval: Duration, clock: Clock) -> Job {
    Job::new("expiry", move |shutdown| async move {
        let (mut after, mut begun) = (None, clock.now());
        loop {
            if begun.until(clock.now()) >= ANEW {
                (after, begun) = (None, clock.now());
            }
            let more = match app.sweep(after.as_ref()).await {
                Ok(Swept { unreadable, more }) => {
                    after = unreadable.or(after);
                    more
                }
                Err(e) => {
                    warn!(error = chain(&e), "looking for what has expired failed; trying again");
                    false
                }
            };
            let pause = if more { Duration::ZERO } else { interval };
            tokio::select! {
                () = shutdown.cancelled() => return,
                () = tokio::time::sleep(pause) => {}
            }
        }
    })
}
