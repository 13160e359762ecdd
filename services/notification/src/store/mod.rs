//! Database rows. Every query is scoped to a relying party, except those that find what is due for all of them.

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
