//! Rows. Every finder leads with the relying party, except those of what is due, whosever it is.

pub mod delivery;
pub mod endpoint;
pub mod push;
pub mod push_configuration;
pub mod push_registration;
pub mod receipt;
pub mod retention;
pub mod sealed;

#[cfg(test)]
mod tests;
