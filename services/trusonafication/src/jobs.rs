//! What the trusonafication service does without being asked.

use std::time::Duration;

use nodkey_db::Db;
use nodkey_kernel::{error::chain, time::Clock};
use nodkey_runtime::{
    Job,
    housekeeping::{self, Rule, common_rules},
    signing,
};
use tracing::warn;

use crate::app::{App, Swept, changes_job};

/// How often what cannot be read is named again.
const ANEW: Duration = Duration::from_mins(1);

/// The jobs. `dead_letters`: how many days they are kept.
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
        signing::job(app.signing_keys()),
        signing::follow(app.signing_keys(), app.bus()),
        changes_job(app.clone()),
        expiry(app, interval, clock.clone()),
        housekeeping::job("trusonafication", db, clock, rules),
    ]
}

/// Ends what is overdue. What was ended is not found again, so each look begins after the last row that cannot be read: these are met once
/// in [`ANEW`], not at every look. What comes with an expiry that is past is found at once all the same, wherever others got to.
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
