//! What use cases are made of: why they fail, pages of lists, requests done once, rows that cannot be read.

pub mod checked;
pub mod failure;
pub mod idempotent;
pub mod page;
pub mod rows;
