//! What the binding service does without being asked.

use nodkey_db::Db;
use nodkey_kernel::time::Clock;
use nodkey_runtime::{
    Job,
    housekeeping::{self, common_rules},
};

/// The jobs of the binding service. `dead_letters`: how many days they are kept.
pub fn jobs(dead_letters: Option<u32>, db: Db, clock: Clock) -> Vec<Job> {
    let rules = common_rules(&db, dead_letters);
    vec![housekeeping::job("binding", db, clock, rules)]
}
