//! Rows. Every finder leads with the relying party, except the one of what is due, whosever it is.

pub mod delivery;
pub mod endpoint;
pub mod push_registration;
