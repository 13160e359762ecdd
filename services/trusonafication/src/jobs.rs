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

use crate::app::{App, Swept};

/// How often what is overdue is looked for from the beginning: what came late is there, and what cannot be read is named again.
const ANEW: Duration = Duration::from_mins(1);

/// The jobs. `dead_letters`: how many days they are kept.
#[must_use]
pub fn jobs(app: App, interval: Duration, dead_letters: Option<u32>, db: Db, clock: Clock) -> Vec<Job> {
    let mut rules = common_rules(&db, dead_letters);
    let (codes, all) = (app.clone(), app.clone());
    rules.push(Rule::new("trucode", move |pass| {
        let app = codes.clone();
        async move { app.delete_trucodes(&pass).await }
    }));
    rules.push(Rule::new("trusonafication", move |pass| {
        let app = all.clone();
        async move { app.delete_trusonafications(&pass).await }
    }));
    vec![signing::job(app.signing_keys()), expiry(app, interval, clock.clone()), housekeeping::job("trusonafication", db, clock, rules)]
}

/// Ends what is overdue. Each look goes on where the one before ended, so that rows that cannot be read are met once in [`ANEW`], not at
/// every look.
fn expiry(app: App, interval: Duration, clock: Clock) -> Job {
    Job::new("expiry", move |shutdown| async move {
        let (mut after, mut begun) = (None, clock.now());
        loop {
            if begun.until(clock.now()) >= ANEW {
                (after, begun) = (None, clock.now());
            }
            let more = match app.sweep(after.as_ref()).await {
                Ok(Swept { last, more }) => {
                    after = last.or(after);
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
