//! Periodic jobs of the binding service.

use nodkey_db::Db;
use nodkey_kernel::time::Clock;
use nodkey_runtime::{
    Job,
    housekeeping::{self, Rule, common_rules},
};

use crate::app::App;

/// The jobs of the binding service. `dead_letters` is the number of days that dead letters are kept.
pub fn jobs(app: App, dead_letters: Option<u32>, db: Db, clock: Clock) -> Vec<Job> {
    let mut rules = common_rules(&db, dead_letters);
    let proofs = app.clone();
    rules.push(Rule::new("used_proof", move |pass| {
        let app = proofs.clone();
        async move { app.delete_used_proofs(&pass).await }
    }));
    // The bindings end, but their rows are kept.
    rules.push(Rule::new("inactive_binding", move |pass| {
        let app = app.clone();
        async move { app.expire_inactive(&pass).await }
    }));
    vec![housekeeping::job("binding", db, clock, rules)]
}
