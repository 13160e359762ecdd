//! Rows. Every finder leads with the relying party, except those that find out whose something is, and the sweep.

mod list;
pub mod retention;
mod trucode;
mod trusonafication;

pub use list::{Listing, list};
pub use trucode::{
    by_id as trucode_by_id, by_reference as trucode_by_reference, insert as insert_trucode, lock as lock_trucode, pair as pair_trucode,
};
pub use trusonafication::{
    Of, Pending, Proof, assign, challenge, count_pending, get, in_progress, insert, overdue, pending, proof, status, update,
    update_answered,
};
