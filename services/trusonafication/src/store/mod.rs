//! Database rows. Every query is scoped to a relying party, except the documented ones that find out which relying party something belongs
//! to, the sweep, and the look for changes.

mod budget;
mod changes;
mod list;
mod pending;
pub mod retention;
mod row;
mod trucode;
mod trusonafication;

pub use budget::{
    Hold, Mark, Open, budget_of, delete_budgets, delete_holds, forgive, hold, holds, lock_budget, look, release, waiting_and_held,
    waiting_for, write_budget,
};
pub use changes::{Changed, changes, settled_trucodes};
pub use list::{Listing, count, count_open, heads, list};
pub use pending::{Of, Pending, first_end, in_progress, next_expiry, overdue, pending};
pub use row::MAX_BYTES;
pub use trucode::{
    by_id as trucode_by_id, by_reference as trucode_by_reference, count_wrong_number, insert as insert_trucode, lock as lock_trucode,
    pair as pair_trucode, spend_pairing, unspent_pairing,
};
pub use trusonafication::{
    Answerable, Answered, New, Proof, assign, challenge, get, get_answerable, get_in, get_with_receipt, insert, proof, update,
    update_answered,
};

#[cfg(test)]
mod tests;
