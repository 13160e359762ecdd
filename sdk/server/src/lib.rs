//! Typed client for a relying party's backend.

pub use nodkey_client::*;
