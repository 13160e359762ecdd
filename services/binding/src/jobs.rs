//! What the binding service does without being asked.

use nodkey_db::Db;
use nodkey_kernel::time::Clock;
use nodkey_runtime::{Job, housekeeping};

/// The jobs of the binding service.
pub fn jobs(db: Db, clock: Clock) -> Vec<Job> {
    vec![housekeeping(db, clock)]
}
