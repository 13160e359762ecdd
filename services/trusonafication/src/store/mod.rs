//! Rows. Every finder leads with the relying party, except those that find out whose something is, and the sweep.

mod list;
mod pending;
pub mod retention;
mod row;
mod trucode;
mod trusonafication;

pub use list::{Listing, heads, list};
pub use pending::{Of, Pending, in_progress, overdue, pending};
pub use row::MAX_BYTES;
pub use trucode::{
    by_id as trucode_by_id, by_reference as trucode_by_reference, insert as insert_trucode, lock as lock_trucode, pair as pair_trucode,
};
pub use trusonafication::{Proof, assign, challenge, get, get_with_challenge, get_with_receipt, insert, proof, update, update_answered};

#[cfg(test)]
mod tests;
